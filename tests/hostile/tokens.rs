//! Tokens that are none: whatever Webex issues, `.env` stays a file that everybody can read.

use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use super::servers;
use crate::support::raw_server::{Behind, Conduct, Piece, Reserved};
use crate::support::{ACCESS_TOKEN_KEY, Hand, REFRESH_TOKEN, REFRESH_TOKEN_KEY, Story};

/// What stands around the tokens in `.env`.
const BEFORE: &str = "# ours\nFIRST='1'\n";
const AFTER: &str = "export LAST=\"2\" # ours\n";

/// Texts that mean something to a reader of `.env`, to a shell, or to a header.
fn texts() -> Vec<String> {
    let mut texts: Vec<_> = [
        "a\nFIRST=owned",
        "a\r\nFIRST=owned\r\n",
        "a\rFIRST=owned",
        "'; touch owned; '",
        "\"; touch owned; \"",
        "'\"'\"'",
        "$(touch owned)",
        "`touch owned`",
        "${FIRST}",
        "$FIRST",
        "a\\nb\\",
        "a b",
        " a ",
        "a#b #c",
        "=",
        "\0",
        "a\0b",
        "\u{1b}[2J",
        "\u{feff}a",
        "\u{2028}a\u{85}b",
        "é😀",
        "\u{202e}a",
    ]
    .map(str::to_owned)
    .into();
    texts.push("long".repeat(200_000));
    texts
}

fn read(env: &str) -> Vec<(String, String)> {
    let pairs = dotenvy::from_read_iter(env.as_bytes());
    pairs.map(|pair| pair.expect("an assignment")).collect()
}

fn value<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    let pair = pairs.iter().find(|(name, _)| name == key)?;
    Some(&pair.1)
}

/// A run whose grant is answered with these tokens.
fn issued(reply: &Value) -> (Story, i32) {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story.write_env(format!("{BEFORE}{}{AFTER}", story.env()));
    let behind = Behind {
        address: story.sandbox.address(),
        spoilt: "POST /v1/access_token",
        acts: false,
    };
    let answer = servers::answer("200 OK", "", reply.to_string().as_bytes());
    let conduct = Conduct::answering(vec![Piece::Bytes(answer)]);
    let server = Reserved::new().serve(&Arc::new(conduct), Some(behind));
    let mut command = story.command(REFRESH_TOKEN);
    command
        .arg("--deadline=1s")
        .env("WEBEX_API_BASE_URL", server.base_url());
    let told = story.run(&mut command);
    (story, told.code)
}

#[test]
fn no_token_breaks_the_file_that_it_is_written_to() {
    for text in texts() {
        for (access_token, refresh_token) in [(text.as_str(), "plain"), ("plain", &text)] {
            let (story, code) = issued(&json!({
                "access_token": access_token,
                "refresh_token": refresh_token,
                "expires_in": 1_209_599,
            }));
            // Refused by the sandbox, which has issued nothing; or not to be written down at all.
            assert!([74, 75, 77].contains(&code), "{code}");
            assert_eq!(story.exists(".env.rescue.json"), code == 74, "{text:.20}");
            let env = story.env();
            assert!(
                env.starts_with(BEFORE) && env.contains(AFTER),
                "{code} {env:?}"
            );
            let pairs = read(&env);
            assert_eq!(value(&pairs, "FIRST"), Some("1"), "{env:?}");
            assert_eq!(value(&pairs, "LAST"), Some("2"), "{env:?}");
            let known = [
                "FIRST",
                "LAST",
                ACCESS_TOKEN_KEY,
                REFRESH_TOKEN_KEY,
                crate::support::FLAG_KEY,
            ];
            assert!(
                pairs.iter().all(|(name, _)| known.contains(&name.as_str())),
                "{env:?}"
            );
            let shell = Command::new("bash")
                .current_dir(story.folder())
                .args(["-c", ". ./.env && printf %s \"$FIRST$LAST\""])
                .output();
            let shell = shell.expect("bash is installed");
            assert_eq!(String::from_utf8_lossy(&shell.stdout), "12", "{env:?}");
            assert!(!story.exists("owned"), "{env:?}");
        }
    }
}

//! What must hold of everything that reads what others have written, whatever they wrote.
//!
//! Each function takes any bytes and panics if something does not hold: `scripts/fuzz` gives them
//! what libFuzzer makes up, and `cargo test` what proptest does. Neither the programs nor the
//! library have any of this in them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use crate::backoff;
use crate::config::{DotenvLayer, PERSONAL_ACCESS_TOKEN_PATH, Seeds, Setting, Sources, typed};
use crate::consent::Polling;
pub use crate::consent::properties::{redirect_head, redirect_request};
use crate::manager::config_layer;
use crate::masked::{masked_text, masked_url};
pub use crate::sources::jws::properties::jws;
use crate::sources::schedule;
use crate::store::dotenv_text::{self, Edit};
use crate::store::{
    self, ACCESS_TOKEN_KEY, Flag, REAUTHORIZATION_KEY, REFRESH_TOKEN_KEY, StoredTokens,
    config_fingerprints, config_with, dotenv_with, json_text,
};
use crate::token::{AccessToken, Issued, RefreshToken};
pub use crate::webex::judge::properties::token_reply;

/// One of them.
pub type Property = fn(&[u8]);

/// All of them, by the names that their corpora have.
pub const ALL: [(&str, Property); 8] = [
    ("dotenv_edit", dotenv_edit),
    ("jws", jws),
    ("masked", masked),
    ("redirect_head", redirect_head),
    ("redirect_request", redirect_request),
    ("retry_after", retry_after),
    ("token_config", token_config),
    ("token_reply", token_reply),
];

/// The texts in the bytes: what no text has in it stands between them.
fn texts<const N: usize>(data: &[u8]) -> [String; N] {
    let mut parts = data.splitn(N, |&byte| byte == 0xff);
    [(); N].map(|()| String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned())
}

fn issued(access_token: &str, refresh_token: &str) -> Issued {
    Issued {
        access_token: AccessToken::new(access_token),
        expires_in: None,
        refresh_token: (!refresh_token.is_empty()).then(|| RefreshToken::new(refresh_token)),
        refresh_token_expires_in: None,
        issued_at: Timestamp::UNIX_EPOCH,
    }
}

/// Of what Webex's tokens are made, and what every notation carries.
fn is_plain(token: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
    !token.is_empty() && token.chars().all(is_plain)
}

/// Panics unless a `.env` is either left alone or edited so that all readers have the new values,
/// and everything else as before. The bytes hold its text, in which 1 to 3 stand for our keys, an
/// access token or nothing, a refresh token or nothing, and the time of a flag or nothing.
pub fn dotenv_edit(data: &[u8]) {
    let [text, access_token, refresh_token, since] = texts(data);
    let text = text
        .replace('\u{1}', ACCESS_TOKEN_KEY)
        .replace('\u{2}', REFRESH_TOKEN_KEY)
        .replace('\u{3}', REAUTHORIZATION_KEY);
    // What is issued takes the flag down.
    let issued_now = (!access_token.is_empty()).then(|| issued(&access_token, &refresh_token));
    let flag = match &issued_now {
        None if !since.is_empty() => Flag::Up(since.clone()),
        _ => Flag::Down,
    };
    let are_plain = [&access_token, &refresh_token, &since]
        .iter()
        .all(|it| it.is_empty() || is_plain(it));
    let is_editable = || store::check_dotenv(&text).is_ok();
    let edited = match dotenv_with(&text, issued_now.as_ref(), &flag) {
        Ok(edited) => edited,
        Err(error) => {
            // What is judged before anything is spent holds afterwards.
            assert!(!(are_plain && is_editable()), "{text:?}: {error:?}");
            return;
        }
    };
    dotenv_text::properties::assert_edited(&text, &edited, &edits_of(issued_now.as_ref(), &flag));
    let again = dotenv_with(&edited, issued_now.as_ref(), &flag);
    assert_eq!(again.as_ref(), Ok(&edited), "the same edit again");

    if issued_now.is_some() && !refresh_token.is_empty() {
        let stored = StoredTokens::in_text(&edited).expect("it can be read");
        let is_there = |token: &&str| !token.trim().is_empty();
        let found = stored.access_token.as_ref().map(AccessToken::expose);
        assert_eq!(found, Some(&*access_token).filter(is_there));
        let found = stored.refresh_token.as_ref().map(RefreshToken::expose);
        assert_eq!(found, Some(&*refresh_token).filter(is_there));
    }

    let next = issued("next-access_token", "next-refresh_token");
    for (issued, flag) in [
        (Some(&next), Flag::Down),
        (None, Flag::Up("2026-01-01T00:00:00Z".to_owned())),
    ] {
        match dotenv_with(&edited, issued, &flag) {
            Ok(later) => {
                let edits = edits_of(issued, &flag);
                dotenv_text::properties::assert_edited(&edited, &later, &edits);
            }
            // A backtick in a value may close one that was open before.
            Err(error) => assert!(
                !(are_plain && is_editable()),
                "{text:?} cannot be edited again: {error:?}"
            ),
        }
    }
}

fn edits_of<'a>(issued: Option<&'a Issued>, flag: &'a Flag) -> Vec<(&'static str, Edit<'a>)> {
    let access_token = issued.map(|it| (ACCESS_TOKEN_KEY, Edit::Set(it.access_token.expose())));
    let refresh_token = issued.and_then(|it| it.refresh_token.as_ref());
    let refresh_token = refresh_token.map(|it| (REFRESH_TOKEN_KEY, Edit::Set(it.expose())));
    let flag = flag.since().map_or(Edit::Remove, Edit::Set);
    access_token
        .into_iter()
        .chain(refresh_token)
        .chain([(REAUTHORIZATION_KEY, flag)])
        .collect()
}

/// Panics unless a `token-config.json` is either left alone or has the new tokens in it, and
/// everything else as before. The bytes hold its text, in which 1 stands for a secret, an access
/// token, and a refresh token or nothing.
pub fn token_config(data: &[u8]) {
    const CANARY: &str = "c4n4ry-5ecret";
    let [text, access_token, refresh_token] = texts(data);
    let text = text.replace('\u{1}', CANARY);
    let resolved = |text: &str| {
        let layer = config_layer("token-config.json".as_ref(), text);
        let dotenv = DotenvLayer::absent(".env");
        let settings = Sources::default().resolve(&dotenv, &layer, &Seeds::default());
        (settings, layer.spelling())
    };
    let (settings, spelling) = resolved(&text);
    for problem in &settings.problems {
        let shown = format!("{problem} {problem:?}");
        assert!(!shown.contains(CANARY), "{shown}");
    }

    let paths = [PERSONAL_ACCESS_TOKEN_PATH, spelling.refresh_token_path()];
    let issued = issued(&access_token, &refresh_token);
    let edited = match config_with(&text, &issued, paths[0], paths[1]) {
        Ok(edited) => edited,
        Err(error) => {
            assert!(error.line >= 1, "{error:?}");
            assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
            return;
        }
    };
    let again = config_with(&edited, &issued, paths[0], paths[1]);
    assert_eq!(again.as_ref(), Ok(&edited), "the same edit again");
    let paths = &paths[..=usize::from(issued.refresh_token.is_some())];
    json_text::properties::assert_edited(&text, &edited, paths);

    let value = |text: &str| -> serde_json::Value {
        let text = text.trim_start_matches('\u{feff}');
        serde_json::from_str(text).unwrap_or_else(|_| serde_json::json!({}))
    };
    let (mut was, mut is) = (value(&text), value(&edited));
    for (path, token) in paths.iter().zip([&access_token, &refresh_token]) {
        assert_eq!(
            at(&is, path).and_then(serde_json::Value::as_str),
            Some(&**token)
        );
        assert!(json_text::line_of(&edited, path).is_some());
        take(&mut was, path);
        take(&mut is, path);
    }
    assert_eq!(was, is, "other values");
    let found = config_fingerprints(&edited, [paths[0], paths[0]]);
    let expected = access_token.trim();
    let expected = (!expected.is_empty()).then(|| AccessToken::new(expected).fingerprint());
    assert_eq!(found[0], expected);
    if typed(Setting::PersonalAccessToken, &access_token).is_ok_and(|token| token == access_token) {
        let (settings, _) = resolved(&edited);
        let stored = settings.personal_access_token.map(|token| token.value);
        let stored = stored.as_ref().map(AccessToken::expose);
        assert_eq!(stored, Some(access_token.as_str()), "read back");
    }
}

fn at<'a>(root: &'a serde_json::Value, path: &[&str]) -> Option<&'a serde_json::Value> {
    path.iter().try_fold(root, |value, key| value.get(key))
}

/// Takes the value at the path out, and with it each object on the way that holds nothing else.
fn take(root: &mut serde_json::Value, path: &[&str]) {
    let (Some((key, rest)), Some(object)) = (path.split_first(), root.as_object_mut()) else {
        return;
    };
    let Some(inner) = object.get_mut(*key) else {
        return;
    };
    take(inner, rest);
    let is_empty = inner.is_null() || inner.as_object().is_some_and(serde_json::Map::is_empty);
    if rest.is_empty() || is_empty {
        object.remove(*key);
    }
}

/// Panics unless what a header asks for, and every wait that is made of it, can be waited for. The
/// bytes hold numbers, and the header.
pub fn retry_after(data: &[u8]) {
    let Some((&[a, b, c, d, failures, jitter], header)) = data.split_first_chunk() else {
        return;
    };
    let header = String::from_utf8_lossy(header);
    // From 1902 to 2106.
    let now = i64::from(i32::from_be_bytes([a, b, c, d]));
    let now = Timestamp::from_second(now).expect("a date");
    let jitter = f64::from(jitter) / 255.0;
    let asked = backoff::retry_after(&header, now);
    let digits = header.trim();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match asked {
        Some(asked) if is_number => {
            let seconds = digits.trim_start_matches('0');
            let seconds = if seconds.is_empty() { "0" } else { seconds };
            let most = u64::MAX.to_string();
            let is_more = (seconds.len(), seconds) > (most.len(), most.as_str());
            let expected = if is_more { most.as_str() } else { seconds };
            assert_eq!(asked.as_secs().to_string(), expected);
        }
        Some(asked) => {
            // A date that has passed is no wait.
            let until = httpdate::parse_http_date(digits).expect("a date");
            let until = Timestamp::try_from(until).expect("a date");
            let wait = until.duration_since(now).max(SignedDuration::ZERO);
            assert_eq!(SignedDuration::try_from(asked).ok(), Some(wait));
        }
        None => assert!(!is_number, "{header:?}"),
    }
    let between_tries = backoff::between_tries(failures, asked, jitter);
    let least = asked.unwrap_or_default().max(Duration::from_millis(250));
    assert!((least..=least.max(Duration::from_secs(48))).contains(&between_tries));
    let between_climbs = backoff::between_climbs(failures.into(), jitter);
    let (least, most) = (Duration::from_secs(15), Duration::from_mins(23));
    assert!((least..=most).contains(&between_climbs));
    let scheduled = schedule::retry_after(failures.into(), asked, None, now, jitter);
    let (least, most) = (Duration::from_secs(5), Duration::from_hours(24));
    assert!((least..=most).contains(&scheduled));
    let mut polling = Polling::new(asked, asked);
    polling.slow_down(asked);
    assert!((Duration::from_secs(7)..=most + least).contains(&polling.wait()));
    assert!(polling.lasts() <= most);
}

/// Panics if anything that may be secret in a URL is shown. The bytes are a text, in which 1 stands
/// for a secret.
pub fn masked(data: &[u8]) {
    const CANARY: &str = "canary";
    let text = String::from_utf8_lossy(data).replace('\u{1}', CANARY);
    let (shown, shown_in_text) = (masked_url(&text), masked_text(&text));
    let Ok(url) = Url::parse(&text) else {
        return;
    };
    // What is in the path alone may be shown.
    let secret = [
        url.username(),
        url.password().unwrap_or_default(),
        url.query().unwrap_or_default(),
        url.fragment().unwrap_or_default(),
    ];
    // A scheme and a host are shown in lower case, and line ends are no part of a URL.
    let count = |text: &str| {
        let text = text.replace(['\t', '\r', '\n'], "");
        text.to_lowercase().matches(CANARY).count()
    };
    // A host that is not ASCII is shown in letters that did not stand side by side before.
    let has_secret_host = url.host_str().is_some_and(|host| host.contains(CANARY));
    let all_are_secret = secret.into_iter().map(count).sum::<usize>() == count(&text);
    if url.has_authority() && all_are_secret && !has_secret_host {
        for shown in [&*shown, &shown_in_text] {
            assert!(!shown.contains(CANARY), "{text:?} is shown as {shown:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// Some of these, one behind the other.
    fn some(parts: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
        vec(select(parts), 0..=most).prop_map(|parts| parts.concat())
    }

    /// What stands between texts.
    fn joined(texts: &[&str]) -> Vec<u8> {
        let texts: Vec<_> = texts.iter().map(|text| text.as_bytes()).collect();
        texts.join(&0xff)
    }

    fn token() -> impl Strategy<Value = String> {
        // Each is read differently by one reader in one of the notations.
        const CONTRARY: &[&str] = &[
            "a\\\\b",
            "a\\",
            "~a",
            "a:~b",
            "${A}",
            "it's $5",
            "it's `so`",
            "it's a\\nb",
            "a b",
            "a#b",
            "'",
            "\"",
            "it's \"so\"",
            "$(date)",
            "a\nb",
            "",
            " ",
        ];
        prop_oneof![
            3 => "[A-Za-z0-9_-]{1,40}",
            1 => "[!-~]{0,12}",
            1 => "['\"$`{}\\\\#\n\r a~:\u{0}é]{0,6}",
            2 => select(CONTRARY).prop_map(str::to_owned),
        ]
    }

    fn dotenv() -> impl Strategy<Value = String> {
        const LINES: &[&str] = &[
            "A=1",
            "",
            "# \u{1}=x, don't",
            "export B='x y' # c",
            "C=\"\n\u{1}=x\n\"",
            "\u{1}_2=x",
            "D=$(date)",
            "E=${\u{2}}",
            " F = x y",
            "G=<you>",
            "H=a#b",
            "I=é",
            "J=f(x)",
            "K: b",
            "NAME",
            "\u{1}=old # c",
            "\u{1}=",
            "  export \u{1}=\"a\nb\"",
            "\u{2}='old'",
            "\u{3}=2026-01-01T00:00:00Z",
            "export \u{3}='x' # c",
        ];
        const PARTS: &[&str] = &[
            "\u{1}", "\u{1}", "\u{2}", "\u{3}", "export ", "=", "=", "'", "\"", "`", "#", " ",
            "\t", "\\", "\n", "\n", "\r\n", "\r", "$", "${", "}", "$(", ")", "(", "<<", ";", "|",
            "&", "x", "A=1", "B", ":", "+=", "unset ", "if ", "\u{2028}", "\u{feff}", "\u{a0}",
        ];
        let ending = select(&["\n", "\r\n"][..]);
        let lines = (vec(select(LINES), 0..8), ending, any::<bool>());
        let lines = lines.prop_map(|(lines, ending, is_whole)| {
            let text = lines.join("\n") + if is_whole { "\n" } else { "" };
            text.replace('\n', ending)
        });
        prop_oneof![2 => lines, 1 => some(PARTS, 24)]
    }

    fn json() -> impl Strategy<Value = String> {
        const PARTS: &[&str] = &[
            "{",
            "}",
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"a\"",
            "1",
            "null",
            "\"\u{1}\"",
            " ",
            "\n",
            "\"tokenManager\"",
            "\"personalAccessToken\"",
            "\"integration\"",
            "\"refreshToken\"",
            "\"serviceApp\"",
            "\\",
            "\r\n",
            "\u{feff}",
        ];
        const SECTIONS: &[&str] = &[
            "\"serviceApp\": {\"appId\": \"C1\", \"clientSecret\": \"\u{1}\"}",
            "\"tokenManager\": {\"personalAccessToken\": \"\u{1}\"}",
            "\"tokenManager\":{\"integration\":{\"clientId\":\"C1\",\"refreshToken\":\"\u{1}\"}}",
            "\"tokenManager\": null",
            "\n\t\"tokenManager\" : {\n\t\t\"integration\" : {}\n\t}",
            "\"tokenManager\": {\"personalAccessToken\": 1.50e+2, \"\\u0061\": [\"}\\\"\"]}",
            "\"serviceApp\": \"\u{1}\"",
            "\"x\": [1, {\"tokenManager\": 2}]",
        ];
        let sections = (
            vec(select(SECTIONS), 0..4),
            select(&[",", ", ", ",\r\n"][..]),
        );
        let sections = sections.prop_map(|(it, comma)| format!("{{{}}}", it.join(comma)));
        prop_oneof![2 => sections, 1 => some(PARTS, 16)]
    }

    fn header() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{0,24}",
            "(Mon|Fri), [0-3][0-9] (Jan|Feb|Dec) [0-9]{4} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT",
            "[ -~]{0,30}",
        ]
    }

    fn query() -> impl Strategy<Value = String> {
        const PARTS: &[&str] = &[
            "state=\u{1}",
            "state=\u{1}",
            "code=abc",
            "code=a%2Bb",
            "error=access_denied",
            "error=invalid_scope",
            "error_description=no+%60%3Cb%3E\u{1}%00",
            "&",
            "&",
            "?",
            "#",
            "=",
            "%",
            "%00",
            "+",
            " ",
            "\n",
            "http://localhost:8080/callback?",
            "é",
            "client_id=x",
        ];
        prop_oneof![
            some(PARTS, 10),
            vec(select(PARTS), 0..6).prop_map(|parts| parts.join("&")),
        ]
    }

    fn head() -> impl Strategy<Value = Vec<u8>> {
        const PARTS: &[&str] = &[
            "GET ",
            "POST ",
            "/callback",
            "/callback?code=1&state=2",
            "http://localhost:8080",
            " HTTP/1.1\r\n",
            " HTTP/1.0\r\n",
            "Host: localhost:8080\r\n",
            "Host: evil.example\r\n",
            "Host: 127.0.0.1:8080\r\n",
            "Content-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Expect: 100-continue\r\n",
            "Upgrade: h2c\r\n",
            "\r\n",
            "\r\n",
            "abc",
            " ",
            "\0",
            "é",
        ];
        let method = select(&["GET", "GET", "POST", "HEAD", "PUT"][..]);
        let path = select(
            &[
                "/callback",
                "/callback",
                "/callback?code=1&state=2",
                "/",
                "/x",
            ][..],
        );
        let host = select(
            &[
                "localhost:8080",
                "localhost:8080",
                "h.example:8080",
                "localhost",
            ][..],
        );
        let whole = (method, path, host, some(PARTS, 4));
        let whole = whole.prop_map(|(method, path, host, more)| {
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n\r\n")
        });
        prop_oneof![some(PARTS, 12), whole].prop_map(String::into_bytes)
    }

    fn reply() -> impl Strategy<Value = Vec<u8>> {
        const FIELDS: &[&str] = &[
            "\"access_token\": \"NGFkYzQ1ZTAt\"",
            "\"access_token\": \"\\u0000a\"",
            "\"access_token\": \"\u{1}\"",
            "\"refresh_token\": \"\u{2}\"",
            "\"refresh_token\": \"a b\"",
            "\"expires_in\": 1209599",
            "\"expires_in\": -1",
            "\"expires_in\": \"9223372036854775807\"",
            "\"refresh_token_expires_in\": 1e300",
            "\"scope\": \"a b\"",
            "\"error\": \"invalid_grant\"",
            "\"error\": \"slow_down\"",
            "\"error_description\": \"the refresh token \u{2} is not valid\"",
            "\"message\": \"see https://u:\u{3}@h.example/?\u{1}\"",
            "\"message\": \"\\u001b[2J\u{3}\"",
            "\"trackingId\": \"ROUTER_1\"",
            "\"trackingId\": \"\u{1}\"",
            "\"errors\": [{\"description\": \"client_secret \u{1}\"}]",
            "\"device_code\": \"\u{3}\", \"user_code\": \"1\\n2\"",
            "\"verification_uri\": \"https://h.example/\u{1}\"",
            "\"exp\": 1",
        ];
        let status = prop_oneof![
            3 => Just(200_u16),
            1 => select(&[204_u16, 302, 400, 401, 403, 404, 407, 423, 429, 500, 503][..]),
            1 => 0..600_u16,
        ];
        let body = prop_oneof![
            4 => vec(select(FIELDS), 0..6).prop_map(|fields| format!("{{{}}}", fields.join(","))),
            1 => some(&["{", "}", "[", "\"error\"", ":", "1.", "\u{1}", "\u{3}", "<html>"], 8),
        ];
        let tracking = select(&["", "", "ROUTER_2", "\u{1}", "a b"][..]);
        let location = select(&["", "", "h.example", "\u{2}"][..]);
        let fields = (
            any::<u8>(),
            status,
            any::<u8>(),
            tracking,
            header(),
            location,
            body,
        );
        fields.prop_map(
            |(question, status, whole, tracking, retry, location, body)| {
                let [high, low] = status.to_be_bytes();
                let texts = joined(&[tracking, &retry, location, &body]);
                [vec![question, high, low, whole], texts].concat()
            },
        )
    }

    fn url_text() -> impl Strategy<Value = String> {
        const PARTS: &[&str] = &[
            "https://",
            "wss://",
            "http:",
            "x-y://",
            "//",
            "user:",
            "\u{1}",
            "\u{1}@",
            "@",
            "h.example",
            ":8443",
            ":x",
            "/",
            "/a",
            "?",
            "#",
            "=",
            " ",
            "%40",
            "\\",
            "[::1]",
            "é",
        ];
        some(PARTS, 10)
    }

    fn config() -> ProptestConfig {
        ProptestConfig {
            cases: 1000,
            failure_persistence: None,
            ..ProptestConfig::default()
        }
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn an_edit_of_dotenv_is_read_by_all_and_changes_nothing_else(
            text in dotenv(), access in token(), refresh in token(), since in "(2026-01-01T00:00:00Z)?"
        ) {
            dotenv_edit(&joined(&[&text, &access, &refresh, &since]));
        }

        #[test]
        fn an_edit_of_token_config_is_read_back_and_changes_nothing_else(
            text in json(), access in token(), refresh in token()
        ) {
            token_config(&joined(&[&text, &access, &refresh]));
        }

        #[test]
        fn a_token_reply_yields_sound_tokens_and_repeats_no_secret(reply in reply()) {
            token_reply(&reply);
        }

        #[test]
        fn what_retry_after_asks_for_can_be_waited_for(numbers: [u8; 6], header in header()) {
            retry_after(&[numbers.as_slice(), header.as_bytes()].concat());
        }

        #[test]
        fn an_answer_is_believed_with_its_state_alone(query in query()) {
            redirect_request(query.as_bytes());
        }

        #[test]
        fn the_listener_answers_anything_and_hands_on_what_is_meant_for_it(head in head()) {
            redirect_head(&head);
        }

        #[test]
        fn only_what_was_signed_is_verified(kind in 0..4_u8, at: u16, length in 0..4_u8, with in "[A-Za-z0-9_.=-]{0,4}|[{}\":a-z0-9,]{0,20}") {
            let [high, low] = at.to_be_bytes();
            jws(&[&[kind, high, low, length], with.as_bytes()].concat());
        }

        #[test]
        fn no_secret_of_a_url_is_shown(text in url_text()) {
            masked(text.as_bytes());
        }
    }

    /// What the fuzzers start with, and what they have found.
    #[test]
    fn the_seeds_hold() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        for (name, property) in ALL {
            let seeds = fs::read_dir(seeds.join(name)).expect("seeds");
            let mut count = 0;
            for seed in seeds {
                property(&fs::read(seed.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no seeds");
        }
    }
}

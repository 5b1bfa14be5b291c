//! The example that a newcomer runs first, from their side.

#![cfg(unix)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::Story;
use support::pty::Pty;

/// The example as cargo has built it: it builds examples along with the tests.
fn path() -> PathBuf {
    let binaries = Path::new(env!("CARGO_BIN_EXE_refresh_token")).parent();
    binaries.expect("a folder").join("examples/sandbox")
}

fn example(arguments: &[&str]) -> Output {
    let path = path();
    let output = Command::new(&path).args(arguments).output();
    output.unwrap_or_else(|error| panic!("build the examples first: {}: {error}", path.display()))
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text")
}

#[test]
fn the_story_climbs_every_rung_and_falls_off_the_last() {
    let output = example(&[]);

    let told = stdout(&output);
    assert!(output.status.success(), "{told}");
    let mut rest = told;
    for beat in [
        "valid: ",
        "from the service-app refresh token",
        "from the personal access token",
        "renewable: ",
        "[exit code 1]",
        "from the integration refresh token",
        "[exit code 77]",
        "WEBEX_REAUTHORIZATION_REQUIRED=",
        "from the personal access token",
        "[exit code 0]",
        "[Webex saw no request]",
        "expired 3 hours ago",
        "done: 5 extended, 1 disabled, 2 not due",
        "[exit code 0]",
        "24 hours left",
    ] {
        let Some(at) = rest.find(beat) else {
            panic!("{beat:?} does not come next in:\n{told}");
        };
        rest = &rest[at + beat.len()..];
    }
    let complaint = std::str::from_utf8(&output.stderr).expect("text");
    assert!(complaint.starts_with("error: "), "{complaint}");
    assert!(!complaint.contains("warning"), "{complaint}");
}

#[test]
fn what_the_narrator_says_fits_a_narrow_terminal() {
    let output = example(&[]);

    let mut by_a_program = false;
    let mut lines = 0;
    for line in stdout(&output).lines() {
        if line.starts_with("[exit code ") {
            by_a_program = false;
        }
        if !by_a_program {
            lines += 1;
            assert!(line.len() <= 60, "{line}");
        }
        if line.starts_with("$ ") && line != "$ cat .env" {
            by_a_program = true;
        }
    }
    assert!(lines > 50, "{lines} lines");
}

#[test]
fn the_first_day_begins_with_what_the_portal_would_show() {
    let output = example(&["setup_oauth"]);

    let told = stdout(&output);
    assert_eq!(
        output.status.code(),
        Some(78),
        "nobody is there to be asked"
    );
    for shown in [
        "The service app\n  Client ID\n    C",
        "  Client secret\n    ",
        "  Organization ID, in Control Hub\n    Y2lz",
        "The integration\n  Redirect URI\n    http://localhost:3000/callback\n  Client ID\n    C",
        "  Personal access token\n    ",
        "any will do",
        "secrets of a throw-away sandbox",
    ] {
        assert!(
            collapsed(told).contains(&collapsed(shown)),
            "{shown}: {told}"
        );
    }
    let is_a_value = |line: &str| line.starts_with("    ");
    for line in told.lines().filter(|line| !is_a_value(line)) {
        assert!(line.len() <= 60, "{line}");
    }
    let complaint = std::str::from_utf8(&output.stderr).expect("text");
    for flag in ["--client-id", "--integration-client-secret-file"] {
        assert!(complaint.contains(flag), "{complaint}");
    }
}

/// The words, wherever their lines were broken.
fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_newcomer_can_live_through_the_first_day() {
    // An answer that is pasted needs no port of this machine.
    let redirect_uri = "https://example.com/callback";
    let mut command = Command::new(path());
    command.args([
        "setup_oauth",
        "--no-browser",
        "--redirect-uri",
        redirect_uri,
    ]);
    command.env("TERM", "dumb");
    let mut pty = Pty::start_sized(&mut command, 60, 200);

    pty.expect("Client ID of the service app: ");
    let screen = pty.screen();
    let (portal, _) = screen.split_once("The wizard begins below").expect("both");
    let values: Vec<_> = portal
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    let [
        client_id,
        secret,
        organization,
        uri,
        integration,
        its_secret,
        ..,
    ] = values[..]
    else {
        panic!("{portal}");
    };
    assert_eq!(uri, redirect_uri);
    pty.line(client_id)
        .expect("Client secret of the service app: ")
        .secret_line(secret)
        .expect("Organization ID: ")
        .expect_echo(true)
        .line(organization)
        .expect("Number [1]: ")
        .line("1")
        .expect("Client ID of the integration: ")
        .line(integration)
        .expect("Client secret of the integration: ")
        .secret_line(its_secret)
        .expect("left).")
        .expect_echo(false);

    let screen = pty.screen();
    let url = screen.lines().find(|line| line.contains("/authorize?"));
    pty.line(&consent(url.expect("the address to open")));
    let told = pty.finish(&Story::new());
    told.exits(0)
        .says("ready: ")
        .says("JOB_NAME=nightly")
        .says("WEBEX_SERVICE_APP_ACCESS_TOKEN=...");
}

/// Does what a browser and its user do; where they end up.
fn consent(url: &str) -> String {
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("an address of the sandbox");
    let page = ask(host, "GET", &format!("/{path}"), "");
    let request = between(&page, "name=\"request\" value=\"", "\"");
    let form = format!("request={request}&decision=allow");
    ask(host, "POST", "/v1/authorize/sign-in", &form);
    let answer = ask(host, "POST", "/v1/authorize/decision", &form);
    between(&answer, "\nlocation: ", "\r").to_owned()
}

fn ask(host: &str, method: &str, path: &str, form: &str) -> String {
    let mut stream = TcpStream::connect(host).expect("the sandbox serves");
    let length = form.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    )
    .expect("the sandbox takes it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[track_caller]
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{text}"));
    rest.split(after).next().unwrap_or_default()
}

#[test]
fn what_follows_setup_oauth_is_for_the_wizard() {
    let asked = example(&["setup_oauth", "--device", "--json"]);
    assert_eq!(asked.status.code(), Some(78));
    let json: serde_json::Value =
        serde_json::from_slice(&asked.stdout).expect("nothing but one document");
    assert_eq!(json["outcome"], "misconfigured");
    let aside = std::str::from_utf8(&asked.stderr).expect("text");
    assert!(aside.contains("The service app\n"), "{aside}");

    let uri = "http://localhost:6001/redirect";
    let registered = example(&["setup_oauth", "--redirect-uri", uri]);
    assert!(stdout(&registered).contains(uri));

    let help = example(&["setup_oauth", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(stdout(&help).starts_with("Sets up the ladder"));
}

#[test]
fn one_command_answers_alone_and_its_exit_code_is_the_examples() {
    let valid = example(&["refresh_token", "--json"]);
    assert_eq!(valid.status.code(), Some(0));
    let json: serde_json::Value =
        serde_json::from_slice(&valid.stdout).expect("nothing but one document");
    assert_eq!(json["outcome"], "valid");

    let forced = example(&["refresh_token", "--force", "--json"]);
    assert!(stdout(&forced).contains(r#""refreshed""#));

    let status = example(&["check_token"]);
    assert_eq!(status.status.code(), Some(0));
    assert!(stdout(&status).starts_with("valid: "));

    for wrong in [
        &["refresh_token", "--no-such-flag"][..],
        &["data-sources", "--no-such-flag"],
        &["setup_oauth", "--no-such-flag"],
        &["no_such_program"],
    ] {
        assert_eq!(example(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

/// A command of `data-sources` with `--json`, and what it answers.
fn data_sources(arguments: &[&str]) -> serde_json::Value {
    let output = example(&[&["data-sources", "--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("nothing but one document")
}

#[test]
fn the_data_sources_show_every_state_and_do_not_change_their_ids() {
    let listed = data_sources(&["list"]);
    let of_all = |name: &str| -> Vec<String> {
        let sources = listed["dataSources"].as_array().expect("a list");
        let told = sources.iter().map(|source| source[name].as_str());
        told.map(|text| text.unwrap_or_default().to_owned())
            .collect()
    };
    let urgencies = of_all("urgency");
    for urgency in ["expired", "ending", "due", "fine", "disabled"] {
        assert!(urgencies.contains(&urgency.to_owned()), "{urgencies:?}");
    }
    assert_eq!(urgencies.len(), 8);
    assert!(of_all("url").iter().any(|url| url.starts_with("wss://")));
    let messages = of_all("errorMessage");
    assert!(messages.iter().any(|message| message.contains("receiver")));
    assert!(of_all("serviceName").iter().all(|name| !name.is_empty()));

    // A next run is another sandbox, and knows them by the same names.
    let extended = data_sources(&["extend", "3b1f"]);
    assert_eq!(extended["extended"], 1);
    let all = data_sources(&["extend", "--all"]);
    assert_eq!(all["extended"], 5);
    assert_eq!(all["failed"], 0);
}

#[test]
fn what_the_help_gives_as_an_example_works_in_the_sandbox() {
    let help = example(&["data-sources", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    let examples = stdout(&help).split("Examples:\n").nth(1).expect("examples");
    let commands = examples
        .lines()
        .filter_map(|line| line.trim().strip_prefix("data-sources "));
    let mut ran = 0;
    // This one stays until it is told to stop.
    for command in commands.filter(|command| *command != "watch") {
        let arguments: Vec<_> = ["data-sources"]
            .into_iter()
            .chain(command.split(' '))
            .collect();
        let output = example(&arguments);
        assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
        ran += 1;
    }
    assert!(ran >= 3, "{ran} examples");
}

//! What people and programs read, as snapshots: a changed one is a reviewed change to the product.
//!
//! Times, ports, paths and process ids are redacted; everything else is a promise.

#![cfg(unix)]

mod support;

use std::fs::{self, File};
use std::process::Command;

use serde_json::json;
use webex_sandbox::{Endpoint, Fault};

use support::{ACCESS_TOKEN_KEY, CHECK_TOKEN, REFRESH_TOKEN, Story, Told};

/// What differs from run to run, and what stands for it.
const FILTERS: [(&str, &str); 11] = [
    (r"/\S*/\.tmp[A-Za-z0-9]+", "[FOLDER]"),
    (r"127\.0\.0\.1:\d+", "[HOST]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "[DATE]"),
    (
        r"\b(in|\() ?\d+ (days|hours|minutes|seconds?)\b",
        "$1 [SPAN]",
    ),
    (r"\b\d+ (days|hours|minutes|seconds?) ago", "[SPAN] ago"),
    (r"(?:ROUTER|ROUTERGW)_[0-9a-f-]{36}", "[TRACKING ID]"),
    (r#""elapsedMs": \d+"#, r#""elapsedMs": "[MS]""#),
    (r#""expiresIn": \d+"#, r#""expiresIn": "[SECONDS]""#),
    (r"elapsed_ms=\d+", "elapsed_ms=[MS]"),
    (r"process \d+", "process [PID]"),
];

macro_rules! assert_told {
    ($name:literal, $told:expr) => {
        let told = &$told;
        insta::with_settings!({ filters => FILTERS, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!($name, shown(told));
        });
    };
}

fn shown(told: &Told) -> String {
    let Told {
        code,
        stdout,
        stderr,
    } = told;
    format!("exit code {code}\n--- stdout\n{stdout}--- stderr\n{stderr}")
}

/// An expired pair, known to be expired: a climb starts without a look.
fn climbing() -> Story {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.configured().stored("", &tokens.refresh_token);
    story
}

/// A token that works, and dates that are known.
fn refreshed() -> Story {
    let story = climbing();
    story.refresh_token(&["-q"]).exits(0);
    story
}

/// Nothing that Webex accepts: each rung is tried and refused.
fn dead() -> Story {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    let pat = story.sandbox.issue_personal_access_token();
    let integration = story.sandbox.issue_integration_tokens();
    story
        .configured_with(Some(&pat), Some(&integration.refresh_token))
        .stored(&tokens.access_token, &tokens.refresh_token);
    for token in [&tokens.access_token, &pat, &integration.refresh_token] {
        story.sandbox.revoke_grant(token);
    }
    story
}

/// Answers that no try can cure before the deadline, so that none waits.
fn unavailable() -> Fault {
    Fault::status(503).header("Retry-After", "600")
}

/// Runs a program in the story's folder as it is on a disk that is read-only.
fn read_only(story: &Story, program: &str, arguments: &[&str]) -> Told {
    let inside = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && cd \"$1\" && \
                  shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["-m", "--map-root-user", "sh", "-c", inside, "sh"])
        .arg(story.folder())
        .arg(program)
        .args(arguments)
        .env("WEBEX_API_BASE_URL", story.sandbox.base_url());
    story.run(&mut command)
}

#[test]
fn help() {
    let story = Story::new();
    assert_told!("refresh_token_help", story.refresh_token(&["--help"]));
    assert_told!("refresh_token_short_help", story.refresh_token(&["-h"]));
    assert_told!("check_token_help", story.check_token(&["--help"]));
    assert_told!("check_token_short_help", story.check_token(&["-h"]));
}

#[test]
fn a_wrong_command_line() {
    let story = Story::new();
    assert_told!(
        "usage",
        story.refresh_token(&["--min-validity", "2 fortnights"])
    );
    assert_told!(
        "usage_conflict",
        story.refresh_token(&["--print-token", "--json"])
    );
}

#[test]
fn valid() {
    let story = refreshed();
    assert_told!("valid", story.refresh_token(&[]));
    assert_told!("valid_json", story.refresh_token(&["--json"]));
    assert_told!("check_valid", story.check_token(&[]));
    assert_told!("check_valid_json", story.check_token(&["--json"]));
}

#[test]
fn refreshed_with_a_warning() {
    assert_told!("refreshed", climbing().refresh_token(&[]));
    assert_told!("refreshed_json", climbing().refresh_token(&["--json"]));
    let told = climbing().refresh_token(&["--min-validity", "400d"]);
    assert_told!("refreshed_too_short", told);
}

#[test]
fn kept() {
    let story = refreshed();
    story
        .sandbox
        .script_always(Endpoint::ServiceAppRefresh, unavailable());
    assert_told!("kept", story.refresh_token(&["--force"]));
    assert_told!("kept_json", story.refresh_token(&["--force", "--json"]));
}

#[test]
fn passing_trouble() {
    let story = refreshed();
    story.sandbox.script_always(Endpoint::Any, unavailable());
    assert_told!("unavailable", story.refresh_token(&[]));
    assert_told!("unavailable_json", story.refresh_token(&["--json"]));
    assert_told!("check_unavailable", story.check_token(&[]));
    assert_told!("check_unavailable_json", story.check_token(&["--json"]));
}

#[test]
fn the_token_limit() {
    let story = climbing();
    story.sandbox.set_policy(|policy| policy.token_limit = 0);
    assert_told!("token_limit", story.refresh_token(&[]));
}

#[test]
fn another_run_at_work() {
    let story = refreshed();
    let gate = story.sandbox.gate(Endpoint::ServiceAppRefresh);
    let holder = story.start(story.command(REFRESH_TOKEN).args(["--force", "-q"]));
    gate.wait_for_request();
    let told = story.refresh_token(&["--force", "--lock-timeout", "0s"]);
    assert_told!("locked", told);
    drop(gate);
    story.finish(holder).exits(0);
}

#[test]
fn a_human_is_needed() {
    let story = dead();
    assert_told!("reauthorize", story.refresh_token(&[]));
    assert_told!("reauthorize_json", story.refresh_token(&["--json"]));
    assert_told!("check_reauthorize", story.check_token(&[]));
    assert_told!("check_reauthorize_json", story.check_token(&["--json"]));

    let story = climbing();
    story.sandbox.revoke_grant(&story.refresh_token_in_env());
    assert_told!("reauthorize_without_integration", story.refresh_token(&[]));
}

#[test]
fn renewable() {
    let story = refreshed();
    story.sandbox.revoke(&story.access_token());
    assert_told!("check_renewable", story.check_token(&[]));
    assert_told!("check_renewable_json", story.check_token(&["--json"]));
}

#[test]
fn settings_that_do_not_serve() {
    let story = climbing();
    story.write_config(&json!({
        "serviceApp": { "clientId": "", "clientSecret": "<client secret>" },
        "tokenManager": { "personalAccessToken": 7 },
    }));
    assert_told!("misconfigured", story.refresh_token(&[]));
    assert_told!("misconfigured_json", story.refresh_token(&["--json"]));
    assert_told!("check_misconfigured_json", {
        let env = story.env() + ACCESS_TOKEN_KEY + "=dead\n";
        story.write_env(env);
        story.check_token(&["--json"])
    });
    assert_told!("check_misconfigured", story.check_token(&[]));

    story.write("token-config.json", "{ \"serviceApp\": {,\n");
    assert_told!("not_json", story.refresh_token(&[]));
    fs::remove_file(story.path("token-config.json")).expect("a file is removed");
    assert_told!("no_configuration", story.refresh_token(&[]));
    story.write_env("OTHER=\"never closed\n");
    assert_told!("unclosed_quote", story.refresh_token(&[]));
    story.write_env("");
    assert_told!(
        "http_to_another_host",
        story.refresh_token(&["--api-base-url", "http://webexapis.com/v1"])
    );
}

#[test]
fn a_client_that_webex_does_not_know() {
    let story = climbing();
    let _ = story.sandbox.regenerate_client_secret();
    assert_told!("bad_client", story.refresh_token(&[]));
}

#[test]
fn a_mint_that_webex_does_not_allow() {
    let story = Story::new();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);
    story.sandbox.deauthorize_service_app();
    assert_told!("mint_forbidden", story.refresh_token(&[]));

    let story = Story::new();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);
    let _ = story.sandbox.regenerate_client_secret();
    assert_told!("mint_misconfigured", story.refresh_token(&[]));
}

#[test]
fn a_token_that_may_not_list_data_sources() {
    let story = refreshed();
    let fault = Fault::status(403).error("", "Access denied");
    story.sandbox.script_always(Endpoint::DataSources, fault);
    assert_told!("forbidden", story.refresh_token(&[]));
    assert_told!("check_forbidden", story.check_token(&[]));
}

#[test]
fn tokens_that_webex_issues_and_refuses() {
    let story = Story::new();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);
    story
        .sandbox
        .script_always(Endpoint::Mint, Fault::issued_but_refused());
    assert_told!("mint_refused", story.refresh_token(&[]));
}

#[test]
fn a_file_that_cannot_be_saved() {
    let story = climbing();
    let told = read_only(&story, REFRESH_TOKEN, &[]);
    assert_told!("not_saved", told);
    assert_told!(
        "not_saved_json",
        read_only(&story, REFRESH_TOKEN, &["--json"])
    );
}

#[test]
fn a_file_that_cannot_be_read() {
    let story = Story::new();
    story.configured();
    fs::create_dir(story.path(".env")).expect("a folder is made");
    assert_told!("unreadable", story.refresh_token(&[]));
    assert_told!("unreadable_json", story.refresh_token(&["--json"]));
    assert_told!("check_unreadable", story.check_token(&[]));
    assert_told!("check_unreadable_json", story.check_token(&["--json"]));
    assert_told!(
        "missing_folder",
        story.refresh_token(&["--env-file", "nowhere/.env"])
    );
}

#[test]
fn plan() {
    let story = refreshed();
    assert_told!("plan", story.refresh_token(&["--plan"]));
    assert_told!("plan_json", story.refresh_token(&["--plan", "--json"]));
}

#[test]
fn offline() {
    let story = refreshed();
    assert_told!("check_offline", story.check_token(&["--offline"]));
    fs::remove_file(story.path(".env.state.json")).expect("a file is removed");
    assert_told!("check_offline_unknown", story.check_token(&["--offline"]));
}

#[test]
fn what_is_being_done() {
    assert_told!("verbose", climbing().refresh_token(&["-v"]));
}

#[test]
fn quiet_says_nothing_but_errors() {
    let story = refreshed();
    assert_told!("quiet", story.refresh_token(&["--quiet"]));
    assert_told!("check_quiet", story.check_token(&["--quiet"]));
    let story = dead();
    assert_told!("quiet_reauthorize", story.refresh_token(&["-q"]));
    assert_told!("check_quiet_reauthorize", story.check_token(&["-q"]));
}

#[test]
fn colors_repeat_what_the_words_say() {
    let story = refreshed();
    let pairs = [
        (REFRESH_TOKEN, &[][..]),
        (REFRESH_TOKEN, &["--plan"]),
        (REFRESH_TOKEN, &["--min-validity", "400d"]),
        (REFRESH_TOKEN, &["--env-file", "nowhere/.env"]),
        (CHECK_TOKEN, &[]),
    ];
    for (program, arguments) in pairs {
        let run = |color: &[&str]| {
            let told = story.run(story.command(program).args(arguments).args(color));
            told.stdout + &told.stderr
        };
        let plain = run(&[]);
        assert!(!plain.contains('\x1b'), "color in a pipe: {plain}");
        assert!(!run(&["--color", "never"]).contains('\x1b'));
        let colored = run(&["--color", "always"]);
        assert!(colored.contains('\x1b'), "no color: {colored}");
        assert!(!run(&["--color", "auto"]).contains('\x1b'));
    }
    assert_told!("colored", story.check_token(&["--color", "always"]));
    let told = story.check_token(&["--json", "--color", "always"]);
    assert!(!told.stdout.contains('\x1b'), "a document has no color");
}

#[test]
fn no_color_is_for_the_terminal_and_a_flag_goes_first() {
    let story = refreshed();
    let mut command = story.command(REFRESH_TOKEN);
    let told = story.run(command.args(["--color", "always"]).env("NO_COLOR", "1"));
    assert!(told.stdout.contains('\x1b'), "{}", told.stdout);
}

#[test]
fn the_answer_is_on_stdout_and_the_conversation_on_stderr() {
    let told = refreshed().refresh_token(&["-vv"]);
    assert_eq!(told.stdout.lines().count(), 1, "{}", told.stdout);
    assert!(told.stderr.contains("DEBUG"), "{}", told.stderr);

    let told = dead().refresh_token(&[]);
    assert_eq!(told.stdout, "", "a failure is no answer");
    let told = dead().refresh_token(&["--json"]);
    assert_eq!(told.stderr, "", "with --json it is");
    assert_eq!(told.json()["outcome"], "reauthorization_required");
}

#[test]
fn print_token_prints_the_token_and_a_newline() {
    let story = climbing();
    let told = story.refresh_token(&["--print-token"]);
    told.exits(0);
    assert_eq!(told.stdout, format!("{}\n", story.access_token()));
    let told = story.refresh_token(&["--print-token", "-q"]);
    assert_eq!(told.stdout, format!("{}\n", story.access_token()));
    assert_eq!(told.stderr, "");

    let told = dead().refresh_token(&["--print-token"]);
    told.exits(77);
    assert_eq!(told.stdout, "");
}

#[test]
fn an_answer_that_nobody_reads_is_no_failure_but_one_that_cannot_be_written_is() {
    let story = refreshed();
    let mut command = story.command(REFRESH_TOKEN);
    let full = File::options().write(true).open("/dev/full");
    let status = command
        .stdout(full.expect("a device that is full"))
        .stderr(std::process::Stdio::null())
        .status();
    assert_eq!(status.expect("the program runs").code(), Some(74));
}

//! `setup_oauth` where nobody is at a terminal: nothing is asked, every value comes from elsewhere,
//! and only the device grant waits for a person.
//!
//! Nothing here measures time: where the pace of the polls matters, the sandbox judges it.

#![cfg(unix)]

#[path = "support/folder.rs"]
mod folder;
mod support;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use webex_sandbox::{Endpoint, Fault, Policy, Position, Refusal, Sandbox};

use folder::everything_in;
use support::device::Waiting;
use support::disk::{self, Namespace};
use support::{ACCESS_TOKEN_KEY, Hand, Is, SETUP_OAUTH, Story, Told};

/// What differs from run to run, and what stands for it.
const FILTERS: [(&str, &str); 9] = [
    (r"127\.0\.0\.1:\d+", "[HOST]"),
    (r"userCode=[0-9a-f]+", "userCode=[LINK CODE]"),
    (r"(?m)^  \d{6}$", "  [USER CODE]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "[DATE]"),
    (r"\bin \d+ (days|hours|minutes)\b", "in [SPAN]"),
    (r"(?:ROUTER|ROUTERGW)_[0-9a-f-]{36}", "[TRACKING ID]"),
    (r#""elapsedMs": \d+"#, r#""elapsedMs": "[MS]""#),
    (r"\(\d:\d\d left\)", "([LEFT] left)"),
];

macro_rules! assert_told {
    ($name:literal, $story:expr, $told:expr) => {
        let told = shown($story, &$told);
        insta::with_settings!({ filters => FILTERS, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(concat!("unattended_", $name), told);
        });
    };
}

/// What a run has told, without its log and with names for where it ran.
fn shown(story: &Story, told: &Told) -> String {
    let log = |line: &&str| !line.contains(" DEBUG ");
    let stderr: Vec<_> = told.stderr.lines().filter(log).collect();
    let text = format!(
        "exit code {}\n--- stdout\n{}--- stderr\n{}\n",
        told.code,
        told.stdout,
        stderr.join("\n")
    );
    let programs = SETUP_OAUTH.strip_suffix("setup_oauth").expect("its name");
    text.replace(&*story.folder().to_string_lossy(), "[FOLDER]")
        .replace(programs, "[PROGRAMS]/")
}

/// The status of every poll, in order.
fn polls(story: &Story) -> Vec<Option<u16>> {
    let requests = story.sandbox.requests().into_iter();
    let polls = requests.filter(|request| request.path == "/v1/device/token");
    polls.map(|request| request.status).collect()
}

/// Everything that the command line can give, the secrets in files.
fn values(story: &Story) -> Vec<String> {
    let tenant = story.tenant();
    story
        .write("app-secret", tenant.client_secret + "\r\n")
        .write("integration-secret", tenant.integration_client_secret);
    [
        "--client-id",
        &tenant.client_id,
        "--client-secret-file",
        "app-secret",
        "--target-org-id",
        &tenant.target_org_id,
        "--integration-client-id",
        &tenant.integration_client_id,
        "--integration-client-secret-file",
        "integration-secret",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn with<'a>(arguments: &[&'a str], values: &'a [String]) -> Vec<&'a str> {
    let values = values.iter().map(String::as_str);
    arguments.iter().copied().chain(values).collect()
}

/// A token that works, and everything to make another.
fn ready() -> Story {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    let integration = story.sandbox.issue_integration_tokens().refresh_token;
    story
        .configured_with(None, Some(&integration))
        .stored(&tokens.access_token, &tokens.refresh_token);
    for file in [".env", "token-config.json"] {
        disk::set_mode(&story.path(file), 0o600);
    }
    story
}

/// A story that lacks nothing but a person's consent.
fn to_be_authorized() -> Story {
    let story = Story::new();
    story.to_be_authorized();
    story
}

// What is missing.

#[test]
fn what_is_missing_is_told_at_once_and_nothing_is_done() {
    let story = Story::new();
    let before = everything_in(story.folder());
    let told = story.setup_oauth(&[]);
    assert_told!("nothing", &story, told);
    let all = story.setup_oauth(&["--json", "--device"]);
    assert_told!("nothing_json", &story, all);
    for manner in ["--browser", "--no-browser", "--device", "--reauthorize"] {
        assert_eq!(story.setup_oauth(&[manner]).stderr, told.stderr, "{manner}");
    }
    assert_eq!(everything_in(story.folder()), before);
    assert!(story.requests().is_empty());
}

#[test]
fn what_is_given_is_not_told_as_missing_and_not_written_before_all_is_there() {
    let story = Story::new();
    let tenant = story.tenant();
    story
        .write("integration-secret", &tenant.integration_client_secret)
        .write_env(format!("WEBEX_TARGET_ORG_ID={}\n", tenant.target_org_id))
        .write_config(&json!({ "serviceApp": { "clientId": tenant.client_id } }));
    let before = everything_in(story.folder());
    let arguments = ["--integration-client-secret-file", "integration-secret"];
    let told = story.setup_oauth(&arguments);
    assert_told!("half", &story, told);
    assert_eq!(everything_in(story.folder()), before);
    assert!(story.requests().is_empty());
}

#[test]
fn a_wrong_value_is_told_beside_what_is_missing() {
    let organization =
        "Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi8xZWI2NWZkZi05NjQzLTQxN2YtOTk3NC1hZDcyY2FlMGUxMGY";
    let table: [(&[&str], &str); 7] = [
        (
            &["--client-id", organization],
            "command line: --client-id: this is the id of a Webex organization",
        ),
        (
            &["--client-id", "your-client-id"],
            "command line: --client-id: still the template's placeholder",
        ),
        (
            &[
                "--target-org-id",
                "Y2lzY29zcGFyazovL3VzL0FQUExJQ0FUSU9OL0MxMjM0NTY3ODkw",
            ],
            "command line: --target-org-id: this is the id of a Webex application",
        ),
        (
            &["--integration-client-id", "two words"],
            "command line: --integration-client-id: has a space",
        ),
        (
            &["--redirect-uri", "http://example.com/callback"],
            "command line: --redirect-uri: plain http",
        ),
        (&["--client-id", ""], "command line: --client-id: empty"),
        (
            // The second is another application's, encoded.
            &[
                "--app-id",
                "Y2lzY29zcGFyazovL3VzL0FQUExJQ0FUSU9OL0MxMjM0NTY3ODkw",
                "--client-id",
                "Y2lzY29zcGFyazovL3VzL0FQUExJQ0FUSU9OL0M5ODc2NTQzMjEw",
            ],
            "command line: --app-id: the id of another application",
        ),
    ];
    let story = Story::new();
    let before = everything_in(story.folder());
    for (arguments, problem) in table {
        let told = story.setup_oauth(arguments);
        told.exits(78).says(problem);
        for flag in [
            "--client-id",
            "--client-secret-file",
            "--target-org-id",
            "--integration-client-id",
            "--integration-client-secret-file",
        ] {
            let is_missing = told.stderr.contains(&format!("missing; give {flag},"));
            assert_eq!(
                is_missing,
                !arguments.contains(&flag),
                "{flag}: {}",
                told.stderr
            );
        }
    }
    assert_eq!(everything_in(story.folder()), before);
    assert!(story.requests().is_empty());
}

#[test]
fn a_placeholder_is_told_by_its_line() {
    let story = Story::new();
    story.write_config(&json!({
        "serviceApp": { "clientId": "", "clientSecret": "your-client-secret" },
        "tokenManager": {
            "personalAccessToken": "your-personal-access-token",
            "integration": { "clientId": "your-client-id", "clientSecret": 7 },
        },
    }));
    let before = everything_in(story.folder());
    let told = story.setup_oauth(&["--device"]);
    assert_told!("placeholders", &story, told);
    assert_eq!(everything_in(story.folder()), before);
}

#[test]
fn the_app_id_answers_for_the_client_id() {
    let story = Story::new();
    let mut values = values(&story);
    values[0] = "--app-id".to_owned();
    values[1] = story.tenant().app_id;
    story.setup_oauth(&with(&[], &values)).exits(77);
    let config = story.config();
    assert_eq!(config["serviceApp"]["appId"], story.tenant().app_id);
    assert_eq!(config["serviceApp"]["clientId"], story.tenant().client_id);
}

// Where the values come from.

#[test]
fn the_first_day_without_a_question() {
    let story = Story::new();
    let values = values(&story);
    let told = story.allowed(&with(&[], &values));
    assert_told!("first_day", &story, told);
    let tenant = story.tenant();
    let config = story.config();
    assert_eq!(config["serviceApp"]["clientId"], tenant.client_id);
    assert_eq!(config["serviceApp"]["clientSecret"], tenant.client_secret);
    assert_eq!(config["serviceApp"]["targetOrgId"], tenant.target_org_id);
    assert!(story.sandbox.is_live(&story.access_token()));
    let refresh_token = story.integration_refresh_token();
    assert!(story.sandbox.is_live_refresh_token(&refresh_token));
    for file in disk::names(&story, "token-config") {
        assert_eq!(disk::mode(&story.path(&file)), 0o600, "{file}");
    }
    assert_eq!(disk::mode(&story.path(".env")), 0o600);
    story.refresh_token(&["--json"]).exits(0).outcome("valid");
}

#[test]
fn a_secret_may_come_from_standard_input() {
    let story = Story::new();
    let values = values(&story);
    let arguments = with(&["--client-secret-file", "-"], &values[..2]);
    let arguments = [arguments, with(&[], &values[4..])].concat();
    let mut command = story.command(SETUP_OAUTH);
    let mut child = story.start(command.args(arguments).stdin(Stdio::piped()));
    let secret = story.tenant().client_secret;
    let mut stdin = child.stdin.take().expect("it is piped");
    writeln!(stdin, "{secret}").expect("it is read");
    drop(stdin);

    story.finish(child).exits(77);

    assert_eq!(story.config()["serviceApp"]["clientSecret"], secret);
}

#[test]
fn standard_input_cannot_be_two_secrets() {
    let story = Story::new();
    let told = story.setup_oauth(&[
        "--client-secret-file",
        "-",
        "--integration-client-secret-file",
        "-",
    ]);
    assert_told!("two_on_stdin", &story, told);
}

#[test]
fn the_environment_and_env_file_will_do_and_nothing_is_copied_from_them() {
    let story = Story::new();
    let tenant = story.tenant();
    let variables = [
        ("WEBEX_SERVICE_APP_CLIENT_ID", tenant.client_id),
        ("WEBEX_SERVICE_APP_CLIENT_SECRET", tenant.client_secret),
        ("WEBEX_TARGET_ORG_ID", tenant.target_org_id),
        ("WEBEX_INTEGRATION_CLIENT_ID", tenant.integration_client_id),
        (
            "WEBEX_INTEGRATION_CLIENT_SECRET",
            tenant.integration_client_secret,
        ),
    ];
    let by_environment = |program| {
        let mut command = story.command(program);
        command.envs(variables.iter().map(|(key, value)| (key, value)));
        command
    };
    story.run(&mut by_environment(SETUP_OAUTH)).exits(77);
    assert!(!story.exists("token-config.json"));

    let lines = variables
        .iter()
        .map(|(key, value)| format!("{key}={value}\n"));
    let env: String = lines.collect();
    story.write_env(&env);
    story.setup_oauth(&[]).exits(77);
    assert_eq!(story.env(), env);
    fs::remove_file(story.path(".env")).expect("a file is removed");

    let waiting = Waiting::of(&story, by_environment(SETUP_OAUTH).arg("--device"));
    waiting.decide(&story, true);
    waiting.finish(&story).exits(0);
    let config = story.config();
    assert_eq!(config["serviceApp"], json!(null));
    assert_eq!(disk::mode(&story.path("token-config.json")), 0o600);

    // A job in the same container has all it needs.
    story.sandbox.revoke(&story.access_token());
    let told = story.run(by_environment(support::REFRESH_TOKEN).arg("--json"));
    told.exits(0).outcome("refreshed");
}

#[test]
fn what_would_be_overruled_is_not_written() {
    let story = Story::new();
    let values = values(&story);
    let mut command = story.command(SETUP_OAUTH);
    command.args(with(&[], &values));
    let org = story.tenant().target_org_uuid;
    let told = story.run(command.env("WEBEX_TARGET_ORG_ID", org));
    assert_told!("overruled", &story, told);
    assert!(!story.exists("token-config.json"));

    let mut command = story.command(SETUP_OAUTH);
    command.args(with(&[], &values));
    let same = story.tenant().target_org_id;
    story
        .run(command.env("WEBEX_TARGET_ORG_ID", same))
        .exits(77);
}

#[test]
fn a_file_that_holds_no_secret_is_told() {
    let story = Story::new();
    story
        .write("empty", " \r\n")
        .write("huge", "5".repeat(2 << 20))
        .write("latin", b"5\xe9cret".as_slice());
    fs::create_dir(story.path("folder")).expect("a folder is made");
    let before = everything_in(story.folder());
    for (file, code, outcome, says) in [
        (
            "nowhere",
            74,
            "unreadable",
            "cannot read nowhere: No such file",
        ),
        ("folder", 74, "unreadable", "cannot read folder: "),
        ("latin", 78, "misconfigured", "latin: not UTF-8"),
        ("huge", 78, "misconfigured", "huge: larger than"),
        (
            "empty",
            78,
            "misconfigured",
            "command line: --client-secret-file: empty",
        ),
    ] {
        let told = story.setup_oauth(&["--json", "--client-secret-file", file]);
        told.exits(code).says(says);
        assert_eq!(told.json()["outcome"], outcome);
        story
            .setup_oauth(&["--client-secret-file", file])
            .exits(code)
            .says("error: ")
            .says(says);
    }
    let told = story.setup_oauth(&["--json", "--client-secret-file", "nowhere"]);
    assert_told!("unreadable_json", &story, told);
    assert_eq!(everything_in(story.folder()), before);
    assert!(story.requests().is_empty());
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    let story = Story::new();
    // The story searches what is printed for them.
    let secret = story.tenant().client_secret;
    let pat = story.sandbox.issue_personal_access_token();
    let assigned = format!("--client-secret={secret}");
    for arguments in [
        &["--client-secret", &secret][..],
        &[&assigned],
        &["--personal-access-token", &pat],
        &[&secret],
    ] {
        let told = story.setup_oauth(arguments);
        told.exits(2);
        support::assert_no_piece(&told.stderr, &pat);
    }
    for flag in ["--client-secret-file", "--personal-access-token-file"] {
        for secret in [&secret, &pat] {
            let told = story.setup_oauth(&["--json", flag, secret]);
            told.exits(74).says("cannot read […]");
            support::assert_no_piece(&told.stdout, &pat);
        }
    }
}

// Who is to decide.

#[test]
fn without_a_terminal_only_the_device_grant_waits() {
    let story = to_be_authorized();
    let before = story.read("token-config.json");
    let told = story.setup_oauth(&[]);
    assert_told!("nobody_to_ask", &story, told);
    let json = story.setup_oauth(&["--json"]);
    assert_told!("nobody_to_ask_json", &story, json);
    for manner in ["--browser", "--no-browser"] {
        assert_eq!(story.setup_oauth(&[manner]).stderr, told.stderr);
    }
    let told = story.setup_oauth(&[
        "--env-file",
        "my tokens.env",
        "--config",
        "token-config.json",
    ]);
    let files = "--config token-config.json --env-file 'my tokens.env'";
    told.exits(77)
        .says(&format!("`setup_oauth --device {files}`"));
    assert_eq!(story.read("token-config.json"), before);
    assert!(story.requests().is_empty());
}

#[test]
fn where_it_works_it_says_so_and_changes_nothing() {
    let story = ready();
    let before = everything_in(story.folder());
    let told = story.setup_oauth(&["--device"]);
    assert_told!("valid", &story, told);
    assert_eq!(
        told.stdout.lines().last().map(|line| &line[..6]),
        Some("valid:")
    );
    let told = story.setup_oauth(&["--json"]);
    assert_told!("valid_json", &story, told);
    let told = story.setup_oauth(&["--quiet"]);
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("", ""));
    assert_eq!(everything_in(story.folder()), before);
    assert!(!story.requests().iter().any(|it| it.contains("device")));
}

#[test]
fn a_stored_credential_that_works_needs_nobody() {
    let story = Story::with_hand(Hand {
        refresh_token: Is::Dead,
        ..Hand::PERSONAL_ACCESS_TOKEN
    });
    story.setup_oauth(&["--json"]).exits(0).outcome("valid");
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn a_personal_access_token_may_be_given_in_a_file() {
    let story = Story::new();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured().write("pat", &pat);
    let told = story.setup_oauth(&["--json", "--personal-access-token-file", "pat"]);
    told.exits(0).outcome("valid");
    assert_eq!(story.config()["tokenManager"]["personalAccessToken"], pat);
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn reauthorizing_goes_on_where_it_works() {
    let story = ready();
    let (token, old) = (story.access_token(), story.integration_refresh_token());
    let told = story.allowed(&["--reauthorize", "--json"]);
    assert_told!("ready_json", &story, told);
    assert_ne!(story.access_token(), token);
    assert_ne!(story.integration_refresh_token(), old);
}

#[test]
fn the_address_with_the_code_in_it_is_whole() {
    let story = to_be_authorized();
    let link = format!(
        "{}/verify?userCode={}",
        story.sandbox.origin(),
        "0123456789abcdef".repeat(4)
    );
    let fault = Fault::with("verification_uri_complete", link.as_str());
    story.sandbox.script(Endpoint::DeviceAuthorize, [fault]);
    let told = story.setup_oauth(&["--device", "--timeout", "1s"]);
    told.says(&format!("in it:\n\n{link}\n\n"));
}

#[test]
fn quiet_shows_the_code_and_nothing_else() {
    let story = to_be_authorized();
    let mut command = story.command(SETUP_OAUTH);
    command.args(["--device", "--quiet", "--timeout", "1s"]);
    let told = story.run(&mut command);
    assert_told!("quiet", &story, told);
}

#[test]
fn a_person_may_say_no() {
    let story = ready();
    let before = (story.read("token-config.json"), story.env());
    let waiting = Waiting::start(&story, &["--reauthorize", "--json"]);
    waiting.decide(&story, false);
    let told = waiting.finish(&story);
    assert_told!("denied_json", &story, told);
    assert_eq!((story.read("token-config.json"), story.env()), before);

    let story = to_be_authorized();
    let waiting = Waiting::start(&story, &[]);
    waiting.decide(&story, false);
    let told = waiting.finish(&story);
    assert_told!("denied", &story, told);
}

#[test]
fn nobody_may_answer() {
    let story = to_be_authorized();
    let before = story.read("token-config.json");
    let told = story.setup_oauth(&["--device", "--json", "--timeout", "1s"]);
    assert_told!("timed_out_json", &story, told);
    assert_eq!(story.read("token-config.json"), before);

    // A code that lives shorter than that ends the wait.
    let life = Duration::from_secs(1);
    story
        .sandbox
        .set_policy(|policy| policy.device_code_life = life);
    let told = story.setup_oauth(&["--device", "--json"]);
    told.exits(75).outcome("timed_out");
    assert!(polls(&story).is_empty());
}

#[test]
fn a_code_may_have_expired_for_webex_alone() {
    let story = to_be_authorized();
    let waiting = Waiting::start(&story, &["--json"]);
    story.sandbox.advance(Duration::from_mins(10));
    let told = waiting.finish(&story);
    let json = told.exits(75).outcome("unavailable");
    let message = json["message"].as_str().expect("a text");
    assert!(message.contains("had expired"), "{message}");
    assert_eq!(
        json["remedy"],
        "run `setup_oauth` again and allow it once more"
    );
}

#[test]
fn a_signal_ends_the_wait() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let story = to_be_authorized();
        let before = story.read("token-config.json");
        let mut waiting = Waiting::start(&story, &["--json"]);
        waiting.run().stop(signal);
        let told = waiting.finish(&story);
        told.exits(code).outcome("interrupted");
        if signal == Signal::INT {
            assert_told!("interrupted_json", &story, told);
        }
        assert_eq!(story.read("token-config.json"), before);
        assert!(!story.exists(".env"));
    }
}

// What Webex may answer.

#[test]
fn not_yet_is_asked_again() {
    let story = to_be_authorized();
    let gate = story
        .sandbox
        .gate_at(Endpoint::DeviceToken, Position::BeforeAnswering);
    let waiting = Waiting::start(&story, &["--json"]);
    gate.wait_for_request();
    waiting.decide(&story, true);
    gate.release();
    let told = waiting.finish(&story);
    let attempts = told.exits(0).attempts();
    // "Not yet" is no attempt that failed.
    assert_eq!(
        attempts[..2],
        ["device_authorization issued", "device_token issued"]
    );
    assert_eq!(polls(&story), [Some(428), Some(200)]);
}

/// The first poll is answered with this, and the next one only if it comes `after` this long.
fn slowed_down(fault: Fault, after: Duration) -> Story {
    let story = to_be_authorized();
    story
        .sandbox
        .script(Endpoint::DeviceToken, [fault.after_acting()]);
    // For the clock of the polls to run, Webex acts on the first: nothing is decided by then.
    let gate = story
        .sandbox
        .gate_at(Endpoint::DeviceToken, Position::BeforeAnswering);
    let waiting = Waiting::start(&story, &["--json", "--timeout", "40s"]);
    gate.wait_for_request();
    waiting.decide(&story, true);
    story
        .sandbox
        .set_policy(|policy| policy.device_interval = after);
    gate.release();
    waiting.finish(&story).exits(0).outcome("ready");
    story
}

#[test]
fn slow_down_slows_the_polls_down() {
    let fault = Fault::status(400).error("slow_down", "The client is polling too quickly.");
    let story = slowed_down(fault, Duration::from_secs(6));
    assert_eq!(polls(&story), [Some(400), Some(200)]);
}

#[test]
fn too_many_requests_say_when_the_next_may_come() {
    let fault = Fault::status(429).header("Retry-After", "9");
    let story = slowed_down(fault, Duration::from_secs(8));
    assert_eq!(polls(&story), [Some(429), Some(200)]);
}

#[test]
fn webex_may_be_down_for_a_poll() {
    let story = slowed_down(Fault::status(503), Duration::from_secs(6));
    assert_eq!(polls(&story), [Some(503), Some(200)]);
}

#[test]
fn an_answer_that_was_lost_is_asked_for_again() {
    let story = slowed_down(Fault::drop_before(), Duration::from_secs(6));
    assert_eq!(polls(&story), [None, Some(200)]);
}

#[test]
fn tokens_that_were_lost_with_their_answer_need_another_consent() {
    let story = to_be_authorized();
    let before = story.read("token-config.json");
    story
        .sandbox
        .script(Endpoint::DeviceToken, [Fault::drop_after()]);
    let told = story.allowed(&["--json"]);
    let json = told.exits(75).outcome("unavailable");
    let message = json["message"].as_str().expect("a text");
    assert!(message.contains("or was used before"), "{message}");
    assert_eq!(story.read("token-config.json"), before);
    story.allowed(&[]).exits(0);
}

#[test]
fn asking_for_a_code_is_repeated() {
    let story = to_be_authorized();
    let faults = [Fault::status(500), Fault::drop_before(), Fault::status(503)];
    story.sandbox.script(Endpoint::DeviceAuthorize, faults);
    story.allowed(&[]).exits(0);
    assert_eq!(story.sandbox.remaining_faults(), 0);
}

#[test]
fn where_webex_is_down_nothing_is_lost() {
    let story = to_be_authorized();
    let before = story.read("token-config.json");
    let fault = Fault::status(503).header("Retry-After", "600");
    story
        .sandbox
        .script_always(Endpoint::DeviceAuthorize, fault);
    let told = story.setup_oauth(&["--device"]);
    assert_told!("unavailable", &story, told);
    let told = story.setup_oauth(&["--device", "--json"]);
    assert_told!("unavailable_json", &story, told);
    assert_eq!(story.read("token-config.json"), before);
}

#[test]
fn a_client_that_webex_refuses_is_told() {
    // The service app's secret in the integration's place is caught before; this one is not.
    let story = Story::new();
    let mut integration = story.integration();
    integration["clientSecret"] = "f6b19c4db74c1d327733c0bd180dbf9457ddfd5c7833e8c7".into();
    story.write_config(&json!({
        "serviceApp": story.service_app(),
        "tokenManager": { "integration": integration },
    }));
    let told = story.allowed(&[]);
    assert_told!("bad_client", &story, told);

    let mut integration = story.integration();
    integration["clientId"] =
        "C0000000000000000000000000000000000000000000000000000000000000000".into();
    story.write_config(&json!({
        "serviceApp": story.service_app(),
        "tokenManager": { "integration": integration },
    }));
    let told = story.setup_oauth(&["--device"]);
    told.exits(78).says("the integration's client id or secret");
    assert!(!story.exists(".env"));
}

#[test]
fn an_integration_without_the_device_grant_is_told() {
    let refusal = Fault::status(400).error("unsupported_grant_type", "Not for this client.");
    for endpoint in [Endpoint::DeviceAuthorize, Endpoint::DeviceToken] {
        let story = to_be_authorized();
        story.sandbox.script_always(endpoint, refusal.clone());
        let told = story.setup_oauth(&["--device"]);
        told.exits(78).says("redirect URIs of Webex's device grant");
        if endpoint == Endpoint::DeviceToken {
            assert_told!("no_device_grant", &story, told);
        }
    }
}

#[test]
fn too_many_live_tokens_are_told() {
    let story = to_be_authorized();
    story.sandbox.set_policy(|policy| policy.token_limit = 0);
    let told = story.allowed(&[]);
    told.exits(75).says("750 live access tokens");
}

#[test]
fn a_consent_without_the_scope_replaces_nothing() {
    let story = ready();
    let before = (story.read("token-config.json"), story.env());
    let fault = Fault::with("scope", "spark:people_read");
    story.sandbox.script(Endpoint::DeviceToken, [fault]);
    let told = story.allowed(&["--reauthorize", "--json"]);
    assert_told!("scope_missing_json", &story, told);
    assert_eq!((story.read("token-config.json"), story.env()), before);
    let refresh_token = story.integration_refresh_token();
    assert!(story.sandbox.is_live_refresh_token(&refresh_token));

    // Where Webex names the scope, and where it does not, it is enough.
    let policy = Policy {
        scope_in_reply: true,
        ..Policy::default()
    };
    let story = Story::with(Sandbox::builder().policy(policy).start());
    story.to_be_authorized();
    story.allowed(&[]).exits(0);
}

#[test]
fn what_was_allowed_is_kept_where_it_cannot_mint_yet() {
    let story = to_be_authorized();
    story.sandbox.deauthorize_service_app();
    let told = story.allowed(&[]);
    told.exits(78).says("Full Admin");
    let refresh_token = story.integration_refresh_token();
    assert!(story.sandbox.is_live_refresh_token(&refresh_token));

    story.sandbox.reauthorize_service_app();
    story.setup_oauth(&["--json"]).exits(0).outcome("valid");
    assert_eq!(story.integration_refresh_token(), refresh_token);
}

#[test]
fn where_nothing_can_be_saved_nobody_is_asked() {
    let story = to_be_authorized();
    let disk = Namespace::read_only(&story);
    let told = story.run(disk.command(&story, SETUP_OAUTH).arg("--device"));
    assert_told!("not_saved", &story, told);
    let told = story.run(
        disk.command(&story, SETUP_OAUTH)
            .args(["--device", "--json"]),
    );
    assert_told!("not_saved_json", &story, told);
    assert!(story.requests().is_empty());
    assert_eq!(disk::names(&story, ""), ["token-config.json"]);
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let story = to_be_authorized();
    fs::create_dir(story.path(".env")).expect("a folder is made");
    let told = story.setup_oauth(&["--device", "--json"]);
    told.exits(74).outcome("unreadable");
    fs::remove_dir(story.path(".env")).expect("a folder is removed");
    story.write("token-config.json", "{ \"serviceApp\": {,\n");
    let told = story.setup_oauth(&["--device", "--json"]);
    told.exits(78).outcome("misconfigured");
    assert!(story.requests().is_empty());
}

#[test]
fn with_json_stdout_has_one_document_and_nothing_without() {
    let story = to_be_authorized();
    let told = story.allowed(&["--json"]);
    assert_eq!(told.outcome("ready")["version"], 1);
    let told = story.setup_oauth(&["--device", "--reauthorize", "--timeout", "1s"]);
    assert_eq!(told.stdout, "", "a failure is no answer");
    assert!(story.env().contains(ACCESS_TOKEN_KEY));
}

#[test]
fn the_help_says_how_it_is_run_unattended() {
    let story = Story::new();
    let mut command: Command = story.command(SETUP_OAUTH);
    let help = story.run(command.arg("--help")).stdout;
    for word in ["SECRET>", "TOKEN>", "PASSWORD"] {
        assert!(!help.contains(word), "{help}");
    }
    for example in ["--device --client-id", "- for standard input"] {
        assert!(help.contains(example), "{help}");
    }
}

#[test]
fn a_secret_that_the_mint_refuses_with_401_is_no_dead_credential() {
    let story = Story::with(
        Sandbox::builder()
            .policy(Policy {
                mint_bad_secret: Refusal::new(401, "", "The provided clientSecret is invalid"),
                ..Policy::default()
            })
            .start(),
    );
    story.to_be_authorized();
    let mut config = story.config();
    config["serviceApp"]["clientSecret"] = "another-apps-5ecret".into();
    story.write_config(&config);
    story
        .allowed(&[])
        .exits(78)
        .says("The provided clientSecret is invalid")
        .says("check serviceApp.appId, serviceApp.clientId, serviceApp.clientSecret");
    assert!(!story.exists(".env"), "no flag calls for a human");
}

#[test]
fn a_dead_token_without_an_integration_is_told_as_dead() {
    let story = Story::new();
    story.configured();
    let pat = story.sandbox.issue_personal_access_token();
    story.sandbox.revoke(&pat);
    story.write("pat", pat);
    let told = story.setup_oauth(&["--personal-access-token-file", "pat", "--json"]);
    let json = told.exits(77).outcome("reauthorization_required");
    let remedy = json["remedy"].as_str().expect("what to do");
    assert!(remedy.contains("--integration-client-id"), "{remedy}");
}

#[test]
fn a_consent_without_a_refresh_token_is_told_and_says_nothing_of_the_old_one() {
    let story = Story::new();
    let old = story.sandbox.issue_integration_tokens().refresh_token;
    story.sandbox.revoke_grant(&old);
    story.configured_with(None, Some(&old));
    story.sandbox.script(
        Endpoint::DeviceToken,
        [Fault::missing_refresh_token().after_acting()],
    );
    let told = story.allowed(&["--json"]);
    let json = told.exits(0).outcome("ready");
    let warnings = json["warnings"].to_string();
    assert!(warnings.contains("gave no refresh token"), "{warnings}");
    let state = story.read("token-config.json.state.json");
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    let record = &state["credentials"]["integration_refresh_token"];
    assert!(record["last_used"].is_null(), "{record}");
}

//! `check_token`, from the operator's side: where every credential stands, without a byte changed.

#![cfg(unix)]

#[path = "support/folder.rs"]
mod folder;
mod support;

use std::fs::{self, File};
use std::process::Command;

use serde_json::{Value, json};
use webex_sandbox::{Endpoint, Fault, Grant, READ_SCOPE};

use folder::everything_in;
use support::{CHECK_TOKEN, FLAG_KEY, Story, Told};

const DATA_SOURCES: &str = "GET /v1/dataSources";
const TOKEN_EXPIRY: &str = "GET /v1/authorizations/tokenExpiry";

/// A service app whose tokens an earlier run has issued, so that every date is known.
fn refreshed() -> Story {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.configured().stored("", &tokens.refresh_token);
    story.refresh_token(&[]).exits(0);
    story.sandbox.clear_requests();
    story
}

/// Tokens pasted in by hand: nothing is known of their dates.
fn pasted() -> Story {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    story
}

/// Answers that no try can cure before the deadline, so that none waits.
fn unavailable() -> Fault {
    Fault::status(503).header("Retry-After", "600")
}

fn credential<'a>(document: &'a Value, name: &str) -> &'a Value {
    let credentials = document["credentials"].as_array().expect("a list");
    credentials
        .iter()
        .find(|credential| credential["name"] == name)
        .unwrap_or_else(|| panic!("{name} is not in {document:#}"))
}

/// Asserts how a credential stands: `(state, checked, whether its expiry is known)`.
#[track_caller]
fn stands(document: &Value, name: &str, expected: (&str, bool, bool)) {
    let credential = credential(document, name);
    let state = credential["state"].as_str().expect("a state");
    let checked = credential["checked"].as_bool().expect("a boolean");
    let is_dated = credential["expiresAt"].is_string();
    assert_eq!((state, checked, is_dated), expected, "{name}");
    assert_eq!(credential["present"], state != "absent", "{name}");
}

/// Runs `check_token --json`, and asserts that the folder is as it was.
#[track_caller]
fn check(story: &Story, arguments: &[&str]) -> Told {
    let before = everything_in(story.folder());
    let told = story.check_token(&[&["--json"], arguments].concat());
    assert_eq!(everything_in(story.folder()), before, "something changed");
    told
}

#[test]
fn a_valid_token_of_known_expiry_costs_one_request() {
    let story = refreshed();

    let told = check(&story, &[]);

    let document = told.exits(0).outcome("valid");
    assert_eq!(story.requests(), [DATA_SOURCES]);
    assert_eq!(
        story.sandbox.requests()[0].bearer(),
        Some(story.access_token().as_str())
    );
    stands(&document, "service_app_access_token", ("valid", true, true));
    stands(
        &document,
        "service_app_refresh_token",
        ("valid", false, true),
    );
    stands(&document, "personal_access_token", ("absent", false, false));
    stands(
        &document,
        "integration_refresh_token",
        ("absent", false, false),
    );
    assert_eq!(document["version"], 1);
    assert_eq!(document["remedy"], Value::Null);
}

#[test]
fn the_expiry_of_a_pasted_token_is_asked_for() {
    let story = pasted();

    let told = check(&story, &[]);

    let document = told.exits(0).outcome("valid");
    assert_eq!(story.requests(), [DATA_SOURCES, TOKEN_EXPIRY]);
    for request in story.sandbox.requests() {
        assert_eq!(request.bearer(), Some(story.access_token().as_str()));
    }
    stands(&document, "service_app_access_token", ("valid", true, true));
    stands(
        &document,
        "service_app_refresh_token",
        ("unknown", false, false),
    );
}

#[test]
fn an_expiry_that_cannot_be_had_changes_nothing() {
    let story = pasted();
    story
        .sandbox
        .script_always(Endpoint::TokenExpiry, Fault::status(500));

    let told = check(&story, &[]);

    let document = told.exits(0).outcome("valid");
    stands(
        &document,
        "service_app_access_token",
        ("valid", true, false),
    );
    assert_eq!(story.requests(), [DATA_SOURCES, TOKEN_EXPIRY]);
}

#[test]
fn the_personal_access_token_is_asked_about_with_token_expiry() {
    let story = refreshed();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);

    let told = check(&story, &[]);

    let document = told.exits(0).outcome("valid");
    assert_eq!(story.requests(), [DATA_SOURCES, TOKEN_EXPIRY]);
    assert_eq!(story.sandbox.requests()[1].bearer(), Some(pat.as_str()));
    stands(&document, "personal_access_token", ("valid", true, true));
}

#[test]
fn a_dead_personal_access_token_is_said_to_be_rejected() {
    let story = refreshed();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);
    story.sandbox.revoke(&pat);

    let told = check(&story, &[]);

    let document = told.exits(0).outcome("valid");
    stands(
        &document,
        "personal_access_token",
        ("rejected", true, false),
    );
}

#[test]
fn a_refused_token_that_can_be_replaced_is_exit_1() {
    let story = refreshed();
    story.sandbox.revoke(&story.access_token());

    let told = check(&story, &[]);

    let document = told.exits(1).outcome("renewable");
    stands(
        &document,
        "service_app_access_token",
        ("rejected", true, true),
    );
    assert_eq!(document["remedy"], "run `refresh_token`");
    assert_eq!(story.requests(), [DATA_SOURCES]);
}

#[test]
fn a_missing_token_that_can_be_replaced_is_exit_1_without_a_request() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.configured().stored("", &tokens.refresh_token);

    let told = check(&story, &[]);

    let document = told.exits(1).outcome("renewable");
    stands(
        &document,
        "service_app_access_token",
        ("absent", false, false),
    );
    assert_eq!(story.requests(), [""; 0]);
}

#[test]
fn each_rung_alone_makes_a_dead_token_renewable() {
    let pat = |story: &Story| {
        let pat = story.sandbox.issue_personal_access_token();
        story.configured_with(Some(&pat), None);
    };
    let integration = |story: &Story| {
        let tokens = story.sandbox.issue_integration_tokens();
        story.configured_with(None, Some(&tokens.refresh_token));
    };
    for configure in [&pat as &dyn Fn(&Story), &integration] {
        let story = pasted();
        let access_token = story.access_token();
        story.sandbox.revoke_grant(&access_token);
        story.stored(&access_token, "");
        configure(&story);
        check(&story, &[]).exits(1).outcome("renewable");
        check(&story, &["--offline"])
            .exits(75)
            .outcome("unavailable");
    }
}

#[test]
fn when_no_credential_is_left_a_human_must_re_authorize() {
    let story = pasted();
    let access_token = story.access_token();
    story.sandbox.revoke_grant(&access_token);
    story.stored(&access_token, "");

    let told = check(&story, &[]);

    let document = told.exits(77).outcome("reauthorization_required");
    stands(
        &document,
        "service_app_access_token",
        ("rejected", true, false),
    );
    let remedy = document["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("token-config.json"), "{remedy}");
    assert_eq!(document["humanNeededBy"], Value::Null);
}

#[test]
fn what_a_climb_found_dead_stays_dead_while_the_flag_is_up() {
    let story = pasted();
    let access_token = story.access_token();
    story.sandbox.revoke_grant(&access_token);
    story.refresh_token(&[]).exits(77);
    assert!(story.env().contains(FLAG_KEY));

    let told = check(&story, &[]);

    let document = told.exits(77).outcome("reauthorization_required");
    stands(
        &document,
        "service_app_refresh_token",
        ("rejected", false, false),
    );

    // A refresh token that is put in its place is nothing a climb has tried.
    let fresh = story.sandbox.issue_service_app_tokens();
    let env = story
        .env()
        .replace(&story.refresh_token_in_env(), &fresh.refresh_token);
    story.write_env(env);

    let told = check(&story, &[]);

    let document = told.exits(1).outcome("renewable");
    stands(
        &document,
        "service_app_refresh_token",
        ("unknown", false, false),
    );
}

#[test]
fn a_flag_over_a_token_that_works_changes_nothing() {
    let story = pasted();
    let env = story.env() + FLAG_KEY + "=2020-01-01T00:00:00Z\n";
    story.write_env(env);
    check(&story, &[]).exits(0).outcome("valid");
}

#[test]
fn a_token_that_may_not_list_data_sources_is_a_matter_of_configuration() {
    let story = Story::new();
    let scopes: Vec<_> = [webex_sandbox::WRITE_SCOPE].into();
    let tokens = story.sandbox.issue_with(Grant::ServiceApp, &scopes);
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);

    let told = check(&story, &[]);

    let document = told.exits(78).outcome("misconfigured");
    stands(
        &document,
        "service_app_access_token",
        ("forbidden", true, false),
    );
    let remedy = document["remedy"].as_str().expect("a remedy");
    assert!(
        remedy.contains(READ_SCOPE) && remedy.contains("role"),
        "{remedy}"
    );
}

#[test]
fn trouble_that_passes_is_not_called_a_dead_token() {
    let story = refreshed();
    story
        .sandbox
        .script_always(Endpoint::DataSources, unavailable());

    let told = check(&story, &[]);

    let document = told.exits(75).outcome("unavailable");
    stands(
        &document,
        "service_app_access_token",
        ("valid", false, true),
    );
    assert_eq!(story.requests(), [DATA_SOURCES]);
}

#[test]
fn a_webex_that_cannot_be_reached_is_passing_trouble() {
    let story = refreshed();
    let nobody = format!("http://127.0.0.1:{}/v1", unused_port());
    let told = check(&story, &["--api-base-url", &nobody]);
    told.exits(75).outcome("unavailable");
}

/// A port on which nobody listens: it was ours a moment ago.
fn unused_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn a_valid_token_needs_no_configuration_and_the_run_says_what_a_climb_will_lack() {
    for (config, what) in [
        (None, "no configuration"),
        (Some("{ \"serviceApp\": "), "not JSON"),
        (Some("{}"), "missing"),
    ] {
        let story = pasted();
        fs::remove_file(story.path("token-config.json")).expect("a file is removed");
        if let Some(config) = config {
            story.write("token-config.json", config);
        }
        let document = check(&story, &[]).exits(0).outcome("valid");
        let warnings = document["warnings"].to_string();
        assert!(warnings.contains(what), "{warnings}");
    }
}

#[test]
fn a_dead_token_with_settings_that_do_not_serve_is_exit_78() {
    let story = pasted();
    story.sandbox.revoke(&story.access_token());
    story.write_config(&json!({ "serviceApp": { "clientId": "", "clientSecret": "<secret>" } }));

    let told = check(&story, &[]);

    let document = told.exits(78).outcome("misconfigured");
    let message = document["message"].as_str().expect("a message");
    for expected in [
        "token-config.json",
        "serviceApp.clientId",
        "serviceApp.clientSecret",
        "placeholder",
    ] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_exit_74() {
    let story = Story::new();
    story.configured();
    fs::create_dir(story.path(".env")).expect("a folder is made");
    check(&story, &[]).exits(74).says("is a directory");
    check(&story, &["--env-file", "nowhere/.env"])
        .exits(74)
        .says("does not exist");
    assert_eq!(story.requests(), [""; 0]);
}

#[test]
fn a_missing_file_is_not_created() {
    let story = Story::new();
    story.configured();
    check(&story, &[])
        .exits(77)
        .outcome("reauthorization_required");
    assert!(!story.exists(".env"));
}

#[test]
fn a_wrong_command_line_is_exit_2() {
    let story = pasted();
    for arguments in [&["--force"][..], &["--print-token"], &["--offline", "now"]] {
        let told = story.check_token(arguments);
        told.exits(2).says("Usage: check_token");
        assert_eq!(told.stdout, "", "an error is no answer");
    }
    assert_eq!(story.requests(), [""; 0]);
}

#[test]
fn offline_makes_no_request_and_goes_by_the_dates() {
    let story = refreshed();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);

    let document = check(&story, &["--offline"]).exits(0).outcome("valid");
    stands(
        &document,
        "service_app_access_token",
        ("valid", false, true),
    );
    stands(
        &document,
        "personal_access_token",
        ("unknown", false, false),
    );

    story.expire_in_state();
    let document = check(&story, &["--offline"]).exits(1).outcome("renewable");
    stands(
        &document,
        "service_app_access_token",
        ("expired", false, true),
    );
    assert_eq!(story.requests(), [""; 0]);
}

#[test]
fn offline_does_not_guess_about_a_token_of_unknown_expiry() {
    let story = pasted();
    let told = check(&story, &["--offline"]);
    told.exits(75).outcome("unavailable");
    assert_eq!(story.requests(), [""; 0]);
}

#[test]
fn a_human_is_needed_when_the_last_rung_ends_if_every_end_is_known() {
    let story = refreshed();
    let document = check(&story, &[]).json();
    let end = &credential(&document, "service_app_refresh_token")["expiresAt"];
    assert!(end.is_string());
    assert_eq!(&document["humanNeededBy"], end);

    // The personal access token lives for hours, the refresh token for months.
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);
    assert_eq!(&check(&story, &[]).json()["humanNeededBy"], end);

    // Of the integration's refresh token nothing is known: nobody can say.
    let integration = story.sandbox.issue_integration_tokens();
    story.configured_with(Some(&pat), Some(&integration.refresh_token));
    assert_eq!(check(&story, &[]).json()["humanNeededBy"], Value::Null);
}

#[test]
fn it_does_not_wait_for_a_run_that_holds_the_lock() {
    let story = refreshed();
    let held = File::open(story.path(".env.lock")).expect("the lock file");
    held.lock().expect("the lock");
    check(&story, &[]).exits(0).outcome("valid");
}

#[test]
fn it_does_not_finish_what_a_dead_run_has_left() {
    let story = refreshed();
    story.write(".env.pending", story.env() + "# new\n");
    story.write(".env.tmp.1", "a leftover");
    check(&story, &[]).exits(0).outcome("valid");
}

#[test]
fn it_works_on_a_disk_that_is_read_only() {
    let story = refreshed();
    let mut command = Command::new("unshare");
    let inside = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && cd \"$1\" \
                  && ! touch here 2>/dev/null && exec \"$2\" --json";
    command
        .args(["-m", "--map-root-user", "sh", "-c", inside, "sh"])
        .arg(story.folder())
        .arg(CHECK_TOKEN)
        .env("WEBEX_API_BASE_URL", story.sandbox.base_url());
    let told = story.run(&mut command);
    told.exits(0).outcome("valid");
    assert_eq!(story.requests(), [DATA_SOURCES]);
}

#[test]
fn a_file_that_is_being_written_over_is_read_from_its_whole_sibling() {
    let story = refreshed();
    let whole = story.env();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);
    let config = fs::read_to_string(story.path("token-config.json")).expect("the settings");
    let quoted = format!("OTHER='a\nb'\n{whole}");
    for cut in [0, "OTHER='a".len(), quoted.len() - 9] {
        story
            .write_env(&quoted.as_bytes()[..cut])
            .write(".env.pending", &quoted)
            .write("token-config.json", &config[..config.len() / 2])
            .write("token-config.json.pending", &config);

        let document = check(&story, &["--offline"]).exits(0).outcome("valid");
        stands(
            &document,
            "personal_access_token",
            ("unknown", false, false),
        );
        check(&story, &[]).exits(0).outcome("valid");

        let before = everything_in(story.folder());
        let plan = story.refresh_token(&["--plan", "--json"]).exits(0).json();
        assert_eq!(plan["warnings"], json!([]));
        assert_eq!(everything_in(story.folder()), before, "something changed");
    }
}

#[test]
fn offline_needs_nothing_to_reach_webex_with() {
    let story = refreshed();
    let check = |arguments: &[&str]| {
        let mut command = story.command(CHECK_TOKEN);
        command
            .args(["--json", "--api-base-url", "https://127.0.0.1:9/v1"])
            .args(arguments)
            .env("SSL_CERT_FILE", "nowhere.pem");
        story.run(&mut command)
    };
    check(&["--offline"]).exits(0).outcome("valid");
    check(&[]).exits(78).outcome("misconfigured");
}

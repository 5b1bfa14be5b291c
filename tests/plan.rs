//! `refresh_token --plan`: which rungs could be tried, and why; no network and no write.

#![cfg(unix)]

#[path = "support/folder.rs"]
mod folder;
mod support;

use serde_json::{Value, json};
use webex_sandbox::Endpoint;

use folder::everything_in;
use support::{ACCESS_TOKEN_KEY, REFRESH_TOKEN, Story};

const RUNGS: [&str; 3] = [
    "service_app_refresh_token",
    "personal_access_token",
    "integration_refresh_token",
];

/// Runs `--plan --json`, and asserts that nobody was asked and nothing changed.
#[track_caller]
fn plan(story: &Story, arguments: &[&str]) -> Value {
    story.sandbox.clear_requests();
    let before = everything_in(story.folder());
    let told = story.refresh_token(&[&["--plan", "--json"], arguments].concat());
    assert_eq!(everything_in(story.folder()), before, "something changed");
    assert_eq!(story.requests(), [""; 0]);
    let document = told.exits(0).outcome("plan");
    assert_eq!(document["version"], 1);
    let rungs = document["rungs"].as_array().expect("a list").iter();
    assert!(rungs.map(|rung| &rung["rung"]).eq(RUNGS), "{document:#}");
    document
}

/// Asserts whether each rung could be tried, and a part of the reason.
#[track_caller]
fn rungs(document: &Value, expected: [(bool, &str); 3]) {
    for (index, (possible, reason)) in expected.into_iter().enumerate() {
        let rung = &document["rungs"][index];
        assert_eq!(rung["possible"], possible, "{rung:#}");
        let said = rung["reason"].as_str().expect("a reason");
        assert!(said.contains(reason), "{reason:?} is not in {said:?}");
    }
}

fn everything_there() -> Story {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    let pat = story.sandbox.issue_personal_access_token();
    let integration = story.sandbox.issue_integration_tokens();
    story
        .configured_with(Some(&pat), Some(&integration.refresh_token))
        .stored(&tokens.access_token, &tokens.refresh_token);
    story
}

#[test]
fn with_everything_there_every_rung_is_possible() {
    let document = plan(&everything_there(), &[]);
    let unknown = (true, "its expiry is not known");
    rungs(&document, [unknown; 3]);
}

#[test]
fn a_known_expiry_is_the_reason_given_and_never_forbids_a_rung() {
    let story = everything_there();
    story.refresh_token(&["--force"]).exits(0);
    rungs(
        &plan(&story, &[]),
        [
            (true, "expires 20"),
            (true, "not known"),
            (true, "not known"),
        ],
    );

    let mut state = story.state();
    let record = &mut state["credentials"]["service_app_refresh_token"];
    record["issued_at"] = "2020-01-01T00:00:00Z".into();
    story.write(".env.state.json", state.to_string());
    let document = plan(&story, &[]);
    assert_eq!(document["rungs"][0]["possible"], true, "{document:#}");
}

#[test]
fn what_is_not_there_is_named() {
    let story = Story::new();
    story.configured().write_env("");
    rungs(
        &plan(&story, &[]),
        [
            (false, "WEBEX_SERVICE_APP_REFRESH_TOKEN is not in .env"),
            (false, "no personal access token is set"),
            (false, "no integration is set up"),
        ],
    );
}

#[test]
fn an_integration_that_was_never_authorized_has_nothing_to_spend() {
    let story = Story::new();
    let tenant = story.tenant();
    story.write_env("").write_config(&json!({
        "serviceApp": story.service_app(),
        "tokenManager": { "integration": {
            "clientId": tenant.integration_client_id,
            "clientSecret": tenant.integration_client_secret,
        }},
    }));
    let document = plan(&story, &[]);
    assert_eq!(document["rungs"][2]["possible"], false);
    let reason = &document["rungs"][2]["reason"];
    assert_eq!(reason, "the integration has no refresh token yet");
}

#[test]
fn without_the_service_apps_settings_no_rung_is_possible() {
    let story = everything_there();
    let mut config = story.config();
    config["serviceApp"]["clientSecret"] = "".into();
    story.write_config(&config);
    let document = plan(&story, &[]);
    rungs(
        &document,
        [
            (false, "client secret"),
            (false, "service app's settings"),
            (false, "service app's settings"),
        ],
    );
    let warnings = document["warnings"].to_string();
    assert!(warnings.contains("serviceApp.clientSecret"), "{warnings}");
}

#[test]
fn without_an_organization_only_the_refresh_token_can_be_tried() {
    let story = everything_there();
    let mut config = story.config();
    config["serviceApp"]["targetOrgId"] = "".into();
    story.write_config(&config);
    let incomplete = (false, "service app's settings");
    rungs(&plan(&story, &[]), [(true, ""), incomplete, incomplete]);
}

#[test]
fn an_integration_whose_result_cannot_be_saved_is_not_possible() {
    let story = everything_there();
    let integration = story.config()["tokenManager"]["integration"]["refreshToken"].clone();
    story.configured_with(None, None);
    let tenant = story.tenant();
    let told = story.run(
        story
            .command(REFRESH_TOKEN)
            .args(["--plan", "--json", "--config", "nowhere/token-config.json"])
            .env("WEBEX_SERVICE_APP_CLIENT_ID", &tenant.client_id)
            .env("WEBEX_SERVICE_APP_CLIENT_SECRET", &tenant.client_secret)
            .env("WEBEX_TARGET_ORG_ID", &tenant.target_org_id)
            .env("WEBEX_INTEGRATION_CLIENT_ID", &tenant.integration_client_id)
            .env(
                "WEBEX_INTEGRATION_CLIENT_SECRET",
                &tenant.integration_client_secret,
            )
            .env(
                "WEBEX_INTEGRATION_REFRESH_TOKEN",
                integration.as_str().expect("a refresh token"),
            ),
    );
    let document = told.exits(0).outcome("plan");
    rungs(
        &document,
        [
            (true, ""),
            (false, "no personal access token"),
            (false, "nowhere"),
        ],
    );
}

#[test]
fn a_refresh_token_whose_answer_was_lost_is_tried_last() {
    let story = everything_there();
    let gate = story.sandbox.gate(Endpoint::ServiceAppRefresh);
    let mut killed = story.start(story.command(REFRESH_TOKEN).arg("--force"));
    gate.wait_for_request();
    killed.kill().expect("the run is killed");
    killed.wait().expect("the run is gone");
    drop(gate);

    let document = plan(&story, &[]);

    rungs(
        &document,
        [
            (true, "tried last"),
            (true, "not known"),
            (true, "not known"),
        ],
    );
}

#[test]
fn it_says_what_a_run_would_do_first() {
    let story = everything_there();
    let message = |arguments: &[&str]| plan(&story, arguments)["message"].to_string();
    assert!(message(&[]).contains("ask Webex"), "{}", message(&[]));
    assert!(message(&["--force"]).contains("forced"));

    story.refresh_token(&["--force"]).exits(0);
    assert!(message(&["--min-validity", "3000d"]).contains("is due"));
    story.expire_in_state();
    assert!(message(&[]).contains("has expired"));

    let env = story.env().replace(ACCESS_TOKEN_KEY, "OTHER");
    story.write_env(env);
    assert!(message(&[]).contains("no access token"));
}

#[test]
fn the_text_has_a_line_a_rung() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.configured().stored("", &tokens.refresh_token);
    let before = everything_in(story.folder());

    let told = story.refresh_token(&["--plan"]);

    let lines: Vec<_> = told.exits(0).stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "a run would climb: there is no access token",
            "  service-app refresh token  possible      its expiry is not known",
            "  personal access token      not possible  no personal access token is set",
            "  integration refresh token  not possible  no integration is set up",
        ]
    );
    assert_eq!(told.stderr, "");
    assert_eq!(story.requests(), [""; 0]);
    assert_eq!(everything_in(story.folder()), before);
}

#[test]
fn a_file_that_cannot_be_read_has_no_plan() {
    let story = Story::new();
    story.configured();
    std::fs::create_dir(story.path(".env")).expect("a folder is made");
    let told = story.refresh_token(&["--plan", "--json"]);
    told.exits(74).outcome("unreadable");
}

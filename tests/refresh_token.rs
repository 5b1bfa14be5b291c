//! `refresh_token`, from the operator's side.

mod support;

use support::Story;

#[test]
fn a_valid_token_costs_one_request_and_writes_nothing() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let before = story.env();

    let told = story.refresh_token(&["--json"]);

    told.exits(0).outcome("valid");
    assert_eq!(story.requests(), ["GET /v1/dataSources"]);
    assert_eq!(story.env(), before);
    assert!(!story.exists(".env.lock"));
    assert!(!story.exists(".env.state.json"));
}

#[test]
fn the_refresh_token_works() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.configured().stored("", &tokens.refresh_token);

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "service_app_refresh_token");
    assert_eq!(
        story.requests(),
        ["POST /v1/access_token", "GET /v1/dataSources"]
    );
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn every_rung_in_turn_takes_five_requests() {
    let story = Story::new();
    let integration = story.sandbox.issue_integration_tokens();
    let pat = story.sandbox.issue_personal_access_token();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.sandbox.revoke(&tokens.refresh_token);
    story.sandbox.revoke(&pat);
    story
        .configured_with(Some(&pat), Some(&integration.refresh_token))
        .stored("", &tokens.refresh_token);

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "integration_refresh_token");
    assert_eq!(story.requests().len(), 5, "{:?}", story.requests());
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn when_nothing_is_left_a_human_is_told_so() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.sandbox.revoke_grant(&tokens.refresh_token);
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);

    let told = story.refresh_token(&[]);

    told.exits(77);
    assert!(story.env().contains(support::FLAG_KEY));
}

//! `POST /applications/{applicationId}/token`: service apps page; API description.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use webex_sandbox::{
    ErrorShape, Grant, MINT_SCOPE, MintRefreshToken, PEOPLE_SCOPE, Refusal, Sandbox,
};

use crate::{
    client::{get, post},
    mint, mint_body, refresh, text, with,
};

#[test]
fn a_personal_access_token_and_an_integration_token_mint() {
    let sandbox = Sandbox::start();
    for bearer in [
        sandbox.issue_personal_access_token(),
        sandbox.issue_integration_tokens().access_token,
    ] {
        let answer = mint(&sandbox, &bearer).send(&sandbox);
        assert_eq!(answer.status, 200);
        assert_eq!(text(&answer, "/token_type"), "Bearer");
        let read = get("/v1/dataSources").bearer(&text(&answer, "/access_token"));
        assert_eq!(read.send(&sandbox).status, 200);
        let pair = refresh(&sandbox, &text(&answer, "/refresh_token")).send(&sandbox);
        assert_eq!(pair.status, 200, "refreshed with the service app's client");
    }
    assert_eq!(sandbox.counts().mints, 2);
}

#[test]
fn the_application_is_named_by_any_spelling_of_its_id() {
    // Seen in clients: padded, unpadded and url-safe base64; the bare client id.
    let sandbox = Sandbox::start();
    let bearer = sandbox.issue_personal_access_token();
    let client_id = sandbox.tenant().client_id;
    let uri = format!("ciscospark://us/APPLICATION/{client_id}");
    let elsewhere = format!("ciscospark://urn:TEAM:eu-central-1_k/APPLICATION/{client_id}");
    let ids = [
        sandbox.tenant().app_id,
        STANDARD.encode(&uri).replace('=', "%3D"),
        STANDARD.encode(&uri),
        URL_SAFE_NO_PAD.encode(&uri),
        URL_SAFE_NO_PAD.encode(elsewhere),
        client_id,
    ];
    for id in ids {
        let answer = post(&format!("/v1/applications/{id}/token"))
            .bearer(&bearer)
            .json(&mint_body(&sandbox))
            .send(&sandbox);
        assert_eq!(answer.status, 200, "{id}");
    }
}

#[test]
fn the_organization_is_named_by_its_id_or_uuid() {
    let sandbox = Sandbox::start();
    let bearer = sandbox.issue_personal_access_token();
    for org in [
        sandbox.tenant().target_org_uuid,
        sandbox.tenant().target_org_id,
    ] {
        assert_eq!(changed(&sandbox, &bearer, "targetOrgId", json!(org)).0, 200);
    }
}

#[test]
fn the_bearer_must_be_live_and_have_the_scope() {
    let sandbox = Sandbox::start();
    let dead = sandbox.issue_personal_access_token();
    sandbox.expire(&dead);
    assert_eq!(mint(&sandbox, &dead).send(&sandbox).status, 401);
    let without = sandbox.issue_with(Grant::PersonalAccessToken, &[PEOPLE_SCOPE]);
    let answer = mint(&sandbox, &without.access_token).send(&sandbox);
    assert_eq!(answer.status, 403);
    assert_eq!(sandbox.counts().mints, 0);
    assert_eq!(sandbox.counts().mint_requests, 2);
}

#[test]
fn the_bearer_must_belong_to_the_owner_of_the_service_app() {
    let sandbox = Sandbox::start();
    let stranger = sandbox.issue_with(Grant::StrangersPersonalAccessToken, &[MINT_SCOPE]);
    let answer = mint(&sandbox, &stranger.access_token).send(&sandbox);
    assert_eq!(answer.status, 403);
}

#[test]
fn another_service_apps_token_mints_unless_switched_off() {
    // The service apps page allows it, the API description does not mention it.
    let sandbox = Sandbox::start();
    let app = sandbox
        .issue_with(Grant::ServiceApp, &[MINT_SCOPE])
        .access_token;
    assert_eq!(mint(&sandbox, &app).send(&sandbox).status, 200);
    sandbox.set_policy(|policy| policy.service_app_may_mint = false);
    assert_eq!(mint(&sandbox, &app).send(&sandbox).status, 403);
}

#[test]
fn every_field_is_required_and_named() {
    let sandbox = Sandbox::start();
    let bearer = sandbox.issue_personal_access_token();
    for field in ["clientId", "clientSecret", "targetOrgId"] {
        let (status, json) = changed(&sandbox, &bearer, field, Value::Null);
        assert_eq!(status, 400);
        assert_eq!(
            json["errors"][0]["description"],
            format!("{field} is required")
        );
    }
}

#[test]
fn a_wrong_secret_has_the_documented_text_and_either_status() {
    let sandbox = Sandbox::start();
    let bearer = sandbox.issue_personal_access_token();
    let (status, json) = changed(&sandbox, &bearer, "clientSecret", json!("wrong"));
    assert_eq!(status, 400);
    assert_eq!(json["message"], "Invalid client credentials");
    assert_eq!(
        json["errors"][0]["description"],
        "The provided clientSecret is invalid"
    );
    sandbox.set_policy(|policy| policy.mint_bad_secret.status = 401);
    let (status, _) = changed(&sandbox, &bearer, "clientSecret", json!("wrong"));
    assert_eq!(status, 401);
}

#[test]
fn an_unknown_application_is_404() {
    let sandbox = Sandbox::start();
    let bearer = sandbox.issue_personal_access_token();
    for id in ["C00", &sandbox.tenant().target_org_id] {
        let answer = post(&format!("/v1/applications/{id}/token"))
            .bearer(&bearer)
            .json(&mint_body(&sandbox))
            .send(&sandbox);
        assert_eq!(answer.status, 404);
    }
}

#[test]
fn an_app_that_is_not_authorized_there_is_403() {
    let sandbox = Sandbox::start();
    let bearer = sandbox.issue_personal_access_token();
    let elsewhere = json!("00000000-0000-4000-8000-000000000000");
    assert_eq!(changed(&sandbox, &bearer, "targetOrgId", elsewhere).0, 403);
    sandbox.set_policy(|policy| {
        policy.mint_not_authorized = Refusal::new(404, "", "No").shape(ErrorShape::Gateway);
    });
    sandbox.deauthorize_service_app();
    assert_eq!(mint(&sandbox, &bearer).send(&sandbox).status, 404);
}

#[test]
fn deauthorizing_kills_the_service_apps_tokens_for_good() {
    // Provider sample: de-authorizing deletes the machine account.
    let sandbox = Sandbox::start();
    let bearer = sandbox.issue_personal_access_token();
    let tokens = sandbox.issue_service_app_tokens();
    sandbox.deauthorize_service_app();
    assert!(!sandbox.is_live(&tokens.access_token));
    assert_eq!(mint(&sandbox, &bearer).send(&sandbox).status, 403);
    sandbox.reauthorize_service_app();
    assert!(!sandbox.is_live_refresh_token(&tokens.refresh_token));
    assert_eq!(mint(&sandbox, &bearer).send(&sandbox).status, 200);
}

#[test]
fn a_mint_returns_the_existing_refresh_token_a_new_one_or_none() {
    let sandbox = Sandbox::start();
    let bearer = sandbox.issue_personal_access_token();
    let first = mint(&sandbox, &bearer).send(&sandbox);
    let existing = text(&first, "/refresh_token");
    let again = mint(&sandbox, &bearer).send(&sandbox);
    assert_eq!(text(&again, "/refresh_token"), existing);
    assert_ne!(text(&again, "/access_token"), text(&first, "/access_token"));
    sandbox.set_policy(|policy| policy.mint_refresh_token = MintRefreshToken::New);
    let new = mint(&sandbox, &bearer).send(&sandbox);
    assert_ne!(text(&new, "/refresh_token"), existing);
    assert!(sandbox.is_live_refresh_token(&existing));
    sandbox.set_policy(|policy| policy.mint_refresh_token = MintRefreshToken::Absent);
    let none = mint(&sandbox, &bearer).send(&sandbox).json();
    assert!(none.get("refresh_token").is_none(), "{none}");
}

#[test]
fn a_mint_after_the_refresh_token_died_brings_a_new_one() {
    let sandbox = with(|policy| policy.mint_refresh_token = MintRefreshToken::Existing);
    let bearer = sandbox.issue_personal_access_token();
    let tokens = sandbox.issue_service_app_tokens();
    sandbox.expire(&tokens.refresh_token);
    let answer = mint(&sandbox, &bearer).send(&sandbox);
    assert_ne!(text(&answer, "/refresh_token"), tokens.refresh_token);
}

/// Mints with one field of the body changed, or removed where it is null.
fn changed(sandbox: &Sandbox, bearer: &str, field: &str, value: Value) -> (u16, Value) {
    let mut body = mint_body(sandbox);
    match value {
        Value::Null => drop(body.as_object_mut().unwrap().remove(field)),
        value => body[field] = value,
    }
    let target = format!("/v1/applications/{}/token", sandbox.tenant().app_id);
    let answer = post(&target).bearer(bearer).json(&body).send(sandbox);
    (answer.status, answer.json())
}

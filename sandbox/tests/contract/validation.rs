//! Probes of a token: `tokenExpiry` (authorizations page), `people/me`, the list of data sources.

use std::time::{Duration, UNIX_EPOCH};

use webex_sandbox::{ErrorShape, Grant, PEOPLE_SCOPE, READ_SCOPE, Refusal, Sandbox};

use crate::{client::get, text};

#[test]
fn token_expiry_is_in_milliseconds() {
    let sandbox = Sandbox::start();
    let personal = sandbox.issue_personal_access_token();
    let json = get("/v1/authorizations/tokenExpiry")
        .bearer(&personal)
        .send(&sandbox)
        .json();
    let expires_at = UNIX_EPOCH + Duration::from_millis(json["exp"].as_u64().unwrap());
    let left = expires_at.duration_since(sandbox.now()).unwrap();
    assert!(left <= Duration::from_hours(12), "{left:?}");
    assert!(left > Duration::from_hours(12) - Duration::from_mins(1));
}

#[test]
fn missing_garbage_expired_and_revoked_tokens_look_the_same() {
    let sandbox = Sandbox::start();
    let live = sandbox.issue_service_app_tokens().access_token;
    let expired = sandbox.issue_service_app_tokens().access_token;
    sandbox.expire(&expired);
    let revoked = sandbox.issue_service_app_tokens().access_token;
    sandbox.revoke(&revoked);
    for path in [
        "/v1/authorizations/tokenExpiry",
        "/v1/people/me",
        "/v1/dataSources",
        "/v1/dataSources/schemas",
    ] {
        let asks = [
            get(path),
            get(path).bearer("garbage"),
            get(path).header("Authorization", &format!("Token {live}")),
            get(path).bearer(&expired),
            get(path).bearer(&revoked),
        ];
        for ask in asks {
            let answer = ask.send(&sandbox);
            assert_eq!(answer.status, 401);
            assert_eq!(
                text(&answer, "/message"),
                "The request requires a valid access token set in the Authorization request \
                 header."
            );
            assert_eq!(
                text(&answer, "/message"),
                text(&answer, "/errors/0/description")
            );
            assert!(text(&answer, "/trackingId").starts_with("ROUTERGW_"));
            assert_eq!(
                answer.header("trackingid"),
                Some(text(&answer, "/trackingId").as_str())
            );
        }
    }
}

#[test]
fn the_newer_gateways_401_is_a_switch() {
    let sandbox = Sandbox::start();
    sandbox.set_policy(|policy| {
        policy.unauthorized =
            Refusal::new(401, "", "Invalid or expired access token.").shape(ErrorShape::Gateway);
    });
    let json = get("/v1/dataSources")
        .bearer("garbage")
        .send(&sandbox)
        .json();
    assert_eq!(json["code"], 401);
    assert!(json["trackingId"].as_str().unwrap().starts_with("GTWY_"));
}

#[test]
fn a_live_token_without_the_scope_is_403_with_or_without_errors() {
    let sandbox = Sandbox::start();
    let tokens = sandbox.issue_with(Grant::ServiceApp, &[PEOPLE_SCOPE]);
    let ask = get("/v1/dataSources").bearer(&tokens.access_token);
    let json = ask.send(&sandbox).json();
    assert!(
        json["message"]
            .as_str()
            .unwrap()
            .contains("missing required scopes"),
        "{json}"
    );
    assert!(json.get("errors").is_none(), "{json}");
    sandbox.set_policy(|policy| policy.forbidden.shape = ErrorShape::Webex);
    let answer = ask.send(&sandbox);
    assert_eq!(answer.status, 403);
    assert!(answer.json().get("errors").is_some());
}

#[test]
fn data_sources_belong_to_a_service_app_not_to_a_person() {
    let sandbox = Sandbox::start();
    let tokens = sandbox.issue_with(Grant::PersonalAccessToken, &[READ_SCOPE]);
    let answer = get("/v1/dataSources")
        .bearer(&tokens.access_token)
        .send(&sandbox);
    assert_eq!(answer.status, 403);
}

#[test]
fn people_me_needs_its_scope_and_says_who_is_asking() {
    let sandbox = Sandbox::start();
    let me = |token: &str| get("/v1/people/me").bearer(token).send(&sandbox);
    let personal = me(&sandbox.issue_personal_access_token());
    assert_eq!(text(&personal, "/id"), sandbox.tenant().developer_id);
    assert_eq!(
        text(&personal, "/emails/0"),
        sandbox.tenant().developer_email
    );
    let machine = sandbox.issue_with(Grant::ServiceApp, &[PEOPLE_SCOPE]);
    let machine = me(&machine.access_token);
    assert_ne!(text(&machine, "/id"), text(&personal, "/id"));
    let integration = sandbox.issue_integration_tokens().access_token;
    assert_eq!(me(&integration).status, 403);
}

#[test]
fn time_passes_when_it_is_advanced() {
    let sandbox = Sandbox::start();
    let tokens = sandbox.issue_service_app_tokens();
    sandbox.advance(Duration::from_secs(tokens.expires_in - 60));
    assert!(sandbox.is_live(&tokens.access_token));
    sandbox.advance(Duration::from_mins(1));
    assert!(!sandbox.is_live(&tokens.access_token));
    let answer = get("/v1/dataSources")
        .bearer(&tokens.access_token)
        .send(&sandbox);
    assert_eq!(answer.status, 401);
}

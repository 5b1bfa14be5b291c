//! The device authorization grant: login guide, "Device Grant"; RFC 8628.

use std::time::Duration;

use webex_sandbox::{MINT_SCOPE, Refusal, Sandbox};

use crate::{
    client::{Answer, get, post},
    text,
};

fn begin(sandbox: &Sandbox) -> Answer {
    let client_id = sandbox.tenant().integration_client_id;
    post("/v1/device/authorize")
        .form(&[("client_id", &client_id), ("scope", MINT_SCOPE)])
        .send(sandbox)
}

fn poll(sandbox: &Sandbox, device_code: &str) -> Answer {
    let tenant = sandbox.tenant();
    post("/v1/device/token")
        .basic(
            &tenant.integration_client_id,
            &tenant.integration_client_secret,
        )
        .form(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", device_code),
            ("client_id", &tenant.integration_client_id),
        ])
        .send(sandbox)
}

#[test]
fn a_device_code_has_the_fields_of_the_login_guide() {
    let sandbox = Sandbox::start();
    let answer = begin(&sandbox);
    let json = answer.json();
    assert_eq!(json["expires_in"], 300);
    assert_eq!(json["interval"], 2);
    let user_code = text(&answer, "/user_code");
    assert!(user_code.len() == 6 && user_code.bytes().all(|digit| digit.is_ascii_digit()));
    assert_eq!(text(&answer, "/device_code").len(), 36);
    let verification_uri = format!("{}/verify", sandbox.origin());
    assert_eq!(text(&answer, "/verification_uri"), verification_uri);
    assert!(
        text(&answer, "/verification_uri_complete")
            .starts_with(&format!("{verification_uri}?userCode="))
    );
}

#[test]
fn a_bad_client_id_has_the_documented_body() {
    let sandbox = Sandbox::start();
    let answer = post("/v1/device/authorize")
        .form(&[("client_id", "C0"), ("scope", MINT_SCOPE)])
        .send(&sandbox);
    assert_eq!(answer.status, 400);
    assert_eq!(
        text(&answer, "/message"),
        "The request could not be understood by the server due to malformed syntax."
    );
    assert_eq!(
        text(&answer, "/errors/0/description"),
        "Client Id is invalid"
    );
}

#[test]
fn a_poll_is_428_until_the_user_allows_on_the_verification_page() {
    let sandbox = Sandbox::start();
    let begun = begin(&sandbox);
    let device_code = text(&begun, "/device_code");
    let pending = poll(&sandbox, &device_code);
    assert_eq!(pending.status, 428);
    assert_eq!(
        text(&pending, "/errors/0/description"),
        "authorization_pending"
    );

    let complete = text(&begun, "/verification_uri_complete");
    let page = get(complete.strip_prefix(sandbox.origin()).unwrap()).send(&sandbox);
    let user_code = text(&begun, "/user_code");
    assert!(page.text().contains(&user_code), "{}", page.text());
    let allow = post("/verify").form(&[("user_code", &user_code), ("decision", "allow")]);
    assert_eq!(allow.send(&sandbox).status, 200);
    assert_eq!(allow.send(&sandbox).status, 400, "decided once");

    sandbox.advance(Duration::from_secs(2));
    let granted = poll(&sandbox, &device_code);
    assert_eq!(granted.status, 200);
    assert!(sandbox.is_live(&text(&granted, "/access_token")));
    sandbox.advance(Duration::from_secs(2));
    let again = poll(&sandbox, &device_code);
    assert_eq!(text(&again, "/errors/0/description"), "invalid_grant");
}

#[test]
fn a_denial_is_access_denied() {
    let sandbox = Sandbox::start();
    let begun = begin(&sandbox);
    sandbox.decide_device(&text(&begun, "/user_code"), false);
    let answer = poll(&sandbox, &text(&begun, "/device_code"));
    assert_eq!(answer.status, 400);
    assert_eq!(text(&answer, "/errors/0/description"), "access_denied");
}

#[test]
fn polling_too_fast_is_slow_down_with_a_status_of_choice() {
    let sandbox = Sandbox::start();
    let device_code = text(&begin(&sandbox), "/device_code");
    poll(&sandbox, &device_code);
    let answer = poll(&sandbox, &device_code);
    assert_eq!(answer.status, 400);
    assert_eq!(text(&answer, "/errors/0/description"), "slow_down");
    sandbox.set_policy(|policy| policy.device_slow_down.status = 429);
    assert_eq!(poll(&sandbox, &device_code).status, 429);
}

#[test]
fn pending_life_and_interval_are_switches() {
    let sandbox = Sandbox::start();
    sandbox.set_policy(|policy| {
        policy.device_pending = Refusal::new(400, "authorization_pending", "Wait");
        policy.device_code_life = Duration::from_mins(1);
        policy.device_interval = Duration::from_secs(7);
    });
    let begun = begin(&sandbox);
    assert_eq!(begun.json()["expires_in"], 60);
    assert_eq!(begun.json()["interval"], 7);
    let device_code = text(&begun, "/device_code");
    assert_eq!(poll(&sandbox, &device_code).status, 400);
    sandbox.advance(Duration::from_mins(1));
    let answer = poll(&sandbox, &device_code);
    assert_eq!(text(&answer, "/errors/0/description"), "invalid_grant");
}

#[test]
fn a_poll_needs_http_basic_and_the_device_grant_type() {
    let sandbox = Sandbox::start();
    let tenant = sandbox.tenant();
    let device_code = text(&begin(&sandbox), "/device_code");
    let in_body = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", &device_code),
        ("client_id", &tenant.integration_client_id),
        ("client_secret", &tenant.integration_client_secret),
    ];
    let answer = post("/v1/device/token").form(&in_body).send(&sandbox);
    assert_eq!(text(&answer, "/errors/0/description"), "invalid_client");
    let answer = post("/v1/device/token")
        .basic(
            &tenant.integration_client_id,
            &tenant.integration_client_secret,
        )
        .form(&[("grant_type", "device_code"), ("device_code", &device_code)])
        .send(&sandbox);
    assert_eq!(
        text(&answer, "/errors/0/description"),
        "unsupported_grant_type"
    );
}

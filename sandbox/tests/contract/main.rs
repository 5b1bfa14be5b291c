//! What this Webex promises, point by point, each with the page or recording it follows.
//!
//! "Login guide" is <https://developer.webex.com/create/docs/login-with-webex>, "service apps
//! page" <https://developer.webex.com/admin/docs/api/v1/service-apps>, "API description" the
//! data-source and authorization operations of `webex/webex-openapi-specs`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that finds nothing where something is promised has failed"
)]

mod authorize;
mod client;
mod data_sources;
mod device;
mod faults;
mod gates;
mod judge;
mod mint;
mod program;
mod server;
mod tls;
mod token_endpoint;
mod validation;

use client::{Answer, Ask, post};
use serde_json::{Value, json};
use webex_sandbox::{Policy, Sandbox};

const TOKEN: &str = "/v1/access_token";

/// A refresh request by the service app.
fn refresh(sandbox: &Sandbox, refresh_token: &str) -> Ask {
    let tenant = sandbox.tenant();
    post(TOKEN).form(&[
        ("grant_type", "refresh_token"),
        ("client_id", &tenant.client_id),
        ("client_secret", &tenant.client_secret),
        ("refresh_token", refresh_token),
    ])
}

/// The body of a mint request.
fn mint_body(sandbox: &Sandbox) -> Value {
    let tenant = sandbox.tenant();
    json!({
        "clientId": tenant.client_id,
        "clientSecret": tenant.client_secret,
        "targetOrgId": tenant.target_org_id,
    })
}

/// A mint request.
fn mint(sandbox: &Sandbox, bearer: &str) -> Ask {
    let target = format!("/v1/applications/{}/token", sandbox.tenant().app_id);
    post(&target).bearer(bearer).json(&mint_body(sandbox))
}

/// A sandbox with switches set.
fn with(change: impl FnOnce(&mut Policy)) -> Sandbox {
    let mut policy = Policy::default();
    change(&mut policy);
    Sandbox::builder().policy(policy).start()
}

/// The text at a JSON pointer of an answer.
fn text(answer: &Answer, pointer: &str) -> String {
    let json = answer.json();
    match json.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        other => panic!("{pointer} is {other:?} in {json}"),
    }
}

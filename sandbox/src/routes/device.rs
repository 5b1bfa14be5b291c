//! The device authorization grant: <https://developer.webex.com/create/docs/login-with-webex>.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Extension, State},
    http::{HeaderMap, Response, Uri},
    routing::{get, post},
};

use super::{Call, basic, form, form_body, page};
use crate::{
    reply::{Refusal, Reply},
    serve::Shared,
};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/device/authorize", post(authorize))
        .route("/v1/device/token", post(token))
        .route("/verify", get(verify).post(decide))
}

async fn authorize(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let Some(form) = form_body(&headers, &body) else {
        return call.response(Refusal::standard(415).into());
    };
    let now = shared.now();
    let reply = shared.world().device_authorize(&form, now);
    call.response(reply)
}

async fn token(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let Some(form) = form_body(&headers, &body) else {
        return call.response(Refusal::standard(415).into());
    };
    let now = shared.now();
    let reply = shared
        .world()
        .device_token(&form, basic(&headers), &call.issue, now);
    call.response(reply)
}

async fn verify(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    uri: Uri,
) -> Response<Body> {
    let query = form(uri.query().unwrap_or_default().as_bytes());
    let user_code = query
        .get("userCode")
        .and_then(|link_code| shared.world().user_code(link_code))
        .unwrap_or_default();
    call.response(Reply::html(200, page::verify(&user_code)))
}

async fn decide(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    body: Bytes,
) -> Response<Body> {
    let fields = form(&body);
    let user_code = fields.get("user_code").map_or("", String::as_str).trim();
    let allow = fields
        .get("decision")
        .is_some_and(|choice| choice == "allow");
    let now = shared.now();
    let is_decided = shared.world().decide_device(user_code, allow, now);
    let reply = match (is_decided, allow) {
        (false, _) => Reply::html(
            400,
            page::message(
                "This did not work",
                "This code is not known or no longer valid.",
            ),
        ),
        (true, true) => Reply::html(
            200,
            page::message("Device connected", "You can close this page."),
        ),
        (true, false) => Reply::html(
            200,
            page::message("Access denied", "The device was not connected."),
        ),
    };
    call.response(reply)
}

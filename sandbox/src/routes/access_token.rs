//! The token endpoint: <https://developer.webex.com/create/docs/login-with-webex>.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Extension, State},
    http::{HeaderMap, Response},
    routing::post,
};

use super::{Call, basic, form_body};
use crate::{reply::Refusal, serve::Shared};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/access_token", post(access_token))
}

async fn access_token(
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
        .access_token(&form, basic(&headers), &call.issue, now);
    call.response(reply)
}

//! People: <https://developer.webex.com/docs/api/v1/people>. Only `/people/me`.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Extension, State},
    http::{HeaderMap, Response},
    routing::get,
};

use super::{Call, bearer};
use crate::serve::Shared;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/people/me", get(me))
}

async fn me(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
) -> Response<Body> {
    let now = shared.now();
    let reply = shared.world().people_me(bearer(&headers), now);
    call.response(reply)
}

//! Service apps: <https://developer.webex.com/admin/docs/api/v1/service-apps>.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Extension, Path, State},
    http::{HeaderMap, Response},
    routing::post,
};

use super::{Call, bearer, json_body};
use crate::serve::Shared;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/applications/{application_id}/token", post(mint))
}

async fn mint(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    Path(application_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let now = shared.now();
    let reply = shared.world().mint(
        bearer(&headers),
        &application_id,
        json_body(&body).as_ref(),
        &call.issue,
        now,
    );
    call.response(reply)
}

//! Data sources: <https://developer.webex.com/admin/docs/api/v1/data-sources>, and the keys that
//! their receivers verify JWS tokens with.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Extension, Path, State},
    http::{HeaderMap, Response, Uri},
    routing::get,
};

use super::{Call, bearer, form, json_body};
use crate::{
    jws::{key_set, sign},
    reply::Reply,
    serve::Shared,
    world::Page,
};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/dataSources", get(list).post(register))
        .route("/v1/dataSources/{id}", get(read).put(update).delete(remove))
        .route("/v1/dataSources/schemas", get(schemas))
        .route("/v1/dataSources/schemas/{id}", get(schema))
        .route("/idb/oauth2/v2/keys/verificationjwk", get(keys))
}

async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    uri: Uri,
) -> Response<Body> {
    let first = form(uri.query().unwrap_or_default().as_bytes())
        .get("cursor")
        .and_then(|cursor| cursor.parse().ok())
        .unwrap_or_default();
    let now = shared.now();
    let reply = shared
        .world()
        .list_data_sources(bearer(&headers), Page { first }, &sign, now);
    call.response(reply)
}

async fn register(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let now = shared.now();
    let body = json_body(&body);
    let reply = shared
        .world()
        .register_data_source(bearer(&headers), body.as_ref(), &sign, now);
    call.response(reply)
}

async fn read(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let now = shared.now();
    let reply = shared
        .world()
        .read_data_source(bearer(&headers), &id, &sign, now);
    call.response(reply)
}

async fn update(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let now = shared.now();
    let body = json_body(&body);
    let reply = shared
        .world()
        .update_data_source(bearer(&headers), &id, body.as_ref(), &sign, now);
    call.response(reply)
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let now = shared.now();
    let reply = shared
        .world()
        .delete_data_source(bearer(&headers), &id, now);
    call.response(reply)
}

async fn schemas(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
) -> Response<Body> {
    let now = shared.now();
    let reply = shared.world().schemas(bearer(&headers), None, now);
    call.response(reply)
}

async fn schema(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let now = shared.now();
    let reply = shared.world().schemas(bearer(&headers), Some(&id), now);
    call.response(reply)
}

async fn keys(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
) -> Response<Body> {
    let rotations = shared.world().signing_key().rotations;
    call.response(Reply::json(200, key_set(rotations)))
}

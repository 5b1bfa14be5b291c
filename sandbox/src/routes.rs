//! HTTP in, a question to the world, HTTP out. One file for each page of the API reference.

mod access_token;
mod applications;
mod authorizations;
mod authorize;
mod data_sources;
mod device;
mod page;
mod people;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Extension, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    reply::{self, Refusal, Reply},
    serve::Shared,
    world::{ClientCredentials, Form, Issue},
};

/// What a handler is given besides the request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// A UUID for this request's `trackingId`.
    pub(crate) tracking: String,
    /// How issuing departs from the ordinary.
    pub(crate) issue: Issue,
}

/// Every route. Paths have arrived in their canonical spelling.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .merge(access_token::routes())
        .merge(applications::routes())
        .merge(authorizations::routes())
        .merge(authorize::routes())
        .merge(data_sources::routes())
        .merge(device::routes())
        .merge(people::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .with_state(shared)
}

async fn not_found(Extension(call): Extension<Call>) -> Response<Body> {
    call.response(Refusal::standard(404).into())
}

async fn not_allowed(
    State(_): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    method: Method,
    uri: Uri,
) -> Response<Body> {
    let description = format!("{method} is not supported on {}", uri.path());
    call.response(Refusal::new(405, &description, "Method not allowed.").into())
}

impl Call {
    /// Writes a reply out, with its `trackingId`.
    pub(crate) fn response(&self, reply: Reply) -> Response<Body> {
        let mut tracking_id = format!("ROUTER_{}", self.tracking);
        let (content_type, body) = match reply.body {
            reply::Body::Empty => (None, Body::empty()),
            reply::Body::Json(value) => (Some(JSON), Body::from(value.to_string())),
            reply::Body::Html(html) => (Some("text/html; charset=utf-8"), Body::from(html)),
            reply::Body::Refused(refusal) => {
                tracking_id = refusal.tracking_id(&self.tracking);
                let body = refusal.body(&self.tracking).to_string();
                (Some(JSON), Body::from(body))
            }
        };
        let mut response = Response::new(body);
        if let Ok(status) = reply.status.try_into() {
            *response.status_mut() = status;
        }
        let headers = response.headers_mut();
        let own = [("trackingid", tracking_id.as_str())];
        let own = own
            .into_iter()
            .chain(content_type.map(|kind| ("content-type", kind)));
        let given = reply
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(given) {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                headers.insert(name, value);
            }
        }
        response
    }
}

const JSON: &str = "application/json;charset=UTF-8";

/// The fields of `application/x-www-form-urlencoded` text.
pub(crate) fn form(text: &[u8]) -> Form {
    form_urlencoded::parse(text).into_owned().collect()
}

/// The fields of a form body; `None` for any other media type.
fn form_body(headers: &HeaderMap, body: &[u8]) -> Option<Form> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    kind.starts_with("application/x-www-form-urlencoded")
        .then(|| form(body))
}

/// A JSON body.
fn json_body(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

/// The bearer token of a request (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// The client credentials of HTTP Basic (RFC 6749 §2.3.1), percent-decoded as that asks.
pub(crate) fn basic(headers: &HeaderMap) -> Option<ClientCredentials> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some(ClientCredentials {
        id: form_decoded(id),
        secret: form_decoded(secret),
    })
}

fn form_decoded(text: &str) -> String {
    form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

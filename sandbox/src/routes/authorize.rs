//! The authorization endpoint, as a browser sees it:
//! <https://developer.webex.com/create/docs/login-with-webex>.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Extension, State},
    http::{Response, Uri},
    routing::{get, post},
};

use super::{Call, form, page};
use crate::{
    reply::Reply,
    serve::Shared,
    world::{Form, Prompt},
};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/authorize", get(begin))
        .route("/v1/authorize/sign-in", post(sign_in))
        .route("/v1/authorize/decision", post(decide))
}

async fn begin(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    uri: Uri,
) -> Response<Body> {
    let query = form(uri.query().unwrap_or_default().as_bytes());
    let prompt = shared.world().begin_authorization(&query);
    call.response(shown(prompt))
}

async fn sign_in(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    body: Bytes,
) -> Response<Body> {
    let prompt = shared.world().sign_in(request(&form(&body)));
    call.response(shown(prompt))
}

async fn decide(
    State(shared): State<Arc<Shared>>,
    Extension(call): Extension<Call>,
    body: Bytes,
) -> Response<Body> {
    let fields = form(&body);
    let allow = fields
        .get("decision")
        .is_some_and(|choice| choice == "allow");
    let now = shared.now();
    let prompt = shared.world().decide(request(&fields), allow, now);
    call.response(shown(prompt))
}

fn request(fields: &Form) -> &str {
    fields.get("request").map_or("", String::as_str)
}

fn shown(prompt: Prompt) -> Reply {
    match prompt {
        Prompt::SignIn { request, email } => Reply::html(200, page::sign_in(&request, &email)),
        Prompt::Consent {
            request,
            email,
            scopes,
        } => Reply::html(200, page::consent(&request, &email, &scopes)),
        Prompt::Problem { status, text } => {
            Reply::html(status, page::message("This did not work", text))
        }
        Prompt::Redirect(location) => Reply::redirect(location),
    }
}

//! Connections: every request is logged, held at gates, answered by the routes, and spoilt where a
//! fault says so.
//!
//! hyper drives each connection itself, because a service that fails makes it close the connection
//! without a byte, and a body that fails makes it close in the middle.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Request as HttpRequest, Response, header},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::{
    clock::Clock,
    endpoint::{Endpoint, canonical_path},
    fault::{Answer, Fault, Script},
    gate::{Gates, Position},
    judge::Strike,
    jws,
    log::{Log, Request},
    routes::{self, Call},
    sandbox::Weather,
    world::World,
};

/// Everything the server and the test share.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) gates: Gates,
    weather: Option<Weather>,
    world: Mutex<World>,
    script: Mutex<Script>,
    log: Mutex<Log>,
    keeps_log: bool,
    connections: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        world: World,
        clock: Clock,
        weather: Option<Weather>,
        keeps_log: bool,
    ) -> Self {
        Self {
            clock,
            weather,
            gates: Gates::default(),
            world: Mutex::new(world),
            script: Mutex::default(),
            log: Mutex::default(),
            keeps_log,
            connections: AtomicU64::new(0),
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Accepts connections until the future is dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    door: usize,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
) {
    let router = routes::router(Arc::clone(&shared));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        // Without this a reply written in two pieces waits for a delayed acknowledgement.
        if socket.set_nodelay(true).is_err() {
            continue;
        }
        let from = Whence {
            door,
            connection: shared.connections.fetch_add(1, Ordering::Relaxed) + 1,
        };
        shared.world().counts.connections += 1;
        let (shared, router, tls) = (Arc::clone(&shared), router.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => connection(socket, from, router, shared).await,
                Some(acceptor) => {
                    if let Ok(socket) = acceptor.accept(socket).await {
                        connection(socket, from, router, shared).await;
                    }
                }
            }
        });
    }
}

/// Where a request comes in.
#[derive(Clone, Copy)]
struct Whence {
    /// The listener: 0 is the one that the base URL names.
    door: usize,
    /// 1 is the first connection that was accepted.
    connection: u64,
}

async fn connection<S>(socket: S, from: Whence, router: Router, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let (shared, router) = (Arc::clone(&shared), router.clone());
        answer(request, from, router, shared)
    });
    // A connection that ends in an error is a client that left or a fault that was asked for.
    let _ended = http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

/// The connection ends here without a further byte.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the connection was dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

async fn answer(
    request: HttpRequest<Incoming>,
    from: Whence,
    router: Router,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Dropped> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let entry = describe(&parts, &body, from.connection, shared.now());
    let path = canonical_path(parts.uri.path());
    let client_id = routes::basic(&parts.headers)
        .map(|credentials| credentials.id)
        .or_else(|| entry.form.get("client_id").cloned())
        .unwrap_or_default();
    let service_app = shared.world().tenant().client_id.clone();
    let endpoints = Endpoint::of(&entry.method, &path, &client_id, &entry.form, &service_app);
    let scripted = shared.script().take(&endpoints);
    let fault = scripted.or_else(|| shared.weather.as_ref()?(endpoints[0], from.door));
    let strike = match &fault {
        None => Strike::Spared,
        Some(fault) if fault.leaves_in_the_dark() => Strike::InTheDark,
        Some(_) => Strike::Refused,
    };
    if let Some(judge) = &mut shared.world().judge {
        judge.arrived(from.door, endpoints[0], strike);
        if let Some(bearer) = entry.bearer() {
            judge.used(from.door, bearer);
        }
    }
    let _unanswered = Unanswered {
        shared: Arc::clone(&shared),
        door: from.door,
    };
    let _refreshing = Refreshing::note(&shared, from.door, &endpoints, &entry.form);
    let id = if shared.keeps_log {
        shared.log().arrived(entry)
    } else {
        0
    };

    shared.gates.pass(&endpoints, Position::BeforeActing).await;
    if let Some(delay) = fault.as_ref().and_then(|fault| fault.delay) {
        tokio::time::sleep(delay).await;
    }
    let acts = fault.as_ref().is_none_or(|fault| fault.acts);
    let call = Call {
        tracking: shared.world().uuid(),
        issue: fault
            .as_ref()
            .map(|fault| fault.issue.clone())
            .unwrap_or_default(),
    };
    if acts && needs_key(&endpoints, &shared) {
        prepare_jws(&endpoints, &shared).await;
    }
    let usual = if acts {
        let query = parts.uri.query().map(|query| format!("?{query}"));
        if let Ok(uri) = format!("{path}{}", query.unwrap_or_default()).parse() {
            parts.uri = uri;
        }
        parts.extensions.insert(call.clone());
        let request = HttpRequest::from_parts(parts, Body::from(body));
        let Ok(response) = router.oneshot(request).await;
        response
    } else {
        Response::new(Body::from("{}"))
    };
    shared
        .gates
        .pass(&endpoints, Position::BeforeAnswering)
        .await;
    let response = match fault {
        None => usual,
        Some(fault) => spoil(fault, usual, &call).await?,
    };
    if shared.keeps_log {
        shared.log().answered(id, response.status().as_u16());
    }
    Ok(response)
}

/// Whether answering may take a JWS.
fn needs_key(endpoints: &[Endpoint], shared: &Shared) -> bool {
    match endpoints[0] {
        Endpoint::RegisterDataSource | Endpoint::VerificationKeys => true,
        Endpoint::DataSources | Endpoint::ReadDataSource | Endpoint::UpdateDataSource => {
            shared.world().has_data_sources()
        }
        _ => false,
    }
}

/// Makes the keys, and for the list every signature it shows, on threads that may block: other
/// requests are answered meanwhile.
async fn prepare_jws(endpoints: &[Endpoint], shared: &Arc<Shared>) {
    let (key, unsigned) = {
        let world = shared.world();
        let unsigned = match endpoints[0] {
            Endpoint::DataSources => world.unsigned(),
            _ => Vec::new(),
        };
        (world.signing_key(), unsigned)
    };
    if jws::is_ready(key) && unsigned.is_empty() {
        return;
    }
    let signing = tokio::task::spawn_blocking(move || {
        jws::prepare(key);
        let signed = jws::sign_all(&unsigned);
        (unsigned, signed)
    });
    match signing.await {
        Ok((unsigned, signed)) => shared.world().take_signatures(&unsigned, signed),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Tells the judge when a request is not to be answered any more.
struct Unanswered {
    shared: Arc<Shared>,
    door: usize,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(judge) = &mut self.shared.world().judge {
            judge.answered(self.door);
        }
    }
}

/// Counts a refresh request as in flight for as long as it is unanswered.
struct Refreshing {
    shared: Arc<Shared>,
    door: usize,
    token: String,
}

impl Refreshing {
    /// Also counts what arrived.
    fn note(
        shared: &Arc<Shared>,
        door: usize,
        endpoints: &[Endpoint],
        form: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let mut world = shared.world();
        world.counts.requests += 1;
        match endpoints[0] {
            Endpoint::Mint => world.counts.mint_requests += 1,
            Endpoint::DataSources => world.counts.validations += 1,
            Endpoint::ServiceAppRefresh | Endpoint::IntegrationRefresh => {
                world.counts.refresh_requests += 1;
                let token = form.get("refresh_token").cloned().unwrap_or_default();
                world.refresh_arrived(door, &token, shared.clock.now());
                return Some(Self {
                    shared: Arc::clone(shared),
                    door,
                    token,
                });
            }
            _ => {}
        }
        None
    }
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.shared.world().refresh_left(self.door, &self.token);
    }
}

/// Turns the usual answer into the one a fault asks for.
async fn spoil(
    fault: Fault,
    usual: Response<Body>,
    call: &Call,
) -> Result<Response<Body>, Dropped> {
    let mut response = match fault.answer {
        Answer::AsUsual => usual,
        Answer::Drop => return Err(Dropped),
        Answer::Never => std::future::pending().await,
        Answer::Refused(refusal) => call.response(refusal.into()),
        Answer::Given {
            status,
            content_type,
            body,
        } => given(status, content_type.as_deref(), body),
        Answer::HalfBody => half(usual).await,
        Answer::CutShort => {
            let (parts, body) = taken(usual).await;
            let half = body.slice(..body.len() / 2);
            rebuilt(parts, Body::from(half))
        }
        Answer::Edited(edits) => {
            edited(usual, |json| {
                for (field, value) in edits {
                    match (json.as_object_mut(), value) {
                        (Some(object), Some(value)) => drop(object.insert(field, value)),
                        (Some(object), None) => drop(object.remove(&field)),
                        (None, _) => {}
                    }
                }
            })
            .await
        }
        Answer::NumbersAsStrings => edited(usual, numbers_to_strings).await,
        Answer::Padded { bytes, chunked } => padded(usual, bytes, chunked).await,
        Answer::Endless => endless(usual).await,
    };
    set_headers(response.headers_mut(), &fault.headers);
    Ok(response)
}

fn given(status: u16, content_type: Option<&str>, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    if let Ok(status) = status.try_into() {
        *response.status_mut() = status;
    }
    let content_type = content_type.map(|value| ("content-type".to_owned(), value.to_owned()));
    set_headers(response.headers_mut(), content_type.as_slice());
    response
}

fn set_headers(headers: &mut HeaderMap, given: &[(String, String)]) {
    for (name, value) in given {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::try_from(value.as_str()),
        ) {
            headers.append(name, value);
        }
    }
}

async fn taken(response: Response<Body>) -> (axum::http::response::Parts, Bytes) {
    let (mut parts, body) = response.into_parts();
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => Bytes::new(),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    (parts, bytes)
}

fn rebuilt(parts: axum::http::response::Parts, body: Body) -> Response<Body> {
    Response::from_parts(parts, body)
}

/// Declares the whole body, sends half of it, and fails.
async fn half(usual: Response<Body>) -> Response<Body> {
    let (mut parts, body) = taken(usual).await;
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let half = body.slice(..body.len() / 2);
    let failure = async {
        // hyper writes out what it has whenever the body makes it wait.
        tokio::task::yield_now().await;
        Err(Dropped)
    };
    let pieces = stream::iter([Ok(half)]).chain(stream::once(failure));
    rebuilt(parts, Body::from_stream(pieces))
}

async fn edited(usual: Response<Body>, edit: impl FnOnce(&mut Value)) -> Response<Body> {
    let (parts, body) = taken(usual).await;
    let body = match serde_json::from_slice::<Value>(&body) {
        Ok(mut json) => {
            edit(&mut json);
            Bytes::from(json.to_string())
        }
        Err(_) => body,
    };
    rebuilt(parts, Body::from(body))
}

fn numbers_to_strings(json: &mut Value) {
    match json {
        Value::Number(number) => *json = Value::from(number.to_string()),
        Value::Array(items) => items.iter_mut().for_each(numbers_to_strings),
        Value::Object(fields) => fields.values_mut().for_each(numbers_to_strings),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

async fn padded(usual: Response<Body>, bytes: usize, chunked: bool) -> Response<Body> {
    let (parts, body) = taken(usual).await;
    let mut whole = body.to_vec();
    whole.resize(bytes.max(whole.len()), b' ');
    let whole = Bytes::from(whole);
    if chunked {
        let pieces = (0..whole.len()).step_by(CHUNK).map(move |start| {
            Ok::<_, Infallible>(whole.slice(start..whole.len().min(start + CHUNK)))
        });
        rebuilt(parts, Body::from_stream(stream::iter(pieces)))
    } else {
        rebuilt(parts, Body::from(whole))
    }
}

async fn endless(usual: Response<Body>) -> Response<Body> {
    let (parts, body) = taken(usual).await;
    let spaces = Bytes::from(vec![b' '; CHUNK]);
    let pieces = std::iter::once(body).chain(std::iter::repeat(spaces));
    let pieces = pieces.map(Ok::<_, Infallible>);
    rebuilt(parts, Body::from_stream(stream::iter(pieces)))
}

const CHUNK: usize = 16 * 1024;

fn describe(
    parts: &axum::http::request::Parts,
    body: &Bytes,
    connection: u64,
    at: Timestamp,
) -> Request {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str().to_owned())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert_with(|| value.to_string());
    }
    let is_form = headers
        .get("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    Request {
        at: SystemTime::from(at),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: routes::form(parts.uri.query().unwrap_or_default().as_bytes()),
        form: if is_form {
            routes::form(body)
        } else {
            BTreeMap::new()
        },
        json: if is_form {
            None
        } else {
            serde_json::from_slice(body).ok()
        },
        headers,
        body: body.to_vec(),
        connection,
        status: None,
        id: 0,
    }
}

//! Waits for the browser on this machine: a server for one page on loopback.
//!
//! Every user and every web page of this machine can connect, so nothing that arrives is trusted
//! before the caller has checked its `state`, and no client can keep another from being served: each
//! connection is a task of its own, heads are bounded in size and time, bodies are not read, and
//! when there are too many connections the oldest that has not asked for anything is closed. The
//! `Host` header must name this machine: a page elsewhere whose name was made to resolve to
//! loopback (DNS rebinding) cannot read an answer.

use std::convert::Infallible;
use std::fmt;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::holder::{self, Holder};
use super::page::{Page, content_security_policy};
use crate::config::Loopback;

/// How many connections may be open at once. A browser opens a handful.
const MOST_CONNECTIONS: usize = 64;

/// How many requests may wait for an answer at once.
const MOST_WAITING: usize = 16;

/// The largest head of a request, its URI included.
const MAX_HEAD: usize = 16 * 1024;

/// How long a client may take to send a head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long, and for how many bytes, what a client still sends is thrown away after its answer. A
/// socket closed with bytes unread is reset, and the answer would be lost with it.
const LINGER: Duration = Duration::from_secs(1);
const MOST_THROWN_AWAY: usize = 256 * 1024;

/// How long [`Listener::close`] waits for answers under way.
const CLOSING: Duration = Duration::from_secs(2);

/// How long to let be, when the system has no descriptor left for a connection.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Why nobody can be waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another program listens on the port.
    #[error(
        "port {port} is taken{}",
        holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default()
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// Who, where that may be known.
        holder: Option<Holder>,
    },
    /// The system does not let this program listen there.
    #[error("cannot listen on port {port}")]
    Refused {
        /// The port.
        port: u16,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// A server on loopback that hands out what arrives at the redirect path.
///
/// It answers from the moment it is bound, and is gone when it is dropped.
#[derive(Debug)]
pub struct Listener {
    port: u16,
    requests: mpsc::Receiver<Request>,
    /// Dropped to close.
    closing: oneshot::Sender<Infallible>,
    /// One task, which ends with this set.
    server: JoinSet<()>,
}

impl Listener {
    /// Listens on IPv4 and IPv6, as a browser may take `localhost` for either. One of them is
    /// enough where the machine has no other.
    ///
    /// Port 0 stands for any that is free on both.
    ///
    /// # Errors
    ///
    /// Another program has the port on one of them, or neither lets itself be listened on.
    pub async fn bind(loopback: &Loopback) -> Result<Self, ListenError> {
        let (port, sockets) = bind_both(loopback).await?;
        let (sender, requests) = mpsc::channel(MOST_WAITING);
        let (closing, closed) = oneshot::channel();
        let site = Arc::new(Site {
            port,
            ipv4: loopback.ipv4,
            path: loopback.path.clone(),
            requests: sender,
        });
        let mut server = JoinSet::new();
        server.spawn(serve(sockets, site, closed));
        Ok(Self {
            port,
            requests,
            closing,
            server,
        })
    }

    /// The port that is listened on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next request for the redirect path. To be cancelled at any time: no request is lost.
    pub async fn next(&mut self) -> Request {
        match self.requests.recv().await {
            Some(request) => request,
            // The server ends with its listener alone.
            None => pending().await,
        }
    }

    /// Gives the port back, and lets the answers that were given reach their browsers, for two
    /// seconds at most. Requests that nobody has asked for are told that it is over.
    pub async fn close(mut self) {
        drop(self.requests);
        drop(self.closing);
        self.server.join_next().await;
    }
}

/// A browser at the redirect path, waiting for its page.
///
/// Dropped without an answer, it is shown that the program has ended.
pub struct Request {
    query: String,
    page: oneshot::Sender<Page>,
}

impl Request {
    /// The query, as it arrived: for [`Authorization::read`](super::Authorization::read).
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Shows `page` in the browser.
    pub fn answer(self, page: Page) {
        // Whoever has closed the browser meanwhile misses nothing.
        let _ = self.page.send(page);
    }
}

impl fmt::Debug for Request {
    /// Leaves out the query: a code may be in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

/// The sockets of one port.
struct Sockets {
    ipv4: Option<TcpListener>,
    ipv6: Option<TcpListener>,
}

impl Sockets {
    async fn accept(&self) -> io::Result<TcpStream> {
        async fn of(socket: Option<&TcpListener>) -> io::Result<TcpStream> {
            match socket {
                Some(socket) => socket.accept().await.map(|(stream, _)| stream),
                None => pending().await,
            }
        }
        tokio::select! {
            stream = of(self.ipv4.as_ref()) => stream,
            stream = of(self.ipv6.as_ref()) => stream,
        }
    }
}

async fn bind_both(loopback: &Loopback) -> Result<(u16, Sockets), ListenError> {
    /// How many ports are tried before it is said that none is free on both.
    const TRIES: usize = 16;
    let mut tries = if loopback.port == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind_once(loopback.ipv4, loopback.port).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries == 0 => {
                let port = loopback.port;
                let holder = tokio::task::spawn_blocking(move || holder::of(port)).await;
                let holder = holder.ok().flatten();
                return Err(ListenError::PortTaken { port, holder });
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(source) => {
                let port = loopback.port;
                return Err(ListenError::Refused { port, source });
            }
            Ok(bound) => return Ok(bound),
        }
    }
}

/// Binds `port` on both families, or on the one that there is.
async fn bind_once(ipv4: Ipv4Addr, port: u16) -> io::Result<(u16, Sockets)> {
    let taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    let bound = |socket: &TcpListener| socket.local_addr().map(|address| address.port());
    let ipv4 = TcpListener::bind((IpAddr::from(ipv4), port)).await;
    let port = match &ipv4 {
        Ok(socket) => bound(socket)?,
        Err(_) => port,
    };
    let ipv6 = TcpListener::bind((IpAddr::from(Ipv6Addr::LOCALHOST), port)).await;
    match (ipv4, ipv6) {
        (Err(error), _) | (_, Err(error)) if taken(&error) => Err(error),
        (Err(error), Err(_)) => Err(error),
        (ipv4, ipv6) => {
            let port = match &ipv6 {
                Ok(socket) => bound(socket)?,
                Err(_) => port,
            };
            let (ipv4, ipv6) = (ipv4.ok(), ipv6.ok());
            Ok((port, Sockets { ipv4, ipv6 }))
        }
    }
}

/// What an open connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It has not asked for anything yet.
    Reading,
    /// It waits for a page, or is being sent it.
    Answering,
    /// It was answered, and should go.
    Lingering,
}

/// An open connection, as the server sees it.
struct Open {
    task: AbortHandle,
    phase: watch::Receiver<Phase>,
}

/// Accepts connections until the listener closes, then waits for those that are being answered.
async fn serve(sockets: Sockets, site: Arc<Site>, mut closing: oneshot::Receiver<Infallible>) {
    let mut connections = JoinSet::new();
    let mut open: Vec<Open> = Vec::new();
    loop {
        tokio::select! {
            biased;
            _ = &mut closing => break,
            Some(_) = connections.join_next() => {}
            accepted = sockets.accept() => match accepted {
                Ok(stream) => {
                    if has_room(&mut open) {
                        let (phase, watched) = watch::channel(Phase::Reading);
                        let connection = connection(stream, Arc::clone(&site), phase);
                        let task = connections.spawn(async { drop(connection.await) });
                        open.push(Open { task, phase: watched });
                    }
                    // Its request may have arrived with it: it shall be seen before newer
                    // connections are a reason to close it.
                    yield_now().await;
                }
                Err(_) => sleep(EXHAUSTED).await,
            },
        }
    }
    drop(sockets);
    for connection in &open {
        if *connection.phase.borrow() == Phase::Reading {
            connection.task.abort();
        }
    }
    let answered = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(CLOSING, answered).await;
}

/// Whether one more connection may be opened; closes the oldest that waits for nothing, if it must.
fn has_room(open: &mut Vec<Open>) -> bool {
    open.retain(|connection| !connection.task.is_finished());
    if open.len() < MOST_CONNECTIONS {
        return true;
    }
    let idle = |connection: &Open| *connection.phase.borrow() != Phase::Answering;
    let Some(oldest) = open.iter().position(idle) else {
        return false;
    };
    open.remove(oldest).task.abort();
    true
}

/// Serves one request, then closes the connection so that the answer survives it.
async fn connection<S>(stream: S, site: Arc<Site>, phase: watch::Sender<Phase>) -> S
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answering = &phase;
    let service = hyper::service::service_fn(|request| {
        answering.send_replace(Phase::Answering);
        let site = Arc::clone(&site);
        Box::pin(async move { Ok::<_, Infallible>(site.answer(&request).await) })
    });
    let mut served = hyper::server::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // An error is the client's: it is gone, too slow, or has been told what is wrong.
    let _ = poll_fn(|context| served.poll_without_shutdown(context)).await;
    phase.send_replace(Phase::Lingering);
    let mut stream = served.into_parts().io.into_inner();
    let _ = timeout(LINGER, linger(&mut stream)).await;
    stream
}

async fn linger(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.shutdown().await?;
    let mut unread = [0; 4096];
    let mut thrown_away = 0;
    while thrown_away < MOST_THROWN_AWAY {
        match stream.read(&mut unread).await? {
            0 => break,
            bytes => thrown_away += bytes,
        }
    }
    Ok(())
}

/// What every connection knows.
struct Site {
    port: u16,
    ipv4: Ipv4Addr,
    path: String,
    requests: mpsc::Sender<Request>,
}

impl Site {
    async fn answer(&self, request: &hyper::Request<Incoming>) -> Response<String> {
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        let (page, answer) = oneshot::channel();
        let waiting = Request {
            query: request.uri().query().unwrap_or_default().to_owned(),
            page,
        };
        if self.requests.try_send(waiting).is_err() {
            return plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "Busy. Load this page again.\n",
            );
        }
        html(&answer.await.unwrap_or_else(|_| ended()))
    }

    /// What is said to a request that is none of ours.
    fn refusal(&self, request: &hyper::Request<Incoming>) -> Option<Response<String>> {
        match self.names_us(request) {
            None => {
                return Some(plain(
                    StatusCode::BAD_REQUEST,
                    "One Host header is needed.\n",
                ));
            }
            Some(false) => {
                let text = "This address serves this machine alone.\n";
                return Some(plain(StatusCode::MISDIRECTED_REQUEST, text));
            }
            Some(true) => {}
        }
        if request.uri().path() != self.path {
            return Some(plain(StatusCode::NOT_FOUND, "There is nothing here.\n"));
        }
        if request.method() != Method::GET {
            let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered.\n");
            let allow = HeaderValue::from_static("GET");
            refusal.headers_mut().insert(header::ALLOW, allow);
            return Some(refusal);
        }
        None
    }

    /// Whether the request is meant for a loopback name with our port; `None` where it does not say
    /// for whom it is.
    fn names_us(&self, request: &hyper::Request<Incoming>) -> Option<bool> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok()?,
            _ => return None,
        };
        // A request to a proxy has the whole URL in its first line (RFC 9112 §3.2.2).
        let authority = request.uri().authority();
        Some(self.is_us(host) && authority.is_none_or(|authority| self.is_us(authority.as_str())))
    }

    fn is_us(&self, host: &str) -> bool {
        const HTTP: u16 = 80;
        let ports = [
            Some(format!(":{}", self.port)),
            (self.port == HTTP).then(String::new),
        ];
        let mut names = ports
            .iter()
            .flatten()
            .filter_map(|port| host.strip_suffix(port.as_str()));
        names.any(|name| {
            name.eq_ignore_ascii_case("localhost")
                || name == "[::1]"
                || name.parse().is_ok_and(|address: Ipv4Addr| {
                    [Ipv4Addr::LOCALHOST, self.ipv4].contains(&address)
                })
        })
    }
}

/// What a browser is shown that nobody has answered.
fn ended() -> Page {
    Page::Failed {
        what: "The program that waited for this page has ended.".to_owned(),
        next: "See what it said where you started it, and run it again.".to_owned(),
    }
}

fn html(page: &Page) -> Response<String> {
    let status = StatusCode::from_u16(page.status()).unwrap_or(StatusCode::OK);
    response(status, "text/html; charset=utf-8", page.html())
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    response(status, "text/plain; charset=utf-8", text.to_owned())
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONNECTION, "close"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::try_from(content_security_policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The listener without a socket.
#[cfg(any(test, fuzzing))]
pub(super) mod properties {
    use super::*;

    /// Serves one client, who is shown [`Page::Denied`] at the redirect path. Gives it back, and the
    /// query that was handed on, if one was.
    pub(in crate::consent) async fn served<S>(client: S) -> (S, Option<String>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (requests, mut received) = mpsc::channel(MOST_WAITING);
        let site = Arc::new(Site {
            port: 8080,
            ipv4: Ipv4Addr::LOCALHOST,
            path: "/callback".to_owned(),
            requests,
        });
        let (phase, _watched) = watch::channel(Phase::Reading);
        let answering = async {
            let mut query = None;
            while let Some(request) = received.recv().await {
                query = Some(request.query().to_owned());
                request.answer(Page::Denied);
            }
            query
        };
        tokio::join!(connection(client, site, phase), answering)
    }
}

//! The wire: a client for Webex, one file per API page, and how a reply is judged.
//!
//! [`Client::send`] sends one request once. It follows no redirect, decompresses nothing, retries
//! nothing and believes nothing: it brings back what was seen, and [`judge`] says what that means.
//! The client is bound to the runtime that it is used on, and keeps one connection alive there.

mod access_token;
mod applications;
mod authorizations;
mod call;
mod data_sources;
mod device;
pub mod judge;
mod keys;

use std::error::Error as _;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, LINK, LOCATION, RETRY_AFTER};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

pub(crate) use access_token::{CodeExchange, Grant};
pub(crate) use applications::Mint;
pub use call::{Call, Method};
pub use device::DeviceAuthorization;
pub(crate) use device::DevicePoll;

/// How long a connection, TLS included, may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one request may take, the reading of its answer included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The largest token reply that is read.
const MAX_REPLY: usize = 1024 * 1024;

/// The largest reply of a resource that is read: ten thousand data sources are 13 MB.
const MAX_RESOURCE: usize = 32 * 1024 * 1024;

/// How much of a validation's answer is read: enough to see that it is JSON.
const MAX_BEGINNING: usize = 64 * 1024;

/// What came back.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status line and headers, at least.
    Answer(Answer),
    /// Nothing that could be read as an answer.
    NoAnswer(NoAnswer),
}

/// An HTTP answer, without what nobody judges by.
#[derive(Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The host that was asked, for messages.
    pub host: String,
    /// The host of `Location`.
    pub location_host: Option<String>,
    /// `Retry-After`, as it stands.
    pub retry_after: Option<String>,
    /// The target of `Link` with `rel="next"` (RFC 8288).
    pub next: Option<Url>,
    /// The header `trackingid`.
    pub tracking_header: Option<String>,
    /// The body, as much of it as is read.
    pub body: Body,
}

/// A body may be a token: its `Debug` shows its size alone.
#[derive(Clone)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// As much as was asked for; there is more.
    Beginning(Vec<u8>),
    /// It is larger than anything that was asked for.
    TooLarge,
    /// The connection ended before it did.
    CutShort(Vec<u8>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Beginning(bytes) => write!(f, "Beginning({} bytes)", bytes.len()),
            Self::TooLarge => f.write_str("TooLarge"),
            Self::CutShort(bytes) => write!(f, "CutShort({} bytes)", bytes.len()),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer. The text of an error may quote what was sent, and is scrubbed by
/// [`judge`] before anybody sees it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoAnswer {
    /// No connection, or no TLS: the request was not sent.
    #[error("cannot connect: {0}")]
    NotConnected(String),
    /// The proxy answered 407, so that the request was not sent.
    #[error("the proxy asks for credentials (407)")]
    ProxyRefused,
    /// Time ran out after the request was sent.
    #[error("no answer in time")]
    TimedOut,
    /// The connection ended after the request was sent.
    #[error("the connection ended before an answer: {0}")]
    Dropped(String),
}

/// A request that is ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    request: reqwest::Request,
    reading: Reading,
    /// The secrets in it, so that no text that comes back can repeat them unnoticed.
    secrets: Vec<SecretString>,
}

impl Prepared {
    /// A request that `oauth2` has built, with the secrets in it.
    fn whole(request: oauth2::HttpRequest, secrets: Vec<SecretString>) -> Self {
        Self {
            request: request.try_into().expect("a well-formed request"),
            reading: Reading::Whole,
            secrets,
        }
    }
}

/// A request that was sent, and what came back.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What came back.
    pub reply: Reply,
    /// From the first byte sent to the last one read, the connection included.
    pub elapsed: Duration,
    secrets: Vec<SecretString>,
}

impl Exchange {
    /// Names more secrets that no text of the answer may repeat: those that were not sent.
    pub(crate) fn keep_closed(&mut self, secrets: &[SecretString]) {
        self.secrets.extend_from_slice(secrets);
    }
}

/// How much of an answer is wanted.
#[derive(Clone, Copy, Debug)]
enum Reading {
    /// All of it, if it is at most [`MAX_REPLY`].
    Whole,
    /// All of it, if it is at most [`MAX_RESOURCE`].
    Resource,
    /// The first [`MAX_BEGINNING`] bytes.
    Beginning,
}

/// How to reach Webex: what the settings say, as finished values.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The API's base, without a slash at its end: `https://webexapis.com/v1`.
    pub base_url: Url,
    /// The token endpoint, where it does not lie below the base.
    pub token_url: Option<Url>,
    /// The proxy for `https`, whose URL may hold a password. A loopback base is given none.
    pub proxy: Option<SecretString>,
    /// The hosts that are reached without it, as in `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// A file of certificates in PEM, trusted instead of the system's.
    pub certificate_file: Option<PathBuf>,
    /// Directories of such files, likewise.
    pub certificate_dirs: Vec<PathBuf>,
}

/// A client for one Webex.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base_url: Url,
    token_url: Option<Url>,
}

/// A client that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// None of the certificates in `SSL_CERT_FILE` and `SSL_CERT_DIR`, or of the system's, can be
    /// used.
    #[error("no certificate authority to trust: {0}")]
    NoCertificates(String),
    /// The cryptography or the connection settings do not work on this machine.
    #[error("cannot set up HTTPS")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ClientError {
    fn setup(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Setup(Box::new(error))
    }
}

impl Client {
    /// Makes a client; it connects when it is first used.
    ///
    /// # Errors
    ///
    /// There is nothing to trust, or the settings do not work on this machine.
    pub fn new(connection: &Connection) -> Result<Self, ClientError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(ClientError::setup)?
            .with_root_certificates(connection.trusted()?)
            .with_no_client_auth();
        // This name is this machine, whoever answers for names here (RFC 6761 §6.3), and needs no
        // thread to look it up. The port is the URL's.
        let localhost = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        ];
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .resolve_to_addrs("localhost", &localhost)
            .user_agent(concat!("webex-tokens/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .read_timeout(REQUEST_TIMEOUT)
            .no_proxy();
        let except = connection.no_proxy.as_deref();
        // The library takes it for all names alone, and not for addresses.
        let is_for_nobody = except.is_some_and(|hosts| hosts.split(',').any(|it| it.trim() == "*"));
        if let Some(url) = connection.proxy.as_ref().filter(|_| !is_for_nobody) {
            let proxy = reqwest::Proxy::https(url.expose_secret())
                .map_err(|error| ClientError::setup(error.without_url()))?
                .no_proxy(except.and_then(reqwest::NoProxy::from_string));
            builder = builder.proxy(proxy);
        }
        Ok(Self {
            http: builder.build().map_err(ClientError::setup)?,
            base_url: connection.base_url.clone(),
            token_url: connection.token_url.clone(),
        })
    }

    /// The API's base.
    pub(crate) fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// Sends `prepared` once and reads what is wanted of the answer.
    pub async fn send(&self, prepared: Prepared) -> Exchange {
        let started = Instant::now();
        let reply = match self.http.execute(prepared.request).await {
            Ok(response) => self.read(response, prepared.reading).await,
            Err(error) => Reply::NoAnswer(why(&error)),
        };
        Exchange {
            reply,
            elapsed: started.elapsed(),
            secrets: prepared.secrets,
        }
    }

    async fn read(&self, mut response: reqwest::Response, reading: Reading) -> Reply {
        let text = |headers: &HeaderMap, name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let headers = response.headers();
        let location = text(headers, LOCATION.as_str());
        let links = headers.get_all(LINK).iter();
        let links = links.filter_map(|value| value.to_str().ok());
        let mut answer = Answer {
            status: response.status().as_u16(),
            host: response.url().authority().to_owned(),
            location_host: location.and_then(|to| host_of(response.url(), &to)),
            retry_after: text(headers, RETRY_AFTER.as_str()),
            next: call::next_link(links, response.url()),
            tracking_header: text(headers, "trackingid"),
            body: Body::TooLarge,
        };
        let most = match reading {
            Reading::Beginning if response.status().is_success() => MAX_BEGINNING,
            Reading::Resource if response.status().is_success() => MAX_RESOURCE,
            Reading::Beginning | Reading::Resource | Reading::Whole => MAX_REPLY,
        };
        let announced = response.content_length().unwrap_or(0);
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(announced.min(most));
        answer.body = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > most => match reading {
                    Reading::Whole | Reading::Resource => break Body::TooLarge,
                    Reading::Beginning => {
                        bytes.extend_from_slice(&chunk[..most - bytes.len()]);
                        break Body::Beginning(bytes);
                    }
                },
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break Body::Whole(bytes),
                Err(_) => break Body::CutShort(bytes),
            }
        };
        Reply::Answer(answer)
    }

    /// The token endpoint (RFC 6749 §3.2).
    fn token_url(&self) -> Url {
        let elsewhere = self.token_url.clone();
        elsewhere.unwrap_or_else(|| self.url(&["access_token"]))
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base_url.clone();
        url.path_segments_mut()
            .expect("an http(s) base URL has a path")
            .pop_if_empty()
            .extend(segments);
        url
    }
}

fn host_of(base: &Url, location: &str) -> Option<String> {
    base.join(location).ok()?.host_str().map(str::to_owned)
}

impl Connection {
    /// The certificates trusted to vouch for Webex: those named, exactly, or the system's.
    fn trusted(&self) -> Result<rustls::RootCertStore, ClientError> {
        let mut roots = rustls::RootCertStore::empty();
        let is_plain = |url: &Url| url.scheme() == "http";
        if is_plain(&self.base_url) && self.token_url.as_ref().is_none_or(is_plain) {
            return Ok(roots);
        }
        let mut errors = Vec::new();
        if self.certificate_file.is_none() && self.certificate_dirs.is_empty() {
            let mut loaded = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(loaded.certs);
            errors.append(&mut loaded.errors);
        } else {
            let dirs = self.certificate_dirs.iter().map(|dir| (None, Some(dir)));
            let file = self.certificate_file.iter().map(|file| (Some(file), None));
            for (file, dir) in file.chain(dirs) {
                let file = file.map(PathBuf::as_path);
                let dir = dir.map(PathBuf::as_path);
                let mut loaded = rustls_native_certs::load_certs_from_paths(file, dir);
                roots.add_parsable_certificates(loaded.certs);
                errors.append(&mut loaded.errors);
            }
        }
        if roots.is_empty() {
            let why = errors.first().map_or_else(
                || format!("there is none in {}", self.names_of_trusted()),
                ToString::to_string,
            );
            return Err(ClientError::NoCertificates(why));
        }
        Ok(roots)
    }

    fn names_of_trusted(&self) -> String {
        let paths = self.certificate_file.iter().chain(&self.certificate_dirs);
        let names: Vec<_> = paths.map(|path| path.display().to_string()).collect();
        if names.is_empty() {
            "the system's store".to_owned()
        } else {
            names.join(", ")
        }
    }
}

/// Whether the request was sent is what matters: before that, Webex provably did not act.
fn why(error: &reqwest::Error) -> NoAnswer {
    let innermost = innermost(error);
    if error.is_connect() {
        // The tunnel's error is not exported, so that its text is all there is to know it by.
        let refused = innermost.contains("proxy auth");
        return match (refused, error.is_timeout()) {
            (true, _) => NoAnswer::ProxyRefused,
            (false, true) => NoAnswer::NotConnected(format!(
                "no connection within {} s",
                CONNECT_TIMEOUT.as_secs()
            )),
            (false, false) => NoAnswer::NotConnected(innermost),
        };
    }
    if error.is_builder() {
        return NoAnswer::NotConnected(innermost);
    }
    if error.is_timeout() {
        return NoAnswer::TimedOut;
    }
    NoAnswer::Dropped(innermost)
}

/// The innermost cause says what happened; those around it only say where, and quote the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = String::from("the request could not be sent");
    while let Some(here) = cause {
        text = here.to_string();
        cause = here.source();
    }
    text
}

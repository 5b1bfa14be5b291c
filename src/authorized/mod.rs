//! Calls of Webex's API with a token that is always good.
//!
//! [`AuthorizedClient`] is what any program puts between itself and Webex: it attaches the bearer
//! token that [`TokenManager`] keeps, has the token replaced when Webex refuses it, waits as Webex
//! asks, and never repeats what Webex may have done already. What to do after each answer is
//! decided in [`repeat`], which is pure; the waiting that all calls share is in `budget`.

mod budget;
pub mod repeat;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use self::budget::{Budget, Denied};
use self::repeat::{Next, Tries};
use crate::clock::Clock;
use crate::manager::{Limits, Stop, TokenError, TokenManager};
use crate::webex::judge::{self, Cause, Judged};
use crate::webex::{Body, Call, Client, Method, Reply};

/// How long one call may take in all, the waiting that Webex asks for included.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long it may take to find out what became of a call.
const SETTLING: Duration = Duration::from_secs(30);

/// Calls Webex with the service app's token. Cheap to clone; all clones share one token, one budget
/// and one pool of connections.
///
/// It is bound to the runtime on which it is used, and needs tokio's timers there.
///
/// ```no_run
/// use webex_tokens::authorized::AuthorizedClient;
/// use webex_tokens::webex::Call;
/// # async fn example(manager: webex_tokens::manager::TokenManager)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// let webex = AuthorizedClient::new(manager)?;
/// let answer = webex.send(&Call::get(&["people", "me"])).await?;
/// println!("{} bytes", answer.body.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AuthorizedClient {
    manager: TokenManager,
    client: Client,
    clock: Clock,
    budget: Arc<Budget>,
    limits: Limits,
}

/// What Webex answered with a 2xx. The body may hold a JWS: `Debug` shows its size alone.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, at most 32 MiB.
    pub body: Vec<u8>,
    /// Where the list goes on (RFC 8288, `rel="next"`).
    pub next: Option<Url>,
    /// Webex's `trackingId`, which its support asks for.
    pub tracking_id: Option<String>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("tracking_id", &self.tracking_id)
            .finish_non_exhaustive()
    }
}

/// A call that came to nothing, or of which that is not known.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no usable token, and so nothing was sent.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Webex did not do it, or did not say so.
    #[error("{0}")]
    Failed(Box<Failure>),
    /// So much time has passed that the call was not sent: what it was made from may have changed.
    #[error("it was not sent in time")]
    Stale,
    /// The run ended before the call was sent: it was told to stop, or its time was over.
    #[error("the run ended before it was sent")]
    Stopped,
}

/// How a call failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What that means for the caller.
    pub kind: FailureKind,
    /// What was asked for.
    pub method: Method,
    /// What Webex said, or what went wrong: one line, without secrets.
    pub what: String,
    /// The status of the answer, where there was one.
    pub http_status: Option<u16>,
    /// Webex's `trackingId`.
    pub tracking_id: Option<String>,
    /// How long Webex asked to wait, where that is longer than the call was given.
    pub retry_after: Option<Duration>,
}

/// What a failure means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// There is no such resource.
    NotFound,
    /// The token lives, and a scope, a role or an authorization is missing.
    Forbidden,
    /// Webex refuses the call as it is.
    Refused,
    /// A proxy on the way wants other credentials.
    ProxyRefused,
    /// Webex is not to be had, and has not done it.
    Unavailable,
    /// The answer was lost: Webex may have done it.
    Unknown,
}

impl FailureKind {
    /// The name in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Refused => "refused",
            Self::ProxyRefused => "proxy_refused",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }

    /// Whether trying again later may help.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Unavailable | Self::Unknown)
    }
}

impl std::fmt::Display for Failure {
    /// Such as `HTTP 404: not found (trackingId …)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.http_status {
            Some(status) if !self.what.starts_with("HTTP ") => {
                write!(f, "HTTP {status}: {}", self.what)?;
            }
            _ => f.write_str(&self.what)?,
        }
        match &self.tracking_id {
            Some(id) => write!(f, " (trackingId {id})"),
            None => Ok(()),
        }
    }
}

impl CallError {
    /// How it failed, if Webex had a say in it.
    #[must_use]
    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::Failed(failure) => Some(failure.kind),
            Self::Token(_) | Self::Stale | Self::Stopped => None,
        }
    }

    /// Whether trying again later may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Token(error) => error.is_passing(),
            Self::Failed(failure) => failure.kind.is_passing(),
            Self::Stale | Self::Stopped => true,
        }
    }
}

impl AuthorizedClient {
    /// A client for the Webex that the manager's settings name; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// The settings do not say how to reach Webex, or cannot be read.
    pub fn new(manager: TokenManager) -> Result<Self, TokenError> {
        Ok(Self {
            client: manager.client()?,
            clock: manager.clock(),
            manager,
            budget: Arc::default(),
            limits: Limits::starting_now(Duration::MAX, Duration::MAX, Stop::never()),
        })
    }

    /// The same until `stop` is set: what is in flight then is finished, and nothing more is sent.
    #[must_use]
    pub fn until(self, stop: Stop) -> Self {
        let limits = Limits::starting_now(Duration::MAX, Duration::MAX, stop);
        self.within(limits)
    }

    /// The same within the limits of a run.
    #[must_use]
    pub(crate) fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same for a look at what became of a call that was sent: it may be taken even after the run
    /// has been told to stop.
    #[must_use]
    pub(crate) fn settling(&self) -> Self {
        let limits = Limits::starting_now(SETTLING, Limits::DEFAULT, Stop::never());
        self.clone().within(limits)
    }

    /// The limits of the run.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The client below, for what is sent without the token.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The time of day.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Who keeps the token.
    #[must_use]
    pub fn manager(&self) -> &TokenManager {
        &self.manager
    }

    /// The base URL of the API.
    #[must_use]
    pub fn base_url(&self) -> &Url {
        self.client.base_url()
    }

    /// Sends a call, and sends it again where that is safe: after 401 once, with another token;
    /// after 423, 429 and whatever shows that Webex did not act, when Webex asks to; a `GET` also
    /// after its answer was lost.
    ///
    /// # Errors
    ///
    /// There is no usable token; Webex refuses; Webex is unavailable for longer than five minutes;
    /// the answer to something else than a `GET` was lost; the call has become stale.
    pub async fn send(&self, call: &Call) -> Result<Answer, CallError> {
        let limits = self.limits.and_at_most(PATIENCE);
        let mut tries = Tries::default();
        let mut is_renewed = false;
        let mut last = None;
        loop {
            if let Err(denied) = self.budget.admit(&limits).await {
                return Err(given_up(call, denied, last));
            }
            if call.is_stale() {
                return Err(CallError::Stale);
            }
            let token = self.manager.access_token().await?;
            let mut prepared = self.client.call(call, &token);
            if call.method() == Method::Get {
                prepared.end_by(limits.deadline);
            }
            let exchange = self.client.send(prepared).await;
            let judged = judge::judge_resource(&exchange, self.clock.now());
            tracing::debug!(
                method = ?call.method(),
                outcome = judged.outcome.name(),
                status = judged.http_status,
                tracking_id = judged.tracking_id,
                error = judged.error,
                elapsed_ms = exchange.elapsed.as_millis(),
                "called"
            );
            if judged.cause == Cause::Busy {
                self.budget.refuse(judged.retry_after);
            } else {
                self.budget.relax();
            }
            match tries.next(call.method(), &judged) {
                Next::Take => {
                    let Reply::Answer(answer) = exchange.reply else {
                        unreachable!("only an answer is accepted");
                    };
                    let (Body::Whole(body) | Body::Beginning(body) | Body::CutShort(body)) =
                        answer.body
                    else {
                        unreachable!("only a whole body is accepted");
                    };
                    return Ok(Answer {
                        status: answer.status,
                        body,
                        next: answer.next,
                        tracking_id: judged.tracking_id,
                    });
                }
                Next::Renew if self.budget.allows_renewal() => {
                    drop(self.manager.token_rejected(&token).await?);
                    is_renewed = true;
                }
                Next::Renew => return Err(failed(call, FailureKind::Unavailable, judged)),
                // The budget knows for how long.
                Next::WhenAdmitted => {}
                Next::After(wait) => {
                    if !limits.wait(wait).await {
                        let denied = Denied::under(&limits, wait);
                        return Err(given_up(call, denied, Some(judged)));
                    }
                }
                Next::GiveUp(kind) => {
                    if is_renewed && judged.cause == Cause::DeadCredential {
                        self.budget.refuse_renewal();
                    }
                    return Err(failed(call, kind, judged));
                }
            }
            last = Some(judged);
        }
    }
}

/// A call that may not be sent any more: what came of it before, if anything, is what is told.
fn given_up(call: &Call, denied: Denied, last: Option<Judged>) -> CallError {
    match (denied, last) {
        (Denied::Stopped, None) => CallError::Stopped,
        (Denied::TooLong(wait), None) if wait.is_zero() => CallError::Stopped,
        (Denied::TooLong(_) | Denied::Stopped, Some(judged)) => {
            failed(call, FailureKind::Unavailable, judged)
        }
        (Denied::TooLong(wait), None) => failure(Failure {
            kind: FailureKind::Unavailable,
            method: call.method(),
            what: format!("Webex asks all calls to wait for {} s more", wait.as_secs()),
            http_status: None,
            tracking_id: None,
            retry_after: Some(wait),
        }),
    }
}

fn failed(call: &Call, kind: FailureKind, judged: Judged) -> CallError {
    failure(Failure {
        kind,
        method: call.method(),
        what: judged.error.unwrap_or_else(|| "no reason given".to_owned()),
        http_status: judged.http_status,
        tracking_id: judged.tracking_id,
        retry_after: judged.retry_after,
    })
}

fn failure(failure: Failure) -> CallError {
    CallError::Failed(Box::new(failure))
}

//! What a run did and what it means, as values: the command lines render it, programs read it.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::verdict::SETTINGS_DO_NOT_SERVE;
use crate::ladder::{Outcome, Request, Rung};
use crate::lifetime::Life;
use crate::remedy::Remedy;
use crate::token::AccessToken;
use crate::webex::judge::{Cause, Judged, Question};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunOutcome {
    /// The stored token was accepted as it is.
    Valid,
    /// A new token is stored, and Webex has accepted it.
    Refreshed,
    /// No new token was to be had; the stored one still works.
    Kept,
    /// Webex could not be asked, or another run holds the lock: try again later.
    Unavailable,
    /// No stored credential is accepted any more.
    ReauthorizationRequired,
    /// A setting is wrong.
    Misconfigured,
    /// A token could not be saved.
    NotSaved,
    /// A file could not be read.
    Unreadable,
}

impl RunOutcome {
    /// The name in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Refreshed => "refreshed",
            Self::Kept => "kept",
            Self::Unavailable => "unavailable",
            Self::ReauthorizationRequired => "reauthorization_required",
            Self::Misconfigured => "misconfigured",
            Self::NotSaved => "not_saved",
            Self::Unreadable => "unreadable",
        }
    }

    /// Whether the token in `.env` works.
    #[must_use]
    pub fn works(self) -> bool {
        matches!(self, Self::Valid | Self::Refreshed | Self::Kept)
    }
}

/// One request, or one that was not sent, and what came of it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What was asked.
    pub step: Step,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, where there was a reply.
    pub cause: Option<Cause>,
    /// The status of the answer.
    pub http_status: Option<u16>,
    /// What Webex said, or what went wrong; one line without secrets.
    pub error: Option<String>,
    /// Webex's `trackingId`.
    pub tracking_id: Option<String>,
    /// From the first byte sent to the last one read.
    pub elapsed: Duration,
    /// Whether a request left this machine, as far as is known.
    pub sent: bool,
}

/// What an attempt asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A request of the ladder.
    Ladder(Request),
    /// `GET /v1/authorizations/tokenExpiry`.
    TokenExpiry,
    /// The integration's refresh token, used so that it does not die of disuse.
    KeepAlive,
    /// A person's consent: a device code to decide on, or what the consent is exchanged for.
    Authorize(Question),
}

impl Step {
    /// The name in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ladder(request) => request.name(),
            Self::TokenExpiry => "token_expiry",
            Self::KeepAlive => "keep_alive",
            Self::Authorize(Question::DeviceAuthorization) => "device_authorization",
            Self::Authorize(Question::DevicePoll) => "device_token",
            Self::Authorize(_) => "authorization_code",
        }
    }
}

impl Attempt {
    pub(super) fn new(step: Step, judged: &Judged, elapsed: Duration) -> Self {
        Self {
            step,
            outcome: judged.outcome,
            cause: Some(judged.cause.clone()),
            http_status: judged.http_status,
            error: judged.error.clone(),
            tracking_id: judged.tracking_id.clone(),
            elapsed,
            sent: true,
        }
    }

    pub(super) fn not_sent(step: Step, outcome: Outcome, why: String) -> Self {
        Self {
            step,
            outcome,
            cause: None,
            http_status: None,
            error: Some(why),
            tracking_id: None,
            elapsed: Duration::ZERO,
            sent: false,
        }
    }
}

impl fmt::Display for Attempt {
    /// Such as `service-app refresh token: rejected (HTTP 400: …; trackingId …)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = match self.step {
            Step::Ladder(Request::Check | Request::CheckKept) => "stored access token",
            Step::Ladder(Request::Validate(_)) => "new access token",
            Step::Ladder(Request::Grant) => Rung::ServiceAppRefreshToken.label(),
            Step::Ladder(Request::Mint) => "mint with the personal access token",
            Step::Ladder(Request::MintRenewed) => "mint with the integration's access token",
            Step::Ladder(Request::Renew) | Step::KeepAlive => Rung::IntegrationRefreshToken.label(),
            Step::Authorize(Question::DeviceAuthorization) => "request for a device code",
            Step::Authorize(Question::DevicePoll) => "device code",
            Step::Authorize(_) => "authorization code",
            Step::TokenExpiry => "expiry of the access token",
        };
        write!(f, "{subject}: {}", self.outcome.name().replace('_', " "))?;
        let mut details = Vec::new();
        match (self.http_status, &self.error) {
            (Some(status), Some(error)) if !error.starts_with("HTTP ") => {
                details.push(format!("HTTP {status}: {error}"));
            }
            (Some(status), None) => details.push(format!("HTTP {status}")),
            (_, Some(error)) => details.push(error.clone()),
            (None, None) => {}
        }
        if let Some(id) = &self.tracking_id {
            details.push(format!("trackingId {id}"));
        }
        if details.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", details.join("; "))
    }
}

/// What a step of a set-up has brought, and what there is to say beside.
#[derive(Clone, Debug)]
pub(crate) struct Brought<T> {
    pub(crate) value: T,
    /// What was asked, in order.
    pub(crate) attempts: Vec<Attempt>,
    /// What somebody should know of, although it changes nothing now.
    pub(crate) warnings: Vec<String>,
}

/// Everything there is to say about a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// How it ended.
    pub outcome: RunOutcome,
    /// The rung that issued the token; `None` where none did.
    pub rung: Option<Rung>,
    /// The access token that is stored now, where it works or was just issued.
    pub access_token: Option<AccessToken>,
    /// What is known of the stored access token's life.
    pub life: Life,
    /// When the stored access token expires.
    pub expires_at: Option<Timestamp>,
    /// How long that is from now on.
    pub expires_in: Option<SignedDuration>,
    /// Whether a refresh token is stored.
    pub has_refresh_token: bool,
    /// When the stored refresh token expires.
    pub refresh_token_expires_at: Option<Timestamp>,
    /// Whether Webex has accepted the stored access token in this run.
    pub validated: bool,
    /// What was asked, in order.
    pub attempts: Vec<Attempt>,
    /// What happened: one clause without a full stop.
    pub message: String,
    /// What is wrong with the settings, one line each, where they are what stopped the run.
    pub problems: Vec<String>,
    /// What to do next, where there is something to do.
    pub remedy: Option<Remedy>,
    /// What somebody should know of, although it changes nothing now.
    pub warnings: Vec<String>,
}

impl Report {
    /// A set-up that stopped at its settings.
    pub(crate) fn misconfigured(problems: Vec<String>) -> Self {
        Self {
            problems,
            remedy: Some(Remedy::CompleteSettings),
            ..Self::bare(RunOutcome::Misconfigured, SETTINGS_DO_NOT_SERVE)
        }
    }

    /// A report on which everything that is not told is unknown or absent.
    pub(crate) fn bare(outcome: RunOutcome, message: impl Into<String>) -> Self {
        Self {
            outcome,
            rung: None,
            access_token: None,
            life: Life::default(),
            expires_at: None,
            expires_in: None,
            has_refresh_token: false,
            refresh_token_expires_at: None,
            validated: false,
            attempts: Vec::new(),
            message: message.into(),
            problems: Vec::new(),
            remedy: None,
            warnings: Vec::new(),
        }
    }

    /// Another caller's climb has just brought this token.
    pub(super) fn served(token: AccessToken) -> Self {
        Self {
            access_token: Some(token),
            ..Self::bare(RunOutcome::Valid, "the access token is valid")
        }
    }

    /// How many requests were sent.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.sent).count()
    }
}

/// A run after which no working token is stored.
#[derive(Clone, Debug)]
pub struct TokenError(Box<Report>);

impl TokenError {
    pub(super) fn new(report: Report) -> Self {
        Self(Box::new(report))
    }

    /// The thread that was to do it is gone.
    pub(super) fn ended() -> Self {
        Self::new(Report {
            remedy: Some(Remedy::TryAgainLater),
            ..Report::bare(RunOutcome::Unavailable, "the climb ended before its end")
        })
    }

    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> Option<&Remedy> {
        self.0.remedy.as_ref()
    }

    /// Whether waiting alone may cure it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.remedy().is_some_and(Remedy::is_passing)
    }

    /// The whole run.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.0
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for TokenError {}

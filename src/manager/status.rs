//! Where every credential stands. Read-only: nothing is refreshed, minted, locked or changed.

use jiff::{SignedDuration, Timestamp};

use super::files::Files;
use super::limits::Limits;
use super::report::{Report, RunOutcome, TokenError};
use super::run::{Need, Run};
use super::verdict::{self, End, NO_USABLE_ANSWER, SETTINGS_DO_NOT_SERVE};
use crate::clock::Clock;
use crate::config::Sources;
use crate::ladder::{Ladder, Outcome, Request, Step};
use crate::lifetime::{self, Freshness, Life};
use crate::remedy::{ExitStatus, Remedy};
use crate::store::Credential;
use crate::token::{AccessToken, Fingerprint, RefreshToken};

/// Whether Webex is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The service app's token is validated, and the personal access token's expiry asked for.
    Online,
    /// No request is made.
    Offline,
}

/// What the credentials amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusOutcome {
    /// The token in `.env` works.
    Valid,
    /// It does not, and a rung can replace it.
    Renewable,
    /// It does not, and no rung can.
    ReauthorizationRequired,
    /// A setting is wrong.
    Misconfigured,
    /// It could not be found out.
    Unavailable,
    /// A file could not be read.
    Unreadable,
}

impl StatusOutcome {
    /// The name in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Renewable => "renewable",
            Self::ReauthorizationRequired => "reauthorization_required",
            Self::Misconfigured => "misconfigured",
            Self::Unavailable => "unavailable",
            Self::Unreadable => "unreadable",
        }
    }

    /// Whether nobody but a program has to do anything: the token works, or can be replaced.
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Valid | Self::Renewable)
    }

    /// The exit code of `check_token`.
    #[must_use]
    pub fn exit_status(self) -> ExitStatus {
        match self {
            Self::Valid => ExitStatus::Works,
            Self::Renewable => ExitStatus::No,
            Self::ReauthorizationRequired => ExitStatus::Reauthorize,
            Self::Misconfigured => ExitStatus::Configuration,
            Self::Unavailable => ExitStatus::Passing,
            Self::Unreadable => ExitStatus::File,
        }
    }
}

/// How one credential stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialState {
    /// There is none.
    Absent,
    /// Webex accepts it, or its stored date says that it lives.
    Valid,
    /// It lives, and is due for renewal.
    Due,
    /// Its time is over.
    Expired,
    /// Webex refuses it.
    Rejected,
    /// It lives, and may not do what it is for.
    Forbidden,
    /// Nothing is known of its life.
    Unknown,
}

impl CredentialState {
    /// The name in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Valid => "valid",
            Self::Due => "due",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Forbidden => "forbidden",
            Self::Unknown => "unknown",
        }
    }

    fn may_work(self) -> bool {
        matches!(self, Self::Valid | Self::Due | Self::Unknown)
    }
}

/// One credential.
#[derive(Clone, Debug)]
pub struct CredentialStatus {
    /// Which.
    pub credential: Credential,
    /// How it stands.
    pub state: CredentialState,
    /// When it expires, where that is known.
    pub expires_at: Option<Timestamp>,
    /// Whether Webex has just said so.
    pub checked: bool,
    /// Whether a refresh or a consent of the integration has put it in the place of a personal
    /// access token.
    pub of_integration: bool,
}

/// Everything there is to say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What it amounts to.
    pub outcome: StatusOutcome,
    /// The credentials, in the order of the ladder.
    pub credentials: Vec<CredentialStatus>,
    /// After this no rung can work; `None` where that is not known.
    pub human_needed_by: Option<Timestamp>,
    /// What it amounts to, in words: one clause.
    pub message: String,
    /// What is wrong with the settings, one line each, where that is what it amounts to.
    pub problems: Vec<String>,
    /// What to do next, where there is something to do.
    pub remedy: Option<Remedy>,
    /// What somebody should know of.
    pub warnings: Vec<String>,
    /// When all of this was true.
    pub now: Timestamp,
}

impl Status {
    /// The thread that was to find out is gone.
    pub(super) fn ended() -> Self {
        Self::bare(
            StatusOutcome::Unavailable,
            "the check ended before its end".to_owned(),
            Some(Remedy::TryAgainLater),
            Timestamp::UNIX_EPOCH,
        )
    }

    fn bare(
        outcome: StatusOutcome,
        message: String,
        remedy: Option<Remedy>,
        now: Timestamp,
    ) -> Self {
        Self {
            outcome,
            credentials: Vec::new(),
            human_needed_by: None,
            message,
            problems: Vec::new(),
            remedy,
            warnings: Vec::new(),
            now,
        }
    }

    /// A check that could not be made.
    fn of_end(end: End, now: Timestamp) -> Self {
        let report = end.into_report();
        let outcome = match report.outcome {
            RunOutcome::Misconfigured => StatusOutcome::Misconfigured,
            RunOutcome::Unreadable | RunOutcome::NotSaved => StatusOutcome::Unreadable,
            _ => StatusOutcome::Unavailable,
        };
        Self {
            problems: report.problems,
            ..Self::bare(outcome, report.message, report.remedy, now)
        }
    }
}

/// Whether Webex accepts the access token in `.env`: `false` and "could not ask" are different
/// answers. Nothing else is asked, and settings that only a climb needs do not matter.
pub(super) async fn validity(
    sources: &Sources,
    clock: &Clock,
    limits: Limits,
) -> Result<bool, TokenError> {
    let mut run = Run::new(sources, clock, Need::default(), limits);
    let of_end = |end: End| TokenError::new(end.into_report());
    let files = run.read_only().map_err(of_end)?;
    let Some(token) = files.tokens.access_token.clone() else {
        return Ok(false);
    };
    run.connect(&files).map_err(of_end)?;
    let (outcome, message, remedy) = match ask_about(&mut run, &token).await {
        Outcome::Accepted => return Ok(true),
        Outcome::Rejected => return Ok(false),
        Outcome::Forbidden => (
            RunOutcome::Misconfigured,
            may_not_list(&files),
            Remedy::FixDataSourceScope,
        ),
        _ => (
            RunOutcome::Unavailable,
            no_usable_answer(&run),
            Remedy::TryAgainLater,
        ),
    };
    Err(TokenError::new(Report {
        remedy: Some(remedy),
        attempts: run.attempts,
        ..Report::bare(outcome, message)
    }))
}

/// `GET /v1/dataSources` with the stored access token, repeated as the ladder says.
async fn ask_about(run: &mut Run<'_>, token: &AccessToken) -> Outcome {
    let (mut ladder, mut step) = Ladder::check();
    let mut outcome = Outcome::GivenUp;
    while let Step::Send(request @ Request::Check, wait) = step {
        outcome = run.validate(request, wait, token).await;
        step = ladder.next(outcome);
    }
    outcome
}

fn may_not_list(files: &Files) -> String {
    let file = files.env.shown().display();
    format!("the access token in {file} is alive, but may not list data sources")
}

fn no_usable_answer(run: &Run<'_>) -> String {
    let trouble = verdict::last_trouble(&run.attempts);
    format!("{NO_USABLE_ANSWER}: {trouble}")
}

/// Looks at every credential.
pub(crate) async fn status(
    sources: &Sources,
    clock: &Clock,
    probe: Probe,
    limits: Limits,
) -> Status {
    let now = clock.now();
    let mut run = Run::new(sources, clock, Need::default(), limits);
    let read = run.read_only().and_then(|files| {
        match probe {
            Probe::Online => run.connect(&files)?,
            // A wrong address is worth knowing of; what it takes to reach it is not needed.
            Probe::Offline => drop(files.connection(sources)?),
        }
        Ok(files)
    });
    let files = match read {
        Ok(files) => files,
        Err(end) => return Status::of_end(end, now),
    };
    let mut check = Check {
        run,
        files,
        probe,
        now,
        trouble: None,
    };
    let access_token = check.access_token().await;
    let credentials = vec![
        access_token,
        check.refresh_token(),
        check.personal_access_token().await,
        check.integration_refresh_token(),
    ];
    check.sum_up(credentials)
}

struct Check<'a> {
    run: Run<'a>,
    files: Files,
    probe: Probe,
    now: Timestamp,
    /// Why Webex's answer about the service app's token settles nothing.
    trouble: Option<String>,
}

impl Check<'_> {
    async fn access_token(&mut self) -> CredentialStatus {
        let credential = Credential::ServiceAppAccessToken;
        let Some(token) = self.files.tokens.access_token.clone() else {
            return self.by_date(credential, None);
        };
        let fingerprint = token.fingerprint();
        let mut status = self.by_date(credential, Some(&fingerprint));
        if self.probe == Probe::Offline {
            return status;
        }
        match ask_about(&mut self.run, &token).await {
            Outcome::Accepted => {
                status.checked = true;
                if status.state != CredentialState::Due {
                    status.state = CredentialState::Valid;
                }
                if status.expires_at.is_none() {
                    status.expires_at = self.ask_expiry(&token).await.0;
                }
            }
            Outcome::Rejected => {
                status.checked = true;
                status.state = CredentialState::Rejected;
            }
            Outcome::Forbidden => {
                status.checked = true;
                status.state = CredentialState::Forbidden;
            }
            _ => {
                self.trouble = Some(no_usable_answer(&self.run));
            }
        }
        status
    }

    fn refresh_token(&self) -> CredentialStatus {
        let token = self.files.tokens.refresh_token.as_ref();
        let fingerprint = token.map(RefreshToken::fingerprint);
        self.by_date(Credential::ServiceAppRefreshToken, fingerprint.as_ref())
    }

    async fn personal_access_token(&mut self) -> CredentialStatus {
        let credential = Credential::PersonalAccessToken;
        let token = self.files.settings.personal_access_token.clone();
        let Some(token) = token.map(|token| token.value) else {
            return self.by_date(credential, None);
        };
        let mut status = self.by_date(credential, Some(&token.fingerprint()));
        if self.probe == Probe::Online {
            let (expires_at, refused) = self.ask_expiry(&token).await;
            if let Some(expires_at) = expires_at {
                status.checked = true;
                status.expires_at = Some(expires_at);
                status.state = CredentialState::Valid;
            } else if refused {
                status.checked = true;
                status.state = CredentialState::Rejected;
            }
        }
        status
    }

    fn integration_refresh_token(&self) -> CredentialStatus {
        let integration = self.files.settings.integration.as_ref();
        let token = integration.and_then(|integration| integration.refresh_token.as_ref());
        let fingerprint = token.map(|token| token.value.fingerprint());
        self.by_date(Credential::IntegrationRefreshToken, fingerprint.as_ref())
    }

    /// When `token` expires as Webex says, and whether Webex refuses it.
    async fn ask_expiry(&mut self, token: &AccessToken) -> (Option<Timestamp>, bool) {
        self.run.learned = None;
        let before = self.run.attempts.len();
        self.run.ask_expiry(token).await;
        let learned = self
            .run
            .learned
            .take()
            .and_then(|(_, life)| life.expires_at);
        let asked = self.run.attempts.get(before);
        let refused = asked.is_some_and(|attempt| attempt.outcome == Outcome::Rejected);
        (learned, refused)
    }

    fn by_date(
        &self,
        credential: Credential,
        fingerprint: Option<&Fingerprint>,
    ) -> CredentialStatus {
        let life = fingerprint.map(|fingerprint| self.files.life(credential, fingerprint));
        let state = match (fingerprint, life) {
            (Some(fingerprint), Some(life)) => self.state_by_date(credential, fingerprint, life),
            _ => CredentialState::Absent,
        };
        CredentialStatus {
            credential,
            state,
            expires_at: life.and_then(|life| life.expires_at),
            checked: false,
            of_integration: credential == Credential::PersonalAccessToken
                && life.is_some_and(|life| life.lifetime.is_some()),
        }
    }

    fn state_by_date(
        &self,
        credential: Credential,
        fingerprint: &Fingerprint,
        life: Life,
    ) -> CredentialState {
        let is_access_token = credential == Credential::ServiceAppAccessToken;
        let is_dead = || {
            self.was_there_when_flagged(credential, fingerprint)
                || self.files.is_dead(credential, fingerprint)
        };
        if !is_access_token && is_dead() {
            return CredentialState::Rejected;
        }
        match lifetime::freshness(life, SignedDuration::ZERO, self.now) {
            Freshness::Fresh => CredentialState::Valid,
            Freshness::Due if is_access_token => CredentialState::Due,
            Freshness::Due => CredentialState::Valid,
            Freshness::Expired => CredentialState::Expired,
            Freshness::Unknown => CredentialState::Unknown,
        }
    }

    /// Whether a climb has found this credential dead, and nothing has been put in its place.
    fn was_there_when_flagged(&self, credential: Credential, fingerprint: &Fingerprint) -> bool {
        let since = self.files.tokens.reauthorization_required.as_ref();
        let since: Option<Timestamp> = since.and_then(|since| since.parse().ok());
        let record = self.files.record(credential, fingerprint);
        match (since, record) {
            (Some(since), Some(record)) => lifetime::to_the_second(record.first_seen) <= since,
            _ => false,
        }
    }

    fn sum_up(self, credentials: Vec<CredentialStatus>) -> Status {
        let settings = &self.files.settings;
        let [access_token, refresh_token, pat, integration] = credentials.as_slice() else {
            unreachable!("there are four credentials");
        };
        let rungs = [
            (refresh_token, settings.service_app.is_some()),
            (pat, settings.mint.is_some()),
            (integration, settings.mint.is_some()),
        ];
        let usable = |(credential, settings): &(&CredentialStatus, bool)| {
            *settings && credential.state.may_work()
        };
        let can_be_renewed = rungs.iter().any(usable);
        // What may be spent is counted on only where there is nothing else.
        let is_sure = |(credential, _): &(&CredentialStatus, bool)| match credential.credential {
            Credential::ServiceAppRefreshToken => self.files.lost_grant().is_none(),
            Credential::IntegrationRefreshToken => self.files.lost_renewal().is_none(),
            _ => true,
        };
        let sure: Vec<_> = rungs
            .iter()
            .filter(|rung| usable(rung) && is_sure(rung))
            .collect();
        let counted = if sure.is_empty() {
            rungs.iter().filter(|rung| usable(rung)).collect()
        } else {
            sure
        };
        let ends = counted
            .into_iter()
            .map(|(credential, _)| credential.expires_at);
        let human_needed_by = lifetime::human_needed_by(ends);
        let problems = self.files.problems();
        let file = self.files.env.shown().display();
        let (outcome, message, remedy) = match access_token.state {
            _ if let Some(trouble) = &self.trouble => (
                StatusOutcome::Unavailable,
                trouble.clone(),
                Some(Remedy::TryAgainLater),
            ),
            CredentialState::Unknown if !access_token.checked => (
                StatusOutcome::Unavailable,
                format!("only Webex can tell whether the access token in {file} works"),
                Some(Remedy::AskOnline),
            ),
            CredentialState::Valid | CredentialState::Due | CredentialState::Unknown => (
                StatusOutcome::Valid,
                if access_token.checked {
                    format!("the access token in {file} works")
                } else {
                    format!("the access token in {file} has not expired; Webex was not asked")
                },
                None,
            ),
            CredentialState::Forbidden => (
                StatusOutcome::Misconfigured,
                may_not_list(&self.files),
                Some(Remedy::FixDataSourceScope),
            ),
            _ if !problems.is_empty() => (
                StatusOutcome::Misconfigured,
                SETTINGS_DO_NOT_SERVE.to_owned(),
                Some(Remedy::FixSettings),
            ),
            state if can_be_renewed => (
                StatusOutcome::Renewable,
                format!(
                    "{}, but another credential can provide a new one",
                    access_token_is(state, &file.to_string())
                ),
                Some(Remedy::RunRefreshToken),
            ),
            state => (
                StatusOutcome::ReauthorizationRequired,
                format!(
                    "{}, and no other credential can provide a new one",
                    access_token_is(state, &file.to_string())
                ),
                Some(Remedy::Reauthorize {
                    integration: settings.integration.is_some(),
                    config_file: self.files.config_file(),
                }),
            ),
        };
        let (problems, mut warnings) = match outcome {
            StatusOutcome::Misconfigured => (problems, Vec::new()),
            _ => (Vec::new(), problems),
        };
        warnings.extend(self.files.lost_answers());
        Status {
            outcome,
            human_needed_by,
            message,
            problems,
            remedy,
            warnings,
            now: self.now,
            credentials,
        }
    }
}

fn access_token_is(state: CredentialState, file: &str) -> String {
    match state {
        CredentialState::Absent => format!("there is no access token in {file}"),
        CredentialState::Expired => format!("the access token in {file} has expired"),
        _ => format!("Webex refuses the access token in {file}"),
    }
}

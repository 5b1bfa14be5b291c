//! How a run ended, and the words for it.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::files::{Files, ReadError};
use super::report::{Attempt, Brought, Report, RunOutcome, Step};
use super::run::Run;
use super::save::SaveError;
use crate::config::Problem;
use crate::ladder::{Ending, Outcome, Request, Rung};
use crate::lifetime::{self, Life};
use crate::remedy::Remedy;
use crate::store::{Credential, Place, Rescue, StoreError, StoreLock};
use crate::token::{AccessToken, RefreshToken};
use crate::webex::ClientError;
use crate::webex::judge::{Cause, Question};

/// What is said before the problems of the settings are listed.
pub(super) const SETTINGS_DO_NOT_SERVE: &str = "the configuration is incomplete or wrong";

/// What is said before the trouble that passes is named.
pub(super) const NO_USABLE_ANSWER: &str = "Webex gave no usable answer";

/// How a run ended.
#[derive(Debug)]
pub(super) enum End {
    /// As the ladder said.
    Ladder(Ending),
    /// Settings are wrong, and a climb needs them.
    Settings(Vec<String>),
    /// A file cannot be read.
    Unreadable(ReadError),
    /// A file cannot be saved, so nothing was sent.
    CannotSave(StoreError),
    /// Settings could not be written.
    NotWritten(SaveError),
    /// What was issued is not in its file.
    NotSaved {
        error: SaveError,
        rescue: Result<PathBuf, StoreError>,
    },
    /// What an earlier run has rescued is still not in its file.
    StillNotSaved { error: SaveError, rescue: PathBuf },
    /// Nothing can be saved; the caller prints what was minted, if anything was.
    Unsaved {
        ending: Ending,
        token: Option<AccessToken>,
        why: StoreError,
    },
    /// What a person's consent was to be exchanged for was refused.
    NotAuthorized(Question),
    /// The consent did not cover what the integration is for.
    ScopeMissing,
    /// Another run holds the lock.
    Locked { file: PathBuf, pid: Option<u32> },
    /// The client cannot be made.
    Client(ClientError),
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<Vec<Problem>> for End {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Settings(problems.iter().map(Problem::to_string).collect())
    }
}

impl End {
    /// Puts what was issued into a rescue file, since its own file does not take it.
    pub(super) fn not_saved(
        run: &Run<'_>,
        place: &Place,
        lock: &StoreLock,
        rescue: &Rescue,
        error: SaveError,
    ) -> Self {
        let state_home = run.sources.state_home();
        Self::NotSaved {
            rescue: crate::store::write_rescue(place, state_home.as_deref(), rescue, lock),
            error,
        }
    }

    /// Whether what was issued lies in a rescue file at least.
    pub(super) fn is_rescued(&self) -> bool {
        matches!(self, Self::NotSaved { rescue: Ok(_), .. })
    }

    /// What happened, and what to do. An ending that the attempts explain is explained by
    /// [`report`], which knows them.
    fn explain(&self) -> (RunOutcome, String, Option<Remedy>) {
        match self {
            Self::Ladder(_) | Self::NotAuthorized(_) => {
                (RunOutcome::Unavailable, String::new(), None)
            }
            Self::ScopeMissing => (
                RunOutcome::Misconfigured,
                "the integration was authorized without the scope spark:applications_token, and \
                 nothing was saved"
                    .to_owned(),
                Some(Remedy::FixIntegrationScope),
            ),
            Self::Settings(_) => (
                RunOutcome::Misconfigured,
                SETTINGS_DO_NOT_SERVE.to_owned(),
                Some(Remedy::FixSettings),
            ),
            Self::Unreadable(ReadError::Dotenv { file, error }) => (
                RunOutcome::Misconfigured,
                format!("{}:{}: {error}", file.display(), error.line),
                Some(Remedy::FixContent {
                    advice: "correct that line, then run this again".to_owned(),
                }),
            ),
            Self::Unreadable(ReadError::Store(error)) => of_store(error, RunOutcome::Unreadable),
            Self::CannotSave(error) => {
                let (outcome, message, remedy) = of_store(error, RunOutcome::NotSaved);
                let message =
                    format!("nothing was sent, as the result could not be saved: {message}");
                (outcome, message, remedy)
            }
            Self::NotWritten(error) => (
                RunOutcome::NotSaved,
                with_cause(error),
                Some(Remedy::FixFile {
                    advice: format!("{}, then run `setup_oauth` again", make_way(error)),
                }),
            ),
            Self::Unsaved { token, why, .. } => {
                let what = match token {
                    Some(_) => "the new access token is printed and not saved",
                    None => "there is no new access token, and none could be saved",
                };
                let (_, message, remedy) = of_store(why, RunOutcome::NotSaved);
                (RunOutcome::NotSaved, format!("{what}: {message}"), remedy)
            }
            Self::NotSaved { error, rescue, .. } => not_saved(error, rescue),
            Self::StillNotSaved { error, rescue } => (
                RunOutcome::NotSaved,
                format!(
                    "the tokens in {} still cannot be saved: {error}",
                    rescue.display()
                ),
                Some(Remedy::FixFile {
                    advice: take_from(error, rescue),
                }),
            ),
            Self::Locked { file, pid } => (
                RunOutcome::Unavailable,
                match pid {
                    Some(pid) => format!("process {pid} holds {}", file.display()),
                    None => format!("another run holds {}", file.display()),
                },
                Some(Remedy::WaitForTheOther { pid: *pid }),
            ),
            Self::Client(error) => (
                RunOutcome::Misconfigured,
                error.to_string(),
                Some(Remedy::FixSettings),
            ),
        }
    }
}

impl End {
    fn problems(&self) -> Vec<String> {
        match self {
            Self::Settings(problems) => problems.clone(),
            _ => Vec::new(),
        }
    }

    /// The report of a run that ended before it asked anything.
    pub(super) fn into_report(self) -> Report {
        let (outcome, message, remedy) = self.explain();
        Report {
            problems: self.problems(),
            remedy,
            ..Report::bare(outcome, message)
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explain().1)
    }
}

fn of_store(error: &StoreError, otherwise: RunOutcome) -> (RunOutcome, String, Option<Remedy>) {
    let advice = error.advice().to_owned();
    let (outcome, remedy) = if error.is_bad_content() {
        (RunOutcome::Misconfigured, Remedy::FixContent { advice })
    } else {
        (otherwise, Remedy::FixFile { advice })
    };
    (outcome, with_cause(error), Some(remedy))
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn not_saved(
    error: &SaveError,
    rescue: &Result<PathBuf, StoreError>,
) -> (RunOutcome, String, Option<Remedy>) {
    let why = with_cause(error);
    let (message, advice) = match rescue {
        Ok(path) => (
            format!(
                "Webex issued new tokens and they cannot be saved: {why}; they are in {}",
                path.display()
            ),
            take_from(error, path),
        ),
        Err(rescue) => (
            format!(
                "Webex issued new tokens and they can be saved nowhere: {why}; {}",
                with_cause(rescue)
            ),
            format!(
                "{}, then run `refresh_token`: it tries the other credentials first",
                make_way(error)
            ),
        ),
    };
    (
        RunOutcome::NotSaved,
        message,
        Some(Remedy::FixFile { advice }),
    )
}

fn take_from(error: &SaveError, rescue: &Path) -> String {
    format!(
        "{}, then run `refresh_token`: it takes them from {}",
        make_way(error),
        rescue.display()
    )
}

/// What keeps the tokens out of their file is the disk, or its text.
fn make_way(error: &SaveError) -> &'static str {
    match error {
        SaveError::Store(_) => "make room for them or make the file writable",
        SaveError::Dotenv { .. } | SaveError::Json { .. } => "correct that line",
    }
}

/// What a step of a set-up has brought, or everything there is to say about its end.
pub(super) fn brought<T>(run: Run<'_>, value: Result<T, End>) -> Result<Brought<T>, Box<Report>> {
    match value {
        Ok(value) => Ok(Brought {
            value,
            attempts: run.attempts,
            warnings: run.warnings,
        }),
        Err(end) => Err(Box::new(report(run, &end))),
    }
}

/// Everything there is to say about a run that has ended.
pub(super) fn report(run: Run<'_>, end: &End) -> Report {
    let now = run.clock.now();
    let (outcome, message, remedy) = match end {
        End::Ladder(ending) => explain_ending(&run, *ending, now),
        End::NotAuthorized(question) => explain_refusal(&run, *question),
        end => end.explain(),
    };
    let (outcome, message, remedy) = match issued_by(&run.attempts) {
        None | Some(Rung::ServiceAppRefreshToken) if run.need.prove && outcome.works() => {
            explain_unproven(&run)
        }
        _ => (outcome, message, remedy),
    };
    let (rung, validated) = match end {
        End::Ladder(Ending::Refreshed(rung)) => (Some(*rung), true),
        End::Ladder(Ending::Valid | Ending::Kept) => (None, true),
        End::Unsaved {
            ending: Ending::Refreshed(rung),
            ..
        } => (Some(*rung), true),
        _ => (issued_by(&run.attempts), false),
    };
    let files = run.files.as_ref();
    let stored = files.and_then(|files| files.tokens.access_token.clone());
    let unsaved = match end {
        End::Unsaved { token, .. } => token.clone(),
        _ => None,
    };
    let life = match (files, &stored) {
        (Some(files), Some(token)) => run.life(files, &token.fingerprint()),
        _ => Life::default(),
    };
    let refresh_token_life = files.and_then(|files| {
        let token = files.tokens.refresh_token.as_ref()?;
        Some(files.life(Credential::ServiceAppRefreshToken, &token.fingerprint()))
    });
    let mut warnings = run.warnings.clone();
    if outcome == RunOutcome::Kept {
        let trouble = last_trouble(&run.attempts);
        warnings.push(match &remedy {
            Some(remedy) => format!("no new access token was to be had: {trouble}; {remedy}"),
            None => format!("no new access token was to be had: {trouble}"),
        });
    }
    if let (true, Some(expires_at)) = (outcome.works(), life.expires_at)
        && expires_at.duration_since(now) < run.need.min_validity
    {
        warnings.push(format!(
            "the access token lasts until {}, less than --min-validity asks for",
            lifetime::date(expires_at)
        ));
    }
    Report {
        rung,
        access_token: unsaved.or_else(|| stored.filter(|_| outcome.works())),
        life,
        expires_at: life.expires_at,
        expires_in: life.expires_at.map(|at| at.duration_since(now)),
        has_refresh_token: refresh_token_life.is_some(),
        refresh_token_expires_at: refresh_token_life.and_then(|life| life.expires_at),
        validated,
        problems: end.problems(),
        remedy,
        warnings,
        attempts: run.attempts,
        ..Report::bare(outcome, message)
    }
}

/// The rung whose token is saved, although it was not accepted.
fn issued_by(attempts: &[Attempt]) -> Option<Rung> {
    attempts
        .iter()
        .rev()
        .find_map(|attempt| match attempt.step {
            Step::Ladder(request @ (Request::Grant | Request::Mint | Request::MintRenewed))
                if attempt.outcome == Outcome::Issued =>
            {
                request.rung()
            }
            _ => None,
        })
}

fn explain_ending(
    run: &Run<'_>,
    ending: Ending,
    now: Timestamp,
) -> (RunOutcome, String, Option<Remedy>) {
    let file = run.sources.env_file();
    let file = file.display();
    let last_error = || last_trouble(&run.attempts);
    match ending {
        Ending::Valid => (
            RunOutcome::Valid,
            format!("the access token in {file} is valid"),
            None,
        ),
        Ending::Refreshed(rung) => (
            RunOutcome::Refreshed,
            format!(
                "{file} has a new access token from the {}, and Webex accepts it",
                rung.label()
            ),
            None,
        ),
        Ending::Kept => (
            RunOutcome::Kept,
            format!("no new access token was to be had; the one in {file} still works"),
            limit_remedy(&run.attempts),
        ),
        Ending::Unavailable => (
            RunOutcome::Unavailable,
            format!("{NO_USABLE_ANSWER}: {}", last_error()),
            Some(passing_remedy(&run.attempts)),
        ),
        Ending::NotValidated => (
            RunOutcome::Unavailable,
            format!(
                "{file} has a new access token, and Webex could not be asked whether it accepts \
                 it: {}",
                last_error()
            ),
            Some(passing_remedy(&run.attempts)),
        ),
        Ending::MintRefused => (
            RunOutcome::Unavailable,
            format!("Webex issues tokens and refuses them; the newest one is kept in {file}"),
            Some(Remedy::AskWebex),
        ),
        Ending::Forbidden => (
            RunOutcome::Misconfigured,
            format!(
                "the access token in {file} is alive, but may not list data sources: {}",
                last_error()
            ),
            Some(Remedy::FixDataSourceScope),
        ),
        Ending::Misconfigured => {
            let (message, remedy) = fault(&run.attempts);
            (RunOutcome::Misconfigured, message, Some(remedy))
        }
        Ending::ProxyRefused => (
            RunOutcome::Misconfigured,
            "a proxy on the way to Webex asks for credentials (407)".to_owned(),
            Some(Remedy::FixProxy),
        ),
        Ending::Unsaveable => (
            RunOutcome::NotSaved,
            format!(
                "what the integration would issue could not be saved: {}",
                last_error()
            ),
            Some(Remedy::FixFile {
                advice: "make token-config.json and its folder writable, then run `refresh_token`"
                    .to_owned(),
            }),
        ),
        Ending::Reauthorize => {
            let integration = run
                .files
                .as_ref()
                .is_some_and(|files| files.settings.integration.is_some());
            let config_file = run
                .files
                .as_ref()
                .map(Files::config_file)
                .unwrap_or_default();
            (
                RunOutcome::ReauthorizationRequired,
                what_is_dead(run, now),
                Some(Remedy::Reauthorize {
                    integration,
                    config_file,
                }),
            )
        }
    }
}

/// The token in `.env` works, and the consent that was to be shown to mint did not.
fn explain_unproven(run: &Run<'_>) -> (RunOutcome, String, Option<Remedy>) {
    let is_fault =
        |attempt: &Attempt| matches!(attempt.outcome, Outcome::Misconfigured | Outcome::Forbidden);
    let (outcome, (trouble, remedy)) = if run.attempts.iter().any(is_fault) {
        (RunOutcome::Misconfigured, fault(&run.attempts))
    } else {
        let trouble = last_trouble(&run.attempts);
        (
            RunOutcome::Unavailable,
            (trouble, passing_remedy(&run.attempts)),
        )
    };
    let message = format!("what was authorized does not mint: {trouble}");
    (outcome, message, Some(remedy))
}

/// Why a consent brought no tokens.
fn explain_refusal(run: &Run<'_>, question: Question) -> (RunOutcome, String, Option<Remedy>) {
    let trouble = last_trouble(&run.attempts);
    let last = run.attempts.iter().rfind(|attempt| attempt.sent);
    let cause = last.and_then(|attempt| attempt.cause.as_ref());
    let settings = run.files.as_ref().map(|files| &files.settings);
    match cause {
        Some(Cause::Denied) => (
            RunOutcome::ReauthorizationRequired,
            "the authorization was denied".to_owned(),
            Some(Remedy::Consent),
        ),
        Some(Cause::DeadCredential) => (
            RunOutcome::Unavailable,
            format!("what was allowed had expired, or was used before: {trouble}"),
            Some(Remedy::ConsentAgain),
        ),
        Some(Cause::BadClient) => (
            RunOutcome::Misconfigured,
            format!("Webex refuses the integration's client id or secret: {trouble}"),
            Some(Remedy::FixIntegrationClient),
        ),
        Some(Cause::BadRedirectUri) => (
            RunOutcome::Misconfigured,
            format!("Webex refuses the redirect URI: {trouble}"),
            Some(Remedy::FixRedirectUri {
                uri: settings
                    .and_then(|settings| settings.redirect_uri.as_ref())
                    .map(|uri| uri.as_str().to_owned())
                    .unwrap_or_default(),
            }),
        ),
        Some(Cause::BadScope) => (
            RunOutcome::Misconfigured,
            format!("Webex refuses the scope: {trouble}"),
            Some(Remedy::FixIntegrationScope),
        ),
        Some(Cause::Proxy) => (
            RunOutcome::Misconfigured,
            "a proxy on the way to Webex asks for credentials (407)".to_owned(),
            Some(Remedy::FixProxy),
        ),
        Some(Cause::Refused | Cause::BadMintInput | Cause::NotAllowed) => (
            RunOutcome::Misconfigured,
            format!("Webex refuses the integration: {trouble}"),
            Some(match question {
                Question::DeviceAuthorization | Question::DevicePoll => Remedy::FixDeviceGrant,
                _ => Remedy::FixIntegrationClient,
            }),
        ),
        _ => (
            RunOutcome::Unavailable,
            format!("{NO_USABLE_ANSWER}: {trouble}"),
            Some(match last.map(|last| last.outcome) {
                // The code may be spent; a new consent is what helps.
                Some(Outcome::Doubtful) if question != Question::DeviceAuthorization => {
                    Remedy::ConsentAgain
                }
                _ => passing_remedy(&run.attempts),
            }),
        ),
    }
}

/// The last thing that went wrong, in its own words.
pub(super) fn last_trouble(attempts: &[Attempt]) -> String {
    let mut troubles = attempts
        .iter()
        .rev()
        .filter(|attempt| !matches!(attempt.outcome, Outcome::Issued | Outcome::Accepted));
    let last = troubles.next();
    // A try that was not made only says that there was no time for it; the one before says why.
    let trouble = match (last, troubles.next()) {
        (Some(last), Some(before)) if !last.sent && before.step == last.step => Some(before),
        _ => last,
    };
    trouble.map_or_else(|| "nothing was asked".to_owned(), Attempt::to_string)
}

/// What helps where an account holds too many tokens.
fn limit_remedy(attempts: &[Attempt]) -> Option<Remedy> {
    let is_met = |attempt: &Attempt| attempt.cause == Some(Cause::TokenLimit);
    attempts.iter().any(is_met).then_some(Remedy::EndSessions)
}

fn passing_remedy(attempts: &[Attempt]) -> Remedy {
    limit_remedy(attempts).unwrap_or(Remedy::TryAgainLater)
}

/// The configuration fault that closed the ladder; the last one counts.
fn fault(attempts: &[Attempt]) -> (String, Remedy) {
    let fault = attempts.iter().rev().find_map(|attempt| {
        let Step::Ladder(request) = attempt.step else {
            return None;
        };
        let remedy = match (request, attempt.outcome) {
            (Request::Grant, Outcome::Misconfigured) => Remedy::FixServiceAppClient,
            (Request::Mint | Request::MintRenewed, Outcome::Misconfigured) => Remedy::FixMintInput,
            (Request::Mint | Request::MintRenewed, Outcome::Forbidden) => {
                Remedy::FixMintAuthorization
            }
            (Request::Renew, Outcome::Misconfigured) => Remedy::FixIntegrationClient,
            _ => return None,
        };
        Some((attempt.to_string(), remedy))
    });
    fault.unwrap_or_else(|| (last_trouble(attempts), Remedy::FixSettings))
}

/// Each credential and its end, and what still works meanwhile.
fn what_is_dead(run: &Run<'_>, now: Timestamp) -> String {
    let Some(files) = &run.files else {
        return "no stored credential is accepted any more".to_owned();
    };
    let settings = &files.settings;
    let outcome_of = |request: Request| {
        let step = Step::Ladder(request);
        let mut attempts = run.attempts.iter().rev();
        attempts
            .find(|attempt| attempt.step == step)
            .map(|attempt| attempt.outcome)
    };
    let fate = |rung: Rung, credential, fingerprint: Option<_>, request| {
        let Some(fingerprint) = fingerprint else {
            return format!("no {}", rung.label());
        };
        let label = rung.label();
        match (
            files.life(credential, &fingerprint).expires_at,
            outcome_of(request),
        ) {
            (_, Some(Outcome::Issued)) => format!("{label} gave a token that Webex refuses"),
            (Some(end), _) if end <= now => format!("{label} expired {}", lifetime::date(end)),
            (_, Some(_)) => format!("{label} refused"),
            (_, None) => format!("{label} of no use"),
        }
    };
    let integration = settings.integration.as_ref();
    let fates = [
        fate(
            Rung::ServiceAppRefreshToken,
            Credential::ServiceAppRefreshToken,
            files
                .tokens
                .refresh_token
                .as_ref()
                .map(RefreshToken::fingerprint),
            Request::Grant,
        ),
        fate(
            Rung::PersonalAccessToken,
            Credential::PersonalAccessToken,
            settings
                .personal_access_token
                .as_ref()
                .map(|token| token.value.fingerprint()),
            Request::Mint,
        ),
        fate(
            Rung::IntegrationRefreshToken,
            Credential::IntegrationRefreshToken,
            integration
                .and_then(|integration| integration.refresh_token.as_ref())
                .map(|token| token.value.fingerprint()),
            Request::Renew,
        ),
    ];
    let access_token = files
        .tokens
        .access_token
        .as_ref()
        .map(AccessToken::fingerprint);
    let still = access_token
        .filter(|token| run.refused.as_ref() != Some(token))
        .and_then(|token| run.life(files, &token).expires_at)
        .filter(|end| *end > now);
    let mut message = format!(
        "no stored credential is accepted any more: {}",
        fates.join(", ")
    );
    let since = run.needed_since.as_ref();
    if let Some(since) = since.and_then(|since| since.parse::<Timestamp>().ok()) {
        let _ = write!(message, " (since {since})");
    }
    if let Some(end) = still {
        let _ = write!(
            message,
            "; the old access token works until {}",
            lifetime::date(end)
        );
    }
    message
}

//! A person's consent, turned into the integration's tokens in `token-config.json`.
//!
//! The rules of a climb hold here, too: the lock, room to save taken first, then one request, then
//! the save, and a rescue file where that fails. No intent is recorded: what is spent is not what is
//! stored. The lock is held for one exchange, never while a person makes up their mind.

use std::time::Duration;

use jiff::Timestamp;

use super::files::{Files, ReadError};
use super::integration::Saving;
use super::limits::Limits;
use super::repair;
use super::report::{Brought, Report, Step as Asked};
use super::run::{Cut, Need, Run};
use super::verdict::{self, End};
use crate::clock::Clock;
use crate::config::{Integration, Sources};
use crate::ladder::{Outcome, Wait};
use crate::store::{Place, Replacement, StoreLock};
use crate::token::{AuthorizationCode, CodeVerifier, DeviceCode};
use crate::webex::judge::{self, Cause, Judged, Question};
use crate::webex::{CodeExchange, DeviceAuthorization, DevicePoll, Exchange, Prepared};

/// The scope that an integration needs so that its access token can mint.
pub(crate) const MINT_SCOPE: &str = "spark:applications_token";

/// What a person's consent is proven by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof<'a> {
    /// An authorization code (RFC 6749 §4.1.3).
    Code {
        /// The code.
        code: &'a AuthorizationCode,
        /// What its code challenge was made of.
        code_verifier: &'a CodeVerifier,
        /// The redirect URI of the authorization request, byte for byte.
        redirect_uri: &'a str,
    },
    /// A device code, for which the person may not have decided yet (RFC 8628 §3.4).
    Device(&'a DeviceCode),
}

/// What came of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authorized {
    /// The integration's tokens are in `token-config.json`.
    Saved,
    /// The person has not decided yet.
    Undecided,
    /// The same, and the next poll is to wait longer, at least this long if Webex says so.
    SlowDown(Option<Duration>),
}

/// Exchanges the proof and saves what it brings; what was asked for that, and what somebody should
/// know of, comes with it.
pub(crate) async fn authorize(
    sources: &Sources,
    clock: &Clock,
    proof: Proof<'_>,
    limits: Limits,
) -> Result<Brought<Authorized>, Box<Report>> {
    let mut run = Run::new(sources, clock, Need::default(), limits);
    let authorized = match Transaction::begin(&mut run).await {
        Ok(transaction) => transaction.go(proof).await,
        Err(end) => Err(end),
    };
    if matches!(authorized, Ok(Authorized::Undecided)) {
        // "Not yet", every two seconds, is nothing to tell.
        run.attempts.clear();
    }
    verdict::brought(run, authorized)
}

/// Makes sure, before a person is asked to consent, that what they bring could be saved, and what is
/// minted with it.
pub(crate) async fn rehearse(
    sources: &Sources,
    clock: &Clock,
    limits: Limits,
) -> Result<Brought<()>, Box<Report>> {
    let mut run = Run::new(sources, clock, Need::default(), limits);
    let rehearsed = match Transaction::begin(&mut run).await {
        Ok(transaction) => transaction.rehearse(),
        Err(end) => Err(end),
    };
    verdict::brought(run, rehearsed)
}

/// Asks for a device code, and what the person needs to decide.
pub(crate) async fn begin_device(
    sources: &Sources,
    clock: &Clock,
    limits: Limits,
) -> Result<Brought<DeviceAuthorization>, Box<Report>> {
    let mut run = Run::new(sources, clock, Need::default(), limits);
    let begun = ask_for_device_code(&mut run).await;
    verdict::brought(run, begun)
}

async fn ask_for_device_code(run: &mut Run<'_>) -> Result<DeviceAuthorization, End> {
    let files = run.read()?;
    let integration = integration(&files)?;
    let question = Question::DeviceAuthorization;
    let authorization = persistently(
        run,
        question,
        |run| {
            let client_id = &integration.client_id;
            run.client().device_authorize(client_id, MINT_SCOPE)
        },
        judge::judge_device_authorization,
    )
    .await;
    authorization.ok_or(End::NotAuthorized(question))
}

fn integration(files: &Files) -> Result<Integration, End> {
    files.require_settings()?;
    let integration = files.settings.integration.clone();
    integration.ok_or(End::Settings(Vec::new()))
}

/// Asks, and asks again while Webex is busy, as long as nothing can have been spent.
async fn persistently<T>(
    run: &mut Run<'_>,
    question: Question,
    prepare: impl Fn(&Run<'_>) -> Prepared,
    judge: impl Fn(&Exchange, Timestamp) -> (Judged, Option<T>),
) -> Option<T> {
    let mut failures = 0;
    loop {
        let wait = match failures {
            0 => Wait::No,
            failures => Wait::BackOff(failures),
        };
        let prepared = prepare(run);
        let step = Asked::Authorize(question);
        let (outcome, value) = run.ask(step, wait, prepared, Cut::Never, &judge).await;
        let may_be_repeated = match outcome {
            Outcome::Unavailable => question != Question::DevicePoll,
            // Nobody has seen a code that was lost with its answer.
            Outcome::Doubtful => question == Question::DeviceAuthorization,
            _ => false,
        };
        if !may_be_repeated {
            return value;
        }
        failures += 1;
    }
}

/// One exchange, with the lock beside `token-config.json` held.
struct Transaction<'r, 'a> {
    run: &'r mut Run<'a>,
    files: Files,
    config: Place,
    integration: Integration,
    lock: StoreLock,
}

impl<'r, 'a> Transaction<'r, 'a> {
    async fn begin(run: &'r mut Run<'a>) -> Result<Self, End> {
        let mut files = run.read()?;
        let config = files.config.clone().map_err(ReadError::Store)?;
        let lock = run.lock(&config).await?;
        repair::repair_config(run, &mut files, &config, &lock)?;
        let integration = integration(&files)?;
        Ok(Self {
            run,
            files,
            config,
            integration,
            lock,
        })
    }

    fn rehearse(&self) -> Result<(), End> {
        self.prepare()?;
        match Run::try_lock(&self.files.env) {
            Ok(lock) => self
                .files
                .prepare_env(&lock)
                .map(drop)
                .map_err(End::CannotSave),
            // Whoever is at it shows that it can be saved.
            Err(End::Locked { .. }) => Ok(()),
            Err(end) => Err(end),
        }
    }

    fn prepare(&self) -> Result<Replacement, End> {
        let prepared = self.files.prepare_config(&self.config, &self.lock);
        prepared.map_err(End::CannotSave)
    }

    async fn go(mut self, proof: Proof<'_>) -> Result<Authorized, End> {
        let replacement = self.prepare()?;
        let question = match proof {
            Proof::Code { .. } => Question::Code,
            Proof::Device(_) => Question::DevicePoll,
        };
        let granted = persistently(
            self.run,
            question,
            |run| prepared(run, &self.integration, proof),
            |exchange, now| {
                let (judged, issued) = judge::judge_tokens(question, exchange, now);
                let scopes = judge::granted_scopes(exchange);
                (judged, issued.map(|issued| (issued, scopes)))
            },
        )
        .await;
        let Some((issued, scopes)) = granted else {
            return self.undecided().ok_or(End::NotAuthorized(question));
        };
        self.run.keep_closed(&issued);
        if scopes.is_some_and(|scopes| !scopes.iter().any(|scope| scope == MINT_SCOPE)) {
            // What could mint before still can, and stays.
            return Err(End::ScopeMissing);
        }
        if issued.refresh_token.is_none() {
            self.run.warn_once(
                "Webex gave no refresh token with the consent: what it gave cannot be renewed, and \
                 a human is needed when it ends"
                    .to_owned(),
            );
        }
        let saving = Saving {
            run: self.run,
            files: &mut self.files,
            config: &self.config,
            lock: &self.lock,
            replacement: Some(replacement),
            renews: false,
        };
        saving.save(issued).await?;
        // Webex may issue the same refresh token again, and has just shown that it lives.
        repair::close_intent(&mut self.lock);
        Ok(Authorized::Saved)
    }

    /// What a poll that brought nothing means, if the next one may.
    ///
    /// A poll without an answer is repeated, as RFC 8628 §3.5 has it: should the lost answer have
    /// been the tokens, Webex says that the code is spent.
    fn undecided(&self) -> Option<Authorized> {
        let last = self.run.attempts.last()?;
        match (last.step, last.cause.as_ref()?) {
            (Asked::Authorize(Question::DevicePoll), cause) => match cause {
                Cause::Undecided => Some(Authorized::Undecided),
                Cause::SlowDown
                | Cause::Busy
                | Cause::Failed
                | Cause::NotConnected
                | Cause::NoAnswer
                | Cause::Intermediary => Some(Authorized::SlowDown(self.run.retry_after)),
                _ => None,
            },
            _ => None,
        }
    }
}

fn prepared(run: &Run<'_>, integration: &Integration, proof: Proof<'_>) -> Prepared {
    let (client_id, client_secret) = (integration.client_id.as_str(), &integration.client_secret);
    match proof {
        Proof::Code {
            code,
            code_verifier,
            redirect_uri,
        } => run.client().exchange_code(CodeExchange {
            client_id,
            client_secret,
            code,
            code_verifier,
            redirect_uri,
        }),
        Proof::Device(device_code) => run.client().device_token(DevicePoll {
            client_id,
            client_secret,
            device_code,
        }),
    }
}

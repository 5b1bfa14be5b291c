//! One run of `refresh_token`: look at the stored token, and if it does not serve, climb.
//!
//! A climb is one transaction over the user's files: lock, read again, make sure that the result
//! can be saved, record the intent, ask, save, validate, unlock. What to ask next is decided by
//! [`crate::ladder`]; this module does what it says and brings back what came of it. Data goes
//! down once as values and comes back once as a [`Report`].

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::files::{Files, ReadError};
use super::limits::Limits;
use super::report::{Attempt, Report, Step as Asked};
use super::verdict::{self, End};
use crate::backoff;
use crate::clock::Clock;
use crate::config::Sources;
use crate::ladder::{Ending, Ladder, Outcome, Request, Step, Wait};
use crate::lifetime::{self, Freshness, Life};
use crate::store::{self, Credential, Place, StoreLock};
use crate::token::{AccessToken, Fingerprint, Issued, RefreshToken};
use crate::webex::judge::{self, Cause, Judged};
use crate::webex::{Client, Exchange, Prepared};

/// How often a run looks again because another run has changed the token under it.
const MOST_LOOKS: usize = 5;

/// How often a run finishes what other runs have left.
const MOST_REPAIRS: usize = 3;

/// How long runs only validate after Webex has minted a token and refused it.
const REFUSAL_LASTS: SignedDuration = SignedDuration::from_hours(1);

/// What a run is for.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "wishes, each on its own")]
pub struct Need {
    /// Climb even if the stored token is valid; a token that another run issued meanwhile will do.
    pub(crate) force: bool,
    /// How long the token must last, at least.
    pub(crate) min_validity: SignedDuration,
    /// Ask Webex for the expiry where it is not known.
    pub(crate) expiry: bool,
    /// Where nothing can be saved, mint all the same: the caller prints the token.
    pub(crate) even_unsaved: bool,
    /// Show that a person's consent mints: what needs none goes last, and does not count.
    pub(crate) prove: bool,
    /// An access token that Webex has refused to a caller.
    pub(crate) rejected: Option<Fingerprint>,
    /// An access token of whose life the caller knows more than the files may tell.
    pub(crate) known: Option<(Fingerprint, Life)>,
}

/// What `refresh_token` does: looks at the stored token, and climbs if it does not serve.
///
/// Once, on this thread and this runtime; file system calls block. What is under way when the future
/// is dropped is treated by the next run as what a dead process left.
pub async fn refresh(sources: &Sources, clock: &Clock, need: Need, limits: Limits) -> Report {
    let mut run = Run::new(sources, clock, need, limits);
    let end = run.go().await.unwrap_or_else(|end| end);
    verdict::report(run, &end)
}

/// A run under way, and what it has gathered for its report.
pub(super) struct Run<'a> {
    pub(super) sources: &'a Sources,
    pub(super) clock: &'a Clock,
    pub(super) need: Need,
    pub(super) limits: Limits,
    client: Option<Client>,
    /// How long Webex asked to wait when it last answered.
    pub(super) retry_after: Option<Duration>,
    /// The files as last read or written.
    pub(super) files: Option<Files>,
    /// What Webex said of a token's expiry that no reply of a grant had told.
    pub(super) learned: Option<(Fingerprint, Life)>,
    /// Whether another run has issued the stored token while this one waited: then it will do.
    adopts: bool,
    /// Every secret of this run, so that no text of an answer repeats one.
    closed: Vec<SecretString>,
    /// The access token that Webex has refused, to a caller or in this run.
    pub(super) refused: Option<Fingerprint>,
    /// Since when a human has been needed, as `.env` said before this run.
    pub(super) needed_since: Option<String>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Run<'a> {
    pub(super) fn new(sources: &'a Sources, clock: &'a Clock, need: Need, limits: Limits) -> Self {
        Self {
            sources,
            clock,
            learned: need.known.clone(),
            need,
            limits,
            client: None,
            retry_after: None,
            files: None,
            closed: Vec::new(),
            adopts: false,
            refused: None,
            needed_since: None,
            attempts: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// An `Err` is an end as well: one that was met on the way.
    async fn go(&mut self) -> Result<End, End> {
        self.refused.clone_from(&self.need.rejected);
        let env = Place::resolve(&self.sources.env_file()).map_err(ReadError::from)?;
        let mut repairs = 0;
        for _ in 0..MOST_LOOKS + MOST_REPAIRS {
            // A file that is being written over may be torn, and is not read without the lock.
            let seen = match self.read() {
                _ if env.is_pending() && repairs < MOST_REPAIRS => None,
                Err(_) if env.is_pending() => None,
                seen => Some(seen?),
            };
            let to_repair = |repairs| {
                repairs < MOST_REPAIRS && seen.as_ref().is_none_or(Files::have_unfinished_business)
            };
            if let Some(seen) = &seen {
                if to_repair(repairs) {
                    // Who holds the lock may be the one who is at it; the token is looked at.
                    repairs += 1;
                    let lock = Self::try_lock(&env);
                    self.repair(lock).await?;
                    continue;
                }
                if let Some(end) = self.look(seen).await? {
                    return Ok(end);
                }
                if !seen.config_is_pending() {
                    // Known before a lock file is made for nothing.
                    seen.require_settings()?;
                }
            }
            let lock = match (self.lock(&env).await, &seen) {
                (Err(End::CannotSave(error)), Some(seen)) if self.need.even_unsaved => {
                    return super::climb::without_saving(self, seen.clone(), error).await;
                }
                (lock, _) => lock?,
            };
            // What whoever held the lock has left, if they died or could not save.
            if to_repair(repairs) || repairs < MOST_REPAIRS && self.is_left_unfinished(&env) {
                repairs += 1;
                self.repair(Ok(lock)).await?;
                continue;
            }
            store::recover(&env, &lock).map_err(End::CannotSave)?;
            let held = self.read()?;
            if self.another_run_was_faster(seen.as_ref(), &held) {
                self.adopts = true;
                continue;
            }
            return super::climb::climb(self, lock, held).await;
        }
        let file = env.lock_file();
        Err(End::Locked { file, pid: None })
    }

    fn is_left_unfinished(&self, env: &Place) -> bool {
        let files = self.files.as_ref();
        let of_both = files.map(Files::have_unfinished_business);
        of_both.unwrap_or_else(|| env.has_unfinished_business(None))
    }

    /// Finishes what an earlier run left. Tokens that still cannot be saved, and a lock that is
    /// held, are no reason not to look at the token that is stored.
    async fn repair(&mut self, lock: Result<StoreLock, End>) -> Result<(), End> {
        let repaired = match lock {
            Ok(lock) => super::repair::repair(self, &lock).await,
            Err(end) => Err(end),
        };
        match repaired {
            Err(end @ (End::CannotSave(_) | End::StillNotSaved { .. } | End::Locked { .. })) => {
                self.warn_once(end.to_string());
                Ok(())
            }
            repaired => repaired,
        }
    }

    pub(super) fn read(&mut self) -> Result<Files, End> {
        let files = Files::read(self.sources)?;
        files.make_safe();
        self.connect(&files)?;
        self.take_in(&files);
        Ok(files)
    }

    /// For a look that changes nothing, and may need no request either.
    pub(super) fn read_only(&mut self) -> Result<Files, End> {
        let files = Files::read_only(self.sources)?;
        self.take_in(&files);
        Ok(files)
    }

    fn take_in(&mut self, files: &Files) {
        self.closed.extend(files.secrets());
        self.files = Some(files.clone());
    }

    /// Makes the client, without which nothing can be asked.
    pub(super) fn connect(&mut self, files: &Files) -> Result<(), End> {
        if self.client.is_none() {
            let connection = files.connection(self.sources)?;
            self.client = Some(Client::new(&connection).map_err(End::Client)?);
        }
        Ok(())
    }

    /// Lets no answer from now on repeat what was issued.
    pub(super) fn keep_closed(&mut self, issued: &Issued) {
        self.closed.push(issued.access_token.closed());
        let refresh_token = issued.refresh_token.as_ref();
        self.closed.extend(refresh_token.map(RefreshToken::closed));
    }

    pub(super) fn client(&self) -> &Client {
        self.client.as_ref().expect("made before anything is asked")
    }

    /// Rung 0, without a lock: `None` where a climb is needed.
    async fn look(&mut self, seen: &Files) -> Result<Option<End>, End> {
        let Some(access_token) = seen.tokens.access_token.clone() else {
            return Ok(None);
        };
        let fingerprint = access_token.fingerprint();
        if self.refused.as_ref() == Some(&fingerprint) {
            return Ok(None);
        }
        let only_validate = self.was_refused_lately(seen, &fingerprint);
        if !only_validate && !self.adopts {
            if self.need.force {
                return Ok(None);
            }
            match self.freshness(seen, &fingerprint) {
                Freshness::Fresh | Freshness::Unknown => {}
                Freshness::Due | Freshness::Expired => return Ok(None),
            }
        }
        let (mut ladder, mut step) = Ladder::check();
        loop {
            step = match step {
                Step::Send(request, wait) => {
                    let outcome = self.validate(request, wait, &access_token).await;
                    ladder.next(outcome)
                }
                Step::Climb if only_validate => {
                    return Ok(Some(End::Ladder(Ending::MintRefused)));
                }
                Step::Climb => {
                    self.refused = Some(fingerprint);
                    return Ok(None);
                }
                Step::End(Ending::Valid) => break,
                Step::End(ending) => return Ok(Some(End::Ladder(ending))),
            }
        }
        if self.wants_expiry() && self.life(seen, &fingerprint).expires_at.is_none() {
            self.ask_expiry(&access_token).await;
            let is_due = self.freshness(seen, &fingerprint) == Freshness::Due;
            if is_due && !only_validate && !self.adopts {
                return Ok(None);
            }
        }
        if seen.tokens.reauthorization_required.is_some() {
            super::flag::take_down(self, seen);
        }
        self.warn_of_lost_answers(seen);
        self.warn_of_problems(seen);
        Ok(Some(End::Ladder(Ending::Valid)))
    }

    fn was_refused_lately(&self, files: &Files, access_token: &Fingerprint) -> bool {
        let refused_at = files.state.refused_at(access_token);
        refused_at.is_some_and(|at| self.clock.now().duration_since(at).abs() < REFUSAL_LASTS)
    }

    fn wants_expiry(&self) -> bool {
        self.need.expiry || self.need.min_validity > SignedDuration::ZERO
    }

    /// Answers that were lost are told of even while the token works.
    fn warn_of_lost_answers(&mut self, files: &Files) {
        self.warnings.extend(files.lost_answers());
    }

    /// Whether the last answer said that the credential is dead, rather than not allowed to.
    pub(super) fn last_was_a_dead_credential(&self) -> bool {
        let last = self.attempts.last();
        last.is_some_and(|last| last.cause == Some(Cause::DeadCredential))
    }

    fn warn_of_problems(&mut self, files: &Files) {
        for problem in files.problems() {
            self.warnings
                .push(format!("the next climb will lack a setting: {problem}"));
        }
    }

    pub(super) fn freshness(&self, files: &Files, access_token: &Fingerprint) -> Freshness {
        let life = self.life(files, access_token);
        lifetime::freshness(life, self.need.min_validity, self.clock.now())
    }

    /// What is known of the life of the access token with this fingerprint.
    pub(super) fn life(&self, files: &Files, access_token: &Fingerprint) -> Life {
        let stored = files.life(Credential::ServiceAppAccessToken, access_token);
        match &self.learned {
            Some((known, life)) if known == access_token && stored.expires_at.is_none() => *life,
            _ => stored,
        }
    }

    /// Whether what is held now makes a grant needless: another run has issued it since this one
    /// looked, or it is new and fresh. No clock is asked whether it was issued since; it may be
    /// wrong.
    fn another_run_was_faster(&self, seen: Option<&Files>, held: &Files) -> bool {
        let Some(access_token) = held.access_token() else {
            return false;
        };
        if self.need.prove {
            // Another run's token shows nothing of what is to be proven.
            return false;
        }
        let freshness = self.freshness(held, &access_token);
        if self.refused.as_ref() == Some(&access_token) || freshness == Freshness::Expired {
            return false;
        }
        let issued_at = held.access_token_issued_at();
        let was_issued_since =
            issued_at.is_some() && issued_at != seen.and_then(Files::access_token_issued_at);
        let is_new = seen.and_then(Files::access_token).as_ref() != Some(&access_token);
        let is_fresh = match freshness {
            Freshness::Fresh => true,
            Freshness::Unknown => is_new,
            Freshness::Due | Freshness::Expired => false,
        };
        was_issued_since || is_fresh && !self.need.force
    }

    /// Locks `place` if nobody else has.
    pub(super) fn try_lock(place: &Place) -> Result<StoreLock, End> {
        match store::try_lock(place).map_err(End::CannotSave)? {
            store::Attempt::Locked(lock) => Ok(lock),
            store::Attempt::Busy { pid } => {
                let file = place.lock_file();
                Err(End::Locked { file, pid })
            }
        }
    }

    /// Waits for the lock beside `place`.
    pub(super) async fn lock(&self, place: &Place) -> Result<StoreLock, End> {
        let mut left = self.limits.lock_timeout;
        let mut is_first = true;
        loop {
            let pid = match store::try_lock(place).map_err(End::CannotSave)? {
                store::Attempt::Locked(lock) => return Ok(lock),
                store::Attempt::Busy { pid } => pid,
            };
            if std::mem::take(&mut is_first) {
                let file = place.lock_file();
                tracing::debug!(pid, file = %file.display(), "waiting for another run");
            }
            let pause = Duration::from_millis(fastrand::u64(10..40)).min(left);
            left -= pause;
            if left.is_zero() || !self.limits.wait(pause).await {
                let file = place.lock_file();
                return Err(End::Locked { file, pid });
            }
        }
    }

    /// `GET /v1/dataSources` with `token`.
    pub(super) async fn validate(
        &mut self,
        request: Request,
        wait: Wait,
        token: &AccessToken,
    ) -> Outcome {
        let prepared = self.client().validate(token);
        let step = Asked::Ladder(request);
        self.ask(step, wait, prepared, Cut::AtTheLimit, |exchange, now| {
            (judge::judge_validation(exchange, now), ())
        })
        .await
        .0
    }

    /// Asks when `token` expires; a failure changes nothing.
    pub(super) async fn ask_expiry(&mut self, token: &AccessToken) {
        if !self.limits.allow_more() {
            return;
        }
        let prepared = self.client().token_expiry(token);
        let Some(exchange) = self.exchange(prepared, Cut::AtTheLimit).await else {
            return;
        };
        let now = self.clock.now();
        let (judged, expires_at) = judge::judge_expiry(&exchange, now);
        self.note(Attempt::new(Asked::TokenExpiry, &judged, exchange.elapsed));
        if expires_at.is_some() {
            let fingerprint = token.fingerprint();
            let credential = Credential::ServiceAppAccessToken;
            let files = self.files.as_ref();
            let record = files.and_then(|files| files.record(credential, &fingerprint));
            let life = Life {
                expires_at,
                lifetime: None,
                known_since: Some(record.map_or(now, |record| record.first_seen)),
            };
            self.learned = Some((fingerprint, life));
        }
    }

    /// Sends one request of the ladder, after its wait, unless the limits forbid it.
    pub(super) async fn ask<T: Default>(
        &mut self,
        step: Asked,
        wait: Wait,
        prepared: Prepared,
        cut: Cut,
        judge: impl FnOnce(&Exchange, Timestamp) -> (Judged, T),
    ) -> (Outcome, T) {
        if !self.wait(wait).await {
            let why = self.why_no_more();
            self.note(Attempt::not_sent(step, Outcome::GivenUp, why));
            return (Outcome::GivenUp, T::default());
        }
        let Some(exchange) = self.exchange(prepared, cut).await else {
            let why = self.why_no_more();
            let mut attempt = Attempt::not_sent(step, Outcome::GivenUp, why);
            attempt.sent = true;
            self.note(attempt);
            return (Outcome::GivenUp, T::default());
        };
        let (judged, value) = judge(&exchange, self.clock.now());
        self.retry_after = judged.retry_after;
        self.note(Attempt::new(step, &judged, exchange.elapsed));
        (judged.outcome, value)
    }

    async fn wait(&self, wait: Wait) -> bool {
        let wait = match wait {
            Wait::No => return self.limits.allow_more(),
            Wait::Settle => backoff::SETTLE,
            Wait::BackOff(failures) => {
                backoff::between_tries(failures, self.retry_after, fastrand::f64())
            }
        };
        self.limits.wait(wait).await
    }

    pub(super) async fn exchange(&self, prepared: Prepared, cut: Cut) -> Option<Exchange> {
        let sending = self.client().send(prepared);
        let mut exchange = match cut {
            Cut::Never => sending.await,
            Cut::AtTheLimit => tokio::select! {
                biased;
                answered = sending => answered,
                () = self.limits.reached() => return None,
            },
        };
        exchange.keep_closed(&self.closed);
        Some(exchange)
    }

    pub(super) fn note(&mut self, attempt: Attempt) {
        tracing::debug!(
            step = attempt.step.name(),
            outcome = attempt.outcome.name(),
            status = attempt.http_status,
            tracking_id = attempt.tracking_id,
            elapsed_ms = u64::try_from(attempt.elapsed.as_millis()).unwrap_or(u64::MAX),
            error = attempt.error,
            "asked"
        );
        self.attempts.push(attempt);
    }

    pub(super) fn warn_once(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    pub(super) fn warn_of_access(&mut self, place: &Place, others_lost_access: bool) {
        if others_lost_access {
            self.warn_once(format!(
                "{}: every user of this machine could read it; that access is removed",
                place.shown().display()
            ));
        }
    }

    fn why_no_more(&self) -> String {
        if self.limits.stop.is_set() {
            "stopped by a signal".to_owned()
        } else {
            "the deadline is too near".to_owned()
        }
    }
}

/// Whether a request in flight is given up when the limits are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A look: nothing is lost by not waiting for it.
    AtTheLimit,
    /// A grant or a mint: its answer may be a token.
    Never,
}

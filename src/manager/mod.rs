//! [`TokenManager`], the only place that joins the files and the wire.
//!
//! Every program of ours is a thin layer over this module: `refresh_token` over `refresh`,
//! `check_token` over `status`, a long-lived program over [`TokenManager`]. Unless told otherwise the
//! manager runs each climb on a thread of its own, with a runtime of its own: a caller that is
//! cancelled, or whose runtime ends, loses nothing, and blocking file calls block nobody.

mod authorize;
mod climb;
mod config_text;
mod configure;
mod files;
mod flag;
mod integration;
mod limits;
mod plan;
mod repair;
mod report;
mod run;
mod runner;
mod save;
mod status;
mod verdict;

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{oneshot, watch};

pub(crate) use authorize::{Authorized, MINT_SCOPE, Proof, authorize, begin_device, rehearse};
#[cfg(any(test, fuzzing))]
pub(crate) use config_text::config_layer;
pub(crate) use configure::{Found, configure, find};
pub use limits::{Limits, Stop, Stopper};
pub use plan::{Plan, RungPlan, plan};
pub(crate) use report::Brought;
pub use report::{Attempt, Report, RunOutcome, Step, TokenError};
pub use run::{Need, refresh};
pub use runner::{Runner, Work};
pub(crate) use runner::{on_a_thread, on_this_runtime};
pub(crate) use status::status;
pub use status::{CredentialState, CredentialStatus, Probe, Status, StatusOutcome};

pub(crate) use crate::webex::DeviceAuthorization;

use crate::backoff;
use crate::clock::Clock;
use crate::config::Sources;
use crate::lifetime::{self, Life};
use crate::store::{Place, StoreError};
use crate::token::{AccessToken, Fingerprint};
use crate::webex::Client;

use self::files::Files;
use self::verdict::End;

/// How long a token whose expiry cannot be had is believed before it is validated again.
const UNKNOWN_EXPIRY_LASTS: SignedDuration = SignedDuration::from_mins(15);

/// How long, in milliseconds, a look at `.env` serves for all callers.
const LOOKS_ARE_APART: u64 = 1000;

/// Keeps one service app's access token usable, for any number of callers.
///
/// Cheap to clone; all clones share one token and one climb at a time. It needs no runtime of its
/// caller: its futures may be awaited anywhere.
///
/// ```no_run
/// use webex_tokens::config::{Environment, Flags, Sources};
/// use webex_tokens::manager::TokenManager;
///
/// # async fn example() -> Result<(), webex_tokens::manager::TokenError> {
/// let manager = TokenManager::new(Sources {
///     flags: Flags::default(),
///     environment: Environment::capture(),
/// });
/// let token = manager.access_token().await?;
/// // Send `token.expose()` as the bearer of a request; on 401:
/// let token = manager.token_rejected(&token).await?;
/// # let _ = token;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenManager(Arc<Shared>);

struct Shared {
    sources: Sources,
    clock: Clock,
    runner: Runner,
    /// What no climb goes beyond.
    bounds: Limits,
    current: ArcSwapOption<Current>,
    /// Before this no climb starts by itself: the last one came to nothing. In milliseconds.
    not_before: AtomicI64,
    /// When `.env` was last looked at for a human's change. In milliseconds.
    looked_at: AtomicI64,
    climbs: Mutex<Climbs>,
    /// How the last climb ended.
    landed: watch::Sender<Option<Arc<Report>>>,
}

/// What is known of climbs, behind the one mutex.
#[derive(Default)]
struct Climbs {
    under_way: Option<UnderWay>,
    /// How many in a row came to nothing.
    failures: u32,
    last_failure: Option<Failure>,
    /// The token that a caller saw 401 with: until there is another, none is served.
    rejected: Option<Fingerprint>,
}

/// A climb after which there was no working token.
struct Failure {
    error: TokenError,
    /// What `.env` held then, if anybody has looked.
    stored: Option<Stored>,
}

/// Which access token `.env` holds, if any.
#[derive(Clone, PartialEq, Eq)]
struct Stored(Option<Fingerprint>);

impl Stored {
    /// Reads the file, so that the mutex must not be held.
    fn look(sources: &Sources) -> Self {
        Self(files::stored_access_token(sources))
    }
}

/// The token that is served.
struct Current {
    token: AccessToken,
    fingerprint: Fingerprint,
    life: Life,
    /// From then on it is renewed in the background. In milliseconds.
    due_at: i64,
    /// From then on it is not served. In milliseconds.
    expires_at: i64,
}

type Landed = Result<Report, TokenError>;

/// A climb under way, and where it will land.
#[derive(Clone)]
struct UnderWay {
    forced: bool,
    landing: watch::Receiver<Option<Landed>>,
}

/// A usable access token, held without being copied. It is meant to be dropped soon.
pub struct TokenGuard(arc_swap::Guard<Option<Arc<Current>>>);

impl Deref for TokenGuard {
    type Target = AccessToken;

    fn deref(&self) -> &AccessToken {
        let current = self.0.as_ref().expect("a guard is made of a token");
        &current.token
    }
}

impl fmt::Debug for TokenGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManager")
            .field("env_file", &self.0.sources.env_file())
            .finish_non_exhaustive()
    }
}

impl TokenManager {
    /// A manager over the files and settings that `sources` names; nothing is read or asked yet.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self::with_clock(sources, Clock::System)
    }

    /// The same on another clock.
    #[must_use]
    pub fn with_clock(sources: Sources, clock: Clock) -> Self {
        Self::with_runner(sources, clock, on_a_thread())
    }

    /// The same on another clock, with `runner` in place of a thread for each climb. Climbs make
    /// system calls that block.
    #[must_use]
    pub fn with_runner(sources: Sources, clock: Clock, runner: Runner) -> Self {
        let bounds = Limits::starting_now(Duration::MAX, Limits::DEFAULT, Stop::never());
        Self::bounded(sources, clock, runner, bounds)
    }

    /// The same within the limits of a run, in which each climb has a minute as always.
    pub(crate) fn bounded(sources: Sources, clock: Clock, runner: Runner, bounds: Limits) -> Self {
        Self(Arc::new(Shared {
            sources,
            clock,
            runner,
            bounds,
            current: ArcSwapOption::empty(),
            not_before: AtomicI64::new(i64::MIN),
            looked_at: AtomicI64::new(i64::MIN),
            climbs: Mutex::default(),
            landed: watch::Sender::new(None),
        }))
    }

    /// The access token, refreshed ahead of its expiry.
    ///
    /// While the current token works nobody waits: when it is due it is renewed in the background.
    /// Only where there is no usable token does the call wait for a climb.
    ///
    /// # Errors
    ///
    /// There is no usable token, and the climb gave none; [`TokenError::remedy`] says what to do.
    ///
    /// ```no_run
    /// # async fn example(manager: webex_tokens::manager::TokenManager)
    /// #     -> Result<(), webex_tokens::manager::TokenError> {
    /// let token = manager.access_token().await?;
    /// let header = format!("Bearer {}", token.expose());
    /// # drop(header);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn access_token(&self) -> Result<TokenGuard, TokenError> {
        let current = self.0.current.load();
        let now = self.0.clock.now_millis();
        match &*current {
            Some(token) if now < token.due_at => return Ok(TokenGuard(current)),
            Some(token) if now < token.expires_at => {
                if !self.0.is_too_early(now) {
                    self.launch_in_background();
                }
                return Ok(TokenGuard(current));
            }
            _ => drop(current),
        }
        Box::pin(self.token_after_climb(Need::default())).await
    }

    /// Whether Webex accepts the token in `.env` now. One request, whatever else is configured.
    ///
    /// # Errors
    ///
    /// Webex could not be asked, or its answer settles nothing (a token that lives and may not list
    /// data sources), or `.env` cannot be read; none of that is `false`.
    ///
    /// ```no_run
    /// # async fn example(manager: webex_tokens::manager::TokenManager)
    /// #     -> Result<(), webex_tokens::manager::TokenError> {
    /// if !manager.is_token_valid().await? {
    ///     manager.refresh_token().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn is_token_valid(&self) -> Result<bool, TokenError> {
        let shared = Arc::clone(&self.0);
        let answer = self.answer(async move {
            status::validity(&shared.sources, &shared.clock, shared.limits()).await
        });
        answer.await.unwrap_or_else(|| Err(TokenError::ended()))
    }

    /// Climbs even if the token is valid, and reports what was done.
    ///
    /// # Errors
    ///
    /// No rung gave a token, and the stored one does not work either.
    ///
    /// ```no_run
    /// # async fn example(manager: webex_tokens::manager::TokenManager) {
    /// match manager.refresh_token().await {
    ///     Ok(report) => println!("{} ({} requests)", report.message, report.requests()),
    ///     Err(error) if error.is_passing() => println!("later: {error}"),
    ///     Err(error) => println!("{error}; {}", error.remedy().expect("what to do")),
    /// }
    /// # }
    /// ```
    pub async fn refresh_token(&self) -> Result<Report, TokenError> {
        self.climb(Need {
            force: true,
            ..Need::default()
        })
        .await
    }

    /// Tells that a caller saw 401 with `token`, and returns the one to use instead. A climb is
    /// made only if `token` is still the current one.
    ///
    /// # Errors
    ///
    /// As for [`TokenManager::access_token`].
    ///
    /// ```no_run
    /// # async fn example(manager: webex_tokens::manager::TokenManager)
    /// #     -> Result<(), webex_tokens::manager::TokenError> {
    /// let token = manager.access_token().await?;
    /// # let status = 401;
    /// let token = match status {
    ///     401 => manager.token_rejected(&token).await?,
    ///     _ => token,
    /// };
    /// # drop(token);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn token_rejected(&self, token: &AccessToken) -> Result<TokenGuard, TokenError> {
        let rejected = token.fingerprint();
        let current = self.0.current.load();
        let now = self.0.clock.now_millis();
        if current
            .as_ref()
            .is_some_and(|current| current.fingerprint != rejected && now < current.expires_at)
        {
            return Ok(TokenGuard(current));
        }
        drop(current);
        self.token_after_climb(Need {
            rejected: Some(rejected),
            ..Need::default()
        })
        .await
    }

    /// Where every credential stands. It never changes anything.
    ///
    /// ```no_run
    /// use webex_tokens::manager::Probe;
    ///
    /// # async fn example(manager: webex_tokens::manager::TokenManager) {
    /// let status = manager.status(Probe::Offline).await;
    /// if let Some(date) = status.human_needed_by {
    ///     println!("a human is needed by {date}");
    /// }
    /// # }
    /// ```
    pub async fn status(&self, probe: Probe) -> Status {
        let shared = Arc::clone(&self.0);
        let answer = self.answer(async move {
            status(&shared.sources, &shared.clock, probe, shared.limits()).await
        });
        answer.await.unwrap_or_else(Status::ended)
    }

    /// How the last climb ended, those in the background included; the token itself is left out.
    ///
    /// A long-lived program hears by this that a renewal fails while the token still works.
    #[must_use]
    pub fn landings(&self) -> watch::Receiver<Option<Arc<Report>>> {
        self.0.landed.subscribe()
    }

    /// Whether a climb is under way.
    pub(crate) fn is_climbing(&self) -> bool {
        self.0.climbs().under_way.is_some()
    }

    /// Resolves when no climb is under way, as it is to be before the process ends: what a climb has
    /// been issued is then saved.
    pub async fn landed(&self) {
        loop {
            let under_way = self.0.climbs().under_way.clone();
            let Some(mut under_way) = under_way else {
                return;
            };
            // An error is the end of a climb, too.
            let _ = under_way.landing.wait_for(Option::is_some).await;
        }
    }

    /// A client for the Webex that the settings name, as they are now.
    pub(crate) fn client(&self) -> Result<Client, TokenError> {
        let sources = &self.0.sources;
        let client = || -> Result<Client, End> {
            let files = Files::read_only(sources)?;
            let connection = files.connection(sources)?;
            Client::new(&connection).map_err(End::Client)
        };
        client().map_err(|end| TokenError::new(end.into_report()))
    }

    /// The time of day that it goes by.
    pub(crate) fn clock(&self) -> Clock {
        self.0.clock.clone()
    }

    /// The files of the user's: `.env`, and `token-config.json` if its place is known.
    pub(crate) fn places(&self) -> Result<(Place, Option<Place>), StoreError> {
        let sources = &self.0.sources;
        let env = Place::resolve(&sources.env_file())?;
        let files = Files::read_only(sources).ok();
        Ok((env, files.and_then(|files| files.config.ok())))
    }

    /// What `work` comes to, driven as a climb is; `None` where that ends before its end.
    async fn answer<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        (self.0.runner)(Box::pin(async move {
            // Whoever asked may have gone.
            let _ = sender.send(work.await);
        }));
        receiver.await.ok()
    }

    async fn token_after_climb(&self, need: Need) -> Result<TokenGuard, TokenError> {
        loop {
            let report = self.climb(need.clone()).await?;
            let current = self.0.current.load();
            if current.is_some() {
                return Ok(TokenGuard(current));
            }
            // Another caller has already seen a 401 with what this climb brought.
            if report.access_token.is_none() {
                return Err(TokenError::ended());
            }
        }
    }

    /// Joins the climb under way if it serves `need`, or makes one, and waits for it to land.
    async fn climb(&self, need: Need) -> Landed {
        loop {
            let (mut landing, serves) = match self.launch(&need) {
                Launch::Needless(landed) => return *landed,
                Launch::UnderWay(climb) => (climb.landing, climb.forced || !need.force),
            };
            let landed = landing.wait_for(Option::is_some).await;
            let Some(landed) = landed.ok().and_then(|landed| landed.clone()) else {
                return Err(TokenError::ended());
            };
            let issued = landed.as_ref().is_ok_and(|report| report.rung.is_some());
            if (serves || issued) && !brings(&landed, need.rejected.as_ref()) {
                return landed;
            }
        }
    }

    fn launch_in_background(&self) {
        drop(self.launch(&Need::default()));
    }

    fn launch(&self, need: &Need) -> Launch {
        let stored = if need.force {
            None
        } else {
            self.0.look_at_env()
        };
        let mut climbs = self.0.climbs();
        if let Some(rejected) = &need.rejected {
            self.0.forget(rejected, &mut climbs);
        }
        if let Some(under_way) = &climbs.under_way {
            return Launch::UnderWay(under_way.clone());
        }
        if !need.force
            && let Some(landed) = self.0.without_climbing(&mut climbs, stored)
        {
            return Launch::Needless(Box::new(landed));
        }
        let (sender, landing) = watch::channel(None);
        let under_way = UnderWay {
            forced: need.force,
            landing,
        };
        climbs.under_way = Some(under_way.clone());
        let current = self.0.current.load();
        let known = current.as_ref();
        let need = Need {
            expiry: true,
            rejected: climbs.rejected.clone(),
            known: known.map(|current| (current.fingerprint.clone(), current.life)),
            ..need.clone()
        };
        drop(climbs);
        let runway = Runway {
            shared: Arc::clone(&self.0),
            sender,
        };
        (self.0.runner)(Box::pin(async move {
            let shared = &runway.shared;
            let report = refresh(&shared.sources, &shared.clock, need, shared.limits()).await;
            runway.land(report);
        }));
        Launch::UnderWay(under_way)
    }
}

enum Launch {
    /// There is an answer already.
    Needless(Box<Landed>),
    UnderWay(UnderWay),
}

impl Shared {
    /// What a climb may take that begins now.
    fn limits(&self) -> Limits {
        self.bounds.and_at_most(Limits::DEFAULT)
    }

    fn climbs(&self) -> MutexGuard<'_, Climbs> {
        self.climbs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the token with this fingerprint no longer. Called with the mutex held, as everything
    /// that changes the current token is.
    fn forget(&self, rejected: &Fingerprint, climbs: &mut Climbs) {
        let current = self.current.load();
        let is_current = current
            .as_ref()
            .is_some_and(|current| current.fingerprint == *rejected);
        if is_current {
            self.current.store(None);
        }
        if is_current || climbs.rejected.is_none() {
            climbs.rejected = Some(rejected.clone());
        }
    }

    /// Whether the pause after a climb that came to nothing is still on. A clock that was set back
    /// does not prolong it.
    fn is_too_early(&self, now: i64) -> bool {
        let not_before = self.not_before.load(Ordering::Relaxed);
        (now..=now.saturating_add(backoff::LONGEST_PAUSE_MILLIS)).contains(&not_before)
            && now < not_before
    }

    /// What `.env` holds; `None` where it is not the time to look: a human's change matters only
    /// while it is too early for the next climb, and is seen within a second.
    fn look_at_env(&self) -> Option<Stored> {
        let now = self.clock.now_millis();
        if !self.is_too_early(now) {
            return None;
        }
        let before = self.looked_at.load(Ordering::Relaxed);
        let is_recent = now.abs_diff(before) < LOOKS_ARE_APART;
        let looked_at = &self.looked_at;
        let is_mine = || {
            let exchanged =
                looked_at.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed);
            exchanged.is_ok()
        };
        (!is_recent && is_mine()).then(|| Stored::look(&self.sources))
    }

    /// What can be said without a climb: another caller's climb has just landed, or the last one
    /// failed, it is too early for the next, and `.env` is as it was, as far as `stored` tells.
    fn without_climbing(&self, climbs: &mut Climbs, stored: Option<Stored>) -> Option<Landed> {
        let now = self.clock.now_millis();
        let current = self.current.load();
        if let Some(current) = &*current
            && now < current.expires_at
            && (now < current.due_at || self.is_too_early(now))
        {
            return Some(Ok(Report::served(current.token.clone())));
        }
        let failure = climbs.last_failure.as_mut()?;
        if let Some(stored) = stored
            && *failure.stored.get_or_insert_with(|| stored.clone()) != stored
        {
            return None;
        }
        self.is_too_early(now).then(|| Err(failure.error.clone()))
    }

    /// Counts a climb, and sets the time before which no other starts by itself.
    fn count(&self, achieved: bool, climbs: &mut Climbs) {
        climbs.failures = if achieved {
            0
        } else {
            climbs.failures.saturating_add(1)
        };
        let pause = match climbs.failures {
            0 => SignedDuration::ZERO,
            failures => backoff::between_climbs(failures, fastrand::f64())
                .try_into()
                .unwrap_or(SignedDuration::MAX),
        };
        let not_before = self.clock.now().checked_add(pause);
        let not_before = not_before.unwrap_or(Timestamp::MAX);
        self.not_before
            .store(not_before.as_millisecond(), Ordering::Relaxed);
    }

    fn announce(&self, landed: &Landed) {
        let report = match landed {
            Ok(report) => report,
            Err(error) => error.report(),
        };
        self.landed.send_replace(Some(Arc::new(Report {
            access_token: None,
            ..report.clone()
        })));
    }

    /// Takes in what a climb has brought; `stored` is what `.env` holds after a failure.
    fn land(&self, report: Report, stored: Option<Stored>, climbs: &mut Climbs) -> Landed {
        let now = self.clock.now();
        let served = report
            .access_token
            .as_ref()
            .filter(|token| climbs.rejected.as_ref() != Some(&token.fingerprint()))
            .filter(|_| report.outcome.works());
        let mut achieved = false;
        if let Some(token) = served {
            let current = Current::new(token, &report, now);
            achieved = now.as_millisecond() < current.due_at;
            self.current.store(Some(Arc::new(current)));
        }
        self.count(achieved, climbs);
        if report.outcome.works() {
            climbs.last_failure = None;
            return Ok(report);
        }
        let error = TokenError::new(report);
        climbs.last_failure = Some(Failure {
            error: error.clone(),
            stored,
        });
        Err(error)
    }
}

impl Current {
    fn new(token: &AccessToken, report: &Report, now: Timestamp) -> Self {
        let believed = now.checked_add(UNKNOWN_EXPIRY_LASTS).unwrap_or(now);
        let due_at = lifetime::due_at(report.life, SignedDuration::ZERO).unwrap_or(believed);
        Self {
            fingerprint: token.fingerprint(),
            token: token.clone(),
            life: report.life,
            due_at: due_at.as_millisecond(),
            expires_at: report
                .expires_at
                .map_or(i64::MAX, Timestamp::as_millisecond),
        }
    }
}

/// Whether a climb has brought the very token that its caller had rejected: one that was under way
/// already, and knew nothing of that.
fn brings(landed: &Landed, rejected: Option<&Fingerprint>) -> bool {
    let brought = landed
        .as_ref()
        .ok()
        .and_then(|report| report.access_token.as_ref());
    brought.is_some_and(|token| Some(&token.fingerprint()) == rejected)
}

/// Where a climb lands, even if it ends in a panic: nobody waits for ever.
struct Runway {
    shared: Arc<Shared>,
    sender: watch::Sender<Option<Landed>>,
}

impl Runway {
    fn land(self, report: Report) {
        let failed = !report.outcome.works();
        let stored = failed.then(|| Stored::look(&self.shared.sources));
        let mut climbs = self.shared.climbs();
        let landed = self.shared.land(report, stored, &mut climbs);
        climbs.under_way = None;
        drop(climbs);
        self.shared.announce(&landed);
        self.sender.send_replace(Some(landed));
    }
}

impl Drop for Runway {
    fn drop(&mut self) {
        if self.sender.borrow().is_some() {
            return;
        }
        // The thread or its runtime did not start, or the climb ended in a panic.
        let mut climbs = self.shared.climbs();
        climbs.under_way = None;
        self.shared.count(false, &mut climbs);
        let error = TokenError::ended();
        climbs.last_failure = Some(Failure {
            error: error.clone(),
            stored: None,
        });
        drop(climbs);
        self.shared.announce(&Err(error));
    }
}

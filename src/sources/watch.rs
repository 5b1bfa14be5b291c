//! Keeps data sources alive, for ever: each is extended at half of the life of its JWS, and the
//! token that this takes is renewed in time.
//!
//! One loop over a closed list of what can happen (`Happening`). It wakes at least once a minute
//! and looks at the time of day, so that a machine that was suspended catches up. It keeps nothing
//! on disk: what matters stands in the JWS. Whose turn it is, the roster knows; when, [`schedule`].
//!
//! [`schedule`]: super::schedule

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use super::changes::Changes;
use super::client::SourceError;
use super::extend::{self, Fate, Settled};
use super::lifetime::TokenLifetime;
use super::roster::{Census, Listed, Roster};
use super::schedule::{self, Window};
use super::steady::Steady;
use super::update::Change;
use crate::authorized::CallError;
use crate::manager::{Report, RunOutcome, TokenError};
use crate::remedy::{ExitStatus, Remedy};

/// The longest time between two looks at the clock: a machine that was suspended, or whose clock was
/// set, has caught up within this.
const LONGEST_NAP: Duration = Duration::from_mins(1);

/// How often the list is read, whether something is due or not.
const LIST_EVERY: SignedDuration = SignedDuration::from_mins(15);

/// How long a list serves for what is due: a thousand that are due one after the other do not cost a
/// thousand lists.
const LIST_SERVES: SignedDuration = SignedDuration::from_mins(1);

/// How it is done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many data sources are worked on at a time.
    pub concurrency: NonZeroUsize,
}

/// What is told while it goes on.
#[derive(Clone, Debug)]
pub enum Event {
    /// The list has been read for the first time.
    Watching {
        /// How many data sources there are.
        data_sources: usize,
        /// How many of them are disabled, and left alone.
        disabled: usize,
        /// When the next one is extended.
        next: Option<Timestamp>,
    },
    /// A data source is in the list that was not.
    Added {
        /// Its id.
        id: String,
        /// When its JWS expires.
        expires_at: Option<Timestamp>,
    },
    /// A data source is in the list no more.
    Gone {
        /// Its id.
        id: String,
    },
    /// A data source was disabled, and is left alone from now on.
    Disabled {
        /// Its id.
        id: String,
        /// What Control Hub shows.
        error_message: Option<String>,
    },
    /// A data source was enabled again, and is kept alive from now on.
    Enabled {
        /// Its id.
        id: String,
        /// When its JWS expires.
        expires_at: Option<Timestamp>,
    },
    /// Somebody else has extended a data source.
    ExtendedElsewhere {
        /// Its id.
        id: String,
        /// When its JWS expires.
        expires_at: Option<Timestamp>,
    },
    /// A data source has a new JWS.
    Extended {
        /// Its id.
        id: String,
        /// When that expires.
        expires_at: Option<Timestamp>,
    },
    /// A data source could not be extended. Told once, until that changes.
    Failed {
        /// Its id.
        id: String,
        /// Why.
        error: SourceError,
        /// When its JWS expires, or has expired.
        expires_at: Option<Timestamp>,
        /// When it is tried again, at the latest.
        again_in: Duration,
    },
    /// A change stands, and could not be written into the operation log.
    Unrecorded {
        /// The data source's id.
        id: String,
        /// Why.
        message: String,
    },
    /// The list has data sources without an id, which cannot be kept alive.
    Nameless {
        /// How many.
        data_sources: usize,
    },
    /// The list cannot be had; what is known is kept alive all the same. Told once, until that
    /// changes.
    ListFailed {
        /// Why.
        error: SourceError,
        /// When it is tried again, at the latest.
        again_in: Duration,
    },
    /// The list can be had again.
    ListRead,
    /// There is a new token.
    TokenRenewed {
        /// When that expires.
        expires_at: Option<Timestamp>,
        /// What somebody should know of, although it changes nothing now.
        warnings: Vec<String>,
    },
    /// The token cannot be renewed. Told once, until that changes.
    TokenFailed {
        /// The run that came to nothing.
        report: Arc<Report>,
        /// Whether the token from before still works.
        works: bool,
    },
    /// The token is as it should be again.
    TokenWorks,
    /// It was told to stop, and finishes what is in flight.
    Stopping {
        /// How much that is.
        in_flight: usize,
    },
}

/// How the data sources stand when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// How many Webex delivers to.
    pub alive: usize,
    /// How many it does not deliver to, or of which that is not known.
    pub others: usize,
    /// When the first of those that are alive expires.
    pub until: Option<Timestamp>,
}

/// Everything that can happen.
enum Happening {
    /// It is told to stop.
    Stop,
    /// It is time to look at the clock.
    Wake,
    /// A climb has ended, in the background say.
    Landed,
    /// Something that was begun is done with.
    Done(Done),
}

/// What is begun, and what comes of it.
enum Done {
    Token(Result<(), TokenError>),
    List(Result<List, SourceError>),
    Source { id: String, settled: Settled },
}

struct List {
    listed: Vec<Listed>,
    nameless: usize,
}

/// Keeps all data sources alive until the calls of `changes` are told to stop
/// ([`AuthorizedClient::until`]), and tells of what happens. What is in flight then is finished and
/// written down first.
///
/// # Errors
///
/// At the first look it turns out that a human has to correct the settings or a file. Whatever goes
/// wrong later, or may pass, or can be cured by `setup_oauth`, is told, and it goes on.
///
/// [`AuthorizedClient::until`]: crate::authorized::AuthorizedClient::until
pub async fn watch(
    changes: &Changes,
    options: Options,
    told: impl FnMut(Event),
) -> Result<Stopped, SourceError> {
    let calls = changes.sources().calls();
    let mut landings = calls.manager().landings();
    let mut under_way = FuturesUnordered::new();
    let mut watch = Watch::new(changes, options, told);
    loop {
        if !watch.is_stopping {
            watch.begin(&under_way);
        } else if under_way.is_empty() {
            break;
        }
        let goes_on = !watch.is_stopping;
        let wakes_at = watch.wakes_at();
        let happening = tokio::select! {
            biased;
            () = calls.limits().stopped(), if goes_on => Happening::Stop,
            Some(done) = under_way.next() => Happening::Done(done),
            _ = landings.changed() => Happening::Landed,
            () = tokio::time::sleep_until(wakes_at), if goes_on => Happening::Wake,
        };
        match happening {
            Happening::Stop => watch.stop(under_way.len()),
            Happening::Wake => watch.wake(),
            // What it means depends on whether the token works now.
            Happening::Landed => watch.token.want(),
            Happening::Done(Done::Token(result)) => watch.token_came(result)?,
            Happening::Done(Done::List(result)) => watch.list_came(result)?,
            Happening::Done(Done::Source { id, settled }) => watch.settled(&id, settled),
        }
    }
    calls.manager().landed().await;
    Ok(watch.stopped())
}

/// What the loop knows.
struct Watch<'a, T> {
    changes: &'a Changes,
    options: Options,
    told: T,
    steady: Steady,
    looked_at: Instant,
    is_stopping: bool,
    /// How climbs ended that nothing has been told of.
    landings: watch::Receiver<Option<Arc<Report>>>,
    token: Token,
    list: ListState,
    roster: Roster,
    /// How many data sources are being extended.
    in_flight: usize,
}

/// Where the token stands. While it does not work, nothing else is begun.
#[derive(Debug)]
struct Token {
    look: Look,
    /// `None` until it has been looked at.
    works: Option<bool>,
    /// What has been told of its failure.
    told: Option<TokenTrouble>,
}

/// Whether the token is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Wanted,
    UnderWay,
    Done,
}

/// What tells one failure from the other: their messages have a new `trackingId` each time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TokenTrouble {
    outcome: RunOutcome,
    remedy: Option<Remedy>,
    works: bool,
}

/// Where the list stands.
#[derive(Debug)]
struct ListState {
    is_under_way: bool,
    has_been_tried: bool,
    has_been_read: bool,
    /// When it is read, whether something is due or not.
    due_at: Timestamp,
    /// Until then it serves for what is due.
    serves_until: Timestamp,
    failures: u32,
    /// Which failure has been told.
    told: Option<&'static str>,
    nameless: usize,
}

impl<'a, T: FnMut(Event)> Watch<'a, T> {
    fn new(changes: &'a Changes, options: Options, told: T) -> Self {
        let mut steady = Steady::starting_now(changes.sources().calls().clock().clone());
        let now = steady.now();
        Self {
            changes,
            options,
            told,
            steady,
            looked_at: Instant::now(),
            is_stopping: false,
            landings: changes.sources().calls().manager().landings(),
            token: Token {
                look: Look::Wanted,
                works: None,
                told: None,
            },
            list: ListState {
                is_under_way: false,
                has_been_tried: false,
                has_been_read: false,
                due_at: now,
                serves_until: now,
                failures: 0,
                told: None,
                nameless: 0,
            },
            roster: Roster::default(),
            in_flight: 0,
        }
    }

    /// Begins whatever it is time for.
    fn begin(&mut self, under_way: &FuturesUnordered<BoxFuture<'a, Done>>) {
        let now = self.steady.now();
        if self.token.look == Look::Wanted {
            self.token.look = Look::UnderWay;
            under_way.push(Box::pin(look_at_token(self.changes)));
        }
        if self.token.works != Some(true) || self.list.is_under_way {
            return;
        }
        if self.list.is_wanted(self.roster.is_any_due(now), now) {
            self.list.is_under_way = true;
            under_way.push(Box::pin(read_list(self.changes)));
            return;
        }
        while self.in_flight < self.options.concurrency.get()
            && let Some(id) = self.roster.begin(now)
        {
            self.in_flight += 1;
            under_way.push(Box::pin(extend_one(self.changes, id, now)));
        }
    }

    /// When the clock is looked at next, if nothing happens before.
    fn wakes_at(&mut self) -> Instant {
        let now = self.steady.now();
        let latest = self.looked_at + LONGEST_NAP;
        let list_due_at = Some(self.list.due_at).filter(|at| *at > now);
        let turns = self.roster.next_turn(now).into_iter().chain(list_due_at);
        let naps = turns.filter_map(|turn| Duration::try_from(turn.duration_since(now)).ok());
        let soonest = naps.min().unwrap_or(LONGEST_NAP).min(LONGEST_NAP);
        latest.min(Instant::now() + soonest)
    }

    fn wake(&mut self) {
        self.looked_at = Instant::now();
        self.token.want();
    }

    fn stop(&mut self, in_flight: usize) {
        self.is_stopping = true;
        if in_flight > 0 {
            (self.told)(Event::Stopping { in_flight });
        }
    }

    fn token_came(&mut self, result: Result<(), TokenError>) -> Result<(), SourceError> {
        let is_first = self.token.works.is_none();
        self.token.look = Look::Done;
        match result {
            Ok(()) => {
                self.token.works = Some(true);
                let landed = self.landings.has_changed().unwrap_or_default();
                let report = self.landings.borrow_and_update().clone();
                if let Some(report) = report.filter(|_| landed) {
                    self.hear_of_token(&report);
                }
            }
            Err(error) => {
                let error = CallError::from(error).into();
                if is_first && wants_a_human_first(&error) {
                    return Err(error);
                }
                self.no_token(&error);
            }
        }
        Ok(())
    }

    /// There is no token; `true` where that is what `error` says.
    fn no_token(&mut self, error: &SourceError) -> bool {
        let SourceError::Call(CallError::Token(error)) = error else {
            return false;
        };
        self.token.works = Some(false);
        self.landings.mark_unchanged();
        self.hear_of_token(&Arc::new(error.report().clone()));
        true
    }

    fn hear_of_token(&mut self, report: &Arc<Report>) {
        let trouble = match report.outcome {
            RunOutcome::Valid | RunOutcome::Refreshed => None,
            outcome => Some(TokenTrouble {
                outcome,
                remedy: report.remedy.clone(),
                works: outcome.works() || self.token.works == Some(true),
            }),
        };
        if trouble == self.token.told {
            // Nothing new, but for a token.
        } else if let Some(trouble) = &trouble {
            (self.told)(Event::TokenFailed {
                report: Arc::clone(report),
                works: trouble.works,
            });
        } else {
            (self.told)(Event::TokenWorks);
        }
        self.token.told = trouble;
        if report.outcome.works() && report.rung.is_some() {
            (self.told)(Event::TokenRenewed {
                expires_at: report.expires_at,
                warnings: report.warnings.clone(),
            });
        }
    }

    fn list_came(&mut self, result: Result<List, SourceError>) -> Result<(), SourceError> {
        let now = self.steady.now();
        let is_first = !self.list.has_been_tried;
        self.list.has_been_tried = true;
        self.list.is_under_way = false;
        match result {
            Ok(list) => self.take_in(list, now),
            Err(SourceError::Call(CallError::Stopped)) => {}
            Err(error) if is_first && wants_a_human_first(&error) => return Err(error),
            Err(error) if self.no_token(&error) => {}
            Err(error) => {
                self.list.failures = self.list.failures.saturating_add(1);
                let until = self.roster.census(now).until;
                let (failures, asked) = (self.list.failures, error.retry_after());
                let again_in = schedule::retry_after(failures, asked, until, now, fastrand::f64());
                self.list.due_at = schedule::later(now, again_in);
                if self.list.told.replace(error.name()) != Some(error.name()) {
                    (self.told)(Event::ListFailed { error, again_in });
                }
            }
        }
        Ok(())
    }

    fn take_in(&mut self, list: List, now: Timestamp) {
        self.list.failures = 0;
        self.list.due_at = schedule::later(now, LIST_EVERY);
        self.list.serves_until = schedule::later(now, LIST_SERVES);
        if self.list.told.take().is_some() {
            (self.told)(Event::ListRead);
        }
        let news = self.roster.update(list.listed, fastrand::f64);
        if self.list.has_been_read {
            news.into_iter().for_each(&mut self.told);
        } else {
            self.list.has_been_read = true;
            let census = self.roster.census(now);
            (self.told)(Event::Watching {
                data_sources: census.known,
                disabled: census.disabled,
                next: census.next,
            });
        }
        if list.nameless > 0 && list.nameless != self.list.nameless {
            let data_sources = list.nameless;
            (self.told)(Event::Nameless { data_sources });
        }
        self.list.nameless = list.nameless;
    }

    fn settled(&mut self, id: &str, settled: Settled) {
        self.in_flight -= 1;
        let (now, jitter) = (self.steady.now(), fastrand::f64());
        if let Some(message) = settled.unrecorded {
            let id = id.to_owned();
            (self.told)(Event::Unrecorded { id, message });
        }
        let news = match settled.fate {
            Fate::Extended {
                life,
                token_lifetime,
            } => {
                let token_lifetime = token_lifetime.map(TokenLifetime::as_duration);
                let roster = &mut self.roster;
                roster.extended(id, life, token_lifetime, now, jitter);
                Some(Event::Extended {
                    id: id.to_owned(),
                    expires_at: life.expires_at,
                })
            }
            Fate::NotDue(life) => self.roster.was_not_due(id, life, now, jitter),
            Fate::Disabled { error_message } => self.roster.was_disabled(id, error_message),
            Fate::NotTried => {
                self.roster.put_back(id);
                None
            }
            Fate::Failed(error) if self.no_token(&error) => {
                self.roster.put_back(id);
                None
            }
            Fate::Failed(error) => self.roster.failed(id, error, now, jitter),
        };
        news.into_iter().for_each(&mut self.told);
    }

    fn stopped(mut self) -> Stopped {
        let now = self.steady.now();
        let Census {
            known,
            disabled,
            alive,
            until,
            ..
        } = self.roster.census(now);
        Stopped {
            alive,
            others: known - disabled - alive,
            until,
        }
    }
}

impl Token {
    fn want(&mut self) {
        if self.look == Look::Done {
            self.look = Look::Wanted;
        }
    }
}

impl ListState {
    /// A list that cannot be had keeps nobody from being extended.
    fn is_wanted(&self, is_any_due: bool, now: Timestamp) -> bool {
        let is_stale = self.failures == 0 && now >= self.serves_until;
        now >= self.due_at || is_any_due && is_stale
    }
}

async fn look_at_token(changes: &Changes) -> Done {
    let manager = changes.sources().calls().manager();
    Done::Token(manager.access_token().await.map(drop))
}

async fn read_list(changes: &Changes) -> Done {
    let (mut listed, mut nameless) = (Vec::new(), 0);
    let take = |source| match Listed::of(&source) {
        Some(source) => listed.push(source),
        None => nameless += 1,
    };
    let read = changes.sources().each(take).await;
    Done::List(read.map(|()| List { listed, nameless }))
}

async fn extend_one(changes: &Changes, id: String, now: Timestamp) -> Done {
    let window = Window::PastHalf;
    let settled = extend::one(changes, &id, &Change::default(), window, || now).await;
    Done::Source { id, settled }
}

/// Whether waiting is in vain and `setup_oauth` does not help either: whoever starts this has to
/// correct something first.
fn wants_a_human_first(error: &SourceError) -> bool {
    if let SourceError::Call(CallError::Token(error)) = error {
        return matches!(
            error.report().outcome,
            RunOutcome::Misconfigured | RunOutcome::NotSaved | RunOutcome::Unreadable
        );
    }
    let exit = error.remedy().map(|remedy| remedy.exit_status());
    matches!(exit, Some(ExitStatus::Configuration | ExitStatus::File))
}

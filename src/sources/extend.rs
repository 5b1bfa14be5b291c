//! Extends data sources: each is read, judged, and updated with a new nonce, several at a time.
//!
//! A failure is that source's own: the rest goes on. What would befall every other as well (there is
//! no token any more, Webex is not to be had) ends the run early.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};

use super::changes::{Changes, NotChanged};
use super::client::SourceError;
use super::data_source::{DataSource, Life, Status};
use super::lifetime::TokenLifetime;
use super::schedule::{self, Window};
use super::update::Change;
use crate::authorized::{CallError, FailureKind};
use crate::manager::TokenError;
use crate::remedy::Remedy;

/// What is to be extended, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which data sources.
    pub targets: Targets,
    /// How long their JWS lives from now on; as before where that is `None`.
    pub token_lifetime: Option<TokenLifetime>,
    /// How many are worked on at a time.
    pub concurrency: NonZeroUsize,
}

/// Which data sources are extended.
#[derive(Clone, Debug)]
pub enum Targets {
    /// These, by their ids or unique beginnings, whether it is time or not.
    Named(Vec<String>),
    /// All whose time has come.
    All {
        /// Those with less than this left, instead of those past half of their life.
        expiring_within: Option<SignedDuration>,
    },
}

/// What is told while it goes on.
#[derive(Clone, Debug)]
pub enum Event {
    /// So many are due. Comes once, first.
    Planned {
        /// How many are to be extended.
        due: usize,
    },
    /// One is not among them.
    LeftAlone(Settled),
    /// One of them is done with.
    Settled(Settled),
}

/// What became of one data source.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Its id; `None` where Webex's list does not tell it.
    pub id: Option<String>,
    /// What became of it.
    pub fate: Fate,
    /// Webex's `trackingId` of the change.
    pub tracking_id: Option<String>,
    /// Why the change does not stand in the operation log, where it should.
    pub unrecorded: Option<String>,
}

/// What becomes of a data source.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It has a new JWS.
    Extended {
        /// The life of that, where the answer told.
        life: Life,
        /// How long it was asked to live.
        token_lifetime: Option<TokenLifetime>,
    },
    /// It is not its time yet.
    NotDue(Life),
    /// It is disabled, and was left alone: Webex delivers nothing to it, whatever its JWS says.
    Disabled {
        /// What Control Hub shows.
        error_message: Option<String>,
    },
    /// It could not be extended.
    Failed(SourceError),
    /// The run ended before its turn.
    NotTried,
}

/// How many data sources met which fate.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Those with a new JWS.
    pub extended: usize,
    /// Those that are not due.
    pub not_due: usize,
    /// Those that are disabled.
    pub disabled: usize,
    /// Those that failed, and would again.
    pub failed: usize,
    /// Those that failed, and may be extended by a later run.
    pub unavailable: usize,
    /// Those that were not tried.
    pub not_tried: usize,
    /// Changes that are not in the operation log.
    pub unrecorded: usize,
    /// Why there is no token, where that ended the run.
    pub token: Option<TokenError>,
    /// What those that failed for good need, each thing once.
    pub remedies: Vec<Remedy>,
}

/// How many failures in a row, beyond those that were under way together, mean that Webex is not to
/// be had.
const MOST_IN_A_ROW: usize = 8;

/// Extends what `order` says and tells of each as it is done with.
///
/// # Errors
///
/// The list cannot be had, so that nothing was extended.
pub async fn extend(
    changes: &Changes,
    order: &Order,
    mut told: impl FnMut(Event),
) -> Result<Tally, SourceError> {
    let clock = changes.sources().calls().clock().clone();
    let mut tally = Tally::default();
    let (due, settled, window) = match &order.targets {
        Targets::Named(prefixes) => {
            let (due, settled) = named(changes, prefixes).await?;
            (due, settled, Window::Always)
        }
        Targets::All { expiring_within } => {
            let window = expiring_within.map_or(Window::PastHalf, Window::ExpiringWithin);
            let (due, settled) = plan(changes, window, clock.now()).await?;
            (due, settled, window)
        }
    };
    told(Event::Planned { due: due.len() });
    for settled in settled {
        tally.count(&settled);
        told(Event::LeftAlone(settled));
    }

    let is_over = AtomicBool::new(false);
    let change = Change {
        token_lifetime: order.token_lifetime,
        ..Change::default()
    };
    let concurrency = order.concurrency.get();
    let work = due.into_iter().map(|id| {
        let (is_over, change, clock) = (&is_over, &change, &clock);
        async move {
            let fate = if is_over.load(Ordering::Relaxed) {
                Settled::of(Fate::NotTried)
            } else {
                one(changes, &id, change, window, || clock.now()).await
            };
            Settled {
                id: Some(id),
                ..fate
            }
        }
    });
    let mut under_way = stream::iter(work).buffer_unordered(concurrency);
    let mut failures_in_a_row = 0;
    while let Some(settled) = under_way.next().await {
        match &settled.fate {
            Fate::Failed(SourceError::Call(CallError::Token(_))) => {
                is_over.store(true, Ordering::Relaxed);
            }
            Fate::Failed(error) if befalls_others(error) => {
                failures_in_a_row += 1;
                if failures_in_a_row >= concurrency.saturating_add(MOST_IN_A_ROW) {
                    is_over.store(true, Ordering::Relaxed);
                }
            }
            Fate::NotTried => {}
            _ => failures_in_a_row = 0,
        }
        tally.count(&settled);
        told(Event::Settled(settled));
    }
    Ok(tally)
}

/// Whether what befell one source may well befall the others: Webex is not to be had, or the token
/// lacks a scope.
fn befalls_others(error: &SourceError) -> bool {
    error.is_passing() || error.kind() == Some(FailureKind::Forbidden)
}

/// The ids that are meant, each once, in the order in which they are given, and those that are
/// nobody's.
async fn named(
    changes: &Changes,
    prefixes: &[String],
) -> Result<(Vec<String>, Vec<Settled>), SourceError> {
    let resolved = changes.sources().resolve_each(prefixes).await?;
    let (mut due, mut settled) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for (prefix, id) in prefixes.iter().zip(resolved) {
        match id {
            Ok(id) if !seen.insert(id.clone()) => {}
            Ok(id) => due.push(id),
            Err(error) => settled.push(Settled {
                id: Some(prefix.clone()),
                ..Settled::failed(error.into())
            }),
        }
    }
    Ok((due, settled))
}

/// Extends one data source, if it is time and not pointless.
pub(super) async fn one(
    changes: &Changes,
    id: &str,
    change: &Change,
    window: Window,
    now: impl Fn() -> Timestamp,
) -> Settled {
    let current = match changes.sources().read(id).await {
        Ok(current) => current,
        // It would be sent the next time, and was not now.
        Err(SourceError::Call(CallError::Stopped)) => return Settled::of(Fate::NotTried),
        Err(error) => return Settled::failed(error),
    };
    // Another program may have been here since the list was read.
    if let Some(fate) = left_alone(&current, window, now()) {
        return Settled::of(fate);
    }
    match changes.extend(id, &current, change).await {
        Ok(made) => {
            let tracking_id = made.tracking_id;
            let shown = made.data_source.as_ref();
            let fate = if shown.is_some_and(|shown| has_same_jws(&current, shown)) {
                let tracking_id = tracking_id.clone();
                Fate::Failed(SourceError::NotRenewed { tracking_id })
            } else {
                let asked = change.token_lifetime;
                Fate::Extended {
                    life: shown.map(DataSource::life).unwrap_or_default(),
                    token_lifetime: asked.or_else(|| current.token_lifetime()?.ok()),
                }
            };
            Settled {
                id: None,
                fate,
                tracking_id,
                unrecorded: made.recorded.err().map(|error| error.to_string()),
            }
        }
        Err(NotChanged {
            error: SourceError::Call(CallError::Stopped),
            ..
        }) => Settled::of(Fate::NotTried),
        Err(NotChanged { error, recorded }) => Settled {
            unrecorded: recorded.err().map(|error| error.to_string()),
            ..Settled::failed(error)
        },
    }
}

/// The ids of those that are due, the most urgent first, and what there is to say of the others.
async fn plan(
    changes: &Changes,
    window: Window,
    now: Timestamp,
) -> Result<(Vec<String>, Vec<Settled>), SourceError> {
    let (mut due, mut settled) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    let take = |source: DataSource| {
        let id = source.id().map(str::to_owned);
        // One that is on two pages, as a list may shift between them, is looked at once.
        if id.as_ref().is_some_and(|id| !seen.insert(id.clone())) {
            return;
        }
        let fate = match (left_alone(&source, window, now), &id) {
            (Some(fate), _) => fate,
            (None, None) => Fate::Failed(SourceError::Nameless),
            (None, Some(id)) => {
                due.push((source.life().expires_at, id.clone()));
                return;
            }
        };
        settled.push(Settled {
            id,
            ..Settled::of(fate)
        });
    };
    changes.sources().each(take).await?;
    due.sort_unstable();
    Ok((due.into_iter().map(|(_, id)| id).collect(), settled))
}

/// Why a data source is not extended, if it is not.
fn left_alone(source: &DataSource, window: Window, now: Timestamp) -> Option<Fate> {
    if source.status() == Status::Disabled {
        return Some(Fate::Disabled {
            error_message: source.error_message().map(str::to_owned),
        });
    }
    let life = source.life();
    (!schedule::is_due(life, window, now)).then_some(Fate::NotDue(life))
}

/// Whether an update has brought nothing, as far as its answer shows.
fn has_same_jws(before: &DataSource, after: &DataSource) -> bool {
    if let (Some(before), Some(after)) = (before.jws_token(), after.jws_token()) {
        return before == after;
    }
    let (before, after) = (before.life().expires_at, after.life().expires_at);
    after.is_some() && before == after
}

impl Settled {
    fn of(fate: Fate) -> Self {
        Self {
            id: None,
            fate,
            tracking_id: None,
            unrecorded: None,
        }
    }

    fn failed(error: SourceError) -> Self {
        Self {
            tracking_id: error.tracking_id().map(str::to_owned),
            ..Self::of(Fate::Failed(error))
        }
    }
}

impl Tally {
    fn count(&mut self, settled: &Settled) {
        self.unrecorded += usize::from(settled.unrecorded.is_some());
        match &settled.fate {
            Fate::Extended { .. } => self.extended += 1,
            Fate::NotDue(_) => self.not_due += 1,
            Fate::Disabled { .. } => self.disabled += 1,
            Fate::NotTried => self.not_tried += 1,
            Fate::Failed(SourceError::Call(CallError::Token(error))) => {
                self.unavailable += 1;
                self.token = Some(error.clone());
            }
            Fate::Failed(error) if error.is_passing() => self.unavailable += 1,
            Fate::Failed(error) => {
                self.failed += 1;
                if let Some(remedy) = error.remedy()
                    && !self.remedies.contains(&remedy)
                {
                    self.remedies.push(remedy);
                }
            }
        }
    }
}

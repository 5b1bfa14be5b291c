//! Gates: requests held at a point until a test lets them go, instead of sleeping.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::endpoint::Endpoint;

/// Longer than any test waits; a wait past this is a test that would hang.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where a request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// Webex has received the request and done nothing yet.
    BeforeActing,
    /// Webex has acted and not yet answered.
    BeforeAnswering,
}

/// Holds the requests to one endpoint un-answered. Dropping it lets them go.
#[derive(Debug)]
pub struct Gate {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    state: Mutex<State>,
    changed: Condvar,
    /// Wakes the requests that wait, to look at the state again.
    wake: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    arrived: u64,
    /// The numbers of the requests that are held.
    waiting: BTreeSet<u64>,
    /// The numbers of those that may go on.
    released: BTreeSet<u64>,
    /// How many more may pass when they arrive.
    spare: u64,
    open: bool,
}

impl Gate {
    /// Blocks until a request is being held.
    ///
    /// # Panics
    ///
    /// If none arrives within a minute.
    pub fn wait_for_request(&self) {
        self.wait_for_requests(1);
    }

    /// Blocks until `count` requests are being held at once.
    ///
    /// # Panics
    ///
    /// If they do not arrive within a minute.
    pub fn wait_for_requests(&self, count: usize) {
        let (state, timeout) = self
            .held
            .changed
            .wait_timeout_while(self.held.state(), PATIENCE, |state| {
                state.waiting.len() < count
            })
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "{} of {count} requests arrived at the gate",
            state.waiting.len()
        );
    }

    /// Blocks until no request is held: all were released, or their clients went away.
    ///
    /// # Panics
    ///
    /// If that takes more than a minute.
    pub fn wait_until_empty(&self) {
        let (state, timeout) = self
            .held
            .changed
            .wait_timeout_while(self.held.state(), PATIENCE, |state| {
                !state.waiting.is_empty()
            })
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "{} requests stay at the gate",
            state.waiting.len()
        );
    }

    /// How many requests are held now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.held.state().waiting.len()
    }

    /// How many requests have arrived so far, held or gone on.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.held.state().arrived
    }

    /// Lets the longest-held request go, or the next to arrive.
    pub fn release_one(&self) {
        let mut state = self.held.state();
        match state.waiting.pop_first() {
            Some(number) => drop(state.released.insert(number)),
            None => state.spare += 1,
        }
        drop(state);
        self.held.announce();
    }

    /// Lets every request go, those that arrive later too.
    pub fn release(&self) {
        self.held.open();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) {
        self.state().open = true;
        self.announce();
    }

    fn announce(&self) {
        self.changed.notify_all();
        self.wake.send_replace(());
    }

    /// Whether a request that arrives may pass at once; otherwise its number.
    fn arrive(&self) -> Option<u64> {
        let mut state = self.state();
        state.arrived += 1;
        if state.open {
            return None;
        }
        if state.spare > 0 {
            state.spare -= 1;
            return None;
        }
        let number = state.arrived;
        state.waiting.insert(number);
        Some(number)
    }

    fn may_pass(&self, number: u64) -> bool {
        let state = self.state();
        state.open || state.released.contains(&number)
    }

    fn leave(&self, number: u64) {
        let mut state = self.state();
        state.waiting.remove(&number);
        state.released.remove(&number);
    }
}

/// The gates that stand.
#[derive(Default)]
pub(crate) struct Gates(Mutex<HashMap<(Endpoint, Position), Arc<Held>>>);

impl Gates {
    /// Puts up a gate, opening an earlier one in the same place.
    pub(crate) fn put_up(&self, endpoint: Endpoint, position: Position) -> Gate {
        let held = Arc::new(Held {
            state: Mutex::default(),
            changed: Condvar::new(),
            wake: watch::Sender::new(()),
        });
        let earlier = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((endpoint, position), Arc::clone(&held));
        if let Some(earlier) = earlier {
            earlier.open();
        }
        Gate { held }
    }

    /// Waits at the gates in front of a request, if there are any.
    pub(crate) async fn pass(&self, endpoints: &[Endpoint], position: Position) {
        for &endpoint in endpoints {
            let held = self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&(endpoint, position))
                .cloned();
            if let Some(held) = held {
                wait(&held).await;
            }
        }
    }
}

async fn wait(held: &Held) {
    let mut wake = held.wake.subscribe();
    let Some(number) = held.arrive() else {
        return;
    };
    let _waiting = Waiting { held, number };
    held.changed.notify_all();
    // The sender lives as long as `held`, so waiting for it cannot fail.
    while !held.may_pass(number) && wake.changed().await.is_ok() {}
}

/// Counts a request as held for as long as it is, even if its client goes away.
struct Waiting<'g> {
    held: &'g Held,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.held.leave(self.number);
        self.held.changed.notify_all();
    }
}

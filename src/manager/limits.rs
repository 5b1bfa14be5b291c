//! How far a run may go: its deadline, its patience with a lock, and whether it has been told to
//! stop. They forbid new requests; a grant in flight may finish, and saving is never cut.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The limits of one run.
#[derive(Clone, Debug)]
pub struct Limits {
    /// After this no request is sent.
    pub(crate) deadline: Instant,
    /// How long another run's lock is waited for, within the deadline.
    pub(crate) lock_timeout: Duration,
    /// Told to stop, by a signal say.
    pub(crate) stop: Stop,
}

/// What stands for no deadline: longer than any process lives.
const NEVER: Duration = Duration::from_hours(24 * 365 * 30);

impl Limits {
    /// How long a run and its wait for a lock last, unless told otherwise.
    pub const DEFAULT: Duration = Duration::from_mins(1);

    /// Limits that start now.
    #[must_use]
    pub fn starting_now(whole_run: Duration, lock_timeout: Duration, stop: Stop) -> Self {
        let now = Instant::now();
        Self {
            // A deadline beyond what an instant can hold is none in effect.
            deadline: now.checked_add(whole_run).unwrap_or(now + NEVER),
            lock_timeout,
            stop,
        }
    }

    /// The same, and at most so long from now on.
    #[must_use]
    pub(crate) fn and_at_most(&self, patience: Duration) -> Self {
        let deadline = Instant::now().checked_add(patience);
        Self {
            deadline: deadline.map_or(self.deadline, |deadline| deadline.min(self.deadline)),
            ..self.clone()
        }
    }

    /// Whether a new request may be sent.
    pub(crate) fn allow_more(&self) -> bool {
        !self.stop.is_set() && Instant::now() < self.deadline
    }

    /// Resolves when no new request may be sent any more.
    pub(crate) async fn reached(&self) {
        tokio::select! {
            biased;
            () = self.stop.set() => {}
            () = tokio::time::sleep_until(self.deadline) => {}
        }
    }

    /// Resolves when the run has been told to stop.
    pub(crate) async fn stopped(&self) {
        self.stop.set().await;
    }

    /// Waits; `false`, and at once, if the wait would end past the deadline or a stop cuts it.
    pub(crate) async fn wait(&self, wait: Duration) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if wait >= left || self.stop.is_set() {
            return false;
        }
        tokio::select! {
            biased;
            () = self.stop.set() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }
}

/// Tells runs to stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Tells every run that holds the other half.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// What a run hears a `Stopper` by.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Both halves.
    #[must_use]
    pub fn pair() -> (Stopper, Self) {
        let (sender, receiver) = watch::channel(false);
        (Stopper(sender), Self(receiver))
    }

    /// One that is never set.
    #[must_use]
    pub fn never() -> Self {
        Self::pair().1
    }

    /// Whether it has been set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    async fn set(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stopped| *stopped).await.is_err() {
            // Nobody is left who could set it.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_program_without_a_deadline_goes_on_for_decades() {
        let limits = Limits::starting_now(Duration::MAX, Duration::ZERO, Stop::never());
        tokio::time::advance(Duration::from_hours(24 * 365 * 20)).await;
        assert!(limits.allow_more());
        assert!(limits.wait(Duration::from_secs(1)).await);
    }
}

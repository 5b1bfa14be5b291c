//! What all calls share: when Webex asks one of them to wait, none is sent until then, and after
//! that they go out one by one, at a pace, until Webex has had nothing to complain of for a minute.
//! So 64 calls at a time do not turn one 429 into 64.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::backoff;
use crate::manager::Limits;

/// Calls a second while paced. Webex publishes no limit; its contact-centre APIs document 50 a
/// minute, which a window of a minute takes within five seconds.
const PACE: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");

/// The longest wait that Webex is believed to ask for.
const LONGEST: Duration = Duration::from_hours(24);

/// How long calls stay paced after the last refusal's wait is over.
const PACED_FOR: Duration = Duration::from_mins(1);

/// The runtime's clock, which a test can pause.
#[derive(Clone, Debug, Default)]
struct RuntimeClock;

impl Clock for RuntimeClock {
    type Instant = std::time::Instant;

    fn now(&self) -> Self::Instant {
        Instant::now().into_std()
    }
}

#[derive(Debug)]
pub(super) struct Budget {
    refusals: Mutex<Refusals>,
    pace: RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<std::time::Instant>>,
}

#[derive(Debug, Default)]
struct Refusals {
    /// How many came in a row, counting those that were under way together as one.
    in_a_row: u8,
    /// Until then nothing is sent.
    pause_until: Option<Instant>,
    /// How often a token was replaced in vain.
    renewals: u32,
    /// Until then it is not replaced because of a 401.
    no_renewal_until: Option<Instant>,
}

/// A call that may not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The run was told to stop.
    Stopped,
    /// It would have to wait for longer than it is given.
    TooLong(Duration),
}

impl Denied {
    /// Why these limits do not allow this wait.
    pub(super) fn under(limits: &Limits, wait: Duration) -> Self {
        if limits.stop.is_set() {
            Self::Stopped
        } else {
            Self::TooLong(wait)
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        let quota = Quota::per_second(PACE).allow_burst(NonZeroU32::MIN);
        Self {
            refusals: Mutex::default(),
            pace: RateLimiter::direct_with_clock(quota, RuntimeClock),
        }
    }
}

impl Budget {
    /// Waits until a call may be sent.
    pub(super) async fn admit(&self, limits: &Limits) -> Result<(), Denied> {
        loop {
            let wait = self.wait();
            if !limits.allow_more() {
                return Err(Denied::under(limits, wait));
            }
            if wait.is_zero() {
                return Ok(());
            }
            if !limits.wait(wait).await {
                return Err(Denied::under(limits, wait));
            }
        }
    }

    /// Webex asks to wait, for so long if it says so.
    pub(super) fn refuse(&self, retry_after: Option<Duration>) {
        let now = Instant::now();
        let mut refusals = self.refusals();
        if refusals.pause_until.is_none_or(|until| until <= now) {
            refusals.in_a_row = refusals.in_a_row.saturating_add(1);
        }
        let wait = backoff::between_tries(refusals.in_a_row, retry_after, fastrand::f64());
        let until = now + wait.min(LONGEST);
        refusals.pause_until = refusals.pause_until.max(Some(until));
    }

    /// Webex had nothing to complain of.
    pub(super) fn relax(&self) {
        let now = Instant::now();
        let mut refusals = self.refusals();
        // Calls that were under way before the refusal say nothing about it.
        if refusals.pause_until.is_some_and(|until| until <= now) {
            refusals.in_a_row = 0;
        }
    }

    /// Webex refuses a token that is new: for a while, nobody has it replaced for that again.
    pub(super) fn refuse_renewal(&self) {
        let now = Instant::now();
        let mut refusals = self.refusals();
        if refusals.no_renewal_until.is_none_or(|until| until <= now) {
            refusals.renewals = refusals.renewals.saturating_add(1);
            let pause = backoff::between_climbs(refusals.renewals, fastrand::f64());
            refusals.no_renewal_until = Some(now + pause);
        }
    }

    /// Whether the token may be replaced because a call was answered with 401.
    pub(super) fn allows_renewal(&self) -> bool {
        let until = self.refusals().no_renewal_until;
        until.is_none_or(|until| until <= Instant::now())
    }

    /// How long the next call has to wait, as far as is known now.
    fn wait(&self) -> Duration {
        let now = Instant::now();
        let mut refusals = self.refusals();
        let Some(until) = refusals.pause_until else {
            return Duration::ZERO;
        };
        if until > now {
            return until - now;
        }
        if now - until > PACED_FOR {
            refusals.pause_until = None;
            return Duration::ZERO;
        }
        match self.pace.check() {
            Ok(()) => Duration::ZERO,
            Err(not_until) => not_until.wait_time_from(now.into_std()),
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        let refusals = self.refusals.lock();
        refusals.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::Stop;

    fn limits(patience: Duration) -> Limits {
        Limits::starting_now(patience, Duration::ZERO, Stop::never())
    }

    #[tokio::test(start_paused = true)]
    async fn one_refusal_holds_all_back_and_lets_them_go_at_a_pace() {
        let budget = Budget::default();
        let limits = limits(Duration::from_hours(1));
        let start = Instant::now();
        for _ in 0..64 {
            budget.admit(&limits).await.expect("nothing is in the way");
        }
        assert_eq!(start.elapsed(), Duration::ZERO);

        // All of them were under way: that is one refusal.
        for _ in 0..64 {
            budget.refuse(Some(Duration::from_secs(7)));
        }
        budget.admit(&limits).await.expect("it waits");
        assert!(start.elapsed() >= Duration::from_secs(7));
        let first = Instant::now();
        for _ in 0..20 {
            budget.admit(&limits).await.expect("it waits");
        }
        let took = first.elapsed();
        assert!(took >= Duration::from_millis(1900), "{took:?}");
        assert!(took <= Duration::from_millis(2200), "{took:?}");

        tokio::time::advance(PACED_FOR * 2).await;
        let later = Instant::now();
        for _ in 0..64 {
            budget.admit(&limits).await.expect("nothing is in the way");
        }
        assert_eq!(later.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_in_a_row_wait_longer_each_time() {
        let budget = Budget::default();
        let limits = limits(Duration::from_hours(1));
        let mut shortest = Duration::ZERO;
        for _ in 0..5 {
            let before = Instant::now();
            budget.refuse(None);
            budget.admit(&limits).await.expect("it waits");
            let wait = before.elapsed();
            assert!(wait > shortest, "{wait:?} after {shortest:?}");
            // Jitter is a half at most, so that two doublings are longer for sure.
            shortest = wait / 4;
        }
        assert!(shortest > Duration::from_millis(500), "{shortest:?}");
        budget.relax();
        let before = Instant::now();
        budget.refuse(None);
        budget.admit(&limits).await.expect("it waits");
        assert!(before.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_there_can_be_is_a_wait() {
        let budget = Budget::default();
        budget.refuse(Some(Duration::MAX));
        let denied = budget.admit(&limits(Duration::from_hours(1))).await;
        assert_eq!(denied, Err(Denied::TooLong(LONGEST)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_was_replaced_in_vain_is_not_replaced_again_and_again() {
        let budget = Budget::default();
        assert!(budget.allows_renewal());
        let mut pauses = 0;
        for _ in 0..24 * 60 {
            if budget.allows_renewal() {
                budget.refuse_renewal();
                pauses += 1;
            }
            tokio::time::advance(Duration::from_mins(1)).await;
        }
        // A quarter of an hour apart, less the jitter, in the end.
        assert!((60..=200).contains(&pauses), "{pauses} in a day");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_past_the_limits() {
        let budget = Budget::default();
        budget.refuse(Some(Duration::from_hours(2)));
        let denied = budget.admit(&limits(Duration::from_hours(1))).await;
        assert!(matches!(denied, Err(Denied::TooLong(_))), "{denied:?}");

        let (stopper, stop) = Stop::pair();
        stopper.stop();
        let limits = Limits::starting_now(Duration::from_hours(9), Duration::ZERO, stop);
        assert_eq!(budget.admit(&limits).await, Err(Denied::Stopped));
    }
}

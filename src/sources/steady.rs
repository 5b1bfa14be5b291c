//! A time of day that never goes back.
//!
//! While the machine is suspended the wall clock goes on and the monotonic one may not; when the
//! wall clock is set, it is the other way round. What is further on counts, so that a machine that
//! wakes up catches up, and a clock that is set back holds nothing up.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::clock::Clock;

/// Tells the time of day, and never an earlier one than before.
#[derive(Debug)]
pub(super) struct Steady {
    clock: Clock,
    last: Timestamp,
    at: Instant,
}

impl Steady {
    pub(super) fn starting_now(clock: Clock) -> Self {
        Self {
            last: clock.now(),
            at: Instant::now(),
            clock,
        }
    }

    pub(super) fn now(&mut self) -> Timestamp {
        let at = Instant::now();
        let carried_on = self.last.checked_add(at.duration_since(self.at));
        let carried_on = carried_on.unwrap_or(self.last);
        self.at = at;
        self.last = self.clock.now().max(carried_on);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_further_on_counts() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let mut steady = Steady::starting_now(clock.clone());
        let mut after = |seconds| {
            let expected = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
            assert_eq!(steady.now(), expected);
        };
        after(0);
        // Suspended: the wall clock alone goes on.
        clock.advance(SignedDuration::from_secs(1000));
        after(1000);
        // Set back: time goes on all the same.
        clock.advance(SignedDuration::from_secs(-5000));
        after(1000);
        tokio::time::advance(Duration::from_mins(1)).await;
        after(1060);
        // Until the wall clock is further on again.
        clock.advance(SignedDuration::from_secs(6000));
        after(2000);
    }
}

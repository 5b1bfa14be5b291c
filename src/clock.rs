//! The wall clock: the system's, and one that a test turns by hand.
//!
//! This is the only place that asks what time it is. Whatever is stored outlives the process and
//! is wall-clock time; whatever is waited for is monotonic and belongs to the runtime's timers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// Tells the time of day.
#[derive(Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until [`Clock::advance`] moves it.
    Manual(Arc<AtomicI64>),
    /// A clock of the caller's: milliseconds since the Unix epoch.
    Other(Arc<dyn Fn() -> i64 + Send + Sync>),
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Manual(_) => "Manual",
            Self::Other(_) => "Other",
        })
    }
}

impl Clock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn manual(now: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now.as_millisecond())))
    }

    /// The time, to the millisecond.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_millis()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Milliseconds since the Unix epoch, as cheaply as the platform tells them.
    ///
    /// On Linux the coarse clock serves: a few milliseconds of error cost nothing where margins
    /// are minutes, and reading it takes a few nanoseconds on any machine.
    #[must_use]
    pub fn now_millis(&self) -> i64 {
        match self {
            Self::System => system_millis(),
            Self::Manual(millis) => millis.load(Ordering::Relaxed),
            Self::Other(millis) => millis(),
        }
    }

    /// Moves a manual clock by `by`, backwards where it is negative; any other stays.
    pub fn advance(&self, by: SignedDuration) {
        if let Self::Manual(millis) = self {
            let by = i64::try_from(by.as_millis()).unwrap_or(0);
            millis.fetch_add(by, Ordering::Relaxed);
        }
    }
}

#[cfg(target_os = "linux")]
fn system_millis() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

#[cfg(not(target_os = "linux"))]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the system"
)]
fn system_millis() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let copy = clock.clone();
        clock.advance(SignedDuration::from_secs(90));
        assert_eq!(
            copy.now(),
            Timestamp::UNIX_EPOCH + SignedDuration::from_secs(90)
        );
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "compared with the system's own answer"
    )]
    fn the_system_clock_agrees_with_the_system() {
        let off = Timestamp::now().duration_since(Clock::System.now());
        assert!(off.abs() < SignedDuration::from_secs(5), "{off}");
    }
}

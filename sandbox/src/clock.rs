//! The world's clock: real time, or the time of the runtime, and an offset that tests move.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A time that goes by itself, plus an offset.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// When the runtime's time began, and which instant that was. Without it time is real.
    since: Option<(Timestamp, Instant)>,
    offset_millis: AtomicI64,
}

impl Clock {
    /// A clock by the time of the runtime, which is `start` now.
    pub(crate) fn of_the_runtime(start: Timestamp) -> Self {
        Self {
            since: Some((start, Instant::now())),
            offset_millis: AtomicI64::new(0),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_millis(self.offset_millis.load(Ordering::Relaxed));
        match self.since {
            Some((start, instant)) => start + instant.elapsed() + offset,
            None => real() + offset,
        }
    }

    pub(crate) fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_millis.fetch_add(millis, Ordering::Relaxed);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks what time it is"
)]
fn real() -> Timestamp {
    Timestamp::now()
}

//! The pace of polling for a device grant's token (RFC 8628 §3.5). Pure.
//!
//! Webex departs from the RFC in words, not in manners: its interval is 2 s where the RFC says 5 s,
//! "pending" is status 428, and "slow down" may be a 429 with `Retry-After`. Which of them an answer
//! is has been judged before; here is only how long to wait, and for how long in all.

use std::time::Duration;

/// The interval where Webex names none, and the shortest that is ever kept.
const INTERVAL: Duration = Duration::from_secs(2);

/// What `slow_down` adds, for good (RFC 8628 §3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// How long a device code lives where Webex does not say: what its documentation shows.
const LASTS: Duration = Duration::from_mins(5);

/// No device code lives longer, whatever a reply says: an instant must be able to hold its end.
const LONGEST: Duration = Duration::from_hours(24);

/// How often a device grant is asked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    interval: Duration,
    retry_after: Duration,
    lasts: Duration,
}

impl Polling {
    /// The pace that goes with `interval` and `expires_in` of the device authorization response.
    #[must_use]
    pub fn new(interval: Option<Duration>, expires_in: Option<Duration>) -> Self {
        Self {
            interval: interval.unwrap_or(INTERVAL).clamp(INTERVAL, LONGEST),
            retry_after: Duration::ZERO,
            lasts: expires_in.unwrap_or(LASTS).min(LONGEST),
        }
    }

    /// How long to wait after an answer has arrived (or after the device code has, at first) before
    /// asking again.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.interval.max(self.retry_after)
    }

    /// Notes that the answer was "not yet": what a `Retry-After` before it has asked for is done.
    pub fn pending(&mut self) {
        self.retry_after = Duration::ZERO;
    }

    /// Notes that the answer was `slow_down` or 429, or that there was none in time (for which
    /// RFC 8628 asks to slow down, too). The interval grows for good; `retry_after` counts until
    /// the next answer.
    pub fn slow_down(&mut self, retry_after: Option<Duration>) {
        self.interval += SLOWER;
        self.retry_after = retry_after.unwrap_or_default().min(LONGEST);
    }

    /// How long the device code lives, counted from its arrival; there is nothing to ask after that.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.lasts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_webex_says_is_kept_to_within_reason() {
        let table = [
            (None, None, 2, 300),
            (Some(0), Some(0), 2, 0),
            (Some(1), Some(60), 2, 60),
            (Some(5), Some(1800), 5, 1800),
            (Some(u64::MAX), Some(u64::MAX), 86_400, 86_400),
        ];
        for (interval, expires_in, wait, lasts) in table {
            let polling = Polling::new(interval.map(seconds), expires_in.map(seconds));
            assert_eq!(
                (polling.wait(), polling.lasts()),
                (seconds(wait), seconds(lasts)),
                "{interval:?} {expires_in:?}"
            );
        }
    }

    #[test]
    fn slowing_down_is_for_good_and_retry_after_for_once() {
        let mut polling = Polling::new(None, None);
        polling.pending();
        assert_eq!(polling.wait(), seconds(2));
        polling.slow_down(None);
        assert_eq!(polling.wait(), seconds(7));
        polling.slow_down(Some(seconds(60)));
        assert_eq!(polling.wait(), seconds(60));
        polling.pending();
        assert_eq!(polling.wait(), seconds(12));
        polling.slow_down(Some(seconds(1)));
        assert_eq!(polling.wait(), seconds(17));
        polling.pending();
        assert_eq!(polling.wait(), seconds(17));
        assert_eq!(polling.lasts(), seconds(300));
    }

    proptest! {
        #[test]
        fn the_pace_never_exceeds_what_is_allowed(
            interval in proptest::option::of(any::<u64>()),
            answers in proptest::collection::vec(
                proptest::option::of(proptest::option::of(any::<u64>())), 0..40
            ),
        ) {
            let mut polling = Polling::new(interval.map(seconds), None);
            let mut least = interval.unwrap_or(2).clamp(2, 86_400);
            for answer in answers {
                let mut asked = 0;
                match answer {
                    None => polling.pending(),
                    Some(retry_after) => {
                        polling.slow_down(retry_after.map(seconds));
                        least += 5;
                        asked = retry_after.unwrap_or(0).min(86_400);
                    }
                }
                prop_assert!(polling.wait() >= seconds(least.max(asked)));
            }
        }
    }
}

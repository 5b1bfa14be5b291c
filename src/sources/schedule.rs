//! When a data source is extended: policy as pure functions of dates.
//!
//! At half of the life of its JWS, so that there is as much time again to put right what goes
//! wrong; after a failure again and again until it is extended, more often as the end comes near.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Life;
use crate::backoff;

/// The shortest wait after a failure.
const SHORTEST: Duration = Duration::from_secs(5);

/// The longest wait after a failure, but for the jitter; also the wait after one for good.
pub(super) const LONGEST: Duration = Duration::from_mins(15);

/// How long a JWS is taken to live of which nothing is known but that it is new.
const NOT_KNOWN: SignedDuration = SignedDuration::from_mins(30);

/// The longest wait that Webex is believed to ask for: no JWS lives longer.
const LONGEST_ASKED: Duration = Duration::from_hours(24);

/// When a data source is due: past half of its life. `None` where its end is not known, which is
/// due now; where its beginning is not known, `None` as well: half of that life cannot be told.
#[must_use]
pub fn due_at(life: Life) -> Option<Timestamp> {
    let (issued_at, expires_at) = (life.issued_at?, life.expires_at?);
    let life = expires_at.duration_since(issued_at);
    let half = life.max(SignedDuration::ZERO) / 2;
    Some(expires_at.checked_sub(half).unwrap_or(expires_at))
}

/// When it is time to extend a data source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Now, whatever is left.
    Always,
    /// Past half of its life.
    PastHalf,
    /// With less than this left.
    ExpiringWithin(SignedDuration),
}

/// Whether it is time to extend a source with this life. A life of which nothing is known is over,
/// as far as anybody can tell.
#[must_use]
pub fn is_due(life: Life, window: Window, now: Timestamp) -> bool {
    match (window, life.expires_at) {
        (Window::Always, _) => true,
        (Window::ExpiringWithin(within), Some(expires_at)) => {
            expires_at.duration_since(now) < within
        }
        _ => due_at(life).is_none_or(|due_at| now >= due_at),
    }
}

/// When a source that is kept alive is to be extended: at half of its life, spread over a twentieth
/// of it so that thousands that were registered together do not stay together.
///
/// `jitter` is in `0.0..=1.0`.
#[must_use]
pub fn extend_at(life: Life, jitter: f64) -> Option<Timestamp> {
    let due_at = due_at(life)?;
    let left = life.expires_at?.duration_since(due_at);
    // Not before half: whoever looks then would find it not due.
    let spread = left.mul_f64(0.1 * jitter.clamp(0.0, 1.0));
    due_at.checked_add(spread).ok()
}

/// When a source that was extended at `now` is to be extended again: when half of the time that its
/// JWS lives has gone by here, spread as [`extend_at`] does. What the dates in it say does not count:
/// by a clock that is ahead of Webex's it would be extended again and again, and by one that is
/// behind too late.
///
/// `token_lifetime` is how long the JWS lives where its life is not known.
#[must_use]
pub fn after_extension(
    life: Life,
    token_lifetime: Option<SignedDuration>,
    now: Timestamp,
    jitter: f64,
) -> Timestamp {
    let lives = life
        .issued_at
        .zip(life.expires_at)
        .map(|(issued_at, expires_at)| expires_at.duration_since(issued_at))
        .or(token_lifetime)
        .filter(SignedDuration::is_positive)
        .unwrap_or(NOT_KNOWN);
    later(now, lives.mul_f64(0.5 + 0.05 * jitter.clamp(0.0, 1.0)))
}

/// How long to wait after `failures` failures in a row: from half a minute, doubling, to a quarter of
/// an hour, each ± 50 %; at most a tenth of the time that is left, at least five seconds, and no less
/// than Webex has asked for, up to a day. It never stops: a source whose JWS has expired is still
/// worth bringing back.
#[must_use]
pub fn retry_after(
    failures: u32,
    asked: Option<Duration>,
    expires_at: Option<Timestamp>,
    now: Timestamp,
    jitter: f64,
) -> Duration {
    let wait = backoff::between_climbs(failures, jitter);
    let left = expires_at.map(|expires_at| expires_at.duration_since(now));
    let left = left.filter(SignedDuration::is_positive);
    let most = left.map_or(wait, |left| {
        Duration::try_from(left / 10).unwrap_or(SHORTEST)
    });
    let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
    wait.min(most).max(SHORTEST).max(asked)
}

/// So long after `now`, as far as a date can be told.
pub(super) fn later(now: Timestamp, wait: impl TryInto<SignedDuration>) -> Timestamp {
    let wait = wait.try_into().unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    fn life(issued: i64, expires: i64) -> Life {
        Life {
            issued_at: Some(at(issued)),
            expires_at: Some(at(expires)),
        }
    }

    fn secs(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn a_source_is_due_at_half_of_its_life() {
        let rows = [
            (life(0, DAY), Some(at(12 * HOUR))),
            (life(0, 60), Some(at(30))),
            // Whatever that is, it is not due after it has expired.
            (life(DAY, 0), Some(at(0))),
            (life(7, 7), Some(at(7))),
            (Life::default(), None),
            (
                Life {
                    issued_at: None,
                    ..life(0, DAY)
                },
                None,
            ),
            (
                Life {
                    expires_at: None,
                    ..life(0, DAY)
                },
                None,
            ),
        ];
        for (life, expected) in rows {
            assert_eq!(due_at(life), expected, "{life:?}");
        }
    }

    #[test]
    fn who_asks_for_it_has_the_time_left_count_instead() {
        let day = life(0, DAY);
        let rows = [
            (day, Window::PastHalf, 12 * HOUR - 1, false),
            (day, Window::PastHalf, 12 * HOUR, true),
            (day, Window::ExpiringWithin(secs(HOUR)), 23 * HOUR, false),
            (day, Window::ExpiringWithin(secs(HOUR)), 23 * HOUR + 1, true),
            (
                day,
                Window::ExpiringWithin(secs(13 * HOUR)),
                11 * HOUR + 1,
                true,
            ),
            (day, Window::ExpiringWithin(secs(0)), DAY, false),
            (day, Window::ExpiringWithin(secs(0)), DAY + 1, true),
            // Of what is not known nobody can tell that it lives.
            (Life::default(), Window::PastHalf, 0, true),
            (day, Window::Always, 0, true),
            (Life::default(), Window::ExpiringWithin(secs(0)), 0, true),
        ];
        for (life, window, now, expected) in rows {
            assert_eq!(is_due(life, window, at(now)), expected, "{window:?} {now}");
        }
    }

    #[test]
    fn sources_that_were_registered_together_do_not_stay_together() {
        let day = life(0, DAY);
        assert_eq!(extend_at(day, 0.0), Some(at(12 * HOUR)));
        assert_eq!(extend_at(day, 0.5), Some(at(12 * HOUR + 36 * 60)));
        assert_eq!(extend_at(day, 1.0), Some(at(12 * HOUR + 72 * 60)));
        assert_eq!(extend_at(Life::default(), 0.5), None);
    }

    #[test]
    fn after_an_extension_half_of_the_life_goes_by_whatever_the_clock_says() {
        let now = at(0);
        let rows = [
            (life(0, DAY), 0.0, 12 * HOUR),
            (life(0, DAY), 1.0, 12 * HOUR + 72 * 60),
            // This clock is a day ahead of Webex's, or a day behind.
            (life(-DAY, 0), 0.0, 12 * HOUR),
            (life(DAY, 2 * DAY), 0.0, 12 * HOUR),
        ];
        for (life, jitter, expected) in rows {
            let next = after_extension(life, None, now, jitter);
            assert_eq!(next, at(expected), "{life:?}");
        }
        // The answer does not tell: what was asked for counts, or little.
        let unknown = Life::default();
        let next = after_extension(unknown, Some(secs(HOUR)), now, 0.0);
        assert_eq!(next, at(HOUR / 2));
        assert_eq!(after_extension(unknown, None, now, 0.0), at(15 * 60));
    }

    #[test]
    fn waits_grow_to_a_quarter_of_an_hour_and_shrink_as_the_end_comes_near() {
        let rows = [
            (1, None, None, 30),
            (2, None, None, 60),
            (3, None, None, 120),
            (6, None, None, 900),
            (99, None, None, 900),
            (6, None, Some(DAY), 900),
            (6, None, Some(HOUR), 360),
            (1, None, Some(HOUR), 30),
            (6, None, Some(100), 10),
            (6, None, Some(1), 5),
            // It has expired: it is worth bringing back all the same.
            (6, None, Some(0), 900),
            (6, None, Some(-DAY), 900),
            // Webex is not asked before it wants to be.
            (1, Some(7), None, 30),
            (1, Some(300), Some(100), 300),
            (1, Some(9 * 86_400), None, 86_400),
        ];
        for (failures, asked, expires, expected) in rows {
            let asked = asked.map(Duration::from_secs);
            let wait = retry_after(failures, asked, expires.map(at), at(0), 0.5);
            assert_eq!(
                wait,
                Duration::from_secs(expected),
                "{failures} {asked:?} {expires:?}"
            );
        }
    }

    fn some_life() -> impl Strategy<Value = Life> {
        (-DAY..DAY, 60..=DAY).prop_map(|(issued, lives)| life(issued, issued + lives))
    }

    proptest! {
        #[test]
        fn never_before_half_and_always_before_the_end(life in some_life(), jitter in 0.0..=1.0) {
            let (Some(issued_at), Some(expires_at)) = (life.issued_at, life.expires_at) else {
                unreachable!("both are known");
            };
            let lives = expires_at.duration_since(issued_at);
            for next in [
                extend_at(life, jitter).expect("it is known"),
                after_extension(life, None, issued_at, jitter),
            ] {
                prop_assert!(next.duration_since(issued_at) >= lives / 2);
                prop_assert!(next.duration_since(issued_at) <= lives * 11 / 20);
                // Whoever looks then finds it due.
                prop_assert!(is_due(life, Window::PastHalf, next));
            }
        }

        #[test]
        fn no_clock_makes_a_storm(life in some_life(), ahead in -9 * DAY..9 * DAY, jitter in 0.0..=1.0) {
            let now = at(ahead);
            let next = after_extension(life, None, now, jitter);
            prop_assert!(next.duration_since(now) >= secs(30));
        }

        #[test]
        fn a_wait_is_bounded_and_never_zero(
            failures: u32,
            asked in prop::option::of(any::<u64>()),
            left in prop::option::of(-DAY..DAY),
            jitter in 0.0..=1.0,
        ) {
            let asked = asked.map(Duration::from_secs);
            let wait = retry_after(failures, asked, left.map(at), at(0), jitter);
            prop_assert!(wait >= SHORTEST);
            prop_assert!(wait >= asked.unwrap_or_default().min(LONGEST_ASKED));
            prop_assert!(wait <= LONGEST_ASKED);
            if asked.is_none() {
                prop_assert!(wait <= LONGEST * 3 / 2);
            }
        }

        #[test]
        fn a_source_is_tried_ten_times_in_what_is_left(left in 60..DAY, jitter in 0.0..=1.0) {
            let mut now = at(0);
            let mut tries = 0;
            while now < at(left) {
                tries += 1;
                now = later(now, retry_after(tries, None, Some(at(left)), now, jitter));
            }
            prop_assert!(tries >= 10, "{}", tries);
        }

        #[test]
        fn no_date_panics(issued: Option<i64>, expires: Option<i64>, now: i64, jitter: f64) {
            let at = |nanos: i64| Timestamp::from_nanosecond(i128::from(nanos) * 27).ok();
            let life = Life {
                issued_at: issued.and_then(at),
                expires_at: expires.and_then(at),
            };
            if let Some(now) = at(now) {
                let _ = is_due(life, Window::PastHalf, now);
                let _ = after_extension(life, None, now, jitter);
                let _ = retry_after(3, None, life.expires_at, now, jitter);
            }
        }
    }
}

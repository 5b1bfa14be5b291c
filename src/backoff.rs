//! How long to wait after a failure; jitter and the clock are arguments.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The wait before the validation of a fresh token is repeated: Webex may not have heard of it.
pub const SETTLE: Duration = Duration::from_millis(500);

/// The wait before the next try within a climb: 0.5 s, then 1 s, each ± 50 %, or as long as
/// `Retry-After` asks, never less.
///
/// `jitter` is in `0.0..=1.0`; 0.5 leaves the wait as it is.
#[must_use]
pub fn between_tries(failures: u8, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let doublings = u32::from(failures.saturating_sub(1).min(6));
    let wait = Duration::from_millis(500) * 2_u32.pow(doublings);
    let jittered = wait.mul_f64(0.5 + jitter.clamp(0.0, 1.0));
    retry_after.unwrap_or_default().max(jittered)
}

/// What [`between_climbs`] never exceeds, in milliseconds.
pub const LONGEST_PAUSE_MILLIS: i64 = 23 * 60 * 1000;

/// The wait before a long-lived process climbs again after `failures` climbs that came to nothing:
/// from half a minute, doubling, to at most a quarter of an hour, ± 50 %. It never stops for ever.
#[must_use]
pub fn between_climbs(failures: u32, jitter: f64) -> Duration {
    let wait = Duration::from_secs(30) * 2_u32.pow(failures.saturating_sub(1).min(5));
    wait.min(Duration::from_mins(15))
        .mul_f64(0.5 + jitter.clamp(0.0, 1.0))
}

/// Reads `Retry-After` (RFC 9110 §10.2.3): seconds, or a date seen from `now`.
///
/// Anything else is `None`. A date that has passed is no wait at all.
#[must_use]
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let date = Timestamp::try_from(httpdate::parse_http_date(header).ok()?).ok()?;
    let left: SignedDuration = date.duration_since(now);
    Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tries_are_half_a_second_and_a_second_apart() {
        let ms = Duration::from_millis;
        assert_eq!(between_tries(1, None, 0.5), ms(500));
        assert_eq!(between_tries(2, None, 0.5), ms(1000));
        assert_eq!(between_tries(1, None, 0.0), ms(250));
        assert_eq!(between_tries(1, None, 1.0), ms(750));
        assert_eq!(between_tries(1, Some(ms(3000)), 1.0), ms(3000));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a date");
        let secs = |n| Some(Duration::from_secs(n));
        assert_eq!(retry_after("7", now), secs(7));
        assert_eq!(retry_after(" 0 ", now), secs(0));
        assert_eq!(retry_after("Fri, 02 Jan 2026 03:05:05 GMT", now), secs(60));
        assert_eq!(retry_after("Fri, 02 Jan 2026 03:00:05 GMT", now), secs(0));
        assert_eq!(retry_after("99999999999999999999999", now), secs(u64::MAX));
        for nonsense in ["", "-1", "soon", "1.5", "7 s"] {
            assert_eq!(retry_after(nonsense, now), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn waits_are_bounded_and_never_zero(failures: u32, tries: u8, jitter in 0.0..=1.0) {
            let climb = between_climbs(failures, jitter);
            prop_assert!(climb >= Duration::from_secs(15));
            prop_assert!(climb <= Duration::from_mins(23));
            prop_assert!(between_tries(tries, None, jitter) >= Duration::from_millis(250));
        }

        #[test]
        fn no_header_panics(header: String) {
            let _ = retry_after(&header, Timestamp::UNIX_EPOCH);
        }
    }
}

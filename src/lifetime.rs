//! When a token is due, and when a human is needed: policy as pure functions of dates.
//!
//! Nothing here hard-codes a lifetime: Webex's differ by scope and cluster, so every date comes
//! from a reply (`expires_in`) or from `GET /v1/authorizations/tokenExpiry`. No date ever forbids
//! a rung; dates only say when to look.

use jiff::{SignedDuration, Timestamp};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What is known of one credential's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// How long it lives in all.
    pub lifetime: Option<SignedDuration>,
    /// When this program first saw or last used it.
    pub known_since: Option<Timestamp>,
}

/// How a token stands at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// More than its margin is left.
    Fresh,
    /// It works, and is due for renewal.
    Due,
    /// Its time is over.
    Expired,
    /// Its expiry is not known: only asking Webex tells.
    Unknown,
}

/// Judges `life` at `now`; `min_validity` is what the caller needs it to last, at least.
#[must_use]
pub fn freshness(life: Life, min_validity: SignedDuration, now: Timestamp) -> Freshness {
    let Some(expires_at) = life.expires_at else {
        return Freshness::Unknown;
    };
    match expires_at.duration_since(now) {
        left if left <= SignedDuration::ZERO => Freshness::Expired,
        left if left < min_validity => Freshness::Due,
        left if left <= margin(life, expires_at) => Freshness::Due,
        _ => Freshness::Fresh,
    }
}

/// How long before `expires_at` a token is due: a tenth of its lifetime; where that is unknown a
/// day, at most half of what was left when it was first seen.
fn margin(life: Life, expires_at: Timestamp) -> SignedDuration {
    match (life.lifetime, life.known_since) {
        (Some(lifetime), _) => lifetime / 10,
        (None, Some(seen)) => DAY.min(expires_at.duration_since(seen) / 2),
        (None, None) => SignedDuration::ZERO,
    }
}

/// When a token with this life becomes due; `None` where its expiry is not known.
#[must_use]
pub fn due_at(life: Life, min_validity: SignedDuration) -> Option<Timestamp> {
    let expires_at = life.expires_at?;
    let before = margin(life, expires_at).max(min_validity);
    Some(expires_at.checked_sub(before).unwrap_or(Timestamp::MIN))
}

/// Whether an unused refresh token is past half of its life and so worth using: it dies of disuse
/// just when it is needed. Where its life is unknown, 30 days after this program first saw or last
/// used it (a third of Webex's usual 90).
#[must_use]
pub fn wants_keep_alive(life: Life, now: Timestamp) -> bool {
    match life {
        Life {
            expires_at: Some(expires_at),
            lifetime: Some(lifetime),
            ..
        } => expires_at.duration_since(now) < lifetime / 2,
        Life {
            known_since: Some(since),
            ..
        } => now.duration_since(since) >= DAY * 30,
        _ => false,
    }
}

/// Whether a refresh token that its last use did not extend has under a tenth of its life left.
#[must_use]
pub fn is_fading(life: Life, extended_by_last_use: bool, now: Timestamp) -> bool {
    let (Some(expires_at), Some(lifetime)) = (life.expires_at, life.lifetime) else {
        return false;
    };
    !extended_by_last_use && expires_at.duration_since(now) < lifetime / 10
}

/// Whether something done at `last` was done within the last 24 hours (the future included: a
/// clock that was set back must not set it off again and again).
#[must_use]
pub fn within_a_day(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_some_and(|last| now.duration_since(last).abs() < DAY)
}

/// The date after which no rung can work any more: the latest of the rungs' ends. `None` where a
/// rung's end is not known, and where there is no rung at all.
#[must_use]
pub fn human_needed_by(rungs: impl IntoIterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    let ends: Option<Vec<_>> = rungs.into_iter().collect();
    ends?.into_iter().max()
}

/// An instant as people read it, such as `2026-12-05 11:59 UTC`.
#[must_use]
pub fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// An instant without its fraction of a second, as it is written into files and `--json`.
#[must_use]
pub fn to_the_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    const HOUR: i64 = 3600;
    const DAYS: i64 = 24 * HOUR;

    fn life(expires: i64, lifetime: Option<i64>, seen: Option<i64>) -> Life {
        Life {
            expires_at: Some(at(expires)),
            lifetime: lifetime.map(SignedDuration::from_secs),
            known_since: seen.map(at),
        }
    }

    #[test]
    fn freshness_follows_the_response_not_a_constant() {
        use Freshness::*;
        let two_weeks = Some(14 * DAYS);
        let rows = [
            (life(14 * DAYS, two_weeks, None), 0, Fresh),
            (life(14 * DAYS / 10 + 1, two_weeks, None), 0, Fresh),
            (life(14 * DAYS / 10, two_weeks, None), 0, Due),
            (life(1, two_weeks, None), 0, Due),
            (life(0, two_weeks, None), 0, Expired),
            (life(-1, two_weeks, None), 0, Expired),
            (life(12 * HOUR, Some(12 * HOUR), None), 0, Fresh),
            (life(HOUR, Some(12 * HOUR), None), 0, Due),
            (life(12 * HOUR, Some(12 * HOUR), None), 36 * HOUR, Due),
            (life(36 * HOUR, None, Some(0)), 0, Fresh),
            (life(36 * HOUR, None, Some(-14 * DAYS)), 0, Fresh),
            (life(24 * HOUR, None, Some(-14 * DAYS)), 0, Due),
            (life(HOUR, None, Some(0)), 0, Fresh),
            (life(HOUR, None, Some(-HOUR)), 0, Due),
            (life(HOUR, None, None), 0, Fresh),
            (Life::default(), 36 * HOUR, Unknown),
        ];
        for (life, min_validity, expected) in rows {
            let min_validity = SignedDuration::from_secs(min_validity);
            assert_eq!(freshness(life, min_validity, at(0)), expected, "{life:?}");
        }
    }

    #[test]
    fn a_token_is_due_when_it_says_so() {
        for (life, min_validity) in [
            (life(14 * DAYS, Some(14 * DAYS), None), 0),
            (life(12 * HOUR, None, Some(0)), 0),
            (life(14 * DAYS, Some(14 * DAYS), None), 3 * DAYS),
        ] {
            let min_validity = SignedDuration::from_secs(min_validity);
            let due = due_at(life, min_validity).expect("the expiry is known");
            let second = SignedDuration::from_secs(1);
            assert_eq!(
                freshness(life, min_validity, due - second),
                Freshness::Fresh
            );
            assert_eq!(freshness(life, min_validity, due + second), Freshness::Due);
        }
    }

    #[test]
    fn an_unused_integration_is_renewed_at_half_of_its_life_or_after_thirty_days() {
        let rows = [
            (life(46 * DAYS, Some(90 * DAYS), None), false),
            (life(44 * DAYS, Some(90 * DAYS), None), true),
            (
                Life {
                    known_since: Some(at(-29 * DAYS)),
                    ..Life::default()
                },
                false,
            ),
            (
                Life {
                    known_since: Some(at(-30 * DAYS)),
                    ..Life::default()
                },
                true,
            ),
            (Life::default(), false),
        ];
        for (life, expected) in rows {
            assert_eq!(wants_keep_alive(life, at(0)), expected, "{life:?}");
        }
    }

    #[test]
    fn a_refresh_token_fades_only_when_use_does_not_extend_it() {
        let fading = life(8 * DAYS, Some(90 * DAYS), None);
        assert!(is_fading(fading, false, at(0)));
        assert!(!is_fading(fading, true, at(0)));
        assert!(!is_fading(
            life(10 * DAYS, Some(90 * DAYS), None),
            false,
            at(0)
        ));
        assert!(!is_fading(Life::default(), false, at(0)));
    }

    #[test]
    fn a_human_is_needed_when_the_last_rung_ends() {
        assert_eq!(human_needed_by([Some(at(1)), Some(at(5))]), Some(at(5)));
        assert_eq!(human_needed_by([Some(at(1)), None]), None);
        assert_eq!(human_needed_by([]), None);
    }
}

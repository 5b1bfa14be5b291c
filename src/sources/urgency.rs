//! How soon somebody has to see to a data source. Pure.

use jiff::Timestamp;

use super::schedule::due_at;
use super::{DataSource, Life, Status};

/// How a data source stands, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Its JWS has expired: Webex does not deliver.
    Expired,
    /// Nothing is known of its JWS's end.
    Unknown,
    /// Less than a quarter of its JWS's life is left.
    Ending,
    /// Its JWS is past half of its life: time to extend it.
    Due,
    /// It was extended not long ago.
    Fine,
    /// Webex is told not to deliver, so that its JWS does not matter.
    Disabled,
}

impl Urgency {
    /// How a data source with this status and this life stands at `now`.
    ///
    /// Where the beginning of a life is not known it is due, as [`due_at`] has it.
    #[must_use]
    pub fn of(status: &Status, life: Life, now: Timestamp) -> Self {
        if *status == Status::Disabled {
            return Self::Disabled;
        }
        let Some(expires_at) = life.expires_at else {
            return Self::Unknown;
        };
        let left = expires_at.duration_since(now);
        let lifetime = life.issued_at.map(|from| expires_at.duration_since(from));
        if !left.is_positive() {
            Self::Expired
        } else if lifetime.is_some_and(|lifetime| left < lifetime / 4) {
            Self::Ending
        } else if due_at(life).is_none_or(|due_at| now >= due_at) {
            Self::Due
        } else {
            Self::Fine
        }
    }

    /// The word for it, in tables and in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unknown => "unknown",
            Self::Ending => "ending",
            Self::Due => "due",
            Self::Fine => "fine",
            Self::Disabled => "disabled",
        }
    }
}

impl DataSource {
    /// How it stands at `now`.
    #[must_use]
    pub fn urgency(&self, now: Timestamp) -> Urgency {
        Urgency::of(&self.status(), self.life(), now)
    }
}

/// A key that puts what expires first on top: what has expired, then what may have, then the others
/// by their end. What is disabled needs nothing, and comes last.
#[must_use]
pub fn what_expires_first(urgency: Urgency, life: Life) -> impl Ord + use<> {
    let group = match urgency {
        Urgency::Expired => 0,
        Urgency::Unknown => 1,
        Urgency::Ending | Urgency::Due | Urgency::Fine => 2,
        Urgency::Disabled => 3,
    };
    (group, life.expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    fn life(issued: Option<i64>, expires: Option<i64>) -> Life {
        Life {
            issued_at: issued.map(at),
            expires_at: expires.map(at),
        }
    }

    #[test]
    fn urgency_follows_the_share_of_a_life_that_is_left() {
        use Urgency::*;
        let table = [
            (Some(-100), Some(0), Expired),
            (Some(-100), Some(-1), Expired),
            (None, Some(0), Expired),
            (Some(-100), None, Unknown),
            (None, None, Unknown),
            (Some(-76), Some(24), Ending),
            (Some(-75), Some(25), Due),
            (Some(-50), Some(50), Due),
            (Some(-49), Some(51), Fine),
            // It may have begun long ago.
            (None, Some(1), Due),
        ];
        for (issued, expires, urgency) in table {
            let life = life(issued, expires);
            for status in [
                Status::Active,
                Status::Unknown,
                Status::Other("paused".into()),
            ] {
                assert_eq!(Urgency::of(&status, life, at(0)), urgency, "{life:?}");
            }
            assert_eq!(Urgency::of(&Status::Disabled, life, at(0)), Disabled);
        }
    }

    #[test]
    fn what_expires_first_is_on_top() {
        let order = [
            (Urgency::Expired, Some(-9)),
            (Urgency::Expired, Some(-1)),
            (Urgency::Unknown, None),
            (Urgency::Fine, Some(5)),
            (Urgency::Ending, Some(7)),
            (Urgency::Due, Some(9)),
            (Urgency::Disabled, None),
            (Urgency::Disabled, Some(-5)),
        ];
        let keys = order.map(|(urgency, expires)| what_expires_first(urgency, life(None, expires)));
        assert!(keys.is_sorted());
    }
}

//! How often a long-lived program may climb: pure, and told again from what is documented rather than
//! taken from the library.

use std::collections::VecDeque;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

/// More climbs than any hour needs: after the sixth failure they are at least seven minutes apart,
/// and there are twelve in the first hour of trouble. The rest is for tokens that die, and for what a
/// human changes meanwhile.
const MOST_CLIMBS: usize = 24;

/// What a program's climbs go by, besides the time. A change of it makes another climb worth a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The access token that is stored.
    pub stored: Option<String>,
    /// How far its clock is off, in milliseconds.
    pub clock: i64,
}

/// How a climb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// With a token.
    Token,
    /// With none.
    Nothing,
}

/// The climbs of one process.
#[derive(Debug, Default)]
pub struct Pace {
    /// When each began, of the last hour.
    begun: VecDeque<Duration>,
    /// How many in a row came to nothing.
    failures: u32,
    /// When the last one did, and on which ground.
    failed: Option<(Duration, Ground)>,
}

impl Pace {
    /// A climb begins; what is wrong with that, if anything is.
    #[must_use]
    pub fn begins(&mut self, now: Duration, ground: &Ground) -> Option<String> {
        while self.begun.front().is_some_and(|at| *at + HOUR < now) {
            self.begun.pop_front();
        }
        self.begun.push_back(now);
        if let Some((at, before)) = &self.failed
            && before == ground
            && now < *at + least_pause(self.failures)
        {
            let waited = now.saturating_sub(*at);
            let failures = self.failures;
            return Some(format!(
                "it climbs again {waited:?} after failure {failures} in a row"
            ));
        }
        let climbs = self.begun.len();
        (climbs == MOST_CLIMBS).then(|| format!("it climbs {climbs} times in an hour"))
    }

    /// A climb has ended.
    pub fn ends(&mut self, now: Duration, landing: Landing, ground: Ground) {
        match landing {
            Landing::Token => {
                self.failures = 0;
                self.failed = None;
            }
            Landing::Nothing => {
                self.failures += 1;
                self.failed = Some((now, ground));
            }
        }
    }
}

/// Half a minute, doubling, up to a quarter of an hour; half of that by jitter.
fn least_pause(failures: u32) -> Duration {
    let doubled = Duration::from_secs(30) * 2_u32.pow(failures.saturating_sub(1).min(5));
    doubled.min(Duration::from_mins(15)) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground() -> Ground {
        Ground {
            stored: Some("a token".to_owned()),
            clock: 0,
        }
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn each_failure_doubles_the_pause() {
        let mut pace = Pace::default();
        let mut now = secs(0);
        for pause in [15, 30, 60, 120, 240, 450, 450] {
            pace.ends(now, Landing::Nothing, ground());
            assert!(pace.begins(now + secs(pause - 1), &ground()).is_some());
            now += secs(pause);
            assert_eq!(pace.begins(now, &ground()), None);
        }
        pace.ends(now, Landing::Token, ground());
        assert_eq!(pace.begins(now, &ground()), None);
    }

    #[test]
    fn another_ground_is_worth_a_climb() {
        let mut pace = Pace::default();
        pace.ends(secs(0), Landing::Nothing, ground());
        let stored = Ground {
            stored: None,
            ..ground()
        };
        assert_eq!(pace.begins(secs(1), &stored), None);
        let clock = Ground {
            clock: 7,
            ..ground()
        };
        assert_eq!(pace.begins(secs(1), &clock), None);
    }

    #[test]
    fn no_ground_makes_an_hour_of_climbs_right() {
        let mut pace = Pace::default();
        let wrong = (0..30).filter_map(|now| pace.begins(secs(now * 60), &ground()));
        assert_eq!(wrong.count(), 1);
        assert_eq!(pace.begins(secs(3 * 3600), &ground()), None);
    }
}

//! What a seed stands for: pure, so that a world can be read before it is lived through.

use std::time::Duration;

use fastrand::Rng;
use webex_sandbox::{MintRefreshToken, Policy, Reuse};

use crate::disk::Illness;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What a world is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything goes wrong, often, for weeks.
    Chaos,
    /// A year, with Webex up 99.5 % of the time: an hourly job always finds a valid token.
    Year,
    /// Refresh tokens that using does not renew: the date of their end is told in time.
    Deadline,
    /// Many processes that always start together, just when the token has expired, and often die.
    Crowd,
}

/// Which credentials there are, besides the service app's own pair.
#[derive(Clone, Copy, Debug)]
pub struct Hand {
    /// A personal access token, which lives for half a day.
    pub personal_access_token: bool,
    /// The integration.
    pub integration: bool,
}

/// How the requests of a time go wrong.
#[derive(Clone, Copy, Debug)]
pub enum Weather {
    /// Webex answers all with this status.
    Down(u16),
    /// This share of the requests meets 429 with a `Retry-After` of so many seconds.
    Busy(f64, u32),
    /// The network loses this share of requests, answers, and halves of answers.
    Lossy(f64),
    /// This share of the answers takes its time: up to half a minute.
    Slow(f64),
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The weather sets in.
    Begins(Weather),
    /// It is calm again.
    Clears,
    /// The machine's disk does not do as told.
    DiskFails(Illness),
    /// It does again.
    DiskRecovers,
    /// The machine loses power, and is up again at once.
    PowerCut,
    /// One of the processes that run next dies at a point of this number.
    Kill(u32),
    /// The machine's clock is set by so many seconds.
    ClockSet(i64),
    /// The machine sleeps: the world goes on without it.
    Suspended(Duration),
    /// Webex revokes a credential of the client's.
    Revoked(Credential),
    /// An administrator withdraws the service app.
    Deauthorized,
    /// An administrator authorizes it again.
    Authorized,
    /// Somebody changes the service app's client secret in `token-config.json` for a wrong one.
    SettingBroken,
    /// Somebody puts the right one there.
    SettingRepaired,
    /// The account holds as many tokens as it may.
    LimitReached,
    /// It may hold more again.
    LimitRaised,
}

/// One of the client's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The service app's access token.
    AccessToken,
    /// The service app's refresh token.
    RefreshToken,
    /// The integration's refresh token.
    Integration,
}

/// A scheduled job: one run of `refresh_token` each time.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// From one run to the next.
    pub every: Duration,
    /// When the first one starts.
    pub first: Duration,
}

/// A whole world.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it was made from.
    pub seed: u64,
    /// What it is to show.
    pub kind: Kind,
    /// How long it lasts.
    pub lasts: Duration,
    /// How this Webex behaves.
    pub policy: Policy,
    /// What the client has.
    pub hand: Hand,
    /// Scheduled runs.
    pub jobs: Vec<Job>,
    /// Long-lived programs, each asking for the token every so often.
    pub programs: Vec<Duration>,
    /// Whether a program that has got no token asks again sooner than is good.
    pub impatient: bool,
    /// What happens, in order.
    pub events: Vec<(Duration, Event)>,
    /// How long a human takes to notice that one is needed. `None`: nobody ever does.
    pub human_after: Option<Duration>,
}

impl Plan {
    /// The world of this seed: of each hundred one lasts a year, two have a deadline, and five are
    /// crowded.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let kind = match seed % 100 {
            0 => Kind::Year,
            33 | 66 => Kind::Deadline,
            10 | 30 | 50 | 70 | 90 => Kind::Crowd,
            _ => Kind::Chaos,
        };
        Self::of_kind(kind, seed)
    }

    /// The world of this kind that the seed stands for.
    #[must_use]
    pub fn of_kind(kind: Kind, seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        match kind {
            Kind::Chaos => chaos(seed, rng),
            Kind::Year => year(seed, rng),
            Kind::Deadline => deadline(seed, rng),
            Kind::Crowd => crowd(seed, rng),
        }
    }
}

fn policy(rng: &mut Rng) -> Policy {
    Policy {
        rotate: rng.bool(),
        reuse: if rng.bool() {
            Reuse::RevokeGrant
        } else {
            Reuse::Reject
        },
        renew_refresh_lifetime: rng.bool(),
        revoke_access_on_refresh: rng.u8(..4) == 0,
        reissue_within: (rng.u8(..4) == 0).then_some(MINUTE * 5),
        mint_refresh_token: match rng.u8(..4) {
            0 => MintRefreshToken::New,
            1 => MintRefreshToken::Absent,
            _ => MintRefreshToken::Existing,
        },
        ..Policy::default()
    }
}

fn chaos(seed: u64, rng: &mut Rng) -> Plan {
    let lasts = DAY * rng.u32(4..20);
    let mut policy = policy(rng);
    // Short lives: as much happens in weeks as in years otherwise.
    if rng.bool() {
        policy.service_app_access_life = HOUR * rng.u32(2..72);
        policy.integration_access_life = HOUR * rng.u32(2..72);
        policy.service_app_refresh_life = DAY * rng.u32(3..20);
        policy.integration_refresh_life = DAY * rng.u32(3..20);
    }
    let first = MINUTE * rng.u32(..60);
    let job = |rng: &mut Rng| Job {
        every: MINUTE * rng.u32(30..720),
        first: if rng.bool() {
            first
        } else {
            MINUTE * rng.u32(..720)
        },
    };
    Plan {
        seed,
        kind: Kind::Chaos,
        lasts,
        policy,
        hand: Hand {
            personal_access_token: rng.u8(..4) == 0,
            integration: rng.u8(..3) > 0,
        },
        jobs: (0..rng.u8(1..4)).map(|_| job(rng)).collect(),
        programs: (0..rng.u8(..3)).map(|_| MINUTE * rng.u32(1..120)).collect(),
        events: events(lasts, seed, rng),
        human_after: (rng.u8(..4) > 0).then(|| HOUR * rng.u32(1..96)),
        impatient: rng.u8(..4) == 0,
    }
}

/// Troubles that come and go; the last hours are calm.
fn events(lasts: Duration, seed: u64, rng: &mut Rng) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    let end = lasts.saturating_sub(HOUR * 12);
    let between = HOUR * rng.u32(2..72);
    let mut at = MINUTE * rng.u32(..600);
    while at < end {
        let mut spell = |rng: &mut Rng, begins, ends, most: Duration| {
            events.push((at, begins));
            events.push(((at + most.mul_f64(rng.f64())).min(end), ends));
        };
        match rng.u8(..20) {
            0..=2 => {
                let status = [500, 502, 503, 504, 423][rng.usize(..5)];
                let weather = Weather::Down(status);
                spell(rng, Event::Begins(weather), Event::Clears, HOUR * 12);
            }
            3 | 4 => {
                let weather = Weather::Busy(rng.f64(), rng.u32(..120));
                spell(rng, Event::Begins(weather), Event::Clears, HOUR * 12);
            }
            5..=8 => {
                let weather = Weather::Lossy(rng.f64());
                spell(rng, Event::Begins(weather), Event::Clears, DAY);
            }
            9 => {
                let weather = Weather::Slow(rng.f64());
                spell(rng, Event::Begins(weather), Event::Clears, DAY);
            }
            10 | 11 => {
                let illness = Illness {
                    share: rng.f64(),
                    errno: rng.usize(..4),
                };
                let fails = Event::DiskFails(illness);
                spell(rng, fails, Event::DiskRecovers, HOUR * 24);
            }
            12 => events.push((at, Event::PowerCut)),
            13 => events.push((at, Event::Kill(rng.u32(..60)))),
            14 => {
                let most = 3600 * 24 * 40;
                events.push((at, Event::ClockSet(rng.i64(-most..most))));
            }
            15 => events.push((at, Event::Suspended(MINUTE * rng.u32(1..5000)))),
            16 => events.push((at, Event::Revoked(Credential::AccessToken))),
            17 => events.push((at, Event::Revoked(Credential::RefreshToken))),
            18 if rng.u8(..3) == 0 => {
                events.push((at, Event::Revoked(Credential::Integration)));
            }
            18 => spell(rng, Event::Deauthorized, Event::Authorized, DAY * 3),
            _ => spell(rng, Event::LimitReached, Event::LimitRaised, DAY),
        }
        // Kills and power cuts matter most while something is under way.
        if rng.u8(..2) == 0 {
            events.push((at + MINUTE * rng.u32(..120), Event::Kill(rng.u32(..60))));
        }
        at += between.mul_f64(rng.f64() * 2.0);
    }
    // By a chance of their own, so that the other worlds are as they were.
    if seed % 6 == 3 {
        let rng = &mut Rng::with_seed(!seed);
        for _ in 0..rng.u8(1..4) {
            let at = end.mul_f64(rng.f64());
            let until = (at + (DAY * 2).mul_f64(rng.f64())).min(end);
            events.push((at, Event::SettingBroken));
            events.push((until, Event::SettingRepaired));
        }
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// An hourly job with the integration set up, and a Webex that keeps its word.
fn year(seed: u64, rng: &mut Rng) -> Plan {
    let lasts = DAY * 365;
    let mut policy = policy(rng);
    policy.reissue_within = None;
    policy.renew_refresh_lifetime = true;
    // Either refresh tokens renew when they are used, or the service app's end, and minting returns
    // new ones. The integration's must renew in any case, or a human is needed.
    let is_fixed = rng.bool();
    if is_fixed {
        policy.fixed_service_app_lifetime = true;
        policy.mint_refresh_token = MintRefreshToken::New;
    }
    let mut events = Vec::new();
    // 0.5 % of a year are 43.8 hours: windows of six, and short bursts.
    let mut down = Duration::from_mins(2628);
    while down > MINUTE {
        let window = match rng.u8(..3) {
            0 => HOUR * 6,
            1 => MINUTE * rng.u32(1..60),
            _ => HOUR * rng.u32(1..6),
        };
        let window = window.min(down);
        down -= window;
        let at = MINUTE * rng.u32(..60 * 24 * 360);
        let status = [500, 502, 503, 504][rng.usize(..4)];
        events.push((at, Event::Begins(Weather::Down(status))));
        events.push((at + window, Event::Clears));
    }
    // Where nothing but the integration lasts, a process that dies with its new token in hand is the
    // end of it, whatever a client does.
    let deaths = if is_fixed { 0 } else { rng.u8(..20) };
    for _ in 0..deaths {
        let at = MINUTE * rng.u32(..60 * 24 * 360);
        events.push((at, Event::Kill(rng.u32(..60))));
    }
    let power_cuts = if is_fixed { 0 } else { rng.u8(..6) };
    for _ in 0..power_cuts {
        events.push((MINUTE * rng.u32(..60 * 24 * 360), Event::PowerCut));
    }
    events.sort_by_key(|(at, _)| *at);
    let first = MINUTE * rng.u32(..60);
    Plan {
        seed,
        kind: Kind::Year,
        lasts,
        policy,
        hand: Hand {
            personal_access_token: false,
            integration: true,
        },
        jobs: vec![Job { every: HOUR, first }],
        programs: Vec::new(),
        impatient: false,
        events,
        human_after: None,
    }
}

/// Refresh tokens with a fixed end, and nobody who comes.
fn deadline(seed: u64, rng: &mut Rng) -> Plan {
    let policy = Policy {
        rotate: rng.bool(),
        renew_refresh_lifetime: false,
        mint_refresh_token: MintRefreshToken::Existing,
        ..Policy::default()
    };
    Plan {
        seed,
        kind: Kind::Deadline,
        lasts: DAY * 130,
        policy,
        hand: Hand {
            personal_access_token: false,
            integration: rng.bool(),
        },
        jobs: vec![Job {
            every: HOUR * rng.u32(1..24),
            first: MINUTE * rng.u32(..60),
        }],
        programs: Vec::new(),
        impatient: false,
        events: Vec::new(),
        human_after: None,
    }
}

/// Processes on one beat: each time the token has expired, and one of them is in trouble.
fn crowd(seed: u64, rng: &mut Rng) -> Plan {
    const BEAT: Duration = Duration::from_hours(2);
    let beats = rng.u32(20..60);
    let policy = Policy {
        rotate: true,
        service_app_access_life: HOUR,
        integration_access_life: HOUR,
        ..policy(rng)
    };
    let mut events = Vec::new();
    for beat in 1..beats {
        let at = BEAT * beat;
        let before = at.saturating_sub(MINUTE);
        match rng.u8(..8) {
            0..=3 => events.push((before, Event::Kill(rng.u32(..60)))),
            4 | 5 => {
                let weather = Weather::Lossy(rng.f64());
                events.push((before, Event::Begins(weather)));
                events.push((at + MINUTE * 10, Event::Clears));
            }
            6 => {
                events.push((before, Event::Begins(Weather::Slow(1.0))));
                let soon = Duration::from_secs(rng.u64(1..60));
                events.push((at + soon, Event::PowerCut));
                events.push((at + MINUTE * 10, Event::Clears));
            }
            _ => {}
        }
    }
    Plan {
        seed,
        kind: Kind::Crowd,
        lasts: BEAT * beats + HOUR,
        policy,
        hand: Hand {
            personal_access_token: false,
            integration: rng.u8(..4) > 0,
        },
        jobs: vec![
            Job {
                every: BEAT,
                first: BEAT,
            };
            rng.usize(2..6)
        ],
        programs: Vec::new(),
        impatient: false,
        events,
        human_after: Some(HOUR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thousand_seeds_have_years_of_both_sorts() {
        let years = (0..1000).step_by(100).map(Plan::of);
        let fixed = years.filter(|plan| plan.policy.fixed_service_app_lifetime);
        assert!((3..=7).contains(&fixed.count()));
    }
}

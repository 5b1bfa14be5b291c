//! Which data sources are kept alive, and whose turn it is: all that [`watch`](super::watch) knows
//! from one look to the next. Pure.
//!
//! Every method takes the time from a clock that never goes back; [`schedule`] has the policy.

use jiff::{SignedDuration, Timestamp};

use super::client::SourceError;
use super::data_source::{DataSource, Life, Status};
use super::schedule;
use super::watch::Event;

/// What the list and the same data source by itself may differ by, as they round differently.
const ROUNDING: SignedDuration = SignedDuration::from_secs(1);

/// The least time until a source is looked at again that was not due.
const NOT_BEFORE: SignedDuration = SignedDuration::from_mins(1);

/// The data sources that are known, by id.
#[derive(Debug, Default)]
pub(super) struct Roster(Vec<Known>);

/// What is kept of a data source: thousands of them are.
#[derive(Debug)]
struct Known {
    id: Box<str>,
    life: Life,
    /// From then on it is to be extended.
    turn: Timestamp,
    state: State,
    /// How often it has failed in a row.
    failures: u32,
    /// What has been told of that: which failure, and whether the JWS had expired.
    told: Option<(&'static str, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It waits for its turn.
    Waiting,
    /// It is being extended.
    UnderWay,
    /// It is left alone.
    Disabled,
}

/// A data source as the list shows it.
#[derive(Debug)]
pub(super) struct Listed {
    id: Box<str>,
    life: Life,
    status: Status,
    error_message: Option<String>,
}

/// The data sources in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) known: usize,
    pub(super) disabled: usize,
    /// Those that Webex delivers to.
    pub(super) alive: usize,
    /// When the first of these expires.
    pub(super) until: Option<Timestamp>,
    /// When the next is to be extended.
    pub(super) next: Option<Timestamp>,
}

impl Listed {
    /// `None` where the list does not tell its id.
    pub(super) fn of(source: &DataSource) -> Option<Self> {
        Some(Self {
            id: source.id()?.into(),
            life: source.life(),
            status: source.status(),
            error_message: source.error_message().map(str::to_owned),
        })
    }
}

impl Roster {
    /// Takes in the list, and tells what is new.
    pub(super) fn update(
        &mut self,
        mut list: Vec<Listed>,
        mut jitter: impl FnMut() -> f64,
    ) -> Vec<Event> {
        list.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        // A list that shifts between two pages has a source twice.
        list.dedup_by(|one, other| one.id == other.id);
        let mut news = Vec::new();
        let mut after = Vec::with_capacity(list.len());
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        for listed in list {
            while let Some(gone) = before.next_if(|known| known.id < listed.id) {
                news.push(gone.leave());
            }
            let known = if let Some(mut known) = before.next_if(|known| known.id == listed.id) {
                news.extend(known.notice(&listed, jitter()));
                known
            } else {
                let known = Known::new(listed, jitter());
                news.push(known.enter());
                known
            };
            after.push(known);
        }
        news.extend(before.map(Known::leave));
        self.0 = after;
        news
    }

    /// Whether it is anybody's turn.
    pub(super) fn is_any_due(&self, now: Timestamp) -> bool {
        self.waiting().any(|known| known.turn <= now)
    }

    /// When it is the next one's turn, of those whose turn it is not yet.
    pub(super) fn next_turn(&self, now: Timestamp) -> Option<Timestamp> {
        let turns = self.waiting().map(|known| known.turn);
        turns.filter(|turn| *turn > now).min()
    }

    /// The id of the one whose turn it is, the most urgent first. It is not told again until it is
    /// known what became of it.
    pub(super) fn begin(&mut self, now: Timestamp) -> Option<String> {
        let waiting = self.0.iter_mut();
        let due = waiting.filter(|known| known.state == State::Waiting && known.turn <= now);
        let first = due.min_by_key(|known| known.life.expires_at)?;
        first.state = State::UnderWay;
        Some(first.id.to_string())
    }

    /// It has a new JWS, which lives this long where the life itself is not known.
    pub(super) fn extended(
        &mut self,
        id: &str,
        life: Life,
        token_lifetime: Option<SignedDuration>,
        now: Timestamp,
        jitter: f64,
    ) {
        if let Some(known) = self.find(id) {
            known.turn = schedule::after_extension(life, token_lifetime, now, jitter);
            known.renew(life);
        }
    }

    /// It was not due: somebody else has been here. Tells so, if that is new.
    pub(super) fn was_not_due(
        &mut self,
        id: &str,
        life: Life,
        now: Timestamp,
        jitter: f64,
    ) -> Option<Event> {
        let known = self.find(id)?;
        let is_news = is_newer(life, known.life);
        let soonest = schedule::later(now, NOT_BEFORE);
        known.turn = schedule::extend_at(life, jitter).map_or(soonest, |at| at.max(soonest));
        known.renew(life);
        is_news.then(|| known.extended_elsewhere())
    }

    /// It is disabled. Tells so, if that is new.
    pub(super) fn was_disabled(
        &mut self,
        id: &str,
        error_message: Option<String>,
    ) -> Option<Event> {
        let known = self.find(id)?;
        (known.state != State::Disabled).then(|| known.disable(error_message))
    }

    /// It could not be extended. Tells so, if that is new: what passes is told when it begins, when
    /// it changes, and when the JWS has expired over it.
    pub(super) fn failed(
        &mut self,
        id: &str,
        error: SourceError,
        now: Timestamp,
        jitter: f64,
    ) -> Option<Event> {
        let known = self.find(id)?;
        known.state = State::Waiting;
        known.failures = known.failures.saturating_add(1);
        let expires_at = known.life.expires_at;
        let again_in = if error.is_passing() {
            let asked = error.retry_after();
            schedule::retry_after(known.failures, asked, expires_at, now, jitter)
        } else {
            schedule::LONGEST
        };
        known.turn = schedule::later(now, again_in);
        let has_expired = expires_at.is_some_and(|at| at <= now);
        let told = Some((error.name(), has_expired));
        (std::mem::replace(&mut known.told, told) != told).then(|| Event::Failed {
            id: id.to_owned(),
            error,
            expires_at,
            again_in,
        })
    }

    /// Nothing was done: it is still its turn.
    pub(super) fn put_back(&mut self, id: &str) {
        if let Some(known) = self.find(id) {
            known.state = State::Waiting;
        }
    }

    pub(super) fn census(&self, now: Timestamp) -> Census {
        let active = self.0.iter().filter(|known| known.state != State::Disabled);
        let ends = active.clone();
        let ends = ends.filter_map(|known| known.life.expires_at.filter(|at| *at > now));
        Census {
            known: self.0.len(),
            disabled: self.0.len() - active.count(),
            alive: ends.clone().count(),
            until: ends.min(),
            next: self.waiting().map(|known| known.turn).min(),
        }
    }

    fn waiting(&self) -> impl Iterator<Item = &Known> {
        self.0.iter().filter(|known| known.state == State::Waiting)
    }

    /// `None` where the list has lost it meanwhile.
    fn find(&mut self, id: &str) -> Option<&mut Known> {
        let place = self.0.binary_search_by(|known| (*known.id).cmp(id)).ok()?;
        self.0.get_mut(place)
    }
}

impl Known {
    fn new(listed: Listed, jitter: f64) -> Self {
        Self {
            id: listed.id,
            turn: turn(listed.life, jitter),
            life: listed.life,
            state: match listed.status {
                Status::Disabled => State::Disabled,
                _ => State::Waiting,
            },
            failures: 0,
            told: None,
        }
    }

    /// What the list shows of it now; tells what is new.
    fn notice(&mut self, listed: &Listed, jitter: f64) -> Option<Event> {
        let is_newer = is_newer(listed.life, self.life);
        match (self.state, &listed.status) {
            // What becomes of it is known soon, and better than the list can tell.
            (State::UnderWay, _) => None,
            (State::Waiting, Status::Disabled) => {
                self.life = listed.life;
                Some(self.disable(listed.error_message.clone()))
            }
            (State::Disabled, Status::Disabled) => None,
            // Who enables it renews its JWS.
            (State::Disabled, Status::Unknown) if !is_newer => None,
            (State::Disabled, _) => {
                self.turn = turn(listed.life, jitter);
                self.renew(listed.life);
                Some(Event::Enabled {
                    id: self.id.to_string(),
                    expires_at: self.life.expires_at,
                })
            }
            (State::Waiting, _) if is_newer => {
                let was_known = self.life.expires_at.is_some();
                let turn = turn(listed.life, jitter);
                // What was not known may be what this program has done.
                self.turn = if was_known { turn } else { turn.max(self.turn) };
                self.renew(listed.life);
                was_known.then(|| self.extended_elsewhere())
            }
            (State::Waiting, _) => None,
        }
    }

    fn renew(&mut self, life: Life) {
        self.life = life;
        self.state = State::Waiting;
        self.failures = 0;
        self.told = None;
    }

    fn disable(&mut self, error_message: Option<String>) -> Event {
        self.state = State::Disabled;
        self.failures = 0;
        self.told = None;
        Event::Disabled {
            id: self.id.to_string(),
            error_message,
        }
    }

    fn enter(&self) -> Event {
        Event::Added {
            id: self.id.to_string(),
            expires_at: self.life.expires_at,
        }
    }

    fn leave(self) -> Event {
        Event::Gone {
            id: self.id.into_string(),
        }
    }

    fn extended_elsewhere(&self) -> Event {
        Event::ExtendedElsewhere {
            id: self.id.to_string(),
            expires_at: self.life.expires_at,
        }
    }
}

/// When a source with this life is to be extended; at once where that cannot be told.
fn turn(life: Life, jitter: f64) -> Timestamp {
    schedule::extend_at(life, jitter).unwrap_or(Timestamp::MIN)
}

/// Whether one JWS was issued after the other, as far as is known.
fn is_newer(one: Life, other: Life) -> bool {
    match (one.issued_at, other.issued_at) {
        (Some(one), Some(other)) => one.duration_since(other) > ROUNDING,
        _ => one.expires_at > other.expires_at,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::sources::TokenLifetime;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    fn life(issued: i64) -> Life {
        Life {
            issued_at: Some(at(issued)),
            expires_at: Some(at(issued + DAY)),
        }
    }

    fn listed(id: &str, life: Life) -> Listed {
        Listed {
            id: id.into(),
            life,
            status: Status::Active,
            error_message: None,
        }
    }

    fn disabled(id: &str, life: Life) -> Listed {
        Listed {
            status: Status::Disabled,
            error_message: Some("in maintenance".to_owned()),
            ..listed(id, life)
        }
    }

    fn roster(list: Vec<Listed>) -> Roster {
        let mut roster = Roster::default();
        roster.update(list, || 0.0);
        roster
    }

    /// The list again, and what is new in it.
    fn news(roster: &mut Roster, list: Vec<Listed>) -> Vec<String> {
        let news = roster.update(list, || 0.0);
        news.iter().map(shown).collect()
    }

    fn shown(event: &Event) -> String {
        let (what, id) = match event {
            Event::Added { id, .. } => ("added", id),
            Event::Gone { id } => ("gone", id),
            Event::Disabled { id, .. } => ("disabled", id),
            Event::Enabled { id, .. } => ("enabled", id),
            Event::ExtendedElsewhere { id, .. } => ("elsewhere", id),
            Event::Failed { id, .. } => ("failed", id),
            other => panic!("{other:?}"),
        };
        format!("{what} {id}")
    }

    /// Everybody whose turn it is.
    fn all_due(roster: &mut Roster, now: Timestamp) -> Vec<String> {
        std::iter::from_fn(|| roster.begin(now)).collect()
    }

    fn passing() -> SourceError {
        SourceError::NotRenewed { tracking_id: None }
    }

    fn for_good() -> SourceError {
        SourceError::Update(crate::sources::update::CannotUpdate::Missing { field: "subject" })
    }

    #[test]
    fn the_most_urgent_comes_first_and_nobody_twice() {
        let mut roster = roster(vec![
            listed("later", life(-13 * HOUR)),
            listed("fresh", life(0)),
            listed("unknown", Life::default()),
            listed("sooner", life(-23 * HOUR)),
            disabled("disabled", life(-23 * HOUR)),
        ]);
        assert!(roster.is_any_due(at(0)));
        assert_eq!(all_due(&mut roster, at(0)), ["unknown", "sooner", "later"]);
        assert!(!roster.is_any_due(at(0)));
        assert_eq!(roster.next_turn(at(0)), Some(at(12 * HOUR)));
        assert_eq!(all_due(&mut roster, at(12 * HOUR)), ["fresh"]);
        assert_eq!(roster.next_turn(at(0)), None);
    }

    #[test]
    fn what_is_new_in_the_list_is_told_once() {
        let mut roster = roster(vec![listed("a", life(0)), listed("c", life(0))]);
        let same = || vec![listed("a", life(0)), listed("c", life(0))];
        assert_eq!(news(&mut roster, same()), [""; 0]);
        let list = || {
            vec![
                listed("d", life(0)),
                disabled("c", life(0)),
                listed("b", life(0)),
                listed("b", life(0)),
            ]
        };
        let told = ["gone a", "added b", "disabled c", "added d"];
        assert_eq!(news(&mut roster, list()), told);
        assert_eq!(news(&mut roster, list()), [""; 0]);
        let list = || vec![listed("b", life(60)), listed("c", life(60))];
        let told = ["elsewhere b", "enabled c", "gone d"];
        assert_eq!(news(&mut roster, list()), told);
        assert_eq!(news(&mut roster, list()), [""; 0]);
        assert_eq!(roster.next_turn(at(0)), Some(at(12 * HOUR + 60)));
        assert_eq!(news(&mut roster, vec![]), ["gone b", "gone c"]);
        assert_eq!(roster.census(at(0)), Census::default());
    }

    #[test]
    fn an_older_list_changes_nothing() {
        let mut roster = roster(vec![listed("a", life(-12 * HOUR))]);
        assert_eq!(all_due(&mut roster, at(0)), ["a"]);
        // What is under way is known better soon.
        assert_eq!(news(&mut roster, vec![listed("a", life(0))]), [""; 0]);
        roster.extended("a", life(0), None, at(1), 0.0);
        let old = vec![listed("a", life(-12 * HOUR))];
        assert_eq!(news(&mut roster, old), [""; 0]);
        // The same JWS, told by a date that was rounded.
        assert_eq!(news(&mut roster, vec![listed("a", life(1))]), [""; 0]);
        assert_eq!(roster.next_turn(at(1)), Some(at(12 * HOUR + 1)));
    }

    #[test]
    fn a_disabled_source_is_left_alone_until_it_is_enabled() {
        let mut roster = roster(vec![disabled("a", life(-23 * HOUR))]);
        assert_eq!(all_due(&mut roster, at(9 * DAY)), [""; 0]);
        assert_eq!(roster.next_turn(at(0)), None);
        // A list that does not tell leaves it at that, unless somebody has updated it.
        let untold = |issued| {
            vec![Listed {
                status: Status::Unknown,
                ..listed("a", life(issued))
            }]
        };
        assert_eq!(news(&mut roster, untold(-23 * HOUR)), [""; 0]);
        assert_eq!(news(&mut roster, untold(0)), ["enabled a"]);
        assert_eq!(roster.next_turn(at(0)), Some(at(12 * HOUR)));

        assert_eq!(all_due(&mut roster, at(12 * HOUR)), ["a"]);
        let why = Some("in maintenance".to_owned());
        let told = roster.was_disabled("a", why.clone());
        assert_eq!(told.as_ref().map(shown), Some("disabled a".to_owned()));
        assert!(roster.was_disabled("a", why).is_none());
        assert_eq!(all_due(&mut roster, at(9 * DAY)), [""; 0]);
    }

    #[test]
    fn what_somebody_else_has_extended_waits_for_its_new_half() {
        let mut roster = roster(vec![listed("a", life(-13 * HOUR))]);
        assert_eq!(all_due(&mut roster, at(0)), ["a"]);
        let told = roster.was_not_due("a", life(-HOUR), at(0), 0.0);
        assert_eq!(told.as_ref().map(shown), Some("elsewhere a".to_owned()));
        assert_eq!(roster.next_turn(at(0)), Some(at(11 * HOUR)));
        // Nothing is known of it, and it is not due: it is not asked for at once again.
        assert!(
            roster
                .was_not_due("a", Life::default(), at(0), 0.0)
                .is_none()
        );
        assert_eq!(roster.next_turn(at(0)), Some(at(60)));
    }

    #[test]
    fn a_failure_is_told_when_it_begins_and_changes_and_when_the_jws_expires() {
        let mut roster = roster(vec![listed("a", life(-13 * HOUR))]);
        let mut fail = |error: SourceError, now: i64| {
            roster.begin(at(now)).expect("it is its turn");
            let told = roster.failed("a", error, at(now), 0.5);
            (
                told.is_some(),
                roster
                    .next_turn(at(now))
                    .map(|turn| turn.duration_since(at(now))),
            )
        };
        let mins = |mins| Some(SignedDuration::from_mins(mins));
        assert_eq!(
            fail(passing(), 0),
            (true, Some(SignedDuration::from_secs(30)))
        );
        assert_eq!(fail(passing(), HOUR), (false, mins(1)));
        assert_eq!(fail(passing(), 2 * HOUR), (false, mins(2)));
        assert_eq!(fail(for_good(), 3 * HOUR), (true, mins(15)));
        assert_eq!(fail(for_good(), 4 * HOUR), (false, mins(15)));
        assert_eq!(fail(for_good(), 11 * HOUR), (true, mins(15)));
        assert_eq!(fail(for_good(), 12 * HOUR), (false, mins(15)));
        assert_eq!(fail(passing(), 13 * HOUR), (true, mins(15)));

        // It is as if nothing had been once it has worked.
        roster.extended("a", life(14 * HOUR), None, at(14 * HOUR), 0.0);
        roster.begin(at(26 * HOUR)).expect("it is its turn");
        assert!(roster.failed("a", passing(), at(26 * HOUR), 0.5).is_some());
        let soon = at(26 * HOUR) + SignedDuration::from_secs(30);
        assert_eq!(roster.next_turn(at(26 * HOUR)), Some(soon));
    }

    #[test]
    fn what_was_not_tried_is_still_due() {
        let mut roster = roster(vec![listed("a", life(-13 * HOUR))]);
        assert_eq!(all_due(&mut roster, at(0)), ["a"]);
        roster.put_back("a");
        assert_eq!(all_due(&mut roster, at(0)), ["a"]);
    }

    #[test]
    fn who_is_gone_meanwhile_is_forgotten() {
        let mut roster = roster(vec![listed("a", life(-13 * HOUR))]);
        assert_eq!(all_due(&mut roster, at(0)), ["a"]);
        assert_eq!(news(&mut roster, vec![]), ["gone a"]);
        assert!(roster.failed("a", passing(), at(0), 0.5).is_none());
        roster.extended("a", life(0), None, at(0), 0.5);
        assert_eq!(roster.census(at(0)), Census::default());
    }

    #[test]
    fn an_answer_that_tells_no_life_is_believed_for_half_of_what_was_asked_for() {
        let mut roster = roster(vec![listed("a", life(-13 * HOUR))]);
        assert_eq!(all_due(&mut roster, at(0)), ["a"]);
        let asked = Some(TokenLifetime::MAX.as_duration());
        roster.extended("a", Life::default(), asked, at(0), 0.0);
        assert_eq!(roster.next_turn(at(0)), Some(at(12 * HOUR)));
        // The list does, and this is no news. Its clock is not ours.
        assert_eq!(news(&mut roster, vec![listed("a", life(-HOUR))]), [""; 0]);
        assert_eq!(roster.next_turn(at(0)), Some(at(12 * HOUR)));
    }

    #[test]
    fn figures_count_who_is_alive() {
        let mut roster = roster(vec![
            listed("expired", life(-25 * HOUR)),
            listed("first", life(-13 * HOUR)),
            listed("second", life(0)),
            listed("unknown", Life::default()),
            disabled("disabled", life(-23 * HOUR)),
        ]);
        let census = Census {
            known: 5,
            disabled: 1,
            alive: 2,
            until: Some(at(11 * HOUR)),
            next: Some(Timestamp::MIN),
        };
        assert_eq!(roster.census(at(0)), census);
        all_due(&mut roster, at(0));
        let next = Some(at(12 * HOUR));
        assert_eq!(roster.census(at(0)), Census { next, ..census });
    }

    #[test]
    fn a_source_takes_little_memory() {
        let id = "123e4567-e89b-12d3-a456-426614174000";
        // The allocator rounds up to sixteen bytes and keeps as many for itself.
        let name = id.len().next_multiple_of(16) + 16;
        assert!(size_of::<Known>() + name <= 200, "{}", size_of::<Known>());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Pass(i64),
        List(Vec<(usize, i64, bool)>),
        Begin,
        Extend(usize),
        Fail(usize, bool),
    }

    const IDS: [&str; 4] = ["a", "b", "c", "d"];

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..DAY).prop_map(Step::Pass),
            prop::collection::vec((0..4_usize, 0..DAY, any::<bool>()), 0..6).prop_map(Step::List),
            Just(Step::Begin),
            Just(Step::Begin),
            (0..4_usize).prop_map(Step::Extend),
            (0..4_usize, any::<bool>()).prop_map(|(id, passes)| Step::Fail(id, passes)),
        ]
    }

    proptest! {
        /// Whatever happens: nobody is begun twice at a time, or again within five seconds, and
        /// whoever waits has a turn.
        #[test]
        fn nobody_is_stormed_or_forgotten(steps in prop::collection::vec(step(), 0..60)) {
            let mut roster = Roster::default();
            let mut now = 0;
            let mut begun: Vec<(String, i64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Pass(seconds) => now += seconds,
                    Step::List(list) => {
                        let list = list.into_iter().map(|(id, age, is_disabled)| {
                            let make = if is_disabled { disabled } else { listed };
                            make(IDS[id], life(now - age))
                        });
                        roster.update(list.collect(), || 0.5);
                        let known: Vec<_> = roster.0.iter().map(|it| it.id.to_string()).collect();
                        begun.retain(|(id, _)| known.contains(id));
                    }
                    Step::Begin => {
                        if let Some(id) = roster.begin(at(now)) {
                            let before = begun.iter().find(|(other, _)| *other == id);
                            prop_assert!(before.is_none(), "{} is under way", id);
                            begun.push((id, now));
                        }
                    }
                    Step::Extend(id) => {
                        if begun.iter().any(|(other, _)| other == IDS[id]) {
                            begun.retain(|(other, _)| other != IDS[id]);
                            roster.extended(IDS[id], life(now), None, at(now), 0.5);
                            prop_assert!(!is_due(&roster, IDS[id], now + 12 * HOUR - 1));
                        }
                    }
                    Step::Fail(id, passes) => {
                        if begun.iter().any(|(other, _)| other == IDS[id]) {
                            begun.retain(|(other, _)| other != IDS[id]);
                            let error = if passes { passing() } else { for_good() };
                            roster.failed(IDS[id], error, at(now), 0.5);
                            prop_assert!(!is_due(&roster, IDS[id], now + 4));
                            let longest = i64::try_from(Duration::from_mins(23).as_secs());
                            let longest = longest.expect("minutes fit");
                            prop_assert!(is_due(&roster, IDS[id], now + longest));
                        }
                    }
                }
                for known in roster.waiting() {
                    prop_assert!(known.turn <= at(now + 3 * DAY), "{:?}", known);
                }
            }
        }
    }

    fn is_due(roster: &Roster, id: &str, now: i64) -> bool {
        let mut waiting = roster.waiting();
        waiting.any(|known| *known.id == *id && known.turn <= at(now))
    }
}

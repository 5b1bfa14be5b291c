//! An independent judge of clients that run against a simulated Webex: it sees every request and
//! what became of it, is told what the client's disk holds, and names whatever must never happen.
//!
//! It knows nothing of how a client works. What it holds clients to are the [`Rule`]s; of those that
//! only a whole life shows it knows the names alone.
//!
//! A run is excused by what has happened to itself: an answer of its own that was spoilt, a change
//! that the disk refused to it, a clock that was set under it. That others run at the same time is no
//! excuse, unless one of them is in such trouble in the middle of its refresh: it may be waited for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use crate::endpoint::Endpoint;

/// What holds of a client whatever happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A refresh token whose successor has reached the disk is not presented again.
    SpentStaysSpent,
    /// A refresh token that may be spent is presented when everything else was tried.
    DoubtfulComesLast,
    /// No two runs have a refresh of one grant in flight.
    OneRefreshPerGrant,
    /// A token is used only when the refresh token that came with it is, or was, safe on the disk.
    SavedBeforeUsed,
    /// A token that works is not replaced by one that does not.
    ValidTokenStays,
    /// A run that says that the token works is right.
    WorksMeansWorks,
    /// A run asks for a human only if no credential works and nobody else could help.
    HumanOnlyIfNeeded,
    /// A run asks for a human if no credential works and nobody else could help.
    HumanIfNeeded,
    /// A run that nothing is in the way of brings a token, if a credential works.
    BringsToken,
    /// A run sends a bounded number of requests.
    BoundedRun,
    /// A run ends within its time.
    TimelyRun,
    /// A run complains of the disk only if something is wrong with the disk.
    BlamesDiskRightly,
    /// The flag stands in the client's file as long as a human is needed.
    FlagTellsTruth,
    /// No file is changed in place where a reader may see a part of it.
    NeverTorn,
    /// A long-lived program that fails waits before it climbs again, longer each time.
    NeverSpins,
    /// A long-lived program has a token again soon after the last trouble.
    NeverStops,
    /// A job finds a valid token at any hour of a year.
    AlwaysValid,
    /// The date by which a human is needed is told 30 days ahead.
    DateAhead,
}

impl Rule {
    /// Its name, as it stands before what broke it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SpentStaysSpent => "spent-stays-spent",
            Self::DoubtfulComesLast => "doubtful-comes-last",
            Self::OneRefreshPerGrant => "one-refresh-per-grant",
            Self::SavedBeforeUsed => "saved-before-used",
            Self::ValidTokenStays => "valid-token-stays",
            Self::WorksMeansWorks => "works-means-works",
            Self::HumanOnlyIfNeeded => "human-only-if-needed",
            Self::HumanIfNeeded => "human-if-needed",
            Self::BringsToken => "brings-token",
            Self::BoundedRun => "bounded-run",
            Self::TimelyRun => "timely-run",
            Self::BlamesDiskRightly => "blames-disk-rightly",
            Self::FlagTellsTruth => "flag-tells-truth",
            Self::NeverTorn => "never-torn",
            Self::NeverSpins => "never-spins",
            Self::NeverStops => "never-stops",
            Self::AlwaysValid => "always-valid",
            Self::DateAhead => "date-ahead",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// By whom, and how.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// What a client's disk holds, as the judge is told.
pub trait Witness: Send + Sync {
    /// Whether a power cut now, or at some time before, would have left this token on the disk.
    fn has_held(&self, token: &str) -> bool;

    /// The credentials that the client's files hold now.
    fn credentials(&self) -> Credentials;

    /// How many changes the disk has refused so far.
    fn refusals(&self) -> u64;
}

/// The credentials in a client's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The service app's access token.
    pub access_token: Option<String>,
    /// The service app's refresh token.
    pub refresh_token: Option<String>,
    /// The personal access token.
    pub personal_access_token: Option<String>,
    /// The integration's refresh token.
    pub integration: Option<String>,
    /// The service app's client secret, if that is a matter.
    pub client_secret: Option<String>,
}

/// What a run has said when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The token works.
    Works,
    /// A human is needed.
    Reauthorize,
    /// Try again later.
    Unavailable,
    /// A setting or an authorization is at fault.
    Misconfigured,
    /// Something of its own machine is at fault.
    Trouble,
    /// It has not ended: the process died.
    Died,
}

/// What a run has met that it could not help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// The disk has refused a change.
    pub refusal: bool,
    /// Another run was under way at the same time, and may have held the lock.
    pub company: bool,
}

/// More requests than any run needs.
const MOST_REQUESTS: u32 = 40;

/// What of a client's credentials works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each on its own")]
pub(crate) struct Works {
    pub(crate) access_token: bool,
    pub(crate) refresh_token: bool,
    pub(crate) personal_access_token: bool,
    pub(crate) integration: bool,
    /// Whether the settings are right, without which nothing is issued.
    pub(crate) is_configured: bool,
    /// Whether the organization's authorization of the service app stands, without which nothing
    /// can be minted.
    pub(crate) is_authorized: bool,
    /// Whether another access token may be issued.
    pub(crate) is_below_limit: bool,
}

impl Works {
    /// Whether some credential would give a token now.
    pub(crate) fn would_issue(self) -> bool {
        self.is_below_limit && self.can_issue()
    }

    /// The same, if there were no limit to the tokens of an account.
    fn can_issue(self) -> bool {
        self.is_configured && (self.refresh_token || self.is_authorized && self.has_bearer())
    }

    /// Whether something else than a consent would help: an administrator's authorization, or
    /// another setting.
    fn can_be_helped(self) -> bool {
        !self.is_authorized && self.has_bearer()
            || !self.is_configured && (self.refresh_token || self.has_bearer())
    }

    /// Whether there is something to mint with.
    fn has_bearer(self) -> bool {
        self.personal_access_token || self.integration
    }
}

/// How a request is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// Not at all: it is answered as usual.
    Spared,
    /// Otherwise, and the answer says that Webex did not act.
    Refused,
    /// Otherwise, and whoever asked may never learn whether Webex acted.
    InTheDark,
}

/// A request of a run, the last so far, after which something may be spent.
#[derive(Debug)]
struct Asked {
    /// What its client has to doubt as long as the answer is not in: the refresh token that is
    /// presented; for a mint the one that is stored, of which a client need not know better.
    token: Option<String>,
    /// What it was exchanged for.
    successor: Option<String>,
    strike: Strike,
    is_answered: bool,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each on its own")]
struct Run {
    name: String,
    /// The grant whose refresh is in flight.
    refreshing: Option<usize>,
    has_tried_grant: bool,
    has_tried_mint: bool,
    has_tried_renewal: bool,
    requests: u32,
    asked: Option<Asked>,
    began: Works,
    /// How much had happened to the world when it began.
    world_was: u64,
    /// How many changes the disk had refused when it began.
    refusals_were: u64,
    /// Whether another was under way at any time of it.
    had_company: bool,
    /// Whether it met anything but the usual answers.
    was_disturbed: bool,
    /// Whether that was when it was spending something, so that others may have to wait for it.
    holds_up: bool,
}

impl Run {
    fn is_spending(&self) -> bool {
        self.has_tried_grant || self.has_tried_mint || self.has_tried_renewal
    }
}

/// The judge. It lives in the world whose requests it sees.
pub(crate) struct Judge {
    witness: Box<dyn Witness>,
    /// The runs under way, by the door they come in by.
    runs: BTreeMap<usize, Run>,
    /// What a refresh token was exchanged for.
    exchanged: HashMap<String, String>,
    /// Refresh tokens that a client has cause to doubt: for all that it knows, they may have been
    /// exchanged.
    in_doubt: HashSet<String>,
    /// Refresh tokens that a client has had cause to note, since it was about to spend them.
    noted: HashSet<String>,
    /// The refresh token that came with an access token.
    came_with: HashMap<String, String>,
    violations: Vec<Violation>,
}

impl Judge {
    pub(crate) fn new(witness: Box<dyn Witness>) -> Self {
        Self {
            witness,
            runs: BTreeMap::new(),
            exchanged: HashMap::new(),
            in_doubt: HashSet::new(),
            noted: HashSet::new(),
            came_with: HashMap::new(),
            violations: Vec::new(),
        }
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(crate) fn credentials(&self) -> Credentials {
        self.witness.credentials()
    }

    fn violation(&mut self, door: usize, rule: Rule, what: &str) {
        let name = self.runs.get(&door).map_or("nobody", |run| &run.name);
        let what = format!("{name}: {what}");
        self.violations.push(Violation { rule, what });
    }

    pub(crate) fn begins(&mut self, door: usize, name: &str, works: Works, world_is: u64) {
        let run = Run {
            name: name.to_owned(),
            began: works,
            world_was: world_is,
            refusals_were: self.witness.refusals(),
            was_disturbed: self.runs.values().any(|run| run.holds_up),
            ..Run::default()
        };
        self.runs.insert(door, run);
        if self.runs.len() > 1 {
            for run in self.runs.values_mut() {
                run.had_company = true;
            }
        }
    }

    /// A request has arrived.
    pub(crate) fn arrived(&mut self, door: usize, endpoint: Endpoint, strike: Strike) {
        self.goes_on(door);
        let Some(run) = self.runs.get_mut(&door) else {
            return;
        };
        run.requests += 1;
        run.was_disturbed |= strike != Strike::Spared;
        match endpoint {
            Endpoint::ServiceAppRefresh => run.has_tried_grant = true,
            Endpoint::IntegrationRefresh => run.has_tried_renewal = true,
            Endpoint::Mint => run.has_tried_mint = true,
            _ => {}
        }
        run.holds_up |= run.is_spending() && strike != Strike::Spared;
        let holds_up = run.holds_up;
        let token = match endpoint {
            Endpoint::Mint => self.witness.credentials().refresh_token,
            _ => None,
        };
        self.noted.extend(token.clone());
        run.asked = Some(Asked {
            token,
            successor: None,
            strike,
            is_answered: false,
        });
        let has_no_end = run.requests == MOST_REQUESTS;
        if holds_up {
            self.disturb();
        }
        if has_no_end {
            self.violation(door, Rule::BoundedRun, "it sends requests without end");
        }
    }

    /// A run is past its last request, whatever that has come to.
    fn goes_on(&mut self, door: usize) {
        let run = self.runs.get_mut(&door);
        let Some(asked) = run.and_then(|run| run.asked.take()) else {
            return;
        };
        if asked.strike == Strike::InTheDark {
            self.in_doubt.extend(asked.token);
        }
    }

    /// The last request that came in by this door was answered, or given up.
    pub(crate) fn answered(&mut self, door: usize) {
        let run = self.runs.get_mut(&door);
        if let Some(asked) = run.and_then(|run| run.asked.as_mut()) {
            asked.is_answered = true;
        }
    }

    /// Something that a run can see and cannot help has happened to its machine.
    pub(crate) fn disturb(&mut self) {
        for run in self.runs.values_mut() {
            run.was_disturbed = true;
        }
    }

    /// The machine has lost power. What a client has noted and crossed out again, without making
    /// that safe, may be back.
    pub(crate) fn power_was_cut(&mut self) {
        self.disturb();
        let noted = self.held().into_iter();
        let noted: Vec<_> = noted.filter(|token| self.noted.contains(token)).collect();
        self.in_doubt.extend(noted);
    }

    /// The refresh tokens that the client holds.
    fn held(&self) -> Vec<String> {
        let has = self.witness.credentials();
        has.refresh_token
            .into_iter()
            .chain(has.integration)
            .collect()
    }

    /// Whether the disk has refused a change since this run began.
    fn was_refused(&self, run: &Run) -> bool {
        self.witness.refusals() > run.refusals_were
    }

    /// A refresh token is presented, of this grant if it is known.
    pub(crate) fn refresh_arrived(
        &mut self,
        door: usize,
        token: &str,
        grant: usize,
        is_integrations: bool,
        works: Works,
    ) {
        let others = self.runs.iter().filter(|(other, _)| **other != door);
        if others.clone().any(|(_, run)| run.refreshing == Some(grant)) {
            let what = "another run has a refresh of this grant in flight";
            self.violation(door, Rule::OneRefreshPerGrant, what);
        }
        if let Some(new) = self.exchanged.get(token) {
            if self.witness.has_held(new) {
                let what = "a refresh token is presented whose successor is on the disk";
                self.violation(door, Rule::SpentStaysSpent, what);
            } else if !self.has_tried_all_else(door, is_integrations, works) {
                let what = "a doubtful refresh token is presented before everything else was tried";
                self.violation(door, Rule::DoubtfulComesLast, what);
            }
        }
        self.noted.insert(token.to_owned());
        if let Some(run) = self.runs.get_mut(&door) {
            run.refreshing = Some(grant);
            if let Some(asked) = &mut run.asked {
                asked.token = Some(token.to_owned());
            }
        }
    }

    /// Whether this run has asked with whatever else works, as far as its client has no cause to
    /// doubt that as well. What the disk has refused to it could not be tried.
    fn has_tried_all_else(&self, door: usize, is_integrations: bool, works: Works) -> bool {
        let Some(run) = self.runs.get(&door) else {
            return false;
        };
        let has = self.witness.credentials();
        let is_known_good = |token: &Option<String>| {
            let token = token.as_ref();
            token.is_some_and(|token| !self.in_doubt.contains(token))
        };
        let may_mint = works.is_configured && works.is_authorized;
        let could_mint = works.personal_access_token && may_mint && !run.has_tried_mint;
        let could_else = if is_integrations {
            works.is_configured
                && works.refresh_token
                && is_known_good(&has.refresh_token)
                && !run.has_tried_grant
        } else {
            works.integration
                && may_mint
                && is_known_good(&has.integration)
                && !run.has_tried_renewal
        };
        !(could_mint || could_else) || self.was_refused(run)
    }

    pub(crate) fn refresh_left(&mut self, door: usize) {
        if let Some(run) = self.runs.get_mut(&door) {
            run.refreshing = None;
        }
    }

    /// A pair was issued, in exchange for `spent` if that is good no more.
    pub(crate) fn issued(&mut self, spent: Option<&str>, access: &str, refresh: Option<&str>) {
        let Some(refresh) = refresh else { return };
        if let Some(spent) = spent {
            self.exchanged.insert(spent.to_owned(), refresh.to_owned());
            let asked = self.runs.values_mut().filter_map(|run| run.asked.as_mut());
            for asked in asked.filter(|asked| asked.token.as_deref() == Some(spent)) {
                asked.successor = Some(refresh.to_owned());
            }
        }
        self.came_with.insert(access.to_owned(), refresh.to_owned());
    }

    /// An access token is used as a bearer.
    pub(crate) fn used(&mut self, door: usize, bearer: &str) {
        let is_refused = self
            .runs
            .get(&door)
            .is_some_and(|run| self.was_refused(run));
        if let Some(refresh) = self.came_with.get(bearer)
            && !self.witness.has_held(refresh)
            && !is_refused
        {
            let what = "a token is used before the refresh token that came with it is on the disk";
            self.violation(door, Rule::SavedBeforeUsed, what);
        }
    }

    /// The access token that worked until then was replaced by one that does not.
    pub(crate) fn valid_token_is_gone(&mut self, door: usize) {
        self.violation(door, Rule::ValidTokenStays, "a valid token was taken away");
    }

    /// What a process leaves in doubt that has died.
    fn died(&mut self, door: usize) {
        let run = self.runs.get_mut(&door);
        let Some(asked) = run.and_then(|run| run.asked.take()) else {
            // It may have been about to send its first request.
            self.in_doubt.extend(self.held());
            return;
        };
        let is_saved = |new: &String| self.witness.has_held(new);
        let waits = !asked.is_answered;
        let was_issued = asked.strike == Strike::Spared;
        let has_yet_to_save =
            was_issued && asked.successor.as_ref().is_some_and(|new| !is_saved(new));
        if !(waits || has_yet_to_save) {
            // Past that, it may have been about to send the next.
            self.in_doubt.extend(self.held());
        }
        self.in_doubt.extend(asked.token);
    }

    /// A run has ended; what it has met.
    pub(crate) fn ends(
        &mut self,
        door: usize,
        verdict: Verdict,
        works: Works,
        world_is: u64,
    ) -> Met {
        if verdict == Verdict::Died {
            self.died(door);
        } else {
            self.goes_on(door);
        }
        let Some(run) = self.runs.get(&door) else {
            return Met::default();
        };
        let was_refused = self.was_refused(run);
        let met = Met {
            refusal: was_refused,
            company: run.had_company,
        };
        let world_stood_still = run.world_was == world_is;
        let is_calm = !run.was_disturbed && !was_refused && world_stood_still && run.began == works;
        let nothing_works = !works.access_token && !works.can_issue();
        let wrong = match verdict {
            Verdict::Works if world_stood_still && !works.access_token => Some((
                Rule::WorksMeansWorks,
                "it says that the token works, and it does not",
            )),
            Verdict::Reauthorize if run.began.can_issue() && works.can_issue() => Some((
                Rule::HumanOnlyIfNeeded,
                "it asks for a human, and a credential works",
            )),
            Verdict::Reauthorize if run.began.can_be_helped() && works.can_be_helped() => Some((
                Rule::HumanOnlyIfNeeded,
                "it asks for a consent, and an administrator or another setting could help",
            )),
            // While a setting is wrong, nobody can know that all is dead.
            Verdict::Unavailable | Verdict::Misconfigured
                if is_calm
                    && nothing_works
                    && works.is_configured
                    && !works.can_be_helped()
                    && works.is_below_limit =>
            {
                Some((
                    Rule::HumanIfNeeded,
                    "nothing works, nobody else can help, and it does not ask for a human",
                ))
            }
            Verdict::Unavailable | Verdict::Reauthorize | Verdict::Misconfigured
                if is_calm && works.would_issue() =>
            {
                Some((
                    Rule::BringsToken,
                    "a credential works, Webex answers, and it brings no token",
                ))
            }
            _ => None,
        };
        if let Some((rule, wrong)) = wrong {
            self.violation(door, rule, wrong);
        }
        if was_refused {
            // What it noted may stand as it was, and what it had noted before it sent nothing, too.
            self.in_doubt.extend(self.held());
        }
        self.runs.remove(&door);
        met
    }
}

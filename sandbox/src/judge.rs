//! An independent judge of clients that run against a simulated Webex: it sees every request and
//! what became of it, is told what the client's disk holds, and names whatever must never happen.
//!
//! It knows nothing of how a client works. Its rules:
//!
//! 1. A refresh token that was exchanged is not presented again, unless what it was exchanged for
//!    never reached the disk, and whatever else would have given a token was asked first.
//! 2. No two runs have a refresh of one grant in flight.
//! 3. A token is used only when the refresh token that came with it is, or was, safe on the disk, as
//!    long as the disk makes safe what it is asked to.
//! 4. A run that says that the token works is right.
//! 5. A run asks for a human if, and only if, no credential works and nobody else could help.
//! 6. A run sends a bounded number of requests.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::endpoint::Endpoint;

/// What a client's disk holds, as the judge is told.
pub trait Witness: Send + Sync {
    /// Whether a power cut now, or at some time before, would have left this token on the disk.
    fn has_held(&self, token: &str) -> bool;

    /// The credentials that the client's files hold now.
    fn credentials(&self) -> Credentials;

    /// Whether the disk takes what is to be saved: without that, asking is no use.
    fn takes_changes(&self) -> bool;
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
        self.refresh_token || self.is_authorized && (self.personal_access_token || self.integration)
    }

    /// Whether somebody else than the one who consents could help: an administrator.
    fn can_be_helped(self) -> bool {
        !self.is_authorized && (self.personal_access_token || self.integration)
    }
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
    began: Works,
    /// How much had happened to the world when it began.
    world_was: u64,
    /// Whether the request that arrived last will not be answered as usual.
    is_spoilt: bool,
    /// Whether it met anything but the usual answers, or another run.
    was_disturbed: bool,
}

/// The judge. It lives in the world whose requests it sees.
pub(crate) struct Judge {
    witness: Box<dyn Witness>,
    /// The runs under way, by the door they come in by.
    runs: BTreeMap<usize, Run>,
    /// What a refresh token was exchanged for.
    exchanged: HashMap<String, String>,
    /// Refresh tokens that were presented to no answer: for all that their client knows, they may
    /// have been exchanged.
    in_doubt: HashSet<String>,
    /// The refresh token that came with an access token.
    came_with: HashMap<String, String>,
    violations: Vec<String>,
}

impl Judge {
    pub(crate) fn new(witness: Box<dyn Witness>) -> Self {
        Self {
            witness,
            runs: BTreeMap::new(),
            exchanged: HashMap::new(),
            in_doubt: HashSet::new(),
            came_with: HashMap::new(),
            violations: Vec::new(),
        }
    }

    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    pub(crate) fn credentials(&self) -> Credentials {
        self.witness.credentials()
    }

    fn violation(&mut self, door: usize, what: &str) {
        let name = self.runs.get(&door).map_or("nobody", |run| &run.name);
        self.violations.push(format!("{name}: {what}"));
    }

    pub(crate) fn begins(&mut self, door: usize, name: &str, works: Works, world_is: u64) {
        let is_alone = self.runs.is_empty();
        for other in self.runs.values_mut() {
            other.was_disturbed = true;
        }
        let run = Run {
            name: name.to_owned(),
            began: works,
            world_was: world_is,
            was_disturbed: !is_alone,
            ..Run::default()
        };
        self.runs.insert(door, run);
    }

    /// A request has arrived; `spoilt` if it will not be answered as usual.
    pub(crate) fn arrived(&mut self, door: usize, endpoint: Endpoint, spoilt: bool) {
        let Some(run) = self.runs.get_mut(&door) else {
            return;
        };
        run.requests += 1;
        run.was_disturbed |= spoilt;
        run.is_spoilt = spoilt;
        match endpoint {
            Endpoint::ServiceAppRefresh => run.has_tried_grant = true,
            Endpoint::IntegrationRefresh => run.has_tried_renewal = true,
            Endpoint::Mint => run.has_tried_mint = true,
            _ => {}
        }
        if run.requests == MOST_REQUESTS {
            self.violation(door, "it sends requests without end");
        }
    }

    /// Something that a run can see and cannot help has happened to its machine.
    pub(crate) fn disturb(&mut self) {
        for run in self.runs.values_mut() {
            run.was_disturbed = true;
        }
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
            self.violation(door, "another run has a refresh of this grant in flight");
        }
        if let Some(new) = self.exchanged.get(token) {
            if self.witness.has_held(new) {
                self.violation(
                    door,
                    "a refresh token is presented whose successor is on the disk",
                );
            } else if !self.has_tried_all_else(door, is_integrations, works) {
                self.violation(
                    door,
                    "a doubtful refresh token is presented before everything else was tried",
                );
            }
        }
        if let Some(run) = self.runs.get_mut(&door) {
            run.refreshing = Some(grant);
            if run.is_spoilt {
                self.in_doubt.insert(token.to_owned());
            }
        }
    }

    fn has_tried_all_else(&self, door: usize, is_integrations: bool, works: Works) -> bool {
        let Some(run) = self.runs.get(&door) else {
            return false;
        };
        let has = self.witness.credentials();
        let is_known_good = |token: &Option<String>| {
            let token = token.as_ref();
            token.is_some_and(|token| !self.in_doubt.contains(token))
        };
        let could_mint = works.personal_access_token && works.is_authorized && !run.has_tried_mint;
        let could_else = if is_integrations {
            works.refresh_token && is_known_good(&has.refresh_token) && !run.has_tried_grant
        } else {
            works.integration
                && works.is_authorized
                && is_known_good(&has.integration)
                && !run.has_tried_renewal
        };
        !(could_mint || could_else) || !self.witness.takes_changes()
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
        }
        self.came_with.insert(access.to_owned(), refresh.to_owned());
    }

    /// An access token is used as a bearer.
    pub(crate) fn used(&mut self, door: usize, bearer: &str) {
        if let Some(refresh) = self.came_with.get(bearer)
            && !self.witness.has_held(refresh)
            && self.witness.takes_changes()
        {
            self.violation(
                door,
                "a token is used before the refresh token that came with it is on the disk",
            );
        }
    }

    pub(crate) fn ends(&mut self, door: usize, verdict: Verdict, works: Works, world_is: u64) {
        let Some(run) = self.runs.get(&door) else {
            return;
        };
        if verdict == Verdict::Died {
            // Its intent was on the disk, or it was not.
            let has = self.witness.credentials();
            self.in_doubt
                .extend(has.refresh_token.into_iter().chain(has.integration));
        }
        let is_calm = !run.was_disturbed && run.world_was == world_is && run.began == works;
        let nothing_works = !works.access_token && !works.can_issue();
        let world_stood_still = run.world_was == world_is;
        let wrong = match verdict {
            Verdict::Works if world_stood_still && !works.access_token => {
                Some("it says that the token works, and it does not")
            }
            Verdict::Reauthorize if run.began.can_issue() && works.can_issue() => {
                Some("it asks for a human, and a credential works")
            }
            Verdict::Reauthorize if run.began.can_be_helped() && works.can_be_helped() => {
                Some("it asks for a consent, and an administrator could help")
            }
            Verdict::Unavailable | Verdict::Misconfigured
                if is_calm && nothing_works && !works.can_be_helped() && works.is_below_limit =>
            {
                Some("nothing works, nobody else can help, and it does not ask for a human")
            }
            Verdict::Unavailable | Verdict::Reauthorize | Verdict::Misconfigured
                if is_calm && works.would_issue() =>
            {
                Some("a credential works, Webex answers, and it brings no token")
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            self.violation(door, wrong);
        }
        self.runs.remove(&door);
    }
}

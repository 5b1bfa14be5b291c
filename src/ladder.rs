//! The refresh ladder: which request comes next, and how a climb ends.
//!
//! A climb is a value of [`Ladder`] that is told what came of each request and answers with the
//! next [`Step`]. It knows no file, no network and no clock, so that every climb there can be is
//! enumerated in the tests below. What must not happen is not representable or is remembered in
//! the value: a refresh token whose answer was lost leaves the plan, a second renewal has no place
//! in it, and an unavailable rung rules out re-authorization.

use Outcome::*;
use Request::*;

/// How many times one request is sent, at most, while Webex provably did not act on it.
pub const TRIES: u8 = 3;

/// A stored credential that can lead to a new access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rung {
    /// The service app's refresh token, at `POST /v1/access_token`.
    ServiceAppRefreshToken,
    /// The personal access token, at `POST /v1/applications/{applicationId}/token`.
    PersonalAccessToken,
    /// The integration's refresh token, at `POST /v1/access_token`; then a mint with what it gave.
    IntegrationRefreshToken,
}

impl Rung {
    /// All rungs, from the first that is tried to the last.
    pub const ALL: [Self; 3] = [
        Self::ServiceAppRefreshToken,
        Self::PersonalAccessToken,
        Self::IntegrationRefreshToken,
    ];

    /// The name in `--json`, in the intent and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceAppRefreshToken => "service_app_refresh_token",
            Self::PersonalAccessToken => "personal_access_token",
            Self::IntegrationRefreshToken => "integration_refresh_token",
        }
    }

    /// The name in a sentence.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ServiceAppRefreshToken => "service-app refresh token",
            Self::PersonalAccessToken => "personal access token",
            Self::IntegrationRefreshToken => "integration refresh token",
        }
    }
}

/// One request of a climb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// `GET /v1/dataSources` with the stored access token, before anything else.
    Check,
    /// The same, after a rung was unavailable: does the stored token still serve?
    CheckKept,
    /// The same with the token that this rung has just issued (and that is already saved).
    Validate(Rung),
    /// The `refresh_token` grant of the service app.
    Grant,
    /// A mint with the personal access token as stored.
    Mint,
    /// The `refresh_token` grant of the integration.
    Renew,
    /// A mint with the access token that the renewal has just given.
    MintRenewed,
}

impl Request {
    /// The name in `--json` and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Check | CheckKept | Validate(_) => "validate",
            Grant => "refresh_service_app",
            Mint | MintRenewed => "mint",
            Renew => "refresh_integration",
        }
    }

    /// Which rung the request belongs to; none for a look at the stored token.
    #[must_use]
    pub fn rung(self) -> Option<Rung> {
        match self {
            Check | CheckKept => None,
            Validate(rung) => Some(rung),
            Grant => Some(Rung::ServiceAppRefreshToken),
            Mint => Some(Rung::PersonalAccessToken),
            Renew | MintRenewed => Some(Rung::IntegrationRefreshToken),
        }
    }
}

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A token was issued and is saved.
    Issued,
    /// The validation was answered with 200.
    Accepted,
    /// The credential is dead, or refused for a reason that waiting does not cure.
    Rejected,
    /// 403: alive, but not allowed to.
    Forbidden,
    /// The client's or the application's identity is wrong: a setting, not a token.
    Misconfigured,
    /// Webex did not act and may if asked again.
    Unavailable,
    /// Webex did not act and is not to be asked again in this climb.
    GivenUp,
    /// No answer that can be used came back, and Webex may have acted.
    Doubtful,
    /// What would be issued could not be saved, so nothing was sent.
    Unsaveable,
    /// A proxy on the way wants other credentials (407).
    ProxyRefused,
}

impl Outcome {
    /// The name in `--json` and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Issued => "issued",
            Accepted => "accepted",
            Rejected => "rejected",
            Forbidden => "forbidden",
            Misconfigured => "misconfigured",
            Unavailable | GivenUp => "unavailable",
            Doubtful => "doubtful",
            Unsaveable => "not_saveable",
            ProxyRefused => "proxy_refused",
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Send this request, after that wait.
    Send(Request, Wait),
    /// The stored token is refused: lock, read again, and start a climb.
    Climb,
    /// The climb is over.
    End(Ending),
}

/// How long to wait before a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// Not at all.
    No,
    /// A back-off after this many failures, or as long as `Retry-After` says.
    BackOff(u8),
    /// A moment, for Webex to hear of the token that it has just issued.
    Settle,
}

/// How a climb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The stored token was accepted as it is.
    Valid,
    /// This rung gave a new token, and Webex accepted it.
    Refreshed(Rung),
    /// A rung was unavailable; the stored token still works.
    Kept,
    /// Nothing is lost and nothing is gained: try again later.
    Unavailable,
    /// Webex issued a token and could not be asked whether it accepts it.
    NotValidated,
    /// Webex mints tokens and refuses them.
    MintRefused,
    /// The token lives; its scope or role is missing.
    Forbidden,
    /// A setting is wrong; no stored credential can make up for it.
    Misconfigured,
    /// What a rung would issue cannot be saved.
    Unsaveable,
    /// A proxy wants other credentials.
    ProxyRefused,
    /// No stored credential is accepted any more.
    Reauthorize,
}

/// What is known of a stored refresh token when a climb starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// There is none, or it lacks what its use needs.
    Absent,
    /// It is there.
    Ready,
    /// It is there, and near an end that using it no longer puts off: the others go first.
    Fading,
    /// It was sent once and the answer was lost: it may be spent, and goes last.
    Doubtful,
    /// Webex has refused it before: it goes after what may work, and before what may be spent.
    Dead,
}

/// What is known when a climb starts, read from the files under the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Start {
    /// Whether the stored access token may still be accepted.
    pub access_token_may_live: bool,
    /// The service app's refresh token.
    pub refresh_token: Held,
    /// Whether there is a personal access token to mint with.
    pub personal_access_token: bool,
    /// The integration's refresh token.
    pub integration: Held,
}

impl Start {
    /// The requests of a climb, in order.
    ///
    /// Usually rung 1, 2, 3. A refresh token that goes last still goes before an integration whose
    /// own refresh token is doubtful, unless it is doubtful as well: the integration is what a
    /// human would have to bring back.
    #[must_use]
    pub fn plan(self) -> Plan {
        let order = match (self.refresh_token, self.integration) {
            (Held::Fading | Held::Dead, Held::Doubtful) | (Held::Fading, Held::Dead) => {
                [Mint, Grant, Renew]
            }
            (Held::Fading | Held::Doubtful | Held::Dead, _) => [Mint, Renew, Grant],
            (Held::Absent | Held::Ready, _) => [Grant, Mint, Renew],
        };
        Plan(order.map(|request| {
            let there = match request {
                Grant => self.refresh_token != Held::Absent,
                Mint => self.personal_access_token,
                _ => self.integration != Held::Absent,
            };
            there.then_some(request)
        }))
    }
}

/// The first requests of the rungs still to be tried, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan([Option<Request>; 3]);

impl Plan {
    /// The requests, in order.
    pub fn requests(self) -> impl Iterator<Item = Request> {
        self.0.into_iter().flatten()
    }

    fn take_first(&mut self) -> Option<Request> {
        self.0.iter_mut().find_map(Option::take)
    }

    fn holds(self, request: Request) -> bool {
        self.0.contains(&Some(request))
    }
}

/// What the rungs met so far, as far as it decides the ending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Met {
    unavailable: bool,
    unsaveable: bool,
    misconfigured: bool,
}

/// A climb under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ladder {
    at: Request,
    /// How often `at` has been sent.
    sent: u8,
    /// Whether `at` has had the one repetition that a doubtful mint or a fresh token's 401 gets.
    repeated: bool,
    /// Whether the stored access token may live and has not been looked at in this climb.
    kept_is_open: bool,
    /// Whether rung 1 was put off only because its refresh token is fading: it may well work, and
    /// the rungs before it are a precaution whose failure changes nothing.
    fading: bool,
    plan: Plan,
    met: Met,
}

impl Ladder {
    /// Rung 0: looks at the stored token, before any lock.
    #[must_use]
    pub fn check() -> (Self, Step) {
        let ladder = Self {
            at: Check,
            sent: 1,
            repeated: false,
            kept_is_open: false,
            fading: false,
            plan: Plan([None; 3]),
            met: Met::default(),
        };
        (ladder, Step::Send(Check, Wait::No))
    }

    /// Starts a climb from what was read under the lock.
    #[must_use]
    pub fn climb(start: Start) -> (Self, Step) {
        let (mut ladder, _) = Self::check();
        ladder.kept_is_open = start.access_token_may_live;
        ladder.fading = start.refresh_token == Held::Fading;
        ladder.plan = start.plan();
        let step = ladder.next_rung();
        (ladder, step)
    }

    /// Decides what follows once the request last asked for has come to `outcome`.
    pub fn next(&mut self, outcome: Outcome) -> Step {
        match (self.at, outcome) {
            (_, ProxyRefused) => Step::End(Ending::ProxyRefused),

            (Check, Issued | Accepted) => Step::End(Ending::Valid),
            (Check, Rejected) => Step::Climb,
            (Check, Forbidden) => Step::End(Ending::Forbidden),
            (Check, Unavailable | Doubtful) => self.again_or(|_| Step::End(Ending::Unavailable)),
            (Check, GivenUp | Misconfigured | Unsaveable) => Step::End(Ending::Unavailable),

            (CheckKept, Issued | Accepted) => Step::End(Ending::Kept),
            (CheckKept, Forbidden) => Step::End(Ending::Forbidden),
            (CheckKept, _) => self.next_rung(),

            (Validate(rung), Issued | Accepted) => Step::End(Ending::Refreshed(rung)),
            (Validate(_), Forbidden) => Step::End(Ending::Forbidden),
            (Validate(_), Rejected) if !self.repeated => self.repeat(Wait::Settle),
            (Validate(Rung::ServiceAppRefreshToken), Rejected) => self.next_rung(),
            (Validate(_), Rejected) => Step::End(Ending::MintRefused),
            (Validate(_), Unavailable | Doubtful) => {
                self.again_or(|_| Step::End(Ending::NotValidated))
            }
            (Validate(_), GivenUp | Misconfigured | Unsaveable) => Step::End(Ending::NotValidated),

            (Grant, Issued | Accepted) => self.validate(Rung::ServiceAppRefreshToken),
            (Mint, Issued | Accepted) => self.validate(Rung::PersonalAccessToken),
            (MintRenewed, Issued | Accepted) => self.validate(Rung::IntegrationRefreshToken),
            (Renew, Issued | Accepted) => self.send(MintRenewed),

            (Grant | Mint | MintRenewed | Renew, Rejected) => self.next_rung(),
            (Mint, Forbidden) if self.plan.holds(Renew) => {
                self.met.misconfigured = true;
                self.next_rung()
            }
            (Renew, Misconfigured | Forbidden) => {
                self.met.misconfigured = true;
                self.next_rung()
            }
            (Grant | Mint | MintRenewed, Misconfigured | Forbidden) => {
                self.met.misconfigured = true;
                self.only_grant_can_help()
            }
            (Grant | Mint | MintRenewed | Renew, Unsaveable) => {
                self.met.unsaveable = true;
                self.next_rung()
            }

            (Mint | MintRenewed, Doubtful) if !self.repeated && self.sent < TRIES => {
                self.repeat(Wait::BackOff(self.sent))
            }
            (Grant | Mint | MintRenewed | Renew, Unavailable) => {
                self.again_or(Self::after_unavailable)
            }
            (Grant | Mint | MintRenewed | Renew, GivenUp | Doubtful) => self.after_unavailable(),
        }
    }

    fn send(&mut self, request: Request) -> Step {
        self.at = request;
        self.sent = 1;
        self.repeated = false;
        Step::Send(request, Wait::No)
    }

    fn repeat(&mut self, wait: Wait) -> Step {
        self.repeated = true;
        self.sent += 1;
        Step::Send(self.at, wait)
    }

    fn again_or(&mut self, otherwise: impl FnOnce(&mut Self) -> Step) -> Step {
        if self.sent >= TRIES {
            return otherwise(self);
        }
        let failures = self.sent;
        self.sent += 1;
        Step::Send(self.at, Wait::BackOff(failures))
    }

    fn validate(&mut self, rung: Rung) -> Step {
        // What was stored has been replaced: there is nothing left to keep.
        self.kept_is_open = false;
        self.send(Validate(rung))
    }

    fn after_unavailable(&mut self) -> Step {
        self.met.unavailable = true;
        if self.fading && self.plan.holds(Grant) {
            return self.next_rung();
        }
        self.look_at_kept().unwrap_or_else(|| self.next_rung())
    }

    fn look_at_kept(&mut self) -> Option<Step> {
        std::mem::take(&mut self.kept_is_open).then(|| self.send(CheckKept))
    }

    /// The service app's identity was refused: a mint would be as well, and so the integration
    /// cannot help. A refresh token that was put off is still worth its try.
    fn only_grant_can_help(&mut self) -> Step {
        if self.plan.holds(Grant) {
            return self.next_rung_among(|request| request == Grant);
        }
        self.finish()
    }

    fn next_rung(&mut self) -> Step {
        self.next_rung_among(|_| true)
    }

    fn next_rung_among(&mut self, helps: impl Fn(Request) -> bool) -> Step {
        while let Some(request) = self.plan.take_first() {
            if helps(request) {
                return self.send(request);
            }
        }
        self.finish()
    }

    fn finish(&mut self) -> Step {
        if self.met.unavailable
            && let Some(step) = self.look_at_kept()
        {
            return step;
        }
        Step::End(match self.met {
            Met {
                unavailable: true, ..
            } => Ending::Unavailable,
            Met {
                unsaveable: true, ..
            } => Ending::Unsaveable,
            Met {
                misconfigured: true,
                ..
            } => Ending::Misconfigured,
            Met {
                unavailable: false,
                unsaveable: false,
                misconfigured: false,
            } => Ending::Reauthorize,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const OUTCOMES: [Outcome; 10] = [
        Issued,
        Accepted,
        Rejected,
        Forbidden,
        Misconfigured,
        Unavailable,
        GivenUp,
        Doubtful,
        Unsaveable,
        ProxyRefused,
    ];

    /// Everything that a client can start a climb with.
    fn starts() -> impl Iterator<Item = Start> {
        let held = [
            Held::Absent,
            Held::Ready,
            Held::Fading,
            Held::Doubtful,
            Held::Dead,
        ];
        let integrations = [Held::Absent, Held::Ready, Held::Doubtful, Held::Dead];
        held.into_iter().flat_map(move |refresh_token| {
            integrations.into_iter().flat_map(move |integration| {
                [false, true].into_iter().flat_map(move |pat| {
                    [false, true].into_iter().map(move |may_live| Start {
                        access_token_may_live: may_live,
                        refresh_token,
                        personal_access_token: pat,
                        integration,
                    })
                })
            })
        })
    }

    /// What an observer outside the ladder has seen of a climb so far.
    #[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    struct Seen {
        grant_may_be_spent: bool,
        renewal_may_be_spent: bool,
        unavailable: bool,
        fault: bool,
        issued: Option<Rung>,
        accepted: bool,
    }

    impl Seen {
        fn after(mut self, request: Request, outcome: Outcome) -> Self {
            let at_a_rung = matches!(request, Grant | Mint | Renew | MintRenewed);
            let spent = matches!(outcome, Issued | Doubtful | Rejected);
            self.grant_may_be_spent |= request == Grant && spent;
            self.renewal_may_be_spent |= request == Renew && spent;
            // One unavailability that a later try cured does not count; see `cured`.
            self.fault |= at_a_rung && matches!(outcome, Misconfigured | Forbidden | Unsaveable);
            if outcome == Issued && at_a_rung && request != Renew {
                self.issued = request.rung();
            }
            self.accepted = outcome == Accepted;
            self
        }
    }

    /// Walks every sequence of outcomes from `start`, and returns the most requests one can take.
    fn walk(start: Start) -> usize {
        let (ladder, step) = Ladder::climb(start);
        longest(&mut HashMap::new(), ladder, step, Seen::default(), 0)
    }

    fn longest(
        known: &mut HashMap<(Ladder, Step, Seen), usize>,
        ladder: Ladder,
        step: Step,
        seen: Seen,
        depth: usize,
    ) -> usize {
        assert!(depth < 50, "a climb that does not end: {ladder:?}");
        let request = match step {
            Step::End(ending) => {
                judge_ending(ending, seen);
                return 0;
            }
            Step::Climb => panic!("a climb under way cannot ask for a climb"),
            Step::Send(request, _) => request,
        };
        assert!(!(request == Grant && seen.grant_may_be_spent), "{ladder:?}");
        assert!(
            !(request == Renew && seen.renewal_may_be_spent),
            "{ladder:?}"
        );
        if let Some(&most) = known.get(&(ladder, step, seen)) {
            return most;
        }
        let most = OUTCOMES
            .into_iter()
            .filter(|outcome| possible(request, *outcome))
            .map(|outcome| {
                let mut next = ladder;
                let following = next.next(outcome);
                let mut seen = seen.after(request, outcome);
                let tried_again = matches!(following, Step::Send(again, _) if again == request);
                let at_a_rung = matches!(request, Grant | Mint | Renew | MintRenewed);
                let no_answer = matches!(outcome, Unavailable | GivenUp | Doubtful);
                seen.unavailable |= at_a_rung && no_answer && !tried_again;
                1 + longest(known, next, following, seen, depth + 1)
            })
            .max()
            .expect("every request has an outcome");
        known.insert((ladder, step, seen), most);
        most
    }

    fn possible(request: Request, outcome: Outcome) -> bool {
        match request {
            Check | CheckKept | Validate(_) => {
                !matches!(outcome, Issued | Misconfigured | Unsaveable)
            }
            Grant | Renew => !matches!(outcome, Accepted | Forbidden),
            Mint | MintRenewed => outcome != Accepted,
        }
    }

    fn judge_ending(ending: Ending, seen: Seen) {
        match ending {
            Ending::Refreshed(rung) => {
                assert!(seen.accepted && seen.issued == Some(rung), "{seen:?}");
            }
            Ending::Kept => assert!(seen.accepted && seen.unavailable, "{seen:?}"),
            Ending::Valid => panic!("only a check without a climb ends as valid"),
            Ending::Reauthorize => assert!(!seen.unavailable && !seen.fault, "{seen:?}"),
            Ending::Unavailable => assert!(seen.unavailable, "{seen:?}"),
            Ending::Misconfigured | Ending::Unsaveable => {
                assert!(seen.fault && !seen.unavailable, "{seen:?}");
            }
            Ending::MintRefused | Ending::NotValidated => assert!(seen.issued.is_some()),
            Ending::Forbidden | Ending::ProxyRefused => {}
        }
    }

    #[test]
    fn every_climb_ends_as_it_may_and_in_a_bounded_number_of_requests() {
        // Four requests at three tries each, two fresh tokens that are each validated four times
        // (three tries and the one repetition after a 401), and a look at the token that is kept.
        let most = starts().map(walk).max();
        assert_eq!(most, Some(4 * 3 + 2 * 4 + 1));
    }

    #[test]
    fn every_check_ends_in_three_requests() {
        fn walk(ladder: Ladder, step: Step, depth: usize) {
            assert!(depth <= 3);
            let Step::Send(request, _) = step else { return };
            assert_eq!(request, Check);
            for outcome in OUTCOMES {
                let mut next = ladder;
                let following = next.next(outcome);
                walk(next, following, depth + 1);
            }
        }
        let (ladder, step) = Ladder::check();
        walk(ladder, step, 0);
    }

    /// Plays one climb; `answers` are consumed in order, and the requests it made are returned.
    fn play(start: Start, answers: &[Outcome]) -> (Vec<Request>, Step) {
        let (mut ladder, mut step) = Ladder::climb(start);
        let mut requests = Vec::new();
        for &answer in answers {
            let Step::Send(request, _) = step else { break };
            requests.push(request);
            step = ladder.next(answer);
        }
        (requests, step)
    }

    const ALL: Start = Start {
        access_token_may_live: false,
        refresh_token: Held::Ready,
        personal_access_token: true,
        integration: Held::Ready,
    };
    const APP: Rung = Rung::ServiceAppRefreshToken;
    const PAT: Rung = Rung::PersonalAccessToken;
    const INTEGRATION: Rung = Rung::IntegrationRefreshToken;

    #[test]
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    fn the_rows_of_the_table() {
        let alive = Start {
            access_token_may_live: true,
            ..ALL
        };
        let no_integration = Start {
            integration: Held::Absent,
            ..ALL
        };
        let doubtful = Start {
            refresh_token: Held::Doubtful,
            ..ALL
        };
        let fading = Start {
            refresh_token: Held::Fading,
            ..ALL
        };
        let both_doubtful = Start {
            integration: Held::Doubtful,
            ..doubtful
        };
        let nothing = Start {
            refresh_token: Held::Absent,
            personal_access_token: false,
            ..no_integration
        };
        let rows: &[(Start, &[Outcome], &[Request], Ending)] = &[
            (
                ALL,
                &[Issued, Accepted],
                &[Grant, Validate(APP)],
                Ending::Refreshed(APP),
            ),
            (
                ALL,
                &[Rejected, Issued, Accepted],
                &[Grant, Mint, Validate(PAT)],
                Ending::Refreshed(PAT),
            ),
            (
                ALL,
                &[Rejected, Rejected, Issued, Issued, Accepted],
                &[Grant, Mint, Renew, MintRenewed, Validate(INTEGRATION)],
                Ending::Refreshed(INTEGRATION),
            ),
            (
                ALL,
                &[Rejected, Rejected, Rejected],
                &[Grant, Mint, Renew],
                Ending::Reauthorize,
            ),
            (
                alive,
                &[Rejected, Rejected, Rejected],
                &[Grant, Mint, Renew],
                Ending::Reauthorize,
            ),
            (nothing, &[], &[], Ending::Reauthorize),
            (ALL, &[Misconfigured], &[Grant], Ending::Misconfigured),
            (
                ALL,
                &[Rejected, Misconfigured],
                &[Grant, Mint],
                Ending::Misconfigured,
            ),
            (
                ALL,
                &[Rejected, Rejected, Misconfigured],
                &[Grant, Mint, Renew],
                Ending::Misconfigured,
            ),
            (
                ALL,
                &[Rejected, Forbidden, Issued, Issued, Accepted],
                &[Grant, Mint, Renew, MintRenewed, Validate(INTEGRATION)],
                Ending::Refreshed(INTEGRATION),
            ),
            (
                ALL,
                &[Rejected, Forbidden, Issued, Forbidden],
                &[Grant, Mint, Renew, MintRenewed],
                Ending::Misconfigured,
            ),
            (
                no_integration,
                &[Rejected, Forbidden],
                &[Grant, Mint],
                Ending::Misconfigured,
            ),
            (
                ALL,
                &[Unavailable, Unavailable, Unavailable, Issued, Accepted],
                &[Grant, Grant, Grant, Mint, Validate(PAT)],
                Ending::Refreshed(PAT),
            ),
            (
                alive,
                &[GivenUp, Accepted],
                &[Grant, CheckKept],
                Ending::Kept,
            ),
            (
                alive,
                &[Doubtful, Rejected, Issued, Accepted],
                &[Grant, CheckKept, Mint, Validate(PAT)],
                Ending::Refreshed(PAT),
            ),
            (
                alive,
                &[Doubtful, Forbidden],
                &[Grant, CheckKept],
                Ending::Forbidden,
            ),
            (
                no_integration,
                &[Rejected, Doubtful, Issued, Accepted],
                &[Grant, Mint, Mint, Validate(PAT)],
                Ending::Refreshed(PAT),
            ),
            (
                no_integration,
                &[Rejected, Doubtful, Doubtful],
                &[Grant, Mint, Mint],
                Ending::Unavailable,
            ),
            (
                ALL,
                &[GivenUp, Rejected, Rejected],
                &[Grant, Mint, Renew],
                Ending::Unavailable,
            ),
            (
                ALL,
                &[Issued, Rejected, Rejected, Issued, Accepted],
                &[Grant, Validate(APP), Validate(APP), Mint, Validate(PAT)],
                Ending::Refreshed(PAT),
            ),
            (
                ALL,
                &[Rejected, Issued, Rejected, Rejected],
                &[Grant, Mint, Validate(PAT), Validate(PAT)],
                Ending::MintRefused,
            ),
            (
                ALL,
                &[Issued, Forbidden],
                &[Grant, Validate(APP)],
                Ending::Forbidden,
            ),
            (
                ALL,
                &[Issued, GivenUp],
                &[Grant, Validate(APP)],
                Ending::NotValidated,
            ),
            (
                ALL,
                &[Rejected, ProxyRefused],
                &[Grant, Mint],
                Ending::ProxyRefused,
            ),
            (
                ALL,
                &[Rejected, Rejected, Unsaveable],
                &[Grant, Mint, Renew],
                Ending::Unsaveable,
            ),
            (
                doubtful,
                &[Rejected, Rejected, Issued, Accepted],
                &[Mint, Renew, Grant, Validate(APP)],
                Ending::Refreshed(APP),
            ),
            (
                doubtful,
                &[Issued, Accepted],
                &[Mint, Validate(PAT)],
                Ending::Refreshed(PAT),
            ),
            (
                both_doubtful,
                &[Rejected, Rejected, Rejected],
                &[Mint, Renew, Grant],
                Ending::Reauthorize,
            ),
            (
                Start {
                    access_token_may_live: true,
                    ..fading
                },
                &[GivenUp, GivenUp, Issued, Accepted],
                &[Mint, Renew, Grant, Validate(APP)],
                Ending::Refreshed(APP),
            ),
            (
                Start {
                    access_token_may_live: true,
                    ..fading
                },
                &[GivenUp, Rejected, Rejected, Accepted],
                &[Mint, Renew, Grant, CheckKept],
                Ending::Kept,
            ),
            (
                fading,
                &[Misconfigured, Issued, Accepted],
                &[Mint, Grant, Validate(APP)],
                Ending::Refreshed(APP),
            ),
            (
                Start {
                    integration: Held::Doubtful,
                    ..fading
                },
                &[Rejected, Rejected, Rejected],
                &[Mint, Grant, Renew],
                Ending::Reauthorize,
            ),
        ];
        for (start, answers, requests, ending) in rows {
            let (made, last) = play(*start, answers);
            assert_eq!(made, *requests, "{start:?} answered {answers:?}");
            assert_eq!(last, Step::End(*ending), "{start:?} answered {answers:?}");
        }
    }

    #[test]
    fn nothing_left_is_always_a_re_authorization() {
        for start in starts() {
            let (_, last) = play(start, &[Rejected; 9]);
            assert_eq!(last, Step::End(Ending::Reauthorize), "{start:?}");
        }
    }
}

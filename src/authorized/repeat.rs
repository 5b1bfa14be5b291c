//! Whether a call is sent again: what came of it in, what to do next out. Pure.

use std::time::Duration;

use super::FailureKind;
use crate::backoff;
use crate::ladder::Outcome;
use crate::webex::Method;
use crate::webex::judge::{Cause, Judged};

/// How often one call is sent while Webex cannot be had, not counting the times that Webex answers
/// to come back later.
pub const TRIES: u8 = 5;

/// How often one call is sent while Webex answers to come back later.
const TIMES_BUSY: u8 = 10;

/// The longest that one call waits for a resource that is locked; others need not.
const LOCKED_FOR: Duration = Duration::from_secs(10);

/// What has come of a call so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tries {
    failures: u8,
    busy: u8,
    was_rejected: bool,
}

/// What to do after an answer, or the lack of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Take the answer.
    Take,
    /// Have the token replaced, then send it again.
    Renew,
    /// Send it again when all calls may go on.
    WhenAdmitted,
    /// Send it again after this wait.
    After(Duration),
    /// That was it.
    GiveUp(FailureKind),
}

impl Tries {
    /// What follows this judgement.
    pub fn next(&mut self, method: Method, judged: &Judged) -> Next {
        let give_up = Next::GiveUp;
        match (judged.outcome, &judged.cause) {
            (Outcome::Accepted, _) => Next::Take,
            // Webex did nothing for want of a token, so that this is safe whatever was asked.
            (Outcome::Rejected, _) if !self.was_rejected => {
                self.was_rejected = true;
                Next::Renew
            }
            // Webex refuses a token that it has just issued or accepted.
            (Outcome::Rejected, _) => give_up(FailureKind::Unavailable),
            (Outcome::Forbidden, _) => give_up(FailureKind::Forbidden),
            (Outcome::ProxyRefused, _) => give_up(FailureKind::ProxyRefused),
            (_, Cause::NotFound) => give_up(FailureKind::NotFound),
            (_, Cause::Conflict) => give_up(FailureKind::Unavailable),
            (_, Cause::Busy) if self.busy < TIMES_BUSY => {
                self.busy += 1;
                Next::WhenAdmitted
            }
            (_, Cause::Busy) => give_up(FailureKind::Unavailable),
            (_, Cause::Locked) if judged.retry_after > Some(LOCKED_FOR) => {
                give_up(FailureKind::Unavailable)
            }
            // Who redirects a change may have passed it on.
            (Outcome::Doubtful, _) | (_, Cause::Unusable | Cause::Intermediary)
                if method != Method::Get =>
            {
                give_up(FailureKind::Unknown)
            }
            // An answer that is too large would be so again.
            (Outcome::GivenUp | Outcome::Misconfigured, _) => give_up(FailureKind::Refused),
            _ => self.after_a_wait(judged.retry_after),
        }
    }

    fn after_a_wait(&mut self, retry_after: Option<Duration>) -> Next {
        self.failures += 1;
        if self.failures >= TRIES {
            return Next::GiveUp(FailureKind::Unavailable);
        }
        let jitter = fastrand::f64();
        Next::After(backoff::between_tries(self.failures, retry_after, jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(outcome: Outcome, cause: Cause) -> Judged {
        Judged {
            outcome,
            cause,
            error: None,
            http_status: None,
            tracking_id: None,
            retry_after: None,
        }
    }

    fn first(method: Method, outcome: Outcome, cause: Cause) -> Next {
        Tries::default().next(method, &judged(outcome, cause))
    }

    const UNSAFE: [Method; 3] = [Method::Post, Method::Put, Method::Delete];

    #[test]
    fn what_does_not_depend_on_the_method() {
        use FailureKind::*;
        let table = [
            (Outcome::Accepted, Cause::Given, Next::Take),
            (Outcome::Rejected, Cause::DeadCredential, Next::Renew),
            (Outcome::Unavailable, Cause::Busy, Next::WhenAdmitted),
            (
                Outcome::Forbidden,
                Cause::NotAllowed,
                Next::GiveUp(Forbidden),
            ),
            (Outcome::GivenUp, Cause::NotFound, Next::GiveUp(NotFound)),
            (Outcome::GivenUp, Cause::Refused, Next::GiveUp(Refused)),
            (Outcome::GivenUp, Cause::TokenLimit, Next::GiveUp(Refused)),
            (Outcome::GivenUp, Cause::Conflict, Next::GiveUp(Unavailable)),
            (
                Outcome::ProxyRefused,
                Cause::Proxy,
                Next::GiveUp(ProxyRefused),
            ),
        ];
        for method in [Method::Get, Method::Post, Method::Put, Method::Delete] {
            for (outcome, cause, next) in table.clone() {
                assert_eq!(
                    first(method, outcome, cause.clone()),
                    next,
                    "{method:?} {cause:?}"
                );
            }
            for cause in [Cause::NotConnected, Cause::Locked] {
                let next = first(method, Outcome::Unavailable, cause);
                assert!(matches!(next, Next::After(_)), "{method:?} {next:?}");
            }
        }
    }

    #[test]
    fn after_a_lost_answer_only_a_get_is_sent_again() {
        for cause in [Cause::NoAnswer, Cause::Failed, Cause::Unusable] {
            let next = first(Method::Get, Outcome::Doubtful, cause.clone());
            assert!(matches!(next, Next::After(_)), "{next:?}");
            for method in UNSAFE {
                let next = first(method, Outcome::Doubtful, cause.clone());
                assert_eq!(
                    next,
                    Next::GiveUp(FailureKind::Unknown),
                    "{method:?} {cause:?}"
                );
            }
        }
    }

    #[test]
    fn an_answer_that_is_too_large_is_not_fetched_again() {
        let next = first(Method::Get, Outcome::GivenUp, Cause::Unusable);
        assert_eq!(next, Next::GiveUp(FailureKind::Refused));
        let next = first(Method::Put, Outcome::GivenUp, Cause::Unusable);
        assert_eq!(next, Next::GiveUp(FailureKind::Unknown));
    }

    #[test]
    fn a_token_is_replaced_once() {
        let dead = judged(Outcome::Rejected, Cause::DeadCredential);
        let mut tries = Tries::default();
        assert_eq!(tries.next(Method::Post, &dead), Next::Renew);
        let next = tries.next(Method::Post, &dead);
        assert_eq!(next, Next::GiveUp(FailureKind::Unavailable));
    }

    #[test]
    fn who_is_not_to_be_had_is_asked_five_times_and_waits_as_asked() {
        let down = Judged {
            retry_after: Some(Duration::from_secs(9)),
            ..judged(Outcome::Unavailable, Cause::NotConnected)
        };
        let mut tries = Tries::default();
        for _ in 1..TRIES {
            let next = tries.next(Method::Put, &down);
            assert_eq!(next, Next::After(Duration::from_secs(9)));
        }
        let next = tries.next(Method::Put, &down);
        assert_eq!(next, Next::GiveUp(FailureKind::Unavailable));
    }

    #[test]
    fn who_answers_in_webexs_place_may_have_passed_a_change_on() {
        let next = first(Method::Get, Outcome::Unavailable, Cause::Intermediary);
        assert!(matches!(next, Next::After(_)), "{next:?}");
        for method in UNSAFE {
            let next = first(method, Outcome::Unavailable, Cause::Intermediary);
            assert_eq!(next, Next::GiveUp(FailureKind::Unknown), "{method:?}");
        }
    }

    #[test]
    fn who_is_busy_for_ever_is_given_up() {
        let busy = judged(Outcome::Unavailable, Cause::Busy);
        let mut tries = Tries::default();
        for _ in 0..TIMES_BUSY {
            assert_eq!(tries.next(Method::Put, &busy), Next::WhenAdmitted);
        }
        let next = tries.next(Method::Put, &busy);
        assert_eq!(next, Next::GiveUp(FailureKind::Unavailable));
    }

    #[test]
    fn a_resource_that_is_locked_for_long_is_left_to_its_owner() {
        let locked = Judged {
            retry_after: Some(Duration::from_mins(1)),
            ..judged(Outcome::Unavailable, Cause::Locked)
        };
        let next = Tries::default().next(Method::Put, &locked);
        assert_eq!(next, Next::GiveUp(FailureKind::Unavailable));
    }
}

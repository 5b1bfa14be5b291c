//! The judge: what it lets pass, and that each of its rules finds who breaks it.

use std::sync::{Arc, Mutex};

use webex_sandbox::{Credentials, IssuedTokens, Policy, Sandbox, Verdict, Witness};

use crate::{
    client::{Connection, get},
    mint, refresh, text,
};

/// The disk of a client, as a test has it.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(Vec<String>, Credentials)>>);

impl Disk {
    /// These are in the client's files now, and safe.
    fn holds(&self, credentials: Credentials) {
        let mut disk = self.0.lock().unwrap();
        let tokens = [
            &credentials.refresh_token,
            &credentials.integration,
            &credentials.access_token,
        ];
        let tokens: Vec<_> = tokens.into_iter().flatten().cloned().collect();
        disk.0.extend(tokens);
        disk.1 = credentials;
    }
}

impl Witness for Disk {
    fn has_held(&self, token: &str) -> bool {
        self.0.lock().unwrap().0.iter().any(|held| held == token)
    }

    fn credentials(&self) -> Credentials {
        self.0.lock().unwrap().1.clone()
    }

    fn takes_changes(&self) -> bool {
        true
    }
}

/// A rotating Webex with one judged run behind its door, and what its client holds.
fn judged() -> (Sandbox, Disk, Credentials) {
    let disk = Disk::default();
    let policy = Policy {
        rotate: true,
        ..Policy::default()
    };
    let sandbox = Sandbox::builder()
        .policy(policy)
        .doors(1)
        .judged(disk.clone())
        .start();
    let IssuedTokens {
        access_token,
        refresh_token,
        ..
    } = sandbox.issue_service_app_tokens();
    let has = Credentials {
        access_token: Some(access_token),
        refresh_token: Some(refresh_token),
        ..Credentials::default()
    };
    disk.holds(has.clone());
    sandbox.run_begins(0, "a run");
    (sandbox, disk, has)
}

fn refresh_token(has: &Credentials) -> &str {
    has.refresh_token.as_deref().unwrap()
}

/// A refresh, and what was issued.
fn refreshed(sandbox: &Sandbox, has: &Credentials) -> Credentials {
    let answer = refresh(sandbox, refresh_token(has)).send(sandbox);
    Credentials {
        access_token: Some(text(&answer, "/access_token")),
        refresh_token: Some(text(&answer, "/refresh_token")),
        ..has.clone()
    }
}

fn validate(sandbox: &Sandbox, has: &Credentials) {
    let token = has.access_token.as_deref().unwrap();
    get("/v1/dataSources").bearer(token).send(sandbox);
}

#[track_caller]
fn finds(sandbox: &Sandbox, what: &str) {
    let violations = sandbox.violations();
    let [violation] = violations.as_slice() else {
        panic!("{violations:?}");
    };
    assert!(violation.contains(what), "{violation}");
}

#[test]
fn a_run_as_it_should_be_passes() {
    let (sandbox, disk, has) = judged();
    let new = refreshed(&sandbox, &has);
    disk.holds(new.clone());
    validate(&sandbox, &new);
    sandbox.run_ends(0, Verdict::Works);
    assert_eq!(sandbox.violations(), [""; 0]);
}

#[test]
fn a_spent_token_whose_successor_was_saved_must_not_come_again() {
    let (sandbox, disk, has) = judged();
    disk.holds(refreshed(&sandbox, &has));
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    finds(&sandbox, "whose successor is on the disk");
}

#[test]
fn a_doubtful_token_may_come_again_when_nothing_else_would_help() {
    let (sandbox, _, has) = judged();
    refreshed(&sandbox, &has);
    sandbox.run_ends(0, Verdict::Died);
    sandbox.run_begins(0, "the next");
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    assert_eq!(sandbox.violations(), [""; 0]);
}

#[test]
fn a_doubtful_token_must_not_come_before_what_would_help() {
    let (sandbox, disk, mut has) = judged();
    has.personal_access_token = Some(sandbox.issue_personal_access_token());
    disk.holds(has.clone());
    refreshed(&sandbox, &has);
    sandbox.run_ends(0, Verdict::Died);
    sandbox.run_begins(0, "the next");
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    finds(&sandbox, "before everything else was tried");
}

#[test]
fn a_doubtful_token_may_come_after_what_would_have_helped() {
    let (sandbox, disk, mut has) = judged();
    let pat = sandbox.issue_personal_access_token();
    has.personal_access_token = Some(pat.clone());
    disk.holds(has.clone());
    refreshed(&sandbox, &has);
    sandbox.run_ends(0, Verdict::Died);
    sandbox.run_begins(0, "the next");
    mint(&sandbox, &pat).send(&sandbox);
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    assert_eq!(sandbox.violations(), [""; 0]);
}

#[test]
fn two_runs_must_not_refresh_one_grant_at_once() {
    let (sandbox, _, has) = judged();
    sandbox.run_begins(1, "another run");
    let gate = sandbox.gate(webex_sandbox::Endpoint::ServiceAppRefresh);
    let mut connection = Connection::open(&sandbox);
    let ask = refresh(&sandbox, refresh_token(&has));
    connection.start(&ask);
    gate.wait_for_request();
    let door = sandbox.door(1);
    let address = door.strip_prefix("http://").unwrap();
    let address = address.strip_suffix("/v1").unwrap().to_owned();
    let other = std::thread::spawn(move || ask.send_to(&address));
    gate.wait_for_requests(2);
    gate.release();
    connection.read().unwrap();
    other.join().unwrap();
    let violations = sandbox.violations();
    assert!(
        violations[0].contains("another run has a refresh of this grant in flight"),
        "{violations:?}"
    );
}

#[test]
fn a_token_must_not_be_used_before_what_came_with_it_is_saved() {
    let (sandbox, _, has) = judged();
    let new = refreshed(&sandbox, &has);
    validate(&sandbox, &new);
    finds(&sandbox, "before the refresh token that came with it");
}

#[test]
fn a_run_must_not_say_that_a_dead_token_works() {
    let (sandbox, _, has) = judged();
    sandbox.revoke(has.access_token.as_deref().unwrap());
    sandbox.run_ends(0, Verdict::Died);
    sandbox.run_begins(0, "the next");
    sandbox.run_ends(0, Verdict::Works);
    finds(&sandbox, "it says that the token works");
}

#[test]
fn a_human_must_not_be_asked_for_while_a_credential_works() {
    let (sandbox, _, _) = judged();
    sandbox.run_ends(0, Verdict::Reauthorize);
    finds(&sandbox, "it asks for a human, and a credential works");
}

#[test]
fn a_consent_must_not_be_asked_for_where_an_administrator_could_help() {
    let (sandbox, disk, mut has) = judged();
    has.personal_access_token = Some(sandbox.issue_personal_access_token());
    disk.holds(has);
    sandbox.deauthorize_service_app();
    sandbox.run_ends(0, Verdict::Died);
    sandbox.run_begins(0, "the next");
    sandbox.run_ends(0, Verdict::Reauthorize);
    finds(&sandbox, "an administrator could help");
}

#[test]
fn a_human_must_be_asked_for_when_nothing_works() {
    let (sandbox, _, has) = judged();
    sandbox.revoke_grant(refresh_token(&has));
    sandbox.run_ends(0, Verdict::Died);
    for verdict in [Verdict::Unavailable, Verdict::Misconfigured] {
        sandbox.run_begins(0, "the next");
        sandbox.run_ends(0, verdict);
    }
    let violations = sandbox.violations();
    assert_eq!(violations.len(), 2, "{violations:?}");
    assert!(
        violations[0].contains("it does not ask for a human"),
        "{violations:?}"
    );
}

#[test]
fn a_run_must_not_give_up_while_webex_answers_and_a_credential_works() {
    let (sandbox, _, _) = judged();
    sandbox.run_ends(0, Verdict::Unavailable);
    finds(&sandbox, "it brings no token");
}

#[test]
fn what_a_machine_does_to_a_run_is_not_held_against_it() {
    let (sandbox, _, _) = judged();
    sandbox.disturb_runs();
    sandbox.run_ends(0, Verdict::Unavailable);
    assert_eq!(sandbox.violations(), [""; 0]);
}

#[test]
fn a_run_must_not_send_requests_without_end() {
    let (sandbox, _, has) = judged();
    for _ in 0..40 {
        validate(&sandbox, &has);
    }
    finds(&sandbox, "requests without end");
}

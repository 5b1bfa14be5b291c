//! The judge: what it lets pass, and that each of its rules finds who breaks it.

use std::sync::{Arc, Mutex};

use webex_sandbox::{
    Credentials, Endpoint, Fault, IssuedTokens, Met, Policy, Rule, Sandbox, Verdict, Witness,
};

use crate::{
    TOKEN,
    client::{Connection, get, post},
    mint, refresh, text,
};

/// The disk of a client, as a test has it.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    ever: Vec<String>,
    now: Credentials,
    refusals: u64,
}

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
        disk.ever.extend(tokens);
        disk.now = credentials;
    }

    /// It refuses a change.
    fn refuses(&self) {
        self.0.lock().unwrap().refusals += 1;
    }
}

impl Witness for Disk {
    fn has_held(&self, token: &str) -> bool {
        self.0.lock().unwrap().ever.iter().any(|held| held == token)
    }

    fn credentials(&self) -> Credentials {
        self.0.lock().unwrap().now.clone()
    }

    fn refusals(&self) -> u64 {
        self.0.lock().unwrap().refusals
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
fn finds(sandbox: &Sandbox, rules: &[Rule]) {
    let violations = sandbox.violations();
    let broken: Vec<_> = violations.iter().map(|violation| violation.rule).collect();
    assert_eq!(broken, rules, "{violations:?}");
}

#[test]
fn a_run_as_it_should_be_passes() {
    let (sandbox, disk, has) = judged();
    let new = refreshed(&sandbox, &has);
    disk.holds(new.clone());
    validate(&sandbox, &new);
    sandbox.run_ends(0, Verdict::Works);
    finds(&sandbox, &[]);
}

#[test]
fn a_spent_token_whose_successor_was_saved_must_not_come_again() {
    let (sandbox, disk, has) = judged();
    disk.holds(refreshed(&sandbox, &has));
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    finds(&sandbox, &[Rule::SpentStaysSpent]);
}

#[test]
fn a_doubtful_token_may_come_again_when_nothing_else_would_help() {
    let (sandbox, _, has) = judged();
    refreshed(&sandbox, &has);
    sandbox.run_ends(0, Verdict::Died);
    sandbox.run_begins(0, "the next");
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    finds(&sandbox, &[]);
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
    finds(&sandbox, &[Rule::DoubtfulComesLast]);
}

/// A pair whose answer was lost, beside an integration that nobody has used.
fn with_an_integration() -> (Sandbox, Disk, Credentials) {
    let (sandbox, disk, mut has) = judged();
    has.integration = Some(sandbox.issue_integration_tokens().refresh_token);
    disk.holds(has.clone());
    (sandbox, disk, has)
}

fn renew(sandbox: &Sandbox, has: &Credentials) {
    let tenant = sandbox.tenant();
    post(TOKEN)
        .form(&[
            ("grant_type", "refresh_token"),
            ("client_id", &tenant.integration_client_id),
            ("client_secret", &tenant.integration_client_secret),
            ("refresh_token", has.integration.as_deref().unwrap()),
        ])
        .try_send(sandbox);
}

#[test]
fn a_death_puts_into_doubt_what_was_asked_with_and_nothing_else() {
    let (sandbox, _, has) = with_an_integration();
    refreshed(&sandbox, &has);
    sandbox.run_ends(0, Verdict::Died);
    sandbox.run_begins(0, "the next");
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    finds(&sandbox, &[Rule::DoubtfulComesLast]);
}

#[test]
fn a_death_between_two_requests_puts_into_doubt_what_may_have_been_next() {
    let (sandbox, _, has) = with_an_integration();
    sandbox.script(Endpoint::ServiceAppRefresh, [Fault::drop_after()]);
    refresh(&sandbox, refresh_token(&has)).try_send(&sandbox);
    sandbox.run_ends(0, Verdict::Died);
    sandbox.run_begins(0, "the next");
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    finds(&sandbox, &[]);
}

#[test]
fn what_came_to_no_answer_is_as_doubtful_as_what_was_spent() {
    let (sandbox, _, has) = with_an_integration();
    for endpoint in [Endpoint::ServiceAppRefresh, Endpoint::IntegrationRefresh] {
        let lost = match endpoint {
            Endpoint::ServiceAppRefresh => Fault::drop_after(),
            _ => Fault::drop_before(),
        };
        sandbox.script(endpoint, [lost]);
    }
    refresh(&sandbox, refresh_token(&has)).try_send(&sandbox);
    renew(&sandbox, &has);
    sandbox.run_ends(0, Verdict::Unavailable);
    sandbox.run_begins(0, "the next");
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    finds(&sandbox, &[]);
}

#[test]
fn what_was_refused_for_now_is_in_no_doubt() {
    let (sandbox, _, has) = with_an_integration();
    sandbox.script(Endpoint::ServiceAppRefresh, [Fault::drop_after()]);
    sandbox.script(Endpoint::IntegrationRefresh, [Fault::status(503)]);
    refresh(&sandbox, refresh_token(&has)).try_send(&sandbox);
    renew(&sandbox, &has);
    sandbox.run_ends(0, Verdict::Unavailable);
    sandbox.run_begins(0, "the next");
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    finds(&sandbox, &[Rule::DoubtfulComesLast]);
}

#[test]
fn a_power_cut_may_bring_a_doubt_back() {
    let (sandbox, _, has) = with_an_integration();
    sandbox.script(Endpoint::ServiceAppRefresh, [Fault::drop_after()]);
    sandbox.script(Endpoint::IntegrationRefresh, [Fault::status(503)]);
    refresh(&sandbox, refresh_token(&has)).try_send(&sandbox);
    renew(&sandbox, &has);
    sandbox.run_ends(0, Verdict::Unavailable);
    sandbox.power_was_cut();
    sandbox.run_begins(0, "the next");
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    finds(&sandbox, &[]);
}

#[test]
fn what_the_disk_refuses_cannot_be_tried() {
    let (sandbox, disk, has) = with_an_integration();
    refreshed(&sandbox, &has);
    sandbox.run_ends(0, Verdict::Died);
    sandbox.run_begins(0, "the next");
    disk.refuses();
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    finds(&sandbox, &[]);
}

#[test]
fn what_the_disk_refused_to_an_earlier_run_is_no_excuse() {
    let (sandbox, disk, has) = judged();
    disk.refuses();
    sandbox.run_ends(0, Verdict::Works);
    sandbox.run_begins(0, "the next");
    let new = refreshed(&sandbox, &has);
    validate(&sandbox, &new);
    finds(&sandbox, &[Rule::SavedBeforeUsed]);
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
    finds(&sandbox, &[]);
}

#[test]
fn two_runs_must_not_refresh_one_grant_at_once() {
    let (sandbox, _, has) = judged();
    sandbox.run_begins(1, "another run");
    let gate = sandbox.gate(Endpoint::ServiceAppRefresh);
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
    finds(&sandbox, &[Rule::OneRefreshPerGrant]);
}

#[test]
fn a_token_must_not_be_used_before_what_came_with_it_is_saved() {
    let (sandbox, _, has) = judged();
    let new = refreshed(&sandbox, &has);
    validate(&sandbox, &new);
    finds(&sandbox, &[Rule::SavedBeforeUsed]);
}

#[test]
fn what_the_disk_has_refused_need_not_be_saved() {
    let (sandbox, disk, has) = judged();
    let new = refreshed(&sandbox, &has);
    disk.refuses();
    validate(&sandbox, &new);
    finds(&sandbox, &[]);
}

#[test]
fn a_run_is_told_to_have_met_the_disk_and_other_runs() {
    let (sandbox, disk, _) = judged();
    assert_eq!(sandbox.run_ends(0, Verdict::Works), Met::default());
    sandbox.run_begins(0, "a run");
    sandbox.run_begins(1, "another");
    disk.refuses();
    sandbox.run_ends(1, Verdict::Works);
    let met = sandbox.run_ends(0, Verdict::Works);
    assert!(met.refusal && met.company, "{met:?}");
}

#[test]
fn a_token_that_works_must_not_be_replaced_by_one_that_does_not() {
    let (sandbox, disk, has) = judged();
    let dead = Credentials {
        access_token: Some("nobody issued this".to_owned()),
        ..has.clone()
    };
    disk.holds(dead.clone());
    sandbox.run_saved(0, &has);
    finds(&sandbox, &[Rule::ValidTokenStays]);
    disk.holds(has);
    sandbox.run_saved(0, &dead);
    finds(&sandbox, &[Rule::ValidTokenStays]);
}

#[test]
fn a_run_must_not_say_that_a_dead_token_works() {
    let (sandbox, _, has) = judged();
    sandbox.revoke(has.access_token.as_deref().unwrap());
    sandbox.run_ends(0, Verdict::Died);
    sandbox.run_begins(0, "the next");
    sandbox.run_ends(0, Verdict::Works);
    finds(&sandbox, &[Rule::WorksMeansWorks]);
}

#[test]
fn a_human_must_not_be_asked_for_while_a_credential_works() {
    let (sandbox, _, _) = judged();
    sandbox.run_ends(0, Verdict::Reauthorize);
    finds(&sandbox, &[Rule::HumanOnlyIfNeeded]);
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
    finds(&sandbox, &[Rule::HumanOnlyIfNeeded]);
}

#[test]
fn a_consent_must_not_be_asked_for_where_a_setting_is_wrong() {
    let (sandbox, disk, mut has) = judged();
    has.client_secret = Some("what nobody was given".to_owned());
    disk.holds(has);
    for verdict in [Verdict::Died, Verdict::Misconfigured, Verdict::Reauthorize] {
        sandbox.run_ends(0, verdict);
        sandbox.run_begins(0, "the next");
    }
    finds(&sandbox, &[Rule::HumanOnlyIfNeeded]);
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
    finds(&sandbox, &[Rule::HumanIfNeeded; 2]);
}

#[test]
fn a_run_must_not_give_up_while_webex_answers_and_a_credential_works() {
    let (sandbox, _, _) = judged();
    sandbox.run_ends(0, Verdict::Unavailable);
    finds(&sandbox, &[Rule::BringsToken]);
}

#[test]
fn what_a_machine_does_to_a_run_is_not_held_against_it() {
    let (sandbox, _, _) = judged();
    sandbox.disturb_runs();
    sandbox.run_ends(0, Verdict::Unavailable);
    finds(&sandbox, &[]);
}

#[test]
fn that_another_run_is_under_way_is_no_excuse() {
    let (sandbox, _, _) = judged();
    sandbox.run_begins(1, "another run");
    sandbox.run_ends(0, Verdict::Unavailable);
    finds(&sandbox, &[Rule::BringsToken]);
}

#[test]
fn whoever_may_have_to_wait_for_one_in_trouble_is_excused() {
    let (sandbox, _, has) = judged();
    sandbox.run_begins(1, "one that is there already");
    sandbox.script(Endpoint::ServiceAppRefresh, [Fault::status(503)]);
    refresh(&sandbox, refresh_token(&has)).send(&sandbox);
    sandbox.run_begins(2, "one that comes later");
    for door in [1, 2] {
        sandbox.run_ends(door, Verdict::Unavailable);
    }
    finds(&sandbox, &[]);
    sandbox.run_ends(0, Verdict::Unavailable);
    sandbox.run_begins(0, "one that comes afterwards");
    sandbox.run_ends(0, Verdict::Unavailable);
    finds(&sandbox, &[Rule::BringsToken]);
}

#[test]
fn a_spoilt_answer_is_held_against_nobody() {
    let (sandbox, _, has) = judged();
    sandbox.script(Endpoint::DataSources, [Fault::status(503)]);
    validate(&sandbox, &has);
    sandbox.run_ends(0, Verdict::Unavailable);
    finds(&sandbox, &[]);
}

#[test]
fn a_run_must_not_send_requests_without_end() {
    let (sandbox, _, has) = judged();
    for _ in 0..40 {
        validate(&sandbox, &has);
    }
    finds(&sandbox, &[Rule::BoundedRun]);
}

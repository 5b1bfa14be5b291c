//! `TokenManager`, from the side of a program that makes requests with its token.
//!
//! Dates are moved by a clock that is turned by hand, the manager's and the sandbox's together;
//! what happens in the background is waited for by a gate, or by a call that joins it.

#![cfg(unix)]

mod support;

use std::fs::File;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::runtime::Runtime;
use webex_sandbox::{Endpoint, Fault, Position, Sandbox};

use support::Story;
use webex_tokens::clock::Clock;
use webex_tokens::manager::{
    CredentialState, Probe, RunOutcome, StatusOutcome, TokenError, TokenGuard, TokenManager,
};
use webex_tokens::token::AccessToken;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A story with a manager in it, and the clock it goes by.
struct Scene {
    story: Story,
    clock: Clock,
    manager: TokenManager,
}

impl Scene {
    /// A service app that can be refreshed, rotating, so that a lost answer would be a loss.
    fn new() -> Self {
        let sandbox = Sandbox::start();
        sandbox.set_policy(|policy| policy.rotate = true);
        let story = Story::with(sandbox);
        let tokens = story.sandbox.issue_service_app_tokens();
        story.configured().stored("", &tokens.refresh_token);
        Self::over(story)
    }

    fn over(story: Story) -> Self {
        let clock = Clock::manual(Clock::System.now());
        let manager = TokenManager::with_clock(story.named_sources(), clock.clone());
        Self {
            story,
            clock,
            manager,
        }
    }

    /// A manager that has a fresh token in its hands, of which the counts know nothing.
    fn with_token() -> (Self, AccessToken) {
        let scene = Self::new();
        let token = scene.get().clone();
        scene.advance(SignedDuration::from_secs(1));
        scene.story.sandbox.clear_requests();
        (scene, token)
    }

    /// The token, waited for without any runtime.
    #[track_caller]
    fn get(&self) -> TokenGuard {
        pollster::block_on(self.manager.access_token()).expect("a token")
    }

    fn advance(&self, by: SignedDuration) {
        self.clock.advance(by);
        let by = Duration::try_from(by).expect("time goes on");
        self.story.sandbox.advance(by);
    }

    /// Until a tenth of the token's fourteen days is left, and a bit less.
    fn until_due(&self) {
        self.advance(DAY * 13);
    }

    fn until_expired(&self) {
        self.advance(DAY * 15);
    }

    fn refresh_requests(&self) -> u64 {
        self.story.sandbox.counts().refresh_requests
    }
}

/// Answers that no try can cure before the deadline, so that none waits.
fn unavailable() -> Fault {
    Fault::status(503).header("Retry-After", "600")
}

fn same(one: &AccessToken, other: &AccessToken) -> bool {
    one.fingerprint() == other.fingerprint()
}

/// A call that has begun: whatever it launches is launched, whatever it joins is joined.
#[track_caller]
fn begun<'a, T>(
    call: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    let mut call = Box::pin(call);
    let mut context = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending(), "it waits");
    call
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime")
}

#[test]
fn a_manager_can_be_shared_and_a_token_be_held_across_an_await() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send>(_: &T) {}
    shared::<TokenManager>();
    shared::<TokenError>();
    let scene = Scene::new();
    sent(&scene.get());
    sent(&scene.manager.access_token());
    sent(&scene.manager.refresh_token());
    sent(&scene.manager.status(Probe::Offline));
}

#[test]
fn a_token_is_served_from_memory() {
    let (scene, token) = Scene::with_token();
    let clone = scene.manager.clone();
    for _ in 0..100 {
        assert!(same(&scene.get(), &token));
        let again = pollster::block_on(clone.access_token()).expect("a token");
        assert!(same(&again, &token));
    }
    assert_eq!(scene.story.requests(), [""; 0]);
    assert_eq!(scene.story.access_token(), token.expose());
}

#[test]
fn a_valid_token_in_the_file_is_used_as_it_is() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let before = story.env();
    let scene = Scene::over(story);

    assert_eq!(scene.get().expose(), tokens.access_token);

    assert_eq!(
        scene.story.requests(),
        ["GET /v1/dataSources", "GET /v1/authorizations/tokenExpiry"]
    );
    assert_eq!(scene.story.env(), before);
}

#[test]
fn a_due_token_is_renewed_in_the_background_while_it_is_served() {
    let (scene, old) = Scene::with_token();
    scene.until_due();
    let gate = scene.story.sandbox.gate(Endpoint::ServiceAppRefresh);

    assert!(same(&scene.get(), &old), "nobody waits");
    gate.wait_for_request();
    for _ in 0..100 {
        assert!(same(&scene.get(), &old), "nobody waits meanwhile");
    }
    gate.release();

    // Joins the renewal, or finds it done.
    let new = pollster::block_on(scene.manager.token_rejected(&old)).expect("a token");
    assert!(!same(&new, &old));
    assert!(same(&scene.get(), &new));
    assert_eq!(scene.refresh_requests(), 1);
}

#[test]
fn without_a_usable_token_the_call_waits() {
    let (scene, old) = Scene::with_token();
    scene.until_expired();
    let new = scene.get();
    assert!(!same(&new, &old));
    assert!(scene.story.sandbox.is_live(new.expose()));
    assert_eq!(scene.refresh_requests(), 1);
}

#[test]
fn ten_thousand_callers_at_expiry_cost_one_grant() {
    let (scene, old) = Scene::with_token();
    scene.until_expired();
    let runtime = runtime();
    let tasks: Vec<_> = (0..10_000)
        .map(|_| {
            let manager = scene.manager.clone();
            runtime.spawn(async move { manager.access_token().await.map(|token| token.clone()) })
        })
        .collect();
    let new = scene.get();
    runtime.block_on(async {
        for task in tasks {
            let token = task.await.expect("a task ends").expect("a token");
            assert!(same(&token, &new));
        }
    });
    assert!(!same(&new, &old));
    let counts = scene.story.sandbox.counts();
    assert_eq!((counts.refresh_requests, counts.grants), (1, 1));
    assert_eq!((counts.validations, counts.requests), (1, 2));
}

#[test]
fn concurrent_rejections_of_the_current_token_cost_one_climb() {
    let (scene, old) = Scene::with_token();
    scene.story.sandbox.revoke(old.expose());
    let runtime = runtime();
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let (manager, old) = (scene.manager.clone(), old.clone());
            runtime.spawn(async move {
                let token = manager.token_rejected(&old).await;
                token.map(|token| token.clone())
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            let token = task.await.expect("a task ends").expect("a token");
            assert!(!same(&token, &old));
        }
    });
    assert_eq!(scene.refresh_requests(), 1);
}

#[test]
fn a_rejection_that_comes_late_costs_nothing() {
    let (scene, old) = Scene::with_token();
    let new = pollster::block_on(scene.manager.token_rejected(&old)).expect("a token");
    let before = scene.story.requests().len();

    let again = pollster::block_on(scene.manager.token_rejected(&old)).expect("a token");

    assert!(same(&again, &new));
    assert_eq!(scene.story.requests().len(), before);
    assert_eq!(scene.refresh_requests(), 1);
}

#[test]
fn a_token_that_webex_still_accepts_is_replaced_when_a_caller_saw_401() {
    let (scene, old) = Scene::with_token();
    let new = pollster::block_on(scene.manager.token_rejected(&old)).expect("a token");
    assert!(!same(&new, &old));
    assert_eq!(
        scene.story.requests(),
        ["POST /v1/access_token", "GET /v1/dataSources"]
    );
}

#[test]
fn a_rejected_token_is_not_served_while_its_successor_is_not_to_be_had() {
    let (scene, old) = Scene::with_token();
    scene.story.sandbox.revoke(old.expose());
    scene
        .story
        .sandbox
        .script_always(Endpoint::Any, unavailable());

    let error = pollster::block_on(scene.manager.token_rejected(&old)).expect_err("no token");
    assert!(error.is_passing());
    let error = pollster::block_on(scene.manager.access_token()).expect_err("no token");
    assert!(error.is_passing());
}

#[test]
fn a_rejection_is_not_answered_with_the_rejected_token() {
    // The expiry is not known, so that a look in the background asks Webex about the token.
    let story = Story::new();
    story
        .sandbox
        .script_always(Endpoint::TokenExpiry, Fault::status(500));
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let scene = Scene::over(story);
    let old = scene.get().clone();
    scene.clock.advance(SignedDuration::from_mins(16));
    let gate = scene.story.sandbox.gate(Endpoint::DataSources);
    assert!(same(&scene.get(), &old));
    gate.wait_for_request();
    let rejection = begun(scene.manager.token_rejected(&old));
    gate.release();

    let new = pollster::block_on(rejection).expect("a token");
    assert!(!same(&new, &old));
}

#[test]
fn another_runs_newer_token_is_adopted_without_a_grant() {
    let (scene, old) = Scene::with_token();
    scene.story.refresh_token(&["--force"]).exits(0);
    let theirs = scene.story.access_token();
    assert_eq!(scene.refresh_requests(), 1);

    let adopted = pollster::block_on(scene.manager.token_rejected(&old)).expect("a token");

    assert_eq!(adopted.expose(), theirs);
    assert_eq!(scene.refresh_requests(), 1, "theirs is the only one");
    assert_eq!(scene.get().expose(), theirs);
}

#[test]
fn another_runs_newer_token_is_adopted_when_ours_is_due() {
    let (scene, old) = Scene::with_token();
    scene.until_due();
    // Another manager, as in another process, is faster.
    let other = TokenManager::with_clock(scene.story.named_sources(), scene.clock.clone());
    let theirs = pollster::block_on(other.access_token())
        .expect("a token")
        .clone();
    assert!(!same(&theirs, &old));

    assert!(same(&scene.get(), &old), "nobody waits");
    let adopted = pollster::block_on(scene.manager.token_rejected(&old)).expect("a token");

    assert!(same(&adopted, &theirs));
    assert_eq!(scene.refresh_requests(), 1);
}

#[test]
fn managers_of_one_file_share_one_grant() {
    let scene = Scene::new();
    let gate = scene.story.sandbox.gate(Endpoint::ServiceAppRefresh);
    let runtime = runtime();
    let spawn = || {
        let manager = TokenManager::with_clock(scene.story.named_sources(), scene.clock.clone());
        runtime.spawn(async move { manager.access_token().await.map(|token| token.clone()) })
    };
    let first = spawn();
    gate.wait_for_request();
    let second = spawn();
    gate.release();
    let [first, second] = [first, second].map(|task| {
        let token = runtime.block_on(task).expect("a task ends");
        token.expect("a token")
    });
    assert!(same(&first, &second));
    let counts = scene.story.sandbox.counts();
    assert_eq!(
        (counts.refresh_requests, counts.overlapping_refreshes),
        (1, 0)
    );
}

#[test]
fn concurrent_forced_refreshes_cost_one_climb() {
    let (scene, old) = Scene::with_token();
    let gate = scene.story.sandbox.gate(Endpoint::ServiceAppRefresh);
    let calls: Vec<_> = (0..100)
        .map(|_| begun(scene.manager.refresh_token()))
        .collect();
    gate.wait_for_request();
    gate.release();
    for call in calls {
        let report = pollster::block_on(call).expect("a report");
        assert_eq!(report.outcome, RunOutcome::Refreshed);
        assert_eq!(report.requests(), 2);
    }
    assert_eq!(scene.refresh_requests(), 1);
    assert!(!same(&scene.get(), &old));
}

#[test]
fn a_cancelled_caller_loses_nothing() {
    let scene = Scene::new();
    let gate = scene
        .story
        .sandbox
        .gate_at(Endpoint::ServiceAppRefresh, Position::BeforeAnswering);
    let call = begun(scene.manager.access_token());
    gate.wait_for_request();

    drop(call);
    gate.release();

    let token = scene.get();
    assert_eq!(scene.story.access_token(), token.expose());
    assert!(scene.story.sandbox.is_live(token.expose()));
    assert_eq!(scene.refresh_requests(), 1);
}

#[test]
fn the_end_of_the_callers_runtime_loses_nothing() {
    let scene = Scene::new();
    let gate = scene
        .story
        .sandbox
        .gate_at(Endpoint::ServiceAppRefresh, Position::BeforeAnswering);
    let runtime = runtime();
    let manager = scene.manager.clone();
    drop(runtime.spawn(async move { manager.access_token().await.map(drop) }));
    gate.wait_for_request();

    runtime.shutdown_background();
    gate.release();

    let token = scene.get();
    assert_eq!(scene.story.access_token(), token.expose());
    assert_eq!(scene.refresh_requests(), 1);
}

#[test]
fn the_end_of_the_last_manager_loses_nothing() {
    let Scene { story, manager, .. } = Scene::new();
    let gate = story
        .sandbox
        .gate_at(Endpoint::ServiceAppRefresh, Position::BeforeAnswering);
    let call = begun(manager.access_token());
    gate.wait_for_request();
    let lock = File::open(story.path(".env.lock")).expect("the lock file");

    drop(call);
    drop(manager);
    gate.release();

    // Whoever gets the lock comes after the climb.
    lock.lock().expect("the lock");
    assert!(story.sandbox.is_live(&story.access_token()));
    assert!(
        story
            .sandbox
            .is_live_refresh_token(&story.refresh_token_in_env())
    );
}

#[test]
fn a_renewal_that_fails_in_the_background_is_not_repeated_by_every_call() {
    let (scene, old) = Scene::with_token();
    scene.until_due();
    scene
        .story
        .sandbox
        .script_always(Endpoint::ServiceAppRefresh, unavailable());
    let report = pollster::block_on(scene.manager.refresh_token()).expect("it still works");
    assert_eq!(report.outcome, RunOutcome::Kept);
    assert_eq!(scene.refresh_requests(), 1);

    for _ in 0..1000 {
        assert!(same(&scene.get(), &old), "the old one works meanwhile");
    }
    // A climb that these calls had started would have to land before this one begins.
    pollster::block_on(scene.manager.refresh_token()).expect("it still works");
    assert_eq!(scene.refresh_requests(), 2);

    // Half an hour later it is tried again.
    scene.advance(SignedDuration::from_mins(30));
    let gate = scene.story.sandbox.gate(Endpoint::ServiceAppRefresh);
    assert!(same(&scene.get(), &old), "nobody waits");
    gate.wait_for_request();
    assert_eq!(scene.refresh_requests(), 3);
}

#[test]
fn a_climb_that_failed_is_not_repeated_by_every_call() {
    let scene = Scene::new();
    scene
        .story
        .sandbox
        .script_always(Endpoint::ServiceAppRefresh, unavailable());
    for _ in 0..100 {
        let error = pollster::block_on(scene.manager.access_token()).expect_err("no token");
        assert!(error.is_passing(), "{error}");
    }
    assert_eq!(scene.refresh_requests(), 1);

    scene.story.sandbox.clear_faults();
    scene.advance(SignedDuration::from_mins(30));
    scene.get();
}

#[test]
fn a_human_who_changes_the_file_is_not_made_to_wait() {
    let scene = Scene::new();
    let story = &scene.story;
    story.sandbox.revoke_grant(&story.refresh_token_in_env());
    let error = pollster::block_on(scene.manager.access_token()).expect_err("no token");
    assert_eq!(error.report().outcome, RunOutcome::ReauthorizationRequired);

    let fresh = story.sandbox.issue_service_app_tokens();
    story.stored(&fresh.access_token, &fresh.refresh_token);

    assert_eq!(scene.get().expose(), fresh.access_token);
}

#[test]
fn errors_say_what_to_do_and_whether_waiting_helps() {
    let error = |prepare: &dyn Fn(&Story)| {
        let scene = Scene::new();
        prepare(&scene.story);
        let error = pollster::block_on(scene.manager.access_token()).expect_err("no token");
        let remedy = error.remedy().expect("what to do").to_string();
        assert!(!error.to_string().is_empty());
        (error.report().outcome, error.is_passing(), remedy)
    };

    let (outcome, passing, remedy) = error(&|story| {
        story.sandbox.revoke_grant(&story.refresh_token_in_env());
    });
    assert_eq!(
        (outcome, passing),
        (RunOutcome::ReauthorizationRequired, false)
    );
    assert!(remedy.starts_with("run `setup_oauth`"), "{remedy}");

    let (outcome, passing, remedy) = error(&|story| {
        story.sandbox.script_always(Endpoint::Any, unavailable());
    });
    assert_eq!((outcome, passing), (RunOutcome::Unavailable, true));
    assert!(remedy.contains("later"), "{remedy}");

    let (outcome, passing, remedy) = error(&|story| {
        let _ = story.sandbox.regenerate_client_secret();
    });
    assert_eq!((outcome, passing), (RunOutcome::Misconfigured, false));
    assert!(remedy.contains("serviceApp.clientSecret"), "{remedy}");

    let (outcome, passing, _) = error(&|story| {
        story.write("token-config.json", "{");
    });
    assert_eq!((outcome, passing), (RunOutcome::Misconfigured, false));

    let (outcome, passing, _) = error(&|story| {
        std::fs::remove_file(story.path(".env")).expect("a file is removed");
        std::fs::create_dir(story.path(".env")).expect("a folder is made");
    });
    assert_eq!((outcome, passing), (RunOutcome::Unreadable, false));
}

#[test]
fn not_valid_and_could_not_ask_are_different_answers() {
    let (scene, token) = Scene::with_token();
    let is_valid = || pollster::block_on(scene.manager.is_token_valid());
    assert!(is_valid().expect("an answer"));

    scene
        .story
        .sandbox
        .script(Endpoint::DataSources, [unavailable()]);
    let error = is_valid().expect_err("no answer");
    assert!(error.is_passing());
    assert!(error.remedy().is_some());

    scene.story.sandbox.revoke(token.expose());
    assert!(!is_valid().expect("an answer"));
    assert_eq!(scene.refresh_requests(), 0, "a question changes nothing");
}

#[test]
fn the_status_is_that_of_check_token() {
    let (scene, _) = Scene::with_token();
    let status = pollster::block_on(scene.manager.status(Probe::Offline));
    assert_eq!(status.outcome, StatusOutcome::Valid);
    assert_eq!(scene.story.requests(), [""; 0]);
    let found: Vec<_> = status.credentials.iter().map(|it| it.state).collect();
    assert_eq!(
        found,
        [
            CredentialState::Valid,
            CredentialState::Valid,
            CredentialState::Absent,
            CredentialState::Absent,
        ]
    );
    assert_eq!(status.human_needed_by, status.credentials[1].expires_at);

    scene.until_due();
    let status = pollster::block_on(scene.manager.status(Probe::Online));
    assert_eq!(status.outcome, StatusOutcome::Valid);
    assert_eq!(status.credentials[0].state, CredentialState::Due);
    assert_eq!(scene.story.requests(), ["GET /v1/dataSources"]);
}

#[test]
fn no_debug_form_shows_a_secret() {
    let (scene, token) = Scene::with_token();
    let report = pollster::block_on(scene.manager.refresh_token()).expect("a report");
    let status = pollster::block_on(scene.manager.status(Probe::Online));
    scene
        .story
        .sandbox
        .revoke_grant(&scene.story.access_token());
    let error = pollster::block_on(scene.manager.refresh_token()).expect_err("no token");
    let shown = format!(
        "{:?} {:?} {token:?} {report:?} {status:?} {error:?} {error} {:?}",
        scene.manager,
        scene.get(),
        scene.story.named_sources(),
    );
    for secret in scene.story.secrets() {
        support::assert_no_piece(&shown, &secret);
    }
}

/// A manager over a token that was pasted in by hand and has ten hours to live.
fn pasted() -> (Scene, String) {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let scene = Scene::over(story);
    scene.advance(DAY * 14 - HOUR * 10);
    (scene, tokens.access_token)
}

#[test]
fn a_token_of_unknown_lifetime_is_renewed_when_half_of_what_was_left_is_over() {
    let (scene, pasted) = pasted();
    assert_eq!(scene.get().expose(), pasted);
    scene.advance(HOUR * 4);
    assert_eq!(scene.get().expose(), pasted);
    scene.advance(HOUR + SignedDuration::from_mins(1));
    let gate = scene.story.sandbox.gate(Endpoint::ServiceAppRefresh);

    assert_eq!(scene.get().expose(), pasted, "nobody waits");
    gate.wait_for_request();
    gate.release();
}

#[test]
fn what_was_left_counts_from_when_a_token_was_first_seen() {
    let (scene, pasted) = pasted();
    scene
        .story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [unavailable()]);
    let report = pollster::block_on(scene.manager.refresh_token()).expect("it still works");
    assert_eq!(report.outcome, RunOutcome::Kept);
    scene.advance(HOUR * 6);

    let another = TokenManager::with_clock(scene.story.named_sources(), scene.clock.clone());
    let token = pollster::block_on(another.access_token()).expect("a token");

    assert_ne!(token.expose(), pasted);
}

#[test]
fn a_rejected_token_is_never_served_again_even_if_webex_accepts_it() {
    let (scene, old) = Scene::with_token();
    scene
        .story
        .sandbox
        .script_always(Endpoint::ServiceAppRefresh, unavailable());
    pollster::block_on(scene.manager.token_rejected(&old)).expect_err("no token");

    for _ in 0..3 {
        scene.advance(SignedDuration::from_mins(30));
        pollster::block_on(scene.manager.access_token()).expect_err("no token");
    }

    scene.story.sandbox.clear_faults();
    scene.advance(SignedDuration::from_mins(30));
    assert!(!same(&scene.get(), &old));
}

#[test]
fn a_rejection_is_not_answered_with_an_expired_token() {
    let (scene, old) = Scene::with_token();
    let newer = pollster::block_on(scene.manager.token_rejected(&old))
        .expect("a token")
        .clone();
    scene.until_expired();

    let newest = pollster::block_on(scene.manager.token_rejected(&old)).expect("a token");

    assert!(!same(&newest, &newer));
    assert!(scene.story.sandbox.is_live(newest.expose()));
}

#[test]
fn while_climbs_fail_the_file_is_looked_at_once_a_second() {
    let scene = Scene::new();
    let story = &scene.story;
    story.sandbox.revoke_grant(&story.refresh_token_in_env());
    for _ in 0..2 {
        pollster::block_on(scene.manager.access_token()).expect_err("no token");
    }
    let fresh = story.sandbox.issue_service_app_tokens();
    story.stored(&fresh.access_token, &fresh.refresh_token);

    let error = pollster::block_on(scene.manager.access_token());
    error.expect_err("the file was looked at within this second");
    scene.advance(SignedDuration::from_secs(1));
    assert_eq!(scene.get().expose(), fresh.access_token);
}

#[test]
fn a_forced_refresh_accepts_the_token_of_a_climb_that_it_joins() {
    let scene = Scene::new();
    let gate = scene.story.sandbox.gate(Endpoint::ServiceAppRefresh);
    let climbing = begun(scene.manager.access_token());
    gate.wait_for_request();
    let forced = begun(scene.manager.refresh_token());
    gate.release();

    let report = pollster::block_on(forced).expect("a report");
    let token = pollster::block_on(climbing).expect("a token");

    assert_eq!(report.outcome, RunOutcome::Refreshed);
    assert!(same(&token, report.access_token.as_ref().expect("a token")));
    assert_eq!(scene.refresh_requests(), 1);
}

#[test]
fn whether_the_token_works_is_one_question() {
    let scene = Scene::with_token().0;
    let story = &scene.story;
    let is_valid = || pollster::block_on(scene.manager.is_token_valid());
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);
    assert!(is_valid().expect("an answer"));
    assert_eq!(story.requests(), ["GET /v1/dataSources"]);

    story
        .sandbox
        .script(Endpoint::DataSources, [Fault::status(403)]);
    let error = is_valid().expect_err("that it may not list says nothing of its life");
    assert_eq!(error.report().outcome, RunOutcome::Misconfigured);
    assert!(!error.is_passing());
}

#[test]
fn a_dead_or_absent_token_is_not_valid_whatever_is_configured() {
    for config in ["{}", "{", r#"{ "serviceApp": { "clientId": "" } }"#] {
        let (scene, token) = Scene::with_token();
        let story = &scene.story;
        let is_valid = || pollster::block_on(scene.manager.is_token_valid());
        story.write("token-config.json", config);
        assert!(is_valid().expect("an answer"), "{config}");

        story.sandbox.revoke(token.expose());
        assert!(!is_valid().expect("an answer"), "{config}");

        story.sandbox.clear_requests();
        story.write_env("");
        assert!(!is_valid().expect("an answer"), "{config}");
        assert_eq!(story.requests(), [""; 0]);

        std::fs::remove_file(story.path(".env")).expect("a file is removed");
        std::fs::create_dir(story.path(".env")).expect("a folder is made");
        let error = is_valid().expect_err("no answer");
        assert_eq!(error.report().outcome, RunOutcome::Unreadable, "{config}");
    }
}

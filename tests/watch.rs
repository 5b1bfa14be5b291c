//! `watch` as a program that embeds it uses it: both clocks are kept, whatever happens to either.
//!
//! Time passes when a story lets it: the runtime's clock stands still, and the wall clock and the
//! sandbox's are turned by hand. The loop is known to be at rest when it has told what it was made
//! to tell, or written into the operation log what it was made to do.

#![cfg(unix)]

mod support;

use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use support::Story;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use webex_sandbox::{DataSourceShape, Endpoint, Fault, Gate, Sandbox};
use webex_tokens::authorized::AuthorizedClient;
use webex_tokens::clock::Clock;
use webex_tokens::config::{Environment, Flags, Sources};
use webex_tokens::manager::{RunOutcome, Stop, Stopper, TokenManager};
use webex_tokens::remedy::ExitStatus;
use webex_tokens::sources::watch::{Event, Options, Stopped, watch};
use webex_tokens::sources::{Changes, DataSources, SourceError};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// After this every source of 24 hours is past its half, whatever its jitter.
const PAST_HALF: SignedDuration = SignedDuration::from_mins(12 * 60 + 73);

/// Longer than any wait after a failure.
const PAST_RETRY: SignedDuration = SignedDuration::from_mins(23);

/// After this the token has less than a day of its fourteen left.
const UNTIL_DUE: SignedDuration = SignedDuration::from_hours(24 * 13 + 12);

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A watch under way.
struct Scene {
    story: Story,
    clock: Clock,
    manager: TokenManager,
    events: UnboundedReceiver<Event>,
    stopper: Stopper,
    task: JoinHandle<Result<Stopped, SourceError>>,
    /// While this is held, the runtime's clock does not run ahead of requests that are in flight.
    _standstill: mpsc::Sender<()>,
}

/// A story with a token that works.
fn story() -> Story {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    story
}

impl Scene {
    /// Starts a watch.
    fn over(story: Story) -> Self {
        let (standstill, released) = mpsc::channel::<()>();
        // A blocking task keeps a paused clock from running ahead. If a story hangs, it goes on, and
        // the story ends with a message.
        tokio::task::spawn_blocking(move || released.recv_timeout(PATIENCE));
        let clock = Clock::manual(Clock::System.now());
        let sources = Sources {
            flags: Flags {
                config: Some(story.path("token-config.json")),
                env_file: Some(story.path(".env")),
                api_base_url: Some(story.sandbox.base_url()),
                ..Flags::default()
            },
            environment: Environment::default(),
        };
        let manager = TokenManager::with_clock(sources, clock.clone());
        let (stopper, stop) = Stop::pair();
        let (sender, events) = tokio::sync::mpsc::unbounded_channel();
        let calls = AuthorizedClient::new(manager.clone()).expect("settings that serve");
        let calls = DataSources::new(calls.until(stop));
        let changes = Changes::open(calls, None).expect("a log");
        let task = tokio::spawn(async move {
            let options = Options {
                concurrency: NonZeroUsize::new(4).expect("four"),
            };
            let told = |event| drop(sender.send(event));
            watch(&changes, options, told).await
        });
        Self {
            story,
            clock,
            manager,
            events,
            stopper,
            task,
            _standstill: standstill,
        }
    }

    /// Starts a watch over so many fresh data sources.
    async fn with_sources(count: usize) -> (Self, Vec<String>) {
        let story = story();
        let ids = story.sandbox.seed_data_sources(count);
        let mut scene = Self::over(story);
        scene.tells("watching").await;
        (scene, ids)
    }

    fn sandbox(&self) -> &Sandbox {
        &self.story.sandbox
    }

    async fn next(&mut self) -> Event {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("it tells something").expect("it goes on")
    }

    /// Waits for the next event, which must be this one.
    #[track_caller]
    fn tells(&mut self, expected: &str) -> impl Future<Output = Event> {
        let caller = std::panic::Location::caller();
        async move {
            let event = self.next().await;
            assert_eq!(shown(&event), expected, "at {caller}: {event:?}");
            event
        }
    }

    /// Waits for as many events as these, which come in any order.
    #[track_caller]
    fn tells_all<'a>(&'a mut self, expected: &'a [String]) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let mut told = Vec::new();
            for _ in expected {
                told.push(shown(&self.next().await));
            }
            let mut expected = expected.to_vec();
            told.sort();
            expected.sort();
            assert_eq!(told, expected, "at {caller}");
        }
    }

    /// Lets time pass here and at Webex, all at once as for a machine that was suspended. The runtime's
    /// clock goes on for a minute alone, which is the longest nap.
    async fn pass(&self, by: SignedDuration) {
        self.clock.advance(by);
        let by = Duration::try_from(by).expect("time goes on");
        self.sandbox().advance(by);
        tokio::time::advance(Duration::from_mins(1)).await;
    }

    /// The same until the list is read again, as is seen by a new data source in it.
    async fn pass_and_list(&mut self, by: SignedDuration) -> String {
        self.clock.advance(by);
        let by = Duration::try_from(by).expect("time goes on");
        self.sandbox().advance(by);
        let id = self.sandbox().seed_data_sources(1).remove(0);
        tokio::time::advance(Duration::from_mins(1)).await;
        self.tells(&format!("added {id}")).await;
        id
    }

    /// Lets time pass, again and again, until something is so: a climb has a thread of its own and takes
    /// real time, and the loop is not known to be at rest when that ends.
    async fn pass_until(&self, by: SignedDuration, is_so: impl Fn(&Self) -> bool) {
        let patience = std::time::Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(std::time::Instant::now() < patience, "it never is so");
            self.pass(by).await;
            for _ in 0..1000 {
                if is_so(self) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits until something outside of the loop is so.
    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let patience = std::time::Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(std::time::Instant::now() < patience, "it never is so");
            tokio::task::yield_now().await;
        }
    }

    /// How many changes the operation log has.
    fn logged(&self) -> usize {
        self.story.read("data-sources.log").lines().count()
    }

    /// What was asked about single data sources, as `METHOD id`.
    fn asked(&self) -> Vec<String> {
        let requests = self.sandbox().requests();
        let single = requests.iter().filter_map(|request| {
            let id = request.path.strip_prefix("/v1/dataSources/")?;
            Some(format!("{} {id}", request.method))
        });
        single.collect()
    }

    /// Tells it to stop, and waits for the end.
    async fn stop(&mut self) -> Stopped {
        self.stopper.stop();
        self.end().await.expect("it ends well")
    }

    async fn end(&mut self) -> Result<Stopped, SourceError> {
        let ended = tokio::time::timeout(PATIENCE, &mut self.task).await;
        ended.expect("it ends").expect("without a panic")
    }

    /// Runs `data-sources` of somebody else.
    fn elsewhere(&self, arguments: &[&str]) {
        self.story.data_sources(arguments).exits(0);
    }
}

/// An event in a few words.
fn shown(event: &Event) -> String {
    match event {
        Event::Watching { .. } => "watching".to_owned(),
        Event::Added { id, .. } => format!("added {id}"),
        Event::Gone { id } => format!("gone {id}"),
        Event::Disabled { id, .. } => format!("disabled {id}"),
        Event::Enabled { id, .. } => format!("enabled {id}"),
        Event::ExtendedElsewhere { id, .. } => format!("elsewhere {id}"),
        Event::Extended { id, .. } => format!("extended {id}"),
        Event::Failed { id, error, .. } => format!("failed {id}: {}", error.name()),
        Event::Unrecorded { id, .. } => format!("unrecorded {id}"),
        Event::Nameless { data_sources } => format!("nameless {data_sources}"),
        Event::ListFailed { error, .. } => format!("list failed: {}", error.name()),
        Event::ListRead => "list read".to_owned(),
        Event::TokenRenewed { .. } => "token renewed".to_owned(),
        Event::TokenFailed { report, works } => {
            let works = if *works { ", works" } else { "" };
            format!("token failed: {}{works}", report.outcome.name())
        }
        Event::TokenWorks => "token works".to_owned(),
        Event::Stopping { in_flight } => format!("stopping {in_flight}"),
    }
}

fn all(what: &str, ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| format!("{what} {id}")).collect()
}

#[test]
fn a_watch_can_be_spawned() {
    fn sent<T: Send>(_: &T) {}
    fn check(changes: &Changes, options: Options) {
        sent(&watch(changes, options, |_| {}));
    }
    let _ = check;
}

#[tokio::test(start_paused = true)]
async fn a_source_is_extended_at_half_of_its_life_and_not_before() {
    let story = story();
    let ids = story.sandbox.seed_data_sources(30);
    let start = Clock::System.now();
    let mut scene = Scene::over(story);
    let Event::Watching {
        data_sources: 30,
        disabled: 0,
        next: Some(next),
    } = scene.next().await
    else {
        panic!("there are thirty");
    };
    // Of thirty, the first comes within half of the spread, and none before half: of a life that a JWS
    // counts in whole seconds, from one that may be nearly over.
    let wait = next.duration_since(start);
    assert!(wait > HOUR * 12 - SignedDuration::from_secs(1), "{wait}");
    assert!(wait < HOUR * 12 + MINUTE * 37, "{wait}");

    scene.pass_and_list(HOUR * 12 - MINUTE).await;
    assert_eq!(scene.asked(), [""; 0]);

    let before = scene.sandbox().data_source(&ids[7]).expect("it is there");
    scene.pass(MINUTE * 75).await;
    scene.tells_all(&all("extended", &ids)).await;
    let after = scene.sandbox().data_source(&ids[7]).expect("it is there");
    assert_ne!(after["jwsToken"], before["jwsToken"]);
    for field in [
        "audience",
        "subject",
        "schemaId",
        "url",
        "tokenLifetimeMinutes",
        "status",
    ] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(scene.asked().len(), 60, "each is read and updated once");
    assert_eq!(scene.logged(), 30);

    // And again after another half.
    scene.pass(PAST_HALF).await;
    let told = scene.next().await;
    assert!(shown(&told).starts_with("extended"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn it_is_there_at_once_after_a_machine_was_suspended() {
    let (mut scene, ids) = Scene::with_sources(3).await;
    // For days, in which everything has expired.
    scene.pass(HOUR * 24 * 3).await;
    scene.tells_all(&all("extended", &ids)).await;
    let stopped = scene.stop().await;
    assert_eq!((stopped.alive, stopped.others), (3, 0));
    let left = stopped
        .until
        .expect("a date")
        .duration_since(scene.clock.now());
    assert!(left > HOUR * 23, "{left}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_holds_nothing_up() {
    let (mut scene, ids) = Scene::with_sources(2).await;
    scene.clock.advance(HOUR * -48);

    let by = Duration::try_from(PAST_HALF).expect("time goes on");
    scene.sandbox().advance(by);
    tokio::time::advance(by).await;

    scene.tells_all(&all("extended", &ids)).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_makes_no_storm() {
    let (mut scene, ids) = Scene::with_sources(1).await;
    // Webex does not think that it is half past anything.
    scene.clock.advance(HOUR * 24 * 5);
    tokio::time::advance(Duration::from_mins(1)).await;
    scene.tells(&format!("extended {}", ids[0])).await;

    for _ in 0..4 {
        // A new one is past its half as well, as far as this clock knows.
        let new = scene.pass_and_list(MINUTE * 16).await;
        scene.tells(&format!("extended {new}")).await;
    }
    let update = format!("PUT {}", ids[0]);
    let updates = scene.asked().into_iter().filter(|it| *it == update);
    assert_eq!(updates.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_retried_until_it_is_cured_even_past_the_end() {
    let (mut scene, ids) = Scene::with_sources(1).await;
    let id = &ids[0];
    // The answer is lost twice, which settles nothing, and is written down.
    scene
        .sandbox()
        .script_always(Endpoint::UpdateDataSource, Fault::status(500));
    scene.pass(PAST_HALF).await;
    let Event::Failed {
        expires_at: Some(expires_at),
        again_in,
        ..
    } = scene.tells(&format!("failed {id}: unknown")).await
    else {
        unreachable!("it is a failure");
    };
    assert!(again_in <= Duration::from_secs(45), "{again_in:?}");
    assert!(expires_at > scene.clock.now());
    // The same again is tried, and not told.
    for failures in 2..=5 {
        scene.pass(PAST_RETRY).await;
        scene.until(|scene| scene.logged() == failures).await;
    }
    // That it has expired is told.
    scene.pass(HOUR * 12).await;
    scene.tells(&format!("failed {id}: unknown")).await;
    scene.pass(PAST_RETRY).await;
    scene.until(|scene| scene.logged() == 7).await;

    scene.sandbox().clear_faults();
    scene.pass(PAST_RETRY).await;
    scene.tells(&format!("extended {id}")).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_again_before_its_wait_is_over() {
    let (mut scene, ids) = Scene::with_sources(1).await;
    scene
        .sandbox()
        .script_always(Endpoint::UpdateDataSource, Fault::status(400));
    scene.pass(PAST_HALF).await;
    scene.tells(&format!("failed {}: refused", ids[0])).await;
    let asked = scene.asked().len();

    // A refusal is looked at again after a quarter of an hour: fourteen looks at the clock later
    // nothing has been asked.
    for _ in 0..14 {
        scene.pass(MINUTE).await;
    }
    scene.sandbox().clear_faults();
    scene.pass(MINUTE * 2).await;
    scene.tells(&format!("extended {}", ids[0])).await;
    assert_eq!(scene.asked().len(), asked + 2);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_brings_no_new_jws_is_a_failure() {
    let (mut scene, ids) = Scene::with_sources(1).await;
    let before = scene.sandbox().data_source(&ids[0]).expect("it is there");
    let stale = Fault::with("jwsToken", before["jwsToken"].clone());
    scene.sandbox().script(Endpoint::UpdateDataSource, [stale]);
    scene.pass(PAST_HALF).await;
    scene
        .tells(&format!("failed {}: not_renewed", ids[0]))
        .await;
    assert_eq!(scene.asked().len(), 2, "there is no hot loop");

    // It had been renewed all the same, as is seen the next time.
    scene.pass(PAST_RETRY).await;
    scene.tells(&format!("elsewhere {}", ids[0])).await;
}

#[tokio::test(start_paused = true)]
async fn what_others_do_is_noticed() {
    let (mut scene, ids) = Scene::with_sources(3).await;
    let mut ids = ids;
    ids.sort();
    scene.clock.advance(SignedDuration::from_secs(3));
    scene.sandbox().advance(Duration::from_secs(3));
    let new = scene.sandbox().seed_data_sources(1).remove(0);
    scene.elsewhere(&["delete", &ids[0], "--yes"]);
    scene.elsewhere(&["disable", &ids[1], "--error-message", "in maintenance"]);
    scene.elsewhere(&["extend", &ids[2]]);
    scene.pass(MINUTE * 16).await;
    scene
        .tells_all(&[
            format!("added {new}"),
            format!("gone {}", ids[0]),
            format!("disabled {}", ids[1]),
            format!("elsewhere {}", ids[2]),
        ])
        .await;

    // The disabled one is left alone.
    scene.sandbox().clear_requests();
    scene.pass(PAST_HALF).await;
    let kept = [new, ids[2].clone()];
    scene.tells_all(&all("extended", &kept)).await;
    assert!(scene.asked().iter().all(|it| !it.contains(&ids[1])));

    scene.elsewhere(&["enable", &ids[1]]);
    scene.pass(MINUTE * 16).await;
    scene.tells(&format!("enabled {}", ids[1])).await;
    let stopped = scene.stop().await;
    assert_eq!((stopped.alive, stopped.others), (3, 0));
}

/// Waits until so many requests are held at a gate.
async fn held(scene: &Scene, gate: &Gate, count: usize) {
    scene.until(|_| gate.waiting() == count).await;
}

#[tokio::test(start_paused = true)]
async fn what_others_do_after_the_list_was_read_is_noticed_before_an_update() {
    let (mut scene, ids) = Scene::with_sources(1).await;
    let id = &ids[0];
    scene.clock.advance(PAST_HALF);
    let by = Duration::try_from(PAST_HALF).expect("time goes on");
    scene.sandbox().advance(by);
    let new = scene.sandbox().seed_data_sources(1).remove(0);
    let fresh = scene.sandbox().data_source(&new).expect("it is there");
    let extended = Fault::with("jwsToken", fresh["jwsToken"].clone());
    scene.sandbox().script(Endpoint::ReadDataSource, [extended]);
    scene.pass(MINUTE).await;
    scene.tells(&format!("added {new}")).await;
    scene.tells(&format!("elsewhere {id}")).await;

    let disabled = Fault::with("status", "disabled");
    scene.sandbox().script(Endpoint::ReadDataSource, [disabled]);
    scene.pass(PAST_HALF).await;
    let told = [shown(&scene.next().await), shown(&scene.next().await)];
    assert!(told.iter().any(|it| it.starts_with("disabled")), "{told:?}");
    let updates = scene.asked().into_iter().filter(|it| it.starts_with("PUT"));
    assert_eq!(updates.count(), 1, "the other one");
}

#[tokio::test(start_paused = true)]
async fn a_list_without_ids_is_told_once() {
    let story = story();
    story
        .sandbox
        .set_policy(|policy| policy.data_source_shape = DataSourceShape::Oas);
    story.sandbox.seed_data_sources(2);
    let mut scene = Scene::over(story);
    scene.tells("watching").await;
    scene.tells("nameless 2").await;
    scene.pass(MINUTE * 16).await;
    scene.sandbox().seed_data_sources(1);
    scene.pass(MINUTE * 16).await;
    scene.tells("nameless 3").await;
    assert_eq!(scene.asked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn without_a_list_what_is_known_is_kept_alive() {
    let (mut scene, ids) = Scene::with_sources(2).await;
    scene
        .sandbox()
        .script_always(Endpoint::DataSources, Fault::status(403));
    scene.pass(PAST_HALF).await;
    scene.tells("list failed: forbidden").await;
    scene.tells_all(&all("extended", &ids)).await;
    scene.pass(PAST_HALF).await;
    scene.tells_all(&all("extended", &ids)).await;

    scene.sandbox().clear_faults();
    scene.pass(PAST_RETRY).await;
    scene.tells("list read").await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_dies_in_the_middle_costs_one_climb_and_no_source() {
    let (mut scene, ids) = Scene::with_sources(6).await;
    let gate = scene.sandbox().gate(Endpoint::UpdateDataSource);
    scene.pass(PAST_HALF).await;
    held(&scene, &gate, 4).await;
    scene.sandbox().revoke(&scene.story.access_token());
    let grants = scene.sandbox().counts().refresh_requests;
    gate.release();

    let mut expected = all("extended", &ids);
    expected.push("token renewed".to_owned());
    scene.tells_all(&expected).await;
    assert_eq!(scene.sandbox().counts().refresh_requests, grants + 1);
    assert_eq!(scene.logged(), 6);
}

#[tokio::test(start_paused = true)]
async fn without_any_credential_it_stays_says_so_once_and_goes_on_when_a_human_was_there() {
    let (mut scene, ids) = Scene::with_sources(2).await;
    scene.sandbox().revoke_grant(&scene.story.access_token());
    let mut landings = scene.manager.landings();
    scene.pass(PAST_HALF).await;
    let Event::TokenFailed {
        report,
        works: false,
    } = scene.tells("token failed: reauthorization_required").await
    else {
        unreachable!("it failed");
    };
    assert!(
        report
            .remedy
            .as_ref()
            .expect("a way out")
            .to_string()
            .contains("setup_oauth")
    );
    for _ in 0..3 {
        landings.mark_unchanged();
        let has_landed = |_: &Scene| landings.has_changed().expect("the manager is there");
        scene.pass_until(PAST_RETRY, has_landed).await;
    }
    assert!(scene.events.is_empty(), "it is told once");

    let tokens = scene.sandbox().issue_service_app_tokens();
    scene
        .story
        .stored(&tokens.access_token, &tokens.refresh_token);
    scene
        .pass_until(MINUTE, |scene| !scene.events.is_empty())
        .await;
    scene.tells("token works").await;
    scene.tells_all(&all("extended", &ids)).await;
}

#[tokio::test(start_paused = true)]
async fn it_begins_without_a_credential_and_goes_on_when_a_human_was_there() {
    let story = story();
    story.sandbox.revoke_grant(&story.access_token());
    let mut scene = Scene::over(story);
    scene.tells("token failed: reauthorization_required").await;
    let tokens = scene.sandbox().issue_service_app_tokens();
    scene
        .story
        .stored(&tokens.access_token, &tokens.refresh_token);
    scene.pass(MINUTE).await;
    scene.tells("token works").await;
    scene.tells("watching").await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_while_the_token_works_is_told_in_time() {
    let mut scene = Scene::over(story());
    scene.tells("watching").await;
    let unavailable = Fault::status(503).header("Retry-After", "600");
    scene
        .sandbox()
        .script_always(Endpoint::ServiceAppRefresh, unavailable);
    scene.pass(UNTIL_DUE).await;
    scene.tells("token failed: kept, works").await;

    scene.sandbox().clear_faults();
    scene.pass(PAST_RETRY).await;
    scene.tells("token works").await;
    let Event::TokenRenewed { expires_at, .. } = scene.tells("token renewed").await else {
        unreachable!("it is renewed");
    };
    let left = expires_at
        .expect("a date")
        .duration_since(scene.clock.now());
    assert!(left > HOUR * 24 * 13, "{left}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_and_writes_down_what_is_in_flight_and_begins_nothing() {
    let (mut scene, ids) = Scene::with_sources(9).await;
    let reads = scene.sandbox().gate(Endpoint::ReadDataSource);
    let updates = scene.sandbox().gate(Endpoint::UpdateDataSource);
    scene.pass(PAST_HALF).await;
    held(&scene, &reads, 4).await;
    // Two go on to their update, two stay where they are.
    reads.release_one();
    reads.release_one();
    held(&scene, &updates, 2).await;
    held(&scene, &reads, 2).await;

    scene.stopper.stop();
    scene.tells("stopping 4").await;
    reads.release();
    updates.release();

    let stopped = scene.end().await.expect("it ends well");
    let first = shown(&scene.next().await);
    let second = shown(&scene.next().await);
    assert!(first.starts_with("extended ") && second.starts_with("extended "));
    assert!(
        scene.events.recv().await.is_none(),
        "there is nothing else to tell"
    );
    assert_eq!(scene.logged(), 2);
    let updates = scene
        .asked()
        .iter()
        .filter(|it| it.starts_with("PUT"))
        .count();
    assert_eq!((updates, scene.asked().len()), (2, 6));
    assert_eq!(stopped.alive, ids.len());
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_climb_that_is_under_way() {
    let mut scene = Scene::over(story());
    scene.tells("watching").await;
    let before = scene.story.access_token();
    let gate = scene.sandbox().gate(Endpoint::ServiceAppRefresh);
    // Renewed in the background: nobody waits for it.
    scene.pass(UNTIL_DUE).await;
    held(&scene, &gate, 1).await;

    scene.stopper.stop();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!scene.task.is_finished());
    gate.release();

    scene.end().await.expect("it ends well");
    assert_ne!(scene.story.access_token(), before);
    assert!(scene.sandbox().is_live(&scene.story.access_token()));
}

#[tokio::test(start_paused = true)]
async fn settings_that_do_not_serve_end_it_at_once() {
    let story = story();
    story.write_config(&json!({ "serviceApp": { "appId": "nonsense" } }));
    story.write_env("");
    let mut scene = Scene::over(story);
    let error = scene.end().await.expect_err("it cannot go on");
    let remedy = error.remedy().expect("a way out");
    assert_eq!(remedy.exit_status(), ExitStatus::Configuration);
    assert!(scene.events.recv().await.is_none(), "it is told once");
}

#[tokio::test(start_paused = true)]
async fn settings_that_go_wrong_later_do_not_end_it() {
    let (mut scene, ids) = Scene::with_sources(1).await;
    let config = scene.story.config();
    scene.sandbox().revoke(&scene.story.access_token());
    scene
        .story
        .write_config(&json!({ "serviceApp": { "appId": "nonsense" } }));
    scene.pass(PAST_HALF).await;
    let Event::TokenFailed { report, .. } = scene.next().await else {
        panic!("there is no token");
    };
    assert_eq!(report.outcome, RunOutcome::Misconfigured);

    scene.story.write_config(&config);
    scene.pass(PAST_RETRY).await;
    scene.tells("token works").await;
    scene.tells("token renewed").await;
    scene.tells(&format!("extended {}", ids[0])).await;
}

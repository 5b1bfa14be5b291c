//! Many runs, threads and programs at one time over one expired `.env`, where Webex rotates refresh
//! tokens and takes reuse for theft: one grant, one token, and readers that never see half of it.
//!
//! How they come to contend is not left to chance: the lock is held until all wait for it, or the
//! first request is held at Webex until all others wait; and now and then it is left to chance.

#![cfg(unix)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use webex_sandbox::{Counts, Endpoint, Fault, Policy, Position, Reuse, Sandbox};

use support::crowd::{Crowd, Ended};
use support::onlookers::{Onlookers, Seen};
use support::{
    ACCESS_TOKEN_KEY, CHECK_TOKEN, DATA_SOURCES, Hand, Is, REFRESH_TOKEN, REFRESH_TOKEN_KEY, Story,
    disk, torture,
};
use webex_tokens::manager::TokenManager;

/// How many there are of whatever is let loose.
const MANY: usize = 64;

/// How a run ends that is killed.
const KILLED: i32 = 128 + 9;

/// What a run says that finds an answer lost.
const CUT_OFF: &str = "ended before its answer was saved";

/// Lines of somebody else, in every notation that all readers agree on.
const FOREIGN: &str = "# Settings of the job: it's \"nightly\".\n\
    JOB=nightly\n\
    \n\
    export GREETING='hello  world' # said at the start\n\
    \tINDENTED=\"a b\"\n\
    URL=https://example.com/?a=b\n";

/// What stands for a token in what is compared.
const A_TOKEN: &str = "<token>";

/// A scene of a race: an expired token among foreign lines.
struct Scene {
    story: Story,
}

impl Scene {
    /// A refresh token that works, and the rungs of `hand` besides.
    fn new(hand: Hand) -> Self {
        let story = Story::refreshed(strict(), hand);
        let access_token = story.access_token();
        story.sandbox.expire(&access_token);
        story.expire_in_state();
        let text = framed(&access_token, &story.refresh_token_in_env());
        story.write_env(text);
        story.sandbox.clear_requests();
        Self { story }
    }

    /// Nothing works but the integration's refresh token.
    fn with_integration_alone() -> Self {
        let scene = Self::new(Hand::REFRESH_TOKEN);
        let story = &scene.story;
        story.sandbox.revoke(&story.refresh_token_in_env());
        let tokens = story.sandbox.issue_integration_tokens();
        story.sandbox.revoke(&tokens.access_token);
        story.configured_with(Some(&tokens.access_token), Some(&tokens.refresh_token));
        let mut config = story.config();
        // Between the two, by the order of the alphabet: a file written over is torn for a while.
        config["tokenManager"]["notes"] = vec!["somebody else's"; 500].into();
        story.write_config(&config);
        scene
    }

    /// Readers of its `.env`.
    fn onlookers(&self) -> Onlookers {
        Onlookers::of_env(&self.story.path(".env"))
    }

    fn counts(&self) -> Counts {
        self.story.sandbox.counts()
    }

    /// `refresh_token`s, each asked to tell of it in another way.
    fn refreshes(&self, count: usize) -> impl Iterator<Item = Command> {
        (0..count).map(|index| {
            let mut command = self.story.command(REFRESH_TOKEN);
            // Where each has its turn at Webex, the last one's comes late on a busy machine.
            command.args(["--lock-timeout", "3m", "--deadline", "3m"]);
            match index % 3 {
                0 => drop(command.arg("--print-token")),
                1 => drop(command.arg("--json")),
                _ => {}
            }
            command
        })
    }

    /// Asserts what every reader of `.env` has to have seen: both tokens, of one answer, and all
    /// else as it was.
    #[track_caller]
    fn env_was_always_whole(&self, seen: &Seen) {
        let mut pairs = seen.pairs.clone();
        for text in &seen.texts {
            let text = str::from_utf8(text).expect("the file is UTF-8");
            let value = |key: &str| {
                let prefix = format!("{key}=");
                let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
                value.unwrap_or_default().to_owned()
            };
            let [access, refresh] = [ACCESS_TOKEN_KEY, REFRESH_TOKEN_KEY].map(value);
            assert!(text == framed(&access, &refresh), "torn:\n{text}");
            pairs.insert([access, refresh]);
        }
        for pair in &pairs {
            self.were_issued_together(pair);
        }
    }

    /// The same for `token-config.json`.
    #[track_caller]
    fn config_was_always_whole(&self, seen: &Seen) {
        let parts = |text: &str| {
            let config: Value = serde_json::from_str(text).expect("torn: no JSON");
            let manager = &config["tokenManager"];
            let tokens = [
                &manager["personalAccessToken"],
                &manager["integration"]["refreshToken"],
            ];
            let pair = tokens.map(|token| token.as_str().unwrap_or_default().to_owned());
            let frame = text.replace(&pair[0], A_TOKEN).replace(&pair[1], A_TOKEN);
            (pair, frame)
        };
        let (_, frame) = parts(&self.story.read("token-config.json"));
        for text in &seen.texts {
            let text = str::from_utf8(text).expect("the file is UTF-8");
            let (pair, framed) = parts(text);
            assert!(framed == frame, "torn:\n{text}");
            self.were_issued_together(&pair);
        }
    }

    #[track_caller]
    fn were_issued_together(&self, [access, refresh]: &[String; 2]) {
        assert!(
            self.story.sandbox.were_issued_together(access, refresh),
            "a reader saw tokens that do not belong together: {access:?}, {refresh:?}"
        );
    }

    /// Asserts that one grant was made, and that everybody has its token.
    #[track_caller]
    fn one_grant_served(&self, ended: &[Ended]) {
        self.one_grant_was_made();
        self.all_have_one_live_token(ended);
    }

    #[track_caller]
    fn one_grant_was_made(&self) {
        let counts = self.counts();
        let asked = (counts.refresh_requests, counts.grants, counts.mint_requests);
        assert_eq!(asked, (1, 1, 0), "{counts:?}");
    }

    /// Asserts that everybody has the token on disk, which lives.
    #[track_caller]
    fn all_have_one_live_token(&self, ended: &[Ended]) {
        let token = self.live_token();
        for run in ended {
            assert_eq!(run.code, 0, "{run:#?}");
            if run.prints_token {
                assert!(run.stdout == format!("{token}\n"), "another token");
            }
        }
    }

    /// The token on disk, which lives, and for which nothing was reused.
    #[track_caller]
    fn live_token(&self) -> String {
        let (sandbox, counts) = (&self.story.sandbox, self.counts());
        assert_eq!(counts.reused_refresh_tokens, 0, "{counts:?}");
        assert_eq!(counts.overlapping_refreshes, 0, "{counts:?}");
        let token = self.story.access_token();
        assert!(sandbox.is_live(&token), "the token on disk is dead");
        let refresh_token = self.story.refresh_token_in_env();
        assert!(sandbox.is_live_refresh_token(&refresh_token));
        token
    }
}

/// A Webex that rotates refresh tokens and takes reuse for theft.
fn strict() -> Sandbox {
    let policy = Policy {
        rotate: true,
        reuse: Reuse::RevokeGrant,
        ..Policy::default()
    };
    Sandbox::builder().policy(policy).start()
}

/// A `.env` with these tokens. There is enough between the two that a file that is written over is
/// torn for a while.
fn framed(access_token: &str, refresh_token: &str) -> String {
    let foreign = FOREIGN.repeat(40);
    format!(
        "{ACCESS_TOKEN_KEY}={access_token}\n{foreign}{REFRESH_TOKEN_KEY}={refresh_token}\n# end"
    )
}

/// How they come to contend.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// The lock is held until all of them wait for it.
    Together,
    /// The first to get the lock is held at Webex until all others wait for it. There was no lock
    /// file before.
    BehindOne,
    /// Each on its own.
    Freely,
}

impl Start {
    /// Each in its turn.
    fn of_round(round: usize) -> Self {
        [Self::Together, Self::BehindOne, Self::Freely][round % 3]
    }
}

/// Lets them loose: how they ended.
#[track_caller]
fn race(scene: &Scene, start: Start, commands: impl Iterator<Item = Command>) -> Vec<Ended> {
    let story = &scene.story;
    let lock = story.path(".env.lock");
    let commands = commands.map(logging);
    let crowd = match start {
        Start::Together => {
            let held = disk::hold_lock(&lock);
            let mut crowd = Crowd::start(commands);
            crowd.wait_until_all_wait(None);
            drop(held);
            crowd
        }
        Start::BehindOne => {
            fs::remove_file(&lock).expect("the lock file is removed");
            let gate = story.sandbox.gate(Endpoint::AccessToken);
            let mut crowd = Crowd::start(commands);
            gate.wait_for_request();
            crowd.wait_until_all_wait(Some(holder(&lock)));
            gate.release();
            crowd
        }
        Start::Freely => Crowd::start(commands),
    };
    crowd.finish(story)
}

fn logging(mut command: Command) -> Command {
    command.arg("-v");
    command
}

/// Who holds the lock.
#[track_caller]
fn holder(lock: &Path) -> u32 {
    let text = fs::read(lock).expect("the lock file");
    let text = String::from_utf8_lossy(&text);
    let pid = text.strip_prefix("held by pid ").expect("who holds it");
    let pid = pid.lines().next().expect("a line").trim_end();
    pid.parse().expect("a process id")
}

/// Tells on failure which seed it was.
struct Seeded(u64);

impl Drop for Seeded {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the seed is {}", self.0);
        }
    }
}

/// Runs the rounds that were not run before: how many there are.
fn rounds(name: &str, count: usize, mut round: impl FnMut(usize)) -> usize {
    let mut ledger = torture::Ledger::of(&format!("races-{name}"), Path::new(REFRESH_TOKEN));
    for number in 0..count {
        let step = number.to_string();
        if !ledger.has(&step) {
            let _seed = Seeded(number as u64);
            round(number);
            ledger.note(&step);
        }
    }
    count
}

#[expect(clippy::print_stdout, reason = "a proof tells its figures")]
fn tell(figures: &str) {
    println!("races: {figures}");
}

// Runs.

#[test]
fn sixty_four_processes_make_one_grant() {
    let mut reads = 0;
    let rounds = rounds("processes", torture::size(3, 50), |round| {
        let scene = Scene::new(Hand::REFRESH_TOKEN);
        let onlookers = scene.onlookers();
        let ended = race(&scene, Start::of_round(round), scene.refreshes(MANY));
        let seen = onlookers.finish();
        assert_eq!(ended.len(), MANY);
        scene.one_grant_served(&ended);
        scene.env_was_always_whole(&seen);
        assert_eq!(seen.texts.len(), 2, "the file changed once");
        reads += seen.reads;
    });
    tell(&format!(
        "{MANY} processes, {rounds} times: {rounds} grants, 0 reused, {reads} reads, 0 torn"
    ));
}

#[test]
fn refreshes_lists_and_checks_at_once_make_one_grant() {
    let mut reads = 0;
    let rounds = rounds("programs", torture::size(2, 50), |round| {
        let scene = Scene::new(Hand::REFRESH_TOKEN);
        let story = &scene.story;
        let others = |program, argument: &'static str| {
            (0..16).map(move |_| {
                let mut command = story.command(program);
                command.arg(argument);
                command
            })
        };
        let commands = scene
            .refreshes(32)
            .chain(others(DATA_SOURCES, "list"))
            .chain(others(CHECK_TOKEN, "--json"));
        let onlookers = scene.onlookers();
        let ended = race(&scene, Start::of_round(round), commands);
        let seen = onlookers.finish();
        let (served, checks) = ended.split_at(48);
        scene.one_grant_served(served);
        for check in checks {
            let outcome = match check.code {
                0 => "valid",
                1 => "renewable",
                _ => panic!("{check:#?}"),
            };
            let told: Value = serde_json::from_str(&check.stdout).expect("JSON");
            assert_eq!(told["outcome"], outcome);
        }
        scene.env_was_always_whole(&seen);
        reads += seen.reads;
    });
    tell(&format!(
        "32 refresh_token, 16 data-sources list, 16 check_token, {rounds} times: {rounds} grants, \
         0 reused, {reads} reads, 0 torn"
    ));
}

#[test]
fn sixty_four_climbs_through_the_integration_tear_neither_file() {
    let mut reads = 0;
    let rounds = rounds("integration", torture::size(2, 50), |round| {
        let scene = Scene::with_integration_alone();
        let config = Onlookers::of(&scene.story.path("token-config.json"));
        let env = scene.onlookers();
        let ended = race(&scene, Start::of_round(round), scene.refreshes(MANY));
        let (env, config) = (env.finish(), config.finish());
        let counts = scene.counts();
        // The service app's, which is refused, and the integration's.
        assert_eq!((counts.refresh_requests, counts.refreshes), (2, 1));
        assert_eq!((counts.mint_requests, counts.mints), (2, 1));
        scene.all_have_one_live_token(&ended);
        scene.env_was_always_whole(&env);
        scene.config_was_always_whole(&config);
        assert_eq!((env.texts.len(), config.texts.len()), (2, 2));
        reads += env.reads + config.reads;
    });
    tell(&format!(
        "{MANY} climbs through the integration, {rounds} times: {rounds} renewals, {rounds} mints, \
         0 reused, {reads} reads, 0 torn"
    ));
}

#[test]
fn two_files_share_one_integration() {
    let rounds = rounds("two-files", torture::size(2, 50), |round| {
        let scene = Scene::with_integration_alone();
        let story = &scene.story;
        let (lock, names) = (story.path("token-config.json.lock"), ["one.env", "two.env"]);
        for name in names {
            story.write(name, FOREIGN);
        }
        let commands = (0..MANY).map(|index| {
            let mut command = story.command(REFRESH_TOKEN);
            command.arg("--env-file").arg(names[index % 2]);
            logging(command)
        });
        let onlookers = Onlookers::of(&story.path("token-config.json"));
        let crowd = match round % 2 {
            0 => {
                let gate = story.sandbox.gate(Endpoint::IntegrationRefresh);
                let mut crowd = Crowd::start(commands);
                gate.wait_for_request();
                crowd.wait_until_all_wait(Some(holder(&lock)));
                gate.release();
                crowd
            }
            _ => Crowd::start(commands),
        };
        let ended = crowd.finish(story);
        let seen = onlookers.finish();
        let counts = scene.counts();
        assert_eq!((counts.refresh_requests, counts.refreshes), (1, 1));
        assert_eq!(counts.mints, 2, "{counts:?}");
        assert_eq!(counts.overlapping_refreshes, 0);
        assert_eq!(counts.reused_refresh_tokens, 0);
        for run in &ended {
            assert_eq!(run.code, 0, "{run:#?}");
        }
        for name in names {
            let text = story.read(name);
            assert!(text.starts_with(FOREIGN), "{name}");
            let prefix = format!("{ACCESS_TOKEN_KEY}=");
            let token = text.lines().find_map(|line| line.strip_prefix(&prefix));
            assert!(story.sandbox.is_live(token.expect("a token")), "{name}");
        }
        scene.config_was_always_whole(&seen);
        assert_eq!(seen.texts.len(), 2, "the file changed once");
    });
    tell(&format!(
        "2 files with 32 processes each over one integration, {rounds} times: {rounds} renewals, \
         0 at one time, 0 reused"
    ));
}

// Threads.

/// Starts a thread for each of these managers, which asks for the token when all are there.
fn callers<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    managers: &'scope [TokenManager],
    barrier: &'scope Barrier,
) -> Vec<ScopedJoinHandle<'scope, String>> {
    let ask = |manager: &'scope TokenManager| {
        scope.spawn(move || {
            barrier.wait();
            let token = pollster::block_on(manager.access_token()).expect("a token");
            token.expose().to_owned()
        })
    };
    managers.iter().map(ask).collect()
}

#[track_caller]
fn threads_make_one_grant(name: &str, managers: impl Fn(&Story) -> Vec<TokenManager>) {
    let mut reads = 0;
    let rounds = rounds(name, torture::size(10, 50), |_| {
        let scene = Scene::new(Hand::REFRESH_TOKEN);
        let managers = managers(&scene.story);
        let barrier = Barrier::new(managers.len());
        let onlookers = scene.onlookers();
        let tokens: Vec<_> = thread::scope(|scope| {
            let callers = callers(scope, &managers, &barrier);
            let ended = callers.into_iter().map(ScopedJoinHandle::join);
            ended.map(|token| token.expect("a thread ends")).collect()
        });
        let seen = onlookers.finish();
        assert_eq!(tokens.len(), MANY);
        scene.one_grant_was_made();
        let token = scene.live_token();
        assert!(tokens.iter().all(|it| *it == token), "another token");
        scene.env_was_always_whole(&seen);
        reads += seen.reads;
    });
    tell(&format!(
        "{MANY} threads, {name}, {rounds} times: {rounds} grants, 0 reused, {reads} reads, 0 torn"
    ));
}

#[test]
fn sixty_four_threads_of_one_manager_make_one_grant() {
    threads_make_one_grant("one-manager", |story| {
        vec![TokenManager::new(story.named_sources()); MANY]
    });
}

#[test]
fn sixty_four_threads_with_a_manager_each_make_one_grant() {
    threads_make_one_grant("many-managers", |story| {
        let manager = |_| TokenManager::new(story.named_sources());
        (0..MANY).map(manager).collect()
    });
}

#[test]
fn processes_and_threads_make_one_grant() {
    let mut reads = 0;
    let rounds = rounds("mixed", torture::size(2, 50), |_| {
        let scene = Scene::new(Hand::REFRESH_TOKEN);
        let story = &scene.story;
        let mut managers = vec![TokenManager::new(story.named_sources()); 16];
        managers.extend((0..16).map(|_| TokenManager::new(story.named_sources())));
        let barrier = Barrier::new(managers.len() + 1);
        let onlookers = scene.onlookers();
        let held = disk::hold_lock(&story.path(".env.lock"));
        let mut crowd = Crowd::start(scene.refreshes(32).map(logging));
        let tokens: Vec<_> = thread::scope(|scope| {
            let callers = callers(scope, &managers, &barrier);
            crowd.wait_until_all_wait(None);
            barrier.wait();
            drop(held);
            let ended = callers.into_iter().map(ScopedJoinHandle::join);
            ended.map(|token| token.expect("a thread ends")).collect()
        });
        let ended = crowd.finish(story);
        let seen = onlookers.finish();
        assert_eq!(tokens.len() + ended.len(), MANY);
        scene.one_grant_served(&ended);
        let token = scene.live_token();
        assert!(tokens.iter().all(|it| *it == token), "another token");
        scene.env_was_always_whole(&seen);
        reads += seen.reads;
    });
    tell(&format!(
        "32 processes and 32 threads, {rounds} times: {rounds} grants, 0 reused, {reads} reads, \
         0 torn"
    ));
}

#[test]
fn callers_that_give_up_lose_nothing() {
    let mut given_up = 0;
    let rounds = rounds("given-up", torture::size(15, 150), |round| {
        let mut rng = Rng::with_seed(round as u64);
        let scene = Scene::new(Hand::REFRESH_TOKEN);
        let manager = TokenManager::new(scene.story.named_sources());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .expect("a runtime");
        let positions = [Position::BeforeActing, Position::BeforeAnswering];
        let position = positions[round % 2];
        let gate = scene
            .story
            .sandbox
            .gate_at(Endpoint::ServiceAppRefresh, position);
        let call = |_| {
            let manager = manager.clone();
            runtime.spawn(async move {
                let token = manager.access_token().await;
                token.map(|token| token.expose().to_owned())
            })
        };
        let mut calls: Vec<_> = (0..MANY).map(call).collect();
        rng.shuffle(&mut calls);
        // Some before the request is known to be under way, some during it, some after it; in every
        // third round nobody stays.
        let stay = if round % 3 == 0 { 0 } else { rng.usize(1..8) };
        let leave = calls.split_off(stay);
        let share = leave.len() / 3;
        for (index, call) in leave.iter().enumerate() {
            if index == share {
                gate.wait_for_request();
            }
            if index == 2 * share {
                gate.release();
            }
            call.abort();
        }
        given_up += leave.len();
        let stayed: Vec<_> = runtime.block_on(async {
            let mut tokens = Vec::new();
            for call in calls {
                let token = call.await.expect("a task ends");
                tokens.push(token.expect("a token"));
            }
            tokens
        });
        pollster::block_on(manager.landed());
        scene.one_grant_was_made();
        let token = scene.live_token();
        assert!(stayed.iter().all(|it| *it == token), "another token");
    });
    tell(&format!(
        "{given_up} of {} callers gave up during {rounds} climbs: {rounds} grants, 0 tokens lost",
        rounds * MANY
    ));
}

// One of them dies.

/// The personal access token, besides the refresh token.
const TWO_RUNGS: Hand = Hand {
    access_token: Is::Absent,
    refresh_token: Is::Live,
    personal_access_token: Is::Live,
    integration: Is::Absent,
};

/// Kills the holder of the lock where its request is held at Webex and all others wait.
#[track_caller]
fn killed_at(scene: &Scene, at: Endpoint, position: Position) -> Vec<Ended> {
    let story = &scene.story;
    let lock = story.path(".env.lock");
    let gate = story.sandbox.gate_at(at, position);
    let held = disk::hold_lock(&lock);
    let mut crowd = Crowd::start(scene.refreshes(MANY).map(logging));
    crowd.wait_until_all_wait(None);
    drop(held);
    gate.wait_for_request();
    let victim = holder(&lock);
    crowd.kill(victim);
    if position == Position::BeforeActing {
        // What Webex has not begun, it does not begin for the dead.
        gate.wait_until_empty();
    }
    gate.release();
    let mut ended = crowd.finish(story);
    let dead = ended.iter().position(|run| run.pid == victim);
    let dead = ended.remove(dead.expect("the dead one"));
    assert_eq!(dead.code, KILLED, "{dead:#?}");
    ended
}

/// Whether somebody says that the answer to a run was lost.
fn tells_of_loss(ended: &[Ended]) -> bool {
    ended.iter().any(|run| run.says(CUT_OFF))
}

#[test]
fn a_holder_that_dies_before_its_answer_costs_one_mint() {
    let positions = [Position::BeforeActing, Position::BeforeAnswering];
    let rounds = rounds("dead-holder", torture::size(2, 50), |round| {
        let position = positions[round % 2];
        let scene = Scene::new(TWO_RUNGS);
        let onlookers = scene.onlookers();
        let ended = killed_at(&scene, Endpoint::ServiceAppRefresh, position);
        let seen = onlookers.finish();
        let counts = scene.counts();
        let acted = u64::from(position == Position::BeforeAnswering);
        assert_eq!((counts.refresh_requests, counts.refreshes), (1, acted));
        assert_eq!((counts.mint_requests, counts.mints), (1, 1));
        scene.all_have_one_live_token(&ended);
        assert!(tells_of_loss(&ended), "nobody tells of the lost answer");
        scene.env_was_always_whole(&seen);
    });
    tell(&format!(
        "{MANY} processes, the one at Webex killed, {rounds} times: {rounds} mints, 0 reused"
    ));
}

#[test]
fn a_holder_that_dies_after_its_save_costs_nothing() {
    let rounds = rounds("dead-after-save", torture::size(1, 50), |_| {
        let scene = Scene::new(TWO_RUNGS);
        let onlookers = scene.onlookers();
        let position = Position::BeforeAnswering;
        let ended = killed_at(&scene, Endpoint::DataSources, position);
        let seen = onlookers.finish();
        scene.one_grant_served(&ended);
        assert!(!tells_of_loss(&ended), "nothing was lost");
        scene.env_was_always_whole(&seen);
    });
    tell(&format!(
        "{MANY} processes, the one that had saved killed, {rounds} times: {rounds} grants, 0 mints"
    ));
}

#[test]
fn a_holder_that_dies_between_the_two_saves_costs_one_mint() {
    let rounds = rounds("dead-between", torture::size(1, 50), |_| {
        let scene = Scene::with_integration_alone();
        let story = &scene.story;
        // The mint with the personal access token, which is dead, comes first.
        story.configured_with(
            None,
            story.config()["tokenManager"]["integration"]["refreshToken"].as_str(),
        );
        let position = Position::BeforeAnswering;
        let ended = killed_at(&scene, Endpoint::Mint, position);
        let counts = scene.counts();
        assert_eq!((counts.refreshes, counts.mints), (1, 2));
        scene.all_have_one_live_token(&ended);
        assert!(tells_of_loss(&ended), "nobody tells of the lost answer");
    });
    tell(&format!(
        "{MANY} processes, the one between two saves killed, {rounds} times: {rounds} renewals, \
         0 reused"
    ));
}

#[test]
fn a_run_that_dies_at_any_moment_costs_one_mint_at_most() {
    let mut figures = [0; 3];
    let rounds = rounds("random", torture::size(4, 200), |round| {
        let mut rng = Rng::with_seed(round as u64);
        let scene = Scene::new(TWO_RUNGS);
        let story = &scene.story;
        let lock = story.path(".env.lock");
        let onlookers = scene.onlookers();
        // So that a good part of a climb is spent between the request and the save.
        let slow = Fault::delay(Duration::from_millis(rng.u64(0..40)));
        story.sandbox.script(Endpoint::ServiceAppRefresh, [slow]);
        let gate = story.sandbox.gate(Endpoint::ServiceAppRefresh);
        let held = disk::hold_lock(&lock);
        let mut crowd = Crowd::start(scene.refreshes(MANY).map(logging));
        crowd.wait_until_all_wait(None);
        drop(held);
        // Counted from the release of the lock, or from the request.
        if round % 2 == 0 {
            gate.wait_for_request();
        }
        gate.release();
        // The moment is the experiment; nothing is waited for.
        thread::sleep(Duration::from_micros(rng.u64(0..60_000)));
        let pids = crowd.pids();
        let holder = Some(holder(&lock)).filter(|pid| pids.contains(pid));
        let victim = holder.filter(|_| rng.u8(0..4) > 0);
        let victim = victim.unwrap_or_else(|| pids[rng.usize(0..pids.len())]);
        crowd.kill(victim);
        let ended = crowd.finish(story);
        let seen = onlookers.finish();
        let (dead, rest): (Vec<_>, Vec<_>) = ended.into_iter().partition(|it| it.pid == victim);
        assert_eq!((dead.len(), rest.len()), (1, MANY - 1));
        scene.all_have_one_live_token(&rest);
        let counts = scene.counts();
        assert!(counts.refresh_requests <= 1, "{counts:?}");
        match counts.mints {
            0 => {
                assert_eq!(counts.grants, 1, "{counts:?}");
                assert!(!tells_of_loss(&rest), "nothing was lost");
            }
            1 => assert!(tells_of_loss(&rest), "nobody tells of the lost answer"),
            _ => panic!("{counts:?}"),
        }
        scene.env_was_always_whole(&seen);
        let killed = usize::from(dead[0].code == KILLED);
        figures[0] += killed;
        figures[1] += usize::try_from(counts.mints).expect("few");
        figures[2] += usize::from(holder == Some(victim) && killed == 1);
    });
    let [killed, mints, holders] = figures;
    tell(&format!(
        "{MANY} processes, one killed at random, {rounds} times: {killed} died, {holders} of them \
         with the lock; {mints} mints, 0 reused"
    ));
}

#[test]
fn without_another_rung_a_doubtful_token_is_spent_and_nobody_is_silent() {
    for position in [Position::BeforeActing, Position::BeforeAnswering] {
        let scene = Scene::new(Hand::REFRESH_TOKEN);
        let onlookers = scene.onlookers();
        let ended = killed_at(&scene, Endpoint::ServiceAppRefresh, position);
        let seen = onlookers.finish();
        let counts = scene.counts();
        assert!(tells_of_loss(&ended), "nobody tells of the lost answer");
        assert_eq!((counts.grants, counts.overlapping_refreshes), (1, 0));
        if position == Position::BeforeActing {
            // The dead one's, and one more.
            assert_eq!(counts.refresh_requests, 2, "{counts:?}");
            scene.all_have_one_live_token(&ended);
            scene.env_was_always_whole(&seen);
        } else {
            // The only token there was is in the answer that was lost.
            for run in &ended {
                assert_eq!(run.code, 77, "{run:#?}");
                assert!(run.says("setup_oauth"), "{run:#?}");
            }
        }
    }
}

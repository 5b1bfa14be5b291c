//! A world that is lived through: one machine, its processes, a Webex, and a human.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use webex_sandbox::{Met, Rule, Sandbox, Verdict, Violation, Witness as _};
use webex_tokens::clock::Clock;
use webex_tokens::config::{Environment, Flags, Sources};
use webex_tokens::manager::{
    Limits, Need, Probe, Report, RunOutcome, Runner, Stop, TokenManager, Work, refresh,
};

use crate::disk::{Disk, Saved};
use crate::mortal::{Fate, Mortal};
use crate::pace::{Ground, Landing, Pace};
use crate::plan::{Credential, Event, Job, Kind, Plan};
use crate::weather::Sky;

/// When every world begins.
const START: i64 = 1_800_000_000;

const FLAG_KEY: &str = "WEBEX_REAUTHORIZATION_REQUIRED";

/// The client secret of another app.
const WRONG_SECRET: &str = "5f0e8b1c7a9d4e36b2c8f1a07d5e9c4b3a6f8e2d1c0b9a8f7e6d5c4b3a291807";

/// How long a run may last: its deadline, and a request in flight.
const LONGEST_RUN: Duration = Duration::from_secs(60 + 25);

/// How long a program may wait for a token: a climb that is under way, and one of its own.
const LONGEST_CALL: Duration = Duration::from_secs(2 * LONGEST_RUN.as_secs() + 1);

/// How long after the last trouble a long-lived program must have a token again, at the latest: the
/// longest pause between two climbs, and some.
const HEALED_WITHIN: Duration = Duration::from_mins(30);

/// How long before a human is needed the date must have been told.
const NOTICE: Duration = Duration::from_hours(30 * 24);

/// What happened in a world.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// The time that passed in it.
    pub lasted: Duration,
    /// Runs of `refresh_token`, and climbs of long-lived programs.
    pub runs: u64,
    /// Requests that reached Webex.
    pub requests: u64,
    /// Access tokens that were issued: refreshes and mints.
    pub issued: u64,
    /// Processes that died.
    pub deaths: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Times a human consented.
    pub consents: u64,
    /// Refresh tokens that were presented again: in doubt, and last.
    pub doubtful: u64,
    /// What stands for everything that happened, in order.
    pub trace: u64,
    /// What must never happen, and did.
    pub problems: Vec<Violation>,
}

impl Figures {
    /// Adds what happened in another world.
    pub fn add(&mut self, other: &Self) {
        self.lasted += other.lasted;
        self.runs += other.runs;
        self.requests += other.requests;
        self.issued += other.issued;
        self.deaths += other.deaths;
        self.power_cuts += other.power_cuts;
        self.consents += other.consents;
        self.doubtful += other.doubtful;
    }
}

/// Lives through the world of a plan.
///
/// # Panics
///
/// If the system gives no folder, socket or runtime.
#[must_use]
pub fn run(plan: &Plan) -> Figures {
    fastrand::seed(plan.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        // What was sent to a socket is to be there before time goes on. A busy kernel delivers it from a
        // thread of its own, which gets its turn here.
        .on_thread_park(std::thread::yield_now)
        .build()
        .expect("a runtime");
    let figures = runtime.block_on(LocalSet::new().run_until(live(plan)));
    // Connections that are left have nothing more to say.
    runtime.shutdown_background();
    figures
}

async fn live(plan: &Plan) -> Figures {
    let world = Rc::new(World::new(plan));
    let mut door = 0;
    let mut lives = Vec::new();
    for job in &plan.jobs {
        door += 1;
        lives.push(spawn_local(world.clone().works(door, *job)));
    }
    for every in &plan.programs {
        door += 1;
        lives.push(spawn_local(world.clone().serves(door, *every)));
    }
    spawn_local(world.clone().human());
    let began = world.began;
    for (at, event) in &plan.events {
        sleep_until(began + *at).await;
        world.happens(*event);
    }
    sleep_until(began + plan.lasts).await;
    world.looks_for_stragglers(&lives);
    world.ends()
}

struct World {
    plan: Plan,
    sandbox: Arc<Sandbox>,
    disk: Disk,
    sky: Sky,
    clock: Clock,
    /// How far the machine's clock is off, in milliseconds.
    offset: Arc<AtomicI64>,
    folder: TempDir,
    began: Instant,
    /// The next process that starts has this fate.
    next_fate: Cell<Option<u32>>,
    living: RefCell<Vec<Weak<Fate>>>,
    /// Changes when the machine loses power.
    power: watch::Sender<u64>,
    /// When something last happened.
    quiet_since: Cell<Instant>,
    /// The troubles of its disk that are not over.
    illnesses: Cell<usize>,
    /// The dates by which a human was said to be needed, and when it was said.
    told: RefCell<Vec<(Timestamp, Option<Timestamp>)>>,
    /// Whether a human was needed, after dates had been told.
    has_met_deadline: Cell<bool>,
    /// When the run behind a door began that has not ended.
    open: RefCell<BTreeMap<usize, Instant>>,
    /// How many violations of the judge's are among the problems.
    violations: Cell<usize>,
    /// How many changes in place are.
    overwrites: Cell<u64>,
    figures: RefCell<Figures>,
    trace: RefCell<DefaultHasher>,
}

impl World {
    fn new(plan: &Plan) -> Self {
        let shared_memory = PathBuf::from("/dev/shm");
        let folder = if shared_memory.is_dir() {
            tempfile::tempdir_in(shared_memory)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.expect("a folder");
        let disk = Disk::new(folder.path(), plan.seed);
        let sky = Sky::clear(plan.seed);
        let weather = sky.clone();
        let doors = plan.jobs.len() + plan.programs.len();
        let start = Timestamp::from_second(START).expect("in range");
        let sandbox = Sandbox::builder()
            .policy(plan.policy.clone())
            .seed(plan.seed)
            .doors(doors)
            .forget_requests()
            .weather(Arc::new(move |_, _| weather.strikes()))
            .judged(disk.clone())
            .start_here(SystemTime::from(start));
        let sandbox = Arc::new(sandbox);
        let offset = Arc::new(AtomicI64::new(0));
        let began = Instant::now();
        let off = Arc::clone(&offset);
        let clock = Clock::Other(Arc::new(move || {
            let since = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
            START * 1000 + since + off.load(Ordering::Relaxed)
        }));
        let world = Self {
            plan: plan.clone(),
            sandbox,
            disk,
            sky,
            clock,
            offset,
            folder,
            began,
            next_fate: Cell::new(None),
            living: RefCell::default(),
            power: watch::Sender::new(0),
            quiet_since: Cell::new(began),
            illnesses: Cell::new(0),
            told: RefCell::default(),
            has_met_deadline: Cell::new(false),
            open: RefCell::default(),
            violations: Cell::new(0),
            overwrites: Cell::new(0),
            figures: RefCell::default(),
            trace: RefCell::new(DefaultHasher::new()),
        };
        world.set_up();
        world
    }

    /// The two files, as a person would have written them.
    fn set_up(&self) {
        let tenant = self.sandbox.tenant();
        let mut config = json!({
            "serviceApp": {
                "appId": tenant.app_id,
                "clientId": tenant.client_id,
                "clientSecret": tenant.client_secret,
                "targetOrgId": tenant.target_org_id,
            },
            "tokenManager": {},
        });
        if self.plan.hand.personal_access_token {
            let token = self.sandbox.issue_personal_access_token();
            config["tokenManager"]["personalAccessToken"] = token.into();
        }
        if self.plan.hand.integration {
            config["tokenManager"]["integration"] = json!({
                "clientId": tenant.integration_client_id,
                "clientSecret": tenant.integration_client_secret,
                "refreshToken": self.sandbox.issue_integration_tokens().refresh_token,
            });
        }
        self.write("token-config.json", &format!("{config:#}\n"));
        let pair = self.sandbox.issue_service_app_tokens();
        self.write(
            ".env",
            &format!(
                "# written by hand\nOTHER=\"kept as it is\"\n\
                 WEBEX_SERVICE_APP_ACCESS_TOKEN={}\nWEBEX_SERVICE_APP_REFRESH_TOKEN={}\n",
                pair.access_token, pair.refresh_token
            ),
        );
    }

    /// Writes a file as an editor does that takes care.
    #[expect(
        clippy::disallowed_methods,
        reason = "plays the part of the user's editor"
    )]
    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        let new = self.folder.path().join("editor.tmp");
        fs::write(&new, text).expect("a file is written");
        fs::rename(new, path).expect("a file is renamed");
        self.disk.sync_all();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn sources(&self, door: usize) -> Sources {
        Sources {
            flags: Flags {
                config: Some(self.folder.path().join("token-config.json")),
                env_file: Some(self.folder.path().join(".env")),
                api_base_url: Some(self.sandbox.door(door)),
                ..Flags::default()
            },
            environment: Environment::default(),
        }
    }

    fn note(&self, what: &str) {
        let at = self.began.elapsed();
        (at, what).hash(&mut *self.trace.borrow_mut());
    }

    fn problem(&self, rule: Rule, what: &str) {
        let day = self.began.elapsed().as_secs_f64() / 86_400.0;
        let what = format!("day {day:.3}: {what}");
        let problem = Violation { rule, what };
        self.figures.borrow_mut().problems.push(problem);
    }

    /// What becomes of a process that starts now.
    fn fate(&self) -> Rc<Fate> {
        let fate = self.next_fate.take().map_or_else(Fate::natural, Fate::at);
        let mut living = self.living.borrow_mut();
        living.retain(|fate| fate.strong_count() > 0);
        living.push(Rc::downgrade(&fate));
        fate
    }

    /// Lives for as long as there is power.
    async fn powered<F: Future>(
        self: &Rc<Self>,
        door: usize,
        fate: &Rc<Fate>,
        work: F,
    ) -> Option<F::Output> {
        let mut power = self.power.subscribe();
        let seam = self.disk.seam(fate, self.watch_saves(door));
        let process = Mortal::new(fate, seam, work);
        match select(pin!(process), pin!(power.changed())).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => None,
        }
    }

    /// Has the judge look whenever `.env` is replaced.
    fn watch_saves(self: &Rc<Self>, door: usize) -> Saved {
        let sandbox = Arc::clone(&self.sandbox);
        Rc::new(move |before| sandbox.run_saved(door, before))
    }

    /// Whether nothing is wrong with the world but what a client has to live with.
    fn is_calm(&self) -> bool {
        self.sky.is_clear() && self.illnesses.get() == 0
    }

    fn begins(&self, door: usize) {
        self.sandbox.run_begins(door, &format!("door {door}"));
        self.open.borrow_mut().insert(door, Instant::now());
    }

    /// A run has ended: so, or with its process. What it has met.
    fn ended(&self, door: usize, report: Option<&Report>) -> Met {
        self.open.borrow_mut().remove(&door);
        let met = self.sandbox.run_ends(door, verdict(report));
        let violations = self.sandbox.violations_from(self.violations.get());
        self.violations.update(|known| known + violations.len());
        for Violation { rule, what } in violations {
            self.problem(rule, &format!("{what}; {}", told(report)));
        }
        let overwrites = self.disk.overwrites();
        if self.overwrites.replace(overwrites) != overwrites {
            let what = "a file is written over, of which a reader may see a part";
            self.problem(Rule::NeverTorn, what);
        }
        if let Some(report) = report {
            self.looks_for_flag(report, met);
        }
        let name = report.map_or("died", |report| report.outcome.name());
        let requests = report.map_or(0, Report::requests);
        self.note(&format!("{door} {name} {requests}"));
        let mut figures = self.figures.borrow_mut();
        figures.runs += 1;
        figures.deaths += u64::from(report.is_none());
        met
    }

    /// Runs `refresh_token` again and again.
    async fn works(self: Rc<Self>, door: usize, job: Job) {
        sleep(job.first).await;
        let mut next = Instant::now();
        loop {
            self.works_once(door).await;
            next += job.every;
            sleep_until(next).await;
        }
    }

    async fn works_once(self: &Rc<Self>, door: usize) {
        let fate = self.fate();
        let sources = self.sources(door);
        let minute = Duration::from_mins(1);
        let limits = Limits::starting_now(minute, minute, Stop::never());
        self.begins(door);
        let run = Box::pin(refresh(&sources, &self.clock, Need::default(), limits));
        let run = self.in_time(door, self.powered(door, &fate, run));
        let report = run.await.flatten();
        let met = self.ended(door, report.as_ref());
        let Some(report) = report else { return };
        let has_trouble = matches!(
            report.outcome,
            RunOutcome::NotSaved | RunOutcome::Unreadable
        );
        if has_trouble && !met.refusal {
            let what = format!("its disk is well; {}", told(Some(&report)));
            self.problem(Rule::BlamesDiskRightly, &what);
        }
        match self.plan.kind {
            Kind::Year if !self.token_lives() => {
                let what = format!("there is no valid token; {}", told(Some(&report)));
                self.problem(Rule::AlwaysValid, &what);
            }
            Kind::Deadline => self.heeds_deadline(door, &report).await,
            _ => {}
        }
    }

    /// Gives a run the time that it may take; one that needs more is ended.
    async fn in_time<T>(&self, door: usize, run: impl Future<Output = T>) -> Option<T> {
        let done = timeout(LONGEST_RUN, run).await.ok();
        if done.is_none() {
            let what = format!("door {door}: a run has not ended after {LONGEST_RUN:?}");
            self.problem(Rule::TimelyRun, &what);
        }
        done
    }

    /// The flag is up where a run has asked for a human, and down where the token works; another end
    /// leaves it as it was.
    fn looks_for_flag(&self, report: &Report, met: Met) {
        let flagged = self.flagged();
        let asks = report.outcome == RunOutcome::ReauthorizationRequired;
        let is_wrong = flagged && report.outcome.works() || !flagged && asks;
        // Without the lock, which another run may hold, it stays as it is, and the run says so.
        let mut warnings = report.warnings.iter();
        let says_so = warnings.any(|it| it.starts_with(&format!("{FLAG_KEY} stays in ")));
        let is_excused = met.refusal || met.company && says_so;
        if is_wrong && !is_excused {
            let what = format!("the flag is {flagged}; {}", told(Some(report)));
            self.problem(Rule::FlagTellsTruth, &what);
        }
    }

    fn flagged(&self) -> bool {
        let env = self.read(".env");
        env.lines().any(|line| {
            let value = line.strip_prefix(FLAG_KEY);
            value.is_some_and(|value| value.trim_matches(['=', '"']).len() > 1)
        })
    }

    fn token_lives(&self) -> bool {
        let token = self.disk.credentials().access_token;
        token.is_some_and(|token| self.sandbox.is_live(&token))
    }

    /// The date by which a human is needed is told, and in time.
    async fn heeds_deadline(&self, door: usize, report: &Report) {
        let runner: Runner = Arc::new(|work| drop(spawn_local(work)));
        let manager = TokenManager::with_runner(self.sources(door), self.clock.clone(), runner);
        let date = manager.status(Probe::Offline).await.human_needed_by;
        let now = self.clock.now();
        if report.outcome != RunOutcome::ReauthorizationRequired {
            self.told.borrow_mut().push((now, date));
            return;
        }
        let told = std::mem::take(&mut *self.told.borrow_mut());
        if !told.is_empty() {
            self.has_met_deadline.set(true);
        }
        let Some(latest) = now.checked_sub(NOTICE).ok() else {
            return;
        };
        let Some((_, date)) = told.iter().rfind(|(at, _)| *at <= latest) else {
            return;
        };
        match date {
            None => self.problem(Rule::DateAhead, "no date was told 30 days ahead"),
            Some(date) if *date > now => {
                let what = format!("a human is needed now, and {date} was told");
                self.problem(Rule::DateAhead, &what);
            }
            Some(date) => {
                let early = now.duration_since(*date);
                // The last access token outlives the last rung, and until the next run nobody can
                // notice.
                let job = self.plan.jobs[0].every;
                let lives = self.plan.policy.service_app_access_life;
                if early.unsigned_abs() > lives + job + Duration::from_hours(1) {
                    let what = format!("{date} was told, {early:#} too early");
                    self.problem(Rule::DateAhead, &what);
                }
            }
        }
    }

    /// Asks a [`TokenManager`] for the token again and again, and starts anew when it has died.
    async fn serves(self: Rc<Self>, door: usize, every: Duration) {
        loop {
            let fate = self.fate();
            let life = self.clone().life(door, every);
            self.powered(door, &fate, life).await;
            self.ended(door, None);
            sleep(Duration::from_mins(1)).await;
        }
    }

    async fn life(self: Rc<Self>, door: usize, every: Duration) {
        let (sender, mut climbs) = mpsc::unbounded_channel::<Work>();
        let runner: Runner = Arc::new(move |work| drop(sender.send(work)));
        let manager = TokenManager::with_runner(self.sources(door), self.clock.clone(), runner);
        let landings = manager.landings();
        let world = &self;
        let pace = &RefCell::new(Pace::default());
        let climb = |work: Work| {
            let landings = landings.clone();
            async move {
                world.begins(door);
                let wrong = pace
                    .borrow_mut()
                    .begins(world.began.elapsed(), &world.ground());
                if let Some(wrong) = wrong {
                    world.problem(Rule::NeverSpins, &format!("door {door}: {wrong}"));
                }
                let done = world.in_time(door, work).await;
                let landed = done.and_then(|()| landings.borrow().clone());
                world.ended(door, landed.as_deref());
                let works = landed.is_some_and(|report| report.outcome.works());
                let landing = if works {
                    Landing::Token
                } else {
                    Landing::Nothing
                };
                let now = world.began.elapsed();
                pace.borrow_mut().ends(now, landing, world.ground());
            }
        };
        let mut under_way = FuturesUnordered::new();
        let driver = std::future::poll_fn(|context| {
            loop {
                while let Poll::Ready(Some(work)) = climbs.poll_recv(context) {
                    under_way.push(climb(work));
                }
                let Poll::Ready(Some(())) = under_way.poll_next_unpin(context) else {
                    return Poll::<()>::Pending;
                };
            }
        });
        let calls = async {
            loop {
                let mut again = Duration::from_secs(1);
                let mut left = every;
                while !world.calls(&manager).await && world.plan.impatient && again < left {
                    sleep(again).await;
                    left -= again;
                    again *= 2;
                }
                sleep(left).await;
            }
        };
        select(pin!(driver), pin!(calls)).await;
    }

    /// One call of a program's, with the token as it is served; whether there was one.
    async fn calls(&self, manager: &TokenManager) -> bool {
        let Some(token) = self.answers(manager.access_token()).await else {
            return false;
        };
        let Ok(token) = token else {
            let is_quiet = self.quiet_since.get().elapsed() > HEALED_WITHIN;
            if is_quiet && self.is_calm() && self.sandbox.would_issue() {
                let what = "a program has no token, although nothing is in its way";
                self.problem(Rule::NeverStops, what);
            }
            return false;
        };
        if !self.sandbox.is_live(token.expose()) {
            let _ = self.answers(manager.token_rejected(&token)).await;
        }
        true
    }

    /// What a call comes to, if that is not waited for in vain.
    async fn answers<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let answer = timeout(LONGEST_CALL, call).await.ok();
        if answer.is_none() {
            let what = format!("a program has waited {LONGEST_CALL:?} for a token, and waits on");
            self.problem(Rule::NeverStops, &what);
        }
        answer
    }

    /// What the climbs of programs go by.
    fn ground(&self) -> Ground {
        Ground {
            stored: self.disk.credentials().access_token,
            clock: self.offset.load(Ordering::Relaxed),
        }
    }

    /// Notices after a while that a consent is wanted, and gives it.
    async fn human(self: Rc<Self>) {
        let Some(after) = self.plan.human_after else {
            return;
        };
        loop {
            sleep(Duration::from_mins(30)).await;
            if !self.flagged() {
                continue;
            }
            sleep(after).await;
            if self.flagged() {
                self.consents();
            }
        }
    }

    fn consents(&self) {
        self.note("consent");
        self.quiet_since.set(Instant::now());
        self.figures.borrow_mut().consents += 1;
        let old = self.disk.credentials();
        let pair = self.sandbox.issue_service_app_tokens();
        let mut env = self.read(".env");
        if let Some(access) = old.access_token {
            env = env.replace(&access, &pair.access_token);
        }
        if let Some(refresh) = old.refresh_token {
            env = env.replace(&refresh, &pair.refresh_token);
        }
        self.write(".env", &env);
        if let Some(integration) = old.integration {
            let new = self.sandbox.issue_integration_tokens().refresh_token;
            let config = self.read("token-config.json").replace(&integration, &new);
            self.write("token-config.json", &config);
        }
        self.sandbox.disturb_runs();
    }

    fn sets_client_secret(&self, old: &str, new: &str) {
        let config = self.read("token-config.json").replace(old, new);
        self.write("token-config.json", &config);
    }

    fn happens(&self, event: Event) {
        self.note(&format!("{event:?}"));
        self.quiet_since.set(Instant::now());
        let disturbs = match event {
            Event::Begins(weather) => {
                self.sky.begins(weather);
                false
            }
            Event::Clears => {
                self.sky.clears();
                false
            }
            Event::DiskFails(illness) => {
                self.illnesses.set(self.illnesses.get() + 1);
                self.disk.set_illness(Some(illness));
                false
            }
            Event::DiskRecovers => {
                self.illnesses.set(self.illnesses.get() - 1);
                if self.illnesses.get() == 0 {
                    self.disk.set_illness(None);
                }
                false
            }
            Event::PowerCut => {
                for fate in self.living.take().iter().filter_map(Weak::upgrade) {
                    fate.die();
                }
                self.disk.cut_power();
                self.sandbox.power_was_cut();
                self.power.send_modify(|cuts| *cuts += 1);
                self.figures.borrow_mut().power_cuts += 1;
                false
            }
            Event::Kill(point) => {
                self.next_fate.set(Some(point));
                false
            }
            Event::ClockSet(seconds) => {
                self.offset.store(seconds * 1000, Ordering::Relaxed);
                true
            }
            Event::Suspended(by) => {
                let millis = i64::try_from(by.as_millis()).unwrap_or(0);
                self.offset.fetch_add(millis, Ordering::Relaxed);
                self.sandbox.advance(by);
                true
            }
            Event::Revoked(credential) => {
                let has = self.disk.credentials();
                let token = match credential {
                    Credential::AccessToken => has.access_token,
                    Credential::RefreshToken => has.refresh_token,
                    Credential::Integration => has.integration,
                };
                if let Some(token) = token.filter(|token| !token.is_empty()) {
                    self.sandbox.revoke(&token);
                }
                false
            }
            Event::Deauthorized => {
                self.sandbox.deauthorize_service_app();
                false
            }
            Event::Authorized => {
                self.sandbox.reauthorize_service_app();
                false
            }
            Event::SettingBroken => {
                let secret = &self.sandbox.tenant().client_secret;
                self.sets_client_secret(secret, WRONG_SECRET);
                true
            }
            Event::SettingRepaired => {
                let secret = &self.sandbox.tenant().client_secret;
                self.sets_client_secret(WRONG_SECRET, secret);
                true
            }
            Event::LimitReached => {
                self.sandbox.set_policy(|policy| policy.token_limit = 1);
                true
            }
            Event::LimitRaised => {
                let usual = self.plan.policy.token_limit;
                self.sandbox.set_policy(|policy| policy.token_limit = usual);
                true
            }
        };
        if disturbs {
            self.sandbox.disturb_runs();
        }
    }

    /// At the end every job and program is still at it, and no run is under way that began long ago.
    fn looks_for_stragglers(&self, lives: &[JoinHandle<()>]) {
        for (door, _) in lives.iter().enumerate().filter(|(_, it)| it.is_finished()) {
            let what = format!(
                "door {}: it has panicked, and nobody runs any more",
                door + 1
            );
            self.problem(Rule::NeverStops, &what);
        }
        let open = self.open.take();
        for (door, since) in open.iter().filter(|(_, it)| it.elapsed() > LONGEST_RUN) {
            let what = format!("door {door}: a run is open since {:?}", since.elapsed());
            self.problem(Rule::TimelyRun, &what);
        }
    }

    fn ends(&self) -> Figures {
        // With the integration a mint may bring another refresh token at the end, which lives on.
        let has_deadline = self.plan.kind == Kind::Deadline && !self.plan.hand.integration;
        if has_deadline && !self.has_met_deadline.get() {
            self.problem(Rule::DateAhead, "no deadline was met");
        }
        let counts = self.sandbox.counts();
        let mut figures = self.figures.take();
        figures.lasted = self.began.elapsed();
        figures.requests = counts.requests;
        figures.issued = counts.refreshes + counts.mints;
        figures.doubtful = counts.reused_refresh_tokens;
        counts.requests.hash(&mut *self.trace.borrow_mut());
        self.disk.changes().hash(&mut *self.trace.borrow_mut());
        figures.trace = self.trace.borrow().finish();
        figures
    }
}

fn verdict(report: Option<&Report>) -> Verdict {
    let Some(report) = report else {
        return Verdict::Died;
    };
    match report.outcome {
        RunOutcome::Valid | RunOutcome::Refreshed | RunOutcome::Kept => Verdict::Works,
        RunOutcome::ReauthorizationRequired => Verdict::Reauthorize,
        RunOutcome::Unavailable => Verdict::Unavailable,
        RunOutcome::Misconfigured => Verdict::Misconfigured,
        _ => Verdict::Trouble,
    }
}

/// What a run said, for whoever looks for the reason.
fn told(report: Option<&Report>) -> String {
    let Some(report) = report else {
        return "the process died".to_owned();
    };
    let mut told = format!("{}: {}", report.outcome.name(), report.message);
    for attempt in &report.attempts {
        let _ = write!(told, "\n      {attempt}");
    }
    for warning in &report.warnings {
        let _ = write!(told, "\n      warning: {warning}");
    }
    told
}

//! The proof: a story is told once to learn its calls of the system, and then again and again, each
//! time with another of them being the last, or failing.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use crate::scene::{Scene, Texts};
use crate::support::strace::{self, Call, Injection, Tracer};
use crate::support::torture::{self, Ledger};
use crate::support::{Story, Told};

/// A story that is cut off at every call.
pub(crate) struct Tale {
    /// What it is called in the figures.
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    pub(crate) arguments: &'static [&'static str],
    /// More of them where the disk takes nothing for good, so that it gives up soon.
    pub(crate) in_haste: &'static [&'static str],
    pub(crate) begin: fn() -> Scene,
    /// Runs the program, beside whoever else has a part in it.
    pub(crate) run: fn(&Story, &mut Command) -> Told,
    /// Looks at what a run has left, runs what comes next, and says which of `counts` it was.
    pub(crate) judge: fn(&Scene, &Texts, &Ending) -> Vec<&'static str>,
    pub(crate) counts: &'static [&'static str],
    /// The share of a part: one in so many of what is worth the most.
    pub(crate) one_in: usize,
    /// How many are told at once; most wait.
    pub(crate) side_by_side: usize,
}

/// How a run was ended.
pub(crate) struct Ending {
    pub(crate) told: Told,
    pub(crate) cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Killed,
    /// One call failed.
    FailedOnce,
    /// That call failed, and others from then on; but nothing was spent by then, or a rescue file
    /// needs none of them.
    FailedOften,
    /// From when something had been spent on, nothing could be written anywhere.
    FailedAlways,
}

impl Cause {
    fn is_in_haste(self) -> bool {
        matches!(self, Self::FailedOften | Self::FailedAlways)
    }
}

/// What the disk says when it takes nothing.
const ERRORS: [&str; 4] = ["ENOSPC", "EIO", "EACCES", "EROFS"];

/// The user's files.
const USERS: [&str; 2] = [".env", "token-config.json"];

/// The operation log of data sources.
const LOG: &str = "data-sources.log";

/// What writing a new file needs, beside its name.
const NEEDED: [&str; 3] = ["openat", "pwrite64", "fsync"];

/// How often a call is waited for that not every run comes to.
const TRIES: usize = 10;

/// How many refusals are told at once.
const REFUSALS_AT_ONCE: usize = 16;
/// The same where nothing makes it give up soon: it saves for a minute, and does little meanwhile.
const LONG_ONES_AT_ONCE: usize = 48;

/// How many cases follow each other, at most, before what they leave is read by every reader.
const BATCH: usize = 8;

/// One way of cutting it off.
struct Case {
    call: Call,
    cause: Cause,
    injections: Vec<Injection>,
    name: String,
}

impl Tale {
    /// Ends it at each call that touches a file or a socket.
    pub(crate) fn is_killed_at_each_call(&self) {
        let Some(calls) = self.calls() else { return };
        let chosen = self.chosen(&calls);
        let kills = chosen.iter().map(|call| Case {
            call: (*call).clone(),
            cause: Cause::Killed,
            injections: vec![Injection::kill_at(call)],
            name: format!("{} {}", call.name, call.nth),
        });
        let kills = kills.collect();
        self.prove("kills", "killed", calls.len(), [(kills, self.side_by_side)]);
    }

    /// Has each call that changes the disk fail, alone and with those after it.
    pub(crate) fn is_refused_each_change(&self) {
        let Some(calls) = self.calls() else { return };
        let save = calls.iter().position(is_save).unwrap_or(calls.len());
        let spends = calls[..save].iter().rposition(Call::is_request);
        let mut cases = Vec::new();
        for index in (0..calls.len()).filter(|index| calls[*index].changes) {
            let call = &calls[index];
            for (number, error) in ERRORS.into_iter().enumerate() {
                // Part of it: another error for each call in turn.
                if !torture::size(index % ERRORS.len() == number, true) {
                    continue;
                }
                let mut add = |call: &Call, cause, how, injections| {
                    cases.push(Case {
                        call: call.clone(),
                        cause,
                        injections,
                        name: format!("{} {} {error} {how}", call.name, call.nth),
                    });
                };
                if call.name == "write" {
                    // Others of its name wake threads, as often as it happens to be needed.
                    assert_eq!(call.about, format!("/{LOG}"), "nothing else is written so");
                    let in_log = |it: &&Call| it.name == call.name && it.about == call.about;
                    let nth = calls[..=index].iter().filter(in_log).count();
                    let call = Call {
                        nth,
                        ..call.clone()
                    };
                    let fails = Injection::fail_at(&call, error).within(LOG);
                    add(&call, Cause::FailedOnce, "once", vec![fails]);
                    continue;
                }
                let fails = Injection::fail_at(call, error);
                add(call, Cause::FailedOnce, "once", vec![fails]);
                if self.in_haste.is_empty() && !torture::is_on() {
                    continue;
                }
                let all_like_it = vec![Injection::fail_from(&call.name, call.nth, error)];
                let has_spent = spends.is_some_and(|spends| spends < index);
                let is_needed = call.renames() || NEEDED.contains(&call.name.as_str());
                let cause = |leaves_nothing| {
                    if leaves_nothing && has_spent {
                        Cause::FailedAlways
                    } else {
                        Cause::FailedOften
                    }
                };
                add(call, cause(is_needed), "and all like it", all_like_it);
                if call.name == "openat" {
                    continue;
                }
                let of_name = |calls: &[Call], name: &str| {
                    let those = calls.iter().filter(|it| it.name == name);
                    those.map(|it| it.nth).max().unwrap_or(0)
                };
                let all = strace::CHANGES.into_iter();
                let all = all.filter(|name| of_name(&calls, name) > 0).map(|name| {
                    Injection::fail_from(name, of_name(&calls[..index], name) + 1, error)
                });
                add(call, cause(true), "and all changes", all.collect());
            }
        }
        let (short, long) = cases
            .into_iter()
            .partition(|case| case.cause == Cause::FailedOnce);
        let long_ones_at_once = if self.in_haste.is_empty() {
            LONG_ONES_AT_ONCE
        } else {
            REFUSALS_AT_ONCE
        };
        let cases = [(short, REFUSALS_AT_ONCE), (long, long_ones_at_once)];
        self.prove("errors", "refused", calls.len(), cases);
    }

    /// Keeps to the order that a power cut asks for: the intent is safe before its request is sent,
    /// and what that brings is safe before anything else is asked.
    pub(crate) fn keeps_the_order(&self) {
        let Some(calls) = self.calls() else { return };
        let saves: Vec<_> = (0..calls.len()).filter(|at| is_save(&calls[*at])).collect();
        assert!(!saves.is_empty(), "it saves something");
        for at in &saves {
            let (before, after) = calls.split_at(*at);
            let last = |name: &str, about: &str| {
                let is_it = |call: &Call| call.name == name && call.about.contains(about);
                before.iter().rposition(is_it)
            };
            let requests = |calls: &[Call]| calls.iter().filter(|it| it.is_request()).count();
            let intent = last("fdatasync", ".lock").expect("the intent is made safe");
            assert_eq!(
                last("pwrite64", ".lock"),
                Some(intent - 1),
                "it is written first"
            );
            assert_eq!(requests(&before[intent..]), 1, "one request for {intent}");
            let written = last("pwrite64", ".tmp.").max(last("ftruncate", ".tmp."));
            assert!(
                written < last("fsync", ".tmp."),
                "a file is safe before it is renamed"
            );
            let of_folder = |call: &Call| call.name == "fsync" && call.about == "/";
            let named = after
                .iter()
                .position(of_folder)
                .expect("its name is made safe");
            let says_so = |call: &Call| call.name == "pwrite64" && call.about.contains(".lock");
            let is_settled = after[..named].iter().any(says_so);
            assert!(
                requests(&after[..named]) == 0 && !is_settled,
                "and only then it goes on"
            );
        }
        say(&format!(
            "crash: {}: {} saves in the right order",
            self.name,
            saves.len()
        ));
    }

    /// The calls of a run that nothing happens to; `None` where none can be seen.
    fn calls(&self) -> Option<Vec<Call>> {
        if !strace::is_possible() {
            say(&format!(
                "crash: {}: NOTHING IS PROVEN: no ptrace here",
                self.name
            ));
            return None;
        }
        let scene = (self.begin)();
        let (told, calls) = self.told(&scene, &[], None);
        told.exits(0);
        let hidden: Vec<_> = (0..calls.len())
            .filter(|index| !is_within_reach(&calls, *index))
            .map(|index| &calls[index])
            .collect();
        assert!(
            hidden.is_empty(),
            "{}: out of strace's reach: {hidden:#?}",
            self.name
        );
        Some(calls)
    }

    /// All calls under `scripts/torture`. Else those between the first that something is spent
    /// after and the last that changes a file, and each third of the others.
    fn chosen<'c>(&self, calls: &'c [Call]) -> Vec<&'c Call> {
        let intent = calls.iter().position(|call| call.name == "fdatasync");
        let first = intent.map_or(calls.len() / 3, |at| at.saturating_sub(2));
        let last = calls.iter().rposition(|call| call.changes).unwrap_or(0) + 1;
        let is_chosen = |index: usize| {
            let one_in = if (first..=last).contains(&index) {
                self.one_in
            } else {
                3 * self.one_in
            };
            index.is_multiple_of(torture::size(one_in, 1))
        };
        let chosen = calls.iter().enumerate();
        chosen
            .filter(|(index, _)| is_chosen(*index))
            .map(|(_, call)| call)
            .collect()
    }

    fn told(
        &self,
        scene: &Scene,
        injections: &[Injection],
        cause: Option<Cause>,
    ) -> (Told, Vec<Call>) {
        let tracer = Tracer::new();
        let mut command = tracer.command(&scene.story, injections, self.program);
        command.args(self.arguments);
        if cause.is_some_and(Cause::is_in_haste) {
            command.args(self.in_haste);
        }
        let told = (self.run)(&scene.story, &mut command);
        (told, tracer.calls(&scene.story))
    }

    /// Goes through one group of cases after another, so many of each at once.
    fn prove<const N: usize>(
        &self,
        kind: &str,
        verb: &str,
        calls: usize,
        groups: [(Vec<Case>, usize); N],
    ) {
        let mut tally = Tally::of(self, kind);
        let missed = Mutex::new(Vec::new());
        let elsewhere = Mutex::new(Vec::new());
        let all: usize = groups.iter().map(|(cases, _)| cases.len()).sum();
        for (mut cases, at_once) in groups {
            cases.retain(|case| !tally.has(&case.name));
            while !cases.is_empty() {
                let batch = cases.drain(..cases.len().min(BATCH * at_once)).collect();
                let texts = Texts::default();
                let proven = Mutex::new(Vec::new());
                for_each(batch, at_once, |case: Case| {
                    match catch_unwind(AssertUnwindSafe(|| self.prove_one(&case, &texts))) {
                        Ok(Some(counted)) => push(&proven, (case.name, counted)),
                        Ok(None) => push(&elsewhere, case.call),
                        Err(_) => push(&missed, case.name),
                    }
                });
                // What is noted is not done again, so its files are read before.
                texts.are_read_by_every_reader();
                for (case, counted) in proven.into_inner().expect("nobody panics here") {
                    tally.note(&case, &counted);
                }
            }
        }
        let missed = missed.into_inner().expect("nobody panics here");
        assert!(
            missed.is_empty(),
            "{}: {} of {all}: {missed:#?}",
            self.name,
            missed.len()
        );
        // How often a socket is asked in vain differs from run to run.
        let elsewhere = elsewhere.into_inner().expect("nobody panics here");
        assert!(
            elsewhere.len() * 20 <= all && elsewhere.iter().all(|call| !call.changes),
            "{}: no run came to {elsewhere:#?}",
            self.name
        );
        say(&format!(
            "crash: {}: {calls} calls, {verb} {} times{}, 0 tokens lost in silence, 0 spent twice",
            self.name,
            tally.done.len(),
            tally.told()
        ));
    }

    /// Until the run was cut off at that call; `None` if no run came to it. One that was killed
    /// elsewhere is judged, too.
    fn prove_one(&self, case: &Case, texts: &Texts) -> Option<Vec<&'static str>> {
        for _ in 0..TRIES {
            let scene = (self.begin)();
            let (told, calls) = self.told(&scene, &case.injections, Some(case.cause));
            let is_hit = calls.iter().any(|call| call.is_hit && case.call.is(call));
            let ending = Ending {
                told,
                cause: case.cause,
            };
            let was_killed = ending.told.code == 128 + 9;
            let is_hit = is_hit && was_killed == (case.cause == Cause::Killed);
            // On a machine that is busy with others of its kind, haste may come to nothing.
            let was_too_slow = case.cause.is_in_haste() && ending.told.code == 75;
            let is_hit = is_hit && !was_too_slow;
            if !is_hit && case.cause != Cause::Killed {
                continue;
            }
            let counted = catch_unwind(AssertUnwindSafe(|| (self.judge)(&scene, texts, &ending)));
            match counted {
                Ok(counted) if is_hit => return Some(counted),
                Ok(_) => {}
                Err(why) => {
                    eprintln!(
                        "{}: {} ({}), exit code {}:\n{}{}",
                        self.name,
                        case.name,
                        case.call.about,
                        ending.told.code,
                        ending.told.stdout,
                        ending.told.stderr
                    );
                    std::panic::resume_unwind(why);
                }
            }
        }
        None
    }
}

fn push<T>(them: &Mutex<Vec<T>>, it: T) {
    them.lock().expect("nobody panics here").push(it);
}

/// Does so many of them at once.
fn for_each<T: Send>(them: Vec<T>, at_once: usize, each: impl Fn(T) + Sync) {
    let them = Mutex::new(them.into_iter());
    let next = || them.lock().expect("nobody panics here").next();
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(it) = next() {
                    each(it);
                }
            });
        }
    });
}

/// Whether it gives one of the user's files its new contents.
fn is_save(call: &Call) -> bool {
    let saved = call.about.rsplit(' ').next();
    call.renames() && saved.is_some_and(|it| USERS.contains(&it))
}

/// Whether strace can pick this call: it counts in each thread for itself, and takes the first that
/// comes to the number.
fn is_within_reach(calls: &[Call], index: usize) -> bool {
    let call = &calls[index];
    let is_like_it = |it: &Call| it.name == call.name && it.nth == call.nth;
    !calls[..index].iter().any(is_like_it)
}

/// What has been done, and what was worth counting.
struct Tally {
    done: Ledger,
    counted: BTreeMap<&'static str, Ledger>,
}

impl Tally {
    fn of(tale: &Tale, kind: &str) -> Self {
        let name = format!("crash {} {kind}", tale.name).replace([' ', ',', ':'], "-");
        let open = |name: &str| Ledger::of(&name.replace(' ', "-"), Path::new(tale.program));
        let counted = tale.counts.iter();
        Self {
            done: open(&name),
            counted: counted
                .map(|what| (*what, open(&format!("{name} {what}"))))
                .collect(),
        }
    }

    fn has(&self, case: &str) -> bool {
        self.done.has(case)
    }

    fn note(&mut self, case: &str, counted: &[&'static str]) {
        for what in counted {
            if let Some(ledger) = self.counted.get_mut(what) {
                ledger.note(case);
            }
        }
        self.done.note(case);
    }

    fn told(&self) -> String {
        let counted = self.counted.iter();
        let told = counted.map(|(what, ledger)| format!(", {} {what}", ledger.len()));
        told.collect::<Vec<_>>().concat()
    }
}

#[expect(clippy::print_stdout, reason = "the figures of a proof")]
fn say(figures: &str) {
    println!("{figures}");
}

//! `data-sources watch`: what a service manager, an operator and a log see of it.

#![cfg(unix)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::{DATA_SOURCES, Run, Shows, Story, Told, disk};
use webex_sandbox::{Endpoint, Fault};

const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];

/// A token that works, and so many data sources past half of their life.
fn overdue(count: usize) -> (Story, Vec<String>) {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let mut ids = story.sandbox.seed_data_sources(count);
    ids.sort();
    story.sandbox.age_data_sources(Duration::from_hours(14));
    (story, ids)
}

/// A watch whose stdout is read as it comes.
struct Watch {
    child: Child,
    stdout: BufReader<ChildStdout>,
    read: String,
}

impl Watch {
    fn start(story: &Story, arguments: &[&str]) -> Self {
        Self::of(
            story,
            story.command(DATA_SOURCES).arg("watch").args(arguments),
        )
    }

    fn of(story: &Story, command: &mut Command) -> Self {
        let mut child = story.start(command);
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let read = String::new();
        Self {
            child,
            stdout,
            read,
        }
    }

    /// The next line of its answer.
    #[track_caller]
    fn line(&mut self) -> String {
        let from = self.read.len();
        let len = self.stdout.read_line(&mut self.read).expect("UTF-8");
        assert!(len > 0, "it has ended:\n{}", self.read);
        self.read[from..].trim_end().to_owned()
    }

    fn json(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The next so many lines, sorted by what follows the time.
    fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines: Vec<_> = (0..count).map(|_| without_time(&self.line())).collect();
        lines.sort();
        lines
    }

    fn send(&self, signal: Signal) {
        disk::send(signal, &self.child);
    }

    fn finish(mut self, story: &Story) -> Told {
        self.stdout.read_to_string(&mut self.read).expect("UTF-8");
        let mut output = self.child.wait_with_output().expect("it ends");
        output.stdout = self.read.into_bytes();
        story.told(&output, Shows::Nothing)
    }

    fn stop(self, story: &Story) -> Told {
        self.send(Signal::TERM);
        self.finish(story)
    }
}

/// A line without the time at its start, and with every date in it made the same.
fn without_time(line: &str) -> String {
    let (time, rest) = line.split_once(' ').expect("a time");
    let time: jiff::Timestamp = time.parse().expect("a time");
    assert_eq!(time.subsec_nanosecond(), 0);
    let mut words: Vec<_> = rest.split(' ').collect();
    for at in 0..words.len().saturating_sub(2) {
        if words[at + 2].starts_with("UTC") {
            words[at] = "DATE";
            words[at + 1] = "TIME";
        }
    }
    words.join(" ")
}

/// The operations in the log, with their ids.
fn logged(story: &Story) -> Vec<(String, String)> {
    let text = story.read("data-sources.log");
    let mut entries: Vec<_> = text
        .lines()
        .map(|line| {
            let entry: Value = serde_json::from_str(line).expect("a JSON line");
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            (text("operation"), text("id"))
        })
        .collect();
    entries.sort();
    entries
}

#[test]
fn what_is_overdue_is_extended_at_once_and_told_line_by_line() {
    let (story, ids) = overdue(2);
    let mut watch = Watch::start(&story, &[]);

    assert_eq!(
        without_time(&watch.line()),
        "watching: 2 data sources; the first is extended now"
    );
    let extended = |id| format!("extended {id}: expires DATE TIME UTC, in 24 hours");
    assert_eq!(watch.lines(2), [extended(&ids[0]), extended(&ids[1])]);
    let told = watch.stop(&story);

    told.exits(0);
    let last = told.stdout.lines().last().expect("a line");
    assert_eq!(
        without_time(last),
        "stopped: 2 data sources are alive until DATE TIME UTC"
    );
    assert_eq!(told.stderr, "");
    let expected = ids.into_iter().map(|id| ("extend".to_owned(), id));
    assert_eq!(logged(&story), expected.collect::<Vec<_>>());
}

#[test]
fn who_has_time_is_left_alone_and_counted() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let ids = story.sandbox.seed_data_sources(3);
    story
        .data_sources(&["disable", &ids[0], "--error-message", "in maintenance"])
        .exits(0);
    story.sandbox.clear_requests();

    let mut watch = Watch::start(&story, &[]);
    let line = without_time(&watch.line());
    assert!(
        line.starts_with(
            "watching: 3 data sources; 1 of them disabled; the next is extended DATE TIME UTC, in 1"
        ),
        "{line}"
    );
    let told = watch.stop(&story);
    told.exits(0).says("2 data sources are alive until");
    assert!(!story.requests().iter().any(|it| it.starts_with("PUT")));
}

#[test]
fn nothing_to_keep_alive_is_said() {
    let (story, _) = overdue(0);
    let mut watch = Watch::start(&story, &[]);
    assert_eq!(without_time(&watch.line()), "watching: 0 data sources");
    watch
        .stop(&story)
        .exits(0)
        .says("stopped: no data source is alive");
}

#[test]
fn json_is_an_object_to_a_line() {
    let (story, ids) = overdue(1);
    let refused = Fault::status(400).error("bad", "not \u{1b}[31mtoday");
    story.sandbox.script(Endpoint::UpdateDataSource, [refused]);
    let mut watch = Watch::start(&story, &["--json"]);

    let first = watch.json();
    assert_eq!(first["event"], "watching");
    let failed = watch.json();
    let expires_at = failed["expiresAt"].as_str().expect("a date");
    assert!(expires_at.ends_with('Z'), "{expires_at}");
    let names: Vec<_> = failed.as_object().expect("an object").keys().collect();
    let expected = [
        "event",
        "expiresAt",
        "id",
        "message",
        "remedy",
        "time",
        "version",
    ];
    assert_eq!(names, expected);
    assert_eq!(failed["version"], 1);
    assert_eq!(failed["event"], "failed");
    assert_eq!(failed["id"], json!(ids[0]));
    let message = failed["message"].as_str().expect("a text");
    assert!(message.contains("tried again in 15 minutes"), "{message}");
    let remedy = failed["remedy"].as_str().expect("a text");
    assert!(remedy.starts_with("correct what"), "{remedy}");

    let told = watch.stop(&story);
    told.exits(0);
    assert_eq!(told.stderr, "");
    assert!(!told.stdout.contains('\u{1b}'));
    let last: Value =
        serde_json::from_str(told.stdout.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["event"], "stopped");
}

#[test]
fn trouble_goes_to_stderr_and_is_all_that_quiet_leaves() {
    for (arguments, is_quiet) in [(&[][..], false), (&["-q"][..], true)] {
        let (story, ids) = overdue(2);
        let gate = story.sandbox.gate(Endpoint::UpdateDataSource);
        story
            .sandbox
            .script(Endpoint::UpdateDataSource, [Fault::status(400)]);
        let watch = Watch::start(&story, arguments);
        gate.wait_for_requests(2);
        watch.send(Signal::TERM);
        gate.release();

        let told = watch.finish(&story);
        told.exits(0);
        let lines: Vec<_> = told.stderr.lines().map(without_time).collect();
        let [line] = lines.as_slice() else {
            panic!("{lines:?}");
        };
        assert!(
            ids.iter()
                .any(|id| line.starts_with(&format!("failed {id}: HTTP 400"))),
            "{line}"
        );
        assert!(line.contains("; expires DATE TIME UTC, in 10 hours; tried again in 15 minutes; "));
        assert_eq!(told.stdout.is_empty(), is_quiet, "{}", told.stdout);
    }
}

#[test]
fn a_signal_lets_what_is_in_flight_finish_and_that_is_how_it_ends() {
    for (signal, _) in SIGNALS {
        let (story, ids) = overdue(1);
        let gate = story.sandbox.gate(Endpoint::UpdateDataSource);
        let mut watch = Watch::start(&story, &[]);
        watch.line();
        gate.wait_for_request();

        watch.send(signal);
        assert_eq!(
            without_time(&watch.line()),
            "stopping: what is in flight is finished first"
        );
        gate.release();

        let told = watch.finish(&story);
        told.exits(0)
            .says(&format!("extended {}", ids[0]))
            .says("stopped: 1 data source is alive until");
        assert_eq!(logged(&story).len(), 1);
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    for (signal, code) in SIGNALS {
        let (story, _) = overdue(1);
        let gate = story.sandbox.gate(Endpoint::UpdateDataSource);
        let mut watch = Watch::start(&story, &[]);
        watch.line();
        gate.wait_for_request();
        watch.send(Signal::TERM);
        watch.line();

        watch.send(signal);

        // The gate is still closed: nothing but the signal can end it.
        let told = watch.finish(&story);
        told.exits(code);
        assert!(!told.stdout.contains("stopped"));
        drop(gate);
    }
}

#[test]
fn a_signal_waits_for_the_climb_that_is_under_way() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.configured().stored("", &tokens.refresh_token);
    let mut command = story.command(DATA_SOURCES);
    let gate = story.sandbox.gate(Endpoint::ServiceAppRefresh);
    let mut run = Run::of(&story, command.arg("watch"));
    gate.wait_for_request();
    run.stop(Signal::TERM);
    gate.release();
    let told = run.finish(&story);
    told.exits(0).says("stopped: no data source is alive");
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn without_any_credential_it_stays_and_says_what_to_do() {
    let (story, _) = overdue(1);
    story.sandbox.revoke_grant(&story.access_token());
    let mut watch = Watch::start(&story, &["--json"]);
    let failed = watch.json();
    assert_eq!(failed["event"], "token_failed");
    let remedy = failed["remedy"].as_str().expect("a text");
    assert!(remedy.contains("setup_oauth"), "{remedy}");
    watch.stop(&story).exits(0);
}

#[test]
fn a_start_that_cannot_work_ends_with_its_exit_code() {
    // The settings do not serve.
    let (story, _) = overdue(1);
    story.write_env("");
    story.write_config(&json!({}));
    let told = story.data_sources(&["watch"]);
    told.exits(78).says("serviceApp");
    assert_eq!(told.stdout, "");
    story
        .data_sources(&["watch", "--json"])
        .exits(78)
        .outcome("misconfigured");

    // The service app may not look.
    let (story, _) = overdue(1);
    story
        .sandbox
        .script_always(Endpoint::DataSources, Fault::status(403));
    story.data_sources(&["watch"]).exits(78);

    // The log cannot be opened.
    let (story, _) = overdue(1);
    let told = story.data_sources(&["watch", "--log", "missing/log"]);
    told.exits(74).says("nothing was changed");
    assert!(story.requests().is_empty());
}

#[test]
fn webex_being_down_at_the_start_does_not_end_it() {
    let (story, _) = overdue(1);
    let down = Fault::status(503).header("Retry-After", "600");
    story.sandbox.script_always(Endpoint::Any, down);
    let mut watch = Watch::start(&story, &["--json"]);
    let failed = watch.json();
    assert_eq!(failed["event"], "token_failed");
    assert_eq!(failed["remedy"], Value::Null, "{failed}");
    watch.stop(&story).exits(0);
}

#[test]
fn a_change_that_cannot_be_written_down_is_told() {
    let (story, ids) = overdue(1);
    let mut watch = Watch::start(&story, &["--json", "--log", "/dev/full"]);
    assert_eq!(watch.json()["event"], "watching");
    let unrecorded = watch.json();
    assert_eq!(unrecorded["event"], "unrecorded");
    assert_eq!(unrecorded["id"], json!(ids[0]));
    assert_eq!(watch.json()["event"], "extended");
    watch.stop(&story).exits(0);
}

#[test]
fn who_stops_reading_keeps_nothing_from_being_kept_alive() {
    let (story, _) = overdue(1);
    let gate = story.sandbox.gate(Endpoint::UpdateDataSource);
    let mut child = story.start(story.command(DATA_SOURCES).arg("watch"));
    gate.wait_for_request();
    drop(child.stdout.take());
    drop(child.stderr.take());
    disk::send(Signal::TERM, &child);
    gate.release();
    story.finish(child).exits(0);
    assert_eq!(logged(&story).len(), 1);
}

//! What is in a program's memory stays there: a crash leaves no core file, and nobody without
//! powers reads it while it runs.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};

use rustix::process::Signal;
use support::data_sources::story;
use support::{CHECK_TOKEN, DATA_SOURCES, REFRESH_TOKEN, SETUP_OAUTH, Story, disk};
use webex_sandbox::{Endpoint, Gate};

/// A program under way, without powers, held at its first request, where cores are allowed.
fn held(story: &Story, program: &str, arguments: &[&str], at: Endpoint) -> (Child, Gate) {
    let gate = story.sandbox.gate(at);
    let mut command = disk::powerless(story, "/bin/sh");
    command
        .args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\"", program])
        .args(arguments);
    let child = story.start(&mut command);
    gate.wait_for_request();
    (child, gate)
}

/// Every program, as [`held`] starts it.
const PROGRAMS: [(&str, &[&str], Endpoint); 4] = [
    (REFRESH_TOKEN, &[], Endpoint::DataSources),
    (CHECK_TOKEN, &[], Endpoint::DataSources),
    (DATA_SOURCES, &["list"], Endpoint::DataSources),
    (
        SETUP_OAUTH,
        &["--device", "--reauthorize"],
        Endpoint::DeviceAuthorize,
    ),
];

/// Whether a process without powers can read this of another.
fn is_readable(story: &Story, process: u32, what: &str) -> bool {
    let path = format!("/proc/{process}/{what}");
    let mut command = disk::powerless(story, "head");
    let read = command.args(["-c", "64", &path]).output();
    let read = read.expect("`head` is installed");
    read.status.success() && !read.stdout.is_empty()
}

fn abort(mut child: Child) -> ExitStatus {
    disk::send(Signal::ABORT, &child);
    child.wait().expect("it ends")
}

#[test]
fn a_crash_leaves_no_core() {
    let story = story();
    // What the limits of this machine make of a program that has not forbidden it.
    let ours = Command::new("/bin/sh")
        .current_dir(story.folder())
        .args(["-c", "ulimit -c unlimited && kill -ABRT $$"])
        .status()
        .expect("a shell");
    let had_cores = ours.core_dumped();
    for (program, arguments, at) in PROGRAMS {
        let (child, _gate) = held(&story, program, arguments, at);
        let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).expect("limits");
        let cores = limits.lines().find(|it| it.starts_with("Max core file"));
        let soft = cores.and_then(|it| it.split_whitespace().nth(4));
        assert_eq!(soft, Some("0"), "{program}: {limits}");
        let before = files(&story);
        let ended = abort(child);
        assert_eq!(ended.signal(), Some(Signal::ABORT.as_raw()), "{program}");
        assert!(!ended.core_dumped(), "{program}; elsewhere: {had_cores}");
        assert_eq!(files(&story), before, "{program}");
    }
}

fn files(story: &Story) -> Vec<String> {
    let entries = fs::read_dir(story.folder()).expect("the folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.map(|it| it.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn nobody_without_powers_reads_the_memory_or_the_environment_of_a_run() {
    let story = story();
    let mut other = disk::powerless(&story, "sleep");
    let mut other = other.arg("600").spawn().expect("`sleep` is installed");
    // It is another program until it has been started.
    while !fs::read(format!("/proc/{}/cmdline", other.id()))
        .is_ok_and(|it| it.starts_with(b"sleep"))
    {
        std::thread::yield_now();
    }
    assert!(is_readable(&story, other.id(), "environ"), "nothing is");
    other.kill().expect("it ends");
    other.wait().expect("it has ended");
    for (program, arguments, at) in PROGRAMS {
        let (child, _gate) = held(&story, program, arguments, at);
        for what in ["environ", "maps", "auxv"] {
            assert!(!is_readable(&story, child.id(), what), "{program}: {what}");
        }
        abort(child);
    }
}

//! A run under way, whose log is read as it comes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command};

use rustix::process::Signal;
use webex_sandbox::{Endpoint, Gate};

use super::{REFRESH_TOKEN, Shows, Story, Told, disk};

/// `refresh_token -v` under way.
pub(crate) struct Run {
    child: Child,
    log: BufReader<ChildStderr>,
    shows: Shows,
    read: String,
}

impl Run {
    pub(crate) fn start(story: &Story, arguments: &[&str]) -> Self {
        Self::of(story, story.command(REFRESH_TOKEN).args(arguments))
    }

    /// Starts a command of `refresh_token`'s.
    pub(crate) fn of(story: &Story, command: &mut Command) -> Self {
        let shows = Shows::by(command);
        let mut child = story.start(command.arg("-v"));
        let log = BufReader::new(child.stderr.take().expect("it is piped"));
        let read = String::new();
        Self {
            child,
            log,
            shows,
            read,
        }
    }

    /// Starts a run and waits until its request is held at the gate.
    pub(crate) fn start_held(story: &Story, arguments: &[&str], at: Endpoint) -> (Self, Gate) {
        let gate = story.sandbox.gate(at);
        let run = Self::start(story, arguments);
        gate.wait_for_request();
        (run, gate)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What has been read of the log.
    pub(crate) fn log(&self) -> &str {
        &self.read
    }

    /// Reads the log up to the line that holds `text`.
    #[track_caller]
    pub(crate) fn logs(&mut self, text: &str) {
        let from = self.read.len();
        while !self.read[from..].contains(text) {
            let len = self.log.read_line(&mut self.read).expect("UTF-8");
            assert!(len > 0, "{text:?} is not in:\n{}", self.read);
        }
    }

    /// Sends a signal, and does not wait until the run has heard it.
    pub(crate) fn send(&self, signal: Signal) {
        disk::send(signal, &self.child);
    }

    /// Sends a signal and waits until the run has heard it.
    pub(crate) fn stop(&mut self, signal: Signal) {
        self.send(signal);
        self.logs("told to stop");
    }

    /// Ends it on the spot, as a power cut would.
    pub(crate) fn kill(self) {
        disk::kill(self.child);
    }

    pub(crate) fn finish(mut self, story: &Story) -> Told {
        self.log.read_to_string(&mut self.read).expect("UTF-8");
        let mut output = self.child.wait_with_output().expect("the run ends");
        output.stderr = self.read.into_bytes();
        let told = story.told(&output, self.shows);
        assert_eq!(output.status.code(), Some(told.code), "it ended by itself");
        told
    }
}

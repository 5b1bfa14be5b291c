//! A run that may not take more memory than this, nor for ever.

use std::fs;
use std::io::Read;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use super::{CHECK_TOKEN, DATA_SOURCES, REFRESH_TOKEN, SETUP_OAUTH, Shows, Story, Told};

/// How long a program is given before it counts as one that never ends: more than any of its own
/// deadlines, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(4);

/// What a program did, and what it took.
pub(crate) struct Bounded {
    pub(crate) told: Told,
    /// The most memory that it was seen to hold, in MiB.
    pub(crate) peak: u64,
}

impl Story {
    /// The command, which may allocate at most this many MiB.
    pub(crate) fn command_within(&self, program: &str, mebibytes: u64) -> Command {
        let mut command = self.command("/bin/sh");
        let limit = format!("ulimit -d {}; exec \"$0\" \"$@\"", mebibytes << 10);
        command.args(["-c", &limit, program]);
        command
    }

    /// Runs a command to its end, which it must come to by itself and within as much memory.
    #[track_caller]
    pub(crate) fn run_within(&self, mebibytes: u64, command: &mut Command) -> Bounded {
        fn whole(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                pipe.read_to_end(&mut bytes).expect("a pipe is read");
                bytes
            })
        }
        let shows = Shows::by(command);
        let mut child = self.start(command);
        let stdout = whole(child.stdout.take().expect("it is piped"));
        let stderr = whole(child.stderr.take().expect("it is piped"));
        let status = format!("/proc/{}/status", child.id());
        let started = Instant::now();
        let mut peak = 0;
        let ended = loop {
            let seen = fs::read_to_string(&status).ok();
            peak = peak.max(seen.as_deref().and_then(peak_in).unwrap_or(0));
            if let Some(ended) = child.try_wait().expect("a child is waited for") {
                break ended;
            }
            if started.elapsed() > PATIENCE {
                child.kill().expect("a child is killed");
                panic!("{command:?} does not end");
            }
            // How often it is looked at, not how long anything may take.
            thread::sleep(Duration::from_millis(10));
        };
        let output = Output {
            status: ended,
            stdout: stdout.join().expect("a pipe"),
            stderr: stderr.join().expect("a pipe"),
        };
        let told = self.told(&output, shows);
        let peak = peak.div_ceil(1 << 10);
        assert!(peak <= mebibytes, "{command:?} took {peak} MiB");
        Bounded { told, peak }
    }
}

/// The most memory that a program has held so far, in KiB; `None` while it is still being started.
fn peak_in(status: &str) -> Option<u64> {
    let name = status
        .lines()
        .find_map(|it| it.strip_prefix("Name:"))?
        .trim();
    let programs = [REFRESH_TOKEN, CHECK_TOKEN, DATA_SOURCES, SETUP_OAUTH];
    if !programs.iter().any(|program| program.ends_with(name)) {
        return None;
    }
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

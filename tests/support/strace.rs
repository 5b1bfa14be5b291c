//! A program under strace: the calls that it makes of the system, and one of them at which it is
//! killed or which fails.
//!
//! strace counts the calls of each name in each thread for itself, so a call is named by its name and
//! its number among those. Where a signal is injected it comes before the call is carried out.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::NamedTempFile;

use super::Story;

/// One call of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The thread, counted in the order in which they appear.
    pub(crate) thread: usize,
    pub(crate) name: String,
    /// Which of the calls of this name in its thread, counted from 1.
    pub(crate) nth: usize,
    /// The files and sockets that it is about, without what differs from run to run.
    pub(crate) about: String,
    /// Whether it changes what is on the disk, or opens a file for that.
    pub(crate) changes: bool,
    /// Whether it was interfered with: it failed as it was told to, or its thread died in it.
    pub(crate) is_hit: bool,
}

/// What changes files and nothing else. Which of them rename differs from machine to machine.
pub(crate) const CHANGES: [&str; 7] = [
    "pwrite64",
    "ftruncate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
];

impl Call {
    /// Whether it gives a file another name.
    pub(crate) fn renames(&self) -> bool {
        self.name.starts_with("rename")
    }

    /// Whether it sends something over a socket.
    pub(crate) fn is_request(&self) -> bool {
        const SENDS: [&str; 4] = ["write", "writev", "sendto", "sendmsg"];
        self.about == "socket" && SENDS.contains(&self.name.as_str())
    }

    /// Whether this call of another run is the same one. What it would have told of a file or a
    /// socket, had it come to that, it does not tell.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.name == other.name && self.nth == other.nth && self.about.starts_with(&other.about)
    }
}

/// Whether programs can be traced here. Elsewhere nothing is proven, which is told.
pub(crate) fn is_possible() -> bool {
    static IS_POSSIBLE: OnceLock<bool> = OnceLock::new();
    *IS_POSSIBLE.get_or_init(|| {
        let notice = if cfg!(target_os = "linux") {
            let status = Command::new("strace")
                .args(["-o", "/dev/null", "true"])
                .stderr(Stdio::null())
                .status()
                .expect("strace is missing: run `scripts/test`, which installs it");
            if status.success() {
                return true;
            }
            "processes may not be traced here (ptrace)"
        } else {
            "there is no strace on this system"
        };
        eprintln!("NOTICE: {notice}: NOTHING IS PROVEN about crashes");
        false
    })
}

/// Ends a program at this call, before it is carried out.
pub(crate) fn kill_at(call: &Call) -> String {
    format!("inject={}:signal=KILL:when={}", call.name, call.nth)
}

/// Has this call fail.
pub(crate) fn fail_at(call: &Call, error: &str) -> String {
    format!("inject={}:error={error}:when={}", call.name, call.nth)
}

/// Has the calls of this name fail, from the one with this number on.
pub(crate) fn fail_from(name: &str, nth: usize, error: &str) -> String {
    format!("inject={name}:error={error}:when={nth}+")
}

/// Where the calls of one run are written to.
pub(crate) struct Tracer(NamedTempFile);

impl Tracer {
    pub(crate) fn new() -> Self {
        Self(NamedTempFile::new().expect("a temporary file"))
    }

    /// The program, in the story's folder, under strace with these injections.
    pub(crate) fn command(&self, story: &Story, injections: &[String], program: &str) -> Command {
        let mut command = story.command("strace");
        command
            // No contents of files: they are secret.
            .args(["-f", "-y", "-s", "0"])
            .args(["-e", "trace=%file,%desc,%network"])
            .arg("-o")
            .arg(self.0.path());
        for injection in injections {
            command.args(["-e", injection]);
        }
        command.arg(program);
        command
    }

    /// The calls that touched a file or a socket, in order.
    pub(crate) fn calls(&self, story: &Story) -> Vec<Call> {
        let trace = fs::read(self.0.path()).expect("strace has written");
        let trace = String::from_utf8_lossy(&trace);
        let folder = story.folder().to_string_lossy();
        calls(&trace, &folder)
    }
}

fn calls(trace: &str, folder: &str) -> Vec<Call> {
    let mut threads = Vec::new();
    let mut calls: Vec<Call> = Vec::new();
    for line in trace.lines() {
        let (id, line) = line.split_once(' ').expect("a thread begins the line");
        let line = line.trim_start();
        let thread = threads.iter().position(|it| *it == id).unwrap_or_else(|| {
            threads.push(id);
            threads.len() - 1
        });
        let is_hit = line.ends_with("= ?") || line.ends_with("(INJECTED)");
        if let Some(resumed) = line.strip_prefix("<... ") {
            let begun = calls
                .iter_mut()
                .rev()
                .find(|call| call.thread == thread && resumed.strip_prefix(&call.name).is_some());
            begun.expect("it has begun").is_hit |= is_hit;
            continue;
        }
        let Some((name, arguments)) = line.split_once('(') else {
            continue;
        };
        let of_this_name = |call: &&Call| call.thread == thread && call.name == name;
        calls.push(Call {
            thread,
            name: name.to_owned(),
            nth: 1 + calls.iter().filter(of_this_name).count(),
            about: about(name, arguments, folder),
            changes: match name {
                "openat" => ["O_WRONLY", "O_RDWR", "O_CREAT"]
                    .iter()
                    .any(|flag| arguments.contains(flag)),
                _ => name == "write" || CHANGES.contains(&name),
            },
            is_hit,
        });
    }
    // That the program itself is started is no call of its own.
    calls.retain(|call| (call.is_hit || !call.about.is_empty()) && call.name != "execve");
    for call in &mut calls {
        call.changes &= call.about != "socket";
    }
    calls
}

/// What stands in quotes or angle brackets, if it is a file or a socket.
fn about(name: &str, arguments: &str, folder: &str) -> String {
    let mut pieces = Vec::new();
    let mut rest = arguments;
    while let Some(start) = rest.find(['"', '<']) {
        let end = if rest[start..].starts_with('"') {
            '"'
        } else {
            '>'
        };
        let inner = &rest[start + 1..];
        let Some(len) = inner.find(end) else { break };
        let piece = &inner[..len];
        rest = &inner[len + 1..];
        let piece = match piece.strip_prefix(folder) {
            Some("") => "/",
            Some(inside) => inside,
            None => piece,
        };
        let piece = match piece.split_once(".tmp.") {
            Some((stem, _)) => format!("{stem}.tmp."),
            None if piece.starts_with("/proc/") => "/proc".to_owned(),
            None => piece.to_owned(),
        };
        if piece.starts_with("socket:") {
            pieces.push("socket".to_owned());
        } else if !piece.starts_with("anon_inode:")
            && !piece.starts_with("pipe:")
            && !piece.starts_with("unfinished")
            && !piece.is_empty()
            && !pieces.contains(&piece)
        {
            pieces.push(piece);
        }
    }
    if name == "socket" && pieces.is_empty() {
        pieces.push("socket".to_owned());
    }
    pieces.join(" ")
}

//! Many runs of the programs at once.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};

use super::{CHECK_TOKEN, Shows, Story, assert_no_pieces, code};

/// Runs under way.
pub(crate) struct Crowd(Vec<Member>);

struct Member {
    child: Child,
    log: BufReader<ChildStderr>,
    read: String,
    shows: Shows,
    /// Whether it is a program that takes the lock.
    locks: bool,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) pid: u32,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Whether its stdout is a token.
    pub(crate) prints_token: bool,
}

impl Crowd {
    /// Starts all of them, one right after another.
    pub(crate) fn start(commands: impl IntoIterator<Item = Command>) -> Self {
        let start = |mut command: Command| {
            let mut child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program starts");
            Member {
                log: BufReader::new(child.stderr.take().expect("it is piped")),
                child,
                read: String::new(),
                shows: Shows::by(&command),
                locks: command.get_program() != CHECK_TOKEN,
            }
        };
        Self(commands.into_iter().map(start).collect())
    }

    /// Reads the log of every run that locks, but `holder`'s, up to where it waits for a lock. They
    /// have to be told to log.
    #[track_caller]
    pub(crate) fn wait_until_all_wait(&mut self, holder: Option<u32>) {
        let waiting = self.0.iter_mut().filter(|it| it.locks);
        for member in waiting.filter(|it| Some(it.child.id()) != holder) {
            while !member.read.contains("waiting for another run") {
                let len = member.log.read_line(&mut member.read).expect("UTF-8");
                assert!(len > 0, "it did not wait for the lock:\n{}", member.read);
            }
        }
    }

    /// The process ids, in the order of the commands.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.0.iter().map(|member| member.child.id()).collect()
    }

    /// Ends one on the spot, as a power cut would; it may have ended by itself.
    #[track_caller]
    pub(crate) fn kill(&mut self, pid: u32) {
        let member = self.0.iter_mut().find(|it| it.child.id() == pid);
        let member = member.expect("a run of this crowd");
        member.child.kill().expect("it is our child");
    }

    /// Waits for all of them, and searches what they printed for secrets.
    #[track_caller]
    pub(crate) fn finish(self, story: &Story) -> Vec<Ended> {
        let ended: Vec<_> = self.0.into_iter().map(Member::finish).collect();
        let mut told: Vec<_> = ended.iter().map(|run| run.stderr.as_str()).collect();
        let silent = ended.iter().filter(|run| !run.prints_token);
        told.extend(silent.map(|run| run.stdout.as_str()));
        let mut secrets = story.secrets();
        secrets.sort();
        secrets.dedup();
        assert_no_pieces(&told.join("\n"), &secrets);
        ended
    }
}

impl Member {
    fn finish(mut self) -> Ended {
        self.log.read_to_string(&mut self.read).expect("UTF-8");
        let pid = self.child.id();
        let output = self.child.wait_with_output().expect("the run ends");
        Ended {
            pid,
            code: code(output.status),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: self.read,
            prints_token: self.shows == Shows::Secrets,
        }
    }
}

impl Ended {
    /// Whether it said this, on stdout or stderr.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }
}

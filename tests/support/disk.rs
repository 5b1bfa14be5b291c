//! Disks that misbehave, users who may do little, and locks that somebody holds.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};

use super::Story;

/// A mount namespace of its own, kept alive by a process that waits in it.
///
/// What is mounted in it nobody else sees, and it goes when this is dropped.
pub(crate) struct Namespace(Child);

impl Namespace {
    /// Runs `setup`, a shell script, in the story's folder inside a new namespace.
    pub(crate) fn new(story: &Story, setup: &str) -> Self {
        let mut command = story.command("unshare");
        if !is_root() {
            command.arg("--map-root-user");
        }
        let script = format!("{setup}\necho ready\nexec cat");
        let keeper = command
            .args(["--mount", "--", "sh", "-ec", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`unshare` is installed");
        let mut namespace = Self(keeper);
        let stdout = namespace.0.stdout.as_mut().expect("it is piped");
        let mut ready = [0; 6];
        assert!(
            stdout.read_exact(&mut ready).is_ok(),
            "this test needs a mount namespace: run it as root, or where user namespaces are \
             allowed"
        );
        namespace
    }

    /// The story's folder, with a mount of its own that is read-only.
    pub(crate) fn read_only(story: &Story) -> Self {
        Self::new(story, "mount --bind . .\nmount -o remount,bind,ro .")
    }

    /// The program, in the story's folder inside the namespace.
    pub(crate) fn command(&self, story: &Story, program: &str) -> Command {
        let mut command = story.command("nsenter");
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command
            .arg(format!("--target={}", self.0.id()))
            .args(["--mount", "--", "sh", "-ec", "cd \"$0\"; exec \"$@\""])
            .arg(story.folder())
            .arg(program);
        command
    }

    /// Runs a shell script in the story's folder inside the namespace.
    pub(crate) fn run(&self, story: &Story, script: &str) {
        let status = self
            .command(story, "sh")
            .args(["-ec", script])
            .status()
            .expect("`nsenter` is installed");
        assert!(status.success(), "{script}: {status}");
    }

    /// A file of the story, as it is seen from inside.
    pub(crate) fn read(&self, story: &Story, name: &str) -> String {
        fs::read_to_string(self.path(story, name)).expect("a file is read")
    }

    pub(crate) fn path(&self, story: &Story, name: &str) -> PathBuf {
        let path = story.path(name);
        let inside = path.strip_prefix("/").expect("it is absolute");
        Path::new(&format!("/proc/{}/root", self.0.id())).join(inside)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The process ends with its input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The program without any privilege: for root, too, permissions count then.
pub(crate) fn powerless(story: &Story, program: &str) -> Command {
    if !is_root() {
        return story.command(program);
    }
    let mut command = story.command("setpriv");
    command
        .args([
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--ambient-caps=-all",
        ])
        .arg(program);
    command
}

pub(crate) fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("the file is there");
    metadata.permissions().mode() & 0o7777
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode is set");
}

/// Which file it is, whatever its name.
pub(crate) fn inode(path: &Path) -> u64 {
    fs::metadata(path).expect("the file is there").ino()
}

/// User and group.
pub(crate) fn owner(path: &Path) -> (u32, u32) {
    let metadata = fs::metadata(path).expect("the file is there");
    (metadata.uid(), metadata.gid())
}

/// Takes the lock at `path` as another run would, until the returned file is dropped.
pub(crate) fn hold_lock(path: &Path) -> File {
    let mut file = File::create(path).expect("the lock file is created");
    file.try_lock().expect("nobody holds the lock");
    let pid = std::process::id();
    writeln!(file, "held by pid {pid:<10}").expect("the lock file is written");
    file
}

/// Whether somebody holds the lock at `path`.
pub(crate) fn is_locked(path: &Path) -> bool {
    let file = File::open(path).expect("the lock file is there");
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

pub(crate) fn send(signal: Signal, child: &Child) {
    rustix::process::kill_process(Pid::from_child(child), signal).expect("the process is there");
}

/// Ends a process on the spot, as a power cut would.
pub(crate) fn kill(mut child: Child) {
    child.kill().expect("the process is there");
    child.wait().expect("the process ends");
}

/// The names in the story's folder that begin with `prefix`, sorted.
pub(crate) fn names(story: &Story, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(story.folder()).expect("the folder is there");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("a name")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}

//! A log: a file that whole lines are added to, by several runs at once if need be.
//!
//! Each line is one system call on a file opened for appending, so that lines of several writers
//! never mix on a local disk. Nothing is synced: a log tells what was done, and decides nothing.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::disk;
use super::{Place, StoreError};

/// A file that takes lines.
#[derive(Debug)]
pub struct AppendLog {
    shown: PathBuf,
    file: File,
}

impl AppendLog {
    /// Opens a log, and creates it where it is missing, readable by its owner alone (0600).
    ///
    /// Symlinks are followed, and the mode of a file that is there stays. `places` are the user's
    /// files: the log can be neither of them nor anything of ours beside them, and where root runs
    /// this, a new log belongs to the owner of the first.
    ///
    /// # Errors
    ///
    /// There is something else than a file or a character device, its folder does not exist, it
    /// cannot be opened for appending, or it has another use.
    pub fn open(path: &Path, places: &[&Place]) -> Result<Self, StoreError> {
        let shown = path.to_path_buf();
        let file = match Place::resolve(path) {
            Ok(place) => place.file().to_path_buf(),
            Err(StoreError::NotAFile { .. }) if disk::is_character_device(path) => shown.clone(),
            Err(error) => return Err(error),
        };
        if places.iter().any(|place| place.owns(&file)) {
            return Err(StoreError::NotALog { path: shown });
        }
        match open_or_create(&file, places) {
            Ok(file) => Ok(Self { shown, file }),
            Err(source) => Err(StoreError::CannotAppend {
                path: shown,
                source,
            }),
        }
    }

    /// The path as the user wrote it: for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shown
    }

    /// Adds a line, which has no line end of its own, in one system call.
    ///
    /// It begins on a line of its own, also where the last one was cut short.
    ///
    /// # Errors
    ///
    /// The system took none of it, or only a part.
    pub fn append(&self, line: &str) -> Result<(), StoreError> {
        debug_assert!(!line.contains('\n'), "one line at a time");
        // Any writer may have died in the middle of a line since, or met the end of the disk.
        let start = if is_torn(&self.file) { "\n" } else { "" };
        let bytes = format!("{start}{line}\n").into_bytes();
        let source = match disk::append(&self.file, &bytes) {
            Ok(written) if written == bytes.len() => return Ok(()),
            Ok(_) => io::Error::new(
                ErrorKind::StorageFull,
                "only a part of the line was written",
            ),
            Err(error) => error,
        };
        Err(StoreError::CannotAppend {
            path: self.shown.clone(),
            source,
        })
    }
}

fn open_or_create(path: &Path, places: &[&Place]) -> io::Result<File> {
    // Two runs may both find it missing; the one that does not create it opens it.
    for _ in 0..2 {
        match disk::open_to_append(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        match disk::create_to_append(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => {
                return created.inspect(|file| {
                    if let Some(place) = places.first() {
                        place.give_to_owner(file);
                    }
                });
            }
        }
    }
    disk::open_to_append(path)
}

fn is_torn(file: &File) -> bool {
    disk::last_byte(file).is_some_and(|byte| byte != b'\n')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{names, place, put};
    use super::*;

    fn error(path: &Path) -> StoreError {
        AppendLog::open(path, &[]).unwrap_err()
    }

    #[test]
    fn lines_are_added_to_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        for line in ["{\"a\":1}", "", "ü"] {
            AppendLog::open(&path, &[]).unwrap().append(line).unwrap();
        }
        let log = AppendLog::open(&path, &[]).unwrap();
        log.append("b").unwrap();
        log.append("c").unwrap();
        assert_eq!(log.path(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n\nü\nb\nc\n");
    }

    #[test]
    fn a_line_that_was_cut_short_stays_on_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        put(&path, "whole\ncut");
        let log = AppendLog::open(&path, &[]).unwrap();
        log.append("a").unwrap();
        log.append("b").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\ncut\na\nb\n");
    }

    #[test]
    fn a_line_of_another_that_was_not_yet_whole_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        put(&path, "ot");
        let log = AppendLog::open(&path, &[]).unwrap();
        put(&path, "other\n");
        log.append("a").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "other\na\n");
    }

    #[test]
    fn a_line_that_another_has_left_unfinished_meanwhile_stays_on_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let log = AppendLog::open(&path, &[]).unwrap();
        let other = AppendLog::open(&path, &[]).unwrap();
        log.append("a").unwrap();
        disk::append(&other.file, b"cut").unwrap();
        log.append("b").unwrap();
        disk::append(&log.file, b"short").unwrap();
        other.append("c").unwrap();
        log.append("d").unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "a\ncut\nb\nshort\nc\nd\n"
        );
    }

    #[test]
    fn lines_of_many_writers_stay_whole() {
        const LINES: usize = 50;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let shared = AppendLog::open(&path, &[]).unwrap();
        // Longer than a page, so that a line written in pieces would be torn.
        let line = |writer: u8| char::from(b'a' + writer).to_string().repeat(9001);
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let (path, shared) = (&path, &shared);
                scope.spawn(move || {
                    let own = AppendLog::open(path, &[]).unwrap();
                    let log = if writer < 4 { shared } else { &own };
                    for _ in 0..LINES {
                        log.append(&line(writer)).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        for writer in 0..8 {
            let line = line(writer);
            assert_eq!(text.lines().filter(|l| *l == line).count(), LINES);
        }
        assert_eq!(text.lines().filter(|l| !l.is_empty()).count(), 8 * LINES);
    }

    #[test]
    fn the_files_of_the_program_take_no_lines() {
        let (folder, place) = place("KEY=value\n");
        let refused = |name: &str| {
            let error = AppendLog::open(&folder.path().join(name), &[&place]).unwrap_err();
            assert!(matches!(error, StoreError::NotALog { .. }), "{name}");
            assert_eq!(error.advice(), "name another file for the log");
        };
        refused(".env");
        refused(".env.lock");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(".env", folder.path().join("link")).unwrap();
            std::os::unix::fs::symlink(".env.rescue.json", folder.path().join("gone")).unwrap();
            refused("link");
            refused("gone");
            assert_eq!(names(folder.path()), [".env", "gone", "link"]);
        }
        assert_eq!(place.read().unwrap().as_deref(), Some("KEY=value\n"));
        let log = AppendLog::open(&place.operation_log(), &[&place]).unwrap();
        log.append("a").unwrap();
        assert!(names(folder.path()).contains(&"data-sources.log".to_owned()));
    }

    #[test]
    fn what_cannot_be_a_log_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(matches!(error(&at("")), StoreError::Directory { .. }));
        for name in ["none/a.log", "none/"] {
            assert!(matches!(error(&at(name)), StoreError::MissingFolder { .. }));
        }
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[cfg(unix)]
    mod on_unix {
        use std::os::unix::fs::{MetadataExt as _, chown, symlink};
        use std::process::Command;

        use rustix::fs::Mode;
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        use super::super::super::tests::{mode, set_mode};
        use super::*;

        /// Runs a test of this module in a process of its own, after these commands of a shell.
        fn run(name: &str, commands: &str) {
            let output = Command::new("sh")
                .args(["-c", &format!("{commands}; exec \"$0\" --exact \"$1\"")])
                .arg(std::env::current_exe().unwrap())
                .arg(format!("store::append::tests::on_unix::{name}"))
                .output()
                .unwrap();
            let stdout = String::from_utf8_lossy(&output.stdout);
            let is_passed = output.status.success() && stdout.contains(" 1 passed");
            assert!(is_passed, "{output:?}");
        }

        #[test]
        fn no_umask_takes_its_owners_rights() {
            run(
                "a_new_log_is_for_its_owner_alone_and_an_old_one_keeps_its_mode",
                "umask 0777",
            );
            run(
                "a_new_log_is_for_its_owner_alone_and_an_old_one_keeps_its_mode",
                "umask 0",
            );
        }

        #[test]
        fn a_line_that_the_disk_cuts_short_is_told_and_the_next_begins_afresh() {
            let limit = getrlimit(Resource::Fsize);
            let Some(room) = limit.current.filter(|room| *room <= 8192) else {
                return run(
                    "a_line_that_the_disk_cuts_short_is_told_and_the_next_begins_afresh",
                    "trap '' XFSZ; ulimit -S -f 8",
                );
            };
            let room = usize::try_from(room).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.log");
            let log = AppendLog::open(&path, &[]).unwrap();
            // Its end alone does not fit.
            let line = "x".repeat(room);
            let StoreError::CannotAppend { source, .. } = log.append(&line).unwrap_err() else {
                panic!("another error");
            };
            assert_eq!(source.to_string(), "only a part of the line was written");
            assert!(log.append("none of it").is_err());
            let current = limit.maximum;
            setrlimit(Resource::Fsize, Rlimit { current, ..limit }).unwrap();
            log.append("a").unwrap();
            log.append("b").unwrap();
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                format!("{line}\na\nb\n")
            );
        }

        #[test]
        fn a_new_log_belongs_to_the_owner_of_the_users_file() {
            let (_folder, place) = place("");
            if chown(place.file(), Some(12345), Some(54321)).is_err() {
                return; // Only root can give files away.
            }
            let place = Place::resolve(place.file()).unwrap();
            AppendLog::open(&place.operation_log(), &[&place]).unwrap();
            let log = fs::metadata(place.operation_log()).unwrap();
            assert_eq!((log.uid(), log.gid()), (12345, 54321));
        }

        #[test]
        fn a_new_log_is_for_its_owner_alone_and_an_old_one_keeps_its_mode() {
            let folder = tempfile::tempdir().unwrap();
            set_mode(folder.path(), 0o700);
            let path = folder.path().join("a.log");
            AppendLog::open(&path, &[]).unwrap();
            assert_eq!(mode(&path), 0o600);
            set_mode(&path, 0o640);
            AppendLog::open(&path, &[]).unwrap().append("a").unwrap();
            assert_eq!(mode(&path), 0o640);
            set_mode(&path, 0o200);
            AppendLog::open(&path, &[]).unwrap().append("b").unwrap();
            assert_eq!(mode(&path), 0o200);
        }

        #[test]
        fn a_symlink_is_followed_even_where_it_dangles() {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            fs::create_dir(at("real")).unwrap();
            symlink("real/a.log", at("link")).unwrap();
            for line in ["a", "b"] {
                let log = AppendLog::open(&at("link"), &[]).unwrap();
                log.append(line).unwrap();
            }
            assert_eq!(fs::read_to_string(at("real/a.log")).unwrap(), "a\nb\n");
            assert_eq!(mode(&at("real/a.log")), 0o600);
            assert!(at("link").is_symlink());
        }

        #[test]
        fn a_pipe_is_not_waited_for() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("pipe");
            let mode = Mode::RUSR | Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
            assert!(matches!(error(&path), StoreError::NotAFile { .. }));
        }

        #[cfg(target_os = "linux")]
        #[test]
        fn a_log_that_cannot_be_created_is_told() {
            // Nobody creates files here, not even root.
            let error = error(Path::new("/sys/a.log"));
            assert!(matches!(error, StoreError::CannotAppend { .. }));
            assert_eq!(error.to_string(), "cannot append to /sys/a.log");
        }

        #[cfg(target_os = "linux")]
        #[test]
        fn a_device_takes_lines_and_a_full_disk_is_told() {
            let null = AppendLog::open(Path::new("/dev/null"), &[]).unwrap();
            null.append("a").unwrap();
            let full = AppendLog::open(Path::new("/dev/full"), &[]).unwrap();
            let error = full.append("canary").unwrap_err();
            assert_eq!(error.to_string(), "cannot append to /dev/full");
            assert_eq!(
                error.advice(),
                "free some space on that disk, then run this again"
            );
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
}

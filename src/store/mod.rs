//! The files on disk: the user's two, and our own beside them.
//!
//! A [`Place`] is one file of the user's, `.env` or `token-config.json`, with the names of what
//! lies beside it. One climb is one transaction on it:
//!
//! 1. [`try_lock`] until it is ours, then [`recover`] what a dead run left behind.
//! 2. [`Place::read`] again: another run may have refreshed meanwhile.
//! 3. [`Replacement::prepare`]: all that saving will need is taken before anything is spent.
//! 4. [`StoreLock::record_intent`], the request, [`Replacement::commit`].
//! 5. [`StoreLock::close_intent`], [`State::save`], and the lock is dropped.
//! 6. What cannot be saved goes to [`write_rescue`], and the next run finds it with
//!    [`find_rescue`].
//!
//! Beside all that, [`AppendLog`] is a file that lines are added to.
//!
//! After a crash at any instant the file holds the old contents or the new, whole. Where renaming
//! is impossible ([`Way::Overwrite`]) the promise is weaker: the new contents lie whole in a
//! sibling, and the next run finishes the copy.
//!
//! What is deliberately absent: waiting (a lock is had or it is not), the time (an argument), the
//! environment, the network, the ladder, and any thought about what a token is good for. All of it
//! blocks. Every change to the disk goes through the few functions of one private module, `disk`, and
//! through the [`Seam`] that a simulation has put there.

mod append;
mod disk;
pub mod dotenv_text;
mod intent;
pub mod json_text;
mod lock;
mod place;
mod replace;
mod rescue;
mod seam;
mod state;
mod tokens;

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

pub use append::AppendLog;
pub use intent::{Intent, OpenIntent};
pub use lock::{Attempt, StoreLock, is_locked, peek_intent, try_lock};
pub use place::{MAX_FILE_SIZE, Place};
pub use replace::{Committed, Recovered, Replacement, Way, recover};
pub use rescue::{Rescue, find_rescue, remove_rescue, write_rescue};
pub use seam::{Change, Seam, with_seam};
pub use state::{Credential, Record, State};
pub use tokens::{
    ACCESS_TOKEN_KEY, Flag, REAUTHORIZATION_KEY, REFRESH_TOKEN_KEY, StoredTokens, check_dotenv,
    config_fingerprints, config_with, dotenv_with,
};

/// What went wrong with a file. Never holds any of a file's content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A directory stands where the file should be.
    #[error("{} is a directory", path.display())]
    Directory {
        /// As the user wrote it.
        path: PathBuf,
    },
    /// A device, pipe or socket stands where the file should be.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// As the user wrote it.
        path: PathBuf,
    },
    /// The file does not exist, and neither does its folder.
    #[error("the folder {} does not exist", path.display())]
    MissingFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than [`MAX_FILE_SIZE`].
    #[error("{} is larger than 1 MiB", path.display())]
    TooLarge {
        /// As the user wrote it.
        path: PathBuf,
    },
    /// The file is not text.
    #[error("{} is not UTF-8 in line {line}", path.display())]
    NotUtf8 {
        /// As the user wrote it.
        path: PathBuf,
        /// The line of the first bad byte, counted from 1.
        line: usize,
    },
    /// The lock file cannot be created, opened or locked.
    #[error("cannot lock {}", path.display())]
    CannotLock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The intent cannot be written; nothing may be spent.
    #[error("cannot record in {} what is about to be done", path.display())]
    CannotRecord {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What saving the file needs cannot be had; nothing may be spent.
    #[error("cannot prepare to save {}", path.display())]
    CannotPrepare {
        /// As the user wrote it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be saved.
    #[error("cannot save {}", path.display())]
    CannotSave {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is one of those that this program keeps tokens in, or needs for that.
    #[error("{} cannot be a log, it has another use", path.display())]
    NotALog {
        /// As the user wrote it.
        path: PathBuf,
    },
    /// A line cannot be added to a log.
    #[error("cannot append to {}", path.display())]
    CannotAppend {
        /// As the user wrote it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A copy that an earlier run began cannot be finished.
    #[error("cannot finish an earlier save of {}, which lies whole in {}", path.display(), pending.display())]
    CannotFinish {
        /// As the user wrote it.
        path: PathBuf,
        /// The sibling that holds the contents.
        pending: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A rescue file is there and says nothing that can be used.
    #[error("the rescue file {} is damaged", path.display())]
    DamagedRescue {
        /// The rescue file.
        path: PathBuf,
    },
}

impl StoreError {
    /// Whether the file's content is at fault rather than the disk: exit 78 instead of 74.
    #[must_use]
    pub fn is_bad_content(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::NotUtf8 { .. })
    }

    /// What the person in front of this message can do next.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Directory { .. } | Self::NotAFile { .. } => "name a regular file instead",
            Self::MissingFolder { .. } => "create the folder, or correct the path",
            Self::NotALog { .. } => "name another file for the log",
            Self::TooLarge { .. } => "check that this is the file you meant",
            Self::NotUtf8 { .. } => "save the file as UTF-8",
            Self::DamagedRescue { .. } => "look at the file, then remove it",
            Self::Unreadable { source, .. } => match source.kind() {
                ErrorKind::PermissionDenied => "let the user who runs this read the file",
                _ => "check the disk, then run this again",
            },
            Self::CannotLock { source, .. }
            | Self::CannotRecord { source, .. }
            | Self::CannotPrepare { source, .. }
            | Self::CannotSave { source, .. }
            | Self::CannotAppend { source, .. }
            | Self::CannotFinish { source, .. } => match source.kind() {
                ErrorKind::PermissionDenied => {
                    "let the user who runs this write the file and its folder"
                }
                ErrorKind::ReadOnlyFilesystem => "make the file system writable",
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    "free some space on that disk, then run this again"
                }
                _ => "check the disk, then run this again",
            },
        }
    }
}

/// The first 128 bits of the SHA-256 of `bytes`, in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(32);
    for byte in &Sha256::digest(bytes)[..16] {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
    }
    hex
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;

    /// A folder with an `.env` of these contents in it.
    pub(super) fn place(contents: &str) -> (TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        put(&file, contents);
        let place = Place::resolve(&file).unwrap();
        (folder, place)
    }

    /// Writes a file the way a user would.
    #[expect(
        clippy::disallowed_methods,
        reason = "plays the part of the user's editor"
    )]
    pub(super) fn put(path: &Path, contents: impl AsRef<[u8]>) {
        std::fs::write(path, contents).unwrap();
    }

    /// The lock, which must be free.
    pub(super) fn lock(place: &Place) -> StoreLock {
        match try_lock(place).unwrap() {
            Attempt::Locked(lock) => lock,
            Attempt::Busy { .. } => panic!("somebody holds the lock"),
        }
    }

    /// The permission bits of a file.
    #[cfg(unix)]
    pub(super) fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// Sets the permission bits of a file.
    #[cfg(unix)]
    pub(super) fn set_mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The names in a folder, sorted.
    pub(super) fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_error_is_one_clause_with_its_cause_in_source_and_a_way_out() {
        let error = StoreError::CannotSave {
            path: PathBuf::from(".env"),
            source: ErrorKind::StorageFull.into(),
        };
        assert_eq!(error.to_string(), "cannot save .env");
        assert!(error.source().is_some());
        assert!(error.advice().starts_with("free some space"));
        assert!(!error.is_bad_content());
    }
}

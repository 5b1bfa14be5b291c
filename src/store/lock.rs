//! The lock beside a user's file, which also holds the intent.
//!
//! The lock is a file of its own, because a rename would leave it on the old file; it is never
//! renamed or removed, because two runs could then hold one each. It is advisory, belongs to the
//! open file, and so excludes the threads of one process as it does processes; the system drops it
//! when its holder dies. Waiting is the caller's business.
//!
//! The file is two sectors: who holds the lock, for people, and the intent.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::disk::{self, Folder};
use super::intent::{self, Intent, OpenIntent};
use super::{Place, StoreError};

/// Where the intent lies: in a sector of its own, which the holder's pid is never written to.
const INTENT_AT: u64 = 512;
const HOLDER: &str = "held by pid ";
/// The digits of the largest pid there can be.
const PID_LEN: usize = 10;
const HOLDER_LEN: usize = HOLDER.len() + PID_LEN + 1;

/// What came of trying to lock.
#[derive(Debug)]
pub enum Attempt {
    /// The lock is ours.
    Locked(StoreLock),
    /// Somebody else has it: another process, or another thread of this one.
    Busy {
        /// The holder's process, where it can be told.
        pid: Option<u32>,
    },
}

/// The lock on one user's file, held until dropped. Whatever writes asks for it.
#[derive(Debug)]
#[must_use = "the lock is released when dropped"]
pub struct StoreLock {
    file: File,
    path: PathBuf,
}

/// Locks `place` if nobody else has; never waits.
///
/// # Errors
///
/// The lock file cannot be created, opened or locked.
pub fn try_lock(place: &Place) -> Result<Attempt, StoreError> {
    let path = place.lock_file();
    let attempt = open(&path, place).and_then(|file| match file.try_lock() {
        Ok(()) => {
            // The pid serves the message of a waiting run; without it that run is merely terse.
            let _ = disk::write_at(&file, holder(std::process::id()).as_bytes(), 0);
            Ok(Ok(file))
        }
        Err(TryLockError::WouldBlock) => Ok(Err(holder_of(&file))),
        Err(TryLockError::Error(error)) => Err(error),
    });
    match attempt {
        Ok(Ok(file)) => Ok(Attempt::Locked(StoreLock { file, path })),
        Ok(Err(pid)) => Ok(Attempt::Busy { pid }),
        Err(source) => Err(StoreError::CannotLock { path, source }),
    }
}

/// Whether somebody holds the lock of `place` now. Nothing is created or written.
#[must_use]
pub fn is_locked(place: &Place) -> bool {
    let file = File::open(place.lock_file());
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// What stands open in the lock file of `place`, without locking: of a run that is under way, or of
/// one that is dead. `None` where nothing can be read.
#[must_use]
pub fn peek_intent(place: &Place) -> Option<OpenIntent> {
    let file = File::open(place.lock_file()).ok()?;
    let mut record = [0; intent::LEN];
    let len = disk::read_at(&file, &mut record, INTENT_AT).ok()?;
    intent::decode(&record[..len])
}

/// Opens the lock file, and creates it where it is missing.
fn open(path: &Path, place: &Place) -> io::Result<File> {
    // Two runs may both find it missing; the one that does not create it opens it.
    for _ in 0..2 {
        match disk::open_existing(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        match disk::create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => return created.inspect(|file| place.give_to_owner(file)),
        }
    }
    disk::open_existing(path)
}

fn holder(pid: u32) -> String {
    format!("{HOLDER}{pid:<PID_LEN$}\n")
}

fn holder_of(file: &File) -> Option<u32> {
    let mut text = [0; HOLDER_LEN];
    disk::read_at(file, &mut text, 0).ok()?;
    let pid = str::from_utf8(&text).ok()?.strip_prefix(HOLDER)?;
    pid.trim_end().parse().ok()
}

impl StoreLock {
    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What an earlier run left open; `None` where nothing is.
    ///
    /// # Errors
    ///
    /// The lock file cannot be read.
    pub fn open_intent(&self) -> Result<Option<OpenIntent>, StoreError> {
        let mut record = [0; intent::LEN];
        match disk::read_at(&self.file, &mut record, INTENT_AT) {
            Ok(len) => Ok(intent::decode(&record[..len])),
            Err(source) => Err(StoreError::Unreadable {
                path: self.path.clone(),
                source,
            }),
        }
    }

    /// Notes what is about to be spent, durably: one write and one sync.
    ///
    /// The first intent of a lock file also syncs the folder, or a power cut could take the file,
    /// name and all. It replaces an intent that is still open.
    ///
    /// # Errors
    ///
    /// The intent cannot be made safe. Then what was open before stays open, as far as the disk
    /// obeys, and nothing may be spent.
    pub fn record_intent(&mut self, intent: &Intent) -> Result<(), StoreError> {
        let mut before = [0; intent::LEN];
        let _ = disk::read_at(&self.file, &mut before, INTENT_AT);
        self.write_intent(intent).map_err(|source| {
            // Nothing will be sent: a later run has to doubt what was in doubt, and no more.
            let _ = disk::write_at(&self.file, &before, INTENT_AT);
            StoreError::CannotRecord {
                path: self.path.clone(),
                source,
            }
        })
    }

    fn write_intent(&self, intent: &Intent) -> io::Result<()> {
        let is_first = self.file.metadata()?.len() < INTENT_AT + intent::LEN as u64;
        disk::write_at(&self.file, &intent::encode(intent), INTENT_AT)?;
        disk::sync_data(&self.file)?;
        if is_first {
            Folder::open(disk::folder_of(&self.path))?.sync()?;
        }
        Ok(())
    }

    /// Notes that the answer is saved, or that nothing was spent.
    ///
    /// Not synced: an intent that a power cut brings back either names a pair that is no longer
    /// stored, or makes a later run more careful than it need be.
    ///
    /// # Errors
    ///
    /// The lock file cannot be written.
    pub fn close_intent(&mut self) -> Result<(), StoreError> {
        disk::write_at(&self.file, &[0; intent::LEN], INTENT_AT).map_err(|source| {
            StoreError::CannotRecord {
                path: self.path.clone(),
                source,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::tests::{lock, names, place, put};
    use super::*;
    use crate::token::Fingerprint;

    fn intent(rung: &str) -> Intent {
        Intent {
            rung: rung.to_owned(),
            at: Timestamp::UNIX_EPOCH,
            pid: 7,
            access_token: Some(Fingerprint::of("access canary")),
            refresh_token: None,
        }
    }

    #[test]
    fn the_lock_excludes_a_second_one_in_the_same_process() {
        let (folder, place) = place("");
        let held = lock(&place);
        match try_lock(&place).unwrap() {
            Attempt::Busy { pid } => assert_eq!(pid, Some(std::process::id())),
            Attempt::Locked(_) => panic!("locked twice"),
        }
        drop(held);
        drop(lock(&place));
        assert_eq!(names(folder.path()), [".env", ".env.lock"]);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_open_a_new_lock_file() {
        let (_folder, place) = place("");
        drop(lock(&place));
        assert_eq!(super::super::tests::mode(&place.lock_file()), 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn a_planted_symlink_is_not_followed() {
        let (folder, place) = place("");
        let victim = folder.path().join("victim");
        put(&victim, "untouched");
        std::os::unix::fs::symlink(&victim, place.lock_file()).unwrap();
        assert!(matches!(
            try_lock(&place),
            Err(StoreError::CannotLock { .. })
        ));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    }

    #[test]
    fn an_intent_stays_open_until_it_is_closed() {
        let (_folder, place) = place("");
        let mut held = lock(&place);
        assert_eq!(held.open_intent().unwrap(), None);
        held.record_intent(&intent("mint")).unwrap();
        drop(held);

        let mut held = lock(&place);
        assert_eq!(
            held.open_intent().unwrap(),
            Some(OpenIntent::Known(intent("mint")))
        );
        held.record_intent(&intent("service_app_refresh_token"))
            .unwrap();
        assert_eq!(
            held.open_intent().unwrap(),
            Some(OpenIntent::Known(intent("service_app_refresh_token")))
        );
        held.close_intent().unwrap();
        assert_eq!(held.open_intent().unwrap(), None);
        drop(held);
        assert_eq!(lock(&place).open_intent().unwrap(), None);
    }

    #[test]
    fn no_secret_is_in_the_lock_file() {
        let (_folder, place) = place("");
        lock(&place).record_intent(&intent("mint")).unwrap();
        let bytes = std::fs::read(place.lock_file()).unwrap();
        assert_eq!(bytes.len(), 1024);
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    }

    #[test]
    fn a_foreign_or_torn_lock_file_is_an_unreadable_intent() {
        let (_folder, place) = place("");
        put(&place.lock_file(), [b'x'; 2048]);
        assert_eq!(
            lock(&place).open_intent().unwrap(),
            Some(OpenIntent::Unreadable)
        );
        put(&place.lock_file(), [b'x'; 600]);
        assert_eq!(
            lock(&place).open_intent().unwrap(),
            Some(OpenIntent::Unreadable)
        );
        put(&place.lock_file(), "short");
        assert_eq!(lock(&place).open_intent().unwrap(), None);
    }

    #[test]
    fn a_holder_without_a_pid_is_still_a_holder() {
        let (_folder, place) = place("");
        let held = lock(&place);
        put(&place.lock_file(), "no pid");
        assert!(matches!(
            try_lock(&place).unwrap(),
            Attempt::Busy { pid: None }
        ));
        drop(held);
    }
}

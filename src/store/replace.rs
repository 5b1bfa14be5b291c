//! Replacing a user's file: prepared before anything is spent, committed after the answer.
//!
//! After a crash at any instant the file holds the old contents or the new, whole, and what
//! [`Replacement::commit`] has reported survives a power cut. Owner, group and mode are kept,
//! others' access excepted, and a symlink stays one.
//!
//! Where renaming is impossible, a bind-mounted file or an owner that cannot be kept, the new
//! contents are made safe in the `.pending` sibling and then copied over the file. A reader may
//! see that copy half done; a crash in it is mended by [`recover`].

use std::io::{self, ErrorKind};

use super::disk::{self, Folder, Standing, Temp};
use super::{Place, StoreError, StoreLock};

/// The unit in which room is taken: what file systems allocate by.
const BLOCK: usize = 4096;

/// How the contents get into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A new file takes the name of the old one: readers see the old or the new, never a part.
    Rename,
    /// The file is written over from a safe sibling: readers may see a part, for an instant.
    Overwrite,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// How the contents got into the file.
    pub way: Way,
    /// Others than owner and group had access to the file, and no longer do.
    pub others_lost_access: bool,
}

/// Everything that replacing a file needs, at hand.
///
/// Dropped without a commit it leaves nothing behind, so drop it before resorting to
/// [`super::write_rescue`]: on a full disk that needs the room.
#[derive(Debug)]
pub struct Replacement {
    place: Place,
    folder: Folder,
    /// `None` once it was renamed.
    temp: Option<Temp>,
    /// How the file stood when `temp` was made to resemble it.
    standing: Option<Standing>,
    way: Way,
    /// The sibling lies safe under its name, and only the copy is missing.
    is_pending: bool,
}

impl Replacement {
    /// Takes all that replacing the file with up to `room` bytes will need: a synced temporary
    /// file of that size in its folder, with its owner, group and mode, and, where the file will
    /// be written over, the right to do so.
    ///
    /// # Errors
    ///
    /// Any of it cannot be had. Nothing is left behind, and nothing may be spent.
    pub fn prepare(place: &Place, room: usize, lock: &StoreLock) -> Result<Self, StoreError> {
        debug_assert_eq!(lock.path(), place.lock_file(), "the lock of another place");
        Self::take(place, room).map_err(|source| StoreError::CannotPrepare {
            path: place.shown().to_path_buf(),
            source,
        })
    }

    fn take(place: &Place, room: usize) -> io::Result<Self> {
        let mut replacement = Self {
            place: place.clone(),
            folder: Folder::open(place.folder())?,
            temp: None,
            standing: None,
            way: Way::Rename,
            is_pending: false,
        };
        let way = {
            let (temp, way) = replacement.fit()?;
            // Written, because a hole in a file takes no room.
            let room = room.max(1).next_multiple_of(BLOCK);
            disk::write_at(temp.file(), &vec![0; room], 0)?;
            disk::sync(temp.file())?;
            way
        };
        if way == Way::Overwrite {
            disk::open_to_write(place.file())?;
        }
        Ok(replacement)
    }

    /// The temporary file, with the owner, group and mode that the file has now, and the way that
    /// follows from how the file stands.
    fn fit(&mut self) -> io::Result<(&mut Temp, Way)> {
        let standing = Standing::of(self.place.file())?;
        let is_new = self.temp.is_none();
        if is_new {
            let temp = Temp::create(self.place.folder(), &self.place.temp_prefix())?;
            self.temp = Some(temp);
        }
        let temp = self
            .temp
            .as_mut()
            .expect("it was created if there was none");
        if is_new || standing != self.standing {
            self.standing = standing;
            self.way = match standing {
                Some(standing) if !standing.apply(temp.file(), is_new) || standing.is_fixed() => {
                    Way::Overwrite
                }
                Some(_) | None => Way::Rename,
            };
        }
        Ok((temp, self.way))
    }

    /// Replaces the file with `contents`.
    ///
    /// After a crash at any point the file holds the old contents or the new, whole; where the way
    /// is [`Way::Overwrite`], once [`recover`] has run.
    ///
    /// # Errors
    ///
    /// The contents are not known to be safe, though they may be in place already. It may be
    /// called again, until it succeeds or the caller gives up.
    pub fn commit(&mut self, contents: &[u8]) -> Result<Committed, StoreError> {
        self.save(contents)
            .map_err(|source| StoreError::CannotSave {
                path: self.place.shown().to_path_buf(),
                source,
            })
    }

    fn save(&mut self, contents: &[u8]) -> io::Result<Committed> {
        if self.has_pending(contents) {
            return self.overwrite(contents);
        }
        let (temp, way) = self.fit()?;
        // All of it, each time: after a failed sync the system may have dropped what was written.
        disk::write_at(temp.file(), contents, 0)?;
        disk::set_len(temp.file(), contents.len())?;
        disk::sync(temp.file())?;
        if way == Way::Rename && self.rename()? {
            return Ok(Committed {
                way: Way::Rename,
                others_lost_access: self.standing.is_some_and(Standing::is_open_to_others),
            });
        }
        self.rename_to_pending()?;
        self.overwrite(contents)
    }

    /// Gives the temporary file its name; `false` where nothing can be renamed over the file.
    fn rename(&mut self) -> io::Result<bool> {
        let temp = self.temp.as_mut().expect("it was just written");
        match temp.rename_to(self.place.file()) {
            Ok(()) => {
                self.temp = None;
                self.folder.sync()?;
                Ok(true)
            }
            Err(error) if disk::forbids_rename(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rename_to_pending(&mut self) -> io::Result<()> {
        let temp = self.temp.as_mut().expect("it was just written");
        self.is_pending = false;
        temp.rename_to(&self.place.pending_file())?;
        self.temp = None;
        self.folder.sync()?;
        self.is_pending = true;
        Ok(())
    }

    /// Whether an attempt before this one got as far as putting just these contents into the
    /// sibling: on a full disk there may be no room for another.
    fn has_pending(&self, contents: &[u8]) -> bool {
        self.is_pending
            && disk::read_own(&self.place.pending_file(), contents.len() as u64 + 1)
                .is_ok_and(|pending| pending == contents)
    }

    fn overwrite(&mut self, contents: &[u8]) -> io::Result<Committed> {
        let others_lost_access = copy_from_pending(&self.place, contents, &self.folder)?;
        self.is_pending = false;
        Ok(Committed {
            way: Way::Overwrite,
            others_lost_access,
        })
    }
}

/// Writes the sibling's contents over the file and removes the sibling; whether others lost their
/// access to the file.
fn copy_from_pending(place: &Place, contents: &[u8], folder: &Folder) -> io::Result<bool> {
    let file = match disk::open_to_write(place.file()) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // What stood in the way of renaming is gone.
            disk::rename(&place.pending_file(), place.file())?;
            folder.sync()?;
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let others_lost_access = Standing::close_to_others(&file);
    disk::write_at(&file, contents, 0)?;
    disk::set_len(&file, contents.len())?;
    disk::sync(&file)?;
    disk::remove(&place.pending_file())?;
    // Brought back by a power cut, the sibling would undo what is written until the next run.
    folder.sync()?;
    Ok(others_lost_access)
}

/// What [`recover`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// An earlier run's save was finished: the file has changed.
    pub finished_copy: bool,
}

/// Finishes what a dead run began, and removes the temporary files it left.
///
/// Call it first under the lock: whatever temporary file is there then belongs to a dead run.
/// Where there is nothing to do it does not mind a folder that cannot be written.
///
/// # Errors
///
/// A copy is waiting and cannot be finished. The file may hold only part of it.
pub fn recover(place: &Place, lock: &StoreLock) -> Result<Recovered, StoreError> {
    debug_assert_eq!(lock.path(), place.lock_file(), "the lock of another place");
    let pending = place.pending_file();
    let finish = || -> io::Result<bool> {
        let contents = match disk::read_own(&pending, u64::MAX) {
            Ok(contents) => contents,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let folder = Folder::open(place.folder())?;
        // The run that died may have done so before its rename was safe.
        folder.sync()?;
        copy_from_pending(place, &contents, &folder)?;
        Ok(true)
    };
    let finished_copy = finish().map_err(|source| StoreError::CannotFinish {
        path: place.shown().to_path_buf(),
        pending: pending.clone(),
        source,
    })?;
    disk::remove_leftovers(place.folder(), &place.temp_prefix());
    Ok(Recovered { finished_copy })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{lock, names, place, put};
    use super::*;

    fn text(place: &Place) -> String {
        fs::read_to_string(place.file()).unwrap()
    }

    /// A replacement that takes the file for one that no rename can replace.
    fn overwriting(place: &Place, lock: &StoreLock) -> Replacement {
        let mut replacement = Replacement::prepare(place, 100, lock).unwrap();
        replacement.way = Way::Overwrite;
        replacement
    }

    #[test]
    fn a_file_is_replaced_whole_and_again() {
        let (folder, place) = place("old and rather longer than what replaces it");
        let lock = lock(&place);
        let mut replacement = Replacement::prepare(&place, 10, &lock).unwrap();
        for contents in ["new", "newer, with more bytes than room was taken for", ""] {
            let committed = replacement.commit(contents.as_bytes()).unwrap();
            assert_eq!(committed.way, Way::Rename);
            assert_eq!(text(&place), contents);
        }
        assert_eq!(names(folder.path()), [".env", ".env.lock"]);
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let (folder, place) = place("old");
        let lock = lock(&place);
        let replacement = Replacement::prepare(&place, 5000, &lock).unwrap();
        let temp = names(folder.path())
            .into_iter()
            .find(|name| name.starts_with(".env.tmp."))
            .unwrap();
        let len = fs::metadata(folder.path().join(temp)).unwrap().len();
        assert_eq!(len, 8192);
        drop(replacement);
        assert_eq!(names(folder.path()), [".env", ".env.lock"]);
        assert_eq!(text(&place), "old");
    }

    #[test]
    fn a_missing_file_is_created() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::resolve(&folder.path().join("new.env")).unwrap();
        let lock = lock(&place);
        let mut replacement = Replacement::prepare(&place, 10, &lock).unwrap();
        assert!(!place.file().exists());
        let committed = replacement.commit(b"A=1").unwrap();
        assert!(!committed.others_lost_access);
        assert_eq!(text(&place), "A=1");
        #[cfg(unix)]
        assert_eq!(super::super::tests::mode(place.file()), 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn the_mode_is_kept_but_for_others() {
        use super::super::tests::{mode, set_mode};
        let (_folder, place) = place("old");
        let lock = lock(&place);
        for (before, after) in [
            (0o600, 0o600),
            (0o640, 0o640),
            (0o660, 0o660),
            (0o644, 0o640),
            (0o400, 0o400),
            (0o666, 0o660),
        ] {
            for way in [Way::Rename, Way::Overwrite] {
                set_mode(place.file(), before);
                let mut replacement = Replacement::prepare(&place, 10, &lock).unwrap();
                if way == Way::Overwrite && disk::open_to_write(place.file()).is_ok() {
                    replacement.way = way;
                }
                let committed = replacement.commit(b"new").unwrap();
                assert_eq!(mode(place.file()), after, "{before:o} {way:?}");
                assert_eq!(committed.others_lost_access, before != after);
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_mode_changed_between_prepare_and_commit_is_kept() {
        use super::super::tests::{mode, set_mode};
        let (_folder, place) = place("old");
        let lock = lock(&place);
        set_mode(place.file(), 0o640);
        let mut replacement = Replacement::prepare(&place, 10, &lock).unwrap();
        set_mode(place.file(), 0o600);
        replacement.commit(b"new").unwrap();
        assert_eq!(mode(place.file()), 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn the_owner_is_kept_where_it_can_be() {
        use std::os::unix::fs::{MetadataExt as _, chown};
        let (_folder, place) = place("old");
        if chown(place.file(), Some(12345), Some(54321)).is_err() {
            return; // Only root may give a file away.
        }
        let place = Place::resolve(place.shown()).unwrap();
        let lock = lock(&place);
        let mut replacement = Replacement::prepare(&place, 10, &lock).unwrap();
        assert_eq!(replacement.commit(b"new").unwrap().way, Way::Rename);
        for path in [place.file(), lock.path()] {
            let metadata = fs::metadata(path).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (12345, 54321));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_symlink_stays_one() {
        let (folder, place) = place("old");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(".env", &link).unwrap();
        let linked = Place::resolve(&link).unwrap();
        let lock = lock(&linked);
        let mut replacement = Replacement::prepare(&linked, 10, &lock).unwrap();
        replacement.commit(b"new").unwrap();
        assert_eq!(text(&place), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&link).unwrap(), "new");
    }

    #[cfg(unix)]
    #[test]
    fn writing_over_a_file_keeps_the_file() {
        use std::os::unix::fs::MetadataExt as _;
        let (folder, place) = place("old and longer");
        let inode = fs::metadata(place.file()).unwrap().ino();
        let lock = lock(&place);
        let committed = overwriting(&place, &lock).commit(b"new").unwrap();
        assert_eq!(committed.way, Way::Overwrite);
        assert_eq!(text(&place), "new");
        assert_eq!(fs::metadata(place.file()).unwrap().ino(), inode);
        assert_eq!(names(folder.path()), [".env", ".env.lock"]);
    }

    #[test]
    fn a_commit_that_failed_can_be_repeated() {
        for way in [Way::Rename, Way::Overwrite] {
            let (folder, place) = place("old");
            let lock = lock(&place);
            let mut replacement = Replacement::prepare(&place, 10, &lock).unwrap();
            replacement.way = way;
            fs::remove_file(place.file()).unwrap();
            fs::create_dir(place.file()).unwrap();
            let error = replacement.commit(b"new").unwrap_err();
            assert!(matches!(error, StoreError::CannotSave { .. }));
            fs::remove_dir(place.file()).unwrap();
            put(place.file(), "old");
            replacement.commit(b"newer").unwrap();
            assert_eq!(text(&place), "newer");
            drop(replacement);
            assert_eq!(names(folder.path()), [".env", ".env.lock"]);
        }
    }

    #[test]
    fn a_safe_sibling_is_used_again() {
        let (folder, place) = place("old");
        let lock = lock(&place);
        let mut replacement = overwriting(&place, &lock);
        disk::write_at(replacement.temp.as_ref().unwrap().file(), b"new", 0).unwrap();
        disk::set_len(replacement.temp.as_ref().unwrap().file(), 3).unwrap();
        replacement.rename_to_pending().unwrap();
        assert_eq!(replacement.commit(b"new").unwrap().way, Way::Overwrite);
        assert_eq!(text(&place), "new");
        assert_eq!(names(folder.path()), [".env", ".env.lock"]);
    }

    #[test]
    fn a_directory_cannot_be_replaced() {
        let (_folder, place) = place("old");
        let lock = lock(&place);
        fs::remove_file(place.file()).unwrap();
        fs::create_dir(place.file()).unwrap();
        assert!(matches!(
            Replacement::prepare(&place, 10, &lock),
            Err(StoreError::CannotPrepare { .. })
        ));
    }

    #[test]
    fn a_copy_begun_by_a_dead_run_is_finished() {
        for torn in ["old contents", "new con", ""] {
            let (folder, place) = place(torn);
            put(&place.pending_file(), "new contents");
            let lock = lock(&place);
            assert!(recover(&place, &lock).unwrap().finished_copy);
            assert_eq!(text(&place), "new contents");
            assert_eq!(names(folder.path()), [".env", ".env.lock"]);
            assert!(!recover(&place, &lock).unwrap().finished_copy);
        }
    }

    #[test]
    fn a_copy_whose_file_is_gone_becomes_the_file() {
        let (folder, place) = place("");
        fs::remove_file(place.file()).unwrap();
        put(&place.pending_file(), "new contents");
        let lock = lock(&place);
        assert!(recover(&place, &lock).unwrap().finished_copy);
        assert_eq!(text(&place), "new contents");
        assert_eq!(names(folder.path()), [".env", ".env.lock"]);
    }

    #[test]
    fn a_copy_that_cannot_be_finished_is_told() {
        let (_folder, place) = place("old");
        fs::create_dir(place.pending_file()).unwrap();
        let lock = lock(&place);
        assert!(matches!(
            recover(&place, &lock),
            Err(StoreError::CannotFinish { .. })
        ));
    }

    #[test]
    fn only_what_we_left_is_removed() {
        let (folder, place) = place("old");
        let lock = lock(&place);
        std::mem::forget(Replacement::prepare(&place, 10, &lock).unwrap());
        let others = [
            ".env.tmp",
            ".env.tmp.mine",
            ".env.tmp.twelve-chars",
            ".env.tmp.ThirteenChars",
            "x.env.tmp.TwelveChars1",
        ];
        for name in others {
            put(&folder.path().join(name), "");
        }
        assert_eq!(names(folder.path()).len(), others.len() + 3);
        recover(&place, &lock).unwrap();
        let mut left: Vec<_> = others.into_iter().chain([".env", ".env.lock"]).collect();
        left.sort_unstable();
        assert_eq!(names(folder.path()), left);
    }
}

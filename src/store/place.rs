//! Where a user's file lies, and the names of what lies beside it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::disk::{self, Folder, Owner};
use super::{StoreError, rescue};

/// The largest file that is read: 1 MiB. A larger one is not what it was taken for.
pub const MAX_FILE_SIZE: usize = 1 << 20;

/// As many as Linux follows.
const MAX_SYMLINKS: usize = 40;

/// A user's file, `.env` or `token-config.json`, and the names of our own beside it.
///
/// Symlinks are followed, dangling ones too, so that everything lies beside the file itself and
/// the links stay links. The file need not exist; its folder must.
#[derive(Clone, Debug)]
pub struct Place {
    shown: PathBuf,
    file: PathBuf,
    owner: Option<Owner>,
}

impl Place {
    /// Follows `path` to the file.
    ///
    /// # Errors
    ///
    /// It leads to something else than a file, or into a folder that does not exist, or cannot be
    /// followed.
    pub fn resolve(path: &Path) -> Result<Self, StoreError> {
        let shown = path.to_path_buf();
        let mut file = shown.clone();
        for _ in 0..=MAX_SYMLINKS {
            let metadata = match fs::symlink_metadata(&file) {
                Ok(metadata) => metadata,
                Err(error) => return Self::missing(shown, file, error),
            };
            if metadata.is_file() {
                let owner = Some(Owner::of(&metadata));
                return Ok(Self { shown, file, owner });
            }
            // What a link in /proc names need not be a path, so that where it leads comes first.
            let end = if metadata.is_symlink() {
                fs::metadata(&file).ok()
            } else {
                Some(metadata)
            };
            match end {
                Some(end) if end.is_dir() => return Err(StoreError::Directory { path: shown }),
                Some(end) if !end.is_file() => return Err(StoreError::NotAFile { path: shown }),
                Some(_) | None => {}
            }
            match fs::read_link(&file) {
                Ok(target) => file = disk::folder_of(&file).join(target),
                Err(source) => {
                    return Err(StoreError::Unreadable {
                        path: shown,
                        source,
                    });
                }
            }
        }
        Err(StoreError::Unreadable {
            path: shown,
            source: io::Error::other("too many levels of symbolic links"),
        })
    }

    /// The place of a file that is not there, if it could be.
    fn missing(shown: PathBuf, file: PathBuf, error: io::Error) -> Result<Self, StoreError> {
        if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            return Err(StoreError::Unreadable {
                path: shown,
                source: error,
            });
        }
        let names_folder =
            file.file_name().is_none() || file.as_os_str().as_encoded_bytes().ends_with(b"/");
        let folder = if names_folder {
            file.as_path()
        } else {
            disk::folder_of(&file)
        };
        if fs::metadata(folder).is_ok_and(|folder| folder.is_dir()) {
            let owner = None;
            Ok(Self { shown, file, owner })
        } else {
            Err(StoreError::MissingFolder {
                path: folder.to_path_buf(),
            })
        }
    }

    /// The path as the user wrote it: for messages.
    #[must_use]
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// The file itself, symlinks followed.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The folder of the file itself; `.` for a bare name.
    #[must_use]
    pub fn folder(&self) -> &Path {
        disk::folder_of(&self.file)
    }

    /// `<name>.lock`: the lock, and the intent inside it.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.sibling(".lock")
    }

    /// `<name>.state.json`: dates and fingerprints.
    #[must_use]
    pub fn state_file(&self) -> PathBuf {
        self.sibling(".state.json")
    }

    /// `<name>.pending`: whole contents on their way into the file, where renaming is impossible.
    #[must_use]
    pub fn pending_file(&self) -> PathBuf {
        self.sibling(".pending")
    }

    /// `<name>.rescue.json`: tokens that could not be saved.
    #[must_use]
    pub fn rescue_file(&self) -> PathBuf {
        self.sibling(".rescue.json")
    }

    /// `data-sources.log`: what was done to data sources, where no other log is named.
    #[must_use]
    pub fn operation_log(&self) -> PathBuf {
        self.file.with_file_name("data-sources.log")
    }

    /// Whether `file` is this file or one of ours beside it, by name or by another link to it.
    /// A symlink that `file` itself may be is followed where it leads to something.
    #[must_use]
    pub fn owns(&self, file: &Path) -> bool {
        let ours = [
            self.file.clone(),
            self.lock_file(),
            self.state_file(),
            self.pending_file(),
            self.rescue_file(),
        ];
        let is_named = |name: &OsStr| {
            let temp = self.temp_prefix();
            ours.iter().any(|ours| ours.file_name() == Some(name))
                || name.as_encoded_bytes().starts_with(temp.as_encoded_bytes())
        };
        file.file_name().is_some_and(is_named)
            && disk::is_same(self.folder(), disk::folder_of(file))
            || ours.iter().any(|ours| disk::is_same(ours, file))
    }

    /// What the names of temporary files begin with; a random end follows.
    pub(super) fn temp_prefix(&self) -> OsString {
        self.name_with(".tmp.")
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        self.file.with_file_name(self.name_with(suffix))
    }

    fn name_with(&self, suffix: &str) -> OsString {
        let name = self
            .file
            .file_name()
            .expect("`resolve` lets only paths through that end in a name");
        let mut name = name.to_owned();
        name.push(suffix);
        name
    }

    /// Gives a file of ours to the owner of the user's file, where root runs this.
    pub(super) fn give_to_owner(&self, file: &File) {
        if let Some(owner) = self.owner {
            owner.adopt(file);
        }
    }

    /// Whether new contents are on their way into the file, which may be torn until they are there.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        disk::exists(&self.pending_file())
    }

    /// Makes safe that the file is the one that has this name now.
    ///
    /// # Errors
    ///
    /// As the system's own.
    pub fn sync_name(&self) -> io::Result<()> {
        Folder::open(self.folder())?.sync()
    }

    /// Whether the file and its folder look writable to this process, without writing.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        disk::may_write(self.folder()) && (!disk::exists(&self.file) || disk::may_write(&self.file))
    }

    /// Reads the file; `None` where it does not exist.
    ///
    /// # Errors
    ///
    /// It is a directory, cannot be read, is larger than [`MAX_FILE_SIZE`], or is not UTF-8.
    pub fn read(&self) -> Result<Option<String>, StoreError> {
        self.text_of(disk::read(&self.file, MAX_FILE_SIZE as u64 + 1))
    }

    fn text_of(&self, read: io::Result<Vec<u8>>) -> Result<Option<String>, StoreError> {
        let path = || self.shown.clone();
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                return match error.kind() {
                    ErrorKind::NotFound => Ok(None),
                    ErrorKind::IsADirectory => Err(StoreError::Directory { path: path() }),
                    _ => Err(StoreError::Unreadable {
                        path: path(),
                        source: error,
                    }),
                };
            }
        };
        if bytes.len() > MAX_FILE_SIZE {
            return Err(StoreError::TooLarge { path: path() });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                Err(StoreError::NotUtf8 {
                    path: path(),
                    line: good.split(|&byte| byte == b'\n').count(),
                })
            }
        }
    }

    /// Reads the new contents that are on their way into the file, where there are any, or else the
    /// file: those are whole while the file may be torn.
    ///
    /// # Errors
    ///
    /// As for [`Place::read`].
    pub fn read_whole(&self) -> Result<Option<String>, StoreError> {
        let pending = disk::read_own(&self.pending_file(), MAX_FILE_SIZE as u64 + 1);
        match self.text_of(pending) {
            Ok(Some(text)) => Ok(Some(text)),
            Ok(None) | Err(_) => self.read(),
        }
    }

    /// Whether an earlier run left a copy to finish or tokens to adopt.
    ///
    /// A hint for the run that wants to take no lock: it looks at names only.
    #[must_use]
    pub fn has_unfinished_business(&self, state_dir: Option<&Path>) -> bool {
        disk::exists(&self.pending_file()) || rescue::exists(self, state_dir)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{place, put};
    use super::*;

    #[test]
    fn everything_lies_beside_the_file() {
        let (folder, place) = place("KEY=value\n");
        let beside = |name: &str| folder.path().join(name);
        assert_eq!(place.file(), beside(".env"));
        assert_eq!(place.folder(), folder.path());
        assert_eq!(place.lock_file(), beside(".env.lock"));
        assert_eq!(place.state_file(), beside(".env.state.json"));
        assert_eq!(place.pending_file(), beside(".env.pending"));
        assert_eq!(place.rescue_file(), beside(".env.rescue.json"));
        assert_eq!(place.operation_log(), beside("data-sources.log"));
        assert_eq!(place.temp_prefix(), ".env.tmp.");
        assert_eq!(place.read().unwrap().as_deref(), Some("KEY=value\n"));
    }

    #[test]
    fn a_bare_name_lies_in_the_current_folder() {
        let place = Place::resolve(Path::new("no such file.env")).unwrap();
        assert_eq!(place.folder(), Path::new("."));
        assert_eq!(place.lock_file(), Path::new("no such file.env.lock"));
        assert_eq!(place.read().unwrap(), None);
    }

    #[cfg(unix)]
    #[test]
    fn symlinks_are_followed_even_where_they_dangle() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        symlink("real/hop", at("link")).unwrap();
        symlink("secrets.env", at("real/hop")).unwrap();

        let place = Place::resolve(&at("link")).unwrap();
        assert_eq!(place.shown(), at("link"));
        assert_eq!(place.file(), at("real/secrets.env"));
        assert_eq!(place.read().unwrap(), None);

        put(&at("real/secrets.env"), "A=1");
        let place = Place::resolve(&at("link")).unwrap();
        assert_eq!(place.lock_file(), at("real/secrets.env.lock"));
        assert_eq!(place.read().unwrap().as_deref(), Some("A=1"));
    }

    #[cfg(unix)]
    #[test]
    fn a_circle_of_symlinks_ends() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("link", &link).unwrap();
        assert!(matches!(
            Place::resolve(&link),
            Err(StoreError::Unreadable { .. })
        ));
    }

    #[test]
    fn what_is_no_file_is_told_apart() {
        let (folder, place) = place("");
        let resolve = |name: &str| Place::resolve(&folder.path().join(name));
        assert!(matches!(resolve(""), Err(StoreError::Directory { .. })));
        assert!(matches!(resolve(".."), Err(StoreError::Directory { .. })));
        for name in ["no/.env", "no/", ".env/under", ".env/", "no/.."] {
            let error = resolve(name).unwrap_err();
            assert!(matches!(error, StoreError::MissingFolder { .. }), "{name}");
        }
        assert!(matches!(
            Place::resolve(Path::new("")),
            Err(StoreError::MissingFolder { .. })
        ));
        #[cfg(unix)]
        assert!(matches!(
            Place::resolve(Path::new("/dev/null")),
            Err(StoreError::NotAFile { .. })
        ));

        fs::remove_file(place.file()).unwrap();
        fs::create_dir(place.file()).unwrap();
        assert!(matches!(place.read(), Err(StoreError::Directory { .. })));
    }

    #[test]
    fn what_is_no_text_is_told_by_line() {
        let (_folder, place) = place("");
        put(place.file(), b"A=1\r\nB=2\nC=\xff canary\n");
        let error = place.read().unwrap_err();
        assert!(matches!(error, StoreError::NotUtf8 { line: 3, .. }));
        assert!(error.is_bad_content());
        assert!(!format!("{error} {error:?}").contains("canary"));

        put(place.file(), b"\xff\xfeA");
        assert!(matches!(
            place.read(),
            Err(StoreError::NotUtf8 { line: 1, .. })
        ));
    }

    #[test]
    fn a_mebibyte_is_read_and_one_more_byte_is_not() {
        let (_folder, place) = place("");
        put(place.file(), vec![b'#'; MAX_FILE_SIZE]);
        assert_eq!(place.read().unwrap().unwrap().len(), MAX_FILE_SIZE);
        put(place.file(), vec![b'#'; MAX_FILE_SIZE + 1]);
        assert!(matches!(place.read(), Err(StoreError::TooLarge { .. })));
    }

    #[test]
    fn what_is_on_its_way_is_read_in_place_of_the_file() {
        let (_folder, place) = place("tor");
        assert_eq!(place.read_whole().unwrap().as_deref(), Some("tor"));
        put(&place.pending_file(), "whole");
        assert_eq!(place.read_whole().unwrap().as_deref(), Some("whole"));
        assert_eq!(place.read().unwrap().as_deref(), Some("tor"));
    }

    #[test]
    fn a_file_of_ours_is_known_under_any_name() {
        let (folder, place) = place("A=1");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        for ours in [
            ".env",
            "sub/../.env",
            ".env.lock",
            ".env.state.json",
            ".env.pending",
            ".env.rescue.json",
            ".env.tmp.",
            ".env.tmp.a1",
        ] {
            assert!(place.owns(&at(ours)), "{ours}");
        }
        for other in [
            "data-sources.log",
            ".env.log",
            ".envrc",
            "env",
            "sub/.env",
            "none/.env",
            "",
        ] {
            assert!(!place.owns(&at(other)), "{other}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(".", at("link")).unwrap();
            std::os::unix::fs::symlink(".env", at("sub/../soft")).unwrap();
            fs::hard_link(place.file(), at("hard")).unwrap();
            for name in ["link/.env.lock", "soft", "hard"] {
                assert!(place.owns(&at(name)), "{name}");
            }
        }
    }

    #[test]
    fn unfinished_business_is_seen_by_name() {
        let (folder, place) = place("");
        let nowhere = folder.path().join("none");
        assert!(!place.has_unfinished_business(Some(&nowhere)));
        put(&place.pending_file(), "A=1");
        assert!(place.has_unfinished_business(None));
    }
}

//! The rescue file: tokens that Webex issued and the user's file did not take.
//!
//! It lies beside that file or, where its folder takes nothing, in a folder for state that the
//! caller names. It is for the owner alone (0600) and safe once [`write_rescue`] has returned. The
//! next run adopts it: a rescue says which token it replaces, so that one which came too late is
//! known for it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::disk::{self, Folder, Temp};
use super::state::whole_seconds;
use super::{MAX_FILE_SIZE, Place, StoreError, StoreLock, digest};
use crate::token::{AccessToken, Fingerprint, Issued, RefreshToken};

const VERSION: u32 = 1;

/// Tokens that could not be saved after Webex issued them.
#[derive(Clone, Debug)]
pub struct Rescue {
    /// The short name of the rung that got them.
    pub rung: String,
    /// The access token that stood in the file when these were issued.
    pub replaces_access_token: Option<Fingerprint>,
    /// The refresh token that stood there.
    pub replaces_refresh_token: Option<Fingerprint>,
    /// The tokens and their dates.
    pub issued: Issued,
}

/// The rescue file as it is written.
#[derive(Serialize, Deserialize)]
struct Wire {
    version: u32,
    rung: String,
    replaces_access_token: Option<Fingerprint>,
    replaces_refresh_token: Option<Fingerprint>,
    issued_at: Timestamp,
    #[serde(default, with = "whole_seconds")]
    expires_in: Option<SignedDuration>,
    #[serde(default, with = "whole_seconds")]
    refresh_token_expires_in: Option<SignedDuration>,
    access_token: String,
    refresh_token: Option<String>,
}

impl From<&Rescue> for Wire {
    fn from(rescue: &Rescue) -> Self {
        let issued = &rescue.issued;
        Self {
            version: VERSION,
            rung: rescue.rung.clone(),
            replaces_access_token: rescue.replaces_access_token.clone(),
            replaces_refresh_token: rescue.replaces_refresh_token.clone(),
            issued_at: issued.issued_at,
            expires_in: issued.expires_in,
            refresh_token_expires_in: issued.refresh_token_expires_in,
            access_token: issued.access_token.expose().to_owned(),
            refresh_token: issued
                .refresh_token
                .as_ref()
                .map(|token| token.expose().to_owned()),
        }
    }
}

impl From<Wire> for Rescue {
    fn from(wire: Wire) -> Self {
        Self {
            rung: wire.rung,
            replaces_access_token: wire.replaces_access_token,
            replaces_refresh_token: wire.replaces_refresh_token,
            issued: Issued {
                access_token: AccessToken::new(wire.access_token),
                expires_in: wire.expires_in,
                refresh_token: wire.refresh_token.map(RefreshToken::new),
                refresh_token_expires_in: wire.refresh_token_expires_in,
                issued_at: wire.issued_at,
            },
        }
    }
}

/// Where the rescue of `place` lies in `state_dir`: the same for every path to that file.
fn fallback(place: &Place, state_dir: &Path) -> PathBuf {
    let folder = fs::canonicalize(place.folder()).unwrap_or_else(|_| place.folder().to_path_buf());
    let file = folder.join(place.file().file_name().unwrap_or(OsStr::new("")));
    let name = digest(file.as_os_str().as_encoded_bytes());
    state_dir.join(format!("{name}.rescue.json"))
}

/// Whether there is a rescue of `place`, readable or not.
pub(super) fn exists(place: &Place, state_dir: Option<&Path>) -> bool {
    disk::exists(&place.rescue_file())
        || state_dir.is_some_and(|dir| disk::exists(dir) && disk::exists(&fallback(place, dir)))
}

/// Writes a rescue file beside the user's file or, where that fails, in `state_dir`, which is
/// created. Returns where it lies, safe; an earlier one there is replaced.
///
/// Drop the [`super::Replacement`] that failed first: its room may be the last there is.
///
/// # Errors
///
/// It can be made safe in neither. The error names the place that was tried last. What a disk took
/// that could not make it safe is there all the same, for as long as the machine runs.
pub fn write_rescue(
    place: &Place,
    state_dir: Option<&Path>,
    rescue: &Rescue,
    lock: &StoreLock,
) -> Result<PathBuf, StoreError> {
    debug_assert_eq!(lock.path(), place.lock_file(), "the lock of another place");
    let beside = place.rescue_file();
    match write(&beside, rescue, place) {
        Ok(()) => Ok(beside),
        Err(source) => {
            let Some(dir) = state_dir else {
                return Err(StoreError::CannotSave {
                    path: beside,
                    source,
                });
            };
            let path = fallback(place, dir);
            match disk::create_folder(dir).and_then(|()| write(&path, rescue, place)) {
                Ok(()) => Ok(path),
                Err(source) => Err(StoreError::CannotSave { path, source }),
            }
        }
    }
}

fn write(path: &Path, rescue: &Rescue, place: &Place) -> io::Result<()> {
    let contents = serde_json::to_vec_pretty(&Wire::from(rescue))?;
    let folder = disk::folder_of(path);
    let open_folder = Folder::open(folder)?;
    let prefix = if folder == place.folder() {
        place.temp_prefix()
    } else {
        let mut prefix = path.file_stem().unwrap_or_default().to_owned();
        prefix.push(".tmp.");
        // Nothing else looks for leftovers in that folder.
        disk::remove_leftovers(folder, &prefix);
        prefix
    };
    let mut temp = Temp::create(folder, &prefix)?;
    place.give_to_owner(temp.file());
    disk::write_at(temp.file(), &contents, 0)?;
    let is_safe = disk::sync(temp.file());
    temp.rename_to(path)?;
    is_safe.and_then(|()| open_folder.sync())
}

/// The rescue of `place` and where it lies. Where there are two, the one issued last; after its
/// removal this finds the other.
///
/// # Errors
///
/// There is one, it is the only one, and it is unreadable or damaged.
pub fn find_rescue(
    place: &Place,
    state_dir: Option<&Path>,
) -> Result<Option<(PathBuf, Rescue)>, StoreError> {
    let beside = read(place.rescue_file());
    let apart = match state_dir {
        Some(dir) if disk::exists(dir) => read(fallback(place, dir)),
        Some(_) | None => Ok(None),
    };
    match (beside, apart) {
        (Ok(Some(beside)), Ok(Some(apart))) => {
            let apart_is_newer = apart.1.issued.issued_at > beside.1.issued.issued_at;
            Ok(Some(if apart_is_newer { apart } else { beside }))
        }
        (Ok(Some(found)), _) | (_, Ok(Some(found))) => Ok(Some(found)),
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(None), Ok(None)) => Ok(None),
    }
}

fn read(path: PathBuf) -> Result<Option<(PathBuf, Rescue)>, StoreError> {
    let bytes = match disk::read_own(&path, MAX_FILE_SIZE as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::Unreadable { path, source }),
    };
    // The parser's own error quotes what it read, which is a secret.
    match serde_json::from_slice::<Wire>(&bytes) {
        Ok(wire) if wire.version == VERSION => Ok(Some((path, wire.into()))),
        Ok(_) | Err(_) => Err(StoreError::DamagedRescue { path }),
    }
}

/// Removes a rescue file that [`find_rescue`] found, once its tokens are saved or outdated.
///
/// Not synced: one that a power cut brings back replaces a token that is no longer stored.
///
/// # Errors
///
/// It is there and cannot be removed.
pub fn remove_rescue(path: &Path, _held: &StoreLock) -> Result<(), StoreError> {
    match disk::remove(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(StoreError::CannotSave {
            path: path.to_path_buf(),
            source,
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lock, names, place, put};
    use super::*;

    fn rescue(access_token: &str, issued_at: i64) -> Rescue {
        Rescue {
            rung: "service_app_refresh_token".to_owned(),
            replaces_access_token: Some(Fingerprint::of("old")),
            replaces_refresh_token: Some(Fingerprint::of("old refresh")),
            issued: Issued {
                access_token: AccessToken::new(access_token),
                expires_in: Some(SignedDuration::from_secs(1_209_599)),
                refresh_token: Some(RefreshToken::new("refresh canary")),
                refresh_token_expires_in: None,
                issued_at: Timestamp::from_second(issued_at).unwrap(),
            },
        }
    }

    /// A disk that takes everything and makes nothing safe.
    struct Unsafe;

    impl super::super::Seam for Unsafe {
        fn before(&self, change: &super::super::Change<'_>) -> io::Result<()> {
            match change {
                super::super::Change::Sync(_) => Err(io::Error::other("no sync")),
                _ => Ok(()),
            }
        }

        fn after(&self, _: &super::super::Change<'_>) {}
    }

    #[test]
    fn what_cannot_be_made_safe_is_kept_all_the_same() {
        let (_folder, place) = place("");
        let lock = lock(&place);
        let written = rescue("access canary", 1);
        let seam: std::rc::Rc<dyn super::super::Seam> = std::rc::Rc::new(Unsafe);
        let saved = super::super::with_seam(&seam, || write_rescue(&place, None, &written, &lock));
        assert!(saved.is_err());
        let (_, found) = find_rescue(&place, None).unwrap().unwrap();
        assert!(same(&found, &written));
    }

    fn same(one: &Rescue, two: &Rescue) -> bool {
        serde_json::to_value(Wire::from(one)).unwrap()
            == serde_json::to_value(Wire::from(two)).unwrap()
    }

    #[test]
    fn a_rescue_is_found_as_it_was_written() {
        let (folder, place) = place("");
        let lock = lock(&place);
        assert!(find_rescue(&place, None).unwrap().is_none());
        let written = rescue("access canary", 1);
        let path = write_rescue(&place, None, &written, &lock).unwrap();
        assert_eq!(path, place.rescue_file());
        #[cfg(unix)]
        assert_eq!(super::super::tests::mode(&path), 0o600);
        assert!(place.has_unfinished_business(None));
        let (found_at, found) = find_rescue(&place, None).unwrap().unwrap();
        assert_eq!(found_at, path);
        assert!(same(&found, &written));
        assert!(!format!("{found:?}").contains("canary"));

        remove_rescue(&path, &lock).unwrap();
        remove_rescue(&path, &lock).unwrap();
        assert!(find_rescue(&place, None).unwrap().is_none());
        assert_eq!(names(folder.path()), [".env", ".env.lock"]);
    }

    #[test]
    fn what_finds_no_room_beside_the_file_goes_to_the_state_folder() {
        let (folder, place) = place("");
        let state_dir = folder.path().join("state/webex-tokens");
        let lock = lock(&place);
        std::fs::create_dir(place.rescue_file()).unwrap();
        let error = write_rescue(&place, None, &rescue("a", 1), &lock).unwrap_err();
        assert!(matches!(error, StoreError::CannotSave { .. }));

        let path = write_rescue(&place, Some(&state_dir), &rescue("a", 1), &lock).unwrap();
        assert_eq!(path.parent(), Some(state_dir.as_path()));
        #[cfg(unix)]
        assert_eq!(super::super::tests::mode(&state_dir), 0o700);
        assert!(place.has_unfinished_business(Some(&state_dir)));
        // What stands in the way beside the file does not hide the one that is good.
        let (found_at, found) = find_rescue(&place, Some(&state_dir)).unwrap().unwrap();
        assert_eq!(found_at, path);
        assert!(same(&found, &rescue("a", 1)));

        let other = folder.path().join("other.env");
        let other = Place::resolve(&other).unwrap();
        assert!(find_rescue(&other, Some(&state_dir)).unwrap().is_none());
        assert!(!other.has_unfinished_business(Some(&state_dir)));
    }

    #[cfg(unix)]
    #[test]
    fn the_state_folder_knows_a_file_by_any_path() {
        let (folder, place) = place("");
        let linked = folder.path().join("linked");
        std::os::unix::fs::symlink(folder.path(), &linked).unwrap();
        let linked = Place::resolve(&linked.join(".env")).unwrap();
        let state_dir = Path::new("state");
        assert_ne!(linked.file(), place.file());
        assert_eq!(fallback(&linked, state_dir), fallback(&place, state_dir));
    }

    #[test]
    fn of_two_the_newer_is_found_first() {
        let (folder, place) = place("");
        let state_dir = folder.path().join("state");
        let lock = lock(&place);
        for (beside, apart) in [(1, 2), (2, 1)] {
            let beside = rescue("beside", beside);
            let apart = rescue("apart", apart);
            disk::create_folder(&state_dir).unwrap();
            write(&fallback(&place, &state_dir), &apart, &place).unwrap();
            write(&place.rescue_file(), &beside, &place).unwrap();
            for _ in 0..2 {
                let (path, found) = find_rescue(&place, Some(&state_dir)).unwrap().unwrap();
                let newer = found.issued.issued_at.as_second() == 2;
                let both = place.rescue_file().exists() && fallback(&place, &state_dir).exists();
                assert_eq!(newer, both);
                remove_rescue(&path, &lock).unwrap();
            }
            assert!(find_rescue(&place, Some(&state_dir)).unwrap().is_none());
        }
    }

    #[test]
    fn a_damaged_rescue_is_told_and_not_quoted() {
        let (_folder, place) = place("");
        for contents in ["", "{\"access_token\": \"canary", "{\"version\": 2}", "[]"] {
            put(&place.rescue_file(), contents);
            let error = find_rescue(&place, None).unwrap_err();
            assert!(matches!(error, StoreError::DamagedRescue { .. }));
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
        assert!(place.rescue_file().exists());
    }
}

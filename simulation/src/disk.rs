//! A machine's disk: real files, behind a seam that refuses changes and knows what a power cut
//! would leave of them.
//!
//! What was synced stays; what was not is there or is not, as chance has it, each content and each
//! name for itself. That is more than file systems lose in practice, and no more than they may.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use webex_sandbox::{Credentials, Witness};
use webex_tokens::store::{Change, Seam};

use crate::mortal::Fate;

/// How a disk fails.
#[derive(Clone, Copy, Debug)]
pub struct Illness {
    /// Which share of the changes it refuses.
    pub share: f64,
    /// Why: no space, input/output error, no permission, or read-only.
    pub errno: usize,
}

/// The errors of an ill disk, by their Linux numbers.
const ERRNO: [i32; 4] = [28, 5, 13, 30];

/// The files that others read.
const USERS_FILES: [&str; 2] = [".env", "token-config.json"];

/// The disk, for all who share it.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    folder: PathBuf,
    /// The contents that a power cut leaves, by inode.
    contents: BTreeMap<u64, Vec<u8>>,
    /// The names that it leaves.
    names: BTreeMap<OsString, u64>,
    /// Every word that was ever safe, in a file that is kept: tokens among them.
    words: BTreeSet<String>,
    illness: Option<Illness>,
    changes: u64,
    refusals: u64,
    overwrites: u64,
    rng: Rng,
}

impl Disk {
    /// The disk with this folder on it, as it is now.
    #[must_use]
    pub fn new(folder: &Path, seed: u64) -> Self {
        let disk = Self(Arc::new(Mutex::new(State {
            folder: folder.to_owned(),
            contents: BTreeMap::new(),
            names: BTreeMap::new(),
            words: BTreeSet::new(),
            illness: None,
            changes: 0,
            refusals: 0,
            overwrites: 0,
            rng: Rng::with_seed(seed),
        })));
        disk.sync_all();
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes everything safe, as `sync` does.
    pub fn sync_all(&self) {
        let mut state = self.state();
        for (name, inode) in state.listed() {
            let content = fs::read(state.folder.join(name)).unwrap_or_default();
            state.contents.insert(inode, content);
        }
        state.sync_names();
    }

    /// Lets it fail from now on, or recover.
    pub fn set_illness(&self, illness: Option<Illness>) {
        self.state().illness = illness;
    }

    /// How many changes were made.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// How often one of the user's files was changed in place, where a reader may see a part of it:
    /// on this disk every one can be replaced by a rename.
    #[must_use]
    pub fn overwrites(&self) -> u64 {
        self.state().overwrites
    }

    /// What a process changes the disk through; `saved` hears what `.env` held before each time
    /// it is replaced.
    #[must_use]
    pub fn seam(&self, fate: &Rc<Fate>, saved: Saved) -> Rc<dyn Seam> {
        Rc::new(Process {
            disk: self.clone(),
            fate: Rc::clone(fate),
            saved,
            before: RefCell::default(),
        })
    }

    /// Leaves what a power cut leaves.
    ///
    /// # Panics
    ///
    /// If the folder cannot be written.
    #[expect(
        clippy::disallowed_methods,
        reason = "plays the part of the file system, not of a program"
    )]
    pub fn cut_power(&self) {
        let mut state = self.state();
        let now: BTreeMap<OsString, u64> = state.listed().into_iter().collect();
        let mut after = BTreeMap::new();
        let names: BTreeSet<_> = now.keys().chain(state.names.keys()).cloned().collect();
        for name in names {
            let (safe, new) = (state.names.get(&name).copied(), now.get(&name).copied());
            let inode = if safe == new || state.rng.bool() {
                new
            } else {
                safe
            };
            let Some(inode) = inode else { continue };
            let safe = state.contents.get(&inode).cloned();
            let new = (now.get(&name) == Some(&inode))
                .then(|| fs::read(state.folder.join(&name)).unwrap_or_default());
            let content = match (safe, new) {
                (Some(safe), Some(new)) if state.rng.bool() => {
                    drop(safe);
                    new
                }
                (Some(safe), _) => safe,
                (None, Some(new)) => {
                    let len = state.rng.usize(..=new.len());
                    new[..len].to_vec()
                }
                (None, None) => Vec::new(),
            };
            after.insert(name, content);
        }
        for name in now.keys() {
            fs::remove_file(state.folder.join(name)).expect("a file of the folder");
        }
        for (name, content) in after {
            fs::write(state.folder.join(name), content).expect("a file of the folder");
        }
        drop(state);
        self.sync_all();
    }
}

impl State {
    fn listed(&self) -> Vec<(OsString, u64)> {
        let entries = fs::read_dir(&self.folder).expect("the folder is there");
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.ok()?;
            Some((entry.file_name(), entry.metadata().ok()?.ino()))
        };
        let mut listed: Vec<_> = entries.filter_map(entry).collect();
        listed.sort();
        listed
    }

    /// Whether an open file is one that the user names.
    fn is_users(&self, file: &File) -> bool {
        let open = file.metadata().map(|metadata| metadata.ino());
        let named = |name: &&str| fs::metadata(self.folder.join(name)).map(|it| it.ino());
        let is_open =
            |name: &&str| matches!((named(name), &open), (Ok(it), Ok(open)) if it == *open);
        USERS_FILES.iter().any(is_open)
    }

    fn sync_names(&mut self) {
        self.names = self.listed().into_iter().collect();
        let kept = self.names.iter().filter(|(name, _)| !is_temporary(name));
        let inodes: Vec<_> = kept.map(|(_, inode)| *inode).collect();
        for inode in inodes {
            self.note_words(inode);
        }
        let names: BTreeSet<_> = self.names.values().copied().collect();
        self.contents.retain(|inode, _| names.contains(inode));
    }

    fn sync_content(&mut self, file: &File) -> io::Result<()> {
        let metadata = file.metadata()?;
        let mut content = vec![0; usize::try_from(metadata.len()).unwrap_or(0)];
        file.read_exact_at(&mut content, 0)?;
        self.contents.insert(metadata.ino(), content);
        let mut kept = self.names.iter().filter(|(name, _)| !is_temporary(name));
        if kept.any(|(_, inode)| *inode == metadata.ino()) {
            self.note_words(metadata.ino());
        }
        Ok(())
    }

    /// Tokens are letters and digits; whatever else looks like one does no harm here.
    fn note_words(&mut self, inode: u64) {
        let Some(content) = self.contents.get(&inode) else {
            return;
        };
        let text = String::from_utf8_lossy(content);
        let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
        for word in text.split(is_end).filter(|word| word.len() >= 32) {
            if !self.words.contains(word) {
                self.words.insert(word.to_owned());
            }
        }
    }
}

/// Whether a file of this name is thrown away by the next run, whatever it holds.
fn is_temporary(name: &OsStr) -> bool {
    name.to_string_lossy().contains(".tmp.")
}

/// Hears of a save of `.env`, and what stood there before.
pub type Saved = Rc<dyn Fn(&Credentials)>;

/// One process's way to the disk.
struct Process {
    disk: Disk,
    fate: Rc<Fate>,
    saved: Saved,
    /// What `.env` holds that is about to be replaced.
    before: RefCell<Option<Credentials>>,
}

impl Process {
    fn replaces_env(change: &Change<'_>) -> bool {
        matches!(change, Change::Rename { to, .. } if to.ends_with(".env"))
    }
}

impl Seam for Process {
    fn before(&self, change: &Change<'_>) -> io::Result<()> {
        if !self.fate.goes_on() {
            return Err(io::Error::other("the process is dead"));
        }
        if Self::replaces_env(change) {
            self.before.replace(Some(self.disk.credentials()));
        }
        let mut state = self.disk.state();
        let Some(illness) = state.illness else {
            return Ok(());
        };
        // A full disk lets things be removed, and one that is read-only does not.
        let is_spared = matches!(change, Change::Remove(_)) && illness.errno == 0;
        if is_spared || state.rng.f64() >= illness.share {
            return Ok(());
        }
        state.refusals += 1;
        Err(io::Error::from_raw_os_error(ERRNO[illness.errno]))
    }

    fn after(&self, change: &Change<'_>) {
        let mut state = self.disk.state();
        state.changes += 1;
        match change {
            Change::Sync(file) => {
                state.sync_content(file).expect("a synced file can be read");
            }
            Change::SyncFolder(_) => state.sync_names(),
            Change::Write(file) | Change::SetLen(file) if state.is_users(file) => {
                state.overwrites += 1;
            }
            _ => {}
        }
        drop(state);
        if Self::replaces_env(change)
            && let Some(before) = self.before.take()
        {
            (self.saved)(&before);
        }
        self.fate.goes_on();
    }
}

impl Witness for Disk {
    fn refusals(&self) -> u64 {
        self.state().refusals
    }

    fn has_held(&self, token: &str) -> bool {
        self.state().words.contains(token)
    }

    fn credentials(&self) -> Credentials {
        let state = self.state();
        let env = fs::read_to_string(state.folder.join(".env")).unwrap_or_default();
        let value = |key: &str| {
            let line = |line: &str| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
            let found = env.lines().rev().find_map(line)?;
            Some(found).filter(|value| !value.is_empty())
        };
        let config = fs::read(state.folder.join("token-config.json")).unwrap_or_default();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
        let manager = &config["tokenManager"];
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        Credentials {
            access_token: value("WEBEX_SERVICE_APP_ACCESS_TOKEN"),
            refresh_token: value("WEBEX_SERVICE_APP_REFRESH_TOKEN"),
            personal_access_token: text(&manager["personalAccessToken"]),
            integration: text(&manager["integration"]["refreshToken"]),
            client_secret: text(&config["serviceApp"]["clientSecret"]),
        }
    }
}

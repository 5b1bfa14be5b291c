//! A folder as it stands, down to what a program that only reads cannot change.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What there is of one entry: its contents, and everything that tells of a write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    contents: Option<Vec<u8>>,
    inode: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The folder itself and every entry in it.
pub(crate) fn everything_in(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::from([(folder.to_owned(), entry(folder))]);
    for found in fs::read_dir(folder).expect("a folder is read") {
        let path = found.expect("an entry is read").path();
        if path.is_dir() {
            entries.append(&mut everything_in(&path));
        } else {
            entries.insert(path.clone(), entry(&path));
        }
    }
    entries
}

fn entry(path: &Path) -> Entry {
    let metadata = fs::symlink_metadata(path).expect("an entry has metadata");
    Entry {
        contents: metadata
            .is_file()
            .then(|| fs::read(path).expect("a file is read")),
        inode: metadata.ino(),
        mode: metadata.mode(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

//! Where a simulation stands between this program and its disk: it watches changes, refuses them as
//! a full or broken disk would, and ends the process that makes them.
//!
//! Without a seam in place a change costs one look at a thread-local more.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;

/// A change to the disk. Files that are open are given as such: they may have another name by now.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Change<'a> {
    /// A folder is created.
    CreateFolder(&'a Path),
    /// A file is created that did not exist.
    Create(&'a Path),
    /// Bytes are written into a file.
    Write(&'a File),
    /// A file is cut or extended.
    SetLen(&'a File),
    /// A file's content is made safe.
    Sync(&'a File),
    /// The names in a folder are made safe.
    SyncFolder(&'a File),
    /// A file gets another name, and what had that name is gone.
    Rename {
        /// The name it had.
        from: &'a Path,
        /// The name it gets.
        to: &'a Path,
    },
    /// A name is removed.
    Remove(&'a Path),
}

/// What stands between.
pub trait Seam {
    /// A change is about to be made. It is not made if this is an error, which then is the system's
    /// answer.
    ///
    /// # Errors
    ///
    /// As the system's own.
    fn before(&self, change: &Change<'_>) -> io::Result<()>;

    /// A change has been made.
    fn after(&self, change: &Change<'_>);
}

thread_local! {
    static SEAM: RefCell<Option<Rc<dyn Seam>>> = const { RefCell::new(None) };
}

/// Does `work` with `seam` in place for every change that this thread makes meanwhile.
pub fn with_seam<T>(seam: &Rc<dyn Seam>, work: impl FnOnce() -> T) -> T {
    struct PutBack(Option<Rc<dyn Seam>>);
    impl Drop for PutBack {
        fn drop(&mut self) {
            SEAM.set(self.0.take());
        }
    }
    let _put_back = PutBack(SEAM.replace(Some(Rc::clone(seam))));
    work()
}

/// Makes a change, through the seam if there is one.
pub(super) fn make<T>(change: Change<'_>, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(seam) = SEAM.with_borrow(Clone::clone) else {
        return work();
    };
    seam.before(&change)?;
    let made = work()?;
    seam.after(&change);
    Ok(made)
}

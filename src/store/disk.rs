//! Every change to the disk, each in one small function: the one seam for disk faults.
//!
//! Knows files and folders, not what they are for. What differs between systems is here as well:
//! owners, modes and synced folders exist on Unix only, and elsewhere nothing stands in for them.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::seam::{self, Change};

/// How many random characters end the name of a temporary file.
const RANDOM: usize = 12;

/// The folder a file lies in; `.` for a bare name.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Whether anything has this name, a dangling symlink included.
pub(super) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Whether the system would let this process write; a guess where it cannot be asked.
pub(super) fn may_write(path: &Path) -> bool {
    #[cfg(unix)]
    return rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    #[cfg(not(unix))]
    fs::metadata(path).is_ok_and(|metadata| !metadata.permissions().readonly())
}

/// Reads at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_to_limit(&File::open(path)?, limit)
}

/// Reads at most `limit` bytes of a file of our own, never through a symlink.
pub(super) fn read_own(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_to_limit(&no_follow(OpenOptions::new().read(true)).open(path)?, limit)
}

fn read_to_limit(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4096);
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Fills `buffer` from `offset` on as far as the file goes; says how far.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        #[cfg(unix)]
        let got = std::os::unix::fs::FileExt::read_at(
            file,
            &mut buffer[filled..],
            offset + filled as u64,
        );
        #[cfg(windows)]
        let got = std::os::windows::fs::FileExt::seek_read(
            file,
            &mut buffer[filled..],
            offset + filled as u64,
        );
        match got {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Opens a file that exists, for reading and writing, never through a symlink.
pub(super) fn open_existing(path: &Path) -> io::Result<File> {
    no_follow(OpenOptions::new().read(true).write(true)).open(path)
}

/// Opens a file that exists, for writing alone, never through a symlink.
pub(super) fn open_to_write(path: &Path) -> io::Result<File> {
    no_follow(OpenOptions::new().write(true)).open(path)
}

/// Creates a file that must not exist, readable by its owner alone.
pub(super) fn create(path: &Path) -> io::Result<File> {
    seam::make(Change::Create(path), || {
        private(OpenOptions::new().read(true).write(true).create_new(true)).open(path)
    })
}

/// Opens a file that exists, for appending and, where that is allowed, for reading. Never waits for
/// somebody at the other end.
pub(super) fn open_to_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    match options.read(true).open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => options.read(false).open(path),
        opened => opened,
    }
}

/// Creates a file that must not exist, for appending and reading, for its owner alone.
pub(super) fn create_to_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = seam::make(Change::Create(path), || {
        private(options.read(true).append(true).create_new(true)).open(path)
    })?;
    // A umask can take the owner's own rights. Where modes cannot be set, there are none.
    #[cfg(unix)]
    let _ = set_mode(&file, 0o600);
    Ok(file)
}

/// Appends in one system call; says how many bytes the system took.
pub(super) fn append(file: &File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match seam::make(Change::Write(file), || (&*file).write(bytes)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}

/// The last byte of a file; `None` where it is empty, cannot be read, or is no file.
pub(super) fn last_byte(file: &File) -> Option<u8> {
    let metadata = file.metadata().ok()?;
    let last = metadata
        .len()
        .checked_sub(1)
        .filter(|_| metadata.is_file())?;
    let mut byte = [0];
    (read_at(file, &mut byte, last).ok()? == 1).then_some(byte[0])
}

/// Whether this is a device that takes bytes one after another, such as `/dev/null`.
pub(super) fn is_character_device(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_char_device())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Whether two paths lead to one file or folder, which exists.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    let identity = |path| {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
    };
    #[cfg(not(unix))]
    let identity = |path| fs::canonicalize(path);
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Creates a folder, and those above it, for its owner alone.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    seam::make(Change::CreateFolder(path), || builder.create(path))
}

/// Writes all of `bytes` at `offset`: one system call, unless the system takes less.
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    seam::make(Change::Write(file), || {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::write_all_at(file, bytes, offset);
        #[cfg(windows)]
        {
            let mut written = 0;
            while written < bytes.len() {
                written += std::os::windows::fs::FileExt::seek_write(
                    file,
                    &bytes[written..],
                    offset + written as u64,
                )?;
            }
            Ok(())
        }
    })
}

/// Cuts or extends a file.
pub(super) fn set_len(file: &File, len: usize) -> io::Result<()> {
    seam::make(Change::SetLen(file), || file.set_len(len as u64))
}

/// Makes a file's content and length safe.
pub(super) fn sync(file: &File) -> io::Result<()> {
    seam::make(Change::Sync(file), || file.sync_all())
}

/// Makes a file's content safe, and of its metadata what reading it back needs.
pub(super) fn sync_data(file: &File) -> io::Result<()> {
    seam::make(Change::Sync(file), || file.sync_data())
}

/// Moves a file of ours to its name.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that renames; whoever asks has synced what needs it"
)]
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    seam::make(Change::Rename { from, to }, || fs::rename(from, to))
}

/// Removes a file of ours.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    seam::make(Change::Remove(path), || fs::remove_file(path))
}

/// Whether a failed rename says that this name cannot be renamed over at all.
pub(super) fn forbids_rename(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        matches!(
            Errno::from_io_error(error),
            Some(Errno::BUSY | Errno::XDEV | Errno::PERM)
        )
    }
    #[cfg(not(unix))]
    matches!(
        error.kind(),
        ErrorKind::ResourceBusy | ErrorKind::CrossesDevices | ErrorKind::PermissionDenied
    )
}

/// A folder, open so that the names in it can be made safe.
#[derive(Debug)]
pub(super) struct Folder(#[cfg(unix)] File);

impl Folder {
    /// Opens the folder.
    #[cfg_attr(
        not(unix),
        expect(clippy::unnecessary_wraps, reason = "it can fail on Unix")
    )]
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        #[cfg(unix)]
        return File::open(path).map(Self);
        #[cfg(not(unix))]
        {
            let _ = path;
            Ok(Self())
        }
    }

    /// Makes the names in the folder safe, as far as its file system knows how.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(unix)]
        match seam::make(Change::SyncFolder(&self.0), || self.0.sync_all()) {
            // Some network and user-space file systems have no sync for folders.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::InvalidInput | ErrorKind::Unsupported
                ) =>
            {
                Ok(())
            }
            done => done,
        }
        #[cfg(not(unix))]
        Ok(())
    }
}

/// A new file under a random name, removed when dropped unless it was renamed.
#[derive(Debug)]
pub(super) struct Temp {
    file: File,
    path: PathBuf,
    is_renamed: bool,
}

impl Temp {
    /// Creates the file, readable by its owner alone; its name is `prefix` and a random end.
    pub(super) fn create(folder: &Path, prefix: &OsStr) -> io::Result<Self> {
        // `make_in` leaves the system's own error as it is, where `tempfile_in` puts the random
        // path into it.
        let made = tempfile::Builder::new()
            .prefix(prefix)
            .rand_bytes(RANDOM)
            .disable_cleanup(true)
            .make_in(folder, create)?;
        let path = made.path().to_path_buf();
        Ok(Self {
            file: made.into_file(),
            path,
            is_renamed: false,
        })
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name. After an error it is what it was.
    pub(super) fn rename_to(&mut self, to: &Path) -> io::Result<()> {
        rename(&self.path, to)?;
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.is_renamed {
            // One that stays is a leftover as any other.
            let _ = remove(&self.path);
        }
    }
}

/// Removes what [`Temp`]s of dead runs left in `folder`, as far as that is possible.
pub(super) fn remove_leftovers(folder: &Path, prefix: &OsStr) {
    let is_leftover = |name: &OsStr| {
        name.as_encoded_bytes()
            .strip_prefix(prefix.as_encoded_bytes())
            .is_some_and(|end| end.len() == RANDOM && end.iter().all(u8::is_ascii_alphanumeric))
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if is_leftover(&entry.file_name()) {
            // One that stays costs a little space, and the next run tries again.
            let _ = remove(&entry.path());
        }
    }
}

/// Who owns a file: user and group. Nothing where the system has no such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    #[cfg(unix)]
    user: u32,
    #[cfg(unix)]
    group: u32,
}

impl Owner {
    /// The owner of a file.
    pub(super) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            Self {
                user: metadata.uid(),
                group: metadata.gid(),
            }
        }
        #[cfg(not(unix))]
        {
            let _ = metadata;
            Self {}
        }
    }

    /// Gives a file of ours to this owner where another runs this program: a run as root must not
    /// leave files that the user's own runs cannot open. A failure is none, since all of ours
    /// stays usable to whoever made it.
    pub(super) fn adopt(self, file: &File) {
        #[cfg(unix)]
        if self.user != rustix::process::geteuid().as_raw() {
            let _ = std::os::unix::fs::fchown(file, Some(self.user), Some(self.group));
        }
        #[cfg(not(unix))]
        let _ = file;
    }
}

/// How a file stands that is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    owner: Owner,
    #[cfg(unix)]
    mode: u32,
    /// It is a mount point or immutable: no rename can replace it.
    fixed: bool,
}

/// What others than owner and group may do.
#[cfg(unix)]
const OTHERS: u32 = 0o007;

impl Standing {
    /// Looks at a file; `None` where it does not exist. Anything but a regular file is an error.
    pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
        #[cfg(target_os = "linux")]
        if let Some(found) = Self::ask_linux(path) {
            return found;
        }
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !metadata.is_file() {
            return Err(not_regular());
        }
        Ok(Some(Self {
            owner: Owner::of(&metadata),
            #[cfg(unix)]
            mode: std::os::unix::fs::MetadataExt::mode(&metadata) & 0o7777,
            fixed: false,
        }))
    }

    /// Everything in one call; `None` where the kernel or a sandbox does not know that call.
    #[cfg(target_os = "linux")]
    fn ask_linux(path: &Path) -> Option<io::Result<Option<Self>>> {
        use rustix::fs::{AtFlags, CWD, FileType, StatxAttributes, StatxFlags, statx};
        use rustix::io::Errno;
        const FIXED: StatxAttributes = StatxAttributes::MOUNT_ROOT
            .union(StatxAttributes::IMMUTABLE)
            .union(StatxAttributes::APPEND);

        let wanted = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::UID | StatxFlags::GID;
        let found = match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Some(Ok(None)),
            Err(_) => return None,
        };
        let mode = u32::from(found.stx_mode);
        if FileType::from_raw_mode(mode) != FileType::RegularFile {
            return Some(Err(not_regular()));
        }
        Some(Ok(Some(Self {
            owner: Owner {
                user: found.stx_uid,
                group: found.stx_gid,
            },
            mode: mode & 0o7777,
            fixed: found.stx_attributes.intersects(FIXED),
        })))
    }

    /// Whether no rename can replace the file.
    pub(super) fn is_fixed(self) -> bool {
        self.fixed
    }

    /// Whether others than owner and group have access.
    pub(super) fn is_open_to_others(self) -> bool {
        #[cfg(unix)]
        return self.mode & OTHERS != 0;
        #[cfg(not(unix))]
        false
    }

    /// Gives a file of ours this owner, group and mode, but for others' access; a new one has the
    /// mode 0600 already. `false` where they cannot be kept; as much of them as possible is.
    pub(super) fn apply(self, file: &File, is_new: bool) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::fchown;
            let Owner { user, group } = self.owner;
            let owned = fchown(file, Some(user), Some(group)).is_ok();
            if !owned && fchown(file, None, Some(group)).is_err() {
                return false;
            }
            let mode = self.mode & !OTHERS;
            owned & ((is_new && mode == 0o600) || set_mode(file, mode).is_ok())
        }
        #[cfg(not(unix))]
        {
            let _ = (file, is_new);
            true
        }
    }

    /// Takes others' access to a file that is written over; whether they had it and lost it.
    pub(super) fn close_to_others(file: &File) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let Ok(metadata) = file.metadata() else {
                return false;
            };
            let mode = metadata.permissions().mode() & 0o7777;
            mode & OTHERS != 0 && set_mode(file, mode & !OTHERS).is_ok()
        }
        #[cfg(not(unix))]
        {
            let _ = file;
            false
        }
    }
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

fn not_regular() -> io::Error {
    io::Error::other("not a regular file")
}

/// Refuses a symlink as the last part of the path, where the system can.
fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flag = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        options.custom_flags(flag);
    }
    options
}

/// Lets only the owner read and write what is created.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

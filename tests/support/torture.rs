//! How much of a proof is run: what fits into a test run, or all of it under `scripts/torture`.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Whether all of it is asked for.
#[expect(
    clippy::disallowed_methods,
    reason = "how much is tested is no setting of the programs"
)]
pub(crate) fn is_on() -> bool {
    std::env::var_os("WEBEX_TOKENS_TORTURE").is_some_and(|value| value == "1")
}

/// `all` under `scripts/torture`, else `some`.
pub(crate) fn size<T>(some: T, all: T) -> T {
    if is_on() { all } else { some }
}

/// What has been done of a long proof. Under `scripts/torture` it lies in `target/torture`, so that
/// a proof that was cut short goes on where it stopped, until `program` is built anew.
pub(crate) struct Ledger {
    done: BTreeSet<String>,
    file: Option<File>,
}

impl Ledger {
    /// The ledger of the proof `name` about `program`.
    pub(crate) fn of(name: &str, program: &Path) -> Self {
        let mut ledger = Self {
            done: BTreeSet::new(),
            file: None,
        };
        if is_on() {
            let folder = folder();
            fs::create_dir_all(&folder).expect("a folder for the ledger");
            let path = folder.join(format!("{name}-{}", build(program)));
            let before = fs::read_to_string(&path).unwrap_or_default();
            ledger.done = before.lines().map(str::to_owned).collect();
            let file = OpenOptions::new().create(true).append(true).open(path);
            ledger.file = Some(file.expect("a ledger"));
        }
        ledger
    }

    /// Whether this has been done in an earlier run.
    pub(crate) fn has(&self, step: &str) -> bool {
        self.done.contains(step)
    }

    /// Notes that this has been done.
    pub(crate) fn note(&mut self, step: &str) {
        if let Some(file) = &mut self.file {
            writeln!(file, "{step}").expect("the ledger is written");
        }
        self.done.insert(step.to_owned());
    }

    /// How much has been done, earlier runs included.
    pub(crate) fn len(&self) -> usize {
        self.done.len()
    }
}

fn folder() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    target.parent().unwrap_or(target).join("torture")
}

/// What tells one build of a program from another.
fn build(program: &Path) -> String {
    let metadata = fs::metadata(program).expect("the program is built");
    let built = metadata.modified().expect("a time");
    let since = built.duration_since(UNIX_EPOCH).expect("not long ago");
    format!("{:x}-{:x}", since.as_millis(), metadata.len())
}

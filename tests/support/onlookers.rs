//! Readers of one file, in a loop, while others replace it.
//!
//! One thread reads it at one go, in small pieces as over a slow disk, and with dotenvy;
//! another is always half-way through when the file changes; bash sources it and reads it line by
//! line. What they have read is kept, each text once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::{ACCESS_TOKEN_KEY, REFRESH_TOKEN_KEY};

/// A pair of tokens, as a reader of `.env` files read it.
pub(crate) type Pair = [String; 2];

/// How often a reader that is half-way looks whether it may go on.
const A_MOMENT: Duration = Duration::from_millis(1);

/// What they have read.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How often the file was read.
    pub(crate) reads: u64,
    /// Its whole text, as it was at one time or another.
    pub(crate) texts: BTreeSet<Vec<u8>>,
    /// The access and the refresh token.
    pub(crate) pairs: BTreeSet<Pair>,
}

/// Readers at work.
pub(crate) struct Onlookers {
    threads: Vec<JoinHandle<Seen>>,
    bash: Option<Bash>,
    stop: Arc<AtomicBool>,
}

/// One reading, as one of the readers does it.
type Look = fn(&Path, &mut Seen);

impl Onlookers {
    /// Readers of any file.
    pub(crate) fn of(path: &Path) -> Self {
        Self::start(path, &[at_one_go, in_pieces], None)
    }

    /// Readers of a `.env`, those among them that know what it is.
    pub(crate) fn of_env(path: &Path) -> Self {
        let bash = Bash::start(path);
        Self::start(path, &[at_one_go, in_pieces, with_dotenvy], Some(bash))
    }

    /// Starts them, and waits until each has read it once.
    fn start(path: &Path, looks: &'static [Look], bash: Option<Bash>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (has_looked, looked) = mpsc::channel();
        let (path, told) = (path.to_owned(), Arc::clone(&stop));
        let halved = (path.clone(), Arc::clone(&stop), has_looked.clone());
        let threads = vec![
            thread::spawn(move || look_on(&path, looks, &told, &has_looked)),
            thread::spawn(move || look_by_halves(&halved.0, &halved.1, &halved.2)),
        ];
        for _ in &threads {
            looked.recv().expect("each has begun");
        }
        Self {
            threads,
            bash,
            stop,
        }
    }

    /// Stops them: what they have seen.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = Seen::default();
        for thread in self.threads.drain(..) {
            let one = thread.join().expect("a reader ends");
            seen.reads += one.reads;
            seen.texts.extend(one.texts);
            seen.pairs.extend(one.pairs);
        }
        if let Some(bash) = self.bash.take() {
            bash.finish(&mut seen);
        }
        seen
    }
}

impl Drop for Onlookers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Some(mut bash) = self.bash.take() {
            bash.stop();
            let _ = bash.child.wait();
        }
    }
}

/// Each of the readers in its turn, and all of them once more in the end, so that the last state is
/// among what they saw.
fn look_on(path: &Path, looks: &[Look], stop: &AtomicBool, has_looked: &Sender<()>) -> Seen {
    let mut seen = Seen::default();
    let mut is_last = false;
    while !is_last {
        is_last = stop.load(Ordering::Relaxed);
        for look in looks {
            look(path, &mut seen);
            seen.reads += 1;
        }
        // Whoever waits for the first time may be gone later.
        let _ = has_looked.send(());
    }
    seen
}

/// A reader who is half-way through each time that the file is replaced.
fn look_by_halves(path: &Path, stop: &AtomicBool, has_begun: &Sender<()>) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        let before = standing(path);
        let mut file = File::open(path).expect("the file is there");
        let half = file.metadata().expect("it has metadata").len() / 2;
        let mut text = Vec::new();
        let first = (&mut file).take(half).read_to_end(&mut text);
        first.expect("the first half is read");
        let _ = has_begun.send(());
        while standing(path) == before && !stop.load(Ordering::Relaxed) {
            thread::sleep(A_MOMENT);
        }
        let second = file.read_to_end(&mut text);
        second.expect("the second half is read");
        seen.note(text);
        seen.reads += 1;
    }
    seen
}

/// What tells that a file has been replaced or written over.
fn standing(path: &Path) -> (u64, i64, i64) {
    let metadata = fs::metadata(path).expect("the file is there");
    (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

fn at_one_go(path: &Path, seen: &mut Seen) {
    let text = fs::read(path).expect("the file is there");
    seen.note(text);
}

fn in_pieces(path: &Path, seen: &mut Seen) {
    let mut file = File::open(path).expect("the file is there");
    let mut text = Vec::new();
    let mut piece = [0; 512];
    loop {
        match file.read(&mut piece).expect("the file is read") {
            0 => break,
            len => text.extend_from_slice(&piece[..len]),
        }
        thread::yield_now();
    }
    seen.note(text);
}

fn with_dotenvy(path: &Path, seen: &mut Seen) {
    let variables = dotenvy::from_path_iter(path).expect("the file is there");
    let variables: Vec<_> = variables.map(|it| it.expect("dotenvy reads it")).collect();
    let value = |key: &str| {
        let mut values = variables.iter().filter(|(name, _)| name == key);
        let value = values.next().map(|(_, value)| value.clone());
        value.unwrap_or_default()
    };
    seen.pairs
        .insert([value(ACCESS_TOKEN_KEY), value(REFRESH_TOKEN_KEY)]);
}

impl Seen {
    fn note(&mut self, text: Vec<u8>) {
        if !self.texts.contains(&text) {
            self.texts.insert(text);
        }
    }
}

/// Reads until it is told to stop, or nobody is left who could, and prints each pair that differs from
/// the one before.
const SCRIPT: &str = r#"
trap 'stop=1' TERM
told() { [ "$1 $2" = "$last" ] || printf '%s %s\n' "$1" "$2"; last="$1 $2"; }
while [ -z "$stop" ] && kill -0 "$PPID" 2>/dev/null; do
  unset ACCESS REFRESH
  . "$1"
  told "$ACCESS" "$REFRESH"
  access= refresh=
  while IFS= read -r line; do
    case $line in
      ACCESS=*) access=${line#*=} ;;
      REFRESH=*) refresh=${line#*=} ;;
    esac
  done < "$1"
  told "$access" "$refresh"
  reads=$((reads + 2))
done
echo "$reads"
"#;

struct Bash {
    child: Child,
    output: BufReader<ChildStdout>,
    told: String,
}

impl Bash {
    /// Starts it, and waits until it has read the file once.
    fn start(path: &Path) -> Self {
        let script = SCRIPT
            .replace("ACCESS", ACCESS_TOKEN_KEY)
            .replace("REFRESH", REFRESH_TOKEN_KEY);
        let mut child = Command::new("bash")
            .args(["-c", &script, "bash"])
            .arg(path)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut told = String::new();
        output.read_line(&mut told).expect("UTF-8");
        Self {
            child,
            output,
            told,
        }
    }

    fn stop(&self) {
        let bash = Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(bash, Signal::TERM);
    }

    #[track_caller]
    fn finish(mut self, all: &mut Seen) {
        self.stop();
        self.output.read_to_string(&mut self.told).expect("UTF-8");
        let status = self.child.wait().expect("bash ends");
        assert!(status.success(), "bash could not read it: {status}");
        for line in self.told.lines() {
            match line.split_once(' ') {
                Some((access, refresh)) => {
                    let _ = all.pairs.insert([access.to_owned(), refresh.to_owned()]);
                }
                None => all.reads += line.parse::<u64>().expect("how often it read"),
            }
        }
    }
}

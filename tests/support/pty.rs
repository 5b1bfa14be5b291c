//! A terminal with a person at it: what is typed, and what is seen.
//!
//! The program runs on a pseudo-terminal that is its controlling terminal, so that Ctrl-C is a
//! signal and the echo is the kernel's. All that arrives is kept in two ways: as the *stream*, every
//! character ever printed without its escapes, where nothing is lost by being overwritten; and
//! as the *transcript*, the rows that a terminal of this size has at the end, scrolled ones included,
//! which is what a person could read.

use std::io::{Read as _, Write as _};
use std::mem;
use std::num::NonZeroU16;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command as PtyCommand, Pty as Terminal, open};
use rustix::termios::{LocalModes, tcgetattr};

use super::{Story, assert_no_pieces, code};

/// How long a person waits for anything before the program counts as stuck: far beyond what the
/// slowest machine takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at what nothing tells of.
const GLANCE: Duration = Duration::from_millis(5);
const SCROLLBACK: usize = 10_000;

/// A program under way on a terminal of its own. Dropped, it is killed.
pub(crate) struct Pty {
    terminal: Arc<Terminal>,
    child: Child,
    arrivals: Receiver<Vec<u8>>,
    raw: Vec<u8>,
    stream: String,
    /// Up to where the stream has been expected already.
    expected: usize,
    emulator: vt100::Parser,
}

/// What a program on a terminal did.
pub(crate) struct PtyTold {
    pub(crate) code: i32,
    /// The rows of the terminal at the end, with those that have scrolled out of it. What was
    /// erased or overwritten is not there, and a long line is broken where the terminal breaks it.
    pub(crate) transcript: String,
    /// Everything that was ever printed, in order, without escapes.
    pub(crate) stream: String,
    /// The same with its escapes.
    pub(crate) bytes: String,
}

impl Pty {
    /// Starts a command on a terminal of 80 columns and 24 rows.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_sized(command, 80, 24)
    }

    /// Starts a command on a terminal of this size. `TERM` is `xterm-256color`, unless the command
    /// says otherwise.
    pub(crate) fn start_sized(command: &mut Command, columns: u16, rows: u16) -> Self {
        if !command.get_envs().any(|(name, _)| name == "TERM") {
            command.env("TERM", "xterm-256color");
        }
        let (terminal, side_of_the_program) = open().expect("a pseudo-terminal");
        terminal
            .resize(Size::new(rows, columns))
            .expect("the terminal takes its size");
        let command = PtyCommand::from(mem::replace(command, Command::new("")));
        let child = command
            .spawn(side_of_the_program)
            .expect("the program starts");
        let terminal = Arc::new(terminal);
        let arrivals = arrivals(Arc::clone(&terminal));
        let count = |count| NonZeroU16::new(count).expect("a terminal has rows and columns");
        Self {
            terminal,
            child,
            arrivals,
            raw: Vec::new(),
            stream: String::new(),
            expected: 0,
            emulator: vt100::Parser::new(count(rows), count(columns), SCROLLBACK),
        }
    }

    /// Waits until the program has printed `text` after what was expected before, so that the same
    /// question can be expected twice. Line breaks that the terminal makes do not count.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> &mut Self {
        let end = |pty: &Self| {
            let at = pty.stream[pty.expected..].find(text)?;
            Some(pty.expected + at + text.len())
        };
        self.expected = self.wait_for(&format!("{text:?} was expected"), end);
        self
    }

    /// Waits for a whole word that starts with `start`, after what was expected before, and returns
    /// it: an address, which the terminal may have broken into rows.
    #[track_caller]
    pub(crate) fn expect_word(&mut self, start: &str) -> String {
        let word = |pty: &Self| {
            let from = pty.expected + pty.stream[pty.expected..].find(start)?;
            let length = pty.stream[from..].find(char::is_whitespace)?;
            Some((from, from + length))
        };
        let (from, end) = self.wait_for(&format!("a word that starts with {start:?}"), word);
        self.expected = end;
        self.stream[from..end].to_owned()
    }

    /// Waits until `text` stands on the screen as it is now: for what is drawn in pieces, or drawn
    /// again and again.
    #[track_caller]
    pub(crate) fn expect_on_screen(&mut self, text: &str) -> &mut Self {
        let stands = |pty: &Self| pty.screen().contains(text).then_some(());
        self.wait_for(&format!("{text:?} was expected on the screen"), stands);
        self
    }

    /// Makes the window this size, as a person does with a mouse.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) -> &mut Self {
        self.terminal
            .resize(Size::new(rows, columns))
            .expect("the terminal takes its size");
        let count = |count| NonZeroU16::new(count).expect("a terminal has rows and columns");
        let screen = self.emulator.screen_mut();
        screen.set_size(count(rows), count(columns));
        self
    }

    /// Types a line and presses Enter.
    pub(crate) fn line(&mut self, text: &str) -> &mut Self {
        self.keys(&format!("{text}\r"))
    }

    /// Types a line once the terminal has ceased to echo, and presses Enter.
    #[track_caller]
    pub(crate) fn secret_line(&mut self, text: &str) -> &mut Self {
        self.expect_echo(false).line(text)
    }

    /// Types as it is: arrow keys are `"\x1b[A"` (up) and `"\x1b[B"` (down).
    pub(crate) fn keys(&mut self, keys: &str) -> &mut Self {
        (&*self.terminal)
            .write_all(keys.as_bytes())
            .expect("the terminal takes what is typed");
        self
    }

    /// Presses one key.
    pub(crate) fn key(&mut self, key: u8) -> &mut Self {
        (&*self.terminal)
            .write_all(&[key])
            .expect("the terminal takes a key");
        self
    }

    /// Presses Ctrl-C.
    pub(crate) fn ctrl_c(&mut self) -> &mut Self {
        self.key(0x03)
    }

    /// Whether the terminal itself shows what is typed. It does not in raw mode either, where the
    /// program decides what to show.
    pub(crate) fn is_echoing(&self) -> bool {
        let modes = tcgetattr(&*self.terminal).expect("a terminal has modes");
        modes.local_modes.contains(LocalModes::ECHO)
    }

    /// Waits until the terminal echoes, or does not. Some programs ask before they turn it off.
    #[track_caller]
    pub(crate) fn expect_echo(&mut self, wanted: bool) -> &mut Self {
        let started = Instant::now();
        while self.is_echoing() != wanted {
            if started.elapsed() > PATIENCE {
                self.give_up(&format!(
                    "echo: {wanted} was expected, and it stayed otherwise"
                ));
            }
            thread::sleep(GLANCE);
        }
        self
    }

    /// The program's process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What stands on the screen now. A line that the terminal has broken is one line here.
    pub(crate) fn screen(&self) -> String {
        self.emulator.screen().contents()
    }

    /// Waits for the end, and searches all that was shown for the story's secrets.
    #[track_caller]
    pub(crate) fn finish(mut self, story: &Story) -> PtyTold {
        let deadline = Instant::now() + PATIENCE;
        while self.read(deadline, "the end was expected") {}
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the program is ours") {
                break status;
            }
            if Instant::now() > deadline {
                self.give_up("the program has left its terminal and does not end");
            }
            thread::sleep(GLANCE);
        };
        let told = PtyTold {
            code: code(status),
            transcript: self.transcript(),
            stream: mem::take(&mut self.stream),
            bytes: String::from_utf8_lossy(&self.raw).into_owned(),
        };
        // The bytes too: a title or a link would hide in an escape.
        let secrets = story.secrets();
        for shown in [&told.transcript, &told.stream, &told.bytes] {
            assert_no_pieces(shown, &secrets);
        }
        story.search_files(&secrets);
        told
    }

    /// Reads until `found` finds something.
    #[track_caller]
    fn wait_for<T>(&mut self, wanted: &str, found: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            if !self.read(deadline, wanted) {
                self.give_up(&format!("{wanted}, and the program has ended"));
            }
        }
    }

    /// Waits for more. `false` if the program has ended.
    #[track_caller]
    fn read(&mut self, deadline: Instant, wanted: &str) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.arrivals.recv_timeout(left) {
            Ok(bytes) => {
                self.emulator.process(&bytes);
                self.raw.extend(bytes);
                // From the start, as an escape or a character may have come in two pieces.
                let stripped = strip_ansi_escapes::strip(&self.raw);
                self.stream = String::from_utf8(stripped).expect("it is made of characters");
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => {
                self.give_up(&format!("{wanted}, and nothing more has come"))
            }
        }
    }

    fn transcript(&mut self) -> String {
        let screen = self.emulator.screen_mut();
        let (_, columns) = screen.size();
        let mut rows = Vec::new();
        for above in (1..=screen.scrollback_len()).rev() {
            screen.set_scrollback(above);
            rows.extend(screen.rows(0, columns.get()).next());
        }
        screen.set_scrollback(0);
        rows.extend(screen.rows(0, columns.get()));
        let lines: Vec<_> = rows.iter().map(|row| row.trim_end()).collect();
        lines.join("\n").trim_end().to_owned() + "\n"
    }

    #[track_caller]
    fn give_up(&mut self, why: &str) -> ! {
        let _ = self.child.kill();
        panic!("{why}; this was seen:\n{}", self.transcript());
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a terminal on a thread, so that one who waits can lose patience. It ends with the last
/// program on the terminal: Linux reports an error then, other systems an end.
fn arrivals(terminal: Arc<Terminal>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        let mut ends = 0;
        // Linux may report the end just before the last words, which then come with the next read.
        while ends < 2 {
            let Ok(length @ 1..) = (&*terminal).read(&mut buffer) else {
                ends += 1;
                continue;
            };
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

impl PtyTold {
    /// Asserts the exit code, showing the transcript where it differs.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}", self.transcript);
        self
    }

    /// Asserts that this was printed, wherever the terminal broke its lines.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(
            self.stream.contains(text),
            "{text:?} is not in:\n{}",
            self.stream
        );
        self
    }
}

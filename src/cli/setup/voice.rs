//! What the person at the terminal is told while it happens.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

use crate::cli::terminal;

/// Where the person is told what goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    /// Whether anything is said that is not asked.
    pub(super) is_quiet: bool,
    /// Whether a line can be written over.
    pub(super) is_live: bool,
}

impl Voice {
    /// What is good to know.
    pub(super) fn note(self, text: &str) {
        if !self.is_quiet {
            tell(text);
        }
    }

    /// What is to stand as it is: to a count of columns by words, a block is as wide as two letters.
    pub(super) fn draw(self, picture: &str) {
        if !self.is_quiet {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(picture.as_bytes());
            let _ = stderr.write_all(b"\n");
        }
    }

    /// A note while somebody may be typing.
    pub(super) fn interject(self, text: &str) {
        if !self.is_quiet {
            tell(&format!("\r{text}"));
        }
        show_where_to_type();
    }
}

/// Says something to somebody who may be typing: where they type is shown again below it.
pub(super) fn reply(text: &str) {
    tell(&format!("\r{text}"));
    show_where_to_type();
}

fn show_where_to_type() {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(b"> ");
    let _ = stderr.flush();
}

/// Says what has to be read by somebody, for the run to go on.
pub(super) fn tell(text: &str) {
    let text = if io::stderr().is_terminal() {
        terminal::wrapped(text, "")
    } else {
        text.to_owned()
    };
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.write_all(b"\n");
}

/// Shows one line that the next replaces.
pub(super) fn progress(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "\r\x1b[K{text}");
    let _ = stderr.flush();
}

/// How long there is to answer, told once a minute, or once an hour where there are hours.
pub(super) struct Left {
    pub(super) deadline: Instant,
    next: Instant,
}

impl Left {
    pub(super) fn new(deadline: Instant) -> Self {
        let mut left = Self {
            deadline,
            next: Instant::now(),
        };
        left.schedule();
        left
    }

    /// The next whole minute, or hour, before the end.
    fn schedule(&mut self) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let unit = if left > Duration::from_hours(1) {
            3600
        } else {
            60
        };
        let whole_units = left.as_secs().saturating_sub(1) / unit;
        self.next = self.deadline - Duration::from_secs(whole_units * unit);
    }

    pub(super) async fn next_minute(&mut self) {
        if self.next >= self.deadline {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep_until(self.next).await;
        self.schedule();
    }

    pub(super) fn words(&self) -> String {
        let left = self.deadline.saturating_duration_since(Instant::now());
        format!("Waiting for the answer ({} left).", clock_face(left))
    }
}

/// `4:32`, as a kitchen timer shows it.
fn clock_face(left: Duration) -> String {
    let seconds = left.as_millis().div_ceil(1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

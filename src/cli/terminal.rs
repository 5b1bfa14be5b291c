//! The terminal: how it was found, so that it is left like that, and how large it is.

use std::io::{self, IsTerminal, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody can be asked: questions go to stderr, answers come from stdin.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether a question is drawn on the terminal, which may have set more than its modes.
static IS_DRAWN_ON: AtomicBool = AtomicBool::new(false);
/// Whether a note stands on stderr.
static IS_NOTED: AtomicBool = AtomicBool::new(false);

/// Notes whether somebody draws on it.
pub(super) fn is_drawn_on(so: bool) {
    IS_DRAWN_ON.store(so, Ordering::Relaxed);
}

/// Sets the terminal as it was found: a question that is cut short leaves it without echo.
pub(super) fn restore() {
    if IS_DRAWN_ON.swap(false, Ordering::Relaxed) {
        // No bracketed paste, and a cursor.
        say("\x1b[?2004l\x1b[?25h");
    }
    modes::restore();
}

/// Says on stderr what is waited for, until something else is said.
pub(super) fn note(text: &str) {
    erase_note();
    say(text);
    IS_NOTED.store(true, Ordering::Relaxed);
}

/// Erases the note, if there is one: who writes to the terminal does this first.
pub(super) fn erase_note() {
    if IS_NOTED.swap(false, Ordering::Relaxed) {
        say("\r\x1b[K");
    }
}

fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

#[cfg(unix)]
mod modes {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::termios::{
        LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize,
        tcsetattr,
    };

    static FOUND: OnceLock<Termios> = OnceLock::new();
    /// Whether the terminal may be set otherwise than it was found.
    static IS_CHANGED: AtomicBool = AtomicBool::new(false);
    /// Whether what is typed is hidden.
    static IS_HIDDEN: AtomicBool = AtomicBool::new(false);

    /// Remembers how the terminal is set, before anybody changes it.
    pub(in crate::cli) fn remember() {
        if let Ok(found) = tcgetattr(io::stdin()) {
            let _ = FOUND.set(found);
        }
    }

    /// Notes that somebody else is about to change it.
    pub(in crate::cli) fn is_about_to_change() {
        IS_CHANGED.store(true, Ordering::Relaxed);
    }

    /// Sets its modes as they were found.
    ///
    /// A terminal that was not changed is left alone: setting it stops a program in the background.
    pub(super) fn restore() {
        IS_HIDDEN.store(false, Ordering::Relaxed);
        if !IS_CHANGED.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Some(found) = FOUND.get() {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, found);
        }
    }

    /// Forgets what was typed and not read: it was an answer to something that is over.
    pub(in crate::cli) fn forget_typed() {
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    }

    /// Shows nothing of what is typed, until [`restore`](super::restore).
    pub(in crate::cli) fn hide_typing() {
        is_about_to_change();
        IS_HIDDEN.store(true, Ordering::Relaxed);
        hide(OptionalActions::Flush);
    }

    /// Hides it again after a shell has stopped the program and set the terminal to its own liking.
    pub(in crate::cli) fn hide_typing_again() {
        if IS_HIDDEN.load(Ordering::Relaxed) {
            hide(OptionalActions::Now);
        }
    }

    fn hide(when: OptionalActions) {
        if let Ok(mut modes) = tcgetattr(io::stdin()) {
            modes.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), when, &modes);
        }
    }

    /// How many columns and rows stderr has, if it is a terminal that tells.
    pub(in crate::cli) fn size() -> Option<(usize, usize)> {
        let size = tcgetwinsize(io::stderr()).ok()?;
        (size.ws_col > 0).then_some((usize::from(size.ws_col), usize::from(size.ws_row)))
    }

    /// How many columns stdout has, if it is a terminal that tells.
    pub(super) fn columns() -> Option<usize> {
        let size = tcgetwinsize(io::stdout()).ok()?;
        (size.ws_col > 0).then_some(usize::from(size.ws_col))
    }
}

#[cfg(not(unix))]
mod modes {
    pub(in crate::cli) fn remember() {}

    pub(in crate::cli) fn is_about_to_change() {}

    pub(super) fn restore() {}

    pub(in crate::cli) fn forget_typed() {}

    pub(in crate::cli) fn hide_typing() {}

    pub(in crate::cli) fn size() -> Option<(usize, usize)> {
        None
    }

    pub(super) fn columns() -> Option<usize> {
        None
    }
}

/// How wide the lines of a table may be: as the terminal on stdout is. `None` where there is none.
pub(super) fn table_width() -> Option<usize> {
    /// Of a terminal that does not tell.
    const USUAL: usize = 80;
    let is_terminal = io::stdout().is_terminal();
    is_terminal.then(|| modes::columns().unwrap_or(USUAL))
}

/// The text, broken at words so that each line fits; what cannot be broken, such as an address,
/// stays whole.
pub(super) fn wrapped(text: &str, indent: &str) -> String {
    /// Longer lines are hard to read, whatever the window.
    const WIDEST: usize = 80;
    let width = size().map_or(WIDEST, |(columns, _)| columns.clamp(20, WIDEST));
    let options = textwrap::Options::new(width)
        .subsequent_indent(indent)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}

/// The lines of a message, broken at words if they are for a terminal; what follows is indented more
/// than its line.
pub(super) fn fitted(text: &str, stream: &impl IsTerminal) -> String {
    if !stream.is_terminal() {
        return text.to_owned();
    }
    let lines = text.lines().map(|line| {
        let own = line.len() - line.trim_start().len();
        wrapped(line, &" ".repeat(own + 2)) + "\n"
    });
    lines.collect()
}

#[cfg(unix)]
pub(super) use modes::hide_typing_again;
pub(super) use modes::{forget_typed, hide_typing, is_about_to_change, remember, size};

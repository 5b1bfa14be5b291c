//! Questions to the person at the terminal: with `inquire` where the terminal can move its cursor,
//! else in plain lines.
//!
//! A question blocks, so it is asked on a thread of its own: a signal ends the wait for it, and the
//! thread with the program.

use std::io::{self, BufRead as _, Write as _};
use std::thread;

use inquire::error::InquireResult;
use inquire::ui::RenderConfig;
use inquire::{Confirm, Select, Text};
use tokio::sync::oneshot;

use super::output::Palette;
use super::terminal;
use crate::manager::Limits;

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialogue {
    pub(super) is_plain: bool,
    pub(super) palette: Palette,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) label: &'static str,
    /// Whether the answer is a secret, and is not echoed.
    pub(super) is_secret: bool,
    /// What Enter alone stands for.
    pub(super) suggestion: Option<&'static str>,
}

/// The person has gone: Ctrl-C, Ctrl-D, or a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl Dialogue {
    /// Asks until the answer is good; `judge` says why it is not.
    pub(super) async fn ask(
        self,
        question: Question,
        judge: impl Fn(&str) -> Result<(), String> + Send + 'static,
        limits: &Limits,
    ) -> Result<String, Gone> {
        asking(limits, move || {
            loop {
                let label = question.label;
                let answer = match (question.is_secret, self.is_plain) {
                    // The terminal itself takes back what was mistyped, which nobody can see.
                    (true, true) => line(&format!("{label}: "), true)?,
                    (true, false) => line(&format!("> {label}: (hidden) "), true)?,
                    (false, true) => plainly(label, question.suggestion)?,
                    (false, false) => self.with_a_cursor(label, question.suggestion)?,
                };
                match judge(&answer) {
                    Ok(()) => return Ok(answer),
                    // Asked anew, so that the wrong answer need not be taken out by hand.
                    Err(why) => say(&terminal::wrapped(&format!("  Not that: {why}.\n"), "  ")),
                }
            }
        })
        .await
    }

    /// Asks which of these it is to be.
    pub(super) async fn choose<T: Send + 'static>(
        self,
        label: &'static str,
        mut choices: Vec<(T, String)>,
        limits: &Limits,
    ) -> Result<T, Gone> {
        asking(limits, move || {
            let index = if self.is_plain {
                choose_plainly(label, &choices)?
            } else {
                let texts = choices.iter().map(|(_, text)| text).collect();
                let select = Select::new(label, texts).without_filtering();
                let select = select
                    .with_help_message("up or down to move, Enter to choose")
                    .with_page_size(page())
                    .with_render_config(self.look());
                on_a_line(|| select.raw_prompt())?.index
            };
            Ok(choices.swap_remove(index).0)
        })
        .await
    }

    /// Asks for a yes; Enter alone is a no.
    pub(super) async fn confirm(
        self,
        question: &'static str,
        limits: &Limits,
    ) -> Result<bool, Gone> {
        asking(limits, move || {
            if !self.is_plain {
                let confirm = Confirm::new(question).with_default(false);
                let confirm = confirm.with_render_config(self.look());
                return on_a_line(|| confirm.prompt());
            }
            let answer = line(&format!("{question} [y/N]: "), false)?;
            let answer = answer.trim().to_lowercase();
            Ok(matches!(answer.as_str(), "y" | "yes"))
        })
        .await
    }

    fn with_a_cursor(self, label: &str, suggestion: Option<&str>) -> Result<String, Gone> {
        let label = format!("{label}:");
        let mut text = Text::new(&label).with_render_config(self.look());
        if let Some(suggestion) = suggestion {
            text = text.with_default(suggestion);
        }
        on_a_line(|| text.prompt())
    }

    fn look(self) -> RenderConfig<'static> {
        if self.palette.is_colored() {
            RenderConfig::default_colored()
        } else {
            RenderConfig::empty()
        }
    }
}

/// How many choices are shown at a time: as many as leave something of what is above.
fn page() -> usize {
    /// Of a terminal that does not tell.
    const USUAL: usize = 7;
    let (_, rows) = terminal::size().unwrap_or_default();
    (rows / 2).max(USUAL)
}

/// Asks with the terminal in a mode of its own, which is left with the answer.
fn on_a_line<T>(ask: impl FnOnce() -> InquireResult<T>) -> Result<T, Gone> {
    terminal::is_about_to_change();
    terminal::is_drawn_on(true);
    let answer = ask();
    terminal::is_drawn_on(false);
    if answer.is_err() {
        // What stands below the question goes with it.
        say("\x1b[J");
    }
    answer.map_err(|_| Gone)
}

/// Waits for an answer; what is said after one that did not come begins a line.
async fn asking<T: Send + 'static>(
    limits: &Limits,
    ask: impl FnOnce() -> Result<T, Gone> + Send + 'static,
) -> Result<T, Gone> {
    terminal::erase_note();
    let answer = on_a_thread(limits, ask).await;
    if answer.is_err() && limits.stop.is_set() {
        say("\n");
    }
    answer
}

/// Waits for what blocks, unless a signal comes first; then the terminal is set as it was.
pub(super) async fn on_a_thread<T: Send + 'static>(
    limits: &Limits,
    ask: impl FnOnce() -> Result<T, Gone> + Send + 'static,
) -> Result<T, Gone> {
    let (sender, answer) = oneshot::channel();
    thread::spawn(move || {
        let _ = sender.send(ask());
    });
    let answer = tokio::select! {
        biased;
        answer = answer => answer.unwrap_or(Err(Gone)),
        () = limits.stopped() => Err(Gone),
    };
    if answer.is_err() {
        terminal::restore();
    }
    answer
}

fn plainly(label: &str, suggestion: Option<&str>) -> Result<String, Gone> {
    let Some(suggestion) = suggestion else {
        return line(&format!("{label}: "), false);
    };
    let answer = line(&format!("{label} [{suggestion}]: "), false)?;
    if answer.trim().is_empty() {
        return Ok(suggestion.to_owned());
    }
    Ok(answer)
}

fn choose_plainly<T>(label: &str, choices: &[(T, String)]) -> Result<usize, Gone> {
    let colon = if label.ends_with('?') { "" } else { ":" };
    say(&format!("{label}{colon}\n"));
    for (index, (_, text)) in choices.iter().enumerate() {
        say(&format!("  {}) {text}\n", index + 1));
    }
    loop {
        let answer = line("Number [1]: ", false)?;
        let answer = answer.trim();
        let number = if answer.is_empty() { "1" } else { answer };
        match number.parse::<usize>() {
            Ok(number) if (1..=choices.len()).contains(&number) => return Ok(number - 1),
            _ => say(&format!("  a number from 1 to {}, please\n", choices.len())),
        }
    }
}

fn line(prompt: &str, is_secret: bool) -> Result<String, Gone> {
    if is_secret {
        terminal::hide_typing();
    }
    say(prompt);
    let mut line = Vec::new();
    let read = io::stdin().lock().read_until(b'\n', &mut line);
    if is_secret {
        terminal::restore();
    }
    if is_secret || !line.ends_with(b"\n") {
        say("\n");
    }
    match read {
        Ok(1..) => Ok(String::from_utf8_lossy(&line).into_owned()),
        _ => Err(Gone),
    }
}

fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

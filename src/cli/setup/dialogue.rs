//! Questions to the person at the terminal: with `inquire` where the terminal can move its cursor,
//! else in plain lines.
//!
//! A question blocks, so it is asked on a thread of its own: a signal ends the wait for it, and the
//! thread with the program.

use std::io::{self, BufRead as _, Write as _};
use std::thread;

use inquire::error::InquireResult;
use inquire::ui::RenderConfig;
use inquire::{Select, Text};
use tokio::sync::oneshot;

use crate::cli::output::Palette;
use crate::cli::terminal;
use crate::manager::Limits;
use crate::setup::questions::Question;

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialogue {
    pub(super) is_plain: bool,
    pub(super) palette: Palette,
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
        on_a_thread(limits, move || {
            loop {
                let label = question.label;
                let answer = match (question.is_secret, self.is_plain) {
                    // The terminal itself takes back what was mistyped, which nobody can see.
                    (true, true) => line(&format!("{label}: "), true)?,
                    (true, false) => line(&format!("> {label}: (hidden) "), true)?,
                    (false, true) => line(&format!("{label}: "), false)?,
                    (false, false) => self.with_a_cursor(label)?,
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
    pub(super) async fn choose<T: Copy + Send + Sync + 'static>(
        self,
        label: &'static str,
        choices: &'static [(T, &'static str)],
        limits: &Limits,
    ) -> Result<T, Gone> {
        on_a_thread(limits, move || {
            let index = if self.is_plain {
                choose_plainly(label, choices)?
            } else {
                let texts = choices.iter().map(|(_, text)| *text).collect();
                let select = Select::new(label, texts).without_filtering();
                let select = select
                    .with_help_message("up or down to move, Enter to choose")
                    .with_render_config(self.look());
                on_a_line(|| select.raw_prompt())?.index
            };
            Ok(choices[index].0)
        })
        .await
    }

    fn with_a_cursor(self, label: &str) -> Result<String, Gone> {
        let label = format!("{label}:");
        let text = Text::new(&label).with_render_config(self.look());
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

/// Asks with the terminal in a mode of its own, which is left with the answer.
fn on_a_line<T>(ask: impl FnOnce() -> InquireResult<T>) -> Result<T, Gone> {
    terminal::is_about_to_change();
    ask().map_err(|_| Gone)
}

/// Waits for what blocks, unless a signal comes first; then the terminal is set as it was.
async fn on_a_thread<T: Send + 'static>(
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

fn choose_plainly<T>(label: &str, choices: &[(T, &str)]) -> Result<usize, Gone> {
    say(&format!("{label}:\n"));
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

//! `extend`: a line or a progress bar while it goes on, and a summary.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;

use super::arguments::Extend;
use super::trouble::Trouble;
use super::{Ended, Session};
use crate::cli::output::{self, JSON_VERSION, Palette, Style, rfc3339, roughly};
use crate::cli::{complain, terminal as tty, write_out};
use crate::lifetime;
use crate::remedy::ExitStatus;
use crate::sources::extend::{self, Event, Fate, Order, Settled, Tally, Targets};
use crate::sources::schedule;

impl Session<'_> {
    pub(super) async fn extend(&self, arguments: &Extend) -> Ended {
        let changes = self.changes(arguments.deadline)?;
        let targets = if arguments.all {
            let expiring_within = arguments.expiring_within;
            Targets::All { expiring_within }
        } else {
            Targets::Named(arguments.ids.clone())
        };
        let order = Order {
            targets,
            token_lifetime: arguments.lifetime,
            concurrency: arguments.concurrency,
        };
        let now = changes.sources().calls().clock().now();
        let mut teller = Teller::new(self, arguments.all, now);
        let tally = extend::extend(&changes, &order, |event| teller.hear(event)).await;
        self.manager.landed().await;
        teller.finish(&tally?)
    }
}

/// Tells what becomes of each, on the terminal or for a program.
///
/// Who reads it may keep the program waiting for as long as they like. A climb is driven by the same
/// thread, and what it was issued has to be saved: so nothing is said before it has landed.
struct Teller<'a> {
    session: &'a Session<'a>,
    /// What happened during a climb.
    untold: VecDeque<Event>,
    bar: Option<ProgressBar>,
    /// Whether those that went well are too many to tell of each.
    is_brief: bool,
    now: Timestamp,
    /// For `--json`.
    documents: Vec<Document>,
    written: anyhow::Result<()>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    id: Option<String>,
    outcome: &'static str,
    expires_at: Option<String>,
    message: Option<String>,
    remedy: Option<String>,
    tracking_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    version: u32,
    outcome: &'a str,
    data_sources: &'a [Document],
    extended: usize,
    not_due: usize,
    disabled: usize,
    failed: usize,
    unavailable: usize,
    not_tried: usize,
    message: String,
    remedy: Option<String>,
    warnings: Vec<String>,
}

impl<'a> Teller<'a> {
    fn new(session: &'a Session<'a>, are_all: bool, now: Timestamp) -> Self {
        let terminal = session.terminal;
        let has_bar = !terminal.json
            && !terminal.quiet
            && io::stderr().is_terminal()
            && io::stdout().is_terminal()
            && !session.files.is_dumb();
        tty::erase_note();
        Self {
            session,
            untold: VecDeque::new(),
            bar: has_bar.then(bar),
            is_brief: has_bar && are_all,
            now,
            documents: Vec::new(),
            written: Ok(()),
        }
    }

    fn hear(&mut self, event: Event) {
        self.untold.push_back(event);
        if !self.session.manager.is_climbing() {
            self.catch_up();
        }
    }

    fn catch_up(&mut self) {
        while let Some(event) = self.untold.pop_front() {
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Planned { due } => {
                self.bar = self.bar.take().filter(|_| due > 0);
                if let Some(bar) = &self.bar {
                    bar.set_length(due as u64);
                }
            }
            Event::LeftAlone(settled) => self.tell(settled),
            Event::Settled(settled) => {
                self.tell(settled);
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
            }
        }
    }

    fn tell(&mut self, settled: Settled) {
        let terminal = self.session.terminal;
        if terminal.json {
            self.documents.push(document(settled));
            return;
        }
        // What was left alone because it is not its time is in the summary alone.
        if matches!(settled.fate, Fate::NotDue(_) | Fate::NotTried) {
            return;
        }
        let is_failure = matches!(settled.fate, Fate::Failed(_));
        let palette = if is_failure || self.bar.is_some() {
            terminal.stderr
        } else {
            terminal.stdout
        };
        let shown = line(&settled, self.now, palette);
        if let Some(bar) = &self.bar {
            if !self.is_brief || !matches!(settled.fate, Fate::Extended { .. }) {
                bar.println(shown.trim_end());
            }
        } else if is_failure {
            complain(&shown);
        } else if !terminal.quiet {
            let written = write_out(&shown);
            if self.written.is_ok() {
                self.written = written;
            }
        }
    }

    fn finish(mut self, tally: &Tally) -> Ended {
        self.catch_up();
        let terminal = self.session.terminal;
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.written?;
        let exit = exit_status(tally);
        let trouble = tally.token.as_ref().map(Trouble::from);
        // Whoever has no token any more has a worse problem than some data sources.
        let exit = trouble.as_ref().map_or(exit, |trouble| trouble.exit);
        if terminal.json {
            let outcome = match exit {
                ExitStatus::Works => "extended",
                _ => "incomplete",
            };
            write_out(&output::document(&Summary {
                version: JSON_VERSION,
                outcome,
                data_sources: &self.documents,
                extended: tally.extended,
                not_due: tally.not_due,
                disabled: tally.disabled,
                failed: tally.failed,
                unavailable: tally.unavailable,
                not_tried: tally.not_tried,
                message: counts(tally),
                remedy: remedy(tally),
                warnings: warnings(tally),
            }))?;
            return Ok(exit);
        }
        if let Some(trouble) = trouble {
            complain(&trouble.text(terminal.stderr));
        }
        if exit == ExitStatus::Works {
            if !terminal.quiet {
                let label = terminal.stdout.paint(Style::Good, "done:");
                write_out(&format!("{label} {}\n", counts(tally)))?;
            }
        } else {
            let label = terminal.stderr.paint(Style::Error, "error:");
            let what = match remedy(tally) {
                Some(remedy) => format!("{}; {remedy}", counts(tally)),
                None => counts(tally),
            };
            complain(&format!("{label} {what}\n"));
        }
        Ok(exit)
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left")
        .expect("a template that is right")
        .progress_chars("=> ");
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
}

/// Such as `extended 3b1f…: expires 2026-11-22 18:00 UTC, in 24 hours`.
fn line(settled: &Settled, now: Timestamp, palette: Palette) -> String {
    let id = settled.id.as_deref().unwrap_or("(no id)");
    let (word, style, what) = match &settled.fate {
        Fate::Extended { life, .. } => (
            "extended",
            Style::Good,
            life.expires_at.map(|at| {
                let left = roughly(at.duration_since(now));
                format!("expires {}, in {left}", lifetime::date(at))
            }),
        ),
        Fate::NotDue(_) => ("not due", Style::Faint, None),
        Fate::Disabled { error_message } => (
            "disabled",
            Style::Warning,
            error_message.as_deref().map(crate::token::one_line),
        ),
        Fate::Failed(error) => ("failed", Style::Error, Some(error.to_string())),
        Fate::NotTried => ("not tried", Style::Warning, None),
    };
    let word = palette.paint(style, &format!("{word:<9}"));
    match what {
        Some(what) => format!("{word} {id}: {what}\n"),
        None => format!("{word} {id}\n"),
    }
}

fn document(settled: Settled) -> Document {
    let remedy = match &settled.fate {
        Fate::Failed(error) => error.remedy().map(|remedy| remedy.to_string()),
        _ => None,
    };
    let (outcome, expires_at, message) = match settled.fate {
        Fate::Extended { life, .. } => ("extended", life.expires_at, None),
        Fate::NotDue(life) => {
            let due = schedule::due_at(life);
            let message = due.map(|due| format!("due {}", lifetime::date(due)));
            ("not_due", life.expires_at, message)
        }
        Fate::Disabled { error_message } => {
            let message = error_message.as_deref().map(crate::token::one_line);
            ("disabled", None, message)
        }
        Fate::Failed(error) => (error.name(), None, Some(error.to_string())),
        Fate::NotTried => ("not_tried", None, None),
    };
    Document {
        id: settled.id,
        outcome,
        expires_at: expires_at.map(rfc3339),
        message,
        remedy,
        tracking_id: settled.tracking_id,
    }
}

/// All went well, or some failed for good, or a later run may do the rest.
fn exit_status(tally: &Tally) -> ExitStatus {
    if tally.failed > 0 {
        ExitStatus::No
    } else if tally.unavailable + tally.not_tried > 0 {
        ExitStatus::Passing
    } else if tally.unrecorded > 0 {
        ExitStatus::File
    } else {
        ExitStatus::Works
    }
}

/// Such as `2 extended, 1 failed, 5 not due`, and how many of them the log lacks.
fn counts(tally: &Tally) -> String {
    let counts = [
        (tally.extended, "extended"),
        (tally.failed, "failed"),
        (tally.unavailable, "not extended yet"),
        (tally.not_tried, "not tried"),
        (tally.disabled, "disabled"),
        (tally.not_due, "not due"),
    ];
    let told: Vec<_> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let unrecorded = match tally.unrecorded {
        0 => String::new(),
        // All that there is to tell of.
        count if told.len() == 1 && count == tally.extended => {
            ", and not written into the operation log".to_owned()
        }
        count => format!(", and {count} not written into the operation log"),
    };
    if told.is_empty() {
        return "there is no data source".to_owned();
    }
    told.join(", ") + &unrecorded
}

fn remedy(tally: &Tally) -> Option<String> {
    let mut remedies: Vec<_> = tally.remedies.iter().map(ToString::to_string).collect();
    if let Some(token) = &tally.token {
        remedies.extend(token.remedy().map(ToString::to_string));
    } else if tally.unavailable + tally.not_tried > 0 {
        remedies.push("run this again later; what is extended is not extended again".to_owned());
    }
    (!remedies.is_empty()).then(|| remedies.join("; "))
}

fn warnings(tally: &Tally) -> Vec<String> {
    let unrecorded = (tally.unrecorded > 0).then(|| {
        let what = match tally.unrecorded {
            1 => "1 change".to_owned(),
            count => format!("{count} changes"),
        };
        format!("{what} could not be written into the operation log")
    });
    unrecorded.into_iter().collect()
}

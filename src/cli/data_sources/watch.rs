//! `watch`: a line for each thing that happens, with the time, for a terminal, a file or a journal.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::arguments::Watch;
use super::{Ended, Session};
use crate::cli::output::{self, JSON_VERSION, Palette, Style, rfc3339, roughly};
use crate::cli::{Terminal, complain, write_out};
use crate::clock::Clock;
use crate::lifetime;
use crate::manager::Report;
use crate::remedy::{ExitStatus, Remedy};
use crate::sources::watch::{self, Event, Options, Stopped};

impl Session<'_> {
    pub(super) async fn watch(&self, arguments: &Watch) -> Ended {
        let changes = self.changes(SignedDuration::MAX)?;
        let clock = changes.sources().calls().clock();
        let options = Options {
            concurrency: arguments.concurrency,
        };
        let terminal = self.terminal;
        let tell = |event| News::of(event, clock.now()).tell(terminal, clock);
        let stopped = watch::watch(&changes, options, tell).await?;
        News::of_end(stopped).tell(terminal, clock);
        Ok(ExitStatus::Works)
    }
}

/// An event as it is told.
struct News {
    /// The name in `--json`.
    event: &'static str,
    word: &'static str,
    style: Style,
    id: Option<String>,
    expires_at: Option<Timestamp>,
    message: String,
    remedy: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    version: u32,
    time: String,
    event: &'a str,
    id: Option<&'a str>,
    expires_at: Option<String>,
    message: &'a str,
    remedy: Option<&'a str>,
}

impl News {
    fn new(event: &'static str, word: &'static str, style: Style) -> Self {
        Self {
            event,
            word,
            style,
            id: None,
            expires_at: None,
            message: String::new(),
            remedy: None,
        }
    }

    fn of(event: Event, now: Timestamp) -> Self {
        use Style::*;
        match event {
            Event::Watching {
                data_sources,
                disabled,
                next,
            } => Self::new("watching", "watching", Good).saying(&[
                count(data_sources, "data source"),
                if disabled > 0 {
                    format!("{disabled} of them disabled")
                } else {
                    String::new()
                },
                match next {
                    Some(next) if next > now => {
                        format!("the next is extended {}", when(next, now))
                    }
                    Some(_) => "the first is extended now".to_owned(),
                    None => String::new(),
                },
            ]),
            Event::Added { id, expires_at } => Self::new("added", "new", Good)
                .about(id)
                .expiring(expires_at, now),
            Event::Gone { id } => Self::new("gone", "gone", Warning).about(id),
            Event::Disabled { id, error_message } => {
                let message = error_message.as_deref().map(crate::token::one_line);
                Self::new("disabled", "disabled", Warning)
                    .about(id)
                    .saying(&[message.unwrap_or_default()])
            }
            Event::Enabled { id, expires_at } => Self::new("enabled", "enabled", Good)
                .about(id)
                .expiring(expires_at, now),
            Event::ExtendedElsewhere { id, expires_at } => {
                Self::new("extended_elsewhere", "extended elsewhere", Good)
                    .about(id)
                    .expiring(expires_at, now)
            }
            Event::Extended { id, expires_at } => Self::new("extended", "extended", Good)
                .about(id)
                .expiring(expires_at, now),
            Event::Failed {
                id,
                error,
                expires_at,
                again_in,
            } => Self::new("failed", "failed", Error)
                .about(id)
                .saying(&[error.to_string()])
                .expiring(expires_at, now)
                .again(again_in)
                .advising(error.remedy()),
            Event::Unrecorded { id, message } => {
                let what = "the change stands, and is not in the operation log".to_owned();
                Self::new("unrecorded", "not logged", Error)
                    .about(id)
                    .saying(&[what, message])
            }
            Event::Nameless { data_sources } => {
                Self::new("nameless", "warning", Error).saying(&[format!(
                    "{} without an id in Webex's list cannot be kept alive",
                    count(data_sources, "data source")
                )])
            }
            Event::ListFailed { error, again_in } => {
                Self::new("list_failed", "the list cannot be had", Error)
                    .saying(&[error.to_string()])
                    .again(again_in)
                    .advising(error.remedy())
            }
            Event::ListRead => Self::new("list_read", "the list can be had again", Good),
            Event::TokenRenewed {
                expires_at,
                warnings,
            } => Self::new("token_renewed", "token renewed", Good)
                .expiring(expires_at, now)
                .saying(&warnings),
            Event::TokenFailed { report, works } => Self::of_token(&report, works, now),
            Event::TokenWorks => Self::new("token_works", "token works again", Good),
            Event::Stopping { .. } => {
                let what = "what is in flight is finished first".to_owned();
                Self::new("stopping", "stopping", Warning).saying(&[what])
            }
        }
    }

    fn of_token(report: &Report, works: bool, now: Timestamp) -> Self {
        let (word, expires_at) = if works {
            ("token not renewed", report.expires_at)
        } else {
            ("no token", None)
        };
        let mut said = vec![output::with_problems(&report.message, &report.problems)];
        said.extend_from_slice(&report.warnings);
        Self::new("token_failed", word, Style::Error)
            .saying(&said)
            .expiring(expires_at, now)
            .advising(report.remedy.clone())
    }

    fn of_end(stopped: Stopped) -> Self {
        let alive = match (stopped.alive, stopped.until) {
            (1, Some(until)) => format!("1 data source is alive until {}", lifetime::date(until)),
            (alive, Some(until)) => format!(
                "{alive} data sources are alive until {}",
                lifetime::date(until)
            ),
            (_, None) => "no data source is alive".to_owned(),
        };
        let others = match stopped.others {
            0 => String::new(),
            1 => "1 is not".to_owned(),
            others => format!("{others} are not"),
        };
        Self {
            expires_at: stopped.until,
            ..Self::new("stopped", "stopped", Style::Good)
        }
        .saying(&[alive, others])
    }

    fn about(mut self, id: String) -> Self {
        self.id = Some(id);
        self
    }

    fn saying(mut self, what: &[String]) -> Self {
        for clause in what.iter().filter(|clause| !clause.is_empty()) {
            if !self.message.is_empty() {
                self.message += "; ";
            }
            self.message += clause;
        }
        self
    }

    fn expiring(self, expires_at: Option<Timestamp>, now: Timestamp) -> Self {
        let Some(at) = expires_at else { return self };
        let verb = if at > now { "expires" } else { "expired" };
        let said = self.saying(&[format!("{verb} {}", when(at, now))]);
        Self { expires_at, ..said }
    }

    fn again(self, wait: Duration) -> Self {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        self.saying(&[format!("tried again in {}", roughly(wait))])
    }

    /// What this program does by itself is no advice.
    fn advising(mut self, remedy: Option<Remedy>) -> Self {
        let is_ours = |remedy: &Remedy| {
            matches!(
                remedy,
                Remedy::TryAgainLater | Remedy::WaitForTheOther { .. } | Remedy::LookWhetherDone
            )
        };
        self.remedy = remedy.filter(|it| !is_ours(it)).map(|it| it.to_string());
        self
    }

    /// Trouble is conversation, unless `--json` makes it the answer. Who cannot be told any more
    /// keeps nothing from being kept alive.
    fn tell(&self, terminal: Terminal, clock: &Clock) {
        let is_trouble = self.style == Style::Error;
        let time = rfc3339(clock.now());
        if terminal.quiet && !is_trouble {
            return;
        }
        if terminal.json {
            let _ = write_out(&self.json(time));
        } else if is_trouble {
            complain(&self.line(&time, terminal.stderr));
        } else {
            let _ = write_out(&self.line(&time, terminal.stdout));
        }
    }

    /// Such as `2026-11-21T18:25:53Z extended 3b1f…: expires 2026-11-22 18:25 UTC, in 24 hours`.
    fn line(&self, time: &str, palette: Palette) -> String {
        let word = palette.paint(self.style, self.word);
        let subject = self.id.iter().map(|id| format!(" {id}"));
        let message = Some(format!(": {}", self.message)).filter(|_| !self.message.is_empty());
        let remedy = self.remedy.iter().map(|remedy| format!("; {remedy}"));
        let rest: String = subject.chain(message).chain(remedy).collect();
        format!("{time} {word}{rest}\n")
    }

    fn json(&self, time: String) -> String {
        let message = if self.message.is_empty() {
            self.word
        } else {
            &self.message
        };
        output::json_line(&Document {
            version: JSON_VERSION,
            time,
            event: self.event,
            id: self.id.as_deref(),
            expires_at: self.expires_at.map(rfc3339),
            message,
            remedy: self.remedy.as_deref(),
        })
    }
}

fn count(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Such as `2026-11-22 18:25 UTC, in 24 hours`.
fn when(at: Timestamp, now: Timestamp) -> String {
    let left = at.duration_since(now);
    if left.is_positive() {
        format!("{}, in {}", lifetime::date(at), roughly(left))
    } else {
        format!("{}, {} ago", lifetime::date(at), roughly(left.abs()))
    }
}

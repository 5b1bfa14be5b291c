//! What is told of a change that was made, or was not needed.

use std::io;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use super::trouble::{Trouble, unrecorded};
use super::{Ended, Session};
use crate::cli::output::{self, JSON_VERSION, Style, rfc3339, roughly};
use crate::cli::{terminal as tty, write_out};
use crate::lifetime;
use crate::remedy::ExitStatus;
use crate::sources::diff::Difference;
use crate::sources::{Changed, Changes, DataSource, Status};

/// A change that was made, or was not needed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    version: u32,
    outcome: &'static str,
    id: Option<String>,
    /// The fields that are others now, as they were; all of a source that is gone.
    before: Option<Map<String, Value>>,
    /// The same fields as they are; all of a source that is new.
    after: Option<Map<String, Value>>,
    expires_at: Option<String>,
    tracking_id: Option<String>,
    message: String,
    warnings: Vec<String>,
}

impl Done {
    /// Nothing needed to be changed.
    pub(super) fn unchanged(id: &str, message: &str) -> Self {
        Self {
            version: JSON_VERSION,
            outcome: "unchanged",
            id: Some(id.to_owned()),
            before: None,
            after: None,
            expires_at: None,
            tracking_id: None,
            message: message.to_owned(),
            warnings: Vec::new(),
        }
    }

    /// A change was made.
    pub(super) fn new(
        outcome: &'static str,
        id: Option<&str>,
        made: Changed,
        now: Timestamp,
    ) -> Self {
        let shown = made.data_source.as_ref();
        let id = id.or_else(|| shown?.id()).map(str::to_owned);
        let expires_at = shown.and_then(|source| source.life().expires_at);
        // To what is disabled Webex delivers nothing, however long its JWS lives.
        let is_told = shown.is_some_and(|source| source.status() != Status::Disabled);
        let told = expires_at.filter(|_| is_told);
        let warning = made.recorded.err().map(|error| unrecorded(&error));
        Self {
            version: JSON_VERSION,
            outcome,
            id,
            before: None,
            after: None,
            expires_at: expires_at.map(rfc3339),
            tracking_id: made.tracking_id,
            message: told.map_or_else(String::new, |at| expiry(at, now)),
            warnings: warning.into_iter().collect(),
        }
    }

    /// The same with all that the source was.
    pub(super) fn from(self, before: Map<String, Value>) -> Self {
        let before = Some(before);
        Self { before, ..self }
    }

    /// The same with all that the source is.
    pub(super) fn to(self, after: Map<String, Value>) -> Self {
        let after = Some(after);
        Self { after, ..self }
    }

    /// The same with what is different.
    pub(super) fn by(self, differences: &[Difference]) -> Self {
        let fields = |value: fn(&Difference) -> Option<Value>| {
            let fields = differences.iter();
            let fields = fields.map(|it| (it.field.to_owned(), value(it).unwrap_or(Value::Null)));
            fields.collect()
        };
        self.from(fields(Difference::before))
            .to(fields(Difference::after))
    }
}

/// Such as `expires 2026-11-22 18:00 UTC, in 24 hours`.
fn expiry(at: Timestamp, now: Timestamp) -> String {
    let left = roughly(at.duration_since(now).max(SignedDuration::ZERO));
    format!("expires {}, in {left}", lifetime::date(at))
}

impl Session<'_> {
    /// Says what was done; one that does not stand in the log is no complete success.
    pub(super) fn report(&self, done: &Done) -> Ended {
        let terminal = self.terminal;
        if terminal.json {
            write_out(&output::document(done))?;
        } else if !terminal.quiet {
            let style = match done.outcome {
                "unchanged" | "deleted" | "disabled" => Style::Warning,
                _ => Style::Good,
            };
            let word = terminal.stdout.paint(style, done.outcome);
            let id = done.id.as_deref().unwrap_or("(Webex does not tell its id)");
            let line = match done.message.as_str() {
                "" => format!("{word} {id}\n"),
                message => format!("{word} {id}: {message}\n"),
            };
            write_out(&tty::fitted(&line, &io::stdout()))?;
        }
        terminal.warn(&done.warnings);
        Ok(if done.warnings.is_empty() {
            ExitStatus::Works
        } else {
            ExitStatus::File
        })
    }

    /// The whole id of the data source that is meant, and what Webex tells of it.
    pub(super) async fn meant(
        &self,
        changes: &Changes,
        id: &str,
        doing: &str,
    ) -> Result<(String, DataSource), Trouble> {
        let sources = changes.sources();
        let trouble = |error| Trouble::from(error).doing(&format!("cannot {doing} {id}"));
        let id = sources.resolve(id).await.map_err(trouble)?;
        let source = sources.read(&id).await.map_err(trouble)?;
        Ok((id, source))
    }
}

//! `list`: all data sources, those that expire first on top.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::arguments::List;
use super::table::{Cell, Column, Fit, table};
use super::trouble::Trouble;
use super::{Ended, Session, shown};
use crate::cli::output::{self, JSON_VERSION, Palette, Style, rfc3339, roughly};
use crate::cli::{complain, terminal, write_out};
use crate::manager::{CredentialState, Probe, Status as Credentials};
use crate::remedy::ExitStatus;
use crate::sources::schedule::{self, Window};
use crate::sources::urgency::what_expires_first;
use crate::sources::{DataSource, DataSources, Life, SourceError, Urgency};

impl Session<'_> {
    pub(super) async fn list(&self, arguments: &List) -> Ended {
        let sources = self.sources(arguments.deadline.deadline)?;
        let listing = Listing::fetch(&sources, arguments.expiring_within).await?;
        let terminal = self.terminal;
        if terminal.json {
            write_out(&listing.json())?;
            return Ok(ExitStatus::Works);
        }
        write_out(&listing.text(terminal::table_width(), terminal.stdout))?;
        if !terminal.quiet {
            complain(&listing.token.line(terminal.stderr, listing.now));
        }
        terminal.warn(&listing.warnings);
        Ok(ExitStatus::Works)
    }
}

/// The data sources at one moment, and what else a person wants to see with them.
pub(super) struct Listing {
    /// Those that expire first on top.
    pub(super) rows: Vec<Row>,
    /// How many characters tell any id of the whole list from the others, and no fewer than eight.
    pub(super) id_len: usize,
    pub(super) token: Token,
    pub(super) warnings: Vec<String>,
    expiring_within: Option<SignedDuration>,
    pub(super) now: Timestamp,
}

/// One data source, as much of it as is listed. Its texts may be shown.
pub(super) struct Row {
    /// `None` where Webex's list does not tell it.
    pub(super) id: Option<String>,
    schema_id: Option<String>,
    service_name: Option<String>,
    status: String,
    audience: Option<String>,
    subject: Option<String>,
    url: Option<String>,
    error_message: Option<String>,
    life: Life,
    pub(super) urgency: Urgency,
}

/// The service app's access token, with which the list was just had.
pub(super) struct Token {
    is_due: bool,
    expires_at: Option<Timestamp>,
    human_needed_by: Option<Timestamp>,
}

impl Listing {
    /// Asks for all of it.
    ///
    /// Only the data sources themselves are a must: without schemas, there is a warning.
    pub(super) async fn fetch(
        sources: &DataSources,
        expiring_within: Option<SignedDuration>,
    ) -> Result<Self, Trouble> {
        let now = sources.calls().clock().now();
        let mut rows = Vec::new();
        sources
            .each(|source| rows.push(Row::of(&source, now)))
            .await?;
        let id_len = shown::id_len(rows.iter().filter_map(|row| row.id.as_deref()));
        let mut warnings = nameless(&rows);
        if let Some(within) = expiring_within {
            rows.retain(|row| {
                let window = Window::ExpiringWithin(within);
                row.urgency != Urgency::Disabled && schedule::is_due(row.life, window, now)
            });
        }
        rows.sort_by_cached_key(|row| what_expires_first(row.urgency, row.life));
        if !rows.is_empty() {
            match service_names(sources).await {
                Ok(names) => rows.iter_mut().for_each(|row| row.name_service(&names)),
                Err(error) => warnings.push(format!(
                    "cannot list the schemas, so that services are shown by their ids: {error}"
                )),
            }
        }
        let credentials = sources.calls().manager().status(Probe::Offline).await;
        Ok(Self {
            rows,
            id_len,
            token: Token::of(&credentials),
            warnings,
            expiring_within,
            now,
        })
    }

    /// The table, or a line that says why there is none.
    pub(super) fn text(&self, width: Option<usize>, palette: Palette) -> String {
        self.beginning(self.rows.len(), width, palette)
    }

    /// The same with no more than so many rows, and a line that tells of the others.
    pub(super) fn beginning(&self, most: usize, width: Option<usize>, palette: Palette) -> String {
        if self.rows.is_empty() {
            return match self.expiring_within {
                Some(within) => format!("no data source expires within {within:#}\n"),
                None => "there is no data source; register one with `data-sources register`\n"
                    .to_owned(),
            };
        }
        let column = |head, fit| Column { head, fit };
        let columns = [
            column("ID", Fit::Prefix(self.id_len)),
            column("TIME LEFT", Fit::Whole),
            column("STATUS", Fit::End(8)),
            column("SERVICE", Fit::Middle(12)),
            column("AUDIENCE", Fit::End(8)),
            column("URL", Fit::Middle(16)),
            column("OAUTH", Fit::Whole),
        ];
        let shown = self.rows.iter().take(most);
        let rows: Vec<_> = shown.map(|row| row.cells(self)).collect();
        let text = table(columns, &rows, width, palette);
        match self.rows.len() - rows.len() {
            0 => text,
            others => format!("{text}… and {others} more\n"),
        }
    }

    fn json(&self) -> String {
        let document = |row: &Row| RowDocument {
            id: row.id.clone(),
            service_name: row.service_name.clone(),
            schema_id: row.schema_id.clone(),
            status: row.status.clone(),
            audience: row.audience.clone(),
            subject: row.subject.clone(),
            url: row.url.clone(),
            error_message: row.error_message.clone(),
            issued_at: row.life.issued_at.map(rfc3339),
            expires_at: row.life.expires_at.map(rfc3339),
            seconds_left: seconds_left(row.life.expires_at, self.now),
            urgency: row.urgency.name(),
        };
        output::document(&ListDocument {
            version: JSON_VERSION,
            outcome: "listed",
            data_sources: self.rows.iter().map(document).collect(),
            token: self.token.document(self.now),
            warnings: &self.warnings,
        })
    }
}

impl Row {
    fn of(source: &DataSource, now: Timestamp) -> Self {
        let shown = |name, text: Option<&str>| text.map(|text| shown::text(name, &text.into()));
        let status = source.status();
        Self {
            id: source.id().map(str::to_owned),
            schema_id: shown("schemaId", source.schema_id()),
            service_name: None,
            status: shown::text("status", &status.name().into()),
            audience: shown("audience", source.audience()),
            subject: shown("subject", source.subject()),
            url: shown("url", source.url()),
            error_message: shown("errorMessage", source.error_message()),
            life: source.life(),
            urgency: source.urgency(now),
        }
    }

    fn name_service(&mut self, names: &HashMap<String, String>) {
        let id = self.schema_id.as_ref();
        self.service_name = id.and_then(|id| names.get(id)).cloned();
    }

    /// The same in a line to choose it by.
    pub(super) fn line(&self, id_len: usize, now: Timestamp) -> String {
        let id = self.id.as_deref().unwrap_or(shown::NOTHING);
        let id = id.get(..id_len).unwrap_or(id);
        let service = self.service_name.as_ref().or(self.schema_id.as_ref());
        let service = service.map_or(shown::NOTHING, String::as_str);
        format!(
            "{id}  {}, {service}",
            time_left(self.urgency, self.life, now)
        )
    }

    fn cells(&self, listing: &Listing) -> [Cell; 7] {
        let text = |text: Option<&String>| text.map_or(shown::NOTHING, String::as_str).to_owned();
        let status = match self.urgency {
            Urgency::Disabled => Cell::styled(Style::Faint, self.status.as_str()),
            _ => Cell::plain(self.status.as_str()),
        };
        [
            Cell::plain(text(self.id.as_ref())),
            Cell::styled(
                style(self.urgency),
                time_left(self.urgency, self.life, listing.now),
            ),
            status,
            Cell::plain(text(self.service_name.as_ref().or(self.schema_id.as_ref()))),
            Cell::plain(text(self.audience.as_ref())),
            Cell::plain(text(self.url.as_ref())),
            listing.token.cell(),
        ]
    }
}

impl Token {
    fn of(credentials: &Credentials) -> Self {
        let access_token = credentials.credentials.first();
        Self {
            is_due: access_token.is_some_and(|token| token.state == CredentialState::Due),
            expires_at: access_token.and_then(|token| token.expires_at),
            human_needed_by: credentials.human_needed_by,
        }
    }

    /// Webex has just accepted it, so that it can be nothing worse.
    fn state(&self) -> CredentialState {
        if self.is_due {
            CredentialState::Due
        } else {
            CredentialState::Valid
        }
    }

    /// It is the same for all: one token extends them.
    fn cell(&self) -> Cell {
        let state = self.state();
        Cell::styled(self.style(), state.name())
    }

    fn style(&self) -> Style {
        match self.state() {
            CredentialState::Due => Style::Warning,
            _ => Style::Good,
        }
    }

    /// Such as `service-app token: valid, expires 2026-12-05 11:59 UTC, in 13 days`.
    pub(super) fn line(&self, palette: Palette, now: Timestamp) -> String {
        let state = self.state();
        let state = palette.paint(self.style(), state.name());
        let expires = self.expires_at.map_or_else(String::new, |at| {
            format!(", {}", output::expires(at, at.duration_since(now)))
        });
        let human = self.human_needed_by.map_or_else(String::new, |by| {
            format!("; {}", output::human_needed(by, now))
        });
        format!("service-app token: {state}{expires}{human}\n")
    }

    fn document(&self, now: Timestamp) -> TokenDocument {
        TokenDocument {
            state: self.state().name(),
            expires_at: self.expires_at.map(rfc3339),
            seconds_left: seconds_left(self.expires_at, now),
            human_needed_by: self.human_needed_by.map(rfc3339),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListDocument<'a> {
    version: u32,
    outcome: &'a str,
    data_sources: Vec<RowDocument>,
    token: TokenDocument,
    warnings: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowDocument {
    id: Option<String>,
    service_name: Option<String>,
    schema_id: Option<String>,
    status: String,
    audience: Option<String>,
    subject: Option<String>,
    url: Option<String>,
    error_message: Option<String>,
    issued_at: Option<String>,
    expires_at: Option<String>,
    seconds_left: Option<i64>,
    urgency: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenDocument {
    state: &'static str,
    expires_at: Option<String>,
    seconds_left: Option<i64>,
    human_needed_by: Option<String>,
}

/// The services' names by the schemas' ids.
async fn service_names(sources: &DataSources) -> Result<HashMap<String, String>, SourceError> {
    /// How long names are worth waiting for.
    const PATIENCE: Duration = Duration::from_secs(5);
    let calls = sources.calls().clone();
    let limits = calls.limits().and_at_most(PATIENCE);
    let schemas = DataSources::new(calls.within(limits)).schemas().await?;
    let names = schemas.into_iter().map(|schema| {
        let name = shown::text("serviceType", &schema.name().into());
        (schema.id, name)
    });
    Ok(names.collect())
}

/// Data sources that nobody can name to another command.
fn nameless(rows: &[Row]) -> Vec<String> {
    let nameless = rows.iter().filter(|row| row.id.is_none()).count();
    let warning = match nameless {
        0 => None,
        1 => Some("Webex's list does not tell the id of one data source".to_owned()),
        _ => Some(format!(
            "Webex's list does not tell the ids of {nameless} data sources"
        )),
    };
    warning.into_iter().collect()
}

/// Such as `expired 3 hours ago`, `2 hours left, ending`.
pub(super) fn time_left(urgency: Urgency, life: Life, now: Timestamp) -> String {
    let Some(expires_at) = life.expires_at else {
        return "unknown".to_owned();
    };
    let left = expires_at.duration_since(now);
    if !left.is_positive() {
        return format!("expired {} ago", roughly(left.abs()));
    }
    let left = roughly(left);
    match urgency {
        Urgency::Ending | Urgency::Due => format!("{left} left, {}", urgency.name()),
        _ => format!("{left} left"),
    }
}

pub(super) fn style(urgency: Urgency) -> Style {
    match urgency {
        Urgency::Expired | Urgency::Ending => Style::Error,
        Urgency::Unknown | Urgency::Due => Style::Warning,
        Urgency::Fine => Style::Good,
        Urgency::Disabled => Style::Faint,
    }
}

fn seconds_left(expires_at: Option<Timestamp>, now: Timestamp) -> Option<i64> {
    Some(expires_at?.duration_since(now).as_secs())
}

//! What people and programs read: reports in, text and `--json` out. Pure.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;

use clap::ColorChoice;
use clap::builder::styling::{AnsiColor, Style as AnsiStyle};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::ladder::Rung;
use crate::lifetime;
use crate::manager::{
    Attempt, CredentialState, CredentialStatus, Plan, Report, RunOutcome, Status, StatusOutcome,
};
use crate::remedy::{ExitStatus, Remedy};
use crate::store::Credential;
use crate::token::escaped;

/// The version of `--json`; it changes when a field changes its meaning or goes away.
pub(super) const JSON_VERSION: u32 = 1;

/// What a word is for; color only repeats what the word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Good,
    Warning,
    Error,
    Faint,
}

/// Colors, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Palette(bool);

impl Palette {
    pub(super) fn choose(choice: ColorChoice, no_color: bool, stream: &impl IsTerminal) -> Self {
        Self(match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => !no_color && stream.is_terminal(),
        })
    }

    pub(super) fn is_colored(self) -> bool {
        self.0
    }

    pub(super) fn paint(self, style: Style, text: &str) -> String {
        if !self.0 {
            return text.to_owned();
        }
        let style = match style {
            Style::Good => AnsiColor::Green.on_default().bold(),
            Style::Warning => AnsiColor::Yellow.on_default().bold(),
            Style::Error => AnsiColor::Red.on_default().bold(),
            Style::Faint => AnsiStyle::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// The exit code of `refresh_token`.
pub(super) fn exit_status(report: &Report) -> ExitStatus {
    if report.outcome.works() {
        return ExitStatus::Works;
    }
    match report.outcome {
        RunOutcome::NotSaved | RunOutcome::Unreadable => ExitStatus::File,
        RunOutcome::Misconfigured => ExitStatus::Configuration,
        RunOutcome::ReauthorizationRequired => ExitStatus::Reauthorize,
        _ => ExitStatus::Passing,
    }
}

/// One line for a run after which the token works.
pub(super) fn success(report: &Report, palette: Palette) -> String {
    let style = match report.outcome {
        RunOutcome::Kept => Style::Warning,
        _ => Style::Good,
    };
    let label = palette.paint(style, report.outcome.name());
    let until = match (report.expires_at, report.expires_in) {
        (Some(at), Some(left)) => format!(" ({})", expires(at, left)),
        _ => String::new(),
    };
    format!("{label}: {}{until}\n", report.message)
}

/// What happened and what to do in one line, and below it what is wrong and what was tried.
pub(super) fn failure(report: &Report, palette: Palette) -> String {
    let mut text = complaint(&report.message, report.remedy.as_ref(), palette);
    for problem in &report.problems {
        let _ = writeln!(text, "  {problem}");
    }
    // A single attempt is told in the line above, as a rule.
    let is_told = |attempt: &Attempt| report.message.contains(&attempt.to_string());
    if !matches!(report.attempts.as_slice(), [only] if is_told(only)) {
        for attempt in &report.attempts {
            let _ = writeln!(text, "  {attempt}");
        }
    }
    text
}

fn complaint(message: &str, remedy: Option<&Remedy>, palette: Palette) -> String {
    let label = palette.paint(Style::Error, "error:");
    match remedy {
        Some(remedy) => format!("{label} {message}; {remedy}\n"),
        None => format!("{label} {message}\n"),
    }
}

/// `expires 2026-12-05 11:59 UTC, in 13 days`.
pub(super) fn expires(at: Timestamp, left: SignedDuration) -> String {
    let date = lifetime::date(at);
    if left.is_positive() {
        format!("expires {date}, in {}", roughly(left))
    } else {
        format!("expired {date}, {} ago", roughly(left.abs()))
    }
}

/// A duration in the largest unit of which there are two or more, to the nearest.
pub(super) fn roughly(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let units = [
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let (count, unit) = units
        .into_iter()
        .map(|(size, unit)| ((seconds + size / 2) / size, unit))
        .find(|(count, _)| *count >= 2)
        .unwrap_or((seconds, "second"));
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// The plan, a line a rung.
pub(super) fn plan(plan: &Plan, palette: Palette) -> String {
    let mut text = format!("{}\n", plan.message);
    for rung in &plan.rungs {
        let (word, style) = if rung.possible {
            ("possible", Style::Good)
        } else {
            ("not possible", Style::Faint)
        };
        let label = rung.rung.label();
        let word = palette.paint(style, &format!("{word:<12}"));
        let _ = writeln!(text, "  {label:<25}  {word}  {}", rung.reason);
    }
    text
}

/// The status, a line a credential.
pub(super) fn status(status: &Status, palette: Palette) -> String {
    let mut text = headline(status, palette);
    for credential in &status.credentials {
        let _ = writeln!(
            text,
            "  {}",
            credential_line(credential, status.now, palette)
        );
    }
    if let Some(date) = status.human_needed_by {
        text += &human_needed(date, status.now);
        text.push('\n');
    }
    text
}

/// `a human is needed by 2027-02-19 11:59 UTC (in 90 days), unless a refresh extends it`.
pub(super) fn human_needed(by: Timestamp, now: Timestamp) -> String {
    format!(
        "a human is needed by {} (in {}), unless a refresh extends it",
        lifetime::date(by),
        roughly(by.duration_since(now))
    )
}

/// The status in one line, and below it what is wrong with the settings.
pub(super) fn headline(status: &Status, palette: Palette) -> String {
    let mut text = match status.outcome {
        StatusOutcome::Valid => {
            let label = palette.paint(Style::Good, "valid:");
            format!("{label} {}\n", status.message)
        }
        StatusOutcome::Renewable => {
            let label = palette.paint(Style::Warning, "renewable:");
            format!("{label} {}; {}\n", status.message, Remedy::RunRefreshToken)
        }
        _ => complaint(&status.message, status.remedy.as_ref(), palette),
    };
    for problem in &status.problems {
        let _ = writeln!(text, "  {problem}");
    }
    text
}

/// A path as a shell reads it.
pub(super) fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@:,".contains(c);
    if path.chars().all(is_plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

pub(super) fn credential_line(
    credential: &CredentialStatus,
    now: Timestamp,
    palette: Palette,
) -> String {
    let label = match credential.credential {
        Credential::ServiceAppAccessToken => "service-app access token",
        Credential::ServiceAppRefreshToken => Rung::ServiceAppRefreshToken.label(),
        Credential::PersonalAccessToken if credential.of_integration => "integration access token",
        Credential::PersonalAccessToken => Rung::PersonalAccessToken.label(),
        Credential::IntegrationRefreshToken => Rung::IntegrationRefreshToken.label(),
    };
    let style = match credential.state {
        CredentialState::Valid => Style::Good,
        CredentialState::Due => Style::Warning,
        CredentialState::Absent | CredentialState::Unknown => Style::Faint,
        _ => Style::Error,
    };
    let state = palette.paint(style, &format!("{:<9}", credential.state.name()));
    let mut notes = Vec::new();
    if let Some(at) = credential.expires_at {
        notes.push(expires(at, at.duration_since(now)));
    }
    if credential.checked {
        notes.push("asked Webex".to_owned());
    }
    format!("{label:<25}  {state}  {}", notes.join("; "))
        .trim_end()
        .to_owned()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportDocument<'a> {
    version: u32,
    outcome: &'a str,
    rung: Option<&'a str>,
    access_token: AccessTokenDocument,
    refresh_token: RefreshTokenDocument,
    validated: bool,
    attempts: Vec<AttemptDocument<'a>>,
    requests: usize,
    message: String,
    remedy: Option<String>,
    warnings: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessTokenDocument {
    expires_at: Option<String>,
    /// In seconds.
    expires_in: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefreshTokenDocument {
    present: bool,
    expires_at: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttemptDocument<'a> {
    step: &'a str,
    outcome: &'a str,
    http_status: Option<u16>,
    error: Option<&'a str>,
    tracking_id: Option<&'a str>,
    elapsed_ms: u64,
}

impl<'a> From<&'a Attempt> for AttemptDocument<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        Self {
            step: attempt.step.name(),
            outcome: attempt.outcome.name(),
            http_status: attempt.http_status,
            error: attempt.error.as_deref(),
            tracking_id: attempt.tracking_id.as_deref(),
            elapsed_ms: u64::try_from(attempt.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The report of `refresh_token --json`.
pub(super) fn report_json(report: &Report) -> String {
    document(&ReportDocument {
        version: JSON_VERSION,
        outcome: report.outcome.name(),
        rung: report.rung.map(Rung::name),
        access_token: AccessTokenDocument {
            expires_at: report.expires_at.map(rfc3339),
            expires_in: report.expires_in.map(|left| left.as_secs()),
        },
        refresh_token: RefreshTokenDocument {
            present: report.has_refresh_token,
            expires_at: report.refresh_token_expires_at.map(rfc3339),
        },
        validated: report.validated,
        attempts: report.attempts.iter().map(AttemptDocument::from).collect(),
        requests: report.requests(),
        message: with_problems(&report.message, &report.problems),
        remedy: report.remedy.as_ref().map(ToString::to_string),
        warnings: &report.warnings,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanDocument<'a> {
    version: u32,
    outcome: &'a str,
    rungs: Vec<RungDocument<'a>>,
    message: &'a str,
    warnings: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RungDocument<'a> {
    rung: &'a str,
    possible: bool,
    reason: &'a str,
}

/// The plan of `refresh_token --plan --json`.
pub(super) fn plan_json(plan: &Plan) -> String {
    let rungs = plan.rungs.iter().map(|rung| RungDocument {
        rung: rung.rung.name(),
        possible: rung.possible,
        reason: &rung.reason,
    });
    document(&PlanDocument {
        version: JSON_VERSION,
        outcome: "plan",
        rungs: rungs.collect(),
        message: &plan.message,
        warnings: &plan.warnings,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusDocument<'a> {
    version: u32,
    outcome: &'a str,
    credentials: Vec<CredentialDocument<'a>>,
    human_needed_by: Option<String>,
    message: String,
    remedy: Option<String>,
    warnings: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CredentialDocument<'a> {
    name: &'a str,
    present: bool,
    state: &'a str,
    expires_at: Option<String>,
    checked: bool,
}

impl<'a> From<&'a CredentialStatus> for CredentialDocument<'a> {
    fn from(credential: &'a CredentialStatus) -> Self {
        Self {
            name: credential.credential.name(),
            present: credential.state != CredentialState::Absent,
            state: credential.state.name(),
            expires_at: credential.expires_at.map(rfc3339),
            checked: credential.checked,
        }
    }
}

/// The status of `check_token --json`.
pub(super) fn status_json(status: &Status) -> String {
    let credentials = status.credentials.iter().map(CredentialDocument::from);
    document(&StatusDocument {
        version: JSON_VERSION,
        outcome: status.outcome.name(),
        credentials: credentials.collect(),
        human_needed_by: status.human_needed_by.map(rfc3339),
        message: with_problems(&status.message, &status.problems),
        remedy: status.remedy.as_ref().map(ToString::to_string),
        warnings: &status.warnings,
    })
}

pub(super) fn with_problems(message: &str, problems: &[String]) -> String {
    if problems.is_empty() {
        return message.to_owned();
    }
    format!("{message}: {}", problems.join("; "))
}

pub(super) fn document(document: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(document).expect("plain data has a form in JSON");
    escaped(&text) + "\n"
}

/// A document of which there are many, one to a line.
pub(super) fn json_line(document: &impl Serialize) -> String {
    let text = serde_json::to_string(document).expect("plain data has a form in JSON");
    escaped(&text) + "\n"
}

pub(super) fn rfc3339(at: Timestamp) -> String {
    lifetime::to_the_second(at).to_string()
}

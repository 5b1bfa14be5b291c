//! What people and programs read at the end of `setup_oauth`. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::end::{End, Outcome, Schedule};
use crate::cli::output::{
    AttemptDocument, CredentialDocument, JSON_VERSION, Palette, Style, credential_line, document,
    quoted, rfc3339, with_problems,
};
use crate::lifetime;
use crate::manager::CredentialStatus;

/// The summary of `setup_oauth`; its last line says that the token works, and how long without a
/// human.
pub(super) fn text(end: &End, palette: Palette) -> String {
    let mut text = String::new();
    for credential in &end.status.credentials {
        // All of it was asked by now, or need not be.
        let credential = CredentialStatus {
            checked: false,
            ..credential.clone()
        };
        let line = credential_line(&credential, end.status.now, palette);
        let _ = writeln!(text, "{line}");
    }
    let Schedule {
        folder,
        program,
        options,
    } = &end.schedule;
    if end.outcome == Outcome::Ready {
        let command = format!("{}{options}", quoted(program));
        // A percent sign is a line break to cron, and a specifier to systemd, which takes a folder
        // as it stands.
        let cron = format!("cd {} && {command}", quoted(folder)).replace('%', r"\%");
        let folder = folder.display().to_string().replace('%', "%%");
        let command = command.replace('%', "%%");
        let _ = writeln!(
            text,
            "\nFrom cron, before each job:\n  \
             0 * * * *  {cron} --quiet && ./job\n\
             From systemd, in the job's unit:\n  \
             WorkingDirectory={folder}\n  \
             ExecStartPre={command}\n"
        );
    }
    let label = palette.paint(Style::Good, &format!("{}:", end.outcome.name()));
    let human = match end.status.human_needed_by {
        Some(date) => format!(
            "a human is needed by {}, unless a refresh extends it",
            lifetime::date(date)
        ),
        None => "Webex does not say by when a human is needed again".to_owned(),
    };
    let _ = writeln!(text, "{label} {}; {human}", end.report.message);
    text
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SetupDocument<'a> {
    version: u32,
    outcome: &'a str,
    credentials: Vec<CredentialDocument<'a>>,
    human_needed_by: Option<String>,
    attempts: Vec<AttemptDocument<'a>>,
    requests: usize,
    message: String,
    remedy: Option<String>,
    warnings: &'a [String],
}

/// The result of `setup_oauth --json`.
pub(super) fn json(end: &End) -> String {
    let (report, status) = (&end.report, &end.status);
    document(&SetupDocument {
        version: JSON_VERSION,
        outcome: end.outcome.name(),
        credentials: status
            .credentials
            .iter()
            .map(CredentialDocument::from)
            .collect(),
        human_needed_by: status.human_needed_by.map(rfc3339),
        attempts: end.attempts.iter().map(AttemptDocument::from).collect(),
        requests: end.attempts.iter().filter(|attempt| attempt.sent).count(),
        message: with_problems(&report.message, &report.problems),
        remedy: report.remedy.as_ref().map(ToString::to_string),
        warnings: &report.warnings,
    })
}

//! What went wrong, as `data-sources` says it: a line with what to do, or `--json`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::dialogue::Gone;
use crate::cli::output::{self, JSON_VERSION, Palette, Style};
use crate::manager::TokenError;
use crate::remedy::{ExitStatus, Remedy};
use crate::sources::{NotChanged, SourceError};
use crate::store::StoreError;

/// A command that came to nothing.
#[derive(Debug)]
pub(super) struct Trouble {
    /// The name in `--json`.
    outcome: &'static str,
    message: String,
    /// What is wrong with the settings, one line each.
    problems: Vec<String>,
    /// What to do next.
    remedy: Option<String>,
    pub(super) exit: ExitStatus,
    /// Whether it came of what a person at the terminal wants, and is no error.
    is_wanted: bool,
    /// The signal that Ctrl-C stands for, where a question takes it for a key.
    pub(super) signal: Option<u8>,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    outcome: &'a str,
    message: String,
    remedy: Option<String>,
}

impl Trouble {
    pub(super) fn new(
        outcome: &'static str,
        message: impl Into<String>,
        remedy: Option<Remedy>,
        exit: ExitStatus,
    ) -> Self {
        Self {
            outcome,
            message: message.into(),
            problems: Vec::new(),
            remedy: remedy.map(|remedy| remedy.to_string()),
            exit,
            is_wanted: false,
            signal: None,
        }
    }

    /// The command line asks for what cannot be done here.
    pub(super) fn usage(message: impl Into<String>, advice: &str) -> Self {
        Self::new("usage", message, None, ExitStatus::Usage).advising(advice)
    }

    /// A person has said no.
    pub(super) fn declined() -> Self {
        Self {
            is_wanted: true,
            ..Self::new("declined", "nothing was changed", None, ExitStatus::No)
        }
    }

    /// A person has left the menu, whatever was done in it.
    pub(super) fn left() -> Self {
        Self {
            message: "ended".to_owned(),
            ..Self::from(Gone)
        }
    }

    /// The same with another advice.
    pub(super) fn advising(mut self, advice: impl Into<String>) -> Self {
        self.remedy = Some(advice.into());
        self
    }

    /// The same with more to say, one line each.
    pub(super) fn listing(mut self, problems: impl IntoIterator<Item = String>) -> Self {
        self.problems.extend(problems);
        self
    }

    /// The operation log cannot be opened, so that nothing is changed.
    pub(super) fn no_log(error: &StoreError) -> Self {
        let advice = match error {
            StoreError::CannotAppend { .. } => {
                format!("{}, or name another log with --log", error.advice())
            }
            _ => error.advice().to_owned(),
        };
        Self::new(
            "not_saved",
            format!(
                "nothing was changed, as it could not be written down: {}",
                with_cause(error)
            ),
            Some(Remedy::FixFile { advice }),
            ExitStatus::File,
        )
    }

    /// The same, with what was being done before it: `cannot extend 3b1f…`.
    pub(super) fn doing(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub(super) fn text(&self, palette: Palette) -> String {
        if self.is_wanted {
            return format!("{}.\n", capitalized(&self.message));
        }
        let label = palette.paint(Style::Error, "error:");
        let mut text = match &self.remedy {
            Some(remedy) => format!("{label} {}; {remedy}\n", self.message),
            None => format!("{label} {}\n", self.message),
        };
        for problem in &self.problems {
            let _ = writeln!(text, "  {problem}");
        }
        text
    }

    pub(super) fn json(&self) -> String {
        output::document(&self.document())
    }

    /// The same in one line.
    pub(super) fn json_line(&self) -> String {
        output::json_line(&self.document())
    }

    fn document(&self) -> Document<'_> {
        Document {
            version: JSON_VERSION,
            outcome: self.outcome,
            message: output::with_problems(&self.message, &self.problems),
            remedy: self.remedy.clone(),
        }
    }
}

impl From<Gone> for Trouble {
    fn from(_: Gone) -> Self {
        const INTERRUPT: u8 = 2;
        let message = "ended before anything was changed";
        Self {
            is_wanted: true,
            signal: Some(INTERRUPT),
            ..Self::new("interrupted", message, None, ExitStatus::Passing)
        }
    }
}

impl From<NotChanged> for Trouble {
    fn from(it: NotChanged) -> Self {
        let unrecorded = it.recorded.err().map(|error| unrecorded(&error));
        Self::from(it.error).listing(unrecorded)
    }
}

/// The operation log lacks a line.
pub(super) fn unrecorded(error: &StoreError) -> String {
    format!(
        "this does not stand in the operation log: {}",
        with_cause(error)
    )
}

impl From<&TokenError> for Trouble {
    fn from(error: &TokenError) -> Self {
        let report = error.report();
        Self {
            problems: report.problems.clone(),
            ..Self::new(
                report.outcome.name(),
                report.message.clone(),
                report.remedy.clone(),
                output::exit_status(report),
            )
        }
    }
}

impl From<&SourceError> for Trouble {
    fn from(error: &SourceError) -> Self {
        if let SourceError::Call(crate::authorized::CallError::Token(error)) = error {
            return error.into();
        }
        let remedy = error.remedy();
        let exit = remedy.as_ref().map_or(ExitStatus::No, Remedy::exit_status);
        Self::new(error.name(), error.to_string(), remedy, exit)
    }
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        (&error).into()
    }
}

impl From<TokenError> for Trouble {
    fn from(error: TokenError) -> Self {
        (&error).into()
    }
}

impl From<anyhow::Error> for Trouble {
    /// The answer could not be written.
    fn from(error: anyhow::Error) -> Self {
        Self::new("not_saved", format!("{error:#}"), None, ExitStatus::File)
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars).collect()
}

/// An error and its causes in one line.
pub(super) fn with_cause(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

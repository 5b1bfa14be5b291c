//! How a run of `setup_oauth` ended, and what the browser is shown of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::cli::output;
use crate::config::{self, DotenvLayer, Sources};
use crate::consent::Page;
use crate::manager::{Attempt, Report, RunOutcome, Status};
use crate::remedy::{ExitStatus, Remedy};

/// How `setup_oauth` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The consent has minted a token that Webex accepts.
    Ready,
    /// The person has said no.
    Denied,
    /// Nobody has answered in time.
    TimedOut,
    /// A signal came, or Ctrl-C at a question.
    Interrupted,
    /// As a run of the ladder ends.
    Run(RunOutcome),
}

impl Outcome {
    /// How a run ended with this report: a person's no and their silence have names of their own.
    pub(super) fn of(report: &Report) -> Self {
        match report.remedy {
            Some(Remedy::Consent) => Self::Denied,
            Some(Remedy::Answer { .. }) => Self::TimedOut,
            _ => Self::Run(report.outcome),
        }
    }

    /// The name in `--json`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Denied => "denied",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::Run(outcome) => outcome.name(),
        }
    }

    pub(super) fn works(self) -> bool {
        match self {
            Self::Ready => true,
            Self::Run(outcome) => outcome.works(),
            _ => false,
        }
    }
}

/// All there is to say about a run of `setup_oauth`.
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) report: Report,
    /// Every request of the run; the report's are those that explain how it ended.
    pub(super) attempts: Vec<Attempt>,
    pub(super) status: Status,
    pub(super) schedule: Schedule,
}

impl End {
    pub(super) fn exit_status(&self) -> ExitStatus {
        if self.outcome.works() {
            return ExitStatus::Works;
        }
        output::exit_status(&self.report)
    }
}

/// What it takes to run `refresh_token` by itself.
pub(super) struct Schedule {
    pub(super) folder: PathBuf,
    pub(super) program: PathBuf,
    /// Each with a space before it.
    pub(super) options: String,
}

/// What the browser is shown.
pub(super) fn page(outcome: Outcome, report: &Report) -> Page {
    match outcome {
        Outcome::Denied => Page::Denied,
        outcome if outcome.works() => Page::Success,
        Outcome::Interrupted => Page::Failed {
            what: "The program was ended before it was done.".to_owned(),
            next: "Run `setup_oauth` again.".to_owned(),
        },
        _ => Page::Failed {
            what: sentence(&report.message),
            next: match &report.remedy {
                Some(remedy) => sentence(&remedy.to_string()),
                None => "The terminal says more.".to_owned(),
            },
        },
    }
}

/// What goes behind a colon or a semicolon elsewhere, as a sentence of its own.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars).chain(['.']).collect()
}

/// What to copy so that the program runs by itself from now on.
pub(super) fn schedule(sources: &Sources) -> Schedule {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let env_file = absolute(sources.env_file());
    // What `.env` itself says of it is found again without being told.
    let config = absolute(sources.config_file(&DotenvLayer::absent(&env_file)));
    let folder = env_file.parent().unwrap_or(Path::new("/")).to_owned();
    let mut options = String::new();
    for (option, path, usual) in [
        ("--env-file", &env_file, ".env"),
        ("--config", &config, "token-config.json"),
    ] {
        if *path != folder.join(usual) {
            let _ = write!(options, " {option} {}", output::quoted(path));
        }
    }
    if let Some(url) = &sources.flags.api_base_url {
        let _ = write!(
            options,
            " --api-base-url {}",
            output::quoted(Path::new(url))
        );
    }
    let program = config::folder_of_programs();
    let program = program.map_or_else(
        || PathBuf::from("refresh_token"),
        |folder| folder.join("refresh_token"),
    );
    Schedule {
        folder,
        program,
        options,
    }
}

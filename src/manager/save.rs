//! Saving what Webex has issued, as long as it takes.

use std::path::PathBuf;
use std::time::Duration;

use super::limits::Limits;
use crate::store::dotenv_text::{DotenvError, DotenvProblem};
use crate::store::json_text::JsonError;
use crate::store::{Place, StoreError};

/// How long a failed save waits before it is repeated.
const AGAIN: Duration = Duration::from_millis(250);

/// Why a file does not hold the tokens that were issued.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaveError {
    /// The disk did not take them.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The text of `.env` does not take them.
    #[error("{}:{}: {error}", .file.display(), .error.line)]
    Dotenv { file: PathBuf, error: DotenvError },
    /// The text of `token-config.json` does not take them.
    #[error("{}:{}: {error}", .file.display(), .error.line)]
    Json { file: PathBuf, error: JsonError },
}

impl SaveError {
    pub(super) fn dotenv(place: &Place, error: DotenvError) -> Self {
        let file = place.shown().to_owned();
        Self::Dotenv { file, error }
    }

    pub(super) fn json(place: &Place, error: JsonError) -> Self {
        let file = place.shown().to_owned();
        Self::Json { file, error }
    }

    /// Whether saving again cannot help. A disk may recover, and a person who is typing in the file
    /// finishes; what no notation carries stays so.
    fn is_final(&self) -> bool {
        match self {
            Self::Store(_) | Self::Json { .. } => false,
            Self::Dotenv { error, .. } => error.problem == DotenvProblem::Unwritable,
        }
    }
}

/// Saves, and saves again until it succeeds, cannot succeed, or the deadline passes. A signal does
/// not cut it.
pub(super) async fn persistently(
    limits: &Limits,
    mut save: impl FnMut() -> Result<(), SaveError>,
) -> Result<(), SaveError> {
    loop {
        let error = match save() {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        tracing::debug!(%error, "not saved");
        let left = limits
            .deadline
            .saturating_duration_since(tokio::time::Instant::now());
        if error.is_final() || left <= AGAIN {
            return Err(error);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

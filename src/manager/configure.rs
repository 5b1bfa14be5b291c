//! What is there to start from, and settings written into `token-config.json`.

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::files::ReadError;
use super::limits::Limits;
use super::repair;
use super::report::{Brought, Report};
use super::run::{Need, Run};
use super::save::SaveError;
use super::verdict::{self, End};
use crate::clock::Clock;
use crate::config::{Setting, Settings, Sources, Spelling};
use crate::store::json_text;

/// What the files and the settings amount to at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The settings, the command line's included.
    pub(crate) settings: Settings,
    /// `token-config.json`, as the user wrote it.
    pub(crate) config_file: String,
    /// `.env`, likewise.
    pub(crate) env_file: String,
    /// How `token-config.json` spells the integration.
    pub(crate) spelling: Spelling,
    /// Whether `.env` holds a token of the service app.
    pub(crate) has_tokens: bool,
    /// Whether any credential is stored with which a climb has something to do.
    pub(crate) has_credentials: bool,
    /// Since when `.env` says that a human is needed.
    pub(crate) needed_since: Option<Timestamp>,
}

/// Looks at what is there. Nothing is locked, asked or changed.
pub(crate) fn find(sources: &Sources, clock: &Clock) -> Result<Found, Box<Report>> {
    let limits = Limits::starting_now(Limits::DEFAULT, Limits::DEFAULT, super::Stop::never());
    let mut run = Run::new(sources, clock, Need::default(), limits);
    let found = run.read_only().and_then(|files| {
        files.require_readable_config()?;
        let tokens = &files.tokens;
        let is_refreshable = tokens.refresh_token.is_some() && files.settings.service_app.is_some();
        let since = tokens.reauthorization_required.as_ref();
        Ok(Found {
            spelling: files.spelling,
            has_tokens: tokens.access_token.is_some() || tokens.refresh_token.is_some(),
            has_credentials: tokens.access_token.is_some()
                || is_refreshable
                || files.has_way_to_mint(),
            needed_since: since.and_then(|since| since.parse().ok()),
            config_file: files.config_file(),
            env_file: files.env.shown().display().to_string(),
            settings: files.settings,
        })
    });
    found.map_err(|end| Box::new(verdict::report(run, &end)))
}

/// Writes these settings into `token-config.json`, all of them or none; what somebody should know
/// of comes with it.
pub(crate) async fn configure(
    sources: &Sources,
    clock: &Clock,
    values: &[(Setting, SecretString)],
    limits: Limits,
) -> Result<Brought<()>, Box<Report>> {
    let mut run = Run::new(sources, clock, Need::default(), limits);
    let written = write(&mut run, values).await;
    verdict::brought(run, written)
}

async fn write(run: &mut Run<'_>, values: &[(Setting, SecretString)]) -> Result<(), End> {
    let mut files = run.read_only()?;
    let config = files.config.clone().map_err(ReadError::Store)?;
    let lock = run.lock(&config).await?;
    repair::repair_config(run, &mut files, &config, &lock)?;
    files.require_readable_config()?;
    let mut text = config.read().map_err(ReadError::from)?.unwrap_or_default();
    for (setting, value) in values {
        if let Some(path) = setting.path(files.spelling) {
            text = json_text::set(&text, path, value.expose_secret())
                .map_err(|error| End::NotWritten(SaveError::json(&config, error)))?;
        }
    }
    let mut replacement = files
        .prepare_config(&config, &lock)
        .map_err(End::CannotSave)?;
    let committed = replacement.commit(text.as_bytes());
    let committed = committed.map_err(|error| End::NotWritten(error.into()))?;
    run.warn_of_access(&config, committed.others_lost_access);
    Ok(())
}

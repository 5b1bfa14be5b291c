//! What an earlier run left behind, finished under the lock before anything else.
//!
//! A copy that was cut short is completed; a token that could not be saved is taken from its
//! rescue file, if the file still holds what it was issued for.

use std::path::{Path, PathBuf};

use super::files::Files;
use super::integration;
use super::run::Run;
use super::save::SaveError;
use super::verdict::End;
use crate::config::PERSONAL_ACCESS_TOKEN_PATH;
use crate::store::{self, Committed, Flag, Place, Rescue, StoreError, StoreLock};
use crate::token::Fingerprint;

/// Repairs both files; `lock` is the one beside `.env`.
pub(super) async fn repair(run: &mut Run<'_>, lock: &StoreLock) -> Result<(), End> {
    let env = Place::resolve(&run.sources.env_file()).map_err(End::CannotSave)?;
    finish_copy(run, &env, lock)?;
    let mut files = run.read()?;
    if let Some((path, rescue)) = find(run, &env)? {
        let stored = files.tokens.fingerprints();
        let adoption = Adoption::of(&rescue, stored);
        if adoption == Adoption::Fits {
            let adopted = adopt_env(&mut files, &rescue, lock);
            conclude_saving(run, &env, &path, adopted)?;
        }
        conclude(run, adoption, &env, &path, lock);
    }
    let Ok(config) = files.config.clone() else {
        return Ok(());
    };
    if config.has_unfinished_business(run.sources.state_home().as_deref()) {
        let lock = run.lock(&config).await?;
        repair_config(run, &mut files, &config, &lock)?;
    }
    Ok(())
}

/// Repairs `token-config.json`, whose lock is held, and reads it again.
pub(super) fn repair_config(
    run: &mut Run<'_>,
    files: &mut Files,
    config: &Place,
    lock: &StoreLock,
) -> Result<(), End> {
    finish_copy(run, config, lock)?;
    files.read_config_again(run.sources)?;
    let Some((path, rescue)) = find(run, config)? else {
        return Ok(());
    };
    let adoption = Adoption::of(&rescue, integration::stored_pair(files));
    if adoption == Adoption::Fits {
        let adopted = adopt_config(files, config, &rescue, lock);
        conclude_saving(run, config, &path, adopted)?;
        files.read_config_again(run.sources)?;
    }
    conclude(run, adoption, config, &path, lock);
    Ok(())
}

fn find(run: &Run<'_>, place: &Place) -> Result<Option<(PathBuf, Rescue)>, End> {
    let state_home = run.sources.state_home();
    store::find_rescue(place, state_home.as_deref()).map_err(End::CannotSave)
}

fn conclude_saving(
    run: &mut Run<'_>,
    place: &Place,
    rescue: &Path,
    adopted: Result<Committed, SaveError>,
) -> Result<(), End> {
    let committed = adopted.map_err(|error| End::StillNotSaved {
        error,
        rescue: rescue.to_owned(),
    })?;
    run.warn_of_access(place, committed.others_lost_access);
    Ok(())
}

fn finish_copy(run: &mut Run<'_>, place: &Place, lock: &StoreLock) -> Result<(), End> {
    let recovered = store::recover(place, lock).map_err(End::CannotSave)?;
    if recovered.finished_copy {
        run.warnings.push(format!(
            "{}: finished writing what an earlier run had begun to write",
            place.shown().display()
        ));
    }
    Ok(())
}

/// How a rescued token relates to what the file holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adoption {
    /// The file holds what it was issued for.
    Fits,
    /// The file holds the rescued token already.
    Done,
    /// The file holds something else: somebody has been there since.
    Overtaken,
}

impl Adoption {
    /// `stored` is the pair that the file holds: access token and refresh token.
    fn of(rescue: &Rescue, stored: (Option<Fingerprint>, Option<Fingerprint>)) -> Self {
        let (access_token, refresh_token) = stored;
        let issued = &rescue.issued;
        let has_access_token = access_token.as_ref() == Some(&issued.access_token.fingerprint());
        let has_refresh_token = issued
            .refresh_token
            .as_ref()
            .is_none_or(|issued| refresh_token.as_ref() == Some(&issued.fingerprint()));
        if has_access_token && has_refresh_token {
            return Self::Done;
        }
        // Webex may issue the same access token again, with another refresh token.
        let fits_access_token = access_token == rescue.replaces_access_token || has_access_token;
        if fits_access_token && refresh_token == rescue.replaces_refresh_token {
            return Self::Fits;
        }
        Self::Overtaken
    }
}

fn adopt_env(files: &mut Files, rescue: &Rescue, lock: &StoreLock) -> Result<Committed, SaveError> {
    let issued = &rescue.issued;
    let text = files.env.read()?.unwrap_or_default();
    let text = store::dotenv_with(&text, Some(issued), &Flag::Down)
        .map_err(|error| SaveError::dotenv(&files.env, error))?;
    let committed = files.prepare_env(lock)?.commit(text.as_bytes())?;
    files.note_issued(issued);
    save_state(files.state.save(&files.env, lock));
    Ok(committed)
}

fn adopt_config(
    files: &mut Files,
    config: &Place,
    rescue: &Rescue,
    lock: &StoreLock,
) -> Result<Committed, SaveError> {
    let issued = &rescue.issued;
    let text = config.read()?.unwrap_or_default();
    let path = integration::refresh_token_path(files);
    let text = store::config_with(&text, issued, PERSONAL_ACCESS_TOKEN_PATH, path)
        .map_err(|error| SaveError::json(config, error))?;
    integration::note_upcoming(files, issued);
    save_state(files.config_state.save(config, lock));
    let mut replacement = files.prepare_config(config, lock)?;
    let committed = replacement.commit(text.as_bytes())?;
    integration::note_issued(files, issued, true);
    save_state(files.config_state.save(config, lock));
    Ok(committed)
}

fn conclude(run: &mut Run<'_>, adoption: Adoption, place: &Place, rescue: &Path, lock: &StoreLock) {
    let (file, path) = (place.shown().display(), rescue.display());
    run.warnings.push(match adoption {
        Adoption::Overtaken => {
            format!("{path} holds tokens that {file} has moved on from; delete it if you agree")
        }
        Adoption::Fits => format!("{file}: took the tokens that an earlier run left in {path}"),
        Adoption::Done => format!("{path} is no longer needed"),
    });
    if adoption != Adoption::Overtaken
        && let Err(error) = store::remove_rescue(rescue, lock)
    {
        run.warnings
            .push(format!("{path} cannot be removed: {error}"));
    }
}

/// What was spent is accounted for.
pub(super) fn close_intent(lock: &mut StoreLock) {
    if let Err(error) = lock.close_intent() {
        tracing::debug!(%error, "the intent stays open: the next run is careful for nothing");
    }
}

pub(super) fn save_state(saved: Result<(), StoreError>) {
    if let Err(error) = saved {
        tracing::debug!(%error, "the state is not saved: dates will be asked for again");
    }
}

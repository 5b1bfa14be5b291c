//! `WEBEX_REAUTHORIZATION_REQUIRED` in `.env`. Failing to write it changes no outcome.

use super::files::Files;
use super::run::Run;
use super::save::SaveError;
use super::verdict::End;
use crate::store::{self, Flag, Replacement, StoreLock};

/// Takes the flag down after a valid token was found, which took no lock so far.
pub(super) fn take_down(run: &mut Run<'_>, seen: &Files) {
    // Who holds the lock, if anybody does, will take it down.
    let lock = Run::try_lock(&seen.env).and_then(|lock| {
        store::recover(&seen.env, &lock).map_err(End::CannotSave)?;
        Ok(lock)
    });
    match lock {
        Ok(lock) => write(run, &mut seen.clone(), None, &lock, &Flag::Down),
        Err(end) => run.warnings.push(format!(
            "{} stays in {}: {end}",
            store::REAUTHORIZATION_KEY,
            seen.env.shown().display()
        )),
    }
}

/// Writes the flag as it should be; the time that stands there first stays.
pub(super) fn write(
    run: &mut Run<'_>,
    files: &mut Files,
    replacement: Option<Replacement>,
    lock: &StoreLock,
    flag: &Flag,
) {
    match try_write(files, replacement, lock, flag) {
        Ok(others_lost_access) => {
            files.tokens.reauthorization_required = flag.since().map(str::to_owned);
            run.warn_of_access(&files.env, others_lost_access);
        }
        Err(error) => run.warnings.push(format!(
            "{} is not up to date in {}: {error}",
            store::REAUTHORIZATION_KEY,
            files.env.shown().display()
        )),
    }
}

fn try_write(
    files: &Files,
    replacement: Option<Replacement>,
    lock: &StoreLock,
    flag: &Flag,
) -> Result<bool, SaveError> {
    let text = files.env.read()?.unwrap_or_default();
    let new = store::dotenv_with(&text, None, flag)
        .map_err(|error| SaveError::dotenv(&files.env, error))?;
    if new == text {
        return Ok(false);
    }
    let mut replacement = match replacement {
        Some(replacement) => replacement,
        None => files.prepare_env(lock)?,
    };
    Ok(replacement.commit(new.as_bytes())?.others_lost_access)
}

//! Rung 3: the integration's refresh token, and what it issues, in `token-config.json`.
//!
//! One integration may serve many `.env` files, so this locks beside the configuration file too,
//! always second, and reads again: what another run has renewed meanwhile is used as it is.

use jiff::Timestamp;

use super::files::{Files, life};
use super::repair;
use super::report::{Attempt, Step as Asked};
use super::run::{Cut, Run};
use super::save::{self, SaveError};
use super::verdict::End;
use crate::config::PERSONAL_ACCESS_TOKEN_PATH;
use crate::ladder::{Held, Outcome, Rung, Wait};
use crate::lifetime;
use crate::store::{
    self, Credential, Intent, OpenIntent, Place, Record, Replacement, Rescue, StoreLock,
};
use crate::token::{AccessToken, Fingerprint, Issued, RefreshToken};
use crate::webex::Grant;
use crate::webex::judge::{self, Question};

const INTEGRATION: Credential = Credential::IntegrationRefreshToken;

/// What there is of the integration's refresh token.
pub(super) fn held(files: &Files) -> Held {
    let Some(refresh_token) = refresh_token(files) else {
        return Held::Absent;
    };
    let (Ok(config), true) = (&files.config, files.settings.mint.is_some()) else {
        return Held::Absent;
    };
    let fingerprint = refresh_token.fingerprint();
    match store::peek_intent(config) {
        Some(intent) if is_open_for(&intent, &fingerprint) => Held::Doubtful,
        _ if is_dead(files) => Held::Dead,
        _ => Held::Ready,
    }
}

/// Whether Webex has refused the integration's refresh token.
pub(super) fn is_dead(files: &Files) -> bool {
    stored(files).is_some_and(|fingerprint| files.is_dead(INTEGRATION, &fingerprint))
}

/// Whether the intent names this refresh token. The personal access token does not count: it is
/// pasted in by hand now and then, and says nothing about what became of the refresh token.
fn is_open_for(intent: &OpenIntent, refresh_token: &Fingerprint) -> bool {
    match intent {
        OpenIntent::Known(intent) => intent.refresh_token.as_ref() == Some(refresh_token),
        OpenIntent::Unreadable => true,
    }
}

/// The fingerprint of the integration's refresh token that is in use.
pub(super) fn stored(files: &Files) -> Option<Fingerprint> {
    refresh_token(files).map(RefreshToken::fingerprint)
}

/// The pair that is in use: personal access token and the integration's refresh token.
pub(super) fn stored_pair(files: &Files) -> (Option<Fingerprint>, Option<Fingerprint>) {
    (personal_access_token(files), stored(files))
}

/// Where it stands in `token-config.json`: in the spelling that is in use.
pub(super) fn refresh_token_path(files: &Files) -> &'static [&'static str] {
    files.spelling.refresh_token_path()
}

fn refresh_token(files: &Files) -> Option<&RefreshToken> {
    let integration = files.settings.integration.as_ref()?;
    integration.refresh_token.as_ref().map(|token| &token.value)
}

fn personal_access_token(files: &Files) -> Option<Fingerprint> {
    let token = files.settings.personal_access_token.as_ref()?;
    Some(token.value.fingerprint())
}

/// Whether the integration's refresh token has gone unused for too long.
pub(super) fn wants_keep_alive(files: &Files, now: Timestamp) -> bool {
    let credential = Credential::IntegrationRefreshToken;
    let Some(refresh_token) = refresh_token(files) else {
        return false;
    };
    if held(files) != Held::Ready {
        return false;
    }
    let record = files.record(credential, &refresh_token.fingerprint());
    let mut life = life(record);
    if let Some(last_used) = record.and_then(|record| record.last_used) {
        life.known_since = Some(last_used);
    }
    lifetime::wants_keep_alive(life, now)
        && !lifetime::within_a_day(files.state.keep_alive_at(credential), now)
}

/// Renews the integration, saves what it issued, and returns the access token to mint with.
pub(super) async fn renew(
    run: &mut Run<'_>,
    files: &mut Files,
    step: Asked,
    wait: Wait,
) -> Result<(Outcome, Option<AccessToken>), End> {
    let not_sent = |run: &mut Run<'_>, outcome, why: String| {
        run.note(Attempt::not_sent(step, outcome, why));
        Ok((outcome, None))
    };
    let config = match &files.config {
        Ok(config) => config.clone(),
        Err(error) => return not_sent(run, Outcome::Unsaveable, error.to_string()),
    };
    let mut lock = match lock(run, &config, step).await {
        Ok(lock) => lock,
        Err((outcome, why)) => return not_sent(run, outcome, why),
    };
    let before = personal_access_token(files);
    match repair::repair_config(run, files, &config, &lock) {
        Err(end @ (End::CannotSave(_) | End::StillNotSaved { .. })) => {
            return not_sent(run, Outcome::Unsaveable, end.to_string());
        }
        repaired => repaired?,
    }
    if let Err(end) = files.require_settings() {
        return not_sent(run, Outcome::Misconfigured, end.to_string());
    }
    if before != personal_access_token(files) && personal_access_token(files).is_some() {
        let token = files.settings.personal_access_token.clone();
        run.note(Attempt::not_sent(
            step,
            Outcome::Issued,
            "another run has just renewed it".to_owned(),
        ));
        return Ok((Outcome::Issued, token.map(|token| token.value)));
    }
    let Some((client, refresh_token)) = files
        .settings
        .integration
        .clone()
        .and_then(|client| Some((client.clone(), client.refresh_token?)))
    else {
        return not_sent(run, Outcome::Rejected, "it is no longer there".to_owned());
    };
    let replacement = match files.prepare_config(&config, &lock) {
        Ok(replacement) => replacement,
        Err(error) => return not_sent(run, Outcome::Unsaveable, error.to_string()),
    };
    let spent = refresh_token.value.fingerprint();
    let was_lost = warn_of_lost_answer(run, &config, &lock, &spent);
    lock.record_intent(&Intent {
        rung: Rung::IntegrationRefreshToken.name().to_owned(),
        at: run.clock.now(),
        pid: std::process::id(),
        access_token: before,
        refresh_token: Some(spent),
    })
    .map_err(End::CannotSave)?;
    let prepared = run.client().grant(Grant {
        client_id: &client.client_id,
        client_secret: &client.client_secret,
        refresh_token: &refresh_token.value,
    });
    let (outcome, issued) = run
        .ask(step, wait, prepared, Cut::Never, |exchange, now| {
            judge::judge_tokens(Question::Grant, exchange, now)
        })
        .await;
    if outcome == Outcome::Rejected && run.last_was_a_dead_credential() {
        let now = run.clock.now();
        let fingerprint = refresh_token.value.fingerprint();
        let record = files
            .config_state
            .record_mut(INTEGRATION, &fingerprint, now);
        record.is_dead = true;
        repair::save_state(files.config_state.save(&config, &lock));
    }
    let saved = match issued {
        Some(issued) => {
            run.keep_closed(&issued);
            let access_token = issued.access_token.clone();
            let saving = Saving {
                run,
                files,
                config: &config,
                lock: &lock,
                replacement: Some(replacement),
                renews: true,
            };
            saving.save(issued).await.map(|()| Some(access_token))
        }
        None => Ok(None),
    };
    let is_lost = match (&saved, outcome) {
        (Err(end), _) => !end.is_rescued(),
        (Ok(_), Outcome::Doubtful) => true,
        (Ok(_), Outcome::Issued | Outcome::Rejected) => false,
        (Ok(_), _) => was_lost,
    };
    if !is_lost {
        repair::close_intent(&mut lock);
    }
    Ok((outcome, saved?))
}

/// Locks beside `token-config.json`, or says why that did not come about.
async fn lock(run: &Run<'_>, config: &Place, step: Asked) -> Result<StoreLock, (Outcome, String)> {
    // What is only a precaution waits for nobody.
    let lock = match step {
        Asked::KeepAlive => Run::try_lock(config),
        _ => run.lock(config).await,
    };
    lock.map_err(|end| match end {
        End::Locked { .. } => (Outcome::GivenUp, end.to_string()),
        _ => (Outcome::Unsaveable, end.to_string()),
    })
}

/// What is said of an answer that an earlier run has lost.
pub(super) fn lost_answer(config: &Place) -> String {
    format!(
        "{}: an earlier run ended before the integration's answer was saved; its refresh token may \
         be spent and is tried last; `setup_oauth --reauthorize` brings a new one",
        config.shown().display()
    )
}

fn warn_of_lost_answer(
    run: &mut Run<'_>,
    config: &Place,
    lock: &StoreLock,
    spent: &Fingerprint,
) -> bool {
    let intent = lock.open_intent().ok().flatten();
    let was_lost = intent.is_some_and(|intent| is_open_for(&intent, spent));
    if was_lost {
        run.warn_once(lost_answer(config));
    }
    was_lost
}

/// The save of what the integration issued.
pub(super) struct Saving<'s, 'a> {
    pub(super) run: &'s mut Run<'a>,
    pub(super) files: &'s mut Files,
    pub(super) config: &'s Place,
    pub(super) lock: &'s StoreLock,
    pub(super) replacement: Option<Replacement>,
    /// Whether the stored refresh token was what was spent: then it stays, if no new one came.
    pub(super) renews: bool,
}

impl Saving<'_, '_> {
    pub(super) async fn save(mut self, issued: Issued) -> Result<(), End> {
        let limits = self.run.limits.clone();
        note_upcoming(self.files, &issued);
        repair::save_state(self.files.config_state.save(self.config, self.lock));
        let Err(error) = save::persistently(&limits, || self.write(&issued)).await else {
            note_issued(self.files, &issued, self.renews);
            repair::save_state(self.files.config_state.save(self.config, self.lock));
            return Ok(());
        };
        self.replacement = None;
        let rescue = Rescue {
            rung: Rung::IntegrationRefreshToken.name().to_owned(),
            replaces_access_token: personal_access_token(self.files),
            replaces_refresh_token: stored(self.files),
            issued,
        };
        Err(End::not_saved(
            self.run,
            self.config,
            self.lock,
            &rescue,
            error,
        ))
    }

    fn write(&mut self, issued: &Issued) -> Result<(), SaveError> {
        let text = self.config.read()?.unwrap_or_default();
        let path = refresh_token_path(self.files);
        self.warn_of_changes(&text, issued, path);
        let text = store::config_with(&text, issued, PERSONAL_ACCESS_TOKEN_PATH, path)
            .map_err(|error| SaveError::json(self.config, error))?;
        let mut replacement = match self.replacement.take() {
            Some(replacement) => replacement,
            None => self.files.prepare_config(self.config, self.lock)?,
        };
        let committed = replacement.commit(text.as_bytes());
        if committed.is_err() {
            // The room that it has taken is needed again.
            self.replacement = Some(replacement);
        }
        self.run
            .warn_of_access(self.config, committed?.others_lost_access);
        Ok(())
    }

    /// Names what a person has changed since the file was read under the lock.
    fn warn_of_changes(&mut self, text: &str, issued: &Issued, path: &'static [&'static str]) {
        let paths = [PERSONAL_ACCESS_TOKEN_PATH, path];
        let ours = [
            Some(issued.access_token.fingerprint()),
            issued.refresh_token.as_ref().map(RefreshToken::fingerprint),
        ];
        let now = store::config_fingerprints(text, paths);
        let before = &self.files.config_fingerprints;
        for (index, path) in paths.into_iter().enumerate() {
            if now[index] != before[index] && now[index] != ours[index] && ours[index].is_some() {
                self.run.warn_once(format!(
                    "{}: {} was changed by hand during this run; it now holds the token that \
                     Webex has just issued",
                    self.config.shown().display(),
                    path.join(".")
                ));
            }
        }
    }
}

/// The seeds that are in use, if any.
fn seeds(files: &Files) -> impl Iterator<Item = (Credential, Fingerprint)> {
    let settings = &files.settings;
    let integration = settings.integration.as_ref();
    let refresh_token = integration.and_then(|integration| integration.refresh_token.as_ref());
    let pat = settings.personal_access_token.as_ref();
    let pat = pat.and_then(|token| token.seed.clone());
    let refresh_token = refresh_token.and_then(|token| token.seed.clone());
    [
        pat.map(|seed| (Credential::PersonalAccessToken, seed)),
        refresh_token.map(|seed| (Credential::IntegrationRefreshToken, seed)),
    ]
    .into_iter()
    .flatten()
}

/// Remembers, before the file holds it, which seeds the file is about to replace.
pub(super) fn note_upcoming(files: &mut Files, issued: &Issued) {
    let seeds: Vec<_> = seeds(files).collect();
    let refresh_token = issued.refresh_token.as_ref();
    let saved = std::iter::once(issued.access_token.fingerprint())
        .chain(refresh_token.map(RefreshToken::fingerprint));
    files.config_state.set_upcoming(seeds, saved.collect());
}

/// Remembers dates of what the integration issued, and the seeds that it replaces.
pub(super) fn note_issued(files: &mut Files, issued: &Issued, renews: bool) {
    let spent = refresh_token(files).filter(|_| renews);
    let stays = issued.refresh_token.as_ref().or(spent);
    let mut record = stays.map(|stays| {
        let lasts = issued.refresh_token_expires_in;
        Record::issued(stays.fingerprint(), issued.issued_at, lasts)
    });
    let state = &mut files.config_state;
    state.settle_upcoming(&[Some(issued.access_token.fingerprint())]);
    state.set_record(
        Credential::PersonalAccessToken,
        Record::issued(
            issued.access_token.fingerprint(),
            issued.issued_at,
            issued.expires_in,
        ),
    );
    if let Some(record) = &mut record {
        record.last_used = Some(issued.issued_at);
        state.set_record(Credential::IntegrationRefreshToken, record.clone());
    }
}

//! The user's two files and our state beside them, read together and understood.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::config_text::config_layer;
use super::integration;
use super::verdict::End;
use crate::config::{
    ConfigLayer, DotenvLayer, PERSONAL_ACCESS_TOKEN_PATH, Problem, Proxies, Seeds, Settings,
    Sources, Spelling,
};
use crate::ladder::Held;
use crate::lifetime::Life;
use crate::store::dotenv_text::{self, DotenvError};
use crate::store::{
    self, Credential, Intent, OpenIntent, Place, Record, Replacement, State, StoreError, StoreLock,
    StoredTokens,
};
use crate::token::{AccessToken, Fingerprint, Issued, RefreshToken};
use crate::webex::Connection;

/// What stands for the rung in an intent while the service app's refresh token is in doubt.
pub(super) const IN_DOUBT: &str = "in_doubt";

/// How many bytes a file may grow by when tokens go in: far more than Webex's ever take.
const ROOM_TO_GROW: usize = 16 * 1024;

/// How much later a refresh token must expire to count as extended: replies are seconds apart.
const EXTENDED_BY: SignedDuration = SignedDuration::from_hours(1);

/// Everything that is true of the files at one moment.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) env: Place,
    pub(super) config: Result<Place, Arc<StoreError>>,
    pub(super) tokens: StoredTokens,
    pub(super) settings: Settings,
    /// Beside `.env`.
    pub(super) state: State,
    /// Beside `token-config.json`: dates of what the integration issued, and of its refresh token.
    pub(super) config_state: State,
    /// Why `token-config.json` could not be read at all.
    config_unreadable: Option<Arc<StoreError>>,
    config_file: PathBuf,
    /// How `token-config.json` spells the integration.
    pub(super) spelling: Spelling,
    /// What `token-config.json` holds where the integration's tokens go.
    pub(super) config_fingerprints: [Option<Fingerprint>; 2],
    state_home: Option<PathBuf>,
    env_size: usize,
    config_size: usize,
}

/// A `.env` that cannot be read or understood.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Store(Arc<StoreError>),
    #[error("{}:{}: {error}", .file.display(), .error.line)]
    Dotenv { file: PathBuf, error: DotenvError },
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl Files {
    /// Reads what is there, with or without a lock.
    pub(super) fn read(sources: &Sources) -> Result<Self, ReadError> {
        Self::read_by(sources, Place::read)
    }

    /// The same for a reader that finishes nothing: where new contents are on their way into a
    /// file, which may be torn, they count.
    pub(super) fn read_only(sources: &Sources) -> Result<Self, ReadError> {
        Self::read_by(sources, Place::read_whole)
    }

    fn read_by(
        sources: &Sources,
        read: impl Fn(&Place) -> Result<Option<String>, StoreError>,
    ) -> Result<Self, ReadError> {
        let env = Place::resolve(&sources.env_file())?;
        let env_text = read(&env)?.unwrap_or_default();
        let dotenv_error = |error| ReadError::Dotenv {
            file: env.shown().to_owned(),
            error,
        };
        dotenv_text::check(&env_text).map_err(dotenv_error)?;
        let tokens = StoredTokens::in_text(&env_text).map_err(dotenv_error)?;
        let variables = dotenv_text::values(&env_text).map_err(dotenv_error)?;
        let dotenv = DotenvLayer::new(env.shown(), &variables, |key| {
            dotenv_text::line_of(&env_text, key)
        });

        let config_file = sources.config_file(&dotenv);
        let config = Place::resolve(&config_file).map_err(Arc::new);
        let (config_text, config_unreadable) = match config.as_ref().map(read) {
            Ok(Ok(text)) => (text, None),
            Ok(Err(error)) => (None, Some(Arc::new(error))),
            Err(error) => (None, Some(Arc::clone(error))),
        };
        let layer = match &config_text {
            Some(text) => config_layer(&config_file, text),
            None => ConfigLayer::absent(&config_file),
        };
        let mut config_state = config.as_ref().map(State::load).unwrap_or_default();
        let config_fingerprints = store::config_fingerprints(
            config_text.as_deref().unwrap_or_default(),
            [
                PERSONAL_ACCESS_TOKEN_PATH,
                layer.spelling().refresh_token_path(),
            ],
        );
        config_state.settle_upcoming(&config_fingerprints);
        let seeds = Seeds {
            personal_access_token: config_state.seed(Credential::PersonalAccessToken).cloned(),
            integration_refresh_token: config_state
                .seed(Credential::IntegrationRefreshToken)
                .cloned(),
        };
        Ok(Self {
            settings: sources.resolve(&dotenv, &layer, &seeds),
            state: State::load(&env),
            env_size: env_text.len(),
            config_size: config_text.map_or(0, |text| text.len()),
            state_home: sources.state_home(),
            config_file,
            spelling: layer.spelling(),
            config_fingerprints,
            config,
            config_unreadable,
            config_state,
            tokens,
            env,
        })
    }

    /// Sees to it that what was read survives a power cut, where an intent is open: who has renamed
    /// the file may have died before that was synced. A failure changes nothing of what was read.
    pub(super) fn make_safe(&self) {
        for place in [Some(&self.env), self.config.as_ref().ok()] {
            if let Some(place) = place
                && store::peek_intent(place).is_some()
                && let Err(error) = place.sync_name()
            {
                tracing::debug!(%error, "the file's name is not known to be safe");
            }
        }
    }

    /// Every secret that the files and the settings hold.
    pub(super) fn secrets(&self) -> impl Iterator<Item = SecretString> {
        let (tokens, settings) = (&self.tokens, &self.settings);
        let app = settings.service_app.as_ref();
        let integration = settings.integration.as_ref();
        let pat = settings.personal_access_token.as_ref();
        let renewing = integration.and_then(|integration| integration.refresh_token.as_ref());
        [
            tokens.access_token.as_ref().map(AccessToken::closed),
            tokens.refresh_token.as_ref().map(RefreshToken::closed),
            app.map(|app| app.client_secret.closed()),
            pat.map(|token| token.value.closed()),
            integration.map(|integration| integration.client_secret.closed()),
            renewing.map(|token| token.value.closed()),
        ]
        .into_iter()
        .flatten()
    }

    /// The same again, for the settings alone: what `token-config.json` says now.
    pub(super) fn read_config_again(&mut self, sources: &Sources) -> Result<(), ReadError> {
        let now = Self::read(sources)?;
        *self = Self {
            env: self.env.clone(),
            env_size: self.env_size,
            state: std::mem::take(&mut self.state),
            tokens: std::mem::take(&mut self.tokens),
            ..now
        };
        Ok(())
    }

    /// `token-config.json`, as the user wrote it.
    pub(super) fn config_file(&self) -> String {
        self.config_file.display().to_string()
    }

    /// What is wrong with the settings, as text.
    pub(super) fn problems(&self) -> Vec<String> {
        let unreadable = self.config_unreadable.as_deref();
        let unreadable = unreadable.map(ToString::to_string);
        let problems = self.settings.problems.iter().map(Problem::to_string);
        unreadable.into_iter().chain(problems).collect()
    }

    /// `token-config.json`, which may be absent, but not withhold what it says.
    pub(super) fn require_readable_config(&self) -> Result<(), End> {
        match &self.config_unreadable {
            Some(error) => Err(End::Unreadable(ReadError::Store(Arc::clone(error)))),
            None => Ok(()),
        }
    }

    /// The settings, which a climb needs without a problem.
    pub(super) fn require_settings(&self) -> Result<(), End> {
        self.require_readable_config()?;
        match self.problems() {
            problems if problems.is_empty() => Ok(()),
            problems => Err(End::Settings(problems)),
        }
    }

    /// Whether `token-config.json` is being written over, and what was read of it may be torn.
    pub(super) fn config_is_pending(&self) -> bool {
        self.config.as_ref().is_ok_and(Place::is_pending)
    }

    /// How to reach Webex.
    pub(super) fn connection(&self, sources: &Sources) -> Result<Connection, Vec<Problem>> {
        let api = self.settings.api.as_ref();
        let api = api.map_err(|problem| vec![problem.clone()])?;
        let proxies = if self.settings.leave_this_machine() {
            sources.proxies().map_err(|problem| vec![problem])?
        } else {
            Proxies::default()
        };
        let token_endpoint = self.settings.token_endpoint.as_ref();
        let trust = sources.trust();
        Ok(Connection {
            base_url: api.url().clone(),
            token_url: token_endpoint.map(|endpoint| endpoint.url().clone()),
            proxy: proxies.https,
            no_proxy: proxies.no_proxy,
            certificate_file: trust.ssl_cert_file,
            certificate_dirs: trust.ssl_cert_dirs,
        })
    }

    /// Whether an earlier run has left something that must be finished under a lock.
    pub(super) fn have_unfinished_business(&self) -> bool {
        let state_home = self.state_home.as_deref();
        let config = self.config.as_ref().ok();
        self.env.has_unfinished_business(state_home)
            || config.is_some_and(|config| config.has_unfinished_business(state_home))
    }

    /// Whether there is anything to mint with.
    pub(super) fn has_way_to_mint(&self) -> bool {
        let settings = &self.settings;
        let integration = settings.integration.as_ref();
        settings.mint.is_some()
            && (settings.personal_access_token.is_some()
                || integration.is_some_and(|integration| integration.refresh_token.is_some()))
    }

    /// Whether all readers would agree on `.env` after our keys in it are changed.
    pub(super) fn require_editable_env(&self) -> Result<(), ReadError> {
        let text = self.env.read()?.unwrap_or_default();
        store::check_dotenv(&text).map_err(|error| {
            let file = self.env.shown().to_owned();
            ReadError::Dotenv { file, error }
        })
    }

    /// Everything that a replacement of `.env` needs, taken before anything is spent.
    pub(super) fn prepare_env(&self, lock: &StoreLock) -> Result<Replacement, StoreError> {
        Replacement::prepare(&self.env, self.env_size + ROOM_TO_GROW, lock)
    }

    /// The same for `token-config.json`.
    pub(super) fn prepare_config(
        &self,
        config: &Place,
        lock: &StoreLock,
    ) -> Result<Replacement, StoreError> {
        Replacement::prepare(config, self.config_size + ROOM_TO_GROW, lock)
    }

    /// The fingerprint of the stored access token.
    pub(super) fn access_token(&self) -> Option<Fingerprint> {
        self.tokens
            .access_token
            .as_ref()
            .map(AccessToken::fingerprint)
    }

    /// When the stored access token was issued, where this program was there.
    pub(super) fn access_token_issued_at(&self) -> Option<Timestamp> {
        let record = self
            .state
            .record(Credential::ServiceAppAccessToken, &self.access_token()?);
        record.and_then(|record| record.issued_at)
    }

    /// What is known of the life of the secret with this fingerprint.
    pub(super) fn life(&self, credential: Credential, fingerprint: &Fingerprint) -> Life {
        life(self.record(credential, fingerprint))
    }

    /// The record of the secret with this fingerprint, wherever it is kept.
    pub(super) fn record(
        &self,
        credential: Credential,
        fingerprint: &Fingerprint,
    ) -> Option<&Record> {
        let beside_config = self.config_state.record(credential, fingerprint);
        beside_config.or_else(|| self.state.record(credential, fingerprint))
    }

    /// Whether Webex has refused the refresh token with this fingerprint.
    pub(super) fn is_dead(&self, credential: Credential, fingerprint: &Fingerprint) -> bool {
        let record = self.record(credential, fingerprint);
        record.is_some_and(|record| record.is_dead)
    }

    /// Who ended before an answer was saved, if this intent is about the pair that is stored.
    pub(super) fn who_lost(&self, intent: &OpenIntent) -> Option<String> {
        match intent {
            OpenIntent::Known(intent) if !self.is_about_these(intent) => None,
            OpenIntent::Known(intent) => Some(format!(
                "an earlier run (process {}, {}) ended before its answer was saved",
                intent.pid, intent.at
            )),
            OpenIntent::Unreadable => {
                Some("an earlier run ended before its answer was saved".to_owned())
            }
        }
    }

    /// Whether the intent is about the pair that is stored. What was in doubt before that run stays so
    /// with another access token: a mint may bring no refresh token.
    fn is_about_these(&self, intent: &Intent) -> bool {
        if intent.rung == IN_DOUBT {
            let refresh_token = self.tokens.refresh_token.as_ref();
            refresh_token.map(RefreshToken::fingerprint) == intent.refresh_token
        } else {
            self.tokens.are_those_of(intent)
        }
    }

    /// Whether the service app's refresh token was sent by a run that has not saved what became of
    /// it, be that run dead or under way.
    pub(super) fn may_be_spent(&self) -> bool {
        let intent = store::peek_intent(&self.env);
        intent.is_some_and(|intent| self.who_lost(&intent).is_some())
    }

    /// Which answers an earlier run has lost, in words.
    pub(super) fn lost_answers(&self) -> impl Iterator<Item = String> {
        self.lost_grant().into_iter().chain(self.lost_renewal())
    }

    /// An answer for the service app that a dead run has lost, if there is one, in words.
    pub(super) fn lost_grant(&self) -> Option<String> {
        let open = || self.who_lost(&store::peek_intent(&self.env)?);
        let who = abandoned(&self.env, open)?;
        Some(who + "; the refresh token may be spent")
    }

    /// The same for the integration.
    pub(super) fn lost_renewal(&self) -> Option<String> {
        let config = self.config.as_ref().ok()?;
        let open = || (integration::held(self) == Held::Doubtful).then_some(());
        abandoned(config, open).map(|()| integration::lost_answer(config))
    }

    /// Remembers what was just saved in `.env`.
    pub(super) fn note_issued(&mut self, issued: &Issued) {
        let access_token = Record::issued(
            issued.access_token.fingerprint(),
            issued.issued_at,
            issued.expires_in,
        );
        self.state
            .set_record(Credential::ServiceAppAccessToken, access_token);
        let (record, extended) = self.refresh_token_record(issued);
        if let Some(record) = record {
            self.state
                .set_record(Credential::ServiceAppRefreshToken, record);
        }
        self.state.set_refresh_extended(extended);
        self.tokens.access_token = Some(issued.access_token.clone());
        if let Some(refresh_token) = &issued.refresh_token {
            self.tokens.refresh_token = Some(refresh_token.clone());
        }
        self.tokens.reauthorization_required = None;
    }

    /// The record of the refresh token after a grant or a mint, and whether its life was extended.
    ///
    /// A life that was not extended keeps its beginning, so that a tenth of it stays a tenth.
    fn refresh_token_record(&self, issued: &Issued) -> (Option<Record>, Option<bool>) {
        let credential = Credential::ServiceAppRefreshToken;
        let before = self.tokens.refresh_token.as_ref();
        let before = before.and_then(|token| self.state.record(credential, &token.fingerprint()));
        let stays = issued
            .refresh_token
            .as_ref()
            .or(self.tokens.refresh_token.as_ref());
        let Some(fingerprint) = stays.map(RefreshToken::fingerprint) else {
            return (None, None);
        };
        let mut record = Record::issued(
            fingerprint,
            issued.issued_at,
            issued.refresh_token_expires_in,
        );
        record.last_used = Some(issued.issued_at);
        let Some(before) = before else {
            return (Some(record), None);
        };
        record.first_seen = before.first_seen;
        // A mint may bring none, and shows nothing of the one that Webex has refused.
        record.is_dead = before.is_dead && issued.refresh_token.is_none();
        let (old_end, new_end) = (before.expiry(), record.expiry());
        match (old_end, new_end, before.issued_at) {
            (Some(old), Some(new), _) if new.duration_since(old) >= EXTENDED_BY => {
                (Some(record), Some(true))
            }
            (Some(_), Some(new), Some(begun)) => {
                record.issued_at = Some(begun);
                record.expires_in = Some(new.duration_since(begun));
                (Some(record), Some(false))
            }
            (Some(_), None, _) => {
                record.issued_at = before.issued_at;
                record.expires_in = before.expires_in;
                (Some(record), self.state.refresh_extended())
            }
            _ => (Some(record), None),
        }
    }

    /// Remembers when this program first saw each credential; `true` if that is news.
    pub(super) fn note_seen(&mut self, now: Timestamp) -> bool {
        let integration = self.settings.integration.as_ref();
        let seen = [
            (
                Credential::ServiceAppAccessToken,
                self.tokens
                    .access_token
                    .as_ref()
                    .map(AccessToken::fingerprint),
            ),
            (
                Credential::ServiceAppRefreshToken,
                self.tokens
                    .refresh_token
                    .as_ref()
                    .map(RefreshToken::fingerprint),
            ),
            (
                Credential::PersonalAccessToken,
                self.settings
                    .personal_access_token
                    .as_ref()
                    .map(|token| token.value.fingerprint()),
            ),
            (
                Credential::IntegrationRefreshToken,
                integration
                    .and_then(|integration| integration.refresh_token.as_ref())
                    .map(|token| token.value.fingerprint()),
            ),
        ];
        let mut news = false;
        for (credential, fingerprint) in seen {
            let Some(fingerprint) = fingerprint else {
                continue;
            };
            if self.record(credential, &fingerprint).is_none() {
                self.state
                    .set_record(credential, Record::seen(fingerprint, now));
                news = true;
            }
        }
        news
    }
}

/// A record as the policy of [`crate::lifetime`] wants it.
pub(super) fn life(record: Option<&Record>) -> Life {
    record.map_or_else(Life::default, |record| Life {
        expires_at: record.expiry(),
        lifetime: record.issued_at.and(record.expires_in),
        known_since: Some(record.first_seen),
    })
}

/// What is open beside `place`, if nobody is at it: whoever holds the lock may still close it, and may
/// have done so between two looks.
fn abandoned<T: PartialEq>(place: &Place, open: impl Fn() -> Option<T>) -> Option<T> {
    let before = open()?;
    if store::is_locked(place) {
        return None;
    }
    open().filter(|now| *now == before)
}

/// The fingerprint of the access token that `.env` holds now, if it can be read.
pub(super) fn stored_access_token(sources: &Sources) -> Option<Fingerprint> {
    let env = Place::resolve(&sources.env_file()).ok()?;
    let tokens = StoredTokens::in_text(&env.read().ok()??).ok()?;
    tokens.access_token.as_ref().map(AccessToken::fingerprint)
}

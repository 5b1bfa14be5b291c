//! `<name>.state.json`: what is known of the stored tokens, without the tokens.
//!
//! Dates and fingerprints, no secret. A date counts only for the token whose fingerprint it was
//! stored with, so that a token pasted in by hand is simply unknown. Losing the file costs only
//! precision: whatever cannot be read is as good as absent, and nothing here is synced.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::disk::{self, Temp};
use super::{MAX_FILE_SIZE, Place, StoreError, StoreLock};
use crate::token::Fingerprint;

const VERSION: u32 = 1;

/// Which of the stored credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Credential {
    /// The service app's access token, in `.env`.
    ServiceAppAccessToken,
    /// The service app's refresh token, in `.env`.
    ServiceAppRefreshToken,
    /// The personal access token, in `token-config.json`.
    PersonalAccessToken,
    /// The integration's refresh token, in `token-config.json`.
    IntegrationRefreshToken,
}

impl Credential {
    /// All of them, in the order of the ladder.
    pub const ALL: [Self; 4] = [
        Self::ServiceAppAccessToken,
        Self::ServiceAppRefreshToken,
        Self::PersonalAccessToken,
        Self::IntegrationRefreshToken,
    ];

    /// Its name in the state file and in machine-readable output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceAppAccessToken => "service_app_access_token",
            Self::ServiceAppRefreshToken => "service_app_refresh_token",
            Self::PersonalAccessToken => "personal_access_token",
            Self::IntegrationRefreshToken => "integration_refresh_token",
        }
    }
}

/// What is known of one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The token all of this is about.
    pub fingerprint: Fingerprint,
    /// When Webex issued it, where this program was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// How long it lives from then on, from the reply; to the second.
    #[serde(
        default,
        with = "whole_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_in: Option<SignedDuration>,
    /// When it expires, as Webex said when asked; counts where the two above are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When this program first saw it.
    pub first_seen: Timestamp,
    /// When this program last spent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    /// Webex has said that it is good no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_dead: bool,
    /// What a later version added.
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Record {
    /// A token of which nothing is known but that it is there.
    #[must_use]
    pub fn seen(fingerprint: Fingerprint, now: Timestamp) -> Self {
        Self {
            fingerprint,
            issued_at: None,
            expires_in: None,
            expires_at: None,
            first_seen: now,
            last_used: None,
            is_dead: false,
            others: Map::new(),
        }
    }

    /// A token that Webex just issued.
    #[must_use]
    pub fn issued(
        fingerprint: Fingerprint,
        issued_at: Timestamp,
        expires_in: Option<SignedDuration>,
    ) -> Self {
        Self {
            issued_at: Some(issued_at),
            expires_in,
            ..Self::seen(fingerprint, issued_at)
        }
    }

    /// When the token expires, from its reply or else from what Webex said when asked.
    #[must_use]
    pub fn expiry(&self) -> Option<Timestamp> {
        match (self.issued_at, self.expires_in) {
            (Some(issued_at), Some(expires_in)) => issued_at.checked_add(expires_in).ok(),
            (None, _) | (_, None) => self.expires_at,
        }
    }
}

/// A freshly issued token that Webex refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    fingerprint: Fingerprint,
    at: Timestamp,
}

/// Seeds that are about to be replaced, noted before the file that replaces them: it counts once
/// that file holds any of `saved`, and so a crash between the two loses nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Upcoming {
    seeds: BTreeMap<String, Fingerprint>,
    saved: Vec<Fingerprint>,
}

/// What is known of all credentials of one `.env`.
///
/// What a later version of this program added is kept, as long as it still calls itself version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    #[serde(default)]
    credentials: BTreeMap<String, Record>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    seeds: BTreeMap<String, Fingerprint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upcoming: Option<Upcoming>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    keep_alive_at: BTreeMap<String, Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_extended: Option<bool>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: VERSION,
            credentials: BTreeMap::new(),
            refused: None,
            seeds: BTreeMap::new(),
            upcoming: None,
            keep_alive_at: BTreeMap::new(),
            refresh_extended: None,
            others: Map::new(),
        }
    }
}

impl State {
    /// Reads the state beside `place`; empty where it is missing, unreadable, damaged, or another
    /// version's.
    #[must_use]
    pub fn load(place: &Place) -> Self {
        disk::read_own(&place.state_file(), MAX_FILE_SIZE as u64)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .filter(|state: &Self| state.version == VERSION)
            .unwrap_or_default()
    }

    /// Writes the state beside `place`, readable by its owner alone. Whole, but not synced.
    ///
    /// # Errors
    ///
    /// It cannot be written; the old one stays. No more than precision is lost.
    pub fn save(&self, place: &Place, lock: &StoreLock) -> Result<(), StoreError> {
        debug_assert_eq!(lock.path(), place.lock_file(), "the lock of another place");
        let path = place.state_file();
        let write = || {
            let contents = serde_json::to_vec_pretty(self)?;
            let mut temp = Temp::create(place.folder(), &place.temp_prefix())?;
            place.give_to_owner(temp.file());
            disk::write_at(temp.file(), &contents, 0)?;
            temp.rename_to(&path)
        };
        write().map_err(|source| StoreError::CannotSave {
            path: path.clone(),
            source,
        })
    }

    /// What is known of `credential`, if it still is the token with this fingerprint.
    #[must_use]
    pub fn record(&self, credential: Credential, fingerprint: &Fingerprint) -> Option<&Record> {
        self.credentials
            .get(credential.name())
            .filter(|record| record.fingerprint == *fingerprint)
    }

    /// The record of `credential`, to be changed; a new one where this token was not known.
    pub fn record_mut(
        &mut self,
        credential: Credential,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> &mut Record {
        let record = self
            .credentials
            .entry(credential.name().to_owned())
            .or_insert_with(|| Record::seen(fingerprint.clone(), now));
        if record.fingerprint != *fingerprint {
            *record = Record::seen(fingerprint.clone(), now);
        }
        record
    }

    /// Replaces what is known of `credential`.
    pub fn set_record(&mut self, credential: Credential, record: Record) {
        self.credentials
            .insert(credential.name().to_owned(), record);
    }

    /// When the token with this fingerprint was refused although it was freshly issued.
    #[must_use]
    pub fn refused_at(&self, fingerprint: &Fingerprint) -> Option<Timestamp> {
        self.refused
            .as_ref()
            .filter(|refused| refused.fingerprint == *fingerprint)
            .map(|refused| refused.at)
    }

    /// Notes that a freshly issued token was refused.
    pub fn set_refused(&mut self, fingerprint: Fingerprint, at: Timestamp) {
        self.refused = Some(Refused { fingerprint, at });
    }

    /// The environment's seed for which the saved value of `credential` was issued.
    #[must_use]
    pub fn seed(&self, credential: Credential) -> Option<&Fingerprint> {
        self.seeds.get(credential.name())
    }

    /// Notes the seed for which the saved value of `credential` was issued; `None`: for none.
    pub fn set_seed(&mut self, credential: Credential, seed: Option<Fingerprint>) {
        let name = credential.name();
        match seed {
            Some(seed) => _ = self.seeds.insert(name.to_owned(), seed),
            None => _ = self.seeds.remove(name),
        }
    }

    /// Notes the seeds that the file will replace as soon as it holds any of `saved`.
    pub fn set_upcoming(
        &mut self,
        seeds: impl IntoIterator<Item = (Credential, Fingerprint)>,
        saved: Vec<Fingerprint>,
    ) {
        let seeds = seeds.into_iter();
        let seeds = seeds.map(|(credential, seed)| (credential.name().to_owned(), seed));
        self.upcoming = Some(Upcoming {
            seeds: seeds.collect(),
            saved,
        });
    }

    /// Takes what was upcoming for fact, if the file `holds` any of it; a person may have changed
    /// the rest since.
    pub fn settle_upcoming(&mut self, holds: &[Option<Fingerprint>]) {
        if let Some(upcoming) = self.upcoming.take()
            && holds
                .iter()
                .flatten()
                .any(|held| upcoming.saved.contains(held))
        {
            self.seeds.extend(upcoming.seeds);
        }
    }

    /// When keeping `credential` alive was last attempted.
    #[must_use]
    pub fn keep_alive_at(&self, credential: Credential) -> Option<Timestamp> {
        self.keep_alive_at.get(credential.name()).copied()
    }

    /// Notes an attempt to keep `credential` alive.
    pub fn set_keep_alive_at(&mut self, credential: Credential, at: Timestamp) {
        self.keep_alive_at.insert(credential.name().to_owned(), at);
    }

    /// Whether the last refresh of the service app extended its refresh token's life; `None` where
    /// that is not known.
    #[must_use]
    pub fn refresh_extended(&self) -> Option<bool> {
        self.refresh_extended
    }

    /// Notes whether the last refresh extended the refresh token's life.
    pub fn set_refresh_extended(&mut self, extended: Option<bool>) {
        self.refresh_extended = extended;
    }
}

/// A duration as a whole number of seconds.
pub(super) mod whole_seconds {
    use jiff::SignedDuration;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(in super::super) fn serialize<S: Serializer>(
        duration: &Option<SignedDuration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration
            .map(|duration| duration.as_secs())
            .serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SignedDuration>, D::Error> {
        let seconds = Option::<i64>::deserialize(deserializer)?;
        Ok(seconds.map(SignedDuration::from_secs))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lock, names, place, put};
    use super::*;
    use crate::token::AccessToken;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let (folder, place) = place("");
        let lock = lock(&place);
        let [access, refresh, ..] = Credential::ALL;
        let token = AccessToken::new("access canary").fingerprint();
        let other = AccessToken::new("refresh canary").fingerprint();
        let day = SignedDuration::from_hours(24);

        let mut state = State::default();
        state.set_record(access, Record::issued(token.clone(), at(100), Some(day)));
        state.record_mut(refresh, &other, at(50)).last_used = Some(at(60));
        state.set_refused(token.clone(), at(70));
        state.set_seed(Credential::PersonalAccessToken, Some(other.clone()));
        state.set_keep_alive_at(Credential::IntegrationRefreshToken, at(80));
        state.set_refresh_extended(Some(false));
        state.save(&place, &lock).unwrap();

        let loaded = State::load(&place);
        assert_eq!(loaded, state);
        let record = loaded.record(access, &token).unwrap();
        assert_eq!(record.expiry(), Some(at(100) + day));
        assert_eq!(loaded.record(access, &other), None);
        assert_eq!(loaded.refused_at(&token), Some(at(70)));
        assert_eq!(loaded.refused_at(&other), None);

        assert_eq!(
            names(folder.path()),
            [".env", ".env.lock", ".env.state.json"]
        );
        let text = std::fs::read_to_string(place.state_file()).unwrap();
        assert!(!text.contains("canary"));
        assert!(text.contains("\"expires_in\": 86400"), "{text}");
        #[cfg(unix)]
        assert_eq!(super::super::tests::mode(&place.state_file()), 0o600);
    }

    #[test]
    fn what_cannot_be_read_is_empty() {
        let (_folder, place) = place("");
        assert_eq!(State::load(&place), State::default());
        for contents in [
            "",
            "{",
            "[]",
            "{}",
            "{\"version\": 2}",
            "{\"version\": 1, \"credentials\": 3}",
            "\u{0}\u{0}\u{0}",
        ] {
            put(&place.state_file(), contents);
            assert_eq!(State::load(&place), State::default(), "{contents}");
        }
    }

    #[test]
    fn what_a_later_version_added_is_kept() {
        let (_folder, place) = place("");
        let fingerprint = Fingerprint::of("token");
        put(
            &place.state_file(),
            format!(
                r#"{{"version": 1, "novel": [1], "credentials": {{"novel_token": {{
                    "fingerprint": "{}", "first_seen": "2026-01-02T03:04:05Z", "novel": 1}}}}}}"#,
                fingerprint.as_str()
            ),
        );
        let state = State::load(&place);
        assert_ne!(state, State::default());
        state.save(&place, &lock(&place)).unwrap();
        assert_eq!(State::load(&place), state);
        let text = std::fs::read_to_string(place.state_file()).unwrap();
        assert_eq!(text.matches("novel").count(), 3);
    }

    #[test]
    fn another_token_begins_a_new_record() {
        let mut state = State::default();
        let [one, two] = ["one", "two"].map(Fingerprint::of);
        let credential = Credential::ServiceAppAccessToken;
        state.record_mut(credential, &one, at(1)).last_used = Some(at(2));
        assert_eq!(state.record_mut(credential, &one, at(3)).first_seen, at(1));
        let record = state.record_mut(credential, &two, at(4));
        assert_eq!(*record, Record::seen(two.clone(), at(4)));
        assert_eq!(state.record(credential, &one), None);
    }

    #[test]
    fn an_expiry_comes_from_the_reply_first() {
        let mut record = Record::seen(Fingerprint::of("token"), at(0));
        assert_eq!(record.expiry(), None);
        record.expires_at = Some(at(9));
        assert_eq!(record.expiry(), Some(at(9)));
        record.issued_at = Some(at(1));
        assert_eq!(record.expiry(), Some(at(9)));
        record.expires_in = Some(SignedDuration::from_secs(4));
        assert_eq!(record.expiry(), Some(at(5)));
        record.expires_in = Some(SignedDuration::MAX);
        assert_eq!(record.expiry(), None);
    }
}

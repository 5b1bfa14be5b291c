//! What is ours in the user's two files: tokens out of their text, and tokens into it.

use jiff::Timestamp;

use super::Intent;
use super::dotenv_text::{self, DotenvError, Edit};
use super::json_text::{self, JsonError};
use crate::token::{AccessToken, Fingerprint, Issued, RefreshToken};

/// The service app's access token.
pub const ACCESS_TOKEN_KEY: &str = "WEBEX_SERVICE_APP_ACCESS_TOKEN";
/// The service app's refresh token.
pub const REFRESH_TOKEN_KEY: &str = "WEBEX_SERVICE_APP_REFRESH_TOKEN";
/// Since when no stored credential has been accepted (RFC 3339); absent where all is well.
pub const REAUTHORIZATION_KEY: &str = "WEBEX_REAUTHORIZATION_REQUIRED";

/// Whether `.env` says that a human must re-authorize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flag {
    /// It says so, since this time (RFC 3339).
    Up(String),
    /// It says nothing.
    Down,
}

/// What `.env` holds of ours. An empty value counts as none.
#[derive(Clone, Debug, Default)]
pub struct StoredTokens {
    /// The service app's access token.
    pub access_token: Option<AccessToken>,
    /// The service app's refresh token.
    pub refresh_token: Option<RefreshToken>,
    /// Since when a human has been needed.
    pub reauthorization_required: Option<String>,
}

impl StoredTokens {
    /// Reads them out of the text of `.env`.
    ///
    /// # Errors
    ///
    /// The text cannot be read as `.env`: a quote is not closed, say.
    pub fn in_text(text: &str) -> Result<Self, DotenvError> {
        let value = |key| {
            let value = dotenv_text::value(text, key)?;
            Ok(value.filter(|value| !value.trim().is_empty()))
        };
        Ok(Self {
            access_token: value(ACCESS_TOKEN_KEY)?.map(AccessToken::new),
            refresh_token: value(REFRESH_TOKEN_KEY)?.map(RefreshToken::new),
            reauthorization_required: value(REAUTHORIZATION_KEY)?,
        })
    }

    /// The fingerprints of the pair.
    #[must_use]
    pub fn fingerprints(&self) -> (Option<Fingerprint>, Option<Fingerprint>) {
        (
            self.access_token.as_ref().map(AccessToken::fingerprint),
            self.refresh_token.as_ref().map(RefreshToken::fingerprint),
        )
    }

    /// The intent of a rung that is about to spend what is stored now.
    #[must_use]
    pub fn intent(&self, rung: &str, at: Timestamp) -> Intent {
        let (access_token, refresh_token) = self.fingerprints();
        Intent {
            rung: rung.to_owned(),
            at,
            pid: std::process::id(),
            access_token,
            refresh_token,
        }
    }

    /// Whether these are the tokens that `intent` was about to spend.
    #[must_use]
    pub fn are_those_of(&self, intent: &Intent) -> bool {
        let (access_token, refresh_token) = self.fingerprints();
        access_token == intent.access_token && refresh_token == intent.refresh_token
    }

    /// Which of the two token keys hold neither what `before` holds nor what was `issued` since.
    #[must_use]
    pub fn keys_changed_since(&self, before: &Self, issued: &Issued) -> Vec<&'static str> {
        let (now, then) = (self.fingerprints(), before.fingerprints());
        let issued = (
            Some(issued.access_token.fingerprint()),
            issued.refresh_token.as_ref().map(RefreshToken::fingerprint),
        );
        let mut changed = Vec::new();
        if now.0 != then.0 && now.0 != issued.0 {
            changed.push(ACCESS_TOKEN_KEY);
        }
        if now.1 != then.1 && now.1 != issued.1 {
            changed.push(REFRESH_TOKEN_KEY);
        }
        changed
    }
}

impl Flag {
    /// Since when it is up.
    #[must_use]
    pub fn since(&self) -> Option<&str> {
        match self {
            Self::Up(since) => Some(since),
            Self::Down => None,
        }
    }
}

/// The text of `.env` with what was issued in it, and the flag up or down. A missing refresh token
/// keeps the old one.
///
/// # Errors
///
/// The text cannot be edited so that every reader agrees on it.
pub fn dotenv_with(
    text: &str,
    issued: Option<&Issued>,
    flag: &Flag,
) -> Result<String, DotenvError> {
    let mut edits = Vec::new();
    if let Some(issued) = issued {
        edits.push((ACCESS_TOKEN_KEY, Edit::Set(issued.access_token.expose())));
        if let Some(refresh_token) = &issued.refresh_token {
            edits.push((REFRESH_TOKEN_KEY, Edit::Set(refresh_token.expose())));
        }
    }
    edits.push(match flag {
        Flag::Up(since) => (REAUTHORIZATION_KEY, Edit::Set(since)),
        Flag::Down => (REAUTHORIZATION_KEY, Edit::Remove),
    });
    dotenv_text::edit(text, &edits)
}

/// Judges whether all that is ever put into `.env` could be: what a grant issues, what a mint issues
/// that brings no refresh token, and the flag.
///
/// # Errors
///
/// The text cannot be edited so that every reader agrees on it.
pub fn check_dotenv(text: &str) -> Result<(), DotenvError> {
    const VALUE: Edit<'_> = Edit::Set("x");
    const FLAG_DOWN: (&str, Edit<'_>) = (REAUTHORIZATION_KEY, Edit::Remove);
    dotenv_text::check_editable(
        text,
        &[
            &[(REAUTHORIZATION_KEY, VALUE)],
            &[FLAG_DOWN],
            &[(ACCESS_TOKEN_KEY, VALUE), FLAG_DOWN],
            &[
                (ACCESS_TOKEN_KEY, VALUE),
                (REFRESH_TOKEN_KEY, VALUE),
                FLAG_DOWN,
            ],
        ],
    )
}

/// The fingerprints of two texts in `token-config.json`; none where there is no such text.
#[must_use]
pub fn config_fingerprints(text: &str, paths: [&[&str]; 2]) -> [Option<Fingerprint>; 2] {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    paths.map(|path| {
        let value = path.iter().try_fold(&root, |value, key| value.get(key))?;
        let value = value.as_str().map(str::trim)?;
        (!value.is_empty()).then(|| Fingerprint::of(value))
    })
}

/// The text of `token-config.json` with what the integration issued in it: its access token as the
/// personal access token, and its refresh token, if one came.
///
/// # Errors
///
/// The text is not a JSON object with room for them.
pub fn config_with(
    text: &str,
    issued: &Issued,
    access_token_path: &[&str],
    refresh_token_path: &[&str],
) -> Result<String, JsonError> {
    let text = json_text::set(text, access_token_path, issued.access_token.expose())?;
    match &issued.refresh_token {
        Some(refresh_token) => json_text::set(&text, refresh_token_path, refresh_token.expose()),
        None => Ok(text),
    }
}

//! Settings: flag over process environment over `.env` over `token-config.json` over default.
//!
//! They are resolved once into finished types; nothing downstream reads or validates again.
//! [`Sources::resolve`] cannot fail: what is wrong is collected, all at once, because a valid token
//! needs no configuration. Nothing here opens a file or knows how one is decoded; the caller brings
//! what the files say as [`DotenvLayer`] and [`ConfigLayer`]. The process environment is read here
//! and nowhere else, by [`Environment::capture`]. The variables that the programs manage in `.env`
//! are no settings, and are not read here.

mod api_base;
mod duration;
pub mod env_vars;
mod environment;
mod layer;
pub mod problem;
mod redirect_uri;
mod resolve;
mod setting;
#[cfg(test)]
mod tests;
mod text;
mod typed;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub use api_base::{ApiBase, ApiBaseError, Endpoint};
pub use duration::{DurationError, duration, positive_duration};
pub use environment::{Environment, Proxies, Trust, folder_of_programs};
pub use layer::{ConfigLayer, DotenvLayer, Origin};
pub use problem::{Place, Problem, ProblemKind};
pub use redirect_uri::{Loopback, RedirectUri, RedirectUriError};
pub use setting::{PERSONAL_ACCESS_TOKEN_PATH, Setting, Spelling};
pub use typed::typed;

use secrecy::SecretString;
use url::Url;

use crate::token::{AccessToken, ClientSecret, Fingerprint, RefreshToken};

/// What the command line says, which stands over everything.
#[derive(Clone, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--env-file`.
    pub env_file: Option<PathBuf>,
    /// `--api-base-url`.
    pub api_base_url: Option<String>,
    /// The settings that the command line gives itself, or in files that it names.
    pub settings: Vec<(Setting, SecretString)>,
}

impl fmt::Debug for Flags {
    /// Shows the paths; a URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags")
            .field("config", &self.config)
            .field("env_file", &self.env_file)
            .finish_non_exhaustive()
    }
}

/// The sources that are known before any file is read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The command line.
    pub flags: Flags,
    /// The environment of the process.
    pub environment: Environment,
}

/// The seeds for which something newer is saved in the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeds {
    /// The personal access token that was replaced by what the integration issued.
    pub personal_access_token: Option<Fingerprint>,
    /// The integration's refresh token that was replaced by a newer one.
    pub integration_refresh_token: Option<Fingerprint>,
}

impl Sources {
    /// The `.env` file: `--env-file`, else `WEBEX_ENV_FILE`, else `.env`.
    #[must_use]
    pub fn env_file(&self) -> PathBuf {
        let variable = || self.environment.get(env_vars::WEBEX_ENV_FILE);
        self.flags
            .env_file
            .clone()
            .or_else(|| variable().map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(".env"))
    }

    /// The configuration file: `--config`, else `WEBEX_TOKEN_CONFIG` from the process or from
    /// `.env`, else `token-config.json`. A relative path starts at the working directory, wherever
    /// it is written.
    #[must_use]
    pub fn config_file(&self, dotenv: &DotenvLayer) -> PathBuf {
        let variable = || self.environment.get(env_vars::WEBEX_TOKEN_CONFIG);
        self.flags
            .config
            .clone()
            .or_else(|| variable().map(PathBuf::from))
            .or_else(|| dotenv.token_config.clone())
            .unwrap_or_else(|| PathBuf::from("token-config.json"))
    }

    /// Lays all sources over each other and judges the result.
    ///
    /// A personal access token or an integration's refresh token in the environment or in `.env`
    /// is a seed: once something newer is `saved` for it in the configuration file, that is used
    /// for as long as the seed stays the same.
    #[must_use]
    pub fn resolve(&self, dotenv: &DotenvLayer, config: &ConfigLayer, saved: &Seeds) -> Settings {
        resolve::resolve(self, dotenv, config, saved)
    }
}

/// The settings, finished. What is `None` cannot be used; whether that is an omission or a fault is
/// in `problems`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where Webex is. The problem is among `problems`, too.
    pub api: Result<ApiBase, Problem>,
    /// The authorization endpoint, where it does not lie below the API's base.
    pub authorize_endpoint: Option<Endpoint>,
    /// The token endpoint, likewise.
    pub token_endpoint: Option<Endpoint>,
    /// The service app: what its refresh token needs.
    pub service_app: Option<ServiceApp>,
    /// What is minted; never without a service app.
    pub mint: Option<MintTarget>,
    /// The personal access token.
    pub personal_access_token: Option<Sourced<AccessToken>>,
    /// The integration.
    pub integration: Option<Integration>,
    /// Where the integration has Webex send the browser back to.
    pub redirect_uri: Option<RedirectUri>,
    /// The settings that are given, be they usable or not.
    given: BTreeMap<Setting, Given>,
    /// All that is wrong, sorted by file and line. A proxy that cannot be used is in here, too.
    pub problems: Vec<Problem>,
}

impl Settings {
    /// The authorization endpoint (RFC 6749 §3.1).
    ///
    /// # Panics
    ///
    /// The API's base has a problem.
    #[must_use]
    pub fn authorize_url(&self) -> Url {
        if let Some(endpoint) = &self.authorize_endpoint {
            return endpoint.url().clone();
        }
        let api = self
            .api
            .as_ref()
            .expect("asked for where there is no problem");
        let mut url = api.url().clone();
        let mut path = url.path_segments_mut().expect("it has a path");
        path.pop_if_empty().push("authorize");
        drop(path);
        url
    }

    /// Where the setting is given; `None` if it is not, and perhaps has a default.
    #[must_use]
    pub fn origin(&self, setting: Setting) -> Option<Origin> {
        self.given.get(&setting).map(|given| given.origin)
    }

    /// Whether there is a problem with this setting.
    #[must_use]
    pub fn is_wrong(&self, setting: Setting) -> bool {
        let mut problems = self.problems.iter();
        problems.any(|problem| problem.setting == Some(setting))
    }

    /// The settings that are given and can be used.
    pub fn usable(&self) -> impl Iterator<Item = Setting> {
        let given = self.given.keys().copied();
        given.filter(|setting| !self.is_wrong(*setting))
    }

    /// What tells the setting's value, decoded if it is an id, from another's.
    #[must_use]
    pub fn fingerprint(&self, setting: Setting) -> Option<&Fingerprint> {
        self.given.get(&setting)?.fingerprint.as_ref()
    }

    /// Whether requests go to other machines, so that a proxy matters.
    #[must_use]
    pub fn leave_this_machine(&self) -> bool {
        let token = self.token_endpoint.as_ref();
        self.api.as_ref().is_ok_and(|api| !api.is_loopback())
            || token.is_some_and(|token| !token.is_loopback())
    }
}

/// A setting that some source gives.
#[derive(Clone, Debug)]
struct Given {
    origin: Origin,
    /// Of the decoded value; `None` where it cannot be one.
    fingerprint: Option<Fingerprint>,
}

/// A service app.
#[derive(Clone, Debug)]
pub struct ServiceApp {
    /// Its client id, decoded.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: ClientSecret,
}

/// What a token is minted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MintTarget {
    /// The service app's id, encoded: as given, or computed from the client id.
    pub app_id: String,
    /// The organization's id, as given.
    pub target_org_id: String,
}

/// An integration.
#[derive(Clone, Debug)]
pub struct Integration {
    /// Its client id, decoded.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: ClientSecret,
    /// Its refresh token; `None` before it was authorized for the first time.
    pub refresh_token: Option<Sourced<RefreshToken>>,
}

/// A value with its source.
#[derive(Clone, Debug)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
    /// What the environment or `.env` holds for this setting, be it this value or an older one: to
    /// be stored with what replaces it.
    pub seed: Option<Fingerprint>,
}

//! `--plan`: which rungs could be tried, and why; no network, no lock, no write.

use jiff::SignedDuration;

use super::files::Files;
use super::integration;
use super::report::Report;
use super::verdict::End;
use crate::clock::Clock;
use crate::config::{Origin, Sources};
use crate::ladder::{Held, Rung};
use crate::lifetime::{self, Freshness};
use crate::store::{self, Credential};
use crate::token::{AccessToken, RefreshToken};

/// One rung, and whether it could be tried.
#[derive(Clone, Debug)]
pub struct RungPlan {
    /// The rung.
    pub rung: Rung,
    /// Whether a climb would try it.
    pub possible: bool,
    /// Why, or why not: one clause.
    pub reason: String,
}

/// What a run would do now.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What comes first: a look at the stored token, or a climb.
    pub message: String,
    /// The rungs, from the first to the last.
    pub rungs: Vec<RungPlan>,
    /// What is wrong with the settings.
    pub warnings: Vec<String>,
}

/// Says what a run would do now.
///
/// # Errors
///
/// `.env` cannot be read; the report says why.
pub fn plan(
    sources: &Sources,
    clock: &Clock,
    force: bool,
    min_validity: SignedDuration,
) -> Result<Plan, Box<Report>> {
    let files =
        Files::read_only(sources).map_err(|error| Box::new(End::from(error).into_report()))?;
    let now = clock.now();
    let access_token = files
        .tokens
        .access_token
        .as_ref()
        .map(AccessToken::fingerprint);
    let message = match access_token {
        None => "a run would climb: there is no access token".to_owned(),
        Some(_) if force => "a run would climb: it is forced".to_owned(),
        Some(token) => {
            let life = files.life(Credential::ServiceAppAccessToken, &token);
            match lifetime::freshness(life, min_validity, now) {
                Freshness::Fresh | Freshness::Unknown => {
                    "a run would ask Webex about the stored access token, and climb if it is \
                     refused"
                }
                Freshness::Due => "a run would climb: the access token is due",
                Freshness::Expired => "a run would climb: the access token has expired",
            }
            .to_owned()
        }
    };
    Ok(Plan {
        message,
        rungs: Rung::ALL
            .into_iter()
            .map(|rung| {
                let (possible, reason) = match rung {
                    Rung::ServiceAppRefreshToken => service_app_refresh_token(&files),
                    Rung::PersonalAccessToken => personal_access_token(&files),
                    Rung::IntegrationRefreshToken => integration_refresh_token(&files),
                };
                RungPlan {
                    rung,
                    possible,
                    reason,
                }
            })
            .collect(),
        warnings: files.problems(),
    })
}

fn service_app_refresh_token(files: &Files) -> (bool, String) {
    let Some(token) = &files.tokens.refresh_token else {
        return no(format!("{} is not in .env", store::REFRESH_TOKEN_KEY));
    };
    if files.settings.service_app.is_none() {
        return no("the service app's client id and client secret are not set");
    }
    if files.may_be_spent() {
        return yes("tried last: an earlier run has not saved what became of it");
    }
    refresh_token(files, Credential::ServiceAppRefreshToken, token)
}

fn personal_access_token(files: &Files) -> (bool, String) {
    let Some(token) = &files.settings.personal_access_token else {
        return no("no personal access token is set");
    };
    if files.settings.mint.is_none() {
        return no("the service app's settings are not complete");
    }
    let credential = Credential::PersonalAccessToken;
    stored(files, credential, &token.value.fingerprint())
}

fn integration_refresh_token(files: &Files) -> (bool, String) {
    let settings = &files.settings;
    let Some(integration) = &settings.integration else {
        return no("no integration is set up");
    };
    let Some(token) = &integration.refresh_token else {
        return no("the integration has no refresh token yet");
    };
    if settings.mint.is_none() {
        return no("the service app's settings are not complete");
    }
    let writable = match &files.config {
        Ok(config) => config.is_writable(),
        Err(error) => return no(error.to_string()),
    };
    if !writable {
        let file = files.config_file();
        let from = match token.origin {
            Origin::ConfigFile => "",
            _ => " (its refresh token comes from the environment)",
        };
        return no(format!("what it issues cannot be saved in {file}{from}"));
    }
    let credential = Credential::IntegrationRefreshToken;
    if integration::held(files) == Held::Doubtful {
        return yes("an earlier run has not saved what became of it");
    }
    refresh_token(files, credential, &token.value)
}

fn refresh_token(files: &Files, credential: Credential, token: &RefreshToken) -> (bool, String) {
    let fingerprint = token.fingerprint();
    if files.is_dead(credential, &fingerprint) {
        return yes("tried after what may work: Webex has refused it");
    }
    stored(files, credential, &fingerprint)
}

fn stored(
    files: &Files,
    credential: Credential,
    fingerprint: &crate::token::Fingerprint,
) -> (bool, String) {
    // A date never forbids a rung: a clock may be wrong.
    match files.life(credential, fingerprint).expires_at {
        Some(expires_at) => yes(format!("expires {}", lifetime::date(expires_at))),
        None => yes("its expiry is not known"),
    }
}

fn yes(reason: impl Into<String>) -> (bool, String) {
    (true, reason.into())
}

fn no(reason: impl Into<String>) -> (bool, String) {
    (false, reason.into())
}

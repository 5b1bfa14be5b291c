//! What is asked, where the answer is found in Webex, and which slips are caught before Webex is
//! asked. Pure; every line fits a terminal of 60 columns.

use crate::config::{ProblemKind, Setting, typed};
use crate::ids::{self, IdKind};
use crate::token::Fingerprint;

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The setting that the answer becomes.
    pub setting: Setting,
    /// What is asked for.
    pub label: &'static str,
    /// Whether the answer is a secret, and is not echoed.
    pub is_secret: bool,
}

/// The question for a setting.
#[must_use]
pub fn question(setting: Setting) -> Question {
    let (label, is_secret) = match setting {
        Setting::AppId => ("App ID of the service app", false),
        Setting::ClientId => ("Client ID of the service app", false),
        Setting::ClientSecret => ("Client secret of the service app", true),
        Setting::TargetOrgId => ("Organization ID", false),
        Setting::PersonalAccessToken => ("Personal access token", true),
        Setting::IntegrationClientId => ("Client ID of the integration", false),
        Setting::IntegrationClientSecret => ("Client secret of the integration", true),
        Setting::IntegrationRefreshToken => ("Refresh token of the integration", true),
        Setting::RedirectUri => ("Redirect URI of the integration", false),
        Setting::ApiBaseUrl => ("Base URL of the API", false),
        Setting::AuthorizeUrl => ("Authorization endpoint", false),
        Setting::TokenUrl => ("Token endpoint", false),
    };
    Question {
        setting,
        label,
        is_secret,
    }
}

/// Where the values of the service app are found.
pub const SERVICE_APP: &str = "\
The service app

On https://developer.webex.com, My Webex Apps, open it:
  Client ID        stands there (the App ID will do, too).
  Client secret    was shown when the app was made;
                   \"Regenerate\" makes a new one.
In Control Hub, https://admin.webex.com:
  Organization ID  stands under Account, in the
                   organization that is to be served.
  There a Full Admin must have authorized the app, under
  Apps, Service Apps.";

/// Where the values of an integration are found, and how it is made.
#[must_use]
pub fn integration(redirect_uri: &str) -> String {
    format!(
        "\
The integration

On https://developer.webex.com, My Webex Apps, with the
account that owns the service app, create an integration:
  Redirect URI     {redirect_uri}
  Scope            spark:applications_token
Then copy from its page:
  Client ID
  Client secret    shown once; \"Regenerate\" makes a new one"
    )
}

/// Where a personal access token is found.
pub const PERSONAL_ACCESS_TOKEN: &str = "\
The personal access token

On https://developer.webex.com, signed in as the owner of
the service app: Documentation, Getting Started, copy it.
It lives 12 hours: long enough to mint one pair of tokens
that live for weeks, and of no use after that.";

/// What the choice between the two ways is about.
pub const CHOICE: &str = "\
Two ways to get tokens

With an integration, which you authorize once, no human is
needed as long as it is in use. A personal access token
lives 12 hours: a human is needed again when the service
app's refresh token ends, after some three months.";

/// What is asked there.
pub const WAY: &str = "Set up with";

/// The two ways, in the order in which they are offered.
pub const WAYS: [(super::Way, &str); 2] = [
    (super::Way::Integration, "an integration (recommended)"),
    (
        super::Way::PersonalAccessToken,
        "a personal access token (lives 12 hours)",
    ),
];

/// What explains these questions.
#[must_use]
pub fn explanation(settings: &[Setting], redirect_uri: &str) -> Vec<String> {
    let is_asked = |of: &[Setting]| settings.iter().any(|setting| of.contains(setting));
    let mut screens = Vec::new();
    if is_asked(&super::SERVICE_APP) {
        screens.push(SERVICE_APP.to_owned());
    }
    if is_asked(&super::INTEGRATION) {
        screens.push(integration(redirect_uri));
    }
    if is_asked(&[Setting::PersonalAccessToken]) {
        screens.push(PERSONAL_ACCESS_TOKEN.to_owned());
    }
    screens
}

/// An answer that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Slip {
    /// The value cannot be that of the setting.
    #[error(transparent)]
    Problem(#[from] ProblemKind),
    /// A client id where a secret belongs.
    #[error("this is the client ID; the client secret is another line of that page")]
    ClientId,
    /// The other application's value.
    #[error("this is the {0}'s; the service app and the integration are two applications")]
    OfTheOther(&'static str),
}

/// Judges an answer by itself, and beside the fingerprints of what is known already.
///
/// # Errors
///
/// It cannot be right.
pub fn judge(
    setting: Setting,
    answer: &str,
    known: impl Fn(Setting) -> Option<Fingerprint>,
) -> Result<String, Slip> {
    let value = typed(setting, answer)?;
    let decoded = ids::value(&value, IdKind::Application);
    let fingerprint = Some(Fingerprint::of(decoded.as_deref().unwrap_or(&value)));
    let is_that_of = |setting| known(setting) == fingerprint;
    let other = match setting {
        Setting::ClientSecret | Setting::IntegrationClientSecret
            if is_that_of(Setting::ClientId) || is_that_of(Setting::IntegrationClientId) =>
        {
            return Err(Slip::ClientId);
        }
        Setting::ClientId => (Setting::IntegrationClientId, "integration"),
        Setting::ClientSecret => (Setting::IntegrationClientSecret, "integration"),
        Setting::IntegrationClientId => (Setting::ClientId, "service app"),
        Setting::IntegrationClientSecret => (Setting::ClientSecret, "service app"),
        _ => return Ok(value),
    };
    if is_that_of(other.0) {
        return Err(Slip::OfTheOther(other.1));
    }
    Ok(value)
}

/// The same secret of the other application.
#[must_use]
pub fn counterpart(setting: Setting) -> Option<Setting> {
    match setting {
        Setting::ClientSecret => Some(Setting::IntegrationClientSecret),
        Setting::IntegrationClientSecret => Some(Setting::ClientSecret),
        _ => None,
    }
}

/// An answer, as settings: an encoded application id says both of a service app's ids.
#[must_use]
pub fn settings(setting: Setting, answer: String) -> Vec<(Setting, String)> {
    match (setting, ids::value(&answer, IdKind::Application)) {
        (Setting::ClientId, Ok(client_id)) if client_id != answer => {
            vec![(Setting::AppId, answer), (Setting::ClientId, client_id)]
        }
        (Setting::AppId, Ok(client_id)) => {
            vec![(Setting::AppId, answer), (Setting::ClientId, client_id)]
        }
        (Setting::IntegrationClientId, Ok(client_id)) => vec![(setting, client_id)],
        _ => vec![(setting, answer)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{INTEGRATION, SERVICE_APP as SERVICE_APP_SETTINGS};

    #[test]
    fn every_screen_fits_a_narrow_terminal() {
        let all: Vec<_> = SERVICE_APP_SETTINGS
            .into_iter()
            .chain(INTEGRATION)
            .chain([Setting::PersonalAccessToken])
            .collect();
        let screens = explanation(&all, "http://localhost:3000/callback");
        assert_eq!(screens.len(), 3);
        let lines = screens.iter().flat_map(|screen| screen.lines());
        for line in lines.chain(CHOICE.lines()) {
            assert!(line.chars().count() <= 60, "{line}");
        }
        for (_, text) in WAYS {
            let shown = format!("> {WAY} {text}");
            assert!(shown.len() <= 60, "{shown}");
        }
        for setting in all {
            assert!(question(setting).label.len() < 40);
        }
    }

    #[test]
    fn the_two_applications_are_told_apart_as_one_types() {
        let known = |setting| {
            let value = match setting {
                Setting::ClientId => "Cservice",
                Setting::ClientSecret => "service-5ecret",
                Setting::IntegrationClientId => "Cintegration",
                _ => return None,
            };
            Some(Fingerprint::of(value))
        };
        let encoded = ids::application_id("Cservice");
        let table = [
            (
                Setting::IntegrationClientId,
                "Cservice",
                Some("this is the service app's"),
            ),
            (
                Setting::IntegrationClientId,
                &encoded,
                Some("this is the service app's"),
            ),
            (
                Setting::IntegrationClientSecret,
                "service-5ecret",
                Some("this is the service app's"),
            ),
            (
                Setting::IntegrationClientSecret,
                "Cintegration",
                Some("this is the client ID"),
            ),
            (
                Setting::ClientSecret,
                "Cservice",
                Some("this is the client ID"),
            ),
            (
                Setting::ClientId,
                "Cintegration",
                Some("this is the integration's"),
            ),
            (Setting::IntegrationClientSecret, "another-5ecret", None),
            (Setting::PersonalAccessToken, "service-5ecret", None),
        ];
        for (setting, answer, slip) in table {
            let judged = judge(setting, answer, known);
            match slip {
                None => assert_eq!(judged.as_deref(), Ok(answer)),
                Some(start) => {
                    let slip = judged.expect_err(answer).to_string();
                    assert!(slip.starts_with(start), "{slip}");
                }
            }
        }
    }

    #[test]
    fn an_encoded_id_answers_for_both() {
        let encoded = ids::application_id("Cservice");
        for setting in [Setting::AppId, Setting::ClientId] {
            let both = settings(setting, encoded.clone());
            let settings = both.iter().map(|(setting, _)| *setting);
            assert!(
                settings.eq([Setting::AppId, Setting::ClientId]),
                "{setting:?}"
            );
        }
        assert_eq!(
            settings(Setting::ClientId, encoded.clone()),
            [
                (Setting::AppId, encoded.clone()),
                (Setting::ClientId, "Cservice".to_owned())
            ]
        );
        assert_eq!(
            settings(Setting::ClientId, "Cservice".to_owned()),
            [(Setting::ClientId, "Cservice".to_owned())]
        );
        assert_eq!(
            settings(Setting::IntegrationClientId, encoded),
            [(Setting::IntegrationClientId, "Cservice".to_owned())]
        );
    }
}

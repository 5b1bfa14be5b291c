//! The settings, and the names each has in every layer.

use super::env_vars;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// The service app's id.
    AppId,
    /// The service app's client id.
    ClientId,
    /// The service app's client secret.
    ClientSecret,
    /// The id of the organization that authorized the service app.
    TargetOrgId,
    /// A personal access token of the service app's owner.
    PersonalAccessToken,
    /// The integration's client id.
    IntegrationClientId,
    /// The integration's client secret.
    IntegrationClientSecret,
    /// The integration's refresh token.
    IntegrationRefreshToken,
    /// The integration's redirect URI.
    RedirectUri,
    /// The base URL of the API.
    ApiBaseUrl,
    /// The authorization endpoint.
    AuthorizeUrl,
    /// The token endpoint.
    TokenUrl,
}

use Setting::*;

/// Where the personal access token stands in `token-config.json`.
pub const PERSONAL_ACCESS_TOKEN_PATH: &[&str] = &["tokenManager", "personalAccessToken"];

/// How the integration is spelled in `token-config.json`. All spellings are read; the first that
/// holds anything is the one in use, and stays so when the file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// `tokenManager.integration.{clientId,clientSecret,refreshToken}`, which is ours.
    #[default]
    Integration,
    /// `tokenManager.{clientId,clientSecret,refreshToken}`.
    Plain,
    /// `tokenManager.{oauthClientId,oauthClientSecret,oauthRefreshToken}`.
    OAuth,
}

impl Spelling {
    /// The spellings, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Integration, Self::Plain, Self::OAuth];

    /// The path of the client id.
    #[must_use]
    pub fn client_id_path(self) -> &'static [&'static str] {
        match self {
            Self::Integration => &["tokenManager", "integration", "clientId"],
            Self::Plain => &["tokenManager", "clientId"],
            Self::OAuth => &["tokenManager", "oauthClientId"],
        }
    }

    /// The path of the client secret.
    #[must_use]
    pub fn client_secret_path(self) -> &'static [&'static str] {
        match self {
            Self::Integration => &["tokenManager", "integration", "clientSecret"],
            Self::Plain => &["tokenManager", "clientSecret"],
            Self::OAuth => &["tokenManager", "oauthClientSecret"],
        }
    }

    /// The path of the refresh token.
    #[must_use]
    pub fn refresh_token_path(self) -> &'static [&'static str] {
        match self {
            Self::Integration => &["tokenManager", "integration", "refreshToken"],
            Self::Plain => &["tokenManager", "refreshToken"],
            Self::OAuth => &["tokenManager", "oauthRefreshToken"],
        }
    }

    /// The path of the redirect URI.
    #[must_use]
    pub fn redirect_uri_path(self) -> &'static [&'static str] {
        match self {
            Self::Integration => &["tokenManager", "integration", "redirectUri"],
            Self::Plain => &["tokenManager", "redirectUri"],
            Self::OAuth => &["tokenManager", "oauthRedirectUri"],
        }
    }
}

impl Setting {
    pub(super) const ALL: [Self; 12] = [
        AppId,
        ClientId,
        ClientSecret,
        TargetOrgId,
        PersonalAccessToken,
        IntegrationClientId,
        IntegrationClientSecret,
        IntegrationRefreshToken,
        RedirectUri,
        ApiBaseUrl,
        AuthorizeUrl,
        TokenUrl,
    ];

    /// The environment variable; it also names the setting where layers are joined.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            AppId => env_vars::WEBEX_SERVICE_APP_ID,
            ClientId => env_vars::WEBEX_SERVICE_APP_CLIENT_ID,
            ClientSecret => env_vars::WEBEX_SERVICE_APP_CLIENT_SECRET,
            TargetOrgId => env_vars::WEBEX_TARGET_ORG_ID,
            PersonalAccessToken => env_vars::WEBEX_PERSONAL_ACCESS_TOKEN,
            IntegrationClientId => env_vars::WEBEX_INTEGRATION_CLIENT_ID,
            IntegrationClientSecret => env_vars::WEBEX_INTEGRATION_CLIENT_SECRET,
            IntegrationRefreshToken => env_vars::WEBEX_INTEGRATION_REFRESH_TOKEN,
            RedirectUri => env_vars::WEBEX_INTEGRATION_REDIRECT_URI,
            ApiBaseUrl => env_vars::WEBEX_API_BASE_URL,
            AuthorizeUrl => env_vars::WEBEX_AUTHORIZE_URL,
            TokenUrl => env_vars::WEBEX_TOKEN_URL,
        }
    }

    /// The flag that gives it, or gives a file that holds it.
    #[must_use]
    pub fn flag(self) -> Option<&'static str> {
        match self {
            AppId => Some("--app-id"),
            ClientId => Some("--client-id"),
            ClientSecret => Some("--client-secret-file"),
            TargetOrgId => Some("--target-org-id"),
            PersonalAccessToken => Some("--personal-access-token-file"),
            IntegrationClientId => Some("--integration-client-id"),
            IntegrationClientSecret => Some("--integration-client-secret-file"),
            RedirectUri => Some("--redirect-uri"),
            ApiBaseUrl => Some("--api-base-url"),
            IntegrationRefreshToken | AuthorizeUrl | TokenUrl => None,
        }
    }

    /// The path in `token-config.json`, for settings that can stand there.
    #[must_use]
    pub fn path(self, spelling: Spelling) -> Option<&'static [&'static str]> {
        match self {
            AppId => Some(&["serviceApp", "appId"]),
            ClientId => Some(&["serviceApp", "clientId"]),
            ClientSecret => Some(&["serviceApp", "clientSecret"]),
            TargetOrgId => Some(&["serviceApp", "targetOrgId"]),
            PersonalAccessToken => Some(PERSONAL_ACCESS_TOKEN_PATH),
            IntegrationClientId => Some(spelling.client_id_path()),
            IntegrationClientSecret => Some(spelling.client_secret_path()),
            IntegrationRefreshToken => Some(spelling.refresh_token_path()),
            RedirectUri => Some(spelling.redirect_uri_path()),
            ApiBaseUrl | AuthorizeUrl | TokenUrl => None,
        }
    }

    /// What to do to have the right value: where it is found in Webex.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            AppId => {
                "copy the service app's id from developer.webex.com → My Webex Apps, or leave it \
                 empty: it is computed from the client id"
            }
            ClientId => "copy the service app's client id from developer.webex.com → My Webex Apps",
            ClientSecret => {
                "copy the client secret from developer.webex.com → My Webex Apps; it is shown \
                 once, and can be regenerated there"
            }
            TargetOrgId => {
                "copy the organization's id from Control Hub (admin.webex.com) → Account, or leave it \
                 empty if you have neither a personal access token nor an integration"
            }
            PersonalAccessToken => {
                "copy your personal access token from developer.webex.com → Documentation → \
                 Getting Started, or leave it empty"
            }
            IntegrationClientId => {
                "copy the integration's client id from developer.webex.com → My Webex Apps, or \
                 leave all of the integration empty"
            }
            IntegrationClientSecret => {
                "copy the integration's client secret from developer.webex.com → My Webex Apps, \
                 or leave all of the integration empty"
            }
            IntegrationRefreshToken => {
                "leave it empty and run `setup_oauth`, which has the integration authorized"
            }
            RedirectUri => {
                "give one of the redirect URIs that are registered with the integration, such as \
                 http://localhost:3000/callback"
            }
            ApiBaseUrl => "write it as https://webexapis.com/v1, or leave it out",
            AuthorizeUrl => "write it as https://webexapis.com/v1/authorize, or leave it out",
            TokenUrl => "write it as https://webexapis.com/v1/access_token, or leave it out",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_a_declared_variable_of_its_own() {
        let declared: Vec<_> = env_vars::ALL
            .iter()
            .filter(|variable| variable.home == env_vars::Home::Setting)
            .map(|variable| variable.name)
            .filter(|name| *name != env_vars::WEBEX_TOKEN_CONFIG)
            .collect();
        assert_eq!(declared, Setting::ALL.map(Setting::variable));
    }
}

//! What the person in front of a message can do next: a sentence and an exit code. Pure.

use std::fmt;

/// How a program of ours ends, as told to the shell (after BSD's `sysexits.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// The token in `.env` works.
    Works = 0,
    /// The answer is no: the token does not work, and `refresh_token` can replace it
    /// (`check_token`); Webex does not do it, or not all of it (`data-sources`).
    No = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A file cannot be saved or read (`EX_IOERR`).
    File = 74,
    /// Passing trouble: try again later (`EX_TEMPFAIL`).
    Passing = 75,
    /// A human must re-authorize (`EX_NOPERM`).
    Reauthorize = 77,
    /// The configuration is wrong (`EX_CONFIG`).
    Configuration = 78,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Every credential is dead.
    Reauthorize {
        /// Whether an integration is set up, whose authorization can be given again.
        integration: bool,
        /// The configuration file, for the message.
        config_file: String,
    },
    /// Webex is unavailable: nothing is lost.
    TryAgainLater,
    /// Another run holds the lock.
    WaitForTheOther {
        /// Its process id, where it could be read.
        pid: Option<u32>,
    },
    /// 750 live access tokens: end some.
    EndSessions,
    /// Webex mints tokens and refuses them.
    AskWebex,
    /// The settings are wrong; the problems say where.
    FixSettings,
    /// The settings do not suffice to set up anything; the problems say where.
    CompleteSettings,
    /// The service app's client id or secret is refused.
    FixServiceAppClient,
    /// The mint's input is refused: app id, client secret or organization.
    FixMintInput,
    /// The mint is forbidden: scope of the bearer, or the app's authorization.
    FixMintAuthorization,
    /// The integration's client id or secret is refused.
    FixIntegrationClient,
    /// The integration lacks the scope that mints.
    FixIntegrationScope,
    /// The redirect URI is not registered with the integration.
    FixRedirectUri {
        /// The one that was named.
        uri: String,
    },
    /// The integration is not set up for the device grant.
    FixDeviceGrant,
    /// Every credential is dead, no integration is given, and there is nobody to ask for one.
    GiveCredential,
    /// A person has to be asked, and there is none here.
    AskSomebody {
        /// The options with which another run finds the same files, each after a space.
        options: String,
    },
    /// A person has to say yes.
    Consent,
    /// A person has to say yes again: what they allowed has expired, or may be spent.
    ConsentAgain,
    /// A person has to say yes, and did not say anything.
    Answer {
        /// The redirect URI, where Webex may have refused it on a page of its own.
        redirect_uri: Option<String>,
    },
    /// The token lives and may not list data sources.
    FixDataSourceScope,
    /// The proxy refuses.
    FixProxy,
    /// A file cannot be read or saved.
    FixFile {
        /// What to do, from the one who met it.
        advice: String,
    },
    /// What a file holds cannot be used.
    FixContent {
        /// What to do, from the one who met it.
        advice: String,
    },
    /// `refresh_token` can replace the token.
    RunRefreshToken,
    /// Only Webex can tell, and was not to be asked.
    AskOnline,
    /// The token lives and may not change data sources.
    FixWriteScope,
    /// Webex has lists on another host than the one that is asked.
    FixApiBase,
    /// An id names no data source, or several.
    LookAtTheList,
    /// Something would have to be invented.
    NameIt,
    /// A disabled data source would lose the message that it was disabled with.
    EnableFirst,
    /// Webex refuses what it was asked for.
    AskForSomethingElse,
    /// A change may have been made, and its answer was lost.
    LookWhetherDone,
}

impl Remedy {
    /// The exit code of a program that ends with this remedy.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Reauthorize { .. }
            | Self::GiveCredential
            | Self::AskSomebody { .. }
            | Self::Consent => ExitStatus::Reauthorize,
            Self::TryAgainLater
            | Self::ConsentAgain
            | Self::Answer { .. }
            | Self::WaitForTheOther { .. }
            | Self::EndSessions
            | Self::AskWebex
            | Self::AskOnline => ExitStatus::Passing,
            Self::FixSettings
            | Self::CompleteSettings
            | Self::FixServiceAppClient
            | Self::FixMintInput
            | Self::FixMintAuthorization
            | Self::FixIntegrationClient
            | Self::FixIntegrationScope
            | Self::FixRedirectUri { .. }
            | Self::FixDeviceGrant
            | Self::FixDataSourceScope
            | Self::FixContent { .. }
            | Self::FixProxy => ExitStatus::Configuration,
            Self::FixWriteScope | Self::FixApiBase => ExitStatus::Configuration,
            Self::LookAtTheList | Self::NameIt | Self::EnableFirst | Self::AskForSomethingElse => {
                ExitStatus::No
            }
            Self::LookWhetherDone => ExitStatus::Passing,
            Self::FixFile { .. } => ExitStatus::File,
            Self::RunRefreshToken => ExitStatus::No,
        }
    }

    /// Whether waiting alone may cure it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.exit_status() == ExitStatus::Passing
    }
}

impl fmt::Display for Remedy {
    #[expect(clippy::too_many_lines, reason = "a sentence for each")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reauthorize {
                integration: true,
                config_file,
            } => {
                return write!(
                    f,
                    "run `setup_oauth` to authorize the integration in {config_file} again"
                );
            }
            Self::Reauthorize {
                integration: false,
                config_file,
            } => {
                return write!(
                    f,
                    "run `setup_oauth` to put an integration, or a new personal access token, into \
                     {config_file}"
                );
            }
            Self::TryAgainLater => "run this again later; nothing was lost",
            Self::WaitForTheOther { pid: Some(pid) } => {
                return write!(f, "wait for process {pid} to finish, then run this again");
            }
            Self::WaitForTheOther { pid: None } => {
                "wait for the other run to finish, then run this again"
            }
            Self::EndSessions => {
                "end sessions at https://idbroker.webex.com/idb/profile#/ or ask \
                 devsupport@webex.com: an account may hold 750 live access tokens"
            }
            Self::AskWebex => {
                "check in Control Hub that the service app is still authorized; later runs only \
                 look at the token for an hour, so that the limit of 750 tokens is not reached"
            }
            Self::FixSettings => "correct what is listed, then run this again",
            Self::CompleteSettings => {
                "give or correct what is listed, then run `setup_oauth` again"
            }
            Self::FixServiceAppClient => {
                "check serviceApp.clientId and serviceApp.clientSecret against \
                 developer.webex.com, My Webex Apps (the secret may have been regenerated, or be \
                 the integration's)"
            }
            Self::FixMintInput => {
                "check serviceApp.appId, serviceApp.clientId, serviceApp.clientSecret and \
                 serviceApp.targetOrgId: Webex does not say which is wrong"
            }
            Self::FixMintAuthorization => {
                "either have a Full Admin of the target organization authorize the service app in \
                 Control Hub, or use a token with the scope spark:applications_token: Webex does \
                 not say which is missing"
            }
            Self::FixIntegrationClient => {
                "check the integration's client id and client secret against \
                 developer.webex.com, My Webex Apps (the secret may have been regenerated, or be \
                 the service app's)"
            }
            Self::FixIntegrationScope => {
                "add the scope spark:applications_token to the integration on \
                 developer.webex.com, My Webex Apps, then run `setup_oauth` again"
            }
            Self::FixRedirectUri { uri } => {
                return write!(
                    f,
                    "register {uri} with the integration on developer.webex.com, My Webex Apps, or \
                     name one that is registered with --redirect-uri"
                );
            }
            Self::FixDeviceGrant => {
                "register the redirect URIs of Webex's device grant with the integration (see the \
                 README), or run `setup_oauth` without --device"
            }
            Self::GiveCredential => {
                "run `setup_oauth` in a terminal, or give it --integration-client-id and \
                 --integration-client-secret-file, or a new --personal-access-token-file"
            }
            Self::AskSomebody { options } => {
                return write!(
                    f,
                    "run `setup_oauth{options}` in a terminal, or \
                     `setup_oauth --device{options}` here"
                );
            }
            Self::Consent => "run `setup_oauth` again and allow it",
            Self::ConsentAgain => "run `setup_oauth` again and allow it once more",
            Self::Answer { redirect_uri: None } => {
                "run `setup_oauth` again and allow it within a few minutes"
            }
            Self::Answer {
                redirect_uri: Some(uri),
            } => {
                return write!(
                    f,
                    "run `setup_oauth` again and allow it within a few minutes; if Webex showed an \
                     error instead, check that the integration has this client id, and {uri} \
                     among its redirect URIs"
                );
            }
            Self::FixDataSourceScope => {
                "give the service app the scope spark-admin:datasource_read and have a Full Admin \
                 authorize it again in Control Hub, or check that its admin role is still there: \
                 Webex does not say which is missing"
            }
            Self::FixProxy => "put the proxy's user and password into HTTPS_PROXY",
            Self::FixFile { advice } | Self::FixContent { advice } => advice,
            Self::RunRefreshToken => "run `refresh_token`",
            Self::AskOnline => "run `check_token` without --offline",
            Self::FixWriteScope => {
                "give the service app the scope spark-admin:datasource_write and have a Full Admin \
                 authorize it again in Control Hub, or check that its admin role is still there: \
                 Webex does not say which is missing"
            }
            Self::FixApiBase => {
                "set WEBEX_API_BASE_URL to the host that Webex's own links name, if that is Webex"
            }
            Self::LookAtTheList => "run `data-sources list` to see which there are",
            Self::NameIt => "name it with `data-sources update`: it is not invented",
            Self::EnableFirst => {
                "run `data-sources enable` first, and `data-sources disable` with a message after \
                 that"
            }
            Self::AskForSomethingElse => "correct what Webex complains of, then run this again",
            Self::LookWhetherDone => {
                "it may have been done: look with `data-sources list` before running this again"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_passing() {
        assert!(Remedy::TryAgainLater.is_passing());
        assert!(Remedy::EndSessions.is_passing());
        assert!(!Remedy::FixSettings.is_passing());
    }

    #[test]
    fn a_sentence_fits_behind_a_semicolon() {
        let remedies = [
            Remedy::Reauthorize {
                integration: true,
                config_file: "c.json".into(),
            },
            Remedy::Reauthorize {
                integration: false,
                config_file: "c.json".into(),
            },
            Remedy::TryAgainLater,
            Remedy::WaitForTheOther { pid: Some(7) },
            Remedy::FixMintInput,
        ];
        for remedy in remedies {
            let text = remedy.to_string();
            assert!(!text.ends_with('.') && !text.contains('\n'), "{text}");
            assert!(text.starts_with(char::is_lowercase), "{text}");
        }
    }
}

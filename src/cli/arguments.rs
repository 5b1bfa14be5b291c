//! The arguments, as clap wants them declared; their help is the manual.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgAction, Args, ColorChoice, Command, CommandFactory as _, Parser};
use jiff::SignedDuration;

use crate::config::{Setting, duration, positive_duration};

/// What all programs take.
#[derive(Args, Debug)]
pub(super) struct Common {
    /// Configuration file [default: token-config.json]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Settings")]
    pub(super) config: Option<PathBuf>,

    /// File that holds the tokens [default: .env]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Settings")]
    pub(super) env_file: Option<PathBuf>,

    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = "Base URL of the Webex API [default: https://webexapis.com/v1]",
        help_heading = "Settings"
    )]
    pub(super) api_base_url: Option<String>,

    /// Answer in JSON, described in the README
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) json: bool,

    /// Say on stderr what is being done; twice for more
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Output")]
    pub(super) verbose: u8,

    /// Say nothing but errors
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Output"
    )]
    pub(super) quiet: bool,

    /// When to use color
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value_t = ColorChoice::Auto,
        help_heading = "Output"
    )]
    pub(super) color: ColorChoice,
}

const REFRESH_EXIT_CODES: &str = "\
Exit codes:
   0  the token in .env works
   2  the command line is wrong
  74  a file cannot be saved or read
  75  passing trouble: run it again later
  77  a human must re-authorize
  78  the configuration is wrong";

const REFRESH_EXAMPLES: &str = "\
Examples:
  Before each job, from cron:
    refresh_token --env-file /srv/byods/.env --min-validity 2h && /srv/byods/job

  In a container without a configuration file:
    WEBEX_SERVICE_APP_CLIENT_ID=… WEBEX_SERVICE_APP_CLIENT_SECRET=… refresh_token

  What would be tried, without trying it:
    refresh_token --plan

  The token for another program:
    TOKEN=$(refresh_token --print-token)";

const SETUP_EXIT_CODES: &str = "\
Exit codes:
   0  the token in .env works
   2  the command line is wrong
  74  a file cannot be saved or read
  75  nobody answered in time, or passing trouble: run it again
  77  it was denied, or there is nobody to ask
  78  the configuration is wrong";

const SETUP_EXAMPLES: &str = "\
Examples:
  On the first day, and when refresh_token exits with 77:
    setup_oauth

  On a server without a browser, or from a script:
    setup_oauth --device

  Without a question, in a container say:
    setup_oauth --device --client-id C1234… --client-secret-file /run/secrets/app \\
      --target-org-id Y2lz… --integration-client-id C5678… \\
      --integration-client-secret-file /run/secrets/integration";

const CHECK_EXIT_CODES: &str = "\
Exit codes:
   0  the token in .env works
   1  it does not, and refresh_token can replace it
   2  the command line is wrong
  74  a file cannot be read
  75  passing trouble: run it again later
  77  a human must re-authorize
  78  the configuration is wrong";

const CHECK_EXAMPLES: &str = "\
Examples:
  Where everything stands, and by when a human is needed:
    check_token

  For a monitor, without a request:
    check_token --offline --json | jq -r .humanNeededBy";

/// Makes sure that .env holds a service-app access token that Webex accepts.
///
/// A token that works stays. Otherwise the ladder is climbed: the service app's refresh token, then
/// the personal access token, then the integration's refresh token; what they issue is saved before
/// it is used. When none is accepted any more, exit code 77 says that a human must re-authorize.
#[derive(Debug, Parser)]
#[command(
    name = "refresh_token",
    version,
    max_term_width = 100,
    after_long_help = format!("{REFRESH_EXAMPLES}\n\n{REFRESH_EXIT_CODES}"),
    after_help = REFRESH_EXIT_CODES
)]
pub(super) struct RefreshToken {
    #[command(flatten)]
    common: Common,

    /// Climb even if the token is valid
    #[arg(long)]
    pub(super) force: bool,

    /// Refresh a token that lasts less than this, such as 90s, 36h or 14d
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(super) min_validity: SignedDuration,

    /// Say which rungs could be tried and why; no network, no write
    #[arg(long)]
    pub(super) plan: bool,

    /// Print the access token and a newline, and nothing else, on stdout
    #[arg(long, conflicts_with_all = ["json", "plan"], help_heading = "Output")]
    pub(super) print_token: bool,

    /// How long the whole run may take; a grant in flight may finish
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = positive_duration)]
    pub(super) deadline: SignedDuration,

    /// How long to wait for another run, within the deadline
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(super) lock_timeout: SignedDuration,
}

/// Sets up the ladder: from nothing to a working .env, in one sitting.
///
/// It starts from what is there and does the least that works: it asks for what is missing, climbs
/// the ladder, has the integration authorized where that is needed, and ends with a token that Webex
/// has accepted. Run it on the first day, and when `refresh_token` exits with 77.
#[derive(Debug, Parser)]
#[command(
    name = "setup_oauth",
    version,
    max_term_width = 100,
    after_long_help = format!("{SETUP_EXAMPLES}\n\n{SETUP_EXIT_CODES}"),
    after_help = SETUP_EXIT_CODES
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct SetupOauth {
    #[command(flatten)]
    common: Common,

    /// Authorize the integration even if the token works
    #[arg(long)]
    pub(super) reauthorize: bool,

    /// Open a browser, even where no display seems to be
    #[arg(long, group = "manner", help_heading = "Consent")]
    pub(super) browser: bool,

    /// Open no browser: the address is printed, and the answer can be pasted
    #[arg(long, group = "manner", help_heading = "Consent")]
    pub(super) no_browser: bool,

    /// Show a code to enter on another device; needs no terminal
    #[arg(long, group = "manner", help_heading = "Consent")]
    pub(super) device: bool,

    #[arg(
        long,
        value_name = "URI",
        help = "Redirect URI that is registered with the integration [default: \
                http://localhost:3000/callback]",
        help_heading = "Consent"
    )]
    pub(super) redirect_uri: Option<String>,

    /// How long to wait for the person
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5m",
        value_parser = positive_duration,
        help_heading = "Consent"
    )]
    pub(super) timeout: SignedDuration,

    /// The service app's id, instead of its client id
    #[arg(long, value_name = "ID", help_heading = "Values, asked for if missing")]
    pub(super) app_id: Option<String>,

    /// The service app's client id
    #[arg(long, value_name = "ID", help_heading = "Values, asked for if missing")]
    pub(super) client_id: Option<String>,

    /// File that holds the service app's client secret; - for standard input
    #[arg(
        long,
        value_name = "PATH",
        help_heading = "Values, asked for if missing"
    )]
    pub(super) client_secret_file: Option<PathBuf>,

    /// The id of the organization that authorized the service app
    #[arg(long, value_name = "ID", help_heading = "Values, asked for if missing")]
    pub(super) target_org_id: Option<String>,

    /// The integration's client id
    #[arg(long, value_name = "ID", help_heading = "Values, asked for if missing")]
    pub(super) integration_client_id: Option<String>,

    /// File that holds the integration's client secret; - for standard input
    #[arg(
        long,
        value_name = "PATH",
        help_heading = "Values, asked for if missing"
    )]
    pub(super) integration_client_secret_file: Option<PathBuf>,

    /// File that holds a personal access token; - for standard input
    #[arg(
        long,
        value_name = "PATH",
        help_heading = "Values, asked for if missing"
    )]
    pub(super) personal_access_token_file: Option<PathBuf>,
}

/// The path that stands for standard input.
pub(super) const STANDARD_INPUT: &str = "-";

impl SetupOauth {
    /// The files that hold secrets, each with the setting that it is for.
    pub(super) fn secret_files(&self) -> impl Iterator<Item = (Setting, &Path)> {
        let files = [
            (Setting::ClientSecret, &self.client_secret_file),
            (
                Setting::IntegrationClientSecret,
                &self.integration_client_secret_file,
            ),
            (
                Setting::PersonalAccessToken,
                &self.personal_access_token_file,
            ),
        ];
        files
            .into_iter()
            .filter_map(|(setting, path)| Some((setting, path.as_deref()?)))
    }

    /// What is wrong with the command line as a whole.
    pub(super) fn conflict(&self) -> Option<clap::Error> {
        let is_stdin = |(_, path): &(Setting, &Path)| *path == Path::new(STANDARD_INPUT);
        let from_stdin = self.secret_files().filter(is_stdin);
        let flags: Vec<_> = from_stdin
            .filter_map(|(setting, _)| setting.flag())
            .collect();
        if !flags.is_empty() && io::stdin().is_terminal() {
            let message = format!(
                "standard input is a terminal, which would show the secret of {}; leave it out to \
                 be asked for it",
                flags.join(" and ")
            );
            return Some(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        (flags.len() > 1).then(|| {
            let message = format!(
                "standard input holds one secret, and is given for {}; put the others into files",
                flags.join(" and ")
            );
            Self::command().error(ErrorKind::ArgumentConflict, message)
        })
    }
}

/// Says where every credential stands, and by when a human is needed.
///
/// Read-only: it never refreshes, mints, locks or changes a byte. The service-app token is
/// validated with GET /v1/dataSources, the personal access token with tokenExpiry.
#[derive(Debug, Parser)]
#[command(
    name = "check_token",
    version,
    max_term_width = 100,
    after_long_help = format!("{CHECK_EXAMPLES}\n\n{CHECK_EXIT_CODES}"),
    after_help = CHECK_EXIT_CODES
)]
pub(super) struct CheckToken {
    #[command(flatten)]
    common: Common,

    /// Make no request
    #[arg(long)]
    pub(super) offline: bool,
}

impl AsRef<Common> for RefreshToken {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

impl AsRef<Common> for SetupOauth {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

impl AsRef<Common> for CheckToken {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// The command line of `refresh_token`, for what is made from it: completions, manual pages, tests.
#[must_use]
pub fn refresh_token_command() -> Command {
    RefreshToken::command()
}

/// The command line of `setup_oauth`, likewise.
#[must_use]
pub fn setup_oauth_command() -> Command {
    SetupOauth::command()
}

/// The command line of `check_token`, likewise.
#[must_use]
pub fn check_token_command() -> Command {
    CheckToken::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_lines_are_consistent() {
        refresh_token_command().debug_assert();
        check_token_command().debug_assert();
        setup_oauth_command().debug_assert();
    }
}

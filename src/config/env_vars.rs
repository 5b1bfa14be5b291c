//! Every environment variable the programs know, each declared once.
//!
//! The doc comment of a variable is also its description in [`ALL`], from which `--help`, the
//! README and `.env.example` are checked.

/// Where a variable is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Kept in the `.env` file by the programs, and read from that file alone: these are no
    /// settings.
    Managed,
    /// A setting: from the process environment or from `.env`.
    Setting,
    /// From the process environment alone.
    Process,
}

/// A variable and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvVar {
    /// Its name.
    pub name: &'static str,
    /// What it holds, in one line.
    pub doc: &'static str,
    /// Where it is read from.
    pub home: Home,
}

macro_rules! declare {
    ($($home:ident { $(#[doc = $doc:literal] $name:ident)+ })+) => {
        $($(
            #[doc = $doc]
            pub const $name: &str = stringify!($name);
        )+)+

        /// Every variable, in reading order.
        pub const ALL: &[EnvVar] = &[$($(
            EnvVar { name: $name, doc: $doc.trim_ascii(), home: Home::$home },
        )+)+];
    };
}

declare! {
    Managed {
        /// Access token of the service app; written by these programs.
        WEBEX_SERVICE_APP_ACCESS_TOKEN
        /// Refresh token of the service app; written by these programs.
        WEBEX_SERVICE_APP_REFRESH_TOKEN
        /// Since when a human must authorize again; written and removed by these programs.
        WEBEX_REAUTHORIZATION_REQUIRED
    }
    Setting {
        /// Id of the service app; computed from the client id if left out.
        WEBEX_SERVICE_APP_ID
        /// Client id of the service app.
        WEBEX_SERVICE_APP_CLIENT_ID
        /// Client secret of the service app.
        WEBEX_SERVICE_APP_CLIENT_SECRET
        /// Id of the organization that authorized the service app.
        WEBEX_TARGET_ORG_ID
        /// Personal access token of the service app's owner; a seed, replaced by what the integration issues.
        WEBEX_PERSONAL_ACCESS_TOKEN
        /// Client id of the optional integration.
        WEBEX_INTEGRATION_CLIENT_ID
        /// Client secret of the optional integration.
        WEBEX_INTEGRATION_CLIENT_SECRET
        /// Refresh token of the optional integration; a seed, replaced by what the integration issues.
        WEBEX_INTEGRATION_REFRESH_TOKEN
        /// Redirect URI that is registered with the integration; `http://localhost:3000/callback` if left out.
        WEBEX_INTEGRATION_REDIRECT_URI
        /// Base URL of the Webex API; `https://webexapis.com/v1` if left out.
        WEBEX_API_BASE_URL
        /// Authorization endpoint; `/authorize` below the API's base URL if left out.
        WEBEX_AUTHORIZE_URL
        /// Token endpoint; `/access_token` below the API's base URL if left out.
        WEBEX_TOKEN_URL
        /// Path of the configuration file; token-config.json if left out.
        WEBEX_TOKEN_CONFIG
    }
    Process {
        /// Path of the .env file; .env if left out.
        WEBEX_ENV_FILE
        /// Proxy for requests to Webex, also read in lower case.
        HTTPS_PROXY
        /// Proxy for requests to Webex where `HTTPS_PROXY` is unset, also read in lower case.
        ALL_PROXY
        /// Hosts reached without the proxy, separated by commas, also read in lower case.
        NO_PROXY
        /// File with the only certificates to be trusted, in PEM.
        SSL_CERT_FILE
        /// Directories with the only certificates to be trusted, separated as in `PATH`.
        SSL_CERT_DIR
        /// What is logged, such as `debug` or `webex_tokens=trace`.
        RUST_LOG
        /// If set, nothing is colored.
        NO_COLOR
        /// What kind of terminal this is; a `dumb` one is sent plain lines.
        TERM
        /// The X11 display: with one, a browser can be opened.
        DISPLAY
        /// The Wayland display, likewise.
        WAYLAND_DISPLAY
        /// The command that opens a browser.
        BROWSER
        /// Set over SSH, where a browser would open on the wrong machine.
        SSH_CONNECTION
        /// Where state is kept that has no better place; ~/.local/state if left out.
        XDG_STATE_HOME
        /// The home directory.
        HOME
        /// On Windows, where state is kept that has no better place.
        LOCALAPPDATA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_shows_each_variable_a_dotenv_file_can_hold_under_its_description() {
        let lines: Vec<_> = include_str!("../../.env.example").lines().collect();
        let is_assignment = |line: &str| line.contains('=');
        let shown: Vec<_> = lines
            .windows(2)
            .filter(|pair| is_assignment(pair[1]))
            .map(<[&str]>::concat)
            .collect();
        let expected: Vec<_> = ALL
            .iter()
            .filter_map(|variable| match variable.home {
                Home::Managed => Some(format!("# {}{}=", variable.doc, variable.name)),
                Home::Setting => Some(format!("# {}# {}=", variable.doc, variable.name)),
                Home::Process => None,
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_example_can_be_read_as_it_is_and_with_every_setting_filled_in() {
        let example = include_str!("../../.env.example");
        let filled = example
            .replace("# WEBEX_", "WEBEX_")
            .replace("=\n", "=value\n");
        for (text, homes) in [
            (example, &[Home::Managed][..]),
            (&filled, &[Home::Managed, Home::Setting]),
        ] {
            let names: Vec<_> = dotenvy::from_read_iter(text.as_bytes())
                .map(|pair| pair.expect("an assignment").0)
                .collect();
            let expected = ALL.iter().filter(|variable| homes.contains(&variable.home));
            assert!(
                names.iter().eq(expected.map(|variable| variable.name)),
                "{names:?}"
            );
        }
    }

    #[test]
    fn descriptions_are_one_sentence_each() {
        for EnvVar { name, doc, .. } in ALL {
            assert!(doc.ends_with('.') && doc.len() < 110, "{name}: {doc}");
        }
    }
}

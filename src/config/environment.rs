//! The environment of the process, as a value.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

use super::problem::{Place, Problem, ProblemKind};
use super::{Sources, env_vars};

/// The variables that concern these programs, read once. An empty variable counts as unset.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

/// Which certificates are trusted instead of the system's, if anything is set here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// A file of certificates in PEM (`SSL_CERT_FILE`).
    pub ssl_cert_file: Option<PathBuf>,
    /// Directories of such files (`SSL_CERT_DIR`).
    pub ssl_cert_dirs: Vec<PathBuf>,
}

/// The proxy for requests to Webex. Its URL may hold a password.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// The proxy's URL (`HTTPS_PROXY`, else `ALL_PROXY`), always with a scheme.
    pub https: Option<SecretString>,
    /// The hosts reached without it (`NO_PROXY`).
    pub no_proxy: Option<String>,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn capture() -> Self {
        let variables = std::env::vars_os();
        variables
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .collect()
    }

    /// The variable's value, unless empty.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    fn in_either_case(&self, name: &str) -> Option<(String, &OsStr)> {
        [name.to_owned(), name.to_lowercase()]
            .into_iter()
            .find_map(|name| self.get(&name).map(|value| (name.clone(), value)))
    }
}

/// What of the environment is no setting of Webex.
impl Sources {
    /// Which certificates to trust.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let variable = |name| self.environment.get(name);
        let dirs = variable(env_vars::SSL_CERT_DIR).map(std::env::split_paths);
        Trust {
            ssl_cert_file: variable(env_vars::SSL_CERT_FILE).map(PathBuf::from),
            ssl_cert_dirs: dirs.map(Iterator::collect).unwrap_or_default(),
        }
    }

    /// Which proxy to use for all hosts but this machine.
    ///
    /// # Errors
    ///
    /// The proxy is not an http or https URL, nor a host and port.
    pub fn proxies(&self) -> Result<Proxies, Problem> {
        let https = [env_vars::HTTPS_PROXY, env_vars::ALL_PROXY]
            .into_iter()
            .find_map(|name| self.environment.in_either_case(name));
        let https = https.map(|(name, value)| {
            proxy_url(value).ok_or_else(|| {
                Problem::new(Place::Environment, None, Some(name), ProblemKind::Proxy)
            })
        });
        let no_proxy = self.environment.in_either_case(env_vars::NO_PROXY);
        Ok(Proxies {
            https: https.transpose()?,
            no_proxy: no_proxy.map(|(_, hosts)| hosts.to_string_lossy().into_owned()),
        })
    }

    /// The folder for state that has no better place, whether it exists or not:
    /// `$XDG_STATE_HOME/webex-tokens`, else the same under `~/.local/state`, or
    /// `%LOCALAPPDATA%` on Windows.
    #[must_use]
    pub fn state_home(&self) -> Option<PathBuf> {
        let folder = |name| self.environment.get(name).map(PathBuf::from);
        // The XDG Base Directory Specification has relative paths ignored.
        folder(env_vars::XDG_STATE_HOME)
            .filter(|path| path.is_absolute())
            .or_else(|| {
                if cfg!(windows) {
                    folder(env_vars::LOCALAPPDATA)
                } else {
                    folder(env_vars::HOME).map(|home| home.join(".local/state"))
                }
            })
            .map(|state| state.join("webex-tokens"))
    }

    /// What to log.
    #[must_use]
    pub fn rust_log(&self) -> Option<&str> {
        self.environment.get(env_vars::RUST_LOG)?.to_str()
    }

    /// Whether the terminal can do no more than print lines.
    #[must_use]
    pub fn is_dumb(&self) -> bool {
        let term = self.environment.get(env_vars::TERM);
        cfg!(unix) && term.is_none_or(|term| term == "dumb")
    }

    /// Whether a browser that is opened here is likely to be seen by the person at the terminal.
    #[must_use]
    pub fn is_display_likely(&self) -> bool {
        let is_set = |name| self.environment.get(name).is_some();
        if is_set(env_vars::SSH_CONNECTION) {
            return false;
        }
        cfg!(any(windows, target_os = "macos"))
            || is_set(env_vars::DISPLAY)
            || is_set(env_vars::WAYLAND_DISPLAY)
            || is_set(env_vars::BROWSER)
    }

    /// Whether color is unwanted, or nothing that the terminal could show.
    #[must_use]
    pub fn no_color(&self) -> bool {
        self.environment.get(env_vars::NO_COLOR).is_some() || self.is_dumb()
    }
}

/// The folder that the running program lies in, where its siblings are likely to lie, too.
#[must_use]
pub fn folder_of_programs() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.to_owned())
}

fn proxy_url(value: &OsStr) -> Option<SecretString> {
    let text = value.to_str()?.trim();
    // As for curl, `proxy.example:3128` is an http proxy.
    let url = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let parsed = url::Url::parse(&url).ok()?;
    matches!(parsed.scheme(), "http" | "https").then(|| url.into())
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    /// Keeps the variables that are declared in [`env_vars`].
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let is_ours = |name: &str| {
            env_vars::ALL.iter().any(|ours| {
                ours.name == name
                    || ours.name.ends_with("_PROXY") && ours.name.to_lowercase() == name
            })
        };
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter(|(name, value)| is_ours(name) && !value.is_empty());
        Self(variables.collect())
    }
}

impl fmt::Debug for Environment {
    /// Shows the names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    type Variables = &'static [(&'static str, &'static str)];

    fn sources<V: Into<OsString>>(
        variables: impl IntoIterator<Item = (&'static str, V)>,
    ) -> Sources {
        Sources {
            environment: variables.into_iter().collect(),
            ..Sources::default()
        }
    }

    #[test]
    fn only_declared_variables_are_kept_and_only_their_names_shown() {
        let sources = sources([
            ("WEBEX_PERSONAL_ACCESS_TOKEN", "canary"),
            ("https_proxy", "http://user:canary@proxy"),
            ("AWS_SECRET_ACCESS_KEY", "canary"),
            ("WEBEX_TARGET_ORG_ID", ""),
        ]);
        assert_eq!(
            format!("{:?}", sources.environment),
            r#"{"WEBEX_PERSONAL_ACCESS_TOKEN", "https_proxy"}"#
        );
        let proxies = sources.proxies().expect("a proxy");
        assert!(!format!("{proxies:?}").contains("canary"), "{proxies:?}");
    }

    #[test]
    fn the_proxy_has_a_scheme_or_gets_one() {
        let table: [(Variables, Result<Option<&str>, &str>); 9] = [
            (&[], Ok(None)),
            (&[("HTTPS_PROXY", "http://p:1")], Ok(Some("http://p:1"))),
            (&[("https_proxy", "https://p")], Ok(Some("https://p"))),
            (&[("https_proxy", "p:3128")], Ok(Some("http://p:3128"))),
            (
                &[("HTTPS_PROXY", "a"), ("https_proxy", "b")],
                Ok(Some("http://a")),
            ),
            (
                &[("ALL_PROXY", "a"), ("https_proxy", "b")],
                Ok(Some("http://b")),
            ),
            (&[("all_proxy", "a")], Ok(Some("http://a"))),
            (&[("ALL_PROXY", "socks5://u:canary@p")], Err("ALL_PROXY")),
            (&[("https_proxy", "http://u:canary@")], Err("https_proxy")),
        ];
        for (variables, expected) in table {
            match (sources(variables.iter().copied()).proxies(), expected) {
                (Ok(found), Ok(url)) => {
                    assert_eq!(found.https.as_ref().map(ExposeSecret::expose_secret), url);
                }
                (Err(problem), Err(name)) => {
                    assert_eq!(problem.key.as_deref(), Some(name));
                    assert!(!problem.to_string().contains("canary"), "{problem}");
                }
                (found, _) => panic!("{variables:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn certificates_and_hosts_without_proxy_are_lists() {
        let sources = sources([
            ("SSL_CERT_FILE", "/etc/ca.pem"),
            ("no_proxy", "a.example,b.example"),
        ]);
        assert_eq!(sources.trust().ssl_cert_file, Some("/etc/ca.pem".into()));
        assert!(sources.trust().ssl_cert_dirs.is_empty());
        let proxies = sources.proxies().expect("no proxy");
        assert_eq!(proxies.no_proxy.as_deref(), Some("a.example,b.example"));

        let dirs = ["/etc/a", "/etc/b"];
        let joined = std::env::join_paths(dirs).expect("two folders");
        let sources = self::sources([("SSL_CERT_DIR", joined)]);
        assert_eq!(sources.trust().ssl_cert_dirs, dirs.map(PathBuf::from));
    }

    #[cfg(unix)]
    #[test]
    fn the_state_folder_follows_the_xdg_specification() {
        let table: [(Variables, Option<&str>); 5] = [
            (&[], None),
            (&[("HOME", "/h")], Some("/h/.local/state/webex-tokens")),
            (
                &[("HOME", "/h"), ("XDG_STATE_HOME", "/s")],
                Some("/s/webex-tokens"),
            ),
            (
                &[("HOME", "/h"), ("XDG_STATE_HOME", "s")],
                Some("/h/.local/state/webex-tokens"),
            ),
            (
                &[("HOME", "/h"), ("XDG_STATE_HOME", "")],
                Some("/h/.local/state/webex-tokens"),
            ),
        ];
        for (variables, expected) in table {
            let found = sources(variables.iter().copied()).state_home();
            assert_eq!(found, expected.map(PathBuf::from), "{variables:?}");
        }
    }
}

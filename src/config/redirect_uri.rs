//! The redirect URI that is registered with the integration (RFC 6749 §3.1.2).

use core::net::Ipv4Addr;

use url::{Host, Url};

/// Where Webex sends the browser with the answer.
///
/// Webex compares it with what is registered, so what goes on the wire is the text as it was given,
/// byte for byte: a parsed URL would bring a slash for an empty path, or drop `:80`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri {
    text: String,
    url: Url,
}

/// The part of a redirect URI that a listener on this machine needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loopback {
    /// The IPv4 address to listen on, beside `[::1]`: 127.0.0.1, unless the URI names another.
    pub ipv4: Ipv4Addr,
    /// The port.
    pub port: u16,
    /// The path, encoded as a browser sends it.
    pub path: String,
}

/// Why a text cannot be a redirect URI. The text itself is not told: a password may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    /// It cannot be parsed, or has characters in it that no URL is written with.
    #[error("not a whole URL, such as http://localhost:3000/callback")]
    Malformed,
    /// It has a fragment (RFC 6749 §3.1.2 forbids one).
    #[error("has a fragment (#…) in it")]
    Fragment,
    /// It has a user name or a password in it.
    #[error("has user info in it")]
    UserInfo,
    /// It would carry the code over the network in the clear.
    #[error("plain http is for this machine alone (localhost, 127.0.0.0/8, [::1])")]
    PlainHttp,
}

impl RedirectUri {
    /// What is registered, if nothing else is said.
    pub const DEFAULT: &str = "http://localhost:3000/callback";

    /// Parses a redirect URI: http to this machine, https, or a scheme of an application's own
    /// (RFC 8252 §7.1).
    ///
    /// # Errors
    ///
    /// Webex would not take the text as a redirect URI, or a code sent there would not be safe.
    pub fn parse(text: &str) -> Result<Self, RedirectUriError> {
        use RedirectUriError::*;
        // The parser drops line breaks and spaces at the ends; what is registered has none.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Malformed);
        }
        let url = Url::parse(text).map_err(|_| Malformed)?;
        // `localhost:3000/callback` lacks its `http://`, and would pass for a scheme of its own.
        if url.scheme() == "localhost" {
            return Err(Malformed);
        }
        if url.port() == Some(0) {
            return Err(Malformed);
        }
        if url.fragment().is_some() {
            return Err(Fragment);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UserInfo);
        }
        if url.scheme() == "http" && loopback_ipv4(&url).is_none() {
            return Err(PlainHttp);
        }
        Ok(Self {
            text: text.to_owned(),
            url,
        })
    }

    /// The URI as it was given: for the wire and for people.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URI as a browser understands it.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Where to listen for the browser; `None` where the answer arrives somewhere else, and can
    /// only be pasted.
    #[must_use]
    pub fn loopback(&self) -> Option<Loopback> {
        if self.url.scheme() != "http" {
            return None;
        }
        Some(Loopback {
            ipv4: loopback_ipv4(&self.url)?,
            port: self.url.port_or_known_default()?,
            path: self.url.path().to_owned(),
        })
    }
}

impl Default for RedirectUri {
    fn default() -> Self {
        Self::parse(Self::DEFAULT).expect("the default is a redirect URI")
    }
}

/// The IPv4 loopback address that goes with the URL's host, if that is this machine.
fn loopback_ipv4(url: &Url) -> Option<Ipv4Addr> {
    match url.host()? {
        Host::Domain(name) => (name == "localhost").then_some(Ipv4Addr::LOCALHOST),
        Host::Ipv4(address) => address.is_loopback().then_some(address),
        Host::Ipv6(address) => address.is_loopback().then_some(Ipv4Addr::LOCALHOST),
    }
}

#[cfg(test)]
mod tests {
    use super::RedirectUriError::*;
    use super::*;

    fn loopback(ipv4: [u8; 4], port: u16, path: &str) -> Loopback {
        Loopback {
            ipv4: ipv4.into(),
            port,
            path: path.to_owned(),
        }
    }

    #[test]
    fn only_http_to_this_machine_can_be_listened_for() {
        let local = [127, 0, 0, 1];
        let table = [
            (
                RedirectUri::DEFAULT,
                Ok(Some(loopback(local, 3000, "/callback"))),
            ),
            ("http://localhost", Ok(Some(loopback(local, 80, "/")))),
            ("http://LOCALHOST:80", Ok(Some(loopback(local, 80, "/")))),
            (
                "HTTP://127.0.0.1:6001/redirect",
                Ok(Some(loopback(local, 6001, "/redirect"))),
            ),
            (
                "http://127.0.0.9:1/",
                Ok(Some(loopback([127, 0, 0, 9], 1, "/"))),
            ),
            (
                "http://[::1]:8765/a/b%20c?d=e",
                Ok(Some(loopback(local, 8765, "/a/b%20c"))),
            ),
            ("https://localhost:3000/callback", Ok(None)),
            ("https://oauth.example.com/callback?a=b", Ok(None)),
            ("com.example.app:/callback", Ok(None)),
            ("urn:ietf:wg:oauth:2.0:oob", Ok(None)),
            ("http://example.com/callback", Err(PlainHttp)),
            ("http://localhost.example.com/", Err(PlainHttp)),
            ("http://localhost./", Err(PlainHttp)),
            ("http://0.0.0.0:3000/", Err(PlainHttp)),
            ("http://192.168.1.2:3000/", Err(PlainHttp)),
            ("http://[::ffff:127.0.0.1]/", Err(PlainHttp)),
            ("http://localhost@example.com/", Err(UserInfo)),
            ("http://:canary@localhost:3000/", Err(UserInfo)),
            ("http://localhost:3000/callback#", Err(Fragment)),
            ("http://localhost:3000/#a", Err(Fragment)),
            ("localhost:3000/callback", Err(Malformed)),
            ("127.0.0.1:3000/callback", Err(Malformed)),
            ("/callback", Err(Malformed)),
            ("http://localhost:99999/", Err(Malformed)),
            (" http://localhost:3000/", Err(Malformed)),
            ("http://localhost:3000/call\nback", Err(Malformed)),
            ("http://localhost:3000/ä", Err(Malformed)),
            ("", Err(Malformed)),
        ];
        for (text, expected) in table {
            let found = RedirectUri::parse(text).map(|uri| uri.loopback());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn the_text_stays_as_it_was_registered() {
        for text in ["http://localhost:80", "HTTP://LocalHost:3000/A/../b"] {
            assert_eq!(
                RedirectUri::parse(text).map(|uri| uri.as_str().to_owned()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(RedirectUri::default().as_str(), RedirectUri::DEFAULT);
    }
}

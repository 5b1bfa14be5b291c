//! The base URL of the Webex API: https, or plain http to this machine.

use url::{Host, Url};

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiBase {
    url: Url,
    host: String,
    loopback: bool,
}

/// Why a text cannot be the base URL. The text itself is not told: a password may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiBaseError {
    /// It cannot be parsed.
    #[error("not a URL")]
    Malformed,
    /// It is neither https nor http.
    #[error("not an https URL")]
    Scheme,
    /// It is http to some other machine.
    #[error("plain http is for this machine alone (localhost, 127.0.0.0/8, [::1])")]
    PlainHttp,
    /// It has a user name or a password in it.
    #[error("has user info in it")]
    UserInfo,
    /// It has a query or a fragment.
    #[error("has a query or a fragment in it")]
    QueryOrFragment,
}

impl ApiBase {
    /// Where Webex is, if nothing else is said.
    pub const DEFAULT: &str = "https://webexapis.com/v1";

    /// Parses a base URL.
    ///
    /// What counts is the host as parsed, and the parsed form is what is kept: a name that begins
    /// like a loopback address is a name, and `http://2130706433` is `http://127.0.0.1`.
    ///
    /// # Errors
    ///
    /// The text is not a URL with a host alone and a path, or its transport is not secure.
    pub fn parse(text: &str) -> Result<Self, ApiBaseError> {
        let (mut url, loopback) = secure(text)?;
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self {
            host: url.authority().to_owned(),
            loopback,
            url,
        })
    }

    /// The URL, without a slash at the end of its path, unless that is all of the path.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The host, with its port if that is not the usual one: for messages.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether this is the machine itself, which is reached past every proxy.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }
}

/// An OAuth endpoint that does not lie where Webex's does (RFC 6749 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    loopback: bool,
}

impl Endpoint {
    /// Parses the URL of an endpoint, by the same rules as that of the API; its path stays as it
    /// is.
    ///
    /// # Errors
    ///
    /// The text is not a URL with a host alone and a path, or its transport is not secure.
    pub fn parse(text: &str) -> Result<Self, ApiBaseError> {
        secure(text).map(|(url, loopback)| Self { url, loopback })
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether this is the machine itself, which is reached past every proxy.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }
}

/// The URL, and whether it is that of this machine.
fn secure(text: &str) -> Result<(Url, bool), ApiBaseError> {
    use ApiBaseError::*;
    let url = Url::parse(text).map_err(|_| Malformed)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UserInfo);
    }
    let loopback = match url.host().ok_or(Scheme)? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err(PlainHttp),
        _ => return Err(Scheme),
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(QueryOrFragment);
    }
    Ok((url, loopback))
}

#[cfg(test)]
mod tests {
    use super::ApiBaseError::*;
    use super::*;

    #[test]
    fn https_goes_anywhere_and_http_to_this_machine_alone() {
        let table = [
            (
                ApiBase::DEFAULT,
                Ok((ApiBase::DEFAULT, "webexapis.com", false)),
            ),
            (
                "https://api-usgov.webex.com/v1/",
                Ok((
                    "https://api-usgov.webex.com/v1",
                    "api-usgov.webex.com",
                    false,
                )),
            ),
            (
                "HTTPS://WebexAPIs.com//",
                Ok(("https://webexapis.com/", "webexapis.com", false)),
            ),
            (
                "https://localhost:8443/v1",
                Ok(("https://localhost:8443/v1", "localhost:8443", true)),
            ),
            (
                "http://localhost:80/v1",
                Ok(("http://localhost/v1", "localhost", true)),
            ),
            (
                "http://LOCALHOST",
                Ok(("http://localhost/", "localhost", true)),
            ),
            (
                "http://127.0.0.1:9/v1",
                Ok(("http://127.0.0.1:9/v1", "127.0.0.1:9", true)),
            ),
            (
                "http://127.255.0.9",
                Ok(("http://127.255.0.9/", "127.255.0.9", true)),
            ),
            (
                "http://2130706433",
                Ok(("http://127.0.0.1/", "127.0.0.1", true)),
            ),
            ("http://[::1]:9", Ok(("http://[::1]:9/", "[::1]:9", true))),
            ("http://webexapis.com/v1", Err(PlainHttp)),
            ("http://127.0.0.1.evil.com", Err(PlainHttp)),
            ("http://localhost.evil.com", Err(PlainHttp)),
            ("http://localhost.", Err(PlainHttp)),
            ("http://128.0.0.1", Err(PlainHttp)),
            ("http://0.0.0.0", Err(PlainHttp)),
            ("http://[::ffff:127.0.0.1]", Err(PlainHttp)),
            ("http://[::2]", Err(PlainHttp)),
            ("http://localhost@evil.com", Err(UserInfo)),
            ("http://localhost:x@evil.com", Err(UserInfo)),
            ("http://evil.com\\@localhost", Err(PlainHttp)),
            ("https://user:canary@webexapis.com/v1", Err(UserInfo)),
            ("https://:canary@webexapis.com/v1", Err(UserInfo)),
            ("http://user@127.0.0.1", Err(UserInfo)),
            ("https://webexapis.com/v1?a=b", Err(QueryOrFragment)),
            ("https://webexapis.com/v1?", Err(QueryOrFragment)),
            ("https://webexapis.com/v1#a", Err(QueryOrFragment)),
            ("ftp://webexapis.com", Err(Scheme)),
            ("file:///v1", Err(Scheme)),
            ("localhost:8080", Err(Scheme)),
            ("webexapis.com/v1", Err(Malformed)),
            ("https://", Err(Malformed)),
            ("https://a b", Err(Malformed)),
            ("", Err(Malformed)),
        ];
        for (text, expected) in table {
            let found = ApiBase::parse(text);
            let found = found
                .as_ref()
                .map(|api| (api.url().as_str(), api.host(), api.is_loopback()));
            assert_eq!(found, expected.as_ref().map(|ok| *ok), "{text}");
        }
    }
}

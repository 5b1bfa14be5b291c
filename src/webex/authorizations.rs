//! `GET /v1/authorizations/tokenExpiry`: when a bearer token expires (Webex "Authorizations").

use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use url::Url;

use super::{Client, Prepared, Reading};
use crate::token::AccessToken;

impl Client {
    /// Asks when `token` expires; the answer is `{"exp": <milliseconds>}`.
    pub(crate) fn token_expiry(&self, token: &AccessToken) -> Prepared {
        let url = self.url(&["authorizations", "tokenExpiry"]);
        authorized(Method::GET, url, token, Reading::Whole)
    }
}

/// A request with a bearer token (RFC 6750 §2.1).
pub(super) fn authorized(
    method: Method,
    url: Url,
    token: &AccessToken,
    reading: Reading,
) -> Prepared {
    let mut request = reqwest::Request::new(method, url);
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // A token that no header can carry cannot be accepted either: Webex's 401 says so.
    if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", token.expose())) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Prepared {
        request,
        reading,
        secrets: vec![token.expose().into()],
    }
}

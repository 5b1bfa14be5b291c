//! The keys that an issuer of tokens publishes for everybody (RFC 7517).

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, Request};
use url::Url;

use super::{Client, Prepared, Reading};

impl Client {
    /// Asks for the keys at `url`. No token goes there: an issuer is not the API.
    #[expect(
        clippy::unused_self,
        reason = "requests are made by the client that sends them"
    )]
    pub(crate) fn keys(&self, url: Url) -> Prepared {
        let mut request = Request::new(Method::GET, url);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(ACCEPT, json);
        Prepared {
            request,
            reading: Reading::Whole,
            secrets: Vec::new(),
        }
    }
}

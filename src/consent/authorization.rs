//! The authorization request (RFC 6749 §4.1.1) with PKCE (RFC 7636, S256).
//!
//! `state` ties the answer to this request and the code verifier ties the exchange to it. Each has
//! 256 bits and is used once: another try is another [`Authorization`].

use std::fmt;

use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope};
use url::Url;

use super::callback::{self, Callback, CallbackError};
use crate::config::RedirectUri;
use crate::token::{CodeVerifier, Fingerprint};

/// How many random bytes `state` and the code verifier are made of.
const RANDOM_BYTES: u32 = 32;

/// One question to the person at Webex's consent page, and what its answer is known by.
#[derive(Clone)]
pub struct Authorization {
    url: Url,
    redirect_uri: RedirectUri,
    state: Fingerprint,
    code_verifier: CodeVerifier,
}

impl Authorization {
    /// Asks at `authorize_url` for `scopes`, with a `state` and a code verifier of its own.
    #[must_use]
    pub fn new(
        authorize_url: &Url,
        client_id: &str,
        redirect_uri: &RedirectUri,
        scopes: &[&str],
    ) -> Self {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256_len(RANDOM_BYTES);
        let (url, state) = BasicClient::new(ClientId::new(client_id.to_owned()))
            .set_auth_uri(AuthUrl::from_url(authorize_url.clone()))
            .set_redirect_uri(as_registered(redirect_uri))
            .authorize_url(|| CsrfToken::new_random_len(RANDOM_BYTES))
            .add_scopes(scopes.iter().map(|scope| Scope::new((*scope).to_owned())))
            .set_pkce_challenge(challenge)
            .url();
        Self {
            url,
            redirect_uri: redirect_uri.clone(),
            state: Fingerprint::of(state.secret()),
            code_verifier: CodeVerifier::new(verifier.into_secret()),
        }
    }

    /// Where the person's browser is to go.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Where the answer is sent: the exchange of the code must name it again.
    #[must_use]
    pub fn redirect_uri(&self) -> &RedirectUri {
        &self.redirect_uri
    }

    /// What the exchange of the code must bring (RFC 7636 §4.5).
    #[must_use]
    pub fn code_verifier(&self) -> CodeVerifier {
        self.code_verifier.clone()
    }

    /// Reads the query that came with a redirect, as it arrived; a `?` or `#` may stand before it.
    ///
    /// # Errors
    ///
    /// It does not answer this request. That says nothing about the request: anybody may send
    /// anything to a listener, and its true answer may still come.
    pub fn read(&self, query: &str) -> Result<Callback, CallbackError> {
        callback::read(query, &self.state)
    }
}

/// The redirect URI, byte for byte.
fn as_registered(redirect_uri: &RedirectUri) -> RedirectUrl {
    RedirectUrl::new(redirect_uri.as_str().to_owned()).expect("a redirect URI is a URL")
}

impl fmt::Debug for Authorization {
    /// Leaves out the URL: `state` is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::super::pasted;
    use super::*;

    fn authorization() -> Authorization {
        let authorize_url = Url::parse("https://webexapis.com/v1/authorize").unwrap();
        let redirect_uri = RedirectUri::parse("http://localhost:80").unwrap();
        Authorization::new(
            &authorize_url,
            "C123&4",
            &redirect_uri,
            &["spark:applications_token", "spark:people_read"],
        )
    }

    fn parameters(authorization: &Authorization) -> HashMap<String, String> {
        authorization.url().query_pairs().into_owned().collect()
    }

    #[test]
    fn the_request_says_what_the_standards_ask_for() {
        let authorization = authorization();
        let mut sent = parameters(&authorization);
        let state = sent.remove("state").unwrap();
        let challenge = sent.remove("code_challenge").unwrap();
        let expected = [
            ("response_type", "code"),
            ("client_id", "C123&4"),
            ("redirect_uri", "http://localhost:80"),
            ("scope", "spark:applications_token spark:people_read"),
            ("code_challenge_method", "S256"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(sent, HashMap::from(expected));
        assert!(
            authorization
                .url()
                .as_str()
                .starts_with("https://webexapis.com/v1/authorize?response_type=code&")
        );

        let verifier = authorization.code_verifier();
        let digest = Sha256::digest(verifier.expose());
        assert_eq!(challenge, BASE64_URL_SAFE_NO_PAD.encode(digest));
        for random in [state.as_str(), verifier.expose()] {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(random).unwrap();
            assert!(bytes.len() * 8 >= 256);
        }
    }

    #[test]
    fn an_address_with_a_query_keeps_it() {
        let authorize_url = Url::parse("https://example.com/authorize?tenant=a").unwrap();
        let authorization = Authorization::new(&authorize_url, "C1", &RedirectUri::default(), &[]);
        let sent = parameters(&authorization);
        assert_eq!(sent.get("tenant").map(String::as_str), Some("a"));
        assert_eq!(sent.get("scope"), None);
    }

    #[test]
    fn no_two_requests_share_anything() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let authorization = authorization();
            assert!(seen.insert(parameters(&authorization).remove("state").unwrap()));
            assert!(seen.insert(authorization.code_verifier().expose().to_owned()));
        }
    }

    #[test]
    fn the_answer_to_another_request_is_not_believed() {
        let one = authorization();
        let state = parameters(&one).remove("state").unwrap();
        let query = format!("code=abc&state={state}");
        assert!(matches!(one.read(&query), Ok(Callback::Code(_))));
        assert_eq!(
            authorization().read(&query).unwrap_err(),
            CallbackError::WrongState
        );
    }

    #[test]
    fn debug_shows_neither_state_nor_verifier() {
        let authorization = authorization();
        let shown = format!("{authorization:?}");
        assert!(!shown.contains(&parameters(&authorization)["state"]));
        assert!(!shown.contains(authorization.code_verifier().expose()));
    }

    proptest! {
        /// Whatever the code is made of (RFC 6749 §A.11), it survives the way through the browser,
        /// and through the person who copies the address.
        #[test]
        fn a_code_comes_through_the_redirect_as_it_was_issued(
            code in "[ -~]{1,80}", extra in "[a-z]{0,5}"
        ) {
            let authorization = authorization();
            let mut redirect = authorization.redirect_uri().url().clone();
            redirect
                .query_pairs_mut()
                .append_pair("session", &extra)
                .append_pair("code", &code)
                .append_pair("state", &parameters(&authorization)["state"]);
            for query in [redirect.query().unwrap().to_owned(), pasted(redirect.as_str()).unwrap()] {
                let Ok(Callback::Code(read)) = authorization.read(&query) else {
                    panic!("no code in {query}");
                };
                prop_assert_eq!(read.expose(), &code);
            }
        }

        #[test]
        fn a_refusal_comes_through_in_words_fit_to_be_shown(description in any::<String>()) {
            let authorization = authorization();
            let mut redirect = authorization.redirect_uri().url().clone();
            redirect
                .query_pairs_mut()
                .append_pair("error", "invalid_scope")
                .append_pair("error_description", &description)
                .append_pair("state", &parameters(&authorization)["state"]);
            let Ok(Callback::Refused { error, description }) =
                authorization.read(redirect.query().unwrap())
            else {
                panic!("no refusal");
            };
            prop_assert_eq!(error, "invalid_scope");
            let shown = description.unwrap_or_default();
            prop_assert!(shown.chars().count() <= 300);
            prop_assert!(!shown.chars().any(char::is_control));
        }

        #[test]
        fn nothing_that_arrives_is_believed_or_makes_it_panic(
            query in prop_oneof![any::<String>(), "([?#&=%+]|state|code|error|[a-f0-9]){0,30}"]
        ) {
            prop_assert!(authorization().read(&query).is_err());
        }
    }
}

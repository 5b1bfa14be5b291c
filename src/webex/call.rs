//! A call of any resource of Webex's API with a bearer token, and the link to the next page.

use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use super::authorizations::authorized;
use super::{Client, Prepared, Reading};
use crate::ids::is_uuid;
use crate::token::AccessToken;

/// How long a list may take to arrive: 32 MiB over a slow line. Silence ends it earlier.
const LIST_TIMEOUT: Duration = Duration::from_mins(2);

/// The methods of Webex's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads, and may be repeated whatever became of it.
    Get,
    /// Makes something new each time.
    Post,
    /// Replaces something whole.
    Put,
    /// Removes something.
    Delete,
}

/// One call, whatever token it is sent with. What it sends is not shown by `Debug`.
#[derive(Clone)]
pub struct Call {
    method: Method,
    target: Target,
    body: Option<Vec<u8>>,
    stale_at: Option<Instant>,
    /// What of the body no text that comes back may repeat.
    secrets: Vec<SecretString>,
}

#[derive(Clone)]
enum Target {
    /// Segments below the API's base.
    Path(Vec<String>),
    /// An address that Webex gave.
    Url(Url),
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl Call {
    /// Reads what is at this path below the API's base: `&["dataSources"]`.
    #[must_use]
    pub fn get(path: &[&str]) -> Self {
        Self::new(Method::Get, path)
    }

    /// Reads what is at an address that Webex gave, such as the next page's. The bearer token goes
    /// there: the caller has made sure that it is Webex.
    #[must_use]
    pub(crate) fn get_at(url: Url) -> Self {
        Self {
            method: Method::Get,
            target: Target::Url(url),
            body: None,
            stale_at: None,
            secrets: Vec::new(),
        }
    }

    /// Makes something new.
    #[must_use]
    pub fn post(path: &[&str], body: &Map<String, Value>) -> Self {
        Self::new(Method::Post, path).with(body)
    }

    /// Replaces what is there.
    #[must_use]
    pub fn put(path: &[&str], body: &Map<String, Value>) -> Self {
        Self::new(Method::Put, path).with(body)
    }

    /// Removes what is there.
    #[must_use]
    pub fn delete(path: &[&str]) -> Self {
        Self::new(Method::Delete, path)
    }

    fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|&segment| segment.to_owned());
        Self {
            method,
            target: Target::Path(path.collect()),
            body: None,
            stale_at: None,
            secrets: Vec::new(),
        }
    }

    fn with(mut self, body: &Map<String, Value>) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("a map of values has a form in JSON"));
        self.secrets = secrets(body);
        self
    }

    /// The same, not to be sent later than this from now on: what it was made from may have changed
    /// by then.
    #[must_use]
    pub fn stale_after(self, wait: Duration) -> Self {
        Self {
            stale_at: Instant::now().checked_add(wait),
            ..self
        }
    }

    /// Whether it is too late to send it.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale_at.is_some_and(|at| Instant::now() >= at)
    }

    /// What it does.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }
}

impl Prepared {
    /// Has a call that only reads end by then; a list over a slow line may take two minutes.
    pub(crate) fn end_by(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        *self.request.timeout_mut() = Some(left.min(LIST_TIMEOUT));
    }
}

impl Client {
    /// The call, to be sent with this token.
    pub(crate) fn call(&self, call: &Call, token: &AccessToken) -> Prepared {
        let url = match &call.target {
            Target::Path(path) => {
                let path: Vec<_> = path.iter().map(String::as_str).collect();
                self.url(&path)
            }
            Target::Url(url) => url.clone(),
        };
        let method = match call.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut prepared = authorized(method, url, token, Reading::Resource);
        if let Some(body) = &call.body {
            let json = HeaderValue::from_static("application/json");
            prepared.request.headers_mut().insert(CONTENT_TYPE, json);
            *prepared.request.body_mut() = Some(body.clone().into());
        }
        prepared.secrets.extend_from_slice(&call.secrets);
        prepared
    }
}

/// The secrets in a body: its nonce, and the user info and query of its URL.
///
/// What is too short to be one, and what is an id, would have messages withheld that tell nothing.
fn secrets(body: &Map<String, Value>) -> Vec<SecretString> {
    const SHORTEST: usize = 8;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    // The middle of one UUID is found in too many others.
    let nonce = match text("nonce") {
        Some(nonce) if is_uuid(nonce) => nonce.split('-').map(str::to_owned).collect(),
        nonce => nonce.map(str::to_owned).into_iter().collect(),
    };
    let url = text("url").and_then(|url| Url::parse(url).ok());
    let secrets = [nonce, url.as_ref().map_or_else(Vec::new, in_url)].concat();
    let secrets = secrets
        .into_iter()
        .filter(|text| text.len() >= SHORTEST && !is_uuid(text));
    secrets.map(SecretString::from).collect()
}

/// The user, the password, the fragment, and the values in the query, as they stand and as they are
/// meant.
fn in_url(url: &Url) -> Vec<String> {
    let query = url.query().unwrap_or_default();
    let value = |pair: &str| match pair.split_once('=') {
        Some((_, value)) => value.to_owned(),
        None => pair.to_owned(),
    };
    let meant = url.query_pairs().map(|(_, value)| value.into_owned());
    let user_info = [url.username(), url.password().unwrap_or_default()];
    let parts = user_info.into_iter().chain(url.fragment());
    let parts = parts.map(str::to_owned).chain(query.split('&').map(value));
    parts.chain(meant).collect()
}

/// The target of the first link with `rel="next"` (RFC 8288 §3), seen from `base`.
pub(super) fn next_link<'a>(headers: impl Iterator<Item = &'a str>, base: &Url) -> Option<Url> {
    headers.flat_map(links).find_map(|(target, parameters)| {
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel")
                && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        is_next.then(|| base.join(target).ok()).flatten()
    })
}

/// The links in a header: target, and the parameters behind it up to the next link.
fn links(header: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let (_, from) = rest.split_once('<')?;
        let (target, behind) = from.split_once('>')?;
        let end = behind.find('<').unwrap_or(behind.len());
        let (parameters, after) = behind.split_at(end);
        rest = after;
        Some((target.trim(), parameters.trim_end().trim_end_matches(',')))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_secret_in_a_body_is_known() {
        let schema = "5397013b-7920-4ffc-807c-e8a3e0a18f43";
        let nonce = "d4c0ffee-07b7-4ee0-96e9-94483bc25bc7";
        let table = [
            (
                json!({"nonce": nonce, "schemaId": schema, "audience": "AppOne-Audience"}),
                &["d4c0ffee", "94483bc25bc7"][..],
            ),
            (json!({"nonce": "a nonce"}), &[]),
            (json!({"nonce": "another nonce"}), &["another nonce"]),
            (json!({"nonce": 12_345_678, "url": 1}), &[]),
            (
                json!({"url": "wss://the-user:hunter2-password@h.example/path-of-it?a=b#fragment"}),
                &["the-user", "hunter2-password", "fragment"],
            ),
            (
                json!({"url": format!("https://h.example/?id={schema}&sig=a+secret%2D&all-of-it&x=y")}),
                &["a+secret%2D", "all-of-it", "a secret-"],
            ),
            (json!({"url": "https://h.example/what-is-no-secret"}), &[]),
            (json!({"url": "no url"}), &[]),
        ];
        for (body, expected) in table {
            let body = body.as_object().expect("an object");
            for call in [Call::post(&["a"], body), Call::put(&["a"], body)] {
                let secrets = call.secrets.iter().map(SecretString::expose_secret);
                assert_eq!(secrets.collect::<Vec<_>>(), expected, "{body:?}");
            }
        }
    }

    fn next(headers: &[&str]) -> Option<String> {
        let base = Url::parse("https://webexapis.com/v1/dataSources").expect("a URL");
        next_link(headers.iter().copied(), &base).map(String::from)
    }

    #[test]
    fn the_next_page_is_found_among_links() {
        let page = "https://webexapis.com/v1/dataSources?cursor=2&max=10";
        let table = [
            (format!("<{page}>; rel=\"next\""), Some(page)),
            (format!("<{page}>;rel=next"), Some(page)),
            (
                format!("<{page}>; REL=\"prev NEXT\"; title=\"a, b\""),
                Some(page),
            ),
            (
                format!("<https://x/1>; rel=\"first\", <{page}>; rel=\"next\""),
                Some(page),
            ),
            (
                "</v1/dataSources?cursor=2&max=10>; rel=\"next\"".into(),
                Some(page),
            ),
            (format!("<{page}>; rel=\"prev\""), None),
            (format!("<{page}>; relation=\"next\""), None),
            (format!("<{page}"), None),
            ("<http://[>; rel=next".into(), None),
            (String::new(), None),
        ];
        for (header, expected) in table {
            assert_eq!(next(&[&header]).as_deref(), expected, "{header}");
        }
        let two = ["<https://x/1>; rel=\"last\"", "<?cursor=3>; rel=\"next\""];
        let third = "https://webexapis.com/v1/dataSources?cursor=3";
        assert_eq!(next(&two).as_deref(), Some(third));
    }

    proptest! {
        #[test]
        fn no_header_panics(header: String) {
            let _ = next(&[&header]);
        }
    }
}

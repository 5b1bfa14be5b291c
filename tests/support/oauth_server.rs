//! An OAuth server that was not written here, npm `oidc-provider`: see `tests/oauth_server`.
//!
//! It is stricter than Webex is: PKCE is required, and each refresh token is good for one use. What
//! it says about replay it says of its own accord, in [`Events`].

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, redirect};
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::{self, Runtime};
use url::{Url, form_urlencoded};

/// A browser that meets more pages than this goes in circles.
const MAX_PAGES: usize = 20;

/// The server, which ends when this is dropped.
pub(crate) struct OauthServer {
    child: Child,
    announcement: Announcement,
    http: Http,
}

/// The line that the server prints when it listens.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Announcement {
    base_url: String,
    authorize_url: String,
    token_url: String,
    integration: Client,
    service_app: Client,
    target_org_id: String,
}

/// A client that the server knows; it authenticates in the body (`client_secret_post`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Client {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
}

/// What the provider has noticed, by client.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Events {
    pub(crate) integration: ClientEvents,
    pub(crate) service_app: ClientEvents,
    /// Who did not prove to be one of the clients.
    pub(crate) nobody: ClientEvents,
}

/// What the provider has noticed of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct ClientEvents {
    /// Token requests that were granted, by grant type.
    #[serde(rename = "grant.success")]
    pub(crate) granted: BTreeMap<String, usize>,
    /// Token requests that were refused, by grant type.
    #[serde(rename = "grant.error")]
    pub(crate) refused: BTreeMap<String, usize>,
    /// Grants that were revoked, with all their tokens, because something came a second time.
    #[serde(rename = "grant.revoked")]
    pub(crate) replays: usize,
    /// Refresh tokens that were spent and replaced.
    #[serde(rename = "refresh_token.consumed")]
    pub(crate) rotations: usize,
}

/// What came back to a request; no redirect is followed.
#[derive(Debug)]
pub(crate) struct Answer {
    url: Url,
    pub(crate) status: u16,
    location: Option<String>,
    cookies: Vec<String>,
    pub(crate) body: String,
}

impl OauthServer {
    /// Starts the server. Its integration may redirect to `redirect_uri` and nowhere else.
    pub(crate) fn start(redirect_uri: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let node_modules = root.join("target/oauth_server/node_modules");
        let provider = node_modules.join("oidc-provider");
        assert!(
            provider.exists(),
            "{} is missing: run `scripts/test`, which installs it",
            provider.display()
        );
        // It ends with its standard input, and so with this process, however that ends.
        let mut child = Command::new("node")
            .arg(root.join("tests/oauth_server/server.mjs"))
            .args([node_modules.as_os_str(), redirect_uri.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("node does not start ({error}): run `scripts/test`"));
        let stdout = child.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the server prints UTF-8");
        let announcement = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the server did not start ({error}): {line:?}"));
        Self {
            child,
            announcement,
            http: Http::new(),
        }
    }

    /// For `WEBEX_API_BASE_URL`: the calls of Webex beside OAuth.
    pub(crate) fn api_base_url(&self) -> String {
        format!("{}/v1", self.announcement.base_url)
    }

    /// For `WEBEX_AUTHORIZE_URL`.
    pub(crate) fn authorize_url(&self) -> &str {
        &self.announcement.authorize_url
    }

    /// For `WEBEX_TOKEN_URL`.
    pub(crate) fn token_url(&self) -> &str {
        &self.announcement.token_url
    }

    /// The integration: people consent to it, and it may mint.
    pub(crate) fn integration(&self) -> &Client {
        &self.announcement.integration
    }

    /// The service app: its tokens are minted.
    pub(crate) fn service_app(&self) -> &Client {
        &self.announcement.service_app
    }

    /// The organization that has authorized the service app.
    pub(crate) fn target_org_id(&self) -> &str {
        &self.announcement.target_org_id
    }

    /// What the provider has noticed so far.
    pub(crate) fn events(&self) -> Events {
        let answer = self.get(&format!("{}/events", self.announcement.base_url), None);
        serde_json::from_str(&answer.body).expect("events are JSON")
    }

    /// Opens `authorization_url` in a browser that has never been here, signs in, and clicks
    /// *Continue* or, on the page that asks for consent, *Cancel*.
    ///
    /// Returns where the browser is sent in the end, without going there: to the redirect URI,
    /// with a `code` or an `error`.
    #[track_caller]
    pub(crate) fn consent(&self, authorization_url: &str, allow: bool) -> Url {
        let home = parse(&self.announcement.base_url).origin();
        let mut browser = Browser {
            http: &self.http,
            cookies: BTreeMap::new(),
        };
        let mut answer = browser.get(parse(authorization_url));
        for _ in 0..MAX_PAGES {
            answer = if let Some(to) = answer.redirect() {
                if to.origin() != home {
                    return to;
                }
                browser.get(to)
            } else {
                assert_eq!(answer.status, 200, "no page: {}", answer.body);
                let page = Page(&answer);
                if page.asks_for_consent() && !allow {
                    browser.get(page.cancel())
                } else {
                    browser.submit(page.form(), &page.filled_in())
                }
            };
        }
        panic!("the browser goes in circles, and is now at {}", answer.url);
    }

    /// A GET, with a bearer token or without.
    pub(crate) fn get(&self, url: &str, bearer: Option<&str>) -> Answer {
        self.http.send(request(Method::GET, parse(url), bearer))
    }

    /// A POST of a JSON document.
    pub(crate) fn post_json(&self, url: &str, bearer: &str, body: &Value) -> Answer {
        let mut request = request(Method::POST, parse(url), Some(bearer));
        set_body(&mut request, "application/json", body.to_string());
        self.http.send(request)
    }

    /// A token request of `client`.
    pub(crate) fn ask_for_tokens(&self, client: &Client, fields: &[(&str, &str)]) -> Answer {
        let credentials = [
            ("client_id", &*client.client_id),
            ("client_secret", &*client.client_secret),
        ];
        let mut request = request(Method::POST, parse(self.token_url()), None);
        set_form(&mut request, &[&credentials, fields].concat());
        self.http.send(request)
    }
}

impl Drop for OauthServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Events {
    /// How often anybody sent something a second time.
    pub(crate) fn replays(&self) -> usize {
        self.integration.replays + self.service_app.replays + self.nobody.replays
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{}: no JSON ({error}): {}", self.status, self.body))
    }

    fn redirect(&self) -> Option<Url> {
        let location = self.location.as_ref()?;
        Some(self.url.join(location).expect("a location is a URL"))
    }
}

/// One request at a time, each over a connection of its own.
struct Http {
    runtime: Runtime,
    client: reqwest::Client,
}

impl Http {
    fn new() -> Self {
        // All is plain HTTP; a client cannot be built without TLS all the same.
        let provider = rustls::crypto::ring::default_provider();
        let tls = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .expect("ring knows the usual versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build();
        Self {
            runtime: runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts"),
            client: client.expect("a client is built"),
        }
    }

    fn send(&self, request: reqwest::Request) -> Answer {
        let url = request.url().clone();
        let answer = async {
            let response = self.client.execute(request).await?;
            let headers = response.headers();
            let text = |value: &reqwest::header::HeaderValue| {
                value.to_str().expect("a header is ASCII").to_owned()
            };
            Ok::<_, reqwest::Error>(Answer {
                status: response.status().as_u16(),
                location: headers.get(LOCATION).map(text),
                cookies: headers.get_all(SET_COOKIE).iter().map(text).collect(),
                body: response.text().await?,
                url,
            })
        };
        self.runtime.block_on(answer).expect("the server answers")
    }
}

/// As much of a browser as two forms need: it keeps cookies, whatever their path.
struct Browser<'a> {
    http: &'a Http,
    cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    fn get(&mut self, url: Url) -> Answer {
        self.send(request(Method::GET, url, None))
    }

    fn submit(&mut self, url: Url, fields: &[(&str, &str)]) -> Answer {
        let mut request = request(Method::POST, url, None);
        set_form(&mut request, fields);
        self.send(request)
    }

    fn send(&mut self, mut request: reqwest::Request) -> Answer {
        let cookies = self.cookies.iter();
        let cookies: Vec<_> = cookies.map(|(name, it)| format!("{name}={it}")).collect();
        if !cookies.is_empty() {
            let value = cookies.join("; ").parse().expect("a header value");
            request.headers_mut().insert(COOKIE, value);
        }
        let answer = self.http.send(request);
        for cookie in &answer.cookies {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie is NAME=value");
            // An empty one is how the server takes a cookie back.
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

/// A page of the provider's: one form, and a link that cancels.
struct Page<'a>(&'a Answer);

impl<'a> Page<'a> {
    /// There is no password to be given: the person is known, and is asked for consent.
    fn asks_for_consent(&self) -> bool {
        self.fields().all(|(name, _)| name != "password")
    }

    fn form(&self) -> Url {
        let form = self.tags("<form ").next().expect("a page has a form");
        self.url(attribute(form, "action"))
    }

    fn cancel(&self) -> Url {
        let mut links = self.tags("<a ");
        let link = links.find(|it| it.contains("Cancel"));
        self.url(attribute(link.expect("a page can be cancelled"), "href"))
    }

    /// The form's fields as a person leaves them; what is hidden stays as it is.
    fn filled_in(&self) -> Vec<(&'a str, &'a str)> {
        let typed = |name| match name {
            "login" => "somebody",
            "password" => "any will do",
            other => panic!("nobody knows what to type for {other:?}"),
        };
        self.fields()
            .map(|(name, value)| (name, value.unwrap_or_else(|| typed(name))))
            .collect()
    }

    fn fields(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        self.tags("<input ").map(|tag| {
            (
                attribute(tag, "name").expect("a name"),
                attribute(tag, "value"),
            )
        })
    }

    /// Each tag that begins so, up to the next of its kind.
    fn tags(&self, start: &'static str) -> impl Iterator<Item = &'a str> {
        self.0.body.split(start).skip(1)
    }

    fn url(&self, attribute: Option<&str>) -> Url {
        let text = attribute.expect("a URL").replace("&amp;", "&");
        self.0.url.join(&text).expect("a URL")
    }
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (tag, _) = tag.split_once('>')?;
    let (_, value) = tag.split_once(&format!("{name}=\""))?;
    Some(value.split_once('"')?.0)
}

fn request(method: Method, url: Url, bearer: Option<&str>) -> reqwest::Request {
    let mut request = reqwest::Request::new(method, url);
    if let Some(token) = bearer {
        let value = format!("Bearer {token}").parse().expect("a header value");
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    request
}

fn set_form(request: &mut reqwest::Request, fields: &[(&str, &str)]) {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    let media_type = "application/x-www-form-urlencoded";
    set_body(request, media_type, form.finish());
}

fn set_body(request: &mut reqwest::Request, media_type: &'static str, body: String) {
    let media_type = media_type.parse().expect("a header value");
    request.headers_mut().insert(CONTENT_TYPE, media_type);
    *request.body_mut() = Some(body.into());
}

#[track_caller]
fn parse(url: &str) -> Url {
    Url::parse(url).expect("a URL")
}

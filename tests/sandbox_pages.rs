//! The sandbox's own pages in a real browser: what a person meets between the authorization URL and
//! the redirect, and where a device's code is entered.
//!
//! Each page is pictured in `target/screenshots`, as wide as a desk's screen and as a phone's.

#![cfg(unix)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use support::Story;
use support::browser::Browser;
use url::Url;
use webex_sandbox::{MINT_SCOPE, Sandbox};

const SENT_BACK: &str = "You were sent back";

/// A sandbox with a browser before it, and somebody who answers at the redirect URI.
struct Scene {
    story: Story,
    browser: Browser,
}

impl Scene {
    fn new() -> Self {
        let redirect_uri = client();
        let sandbox = Sandbox::builder().redirect_uri(&redirect_uri).start();
        Self {
            story: Story::with(sandbox),
            browser: Browser::start(),
        }
    }

    /// The authorization URL of an ordinary request, with fields changed.
    fn authorization_url(&self, changes: &[(&'static str, &str)]) -> String {
        let tenant = self.story.tenant();
        let mut fields = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", &tenant.integration_client_id),
            ("redirect_uri", &tenant.redirect_uri),
            ("scope", MINT_SCOPE),
            ("state", "state & more"),
        ]);
        fields.extend(changes.iter().copied());
        let base = format!("{}/authorize", self.story.sandbox.base_url());
        Url::parse_with_params(&base, &fields)
            .expect("a URL")
            .into()
    }

    /// Opens the authorization URL and signs in.
    fn sign_in(&self) {
        self.browser.goto(&self.authorization_url(&[]));
        self.browser.type_into("#password", "anything");
        self.browser.click("#sign-in");
        self.browser.wait_for_text("Grant permission");
    }

    /// What the browser has brought to the redirect URI.
    #[track_caller]
    fn brought(&self) -> BTreeMap<String, String> {
        self.browser.wait_for_text(SENT_BACK);
        let url = Url::parse(&self.browser.url()).expect("a URL");
        let mut at = url.clone();
        at.set_query(None);
        assert_eq!(at.as_str(), self.story.tenant().redirect_uri);
        url.query_pairs().into_owned().collect()
    }

    /// A device that asks for a grant: its verification URI with and without the code, and the code.
    fn device(&self) -> (String, String, String) {
        let tenant = self.story.tenant();
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &tenant.integration_client_id)
            .append_pair("scope", MINT_SCOPE)
            .finish();
        let mut socket = TcpStream::connect(self.story.sandbox.address()).expect("a sandbox");
        write!(
            socket,
            "POST /v1/device/authorize HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("a request is taken");
        let answer = std::io::read_to_string(socket).expect("an answer");
        let (_, json) = answer.split_once("\r\n\r\n").expect("a body");
        let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
        let field = |name: &str| json[name].as_str().expect(name).to_owned();
        (
            field("verification_uri_complete"),
            field("verification_uri"),
            field("user_code"),
        )
    }
}

/// Answers for the client at a port of its own for as long as the test lives, and returns the
/// redirect URI. Each connection has a thread, as browsers open some that they never use.
fn client() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut lines = BufReader::new(&socket).lines().map_while(Result::ok);
                if lines.any(|line| line.is_empty()) {
                    let _ = write!(
                        &socket,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n\
                         {SENT_BACK}",
                        SENT_BACK.len()
                    );
                }
            });
        }
    });
    format!("http://localhost:{port}/callback")
}

#[test]
fn a_person_signs_in_and_allows_in_a_browser() {
    let scene = Scene::new();
    let browser = &scene.browser;
    browser.goto(&scene.authorization_url(&[]));
    assert_eq!(browser.title(), "Sign in - Webex sandbox");
    let email = scene.story.tenant().developer_email;
    assert_eq!(browser.value_of("#email"), email);
    browser.screenshots("sandbox-sign-in");
    browser.type_into("#password", "anything");
    browser.click("#sign-in");

    browser.wait_for_text(MINT_SCOPE);
    let text = browser.text();
    assert!(text.contains(&email), "{text}");
    browser.screenshots("sandbox-consent");
    browser.click("#allow");

    let brought = scene.brought();
    assert_eq!(brought["state"], "state & more");
    assert!(brought["code"].len() >= 16, "{brought:?}");
    assert_eq!(brought.len(), 2, "{brought:?}");
}

#[test]
fn a_person_denies_in_a_browser() {
    let scene = Scene::new();
    scene.sign_in();
    scene.browser.click("#deny");
    let brought = scene.brought();
    assert_eq!(brought["error"], "access_denied");
    assert_eq!(brought["state"], "state & more");
    assert!(!brought.contains_key("code"), "{brought:?}");
}

#[test]
fn an_unknown_client_or_redirect_uri_is_told_in_a_browser() {
    let scene = Scene::new();
    let browser = &scene.browser;
    for (change, says) in [
        (("client_id", "C0"), "The client_id of this request"),
        (("redirect_uri", "http://localhost:9/"), "is not registered"),
    ] {
        browser.goto(&scene.authorization_url(&[change]));
        browser.wait_for_text(says);
        assert!(browser.url().starts_with(scene.story.sandbox.origin()));
    }
    browser.screenshots("sandbox-problem");
}

#[test]
fn a_consent_is_given_once_in_a_browser() {
    let scene = Scene::new();
    let browser = &scene.browser;
    scene.sign_in();
    browser.click("#allow");
    scene.brought();
    browser.back();
    browser.click("#allow");
    browser.wait_for_text("This did not work");
    browser.screenshots("sandbox-used-consent");
    assert!(browser.url().starts_with(scene.story.sandbox.origin()));
}

#[test]
fn a_device_is_connected_or_denied_in_a_browser() {
    let scene = Scene::new();
    let browser = &scene.browser;
    let (complete, _, code) = scene.device();
    browser.goto(&complete);
    assert_eq!(browser.title(), "Connect a device - Webex sandbox");
    assert_eq!(browser.value_of("#user_code"), code);
    browser.screenshots("sandbox-device");
    browser.click("#allow");
    browser.wait_for_text("Device connected");
    browser.screenshots("sandbox-device-connected");

    let (_, plain, code) = scene.device();
    browser.goto(&plain);
    assert_eq!(browser.value_of("#user_code"), "");
    browser.type_into("#user_code", &code);
    browser.click("#deny");
    browser.wait_for_text("Access denied");
    browser.screenshots("sandbox-device-denied");

    // The same code once more, typed from the paper it was written on.
    browser.goto(&plain);
    browser.type_into("#user_code", &code);
    browser.click("#allow");
    browser.wait_for_text("no longer valid");
    browser.screenshots("sandbox-device-unknown");
}

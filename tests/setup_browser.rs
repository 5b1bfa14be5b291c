//! `setup_oauth` with a person at its terminal and at a real browser: from the address that it
//! shows, through the sandbox's sign-in and consent, to the page that says how it ended.
//!
//! Each page is pictured in `target/screenshots`, as wide as a desk's screen and as a phone's, in
//! light and in dark.

#![cfg(unix)]

mod support;

use std::fs;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use support::browser::Browser;
use support::port::Port;
use support::pty::{Pty, PtyTold};
use support::{SETUP_OAUTH, Story, assert_no_piece};
use url::{Position, Url};
use webex_sandbox::{Endpoint, Request, Sandbox};

const SUCCESS: &str = "Authorized";
const DENIED: &str = "Access was not given";
const OLD_LINK: &str = "This link is not current";
const FAILED: &str = "That did not work";
const ALREADY_ANSWERED: &str = "Already answered";

/// A service app and an integration that nobody has authorized yet, and a browser.
struct Scene {
    story: Story,
    browser: Browser,
    _port: Port,
}

impl Scene {
    fn new() -> Self {
        let port = Port::reserve();
        let redirect_uri = port.redirect_uri();
        let sandbox = Sandbox::builder().redirect_uri(&redirect_uri).start();
        let story = Story::with(sandbox);
        story.configured_with(None, Some(""));
        Self {
            story,
            browser: Browser::start(),
            _port: port,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.story.command(SETUP_OAUTH);
        command
            .args(["--redirect-uri", &self.story.tenant().redirect_uri])
            .args(arguments);
        command
    }

    /// Starts the wizard, and reads off the screen where the browser is to go.
    #[track_caller]
    fn start(&self, arguments: &[&str]) -> (Pty, String) {
        let mut wizard = Pty::start(self.command(arguments).arg("--no-browser"));
        let address = self.address_on(&mut wizard);
        (wizard, address)
    }

    #[track_caller]
    fn address_on(&self, wizard: &mut Pty) -> String {
        let start = format!("{}/authorize?", self.story.sandbox.base_url());
        wizard.expect_word(&start)
    }

    /// Opens the address, signs in, and leaves the choice open.
    #[track_caller]
    fn sign_in(&self, address: &str) {
        self.browser.goto(address);
        self.browser.type_into("#password", "anything");
        self.browser.click("#sign-in");
        self.browser.wait_for_text("Grant permission");
    }

    /// Signs in, allows, and waits for the page that says `title`.
    #[track_caller]
    fn allow(&self, address: &str, title: &str) {
        self.sign_in(address);
        self.browser.click("#allow");
        self.browser.wait_for_text(title);
    }

    /// The requests that brought an authorization code.
    fn exchanges(&self) -> Vec<Request> {
        let mut requests = self.story.sandbox.requests();
        requests.retain(|it| {
            it.form
                .get("grant_type")
                .is_some_and(|it| it == "authorization_code")
        });
        requests
    }

    fn integration_refresh_token(&self) -> String {
        let token = &self.story.config()["tokenManager"]["integration"]["refreshToken"];
        token.as_str().expect("a text").to_owned()
    }

    /// What the user's two files hold.
    fn files(&self) -> [Option<String>; 2] {
        [".env", "token-config.json"].map(|name| fs::read_to_string(self.story.path(name)).ok())
    }

    /// Waits for the end: all is in order, and nothing of what proved the consent was shown.
    #[track_caller]
    fn ends_ready(&self, wizard: Pty) -> PtyTold {
        let told = wizard.finish(&self.story);
        told.exits(0).says("ready: Webex accepts the access token");
        let sandbox = &self.story.sandbox;
        assert!(sandbox.is_live(&self.story.access_token()));
        assert!(sandbox.is_live_refresh_token(&self.integration_refresh_token()));
        for exchange in self.exchanges() {
            for field in ["code", "code_verifier"] {
                assert_no_piece(&told.stream, &exchange.form[field]);
            }
        }
        told
    }
}

/// Stands in for the browser that a desktop would open: it tells which address it was given.
struct Opened {
    program: String,
    addresses: Receiver<String>,
}

impl Opened {
    fn by(story: &Story) -> Self {
        let pipe = story.path("opened");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo").success());
        story.write(
            "browser.sh",
            "printf '%s' \"$1\" >\"$(dirname \"$0\")/opened\"",
        );
        let (sender, addresses) = mpsc::channel();
        thread::spawn(move || {
            while let Ok(address) = fs::read_to_string(&pipe) {
                if sender.send(address).is_err() {
                    break;
                }
            }
        });
        Self {
            program: format!("sh {}", story.path("browser.sh").display()),
            addresses,
        }
    }

    #[track_caller]
    fn next(&self) -> String {
        let address = self.addresses.recv_timeout(Duration::from_mins(1));
        address.expect("a browser is opened")
    }
}

/// The address with one of its parameters changed.
fn with(address: &str, name: &str, value: &str) -> String {
    let mut url = Url::parse(address).expect("a URL");
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut query = url.query_pairs_mut();
    query.clear();
    for (known, kept) in &pairs {
        query.append_pair(known, if known == name { value } else { kept });
    }
    drop(query);
    url.into()
}

fn parameter(address: &str, name: &str) -> Option<String> {
    let url = Url::parse(address).expect("a URL");
    let (_, value) = url.query_pairs().find(|(known, _)| known == name)?;
    Some(value.into_owned())
}

#[test]
fn a_person_allows_in_a_browser_that_was_opened() {
    let scene = Scene::new();
    let opened = Opened::by(&scene.story);
    let mut command = scene.command(&["--browser"]);
    let mut wizard = Pty::start(command.env("BROWSER", &opened.program));
    let address = scene.address_on(&mut wizard);
    assert_eq!(opened.next(), address, "what is opened is what is shown");

    scene.sign_in(&address);
    scene.browser.click("#allow");
    scene.browser.wait_for_text(SUCCESS);
    scene.browser.screenshots("setup-success");
    scene.ends_ready(wizard);

    let challenge = ["code_challenge", "code_challenge_method"].map(|it| parameter(&address, it));
    assert_eq!(challenge[0].as_ref().map(String::len), Some(43));
    assert_eq!(challenge[1].as_deref(), Some("S256"));
    let exchanges = scene.exchanges();
    assert_eq!(exchanges.len(), 1);
    assert!(exchanges[0].form.contains_key("code_verifier"));
}

#[test]
fn a_person_allows_in_a_browser_of_their_own() {
    let scene = Scene::new();
    let opened = Opened::by(&scene.story);
    let mut command = scene.command(&["--no-browser"]);
    let mut wizard = Pty::start(command.env("BROWSER", &opened.program));
    let address = scene.address_on(&mut wizard);
    scene.allow(&address, SUCCESS);
    scene.ends_ready(wizard);
    assert!(opened.addresses.try_recv().is_err(), "none was opened");
}

#[test]
fn a_person_denies_in_a_browser() {
    let scene = Scene::new();
    let (wizard, address) = scene.start(&[]);
    scene.sign_in(&address);
    scene.browser.click("#deny");
    scene.browser.wait_for_text(DENIED);
    scene.browser.screenshots("setup-denied");
    let told = wizard.finish(&scene.story);
    told.exits(77)
        .says("the authorization was denied; run `setup_oauth` again");
    assert!(scene.exchanges().is_empty());
    assert_eq!(scene.integration_refresh_token(), "");
    assert!(!scene.story.exists(".env"));
}

#[test]
fn who_is_too_late_in_a_browser_finds_nobody_and_breaks_nothing() {
    let scene = Scene::new();
    let (wizard, address) = scene.start(&["--timeout", "1s"]);
    let told = wizard.finish(&scene.story);
    told.exits(75)
        .says("nobody answered within 1 second; run `setup_oauth` again");
    let files = scene.files();

    scene.sign_in(&address);
    scene.browser.click("#allow");
    scene.browser.wait_for_text("ERR_CONNECTION_REFUSED");
    assert!(parameter(&scene.browser.url(), "code").is_some());
    assert_eq!(scene.files(), files);
    assert!(scene.exchanges().is_empty());

    let (wizard, address) = scene.start(&[]);
    scene.allow(&address, SUCCESS);
    scene.ends_ready(wizard);
}

#[test]
fn an_answer_with_another_state_is_not_believed_in_a_browser() {
    let scene = Scene::new();
    let (mut wizard, address) = scene.start(&[]);
    let state = parameter(&address, "state").expect("a state");
    let forged = if state.ends_with('A') { "B" } else { "A" };
    let forged = state[..state.len() - 1].to_owned() + forged;
    scene.allow(&with(&address, "state", &forged), OLD_LINK);
    // Webex has issued a code, and the address holds it.
    assert!(parameter(&scene.browser.url(), "code").is_some());
    wizard.expect("Ignored: a visit whose address answers another request");
    assert!(scene.exchanges().is_empty());
    // Neither is a refusal.
    scene.sign_in(&with(&address, "state", &forged));
    scene.browser.click("#deny");
    scene.browser.wait_for_text(OLD_LINK);
    wizard.expect("Ignored: a visit whose address answers another request");

    scene.allow(&address, SUCCESS);
    scene.ends_ready(wizard);
    assert_eq!(scene.exchanges().len(), 1);
}

#[test]
fn a_second_click_and_a_reload_change_nothing_in_a_browser() {
    let scene = Scene::new();
    let browser = &scene.browser;
    let (wizard, old_address) = scene.start(&[]);
    scene.allow(&old_address, SUCCESS);
    let old_redirect = browser.url();
    scene.ends_ready(wizard);
    let files = scene.files();

    browser.back();
    browser.click("#allow");
    browser.wait_for_text("This did not work");
    assert!(browser.try_goto(&old_redirect).is_err(), "nobody is there");
    assert_eq!(scene.files(), files);

    let (mut wizard, address) = scene.start(&["--reauthorize"]);
    browser.goto(&old_redirect);
    browser.wait_for_text(OLD_LINK);
    wizard.expect("Ignored: ");
    scene.allow(&old_address, OLD_LINK);
    browser.screenshots("setup-old-link");
    wizard.expect("Ignored: ");
    assert_eq!(scene.exchanges().len(), 1);
    scene.allow(&address, SUCCESS);
    scene.ends_ready(wizard);
    assert_eq!(scene.exchanges().len(), 2);
}

#[test]
fn who_comes_after_the_answer_is_told_so_in_a_browser() {
    let scene = Scene::new();
    let (mut wizard, address) = scene.start(&[]);
    let gate = scene.story.sandbox.gate(Endpoint::CodeExchange);
    let redirect = scene.story.sandbox.consent(&address, true);
    // What is typed before it is asked for is thrown away.
    wizard.expect("Waiting for the answer").line(&redirect);
    gate.wait_for_request();
    scene.browser.goto(&redirect);
    scene.browser.wait_for_text(ALREADY_ANSWERED);
    scene.browser.screenshots("setup-already-answered");
    scene.browser.goto(&with(&redirect, "state", "another"));
    scene.browser.wait_for_text(OLD_LINK);
    drop(gate);
    wizard.finish(&scene.story).exits(0).says("ready: ");
    assert_eq!(scene.exchanges().len(), 1);
}

#[test]
fn what_is_loaded_again_while_it_loads_shows_the_end_in_a_browser() {
    let scene = Scene::new();
    let (wizard, address) = scene.start(&[]);
    let gate = scene.story.sandbox.gate(Endpoint::CodeExchange);
    let redirect = scene.story.sandbox.consent(&address, true);
    let url = Url::parse(&redirect).expect("a URL");
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let path = &url[Position::BeforePath..];
    let mut first = TcpStream::connect(host).expect("the wizard listens");
    write!(first, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("a request is taken");
    gate.wait_for_request();
    thread::scope(|scope| {
        let browser = scope.spawn(|| scene.browser.goto(&redirect));
        // It is sent away once the browser has come in its place.
        let answer = io::read_to_string(&mut first).expect("an answer");
        assert!(answer.contains(ALREADY_ANSWERED), "{answer}");
        assert!(!browser.is_finished(), "the browser waits for the end");
        drop(gate);
    });
    scene.browser.wait_for_text(SUCCESS);
    scene.ends_ready(wizard);
    assert_eq!(scene.exchanges().len(), 1);
}

#[test]
fn a_code_that_has_expired_is_told_in_a_browser() {
    let scene = Scene::new();
    let sandbox = &scene.story.sandbox;
    sandbox.set_policy(|policy| policy.code_life = Duration::ZERO);
    let (wizard, address) = scene.start(&[]);
    scene.allow(&address, FAILED);
    let text = scene.browser.text();
    assert!(text.contains("had expired, or was used before"), "{text}");
    assert!(
        text.contains("Run setup_oauth again and allow it"),
        "{text}"
    );
    scene.browser.screenshots("setup-expired");
    let told = wizard.finish(&scene.story);
    told.exits(75).says("had expired, or was used before");
    assert_eq!(scene.integration_refresh_token(), "");
}

#[test]
fn a_mint_that_is_forbidden_is_told_in_a_browser() {
    let scene = Scene::new();
    scene.story.sandbox.deauthorize_service_app();
    let (wizard, address) = scene.start(&[]);
    scene.allow(&address, FAILED);
    let text = scene.browser.text();
    assert!(text.contains("in Control Hub"), "{text}");
    scene.browser.screenshots("setup-forbidden");
    wizard.finish(&scene.story).exits(78).says("forbidden");
    let kept = scene.integration_refresh_token();
    assert!(scene.story.sandbox.is_live_refresh_token(&kept));
}

#[test]
fn a_scope_that_is_refused_is_told_in_a_browser() {
    let scene = Scene::new();
    let (wizard, address) = scene.start(&[]);
    scene
        .browser
        .goto(&with(&address, "scope", "spark:everything"));
    scene.browser.wait_for_text(FAILED);
    let text = scene.browser.text();
    assert!(text.contains("scope spark:applications_token"), "{text}");
    scene.browser.screenshots("setup-refused");
    wizard.finish(&scene.story).exits(78).says("invalid_scope");
}

#[test]
fn what_the_terminal_asks_again_is_told_in_a_browser_at_once() {
    let scene = Scene::new();
    let tenant = scene.story.tenant();
    let mut config = scene.story.config();
    config["tokenManager"]["integration"]["clientSecret"] = "of-another-integration".into();
    scene.story.write_config(&config);
    let (mut wizard, address) = scene.start(&[]);
    scene.allow(&address, FAILED);
    let text = scene.browser.text();
    assert!(text.contains("client id or secret"), "{text}");
    wizard
        .expect("Client ID of the integration:")
        .line(&tenant.integration_client_id);
    wizard
        .expect("Client secret of the integration:")
        .secret_line(&tenant.integration_client_secret);
    let next = scene.address_on(&mut wizard);
    assert_ne!(next, address);
    scene.allow(&next, SUCCESS);
    scene.ends_ready(wizard);
}

#[test]
fn a_service_app_secret_that_is_refused_is_told_in_a_browser_at_once() {
    let scene = Scene::new();
    let mut config = scene.story.config();
    config["serviceApp"]["clientSecret"] = "of-another-service-app".into();
    scene.story.write_config(&config);
    let (mut wizard, address) = scene.start(&[]);
    scene.allow(&address, FAILED);
    let text = scene.browser.text();
    assert!(text.contains("Check serviceApp."), "{text}");
    wizard.expect("Client ID of the service app:").ctrl_c();
    wizard.finish(&scene.story).exits(130);
    let kept = scene.integration_refresh_token();
    assert!(scene.story.sandbox.is_live_refresh_token(&kept));
}

#[test]
fn ctrl_c_while_it_loads_is_told_in_a_browser() {
    let scene = Scene::new();
    let (mut wizard, address) = scene.start(&["-v"]);
    let gate = scene.story.sandbox.gate(Endpoint::CodeExchange);
    scene.sign_in(&address);
    thread::scope(|scope| {
        scope.spawn(|| scene.browser.click("#allow"));
        gate.wait_for_request();
        wizard.ctrl_c();
        wizard.expect("told to stop");
        drop(gate);
    });
    scene.browser.wait_for_text("ended before it was done");
    scene.browser.screenshots("setup-interrupted");
    wizard.finish(&scene.story).exits(130);
    let kept = scene.integration_refresh_token();
    assert!(scene.story.sandbox.is_live_refresh_token(&kept));
}

#[test]
fn an_answer_that_stays_in_a_browser_is_brought_by_hand() {
    let scene = Scene::new();
    let sandbox = &scene.story.sandbox;
    sandbox.set_policy(|policy| policy.authorize_error_in_fragment = true);
    let (mut wizard, address) = scene.start(&[]);
    scene.sign_in(&address);
    scene.browser.click("#deny");
    scene
        .browser
        .wait_for_text("finds no answer in this address");
    scene.browser.screenshots("setup-no-answer");
    wizard.expect("Ignored: ").line(&scene.browser.url());
    wizard.finish(&scene.story).exits(77).says("was denied");
}

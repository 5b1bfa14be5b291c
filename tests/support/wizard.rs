//! `setup_oauth` with a person before it, who answers what is asked and opens what is shown.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::{self, JoinHandle};

use url::Url;
use webex_sandbox::{Policy, Sandbox};

use super::pty::{Pty, PtyTold};
use super::{SETUP_OAUTH, Story};

/// The questions, as they are asked.
pub(crate) const CLIENT_ID: &str = "Client ID of the service app";
pub(crate) const CLIENT_SECRET: &str = "Client secret of the service app";
pub(crate) const ORGANIZATION_ID: &str = "Organization ID";
pub(crate) const WAY: &str = "Set up with";
pub(crate) const INTEGRATION_CLIENT_ID: &str = "Client ID of the integration";
pub(crate) const INTEGRATION_CLIENT_SECRET: &str = "Client secret of the integration";
pub(crate) const PERSONAL_ACCESS_TOKEN: &str = "Personal access token";

/// What is said once the program waits for the answer of a person at a browser.
pub(crate) const WAITING: &str = "Waiting for the answer";

/// A redirect URI on a port of this machine that nobody listens on.
pub(crate) fn free_redirect_uri() -> String {
    /// Below those that the system gives out by itself, so that no other test is given it.
    const PORTS: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(process::id() % u32::from(PORTS)).expect("a remainder is smaller");
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + own.wrapping_mul(8).wrapping_add(next) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return format!("http://localhost:{port}/callback");
        }
    }
}

/// A story of the first day: an empty folder, and an integration that sends the browser back to a
/// free port.
pub(crate) fn first_day() -> Story {
    first_day_with(Policy::default())
}

/// The same, with other switches.
pub(crate) fn first_day_with(policy: Policy) -> Story {
    Story::with(sandbox_with(policy))
}

/// A sandbox whose integration sends the browser back to a free port of this machine.
pub(crate) fn sandbox() -> Sandbox {
    sandbox_with(Policy::default())
}

fn sandbox_with(policy: Policy) -> Sandbox {
    let sandbox = Sandbox::builder().redirect_uri(&free_redirect_uri());
    sandbox.policy(policy).start()
}

impl Story {
    /// `setup_oauth`, with the redirect URI that is registered, and without a browser of its own.
    pub(crate) fn setup(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(SETUP_OAUTH);
        command
            .args(["--redirect-uri", &self.tenant().redirect_uri])
            .args(arguments);
        if !arguments.contains(&"--device") {
            command.arg("--no-browser");
        }
        command
    }

    /// Starts it at a terminal.
    pub(crate) fn wizard(&self, arguments: &[&str]) -> Wizard<'_> {
        Wizard::of(self, &mut self.setup(arguments))
    }
}

/// `setup_oauth` at a terminal.
pub(crate) struct Wizard<'a> {
    story: &'a Story,
    pty: Pty,
}

impl<'a> Wizard<'a> {
    /// Starts this command.
    pub(crate) fn of(story: &'a Story, command: &mut Command) -> Self {
        let pty = Pty::start(command);
        Self { story, pty }
    }

    /// Starts this command at a terminal of this size.
    pub(crate) fn sized(story: &'a Story, command: &mut Command, columns: u16, rows: u16) -> Self {
        let pty = Pty::start_sized(command, columns, rows);
        Self { story, pty }
    }

    /// Waits for a question and answers it; a secret once the terminal has ceased to echo.
    #[track_caller]
    pub(crate) fn answer(&mut self, question: &str, answer: &str) -> &mut Self {
        self.pty.expect(&format!("{question}:"));
        if question.contains("secret") || question.contains("token") {
            self.pty.expect_echo(false);
        }
        self.pty.line(answer);
        self
    }

    /// Waits for what is said about the answer before.
    #[track_caller]
    pub(crate) fn hear(&mut self, words: &str) -> &mut Self {
        self.pty.expect(words);
        self
    }

    /// Answers the questions about the service app.
    #[track_caller]
    pub(crate) fn service_app(&mut self) -> &mut Self {
        let tenant = self.story.tenant();
        self.answer(CLIENT_ID, &tenant.client_id)
            .answer(CLIENT_SECRET, &tenant.client_secret)
            .answer(ORGANIZATION_ID, &tenant.target_org_id)
    }

    /// Answers the questions about the integration.
    #[track_caller]
    pub(crate) fn integration(&mut self) -> &mut Self {
        let tenant = self.story.tenant();
        self.answer(INTEGRATION_CLIENT_ID, &tenant.integration_client_id)
            .answer(INTEGRATION_CLIENT_SECRET, &tenant.integration_client_secret)
    }

    /// Takes the first of the two ways, an integration.
    #[track_caller]
    pub(crate) fn choose_integration(&mut self) -> &mut Self {
        self.pty.expect(WAY).expect("personal access token");
        self.pty.line("");
        self
    }

    /// Takes the second of the two ways.
    #[track_caller]
    pub(crate) fn choose_personal_access_token(&mut self) -> &mut Self {
        self.pty.expect(WAY).expect("personal access token");
        self.pty.keys("\x1b[B\r");
        self
    }

    /// Answers everything up to the consent.
    #[track_caller]
    pub(crate) fn up_to_consent(&mut self) -> &mut Self {
        self.service_app().choose_integration().integration()
    }

    /// The address that is to be opened, once its answer is waited for.
    #[track_caller]
    pub(crate) fn authorization_url(&mut self) -> String {
        let start = format!("{}/authorize?", self.story.sandbox.base_url());
        let url = self.pty.expect_word(&start);
        self.pty.expect(WAITING).expect("left).");
        url
    }

    /// Opens the address, signs in and allows it or not: the address that the browser ends on.
    #[track_caller]
    pub(crate) fn decide(&mut self, allow: bool) -> String {
        let url = self.authorization_url();
        self.story.sandbox.consent(&url, allow)
    }

    /// Allows it, and brings the answer to the listener: what the browser shows in the end.
    #[track_caller]
    pub(crate) fn allow(&mut self) -> JoinHandle<String> {
        visit(&self.decide(true))
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn finish(self) -> PtyTold {
        self.pty.finish(self.story)
    }
}

impl Deref for Wizard<'_> {
    type Target = Pty;

    fn deref(&self) -> &Pty {
        &self.pty
    }
}

impl DerefMut for Wizard<'_> {
    fn deref_mut(&mut self) -> &mut Pty {
        &mut self.pty
    }
}

/// Visits an address of this machine as a browser does: what it is answered, when it is.
#[track_caller]
pub(crate) fn visit(location: &str) -> JoinHandle<String> {
    let url = Url::parse(location).expect("a URL");
    let port = url.port().expect("a port");
    let target = &url[url::Position::BeforePath..];
    let head = format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("somebody listens");
    stream.write_all(head.as_bytes()).expect("it is read");
    thread::spawn(move || {
        let mut answer = String::new();
        // A reset after the answer takes nothing of it away.
        let _ = stream.read_to_string(&mut answer);
        answer
    })
}

/// Whether anybody listens where the browser is sent back to.
pub(crate) fn is_listened_on(redirect_uri: &str) -> bool {
    let url = Url::parse(redirect_uri).expect("a URL");
    let port = url.port().expect("a port");
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

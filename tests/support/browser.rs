//! A headless Chromium, driven as a person drives it: go there, type, click, read.
//!
//! It speaks [WebDriver](https://www.w3.org/TR/webdriver2/) to a chromedriver of its own: HTTP on
//! loopback with one JSON value each way, which is little enough to be written out here. Nothing
//! here waits by itself: chromedriver looks for an element until it is there or patience ends.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long chromedriver looks for an element or waits for a page: far beyond what the slowest
/// machine takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a command may take, so that chromedriver is the first to lose patience.
const SILENCE: Duration = Duration::from_secs(90);
/// The name that an element's id has in JSON; the standard fixes it.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Chromium with one window and a profile of its own. Dropped, it ends with all its processes.
pub(crate) struct Browser {
    driver: Driver,
    session: String,
}

/// Why a command failed, in chromedriver's words.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

impl Browser {
    /// Starts one, with a window of 1280 by 800.
    ///
    /// # Panics
    ///
    /// Where Chromium or its driver is missing: `scripts/test` installs them.
    pub(crate) fn start() -> Self {
        let driver = Driver::start();
        // No names but this machine's: whatever a page asks for stays here.
        let names = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, \
                     EXCLUDE ::1";
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--no-proxy-server",
            names,
            format!(
                "--user-data-dir={}",
                driver.home.path().join("profile").display()
            ),
        ]);
        let session = driver.ask(
            "POST",
            "/session",
            &json!({"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": {"args": arguments},
                "timeouts": {
                    "implicit": PATIENCE.as_millis(),
                    "pageLoad": PATIENCE.as_millis(),
                    "script": PATIENCE.as_millis(),
                },
            }}}),
        );
        let session = session.unwrap_or_else(|Refused(why)| {
            panic!("chromedriver starts no Chromium ({why}); scripts/test installs both")
        });
        let session = text_of(&session["sessionId"]);
        let browser = Self { driver, session };
        browser.resize(1280, 800);
        browser
    }

    /// Opens a page, and waits until it has loaded.
    #[track_caller]
    pub(crate) fn goto(&self, url: &str) {
        if let Err(Refused(why)) = self.try_goto(url) {
            panic!("{url} does not open: {why}");
        }
    }

    /// Opens a page that may not be there: a refused connection is an error.
    pub(crate) fn try_goto(&self, url: &str) -> Result<(), Refused> {
        self.try_post("/url", &json!({ "url": url })).map(drop)
    }

    /// Goes back, as with the browser's own button.
    #[track_caller]
    pub(crate) fn back(&self) {
        self.post("/back", &json!({}));
    }

    /// Waits for an element, and clicks it. If that leads to another page, waits until it has
    /// loaded.
    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        let element = self.element("css selector", css);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Waits for a field, and types into it in place of what was there.
    #[track_caller]
    pub(crate) fn type_into(&self, css: &str, text: &str) {
        let element = self.element("css selector", css);
        self.post(&format!("/element/{element}/clear"), &json!({}));
        let keys = json!({ "text": text });
        self.post(&format!("/element/{element}/value"), &keys);
    }

    /// What is in a field.
    #[track_caller]
    pub(crate) fn value_of(&self, css: &str) -> String {
        let element = self.element("css selector", css);
        text_of(&self.get(&format!("/element/{element}/property/value")))
    }

    /// Waits until the page holds `text`, across page loads too. Space is as the page has it, with
    /// runs of it made one.
    #[track_caller]
    pub(crate) fn wait_for_text(&self, text: &str) {
        let quote = if text.contains('\'') { '"' } else { '\'' };
        let body = format!("//body[contains(normalize-space(.), {quote}{text}{quote})]");
        self.element("xpath", &body);
    }

    /// What a person reads on the page.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        let element = self.element("css selector", "body");
        text_of(&self.get(&format!("/element/{element}/text")))
    }

    #[track_caller]
    pub(crate) fn title(&self) -> String {
        text_of(&self.get("/title"))
    }

    /// What the address bar holds.
    #[track_caller]
    pub(crate) fn url(&self) -> String {
        text_of(&self.get("/url"))
    }

    /// What a script returns.
    #[track_caller]
    pub(crate) fn evaluate(&self, script: &str) -> Value {
        let script = json!({ "script": script, "args": [] });
        self.post("/execute/sync", &script)
    }

    /// Sets the size of the page. Narrower than a window can be, it is a phone's, which respects
    /// `<meta name="viewport">` and shows no scroll bar.
    #[track_caller]
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let metrics = json!({
            "width": width,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": width < 500,
        });
        self.chromium("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// How wide the page has to be for everything on it. On a phone, a page without
    /// `<meta name="viewport">` is as wide as a desk's screen.
    #[track_caller]
    pub(crate) fn needed_width(&self) -> u64 {
        self.evaluate("return document.documentElement.scrollWidth")
            .as_u64()
            .expect("a width")
    }

    /// Keeps a picture of what is seen, as `target/screenshots/NAME.png`.
    #[track_caller]
    pub(crate) fn screenshot(&self, name: &str) -> PathBuf {
        let picture = text_of(&self.get("/screenshot"));
        let picture = STANDARD.decode(picture).expect("a picture in base64");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        fs::create_dir_all(&folder).expect("a folder for pictures");
        let path = folder.join(name).with_extension("png");
        let mut file = File::create(&path).expect("a file for a picture");
        file.write_all(&picture).expect("a picture is kept");
        path
    }

    /// Shows pages as to a person who has chosen light or dark for everything.
    #[track_caller]
    pub(crate) fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let media = json!({ "features": [feature] });
        self.chromium("Emulation.setEmulatedMedia", &media);
    }

    /// Keeps pictures at the sizes of a phone's screen and of a desk's, `NAME-phone` and
    /// `NAME-wide`, each in light and in dark (`-dark`), and asserts that the page fits them.
    #[track_caller]
    pub(crate) fn screenshots(&self, name: &str) {
        for (width, height, which) in [(390, 844, "phone"), (1280, 800, "wide")] {
            self.resize(width, height);
            let needed = self.needed_width();
            assert!(
                needed <= u64::from(width),
                "{name} needs {needed} pixels of {width}: {}",
                self.url()
            );
            for (scheme, suffix) in [("dark", "-dark"), ("light", "")] {
                self.prefer(scheme);
                self.screenshot(&format!("{name}-{which}{suffix}"));
            }
        }
    }

    /// A command of Chromium's own protocol.
    #[track_caller]
    fn chromium(&self, command: &str, parameters: &Value) -> Value {
        let command = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &command)
    }

    /// Waits for an element, and returns its id.
    #[track_caller]
    fn element(&self, using: &str, value: &str) -> String {
        match self.try_post("/element", &json!({ "using": using, "value": value })) {
            Ok(element) => text_of(&element[ELEMENT]),
            Err(Refused(why)) => {
                let text = self.evaluate("return document.body.innerText");
                panic!("{why}\non {}:\n{}", self.url(), text_of(&text))
            }
        }
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.driver
            .ask("GET", &path, &Value::Null)
            .unwrap_or_else(|Refused(why)| panic!("{path}: {why}"))
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body)
            .unwrap_or_else(|Refused(why)| panic!("{path}: {why}"))
    }

    fn try_post(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        let path = format!("/session/{}{path}", self.session);
        self.driver.ask("POST", &path, body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium leaves in order; what is left is killed with the driver.
        let path = format!("/session/{}", self.session);
        let _ = self.driver.try_exchange("DELETE", &path, &Value::Null);
    }
}

/// A chromedriver, and the folder that it and its Chromium have for a home.
struct Driver {
    process: Child,
    port: u16,
    home: TempDir,
    /// Kept open, as chromedriver may say more.
    _output: BufReader<ChildStdout>,
}

impl Driver {
    fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("this test needs chromedriver ({error}); scripts/test installs it")
            });
        let output = process.stdout.take().expect("it is piped");
        let mut output = BufReader::new(output);
        let mut said = String::new();
        let port = loop {
            let from = said.len();
            let length = output.read_line(&mut said).expect("UTF-8");
            assert!(length > 0, "chromedriver does not start:\n{said}");
            let port = said[from..]
                .trim_end()
                .strip_suffix('.')
                .and_then(|line| line.rsplit_once("successfully on port "));
            if let Some((_, port)) = port {
                break port.parse().expect("a port");
            }
        };
        Self {
            process,
            port,
            home,
            _output: output,
        }
    }

    /// Gives a command and returns its value.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Refused> {
        let answer = self
            .try_exchange(method, path, body)
            .unwrap_or_else(|error| panic!("chromedriver gives no answer to {path}: {error}"));
        let mut answer: Value = serde_json::from_str(&answer).expect("chromedriver answers JSON");
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(Refused(format!("{error}: {}", text_of(&value["message"])))),
            None => Ok(value),
        }
    }

    /// One request and its answer, on a connection of their own.
    fn try_exchange(&self, method: &str, path: &str, body: &Value) -> io::Result<String> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        socket.set_read_timeout(Some(SILENCE))?;
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes())?;
        let mut socket = BufReader::new(socket);
        let mut length = 0;
        loop {
            let mut line = String::new();
            socket.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(given) = line.strip_prefix("content-length:") {
                length = given.trim().parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        // It says that it closes, and does not.
        let mut answer = vec![0; length];
        socket.read_exact(&mut answer)?;
        Ok(String::from_utf8(answer).expect("chromedriver answers UTF-8"))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

#[track_caller]
fn text_of(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => panic!("{value} is no text"),
    }
}

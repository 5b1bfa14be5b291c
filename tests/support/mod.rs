//! What every black-box story needs: a folder of its own, a sandbox Webex, the compiled programs,
//! and a search of all that they print for the secrets that were planted.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part"
)]

#[cfg(target_os = "linux")]
pub(crate) mod bounded;
#[cfg(unix)]
pub(crate) mod browser;
mod credentials;
#[cfg(unix)]
pub(crate) mod crowd;
pub(crate) mod data_sources;
#[cfg(unix)]
pub(crate) mod device;
#[cfg(unix)]
pub(crate) mod disk;
pub(crate) mod oauth_server;
#[cfg(unix)]
pub(crate) mod onlookers;
pub(crate) mod port;
#[cfg(unix)]
pub(crate) mod pty;
pub(crate) mod raw_server;
#[cfg(unix)]
pub(crate) mod readers;
#[cfg(unix)]
mod run;
#[cfg(unix)]
pub(crate) mod strace;
pub(crate) mod torture;
#[cfg(unix)]
pub(crate) mod transcript;
#[cfg(unix)]
pub(crate) mod wizard;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;
use webex_sandbox::{Sandbox, Tenant};
use webex_tokens::config::{Environment, Flags, Sources};

#[allow(unused_imports, reason = "each test binary uses its own part")]
pub(crate) use self::credentials::{Hand, Is};
#[cfg(unix)]
#[allow(unused_imports, reason = "each test binary uses its own part")]
pub(crate) use self::run::Run;

pub(crate) const REFRESH_TOKEN: &str = env!("CARGO_BIN_EXE_refresh_token");
pub(crate) const CHECK_TOKEN: &str = env!("CARGO_BIN_EXE_check_token");
pub(crate) const DATA_SOURCES: &str = env!("CARGO_BIN_EXE_data-sources");
pub(crate) const SETUP_OAUTH: &str = env!("CARGO_BIN_EXE_setup_oauth");

pub(crate) const ACCESS_TOKEN_KEY: &str = "WEBEX_SERVICE_APP_ACCESS_TOKEN";
pub(crate) const REFRESH_TOKEN_KEY: &str = "WEBEX_SERVICE_APP_REFRESH_TOKEN";
pub(crate) const FLAG_KEY: &str = "WEBEX_REAUTHORIZATION_REQUIRED";

/// One story: who is there, and what they have in their folder.
pub(crate) struct Story {
    pub(crate) sandbox: Sandbox,
    folder: TempDir,
}

/// What a program did.
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What a run shows on purpose on its stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// Nothing that is secret.
    Nothing,
    /// The nonce of a data source.
    Nonce,
    /// A token.
    Secrets,
}

impl Story {
    /// A sandbox with the usual policy and an empty folder.
    pub(crate) fn new() -> Self {
        Self::with(Sandbox::start())
    }

    pub(crate) fn with(sandbox: Sandbox) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { sandbox, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn tenant(&self) -> Tenant {
        self.sandbox.tenant()
    }

    /// Writes `.env` as a person would.
    pub(crate) fn write_env(&self, text: impl AsRef<[u8]>) -> &Self {
        self.write(".env", text)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "plays the part of the user's editor"
    )]
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), contents).expect("a file is written");
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file is read")
    }

    pub(crate) fn env(&self) -> String {
        self.read(".env")
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    /// What `.env` holds for `key`, read as plainly as can be.
    pub(crate) fn env_value(&self, key: &str) -> Option<String> {
        let prefix = format!("{key}=");
        let env = self.env();
        let value = env
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(&prefix))?;
        Some(value.to_owned()).filter(|value| !value.is_empty())
    }

    pub(crate) fn access_token(&self) -> String {
        self.env_value(ACCESS_TOKEN_KEY)
            .expect("an access token in .env")
    }

    pub(crate) fn refresh_token_in_env(&self) -> String {
        self.env_value(REFRESH_TOKEN_KEY)
            .expect("a refresh token in .env")
    }

    pub(crate) fn config(&self) -> Value {
        serde_json::from_str(&self.read("token-config.json")).expect("the configuration is JSON")
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.read(".env.state.json")).expect("the state is JSON")
    }

    /// The service app's part of a configuration.
    pub(crate) fn service_app(&self) -> Value {
        let tenant = self.tenant();
        json!({
            "appId": tenant.app_id,
            "clientId": tenant.client_id,
            "clientSecret": tenant.client_secret,
            "targetOrgId": tenant.target_org_id,
        })
    }

    pub(crate) fn write_config(&self, config: &Value) -> &Self {
        let text = serde_json::to_string_pretty(config).expect("a value is JSON");
        self.write("token-config.json", text + "\n")
    }

    /// A configuration with the service app alone.
    pub(crate) fn configured(&self) -> &Self {
        self.write_config(&json!({ "serviceApp": self.service_app() }))
    }

    /// A configuration with everything that is given.
    pub(crate) fn configured_with(&self, pat: Option<&str>, integration: Option<&str>) -> &Self {
        let tenant = self.tenant();
        let mut manager = json!({});
        if let Some(pat) = pat {
            manager["personalAccessToken"] = pat.into();
        }
        if let Some(refresh_token) = integration {
            manager["integration"] = json!({
                "clientId": tenant.integration_client_id,
                "clientSecret": tenant.integration_client_secret,
                "refreshToken": refresh_token,
            });
        }
        self.write_config(&json!({
            "serviceApp": self.service_app(),
            "tokenManager": manager,
        }))
    }

    /// `.env` with these tokens, and nothing else.
    pub(crate) fn stored(&self, access_token: &str, refresh_token: &str) -> &Self {
        let keys = [
            (ACCESS_TOKEN_KEY, access_token),
            (REFRESH_TOKEN_KEY, refresh_token),
        ];
        let given = keys.iter().filter(|(_, token)| !token.is_empty());
        let lines: Vec<_> = given
            .map(|(key, token)| format!("{key}={token}\n"))
            .collect();
        self.write_env(lines.concat())
    }

    /// A refreshed `.env` whose access token the state knows to be expired: the run before this
    /// story was long ago. Moves the dates in the state, not the clock.
    pub(crate) fn expire_in_state(&self) -> &Self {
        let mut state = self.state();
        let record = &mut state["credentials"]["service_app_access_token"];
        assert!(record.is_object(), "the state knows the access token");
        record["issued_at"] = "2020-01-01T00:00:00Z".into();
        self.write(".env.state.json", state.to_string())
    }

    /// The command, in the folder, with nothing of this machine's environment in the way.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder())
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", self.path("home"))
            .env("WEBEX_API_BASE_URL", self.sandbox.base_url())
            .stdin(Stdio::null());
        if let Some(pem) = self.sandbox.ca_pem() {
            self.write("ca.pem", pem);
            command.env("SSL_CERT_FILE", self.path("ca.pem"));
        }
        command
    }

    /// The folder and its settings, as a program that uses the library names them.
    pub(crate) fn named_sources(&self) -> Sources {
        Sources {
            flags: Flags {
                config: Some(self.path("token-config.json")),
                env_file: Some(self.path(".env")),
                api_base_url: Some(self.sandbox.base_url()),
                ..Flags::default()
            },
            environment: Environment::default(),
        }
    }

    /// Runs `refresh_token` to its end.
    pub(crate) fn refresh_token(&self, arguments: &[&str]) -> Told {
        self.run(self.command(REFRESH_TOKEN).args(arguments))
    }

    /// Runs `check_token` to its end.
    pub(crate) fn check_token(&self, arguments: &[&str]) -> Told {
        self.run(self.command(CHECK_TOKEN).args(arguments))
    }

    /// Runs `data-sources` to its end.
    pub(crate) fn data_sources(&self, arguments: &[&str]) -> Told {
        self.run(self.command(DATA_SOURCES).args(arguments))
    }

    /// Runs a command to its end, and searches what it printed for secrets.
    pub(crate) fn run(&self, command: &mut Command) -> Told {
        let shows = Shows::by(command);
        let output = command.output().expect("the program starts");
        self.told(&output, shows)
    }

    /// Starts a command, to be finished with [`Story::finish`].
    #[expect(clippy::unused_self, reason = "a story is told in one voice")]
    pub(crate) fn start(&self, command: &mut Command) -> Child {
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }

    /// Waits for a command that [`Story::start`] has started.
    pub(crate) fn finish(&self, child: Child) -> Told {
        let output = child.wait_with_output().expect("the program ends");
        self.told(&output, Shows::Nothing)
    }

    /// What a run that has ended did, searched for secrets.
    pub(crate) fn told(&self, output: &Output, shows: Shows) -> Told {
        let told = Told {
            code: code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        let secrets = self.secrets();
        assert_no_pieces(&told.stderr, &secrets);
        if shows != Shows::Secrets {
            assert_no_pieces(&told.stdout, &secrets);
        }
        for nonce in self.nonces() {
            assert!(!told.stderr.contains(&nonce), "{nonce}: {}", told.stderr);
            let is_searched = shows == Shows::Nothing;
            let is_told = is_searched && told.stdout.contains(&nonce);
            assert!(!is_told, "{nonce}: {}", told.stdout);
        }
        self.search_files(&secrets);
        told
    }

    /// Searches what the programs keep beside the user's files: locks, states and logs.
    #[track_caller]
    pub(crate) fn search_files(&self, secrets: &[String]) {
        for entry in fs::read_dir(self.folder()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_kept = [".lock", ".state.json", ".log"];
            if is_kept.iter().any(|end| name.ends_with(end)) && entry.path().is_file() {
                let contents = fs::read(entry.path()).unwrap_or_default();
                assert_no_pieces(&String::from_utf8_lossy(&contents), secrets);
            }
        }
    }

    /// Every secret that the sandbox or the folder knows of.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let tenant = self.tenant();
        let mut secrets = vec![tenant.client_secret, tenant.integration_client_secret];
        let mut in_urls = Vec::new();
        for name in [".env", "token-config.json"] {
            let text = fs::read(self.path(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            for word in text.split(|c: char| c.is_whitespace() || "=\"',".contains(c)) {
                if word.len() >= 40
                    && !word.contains("://")
                    && word != tenant.app_id
                    && word != tenant.target_org_id
                {
                    secrets.push(word.to_owned());
                }
            }
        }
        for request in self.sandbox.requests() {
            secrets.extend(request.bearer().map(str::to_owned));
            let fields = ["refresh_token", "code", "code_verifier", "device_code"];
            let fields = fields.iter().filter_map(|name| request.form.get(*name));
            secrets.extend(fields.cloned());
        }
        for source in self.data_sources_known() {
            secrets.extend(source["jwsToken"].as_str().map(str::to_owned));
            let url = source["url"].as_str().and_then(|url| Url::parse(url).ok());
            let parts = url.iter().flat_map(|url| {
                let parts = [url.password(), url.query(), url.fragment()];
                parts.map(|part| part.unwrap_or_default().to_owned())
            });
            in_urls.extend(parts);
        }
        // A token names its organization, which is no secret.
        let pieces = secrets
            .iter()
            .flat_map(|it| it.split(&tenant.target_org_uuid));
        let mut secrets: Vec<_> = pieces.map(str::to_owned).collect();
        secrets.retain(|secret| {
            secret.len() >= 16
                && *secret != tenant.client_id
                && *secret != tenant.integration_client_id
        });
        // All UUIDs are alike in their middle, and a log is full of them.
        let (uuids, mut secrets): (Vec<_>, Vec<_>) = secrets
            .into_iter()
            .partition(|it| it.len() == 36 && it.matches('-').count() == 4);
        let ends = uuids.iter().flat_map(|uuid| [&uuid[..8], &uuid[24..]]);
        secrets.extend(ends.map(str::to_owned));
        secrets.extend(in_urls);
        secrets
    }

    /// What the sandbox has shown of data sources, and what it was sent.
    fn data_sources_known(&self) -> Vec<Value> {
        let requests = self.sandbox.requests().into_iter();
        let sent = requests.filter_map(|request| request.json);
        self.sandbox
            .shown_data_sources()
            .into_iter()
            .chain(sent)
            .collect()
    }

    /// What tells every nonce of a data source from any other UUID: the end of one, or all of what
    /// is none.
    pub(crate) fn nonces(&self) -> Vec<String> {
        const SHORTEST: usize = 8;
        let sources = self.data_sources_known();
        let nonces = sources.iter().filter_map(|it| it["nonce"].as_str());
        let told = nonces.map(|nonce| match nonce.rsplit_once('-') {
            Some((_, end)) if nonce.len() == 36 => end.to_owned(),
            _ => nonce.to_owned(),
        });
        told.filter(|nonce| nonce.len() >= SHORTEST).collect()
    }

    /// The requests that arrived, as `METHOD path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.sandbox.requests();
        let shown = requests
            .iter()
            .map(|request| format!("{} {}", request.method, request.path));
        shown.collect()
    }
}

impl Shows {
    /// What this command shows on purpose.
    pub(crate) fn by(command: &Command) -> Self {
        let has = |name: &str| command.get_args().any(|argument| argument == name);
        if has("--print-token") || has("--raw") {
            Self::Secrets
        } else if has("show") {
            Self::Nonce
        } else {
            Self::Nothing
        }
    }
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "no JSON on stdout ({error}):\n{}\n{}",
                self.stdout, self.stderr
            )
        })
    }

    /// Asserts the exit code, showing what was printed where it differs.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert!(all.contains(text), "{text:?} is not in:\n{all}");
        self
    }

    #[track_caller]
    pub(crate) fn outcome(&self, outcome: &str) -> Value {
        let json = self.json();
        assert_eq!(json["outcome"], outcome, "{json:#}");
        json
    }
}

/// Fails if `text` holds any eight characters of one of `secrets` in a row.
#[track_caller]
pub(crate) fn assert_no_pieces(text: &str, secrets: &[String]) {
    let told: HashSet<&[u8]> = text.as_bytes().windows(8).collect();
    for secret in secrets {
        let piece = secret.as_bytes().windows(8).find(|it| told.contains(it));
        if let Some(piece) = piece {
            let piece = String::from_utf8_lossy(piece);
            panic!("a piece of a secret ({piece}) is in:\n{text}");
        }
    }
}

/// Fails if `text` holds any eight characters of `secret` in a row.
#[track_caller]
pub(crate) fn assert_no_piece(text: &str, secret: &str) {
    for piece in secret.as_bytes().windows(8) {
        let piece = String::from_utf8_lossy(piece);
        // A date or a word that every text has is no piece of a secret.
        assert!(
            !text.contains(&*piece),
            "a piece of a secret ({piece}) is in:\n{text}"
        );
    }
}

#[cfg(unix)]
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(not(unix))]
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

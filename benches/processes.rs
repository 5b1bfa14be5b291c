//! `refresh_token` beside one curl process that makes the same requests on one connection, over
//! TLS 1.3 to the sandbox.
//!
//! `scripts/bench` builds what is measured and calls this with its path. The two take turns; before
//! every run of ours the files are put back and synced. Our time is that of the whole process,
//! every sync of its own included; curl saves nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use tempfile::TempDir;
use webex_sandbox::{IssuedTokens, Sandbox, Tenant, Tls};

/// How often each of the two runs.
const RUNS: usize = 201;

/// The most memory that `refresh_token` may take, in KiB.
const MEMORY_TARGET: u64 = 10 * 1024;

/// The most that its binary may take, in bytes.
const SIZE_TARGET: u64 = 6 * 1_000_000;

fn main() -> anyhow::Result<()> {
    let arguments = std::env::args_os().skip(1);
    let path = arguments
        .map(PathBuf::from)
        .find(|path| path.is_absolute())
        .context("give the absolute path of `refresh_token`; scripts/bench does")?;
    let mut memory = 0;
    println("| run | requests | `refresh_token` | curl | ratio | target |");
    println("|---|---:|---:|---:|---:|---:|");
    for scene in [Scene::valid(), Scene::one_rung(), Scene::all_rungs()] {
        let stage = Stage::set(&path, &scene)?;
        memory = memory.max(stage.peak_memory()?);
        let (ours, curls) = stage.measure()?;
        println(&format!(
            "| {} | {} | {} | {} | {:.2} | ≤ {} |",
            scene.name,
            scene.requests.len(),
            millis(ours),
            millis(curls),
            ours.as_secs_f64() / curls.as_secs_f64(),
            scene.target,
        ));
    }
    let size = fs::metadata(&path)?.len();
    println(&format!(
        "\npeak memory: {memory} KiB (target ≤ {MEMORY_TARGET})\n\
         stripped binary: {size} bytes (target ≤ {SIZE_TARGET})"
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench prints figures")]
fn println(line: &str) {
    println!("{line}");
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// A run, as it is to be measured.
struct Scene {
    name: &'static str,
    target: f64,
    /// Whether the stored access token is known to be expired.
    expired: bool,
    /// Whether the refresh token and the personal access token are dead.
    dead: bool,
    requests: &'static [Request],
}

#[derive(Clone, Copy)]
enum Request {
    Validate,
    Grant,
    Mint,
    Renew,
}

impl Scene {
    fn valid() -> Self {
        Self {
            name: "valid",
            target: 0.4,
            expired: false,
            dead: false,
            requests: &[Request::Validate],
        }
    }

    fn one_rung() -> Self {
        Self {
            name: "one rung",
            target: 0.5,
            expired: true,
            dead: false,
            requests: &[Request::Grant, Request::Validate],
        }
    }

    fn all_rungs() -> Self {
        use Request::{Grant, Mint, Renew, Validate};
        Self {
            name: "all rungs",
            target: 0.7,
            expired: true,
            dead: true,
            requests: &[Grant, Mint, Renew, Mint, Validate],
        }
    }
}

/// A sandbox and two folders: one for `refresh_token`, one for the CA, where nothing is written.
struct Stage<'a> {
    scene: &'a Scene,
    program: &'a Path,
    sandbox: Sandbox,
    folder: TempDir,
    ca: tempfile::NamedTempFile,
    curl: Vec<String>,
    /// What the files are before each run.
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl<'a> Stage<'a> {
    fn set(program: &'a Path, scene: &'a Scene) -> anyhow::Result<Self> {
        let sandbox = Sandbox::builder()
            .tls(Tls::Trusted)
            .forget_requests()
            .try_start()?;
        sandbox.set_policy(|policy| policy.token_limit = usize::MAX);
        let mut ca = tempfile::NamedTempFile::new()?;
        ca.write_all(sandbox.ca_pem().context("a CA")?.as_bytes())?;
        // Beside the binary, so that it is on a disk and not in memory.
        let disk = program.parent().context("a folder")?;
        let folder = tempfile::tempdir_in(disk)?;
        let mut stage = Self {
            scene,
            program,
            sandbox,
            folder,
            ca,
            curl: Vec::new(),
            files: BTreeMap::new(),
        };
        stage.lay_out()?;
        Ok(stage)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the files as a first run has left them, and the command line of curl.
    fn lay_out(&mut self) -> anyhow::Result<()> {
        let tenant = self.sandbox.tenant();
        let tokens = self.sandbox.issue_service_app_tokens();
        let pat = self.sandbox.issue_personal_access_token();
        let integration = self.sandbox.issue_integration_tokens();
        let env = format!(
            "# Settings of the job.\nJOB=nightly\n\
             WEBEX_SERVICE_APP_ACCESS_TOKEN={}\nWEBEX_SERVICE_APP_REFRESH_TOKEN={}\n",
            tokens.access_token, tokens.refresh_token,
        );
        let config = json!({
            "serviceApp": {
                "appId": tenant.app_id,
                "clientId": tenant.client_id,
                "clientSecret": tenant.client_secret,
                "targetOrgId": tenant.target_org_id,
            },
            "tokenManager": {
                "personalAccessToken": pat,
                "integration": {
                    "clientId": tenant.integration_client_id,
                    "clientSecret": tenant.integration_client_secret,
                    "refreshToken": integration.refresh_token,
                },
            },
        });
        put(&self.path(".env"), env.as_bytes())?;
        put(
            &self.path("token-config.json"),
            format!("{config:#}\n").as_bytes(),
        )?;
        // Leaves the state that a run of two weeks ago would have left.
        self.run(self.refresh_token().arg("--force"))?;
        if self.scene.expired {
            let path = self.path(".env.state.json");
            let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
            let record = &mut state["credentials"]["service_app_access_token"];
            ensure!(record.is_object(), "the state knows the access token");
            record["issued_at"] = "2026-01-01T00:00:00Z".into();
            put(&path, state.to_string().as_bytes())?;
        }
        let spare = self.sandbox.issue_personal_access_token();
        if self.scene.dead {
            self.sandbox.revoke(&tokens.refresh_token);
            self.sandbox.revoke(&pat);
        }
        for entry in fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            let bytes = fs::read(&path)?;
            self.files.insert(path, bytes);
        }
        self.curl = self.curl_arguments(&tenant, &tokens, [&pat, &spare], &integration);
        Ok(())
    }

    fn curl_arguments(
        &self,
        tenant: &Tenant,
        tokens: &IssuedTokens,
        pats: [&str; 2],
        integration: &IssuedTokens,
    ) -> Vec<String> {
        let base = self.sandbox.base_url();
        let mut pats = pats.into_iter().skip(usize::from(!self.scene.dead));
        let grant = |id: &str, secret: &str, token: &str| {
            let form = format!(
                "grant_type=refresh_token&client_id={id}&client_secret={secret}&refresh_token={token}"
            );
            vec!["-d".to_owned(), form, format!("{base}/access_token")]
        };
        let bearer = |token: &str| ["-H".to_owned(), format!("Authorization: Bearer {token}")];
        let mut arguments = vec!["-q".to_owned()];
        for (index, request) in self.scene.requests.iter().enumerate() {
            if index > 0 {
                arguments.push("--next".to_owned());
            }
            let ca = self.ca.path().to_string_lossy();
            let common = ["-sS", "--tlsv1.3", "--cacert", &ca, "-o", "/dev/null"];
            arguments.extend(common.map(str::to_owned));
            match request {
                Request::Validate => {
                    arguments.extend(bearer(&tokens.access_token));
                    arguments.push(format!("{base}/dataSources"));
                }
                Request::Grant => arguments.extend(grant(
                    &tenant.client_id,
                    &tenant.client_secret,
                    &tokens.refresh_token,
                )),
                Request::Renew => arguments.extend(grant(
                    &tenant.integration_client_id,
                    &tenant.integration_client_secret,
                    &integration.refresh_token,
                )),
                Request::Mint => {
                    let body = json!({
                        "clientId": tenant.client_id,
                        "clientSecret": tenant.client_secret,
                        "targetOrgId": tenant.target_org_id,
                    });
                    arguments.extend(bearer(pats.next().unwrap_or_default()));
                    arguments
                        .extend(["-H", "Content-Type: application/json", "-d"].map(str::to_owned));
                    arguments.push(body.to_string());
                    arguments.push(format!("{base}/applications/{}/token", tenant.app_id));
                }
            }
        }
        arguments
    }

    fn refresh_token(&self) -> Command {
        self.command(self.program)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("WEBEX_API_BASE_URL", self.sandbox.base_url())
            .env("SSL_CERT_FILE", self.ca.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Runs `command`, and makes sure that it did what is to be measured.
    fn run(&self, command: &mut Command) -> anyhow::Result<Duration> {
        self.sandbox.clear_requests();
        let started = Instant::now();
        let status = command.status()?;
        let elapsed = started.elapsed();
        let program = command.get_program().display();
        ensure!(status.success(), "{program}: {status}");
        Ok(elapsed)
    }

    fn measured(&self, command: &mut Command) -> anyhow::Result<Duration> {
        let elapsed = self.run(command)?;
        let counts = self.sandbox.counts();
        let expected = u64::try_from(self.scene.requests.len())?;
        if (counts.requests, counts.connections) != (expected, 1) {
            bail!("{}: {counts:?}", self.scene.name);
        }
        Ok(elapsed)
    }

    fn put_back(&self) -> anyhow::Result<()> {
        for (path, bytes) in &self.files {
            put(path, bytes)?;
        }
        File::open(self.folder.path())?.sync_all()?;
        Ok(())
    }

    /// The medians of ours and of curl's.
    fn measure(&self) -> anyhow::Result<(Duration, Duration)> {
        let (mut ours, mut curls) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            self.put_back()?;
            ours.push(self.measured(&mut self.refresh_token())?);
            let mut curl = self.command(Path::new("/usr/bin/curl"));
            curls.push(self.measured(curl.args(&self.curl))?);
        }
        Ok((median(ours), median(curls)))
    }

    /// What `refresh_token` takes at most, in KiB.
    fn peak_memory(&self) -> anyhow::Result<u64> {
        self.put_back()?;
        let told = tempfile::NamedTempFile::new()?;
        let mut time = self.command(Path::new("/usr/bin/time"));
        time.args(["-f", "%M", "-o"]).arg(told.path());
        self.measured(time.arg(self.program))?;
        Ok(fs::read_to_string(told.path())?.trim().parse()?)
    }
}

fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

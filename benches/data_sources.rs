//! `data-sources extend --all` over ten thousand data sources beside `wrk`, a bare HTTP load
//! generator that sends the same `GET`s and `PUT`s on as many connections to the same sandbox.
//!
//! `scripts/bench` builds what is measured and calls this with its path. The two take turns. Our
//! rate is all that the program does, from its start to its end: the token looked at, the list
//! read, every source read, updated with a nonce of its own, checked, and written into the
//! operation log. `wrk` reads no body.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use webex_sandbox::{DataSourceShape, Sandbox};

/// How many data sources there are.
const SOURCES: usize = 10_000;

/// How many connections at a time.
const CONCURRENCY: usize = 32;

/// How often each of the two runs.
const RUNS: usize = 5;

/// How long each run of `wrk` takes, in seconds.
const WRK_LASTS: usize = 15;

/// `GET` and `PUT` in turn, from source to source, a nonce of its own for each update.
const SCRIPT: &str = r#"
local ids, bodies, turn = {}, {}, 0
for line in io.lines("sources.tsv") do
  local id, front, back = line:match("([^\t]*)\t([^\t]*)\t(.*)")
  ids[#ids + 1] = id
  bodies[#bodies + 1] = { front, back }
end
local headers = {
  ["Authorization"] = "Bearer " .. io.open("bearer"):read("*a"),
  ["Accept"] = "application/json",
  ["Content-Type"] = "application/json",
}
function request()
  local at = math.floor(turn / 2) % #ids + 1
  turn = turn + 1
  local path = "/v1/dataSources/" .. ids[at]
  if turn % 2 == 1 then
    return wrk.format("GET", path, headers)
  end
  local body = bodies[at][1] .. "nonce-" .. turn .. "-" .. os.time() .. bodies[at][2]
  return wrk.format("PUT", path, headers, body)
end
"#;

fn main() -> anyhow::Result<()> {
    let arguments = std::env::args_os().skip(1);
    let path = arguments
        .map(PathBuf::from)
        .find(|path| path.is_absolute())
        .context("give the absolute path of `data-sources`; scripts/bench does")?;
    let few = Stage::set(&path, 10)?.peak_memory()?;
    let stage = Stage::set(&path, SOURCES)?;
    let many = stage.peak_memory()?;
    let list = stage.list_size()?;
    let (mut ours, mut wrks) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(stage.extend()?);
        wrks.push(stage.wrk()?);
    }
    let (ours, wrks) = (median(ours), median(wrks));
    let beyond = (many - few) * 1024;
    let beyond = beyond.saturating_sub(list) / SOURCES as u64;
    println(&format!(
        "| `data-sources extend --all` | wrk | ratio of medians | target |\n\
         |---:|---:|---:|---:|\n\
         | {ours:.0} requests/s | {wrks:.0} requests/s | {:.2} | ≥ 0.8 |\n\n\
         peak memory: {few} KiB with 10 data sources, {many} KiB with {SOURCES}; the list itself \
         has {} KiB; beyond it {beyond} bytes a source (target ≤ 1024)",
        ours / wrks,
        list / 1024,
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench prints figures")]
fn println(line: &str) {
    println!("{line}");
}

/// A sandbox with data sources, and a folder.
struct Stage<'a> {
    program: &'a Path,
    sandbox: Sandbox,
    folder: TempDir,
    ids: Vec<String>,
}

impl<'a> Stage<'a> {
    fn set(program: &'a Path, sources: usize) -> anyhow::Result<Self> {
        let sandbox = Sandbox::builder().forget_requests().try_start()?;
        let ids = sandbox.seed_data_sources(sources);
        let disk = program.parent().context("a folder")?;
        let stage = Self {
            program,
            sandbox,
            folder: tempfile::tempdir_in(disk)?,
            ids,
        };
        stage.lay_out()?;
        Ok(stage)
    }

    #[expect(clippy::disallowed_methods, reason = "plays the part of the user")]
    fn lay_out(&self) -> anyhow::Result<()> {
        let tokens = self.sandbox.issue_service_app_tokens();
        let tenant = self.sandbox.tenant();
        let env = format!("WEBEX_SERVICE_APP_ACCESS_TOKEN={}\n", tokens.access_token);
        let config = json!({
            "serviceApp": {
                "appId": tenant.app_id,
                "clientId": tenant.client_id,
                "clientSecret": tenant.client_secret,
                "targetOrgId": tenant.target_org_id,
            },
        });
        let put = |name: &str, text: &str| fs::write(self.folder.path().join(name), text);
        put(".env", &env)?;
        put("token-config.json", &config.to_string())?;
        put("script.lua", SCRIPT)?;
        put("bearer", &tokens.access_token)?;
        let mut sources = String::new();
        for id in &self.ids {
            let source = self.sandbox.data_source(id).context("a data source")?;
            let mut body = json!({});
            for name in [
                "audience",
                "schemaId",
                "status",
                "subject",
                "tokenLifetimeMinutes",
                "url",
            ] {
                body[name] = source[name].clone();
            }
            body["nonce"] = "@".into();
            let body = body.to_string();
            let (front, back) = body.split_once('@').context("the nonce")?;
            writeln!(sources, "{id}\t{front}\t{back}")?;
        }
        put("sources.tsv", &sources)?;
        // Signs every JWS once, so that neither of the two has to wait for it.
        ensure!(self.list_size()? > 0, "an empty list");
        Ok(())
    }

    /// How many bytes the list has.
    fn list_size(&self) -> anyhow::Result<u64> {
        let shape = self.sandbox.policy().data_source_shape;
        ensure!(shape == DataSourceShape::Recorded, "another shape");
        let bearer = fs::read_to_string(self.folder.path().join("bearer"))?;
        let output = Command::new("/usr/bin/curl")
            .args([
                "-q",
                "-sS",
                "-H",
                &format!("Authorization: Bearer {bearer}"),
            ])
            .arg(format!("{}/dataSources", self.sandbox.base_url()))
            .output()?;
        let list: Value = serde_json::from_slice(&output.stdout)?;
        let items = list["items"].as_array().context("a list")?;
        ensure!(items.len() == self.ids.len(), "{} items", items.len());
        Ok(output.stdout.len() as u64)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("WEBEX_API_BASE_URL", self.sandbox.base_url())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    fn extend_all(command: &mut Command) {
        let concurrency = CONCURRENCY.to_string();
        command.args([
            "extend",
            "--all",
            "--expiring-within",
            "25h",
            "--concurrency",
        ]);
        command.arg(concurrency);
    }

    /// Requests a second of one whole run.
    #[expect(clippy::cast_precision_loss, reason = "thousands of requests")]
    fn extend(&self) -> anyhow::Result<f64> {
        let before = self.sandbox.counts().requests;
        let mut command = self.command(self.program);
        Self::extend_all(&mut command);
        let started = Instant::now();
        let status = command.status()?;
        let elapsed = started.elapsed();
        ensure!(status.success(), "data-sources: {status}");
        let requests = self.sandbox.counts().requests - before;
        ensure!(requests >= 2 * SOURCES as u64, "{requests} requests");
        Ok(requests as f64 / elapsed.as_secs_f64())
    }

    /// What `wrk` says that it reached.
    fn wrk(&self) -> anyhow::Result<f64> {
        let mut command = self.command(Path::new("/usr/bin/wrk"));
        let output = command
            .args([
                "-t1",
                &format!("-c{CONCURRENCY}"),
                &format!("-d{WRK_LASTS}s"),
            ])
            .args(["-s", "script.lua", self.sandbox.origin()])
            .stdout(Stdio::piped())
            .output()?;
        let told = String::from_utf8_lossy(&output.stdout);
        ensure!(!told.contains("Non-2xx"), "{told}");
        let rate = told
            .lines()
            .find_map(|line| line.strip_prefix("Requests/sec:"));
        Ok(rate.context("a rate")?.trim().parse()?)
    }

    /// What `data-sources` takes at most, in KiB.
    fn peak_memory(&self) -> anyhow::Result<u64> {
        let told = tempfile::NamedTempFile::new()?;
        let mut command = self.command(Path::new("/usr/bin/time"));
        command.args(["-f", "%M", "-o"]).arg(told.path());
        command.arg(self.program);
        Self::extend_all(&mut command);
        let status = command.status()?;
        ensure!(status.success(), "data-sources: {status}");
        Ok(fs::read_to_string(told.path())?.trim().parse()?)
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

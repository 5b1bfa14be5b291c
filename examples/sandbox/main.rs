//! The main job with no Webex account: a local Webex, a `.env` and a `token-config.json` in a
//! temporary folder, and the programs themselves.
//!
//! `cargo run --release --example sandbox` walks every rung of the ladder and shows what the
//! operator would see. `… --example sandbox -- refresh_token --json` runs that one command with
//! everything in working order, and ends with its exit code; `… --example sandbox -- data-sources
//! list` finds data sources in every state. `… --example sandbox -- setup_oauth` begins with next to
//! nothing: it shows what the developer portal would, and runs the wizard.

mod data_sources;

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};
use webex_sandbox::{Builder, Sandbox};
use webex_tokens::cli;
use webex_tokens::config::Environment;

const USAGE: &str = "\
Usage: sandbox                             walk every rung of the ladder
       sandbox refresh_token [ARGUMENTS]   run this one against a local Webex
       sandbox check_token [ARGUMENTS]     likewise
       sandbox data-sources [ARGUMENTS]    likewise, with data sources in every state
       sandbox setup_oauth [ARGUMENTS]     set up from nothing, with a local Webex";

/// The programs by name, each through the function that its binary calls.
const PROGRAMS: [(&str, Program); 4] = [
    ("refresh_token", |arguments, environment| {
        cli::refresh_token(arguments, environment)
    }),
    ("check_token", |arguments, environment| {
        cli::check_token(arguments, environment)
    }),
    ("data-sources", |arguments, environment| {
        cli::data_sources(arguments, environment)
    }),
    (SETUP_OAUTH, |arguments, environment| {
        cli::setup_oauth(arguments, environment)
    }),
];

/// The one that begins with next to nothing.
const SETUP_OAUTH: &str = "setup_oauth";

type Program = fn(Vec<OsString>, Environment) -> ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let Some(name) = arguments.first() else {
        tell_the_story()?;
        return Ok(ExitCode::SUCCESS);
    };
    let Some(program) = program(&name.to_string_lossy()) else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    if name == SETUP_OAUTH {
        return set_up(arguments, program);
    }
    let demo = Demo::start(Sandbox::builder())?;
    let (pat, integration) = (demo.personal_access_token(), demo.integration());
    demo.configure(&pat, &integration)?;
    demo.store(&demo.sandbox.issue_service_app_tokens())?;
    data_sources::populate(&demo.sandbox);
    Ok(program(arguments, environment()))
}

fn program(name: &str) -> Option<Program> {
    let found = PROGRAMS.iter().find(|(program, _)| *program == name);
    found.map(|(_, program)| *program)
}

/// Walks through the wizard, from a folder with nothing of Webex in it.
fn set_up(arguments: Vec<OsString>, wizard: Program) -> anyhow::Result<ExitCode> {
    let Ok(matches) = cli::setup_oauth_command().try_get_matches_from(&arguments) else {
        // A question about the wizard, or a slip: it answers that itself.
        return Ok(wizard(arguments, environment()));
    };
    let mut builder = Sandbox::builder();
    if let Some(uri) = matches.get_one::<String>("redirect_uri") {
        builder = builder.redirect_uri(uri);
    }
    let demo = Demo::start(builder)?;
    demo.begin()?;
    let portal = demo.portal()?;
    if matches.get_flag("json") {
        // The answer is for a program, and alone on stdout.
        eprintln!("{portal}");
        return Ok(wizard(arguments, environment()));
    }
    line(&portal)?;
    let exit = wizard(arguments, environment());
    if !stored("WEBEX_SERVICE_APP_ACCESS_TOKEN")?.is_empty() {
        let out = Narrator::new();
        line("")?;
        say("This is what the job finds now:")?;
        out.env_file()?;
        say(
            "This Webex ends here, and the folder goes with it. On a real day, what is to be \
             copied names the folder that setup_oauth was run in.",
        )?;
    }
    Ok(exit)
}

/// What of this process's environment the programs see: how to print, whether a browser can be
/// opened, and no setting, so that a real Webex is never asked.
fn environment() -> Environment {
    let terminal = ["TERM", "NO_COLOR", "RUST_LOG"];
    let browser = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION"];
    terminal
        .into_iter()
        .chain(browser)
        .filter_map(|name| Some((name, variable(name)?)))
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program of its own, outside of the crate"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// A local Webex, and a folder as an operator has it, which is the working directory.
struct Demo {
    sandbox: Sandbox,
    _folder: tempfile::TempDir,
}

impl Demo {
    fn start(builder: Builder) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("webex-tokens-").tempdir();
        let folder = folder.context("cannot make a temporary folder")?;
        std::env::set_current_dir(&folder).context("cannot enter the temporary folder")?;
        Ok(Self {
            sandbox: builder.try_start().context("cannot serve on 127.0.0.1")?,
            _folder: folder,
        })
    }

    fn personal_access_token(&self) -> String {
        self.sandbox.issue_personal_access_token()
    }

    /// The refresh token of an integration.
    fn integration(&self) -> String {
        self.sandbox.issue_integration_tokens().refresh_token
    }

    /// Writes a `.env` that knows where Webex is, and nothing else about it.
    fn begin(&self) -> anyhow::Result<()> {
        let text = format!(
            "# The job's own setting stays as it is.\n\
             JOB_NAME=nightly\n\
             \n\
             WEBEX_API_BASE_URL={}\n",
            self.sandbox.base_url(),
        );
        write(".env", &text)
    }

    /// What a person would look up for the wizard.
    fn portal(&self) -> anyhow::Result<String> {
        let tenant = self.sandbox.tenant();
        let introduction = [
            format!(
                "This is setup_oauth on the first day. The Webex that it asks is a local one, at \
                 {}. Our folder is {}; it holds a .env that names this Webex, and nothing more.",
                self.sandbox.base_url(),
                std::env::current_dir()?.display(),
            ),
            "What the wizard asks for is here, as the developer portal would show it. These are \
             secrets of a throw-away sandbox, worth nothing once this ends."
                .to_owned(),
        ];
        let shown = [
            (
                "The service app",
                vec![
                    ("Client ID", tenant.client_id),
                    ("Client secret", tenant.client_secret),
                    ("Organization ID, in Control Hub", tenant.target_org_id),
                ],
            ),
            (
                "The integration",
                vec![
                    ("Redirect URI", tenant.redirect_uri),
                    ("Client ID", tenant.integration_client_id),
                    ("Client secret", tenant.integration_client_secret),
                ],
            ),
            (
                "The owner of both",
                vec![
                    ("Personal access token", self.personal_access_token()),
                    ("Password to sign in with", "any will do".to_owned()),
                ],
            ),
        ];
        let mut text = introduction.map(|text| wrapped(&text) + "\n").concat();
        for (title, values) in shown {
            text += title;
            text.push('\n');
            for (label, value) in values {
                text += &["  ", label, "\n    ", &value, "\n"].concat();
            }
            text += "\n";
        }
        text += &wrapped(
            "The wizard begins below. Answer from here, or leave it with Ctrl-C: nothing outside \
             of that folder is touched.",
        );
        Ok(text)
    }

    /// Writes `.env`, as the person who set this up.
    fn store(&self, tokens: &webex_sandbox::IssuedTokens) -> anyhow::Result<()> {
        let text = format!(
            "# The job's own setting stays as it is.\n\
             JOB_NAME=nightly\n\
             \n\
             WEBEX_API_BASE_URL={}\n\
             WEBEX_SERVICE_APP_ACCESS_TOKEN={}\n\
             WEBEX_SERVICE_APP_REFRESH_TOKEN={}\n",
            self.sandbox.base_url(),
            tokens.access_token,
            tokens.refresh_token,
        );
        write(".env", &text)
    }

    /// Writes `token-config.json`, likewise.
    fn configure(&self, pat: &str, integration: &str) -> anyhow::Result<()> {
        let tenant = self.sandbox.tenant();
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
                    "refreshToken": integration,
                },
            },
        });
        write("token-config.json", &format!("{config:#}\n"))
    }

    /// Runs a command and shows everything about it.
    fn run(&self, out: &mut Narrator, command: &str) -> anyhow::Result<()> {
        out.command(command)?;
        self.sandbox.clear_requests();
        let arguments: Vec<_> = command.split(' ').collect();
        let program = program(arguments[0]).context("no such program")?;
        let exit = program(
            arguments.into_iter().map(OsString::from).collect(),
            environment(),
        );
        let code = (0..=u8::MAX).find(|code| ExitCode::from(*code) == exit);
        out.exit_code(code.unwrap_or(u8::MAX))?;
        out.requests(&self.sandbox.requests())
    }
}

/// Writes a file that only its owner can read, as files with secrets should be.
fn write(path: &str, text: &str) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {path}"))
}

/// What `.env` holds for `key`.
fn stored(key: &str) -> anyhow::Result<String> {
    let env = fs::read_to_string(".env").context("cannot read .env")?;
    let line = env.lines().find(|line| line.starts_with(key));
    let (_, value) = line
        .and_then(|line| line.split_once('='))
        .unwrap_or_default();
    Ok(value.to_owned())
}

/// What `token-config.json` holds in `tokenManager`.
fn configured() -> anyhow::Result<Value> {
    let config = fs::read_to_string("token-config.json")?;
    let config: Value = serde_json::from_str(&config)?;
    Ok(config["tokenManager"].clone())
}

fn tell_the_story() -> anyhow::Result<()> {
    let demo = Demo::start(Sandbox::builder())?;
    let (sandbox, out) = (&demo.sandbox, &mut Narrator::new());
    let tokens = sandbox.issue_service_app_tokens();
    demo.configure(&demo.personal_access_token(), &demo.integration())?;
    demo.store(&tokens)?;

    say(
        "A job needs an access token of a Webex service app. Tokens die: the access token after \
         two weeks, what renews it some weeks later. So the job calls refresh_token first, which \
         climbs a ladder of credentials, and only as high as it must.",
    )?;
    say(&format!(
        "The Webex of this story is a local one, at {}. Nothing leaves this machine. Our folder \
         is {}; it holds .env with the tokens and token-config.json with what can renew them.",
        sandbox.base_url(),
        std::env::current_dir()?.display(),
    ))?;

    out.scene("The access token works")?;
    say("The usual day. One request asks Webex, and no file is touched.")?;
    demo.run(out, "refresh_token")?;

    out.scene("Rung 1: the refresh token")?;
    say(
        "Two weeks later the access token has expired, and Webex refuses it. The refresh token \
         gets a new one, which is saved first and tried then.",
    )?;
    sandbox.expire(&tokens.access_token);
    demo.run(out, "refresh_token")?;
    say("Of .env, only the two lines with tokens have changed:")?;
    out.env_file()?;

    out.scene("Rung 2: the personal access token")?;
    say(
        "Later the refresh token is dead, too. The personal access token of the app's owner \
         mints a new pair.",
    )?;
    sandbox.revoke_grant(&tokens.refresh_token);
    demo.run(out, "refresh_token")?;

    out.scene("Rung 3: the integration")?;
    say(
        "A personal access token lives for 12 hours, so by now it is dead as well. The \
         integration's refresh token gives a new one, saved in token-config.json, and that \
         mints.",
    )?;
    kill_the_pair(sandbox)?;
    kill_the_personal_access_token(sandbox)?;
    say("First a look, which changes nothing:")?;
    demo.run(out, "check_token")?;
    demo.run(out, "refresh_token")?;

    out.scene("No rung is left")?;
    say(
        "The pair, the personal access token and the integration are all dead. No program can \
         help: exit code 77 calls for a human, in one line, and so does a flag in .env.",
    )?;
    kill_the_pair(sandbox)?;
    kill_the_personal_access_token(sandbox)?;
    let integration = configured()?["integration"]["refreshToken"].clone();
    sandbox.revoke_grant(integration.as_str().unwrap_or_default());
    demo.run(out, "refresh_token")?;
    out.env_file()?;

    out.scene("The human has come")?;
    say(
        "They could run setup_oauth now, which asks them to authorize the integration and does the \
         rest. These ones do it by hand: a new personal access token and the integration's new \
         refresh token go into token-config.json. The next run mints, and removes the flag.",
    )?;
    demo.configure(&demo.personal_access_token(), &demo.integration())?;
    demo.run(out, "refresh_token")?;
    demo.run(out, "check_token --offline")?;

    out.scene("The data sources stay alive")?;
    say(
        "The token works: now for what the job is about. Webex stops delivering to a data source \
         when its JWS expires, a day after its last update at most. Of ours, some are late:",
    )?;
    data_sources::populate(sandbox);
    demo.run(out, "data-sources list")?;
    say("What is past half of its life gets a new JWS, and nothing else about it changes:")?;
    demo.run(out, "data-sources extend --all")?;
    demo.run(out, "data-sources list")?;

    out.scene("Your turn")?;
    say("Any command line against a fresh local Webex:")?;
    for arguments in [
        "refresh_token --json",
        "refresh_token --force",
        "refresh_token --plan",
        "check_token",
        "data-sources list",
        "data-sources show 3b1f",
        "data-sources watch",
        "data-sources",
    ] {
        turn(arguments)?;
    }
    line("")?;
    say(
        "And the first day, from an empty folder to a token that works: the questions are the \
         wizard's, the answers yours.",
    )?;
    turn(SETUP_OAUTH)?;
    Ok(())
}

/// A command line to copy.
fn turn(arguments: &str) -> anyhow::Result<()> {
    line(&format!(
        "  cargo run --release --example sandbox -- \\\n    {arguments}"
    ))
}

fn kill_the_pair(sandbox: &Sandbox) -> anyhow::Result<()> {
    sandbox.revoke(&stored("WEBEX_SERVICE_APP_ACCESS_TOKEN")?);
    sandbox.revoke(&stored("WEBEX_SERVICE_APP_REFRESH_TOKEN")?);
    Ok(())
}

fn kill_the_personal_access_token(sandbox: &Sandbox) -> anyhow::Result<()> {
    let pat = configured()?["personalAccessToken"].clone();
    sandbox.revoke(pat.as_str().unwrap_or_default());
    Ok(())
}

/// A paragraph.
fn say(text: &str) -> anyhow::Result<()> {
    line(&wrapped(text))
}

/// The text in lines that fit a narrow terminal.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        if width > 0 && width + 1 + word.len() > WIDTH {
            lines.push('\n');
            width = 0;
        }
        if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += word.len();
    }
    lines + "\n"
}

/// Writes between what the programs write, in lines that fit a narrow terminal.
struct Narrator {
    scenes: u32,
    colored: bool,
}

const WIDTH: usize = 60;

fn line(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").context("cannot write")
}

impl Narrator {
    fn new() -> Self {
        Self {
            scenes: 0,
            colored: io::stdout().is_terminal() && variable("NO_COLOR").is_none(),
        }
    }

    fn styled(&self, style: &str, text: &str) -> anyhow::Result<()> {
        if self.colored {
            return line(&format!("\x1b[{style}m{text}\x1b[0m"));
        }
        line(text)
    }

    fn scene(&mut self, title: &str) -> anyhow::Result<()> {
        self.scenes += 1;
        let title = format!("{}. {title}", self.scenes);
        line("")?;
        self.styled("1", &title)?;
        self.styled("1", &"=".repeat(title.len()))
    }

    fn command(&self, command: &str) -> anyhow::Result<()> {
        self.styled("36", &format!("$ {command}"))
    }

    fn exit_code(&self, code: u8) -> anyhow::Result<()> {
        self.styled("2", &format!("[exit code {code}]"))
    }

    fn requests(&self, requests: &[webex_sandbox::Request]) -> anyhow::Result<()> {
        let count = match requests.len() {
            0 => "[Webex saw no request]".to_owned(),
            1 => "[Webex saw 1 request]".to_owned(),
            count => format!("[Webex saw {count} requests]"),
        };
        self.styled("2", &count)?;
        let shown: Vec<_> = requests.iter().map(shown).collect();
        for alike in shown.chunk_by(|one, next| one == next) {
            let text = match alike.len() {
                1 => alike[0].clone(),
                times => format!("{}, {times} times", alike[0]),
            };
            self.styled("2", &text)?;
        }
        line("")
    }

    /// `.env`, with the tokens cut short: they are the sandbox's, and the habit is worth keeping.
    fn env_file(&self) -> anyhow::Result<()> {
        self.command("cat .env")?;
        let env = fs::read_to_string(Path::new(".env")).context("cannot read .env")?;
        for text in env.lines() {
            match text.split_once('=') {
                Some((key, value)) if key.ends_with("_TOKEN") && !value.is_empty() => {
                    line(&format!("{key}=..."))?;
                }
                _ => line(text)?,
            }
        }
        line("")
    }
}

/// A request, as short as can be.
fn shown(request: &webex_sandbox::Request) -> String {
    let status = request
        .status
        .map_or("-".to_owned(), |status| status.to_string());
    let below = |folder| request.path.strip_prefix(folder);
    let path = match (below("/v1/applications/"), below("/v1/dataSources/")) {
        (Some(_), _) => "/v1/applications/{appId}/token",
        (_, Some(id)) if id != "schemas" => "/v1/dataSources/{id}",
        _ => &request.path,
    };
    format!("   {:<4} {path:<32} -> {status}", request.method)
}

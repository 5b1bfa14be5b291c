//! The command lines: arguments in, an answer and an exit code out. No decision is made here.
//!
//! The answer goes to stdout and the conversation to stderr; a failure's line is conversation,
//! unless `--json` makes it the answer.

mod arguments;
mod cores;
mod data_sources;
mod dialogue;
mod output;
mod setup;
mod signals;
mod terminal;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use clap::error::ContextValue;
use jiff::SignedDuration;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use self::arguments::{CheckToken, Common, RefreshToken};
use self::output::{Palette, Style};
use crate::clock::Clock;
use crate::config::{Environment, Flags, Sources};
use crate::manager::{self, Limits, Need, Probe, Stop};
use crate::masked::masked_text;
use crate::remedy::ExitStatus;
use crate::token::without_tokens;

pub use self::arguments::{check_token_command, refresh_token_command, setup_oauth_command};
pub use self::data_sources::arguments::data_sources_command;

/// `refresh_token`: climbs the ladder once.
///
/// `arguments` begin with the program's name.
pub fn refresh_token(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
) -> ExitCode {
    finish(run(
        arguments,
        environment,
        |arguments: RefreshToken, sources, terminal| {
            if arguments.plan {
                plan(&arguments, sources, terminal)
            } else {
                refresh(&arguments, sources, terminal)
            }
        },
    ))
}

/// `check_token`: says where every credential stands.
///
/// `arguments` begin with the program's name.
pub fn check_token(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
) -> ExitCode {
    finish(run(
        arguments,
        environment,
        |arguments, sources, terminal| check(&arguments, sources, terminal),
    ))
}

/// `setup_oauth`: sets up the ladder, with a person at the terminal or without.
///
/// `arguments` begin with the program's name.
pub fn setup_oauth(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
) -> ExitCode {
    finish(run(
        arguments,
        environment,
        |arguments, sources, terminal| setup::run(&arguments, sources, terminal),
    ))
}

/// `data-sources`: manages data sources and keeps them alive.
///
/// `arguments` begin with the program's name.
pub fn data_sources(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
) -> ExitCode {
    finish(run(
        arguments,
        environment,
        |arguments, sources, terminal| data_sources::run(&arguments, sources, terminal),
    ))
}

/// Where to write, and how.
#[derive(Clone, Copy)]
struct Terminal {
    json: bool,
    quiet: bool,
    stdout: Palette,
    stderr: Palette,
}

fn run<A: Parser + AsRef<Common>>(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
    program: impl FnOnce(A, &Sources, Terminal) -> anyhow::Result<u8>,
) -> anyhow::Result<u8> {
    let without_cores = cores::forbid();
    let arguments = match A::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(mut error) => {
            withhold_secrets(&mut error);
            // Also how `--help` and `--version` are answered.
            unless_nobody_reads(error.print()).context("cannot write")?;
            return Ok(u8::try_from(error.exit_code()).unwrap_or(ExitStatus::Usage as u8));
        }
    };
    let common = arguments.as_ref();
    let sources = Sources {
        flags: Flags {
            config: common.config.clone(),
            env_file: common.env_file.clone(),
            api_base_url: common.api_base_url.clone(),
            settings: Vec::new(),
        },
        environment,
    };
    let no_color = sources.no_color();
    let terminal = Terminal {
        json: common.json,
        quiet: common.quiet,
        stdout: Palette::choose(common.color, no_color, &io::stdout()),
        stderr: Palette::choose(common.color, no_color, &io::stderr()),
    };
    log_to_stderr(common.verbose, sources.rust_log(), terminal.stderr);
    if let Err(error) = without_cores {
        tracing::debug!(%error, "a crash could leave a core file with secrets in it");
    }
    program(arguments, &sources, terminal)
}

/// Takes what looks like a token, and what is secret in a URL, out of what clap quotes: nobody should
/// pass a token, and who did needs no second copy in a log.
fn withhold_secrets(error: &mut clap::Error) {
    let shown = |text: &str| without_tokens(&masked_text(text));
    let withheld: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, ContextValue::String(shown(text)))),
            // Advice, which is of no use without what it is about.
            ContextValue::StyledStrs(advice) => {
                let mut advice = advice.clone();
                advice.retain(|text| shown(&text.to_string()) == text.to_string());
                Some((kind, ContextValue::StyledStrs(advice)))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in withheld {
        error.insert(kind, value);
    }
}

fn refresh(arguments: &RefreshToken, sources: &Sources, terminal: Terminal) -> anyhow::Result<u8> {
    let need = Need {
        force: arguments.force,
        min_validity: arguments.min_validity,
        even_unsaved: arguments.print_token,
        ..Need::default()
    };
    let (report, signal) = runtime()?.block_on(async {
        let (stop, signal) = signals::listen()?;
        let limits = Limits::starting_now(
            unsigned(arguments.deadline),
            unsigned(arguments.lock_timeout),
            stop,
        );
        let report = manager::refresh(sources, &Clock::System, need, limits).await;
        anyhow::Ok((report, signal.number()))
    })?;
    let exit = output::exit_status(&report) as u8;
    if arguments.print_token {
        if let Some(token) = &report.access_token {
            write_out(&format!("{}\n", token.expose()))?;
        }
        if !report.outcome.works() {
            complain(&output::failure(&report, terminal.stderr));
        }
    } else if terminal.json {
        write_out(&output::report_json(&report))?;
    } else if report.outcome.works() {
        if !terminal.quiet {
            write_out(&output::success(&report, terminal.stdout))?;
        }
    } else {
        complain(&output::failure(&report, terminal.stderr));
    }
    terminal.warn(&report.warnings);
    Ok(signal.map_or(exit, |number| 128 + number))
}

fn plan(arguments: &RefreshToken, sources: &Sources, terminal: Terminal) -> anyhow::Result<u8> {
    let plan = manager::plan(
        sources,
        &Clock::System,
        arguments.force,
        arguments.min_validity,
    );
    match plan {
        Ok(plan) if terminal.json => write_out(&output::plan_json(&plan))?,
        Ok(plan) => {
            write_out(&output::plan(&plan, terminal.stdout))?;
            terminal.warn(&plan.warnings);
        }
        Err(report) => {
            if terminal.json {
                write_out(&output::report_json(&report))?;
            } else {
                complain(&output::failure(&report, terminal.stderr));
            }
            return Ok(output::exit_status(&report) as u8);
        }
    }
    Ok(ExitStatus::Works as u8)
}

fn check(arguments: &CheckToken, sources: &Sources, terminal: Terminal) -> anyhow::Result<u8> {
    let probe = if arguments.offline {
        Probe::Offline
    } else {
        Probe::Online
    };
    let limits = || Limits::starting_now(Limits::DEFAULT, Limits::DEFAULT, Stop::never());
    let status = runtime()?
        .block_on(async { manager::status(sources, &Clock::System, probe, limits()).await });
    if terminal.json {
        write_out(&output::status_json(&status))?;
    } else {
        if !terminal.quiet {
            write_out(&output::status(&status, terminal.stdout))?;
        } else if !status.outcome.is_settled() {
            complain(&output::headline(&status, terminal.stderr));
        }
        terminal.warn(&status.warnings);
    }
    Ok(status.outcome.exit_status() as u8)
}

fn complain(text: &str) {
    terminal::erase_note();
    let text = terminal::fitted(text, &io::stderr());
    // Not `eprint!`: it panics where nobody reads.
    let _ = io::stderr().write_all(text.as_bytes());
}

impl Terminal {
    fn warn(self, warnings: &[String]) {
        if self.quiet || self.json {
            return;
        }
        let label = self.stderr.paint(Style::Warning, "warning:");
        for warning in warnings {
            complain(&format!("{label} {warning}\n"));
        }
    }
}

/// One thread does it all: file calls stay on it, and starting others would cost more than a
/// request.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")
}

fn write_out(text: &str) -> anyhow::Result<()> {
    write_bytes_out(text.as_bytes())
}

fn write_bytes_out(bytes: &[u8]) -> anyhow::Result<()> {
    terminal::erase_note();
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    unless_nobody_reads(written).context("cannot write the answer")
}

/// Whoever has gone has read enough.
fn unless_nobody_reads(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn finish(exit: anyhow::Result<u8>) -> ExitCode {
    match exit {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("error: {error:#}\n"));
            ExitCode::from(ExitStatus::File as u8)
        }
    }
}

fn unsigned(duration: SignedDuration) -> Duration {
    duration.try_into().unwrap_or(Duration::ZERO)
}

/// Logs this crate's own events alone: what the libraries below log may quote a request.
fn log_to_stderr(verbose: u8, rust_log: Option<&str>, palette: Palette) {
    let targets = match (verbose, rust_log) {
        (0, None) => return,
        (0, Some(directives)) => directives.parse().unwrap_or_default(),
        (1, _) => ours(LevelFilter::DEBUG),
        _ => ours(LevelFilter::TRACE),
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        // Where nobody reads, it would say so on stderr, and panic in the middle of a climb.
        .log_internal_errors(false)
        .with_ansi(palette.is_colored())
        .with_target(false);
    let only_ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::TRACE);
    let logging =
        tracing_subscriber::registry().with(layer.with_filter(targets).with_filter(only_ours));
    // An embedding program may have set its own; then that one logs.
    let _ = logging.try_init();
}

fn ours(level: LevelFilter) -> Targets {
    Targets::new().with_target(env!("CARGO_CRATE_NAME"), level)
}

//! `setup_oauth`: does what [`crate::setup`] says, with a person at the terminal or without.
//!
//! [`wizard`] goes step by step; [`consenting`] is the step in which a person allows something,
//! in a browser or on another device. What is read of it all is in [`summary`].

mod browser;
mod consenting;
mod device;
mod end;
mod given;
mod summary;
mod typed_lines;
mod voice;
mod wizard;

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;

use self::end::Outcome;
use self::wizard::Wizard;
use super::arguments::SetupOauth;
use super::{
    Terminal, complain, output, runtime, signals, terminal as tty, unless_nobody_reads, write_out,
};
use crate::config::Sources;
use crate::remedy::ExitStatus;

/// The signal that Ctrl-C stands for, where a question takes it for a key.
const INTERRUPT: u8 = 2;

pub(super) fn run(
    arguments: &SetupOauth,
    sources: &Sources,
    terminal: Terminal,
) -> anyhow::Result<u8> {
    if let Some(error) = arguments.conflict() {
        unless_nobody_reads(error.print()).context("cannot write")?;
        return Ok(ExitStatus::Usage as u8);
    }
    let mut sources = sources.clone();
    let given = given::values(arguments).map(|values| sources.flags.settings = values);
    tty::remember();
    let (end, signal) = runtime()?.block_on(async {
        let (stop, signal) = signals::listen()?;
        let mut wizard = Wizard::new(arguments, sources, terminal, stop);
        let end = match given {
            Ok(()) => wizard.go().await,
            Err(report) => Err(report.into()),
        };
        let end = wizard.take_leave(end).await;
        anyhow::Ok((end, signal.number()))
    })?;
    tty::restore();
    let signal = signal.or((end.outcome == Outcome::Interrupted).then_some(INTERRUPT));
    if terminal.json {
        write_out(&summary::json(&end))?;
    } else if end.outcome.works() {
        if !terminal.quiet {
            let text = summary::text(&end, terminal.stdout);
            let lines = text.lines().map(|line| {
                // Lines to be copied stay whole, as an answer for a program does.
                if io::stdout().is_terminal() && !line.starts_with("  ") {
                    tty::wrapped(line, "  ")
                } else {
                    line.to_owned()
                }
            });
            write_out(&(lines.collect::<Vec<_>>().join("\n") + "\n"))?;
        }
    } else if end.outcome == Outcome::Interrupted {
        complain("Ended before it was done; `setup_oauth` goes on from what is written by now.\n");
    } else {
        complain(&output::failure(&end.report, terminal.stderr));
    }
    terminal.warn(&end.report.warnings);
    Ok(signal.map_or(end.exit_status() as u8, |number| 128 + number))
}

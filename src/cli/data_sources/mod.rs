//! `data-sources`: shows data sources, changes them, and keeps them alive.
//!
//! A file per command; [`Session`] is what they share. What can go wrong is told in [`trouble`].

pub(super) mod arguments;
mod delete;
mod delivery;
mod done;
mod extend;
mod from_file;
mod list;
mod menu;
mod preview;
mod register;
mod schema;
mod schemas;
mod show;
mod shown;
mod table;
mod trouble;
mod update;
mod watch;

use std::cell::{OnceCell, RefCell};
use std::io::{self, IsTerminal as _};
use std::pin::pin;

use jiff::SignedDuration;

use self::arguments::{Command, DataSources as Arguments};
use self::table::Fit;
use self::trouble::Trouble;
use super::dialogue::Dialogue;
use super::{Terminal, complain, runtime, signals, terminal as tty, unsigned, write_out};
use crate::authorized::AuthorizedClient;
use crate::clock::Clock;
use crate::config::Sources;
use crate::manager::{self, Limits, Stop, TokenManager};
use crate::remedy::ExitStatus;
use crate::sources::{Changes, DataSources};

/// What the commands share.
struct Session<'a> {
    arguments: &'a Arguments,
    /// Where the files are, and what the environment says.
    files: &'a Sources,
    terminal: Terminal,
    stop: Stop,
    manager: TokenManager,
    /// Made when it is first needed, and then kept: it knows what Webex has asked to wait for.
    calls: OnceCell<AuthorizedClient>,
    /// What climbs have warned of, each once.
    warnings: RefCell<Vec<String>>,
}

/// How a command ended.
type Ended = Result<ExitStatus, Trouble>;

pub(super) fn run(
    arguments: &Arguments,
    files: &Sources,
    terminal: Terminal,
) -> anyhow::Result<u8> {
    tty::remember();
    let (exit, signal) = runtime()?.block_on(async {
        let (stop, signal) = signals::listen()?;
        let session = Session::new(arguments, files, terminal, stop);
        let (exit, interrupt) = match session.go_and_listen().await {
            Ok(exit) => (exit, None),
            Err(trouble) => {
                session.tell(&trouble)?;
                (trouble.exit, trouble.signal)
            }
        };
        // What a climb in the background is issued is saved before the process ends.
        session.manager.landed().await;
        session.tell_of_climbs();
        anyhow::Ok((exit, signal.number().or(interrupt)))
    })?;
    tty::restore();
    // A signal is how `watch` is meant to end.
    let cut_short_by = signal.filter(|_| !matches!(arguments.command, Some(Command::Watch(_))));
    Ok(cut_short_by.map_or(exit as u8, |number| 128 + number))
}

impl<'a> Session<'a> {
    fn new(arguments: &'a Arguments, files: &'a Sources, terminal: Terminal, stop: Stop) -> Self {
        let deadline = arguments
            .command
            .as_ref()
            .map_or(SignedDuration::MAX, Command::deadline);
        let bounds = limits(deadline, stop.clone());
        let runner = match arguments.command {
            // It is silent while a climb is under way, so that nobody holds that up, and one thread
            // does for all: strace can then cut it off at any call of the system.
            Some(Command::Extend(_)) => manager::on_this_runtime(),
            // These wait for who reads what they say, or for a person.
            _ => manager::on_a_thread(),
        };
        Self {
            arguments,
            files,
            terminal,
            stop,
            manager: TokenManager::bounded(files.clone(), Clock::System, runner, bounds),
            calls: OnceCell::new(),
            warnings: RefCell::default(),
        }
    }

    /// Notes meanwhile what each climb warns of, not what the last one does alone.
    async fn go_and_listen(&self) -> Ended {
        let mut landings = self.manager.landings();
        let mut ended = pin!(self.go());
        loop {
            tokio::select! {
                biased;
                Ok(()) = landings.changed() => self.note_warnings(),
                ended = &mut ended => return ended,
            }
        }
    }

    async fn go(&self) -> Ended {
        match &self.arguments.command {
            Some(command) => self.carry(command).await,
            None if self.can_show_a_menu() => self.menu().await,
            None => Err(Trouble::usage(
                "there is no command, and a menu needs a terminal, without --json and --quiet",
                "name a command; `data-sources --help` lists them",
            )),
        }
    }

    /// Carries out one command.
    async fn carry(&self, command: &Command) -> Ended {
        match command {
            Command::List(list) => self.list(list).await,
            Command::Show(show) => self.show(show).await,
            Command::Schemas(schemas) => self.schemas(schemas).await,
            Command::Register(register) => self.register(register).await,
            Command::Update(update) => self.update(update).await,
            Command::Delete(delete) => self.delete(delete).await,
            Command::Disable(disable) => self.disable(disable).await,
            Command::Enable(enable) => self.enable(enable).await,
            Command::Extend(extend) => self.extend(extend).await,
            Command::Watch(watch) => self.watch(watch).await,
        }
    }

    /// A failure's line is conversation, unless `--json` makes it the answer.
    fn tell(&self, trouble: &Trouble) -> anyhow::Result<()> {
        if self.terminal.json {
            // Who reads a line for each thing that happens gets this in a line as well.
            return write_out(&match self.arguments.command {
                Some(Command::Watch(_)) => trouble.json_line(),
                _ => trouble.json(),
            });
        }
        complain(&trouble.text(self.terminal.stderr));
        Ok(())
    }

    fn note_warnings(&self) {
        if let Some(report) = &*self.manager.landings().borrow() {
            let mut warnings = self.warnings.borrow_mut();
            let is_new = |warning: &&String| !warnings.contains(warning);
            let new: Vec<_> = report.warnings.iter().filter(is_new).cloned().collect();
            warnings.extend(new);
        }
    }

    /// What climbs have warned of, which may be told once only: conversation beside any answer.
    /// `watch` tells of each climb when it has landed.
    fn tell_of_climbs(&self) {
        if matches!(self.arguments.command, Some(Command::Watch(_))) {
            return;
        }
        self.note_warnings();
        let terminal = Terminal {
            json: false,
            ..self.terminal
        };
        terminal.warn(&self.warnings.borrow());
    }

    /// The data sources, for a run that takes no longer than this.
    fn sources(&self, deadline: SignedDuration) -> Result<DataSources, Trouble> {
        if self.calls.get().is_none() {
            let _ = self.calls.set(AuthorizedClient::new(self.manager.clone())?);
        }
        let calls = self.calls.get().expect("it has just been made").clone();
        Ok(DataSources::new(calls.within(self.limits(deadline))))
    }

    /// What a run may take from now on.
    fn limits(&self, deadline: SignedDuration) -> Limits {
        limits(deadline, self.stop.clone())
    }

    /// Whether somebody can be asked; a program that reads `--json` cannot.
    fn can_ask(&self) -> bool {
        !self.terminal.json && tty::is_there()
    }

    fn can_show_a_menu(&self) -> bool {
        self.can_ask() && io::stdout().is_terminal() && !self.terminal.quiet
    }

    /// Says in the menu that Webex is waited for; a command that was typed needs no note.
    fn note_wait(&self) {
        const NOTE: &str = "asking Webex…";
        match &self.arguments.command {
            Some(_) => {}
            None if self.files.is_dumb() => complain(&format!("{NOTE}\n")),
            None => tty::note(NOTE),
        }
    }

    /// Asks which of these it is to be, each in a line that fits.
    async fn choose<T: Send + 'static>(
        &self,
        label: &'static str,
        mut choices: Vec<(T, String)>,
    ) -> Result<T, Trouble> {
        /// What stands before a choice, and between a question and its answer.
        const MARKS: usize = 4;
        let room = preview::width().saturating_sub(label.len() + MARKS);
        if !self.files.is_dumb() {
            for (_, text) in &mut choices {
                *text = Fit::End(0).fitted(text, room);
            }
        }
        // Only a signal ends the wait for a person.
        let limits = self.limits(SignedDuration::MAX);
        Ok(self.dialogue().choose(label, choices, &limits).await?)
    }

    fn dialogue(&self) -> Dialogue {
        Dialogue {
            is_plain: self.files.is_dumb(),
            palette: self.terminal.stderr,
        }
    }

    /// The same to be changed, with the operation log open: nothing is asked of Webex before.
    fn changes(&self, deadline: SignedDuration) -> Result<Changes, Trouble> {
        let sources = self.sources(deadline)?;
        let changes = Changes::open(sources, self.arguments.log.as_deref());
        changes.map_err(|error| Trouble::no_log(&error))
    }
}

fn limits(deadline: SignedDuration, stop: Stop) -> Limits {
    Limits::starting_now(unsigned(deadline), Limits::DEFAULT, stop)
}

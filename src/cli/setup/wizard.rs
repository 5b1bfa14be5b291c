//! Step by step, as [`crate::setup::next`] decides: asking, writing, climbing, proving.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use secrecy::SecretString;

use super::browser::Visitor;
use super::end::{self, End, Outcome};
use super::voice::{self, Voice};
use crate::cli::arguments::SetupOauth;
use crate::cli::dialogue::{Dialogue, Gone, Question};
use crate::cli::{Terminal, terminal as tty};
use crate::clock::Clock;
use crate::config::{Origin, Problem, ProblemKind, RedirectUri, Setting, Settings, Sources};
use crate::ladder::Outcome as Asked;
use crate::lifetime;
use crate::manager::{
    self, Attempt, Brought, Found, Limits, Need, Probe, Report, RunOutcome, Stop,
};
use crate::remedy::Remedy;
use crate::setup::{self, Climbed, Known, Step, Way, questions};
use crate::token::Fingerprint;

/// How long the summary may take: all is done by then.
const LEAVING: Duration = Duration::from_secs(10);

pub(super) struct Wizard<'a> {
    pub(super) arguments: &'a SetupOauth,
    pub(super) sources: Sources,
    pub(super) dialogue: Dialogue,
    pub(super) voice: Voice,
    pub(super) stop: Stop,
    pub(super) known: Known,
    /// Whether what the files hold has been told.
    pub(super) has_told: bool,
    /// Where the command line gives settings that are not written yet, these.
    pub(super) unwritten: Vec<(Setting, SecretString)>,
    /// How the ladder ended, if it did.
    exhausted: Option<Box<Report>>,
    pub(super) visitor: Visitor,
    /// Every request of the run, but for polls that were answered "not yet".
    pub(super) attempts: Vec<Attempt>,
    pub(super) warnings: Vec<String>,
}

/// Why the wizard stops before it is done.
pub(super) enum Halt {
    Failed(Box<Report>),
    Gone,
}

impl From<Box<Report>> for Halt {
    fn from(report: Box<Report>) -> Self {
        Self::Failed(report)
    }
}

impl From<Gone> for Halt {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl<'a> Wizard<'a> {
    pub(super) fn new(
        arguments: &'a SetupOauth,
        sources: Sources,
        terminal: Terminal,
        stop: Stop,
    ) -> Self {
        let can_ask = tty::is_there();
        let is_dumb = sources.is_dumb();
        Self {
            arguments,
            dialogue: Dialogue {
                is_plain: is_dumb,
                palette: terminal.stderr,
            },
            voice: Voice {
                is_quiet: terminal.quiet,
                is_live: io::stderr().is_terminal() && !is_dumb,
            },
            known: Known {
                can_ask,
                reauthorize: arguments.reauthorize,
                ..Known::default()
            },
            stop,
            has_told: false,
            unwritten: sources.flags.settings.clone(),
            exhausted: None,
            visitor: Visitor::default(),
            attempts: Vec::new(),
            warnings: Vec::new(),
            sources,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits::starting_now(Limits::DEFAULT, Limits::DEFAULT, self.stop.clone())
    }

    /// Step by step, each decided on what is there by then.
    pub(super) async fn go(&mut self) -> Result<Outcome, Halt> {
        loop {
            if self.stop.is_set() {
                return Err(Halt::Gone);
            }
            let found = manager::find(&self.sources, &Clock::System)?;
            self.take_in(&found);
            match setup::next(&self.known) {
                Step::Faulty if self.known.can_ask => {
                    let faults = setup::faults(&found.settings);
                    let faults = faults.into_iter().map(Problem::to_string);
                    return Err(misconfigured(faults.collect()));
                }
                Step::Faulty => {
                    return Err(misconfigured(shortfall(&self.known.lacking(), &found)));
                }
                Step::Missing(_) if let Some(report) = self.exhausted.take() => {
                    return Err(report.into());
                }
                Step::Missing(settings) => {
                    return Err(misconfigured(shortfall(&settings, &found)));
                }
                Step::Ask(settings) => self.ask(&settings, &found).await?,
                Step::Write => self.write(Vec::new(), &found.settings).await?,
                Step::Climb => self.climb().await?,
                Step::Choose => {
                    let limits = self.limits();
                    self.voice.note(&format!("\n{}\n", questions::CHOICE));
                    let ways = questions::WAYS.map(|(way, text)| (way, text.to_owned()));
                    let way = self.dialogue.choose(questions::WAY, ways.into(), &limits);
                    self.known.way = Some(way.await?);
                }
                Step::Consent => self.consent(&found).await?,
                Step::Prove => self.prove().await?,
                Step::Done if self.known.is_proven => return Ok(Outcome::Ready),
                Step::Done => return Ok(Outcome::Run(RunOutcome::Valid)),
            }
        }
    }

    fn take_in(&mut self, found: &Found) {
        self.known.take_in(&found.settings);
        self.known.has_credentials = found.has_credentials;
        self.known.is_unwritten =
            !self.unwritten.is_empty() || !setup::placeholders(&found.settings).is_empty();
        // Of files that cannot be understood, nothing is known.
        if !self.known.is_faulty && !std::mem::replace(&mut self.has_told, true) {
            self.voice.note(&what_was_found(found));
        }
    }

    /// Asks for these, and writes the answers.
    async fn ask(&mut self, settings: &[Setting], found: &Found) -> Result<(), Halt> {
        let redirect_uri = found.settings.redirect_uri.as_ref();
        let redirect_uri = redirect_uri.map(RedirectUri::as_str).unwrap_or_default();
        let screens = questions::explanation(settings, redirect_uri);
        self.voice.note(&format!("\n{}\n", screens.join("\n\n")));
        let mut answers: Vec<(Setting, SecretString)> = Vec::new();
        let mut fingerprints: BTreeMap<Setting, Fingerprint> = found
            .settings
            .usable()
            .filter(|setting| !settings.contains(setting))
            .filter_map(|setting| Some((setting, found.settings.fingerprint(setting)?.clone())))
            .collect();
        let limits = self.limits();
        // What Webex has refused may be right in the other application's place.
        let is_again = !self.known.refused.is_empty();
        let mut settings = settings.to_vec();
        let mut asked = 0;
        while let Some(setting) = settings.get(asked).copied() {
            asked += 1;
            let mut known = fingerprints.clone();
            let other = questions::counterpart(setting).filter(|_| is_again);
            let others = other.and_then(|other| known.remove(&other));
            let judge = move |answer: &str| {
                let judged =
                    questions::judge(setting, answer, |setting| known.get(&setting).cloned());
                judged.map(drop).map_err(|slip| slip.to_string())
            };
            let question = questions::question(setting);
            let question = Question {
                label: question.label,
                is_secret: question.is_secret,
                suggestion: None,
            };
            let answer = self.dialogue.ask(question, judge, &limits).await?;
            for (setting, value) in questions::settings(setting, answer.trim().to_owned()) {
                fingerprints.insert(setting, Fingerprint::of(&value));
                answers.push((setting, value.into()));
            }
            if let Some(other) = other.filter(|_| others.as_ref() == fingerprints.get(&setting)) {
                // So the two were swapped.
                settings.push(other);
            }
        }
        let answers_app_id = answers
            .iter()
            .any(|(setting, _)| *setting == Setting::AppId);
        if settings.contains(&Setting::ClientId) && !answers_app_id {
            // One that is there may be another app's; without it, it is computed.
            if found.settings.origin(Setting::AppId) == Some(Origin::ConfigFile) {
                answers.push((Setting::AppId, String::new().into()));
            }
        }
        if settings.contains(&Setting::PersonalAccessToken) {
            self.known.has_consent = true;
        }
        self.known.refused.clear();
        self.write(answers, &found.settings).await
    }

    /// Writes what the command line gives and what was answered, all together.
    async fn write(
        &mut self,
        answers: Vec<(Setting, SecretString)>,
        settings: &Settings,
    ) -> Result<(), Halt> {
        let mut values = std::mem::take(&mut self.unwritten);
        self.sources.flags.settings.clear();
        let empty = setup::placeholders(settings).into_iter();
        values.extend(empty.map(|setting| (setting, String::new().into())));
        values.extend(answers);
        let beneath = manager::find(&self.sources, &Clock::System)?;
        let is_overruled = |setting: &Setting| {
            let is_the_same =
                beneath.settings.fingerprint(*setting) == settings.fingerprint(*setting);
            let origin = beneath.settings.origin(*setting);
            origin.is_some_and(|origin| origin > Origin::ConfigFile) && !is_the_same
        };
        let to_write = values.iter().map(|(setting, _)| setting);
        let problems: Vec<_> = to_write
            .filter(|setting| is_overruled(setting))
            .map(|setting| {
                format!(
                    "{} is set, and would stand over what is to be written into {}; unset it, or \
                     remove it from {}",
                    setting.variable(),
                    beneath.config_file,
                    beneath.env_file
                )
            })
            .collect();
        if !problems.is_empty() {
            return Err(misconfigured(problems));
        }
        let limits = self.limits();
        let written = manager::configure(&self.sources, &Clock::System, &values, limits).await?;
        self.take(written);
        self.voice.note(&format!("Wrote {}.", beneath.config_file));
        Ok(())
    }

    async fn climb(&mut self) -> Result<(), Halt> {
        self.voice.note("Trying the ladder with what is there ...");
        let need = Need {
            expiry: true,
            ..Need::default()
        };
        let report = self.refresh(need).await;
        match report.outcome {
            outcome if outcome.works() => {
                self.voice.note(&format!("It works: {}.", report.message));
                self.known.climbed = Climbed::Works;
                Ok(())
            }
            RunOutcome::ReauthorizationRequired => {
                self.voice
                    .note(&format!("It ends here: {}.", report.message));
                self.known.climbed = Climbed::Exhausted;
                self.exhausted = Some(Box::new(Report {
                    remedy: Some(Remedy::GiveCredential),
                    ..*report
                }));
                Ok(())
            }
            _ => self.correct(report).await,
        }
    }

    async fn prove(&mut self) -> Result<(), Halt> {
        self.voice
            .note("Minting a token of the service app with it ...");
        let need = Need {
            force: true,
            expiry: true,
            prove: true,
            ..Need::default()
        };
        let report = self.refresh(need).await;
        if report.outcome.works() {
            self.known.is_proven = true;
            return Ok(());
        }
        let was_typed = self.known.way == Some(Way::PersonalAccessToken);
        if report.outcome == RunOutcome::ReauthorizationRequired && was_typed && self.known.can_ask
        {
            voice::tell(
                "\nWebex refuses this personal access token: it has expired, or is not whole.",
            );
            self.known.has_consent = false;
            self.known.climbed = Climbed::Exhausted;
            return Ok(());
        }
        self.correct(report).await
    }

    async fn refresh(&mut self, need: Need) -> Box<Report> {
        let limits = self.limits();
        let report = manager::refresh(&self.sources, &Clock::System, need, limits).await;
        self.attempts.extend(report.attempts.iter().cloned());
        if report.outcome.works() {
            self.warn(report.warnings.iter().cloned());
        }
        Box::new(report)
    }

    /// What a step has brought; what there is to say beside is kept for the end.
    pub(super) fn take<T>(&mut self, brought: Brought<T>) -> T {
        self.attempts.extend(brought.attempts);
        self.warn(brought.warnings);
        brought.value
    }

    fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    /// Has what Webex refuses asked for again, where an answer may help.
    pub(super) async fn correct(&mut self, report: Box<Report>) -> Result<(), Halt> {
        let settings = match &report.remedy {
            Some(remedy) => setup::to_correct(remedy),
            None => &[],
        };
        if settings.is_empty() || !self.known.can_ask {
            return Err(report.into());
        }
        let found = manager::find(&self.sources, &Clock::System)?;
        let is_written = |setting: &&Setting| {
            let origin = found.settings.origin(**setting);
            origin.is_none_or(|origin| origin == Origin::ConfigFile)
        };
        let is_all_written = settings.iter().all(|setting| is_written(&setting));
        if !is_all_written {
            return Err(report.into());
        }
        // Whoever waits in the browser is told now, not once all is corrected.
        let visitor = std::mem::take(&mut self.visitor);
        visitor
            .leave(end::page(Outcome::of(&report), &report))
            .await;
        voice::tell(&format!(
            "\nNot accepted: {}.\nPlease enter again what that may be about, or end this with Ctrl-C.",
            report.message
        ));
        self.known.refused = settings.to_vec();
        Ok(())
    }

    /// Tells the browser that waits, and sums up.
    pub(super) async fn take_leave(mut self, end: Result<Outcome, Halt>) -> End {
        let was_typed = self.known.way == Some(Way::PersonalAccessToken);
        let probe = match &end {
            // How long it lives, Webex alone knows.
            Ok(Outcome::Ready) if was_typed => Probe::Online,
            _ => Probe::Offline,
        };
        let limits = Limits::starting_now(LEAVING, LEAVING, self.stop.clone());
        let status = manager::status(&self.sources, &Clock::System, probe, limits).await;
        let (outcome, mut report) = match end {
            Ok(outcome) => {
                let file = self.sources.env_file();
                let file = file.display();
                let message = match outcome {
                    Outcome::Ready => format!("Webex accepts the access token in {file}"),
                    _ => format!("the access token in {file} works"),
                };
                (outcome, Report::bare(RunOutcome::Valid, message))
            }
            Err(Halt::Failed(report)) => (Outcome::of(&report), *report),
            Err(Halt::Gone) => (
                Outcome::Interrupted,
                Report::bare(RunOutcome::Unavailable, "ended before it was done"),
            ),
        };
        std::mem::take(&mut self.visitor)
            .leave(end::page(outcome, &report))
            .await;
        if report.attempts.is_empty() {
            // What has gone well explains nothing.
            let troubles = self
                .attempts
                .iter()
                .filter(|attempt| !matches!(attempt.outcome, Asked::Issued | Asked::Accepted));
            report.attempts = troubles.cloned().collect();
        }
        let told = std::mem::take(&mut report.warnings);
        self.warn(told);
        report.warnings = self.warnings;
        End {
            outcome,
            report,
            attempts: self.attempts,
            status,
            schedule: end::schedule(&self.sources),
        }
    }
}

fn misconfigured(problems: Vec<String>) -> Halt {
    let report = Report::misconfigured(problems);
    Halt::from(Box::new(report))
}

/// A line for each of `settings` that nobody gives, with every way to give it, after what is wrong
/// with those that somebody does.
fn shortfall(settings: &[Setting], found: &Found) -> Vec<String> {
    let is_given = |setting: &Setting| found.settings.origin(*setting).is_some();
    let emptied = setup::placeholders(&found.settings);
    let is_in_the_way = |problem: &&Problem| match &problem.setting {
        Some(setting) => is_given(setting) && !emptied.contains(setting),
        None => problem.kind != ProblemKind::NoConfiguration,
    };
    let problems = found.settings.problems.iter().filter(is_in_the_way);
    let missing = settings.iter().filter(|setting| !is_given(setting));
    let missing = missing.map(|setting| missing_line(*setting, found));
    problems.map(Problem::to_string).chain(missing).collect()
}

fn missing_line(setting: Setting, found: &Found) -> String {
    let key = setting.path(found.spelling).map(|path| path.join("."));
    let flag = setting.flag().unwrap_or_default();
    format!(
        "{}: missing; give {flag}, {}, or {} in {}",
        questions::question(setting).label,
        setting.variable(),
        key.unwrap_or_default(),
        found.config_file
    )
}

fn what_was_found(found: &Found) -> String {
    let settings = &found.settings;
    let tokens = format!("tokens in {}", found.env_file);
    let mut there = Vec::new();
    if settings.service_app.is_some() {
        there.push("a service app");
    }
    match &settings.integration {
        Some(integration) if integration.refresh_token.is_some() => {
            there.push("an integration that was authorized");
        }
        Some(_) => there.push("an integration that is to be authorized"),
        None => {}
    }
    if settings.personal_access_token.is_some() {
        there.push("a personal access token");
    }
    if found.has_tokens {
        there.push(&tokens);
    }
    let there = match there.as_slice() {
        [] => "nothing that is set up yet".to_owned(),
        there => there.join(", "),
    };
    let since = found
        .needed_since
        .map(|since| format!("\nA human has been needed since {}.", lifetime::date(since)));
    format!("Found: {there}.{}", since.unwrap_or_default())
}

//! The step in which a person allows something: in a browser, or on another device.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::browser::{self, Answer};
use super::device::{self, Countdown};
use super::wizard::{Halt, Wizard};
use crate::cli::{output, unsigned};
use crate::clock::Clock;
use crate::config::{Integration, RedirectUri};
use crate::consent::{Authorization, Polling};
use crate::manager::{self, Authorized, Found, MINT_SCOPE, Proof, Report, RunOutcome};
use crate::remedy::Remedy;
use crate::setup;

/// How a person is asked to consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// The answer comes to the listener, or is pasted.
    Browser {
        /// Whether to open one here.
        open: bool,
    },
    /// The device grant.
    Device,
}

impl Wizard<'_> {
    pub(super) async fn consent(&mut self, found: &Found) -> Result<(), Halt> {
        let integration = found.settings.integration.clone();
        let integration = integration.expect("the table has it asked for first");
        let rehearsed = manager::rehearse(&self.sources, &Clock::System, self.limits()).await?;
        self.take(rehearsed);
        let now = manager::find(&self.sources, &Clock::System)?;
        if now.has_credentials && !found.has_credentials {
            // What an earlier run could not save, or another has just saved, may be all that it takes.
            return Ok(());
        }
        let authorized = match self.manner()? {
            Manner::Device => self.by_device().await?,
            Manner::Browser { open } => self.by_browser(found, &integration, open).await?,
        };
        match authorized {
            Ok(()) => {
                self.known.has_consent = true;
                let file = &found.config_file;
                self.voice
                    .note(&format!("Allowed: the integration's tokens are in {file}."));
                Ok(())
            }
            Err(report) => {
                self.attempts.extend(report.attempts.iter().cloned());
                self.correct(report).await
            }
        }
    }

    fn manner(&self) -> Result<Manner, Halt> {
        let arguments = self.arguments;
        if arguments.device {
            return Ok(Manner::Device);
        }
        if !self.known.can_ask {
            let report = Report::bare(
                RunOutcome::ReauthorizationRequired,
                "the integration must be authorized, and there is no terminal to ask at",
            );
            return Err(Halt::from(Box::new(Report {
                remedy: Some(Remedy::AskSomebody {
                    options: self.options(),
                }),
                ..report
            })));
        }
        Ok(Manner::Browser {
            open: arguments.browser || !arguments.no_browser && self.sources.is_display_likely(),
        })
    }

    /// The options with which another run does the same, each with a space before it.
    fn options(&self) -> String {
        let flags = &self.sources.flags;
        let mut options = String::new();
        if self.known.reauthorize {
            options.push_str(" --reauthorize");
        }
        for (option, path) in [("--config", &flags.config), ("--env-file", &flags.env_file)] {
            if let Some(path) = path {
                let _ = write!(options, " {option} {}", output::quoted(path));
            }
        }
        options
    }

    async fn by_browser(
        &mut self,
        found: &Found,
        integration: &Integration,
        open: bool,
    ) -> Result<Result<(), Box<Report>>, Halt> {
        let settings = &found.settings;
        let redirect_uri = settings.redirect_uri.as_ref();
        let redirect_uri = redirect_uri.expect("there is a default, and no problem with it");
        let authorization = Authorization::new(
            &settings.authorize_url(),
            &integration.client_id,
            redirect_uri,
            &[MINT_SCOPE],
        );
        let listener = browser::listen(redirect_uri, self.voice).await;
        let timeout = unsigned(self.arguments.timeout);
        let limits = self.limits();
        let (answer, visitor) =
            browser::wait(&authorization, listener, open, timeout, self.voice, &limits).await;
        self.visitor = visitor;
        let code = match answer {
            Answer::Code(code) => code,
            Answer::Stopped => return Err(Halt::Gone),
            Answer::TimedOut => return Err(timed_out(timeout, Some(redirect_uri))),
            Answer::Denied => {
                let report = Report::bare(
                    RunOutcome::ReauthorizationRequired,
                    "the authorization was denied",
                );
                let remedy = Some(Remedy::Consent);
                return Err(Halt::from(Box::new(Report { remedy, ..report })));
            }
            Answer::Refused(error, description) => {
                let remedy = setup::refused(&error, redirect_uri.as_str());
                let outcome = if remedy.is_passing() {
                    RunOutcome::Unavailable
                } else {
                    RunOutcome::Misconfigured
                };
                let description = description.map(|it| format!(": {it}")).unwrap_or_default();
                let message = format!("Webex refuses the request ({error}{description})");
                return Ok(Err(Box::new(Report {
                    remedy: Some(remedy),
                    ..Report::bare(outcome, message)
                })));
            }
        };
        let proof = Proof::Code {
            code: &code,
            code_verifier: &authorization.code_verifier(),
            redirect_uri: authorization.redirect_uri().as_str(),
        };
        Ok(self.authorize(proof).await.map(drop))
    }

    async fn authorize(&mut self, proof: Proof<'_>) -> Result<Authorized, Box<Report>> {
        let limits = self.limits();
        let authorized = manager::authorize(&self.sources, &Clock::System, proof, limits).await?;
        Ok(self.take(authorized))
    }

    async fn by_device(&mut self) -> Result<Result<(), Box<Report>>, Halt> {
        self.voice.note("Asking Webex for a code ...");
        let begun = manager::begin_device(&self.sources, &Clock::System, self.limits()).await;
        let device = match begun {
            Ok(begun) => self.take(begun),
            Err(report) => return Ok(Err(report)),
        };
        device::show_code(&device, self.voice);
        let mut polling = Polling::new(device.interval, device.expires_in);
        let timeout = unsigned(self.arguments.timeout).min(polling.lasts());
        let mut countdown = Countdown::new(Instant::now() + timeout, self.voice);
        let proof = Proof::Device(&device.device_code);
        loop {
            if !countdown.wait(&polling, &self.limits()).await {
                countdown.end();
                return Err(if self.stop.is_set() {
                    Halt::Gone
                } else {
                    timed_out(timeout, None)
                });
            }
            match self.authorize(proof).await {
                Ok(Authorized::Undecided) => polling.pending(),
                Ok(Authorized::SlowDown(retry_after)) => polling.slow_down(retry_after),
                Ok(Authorized::Saved) => {
                    countdown.end();
                    return Ok(Ok(()));
                }
                Err(report) => {
                    countdown.end();
                    return Ok(Err(report));
                }
            }
        }
    }
}

fn timed_out(timeout: Duration, redirect_uri: Option<&RedirectUri>) -> Halt {
    let timeout = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
    let report = Report::bare(
        RunOutcome::Unavailable,
        format!("nobody answered within {}", output::roughly(timeout)),
    );
    let redirect_uri = redirect_uri.map(|uri| uri.as_str().to_owned());
    let remedy = Some(Remedy::Answer { redirect_uri });
    Halt::from(Box::new(Report { remedy, ..report }))
}

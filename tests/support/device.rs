//! `setup_oauth` without a terminal, and the person who has the device code before them.

use std::process::Command;

use serde_json::{Value, json};

use super::{Run, SETUP_OAUTH, Story, Told};

/// `setup_oauth --device` under way, up to where it has shown the code.
pub(crate) struct Waiting {
    run: Run,
    pub(crate) user_code: String,
}

impl Waiting {
    pub(crate) fn start(story: &Story, arguments: &[&str]) -> Self {
        let mut command = story.command(SETUP_OAUTH);
        Self::of(story, command.arg("--device").args(arguments))
    }

    /// The same for a command of one's own.
    pub(crate) fn of(story: &Story, command: &mut Command) -> Self {
        Self::shown(Run::of(story, command))
    }

    /// The same for a run that is under way.
    pub(crate) fn shown(mut run: Run) -> Self {
        run.logs("With the code in it");
        let user_code = user_code(run.log());
        Self { run, user_code }
    }

    /// The person has decided.
    pub(crate) fn decide(&self, story: &Story, allow: bool) -> &Self {
        story.sandbox.decide_device(&self.user_code, allow);
        self
    }

    pub(crate) fn run(&mut self) -> &mut Run {
        &mut self.run
    }

    /// Ends it on the spot, as a power cut would.
    pub(crate) fn kill(self) {
        self.run.kill();
    }

    pub(crate) fn finish(self, story: &Story) -> Told {
        self.run.finish(story)
    }
}

/// The code that stands on a line of its own, last.
pub(crate) fn user_code(shown: &str) -> String {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
    let code = shown.lines().map(str::trim).rfind(is_code);
    code.unwrap_or_else(|| panic!("no code in:\n{shown}"))
        .to_owned()
}

impl Story {
    /// Runs `setup_oauth` to its end.
    pub(crate) fn setup_oauth(&self, arguments: &[&str]) -> Told {
        self.run(self.command(SETUP_OAUTH).args(arguments))
    }

    /// Runs `setup_oauth --device` to its end, with somebody who allows what it asks for.
    pub(crate) fn allowed(&self, arguments: &[&str]) -> Told {
        let waiting = Waiting::start(self, arguments);
        waiting.decide(self, true);
        waiting.finish(self)
    }

    /// The integration, without a refresh token.
    pub(crate) fn integration(&self) -> Value {
        let tenant = self.tenant();
        json!({
            "clientId": tenant.integration_client_id,
            "clientSecret": tenant.integration_client_secret,
        })
    }

    /// A configuration that lacks nothing but a person's consent.
    pub(crate) fn to_be_authorized(&self) -> &Self {
        self.write_config(&json!({
            "serviceApp": self.service_app(),
            "tokenManager": { "integration": self.integration() },
        }))
    }

    /// The integration's refresh token in `token-config.json`.
    pub(crate) fn integration_refresh_token(&self) -> String {
        let config = self.config();
        let token = &config["tokenManager"]["integration"]["refreshToken"];
        token.as_str().expect("a refresh token").to_owned()
    }
}

//! Which credentials a story begins with, and what was asked in it, in one word a request.

use serde_json::Value;
use webex_sandbox::Sandbox;

use super::{ACCESS_TOKEN_KEY, Story, Told};

/// How one credential stands when a story begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Is {
    #[default]
    Absent,
    Live,
    /// Revoked, and the folder does not know.
    Dead,
}

/// The four credentials.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hand {
    pub(crate) access_token: Is,
    pub(crate) refresh_token: Is,
    pub(crate) personal_access_token: Is,
    pub(crate) integration: Is,
}

impl Hand {
    /// The service app's refresh token alone.
    pub(crate) const REFRESH_TOKEN: Self = Self {
        access_token: Is::Absent,
        refresh_token: Is::Live,
        personal_access_token: Is::Absent,
        integration: Is::Absent,
    };
    /// The personal access token alone.
    pub(crate) const PERSONAL_ACCESS_TOKEN: Self = Self {
        access_token: Is::Absent,
        refresh_token: Is::Absent,
        personal_access_token: Is::Live,
        integration: Is::Absent,
    };
    /// The integration alone.
    pub(crate) const INTEGRATION: Self = Self {
        access_token: Is::Absent,
        refresh_token: Is::Absent,
        personal_access_token: Is::Absent,
        integration: Is::Live,
    };
    /// Every rung would work.
    pub(crate) const ALL_RUNGS: Self = Self {
        access_token: Is::Absent,
        refresh_token: Is::Live,
        personal_access_token: Is::Live,
        integration: Is::Live,
    };
}

impl Story {
    /// A story with these credentials, in the sandbox and in the folder.
    pub(crate) fn with_hand(hand: Hand) -> Self {
        Self::with_hand_in(Sandbox::start(), hand)
    }

    /// The same, in a sandbox that has been prepared.
    pub(crate) fn with_hand_in(sandbox: Sandbox, hand: Hand) -> Self {
        let story = Self::with(sandbox);
        let sandbox = &story.sandbox;
        let stands = |is: Is, token: String| {
            if is == Is::Dead {
                sandbox.revoke(&token);
            }
            token
        };
        let pair = sandbox.issue_service_app_tokens();
        let kept = |is: Is, token: String| match is {
            Is::Absent => {
                sandbox.revoke(&token);
                String::new()
            }
            is => stands(is, token),
        };
        let access_token = kept(hand.access_token, pair.access_token);
        let refresh_token = kept(hand.refresh_token, pair.refresh_token);
        let pat = (hand.personal_access_token != Is::Absent).then(|| {
            let token = sandbox.issue_personal_access_token();
            stands(hand.personal_access_token, token)
        });
        let integration = (hand.integration != Is::Absent).then(|| {
            let token = sandbox.issue_integration_tokens().refresh_token;
            stands(hand.integration, token)
        });
        story
            .configured_with(pat.as_deref(), integration.as_deref())
            .stored(&access_token, &refresh_token);
        story
    }

    /// A story that has refreshed once, long ago: the state knows that the access token is expired.
    pub(crate) fn lapsed(hand: Hand) -> Self {
        let story = Self::refreshed(Sandbox::start(), hand);
        story.sandbox.expire(&story.access_token());
        story.expire_in_state();
        if hand.refresh_token == Is::Dead {
            story.sandbox.revoke(&story.refresh_token_in_env());
        }
        if hand.refresh_token == Is::Absent {
            story.stored(&story.access_token(), "");
        }
        story
    }

    /// A story that has refreshed once, just now. Its refresh token is there and live.
    pub(crate) fn refreshed(sandbox: Sandbox, hand: Hand) -> Self {
        let hand = Hand {
            refresh_token: Is::Live,
            ..hand
        };
        let story = Self::with_hand_in(sandbox, hand);
        story.refresh_token(&["--force"]).exits(0);
        story.sandbox.clear_requests();
        story
    }

    /// Puts another access token into `.env`, as a person would, and leaves the rest.
    pub(crate) fn paste_access_token(&self, token: &str) -> &Self {
        let old = self.env_value(ACCESS_TOKEN_KEY).unwrap_or_default();
        self.write_env(self.env().replace(&old, token))
    }

    /// Changes the state as if time had passed.
    pub(crate) fn edit_state(&self, edit: impl FnOnce(&mut Value)) -> &Self {
        let mut state = self.state();
        edit(&mut state);
        self.write(".env.state.json", state.to_string())
    }

    /// Changes what is known of the integration.
    pub(crate) fn edit_config_state(&self, edit: impl FnOnce(&mut Value)) -> &Self {
        let name = "token-config.json.state.json";
        let mut state = serde_json::from_str(&self.read(name)).expect("the state is JSON");
        edit(&mut state);
        self.write(name, state.to_string())
    }

    /// What was asked of Webex, in order.
    pub(crate) fn asked(&self) -> Vec<&'static str> {
        let integration = self.tenant().integration_client_id;
        let requests = self.sandbox.requests();
        let words = requests.iter().map(|request| {
            let client = request.form.get("client_id");
            match (request.method.as_str(), request.path.as_str()) {
                ("POST", "/v1/access_token") if client == Some(&integration) => "renew",
                ("POST", "/v1/access_token") => "grant",
                ("GET", "/v1/dataSources") => "validate",
                ("GET", "/v1/authorizations/tokenExpiry") => "expiry",
                ("POST", path) if path.starts_with("/v1/applications/") => "mint",
                other => panic!("nobody should ask {other:?}"),
            }
        });
        words.collect()
    }

    /// Forgets what was asked so far.
    pub(crate) fn forget_requests(&self) -> &Self {
        self.sandbox.clear_requests();
        self
    }
}

impl Told {
    /// `step outcome` of every attempt in `--json`.
    pub(crate) fn attempts(&self) -> Vec<String> {
        let json = self.json();
        let attempts = json["attempts"].as_array().expect("attempts");
        let word = |value: &Value| value.as_str().expect("a word").to_owned();
        let lines = attempts
            .iter()
            .map(|attempt| word(&attempt["step"]) + " " + &word(&attempt["outcome"]));
        lines.collect()
    }

    /// The attempt at `index` in `--json`.
    pub(crate) fn attempt(&self, index: usize) -> Value {
        self.json()["attempts"][index].clone()
    }

    /// Whether one of the warnings in `--json` holds `text`.
    pub(crate) fn warns(&self, text: &str) -> bool {
        let json = self.json();
        let warnings = json["warnings"].as_array().expect("warnings");
        warnings
            .iter()
            .any(|warning| warning.as_str().is_some_and(|line| line.contains(text)))
    }
}

//! What is in the folder when a story begins, and what is left of it after a crash.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use webex_sandbox::{Policy, Reuse, Sandbox};

use crate::support::readers::{ANSWERED_FOR, Readers, Values};
use crate::support::{ACCESS_TOKEN_KEY, FLAG_KEY, Hand, Is, REFRESH_TOKEN_KEY, Story, disk};

/// A `.env` with more in it than is ours.
const ENV: &str = "\
# The nightly job; ask Ada before changing anything.
export JOB_NAME='byods # nightly'
WEBEX_SERVICE_APP_ACCESS_TOKEN={ACCESS}
NOTE=\"two words\"
EMPTY=
WEBEX_SERVICE_APP_REFRESH_TOKEN={REFRESH}   # ours
LAST=1
";

/// What lies in the folder whatever has happened.
const OURS: [&str; 8] = [
    ".env",
    ".env.lock",
    ".env.state.json",
    "token-config.json",
    "token-config.json.lock",
    "token-config.json.state.json",
    "data-sources.log",
    "home",
];

/// An access token and the refresh token beside it.
#[derive(PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

/// A folder and its Webex, where refresh tokens work once and a second use ends their grant.
pub(crate) struct Scene {
    pub(crate) story: Story,
    /// What `.env` holds, the text of `token-config.json` around its tokens, and its tokens.
    pub(crate) service_app: Pair,
    config: String,
    pub(crate) integration: Pair,
    /// What Webex accepted when the story began.
    hand: Hand,
    /// Data sources that are to be extended.
    pub(crate) due: Vec<String>,
    /// Data sources that are not.
    pub(crate) fresh: Vec<String>,
}

impl Scene {
    /// Webex has just stopped to accept the access token; the refresh token could bring another, and
    /// so could a personal access token.
    pub(crate) fn with_a_personal_access_token() -> Self {
        Self::of(Hand {
            refresh_token: Is::Live,
            personal_access_token: Is::Live,
            ..Hand::default()
        })
    }

    /// The same with nothing but the refresh token. The lock file is there, from another run.
    pub(crate) fn with_the_refresh_token_alone() -> Self {
        let scene = Self::of(Hand {
            refresh_token: Is::Live,
            ..Hand::default()
        });
        scene.story.write(".env.lock", [0; 1024]);
        disk::set_mode(&scene.story.path(".env.lock"), 0o600);
        scene
    }

    /// Nothing but the integration is alive.
    pub(crate) fn with_the_integration() -> Self {
        Self::of(Hand {
            integration: Is::Live,
            ..Hand::default()
        })
    }

    /// The same as with the refresh token alone, and an integration that nobody has used for so long
    /// that the next climb renews it, to keep it alive.
    pub(crate) fn with_an_integration_long_unused() -> Self {
        let mut scene = Self::of(Hand {
            refresh_token: Is::Live,
            integration: Is::Live,
            ..Hand::default()
        });
        let story = &scene.story;
        // A climb notes when it has first seen the integration.
        story.refresh_token(&[]).exits(0);
        let long_ago = Timestamp::try_from(story.sandbox.now()).expect("in range")
            - SignedDuration::from_hours(24 * 31);
        story.edit_state(|state| {
            let seen = &mut state["credentials"]["integration_refresh_token"]["first_seen"];
            assert!(seen.is_string(), "{seen}");
            *seen = long_ago.to_string().into();
        });
        scene.service_app = pair_in(&story.env());
        story.sandbox.revoke(&scene.service_app.access_token);
        story.forget_requests();
        scene
    }

    /// Everything is alive.
    pub(crate) fn with_everything() -> Self {
        Self::of(Hand {
            access_token: Is::Live,
            refresh_token: Is::Live,
            personal_access_token: Is::Live,
            integration: Is::Live,
        })
    }

    /// Nothing is alive: a person is needed.
    pub(crate) fn with_nothing() -> Self {
        Self::of(Hand::default())
    }

    /// A token that works, three data sources that are past half of their life, and one that is not.
    pub(crate) fn with_data_sources() -> Self {
        Self::with_everything().and_data_sources()
    }

    /// The same with a token that Webex has just stopped to accept.
    pub(crate) fn with_data_sources_and_no_token() -> Self {
        Self::with_a_personal_access_token().and_data_sources()
    }

    fn and_data_sources(mut self) -> Self {
        let sandbox = &self.story.sandbox;
        self.fresh = sandbox.seed_data_sources(1);
        self.due = sandbox.seed_data_sources(3);
        for id in &self.due {
            sandbox.age_data_source(id, Duration::from_hours(13));
        }
        self
    }

    fn of(hand: Hand) -> Self {
        let policy = Policy {
            rotate: true,
            reuse: Reuse::RevokeGrant,
            ..Policy::default()
        };
        let story = Story::with(Sandbox::builder().policy(policy).start());
        let sandbox = &story.sandbox;
        let end = |token: &str, is: Is| {
            if is != Is::Live {
                sandbox.revoke(token);
            }
        };
        let tokens = sandbox.issue_service_app_tokens();
        end(&tokens.access_token, hand.access_token);
        end(&tokens.refresh_token, hand.refresh_token);
        let access_token = if hand.refresh_token == Is::Live {
            tokens.access_token
        } else {
            // Longer than what comes in its place: what is written over it leaves an end of it.
            format!("{0}_{0}", tokens.access_token)
        };
        let service_app = Pair {
            access_token,
            refresh_token: tokens.refresh_token,
        };
        let personal_access_token = sandbox.issue_personal_access_token();
        let tokens = sandbox.issue_integration_tokens();
        end(&personal_access_token, hand.personal_access_token);
        end(&tokens.refresh_token, hand.integration);
        let integration = Pair {
            access_token: personal_access_token,
            refresh_token: tokens.refresh_token,
        };
        story.configured_with(
            Some(&integration.access_token),
            Some(&integration.refresh_token),
        );
        let config = story
            .read("token-config.json")
            .replace(&integration.access_token, "{ACCESS}")
            .replace(&integration.refresh_token, "{REFRESH}");
        story.write_env(filled(ENV, &service_app));
        for name in [".env", "token-config.json"] {
            disk::set_mode(&story.path(name), 0o600);
        }
        Self {
            story,
            service_app,
            config,
            integration,
            hand,
            due: Vec::new(),
            fresh: Vec::new(),
        }
    }
}

fn filled(text: &str, pair: &Pair) -> String {
    text.replace("{ACCESS}", &pair.access_token)
        .replace("{REFRESH}", &pair.refresh_token)
}

/// The tokens in the text of `.env`.
fn pair_in(text: &str) -> Pair {
    let values: BTreeMap<_, _> = dotenvy::from_read_iter(text.as_bytes())
        .map(|it| it.expect("dotenvy reads it"))
        .collect();
    Pair {
        access_token: values[ACCESS_TOKEN_KEY].clone(),
        refresh_token: values[REFRESH_TOKEN_KEY].clone(),
    }
}

/// What the files hold after a run, each of them whole.
pub(crate) struct Left {
    pub(crate) service_app: Pair,
    pub(crate) integration: Pair,
    /// The service app's refresh token is spent, and what it has brought is on no disk.
    pub(crate) lost_grant: bool,
    /// The same of the integration's.
    pub(crate) lost_renewal: bool,
    /// A token was minted that is on no disk. Nothing was spent for it.
    pub(crate) lost_mint: bool,
    /// How many rescue files there are.
    pub(crate) rescues: usize,
}

impl Left {
    pub(crate) fn is_lost(&self) -> bool {
        self.lost_grant || self.lost_renewal || self.lost_mint
    }
}

impl Scene {
    /// Whether something could still give a token, after what was lost.
    pub(crate) fn has_another_rung(&self, left: &Left) -> bool {
        self.hand.personal_access_token == Is::Live
            || self.hand.refresh_token == Is::Live && !left.lost_grant
            || self.hand.integration == Is::Live && !left.lost_renewal
    }

    /// Reads what there is and checks that nothing but our tokens has changed.
    #[track_caller]
    pub(crate) fn left(&self, texts: &Texts) -> Left {
        self.settle();
        let sandbox = &self.story.sandbox;
        let service_app = self.env_is_whole(texts);
        let integration = self.config_is_whole();
        let rescues = self.files_are_private();
        let holds = |key: &str, lives: &dyn Fn(&str) -> bool| {
            rescues
                .iter()
                .any(|rescue| rescue[key].as_str().is_some_and(lives))
        };
        let is_lost = |stored: &str| {
            let lives = |token: &str| sandbox.is_live_refresh_token(token);
            !lives(stored) && !holds("refresh_token", &lives)
        };
        let is_new = service_app.access_token != self.service_app.access_token;
        Left {
            lost_grant: self.hand.refresh_token == Is::Live && is_lost(&service_app.refresh_token),
            lost_renewal: self.hand.integration == Is::Live && is_lost(&integration.refresh_token),
            lost_mint: sandbox.counts().mints > 0
                && !is_new
                && !holds("access_token", &|token| sandbox.is_live(token)),
            rescues: rescues.len(),
            service_app,
            integration,
        }
    }

    /// Every file can be read by its owner alone, and what is JSON is whole. Says what was rescued.
    fn files_are_private(&self) -> Vec<Value> {
        let mut rescues = Vec::new();
        let mut folders = vec![self.story.folder().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let name = path.to_string_lossy();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                assert_eq!(disk::mode(&path), 0o600, "{name}");
                if name.ends_with(".state.json") || name.ends_with(".rescue.json") {
                    let text = fs::read_to_string(&path).expect("a text");
                    let json = serde_json::from_str(&text).expect("whole JSON");
                    if name.ends_with(".rescue.json") {
                        rescues.push(json);
                    }
                }
            }
        }
        rescues
    }

    /// Asks the sandbox something, so that all that it was asked before is done.
    fn settle(&self) {
        let mut stream = TcpStream::connect(self.story.sandbox.address()).expect("it listens");
        let request = "GET /v1/people/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it reads");
        stream.read_to_end(&mut Vec::new()).expect("it answers");
    }

    fn env_is_whole(&self, texts: &Texts) -> Pair {
        let text = self.story.env();
        let lines = text.split_inclusive('\n');
        let told: String = lines.filter(|line| !line.starts_with(FLAG_KEY)).collect();
        let pair = pair_in(&text);
        assert!(
            told == filled(ENV, &pair),
            ".env is not as it was:\n{}",
            told.replace(&pair.access_token, "{ACCESS}")
                .replace(&pair.refresh_token, "{REFRESH}")
        );
        let sandbox = &self.story.sandbox;
        assert!(
            pair == self.service_app
                || sandbox.is_live(&pair.access_token)
                    && sandbox.is_live_refresh_token(&pair.refresh_token),
            "the tokens in .env belong together"
        );
        texts.add(text, &pair);
        pair
    }

    fn config_is_whole(&self) -> Pair {
        let text = self.story.read("token-config.json");
        let config: Value = serde_json::from_str(&text).expect("whole JSON");
        let manager = &config["tokenManager"];
        let token = |value: &Value| value.as_str().expect("a token").to_owned();
        let pair = Pair {
            access_token: token(&manager["personalAccessToken"]),
            refresh_token: token(&manager["integration"]["refreshToken"]),
        };
        assert!(
            text == filled(&self.config, &pair),
            "token-config.json is not as it was"
        );
        let sandbox = &self.story.sandbox;
        assert!(
            pair == self.integration
                || sandbox.is_live(&pair.access_token)
                    && sandbox.is_live_refresh_token(&pair.refresh_token),
            "the tokens in token-config.json belong together"
        );
        pair
    }

    /// What is left beside the files is a temporary file at most: one of `.env`'s is gone with the
    /// next climb, one of `token-config.json`'s when that is written next. A run that finds its token
    /// valid takes no lock, and so removes nothing.
    pub(crate) fn is_tidy(&self) {
        let others = self.others();
        let is_temporary = |name: &String| name.contains(".tmp.");
        assert!(others.iter().all(is_temporary), "left behind: {others:?}");
        let is_of_env = |name: &String| name.starts_with(".env.");
        if others.iter().any(is_of_env) {
            self.story.refresh_token(&["--force"]).exits(0);
            let others = self.others();
            assert!(!others.iter().any(is_of_env), "left behind: {others:?}");
        }
    }

    fn others(&self) -> Vec<String> {
        let mut names = disk::names(&self.story, "");
        names.retain(|name| !OURS.contains(&name.as_str()));
        names
    }
}

/// Every `.env` that a crash has left, with what it is to be read as.
#[derive(Default)]
pub(crate) struct Texts(Mutex<BTreeMap<String, Values>>);

impl Texts {
    fn add(&self, text: String, pair: &Pair) {
        let mut values: Values = [
            ("JOB_NAME", "byods # nightly"),
            ("NOTE", "two words"),
            ("EMPTY", ""),
            ("LAST", "1"),
            (ACCESS_TOKEN_KEY, &pair.access_token),
            (REFRESH_TOKEN_KEY, &pair.refresh_token),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        if let Some(flag) = text
            .lines()
            .find_map(|line| line.strip_prefix(FLAG_KEY)?.strip_prefix('='))
        {
            values.insert(FLAG_KEY.to_owned(), flag.trim_matches('\'').to_owned());
        }
        self.0
            .lock()
            .expect("nobody panics here")
            .insert(text, values);
    }

    pub(crate) fn are_read_by_every_reader(self) {
        let texts = self.0.into_inner().expect("nobody panics here");
        let named: BTreeMap<_, _> = texts
            .iter()
            .enumerate()
            .map(|(n, (text, _))| (format!("{n:04}"), text.clone()))
            .collect();
        let readings = Readers::find().read(&named);
        for reader in ANSWERED_FOR {
            for ((name, text), values) in named.iter().zip(texts.values()) {
                assert!(
                    readings[reader][name].values == *values,
                    "{reader} reads something else in:\n{text}"
                );
            }
        }
    }
}

//! One source of settings among others, and how they are laid over each other.
//!
//! A layer knows where each of its values stands, which the `config` crate does not; that crate
//! decides which layer has the last word.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Map, Source, Value, ValueKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;

use super::problem::{Problem, ProblemKind};
use super::setting::{Setting, Spelling};
use super::{ApiBase, Environment, Flags, RedirectUri, env_vars, text};

/// Where a value came from; a later one stands over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Built in.
    Default,
    /// `token-config.json`.
    ConfigFile,
    /// The `.env` file.
    Dotenv,
    /// The environment of the process.
    Environment,
    /// The command line.
    Flag,
}

impl Origin {
    const ALL: [Self; 5] = [
        Self::Default,
        Self::ConfigFile,
        Self::Dotenv,
        Self::Environment,
        Self::Flag,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::ConfigFile => "config file",
            Self::Dotenv => "dotenv",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

/// What stands in a field.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A text, without the white space around it.
    Text(SecretString),
    /// Something that is no text at all.
    Unusable(ProblemKind),
}

impl Content {
    fn text(text: &str) -> Self {
        Self::Text(text.trim().into())
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.expose_secret().is_empty())
    }

    /// The text, if it can be a value.
    pub(super) fn value(&self) -> Result<&str, ProblemKind> {
        match self {
            Self::Text(text) => {
                text::check(text.expose_secret())?;
                Ok(text.expose_secret())
            }
            Self::Unusable(kind) => Err(kind.clone()),
        }
    }
}

/// What one source says.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    origin: Origin,
    pub(super) contents: BTreeMap<Setting, Content>,
}

impl Layer {
    fn new(origin: Origin, contents: impl IntoIterator<Item = (Setting, Content)>) -> Self {
        Self {
            origin,
            contents: contents.into_iter().collect(),
        }
    }

    pub(super) fn defaults() -> Self {
        Self::new(
            Origin::Default,
            [
                (Setting::ApiBaseUrl, Content::text(ApiBase::DEFAULT)),
                (Setting::RedirectUri, Content::text(RedirectUri::DEFAULT)),
            ],
        )
    }

    pub(super) fn flags(flags: &Flags) -> Self {
        let url = flags.api_base_url.as_deref();
        let given = flags.settings.iter();
        let given = given.map(|(setting, value)| (*setting, value.expose_secret()));
        let contents = url.map(|url| (Setting::ApiBaseUrl, url)).into_iter();
        let contents = contents.chain(given).map(|(setting, value)| {
            let content = match value.trim() {
                "" => Content::Unusable(ProblemKind::Empty),
                value => Content::text(value),
            };
            (setting, content)
        });
        Self::new(Origin::Flag, contents)
    }

    pub(super) fn environment(environment: &Environment) -> Self {
        let contents = Setting::ALL.into_iter().filter_map(|setting| {
            let content = match environment.get(setting.variable())?.to_str() {
                Some(text) => Content::text(text),
                None => Content::Unusable(ProblemKind::NotUtf8),
            };
            Some((setting, content))
        });
        Self::new(Origin::Environment, contents)
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    /// An empty value is none, and lets the layers below speak.
    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let origin = self.origin.name().to_owned();
        let given = self
            .contents
            .iter()
            .filter(|(_, content)| !content.is_empty());
        let values = given.map(|(setting, content)| {
            let kind = match content {
                Content::Text(text) => ValueKind::from(text.expose_secret()),
                Content::Unusable(_) => ValueKind::Nil,
            };
            (
                setting.variable().to_owned(),
                Value::new(Some(&origin), kind),
            )
        });
        Ok(values.collect())
    }
}

/// The layers laid over each other, the lowest first: for each setting the layer that has the last
/// word, and what it says.
pub(super) fn merge(layers: &[Layer]) -> BTreeMap<Setting, (Origin, Content)> {
    let builder = layers
        .iter()
        .cloned()
        .fold(Config::builder(), |builder, layer| {
            builder.add_source(layer)
        });
    let merged = builder
        .build()
        .and_then(|config| config.cache.into_table())
        .expect("layers cannot fail to be collected, nor their sum be anything but a table");
    let winner = |setting: Setting| {
        let value = merged.get(setting.variable())?;
        let origin = Origin::ALL
            .into_iter()
            .find(|origin| value.origin() == Some(origin.name()))?;
        let content = match &value.kind {
            ValueKind::String(text) => Content::text(text),
            _ => layers
                .iter()
                .find(|layer| layer.origin == origin)?
                .contents
                .get(&setting)?
                .clone(),
        };
        Some((setting, (origin, content)))
    };
    Setting::ALL.into_iter().filter_map(winner).collect()
}

/// What the `.env` file says about settings.
#[derive(Clone, Debug)]
pub struct DotenvLayer {
    pub(super) path: PathBuf,
    pub(super) layer: Layer,
    pub(super) lines: BTreeMap<Setting, usize>,
    pub(super) token_config: Option<PathBuf>,
    /// Why the file could not be understood.
    pub(super) problems: Vec<Problem>,
}

impl DotenvLayer {
    /// No such file; it will be created.
    #[must_use]
    pub fn absent(path: impl Into<PathBuf>) -> Self {
        Self::new(path, &BTreeMap::new(), |_| None)
    }

    /// A file that cannot be understood.
    #[must_use]
    pub fn broken(path: impl Into<PathBuf>, line: Option<usize>, kind: ProblemKind) -> Self {
        let path = path.into();
        Self {
            problems: vec![Problem::in_file(&path, line, kind)],
            ..Self::absent(path)
        }
    }

    /// The file's variables, and on which line each is assigned. The managed ones are not looked
    /// at.
    #[must_use]
    pub fn new(
        path: impl Into<PathBuf>,
        variables: &BTreeMap<String, String>,
        line_of: impl Fn(&str) -> Option<usize>,
    ) -> Self {
        let contents = Setting::ALL.into_iter().filter_map(|setting| {
            let text = variables.get(setting.variable())?;
            Some((setting, Content::text(text)))
        });
        let lines = Setting::ALL
            .into_iter()
            .filter_map(|setting| Some((setting, line_of(setting.variable())?)));
        Self {
            path: path.into(),
            layer: Layer::new(Origin::Dotenv, contents),
            lines: lines.collect(),
            token_config: variables
                .get(env_vars::WEBEX_TOKEN_CONFIG)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            problems: Vec::new(),
        }
    }
}

/// What `token-config.json` says.
#[derive(Clone, Debug)]
pub struct ConfigLayer {
    pub(super) path: PathBuf,
    pub(super) layer: Layer,
    /// The line of each setting, or else of the innermost section it belongs in.
    pub(super) lines: BTreeMap<Setting, usize>,
    pub(super) spelling: Spelling,
    pub(super) exists: bool,
    /// Why the file, or a section of it, could not be understood.
    pub(super) problems: Vec<Problem>,
}

impl ConfigLayer {
    /// No such file.
    #[must_use]
    pub fn absent(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            layer: Layer::new(Origin::ConfigFile, []),
            lines: BTreeMap::new(),
            spelling: Spelling::default(),
            exists: false,
            problems: Vec::new(),
        }
    }

    /// The spelling that is in use for the integration.
    #[must_use]
    pub fn spelling(&self) -> Spelling {
        self.spelling
    }

    /// A file that cannot be understood.
    #[must_use]
    pub fn broken(path: impl Into<PathBuf>, line: Option<usize>, kind: ProblemKind) -> Self {
        let path = path.into();
        Self {
            problems: vec![Problem::in_file(&path, line, kind)],
            exists: true,
            ..Self::absent(path)
        }
    }

    /// The file's content, and on which line each key stands. Unknown keys are not looked at.
    #[must_use]
    pub fn new(
        path: impl Into<PathBuf>,
        root: &Json,
        line_of: impl Fn(&[&str]) -> Option<usize>,
    ) -> Self {
        let path = path.into();
        let spelling = spelling_in_use(root);
        let paths = Setting::ALL
            .into_iter()
            .filter_map(|setting| Some((setting, setting.path(spelling)?)));
        let contents = paths.clone().filter_map(|(setting, path)| {
            let content = match at(root, path)? {
                Json::String(text) => Content::text(text),
                _ => Content::Unusable(ProblemKind::NotText),
            };
            Some((setting, content))
        });
        let lines = paths.clone().filter_map(|(setting, path)| {
            let line = (1..=path.len())
                .rev()
                .find_map(|depth| line_of(&path[..depth]))?;
            Some((setting, line))
        });
        Self {
            layer: Layer::new(Origin::ConfigFile, contents),
            lines: lines.collect(),
            spelling,
            exists: true,
            problems: misshapen(&path, root, line_of),
            path,
        }
    }
}

/// The value at `path`; null is none.
fn at<'a>(root: &'a Json, path: &[&str]) -> Option<&'a Json> {
    path.iter()
        .try_fold(root, |value, key| value.get(key))
        .filter(|value| !value.is_null())
}

fn spelling_in_use(root: &Json) -> Spelling {
    let is_given = |path| match at(root, path) {
        Some(Json::String(text)) => !text.trim().is_empty(),
        other => other.is_some(),
    };
    let is_in_use = |spelling: &Spelling| {
        is_given(spelling.client_id_path())
            || is_given(spelling.client_secret_path())
            || is_given(spelling.refresh_token_path())
    };
    Spelling::ALL
        .into_iter()
        .find(is_in_use)
        .unwrap_or_default()
}

/// The sections that ought to be objects and are not.
fn misshapen(path: &Path, root: &Json, line_of: impl Fn(&[&str]) -> Option<usize>) -> Vec<Problem> {
    const SECTIONS: [&[&str]; 4] = [
        &[],
        &["serviceApp"],
        &["tokenManager"],
        &["tokenManager", "integration"],
    ];
    let is_misshapen = |section: &&[&str]| match section {
        [] => !root.is_object(),
        path => at(root, path).is_some_and(|value| !value.is_object()),
    };
    SECTIONS
        .into_iter()
        .filter(is_misshapen)
        .map(|section| Problem {
            line: line_of(section),
            key: Some(section.join(".")).filter(|key| !key.is_empty()),
            ..Problem::in_file(path, None, ProblemKind::NotAnObject)
        })
        .collect()
}

//! What is wrong with the settings, where, and what to do about it.
//!
//! A problem never holds the offending value or a part of it: it may be a secret, or a secret
//! pasted into the wrong place. For the same reason no error of a parser gets in here.

use std::fmt;
use std::path::PathBuf;

use super::Setting;
use crate::ids::WrongKind;

/// One thing wrong with the settings. It is shown as one line:
///
/// ```text
/// token-config.json:4: serviceApp.clientSecret: still the template's placeholder; copy …
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value stands, or ought to.
    pub place: Place,
    /// The line in that file, counted from 1, if there is one to point at.
    pub line: Option<usize>,
    /// The dotted key, the variable or the flag; `None` if the file as a whole is meant.
    pub key: Option<String>,
    /// The setting, if one is meant.
    pub setting: Option<Setting>,
    /// What is wrong.
    pub kind: ProblemKind,
    /// What the reader can do, as a clause without a full stop.
    pub remedy: &'static str,
}

/// Where a setting is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the command line.
    CommandLine,
    /// In the environment of the process.
    Environment,
    /// In this file.
    File(PathBuf),
}

/// What can be wrong with a setting or with the file it stands in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemKind {
    /// Neither a configuration file nor a variable.
    #[error("no configuration: there is no such file, and no WEBEX_… variable is set")]
    NoConfiguration,
    /// The configuration file is not JSON from this column on.
    #[error("not JSON from column {column} on")]
    NotJson {
        /// The column, counted from 1.
        column: usize,
    },
    /// The file, or a section of it, is some other JSON value.
    #[error("not a JSON object")]
    NotAnObject,
    /// A value is a number, a list or the like.
    #[error("not a text in double quotes")]
    NotText,
    /// The value or the file is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A quotation mark is opened and not closed.
    #[error("a quotation mark is not closed")]
    UnclosedQuote,
    /// The file is larger than any that people write.
    #[error("larger than 1 MiB")]
    TooLarge,
    /// The value is needed and not given.
    #[error("missing")]
    Missing,
    /// The value is needed and empty.
    #[error("empty")]
    Empty,
    /// The value is still the one from a template.
    #[error("still the template's placeholder")]
    Placeholder,
    /// Quotation marks became part of the value.
    #[error("the value itself begins or ends with a quotation mark")]
    Quoted,
    /// Something that cannot be part of the value.
    #[error("has a space, a line break or another character inside that cannot be part of it")]
    StrayCharacter,
    /// An id of something else.
    #[error(transparent)]
    WrongId(#[from] WrongKind),
    /// Bare, and of another shape than a client id.
    #[error(
        "a bare UUID, as organizations and people have; an application's begins with C or Y2lz"
    )]
    NotAnApplication,
    /// Of another shape than an organization's id.
    #[error("neither an encoded id nor a UUID, as organizations have")]
    NotAnOrganization,
    /// The integration's value is the service app's.
    #[error("the same as the service app's; the integration is an application of its own")]
    OfTheServiceApp,
    /// The redirect URI cannot be used.
    #[error(transparent)]
    RedirectUri(#[from] super::RedirectUriError),
    /// The service app's id and its client id do not belong together.
    #[error("the id of another application than the one with this client id")]
    OtherApplication,
    /// The base URL cannot be used.
    #[error(transparent)]
    BaseUrl(#[from] super::ApiBaseError),
    /// The proxy's URL cannot be used.
    #[error("not the URL of an http or https proxy")]
    Proxy,
}

impl ProblemKind {
    /// What can be done about the problems that are the same in every file.
    fn remedy(&self) -> &'static str {
        match self {
            Self::NoConfiguration => {
                "run `setup_oauth`, or set WEBEX_SERVICE_APP_CLIENT_ID and \
                 WEBEX_SERVICE_APP_CLIENT_SECRET"
            }
            Self::NotJson { .. } => {
                "look there for a missing or surplus comma, quotation mark or brace"
            }
            Self::NotAnObject => "write it as in token-config.json.template",
            Self::NotText => "put the value in double quotes",
            Self::NotUtf8 => "write it in UTF-8",
            Self::UnclosedQuote => "close it, or put the value in single quotes",
            Self::TooLarge => "check that the path names the right file",
            Self::Quoted => "remove that quotation mark",
            Self::OtherApplication => "correct one of the two, or leave the application's id out",
            Self::Proxy => "write it as http://proxy.example:3128",
            Self::BaseUrl(_) => "write it as https://webexapis.com/v1",
            Self::Missing
            | Self::Empty
            | Self::Placeholder
            | Self::StrayCharacter
            | Self::OfTheServiceApp
            | Self::NotAnApplication
            | Self::NotAnOrganization
            | Self::RedirectUri(_)
            | Self::WrongId(_) => "give the right value",
        }
    }

    /// Whether another value is what helps, so that where to find it should be said.
    pub(super) fn is_about_the_value(&self) -> bool {
        matches!(
            self,
            Self::Missing
                | Self::Empty
                | Self::Placeholder
                | Self::StrayCharacter
                | Self::WrongId(_)
                | Self::OfTheServiceApp
                | Self::NotAnApplication
                | Self::NotAnOrganization
                | Self::RedirectUri(_)
                | Self::BaseUrl(_)
        )
    }
}

impl Problem {
    /// A problem with the file at `path` as a whole, with the remedy that goes with its kind.
    #[must_use]
    pub fn in_file(path: impl Into<PathBuf>, line: Option<usize>, kind: ProblemKind) -> Self {
        Self::new(Place::File(path.into()), line, None, kind)
    }

    pub(super) fn new(
        place: Place,
        line: Option<usize>,
        key: Option<String>,
        kind: ProblemKind,
    ) -> Self {
        let remedy = kind.remedy();
        Self {
            place,
            line,
            key,
            setting: None,
            kind,
            remedy,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::CommandLine => f.write_str("command line")?,
            Place::Environment => f.write_str("environment")?,
            Place::File(path) => path.display().fmt(f)?,
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}; {}", self.kind, self.remedy)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_that_begins_with_where_it_is() {
        let table = [
            (
                Problem::in_file("c.json", Some(7), ProblemKind::NotJson { column: 3 }),
                "c.json:7: not JSON from column 3 on; look there for",
            ),
            (
                Problem::in_file(".env", None, ProblemKind::TooLarge),
                ".env: larger than 1 MiB; check",
            ),
            (
                Problem::new(
                    Place::Environment,
                    None,
                    Some("HTTPS_PROXY".to_owned()),
                    ProblemKind::Proxy,
                ),
                "environment: HTTPS_PROXY: not the URL of",
            ),
            (
                Problem::new(
                    Place::CommandLine,
                    None,
                    Some("--api-base-url".to_owned()),
                    ProblemKind::BaseUrl(crate::config::ApiBaseError::UserInfo),
                ),
                "command line: --api-base-url: has user info",
            ),
        ];
        for (problem, start) in table {
            let line = problem.to_string();
            assert!(line.starts_with(start), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }
}

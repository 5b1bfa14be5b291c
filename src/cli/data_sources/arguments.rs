//! The arguments of `data-sources`, as clap wants them declared; their help is the manual.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Command as CommandLine, CommandFactory as _, Parser, Subcommand};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::cli::arguments::Common;
use crate::config::{duration, positive_duration};
use crate::sources::TokenLifetime;
use crate::sources::update::check_receiver_url;
use crate::token::without_tokens;

const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  Webex refuses it for good, or there is no such data source; of several, some failed for good
   2  the command line is wrong
  74  a file cannot be saved or read, the operation log included
  75  passing trouble: run it again later
  77  a human must re-authorize
  78  the configuration is wrong, or the token lacks a scope";

const EXAMPLES: &str = "\
Examples:
  Keep every data source alive, from cron, once an hour:
    data-sources extend --all

  The same in the foreground, as a service:
    data-sources watch

  What expires within six hours:
    data-sources list --expiring-within 6h

  One data source, with the claims of its JWS and its signature verified:
    data-sources show 3b1f

  On a terminal, a menu:
    data-sources";

/// Manages the data sources of a Webex service app, and keeps them alive.
///
/// Webex stops delivering to a data source when its JWS expires, at most 24 hours after the last
/// update. Every command makes sure first that the service app's token works, as `refresh_token`
/// does, and uses the same files. IDs may be abbreviated to a beginning that no other has. Without
/// a command, on a terminal, there is a menu.
#[derive(Debug, Parser)]
#[command(
    name = "data-sources",
    version,
    max_term_width = 100,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"),
    after_help = EXIT_CODES
)]
pub(in crate::cli) struct DataSources {
    #[command(flatten)]
    pub(super) common: Common,

    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help = "Operation log, a JSON line for each change [default: data-sources.log beside .env]",
        help_heading = "Settings"
    )]
    pub(super) log: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

impl AsRef<Common> for DataSources {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// What is to be done.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Show all data sources, those that expire first on top
    List(List),
    /// Show all of one, its JWS decoded and verified
    Show(Show),
    /// Show what kinds of data a receiver can be sent
    Schemas(Schemas),
    /// Register a data source
    Register(Register),
    /// Change what is named of a data source, and nothing else
    Update(Update),
    /// Delete a data source
    Delete(Delete),
    /// Have Webex deliver nothing to a data source
    Disable(Disable),
    /// Have Webex deliver again
    Enable(Enable),
    /// Renew the JWS of data sources, and change nothing else
    Extend(Extend),
    /// Stay, and keep the token and every data source alive
    Watch(Watch),
}

impl Command {
    /// How long it may take.
    pub(super) fn deadline(&self) -> SignedDuration {
        match self {
            Self::List(List { deadline, .. })
            | Self::Show(Show { deadline, .. })
            | Self::Schemas(Schemas { deadline })
            | Self::Register(Register { deadline, .. })
            | Self::Update(Update { deadline, .. })
            | Self::Delete(Delete { deadline, .. })
            | Self::Disable(Disable { deadline, .. })
            | Self::Enable(Enable { deadline, .. }) => deadline.deadline,
            Self::Extend(extend) => extend.deadline,
            Self::Watch(_) => SignedDuration::MAX,
        }
    }
}

/// How long a command may take.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// How long the whole run may take
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = positive_duration)]
    pub(super) deadline: SignedDuration,
}

#[derive(Args, Clone, Debug)]
pub(super) struct List {
    /// Only those that expire within this time, such as 6h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) expiring_within: Option<SignedDuration>,

    #[command(flatten)]
    pub(super) deadline: Deadline,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Show {
    /// The data source
    #[arg(value_name = "ID", value_parser = id)]
    pub(super) id: String,

    /// Do not verify the signature, which asks the JWS's issuer for its keys
    #[arg(long)]
    pub(super) no_verify: bool,

    /// The reply as it came, with the JWS, which is a secret
    #[arg(long, conflicts_with_all = ["json", "no_verify"], help_heading = "Output")]
    pub(super) raw: bool,

    #[command(flatten)]
    pub(super) deadline: Deadline,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Schemas {
    #[command(flatten)]
    pub(super) deadline: Deadline,
}

/// The fields of a data source that a person sets.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Fields {
    /// The JWS's audience, usually the application's name
    #[arg(long, value_name = "TEXT", value_parser = text)]
    pub(super) audience: Option<String>,

    /// The JWS's subject: what it is for, such as callAudioData
    #[arg(long, value_name = "TEXT", value_parser = text)]
    pub(super) subject: Option<String>,

    /// The schema's id, or a beginning that no other has
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(super) schema: Option<String>,

    /// The receiver: https:// or wss://
    #[arg(long, value_name = "URL", value_parser = receiver_url)]
    pub(super) url: Option<String>,

    /// How long each JWS lives: whole minutes, at most 24h
    #[arg(long, value_name = "DURATION", value_parser = token_lifetime)]
    pub(super) lifetime: Option<TokenLifetime>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Register {
    #[command(flatten)]
    pub(super) fields: Fields,

    /// File with the fields as JSON, by Webex's names; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(super) from: Option<PathBuf>,

    #[command(flatten)]
    pub(super) deadline: Deadline,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Update {
    /// The data source
    #[arg(value_name = "ID", value_parser = id)]
    pub(super) id: String,

    #[command(flatten)]
    pub(super) fields: Fields,

    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,

    #[command(flatten)]
    pub(super) deadline: Deadline,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Delete {
    /// The data source
    #[arg(value_name = "ID", value_parser = id)]
    pub(super) id: String,

    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,

    #[command(flatten)]
    pub(super) deadline: Deadline,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Disable {
    /// The data source
    #[arg(value_name = "ID", value_parser = id)]
    pub(super) id: String,

    /// Why, as Control Hub shows it
    #[arg(long, value_name = "TEXT", value_parser = text)]
    pub(super) error_message: String,

    #[command(flatten)]
    pub(super) deadline: Deadline,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Enable {
    /// The data source
    #[arg(value_name = "ID", value_parser = id)]
    pub(super) id: String,

    #[command(flatten)]
    pub(super) deadline: Deadline,
}

#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("targets").required(true)))]
pub(super) struct Extend {
    /// These data sources, whether it is time or not
    #[arg(value_name = "ID", group = "targets", value_parser = id)]
    pub(super) ids: Vec<String>,

    /// All data sources that are past half of the life of their JWS
    #[arg(long, group = "targets")]
    pub(super) all: bool,

    /// With --all: those that expire within this time instead, such as 12h
    #[arg(long, value_name = "DURATION", requires = "all", conflicts_with = "ids", value_parser = duration)]
    pub(super) expiring_within: Option<SignedDuration>,

    /// How long each JWS lives from now on: whole minutes, at most 24h [default: as before]
    #[arg(long, value_name = "DURATION", value_parser = token_lifetime)]
    pub(super) lifetime: Option<TokenLifetime>,

    /// How many are worked on at a time, at most 256
    #[arg(long, value_name = "N", default_value = "8", value_parser = concurrency)]
    pub(super) concurrency: NonZeroUsize,

    /// How long the whole run may take
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = positive_duration)]
    pub(super) deadline: SignedDuration,
}

impl Extend {
    /// `extend ID`.
    pub(super) fn named(id: String) -> Self {
        Self {
            ids: vec![id],
            all: false,
            ..Self::all()
        }
    }

    /// `extend --all`.
    pub(super) fn all() -> Self {
        let line = ["data-sources", "extend", "--all"];
        match DataSources::try_parse_from(line).map(|parsed| parsed.command) {
            Ok(Some(Command::Extend(extend))) => extend,
            _ => unreachable!("there is such a command, and such a flag"),
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(super) struct Watch {
    /// How many are worked on at a time, at most 256
    #[arg(long, value_name = "N", default_value = "8", value_parser = concurrency)]
    pub(super) concurrency: NonZeroUsize,
}

/// An id or its beginning.
fn id(text: &str) -> Result<String, &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err("an id is made of letters, digits and hyphens");
    }
    // Whoever pastes one finds it in no message. A UUID may lack its hyphens.
    if without_tokens(text) != text && Uuid::parse_str(text).is_err() {
        return Err("this looks like a token and not like an id");
    }
    Ok(text.to_owned())
}

fn concurrency(text: &str) -> Result<NonZeroUsize, &'static str> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &NonZeroUsize| number.get() <= 256);
    number.ok_or("it is a number from 1 to 256")
}

pub(super) fn text(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        return Err("it is empty");
    }
    if text.chars().any(char::is_control) {
        return Err("it has control characters in it");
    }
    Ok(text.to_owned())
}

pub(super) fn receiver_url(text: &str) -> Result<String, String> {
    let judged = check_receiver_url(text);
    judged
        .map(|()| text.to_owned())
        .map_err(|error| error.to_string())
}

pub(super) fn token_lifetime(text: &str) -> Result<TokenLifetime, String> {
    let duration = duration(text).map_err(|error| error.to_string())?;
    TokenLifetime::of(duration).map_err(|error| error.to_string())
}

/// The command line of `data-sources`, for what is made from it: completions, manual pages, tests.
#[must_use]
pub fn data_sources_command() -> CommandLine {
    DataSources::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_and_a_token_is_not() {
        for good in [
            "3b1f",
            "85895e47-3096-4c47-aae8-f5a52f7b7870",
            "85895e4730964c47aae8f5a52f7b7870",
            "Y2lzY29zcGFyazovL3VzL0FQUExJQ0FUSU9OL0MxMjM0NTY3ODkw",
        ] {
            assert_eq!(id(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "a b",
            "a.b",
            "MDM0NjhhNzMtMDdiNy00ZWUwLTk2ZTkt_PE93_1eb65fdf-9643-417f-9974-ad72cae0e10f",
            "f6b19c4db74c1d327733c0bd180dbf9457ddfd5c7833e8c761d48e9913c81ddd",
        ] {
            assert!(id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        data_sources_command().debug_assert();
    }
}

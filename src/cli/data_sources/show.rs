//! `show`: all of one data source, its JWS decoded and verified.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::arguments::Show;
use super::trouble::Trouble;
use super::{Ended, Session, list, shown};
use crate::cli::output::{self, JSON_VERSION, Palette, Style, rfc3339, roughly};
use crate::cli::{write_bytes_out, write_out};
use crate::lifetime;
use crate::remedy::ExitStatus;
use crate::sources::jws::Jws;
use crate::sources::keys::{self, NotChecked, Signature};
use crate::sources::{DataSource, DataSources, SourceError};
use crate::token::tamed;

/// The fields of the API reference and of recordings, in the order in which they are read.
const KNOWN: [&str; 18] = [
    "id",
    "status",
    "errorMessage",
    "audience",
    "subject",
    "schemaId",
    "url",
    "tokenLifetimeMinutes",
    "tokenExpiryTime",
    "jwsToken",
    "jwtToken",
    "nonce",
    "orgId",
    "applicationId",
    "createdAt",
    "createdBy",
    "updatedAt",
    "updatedBy",
];

/// The fields that are instants.
const TIMES: [&str; 3] = ["tokenExpiryTime", "createdAt", "updatedAt"];

impl Session<'_> {
    pub(super) async fn show(&self, arguments: &Show) -> Ended {
        let sources = self.sources(arguments.deadline.deadline)?;
        let id = &sources.resolve(&arguments.id).await?;
        if arguments.raw {
            let answer = sources.read_raw(id).await;
            let answer = answer.map_err(|error| cannot_show(id, &error))?;
            write_bytes_out(&answer.body)?;
            return Ok(ExitStatus::Works);
        }
        let view = View::fetch(&sources, id, !arguments.no_verify).await?;
        let terminal = self.terminal;
        if terminal.json {
            write_out(&view.json())?;
        } else {
            write_out(&view.text(terminal.stdout))?;
        }
        terminal.warn(&view.warnings());
        Ok(ExitStatus::Works)
    }
}

fn cannot_show(id: &str, error: &SourceError) -> Trouble {
    Trouble::from(error).doing(&format!("cannot show {id}"))
}

/// A data source at one moment.
pub(super) struct View {
    source: DataSource,
    /// `None` where it was not to be verified.
    signature: Option<Signature>,
    now: Timestamp,
}

/// A name, indented, and what stands behind it.
struct Line {
    name: String,
    value: String,
}

impl Line {
    fn new(indent: usize, name: &str, value: impl Into<String>) -> Self {
        Self {
            name: format!("{:indent$}{}", "", tamed(name)),
            value: value.into(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    version: u32,
    outcome: &'a str,
    data_source: Map<String, Value>,
    jws: Option<JwsDocument>,
    expires_at: Option<String>,
    seconds_left: Option<i64>,
    urgency: &'a str,
    signature: &'a str,
    signature_message: Option<String>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct JwsDocument {
    fingerprint: String,
    header: Option<Map<String, Value>>,
    claims: Option<Map<String, Value>>,
}

impl View {
    pub(super) async fn fetch(
        sources: &DataSources,
        id: &str,
        is_to_be_verified: bool,
    ) -> Result<Self, Trouble> {
        let source = sources.read(id).await;
        let source = source.map_err(|error| cannot_show(id, &error))?;
        let signature = if is_to_be_verified {
            Some(keys::verify(sources.calls(), &source).await)
        } else {
            None
        };
        Ok(Self {
            source,
            signature,
            now: sources.calls().clock().now(),
        })
    }

    /// A line a field, and what is known of the JWS.
    pub(super) fn text(&self, palette: Palette) -> String {
        let fields = self.source.fields();
        let fields: Vec<_> = in_order(fields)
            .map(|(name, value)| Line::new(0, name, self.field(name, value)))
            .collect();
        let mut lines = vec![Line::new(0, "JWS", "")];
        let urgency = self.source.urgency(self.now);
        let left = list::time_left(urgency, self.source.life(), self.now);
        let left = palette.paint(list::style(urgency), &left);
        lines.push(Line::new(2, "time left", left));
        lines.push(Line::new(2, "signature", self.signature(palette)));
        if let Some(jws) = self.source.jws() {
            lines.push(Line::new(2, "header", ""));
            for (name, value) in jws.header() {
                lines.push(Line::new(4, name, shown::text(name, value)));
            }
            lines.push(Line::new(2, "claims", ""));
            for (name, value) in jws.claims() {
                lines.push(Line::new(4, name, self.claim(jws, name, value)));
            }
        }
        aligned(&fields) + &aligned(&lines)
    }

    /// What somebody should know of the signature.
    pub(super) fn warnings(&self) -> Vec<String> {
        let warning = match &self.signature {
            Some(Signature::NotVerified(why)) => Some(format!("the JWS is NOT verified: {why}")),
            Some(Signature::NotChecked(NotChecked::NoJws)) => None,
            Some(Signature::NotChecked(why)) => Some(format!("the JWS is not checked: {why}")),
            Some(Signature::Verified) | None => None,
        };
        warning.into_iter().collect()
    }

    fn json(&self) -> String {
        let life = self.source.life();
        let jws = self.source.jws();
        let left = self.source.time_left(self.now);
        output::document(&Document {
            version: JSON_VERSION,
            outcome: "shown",
            data_source: shown::fields(self.source.fields()),
            jws: self
                .source
                .jws_fingerprint()
                .map(|fingerprint| JwsDocument {
                    fingerprint,
                    header: jws.map(|jws| shown::fields(jws.header())),
                    claims: jws.map(|jws| shown::fields(jws.claims())),
                }),
            expires_at: life.expires_at.map(rfc3339),
            seconds_left: left.map(|left| left.as_secs()),
            urgency: self.source.urgency(self.now).name(),
            signature: self
                .signature
                .as_ref()
                .map_or("not_checked", Signature::name),
            signature_message: match &self.signature {
                Some(Signature::NotVerified(why)) => Some(why.to_string()),
                Some(Signature::NotChecked(why)) => Some(why.to_string()),
                Some(Signature::Verified) | None => None,
            },
            warnings: self.warnings(),
        })
    }

    fn signature(&self, palette: Palette) -> String {
        match &self.signature {
            Some(Signature::Verified) => palette.paint(Style::Good, "verified"),
            Some(Signature::NotVerified(why)) => {
                format!("{}: {why}", palette.paint(Style::Error, "NOT verified"))
            }
            Some(Signature::NotChecked(why)) => {
                format!("{}: {why}", palette.paint(Style::Warning, "not checked"))
            }
            None => palette.paint(Style::Faint, "not checked"),
        }
    }

    fn field(&self, name: &str, value: &Value) -> String {
        let text = shown::text(name, value);
        let at = TIMES.contains(&name).then(|| self.source.time(name));
        match at.flatten() {
            Some(at) => format!("{text} ({})", relative(at, self.now)),
            None => text,
        }
    }

    fn claim(&self, jws: &Jws, name: &str, value: &Value) -> String {
        let at = match name {
            "iat" => jws.issued_at(),
            "exp" => jws.expires_at(),
            _ => None,
        };
        match at {
            Some(at) => format!("{} ({})", lifetime::date(at), relative(at, self.now)),
            None => shown::text(name, value),
        }
    }
}

/// The fields that are known in their order, then the others by name.
fn in_order(fields: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    let known = KNOWN
        .iter()
        .filter_map(|&name| Some((name, fields.get(name)?)));
    let mut others: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| !KNOWN.contains(name))
        .collect();
    others.sort_unstable_by_key(|(name, _)| *name);
    known.chain(others)
}

/// The lines with their values below each other, as far as the names let them; those of the JWS
/// apart, since the names of its claims are long.
fn aligned(lines: &[Line]) -> String {
    const WIDEST: usize = 40;
    let is_inner = |line: &Line| line.name.starts_with(' ');
    let width_of = |inner| {
        let alike = lines.iter().filter(|line| is_inner(line) == inner);
        let widths = alike.map(|line| line.name.chars().count());
        widths.max().unwrap_or(0).min(WIDEST)
    };
    let (outer, inner) = (width_of(false), width_of(true));
    let lines = lines.iter().map(|line| {
        let width = if is_inner(line) { inner } else { outer };
        let Line { name, value } = line;
        let line = format!("{name:<width$}  {value}");
        line.trim_end().to_owned() + "\n"
    });
    lines.collect()
}

/// Such as `3 hours ago`, `in 2 hours`.
fn relative(at: Timestamp, now: Timestamp) -> String {
    let left = at.duration_since(now);
    if left.is_positive() {
        format!("in {}", roughly(left))
    } else {
        format!("{} ago", roughly(left.abs()))
    }
}

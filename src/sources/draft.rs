//! What is known of a data source that is to be registered: from the command line, from a file, from
//! answers. Pure.

use std::fmt;

use serde_json::{Map, Value};

use super::lifetime::{TokenLifetime, TokenLifetimeError};
use super::update::{ONLY_IN_REPLIES, ReceiverUrlError, Registration, check_receiver_url};
use crate::masked::masked_url;
use crate::store::json_text;
use crate::token::one_line;

/// As many faults of a file are told one by one; the rest is counted.
const MOST_FAULTS: usize = 20;

/// A registration of which some of the fields may be missing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// The schema.
    pub schema_id: Option<String>,
    /// The receiver.
    pub url: Option<String>,
    /// The JWS's `aud`.
    pub audience: Option<String>,
    /// The JWS's `sub`.
    pub subject: Option<String>,
    /// How long each JWS lives.
    pub token_lifetime: Option<TokenLifetime>,
}

impl fmt::Debug for Draft {
    /// The receiver's URL may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("schema_id", &self.schema_id)
            .field("url", &self.url.as_deref().map(masked_url))
            .field("audience", &self.audience)
            .field("subject", &self.subject)
            .field("token_lifetime", &self.token_lifetime)
            .finish()
    }
}

/// What a registration consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The schema.
    SchemaId,
    /// The receiver.
    Url,
    /// The JWS's `aud`.
    Audience,
    /// The JWS's `sub`.
    Subject,
    /// How long each JWS lives.
    TokenLifetime,
}

impl Field {
    /// All of them, in the order in which a person is asked.
    pub const ALL: [Self; 5] = [
        Self::SchemaId,
        Self::Url,
        Self::Audience,
        Self::Subject,
        Self::TokenLifetime,
    ];

    /// Webex's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SchemaId => "schemaId",
            Self::Url => "url",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::TokenLifetime => "tokenLifetimeMinutes",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// Something wrong with a file, where it stands. No value is ever quoted: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    line: Option<usize>,
    key: Option<String>,
    kind: FaultKind,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum FaultKind {
    #[error(
        "not JSON from column {column} on; look there for a missing or surplus comma, quotation \
         mark or brace"
    )]
    NotJson { column: usize },
    #[error("not a JSON object; write it as {{\"audience\": \"…\", …}}")]
    NotAnObject,
    #[error("there is nothing in it; write it as {{\"audience\": \"…\", …}}")]
    Blank,
    #[error("not a text in double quotes")]
    NotText,
    #[error("empty")]
    Empty,
    #[error("it has control characters in it")]
    Control,
    #[error("not a number of minutes without quotes")]
    NotANumber,
    #[error(transparent)]
    Lifetime(#[from] TokenLifetimeError),
    #[error(transparent)]
    Url(#[from] ReceiverUrlError),
    #[error("this program sets it to something new each time; leave it out")]
    OfTheProgram,
    #[error("Webex sets it; leave it out")]
    OfWebex,
    #[error("a data source is active once it is registered; leave it out")]
    AlwaysActive,
    #[error("no field of a registration; those are {}", names())]
    Unknown,
    #[error("and {count} more like these")]
    More { count: usize },
}

fn names() -> String {
    let [others @ .., last] = Field::ALL.map(Field::name);
    format!("{} and {last}", others.join(", "))
}

impl Fault {
    /// As one line: `ds.json:4: tokenLifetimeMinutes: …`.
    #[must_use]
    pub fn told(&self, file: &str) -> String {
        let line = self.line.map(|line| format!(":{line}"));
        let key = self.key.as_deref().map(|key| format!("{key}: "));
        format!(
            "{file}{}: {}{}",
            line.unwrap_or_default(),
            key.unwrap_or_default(),
            self.kind
        )
    }
}

impl Draft {
    /// What a file says: an object with Webex's names. All that is wrong with it is told at once.
    ///
    /// # Errors
    ///
    /// The text is no such object, or something in it cannot be registered.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let whole = |line, kind| {
            let key = None;
            vec![Fault { line, key, kind }]
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(whole(None, FaultKind::Blank));
        }
        let value = serde_json::from_str(text).map_err(|error| {
            // No text of the error: it quotes the offending value.
            let column = error.column().max(1);
            whole(Some(error.line()), FaultKind::NotJson { column })
        })?;
        let Value::Object(fields) = value else {
            let line = json_text::line_of(text, &[]);
            return Err(whole(line, FaultKind::NotAnObject));
        };
        Self::of(&fields).map_err(|faults| located(text, faults))
    }

    /// What the fields say, or what is wrong with them.
    fn of(fields: &Map<String, Value>) -> Result<Self, Vec<(&str, FaultKind)>> {
        let mut draft = Self::default();
        let mut faults = Vec::new();
        for (name, value) in fields {
            let taken = match Field::named(name) {
                Some(field) => draft.take(field, value),
                None => Err(not_a_field(name)),
            };
            if let Err(kind) = taken {
                faults.push((name.as_str(), kind));
            }
        }
        if faults.is_empty() {
            Ok(draft)
        } else {
            Err(faults)
        }
    }

    fn take(&mut self, field: Field, value: &Value) -> Result<(), FaultKind> {
        let text = || match value {
            Value::String(text) if text.trim().is_empty() => Err(FaultKind::Empty),
            Value::String(text) if text.chars().any(char::is_control) => Err(FaultKind::Control),
            Value::String(text) => Ok(Some(text.clone())),
            _ => Err(FaultKind::NotText),
        };
        match field {
            Field::SchemaId => self.schema_id = text()?,
            Field::Audience => self.audience = text()?,
            Field::Subject => self.subject = text()?,
            Field::Url => {
                self.url = text()?;
                self.url.as_deref().map_or(Ok(()), check_receiver_url)?;
            }
            Field::TokenLifetime => {
                let Value::Number(number) = value else {
                    return Err(FaultKind::NotANumber);
                };
                let minutes = number.as_i64().ok_or(if number.is_f64() {
                    TokenLifetimeError::NotWhole
                } else {
                    TokenLifetimeError::OutOfRange
                });
                self.token_lifetime = Some(minutes.and_then(TokenLifetime::minutes)?);
            }
        }
        Ok(())
    }

    /// The same, and what `other` says where this says nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            schema_id: self.schema_id.or(other.schema_id),
            url: self.url.or(other.url),
            audience: self.audience.or(other.audience),
            subject: self.subject.or(other.subject),
            token_lifetime: self.token_lifetime.or(other.token_lifetime),
        }
    }

    /// The registration.
    ///
    /// # Errors
    ///
    /// These fields are missing. None of them has a default that a program could know.
    pub fn registration(&self) -> Result<Registration, Vec<Field>> {
        let draft = self.clone();
        if let (Some(schema_id), Some(url), Some(audience), Some(subject), Some(token_lifetime)) = (
            draft.schema_id,
            draft.url,
            draft.audience,
            draft.subject,
            draft.token_lifetime,
        ) {
            return Ok(Registration {
                audience,
                subject,
                schema_id,
                url,
                token_lifetime,
            });
        }
        let missing = Field::ALL.into_iter().filter(|field| !self.has(*field));
        Err(missing.collect())
    }

    fn has(&self, field: Field) -> bool {
        match field {
            Field::SchemaId => self.schema_id.is_some(),
            Field::Url => self.url.is_some(),
            Field::Audience => self.audience.is_some(),
            Field::Subject => self.subject.is_some(),
            Field::TokenLifetime => self.token_lifetime.is_some(),
        }
    }
}

fn not_a_field(name: &str) -> FaultKind {
    match name {
        "nonce" => FaultKind::OfTheProgram,
        "status" | "errorMessage" => FaultKind::AlwaysActive,
        name if ONLY_IN_REPLIES.contains(&name) => FaultKind::OfWebex,
        _ => FaultKind::Unknown,
    }
}

/// The faults with their lines, from the top of the file.
fn located(text: &str, mut faults: Vec<(&str, FaultKind)>) -> Vec<Fault> {
    let count = faults.len().saturating_sub(MOST_FAULTS);
    faults.truncate(MOST_FAULTS);
    let mut located: Vec<_> = faults
        .into_iter()
        .map(|(key, kind)| Fault {
            line: json_text::line_of(text, &[key]),
            key: Some(one_line(key)),
            kind,
        })
        .collect();
    located.sort_by_key(|fault| fault.line);
    if count > 0 {
        located.push(Fault {
            line: None,
            key: None,
            kind: FaultKind::More { count },
        });
    }
    located
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{
  "audience": "AppOne",
  "subject": "callAudioData",
  "schemaId": "5397013b-7920-4ffc-807c-e8a3e0a18f43",
  "url": "wss://recv.example.com/ds",
  "tokenLifetimeMinutes": 1440
}"#;

    fn faults(text: &str) -> Vec<String> {
        let faults = Draft::parse(text).expect_err("something is wrong with it");
        faults.iter().map(|fault| fault.told("ds.json")).collect()
    }

    #[test]
    fn a_whole_file_is_a_registration() {
        let draft = Draft::parse(WHOLE).expect("nothing is wrong");
        let registration = draft.registration().expect("nothing is missing");
        assert_eq!(registration.audience, "AppOne");
        assert_eq!(registration.subject, "callAudioData");
        assert!(registration.schema_id.starts_with("5397013b"));
        assert_eq!(registration.url, "wss://recv.example.com/ds");
        assert_eq!(registration.token_lifetime, TokenLifetime::MAX);
        assert_eq!(Draft::parse(&format!("\u{feff}{WHOLE}")), Ok(draft));
    }

    #[test]
    fn what_is_missing_is_told_and_one_draft_stands_over_another() {
        let empty = Draft::default();
        assert_eq!(empty.registration(), Err(Field::ALL.to_vec()));
        for field in Field::ALL {
            let Ok(Value::Object(mut fields)) = serde_json::from_str(WHOLE) else {
                panic!("an object");
            };
            fields.remove(field.name());
            let draft = Draft::of(&fields).expect("nothing is wrong");
            assert_eq!(draft.registration(), Err(vec![field]));
            let whole = Draft::parse(WHOLE).expect("nothing is wrong");
            assert_eq!(draft.or(whole.clone()), whole);
        }
        let flags = Draft {
            audience: Some("AppTwo".to_owned()),
            ..Draft::default()
        };
        let both = flags.or(Draft::parse(WHOLE).expect("nothing is wrong"));
        assert_eq!(both.audience.as_deref(), Some("AppTwo"));
        assert_eq!(both.subject.as_deref(), Some("callAudioData"));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_without_a_value() {
        let told = faults(
            r#"{
  "audience": "",
  "subject": ["canary"],
  "schemaId": null,
  "url": "http://user:canary@recv.example.com/",
  "tokenLifetimeMinutes": 1441,
  "nonce": "canary",
  "id": "canary",
  "status": "canary",
  "lifetime": "canary"
}"#,
        );
        assert_eq!(
            told,
            [
                "ds.json:2: audience: empty",
                "ds.json:3: subject: not a text in double quotes",
                "ds.json:4: schemaId: not a text in double quotes",
                "ds.json:5: url: it must begin with https:// or wss://",
                "ds.json:6: tokenLifetimeMinutes: it must be from 1 to 1440 minutes (24h)",
                "ds.json:7: nonce: this program sets it to something new each time; leave it out",
                "ds.json:8: id: Webex sets it; leave it out",
                "ds.json:9: status: a data source is active once it is registered; leave it out",
                "ds.json:10: lifetime: no field of a registration; those are schemaId, url, \
                 audience, subject and tokenLifetimeMinutes",
            ]
        );
    }

    #[test]
    fn a_lifetime_is_a_whole_number_in_range() {
        let fault = |value: &str| {
            let told = faults(&format!("{{\"tokenLifetimeMinutes\": {value}}}"));
            told[0].rsplit(": ").next().map(str::to_owned)
        };
        for (value, what) in [
            ("\"1440\"", "not a number of minutes without quotes"),
            ("0", "it must be from 1 to 1440 minutes (24h)"),
            ("-5", "it must be from 1 to 1440 minutes (24h)"),
            (
                "18446744073709551615",
                "it must be from 1 to 1440 minutes (24h)",
            ),
            ("1.5", "it must be a whole number of minutes"),
        ] {
            assert_eq!(fault(value).as_deref(), Some(what), "{value}");
        }
    }

    #[test]
    fn what_is_no_object_is_told_with_its_place() {
        assert_eq!(
            faults(" \n"),
            ["ds.json: there is nothing in it; write it as {\"audience\": \"…\", …}"]
        );
        assert!(faults("\n[1]")[0].starts_with("ds.json:2: not a JSON object"));
        assert!(
            faults("{\n  \"url\": canary\n}")[0].starts_with("ds.json:2: not JSON from column 10")
        );
        assert!(!faults("{\n  \"url\": canary\n}")[0].contains("canary"));
    }

    #[test]
    fn more_faults_than_anybody_reads_are_counted() {
        let many: Vec<_> = (0..25).map(|n| format!("\"f{n:02}\": 1")).collect();
        let told = faults(&format!("{{{}}}", many.join(",\n")));
        assert_eq!(told.len(), MOST_FAULTS + 1);
        assert_eq!(told[MOST_FAULTS], "ds.json: and 5 more like these");
    }
}

//! What an update sends: the whole data source with a new nonce, and only what was named changed.
//! Pure.
//!
//! `PUT` replaces the object (Webex "Data Sources": there is no `PATCH`), so whatever is left out is
//! lost. What a reply did not show is taken from its JWS; what stands nowhere is not invented.

use std::fmt;

use serde_json::{Map, Value};
use url::Url;

use super::data_source::{DataSource, Status};
use super::lifetime::{TokenLifetime, TokenLifetimeError};
use crate::masked::masked_url;

/// The fields that replies have and requests have not.
pub(super) const ONLY_IN_REPLIES: [&str; 11] = [
    "id",
    "orgId",
    "applicationId",
    "jwsToken",
    "jwtToken",
    "tokenExpiryTime",
    "createdBy",
    "createdAt",
    "updatedBy",
    "updatedAt",
    "DataSource",
];

/// What is to change; what is `None` stays.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The JWS's `aud`.
    pub audience: Option<String>,
    /// The JWS's `sub`.
    pub subject: Option<String>,
    /// The schema.
    pub schema_id: Option<String>,
    /// The receiver.
    pub url: Option<String>,
    /// How long each JWS lives.
    pub token_lifetime: Option<TokenLifetime>,
    /// Whether Webex delivers.
    pub status: Option<Delivery>,
}

impl fmt::Debug for Change {
    /// The receiver's URL may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("audience", &self.audience)
            .field("subject", &self.subject)
            .field("schema_id", &self.schema_id)
            .field("url", &self.url.as_deref().map(masked_url))
            .field("token_lifetime", &self.token_lifetime)
            .field("status", &self.status)
            .finish()
    }
}

/// Whether Webex is to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is.
    Active,
    /// It is not, and Control Hub shows why.
    Disabled {
        /// What Control Hub shows; it must not be empty.
        error_message: String,
    },
}

/// An update that would have to invent something, and was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotUpdate {
    /// Neither the data source nor its JWS has this field.
    #[error("Webex tells no {field} of it, and its JWS does not either")]
    Missing {
        /// Webex's name of the field.
        field: &'static str,
    },
    /// It is disabled, and Webex takes no update of such a one without the message.
    #[error("it is disabled, and Webex does not tell its errorMessage")]
    Silent,
    /// What it has for a lifetime cannot be sent.
    #[error("its tokenLifetimeMinutes cannot be kept: {0}")]
    Lifetime(TokenLifetimeError),
}

impl Change {
    /// Whether nothing is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The body of the update of `current` by `change`, which leaves everything else as it is.
///
/// # Errors
///
/// Something that Webex wants is not known. Nothing is invented for it.
pub fn body(
    current: &DataSource,
    change: &Change,
    nonce: &str,
) -> Result<Map<String, Value>, CannotUpdate> {
    let text = |field, new: &Option<String>, old: Option<&str>| {
        new.as_deref()
            .or(old)
            .map(|text| Value::from(text.to_owned()))
            .ok_or(CannotUpdate::Missing { field })
    };
    let lifetime = match (change.token_lifetime, current.token_lifetime()) {
        (Some(lifetime), _) => lifetime,
        (None, Some(lifetime)) => lifetime.map_err(CannotUpdate::Lifetime)?,
        (None, None) => {
            let field = "tokenLifetimeMinutes";
            return Err(CannotUpdate::Missing { field });
        }
    };
    let audience = text("audience", &change.audience, current.audience())?;
    let subject = text("subject", &change.subject, current.subject())?;
    let schema_id = text("schemaId", &change.schema_id, current.schema_id())?;
    let url = text("url", &change.url, current.url())?;

    let mut body = current.fields().clone();
    body.retain(|name, _| !ONLY_IN_REPLIES.contains(&name.as_str()));
    body.insert("audience".to_owned(), audience);
    body.insert("subject".to_owned(), subject);
    body.insert("schemaId".to_owned(), schema_id);
    body.insert("url".to_owned(), url);
    body.insert("nonce".to_owned(), nonce.into());
    body.insert(
        "tokenLifetimeMinutes".to_owned(),
        lifetime.as_minutes().into(),
    );
    match &change.status {
        None if current.status() == Status::Disabled && current.error_message().is_none() => {
            return Err(CannotUpdate::Silent);
        }
        None => {}
        Some(Delivery::Active) => {
            body.insert("status".to_owned(), "active".into());
            if body.contains_key("errorMessage") {
                body.insert("errorMessage".to_owned(), "".into());
            }
        }
        Some(Delivery::Disabled { error_message }) => {
            body.insert("status".to_owned(), "disabled".into());
            body.insert("errorMessage".to_owned(), error_message.clone().into());
        }
    }
    Ok(body)
}

/// Whether anything but the JWS, its nonce and dates differs between two readings of a data source.
#[must_use]
pub fn has_changed(before: &DataSource, after: &DataSource) -> bool {
    let told = |source: &DataSource| {
        let texts = [
            source.audience(),
            source.subject(),
            source.schema_id(),
            source.url(),
            source.error_message(),
        ];
        let texts = texts.map(|text| text.map(str::to_owned));
        let mut others = source.fields().clone();
        others.retain(|name, _| name != "nonce" && !ONLY_IN_REPLIES.contains(&name.as_str()));
        (texts, source.status(), source.token_lifetime(), others)
    };
    told(before) != told(after)
}

/// What a data source is registered with. All of it is required; nothing has a default that a
/// client could know.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// The JWS's `aud`, usually the application's name.
    pub audience: String,
    /// The JWS's `sub`: what it is for, such as `callAudioData`.
    pub subject: String,
    /// The schema.
    pub schema_id: String,
    /// The receiver.
    pub url: String,
    /// How long each JWS lives.
    pub token_lifetime: TokenLifetime,
}

impl fmt::Debug for Registration {
    /// The receiver's URL may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("audience", &self.audience)
            .field("subject", &self.subject)
            .field("schema_id", &self.schema_id)
            .field("url", &masked_url(&self.url))
            .field("token_lifetime", &self.token_lifetime)
            .finish()
    }
}

impl Registration {
    /// The body of the registration.
    #[must_use]
    pub fn body(&self, nonce: &str) -> Map<String, Value> {
        let fields = [
            ("audience", Value::from(self.audience.as_str())),
            ("nonce", nonce.into()),
            ("schemaId", self.schema_id.as_str().into()),
            ("subject", self.subject.as_str().into()),
            (
                "tokenLifetimeMinutes",
                self.token_lifetime.as_minutes().into(),
            ),
            ("url", self.url.as_str().into()),
        ];
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
    }
}

/// Why a text cannot be the URL of a receiver. The text itself is not told: a password may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiverUrlError {
    /// It cannot be parsed, or has no host.
    #[error("it is not a URL with a host")]
    Malformed,
    /// It is neither https nor wss.
    #[error("it must begin with https:// or wss://")]
    Scheme,
}

/// Judges the URL of a receiver. Whether it lies in the service app's data exchange domain, Webex
/// knows alone.
///
/// # Errors
///
/// The text is not a URL with a host, or its transport is not secure.
pub fn check_receiver_url(text: &str) -> Result<(), ReceiverUrlError> {
    let url = Url::parse(text).map_err(|_| ReceiverUrlError::Malformed)?;
    if !matches!(url.scheme(), "https" | "wss") {
        return Err(ReceiverUrlError::Scheme);
    }
    // What is sent is the text as it is; a parser would forgive spaces around it.
    let is_plain = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if url.host_str().is_none_or(str::is_empty) || !is_plain {
        return Err(ReceiverUrlError::Malformed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sources::data_source::source;

    fn full() -> Value {
        json!({
            "id": "1", "orgId": "o", "jwsToken": "a.b.c", "updatedAt": "2026-01-01T00:00:00Z",
            "audience": "a", "subject": "s", "schemaId": "i", "url": "https://x.example.com/?q",
            "nonce": "n", "tokenLifetimeMinutes": "60", "status": "active", "errorMessage": "",
            "x": [1],
        })
    }

    /// What is sent, but for what every update of [`full`] sends.
    fn sent(current: &Value, change: &Change) -> Result<Value, CannotUpdate> {
        body(&source(current.clone()), change, "new").map(Value::Object)
    }

    #[test]
    fn what_is_not_named_is_sent_as_it_is() {
        let mut expected = json!({
            "audience": "a", "subject": "s", "schemaId": "i", "url": "https://x.example.com/?q",
            "nonce": "new", "tokenLifetimeMinutes": 60, "status": "active", "errorMessage": "",
            "x": [1],
        });
        assert_eq!(sent(&full(), &Change::default()).as_ref(), Ok(&expected));
        let subject = Change {
            subject: Some("t".to_owned()),
            ..Change::default()
        };
        expected["subject"] = "t".into();
        assert_eq!(sent(&full(), &subject), Ok(expected));
    }

    #[test]
    fn what_stands_nowhere_is_not_invented() {
        for field in [
            "audience",
            "subject",
            "schemaId",
            "url",
            "tokenLifetimeMinutes",
        ] {
            let mut fields = full();
            fields[field] = Value::Null;
            let missing = Err(CannotUpdate::Missing { field });
            assert_eq!(sent(&fields, &Change::default()), missing);
        }
        let mut fields = full();
        fields["tokenLifetimeMinutes"] = 2000.into();
        let odd = Err(CannotUpdate::Lifetime(TokenLifetimeError::OutOfRange));
        assert_eq!(sent(&fields, &Change::default()), odd);
    }

    #[test]
    fn a_disabled_one_keeps_its_message_or_is_left_alone() {
        let mut fields = full();
        fields["status"] = "disabled".into();
        assert_eq!(sent(&fields, &Change::default()), Err(CannotUpdate::Silent));
        let enable = Change {
            status: Some(Delivery::Active),
            ..Change::default()
        };
        assert_eq!(
            sent(&fields, &enable).expect("it is sent")["status"],
            "active"
        );
        fields["errorMessage"] = "m".into();
        let kept = sent(&fields, &Change::default()).expect("it is sent");
        assert_eq!(kept["status"], "disabled");
        assert_eq!(kept["errorMessage"], "m");
        let enabled = sent(&fields, &enable).expect("it is sent");
        assert_eq!(enabled["errorMessage"], "");
    }

    #[test]
    fn a_new_jws_is_no_change_and_anything_else_is() {
        let changed = |field: &str, value: Value| {
            let mut fields = full();
            fields[field] = value;
            has_changed(&source(full()), &source(fields))
        };
        for of_each_update in [
            "nonce",
            "jwsToken",
            "tokenExpiryTime",
            "updatedAt",
            "updatedBy",
        ] {
            assert!(!changed(of_each_update, "other".into()), "{of_each_update}");
        }
        for field in [
            "audience",
            "subject",
            "schemaId",
            "url",
            "tokenLifetimeMinutes",
            "status",
            "errorMessage",
            "x",
            "y",
        ] {
            assert!(changed(field, "other".into()), "{field}");
        }
    }

    #[test]
    fn a_receiver_is_a_host_behind_tls() {
        for good in [
            "https://x.example.com",
            "wss://u:p@x.example.com:8443/a?b#c",
        ] {
            assert_eq!(check_receiver_url(good), Ok(()));
        }
        for scheme in [
            "http://x.example.com",
            "ws://x.example.com",
            "grpc://x",
            "x:1",
        ] {
            assert_eq!(check_receiver_url(scheme), Err(ReceiverUrlError::Scheme));
        }
        for malformed in [
            "",
            "x.example.com",
            "https://",
            " https://x.example.com",
            "https://x.example.com/a b",
        ] {
            assert_eq!(
                check_receiver_url(malformed),
                Err(ReceiverUrlError::Malformed)
            );
        }
    }
}

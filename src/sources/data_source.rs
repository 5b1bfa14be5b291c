//! A data source as Webex tells of it, whichever of its fields a reply has. Pure.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::jws::Jws;
use super::lifetime::{TokenLifetime, TokenLifetimeError};
use super::masked::fingerprint;

/// The names under which replies have the JWS.
pub(super) const JWS_FIELDS: [&str; 2] = ["jwsToken", "jwtToken"];

/// A data source. Every field may be missing; those that are not known are kept.
#[derive(Clone)]
pub struct DataSource {
    fields: Map<String, Value>,
    jws: Option<Jws>,
}

/// Whether Webex delivers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Active,
    /// It does not, whatever its JWS says. Older pages call it `inactive`.
    Disabled,
    /// Something that the reference does not name.
    Other(String),
    /// The reply does not tell.
    Unknown,
}

impl Status {
    /// In Webex's words.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Other(status) => status,
            Self::Unknown => "unknown",
        }
    }
}

/// The life of a JWS, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// When it began.
    pub issued_at: Option<Timestamp>,
    /// When Webex stops delivering.
    pub expires_at: Option<Timestamp>,
}

impl fmt::Debug for DataSource {
    /// The JWS is a secret, and the fields may be anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataSource")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl From<Map<String, Value>> for DataSource {
    fn from(fields: Map<String, Value>) -> Self {
        let jws = JWS_FIELDS.iter().find_map(|name| {
            let token = fields.get(*name)?.as_str()?;
            Jws::decode(token).ok()
        });
        Self { fields, jws }
    }
}

impl DataSource {
    /// Every field, as it came.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// What its JWS says, where the reply has one that can be read.
    #[must_use]
    pub fn jws(&self) -> Option<&Jws> {
        self.jws.as_ref()
    }

    /// What the JWS is told by, as it is a secret itself.
    #[must_use]
    pub fn jws_fingerprint(&self) -> Option<String> {
        self.jws_token().map(fingerprint)
    }

    /// The JWS itself: a secret. Where there are several, the one that [`DataSource::jws`] tells of.
    pub(super) fn jws_token(&self) -> Option<&str> {
        let mut tokens = JWS_FIELDS.iter().filter_map(|name| self.text(name));
        let readable = tokens.clone().find(|token| Jws::decode(token).is_ok());
        readable.or_else(|| tokens.next())
    }

    /// A text field that is not empty.
    fn text(&self, name: &str) -> Option<&str> {
        let text = self.fields.get(name)?.as_str()?;
        (!text.is_empty()).then_some(text)
    }

    /// The same, or else what the JWS says.
    fn text_or<'a>(
        &'a self,
        name: &str,
        claim: impl Fn(&'a Jws) -> Option<&'a str>,
    ) -> Option<&'a str> {
        self.text(name)
            .or_else(|| self.jws().and_then(claim).filter(|text| !text.is_empty()))
    }

    /// Its id, a UUID. A list in the shape of the API reference has none.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        // It goes into paths, and onto terminals.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        self.text("id").filter(|id| id.chars().all(is_plain))
    }

    /// `audience`, or the claim `aud`.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        self.text_or("audience", Jws::audience)
    }

    /// `subject`, or the claim `sub`.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text_or("subject", Jws::subject)
    }

    /// `schemaId`, or the claim that names it.
    #[must_use]
    pub fn schema_id(&self) -> Option<&str> {
        self.text_or("schemaId", Jws::schema_id)
    }

    /// `url`, or the claim that names it.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.text_or("url", Jws::url)
    }

    /// `nonce`, or the claim `jti`: what the last update was sent with.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.text_or("nonce", Jws::nonce)
    }

    /// Whether `nonce` is the one of the last update, as far as this reply shows.
    #[must_use]
    pub fn has_nonce(&self, nonce: &str) -> bool {
        self.text("nonce") == Some(nonce) || self.jws().and_then(Jws::nonce) == Some(nonce)
    }

    /// Whether Webex delivers to it.
    #[must_use]
    pub fn status(&self) -> Status {
        let Some(status) = self.text("status") else {
            return Status::Unknown;
        };
        match status.to_ascii_lowercase().as_str() {
            "active" => Status::Active,
            "disabled" | "inactive" => Status::Disabled,
            _ => Status::Other(status.to_owned()),
        }
    }

    /// What Control Hub shows about it.
    #[must_use]
    pub fn error_message(&self) -> Option<&str> {
        self.text("errorMessage")
    }

    /// `tokenLifetimeMinutes`, or how long the JWS lives: `exp` − `iat`. `None` where neither is
    /// told.
    ///
    /// # Errors
    ///
    /// What is told is nothing that a JWS can be given.
    pub fn token_lifetime(&self) -> Option<Result<TokenLifetime, TokenLifetimeError>> {
        if let Some(value) = self.fields.get("tokenLifetimeMinutes")
            && !value.is_null()
        {
            let minutes = match value {
                Value::String(text) => text.trim().parse().ok(),
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "compared with the original"
                )]
                Value::Number(number) => number.as_i64().or_else(|| {
                    let minutes = number.as_f64()?;
                    (minutes.fract() == 0.0).then_some(minutes as i64)
                }),
                _ => None,
            };
            let minutes = minutes.ok_or(TokenLifetimeError::NotWhole);
            return Some(minutes.and_then(TokenLifetime::minutes));
        }
        self.jws()?.token_lifetime()
    }

    /// The life of its JWS: the claims, or else `tokenExpiryTime` and what the other fields say of
    /// when that was set.
    #[must_use]
    pub fn life(&self) -> Life {
        let jws = self.jws();
        let expires_at = jws.and_then(Jws::expires_at);
        let expires_at = expires_at.or_else(|| self.time("tokenExpiryTime"));
        let lifetime = self.token_lifetime().and_then(Result::ok);
        let counted_back = || expires_at?.checked_sub(lifetime?.as_duration()).ok();
        let issued_at = jws
            .and_then(Jws::issued_at)
            .or_else(counted_back)
            .or_else(|| self.time("updatedAt"))
            .or_else(|| self.time("createdAt"));
        Life {
            issued_at,
            expires_at,
        }
    }

    /// How long its JWS lives from `now` on; negative where it has expired.
    #[must_use]
    pub fn time_left(&self, now: Timestamp) -> Option<SignedDuration> {
        Some(self.life().expires_at?.duration_since(now))
    }

    /// A timestamp, of which some lack their zone: those are in UTC.
    #[must_use]
    pub fn time(&self, name: &str) -> Option<Timestamp> {
        let text = self.text(name)?.trim();
        text.parse().ok().or_else(|| {
            let naive: DateTime = text.parse().ok()?;
            Some(naive.to_zoned(TimeZone::UTC).ok()?.timestamp())
        })
    }
}

/// A data source as a reply with these fields shows it.
#[cfg(test)]
pub(super) fn source(fields: Value) -> DataSource {
    let Value::Object(fields) = fields else {
        panic!("an object");
    };
    fields.into()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn jws(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "1" });
        format!("{}.{}.c2ln", part(&header), part(claims))
    }

    fn claims() -> Value {
        json!({
            "aud": "AppOne", "sub": "callAudioData", "jti": "n-1", "iat": 1_000, "exp": 8_200,
            "com.cisco.datasource.url": "https://x.example.com/1",
            "com.cisco.datasource.schema.uuid": "s-1",
        })
    }

    #[test]
    fn what_the_object_lacks_its_jws_tells() {
        for name in JWS_FIELDS {
            let bare = source(json!({ "id": "1", name: jws(&claims()) }));
            assert_eq!(bare.audience(), Some("AppOne"));
            assert_eq!(bare.subject(), Some("callAudioData"));
            assert_eq!(bare.schema_id(), Some("s-1"));
            assert_eq!(bare.url(), Some("https://x.example.com/1"));
            assert_eq!(bare.nonce(), Some("n-1"));
            assert_eq!(bare.token_lifetime(), Some(TokenLifetime::minutes(120)));
            assert_eq!(bare.status(), Status::Unknown);
            assert_eq!(bare.jws_token(), Some(jws(&claims()).as_str()));
        }
        let two = source(json!({ "jwsToken": "none", "jwtToken": jws(&claims()) }));
        assert_eq!(two.jws_token(), Some(jws(&claims()).as_str()));
        assert_eq!(
            source(json!({ "jwtToken": "none" })).jws_token(),
            Some("none")
        );
    }

    #[test]
    fn what_the_object_has_counts() {
        let full = source(json!({
            "audience": "a", "subject": "s", "schemaId": "i", "url": "wss://u", "nonce": "n",
            "tokenLifetimeMinutes": 60, "jwsToken": jws(&claims()),
        }));
        assert_eq!(full.audience(), Some("a"));
        assert_eq!(full.subject(), Some("s"));
        assert_eq!(full.schema_id(), Some("i"));
        assert_eq!(full.url(), Some("wss://u"));
        assert_eq!(full.nonce(), Some("n"));
        assert!(full.has_nonce("n") && full.has_nonce("n-1") && !full.has_nonce("x"));
        assert_eq!(full.token_lifetime(), Some(TokenLifetime::minutes(60)));
        // An empty text tells nothing.
        let empty = source(json!({ "audience": "", "jwsToken": jws(&claims()) }));
        assert_eq!(empty.audience(), Some("AppOne"));
    }

    #[test]
    fn a_lifetime_is_told_in_several_ways_or_not_at_all() {
        let lifetime =
            |value: Value| source(json!({ "tokenLifetimeMinutes": value })).token_lifetime();
        assert_eq!(lifetime(json!(1440)), Some(Ok(TokenLifetime::MAX)));
        assert_eq!(lifetime(json!("90")), Some(TokenLifetime::minutes(90)));
        assert_eq!(lifetime(json!(60.0)), Some(TokenLifetime::minutes(60)));
        assert_eq!(lifetime(Value::Null), None);
        assert_eq!(
            lifetime(json!(0)),
            Some(Err(TokenLifetimeError::OutOfRange))
        );
        assert_eq!(
            lifetime(json!(1441)),
            Some(Err(TokenLifetimeError::OutOfRange))
        );
        for odd in [json!(1.5), json!("soon"), json!([60]), json!(true)] {
            assert_eq!(lifetime(odd), Some(Err(TokenLifetimeError::NotWhole)));
        }
        let of = |iat: i64, exp: i64| {
            let token = jws(&json!({ "iat": iat, "exp": exp }));
            source(json!({ "jwsToken": token })).token_lifetime()
        };
        assert_eq!(of(0, 3_601), Some(TokenLifetime::minutes(60)));
        assert_eq!(of(0, 3_599), Some(TokenLifetime::minutes(60)));
        assert_eq!(of(0, 3_630), Some(Err(TokenLifetimeError::NotWhole)));
        assert_eq!(of(0, 100_000), Some(Err(TokenLifetimeError::NotWhole)));
        assert_eq!(of(0, 172_800), Some(Err(TokenLifetimeError::OutOfRange)));
        assert_eq!(source(json!({})).token_lifetime(), None);
    }

    #[test]
    fn a_life_is_the_claims_or_what_the_fields_let_infer() {
        let at = |text: &str| text.parse::<Timestamp>().ok();
        let told = source(
            json!({ "jwsToken": jws(&claims()), "tokenExpiryTime": "2026-01-01T00:00:00Z" }),
        );
        let second = |second| Timestamp::from_second(second).ok();
        assert_eq!(
            told.life(),
            Life {
                issued_at: second(1_000),
                expires_at: second(8_200)
            }
        );

        let naive = source(json!({
            "tokenExpiryTime": "2024-10-31T02:13:25.776000", "tokenLifetimeMinutes": 60,
        }));
        assert_eq!(
            naive.life(),
            Life {
                issued_at: at("2024-10-31T01:13:25.776Z"),
                expires_at: at("2024-10-31T02:13:25.776Z"),
            }
        );
        let updated = source(json!({
            "tokenExpiryTime": "2024-10-31T02:00:00+01:00", "updatedAt": "2024-10-31T00:00:00Z",
            "createdAt": "2020-01-01T00:00:00Z",
        }));
        assert_eq!(
            updated.life(),
            Life {
                issued_at: at("2024-10-31T00:00:00Z"),
                expires_at: at("2024-10-31T01:00:00Z")
            }
        );
        assert_eq!(
            source(json!({ "tokenExpiryTime": "soon" })).life(),
            Life::default()
        );
    }

    #[test]
    fn statuses_of_old_pages_are_understood() {
        let status = |value: &str| source(json!({ "status": value })).status();
        assert_eq!(status("active"), Status::Active);
        assert_eq!(status("disabled"), Status::Disabled);
        assert_eq!(status("inactive"), Status::Disabled);
        assert_eq!(status("paused"), Status::Other("paused".to_owned()));
    }

    #[test]
    fn debug_shows_no_jws() {
        let token = jws(&claims());
        let shown = format!("{:?}", source(json!({ "id": "1", "jwsToken": token })));
        assert!(!shown.contains("eyJ"), "{shown}");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            Just(json!([{}])),
        ]
    }

    proptest! {
        #[test]
        fn no_field_panics(value in any_json(), exp: i64, iat: i64) {
            let names = [
                "id", "audience", "tokenLifetimeMinutes", "tokenExpiryTime", "updatedAt",
                "createdAt", "status", "jwsToken",
            ];
            for name in names {
                let mut fields = Map::new();
                fields.insert("jwtToken".into(), jws(&json!({ "exp": exp, "iat": iat })).into());
                fields.insert(name.into(), value.clone());
                let source = DataSource::from(fields);
                let _ = (source.life(), source.status(), source.token_lifetime());
                let _ = source.time_left(Timestamp::UNIX_EPOCH);
            }
        }
    }
}

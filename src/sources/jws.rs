//! The JWS of a data source (RFC 7515 §3.1): what it says, and whether its issuer signed it. Pure.
//!
//! [`Jws::decode`] believes what it reads, as whoever owns the data source may; [`KeySet::verify`]
//! says whether that is so. Neither asks what time it is: a signature stays good after `exp`.
//!
//! `ring` is called directly, which rustls verifies with as well. A library of JWTs would add a
//! validation of claims, which is not wanted here, and other algorithms than RS256, which are
//! refused.

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Map, Value};

use super::lifetime::{TokenLifetime, TokenLifetimeError};

/// The longest JWS that is looked at: 64 KiB. Those of Webex have about 1 KiB.
pub const MAX_JWS_LEN: usize = 64 << 10;

/// The one algorithm that Webex signs with (RFC 7518 §3.3), and the one that is accepted.
const ALGORITHM: &str = "RS256";

const URL: &str = "com.cisco.datasource.url";
const SCHEMA_ID: &str = "com.cisco.datasource.schema.uuid";
const ORG_ID: &str = "com.cisco.org.uuid";

/// The claims that have a function of their own.
const KNOWN: [&str; 9] = [
    "aud", "sub", "iss", "exp", "iat", "jti", URL, SCHEMA_ID, ORG_ID,
];

/// A decoded JWS: its header and its claims, without the signature.
///
/// Every claim may be missing, and one of another type than it should have counts as missing.
#[derive(Clone, PartialEq)]
pub struct Jws {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

/// A part of a JWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The JOSE header.
    Header,
    /// The payload: the claims.
    Claims,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "payload",
            Self::Signature => "signature",
        })
    }
}

/// Why a text is no JWS. The text itself is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// It is longer than [`MAX_JWS_LEN`].
    #[error("the JWS is longer than 64 KiB")]
    TooLong,
    /// It has fewer than three parts between dots, or more.
    #[error("the JWS does not have three parts")]
    Parts,
    /// A part is not base64url without padding (RFC 7515 §2).
    #[error("the {0} of the JWS is not base64url")]
    NotBase64(Part),
    /// A part is not the JSON text of an object.
    #[error("the {0} of the JWS is not a JSON object")]
    NotAnObject(Part),
}

impl Jws {
    /// Reads a compact JWS, without a look at its signature.
    ///
    /// # Errors
    ///
    /// It does not have the form of one.
    pub fn decode(token: &str) -> Result<Self, JwsError> {
        let [header, claims, _] = parts(token)?;
        Ok(Self {
            header: object(header, Part::Header)?,
            claims: object(claims, Part::Claims)?,
        })
    }

    /// `alg`: the algorithm it says it is signed with.
    #[must_use]
    pub fn algorithm(&self) -> Option<&str> {
        text(&self.header, "alg")
    }

    /// `kid`: the key it says it is signed with.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        text(&self.header, "kid")
    }

    /// `typ`: usually `JWT`.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        text(&self.header, "typ")
    }

    /// `aud`, where it is one: as a text, or as the only one of a list (RFC 7519 §4.1.3).
    ///
    /// The field of a data source holds one. Where there are several, none of them is it.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        match self.claims.get("aud")? {
            Value::Array(list) if list.len() == 1 => list[0].as_str(),
            audience => audience.as_str(),
        }
    }

    /// `sub`: what the data source is for, such as `callAudioData`.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        text(&self.claims, "sub")
    }

    /// `iss`: whose keys verify it.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        text(&self.claims, "iss")
    }

    /// `jti`: the nonce of the update that it was issued for.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        text(&self.claims, "jti")
    }

    /// `com.cisco.datasource.url`: the receiver.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        text(&self.claims, URL)
    }

    /// `com.cisco.datasource.schema.uuid`.
    #[must_use]
    pub fn schema_id(&self) -> Option<&str> {
        text(&self.claims, SCHEMA_ID)
    }

    /// `com.cisco.org.uuid`.
    #[must_use]
    pub fn org_id(&self) -> Option<&str> {
        text(&self.claims, ORG_ID)
    }

    /// `iat`.
    #[must_use]
    pub fn issued_at(&self) -> Option<Timestamp> {
        numeric_date(self.claims.get("iat")?)
    }

    /// `exp`: after that Webex stops delivering.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        numeric_date(self.claims.get("exp")?)
    }

    /// `exp` − `iat`, which is the lifetime it was asked for with; `None` where either is missing.
    ///
    /// # Errors
    ///
    /// It is none that Webex takes.
    #[must_use]
    pub fn token_lifetime(&self) -> Option<Result<TokenLifetime, TokenLifetimeError>> {
        let lifetime = self.expires_at()?.duration_since(self.issued_at()?);
        Some(token_lifetime(lifetime))
    }

    /// The whole header.
    #[must_use]
    pub fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// All claims, as they came.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The claims that no function here knows.
    pub fn unknown_claims(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.claims
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .filter(|(name, _)| !KNOWN.contains(name))
    }
}

/// Header and claims are two thirds of the token, so that only its dates are shown.
impl fmt::Debug for Jws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws")
            .field("issued_at", &self.issued_at())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

/// Why a JWS is not known to be its issuer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It does not have the form of a JWS.
    #[error(transparent)]
    Malformed(#[from] JwsError),
    /// It demands something that is not known here (`crit`, RFC 7515 §4.1.11).
    #[error("the header of the JWS demands an extension")]
    Extension,
    /// It is signed in another way than with RS256, or not at all.
    #[error("the JWS is not signed with RS256")]
    Algorithm,
    /// No key of the set is the one it says it is signed with.
    #[error("the issuer publishes no usable key with the id in the JWS")]
    UnknownKey,
    /// The signature is not that of the key over this text.
    #[error("the signature of the JWS is wrong")]
    BadSignature,
}

/// Why what an issuer published is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the issuer's keys are not a JSON Web Key Set")]
pub struct KeySetError;

/// The keys that an issuer publishes (RFC 7517 §5).
///
/// Only those that can verify RS256 are in it: RSA, for signatures, with 2048 to 8192 bits.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl KeySet {
    /// Reads a JWKS. A key that cannot be used is as if it were not there (RFC 7517 §5).
    ///
    /// # Errors
    ///
    /// It is not an object with a list of `keys`.
    pub fn parse(jwks: &[u8]) -> Result<Self, KeySetError> {
        let jwks: Value = serde_json::from_slice(jwks).map_err(|_| KeySetError)?;
        let keys = jwks.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(KeySetError)?.iter().filter_map(Key::usable);
        Ok(Self {
            keys: keys.collect(),
        })
    }

    /// Verifies the signature, and that alone: neither `exp` nor any other claim is looked at.
    ///
    /// A key without an id may be any; a JWS without one may be of any key.
    ///
    /// # Errors
    ///
    /// The signature is not known to be good.
    pub fn verify(&self, token: &str) -> Result<(), VerifyError> {
        let [header, claims, signature] = parts(token)?;
        let signed = &token[..header.len() + 1 + claims.len()];
        let header = object(header, Part::Header)?;
        let signature = bytes(signature, Part::Signature)?;
        if text(&header, "alg") != Some(ALGORITHM) {
            return Err(VerifyError::Algorithm);
        }
        if header.contains_key("crit") {
            return Err(VerifyError::Extension);
        }
        let id = text(&header, "kid");
        let is_of = |key: &&Key| id.is_none() || key.id.is_none() || key.id.as_deref() == id;
        let mut error = VerifyError::UnknownKey;
        for key in self.keys.iter().filter(is_of) {
            if key.verifies(signed.as_bytes(), &signature) {
                return Ok(());
            }
            if id.is_none() || key.id.as_deref() == id {
                error = VerifyError::BadSignature;
            }
        }
        Err(error)
    }
}

impl Key {
    /// The key of a JWK (RFC 7518 §6.3.1), where RS256 can be verified with it.
    fn usable(jwk: &Value) -> Option<Self> {
        const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
        let is = |name, wanted| jwk.get(name).is_none_or(|value| value == wanted);
        let number = |name| {
            let bytes = URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()?;
            // RFC 7518 §2 forbids zeros in front, and some issuers have one there.
            let start = bytes.iter().position(|&byte| byte != 0)?;
            Some(bytes[start..].to_vec())
        };
        if jwk.get("kty")? != "RSA" || !is("use", "sig") || !is("alg", ALGORITHM) {
            return None;
        }
        let modulus: Vec<u8> = number("n")?;
        let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
        BITS.contains(&bits).then_some(())?;
        Some(Self {
            id: jwk.get("kid").and_then(Value::as_str).map(str::to_owned),
            modulus,
            exponent: number("e")?,
        })
    }

    fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        let key = RsaPublicKeyComponents {
            n: &self.modulus,
            e: &self.exponent,
        };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            .is_ok()
    }
}

fn parts(token: &str) -> Result<[&str; 3], JwsError> {
    if token.len() > MAX_JWS_LEN {
        return Err(JwsError::TooLong);
    }
    let mut parts = token.split('.');
    match [(); 4].map(|()| parts.next()) {
        [Some(header), Some(claims), Some(signature), None] => Ok([header, claims, signature]),
        _ => Err(JwsError::Parts),
    }
}

fn bytes(part: &str, name: Part) -> Result<Vec<u8>, JwsError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| JwsError::NotBase64(name))
}

fn object(part: &str, name: Part) -> Result<Map<String, Value>, JwsError> {
    serde_json::from_slice(&bytes(part, name)?).map_err(|_| JwsError::NotAnObject(name))
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// Seconds since the epoch (RFC 7519 §2), also with a fraction or as a text.
fn numeric_date(value: &Value) -> Option<Timestamp> {
    let seconds = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    if let Ok(seconds) = seconds.parse() {
        return Timestamp::from_second(seconds).ok();
    }
    let since_epoch = SignedDuration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    Timestamp::UNIX_EPOCH.checked_add(since_epoch).ok()
}

/// A second more or less than whole minutes comes of how the two dates were rounded.
fn token_lifetime(lifetime: SignedDuration) -> Result<TokenLifetime, TokenLifetimeError> {
    const ROUNDING: SignedDuration = SignedDuration::from_secs(1);
    let minutes = (lifetime.as_secs() + 30).div_euclid(60);
    if (lifetime - SignedDuration::from_mins(minutes)).abs() > ROUNDING {
        return Err(TokenLifetimeError::NotWhole);
    }
    TokenLifetime::minutes(minutes)
}

#[cfg(test)]
mod tests;

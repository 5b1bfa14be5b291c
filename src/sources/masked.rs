//! What may be shown of a data source. Pure.
//!
//! The nonce and the JWS are told by their fingerprints. URLs lose what [`masked_text`] takes out of
//! them. Other texts lose what looks like a token; ids do not, although some look like one.

use serde_json::{Map, Value};

use super::jws::Jws;
use crate::masked::{is_address, masked_text};
use crate::token::{Fingerprint, without_tokens};

/// How the names of fields end that hold a secret, in lower case: `nonce` and the `jti` that it
/// becomes, `jwsToken`, `jwtToken`, and what else may come to be named like them.
const SECRETS: [&str; 13] = [
    "nonce",
    "jti",
    "token",
    "jws",
    "jwt",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "authorization",
    "bearer",
    "apikey",
];

/// The same where it is a word of its own: `apiKey`, and not `monkey`.
const SECRET_WORDS: [&str; 3] = ["key", "pass", "auth"];

/// The fields of a data source as they may be shown, those inside unknown ones included.
#[must_use]
pub fn masked_fields(fields: &Map<String, Value>) -> Map<String, Value> {
    fields
        .iter()
        .map(|(name, value)| (name.clone(), masked_value(name, value)))
        .collect()
}

/// The value of a field of this name as it may be shown.
#[must_use]
pub fn masked_value(name: &str, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) if is_secret(name) => fingerprint(text).into(),
        value if is_secret(name) => fingerprint(&value.to_string()).into(),
        Value::String(text) => masked_field(name, text).into(),
        Value::Array(list) => list.iter().map(|item| masked_value(name, item)).collect(),
        Value::Object(fields) => masked_fields(fields).into(),
        Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// `sha256:` and the [`Fingerprint`] of a secret.
#[must_use]
pub fn fingerprint(secret: &str) -> String {
    format!("sha256:{}", Fingerprint::of(secret).as_str())
}

/// Whether a field of this name holds a secret, or several, whatever its value is.
fn is_secret(name: &str) -> bool {
    let is_one = |name: &str| {
        let word = last_word(name).to_ascii_lowercase();
        let name = name.to_ascii_lowercase();
        SECRETS.iter().any(|end| name.ends_with(end)) || SECRET_WORDS.contains(&word.as_str())
    };
    is_one(name) || name.strip_suffix(['s', 'S']).is_some_and(is_one)
}

/// `Key` of `apiKey`, `api_key` and `x-API-Key`.
fn last_word(name: &str) -> &str {
    let word = name.rsplit(|c: char| !c.is_alphanumeric()).next();
    let word = word.unwrap_or(name);
    let bytes = word.as_bytes();
    let starts = |at: &usize| {
        bytes[*at].is_ascii_uppercase()
            && (bytes[at - 1].is_ascii_lowercase()
                || bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase))
    };
    // An ASCII letter is a boundary of characters.
    let start = (1..bytes.len()).rev().find(starts);
    &word[start.unwrap_or(0)..]
}

fn masked_field(name: &str, text: &str) -> String {
    if Jws::decode(text).is_ok() {
        return fingerprint(text);
    }
    let shown = masked_text(text);
    if is_address(text) || is_id(name, text) {
        shown
    } else {
        without_tokens(&shown)
    }
}

/// Whether a field is an id by its name and by its form, which is not that of an access token.
fn is_id(name: &str, text: &str) -> bool {
    let is_named = name == "id" || name.ends_with("Id") || name.ends_with("By");
    is_named && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_names_a_data_source_stays_readable() {
        for (name, text) in [
            ("id", "85895e47-3096-4c47-aae8-f5a52f7b7870"),
            ("orgId", "1eb65fdf9643417f9974ad72cae0e10f"),
            ("applicationId", "C0ffee00112233445566778899aabbccddeeff0"),
            (
                "applicationId",
                "Y2lzY29zcGFyazovL3VzL0FQUExJQ0FUSU9OL0MxMjM0NTY3ODkw",
            ),
            ("createdBy", "0f2b7a8c9d0e1f2a3b4c5d6e7f809112"),
            ("trackingId", "ROUTER_1420d3bb-ebe8-4075-aa92-01e44e2f5845"),
            ("audience", "AppOne"),
            ("subject", "callAudioData"),
            ("status", "active"),
            (
                "errorMessage",
                "Is it down? Ask ops@example.com, please: why?",
            ),
            ("tokenExpiryTime", "2026-01-02T03:04:05.678Z"),
            ("url", "wss://a1b2c3d4e5f6a7b8c9d0e1f2a3.on.example:8443/ds"),
            ("anything", "5397013b-7920-4ffc-807c-e8a3e0a18f43"),
        ] {
            assert_eq!(masked_value(name, &json!(text)), text, "{name}");
        }
        for value in [json!(1440), json!(null), json!(true), json!([]), json!({})] {
            assert_eq!(masked_value("tokenLifetimeMinutes", &value), value);
        }
        assert_eq!(masked_value("nonce", &json!(null)), json!(null));
    }

    #[test]
    fn tokens_and_jws_are_seen_by_their_form() {
        let token = "MDM0NjhhNzMtMDdiNy00ZWUwLTk2ZTkt_PE93_1eb65fdf-9643-417f-9974-ad72cae0e10f";
        let jws = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";
        let plain = "f6b19c4db74c1d327733c0bd180dbf9457ddfd5c7833e8c761d48e9913c81ddd";
        for (name, text, shown) in [
            ("DataSource", jws, fingerprint(jws)),
            ("id", jws, fingerprint(jws)),
            ("id", token, "[…]".to_owned()),
            ("note", plain, "[…]".to_owned()),
            ("developerId", plain, plain.to_owned()),
        ] {
            assert_eq!(masked_value(name, &json!(text)), shown, "{name}");
        }
        let list = json!([token, {"id": "a", "nonce": 1}, [plain]]);
        assert_eq!(
            masked_value("list", &list),
            json!(["[…]", {"id": "a", "nonce": fingerprint("1")}, ["[…]"]])
        );
    }

    #[test]
    fn what_is_secret_is_seen_by_its_name_whatever_it_is() {
        for name in [
            "nonce",
            "jti",
            "jwsToken",
            "clientSecret",
            "client_secrets",
            "PASSWORD",
            "pass",
            "dbPass",
            "passphrase",
            "key",
            "apiKey",
            "api_keys",
            "x-api-key",
            "X-API-Key",
            "apiKEY",
            "APIKEY",
            "privateKey",
            "credential",
            "credentials",
            "serviceCredentials",
            "authorization",
            "Authorization",
            "auth",
            "basicAuth",
            "tokens",
            "bearer",
        ] {
            for value in [
                json!("canary"),
                json!(12345),
                json!({"user": "canary", "a": ["b"]}),
                json!(["canary"]),
            ] {
                let text = value.as_str().map_or(value.to_string(), str::to_owned);
                assert_eq!(masked_value(name, &value), fingerprint(&text), "{name}");
            }
        }
        for name in [
            "id",
            "schemaId",
            "kid",
            "keyId",
            "orgId",
            "applicationId",
            "audience",
            "subject",
            "url",
            "status",
            "errorMessage",
            "tokenLifetimeMinutes",
            "tokenExpiryTime",
            "createdBy",
            "",
            "é",
            "author",
            "bypass",
            "compass",
            "monkey",
            "passed",
        ] {
            for value in [json!("plain"), json!(12345), json!({"a": ["b"]})] {
                assert_eq!(masked_value(name, &value), value, "{name}");
            }
        }
    }

    #[test]
    fn a_fingerprint_says_what_it_is() {
        let told = fingerprint("canary");
        let hex = told.strip_prefix("sha256:").expect("the prefix");
        assert_eq!(Fingerprint::parse(hex), Some(Fingerprint::of("canary")));
    }
}

//! What the operation log says of a change: one line of JSON. Pure.
//!
//! The line is written after Webex has answered, or has failed to. It holds no secret: see
//! [`masked_fields`].

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::masked::{masked_fields, masked_value};
use crate::token::escaped;

/// The version of a line; it changes when a field changes its meaning or goes away.
const VERSION: u32 = 1;

/// What was done to a data source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It was registered.
    Register,
    /// Some of its fields were set.
    Update,
    /// It was deleted.
    Delete,
    /// Its status was set to `disabled`.
    Disable,
    /// Its status was set to `active`.
    Enable,
    /// It was given a new nonce, and with it a new JWS.
    Extend,
}

/// Whether it is known to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Webex said so.
    Done,
    /// The answer was lost, and nothing has told since.
    Unknown,
}

/// A change, as the log tells it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When it was known how the change ended.
    pub time: Timestamp,
    /// What was done.
    pub operation: Operation,
    /// Whether it is known to be done.
    pub outcome: Outcome,
    /// The data source; a registration whose answer was lost has none.
    pub id: Option<&'a str>,
    /// Its fields before; none of one that is new.
    pub before: Option<&'a Map<String, Value>>,
    /// Its fields after; none of one that is gone.
    pub after: Option<&'a Map<String, Value>>,
    /// What Webex calls the request.
    pub tracking_id: Option<&'a str>,
}

/// A line, in the order that it is read in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    version: u32,
    time: String,
    operation: Operation,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking_id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Map<String, Value>>,
}

impl Entry<'_> {
    /// The line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        let shown = |name, text: Option<&str>| text.map(|text| masked_value(name, &text.into()));
        let line = Line {
            version: VERSION,
            time: format!("{:.3}", self.time),
            operation: self.operation,
            outcome: self.outcome,
            id: shown("id", self.id),
            tracking_id: shown("trackingId", self.tracking_id),
            before: self.before.map(masked_fields),
            after: self.after.map(masked_fields),
        };
        text_of(&line)
    }
}

fn text_of(line: &Line) -> String {
    escaped(&serde_json::to_string(line).expect("plain data has a form in JSON"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::token::steers;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is no object"),
        }
    }

    fn entry<'a>() -> Entry<'a> {
        Entry {
            time: "2026-01-01T03:04:05.678901Z".parse().expect("a time"),
            operation: Operation::Extend,
            outcome: Outcome::Done,
            id: Some("85895e47-3096-4c47-aae8-f5a52f7b7870"),
            before: None,
            after: None,
            tracking_id: None,
        }
    }

    /// What a line says of these fields.
    fn told(fields: &Map<String, Value>) -> Value {
        let entry = Entry {
            after: Some(fields),
            ..entry()
        };
        let line: Value = serde_json::from_str(&entry.line()).expect("JSON");
        line["after"].clone()
    }

    #[test]
    fn a_line_tells_all_of_a_change_but_its_secrets() {
        let before = object(json!({
            "id": "85895e47-3096-4c47-aae8-f5a52f7b7870",
            "nonce": "123456",
            "status": "active",
            "url": "https://recv.example.com/ds?key=1",
        }));
        let after = object(json!({"nonce": "654321", "tokenLifetimeMinutes": 1440}));
        let entry = Entry {
            before: Some(&before),
            after: Some(&after),
            tracking_id: Some("ROUTER_1420d3bb-ebe8-4075-aa92-01e44e2f5845"),
            ..entry()
        };
        let expected = [
            r#"{"version":1,"time":"2026-01-01T03:04:05.678Z","operation":"extend","#,
            r#""outcome":"done","id":"85895e47-3096-4c47-aae8-f5a52f7b7870","#,
            r#""trackingId":"ROUTER_1420d3bb-ebe8-4075-aa92-01e44e2f5845","#,
            r#""before":{"id":"85895e47-3096-4c47-aae8-f5a52f7b7870","#,
            r#""nonce":"sha256:FINGERPRINT-1","status":"active","#,
            r#""url":"https://recv.example.com/ds?***"},"#,
            r#""after":{"nonce":"sha256:FINGERPRINT-2","tokenLifetimeMinutes":1440}}"#,
        ];
        let fingerprint = |secret| crate::token::Fingerprint::of(secret).as_str().to_owned();
        let expected = expected
            .concat()
            .replace("FINGERPRINT-1", &fingerprint("123456"))
            .replace("FINGERPRINT-2", &fingerprint("654321"));
        assert_eq!(entry.line(), expected);
    }

    #[test]
    fn what_there_is_not_is_left_out() {
        let entry = Entry {
            operation: Operation::Register,
            outcome: Outcome::Unknown,
            id: None,
            time: Timestamp::UNIX_EPOCH,
            ..entry()
        };
        assert_eq!(
            entry.line(),
            r#"{"version":1,"time":"1970-01-01T00:00:00.000Z","operation":"register","outcome":"unknown"}"#
        );
    }

    #[test]
    fn operations_have_the_names_of_the_commands() {
        use Operation::*;
        let names = [Register, Update, Delete, Disable, Enable, Extend]
            .map(|operation| json!(operation).to_string());
        let expected = [
            "register", "update", "delete", "disable", "enable", "extend",
        ];
        assert_eq!(names, expected.map(|name| format!("\"{name}\"")));
    }

    #[test]
    fn a_line_is_one_and_steers_no_terminal() {
        let text = "a\r\nb\u{1b}[2J\u{9b}\u{85}\u{2028}\u{202e}\u{7f}\u{feff}é😀";
        let fields = object(json!({"errorMessage": text}));
        let entry = Entry {
            after: Some(&fields),
            ..entry()
        };
        let line = entry.line();
        assert!(!line.contains(steers), "{line:?}");
        assert!(line.contains("é😀"), "{line}");
        assert_eq!(told(&fields)["errorMessage"], text);
    }

    /// JSON with this text in it, somewhere.
    fn around(text: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Value> {
        text.prop_map(Value::from).prop_recursive(3, 4, 2, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..3).prop_map(Value::from),
                ("[a-z]{1,4}", inner).prop_map(|(name, value)| json!({name: value})),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_secret_survives_at_any_depth(
            name in "nonce|NONCE|jwsToken|jws_token|jwtToken|jti|clientSecret|access-token|passWord",
            secret in around("\\PC{0,8}canary\\PC{0,8}".boxed()),
            depth in 0..4,
            number: u64,
        ) {
            let mut fields = object(json!({name.clone(): secret, "other": {name: number}}));
            for _ in 0..depth {
                fields = object(json!({"unknown": [{"inner": fields}]}));
            }
            let told = told(&fields).to_string();
            prop_assert!(!told.contains("canary"), "{}", told);
            prop_assert!(!told.contains(&format!(":{number}}}")), "{}", told);
        }

        #[test]
        fn no_user_info_or_query_survives(
            url in around("(see )?(https|wss|x)://(u:)?canary@host/(a\\?canary)?(#canary)?|https://host/\\?a=canary".boxed()),
            name in "[a-z]{1,8}|url|id|trackingId|errorMessage",
        ) {
            let told = told(&object(json!({name: url}))).to_string();
            prop_assert!(!told.contains("canary"), "{}", told);
        }

        #[test]
        fn any_object_has_a_line(fields in around("\\PC*|.*".boxed())) {
            let fields = object(json!({"a": fields}));
            prop_assert!(told(&fields).is_object());
        }
    }
}

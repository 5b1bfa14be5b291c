//! What a change makes different, field by field, as it may be shown. Pure.

use serde_json::{Map, Value};

use super::data_source::{DataSource, Status};
use super::masked::masked_value;
use super::update::{Change, Delivery};

/// A field that becomes another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Webex's name of it.
    pub field: &'static str,
    /// What Webex tells of it, or its JWS.
    before: Option<Value>,
    /// What it is to be.
    after: Option<Value>,
}

impl Difference {
    /// What it was, without what is secret in it.
    #[must_use]
    pub fn before(&self) -> Option<Value> {
        self.before
            .as_ref()
            .map(|value| masked_value(self.field, value))
    }

    /// What it is to be, likewise.
    #[must_use]
    pub fn after(&self) -> Option<Value> {
        self.after
            .as_ref()
            .map(|value| masked_value(self.field, value))
    }

    /// Whether it differs in nothing but what is not shown.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.before() == self.after()
    }
}

/// What `change` makes different of `current`; what is so already is left out.
#[must_use]
pub fn differences(current: &DataSource, change: &Change) -> Vec<Difference> {
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let minutes = change.token_lifetime.map(|it| it.as_minutes().into());
    let mut wanted = vec![
        ("audience", text(&change.audience)),
        ("subject", text(&change.subject)),
        ("schemaId", text(&change.schema_id)),
        ("url", text(&change.url)),
        ("tokenLifetimeMinutes", minutes),
    ];
    wanted.retain(|(_, after)| after.is_some());
    match &change.status {
        None => {}
        Some(Delivery::Active) => {
            wanted.push(("status", Some("active".into())));
            wanted.push(("errorMessage", None));
        }
        Some(Delivery::Disabled { error_message }) => {
            wanted.push(("status", Some("disabled".into())));
            wanted.push(("errorMessage", Some(error_message.as_str().into())));
        }
    }
    let differences = wanted.into_iter().map(|(field, after)| Difference {
        field,
        before: told(current, field),
        after,
    });
    differences.filter(|it| it.before != it.after).collect()
}

/// What Webex tells of a data source that a person has set, or its JWS, without what is secret.
#[must_use]
pub fn summary(source: &DataSource) -> Map<String, Value> {
    const FIELDS: [&str; 7] = [
        "audience",
        "subject",
        "schemaId",
        "url",
        "tokenLifetimeMinutes",
        "status",
        "errorMessage",
    ];
    let told = FIELDS
        .into_iter()
        .filter_map(|field| Some((field, told(source, field)?)));
    told.map(|(field, value)| (field.to_owned(), masked_value(field, &value)))
        .collect()
}

fn told(source: &DataSource, field: &str) -> Option<Value> {
    let text = match field {
        "audience" => source.audience(),
        "subject" => source.subject(),
        "schemaId" => source.schema_id(),
        "url" => source.url(),
        "errorMessage" => source.error_message(),
        "tokenLifetimeMinutes" => {
            let lifetime = source.token_lifetime()?.ok()?;
            return Some(lifetime.as_minutes().into());
        }
        "status" => match source.status() {
            Status::Unknown => None,
            status => return Some(status.name().into()),
        },
        _ => None,
    };
    text.map(Value::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sources::TokenLifetime;
    use crate::sources::data_source::source;

    fn full() -> DataSource {
        source(json!({
            "audience": "a", "subject": "s", "schemaId": "i", "tokenLifetimeMinutes": 60,
            "url": "https://u:canary@h.example/p?q=canary", "status": "active",
        }))
    }

    #[test]
    fn only_what_is_named_and_differs_is_told() {
        assert_eq!(differences(&full(), &Change::default()), []);
        let same = Change {
            audience: Some("a".into()),
            subject: Some("s".into()),
            schema_id: Some("i".into()),
            url: Some("https://u:canary@h.example/p?q=canary".into()),
            token_lifetime: TokenLifetime::minutes(60).ok(),
            status: Some(Delivery::Active),
        };
        assert_eq!(differences(&full(), &same), []);
        let other = Change {
            audience: Some("b".into()),
            token_lifetime: Some(TokenLifetime::MAX),
            ..same
        };
        let told: Vec<_> = differences(&full(), &other)
            .iter()
            .map(|it| (it.field, it.before(), it.after()))
            .collect();
        assert_eq!(
            told,
            [
                ("audience", Some("a".into()), Some("b".into())),
                ("tokenLifetimeMinutes", Some(60.into()), Some(1440.into())),
            ]
        );
    }

    #[test]
    fn what_is_secret_in_a_url_is_not_told_and_that_it_differs_is() {
        let change = Change {
            url: Some("https://u:canary@h.example/p?q=canary2".into()),
            ..Change::default()
        };
        let differences = differences(&full(), &change);
        let [url] = differences.as_slice() else {
            panic!("{differences:?}");
        };
        assert!(url.is_hidden());
        assert_eq!(url.after(), Some("https://***@h.example/p?***".into()));
        assert!(!format!("{:?}", summary(&full())).contains("canary"));
    }

    #[test]
    fn a_status_differs_by_its_message_too() {
        let disable = |message: &str| Change {
            status: Some(Delivery::Disabled {
                error_message: message.into(),
            }),
            ..Change::default()
        };
        let fields = |source: &DataSource, change: &Change| {
            let differences = differences(source, change);
            differences.iter().map(|it| it.field).collect::<Vec<_>>()
        };
        let disabled = source(json!({ "status": "disabled", "errorMessage": "m" }));
        assert_eq!(fields(&full(), &disable("m")), ["status", "errorMessage"]);
        assert_eq!(fields(&disabled, &disable("m")), [""; 0]);
        assert_eq!(fields(&disabled, &disable("n")), ["errorMessage"]);
        let enable = Change {
            status: Some(Delivery::Active),
            ..Change::default()
        };
        assert_eq!(fields(&disabled, &enable), ["status", "errorMessage"]);
        assert_eq!(fields(&source(json!({})), &enable), ["status"]);
    }
}

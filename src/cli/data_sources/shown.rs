//! Values of Webex's as they may be shown, on a terminal and to a program. Pure.

use serde_json::{Map, Value};

use crate::sources::masked::masked_value;
use crate::token::tamed;

/// The fewest characters that an id is abbreviated to.
const SHORTEST_ID: usize = 8;

/// What is shown for a value that Webex does not tell.
pub(super) const NOTHING: &str = "-";

/// The fields of a data source, or what its JWS says.
pub(super) fn fields(fields: &Map<String, Value>) -> Map<String, Value> {
    let shown = fields
        .iter()
        .map(|(name, field)| (name.clone(), value(name, field)));
    shown.collect()
}

/// The value of a field of this name.
pub(super) fn value(name: &str, value: &Value) -> Value {
    match name {
        // They open nothing, and whoever has a receiver finds them there.
        "nonce" | "jti" | "kid" => masked_value("id", value),
        _ => masked_value(name, value),
    }
}

/// The same as a text in one line.
pub(super) fn text(name: &str, value: &Value) -> String {
    let text = match self::value(name, value) {
        Value::String(text) => text,
        other => other.to_string(),
    };
    tamed(&text).trim().to_owned()
}

/// How many characters tell each of these ids from the others, and no fewer than eight.
pub(super) fn id_len<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    let in_common = |pair: &[&str]| {
        let pairs = pair[0].bytes().zip(pair[1].bytes());
        pairs.take_while(|(one, other)| one == other).count()
    };
    let most = ids.windows(2).map(in_common).max();
    most.map_or(SHORTEST_ID, |most| SHORTEST_ID.max(most + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_abbreviated_as_far_as_they_stay_apart() {
        let len = |ids: &[&str]| id_len(ids.iter().copied());
        assert_eq!(len(&[]), 8);
        assert_eq!(len(&["0123456789"]), 8);
        assert_eq!(len(&["0123456789", "f123456789"]), 8);
        assert_eq!(len(&["0123456789", "f123456789", "01234567a9"]), 9);
        assert_eq!(len(&["0123456789", "0123456789"]), 8);
    }
}

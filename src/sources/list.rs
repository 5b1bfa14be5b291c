//! A page of a list, `{"items":[…]}`, read one item at a time. Pure.

use std::marker::PhantomData;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A page that is no list of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAList;

/// Hands each item of `page` to `take`, so that ten thousand are never held at once by this.
pub(super) fn each(page: &[u8], take: impl FnMut(Map<String, Value>)) -> Result<(), NotAList> {
    let mut json = serde_json::Deserializer::from_slice(page);
    // No text of the error: it quotes the offending value.
    let page = Page { take };
    page.deserialize(&mut json).map_err(|_| NotAList)?;
    json.end().map_err(|_| NotAList)
}

struct Page<F> {
    take: F,
}

impl<'de, F: FnMut(Map<String, Value>)> DeserializeSeed<'de> for Page<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Map<String, Value>)> Visitor<'de> for Page<F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with items")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut page: A) -> Result<(), A::Error> {
        let mut has_items = false;
        while let Some(key) = page.next_key::<String>()? {
            if key == "items" {
                has_items = true;
                page.next_value_seed(Items {
                    take: &mut self.take,
                    item: PhantomData,
                })?;
            } else {
                page.next_value::<IgnoredAny>()?;
            }
        }
        if has_items {
            Ok(())
        } else {
            Err(A::Error::missing_field("items"))
        }
    }
}

struct Items<'a, F> {
    take: &'a mut F,
    item: PhantomData<Map<String, Value>>,
}

impl<'de, F: FnMut(Map<String, Value>)> DeserializeSeed<'de> for Items<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Map<String, Value>)> Visitor<'de> for Items<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            // What cannot be read is still an item, of which nothing is known.
            (self.take)(serde_json::from_str(item.get()).unwrap_or_default());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(page: &str) -> Result<Vec<String>, NotAList> {
        let mut ids = Vec::new();
        each(page.as_bytes(), |item| ids.push(item["id"].to_string()))?;
        Ok(ids)
    }

    #[test]
    fn items_come_one_by_one() {
        let page = r#"{"count": 2, "items": [{"id": 1, "x": {}}, {"id": 2}], "more": [1]}"#;
        assert_eq!(ids(page), Ok(vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(ids(r#"{"items": []}"#), Ok(vec![]));
    }

    #[test]
    fn an_item_that_cannot_be_read_spoils_no_other() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let odd = [
            "null",
            "7",
            "\"x\"",
            "[]",
            r#"{"a": "\ud800"}"#,
            r#"{"a": 1e400}"#,
        ];
        for item in odd.into_iter().chain([deep.as_str()]) {
            let page = format!(r#"{{"items": [{item}, {{"id": 1}}]}}"#);
            let mut ids = Vec::new();
            each(page.as_bytes(), |item| ids.push(item.get("id").cloned())).expect("a list");
            assert_eq!(ids, [None, Some(1.into())], "{item}");
        }
    }

    #[test]
    fn everything_else_is_no_list() {
        for page in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"items": null}"#,
            r#"{"items": {}}"#,
            r#"{"items": []} x"#,
            r#"{"items": [{"id": 1}"#,
            "<html>",
        ] {
            assert_eq!(ids(page), Err(NotAList), "{page}");
        }
    }
}

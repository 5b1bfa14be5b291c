//! A page of a list, `{"items":[…]}`, read one item at a time. Pure.

use std::marker::PhantomData;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The largest object that is read, in bytes: a data source has about 1,300. Read, it takes up to
/// eighty times as much memory.
pub(super) const MOST_OF_AN_OBJECT: usize = 1024 * 1024;

/// A page that is no list of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAList;

/// Hands each item of `page` to `take`, so that ten thousand are never held at once by this. It ends
/// as if there were no list when `take` wants no more.
pub(super) fn each(
    page: &[u8],
    take: impl FnMut(Map<String, Value>) -> bool,
) -> Result<(), NotAList> {
    let mut json = serde_json::Deserializer::from_slice(page);
    // No text of the error: it quotes the offending value.
    let page = Page { take };
    page.deserialize(&mut json).map_err(|_| NotAList)?;
    json.end().map_err(|_| NotAList)
}

struct Page<F> {
    take: F,
}

impl<'de, F: FnMut(Map<String, Value>) -> bool> DeserializeSeed<'de> for Page<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Map<String, Value>) -> bool> Visitor<'de> for Page<F> {
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

impl<'de, F: FnMut(Map<String, Value>) -> bool> DeserializeSeed<'de> for Items<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Map<String, Value>) -> bool> Visitor<'de> for Items<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            // What cannot be read is still an item, of which nothing is known.
            let item = Some(item.get()).filter(|item| item.len() <= MOST_OF_AN_OBJECT);
            let item = item.and_then(|item| serde_json::from_str(item).ok());
            if !(self.take)(item.unwrap_or_default()) {
                return Err(A::Error::custom("no more is wanted"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(page: &str) -> Result<Vec<String>, NotAList> {
        let mut ids = Vec::new();
        each(page.as_bytes(), |item| {
            ids.push(item["id"].to_string());
            true
        })?;
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
        let large = format!(r#"{{"id": 2, "a": "{}"}}"#, "a".repeat(MOST_OF_AN_OBJECT));
        for item in odd.into_iter().chain([deep.as_str(), large.as_str()]) {
            let page = format!(r#"{{"items": [{item}, {{"id": 1}}]}}"#);
            let mut ids = Vec::new();
            let read = each(page.as_bytes(), |item| {
                ids.push(item.get("id").cloned());
                true
            });
            assert_eq!(read, Ok(()));
            assert_eq!(ids, [None, Some(1.into())], "{item}");
        }
    }

    #[test]
    fn no_more_is_read_than_is_wanted() {
        let mut count = 0;
        let read = each(b"{\"items\": [{}, {}, {}]}", |_| {
            count += 1;
            count < 2
        });
        assert_eq!((read, count), (Err(NotAList), 2));
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

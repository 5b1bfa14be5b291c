//! Setting a string in the text of a JSON file, every other byte left as it is.
//!
//! Reading such a file into values and writing it out again loses what people put there: the order
//! of keys, indentation, number spellings, escapes, keys written twice. So the text itself is
//! edited. `serde_json` judges first whether it is JSON at all; after that a scanner only has to find
//! where values begin and end, and may rely on the text being well-formed. What came of an edit is
//! parsed again and compared before it is returned: it differs at the one value, nowhere else.
//!
//! Of a key written twice JSON readers take the last; every value at the path is set, and what is
//! missing goes into the last object. A parent that is `null` counts as missing. A text without
//! content counts as `{}`.
//!
//! Errors give line and column and never quote the text, which holds secrets. There is no I/O here,
//! and no removal: nothing in these files is ever taken out.

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

use std::ops::Range;

use serde_json::Value;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Why a JSON text cannot be edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct JsonError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in bytes, counted from 1; 0 where the line before it ends too early.
    pub column: usize,
    /// What is wrong there.
    pub problem: JsonProblem,
}

/// What is wrong with a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonProblem {
    /// The text is not JSON.
    #[error("this is not JSON")]
    NotJson,
    /// There must be an object here to hold the key.
    #[error("an object in braces is expected here")]
    NotAnObject,
    /// An object or an array stands where a text belongs.
    #[error("a text in quotes is expected here")]
    NotText,
    /// The edited text is not what it should be; the original is to be kept.
    #[error("the value cannot be set without changing anything else")]
    Unverified,
}

/// Judges whether the text is JSON.
///
/// # Errors
///
/// It is not; line and column say where that shows.
pub fn check(text: &str) -> Result<(), JsonError> {
    parsed(body(text)).map(drop)
}

/// The text with `value` as the string at `path`.
///
/// A new key goes to the end of its object, in the style of its neighbours; objects that are missing
/// on the way are created.
///
/// # Errors
///
/// The text is not JSON; something that is no object stands on the way; or an object or an array
/// stands at the path.
pub fn set(text: &str, path: &[&str], value: &str) -> Result<String, JsonError> {
    let (mark, body) = text.split_at(text.len() - body(text).len());
    let before = parsed(body)?;
    let base = if is_blank(body) { "{}\n" } else { body };
    let mut edits = Vec::new();
    let root = Scanner { text: base }.root();
    let style = Style::of(base, root.clone());
    style.set_in(root, path, value, true, &mut edits)?;
    edits.sort_by_key(|(range, _)| range.start);
    let mut edited = base.to_owned();
    for (range, replacement) in edits.into_iter().rev() {
        edited.replace_range(range, &replacement);
    }
    let expected = with(before, path, value);
    if parsed(&edited).ok() == Some(expected) {
        Ok(format!("{mark}{edited}"))
    } else {
        Err(error_at(base, 0, JsonProblem::Unverified))
    }
}

/// The line of the last key at `path`, counted from 1; for the empty path that of the outermost
/// value. Nothing if there is none, or if the text is not JSON.
#[must_use]
pub fn line_of(text: &str, path: &[&str]) -> Option<usize> {
    let body = body(text);
    if is_blank(body) {
        return None;
    }
    parsed(body).ok()?;
    let scanner = Scanner { text: body };
    let mut value = scanner.root();
    let mut start = value.start;
    for key in path {
        let members = scanner.members(value)?;
        let member = members.into_iter().rfind(|member| member.name == *key)?;
        start = member.key.start;
        value = member.value;
    }
    Some(line_at(body, start))
}

fn parsed(body: &str) -> Result<Value, JsonError> {
    if is_blank(body) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_str(body).map_err(|error| JsonError {
        line: error.line(),
        column: error.column(),
        problem: JsonProblem::NotJson,
    })
}

/// What the text is to mean after the edit.
fn with(before: Value, path: &[&str], value: &str) -> Value {
    let Some((key, rest)) = path.split_first() else {
        return Value::from(value);
    };
    let mut object = match before {
        Value::Object(object) => object,
        _ => serde_json::Map::new(),
    };
    let inner = object.remove(*key).unwrap_or(Value::Null);
    object.insert((*key).to_owned(), with(inner, rest, value));
    Value::Object(object)
}

/// A key and its value in the text of an object.
struct Member {
    name: String,
    key: Range<usize>,
    value: Range<usize>,
}

/// Finds the extent of values in a text that is known to be JSON.
#[derive(Clone, Copy)]
struct Scanner<'a> {
    text: &'a str,
}

impl Scanner<'_> {
    fn root(self) -> Range<usize> {
        let start = self.after_blank(0);
        start..self.value_end(start)
    }

    /// The members of the object at `value`; nothing if it is no object.
    fn members(self, value: Range<usize>) -> Option<Vec<Member>> {
        self.text[value.clone()].starts_with('{').then_some(())?;
        let mut members = Vec::new();
        let mut at = self.after_blank(value.start + 1);
        while !self.text[at..].starts_with('}') {
            let key = at..self.string_end(at);
            let colon = self.after_blank(key.end);
            let start = self.after_blank(colon + 1);
            let value = start..self.value_end(start);
            at = self.after_blank(value.end);
            if self.text[at..].starts_with(',') {
                at = self.after_blank(at + 1);
            }
            let name = serde_json::from_str(&self.text[key.clone()]).ok()?;
            members.push(Member { name, key, value });
        }
        Some(members)
    }

    fn after_blank(self, at: usize) -> usize {
        let length = self.text[at..].find(|c| !is_json_space(c));
        length.map_or(self.text.len(), |length| at + length)
    }

    fn value_end(self, start: usize) -> usize {
        let rest = &self.text[start..];
        if rest.starts_with('"') {
            self.string_end(start)
        } else if rest.starts_with(['{', '[']) {
            self.nested_end(start)
        } else {
            let length = rest.find(|c| is_json_space(c) || matches!(c, ',' | '}' | ']'));
            length.map_or(self.text.len(), |length| start + length)
        }
    }

    fn nested_end(self, start: usize) -> usize {
        let mut depth = 0;
        let mut at = start;
        while let Some(length) = self.text[at..].find(['"', '{', '}', '[', ']']) {
            at += length;
            match self.text.as_bytes()[at] {
                b'"' => {
                    at = self.string_end(at);
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth -= 1,
            }
            at += 1;
            if depth == 0 {
                return at;
            }
        }
        self.text.len()
    }

    fn string_end(self, start: usize) -> usize {
        let mut is_escaped = false;
        let is_closing = |c| {
            let is_closing = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_closing
        };
        let length = self.text[start + 1..].find(is_closing);
        length.map_or(self.text.len(), |length| start + 1 + length + 1)
    }
}

/// How a text is laid out.
struct Style<'a> {
    scanner: Scanner<'a>,
    line_ending: &'static str,
    /// What one more level adds to the indentation.
    unit: &'a str,
    /// Whether objects that are created have a line for each key.
    is_tall: bool,
    /// Between key and value.
    colon: &'a str,
}

impl<'a> Style<'a> {
    fn of(text: &'a str, root: Range<usize>) -> Self {
        let scanner = Scanner { text };
        let members = scanner.members(root.clone()).unwrap_or_default();
        let first = members.first();
        let indentation =
            first.and_then(|member| indentation(&text[root.start + 1..member.key.start]));
        let line_ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self {
            scanner,
            line_ending,
            unit: indentation.filter(|unit| !unit.is_empty()).unwrap_or("  "),
            is_tall: members.is_empty() || text[root].contains('\n'),
            colon: first.map_or(": ", |member| &text[member.key.end..member.value.start]),
        }
    }

    /// Collects what to replace so that the object at `object` holds `value` at `path`. Only where
    /// it `must` is something created.
    fn set_in(
        &self,
        object: Range<usize>,
        path: &[&str],
        value: &str,
        must: bool,
        edits: &mut Vec<(Range<usize>, String)>,
    ) -> Result<(), JsonError> {
        let text = self.scanner.text;
        let not_an_object = |at: usize| error_at(text, at, JsonProblem::NotAnObject);
        let (Some((key, rest)), Some(members)) =
            (path.split_first(), self.scanner.members(object.clone()))
        else {
            return if must {
                Err(not_an_object(object.start))
            } else {
                Ok(())
            };
        };
        let mut is_last = true;
        for member in members.iter().rev().filter(|member| member.name == *key) {
            let must = must && std::mem::take(&mut is_last);
            let old = &text[member.value.clone()];
            if rest.is_empty() {
                if old.starts_with(['{', '[']) {
                    return Err(error_at(text, member.value.start, JsonProblem::NotText));
                }
                edits.push((member.value.clone(), quoted(value)));
            } else if old == "null" && must {
                let indentation = self.indentation_at(member.key.start);
                edits.push((
                    member.value.clone(),
                    self.nested(rest, value, Some(indentation)),
                ));
            } else {
                self.set_in(member.value.clone(), rest, value, must, edits)?;
            }
        }
        if must && is_last {
            edits.push(if let Some(last) = members.last() {
                self.insertion(object, &members, last, path, value)
            } else {
                let indentation = self.indentation_at(object.start);
                (object, self.nested(path, value, Some(indentation)))
            });
        }
        Ok(())
    }

    /// A new member after the last one, laid out like it.
    fn insertion(
        &self,
        object: Range<usize>,
        members: &[Member],
        last: &Member,
        path: &[&str],
        value: &str,
    ) -> (Range<usize>, String) {
        let text = self.scanner.text;
        let colon = &text[last.key.end..last.value.start];
        let gap = match members {
            [.., previous, _] => text[previous.value.end..last.key.start]
                .trim_start_matches(is_json_space)
                .trim_start_matches(','),
            _ => &text[object.start + 1..last.key.start],
        };
        let (gap, indentation) = match indentation(gap) {
            Some(indentation) => (
                format!("{}{indentation}", self.line_ending),
                Some(indentation),
            ),
            None if gap.is_empty() && colon.ends_with(is_json_space) => (" ".to_owned(), None),
            None => (gap.to_owned(), None),
        };
        let member = self.member(path, value, colon, indentation);
        (last.value.end..last.value.end, format!(",{gap}{member}"))
    }

    /// A new object for what is left of the path, on a line that starts with `indentation`; without
    /// one, on a single line.
    fn nested(&self, path: &[&str], value: &str, indentation: Option<&str>) -> String {
        match indentation.filter(|_| self.is_tall) {
            Some(outer) => {
                let inner = format!("{outer}{}", self.unit);
                let member = self.member(path, value, self.colon, Some(&inner));
                let line_ending = self.line_ending;
                format!("{{{line_ending}{inner}{member}{line_ending}{outer}}}")
            }
            None => format!("{{{}}}", self.member(path, value, self.colon, None)),
        }
    }

    fn member(&self, path: &[&str], value: &str, colon: &str, indentation: Option<&str>) -> String {
        match path {
            [] => quoted(value),
            [key] => format!("{}{colon}{}", quoted(key), quoted(value)),
            [key, rest @ ..] => {
                let nested = self.nested(rest, value, indentation);
                format!("{}{colon}{nested}", quoted(key))
            }
        }
    }

    /// The indentation of the line that `at` is on.
    fn indentation_at(&self, at: usize) -> &'a str {
        let text = self.scanner.text;
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let length = text[line..at]
            .find(|c| !is_json_space(c))
            .unwrap_or(at - line);
        &text[line..line + length]
    }
}

/// The indentation of what follows `gap`, if it is on a line of its own.
fn indentation(gap: &str) -> Option<&str> {
    gap.rfind('\n').map(|end| &gap[end + 1..])
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn is_json_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_blank(body: &str) -> bool {
    body.chars().all(char::is_whitespace)
}

/// The text without its byte order mark.
fn body(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

fn error_at(text: &str, offset: usize, problem: JsonProblem) -> JsonError {
    let before = &text[..offset];
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    JsonError {
        line: line_at(text, offset),
        column: offset - line + 1,
        problem,
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text[..offset].matches('\n').count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &[&str] = &["tokenManager", "token"];

    #[test]
    fn a_value_is_set_and_nothing_else_changes() {
        let table = [
            (
                "{\n  \"tokenManager\": {\n    \"token\": \"old\",\n    \"n\": 1.50e+2\n  }\n}\n",
                "{\n  \"tokenManager\": {\n    \"token\": \"new\",\n    \"n\": 1.50e+2\n  }\n}\n",
            ),
            (
                "\u{feff}{\r\n\t\"a\" : [1,{}],\r\n\t\"tokenManager\" : {\r\n\t\t\"x\" : null\r\n\t}\r\n}",
                "\u{feff}{\r\n\t\"a\" : [1,{}],\r\n\t\"tokenManager\" : {\r\n\t\t\"x\" : null,\r\n\t\t\"token\" : \"new\"\r\n\t}\r\n}",
            ),
            (
                "{\"tokenManager\":{\"token\":1},\"tokenManager\":{\"token\":null}}",
                "{\"tokenManager\":{\"token\":\"new\"},\"tokenManager\":{\"token\":\"new\"}}",
            ),
            (
                "{\"tokenManager\":{\"token\":1},\"tokenManager\":{}}",
                "{\"tokenManager\":{\"token\":\"new\"},\"tokenManager\":{\"token\":\"new\"}}",
            ),
            (
                "{\"tokenManager\":7,\"tokenManager\":{\"a\":\"}\\\"\"}}",
                "{\"tokenManager\":7,\"tokenManager\":{\"a\":\"}\\\"\",\"token\":\"new\"}}",
            ),
            (
                "{\"tokenManager\":{\"tok\\u0065n\":\"old\",\"token\\n\":\"x\"}}",
                "{\"tokenManager\":{\"tok\\u0065n\":\"new\",\"token\\n\":\"x\"}}",
            ),
            (
                "{ \"a\": 1 }",
                "{ \"a\": 1, \"tokenManager\": {\"token\": \"new\"} }",
            ),
            (
                "{\"a\": 1}",
                "{\"a\": 1, \"tokenManager\": {\"token\": \"new\"}}",
            ),
            (
                "{\n    \"a\": 1,\n\n    \"b\": 2\n}",
                "{\n    \"a\": 1,\n\n    \"b\": 2,\n    \"tokenManager\": {\n        \"token\": \"new\"\n    }\n}",
            ),
            (
                "{\n  \"tokenManager\": null\n}",
                "{\n  \"tokenManager\": {\n    \"token\": \"new\"\n  }\n}",
            ),
            (
                "{\n  \"tokenManager\": {\n  }\n}",
                "{\n  \"tokenManager\": {\n    \"token\": \"new\"\n  }\n}",
            ),
            (
                "",
                "{\n  \"tokenManager\": {\n    \"token\": \"new\"\n  }\n}\n",
            ),
            (
                " \n ",
                "{\n  \"tokenManager\": {\n    \"token\": \"new\"\n  }\n}\n",
            ),
            (
                "{}",
                "{\n  \"tokenManager\": {\n    \"token\": \"new\"\n  }\n}",
            ),
        ];
        for (before, after) in table {
            assert_eq!(set(before, TOKEN, "new").as_deref(), Ok(after), "{before}");
        }
    }

    #[test]
    fn what_cannot_be_edited_is_refused_with_its_place() {
        let table = [
            ("{\n \"a\": secret\n}", 2, JsonProblem::NotJson),
            ("[1]", 1, JsonProblem::NotAnObject),
            ("\"secret\"", 1, JsonProblem::NotAnObject),
            (
                "{\n\"a\": 1,\n\"tokenManager\": \"secret\"}",
                3,
                JsonProblem::NotAnObject,
            ),
            (
                "{\"tokenManager\": {\n\"token\": {\"secret\": 1}}}",
                2,
                JsonProblem::NotText,
            ),
        ];
        for (text, line, problem) in table {
            let error = set(text, TOKEN, "new").expect_err(text);
            assert_eq!((error.line, error.problem), (line, problem), "{text}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
        assert_eq!(check("{\"a\":}").map_err(|error| error.column), Err(6));
        assert_eq!(check("\u{feff}{}"), Ok(()));
    }

    #[test]
    fn a_key_is_found_on_its_line() {
        let text = "\u{feff}\n{\"a\": 1,\n\"tokenManager\": {\"b\": \"\\\"token\\\":\",\n\"token\": 1,\n\"token\": 2}}";
        assert_eq!(line_of(text, &["a"]), Some(2));
        assert_eq!(line_of(text, TOKEN), Some(5));
        assert_eq!(line_of(text, &["token"]), None);
        assert_eq!(line_of(text, &["a", "b"]), None);
        assert_eq!(line_of("\n[]", &[]), Some(2));
        assert_eq!(line_of("{", &[]), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        let name = prop_oneof![
            Just("tokenManager".to_owned()),
            Just("token".to_owned()),
            any::<String>()
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        prop::collection::vec((prop_oneof!["tokenManager", "[a-c]"], json()), 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn any_object_takes_any_value(object in object(), value: String, is_tall: bool) {
            let text = if is_tall {
                serde_json::to_string_pretty(&object).expect("valid")
            } else {
                object.to_string()
            };
            let has_room = object.get("tokenManager").is_none_or(|inner| {
                let is_text = inner.get("token").is_none_or(|token| !token.is_object() && !token.is_array());
                inner.is_null() || inner.is_object() && is_text
            });
            let edited = set(&text, TOKEN, &value);
            prop_assert_eq!(edited.is_ok(), has_room);
            if let Ok(edited) = edited {
                let expected = with(object, TOKEN, &value);
                prop_assert_eq!(serde_json::from_str::<Value>(&edited).expect("valid"), expected);
                prop_assert_eq!(set(&edited, TOKEN, &value), Ok(edited.clone()));
                prop_assert!(line_of(&edited, TOKEN).is_some());
            }
        }

        #[test]
        fn every_other_byte_stays(object in object(), old: String, new: String) {
            let text = set(&object.to_string(), &["token"], &old).expect("valid");
            let edited = set(&text, &["token"], &new).expect("valid");
            let (old, new) = (quoted(&old), quoted(&new));
            let (before, after) = text.rsplit_once(&format!("\"token\":{old}")).or(text.rsplit_once(&format!("\"token\": {old}"))).expect("valid");
            prop_assert!(edited.starts_with(before));
            prop_assert!(edited.ends_with(after));
            prop_assert!(edited.len() <= before.len() + after.len() + new.len() + 9);
        }

        #[test]
        fn nothing_panics(text in "[\\[\\]{}:,\" \n\\\\untokeM0-9.]{0,24}|\\PC*", value: String) {
            let _ = check(&text);
            let _ = set(&text, TOKEN, &value);
            let _ = line_of(&text, TOKEN);
        }
    }
}

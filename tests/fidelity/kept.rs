//! Whether an edit kept every byte that is not ours, judged without the editor's own parser: both
//! texts are walked side by side, and where they part, one must have our key and its old value where
//! the other has the same key and its new one.

use crate::support::FLAG_KEY;

const MARK: char = '\u{feff}';

/// A value and the forms it may be written in.
pub(crate) struct Written {
    pub(crate) value: String,
    forms: Vec<String>,
}

impl Written {
    pub(crate) fn new(value: &str, forms: &[&str]) -> Self {
        Self {
            value: value.to_owned(),
            forms: forms.iter().map(|&form| form.to_owned()).collect(),
        }
    }

    /// A value that needs no quotes.
    pub(crate) fn bare(value: &str) -> Self {
        Self::new(value, &[value])
    }
}

/// Whether `after` is `before` with these keys set, an absent one added at the end, and, if
/// `is_flag_down`, every line of the flag removed. If not, what is wrong with it.
pub(crate) fn is_kept(
    before: &str,
    after: &str,
    set: &[(&str, &Written)],
    is_flag_down: bool,
) -> Result<(), String> {
    let mut missing: Vec<&str> = set.iter().map(|&(key, _)| key).collect();
    let mut texts = match (before.strip_prefix(MARK), after.strip_prefix(MARK)) {
        (Some(old), Some(new)) => (old, new),
        (None, None) => (before, after),
        _ => return Err("the byte order mark is not as it was".to_owned()),
    };
    while texts != ("", "") {
        let (old, new) = texts;
        let assigned = set.iter().find_map(|&(key, written)| {
            let tail = written_tail(new, key, written)?;
            (old.is_empty() || value_of(old, key).is_some()).then_some((key, tail))
        });
        let flag = value_of(old, FLAG_KEY).filter(|_| is_flag_down);
        texts = if let Some((key, tail)) = assigned {
            missing.retain(|&other| other != key);
            match value_of(old, key) {
                Some(value) => replaced(old, value, new, tail, key)?,
                None => appended(tail).ok_or_else(|| format!("more than {key} was added"))?,
            }
        } else if let Some(rest) = gained(old, new) {
            ("", rest)
        } else if !old.is_empty() && body(old) == body(new) {
            let length = body(old).len();
            ends(&old[length..], &new[length..])
                .ok_or_else(|| format!("the end of {:?} has changed", body(old)))?
        } else if let Some(value) = flag {
            let rest = &value[assignment_end(value)..];
            (&rest[line_end(rest).len()..], new)
        } else {
            return Err(format!("{:?} became {:?}", body(old), body(new)));
        };
    }
    match missing.first() {
        Some(key) => Err(format!("{key} is not written")),
        None => Ok(()),
    }
}

/// What follows a line that was added, if nothing but a comment sign and a line ending is in between.
fn appended(tail: &str) -> Option<(&str, &str)> {
    let tail = tail.strip_prefix(" #").unwrap_or(tail);
    let end = line_end(tail);
    (!end.is_empty() || tail.is_empty()).then(|| ("", &tail[end.len()..]))
}

/// What is added after a last line without a line feed, which has gained one.
fn gained<'a>(old: &str, new: &'a str) -> Option<&'a str> {
    let added = new.strip_prefix(old)?.strip_prefix('\n')?;
    (!old.contains('\n') && !added.is_empty()).then_some(added)
}

/// What follows a line in both texts. A last line loses its line feed where nothing but the flag
/// stood after it.
fn ends<'a>(old: &'a str, new: &'a str) -> Option<(&'a str, &'a str)> {
    let end = line_end(old);
    let old_rest = &old[end.len()..];
    if end == line_end(new) {
        Some((old_rest, &new[end.len()..]))
    } else if let Some(added) = gained(old, new) {
        Some(("", added))
    } else if new.is_empty() && end == "\n" && value_of(old_rest, FLAG_KEY).is_some() {
        Some((old_rest, ""))
    } else {
        None
    }
}

/// What follows the new value, if `text` begins with a line that gives it to `key`.
fn written_tail<'a>(text: &'a str, key: &str, written: &Written) -> Option<&'a str> {
    let rest = after_lead(text).strip_prefix(key)?.strip_prefix('=')?;
    let tail_after = |form: &String| {
        let tail = rest.strip_prefix(form.as_str())?;
        let is_over = tail.is_empty() || tail.starts_with(['\r', '\n', ' ', '\t']);
        is_over.then_some(tail)
    };
    // The longest form that fits, because one of them is the empty one.
    written.forms.iter().rev().find_map(tail_after)
}

/// What follows `=`, if `text` begins with a line that assigns to `key`.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let rest = after_lead(text).strip_prefix(key)?;
    rest.trim_start_matches([' ', '\t']).strip_prefix('=')
}

/// The rests of both texts after an assignment whose value was replaced.
fn replaced<'a>(
    old: &'a str,
    value: &'a str,
    new: &'a str,
    tail: &'a str,
    key: &str,
) -> Result<(&'a str, &'a str), String> {
    let lead = |text: &str| text.len() - after_lead(text).len();
    if old[..lead(old)] != new[..lead(new)] {
        return Err(format!("what stood before {key} has changed"));
    }
    let tail_line = body(tail);
    let new_rest = &tail[tail_line.len()..];
    let mut end = assignment_end(value);
    if end == value.len() && new_rest.starts_with('\r') {
        // A carriage return at the very end is a part of a line ending once a line follows.
        end = value.trim_end_matches('\r').len();
    }
    let (value, rest) = value.split_at(end);
    let is_cr_lf = rest.starts_with("\r\n");
    let expected = comment(value);
    let is_kept = match expected {
        Some("") if is_cr_lf => tail_line == " #",
        Some(comment) if comment.starts_with('#') => tail_line.strip_prefix(' ') == Some(comment),
        Some(comment) => tail_line == comment,
        None if value.starts_with('#') => tail_line.strip_prefix(' ') == Some(value),
        None => value.ends_with(tail_line) || (is_cr_lf && tail_line == " #"),
    };
    if !is_kept {
        return Err(format!(
            "the comment after {key} was {expected:?}, is {tail_line:?}"
        ));
    }
    ends(rest, new_rest).ok_or_else(|| format!("the line ending of {key} has changed"))
}

/// The comment of an assignment with the blanks before it; nothing where nobody can tell, because
/// quotes stand inside the value.
fn comment(value: &str) -> Option<&str> {
    let inner = value.trim_start_matches([' ', '\t']);
    let after = match quoted_length(inner) {
        Some(length) => &inner[length..],
        None if inner.contains(['"', '\'', '\\']) => return None,
        None => value,
    };
    let is_comment = |&(index, _): &(usize, &str)| {
        let before = &after[..index];
        before.ends_with([' ', '\t']) || (before.is_empty() && quoted_length(inner).is_none())
    };
    match after.match_indices('#').find(is_comment) {
        Some((index, _)) if after[..index].contains(['"', '\'']) => None,
        Some((index, _)) => Some(&after[after[..index].trim_end_matches([' ', '\t']).len()..]),
        None if after.contains(['"', '\'', '\\']) => None,
        None => Some(""),
    }
}

/// The length of what belongs to an assignment after its `=`, up to its line ending.
fn assignment_end(value: &str) -> usize {
    let blank = value.len() - value.trim_start_matches([' ', '\t']).len();
    let quoted = quoted_length(&value[blank..]).unwrap_or(0);
    let from = blank + quoted;
    from + body(&value[from..]).len()
}

/// The length of what `text` begins with in quotes.
fn quoted_length(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut is_escaped = false;
    let length = text[1..].find(|c| {
        let is_closing = c == quote && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_closing
    })?;
    Some(length + 2)
}

/// `text` after indentation and `export`.
fn after_lead(text: &str) -> &str {
    let unindented = text.trim_start_matches([' ', '\t']);
    match unindented.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start_matches([' ', '\t']),
        _ => unindented,
    }
}

/// The first line without its line ending.
fn body(text: &str) -> &str {
    let line = text.split('\n').next().unwrap_or("");
    let is_ended = line.len() < text.len();
    line.strip_suffix('\r').filter(|_| is_ended).unwrap_or(line)
}

/// The line ending that `text` begins with.
fn line_end(text: &str) -> &str {
    let ends = ["\r\n", "\n"];
    ends.into_iter()
        .find(|end| text.starts_with(end))
        .unwrap_or("")
}

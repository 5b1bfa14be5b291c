//! What must hold of an edit, whatever the text and the values were.
//!
//! The value that each reader has of our own lines is decoded here once more, after the sources of
//! the readers and apart from `notation`.

use super::{Edit, Views, decoded, decoded_as_is, readers};

/// One line of ours, as the text holds it.
struct Piece<'a> {
    key: &'a str,
    /// From the beginning of its first line to its name's end.
    head: &'a str,
    /// From there to the end of its last line.
    tail: &'a str,
    start: usize,
    /// After the line ending.
    end: usize,
}

/// Panics unless `after` is `before` with these edits, to every reader and in every byte.
pub(crate) fn assert_edited(before: &str, after: &str, edits: &[(&str, Edit<'_>)]) {
    let keys: Vec<_> = edits.iter().map(|&(key, _)| key).collect();
    let (old, new) = (Views::of(before), Views::of(after));
    assert_read_by_all(&new, edits);
    assert_others_kept(&old, &new, &keys);
    assert_bytes_kept(before, after, edits);
}

fn assert_read_by_all(views: &Views<'_>, edits: &[(&str, Edit<'_>)]) {
    let text = views.text;
    let by_shell = &views.shell.sites;
    let by_dotenvy = decoded_as_is(text);
    for &(key, edit) in edits {
        let sees = |sites: &[readers::Site]| -> Vec<(usize, usize)> {
            let of_key = sites.iter().filter(|site| text[site.key.clone()] == *key);
            of_key.map(|site| (site.key.end, site.end)).collect()
        };
        let sites = sees(&views.dotenvy);
        assert_eq!(sites, sees(&views.python), "{key}: python-dotenv");
        assert_eq!(sites, sees(&views.npm), "{key}: npm dotenv");
        let in_shell = sees(by_shell);
        assert!(sites.starts_with(&in_shell), "{key}: bash");
        if views.shell.reach == super::Reach::All {
            assert_eq!(sites, in_shell, "{key}: bash");
        }
        let Edit::Set(value) = edit else {
            assert!(sites.is_empty(), "{key} is still there");
            continue;
        };
        assert!(!sites.is_empty(), "{key} is not there");
        let expected = Some(value.to_owned());
        let count = sites.len();
        for (start, end) in sites {
            let stands = &text[start..end];
            assert_eq!(as_python(stands), expected, "{key}: python-dotenv");
            assert_eq!(as_npm(stands), expected, "{key}: npm dotenv");
            // Only bash takes the carriage return for a part of the line.
            let line_ending = usize::from(text[end..].starts_with("\r\n"));
            let stands = &text[start..end + line_ending];
            assert_eq!(as_bash(stands), expected, "{key}: bash");
        }
        let by_dotenvy = by_dotenvy.iter().flatten();
        let by_dotenvy = by_dotenvy.filter(|(found, _)| found == key);
        let by_dotenvy: Vec<_> = by_dotenvy.map(|(_, found)| found.as_str()).collect();
        assert_eq!(by_dotenvy, vec![value; count], "{key}: dotenvy");
    }
}

fn assert_others_kept(old: &Views<'_>, new: &Views<'_>, keys: &[&str]) {
    let (was, is) = (old.others(keys), new.others(keys));
    for (reader, name) in ["dotenvy", "python-dotenv", "npm dotenv"]
        .iter()
        .enumerate()
    {
        assert_eq!(was[reader], is[reader], "other keys: {name}");
    }
    assert!(is[3].starts_with(&was[3]), "other keys: bash");
    if old.shell.reach == super::Reach::All {
        assert_eq!(was[3], is[3], "other keys: bash");
    }
    // Where nothing is substituted, no other value follows ours.
    if !old.text.contains('$') {
        let others = |text: &str| {
            let all = decoded(text).into_iter().flatten();
            all.filter(|(key, _)| !keys.contains(&key.as_str()))
                .collect::<Vec<_>>()
        };
        assert_eq!(others(old.text), others(new.text), "other values: dotenvy");
    }
}

/// What is left of both texts, once our values are taken out, is the same but for what was appended
/// and for the last line feed.
fn assert_bytes_kept(before: &str, after: &str, edits: &[(&str, Edit<'_>)]) {
    let keys: Vec<_> = edits.iter().map(|&(key, _)| key).collect();
    let is_set = |key: &str| {
        let last = edits.iter().rfind(|(other, _)| *other == key);
        matches!(last, Some((_, Edit::Set(_))))
    };
    let (old, new) = (pieces(before, &keys), pieces(after, &keys));
    let (was, is) = (
        skeleton(before, &old, is_set),
        skeleton(after, &new, is_set),
    );
    let trimmed = |text: &str| text.strip_suffix('\n').unwrap_or(text).to_owned();
    let is = trimmed(&is);
    let is_removed = old.iter().any(|piece| !is_set(piece.key));
    let was = trimmed(&was);
    // With the last line goes the line feed before it.
    let without_last = is_removed.then(|| trimmed(&was));
    let appended = is
        .strip_prefix(&was)
        .or_else(|| is.strip_prefix(&without_last?));
    let appended = appended.unwrap_or_else(|| panic!("other bytes: {was:?} became {is:?}"));
    let mut lines: Vec<_> = appended
        .split(['\r', '\n'])
        .filter(|line| !line.is_empty())
        .collect();
    let had = |key: &str| old.iter().any(|piece| piece.key == key);
    let mut absent: Vec<_> = keys
        .iter()
        .filter(|key| is_set(key) && !had(key))
        .map(|key| format!("{key}\0"))
        .collect();
    lines.sort_unstable();
    absent.sort_unstable();
    absent.dedup();
    assert_eq!(lines, absent, "what was appended");

    if !is_removed {
        let had_end = before.is_empty() || before.ends_with('\n');
        assert_eq!(
            had_end,
            after.is_empty() || after.ends_with('\n'),
            "the last line feed"
        );
    }
    for key in keys.iter().filter(|key| is_set(key)) {
        let was = old.iter().filter(|piece| piece.key == *key);
        let is = new.iter().filter(|piece| piece.key == *key);
        for (was, is) in was.zip(is) {
            let comment = plain_comment(was).unwrap_or_default();
            // A carriage return at the very end is a part of the line ending once a line follows.
            let comment = comment.trim_end_matches('\r');
            let tail = is.tail.trim_end_matches('\r');
            assert!(tail.ends_with(comment), "the comment behind {key}");
        }
    }
}

/// Where dotenvy sees these keys.
fn pieces<'a>(text: &'a str, keys: &[&str]) -> Vec<Piece<'a>> {
    let sites = readers::dotenvy(text).into_iter();
    let ours = sites.filter(|site| keys.contains(&&text[site.key.clone()]));
    let piece = |site: readers::Site| {
        let start = text[..site.key.start].rfind('\n').map_or(0, |end| end + 1);
        let line_end = text[site.end..].find('\n');
        Piece {
            key: &text[site.key.clone()],
            head: &text[start..site.key.end],
            tail: &text[site.key.end..site.end],
            start,
            end: line_end.map_or(text.len(), |length| site.end + length + 1),
        }
    };
    ours.map(piece).collect()
}

/// The text with NUL for each value that is set, without the lines of what is removed.
fn skeleton(text: &str, pieces: &[Piece<'_>], is_set: impl Fn(&str) -> bool) -> String {
    let mut bare = String::new();
    let mut copied = 0;
    for piece in pieces {
        bare += &text[copied..piece.start];
        if is_set(piece.key) {
            let line_ending = &text[piece.start + piece.head.len() + piece.tail.len()..piece.end];
            bare.extend([piece.head, "\0", line_ending]);
        }
        copied = piece.end;
    }
    bare + &text[copied..]
}

/// The comment behind a value that has nothing in it which could hide one.
fn plain_comment<'a>(piece: &Piece<'a>) -> Option<&'a str> {
    let is_hiding = |c| matches!(c, '"' | '\'' | '`' | '\\' | '\n' | '\r');
    let comment = piece.tail.find('#')?;
    let before = &piece.tail[..comment];
    let is_comment = before.ends_with([' ', '\t']) && !before.contains(is_hiding);
    is_comment.then(|| &piece.tail[comment..])
}

/// What python-dotenv makes of what stands behind a name (its `parser.py` and `variables.py`).
fn as_python(stands: &str) -> Option<String> {
    let stands = stands.strip_prefix('=')?.trim_start_matches([' ', '\t']);
    let value = if let Some(quote @ ('\'' | '"')) = stands.chars().next() {
        let (content, rest) = quoted(&stands[1..], quote)?;
        is_blank_or_comment(rest).then_some(())?;
        unescaped(content, quote == '"')?
    } else {
        let is_comment = |&(at, _): &(usize, &str)| stands[..at].ends_with([' ', '\t']);
        let comment = stands.match_indices('#').find(is_comment);
        let end = comment.map_or(stands.len(), |(at, _)| at);
        stands[..end].trim_end().to_owned()
    };
    let interpolates = value.split("${").skip(1).any(|rest| rest.contains('}'));
    (!interpolates && !value.contains('\r')).then_some(value)
}

fn unescaped(content: &str, is_double: bool) -> Option<String> {
    let mut value = String::new();
    let mut rest = content.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        match rest.next()? {
            escaped @ ('\\' | '\'') => value.push(escaped),
            '"' if is_double => value.push('"'),
            'n' if is_double => value.push('\n'),
            // None of the others is ever written.
            other if is_double && "abfrtv".contains(other) => return None,
            other => value.extend(['\\', other]),
        }
    }
    Some(value)
}

/// What npm dotenv makes of it (the expression `LINE` of its `main.js`).
fn as_npm(stands: &str) -> Option<String> {
    let stands = stands.strip_prefix('=')?.trim_start_matches([' ', '\t']);
    if let Some(quote @ ('\'' | '"' | '`')) = stands.chars().next() {
        let (content, rest) = quoted(&stands[1..], quote)?;
        is_blank_or_comment(rest).then_some(())?;
        let is_double = quote == '"';
        let changes = content.contains('\r') || is_double && content.contains(['\\']);
        return (!changes).then(|| content.to_owned());
    }
    let end = stands.find('#').unwrap_or(stands.len());
    Some(stands[..end].trim().to_owned())
}

/// What bash makes of it, which is to be one word.
fn as_bash(stands: &str) -> Option<String> {
    let stands = stands.strip_prefix('=')?;
    let (value, rest) = match stands.chars().next() {
        Some('\'') => {
            let (value, rest) = stands[1..].split_once('\'')?;
            (value.to_owned(), rest)
        }
        Some('"') => {
            let (value, rest) = stands[1..].split_once('"')?;
            let is_plain = !value.contains(['$', '`', '\\']);
            is_plain.then(|| (value.to_owned(), rest))?
        }
        _ => {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.~+/=:".contains(c);
            let end = stands.find(|c| !is_plain(c)).unwrap_or(stands.len());
            let (value, rest) = stands.split_at(end);
            let expands = value.starts_with('~') || value.contains(":~");
            (!expands).then(|| (value.to_owned(), rest))?
        }
    };
    let is_word = rest.is_empty() || rest.starts_with([' ', '\t']);
    (is_word && is_blank_or_comment(rest) && !value.contains('\0')).then_some(value)
}

/// What stands before the closing quote, which no backslash precedes, and what behind it.
fn quoted(text: &str, quote: char) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let closing = text.find(|c| {
        let is_closing = c == quote && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_closing
    })?;
    Some((&text[..closing], &text[closing + 1..]))
}

fn is_blank_or_comment(rest: &str) -> bool {
    let rest = rest.trim_start_matches([' ', '\t']);
    rest.is_empty() || rest.starts_with('#')
}

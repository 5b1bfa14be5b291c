//! What a person sees before a change is made: what is to be different, or what is to go.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use serde_json::{Map, Value};

use super::table::{Fit, wide};
use crate::cli::output::{Palette, Style};
use crate::cli::terminal as tty;
use crate::sources::diff::Difference;
use crate::token::plain_line;

/// Columns that a line may have, whatever the window.
const WIDEST: usize = 300;

/// Shows it on stderr, where the question follows.
pub(super) fn show(text: &str) {
    tty::erase_note();
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// How many columns a line on stderr may have.
pub(super) fn width() -> usize {
    let columns = io::stderr().is_terminal().then(tty::size).flatten();
    columns.map_or(WIDEST, |(columns, _)| columns.clamp(20, WIDEST))
}

/// Each field with what it is and what it is to be, on a line each.
pub(super) fn differences(
    id: &str,
    differences: &[Difference],
    width: usize,
    palette: Palette,
) -> String {
    let mut text = format!("Data source {id}:\n");
    for difference in differences {
        let before = told(difference.before().as_ref(), "(not told)");
        let mut after = told(difference.after().as_ref(), "(none)");
        if difference.is_hidden() {
            after += " (differs in what is not shown)";
        }
        let label = format!("{}: ", difference.field);
        let room = width.saturating_sub(4 + wide(&label));
        let (before, after) = both_cut(&before, &after, room);
        for (sign, style, value) in [("-", Style::Error, before), ("+", Style::Good, after)] {
            let line = palette.paint(style, &format!("{sign} {label}{value}"));
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// Each field with its value.
pub(super) fn summary(id: &str, fields: &Map<String, Value>, width: usize) -> String {
    let mut text = format!("Data source {id}:\n");
    for (name, value) in fields {
        let label = format!("  {name}: ");
        let room = width.saturating_sub(wide(&label));
        let value = told(Some(value), "");
        let _ = writeln!(text, "{label}{}", cut(&value, room));
    }
    text
}

fn told(value: Option<&Value>, none: &str) -> String {
    match value {
        None => none.to_owned(),
        Some(Value::String(text)) => plain_line(text),
        Some(other) => other.to_string(),
    }
}

/// Both as they fit, from where their difference can be seen.
fn both_cut(before: &str, after: &str, room: usize) -> (String, String) {
    /// How much is shown of what they have in common.
    const BEFORE: usize = 8;
    let (one, other) = (cut(before, room), cut(after, room));
    if one != other || before == after {
        return (one, other);
    }
    let alike = before.chars().zip(after.chars());
    let alike = alike.take_while(|(one, other)| one == other).count();
    let from = |text: &str| {
        let rest: String = text.chars().skip(alike.saturating_sub(BEFORE)).collect();
        cut(&format!("…{rest}"), room)
    };
    (from(before), from(after))
}

fn cut(text: &str, room: usize) -> String {
    Fit::End(0).fitted(text, room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_stays_in_sight() {
        let long = "https://recv.example.com/a/long/path/to/one";
        let other = "https://recv.example.com/a/long/path/to/two";
        let (one, two) = both_cut(long, other, 20);
        assert_eq!(
            (one.as_str(), two.as_str()),
            ("…path/to/one", "…path/to/two")
        );
        assert_eq!(both_cut("a", "b", 20), ("a".into(), "b".into()));
        let longer = format!("{long}/and/on/and/on");
        let (one, two) = both_cut(long, &longer, 20);
        assert_eq!(
            (one.as_str(), two.as_str()),
            ("…h/to/one", "…h/to/one/and/on/an…")
        );
    }
}

//! Reading and editing the text of a `.env`, every byte that is not ours left as it is.
//!
//! A `.env` has no specification, only readers: dotenvy, python-dotenv, npm dotenv, and the shell
//! (`set -a; . ./.env`). They agree on plain files and part ways on quotes, backslashes, comments
//! and line ends. So an edit happens only where all four agree:
//!
//! - *Where* a key is assigned is asked of a model of each reader (`readers`, `shell`). If they
//!   name different places, the edit is refused with the line at which they begin to.
//! - *How* a value is written is a table found by experiment (`notation`).
//! - *What* came of it is checked before it is returned: each reader sees the new assignments, and
//!   all the others exactly as before.
//!
//! A reader that cannot read the file is no party to it: where a line is no shell text at all
//! (`A=f(x)`), bash stops, and counts only up to there.
//!
//! A byte order mark is nothing to dotenvy and npm dotenv, and to the other two a part of the first
//! line, which therefore cannot be one of ours.
//!
//! A line that ends in CR LF would hand its carriage return to bash as part of the value. Our own
//! line therefore ends in a comment (`KEY=value #`), the one notation that keeps the line ending
//! and gives all four readers the value alone.
//!
//! Values are read by dotenvy itself; there is no second decoder. An assignment that dotenvy cannot
//! read is skipped. Errors name line and key and never quote the text, which holds secrets.
//!
//! There is no I/O here, and no knowledge of which keys are managed.

mod notation;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod readers;
mod shell;

use std::collections::BTreeMap;
use std::ops::Range;

use readers::{Site, Statement};
use shell::{Reach, Shell};

/// Why a `.env` cannot be read, or cannot be edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", .key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default())]
pub struct DotenvError {
    /// The line, counted from 1. What was to be appended counts as the line after the last.
    pub line: usize,
    /// The key assigned there, if one is.
    pub key: Option<String>,
    /// What is wrong with it.
    pub problem: DotenvProblem,
}

/// What is wrong with a line of a `.env`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DotenvProblem {
    /// A quote has no end, or one that only some readers recognize.
    #[error("a quote is not closed; close it, or put the whole value in quotes")]
    UnclosedQuote,
    /// What stands after `=` is no value to dotenvy.
    #[error("the value cannot be read; put it in single quotes")]
    Unreadable,
    /// Some of the readers see an assignment of the key here, or its end, and others do not.
    #[error(
        "dotenv readers and the shell disagree about this line; \
         put the key on a line of its own as KEY=value, away from any shell code"
    )]
    Disputed,
    /// The byte order mark at the beginning is a part of this line for some of the readers.
    #[error(
        "the file begins with a byte order mark, which python-dotenv and the shell take for a part \
         of the line; save it as UTF-8 without one"
    )]
    Marked,
    /// No notation carries the new value.
    #[error("the new value cannot be written so that every reader reads it back")]
    Unwritable,
}

/// What to do with a key.
#[derive(Clone, Copy)]
pub enum Edit<'a> {
    /// Every assignment gets this value; without one, an assignment is appended.
    Set(&'a str),
    /// Every assignment is removed with its line.
    Remove,
}

impl Edit<'_> {
    /// The same with another value.
    fn with(self, value: &str) -> Edit<'_> {
        match self {
            Self::Set(_) => Edit::Set(value),
            Self::Remove => Edit::Remove,
        }
    }
}

/// Says what is to be done, never the value.
impl std::fmt::Debug for Edit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Edit::Set(_) => "Set(..)",
            Edit::Remove => "Remove",
        })
    }
}

/// Judges whether every quote is closed, and in a way that all readers recognize.
///
/// # Errors
///
/// The first quote that is not.
pub fn check(text: &str) -> Result<(), DotenvError> {
    match readers::statements(text).find_map(|statement| unclosed_quote(text, &statement)) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Judges whether each of these edits could be made, also after each of them, whatever the new values.
///
/// # Errors
///
/// A quote is not closed, or readers disagree on where one of the keys is assigned, or would then.
pub fn check_editable(text: &str, edits: &[&[(&str, Edit<'_>)]]) -> Result<(), DotenvError> {
    let original = Original::of(text)?;
    let takes_out = |&(key, edit): &(&str, Edit<'_>)| {
        matches!(edit, Edit::Remove) && line_of(text, key).is_some()
    };
    for some in edits {
        let edited = original.edited(some)?;
        // Once what the shell stopped at is gone, it goes on, and may see what it did not. And a line
        // that is taken out may not find its place again at the end.
        if original.views.shell.reach == Reach::All && !some.iter().any(takes_out) {
            continue;
        }
        let edited = Original::of(&edited)?;
        for next in edits {
            // The same value again would change nothing.
            let next: Vec<_> = next
                .iter()
                .map(|&(key, edit)| (key, edit.with("y")))
                .collect();
            edited.edited(&next).map_err(|error| {
                let key = error.key.unwrap_or_default();
                disputed_edit(text, &key)
            })?;
        }
    }
    Ok(())
}

/// The value of the last assignment of `key`, as dotenvy reads it.
///
/// # Errors
///
/// A quote is not closed, or dotenvy cannot read that assignment.
pub fn value(text: &str, key: &str) -> Result<Option<String>, DotenvError> {
    check(text)?;
    let Some(site) = last_site(text, key) else {
        return Ok(None);
    };
    match decoded(&text[..site.end]).pop() {
        Some(Some((found, value))) if found == key => Ok(Some(value)),
        _ => Err(DotenvError::at(
            text,
            site.key.start,
            Some(key),
            DotenvProblem::Unreadable,
        )),
    }
}

/// The values of all keys as dotenvy reads them; the last assignment of each counts.
///
/// # Errors
///
/// A quote is not closed.
pub fn values(text: &str) -> Result<BTreeMap<String, String>, DotenvError> {
    check(text)?;
    Ok(decoded(text).into_iter().flatten().collect())
}

/// The line of the last assignment of `key`, counted from 1.
#[must_use]
pub fn line_of(text: &str, key: &str) -> Option<usize> {
    last_site(text, key).map(|site| line_at(text, site.key.start))
}

/// Applies `edits` in turn.
///
/// Of a line that is rewritten, indentation, `export`, a trailing comment and the line ending stay.
/// A line that is appended takes the line ending most used in the text; after a last line without
/// one, that line gets a line feed, and the new one none. Removing what was appended restores the
/// text.
///
/// # Errors
///
/// A quote is not closed; readers disagree on where one of the keys is assigned; no notation carries
/// a new value; or the result would change what some reader reads elsewhere.
pub fn edit(text: &str, edits: &[(&str, Edit<'_>)]) -> Result<String, DotenvError> {
    Original::of(text)?.edited(edits)
}

/// A text to be edited, read once however many edits are tried on it.
struct Original<'a> {
    views: Views<'a>,
    /// What dotenvy reads, substitution taken out of it: `${KEY}` in the value of another key is
    /// there to follow ours.
    values: Vec<(String, String)>,
}

impl<'a> Original<'a> {
    fn of(text: &'a str) -> Result<Self, DotenvError> {
        check(text)?;
        Ok(Self {
            views: Views::of(text),
            values: decoded_without_substitution(text),
        })
    }

    fn edited(&self, edits: &[(&str, Edit<'_>)]) -> Result<String, DotenvError> {
        let mut edited = None;
        for &(key, edit) in edits {
            let before: Option<Views<'_>> = edited.as_deref().map(Views::of);
            let before = before.as_ref().unwrap_or(&self.views);
            edited = Some(match edit {
                Edit::Set(value) => set(before, key, value)?,
                Edit::Remove => remove(before, key)?,
            });
        }
        let edited = edited.unwrap_or_else(|| self.views.text.to_owned());
        self.verify(&edited, edits)?;
        Ok(edited)
    }
}

fn set(before: &Views<'_>, key: &str, value: &str) -> Result<String, DotenvError> {
    let text = before.text;
    let assignments = assignments(before, key)?;
    if assignments.is_empty() {
        return append(text, key, value);
    }
    let mut edited = String::with_capacity(text.len() + value.len());
    let mut copied = 0;
    for assignment in assignments {
        edited += &text[copied..assignment.key.end];
        edited += &assignment.with_value(text, value).ok_or_else(|| {
            let at = assignment.key.start;
            DotenvError::at(text, at, Some(key), DotenvProblem::Unwritable)
        })?;
        copied = assignment.end;
    }
    Ok(edited + &text[copied..])
}

fn append(text: &str, key: &str, value: &str) -> Result<String, DotenvError> {
    let is_whole = text.is_empty() || text.ends_with('\n');
    let (before, comment, after) = match (is_whole, dominant_line_ending(text)) {
        (true, "\r\n") => ("", " #", "\r\n"),
        (true, line_ending) => ("", "", line_ending),
        // With a carriage return, the last value would gain one for bash.
        (false, _) => ("\n", "", ""),
    };
    let notation = notation::write(value, !comment.is_empty()).ok_or_else(|| DotenvError {
        line: text.lines().count() + 1,
        key: Some(key.to_owned()),
        problem: DotenvProblem::Unwritable,
    })?;
    Ok(format!("{text}{before}{key}={notation}{comment}{after}"))
}

fn remove(before: &Views<'_>, key: &str) -> Result<String, DotenvError> {
    let text = before.text;
    let assignments = assignments(before, key)?;
    let mut edited = String::with_capacity(text.len());
    let mut copied = 0;
    for assignment in &assignments {
        edited += &text[copied..assignment.line];
        copied = readers::after_line(text, assignment.end);
    }
    edited += &text[copied..];
    if assignments
        .last()
        .is_some_and(|last| last.end == text.len())
    {
        strip_line_feed(&mut edited);
    }
    Ok(edited)
}

/// An assignment on which all readers agree.
struct Assignment {
    /// Where its line starts.
    line: usize,
    key: Range<usize>,
    /// The end of its last line, before the line ending.
    end: usize,
}

impl Assignment {
    /// What stands after the name once `value` is assigned, if it can be written.
    fn with_value(&self, text: &str, value: &str) -> Option<String> {
        let has_carriage_return = text[self.end..].starts_with("\r\n");
        let (blank, comment) = match self.comment(text) {
            "" if has_carriage_return => (" ", "#"),
            comment if comment.starts_with('#') => (" ", comment),
            comment => ("", comment),
        };
        let notation = notation::write(value, !comment.is_empty())?;
        Some(format!("={notation}{blank}{comment}"))
    }

    /// The trailing comment with the white space before it, or nothing.
    fn comment<'a>(&self, text: &'a str) -> &'a str {
        let mut quote = None;
        let mut is_escaped = false;
        let value = &text[self.key.end..self.end];
        let start = value.find('=').map_or(value.len(), |equals| equals + 1);
        for (index, c) in value.char_indices().skip_while(|&(index, _)| index < start) {
            let before = &value[start..index];
            match (quote, c) {
                _ if is_escaped => is_escaped = false,
                (_, '\\') => is_escaped = true,
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None, '#') if before.is_empty() || before.ends_with([' ', '\t']) => {
                    return &value[start + before.trim_end_matches([' ', '\t']).len()..];
                }
                _ => {}
            }
        }
        ""
    }
}

fn assignments(views: &Views<'_>, key: &str) -> Result<Vec<Assignment>, DotenvError> {
    let text = views.text;
    let sites = views.agreed(key).map_err(|at| {
        let is_marked = readers::body_start(text) > 0 && line_at(text, at) == 1;
        let problem = if is_marked {
            DotenvProblem::Marked
        } else {
            DotenvProblem::Disputed
        };
        DotenvError::at(text, at, Some(key), problem)
    })?;
    let assignment = |site: Site| {
        let line = text[..site.key.start].rfind('\n').map_or(0, |end| end + 1);
        let lead = text[line..site.key.start].trim_start_matches([' ', '\t']);
        let is_plain = match lead.strip_prefix("export") {
            Some(blank) => !blank.is_empty() && blank.trim_start_matches([' ', '\t']).is_empty(),
            None => lead.is_empty(),
        };
        let assignment = Assignment {
            line,
            key: site.key,
            end: site.end,
        };
        if is_plain {
            Ok(assignment)
        } else {
            let at = assignment.key.start;
            Err(DotenvError::at(
                text,
                at,
                Some(key),
                DotenvProblem::Disputed,
            ))
        }
    };
    sites.into_iter().map(assignment).collect()
}

/// What each reader sees in one text.
struct Views<'a> {
    text: &'a str,
    dotenvy: Vec<Site>,
    python: Vec<Site>,
    npm: Vec<Site>,
    shell: Shell,
}

impl<'a> Views<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            dotenvy: readers::dotenvy(text),
            python: readers::python(text),
            npm: readers::npm(text),
            shell: shell::follow(text),
        }
    }

    /// The assignments of `key`, or else where readers begin to disagree about them.
    fn agreed(&self, key: &str) -> Result<Vec<Site>, usize> {
        if let Some(nul) = self.text.find('\0') {
            return Err(nul);
        }
        let of_key = |sites: &[Site]| -> Vec<Site> {
            let is_of_key = |site: &&Site| self.text[site.key.clone()] == *key;
            sites.iter().filter(is_of_key).cloned().collect()
        };
        let sites = of_key(&self.dotenvy);
        let mut seen_by_shell = sites.clone();
        match self.shell.reach {
            Reach::All => {}
            Reach::Stops(at) => seen_by_shell.retain(|site| site.key.start < at),
            Reach::Opaque(at) if sites.iter().all(|site| site.key.start < at) => {}
            Reach::Opaque(at) => return Err(at),
        }
        let difference = [
            first_difference(&sites, &of_key(&self.python)),
            first_difference(&sites, &of_key(&self.npm)),
            first_difference(&seen_by_shell, &of_key(&self.shell.sites)),
            self.first_touch(key),
        ];
        match difference.into_iter().flatten().min() {
            Some(at) => Err(at),
            None => Ok(sites),
        }
    }

    fn first_touch(&self, key: &str) -> Option<usize> {
        let is_named = |range: &&Range<usize>| names(&self.text[(*range).clone()], key);
        self.shell
            .touched
            .iter()
            .find(is_named)
            .map(|range| range.start)
    }

    /// Everything each reader sees but the assignments of `keys`.
    fn others(&self, keys: &[&str]) -> [Vec<&'a str>; 4] {
        let views = [&self.dotenvy, &self.python, &self.npm, &self.shell.sites];
        views.map(|sites| {
            let others = sites
                .iter()
                .filter(|site| !keys.contains(&&self.text[site.key.clone()]));
            // A carriage return at the very end becomes part of a line ending once a line follows.
            others
                .map(|site| self.text[site.key.start..site.end].trim_end_matches('\r'))
                .collect()
        })
    }
}

fn first_difference(left: &[Site], right: &[Site]) -> Option<usize> {
    let common = left
        .iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count();
    let next = [left.get(common), right.get(common)];
    next.into_iter().flatten().map(|site| site.key.start).min()
}

/// Whether `text` names `key` as a whole word other than by `$KEY` or `${KEY`.
fn names(text: &str, key: &str) -> bool {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(key).any(|(start, _)| {
        let (before, after) = (&text[..start], &text[start + key.len()..]);
        !before.ends_with(is_in_name)
            && !before.ends_with(['$', '{'])
            && !after.starts_with(is_in_name)
    })
}

impl Original<'_> {
    /// Makes sure that every reader sees the edits, and nothing else that is new to it.
    fn verify(&self, after: &str, edits: &[(&str, Edit<'_>)]) -> Result<(), DotenvError> {
        check(after)?;
        let keys: Vec<_> = edits.iter().map(|&(key, _)| key).collect();
        let (before, seen) = (&self.views, Views::of(after));
        let read = decoded_as_is(after);
        for &(key, _) in edits {
            let last = edits.iter().rev().find(|(other, _)| *other == key);
            let is_done = match (seen.agreed(key), last) {
                (Ok(sites), Some((_, Edit::Set(value)))) => {
                    !sites.is_empty() && reads(&read, sites.len(), key, value)
                }
                (Ok(sites), _) => sites.is_empty(),
                (Err(_), _) => false,
            };
            if !is_done {
                return Err(disputed_edit(before.text, key));
            }
        }
        let (others_before, others_after) = (before.others(&keys), seen.others(&keys));
        let is_shell_whole = before.shell.reach == Reach::All;
        let [.., shell_before] = &others_before;
        let [.., shell_after] = &others_after;
        let is_kept = others_before[..3] == others_after[..3]
            && shell_after.starts_with(shell_before)
            && (!is_shell_whole || shell_after.len() == shell_before.len())
            && without(&self.values, &keys)
                .eq(without(&decoded_without_substitution(after), &keys));
        match edits.first() {
            Some((key, _)) if !is_kept => Err(disputed_edit(before.text, key)),
            _ => Ok(()),
        }
    }
}

/// Whether dotenvy has read `key` so many times, and always as `value`.
fn reads(read: &[Option<(String, String)>], times: usize, key: &str, value: &str) -> bool {
    let of_key = read.iter().flatten().filter(|(found, _)| found == key);
    let is_value = of_key.clone().all(|(_, found)| found == value);
    is_value && of_key.count() == times
}

fn disputed_edit(text: &str, key: &str) -> DotenvError {
    DotenvError {
        line: line_of(text, key).unwrap_or_else(|| text.lines().count() + 1),
        key: Some(key.to_owned()),
        problem: DotenvProblem::Disputed,
    }
}

fn decoded_without_substitution(text: &str) -> Vec<(String, String)> {
    let read = decoded(&text.replace('$', "_")).into_iter();
    read.flatten().collect()
}

/// What was read of other keys.
fn without<'v>(
    values: &'v [(String, String)],
    keys: &[&str],
) -> impl Iterator<Item = &'v (String, String)> {
    let is_other = |(key, _): &&(String, String)| !keys.contains(&key.as_str());
    values.iter().filter(is_other)
}

/// What dotenvy reads, assignment by assignment, with nothing where it cannot.
///
/// A line ending is supplied where it is missing: white space at the very end is an error to dotenvy.
fn decoded(text: &str) -> Vec<Option<(String, String)>> {
    decoded_as_is(&format!("{text}\n"))
}

fn decoded_as_is(text: &str) -> Vec<Option<(String, String)>> {
    dotenvy::from_read_iter(&text.as_bytes()[readers::body_start(text)..])
        .map(Result::ok)
        .collect()
}

fn unclosed_quote(text: &str, statement: &Statement) -> Option<DotenvError> {
    let carried = statement.carried?;
    let assigned = readers::dotenvy_key(text, statement);
    let value_start = assigned.as_ref().map(|&(_, start)| start);
    let is_closed = carried.closed.is_some_and(|closed| {
        let rest = text[closed..statement.end].trim_start_matches([' ', '\t']);
        rest.is_empty() || rest.starts_with('#')
    });
    (!is_closed || value_start != Some(carried.opened)).then(|| {
        let key = assigned.map(|(key, _)| &text[key]);
        DotenvError::at(text, carried.opened, key, DotenvProblem::UnclosedQuote)
    })
}

impl DotenvError {
    fn at(text: &str, offset: usize, key: Option<&str>, problem: DotenvProblem) -> Self {
        Self {
            line: line_at(text, offset),
            key: key.map(str::to_owned),
            problem,
        }
    }
}

fn last_site(text: &str, key: &str) -> Option<Site> {
    let sites = readers::dotenvy(text);
    sites
        .into_iter()
        .rfind(|site| text[site.key.clone()] == *key)
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text[..offset].matches('\n').count()
}

fn dominant_line_ending(text: &str) -> &'static str {
    let all = text.matches('\n').count();
    let with_carriage_return = text.matches("\r\n").count();
    if with_carriage_return * 2 > all {
        "\r\n"
    } else {
        "\n"
    }
}

/// Takes the line feed off the end, unless a reader would read the last line differently: bash loses
/// a carriage return with it, and white space at the very end of a text is an error to dotenvy. Nor
/// where bash would take a line that is appended for the rest of the one before.
fn strip_line_feed(text: &mut String) {
    if let Some(stripped) = text.strip_suffix('\n')
        && !stripped.ends_with(['\r', '\\'])
        && !stripped.ends_with("\\\n")
        && decoded_as_is(stripped) == decoded_as_is(text)
    {
        text.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::DotenvProblem::*;
    use super::*;

    const KEY: &str = "TOKEN";

    fn set_new(text: &str) -> Result<String, (usize, DotenvProblem)> {
        edit(text, &[(KEY, Edit::Set("new"))]).map_err(|error| (error.line, error.problem))
    }

    #[test]
    fn an_edit_keeps_everything_around_the_value() {
        let table = [
            ("TOKEN=old\n", "TOKEN=new\n"),
            ("TOKEN=old", "TOKEN=new"),
            ("TOKEN=\nA=1\n", "TOKEN=new\nA=1\n"),
            (
                " \texport \tTOKEN = 'old'  # c\n",
                " \texport \tTOKEN=new  # c\n",
            ),
            ("TOKEN='it' # it's\nA=1", "TOKEN=new # it's\nA=1"),
            ("TOKEN='it\\'s' # c\n", "TOKEN=new # c\n"),
            ("TOKEN=# paste it\n", "TOKEN=new # paste it\n"),
            ("TOKEN=a#b\n", "TOKEN=new\n"),
            ("TOKEN=<paste it>\n", "TOKEN=new\n"),
            (
                "TOKEN=\"old\n# TOKEN=x\n\" # c\nA=1\n",
                "TOKEN=new # c\nA=1\n",
            ),
            (
                "TOKEN=1\nA=$TOKEN${TOKEN}\nTOKEN=2\n",
                "TOKEN=new\nA=$TOKEN${TOKEN}\nTOKEN=new\n",
            ),
            ("TOKEN=old\r\nA=1\r\n", "TOKEN=new #\r\nA=1\r\n"),
            ("TOKEN=old # c\r\nA=1\r\n", "TOKEN=new # c\r\nA=1\r\n"),
            ("A=1\r\nTOKEN=old", "A=1\r\nTOKEN=new"),
            ("\u{feff}# c\nTOKEN=old\n", "\u{feff}# c\nTOKEN=new\n"),
            ("A=f(x)\nTOKEN=old\n", "A=f(x)\nTOKEN=new\n"),
            ("set -a\nTOKEN=old\nset +a\n", "set -a\nTOKEN=new\nset +a\n"),
        ];
        for (before, after) in table {
            assert_eq!(set_new(before).as_deref(), Ok(after), "{before:?}");
        }
    }

    #[test]
    fn an_absent_key_is_appended() {
        let table = [
            ("", "TOKEN=new\n"),
            ("\u{feff}", "\u{feff}\nTOKEN=new"),
            ("A=1\n", "A=1\nTOKEN=new\n"),
            ("A=1", "A=1\nTOKEN=new"),
            ("A=1\r\n", "A=1\r\nTOKEN=new #\r\n"),
            ("A=1\r\nB=2", "A=1\r\nB=2\nTOKEN=new"),
            ("A=1\rB=2\r", "A=1\rB=2\r\nTOKEN=new"),
            (
                "TOKEN_OLD=1\nOLD_TOKEN=2\n",
                "TOKEN_OLD=1\nOLD_TOKEN=2\nTOKEN=new\n",
            ),
            ("# TOKEN=1\n", "# TOKEN=1\nTOKEN=new\n"),
            ("A=1 # TOKEN=1\n", "A=1 # TOKEN=1\nTOKEN=new\n"),
            ("A='\nTOKEN=1\n'\n", "A='\nTOKEN=1\n'\nTOKEN=new\n"),
            ("A=\"\nTOKEN=1\n\"\n", "A=\"\nTOKEN=1\n\"\nTOKEN=new\n"),
            ("A=x-TOKEN=1\n", "A=x-TOKEN=1\nTOKEN=new\n"),
            (
                "A=rotate TOKEN weekly\n",
                "A=rotate TOKEN weekly\nTOKEN=new\n",
            ),
            ("token=1\n", "token=1\nTOKEN=new\n"),
            ("A=`x`\nB=$(TOKEN=1)\n", "A=`x`\nB=$(TOKEN=1)\nTOKEN=new\n"),
            ("A=<<TO DO>>\n", "A=<<TO DO>>\nTOKEN=new\n"),
        ];
        for (before, after) in table {
            assert_eq!(set_new(before).as_deref(), Ok(after), "{before:?}");
        }
    }

    #[test]
    fn a_place_that_readers_disagree_about_is_refused() {
        let table = [
            ("A=1\nTOKEN\n", 2, Disputed),
            ("TOKEN: old\n", 1, Disputed),
            ("export TOKEN\n", 1, Disputed),
            ("unset TOKEN\n", 1, Disputed),
            ("TOKEN+=x\n", 1, Disputed),
            ("'TOKEN'=x\n", 1, Disputed),
            ("export A=1 TOKEN=2\n", 1, Disputed),
            ("TOKEN=1 A=2\n", 1, Disputed),
            ("A=1; TOKEN=2\n", 1, Disputed),
            ("A=x\\\nTOKEN=1\n", 2, Disputed),
            ("TOKEN=x\\\nA=1\n", 1, Disputed),
            ("A=${TOKEN:=x}\n", 1, Disputed),
            ("A=`\nTOKEN=1\n`\n", 2, Disputed),
            ("A=\"`\"\nTOKEN=1\nB=\"'`\"\n", 2, Disputed),
            ("A=1\rTOKEN=2\n", 1, Disputed),
            ("# \u{2028}TOKEN=2\n", 1, Disputed),
            ("A:\nTOKEN=1\n", 2, Disputed),
            ("A=1\nif true; then\nTOKEN=1\nfi\n", 2, Disputed),
            ("cat <<END\nTOKEN=1\nEND\n", 1, Disputed),
            ("A=1\nset +a\n", 3, Disputed),
            ("A=1\nset -eu\nTOKEN=1\n", 2, Disputed),
            ("A='x\\'\nB='y'\nTOKEN=1\n", 1, UnclosedQuote),
            ("A=1\nB=it's\nTOKEN=1\n", 2, UnclosedQuote),
            ("TOKEN=\"old\nA=1\n", 1, UnclosedQuote),
            ("A=\"x\nB=\"y\"\n", 1, UnclosedQuote),
            ("A=x\"\n\"\n", 1, UnclosedQuote),
            ("TOKEN='x\\\\'\nA='y'\n", 1, Disputed),
            ("\u{feff}TOKEN=old\n", 1, Marked),
            ("\u{feff} export TOKEN=old\nTOKEN=old\n", 1, Marked),
            ("\u{feff}# it's\nTOKEN=old # it's\n", 2, Disputed),
            ("\u{feff} A='\nTOKEN=no\n'\n", 2, Disputed),
            ("A=1\nTOKEN=old  # c ", 2, Disputed),
        ];
        for (text, line, problem) in table {
            assert_eq!(set_new(text), Err((line, problem)), "{text:?}");
        }
    }

    #[test]
    fn what_is_editable_takes_each_edit_by_itself_and_after_each() {
        let (token, other) = ((KEY, Edit::Set("x")), ("OTHER", Edit::Set("x")));
        let judged = |text| {
            let judged = check_editable(text, &[&[token], &[other], &[token, other]]);
            judged.map_err(|error| error.problem)
        };
        assert_eq!(judged("TOKEN=1\nOTHER=2\n"), Ok(()));
        assert_eq!(judged("TOKEN=<paste it>\nOTHER=<this, too>\n"), Ok(()));
        for text in [
            "TOKEN= OTHER=\n",
            "export TOKEN=1 OTHER=2\n",
            // The shell stops at the first line; once that is set, it goes on to the second.
            "TOKEN=a(\nOTHER=b <<c\n",
            "TOKEN=`\nOTHER=b A=1\n",
            "TOKEN=`\nA=1 \\\nOTHER=b\n",
        ] {
            assert_eq!(judged(text), Err(Disputed), "{text:?}");
        }
        // Without it, npm dotenv takes the line before and the line behind for one assignment.
        let between = check_editable("A\nTOKEN=1\n=<you>b=c\n", &[&[(KEY, Edit::Remove)]]);
        let between = between.map_err(|error| (error.line, error.problem));
        assert_eq!(between, Err((2, Disputed)));
        // npm dotenv takes what is appended for the value of the last line.
        let appended = check_editable("TOKEN=1\nA:", &[&[(KEY, Edit::Remove)], &[token]]);
        let appended = appended.map_err(|error| (error.line, error.problem));
        assert_eq!(appended, Err((1, Disputed)));
    }

    #[test]
    fn a_value_that_no_notation_carries_is_refused() {
        for text in ["A=1\nTOKEN=x\n", "A=1\n"] {
            let error = edit(text, &[(KEY, Edit::Set("it's \"secret\""))]).expect_err(text);
            assert_eq!((error.line, error.problem), (2, Unwritable));
            assert!(!format!("{error}{error:?}{:?}", Edit::Set("secret")).contains("secret"));
        }
    }

    #[test]
    fn an_error_names_line_and_key_and_nothing_else() {
        let error = check("A=1\nB=\"secret\nC=2").expect_err("the quote is open");
        assert_eq!((error.line, error.key.as_deref()), (2, Some("B")));
        assert!(!format!("{error}{error:?}").contains("secret"));
    }

    #[test]
    fn removal_takes_the_whole_assignment() {
        let table = [
            ("A=1\nTOKEN=x # c\nB=2\n", "A=1\nB=2\n"),
            ("TOKEN=x\r\nA=1\r\n", "A=1\r\n"),
            ("A=1\nTOKEN=\"x\ny\"\nB=2\nTOKEN=3\n", "A=1\nB=2\n"),
            ("A=1\nTOKEN=x", "A=1"),
            ("TOKEN=x\nTOKEN=y", ""),
            ("A=1 \nTOKEN=x", "A=1 \n"),
            ("A=1\r\nTOKEN=x", "A=1\r\n"),
            ("A=1", "A=1"),
        ];
        for (before, after) in table {
            assert_eq!(
                edit(before, &[(KEY, Edit::Remove)]).as_deref(),
                Ok(after),
                "{before:?}"
            );
        }
    }

    #[test]
    fn the_last_assignment_is_read() {
        let text =
            "\u{feff}TOKEN=1\nA=b c\nB='x # y' # z\nexport TOKEN = \"it's\" # c\n# TOKEN=3\n";
        assert_eq!(value(text, KEY), Ok(Some("it's".to_owned())));
        assert_eq!(value(text, "NONE"), Ok(None));
        assert_eq!((line_of(text, KEY), line_of(text, "NONE")), (Some(4), None));
        let values: Vec<_> = values(text)
            .expect("quotes are closed")
            .into_iter()
            .collect();
        let expected = [("B", "x # y"), ("TOKEN", "it's")];
        assert_eq!(
            values,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        let unreadable = value("TOKEN=1\nTOKEN=b c\n", KEY).map_err(|error| error.problem);
        assert_eq!(unreadable, Err(Unreadable));
    }

    fn value_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[A-Za-z0-9_.~+/=-]{0,40}",
            "\\PC{0,12}",
            "['\"$`{}\\\\#\n a]{0,6}"
        ]
    }

    fn lines() -> impl Strategy<Value = String> {
        const LINES: [&str; 14] = [
            "A=1",
            "",
            "# TOKEN=x, don't",
            "export B='x y' # c",
            "C=\"\nTOKEN=x\n\"",
            "TOKEN_2=x",
            "D=$(date)",
            "E=${TOKEN}",
            " F = x y",
            "G=<you>",
            "H=a#b",
            "I=é",
            "TOKEN=old # c",
            "  export TOKEN=\"a\nb\"",
        ];
        let line = prop::sample::select(&LINES[..]);
        let ending = prop::sample::select(&["\n", "\r\n"][..]);
        (prop::collection::vec(line, 0..6), ending, any::<bool>()).prop_map(
            |(lines, ending, is_whole)| {
                let text = lines.join("\n").replace('\n', ending);
                if is_whole && !text.is_empty() {
                    text + ending
                } else {
                    text
                }
            },
        )
    }

    fn anything() -> impl Strategy<Value = String> {
        prop_oneof![
            "[TOKEN=ab'\"`#$(){}<>|&;:\\\\ \t\r\n\u{2028}\u{a0}\u{feff}é]{0,40}",
            "(TOKEN|A|export|=|'|\"|`|#| |\\\\|\n|\r\n|\\$\\{|\\$\\(|\\)|\\}|<<|x|;){0,24}",
            "\\PC*",
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in lines(), new in value_text()) {
            if let Ok(edited) = edit(&text, &[(KEY, Edit::Set(&new))]) {
                prop_assert_eq!(value(&edited, KEY), Ok(Some(new.clone())));
                let again = edit(&edited, &[(KEY, Edit::Set(&new))]);
                prop_assert_eq!(again, Ok(edited));
            } else {
                prop_assert_eq!(notation::write(&new, false), None);
            }
        }

        #[test]
        fn every_other_byte_stays(text in lines(), new in "[a-z]{1,8}") {
            let edited = edit(&text, &[(KEY, Edit::Set(&new))]).expect("plain text");
            let without = |text: &str| edit(text, &[(KEY, Edit::Remove)]);
            prop_assert_eq!(without(&edited), without(&text));
        }

        #[test]
        fn removing_what_was_appended_restores_the_text(text in anything(), new in value_text()) {
            // White space and backslashes at the very end mean something else to some readers.
            let is_odd = |c: char| c == '\\' || (c.is_whitespace() && c != '\n');
            let text = text.trim_end_matches(is_odd).to_owned();
            prop_assume!(text != "\u{feff}" && line_of(&text, KEY).is_none());
            if let Ok(edited) = edit(&text, &[(KEY, Edit::Set(&new))]) {
                prop_assert_eq!(edit(&edited, &[(KEY, Edit::Remove)]), Ok(text));
            }
        }

        #[test]
        fn nothing_panics(text in anything(), new in value_text()) {
            let _ = (check(&text), value(&text, KEY), values(&text), line_of(&text, KEY));
            let edits = [(KEY, Edit::Set(&new)), ("A", Edit::Remove)];
            if let Ok(edited) = edit(&text, &edits) {
                prop_assert_eq!(value(&edited, KEY), Ok(Some(new)));
                prop_assert_eq!(line_of(&edited, "A"), None);
            }
            let _ = check_editable(&text, &[&[(KEY, Edit::Remove)], &[("A", Edit::Set("x"))]]);
        }
    }
}

//! Where three readers of `.env` see an assignment: dotenvy, python-dotenv and npm dotenv.
//!
//! They part ways wherever quotes, backslashes and line ends meet. Each is modelled here as far as
//! *places* go: at which keys it sees an assignment, and at which line end that assignment is over.
//! What value it reads there is its own business. The shell, the fourth, is in `shell`.
//!
//! All offsets are bytes into the text, byte order mark included.

use std::ops::Range;

/// An assignment as one reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// The name.
    pub(super) key: Range<usize>,
    /// The end of the line on which it is over, before the line ending.
    pub(super) end: usize,
}

/// A logical line of dotenvy: one line, or several held together by a quote.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) start: usize,
    /// Before the line ending.
    pub(super) end: usize,
    /// The first quote that was open at the end of a line.
    pub(super) carried: Option<Carried>,
}

/// A quote that is still open where its line ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    pub(super) opened: usize,
    /// After the closing quote.
    pub(super) closed: Option<usize>,
}

#[derive(Clone, Copy)]
enum State {
    Plain,
    Blank,
    Escape,
    Quoted { quote: char, opened: usize },
    QuotedEscape { quote: char, opened: usize },
}

/// Splits like dotenvy.
pub(super) fn statements(text: &str) -> impl Iterator<Item = Statement> {
    let mut next = body_start(text);
    std::iter::from_fn(move || {
        (next < text.len()).then(|| {
            let (statement, after) = statement(text, next);
            next = after;
            statement
        })
    })
}

fn statement(text: &str, start: usize) -> (Statement, usize) {
    let mut state = State::Plain;
    let mut carried: Option<Carried> = None;
    let mut line = start;
    loop {
        let after = after_line(text, line);
        let is_comment = line == start && text[line..after].trim_start().starts_with('#');
        if !is_comment {
            state = scan_line(&text[line..after], line, state, &mut carried);
        }
        let is_open = match state {
            State::Quoted { opened, .. } | State::QuotedEscape { opened, .. } => {
                carried.get_or_insert(Carried {
                    opened,
                    closed: None,
                });
                true
            }
            State::Plain | State::Blank | State::Escape => false,
        };
        if !is_open || after == text.len() {
            let end = before_line_ending(text, line, after);
            let statement = Statement {
                start,
                end,
                carried,
            };
            return (statement, after);
        }
        line = after;
    }
}

fn scan_line(line: &str, offset: usize, from: State, carried: &mut Option<Carried>) -> State {
    let mut state = from;
    for (index, c) in line.char_indices() {
        let opened = offset + index;
        state = match (state, c) {
            (State::Blank, '#') => return State::Plain,
            (State::Plain | State::Blank, '\\') => State::Escape,
            (State::Plain | State::Blank, '"' | '\'') => State::Quoted { quote: c, opened },
            (State::Plain, '\r' | '\n') => State::Plain,
            (State::Plain, c) if c.is_whitespace() => State::Blank,
            (State::Plain | State::Blank | State::Escape, _) => State::Plain,
            (State::Quoted { quote, opened }, '\\') => State::QuotedEscape { quote, opened },
            (
                State::Quoted {
                    quote,
                    opened: first,
                },
                c,
            ) if c == quote => {
                if let Some(carried) = carried.as_mut().filter(|carried| carried.opened == first) {
                    carried.closed = Some(offset + index + 1);
                }
                State::Plain
            }
            (quoted @ State::Quoted { .. }, _) => quoted,
            (State::QuotedEscape { quote, opened }, _) => State::Quoted { quote, opened },
        };
    }
    state
}

/// The name that a statement assigns to, and where the value begins.
pub(super) fn dotenvy_key(text: &str, statement: &Statement) -> Option<(Range<usize>, usize)> {
    let mut cursor = Cursor {
        text: &text[..statement.end],
        at: statement.start,
    };
    cursor.skip(char::is_whitespace);
    let mut key = cursor.dotenvy_name()?;
    cursor.skip(char::is_whitespace);
    if &text[key.clone()] == "export" && cursor.peek() != Some('=') {
        key = cursor.dotenvy_name()?;
        cursor.skip(char::is_whitespace);
    }
    cursor.eat('=').then_some(())?;
    cursor.skip(char::is_whitespace);
    Some((key, cursor.at))
}

/// What dotenvy sees.
pub(super) fn dotenvy(text: &str) -> Vec<Site> {
    let site = |statement: Statement| {
        let (key, _) = dotenvy_key(text, &statement)?;
        let end = statement.end;
        Some(Site { key, end })
    };
    statements(text).filter_map(site).collect()
}

/// What python-dotenv sees. A name without `=` is an assignment of nothing.
pub(super) fn python(text: &str) -> Vec<Site> {
    let mut cursor = Cursor { text, at: 0 };
    let mut sites = Vec::new();
    loop {
        cursor.skip(is_python_space);
        if cursor.is_at_end() {
            return sites;
        }
        let mut key = None;
        let is_read = cursor.python_binding(&mut key).is_some();
        if !is_read {
            cursor.skip(|c| !is_line_end(c));
        }
        if let Some(binding) = key.filter(|binding| is_read || binding.has_value) {
            sites.push(Site {
                key: binding.key,
                end: cursor.at,
            });
        }
    }
}

/// What npm dotenv sees.
pub(super) fn npm(text: &str) -> Vec<Site> {
    let mut sites = Vec::new();
    let mut line = Some(0);
    while let Some(start) = line {
        let mut cursor = Cursor { text, at: start };
        // The expression may pass over lines here; where it fails after them, it fails on each.
        let first = cursor.skip(is_npm_space).end;
        match cursor.npm_match() {
            Some(site) => sites.push(site),
            None => cursor.at = first,
        }
        line = text[cursor.at..]
            .find(is_npm_line_end)
            .map(|found| cursor.at + found)
            .map(|found| found + text[found..].chars().next().map_or(0, char::len_utf8));
    }
    sites
}

struct PythonBinding {
    key: Range<usize>,
    has_value: bool,
}

/// A position in a text.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Passes over `c` if it is next.
    fn eat(&mut self, c: char) -> bool {
        let is_next = self.rest().starts_with(c);
        if is_next {
            self.at += c.len_utf8();
        }
        is_next
    }

    /// Passes over what `matches`, and returns it.
    fn skip(&mut self, matches: impl Fn(char) -> bool) -> Range<usize> {
        let start = self.at;
        let length = self.rest().find(|c| !matches(c));
        self.at = length.map_or(self.text.len(), |length| start + length);
        start..self.at
    }

    fn dotenvy_name(&mut self) -> Option<Range<usize>> {
        let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
        self.peek().filter(|&c| is_start(c))?;
        Some(self.skip(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
    }

    /// Passes over one binding, up to its line ending; nothing if it is malformed. The key is
    /// told as soon as it is known.
    fn python_binding(&mut self, found: &mut Option<PythonBinding>) -> Option<()> {
        self.python_export();
        if self.peek() != Some('#') {
            let key = self.python_key()?;
            self.skip(is_python_blank);
            let has_value = self.eat('=');
            *found = Some(PythonBinding { key, has_value });
            if has_value {
                self.python_value()?;
            }
        }
        self.skip(is_python_blank);
        if self.peek() == Some('#') {
            self.skip(|c| !is_line_end(c));
        }
        (self.is_at_end() || self.peek().is_some_and(is_line_end)).then_some(())
    }

    fn python_export(&mut self) {
        if let Some(rest) = self.rest().strip_prefix("export")
            && rest.starts_with(is_python_blank)
        {
            self.at += "export".len();
            self.skip(is_python_blank);
        }
    }

    fn python_key(&mut self) -> Option<Range<usize>> {
        let key = if self.peek() == Some('\'') {
            let start = self.at + 1;
            let length = self.text[start..].find('\'').filter(|&length| length > 0)?;
            self.at = start + length + 1;
            start..start + length
        } else {
            self.skip(|c| !is_python_space(c) && !matches!(c, '=' | '#'))
        };
        (!key.is_empty()).then_some(key)
    }

    fn python_value(&mut self) -> Option<()> {
        let blank = self.skip(is_python_blank);
        match self.peek() {
            Some('#') if !blank.is_empty() => Some(()),
            Some(quote @ ('\'' | '"')) => self.python_quoted(quote),
            _ => {
                self.skip(|c| !is_line_end(c));
                Some(())
            }
        }
    }

    fn python_quoted(&mut self, quote: char) -> Option<()> {
        // The first quote that no backslash precedes, or else the last one.
        let content = &self.rest()[1..];
        let mut quotes = content.match_indices(quote).map(|(index, _)| index);
        let length = quotes
            .find(|&index| !content[..index].ends_with('\\'))
            .or_else(|| content.rfind(quote))?;
        self.at += 1 + length + 1;
        Some(())
    }

    /// Passes over one match of npm dotenv's expression, the white space before it behind us.
    fn npm_match(&mut self) -> Option<Site> {
        let key = self.npm_key()?;
        let value_end = self.npm_value();
        let to_line_end = self.text[value_end..].find(is_npm_line_end);
        self.at = self.npm_tail(value_end).unwrap_or(value_end);
        let end = to_line_end.map_or(self.text.len(), |length| value_end + length);
        Some(Site { key, end })
    }

    /// The name with its separator, after `export` or, if that does not fit, named `export`.
    fn npm_key(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        if let Some(rest) = self.rest().strip_prefix("export")
            && rest.starts_with(is_npm_space)
        {
            self.at += "export".len();
            self.skip(is_npm_space);
            if let Some(key) = self.npm_name() {
                return Some(key);
            }
        }
        self.at = start;
        self.npm_name()
    }

    fn npm_name(&mut self) -> Option<Range<usize>> {
        let key = self.skip(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        let is_colon = self.eat(':');
        let blank = self.skip(is_npm_space);
        if is_colon {
            let first = self.text[blank.clone()].chars().next()?;
            let is_pair = self.text[blank.clone()].starts_with("\r\n");
            self.at = blank.start + if is_pair { 2 } else { first.len_utf8() };
        } else if !self.eat('=') {
            return None;
        }
        (!key.is_empty()).then_some(key)
    }

    /// Where the value ends: quoted if quotes fit and nothing but a comment follows them, or else
    /// whatever is left of the line.
    fn npm_value(&self) -> usize {
        let to_first = self.rest().find(|c| !is_npm_space(c));
        let opening = to_first.map(|length| self.at + length);
        let quoted = opening.and_then(|opening| self.npm_quoted(opening));
        quoted.unwrap_or_else(|| {
            let length = self.rest().find(['#', '\r', '\n']);
            length.map_or(self.text.len(), |length| self.at + length)
        })
    }

    /// The last fitting quote wins: the first that no backslash precedes, or an earlier one.
    fn npm_quoted(&self, opening: usize) -> Option<usize> {
        let quote = self.text[opening..].chars().next()?;
        if !matches!(quote, '\'' | '"' | '`') {
            return None;
        }
        let mut candidates = Vec::new();
        let content = &self.text[opening + 1..];
        for (index, _) in content.match_indices(quote) {
            candidates.push(opening + 1 + index + 1);
            if !content[..index].ends_with('\\') {
                break;
            }
        }
        let fits = |&end: &usize| self.npm_tail(end).is_some();
        candidates.into_iter().rev().find(fits)
    }

    /// Where a match ends whose value ends at `from`: white space and a comment, up to a line end.
    fn npm_tail(&self, from: usize) -> Option<usize> {
        let rest = &self.text[from..];
        let blank = rest.find(|c| !is_npm_space(c)).unwrap_or(rest.len());
        let after = &rest[blank..];
        if after.is_empty() {
            Some(self.text.len())
        } else if after.starts_with('#') {
            let length = after.find(is_npm_line_end).unwrap_or(after.len());
            Some(from + blank + length)
        } else {
            rest[..blank].rfind(is_npm_line_end).map(|last| from + last)
        }
    }
}

/// The offset after a byte order mark.
pub(super) fn body_start(text: &str) -> usize {
    const MARK: char = '\u{feff}';
    if text.starts_with(MARK) {
        MARK.len_utf8()
    } else {
        0
    }
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\r' | '\n')
}

fn is_python_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

fn is_python_blank(c: char) -> bool {
    is_python_space(c) && !is_line_end(c)
}

fn is_npm_space(c: char) -> bool {
    (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}'
}

fn is_npm_line_end(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{2028}' | '\u{2029}')
}

/// The offset after the line that `start` is on.
pub(super) fn after_line(text: &str, start: usize) -> usize {
    let length = text[start..].find('\n');
    length.map_or(text.len(), |length| start + length + 1)
}

/// The end of the line from `start` to `after`, without its line ending.
pub(super) fn before_line_ending(text: &str, start: usize, after: usize) -> usize {
    let line = &text[start..after];
    let Some(line) = line.strip_suffix('\n') else {
        return after;
    };
    start + line.strip_suffix('\r').unwrap_or(line).len()
}

//! Where bash sees an assignment when it sources a `.env`.
//!
//! The shell's grammar has no end; this follows it through what stands in such files: words,
//! quotes, substitutions, comments, lists and redirections. Where a line is no shell text at all,
//! bash stops reading, and so does this. Where bash would go on in a way that is not followed here
//! (a compound command, a here-document, another option), the rest is opaque: nobody can say what
//! is assigned there.

use std::ops::Range;

use super::readers::{Site, before_line_ending};

/// What bash sees in a text.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) sites: Vec<Site>,
    /// Text that may change variables it names, other than by `NAME=value`.
    pub(super) touched: Vec<Range<usize>>,
    pub(super) reach: Reach,
}

/// How far bash can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// To the end.
    All,
    /// To this offset, where a syntax error ends its reading.
    Stops(usize),
    /// To this offset, where it begins to read what this module does not follow.
    Opaque(usize),
}

const DECLARING: [&str; 5] = ["export", "readonly", "declare", "typeset", "local"];
const NAMING: [&str; 8] = [
    "unset",
    "read",
    "mapfile",
    "readarray",
    "printf",
    "let",
    "eval",
    "getopts",
];
const COMPOUND: [&str; 10] = [
    "if", "for", "while", "until", "case", "select", "function", "coproc", "{", "[[",
];
const LEAVING: [&str; 3] = ["return", "exit", "exec"];
const CLOSING: [&str; 8] = ["then", "else", "elif", "fi", "do", "done", "esac", "}"];

/// Follows bash through `text`.
pub(super) fn follow(text: &str) -> Shell {
    let mut lexer = Lexer::new(text);
    let reach = match lexer.run() {
        Ok(()) => Reach::All,
        Err(reach) => reach,
    };
    let limit = match reach {
        Reach::All => text.len(),
        Reach::Stops(at) | Reach::Opaque(at) => at,
    };
    lexer.touched.retain(|range| range.start < limit);
    Shell {
        sites: lexer.sites,
        touched: lexer.touched,
        reach,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// `"…"`
    Double,
    /// `${…}`, and whether a single quote is just a character in it.
    Brace { in_double: bool },
    /// `$(…)`, `<(…)`, `(…)` and the words of an array.
    Paren,
}

/// What the grammar wants next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Anything,
    /// After `<` or `>`.
    File,
    /// After `&&`, `||` or `|`, on the next line if need be.
    Command,
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    modes: Vec<Mode>,
    /// Where the command line began that is being read.
    line: usize,
    /// Where the word began that is being read.
    word: Option<usize>,
    /// The words of the command that is being read.
    words: Vec<Range<usize>>,
    /// The names assigned to on this command line.
    pending: Vec<Range<usize>>,
    expects: Expected,
    /// Whether the command runs in a pipe, or only if another one did or did not fail.
    is_conditional: bool,
    /// Whether the command may do without words.
    is_redirected: bool,
    has_here_document: bool,
    sites: Vec<Site>,
    touched: Vec<Range<usize>>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            modes: Vec::new(),
            line: 0,
            word: None,
            words: Vec::new(),
            pending: Vec::new(),
            expects: Expected::Anything,
            is_conditional: false,
            is_redirected: false,
            has_here_document: false,
            sites: Vec::new(),
            touched: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), Reach> {
        while let Some(byte) = self.byte(0) {
            match self.modes.last() {
                None => self.plain(byte)?,
                Some(&mode) => self.nested(mode, byte)?,
            }
        }
        if !self.modes.is_empty() {
            return Err(self.stop());
        }
        self.end_line()
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn stop(&self) -> Reach {
        Reach::Stops(self.line)
    }

    fn plain(&mut self, byte: u8) -> Result<(), Reach> {
        match byte {
            b'\n' => {
                self.end_line()?;
                self.at += 1;
                self.line = self.at;
            }
            b' ' | b'\t' => {
                self.end_word();
                self.at += 1;
            }
            b'#' if self.word.is_none() => self.skip_comment(),
            b';' | b'&' | b'|' => self.operator(byte)?,
            b'<' | b'>' => self.redirection(byte),
            b'(' => self.parenthesis()?,
            b')' => return Err(self.stop()),
            b'\\' if self.byte(1) == Some(b'\n') => self.at += 2,
            _ => {
                self.word.get_or_insert(self.at);
                self.inside_word(byte)?;
            }
        }
        Ok(())
    }

    fn nested(&mut self, mode: Mode, byte: u8) -> Result<(), Reach> {
        match (mode, byte) {
            (Mode::Double, b'"') | (Mode::Brace { .. }, b'}') | (Mode::Paren, b')') => {
                self.modes.pop();
                self.at += 1;
            }
            (Mode::Double | Mode::Brace { in_double: true }, b'\'') => self.at += 1,
            (Mode::Paren, b'(') => self.enter(Mode::Paren, 1),
            (Mode::Paren, b'#') if self.is_after_blank() => self.skip_comment(),
            _ => self.inside_word(byte)?,
        }
        Ok(())
    }

    /// What means the same in a word, in quotes, and in a substitution.
    fn inside_word(&mut self, byte: u8) -> Result<(), Reach> {
        match (byte, self.byte(1)) {
            (b'\\', _) => self.at = (self.at + 2).min(self.bytes.len()),
            (b'\'', _) => self.skip_single_quoted()?,
            (b'"', _) => self.enter(Mode::Double, 1),
            (b'`', _) => self.skip_backticks()?,
            (b'$', Some(b'$')) => self.at += 2,
            (b'$', Some(b'(')) => self.enter(Mode::Paren, 2),
            (b'$', Some(b'{')) => self.brace(),
            (b'$', Some(b'\'')) if self.modes.last() != Some(&Mode::Double) => {
                self.skip_ansi_quoted()?;
            }
            _ => self.at += 1,
        }
        Ok(())
    }

    fn enter(&mut self, mode: Mode, length: usize) {
        self.modes.push(mode);
        self.at += length;
    }

    /// `` `…` ``, in which a quote is just a character until the whole is run.
    fn skip_backticks(&mut self) -> Result<(), Reach> {
        self.at += 1;
        self.skip_escaped_up_to(b'`')
    }

    /// `${NAME=…}` and `${NAME:=…}` assign.
    fn brace(&mut self) {
        let in_double = self.modes.last() == Some(&Mode::Double);
        self.enter(Mode::Brace { in_double }, 2);
        let name = self.at..self.at + name_length(&self.text[self.at..]);
        let rest = &self.text[name.end..];
        if rest.starts_with('=') || rest.starts_with(":=") {
            self.touched.push(name);
        }
    }

    fn skip_single_quoted(&mut self) -> Result<(), Reach> {
        let content = &self.text[self.at + 1..];
        let length = content.find('\'').ok_or(self.stop())?;
        self.at += 1 + length + 1;
        Ok(())
    }

    /// `$'…'`, in which a backslash escapes.
    fn skip_ansi_quoted(&mut self) -> Result<(), Reach> {
        self.at += 2;
        self.skip_escaped_up_to(b'\'')
    }

    fn skip_escaped_up_to(&mut self, closing: u8) -> Result<(), Reach> {
        loop {
            match self.byte(0) {
                Some(byte) if byte == closing => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(self.stop()),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn skip_comment(&mut self) {
        while self.byte(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn is_after_blank(&self) -> bool {
        let before = self.bytes[..self.at].last();
        before.is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'(' | b'|' | b'&'))
    }

    fn parenthesis(&mut self) -> Result<(), Reach> {
        let Some(word) = self.word else {
            let is_command = self.words.is_empty();
            return Err(if is_command {
                Reach::Opaque(self.line)
            } else {
                self.stop()
            });
        };
        let so_far = &self.text[word..self.at];
        let follows = self.text[self.at + 1..].trim_start_matches([' ', '\t']);
        if assigned_name(so_far).is_some() && so_far.ends_with('=') {
            self.enter(Mode::Paren, 1);
            Ok(())
        } else if follows.starts_with(')') && self.words.is_empty() {
            Err(Reach::Opaque(self.line))
        } else {
            Err(self.stop())
        }
    }

    fn operator(&mut self, byte: u8) -> Result<(), Reach> {
        self.end_word();
        if self.expects == Expected::File || (self.words.is_empty() && !self.is_redirected) {
            return Err(self.stop());
        }
        self.end_command()?;
        let is_list = matches!(
            (byte, self.byte(1)),
            (b'&', Some(b'&')) | (b'|', Some(b'|' | b'&'))
        );
        self.at += if is_list { 2 } else { 1 };
        self.is_conditional = is_list || byte == b'|';
        self.expects = if self.is_conditional {
            Expected::Command
        } else {
            Expected::Anything
        };
        Ok(())
    }

    fn redirection(&mut self, byte: u8) {
        self.end_word();
        let rest = &self.text[self.at..];
        let is_substitution = self.byte(1) == Some(b'(');
        if is_substitution {
            self.word = Some(self.at);
            self.enter(Mode::Paren, 2);
            return;
        }
        self.has_here_document |= rest.starts_with("<<") && !rest.starts_with("<<<");
        let is_of_operator = |&c: &char| c == char::from(byte) || matches!(c, '&' | '|' | '>');
        self.at += 1 + rest[1..].chars().take(2).take_while(is_of_operator).count();
        self.expects = Expected::File;
    }

    fn end_word(&mut self) {
        let Some(start) = self.word.take() else {
            return;
        };
        if self.expects == Expected::File {
            self.is_redirected = true;
        } else {
            self.words.push(start..self.at);
        }
        self.expects = Expected::Anything;
    }

    fn end_line(&mut self) -> Result<(), Reach> {
        self.end_word();
        match self.expects {
            Expected::Anything => {}
            Expected::File => return Err(self.stop()),
            Expected::Command => return Err(Reach::Opaque(self.line)),
        }
        self.end_command()?;
        self.is_conditional = false;
        if self.has_here_document {
            return Err(Reach::Opaque(self.line));
        }
        let line = self.bytes[..self.at]
            .iter()
            .rposition(|&byte| byte == b'\n');
        let after = (self.at + 1).min(self.bytes.len());
        let end = before_line_ending(self.text, line.map_or(0, |line| line + 1), after);
        let site = |key| Site { key, end };
        self.sites.extend(self.pending.drain(..).map(site));
        Ok(())
    }

    /// Looks at the words of a command for what they assign.
    fn end_command(&mut self) -> Result<(), Reach> {
        let words = std::mem::take(&mut self.words);
        self.is_redirected = false;
        let mut rest = words.as_slice();
        while let [word, others @ ..] = rest
            && self.assignment(word, others)
        {
            rest = others;
        }
        let [command, arguments @ ..] = rest else {
            return Ok(());
        };
        let name = &self.text[command.clone()];
        if CLOSING.contains(&name) {
            return Err(self.stop());
        }
        if COMPOUND.contains(&name) || LEAVING.contains(&name) {
            return Err(Reach::Opaque(self.line));
        }
        if name == "set" && !self.only_exports(arguments) {
            return Err(Reach::Opaque(self.line));
        }
        if DECLARING.contains(&name) {
            let mut rest = arguments;
            while let [argument, others @ ..] = rest {
                if !self.assignment(argument, others) {
                    self.touched.push(argument.clone());
                }
                rest = others;
            }
        } else if NAMING.contains(&name) || name.contains(['\\', '\'', '"', '$', '`']) {
            self.touched.extend_from_slice(arguments);
        }
        Ok(())
    }

    /// Whether `set` with these arguments does no more than `set -a`, which is in force already.
    /// Anything else may stop the exports, or end the reading at the next command that fails.
    fn only_exports(&self, arguments: &[Range<usize>]) -> bool {
        let arguments: Vec<_> = arguments.iter().map(|it| &self.text[it.clone()]).collect();
        matches!(arguments[..], [] | ["-a"] | ["-o", "allexport"])
    }

    /// Notes what `word` assigns to, if anything. `NAME = value` is no assignment for bash, but it
    /// stands where the other readers see one.
    fn assignment(&mut self, word: &Range<usize>, others: &[Range<usize>]) -> bool {
        let text = &self.text[word.clone()];
        let is_spaced = others
            .first()
            .is_some_and(|next| self.text[next.clone()].starts_with('='));
        let name = match assigned_name(text) {
            Some(name) => name,
            None if is_spaced && !text.is_empty() && name_length(text) == text.len() => text,
            None => return false,
        };
        let key = word.start..word.start + name.len();
        let follows = &text[name.len()..];
        if !self.is_conditional && (follows.is_empty() || follows.starts_with('=')) {
            self.pending.push(key);
        } else {
            self.touched.push(key);
        }
        true
    }
}

/// The name in `NAME=…`, `NAME+=…` and `NAME[…`.
fn assigned_name(word: &str) -> Option<&str> {
    let (name, follows) = word.split_at(name_length(word));
    let assigns = ["=", "+=", "["]
        .into_iter()
        .any(|operator| follows.starts_with(operator));
    (assigns && !name.is_empty()).then_some(name)
}

fn name_length(text: &str) -> usize {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c| !is_in_name(c)).unwrap_or(text.len())
}

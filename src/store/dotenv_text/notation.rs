//! How a value is written so that all four readers read back exactly that value.
//!
//! Found by experiment with dotenvy 0.15, python-dotenv 1.2, npm dotenv 17 and 18, and bash 5.2:
//!
//! | notation     | carries                             | what it does not carry, and who minds           |
//! |--------------|-------------------------------------|-------------------------------------------------|
//! | `KEY=value`  | `A–Z a–z 0–9 _ - . ~ + / = :`       | `~` at the beginning and after `:` (bash        |
//! |              |                                     | expands it)                                     |
//! | `KEY='value'`| anything else, line feeds included  | `'`; `\\` (python-dotenv halves it); `\` at the |
//! |              |                                     | end (it escapes the quote for dotenvy and       |
//! |              |                                     | python-dotenv); `${name}` (python-dotenv fills  |
//! |              |                                     | it in, whatever the quotes)                     |
//! | `KEY="value"`| the same with `'`                   | `"`, `` ` ``, `$` and `\` (npm dotenv keeps     |
//! |              |                                     | the backslash that escapes them for the others) |
//! | none         |                                     | NUL (bash drops it); a carriage return          |
//! |              |                                     | (python-dotenv and npm dotenv make it a line    |
//! |              |                                     | feed)                                           |
//!
//! Older releases of python-dotenv read `KEY= # comment` as a value, so an empty value is quoted
//! where a comment follows.

/// `value` as it stands after `KEY=`, or nothing if no notation carries it through every reader.
pub(super) fn write(value: &str, comment_follows: bool) -> Option<String> {
    let is_carried_by_none = |c| matches!(c, '\0' | '\r');
    if value.is_empty() {
        Some(if comment_follows { "''" } else { "" }.to_owned())
    } else if is_bare(value) {
        Some(value.to_owned())
    } else if value.contains(is_carried_by_none) || is_interpolated(value) {
        None
    } else if is_single_quotable(value) {
        Some(format!("'{value}'"))
    } else if is_double_quotable(value) {
        Some(format!("\"{value}\""))
    } else {
        None
    }
}

fn is_bare(value: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.~+/=:".contains(c);
    value.chars().all(is_plain) && !value.starts_with('~') && !value.contains(":~")
}

fn is_interpolated(value: &str) -> bool {
    let opening = value.find("${");
    opening.is_some_and(|opening| value[opening..].contains('}'))
}

fn is_single_quotable(value: &str) -> bool {
    !value.contains('\'') && !value.contains(r"\\") && !value.ends_with('\\')
}

fn is_double_quotable(value: &str) -> bool {
    !value.contains(['"', '\\', '$', '`'])
}

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn a_value_is_written_in_the_first_notation_that_carries_it() {
        let table = [
            ("", Some("")),
            ("Y2lz_-.~+/=", Some("Y2lz_-.~+/=")),
            ("==x", Some("==x")),
            ("-x", Some("-x")),
            ("~x", Some("'~x'")),
            ("a b", Some("'a b'")),
            ("a#b", Some("'a#b'")),
            ("2026-01-01T00:00:00Z", Some("2026-01-01T00:00:00Z")),
            ("a:~b", Some("'a:~b'")),
            ("a\nb", Some("'a\nb'")),
            ("$HOME", Some("'$HOME'")),
            ("`x` $(y)", Some("'`x` $(y)'")),
            (r"a\b", Some(r"'a\b'")),
            ("é\u{2028}", Some("'é\u{2028}'")),
            ("it's", Some("\"it's\"")),
            ("it's\nso", Some("\"it's\nso\"")),
            ("it's \"so\"", None),
            ("it's $5", None),
            ("it's `so`", None),
            (r"it's \n", None),
            (r"a\\b", None),
            (r"a\", None),
            ("${HOME}", None),
            ("a\rb", None),
            ("a\0b", None),
        ];
        for (value, written) in table {
            assert_eq!(write(value, false).as_deref(), written, "{value:?}");
        }
        assert_eq!(write("", true).as_deref(), Some("''"));
    }
}

//! What people paste into a field: values, placeholders, and values with something around them.

use super::problem::ProblemKind;

/// How placeholders begin, in our template and in those found in the wild.
const PLACEHOLDERS: [&str; 14] = [
    "<",
    "{{",
    "${",
    "your_",
    "your-",
    "your ",
    "replace",
    "changeme",
    "change_me",
    "change-me",
    "insert_",
    "insert-",
    "paste_",
    "paste-",
];

/// Judges the value of a field, not empty, and without the white space around it.
///
/// Every id, secret and token of Webex, and every URL, is visible ASCII.
pub(super) fn check(value: &str) -> Result<(), ProblemKind> {
    let is_mark = |c| {
        matches!(
            c,
            '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’' | '«' | '»'
        )
    };
    if is_placeholder(value) {
        Err(ProblemKind::Placeholder)
    } else if value.starts_with(is_mark) || value.ends_with(is_mark) {
        Err(ProblemKind::Quoted)
    } else if !value.chars().all(|c| c.is_ascii_graphic()) {
        Err(ProblemKind::StrayCharacter)
    } else {
        Ok(())
    }
}

fn is_placeholder(value: &str) -> bool {
    let value = value.to_lowercase();
    let is_filler = |c| matches!(c, 'x' | '.' | '…' | '*' | '_' | '-');
    value.chars().all(is_filler)
        || matches!(value.as_str(), "todo" | "tbd" | "placeholder")
        || value.ends_with("_here")
        || PLACEHOLDERS.iter().any(|start| value.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::ProblemKind::*;
    use super::*;

    #[test]
    fn a_value_is_told_from_what_only_looks_like_one() {
        let table = [
            ("C0ffee00112233445566778899aabbccddeeff0", Ok(())),
            ("Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi94_-+/=", Ok(())),
            ("1eb65fdf-9643-417f-9974-ad72cae0e10f", Ok(())),
            ("https://webexapis.com/v1", Ok(())),
            ("xylophone", Ok(())),
            ("Yourself", Ok(())),
            ("a\"b", Ok(())),
            ("YOUR_SERVICE_APP_ID", Err(Placeholder)),
            ("your-client-id", Err(Placeholder)),
            ("Your client secret", Err(Placeholder)),
            ("<client secret of the service app>", Err(Placeholder)),
            ("{{ client_id }}", Err(Placeholder)),
            ("${CLIENT_ID}", Err(Placeholder)),
            ("REPLACE_ME", Err(Placeholder)),
            ("replace with your token", Err(Placeholder)),
            ("CHANGEME", Err(Placeholder)),
            ("change-me", Err(Placeholder)),
            ("INSERT_TOKEN_HERE", Err(Placeholder)),
            ("paste_token_here", Err(Placeholder)),
            ("xxxx", Err(Placeholder)),
            ("XXXX-XXXX", Err(Placeholder)),
            ("...", Err(Placeholder)),
            ("…", Err(Placeholder)),
            ("***", Err(Placeholder)),
            ("TODO", Err(Placeholder)),
            ("CLIENT_ID_HERE", Err(Placeholder)),
            ("\"C0ffee\"", Err(Quoted)),
            ("'C0ffee'", Err(Quoted)),
            ("C0ffee\"", Err(Quoted)),
            ("“C0ffee”", Err(Quoted)),
            ("C0f fee", Err(StrayCharacter)),
            ("C0f\nfee", Err(StrayCharacter)),
            ("C0f\u{0}fee", Err(StrayCharacter)),
            ("C0f\u{200b}fee", Err(StrayCharacter)),
            ("Bearer C0ffee", Err(StrayCharacter)),
        ];
        for (value, expected) in table {
            assert_eq!(check(value), expected, "{value:?}");
        }
    }
}

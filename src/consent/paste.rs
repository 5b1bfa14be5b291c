//! What a person has pasted: a text in, the query of the redirect out. Pure.
//!
//! People paste the whole address, or a piece of it, with what their mail, chat or terminal has put
//! around it. What is missing from a piece cannot be made up, so each slip gets its own words.

use super::callback::Parameters;

/// Why a pasted text has no answer in it. None of it is quoted: a code may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasteError {
    /// There is nothing in it.
    #[error("nothing was pasted; copy the whole address of the page that the browser ended on")]
    Nothing,
    /// A code, or an error, without its `state`.
    #[error(
        "the `state` is missing, without which nobody can tell whose answer this is; \
         paste the whole address, from http to its end"
    )]
    NoState,
    /// The address of Webex's consent page, or of its sign-in.
    #[error(
        "this is the address to open, not the one the browser ends on; \
         open it, sign in, choose, and paste the address that is shown then"
    )]
    AuthorizeUrl,
    /// An address or a text that has nothing to do with it.
    #[error(
        "there is no `code` in this; \
         paste the address of the page that the browser ended on, even if it could not be shown"
    )]
    SomethingElse,
}

/// Finds the query of a redirect in what a person has pasted: the whole address, with or without its
/// scheme, or `code=…&state=…`; in quotes, in `<>`, or broken into lines.
///
/// Whether it is the right answer is for [`Authorization::read`](super::Authorization::read).
///
/// # Errors
///
/// It is something else, or a piece is missing.
pub fn pasted(text: &str) -> Result<String, PasteError> {
    use PasteError::*;
    let is_wrapping = |c: char| is_blank(c) || "\"'`<>()[]“”‘’«»".contains(c);
    let text = text.trim_matches(is_wrapping);
    if text.is_empty() {
        return Err(Nothing);
    }
    let is_one_word = !text.contains(is_blank);
    // No address has a blank in it: it is where a line was broken.
    let text = text.replace(is_blank, "");
    let query = text
        .split_once(['?', '#'])
        .map_or(text.as_str(), |(_, query)| query);
    let parameters = Parameters::of(query);
    let answers = parameters.has("code") || parameters.has("error");
    if parameters.has("response_type") || parameters.has("client_id") {
        Err(AuthorizeUrl)
    } else if answers && parameters.has("state") {
        Ok(query.to_owned())
    } else if answers || is_one_word && looks_like_a_code(&text) {
        Err(NoState)
    } else {
        Err(SomethingElse)
    }
}

/// What separates or ends a text without being part of it, as no address can have it.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}')
}

/// Webex's codes are one long word of letters and digits.
fn looks_like_a_code(text: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    text.len() >= 16 && text.chars().all(is_inside)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::PasteError::*;
    use super::*;

    #[test]
    fn a_person_may_paste_what_is_at_hand() {
        const QUERY: &str = "code=abc&state=xyz";
        let table = [
            (
                "http://localhost:3000/callback?code=abc&state=xyz",
                Ok(QUERY),
            ),
            ("localhost:3000/callback?code=abc&state=xyz", Ok(QUERY)),
            ("https://example.com/?code=abc&state=xyz", Ok(QUERY)),
            (
                "http://localhost:3000/callback#code=abc&state=xyz",
                Ok(QUERY),
            ),
            ("com.example.app:/callback?code=abc&state=xyz", Ok(QUERY)),
            ("code=abc&state=xyz", Ok(QUERY)),
            ("?code=abc&state=xyz", Ok(QUERY)),
            ("  \"http://localhost/?code=abc&state=xyz\"\r\n", Ok(QUERY)),
            ("<http://localhost/?code=abc&state=xyz>", Ok(QUERY)),
            ("“'http://localhost/?code=abc&state=xyz'”", Ok(QUERY)),
            ("\u{feff}`code=abc&state=xyz`\0", Ok(QUERY)),
            ("http://localhost/?code=a\n   bc&sta\r\nte=xyz", Ok(QUERY)),
            (
                "http://localhost/?state=xyz&error=access_denied",
                Ok("state=xyz&error=access_denied"),
            ),
            (
                "http://localhost/?code=a%2Bb&state=xyz#_=_",
                Ok("code=a%2Bb&state=xyz#_=_"),
            ),
            ("", Err(Nothing)),
            (" \"\" \n", Err(Nothing)),
            ("http://localhost:3000/callback?code=abc", Err(NoState)),
            ("code=abc&state=", Err(NoState)),
            ("error=access_denied", Err(NoState)),
            ("MDM0NjhhNzMtMDdiNy00ZWUwLTk2ZTkt", Err(NoState)),
            (" '4dd2b06a-0f0c-4bb3-9a59-1c6d9d5c3d0e' ", Err(NoState)),
            (
                "https://webexapis.com/v1/authorize?response_type=code&client_id=C1&state=xyz",
                Err(AuthorizeUrl),
            ),
            (
                "https://idbroker.webex.com/idb/saml2?client_id=C1&code=abc&state=xyz",
                Err(AuthorizeUrl),
            ),
            ("http://localhost:3000/callback", Err(SomethingElse)),
            ("https://developer.webex.com/?state=xyz", Err(SomethingElse)),
            ("y", Err(SomethingElse)),
            ("I have clicked on Allow, and now what?", Err(SomethingElse)),
            ("I have clicked Allow", Err(SomethingElse)),
            ("code", Err(SomethingElse)),
        ];
        for (text, expected) in table {
            assert_eq!(pasted(text), expected.map(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn every_slip_says_what_to_do() {
        for slip in [Nothing, NoState, AuthorizeUrl, SomethingElse] {
            assert!(slip.to_string().contains("; "), "{slip}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            text in prop_oneof![any::<String>(), "([?#&=%+ ]|state|code|error|[a-f0-9]){0,30}"]
        ) {
            let _ = pasted(&text);
        }

        #[test]
        fn what_stands_around_an_answer_changes_nothing(
            before in "[ <\"'`\\n\\t]{0,5}", after in "[ >\"'`\\n\\t]{0,5}", code in "[a-zA-Z0-9]{1,90}"
        ) {
            let query = format!("code={code}&state=xyz");
            let text = format!("{before}http://localhost:3000/callback?{query}{after}");
            prop_assert_eq!(pasted(&text), Ok(query));
        }
    }
}

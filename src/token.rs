//! The secrets, each a type of its own, and their fingerprints.
//!
//! The plaintext leaves through `expose` alone: to the request being sent and to the file being
//! written. Nothing here has `Display`, `Serialize` or `PartialEq`; two secrets are compared by
//! [`Fingerprint`].

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// Wraps the plaintext.
            #[must_use]
            pub fn new(plaintext: impl Into<String>) -> Self {
                Self(SecretString::from(plaintext.into()))
            }

            /// The plaintext: for a request or the store, nowhere else.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }

            /// The secret, still closed: for whoever must recognize it in a text.
            #[allow(dead_code, reason = "not every secret can come back in a text")]
            pub(crate) fn closed(&self) -> SecretString {
                self.0.clone()
            }

            /// What tells this secret from another without revealing it.
            #[must_use]
            pub fn fingerprint(&self) -> Fingerprint {
                Fingerprint::of(self.expose())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([REDACTED])"))
            }
        }
    };
}

secret! {
    /// A bearer token for Webex API calls (RFC 6750): a service app's, an integration's, or a
    /// personal access token.
    AccessToken
}
secret! {
    /// A refresh token (RFC 6749 §1.5).
    RefreshToken
}
secret! {
    /// A client secret (RFC 6749 §2.3.1).
    ClientSecret
}
secret! {
    /// An authorization code (RFC 6749 §4.1.2): it lives for minutes, is spent once, and is worth
    /// nothing without the client secret and the [`CodeVerifier`].
    AuthorizationCode
}
secret! {
    /// A code verifier (RFC 7636 §4.1): whoever exchanges the code proves by it that it was they who
    /// asked for the code.
    CodeVerifier
}
secret! {
    /// A device code (RFC 8628 §3.2): with it the client polls for what the person decides.
    DeviceCode
}

/// The first 128 bits of a secret's SHA-256, in hexadecimal.
///
/// Dates are stored with the fingerprint of the token they belong to, so that a token pasted in by
/// hand is simply unknown. Webex's secrets have far more entropy than could be searched for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// How many characters a fingerprint has.
    pub const LEN: usize = 32;

    /// The fingerprint of `secret`.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        use fmt::Write as _;
        let digest = Sha256::new()
            .chain_update(b"webex-tokens fingerprint\0")
            .chain_update(secret)
            .finalize();
        let mut hex = String::with_capacity(Self::LEN);
        for byte in &digest[..Self::LEN / 2] {
            write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
        }
        Self(hex)
    }

    /// Reads back what [`Fingerprint::as_str`] gave; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        (text.len() == Self::LEN && text.chars().all(hex)).then(|| Self(text.to_owned()))
    }

    /// The hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text, with `[…]` for each word that looks like a token or a client secret, or is a JWS.
///
/// A server may quote a token that nobody here has seen, such as one it has just issued and failed
/// to hand over. Webex's are made of a long run of letters and digits; its UUIDs, tracking ids and
/// the encoded ids of its resources are told apart.
pub(crate) fn without_tokens(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(in_word) {
        let (before, from) = rest.split_at(start);
        let jws = jws_len(from);
        let (word, after) = from.split_at(jws.unwrap_or_else(|| word_len(from)));
        shown.push_str(before);
        shown.push_str(if jws.is_some() || looks_like_a_token(word) {
            "[…]"
        } else {
            word
        });
        rest = after;
    }
    shown + rest
}

/// What tokens are made of.
fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-+".contains(c)
}

/// How long the word is that a text begins with.
fn word_len(text: &str) -> usize {
    text.find(|c| !in_word(c)).unwrap_or(text.len())
}

/// How long the compact JWS is that a text begins with (RFC 7515 §3.1): two objects, encoded, and
/// what may be a signature; `None` where there is none.
fn jws_len(text: &str) -> Option<usize> {
    let after_object = |text| {
        let (part, after) = str::split_at(text, word_len(text));
        let decoded = URL_SAFE_NO_PAD.decode(part).ok()?;
        let is_object = decoded.trim_ascii_start().starts_with(b"{");
        after.strip_prefix('.').filter(|_| is_object)
    };
    let signature = after_object(after_object(text)?)?;
    Some(text.len() - signature.len() + word_len(signature))
}

/// What is shown of a text that came from outside: one line of at most 300 characters, without what
/// looks like a token and without what a terminal would obey instead of showing it.
pub(crate) fn one_line(text: &str) -> String {
    plain_line(&without_tokens(text))
}

/// The same for what a person is meant to use, such as an address with a code in it: nothing is left
/// out of it.
pub(crate) fn plain_line(text: &str) -> String {
    const MOST: usize = 300;
    let line: String = tamed(text).chars().take(MOST).collect();
    line.trim().to_owned()
}

/// The text with a space for whatever a terminal would obey instead of showing it, however long.
pub(crate) fn tamed(text: &str) -> String {
    let tame = |c| if steers(c) { ' ' } else { c };
    text.chars().map(tame).collect()
}

/// The same JSON with an escape for whatever a terminal would obey: it says what it said before.
pub(crate) fn escaped(json: &str) -> String {
    use fmt::Write as _;
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        // A line break stands between values; the others stand within strings alone, and each is one
        // unit of UTF-16.
        if steers(c) && c != '\n' {
            write!(shown, "\\u{:04x}", u32::from(c)).expect("writing to a string cannot fail");
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character does something to a terminal instead of being shown: controls, line
/// separators, what turns the direction of writing, and what has no width.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{61c}'
                | '\u{feff}'
        )
}

fn looks_like_a_token(word: &str) -> bool {
    const SHORTEST: usize = 24;
    // `ciscospark://`, encoded: an id, such as an application's.
    const ID: &str = "Y2lzY29zcGFyazov";
    !word.starts_with(ID)
        && word.split('-').any(|run| {
            run.len() >= SHORTEST
                && run.contains(|c: char| c.is_ascii_digit())
                && run.contains(|c: char| c.is_ascii_alphabetic())
        })
}

/// What a grant or a mint returned (RFC 6749 §5.1, with Webex's `refresh_token_expires_in`).
#[derive(Clone, Debug)]
pub struct Issued {
    /// The new access token.
    pub access_token: AccessToken,
    /// How long it lives, from the reply; `None` where the reply did not say.
    pub expires_in: Option<SignedDuration>,
    /// The new refresh token; `None` where the old one stays.
    pub refresh_token: Option<RefreshToken>,
    /// How long the refresh token lives from now on, from the reply.
    pub refresh_token_expires_in: Option<SignedDuration>,
    /// When the reply arrived.
    pub issued_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let token = AccessToken::new("NGFkYzQ1canary");
        assert_eq!(format!("{token:?}"), "AccessToken([REDACTED])");
    }

    #[test]
    fn words_that_look_like_tokens_are_left_out() {
        let token = "MDM0NjhhNzMtMDdiNy00ZWUwLTk2ZTkt_PE93_1eb65fdf-9643-417f-9974-ad72cae0e10f";
        let secret = "f6b19c4db74c1d327733c0bd180dbf9457ddfd5c7833e8c761d48e9913c81ddd";
        assert_eq!(
            without_tokens(&format!("no {token}: {secret}.")),
            "no […]: […]."
        );
        for plain in [
            "",
            "…",
            "eyJ.eyJ.eyJ",
            "eyJhbGciOiJSUzI1NiJ9.e30",
            "v1.2.3.4",
            "ROUTER_1420d3bb-ebe8-4075-aa92-01e44e2f5845",
            "the scope spark-admin:datasource_read is missing, see https://developer.webex.com/docs",
            "Y2lzY29zcGFyazovL3VzL0FQUExJQ0FUSU9OL0MxMjM0NTY3ODkw",
        ] {
            assert_eq!(without_tokens(plain), plain);
        }
    }

    #[test]
    fn a_jws_is_left_out_however_short_its_parts_are() {
        let jws = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";
        for (text, shown) in [
            (jws.to_owned(), "[…]"),
            (format!("no {jws}."), "no […]."),
            (format!("({jws}), x.{jws}.y"), "([…]), x.[…].y"),
            ("eyJhbGciOiJub25lIn0.e30.".to_owned(), "[…]"),
            ("ewogImEiOjF9.IHt9.é".to_owned(), "[…]é"),
        ] {
            assert_eq!(without_tokens(&text), shown, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_one_bounded_line_that_steers_nothing() {
        let table = [
            ("  a scope is missing\n", "a scope is missing"),
            ("a\r\nb\u{2028}c", "a  b c"),
            ("\u{1b}[2Ja\u{9b}b\u{7f}", "[2Ja b"),
            ("\u{202e}a\u{2066}b\u{200f}c\u{61c}d\u{feff}", "a b c d"),
            ("", ""),
            (
                "no f6b19c4db74c1d327733c0bd180dbf9457ddfd5c7833e8c761d48e9913c81ddd",
                "no […]",
            ),
        ];
        for (text, shown) in table {
            assert_eq!(one_line(text), shown, "{text:?}");
        }
        assert_eq!(one_line(&"é".repeat(1000)), "é".repeat(300));
    }

    #[test]
    fn escaped_json_steers_nothing_and_says_the_same() {
        let text = "\u{1b}[2J\u{9b}\u{85}\u{2028}\u{202e}\u{7f}\u{feff}\r\n\té😀";
        let json = serde_json::to_string_pretty(&[text, "b"]).expect("JSON");
        let shown = escaped(&json);
        assert!(!shown.contains(|c| steers(c) && c != '\n'), "{shown:?}");
        let said: Vec<String> = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(said, [text, "b"]);
    }

    #[test]
    fn a_fingerprint_tells_secrets_apart_and_survives_its_text() {
        let one = RefreshToken::new("one").fingerprint();
        assert_eq!(one, Fingerprint::of("one"));
        assert_ne!(one, Fingerprint::of("two"));
        assert_eq!(Fingerprint::parse(one.as_str()), Some(one));
        assert_eq!(Fingerprint::parse("ABC"), None);
    }
}

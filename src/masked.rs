//! What may be shown of a URL. Pure.
//!
//! URLs lose their user info, query and fragment, where secrets are put, and of their path what is a
//! JWS or looks like a token.

use std::borrow::Cow;

use url::Url;

use crate::token::without_tokens;

/// What stands for what is not shown.
const MASK: &str = "***";

/// The URL with its user info, query and fragment masked: `https://***@host/path?***#***`; likewise
/// each segment of its path that is a secret by its form.
///
/// A text that has none of them is given back as it is, one that is no URL included.
#[must_use]
pub fn masked_url(text: &str) -> Cow<'_, str> {
    match Url::parse(text) {
        Ok(url) if !is_url(&url, text) => Cow::Borrowed(text),
        Ok(url) => masked(url).map_or(Cow::Borrowed(text), Cow::Owned),
        Err(_) => masked_by_hand(text).map_or(Cow::Borrowed(text), Cow::Owned),
    }
}

/// The text with every URL in it masked as [`masked_url`] does.
#[must_use]
pub fn masked_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    // A URL with a space in it is one as a whole, until one in it is masked and again after that.
    let text = masked_url(text);
    let mut rest = &*text;
    while let Some(slashes) = rest.find("://") {
        let start = rest[..slashes].trim_end_matches(in_scheme).len();
        let end = rest[slashes..]
            .find(char::is_whitespace)
            .map_or(rest.len(), |end| slashes + end);
        shown.push_str(&rest[..start]);
        shown.push_str(&masked_url(&rest[start..end]));
        rest = &rest[end..];
    }
    shown.push_str(rest);
    masked_url(&shown).into_owned()
}

/// What schemes are made of (RFC 3986 §3.1).
fn in_scheme(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+-.".contains(c)
}

/// Whether the text is the address of a host, and nothing else.
#[must_use]
pub fn is_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.is_special() && is_url(&url, text))
}

/// Whether a text that parses as a URL was meant as one: `Note: why?` parses, too.
fn is_url(url: &Url, text: &str) -> bool {
    url.has_authority() || !text.trim().contains(char::is_whitespace)
}

/// The URL with what is secret in it masked; `None` where nothing is.
fn masked(mut url: Url) -> Option<String> {
    let has_user_info = !url.username().is_empty() || url.password().is_some();
    // What has no slashes has no segments.
    let path = masked_path(url.path()).filter(|_| !url.cannot_be_a_base());
    let is_plain = !has_user_info && url.query().is_none() && url.fragment().is_none();
    if is_plain && path.is_none() {
        return None;
    }
    if let Some(path) = path {
        url.set_path(&path);
    }
    if has_user_info {
        // Only a URL with a host has user info, so that neither can fail.
        let _ = url.set_password(None);
        let _ = url.set_username(MASK);
    }
    let query = url.query().map(|_| MASK);
    url.set_query(query);
    let fragment = url.fragment().map(|_| MASK);
    url.set_fragment(fragment);
    Some(url.into())
}

/// The path with each segment masked that is a JWS or looks like a token; `None` where none is.
///
/// An id may look like one and stays: a UUID, and the encoded ones of Webex.
fn masked_path(path: &str) -> Option<String> {
    let is_secret = |segment: &str| without_tokens(segment) != segment;
    let segments = path.split('/');
    let shown = segments.map(|it| if is_secret(it) { MASK } else { it });
    let shown = shown.collect::<Vec<_>>().join("/");
    (shown != path).then_some(shown)
}

/// The same for what begins like a URL and cannot be parsed, as with a port that is none.
///
/// All that may be user info is taken for it: nobody can tell where the host of such a URL ends.
fn masked_by_hand(text: &str) -> Option<String> {
    /// Those that a host follows also where the slashes are forgotten.
    const SPECIAL: [&str; 5] = ["https", "http", "wss", "ws", "ftp"];
    let (scheme, rest) = text.split_once(':')?;
    let host = rest.trim_start_matches(['/', '\\']);
    let (slashes, rest) = rest.split_at(rest.len() - host.len());
    let is_url = if slashes.starts_with("//") {
        scheme.chars().all(in_scheme)
    } else {
        let is_scheme = |it: &&str| it.eq_ignore_ascii_case(scheme.trim_start());
        SPECIAL.iter().any(is_scheme) && !rest.contains(char::is_whitespace)
    };
    if !is_url {
        return None;
    }
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (place, tail) = rest.split_at(end);
    let (user_info, place) = match place.rsplit_once('@') {
        Some((_, place)) => ("***@", place),
        None => ("", place),
    };
    let tail = match tail.chars().next() {
        Some('?') => "?***",
        Some(_) => "#***",
        None => "",
    };
    let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let path = masked_path(path).unwrap_or_else(|| path.to_owned());
    let masked = format!("{scheme}:{slashes}{user_info}{host}{path}{tail}");
    (masked != text).then_some(masked)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn user_info_query_and_fragment_are_masked_and_nothing_else() {
        let table = [
            (
                "https://u:p@host.example/a?b=c",
                "https://***@host.example/a?***",
            ),
            (
                "https://u@host.example:8443/a",
                "https://***@host.example:8443/a",
            ),
            ("https://:p@host.example/", "https://***@host.example/"),
            ("wss://host.example/a?b#c", "wss://host.example/a?***#***"),
            ("https://host.example/a#c", "https://host.example/a#***"),
            ("https://host.example/a?", "https://host.example/a?***"),
            ("https:u:p@host.example/?b", "https://***@host.example/?***"),
            (" https://u:p@host.example/", "https://***@host.example/"),
            ("mailto:a@b.example?body=c", "mailto:a@b.example?***"),
            // No port, so that it cannot be parsed, and no reason to show it.
            (
                "https://u:p@host.example:x/a?b=c#d",
                "https://***@host.example:x/a?***",
            ),
            ("https://u:p/w@host.example/", "https://***@host.example/"),
            ("https:u:p@host.example:x/", "https:***@host.example:x/"),
            ("HTTPS:u:p@host.example:x/", "HTTPS:***@host.example:x/"),
            ("wss:/u@host.example:x/?b", "wss:/***@host.example:x/?***"),
            ("https://host.example:x/a#d", "https://host.example:x/a#***"),
            (
                "https://***@host.example/a?***",
                "https://***@host.example/a?***",
            ),
        ];
        for (url, shown) in table {
            assert_eq!(masked_url(url), shown, "{url}");
            assert_eq!(masked_text(url), shown, "{url}");
        }
        for plain in [
            "",
            "callAudioData",
            "HTTPS://Host.Example/@user//a%20b/",
            "wss://[2001:db8::1]:8443/a",
            "https://host.example:x/a",
            "Note: why? #1 is down",
            "50% of a@b?",
            "urn:uuid:5397013b-7920-4ffc-807c-e8a3e0a18f43",
        ] {
            assert_eq!(masked_url(plain), plain);
            assert_eq!(masked_text(plain), plain);
        }
    }

    #[test]
    fn a_secret_in_a_path_is_masked_and_an_id_is_not() {
        let jws = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";
        let token = "MDM0NjhhNzMtMDdiNy00ZWUwLTk2ZTkt_PE93_1eb65fdf-9643-417f-9974-ad72cae0e10f";
        let table = [
            (
                format!("https://h.example/ds/{jws}/in"),
                "https://h.example/ds/***/in",
            ),
            (
                format!("wss://h.example:8443/{jws}?a"),
                "wss://h.example:8443/***?***",
            ),
            (
                format!("https://h.example/{token}"),
                "https://h.example/***",
            ),
            (
                format!("https://h.example/{token}/{jws}/"),
                "https://h.example/***/***/",
            ),
            (
                format!("https://h.example/of:{token};v=1"),
                "https://h.example/***",
            ),
            (format!("x-y://h.example/a/{jws}"), "x-y://h.example/a/***"),
            // No port, so that it cannot be parsed.
            (
                format!("https://h.example:x/a/{jws}/b"),
                "https://h.example:x/a/***/b",
            ),
        ];
        for (url, shown) in table {
            assert_eq!(masked_url(&url), shown, "{url}");
            assert_eq!(masked_text(&format!("no {url}")), format!("no {shown}"));
        }
        for plain in [
            "https://h.example/5397013b-7920-4ffc-807c-e8a3e0a18f43/in",
            "https://h.example/Y2lzY29zcGFyazovL3VzL0FQUExJQ0FUSU9OL0MxMjM0NTY3ODkw/in",
            "https://h.example/com.example.receiver/v1.2.3/a.b.c/contact-center-audio-receiver-2026",
            "https://a1b2c3d4e5f6a7b8c9d0e1f2a3.on.example:8443/ds",
        ] {
            assert_eq!(masked_url(plain), plain);
        }
    }

    #[test]
    fn a_url_is_found_within_a_text() {
        let table = [
            (
                "cannot reach (https://u:p@a.example/?b): why? See <wss://c.example?d>.",
                "cannot reach (https://***@a.example/?*** why? See <wss://c.example/?***",
            ),
            (
                "note: see https://u:p@a.example/?b",
                "note: see https://***@a.example/?***",
            ),
            ("://u:p@a?b ://", "://***@a?***"),
            ("https://a.example/?b secret", "https://a.example/?***"),
            (
                "https://u:p@secret\0\t1:a@a.example/b",
                "https://***@a.example/b",
            ),
        ];
        for (text, shown) in table {
            assert_eq!(masked_text(text), shown, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_canary_survives(
            before in "(\\PC{0,12} )?",
            scheme in "https|wss|ftp|x-y",
            user in "([a-z:%@]{0,6}canary[a-z:%@]{0,4}@)?",
            host in "[a-z]{1,8}(\\.example)?(:[0-9x]{1,6})?",
            path in "(/[a-z@:.]{0,8})?",
            query in "(\\?[a-z/?@=]{0,6}canary[!-~é]{0,6})?",
            fragment in "(#canary)?",
        ) {
            let text = format!("{before}{scheme}://{user}{host}{path}{query}{fragment}");
            let shown = masked_text(&text);
            prop_assert!(!shown.contains("canary"), "{} {}", text, shown);
        }

        #[test]
        fn a_text_without_urls_stays(text in "[a-z?#@ ]{0,40}") {
            prop_assert_eq!(masked_text(&text), text);
        }

        #[test]
        fn nothing_panics(text in "\\PC*|[:/?#@a \\\\]{0,20}") {
            let _ = masked_url(&text);
            let _ = masked_text(&text);
        }
    }
}

//! What came back with a redirect (RFC 6749 §4.1.2): a query in, a [`Callback`] out. Pure.
//!
//! `state` is looked at first. Without the right one nothing is known about who wrote the rest, and
//! no word of it is believed, neither a code nor a refusal.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::token::{AuthorizationCode, Fingerprint, one_line};

/// What the person, or Webex, has answered.
#[derive(Clone, Debug)]
pub enum Callback {
    /// The person has allowed it.
    Code(AuthorizationCode),
    /// The person has refused it (`access_denied`).
    Denied,
    /// Webex has refused the request. Both texts are Webex's, one line each, fit to be shown.
    Refused {
        /// The error code, such as `invalid_scope` (RFC 6749 §4.1.2.1).
        error: String,
        /// What Webex says about it.
        description: Option<String>,
    },
}

/// Why a query does not answer this request. None of it is quoted: a code may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// It has no `state`.
    #[error("has no `state` in it")]
    NoState,
    /// Its `state` is of another request: an old link, or not from Webex.
    #[error("answers another request, as its `state` says")]
    WrongState,
    /// It has `state` alone.
    #[error("has neither a `code` nor an `error` in it")]
    NeitherCodeNorError,
    /// A parameter stands in it twice, which RFC 6749 §3.1 forbids.
    #[error("has the same parameter in it twice")]
    Repeated,
    /// It has both a code and an error, or characters that neither can have.
    #[error("is not in the form that OAuth prescribes")]
    Malformed,
}

/// Reads `query`, which answers the request whose `state` has this fingerprint.
pub(super) fn read(query: &str, state: &Fingerprint) -> Result<Callback, CallbackError> {
    use CallbackError::*;
    let parameters = Parameters::of(query);
    let given = parameters.once("state")?.ok_or(NoState)?;
    // Digests are compared, so that the time this takes tells nothing about the state.
    if Fingerprint::of(&given) != *state {
        return Err(WrongState);
    }
    match (parameters.once("code")?, parameters.once("error")?) {
        (Some(code), None) if code.chars().all(is_visible) => {
            Ok(Callback::Code(AuthorizationCode::new(code)))
        }
        (None, Some(error)) => {
            let description = parameters.once("error_description")?;
            refusal(&error, description.as_deref(), &given)
        }
        (Some(_), _) => Err(Malformed),
        (None, None) => Err(NeitherCodeNorError),
    }
}

fn refusal(error: &str, description: Option<&str>, state: &str) -> Result<Callback, CallbackError> {
    if error == "access_denied" {
        return Ok(Callback::Denied);
    }
    let shown = |text: &str| {
        let text = one_line(&text.replace(state, "[…]"));
        (!text.is_empty()).then_some(text)
    };
    Ok(Callback::Refused {
        error: shown(error).ok_or(CallbackError::Malformed)?,
        description: description.and_then(shown),
    })
}

/// What a code is made of: `VSCHAR` (RFC 6749 §A.11).
fn is_visible(c: char) -> bool {
    matches!(c, ' '..='~')
}

/// The parameters of a redirect, in either place: the code flow has them in the query, and Webex's
/// documentation speaks of a fragment.
pub(super) struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// The parameters in `query`, and in what stands behind a `#`.
    pub(super) fn of(query: &'a str) -> Self {
        let parts = query.trim_start_matches('?').split('#');
        let pairs = parts.flat_map(|part| form_urlencoded::parse(part.as_bytes()));
        // A parameter without a value counts as left out (RFC 6749 §3.1).
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn once(&self, name: &str) -> Result<Option<Cow<'a, str>>, CallbackError> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (first, None) => Ok(first.map(|(_, value)| value.clone())),
            (_, Some(_)) => Err(CallbackError::Repeated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CallbackError::*;
    use super::*;

    /// What was read, in words.
    fn told(query: &str) -> Result<String, CallbackError> {
        read(query, &Fingerprint::of("right")).map(|callback| match callback {
            Callback::Code(code) => format!("code {}", code.expose()),
            Callback::Denied => "denied".to_owned(),
            Callback::Refused { error, description } => {
                format!("{error}: {}", description.as_deref().unwrap_or("-"))
            }
        })
    }

    #[test]
    fn only_an_answer_with_the_right_state_is_read() {
        const SECRET: &str = "f6b19c4db74c1d327733c0bd180dbf9457ddfd5c7833e8c761d48e9913c81ddd";
        let table = [
            ("code=abc&state=right", Ok("code abc")),
            ("state=right&code=abc&session=1&session=2", Ok("code abc")),
            ("?code=abc&state=right", Ok("code abc")),
            ("#code=abc&state=right", Ok("code abc")),
            ("a=b#code=abc&state=right", Ok("code abc")),
            ("code=abc&state=right#_=_", Ok("code abc")),
            ("code=a%2Bb+c%3D&state=r%69ght", Ok("code a+b c=")),
            ("code=%zz&state=right", Ok("code %zz")),
            ("code=abc&error=&state=right", Ok("code abc")),
            ("error=access_denied&state=right", Ok("denied")),
            (
                "error=access_denied&error_description=No&state=right",
                Ok("denied"),
            ),
            (
                "error=invalid_scope&error_description=The+scope+is%0Aunknown&state=right",
                Ok("invalid_scope: The scope is unknown"),
            ),
            ("error=server_error&state=right", Ok("server_error: -")),
            (
                "error=ACCESS_DENIED%1b%5b2J&error_description=%E2%80%AE&state=right",
                Ok("ACCESS_DENIED [2J: -"),
            ),
            (
                "error=e&error_description=state+right&state=right",
                Ok("e: state […]"),
            ),
            (
                concat!(
                    "error=e&error_description=no+",
                    "f6b19c4db74c1d327733c0bd180dbf9457ddfd5c7833e8c761d48e9913c81ddd",
                    "&state=right"
                ),
                Ok("e: no […]"),
            ),
            ("", Err(NoState)),
            ("code=abc", Err(NoState)),
            ("code=abc&state=", Err(NoState)),
            ("error=access_denied", Err(NoState)),
            ("code=abc&State=right", Err(NoState)),
            ("code=abc&state=wrong", Err(WrongState)),
            ("code=abc&state=righ", Err(WrongState)),
            ("code=abc&state=right+", Err(WrongState)),
            ("error=access_denied&state=wrong", Err(WrongState)),
            ("state=right", Err(NeitherCodeNorError)),
            ("state=right&code=&error=", Err(NeitherCodeNorError)),
            ("state=right&state=right&code=abc", Err(Repeated)),
            ("state=right&state=wrong&code=abc", Err(Repeated)),
            ("state=right&code=abc&code=abc", Err(Repeated)),
            ("state=right&code=abc#code=def", Err(Repeated)),
            ("state=right&error=e&error=access_denied", Err(Repeated)),
            (
                "state=right&error=e&error_description=a&error_description=b",
                Err(Repeated),
            ),
            ("state=right&code=abc&error=access_denied", Err(Malformed)),
            ("state=right&code=a%00b", Err(Malformed)),
            ("state=right&code=%ff", Err(Malformed)),
            ("state=right&error=%0a", Err(Malformed)),
        ];
        assert!(table.iter().any(|(query, _)| query.contains(SECRET)));
        for (query, expected) in table {
            assert_eq!(told(query), expected.map(str::to_owned), "{query}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let query = format!(
            "error=e&error_description={}&state=right",
            "no ".repeat(9_000)
        );
        assert!(told(&query).is_ok_and(|told| told.len() <= 303));
    }
}

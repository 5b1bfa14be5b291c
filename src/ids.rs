//! Webex identifiers, in every spelling found in the wild.
//!
//! A Webex id is the base64 of `ciscospark://<region>/<TYPE>/<value>`, padded or not, in either
//! alphabet; the bare value is accepted too. What is compared is the decoded value, never the
//! spelling.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The part of a Webex id that says what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// `APPLICATION`: a service app or an integration; its value is the client id.
    Application,
    /// `ORGANIZATION`: its value is a UUID.
    Organization,
}

impl IdKind {
    fn type_name(self) -> &'static str {
        match self {
            Self::Application => "APPLICATION",
            Self::Organization => "ORGANIZATION",
        }
    }
}

/// An id that decodes to something else than what is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is the id of a Webex {found}, not of {}", match .wanted {
    IdKind::Application => "an application",
    IdKind::Organization => "an organization",
})]
pub struct WrongKind {
    /// What was needed.
    pub wanted: IdKind,
    /// The type in the id, in lower case.
    pub found: String,
}

/// Decodes `id` to the value behind it, or takes it as the bare value.
///
/// # Errors
///
/// The id decodes, and names something of another kind.
pub fn value(id: &str, wanted: IdKind) -> Result<String, WrongKind> {
    let Some((found, value)) = decode(id) else {
        return Ok(id.to_owned());
    };
    if found == wanted.type_name() {
        return Ok(value);
    }
    // The type comes out of a field where anything may have been pasted.
    let found = match found.as_str() {
        "PEOPLE" => "person".to_owned(),
        "APPLICATION" | "ORGANIZATION" | "AUTHORIZATION" | "ROOM" | "DATASOURCE" => {
            found.to_lowercase()
        }
        _ => "resource of another type".to_owned(),
    };
    Err(WrongKind { wanted, found })
}

/// The id of the application whose client id is `client_id`, as Webex spells it.
#[must_use]
pub fn application_id(client_id: &str) -> String {
    STANDARD
        .encode(format!("ciscospark://us/APPLICATION/{client_id}"))
        .trim_end_matches('=')
        .to_owned()
}

/// Whether this is a UUID (RFC 9562 §4), such as the value behind an organization's id.
#[must_use]
pub fn is_uuid(value: &str) -> bool {
    let groups = value.split('-').map(|group| {
        let is_hex = group.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then_some(group.len())
    });
    groups.eq([8, 4, 4, 4, 12].map(Some))
}

fn decode(id: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(id).or_else(|_| URL_SAFE.decode(id)).ok()?;
    let uri = String::from_utf8(bytes).ok()?;
    let mut parts = uri.strip_prefix("ciscospark://")?.splitn(3, '/');
    let (_region, kind, value) = (parts.next()?, parts.next()?, parts.next()?);
    Some((kind.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_has_one_value() {
        let client_id = "C0ffee00112233445566778899aabbccddeeff0";
        let unpadded = application_id(client_id);
        let padded = base64::engine::general_purpose::STANDARD
            .encode(format!("ciscospark://us/APPLICATION/{client_id}"));
        let url_safe = base64::engine::general_purpose::URL_SAFE
            .encode(format!("ciscospark://eu-central-1/APPLICATION/{client_id}"));
        for id in [client_id, &unpadded, &padded, &url_safe] {
            assert_eq!(value(id, IdKind::Application).as_deref(), Ok(client_id));
        }
    }

    #[test]
    fn an_organization_pasted_as_the_application_is_named_as_such() {
        let org =
            STANDARD.encode("ciscospark://us/ORGANIZATION/1eb65fdf-9643-417f-9974-ad72cae0e10f");
        let wrong = value(&org, IdKind::Application).expect_err("another kind");
        assert_eq!(wrong.found, "organization");
        assert!(value(&org, IdKind::Organization).is_ok());
    }
}

//! Webex ids: base64 of `ciscospark://<region>/<TYPE>/<value>`, with or without padding, in either
//! alphabet; or the bare value.

use base64::{
    Engine as _,
    engine::{GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD_NO_PAD},
};

/// Writes an id as Webex does: standard alphabet, no padding.
pub(crate) fn encode(kind: &str, value: &str) -> String {
    STANDARD_NO_PAD.encode(format!("ciscospark://us/{kind}/{value}"))
}

/// The value inside an id of the given kind; an id that is not base64 is taken as the bare value.
/// `None` for an id of another kind.
pub(crate) fn decode(kind: &str, id: &str) -> Option<String> {
    match unwrap(id) {
        Some(uri) => {
            let (found, value) = uri
                .strip_prefix("ciscospark://")?
                .split_once('/')?
                .1
                .split_once('/')?;
            (found == kind).then(|| value.to_owned())
        }
        None => Some(id.to_owned()),
    }
}

fn unwrap(id: &str) -> Option<String> {
    let lenient = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
    );
    let standard = id.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let uri = String::from_utf8(lenient.decode(standard).ok()?).ok()?;
    uri.starts_with("ciscospark://").then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_id_names_the_same_value() {
        let unpadded = encode("APPLICATION", "Cab?>~");
        let padded = format!("{unpadded}{}", "=".repeat((4 - unpadded.len() % 4) % 4));
        let url_safe = unpadded.replace('+', "-").replace('/', "_");
        for id in [&unpadded, &padded, &url_safe] {
            assert_eq!(decode("APPLICATION", id).as_deref(), Some("Cab?>~"), "{id}");
        }
        assert_eq!(decode("APPLICATION", "Cab"), Some("Cab".to_owned()));
        assert_eq!(decode("ORGANIZATION", &unpadded), None);
    }
}

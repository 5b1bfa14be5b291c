//! The intent: what a run is about to spend, noted before it spends it.
//!
//! A run that ends before its answer is saved leaves its intent open. A later run compares the
//! fingerprints: where the stored pair differs the save had happened; where it is the same, the
//! refresh token may be spent. This module knows the record's bytes, [`super::StoreLock`] where
//! they lie.
//!
//! The record is one disk sector, so that it is written whole or not at all, with a digest in case
//! a disk does not keep to that. It is text that `cat` shows, and holds no secret.

use jiff::Timestamp;

use super::digest;
use crate::token::Fingerprint;

/// The size of the record.
pub(super) const LEN: usize = 512;

const TITLE: &str = "webex-tokens intent 1";
const SEAL: &str = "\nsum=";
const DIGEST_LEN: usize = 32;
const BODY_LEN: usize = LEN - SEAL.len() - DIGEST_LEN - 1;
/// More than any rung's name needs; it keeps the text inside the record.
const RUNG_LEN: usize = 64;

/// What a run is about to do, and with which credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The rung's short name: at most 64 visible ASCII characters. Others are left out.
    pub rung: String,
    /// When the run was about to send its request.
    pub at: Timestamp,
    /// The run's process.
    pub pid: u32,
    /// The stored access token, where there is one.
    pub access_token: Option<Fingerprint>,
    /// The stored refresh token, where there is one.
    pub refresh_token: Option<Fingerprint>,
}

/// What an earlier run left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenIntent {
    /// What it was about to do.
    Known(Intent),
    /// It left something that cannot be read: it may have been about to do anything.
    Unreadable,
}

/// The record of `intent`.
pub(super) fn encode(intent: &Intent) -> [u8; LEN] {
    let Intent {
        rung,
        at,
        pid,
        access_token,
        refresh_token,
    } = intent;
    let rung: String = rung
        .chars()
        .filter(char::is_ascii_graphic)
        .take(RUNG_LEN)
        .collect();
    let access_token = access_token.as_ref().map_or("-", Fingerprint::as_str);
    let refresh_token = refresh_token.as_ref().map_or("-", Fingerprint::as_str);
    let body = format!(
        "{TITLE}\nrung={rung}\nat={at}\npid={pid}\naccess_token={access_token}\n\
         refresh_token={refresh_token}\n"
    );
    let body = format!("{body:<BODY_LEN$}");
    let record = format!("{body}{SEAL}{}\n", digest(body.as_bytes()));
    record
        .into_bytes()
        .try_into()
        .expect("every field is bounded, so that the padded body has its length")
}

/// What a record says; `None` where it says that nothing is open.
pub(super) fn decode(record: &[u8]) -> Option<OpenIntent> {
    if record.iter().all(|&byte| byte == 0) {
        return None;
    }
    Some(parse(record).map_or(OpenIntent::Unreadable, OpenIntent::Known))
}

fn parse(record: &[u8]) -> Option<Intent> {
    let record = str::from_utf8(record).ok()?;
    let (body, seal) = record.split_at_checked(BODY_LEN)?;
    let sum = seal.strip_prefix(SEAL)?.strip_suffix('\n')?;
    if sum != digest(body.as_bytes()) {
        return None;
    }
    let mut lines = body.trim_end().lines();
    if lines.next()? != TITLE {
        return None;
    }
    let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix('=');
    let intent = Intent {
        rung: value("rung")?.to_owned(),
        at: value("at")?.parse().ok()?,
        pid: value("pid")?.parse().ok()?,
        access_token: fingerprint(value("access_token")?)?,
        refresh_token: fingerprint(value("refresh_token")?)?,
    };
    lines.next().is_none().then_some(intent)
}

/// The fingerprint that was written; the outer `None` is for what is neither one nor `-`.
#[expect(clippy::option_option, reason = "absent and unreadable differ")]
fn fingerprint(text: &str) -> Option<Option<Fingerprint>> {
    match text {
        "-" => Some(None),
        hex => Fingerprint::parse(hex).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn intent() -> impl Strategy<Value = Intent> {
        let time = (
            Timestamp::MIN.as_second()..=Timestamp::MAX.as_second(),
            0..1000,
        )
            .prop_map(|(second, nano)| Timestamp::new(second, nano).unwrap_or(Timestamp::MAX));
        let token = || proptest::option::of(".*".prop_map(|text| Fingerprint::of(&text)));
        ("[!-~]{0,64}", time, any::<u32>(), token(), token()).prop_map(
            |(rung, at, pid, access_token, refresh_token)| Intent {
                rung,
                at,
                pid,
                access_token,
                refresh_token,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(intent in intent()) {
            let record = encode(&intent);
            prop_assert_eq!(decode(&record), Some(OpenIntent::Known(intent)));
        }

        #[test]
        fn any_rung_is_encoded_to_something_readable(intent in intent(), rung in any::<String>()) {
            let record = encode(&Intent { rung, ..intent });
            prop_assert!(matches!(decode(&record), Some(OpenIntent::Known(_))));
        }

        #[test]
        fn a_changed_byte_is_noticed(intent in intent(), at in 0..LEN, flip in 1..=255_u8) {
            let mut record = encode(&intent);
            record[at] ^= flip;
            prop_assert_eq!(decode(&record), Some(OpenIntent::Unreadable));
        }

        #[test]
        fn a_torn_record_is_noticed(intent in intent(), at in 1..LEN) {
            let record = encode(&intent);
            prop_assert_eq!(decode(&record[..at]), Some(OpenIntent::Unreadable));
            let mut half = [0; LEN];
            half[..at].copy_from_slice(&record[..at]);
            prop_assert_eq!(decode(&half), Some(OpenIntent::Unreadable));
        }

        #[test]
        fn garbage_is_never_taken_for_an_intent(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(!matches!(decode(&bytes), Some(OpenIntent::Known(_))));
        }
    }

    #[test]
    fn nothing_and_zeros_are_no_intent() {
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[0; LEN]), None);
        assert_eq!(decode(&[0; 7]), None);
    }

    #[test]
    fn the_record_reads_as_text() {
        let record = encode(&Intent {
            rung: "mint".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            pid: 42,
            access_token: None,
            refresh_token: Some(Fingerprint::of("secret")),
        });
        let text = str::from_utf8(&record).unwrap();
        assert!(text.starts_with(
            "webex-tokens intent 1\nrung=mint\nat=1970-01-01T00:00:00Z\npid=42\naccess_token=-\n"
        ));
        assert!(!text.contains("secret"));
    }
}

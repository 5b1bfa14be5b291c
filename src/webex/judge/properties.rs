//! What must hold of a judgement, whatever the server has answered.

#![expect(
    clippy::missing_panics_doc,
    reason = "to panic is how something is said not to hold"
)]

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use super::*;

/// What was sent, and what a server may have seen elsewhere. None of it is anybody's; the first does
/// not look like a secret.
const CLIENT_SECRET: &str = "correct-horse-battery-staple";
const REFRESH_TOKEN: &str =
    "MDM0NjhhNzMtMDdiNy00ZWUwLTk2ZTkt_PE93_1eb65fdf-9643-417f-9974-ad72cae0";
const OF_ANOTHER: &str = "NGFkYzQ1ZTAtZjE4Mi00N2Q5LWI5ZmEtOGM4YzYxN2Y0NzVl_P0A1_4f7c";

/// A century, in which every leap day counts.
const LONGEST: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// Panics unless the judgement of this answer is sound. Of the first bytes come the question, the
/// status and how much of the body is there; then the headers `trackingid`, `Retry-After` and
/// `Location`, each ended by a byte that no text has, and the body. The bytes 1 to 3 stand for the
/// secrets.
pub fn token_reply(data: &[u8]) {
    let Some((&[question, high, low, whole], rest)) = data.split_first_chunk() else {
        return;
    };
    let fields: Vec<_> = rest.splitn(4, |&byte| byte == 0xff).collect();
    let [tracking, retry_after, location, body] = fields.as_slice() else {
        return;
    };
    let text = |field: &[u8]| {
        let text = String::from_utf8_lossy(&with_secrets(field)).into_owned();
        (!text.is_empty()).then_some(text)
    };
    let body = with_secrets(body);
    let status = u16::from_be_bytes([high, low]) % 600;
    let exchange = Exchange {
        reply: Reply::Answer(Answer {
            status,
            host: "webexapis.com".to_owned(),
            location_host: text(location),
            retry_after: text(retry_after),
            next: None,
            tracking_header: text(tracking),
            body: match whole % 8 {
                0 => Body::CutShort(body),
                1 => Body::Beginning(body),
                2 => Body::TooLarge,
                _ => Body::Whole(body),
            },
        }),
        elapsed: Duration::ZERO,
        secrets: vec![CLIENT_SECRET.into(), REFRESH_TOKEN.into()],
    };
    let now = Timestamp::UNIX_EPOCH;
    let questions = [
        Question::Grant,
        Question::Code,
        Question::DevicePoll,
        Question::Mint,
    ];
    let question = questions[usize::from(question) % questions.len()];
    let (judged, issued) = judge_tokens(question, &exchange, now);
    assert_shown_is_sound(&judged, &exchange);
    assert_eq!(judged.outcome == Outcome::Issued, issued.is_some());
    if let Some(issued) = issued {
        assert_issued_is_sound(&issued, &judged, &exchange);
    }
    let _ = granted_scopes(&exchange);
    let debug = format!("{exchange:?}");
    assert!(!repeats_what_was_sent(&debug), "a secret is in Debug");
    assert!(!debug.contains(OF_ANOTHER), "a token is in Debug");

    let (judged, authorization) = judge_device_authorization(&exchange, now);
    assert_shown_is_sound(&judged, &exchange);
    for address in authorization.iter().flat_map(|authorization| {
        [
            Some(&authorization.verification_uri),
            authorization.verification_uri_complete.as_ref(),
        ]
    }) {
        let is_sound = |address: &String| address.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(address.is_none_or(is_sound));
    }
    assert!(authorization.is_none_or(|it| !it.user_code.chars().any(char::is_control)));
    assert_shown_is_sound(&judge_validation(&exchange, now), &exchange);
    assert_shown_is_sound(&judge_expiry(&exchange, now).0, &exchange);
    assert_shown_is_sound(&judge_resource(&exchange, now), &exchange);
    if let Err(why) = judge_keys(&exchange, now) {
        assert_line_is_sound(&why);
    }
}

fn with_secrets(bytes: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            1 => full.extend_from_slice(CLIENT_SECRET.as_bytes()),
            2 => full.extend_from_slice(REFRESH_TOKEN.as_bytes()),
            3 => full.extend_from_slice(OF_ANOTHER.as_bytes()),
            &byte => full.push(byte),
        }
    }
    full
}

fn assert_issued_is_sound(issued: &Issued, judged: &Judged, exchange: &Exchange) {
    let Reply::Answer(answer) = &exchange.reply else {
        panic!("a token without an answer");
    };
    assert!((200..300).contains(&answer.status));
    assert!(matches!(answer.body, Body::Whole(_)));
    assert_eq!((&judged.cause, &judged.error), (&Cause::Given, &None));
    let refresh_token = issued.refresh_token.as_ref().map(RefreshToken::expose);
    for token in [issued.access_token.expose()]
        .into_iter()
        .chain(refresh_token)
    {
        assert!(!token.is_empty());
        assert!(
            token.bytes().all(|byte| byte.is_ascii_graphic()),
            "a token with a character that none has"
        );
        let repeats = |id: &str| token.len() >= 8 && id.contains(&token[..8]);
        assert!(!judged.tracking_id.as_deref().is_some_and(repeats));
    }
    let lifetimes = [issued.expires_in, issued.refresh_token_expires_in];
    for lifetime in lifetimes.into_iter().flatten() {
        assert!((SignedDuration::ZERO..=LONGEST).contains(&lifetime));
        issued.issued_at.checked_add(lifetime).expect("a date");
    }
    let of_another = Issued {
        access_token: AccessToken::new("another"),
        refresh_token: issued.refresh_token.clone().map(|_| RefreshToken::new("")),
        ..issued.clone()
    };
    assert_eq!(format!("{issued:?}"), format!("{of_another:?}"));
}

fn assert_shown_is_sound(judged: &Judged, exchange: &Exchange) {
    let Reply::Answer(answer) = &exchange.reply else {
        return;
    };
    assert_eq!(judged.http_status, Some(answer.status));
    if let Some(error) = &judged.error {
        assert_line_is_sound(error);
    }
    if let Some(id) = &judged.tracking_id {
        assert!(id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!repeats_what_was_sent(id), "a secret is in a trackingId");
    }
}

/// What is shown is one line that steers no terminal, and holds no secret.
fn assert_line_is_sound(line: &str) {
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert!(line.chars().count() < 400, "{line:?}");
    assert!(!repeats_what_was_sent(line), "a secret is in a message");
    assert!(!line.contains(OF_ANOTHER), "a token is in a message");
}

/// Whether eight characters in a row of a secret that was sent stand in the text, in any case.
fn repeats_what_was_sent(text: &str) -> bool {
    static PIECES: LazyLock<HashSet<Vec<u8>>> = LazyLock::new(|| {
        let pieces = |secret: &str| -> Vec<Vec<u8>> {
            let secret = secret.to_ascii_lowercase();
            secret.as_bytes().windows(8).map(<[u8]>::to_vec).collect()
        };
        let sent = [CLIENT_SECRET, REFRESH_TOKEN];
        sent.into_iter().flat_map(pieces).collect()
    });
    let text = text.to_ascii_lowercase();
    text.as_bytes().windows(8).any(|here| PIECES.contains(here))
}

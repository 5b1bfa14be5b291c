use std::time::Duration;

use serde_json::json;

use super::*;

const CLIENT_SECRET: &str = "a1b2c3d4e5f6a7b8c9d0";
const REFRESH_TOKEN: &str = "Z9y8X7w6V5u4T3s2R1q0";

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a date")
}

fn exchange(reply: Reply) -> Exchange {
    Exchange {
        reply,
        elapsed: Duration::ZERO,
        secrets: vec![CLIENT_SECRET.into(), REFRESH_TOKEN.into()],
    }
}

fn bare(status: u16, body: Body) -> Answer {
    Answer {
        status,
        host: "webex.example".to_owned(),
        location_host: None,
        retry_after: None,
        next: None,
        tracking_header: None,
        body,
    }
}

fn whole(status: u16, body: &Value) -> Exchange {
    let body = Body::Whole(body.to_string().into_bytes());
    exchange(Reply::Answer(bare(status, body)))
}

fn ok(body: Body) -> Exchange {
    exchange(Reply::Answer(bare(200, body)))
}

fn text(text: &str) -> Body {
    Body::Whole(text.as_bytes().to_vec())
}

/// Webex's shape, the code in the first error.
fn webex(code: &str) -> Value {
    json!({
        "message": "Something.",
        "errors": [{ "description": code }],
        "trackingId": "ROUTER_1",
    })
}

fn rfc6749(code: &str) -> Value {
    json!({ "error": code, "error_description": "Something." })
}

#[track_caller]
fn judged(question: Question, exchange: &Exchange) -> (Outcome, Cause) {
    let judged = match question {
        Question::DeviceAuthorization => judge_device_authorization(exchange, now()).0,
        Question::Grant | Question::Mint | Question::Code | Question::DevicePoll => {
            judge_tokens(question, exchange, now()).0
        }
        Question::Validation => judge_validation(exchange, now()),
        Question::Expiry => judge_expiry(exchange, now()).0,
        Question::Resource => judge_resource(exchange, now()),
    };
    (judged.outcome, judged.cause)
}

const QUESTIONS: [Question; 7] = [
    Question::Grant,
    Question::Code,
    Question::DeviceAuthorization,
    Question::Mint,
    Question::Validation,
    Question::Expiry,
    Question::Resource,
];

#[test]
fn some_statuses_mean_the_same_whatever_was_asked_and_whatever_they_say() {
    use Outcome::*;
    let rows = [
        (302, Unavailable, Cause::Intermediary),
        (304, Unavailable, Cause::Intermediary),
        (407, ProxyRefused, Cause::Proxy),
        (408, Doubtful, Cause::Failed),
        (429, Unavailable, Cause::Busy),
        (500, Doubtful, Cause::Failed),
        (502, Doubtful, Cause::Failed),
        (503, Unavailable, Cause::Busy),
        (504, Doubtful, Cause::Failed),
        (599, Doubtful, Cause::Failed),
    ];
    let bodies = [json!({}), webex("invalid_grant"), rfc6749("invalid_client")];
    for (status, outcome, cause) in rows {
        for question in QUESTIONS {
            for body in &bodies {
                assert_eq!(
                    judged(question, &whole(status, body)),
                    (outcome, cause.clone()),
                    "{question:?} {status} {body}"
                );
            }
        }
    }
}

#[test]
fn a_refused_grant_is_judged_by_its_text() {
    use Outcome::*;
    let dead = (Rejected, Cause::DeadCredential);
    let client = (Misconfigured, Cause::BadClient);
    let other = (Rejected, Cause::Refused);
    let rows = [
        (webex("invalid_grant"), &dead),
        (rfc6749("invalid_grant"), &dead),
        (webex("invalid_refresh_token"), &dead),
        (rfc6749("invalid_refresh_token"), &dead),
        (json!({ "message": "The Refresh Token is EXPIRED" }), &dead),
        (
            json!({ "message": "refresh_token was already used" }),
            &dead,
        ),
        (webex("The refresh token provided is not valid"), &dead),
        (
            json!({ "error": "invalid_request", "error_description": "refresh token revoked" }),
            &dead,
        ),
        (webex("invalid_client"), &client),
        (rfc6749("invalid_client"), &client),
        (webex("Client Id is invalid"), &client),
        (webex("The provided clientSecret is invalid"), &client),
        (
            json!({ "message": "Invalid client credentials", "trackingId": "R_1" }),
            &client,
        ),
        (
            json!({
                "error": "invalid_client",
                "error_description": "the refresh token is invalid for this client",
            }),
            &client,
        ),
        (webex("unsupported_grant_type"), &other),
        (rfc6749("invalid_request"), &other),
        (webex("refresh_token is required"), &other),
        (json!({ "message": "Token expired." }), &other),
    ];
    for (body, expected) in rows {
        for status in [400, 401, 403, 404, 405, 415, 422] {
            let found = judged(Question::Grant, &whole(status, &body));
            assert_eq!(&found, expected, "{status} {body}");
        }
    }
}

#[test]
fn a_refused_bearer_is_judged_by_its_status() {
    use Outcome::*;
    let rows = [
        (Question::Mint, 400, Misconfigured, Cause::BadMintInput),
        (Question::Mint, 401, Rejected, Cause::DeadCredential),
        (Question::Mint, 403, Forbidden, Cause::NotAllowed),
        (Question::Mint, 404, Misconfigured, Cause::BadMintInput),
        (Question::Mint, 409, Rejected, Cause::Refused),
        (Question::Validation, 400, GivenUp, Cause::Refused),
        (Question::Validation, 401, Rejected, Cause::DeadCredential),
        (Question::Validation, 403, Forbidden, Cause::NotAllowed),
        (Question::Validation, 404, GivenUp, Cause::Refused),
        (Question::Expiry, 401, Rejected, Cause::DeadCredential),
        (Question::Expiry, 403, Forbidden, Cause::NotAllowed),
        (Question::Expiry, 404, GivenUp, Cause::Refused),
    ];
    for (question, status, outcome, cause) in rows {
        for body in [webex("Something."), rfc6749("invalid_token")] {
            assert_eq!(
                judged(question, &whole(status, &body)),
                (outcome, cause.clone()),
                "{question:?} {status} {body}"
            );
        }
    }
}

#[test]
fn a_full_account_is_known_by_its_text_alone() {
    for status in [400, 403, 429, 500, 503] {
        for body in [webex("tokenlimit_reached"), rfc6749("TokenLimit_Reached")] {
            for question in [Question::Grant, Question::Mint] {
                assert_eq!(
                    judged(question, &whole(status, &body)),
                    (Outcome::GivenUp, Cause::TokenLimit),
                    "{status} {body}"
                );
            }
        }
    }
}

#[test]
fn a_refusal_in_neither_shape_was_not_written_by_webex() {
    let bodies = [
        text(""),
        text("<html>invalid_grant</html>"),
        text("[]"),
        text("\"invalid_grant\""),
        text("{}"),
        text(r#"{"error": {"code": 401}}"#),
        text(r#"{"message": 7, "errors": "none"}"#),
        Body::CutShort(br#"{"error": "invalid_grant"}"#.to_vec()),
        Body::TooLarge,
    ];
    for body in bodies {
        for question in QUESTIONS {
            for status in [400, 401, 403, 404, 451] {
                // What has no body at all is gone, whoever says so.
                if question == Question::Resource && status == 404 && body.is_empty() {
                    continue;
                }
                let answer = bare(status, body.clone());
                assert_eq!(
                    judged(question, &exchange(Reply::Answer(answer))),
                    (Outcome::Unavailable, Cause::Intermediary),
                    "{question:?} {status} {body:?}"
                );
            }
        }
    }
}

#[test]
fn an_empty_refusal_is_webexs_where_it_has_a_tracking_id() {
    let answer = Answer {
        tracking_header: Some("ROUTERGW_1".to_owned()),
        ..bare(401, text(""))
    };
    assert_eq!(
        judged(Question::Validation, &exchange(Reply::Answer(answer))),
        (Outcome::Rejected, Cause::DeadCredential)
    );
}

#[test]
fn without_an_answer_what_matters_is_whether_the_request_was_sent() {
    let rows = [
        (
            NoAnswer::NotConnected("refused".into()),
            Outcome::Unavailable,
            Cause::NotConnected,
        ),
        (NoAnswer::ProxyRefused, Outcome::ProxyRefused, Cause::Proxy),
        (NoAnswer::TimedOut, Outcome::Doubtful, Cause::NoAnswer),
        (
            NoAnswer::Dropped("reset".into()),
            Outcome::Doubtful,
            Cause::NoAnswer,
        ),
    ];
    for (no_answer, outcome, cause) in rows {
        for question in QUESTIONS {
            let exchange = exchange(Reply::NoAnswer(no_answer.clone()));
            let found = judged(question, &exchange);
            assert_eq!(
                found,
                (outcome, cause.clone()),
                "{question:?} {no_answer:?}"
            );
        }
    }
}

#[test]
fn a_token_reply_without_a_token_is_doubtful() {
    let bodies = [
        text(""),
        text("<html>"),
        text("[]"),
        text("null"),
        text("{}"),
        text(r#"{"access_token": ""}"#),
        text(r#"{"access_token": null}"#),
        text(r#"{"access_token": 7}"#),
        text(r#"{"access_token": "toke"#),
        Body::CutShort(br#"{"access_token": "token"}"#.to_vec()),
        Body::TooLarge,
    ];
    for body in bodies {
        for question in [Question::Grant, Question::Mint] {
            let (judged, issued) = judge_tokens(question, &ok(body.clone()), now());
            assert_eq!(judged.outcome, Outcome::Doubtful, "{body:?}");
            assert_eq!(judged.cause, Cause::Unusable);
            assert!(issued.is_none());
        }
    }
}

/// RFC 6749 §A.12 and §A.17, and a blank could not be told from the white space around a value.
#[test]
fn a_token_with_a_character_that_none_has_is_doubtful() {
    for wrong in ["a\nb", "a\0", "\u{7f}", "a b", " ", "é", "\u{200b}"] {
        for key in ["access_token", "refresh_token"] {
            let mut body = json!({ "access_token": "token", "refresh_token": "refresh" });
            body[key] = json!(wrong);
            let (judged, issued) = judge_tokens(Question::Grant, &whole(200, &body), now());
            let expected = (Outcome::Doubtful, Cause::Unusable);
            assert_eq!((judged.outcome, judged.cause), expected, "{key} {wrong:?}");
            assert!(issued.is_none(), "{key} {wrong:?}");
        }
    }
    let every: String = ('!'..='~').collect();
    let issued = issued_from(&json!({ "access_token": every }));
    assert_eq!(issued.access_token.expose(), every);
}

fn issued_from(body: &Value) -> Issued {
    let (judged, issued) = judge_tokens(Question::Grant, &whole(200, body), now());
    assert_eq!(judged.outcome, Outcome::Issued, "{body}");
    assert_eq!(judged.error, None);
    issued.expect("it is issued")
}

#[test]
fn everything_but_the_access_token_is_optional() {
    let issued = issued_from(&json!({ "access_token": "token" }));
    assert_eq!(issued.access_token.expose(), "token");
    assert!(issued.refresh_token.is_none());
    assert_eq!(issued.expires_in, None);
    assert_eq!(issued.refresh_token_expires_in, None);
    assert_eq!(issued.issued_at, now());

    for nothing in [json!(""), json!(null), json!(7), json!(["refresh"])] {
        let issued = issued_from(&json!({ "access_token": "token", "refresh_token": nothing }));
        assert!(issued.refresh_token.is_none());
    }
    let both = json!({ "access_token": "token", "refresh_token": "refresh" });
    let refresh_token = issued_from(&both).refresh_token.expect("a refresh token");
    assert_eq!(refresh_token.expose(), "refresh");
}

#[test]
fn a_lifetime_is_a_whole_number_or_a_string_of_one() {
    let century = 100 * 366 * 86_400;
    let rows = [
        (json!(3600), Some(3600)),
        (json!("3600"), Some(3600)),
        (json!(" 3600 "), Some(3600)),
        (json!(3600.9), Some(3600)),
        (json!(0), Some(0)),
        (json!(u64::MAX), Some(century)),
        (json!(1e300), Some(century)),
        (json!(-1), None),
        (json!("-1"), None),
        (json!(""), None),
        (json!("soon"), None),
        (json!(null), None),
        (json!(true), None),
        (json!([3600]), None),
    ];
    for (value, seconds) in rows {
        let issued = issued_from(&json!({
            "access_token": "token",
            "expires_in": value,
            "refresh_token_expires_in": value,
        }));
        let expected = seconds.map(SignedDuration::from_secs);
        assert_eq!(issued.expires_in, expected, "{value}");
        assert_eq!(issued.refresh_token_expires_in, expected, "{value}");
    }
}

#[test]
fn an_expiry_is_in_milliseconds_and_may_be_a_string() {
    let at = Timestamp::from_millisecond(1_768_630_439_322).ok();
    let rows = [
        (json!({ "exp": 1_768_630_439_322_i64 }), at),
        (json!({ "exp": "1768630439322" }), at),
        (json!({ "exp": i64::MAX }), None),
        (json!({ "exp": "soon" }), None),
        (json!({ "exp": null }), None),
        (json!({}), None),
        (json!([1_768_630_439_322_i64]), None),
    ];
    for (body, expected) in rows {
        let (judged, expires_at) = judge_expiry(&whole(200, &body), now());
        assert_eq!(expires_at, expected, "{body}");
        let outcome = match expected {
            Some(_) => Outcome::Accepted,
            None => Outcome::Unavailable,
        };
        assert_eq!(judged.outcome, outcome, "{body}");
    }
}

#[test]
fn a_validation_is_accepted_where_it_is_json_as_far_as_it_was_read() {
    let beginning = |text: &str| Body::Beginning(text.as_bytes().to_vec());
    let accepted = [
        text(r#"{"items": []}"#),
        text("[]"),
        text(" {} \n"),
        beginning(r#"{"items": [{"id": "Y2lz"#),
        beginning(r#"{"items": ["#),
        beginning(r#"{"items": [tru"#),
        beginning(r#"{"items": [nul"#),
        beginning(r#"{"items": [-"#),
        beginning(r#"{"items": [1."#),
        beginning(r#"{"items": [1e"#),
        beginning(r#"{"items": [1e+"#),
        beginning(r#"{"items": ["\"#),
        beginning(r#"{"items": ["\u00"#),
        beginning("{}      "),
        Body::Beginning(b"{\"items\": [\"caf\xc3".to_vec()),
    ];
    for body in accepted {
        let judged = judge_validation(&ok(body.clone()), now());
        assert_eq!(judged.outcome, Outcome::Accepted, "{body:?}");
    }
    let refused = [
        text(""),
        text("<html>"),
        text(r#"{"items": ["#),
        text("{} {}"),
        beginning("<html>"),
        beginning(r#"{"items": [}"#),
        beginning(r#"{"items": x"#),
        Body::CutShort(b"{}".to_vec()),
        Body::TooLarge,
    ];
    for body in refused {
        let judged = judge_validation(&ok(body.clone()), now());
        assert_eq!(judged.outcome, Outcome::Unavailable, "{body:?}");
        assert_eq!(judged.cause, Cause::Unusable);
    }
}

#[test]
fn what_is_shown_is_webexs_own_text_each_piece_once() {
    let said = |status, body: &Value| {
        let (judged, _) = judge_tokens(Question::Grant, &whole(status, body), now());
        judged.error.expect("an error")
    };
    assert_eq!(said(400, &webex("code")), "Something.; code");
    assert_eq!(said(400, &webex("Something.")), "Something.");
    assert_eq!(said(400, &rfc6749("code")), "code; Something.");
    assert_eq!(said(500, &json!({})), "HTTP 500, without a reason given");
    let html = said(403, &json!("<html>a page of somebody else's</html>"));
    assert_eq!(
        html,
        "HTTP 403 from webex.example, in a form that Webex does not use"
    );
    let moved = Answer {
        location_host: Some("portal.example".to_owned()),
        ..bare(302, text(""))
    };
    let (judged, _) = judge_tokens(Question::Mint, &exchange(Reply::Answer(moved)), now());
    assert_eq!(
        judged.error.as_deref(),
        Some("HTTP 302 redirects from webex.example to portal.example, which Webex does not do")
    );
}

#[test]
fn retry_after_is_read_from_a_refusal() {
    let answer = Answer {
        retry_after: Some("7".to_owned()),
        ..bare(429, text(""))
    };
    let (judged, _) = judge_tokens(Question::Grant, &exchange(Reply::Answer(answer)), now());
    assert_eq!(judged.retry_after, Some(Duration::from_secs(7)));
}

fn tracked(status: u16, header: Option<&str>, body: &Value) -> Option<String> {
    let answer = Answer {
        tracking_header: header.map(str::to_owned),
        ..bare(status, text(&body.to_string()))
    };
    let exchange = exchange(Reply::Answer(answer));
    judge_tokens(Question::Grant, &exchange, now())
        .0
        .tracking_id
}

#[test]
fn a_tracking_id_comes_from_the_header_or_else_from_the_body() {
    let body = json!({ "message": "No.", "trackingId": "ROUTER_body" });
    for status in [200, 400, 500] {
        assert_eq!(
            tracked(status, Some("ROUTER_header"), &body).as_deref(),
            Some("ROUTER_header")
        );
        assert_eq!(tracked(status, None, &body).as_deref(), Some("ROUTER_body"));
        assert_eq!(tracked(status, None, &json!({ "message": "No." })), None);
    }
}

#[test]
fn a_tracking_id_is_made_of_what_webexs_are_made_of() {
    let long = "R".repeat(128);
    for id in [
        "ROUTERGW_6a1f-41.2:3",
        "GTWY_0",
        "NA_1b4f_9c",
        long.as_str(),
    ] {
        assert_eq!(tracked(400, Some(id), &json!({})).as_deref(), Some(id));
    }
    let too_long = "R".repeat(129);
    for id in [
        "",
        "a b",
        "a\u{1b}[2J",
        "a;b",
        "<b>",
        "caf\u{e9}",
        too_long.as_str(),
    ] {
        assert_eq!(tracked(400, Some(id), &json!({})), None, "{id:?}");
    }
}

#[test]
fn a_tracking_id_that_repeats_a_secret_is_not_shown() {
    let echo = |token: &str| format!("ROUTER_{token}");
    for status in [200, 400, 401, 500] {
        let body = json!({ "message": "No.", "access_token": "token" });
        assert_eq!(
            tracked(status, Some(&echo(&REFRESH_TOKEN[4..12])), &body),
            None
        );
    }
    for key in ["access_token", "refresh_token"] {
        let mut body =
            json!({ "access_token": "first-token-0", "refresh_token": "second-token-0" });
        body[key] = "Q1w2E3r4T5y6".into();
        assert_eq!(tracked(200, Some(&echo("Q1w2E3r4")), &body), None, "{key}");
    }
    let listed = Answer {
        tracking_header: Some(echo(CLIENT_SECRET)),
        ..bare(200, text(r#"{"exp": 1}"#))
    };
    let listed = exchange(Reply::Answer(listed));
    assert_eq!(judge_validation(&listed, now()).tracking_id, None);
    assert_eq!(judge_expiry(&listed, now()).0.tracking_id, None);
}

const WITHHELD: &str = "(what the server said is withheld: it repeats a secret)";

#[test]
fn a_text_that_repeats_eight_characters_of_a_secret_is_withheld() {
    let secrets = [SecretString::from(CLIENT_SECRET), REFRESH_TOKEN.into()];
    for start in 0..=REFRESH_TOKEN.len() - 8 {
        let text = format!("invalid: {}!", &REFRESH_TOKEN[start..start + 8]);
        assert_eq!(scrub(&text, &secrets), WITHHELD, "{text}");
        let text = format!("invalid: {}!", &REFRESH_TOKEN[start..start + 7]);
        assert_eq!(scrub(&text, &secrets), text);
    }
    assert_eq!(scrub(CLIENT_SECRET, &secrets), WITHHELD);
    assert_eq!(scrub("nothing of it", &secrets), "nothing of it");
    assert_eq!(scrub("", &secrets), "");
}

#[test]
fn a_url_that_is_quoted_loses_what_is_secret_in_it_and_nothing_else() {
    let scrub = |text: &str| scrub(text, &[CLIENT_SECRET.into(), "hunter2-password".into()]);
    let table = [
        (
            "url https://u:hunter2-password@h.example:8443/ds/1?sig=a1b2c3d4e5f6#x is not of h.example",
            "url https://***@h.example:8443/ds/1?***#*** is not of h.example",
        ),
        (
            "schemaId 5397013b-7920-4ffc-807c-e8a3e0a18f43 is unknown, see https://h.example/docs/a.",
            "schemaId 5397013b-7920-4ffc-807c-e8a3e0a18f43 is unknown, see https://h.example/docs/a.",
        ),
        ("h.example/?hunter2-password", WITHHELD),
        ("https://h.example/hunter2-password?a", WITHHELD),
    ];
    for (text, shown) in table {
        assert_eq!(scrub(text), shown, "{text}");
    }
}

#[test]
fn a_short_secret_is_withheld_whole_and_a_tiny_one_is_in_every_word() {
    let short = [SecretString::from("k3y!x")];
    assert_eq!(scrub("it was k3y!x", &short), WITHHELD);
    assert_eq!(scrub("it was k3y!", &short), "it was k3y!");
    assert_eq!(scrub("it was it", &[SecretString::from("it")]), "it was it");
    assert_eq!(scrub("it was", &[SecretString::from("")]), "it was");
}

#[test]
fn what_is_shown_is_one_line_of_bounded_length() {
    let steering = "a\r\nb\tc\u{1b}[31md\u{7}e\u{9b}f\u{2028}g\u{202e}h\u{2066}i";
    let shown = scrub(steering, &[]);
    assert_eq!(shown, "a  b c [31md e f g h i");
    assert_eq!(scrub("  around  ", &[]), "around");
    let long = scrub(&"\u{e9}".repeat(1000), &[]);
    assert_eq!(long.chars().count(), 300);
    // What is cut off is searched all the same.
    let late = format!("{}{REFRESH_TOKEN}", "-".repeat(1000));
    assert_eq!(scrub(&late, &[REFRESH_TOKEN.into()]), WITHHELD);
}

#[test]
fn a_refusal_and_a_failure_are_scrubbed() {
    let echo = json!({ "message": format!("bad token {REFRESH_TOKEN}"), "trackingId": "R_1" });
    let (judged, _) = judge_tokens(Question::Grant, &whole(400, &echo), now());
    assert_eq!(judged.error.as_deref(), Some(WITHHELD));
    let dropped = NoAnswer::Dropped(format!("while sending {CLIENT_SECRET}"));
    let (judged, _) = judge_tokens(Question::Grant, &exchange(Reply::NoAnswer(dropped)), now());
    assert_eq!(judged.error.as_deref(), Some(WITHHELD));
}

#[test]
fn no_debug_shows_a_body() {
    let exchange = whole(200, &json!({ "access_token": REFRESH_TOKEN }));
    let shown = format!("{exchange:?}");
    assert!(!shown.contains(&REFRESH_TOKEN[..8]), "{shown}");
    assert!(!shown.contains(&CLIENT_SECRET[..8]), "{shown}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_consent_that_is_refused_says_what_is_wrong_with_it() {
    use Outcome::*;
    let said = |code: &str, message: &str| {
        json!({
            "message": message,
            "errors": [{ "description": code }],
            "trackingId": "ROUTER_1",
        })
    };
    let dead = "The authorization code provided is expired, used, or invalid.";
    let elsewhere = "The redirect_uri does not match the one of the authorization request.";
    let rows = [
        (
            Question::Code,
            400,
            said("invalid_grant", dead),
            Rejected,
            Cause::DeadCredential,
        ),
        (
            Question::Code,
            401,
            rfc6749("invalid_grant"),
            Rejected,
            Cause::DeadCredential,
        ),
        (
            Question::Code,
            400,
            said("invalid_grant", elsewhere),
            Misconfigured,
            Cause::BadRedirectUri,
        ),
        (
            Question::Code,
            401,
            said("invalid_client", "No."),
            Misconfigured,
            Cause::BadClient,
        ),
        (
            Question::Code,
            401,
            rfc6749("invalid_client"),
            Misconfigured,
            Cause::BadClient,
        ),
        (
            Question::Code,
            400,
            rfc6749("invalid_scope"),
            Misconfigured,
            Cause::BadScope,
        ),
        (
            Question::Code,
            400,
            webex("anything"),
            Rejected,
            Cause::Refused,
        ),
        (
            Question::Code,
            400,
            webex("tokenlimit_reached"),
            GivenUp,
            Cause::TokenLimit,
        ),
        (
            Question::Code,
            428,
            webex("authorization_pending"),
            Rejected,
            Cause::Refused,
        ),
        (
            Question::DevicePoll,
            428,
            webex("authorization_pending"),
            Unavailable,
            Cause::Undecided,
        ),
        (
            Question::DevicePoll,
            428,
            json!({}),
            Unavailable,
            Cause::Undecided,
        ),
        (
            Question::DevicePoll,
            400,
            rfc6749("authorization_pending"),
            Unavailable,
            Cause::Undecided,
        ),
        (
            Question::DevicePoll,
            400,
            webex("slow_down"),
            Unavailable,
            Cause::SlowDown,
        ),
        (
            Question::DevicePoll,
            400,
            json!({ "message": "slow_down" }),
            Unavailable,
            Cause::SlowDown,
        ),
        (
            Question::DevicePoll,
            429,
            json!({}),
            Unavailable,
            Cause::SlowDown,
        ),
        (
            Question::DevicePoll,
            400,
            webex("access_denied"),
            Rejected,
            Cause::Denied,
        ),
        (
            Question::DevicePoll,
            400,
            webex("invalid_grant"),
            Rejected,
            Cause::DeadCredential,
        ),
        (
            Question::DevicePoll,
            400,
            rfc6749("expired_token"),
            Rejected,
            Cause::DeadCredential,
        ),
        (
            Question::DevicePoll,
            401,
            webex("invalid_client"),
            Misconfigured,
            Cause::BadClient,
        ),
        (
            Question::DeviceAuthorization,
            400,
            webex("Client Id is invalid"),
            Misconfigured,
            Cause::BadClient,
        ),
        (
            Question::DeviceAuthorization,
            400,
            webex("Scope is invalid"),
            Misconfigured,
            Cause::BadScope,
        ),
        (
            Question::DeviceAuthorization,
            400,
            webex("no such grant"),
            Rejected,
            Cause::Refused,
        ),
    ];
    for (question, status, body, outcome, cause) in rows {
        let exchange = whole(status, &body);
        assert_eq!(
            judged(question, &exchange),
            (outcome, cause),
            "{question:?} {status} {body}"
        );
    }
}

#[test]
fn a_device_authorization_is_taken_in_leniently() {
    const COMPLETE: &str =
        "https://example.com/verify?userCode=f6b19c4db74c1d327733c0bd180dbf9457ddfd5c";
    let all = json!({
        "device_code": "canary",
        "user_code": "123\n456",
        "verification_uri": "https://example.com/verify",
        "verification_uri_complete": COMPLETE,
        "expires_in": "300",
        "interval": 2,
    });
    let (judged, device) = judge_device_authorization(&whole(200, &all), now());
    let device = device.expect("codes");
    assert_eq!(judged.outcome, Outcome::Issued);
    assert_eq!(device.user_code, "123 456");
    assert_eq!(device.verification_uri_complete.as_deref(), Some(COMPLETE));
    assert_eq!(device.expires_in, Some(Duration::from_mins(5)));
    assert_eq!(device.interval, Some(Duration::from_secs(2)));
    assert!(!format!("{device:?}").contains("canary"));

    let least =
        json!({ "device_code": "c", "user_code": "1", "verification_url": "https://e.com" });
    let device = judge_device_authorization(&whole(200, &least), now()).1;
    assert_eq!(device.expect("codes").expires_in, None);

    for uri in [
        json!(null),
        json!("javascript:alert(1)"),
        json!("https://e.com/\u{1b}[2J"),
        json!("/verify"),
    ] {
        let unusable = json!({ "device_code": "c", "user_code": "1", "verification_uri": uri });
        let (judged, device) = judge_device_authorization(&whole(200, &unusable), now());
        assert!(device.is_none(), "{uri}");
        assert_eq!(judged.cause, Cause::Unusable);
    }
}

#[test]
fn the_scopes_of_a_reply_are_told_where_it_names_them() {
    let named = json!({ "access_token": "t", "scope": "a  spark:applications_token" });
    let scopes = granted_scopes(&whole(200, &named));
    assert_eq!(
        scopes,
        Some(vec!["a".to_owned(), "spark:applications_token".to_owned()])
    );
    assert_eq!(
        granted_scopes(&whole(200, &json!({ "access_token": "t" }))),
        None
    );
}

#[test]
fn a_resource_is_there_or_not_or_refused() {
    use Outcome::*;
    let rows = [
        (400, GivenUp, Cause::Refused),
        (401, Rejected, Cause::DeadCredential),
        (403, Forbidden, Cause::NotAllowed),
        (404, GivenUp, Cause::NotFound),
        (409, GivenUp, Cause::Conflict),
        (410, GivenUp, Cause::NotFound),
        (415, GivenUp, Cause::Refused),
        (423, Unavailable, Cause::Locked),
        (425, GivenUp, Cause::Conflict),
        (428, GivenUp, Cause::Refused),
    ];
    for (status, outcome, cause) in rows {
        let exchange = whole(status, &webex("because"));
        assert_eq!(
            judged(Question::Resource, &exchange),
            (outcome, cause),
            "{status}"
        );
    }
}

#[test]
fn what_a_resource_answers_is_taken_whole_or_not_at_all() {
    use Outcome::*;
    let rows = [
        (text("anything at all"), (Accepted, Cause::Given)),
        (Body::Whole(Vec::new()), (Accepted, Cause::Given)),
        (Body::TooLarge, (GivenUp, Cause::Unusable)),
        (Body::CutShort(Vec::new()), (Doubtful, Cause::Unusable)),
    ];
    for (body, expected) in rows {
        let exchange = ok(body);
        assert_eq!(judged(Question::Resource, &exchange), expected);
    }
}

#[test]
fn what_is_not_there_may_be_so_without_a_word() {
    for status in [404, 410] {
        let answer = exchange(Reply::Answer(bare(status, Body::Whole(Vec::new()))));
        assert_eq!(
            judged(Question::Resource, &answer),
            (Outcome::GivenUp, Cause::NotFound)
        );
    }
}

#[test]
fn only_a_resource_is_locked_all_else_is_busy() {
    let locked = whole(423, &webex("because"));
    for question in QUESTIONS {
        let cause = match question {
            Question::Resource => Cause::Locked,
            _ => Cause::Busy,
        };
        assert_eq!(judged(question, &locked), (Outcome::Unavailable, cause));
    }
}

//! Scripted faults: each is what it says, and acts or does not act as it says.

use std::time::{Duration, Instant};

use serde_json::json;
use webex_sandbox::{Endpoint, ErrorShape, Fault, IssuedTokens, Refusal, Sandbox};

use crate::{
    client::{Answer, Connection, get},
    mint, refresh, text, with,
};

/// Sends one refresh under one fault. The counts then tell whether Webex acted.
fn under(fault: Fault) -> (Sandbox, IssuedTokens, Option<Answer>) {
    let sandbox = with(|policy| policy.rotate = true);
    let tokens = sandbox.issue_service_app_tokens();
    sandbox.script(Endpoint::AccessToken, [fault]);
    let answer = refresh(&sandbox, &tokens.refresh_token).try_send(&sandbox);
    assert_eq!(sandbox.remaining_faults(), 0);
    (sandbox, tokens, answer)
}

/// As `under`, for a fault that answers and does not keep Webex from acting.
fn acted(fault: Fault) -> (Sandbox, Answer) {
    let (sandbox, tokens, answer) = under(fault);
    assert_eq!(sandbox.counts().refreshes, 1);
    assert!(!sandbox.is_live_refresh_token(&tokens.refresh_token));
    (sandbox, answer.unwrap())
}

/// As `under`, for a fault that answers and keeps Webex from acting.
fn did_not_act(fault: Fault) -> Answer {
    let (sandbox, tokens, answer) = under(fault);
    assert_eq!(sandbox.counts().refreshes, 0);
    assert!(sandbox.is_live_refresh_token(&tokens.refresh_token));
    answer.unwrap()
}

#[test]
fn a_status_has_its_documented_text_and_the_headers_asked_for() {
    let answer = did_not_act(Fault::status(503).header("Retry-After", "7"));
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert!(text(&answer, "/message").contains("overloaded"));
    assert_eq!(
        answer.header("trackingid"),
        Some(text(&answer, "/trackingId").as_str())
    );
}

#[test]
fn a_status_takes_code_text_and_shape() {
    let fault = Fault::status(400)
        .error("invalid_request", "Some text")
        .shape(ErrorShape::Rfc6749);
    assert_eq!(
        did_not_act(fault).json(),
        json!({"error": "invalid_request", "error_description": "Some text"})
    );
    let refusal = Refusal::new(418, "code", "Text").shape(ErrorShape::WebexMessage);
    let answer = did_not_act(Fault::refusal(refusal));
    assert_eq!((answer.status, &*text(&answer, "/message")), (418, "code"));
}

#[test]
fn html_with_200_and_any_other_body() {
    let answer = did_not_act(Fault::html());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert!(answer.text().starts_with("<!doctype html>"));
    let answer = did_not_act(Fault::body(407, "text/plain", "proxy"));
    assert_eq!((answer.status, &*answer.text()), (407, "proxy"));
    let answer = did_not_act(Fault::empty(429));
    assert_eq!((answer.status, answer.body.len()), (429, 0));
    assert_eq!(answer.header("content-type"), None);
}

#[test]
fn a_redirect_names_its_url() {
    let answer = did_not_act(Fault::redirect("http://127.0.0.1:9/elsewhere"));
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.header("location"),
        Some("http://127.0.0.1:9/elsewhere")
    );
}

#[test]
fn dropped_before_acting_leaves_the_world_as_it_was() {
    let (sandbox, tokens, answer) = under(Fault::drop_before());
    assert!(answer.is_none());
    assert_eq!(sandbox.counts().refreshes, 0);
    assert!(sandbox.is_live_refresh_token(&tokens.refresh_token));
    assert_eq!(sandbox.requests()[0].status, None);
}

#[test]
fn dropped_after_acting_has_spent_the_refresh_token() {
    let (sandbox, tokens, answer) = under(Fault::drop_after());
    assert!(answer.is_none());
    assert_eq!(sandbox.counts().refreshes, 1);
    assert!(!sandbox.is_live_refresh_token(&tokens.refresh_token));
}

#[test]
fn half_a_body_is_declared_whole_and_sent_in_half() {
    let (_sandbox, answer) = acted(Fault::half_body());
    assert_eq!(answer.status, 200);
    assert!(answer.cut);
    let declared: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(answer.body.len(), declared / 2);
}

#[test]
fn cut_short_is_complete_http_and_half_json() {
    let (_sandbox, answer) = acted(Fault::cut_short());
    assert!(!answer.cut);
    assert!(answer.text().starts_with('{'));
    assert!(!answer.text().ends_with('}'));
}

#[test]
fn fields_are_missing_empty_or_of_another_type() {
    let field = |fault, name: &str| acted(fault).1.json().get(name).cloned();
    assert_eq!(field(Fault::missing_access_token(), "access_token"), None);
    assert_eq!(field(Fault::missing_refresh_token(), "refresh_token"), None);
    assert_eq!(
        field(Fault::empty_refresh_token(), "refresh_token"),
        Some(json!(""))
    );
    assert_eq!(field(Fault::missing_lifetimes(), "expires_in"), None);
    assert_eq!(
        field(Fault::missing_lifetimes(), "refresh_token_expires_in"),
        None
    );
    assert_eq!(field(Fault::without(&["token_type"]), "token_type"), None);
    assert_eq!(
        field(Fault::with("access_token", 7), "access_token"),
        Some(json!(7))
    );
    let life = field(Fault::numbers_as_strings(), "expires_in").unwrap();
    assert!(life.as_str().unwrap().starts_with("12"), "{life}");
}

#[test]
fn a_huge_body_is_whole_and_that_long() {
    let bytes = 2 * 1024 * 1024;
    let (_sandbox, answer) = acted(Fault::huge_body(bytes));
    assert_eq!(answer.header("content-length"), Some("2097152"));
    assert_eq!(answer.body.len(), bytes);
    assert!(answer.json()["access_token"].is_string());
    let (_sandbox, answer) = acted(Fault::huge_chunked_body(bytes));
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.body.len(), bytes);
}

#[test]
fn an_endless_body_does_not_end() {
    let sandbox = Sandbox::start();
    let tokens = sandbox.issue_service_app_tokens();
    sandbox.script(Endpoint::ServiceAppRefresh, [Fault::endless_body()]);
    let ask = refresh(&sandbox, &tokens.refresh_token);
    let (head, body) = Connection::open(&sandbox).send_and_read(&ask, 16 * 1024 * 1024);
    assert!(
        head.to_ascii_lowercase()
            .contains("transfer-encoding: chunked")
    );
    assert_eq!(body.len(), 16 * 1024 * 1024);
    // The server is free for others at the same time.
    assert_eq!(get("/v1/people/me").send(&sandbox).status, 401);
}

#[test]
fn tokens_of_choice_live() {
    let odd = "it's \"odd\" $HOME `x` \\ # =";
    let (sandbox, answer) = acted(Fault::access_token(odd));
    assert_eq!(text(&answer, "/access_token"), odd);
    assert!(sandbox.is_live(odd));
    let read = get("/v1/dataSources").bearer(odd).send(&sandbox);
    assert_eq!(read.status, 200);
    let (sandbox, answer) = acted(Fault::refresh_token("chosen"));
    assert_eq!(text(&answer, "/refresh_token"), "chosen");
    assert!(sandbox.is_live_refresh_token("chosen"));
}

#[test]
fn an_issued_token_is_refused_or_forbidden_ever_after() {
    for (fault, status) in [
        (Fault::issued_but_refused(), 401),
        (Fault::issued_but_forbidden(), 403),
    ] {
        let (sandbox, answer) = acted(fault);
        let token = text(&answer, "/access_token");
        for _ in 0..2 {
            let read = get("/v1/dataSources").bearer(&token).send(&sandbox);
            assert_eq!(read.status, status);
        }
        assert_eq!(sandbox.is_live(&token), status == 403);
    }
}

#[test]
fn an_issued_token_is_refused_after_a_mint_too() {
    let sandbox = Sandbox::start();
    sandbox.script(Endpoint::Mint, [Fault::issued_but_refused()]);
    let answer = mint(&sandbox, &sandbox.issue_personal_access_token()).send(&sandbox);
    assert_eq!(answer.status, 200);
    assert!(!sandbox.is_live(&text(&answer, "/access_token")));
}

#[test]
fn acting_is_a_choice() {
    let (_sandbox, answer) = acted(Fault::status(502).after_acting());
    assert_eq!(answer.status, 502);
    let answer = did_not_act(Fault::half_body().before_acting());
    assert!(answer.cut);
}

#[test]
fn never_answering_lasts_until_the_client_leaves() {
    let sandbox = Sandbox::start();
    let tokens = sandbox.issue_service_app_tokens();
    let gate = sandbox.gate(Endpoint::AccessToken);
    sandbox.script(Endpoint::AccessToken, [Fault::never_answer()]);
    let ask = refresh(&sandbox, &tokens.refresh_token);
    let mut connection = Connection::open(&sandbox);
    connection.start(&ask);
    gate.wait_for_request();
    gate.release();
    assert_eq!(ask.send(&sandbox).status, 200, "only the first hangs");
    assert_eq!(sandbox.counts().overlapping_refreshes, 1, "still in flight");
    drop(connection);
}

#[test]
fn a_delay_takes_its_time_and_then_answers_as_usual() {
    let start = Instant::now();
    let (_sandbox, answer) = acted(Fault::delay(Duration::from_millis(30)));
    assert_eq!(answer.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(30));
    let answer = did_not_act(Fault::status(500).delayed(Duration::from_millis(1)));
    assert_eq!(answer.status, 500);
}

#[test]
fn faults_are_consumed_in_order_and_then_all_is_well() {
    let sandbox = Sandbox::start();
    let tokens = sandbox.issue_service_app_tokens();
    sandbox.script(
        Endpoint::AccessToken,
        [Fault::status(500), Fault::drop_before(), Fault::status(429)],
    );
    let ask = refresh(&sandbox, &tokens.refresh_token);
    let statuses: Vec<Option<u16>> = (0..4)
        .map(|_| ask.try_send(&sandbox).map(|answer| answer.status))
        .collect();
    assert_eq!(statuses, [Some(500), None, Some(429), Some(200)]);
    let logged: Vec<Option<u16>> = sandbox.requests().iter().map(|it| it.status).collect();
    assert_eq!(logged, statuses);
}

#[test]
fn a_standing_fault_stays_until_cleared() {
    let sandbox = Sandbox::start();
    let ask = get("/v1/dataSources").bearer(&sandbox.issue_service_app_tokens().access_token);
    sandbox.script_always(Endpoint::DataSources, Fault::status(503));
    sandbox.script(Endpoint::DataSources, [Fault::status(500)]);
    let status = || ask.send(&sandbox).status;
    assert_eq!([status(), status(), status()], [500, 503, 503]);
    sandbox.clear_faults();
    assert_eq!(status(), 200);
}

#[test]
fn the_most_specific_endpoint_comes_first() {
    let sandbox = Sandbox::start();
    let app = sandbox.issue_service_app_tokens();
    sandbox.script(Endpoint::Any, [Fault::status(501)]);
    sandbox.script(Endpoint::AccessToken, [Fault::status(502)]);
    sandbox.script(Endpoint::IntegrationRefresh, [Fault::status(503)]);
    sandbox.script(Endpoint::ServiceAppRefresh, [Fault::status(504)]);
    let ask = refresh(&sandbox, &app.refresh_token);
    let statuses: Vec<u16> = (0..4).map(|_| ask.send(&sandbox).status).collect();
    assert_eq!(statuses, [504, 502, 501, 200]);
    assert_eq!(sandbox.remaining_faults(), 1);
}

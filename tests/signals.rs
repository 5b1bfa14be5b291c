//! Signals and the deadline forbid new requests; what is in flight is finished and saved.

#![cfg(unix)]

mod support;

use rustix::process::Signal;
use serde_json::json;
use support::disk;
use support::{ACCESS_TOKEN_KEY, FLAG_KEY, Run, Story};
use webex_sandbox::{Endpoint, Fault};

const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];

/// A refresh token that works, and no access token.
fn due() -> Story {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.configured().stored("", &tokens.refresh_token);
    story
}

#[test]
fn a_grant_in_flight_is_finished_and_saved() {
    for (signal, code) in SIGNALS {
        let story = due();
        let (mut run, gate) = Run::start_held(&story, &["--json"], Endpoint::ServiceAppRefresh);
        run.stop(signal);
        gate.release();

        let json = run.finish(&story).exits(code).outcome("unavailable");
        assert_eq!(json["validated"], false);
        assert!(story.sandbox.is_live(&story.access_token()));
        assert_eq!(story.requests(), ["POST /v1/access_token"]);
        let json = story.refresh_token(&["--json"]).exits(0).outcome("valid");
        assert_eq!(json["warnings"], json!([]));
    }
}

#[test]
fn a_mint_and_a_renewal_in_flight_are_finished_and_saved() {
    let story = Story::new();
    let integration = story.sandbox.issue_integration_tokens();
    story
        .configured_with(None, Some(&integration.refresh_token))
        .write_env("");
    let (mut run, gate) = Run::start_held(&story, &[], Endpoint::IntegrationRefresh);
    run.stop(Signal::TERM);
    gate.release();
    run.finish(&story).exits(143);
    let pat = story.config()["tokenManager"]["personalAccessToken"].clone();
    assert!(story.sandbox.is_live(pat.as_str().expect("a text")));
    assert_eq!(story.sandbox.counts().mint_requests, 0);

    let (mut run, gate) = Run::start_held(&story, &[], Endpoint::Mint);
    run.stop(Signal::TERM);
    gate.release();
    run.finish(&story).exits(143);
    assert!(story.sandbox.is_live(&story.access_token()));
    assert_eq!(story.sandbox.counts().validations, 0);
}

#[test]
fn a_validation_is_not_waited_for() {
    let story = due();
    let (mut run, _gate) = Run::start_held(&story, &["--json"], Endpoint::DataSources);

    run.stop(Signal::INT);

    run.finish(&story).exits(130).outcome("unavailable");
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn a_signal_ends_the_wait_for_the_lock() {
    for (signal, code) in SIGNALS {
        let story = due();
        let held = disk::hold_lock(&story.path(".env.lock"));
        let mut run = Run::start(&story, &[]);
        run.logs("waiting for another run");

        run.stop(signal);

        run.finish(&story).exits(code).says("holds .env.lock");
        assert!(story.requests().is_empty());
        drop(held);
    }
}

#[test]
fn a_second_signal_ends_at_once_and_the_next_run_knows() {
    for (signal, code) in SIGNALS {
        let story = due();
        let before = story.env();
        let (mut run, gate) = Run::start_held(&story, &["--json"], Endpoint::ServiceAppRefresh);
        let pid = run.id();
        run.stop(Signal::INT);

        run.send(signal);

        // The gate is still closed: nothing but the signal can end it.
        let told = run.finish(&story);
        told.exits(code);
        assert_eq!(told.stdout, "");
        assert_eq!(story.env(), before);
        gate.release();

        let json = story.refresh_token(&["--json"]).exits(0).json();
        let warnings = json["warnings"].to_string();
        assert!(
            warnings.contains(&format!("process {pid}")),
            "{signal:?}: {warnings}"
        );
        assert!(warnings.contains("ended before its answer was saved"));
    }
}

#[test]
fn a_look_is_given_up_at_the_deadline_and_nothing_follows() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let before = story.env();
    let _gate = story.sandbox.gate(Endpoint::DataSources);

    let told = story.refresh_token(&["--json", "--deadline", "1s"]);

    told.exits(75).outcome("unavailable");
    assert_eq!(story.requests(), ["GET /v1/dataSources"]);
    assert_eq!(story.env(), before);
}

#[test]
fn a_grant_in_flight_outlives_the_deadline_and_is_saved() {
    let story = due();
    let (run, gate) = Run::start_held(
        &story,
        &["--json", "--deadline", "3s"],
        Endpoint::ServiceAppRefresh,
    );
    // This one waits for the lock until its own deadline, which is later.
    story.refresh_token(&["--deadline", "4s"]).exits(75);
    gate.release();

    let json = run.finish(&story).exits(75).outcome("unavailable");

    assert_eq!(json["attempts"][0]["outcome"], "issued");
    assert_eq!(story.requests(), ["POST /v1/access_token"]);
    assert!(story.sandbox.is_live(&story.access_token()));
    let json = story.refresh_token(&["--json"]).exits(0).outcome("valid");
    assert_eq!(json["warnings"], json!([]));
}

/// A refresh token that Webex refuses, and a personal access token that would do.
fn with_a_second_rung() -> Story {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    let pat = story.sandbox.issue_personal_access_token();
    story.sandbox.revoke(&tokens.refresh_token);
    story
        .configured_with(Some(&pat), None)
        .stored("", &tokens.refresh_token);
    story
}

#[test]
fn after_the_deadline_no_other_rung_is_tried() {
    let story = with_a_second_rung();
    let arguments = ["--json", "--deadline", "3s"];
    let (run, gate) = Run::start_held(&story, &arguments, Endpoint::ServiceAppRefresh);
    story.refresh_token(&["--deadline", "4s"]).exits(75);
    gate.release();

    run.finish(&story).exits(75).outcome("unavailable");

    assert_eq!(story.requests(), ["POST /v1/access_token"]);
    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn after_a_signal_no_other_rung_is_tried() {
    let story = with_a_second_rung();
    let (mut run, gate) = Run::start_held(&story, &["--json"], Endpoint::ServiceAppRefresh);
    run.stop(Signal::TERM);
    gate.release();

    run.finish(&story).exits(143).outcome("unavailable");

    assert_eq!(story.requests(), ["POST /v1/access_token"]);
    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn a_wait_that_would_end_past_the_deadline_is_not_begun() {
    let story = due();
    let fault = Fault::status(503).header("Retry-After", "3600");
    story
        .sandbox
        .script_always(Endpoint::ServiceAppRefresh, fault);

    story
        .refresh_token(&["--json"])
        .exits(75)
        .outcome("unavailable");

    assert_eq!(story.requests(), ["POST /v1/access_token"]);
    assert!(!story.env().contains(ACCESS_TOKEN_KEY));
}

#[test]
fn a_signal_cuts_the_pause_before_the_next_try() {
    let story = due();
    let fault = Fault::status(503).header("Retry-After", "50");
    story
        .sandbox
        .script_always(Endpoint::ServiceAppRefresh, fault);
    let mut run = Run::start(&story, &[]);
    run.logs("asked");

    run.stop(Signal::TERM);

    run.finish(&story).exits(143);
    assert_eq!(story.requests(), ["POST /v1/access_token"]);
}

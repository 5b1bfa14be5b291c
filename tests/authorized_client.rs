//! `AuthorizedClient` as a program that imports the library uses it: a token that is always good, and
//! nothing done twice.

mod support;

use serde_json::{Map, Value, json};
use support::{Hand, Is, Story};
use webex_sandbox::{Endpoint, Fault};
use webex_tokens::authorized::{Answer, AuthorizedClient, CallError, FailureKind};
use webex_tokens::config::{Environment, Flags, Sources};
use webex_tokens::manager::TokenManager;
use webex_tokens::webex::Call;

/// A wait that no call is given.
const FAR: &str = "86400";

fn story() -> Story {
    Story::with_hand(Hand {
        access_token: Is::Live,
        ..Hand::ALL_RUNGS
    })
}

fn client(story: &Story) -> AuthorizedClient {
    let manager = TokenManager::new(Sources {
        flags: Flags {
            config: Some(story.path("token-config.json")),
            env_file: Some(story.path(".env")),
            api_base_url: Some(story.sandbox.base_url()),
            settings: Vec::new(),
        },
        environment: Environment::default(),
    });
    AuthorizedClient::new(manager).expect("settings that serve")
}

fn send(story: &Story, call: &Call) -> Result<Answer, CallError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .expect("a runtime")
        .block_on(client(story).send(call))
}

fn body() -> Map<String, Value> {
    let body = json!({
        "audience": "AppOne",
        "subject": "callAudioData",
        "nonce": "one",
        "schemaId": "5397013b-7920-4ffc-807c-e8a3e0a18f43",
        "url": "https://example.com/",
        "tokenLifetimeMinutes": 60,
    });
    body.as_object().expect("an object").clone()
}

fn register() -> Call {
    Call::post(&["dataSources"], &body())
}

/// How often the sandbox was asked to register one.
fn registrations(story: &Story) -> usize {
    let requests = story.requests();
    let posts = requests.iter().filter(|it| *it == "POST /v1/dataSources");
    posts.count()
}

#[track_caller]
fn kind(sent: Result<Answer, CallError>) -> FailureKind {
    let error = sent.expect_err("it fails");
    error.kind().unwrap_or_else(|| panic!("{error}"))
}

#[test]
fn a_token_that_died_is_replaced_and_any_call_repeated_once() {
    let story = story();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = client(&story);
        client.manager().access_token().await.expect("it lives");
        story.sandbox.revoke(&story.access_token());
        client.send(&register()).await.expect("it is repeated");
    });
    assert_eq!(registrations(&story), 2);
    assert_eq!(story.sandbox.counts().refreshes, 1);
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn a_second_401_is_the_end() {
    let story = story();
    story
        .sandbox
        .script_always(Endpoint::RegisterDataSource, Fault::status(401));
    assert_eq!(kind(send(&story, &register())), FailureKind::Unavailable);
    assert_eq!(registrations(&story), 2);
    assert_eq!(story.sandbox.counts().refreshes, 1);
}

#[test]
fn what_may_have_been_done_is_not_done_again() {
    for fault in [
        Fault::drop_after(),
        Fault::drop_before(),
        Fault::half_body(),
        Fault::status(500),
        Fault::status(504),
    ] {
        let story = story();
        story.sandbox.script(Endpoint::RegisterDataSource, [fault]);
        assert_eq!(kind(send(&story, &register())), FailureKind::Unknown);
        assert_eq!(registrations(&story), 1);
    }
}

#[test]
fn a_read_is_repeated_whatever_became_of_it() {
    let story = story();
    story.sandbox.script(
        Endpoint::Schemas,
        [Fault::drop_after(), Fault::status(500), Fault::half_body()],
    );
    let answer = send(&story, &Call::get(&["dataSources", "schemas"]));
    assert_eq!(answer.expect("the fourth is answered").status, 200);
}

#[test]
fn what_webex_has_not_done_is_asked_for_again_when_it_says_so() {
    for status in [423, 429, 503] {
        let story = story();
        story.sandbox.script(
            Endpoint::RegisterDataSource,
            [Fault::status(status).header("Retry-After", "1")],
        );
        let answer = send(&story, &register()).expect("the second is answered");
        assert!(answer.tracking_id.is_some());
        assert_eq!(registrations(&story), 2);
    }
}

#[test]
fn a_wait_that_is_too_long_is_told_and_not_waited_for() {
    let story = story();
    story.sandbox.script_always(
        Endpoint::RegisterDataSource,
        Fault::status(429).header("Retry-After", FAR),
    );
    let error = send(&story, &register()).expect_err("it is not waited for");
    let CallError::Failed(failure) = error else {
        panic!("{error}");
    };
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert_eq!(failure.retry_after.map(|wait| wait.as_secs()), Some(86_400));
    assert_eq!(registrations(&story), 1);
}

#[test]
fn refusals_say_what_webex_said_and_are_not_repeated() {
    for (status, expected) in [
        (400, FailureKind::Refused),
        (403, FailureKind::Forbidden),
        (404, FailureKind::NotFound),
        (409, FailureKind::Unavailable),
        (410, FailureKind::NotFound),
        (415, FailureKind::Refused),
    ] {
        let story = story();
        story.sandbox.script_always(
            Endpoint::RegisterDataSource,
            Fault::status(status).error("because", "of this"),
        );
        let error = send(&story, &register()).expect_err("it is refused");
        assert_eq!(error.kind(), Some(expected), "{status}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("HTTP {status}: ")), "{text}");
        assert!(text.contains("of this"), "{text}");
        assert!(text.contains("trackingId"), "{text}");
        assert_eq!(registrations(&story), 1, "{status}");
    }
}

#[test]
fn no_token_is_an_error_of_its_own_and_nothing_is_sent() {
    let story = Story::with_hand(Hand::default());
    let error = send(&story, &register()).expect_err("there is no token");
    let CallError::Token(error) = error else {
        panic!("{error}");
    };
    assert!(error.remedy().is_some());
    assert_eq!(registrations(&story), 0);
}

#[test]
fn settings_that_lead_nowhere_are_told_before_the_first_call() {
    let story = story();
    let manager = TokenManager::new(Sources {
        flags: Flags {
            env_file: Some(story.path(".env")),
            api_base_url: Some("http://elsewhere.example".to_owned()),
            ..Flags::default()
        },
        environment: Environment::default(),
    });
    let error = AuthorizedClient::new(manager).expect_err("plain http to elsewhere");
    assert_eq!(error.report().outcome.name(), "misconfigured");
}

#[test]
fn every_request_says_who_asks() {
    let story = story();
    send(&story, &register()).expect("it is registered");
    for request in story.sandbox.requests() {
        let agent = concat!("webex-tokens/", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.headers["user-agent"], agent);
    }
}

#[test]
fn a_redirect_of_a_change_is_no_reason_to_repeat_it() {
    let story = story();
    story.sandbox.script_always(
        Endpoint::RegisterDataSource,
        Fault::redirect("https://elsewhere.example/"),
    );
    assert_eq!(kind(send(&story, &register())), FailureKind::Unknown);
    assert_eq!(registrations(&story), 1);
}

#[test]
fn a_call_that_is_stale_is_not_sent() {
    let story = story();
    let call = register().stale_after(std::time::Duration::ZERO);
    let error = send(&story, &call).expect_err("it is too late");
    assert!(matches!(error, CallError::Stale), "{error}");
    assert_eq!(registrations(&story), 0);
}

//! `GET /v1/dataSources`: what a look at the stored token, and at a fresh one, leads to.

mod support;

use serde_json::json;
use support::{FLAG_KEY, Hand, Is, Story};
use webex_sandbox::{Endpoint, ErrorShape, Fault, Grant, PEOPLE_SCOPE, Refusal};

/// A wait that no deadline allows: what meets it is given up at once, so that no test waits.
const FAR: &str = "3600";

const VALID: Hand = Hand {
    access_token: Is::Live,
    refresh_token: Is::Live,
    personal_access_token: Is::Absent,
    integration: Is::Absent,
};

fn busy() -> Fault {
    Fault::status(503).header("Retry-After", FAR)
}

// The stored token.

#[test]
fn the_stored_token_is_the_bearer_and_one_request_is_enough() {
    let story = Story::with_hand(VALID);

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(0).outcome("valid");
    assert_eq!(json["validated"], true);
    assert_eq!(json["requests"], 1);
    assert!(json["rung"].is_null());
    let requests = story.sandbox.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].bearer(), Some(&*story.access_token()));
}

#[test]
fn a_refused_token_is_climbed_for() {
    for shape in [ErrorShape::Webex, ErrorShape::Gateway, ErrorShape::Rfc6749] {
        let story = Story::with_hand(Hand {
            access_token: Is::Dead,
            ..VALID
        });
        let refusal = Refusal::standard(401).shape(shape);
        story
            .sandbox
            .script(Endpoint::DataSources, [Fault::refusal(refusal)]);

        let told = story.refresh_token(&["--json"]);

        told.exits(0).outcome("refreshed");
        assert_eq!(story.asked(), ["validate", "grant", "validate"]);
    }
}

#[test]
fn a_forbidden_token_is_left_alone_and_both_causes_are_named() {
    let story = Story::with_hand(Hand {
        access_token: Is::Absent,
        ..Hand::ALL_RUNGS
    });
    let token = story
        .sandbox
        .issue_with(Grant::ServiceApp, &[PEOPLE_SCOPE])
        .access_token;
    story.stored(&token, &story.refresh_token_in_env());
    let env = story.env();

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(78).outcome("misconfigured");
    let remedy = json["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("spark-admin:datasource_read"), "{remedy}");
    assert!(remedy.contains("role"), "{remedy}");
    assert_eq!(story.asked(), ["validate"]);
    assert_eq!(story.env(), env);
    assert!(!story.exists(".env.lock"));
}

#[test]
fn an_unavailable_look_is_repeated() {
    let story = Story::with_hand(VALID);
    story.sandbox.script(
        Endpoint::DataSources,
        [Fault::status(503), Fault::drop_before()],
    );

    story.refresh_token(&["--json"]).exits(0).outcome("valid");

    assert_eq!(story.asked(), ["validate"; 3]);
}

#[test]
fn a_look_that_stays_unavailable_starts_no_climb() {
    let story = Story::with_hand(Hand {
        access_token: Is::Live,
        ..Hand::ALL_RUNGS
    });
    let env = story.env();
    story
        .sandbox
        .script_always(Endpoint::DataSources, Fault::status(500));

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(75).outcome("unavailable");
    assert_eq!(json["validated"], false);
    assert_eq!(story.asked(), ["validate"; 3]);
    assert_eq!(story.env(), env);
    assert!(!story.exists(".env.lock"));
}

#[test]
fn only_a_401_says_that_the_stored_token_is_dead() {
    let others = [
        Fault::status(423),
        Fault::status(429),
        Fault::status(502),
        Fault::body(401, "text/html", "<h1>Sign in</h1>"),
        Fault::body(403, "text/html", "<h1>Blocked</h1>"),
        Fault::redirect("https://login.example.com/"),
    ];
    for fault in others {
        let shown = format!("{fault:?}");
        let story = Story::with_hand(VALID);
        let fault = fault.header("Retry-After", FAR);
        story.sandbox.script(Endpoint::DataSources, [fault]);

        let told = story.refresh_token(&["--json"]);

        assert_eq!(told.code, 75, "{shown}\n{}", told.stdout);
        assert_eq!(story.asked(), ["validate"], "{shown}");
    }
    for status in [400, 404, 409, 422] {
        let story = Story::with_hand(VALID);
        let fault = Fault::status(status);
        story.sandbox.script(Endpoint::DataSources, [fault]);

        story.refresh_token(&[]).exits(75);

        assert_eq!(story.asked(), ["validate"], "{status}");
    }
}

#[test]
fn a_proxy_that_refuses_a_look_is_a_matter_of_settings() {
    let story = Story::with_hand(VALID);
    let fault = Fault::empty(407);
    story.sandbox.script(Endpoint::DataSources, [fault]);

    story
        .refresh_token(&["--json"])
        .exits(78)
        .outcome("misconfigured");

    assert_eq!(story.asked(), ["validate"]);
}

#[test]
fn a_look_is_given_up_when_the_deadline_comes() {
    let story = Story::with_hand(VALID);
    story
        .sandbox
        .script(Endpoint::DataSources, [Fault::never_answer()]);

    let told = story.refresh_token(&["--json", "--deadline", "1s"]);

    told.exits(75).outcome("unavailable");
    assert_eq!(story.asked(), ["validate"]);
}

#[test]
fn thousands_of_data_sources_are_a_valid_answer() {
    let source = json!({
        "id": "Y2lzY29zcGFyazovL3VzL0RBVEFfU09VUkNFLzEx",
        "schemaId": "5397013b-7920-4ffc-807c-e8a3e0a18f43",
        "orgId": "d2ae8e63-5d3c-4a29-bd5a-9a1e1d1ad1d4",
        "status": "active",
        "jwsToken": "e".repeat(900),
        "tokenLifetimeMinutes": 1440,
    });
    let list = json!({ "items": vec![source; 10_000] }).to_string();
    assert!(list.len() > 10_000_000);
    let story = Story::with_hand(VALID);
    let fault = Fault::body(200, "application/json", list);
    story.sandbox.script(Endpoint::DataSources, [fault]);

    story.refresh_token(&["--json"]).exits(0).outcome("valid");

    assert_eq!(story.asked(), ["validate"]);
}

#[test]
fn a_long_answer_need_not_end() {
    for fault in [Fault::endless_body(), Fault::huge_chunked_body(8 << 20)] {
        let story = Story::with_hand(VALID);
        story.sandbox.script(Endpoint::DataSources, [fault]);

        story.refresh_token(&["--json"]).exits(0).outcome("valid");

        assert_eq!(story.asked(), ["validate"]);
    }
}

#[test]
fn a_200_that_is_no_json_is_not_believed() {
    let page = "<p>Sign in</p>";
    for fault in [
        Fault::html(),
        Fault::cut_short(),
        Fault::half_body(),
        Fault::body(200, "application/json", page.repeat(10_000)),
    ] {
        let shown = format!("{fault:?}");
        let story = Story::with_hand(VALID);
        story.sandbox.script(Endpoint::DataSources, [fault]);

        let told = story.refresh_token(&["--json"]);

        told.exits(0).outcome("valid");
        assert_eq!(
            told.attempts(),
            ["validate unavailable", "validate accepted"],
            "{shown:.80}"
        );
    }
}

// A fresh token.

#[test]
fn a_fresh_token_may_be_refused_once() {
    let story = Story::with_hand(Hand::ALL_RUNGS);
    story
        .sandbox
        .script(Endpoint::DataSources, [Fault::status(401)]);

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "service_app_refresh_token");
    assert_eq!(story.asked(), ["grant", "validate", "validate"]);
}

#[test]
fn a_refreshed_token_that_is_refused_leads_to_the_next_rung() {
    let story = Story::with_hand(Hand::ALL_RUNGS);
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::issued_but_refused()]);

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "personal_access_token");
    assert_eq!(
        story.asked(),
        ["grant", "validate", "validate", "mint", "validate"]
    );
}

#[test]
fn a_refreshed_token_that_is_refused_is_a_matter_for_a_human_where_no_rung_is_left() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::issued_but_refused()]);

    story
        .refresh_token(&["--json"])
        .exits(77)
        .outcome("reauthorization_required");

    assert_eq!(story.asked(), ["grant", "validate", "validate"]);
}

#[test]
fn a_minted_token_that_is_refused_is_kept_and_nothing_more_is_minted() {
    for hand in [
        Hand {
            integration: Is::Live,
            ..Hand::PERSONAL_ACCESS_TOKEN
        },
        Hand::INTEGRATION,
    ] {
        let story = Story::with_hand(hand);
        story
            .sandbox
            .script(Endpoint::Mint, [Fault::issued_but_refused()]);

        let told = story.refresh_token(&["--json"]);

        let json = told.exits(75).outcome("unavailable");
        told.says("Webex issues tokens and refuses them");
        assert_eq!(json["validated"], false);
        assert_eq!(story.sandbox.counts().mints, 1);
        assert_eq!(story.sandbox.counts().validations, 2);
        let refused = story.access_token();

        for arguments in [&["--json"][..], &["--json", "--force"]] {
            let told = story.forget_requests().refresh_token(arguments);
            told.exits(75).outcome("unavailable");
            assert_eq!(story.asked(), ["validate"], "{arguments:?}");
            assert_eq!(story.access_token(), refused);
        }
    }
}

#[test]
fn an_hour_after_a_refused_mint_a_run_climbs_again() {
    let story = Story::with_hand(Hand::PERSONAL_ACCESS_TOKEN);
    story
        .sandbox
        .script(Endpoint::Mint, [Fault::issued_but_refused()]);
    story.refresh_token(&[]).exits(75);
    let now = jiff::Timestamp::try_from(story.sandbox.now()).expect("in range");

    let ago = |minutes| (now - jiff::SignedDuration::from_mins(minutes)).to_string();
    story
        .edit_state(|state| state["refused"]["at"] = ago(58).into())
        .forget_requests();
    story.refresh_token(&[]).exits(75);
    assert_eq!(story.asked(), ["validate"]);

    story
        .edit_state(|state| state["refused"]["at"] = ago(61).into())
        .forget_requests();
    story.refresh_token(&[]).exits(0);
    assert_eq!(story.asked()[0], "validate");
    assert!(story.sandbox.is_live(&story.access_token()));
    assert!(story.asked().ends_with(&["validate"]));
    assert!(story.asked().len() > 2);
}

#[test]
fn a_minted_token_that_is_accepted_after_all_is_valid() {
    let story = Story::with_hand(Hand::PERSONAL_ACCESS_TOKEN);
    story.sandbox.script(
        Endpoint::DataSources,
        [Fault::status(401), Fault::status(401)],
    );
    story.refresh_token(&[]).exits(75);
    story.forget_requests();

    story.refresh_token(&["--json"]).exits(0).outcome("valid");

    assert_eq!(story.asked(), ["validate"]);
}

#[test]
fn another_token_is_not_held_back_by_the_refusal() {
    let story = Story::with_hand(Hand::PERSONAL_ACCESS_TOKEN);
    story
        .sandbox
        .script(Endpoint::Mint, [Fault::issued_but_refused()]);
    story.refresh_token(&[]).exits(75);
    let pasted = story.sandbox.issue_service_app_tokens().access_token;
    story.sandbox.revoke(&pasted);
    story.stored(&pasted, "").forget_requests();

    story.refresh_token(&[]).exits(0);

    assert_eq!(story.asked(), ["validate", "mint", "validate"]);
}

#[test]
fn a_fresh_token_that_is_forbidden_stays_saved() {
    for (hand, endpoint, step) in [
        (Hand::REFRESH_TOKEN, Endpoint::ServiceAppRefresh, "grant"),
        (Hand::PERSONAL_ACCESS_TOKEN, Endpoint::Mint, "mint"),
    ] {
        let story = Story::with_hand(hand);
        story
            .sandbox
            .script(endpoint, [Fault::issued_but_forbidden()]);

        let told = story.refresh_token(&["--json"]);

        told.exits(78).outcome("misconfigured");
        told.says("spark-admin:datasource_read").says("role");
        assert_eq!(story.asked(), [step, "validate"]);
        let bearer = story.sandbox.requests()[1].bearer().map(str::to_owned);
        assert_eq!(bearer, Some(story.access_token()));
        assert!(!story.env().contains(FLAG_KEY));
    }
}

#[test]
fn a_fresh_token_that_cannot_be_validated_stays_saved() {
    for hand in [Hand::REFRESH_TOKEN, Hand::PERSONAL_ACCESS_TOKEN] {
        let story = Story::with_hand(hand);
        story.sandbox.script(Endpoint::DataSources, [busy()]);

        let told = story.refresh_token(&["--json"]);

        let json = told.exits(75).outcome("unavailable");
        assert_eq!(json["validated"], false);
        assert_eq!(story.asked().len(), 2);
        assert!(story.sandbox.is_live(&story.access_token()));

        let told = story.forget_requests().refresh_token(&["--json"]);
        told.exits(0).outcome("valid");
        assert_eq!(story.asked(), ["validate"]);
    }
}

#[test]
fn the_validation_of_a_fresh_token_is_repeated_too() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story.sandbox.script(
        Endpoint::DataSources,
        [Fault::status(502), Fault::status(429)],
    );

    story.refresh_token(&[]).exits(0);

    assert_eq!(story.asked(), ["grant", "validate", "validate", "validate"]);
}

// The stored token, after a rung was unavailable.

#[test]
fn after_an_unavailable_rung_a_token_that_works_is_kept() {
    let story = Story::with_hand(Hand {
        access_token: Is::Live,
        ..Hand::ALL_RUNGS
    });
    let env = story.env();
    story.sandbox.script(Endpoint::ServiceAppRefresh, [busy()]);

    let told = story.refresh_token(&["--json", "--force"]);

    let json = told.exits(0).outcome("kept");
    assert_eq!(json["validated"], true);
    assert!(json["rung"].is_null());
    assert_eq!(story.asked(), ["grant", "validate"]);
    assert_eq!(story.env(), env);
}

#[test]
fn a_kept_token_is_reported_with_its_reason() {
    let story = Story::with_hand(VALID);
    story.sandbox.script(Endpoint::ServiceAppRefresh, [busy()]);

    let told = story.refresh_token(&["--force"]);

    told.exits(0).says("kept").says("503").says("still works");
}

#[test]
fn after_a_doubtful_grant_a_kept_token_leaves_the_doubt_open() {
    let story = Story::with_hand(VALID);
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::drop_after()]);

    let told = story.refresh_token(&["--json", "--force"]);
    told.exits(0).outcome("kept");
    assert_eq!(story.asked(), ["grant", "validate"]);

    let told = story
        .forget_requests()
        .refresh_token(&["--json", "--force"]);
    assert!(told.warns("earlier run"), "{}", told.stdout);
}

#[test]
fn after_an_unavailable_rung_a_token_that_is_dead_leads_to_the_next_rung() {
    let story = Story::with_hand(Hand {
        access_token: Is::Dead,
        ..Hand::ALL_RUNGS
    });
    story.sandbox.script(Endpoint::ServiceAppRefresh, [busy()]);

    let told = story.refresh_token(&["--json", "--force"]);

    told.exits(0).outcome("refreshed");
    assert_eq!(story.asked(), ["grant", "validate", "mint", "validate"]);
}

#[test]
fn a_token_known_to_be_dead_is_not_looked_at_again() {
    let story = Story::with_hand(Hand {
        access_token: Is::Dead,
        ..Hand::ALL_RUNGS
    });
    story.sandbox.script(Endpoint::ServiceAppRefresh, [busy()]);

    let told = story.refresh_token(&["--json"]);

    told.exits(0).outcome("refreshed");
    assert_eq!(story.asked(), ["validate", "grant", "mint", "validate"]);
}

#[test]
fn the_stored_token_is_looked_at_once_in_a_climb() {
    let story = Story::with_hand(Hand {
        access_token: Is::Dead,
        refresh_token: Is::Live,
        personal_access_token: Is::Live,
        integration: Is::Dead,
    });
    story.sandbox.script(Endpoint::ServiceAppRefresh, [busy()]);
    story.sandbox.script(Endpoint::Mint, [busy()]);

    let told = story.refresh_token(&["--json", "--force"]);

    told.exits(75).outcome("unavailable");
    assert_eq!(story.asked(), ["grant", "validate", "mint", "renew"]);
}

#[test]
fn a_rung_that_is_refused_before_one_that_is_unavailable_keeps_the_token_too() {
    let story = Story::with_hand(Hand {
        access_token: Is::Live,
        refresh_token: Is::Dead,
        personal_access_token: Is::Live,
        ..Hand::default()
    });
    story.sandbox.script(Endpoint::Mint, [busy()]);

    let told = story.refresh_token(&["--json", "--force"]);

    told.exits(0).outcome("kept");
    assert_eq!(story.asked(), ["grant", "mint", "validate"]);
}

//! Credentials that would die of disuse are used in time, inside a climb.

mod support;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use support::{FLAG_KEY, Hand, Is, Story, Told};
use webex_sandbox::{Endpoint, Fault, Policy, Sandbox};

const WITH_INTEGRATION: Hand = Hand {
    integration: Is::Live,
    ..Hand::REFRESH_TOKEN
};

fn days_ago(story: &Story, days: i64) -> Value {
    let now = Timestamp::try_from(story.sandbox.now()).expect("in range");
    // And a minute: the clock that the programs read may be some milliseconds behind.
    let since = SignedDuration::from_hours(24 * days) + SignedDuration::from_mins(1);
    (now - since).to_string().into()
}

/// A story in which the integration was first seen so long ago and never used.
fn unused_for(days: i64) -> Story {
    let story = Story::refreshed(Sandbox::start(), WITH_INTEGRATION);
    let since = days_ago(&story, days);
    story.edit_state(|state| {
        let record = &mut state["credentials"]["integration_refresh_token"];
        assert!(record.is_object(), "a climb notes what it has seen");
        record["first_seen"] = since;
    });
    story
}

/// A story in which rung 3 was used so long ago, when its refresh token had 90 days to live.
fn used_before(days: i64) -> Story {
    let story = Story::with_hand(Hand::INTEGRATION);
    story.refresh_token(&[]).exits(0);
    let issued_at = days_ago(&story, days);
    story.edit_config_state(|state| {
        let record = &mut state["credentials"]["integration_refresh_token"];
        let life = record["expires_in"].as_i64().expect("a lifetime");
        assert!(life / 86_400 >= 89, "{life}");
        record["issued_at"] = issued_at.clone();
        record["last_used"] = issued_at.clone();
        record["first_seen"] = issued_at;
    });
    story.forget_requests();
    story
}

fn climb(story: &Story) -> Told {
    story.refresh_token(&["--json", "--force"])
}

#[test]
fn an_integration_unused_for_thirty_days_is_renewed_after_the_climb() {
    let story = unused_for(30);
    let before = story.config();

    let told = climb(&story);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "service_app_refresh_token");
    assert_eq!(story.asked(), ["grant", "validate", "renew"]);
    assert_eq!(told.attempts()[2], "keep_alive issued");
    let pat = story.config()["tokenManager"]["personalAccessToken"].clone();
    assert_ne!(pat, before["tokenManager"]["personalAccessToken"]);
    assert!(story.sandbox.is_live(pat.as_str().expect("a token")));
}

#[test]
fn an_integration_seen_twenty_nine_days_ago_is_left_alone() {
    let story = unused_for(29);
    climb(&story).exits(0);
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn past_half_of_a_known_life_the_integration_is_renewed() {
    let story = used_before(46);
    climb(&story).exits(0);
    assert_eq!(story.asked(), ["grant", "validate", "renew"]);
}

#[test]
fn before_half_of_a_known_life_the_integration_is_left_alone() {
    let story = used_before(44);
    climb(&story).exits(0);
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn without_a_known_life_thirty_days_count_from_the_last_use() {
    let story = Story::with_hand(Hand::INTEGRATION);
    let fault = Fault::without(&["refresh_token_expires_in"]);
    story.sandbox.script(Endpoint::IntegrationRefresh, [fault]);
    story.refresh_token(&[]).exits(0);
    for (days, asked) in [
        (29, &["grant", "validate"][..]),
        (30, &["grant", "validate", "renew"]),
    ] {
        let used = days_ago(&story, days);
        let seen = days_ago(&story, 60);
        story.edit_config_state(|state| {
            let record = &mut state["credentials"]["integration_refresh_token"];
            assert!(record["expires_in"].is_null());
            record["last_used"] = used;
            record["first_seen"] = seen;
        });
        climb(story.forget_requests()).exits(0);
        assert_eq!(story.asked(), asked, "{days} days");
    }
}

#[test]
fn a_renewed_integration_is_not_renewed_again() {
    let story = unused_for(60);
    climb(&story).exits(0);
    climb(story.forget_requests()).exits(0);
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn keeping_alive_is_attempted_once_in_a_day() {
    let story = unused_for(60);
    story
        .sandbox
        .script_always(Endpoint::IntegrationRefresh, Fault::status(503));

    climb(&story).exits(0);
    assert_eq!(story.asked(), ["grant", "validate", "renew"]);

    climb(story.forget_requests()).exits(0);
    assert_eq!(story.asked(), ["grant", "validate"]);

    let yesterday = days_ago(&story, 1);
    story.edit_state(|state| {
        let at = &mut state["keep_alive_at"]["integration_refresh_token"];
        assert!(at.is_string(), "{at}");
        *at = yesterday;
    });
    climb(story.forget_requests()).exits(0);
    assert_eq!(story.asked(), ["grant", "validate", "renew"]);
}

#[test]
fn a_failure_to_keep_alive_is_a_warning_and_changes_no_outcome() {
    for fault in [
        Fault::refusal(Policy::default().dead_grant),
        Fault::refusal(Policy::default().bad_client),
        Fault::status(503),
        Fault::status(407),
        Fault::drop_after(),
    ] {
        let story = unused_for(60);
        story.sandbox.script(Endpoint::IntegrationRefresh, [fault]);

        let told = climb(&story);

        let json = told.exits(0).outcome("refreshed");
        assert_eq!(json["validated"], true);
        assert!(told.warns("integration's refresh token"), "{}", told.stdout);
        assert_eq!(story.asked(), ["grant", "validate", "renew"]);
        assert!(!story.env().contains(FLAG_KEY));
    }
}

#[test]
fn a_climb_tells_of_a_renewal_whose_answer_was_lost_and_does_not_repeat_it() {
    let story = unused_for(60);
    story
        .sandbox
        .script(Endpoint::IntegrationRefresh, [Fault::drop_after()]);
    climb(&story).exits(0);

    let told = climb(story.forget_requests());

    told.exits(0).outcome("refreshed");
    assert!(
        told.warns("its refresh token may be spent"),
        "{}",
        told.stdout
    );
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn a_refresh_token_that_may_be_spent_puts_off_no_date() {
    let story = used_before(46);
    let date = |story: &Story| {
        let json = story.check_token(&["--offline", "--json"]).json();
        let credentials = json["credentials"].as_array().expect("credentials").clone();
        let end = |name: &str| {
            let of_name = credentials.iter().find(|it| it["name"] == name);
            of_name.expect(name)["expiresAt"].clone()
        };
        let ends = ["personal_access_token", "integration_refresh_token"].map(end);
        (json["humanNeededBy"].clone(), ends)
    };
    let shorten = || {
        story.edit_state(|state| {
            state["credentials"]["service_app_refresh_token"]["expires_in"] = (10 * 86_400).into();
        });
    };
    shorten();
    let (needed, [_, integration]) = date(&story);
    assert_eq!(needed, integration);
    story
        .sandbox
        .script(Endpoint::IntegrationRefresh, [Fault::drop_after()]);
    climb(&story).exits(0);
    shorten();

    // What the integration has issued mints for two more weeks.
    let (needed, [personal_access_token, integration]) = date(&story);
    assert_eq!(needed, personal_access_token);
    assert_ne!(needed, integration);
}

#[test]
fn nothing_is_renewed_outside_a_climb() {
    let story = unused_for(60);
    story.refresh_token(&["--json"]).exits(0).outcome("valid");
    assert_eq!(story.asked(), ["validate"]);
}

#[test]
fn nothing_is_renewed_after_a_climb_that_came_to_nothing() {
    let story = unused_for(60);
    let busy = Fault::status(503).header("Retry-After", "3600");
    story.sandbox.script(Endpoint::ServiceAppRefresh, [busy]);

    climb(&story).exits(0).outcome("kept");

    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn a_climb_by_the_integration_needs_no_further_renewal() {
    let story = unused_for(60);
    story.sandbox.revoke(&story.refresh_token_in_env());

    climb(&story).exits(0);

    assert_eq!(story.asked(), ["grant", "renew", "mint", "validate"]);
}

#[test]
fn a_climb_by_the_personal_access_token_renews_the_integration_too() {
    let story = Story::refreshed(
        Sandbox::start(),
        Hand {
            personal_access_token: Is::Live,
            ..WITH_INTEGRATION
        },
    );
    let since = days_ago(&story, 60);
    story.edit_state(|state| {
        state["credentials"]["integration_refresh_token"]["first_seen"] = since;
    });
    story.sandbox.revoke(&story.refresh_token_in_env());

    climb(&story).exits(0);

    assert_eq!(story.asked(), ["grant", "mint", "validate", "renew"]);
}

// The service app's refresh token, which is used in every climb and may fade all the same.

/// A refresh token of 90 days with so many days left, after a refresh that did (not) extend it.
fn fading(hand: Hand, days_left: i64, extended: Option<bool>) -> Story {
    let story = Story::refreshed(Sandbox::start(), hand);
    let issued_at = days_ago(&story, 90 - days_left);
    story.edit_state(|state| {
        state["credentials"]["service_app_refresh_token"]["issued_at"] = issued_at;
        state["credentials"]["service_app_refresh_token"]["expires_in"] = (90 * 86_400).into();
        state["refresh_extended"] = extended.into();
    });
    story
}

const WITH_PAT: Hand = Hand {
    personal_access_token: Is::Live,
    ..Hand::REFRESH_TOKEN
};

#[test]
fn a_refresh_token_near_its_end_that_use_does_not_extend_goes_after_the_mint() {
    let story = fading(WITH_PAT, 8, Some(false));

    let told = climb(&story);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "personal_access_token");
    assert_eq!(story.asked(), ["mint", "validate"]);
}

#[test]
fn a_refresh_token_that_use_extends_or_that_has_time_left_goes_first() {
    for (days_left, extended) in [(8, Some(true)), (8, None), (10, Some(false))] {
        let story = fading(WITH_PAT, days_left, extended);
        climb(&story).exits(0);
        assert_eq!(
            story.asked(),
            ["grant", "validate"],
            "{days_left} {extended:?}"
        );
    }
}

#[test]
fn a_fading_refresh_token_goes_first_where_nothing_can_mint() {
    let story = fading(Hand::REFRESH_TOKEN, 8, Some(false));
    climb(&story).exits(0);
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn a_climb_starts_at_the_mint_once_in_a_day() {
    let story = fading(WITH_PAT, 8, Some(false));
    climb(&story).exits(0);
    let issued_at = days_ago(&story, 82);
    story.edit_state(|state| {
        state["credentials"]["service_app_refresh_token"]["issued_at"] = issued_at;
        state["refresh_extended"] = false.into();
    });

    climb(story.forget_requests()).exits(0);

    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn a_fading_refresh_token_still_serves_where_the_mint_does_not() {
    let answers = [
        (Fault::status(401), "rejected"),
        (Fault::status(403), "forbidden"),
        (Fault::status(400), "misconfigured"),
        (
            Fault::status(503).header("Retry-After", "3600"),
            "unavailable",
        ),
    ];
    for (fault, outcome) in answers {
        let story = fading(WITH_PAT, 8, Some(false));
        story.sandbox.script(Endpoint::Mint, [fault]);

        let told = climb(&story);

        let json = told.exits(0).outcome("refreshed");
        assert_eq!(json["rung"], "service_app_refresh_token");
        assert_eq!(told.attempts()[0], format!("mint {outcome}"));
        assert_eq!(story.asked(), ["mint", "grant", "validate"]);
    }
}

#[test]
fn whether_use_extends_the_refresh_token_is_learned_from_the_replies() {
    for renews in [true, false] {
        let policy = Policy {
            renew_refresh_lifetime: renews,
            ..Policy::default()
        };
        let sandbox = Sandbox::builder().policy(policy).start();
        let story = Story::refreshed(sandbox, WITH_PAT);
        // The sandbox is then ten days ahead of the program, and so are the days counted here.
        story
            .sandbox
            .advance(std::time::Duration::from_hours(10 * 24));
        let issued_at = days_ago(&story, 20);
        story.edit_state(|state| {
            state["credentials"]["service_app_refresh_token"]["issued_at"] = issued_at;
        });

        climb(&story).exits(0);

        assert_eq!(story.state()["refresh_extended"], renews, "{renews}");
    }
}

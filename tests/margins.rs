//! When a token is due: its own lifetime decides, or what the operator asks for.

mod support;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use support::{Hand, Is, Story};
use webex_sandbox::{Endpoint, Fault, Policy, Sandbox};

const DAY: i64 = 24;

fn now(story: &Story) -> Timestamp {
    Timestamp::try_from(story.sandbox.now()).expect("in range")
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// What the state knows of the stored access token.
fn edit_record(story: &Story, edit: impl FnOnce(&mut Value)) {
    story.edit_state(|state| edit(&mut state["credentials"]["service_app_access_token"]));
}

/// A token that was issued with this lifetime and has this much of it left; in hours.
fn with_lifetime(lifetime: i64, left: SignedDuration) -> Story {
    let story = Story::refreshed(Sandbox::start(), Hand::REFRESH_TOKEN);
    let issued_at = now(&story) + left - hours(lifetime);
    edit_record(&story, |record| {
        record["issued_at"] = issued_at.to_string().into();
        record["expires_in"] = hours(lifetime).as_secs().into();
    });
    story
}

/// A token of which only the expiry is known; when it was first seen, and what is left.
fn with_expiry(seen: SignedDuration, left: SignedDuration) -> Story {
    let story = Story::refreshed(Sandbox::start(), Hand::REFRESH_TOKEN);
    let now = now(&story);
    edit_record(&story, |record| {
        *record = serde_json::json!({
            "fingerprint": record["fingerprint"],
            "first_seen": (now - seen).to_string(),
            "expires_at": (now + left).to_string(),
        });
    });
    story
}

#[test]
fn a_tenth_of_the_lifetime_is_the_margin_whatever_the_lifetime() {
    let rows = [
        (14 * DAY, hours(34), false),
        (14 * DAY, hours(33), true),
        (10, SignedDuration::from_mins(65), false),
        (10, SignedDuration::from_mins(55), true),
        (1000 * DAY, hours(101 * DAY), false),
        (1000 * DAY, hours(99 * DAY), true),
        (14 * DAY, SignedDuration::from_mins(-1), true),
    ];
    for (lifetime, left, is_due) in rows {
        let story = with_lifetime(lifetime, left);

        let told = story.refresh_token(&["--json"]);

        told.exits(0)
            .outcome(if is_due { "refreshed" } else { "valid" });
        let asked = if is_due {
            &["grant", "validate"][..]
        } else {
            &["validate"]
        };
        assert_eq!(story.asked(), asked, "{lifetime} h, {left} left");
    }
}

#[test]
fn without_a_lifetime_the_margin_is_a_day_and_at_most_half_of_what_was_left() {
    let rows = [
        (hours(10 * DAY), hours(25), false),
        (hours(10 * DAY), hours(23), true),
        (hours(1), hours(2), false),
        (hours(2), hours(1), true),
    ];
    for (seen, left, is_due) in rows {
        let story = with_expiry(seen, left);

        story.refresh_token(&["--json"]).exits(0);

        let asked = if is_due {
            &["grant", "validate"][..]
        } else {
            &["validate"]
        };
        assert_eq!(story.asked(), asked, "seen {seen} ago, {left} left");
    }
}

#[test]
fn a_due_token_that_still_works_is_kept_where_nothing_better_is_to_be_had() {
    let story = with_lifetime(14 * DAY, hours(20));
    let token = story.access_token();
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::drop_before()]);

    let told = story.refresh_token(&["--json"]);

    told.exits(0).outcome("kept");
    assert_eq!(story.asked(), ["grant", "validate"]);
    assert_eq!(story.access_token(), token);
}

#[test]
fn a_token_that_lasts_less_than_is_asked_for_is_refreshed() {
    let story = with_lifetime(14 * DAY, hours(5 * DAY));
    story.refresh_token(&["--min-validity", "4d"]).exits(0);
    assert_eq!(story.asked(), ["validate"]);

    story.forget_requests();
    let told = story.refresh_token(&["--json", "--min-validity", "6d"]);
    told.exits(0).outcome("refreshed");
    assert!(!told.warns("--min-validity"), "{}", told.stdout);
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn a_refreshed_token_shorter_than_is_asked_for_is_a_warning() {
    let story = Story::refreshed(Sandbox::start(), Hand::REFRESH_TOKEN);

    let told = story.refresh_token(&["--json", "--min-validity", "30d"]);

    told.exits(0).outcome("refreshed");
    assert!(told.warns("--min-validity"), "{}", told.stdout);
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn an_expiry_that_is_not_known_is_asked_for_only_where_it_is_needed() {
    let hand = Hand {
        access_token: Is::Live,
        ..Hand::REFRESH_TOKEN
    };
    let story = Story::with_hand(hand);
    story.refresh_token(&["--json"]).exits(0).outcome("valid");
    assert_eq!(story.asked(), ["validate"]);

    story.forget_requests();
    let told = story.refresh_token(&["--json", "--min-validity", "1d"]);
    let json = told.exits(0).outcome("valid");
    assert_eq!(story.asked(), ["validate", "expiry"]);
    let expires_at = json["accessToken"]["expiresAt"].as_str().expect("a date");
    let expires_at: Timestamp = expires_at.parse().expect("RFC 3339");
    let left = expires_at.duration_since(now(&story)).as_hours();
    assert!((13 * DAY..=14 * DAY).contains(&left), "{left} h");

    story.forget_requests();
    let told = story.refresh_token(&["--json", "--min-validity", "30d"]);
    told.exits(0).outcome("refreshed");
    assert_eq!(story.asked(), ["validate", "expiry", "grant", "validate"]);
}

#[test]
fn an_expiry_that_cannot_be_had_changes_nothing() {
    for fault in [
        Fault::status(404),
        Fault::status(401),
        Fault::status(403),
        Fault::status(503),
        Fault::status(407),
        Fault::drop_before(),
        Fault::html(),
        Fault::without(&["exp"]),
        Fault::with("exp", "soon"),
        Fault::with("exp", 1e300),
    ] {
        let shown = format!("{fault:?}");
        let story = Story::with_hand(Hand {
            access_token: Is::Live,
            ..Hand::REFRESH_TOKEN
        });
        story.sandbox.script(Endpoint::TokenExpiry, [fault]);

        let told = story.refresh_token(&["--json", "--min-validity", "30d"]);

        assert_eq!(told.code, 0, "{shown}\n{}", told.stdout);
        told.outcome("valid");
        assert_eq!(story.asked(), ["validate", "expiry"], "{shown}");
    }
}

#[test]
fn an_expiry_may_be_a_string_of_digits() {
    let story = Story::with_hand(Hand {
        access_token: Is::Live,
        ..Hand::REFRESH_TOKEN
    });
    let in_a_day = (now(&story) + hours(DAY)).as_millisecond().to_string();
    story
        .sandbox
        .script(Endpoint::TokenExpiry, [Fault::with("exp", in_a_day)]);

    story.refresh_token(&["--min-validity", "2d"]).exits(0);

    assert_eq!(story.asked(), ["validate", "expiry", "grant", "validate"]);
}

#[test]
fn an_expiry_that_did_not_move_is_a_normal_outcome() {
    let policy = Policy {
        reissue_within: Some(std::time::Duration::from_hours(24)),
        ..Policy::default()
    };
    let sandbox = Sandbox::builder().policy(policy).start();
    let story = Story::refreshed(sandbox, Hand::REFRESH_TOKEN);
    let token = story.access_token();

    let told = story.refresh_token(&["--json", "--min-validity", "30d"]);

    told.exits(0).outcome("refreshed");
    assert!(told.warns("--min-validity"), "{}", told.stdout);
    assert_eq!(story.asked(), ["grant", "validate"]);
    assert_eq!(story.access_token(), token);
}

#[test]
fn the_margin_follows_what_the_reply_says() {
    let story = Story::refreshed(Sandbox::start(), Hand::REFRESH_TOKEN);
    let fault = Fault::with("expires_in", 3600);
    story.sandbox.script(Endpoint::ServiceAppRefresh, [fault]);
    story.refresh_token(&["--force"]).exits(0);
    let issued = now(&story);

    // Of an hour, seven minutes are more than a tenth and five are less.
    for (left, asked) in [(7, &["validate"][..]), (5, &["grant", "validate"])] {
        let issued_at = issued - SignedDuration::from_mins(60 - left);
        edit_record(&story, |record| {
            record["issued_at"] = issued_at.to_string().into();
        });
        story.forget_requests().refresh_token(&[]).exits(0);
        assert_eq!(story.asked(), asked, "{left} min");
    }
}

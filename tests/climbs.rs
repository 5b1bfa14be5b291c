//! A whole climb: which rungs in which order, in how many requests, and how it ends.

mod support;

use std::time::Duration;

use support::{ACCESS_TOKEN_KEY, FLAG_KEY, Hand, Is, REFRESH_TOKEN_KEY, Story};
use webex_sandbox::{Endpoint, Fault};

/// A wait that no deadline allows: what meets it is given up at once, so that no test waits.
const FAR: &str = "3600";

const ALL_DEAD: Hand = Hand {
    access_token: Is::Absent,
    refresh_token: Is::Dead,
    personal_access_token: Is::Dead,
    integration: Is::Dead,
};

fn busy() -> Fault {
    Fault::status(503).header("Retry-After", FAR)
}

// Requests per run, where the stored expiry says that the access token is dead.

#[test]
fn a_dead_token_costs_exactly_the_requests_of_its_rungs() {
    use Is::*;
    let rows = [
        (Live, Live, Live, &["grant", "validate"][..]),
        (Absent, Live, Live, &["mint", "validate"]),
        (Dead, Live, Live, &["grant", "mint", "validate"]),
        (
            Dead,
            Dead,
            Live,
            &["grant", "mint", "renew", "mint", "validate"],
        ),
    ];
    for (refresh_token, personal_access_token, integration, expected) in rows {
        let story = Story::lapsed(Hand {
            access_token: Absent,
            refresh_token,
            personal_access_token,
            integration,
        });

        let told = story.refresh_token(&["--json"]);

        let json = told.exits(0).outcome("refreshed");
        assert_eq!(story.asked(), expected);
        assert_eq!(json["requests"], expected.len());
        assert_eq!(story.sandbox.counts().connections, 1);
        assert!(story.sandbox.is_live(&story.access_token()));
    }
}

#[test]
fn an_unknown_expiry_costs_one_request_more() {
    let story = Story::with_hand(Hand {
        access_token: Is::Dead,
        ..Hand::ALL_RUNGS
    });

    story.refresh_token(&[]).exits(0);

    assert_eq!(story.asked(), ["validate", "grant", "validate"]);
    assert_eq!(story.sandbox.counts().connections, 1);
}

#[test]
fn a_lost_state_costs_precision_alone() {
    let story = Story::lapsed(Hand::ALL_RUNGS);
    story.write(".env.state.json", "{");

    story.refresh_token(&[]).exits(0);

    assert_eq!(story.asked(), ["validate", "grant", "validate"]);
}

#[test]
fn a_token_pasted_in_by_hand_is_simply_unknown() {
    let story = Story::lapsed(Hand::REFRESH_TOKEN);
    let pasted = story.sandbox.issue_service_app_tokens().access_token;
    story.paste_access_token(&pasted);

    story.refresh_token(&["--json"]).exits(0).outcome("valid");

    assert_eq!(story.asked(), ["validate"]);
    assert_eq!(story.access_token(), pasted);
}

#[test]
fn force_climbs_although_the_token_is_valid() {
    let story = Story::with_hand(Hand {
        access_token: Is::Live,
        ..Hand::REFRESH_TOKEN
    });
    let before = story.access_token();

    let told = story.refresh_token(&["--json", "--force"]);

    told.exits(0).outcome("refreshed");
    assert_eq!(story.asked(), ["grant", "validate"]);
    assert_ne!(story.access_token(), before);
}

// The order.

#[test]
fn each_rung_is_tried_once_and_in_order() {
    let story = Story::with_hand(ALL_DEAD);

    let told = story.refresh_token(&["--json"]);

    told.exits(77).outcome("reauthorization_required");
    assert_eq!(story.asked(), ["grant", "mint", "renew"]);
    assert_eq!(
        told.attempts(),
        [
            "refresh_service_app rejected",
            "mint rejected",
            "refresh_integration rejected",
        ]
    );
}

#[test]
fn a_refresh_token_that_webex_has_refused_goes_last_from_then_on() {
    let story = Story::with_hand(Hand {
        refresh_token: Is::Dead,
        ..Hand::default()
    });
    story.refresh_token(&[]).exits(77);
    assert_eq!(story.asked(), ["grant"]);
    let plan = story.refresh_token(&["--plan"]).exits(0).stdout.clone();
    assert!(
        plan.contains("tried after what may work: Webex has refused it"),
        "{plan}"
    );

    // It is dead, as far as is known, and so it is not what a new credential waits for.
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None).forget_requests();
    story.refresh_token(&[]).exits(0);
    assert_eq!(story.asked(), ["mint", "validate"]);

    // What a mint has brought is another one.
    story.forget_requests();
    story.refresh_token(&["--force"]).exits(0);
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn an_integration_that_webex_has_refused_goes_last_and_is_not_kept_alive() {
    let story = Story::with_hand(Hand {
        refresh_token: Is::Dead,
        integration: Is::Dead,
        ..Hand::default()
    });
    story.refresh_token(&[]).exits(77);
    assert_eq!(story.asked(), ["grant", "renew"]);

    let pair = story.sandbox.issue_service_app_tokens();
    story.stored("", &pair.refresh_token).forget_requests();
    story.edit_config_state(|state| {
        let record = &mut state["credentials"]["integration_refresh_token"];
        assert_eq!(record["is_dead"], true);
        record["first_seen"] = "2020-01-01T00:00:00Z".into();
    });
    let told = story.refresh_token(&["--json"]);
    told.exits(0);
    assert_eq!(story.asked(), ["grant", "validate"]);
    assert!(told.warns("Webex has refused the integration's refresh token"));
    // Nor is it what anybody may count on.
    let status = story.check_token(&["--offline", "--json"]).exits(0).json();
    assert_eq!(status["credentials"][3]["state"], "rejected");
}

#[test]
fn with_neither_token_nor_integration_the_run_says_that_only_one_rung_exists() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);

    let told = story.refresh_token(&["--json"]);

    told.exits(0);
    assert!(
        told.warns("only the refresh token can renew"),
        "{}",
        told.stdout
    );
}

#[test]
fn nothing_at_all_to_try_is_a_matter_for_a_human() {
    let story = Story::with_hand(Hand::default());

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(77).outcome("reauthorization_required");
    assert_eq!(json["requests"], 0);
    assert!(story.asked().is_empty());
    assert!(story.env().contains(FLAG_KEY));
}

// Unavailable.

#[test]
fn a_climb_that_met_an_unavailable_rung_never_ends_in_re_authorization() {
    let only = |endpoint| {
        let hand = Hand {
            refresh_token: if endpoint == Endpoint::ServiceAppRefresh {
                Is::Live
            } else {
                Is::Dead
            },
            personal_access_token: if endpoint == Endpoint::Mint {
                Is::Live
            } else {
                Is::Dead
            },
            integration: if endpoint == Endpoint::IntegrationRefresh {
                Is::Live
            } else {
                Is::Dead
            },
            access_token: Is::Absent,
        };
        (endpoint, hand)
    };
    for (endpoint, hand) in [
        only(Endpoint::ServiceAppRefresh),
        only(Endpoint::Mint),
        only(Endpoint::IntegrationRefresh),
    ] {
        let story = Story::with_hand(hand);
        let (env, config) = (story.env(), story.config());
        story.sandbox.script(endpoint, [busy()]);

        let told = story.refresh_token(&["--json"]);

        told.exits(75).outcome("unavailable");
        assert_eq!(story.asked(), ["grant", "mint", "renew"], "{endpoint:?}");
        assert_eq!(story.env(), env);
        assert_eq!(story.config(), config);
    }
}

#[test]
fn an_unavailable_rung_is_followed_by_the_next() {
    let story = Story::lapsed(Hand::ALL_RUNGS);
    story.sandbox.script(Endpoint::ServiceAppRefresh, [busy()]);

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "personal_access_token");
    assert_eq!(story.asked(), ["grant", "mint", "validate"]);
}

#[test]
fn an_unavailable_rung_and_a_fault_end_as_unavailable() {
    let story = Story::with_hand(Hand {
        refresh_token: Is::Live,
        ..Hand::PERSONAL_ACCESS_TOKEN
    });
    story.sandbox.script(Endpoint::ServiceAppRefresh, [busy()]);
    story.sandbox.script(Endpoint::Mint, [Fault::status(403)]);

    story.refresh_token(&["--json"]).exits(75);

    assert_eq!(story.asked(), ["grant", "mint"]);
    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn the_deadline_lets_a_grant_finish_and_forbids_the_rungs_after_it() {
    let story = Story::with_hand(Hand::ALL_RUNGS);
    let refusal = story.sandbox.policy().dead_grant;
    let late = Fault::refusal(refusal).delayed(Duration::from_millis(1100));
    story.sandbox.script(Endpoint::ServiceAppRefresh, [late]);

    let told = story.refresh_token(&["--json", "--deadline", "1s"]);

    let json = told.exits(75).outcome("unavailable");
    assert_eq!(told.attempt(0)["outcome"], "rejected");
    assert_eq!(json["requests"], 1);
    assert_eq!(story.asked(), ["grant"]);
    assert!(!story.env().contains(FLAG_KEY));
}

// The flag.

/// The flag's value, whose colons make it a quoted one.
fn flag(story: &Story) -> String {
    let value = story.env_value(FLAG_KEY).expect("the flag");
    value.trim_matches('\'').to_owned()
}

#[test]
fn the_flag_is_a_time_and_the_first_one_stays() {
    let story = Story::with_hand(ALL_DEAD);
    let started = jiff::Timestamp::try_from(story.sandbox.now()).expect("in range");

    story.refresh_token(&[]).exits(77);

    let first = flag(&story);
    let since: jiff::Timestamp = first.parse().expect("RFC 3339");
    assert!(since.duration_since(started).as_secs().abs() < 60);
    assert!(!first.contains('.'), "to the second: {first}");

    let earlier = "2026-01-02T03:04:05Z";
    story.write_env(story.env().replace(&first, earlier));
    let told = story.refresh_token(&[]);
    told.exits(77).says(earlier);
    assert_eq!(flag(&story), earlier);
}

#[test]
fn the_flag_is_all_that_a_refused_climb_changes() {
    let story = Story::with_hand(Hand {
        access_token: Is::Dead,
        ..ALL_DEAD
    });
    let before = [ACCESS_TOKEN_KEY, REFRESH_TOKEN_KEY].map(|key| story.env_value(key));
    let config = story.config();

    story.refresh_token(&[]).exits(77);

    let after = [ACCESS_TOKEN_KEY, REFRESH_TOKEN_KEY].map(|key| story.env_value(key));
    assert_eq!(after, before);
    assert_eq!(story.config(), config);
}

#[test]
fn a_refreshed_token_takes_the_flag_down() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story.write_env(format!("{}{FLAG_KEY}=2026-01-02T03:04:05Z\n", story.env()));

    story.refresh_token(&[]).exits(0);

    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn a_merely_valid_token_takes_the_flag_down() {
    let story = Story::with_hand(Hand {
        access_token: Is::Live,
        ..Hand::REFRESH_TOKEN
    });
    let env = story.env();
    story.write_env(format!("{env}{FLAG_KEY}=2026-01-02T03:04:05Z\n"));

    story.refresh_token(&["--json"]).exits(0).outcome("valid");

    assert_eq!(story.env(), env);
    assert_eq!(story.asked(), ["validate"]);
}

#[test]
fn a_kept_token_takes_the_flag_down() {
    let story = Story::with_hand(Hand {
        access_token: Is::Live,
        ..Hand::REFRESH_TOKEN
    });
    story.write_env(format!("{}{FLAG_KEY}=2026-01-02T03:04:05Z\n", story.env()));
    story.sandbox.script(Endpoint::ServiceAppRefresh, [busy()]);

    let told = story.refresh_token(&["--json", "--force"]);

    told.exits(0).outcome("kept");
    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn a_flag_that_cannot_be_taken_down_changes_no_exit_code() {
    let story = Story::with_hand(Hand {
        access_token: Is::Live,
        ..Hand::REFRESH_TOKEN
    });
    story.write_env(format!("{}{FLAG_KEY}=2026-01-02T03:04:05Z\n", story.env()));
    let env = story.env();
    std::fs::create_dir(story.path(".env.lock")).expect("a folder in the lock's place");

    let told = story.refresh_token(&["--json"]);

    told.exits(0).outcome("valid");
    assert!(told.warns(FLAG_KEY), "{}", told.stdout);
    assert_eq!(story.env(), env);
}

#[test]
fn an_unavailable_or_misconfigured_climb_leaves_the_flag_as_it_is() {
    let since = "2026-01-02T03:04:05Z";
    for (fault, code) in [(busy(), 75), (Fault::status(407), 78)] {
        let story = Story::with_hand(Hand::REFRESH_TOKEN);
        story.write_env(format!("{}{FLAG_KEY}={since}\n", story.env()));
        story.sandbox.script(Endpoint::ServiceAppRefresh, [fault]);

        story.refresh_token(&[]).exits(code);

        assert_eq!(flag(&story), since);
    }
}

// What a human is told.

#[test]
fn all_rungs_refused_while_the_old_token_lives_is_re_authorization_all_the_same() {
    let story = Story::refreshed(
        webex_sandbox::Sandbox::start(),
        Hand {
            personal_access_token: Is::Dead,
            integration: Is::Dead,
            ..Hand::default()
        },
    );
    story.sandbox.revoke(&story.refresh_token_in_env());
    let token = story.access_token();

    let told = story.refresh_token(&["--json", "--force"]);

    let json = told.exits(77).outcome("reauthorization_required");
    let message = json["message"].as_str().expect("a message");
    assert!(message.contains("works until"), "{message}");
    assert_eq!(story.access_token(), token);
    assert!(story.sandbox.is_live(&token));
    assert!(story.env().contains(FLAG_KEY));
    assert_eq!(story.asked(), ["grant", "mint", "renew"]);
}

#[test]
fn a_human_is_told_what_is_dead_since_when_and_what_to_do() {
    let story = Story::lapsed(Hand {
        refresh_token: Is::Dead,
        personal_access_token: Is::Dead,
        integration: Is::Dead,
        access_token: Is::Absent,
    });
    story.edit_state(|state| {
        let record = &mut state["credentials"]["service_app_refresh_token"];
        record["issued_at"] = "2020-01-01T00:00:00Z".into();
        record["expires_in"] = 86_400.into();
    });

    let told = story.refresh_token(&[]);

    told.exits(77)
        .says("service-app refresh token expired 2020-01-02")
        .says("personal access token refused")
        .says("integration refresh token refused")
        .says("; run `setup_oauth` to authorize the integration in token-config.json again");
    assert!(!told.stderr.contains("works until"), "{}", told.stderr);
}

#[test]
fn no_date_forbids_a_rung() {
    let story = Story::lapsed(Hand::REFRESH_TOKEN);
    story.edit_state(|state| {
        let record = &mut state["credentials"]["service_app_refresh_token"];
        record["issued_at"] = "2020-01-01T00:00:00Z".into();
        record["expires_in"] = 86_400.into();
    });

    story.refresh_token(&[]).exits(0);

    assert_eq!(story.asked(), ["grant", "validate"]);
}

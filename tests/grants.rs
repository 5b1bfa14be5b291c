//! Rung 1, the service app's refresh token: what each answer to a grant leads to.

mod support;

use serde_json::json;
use support::{ACCESS_TOKEN_KEY, FLAG_KEY, Hand, Is, Story, Told};
use webex_sandbox::{Endpoint, ErrorShape, Fault, Policy, Refusal, Sandbox};

/// A wait that no deadline allows: what meets it is given up at once, so that no test waits.
const FAR: &str = "3600";

const SHAPES: [ErrorShape; 5] = [
    ErrorShape::Webex,
    ErrorShape::WebexMessage,
    ErrorShape::WebexWithoutErrors,
    ErrorShape::Gateway,
    ErrorShape::Rfc6749,
];

/// One run, rung 1 alone, whose grant is answered like this.
fn refused_grant(fault: Fault) -> (Story, Told) {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story.sandbox.script(Endpoint::ServiceAppRefresh, [fault]);
    let told = story.refresh_token(&["--json"]);
    assert_eq!(story.sandbox.remaining_faults(), 0);
    (story, told)
}

fn in_an_hour(story: &Story) -> String {
    let now = jiff::Timestamp::try_from(story.sandbox.now()).expect("in range");
    let then = now + jiff::SignedDuration::from_hours(1);
    then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[test]
fn a_grant_is_a_form_with_the_clients_credentials_in_it() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let tenant = story.tenant();
    let refresh_token = story.refresh_token_in_env();

    story.refresh_token(&[]).exits(0);

    let requests = story.sandbox.requests();
    let form = &requests[0].form;
    assert_eq!(form.len(), 4, "{:?}", form.keys());
    assert_eq!(form["grant_type"], "refresh_token");
    assert_eq!(form["client_id"], tenant.client_id);
    assert_eq!(form["client_secret"], tenant.client_secret);
    assert_eq!(form["refresh_token"], refresh_token);
    assert_eq!(requests[0].bearer(), None);
    assert_eq!(requests[1].bearer(), Some(&*story.access_token()));
}

#[test]
fn a_token_is_saved_before_it_is_validated() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let gate = story.sandbox.gate(Endpoint::DataSources);
    let child = story.start(&mut story.command(support::REFRESH_TOKEN));

    gate.wait_for_request();
    let saved = story.access_token();
    gate.release();

    story.finish(child).exits(0);
    assert_eq!(story.access_token(), saved);
    assert!(story.sandbox.is_live(&saved));
}

#[test]
fn a_dead_grant_is_rejected_in_every_shape_it_is_spoken_of() {
    let codes = [
        ("invalid_grant", "Something is not right."),
        ("invalid_refresh_token", "Something is not right."),
    ];
    let texts = [
        "The refresh token provided is expired, revoked, malformed, or invalid.",
        "refresh_token is invalid",
        "Refresh token has been revoked",
        "Your refresh token is expired",
    ];
    let carries_code = [
        ErrorShape::Webex,
        ErrorShape::WebexMessage,
        ErrorShape::Rfc6749,
    ];
    let with_code = codes.into_iter().flat_map(|(code, text)| {
        carries_code.map(|shape| Refusal::new(400, code, text).shape(shape))
    });
    let with_text = texts
        .into_iter()
        .flat_map(|text| SHAPES.map(|shape| Refusal::new(400, "", text).shape(shape)));
    let statuses = [400, 401, 403].into_iter().cycle();
    for (refusal, status) in with_code.chain(with_text).zip(statuses) {
        let refusal = Refusal { status, ..refusal };
        let shown = format!("{refusal:?}");
        let (story, told) = refused_grant(Fault::refusal(refusal));
        assert_eq!(told.code, 77, "{shown}\n{}", told.stdout);
        assert_eq!(told.attempts(), ["refresh_service_app rejected"], "{shown}");
        assert_eq!(story.asked(), ["grant"], "{shown}");
    }
}

#[test]
fn a_dead_grant_leads_to_the_next_rung_with_either_status() {
    for status in [400, 401] {
        for shape in [ErrorShape::Webex, ErrorShape::Rfc6749] {
            let mut policy = Policy::default();
            policy.dead_grant = Refusal {
                status,
                shape,
                ..policy.dead_grant
            };
            let sandbox = Sandbox::builder().policy(policy).start();
            let hand = Hand {
                refresh_token: Is::Dead,
                personal_access_token: Is::Live,
                ..Hand::default()
            };
            let story = Story::with_hand_in(sandbox, hand);

            let told = story.refresh_token(&["--json"]);

            let json = told.exits(0).outcome("refreshed");
            assert_eq!(json["rung"], "personal_access_token");
            assert_eq!(story.asked(), ["grant", "mint", "validate"]);
        }
    }
}

#[test]
fn a_wrong_client_stops_the_climb_whatever_else_there_is() {
    let refusals = [
        Refusal::new(401, "invalid_client", "Something is not right."),
        Refusal::new(400, "invalid_client", "Something is not right."),
        Refusal::new(401, "invalid_client", "Something is not right.").shape(ErrorShape::Rfc6749),
        Refusal::new(401, "", "Invalid client credentials").shape(ErrorShape::Gateway),
        Refusal::new(400, "Client Id is invalid", "Malformed syntax."),
        Refusal::new(400, "The provided clientSecret is invalid", "Not right."),
        Refusal::new(400, "client_secret mismatch", "Not right.").shape(ErrorShape::WebexMessage),
    ];
    for refusal in refusals {
        let shown = format!("{refusal:?}");
        let story = Story::with_hand(Hand::ALL_RUNGS);
        let env = story.env();
        story
            .sandbox
            .script(Endpoint::ServiceAppRefresh, [Fault::refusal(refusal)]);

        let told = story.refresh_token(&["--json"]);

        assert_eq!(told.code, 78, "{shown}\n{}", told.stdout);
        told.outcome("misconfigured");
        assert_eq!(told.attempts(), ["refresh_service_app misconfigured"]);
        assert_eq!(story.asked(), ["grant"], "{shown}");
        assert_eq!(story.env(), env);
    }
}

#[test]
fn a_regenerated_client_secret_is_named_as_the_cause() {
    let story = Story::with_hand(Hand::ALL_RUNGS);
    let old = story.tenant().client_secret;
    let _new = story.sandbox.regenerate_client_secret();

    let told = story.refresh_token(&[]);

    told.exits(78)
        .says("serviceApp.clientId")
        .says("serviceApp.clientSecret")
        .says("regenerated");
    support::assert_no_piece(&told.stderr, &old);
    assert_eq!(story.asked(), ["grant"]);
    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn a_missing_or_empty_refresh_token_keeps_the_old_one() {
    for fault in [
        Fault::missing_refresh_token(),
        Fault::empty_refresh_token(),
        Fault::with("refresh_token", json!(null)),
    ] {
        let story = Story::with_hand(Hand::REFRESH_TOKEN);
        let refresh_token = story.refresh_token_in_env();
        story.sandbox.script(Endpoint::ServiceAppRefresh, [fault]);

        story
            .refresh_token(&["--json"])
            .exits(0)
            .outcome("refreshed");

        assert_eq!(story.refresh_token_in_env(), refresh_token);
        assert!(story.sandbox.is_live(&story.access_token()));
    }
}

#[test]
fn a_rotated_refresh_token_replaces_the_old_one() {
    let policy = Policy {
        rotate: true,
        ..Policy::default()
    };
    let story = Story::with_hand_in(
        Sandbox::builder().policy(policy).start(),
        Hand::REFRESH_TOKEN,
    );
    let mut seen = vec![story.refresh_token_in_env()];
    for _ in 0..3 {
        story.refresh_token(&["--force"]).exits(0);
        let now = story.refresh_token_in_env();
        assert!(!seen.contains(&now));
        assert!(story.sandbox.is_live_refresh_token(&now));
        seen.push(now);
    }
    assert_eq!(story.sandbox.counts().reused_refresh_tokens, 0);
}

#[test]
fn lifetimes_may_be_strings() {
    let (_story, told) = refused_grant(Fault::numbers_as_strings());

    let json = told.exits(0).outcome("refreshed");
    let left = json["accessToken"]["expiresIn"].as_i64().expect("a number");
    let fortnight = 14 * 86_400;
    assert!((fortnight - 600..=fortnight).contains(&left), "{left}");
    assert!(json["refreshToken"]["expiresAt"].is_string());
}

#[test]
fn lifetimes_may_be_missing_or_nonsense() {
    for fault in [
        Fault::missing_lifetimes(),
        Fault::with("expires_in", "soon"),
        Fault::with("expires_in", -1),
        Fault::with("expires_in", json!({"seconds": 1})),
    ] {
        let (_story, told) = refused_grant(fault);
        let json = told.exits(0).outcome("refreshed");
        assert!(json["accessToken"]["expiresAt"].is_null(), "{json:#}");
    }
}

#[test]
fn a_lifetime_of_ages_is_no_trouble() {
    for fault in [
        Fault::with("expires_in", i64::MAX),
        Fault::with("expires_in", u64::MAX),
        Fault::with("expires_in", 1e300),
    ] {
        let (_story, told) = refused_grant(fault);
        told.exits(0).outcome("refreshed");
    }
}

#[test]
fn where_webex_did_not_act_the_grant_is_sent_up_to_three_times() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story.sandbox.script(
        Endpoint::ServiceAppRefresh,
        [Fault::status(503), Fault::status(423)],
    );

    let told = story.refresh_token(&["--json"]);

    told.exits(0).outcome("refreshed");
    assert_eq!(story.asked(), ["grant", "grant", "grant", "validate"]);
    assert_eq!(
        told.attempts(),
        [
            "refresh_service_app unavailable",
            "refresh_service_app unavailable",
            "refresh_service_app issued",
            "validate accepted",
        ]
    );
}

#[test]
fn three_tries_are_all_and_nothing_is_lost() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let env = story.env();
    story
        .sandbox
        .script_always(Endpoint::ServiceAppRefresh, Fault::status(429));

    let told = story.refresh_token(&["--json"]);

    told.exits(75).outcome("unavailable");
    assert_eq!(story.asked(), ["grant"; 3]);
    assert_eq!(story.env(), env);

    story.sandbox.clear_faults();
    let told = story.forget_requests().refresh_token(&["--json"]);
    told.exits(0).outcome("refreshed");
    assert!(!told.warns("earlier run"), "{}", told.stdout);
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn a_retry_after_beyond_the_deadline_gives_the_rung_up_at_once() {
    for status in [423, 429, 503] {
        for shape in SHAPES {
            let fault = Fault::status(status)
                .shape(shape)
                .header("Retry-After", FAR);
            let (story, told) = refused_grant(fault);
            told.exits(75).outcome("unavailable");
            assert_eq!(told.attempt(0)["outcome"], "unavailable");
            assert_eq!(told.attempt(0)["httpStatus"], status);
            assert_eq!(told.json()["requests"], 1);
            assert_eq!(story.asked(), ["grant"], "{status} {shape:?}");
        }
        let bare = Fault::empty(status).header("Retry-After", FAR);
        let (story, told) = refused_grant(bare);
        told.exits(75);
        assert_eq!(story.asked(), ["grant"]);
    }
}

#[test]
fn a_retry_after_may_be_a_date() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let fault = Fault::status(503).header("Retry-After", &in_an_hour(&story));
    story.sandbox.script(Endpoint::ServiceAppRefresh, [fault]);

    story.refresh_token(&["--json"]).exits(75);
    assert_eq!(story.asked(), ["grant"]);
}

#[test]
fn the_deadline_decides_how_long_a_retry_after_is_too_long() {
    let after_five_seconds = || Fault::status(503).header("Retry-After", "5");
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story
        .sandbox
        .script_always(Endpoint::ServiceAppRefresh, after_five_seconds());

    story.refresh_token(&["--deadline", "4s"]).exits(75);

    assert_eq!(story.asked(), ["grant"]);
}

#[test]
fn a_retry_after_within_the_deadline_is_waited_for() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let fault = Fault::status(429).header("Retry-After", "1");
    story.sandbox.script(Endpoint::ServiceAppRefresh, [fault]);

    story.refresh_token(&[]).exits(0);

    assert_eq!(story.asked(), ["grant", "grant", "validate"]);
    let requests = story.sandbox.requests();
    let waited = requests[1].at.duration_since(requests[0].at);
    assert!(waited.expect("in order").as_millis() >= 1000);
}

#[test]
fn a_grant_that_webex_may_have_acted_on_is_not_sent_again() {
    let doubtful = [
        Fault::status(408),
        Fault::status(500),
        Fault::status(502),
        Fault::status(504),
        Fault::status(500).after_acting(),
        Fault::status(502).shape(ErrorShape::Gateway),
        Fault::body(502, "text/html", "<html>Bad Gateway</html>"),
        Fault::empty(504),
        Fault::drop_before(),
        Fault::drop_after(),
        Fault::html(),
        Fault::half_body(),
        Fault::cut_short(),
        Fault::missing_access_token(),
        Fault::with("access_token", ""),
        Fault::with("access_token", 17),
        Fault::huge_body(2 << 20),
        Fault::huge_chunked_body(2 << 20),
        Fault::endless_body(),
        Fault::empty(200),
        Fault::body(200, "application/json", "[]"),
        Fault::body(200, "application/json", "null"),
    ];
    for fault in doubtful {
        let shown = format!("{fault:?}");
        let (story, told) = refused_grant(fault);
        assert_eq!(told.code, 75, "{shown}\n{}", told.stdout);
        told.outcome("unavailable");
        assert_eq!(told.attempts(), ["refresh_service_app doubtful"], "{shown}");
        assert_eq!(story.asked(), ["grant"], "{shown}");
        assert!(!story.env().contains(ACCESS_TOKEN_KEY), "{shown}");
        assert!(!story.env().contains(FLAG_KEY), "{shown}");
    }
}

#[test]
fn a_token_reply_just_below_a_mebibyte_is_read() {
    let (story, told) = refused_grant(Fault::huge_body((1 << 20) - 1));
    told.exits(0).outcome("refreshed");
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn after_a_doubtful_grant_the_other_rungs_are_tried() {
    let story = Story::with_hand(Hand::ALL_RUNGS);
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::drop_after()]);

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "personal_access_token");
    assert_eq!(story.asked(), ["grant", "mint", "validate"]);

    // The pair was replaced, so that nothing is doubtful any more.
    let told = story
        .forget_requests()
        .refresh_token(&["--json", "--force"]);
    told.exits(0);
    assert!(!told.warns("earlier run"), "{}", told.stdout);
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn a_later_run_says_that_an_answer_was_lost_and_puts_the_refresh_token_last() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::drop_after()]);
    story.refresh_token(&[]).exits(75);
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None).forget_requests();

    let told = story.refresh_token(&["--json"]);

    told.exits(0).outcome("refreshed");
    assert!(
        told.warns("ended before its answer was saved"),
        "{}",
        told.stdout
    );
    assert_eq!(story.asked(), ["mint", "validate"]);
}

#[test]
fn a_doubtful_refresh_token_is_spent_where_the_others_give_no_token() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::drop_after()]);
    story.refresh_token(&[]).exits(75);
    let integration = story.sandbox.issue_integration_tokens().refresh_token;
    story.sandbox.revoke(&integration);
    let pat = story.sandbox.issue_personal_access_token();
    story.sandbox.revoke(&pat);
    story
        .configured_with(Some(&pat), Some(&integration))
        .forget_requests();

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "service_app_refresh_token");
    assert_eq!(story.asked(), ["mint", "renew", "grant", "validate"]);
}

#[test]
fn the_doubt_stays_until_something_resolves_it() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::drop_after()]);
    story.refresh_token(&[]).exits(75);

    // Unavailable: the doubt stays.
    let busy = Fault::status(503).header("Retry-After", FAR);
    story.sandbox.script(Endpoint::ServiceAppRefresh, [busy]);
    let told = story.refresh_token(&["--json"]);
    told.exits(75);
    assert!(told.warns("earlier run"));

    // Rejected: the refresh token is dead, and no doubt is left.
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [dead_grant()]);
    let told = story.refresh_token(&["--json"]);
    told.exits(77);
    assert!(told.warns("earlier run"));
    let told = story.refresh_token(&["--json"]);
    assert!(!told.warns("earlier run"));
}

#[test]
fn a_pair_that_was_replaced_by_hand_is_not_doubtful() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::drop_after()]);
    story.refresh_token(&[]).exits(75);
    let pasted = story.sandbox.issue_service_app_tokens().refresh_token;
    let pat = story.sandbox.issue_personal_access_token();
    story
        .stored("", &pasted)
        .configured_with(Some(&pat), None)
        .forget_requests();

    let told = story.refresh_token(&["--json"]);

    told.exits(0);
    assert!(!told.warns("earlier run"), "{}", told.stdout);
    assert_eq!(story.asked(), ["grant", "validate"]);
}

#[test]
fn the_token_limit_is_not_retried_and_its_remedy_is_shown() {
    for shape in [
        ErrorShape::Webex,
        ErrorShape::WebexMessage,
        ErrorShape::Rfc6749,
    ] {
        for status in [400, 403, 429, 503] {
            let refusal = Refusal::new(status, "tokenlimit_reached", "Too many.").shape(shape);
            let (story, told) = refused_grant(Fault::refusal(refusal));
            let json = told.exits(75).outcome("unavailable");
            let remedy = json["remedy"].as_str().expect("a remedy");
            assert!(remedy.contains("750"), "{remedy}");
            assert_eq!(story.asked(), ["grant"]);
        }
    }
}

#[test]
fn a_full_account_does_not_keep_the_next_rung_from_being_tried() {
    let story = Story::with_hand(Hand::ALL_RUNGS);
    let refusal = Refusal::new(400, "tokenlimit_reached", "Too many.");
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::refusal(refusal)]);

    story
        .refresh_token(&["--json"])
        .exits(0)
        .outcome("refreshed");

    assert_eq!(story.asked(), ["grant", "mint", "validate"]);
}

#[test]
fn what_webex_did_not_write_says_nothing_about_the_token() {
    let between = [
        Fault::body(403, "text/html", "<h1>Blocked by your proxy</h1>"),
        Fault::body(401, "text/html", "<h1>invalid_grant</h1>"),
        Fault::body(400, "application/json", r#"{"status": "no"}"#),
        Fault::body(404, "application/json", r#"["error"]"#),
        Fault::body(418, "text/plain", "teapot"),
        Fault::empty(302).header("Location", "https://login.example.com/portal"),
        Fault::empty(301),
        Fault::empty(304),
        Fault::empty(307).header("Location", "/v1/access_token"),
    ];
    for fault in between {
        let shown = format!("{fault:?}");
        let (story, told) = refused_grant(fault.header("Retry-After", FAR));
        assert_eq!(told.code, 75, "{shown}\n{}", told.stdout);
        assert_eq!(told.attempt(0)["outcome"], "unavailable", "{shown}");
        let error = told.attempt(0)["error"].to_string();
        let host = story.sandbox.address().to_string();
        assert!(error.contains(&host), "{host} is not named: {error}");
        assert_eq!(story.asked(), ["grant"], "{shown}");
    }
}

#[test]
fn an_intermediary_is_asked_three_times_and_a_redirect_is_not_followed() {
    let elsewhere = Sandbox::start();
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let target = format!("{}/access_token", elsewhere.base_url());
    story
        .sandbox
        .script_always(Endpoint::ServiceAppRefresh, Fault::redirect(&target));

    let told = story.refresh_token(&["--json"]);

    told.exits(75).outcome("unavailable");
    assert_eq!(story.asked(), ["grant"; 3]);
    assert_eq!(elsewhere.counts().requests, 0);
    told.says("127.0.0.1");
}

#[test]
fn a_407_is_a_matter_of_settings() {
    for fault in [Fault::empty(407), Fault::status(407)] {
        let story = Story::with_hand(Hand::ALL_RUNGS);
        story.sandbox.script(Endpoint::ServiceAppRefresh, [fault]);

        let told = story.refresh_token(&["--json"]);

        told.exits(78).outcome("misconfigured");
        told.says("proxy").says("HTTPS_PROXY");
        assert_eq!(story.asked(), ["grant"]);
        assert!(!story.env().contains(FLAG_KEY));
    }
}

#[test]
fn any_other_refusal_is_shown_with_its_tracking_id_and_the_next_rung_follows() {
    let statuses = [400, 401, 403, 404, 405, 409, 410, 415, 422, 451];
    for (status, shape) in statuses.into_iter().zip(SHAPES.into_iter().cycle()) {
        let hand = Hand {
            refresh_token: Is::Live,
            personal_access_token: Is::Live,
            ..Hand::default()
        };
        let story = Story::with_hand(hand);
        let refusal = Refusal::new(status, "", "Unheard of.").shape(shape);
        story
            .sandbox
            .script(Endpoint::ServiceAppRefresh, [Fault::refusal(refusal)]);

        let told = story.refresh_token(&["--json"]);

        told.exits(0).outcome("refreshed");
        let attempt = told.attempt(0);
        assert_eq!(attempt["outcome"], "rejected", "{status} {shape:?}");
        assert_eq!(attempt["httpStatus"], status);
        let error = attempt["error"].as_str().expect("what Webex said");
        assert!(error.contains("Unheard of."), "{error}");
        let tracking_id = attempt["trackingId"].as_str().expect("a trackingId");
        assert!(tracking_id.contains('_'), "{tracking_id}");
        assert_eq!(story.asked(), ["grant", "mint", "validate"]);
    }
}

#[test]
fn a_refusal_without_another_rung_shows_text_and_tracking_id_to_a_person() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let refusal = Refusal::new(451, "", "Unheard of.");
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::refusal(refusal)]);

    let told = story.refresh_token(&[]);

    told.exits(77)
        .says("451")
        .says("Unheard of.")
        .says("trackingId ROUTER_");
}

#[test]
fn an_answer_that_repeats_a_secret_is_withheld() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let piece = story.refresh_token_in_env()[3..12].to_owned();
    let text = format!("The refresh token {piece} is invalid");
    let refusal = Refusal::new(400, "invalid_grant", &text);
    let fault = Fault::refusal(refusal).header("trackingid", &piece);
    story.sandbox.script(Endpoint::ServiceAppRefresh, [fault]);

    // That no piece of a secret is printed is looked for in all that a program prints.
    let told = story.refresh_token(&["--json", "-vv"]);

    told.exits(77).says("withheld");
}

fn dead_grant() -> Fault {
    Fault::refusal(Policy::default().dead_grant)
}

//! Rungs 2 and 3: minting with the personal access token, and with what the integration gives.

mod support;

use support::{FLAG_KEY, Hand, Is, Story, Told};
use webex_sandbox::{
    Endpoint, ErrorShape, Fault, Grant, MINT_SCOPE, MintRefreshToken, Policy, READ_SCOPE, Refusal,
    Sandbox,
};

/// A wait that no deadline allows: what meets it is given up at once, so that no test waits.
const FAR: &str = "3600";

/// One run, the personal access token alone, whose mint is answered like this.
fn refused_mint(fault: Fault) -> (Story, Told) {
    let story = Story::with_hand(Hand::PERSONAL_ACCESS_TOKEN);
    story.sandbox.script(Endpoint::Mint, [fault]);
    let told = story.refresh_token(&["--json"]);
    assert_eq!(story.sandbox.remaining_faults(), 0);
    (story, told)
}

/// One run, the integration alone, whose renewal is answered like this.
fn refused_renewal(fault: Fault) -> (Story, Told) {
    let story = Story::with_hand(Hand::INTEGRATION);
    story.sandbox.script(Endpoint::IntegrationRefresh, [fault]);
    let told = story.refresh_token(&["--json"]);
    assert_eq!(story.sandbox.remaining_faults(), 0);
    (story, told)
}

/// A personal access token that lives and lacks the scope to mint.
fn with_a_pat_that_may_not_mint(hand: Hand) -> Story {
    let story = Story::with_hand(Hand {
        personal_access_token: Is::Absent,
        ..hand
    });
    let pat = story
        .sandbox
        .issue_with(Grant::PersonalAccessToken, &[READ_SCOPE]);
    let config = story.config();
    let integration = config["tokenManager"]["integration"]["refreshToken"].as_str();
    story.configured_with(Some(&pat.access_token), integration);
    story
}

#[test]
fn a_mint_is_json_with_the_service_apps_credentials_under_a_bearer() {
    let story = Story::with_hand(Hand::PERSONAL_ACCESS_TOKEN);
    let tenant = story.tenant();
    let pat = story.config()["tokenManager"]["personalAccessToken"].clone();

    let json = story.refresh_token(&["--json"]).exits(0).json();

    assert_eq!(json["rung"], "personal_access_token");
    let request = &story.sandbox.requests()[0];
    let path = format!("/v1/applications/{}/token", tenant.app_id);
    assert_eq!(request.path, path);
    assert_eq!(request.bearer(), pat.as_str());
    assert_eq!(request.headers["content-type"], "application/json");
    let body = request.json.as_ref().and_then(|body| body.as_object());
    let body = body.expect("a JSON object");
    assert_eq!(body.len(), 3, "{:?}", body.keys());
    assert_eq!(body["clientId"], tenant.client_id);
    assert_eq!(body["clientSecret"], tenant.client_secret);
    assert_eq!(body["targetOrgId"], tenant.target_org_id);
}

#[test]
fn a_mint_stores_both_tokens() {
    let story = Story::with_hand(Hand::PERSONAL_ACCESS_TOKEN);

    story.refresh_token(&[]).exits(0);

    assert!(story.sandbox.is_live(&story.access_token()));
    let refresh_token = story.refresh_token_in_env();
    assert!(story.sandbox.is_live_refresh_token(&refresh_token));
    assert_eq!(story.asked(), ["mint", "validate"]);
}

#[test]
fn a_mint_without_a_refresh_token_keeps_the_one_that_is_stored() {
    let policy = Policy {
        mint_refresh_token: MintRefreshToken::Absent,
        ..Policy::default()
    };
    let hand = Hand {
        refresh_token: Is::Dead,
        ..Hand::PERSONAL_ACCESS_TOKEN
    };
    let story = Story::with_hand_in(Sandbox::builder().policy(policy).start(), hand);
    let refresh_token = story.refresh_token_in_env();

    story.refresh_token(&[]).exits(0);

    assert_eq!(story.refresh_token_in_env(), refresh_token);
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn a_mint_may_rotate_the_refresh_token() {
    let policy = Policy {
        mint_refresh_token: MintRefreshToken::New,
        ..Policy::default()
    };
    let hand = Hand {
        refresh_token: Is::Dead,
        ..Hand::PERSONAL_ACCESS_TOKEN
    };
    let story = Story::with_hand_in(Sandbox::builder().policy(policy).start(), hand);
    let dead = story.refresh_token_in_env();

    story.refresh_token(&[]).exits(0);

    let refresh_token = story.refresh_token_in_env();
    assert_ne!(refresh_token, dead);
    assert!(story.sandbox.is_live_refresh_token(&refresh_token));
}

#[test]
fn a_dead_personal_access_token_leads_to_the_integration() {
    for shape in [
        ErrorShape::Webex,
        ErrorShape::WebexWithoutErrors,
        ErrorShape::Gateway,
        ErrorShape::Rfc6749,
    ] {
        let hand = Hand {
            personal_access_token: Is::Dead,
            ..Hand::INTEGRATION
        };
        let story = Story::with_hand(hand);
        let refusal = Refusal::standard(401).shape(shape);
        story
            .sandbox
            .set_policy(|policy| policy.unauthorized = refusal);

        let told = story.refresh_token(&["--json"]);

        let json = told.exits(0).outcome("refreshed");
        assert_eq!(json["rung"], "integration_refresh_token");
        assert_eq!(told.attempt(0)["outcome"], "rejected");
        assert_eq!(story.asked(), ["mint", "renew", "mint", "validate"]);
    }
}

#[test]
fn a_401_without_a_body_is_webexs_where_its_gateway_has_numbered_it() {
    let story = Story::with_hand(Hand {
        personal_access_token: Is::Live,
        ..Hand::INTEGRATION
    });
    let fault = Fault::empty(401).header("trackingid", "ROUTERGW_1");
    story.sandbox.script(Endpoint::Mint, [fault]);

    story.refresh_token(&["--json"]).exits(0);

    assert_eq!(story.asked(), ["mint", "renew", "mint", "validate"]);
}

#[test]
fn a_refused_input_stops_the_climb_and_names_every_cause() {
    for status in [400, 404] {
        for shape in [ErrorShape::Webex, ErrorShape::Gateway, ErrorShape::Rfc6749] {
            let story = Story::with_hand(Hand {
                personal_access_token: Is::Live,
                ..Hand::INTEGRATION
            });
            let refusal = Refusal::new(status, "", "Invalid client credentials").shape(shape);
            story
                .sandbox
                .script(Endpoint::Mint, [Fault::refusal(refusal)]);

            let told = story.refresh_token(&["--json"]);

            let json = told.exits(78).outcome("misconfigured");
            assert_eq!(story.asked(), ["mint"], "{status} {shape:?}");
            let remedy = json["remedy"].as_str().expect("a remedy");
            for cause in ["appId", "clientSecret", "targetOrgId"] {
                assert!(remedy.contains(cause), "{cause}: {remedy}");
            }
            assert!(!story.env().contains(FLAG_KEY));
        }
    }
}

#[test]
fn a_wrong_secret_or_application_is_a_fault_of_the_service_app() {
    let wrong_secret = Story::with_hand(Hand::PERSONAL_ACCESS_TOKEN);
    let _new = wrong_secret.sandbox.regenerate_client_secret();
    wrong_secret.refresh_token(&[]).exits(78);
    assert_eq!(wrong_secret.asked(), ["mint"]);

    let wrong_application = Story::with_hand(Hand::PERSONAL_ACCESS_TOKEN);
    let mut config = wrong_application.config();
    let other = Sandbox::start().tenant();
    config["serviceApp"]["appId"] = other.app_id.into();
    config["serviceApp"]["clientId"] = other.client_id.into();
    wrong_application.write_config(&config);
    wrong_application.refresh_token(&[]).exits(78);
    assert_eq!(wrong_application.asked(), ["mint"]);
}

#[test]
fn a_refresh_token_put_off_is_still_tried_after_a_fault_of_the_mint() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::drop_before()]);
    story.refresh_token(&[]).exits(75);
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None).forget_requests();
    story.sandbox.script(Endpoint::Mint, [Fault::status(400)]);

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "service_app_refresh_token");
    assert_eq!(story.asked(), ["mint", "grant", "validate"]);
}

#[test]
fn a_forbidden_personal_access_token_gives_way_to_the_integration() {
    let story = with_a_pat_that_may_not_mint(Hand::INTEGRATION);

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "integration_refresh_token");
    assert_eq!(
        told.attempts(),
        [
            "mint forbidden",
            "refresh_integration issued",
            "mint issued",
            "validate accepted",
        ]
    );
    assert_eq!(story.asked(), ["mint", "renew", "mint", "validate"]);
}

#[test]
fn without_an_integration_a_forbidden_mint_names_both_causes() {
    let story = with_a_pat_that_may_not_mint(Hand::default());

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(78).outcome("misconfigured");
    let remedy = json["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("spark:applications_token"), "{remedy}");
    assert!(remedy.contains("Full Admin"), "{remedy}");
    assert_eq!(story.asked(), ["mint"]);
    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn an_app_that_nobody_authorized_is_forbidden_with_either_token() {
    let story = Story::with_hand(Hand {
        personal_access_token: Is::Live,
        ..Hand::INTEGRATION
    });
    story.sandbox.deauthorize_service_app();

    let told = story.refresh_token(&["--json"]);

    told.exits(78).outcome("misconfigured");
    told.says("Full Admin").says("spark:applications_token");
    assert_eq!(story.asked(), ["mint", "renew", "mint"]);
    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn a_fault_beats_re_authorization_where_it_closed_a_rung() {
    let story = with_a_pat_that_may_not_mint(Hand {
        refresh_token: Is::Dead,
        integration: Is::Dead,
        ..Hand::default()
    });

    let told = story.refresh_token(&["--json"]);

    told.exits(78).outcome("misconfigured");
    assert_eq!(story.asked(), ["grant", "mint", "renew"]);
    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn a_doubtful_mint_is_sent_once_more() {
    for fault in [Fault::drop_after(), Fault::status(502), Fault::html()] {
        let (story, told) = refused_mint(fault);
        told.exits(0).outcome("refreshed");
        assert_eq!(told.attempts()[0], "mint doubtful");
        assert_eq!(story.asked(), ["mint", "mint", "validate"]);
    }
}

#[test]
fn a_mint_is_not_sent_a_third_time_after_two_lost_answers() {
    let story = Story::with_hand(Hand::PERSONAL_ACCESS_TOKEN);
    story
        .sandbox
        .script(Endpoint::Mint, [Fault::drop_after(), Fault::half_body()]);

    let told = story.refresh_token(&["--json"]);

    told.exits(75).outcome("unavailable");
    assert_eq!(story.asked(), ["mint", "mint"]);
    assert_eq!(story.sandbox.counts().mints, 2);
}

#[test]
fn an_unavailable_mint_is_sent_three_times_at_most() {
    let story = Story::with_hand(Hand::PERSONAL_ACCESS_TOKEN);
    story
        .sandbox
        .script_always(Endpoint::Mint, Fault::status(503));

    let told = story.refresh_token(&["--json"]);

    told.exits(75).outcome("unavailable");
    assert_eq!(story.asked(), ["mint"; 3]);
}

#[test]
fn an_unavailable_mint_is_given_up_at_once_where_webex_asks_to_wait_too_long() {
    for status in [423, 429, 503, 302] {
        let (story, told) = refused_mint(Fault::status(status).header("Retry-After", FAR));
        told.exits(75).outcome("unavailable");
        assert_eq!(story.asked(), ["mint"], "{status}");
    }
}

#[test]
fn an_unavailable_mint_leads_to_the_integration_and_never_to_re_authorization() {
    let story = Story::with_hand(Hand {
        personal_access_token: Is::Live,
        integration: Is::Dead,
        ..Hand::default()
    });
    let busy = Fault::status(503).header("Retry-After", FAR);
    story.sandbox.script(Endpoint::Mint, [busy]);

    let told = story.refresh_token(&["--json"]);

    told.exits(75).outcome("unavailable");
    assert_eq!(story.asked(), ["mint", "renew"]);
    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn a_full_account_is_not_asked_again() {
    let policy = Policy {
        token_limit: 0,
        ..Policy::default()
    };
    let story = Story::with_hand(Hand::PERSONAL_ACCESS_TOKEN);
    story.sandbox.set_policy(|current| *current = policy);

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(75).outcome("unavailable");
    assert!(json["remedy"].as_str().is_some_and(|r| r.contains("750")));
    assert_eq!(story.asked(), ["mint"]);
}

#[test]
fn any_other_refusal_of_a_mint_leads_to_the_next_rung() {
    for status in [405, 409, 415, 422] {
        let story = Story::with_hand(Hand {
            personal_access_token: Is::Live,
            ..Hand::INTEGRATION
        });
        let refusal = Refusal::new(status, "", "Unheard of.");
        story
            .sandbox
            .script(Endpoint::Mint, [Fault::refusal(refusal)]);

        let told = story.refresh_token(&["--json"]);

        told.exits(0).says("Unheard of.");
        assert_eq!(told.attempts()[0], "mint rejected", "{status}");
        assert_eq!(story.asked(), ["mint", "renew", "mint", "validate"]);
    }
}

#[test]
fn a_proxy_that_refuses_a_mint_is_a_matter_of_settings() {
    let (story, told) = refused_mint(Fault::empty(407));
    told.exits(78).outcome("misconfigured");
    assert_eq!(story.asked(), ["mint"]);
}

#[test]
fn what_the_integration_issues_is_saved_before_it_is_used() {
    let sandbox = Sandbox::builder()
        .policy(Policy {
            rotate: true,
            ..Policy::default()
        })
        .start();
    let story = Story::with_hand_in(sandbox, Hand::INTEGRATION);
    let before = story.config();
    let gate = story.sandbox.gate(Endpoint::Mint);
    let child = story.start(&mut story.command(support::REFRESH_TOKEN));

    gate.wait_for_request();
    let saved = story.config();
    gate.release();

    story.finish(child).exits(0);
    let pat = saved["tokenManager"]["personalAccessToken"].as_str();
    assert!(story.sandbox.is_live(pat.expect("a personal access token")));
    let path = "/tokenManager/integration/refreshToken";
    assert_ne!(saved.pointer(path), before.pointer(path));
    let refresh_token = saved.pointer(path).and_then(|value| value.as_str());
    let refresh_token = refresh_token.expect("a refresh token");
    assert!(story.sandbox.is_live_refresh_token(refresh_token));
    let mint = &story.sandbox.requests()[1];
    assert_eq!(mint.bearer(), pat);
    assert_eq!(story.config(), saved);
}

#[test]
fn a_renewal_without_a_refresh_token_keeps_the_old_one() {
    for fault in [Fault::missing_refresh_token(), Fault::empty_refresh_token()] {
        let story = Story::with_hand(Hand::INTEGRATION);
        let integration = story.config()["tokenManager"]["integration"].clone();
        story.sandbox.script(Endpoint::IntegrationRefresh, [fault]);

        story.refresh_token(&[]).exits(0);

        assert_eq!(story.config()["tokenManager"]["integration"], integration);
    }
}

#[test]
fn what_the_integration_gave_serves_the_next_climb_as_personal_access_token() {
    let story = Story::with_hand(Hand::INTEGRATION);
    story.refresh_token(&[]).exits(0);
    story.stored("", "").forget_requests();

    story.refresh_token(&[]).exits(0);

    assert_eq!(story.asked(), ["mint", "validate"]);
}

#[test]
fn a_wrong_integration_client_closes_its_rung_alone() {
    for refusal in [
        Refusal::new(401, "invalid_client", "Invalid client credentials"),
        Refusal::new(400, "invalid_client", "Not right.").shape(ErrorShape::Rfc6749),
    ] {
        let story = Story::with_hand(Hand {
            refresh_token: Is::Dead,
            personal_access_token: Is::Dead,
            ..Hand::INTEGRATION
        });
        story
            .sandbox
            .script(Endpoint::IntegrationRefresh, [Fault::refusal(refusal)]);

        let told = story.refresh_token(&["--json"]);

        let json = told.exits(78).outcome("misconfigured");
        assert!(
            json["remedy"]
                .as_str()
                .is_some_and(|r| r.contains("integration's"))
        );
        assert_eq!(story.asked(), ["grant", "mint", "renew"]);
        assert!(!story.env().contains(FLAG_KEY));
    }
}

#[test]
fn a_doubtful_refresh_token_still_gets_its_turn_after_a_wrong_integration_client() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::drop_before()]);
    story.refresh_token(&[]).exits(75);
    let integration = story.sandbox.issue_integration_tokens().refresh_token;
    story
        .configured_with(None, Some(&integration))
        .forget_requests();
    let refusal = Policy::default().bad_client;
    story
        .sandbox
        .script(Endpoint::IntegrationRefresh, [Fault::refusal(refusal)]);

    story.refresh_token(&[]).exits(0);

    assert_eq!(story.asked(), ["renew", "grant", "validate"]);
}

#[test]
fn a_dead_integration_is_a_matter_for_a_human() {
    let story = Story::with_hand(Hand {
        integration: Is::Dead,
        ..Hand::default()
    });

    let told = story.refresh_token(&["--json"]);

    told.exits(77).outcome("reauthorization_required");
    assert_eq!(story.asked(), ["renew"]);
    assert!(story.env().contains(FLAG_KEY));
}

#[test]
fn a_renewal_that_webex_may_have_acted_on_is_not_sent_again() {
    for fault in [
        Fault::drop_after(),
        Fault::status(500),
        Fault::half_body(),
        Fault::missing_access_token(),
    ] {
        let (story, told) = refused_renewal(fault);
        told.exits(75).outcome("unavailable");
        assert_eq!(story.asked(), ["renew"]);

        let told = story.forget_requests().refresh_token(&["--json"]);
        told.exits(0).outcome("refreshed");
        assert!(told.warns("earlier run"), "{}", told.stdout);
        assert_eq!(story.asked(), ["renew", "mint", "validate"]);
    }
}

#[test]
fn an_unavailable_renewal_is_sent_three_times_at_most() {
    let story = Story::with_hand(Hand::INTEGRATION);
    let config = story.config();
    story
        .sandbox
        .script_always(Endpoint::IntegrationRefresh, Fault::status(503));

    let told = story.refresh_token(&["--json"]);

    told.exits(75).outcome("unavailable");
    assert_eq!(story.asked(), ["renew"; 3]);
    assert_eq!(story.config(), config);
}

#[test]
fn an_unavailable_renewal_is_given_up_at_once_where_webex_asks_to_wait_too_long() {
    let (story, told) = refused_renewal(Fault::status(429).header("Retry-After", FAR));
    told.exits(75).outcome("unavailable");
    assert_eq!(story.asked(), ["renew"]);
}

#[test]
fn a_renewed_token_that_may_not_mint_ends_the_climb() {
    let story = Story::with_hand(Hand::default());
    let integration = story.sandbox.issue_with(Grant::Integration, &[READ_SCOPE]);
    story.configured_with(None, Some(&integration.refresh_token));

    let told = story.refresh_token(&["--json"]);

    told.exits(78).says("spark:applications_token");
    assert_eq!(story.asked(), ["renew", "mint"]);
}

#[test]
fn a_renewed_token_that_is_refused_leaves_nothing_to_try() {
    let story = Story::with_hand(Hand::INTEGRATION);
    story.sandbox.script(Endpoint::Mint, [Fault::status(401)]);

    let told = story.refresh_token(&["--json"]);

    told.exits(77).outcome("reauthorization_required");
    assert_eq!(story.asked(), ["renew", "mint"]);
}

#[test]
fn an_integration_scope_is_enough_to_mint() {
    let story = Story::with_hand(Hand::default());
    let integration = story.sandbox.issue_with(Grant::Integration, &[MINT_SCOPE]);
    story.configured_with(None, Some(&integration.refresh_token));

    story.refresh_token(&[]).exits(0);

    assert_eq!(story.asked(), ["renew", "mint", "validate"]);
}

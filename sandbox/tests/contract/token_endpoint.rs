//! `POST /access_token` with a refresh token: login guide, "Refresh Token"; RFC 6749 §6.

use std::time::Duration;

use serde_json::json;
use webex_sandbox::{ErrorShape, Grant, Policy, READ_SCOPE, Refusal, Reuse, Sandbox};

use crate::{
    TOKEN,
    client::{get, post},
    refresh, text, with,
};

const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_refresh_answers_with_the_five_fields_of_the_login_guide() {
    let sandbox = Sandbox::start();
    let old = sandbox.issue_service_app_tokens();
    let answer = refresh(&sandbox, &old.refresh_token).send(&sandbox);
    assert_eq!(answer.status, 200);
    let json = answer.json();
    let mut fields: Vec<&String> = json.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "access_token",
            "expires_in",
            "refresh_token",
            "refresh_token_expires_in",
            "token_type"
        ]
    );
    assert_eq!(json["token_type"], "Bearer");
    assert_ne!(json["access_token"], json!(old.access_token));
    let life = json["expires_in"].as_u64().unwrap();
    assert!((1_209_598..=1_209_600).contains(&life), "14 days: {life}");
    assert!(sandbox.is_live(&text(&answer, "/access_token")));
}

#[test]
fn tokens_of_one_answer_are_known_as_a_pair() {
    let sandbox = with(|policy| policy.rotate = true);
    let old = sandbox.issue_service_app_tokens();
    let answer = refresh(&sandbox, &old.refresh_token).send(&sandbox);
    let new = ["/access_token", "/refresh_token"].map(|field| text(&answer, field));
    assert!(sandbox.were_issued_together(&old.access_token, &old.refresh_token));
    assert!(sandbox.were_issued_together(&new[0], &new[1]));
    assert!(!sandbox.were_issued_together(&old.access_token, &new[1]));
    assert!(!sandbox.were_issued_together(&new[0], &old.refresh_token));
    assert!(!sandbox.were_issued_together(&new[1], &new[0]));
}

#[test]
fn an_access_token_has_the_form_of_the_login_guides_examples() {
    let sandbox = Sandbox::start();
    let token = sandbox.issue_service_app_tokens().access_token;
    let parts: Vec<&str> = token.split('_').collect();
    assert_eq!(parts[1..], ["PF84", &sandbox.tenant().target_org_uuid]);
}

#[test]
fn by_default_a_refresh_keeps_refresh_token_its_clock_and_the_old_access_token() {
    // As every recording has it (webex-js-sdk's live test; a contact-centre log).
    let sandbox = Sandbox::start();
    let old = sandbox.issue_service_app_tokens();
    sandbox.advance(10 * DAY);
    let json = refresh(&sandbox, &old.refresh_token).send(&sandbox).json();
    assert_eq!(json["refresh_token"], json!(old.refresh_token));
    let left = json["refresh_token_expires_in"].as_u64().unwrap();
    assert!(left <= 80 * 86_400, "{left}");
    assert!(sandbox.is_live(&old.access_token));
}

#[test]
fn renewing_on_use_restarts_the_refresh_tokens_life() {
    for rotate in [false, true] {
        let sandbox = with(|policy| {
            policy.renew_refresh_lifetime = true;
            policy.rotate = rotate;
        });
        let old = sandbox.issue_service_app_tokens();
        sandbox.advance(10 * DAY);
        let json = refresh(&sandbox, &old.refresh_token).send(&sandbox).json();
        let left = json["refresh_token_expires_in"].as_u64().unwrap();
        assert!(left > 89 * 86_400, "{left}");
    }
}

#[test]
fn a_service_apps_refresh_token_may_keep_its_end_where_others_are_renewed() {
    let sandbox = with(|policy| {
        policy.renew_refresh_lifetime = true;
        policy.fixed_service_app_lifetime = true;
    });
    let old = sandbox.issue_service_app_tokens();
    sandbox.advance(10 * DAY);
    let json = refresh(&sandbox, &old.refresh_token).send(&sandbox).json();
    let left = json["refresh_token_expires_in"].as_u64().unwrap();
    assert!(left <= 80 * 86_400, "{left}");
}

#[test]
fn rotation_spends_the_old_refresh_token_and_not_its_clock() {
    let sandbox = with(|policy| policy.rotate = true);
    let old = sandbox.issue_service_app_tokens();
    sandbox.advance(10 * DAY);
    let answer = refresh(&sandbox, &old.refresh_token).send(&sandbox);
    let new = text(&answer, "/refresh_token");
    assert_ne!(new, old.refresh_token);
    let left = answer.json()["refresh_token_expires_in"].as_u64().unwrap();
    assert!(left <= 80 * 86_400, "{left}");
    assert!(!sandbox.is_live_refresh_token(&old.refresh_token));
    assert!(sandbox.is_live_refresh_token(&new));
}

#[test]
fn a_reused_refresh_token_is_counted_and_refused_and_by_default_the_grant_lives() {
    let sandbox = with(|policy| policy.rotate = true);
    let old = sandbox.issue_service_app_tokens();
    let new = text(
        &refresh(&sandbox, &old.refresh_token).send(&sandbox),
        "/refresh_token",
    );
    assert_eq!(
        refresh(&sandbox, &old.refresh_token).send(&sandbox).status,
        400
    );
    assert_eq!(sandbox.counts().reused_refresh_tokens, 1);
    assert!(sandbox.is_live_refresh_token(&new));
    assert!(sandbox.is_live(&old.access_token));
}

#[test]
fn reuse_detection_revokes_the_whole_grant_where_asked() {
    // RFC 9700 §4.14.2.
    let sandbox = with(|policy| {
        policy.rotate = true;
        policy.reuse = Reuse::RevokeGrant;
    });
    let old = sandbox.issue_service_app_tokens();
    let answer = refresh(&sandbox, &old.refresh_token).send(&sandbox);
    let new = text(&answer, "/refresh_token");
    refresh(&sandbox, &old.refresh_token).send(&sandbox);
    assert!(!sandbox.is_live_refresh_token(&new));
    assert!(!sandbox.is_live(&text(&answer, "/access_token")));
}

#[test]
fn a_refresh_within_the_reissue_time_returns_the_same_token_and_expiry() {
    // A Webex sample's README: more often than daily returns the same tokens.
    let sandbox = with(|policy| policy.reissue_within = Some(DAY));
    let old = sandbox.issue_service_app_tokens();
    sandbox.advance(DAY / 2);
    let json = refresh(&sandbox, &old.refresh_token).send(&sandbox).json();
    assert_eq!(json["access_token"], json!(old.access_token));
    assert!(json["expires_in"].as_u64().unwrap() <= old.expires_in - 43_199);
    sandbox.advance(DAY);
    let json = refresh(&sandbox, &old.refresh_token).send(&sandbox).json();
    assert_ne!(json["access_token"], json!(old.access_token));
}

#[test]
fn a_refresh_reply_may_lack_the_refresh_token() {
    let sandbox = with(|policy| policy.refresh_token_in_refresh = false);
    let old = sandbox.issue_service_app_tokens();
    let json = refresh(&sandbox, &old.refresh_token).send(&sandbox).json();
    assert!(json.get("refresh_token").is_none(), "{json}");
    assert!(json.get("refresh_token_expires_in").is_none(), "{json}");
    assert!(sandbox.is_live_refresh_token(&old.refresh_token));
}

#[test]
fn a_refresh_reply_may_name_the_scope() {
    let sandbox = with(|policy| policy.scope_in_reply = true);
    let old = sandbox.issue_with(Grant::ServiceApp, &[READ_SCOPE]);
    let json = refresh(&sandbox, &old.refresh_token).send(&sandbox).json();
    assert_eq!(json["scope"], READ_SCOPE);
}

#[test]
fn a_refresh_may_revoke_earlier_access_tokens() {
    let sandbox = with(|policy| policy.revoke_access_on_refresh = true);
    let old = sandbox.issue_service_app_tokens();
    let answer = refresh(&sandbox, &old.refresh_token).send(&sandbox);
    assert!(!sandbox.is_live(&old.access_token));
    assert!(sandbox.is_live(&text(&answer, "/access_token")));
}

#[test]
fn lifetimes_are_switches() {
    let seconds = Duration::from_secs;
    let sandbox = with(|policy| {
        policy.service_app_access_life = seconds(11);
        policy.service_app_refresh_life = seconds(12);
        policy.integration_access_life = seconds(13);
        policy.integration_refresh_life = seconds(14);
        policy.personal_access_token_life = seconds(15);
    });
    let app = sandbox.issue_service_app_tokens();
    assert_eq!((app.expires_in, app.refresh_token_expires_in), (11, 12));
    let integration = sandbox.issue_integration_tokens();
    assert_eq!(
        (integration.expires_in, integration.refresh_token_expires_in),
        (13, 14)
    );
    let personal = sandbox.issue_personal_access_token();
    sandbox.advance(seconds(14));
    assert!(sandbox.is_live(&personal));
    sandbox.advance(seconds(2));
    assert!(!sandbox.is_live(&personal));
}

#[test]
fn the_client_may_authenticate_by_http_basic() {
    // Login guide; RFC 6749 §2.3.1.
    let sandbox = Sandbox::start();
    let tenant = sandbox.tenant();
    let tokens = sandbox.issue_service_app_tokens();
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &tokens.refresh_token),
    ];
    let ask = post(TOKEN).form(&fields);
    let good = ask.clone().basic(&tenant.client_id, &tenant.client_secret);
    assert_eq!(good.send(&sandbox).status, 200);
    let bad = ask.basic(&tenant.client_id, "wrong");
    assert_eq!(
        text(&bad.send(&sandbox), "/errors/0/description"),
        "invalid_client"
    );
}

#[test]
fn anything_but_a_form_is_refused() {
    // Login guide: always application/x-www-form-urlencoded.
    let sandbox = Sandbox::start();
    let tokens = sandbox.issue_service_app_tokens();
    let body = json!({"grant_type": "refresh_token", "refresh_token": tokens.refresh_token});
    assert_eq!(post(TOKEN).json(&body).send(&sandbox).status, 415);
}

#[test]
fn a_dead_grant_is_refused_however_it_died() {
    let sandbox = Sandbox::start();
    let expired = sandbox.issue_service_app_tokens();
    sandbox.expire(&expired.refresh_token);
    let revoked = sandbox.issue_service_app_tokens();
    sandbox.revoke(&revoked.refresh_token);
    let grant_revoked = sandbox.issue_service_app_tokens();
    sandbox.revoke_grant(&grant_revoked.access_token);
    let foreign = sandbox.issue_integration_tokens();
    for token in [
        &expired.refresh_token,
        &revoked.refresh_token,
        &grant_revoked.refresh_token,
        &foreign.refresh_token,
        &"never issued".to_owned(),
    ] {
        let answer = refresh(&sandbox, token).send(&sandbox);
        assert_eq!(answer.status, 400);
        assert_eq!(text(&answer, "/errors/0/description"), "invalid_grant");
    }
    assert!(sandbox.is_live(&revoked.access_token), "revoked alone");
    assert!(!sandbox.is_live(&grant_revoked.access_token), "whole grant");
}

/// Sets one refusal of the policy.
type SetRefusal = fn(&mut Policy, Refusal);

#[test]
fn every_refusal_of_the_token_endpoint_takes_any_status_shape_and_text() {
    let points: [(SetRefusal, &[(&str, &str)]); 3] = [
        (
            |policy, refusal| policy.dead_grant = refusal,
            &[("refresh_token", "never issued")],
        ),
        (
            |policy, refusal| policy.bad_client = refusal,
            &[("client_secret", "wrong"), ("refresh_token", "any")],
        ),
        (
            |policy, refusal| policy.missing_parameter = refusal,
            &[("refresh_token", "")],
        ),
    ];
    for (set, changes) in points {
        let refusal = |status| Refusal::new(status, "some_code", "Some text");
        let sandbox = with(|policy| set(policy, refusal(401).shape(ErrorShape::Rfc6749)));
        let tenant = sandbox.tenant();
        let mut fields = std::collections::BTreeMap::from([
            ("grant_type", "refresh_token"),
            ("client_id", &tenant.client_id),
            ("client_secret", &tenant.client_secret),
        ]);
        fields.extend(changes.iter().copied());
        let fields: Vec<(&str, &str)> = fields.into_iter().collect();
        let ask = post(TOKEN).form(&fields);
        let answer = ask.send(&sandbox);
        assert_eq!(answer.status, 401);
        assert_eq!(text(&answer, "/error"), "some_code");
        assert!(text(&answer, "/error_description").starts_with("Some text"));
        sandbox.set_policy(|policy| set(policy, refusal(403)));
        let answer = ask.send(&sandbox);
        assert_eq!(answer.status, 403);
        assert_eq!(text(&answer, "/errors/0/description"), "some_code");
        assert!(text(&answer, "/message").starts_with("Some text"));
    }
}

#[test]
fn a_missing_field_is_named() {
    let sandbox = Sandbox::start();
    let answer = post(TOKEN).form(&[]).send(&sandbox);
    assert_eq!(answer.status, 400);
    assert!(text(&answer, "/message").ends_with(": grant_type"));
    let answer = post(TOKEN)
        .form(&[("grant_type", "refresh_token"), ("client_id", "C0")])
        .send(&sandbox);
    assert!(text(&answer, "/message").ends_with(": client_secret"));
}

#[test]
fn an_unknown_grant_type_is_unsupported() {
    let sandbox = Sandbox::start();
    let answer = post(TOKEN)
        .form(&[("grant_type", "password")])
        .send(&sandbox);
    assert_eq!(
        text(&answer, "/errors/0/description"),
        "unsupported_grant_type"
    );
}

#[test]
fn the_shapes_of_errors_are_the_five_that_were_seen() {
    let sandbox = Sandbox::start();
    let seen = |shape| {
        sandbox.set_policy(|policy| {
            policy.dead_grant = Refusal::new(400, "code", "Text").shape(shape);
        });
        let answer = refresh(&sandbox, "never issued").send(&sandbox);
        let mut json = answer.json();
        if let Some(tracking_id) = json.as_object_mut().unwrap().remove("trackingId") {
            assert_eq!(answer.header("trackingid"), tracking_id.as_str());
        }
        json
    };
    assert_eq!(
        seen(ErrorShape::Webex),
        json!({"message": "Text", "errors": [{"description": "code"}]})
    );
    assert_eq!(seen(ErrorShape::WebexMessage), json!({"message": "code"}));
    assert_eq!(
        seen(ErrorShape::WebexWithoutErrors),
        json!({"message": "Text"})
    );
    assert_eq!(
        seen(ErrorShape::Gateway),
        json!({"code": 400, "message": "Text"})
    );
    assert_eq!(
        seen(ErrorShape::Rfc6749),
        json!({"error": "code", "error_description": "Text"})
    );
}

#[test]
fn past_the_token_limit_every_grant_fails_until_tokens_die() {
    // Vendor's FAQ: at most 750 live access tokens a user.
    assert_eq!(Policy::default().token_limit, 750);
    let sandbox = with(|policy| policy.token_limit = 2);
    let tokens = sandbox.issue_service_app_tokens();
    assert_eq!(
        refresh(&sandbox, &tokens.refresh_token)
            .send(&sandbox)
            .status,
        200
    );
    let answer = refresh(&sandbox, &tokens.refresh_token).send(&sandbox);
    assert_eq!(answer.status, 400);
    assert_eq!(text(&answer, "/errors/0/description"), "tokenlimit_reached");
    let personal = sandbox.issue_personal_access_token();
    let answer = crate::mint(&sandbox, &personal).send(&sandbox);
    assert_eq!(text(&answer, "/errors/0/description"), "tokenlimit_reached");
    sandbox.expire(&tokens.access_token);
    assert_eq!(
        refresh(&sandbox, &tokens.refresh_token)
            .send(&sandbox)
            .status,
        200
    );
}

#[test]
fn the_limit_refusal_is_a_switch() {
    let sandbox = with(|policy| {
        policy.token_limit = 0;
        policy.too_many_tokens = Refusal::new(403, "tokenlimit_reached", "Limit");
    });
    let tokens = sandbox.issue_service_app_tokens();
    assert_eq!(
        refresh(&sandbox, &tokens.refresh_token)
            .send(&sandbox)
            .status,
        403
    );
}

#[test]
fn a_new_client_secret_replaces_the_old_and_by_default_keeps_the_tokens() {
    let sandbox = Sandbox::start();
    let tokens = sandbox.issue_service_app_tokens();
    let secret = sandbox.regenerate_client_secret();
    let answer = refresh(&sandbox, &tokens.refresh_token).send(&sandbox);
    assert_eq!(text(&answer, "/errors/0/description"), "invalid_client");
    let answer = post(TOKEN)
        .basic(&sandbox.tenant().client_id, &secret)
        .form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", &tokens.refresh_token),
        ])
        .send(&sandbox);
    assert_eq!(answer.status, 200);
}

#[test]
fn a_new_client_secret_may_kill_the_tokens() {
    let sandbox = with(|policy| policy.secret_regeneration_revokes = true);
    let tokens = sandbox.issue_service_app_tokens();
    let _secret = sandbox.regenerate_client_secret();
    assert!(!sandbox.is_live(&tokens.access_token));
    assert!(!sandbox.is_live_refresh_token(&tokens.refresh_token));
}

#[test]
fn the_integration_refreshes_with_its_own_client() {
    let sandbox = Sandbox::start();
    let tenant = sandbox.tenant();
    let tokens = sandbox.issue_integration_tokens();
    let answer = post(TOKEN)
        .form(&[
            ("grant_type", "refresh_token"),
            ("client_id", &tenant.integration_client_id),
            ("client_secret", &tenant.integration_client_secret),
            ("refresh_token", &tokens.refresh_token),
        ])
        .send(&sandbox);
    assert_eq!(answer.status, 200);
    let token = text(&answer, "/access_token");
    let answer = get("/v1/authorizations/tokenExpiry")
        .bearer(&token)
        .send(&sandbox);
    assert_eq!(answer.status, 200);
}

//! `GET /authorize` and the exchange of its code: login guide; RFC 6749 §4.1; RFC 7636.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use webex_sandbox::{MINT_SCOPE, PEOPLE_SCOPE, Refusal, Sandbox};

use crate::{
    TOKEN,
    client::{Answer, get, post},
    text,
};

const VERIFIER: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG-._~";

/// The target of an ordinary authorization request, with fields changed or (empty) removed.
fn target(sandbox: &Sandbox, changes: &[(&str, &str)]) -> String {
    let tenant = sandbox.tenant();
    let mut fields = BTreeMap::from([
        ("response_type", "code"),
        ("client_id", &tenant.integration_client_id),
        ("redirect_uri", &tenant.redirect_uri),
        ("scope", MINT_SCOPE),
        ("state", "state & more"),
    ]);
    fields.extend(changes.iter().copied());
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields.iter().filter(|(_, value)| !value.is_empty()))
        .finish();
    format!("/v1/authorize?{query}")
}

/// The fields a redirect carries after a separator.
fn carried(location: &str, separator: char) -> BTreeMap<String, String> {
    let (_, query) = location.split_once(separator).unwrap();
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// A code got without a browser.
fn code(sandbox: &Sandbox, changes: &[(&str, &str)]) -> String {
    let location = sandbox.consent(&target(sandbox, changes), true);
    carried(&location, '?')["code"].clone()
}

/// Exchanges a code, with form fields changed or (empty) removed.
fn exchange(sandbox: &Sandbox, code: &str, changes: &[(&str, &str)]) -> Answer {
    let tenant = sandbox.tenant();
    let mut fields = BTreeMap::from([
        ("grant_type", "authorization_code"),
        ("client_id", &tenant.integration_client_id),
        ("client_secret", &tenant.integration_client_secret),
        ("redirect_uri", &tenant.redirect_uri),
        ("code", code),
    ]);
    fields.extend(changes.iter().copied());
    let fields: Vec<(&str, &str)> = fields
        .into_iter()
        .filter(|(_, it)| !it.is_empty())
        .collect();
    post(TOKEN).form(&fields).send(sandbox)
}

/// The hidden field that a page's form carries.
fn request_field(page: &Answer) -> String {
    let text = page.text();
    let (_, rest) = text.split_once(r#"name="request" value=""#).unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

#[test]
fn a_person_signs_in_consents_and_is_sent_back_with_a_code_that_works_once() {
    let sandbox = Sandbox::start();
    let page = get(&target(&sandbox, &[])).send(&sandbox);
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.text().contains(&sandbox.tenant().developer_email));
    let fields = [("request", &*request_field(&page)), ("password", "any")];
    let page = post("/v1/authorize/sign-in").form(&fields).send(&sandbox);
    assert!(page.text().contains(MINT_SCOPE), "{}", page.text());
    let request = request_field(&page);
    let decision =
        post("/v1/authorize/decision").form(&[("request", &request), ("decision", "allow")]);
    let answer = decision.send(&sandbox);
    assert_eq!(answer.status, 302);
    let location = answer.header("location").unwrap();
    assert!(location.starts_with(&format!("{}?", sandbox.tenant().redirect_uri)));
    let fields = carried(location, '?');
    assert_eq!(fields["state"], "state & more");

    let answer = exchange(&sandbox, &fields["code"], &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(sandbox.is_live(&text(&answer, "/access_token")));
    let again = exchange(&sandbox, &fields["code"], &[]);
    assert_eq!(text(&again, "/errors/0/description"), "invalid_grant");
    assert_eq!(decision.send(&sandbox).status, 400, "an answered page");
    assert_eq!(sandbox.counts().grants, 1);
}

#[test]
fn no_consent_without_signing_in() {
    let sandbox = Sandbox::start();
    let page = get(&target(&sandbox, &[])).send(&sandbox);
    let answer = post("/v1/authorize/decision")
        .form(&[("request", &request_field(&page)), ("decision", "allow")])
        .send(&sandbox);
    assert_eq!(answer.status, 400);
}

#[test]
fn a_denial_is_access_denied_with_the_state() {
    let sandbox = Sandbox::start();
    let location = sandbox.consent(&target(&sandbox, &[]), false);
    let fields = carried(&location, '?');
    assert_eq!(fields["error"], "access_denied");
    assert_eq!(fields["state"], "state & more");
    assert!(fields.contains_key("error_description"));
}

#[test]
fn errors_come_in_the_query_or_where_switched_in_the_fragment() {
    let sandbox = Sandbox::start();
    sandbox.set_policy(|policy| policy.authorize_error_in_fragment = true);
    let location = sandbox.consent(&target(&sandbox, &[]), false);
    assert!(!location.contains('?'), "{location}");
    assert_eq!(carried(&location, '#')["error"], "access_denied");
}

#[test]
fn faults_of_the_client_are_told_to_it_by_redirect() {
    let sandbox = Sandbox::start();
    for (change, error) in [
        (("scope", "spark:all"), "invalid_scope"),
        (("scope", ""), "invalid_scope"),
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge_method", "S256"), "invalid_request"),
        (("prompt", "none"), "login_required"),
    ] {
        let answer = get(&target(&sandbox, &[change])).send(&sandbox);
        assert_eq!(answer.status, 302, "{change:?}");
        let fields = carried(answer.header("location").unwrap(), '?');
        assert_eq!(fields["error"], error);
        assert_eq!(fields["state"], "state & more");
    }
}

#[test]
fn an_unknown_client_or_redirect_uri_is_never_redirected() {
    let sandbox = Sandbox::start();
    for change in [
        ("client_id", "C0"),
        ("redirect_uri", "http://localhost:9/x"),
    ] {
        let answer = get(&target(&sandbox, &[change])).send(&sandbox);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.header("location"), None);
    }
}

#[test]
fn the_one_registered_redirect_uri_may_be_omitted() {
    let sandbox = Sandbox::start();
    let code = code(&sandbox, &[("redirect_uri", "")]);
    let answer = exchange(&sandbox, &code, &[("redirect_uri", "")]);
    assert_eq!(answer.status, 200);
}

#[test]
fn the_redirect_uri_is_chosen_at_the_start() {
    let sandbox = Sandbox::builder()
        .redirect_uri("http://127.0.0.1:8765/callback")
        .start();
    let location = sandbox.consent(&target(&sandbox, &[]), true);
    assert!(location.starts_with("http://127.0.0.1:8765/callback?"));
}

#[test]
fn the_token_request_must_repeat_the_redirect_uri() {
    let sandbox = Sandbox::start();
    sandbox.set_policy(|policy| {
        policy.redirect_mismatch = Refusal::new(400, "redirect_uri_mismatch", "No");
    });
    let other = [("redirect_uri", "http://localhost:3000/other")];
    let answer = exchange(&sandbox, &code(&sandbox, &[]), &other);
    assert_eq!(
        text(&answer, "/errors/0/description"),
        "redirect_uri_mismatch"
    );
    let answer = exchange(&sandbox, &code(&sandbox, &[]), &[("redirect_uri", "")]);
    assert_eq!(text(&answer, "/errors/0/description"), "invalid_request");
}

#[test]
fn a_code_challenge_asks_for_its_verifier() {
    let s256 = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let other = VERIFIER.to_uppercase();
    let sandbox = Sandbox::start();
    for challenge in [
        vec![
            ("code_challenge", s256.as_str()),
            ("code_challenge_method", "S256"),
        ],
        vec![
            ("code_challenge", VERIFIER),
            ("code_challenge_method", "plain"),
        ],
        vec![("code_challenge", VERIFIER)],
    ] {
        for (verifier, status) in [(VERIFIER, 200), (&other, 400), ("", 400)] {
            let code = code(&sandbox, &challenge);
            let answer = exchange(&sandbox, &code, &[("code_verifier", verifier)]);
            assert_eq!(answer.status, status, "{challenge:?} {verifier}");
        }
    }
    let short = [("code_challenge", "short")];
    let answer = exchange(
        &sandbox,
        &code(&sandbox, &short),
        &[("code_verifier", "short")],
    );
    assert_eq!(answer.status, 400, "43 characters at least");
}

#[test]
fn a_code_expires_and_its_refusal_is_a_switch() {
    let sandbox = Sandbox::start();
    sandbox.set_policy(|policy| {
        policy.code_life = Duration::from_mins(10);
        policy.bad_code = Refusal::new(401, "invalid_grant", "No");
    });
    let late = code(&sandbox, &[]);
    sandbox.advance(Duration::from_mins(9));
    let timely = code(&sandbox, &[]);
    sandbox.advance(Duration::from_mins(2));
    assert_eq!(exchange(&sandbox, &late, &[]).status, 401);
    assert_eq!(exchange(&sandbox, &timely, &[]).status, 200);
}

#[test]
fn the_client_secret_is_needed_beside_pkce() {
    // Login guide: PKCE is in addition to the client secret.
    let sandbox = Sandbox::start();
    let answer = exchange(
        &sandbox,
        &code(&sandbox, &[]),
        &[("client_secret", "wrong")],
    );
    assert_eq!(text(&answer, "/errors/0/description"), "invalid_client");
    let tenant = sandbox.tenant();
    let swapped = [
        ("client_id", tenant.client_id.as_str()),
        ("client_secret", &tenant.client_secret),
    ];
    let answer = exchange(&sandbox, &code(&sandbox, &[]), &swapped);
    assert_eq!(text(&answer, "/errors/0/description"), "invalid_grant");
}

#[test]
fn the_granted_scopes_are_the_consented_ones() {
    let sandbox = Sandbox::start();
    let both = format!("{MINT_SCOPE} {PEOPLE_SCOPE}");
    for (scope, status) in [(MINT_SCOPE, 403), (&both, 200)] {
        let answer = exchange(&sandbox, &code(&sandbox, &[("scope", scope)]), &[]);
        let me = get("/v1/people/me").bearer(&text(&answer, "/access_token"));
        assert_eq!(me.send(&sandbox).status, status);
    }
}

#[test]
fn a_second_authorization_may_return_the_earlier_refresh_token() {
    // Login guide: two replies of one user with the same refresh token and less life.
    let sandbox = Sandbox::start();
    let token = |answer: &Answer| text(answer, "/refresh_token");
    let first = token(&exchange(&sandbox, &code(&sandbox, &[]), &[]));
    let second = token(&exchange(&sandbox, &code(&sandbox, &[]), &[]));
    assert_ne!(first, second);
    sandbox.set_policy(|policy| policy.authorization_reuses_refresh_token = true);
    sandbox.advance(Duration::from_hours(24));
    let third = exchange(&sandbox, &code(&sandbox, &[]), &[]);
    assert_eq!(token(&third), second);
    let left = third.json()["refresh_token_expires_in"].as_u64().unwrap();
    assert!(left <= 89 * 86_400, "{left}");
}

//! `setup_oauth` at a terminal: what a person is asked and told, word for word.

#![cfg(unix)]

mod support;

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process;
use std::time::Duration;

use serde_json::{Value, json};
use support::pty::PtyTold;
use support::transcript::assert_transcript;
use support::wizard::*;
use support::{Hand, Is, Story};
use url::Url;
use webex_sandbox::{Endpoint, Fault, Policy, Sandbox};

/// Whether the file is for its owner alone.
fn is_private(story: &Story, name: &str) -> bool {
    let metadata = fs::metadata(story.path(name)).expect("a file");
    metadata.permissions().mode() & 0o777 == 0o600
}

#[test]
fn the_first_day_with_an_integration() {
    let story = first_day();
    let mut wizard = story.wizard(&[]);
    wizard.up_to_consent();
    let page = wizard.allow();
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("first_day", &story, &told);
    let page = page.join().expect("a page");
    assert!(page.contains("<h1>Authorized</h1>"), "{page}");
    assert!(story.sandbox.is_live(&story.access_token()));
    assert!(is_private(&story, ".env") && is_private(&story, "token-config.json"));
    let tenant = story.tenant();
    let integration = &story.config()["tokenManager"]["integration"];
    assert_eq!(integration["clientId"], tenant.integration_client_id);
    assert_eq!(integration["redirectUri"], tenant.redirect_uri);
    assert!(!is_listened_on(&tenant.redirect_uri));
    let asked = story.requests();
    let mint = format!("POST /v1/applications/{}/token", tenant.app_id);
    assert_eq!(
        asked,
        ["POST /v1/access_token", &mint, "GET /v1/dataSources"]
    );
    // The next run needs no options: the redirect URI is in the file.
    story.refresh_token(&["--json"]).exits(0).outcome("valid");
}

#[test]
fn what_is_pasted_is_taken_once_it_is_the_answer() {
    let story = first_day();
    let mut wizard = story.wizard(&[]);
    wizard.up_to_consent();
    let url = wizard.authorization_url();
    let location = story.sandbox.consent(&url, true);
    let (address, query) = location.split_once('?').expect("a query");
    let (code, state) = query.split_once('&').expect("a code and a state");
    let code = code.strip_prefix("code=").expect("a code");
    let old = format!("{address}?code={code}&state={}", "0".repeat(43));
    for (pasted, words) in [
        ("what now?", "there is no `code` in this"),
        ("", "nothing was pasted"),
        (&url, "this is the address to open"),
        (code, "the `state` is missing"),
        (&format!("code={code}"), "the `state` is missing"),
        (state, "there is no `code` in this"),
        (&old, "answers another request"),
    ] {
        wizard.line(pasted).expect("Not that: ").expect(words);
    }
    wizard.line(&location);
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("pasted", &story, &told);
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn the_answer_is_pasted_as_it_is_at_hand() {
    let forms: [fn(&str, &str) -> String; 3] = [
        |location, _| format!("  '{location}' "),
        |_, query| query.to_owned(),
        |location, _| location.trim_start_matches("http://").to_owned(),
    ];
    for form in forms {
        let story = first_day();
        let mut wizard = story.wizard(&[]);
        wizard.up_to_consent();
        let location = wizard.decide(true);
        let (_, query) = location.split_once('?').expect("a query");
        wizard.line(&form(&location, query));
        wizard.finish().exits(0);
        assert!(story.sandbox.is_live(&story.access_token()));
    }
}

#[test]
fn a_visit_that_is_not_the_answer_ends_nothing() {
    let story = first_day();
    let mut wizard = story.wizard(&[]);
    wizard.up_to_consent();
    let location = wizard.decide(true);
    let (address, _) = location.split_once('?').expect("a query");
    for (query, page, words) in [
        (
            "?code=abc&state=abc",
            "This link is not current",
            "answers another request",
        ),
        ("", "That did not work", "has no `state` in it"),
    ] {
        let shown = visit(&format!("{address}{query}")).join().expect("a page");
        assert!(shown.contains(page), "{shown}");
        wizard.hear("Ignored: a visit whose address").hear(words);
    }
    let page = visit(&location);
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("ignored_visits", &story, &told);
    assert!(page.join().expect("a page").contains("Authorized"));
}

#[test]
fn a_personal_access_token_does_for_once() {
    let story = first_day();
    let dead = story.sandbox.issue_personal_access_token();
    story.sandbox.revoke(&dead);
    let pat = story.sandbox.issue_personal_access_token();
    let mut wizard = story.wizard(&[]);
    wizard
        .service_app()
        .choose_personal_access_token()
        .answer(PERSONAL_ACCESS_TOKEN, &dead)
        .hear("Webex refuses this personal access token")
        .answer(PERSONAL_ACCESS_TOKEN, &pat);
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("personal_access_token", &story, &told);
    assert!(story.sandbox.is_live(&story.access_token()));
    assert_eq!(story.config()["tokenManager"]["personalAccessToken"], pat);
}

#[test]
fn each_slip_is_caught_as_it_is_typed() {
    let story = first_day();
    let tenant = story.tenant();
    let (client_id, secret) = (&tenant.client_id, &tenant.client_secret);
    let integration_secret = &tenant.integration_client_secret;
    let mut wizard = story.wizard(&[]);
    for (answer, words) in [
        ("", "empty"),
        ("   ", "empty"),
        (
            &tenant.target_org_id,
            "a Webex organization, not of an application",
        ),
        (&tenant.target_org_uuid, "a bare UUID"),
        (
            &tenant.developer_id,
            "a Webex person, not of an application",
        ),
        (&format!("\"{client_id}\""), "quotation mark"),
        (
            "<client id of the service app>",
            "still the template's placeholder",
        ),
        (&format!("{client_id} {client_id}"), "has a space"),
    ] {
        wizard
            .answer(CLIENT_ID, answer)
            .hear("Not that: ")
            .hear(words);
    }
    wizard.answer(CLIENT_ID, &format!("  {client_id} "));
    for (answer, words) in [
        ("", "empty"),
        (&**client_id, "this is the client ID"),
        (&*tenant.app_id, "this is the client ID"),
        (&format!("'{secret}'"), "quotation mark"),
        ("your-client-secret", "still the template's placeholder"),
    ] {
        wizard
            .answer(CLIENT_SECRET, answer)
            .hear("Not that: ")
            .hear(words);
    }
    wizard.answer(CLIENT_SECRET, secret);
    for (answer, words) in [
        (
            &*tenant.app_id,
            "a Webex application, not of an organization",
        ),
        (client_id, "neither an encoded id nor a UUID"),
    ] {
        wizard
            .answer(ORGANIZATION_ID, answer)
            .hear("Not that: ")
            .hear(words);
    }
    wizard.answer(ORGANIZATION_ID, &tenant.target_org_uuid);
    wizard.choose_integration();
    for (answer, words) in [
        (&**client_id, "this is the service app's"),
        (&*tenant.app_id, "this is the service app's"),
        (
            &*tenant.target_org_id,
            "a Webex organization, not of an application",
        ),
    ] {
        wizard
            .answer(INTEGRATION_CLIENT_ID, answer)
            .hear("Not that: ")
            .hear(words);
    }
    wizard.answer(INTEGRATION_CLIENT_ID, &tenant.integration_client_id);
    for (answer, words) in [
        (&**secret, "this is the service app's"),
        (&*tenant.integration_client_id, "this is the client ID"),
    ] {
        wizard
            .answer(INTEGRATION_CLIENT_SECRET, answer)
            .hear("Not that: ")
            .hear(words);
    }
    wizard.answer(INTEGRATION_CLIENT_SECRET, integration_secret);
    let _page = wizard.allow();
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("slips", &story, &told);
    assert_eq!(story.config()["serviceApp"]["clientId"], *client_id);
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn the_app_id_answers_for_the_client_id() {
    let story = first_day();
    let tenant = story.tenant();
    let mut wizard = story.wizard(&[]);
    wizard
        .answer(CLIENT_ID, &tenant.app_id)
        .answer(CLIENT_SECRET, &tenant.client_secret)
        .answer(ORGANIZATION_ID, &tenant.target_org_id)
        .choose_integration()
        .integration();
    let _page = wizard.allow();
    wizard.finish().exits(0);
    let service_app = &story.config()["serviceApp"];
    assert_eq!(service_app["appId"], tenant.app_id);
    assert_eq!(service_app["clientId"], tenant.client_id);
}

#[test]
fn what_is_there_is_not_asked_again() {
    let story = first_day();
    let tenant = story.tenant();
    story.write_config(&json!({
        "serviceApp": { "clientId": tenant.client_id, "targetOrgId": tenant.target_org_id },
        "tokenManager": { "integration": { "clientId": tenant.integration_client_id } },
        "ours": ["kept"],
    }));
    let mut wizard = story.wizard(&[]);
    wizard
        .answer(CLIENT_SECRET, &tenant.client_secret)
        .answer(INTEGRATION_CLIENT_SECRET, &tenant.integration_client_secret);
    let _page = wizard.allow();
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("half_a_config", &story, &told);
    assert_eq!(story.config()["ours"], json!(["kept"]));
}

#[test]
fn an_older_spelling_is_kept() {
    let story = first_day();
    let tenant = story.tenant();
    story.write_config(&json!({
        "serviceApp": story.service_app(),
        "tokenManager": {
            "oauthClientId": tenant.integration_client_id,
            "oauthClientSecret": "",
            "oauthRefreshToken": "",
        },
    }));
    let mut wizard = story.wizard(&[]);
    wizard.answer(INTEGRATION_CLIENT_SECRET, &tenant.integration_client_secret);
    let _page = wizard.allow();
    wizard.finish().exits(0);
    let manager = &story.config()["tokenManager"];
    assert_eq!(
        manager["oauthClientSecret"],
        tenant.integration_client_secret
    );
    assert_eq!(manager["oauthRedirectUri"], tenant.redirect_uri);
    let refresh_token = manager["oauthRefreshToken"].as_str().expect("a text");
    assert!(story.sandbox.is_live_refresh_token(refresh_token));
    assert_eq!(manager.get("integration"), None);
}

#[test]
fn the_template_is_filled_in() {
    let story = first_day();
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/token-config.json.template");
    let template = fs::read_to_string(template).expect("the template");
    story.write("token-config.json", &template);
    let mut wizard = story.wizard(&[]);
    wizard.up_to_consent();
    let _page = wizard.allow();
    wizard.finish().exits(0);
    assert_eq!(
        story.config()["serviceApp"]["clientId"],
        story.tenant().client_id
    );
    story.refresh_token(&["--json"]).exits(0).outcome("valid");
}

#[test]
fn a_file_that_cannot_be_understood_is_not_written_to() {
    let story = first_day();
    let text = "{ \"serviceApp\": { \"clientId\": \"C1\", }\n";
    story.write("token-config.json", text);
    let told = story.wizard(&[]).finish();

    told.exits(78);
    assert_transcript("malformed", &story, &told);
    assert_eq!(story.read("token-config.json"), text);
    assert!(!story.exists(".env"));
}

#[test]
fn where_the_token_works_nothing_is_asked() {
    let story = Story::with_hand_in(sandbox(), Hand::ALL_RUNGS);
    story.refresh_token(&[]).exits(0);
    // The command line would only name the redirect URI, which would be written.
    let mut command = story.command(support::SETUP_OAUTH);
    let before = story.read("token-config.json");
    let told = Wizard::of(&story, &mut command).finish();

    told.exits(0);
    assert_transcript("it_works", &story, &told);
    assert_eq!(story.read("token-config.json"), before);
}

#[test]
fn reauthorizing_replaces_what_works() {
    let story = Story::with_hand_in(sandbox(), Hand::ALL_RUNGS);
    let old = story.config()["tokenManager"]["integration"]["refreshToken"].clone();
    let mut wizard = story.wizard(&["--reauthorize"]);
    let _page = wizard.allow();
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("reauthorize", &story, &told);
    let new = story.config()["tokenManager"]["integration"]["refreshToken"].clone();
    assert_ne!(new, old);
    assert!(
        story
            .sandbox
            .is_live_refresh_token(new.as_str().expect("a text"))
    );
    let minted_by = story.sandbox.requests();
    let minted_by = minted_by
        .iter()
        .rfind(|request| request.path.ends_with("/token"));
    let bearer = minted_by
        .and_then(|request| request.bearer())
        .expect("a mint");
    assert_eq!(
        story.config()["tokenManager"]["personalAccessToken"],
        bearer
    );
}

#[test]
fn the_redirect_uri_is_remembered() {
    let story = Story::with_hand_in(sandbox(), Hand::INTEGRATION);
    story.write_env("");
    story.wizard(&[]).finish().exits(0);
    let mut command = story.command(support::SETUP_OAUTH);
    let mut wizard = Wizard::of(&story, command.args(["--no-browser", "--reauthorize"]));
    let page = wizard.allow();
    wizard.finish().exits(0);
    assert!(page.join().expect("a page").contains("Authorized"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_browser_is_opened_where_there_is_one() {
    let story = Story::with_hand_in(sandbox(), Hand::INTEGRATION);
    story.write("browser", "#!/bin/sh\nprintf %s \"$1\" >opened\n");
    let browser = story.path("browser");
    fs::set_permissions(&browser, Permissions::from_mode(0o700)).expect("it is ours");
    let redirect_uri = story.tenant().redirect_uri;
    for (browser, words) in [
        (&*browser, None),
        ("/no/browser".as_ref(), Some("Cannot open a browser")),
    ] {
        let mut command = story.command(support::SETUP_OAUTH);
        command
            .args(["--reauthorize", "--redirect-uri", &redirect_uri])
            .env("BROWSER", browser);
        if words.is_some() {
            // Nor is any other found.
            command.env("PATH", story.path("nowhere"));
        }
        let mut wizard = Wizard::of(&story, &mut command);
        let url = wizard.authorization_url();
        if let Some(words) = words {
            wizard.expect(words);
        }
        // However that went, the address is there to be opened by hand.
        let _page = visit(&story.sandbox.consent(&url, true));
        wizard.finish().exits(0);
        if words.is_none() {
            assert_eq!(story.read("opened"), url);
        }
    }
}

#[test]
fn after_77_only_the_consent_is_needed() {
    let all_dead = Hand {
        access_token: Is::Dead,
        refresh_token: Is::Dead,
        personal_access_token: Is::Dead,
        integration: Is::Dead,
    };
    let story = Story::with_hand_in(sandbox(), all_dead);
    story.refresh_token(&["-q"]).exits(77);
    assert!(story.env_value(support::FLAG_KEY).is_some());
    let mut wizard = story.wizard(&[]);
    let _page = wizard.allow();
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("after_77", &story, &told);
    assert!(story.sandbox.is_live(&story.access_token()));
    assert_eq!(story.env_value(support::FLAG_KEY), None);
}

#[test]
fn a_wrong_secret_of_the_service_app_is_asked_for_again() {
    let story = first_day();
    let tenant = story.tenant();
    let mut wizard = story.wizard(&[]);
    wizard
        .answer(CLIENT_ID, &tenant.client_id)
        .answer(CLIENT_SECRET, "the-secret-before-it-was-regenerated")
        .answer(ORGANIZATION_ID, &tenant.target_org_id)
        .choose_integration()
        .integration();
    let _page = wizard.allow();
    wizard.hear("Please enter again").service_app();
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("wrong_secret", &story, &told);
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn a_wrong_secret_of_the_integration_is_asked_for_again() {
    let story = first_day();
    let tenant = story.tenant();
    let mut wizard = story.wizard(&[]);
    wizard
        .service_app()
        .choose_integration()
        .answer(INTEGRATION_CLIENT_ID, &tenant.integration_client_id)
        .answer(
            INTEGRATION_CLIENT_SECRET,
            "the-secret-before-it-was-regenerated",
        );
    let page = wizard.allow();
    wizard.hear("Please enter again").integration();
    let _second_page = wizard.allow();
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("wrong_integration_secret", &story, &told);
    let page = page.join().expect("a page");
    assert!(page.contains("client id or secret"), "{page}");
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn swapped_secrets_can_be_put_right() {
    let story = first_day();
    let tenant = story.tenant();
    let mut wizard = story.wizard(&[]);
    wizard
        .answer(CLIENT_ID, &tenant.client_id)
        .answer(CLIENT_SECRET, &tenant.integration_client_secret)
        .answer(ORGANIZATION_ID, &tenant.target_org_id)
        .choose_integration()
        .answer(INTEGRATION_CLIENT_ID, &tenant.integration_client_id)
        .answer(INTEGRATION_CLIENT_SECRET, &tenant.client_secret);
    let _page = wizard.allow();
    wizard
        .hear("Please enter again")
        .integration()
        .answer(CLIENT_SECRET, &tenant.client_secret);
    let _second_page = wizard.allow();
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("swapped_secrets", &story, &told);
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn a_denial_changes_nothing_but_what_was_typed() {
    let story = first_day();
    let mut wizard = story.wizard(&[]);
    wizard.up_to_consent();
    let page = visit(&wizard.decide(false));
    let told = wizard.finish();

    told.exits(77);
    assert_transcript("denied", &story, &told);
    let page = page.join().expect("a page");
    assert!(page.contains("Access was not given"), "{page}");
    let integration = &story.config()["tokenManager"]["integration"];
    assert_eq!(integration.get("refreshToken"), None);
    assert!(!story.exists(".env"));

    // What was typed was kept, so the second try only needs the answer; this time it is pasted.
    let mut wizard = story.wizard(&[]);
    let location = wizard.decide(false);
    wizard.line(&location);
    wizard.finish().exits(77);
}

#[test]
fn nobody_waits_for_ever() {
    let story = first_day();
    let mut wizard = story.wizard(&["--timeout", "1s"]);
    wizard.up_to_consent();
    let told = wizard.finish();

    told.exits(75);
    assert_transcript("nobody_answered", &story, &told);
    assert!(!is_listened_on(&story.tenant().redirect_uri));
}

/// Ends the story of a first day that fails when Webex is asked to exchange the code.
#[track_caller]
fn fails_at_the_exchange(story: &Story, code: i32) -> PtyTold {
    let mut wizard = story.wizard(&[]);
    wizard.up_to_consent();
    let page = wizard.allow();
    let told = wizard.finish();
    told.exits(code);
    let page = page.join().expect("a page");
    assert!(page.contains("That did not work"), "{page}");
    let integration = &story.config()["tokenManager"]["integration"];
    assert_eq!(integration.get("refreshToken"), None);
    told
}

#[test]
fn a_scope_that_is_not_registered_is_told() {
    let story = first_day();
    let mut wizard = story.wizard(&[]);
    wizard.up_to_consent();
    let url = wizard.authorization_url();
    // As Webex answers where the integration lacks the scope.
    let lacking = url.replace("spark%3Aapplications_token", "spark%3Aapplications_write");
    assert_ne!(lacking, url);
    let page = visit(&story.sandbox.consent(&lacking, true));
    let told = wizard.finish();

    told.exits(78);
    assert_transcript("invalid_scope", &story, &told);
    let page = page.join().expect("a page");
    assert!(page.contains("spark:applications_token"), "{page}");
}

#[test]
fn a_scope_that_was_not_granted_is_told() {
    let story = first_day();
    let granted = Fault::with("scope", "spark:people_read");
    story.sandbox.script(Endpoint::CodeExchange, [granted]);
    let told = fails_at_the_exchange(&story, 78);
    assert_transcript("scope_not_granted", &story, &told);
}

#[test]
fn a_redirect_uri_that_does_not_match_is_told() {
    let story = first_day();
    let refusal = story.sandbox.policy().redirect_mismatch;
    let fault = Fault::refusal(refusal);
    story.sandbox.script(Endpoint::CodeExchange, [fault]);
    let told = fails_at_the_exchange(&story, 78);
    assert_transcript("redirect_mismatch", &story, &told);
}

#[test]
fn a_code_that_has_expired_is_told() {
    let story = first_day_with(Policy {
        code_life: Duration::ZERO,
        ..Policy::default()
    });
    let told = fails_at_the_exchange(&story, 75);
    assert_transcript("expired_code", &story, &told);
}

#[test]
fn too_many_live_tokens_are_told() {
    let story = first_day_with(Policy {
        token_limit: 0,
        ..Policy::default()
    });
    let told = fails_at_the_exchange(&story, 75);
    assert_transcript("token_limit", &story, &told);
}

#[test]
fn webex_may_be_down_when_the_answer_comes() {
    let story = first_day();
    let fault = Fault::status(503).header("Retry-After", "600");
    story.sandbox.script_always(Endpoint::CodeExchange, fault);
    let told = fails_at_the_exchange(&story, 75);
    assert_transcript("webex_is_down", &story, &told);

    // And the next run needs nothing but the consent.
    story.sandbox.clear_faults();
    let mut wizard = story.wizard(&[]);
    let _page = wizard.allow();
    wizard.finish().exits(0);
}

#[test]
fn what_was_allowed_is_kept_where_no_full_admin_has_authorized_the_app() {
    let story = first_day();
    story.sandbox.deauthorize_service_app();
    let mut wizard = story.wizard(&[]);
    wizard.up_to_consent();
    let page = wizard.allow();
    let told = wizard.finish();

    told.exits(78);
    assert_transcript("not_authorized_by_an_admin", &story, &told);
    let page = page.join().expect("a page");
    assert!(page.contains("Full Admin"), "{page}");
    let config = story.config();
    let refresh_token = &config["tokenManager"]["integration"]["refreshToken"];
    let refresh_token = refresh_token.as_str().expect("a text");
    assert!(story.sandbox.is_live_refresh_token(refresh_token));

    // Once a Full Admin has, nobody is asked for anything.
    story.sandbox.reauthorize_service_app();
    let told = story.wizard(&[]).finish();
    told.exits(0);
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn where_the_port_is_taken_the_answer_can_be_pasted() {
    let story = first_day();
    let redirect_uri = Url::parse(&story.tenant().redirect_uri).expect("a URL");
    let port = redirect_uri.port().expect("a port");
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it was free");
    let mut wizard = story.wizard(&[]);
    wizard.up_to_consent();
    let location = wizard.decide(true);
    wizard.line(&location);
    let told = wizard.finish();

    told.exits(0);
    // Elsewhere the system does not tell who listens.
    if cfg!(target_os = "linux") {
        assert_transcript("port_taken", &story, &told);
        told.says(&format!("(process {})", process::id()));
    }
}

#[test]
fn where_the_redirect_uri_is_elsewhere_the_answer_is_pasted() {
    let redirect_uri = "https://oauth.example.com/callback";
    let sandbox = Sandbox::builder().redirect_uri(redirect_uri).start();
    let story = Story::with(sandbox);
    let mut wizard = story.wizard(&[]);
    wizard.up_to_consent();
    let location = wizard.decide(true);
    wizard.line(&location);
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("redirected_elsewhere", &story, &told);
    let integration = &story.config()["tokenManager"]["integration"];
    assert_eq!(integration["redirectUri"], redirect_uri);
}

#[test]
fn what_the_environment_says_stands_over_what_is_typed() {
    let story = first_day();
    let tenant = story.tenant();
    let mut command = story.setup(&[]);
    // Empty, so that it is asked for, and yet it counts.
    command.env("WEBEX_SERVICE_APP_CLIENT_ID", "your-client-id");
    let told = Wizard::of(&story, &mut command).finish();

    told.exits(78);
    assert_transcript("environment_is_wrong", &story, &told);
    assert!(!story.exists("token-config.json"));

    // One that serves is not asked for, and the rest is.
    let mut command = story.setup(&[]);
    command.env("WEBEX_SERVICE_APP_CLIENT_ID", &tenant.client_id);
    let mut wizard = Wizard::of(&story, &mut command);
    wizard
        .answer(CLIENT_SECRET, &tenant.client_secret)
        .answer(ORGANIZATION_ID, &tenant.target_org_id)
        .choose_integration()
        .integration();
    let _page = wizard.allow();
    wizard.finish().exits(0);

    // One that the command line is to replace would go on winning.
    let mut command = story.setup(&["--target-org-id", &tenant.target_org_id]);
    command
        .env("WEBEX_SERVICE_APP_CLIENT_ID", &tenant.client_id)
        .env("WEBEX_TARGET_ORG_ID", &tenant.target_org_uuid);
    let told = Wizard::of(&story, &mut command).finish();
    told.exits(78);
    assert_transcript("environment_wins", &story, &told);
}

#[test]
fn a_terminal_without_a_cursor_is_asked_in_plain_lines() {
    let story = first_day();
    let mut command = story.setup(&[]);
    let mut wizard = Wizard::of(&story, command.env("TERM", "dumb"));
    wizard
        .answer(CLIENT_ID, "your-client-id")
        .hear("still the template's placeholder")
        .service_app();
    wizard
        .expect("Number [1]: ")
        .line("3")
        .expect("a number from 1 to 2");
    wizard.expect("Number [1]: ").line("");
    wizard.integration();
    let _page = wizard.allow();
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("dumb", &story, &told);
    assert!(!told.bytes.contains('\x1b'), "{:?}", told.bytes);
}

#[test]
fn no_color_means_none() {
    for (arguments, variable) in [(&["--color", "never"][..], None), (&[], Some("NO_COLOR"))] {
        let story = first_day();
        let mut command = story.setup(arguments);
        command.envs(variable.map(|name| (name, "1")));
        let mut wizard = Wizard::of(&story, &mut command);
        wizard.up_to_consent();
        let _page = wizard.allow();
        let told = wizard.finish();
        told.exits(0);
        for escape in told.bytes.split("\x1b[").skip(1) {
            let end = escape.find(|c: char| c.is_ascii_alphabetic());
            let escape = &escape[..=end.expect("an end")];
            assert!(!escape.ends_with('m'), "{escape:?} is a color");
        }
    }
}

#[test]
fn every_line_fits_a_narrow_terminal() {
    for columns in [60, 40] {
        let story = first_day();
        let mut wizard = Wizard::sized(&story, &mut story.setup(&[]), columns, 24);
        wizard
            .answer(CLIENT_ID, "your-client-id")
            .hear("placeholder")
            .service_app()
            .choose_integration()
            .integration();
        let _page = wizard.allow();
        let told = wizard.finish();
        told.exits(0);
        match columns {
            60 => assert_transcript("60_columns", &story, &told),
            _ => assert_transcript("40_columns", &story, &told),
        }
    }
}

#[test]
fn quiet_says_only_what_must_be_read() {
    let story = first_day();
    let mut wizard = story.wizard(&["--quiet"]);
    wizard.service_app().choose_integration().integration();
    let start = format!("{}/authorize?", story.sandbox.base_url());
    let url = wizard.expect_word(&start);
    wizard.expect("> ");
    let _page = visit(&story.sandbox.consent(&url, true));
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("quiet", &story, &told);
}

#[test]
fn json_is_all_that_stdout_has() {
    let story = first_day();
    let command = story.setup(&["--json"]);
    // The person is at the terminal; the answer goes to a file.
    let to_a_file = "exec \"$0\" \"$@\" >answer.json";
    let mut shell = story.command("sh");
    shell
        .args(["-c", to_a_file])
        .arg(command.get_program())
        .args(command.get_args());
    let mut wizard = Wizard::of(&story, &mut shell);
    wizard.up_to_consent();
    let _page = wizard.allow();
    let told = wizard.finish();

    told.exits(0);
    assert_transcript("json", &story, &told);
    let answer: Value = serde_json::from_str(&story.read("answer.json")).expect("JSON");
    assert_eq!(answer["outcome"], "ready");
    for secret in story.secrets() {
        support::assert_no_piece(&answer.to_string(), &secret);
    }
}

#[test]
fn quiet_answers_what_is_pasted_all_the_same() {
    let story = first_day();
    let mut wizard = story.wizard(&["--quiet"]);
    wizard.service_app().choose_integration().integration();
    let start = format!("{}/authorize?", story.sandbox.base_url());
    let url = wizard.expect_word(&start);
    wizard.expect("> ").line("nonsense").expect("Not that:");
    let _page = visit(&story.sandbox.consent(&url, true));
    wizard.finish().exits(0);
}

#[test]
fn a_terminal_is_no_file_to_read_a_secret_from() {
    let story = first_day();
    let mut command = story.command(support::SETUP_OAUTH);
    let wizard = Wizard::of(&story, command.args(["--client-secret-file", "-"]));
    wizard
        .finish()
        .exits(2)
        .says("standard input is a terminal");
}

#[test]
fn esc_is_a_good_bye_that_is_said() {
    let story = first_day();
    let mut wizard = story.wizard(&[]);
    wizard.expect("Client ID of the service app:").key(0x1b);
    let told = wizard.finish();
    told.exits(130).says("Ended before it was done");
}

#[test]
fn a_secret_that_is_mistyped_can_be_taken_back() {
    let story = first_day();
    let tenant = story.tenant();
    let mut wizard = story.wizard(&[]);
    wizard
        .answer(CLIENT_ID, &tenant.client_id)
        .answer(
            CLIENT_SECRET,
            &format!("mistyped\u{15}{}", tenant.client_secret),
        )
        .answer(ORGANIZATION_ID, &tenant.target_org_id)
        .hear("Wrote token-config.json")
        .ctrl_c();
    wizard.finish().exits(130);
    let config = story.config();
    assert_eq!(config["serviceApp"]["clientSecret"], tenant.client_secret);
}

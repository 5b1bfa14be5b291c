//! Against an OAuth server that was not written here: what it is strict about, first by hand, so
//! that its silence means something; then the programs, which it has nothing to say against.

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::oauth_server::{Answer, Client, ClientEvents, OauthServer};
use support::{REFRESH_TOKEN, Story, Told, assert_no_piece};
#[cfg(unix)]
use support::{SETUP_OAUTH, port::Port, pty::Pty};
use url::{Url, form_urlencoded};

/// Where nobody listens: what is sent there is read off the redirect.
const REDIRECT_URI: &str = "http://localhost:3000/callback";
const SCOPE: &str = "spark:applications_token";
const STATE: &str = "as it was sent";
/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[test]
fn a_code_brings_a_refresh_token_that_is_replaced_by_each_use() {
    let server = OauthServer::start(REDIRECT_URI);
    let mut seen = vec![authorize(&server)];
    for _ in 0..3 {
        let spent = seen.last().expect("there is one");
        let tokens = refresh(&server, server.integration(), spent).tokens();
        assert_eq!(ask_data_sources(&server, &tokens.access_token).status, 200);
        assert!(!seen.contains(&tokens.refresh_token), "it is a new one");
        seen.push(tokens.refresh_token);
    }
    let events = server.events();
    assert_eq!(events.integration, granted(&[CODE, (REFRESH, 3)]));
    assert_eq!(events.replays(), 0);
}

#[test]
fn a_spent_refresh_token_is_seen_as_replay_and_costs_the_grant() {
    let server = OauthServer::start(REDIRECT_URI);
    let spent = authorize(&server);
    let tokens = refresh(&server, server.integration(), &spent).tokens();
    assert_eq!(ask_data_sources(&server, &tokens.access_token).status, 200);

    refresh(&server, server.integration(), &spent).is_refused("invalid_grant");

    let events = server.events();
    assert_eq!(events.integration.replays, 1);
    assert_eq!(events.integration.refused, [(REFRESH.into(), 1)].into());
    assert_eq!(events.replays(), 1);
    assert_eq!(ask_data_sources(&server, &tokens.access_token).status, 401);
    refresh(&server, server.integration(), &tokens.refresh_token).is_refused("invalid_grant");
}

#[test]
fn without_a_challenge_there_is_no_code_and_without_its_verifier_no_token() {
    let server = OauthServer::start(REDIRECT_URI);
    let location = server.consent(&authorization_url(&server, &[]), true);
    assert_eq!(parameter(&location, "code"), None);
    assert_eq!(
        parameter(&location, "error").as_deref(),
        Some("invalid_request")
    );
    for verifier in [None, Some(CHALLENGE)] {
        let code = code(&server);
        exchange(&server, &code, verifier).is_refused("invalid_grant");
    }
    let refused = ClientEvents {
        refused: [("authorization_code".into(), 2)].into(),
        ..ClientEvents::default()
    };
    assert_eq!(server.events().integration, refused);
}

#[test]
fn a_denied_consent_comes_back_as_such() {
    let server = OauthServer::start(REDIRECT_URI);
    let location = server.consent(&authorization_url(&server, &PKCE), false);
    assert!(location.as_str().starts_with(REDIRECT_URI), "{location}");
    let given = ["code", "error", "state"].map(|name| parameter(&location, name));
    let expected = [None, Some("access_denied"), Some(STATE)];
    assert_eq!(given.each_ref().map(Option::as_deref), expected);
}

#[test]
fn what_is_minted_is_the_service_apps_and_is_replaced_by_each_use() {
    let server = OauthServer::start(REDIRECT_URI);
    let refresh_token = authorize(&server);
    let integration = refresh(&server, server.integration(), &refresh_token).tokens();
    let service_app = mint(&server, &integration.access_token).tokens();

    let tokens = refresh(&server, server.service_app(), &service_app.refresh_token).tokens();
    assert_eq!(ask_data_sources(&server, &tokens.access_token).status, 200);
    assert_ne!(tokens.refresh_token, service_app.refresh_token);
    let events = server.events();
    assert_eq!(events.service_app, granted(&[(REFRESH, 1)]));
    assert_eq!(events.replays(), 0);

    refresh(&server, server.service_app(), &service_app.refresh_token).is_refused("invalid_grant");
    assert_eq!(server.events().service_app.replays, 1);
    assert_eq!(ask_data_sources(&server, &tokens.access_token).status, 401);
}

#[test]
fn only_the_integration_mints_and_only_for_the_service_app() {
    let server = OauthServer::start(REDIRECT_URI);
    let refresh_token = authorize(&server);
    let bearer = refresh(&server, server.integration(), &refresh_token).tokens();
    let service_app = mint(&server, &bearer.access_token).tokens();
    assert_eq!(mint(&server, &service_app.access_token).status, 403);
    assert_eq!(mint(&server, "of nobody").status, 401);
    for wrong in ["clientId", "clientSecret", "targetOrgId"] {
        let mut body = mint_body(&server);
        body[wrong] = "another".into();
        let answer = server.post_json(&mint_url(&server), &bearer.access_token, &body);
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

#[test]
fn a_pasted_access_token_is_looked_at_and_dated() {
    let there = Programs::with_integration();
    there.refresh_token(&[]).exits(0);
    let access_token = there.story.access_token();
    let elsewhere = Programs {
        story: Story::new(),
        ..there
    };
    elsewhere.story.stored(&access_token, "");
    let told = elsewhere.refresh_token(&["--min-validity", "1h", "--json"]);
    told.exits(0).outcome("valid");
    let steps = ["validate accepted", "token_expiry accepted"];
    assert_eq!(told.attempts(), steps);
    let seconds = told.json()["accessToken"]["expiresIn"].as_i64();
    let days = seconds.expect("a number") / (24 * 60 * 60);
    assert!((12..=14).contains(&days), "{days} days");
}

#[test]
fn three_climbs_by_the_integration_replay_nothing() {
    let there = Programs::with_integration();
    let mut seen = vec![there.integration_refresh_token()];
    for _ in 0..3 {
        there.forget_all_but_the_integration();
        let told = there.refresh_token(&["--json"]);
        told.exits(0).outcome("refreshed");
        let steps = [
            "refresh_integration issued",
            "mint issued",
            "validate accepted",
        ];
        assert_eq!(told.attempts(), steps);
        assert_eq!(told.json()["rung"], "integration_refresh_token");
        let kept = there.integration_refresh_token();
        assert!(!seen.contains(&kept), "what the server replaced was saved");
        seen.push(kept);
    }
    let events = there.server.events();
    assert_eq!(events.integration, granted(&[CODE, (REFRESH, 3)]));
    assert_eq!(events.service_app, ClientEvents::default());
    assert_eq!(events.nobody, ClientEvents::default());
}

#[test]
fn three_refreshes_by_the_service_app_replay_nothing() {
    let there = Programs::with_integration();
    there.refresh_token(&[]).exits(0);
    let mut seen = vec![there.story.refresh_token_in_env()];
    for _ in 0..3 {
        let told = there.refresh_token(&["--force", "--json"]);
        told.exits(0).outcome("refreshed");
        let steps = ["refresh_service_app issued", "validate accepted"];
        assert_eq!(told.attempts(), steps);
        let kept = there.story.refresh_token_in_env();
        assert!(!seen.contains(&kept), "what the server replaced was saved");
        seen.push(kept);
    }
    let events = there.server.events();
    assert_eq!(events.service_app, granted(&[(REFRESH, 3)]));
    assert_eq!(events.integration, granted(&[CODE, (REFRESH, 1)]));
    assert_eq!(events.nobody, ClientEvents::default());
}

#[test]
fn runs_at_the_same_moment_replay_nothing() {
    let there = Programs::with_integration();
    let mut commands: Vec<_> = (0..4).map(|_| there.command(&["--force"])).collect();
    let runs: Vec<_> = commands
        .iter_mut()
        .map(|it| there.story.start(it))
        .collect();
    for run in runs {
        there.story.finish(run).exits(0);
    }
    let events = there.server.events();
    assert_eq!(events.integration, granted(&[CODE, (REFRESH, 1)]));
    assert_eq!(events.replays(), 0);
    let access_token = there.story.access_token();
    assert_eq!(ask_data_sources(&there.server, &access_token).status, 200);
}

/// The whole way: the wizard at a terminal, somebody who consents, and then runs of both kinds.
#[cfg(unix)]
#[test]
fn what_the_wizard_sets_up_lives_on_and_replays_nothing() {
    let port = Port::reserve();
    let there = Programs::with(OauthServer::start(&port.redirect_uri()), "");
    let (wizard, address) = there.wizard(&port);
    let redirect = there.server.consent(&address, true);
    // Of RFC 9207, which Webex does not know; nobody minds it.
    assert!(parameter(&redirect, "iss").is_some(), "{redirect}");
    let page = there.server.get(redirect.as_str(), None);
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("Authorized"), "{}", page.body);
    let told = wizard.finish(&there.story);
    told.exits(0).says("ready: ");

    let events = there.server.events();
    assert_eq!(events.integration, granted(&[CODE]));
    assert_eq!(events.service_app, ClientEvents::default());

    let mut seen = vec![there.integration_refresh_token()];
    for _ in 0..3 {
        there.forget_all_but_the_integration();
        let told = there.refresh_token(&["--json"]);
        told.exits(0).outcome("refreshed");
        assert_eq!(told.json()["rung"], "integration_refresh_token");
        let kept = there.integration_refresh_token();
        assert!(!seen.contains(&kept), "what the server replaced was saved");
        seen.push(kept);
    }
    let mut seen = vec![there.story.refresh_token_in_env()];
    for _ in 0..3 {
        let told = there.refresh_token(&["--force", "--json"]);
        told.exits(0).outcome("refreshed");
        assert_eq!(told.json()["rung"], "service_app_refresh_token");
        let kept = there.story.refresh_token_in_env();
        assert!(!seen.contains(&kept), "what the server replaced was saved");
        seen.push(kept);
    }
    let events = there.server.events();
    assert_eq!(events.integration, granted(&[CODE, (REFRESH, 3)]));
    assert_eq!(events.service_app, granted(&[(REFRESH, 3)]));
    assert_eq!(events.nobody, ClientEvents::default());
}

#[cfg(unix)]
#[test]
fn a_denial_at_another_server_ends_the_wizard() {
    let port = Port::reserve();
    let there = Programs::with(OauthServer::start(&port.redirect_uri()), "");
    let (wizard, address) = there.wizard(&port);
    let redirect = there.server.consent(&address, false);
    let page = there.server.get(redirect.as_str(), None);
    assert!(page.body.contains("Access was not given"), "{}", page.body);
    wizard.finish(&there.story).exits(77);
    assert_eq!(there.server.events().integration, ClientEvents::default());
}

const REFRESH: &str = "refresh_token";
/// The one exchange that every story begins with.
const CODE: (&str, usize) = ("authorization_code", 1);
const PKCE: [(&str, &str); 2] = [
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

/// What the server notices of a client that never does anything wrong.
fn granted(by_grant_type: &[(&str, usize)]) -> ClientEvents {
    let granted = by_grant_type.iter();
    let rotations = by_grant_type.iter().find(|(name, _)| *name == REFRESH);
    ClientEvents {
        granted: granted.map(|&(name, n)| (name.into(), n)).collect(),
        rotations: rotations.map_or(0, |&(_, n)| n),
        ..ClientEvents::default()
    }
}

/// The integration asks for its scope, with PKCE if the parameters for it are given.
fn authorization_url(server: &OauthServer, pkce: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("response_type", "code")
        .append_pair("client_id", &server.integration().client_id)
        .append_pair("redirect_uri", REDIRECT_URI)
        .append_pair("scope", SCOPE)
        .append_pair("state", STATE)
        .extend_pairs(pkce)
        .finish();
    format!("{}?{query}", server.authorize_url())
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let (_, value) = url.query_pairs().find(|(key, _)| key == name)?;
    Some(value.into_owned())
}

fn code(server: &OauthServer) -> String {
    let location = server.consent(&authorization_url(server, &PKCE), true);
    assert!(location.as_str().starts_with(REDIRECT_URI), "{location}");
    assert_eq!(parameter(&location, "state").as_deref(), Some(STATE));
    parameter(&location, "code").unwrap_or_else(|| panic!("no code in {location}"))
}

fn exchange(server: &OauthServer, code: &str, verifier: Option<&str>) -> Answer {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT_URI),
    ];
    fields.extend(verifier.map(|verifier| ("code_verifier", verifier)));
    server.ask_for_tokens(server.integration(), &fields)
}

fn refresh(server: &OauthServer, client: &Client, refresh_token: &str) -> Answer {
    let fields = [("grant_type", REFRESH), ("refresh_token", refresh_token)];
    server.ask_for_tokens(client, &fields)
}

/// A person consents; gives the integration's refresh token.
fn authorize(server: &OauthServer) -> String {
    let answer = exchange(server, &code(server), Some(VERIFIER));
    assert_eq!(answer.json()["scope"], SCOPE);
    answer.tokens().refresh_token
}

fn ask_data_sources(server: &OauthServer, bearer: &str) -> Answer {
    let url = format!("{}/dataSources", server.api_base_url());
    server.get(&url, Some(bearer))
}

fn mint(server: &OauthServer, bearer: &str) -> Answer {
    server.post_json(&mint_url(server), bearer, &mint_body(server))
}

fn mint_url(server: &OauthServer) -> String {
    let id = &server.service_app().client_id;
    format!("{}/applications/{id}/token", server.api_base_url())
}

fn mint_body(server: &OauthServer) -> Value {
    json!({
        "clientId": server.service_app().client_id,
        "clientSecret": server.service_app().client_secret,
        "targetOrgId": server.target_org_id(),
    })
}

struct Tokens {
    access_token: String,
    refresh_token: String,
}

impl Answer {
    #[track_caller]
    fn tokens(&self) -> Tokens {
        assert_eq!(self.status, 200, "{}", self.body);
        let body = self.json();
        let field = |name: &str| body[name].as_str().expect("a token").to_owned();
        Tokens {
            access_token: field("access_token"),
            refresh_token: field("refresh_token"),
        }
    }

    #[track_caller]
    fn is_refused(&self, error: &str) {
        assert_eq!(self.status, 400, "{}", self.body);
        assert_eq!(self.json()["error"], error);
    }
}

/// The programs in a folder of their own, whose Webex is the server.
struct Programs {
    server: OauthServer,
    story: Story,
}

impl Programs {
    /// A person has consented to the integration, and that is all there is.
    fn with_integration() -> Self {
        let server = OauthServer::start(REDIRECT_URI);
        let refresh_token = authorize(&server);
        Self::with(server, &refresh_token)
    }

    /// The two apps are known, and the integration has this refresh token.
    fn with(server: OauthServer, refresh_token: &str) -> Self {
        let service_app = server.service_app();
        let integration = server.integration();
        let story = Story::new();
        story.write_config(&json!({
            "serviceApp": {
                "appId": "",
                "clientId": service_app.client_id,
                "clientSecret": service_app.client_secret,
                "targetOrgId": server.target_org_id(),
            },
            "tokenManager": {
                "integration": {
                    "clientId": integration.client_id,
                    "clientSecret": integration.client_secret,
                    "refreshToken": refresh_token,
                },
            },
        }));
        Self { server, story }
    }

    /// What a person removes who wants the next run to begin with the integration.
    fn forget_all_but_the_integration(&self) {
        self.story.write_env("");
        let mut config = self.story.config();
        let manager = config["tokenManager"].as_object_mut().expect("an object");
        manager.remove("personalAccessToken");
        self.story.write_config(&config);
    }

    fn integration_refresh_token(&self) -> String {
        let token = &self.story.config()["tokenManager"]["integration"]["refreshToken"];
        token.as_str().expect("a token").to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.program(REFRESH_TOKEN, arguments)
    }

    fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.story.command(program);
        command
            .args(arguments)
            .env("WEBEX_API_BASE_URL", self.server.api_base_url())
            .env("WEBEX_TOKEN_URL", self.server.token_url());
        command
    }

    /// Starts the wizard, and reads off the screen where the browser is to go.
    #[cfg(unix)]
    fn wizard(&self, port: &Port) -> (Pty, String) {
        let authorize_url = self.server.authorize_url();
        let redirect_uri = port.redirect_uri();
        let arguments = ["--no-browser", "--redirect-uri", &redirect_uri];
        let mut command = self.program(SETUP_OAUTH, &arguments);
        let mut wizard = Pty::start(command.env("WEBEX_AUTHORIZE_URL", authorize_url));
        let address = wizard.expect_word(&format!("{authorize_url}?"));
        (wizard, address)
    }

    /// Runs `refresh_token` to its end; what it has spent is as secret as what it has saved.
    fn refresh_token(&self, arguments: &[&str]) -> Told {
        let before = self.story.secrets();
        let told = self.story.run(&mut self.command(arguments));
        for secret in before {
            assert_no_piece(&told.stdout, &secret);
            assert_no_piece(&told.stderr, &secret);
        }
        told
    }
}

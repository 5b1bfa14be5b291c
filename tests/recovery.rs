//! What a run finds when another one, or a person, has been at the files before or beside it.

#![cfg(unix)]

mod support;

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::disk::{self, Namespace};
use support::{
    ACCESS_TOKEN_KEY, DATA_SOURCES, FLAG_KEY, Hand, Is, REFRESH_TOKEN, REFRESH_TOKEN_KEY, Run,
    Story, Told,
};
use webex_sandbox::{Endpoint, Fault, IssuedTokens, Policy, Position, Reuse, Sandbox};
use webex_tokens::token::Fingerprint;

const RESCUE: &str = ".env.rescue.json";
const CONFIG_RESCUE: &str = "token-config.json.rescue.json";

/// What a run logs when another one holds the lock that it wants.
const WAITING: &str = "waiting for another run";

/// Refresh tokens work once, and a second use ends their grant.
fn strict() -> Sandbox {
    let policy = Policy {
        rotate: true,
        reuse: Reuse::RevokeGrant,
        ..Policy::default()
    };
    Sandbox::builder().policy(policy).start()
}

/// An access token that Webex has just stopped to accept, and a refresh token that works once.
fn refused() -> (Story, IssuedTokens) {
    let story = Story::with(strict());
    let tokens = story.sandbox.issue_service_app_tokens();
    story.sandbox.expire(&tokens.access_token);
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    (story, tokens)
}

/// Only the integration's refresh token is alive, which works once.
fn with_integration_alone() -> (Story, IssuedTokens) {
    let story = Story::with(strict());
    let integration = story.sandbox.issue_integration_tokens();
    let pat = story.sandbox.issue_personal_access_token();
    story.sandbox.revoke(&pat);
    story
        .configured_with(Some(&pat), Some(&integration.refresh_token))
        .write_env("");
    (story, integration)
}

/// A pair that works.
fn with_a_valid_token() -> (Story, IssuedTokens) {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    (story, tokens)
}

/// What another run did with the same credentials, while the files in the story's folder wait for
/// its result.
struct Elsewhere {
    env: String,
    config: Value,
}

impl Elsewhere {
    /// Runs in a folder below the story's, with copies of its files.
    fn run(story: &Story) -> Self {
        fs::create_dir(story.path("elsewhere")).expect("a folder is made");
        for name in [".env", "token-config.json"] {
            story.write(&format!("elsewhere/{name}"), story.read(name));
        }
        let files = [
            "--env-file",
            "elsewhere/.env",
            "--config",
            "elsewhere/token-config.json",
        ];
        story.refresh_token(&files).exits(0);
        assert_eq!(story.sandbox.counts().refresh_requests, 1);
        let config = story.read("elsewhere/token-config.json");
        Self {
            env: story.read("elsewhere/.env"),
            config: serde_json::from_str(&config).expect("JSON"),
        }
    }

    fn value(&self, key: &str) -> &str {
        let prefix = format!("{key}=");
        let mut lines = self.env.lines();
        lines
            .find_map(|line| line.strip_prefix(&prefix))
            .expect("a token in .env")
    }

    fn access_token(&self) -> &str {
        self.value(ACCESS_TOKEN_KEY)
    }

    fn refresh_token(&self) -> &str {
        self.value(REFRESH_TOKEN_KEY)
    }

    fn pat(&self) -> &str {
        pat(&self.config)
    }

    fn integration(&self) -> &str {
        integration(&self.config)
    }
}

fn pat(config: &Value) -> &str {
    let pat = &config["tokenManager"]["personalAccessToken"];
    pat.as_str().expect("a personal access token")
}

fn integration(config: &Value) -> &str {
    let refresh_token = &config["tokenManager"]["integration"]["refreshToken"];
    refresh_token
        .as_str()
        .expect("the integration's refresh token")
}

/// A rescue file's text: `issued` was to replace `replaced`, access token and refresh token each.
fn rescue(rung: &str, replaced: [Option<&str>; 2], issued: [&str; 2]) -> String {
    let [access_token, refresh_token] = replaced.map(|token| token.map(Fingerprint::of));
    json!({
        "version": 1,
        "rung": rung,
        "replaces_access_token": access_token,
        "replaces_refresh_token": refresh_token,
        "issued_at": "2026-01-01T00:00:00Z",
        "access_token": issued[0],
        "refresh_token": issued[1],
    })
    .to_string()
}

fn service_app_rescue(replaced: [&str; 2], issued: [&str; 2]) -> String {
    rescue("service_app_refresh_token", replaced.map(Some), issued)
}

fn integration_rescue(replaced: [Option<&str>; 2], issued: [&str; 2]) -> String {
    rescue("integration_refresh_token", replaced, issued)
}

/// Puts the flag into `.env`.
fn put_flag(story: &Story) {
    let env = story.env();
    story.write_env(format!("{env}{FLAG_KEY}='2026-01-01T00:00:00Z'\n"));
}

#[track_caller]
fn assert_warns(told: &Told, text: &str) {
    assert!(
        told.warns(text),
        "no warning says {text:?}:\n{}",
        told.stdout
    );
}

// Another run ends while this one waits for its lock.

#[test]
fn a_waiting_run_finishes_the_copy_of_a_holder_that_died() {
    for (arguments, grants) in [(&["--json"][..], 1), (&["--json", "--force"], 2)] {
        let (story, _) = refused();
        let held = disk::hold_lock(&story.path(".env.lock"));
        let mut run = Run::start(&story, arguments);
        run.logs(WAITING);

        let holder = Elsewhere::run(&story);
        story.write(".env.pending", &holder.env);
        drop(held);

        let told = run.finish(&story);
        told.exits(0);
        assert_warns(&told, "finished writing");
        let counts = story.sandbox.counts();
        assert_eq!(counts.reused_refresh_tokens, 0, "{arguments:?}");
        assert!(counts.refresh_requests <= grants, "{arguments:?}");
        assert!(!story.exists(".env.pending"));
        assert!(story.sandbox.is_live(&story.access_token()));
        let refresh_token = story.refresh_token_in_env();
        assert!(story.sandbox.is_live_refresh_token(&refresh_token));
        let is_the_holders = story.access_token() == holder.access_token();
        assert_eq!(is_the_holders, counts.refresh_requests == 1);
    }
}

#[test]
fn a_waiting_run_adopts_what_its_holder_could_not_save() {
    for (arguments, grants) in [(&["--json"][..], 1), (&["--json", "--force"], 2)] {
        let (story, old) = refused();
        let held = disk::hold_lock(&story.path(".env.lock"));
        let mut run = Run::start(&story, arguments);
        run.logs(WAITING);

        let holder = Elsewhere::run(&story);
        let access = holder.access_token();
        let rescue = service_app_rescue(
            [&old.access_token, &old.refresh_token],
            [access, holder.refresh_token()],
        );
        story.write(RESCUE, rescue);
        drop(held);

        let told = run.finish(&story);
        told.exits(0);
        assert_warns(&told, "took the tokens");
        let counts = story.sandbox.counts();
        assert_eq!(counts.reused_refresh_tokens, 0, "{arguments:?}");
        assert!(counts.refresh_requests <= grants, "{arguments:?}");
        assert!(!story.exists(RESCUE));
        assert!(story.sandbox.is_live(&story.access_token()));
        let refresh_token = story.refresh_token_in_env();
        assert!(story.sandbox.is_live_refresh_token(&refresh_token));
        let is_the_holders = story.access_token() == access;
        assert_eq!(is_the_holders, counts.refresh_requests == 1);
    }
}

/// Rung 3 waits for the lock beside the configuration, whose holder renews the integration and
/// leaves what `leave` makes of it.
fn renewed_while_rung_3_waits(leave: impl FnOnce(&Story, &IssuedTokens, &Elsewhere)) {
    let (story, old) = with_integration_alone();
    let held = disk::hold_lock(&story.path("token-config.json.lock"));
    let mut run = Run::start(&story, &["--json"]);
    run.logs(WAITING);

    let holder = Elsewhere::run(&story);
    leave(&story, &old, &holder);
    drop(held);

    let told = run.finish(&story);
    told.exits(0).outcome("refreshed");
    let counts = story.sandbox.counts();
    assert_eq!(counts.reused_refresh_tokens, 0);
    assert_eq!(counts.refresh_requests, 1);
    assert!(story.sandbox.is_live(&story.access_token()));
    let config = story.config();
    assert_eq!(pat(&config), holder.pat());
    assert_eq!(integration(&config), holder.integration());
    for name in ["token-config.json.pending", CONFIG_RESCUE] {
        assert!(!story.exists(name), "{name}");
    }
}

#[test]
fn rung_3_finishes_the_copy_of_a_holder_that_died() {
    renewed_while_rung_3_waits(|story, _, holder| {
        let config = holder.config.to_string();
        story.write("token-config.json.pending", config);
    });
}

#[test]
fn rung_3_adopts_what_its_holder_could_not_save() {
    renewed_while_rung_3_waits(|story, old, holder| {
        let config = story.config();
        let replaced = [Some(pat(&config)), Some(old.refresh_token.as_str())];
        let rescue = integration_rescue(replaced, [holder.pat(), holder.integration()]);
        story.write(CONFIG_RESCUE, rescue);
    });
}

#[test]
fn a_configuration_that_breaks_while_rung_3_waits_is_no_dead_credential() {
    let (story, _) = with_integration_alone();
    let held = disk::hold_lock(&story.path("token-config.json.lock"));
    let mut run = Run::start(&story, &["--json"]);
    run.logs(WAITING);

    let config = story.read("token-config.json");
    story.write("token-config.json", &config[..config.len() / 2]);
    drop(held);

    let told = run.finish(&story);
    told.exits(78)
        .says("token-config.json")
        .outcome("misconfigured");
    assert!(!story.env().contains(FLAG_KEY));
    assert_eq!(story.sandbox.counts().refresh_requests, 0);
}

// What an earlier run left.

#[test]
fn a_rescued_refresh_token_is_adopted_beside_a_known_access_token() {
    let (story, tokens) = with_a_valid_token();
    let access_token = &tokens.access_token;
    story.stored(access_token, "the-one-before");
    let rescue = service_app_rescue(
        [access_token, "the-one-before"],
        [access_token, &tokens.refresh_token],
    );
    story.write(RESCUE, rescue);

    let told = story.refresh_token(&["--json"]);

    told.exits(0).outcome("valid");
    assert_warns(&told, "took the tokens");
    assert!(story.refresh_token_in_env() == tokens.refresh_token);
    assert!(story.access_token() == tokens.access_token);
    assert!(!story.exists(RESCUE));
}

/// A rescue beside the configuration was adopted, and its removal did not happen; a person pasted
/// another personal access token, if told so, before the next run.
fn adopted_and_still_there(sandbox: Sandbox, is_pasted: bool) {
    let story = Story::with(sandbox);
    let tokens = story.sandbox.issue_service_app_tokens();
    let integration = story.sandbox.issue_integration_tokens();
    let pasted = story.sandbox.issue_personal_access_token();
    let rotates = story.sandbox.policy().rotate;
    let spent = if rotates {
        "the-one-before"
    } else {
        &integration.refresh_token
    };
    story
        .configured_with(None, Some(spent))
        .stored(&tokens.access_token, &tokens.refresh_token);
    let issued = [
        integration.access_token.as_str(),
        &integration.refresh_token,
    ];
    let rescue = integration_rescue([None, Some(spent)], issued);
    story.write(CONFIG_RESCUE, &rescue);
    let told = story.refresh_token(&["--json"]);
    told.exits(0);
    assert_warns(&told, "took the tokens");
    assert!(!story.exists(CONFIG_RESCUE));

    story.write(CONFIG_RESCUE, &rescue);
    let mut config = story.config();
    assert_eq!(pat(&config), integration.access_token);
    if is_pasted {
        config["tokenManager"]["personalAccessToken"] = pasted.into();
        story.write_config(&config);
    }
    let told = story.refresh_token(&["--json"]);

    told.exits(0).outcome("valid");
    if !is_pasted {
        assert_warns(&told, "is no longer needed");
        assert!(!story.exists(CONFIG_RESCUE));
    }
    assert!(
        story.config() == config,
        "rotates: {rotates}, pasted: {is_pasted}"
    );
}

#[test]
fn a_rescue_that_was_adopted_is_removed() {
    adopted_and_still_there(Sandbox::start(), false);
    adopted_and_still_there(strict(), false);
}

#[test]
fn a_rescue_that_was_adopted_overwrites_no_pasted_token() {
    adopted_and_still_there(strict(), true);
    adopted_and_still_there(Sandbox::start(), true);
}

#[test]
fn a_seed_that_is_spent_is_not_sent_when_the_state_was_not_written() {
    let story = Story::with(strict());
    let tenant = story.tenant();
    let seed = story.sandbox.issue_integration_tokens().refresh_token;
    story.configured().write_env("");
    let seeded = || {
        let mut command: Command = story.command(REFRESH_TOKEN);
        command
            .env("WEBEX_INTEGRATION_CLIENT_ID", &tenant.integration_client_id)
            .env(
                "WEBEX_INTEGRATION_CLIENT_SECRET",
                &tenant.integration_client_secret,
            )
            .env("WEBEX_INTEGRATION_REFRESH_TOKEN", &seed)
            .arg("--json");
        command
    };
    // As it is while a person's half typed file keeps the renewal from being saved, so would a run
    // that dies with the save leave what lies beside the file.
    let renewal = story
        .sandbox
        .gate_at(Endpoint::IntegrationRefresh, Position::BeforeAnswering);
    let mint = story.sandbox.gate(Endpoint::Mint);
    let mut run = Run::of(&story, &mut seeded());
    renewal.wait_for_request();
    let text = story.read("token-config.json");
    story.write("token-config.json", &text[..text.len() / 2]);
    renewal.release();
    run.logs("not saved");
    let beside = ["token-config.json.lock", "token-config.json.state.json"];
    let before = beside.map(|name| fs::read(story.path(name)));
    story.write("token-config.json", &text);
    mint.wait_for_request();
    run.kill();
    mint.release();
    for (name, contents) in beside.into_iter().zip(before) {
        match contents {
            Ok(contents) => {
                story.write(name, contents);
            }
            Err(_) => fs::remove_file(story.path(name)).expect("it is removed"),
        }
    }
    let config = story.config();
    let renewed = integration(&config).to_owned();
    assert_ne!(renewed, seed);
    // The personal access token that the renewal brought has had its day.
    story.sandbox.expire(pat(&config));
    story.write_env("");
    story.sandbox.clear_requests();

    let told = story.run(&mut seeded());

    told.exits(0).outcome("refreshed");
    let counts = story.sandbox.counts();
    assert_eq!(counts.reused_refresh_tokens, 0);
    assert_eq!(counts.refresh_requests, 1);
    let requests = story.sandbox.requests();
    let sent: Vec<_> = requests
        .iter()
        .filter_map(|request| request.form.get("refresh_token"))
        .collect();
    assert!(sent == [&renewed], "another refresh token was sent");
}

#[test]
fn the_doubt_about_the_integration_outlasts_an_answer_that_tells_nothing() {
    let story = Story::new();
    let integration = story.sandbox.issue_integration_tokens();
    story
        .configured_with(None, Some(&integration.refresh_token))
        .write_env("");
    let doubt = "an earlier run has not saved what became of it";
    let at = Endpoint::IntegrationRefresh;
    story.sandbox.script(at, [Fault::drop_after()]);
    story.refresh_token(&[]).exits(75);
    story.refresh_token(&["--plan"]).exits(0).says(doubt);

    let busy = Fault::status(503).header("Retry-After", "3600");
    story.sandbox.script(at, [busy]);
    story.refresh_token(&[]).exits(75);

    story.refresh_token(&["--plan"]).exits(0).says(doubt);
    let told = story.refresh_token(&["--json"]);
    told.exits(0).outcome("refreshed");
    assert_warns(&told, "ended before the integration's answer was saved");
    // An answer that tells settles it.
    let plan = story.refresh_token(&["--plan"]);
    assert!(!plan.stdout.contains(doubt), "{}", plan.stdout);
}

#[test]
fn a_rescue_that_nobody_can_adopt_does_not_spoil_a_valid_token() {
    let (story, tokens) = with_a_valid_token();
    let gone = ["long-gone", "long-gone-too"];
    let rescue = service_app_rescue(gone, ["never-stored", "never-stored-either"]);
    story.write(RESCUE, &rescue);
    let env = story.env();
    let _held = disk::hold_lock(&story.path(".env.lock"));

    let told = story.refresh_token(&["--json", "--lock-timeout", "1s"]);

    told.exits(0).outcome("valid");
    assert_eq!(story.env(), env);
    assert_eq!(story.read(RESCUE), rescue);
    assert!(story.sandbox.is_live(&tokens.access_token));
}

// A person edits beside a run.

#[test]
fn a_file_that_is_half_typed_for_a_moment_still_takes_the_token() {
    let (story, _) = refused();
    let env = story.env();
    let grant = story
        .sandbox
        .gate_at(Endpoint::ServiceAppRefresh, Position::BeforeAnswering);
    let mut run = Run::start(&story, &["--json"]);
    grant.wait_for_request();
    story.write_env(format!("{env}NOTE='half typ"));
    grant.release();
    run.logs("not saved");
    story.write_env(format!("{env}NOTE='half typed, then whole'\n"));

    run.finish(&story).exits(0).outcome("refreshed");
    assert!(story.sandbox.is_live(&story.access_token()));
    assert!(story.env().contains("NOTE='half typed, then whole'\n"));
    assert!(!story.exists(RESCUE));
    assert_eq!(story.sandbox.counts().refresh_requests, 1);
}

#[test]
fn a_pat_that_is_pasted_during_the_renewal_is_told_of() {
    let (story, _) = with_integration_alone();
    let pasted = story.sandbox.issue_personal_access_token();
    let renewal = story
        .sandbox
        .gate_at(Endpoint::IntegrationRefresh, Position::BeforeAnswering);
    let run = Run::start(&story, &["--json"]);
    renewal.wait_for_request();
    let mut config = story.config();
    config["tokenManager"]["personalAccessToken"] = pasted.as_str().into();
    story.write_config(&config);
    renewal.release();

    let told = run.finish(&story);
    told.exits(0).outcome("refreshed");
    assert_warns(&told, "personalAccessToken");
    let config = story.config();
    assert_ne!(pat(&config), pasted);
    assert!(story.sandbox.is_live(pat(&config)));
    let refresh_token = integration(&config);
    assert!(story.sandbox.is_live_refresh_token(refresh_token));
}

#[test]
fn a_renewal_that_nobody_disturbs_warns_of_no_edit() {
    let (story, _) = with_integration_alone();
    let told = story.refresh_token(&["--json"]);
    told.exits(0).outcome("refreshed");
    assert!(!told.warns("personalAccessToken"), "{}", told.stdout);
}

// Whose access goes is told.

#[test]
fn others_lose_their_access_by_the_flags_removal_too() {
    let (story, _) = with_a_valid_token();
    put_flag(&story);
    disk::set_mode(&story.path(".env"), 0o644);

    let told = story.refresh_token(&["--json"]);

    told.exits(0).outcome("valid");
    assert!(!story.env().contains(FLAG_KEY));
    assert_eq!(disk::mode(&story.path(".env")), 0o640);
    assert_warns(&told, "every user of this machine");
}

#[test]
fn others_lose_their_access_by_an_adoption_too() {
    let (story, tokens) = with_a_valid_token();
    story.stored("the-one-before", "the-refresh-token-before");
    let before = ["the-one-before", "the-refresh-token-before"];
    let issued = [tokens.access_token.as_str(), &tokens.refresh_token];
    story.write(RESCUE, service_app_rescue(before, issued));
    disk::set_mode(&story.path(".env"), 0o644);

    let told = story.refresh_token(&["--json"]);

    told.exits(0).outcome("valid");
    assert!(story.access_token() == tokens.access_token);
    assert_eq!(disk::mode(&story.path(".env")), 0o640);
    assert_warns(&told, ".env: every user of this machine");
}

#[test]
fn others_lose_their_access_by_an_adoption_into_the_configuration_too() {
    let (story, tokens) = with_a_valid_token();
    let integration = story.sandbox.issue_integration_tokens();
    story
        .configured_with(None, Some("the-one-before"))
        .stored(&tokens.access_token, &tokens.refresh_token);
    let issued = [
        integration.access_token.as_str(),
        &integration.refresh_token,
    ];
    let rescue = integration_rescue([None, Some("the-one-before")], issued);
    story.write(CONFIG_RESCUE, rescue);
    disk::set_mode(&story.path("token-config.json"), 0o644);

    let told = story.refresh_token(&["--json"]);

    told.exits(0).outcome("valid");
    assert_eq!(pat(&story.config()), integration.access_token);
    assert_eq!(disk::mode(&story.path("token-config.json")), 0o640);
    assert_warns(&told, "token-config.json: every user of this machine");
}

// A token that works is what counts.

#[test]
fn a_flag_that_cannot_be_taken_down_at_once_is_left() {
    let (story, _) = with_a_valid_token();
    put_flag(&story);
    let env = story.env();
    let _held = disk::hold_lock(&story.path(".env.lock"));

    let told = story.refresh_token(&["--json", "-v"]);

    told.exits(0).outcome("valid");
    assert!(!told.stderr.contains(WAITING), "it waited");
    assert_warns(&told, FLAG_KEY);
    assert_eq!(story.env(), env);
}

#[test]
fn the_stored_token_is_printed_where_nothing_can_be_saved_and_no_mint_is_to_be_had() {
    let arguments = [
        &["--print-token", "--force"][..],
        &["--print-token", "--min-validity", "20d"],
    ];
    for arguments in arguments {
        let hand = Hand {
            personal_access_token: Is::Live,
            ..Hand::default()
        };
        let story = Story::refreshed(Sandbox::start(), hand);
        let token = story.access_token();
        let busy = Fault::status(503).header("Retry-After", "3600");
        story.sandbox.script_always(Endpoint::Mint, busy);
        let disk = Namespace::read_only(&story);

        let told = story.run(disk.command(&story, REFRESH_TOKEN).args(arguments));

        told.exits(0);
        assert!(told.stdout == format!("{token}\n"), "{arguments:?}");
        assert_eq!(story.sandbox.counts().refresh_requests, 0);
    }
}

#[test]
fn a_kept_token_comes_with_a_warning_and_a_remedy() {
    let (story, tokens) = with_a_valid_token();
    let full = Fault::status(400).error("tokenlimit_reached", "tokenlimit_reached");
    story.sandbox.script_always(Endpoint::AccessToken, full);
    let remedy = "end sessions";

    let told = story.refresh_token(&["--force"]);
    told.exits(0);
    assert!(
        told.stderr.contains("no new access token"),
        "{}",
        told.stderr
    );
    assert!(told.stderr.contains(remedy), "{}", told.stderr);

    let told = story.refresh_token(&["--force", "--json"]);
    told.exits(0).outcome("kept");
    assert_warns(&told, "no new access token");
    told.says(remedy);

    let told = story.refresh_token(&["--force", "--print-token"]);
    told.exits(0);
    assert!(told.stdout == format!("{}\n", tokens.access_token));
    assert!(
        told.stderr.contains("no new access token"),
        "{}",
        told.stderr
    );
    assert!(told.stderr.contains(remedy), "{}", told.stderr);
}

#[test]
fn a_fresh_token_that_is_refused_is_no_old_one_that_works() {
    let (story, _) = refused();
    let fault = Fault::issued_but_refused();
    story.sandbox.script(Endpoint::ServiceAppRefresh, [fault]);

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(77).outcome("reauthorization_required");
    let message = json["message"].as_str().expect("a text");
    for lie in [
        "the old access token works",
        "service-app refresh token refused",
    ] {
        assert!(!message.contains(lie), "{message}");
    }
}

#[test]
fn a_token_from_the_future_does_not_satisfy_force() {
    let story = Story::refreshed(Sandbox::start(), Hand::REFRESH_TOKEN);
    let token = story.access_token();
    story.edit_state(|state| {
        let record = &mut state["credentials"]["service_app_access_token"];
        assert!(record.is_object(), "the state knows the access token");
        record["issued_at"] = "2100-01-01T00:00:00Z".into();
    });

    let told = story.refresh_token(&["--force", "--json"]);

    told.exits(0).outcome("refreshed");
    assert!(story.access_token() != token);
    assert_eq!(story.sandbox.counts().refresh_requests, 1);
}

#[test]
fn what_was_answered_for_is_tried_before_what_may_be_spent() {
    let story = Story::with(strict());
    let tokens = story.sandbox.issue_service_app_tokens();
    let integration = story.sandbox.issue_integration_tokens();
    story.sandbox.revoke(&tokens.access_token);
    story
        .configured_with(None, Some(&integration.refresh_token))
        .stored(&tokens.access_token, &tokens.refresh_token);
    let busy = Fault::status(503).header("Retry-After", "3600");
    story.sandbox.script(Endpoint::ServiceAppRefresh, [busy]);
    let renewal = story
        .sandbox
        .gate_at(Endpoint::IntegrationRefresh, Position::BeforeAnswering);
    let run = Run::start(&story, &[]);
    renewal.wait_for_request();
    run.kill();
    renewal.release();

    let told = story.refresh_token(&["--json"]);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "service_app_refresh_token");
    let counts = story.sandbox.counts();
    assert_eq!(counts.reused_refresh_tokens, 0, "{:?}", story.asked());
}

/// A run has died with the answer for the service app; a personal access token works, too.
fn with_an_answer_lost() -> Story {
    let (story, _) = refused();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);
    let grant = Endpoint::ServiceAppRefresh;
    let grant = story.sandbox.gate_at(grant, Position::BeforeAnswering);
    let run = Run::start(&story, &[]);
    grant.wait_for_request();
    run.kill();
    grant.release();
    story
}

#[test]
fn whichever_program_climbs_next_tells_of_a_lost_answer() {
    for arguments in [&["list"][..], &["list", "--json"], &["extend", "--all"]] {
        let story = with_an_answer_lost();

        let told = story.data_sources(arguments);

        told.exits(0).says("ended before its answer was saved");
        assert_eq!(story.sandbox.counts().reused_refresh_tokens, 0);
    }
}

#[test]
fn a_lost_answer_is_told_of_however_many_climbs_a_program_makes() {
    let story = with_an_answer_lost();
    for id in story.sandbox.seed_data_sources(1) {
        story.sandbox.age_data_source(&id, Duration::from_hours(13));
    }
    let update = story.sandbox.gate(Endpoint::UpdateDataSource);
    let mut command = story.command(DATA_SOURCES);
    let extend = story.start(command.args(["extend", "--all"]));
    update.wait_for_request();
    story.sandbox.revoke(&story.access_token());
    update.release();

    let told = story.finish(extend);

    told.exits(0).says("ended before its answer was saved");
    let counts = story.sandbox.counts();
    assert_eq!((counts.mints, counts.grants), (1, 2), "two climbs");
}

#[test]
fn a_lost_answer_is_told_of_while_the_token_still_works() {
    let story = Story::with(strict());
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let grant = Endpoint::ServiceAppRefresh;
    let grant = story.sandbox.gate_at(grant, Position::BeforeAnswering);
    let run = Run::start(&story, &["--force"]);
    grant.wait_for_request();

    // It is under way, as far as anybody can tell.
    let told = story.refresh_token(&["--json"]);
    told.exits(0).outcome("valid");
    assert!(!told.warns("ended before its answer was saved"));
    let told = story.check_token(&["--json"]);
    assert!(!told.warns("ended before its answer was saved"));
    run.kill();
    grant.release();

    let told = story.refresh_token(&["--json"]);
    told.exits(0).outcome("valid");
    assert_warns(&told, "ended before its answer was saved");
    let told = story.check_token(&["--json"]);
    told.exits(0);
    assert_warns(&told, "ended before its answer was saved");
}

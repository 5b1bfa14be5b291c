//! What `setup_oauth` writes, and when it may be cut off: a consent is spent under the rules of a
//! climb, and nobody is held up while a person makes up their mind.

#![cfg(unix)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};
use webex_sandbox::{Endpoint, Gate, Position};

use support::device::Waiting;
use support::disk::{self, Namespace};
use support::{
    ACCESS_TOKEN_KEY, FLAG_KEY, Hand, REFRESH_TOKEN, REFRESH_TOKEN_KEY, Run, SETUP_OAUTH, Story,
};

/// A story that lacks nothing but a person's consent.
fn to_be_authorized() -> Story {
    let story = Story::new();
    story.to_be_authorized();
    story
}

/// An integration that is authorized, and nothing that would do without it.
fn authorized() -> Story {
    let story = Story::new();
    let integration = story.sandbox.issue_integration_tokens().refresh_token;
    story
        .configured_with(None, Some(&integration))
        .write_env("");
    story
}

/// A run whose consent was given: Webex has issued the tokens and its answer is held.
fn held_at_the_exchange(story: &Story, arguments: &[&str]) -> (Waiting, Gate) {
    let begun = story.sandbox.gate(Endpoint::DeviceToken);
    let gate = story
        .sandbox
        .gate_at(Endpoint::DeviceToken, Position::BeforeAnswering);
    let waiting = Waiting::start(story, arguments);
    waiting.decide(story, true);
    // The first poll, however early it comes.
    begun.release();
    gate.wait_for_request();
    (waiting, gate)
}

fn warnings(json: &Value) -> String {
    json["warnings"].to_string()
}

fn device_codes(story: &Story) -> usize {
    let requests = story.requests();
    let asked = requests
        .iter()
        .filter(|request| request.ends_with("/device/authorize"));
    asked.count()
}

// Can it be saved?

#[test]
fn on_a_full_disk_nobody_is_asked() {
    let story = to_be_authorized();
    let setup = "mount -t tmpfs -o size=64k,mode=700 tmpfs \"$PWD\"
                 cp -p token-config.json \"$PWD\"";
    let disk = Namespace::new(&story, setup);
    // There is room for the lock, but not for the tokens.
    let fill = "head -c 4096 /dev/zero >token-config.json.lock
                cat /dev/zero >filler 2>/dev/null || true";
    disk.run(&story, fill);

    let told = story.run(
        disk.command(&story, SETUP_OAUTH)
            .args(["--device", "--json"]),
    );

    let json = told.exits(74).outcome("not_saved");
    let remedy = json["remedy"].as_str().expect("a text");
    assert!(remedy.contains("space"), "{remedy}");
    assert!(story.requests().is_empty(), "{:?}", story.requests());
    let config = disk.read(&story, "token-config.json");
    assert_eq!(config, story.read("token-config.json"));
}

#[test]
fn where_the_configuration_cannot_be_replaced_nobody_is_asked() {
    let story = to_be_authorized();
    fs::create_dir(story.path("etc")).expect("a folder is made");
    story.write("etc/token-config.json", story.read("token-config.json"));
    disk::set_mode(&story.path("etc"), 0o500);
    let mut command = disk::powerless(&story, SETUP_OAUTH);
    command.args(["--device", "--json", "--config", "etc/token-config.json"]);

    story.run(&mut command).exits(74).outcome("not_saved");

    assert!(story.requests().is_empty());
    disk::set_mode(&story.path("etc"), 0o700);
    story.run(command.args(["--timeout", "1s"])).exits(75);
    assert_eq!(device_codes(&story), 1);
}

#[test]
fn where_env_cannot_be_replaced_nobody_is_asked() {
    let story = to_be_authorized();
    fs::create_dir(story.path("etc")).expect("a folder is made");
    disk::set_mode(&story.path("etc"), 0o500);
    let mut command = disk::powerless(&story, SETUP_OAUTH);
    command.args(["--device", "--json", "--env-file", "etc/.env"]);

    story.run(&mut command).exits(74).outcome("not_saved");

    assert!(story.requests().is_empty(), "{:?}", story.requests());
    disk::set_mode(&story.path("etc"), 0o700);
}

#[test]
fn what_cannot_be_saved_is_rescued_and_adopted_without_another_consent() {
    let story = to_be_authorized();
    let config = story.read("token-config.json");
    let (mut waiting, gate) = held_at_the_exchange(&story, &[]);
    fs::remove_file(story.path("token-config.json")).expect("a file is removed");
    fs::create_dir(story.path("token-config.json")).expect("a folder is made");
    gate.release();
    waiting.run().logs("not saved");
    // A signal does not cut the save, nor keep from anybody where the tokens are.
    waiting.run().stop(Signal::TERM);

    let told = waiting.finish(&story);

    let rescue = "token-config.json.rescue.json";
    told.exits(143).says(rescue);
    assert_eq!(disk::mode(&story.path(rescue)), 0o600);
    fs::remove_dir(story.path("token-config.json")).expect("a folder is removed");
    story.write("token-config.json", config);
    let told = story.setup_oauth(&["--device", "--json"]);
    let json = told.exits(0).outcome("valid");
    assert!(warnings(&json).contains("took the tokens"), "{json:#}");
    assert_eq!(device_codes(&story), 1, "nobody is asked again");
    assert!(!story.exists(rescue));
    assert!(story.sandbox.is_live(&story.access_token()));
    let refresh_token = story.integration_refresh_token();
    assert!(story.sandbox.is_live_refresh_token(&refresh_token));
}

// Others at work.

#[test]
fn a_job_is_not_held_up_while_a_person_makes_up_their_mind() {
    let story = authorized();
    let gate = story
        .sandbox
        .gate_at(Endpoint::DeviceToken, Position::BeforeAnswering);
    story.refresh_token(&[]).exits(0);
    let waiting = Waiting::start(&story, &["--reauthorize", "--json"]);
    // It polls now, and goes on doing so.
    gate.wait_for_request();
    gate.release();
    // Its job needs the integration, and with it the lock beside its file.
    let pat = &story.config()["tokenManager"]["personalAccessToken"];
    story.sandbox.revoke(pat.as_str().expect("a text"));
    story.sandbox.revoke(&story.access_token());
    story.sandbox.revoke(&story.refresh_token_in_env());

    let told = story.refresh_token(&["--json", "--lock-timeout", "20s"]);

    let json = told.exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "integration_refresh_token");
    waiting.decide(&story, true);
    waiting.finish(&story).exits(0).outcome("ready");
}

/// Another run that waits for the lock while the first holds it for its exchange, and then goes on.
fn second_of_two(story: &Story, arguments: &[&str]) -> Run {
    let (first, gate) = held_at_the_exchange(story, &["--json"]);
    let mut command = story.command(SETUP_OAUTH);
    let mut second = Run::of(story, command.args(["--device", "--json"]).args(arguments));
    second.logs("waiting for another run");
    assert_eq!(device_codes(story), 1);
    gate.release();
    first.finish(story).exits(0).outcome("ready");
    second
}

#[test]
fn what_the_first_of_two_was_allowed_serves_the_second() {
    let story = to_be_authorized();
    let second = second_of_two(&story, &["--timeout", "30s"]);

    second.finish(&story).exits(0).outcome("valid");

    assert_eq!(device_codes(&story), 1, "nobody is asked twice");
    assert!(story.sandbox.is_live(&story.access_token()));
    assert_eq!(disk::names(&story, "token-config.json.tmp"), [""; 0]);
}

#[test]
fn the_last_of_two_consents_stays() {
    let story = to_be_authorized();
    let second = second_of_two(&story, &["--reauthorize"]);
    let of_the_first = story.integration_refresh_token();

    let second = Waiting::shown(second);
    second.decide(&story, true);
    second.finish(&story).exits(0).outcome("ready");

    let refresh_token = story.integration_refresh_token();
    assert_ne!(refresh_token, of_the_first);
    assert!(story.sandbox.is_live_refresh_token(&refresh_token));
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn a_persons_edit_during_the_exchange_stays_but_for_our_keys() {
    let story = to_be_authorized();
    disk::set_mode(&story.path("token-config.json"), 0o644);
    let (waiting, gate) = held_at_the_exchange(&story, &["--json"]);
    let mut config = story.config();
    config["tokenManager"]["integration"]["refreshToken"] = "pasted-by-hand".into();
    config["note"] = "edited".into();
    story.write_config(&config);
    gate.release();

    let json = waiting.finish(&story).exits(0).outcome("ready");

    let warnings = warnings(&json);
    assert!(
        warnings.contains("tokenManager.integration.refreshToken was changed by hand"),
        "{warnings}"
    );
    assert!(
        warnings.contains("every user of this machine"),
        "{warnings}"
    );
    assert_eq!(disk::mode(&story.path("token-config.json")), 0o640);
    assert_eq!(story.config()["note"], "edited");
    let refresh_token = story.integration_refresh_token();
    assert!(story.sandbox.is_live_refresh_token(&refresh_token));
}

// Cut off.

#[test]
fn killed_while_it_waits_nothing_has_changed() {
    let story = authorized();
    let before = (story.read("token-config.json"), story.env());
    let waiting = Waiting::start(&story, &["--reauthorize"]);
    let after_the_climb = (story.read("token-config.json"), story.env());
    assert_ne!(after_the_climb, before, "the climb has minted");
    waiting.kill();
    assert!(!disk::is_locked(&story.path("token-config.json.lock")));
    assert_eq!(
        (story.read("token-config.json"), story.env()),
        after_the_climb
    );
    story.refresh_token(&["--json"]).exits(0).outcome("valid");
    story.allowed(&["--reauthorize"]).exits(0);
}

#[test]
fn killed_between_the_exchange_and_the_save_the_old_tokens_serve() {
    let story = authorized();
    story.refresh_token(&[]).exits(0);
    let before = (story.read("token-config.json"), story.env());
    let (waiting, gate) = held_at_the_exchange(&story, &["--reauthorize"]);
    waiting.kill();
    gate.release();
    assert_eq!((story.read("token-config.json"), story.env()), before);
    assert_eq!(disk::names(&story, "token-config.json.tmp.").len(), 1);

    // What another consent was to replace was not spent, and nobody doubts it.
    story.write_env("");
    let pat = &story.config()["tokenManager"]["personalAccessToken"];
    story.sandbox.revoke(pat.as_str().expect("a text"));
    let json = story
        .refresh_token(&["--json"])
        .exits(0)
        .outcome("refreshed");
    assert_eq!(json["rung"], "integration_refresh_token");
    assert_eq!(json["warnings"], json!([]));
    assert_eq!(disk::names(&story, "token-config.json.tmp."), [""; 0]);
}

#[test]
fn killed_between_the_save_and_the_mint_any_run_goes_on() {
    for program in [REFRESH_TOKEN, SETUP_OAUTH] {
        let story = to_be_authorized();
        let mint = story.sandbox.gate(Endpoint::Mint);
        let waiting = Waiting::start(&story, &[]);
        waiting.decide(&story, true);
        mint.wait_for_request();
        waiting.kill();
        mint.release();
        let refresh_token = story.integration_refresh_token();
        assert!(story.sandbox.is_live_refresh_token(&refresh_token));

        story.run(story.command(program).arg("--json")).exits(0);

        assert!(story.sandbox.is_live(&story.access_token()));
        assert_eq!(device_codes(&story), 1, "nobody is asked again");
    }
}

#[test]
fn a_signal_during_the_exchange_has_it_finished_and_saved() {
    let story = to_be_authorized();
    let (mut waiting, gate) = held_at_the_exchange(&story, &["--json"]);
    waiting.run().stop(Signal::TERM);
    gate.release();

    waiting.finish(&story).exits(143).outcome("interrupted");

    assert_eq!(story.sandbox.counts().mint_requests, 0);
    story
        .refresh_token(&["--json"])
        .exits(0)
        .outcome("refreshed");
}

// What is written.

/// A configuration as somebody with a taste of their own keeps it, with these line endings.
fn of_ones_own(story: &Story, newline: &str) -> String {
    let app = story.service_app();
    let integration = story.integration();
    let lines = [
        "{".to_owned(),
        "\t\"//\": \"production; ask Ada\",".to_owned(),
        "\t\"zeta\": [1, 2.50,3],   \"tokenManager\": {".to_owned(),
        "\t\t\"integration\" : {".to_owned(),
        format!("\t\t\t\"clientSecret\":{},", integration["clientSecret"]),
        "\t\t\t\"refreshToken\": \"\",".to_owned(),
        format!("\t\t\t\"clientId\"    : {}", integration["clientId"]),
        "\t\t},".to_owned(),
        "\t\t\"personalAccessToken\": \"\", \"note\": \"a\\/\\u00e9\"".to_owned(),
        "\t},".to_owned(),
        format!("\t\"serviceApp\": {app}, \"alpha\" : null"),
        "}".to_owned(),
    ];
    lines.join(newline)
}

#[test]
fn what_is_not_ours_stays_byte_for_byte() {
    for newline in ["\n", "\r\n"] {
        let story = Story::new();
        let config = of_ones_own(&story, newline);
        let env = ["# ours", "export A=1", "", "B='two # words'", ""].join(newline);
        story.write("token-config.json", &config).write_env(&env);
        let org = story.tenant().target_org_uuid;

        story.allowed(&["--target-org-id", &org]).exits(0);

        let (old, new) = (story.service_app(), story.config());
        let manager = &new["tokenManager"];
        let expected = config
            .replace(&old["targetOrgId"].to_string(), &json!(org).to_string())
            .replace(
                "\"refreshToken\": \"\"",
                &format!(
                    "\"refreshToken\": {}",
                    manager["integration"]["refreshToken"]
                ),
            )
            .replace(
                "\"personalAccessToken\": \"\"",
                &format!(
                    "\"personalAccessToken\": {}",
                    manager["personalAccessToken"]
                ),
            );
        assert!(
            story.read("token-config.json") == expected,
            "not as expected"
        );
        let now = story.env();
        assert!(now.starts_with(&env), "{now:?}");
        let ours = now[env.len()..].split_terminator(newline);
        let keys: Vec<_> = ours.filter_map(|line| line.split('=').next()).collect();
        assert_eq!(keys, [ACCESS_TOKEN_KEY, REFRESH_TOKEN_KEY]);
        assert!(!now.contains(FLAG_KEY));
    }
}

#[test]
fn an_older_spelling_is_kept() {
    let story = Story::new();
    let tenant = story.tenant();
    story.write_config(&json!({
        "serviceApp": story.service_app(),
        "tokenManager": {
            "oauthClientId": tenant.integration_client_id,
            "oauthClientSecret": tenant.integration_client_secret,
        },
    }));
    story.allowed(&[]).exits(0);
    let manager = &story.config()["tokenManager"];
    let token = manager["oauthRefreshToken"].as_str().expect("a token");
    assert!(story.sandbox.is_live_refresh_token(token));
    assert_eq!(manager["integration"], Value::Null);
}

#[test]
fn a_symlink_stays_one() {
    let story = to_be_authorized();
    fs::create_dir(story.path("real")).expect("a folder is made");
    story.write("real/config", story.read("token-config.json"));
    fs::remove_file(story.path("token-config.json")).expect("a file is removed");
    for (target, link) in [("real/config", "token-config.json"), ("real/env", ".env")] {
        symlink(target, story.path(link)).expect("a link is made");
    }

    story
        .allowed(&["--redirect-uri", "http://localhost:6001/callback"])
        .exits(0);

    for (target, link) in [("real/config", "token-config.json"), ("real/env", ".env")] {
        let found = fs::read_link(story.path(link)).expect("a link");
        assert_eq!(found.to_str(), Some(target));
        assert_eq!(disk::mode(&story.path(&format!("{target}.lock"))), 0o600);
        assert!(!story.exists(&format!("{link}.lock")));
    }
    assert!(story.read("real/config").contains("localhost:6001"));
    assert_eq!(disk::mode(&story.path("real/env")), 0o600);
}

#[test]
fn what_was_saved_goes_before_the_seed_that_it_replaces() {
    let story = to_be_authorized();
    let seed = story.sandbox.issue_integration_tokens().refresh_token;
    let pat = story.sandbox.issue_personal_access_token();
    story.sandbox.revoke(&seed);
    story.sandbox.revoke(&pat);
    let with_seeds = |mut command: Command| {
        command
            .env("WEBEX_INTEGRATION_REFRESH_TOKEN", &seed)
            .env("WEBEX_PERSONAL_ACCESS_TOKEN", &pat);
        command
    };
    let mut command = with_seeds(story.command(SETUP_OAUTH));
    let waiting = Waiting::of(&story, command.args(["--device", "--json"]));
    waiting.decide(&story, true);
    waiting.finish(&story).exits(0).outcome("ready");

    for rung in ["personal_access_token", "integration_refresh_token"] {
        story.write_env("").sandbox.clear_requests();
        let mut command = with_seeds(story.command(REFRESH_TOKEN));
        let told = story.run(command.arg("--json"));
        let json = told.exits(0).outcome("refreshed");
        assert_eq!(json["rung"], rung, "{json:#}");
        let requests = story.sandbox.requests();
        assert!(requests.iter().all(|it| it.bearer() != Some(&pat)));
        let renewed = story.config()["tokenManager"]["personalAccessToken"].clone();
        story.sandbox.revoke(renewed.as_str().expect("a text"));
    }
}

#[test]
fn a_success_takes_down_the_flag() {
    let story = authorized();
    story.sandbox.revoke(&story.integration_refresh_token());
    story.refresh_token(&[]).exits(77);
    assert!(story.env().contains(FLAG_KEY));

    let told = story.allowed(&[]);

    told.exits(0).says("A human has been needed since");
    assert!(!story.env().contains(FLAG_KEY));
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn what_a_job_refreshes_meanwhile_proves_nothing_and_spoils_nothing() {
    let story = Story::with_hand(Hand::ALL_RUNGS);
    story.refresh_token(&["--force"]).exits(0);
    let begun = story.sandbox.gate(Endpoint::DeviceToken);
    let waiting = Waiting::start(&story, &["--reauthorize", "--json"]);
    waiting.decide(&story, true);
    // A job holds the lock beside `.env` when the proof begins, and has a new token by its end.
    let (job, at_webex) = Run::start_held(&story, &["--force"], Endpoint::AccessToken);
    begun.release();
    let mut waiting = waiting;
    waiting.run().logs("waiting for another run");
    at_webex.release();
    job.finish(&story).exits(0);

    let json = waiting.finish(&story).exits(0).outcome("ready");

    let attempts = json["attempts"].to_string();
    assert!(attempts.contains("\"mint\""), "{attempts}");
}

//! A climb is one transaction: lock, read again, make sure, intent, ask, save, validate, unlock.

#![cfg(unix)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::symlink;
use std::process::{Child, Command};

use serde_json::{Value, json};
use support::disk::{self, Namespace};
use support::{ACCESS_TOKEN_KEY, CHECK_TOKEN, FLAG_KEY, REFRESH_TOKEN, REFRESH_TOKEN_KEY, Story};
use webex_sandbox::{Endpoint, Fault, Gate, IssuedTokens, Policy, Reuse, Sandbox};

/// What an earlier run that was cut off is called.
const CUT_OFF: &str = "ended before its answer was saved";

/// A refresh token that works, and no access token.
fn due() -> (Story, IssuedTokens) {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.configured().stored("", &tokens.refresh_token);
    (story, tokens)
}

/// The same, with an access token that Webex has just stopped to accept: nobody knows yet.
fn refused() -> (Story, IssuedTokens) {
    let (story, tokens) = due();
    story.sandbox.expire(&tokens.access_token);
    story.stored(&tokens.access_token, &tokens.refresh_token);
    (story, tokens)
}

/// Only the integration's refresh token is alive.
fn with_integration_alone() -> Story {
    let story = Story::new();
    let integration = story.sandbox.issue_integration_tokens();
    let pat = story.sandbox.issue_personal_access_token();
    story.sandbox.revoke(&pat);
    story
        .configured_with(Some(&pat), Some(&integration.refresh_token))
        .write_env("");
    story
}

/// Starts a run and waits until its request for a new token is held at the gate.
fn start_held(story: &Story, command: &mut Command, at: Endpoint) -> (Child, Gate) {
    let gate = story.sandbox.gate(at);
    let child = story.start(command);
    gate.wait_for_request();
    (child, gate)
}

/// A disk of 64 KiB in the place of the story's folder, with the same two files.
fn small_disk(story: &Story) -> Namespace {
    let setup = "mount -t tmpfs -o size=64k,mode=700 tmpfs \"$PWD\"
                 cp -p .env token-config.json \"$PWD\"";
    Namespace::new(story, setup)
}

fn refresh(story: &Story) -> Command {
    let mut command = story.command(REFRESH_TOKEN);
    command.arg("--json");
    command
}

fn warnings(json: &Value) -> String {
    json["warnings"].to_string()
}

// The lock.

#[test]
fn a_waiter_reads_again_and_makes_no_grant() {
    let (story, _) = refused();
    let (first, grant) = start_held(&story, &mut refresh(&story), Endpoint::ServiceAppRefresh);
    let look = story.sandbox.gate(Endpoint::DataSources);
    let second = story.start(&mut refresh(&story));
    // By then the second has read the old token.
    look.wait_for_request();
    look.release();
    grant.release();

    story.finish(first).exits(0).outcome("refreshed");
    story.finish(second).exits(0).outcome("valid");
    assert_eq!(story.sandbox.counts().refresh_requests, 1);
    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn a_forced_run_that_waited_takes_the_token_that_was_issued_meanwhile() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let mut command = story.command(REFRESH_TOKEN);
    command.args(["--json", "--force", "-v"]);
    let (first, grant) = start_held(&story, &mut command, Endpoint::ServiceAppRefresh);
    let mut second = story.start(&mut command);
    let mut log = BufReader::new(second.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("waiting for another run") {
        line.clear();
        assert!(log.read_line(&mut line).expect("UTF-8") > 0);
    }
    grant.release();
    // Read on, or the second would write to nobody.
    log.read_to_string(&mut line).expect("UTF-8");

    story.finish(first).exits(0).outcome("refreshed");
    story.finish(second).exits(0).outcome("valid");
    assert_eq!(story.sandbox.counts().refresh_requests, 1);

    // One that starts later is not served by it.
    story.run(&mut command).exits(0).outcome("refreshed");
    assert_eq!(story.sandbox.counts().refresh_requests, 2);
}

#[test]
fn who_waits_too_long_for_the_lock_is_told_who_holds_it() {
    let (story, _) = due();
    let (holder, grant) = start_held(&story, &mut refresh(&story), Endpoint::ServiceAppRefresh);

    let told = story.refresh_token(&["--lock-timeout", "1s"]);

    told.exits(75)
        .says(&format!("process {}", holder.id()))
        .says(".env.lock");
    assert_eq!(story.sandbox.counts().refresh_requests, 1);
    grant.release();
    story.finish(holder).exits(0);
}

#[test]
fn the_wait_for_the_lock_ends_with_the_deadline() {
    let (story, _) = due();
    let _held = disk::hold_lock(&story.path(".env.lock"));

    let told = story.refresh_token(&["--deadline", "1s", "--json"]);

    let json = told.exits(75).outcome("unavailable");
    let message = json["message"].as_str().expect("a text");
    assert!(
        message.contains(&format!("process {}", std::process::id())),
        "{message}"
    );
    assert_eq!(json["requests"], 0);
    assert!(story.requests().is_empty());
}

#[test]
fn a_dead_holder_does_not_block() {
    let (story, _) = due();
    let (holder, gate) = start_held(&story, &mut refresh(&story), Endpoint::ServiceAppRefresh);
    disk::kill(holder);
    gate.release();

    let told = story.refresh_token(&["--json", "--lock-timeout", "0s"]);

    told.exits(0).outcome("refreshed");
}

#[test]
fn the_lock_file_is_never_renamed_or_removed() {
    let (story, _) = due();
    story.refresh_token(&[]).exits(0);
    let before = disk::inode(&story.path(".env.lock"));
    story.refresh_token(&["--force"]).exits(0);
    assert_eq!(disk::inode(&story.path(".env.lock")), before);
    assert_eq!(disk::mode(&story.path(".env.lock")), 0o600);
    assert!(!disk::is_locked(&story.path(".env.lock")));
}

#[test]
fn sixteen_runs_at_once_make_one_grant() {
    let policy = Policy {
        rotate: true,
        reuse: Reuse::RevokeGrant,
        ..Policy::default()
    };
    let story = Story::with(Sandbox::builder().policy(policy).start());
    let tokens = story.sandbox.issue_service_app_tokens();
    story.sandbox.expire(&tokens.access_token);
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let mut command = story.command(REFRESH_TOKEN);
    command.arg("--print-token");

    let runs: Vec<_> = (0..16).map(|_| story.start(&mut command)).collect();
    let outputs: Vec<_> = runs
        .into_iter()
        .map(|run| run.wait_with_output().expect("the run ends"))
        .collect();

    let token = story.access_token();
    for output in outputs {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        assert!(
            output.stdout == format!("{token}\n").into_bytes(),
            "another token than the one in .env"
        );
    }
    let counts = story.sandbox.counts();
    assert_eq!(counts.refresh_requests, 1);
    assert_eq!(counts.reused_refresh_tokens, 0);
    assert_eq!(counts.overlapping_refreshes, 0);
    assert!(story.sandbox.is_live(&token));
    assert!(
        story
            .sandbox
            .is_live_refresh_token(&story.refresh_token_in_env())
    );
}

#[test]
fn two_names_for_one_file_share_one_lock() {
    let (story, _) = due();
    fs::create_dir(story.path("links")).unwrap();
    symlink("../.env", story.path("links/tokens")).unwrap();
    let mut by_link = refresh(&story);
    by_link.args(["--env-file", "links/tokens"]);
    let (holder, grant) = start_held(&story, &mut by_link, Endpoint::ServiceAppRefresh);

    story
        .refresh_token(&["--lock-timeout", "0s"])
        .exits(75)
        .says(&format!("process {}", holder.id()));

    grant.release();
    story.finish(holder).exits(0);
    assert!(!story.exists("links/tokens.lock"));
}

// The intent.

#[test]
fn after_a_run_that_was_cut_off_the_refresh_token_goes_last() {
    let (story, tokens) = due();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);
    let (dead, gate) = start_held(&story, &mut refresh(&story), Endpoint::ServiceAppRefresh);
    let pid = dead.id();
    disk::kill(dead);
    gate.release();
    story.sandbox.clear_requests();

    let json = story.refresh_token(&["--json"]).exits(0).json();

    assert_eq!(json["rung"], "personal_access_token");
    let warnings = warnings(&json);
    assert!(warnings.contains(CUT_OFF), "{warnings}");
    assert!(warnings.contains(&format!("process {pid}")), "{warnings}");
    assert_eq!(story.sandbox.counts().refresh_requests, 0);
    assert_eq!(story.sandbox.counts().mints, 1);
    // With a token saved the matter is settled.
    let json = story.refresh_token(&["--json", "--force"]).exits(0).json();
    assert_eq!(json["warnings"], json!([]), "{tokens:?}");
}

#[test]
fn a_doubtful_refresh_token_is_spent_when_nothing_else_gives_a_token() {
    let (story, _) = due();
    let pat = story.sandbox.issue_personal_access_token();
    story.sandbox.revoke(&pat);
    story.configured_with(Some(&pat), None);
    let (dead, gate) = start_held(&story, &mut refresh(&story), Endpoint::ServiceAppRefresh);
    disk::kill(dead);
    gate.release();
    story.sandbox.clear_requests();

    let json = story.refresh_token(&["--json"]).exits(0).json();

    assert_eq!(json["rung"], "service_app_refresh_token");
    let app = story.tenant().app_id;
    assert_eq!(
        story.requests(),
        [
            format!("POST /v1/applications/{app}/token"),
            "POST /v1/access_token".to_owned(),
            "GET /v1/dataSources".to_owned(),
        ]
    );
}

#[test]
fn a_run_that_was_cut_off_after_its_save_is_not_mentioned() {
    let (story, tokens) = due();
    let (dead, gate) = start_held(&story, &mut refresh(&story), Endpoint::DataSources);
    disk::kill(dead);
    gate.release();
    assert!(story.sandbox.is_live(&story.access_token()));

    let json = story.refresh_token(&["--json", "--force"]).exits(0).json();

    assert_eq!(json["rung"], "service_app_refresh_token");
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(1));
    assert!(
        warnings(&json).contains("only the refresh token"),
        "{tokens:?}"
    );
}

#[test]
fn a_lost_answer_leaves_the_intent_open_until_the_matter_is_settled() {
    let (story, _) = due();
    story
        .sandbox
        .script(Endpoint::ServiceAppRefresh, [Fault::drop_after()]);

    story
        .refresh_token(&["--json"])
        .exits(75)
        .outcome("unavailable");
    assert_eq!(story.sandbox.counts().refresh_requests, 1);
    let json = story.refresh_token(&["--json"]).exits(0).json();
    assert!(warnings(&json).contains(CUT_OFF), "{json:#}");
    let json = story.refresh_token(&["--json", "--force"]).exits(0).json();
    assert!(!warnings(&json).contains(CUT_OFF), "{json:#}");
}

// Can it be saved?

#[test]
fn in_a_read_only_folder_nothing_is_sent() {
    let (story, _) = due();
    let before = story.env();
    let disk = Namespace::read_only(&story);

    let told = story.run(disk.command(&story, REFRESH_TOKEN).arg("--json"));

    let json = told.exits(74).outcome("not_saved");
    assert!(
        json["remedy"]
            .as_str()
            .is_some_and(|text| text.contains("writable"))
    );
    assert!(story.requests().is_empty(), "{:?}", story.requests());
    assert_eq!(story.env(), before);
    assert_eq!(disk::names(&story, ".env"), [".env"]);
}

#[test]
fn a_valid_token_needs_no_writable_folder() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let disk = Namespace::read_only(&story);

    story
        .run(disk.command(&story, REFRESH_TOKEN).arg("--json"))
        .exits(0)
        .outcome("valid");
    story.run(&mut disk.command(&story, CHECK_TOKEN)).exits(0);
    assert_eq!(disk::names(&story, ".env"), [".env"]);
}

#[test]
fn print_token_mints_even_where_nothing_can_be_saved() {
    let (story, _) = due();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);
    let before = story.env();
    let disk = Namespace::read_only(&story);

    let told = story.run(disk.command(&story, REFRESH_TOKEN).arg("--print-token"));

    told.exits(74).says("not saved");
    let token = told.stdout.strip_suffix('\n').expect("one line");
    assert!(story.sandbox.is_live(token));
    let counts = story.sandbox.counts();
    assert_eq!((counts.mints, counts.refresh_requests), (1, 0));
    assert_eq!(story.env(), before);
}

#[test]
fn on_a_full_disk_nothing_is_sent() {
    let (story, _) = due();
    let disk = small_disk(&story);
    // There is room for the intent, but not for the tokens.
    let fill = "head -c 4096 /dev/zero >.env.lock
                cat /dev/zero >filler 2>/dev/null || true";
    disk.run(&story, fill);

    let told = story.run(disk.command(&story, REFRESH_TOKEN).arg("--json"));

    let json = told.exits(74).outcome("not_saved");
    assert!(
        json["remedy"]
            .as_str()
            .is_some_and(|text| text.contains("space"))
    );
    assert!(story.requests().is_empty(), "{:?}", story.requests());
    assert_eq!(disk.read(&story, ".env"), story.env());
}

#[test]
fn a_disk_that_fills_up_during_the_request_still_takes_the_token() {
    let (story, _) = due();
    let disk = small_disk(&story);
    let mut command = disk.command(&story, REFRESH_TOKEN);
    let (run, grant) = start_held(&story, command.arg("--json"), Endpoint::ServiceAppRefresh);
    disk.run(&story, "cat /dev/zero >filler 2>/dev/null || true");
    grant.release();

    story.finish(run).exits(0).outcome("refreshed");
    let env = disk.read(&story, ".env");
    let token = env
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{ACCESS_TOKEN_KEY}=")));
    assert!(
        story
            .sandbox
            .is_live(token.expect("an access token in .env"))
    );
}

#[test]
fn the_integration_is_not_spent_where_its_file_cannot_be_saved() {
    let story = with_integration_alone();
    fs::create_dir(story.path("etc")).unwrap();
    let config = story.read("token-config.json");
    story.write("etc/token-config.json", &config);
    let disk = Namespace::new(&story, "mount --bind etc etc; mount -o remount,bind,ro etc");

    let told = story.run(disk.command(&story, REFRESH_TOKEN).args([
        "--json",
        "--config",
        "etc/token-config.json",
    ]));

    let json = told.exits(74).outcome("not_saved");
    assert!(
        json["message"]
            .as_str()
            .is_some_and(|text| text.contains("integration"))
    );
    assert_eq!(story.sandbox.counts().refresh_requests, 0);
    assert_eq!(story.read("etc/token-config.json"), config);
}

// Save, then validate.

#[test]
fn what_was_issued_is_saved_before_it_is_validated() {
    let (story, tokens) = due();
    let (run, look) = start_held(&story, &mut refresh(&story), Endpoint::DataSources);

    let token = story.access_token();
    assert!(token != tokens.access_token);
    assert!(story.sandbox.is_live(&token));
    assert!(disk::is_locked(&story.path(".env.lock")));
    assert_eq!(disk::names(&story, ".env.tmp"), [""; 0]);

    look.release();
    story.finish(run).exits(0);
}

#[test]
fn a_token_that_cannot_be_validated_stays_saved() {
    let (story, _) = due();
    let refusals = [(Fault::status(403), 78), (Fault::status(400), 75)];
    for (fault, code) in refusals {
        story.sandbox.script_always(Endpoint::DataSources, fault);
        story.refresh_token(&["--force"]).exits(code);
        assert!(story.sandbox.is_live(&story.access_token()));
        story.sandbox.clear_faults();
    }
}

#[test]
fn the_state_is_private_and_holds_no_secret() {
    let story = with_integration_alone();
    story.refresh_token(&[]).exits(0);

    for name in [".env.state.json", "token-config.json.state.json"] {
        assert_eq!(disk::mode(&story.path(name)), 0o600, "{name}");
        let state = story.read(name);
        for secret in story.secrets() {
            support::assert_no_piece(&state, &secret);
        }
    }
    let record = &story.state()["credentials"]["service_app_access_token"];
    assert!(record["issued_at"].is_string(), "{record}");
    assert!(record["expires_in"].is_number(), "{record}");
}

#[test]
fn others_lose_their_access_and_nothing_else_changes() {
    let table = [
        (0o600, 0o600, false),
        (0o640, 0o640, false),
        (0o660, 0o660, false),
        (0o644, 0o640, true),
        (0o666, 0o660, true),
    ];
    for (before, after, is_said) in table {
        let (story, _) = due();
        disk::set_mode(&story.path(".env"), before);
        let json = story.refresh_token(&["--json"]).exits(0).json();
        assert_eq!(disk::mode(&story.path(".env")), after, "{before:o}");
        let warnings = warnings(&json);
        let is_warned = warnings.contains("every user of this machine");
        assert_eq!(is_warned, is_said, "{before:o}: {warnings}");
    }
}

#[test]
fn a_new_env_file_is_private() {
    let story = Story::new();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);

    story.refresh_token(&[]).exits(0);

    assert_eq!(disk::mode(&story.path(".env")), 0o600);
    assert!(story.sandbox.is_live(&story.access_token()));
    assert!(story.env_value(REFRESH_TOKEN_KEY).is_some());
}

#[test]
fn owner_and_group_are_kept() {
    assert!(
        disk::is_root(),
        "this test gives files away: run it as root"
    );
    let (story, _) = due();
    let env = story.path(".env");
    std::os::unix::fs::chown(&env, Some(4321), Some(1234)).unwrap();
    disk::set_mode(&env, 0o640);
    let before = disk::inode(&env);

    story.refresh_token(&[]).exits(0);

    assert_ne!(disk::inode(&env), before, "it was renamed over");
    assert_eq!(disk::owner(&env), (4321, 1234));
    assert_eq!(disk::mode(&env), 0o640);
    // The owner's own runs must be able to open them.
    for name in [".env.lock", ".env.state.json"] {
        assert_eq!(disk::owner(&story.path(name)), (4321, 1234), "{name}");
    }
}

#[test]
fn a_file_whose_owner_cannot_be_kept_is_written_over() {
    assert!(
        disk::is_root(),
        "this test gives files away: run it as root"
    );
    let (story, _) = due();
    let env = story.path(".env");
    std::os::unix::fs::chown(&env, Some(4321), None).unwrap();
    disk::set_mode(&env, 0o660);
    let before = disk::inode(&env);

    story
        .run(&mut disk::powerless(&story, REFRESH_TOKEN))
        .exits(0);

    assert_eq!(disk::inode(&env), before);
    assert_eq!(disk::owner(&env).0, 4321);
    assert!(story.sandbox.is_live(&story.access_token()));
    assert!(!story.exists(".env.pending"));
}

#[test]
fn a_symlink_stays_one() {
    let (story, _) = due();
    fs::create_dir(story.path("real")).unwrap();
    symlink("real/tokens", story.path("link.env")).unwrap();
    story.write("real/tokens", story.env());

    story.refresh_token(&["--env-file", "link.env"]).exits(0);

    let link = fs::read_link(story.path("link.env")).unwrap();
    assert_eq!(link.to_str(), Some("real/tokens"));
    assert!(story.read("real/tokens").contains(ACCESS_TOKEN_KEY));
    assert!(story.exists("real/tokens.lock"));
    assert!(story.exists("real/tokens.state.json"));
    assert!(!story.exists("link.env.lock"));
}

#[test]
fn a_symlink_that_dangles_gets_its_file() {
    let (story, _) = due();
    let pat = story.sandbox.issue_personal_access_token();
    story.configured_with(Some(&pat), None);
    symlink("tokens", story.path("link.env")).unwrap();

    story.refresh_token(&["--env-file", "link.env"]).exits(0);

    assert!(
        fs::symlink_metadata(story.path("link.env"))
            .unwrap()
            .is_symlink()
    );
    assert!(story.read("tokens").contains(ACCESS_TOKEN_KEY));
    assert_eq!(disk::mode(&story.path("tokens")), 0o600);
}

#[test]
fn a_bind_mounted_file_is_written_over() {
    let (story, _) = due();
    let text = story.env();
    story.write(
        "elsewhere",
        format!("{text}{}\n", "# long ago ".repeat(900)),
    );
    let before = disk::inode(&story.path("elsewhere"));
    let disk = Namespace::new(&story, "mount --bind elsewhere .env");

    story
        .run(disk.command(&story, REFRESH_TOKEN).arg("--json"))
        .exits(0)
        .outcome("refreshed");

    let elsewhere = story.read("elsewhere");
    assert_eq!(disk::inode(&story.path("elsewhere")), before);
    assert!(elsewhere.contains(ACCESS_TOKEN_KEY));
    assert_eq!(disk.read(&story, ".env"), elsewhere);
    assert_eq!(story.env(), text, "the file below the mount");
    assert_eq!(
        disk::names(&story, ".env"),
        [".env", ".env.lock", ".env.state.json"]
    );
}

#[test]
fn a_copy_that_was_cut_short_is_finished_first() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.configured();
    let whole = format!(
        "# Schlüssel\nOTHER='a\nb'\n{ACCESS_TOKEN_KEY}={}\n{REFRESH_TOKEN_KEY}={}\n",
        tokens.access_token, tokens.refresh_token
    );
    // Wherever the copy was cut: in a letter, in a quotation, in a token, at once.
    let cuts = [
        whole.find('ü').expect("it is there") + 1,
        whole.find("a\nb").expect("it is there") + 2,
        whole.len() - 9,
        0,
    ];
    for cut in cuts {
        story
            .write_env(&whole.as_bytes()[..cut])
            .write(".env.pending", &whole);

        let told = story.refresh_token(&["--json"]);

        let json = told.exits(0).outcome("valid");
        assert!(warnings(&json).contains("finished writing"), "{json:#}");
        assert_eq!(story.env(), whole);
        assert!(!story.exists(".env.pending"));
    }
    assert_eq!(story.sandbox.counts().refresh_requests, 0);
}

#[test]
fn what_dead_runs_left_is_removed_and_nothing_else() {
    let (story, _) = due();
    story
        .write(".env.tmp.abcdefABCDEF", "leftover")
        .write("token-config.json.tmp.abcdefABCDEF", "not beside .env")
        .write(".env.tmp.notes", "the user's own")
        .write(".env.tmp.abcdefABCDEF.txt", "the user's own");

    story.refresh_token(&[]).exits(0);

    assert_eq!(
        disk::names(&story, ".env"),
        [
            ".env",
            ".env.lock",
            ".env.state.json",
            ".env.tmp.abcdefABCDEF.txt",
            ".env.tmp.notes",
        ]
    );
    assert!(story.exists("token-config.json.tmp.abcdefABCDEF"));
}

#[test]
fn a_run_that_is_killed_leaves_only_what_the_next_one_removes() {
    let (story, _) = due();
    let (dead, gate) = start_held(&story, &mut refresh(&story), Endpoint::ServiceAppRefresh);
    assert_eq!(disk::names(&story, ".env.tmp.").len(), 1);
    disk::kill(dead);
    gate.release();
    assert_eq!(disk::names(&story, ".env.tmp.").len(), 1);

    story.refresh_token(&[]).exits(0);

    assert_eq!(disk::names(&story, ".env.tmp."), [""; 0]);
}

#[test]
fn a_persons_edit_during_the_climb_stays_but_for_our_keys() {
    let (story, tokens) = due();
    let (run, gate) = start_held(&story, &mut refresh(&story), Endpoint::ServiceAppRefresh);
    story.write_env(format!(
        "# edited\nDATABASE=new\n{REFRESH_TOKEN_KEY}=pasted-by-hand\nLAST=1\n"
    ));
    gate.release();

    let json = story.finish(run).exits(0).outcome("refreshed");

    let warnings = warnings(&json);
    assert!(warnings.contains(REFRESH_TOKEN_KEY), "{warnings}");
    assert!(!warnings.contains(ACCESS_TOKEN_KEY), "{warnings}");
    assert!(story.sandbox.is_live(&story.access_token()));
    assert_eq!(story.refresh_token_in_env(), tokens.refresh_token);
    let env = story.env();
    for line in ["# edited", "DATABASE=new", "LAST=1"] {
        assert!(env.lines().any(|there| there == line), "{line}: {env}");
    }
    assert!(!env.contains("pasted-by-hand"));
}

#[test]
fn an_env_file_that_was_removed_during_the_climb_is_made_anew() {
    let (story, _) = due();
    let (run, gate) = start_held(&story, &mut refresh(&story), Endpoint::ServiceAppRefresh);
    fs::remove_file(story.path(".env")).unwrap();
    gate.release();

    story.finish(run).exits(0).outcome("refreshed");

    assert!(story.sandbox.is_live(&story.access_token()));
    assert_eq!(disk::mode(&story.path(".env")) & 0o007, 0);
}

#[test]
fn a_state_that_is_lost_or_damaged_costs_only_precision() {
    let (story, _) = due();
    for state in ["", "{", "[]", "{\"version\": 9}"] {
        story.write(".env.state.json", state);
        story.refresh_token(&["--json"]).exits(0);
    }
    assert_eq!(story.sandbox.counts().refresh_requests, 1);
    fs::remove_file(story.path(".env.state.json")).unwrap();
    fs::create_dir(story.path(".env.state.json")).unwrap();
    story
        .refresh_token(&["--json", "--force"])
        .exits(0)
        .outcome("refreshed");
}

// A save that fails after the answer.

#[test]
fn what_a_person_broke_during_the_climb_is_not_made_worse() {
    let (story, _) = due();
    let before = story.env();
    let (run, gate) = start_held(&story, &mut refresh(&story), Endpoint::ServiceAppRefresh);
    let broken = format!("{before}OTHER='not closed\n");
    story.write_env(&broken);
    gate.release();

    let told = story.finish(run);

    let json = told.exits(74).outcome("not_saved");
    assert!(json["message"].to_string().contains(".env:2"), "{json:#}");
    assert_eq!(story.env(), broken);
    assert_eq!(disk::mode(&story.path(".env.rescue.json")), 0o600);
    story.refresh_token(&[]).exits(78);
    assert!(story.exists(".env.rescue.json"));

    story.write_env(format!("{before}OTHER='closed'\n"));
    story.refresh_token(&["--json"]).exits(0).outcome("valid");
    assert!(story.sandbox.is_live(&story.access_token()));
    assert!(!story.exists(".env.rescue.json"));
    assert_eq!(story.sandbox.counts().refresh_requests, 1);
}

#[test]
fn what_cannot_be_saved_is_rescued_and_adopted_by_the_next_run() {
    let (story, _) = due();
    let before = story.env();
    let mut command = refresh(&story);
    command.args(["--deadline", "2s"]);
    let (run, gate) = start_held(&story, &mut command, Endpoint::ServiceAppRefresh);
    fs::remove_file(story.path(".env")).unwrap();
    fs::create_dir(story.path(".env")).unwrap();
    gate.release();

    let told = story.finish(run);

    told.exits(74).outcome("not_saved");
    told.says(".env.rescue.json");
    assert_eq!(disk::mode(&story.path(".env.rescue.json")), 0o600);
    let requests = story.requests().len();
    assert_eq!(requests, 1, "what is not saved is not validated");

    fs::remove_dir(story.path(".env")).unwrap();
    story.write_env(format!("{before}KEEP=1\n"));
    let told = story.refresh_token(&["--json"]);
    let json = told.exits(0).outcome("valid");
    assert!(warnings(&json).contains(".env.rescue.json"), "{json:#}");
    assert!(!warnings(&json).contains(CUT_OFF), "{json:#}");
    assert!(story.sandbox.is_live(&story.access_token()));
    assert!(story.env().contains("KEEP=1"));
    assert!(!story.exists(".env.rescue.json"));
    assert_eq!(story.requests().len(), requests + 1);
}

#[test]
fn a_folder_that_takes_nothing_has_its_rescue_elsewhere() {
    let (story, _) = due();
    let mut command = disk::powerless(&story, REFRESH_TOKEN);
    command
        .args(["--json", "--deadline", "2s"])
        .env("XDG_STATE_HOME", story.path("state"));
    fs::create_dir(story.path("state")).unwrap();
    fs::create_dir(story.path("tokens")).unwrap();
    story.write("tokens/.env", story.env());
    command.args(["--env-file", "tokens/.env"]);
    let (run, gate) = start_held(&story, &mut command, Endpoint::ServiceAppRefresh);
    disk::set_mode(&story.path("tokens"), 0o500);
    gate.release();

    let told = story.finish(run);

    told.exits(74).outcome("not_saved");
    let folder = story.path("state/webex-tokens");
    told.says(&folder.display().to_string());
    let rescue: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert_eq!(rescue.len(), 1);
    let rescue = rescue[0].as_ref().expect("a file").path();
    assert_eq!(disk::mode(&rescue), 0o600);

    disk::set_mode(&story.path("tokens"), 0o700);
    let told = story.run(&mut command);
    told.exits(0).outcome("valid");
    assert!(story.read("tokens/.env").contains(ACCESS_TOKEN_KEY));
    assert!(!rescue.exists());
    assert_eq!(story.sandbox.counts().refresh_requests, 1);
}

#[test]
fn an_answer_that_is_saved_nowhere_leaves_the_intent_open() {
    let (story, _) = due();
    let mut command = disk::powerless(&story, REFRESH_TOKEN);
    fs::create_dir(story.path("tokens")).unwrap();
    story
        .write("tokens/.env", story.env())
        .write("home", "not a folder");
    command.args(["--json", "--deadline", "2s", "--env-file", "tokens/.env"]);
    let (run, gate) = start_held(&story, &mut command, Endpoint::ServiceAppRefresh);
    disk::set_mode(&story.path("tokens"), 0o500);
    gate.release();

    story.finish(run).exits(74).outcome("not_saved");

    disk::set_mode(&story.path("tokens"), 0o700);
    let told = story.run(&mut command);
    let json = told.exits(0).outcome("refreshed");
    assert!(warnings(&json).contains(CUT_OFF), "{json:#}");
}

#[test]
fn a_rescue_that_came_too_late_is_only_mentioned() {
    let (story, _) = due();
    let mut command = refresh(&story);
    command.args(["--deadline", "2s"]);
    let (run, gate) = start_held(&story, &mut command, Endpoint::ServiceAppRefresh);
    fs::remove_file(story.path(".env")).unwrap();
    fs::create_dir(story.path(".env")).unwrap();
    gate.release();
    story.finish(run).exits(74);
    fs::remove_dir(story.path(".env")).unwrap();
    let newer = story.sandbox.issue_service_app_tokens();
    story.stored(&newer.access_token, &newer.refresh_token);

    let json = story.refresh_token(&["--json"]).exits(0).outcome("valid");

    assert!(warnings(&json).contains("moved on"), "{json:#}");
    assert_eq!(story.access_token(), newer.access_token);
    assert!(story.exists(".env.rescue.json"));
}

// Rung 3, and the second file.

#[test]
fn what_the_integration_issues_is_saved_at_once() {
    let story = with_integration_alone();
    let old = story.config()["tokenManager"].clone();
    let gate = story.sandbox.gate(Endpoint::Mint);
    let run = story.start(&mut refresh(&story));
    // The first mint, with the dead token, and then the second, with the new one.
    gate.wait_for_request();
    gate.release_one();
    gate.wait_for_request();

    let new = story.config()["tokenManager"].clone();
    let token = new["personalAccessToken"].as_str().expect("a text");
    assert!(new["personalAccessToken"] != old["personalAccessToken"]);
    assert!(story.sandbox.is_live(token));

    gate.release();
    let json = story.finish(run).exits(0).outcome("refreshed");
    assert_eq!(json["rung"], "integration_refresh_token");
}

#[test]
fn a_rotated_integration_refresh_token_is_saved() {
    let policy = Policy {
        rotate: true,
        reuse: Reuse::RevokeGrant,
        ..Policy::default()
    };
    let story = Story::with(Sandbox::builder().policy(policy).start());
    let integration = story.sandbox.issue_integration_tokens();
    story
        .configured_with(None, Some(&integration.refresh_token))
        .write_env("");

    story.refresh_token(&[]).exits(0);

    let config = story.config();
    let token = config["tokenManager"]["integration"]["refreshToken"].as_str();
    let token = token.expect("a text");
    assert!(token != integration.refresh_token);
    assert!(story.sandbox.is_live_refresh_token(token));
    assert_eq!(story.sandbox.counts().reused_refresh_tokens, 0);
}

#[test]
fn the_second_lock_is_taken_second() {
    let story = with_integration_alone();
    let (run, gate) = start_held(&story, &mut refresh(&story), Endpoint::IntegrationRefresh);
    assert!(disk::is_locked(&story.path(".env.lock")));
    assert!(disk::is_locked(&story.path("token-config.json.lock")));
    gate.release();
    story.finish(run).exits(0);

    let story = with_integration_alone();
    let held = disk::hold_lock(&story.path(".env.lock"));
    story.refresh_token(&["--lock-timeout", "0s"]).exits(75);
    assert!(!story.exists("token-config.json.lock"));
    drop(held);

    let _held = disk::hold_lock(&story.path("token-config.json.lock"));
    let told = story.refresh_token(&["--lock-timeout", "0s"]);
    told.exits(75)
        .says(&format!("process {}", std::process::id()))
        .says("token-config.json.lock");
    assert_eq!(story.sandbox.counts().refresh_requests, 0);
}

#[test]
fn another_runs_renewal_is_used_as_it_is() {
    let story = with_integration_alone();
    story.write("a.env", "").write("b.env", "");
    let start = |file: &str| {
        let mut command = refresh(&story);
        command.args(["--env-file", file]);
        story.start(&mut command)
    };
    let renewal = story.sandbox.gate(Endpoint::IntegrationRefresh);
    let first = start("a.env");
    renewal.wait_for_request();
    let mint = story.sandbox.gate(Endpoint::Mint);
    let second = start("b.env");
    // By then the second has read the configuration.
    mint.wait_for_request();
    mint.release();
    renewal.release();

    for run in [first, second] {
        let json = story.finish(run).exits(0).outcome("refreshed");
        assert_eq!(json["rung"], "integration_refresh_token");
    }
    assert_eq!(story.sandbox.counts().refresh_requests, 1);
    for file in ["a.env", "b.env"] {
        assert!(story.read(file).contains(ACCESS_TOKEN_KEY), "{file}");
    }
}

#[test]
fn many_env_files_share_one_integration() {
    const RUNS: usize = 6;
    let policy = Policy {
        rotate: true,
        reuse: Reuse::RevokeGrant,
        ..Policy::default()
    };
    let story = Story::with(Sandbox::builder().policy(policy).start());
    let integration = story.sandbox.issue_integration_tokens();
    story.configured_with(None, Some(&integration.refresh_token));

    let runs: Vec<_> = (0..RUNS)
        .map(|n| {
            let mut command = refresh(&story);
            command.arg("--env-file").arg(format!("{n}.env"));
            story.start(&mut command)
        })
        .collect();
    for run in runs {
        story.finish(run).exits(0).outcome("refreshed");
    }

    let counts = story.sandbox.counts();
    assert_eq!(counts.refreshes, 1);
    assert_eq!(counts.reused_refresh_tokens, 0);
    assert_eq!(counts.overlapping_refreshes, 0);
    assert_eq!(counts.mints, RUNS as u64);
}

#[test]
fn a_renewal_that_cannot_be_saved_is_rescued_and_adopted() {
    let story = with_integration_alone();
    let config = story.read("token-config.json");
    let mut command = refresh(&story);
    command.args(["--deadline", "2s"]);
    let (run, gate) = start_held(&story, &mut command, Endpoint::IntegrationRefresh);
    fs::remove_file(story.path("token-config.json")).unwrap();
    fs::create_dir(story.path("token-config.json")).unwrap();
    gate.release();

    let told = story.finish(run);

    told.exits(74).outcome("not_saved");
    told.says("token-config.json.rescue.json");
    let rescue = story.path("token-config.json.rescue.json");
    assert_eq!(disk::mode(&rescue), 0o600);

    fs::remove_dir(story.path("token-config.json")).unwrap();
    story.write("token-config.json", config);
    let json = story
        .refresh_token(&["--json"])
        .exits(0)
        .outcome("refreshed");
    assert_eq!(json["rung"], "personal_access_token");
    assert_eq!(story.sandbox.counts().refreshes, 1);
    assert!(!rescue.exists());

    // Nothing was lost, and so nothing is doubtful.
    let pat = story.config()["tokenManager"]["personalAccessToken"].clone();
    story.sandbox.revoke(pat.as_str().expect("a text"));
    story.write_env("");
    let json = story
        .refresh_token(&["--json"])
        .exits(0)
        .outcome("refreshed");
    assert_eq!(json["rung"], "integration_refresh_token");
    assert_eq!(json["warnings"], json!([]));
}

#[test]
fn a_configuration_that_was_broken_during_the_renewal_is_not_made_worse() {
    let story = with_integration_alone();
    let before = story.read("token-config.json");
    let (run, gate) = start_held(&story, &mut refresh(&story), Endpoint::IntegrationRefresh);
    let broken = before.replacen('{', "{\n", 1).replacen(',', ",,", 1);
    story.write("token-config.json", &broken);
    gate.release();

    let told = story.finish(run);

    let json = told.exits(74).outcome("not_saved");
    let message = json["message"].to_string();
    assert!(message.contains("token-config.json:"), "{message}");
    assert!(story.read("token-config.json") == broken);
    assert!(story.exists("token-config.json.rescue.json"));

    story.write("token-config.json", &before);
    story.refresh_token(&[]).exits(0);
    assert_eq!(story.sandbox.counts().refreshes, 1);
}

#[test]
fn the_configuration_keeps_what_is_not_ours() {
    let story = with_integration_alone();
    let config = story.config();
    let (app, manager) = (&config["serviceApp"], &config["tokenManager"]);
    let text = format!(
        "{{\n   \"zeta\": [1, 2.50,3],\n   \"tokenManager\": {{\n      \"note\": \"a\\/\\u00e9\",\n      \
         \"personalAccessToken\": {},\n      \"integration\": {}\n   }},\n\t\"serviceApp\": {app}, \
         \"alpha\" : null\n}}",
        manager["personalAccessToken"], manager["integration"],
    );
    story.write("token-config.json", &text);

    story.refresh_token(&[]).exits(0);

    let now = story.config();
    let mut expected = text;
    for path in [
        "/tokenManager/personalAccessToken",
        "/tokenManager/integration/refreshToken",
    ] {
        let [old, new] =
            [&config, &now].map(|config| config.pointer(path).expect("a value").to_string());
        expected = expected.replace(&old, &new);
    }
    assert!(
        story.read("token-config.json") == expected,
        "not as expected"
    );
    assert_ne!(
        now["tokenManager"]["personalAccessToken"],
        manager["personalAccessToken"]
    );
}

// The flag.

#[test]
fn the_flag_keeps_its_first_time_and_goes_with_the_first_success() {
    let (story, tokens) = due();
    story.sandbox.revoke_grant(&tokens.refresh_token);
    story.refresh_token(&[]).exits(77);
    let first = story.env_value(FLAG_KEY).expect("the flag");
    let first = first.trim_matches('\'');
    let env = story.env().replace(first, "2026-01-02T03:04:05Z");
    story.write_env(env);

    story.refresh_token(&[]).exits(77);
    let flag = story.env_value(FLAG_KEY).expect("the flag");
    assert_eq!(flag.trim_matches('\''), "2026-01-02T03:04:05Z");

    let tokens = story.sandbox.issue_service_app_tokens();
    story.write_env(format!(
        "{FLAG_KEY}=2026-01-02T03:04:05Z\n{ACCESS_TOKEN_KEY}={}\n",
        tokens.access_token
    ));
    story.refresh_token(&["--json"]).exits(0).outcome("valid");
    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn a_flag_that_cannot_be_written_changes_no_exit_code() {
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.configured().write_env(format!(
        "{FLAG_KEY}=2026-01-02T03:04:05Z\n{ACCESS_TOKEN_KEY}={}\n",
        tokens.access_token
    ));
    let disk = Namespace::read_only(&story);

    let told = story.run(disk.command(&story, REFRESH_TOKEN).arg("--json"));

    let json = told.exits(0).outcome("valid");
    assert!(warnings(&json).contains(FLAG_KEY), "{json:#}");
}

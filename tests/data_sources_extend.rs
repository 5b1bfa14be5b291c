//! `data-sources extend`: a new nonce and nothing else, once, however Webex and the network behave.

mod support;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};
use support::data_sources::{SHAPES, story, story_with, without_dates};
use support::{Hand, Is, Story, Told};
use webex_sandbox::{
    DataSourceShape, Endpoint, Fault, Policy, RateLimit, RepeatedNonce, Sandbox, Timestamps,
};

const HOUR: Duration = Duration::from_hours(1);

/// A wait that no deadline allows.
const FAR: &str = "86400";

impl Story {
    /// So many data sources that are past half of their life.
    fn due(&self, count: usize) -> Vec<String> {
        let ids = self.sandbox.seed_data_sources(count);
        for id in &ids {
            self.sandbox.age_data_source(id, 13 * HOUR);
        }
        ids
    }

    fn nonce(&self, id: &str) -> String {
        self.source(id)["nonce"]
            .as_str()
            .expect("a nonce")
            .to_owned()
    }
}

/// What became of each source, by its id.
fn outcome(told: &Told, id: &str) -> Value {
    let json = told.json();
    let sources = json["dataSources"].as_array().expect("a list");
    let found = sources.iter().find(|source| source["id"] == id);
    found.unwrap_or_else(|| panic!("{id} in {json:#}")).clone()
}

#[test]
fn a_new_nonce_and_nothing_else_in_every_recorded_shape() {
    for shape in SHAPES {
        let story = story_with(Policy {
            data_source_shape: shape,
            ..Policy::default()
        });
        let id = story.sandbox.register_data_source(&json!({
            "audience": "AppTwo",
            "subject": "somethingElse",
            "nonce": "first",
            "schemaId": "a38a10b7-43e4-4676-a076-a7d6dce9387d",
            "url": "wss://deep.example.com/receiver?tenant=7",
            "tokenLifetimeMinutes": 45,
            "x-unknown": { "kept": [1, 2] },
        }));
        let before = story.source(&id);

        let told = story.data_sources(&["extend", &id, "--json"]);

        told.exits(0).outcome("extended");
        let after = story.source(&id);
        assert_eq!(without_dates(&after), without_dates(&before), "{shape:?}");
        assert_ne!(after["nonce"], before["nonce"], "{shape:?}");
        assert_eq!(story.updates(&id).len(), 1, "{shape:?}");
        let sent = &story.updates(&id)[0];
        assert_eq!(sent["tokenLifetimeMinutes"], 45, "{shape:?}");
        assert_eq!(sent["x-unknown"], json!({ "kept": [1, 2] }), "{shape:?}");
        for of_replies in ["id", "orgId", "jwsToken", "createdAt", "tokenExpiryTime"] {
            assert!(sent.get(of_replies).is_none(), "{of_replies} is sent");
        }
    }
}

#[test]
fn each_extension_has_a_nonce_of_its_own() {
    let story = story();
    let ids = story.due(5);
    story.data_sources(&["extend", "--all"]).exits(0);
    let mut nonces: BTreeSet<_> = ids.iter().map(|id| story.nonce(id)).collect();
    story
        .data_sources(&["extend", "--all", "--expiring-within", "24h"])
        .exits(0);
    nonces.extend(ids.iter().map(|id| story.nonce(id)));
    assert_eq!(nonces.len(), 10);
}

#[test]
fn what_stands_nowhere_is_not_invented() {
    // The list's items have no id, the object no JWS: its lifetime is all that can be missing.
    let story = story_with(Policy {
        data_source_shape: DataSourceShape::CcReadme,
        ..Policy::default()
    });
    let id = story.due(1).remove(0);
    story
        .sandbox
        .script_always(Endpoint::ReadDataSource, Fault::without(&["jwsToken"]));

    let told = story.data_sources(&["extend", &id, "--json"]);

    told.exits(1);
    let source = outcome(&told, &id);
    assert_eq!(source["outcome"], "incomplete");
    let message = source["message"].as_str().expect("a reason");
    assert!(message.contains("tokenLifetimeMinutes"), "{message}");
    assert_eq!(story.count("PUT"), 0);

    // What is named is not invented.
    let told = story.data_sources(&["extend", &id, "--lifetime", "2h", "--json"]);
    told.exits(1);
    let message = outcome(&told, &id)["message"].to_string();
    assert!(message.contains("audience"), "{message}");
    assert_eq!(story.count("PUT"), 0);
}

#[test]
fn all_alone_takes_what_is_past_half_of_its_life() {
    let story = story();
    let due = story.due(2);
    let fresh = story.sandbox.seed_data_sources(3);
    for id in &fresh {
        story.sandbox.age_data_source(id, 11 * HOUR);
    }

    let told = story.data_sources(&["extend", "--all", "--json"]);

    let json = told.exits(0).json();
    assert_eq!(json["extended"], 2);
    assert_eq!(json["notDue"], 3);
    for id in &fresh {
        assert_eq!(outcome(&told, id)["outcome"], "not_due");
        assert!(story.updates(id).is_empty());
    }
    for id in &due {
        assert_eq!(outcome(&told, id)["outcome"], "extended");
    }

    // A rerun within the window extends nothing twice.
    let again = story.data_sources(&["extend", "--all"]);
    again.exits(0).says("5 not due");
    assert_eq!(story.count("PUT"), 2);

    // Another window.
    let within = story.data_sources(&["extend", "--all", "--expiring-within", "14h"]);
    within.exits(0).says("3 extended, 2 not due");
}

#[test]
fn named_ones_are_always_extended_and_each_once() {
    let story = story();
    let fresh = story.sandbox.seed_data_sources(2);
    let short = &fresh[0][..13];
    story
        .data_sources(&["extend", short, &fresh[0], &fresh[1]])
        .exits(0)
        .says("2 extended");
    assert_eq!(story.count("PUT"), 2);
}

#[test]
fn a_lifetime_changes_only_when_it_is_asked_for() {
    let story = story();
    let id = story.due(1).remove(0);
    story
        .data_sources(&["extend", &id, "--lifetime", "90m"])
        .exits(0);
    assert_eq!(story.source(&id)["tokenLifetimeMinutes"], 90);
    story.data_sources(&["extend", &id]).exits(0);
    assert_eq!(story.source(&id)["tokenLifetimeMinutes"], 90);
}

#[test]
fn a_lifetime_that_no_jws_can_have_is_a_slip_on_the_command_line() {
    let story = story();
    for lifetime in ["0s", "59s", "90s", "24h1m", "25h", "2d"] {
        story
            .data_sources(&["extend", "--all", "--lifetime", lifetime])
            .exits(2)
            .says("--lifetime");
    }
    for wrong in [
        &["extend"][..],
        &["extend", "--all", "abc"],
        &["extend", "abc", "--expiring-within", "1h"],
        &["extend", "../schemas"],
        &["extend", ""],
        &["extend", "--all", "--concurrency", "0"],
    ] {
        story.data_sources(wrong).exits(2);
    }
    assert_eq!(story.sandbox.counts().requests, 0);
}

#[test]
fn a_disabled_source_is_told_and_left_alone() {
    // A shape that has the message.
    let story = story_with(Policy {
        data_source_shape: DataSourceShape::Full,
        ..Policy::default()
    });
    story.due(2);
    let made = story.sandbox.seed_data_sources(1).remove(0);
    story
        .data_sources(&["disable", &made, "--error-message", "down for maintenance"])
        .exits(0);
    story.sandbox.age_data_source(&made, 13 * HOUR);
    let before = story.source(&made);
    story.sandbox.clear_requests();

    let told = story.data_sources(&["extend", "--all", "--json"]);
    let json = told.exits(0).json();
    assert_eq!(json["extended"], 2);
    assert_eq!(json["disabled"], 1);
    let named = story.data_sources(&["extend", &made]);
    named.exits(0).says("disabled").says("down for maintenance");
    assert_eq!(story.source(&made), before);
}

#[test]
fn the_rest_goes_on_where_one_fails_for_good() {
    let story = story();
    let ids = story.due(4);
    story.sandbox.script(
        Endpoint::UpdateDataSource,
        [Fault::status(400).error("invalid", "url is not within the data exchange domain")],
    );

    let told = story.data_sources(&["extend", "--all", "--concurrency", "1"]);

    told.exits(1)
        .says("3 extended, 1 failed")
        .says("data exchange domain");
    let updated = ids.iter().filter(|id| story.updates(id).len() == 1);
    assert_eq!(updated.count(), 4);

    // What was extended is not extended again, what failed is.
    story.data_sources(&["extend", "--all"]).exits(0);
    assert_eq!(story.count("PUT"), 5);
}

#[test]
fn one_that_is_gone_fails_and_says_so() {
    let story = story();
    let id = "5397013b-7920-4ffc-807c-e8a3e0a18f43";
    let told = story.data_sources(&["extend", id, "--json"]);
    told.exits(1);
    assert_eq!(outcome(&told, id)["outcome"], "not_found");
    story
        .data_sources(&["extend", "5397"])
        .exits(1)
        .says("5397…");
}

#[test]
fn trouble_that_passes_is_told_apart() {
    let story = story();
    story.due(3);
    story.sandbox.script_always(
        Endpoint::UpdateDataSource,
        Fault::status(503).header("Retry-After", FAR),
    );

    let told = story.data_sources(&["extend", "--all", "--deadline", "30s"]);

    told.exits(75).says("run this again later");
    assert!(
        story.count("PUT") <= 3,
        "nobody is asked again before it is time"
    );
}

#[test]
fn a_token_without_the_write_scope_is_named_as_such() {
    let story = story();
    let id = story.due(1).remove(0);
    let reader = story.sandbox.issue_with(
        webex_sandbox::Grant::ServiceApp,
        &["spark-admin:datasource_read"],
    );
    story.stored(&reader.access_token, &reader.refresh_token);

    let told = story.data_sources(&["extend", &id]);

    told.exits(1).says("403");
    assert_eq!(story.count("PUT"), 1);
}

#[test]
fn a_token_that_dies_in_the_middle_costs_one_climb_and_no_source() {
    let story = story();
    let ids = story.due(40);
    let dying = story.access_token();
    let gate = story.sandbox.gate(Endpoint::UpdateDataSource);
    let run = story.start(story.command(support::DATA_SOURCES).args([
        "extend",
        "--all",
        "--concurrency",
        "16",
    ]));
    gate.wait_for_request();
    story.sandbox.revoke(&dying);
    gate.release();

    story.finish(run).exits(0).says("40 extended");

    let counts = story.sandbox.counts();
    assert_eq!(counts.refreshes + counts.mints, 1, "one climb");
    for id in &ids {
        assert_ne!(story.source(id)["updatedAt"], Value::Null, "{id}");
    }
    assert!(story.sandbox.is_live(&story.access_token()));
    assert_eq!(story.log().len(), 40);
}

#[test]
fn when_no_credential_is_left_the_rest_is_not_tried() {
    let sandbox = Sandbox::start();
    let story = Story::with_hand_in(
        sandbox,
        Hand {
            access_token: Is::Live,
            refresh_token: Is::Dead,
            personal_access_token: Is::Dead,
            integration: Is::Dead,
        },
    );
    story.due(20);
    let gate = story.sandbox.gate(Endpoint::UpdateDataSource);
    let run = story.start(story.command(support::DATA_SOURCES).args([
        "extend",
        "--all",
        "--concurrency",
        "2",
        "--json",
    ]));
    gate.wait_for_request();
    story.sandbox.revoke(&story.access_token());
    gate.release();

    let told = story.finish(run);

    let json = told.exits(77).json();
    assert!(json["notTried"].as_u64() >= Some(16), "{json:#}");
    assert_eq!(json["extended"], 0);
}

#[test]
fn one_429_costs_one_request_more_and_no_source() {
    let story = story();
    story.due(64);
    story.sandbox.script(
        Endpoint::ReadDataSource,
        [Fault::status(429).header("Retry-After", "1")],
    );

    story
        .data_sources(&["extend", "--all", "--concurrency", "64"])
        .exits(0)
        .says("64 extended");

    let requests = story.sandbox.requests();
    let refused = requests.iter().filter(|it| it.status == Some(429));
    assert_eq!(refused.count(), 1);
    let of_one = requests
        .iter()
        .filter(|it| it.path.starts_with("/v1/dataSources/"));
    assert_eq!(of_one.count(), 64 + 1 + 64);
}

#[test]
fn a_storm_of_429_ends_with_every_source_extended_once() {
    let story = story_with(Policy {
        rate_limit: Some(RateLimit {
            requests: 40,
            window: Duration::from_secs(2),
            retry_after: true,
        }),
        ..Policy::default()
    });
    let ids = story.due(48);

    story
        .data_sources(&["extend", "--all", "--concurrency", "32"])
        .exits(0)
        .says("48 extended");

    let applied = |id: &String| {
        let requests = story.sandbox.requests();
        let path = format!("/v1/dataSources/{id}");
        let done = requests
            .iter()
            .filter(|it| it.method == "PUT" && it.path == path && it.status == Some(200));
        done.count()
    };
    assert!(ids.iter().all(|id| applied(id) == 1));
    let requests = story.sandbox.requests();
    let refused = requests.iter().filter(|it| it.status == Some(429)).count();
    // Those that were under way when the limit was reached, and a few that found it again.
    assert!(refused <= 48, "{refused} refusals");
}

#[test]
fn an_answer_that_was_lost_is_looked_for_and_nothing_is_done_twice() {
    for repeated_nonce in [
        RepeatedNonce::KeepsJws,
        RepeatedNonce::RenewsJws,
        RepeatedNonce::Rejected,
    ] {
        let story = story_with(Policy {
            repeated_nonce,
            ..Policy::default()
        });
        let ids = story.due(6);
        story.sandbox.script(
            Endpoint::UpdateDataSource,
            [
                // Done, and the answer lost.
                Fault::drop_after(),
                // Not done.
                Fault::drop_before(),
                Fault::half_body(),
                Fault::status(500).after_acting(),
                Fault::status(502),
            ],
        );

        story
            .data_sources(&["extend", "--all", "--concurrency", "1"])
            .exits(0)
            .says("6 extended");

        for id in &ids {
            let nonces: BTreeSet<_> = story
                .updates(id)
                .iter()
                .map(|body| body["nonce"].to_string())
                .collect();
            assert_eq!(nonces.len(), 1, "one change has one nonce");
            assert!(nonces.contains(&story.source(id)["nonce"].to_string()));
        }
        // The two that had not been done were sent twice.
        assert_eq!(story.count("PUT"), 8);
        assert_eq!(story.log().len(), 6);
    }
}

#[test]
fn what_cannot_be_settled_is_told_as_such_and_stands_in_the_log() {
    let story = story();
    let id = story.due(1).remove(0);
    story
        .sandbox
        .script(Endpoint::UpdateDataSource, [Fault::drop_after()]);
    story.sandbox.script(
        Endpoint::ReadDataSource,
        [
            Fault::with("x", 1),
            Fault::status(503).header("Retry-After", FAR),
        ],
    );

    let told = story.data_sources(&["extend", &id, "--json"]);

    told.exits(75);
    assert_eq!(outcome(&told, &id)["outcome"], "unknown");
    assert_eq!(story.count("PUT"), 1);
    assert_eq!(story.log().len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn what_could_not_be_written_down_is_told_as_such() {
    let story = story();
    let ids = story.sandbox.seed_data_sources(2);
    story.sandbox.disable_data_source(&ids[1], "away");
    let log = ["--log", "/dev/full"];

    let one = story.data_sources(&[&["extend", &ids[0]][..], &log].concat());
    one.exits(74)
        .says("error: 1 extended, and not written into the operation log\n");
    let two = story.data_sources(&[&["extend", &ids[0], &ids[1]][..], &log].concat());
    two.exits(74)
        .says("error: 1 extended, 1 disabled, and 1 not written into the operation log\n");
    let json = story.data_sources(&[&["extend", &ids[0], "--json"][..], &log].concat());
    let json = json.exits(74).outcome("incomplete");
    assert_eq!(
        json["message"],
        "1 extended, and not written into the operation log"
    );
    assert_eq!(
        json["warnings"],
        json!(["1 change could not be written into the operation log"])
    );
}

#[test]
fn a_log_that_cannot_be_opened_forbids_every_change() {
    let story = story();
    story.due(1);
    for (log, what, advice) in [
        ("no/such/folder/log", "no/such/folder", "create the folder"),
        (".env", ".env cannot be a log", "name another file"),
        (".", "is a directory", "name a regular file"),
    ] {
        let told = story.data_sources(&["extend", "--all", "--log", log]);
        told.exits(74).says("nothing was changed").says(what);
        told.says(&format!("; {advice}"));
        assert!(!told.stderr.contains("writable"), "{}", told.stderr);
    }
    assert_eq!(story.sandbox.counts().requests, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_the_system_refuses_may_be_another() {
    let story = story();
    // Nobody creates files here, not even root.
    let told = story.data_sources(&["extend", "--all", "--log", "/sys/log"]);
    told.exits(74)
        .says("cannot append to /sys/log")
        .says("or name another log with --log");
}

#[test]
fn every_page_of_the_list_is_read_and_naive_dates_are_utc() {
    let story = story_with(Policy {
        page_size: Some(3),
        timestamps: Timestamps::Naive,
        data_source_shape: DataSourceShape::Full,
        ..Policy::default()
    });
    story.due(10);
    story
        .data_sources(&["extend", "--all"])
        .exits(0)
        .says("10 extended");
}

#[test]
fn a_list_that_goes_on_elsewhere_is_not_followed() {
    let story = story();
    story.due(1);
    story.sandbox.script_always(
        Endpoint::DataSources,
        Fault::with("x", 1).header(
            "Link",
            "<https://evil.example/v1/dataSources>; rel=\"next\"",
        ),
    );
    story
        .data_sources(&["extend", "--all"])
        .exits(78)
        .says("evil.example");
    assert_eq!(story.count("PUT"), 0);
}

#[test]
fn a_list_over_32_mib_is_refused() {
    let story = story();
    story.due(1);
    story.sandbox.script(
        Endpoint::DataSources,
        [Fault::with("x", 1), Fault::huge_chunked_body(33 << 20)],
    );
    story
        .data_sources(&["extend", "--all"])
        .exits(1)
        .says("32 MiB");
}

#[test]
fn a_list_without_ids_says_what_is_missing() {
    let story = story_with(Policy {
        data_source_shape: DataSourceShape::Oas,
        ..Policy::default()
    });
    story.due(2);
    story
        .data_sources(&["extend", "--all"])
        .exits(1)
        .says("2 failed")
        .says("does not tell its id");
}

#[test]
fn a_climb_in_flight_is_saved_when_the_run_is_told_to_stop() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let gate = story.sandbox.gate(Endpoint::ServiceAppRefresh);
    let mut run = support::Run::of(
        &story,
        story
            .command(support::DATA_SOURCES)
            .args(["extend", "--all"]),
    );
    gate.wait_for_request();
    run.stop(rustix::process::Signal::TERM);
    gate.release();

    run.finish(&story).exits(143);

    assert!(story.sandbox.is_live(&story.access_token()));
}

#[test]
fn a_climb_is_not_held_up_by_whoever_does_not_read() {
    let story = story();
    let before = story.access_token();
    let ids = story.due(2);
    story
        .sandbox
        .script(Endpoint::UpdateDataSource, [Fault::status(401)]);
    let (mut answer, full) = std::io::pipe().expect("a pipe");
    let filling = {
        let mut full = full.try_clone().expect("a pipe");
        std::thread::spawn(move || full.write_all("\n".repeat(1 << 20).as_bytes()))
    };
    let climb = story.sandbox.gate(Endpoint::ServiceAppRefresh);
    let update = story.sandbox.gate(Endpoint::UpdateDataSource);
    let child = story
        .command(support::DATA_SOURCES)
        .args(["extend", "--all"])
        .stdout(full)
        .spawn()
        .expect("it starts");
    // One is extended while the token is renewed that the other was refused with.
    update.wait_for_requests(2);
    update.release_one();
    climb.wait_for_request();
    let validation = story.sandbox.gate(Endpoint::DataSources);
    update.release();
    let is_written =
        || story.exists("data-sources.log") && !story.read("data-sources.log").is_empty();
    // Whoever never writes is found out by what follows.
    for _ in 0..6000 {
        if is_written() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }

    climb.release();
    validation.wait_for_request();

    assert_ne!(story.access_token(), before);
    validation.release();
    let mut told = String::new();
    answer.read_to_string(&mut told).expect("UTF-8");
    filling.join().expect("no panic").expect("all is read");
    story.finish(child).exits(0);
    assert!(ids.iter().all(|id| told.contains(id)), "{}", told.trim());
}

#[test]
fn no_sources_are_no_failure() {
    story()
        .data_sources(&["extend", "--all"])
        .exits(0)
        .says("there is no data source");
}

#[test]
fn a_run_that_is_told_to_stop_finishes_what_is_in_flight() {
    let story = story();
    story.due(30);
    let gate = story.sandbox.gate(Endpoint::UpdateDataSource);
    let mut run = support::Run::of(
        &story,
        story
            .command(support::DATA_SOURCES)
            .args(["extend", "--all", "--concurrency", "3"]),
    );
    gate.wait_for_request();
    run.stop(rustix::process::Signal::TERM);
    gate.release();

    let told = run.finish(&story);

    told.exits(143);
    let done = story.log().len();
    assert!((1..=3).contains(&done), "{done} were in flight");
    assert_eq!(story.count("PUT"), done);
    told.says(&format!("{done} extended")).says("not tried");
}

#[test]
fn what_somebody_else_has_changed_meanwhile_stands() {
    let story = story_with(Policy {
        data_source_shape: DataSourceShape::Full,
        ..Policy::default()
    });
    let id = story.due(1).remove(0);
    story
        .sandbox
        .script(Endpoint::UpdateDataSource, [Fault::drop_before()]);
    let gate = story.sandbox.gate(Endpoint::ReadDataSource);
    let run = story.start(
        story
            .command(support::DATA_SOURCES)
            .args(["extend", &id, "--json"]),
    );
    gate.wait_for_request();
    gate.release_one();
    // The look at what became of the update.
    gate.wait_for_request();
    story.sandbox.disable_data_source(&id, "moved");
    let theirs = story.source(&id);
    gate.release();

    let told = story.finish(run);

    told.exits(75);
    assert_eq!(outcome(&told, &id)["outcome"], "changed_meanwhile");
    assert_eq!(story.source(&id), theirs);
    assert_eq!(story.log()[0]["outcome"], "unknown");
}

#[test]
fn an_answer_that_shows_nothing_of_the_update_proves_nothing() {
    for body in [
        json!({}),
        json!({ "message": "queued" }),
        json!({ "id": "5397013b-7920-4ffc-807c-e8a3e0a18f43" }),
    ] {
        let story = story();
        let id = story.due(1).remove(0);
        story.sandbox.script_always(
            Endpoint::UpdateDataSource,
            Fault::body(200, "application/json", body.to_string()),
        );

        let told = story.data_sources(&["extend", &id, "--json"]);

        told.exits(75);
        assert_eq!(outcome(&told, &id)["outcome"], "unknown", "{body}");
        assert_eq!(story.count("PUT"), 2, "{body}");
    }
}

#[test]
fn an_answer_about_another_source_is_not_written_onto_this_one() {
    let story = story();
    let ids = story.due(2);
    let other = story.source(&ids[1]).to_string();
    story.sandbox.script_always(
        Endpoint::ReadDataSource,
        Fault::body(200, "application/json", other),
    );

    for arguments in [
        &["extend", &ids[0]][..],
        &["update", &ids[0], "--lifetime", "1h", "--yes"],
        &["disable", &ids[0], "--error-message", "x"],
        &["delete", &ids[0], "--yes"],
    ] {
        story.data_sources(arguments).exits(75);
    }
    assert_eq!(story.count("PUT") + story.count("DELETE"), 0);
}

#[test]
fn one_that_is_locked_holds_up_no_other() {
    let story = story();
    story.due(4);
    story.sandbox.script(
        Endpoint::UpdateDataSource,
        [Fault::status(423).header("Retry-After", "600")],
    );
    story
        .data_sources(&["extend", "--all", "--concurrency", "1"])
        .exits(75)
        .says("3 extended, 1 not extended yet");
    story.data_sources(&["extend", "--all"]).exits(0);
}

#[test]
fn a_401_that_no_token_cures_costs_one_climb() {
    let story = story();
    story.due(30);
    story
        .sandbox
        .script_always(Endpoint::UpdateDataSource, Fault::status(401));

    story
        .data_sources(&["extend", "--all", "--concurrency", "1"])
        .exits(75);

    let counts = story.sandbox.counts();
    assert_eq!(counts.refreshes + counts.mints, 1, "one climb");
}

#[test]
fn an_id_that_is_nobodys_stops_no_other() {
    let story = story();
    let ids = story.due(1);
    let told = story.data_sources(&["extend", "zzzz", &ids[0][..13]]);
    told.exits(1)
        .says("1 extended, 1 failed")
        .says("there is no data source zzzz");
    assert_eq!(story.count("PUT"), 1);
}

#[test]
fn a_list_without_an_end_is_left() {
    let story = story();
    story.due(1);
    let here = format!("<{}/dataSources>; rel=\"next\"", story.sandbox.base_url());
    story.sandbox.script_always(
        Endpoint::DataSources,
        Fault::with("x", 1).header("Link", &here),
    );
    story
        .data_sources(&["extend", "--all"])
        .exits(75)
        .says("has no end");
    assert!(story.sandbox.counts().validations < 6);
}

#[test]
fn an_item_that_cannot_be_read_stops_no_other() {
    let story = story_with(Policy {
        data_source_shape: DataSourceShape::Full,
        ..Policy::default()
    });
    let id = story.due(1).remove(0);
    let page = format!(
        r#"{{"items": [null, {{"a": "\ud800"}}, {}]}}"#,
        story.source(&id)
    );
    story.sandbox.script_always(
        Endpoint::DataSources,
        Fault::body(200, "application/json", page),
    );
    story
        .data_sources(&["extend", "--all"])
        .exits(1)
        .says("1 extended, 2 failed");
}

#[test]
fn a_scope_that_is_missing_is_not_asked_about_a_thousand_times() {
    let story = story();
    story.due(60);
    story
        .sandbox
        .script_always(Endpoint::UpdateDataSource, Fault::status(403));
    let told = story.data_sources(&["extend", "--all", "--concurrency", "4"]);
    told.exits(1)
        .says("spark-admin:datasource_write")
        .says("not tried");
    assert!(story.count("PUT") < 20);
}

#[test]
fn what_was_in_flight_when_it_was_told_to_stop_is_looked_after() {
    let story = story();
    let id = story.due(1).remove(0);
    story
        .sandbox
        .script(Endpoint::UpdateDataSource, [Fault::drop_after()]);
    let gate = story.sandbox.gate(Endpoint::UpdateDataSource);
    let mut run = support::Run::of(
        &story,
        story.command(support::DATA_SOURCES).args(["extend", &id]),
    );
    gate.wait_for_request();
    run.stop(rustix::process::Signal::TERM);
    gate.release();

    run.finish(&story).exits(143).says("1 extended");

    assert_eq!(story.log()[0]["outcome"], "done");
}

#[test]
fn a_run_that_waits_for_a_token_ends_when_it_is_told_to() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let gate = story.sandbox.gate(Endpoint::ServiceAppRefresh);
    let holder = story.start(&mut story.command(support::REFRESH_TOKEN));
    gate.wait_for_request();
    let mut run = support::Run::of(
        &story,
        story
            .command(support::DATA_SOURCES)
            .args(["extend", "--all"]),
    );
    run.logs("waiting for another run");
    run.stop(rustix::process::Signal::INT);

    run.finish(&story).exits(130);

    gate.release();
    story.finish(holder).exits(0);
}

//! Killed at any call of the system that touches a file or a socket, or refused it by the disk, the
//! programs lose no token, spend none twice, and are not silent about an answer that was lost.

#![cfg(unix)]

#[path = "crash/proof.rs"]
mod proof;
#[path = "crash/scene.rs"]
mod scene;
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Command;

use proof::{Cause, Ending, Tale};
use scene::{Left, Scene, Texts};
use serde_json::Value;
use support::device::user_code;
use support::strace::{self, Injection, Tracer};
use support::{DATA_SOURCES, REFRESH_TOKEN, SETUP_OAUTH, Shows, Story, Told};

/// Counted: answers that a run died with, all of which the next run tells of.
const LOST: &str = "answers lost and told of";
/// Counted: deaths between the two saves of rung 3.
const BETWEEN: &str = "between the saves of both files";
/// Counted: deaths between the save of a climb and that of what keeps the integration alive.
const BETWEEN_RENEWED: &str = "between the climb and the save of the renewal";
/// Counted: consents that somebody has to give once more.
const CONSENTS: &str = "consents to be given again";
/// Counted: deaths after a change and before its line in the log.
const UNWRITTEN: &str = "between a change and its line in the log";
/// Counted: tokens that lie in a rescue file.
const RESCUED: &str = "rescued";

const WITH_ANOTHER_RUNG: Tale = Tale {
    name: "refresh_token with another rung",
    program: REFRESH_TOKEN,
    arguments: &["--json"],
    in_haste: &["--deadline", "5s"],
    begin: Scene::with_a_personal_access_token,
    run: Story::run,
    judge: a_climb_is_taken_up,
    counts: &[LOST, RESCUED],
    one_in: 1,
    side_by_side: 2,
};

const ALONE: Tale = Tale {
    name: "refresh_token with one rung",
    begin: Scene::with_the_refresh_token_alone,
    ..WITH_ANOTHER_RUNG
};

const THROUGH_THE_INTEGRATION: Tale = Tale {
    name: "refresh_token through the integration",
    begin: Scene::with_the_integration,
    counts: &[LOST, BETWEEN, RESCUED],
    ..WITH_ANOTHER_RUNG
};

const KEEPING_ALIVE: Tale = Tale {
    name: "refresh_token keeping the integration alive",
    begin: Scene::with_an_integration_long_unused,
    judge: what_was_to_live_lives_or_is_lost_aloud,
    counts: &[LOST, BETWEEN_RENEWED, RESCUED],
    one_in: 2,
    ..WITH_ANOTHER_RUNG
};

const CONSENT_ANEW: Tale = Tale {
    name: "setup_oauth over what works",
    program: SETUP_OAUTH,
    arguments: &["--device", "--reauthorize", "--json", "-v"],
    begin: Scene::with_everything,
    run: with_somebody_who_allows_it,
    // What works is left working.
    judge: a_climb_is_taken_up,
    counts: &[LOST, BETWEEN, RESCUED],
    // Each waits for the first poll, and saves as long as it may: a minute.
    in_haste: &[],
    one_in: 9,
    side_by_side: 16,
};

const FIRST_CONSENT: Tale = Tale {
    name: "setup_oauth from nothing",
    arguments: &["--device", "--json", "-v"],
    begin: Scene::with_nothing,
    judge: a_setup_is_taken_up,
    counts: &[CONSENTS, BETWEEN, RESCUED],
    ..CONSENT_ANEW
};

const EXTENSIONS: Tale = Tale {
    name: "data-sources extend",
    program: DATA_SOURCES,
    arguments: &["extend", "--all", "--json"],
    begin: Scene::with_data_sources,
    run: Story::run,
    judge: the_rest_is_extended,
    counts: &[UNWRITTEN],
    in_haste: &["--deadline", "5s"],
    one_in: 3,
    side_by_side: 2,
};

const EXTENSIONS_AND_A_CLIMB: Tale = Tale {
    name: "data-sources extend with a climb",
    begin: Scene::with_data_sources_and_no_token,
    counts: &[LOST, UNWRITTEN, RESCUED],
    ..EXTENSIONS
};

#[test]
fn a_kill_comes_before_its_call() {
    if !strace::is_possible() {
        return;
    }
    let story = Story::new();
    let removed = |injections: &[Injection]| {
        fs::create_dir_all(story.path("folder")).expect("a folder is made");
        let tracer = Tracer::new();
        let mut command = tracer.command(&story, injections, "rmdir");
        let told = story.run(command.arg("folder"));
        (told, tracer.calls(&story))
    };
    let (told, calls) = removed(&[]);
    told.exits(0);
    assert!(!story.exists("folder"));
    let about_it = calls.iter().rfind(|call| call.about == "folder");
    let call = about_it.expect("the removal is a call");

    let (told, calls) = removed(&[Injection::kill_at(call)]);

    told.exits(128 + 9);
    assert!(
        calls
            .last()
            .is_some_and(|last| last.is_hit && call.is(last))
    );
    assert!(story.exists("folder"));
}

#[test]
fn what_is_issued_is_safe_before_anything_else_is_asked() {
    WITH_ANOTHER_RUNG.keeps_the_order();
    THROUGH_THE_INTEGRATION.keeps_the_order();
    KEEPING_ALIVE.keeps_the_order();
}

#[test]
fn a_climb_with_another_rung_survives_a_kill_at_every_call() {
    WITH_ANOTHER_RUNG.is_killed_at_each_call();
}

#[test]
fn a_climb_with_another_rung_survives_every_refusal_of_the_disk() {
    WITH_ANOTHER_RUNG.is_refused_each_change();
}

#[test]
fn a_climb_with_one_rung_survives_a_kill_at_every_call() {
    ALONE.is_killed_at_each_call();
}

#[test]
fn a_climb_with_one_rung_survives_every_refusal_of_the_disk() {
    ALONE.is_refused_each_change();
}

#[test]
fn a_climb_through_the_integration_survives_a_kill_at_every_call() {
    THROUGH_THE_INTEGRATION.is_killed_at_each_call();
}

#[test]
fn a_climb_through_the_integration_survives_every_refusal_of_the_disk() {
    THROUGH_THE_INTEGRATION.is_refused_each_change();
}

#[test]
fn keeping_the_integration_alive_survives_a_kill_at_every_call() {
    KEEPING_ALIVE.is_killed_at_each_call();
}

#[test]
fn keeping_the_integration_alive_survives_every_refusal_of_the_disk() {
    KEEPING_ALIVE.is_refused_each_change();
}

#[test]
fn a_consent_over_what_works_survives_a_kill_at_every_call() {
    CONSENT_ANEW.is_killed_at_each_call();
}

#[test]
fn a_consent_over_what_works_survives_every_refusal_of_the_disk() {
    CONSENT_ANEW.is_refused_each_change();
}

#[test]
fn a_first_consent_survives_a_kill_at_every_call() {
    FIRST_CONSENT.is_killed_at_each_call();
}

#[test]
fn a_first_consent_survives_every_refusal_of_the_disk() {
    FIRST_CONSENT.is_refused_each_change();
}

#[test]
fn extensions_survive_a_kill_at_every_call() {
    EXTENSIONS.is_killed_at_each_call();
}

#[test]
fn extensions_survive_every_refusal_of_the_disk() {
    EXTENSIONS.is_refused_each_change();
}

#[test]
fn extensions_with_a_climb_survive_a_kill_at_every_call() {
    EXTENSIONS_AND_A_CLIMB.is_killed_at_each_call();
}

#[test]
fn extensions_with_a_climb_survive_every_refusal_of_the_disk() {
    EXTENSIONS_AND_A_CLIMB.is_refused_each_change();
}

/// After a climb that was cut off, the next run has a token that works, or says what became of it.
fn a_climb_is_taken_up(scene: &Scene, texts: &Texts, ending: &Ending) -> Vec<&'static str> {
    let story = &scene.story;
    let left = scene.left(texts);
    if ending.cause != Cause::Killed {
        ends_well_or_with_the_disk(ending, left.is_lost());
    }
    assert_eq!(story.sandbox.counts().reused_refresh_tokens, 0);
    let next = story.refresh_token(&["--json"]);
    let is_lost = takes_up(scene, &left, ending.cause, &next);
    let now = scene.left(texts);
    scene.is_tidy();
    if next.code == 0 {
        assert!(story.sandbox.is_live(&now.service_app.access_token));
    }
    let is_between = left.integration != scene.integration && left.service_app == scene.service_app;
    counted([
        (LOST, is_lost),
        (BETWEEN, is_between),
        (RESCUED, left.rescues > 0),
    ])
}

/// After a climb that was cut off while it kept the integration alive, the next run has a token that
/// works and says what was lost; a climb after that leaves what is lost alone, and keeps alive what
/// is not.
fn what_was_to_live_lives_or_is_lost_aloud(
    scene: &Scene,
    texts: &Texts,
    ending: &Ending,
) -> Vec<&'static str> {
    let story = &scene.story;
    let left = scene.left(texts);
    if ending.cause != Cause::Killed {
        if left.lost_renewal {
            // There is a token, and so it is no failure; but it is told.
            assert_eq!(ending.cause, Cause::FailedAlways, "a token is lost");
            ending.told.exits(0).says("can be saved nowhere");
        } else {
            ends_well_or_with_the_disk(ending, left.is_lost());
        }
    }
    assert_eq!(story.sandbox.counts().reused_refresh_tokens, 0);
    let next = story.refresh_token(&["--json"]);
    let is_lost = takes_up(scene, &left, ending.cause, &next);
    next.exits(0);
    scene.is_tidy();

    let climb = story.refresh_token(&["--json", "--force"]);
    climb.exits(0);
    let now = scene.left(texts);
    assert!(story.sandbox.is_live(&now.service_app.access_token));
    assert_eq!(now.lost_renewal, left.lost_renewal);
    if left.lost_renewal {
        climb.says("ended before the integration's answer was saved");
    }
    assert_eq!(story.sandbox.counts().reused_refresh_tokens, 0);
    let is_between = left.service_app != scene.service_app && left.integration == scene.integration;
    counted([
        (LOST, is_lost),
        (BETWEEN_RENEWED, is_between),
        (RESCUED, left.rescues > 0),
    ])
}

/// A token that was issued is in a file, unless no file could be written, which is told.
fn ends_well_or_with_the_disk(ending: &Ending, is_lost: bool) {
    let code = ending.told.code;
    assert!([0, 74].contains(&code), "exit code {code}");
    if is_lost {
        assert_eq!(ending.cause, Cause::FailedAlways, "a token is lost");
        ending.told.exits(74).says("can be saved nowhere");
    }
}

/// What the next run says and does; whether there was an answer that was lost, and told of.
fn takes_up(scene: &Scene, left: &Left, cause: Cause, next: &Told) -> bool {
    let sandbox = &scene.story.sandbox;
    // A mint spends nothing: the token that there is may do, and a run that lives has told of it.
    let is_lost_mint = left.lost_mint && next.json()["outcome"] != "valid";
    if left.lost_grant || is_lost_mint && cause == Cause::Killed {
        next.says("ended before its answer was saved");
    }
    if left.lost_renewal {
        next.says("ended before the integration's answer was saved");
    }
    let reused = sandbox.counts().reused_refresh_tokens;
    if (left.lost_grant || left.lost_renewal) && !scene.has_another_rung(left) {
        // There was nothing else to try, and the doubtful one was tried last.
        let json = next.exits(77).outcome("reauthorization_required");
        assert!(json["remedy"].is_string(), "{json:#}");
        let requests = sandbox.requests();
        let mut spent = requests.iter().rev().filter(|it| it.method == "POST");
        let last = spent.next().and_then(|it| it.form.get("refresh_token"));
        let doubtful = if left.lost_renewal {
            &left.integration
        } else {
            &left.service_app
        };
        assert!(
            last == Some(&doubtful.refresh_token),
            "{:?}",
            scene.story.requests()
        );
        assert_eq!(reused, 1);
    } else {
        next.exits(0);
        assert_eq!(reused, 0);
    }
    left.lost_grant || left.lost_renewal || is_lost_mint
}

/// Runs a command of `setup_oauth --device -v` beside a person who allows what it asks for.
fn with_somebody_who_allows_it(story: &Story, command: &mut Command) -> Told {
    let mut child = story.start(command);
    let mut log = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut read = String::new();
    while !read.contains("With the code in it") && log.read_line(&mut read).expect("UTF-8") > 0 {}
    if read.contains("With the code in it") {
        story.sandbox.decide_device(&user_code(&read), true);
    }
    log.read_to_string(&mut read).expect("UTF-8");
    let mut output = child.wait_with_output().expect("it ends");
    output.stderr = read.into_bytes();
    story.told(&output, Shows::Nothing)
}

/// A first consent is used, rescued, or has to be given again, and a run says so.
fn a_setup_is_taken_up(scene: &Scene, texts: &Texts, ending: &Ending) -> Vec<&'static str> {
    let story = &scene.story;
    let left = scene.left(texts);
    let is_allowed = story.sandbox.counts().grants > 0;
    let has_consent = left.integration != scene.integration || left.rescues > 0;
    if ending.cause != Cause::Killed {
        ends_well_or_with_the_disk(ending, is_allowed && !has_consent);
    }
    let next = story.refresh_token(&["--json"]);
    let now = scene.left(texts);
    if has_consent {
        next.exits(0);
        assert!(story.sandbox.is_live(&now.service_app.access_token));
    } else {
        let json = next.exits(77).outcome("reauthorization_required");
        assert!(
            json["remedy"]
                .as_str()
                .is_some_and(|it| it.contains("setup_oauth")),
            "{json:#}"
        );
    }
    scene.is_tidy();
    assert_eq!(story.sandbox.counts().reused_refresh_tokens, 0);
    let is_between = left.integration != scene.integration && left.service_app == scene.service_app;
    counted([
        (CONSENTS, is_allowed && !has_consent),
        (BETWEEN, is_between),
        (RESCUED, left.rescues > 0),
    ])
}

/// Each data source that was due is extended once, by this run or the next, and what stands in the
/// log is so.
fn the_rest_is_extended(scene: &Scene, texts: &Texts, ending: &Ending) -> Vec<&'static str> {
    let story = &scene.story;
    let left = scene.left(texts);
    assert!(left.integration == scene.integration);
    if ending.cause != Cause::Killed {
        ends_well_or_with_the_disk(ending, left.is_lost());
    }
    let is_extended = |id: &&String| story.source(id)["updatedAt"] != Value::Null;
    let extended: Vec<_> = scene.due.iter().filter(is_extended).collect();
    let written = lines(story);
    for line in &written {
        let id = line["id"].as_str().expect("an id");
        assert!(extended.iter().any(|it| *it == id), "{id} was not extended");
        assert_eq!(line["outcome"], "done");
    }
    if written.len() < extended.len() && ending.cause != Cause::Killed {
        ending.told.exits(74).says("operation log");
    }

    let next = story.data_sources(&["extend", "--all", "--json"]);
    let is_lost = takes_up(scene, &left, ending.cause, &next);
    let json = next.json();
    assert_eq!(json["extended"], scene.due.len() - extended.len());
    assert_eq!(json["notDue"], scene.fresh.len() + extended.len());
    for id in &scene.due {
        assert_eq!(story.updates(id).len(), 1, "{id} was extended once");
        assert!(is_extended(&id));
    }
    for id in &scene.fresh {
        assert_eq!(story.updates(id).len(), 0, "{id} was not due");
    }
    let now = lines(story);
    assert_eq!(now.len(), written.len() + scene.due.len() - extended.len());
    scene.is_tidy();
    counted([
        (LOST, is_lost),
        (UNWRITTEN, written.len() < extended.len()),
        (RESCUED, left.rescues > 0),
    ])
}

/// The lines of the operation log, each of them whole.
fn lines(story: &Story) -> Vec<Value> {
    if story.exists("data-sources.log") {
        story.log()
    } else {
        Vec::new()
    }
}

fn counted<const N: usize>(counts: [(&'static str, bool); N]) -> Vec<&'static str> {
    let those = counts.into_iter().filter(|(_, is_so)| *is_so);
    those.map(|(what, _)| what).collect()
}

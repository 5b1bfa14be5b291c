//! `data-sources register`, `update`, `delete` and `extend` at a terminal: what a person is asked and
//! told, word for word.

#![cfg(unix)]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::data_sources::{story, without_dates};
use support::pty::Pty;
use support::transcript::assert_transcript_with;
use support::{DATA_SOURCES, Story};
use webex_sandbox::{Endpoint, Fault};

const WEB_SOCKET: &str = "a38a10b7-43e4-4676-a076-a7d6dce9387d";

/// The questions, as they are asked.
const SCHEMA: &str = "Schema";
const URL: &str = "URL of the receiver, https or wss:";
const AUDIENCE: &str = "Audience, usually the application's name:";
const SUBJECT: &str = "Subject, such as callAudioData:";
const LIFETIME: &str = "How long each JWS lives, at most 24h";
const CHANGE: &str = "Change it?";
const ID: &str = "Type its whole id to delete it for good:";

/// The last of the schemas that are offered.
const LAST_SCHEMA: &str = "webService (gRPC)";

impl Story {
    /// `data-sources` at a terminal.
    fn person(&self, arguments: &[&str]) -> Pty {
        Pty::start(self.command(DATA_SOURCES).args(arguments))
    }

    fn one(&self) -> String {
        let id = self.sandbox.register_data_source(&json!({
            "audience": "AppTwo",
            "subject": "somethingElse",
            "nonce": "first",
            "schemaId": WEB_SOCKET,
            "url": "wss://deep.example.com/receiver?tenant=7",
            "tokenLifetimeMinutes": 45,
        }));
        self.sandbox.clear_requests();
        id
    }

    /// The id of the only registration in the log.
    fn registered(&self) -> String {
        let log = self.log();
        assert_eq!(log.len(), 1);
        log[0]["id"].as_str().expect("an id").to_owned()
    }

    /// Asserts that nothing was changed, nor written down.
    #[track_caller]
    fn unchanged(&self) {
        let changes = ["POST", "PUT", "DELETE"].map(|method| self.count(method));
        assert_eq!(changes, [0; 3]);
        assert!(self.log().is_empty());
    }
}

/// What of a data source a registration says.
fn told(source: &Value) -> [&Value; 5] {
    [
        "schemaId",
        "url",
        "audience",
        "subject",
        "tokenLifetimeMinutes",
    ]
    .map(|field| &source[field])
}

#[test]
fn register_asks_for_everything() {
    let story = story();
    let mut person = story.person(&["register"]);
    person.expect(SCHEMA).expect(LAST_SCHEMA);
    // They are sorted by their names.
    person.keys("\x1b[B\x1b[B\r");
    person.expect(URL).line("http://deep.example.com/in");
    person.expect("Not that: it must begin with https");
    person.expect(URL).line("wss://deep.example.com/in");
    person.expect(AUDIENCE).line("");
    person.expect("Not that: it is empty");
    person.expect(AUDIENCE).line("AppTwo");
    person.expect(SUBJECT).line("callAudioData");
    person.expect(LIFETIME).line("2d");
    person.expect("Not that: ").expect("1440");
    person.expect(LIFETIME).line("");
    let seen = person.finish(&story);

    seen.exits(0);
    let id = story.registered();
    assert_transcript_with("sources_register", &story, &seen, &[(&id, "[ID]")]);
    assert_eq!(
        told(&story.source(&id)),
        [
            &json!(WEB_SOCKET),
            &json!("wss://deep.example.com/in"),
            &json!("AppTwo"),
            &json!("callAudioData"),
            &json!(1440),
        ]
    );
    assert_eq!(story.count("POST"), 1);
}

#[test]
fn register_asks_for_what_is_missing_alone() {
    let story = story();
    story.write(
        "ds.json",
        r#"{ "subject": "callAudioData", "tokenLifetimeMinutes": 30 }"#,
    );
    let given = ["register", "--from", "ds.json", "--schema", "a38a"];
    let mut person = story.person(&[&given[..], &["--audience", "AppTwo"]].concat());
    person.expect(URL).line("wss://deep.example.com/in");
    let seen = person.finish(&story);

    seen.exits(0);
    let id = story.registered();
    assert_transcript_with("sources_register_rest", &story, &seen, &[(&id, "[ID]")]);
    assert_eq!(story.source(&id)["tokenLifetimeMinutes"], 30);
    assert_eq!(story.source(&id)["schemaId"], WEB_SOCKET);
}

#[test]
fn register_asks_in_plain_lines_where_the_terminal_has_no_more() {
    let story = story();
    let mut command = story.command(DATA_SOURCES);
    let mut person = Pty::start(command.arg("register").env("TERM", "dumb"));
    person.expect("Number [1]:").line("9");
    person.expect("a number from 1 to 5").expect("Number [1]:");
    person.line("3");
    person.expect(URL).line("wss://deep.example.com/in");
    person.expect(AUDIENCE).line("AppTwo");
    person.expect(SUBJECT).line("callAudioData");
    person.expect("[24h]:").line("90m");
    let seen = person.finish(&story);

    seen.exits(0);
    let id = story.registered();
    assert_transcript_with("sources_register_dumb", &story, &seen, &[(&id, "[ID]")]);
    assert_eq!(story.source(&id)["tokenLifetimeMinutes"], 90);
    assert_eq!(story.source(&id)["schemaId"], WEB_SOCKET);
}

#[test]
fn a_person_who_leaves_has_changed_nothing() {
    // Ctrl-C, Ctrl-D and Esc.
    for (key, term) in [
        ("\x03", "xterm-256color"),
        ("\x04", "xterm-256color"),
        ("\x1b", "xterm-256color"),
        ("\x03", "dumb"),
        ("\x04", "dumb"),
    ] {
        let story = story();
        let id = story.one();
        for (arguments, question) in [
            (&["register", "--schema", "a38a"][..], URL),
            (&["register"], SCHEMA),
            (&["update", &id, "--audience", "x"], CHANGE),
            (&["delete", &id], ID),
        ] {
            let mut command = story.command(DATA_SOURCES);
            let mut person = Pty::start(command.args(arguments).env("TERM", term));
            person.expect(question).keys(key);
            let seen = person.finish(&story);
            seen.exits(130).says("Ended before anything was changed.");
        }
        story.unchanged();
    }
}

#[test]
fn a_signal_ends_a_question() {
    let story = story();
    let id = story.one();
    let mut person = story.person(&["delete", &id]);
    person.expect(ID);
    let pid = i32::try_from(person.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process"), Signal::TERM).expect("it is ours");
    person.expect("Ended before anything was changed.");
    person.expect_echo(true);
    person.finish(&story).exits(143);
    story.unchanged();
}

#[test]
fn update_shows_the_difference_and_asks() {
    let story = story();
    let id = story.one();
    let before = story.source(&id);
    let arguments = [
        "update",
        &id[..8],
        "--url",
        "https://other.example.com/in?tenant=8",
        "--lifetime",
        "24h",
    ];
    let mut person = story.person(&arguments);
    person.expect(CHANGE).line("y");
    let seen = person.finish(&story);

    seen.exits(0);
    assert_transcript_with("sources_update", &story, &seen, &[(&id, "[ID]")]);
    let mut expected = without_dates(&before);
    expected["url"] = "https://other.example.com/in?tenant=8".into();
    expected["tokenLifetimeMinutes"] = 1440.into();
    assert_eq!(without_dates(&story.source(&id)), expected);
    assert_eq!(story.updates(&id).len(), 1);
}

#[test]
fn whatever_is_no_yes_is_a_no() {
    for term in ["xterm-256color", "dumb"] {
        let story = story();
        let id = story.one();
        for answer in ["", "n", "no"] {
            let mut command = story.command(DATA_SOURCES);
            command.args(["update", &id, "--audience", "x"]);
            let mut person = Pty::start(command.env("TERM", term));
            person.expect(CHANGE).line(answer);
            let seen = person.finish(&story);
            seen.exits(1).says("Nothing was changed.");
        }
        story.unchanged();
    }
}

#[test]
fn what_has_changed_since_it_was_shown_is_not_sent() {
    let story = story();
    let id = story.one();
    let mut person = story.person(&["update", &id, "--url", "wss://new.example.com/"]);
    person.expect(CHANGE);
    let other = ["update", &id, "--url", "wss://theirs.example.com/", "--yes"];
    story.data_sources(&other).exits(0);
    person.line("y");
    let seen = person.finish(&story);

    seen.exits(75);
    assert_transcript_with("sources_update_changed", &story, &seen, &[(&id, "[ID]")]);
    assert_eq!(story.source(&id)["url"], "wss://theirs.example.com/");
    assert_eq!(story.count("PUT"), 1);

    // Another field is a change, too: it would go out as it is now, and nobody has seen that.
    let mut person = story.person(&["update", &id, "--url", "wss://new.example.com/"]);
    person.expect(CHANGE);
    story
        .data_sources(&["disable", &id, "--error-message", "x"])
        .exits(0);
    person.line("y");
    person.finish(&story).exits(75);
    assert_eq!(story.count("PUT"), 2);

    let mut person = story.person(&["delete", &id]);
    person.expect(ID);
    story.data_sources(&["enable", &id]).exits(0);
    person.line(&id);
    person.finish(&story).exits(75);
    assert_eq!(story.count("DELETE"), 0);
}

#[test]
fn a_new_jws_is_no_change_of_what_was_shown() {
    let story = story();
    let id = story.one();
    let mut person = story.person(&["update", &id, "--url", "wss://new.example.com/"]);
    person.expect(CHANGE);
    story.data_sources(&["extend", &id]).exits(0);
    let extended = story.source(&id);
    person.line("y");
    person.finish(&story).exits(0);
    assert_eq!(story.source(&id)["url"], "wss://new.example.com/");
    assert_ne!(story.source(&id)["nonce"], extended["nonce"]);
}

#[test]
fn a_difference_fits_a_narrow_terminal() {
    let story = story();
    let id = story.one();
    let long = format!("wss://deep.example.com/{}/here", "path/".repeat(20));
    let there = format!("wss://deep.example.com/{}/there", "path/".repeat(20));
    story
        .data_sources(&["update", &id, "--url", &long, "--yes"])
        .exits(0);
    let mut command = story.command(DATA_SOURCES);
    command.args(["update", &id, "--url", &there, "--audience", "App"]);
    let mut person = Pty::start_sized(&mut command, 60, 24);
    person.expect(CHANGE).line("n");
    let seen = person.finish(&story);

    seen.exits(1);
    assert_transcript_with("sources_update_60_columns", &story, &seen, &[(&id, "[ID]")]);
}

#[test]
fn delete_asks_for_the_whole_id() {
    let story = story();
    let id = story.one();
    let mut person = story.person(&["delete", &id[..8]]);
    for wrong in ["yes", &id[..8], ""] {
        person.expect(ID).line(wrong).expect("Not that: ");
    }
    person.expect(ID).line(&id.to_uppercase());
    let seen = person.finish(&story);

    seen.exits(0);
    let known = [
        (id.as_str(), "[ID]"),
        (&id.to_uppercase(), "[ID]"),
        (&id[..8], "[BEGINNING OF ID]"),
    ];
    assert_transcript_with("sources_delete", &story, &seen, &known);
    assert!(story.sandbox.data_source(&id).is_none());
    assert_eq!(story.count("DELETE"), 1);
}

#[test]
fn with_json_nobody_is_asked() {
    let story = story();
    let id = story.one();
    for arguments in [
        &["register"][..],
        &["update", &id, "--audience", "x"],
        &["delete", &id],
    ] {
        let person = story.person(&[arguments, &["--json"]].concat());
        person
            .finish(&story)
            .exits(2)
            .says("\"outcome\": \"usage\"");
    }
    assert!(story.requests().is_empty());
}

#[test]
fn nobody_is_asked_for_what_could_not_be_written_down() {
    let story = story();
    let id = story.one();
    for arguments in [
        &["register"][..],
        &["update", &id, "--audience", "x"],
        &["delete", &id],
    ] {
        let person = story.person(&[arguments, &["--log", "no/such/log"]].concat());
        let seen = person.finish(&story);
        seen.exits(74).says("nothing was changed");
        for question in [SCHEMA, CHANGE, ID] {
            assert!(!seen.stream.contains(question), "{}", seen.stream);
        }
    }
    assert!(story.requests().is_empty());
}

#[test]
fn extend_draws_a_bar_and_tells_of_trouble_above_it() {
    let story = story();
    let ids = story.sandbox.seed_data_sources(12);
    story.sandbox.disable_data_source(&ids[0], "out of order");
    story
        .sandbox
        .script(Endpoint::UpdateDataSource, [Fault::status(400)]);
    let all = ["extend", "--all", "--expiring-within", "25h"];
    let mut person = story.person(&all);
    person.expect("/11");
    let told = person.finish(&story);

    told.exits(1)
        .says("10 extended, 1 failed, 1 disabled")
        .says("failed");
    // A line for each that went well would hide the others.
    assert!(
        !told.transcript.contains("extended  "),
        "{}",
        told.transcript
    );
    let broken = told.transcript.lines().find(|line| line.contains("/11"));
    assert_eq!(broken, None, "the bar is gone in the end");
}

#[test]
fn extend_of_named_ones_tells_of_each() {
    let story = story();
    let id = story.sandbox.seed_data_sources(1).remove(0);
    let told = story.person(&["extend", &id[..8]]).finish(&story);
    told.exits(0)
        .says(&format!("{id}: expires "))
        .says("done: 1 extended");
}

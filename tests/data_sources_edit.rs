//! `data-sources register`, `update`, `delete`, `disable` and `enable` where nobody is asked: what
//! is named changes, once, however Webex and the network behave.

mod support;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::data_sources::{SHAPES, story, story_with, without_dates};
use support::{DATA_SOURCES, Run, Story, Told};
use webex_sandbox::{DataSourceShape, Endpoint, Fault, Grant, Policy, RepeatedNonce};

const GRPC: &str = "5397013b-7920-4ffc-807c-e8a3e0a18f43";
const WEB_SOCKET: &str = "a38a10b7-43e4-4676-a076-a7d6dce9387d";

/// Something that must never be repeated in a message or in the log.
const CANARY: &str = "NzY1Y2FuYXJ5LXNlY3JldA";

/// A wait that no deadline allows.
const FAR: &str = "86400";

/// A command that registers one, all in flags.
const REGISTER: [&str; 11] = [
    "register",
    "--schema",
    GRPC,
    "--audience",
    "AppTwo",
    "--subject",
    "callAudioData",
    "--url",
    "wss://deep.example.com/in",
    "--lifetime",
    "90m",
];

/// The same in a file.
const FILE: &str = r#"{
  "audience": "AppTwo",
  "subject": "callAudioData",
  "schemaId": "5397013b-7920-4ffc-807c-e8a3e0a18f43",
  "url": "wss://deep.example.com/in",
  "tokenLifetimeMinutes": 90
}
"#;

impl Story {
    /// One data source, with a field that nobody here knows.
    fn one(&self) -> String {
        let id = self.sandbox.register_data_source(&json!({
            "audience": "AppTwo",
            "subject": "somethingElse",
            "nonce": "first",
            "schemaId": WEB_SOCKET,
            "url": "wss://deep.example.com/receiver?tenant=7",
            "tokenLifetimeMinutes": 45,
            "x-unknown": { "kept": [1, 2] },
        }));
        self.sandbox.clear_requests();
        id
    }

    /// What was sent to register.
    fn registrations(&self) -> Vec<Value> {
        self.bodies("POST", "/v1/dataSources")
    }

    /// All data sources that Webex has, in full.
    fn sources(&self) -> Vec<Value> {
        self.sandbox
            .set_policy(|policy| policy.data_source_shape = DataSourceShape::Full);
        let list = self.data_sources(&["list", "--json"]);
        let sources = list.exits(0).json()["dataSources"].clone();
        sources.as_array().expect("a list").clone()
    }

    /// Asserts that nothing was asked of Webex.
    #[track_caller]
    fn asked_nothing(&self) {
        assert!(self.requests().is_empty(), "{:?}", self.requests());
    }

    /// Leaves `.env` with a token that may read data sources and not change them.
    fn may_only_read(&self) {
        let scopes = ["spark-admin:datasource_read"];
        let tokens = self.sandbox.issue_with(Grant::ServiceApp, &scopes);
        self.stored(&tokens.access_token, &tokens.refresh_token);
    }

    /// Runs a command, as text and as JSON, that comes to nothing without a request.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], code: i32, says: &[&str]) {
        let told = self.data_sources(arguments);
        told.exits(code);
        let document = self.data_sources(&[arguments, &["--json"]].concat());
        let json = document.exits(code).json();
        assert_eq!((told.stdout.as_str(), document.stderr.as_str()), ("", ""));
        let said = format!("{} {}", json["message"], json["remedy"]);
        for text in says {
            told.says(text);
            assert!(said.contains(text), "{text:?} is not in {json:#}");
        }
        for text in [&told.stderr, &document.stdout] {
            assert!(!text.contains(CANARY), "{text}");
        }
        self.asked_nothing();
        assert!(!self.exists("data-sources.log"), "nothing is to be logged");
    }
}

/// What makes a change one of its own.
fn nonce(body: &Value) -> String {
    body["nonce"].as_str().expect("a nonce").to_owned()
}

/// The arguments with another value for a flag.
fn with<'a>(arguments: &[&'a str], flag: &str, value: &'a str) -> Vec<&'a str> {
    let mut arguments = arguments.to_vec();
    let at = arguments.iter().position(|it| *it == flag).expect("a flag");
    arguments[at + 1] = value;
    arguments
}

/// The arguments without a flag and its value.
fn without<'a>(arguments: &[&'a str], flag: &str) -> Vec<&'a str> {
    let mut arguments = arguments.to_vec();
    let at = arguments.iter().position(|it| *it == flag).expect("a flag");
    arguments.drain(at..at + 2);
    arguments
}

impl Told {
    /// The first line of stderr, where what went wrong stands.
    fn complaint(&self) -> &str {
        self.stderr.lines().next().unwrap_or_default()
    }
}

// register

#[test]
fn flags_register_one_and_it_stands_in_the_log() {
    for (status, shape) in [200, 201].into_iter().zip(SHAPES) {
        let story = story_with(Policy {
            register_status: status,
            data_source_shape: shape,
            ..Policy::default()
        });

        let told = story.data_sources(&REGISTER);

        told.exits(0);
        assert_eq!(story.count("POST"), 1);
        let sent = story.registrations().remove(0);
        let nonce = nonce(&sent);
        assert_eq!(
            sent,
            json!({
                "audience": "AppTwo",
                "nonce": nonce,
                "schemaId": GRPC,
                "subject": "callAudioData",
                "tokenLifetimeMinutes": 90,
                "url": "wss://deep.example.com/in",
            })
        );
        let log = story.log();
        assert_eq!(log.len(), 1);
        let id = log[0]["id"].as_str().expect("an id");
        assert_eq!(log[0]["operation"], "register");
        assert_eq!(log[0]["outcome"], "done");
        assert!(log[0].get("before").is_none());
        assert!(log[0]["trackingId"].is_string());
        assert_eq!(story.source(id)["nonce"], *nonce);
        let line = format!("registered {id}: expires ");
        assert!(told.stdout.starts_with(&line), "{}", told.stdout);
        assert_eq!(told.stdout.lines().count(), 1);
        assert_eq!(told.stderr, "");
    }
}

#[test]
fn a_registration_is_told_to_programs_with_masked_urls() {
    let story = story();
    let url = format!("https://user:{CANARY}@deep.example.com/in?key={CANARY}");
    let arguments = with(&REGISTER, "--url", &url);

    let told = story.data_sources(&[&arguments, &["--json", "-v"][..]].concat());

    let json = told.exits(0).outcome("registered");
    let id = json["id"].as_str().expect("an id");
    assert_eq!(story.source(id)["url"], *url);
    assert_eq!(json["version"], 1);
    assert_eq!(json["before"], Value::Null);
    assert_eq!(json["after"]["url"], "https://***@deep.example.com/in?***");
    assert!(json["expiresAt"].is_string());
    assert_eq!(json["warnings"], json!([]));
    let tracking_id = json["trackingId"].as_str().expect("a trackingId");
    // `-v` tells it, too.
    assert!(told.stderr.contains(tracking_id), "{}", told.stderr);
    let log = story.read("data-sources.log");
    for text in [&told.stdout, &told.stderr, &log] {
        assert!(!text.contains(CANARY), "{text}");
    }
}

#[test]
fn a_schema_may_be_abbreviated() {
    let story = story();
    story
        .data_sources(&with(&REGISTER, "--schema", "A38A"))
        .exits(0);
    assert_eq!(story.registrations()[0]["schemaId"], WEB_SOCKET);
}

#[test]
fn an_unknown_schema_is_told_with_those_that_are_known() {
    let story = story();
    for (given, says) in [
        ("00000000-7920-4ffc-807c-e8a3e0a18f43", "there is no schema"),
        ("5", "any of several"),
    ] {
        let told = story.data_sources(&with(&REGISTER, "--schema", given));
        told.exits(1).says(says).says(given).says("5397013b");
        assert!(told.stderr.contains("VoiceVirtualAgent (gRPC)"));
        let json =
            story.data_sources(&[&with(&REGISTER, "--schema", given), &["--json"][..]].concat());
        json.exits(1).outcome("unknown_schema");
    }
    assert_eq!(story.count("POST"), 0);
    assert!(story.sources().is_empty());
}

#[test]
fn without_the_list_of_schemas_nothing_is_registered() {
    let story = story();
    story.sandbox.script_always(
        Endpoint::Schemas,
        Fault::status(503).header("Retry-After", FAR),
    );
    let told = story.data_sources(&REGISTER);
    told.exits(75).says("cannot get the list of schemas");
    let empty = Fault::body(200, "application/json", "{\"items\":[]}");
    story.sandbox.script_always(Endpoint::Schemas, empty);
    let told = story.data_sources(&REGISTER);
    told.exits(75).says("list of schemas is empty");
    assert_eq!(story.count("POST"), 0);
}

#[test]
fn what_is_missing_is_told_all_at_once() {
    let story = story();
    story.refuses(
        &["register"],
        2,
        &[
            "schemaId: missing; give --schema",
            "url: missing; give --url",
            "audience: missing; give --audience",
            "subject: missing; give --subject",
            "tokenLifetimeMinutes: missing; give --lifetime",
            "terminal",
        ],
    );
    for (flag, name) in [
        ("--schema", "schemaId"),
        ("--url", "url"),
        ("--audience", "audience"),
        ("--subject", "subject"),
        ("--lifetime", "tokenLifetimeMinutes"),
    ] {
        story.refuses(&without(&REGISTER, flag), 2, &[name, flag]);
    }
}

#[test]
fn what_can_be_known_to_be_wrong_is_not_sent() {
    let story = story();
    for (flag, value) in [
        ("--url", "http://deep.example.com/in"),
        ("--url", "https://"),
        ("--url", "deep.example.com"),
        ("--lifetime", "0s"),
        ("--lifetime", "25h"),
        ("--lifetime", "90s"),
        ("--audience", " "),
        ("--subject", ""),
        ("--schema", "../x"),
    ] {
        story
            .data_sources(&with(&REGISTER, flag, value))
            .exits(2)
            .says(flag);
    }
    story.asked_nothing();
}

#[test]
fn a_file_registers_one_and_flags_stand_over_it() {
    let story = story();
    story.write("ds.json", FILE);
    story
        .data_sources(&["register", "--from", "ds.json"])
        .exits(0);
    let flags = ["--audience", "AppThree", "--lifetime", "24h"];
    story
        .data_sources(&[&["register", "--from", "ds.json"], &flags[..]].concat())
        .exits(0);

    let mut command = story.command(DATA_SOURCES);
    command.args(["register", "--from", "-"]);
    let mut child = story.start(command.stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(FILE.as_bytes()).expect("it is read");
    drop(stdin);
    story.finish(child).exits(0);

    let sent = story.registrations();
    let told = |field: &str| sent.iter().map(|it| it[field].clone()).collect::<Vec<_>>();
    assert_eq!(told("audience"), ["AppTwo", "AppThree", "AppTwo"]);
    assert_eq!(told("tokenLifetimeMinutes"), [90, 1440, 90]);
    assert_eq!(told("url"), ["wss://deep.example.com/in"; 3]);
}

#[test]
fn a_file_that_lacks_a_field_is_completed_by_flags_alone() {
    let story = story();
    story.write("ds.json", r#"{ "audience": "AppTwo" }"#);
    let from = [
        "register",
        "--from",
        "ds.json",
        "--url",
        "https://x.example.com",
    ];
    story.refuses(&from, 2, &["schemaId", "subject", "tokenLifetimeMinutes"]);
    let told = story.data_sources(&from);
    assert!(!told.stderr.contains("audience:"), "{}", told.stderr);
}

#[test]
fn a_malformed_file_is_told_by_path_line_and_field() {
    let story = story();
    story.write(
        "ds.json",
        r#"{
  "audience": "",
  "subject": ["NzY1Y2FuYXJ5LXNlY3JldA"],
  "url": "http://NzY1Y2FuYXJ5LXNlY3JldA@x.example.com/",
  "tokenLifetimeMinutes": 1441,
  "nonce": "NzY1Y2FuYXJ5LXNlY3JldA",
  "id": "NzY1Y2FuYXJ5LXNlY3JldA",
  "lifeTime": "NzY1Y2FuYXJ5LXNlY3JldA"
}"#,
    );
    let from = ["register", "--from", "ds.json"];
    story.refuses(
        &from,
        78,
        &[
            "ds.json:2: audience: empty",
            "ds.json:3: subject: not a text",
            "ds.json:4: url: it must begin with https:// or wss://",
            "ds.json:5: tokenLifetimeMinutes: it must be from 1 to 1440 minutes",
            "ds.json:6: nonce: this program sets it",
            "ds.json:7: id: Webex sets it",
            "ds.json:8: lifeTime: no field of a registration",
            "correct what is listed",
        ],
    );
    for (text, says) in [
        (
            "{\n  \"url\": NzY1Y2FuYXJ5LXNlY3JldA\n}",
            "ds.json:2: not JSON from column 10",
        ),
        (
            "{\n  \"url\": \"NzY1Y2FuYXJ5LXNlY3JldA\n}",
            "ds.json:3: not JSON",
        ),
        (
            "\n[\"NzY1Y2FuYXJ5LXNlY3JldA\"]",
            "ds.json:2: not a JSON object",
        ),
        ("", "ds.json: there is nothing in it"),
    ] {
        story.write("ds.json", text);
        story.refuses(&from, 78, &[says]);
    }
    story.write("ds.json", b"{\n\"url\": \"\xff\"}");
    story.refuses(&from, 78, &["ds.json:2: not UTF-8"]);
    story.write("ds.json", " ".repeat((1 << 20) + 1));
    story.refuses(&from, 78, &["ds.json: larger than 1 MiB"]);
}

#[test]
fn a_file_that_cannot_be_read_is_told_as_such() {
    let story = story();
    story.refuses(
        &["register", "--from", "nowhere.json"],
        74,
        &["cannot read nowhere.json", "name a file"],
    );
    fs::create_dir(story.path("folder")).expect("a folder");
    story.refuses(
        &["register", "--from", "folder"],
        74,
        &["cannot read folder"],
    );
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_wait_for_a_pipe_that_says_nothing() {
    let story = story();
    let pipe = story.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let mut command = story.command(DATA_SOURCES);
    let mut run = Run::of(&story, command.args(["register", "--from", "pipe"]));
    // Opened once the other end is.
    let silent = fs::File::options().write(true).open(&pipe);
    run.stop(rustix::process::Signal::TERM);
    run.finish(&story)
        .exits(143)
        .says("Ended before anything was changed.");
    drop(silent.expect("it is there"));
    story.asked_nothing();
}

#[test]
fn a_registration_whose_answer_was_lost_is_found_and_never_sent_again() {
    for fault in [
        Fault::drop_after(),
        Fault::half_body(),
        Fault::cut_short(),
        Fault::status(500).after_acting(),
    ] {
        let story = story();
        story.sandbox.seed_data_sources(3);
        story.sandbox.script(Endpoint::RegisterDataSource, [fault]);

        let json = story
            .data_sources(&[&REGISTER[..], &["--json"]].concat())
            .exits(0)
            .outcome("registered");

        assert_eq!(story.count("POST"), 1);
        let id = json["id"].as_str().expect("an id");
        assert_eq!(story.source(id)["nonce"], story.registrations()[0]["nonce"]);
        assert_eq!(story.sources().len(), 4, "no double, no loss");
        assert_eq!(story.log()[0]["outcome"], "done");
        assert_eq!(story.log()[0]["id"], id);
    }
}

#[test]
fn a_registration_that_is_found_without_its_id_is_told_so() {
    let story = story_with(Policy {
        data_source_shape: DataSourceShape::Oas,
        ..Policy::default()
    });
    story
        .sandbox
        .script(Endpoint::RegisterDataSource, [Fault::drop_after()]);
    story
        .data_sources(&REGISTER)
        .exits(0)
        .says("registered (Webex does not tell its id): expires ");
    assert_eq!(story.sources().len(), 1);
}

#[test]
fn a_registration_of_which_nothing_is_known_is_told_so_and_not_repeated() {
    let story = story();
    story
        .sandbox
        .script(Endpoint::RegisterDataSource, [Fault::drop_before()]);

    let told = story.data_sources(&[&REGISTER[..], &["--json"]].concat());

    let json = told.exits(75).outcome("unknown");
    let remedy = json["remedy"].as_str().expect("what to do");
    assert!(remedy.contains("data-sources list"), "{remedy}");
    assert_eq!(story.count("POST"), 1);
    let log = story.log();
    assert_eq!(log[0]["outcome"], "unknown");
    assert_eq!(log[0]["after"]["audience"], "AppTwo");
    assert!(story.sources().is_empty());
}

#[test]
fn what_webex_refuses_is_told_in_its_words() {
    let story = story();
    let told = story.data_sources(&with(&REGISTER, "--url", "https://elsewhere.example/"));
    told.exits(1)
        .says("cannot register the data source: HTTP 400")
        .says("data exchange domain")
        .says("trackingId ROUTER_");
    assert!(story.log().is_empty());
}

#[test]
fn a_token_without_the_write_scope_is_named_as_such() {
    let story = story();
    let id = story.one();
    story.may_only_read();
    for arguments in [
        &REGISTER[..],
        &["update", &id, "--audience", "x", "--yes"],
        &["delete", &id, "--yes"],
        &["disable", &id, "--error-message", "x"],
    ] {
        let told = story.data_sources(arguments);
        told.exits(78).says("spark-admin:datasource_write");
    }
    assert!(story.log().is_empty());
    assert_eq!(story.source(&id)["audience"], "AppTwo");
}

#[test]
fn a_log_that_cannot_be_opened_forbids_every_change() {
    let story = story();
    let id = story.one();
    for arguments in [
        &REGISTER[..],
        &["update", &id, "--audience", "x", "--yes"],
        &["delete", &id, "--yes"],
        &["disable", &id, "--error-message", "x"],
        &["enable", &id],
    ] {
        story
            .data_sources(&[arguments, &["--log", "no/such/log"]].concat())
            .exits(74)
            .says("nothing was changed");
    }
    story.asked_nothing();
}

#[cfg(target_os = "linux")]
#[test]
fn a_change_that_cannot_be_written_down_is_made_and_told() {
    let story = story();
    let id = story.one();
    let log = ["--log", "/dev/full"];
    let update = ["update", &id, "--audience", "x", "--yes"];

    let told = story.data_sources(&[&update[..], &log].concat());

    told.exits(74).says("updated").says("warning: ");
    told.says("does not stand in the operation log");
    assert_eq!(story.source(&id)["audience"], "x");
    let json = story.data_sources(&[&REGISTER[..], &log, &["--json"]].concat());
    assert!(json.exits(74).warns("does not stand in the operation log"));

    // One that may have been made is told as that, too.
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
    let again = ["update", &id, "--audience", "y", "--yes"];
    let told = story.data_sources(&[&again[..], &log].concat());
    told.exits(75)
        .says("it may have been done")
        .says("does not stand in the operation log");
}

// update

#[test]
fn only_what_is_named_changes_in_every_recorded_shape() {
    for shape in SHAPES {
        let story = story_with(Policy {
            data_source_shape: shape,
            ..Policy::default()
        });
        let id = story.one();
        let before = story.source(&id);

        let told = story.data_sources(&[
            "update",
            &id,
            "--url",
            "https://other.example.com/in?tenant=8",
            "--yes",
        ]);

        told.exits(0);
        let line = format!("updated {id}");
        assert!(told.stdout.starts_with(&line), "{}", told.stdout);
        assert_eq!(
            told.stderr,
            format!(
                "Data source {id}:\n  \
                 - url: wss://deep.example.com/receiver?***\n  \
                 + url: https://other.example.com/in?***\n"
            )
        );
        let mut expected = without_dates(&before);
        expected["url"] = "https://other.example.com/in?tenant=8".into();
        let after = story.source(&id);
        assert_eq!(without_dates(&after), expected, "{shape:?}");
        assert_ne!(after["nonce"], before["nonce"], "{shape:?}");
        let sent = story.updates(&id);
        assert_eq!(sent.len(), 1, "{shape:?}");
        assert_eq!(sent[0]["x-unknown"], json!({ "kept": [1, 2] }), "{shape:?}");
        assert_eq!(sent[0]["tokenLifetimeMinutes"], 45, "{shape:?}");
        for of_replies in ["id", "orgId", "jwsToken", "createdAt", "tokenExpiryTime"] {
            assert!(sent[0].get(of_replies).is_none(), "{of_replies} is sent");
        }
        let log = story.log();
        assert_eq!(log.len(), 1);
        assert_eq!(log[0]["operation"], "update");
        assert_eq!(log[0]["id"], id);
        let text = story.read("data-sources.log");
        assert!(!text.contains("tenant=") && !text.contains("eyJ"), "{text}");
    }
}

#[test]
fn all_that_is_named_changes_at_once() {
    let story = story();
    let id = story.one();
    let before = story.source(&id);
    let told = story.data_sources(&[
        "update",
        &id[..8],
        "--audience",
        "AppFour",
        "--subject",
        "somethingElse",
        "--schema",
        "5397",
        "--url",
        "https://other.example.com/",
        "--lifetime",
        "24h",
        "--yes",
        "--json",
    ]);
    let json = told.exits(0).outcome("updated");
    assert_eq!(told.stderr, "");
    assert_eq!(json["id"], id);
    assert_eq!(
        json["before"],
        json!({
            "audience": "AppTwo",
            "schemaId": WEB_SOCKET,
            "url": "wss://deep.example.com/receiver?***",
            "tokenLifetimeMinutes": 45,
        })
    );
    assert_eq!(
        json["after"],
        json!({
            "audience": "AppFour",
            "schemaId": GRPC,
            "url": "https://other.example.com/",
            "tokenLifetimeMinutes": 1440,
        })
    );
    let mut expected = without_dates(&before);
    expected["audience"] = "AppFour".into();
    expected["schemaId"] = GRPC.into();
    expected["url"] = "https://other.example.com/".into();
    expected["tokenLifetimeMinutes"] = 1440.into();
    assert_eq!(without_dates(&story.source(&id)), expected);
}

#[test]
fn nothing_named_and_nobody_to_ask_are_slips_on_the_command_line() {
    let story = story();
    let id = story.one();
    story.refuses(
        &["update", &id, "--yes"],
        2,
        &["nothing is named", "--audience"],
    );
    story.refuses(&["update", &id], 2, &["nothing is named"]);
    story.refuses(
        &["update", &id, "--audience", "x"],
        2,
        &["--yes", "terminal"],
    );
    story.refuses(&["delete", &id], 2, &["--yes", "terminal"]);
    for arguments in [
        &["update", "--audience", "x"][..],
        &["update", &id, "--audience", "x", "--from", "f"],
        &["disable", &id],
        &["disable", &id, "--error-message", " "],
        &["delete", "--yes"],
        &["enable"],
    ] {
        story.data_sources(arguments).exits(2);
    }
    story.asked_nothing();
}

#[test]
fn what_is_so_already_is_not_sent() {
    for shape in SHAPES {
        let story = story_with(Policy {
            data_source_shape: shape,
            ..Policy::default()
        });
        let id = story.one();
        let same = [
            "update",
            &id,
            "--audience",
            "AppTwo",
            "--url",
            "wss://deep.example.com/receiver?tenant=7",
            "--lifetime",
            "45m",
            "--schema",
            "a38a",
            "--yes",
        ];
        story
            .data_sources(&same)
            .exits(0)
            .says(&format!("unchanged {id}: "));
        let json = story.data_sources(&[&same[..], &["--json"]].concat());
        json.exits(0).outcome("unchanged");
        story
            .data_sources(&["enable", &id])
            .exits(0)
            .says(&format!("unchanged {id}: it is active already"));
        assert_eq!(story.count("PUT"), 0);
        assert!(story.log().is_empty());
    }
}

#[test]
fn a_difference_in_what_is_not_shown_is_told_to_be_one() {
    let story = story();
    let id = story.one();
    let told = story.data_sources(&[
        "update",
        &id,
        "--url",
        "wss://deep.example.com/receiver?tenant=NzY1Y2FuYXJ5LXNlY3JldA",
        "--yes",
    ]);
    told.exits(0)
        .says("+ url: wss://deep.example.com/receiver?*** (differs in what is not shown)");
    assert!(!told.stderr.contains(CANARY) && !told.stdout.contains(CANARY));
}

#[test]
fn quiet_says_nothing_where_nothing_is_wrong() {
    let story = story();
    let id = story.one();
    for arguments in [
        &REGISTER[..],
        &["update", &id, "--audience", "x", "--yes"],
        &["update", &id, "--audience", "x", "--yes"],
        &["disable", &id, "--error-message", "x"],
        &["delete", &id, "--yes"],
    ] {
        let told = story.data_sources(&[arguments, &["--quiet"]].concat());
        told.exits(0);
        assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("", ""));
    }
    assert_eq!(story.log().len(), 4);
}

#[test]
fn a_control_character_from_webex_steers_no_terminal() {
    let story = story();
    let id = story.sandbox.register_data_source(&json!({
        "audience": "App\u{1b}[2J\u{202e}One",
        "subject": "s",
        "nonce": "first",
        "schemaId": GRPC,
        "url": "https://x.example.com/",
        "tokenLifetimeMinutes": 45,
    }));
    for arguments in [
        &["update", &id, "--audience", "x", "--yes"][..],
        &["delete", &id, "--yes"],
    ] {
        let told = story.data_sources(arguments);
        told.exits(0);
        let all = format!("{}{}", told.stdout, told.stderr);
        assert!(!all.contains(['\u{1b}', '\u{202e}']), "{all:?}");
    }
}

#[test]
fn an_update_whose_answer_was_lost_is_looked_for_and_not_done_twice() {
    for repeated_nonce in [
        RepeatedNonce::KeepsJws,
        RepeatedNonce::RenewsJws,
        RepeatedNonce::Rejected,
    ] {
        for (fault, sent) in [
            (Fault::drop_after(), 1),
            (Fault::half_body(), 1),
            (Fault::drop_before(), 2),
            (Fault::status(502), 2),
        ] {
            let story = story_with(Policy {
                repeated_nonce,
                ..Policy::default()
            });
            let id = story.one();
            let before = story.source(&id);
            story.sandbox.script(Endpoint::UpdateDataSource, [fault]);

            story
                .data_sources(&["update", &id, "--audience", "x", "--yes"])
                .exits(0)
                .says("updated");

            let updates = story.updates(&id);
            assert_eq!(updates.len(), sent);
            assert!(updates.iter().all(|body| *body == updates[0]));
            let mut expected = without_dates(&before);
            expected["audience"] = "x".into();
            assert_eq!(without_dates(&story.source(&id)), expected);
            assert_eq!(story.log().len(), 1);
            assert_eq!(story.log()[0]["outcome"], "done");
        }
    }
}

#[test]
fn an_update_of_which_nothing_is_known_is_told_so_and_stands_in_the_log() {
    let story = story();
    let id = story.one();
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

    let told = story.data_sources(&["update", &id, "--audience", "x", "--yes", "--json"]);

    let json = told.exits(75).outcome("unknown");
    assert!(json["message"].to_string().contains(&id), "{json:#}");
    assert_eq!(story.log()[0]["outcome"], "unknown");
    assert_eq!(story.log()[0]["operation"], "update");
}

#[test]
fn what_cannot_be_kept_is_not_sent() {
    let story = story_with(Policy {
        data_source_shape: DataSourceShape::CcReadme,
        ..Policy::default()
    });
    let id = story.one();
    story
        .sandbox
        .script_always(Endpoint::ReadDataSource, Fault::without(&["jwsToken"]));
    let told = story.data_sources(&["update", &id, "--audience", "x", "--yes"]);
    told.exits(1)
        .says(&format!("cannot update {id}"))
        .says("it is not invented");
    assert_eq!(story.count("PUT"), 0);
    assert!(!told.stderr.contains("+ audience"), "{}", told.stderr);

    // What is named need not be known.
    story
        .data_sources(&[
            "update",
            &id,
            "--audience",
            "x",
            "--subject",
            "y",
            "--url",
            "https://x.example.com/",
            "--lifetime",
            "1h",
            "--yes",
        ])
        .exits(0)
        .says("- audience: (not told)");
    assert_eq!(story.source(&id)["subject"], "y");
}

#[test]
fn a_disabled_one_keeps_its_message_or_is_left_alone() {
    for shape in SHAPES {
        let story = story_with(Policy {
            data_source_shape: shape,
            ..Policy::default()
        });
        let id = story.one();
        story
            .data_sources(&["disable", &id, "--error-message", "back at noon"])
            .exits(0);
        let before = story.source(&id);
        let told = story.data_sources(&["update", &id, "--audience", "x", "--yes"]);
        let source = story.source(&id);
        if told.code == 0 {
            assert_eq!(source["errorMessage"], "back at noon", "{shape:?}");
            assert_eq!(source["status"], "disabled", "{shape:?}");
            assert_eq!(source["audience"], "x", "{shape:?}");
        } else {
            told.exits(1)
                .says("does not tell its errorMessage")
                .says("data-sources enable");
            let hides = [DataSourceShape::Recorded, DataSourceShape::CcReadme];
            assert!(hides.contains(&shape), "{shape:?}");
            assert_eq!(source, before, "{shape:?}");
        }
    }
}

#[test]
fn one_that_is_not_there_or_not_the_only_one_is_not_changed() {
    let story = story();
    let ids = story.sandbox.seed_data_sources(40);
    // Of 40 ids, two begin with the same digit.
    let digit = |id: &String| id[..1].to_owned();
    let twice = ids
        .iter()
        .find(|id| ids.iter().filter(|it| digit(it) == digit(id)).count() > 1);
    let ambiguous = digit(twice.expect("there are 16 digits"));
    let whole = "5397013b-7920-4ffc-807c-e8a3e0a18f43";
    for given in [&ambiguous, "zz", whole] {
        for arguments in [
            &["update", given, "--audience", "x", "--yes"][..],
            &["delete", given, "--yes"],
            &["disable", given, "--error-message", "x"],
            &["enable", given],
        ] {
            let told = story.data_sources(arguments);
            told.exits(1).says("data-sources list");
            let start = format!("error: cannot {} {given}", arguments[0]);
            assert!(told.complaint().starts_with(&start), "{}", told.stderr);
        }
    }
    assert_eq!(story.count("PUT") + story.count("DELETE"), 0);
}

// delete

#[test]
fn delete_shows_what_goes_and_logs_what_it_was() {
    let story = story();
    let id = story.one();
    let other = story.sandbox.seed_data_sources(1).remove(0);

    let told = story.data_sources(&["delete", &id[..8], "--yes"]);

    told.exits(0);
    assert_eq!(told.stdout, format!("deleted {id}\n"));
    told.says("audience: AppTwo")
        .says("url: wss://deep.example.com/receiver?***")
        .says("status: active");
    assert!(story.sandbox.data_source(&id).is_none());
    assert!(story.sandbox.data_source(&other).is_some());
    let log = story.log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0]["operation"], "delete");
    assert_eq!(log[0]["id"], id);
    assert_eq!(log[0]["before"]["schemaId"], WEB_SOCKET);
    assert!(log[0].get("after").is_none());

    story
        .data_sources(&["delete", &id, "--yes", "--json"])
        .exits(1)
        .outcome("not_found");
    assert_eq!(story.log().len(), 1);
}

#[test]
fn a_deletion_is_told_to_programs() {
    let story = story();
    let id = story.one();
    let told = story.data_sources(&["delete", &id, "--yes", "--json"]);
    let json = told.exits(0).outcome("deleted");
    assert_eq!(json["before"]["audience"], "AppTwo");
    assert_eq!(json["before"]["tokenLifetimeMinutes"], 45);
    assert_eq!(json["after"], Value::Null);
    assert_eq!(json["expiresAt"], Value::Null);
    assert!(json["trackingId"].is_string());
    assert_eq!(told.stderr, "");
}

#[test]
fn a_deletion_whose_answer_was_lost_is_looked_for() {
    for (fault, sent) in [
        (Fault::drop_after(), 1),
        (Fault::drop_before(), 2),
        (Fault::status(500), 2),
    ] {
        let story = story();
        let id = story.one();
        story.sandbox.script(Endpoint::DeleteDataSource, [fault]);
        story
            .data_sources(&["delete", &id, "--yes"])
            .exits(0)
            .says(&format!("deleted {id}"));
        assert_eq!(story.count("DELETE"), sent);
        assert!(story.sandbox.data_source(&id).is_none());
        assert_eq!(story.log().len(), 1);
    }
}

// disable and enable

#[test]
fn delivery_ends_and_goes_on_and_nothing_else_changes() {
    for shape in SHAPES {
        let story = story_with(Policy {
            data_source_shape: shape,
            ..Policy::default()
        });
        let id = story.one();
        let before = story.source(&id);
        let disable = |message| {
            let told = story.data_sources(&["disable", &id, "--error-message", message]);
            told.exits(0);
            told
        };

        disable("down for maintenance").says(&format!("disabled {id}"));
        let mut expected = without_dates(&before);
        expected["status"] = "disabled".into();
        expected["errorMessage"] = "down for maintenance".into();
        assert_eq!(without_dates(&story.source(&id)), expected, "{shape:?}");

        // Another message is a change.
        disable("back at noon").says(&format!("disabled {id}"));
        expected["errorMessage"] = "back at noon".into();
        assert_eq!(without_dates(&story.source(&id)), expected, "{shape:?}");
        assert_eq!(story.count("PUT"), 2, "{shape:?}");

        // The same is none, where Webex tells which it is.
        let told = disable("back at noon");
        let is_told = matches!(
            shape,
            DataSourceShape::ByodsJs | DataSourceShape::Oas | DataSourceShape::Full
        );
        if is_told {
            told.says(&format!("unchanged {id}: it is disabled already"));
        }
        assert_eq!(story.count("PUT"), if is_told { 2 } else { 3 }, "{shape:?}");

        let told = story.data_sources(&["enable", &id, "--json"]);
        let json = told.exits(0).outcome("enabled");
        assert_eq!(json["before"]["status"], "disabled");
        assert_eq!(json["after"]["status"], "active");
        assert!(json["expiresAt"].is_string() || shape == DataSourceShape::Oas);
        let expected = without_dates(&before);
        assert_eq!(without_dates(&story.source(&id)), expected, "{shape:?}");
        let operations: Vec<_> = story
            .log()
            .iter()
            .map(|it| it["operation"].clone())
            .collect();
        assert_eq!(operations.first(), Some(&"disable".into()));
        assert_eq!(operations.last(), Some(&"enable".into()));
    }
}

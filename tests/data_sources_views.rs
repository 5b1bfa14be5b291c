//! What people and programs see of data sources: `list`, `show` and `schemas`.

#![cfg(unix)]

mod support;

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use webex_sandbox::{DataSourceShape, Endpoint, Fault, Grant, JwsKey, Policy, Sandbox, Timestamps};

use support::data_sources::{SHAPES, story, story_with};
use support::pty::{Pty, PtyTold};
use support::{DATA_SOURCES, Hand, Run, Story, Told, assert_no_piece};

const HOUR: Duration = Duration::from_hours(1);

const VOICE: &str = "5397013b-7920-4ffc-807c-e8a3e0a18f43";
const FORKING: &str = "523e1b7f-4693-47bc-b84e-a7b7a505fb0b";

/// What a terminal obeys, in several ways.
const HOSTILE: &str = "a\u{1b}[2Jb\r\nc\u{9b}31md\u{202e}e\u{7}f\u{2028}g";

fn shaped(data_source_shape: DataSourceShape) -> Story {
    story_with(Policy {
        data_source_shape,
        ..Policy::default()
    })
}

impl Story {
    /// A data source that was extended so long ago.
    fn registered(&self, audience: &str, schema: &str, url: &str, ago: Duration) -> String {
        let id = self.sandbox.register_data_source(&json!({
            "audience": audience,
            "subject": "callAudioData",
            "nonce": format!("nonce-{audience}"),
            "schemaId": schema,
            "url": url,
            "tokenLifetimeMinutes": 1440,
        }));
        self.sandbox.age_data_source(&id, ago);
        id
    }

    /// One of each urgency; not in the order in which they are listed.
    fn sources(&self) -> [String; 4] {
        let url = "https://recv.example.com/media/";
        let fine = self.registered("AppFine", VOICE, &format!("{url}fine"), HOUR);
        let expired = self.registered("AppExpired", FORKING, &format!("{url}expired"), 30 * HOUR);
        let due = self.registered("AppDue", VOICE, &format!("{url}due"), 14 * HOUR);
        let long = format!("{url}a-path/that-is/longer/than-most/of-them/are/ending");
        let ending = self.registered("AppEnding", FORKING, &long, 20 * HOUR);
        [expired, ending, due, fine]
    }

    /// Has Webex list just these.
    fn lists(&self, items: &Value) {
        let page = json!({ "items": items }).to_string();
        let fault = Fault::body(200, "application/json", page);
        self.sandbox.script_always(Endpoint::DataSources, fault);
    }

    /// Runs `data-sources` on a terminal of so many columns.
    fn on_a_terminal(&self, columns: u16, arguments: &[&str]) -> PtyTold {
        let mut command = self.command(DATA_SOURCES);
        let pty = Pty::start_sized(command.args(arguments), columns, 40);
        pty.finish(self)
    }

    /// Runs `data-sources`, and searches all of its output for the JWS of what there is.
    fn views(&self, arguments: &[&str]) -> Told {
        let told = self.data_sources(arguments);
        let ids = told
            .stdout
            .split(|c: char| c != '-' && !c.is_ascii_hexdigit());
        for id in ids.filter(|word| word.len() == 36) {
            if let Some(source) = self.sandbox.data_source(id) {
                let jws = source["jwsToken"].as_str().expect("a JWS");
                assert_no_piece(&told.stdout, jws);
                assert_no_piece(&told.stderr, jws);
            }
        }
        told
    }

    fn asked_for(&self, path: &str) -> usize {
        let requests = self.sandbox.requests();
        requests
            .iter()
            .filter(|request| request.path == path)
            .count()
    }
}

fn listed(told: &Told) -> Vec<Value> {
    let json = told.outcome("listed");
    json["dataSources"].as_array().expect("a list").clone()
}

fn ids(told: &Told) -> Vec<String> {
    let ids = listed(told).into_iter().map(|source| source["id"].clone());
    ids.map(|id| id.as_str().expect("an id").to_owned())
        .collect()
}

/// A time of the sandbox's, to the second.
fn to_the_second(time: &Value) -> String {
    let time = time.as_str().expect("a time");
    format!("{}Z", &time[..19])
}

/// What differs from run to run, and what stands for it: as long as it was, for the columns' sake.
const FILTERS: [(&str, &str); 11] = [
    (
        r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
    ),
    (r"(?m)^[0-9a-f]{8}( |$)", "xxxxxxxx$1"),
    (r"sha256:[0-9a-f]{32}", "sha256:[FINGERPRINT]"),
    (r"C[0-9a-f]{20,64}(\n[0-9a-f]{1,44}\b)?", "[CLIENT-ID]"),
    (r"127\.0\.0\.1:\d+", "[HOST]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
    (r"\d{4}-\d\d-\d\d\s+\d\d:\d\d UTC", "[DATE]"),
    (r#""secondsLeft": -?\d+"#, r#""secondsLeft": "[SECONDS]""#),
    (r#""(exp|iat)": \d+"#, r#""$1": "[SECONDS]""#),
    (r"\b\d+ seconds? ago", "[SPAN] ago"),
    (r"(?:ROUTER|ROUTERGW)_[0-9a-f-]{36}", "[TRACKING ID]"),
];

macro_rules! assert_shown {
    ($name:expr, $shown:expr) => {
        insta::with_settings!({
            filters => FILTERS,
            prepend_module_to_snapshot => false,
        }, {
            insta::assert_snapshot!(format!("views_{}", $name), $shown);
        });
    };
}

fn shown(told: &Told) -> String {
    format!(
        "exit code {}\n--- stdout\n{}--- stderr\n{}",
        told.code, told.stdout, told.stderr
    )
}

#[test]
fn what_expires_first_is_on_top_in_every_recorded_shape() {
    for shape in SHAPES {
        let story = shaped(shape);
        let expected = story.sources();
        let told = story.views(&["list", "--json"]);
        told.exits(0);
        let listed = listed(&told);
        let urgencies: Vec<_> = listed.iter().map(|it| it["urgency"].clone()).collect();
        assert_eq!(urgencies, ["expired", "ending", "due", "fine"], "{shape:?}");
        for (source, id) in listed.iter().zip(&expected) {
            let full = story.source(id);
            assert_eq!(source["expiresAt"], to_the_second(&full["tokenExpiryTime"]));
            let left = source["secondsLeft"].as_i64().expect("seconds");
            assert_eq!(left < 0, source["urgency"] == "expired");
            for field in ["audience", "subject", "schemaId", "url"] {
                assert_eq!(source[field], full[field], "{shape:?}");
            }
            let name = match full["schemaId"].as_str() {
                Some(VOICE) => "VoiceVirtualAgent (gRPC)",
                _ => "ConversationAudioForking (gRPC)",
            };
            assert_eq!(source["serviceName"], name);
            if shape == DataSourceShape::Oas {
                assert_eq!(source["id"], Value::Null);
                assert_eq!(source["status"], "unknown");
            } else {
                assert_eq!(source["id"], **id);
                assert_eq!(source["status"], "active");
            }
        }
        let nameless = told.warns("does not tell the ids of 4 data sources");
        assert_eq!(nameless, shape == DataSourceShape::Oas, "{shape:?}");
    }
}

#[test]
fn dates_without_a_jws_count_also_without_a_zone() {
    let story = story();
    story.lists(&json!([
        { "id": "later", "tokenExpiryTime": "2024-10-31T02:13:25.776000" },
        { "id": "unknown", "tokenExpiryTime": "soon" },
        { "id": "earlier", "tokenExpiryTime": "2024-10-31T03:13:25.776+02:00" },
        { "id": "bare" },
        { "id": "fine", "tokenExpiryTime": "2999-01-01T00:00:00Z",
          "createdAt": "2020-01-01T00:00:00.123456" },
        { "id": "off", "status": "inactive", "tokenExpiryTime": "2020-01-01T00:00:00Z" },
    ]));
    let told = story.views(&["list", "--json"]);
    let expected = ["earlier", "later", "unknown", "bare", "fine", "off"];
    assert_eq!(ids(&told), expected);
    let listed = listed(&told);
    assert_eq!(listed[1]["expiresAt"], "2024-10-31T02:13:25Z");
    assert_eq!(listed[2]["expiresAt"], Value::Null);
    assert_eq!(listed[3]["urgency"], "unknown");
    assert_eq!(listed[4]["issuedAt"], "2020-01-01T00:00:00Z");
    assert_eq!(listed[5]["urgency"], "disabled");
    story
        .views(&["list"])
        .says("unknown  unknown                unknown   -        -         -    valid\n");

    // The same of a whole reply, as Webex writes it.
    story.sandbox.clear_faults();
    story
        .sandbox
        .set_policy(|policy| policy.timestamps = Timestamps::Naive);
    let [id, ..] = story.sources();
    let told = story.views(&["show", &id]);
    let created = "createdAt        ";
    told.exits(0).says(created).says(" (30 hours ago)\n");
}

#[test]
fn what_expires_soon_is_chosen() {
    let story = story();
    let [expired, ending, due, _] = story.sources();
    let within = |span: &str| ids(&story.views(&["list", "--json", "--expiring-within", span]));
    assert_eq!(within("6h"), [expired.clone(), ending.clone()]);
    assert_eq!(within("12h"), [expired.clone(), ending.clone(), due]);
    assert_eq!(within("0s"), [expired]);

    // What may have expired is among them; what is disabled is not, as nothing is due to it.
    story.lists(&json!([
        { "id": "off", "status": "disabled", "tokenExpiryTime": "2020-01-01T00:00:00Z" },
        { "id": "unknown" },
    ]));
    assert_eq!(within("6h"), ["unknown"]);
    story.lists(&json!([]));
    let told = story.views(&["list", "--expiring-within", "6h"]);
    assert_eq!(told.stdout, "no data source expires within 6h\n");
    let told = story.views(&["list"]);
    told.exits(0);
    assert_eq!(
        told.stdout,
        "there is no data source; register one with `data-sources register`\n"
    );
    assert_eq!(ids(&story.views(&["list", "--json"])), [""; 0]);
}

#[test]
fn every_page_is_listed_and_schemas_are_asked_for_once() {
    let story = story_with(Policy {
        page_size: Some(2),
        ..Policy::default()
    });
    let mut expected = story.sandbox.seed_data_sources(5);
    story.views(&["list"]).exits(0);
    story.sandbox.clear_requests();
    let mut listed = ids(&story.views(&["list", "--json"]));
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
    assert_eq!(story.asked_for("/v1/dataSources/schemas"), 1);
}

#[test]
fn a_list_that_goes_on_elsewhere_is_not_followed() {
    let story = story();
    let elsewhere = Sandbox::start();
    let link = format!(
        "<{}/dataSources?cursor=2>; rel=\"next\"",
        elsewhere.base_url()
    );
    let page = Fault::body(200, "application/json", r#"{"items":[]}"#).header("link", &link);
    story.sandbox.script_always(Endpoint::DataSources, page);
    let told = story.views(&["list"]);
    told.exits(78)
        .says("another host")
        .says("WEBEX_API_BASE_URL");
    assert_eq!(told.stdout, "");
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_terminal_obeys_nothing_of_what_webex_says() {
    let story = shaped(DataSourceShape::Full);
    story
        .sandbox
        .set_policy(|policy| policy.data_exchange_domains = Vec::new());
    let id = story.sandbox.register_data_source(&json!({
        "audience": HOSTILE,
        "subject": HOSTILE,
        "nonce": HOSTILE,
        "schemaId": VOICE,
        "url": format!("https://recv.example.com/{HOSTILE}"),
        "tokenLifetimeMinutes": 1440,
        HOSTILE: { "deep": [HOSTILE] },
    }));
    let mut item = story.source(&id);
    item["status"] = HOSTILE.into();
    item["errorMessage"] = HOSTILE.into();
    story.lists(&json!([item, { "id": HOSTILE }]));
    let read = Fault::with("errorMessage", HOSTILE);
    story.sandbox.script_always(Endpoint::ReadDataSource, read);
    let steers = |c: char| {
        c != '\n'
            && (c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{200b}'..='\u{200f}'))
    };
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["show", &id],
        &["show", &id, "--json"],
        &["show", &id, "--no-verify"],
    ] {
        let told = story.views(arguments);
        told.exits(0);
        assert!(!told.stdout.contains(steers), "{:?}", told.stdout);
        assert!(!told.stderr.contains(steers), "{:?}", told.stderr);
    }
    // A row is a line, and what is no id is none.
    assert_eq!(story.views(&["list"]).stdout.lines().count(), 3);
    assert_eq!(
        listed(&story.views(&["list", "--json"]))[1]["id"],
        id.as_str()
    );
    // A program gets all of it.
    let json = story.views(&["show", &id, "--json"]).outcome("shown");
    assert_eq!(json["dataSource"]["errorMessage"], HOSTILE);
    assert_eq!(json["dataSource"]["audience"], HOSTILE);
}

#[test]
fn thousands_are_listed_in_order() {
    let story = story();
    let item = |index: usize| {
        json!({
            "id": format!("{index:08x}-0000-4000-8000-000000000000"),
            "tokenExpiryTime": format!("2024-01-01T00:{:02}:{:02}Z", index * 7 % 60, index % 60),
        })
    };
    let items: Vec<_> = (0..5000).map(item).collect();
    story.lists(&items.into());
    let told = story.views(&["list", "--json"]);
    let listed = listed(&told);
    assert_eq!(listed.len(), 5000);
    assert!(listed.is_sorted_by_key(|source| source["expiresAt"].to_string()));
    assert_eq!(story.views(&["list"]).stdout.lines().count(), 5001);
}

#[test]
fn an_unknown_status_is_shown_and_does_not_matter() {
    let story = story();
    let [id, ..] = story.sources();
    let mut item = story.source(&id);
    item["status"] = "paused".into();
    story.lists(&json!([item]));
    let told = story.views(&["list", "--json"]);
    assert_eq!(listed(&told)[0]["status"], "paused");
    assert_eq!(listed(&told)[0]["urgency"], "expired");
    story.views(&["list"]).says("paused");
}

#[test]
fn urls_are_shown_without_their_secrets() {
    let story = story();
    let url = "https://user:canary-password@recv.example.com/ds?key=canary-query#canary-fragment";
    let id = story.registered("AppOne", VOICE, url, HOUR);
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["show", &id],
        &["show", &id, "--json"],
    ] {
        let told = story.views(arguments);
        told.exits(0)
            .says("https://***@recv.example.com/ds?***#***");
        assert!(!format!("{}{}", told.stdout, told.stderr).contains("canary"));
    }
}

#[test]
fn without_schemas_their_ids_are_shown_and_a_warning() {
    let story = story();
    story.sources();
    let refusal = Fault::status(404);
    story.sandbox.script_always(Endpoint::Schemas, refusal);
    let told = story.views(&["list"]);
    told.exits(0)
        .says(VOICE)
        .says("warning: cannot list the schemas");
    let told = story.views(&["list", "--json"]);
    assert!(told.warns("cannot list the schemas"));
    assert_eq!(listed(&told)[0]["serviceName"], Value::Null);
    assert_eq!(listed(&told)[0]["schemaId"], FORKING);
    story
        .views(&["schemas"])
        .exits(1)
        .says("cannot get the list of schemas");
}

#[test]
fn names_are_not_waited_for() {
    let story = story();
    story.sources();
    let busy = Fault::status(503).header("retry-after", "30");
    story.sandbox.script_always(Endpoint::Schemas, busy);
    let told = story.views(&["list", "--json"]);
    told.exits(0);
    assert!(told.warns("cannot list the schemas"));
    // The second time would have been half a minute later.
    assert_eq!(story.asked_for("/v1/dataSources/schemas"), 1);
}

#[test]
fn nothing_but_what_was_asked_for_is_told_when_quiet() {
    let story = story();
    story.sources();
    story
        .sandbox
        .script_always(Endpoint::Schemas, Fault::status(404));
    let told = story.views(&["list", "-q"]);
    told.exits(0);
    assert_eq!(told.stderr, "");
    assert_eq!(told.stdout.lines().count(), 5);
}

#[test]
fn the_token_is_told_with_its_dates() {
    let story = Story::refreshed(Sandbox::start(), Hand::REFRESH_TOKEN);
    let told = story.views(&["list", "--json"]);
    let token = &told.outcome("listed")["token"];
    assert_eq!(token["state"], "valid");
    let state = story.state();
    let left = token["secondsLeft"].as_i64().expect("seconds");
    assert!((13 * 86_400..=14 * 86_400).contains(&left), "{left}");
    assert!(token["humanNeededBy"].is_string(), "{state:#}");
    let told = story.views(&["list"]);
    assert!(
        told.stderr
            .starts_with("service-app token: valid, expires "),
        "{}",
        told.stderr
    );
    assert!(
        told.stderr.contains("in 14 days; a human is needed by "),
        "{}",
        told.stderr
    );
}

#[test]
fn tables_fit_into_the_terminal() {
    let story = Story::refreshed(Sandbox::start(), Hand::REFRESH_TOKEN);
    let [_, _, _, fine] = story.sources();
    let told = story.data_sources(&["disable", &fine, "--error-message", "in maintenance"]);
    told.exits(0);
    for columns in [60, 80, 160] {
        for table in ["list", "schemas"] {
            let told = story.on_a_terminal(columns, &[table, "--color", "never"]);
            told.exits(0);
            assert_shown!(format!("{table}_{columns}"), told.transcript);
        }
    }
    // What is abbreviated there will do here.
    let told = story.on_a_terminal(60, &["list", "--color", "never"]);
    let abbreviated = told.transcript.lines().nth(1).expect("a row");
    let (abbreviated, _) = abbreviated.split_once(' ').expect("an id first");
    assert_eq!(abbreviated.len(), 8);
    story.views(&["show", abbreviated]).exits(0);
    let told = story.views(&["show", &abbreviated.to_uppercase()]);
    told.exits(0).says(abbreviated);
}

#[test]
fn no_row_is_broken_whatever_the_values() {
    let story = story();
    let long = "x".repeat(200);
    let wide = "電話".repeat(40);
    let mut item = story.source(&story.sources()[0]);
    item["status"] = long.as_str().into();
    item["audience"] = wide.as_str().into();
    item["url"] = format!("https://recv.example.com/{long}").into();
    story.lists(&json!([item]));
    for columns in [20, 60, 80, 160] {
        let told = story.on_a_terminal(columns, &["list", "-q"]);
        told.exits(0);
        assert_eq!(told.transcript.lines().count(), 2, "{}", told.transcript);
    }
    // Nothing limits a pipe.
    let told = story.views(&["list", "-q"]);
    told.says(&long).says(&wide);
}

#[test]
fn a_pipe_gets_whole_values() {
    let story = story();
    story.sources();
    assert_shown!("list_pipe", shown(&story.views(&["list"])));
    assert_shown!("list_json", shown(&story.views(&["list", "--json"])));
    assert_shown!("schemas_pipe", shown(&story.views(&["schemas"])));
    assert_shown!("schemas_json", shown(&story.views(&["schemas", "--json"])));
}

#[test]
fn color_repeats_what_words_say_where_it_is_wanted() {
    let story = story();
    let [id, ..] = story.sources();
    let colored = story.views(&["list", "--color", "always"]);
    assert_shown!("list_colored", shown(&colored));
    let plain = story.views(&["list"]);
    let stripped = strip_ansi_escapes::strip_str(&colored.stdout);
    assert_eq!(stripped, plain.stdout);
    for arguments in [&["list"][..], &["show", &id], &["schemas"]] {
        let mut command = story.command(DATA_SOURCES);
        command.args(arguments).env("NO_COLOR", "1");
        let told = Pty::start_sized(&mut command, 80, 40).finish(&story);
        told.exits(0);
        assert!(!told.bytes.contains('\u{1b}'), "{:?}", told.bytes);
        let told = story.on_a_terminal(80, arguments);
        assert!(told.bytes.contains('\u{1b}'), "{:?}", told.bytes);
        // A pipe is none, whatever the terminal.
        assert!(!story.views(arguments).stdout.contains('\u{1b}'));
    }
}

#[test]
fn what_cannot_be_shown_ends_as_it_should() {
    let story = story();
    let [id, ..] = story.sources();
    story
        .views(&["show", "zz"])
        .exits(1)
        .says("there is no data source zz…");
    let unknown = "00000000-0000-4000-8000-000000000000";
    let told = story.views(&["show", unknown]);
    told.exits(1)
        .says(&format!("cannot show {unknown}"))
        .says("data-sources list");
    assert_eq!(
        story
            .views(&["show", unknown, "--json"])
            .outcome("not_found")["version"],
        1
    );

    story.lists(&json!([{ "id": "abc-1" }, { "id": "abc-2" }]));
    let told = story.views(&["show", "ab"]);
    told.exits(1).says("ab… may be any of abc-1, abc-2");
    let told = story.views(&["show", "ab", "--json"]);
    told.exits(1).outcome("ambiguous");

    let forbidden = Fault::status(403);
    story
        .sandbox
        .script_always(Endpoint::ReadDataSource, forbidden);
    story
        .views(&["show", &id])
        .exits(78)
        .says("spark-admin:datasource_read");
    story.views(&["list", "--json", "extra"]).exits(2);
    story.views(&["show", &id, "--raw", "--json"]).exits(2);
}

#[test]
fn without_the_scope_or_without_webex_there_is_no_list() {
    let story = Story::new();
    let tokens = story
        .sandbox
        .issue_with(Grant::ServiceApp, &["spark:people_read"]);
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let told = story.views(&["list"]);
    told.exits(78).says("spark-admin:datasource_read");
    assert_eq!(told.stdout, "");

    let story = support::data_sources::story();
    story
        .sandbox
        .script_always(Endpoint::Any, Fault::drop_before());
    let told = story.views(&["list", "--deadline", "1s", "--json"]);
    told.exits(75).outcome("unavailable");
}

#[test]
fn all_of_one_is_shown_in_every_recorded_shape() {
    for shape in SHAPES {
        let story = shaped(shape);
        let [_, id, ..] = story.sources();
        let full = story.source(&id);
        let told = story.views(&["show", &id, "--json"]);
        told.exits(0);
        let json = told.outcome("shown");
        let source = json["dataSource"].as_object().expect("an object");
        assert_eq!(source["id"], *id);
        for (name, value) in source {
            if name == "jwsToken" {
                assert!(value.as_str().is_some_and(|it| it.starts_with("sha256:")));
                assert_eq!(*value, json["jws"]["fingerprint"]);
            } else {
                assert_eq!(*value, full[name], "{shape:?} {name}");
            }
        }
        if shape == DataSourceShape::Oas {
            assert_eq!(json["jws"], Value::Null);
            assert_eq!(json["signature"], "not_checked");
            assert_eq!(json["signatureMessage"], "Webex's answer has no JWS in it");
            assert_eq!(json["urgency"], "unknown");
        } else {
            assert_eq!(json["signature"], "verified", "{shape:?}");
            assert_eq!(json["jws"]["claims"]["aud"], full["audience"]);
            assert_eq!(json["jws"]["claims"]["jti"], full["nonce"]);
            assert_eq!(json["jws"]["header"]["alg"], "RS256");
            assert_eq!(json["expiresAt"], to_the_second(&full["tokenExpiryTime"]));
            assert_eq!(json["urgency"], "ending");
        }
        assert_eq!(json["warnings"], json!([]));
    }
}

#[test]
fn one_is_shown_field_by_field() {
    let story = shaped(DataSourceShape::Full);
    let id = story.sandbox.register_data_source(&json!({
        "audience": "AppOne",
        "subject": "callAudioData",
        "nonce": "123456",
        "schemaId": VOICE,
        "url": "https://recv.example.com/ds",
        "tokenLifetimeMinutes": 1440,
        "zone": { "name": "eu", "hosts": ["a", "b"] },
        "anotherOne": true,
    }));
    story.sandbox.age_data_source(&id, 20 * HOUR);
    assert_shown!("show", shown(&story.views(&["show", &id])));
    assert_shown!("show_json", shown(&story.views(&["show", &id, "--json"])));
    assert_shown!(
        "show_offline",
        shown(&story.views(&["show", &id, "--no-verify"]))
    );
    let told = story.on_a_terminal(80, &["show", &id]);
    assert_shown!("show_80", told.transcript);
}

#[test]
fn a_jws_under_its_other_name_is_one() {
    let story = story_with(Policy {
        jws_field: "jwtToken".to_owned(),
        ..Policy::default()
    });
    let [id, ..] = story.sources();
    let json = story.views(&["show", &id, "--json"]).outcome("shown");
    assert_eq!(json["signature"], "verified");
    assert_eq!(json["dataSource"]["jwtToken"], json["jws"]["fingerprint"]);
}

#[test]
fn a_signature_that_is_not_the_issuers_is_told_and_not_an_error() {
    let table = [
        (JwsKey::Forged, "the signature of the JWS is wrong"),
        (
            JwsKey::Unpublished,
            "the issuer publishes no usable key with the id in the JWS",
        ),
    ];
    for (jws_key, why) in table {
        let story = story_with(Policy {
            jws_key,
            ..Policy::default()
        });
        let [id, ..] = story.sources();
        let told = story.views(&["show", &id]);
        told.exits(0).says(&format!("NOT verified: {why}\n"));
        assert_eq!(
            told.stderr,
            format!("warning: the JWS is NOT verified: {why}\n")
        );
        let told = story.views(&["show", &id, "--json"]);
        let json = told.exits(0).outcome("shown");
        assert_eq!(json["signature"], "not_verified");
        assert_eq!(json["signatureMessage"], why);
        assert!(told.warns(why));
    }
}

#[test]
fn keys_are_asked_for_at_issuers_of_webex_alone_and_without_the_token() {
    let forger = Sandbox::start();
    let story = story_with(Policy {
        jws_issuer: Some(format!("{}/idb", forger.origin())),
        ..Policy::default()
    });
    let [id, ..] = story.sources();
    let told = story.views(&["show", &id]);
    told.exits(0)
        .says("NOT verified: the issuer `")
        .says("is none of Webex's");
    assert!(forger.requests().is_empty());

    let story = support::data_sources::story();
    let [id, ..] = story.sources();
    story.views(&["show", &id]).exits(0).says("verified");
    let requests = story.sandbox.requests();
    let keys: Vec<_> = requests
        .iter()
        .filter(|request| request.path.ends_with("/verificationjwk"))
        .collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].bearer(), None);
    let told = story.views(&["show", &id, "--no-verify", "--json"]);
    assert_eq!(told.outcome("shown")["signature"], "not_checked");
    assert!(!told.warns(""));
    assert_eq!(story.asked_for(&keys[0].path), 1);
}

#[test]
fn keys_that_cannot_be_had_leave_it_open() {
    let story = story();
    let [id, ..] = story.sources();
    let page = Fault::body(200, "application/json", r#"{"keys":{}}"#);
    let table = [
        (Fault::status(404), "HTTP 404: "),
        (Fault::status(500), "HTTP 500: "),
        (Fault::drop_before(), "the connection ended"),
        (Fault::half_body(), "the answer was cut short"),
        (Fault::redirect("http://example.com/"), "HTTP 302"),
        (Fault::huge_body((1 << 20) + 1), "the answer is over 1 MiB"),
        (Fault::endless_body(), "the answer is over 1 MiB"),
        (page, "the issuer's keys are not a JSON Web Key Set"),
        (
            Fault::html(),
            "the issuer's keys are not a JSON Web Key Set",
        ),
    ];
    for (fault, why) in table {
        story.sandbox.script(Endpoint::VerificationKeys, [fault]);
        let told = story.views(&["show", &id, "--json"]);
        let json = told.exits(0).outcome("shown");
        assert_eq!(json["signature"], "not_checked", "{why}");
        let message = json["signatureMessage"].as_str().expect("why");
        assert!(message.contains(why), "{message:?} is not {why:?}");
        assert!(told.warns(&format!("the JWS is not checked: {message}")));
    }
}

#[test]
fn a_run_that_is_told_to_stop_waits_for_no_keys() {
    let story = story();
    let [id, ..] = story.sources();
    let gate = story.sandbox.gate(Endpoint::VerificationKeys);
    let mut run = Run::of(&story, story.command(DATA_SOURCES).args(["show", &id]));
    gate.wait_for_request();
    run.stop(Signal::TERM);
    run.finish(&story)
        .exits(143)
        .says("not checked: cannot get the keys of 127.0.0.1: the run is over");
}

#[test]
fn a_raw_reply_is_given_byte_for_byte() {
    let story = story();
    let [id, ..] = story.sources();
    let reply =
        " {\"id\": \"x\",\r\n\t\"url\":\"https://u:p@a.example/?b\", \"n\": 1.50}\n\n\u{1b}[1m";
    let fault = Fault::body(200, "application/json", reply);
    story.sandbox.script(Endpoint::ReadDataSource, [fault]);
    let told = story.data_sources(&["show", &id, "--raw"]);
    told.exits(0);
    assert_eq!(told.stdout, reply);
    assert_eq!(told.stderr, "");
    // It is the one view with the JWS in it.
    let told = story.data_sources(&["show", &id[..8], "--raw"]);
    let jws = story.source(&id)["jwsToken"].clone();
    assert_eq!(told.json()["jwsToken"], jws);
    assert_eq!(story.asked_for("/idb/oauth2/v2/keys/verificationjwk"), 0);
}

#[test]
fn what_is_no_jws_is_shown_by_its_fingerprint_all_the_same() {
    let story = story();
    let [id, ..] = story.sources();
    for jws in [
        "not-a-jws-but-a-canary",
        "eyJhbGciOiJub25lIn0.e30.",
        "a.b.c",
    ] {
        let fault = Fault::with("jwsToken", jws);
        story.sandbox.script_always(Endpoint::ReadDataSource, fault);
        let told = story.views(&["show", &id, "--json"]);
        let json = told.exits(0).outcome("shown");
        assert_eq!(json["signature"], "not_verified", "{jws}");
        let told = story.views(&["show", &id]);
        told.exits(0)
            .says("jwsToken")
            .says("sha256:")
            .says("NOT verified: ");
        assert!(!told.stdout.contains(jws), "{}", told.stdout);
    }
}

//! The sandbox's data sources under a client that was not written here, `webex-byods-sdk` for
//! Python: it lists, registers, updates and extends. What it writes, `data-sources` reads.

#![cfg(unix)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use support::{Hand, Is, Story};
use webex_sandbox::{DataSourceShape, Grant, READ_SCOPE, Sandbox};

const SCHEMA: &str = "5397013b-7920-4ffc-807c-e8a3e0a18f43";

/// What a person who uses the SDK hands to `register_data_source`.
fn config() -> Value {
    json!({
        "audience": "AppTwo",
        "nonce": "nonce-1",
        "schemaId": SCHEMA,
        "subject": "callAudioData",
        "tokenLifetimeMinutes": 90,
        "url": "https://receiver.example.com/sdk",
    })
}

/// What that person hands to `update_data_source`.
fn replacement() -> Value {
    json!({
        "audience": "AppThree",
        "errorMessage": "under repair",
        "nonce": "nonce-2",
        "schemaId": "a38a10b7-43e4-4676-a076-a7d6dce9387d",
        "subject": "chat",
        "status": "disabled",
        "tokenLifetimeMinutes": 15,
        "url": "wss://receiver.example.com/sdk",
    })
}

#[test]
fn it_lists_and_reads_every_shape() {
    let sandbox = Sandbox::start();
    let ids = sandbox.seed_data_sources(3);
    let mut sdk = Sdk::start(&sandbox);
    for shape in [
        DataSourceShape::Recorded,
        DataSourceShape::CcReadme,
        DataSourceShape::ByodsJs,
        DataSourceShape::Oas,
        DataSourceShape::Full,
    ] {
        sandbox.set_policy(|policy| policy.data_source_shape = shape);
        let list = sdk.succeeds("list_all_data_sources", json!([]));
        let items = list["items"].as_array().expect("a list of data sources");
        assert_eq!(items.len(), ids.len(), "{shape:?}");
        for (id, item) in ids.iter().zip(items) {
            let read = sdk.succeeds("get_data_source_details", json!([id]));
            assert_eq!(read["id"], **id, "{shape:?}");
            for shown in [item, &read] {
                if shown.get("jwsToken").is_some() {
                    let told = sdk.call("enhance_data_source_with_jwt", json!([shown]));
                    assert_eq!(told["audience"], "AppOne", "{shape:?}");
                    assert_eq!(told["subject"], "callAudioData", "{shape:?}");
                    let url = &sandbox.data_source(id).expect("it is there")["url"];
                    assert_eq!(told["jwt_claims"]["com.cisco.datasource.url"], *url);
                }
            }
        }
    }
}

#[test]
fn it_finds_the_token_under_its_other_name() {
    let sandbox = Sandbox::start();
    sandbox.set_policy(|policy| policy.jws_field = "jwtToken".to_owned());
    let id = sandbox.seed_data_sources(1).remove(0);
    let mut sdk = Sdk::start(&sandbox);
    let read = sdk.succeeds("get_data_source_details", json!([id]));
    let told = sdk.call("enhance_data_source_with_jwt", json!([read]));
    assert_eq!(told["audience"], "AppOne");
}

#[test]
fn it_sees_a_data_source_age() {
    let sandbox = Sandbox::start();
    let id = sandbox.seed_data_sources(1).remove(0);
    let mut sdk = Sdk::start(&sandbox);
    for (more, left) in [(0, "23h "), (12, "11h "), (12, "EXPIRED")] {
        sandbox.age_data_source(&id, Duration::from_hours(more));
        let read = sdk.succeeds("get_data_source_details", json!([id]));
        let told = sdk.call("get_token_expiration_display", json!([read]));
        let told = told.as_str().expect("text");
        assert!(told.starts_with(left), "{told} is left");
    }
}

#[test]
fn it_registers_whether_that_is_answered_200_or_201() {
    let sandbox = Sandbox::start();
    let mut sdk = Sdk::start(&sandbox);
    for status in [200, 201] {
        sandbox.set_policy(|policy| policy.register_status = status);
        let result = sdk.call("register_data_source", json!([config()]));
        assert_eq!(result["success"], true, "{result}");
        assert_eq!(result["status_code"], status);
        let stored = stored(&sandbox, &result["data"]["id"]);
        for (name, sent) in config().as_object().expect("an object") {
            assert_eq!(stored[name], *sent, "{name}");
        }
        assert_eq!(stored["status"], "active");
    }
    let list = sdk.succeeds("list_all_data_sources", json!([]));
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn it_replaces_a_data_source_whole() {
    let sandbox = Sandbox::start();
    let mut sdk = Sdk::start(&sandbox);
    let mut config = config();
    config["labels"] = json!(["of nobody's"]);
    let id = sdk.succeeds("register_data_source", json!([config]))["id"].take();
    assert_eq!(stored(&sandbox, &id)["labels"], config["labels"]);

    let update = replacement();
    sdk.succeeds("update_data_source", json!([id, update]));
    let stored = stored(&sandbox, &id);
    for (name, sent) in update.as_object().expect("an object") {
        assert_eq!(stored[name], *sent, "{name}");
    }
    assert_eq!(stored.get("labels"), None);
}

#[test]
fn it_extends_where_it_is_told_enough() {
    for shape in [
        DataSourceShape::Recorded,
        DataSourceShape::Oas,
        DataSourceShape::Full,
    ] {
        let sandbox = Sandbox::start();
        sandbox.set_policy(|policy| policy.data_source_shape = shape);
        let id = Value::from(sandbox.register_data_source(&config()));
        let before = stored(&sandbox, &id);
        let mut sdk = Sdk::start(&sandbox);
        let result = sdk.call("extend_data_source_token", json!([id, 600]));
        assert_eq!(result["success"], true, "{shape:?}: {result}");

        let after = stored(&sandbox, &id);
        assert_eq!(after["nonce"], result["nonce_updated"]);
        assert_ne!(after["nonce"], before["nonce"]);
        assert_eq!(after["tokenLifetimeMinutes"], 600);
        for name in ["audience", "subject", "schemaId", "url", "status"] {
            assert_eq!(after[name], before[name], "{shape:?}: {name}");
        }
        let claims = claims(&after);
        assert_eq!(claims["jti"], after["nonce"]);
        let [from, to] = ["iat", "exp"].map(|name| claims[name].as_i64().expect("seconds"));
        assert_eq!(to - from, 600 * 60);
        let told = &result["token_expiry"];
        let is_shown = shape != DataSourceShape::Oas;
        assert_eq!(*told == after["tokenExpiryTime"], is_shown, "{shape:?}");
    }
}

#[test]
fn it_leaves_alone_what_shows_no_url() {
    for shape in [DataSourceShape::CcReadme, DataSourceShape::ByodsJs] {
        let sandbox = Sandbox::start();
        sandbox.set_policy(|policy| policy.data_source_shape = shape);
        let id = Value::from(sandbox.register_data_source(&config()));
        let before = stored(&sandbox, &id);
        let result = Sdk::start(&sandbox).call("extend_data_source_token", json!([id]));
        assert_eq!(result["success"], false, "{shape:?}: {result}");
        assert_eq!(stored(&sandbox, &id), before);
        assert_eq!(sandbox.requests().len(), 1, "it has asked, and sent no PUT");
    }
}

#[test]
fn it_names_the_schemas() {
    let sandbox = Sandbox::start();
    let mut sdk = Sdk::start(&sandbox);
    let schemas = sdk.call("get_available_schemas", json!([]));
    assert_eq!(schemas.as_array().map(Vec::len), Some(5));
    assert_eq!(
        sdk.call("get_schema_display_name", json!([SCHEMA])),
        "VoiceVirtualAgent (5397013b...)"
    );
}

#[test]
fn it_asks_for_another_token_once_and_no_more() {
    let sandbox = Sandbox::start();
    let [dead, live] = [token(&sandbox), token(&sandbox)];
    sandbox.expire(&dead);
    let mut sdk = Sdk::start_with(&sandbox, &[&dead, &live]);
    sdk.succeeds("list_all_data_sources", json!([]));
    sandbox.expire(&live);
    let mut sdk = Sdk::start_with(&sandbox, &[&dead, &live]);
    let result = sdk.call("list_all_data_sources", json!([]));
    assert_eq!(result["status_code"], 401);
    let statuses = sandbox.requests().into_iter().map(|it| it.status);
    assert_eq!(statuses.collect::<Vec<_>>(), [401, 200, 401, 401].map(Some));
}

#[test]
fn it_is_told_why_not() {
    let sandbox = Sandbox::start();
    let id = sandbox.register_data_source(&config());
    let reader = sandbox.issue_with(Grant::ServiceApp, &[READ_SCOPE]);
    let mut config = config();
    let mut sdk = Sdk::start_with(&sandbox, &[&reader.access_token]);
    sdk.succeeds("get_data_source_details", json!([id]));
    sdk.refused("register_data_source", json!([config]), 403);
    sdk.refused("update_data_source", json!([id, config]), 403);
    sdk.refused("extend_data_source_token", json!([id]), 403);

    let mut sdk = Sdk::start(&sandbox);
    sdk.refused("get_data_source_details", json!(["unknown"]), 404);
    sdk.refused("extend_data_source_token", json!(["unknown"]), 404);
    config["tokenLifetimeMinutes"] = 1441.into();
    let why = sdk.refused("register_data_source", json!([config]), 400);
    assert!(why.contains("from 1 to 1440"), "{why}");
    config["status"] = "disabled".into();
    config["tokenLifetimeMinutes"] = 1440.into();
    let why = sdk.refused("update_data_source", json!([id, config]), 400);
    assert!(why.contains("errorMessage is required"), "{why}");
}

#[test]
fn what_it_writes_is_listed_by_the_program() {
    for shape in [DataSourceShape::Recorded, DataSourceShape::Full] {
        let story = story(shape);
        let mut sdk = Sdk::start(&story.sandbox);
        let id = sdk.succeeds("register_data_source", json!([config()]))["id"].take();
        let listed = story.listed(&id);
        for name in ["audience", "schemaId", "subject", "url"] {
            assert_eq!(listed[name], config()[name], "{shape:?}: {name}");
        }
        assert_eq!(listed["serviceName"], "VoiceVirtualAgent (gRPC)");
        assert_eq!(listed["status"], "active");

        let update = replacement();
        sdk.succeeds("update_data_source", json!([id, update]));
        let listed = story.listed(&id);
        for name in ["audience", "schemaId", "status", "subject", "url"] {
            assert_eq!(listed[name], update[name], "{shape:?}: {name}");
        }
    }
}

#[test]
fn what_it_writes_is_shown_by_the_program_and_verifies() {
    for shape in [DataSourceShape::Recorded, DataSourceShape::Full] {
        let story = story(shape);
        let mut sdk = Sdk::start(&story.sandbox);
        let id = sdk.succeeds("register_data_source", json!([config()]))["id"].take();
        let result = sdk.call("extend_data_source_token", json!([id, 600]));
        assert_eq!(result["success"], true, "{shape:?}: {result}");

        let id = id.as_str().expect("an id");
        let told = story.data_sources(&["show", id, "--json"]);
        let shown = told.exits(0).outcome("shown");
        assert_eq!(shown["dataSource"]["id"], *id);
        let stored = claims(&stored(&story.sandbox, &id.into()));
        let shown_claims = &shown["jws"]["claims"];
        for name in ["aud", "sub", "iss", "iat", "exp"] {
            assert_eq!(shown_claims[name], stored[name], "{shape:?}: {name}");
        }
        for (claim, sent) in [
            ("aud", "audience"),
            ("sub", "subject"),
            ("com.cisco.datasource.url", "url"),
            ("com.cisco.datasource.schema.uuid", "schemaId"),
        ] {
            assert_eq!(shown_claims[claim], config()[sent], "{shape:?}: {claim}");
        }
        assert_eq!(shown["signature"], "verified", "{shown:#}");
    }
}

#[test]
fn what_one_has_extended_the_other_reads_and_extends() {
    for shape in [DataSourceShape::Recorded, DataSourceShape::Full] {
        let story = story(shape);
        let mut sdk = Sdk::start(&story.sandbox);
        let id = sdk.succeeds("register_data_source", json!([config()]))["id"].take();
        let name = id.as_str().expect("an id");
        story.sandbox.age_data_source(name, Duration::from_hours(1));

        let result = sdk.call("extend_data_source_token", json!([id, 600]));
        assert_eq!(result["success"], true, "{shape:?}: {result}");
        let by_sdk = stored(&story.sandbox, &id);
        let expires_at = claims(&by_sdk)["exp"].as_i64().map(instant);
        assert_eq!(
            story.listed(&id)["expiresAt"].as_str(),
            expires_at.as_deref()
        );

        story.sandbox.age_data_source(name, Duration::from_hours(1));
        let told = story.data_sources(&["extend", name, "--json"]);
        told.exits(0).outcome("extended");
        let read = sdk.succeeds("get_data_source_details", json!([id]));
        let told = sdk.call("enhance_data_source_with_jwt", json!([read]));
        let claims = &told["jwt_claims"];
        let [from, to] = ["iat", "exp"].map(|name| claims[name].as_i64().expect("seconds"));
        assert_eq!(to - from, 600 * 60, "{shape:?}: the SDK's lifetime is kept");
        assert_ne!(claims["jti"], by_sdk["nonce"], "{shape:?}");
        for name in ["audience", "subject"] {
            assert_eq!(told[name], config()[name], "{shape:?}: {name}");
        }
        let after = stored(&story.sandbox, &id);
        for name in ["schemaId", "url", "status", "tokenLifetimeMinutes"] {
            assert_eq!(after[name], by_sdk[name], "{shape:?}: {name}");
        }
    }
}

/// A folder with a token that works, and a Webex whose replies have this shape.
fn story(shape: DataSourceShape) -> Story {
    let sandbox = Sandbox::start();
    sandbox.set_policy(|policy| policy.data_source_shape = shape);
    let hand = Hand {
        access_token: Is::Live,
        ..Hand::ALL_RUNGS
    };
    Story::with_hand_in(sandbox, hand)
}

impl Story {
    /// What `data-sources list` says of a data source.
    #[track_caller]
    fn listed(&self, id: &Value) -> Value {
        let json = self.data_sources(&["list", "--json"]).exits(0).json();
        let listed = json["dataSources"].as_array().expect("a list");
        let found = listed.iter().find(|source| source["id"] == *id);
        found.unwrap_or_else(|| panic!("{id} in {json:#}")).clone()
    }
}

/// Seconds since the epoch as the program writes them.
fn instant(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(seconds).expect("an instant");
    at.to_string()
}

fn token(sandbox: &Sandbox) -> String {
    sandbox.issue_service_app_tokens().access_token
}

/// All that the sandbox knows of a data source.
fn stored(sandbox: &Sandbox, id: &Value) -> Value {
    let id = id.as_str().expect("an id");
    sandbox.data_source(id).expect("it is there")
}

fn claims(source: &Value) -> Value {
    let jws = source["jwsToken"].as_str().expect("a JWS");
    let claims = jws.split('.').nth(1).expect("three parts");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
    serde_json::from_slice(&claims).expect("JSON")
}

/// The SDK at work, which ends when this is dropped.
struct Sdk {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Sdk {
    fn start(sandbox: &Sandbox) -> Self {
        Self::start_with(sandbox, &[&token(sandbox)])
    }

    /// With access tokens, of which it takes the next when one is refused.
    fn start_with(sandbox: &Sandbox, access_tokens: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/byods_sdk/venv/bin/python");
        assert!(
            python.exists(),
            "{} is missing: run `scripts/test`, which installs it",
            python.display()
        );
        let mut child = Command::new(python)
            .arg("-I")
            .arg(root.join("tests/byods_sdk/drive.py"))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("Python does not start ({error}): run `scripts/test`"));
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let input = child.stdin.take();
        let mut sdk = Self {
            child,
            input,
            output,
        };
        sdk.send(&json!({ "baseUrl": sandbox.base_url(), "accessTokens": access_tokens }));
        sdk
    }

    /// Calls a method of the SDK's client, or a function of the SDK's.
    #[track_caller]
    fn call(&mut self, name: &str, arguments: Value) -> Value {
        let Value::Array(arguments) = arguments else {
            panic!("{arguments} is no list of arguments");
        };
        let mut call = vec![Value::from(name)];
        call.extend(arguments);
        self.send(&call.into());
        let mut line = String::new();
        self.output.read_line(&mut line).expect("UTF-8");
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{name} did not return ({error}): {line:?}"))
    }

    /// What a request that is answered with success brings.
    #[track_caller]
    fn succeeds(&mut self, name: &str, arguments: Value) -> Value {
        let mut result = self.call(name, arguments);
        assert_eq!(result["success"], true, "{name}: {result}");
        result["data"].take()
    }

    /// What the SDK says of a request that is refused with this status.
    #[track_caller]
    fn refused(&mut self, name: &str, arguments: Value, status: u16) -> String {
        let result = self.call(name, arguments);
        assert_eq!(result["success"], false, "{name}: {result}");
        assert_eq!(result["status_code"], status, "{name}: {result}");
        result["error"].as_str().expect("a reason").to_owned()
    }

    fn send(&mut self, line: &Value) {
        let input = self.input.as_mut().expect("it is open until the end");
        writeln!(input, "{line}").expect("the SDK reads");
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.input.take());
        let _ended = self.child.wait();
    }
}

//! No output, log or file beside the user's two holds a secret, or eight characters of one.
//!
//! Every run of a [`Story`] is searched for every secret that it knows of; here the server, the
//! files and the command line do their worst to have one printed.

mod support;

use std::fs;
#[cfg(unix)]
use std::time::Duration;

#[cfg(unix)]
use rustix::process::Signal;
use serde_json::{Value, json};
use webex_sandbox::{Endpoint, Fault, Sandbox};

use webex_tokens::authorized::Answer;
use webex_tokens::sources::draft::Draft;
use webex_tokens::sources::update::{Change, Registration};
use webex_tokens::sources::{DataSource, TokenLifetime};
use webex_tokens::webex::Call;

use support::data_sources::story;
#[cfg(unix)]
use support::device::Waiting;
use support::{
    CHECK_TOKEN, REFRESH_TOKEN, SETUP_OAUTH, Story, Told, assert_no_piece, assert_no_pieces,
};
#[cfg(unix)]
use support::{DATA_SOURCES, disk};

/// The endpoints that a climb asks, in its order.
const ENDPOINTS: [Endpoint; 4] = [
    Endpoint::ServiceAppRefresh,
    Endpoint::Mint,
    Endpoint::IntegrationRefresh,
    Endpoint::DataSources,
];

/// A story with every kind of secret in it.
struct Planted {
    story: Story,
    secrets: Vec<String>,
}

impl Planted {
    fn new() -> Self {
        let story = Story::with(Sandbox::start());
        let tokens = story.sandbox.issue_service_app_tokens();
        let pat = story.sandbox.issue_personal_access_token();
        let integration = story.sandbox.issue_integration_tokens().refresh_token;
        let tenant = story.tenant();
        story
            .configured_with(Some(&pat), Some(&integration))
            .stored(&tokens.access_token, &tokens.refresh_token);
        let secrets = vec![
            tokens.access_token,
            tokens.refresh_token,
            tenant.client_secret,
            pat,
            tenant.integration_client_secret,
            integration,
        ];
        Self { story, secrets }
    }

    /// The rungs before this endpoint are closed, so that a climb gets to it.
    fn leads_to(endpoint: Endpoint) -> Self {
        let planted = Self::new();
        let [access_token, refresh_token, _, pat, ..] = &planted.secrets[..] else {
            unreachable!("six secrets are planted");
        };
        let sandbox = &planted.story.sandbox;
        if endpoint != Endpoint::DataSources {
            sandbox.revoke(access_token);
        }
        if endpoint == Endpoint::Mint || endpoint == Endpoint::IntegrationRefresh {
            sandbox.revoke(refresh_token);
        }
        if endpoint == Endpoint::IntegrationRefresh {
            sandbox.revoke(pat);
        }
        planted
    }

    /// Runs a program as loudly as it can be, and searches all that it leaves behind.
    #[track_caller]
    fn run_loudly(&self, program: &str, arguments: &[&str]) -> Told {
        let mut command = self.story.command(program);
        command.arg("-vv").args(arguments).env("RUST_LOG", "trace");
        let told = self.story.run(&mut command);
        self.search_all(&told);
        told
    }

    /// Searches what a run has printed, and the files that it has left beside the user's.
    #[track_caller]
    fn search_all(&self, told: &Told) {
        self.search(&told.stdout);
        self.search(&told.stderr);
        for entry in fs::read_dir(self.story.folder()).expect("the folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_file() && name != ".env" && name != "token-config.json" {
                let contents = fs::read(&path).expect("a file");
                self.search(&String::from_utf8_lossy(&contents));
            }
        }
    }

    #[track_caller]
    fn search(&self, text: &str) {
        for secret in self.secrets.iter().chain(&self.story.secrets()) {
            assert_no_piece(text, secret);
        }
    }
}

/// Answers that quote this secret wherever something is shown of an answer: a part of it in each
/// shape of an error, all of it where a `trackingId` stands.
fn quoting(status: u16, secret: &str) -> [Fault; 4] {
    let text = format!("the token {} is not known", &secret[..12]);
    let json = |body: &Value| Fault::body(status, "application/json", body.to_string());
    let error = json!({ "code": text, "description": text, "message": text });
    let faults = [
        json(&json!({ "message": text, "errors": [error], "trackingId": secret })),
        json(&json!({ "error": text, "error_description": text })),
        Fault::body(status, "text/html", format!("<title>{text}</title>")),
        json(&json!({ "message": "no" })).header("trackingid", secret),
    ];
    // No try after this one fits before the deadline, so that none waits.
    faults.map(|fault| fault.header("Retry-After", "600").header("Location", &text))
}

/// Every endpoint answers with this status, and quotes each of these secrets in turn.
#[track_caller]
fn a_server_quotes(status: u16, secrets: &[usize]) {
    for endpoint in ENDPOINTS {
        for &which in secrets {
            for shape in 0..4 {
                let planted = Planted::leads_to(endpoint);
                let sandbox = &planted.story.sandbox;
                let faults = quoting(status, &planted.secrets[which]);
                sandbox.script_always(endpoint, faults[shape].clone());
                planted.run_loudly(REFRESH_TOKEN, &["--json"]);
                assert!(!planted.story.requests().is_empty());
            }
        }
    }
}

#[test]
fn a_server_may_quote_secrets_in_a_400() {
    a_server_quotes(400, &[0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_server_may_quote_secrets_in_a_401() {
    a_server_quotes(401, &[0, 4]);
}

#[test]
fn a_server_may_quote_secrets_in_a_403() {
    a_server_quotes(403, &[1, 2, 5]);
}

#[test]
fn a_server_may_quote_secrets_in_a_503() {
    a_server_quotes(503, &[0, 2, 5]);
}

#[test]
fn a_server_may_quote_secrets_in_a_redirect() {
    a_server_quotes(302, &[1, 3]);
}

#[test]
fn a_server_may_quote_secrets_in_a_success() {
    // A mint whose answer is of no use is sent twice, with a wait between.
    a_server_quotes(200, &[2]);
}

/// What stands in the URL of a data source where nothing of it may be told.
const PASSWORD: &str = "kVqXbLmWcRzT";
const QUERY: &str = "hJnPdGsFyQxM";

/// The URL of a data source with both in it.
fn receiver() -> String {
    format!("https://someone:{PASSWORD}@canary.example.com/in?key={QUERY}")
}

/// What such a data source has besides.
const NONCE: &str = "wNfKpYtCvDjB-qLgMsHxRzXk";
const API_KEY: &str = "cGvTnWbQyZmFdLpK";
/// A JWS with nothing in it but a signature.
const IN_A_PATH: &str = "eyJhbGciOiJSUzI1NiJ9.e30.zHqXvRtBnWkYpLcMdFgJsTwQ";

/// Such a data source, as it is registered.
fn registration() -> Value {
    json!({
        "audience": "AppOne",
        "subject": "callAudioData",
        "nonce": NONCE,
        "schemaId": "5397013b-7920-4ffc-807c-e8a3e0a18f43",
        "url": receiver(),
        "tokenLifetimeMinutes": 60,
        "x-receiver": { "apiKey": API_KEY, "credentials": { "user": API_KEY } },
    })
}

#[test]
fn a_server_may_quote_the_url_of_a_data_source() {
    const WITHHELD: &str = "it repeats a secret";
    let story = story();
    let id = story.sandbox.register_data_source(&registration());
    let url = format!("--url={}", receiver());
    let register = [
        "register",
        "--schema=5397013b-7920-4ffc-807c-e8a3e0a18f43",
        "--audience=AppOne",
        "--subject=callAudioData",
        "--lifetime=1h",
        &url,
    ];
    let masked = "no https://***@canary.example.com/in?*** here";
    let host = format!("{id} is not at canary.example.com/in");
    let query = format!("canary.example.com/in?key={QUERY}");
    for (endpoint, arguments, quoted, says) in [
        (
            Endpoint::RegisterDataSource,
            &register[..],
            &receiver(),
            masked,
        ),
        (Endpoint::RegisterDataSource, &register, &query, WITHHELD),
        (
            Endpoint::UpdateDataSource,
            &["extend", &id],
            &receiver(),
            masked,
        ),
        (
            Endpoint::UpdateDataSource,
            &["extend", &id],
            &query,
            WITHHELD,
        ),
        (Endpoint::UpdateDataSource, &["extend", &id], &host, &host),
        (
            Endpoint::ReadDataSource,
            &["show", &id],
            &receiver(),
            masked,
        ),
        (Endpoint::DataSources, &["list"], &receiver(), masked),
    ] {
        let fault = json!({ "message": format!("no {quoted} here"), "trackingId": "R_1" });
        let fault = Fault::body(400, "application/json", fault.to_string());
        story.sandbox.script_always(endpoint, fault);
        for more in [&[][..], &["--json", "-vv"]] {
            let told = story.data_sources(&[arguments, more].concat());
            assert_ne!(told.says(says).code, 0);
            for secret in [PASSWORD, QUERY] {
                assert_no_piece(&told.stdout, secret);
                assert_no_piece(&told.stderr, secret);
            }
        }
        story.sandbox.clear_faults();
    }
}

/// The two ways in which a run is told.
const VOICES: [&[&str]; 2] = [&["-v"], &["--json", "-vv"]];

/// Runs `data-sources` and searches all that it has printed and left behind.
#[track_caller]
fn run_and_search(story: &Story, arguments: &[&str], voice: &[&str]) -> Told {
    let told = story.data_sources(&[arguments, voice].concat());
    let log = fs::read_to_string(story.path("data-sources.log")).unwrap_or_default();
    let canaries = [PASSWORD, QUERY, API_KEY, IN_A_PATH].map(str::to_owned);
    let secrets = [&story.secrets()[..], &canaries].concat();
    for text in [&told.stdout, &told.stderr, &log] {
        assert_no_pieces(text, &secrets);
    }
    for nonce in [story.nonces(), vec![NONCE.to_owned()]].concat() {
        assert!(!log.contains(&nonce), "{nonce}: {log}");
        // That one shows it on purpose.
        let is_told = arguments[0] != "show" && told.stdout.contains(&nonce);
        assert!(!is_told, "{nonce}: {}", told.stdout);
    }
    told
}

#[test]
fn no_command_shows_a_secret_of_a_data_source() {
    const SCHEMA: &str = "--schema=5397013b-7920-4ffc-807c-e8a3e0a18f43";
    let story = story();
    let id = story.sandbox.register_data_source(&registration());
    let mut other = registration();
    other["nonce"] = "another".into();
    other["url"] = format!("wss://canary.example.com/of/{IN_A_PATH}/in").into();
    let in_a_path = story.sandbox.register_data_source(&other);
    other["nonce"] = "a third".into();
    story.write("from.json", other.to_string());
    let flags = ["--audience=A", "--subject=callAudioData", "--lifetime=1h"];
    let url = format!("--url={}#{API_KEY}", receiver());
    let message = format!("--error-message=see {} for {IN_A_PATH}", receiver());
    let commands = [
        &["list"][..],
        &["list", "--expiring-within=2h"],
        &["show", &id],
        &["show", &in_a_path, "--no-verify"],
        &["schemas"],
        &[&["register", SCHEMA, &url][..], &flags].concat(),
        &["register", "--from=from.json"],
        &["extend", &id, &in_a_path],
        &["extend", "--all"],
        &["update", &id, "--audience=B", "--yes"],
        &["update", &in_a_path, &url, "--yes"],
        &["disable", &id, &message],
        &["list"],
        &["show", &id],
        &["extend", &id],
        &["enable", &id],
    ];
    for arguments in commands {
        for voice in VOICES {
            let told = run_and_search(&story, arguments, voice);
            // What the file holds is registered once.
            let is_repeated = told.code != 0 && arguments[0] == "register";
            assert!(
                told.code == 0 || is_repeated,
                "{arguments:?}: {}",
                told.stderr
            );
        }
    }
    for arguments in [
        &["register", &url][..],
        &["register", &format!("{url} ")],
        &[
            "update",
            &id,
            "--url=http://u:kVqXbLmWcRzT@h/?key=hJnPdGsFyQxM",
        ],
        &["update", &id, &url],
        &["update", IN_A_PATH, &url],
        &["show", &story.tenant().client_secret],
        &["delete", IN_A_PATH, "--yes"],
        &["delete", &id],
        &["extend", "--all", &url],
        &["extend", "ffffffff"],
    ] {
        for voice in VOICES {
            let told = run_and_search(&story, arguments, voice);
            assert_ne!(told.code, 0, "{arguments:?}");
        }
    }
    for id in [&id, &in_a_path] {
        for (voice, code) in VOICES.into_iter().zip([0, 1]) {
            run_and_search(&story, &["delete", id, "--yes"], voice).exits(code);
        }
    }
    let operations: Vec<_> = story
        .log()
        .iter()
        .map(|it| it["operation"].clone())
        .collect();
    for operation in [
        "register", "extend", "update", "disable", "enable", "delete",
    ] {
        assert!(operations.contains(&operation.into()), "{operations:?}");
    }
}

#[test]
fn no_failure_shows_a_secret_of_a_data_source() {
    let story = story();
    let id = story.sandbox.register_data_source(&registration());
    let shown = story.source(&id);
    let jws = shown["jwsToken"].as_str().expect("a JWS");
    let quoted = format!(
        "no {} of {jws} in https://canary.example.com/{IN_A_PATH}",
        receiver()
    );
    let quoting = |status: u16| {
        let body = json!({ "message": quoted, "trackingId": "R_1" });
        let fault = Fault::body(status, "application/json", body.to_string());
        fault.header("Retry-After", "86400")
    };
    let url = format!("--url={}", receiver());
    let schema = "--schema=5397013b-7920-4ffc-807c-e8a3e0a18f43";
    let register = [
        "register",
        schema,
        &url,
        "--audience=A",
        "--subject=s",
        "--lifetime=1h",
    ];
    let commands = [
        (Endpoint::DataSources, &["list"][..]),
        (Endpoint::Schemas, &["schemas"]),
        (Endpoint::ReadDataSource, &["show", &id]),
        (Endpoint::RegisterDataSource, &register),
        (Endpoint::UpdateDataSource, &["extend", &id]),
        (
            Endpoint::UpdateDataSource,
            &["update", &id, &url, "--audience=B", "--yes"],
        ),
        (Endpoint::DeleteDataSource, &["delete", &id, "--yes"]),
    ];
    for (endpoint, arguments) in commands {
        let faults = [
            quoting(400),
            quoting(403),
            quoting(503),
            quoting(302).header("Location", &receiver()),
            Fault::body(400, "text/html", quoted.clone()),
            Fault::body(200, "application/json", json!([shown]).to_string()),
        ];
        for (fault, voice) in faults.into_iter().zip(VOICES.into_iter().cycle()) {
            story.sandbox.script_always(endpoint, fault);
            run_and_search(&story, arguments, voice);
            story.sandbox.clear_faults();
        }
    }
    assert!(story.log().iter().any(|line| line["outcome"] == "unknown"));
}

#[cfg(unix)]
#[test]
fn a_watch_shows_no_secret_of_a_data_source() {
    for voice in [&["-vv"][..], &["--json", "-vv"]] {
        let story = story();
        let id = story.sandbox.register_data_source(&registration());
        story.sandbox.age_data_source(&id, Duration::from_mins(50));
        let gate = story.sandbox.gate(Endpoint::UpdateDataSource);
        let mut command = story.command(DATA_SOURCES);
        let child = story.start(command.arg("watch").args(voice));
        gate.wait_for_request();
        disk::send(Signal::TERM, &child);
        gate.release();
        let told = story.finish(child);
        assert_no_piece(&format!("{}{}", told.stdout, told.stderr), API_KEY);
        let log = story.read("data-sources.log");
        assert_no_pieces(&log, &story.secrets());
        assert_no_pieces(&log, &[NONCE.to_owned(), API_KEY.to_owned()]);
        assert_eq!(story.log()[0]["operation"], "extend");
    }
}

#[test]
fn no_debug_output_shows_what_is_sent_and_received() {
    let body = registration();
    let fields = body.as_object().expect("an object");
    let answer = Answer {
        status: 200,
        body: body.to_string().into_bytes(),
        next: None,
        tracking_id: None,
    };
    let lifetime = TokenLifetime::minutes(60).expect("an hour");
    let registration = Registration {
        audience: "A".to_owned(),
        subject: "s".to_owned(),
        schema_id: "5397013b-7920-4ffc-807c-e8a3e0a18f43".to_owned(),
        url: receiver(),
        token_lifetime: lifetime,
    };
    let change = Change {
        url: Some(receiver()),
        ..Change::default()
    };
    let draft = Draft {
        url: Some(receiver()),
        ..Draft::default()
    };
    for shown in [
        format!("{answer:?}"),
        format!("{:?}", Call::post(&["dataSources"], fields)),
        format!("{:?}", DataSource::from(fields.clone())),
        format!("{registration:?}"),
        format!("{change:?}"),
        format!("{draft:?}"),
    ] {
        for secret in [PASSWORD, QUERY, NONCE, API_KEY] {
            assert_no_piece(&shown, secret);
            // As a list of bytes it is as readable.
            let bytes = format!("{:?}", &secret.as_bytes()[..8]);
            let bytes = bytes.trim_matches(['[', ']']);
            assert!(!shown.contains(bytes), "{shown}");
        }
    }
}

#[test]
fn a_redirect_may_have_a_secret_for_its_host() {
    let planted = Planted::new();
    for secret in &planted.secrets {
        // A label of a host has 63 characters at most, and no case.
        let label: String = secret
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(40)
            .collect();
        let to = format!("https://{label}.example/");
        let sandbox = &planted.story.sandbox;
        sandbox.clear_faults();
        sandbox.script_always(
            Endpoint::DataSources,
            Fault::redirect(&to).header("Retry-After", "600"),
        );
        let told = planted.run_loudly(CHECK_TOKEN, &[]);
        assert_no_piece(&told.stdout.to_lowercase(), &label.to_lowercase());
        assert_no_piece(&told.stderr.to_lowercase(), &label.to_lowercase());
    }
}

#[test]
fn a_token_that_was_lost_on_the_way_is_not_shown_either() {
    // Nobody knows this one yet: it has only the look of a token.
    let lost = "MDM0NjhhNzMtMDdiNy00ZWUwLTk2ZTktOTQ0ODNiYzI1YmM3ZjE2_PE93_1eb65fdf-9643-417f";
    for body in [
        json!({ "message": format!("cannot store {lost}"), "trackingId": "ROUTER_1" }),
        json!({ "error": "server_error", "error_description": format!("{lost} is lost") }),
    ] {
        for status in [400, 503] {
            let planted = Planted::leads_to(Endpoint::ServiceAppRefresh);
            let fault = Fault::body(status, "application/json", body.to_string());
            planted.story.sandbox.script_always(
                Endpoint::ServiceAppRefresh,
                fault.header("Retry-After", "600"),
            );
            let told = planted.run_loudly(REFRESH_TOKEN, &["--json"]);
            assert_no_piece(&told.stdout, &lost[..50]);
            assert_no_piece(&told.stderr, &lost[..50]);
        }
    }
}

#[test]
fn a_climb_of_every_rung_is_logged_without_a_secret() {
    let planted = Planted::leads_to(Endpoint::IntegrationRefresh);
    let told = planted.run_loudly(REFRESH_TOKEN, &[]);
    told.exits(0).says("refresh_integration");
    assert!(told.stderr.lines().count() > 4, "nothing was logged");
    planted.run_loudly(CHECK_TOKEN, &["--json"]).exits(0);
    planted.run_loudly(REFRESH_TOKEN, &["--plan"]).exits(0);
}

#[test]
fn the_libraries_below_log_nothing() {
    let planted = Planted::leads_to(Endpoint::ServiceAppRefresh);
    for directives in [
        "trace",
        "hyper=trace,reqwest=trace,rustls=trace,hyper_util=trace",
    ] {
        let mut command = planted.story.command(REFRESH_TOKEN);
        let told = planted
            .story
            .run(command.args(["--force"]).env("RUST_LOG", directives));
        planted.search(&told.stderr);
        assert!(!told.stderr.contains("hyper"), "{}", told.stderr);
    }
}

#[test]
fn a_broken_file_is_reported_without_its_text() {
    let planted = Planted::new();
    let story = &planted.story;
    let secret = &planted.secrets[2];
    let envs = [
        format!("WEBEX_SERVICE_APP_ACCESS_TOKEN=\"{secret}\nOTHER={secret}\n"),
        format!("WEBEX_SERVICE_APP_ACCESS_TOKEN {secret}\n{secret}\n"),
        format!("WEBEX_SERVICE_APP_REFRESH_TOKEN='{secret}\n"),
        format!("WEBEX_SERVICE_APP_REFRESH_TOKEN={secret} {secret}\n"),
        format!("export {secret}\nWEBEX_API_BASE_URL=http://{secret}.example/\n"),
        format!("WEBEX_API_BASE_URL=https://u:{secret}@webexapis.com/v1\n"),
    ];
    for env in envs {
        story.write_env(env);
        for program in [REFRESH_TOKEN, CHECK_TOKEN] {
            let mut command = story.command(program);
            if story.env().contains("WEBEX_API_BASE_URL") {
                command.env_remove("WEBEX_API_BASE_URL");
            }
            let told = story.run(command.args(["-vv", "--json"]));
            planted.search(&told.stdout);
            planted.search(&told.stderr);
            assert_ne!(story.env(), "", "the file is as it was");
        }
    }
    story.write_env("");
    let app = json!({ "serviceApp": story.service_app() }).to_string();
    let configs = [
        app.replace(&format!("\"{secret}\""), secret),
        app.replace(&format!("\"{secret}\""), &format!("\"{secret}")),
        app.replace(&format!("\"{secret}\""), &format!("[\"{secret}\"]")),
        app.replace("clientSecret", "clientSecret\\u12")
            .replace("targetOrgId", secret),
        app.replace("clientId", secret),
        app.replace(&format!("\"{secret}\""), &format!("\"<{secret}>\"")),
        app.replace(&format!("\"{secret}\""), &format!("\"{secret}\\n\"")),
        app.replace(&story.tenant().app_id, secret),
        app.replace(&story.tenant().target_org_id, secret),
        format!("\"{secret}\""),
    ];
    for config in configs {
        story.write("token-config.json", &config);
        for program in [REFRESH_TOKEN, CHECK_TOKEN] {
            let told = planted.run_loudly(program, &["--json"]);
            assert_ne!(told.code, 0, "{config}");
        }
    }
}

#[test]
fn a_secret_on_the_command_line_is_not_repeated() {
    let planted = Planted::new();
    for secret in &planted.secrets {
        let assigned = format!("--token={secret}");
        let url = format!("https://u:{secret}@webexapis.com/v1");
        let host = format!("http://{secret}.example/v1");
        for arguments in [
            &[secret.as_str()][..],
            &["--token", secret],
            &[&assigned],
            &["--min-validity", secret],
            &["--color", secret],
            &["--api-base-url", &url],
            &["--api-base-url", &host],
        ] {
            planted.run_loudly(REFRESH_TOKEN, arguments);
        }
    }
}

#[test]
fn a_url_on_the_command_line_is_not_repeated_with_its_secrets() {
    let story = Story::with(Sandbox::start());
    let url =
        "http://user:canary-of-a-password@h.example/ds?sig=canary-of-a-query#canary-of-a-part";
    let flag = format!("--{url}");
    for arguments in [
        &["register", "--url", url][..],
        &["register", "--url", &format!("{url} canary-of-more")],
        &[
            "register",
            "--url",
            "https:u:canary-of-a-password@h.example:x",
        ],
        &["update", "3b1f", "--url", url],
        &["update", url],
        &["extend", "--all", "--expiring-within", url],
        &["list", url],
        &["list", &flag],
        // Here clap has advice that quotes it once more.
        &["extend", &flag],
        &[&flag],
        &[url],
    ] {
        let told = story.data_sources(arguments);
        told.exits(2);
        assert_no_piece(&told.stderr, "canary-of-a-");
        assert_no_piece(&told.stderr, "canary-of-more");
    }
    let told = story.data_sources(&["register", "--url", url]);
    told.says("'http://***@h.example/ds?***#***'");
    let token = format!("--{}", story.tenant().client_secret);
    story.data_sources(&["extend", &token]).exits(2);
}

#[test]
fn no_argument_takes_a_secret_and_the_environment_is_not_repeated() {
    let planted = Planted::new();
    let story = &planted.story;
    let [_, refresh_token, client_secret, pat, ..] = &planted.secrets[..] else {
        unreachable!("six secrets are planted");
    };
    let help = story.refresh_token(&["--help"]).stdout;
    for word in ["SECRET>", "TOKEN>", "PASSWORD"] {
        assert!(!help.contains(word), "{help}");
    }
    story.stored("", refresh_token);
    fs::remove_file(story.path("token-config.json")).expect("a file is removed");
    let tenant = story.tenant();
    let mut command = story.command(REFRESH_TOKEN);
    command
        .env("WEBEX_SERVICE_APP_CLIENT_ID", &tenant.client_id)
        .env("WEBEX_SERVICE_APP_CLIENT_SECRET", client_secret)
        .env("WEBEX_TARGET_ORG_ID", &tenant.target_org_id)
        .env("WEBEX_PERSONAL_ACCESS_TOKEN", pat)
        .env(
            "HTTPS_PROXY",
            format!("http://user:{client_secret}@127.0.0.1:9"),
        )
        .args(["-vv", "--json"]);
    let told = story.run(&mut command);
    planted.search(&told.stderr);
    told.exits(0).outcome("refreshed");
}

#[cfg(target_os = "linux")]
#[test]
fn the_arguments_of_a_run_hold_no_secret() {
    let planted = Planted::new();
    let gate = planted.story.sandbox.gate(Endpoint::DataSources);
    let mut command = planted.story.command(REFRESH_TOKEN);
    let child = planted.story.start(command.arg("--print-token"));
    gate.wait_for_request();
    let arguments = fs::read(format!("/proc/{}/cmdline", child.id())).expect("its arguments");
    let arguments = String::from_utf8_lossy(&arguments);
    assert!(
        arguments.ends_with("refresh_token\0--print-token\0"),
        "{arguments}"
    );
    planted.search(&arguments);
    gate.release();
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{}\n", planted.secrets[0])
    );
    planted.search(&String::from_utf8_lossy(&output.stderr));
}

/// `setup_oauth --device` as loud as it can be, under way, in a folder where all but the consent is
/// there.
#[cfg(unix)]
fn loud_setup(planted: &Planted, arguments: &[&str]) -> Waiting {
    let mut command = planted.story.command(SETUP_OAUTH);
    command
        .args(["--device", "--reauthorize", "--verbose"])
        .args(arguments)
        .env("RUST_LOG", "trace");
    Waiting::of(&planted.story, &mut command)
}

/// The device code that a run was given.
#[cfg(unix)]
fn device_code(planted: &Planted) -> String {
    let requests = planted.story.sandbox.requests();
    let polls = requests
        .iter()
        .filter(|request| request.path.ends_with("/device/token"));
    let codes: Vec<_> = polls
        .filter_map(|poll| poll.form.get("device_code"))
        .collect();
    (*codes.last().expect("a poll")).clone()
}

#[cfg(unix)]
#[test]
fn a_consent_is_logged_without_a_secret() {
    for arguments in [&[][..], &["--json"]] {
        let planted = Planted::new();
        let waiting = loud_setup(&planted, arguments);
        waiting.decide(&planted.story, true);
        let told = waiting.finish(&planted.story);
        told.exits(0).says("device_token");
        planted.search_all(&told);
        assert_no_piece(&told.stdout, &device_code(&planted));
        assert_no_piece(&told.stderr, &device_code(&planted));
    }
}

#[cfg(unix)]
#[test]
fn a_server_may_quote_secrets_where_it_is_asked_for_a_device_code() {
    for status in [400, 401, 403, 503] {
        for which in [2, 3, 4, 5] {
            for shape in 0..4 {
                let planted = Planted::new();
                let fault = quoting(status, &planted.secrets[which])[shape].clone();
                let sandbox = &planted.story.sandbox;
                sandbox.script_always(Endpoint::DeviceAuthorize, fault);
                let arguments = ["--device", "--reauthorize", "--json"];
                let told = planted.run_loudly(SETUP_OAUTH, &arguments);
                assert_ne!(told.code, 0);
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_server_may_quote_secrets_where_it_is_polled() {
    let code = "d4c0ffee-07b7-4ee0-96e9-94483bc25bc7";
    // All at once: each waits two seconds for its first poll.
    let mut runs = Vec::new();
    for status in [400, 401, 403] {
        for shape in 0..4 {
            let planted = Planted::new();
            let secret = if shape % 2 == 0 {
                code
            } else {
                &planted.secrets[4]
            };
            let fault = quoting(status, secret)[shape].clone();
            let sandbox = &planted.story.sandbox;
            sandbox.script(
                Endpoint::DeviceAuthorize,
                [Fault::with("device_code", code)],
            );
            sandbox.script_always(Endpoint::DeviceToken, fault);
            // One that is told to wait longer than that is not polled again.
            let waiting = loud_setup(&planted, &["--json", "--timeout", "3s"]);
            runs.push((planted, waiting));
        }
    }
    for (planted, waiting) in runs {
        let told = waiting.finish(&planted.story);
        assert_ne!(told.code, 0);
        assert_eq!(device_code(&planted), code);
        planted.search_all(&told);
        assert_no_piece(&told.stdout, code);
        assert_no_piece(&told.stderr, code);
    }
}

#[cfg(unix)]
#[test]
fn a_server_may_quote_secrets_in_what_is_to_be_shown() {
    let code = "d4c0ffee-07b7-4ee0-96e9-94483bc25bc7";
    let planted = Planted::new();
    let sandbox = &planted.story.sandbox;
    let down = Fault::status(503).header("Retry-After", "600");
    sandbox.script_always(Endpoint::DeviceAuthorize, down);
    for secret in planted.secrets.iter().map(String::as_str).chain([code]) {
        for field in ["user_code", "verification_uri", "verification_uri_complete"] {
            let mut reply = json!({
                "device_code": code,
                "user_code": "123456",
                "verification_uri": "https://example.com/verify",
                "expires_in": 0,
            });
            reply[field] = format!("https://example.com/?it={}", &secret[..16]).into();
            let fault = Fault::body(200, "application/json", reply.to_string());
            sandbox.script(Endpoint::DeviceAuthorize, [fault]);
            let told = planted.run_loudly(SETUP_OAUTH, &["--device", "--reauthorize"]);
            told.exits(75);
            assert_no_piece(&told.stderr, code);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_arguments_of_a_set_up_hold_no_secret() {
    let planted = Planted::new();
    let tenant = planted.story.tenant();
    planted
        .story
        .write("app", &tenant.client_secret)
        .write("integration", &tenant.integration_client_secret);
    let mut waiting = loud_setup(
        &planted,
        &[
            "--client-secret-file",
            "app",
            "--integration-client-secret-file",
            "integration",
        ],
    );
    let arguments = fs::read(format!("/proc/{}/cmdline", waiting.run().id()));
    let arguments = arguments.expect("its arguments");
    planted.search(&String::from_utf8_lossy(&arguments));
    waiting.decide(&planted.story, true);
    let told = waiting.finish(&planted.story);
    told.exits(0);
    planted.search(&told.stdout);
    planted.search(&told.stderr);
}

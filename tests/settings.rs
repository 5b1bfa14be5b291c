//! Settings, from real runs: which source has the last word, and what is kept when they are saved.

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};
use support::{ACCESS_TOKEN_KEY, Hand, REFRESH_TOKEN, REFRESH_TOKEN_KEY, Story};
use webex_sandbox::{Policy, Reuse, Sandbox, Tenant, Tls};

/// A base URL at which nobody answers.
const NOBODY: &str = "http://127.0.0.1:9/v1";

/// A valid token and a configuration.
fn valid(sandbox: Sandbox) -> Story {
    let story = Story::with(sandbox);
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    story
}

/// The variables that say all that the configuration file says.
fn variables(tenant: &Tenant) -> Vec<(&'static str, String)> {
    vec![
        ("WEBEX_SERVICE_APP_ID", tenant.app_id.clone()),
        ("WEBEX_SERVICE_APP_CLIENT_ID", tenant.client_id.clone()),
        (
            "WEBEX_SERVICE_APP_CLIENT_SECRET",
            tenant.client_secret.clone(),
        ),
        ("WEBEX_TARGET_ORG_ID", tenant.target_org_id.clone()),
        (
            "WEBEX_INTEGRATION_CLIENT_ID",
            tenant.integration_client_id.clone(),
        ),
        (
            "WEBEX_INTEGRATION_CLIENT_SECRET",
            tenant.integration_client_secret.clone(),
        ),
    ]
}

// Precedence.

#[test]
fn a_flag_stands_over_the_environment_over_env_over_the_file() {
    let story = valid(Sandbox::start());
    let url = story.sandbox.base_url();
    let env = story.env();
    let run = |flag: &str, variable: &str, dotenv: &str| {
        story.write_env(format!("{env}WEBEX_API_BASE_URL={dotenv}\n"));
        let mut command = story.command(REFRESH_TOKEN);
        command.env("WEBEX_API_BASE_URL", variable);
        if !flag.is_empty() {
            command.args(["--api-base-url", flag]);
        }
        story.run(&mut command).code
    };
    assert_eq!(run(&url, NOBODY, NOBODY), 0);
    assert_eq!(run("", &url, NOBODY), 0);
    // An empty variable is none.
    assert_eq!(run("", "", &url), 0);
    assert_eq!(story.requests().len(), 3);
}

#[test]
fn the_token_endpoint_may_lie_elsewhere() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let run = |url: &str| {
        let mut command = story.command(REFRESH_TOKEN);
        command.args(["--force", "--deadline", "1s", "--api-base-url", NOBODY]);
        story.run(command.env("WEBEX_TOKEN_URL", url))
    };
    run(&format!("{}/access_token", story.sandbox.base_url())).exits(75);
    assert_eq!(story.requests(), ["POST /v1/access_token"]);
    story.forget_requests();
    run("http://example.com/token")
        .exits(78)
        .says("environment: WEBEX_TOKEN_URL: plain http is for this machine alone");
    assert!(story.requests().is_empty());
}

#[test]
fn a_wrong_value_in_a_lower_source_does_no_harm() {
    let story = Story::new();
    let tenant = story.tenant();
    let tokens = story.sandbox.issue_service_app_tokens();
    let mut app = story.service_app();
    app["clientSecret"] = "not-this-one-but-some-other-secret".into();
    story.write_config(&json!({ "serviceApp": app }));
    let env = format!("{REFRESH_TOKEN_KEY}={}\n", tokens.refresh_token);

    story.write_env(&env);
    story.refresh_token(&[]).exits(78);

    story.write_env(format!(
        "{env}WEBEX_SERVICE_APP_CLIENT_SECRET={}\n",
        tenant.client_secret
    ));
    story.refresh_token(&["--force"]).exits(0);

    story.write_env(format!(
        "{env}WEBEX_SERVICE_APP_CLIENT_SECRET=wrong-in-the-file-of-variables\n"
    ));
    let mut command = story.command(REFRESH_TOKEN);
    command
        .arg("--force")
        .env("WEBEX_SERVICE_APP_CLIENT_SECRET", &tenant.client_secret);
    story.run(&mut command).exits(0);
}

#[test]
fn the_managed_keys_are_read_from_the_file_alone() {
    let story = Story::new();
    let stranger = story.sandbox.issue_service_app_tokens();
    story.configured().write_env("");
    let mut command = story.command(REFRESH_TOKEN);
    command
        .env(ACCESS_TOKEN_KEY, &stranger.access_token)
        .env(REFRESH_TOKEN_KEY, &stranger.refresh_token);

    story.run(&mut command).exits(77);

    assert!(story.requests().is_empty());
}

#[test]
fn the_files_are_found_by_flag_and_variable() {
    let story = valid(Sandbox::start());
    std::fs::create_dir(story.path("etc")).unwrap();
    let (env, config) = (story.env(), story.read("token-config.json"));
    story
        .write("etc/tokens", env)
        .write("etc/webex.json", config)
        .write("token-config.json", "{}")
        .write_env("WEBEX_TOKEN_CONFIG=etc/webex.json\n");

    story
        .refresh_token(&[
            "--force",
            "--env-file=etc/tokens",
            "--config=etc/webex.json",
        ])
        .exits(0);
    let mut command = story.command(REFRESH_TOKEN);
    command
        .arg("--force")
        .env("WEBEX_ENV_FILE", "etc/tokens")
        .env("WEBEX_TOKEN_CONFIG", "etc/webex.json");
    story.run(&mut command).exits(0);
    assert!(!story.exists(".env.lock"));

    // What `.env` says of the other file counts as well, but for nothing that stands over it.
    let token = story.sandbox.issue_service_app_tokens().refresh_token;
    story.write_env(format!(
        "WEBEX_TOKEN_CONFIG=etc/webex.json\n{REFRESH_TOKEN_KEY}={token}\n"
    ));
    story.refresh_token(&[]).exits(0);
    story
        .refresh_token(&["--config=token-config.json"])
        .exits(0)
        .says("serviceApp.clientId");
}

#[test]
fn the_application_id_follows_from_the_client_id() {
    let story = Story::new();
    let pat = story.sandbox.issue_personal_access_token();
    let mut app = story.service_app();
    app.as_object_mut().unwrap().remove("appId");
    story
        .write_config(&json!({
            "serviceApp": app,
            "tokenManager": { "personalAccessToken": pat },
        }))
        .write_env("");

    story.refresh_token(&[]).exits(0);

    let path = format!("POST /v1/applications/{}/token", story.tenant().app_id);
    assert_eq!(story.requests()[0], path);
}

// The three spellings.

#[test]
fn every_spelling_is_read_and_kept() {
    let policy = Policy {
        rotate: true,
        reuse: Reuse::RevokeGrant,
        ..Policy::default()
    };
    let spellings: [[&str; 3]; 3] = [
        [
            "/integration/clientId",
            "/integration/clientSecret",
            "/integration/refreshToken",
        ],
        ["/clientId", "/clientSecret", "/refreshToken"],
        ["/oauthClientId", "/oauthClientSecret", "/oauthRefreshToken"],
    ];
    for spelling in spellings {
        let story = Story::with(Sandbox::builder().policy(policy.clone()).start());
        let tenant = story.tenant();
        let integration = story.sandbox.issue_integration_tokens();
        let values = [
            tenant.integration_client_id,
            tenant.integration_client_secret,
            integration.refresh_token.clone(),
        ];
        let mut manager = json!({});
        for (path, value) in spelling.iter().zip(values) {
            let names: Vec<_> = path[1..].split('/').collect();
            let mut at = &mut manager;
            for name in names {
                at = &mut at[name];
            }
            *at = value.into();
        }
        let before = json!({ "serviceApp": story.service_app(), "tokenManager": manager });
        story.write_config(&before).write_env("");

        story.refresh_token(&[]).exits(0);

        let after = story.config();
        let manager = &after["tokenManager"];
        let token = manager.pointer(spelling[2]).and_then(Value::as_str);
        let token = token.expect("the refresh token is where it was");
        assert!(token != integration.refresh_token);
        assert!(story.sandbox.is_live_refresh_token(token));
        let mut expected = before;
        let expected_manager = &mut expected["tokenManager"];
        *expected_manager.pointer_mut(spelling[2]).unwrap() = token.into();
        expected_manager["personalAccessToken"] = manager["personalAccessToken"].clone();
        assert!(after == expected, "{spelling:?}: other keys have changed");
        // And read back.
        story.write_env("");
        story
            .sandbox
            .revoke(manager["personalAccessToken"].as_str().unwrap());
        story.refresh_token(&[]).exits(0);
    }
}

// Without a configuration file.

#[test]
fn a_container_needs_no_configuration_file() {
    let story = Story::new();
    let tenant = story.tenant();
    let tokens = story.sandbox.issue_service_app_tokens();
    story.write_env(format!("{REFRESH_TOKEN_KEY}={}\n", tokens.refresh_token));
    let mut command = story.command(REFRESH_TOKEN);
    command
        .env("WEBEX_SERVICE_APP_CLIENT_ID", &tenant.client_id)
        .env("WEBEX_SERVICE_APP_CLIENT_SECRET", &tenant.client_secret);

    let told = story.run(command.arg("--json"));

    let json = told.exits(0).outcome("refreshed");
    assert!(
        json["warnings"]
            .to_string()
            .contains("only the refresh token")
    );
    assert!(!story.exists("token-config.json"));
}

#[test]
fn what_a_seed_brings_is_saved_and_a_new_seed_wins() {
    let policy = Policy {
        rotate: true,
        reuse: Reuse::RevokeGrant,
        ..Policy::default()
    };
    let story = Story::with(Sandbox::builder().policy(policy).start());
    let tenant = story.tenant();
    let seed = story.sandbox.issue_integration_tokens().refresh_token;
    story.write_env("");
    let run = |seed: &str| {
        let mut command = story.command(REFRESH_TOKEN);
        command
            .args(["--json", "--force"])
            .envs(variables(&tenant))
            .env("WEBEX_INTEGRATION_REFRESH_TOKEN", seed);
        story.run(&mut command).exits(0).outcome("refreshed")
    };
    let saved = || {
        let config = story.config();
        let manager = &config["tokenManager"];
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let refresh_token = text(&manager["integration"]["refreshToken"]);
        (text(&manager["personalAccessToken"]), refresh_token)
    };

    run(&seed);
    let (pat, refresh_token) = saved();
    assert!(story.sandbox.is_live(&pat));
    assert!(refresh_token != seed);
    #[cfg(unix)]
    assert_eq!(support::disk::mode(&story.path("token-config.json")), 0o600);

    // The same seed: what is saved is used, not the seed, which is spent.
    story.sandbox.revoke(&pat);
    story.write_env("");
    run(&seed);
    let (pat, second) = saved();
    assert!(second != refresh_token);
    assert_eq!(story.sandbox.counts().reused_refresh_tokens, 0);

    // A new seed stands over what is saved.
    story.sandbox.revoke(&pat);
    story.sandbox.revoke_grant(&second);
    story.write_env("");
    let new_seed = story.sandbox.issue_integration_tokens().refresh_token;
    assert_eq!(run(&new_seed)["rung"], "integration_refresh_token");
    let (pat, third) = saved();
    assert!(story.sandbox.is_live(&pat));
    assert!(third != new_seed);
    assert!(story.sandbox.is_live_refresh_token(&third));
}

#[test]
fn a_seeded_personal_access_token_gives_way_to_what_the_integration_issued() {
    let story = Story::new();
    let tenant = story.tenant();
    let integration = story.sandbox.issue_integration_tokens().refresh_token;
    let seed = story.sandbox.issue_personal_access_token();
    story.sandbox.revoke(&seed);
    let run = |pat: &str| {
        story.write_env("");
        let mut command = story.command(REFRESH_TOKEN);
        command
            .arg("--json")
            .envs(variables(&tenant))
            .env("WEBEX_PERSONAL_ACCESS_TOKEN", pat)
            .env("WEBEX_INTEGRATION_REFRESH_TOKEN", &integration);
        story.run(&mut command).exits(0).outcome("refreshed")
    };

    assert_eq!(run(&seed)["rung"], "integration_refresh_token");
    assert_eq!(run(&seed)["rung"], "personal_access_token");
    assert_eq!(story.sandbox.counts().refreshes, 1);

    let new_seed = story.sandbox.issue_personal_access_token();
    assert_eq!(run(&new_seed)["rung"], "personal_access_token");
    let requests = story.sandbox.requests();
    let mint = requests
        .iter()
        .rfind(|request| request.path.contains("applications"));
    assert!(mint.and_then(|mint| mint.bearer()) == Some(new_seed.as_str()));
}

#[cfg(unix)]
#[test]
fn a_seed_is_not_spent_where_nothing_can_be_saved() {
    let story = Story::new();
    let seed = story.sandbox.issue_integration_tokens().refresh_token;
    std::fs::create_dir(story.path("etc")).unwrap();
    let disk =
        support::disk::Namespace::new(&story, "mount --bind etc etc; mount -o remount,bind,ro etc");
    let mut command = disk.command(&story, REFRESH_TOKEN);
    command
        .args(["--json", "--config=etc/token-config.json"])
        .envs(variables(&story.tenant()))
        .env("WEBEX_INTEGRATION_REFRESH_TOKEN", &seed);

    let json = story.run(&mut command).exits(74).outcome("not_saved");

    let message = json["message"].as_str().expect("a text");
    assert!(message.contains("integration"), "{message}");
    assert!(story.requests().is_empty(), "{:?}", story.requests());
    assert!(story.sandbox.is_live_refresh_token(&seed));
}

// Trust and proxies.

#[test]
fn ssl_cert_file_names_exactly_what_is_trusted() {
    let story = valid(Sandbox::builder().tls(Tls::Trusted).start());
    story.refresh_token(&[]).exits(0);

    let other = Sandbox::builder().tls(Tls::Trusted).start();
    story.write("other.pem", other.ca_pem().expect("a CA"));
    let count = story.requests().len();
    let mut command = story.command(REFRESH_TOKEN);
    command.env("SSL_CERT_FILE", story.path("other.pem"));
    story.run(command.args(["--deadline", "1s"])).exits(75);
    assert_eq!(story.requests().len(), count);

    // Without it the system's are trusted, which do not know the sandbox.
    let mut command = story.command(REFRESH_TOKEN);
    command.env_remove("SSL_CERT_FILE");
    story.run(command.args(["--deadline", "1s"])).exits(75);
    assert_eq!(story.requests().len(), count);
}

#[test]
fn ssl_cert_dir_names_exactly_what_is_trusted() {
    let story = valid(Sandbox::builder().tls(Tls::Trusted).start());
    let other = Sandbox::builder().tls(Tls::Trusted).start();
    // Files in such a folder are named by the hash of what they hold.
    for (folder, pem) in [("ours", story.sandbox.ca_pem()), ("others", other.ca_pem())] {
        std::fs::create_dir(story.path(folder)).unwrap();
        story.write(&format!("{folder}/0123abcd.0"), pem.expect("a CA"));
    }
    for (folder, code) in [("ours", 0), ("others", 75)] {
        let mut command = story.command(REFRESH_TOKEN);
        command
            .args(["--deadline", "1s"])
            .env_remove("SSL_CERT_FILE")
            .env("SSL_CERT_DIR", story.path(folder));
        story.run(&mut command).exits(code);
    }
    assert_eq!(story.requests().len(), 1);
}

#[test]
fn a_certificate_file_that_is_missing_or_empty_is_a_fault_of_the_settings() {
    let story = valid(Sandbox::builder().tls(Tls::Trusted).start());
    story.write("empty.pem", "");
    for name in ["missing.pem", "empty.pem"] {
        let mut command = story.command(REFRESH_TOKEN);
        command.env("SSL_CERT_FILE", story.path(name));
        story.run(&mut command).exits(78).says(name);
    }
    assert!(story.requests().is_empty());
}

/// A proxy that tunnels every connection to `to` and tells what it was asked for.
fn proxy(to: SocketAddr) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a connection");
            let mut head = BufReader::new(client.try_clone().expect("a socket"));
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                if head.read_line(&mut request).expect("a request") == 0 {
                    break;
                }
            }
            let first = request.lines().next().unwrap_or_default().to_owned();
            if sender.send(first).is_err() {
                return;
            }
            client
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .expect("an answer");
            let webex = TcpStream::connect(to).expect("the sandbox");
            let pipes = [
                (client.try_clone(), webex.try_clone()),
                (Ok(webex), Ok(client)),
            ];
            for (from, to) in pipes {
                let (mut from, mut to) = (from.expect("a socket"), to.expect("a socket"));
                thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    (url, asked)
}

const NAME: &str = "wrong-name.example";

#[test]
fn https_goes_through_the_proxy() {
    let story = valid(Sandbox::builder().tls(Tls::WrongName).start());
    let (url, asked) = proxy(story.sandbox.address());
    let mut command = story.command(REFRESH_TOKEN);
    command
        .env("WEBEX_API_BASE_URL", format!("https://{NAME}/v1"))
        .env("HTTPS_PROXY", url);

    story.run(&mut command).exits(0);

    assert_eq!(
        asked.recv().unwrap(),
        format!("CONNECT {NAME}:443 HTTP/1.1")
    );
    assert_eq!(story.requests(), ["GET /v1/dataSources"]);
}

#[test]
fn loopback_bypasses_every_proxy() {
    for tls in [Tls::Off, Tls::Trusted] {
        let story = valid(Sandbox::builder().tls(tls).start());
        let (url, asked) = proxy(story.sandbox.address());
        let mut command = story.command(REFRESH_TOKEN);
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
            command.env(name, &url).env(name.to_lowercase(), &url);
        }
        story.run(&mut command).exits(0);
        assert!(asked.try_recv().is_err(), "{tls:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_proxy_names_hosts_that_are_reached_without_it() {
    let story = valid(Sandbox::builder().tls(Tls::WrongName).start());
    let (url, asked) = proxy(story.sandbox.address());
    let port = story.sandbox.address().port();
    let namespace = support::disk::Namespace::new(
        &story,
        &format!("echo 127.0.0.1 {NAME} >hosts; mount --bind hosts /etc/hosts"),
    );
    for (no_proxy, is_asked) in [(NAME, false), ("other.example", true), (".example", false)] {
        let mut command = namespace.command(&story, REFRESH_TOKEN);
        command
            .env("WEBEX_API_BASE_URL", format!("https://{NAME}:{port}/v1"))
            .env("HTTPS_PROXY", &url)
            .env("NO_PROXY", no_proxy);
        story.run(&mut command).exits(0);
        assert_eq!(asked.try_recv().is_ok(), is_asked, "{no_proxy}");
    }
}

#[test]
fn a_proxy_that_is_none_is_a_fault_of_the_settings() {
    let story = valid(Sandbox::start());
    let mut command = story.command(REFRESH_TOKEN);
    command
        .env("WEBEX_API_BASE_URL", "https://webex.example/v1")
        .env("HTTPS_PROXY", "socks5://planted-password@proxy.example");
    let told = story.run(&mut command);
    told.exits(78).says("HTTPS_PROXY");
    assert!(!told.stderr.contains("planted"), "{}", told.stderr);
}

#[test]
fn plain_http_goes_to_this_machine_alone() {
    let story = valid(Sandbox::start());
    let refused = [
        "http://webexapis.com/v1",
        "http://localhost.example/v1",
        "http://127.0.0.1.example/v1",
        "http://10.0.0.1/v1",
        "http://user:planted-password@127.0.0.1:9/v1",
        "http://localhost:9@webex.example/v1",
        "ftp://localhost/v1",
        "webexapis.com/v1",
    ];
    let before = story.env();
    for url in refused {
        let told = story.refresh_token(&["--api-base-url", url]);
        told.exits(78).says("command line: --api-base-url");
        assert!(!told.stderr.contains("planted"), "{}", told.stderr);
    }
    assert!(story.requests().is_empty());
    assert_eq!(story.env(), before);
    assert!(!story.exists(".env.lock"));

    let port = story.sandbox.address().port();
    let url = format!("http://localhost:{port}/v1");
    story.refresh_token(&["--api-base-url", &url]).exits(0);
}

//! What lies between us and Webex: no connection, no trust, and proxies.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use support::{FLAG_KEY, Hand, REFRESH_TOKEN, Story};
use webex_sandbox::{Endpoint, Fault, Sandbox, Tls};

/// A proxy on loopback that gives one answer to every CONNECT, as often as it is asked to.
struct Proxy {
    url: String,
    asked: JoinHandle<Vec<String>>,
}

impl Proxy {
    fn answering(answer: &'static str, times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!(
            "http://operator:qx7Zk29vLm04@{}",
            listener.local_addr().expect("an address")
        );
        let asked = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for _ in 0..times {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
                    head.push(byte[0]);
                }
                stream.write_all(answer.as_bytes()).expect("it is sent");
                let head = String::from_utf8_lossy(&head).into_owned();
                asked.push(head.lines().next().unwrap_or_default().to_owned());
            }
            asked
        });
        Self { url, asked }
    }

    /// The request lines that arrived; waits for as many as were foreseen.
    fn asked(self) -> Vec<String> {
        self.asked.join().expect("the proxy lived")
    }
}

/// A port of this machine where nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn a_refused_connection_is_tried_three_times_and_loses_nothing() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let env = story.env();
    let nowhere = format!("http://127.0.0.1:{}/v1", closed_port());

    let told = story.refresh_token(&["--json", "--api-base-url", &nowhere]);

    told.exits(75).outcome("unavailable");
    assert_eq!(told.attempts(), ["refresh_service_app unavailable"; 3]);
    assert!(told.attempt(0)["httpStatus"].is_null());
    told.says("cannot connect");
    assert_eq!(story.env(), env);

    // Webex provably did not act: the refresh token is not doubtful.
    let told = story.refresh_token(&["--json"]);
    told.exits(0).outcome("refreshed");
    assert!(!told.warns("earlier run"), "{}", told.stdout);
}

#[test]
fn a_server_that_cannot_prove_who_it_is_is_told_nothing() {
    for tls in [Tls::WrongName, Tls::Expired, Tls::UnknownCa] {
        let sandbox = Sandbox::builder().tls(tls).start();
        let story = Story::with_hand_in(sandbox, Hand::REFRESH_TOKEN);
        let env = story.env();

        let told = story.refresh_token(&["--json", "--deadline", "1s"]);

        told.exits(75).outcome("unavailable");
        assert_eq!(told.attempt(0)["outcome"], "unavailable", "{tls:?}");
        let error = told.attempt(0)["error"].to_string();
        assert!(error.contains("certificate"), "{tls:?}: {error}");
        assert_eq!(story.sandbox.counts().requests, 0, "{tls:?}");
        assert_eq!(story.env(), env);
    }
}

#[test]
fn a_server_that_is_trusted_is_talked_to_over_one_connection() {
    let sandbox = Sandbox::builder().tls(Tls::Trusted).start();
    let story = Story::with_hand_in(sandbox, Hand::ALL_RUNGS);
    let dead = Fault::refusal(webex_sandbox::Policy::default().dead_grant);
    story.sandbox.script(Endpoint::ServiceAppRefresh, [dead]);
    story.sandbox.script(Endpoint::Mint, [Fault::status(401)]);

    story
        .refresh_token(&["--json"])
        .exits(0)
        .outcome("refreshed");

    assert_eq!(
        story.asked(),
        ["grant", "mint", "renew", "mint", "validate"]
    );
    assert_eq!(story.sandbox.counts().connections, 1);
}

#[test]
fn a_server_without_tls_behind_https_is_unavailable() {
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let port = story.sandbox.address().port();
    let base = format!("https://127.0.0.1:{port}/v1");

    let told = story.refresh_token(&["--json", "--deadline", "1s", "--api-base-url", &base]);

    told.exits(75).outcome("unavailable");
    assert_eq!(told.attempt(0)["outcome"], "unavailable");
    assert_eq!(story.sandbox.counts().grants, 0);
}

#[test]
fn a_proxy_that_asks_for_credentials_is_a_matter_of_settings() {
    let proxy = Proxy::answering(
        "HTTP/1.1 407 Proxy Authentication Required\r\n\
         Proxy-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\n",
        1,
    );
    let story = Story::with_hand(Hand::ALL_RUNGS);
    let env = story.env();
    let mut command = story.command(REFRESH_TOKEN);
    command
        .env("HTTPS_PROXY", &proxy.url)
        .env("WEBEX_API_BASE_URL", "https://webex.invalid/v1")
        .args(["--json", "-vv"]);

    let told = story.run(&mut command);

    told.exits(78).outcome("misconfigured");
    told.says("407").says("HTTPS_PROXY");
    support::assert_no_piece(&told.stdout, "qx7Zk29vLm04");
    support::assert_no_piece(&told.stderr, "qx7Zk29vLm04");
    assert_eq!(proxy.asked(), ["CONNECT webex.invalid:443 HTTP/1.1"]);
    assert_eq!(story.env(), env);
    assert!(!story.env().contains(FLAG_KEY));
}

#[test]
fn a_proxy_that_does_not_get_through_is_unavailable() {
    let proxy = Proxy::answering(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        3,
    );
    let story = Story::with_hand(Hand::REFRESH_TOKEN);
    let mut command = story.command(REFRESH_TOKEN);
    command
        .env("HTTPS_PROXY", &proxy.url)
        .env("WEBEX_API_BASE_URL", "https://webex.invalid/v1")
        .args(["--json", "-vv"]);

    let told = story.run(&mut command);

    told.exits(75).outcome("unavailable");
    assert_eq!(told.attempts(), ["refresh_service_app unavailable"; 3]);
    support::assert_no_piece(&told.stdout, "qx7Zk29vLm04");
    support::assert_no_piece(&told.stderr, "qx7Zk29vLm04");
    assert_eq!(proxy.asked().len(), 3);
}

#[test]
fn loopback_is_reached_past_every_proxy() {
    let nobody = format!("http://127.0.0.1:{}", closed_port());
    for tls in [Tls::Off, Tls::Trusted] {
        let sandbox = Sandbox::builder().tls(tls).start();
        let story = Story::with_hand_in(sandbox, Hand::REFRESH_TOKEN);
        let mut command = story.command(REFRESH_TOKEN);
        command
            .env("HTTPS_PROXY", &nobody)
            .env("HTTP_PROXY", &nobody)
            .env("ALL_PROXY", &nobody);

        story.run(&mut command).exits(0);

        assert_eq!(story.asked(), ["grant", "validate"], "{tls:?}");
    }
}

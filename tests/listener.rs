//! The listener of a redirect, over real sockets: what a browser sees of it, and what it takes from
//! clients that mean harm.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use url::Url;
use webex_tokens::config::{Loopback, RedirectUri};
use webex_tokens::consent::{Authorization, Callback, CallbackError, ListenError, Listener, Page};

/// How many requests wait for an answer at most.
const MOST_WAITING: usize = 16;

const IPV4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn loopback(port: u16) -> Loopback {
    Loopback {
        ipv4: Ipv4Addr::LOCALHOST,
        port,
        path: "/callback".to_owned(),
    }
}

async fn listener() -> Listener {
    Listener::bind(&loopback(0)).await.expect("a free port")
}

/// The loopback addresses that this machine has.
fn families() -> Vec<IpAddr> {
    let has = |address: &IpAddr| std::net::TcpListener::bind((*address, 0)).is_ok();
    [IPV4, IPV6].into_iter().filter(has).collect()
}

/// What must happen: a test that would hang fails instead.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = tokio::time::timeout(Duration::from_mins(1), what);
    limit.await.expect("it never happened")
}

/// A connection with this much sent over it.
async fn sent(address: impl Into<IpAddr>, port: u16, bytes: &str) -> TcpStream {
    let address = SocketAddr::from((address.into(), port));
    let mut stream = soon(TcpStream::connect(address))
        .await
        .expect("a connection");
    // Who has been refused already need not hear the rest.
    let _ = stream.write_all(bytes.as_bytes()).await;
    stream
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        let status = head.split(' ').nth(1).expect("a status");
        Self {
            status: status.parse().expect("a number"),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    fn has(&self, header: &str) -> bool {
        self.head.split("\r\n").any(|line| line == header)
    }
}

/// What comes back, up to the end of the connection.
async fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await.expect("an end");
    Answer::parse(&bytes)
}

/// A browser's GET of the redirect path.
fn get(port: u16, query: &str) -> String {
    format!("GET /callback?{query} HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: */*\r\n\r\n")
}

async fn ask(port: u16, request: &str) -> Answer {
    answer(sent(IPV4, port, request).await).await
}

/// Holds that a right request is the next one that is handed out, and that it is answered.
async fn is_served(listener: &mut Listener, query: &str) {
    let browser = sent(IPV4, listener.port(), &get(listener.port(), query)).await;
    let request = soon(listener.next()).await;
    assert_eq!(request.query(), query);
    request.answer(Page::Success);
    assert_eq!(answer(browser).await.body, Page::Success.html());
}

#[tokio::test]
async fn a_redirect_is_handed_out_and_answered_with_a_page() {
    let mut listener = listener().await;
    let pages = [
        Page::Success,
        Page::Denied,
        Page::OldLink,
        Page::AlreadyAnswered,
        Page::Failed {
            what: "The code <has> expired.".to_owned(),
            next: "Run it again.".to_owned(),
        },
    ];
    for page in pages {
        let browser = get(listener.port(), "code=a%2Bb&state=c");
        let browser = sent(IPV4, listener.port(), &browser).await;
        let request = soon(listener.next()).await;
        assert_eq!(request.query(), "code=a%2Bb&state=c");
        assert!(!format!("{request:?}").contains("code"));
        request.answer(page.clone());
        let answer = answer(browser).await;
        assert_eq!(answer.status, page.status());
        assert_eq!(answer.body, page.html());
        for header in [
            "content-type: text/html; charset=utf-8",
            "cache-control: no-store",
            "referrer-policy: no-referrer",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "connection: close",
        ] {
            assert!(answer.has(header), "no {header} in {answer:?}");
        }
        let policy = "content-security-policy: default-src 'none'; style-src 'sha256-";
        assert!(answer.head.contains(policy), "{answer:?}");
    }
}

#[tokio::test]
async fn every_name_of_this_machine_is_served_on_every_family() {
    let mut listener = listener().await;
    let port = listener.port();
    for address in families() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "[::1]"] {
            let request = format!("GET /callback HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n");
            let browser = sent(address, port, &request).await;
            let request = soon(listener.next()).await;
            assert_eq!(request.query(), "");
            request.answer(Page::Denied);
            assert_eq!(answer(browser).await.body, Page::Denied.html());
        }
    }
}

#[tokio::test]
async fn nothing_else_is_served_and_nothing_else_is_handed_out() {
    let mut listener = listener().await;
    let port = listener.port();
    let other = port ^ 1;
    let us = format!("Host: localhost:{port}");
    let table = [
        (format!("GET / HTTP/1.1\r\n{us}"), 404),
        (format!("GET /favicon.ico HTTP/1.1\r\n{us}"), 404),
        (format!("GET /callback/ HTTP/1.1\r\n{us}"), 404),
        (format!("GET /Callback?code=a HTTP/1.1\r\n{us}"), 404),
        (format!("GET //callback?code=a HTTP/1.1\r\n{us}"), 404),
        (format!("GET /x/../callback?code=a HTTP/1.1\r\n{us}"), 404),
        (
            format!("POST /x HTTP/1.1\r\n{us}\r\nContent-Length: 0"),
            404,
        ),
        (format!("HEAD /callback?code=a HTTP/1.1\r\n{us}"), 405),
        (format!("OPTIONS /callback?code=a HTTP/1.1\r\n{us}"), 405),
        (
            format!("POST /callback?code=a HTTP/1.1\r\n{us}\r\nContent-Length: 4\r\n\r\ncode"),
            405,
        ),
        (
            "GET /callback?code=a HTTP/1.1\r\nHost: localhost".to_owned(),
            421,
        ),
        (
            format!("GET /callback?code=a HTTP/1.1\r\nHost: localhost:{other}"),
            421,
        ),
        (
            format!("GET /callback?code=a HTTP/1.1\r\nHost: example.com:{port}"),
            421,
        ),
        (
            format!("GET /callback?code=a HTTP/1.1\r\nHost: localhost.example.com:{port}"),
            421,
        ),
        (
            format!("GET /callback?code=a HTTP/1.1\r\nHost: a@localhost:{port}"),
            421,
        ),
        (
            format!("GET /callback?code=a HTTP/1.1\r\nHost: 127.0.0.2:{port}"),
            421,
        ),
        (
            format!("GET /callback?code=a HTTP/1.1\r\nHost: 0.0.0.0:{port}"),
            421,
        ),
        (
            format!("GET http://example.com/callback?code=a HTTP/1.1\r\n{us}"),
            421,
        ),
        ("GET /callback?code=a HTTP/1.1\r\nHost:".to_owned(), 421),
        ("GET /callback?code=a HTTP/1.1\r\nA: b".to_owned(), 400),
        ("GET /callback?code=a HTTP/1.0\r\nA: b".to_owned(), 400),
        (
            format!("GET /callback?code=a HTTP/1.1\r\n{us}\r\nHost: example.com:{port}"),
            400,
        ),
        ("\x16\x03\x01\x02\x00\x01".to_owned(), 400),
    ];
    for (request, status) in table {
        let answer = ask(port, &format!("{request}\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{request}");
        assert!(!answer.head.contains("text/html"), "{request}");
        assert_eq!(status == 405, answer.has("allow: get"), "{request}");
    }
    is_served(&mut listener, "code=b").await;
}

#[tokio::test]
async fn a_head_over_16_kib_is_refused_and_its_connection_closed() {
    let mut listener = listener().await;
    let port = listener.port();
    let filler = "a".repeat(17 * 1024);
    let header = format!("GET /callback HTTP/1.1\r\nHost: localhost:{port}\r\nA: {filler}\r\n\r\n");
    for request in [header, get(port, &filler)] {
        let answer = ask(port, &request).await;
        assert!([414, 431].contains(&answer.status), "{answer:?}");
    }
    is_served(&mut listener, &filler[..15 * 1024]).await;
}

#[tokio::test]
async fn a_body_is_not_read_and_its_sender_still_hears_why() {
    let listener = listener().await;
    let port = listener.port();
    let body = "a".repeat(200 * 1024);
    let head = format!("POST /callback HTTP/1.1\r\nHost: localhost:{port}\r\n");
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(ask(port, &request).await.status, 405);
}

#[tokio::test]
async fn half_a_request_keeps_nobody_waiting() {
    let mut listener = listener().await;
    let port = listener.port();
    let _silent = sent(IPV4, port, "").await;
    let _half = sent(IPV4, port, "GET /callback?code=evil HTTP/1.1\r\nHos").await;
    let _body = sent(
        IPV4,
        port,
        &format!("POST / HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 9\r\n\r\n"),
    )
    .await;
    is_served(&mut listener, "code=a").await;
}

#[tokio::test]
async fn two_hundred_stuck_connections_keep_nobody_waiting() {
    let mut listener = listener().await;
    let port = listener.port();
    let early = sent(IPV4, port, &get(port, "early")).await;
    let request = soon(listener.next()).await;
    let mut stuck = Vec::new();
    for address in families().iter().cycle().take(200) {
        stuck.push(sent(*address, port, "GET /callback?").await);
    }
    is_served(&mut listener, "late").await;
    request.answer(Page::Denied);
    assert_eq!(answer(early).await.body, Page::Denied.html());

    // No more than 64 are kept: the oldest have gone, before their time.
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    let mut byte = [0];
    let end = soon(stuck[0].read(&mut byte)).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    assert_eq!(before.elapsed(), Duration::ZERO);
}

/// Fills the queue of a listener that nobody asks: the one that is refused tells when it is full.
async fn crowd(port: u16) -> JoinSet<Answer> {
    let mut browsers = JoinSet::new();
    for _ in 0..=MOST_WAITING {
        browsers.spawn(async move { ask(port, &get(port, "code=a")).await });
    }
    let refused = browsers.join_next().await.expect("a browser");
    assert_eq!(refused.expect("an answer").status, 503);
    browsers
}

#[tokio::test]
async fn more_than_can_be_answered_are_told_to_come_again() {
    let mut listener = listener().await;
    let browsers = crowd(listener.port()).await;
    for _ in 0..MOST_WAITING {
        soon(listener.next()).await.answer(Page::OldLink);
    }
    for answer in browsers.join_all().await {
        assert_eq!(answer.body, Page::OldLink.html());
    }
    is_served(&mut listener, "code=b").await;
}

#[tokio::test]
async fn who_never_ends_a_head_is_hung_up_on() {
    let mut listener = listener().await;
    let mut stuck = sent(IPV4, listener.port(), "GET /callback HTTP/1.1\r\nHost: ").await;
    is_served(&mut listener, "code=a").await;
    // From here on, waiting is all there is to do, and takes no time.
    tokio::time::pause();
    let mut bytes = Vec::new();
    soon(stuck.read_to_end(&mut bytes)).await.expect("an end");
    assert_eq!(bytes, b"");
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_no_request() {
    let mut listener = listener().await;
    for query in ["code=a", "code=b"] {
        tokio::select! {
            biased;
            request = listener.next() => panic!("{request:?}"),
            () = std::future::ready(()) => {}
        }
        is_served(&mut listener, query).await;
    }
}

#[tokio::test]
async fn a_code_is_handed_out_even_if_its_browser_has_gone() {
    let mut listener = listener().await;
    let port = listener.port();
    drop(sent(IPV4, port, &get(port, "code=a")).await);
    let request = soon(listener.next()).await;
    assert_eq!(request.query(), "code=a");
    request.answer(Page::Success);
    is_served(&mut listener, "code=b").await;
}

#[tokio::test]
async fn a_forged_answer_is_told_so_and_the_true_one_still_arrives() {
    let mut listener = listener().await;
    let port = listener.port();
    let uri = format!("http://localhost:{port}/callback");
    let uri = RedirectUri::parse(&uri).expect("a redirect URI");
    assert_eq!(uri.loopback(), Some(loopback(port)));
    let authorize_url = Url::parse("https://webexapis.com/v1/authorize").expect("a URL");
    let authorization = Authorization::new(&authorize_url, "C1", &uri, &["spark:all"]);
    let state = authorization
        .url()
        .query_pairs()
        .find(|(name, _)| name == "state")
        .expect("a state")
        .1
        .into_owned();

    let forger = sent(IPV4, port, &get(port, "code=evil&state=guessed")).await;
    let browser = sent(IPV4, port, &get(port, &format!("code=good&state={state}"))).await;
    let mut code = None;
    while code.is_none() {
        let request = soon(listener.next()).await;
        match authorization.read(request.query()) {
            Ok(Callback::Code(read)) => {
                code = Some(read);
                request.answer(Page::Success);
            }
            Err(CallbackError::WrongState) => request.answer(Page::OldLink),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(code.expect("a code").expose(), "good");
    assert_eq!(answer(forger).await.body, Page::OldLink.html());
    assert_eq!(answer(browser).await.body, Page::Success.html());
}

#[tokio::test]
async fn a_port_that_is_taken_on_either_family_is_told_with_its_holder() {
    for address in families() {
        let other = std::net::TcpListener::bind((address, 0)).expect("a free port");
        let taken = other.local_addr().expect("an address").port();
        let error = Listener::bind(&loopback(taken)).await.expect_err("taken");
        let ListenError::PortTaken { port, ref holder } = error else {
            panic!("{error:?}");
        };
        assert_eq!(port, taken);
        if cfg!(target_os = "linux") {
            let holder = holder.as_ref().expect("this process may be known");
            assert_eq!(holder.pid, std::process::id());
            assert!(holder.name.starts_with("listener-"), "{holder:?}");
            let told = format!(
                "port {port} is taken by {} (process {})",
                holder.name, holder.pid
            );
            assert_eq!(error.to_string(), told);
        }
    }
}

#[tokio::test]
async fn a_port_is_the_same_on_both_families_and_free_again_after_closing() {
    let first = listener().await;
    let port = first.port();
    assert_ne!(port, 0);
    for address in families() {
        std::net::TcpListener::bind((address, port)).expect_err("taken");
    }
    let error = Listener::bind(&loopback(port)).await.expect_err("taken");
    assert!(matches!(error, ListenError::PortTaken { .. }), "{error:?}");
    first.close().await;
    let mut second = Listener::bind(&loopback(port)).await.expect("free again");
    assert_eq!(second.port(), port);
    is_served(&mut second, "code=a").await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn another_loopback_address_is_listened_on_where_the_redirect_names_it() {
    let ipv4 = Ipv4Addr::new(127, 0, 0, 5);
    let loopback = Loopback {
        ipv4,
        ..loopback(0)
    };
    let mut listener = Listener::bind(&loopback).await.expect("a free port");
    let port = listener.port();
    let request = format!("GET /callback?a HTTP/1.1\r\nHost: 127.0.0.5:{port}\r\n\r\n");
    let browser = sent(ipv4, port, &request).await;
    soon(listener.next()).await.answer(Page::Success);
    assert_eq!(answer(browser).await.status, 200);
}

/// The runtime is gone when the browser reads: nothing can be sent after `close` has returned.
#[test]
fn what_was_answered_reaches_the_browser_before_closing_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let [mut asked, mut stuck] = runtime.block_on(async {
        let mut listener = listener().await;
        let port = listener.port();
        let half = "GET /callback HTTP/1.1\r\n";
        let browsers = [&get(port, "code=a"), half].map(|request| {
            let mut browser = std::net::TcpStream::connect((IPV4, port)).expect("a connection");
            browser.write_all(request.as_bytes()).expect("sent");
            browser
        });
        soon(listener.next()).await.answer(Page::Success);
        // This thread cannot hang up while it waits; that the listener waits for it takes no time.
        tokio::time::pause();
        soon(listener.close()).await;
        browsers
    });
    drop(runtime);
    let mut bytes = Vec::new();
    asked.read_to_end(&mut bytes).expect("an answer");
    assert_eq!(Answer::parse(&bytes).body, Page::Success.html());
    bytes.clear();
    let _hung_up_or_reset = stuck.read_to_end(&mut bytes);
    assert_eq!(bytes, b"");
}

#[tokio::test]
async fn who_still_waits_when_it_closes_is_told_that_it_is_over() {
    let listener = listener().await;
    let browsers = crowd(listener.port()).await;
    soon(listener.close()).await;
    for answer in browsers.join_all().await {
        assert_eq!(answer.status, 500);
        assert!(answer.body.contains("has ended"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_is_told_that_it_is_over() {
    let mut listener = listener().await;
    let port = listener.port();
    let browser = sent(IPV4, port, &get(port, "code=a")).await;
    drop(soon(listener.next()).await);
    let answer = answer(browser).await;
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("has ended"), "{answer:?}");
}

#[tokio::test]
async fn closing_ends_even_if_a_request_is_never_answered() {
    let mut listener = listener().await;
    let port = listener.port();
    let mut browser = sent(IPV4, port, &get(port, "code=a")).await;
    let held = soon(listener.next()).await;
    // From here on, waiting is all there is to do, and takes no time.
    tokio::time::pause();
    let port_is_free = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        std::net::TcpListener::bind((IPV4, port)).expect("free, while a request is waited for");
    };
    tokio::join!(soon(listener.close()), port_is_free);
    let mut bytes = Vec::new();
    browser.read_to_end(&mut bytes).await.expect("an end");
    assert_eq!(bytes, b"");
    held.answer(Page::Success);
}

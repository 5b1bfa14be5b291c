//! Proxies: who is told the password, who is reached without one, and what becomes of bad ones.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use webex_sandbox::{Sandbox, Tls};

use super::LEAN;
use super::servers::{self, Lasts};
use crate::support::raw_server::RawServer;
use crate::support::{
    CHECK_TOKEN, DATA_SOURCES, Hand, Is, REFRESH_TOKEN, SETUP_OAUTH, Story, Told, assert_no_piece,
    torture,
};

const PASSWORD: &str = "qx7Zk29vLm04";

/// A proxy that leads wherever it is asked to one place, and keeps what it was asked.
struct Tunnel {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    fn to(place: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || lead(stream, place, &kept));
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("nobody panics").clone()
    }
}

fn lead(mut client: TcpStream, place: SocketAddr, heads: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads.lock().expect("nobody panics").push(head);
    let mut server = TcpStream::connect(place)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to));
    io::copy(&mut server, &mut client)?;
    Ok(())
}

/// The proxy's URL, with user and password.
fn with_password(address: SocketAddr) -> String {
    format!("http://operator:{PASSWORD}@{address}")
}

fn hand_of(program: &str) -> Hand {
    let access_token = if program == REFRESH_TOKEN {
        Is::Absent
    } else {
        Is::Live
    };
    Hand {
        access_token,
        ..Hand::ALL_RUNGS
    }
}

#[track_caller]
fn assert_no_password(told: &Told) {
    for secret in [PASSWORD, &STANDARD.encode(format!("operator:{PASSWORD}"))] {
        assert_no_piece(&told.stdout, secret);
        assert_no_piece(&told.stderr, secret);
    }
}

#[test]
fn the_password_is_the_proxys_alone() {
    for (program, arguments) in [
        (REFRESH_TOKEN, &["-vv"][..]),
        (CHECK_TOKEN, &["-vv", "--json"]),
        (DATA_SOURCES, &["list", "-vv"]),
    ] {
        for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            let sandbox = Sandbox::builder().tls(Tls::Trusted).start();
            let story = Story::with_hand_in(sandbox, hand_of(program));
            let tunnel = Tunnel::to(story.sandbox.address());
            let mut command = story.command(program);
            command
                .args(arguments)
                .env(variable, with_password(tunnel.address))
                .env("RUST_LOG", "trace")
                .env("WEBEX_API_BASE_URL", "https://webex.test/v1");

            let told = story.run(&mut command);

            told.exits(0);
            assert_no_password(&told);
            let heads = tunnel.heads();
            let basic = STANDARD.encode(format!("operator:{PASSWORD}"));
            for head in &heads {
                assert!(
                    head.starts_with("CONNECT webex.test:443 HTTP/1.1\r\n"),
                    "{head}"
                );
                let head = head.to_lowercase();
                let expected = format!("proxy-authorization: basic {}\r\n", basic.to_lowercase());
                assert!(head.contains(&expected), "{head}");
                assert!(!head.contains("\r\nauthorization:"), "{head}");
            }
            assert!(!heads.is_empty(), "{variable}");
            let requests = story.sandbox.requests();
            assert!(!requests.is_empty());
            for request in requests {
                assert_eq!(request.headers.get("proxy-authorization"), None);
            }
        }
    }
}

#[test]
fn no_proxy_is_respected() {
    // No name server can be asked for this one: a label has 63 characters at most.
    let host = format!("{}.webex.test", "a".repeat(64));
    let by_name = format!("https://{host}/v1");
    let sandbox = Sandbox::builder().tls(Tls::WrongName).start();
    let story = Story::with_hand_in(sandbox, Hand::REFRESH_TOKEN);
    let by_address = format!("https://0.0.0.0:{}/v1", story.sandbox.address().port());
    let proxy = RawServer::answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    let table = [
        (&by_name, "", true),
        (&by_name, "other.example", true),
        (&by_name, "ebex.test", true),
        (&by_name, &host, false),
        (&by_name, "webex.test", false),
        (&by_name, ".webex.test", false),
        (&by_name, "other.example, WEBEX.test", false),
        (&by_name, "*", false),
        (&by_address, "127.0.0.1", true),
        (&by_address, "10.0.0.0/8", true),
        (&by_address, "0.0.0.0", false),
        (&by_address, "0.0.0.0/8", false),
        (&by_address, "*", false),
    ];
    for (base, value, is_asked) in table {
        for variable in ["NO_PROXY", "no_proxy"] {
            let before = proxy.requests().len();
            let mut command = story.command(REFRESH_TOKEN);
            command
                .arg("--deadline=1s")
                .env("HTTPS_PROXY", with_password(proxy.address()))
                .env(variable, value)
                .env("WEBEX_API_BASE_URL", base);
            let told = story.run(&mut command);
            told.exits(75).says("cannot connect: ");
            assert_no_password(&told);
            let was_asked = proxy.requests().len() > before;
            assert_eq!(was_asked, is_asked, "{base} {value}: {}", told.stderr);
        }
    }
    assert_eq!(story.sandbox.counts().requests, 0);
}

#[test]
fn a_proxy_that_is_none_is_named_by_its_variable() {
    for program in [REFRESH_TOKEN, CHECK_TOKEN, DATA_SOURCES] {
        let story = Story::with_hand(hand_of(program));
        let before = story.env();
        for url in [
            format!("socks5://operator:{PASSWORD}@127.0.0.1:1"),
            format!("http://operator:{PASSWORD}@"),
            format!("http://operator:{PASSWORD}@127.0.0.1:99999"),
            format!("://operator:{PASSWORD}@127.0.0.1"),
            "file:///etc/passwd".to_owned(),
        ] {
            let mut command = story.command(program);
            if program == DATA_SOURCES {
                command.arg("list");
            }
            command
                .env("HTTPS_PROXY", &url)
                .env("WEBEX_API_BASE_URL", "https://webex.test/v1");
            let told = story.run(&mut command);
            told.exits(78).says("HTTPS_PROXY");
            assert_no_password(&told);
            assert_eq!(story.env(), before);
        }
    }
}

#[test]
fn a_proxy_that_misbehaves_is_unavailable() {
    let kinds = servers::all();
    let some = kinds.iter().step_by(torture::size(3, 1));
    let cast: Vec<_> = some.filter(|kind| kind.lasts != Lasts::Busily).collect();
    thread::scope(|scope| {
        for (worker, part) in cast.chunks(cast.len().div_ceil(16)).enumerate() {
            scope.spawn(move || {
                for (at, kind) in part.iter().enumerate() {
                    // A handshake is waited for for ten seconds: at most one with an end.
                    let program = [REFRESH_TOKEN, SETUP_OAUTH, CHECK_TOKEN][(worker + at) % 3];
                    let program = if kind.lasts == Lasts::ForEver {
                        REFRESH_TOKEN
                    } else {
                        program
                    };
                    let story = Story::with_hand(hand_of(program));
                    let before = story.env();
                    let proxy = RawServer::serving(&kind.conduct);
                    let mut command = story.command_within(program, LEAN);
                    if program == REFRESH_TOKEN {
                        command.arg("--deadline=1s");
                    }
                    command
                        .env("HTTPS_PROXY", with_password(proxy.address()))
                        .env("WEBEX_API_BASE_URL", "https://webex.test/v1");
                    let told = story.run_within(LEAN, &mut command).told;
                    told.exits(75)
                        .says("; run this again later; nothing was lost");
                    assert_no_password(&told);
                    assert!(
                        !told.stderr.contains("doubtful"),
                        "{}: {}",
                        kind.name,
                        told.stderr
                    );
                    assert_eq!(story.env(), before, "{}", kind.name);
                    for request in proxy.requests() {
                        assert!(request.starts_with("CONNECT webex.test:443 "), "{request}");
                    }
                }
            });
        }
    });
}

//! TLS that does not come about: nobody is told anything, and the run says why.

use std::thread;

use webex_sandbox::{Sandbox, Tls};

use super::{LEAN, ROOMY};
use crate::support::raw_server::{Conduct, Piece, RawServer};
use crate::support::{CHECK_TOKEN, DATA_SOURCES, Hand, Is, REFRESH_TOKEN, SETUP_OAUTH, Story};

/// Every program, with what it is asked to do, and how much memory it may take.
const PROGRAMS: [(&str, &[&str], u64); 4] = [
    (REFRESH_TOKEN, &["--deadline=1s"], LEAN),
    (CHECK_TOKEN, &[], LEAN),
    (DATA_SOURCES, &["list", "--deadline=1s"], ROOMY),
    (SETUP_OAUTH, &["--device", "--reauthorize"], LEAN),
];

fn story(sandbox: Sandbox, program: &str) -> Story {
    let access_token = if program == REFRESH_TOKEN {
        Is::Absent
    } else {
        Is::Live
    };
    let hand = Hand {
        access_token,
        ..Hand::ALL_RUNGS
    };
    Story::with_hand_in(sandbox, hand)
}

#[test]
fn a_certificate_that_proves_nothing_is_refused_by_every_program() {
    for (tls, why) in [
        (Tls::WrongName, "not valid for name"),
        (Tls::Expired, "certificate expired"),
        (Tls::NotYetValid, "certificate not valid yet"),
        (Tls::UnknownCa, "UnknownIssuer"),
        (Tls::SelfSigned, "invalid peer certificate"),
    ] {
        for (program, arguments, most) in PROGRAMS {
            let story = story(Sandbox::builder().tls(tls).start(), program);
            let before = story.env();
            let mut command = story.command_within(program, most);
            let told = story.run_within(most, command.args(arguments)).told;
            told.exits(75)
                .says("cannot connect: ")
                .says(why)
                .says("; run this again later; nothing was lost");
            assert_eq!(story.sandbox.counts().requests, 0, "{tls:?} {program}");
            assert_eq!(story.env(), before);
        }
    }
}

#[test]
fn a_server_that_wants_to_know_who_is_asking_is_not_told() {
    for (program, arguments, _) in PROGRAMS {
        let story = story(
            Sandbox::builder().tls(Tls::AsksForCertificate).start(),
            program,
        );
        let before = story.env();
        let told = story.run(story.command(program).args(arguments));
        told.exits(75).says("CertificateRequired");
        assert_eq!(story.sandbox.counts().requests, 0, "{program}");
        assert_eq!(story.env(), before);
    }
}

#[test]
fn a_handshake_that_does_not_end_is_given_up() {
    let hello = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03";
    let alert = |code: u8| vec![Piece::Bytes(vec![0x15, 3, 3, 0, 2, 2, code])];
    let servers: [(&str, Vec<Piece>, &str); 7] = [
        ("an end", vec![], ""),
        ("silence", vec![Piece::Silence], "no connection within 10 s"),
        (
            "a hello that is cut short",
            vec![Piece::Bytes(hello.to_vec())],
            "",
        ),
        (
            "a hello that does not end",
            vec![Piece::Bytes(hello.to_vec()), Piece::Silence],
            "no connection within 10 s",
        ),
        (
            "records for ever",
            vec![Piece::Endless(b"\x16\x03\x03\x00\x01\x00".to_vec())],
            "",
        ),
        ("no common version", alert(70), "ProtocolVersion"),
        (
            "plain HTTP",
            vec![Piece::Bytes(b"HTTP/1.1 400 No\r\n\r\n".to_vec())],
            "",
        ),
    ];
    thread::scope(|scope| {
        for (name, pieces, why) in servers {
            scope.spawn(move || {
                let story = story(Sandbox::builder().tls(Tls::Trusted).start(), REFRESH_TOKEN);
                let before = story.env();
                let server = RawServer::start(Conduct {
                    unasked: pieces,
                    answer: Vec::new(),
                });
                let base = format!("https://localhost:{}/v1", server.address().port());
                let mut command = story.command_within(REFRESH_TOKEN, LEAN);
                command.args(["--deadline=1s", "--api-base-url", &base]);
                let told = story.run_within(LEAN, &mut command).told;
                told.exits(75).says("cannot connect: ").says(why);
                assert!(!told.stderr.contains("doubtful"), "{name}: {}", told.stderr);
                assert_eq!(story.env(), before);
            });
        }
    });
}

#[test]
fn only_certificates_of_the_file_that_is_named_are_trusted() {
    let pem = |story: &Story| story.sandbox.ca_pem().expect("a CA").to_owned();
    for (program, arguments, _) in PROGRAMS {
        let story = story(Sandbox::builder().tls(Tls::Trusted).start(), program);
        let pem = pem(&story);
        let before = story.env();
        let half = &pem[..pem.len() / 2];
        for (name, contents) in [
            ("none.pem", None),
            ("empty.pem", Some("")),
            ("garbage.pem", Some("\0\u{1}garbage\n")),
            ("half.pem", Some(half)),
            (
                "nothing.pem",
                Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ),
            (".", None),
        ] {
            if let Some(contents) = contents {
                story.write(name, contents);
            }
            let mut command = story.command(program);
            command.args(arguments).env("SSL_CERT_FILE", name);
            let told = story.run(&mut command);
            told.exits(78).says("no certificate authority to trust");
            assert_eq!(story.sandbox.counts().connections, 0, "{program} {name}");
            assert_eq!(story.env(), before);
        }
    }
}

#[test]
fn others_in_the_same_file_do_no_harm() {
    let story = story(Sandbox::builder().tls(Tls::Trusted).start(), CHECK_TOKEN);
    let other = Sandbox::builder().tls(Tls::Trusted).start();
    let [ours, theirs] = [&story.sandbox, &other].map(|it| it.ca_pem().expect("a CA"));
    story.write("both.pem", [theirs, "# ours\n", ours].concat());
    let mut command = story.command(CHECK_TOKEN);
    story.run(command.env("SSL_CERT_FILE", "both.pem")).exits(0);
}

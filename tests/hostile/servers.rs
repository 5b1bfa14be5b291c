//! The ways in which a server misbehaves.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::support::raw_server::{Conduct, Piece};

/// How long a slow server waits before each byte: far less than any program waits for one.
const SLOW: Duration = Duration::from_millis(50);

/// One way to misbehave.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) conduct: Arc<Conduct>,
    pub(crate) lasts: Lasts,
    pub(crate) looks: Looks,
    /// Whether it says that nothing was done, so that the request may be sent again.
    pub(crate) denies: bool,
    /// Whether it is a whole answer with a 200, whatever is in it.
    pub(crate) is_answer: bool,
}

/// How long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasts {
    /// It ends, or is of no use at once.
    Briefly,
    /// Nothing but the program's own deadline ends it.
    ForEver,
    /// The same, and it keeps the program busy as long.
    Busily,
}

/// What a program takes it for that wants no more of it than its beginning, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looks {
    /// No answer.
    Bad,
    /// JSON, as far as anybody can see who wants nothing in it.
    Valid,
    /// JSON that is larger than anything.
    TooLarge,
    /// Something else that is.
    LargeGarbage,
}

/// An access token, and a token reply with it: what a body that is not to be believed says.
pub(crate) const BAIT: &str = "QmFpdEJhaXRCYWl0QmFpdEJhaXRCYWl0QmFpdEJhaXRCYWl0_PE93_bait";

pub(crate) fn bait() -> String {
    json!({ "access_token": BAIT, "expires_in": 1_209_599, "token_type": "Bearer" }).to_string()
}

/// An answer with these headers and this body, whose length it tells.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn kind(name: &'static str, answer: Vec<Piece>) -> Kind {
    let is_slow = |it: &Piece| matches!(it, Piece::Silence | Piece::SlowlyForEver(..));
    let lasts = if answer.iter().any(is_slow) {
        Lasts::ForEver
    } else {
        Lasts::Briefly
    };
    Kind {
        name,
        conduct: Arc::new(Conduct::answering(answer)),
        lasts,
        looks: Looks::Bad,
        denies: false,
        is_answer: false,
    }
}

impl Kind {
    fn looking(self, looks: Looks) -> Self {
        Self { looks, ..self }
    }

    fn denying(self) -> Self {
        Self {
            denies: true,
            ..self
        }
    }

    fn flooding(self) -> Self {
        Self {
            lasts: Lasts::Busily,
            ..self
        }
    }
}

fn bytes(name: &'static str, answer: impl Into<Vec<u8>>) -> Kind {
    kind(name, vec![Piece::Bytes(answer.into())])
}

/// The head of an answer whose end is told by this header, if by any.
fn head(headers: &str) -> Piece {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}\r\n");
    Piece::Bytes(head.into_bytes())
}

fn text(text: &str) -> Piece {
    Piece::Bytes(text.as_bytes().to_vec())
}

fn endless(text: &str) -> Piece {
    Piece::Endless(text.as_bytes().to_vec())
}

/// Every kind of answer that is none, or is not to be believed.
pub(crate) fn all() -> Vec<Kind> {
    let mut all = silent();
    all.extend(no_http());
    all.extend(heads());
    all.extend(lengths());
    all.extend(statuses());
    let answers = encodings().into_iter().chain(texts());
    all.extend(answers.map(|kind| Kind {
        is_answer: true,
        ..kind
    }));
    all
}

fn silent() -> Vec<Kind> {
    let slowly = |text: &str| Piece::SlowlyForEver(text.as_bytes().to_vec(), SLOW);
    vec![
        kind("an end without a byte", vec![]),
        kind("no answer", vec![Piece::Silence]),
        kind(
            "half a status line, then nothing",
            vec![text("HTTP/1."), Piece::Silence],
        ),
        kind(
            "headers byte by byte for ever",
            vec![text("HTTP/1.1 200 OK\r\n"), slowly("x: y\r\n")],
        ),
        kind(
            "a body byte by byte for ever",
            vec![head(""), text("{"), slowly(" ")],
        ),
        kind(
            "chunks byte by byte for ever",
            vec![head("Transfer-Encoding: chunked\r\n"), slowly("1\r\n \r\n")],
        ),
        kind(
            "an interim answer now and then for ever",
            vec![slowly("HTTP/1.1 102 Processing\r\n\r\n")],
        ),
    ]
}

fn no_http() -> Vec<Kind> {
    vec![
        bytes("garbage", [0xff, 0xfe, 0x00, b'\r', b'\n'].repeat(1000)),
        bytes("NULs", vec![0; 100]),
        kind("NULs for ever", vec![Piece::Endless(vec![0])]),
        kind("letters for ever", vec![endless("a")]),
        kind("line ends for ever", vec![endless("\r\n")]),
        bytes("HTTP/0.9", "<html>It works!</html>\r\n"),
        bytes("HTTP/2", b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64".to_vec()),
        bytes("a TLS alert", b"\x15\x03\x03\0\x02\x02\x28".to_vec()),
        bytes("SSH", "SSH-2.0-OpenSSH_9.2p1\r\n"),
        bytes("HTTP/9.9", "HTTP/9.9 200 OK\r\n\r\n{}"),
    ]
}

fn heads() -> Vec<Kind> {
    let flood: Vec<_> = (0..100_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let flood = flood.concat();
    let bait = bait();
    vec![
        kind(
            "100,000 headers",
            vec![head(&flood), Piece::Bytes(bait.clone().into_bytes())],
        ),
        kind(
            "a header of 100 MB",
            vec![
                text("HTTP/1.1 200 OK\r\nx: "),
                Piece::Repeated(vec![b'y'; 1 << 20], 100),
                text("\r\n\r\n{}"),
            ],
        ),
        kind(
            "headers for ever",
            vec![text("HTTP/1.1 200 OK\r\n"), endless("x: y\r\n")],
        ),
        kind(
            "a status line for ever",
            vec![text("HTTP/1.1 200 "), endless("OK")],
        ),
        kind(
            "100 for ever",
            vec![endless("HTTP/1.1 100 Continue\r\n\r\n")],
        )
        .flooding(),
        kind(
            "103 for ever",
            vec![endless("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n")],
        )
        .flooding(),
        bytes("a NUL in a header", "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n{}"),
        bytes(
            "a header without a name",
            "HTTP/1.1 200 OK\r\n: y\r\n\r\n{}",
        ),
        bytes(
            "another protocol",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n{}",
        )
        .denying(),
    ]
}

fn lengths() -> Vec<Kind> {
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
    let chunk = [b"400\r\n", "0,".repeat(0x200).as_bytes(), b"\r\n"].concat();
    let spaces = || endless(" ");
    let length = |length: &str| head(&format!("Content-Length: {length}\r\n"));
    vec![
        kind("a body for ever", vec![head(""), text("["), endless("0,")]).looking(Looks::TooLarge),
        kind(
            "a body of 16 EiB",
            vec![length("18446744073709551614"), text("["), endless("0,")],
        ),
        kind(
            "a length beyond any number",
            vec![length("99999999999999999999999"), text(&bait())],
        ),
        kind("a negative length", vec![length("-1"), text(&bait())]),
        kind(
            "two lengths",
            vec![
                head("Content-Length: 2\r\nContent-Length: 200\r\n"),
                text("{}"),
            ],
        ),
        kind("less than its length", vec![length("1000"), text(&bait())]),
        kind(
            "chunks for ever",
            vec![head(CHUNKED), text("1\r\n[\r\n"), Piece::Endless(chunk)],
        )
        .looking(Looks::TooLarge),
        kind(
            "a chunk of 16 EiB",
            vec![head(CHUNKED), text("FFFFFFFFFFFFFFFE\r\n["), endless("0,")],
        )
        .looking(Looks::TooLarge),
        kind(
            "a chunk beyond any number",
            vec![head(CHUNKED), text("FFFFFFFFFFFFFFFFF\r\n"), spaces()],
        ),
        kind(
            "a chunk larger than it says",
            vec![head(CHUNKED), text("2\r\n"), text(&bait())],
        ),
        kind(
            "a chunk smaller than it says",
            vec![head(CHUNKED), text("fff\r\n"), text(&bait())],
        ),
        kind(
            "a chunk without a size",
            vec![head(CHUNKED), text("z\r\n"), text(&bait())],
        ),
        kind(
            "a chunk's size for ever",
            vec![head(CHUNKED), text("2;"), endless("x")],
        ),
        kind(
            "trailers for ever",
            vec![head(CHUNKED), text("2\r\n{}\r\n0\r\n"), endless("x: y\r\n")],
        ),
    ]
}

fn encodings() -> Vec<Kind> {
    let encoded = |name, coding: &str, body: &[u8]| {
        let headers = format!("Content-Type: application/json\r\nContent-Encoding: {coding}\r\n");
        bytes(name, answer("200 OK", &headers, body))
    };
    let bait = bait();
    let bomb = deflated_zeros(900 << 10);
    vec![
        encoded(
            "a small gzip",
            "gzip",
            &gzip(&stored(bait.as_bytes()), bait.as_bytes()),
        ),
        encoded("a gzip bomb", "gzip", &gzip(&bomb, &[])),
        encoded(
            "a deflate bomb",
            "deflate",
            &[&[0x78, 0x9c], &bomb[..]].concat(),
        ),
        encoded(
            "a gzip bomb in a gzip bomb",
            "gzip, gzip",
            &gzip(&stored(&gzip(&bomb[..60_000], &[])), &[]),
        ),
        // An uncompressed last meta-block is not to be had in brotli; this is one of white space.
        encoded("brotli", "br", b"\x8b\x03\x80{}\n\x03"),
        encoded("zstd", "zstd", b"\x28\xb5\x2f\xfd\x04\x58\x11\0\0{}"),
        kind(
            "a gzip for ever",
            vec![
                head("Content-Encoding: gzip\r\n"),
                Piece::Bytes(gzip(&bomb, &[])),
                Piece::Endless(bomb),
            ],
        )
        .looking(Looks::LargeGarbage),
    ]
}

/// A gzip member (RFC 1952) around deflated data, which inflates to `plain`.
fn gzip(deflated: &[u8], plain: &[u8]) -> Vec<u8> {
    let length = u32::try_from(plain.len()).expect("a short text");
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [
        &head,
        deflated,
        &crc32(plain).to_le_bytes(),
        &length.to_le_bytes(),
    ]
    .concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// One stored block (RFC 1951 §3.2.4).
fn stored(plain: &[u8]) -> Vec<u8> {
    let length = u16::try_from(plain.len()).expect("a short text");
    [
        &[1],
        &length.to_le_bytes()[..],
        &(!length).to_le_bytes(),
        plain,
    ]
    .concat()
}

/// About so many bytes that inflate to 158 times as many zeros (RFC 1951 §3.2.6): a literal zero,
/// then copies of it, 258 at a time, at 13 bits each.
fn deflated_zeros(size: usize) -> Vec<u8> {
    let mut bits: Vec<bool> = vec![true, true, false];
    bits.extend([false, false, true, true, false, false, false, false]);
    let copy = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0].map(|bit| bit == 1);
    while bits.len() < size * 8 {
        bits.extend(copy);
    }
    // The end of the block.
    bits.extend([false; 7]);
    let byte = |bits: &[bool]| {
        let bits = bits.iter().enumerate();
        bits.fold(0, |byte, (at, bit)| byte | (u8::from(*bit) << at))
    };
    bits.chunks(8).map(byte).collect()
}

fn statuses() -> Vec<Kind> {
    let bait = bait();
    let status = |name, status: &str| bytes(name, answer(status, "", bait.as_bytes()));
    vec![
        bytes("204", "HTTP/1.1 204 No Content\r\n\r\n"),
        bytes(
            "205",
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
        ),
        bytes("304", "HTTP/1.1 304 Not Modified\r\n\r\n").denying(),
        status("000", "000 Nothing"),
        status("099", "099 Nothing"),
        status("600", "600 Six Hundred").denying(),
        status("999", "999 Request denied").denying(),
        status("1000", "1000 Thousand"),
        bytes(
            "503 until the sun has gone out",
            answer("503 No", "Retry-After: 99999999999\r\n", b""),
        )
        .denying(),
        bytes(
            "429 until a number has overflowed",
            answer("429 No", "Retry-After: 99999999999999999999999\r\n", b""),
        )
        .denying(),
        bytes(
            "503 until the year 9999",
            answer(
                "503 No",
                "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
                b"",
            ),
        )
        .denying(),
    ]
}

fn texts() -> Vec<Kind> {
    let json = |name, body: &[u8]| {
        bytes(
            name,
            answer("200 OK", "Content-Type: application/json\r\n", body),
        )
    };
    let bait = bait();
    let no_utf8: Vec<u8> = bait
        .bytes()
        .map(|byte| if byte == b'B' { 0xff } else { byte })
        .collect();
    vec![
        json(
            "100,000 lists in each other",
            "[".repeat(100_000).as_bytes(),
        )
        .looking(Looks::Valid),
        json(
            "100,000 objects in each other",
            ["{\"a\":".repeat(100_000), "}".repeat(100_000)]
                .concat()
                .as_bytes(),
        )
        .looking(Looks::Valid),
        json("a byte order mark", ["\u{feff}", &bait].concat().as_bytes()),
        json(
            "UTF-16",
            &bait
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>(),
        ),
        json("no UTF-8", &no_utf8).looking(Looks::Valid),
        json(
            "a lone surrogate",
            bait.replace("Bearer", "\\ud800").as_bytes(),
        )
        .looking(Looks::Valid),
        json("two documents", bait.repeat(2).as_bytes()),
        json("nothing", b""),
        json("NaN", b"NaN"),
    ]
}

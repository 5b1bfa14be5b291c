//! What must hold of whatever reaches the redirect, or is pasted for it.

#![expect(
    clippy::missing_panics_doc,
    reason = "to panic is how something is said not to hold"
)]

use std::cell::RefCell;
use std::io::{self, Cursor};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Runtime;
use url::form_urlencoded;

use super::callback::{self, Callback};
use super::listener::properties::served;
use super::page::Page;
use super::paste::pasted;
use crate::token::Fingerprint;

/// The state of the request under way. The byte 1 stands for it.
const STATE: &str = "jU1Nw8bpYg3n0xkF";

/// Panics unless a code is believed with the right `state` alone, and unless what is shown of the
/// rest is harmless: of a query as it arrived, and of a text as it was pasted.
pub fn redirect_request(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace('\u{1}', STATE);
    assert_read_is_sound(&text);
    if let Ok(query) = pasted(&text) {
        assert!(!query.contains(char::is_whitespace));
        assert_read_is_sound(&query);
        // What mail and terminals put around it changes nothing.
        let wrapped = format!(" <\"{text}\">\r\n");
        assert_eq!(pasted(&wrapped), Ok(query));
    }
}

fn assert_read_is_sound(query: &str) {
    let another = Fingerprint::of("another state");
    assert!(
        callback::read(query, &another).is_err(),
        "an answer to another request is believed"
    );
    let Ok(callback) = callback::read(query, &Fingerprint::of(STATE)) else {
        return;
    };
    let parts = query.trim_start_matches('?').split('#');
    let pairs: Vec<_> = parts
        .flat_map(|part| form_urlencoded::parse(part.as_bytes()))
        .collect();
    let all = |name: &str| -> Vec<&str> {
        let named = pairs.iter().filter(|(known, _)| known == name);
        let values = named.map(|(_, value)| value.as_ref());
        values.filter(|value| !value.is_empty()).collect()
    };
    assert_eq!(all("state"), [STATE], "believed without the right state");
    match callback {
        Callback::Code(code) => {
            assert_eq!(all("code"), [code.expose()]);
            assert!(all("error").is_empty());
            assert!(
                code.expose()
                    .bytes()
                    .all(|byte| matches!(byte, b' '..=b'~'))
            );
        }
        Callback::Denied => assert_eq!(all("error"), ["access_denied"]),
        Callback::Refused { error, description } => {
            assert_eq!((all("code").len(), all("error").len()), (0, 1));
            let description = description.unwrap_or_default();
            for shown in [&error, &description] {
                assert!(!shown.chars().any(char::is_control), "{shown:?}");
                assert!(shown.chars().count() <= 300);
                assert!(!shown.contains(STATE), "the state is shown");
            }
            assert_page_is_sound(&error, &description);
        }
    }
}

/// Nothing that Webex says can become markup.
fn assert_page_is_sound(what: &str, next: &str) {
    let page = |what: &str, next: &str| {
        let (what, next) = (what.to_owned(), next.to_owned());
        Page::Failed { what, next }.html()
    };
    let html = page(what, next);
    // An even number of backticks begins or ends a code each.
    let ticks = [what, next].map(|text| text.matches('`').count() / 2);
    let tags = 2 * (ticks[0] + ticks[1]);
    let plain = page("", "");
    for (c, more) in [('<', tags), ('>', tags), ('"', 0), ('\'', 0)] {
        let expected = plain.matches(c).count() + more;
        assert_eq!(html.matches(c).count(), expected, "{c} in {html}");
    }
}

/// What a browser asks for, at the least.
const GOOD: &[u8] = b"GET /callback?code=1&state=2 HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";

/// Panics unless the listener answers these bytes, which are all that a client sends, as it answers
/// everybody, and hands on only what was asked of it by name, path and method.
pub fn redirect_head(data: &[u8]) {
    thread_local! {
        static RUNTIME: RefCell<Runtime> = RefCell::new(
            tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
        );
    }
    let client = Client {
        sends: Cursor::new(data.to_vec()),
        patience: 32,
        receives: Vec::new(),
    };
    let (client, query) = RUNTIME.with_borrow(|runtime| runtime.block_on(served(client)));
    let answer = String::from_utf8(client.receives).expect("answers are text");
    assert!(
        query.is_some() || data != GOOD,
        "what is meant for it is lost"
    );
    if query.is_some() {
        let head = String::from_utf8_lossy(data);
        assert!(head.trim_start().starts_with("GET "), "{head:?}");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("host:"), "{head:?}");
        let is_us = ["localhost", "127.0.0.1", "[::1]"];
        assert!(is_us.iter().any(|name| head.contains(name)), "{head:?}");
        assert!(head.contains("/callback"), "{head:?}");
    }
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        assert_eq!(answer, "", "half an answer");
        return;
    };
    let status = head.split(' ').nth(1).expect("a status");
    let page = Page::Denied.html();
    let known = [
        ("200", page.as_str()),
        ("400", "One Host header is needed.\n"),
        ("400", ""),
        ("404", "There is nothing here.\n"),
        ("405", "Only GET is answered.\n"),
        ("405", ""),
        ("404", ""),
        ("414", ""),
        ("421", "This address serves this machine alone.\n"),
        ("421", ""),
        ("431", ""),
    ];
    // What follows an answer is another one, or there is none.
    assert!(known.contains(&(status, body)), "{answer:?}");
    assert_eq!(status == "200", query.is_some(), "{answer:?}");
    if !body.is_empty() {
        for header in [
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "content-security-policy: default-src 'none'",
            "connection: close",
        ] {
            assert!(head.contains(header), "{header} is missing");
        }
    }
}

/// A client that has sent all it sends, keeps what it is sent, and goes when it has waited for long
/// enough.
#[derive(Debug)]
struct Client {
    sends: Cursor<Vec<u8>>,
    /// How often it is asked in vain for more.
    patience: u8,
    receives: Vec<u8>,
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let is_over = self.sends.position() == self.sends.get_ref().len() as u64;
        if is_over && self.patience > 0 {
            self.patience -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.sends).poll_read(context, buffer)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.receives.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

//! A client small enough to see every byte: one request, one answer, over plain TCP or TLS.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use webex_sandbox::Sandbox;

/// What came back, or how nothing did.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// The connection ended before the body was complete.
    pub(crate) cut: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A request under construction.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

pub(crate) fn get(target: &str) -> Ask {
    Ask::new("GET", target)
}

pub(crate) fn delete(target: &str) -> Ask {
    Ask::new("DELETE", target)
}

pub(crate) fn post(target: &str) -> Ask {
    Ask::new("POST", target)
}

pub(crate) fn put(target: &str) -> Ask {
    Ask::new("PUT", target)
}

impl Ask {
    fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn basic(self, id: &str, secret: &str) -> Self {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let encoded = STANDARD.encode(format!("{id}:{secret}"));
        self.header("Authorization", &format!("Basic {encoded}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Self {
        self.body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish()
            .into_bytes();
        self.header("Content-Type", "application/x-www-form-urlencoded")
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("Content-Type", "application/json")
    }

    fn bytes(&self) -> Vec<u8> {
        let length = self.body.len().to_string();
        let own = [("Host", "sandbox"), ("Content-Length", &length)];
        let given = self.headers.iter().map(|(name, value)| (&**name, &**value));
        let lines: Vec<String> = own
            .into_iter()
            .chain(given)
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!(
            "{} {} HTTP/1.1\r\n{}\r\n",
            self.method,
            self.target,
            lines.concat()
        );
        [head.as_bytes(), &self.body].concat()
    }

    /// Sends on a connection of its own. `None` if it ended without a byte.
    pub(crate) fn try_send(&self, sandbox: &Sandbox) -> Option<Answer> {
        Connection::open(sandbox).send(self)
    }

    /// Sends to an address, where an answer is expected.
    pub(crate) fn send_to(&self, address: &str) -> Answer {
        let socket = TcpStream::connect(address).expect("a listening server");
        let mut reader = BufReader::new(socket);
        reader
            .get_mut()
            .write_all(&self.bytes())
            .expect("a request that is taken");
        read_answer(&mut reader).expect("an answer")
    }

    /// As `try_send`, where an answer is expected.
    pub(crate) fn send(&self, sandbox: &Sandbox) -> Answer {
        self.try_send(sandbox).expect("an answer")
    }
}

/// One kept-alive plain connection.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(sandbox: &Sandbox) -> Self {
        let socket = TcpStream::connect(sandbox.address()).expect("a listening sandbox");
        Self {
            reader: BufReader::new(socket),
        }
    }

    pub(crate) fn start(&mut self, ask: &Ask) {
        self.reader
            .get_mut()
            .write_all(&ask.bytes())
            .expect("a request that is taken");
    }

    pub(crate) fn send(&mut self, ask: &Ask) -> Option<Answer> {
        self.start(ask);
        read_answer(&mut self.reader)
    }

    /// Reads the head of an answer and no more than `limit` bytes after it.
    pub(crate) fn send_and_read(&mut self, ask: &Ask, limit: usize) -> (String, Vec<u8>) {
        self.start(ask);
        let head = read_head(&mut self.reader).expect("a head");
        let mut body = vec![0; limit];
        self.reader
            .read_exact(&mut body)
            .expect("that many bytes and more");
        (head, body)
    }

    pub(crate) fn read(&mut self) -> Option<Answer> {
        read_answer(&mut self.reader)
    }
}

/// Sends over TLS, trusting the sandbox's CA alone, and says how the handshake failed.
pub(crate) fn send_tls(sandbox: &Sandbox, host: &str, asks: &[Ask]) -> Result<Vec<Answer>, String> {
    let pem = sandbox.ca_pem().expect("a CA");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a PEM certificate"))
        .expect("a CA certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let socket = TcpStream::connect(sandbox.address()).expect("a listening sandbox");
    let mut reader = BufReader::new(StreamOwned::new(session, socket));
    asks.iter()
        .map(|ask| {
            reader
                .get_mut()
                .write_all(&ask.bytes())
                .map_err(|error| error.to_string())?;
            Ok(read_answer(&mut reader).expect("an answer"))
        })
        .collect()
}

fn read_head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) => return None,
            Ok(_) if line == "\r\n" => return Some(head),
            Ok(_) => head.push_str(&line),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
                ) =>
            {
                return None;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn read_answer(reader: &mut impl BufRead) -> Option<Answer> {
    let head = read_head(reader)?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let (body, cut) = if headers
        .get("transfer-encoding")
        .is_some_and(|it| it == "chunked")
    {
        read_chunks(reader)
    } else {
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().expect("a length"));
        let mut body = Vec::new();
        let read = reader.take(length).read_to_end(&mut body);
        (body.clone(), read.is_err() || body.len() as u64 != length)
    };
    Some(Answer {
        status,
        headers,
        body,
        cut,
    })
}

fn read_chunks(reader: &mut impl BufRead) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        if reader.read_line(&mut size).unwrap_or(0) == 0 {
            return (body, true);
        }
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
        let before = body.len();
        if reader.take(size as u64).read_to_end(&mut body).is_err() || body.len() - before != size {
            return (body, true);
        }
        let mut end = String::new();
        if reader.read_line(&mut end).unwrap_or(0) == 0 {
            return (body, true);
        }
        if size == 0 {
            return (body, false);
        }
    }
}

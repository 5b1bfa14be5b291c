//! A server below HTTP: it sends the bytes that it is told to, in the way that it is told to.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A part of what is sent.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes so many times.
    Repeated(Vec<u8>, usize),
    /// These bytes again and again, as fast as they are taken.
    Endless(Vec<u8>),
    /// These bytes one by one, with this time before each.
    Slowly(Vec<u8>, Duration),
    /// The same, for ever.
    SlowlyForEver(Vec<u8>, Duration),
    /// Nothing more, until the client has gone.
    Silence,
}

/// How a connection is treated. After the last piece it is closed.
#[derive(Debug, Default)]
pub(crate) struct Conduct {
    /// What is sent before anything has been asked.
    pub(crate) unasked: Vec<Piece>,
    /// What every request is answered with.
    pub(crate) answer: Vec<Piece>,
}

/// Another server, which answers what this one does not spoil.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind {
    pub(crate) address: SocketAddr,
    /// What stands in the first line of a request that is spoilt.
    pub(crate) spoilt: &'static str,
    /// Whether the other server is asked all the same, and its answer thrown away.
    pub(crate) acts: bool,
}

/// A port of loopback that is held until somebody serves there.
pub(crate) struct Reserved(TcpListener);

/// Such a server. It ends with its story.
pub(crate) struct RawServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Reserved {
    pub(crate) fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.0.local_addr().expect("an address"))
    }

    pub(crate) fn serve(self, conduct: &Arc<Conduct>, behind: Option<Behind>) -> RawServer {
        let conduct = Arc::clone(conduct);
        let address = self.0.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let server = RawServer {
            address,
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for stream in self.0.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, conduct) = (Arc::clone(&shared), Arc::clone(&conduct));
                // A client that goes away ends its connection, and that is all.
                thread::spawn(move || converse(&stream, &conduct, behind, &shared));
            }
        });
        server
    }
}

impl RawServer {
    pub(crate) fn start(conduct: Conduct) -> Self {
        Self::serving(&Arc::new(conduct))
    }

    pub(crate) fn serving(conduct: &Arc<Conduct>) -> Self {
        Reserved::new().serve(conduct, None)
    }

    /// One that answers with these bytes.
    pub(crate) fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        Self::start(Conduct::answering(vec![Piece::Bytes(bytes.into())]))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The requests that arrived, as they were sent.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().expect("nobody panics").clone()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // It hears of it with the next connection.
        let _ = TcpStream::connect(self.address);
    }
}

impl Conduct {
    pub(crate) fn answering(answer: Vec<Piece>) -> Self {
        Self {
            unasked: Vec::new(),
            answer,
        }
    }
}

fn converse(
    stream: &TcpStream,
    conduct: &Conduct,
    behind: Option<Behind>,
    shared: &Shared,
) -> io::Result<()> {
    let mut writer = stream;
    let mut reader = BufReader::new(stream);
    send(&mut writer, &mut reader, &conduct.unasked)?;
    let request = read_request(&mut reader)?;
    if request.is_empty() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let line = text.lines().next().unwrap_or_default().to_owned();
    shared.requests.lock().expect("nobody panics").push(text);
    if let Some(behind) = behind {
        let is_spoilt = line.contains(behind.spoilt);
        if !is_spoilt || behind.acts {
            let answer = ask(behind.address, &request)?;
            if !is_spoilt {
                return writer.write_all(&answer);
            }
        }
    }
    send(&mut writer, &mut reader, &conduct.answer)
}

fn send(
    writer: &mut &TcpStream,
    reader: &mut BufReader<&TcpStream>,
    pieces: &[Piece],
) -> io::Result<()> {
    let slowly = |writer: &mut &TcpStream, bytes: &[u8], pause: Duration| {
        for byte in bytes {
            thread::sleep(pause);
            writer.write_all(&[*byte])?;
        }
        io::Result::Ok(())
    };
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => writer.write_all(bytes)?,
            Piece::Repeated(bytes, times) => {
                for _ in 0..*times {
                    writer.write_all(bytes)?;
                }
            }
            Piece::Endless(bytes) => {
                let many = bytes.repeat(1 + (64 << 10) / bytes.len());
                loop {
                    writer.write_all(&many)?;
                }
            }
            Piece::Slowly(bytes, pause) => slowly(writer, bytes, *pause)?,
            Piece::SlowlyForEver(bytes, pause) => loop {
                slowly(writer, bytes, *pause)?;
            },
            Piece::Silence => {
                io::copy(reader, &mut io::sink())?;
            }
        }
    }
    Ok(())
}

/// A request with its body, as far as `Content-Length` tells of one.
fn read_request(reader: &mut BufReader<&TcpStream>) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut length = 0;
    loop {
        let from = request.len();
        reader.read_until(b'\n', &mut request)?;
        let line = String::from_utf8_lossy(&request[from..]).to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    reader.take(length).read_to_end(&mut request)?;
    Ok(request)
}

/// What another server answers to the same request.
fn ask(address: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    let end = request.iter().position(|byte| *byte == b'\n');
    let (line, rest) = request.split_at(end.map_or(0, |end| end + 1));
    stream.write_all(&[line, b"Connection: close\r\n", rest].concat())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

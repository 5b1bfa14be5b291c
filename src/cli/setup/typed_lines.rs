//! Lines that the person types while the program waits for something else.
//!
//! Reading a terminal blocks, and a question may follow; so the thread that reads waits for either a
//! line or the end of the wait, and takes nothing that is not its own.

use tokio::sync::mpsc;

/// The lines, until this is dropped.
pub(super) struct TypedLines {
    lines: mpsc::UnboundedReceiver<String>,
    #[cfg(unix)]
    _ends_with_this: Option<rustix::fd::OwnedFd>,
}

impl TypedLines {
    /// None at all: there is nobody to type.
    fn none() -> Self {
        let (_, lines) = mpsc::unbounded_channel();
        Self {
            lines,
            #[cfg(unix)]
            _ends_with_this: None,
        }
    }

    /// The next line; `None` once nobody types any more (Ctrl-D).
    pub(super) async fn next(&mut self) -> Option<String> {
        self.lines.recv().await
    }
}

#[cfg(unix)]
impl TypedLines {
    /// Reads from now on.
    pub(super) fn listen() -> Self {
        let Ok((reader, writer)) = rustix::pipe::pipe() else {
            return Self::none();
        };
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut typed = Vec::new();
            while let Some(line) = line(&mut typed, &reader) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            lines,
            _ends_with_this: Some(writer),
        }
    }
}

/// The next line from stdin; `None` at its end, or once the other end of `ended` is closed.
#[cfg(unix)]
fn line(typed: &mut Vec<u8>, ended: &rustix::fd::OwnedFd) -> Option<String> {
    use rustix::event::{PollFd, PollFlags, poll};

    let stdin = std::io::stdin();
    loop {
        if let Some(end) = typed.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = typed.drain(..=end).collect();
            return Some(String::from_utf8_lossy(&line).into_owned());
        }
        let mut ready = [
            PollFd::new(&stdin, PollFlags::IN),
            PollFd::new(ended, PollFlags::empty()),
        ];
        match poll(&mut ready, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return None,
        }
        if !ready[1].revents().is_empty() {
            return None;
        }
        let mut buffer = [0; 4096];
        match rustix::io::read(&stdin, &mut buffer) {
            Ok(0) => return None,
            Ok(count) => typed.extend_from_slice(&buffer[..count]),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(not(unix))]
impl TypedLines {
    /// Reads from now on.
    pub(super) fn listen() -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { lines }
    }
}

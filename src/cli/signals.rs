//! SIGINT, SIGTERM and SIGHUP: the first forbids new requests, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::manager::Stop;

/// Which signal has arrived, if any.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrived(Arc<AtomicU8>);

impl Arrived {
    /// The signal's number.
    pub(super) fn number(&self) -> Option<u8> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number > 0)
    }
}

/// Listens from now on, for as long as the runtime lives.
#[cfg(unix)]
pub(super) fn listen() -> anyhow::Result<(Stop, Arrived)> {
    use anyhow::Context as _;
    use tokio::signal::unix::{SignalKind, signal};

    let (stopper, stop) = Stop::pair();
    let arrived = Arrived::default();
    let mut streams = Vec::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let number = u8::try_from(kind.as_raw_value()).unwrap_or(0);
        let stream = signal(kind).context("cannot listen for signals")?;
        streams.push((number, stream));
    }
    let mut resumed = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))
        .context("cannot listen for signals")?;
    tokio::spawn(async move {
        while resumed.recv().await.is_some() {
            super::terminal::hide_typing_again();
        }
    });
    let stopper = Arc::new(stopper);
    for (number, mut stream) in streams {
        let (stopper, arrived) = (Arc::clone(&stopper), arrived.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if arrived.0.swap(number, Ordering::Relaxed) > 0 {
                    // The intent stays open, so that the next run knows.
                    super::terminal::restore();
                    std::process::exit(128 + i32::from(number));
                }
                tracing::debug!(number, "told to stop: no new request is sent");
                stopper.stop();
            }
        });
    }
    Ok((stop, arrived))
}

/// Listens from now on, for as long as the runtime lives.
#[cfg(not(unix))]
pub(super) fn listen() -> anyhow::Result<(Stop, Arrived)> {
    const INTERRUPT: u8 = 2;
    let (stopper, stop) = Stop::pair();
    let arrived = Arrived::default();
    let seen = arrived.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if seen.0.swap(INTERRUPT, Ordering::Relaxed) > 0 {
                std::process::exit(128 + i32::from(INTERRUPT));
            }
            stopper.stop();
        }
    });
    Ok((stop, arrived))
}

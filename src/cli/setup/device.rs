//! The code to enter on another device, and how long it lasts.

use std::time::Duration;

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use tokio::time::Instant;

use super::voice::{Left, Voice, progress, tell};
use crate::cli::terminal;
use crate::consent::Polling;
use crate::manager::{DeviceAuthorization, Limits};

/// Shows the code to enter, and where.
pub(super) fn show_code(device: &DeviceAuthorization, voice: Voice) {
    tell(&format!(
        "\nOn any device, open this address, sign in as the owner of the service app, and enter the \
         code:\n\n  {}\n\n  {}\n",
        device.verification_uri, device.user_code
    ));
    if let Some(link) = &device.verification_uri_complete {
        if let Some(picture) = voice.is_live.then(|| qr_code(link)).flatten() {
            voice.note("With the code in it:\n");
            voice.draw(&picture);
        } else {
            // Not indented: it may be longer than a line, and stays whole.
            voice.note(&format!("With the code in it:\n\n{link}\n"));
        }
    }
}

/// The address as a QR code, if the terminal is large enough for one and the words around it: the
/// code to type must not scroll away.
fn qr_code(link: &str) -> Option<String> {
    /// Rows that the words take.
    const WORDS: usize = 12;
    let code = QrCode::with_error_correction_level(link, EcLevel::L).ok()?;
    let quiet_zone = 8;
    let (columns, rows) = terminal::size()?;
    let side = code.width() + quiet_zone;
    if side > columns || side.div_ceil(2) + WORDS > rows {
        return None;
    }
    // Light modules are drawn in the color of the text, which is light on most terminals; readers
    // take either.
    let picture = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    Some(picture + "\n")
}

/// The countdown of a device code.
pub(super) struct Countdown {
    voice: Voice,
    left: Left,
}

impl Countdown {
    pub(super) fn new(deadline: Instant, voice: Voice) -> Self {
        let left = Left::new(deadline);
        if !voice.is_live {
            voice.note(&left.words());
        }
        Self { voice, left }
    }

    /// Waits until the next poll may be sent, and shows what is left. `false` if the time is over or
    /// a signal came.
    pub(super) async fn wait(&mut self, polling: &Polling, limits: &Limits) -> bool {
        let next_poll = Instant::now() + polling.wait();
        if next_poll >= self.left.deadline {
            tokio::select! {
                () = limits.stopped() => {}
                () = tokio::time::sleep_until(self.left.deadline) => {}
            }
            return false;
        }
        loop {
            if self.voice.is_live && !self.voice.is_quiet {
                progress(&self.left.words());
            }
            let tick = Instant::now() + Duration::from_secs(1);
            tokio::select! {
                biased;
                () = limits.stopped() => return false,
                () = tokio::time::sleep_until(next_poll) => return true,
                () = self.left.next_minute(), if !self.voice.is_live => {
                    self.voice.note(&self.left.words());
                }
                () = tokio::time::sleep_until(tick), if self.voice.is_live => {}
            }
        }
    }

    pub(super) fn end(self) {
        if self.voice.is_live && !self.voice.is_quiet {
            progress("");
        }
    }
}

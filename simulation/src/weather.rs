//! What becomes of single requests under the weather of the moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use webex_sandbox::Fault;

use crate::plan::Weather;

/// The sky over a world: every weather that has set in and not cleared yet.
#[derive(Clone)]
pub struct Sky(Arc<Mutex<State>>);

struct State {
    weather: Vec<Weather>,
    rng: Rng,
}

impl Sky {
    /// A clear sky.
    #[must_use]
    pub fn clear(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            weather: Vec::new(),
            rng: Rng::with_seed(seed),
        })))
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nothing has set in.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.with(|state| state.weather.is_empty())
    }

    /// A weather sets in.
    pub fn begins(&self, weather: Weather) {
        self.with(|state| state.weather.push(weather));
    }

    /// The one that set in first is over.
    pub fn clears(&self) {
        self.with(|state| drop(state.weather.drain(..1.min(state.weather.len()))));
    }

    /// What becomes of the next request.
    #[must_use]
    pub fn strikes(&self) -> Option<Fault> {
        self.with(|state| {
            let rng = &mut state.rng;
            state
                .weather
                .iter()
                .find_map(|weather| strike(*weather, rng))
        })
    }
}

fn strike(weather: Weather, rng: &mut Rng) -> Option<Fault> {
    match weather {
        Weather::Down(status) => Some(Fault::status(status)),
        Weather::Busy(share, seconds) => (rng.f64() < share)
            .then(|| Fault::status(429).header("Retry-After", &seconds.to_string())),
        Weather::Lossy(share) => (rng.f64() < share).then(|| match rng.u8(..5) {
            0 => Fault::drop_before(),
            1 | 2 => Fault::drop_after(),
            3 => Fault::half_body(),
            _ => Fault::never_answer(),
        }),
        Weather::Slow(share) => {
            (rng.f64() < share).then(|| Fault::delay(Duration::from_millis(rng.u64(..30_000))))
        }
    }
}

//! Where climbs are driven.

use std::pin::Pin;
use std::sync::Arc;

/// A climb, or a question, that is to be driven to its end.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Drives [`Work`] to its end, whatever becomes of the caller that it is for. It must not wait.
pub type Runner = Arc<dyn Fn(Work) + Send + Sync>;

/// On a thread of its own, with a runtime of its own: whatever blocks its caller does not hold it up.
pub(crate) fn on_a_thread() -> Runner {
    Arc::new(|work| {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(work),
                Err(error) => tracing::error!(%error, "no runtime for a climb"),
            }
        };
        let thread = std::thread::Builder::new().name("webex-tokens".to_owned());
        if let Err(error) = thread.spawn(run) {
            tracing::error!(%error, "no thread for a climb");
        }
    })
}

/// On the runtime that this is called on. That has to last until the climb has landed, and whatever
/// blocks it holds up the climb: nothing may that waits for somebody.
pub(crate) fn on_this_runtime() -> Runner {
    let runtime = tokio::runtime::Handle::current();
    Arc::new(move |work| drop(runtime.spawn(work)))
}

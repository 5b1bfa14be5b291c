//! How a person consents, without any terminal and without any file.
//!
//! [`Authorization`] is the question that goes to Webex with the browser. Its answer comes back as a
//! query: through the [`Listener`] on this machine, or [`pasted`] from the address bar; it is
//! believed only by [`Authorization::read`], which knows the `state`. [`Polling`] is the pace of the
//! way without a redirect, the device grant. Nothing here asks a person anything, sends a request to
//! Webex, or decides what follows; the caller does, be it a program in a terminal or a daemon.

mod authorization;
mod callback;
mod device;
mod holder;
mod listener;
mod page;
mod paste;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

pub use authorization::Authorization;
pub use callback::{Callback, CallbackError};
pub use device::Polling;
pub use holder::Holder;
pub use listener::{ListenError, Listener, Request};
pub use page::Page;
pub use paste::{PasteError, pasted};

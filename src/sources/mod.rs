//! Data sources (Webex "Data Sources", BYODS): seen, changed, and kept alive.
//!
//! A data source is where Webex delivers a contact centre's media or data. It names itself to the
//! receiver by a JWS that lives 24 hours at most and is renewed by an update with a new nonce.
//! Responses vary in shape, and an update replaces the whole, so one rule stands over all: what is
//! not told stays as it is, what cannot be found is not invented.
//!
//! [`DataSource`], [`draft`], [`update`], [`diff`], [`jws`], [`schedule`], [`urgency`] and [`id_prefix`]
//! are pure. [`DataSources`] asks Webex, [`Changes`] changes and writes down what was changed;
//! [`mod@extend`] and [`mod@watch`] keep sources alive.

mod changes;
mod client;
mod data_source;
pub mod diff;
pub mod draft;
pub mod extend;
pub mod id_prefix;
pub mod issuers;
pub mod journal;
pub mod jws;
pub mod keys;
mod lifetime;
mod list;
pub mod masked;
mod roster;
pub mod schedule;
mod steady;
pub mod update;
pub mod urgency;
pub mod watch;

pub use changes::{Changed, Changes, NotChanged};
pub use client::{DataSources, Done, Schema, SourceError};
pub use data_source::{DataSource, Life, Status};
pub use lifetime::{TokenLifetime, TokenLifetimeError};
pub use urgency::Urgency;

//! Keeps the OAuth tokens of Webex service apps alive.

pub mod authorized;
pub mod backoff;
pub mod cli;
pub mod clock;
pub mod config;
pub mod consent;
pub mod ids;
pub mod ladder;
pub mod lifetime;
pub mod manager;
pub mod masked;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod properties;
pub mod remedy;
pub mod setup;
pub mod sources;
pub mod store;
pub mod token;
pub mod webex;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! A climb that ends in a panic is a failure like any other: it is not repeated by every call, and
//! what it tells with its dying breath, the backtrace included, holds no secret.
//!
//! In a binary of its own, because what makes it panic is the log, of which a process has one.

#![cfg(unix)]

mod support;

use std::backtrace::Backtrace;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::Registry;

use support::{Story, assert_no_pieces};
use webex_tokens::clock::Clock;
use webex_tokens::config::{Environment, Flags, Sources};
use webex_tokens::manager::TokenManager;

/// A log that panics when a climb tells it something.
struct Mine(Arc<AtomicBool>);

impl Layer<Registry> for Mine {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, Registry>) {
        let is_ours = event.metadata().target().starts_with("webex_tokens");
        assert!(
            !(is_ours && self.0.load(Ordering::Relaxed)),
            "the log is full"
        );
    }
}

#[test]
fn a_climb_that_panics_is_not_repeated_by_every_call_and_tells_no_secret() {
    let armed = Arc::new(AtomicBool::new(true));
    tracing_subscriber::registry()
        .with(Mine(Arc::clone(&armed)))
        .init();
    let story = Story::new();
    let tokens = story.sandbox.issue_service_app_tokens();
    story
        .configured()
        .stored(&tokens.access_token, &tokens.refresh_token);
    let clock = Clock::manual(Clock::System.now());
    let sources = Sources {
        flags: Flags {
            config: Some(story.path("token-config.json")),
            env_file: Some(story.path(".env")),
            api_base_url: Some(story.sandbox.base_url()),
            ..Flags::default()
        },
        environment: Environment::default(),
    };
    let manager = TokenManager::with_clock(sources, clock.clone());
    let last_words = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&last_words);
    panic::set_hook(Box::new(move |panic| {
        let told = format!("{panic}\n{}", Backtrace::force_capture());
        heard.lock().expect("nobody panics here").push_str(&told);
    }));

    for _ in 0..100 {
        let error = pollster::block_on(manager.access_token()).expect_err("no token");
        assert!(error.is_passing(), "{error}");
    }
    assert_eq!(story.requests(), ["GET /v1/dataSources"]);
    drop(panic::take_hook());
    let told = last_words.lock().expect("nobody panics here").clone();
    assert!(told.contains("the log is full"), "{told}");
    assert_no_pieces(&told, &story.secrets());

    armed.store(false, Ordering::Relaxed);
    clock.advance(SignedDuration::from_mins(30));
    let token = pollster::block_on(manager.access_token()).expect("a token");
    assert_eq!(token.expose(), tokens.access_token);
}

//! A local Webex to test OAuth and data-source clients against.
//!
//! [`Sandbox::start`] serves on a loopback port, from a thread of its own, until it is dropped. It
//! behaves as the API reference says; where that is silent or sources disagree there is a switch
//! in [`Policy`]. Single requests go wrong as scripted ([`Fault`]) or wait where they are told to
//! ([`Gate`]). What arrived is kept ([`Request`], [`Counts`]), so that a client is judged from
//! outside. Nothing here is shared with any client.
//!
//! ```
//! use webex_sandbox::{Endpoint, Fault, Sandbox};
//!
//! let sandbox = Sandbox::start();
//! let tokens = sandbox.issue_service_app_tokens();
//! assert!(sandbox.is_live(&tokens.access_token));
//!
//! sandbox.expire(&tokens.access_token);
//! sandbox.script(
//!     Endpoint::AccessToken,
//!     [Fault::status(503).header("Retry-After", "1"), Fault::drop_after()],
//! );
//! // Run a client against `sandbox.base_url()`, then look at what it did:
//! assert_eq!(sandbox.counts().overlapping_refreshes, 0);
//! assert!(sandbox.requests().is_empty());
//! ```
//!
//! One world is seeded ([`Tenant`]): a developer who owns a service app and an integration, and an
//! organization whose Full Admin has authorized the service app. Its clock is real time plus what
//! [`Sandbox::advance`] adds.
//!
//! A simulation has it serve on the runtime of its own, by that runtime's time
//! ([`Builder::start_here`]), spoils requests as they come ([`Builder::weather`]) and has its
//! clients judged ([`Builder::judged`]).

mod clock;
mod counts;
mod endpoint;
mod fault;
mod gate;
mod judge;
mod jws;
mod log;
mod policy;
mod reply;
mod routes;
mod sandbox;
mod serve;
mod tls;
mod world;

pub use crate::{
    counts::Counts,
    endpoint::Endpoint,
    fault::Fault,
    gate::{Gate, Position},
    judge::{Credentials, Met, Rule, Verdict, Violation, Witness},
    log::Request,
    policy::{
        DataSourceShape, JwsKey, MintRefreshToken, Policy, RateLimit, RepeatedNonce,
        ResponseFields, Reuse, Timestamps,
    },
    reply::{ErrorShape, Refusal},
    sandbox::{Builder, Sandbox, Weather},
    tls::Tls,
    world::{Grant, IssuedTokens, MINT_SCOPE, PEOPLE_SCOPE, READ_SCOPE, Tenant, WRITE_SCOPE},
};

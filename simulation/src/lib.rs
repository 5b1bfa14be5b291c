//! Simulated worlds in which the library keeps a service app's token alive, with everything going
//! wrong that can.
//!
//! A seed makes a [`Plan`]: how that Webex behaves, which credentials there are, which jobs and
//! long-lived programs use them, and what happens when. [`run`] lives through it on one thread and
//! on virtual time, over real loopback sockets and real files. A process is a task that can be
//! dropped at any await point ([`mortal`]); its disk refuses, and forgets in a power cut what was
//! never synced ([`disk`]). The sandbox's judge holds the rules for single runs, [`world`] those
//! for a whole life. The same seed gives the same world, as long as the kernel delivers at once what is
//! sent over loopback: a very busy machine may make it another one.

pub mod disk;
pub mod mortal;
pub mod pace;
pub mod plan;
pub mod weather;
pub mod world;

pub use plan::{Kind, Plan};
pub use world::{Figures, run};

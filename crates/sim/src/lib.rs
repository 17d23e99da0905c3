//! Drives the registry's core and the sidecars' cores together in virtual time.
//!
//! A [`World`] holds one registry (its store outlives a crash), any number of sidecars with model agents behind them,
//! and the network between: latency, jitter, loss, cuts, delays, pauses, crashes. Nothing in it reads a clock, and all
//! that it draws comes from a seed, so the same steps give the same transcript, byte by byte. [`script`] reads scenarios
//! written as text, [`swarm`] draws them from a seed, and [`verdict`] plays one and judges what happened.

mod agents;
mod channels;
mod draw;
mod handlers;
pub mod history;
mod links;
mod network;
mod registry;
mod rest;
pub mod script;
mod shorten;
mod sidecars;
pub mod sometimes;
pub mod swarm;
mod transcript;
pub mod verdict;
mod witness;
mod world;

pub use shorten::shorten;
pub use world::World;

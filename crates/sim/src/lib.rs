//! Drives the registry's core and the sidecars' cores together in virtual time.
//!
//! A [`World`] holds one registry (its store outlives a crash), any number of sidecars with model agents behind them,
//! and the network between: latency, cuts, delays, crashes. Nothing in it reads a clock or draws randomness, so the
//! same steps give the same transcript, byte by byte. [`script`] reads scenarios written as text.

mod agents;
mod channels;
pub mod history;
mod network;
mod registry;
pub mod script;
mod sidecars;
mod transcript;
mod world;

pub use world::World;

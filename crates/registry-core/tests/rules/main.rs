//! The registry's rules, seen from outside: inputs in, and what every receiver got.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agents;
mod callers;
mod delay;
mod leases;
mod links;
mod options;
mod pairing;
mod promises;
mod reason;
mod relay;
mod rest_work;
mod store;
mod stream;
mod submit;
mod talk;
mod tree;
mod world;

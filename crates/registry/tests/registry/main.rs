//! A whole registry in this process, over real HTTP and WebSockets on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests stop at any failure"
)]

mod access;
mod audit;
mod bad_input;
mod durability;
mod events;
mod fixture;
mod hub;
mod keys;
mod limits;
mod login;
mod options;
mod roles;
mod signaling;
mod surface;
mod tls;
mod work;

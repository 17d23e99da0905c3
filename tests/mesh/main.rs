//! Real processes, real WebRTC, real Python: what a mesh does as a whole. Each test boots its own mesh.
//!
//! Where a test is the one that notices that a consumer is deaf to a message kind, its name says the seam.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod call_flags;
mod callers;
mod chaos;
mod command_line;
mod crash_time;
mod crashes;
mod delegation;
mod direct;
mod first_page;
mod ipc;
mod joining;
mod keys;
mod links;
mod messages;
mod old_dialect;
mod openapi;
mod python;
mod python_ipc;
mod queue;
mod relays;
mod seams;
mod secrets;
mod signaling;
mod supervision;
mod talk;
mod testkit;
mod tools;
mod traces;
mod trust;
mod without_sidecar;

//! End-to-end tests: real processes, real WebRTC, named by behaviour.

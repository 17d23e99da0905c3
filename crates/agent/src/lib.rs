//! The Rust SDK: write skills, delegate work, speak only IPC to a sidecar.

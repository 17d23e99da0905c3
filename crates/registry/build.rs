//! Rebuilds the crate when the hub's files change, because they are embedded in it.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let hub = Path::new("../../hub");
    if hub.exists() {
        // Cargo takes a watched path that is missing for one that always changed. An empty directory (which git
        // ignores) stands for "not built yet"; a failure to make it costs only needless rebuilds.
        let _ = std::fs::create_dir_all(hub.join("dist"));
        println!("cargo:rerun-if-changed=../../hub/dist");
    }
}

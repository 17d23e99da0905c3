//! Proof that a release build has nothing of the hook.

use anyhow::{Context, Result, ensure};

use crate::rust_tests::cargo;
use crate::step::run;

/// What the hook is driven by: its text stands in every library that has the hook.
const NAMES: [&str; 2] = ["SEAMESH_SEAM_FAULT", "SEAMESH_SEAM_RECORDS"];

/// Builds `proto`, the only crate that has the hook, as it is released, and looks for the hook's variables in it; and,
/// so that the search itself is known to find them, in the debug build.
///
/// # Errors
/// When a release build has the hook.
pub(super) fn prove() -> Result<()> {
    run(cargo().args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "seamesh-proto",
    ]))?;
    let has = |profile: &str, name: &str| -> Result<bool> {
        let library = crate::target_dir()
            .join(profile)
            .join("libseamesh_proto.rlib");
        let bytes = std::fs::read(&library).with_context(|| library.display().to_string())?;
        Ok(bytes
            .windows(name.len())
            .any(|part| part == name.as_bytes()))
    };
    for name in NAMES {
        ensure!(
            has("debug", name)?,
            "{name} is not found where it must be: the search is blind"
        );
        ensure!(!has("release", name)?, "{name} is in a release build");
    }
    Ok(())
}

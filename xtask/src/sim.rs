//! `cargo xtask sim`: builds the simulator, optimised, and becomes it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::rust_tests::cargo;
use crate::step::{command, run, step};

/// Builds the simulator and becomes it.
///
/// # Errors
/// When it does not build.
pub(crate) fn sim(arguments: &[OsString]) -> Result<()> {
    let path = built()?;
    // `exec` returns only when it failed.
    let error = Command::new(&path).args(arguments).exec();
    Err(error).with_context(|| format!("start {}", path.display()))
}

/// Builds the simulator and runs it.
///
/// # Errors
/// When it does not build, or finds something.
pub(crate) fn play(arguments: &[&str]) -> Result<()> {
    run(command(built()?, &crate::root()).args(arguments))
}

fn built() -> Result<PathBuf> {
    step("building the simulator", || {
        let mut build = cargo();
        run(build.args(["build", "--release", "--package", "seamesh-sim"]))
    })?;
    Ok(crate::target_dir().join("release/seamesh-sim"))
}

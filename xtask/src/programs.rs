//! The demo and the bench: everything they need is built, then they take this process's place, so that Ctrl-C is theirs.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::env;
use crate::rust_tests::cargo;
use crate::step::{run, step};

/// Builds what the demo needs and becomes the demo.
///
/// # Errors
/// When something is missing that cannot be installed here; the error names the command that does.
pub(crate) fn demo(arguments: &[OsString]) -> Result<()> {
    let packages = ["seamesh", "seamesh-demo", "librarian"];
    become_program("debug", "seamesh-demo", &packages, arguments)
}

/// Builds the release and becomes the bench.
///
/// # Errors
/// As [`demo`].
pub(crate) fn bench(arguments: &[OsString]) -> Result<()> {
    become_program(
        "release",
        "seamesh-bench",
        &["seamesh", "seamesh-bench"],
        arguments,
    )
}

fn become_program(
    profile: &str,
    program: &str,
    packages: &[&str],
    arguments: &[OsString],
) -> Result<()> {
    let python = env::python()?;
    env::build_hub()?;
    step("building the programs", || {
        let mut build = cargo();
        build.arg("build");
        if profile == "release" {
            build.arg("--release");
        }
        for package in packages {
            build.args(["--package", package]);
        }
        run(&mut build)
    })?;
    let place = crate::target_dir().join(profile);
    let path = place.join(program);
    // `exec` returns only when it failed.
    let error = Command::new(&path)
        .args(arguments)
        .env("SEAMESH_BIN", place.join("seamesh"))
        .env("SEAMESH_PYTHON", python)
        .exec();
    Err(error).with_context(|| format!("start {}", path.display()))
}

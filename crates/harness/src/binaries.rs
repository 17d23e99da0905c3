//! Where the programs under test are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The `seamesh` binary: `SEAMESH_BIN`, else the one built beside the running test or program, else the one on the `PATH`.
///
/// # Errors
/// When there is none; the error says how to build it.
pub fn seamesh() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SEAMESH_BIN") {
        return Ok(path.into());
    }
    find("seamesh", "cargo build -p seamesh")
}

/// The demo's `librarian` binary, built beside `seamesh`.
///
/// # Errors
/// When there is none; the error says how to build it.
pub fn librarian() -> Result<PathBuf> {
    find("librarian", "cargo build -p librarian")
}

/// A Python interpreter that has the SDK: `SEAMESH_PYTHON`, else the project's own environment.
///
/// # Errors
/// When there is none; the error says how to make it.
pub fn python() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SEAMESH_PYTHON") {
        return Ok(path.into());
    }
    let own = project().join("target/venv/bin/python");
    if own.exists() {
        return Ok(own);
    }
    bail!("no Python environment with the SDK: run `cargo xtask setup`, or set SEAMESH_PYTHON")
}

/// coturn's `turnserver`: `SEAMESH_TURNSERVER`, else the one that `cargo xtask setup` fetched, else the one on the `PATH`.
///
/// # Errors
/// When there is none; the error says how to get it.
pub fn turnserver() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SEAMESH_TURNSERVER") {
        return Ok(path.into());
    }
    let own = project().join("target/coturn/turnserver");
    if own.exists() {
        return Ok(own);
    }
    find("turnserver", "cargo xtask setup")
}

/// The project's root.
pub fn project() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// `PATH` with the directory of `seamesh` and of the Python interpreter in front.
///
/// # Errors
/// When `seamesh` is not built.
pub fn path() -> Result<OsString> {
    let mut places: Vec<PathBuf> = seamesh()?
        .parent()
        .map(Path::to_path_buf)
        .into_iter()
        .collect();
    places.extend(
        python()
            .ok()
            .and_then(|p| p.parent().map(Path::to_path_buf)),
    );
    places.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    Ok(std::env::join_paths(places)?)
}

/// Programs are built into the target directory; tests run from its `deps`.
fn find(name: &str, how: &str) -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let beside = me.ancestors().skip(1).take(2).map(Path::to_path_buf);
    // A project that only uses this one has it installed.
    let installed = std::env::var_os("PATH").unwrap_or_default();
    let found = beside
        .chain(std::env::split_paths(&installed))
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    match found {
        Some(path) => Ok(path),
        None => bail!(
            "`{name}` is not built: run `{how}` (looked beside {} and on the PATH)",
            me.display()
        ),
    }
}

//! `cargo xtask sim`: builds the simulator, optimised, and becomes it; or plants bugs and demands that it finds them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::rust_tests::cargo;
use crate::step::{captured, command, run, step};

/// The crates that a planted bug may be in, and what they need.
const CRATES: &[&str] = &["proto", "identity", "registry-core", "sidecar-core", "sim"];

/// Seeds in which a planted bug has to show itself.
const SEEDS: &str = "0..2000";

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

/// How a planted bug was found.
struct Found {
    by: String,
    seconds: f64,
}

/// Plants the bugs of `crates/sim/tests/planted`, each in a copy of the cores, and plays seeds, then transcripts.
///
/// # Errors
/// When a patch does not fit, or a bug is not found.
#[allow(clippy::print_stdout, clippy::print_stderr)] // the table is the result; each line is told when it is known
pub(crate) fn planted(only: Option<&str>) -> Result<()> {
    let place = crate::target_dir().join("planted");
    let folder = crate::root().join("crates/sim/tests/planted");
    let mut patches = files(&folder)?;
    patches.retain(|path| only.is_none_or(|only| name_of(path) == only));
    if patches.is_empty() {
        bail!("no such bug in {}", folder.display());
    }
    let mut missed = Vec::new();
    let mut lines = vec![format!("{:<34} {:>8}  found by", "planted bug", "seconds")];
    for patch in &patches {
        let name = name_of(patch);
        let found = step(&format!("planting {name}"), || plant(patch, &place))?;
        let told = match &found {
            Some(found) => format!("{name:<34} {:>8.1}  {}", found.seconds, found.by),
            None => format!("{name:<34} {:>8}  NOTHING", "-"),
        };
        eprintln!("xtask: {told}");
        lines.push(told);
        if found.is_none() {
            missed.push(name);
        }
    }
    println!("{}", lines.join("\n"));
    if !missed.is_empty() {
        bail!("not found: {}", missed.join(", "));
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.sort();
    Ok(paths)
}

fn plant(patch: &Path, place: &Path) -> Result<Option<Found>> {
    copy_workspace(place)?;
    let mut apply = command("git", place);
    // Without it git would take the copy for a part of this repository.
    apply.env("GIT_CEILING_DIRECTORIES", crate::target_dir());
    run(apply.args(["apply", "-p1"]).arg(patch)).context("the patch does not fit any more")?;
    let mut build = cargo();
    build.current_dir(place);
    // A target of its own: cargo takes the copy of a crate for the crate.
    build.env("CARGO_TARGET_DIR", place.join("target"));
    run(build.args(["build", "--quiet", "--bin", "seamesh-sim"]))?;
    let program = place.join("target/debug/seamesh-sim");
    let start = Instant::now();
    let by =
        seeds(&program, place)?.map_or_else(|| transcripts(&program, place), |by| Ok(Some(by)))?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(by.map(|by| Found { by, seconds }))
}

/// The first seed that fails, and how.
fn seeds(program: &Path, place: &Path) -> Result<Option<String>> {
    let mut play = command(program, place);
    play.args(["--seeds", SEEDS, "--first", "--json"]);
    let output = play.output().context("play seeds")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| {
        let told: Value = serde_json::from_str(line).ok()?;
        let kind = told["violations"][0]["violation"].as_str()?.to_owned();
        Some(format!("simulator, seed {}: {kind}", told["seed"]))
    });
    match (output.status.success(), line) {
        (true, _) => Ok(None),
        (false, Some(line)) => Ok(Some(line)),
        (false, None) => bail!("{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// The transcript that changed.
fn transcripts(program: &Path, place: &Path) -> Result<Option<String>> {
    let mut play = command(program, place);
    play.arg("--scenarios").arg(crate::root().join("scenarios"));
    let printed = captured(&mut play)?;
    let differing = printed.text.lines().next().unwrap_or_default();
    Ok((!printed.success).then(|| format!("transcript, {differing}")))
}

/// The cores and the simulator as a workspace of their own. A file that is the same is left, so that little is built.
fn copy_workspace(place: &Path) -> Result<()> {
    let root = crate::root();
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let (before, rest) = manifest.split_once("members = [").context("members")?;
    let (_, after) = rest.split_once(']').context("members")?;
    let members: Vec<String> = CRATES
        .iter()
        .map(|name| format!("\"crates/{name}\""))
        .collect();
    let manifest = format!("{before}members = [{}]{after}", members.join(", "));
    let manifest = manifest.replace("crates/cli\"]", "crates/sim\"]");
    write(&place.join("Cargo.toml"), manifest.as_bytes())?;
    if !place.join("Cargo.lock").exists() {
        fs::copy(root.join("Cargo.lock"), place.join("Cargo.lock"))?;
    }
    for name in CRATES {
        let crate_place = place.join("crates").join(name);
        copy(&root.join("crates").join(name), &crate_place)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for path in files(from)? {
        let name = path.file_name().unwrap_or_default();
        if name == "tests" || name == "benches" {
            continue;
        }
        match path.is_dir() {
            true => copy(&path, &to.join(name))?,
            false => write(&to.join(name), &fs::read(&path)?)?,
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

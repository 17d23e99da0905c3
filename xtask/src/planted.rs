//! `cargo xtask sim --planted`: plants bugs in copies of the cores, and demands that the simulator finds each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::rust_tests::cargo;
use crate::step::{command, run, step};

/// The crates that a planted bug may be in, and what they need.
const CRATES: &[&str] = &["proto", "identity", "registry-core", "sidecar-core", "sim"];

/// Seeds in which a planted bug has to show itself.
const SEEDS: &str = "0..1000";

/// Where the copies of the crates are, below their workspace. Not `crates`: cargo would take a copy for the crate, and
/// could not share what both need.
const COPIES: &str = "planted";

/// How a planted bug was found.
struct Found {
    /// The first seed that showed it, and the promise that it broke.
    seed: Option<(u64, String)>,
    /// Seconds until it did, with the shortening.
    seconds: f64,
    /// Transcripts of `scenarios` that come out otherwise.
    transcripts: Vec<String>,
}

impl Found {
    fn is_found(&self) -> bool {
        self.seed.is_some() || !self.transcripts.is_empty()
    }

    /// Its line of the table.
    fn line(&self, bug: &str) -> String {
        let seed = match &self.seed {
            Some((seed, promise)) => format!("seed {seed}: {promise}"),
            None => "-".to_owned(),
        };
        let transcripts = match self.transcripts[..] {
            [] => "-".to_owned(),
            _ => self.transcripts.join(", "),
        };
        format!(
            "| `{bug}` | {seed} | {:.1} s | {transcripts} |",
            self.seconds
        )
    }
}

/// Plants the bugs of `crates/sim/tests/planted`, each in a copy of the cores, plays seeds and transcripts, and prints a
/// table of what showed them.
///
/// # Errors
/// When a patch does not fit, or a bug is not found.
#[allow(clippy::print_stdout, clippy::print_stderr)] // the table is the result; each line is told when it is known
pub(crate) fn planted(only: Option<&str>) -> Result<()> {
    let place = crate::target_dir().join("planted");
    let mut patches = files(&folder())?;
    patches.retain(|path| only.is_none_or(|only| name_of(path) == only));
    if patches.is_empty() {
        bail!("no such bug in {}", folder().display());
    }
    let mut missed = Vec::new();
    let mut lines = vec![
        "| planted bug | first seed that shows it | after | transcripts that change |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    for patch in &patches {
        let name = name_of(patch);
        let found = step(&format!("planting {name}"), || plant(patch, &place))?;
        let line = found.line(&name);
        eprintln!("xtask: {line}");
        lines.push(line);
        if !found.is_found() {
            missed.push(name);
        }
    }
    println!("{}", lines.join("\n"));
    if !missed.is_empty() {
        bail!("not found: {}", missed.join(", "));
    }
    Ok(())
}

fn folder() -> PathBuf {
    crate::root().join("crates/sim/tests/planted")
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

fn plant(patch: &Path, place: &Path) -> Result<Found> {
    copy_workspace(place)?;
    let text = fs::read_to_string(patch)?;
    let moved = place.join("bug.patch");
    fs::write(&moved, text.replace("/crates/", &format!("/{COPIES}/")))?;
    let mut apply = command("git", place);
    // Without it git would take the copy for a part of this repository.
    apply.env("GIT_CEILING_DIRECTORIES", crate::target_dir());
    run(apply.args(["apply", "-p1"]).arg(&moved)).context("the patch does not fit any more")?;
    let mut build = cargo();
    build.current_dir(place);
    // What other crates need is built once for both; the program with the bug stays here.
    build.env("CARGO_BUILD_BUILD_DIR", crate::target_dir());
    build.env("CARGO_TARGET_DIR", place.join("target"));
    run(build.args(["build", "--quiet", "--bin", "seamesh-sim"]))?;
    let program = place.join("target/debug/seamesh-sim");
    let transcripts = transcripts(&program, place)?;
    let start = Instant::now();
    let seed = seeds(&program, place)?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Found {
        seed,
        seconds,
        transcripts,
    })
}

/// The first seed that fails, and how. Its shortened scenario shows the same.
fn seeds(program: &Path, place: &Path) -> Result<Option<(u64, String)>> {
    let mut play = command(program, place);
    play.args(["--seeds", SEEDS, "--first", "--json"]);
    let output = play.output().context("play seeds")?;
    if output.status.success() {
        return Ok(None);
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let (seed, kind) = first_finding(&output).with_context(|| told.clone().into_owned())?;
    let (_, short) = told.split_once("# shortened").unwrap_or_default();
    let shown = format!("# {{\"violation\":\"{kind}\"");
    let shows = short.lines().any(|line| line.starts_with(&shown));
    // A core that gave up leaves no transcript.
    ensure!(
        shows,
        "seed {seed}: the shortened scenario does not show it:\n{told}"
    );
    Ok(Some((seed, kind)))
}

fn first_finding(output: &Output) -> Option<(u64, String)> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().find_map(|line| {
        let told: Value = serde_json::from_str(line).ok()?;
        let kind = told["violations"][0]["violation"].as_str()?.to_owned();
        Some((told["seed"].as_u64()?, kind))
    })
}

/// The transcripts that change.
fn transcripts(program: &Path, place: &Path) -> Result<Vec<String>> {
    let mut play = command(program, place);
    play.arg("--scenarios").arg(crate::root().join("scenarios"));
    let output = play.output().context("play transcripts")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().map(|name| name.trim_end_matches(".txt"));
    Ok(names.map(str::to_owned).collect())
}

/// The cores and the simulator as a workspace of their own. A file that is the same is left, so that little is built.
fn copy_workspace(place: &Path) -> Result<()> {
    let root = crate::root();
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let (before, rest) = manifest.split_once("members = [").context("members")?;
    let (_, after) = rest.split_once(']').context("members")?;
    let members: Vec<String> = CRATES
        .iter()
        .map(|name| format!("\"{COPIES}/{name}\""))
        .collect();
    let manifest = format!("{before}members = [{}]{after}", members.join(", "));
    let manifest = manifest
        .replace("crates/cli\"]", "crates/sim\"]")
        .replace("\"crates/", &format!("\"{COPIES}/"));
    // Each bug is built once and found within some seeds: building is what takes time.
    let quick = |name| format!("\n[profile.dev.package.seamesh-{name}]\nopt-level = 0\n");
    let quick: String = CRATES.iter().map(quick).collect();
    write(&place.join("Cargo.toml"), (manifest + &quick).as_bytes())?;
    if !place.join("Cargo.lock").exists() {
        fs::copy(root.join("Cargo.lock"), place.join("Cargo.lock"))?;
    }
    for name in CRATES {
        let crate_place = place.join(COPIES).join(name);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planted_bug_has_its_line_in_the_decision_record_and_no_other() {
        let record = crate::root().join("docs/adr/0011-meshes-are-drawn-from-seeds.md");
        let record = fs::read_to_string(record).unwrap();
        let (_, table) = record.split_once("| planted bug |").unwrap();
        let lines = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let told: Vec<&str> = lines.filter_map(|line| line.split('`').nth(1)).collect();
        let planted = files(&folder()).unwrap();
        let planted: Vec<String> = planted.iter().map(|path| name_of(path)).collect();
        assert_eq!(told, planted);
        assert!(planted.len() >= 10, "{planted:?}");
    }
}

//! `cargo xtask mutants`: changes the rules in small ways, one after the other, and demands that a test notices each, or
//! that the list of survivors tells why none can.
//!
//! A mutant is tried against the tests of its own crate; what survives them is tried against the simulator.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::excused::excused;
use crate::rust_tests::cargo;
use crate::step::{captured, run, step};

/// What makes the mutants, with its version.
const TOOL: (&str, &str) = ("cargo-mutants", "27.1.0");

/// The crates whose code is changed, and what else is asked about their survivors.
const CRATES: [(&str, Option<&str>); 3] = [
    ("seamesh-proto", None),
    ("seamesh-registry-core", Some("seamesh-sim")),
    ("seamesh-sidecar-core", Some("seamesh-sim")),
];

/// Seeds that a survivor is played with.
const SEEDS: &str = "40";

/// Survivors that are explained: `mutant | why`, one line for each.
const SURVIVORS: &str = "crates/sim/tests/mutants.txt";

/// What is mutated.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Only a part of the mutants: K/N, K from 0.
    #[arg(long)]
    shard: Option<String>,
    /// Only those of this crate: seamesh-proto, seamesh-registry-core, seamesh-sidecar-core.
    #[arg(long)]
    package: Option<String>,
    /// Only those of these files.
    #[arg(long)]
    file: Vec<String>,
    /// Only lists them.
    #[arg(long)]
    list: bool,
}

impl Options {
    /// A part of all: K/N, K from 0.
    pub(crate) fn of_shard(shard: &str) -> Self {
        Self {
            shard: Some(shard.to_owned()),
            ..Self::default()
        }
    }
}

/// What became of mutants.
#[derive(Debug, Default)]
struct Outcome {
    caught: usize,
    /// Those that ran out of time: the tests did not pass.
    timeout: usize,
    /// Those that do not compile.
    unviable: usize,
    missed: Vec<String>,
}

/// Mutates, prints the score, and names survivors that are not explained.
///
/// # Errors
/// When there are any, or the tool fails.
#[allow(clippy::print_stdout)]
pub(crate) fn mutants(options: &Options) -> Result<()> {
    let tool = tool()?;
    let chosen = CRATES.iter().filter(|(name, _)| {
        let package = options.package.as_deref();
        package.is_none_or(|package| package == *name)
    });
    let mut all = Outcome::default();
    for (package, judge) in chosen {
        if options.list {
            let list = captured(mutate(&tool, package, options).arg("--list"))?;
            print!("{}", list.text);
            continue;
        }
        let mut outcome = step(&format!("mutating {package}"), || {
            attempt(mutate(&tool, package, options), package)
        })?;
        if let Some(judge) = judge.filter(|_| !outcome.missed.is_empty()) {
            let judged = step(
                &format!("playing {} survivors", outcome.missed.len()),
                || {
                    let mut mutate = mutate(&tool, package, &Options::default());
                    mutate.args(["--test-package", judge, "--re"]);
                    mutate.arg(pattern(&outcome.missed));
                    attempt(mutate, judge)
                },
            )?;
            outcome.caught += judged.caught;
            outcome.timeout += judged.timeout;
            outcome.missed = judged.missed;
        }
        println!("{package}: {}", outcome.line());
        all.add(outcome);
    }
    if options.list {
        return Ok(());
    }
    println!("all: {}", all.line());
    let new = unexplained(&all.missed, &explained()?);
    ensure!(
        new.is_empty(),
        "{} mutants survive without a reason: write a test that one of them fails, or the reason into {SURVIVORS}\n{}",
        new.len(),
        new.join("\n")
    );
    Ok(())
}

/// Where the tool is, what it builds, and what it tells.
fn place() -> PathBuf {
    crate::target_dir().join("mutants")
}

fn tool() -> Result<PathBuf> {
    let (name, version) = TOOL;
    let root = place().join(format!("{name}-{version}"));
    let tool = root.join("bin").join(name);
    if !tool.is_file() {
        step(&format!("installing {name}"), || {
            let mut install = cargo();
            install.args(["install", name, "--version", version, "--locked", "--debug"]);
            run(install.arg("--root").arg(&root))
        })?;
    }
    Ok(tool)
}

/// The tool with what every run of it has.
fn mutate(tool: &Path, package: &str, options: &Options) -> std::process::Command {
    let mut mutate = crate::step::command(tool, &crate::root());
    mutate.args([
        "mutants",
        "--package",
        package,
        "--no-shuffle",
        "--colors",
        "never",
    ]);
    if let Some(shard) = &options.shard {
        mutate.args(["--shard", shard]);
    }
    for file in &options.file {
        mutate.args(["--file", file]);
    }
    // The tool copies the tree; what it builds stays here, so that only the crate is built for each mutant. Building is
    // most of the time, so nothing is optimised.
    mutate.env("CARGO_TARGET_DIR", place().join("target"));
    mutate.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
    mutate.env("CARGO_PROFILE_DEV_DEBUG", "0");
    mutate.env("SEAMESH_SEEDS", SEEDS);
    mutate.env("PROPTEST_CASES", "64");
    mutate
}

/// Runs the tool. It fails when mutants survive; whether that is an error is judged by the list.
fn attempt(mut mutate: std::process::Command, name: &str) -> Result<Outcome> {
    let out = place().join(name);
    fs::create_dir_all(&out)?;
    let status = mutate
        .arg("--output")
        .arg(&out)
        .stdout(std::io::stderr())
        .status()
        .context("start cargo-mutants")?;
    // 0: all caught; 2: some survive; 3: some ran out of time. Anything else: the tests fail without a mutant, or so.
    match status.code() {
        Some(0 | 2 | 3) => read(&out.join("mutants.out")),
        _ => bail!("cargo-mutants failed ({status})"),
    }
}

fn read(folder: &Path) -> Result<Outcome> {
    let lines = |name: &str| -> Result<Vec<String>> {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    Ok(Outcome {
        caught: lines("caught.txt")?.len(),
        timeout: lines("timeout.txt")?.len(),
        unviable: lines("unviable.txt")?.len(),
        missed: lines("missed.txt")?,
    })
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.caught += other.caught;
        self.timeout += other.timeout;
        self.unviable += other.unviable;
        self.missed.extend(other.missed);
    }

    /// The score: of the mutants that compile, those that a test noticed.
    fn line(&self) -> String {
        let noticed = self.caught + self.timeout;
        let viable = noticed + self.missed.len();
        let percent = match viable {
            0 => 100.0,
            #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
            _ => noticed as f64 * 100.0 / viable as f64,
        };
        format!(
            "{noticed} of {viable} mutants noticed ({percent:.1}%), {} of them by running out of time; {} do not compile",
            self.timeout, self.unviable
        )
    }
}

/// A pattern that is these mutants and no others.
fn pattern(mutants: &[String]) -> String {
    let escaped: Vec<String> = mutants.iter().map(|mutant| escape(mutant)).collect();
    format!("^({})$", escaped.join("|"))
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// A mutant's name without its line, which every change above moves.
fn name_of(mutant: &str) -> String {
    let mut parts = mutant.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(what)) => format!("{file}:{what}"),
        _ => mutant.to_owned(),
    }
}

/// How many survivors of each name are explained.
fn explained() -> Result<BTreeMap<String, usize>> {
    let text = fs::read_to_string(crate::root().join(SURVIVORS)).context(SURVIVORS)?;
    let mut explained = BTreeMap::new();
    for (mutant, _) in excused(&text)? {
        *explained.entry(mutant.to_owned()).or_default() += 1;
    }
    Ok(explained)
}

/// Survivors that are not in the list, or more often than there.
fn unexplained(missed: &[String], explained: &BTreeMap<String, usize>) -> Vec<String> {
    let mut left = explained.clone();
    let is_new = |mutant: &&String| match left.get_mut(&name_of(mutant)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    missed.iter().filter(is_new).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_explained_survivor_is_in_a_file_that_is_there_and_has_a_reason() {
        let text = fs::read_to_string(crate::root().join(SURVIVORS)).unwrap();
        for (mutant, why) in excused(&text).unwrap() {
            let (file, what) = mutant.split_once(": ").unwrap();
            assert!(crate::root().join(file).is_file(), "{mutant}: no such file");
            assert!(!what.is_empty() && why.len() > 20, "{mutant}: say why");
        }
    }

    #[test]
    fn a_survivor_is_known_by_its_name_as_often_as_it_is_listed() {
        let one = "crates/proto/src/ids.rs:45:9: replace < with <= in is_valid".to_owned();
        let other = "crates/proto/src/ids.rs:50:9: replace < with <= in is_valid".to_owned();
        let listed = "crates/proto/src/ids.rs: replace < with <= in is_valid";
        assert_eq!(name_of(&one), listed);
        let explained = BTreeMap::from([(listed.to_owned(), 1)]);
        assert!(unexplained(std::slice::from_ref(&one), &explained).is_empty());
        assert_eq!(unexplained(&[one, other.clone()], &explained), [other]);
    }

    #[test]
    fn a_pattern_takes_operators_by_their_letter() {
        let mutants = ["a.rs:1:2: replace + with * in <impl A for B>::f".to_owned()];
        let plain = r"^(a\.rs:1:2: replace \+ with \* in <impl A for B>::f)$";
        assert_eq!(pattern(&mutants), plain);
    }
}

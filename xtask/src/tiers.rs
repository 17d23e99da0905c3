//! `cargo xtask test`: the tiers, each one command that runs alone.

use std::ops::{Add, AddAssign};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::rust_tests::{self, Built, number_before};
use crate::step::{captured, command};
use crate::{env, generate, images, seams, tidy};

/// A tier of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tier {
    /// Rules of the tree, generated files, format, clippy.
    Tidy,
    /// Unit and property tests of every crate.
    Unit,
    /// The simulator: transcripts and seeds over the cores.
    Scenarios,
    /// The Python SDK and its examples: ruff, mypy, pytest.
    Python,
    /// The hub: types, lint, unit tests, build.
    Hub,
    /// Real processes, end to end.
    E2e,
    /// The hub in a real browser.
    Browser,
    /// The seams that the change touches, each broken on purpose. `cargo xtask seams` breaks them all.
    Seams,
}

/// How many checks passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Passed.
    pub(crate) passed: usize,
    /// Failed.
    pub(crate) failed: usize,
}

impl Count {
    /// One check.
    pub(crate) fn one(success: bool) -> Self {
        Self {
            passed: usize::from(success),
            failed: usize::from(!success),
        }
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
        }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What a tier may use: the Rust build is made once, by the first tier that needs it.
struct Run {
    quick: bool,
    built: Option<Built>,
}

impl Run {
    fn built(&mut self) -> Result<Built> {
        if let Some(built) = &self.built {
            return Ok(built.clone());
        }
        let built = rust_tests::build()?;
        self.built = Some(built.clone());
        Ok(built)
    }
}

struct Report {
    name: String,
    count: Count,
    seconds: f64,
    error: Option<String>,
}

/// Runs the tiers and prints the table.
///
/// # Errors
/// When a check failed or a tier could not run.
#[allow(clippy::print_stdout)] // the table is the result
pub(crate) fn test(only: &[Tier], quick: bool) -> Result<()> {
    let mut run = Run { quick, built: None };
    let tiers = match (only.is_empty(), quick) {
        (false, _) => only.to_vec(),
        // How long the seams of a change take depends on the change: they have a job of their own.
        (true, false) => Tier::value_variants()
            .iter()
            .copied()
            .filter(|tier| *tier != Tier::Seams)
            .collect(),
        (true, true) => vec![
            Tier::Tidy,
            Tier::Unit,
            Tier::Scenarios,
            Tier::Python,
            Tier::Hub,
            Tier::E2e,
        ],
    };
    let reports: Vec<Report> = tiers
        .into_iter()
        .map(|tier| report(tier, &mut run))
        .collect();
    println!("\n{}", table(&reports));
    let failed: Vec<&str> = reports
        .iter()
        .filter(|r| r.count.failed > 0)
        .map(|r| r.name.as_str())
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

#[allow(clippy::print_stderr)]
fn report(tier: Tier, run: &mut Run) -> Report {
    let name = format!("{tier:?}").to_lowercase();
    eprintln!("xtask: tier {name}");
    let start = Instant::now();
    let result = tier.run(run);
    let seconds = start.elapsed().as_secs_f64();
    let (count, error) = match result {
        // A tier that checks nothing has not passed.
        Ok(Count {
            passed: 0,
            failed: 0,
        }) => (Count::one(false), Some("ran no test".to_owned())),
        Ok(count) => (count, None),
        Err(error) => (Count::one(false), Some(format!("{error:#}"))),
    };
    if let Some(error) = &error {
        eprintln!("xtask: tier {name}: {error}");
    }
    Report {
        name,
        count,
        seconds,
        error,
    }
}

fn table(reports: &[Report]) -> String {
    let mut lines = vec![format!(
        "{:<10} {:<7} {:>7} {:>7} {:>8}",
        "tier", "result", "passed", "failed", "seconds"
    )];
    let mut total = Count::default();
    for report in reports {
        let result = if report.count.failed == 0 {
            "ok"
        } else {
            "FAILED"
        };
        let error = report
            .error
            .as_deref()
            .map(|e| format!("  {e}"))
            .unwrap_or_default();
        let Count { passed, failed } = report.count;
        lines.push(format!(
            "{:<10} {result:<7} {passed:>7} {failed:>7} {:>8.1}{error}",
            report.name, report.seconds
        ));
        total += report.count;
    }
    lines.push(format!("{} passed, {} failed", total.passed, total.failed));
    lines.join("\n")
}

impl Tier {
    fn run(self, run: &mut Run) -> Result<Count> {
        match self {
            Self::Tidy => tidy_tier(run),
            Self::Unit => {
                let special = ["seamesh-sim", "seamesh-tests"];
                rust_tests::run(&run.built()?, &[], None, |test| {
                    !special.contains(&test.package.as_str()) && !images::is_steps_test(test)
                })
            }
            Self::Scenarios => rust_tests::run(&run.built()?, &[], None, |test| {
                test.package == "seamesh-sim"
            }),
            Self::Python => python_tier(run),
            Self::Hub => hub_tier(run),
            Self::E2e => {
                let mut env = mesh_env(run)?;
                let filter = run.quick.then_some("smoke");
                let is_whole = !run.quick;
                if is_whole {
                    env.push(("SEAMESH_IMAGE_PYTHON", images::python()?));
                    env.push(("SEAMESH_TURNSERVER", env::turnserver()?));
                }
                rust_tests::run(&run.built()?, &env, filter, |test| {
                    test.package == "seamesh-tests" || (is_whole && images::is_steps_test(test))
                })
            }
            Self::Browser => browser_tier(run),
            Self::Seams => Ok(own(seams::seams(&seams::Options::quick()))),
        }
    }
}

/// What a test of real processes needs: the binary with the hub in it, and a Python with the SDK.
fn mesh_env(run: &mut Run) -> Result<Vec<(&'static str, PathBuf)>> {
    env::build_hub()?;
    let built = run.built()?;
    Ok(vec![
        ("SEAMESH_BIN", built.programs.join("seamesh")),
        ("SEAMESH_PYTHON", env::python()?),
        ("SEAMESH_PROGRAMS", built.programs),
    ])
}

fn check(command: &mut Command) -> Result<Count> {
    Ok(Count::one(captured(command)?.success))
}

/// A check of our own: its findings are printed.
#[allow(clippy::print_stderr)]
fn own(result: Result<()>) -> Count {
    if let Err(error) = &result {
        eprintln!("xtask: {error:#}");
    }
    Count::one(result.is_ok())
}

fn tidy_tier(run: &Run) -> Result<Count> {
    let root = crate::root();
    let mut count = own(generate::check(&root));
    count += own(tidy::check(&root));
    count += check(rust_tests::cargo().args(["fmt", "--all", "--check"]))?;
    if !run.quick {
        let clippy = [
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        count += check(rust_tests::cargo().args(clippy))?;
    }
    Ok(count)
}

/// The SDK's tests run meshes too.
fn python_tier(run: &mut Run) -> Result<Count> {
    let programs = run.built()?.programs;
    let python = env::python()?;
    let folder = crate::root().join("python");
    let module = |arguments: &[&str]| {
        let mut command = command(&python, &folder);
        command.arg("-m").args(arguments);
        command
    };
    let mut count = check(&mut module(&["ruff", "check", "--quiet", "."]))?;
    count += check(&mut module(&["ruff", "format", "--check", "--quiet", "."]))?;
    if !run.quick {
        count += check(&mut module(&["mypy"]))?;
    }
    let mut pytest = module(&["pytest", "-q", "--no-header", "-p", "no:cacheprovider"]);
    let printed = captured(pytest.env("SEAMESH_BIN", programs.join("seamesh")))?;
    Ok(count + last_counts(&printed.text, printed.success))
}

fn hub_tier(run: &Run) -> Result<Count> {
    env::node_modules()?;
    let hub = crate::root().join("hub");
    let npm = |script: &str| {
        let mut command = command("npm", &hub);
        command
            .args(["run", "--silent", script])
            .env("NO_COLOR", "1")
            .env("CI", "1");
        command
    };
    let mut count = Count::default();
    if !run.quick {
        count += check(&mut npm("typecheck"))?;
        count += check(&mut npm("lint"))?;
        count += own(env::build_hub());
    }
    let printed = captured(&mut npm("test"))?;
    Ok(count + last_counts(&printed.text, printed.success))
}

fn browser_tier(run: &mut Run) -> Result<Count> {
    let mut env = mesh_env(run)?;
    env.push(("SEAMESH_CHROMIUM", env::chromium()?));
    let mut playwright = command("npm", &crate::root().join("hub"));
    playwright
        .args(["run", "--silent", "e2e"])
        .env("NO_COLOR", "1")
        .env("CI", "1");
    let printed = captured(playwright.envs(env))?;
    Ok(last_counts(&printed.text, printed.success))
}

/// The counts that pytest, vitest and playwright print at their end.
fn last_counts(text: &str, success: bool) -> Count {
    let line = |word: &str| {
        let mut lines = text.lines().rev().map(str::trim);
        // vitest counts files first and tests after: only its `Tests` line counts.
        let fits = |l: &&str| number_before(l, word) > 0 && !l.starts_with("Test Files");
        lines.find(fits).map_or(0, |l| number_before(l, word))
    };
    let mut count = Count {
        passed: line(" passed"),
        failed: line(" failed"),
    };
    if !success && count.failed == 0 {
        count.failed = 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_each_runner() {
        let count = |text: &str, success| {
            let count = last_counts(text, success);
            (count.passed, count.failed)
        };
        assert_eq!(count("....\n12 passed in 0.20s\n", true), (12, 0));
        assert_eq!(count("1 failed, 11 passed in 0.20s\n", false), (11, 1));
        assert_eq!(
            count(
                " Test Files  3 passed (3)\n      Tests  41 passed (41)\n",
                true
            ),
            (41, 0)
        );
        assert_eq!(count("  2 failed\n  7 passed (3.1s)\n", false), (7, 2));
        assert_eq!(count("ImportError", false), (0, 1));
    }

    #[test]
    fn the_table_ends_with_the_sum() {
        let report = |name: &str, passed, failed| Report {
            name: name.to_owned(),
            count: Count { passed, failed },
            seconds: 1.0,
            error: None,
        };
        let text = table(&[report("unit", 10, 0), report("e2e", 3, 2)]);
        assert!(text.ends_with("13 passed, 2 failed"), "{text}");
        assert!(
            text.lines()
                .any(|l| l.starts_with("e2e") && l.contains("FAILED"))
        );
    }
}

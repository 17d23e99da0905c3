//! The Rust tests: built once for all tiers, then run binary by binary.
//!
//! One `cargo build --workspace` makes libraries, programs, tests and examples with one set of features and one profile.
//! Running the test binaries ourselves, instead of `cargo test -p …` per tier, is what keeps it at one compilation:
//! another package selection would mean other features and a second build of everything.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::step::{captured, command, stdout_of, step};
use crate::tiers::Count;

/// One test program.
#[derive(Clone, Debug)]
pub(crate) struct TestBinary {
    /// Its package.
    pub(crate) package: String,
    /// Its name, for people.
    pub(crate) name: String,
    /// The package's folder, in which it runs.
    pub(crate) folder: PathBuf,
    /// The program.
    pub(crate) executable: PathBuf,
}

impl TestBinary {
    /// Whether it is a program of a `tests` folder, not the unit tests of a library or a program.
    pub(crate) fn is_integration(&self) -> bool {
        self.name.ends_with("(test)")
    }
}

/// Everything one build made.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// The test programs.
    pub(crate) tests: Vec<TestBinary>,
    /// The folder that the programs are in.
    pub(crate) programs: PathBuf,
}

/// Builds the workspace.
///
/// # Errors
/// When it does not compile.
pub(crate) fn build() -> Result<Built> {
    step("building the workspace and its tests", || {
        let mut cargo = cargo();
        cargo.args([
            "build",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--examples",
        ]);
        cargo.arg("--message-format=json-render-diagnostics");
        let messages = stdout_of(&mut cargo)?;
        let tests = messages.lines().filter_map(test_binary).collect();
        Ok(Built {
            tests,
            programs: crate::target_dir().join("debug"),
        })
    })
}

/// The cargo that started us, in the repository's root.
pub(crate) fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    command(cargo, &crate::root())
}

fn test_binary(line: &str) -> Option<TestBinary> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let folder = PathBuf::from(message["manifest_path"].as_str()?)
        .parent()?
        .to_owned();
    let id = message["package_id"].as_str()?;
    let target = &message["target"];
    Some(TestBinary {
        package: package_name(id).to_owned(),
        name: format!(
            "{} ({})",
            target["name"].as_str()?,
            target["kind"][0].as_str()?
        ),
        folder,
        executable,
    })
}

/// The name in a package id: `path+file:///x/proto#seamesh-proto@0.1.0`, or `path+file:///x/xtask#0.1.0`.
fn package_name(id: &str) -> &str {
    let (place, fragment) = id.rsplit_once('#').unwrap_or((id, ""));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or(place),
    }
}

/// Runs the test programs that `wanted` chooses, only those whose name contains `filter`.
///
/// # Errors
/// When a test program cannot start.
pub(crate) fn run(
    built: &Built,
    env: &[(&str, PathBuf)],
    filter: Option<&str>,
    wanted: impl Fn(&TestBinary) -> bool,
) -> Result<Count> {
    let mut count = Count::default();
    for test in built.tests.iter().filter(|t| wanted(t)) {
        let mut program = command(&test.executable, &test.folder);
        program.args(filter).envs(env.iter().map(|(k, v)| (*k, v)));
        program.env("CARGO_MANIFEST_DIR", &test.folder);
        let printed =
            captured(&mut program).with_context(|| format!("{} {}", test.package, test.name))?;
        let found = summary(&printed.text);
        count += match (found, printed.success) {
            (Some(found), _) if found.failed > 0 || printed.success => found,
            // It died, or it has no test harness: its exit status is the result.
            (_, success) => Count::one(success),
        };
    }
    Ok(count)
}

/// Sums libtest's `test result:` lines.
fn summary(text: &str) -> Option<Count> {
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("test result: "));
    let counts = lines.map(|line| Count {
        passed: number_before(line, " passed"),
        failed: number_before(line, " failed"),
    });
    counts.reduce(|a, b| a + b)
}

/// The number that stands before a word.
pub(crate) fn number_before(text: &str, word: &str) -> usize {
    let Some(end) = text.find(word) else { return 0 };
    let digits = text[..end].rsplit(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|d| d.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_harnesses_are_summed() {
        let text = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 0 ignored\ntest result: FAILED. 1 passed; 2 failed;";
        let count = summary(text).unwrap();
        assert_eq!((count.passed, count.failed), (4, 2));
        assert!(summary("Segmentation fault").is_none());
    }

    #[test]
    fn package_ids_of_both_forms_give_the_name() {
        assert_eq!(
            package_name("path+file:///x/crates/proto#seamesh-proto@0.1.0"),
            "seamesh-proto"
        );
        assert_eq!(package_name("path+file:///x/xtask#0.1.0"), "xtask");
    }

    #[test]
    fn only_test_programs_are_kept() {
        let artifact = |test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact",
                "package_id": "path+file:///x/crates/proto#seamesh-proto@0.1.0",
                "manifest_path": "/x/crates/proto/Cargo.toml",
                "target": {"name": "ids", "kind": ["test"]},
                "profile": {"test": test},
                "executable": "/t/debug/deps/ids-0",
            })
            .to_string()
        };
        let found = test_binary(&artifact(true)).unwrap();
        assert_eq!(
            (found.package.as_str(), found.name.as_str()),
            ("seamesh-proto", "ids (test)")
        );
        assert!(test_binary(&artifact(false)).is_none());
        assert!(test_binary("{\"reason\":\"build-finished\"}").is_none());
    }
}

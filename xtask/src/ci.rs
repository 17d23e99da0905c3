//! `cargo xtask ci JOB`: what a job of the pipelines does, so that it also runs here.

use std::path::Path;

use anyhow::Result;
use clap::Subcommand;

use crate::step::{command, run, step};
use crate::tiers::{Tier, test};
use crate::{env, images, mutants, planted, rust_tests, seams, sim, versions};

/// A job of `.github/workflows`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Job {
    /// Rules of the tree, generated files, format, clippy.
    RustLint,
    /// Unit and property tests of every crate, and the simulator.
    RustTest,
    /// ruff, mypy.
    PythonLint,
    /// pytest over the SDK and the examples, which start meshes.
    PythonTest,
    /// The dashboard: types, lint, build, tests.
    Hub,
    /// Real processes, end to end, and the dashboard in a browser.
    E2e,
    /// Breaks every seam on purpose, and fails when no test notices.
    Seams,
    /// The simulator: ten thousand seeds, and the bugs that are planted for it.
    Sim,
    /// A part of the mutants of proto and both cores.
    Mutants {
        /// The part: K/N, K from 0.
        shard: String,
    },
    /// The workflows themselves: zizmor.
    WorkflowLint,
    /// Fails when shipped source changed since a commit and its package's version did not.
    VersionCheck {
        /// The commit that it is compared with.
        #[arg(long, default_value = "origin/main")]
        base: String,
    },
    /// Fails unless a release's tag is the version of every package.
    TagCheck {
        /// The tag, like v0.1.0.
        tag: String,
    },
    /// The images: lints `deploy`, and builds every image without pushing it. Without a container engine it runs their
    /// build and start steps instead.
    Docker,
    /// Builds the Python package's files into `target/dist`.
    PythonDist,
}

/// Does what a job does.
///
/// # Errors
/// What the job found.
pub(crate) fn job(job: &Job) -> Result<()> {
    let root = crate::root();
    match job {
        Job::RustLint => test(&[Tier::Tidy], false),
        Job::RustTest => test(&[Tier::Unit, Tier::Scenarios], false),
        Job::PythonLint => python_lint(),
        Job::PythonTest => {
            let seamesh = rust_tests::build()?.programs.join("seamesh");
            step("pytest", || {
                let mut pytest = python(&root)?;
                run(pytest.args(["pytest", "-q"]).env("SEAMESH_BIN", &seamesh))
            })
        }
        Job::Hub => test(&[Tier::Hub], false),
        Job::E2e => test(&[Tier::E2e, Tier::Browser], false),
        Job::Seams => seams::seams(&seams::Options::whole()),
        Job::Sim => {
            step("ten thousand seeds", || sim::play(&["--seeds", "0..10000"]))?;
            planted::planted(None)
        }
        Job::Mutants { shard } => mutants::mutants(&mutants::Options::of_shard(shard)),
        Job::WorkflowLint => workflow_lint(&root),
        Job::VersionCheck { base } => versions::changed_without_bump(&root, base),
        Job::TagCheck { tag } => versions::tag_is_version(&root, tag),
        Job::Docker => images::job(&root),
        Job::PythonDist => step("building the Python package", || {
            let out = crate::target_dir().join("dist");
            run(python(&root)?.args(["hatchling", "build", "-d"]).arg(out))
        }),
    }
}

fn python(root: &Path) -> Result<std::process::Command> {
    let mut command = command(env::python()?, &root.join("python"));
    command.arg("-m");
    Ok(command)
}

fn python_lint() -> Result<()> {
    let root = crate::root();
    for arguments in [
        &["ruff", "check", "."][..],
        &["ruff", "format", "--check", "."],
        &["mypy"],
    ] {
        run(python(&root)?.args(arguments))?;
    }
    Ok(())
}

/// The linter of workflows, with its version.
const ZIZMOR: &str = "zizmor==1.32.0";

fn workflow_lint(root: &Path) -> Result<()> {
    let place = crate::target_dir().join("workflow-lint");
    let bin = place.join("bin");
    if !bin.join("zizmor").is_file() {
        step("installing zizmor", || {
            run(command("python3", root).args(["-m", "venv"]).arg(&place))?;
            let mut pip = command(bin.join("python"), root);
            run(pip.args(["-m", "pip", "install", "--quiet"]).arg(ZIZMOR))
        })?;
    }
    step("zizmor", || {
        let mut zizmor = command(bin.join("zizmor"), root);
        run(zizmor.args(["--offline", "--no-progress", ".github/workflows"]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches as _};
    use std::collections::BTreeSet;

    /// The commands of each workflow, and its lines.
    fn workflows() -> Vec<(String, String)> {
        let folder = crate::root().join(".github/workflows");
        let files = std::fs::read_dir(folder).unwrap();
        let texts = files.map(|file| {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        });
        texts.collect()
    }

    fn commands(text: &str) -> Vec<&str> {
        let lines = text
            .lines()
            .map(str::trim)
            .map(|line| line.strip_prefix("- ").unwrap_or(line));
        lines
            .filter_map(|line| line.strip_prefix("run: "))
            .collect()
    }

    #[test]
    fn every_command_of_a_workflow_is_one_of_ours_and_every_job_of_ours_is_in_a_workflow() {
        let jobs = Job::augment_subcommands(Command::new("ci"));
        let known: BTreeSet<String> = jobs
            .get_subcommands()
            .map(|c| c.get_name().to_owned())
            .collect();
        let mut used = BTreeSet::new();
        for (file, text) in workflows() {
            for line in commands(&text) {
                let Some(rest) = line.strip_prefix("cargo xtask ci ") else {
                    panic!(
                        "{file}: `{line}`: a job runs `cargo xtask ci JOB`, so that it also runs here"
                    );
                };
                let words = rest.split_whitespace().map(|w| w.trim_matches('"'));
                let matches = jobs
                    .clone()
                    .no_binary_name(true)
                    .try_get_matches_from(words);
                let matches = matches.unwrap_or_else(|e| panic!("{file}: `{line}`: {e}"));
                Job::from_arg_matches(&matches).unwrap();
                used.insert(matches.subcommand_name().unwrap().to_owned());
            }
        }
        assert_eq!(used, known);
    }

    #[test]
    fn actions_are_pinned_by_commit_with_their_version_and_permissions_are_named() {
        for (file, text) in workflows() {
            for line in text.lines().filter(|l| l.contains("uses: ")) {
                let (_, rest) = line.split_once("uses: ").unwrap();
                let (action, version) = rest
                    .split_once(" # v")
                    .unwrap_or_else(|| panic!("{file}: {line}: name the version"));
                let (_, commit) = action.split_once('@').unwrap();
                assert!(
                    commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()),
                    "{file}: {line}"
                );
                assert!(
                    version.starts_with(|c: char| c.is_ascii_digit()),
                    "{file}: {line}"
                );
            }
            assert!(
                text.contains("\npermissions: {}\n"),
                "{file}: a job asks for what it needs, and nothing else"
            );
            assert!(
                !text.contains("secrets."),
                "{file}: no stored secret is needed"
            );
        }
    }
}

//! The project's own commands. `cargo xtask help` lists them. Needs nothing but the Rust toolchain to start.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod ci;
mod env;
mod excused;
mod fuzz;
#[path = "gen/mod.rs"]
mod generate;
mod images;
mod mutants;
mod planted;
mod programs;
mod rust_tests;
mod seams;
mod sim;
mod stamp;
mod step;
mod tidy;
mod tiers;
mod versions;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the tests: every tier, the tiers named, or what a developer runs while working.
    Test {
        /// Only this tier (may be given more than once).
        #[arg(long, value_enum)]
        tier: Vec<tiers::Tier>,
        /// Leaves out clippy, mypy, the browser and all but the smoke tests of real processes.
        #[arg(long)]
        quick: bool,
    },
    /// Does what a job of the pipelines does.
    Ci {
        #[command(subcommand)]
        job: ci::Job,
    },
    /// Checks the rules of the tree.
    Tidy,
    /// Writes schemas, OpenAPI and the TypeScript and Python types from crates/proto.
    Gen {
        /// Only compares, and names what is stale.
        #[arg(long)]
        check: bool,
    },
    /// Measures the seam ledger: breaks every row, at both ends, and demands that a test notices. Prints the rows, holes
    /// first, and writes the matrix to target/seams/index.html.
    Seams(seams::Options),
    /// Plays whole meshes in virtual time, each drawn from a seed, and checks the promises.
    Sim {
        /// Plants bugs in copies of the cores, one after the other, and demands that each is found.
        #[arg(long)]
        planted: bool,
        /// With --planted: only this bug.
        #[arg(long, requires = "planted")]
        bug: Option<String>,
        /// What the simulator takes: --seed N, --seeds A..B, --minutes M, --json; see `cargo xtask sim -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Feeds a parser with what libFuzzer makes up, such as `cargo xtask fuzz sdp`; fuzz/fuzz_targets has them all.
    Fuzz {
        /// The target.
        target: String,
        /// How long.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
    },
    /// Changes the rules in proto and both cores in small ways, and demands that a test notices each change or that
    /// crates/sim/tests/mutants.txt tells why none can. Takes hours; --shard does a part.
    Mutants(mutants::Options),
    /// Runs a mesh of three agents that answers a question about a folder, with the hub beside it.
    Demo {
        /// What the demo takes: --docs DIR, --ask "…", --once, --json; see `cargo xtask demo -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Measures the release build against ceilings of this machine, taken in the same run.
    Bench {
        /// What the bench takes: names of benches, --json, --runs N; see `cargo xtask bench -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Builds the hub's files, when their sources changed.
    BuildHub,
    /// Installs what the tests and the demo need: the Python environment, the hub's packages, a browser.
    Setup,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// Where cargo builds, and where we keep what we make.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(chosen) => root().join(chosen),
        None => root().join("target"),
    }
}

#[allow(clippy::print_stderr)] // a command line tool speaks on its terminal
fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout)]
fn run(command: Command) -> Result<()> {
    match command {
        Command::Test { tier, quick } => tiers::test(&tier, quick)?,
        Command::Demo { arguments } => programs::demo(&arguments)?,
        Command::Bench { arguments } => programs::bench(&arguments)?,
        Command::Sim {
            planted: true, bug, ..
        } => planted::planted(bug.as_deref())?,
        Command::Sim { arguments, .. } => sim::sim(&arguments)?,
        Command::Fuzz { target, minutes } => fuzz::fuzz(&target, minutes)?,
        Command::Mutants(options) => mutants::mutants(&options)?,
        Command::Ci { job } => ci::job(&job)?,
        Command::Tidy => tidy::check(&root())?,
        Command::Gen { check: true } => generate::check(&root())?,
        Command::Gen { check: false } => {
            println!("{} generated files written", generate::write(&root())?)
        }
        Command::Seams(options) => seams::seams(&options)?,
        Command::BuildHub => env::build_hub()?,
        Command::Setup => {
            println!("python    {}", env::python()?.display());
            env::node_modules()?;
            println!("npm       hub/node_modules");
            println!("chromium  {}", env::chromium()?.display());
            println!("coturn    {}", env::turnserver()?.display());
        }
    }
    Ok(())
}

//! The project's own commands. `cargo xtask help` lists them. Needs nothing but the Rust toolchain.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[path = "gen/mod.rs"]
mod generate;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes schemas, OpenAPI and the TypeScript and Python types from crates/proto.
    Gen {
        /// Only compares, and names what is stale.
        #[arg(long)]
        check: bool,
    },
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

#[allow(clippy::print_stdout, clippy::print_stderr)] // a command line tool speaks on its terminal
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
        Command::Gen { check: true } => generate::check(&root()),
        Command::Gen { check: false } => {
            println!("{} generated files written", generate::write(&root())?);
            Ok(())
        }
    }
}

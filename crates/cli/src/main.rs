//! The seamesh command: registry, sidecar and every tool of the mesh in one binary. Arguments and printing only.

mod data;
mod registry;
mod serving;
mod sidecar;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An agent mesh: agents find each other by skill, talk directly, and lose no work.
#[derive(Debug, Parser)]
#[command(name = "seamesh", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done; 1 it failed, the message says why; 2 the command line is wrong."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the control plane: identity, discovery, signaling, task queue, dashboard.
    Registry(registry::RegistryArgs),
    /// Run the network side of one agent.
    Sidecar(sidecar::SidecarArgs),
    /// Print the version.
    Version,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The only place that chooses a TLS provider: two choices in one process would end it.
    seamesh_client::install_crypto();
    let done = match cli.command {
        Command::Registry(args) => registry::run(args),
        Command::Sidecar(args) => sidecar::run(args),
        Command::Version => serving::print(&format!("seamesh {}", env!("CARGO_PKG_VERSION"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            serving::complain(&error);
            ExitCode::FAILURE
        }
    }
}

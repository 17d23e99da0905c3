//! The seamesh command: registry, sidecar and every tool of the mesh in one binary. Arguments and printing only.

mod access;
mod agents;
mod audit;
mod call;
mod children;
mod credentials;
mod data;
mod demo;
mod doctor;
mod dotenv;
mod exit;
mod health;
mod help;
mod init;
mod join;
mod keys;
mod links;
mod log_file;
mod logs;
mod manifest;
mod pair;
mod project;
mod registry;
mod run;
mod send;
mod serving;
mod sidecar;
mod table;
mod tasks;
mod tied;
mod times;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use seamesh_client::{Fingerprint, Trust};

/// An agent mesh: agents find each other by skill, talk directly, and lose no work.
#[derive(Debug, Parser)]
#[command(name = "seamesh", version, about, max_term_width = 100, after_help = exit::help())]
struct Cli {
    /// Fingerprint of the registry's certificate, as the registry prints it: that certificate is trusted, and no other.
    #[arg(
        long,
        global = true,
        env = "SEAMESH_REGISTRY_FINGERPRINT",
        value_name = "SHA256:…",
        help_heading = "Trust"
    )]
    registry_fingerprint: Option<Fingerprint>,
    /// Authorities (PEM) that count for the registry's certificate instead of the machine's.
    #[arg(
        long,
        global = true,
        env = "SEAMESH_CA_FILE",
        value_name = "FILE",
        help_heading = "Trust"
    )]
    ca_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an agent of a role, in Python or Rust, with its tests.
    Init(init::InitArgs),
    /// Run an agent with everything it needs.
    Run(run::RunArgs),
    /// Say whether a manifest can be used.
    Validate(validate::ValidateArgs),
    /// Ask the mesh to run a skill, and print the result.
    Call(call::CallArgs),
    /// Say something to an agent, and print its answer.
    Send(send::SendArgs),
    /// List the agents of the mesh.
    Agents(agents::AgentsArgs),
    /// List the open links between sidecars.
    Links(links::LinksArgs),
    /// List, show, watch, cancel and retry tasks.
    Tasks(Box<tasks::TasksArgs>),
    /// Make an invite for a newcomer, or a join token for a fleet.
    Invite(join::InviteArgs),
    /// Join a mesh with an invite: makes this agent's key, and waits for the approval.
    Pair(pair::PairArgs),
    /// List newcomers, and those who are in.
    Newcomers(join::NewcomersArgs),
    /// Let a newcomer in.
    Approve(join::ApproveArgs),
    /// Refuse a newcomer.
    Reject(join::DecideArgs),
    /// End an agent's access at once: its tokens, sockets, work and links.
    Revoke(join::DecideArgs),
    /// Make a root key to keep off the registry.
    RootKey(join::RootKeyArgs),
    /// Make, list and revoke API keys.
    Keys(keys::KeysArgs),
    /// Verify or export the record of who decided what.
    Audit(audit::AuditArgs),
    /// Print a one-time link to the dashboard.
    Login(keys::LoginArgs),
    /// Show what `seamesh run` and what it started wrote down.
    Logs(logs::LogsArgs),
    /// Check one by one what an agent needs to run here, and say what to do about the rest.
    Doctor(doctor::DoctorArgs),
    /// Ask whether the registry of this machine serves: for health checks.
    Health(health::HealthArgs),
    /// Print what makes a shell complete `seamesh` commands.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory.
    Man {
        /// The directory; made when it is not there.
        directory: std::path::PathBuf,
    },
    /// Show a whole small mesh at work.
    Demo(demo::DemoArgs),
    /// Run the control plane: identity, discovery, signaling, task queue, dashboard.
    Registry(registry::RegistryArgs),
    /// Run the network side of one agent.
    Sidecar(sidecar::SidecarArgs),
    /// Run a program that ends together with the process that started it.
    #[command(hide = true)]
    Tied(tied::TiedArgs),
    /// Print the version.
    Version {
        /// Print one JSON object with the `version`.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let cli = match Cli::from_arg_matches(&command_line().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    if let Err(error) = tied::by_environment() {
        return exit::with(&error);
    }
    // The only place that chooses a TLS provider: two choices in one process would end it.
    seamesh_client::install_crypto();
    let trust = Trust {
        fingerprint: cli.registry_fingerprint,
        ca_file: cli.ca_file,
    };
    trust.install();
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::with(&error),
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Registry(args) => registry::run(args),
        Command::Sidecar(args) => sidecar::run(args),
        Command::Init(args) => init::run(args),
        Command::Validate(args) => validate::validate(args),
        Command::Tied(args) => tied::run(args),
        Command::Version { json } => {
            let version = env!("CARGO_PKG_VERSION");
            serving::print(&match json {
                true => serde_json::json!({ "version": version }).to_string(),
                false => format!("seamesh {version}"),
            })
        }
        Command::Run(args) => serving::block_on(run::run(args)),
        Command::Call(args) => serving::block_on(call::run(args)),
        Command::Send(args) => serving::block_on(send::run(args)),
        Command::Links(args) => serving::block_on(links::run(args)),
        Command::Logs(args) => serving::block_on(logs::run(args)),
        Command::Health(args) => serving::block_on(health::run(args)),
        Command::Doctor(args) => serving::block_on(doctor::run(args)),
        Command::Completions { shell } => completions(shell),
        Command::Man { directory } => {
            std::fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
            clap_mangen::generate_to(command_line(), &directory)
                .with_context(|| directory.display().to_string())
        }
        Command::Agents(args) => serving::block_on(agents::run(args)),
        Command::Tasks(args) => serving::block_on(tasks::run(*args)),
        Command::Invite(args) => serving::block_on(join::invite(args)),
        Command::Pair(args) => serving::block_on(pair::run(args)),
        Command::Newcomers(args) => serving::block_on(join::newcomers(args)),
        Command::Approve(args) => serving::block_on(join::approve(args)),
        Command::Reject(args) => serving::block_on(join::reject(args)),
        Command::Revoke(args) => serving::block_on(join::revoke(args)),
        Command::RootKey(args) => join::root_key(args),
        Command::Keys(args) => serving::block_on(keys::run(args)),
        Command::Audit(args) => serving::block_on(audit::run(args)),
        Command::Login(args) => serving::block_on(keys::login(args)),
        Command::Demo(args) => serving::block_on(demo::run(args)),
    }
}

/// The command line as people are told of it.
fn command_line() -> clap::Command {
    help::with_examples(Cli::command())
}

fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command_line(), "seamesh", &mut script);
    serving::print(String::from_utf8(script)?.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        command_line().debug_assert();
    }
}

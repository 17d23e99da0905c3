//! Measures seamesh against ceilings of the same machine in the same run. One line of JSON per metric with `--json`.
#![expect(clippy::print_stderr, reason = "a program that talks to a person")]

mod attack;
mod ceilings;
mod ipc_client;
mod links;
mod measure;
mod queue;
mod report;
mod rest_load;
mod size;
mod start;
mod worker;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use crate::measure::MIN_RUNS;
use crate::report::Metric;

/// Measures the mesh. Medians of several runs; ceilings of the machine are taken in the same run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Args {
    #[command(subcommand)]
    internal: Option<Internal>,
    /// What to measure; nothing: everything.
    #[arg(value_enum)]
    bench: Vec<Bench>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Runs per metric.
    #[arg(long, default_value_t = MIN_RUNS)]
    runs: usize,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// Registry process start to ready; cold start to the first direct task, Rust and Python agents; a whole test.
    Start,
    /// Links through IPC at both ends: round trip and throughput.
    Links,
    /// Twenty sidecars at once: every link, proven by a message each way; memory.
    Mesh,
    /// The durable queue: submits, whole tasks, the way to a handler, a long history, memory.
    Queue,
    /// Of the queue, submits and whole tasks on a fresh mesh alone.
    Rates,
    /// Of the queue, the registry's memory alone.
    Memory,
    /// An honest agent's latency and the registry's memory while attackers sit on sockets and send garbage.
    Attack,
    /// Size of the release binary.
    Size,
}

#[derive(Debug, Subcommand)]
enum Internal {
    /// One end of a link bench, in a process of its own.
    #[command(hide = true)]
    Client(ipc_client::ClientArgs),
    /// All sockets of the attackers.
    #[command(hide = true)]
    Attacker(attack::AttackerArgs),
}

fn main() -> ExitCode {
    seamesh_client::install_crypto();
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benches and says whether every goal was met.
fn run(args: Args) -> Result<bool> {
    match args.internal {
        Some(Internal::Client(client)) => return ipc_client::run(&client).map(|()| true),
        Some(Internal::Attacker(attacker)) => return attack::attack(&attacker).map(|()| true),
        None => {}
    }
    let all = [
        Bench::Start,
        Bench::Links,
        Bench::Mesh,
        Bench::Queue,
        Bench::Attack,
        Bench::Size,
    ];
    let chosen = if args.bench.is_empty() {
        all.to_vec()
    } else {
        args.bench
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut met = true;
    for bench in chosen {
        let mut show = |metric: Metric| {
            met &= metric.ok;
            report::print(&metric, args.json);
        };
        match bench {
            Bench::Start => runtime.block_on(start::run(args.runs, &mut show))?,
            Bench::Links => runtime.block_on(links::run(args.runs, &mut show))?,
            Bench::Mesh => runtime.block_on(links::mesh(args.runs, &mut show))?,
            Bench::Queue => runtime.block_on(queue::run(args.runs, &mut show))?,
            Bench::Rates => runtime.block_on(queue::rates_only(args.runs, &mut show))?,
            Bench::Memory => runtime.block_on(queue::memory(&mut show))?,
            Bench::Attack => runtime.block_on(attack::run(args.runs, &mut show))?,
            Bench::Size => size::run(&mut show)?,
        }
    }
    Ok(met)
}

//! The demo: a mesh of three agents, two languages, answers a question about a folder of documents.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to a person"
)]

mod mesh;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use seamesh_harness::binaries;

use crate::mesh::Demo;
use crate::report::{Hop, Report, tree};

/// Starts a registry with the hub and three agents, and asks them a question about a folder of documents.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask demo")]
struct Args {
    /// Folder of Markdown and text files [default: this project].
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
    /// The question.
    #[arg(
        long,
        default_value = "What happens to work when a link breaks before the answer?"
    )]
    ask: String,
    /// End after the answer instead of serving the hub until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    seamesh_client::install_crypto();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let docs = args
        .docs
        .unwrap_or_else(|| binaries::project().to_path_buf());
    let docs = docs
        .canonicalize()
        .with_context(|| format!("the folder {} cannot be read", docs.display()))?;
    eprintln!(
        "starting a registry, three sidecars, and the agents librarian (Rust), reader and editor (Python)"
    );
    let mut demo = Demo::start(&docs).await?;
    let timings = demo.timings;
    eprintln!(
        "registry ready in {} ms; every pair linked in {} ms",
        timings.registry_ready, timings.links_open
    );
    eprintln!("asking about {}", docs.display());
    let (answer, tasks) = demo.ask(&args.ask).await?;
    let (hub_url, login) = demo.hub().await?;
    if !args.json {
        println!("\n{}\n\n{}\n", args.ask, answer.answer);
    }
    let hops: Vec<_> = tasks.iter().map(Hop::of).collect();
    if args.json {
        let timings_ms = demo.timings;
        let (answer, citations) = (answer.answer, answer.citations);
        let report = Report {
            ok: true,
            answer,
            citations,
            timings_ms,
            tasks: hops,
            hub_url,
        };
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!(
            "{}answered in {} ms",
            tree(&tasks),
            demo.timings.first_answer
        );
    }
    if !args.once {
        eprintln!(
            "\nhub, logged in once: {login}\nCtrl-C ends the demo and every process it started"
        );
        tokio::signal::ctrl_c().await?;
    }
    demo.stop().await
}

//! `librarian`: an agent that finds passages in a folder of Markdown and text files (`LIBRARIAN_DOCS`, else the current
//! folder).

mod corpus;
mod index;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use schemars::JsonSchema;
use seamesh_agent::{Agent, Code, Ctx, SkillError};
use serde::{Deserialize, Serialize};

use crate::index::{Hit, Index};

/// Passages in an answer when the asker does not say.
const DEFAULT_LIMIT: usize = 5;

/// Most passages in an answer: it stays far under the limit of a result.
const MAX_LIMIT: usize = 50;

/// Finds the passages of the folder that fit a question best. Each names its file and line.
#[derive(Debug, Deserialize, JsonSchema)]
struct Search {
    /// Words or a question.
    query: String,
    /// Passages wanted, 1 to 50; 5 when it is left out.
    limit: Option<usize>,
}

/// What a search found, best first.
#[derive(Debug, Serialize)]
struct Found {
    hits: Vec<Hit>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let folder = PathBuf::from(std::env::var_os("LIBRARIAN_DOCS").unwrap_or_else(|| ".".into()));
    let index = Index::open(folder)?;
    tracing::info!(passages = index.passages(), "indexed");
    librarian(index).run_from_env().await?;
    Ok(())
}

fn librarian(index: Index) -> Agent {
    let index = Arc::new(Mutex::new(index));
    let search = move |_: Ctx, args: Search| {
        let index = index.clone();
        async move {
            let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
            if !(1..=MAX_LIMIT).contains(&limit) {
                let text = format!("limit is 1 to {MAX_LIMIT}, not {limit}");
                return Err(SkillError::with_code(Code::BadArguments, text));
            }
            // Files are read and scored: not on the thread that talks to the sidecar.
            let found = tokio::task::spawn_blocking(move || {
                let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
                index.search(&args.query, limit)
            });
            let hits: Vec<Hit> = found
                .await?
                .map_err(|e| SkillError::new(format!("{e:#}")))?;
            Ok(Found { hits })
        }
    };
    Agent::new("librarian")
        .describe("Finds passages in a folder of documents.")
        .version(env!("CARGO_PKG_VERSION"))
        .skill("search", search)
}

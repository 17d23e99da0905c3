//! `seamesh audit`: who decided what, and whether the record of it is whole.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use seamesh_client::Registry;
use seamesh_identity::Chain;
use seamesh_proto::audit::{AuditQuery, AuditRecord};
use seamesh_proto::limits::MAX_PAGE;

use crate::access::Access;
use crate::serving;

/// Options of `seamesh audit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Every record holds the hash of the one before it. Keep the last line of `verify` where the registry's \
    machine cannot reach it: `verify --head` then tells whether anything up to that record was changed since, even by \
    somebody who made the whole chain anew."
)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Say whether the record of every decision is whole.
    Verify(VerifyArgs),
    /// Print every record as one JSON line.
    Export(ExportArgs),
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    access: Access,
    /// Verify an export instead of the registry's own record.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A record that must still stand there, as an earlier `verify` printed it: NUMBER:HASH.
    #[arg(long, value_name = "NUMBER:HASH", value_parser = head)]
    head: Option<(u64, String)>,
    /// Print one JSON object: `records`, and `head`, which --head takes.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ExportArgs {
    #[command(flatten)]
    access: Access,
}

fn head(text: &str) -> Result<(u64, String), String> {
    let wanted = "a head is NUMBER:HASH, as `seamesh audit verify` prints it";
    let (number, hash) = text.split_once(':').ok_or(wanted)?;
    let number = number.parse().map_err(|_| wanted)?;
    Ok((number, hash.to_owned()))
}

/// Verifies or exports.
///
/// # Errors
/// What is wrong with the record, by number; or as the registry answers.
pub(crate) async fn run(args: AuditArgs) -> Result<()> {
    match args.command {
        AuditCommand::Verify(args) => verify(args).await,
        AuditCommand::Export(args) => {
            let print = |record: &AuditRecord| serving::print(&serde_json::to_string(record)?);
            each_of(&args.access.registry()?, print).await
        }
    }
}

async fn verify(args: VerifyArgs) -> Result<()> {
    let mut chain = Chain::default();
    let mut is_head_there = args.head.is_none();
    let check = |record: &AuditRecord| {
        chain.check(record)?;
        if let Some((n, hash)) = args.head.as_ref().filter(|(n, _)| *n == record.n) {
            if *hash != record.hash {
                bail!(
                    "record {n} is not the one that stood there before: the record was made anew"
                );
            }
            is_head_there = true;
        }
        Ok(())
    };
    match &args.file {
        Some(path) => each_line(path, check)?,
        None => each_of(&args.access.registry()?, check).await?,
    }
    if let (false, Some((n, _))) = (is_head_there, &args.head) {
        bail!("record {n} is missing: the record ends at {}", chain.last);
    }
    if args.json {
        let head = format!("{}:{}", chain.last, chain.head);
        let verified = serde_json::json!({"records": chain.last, "head": head});
        return serving::print(&verified.to_string());
    }
    serving::print(&format!(
        "{} records, each as it was written\n{}:{}",
        chain.last, chain.last, chain.head
    ))
}

async fn each_of(
    registry: &Registry,
    mut take: impl FnMut(&AuditRecord) -> Result<()>,
) -> Result<()> {
    let mut query = AuditQuery {
        limit: Some(MAX_PAGE),
        ..AuditQuery::default()
    };
    loop {
        let page = registry.audit(&query).await?;
        page.records.iter().try_for_each(&mut take)?;
        match page.next_after {
            Some(after) => query.after = Some(after),
            None => return Ok(()),
        }
    }
}

fn each_line(path: &Path, mut take: impl FnMut(&AuditRecord) -> Result<()>) -> Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| path.display().to_string())?;
        let number = index + 1;
        let not_one = || format!("line {number} is not a record of the audit");
        let record: AuditRecord = serde_json::from_str(&line).with_context(not_one)?;
        // A member that was added would not count in any hash.
        if serde_json::to_string(&record)? != line {
            bail!("line {number} was changed: it is not as `seamesh audit export` writes it");
        }
        take(&record)?;
    }
    Ok(())
}

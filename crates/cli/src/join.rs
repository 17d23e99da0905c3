//! Who gets in: `seamesh invite`, `newcomers`, `approve`, `reject`, `revoke`, `root-key`.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use seamesh_identity::{SecretKey, read_seed};
use seamesh_proto::PeerId;
use seamesh_proto::rest::{CertifyBody, InviteBody, OnboardingEntry, PairingStatus};

use crate::access::Access;
use crate::serving;
use crate::table::table;

/// Options of `seamesh invite`.
#[derive(Debug, Args)]
#[command(
    after_help = "An invite works once and its newcomer waits for `seamesh approve`. A join token approves by itself: \
    keep it like a password."
)]
pub(crate) struct InviteArgs {
    #[command(flatten)]
    access: Access,
    /// Make a join token, which approves whoever has it, instead of an invite.
    #[arg(long)]
    join_token: bool,
    /// How many newcomers a join token lets in.
    #[arg(long, requires = "join_token", value_name = "N")]
    uses: Option<u32>,
    /// Minutes it lives [default: 5].
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=43_200))]
    minutes: Option<u64>,
    /// Give this peer a new key; its old one ends with the approval.
    #[arg(long, value_name = "PEER")]
    rotate: Option<PeerId>,
    /// Print the invite as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Options of `seamesh newcomers`.
#[derive(Debug, Args)]
pub(crate) struct NewcomersArgs {
    #[command(flatten)]
    access: Access,
    /// Print them as one JSON array.
    #[arg(long)]
    json: bool,
}

/// Options of `seamesh approve`.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    access: Access,
    /// The newcomer, as `seamesh newcomers` shows it.
    id: String,
    /// The root key's file, for a mesh whose root key is not on the registry.
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
    /// Print the approval as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Options of `seamesh reject` and `seamesh revoke`.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    #[command(flatten)]
    access: Access,
    /// The newcomer, as `seamesh newcomers` shows it.
    id: String,
    /// Print one JSON object with its `id`.
    #[arg(long)]
    json: bool,
}

/// Options of `seamesh root-key`.
#[derive(Debug, Args)]
#[command(
    after_help = "Start the registry with --root PUBLIC, as this prints it, and approve with `seamesh approve ID \
    --root-key FILE`. A registry without the root key cannot put a key of its own in an agent's place."
)]
pub(crate) struct RootKeyArgs {
    /// Where to write the key; made for its owner alone.
    file: PathBuf,
    /// Print one JSON object with the `public` half.
    #[arg(long)]
    json: bool,
}

/// Makes an invite.
///
/// # Errors
/// As the registry answers.
pub(crate) async fn invite(args: InviteArgs) -> Result<()> {
    let body = InviteBody {
        join_token: args.join_token,
        uses: args.uses,
        ttl_s: args.minutes.map(|minutes| minutes * 60),
        peer_id: args.rotate,
    };
    let made = args.access.registry()?.invite(&body).await?;
    if args.json {
        return serving::print(&serde_json::to_string(&made)?);
    }
    let minutes = made.expires_in.div_ceil(60);
    let approval = match body.join_token {
        true => "It approves by itself: keep it like a password.",
        false => {
            "It works once; then `seamesh newcomers` shows who waits, and `seamesh approve` lets it in."
        }
    };
    serving::print(&format!(
        "{}\n\nOn the new machine, within {minutes} minutes: seamesh pair CODE --registry {}\n{approval}",
        made.code,
        args.access.url(),
    ))
}

fn status_name(status: PairingStatus) -> &'static str {
    match status {
        PairingStatus::PendingApproval => "pending",
        PairingStatus::Approved => "approved",
        PairingStatus::Rejected => "rejected",
        PairingStatus::Revoked => "revoked",
    }
}

/// Lists who asked to join.
///
/// # Errors
/// As the registry answers.
pub(crate) async fn newcomers(args: NewcomersArgs) -> Result<()> {
    let all = args.access.registry()?.newcomers().await?;
    if args.json {
        return serving::print(&serde_json::to_string(&all)?);
    }
    let row = |entry: &OnboardingEntry| {
        [
            entry.id.clone(),
            status_name(entry.status).to_owned(),
            entry.peer_id.to_string(),
            entry
                .key
                .map_or_else(|| "none".to_owned(), |key| key.short()),
            // A name is whatever the newcomer says it is.
            entry.agent_name.escape_debug().to_string(),
        ]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    serving::print(&table(["ID", "STATUS", "PEER", "KEY", "NAME"], &rows))
}

/// Lets a newcomer in.
///
/// # Errors
/// As the registry answers, or why the root key cannot be used.
pub(crate) async fn approve(args: ApproveArgs) -> Result<()> {
    let registry = args.access.registry()?;
    let approved = match &args.root_key {
        None => registry.approve(&args.id).await?,
        Some(path) => {
            let root = read_seed(path)?;
            let all = registry.newcomers().await?;
            let entry = all.into_iter().find(|entry| entry.id == args.id);
            let entry = entry.context("no such newcomer; `seamesh newcomers` lists them")?;
            let Some(key) = entry.key else {
                bail!("this newcomer has no identity key to sign: approve it without --root-key");
            };
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
            let serial = u64::try_from(now.as_millis())?;
            let certificate = root.certify(&entry.peer_id, key, serial);
            registry
                .approve_with(&args.id, &CertifyBody { certificate })
                .await?
        }
    };
    if args.json {
        return serving::print(&serde_json::to_string(&approved)?);
    }
    serving::print(&format!("approved {}: it is {}", args.id, approved.peer_id))?;
    match approved.device_token {
        Some(token) => serving::print(&format!(
            "{token}\n\nThat is its device token. It is not shown again."
        )),
        None => Ok(()),
    }
}

/// Refuses a newcomer.
///
/// # Errors
/// As the registry answers.
pub(crate) async fn reject(args: DecideArgs) -> Result<()> {
    args.access.registry()?.reject(&args.id).await?;
    serving::done(args.json, "rejected", "id", &args.id)
}

/// Ends an agent's access.
///
/// # Errors
/// As the registry answers.
pub(crate) async fn revoke(args: DecideArgs) -> Result<()> {
    args.access.registry()?.revoke(&args.id).await?;
    serving::done(args.json, "revoked", "id", &args.id)
}

/// Makes a root key.
///
/// # Errors
/// When the file cannot be made, or is there already.
pub(crate) fn root_key(args: RootKeyArgs) -> Result<()> {
    let key = SecretKey::generate()?;
    let mut options = std::fs::OpenOptions::new();
    let opened = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.file);
    let mut file = opened.with_context(|| args.file.display().to_string())?;
    writeln!(file, "{}", key.seed_text())?;
    file.sync_all()?;
    let public = key.public().to_string();
    match args.json {
        true => serving::print(&serde_json::json!({ "public": public }).to_string()),
        false => serving::print(&public),
    }
}

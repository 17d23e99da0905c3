//! `seamesh keys` and `seamesh login`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use seamesh_proto::PeerId;
use seamesh_proto::rest::{KeyAnswer, KeyBody, Role, RotateBody};

use crate::access::Access;
use crate::serving;
use crate::table::table;

/// Options of `seamesh keys`.
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make an API key. Its secret is printed this once.
    Create(CreateArgs),
    /// List the keys, without their secrets.
    List(ListArgs),
    /// Make a key in another's place; the old one goes on for a while.
    Rotate(RotateArgs),
    /// Revoke a key and close what it opened.
    Revoke(RevokeArgs),
    /// Read the registry's key file again: keys that are no longer in it are revoked.
    Reload(ReloadArgs),
    /// Sign tokens with a new key; tokens of the old one are taken until they expire, within six minutes.
    RotateSigning(ReloadArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    #[command(flatten)]
    access: Access,
    /// Whom the key names: a sidecar's peer id, or a person.
    peer_id: PeerId,
    /// What it may do: agent, viewer, operator or admin.
    #[arg(long, default_value = "agent", value_parser = role)]
    role: Role,
    /// Print key and names as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    access: Access,
    /// Print the keys as one JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RotateArgs {
    #[command(flatten)]
    access: Access,
    /// The key's id, as `seamesh keys list` shows it.
    key_id: String,
    /// Minutes the old key goes on, 0 to 43200 [default: a day].
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(0..=43_200))]
    overlap: Option<u64>,
    /// Print key and names as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ReloadArgs {
    #[command(flatten)]
    access: Access,
    /// Print what changed as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    #[command(flatten)]
    access: Access,
    /// The key's id, as `seamesh keys list` shows it.
    key_id: String,
    /// Print one JSON object with its `key_id`.
    #[arg(long)]
    json: bool,
}

/// Options of `seamesh login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    access: Access,
    /// Print the link as one JSON object.
    #[arg(long)]
    json: bool,
}

fn role(text: &str) -> Result<Role, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "a role is agent, viewer, operator or admin".to_owned())
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Agent => "agent",
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

/// Makes, lists, rotates or revokes keys.
///
/// # Errors
/// As the registry answers.
pub(crate) async fn run(args: KeysArgs) -> Result<()> {
    match args.command {
        KeysCommand::Create(args) => create(args).await,
        KeysCommand::List(args) => list(args).await,
        KeysCommand::Rotate(args) => rotate(args).await,
        KeysCommand::Reload(args) => reload(args).await,
        KeysCommand::RotateSigning(args) => {
            args.access.registry()?.rotate_signing().await?;
            match args.json {
                true => serving::print("{}"),
                false => serving::print("tokens are signed with a new key"),
            }
        }
        KeysCommand::Revoke(args) => {
            if args.key_id.is_empty() {
                bail!("which key? `seamesh keys list` shows their ids");
            }
            args.access.registry()?.revoke_key(&args.key_id).await?;
            serving::done(args.json, "revoked", "key_id", &args.key_id)
        }
    }
}

async fn create(args: CreateArgs) -> Result<()> {
    let body = KeyBody {
        peer_id: args.peer_id,
        role: args.role,
    };
    let made = args.access.registry()?.create_key(&body).await?;
    print_made(&made, args.json)
}

async fn rotate(args: RotateArgs) -> Result<()> {
    let overlap_s = args.overlap.map(|minutes| minutes * 60);
    let registry = args.access.registry()?;
    let body = RotateBody { overlap_s };
    let made = registry.rotate_key(&args.key_id, &body).await?;
    print_made(&made, args.json)
}

async fn reload(args: ReloadArgs) -> Result<()> {
    let change = args.access.registry()?.reload_keys().await?;
    if args.json {
        return serving::print(&serde_json::to_string(&change)?);
    }
    for key_id in &change.added {
        serving::print(&format!("added {key_id}"))?;
    }
    for key_id in &change.revoked {
        serving::print(&format!("revoked {key_id}"))?;
    }
    if change.added.is_empty() && change.revoked.is_empty() {
        serving::print("the key file says nothing new")?;
    }
    Ok(())
}

fn print_made(made: &KeyAnswer, json: bool) -> Result<()> {
    if json {
        return serving::print(&serde_json::to_string(made)?);
    }
    serving::print(&format!(
        "{}\n\nThat is the key {} for {} ({}). It is not shown again.",
        made.api_key,
        made.key_id,
        made.peer_id,
        role_name(made.role)
    ))
}

async fn list(args: ListArgs) -> Result<()> {
    let keys = args.access.registry()?.keys().await?;
    if args.json {
        return serving::print(&serde_json::to_string(&keys)?);
    }
    let row = |key: &seamesh_proto::rest::KeyRecord| {
        [
            key.key_id.clone(),
            role_name(key.role).to_owned(),
            key.peer_id.to_string(),
            key.expires_ms.map_or_else(String::new, until),
        ]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    serving::print(&table(["KEY", "ROLE", "NAMES", "ENDS"], &rows))
}

/// A time of the registry's as people read it.
fn until(ms: u64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let left = Duration::from_millis(ms).saturating_sub(now);
    format!("in {} min", left.as_secs().div_ceil(60))
}

/// Prints a one-time link to the dashboard.
///
/// # Errors
/// As the registry answers.
pub(crate) async fn login(args: LoginArgs) -> Result<()> {
    let (link, expires_in) = args.access.registry()?.login_link().await?;
    if args.json {
        let link = serde_json::json!({ "hub_url": link, "expires_in": expires_in });
        return serving::print(&link.to_string());
    }
    let minutes = expires_in / 60;
    serving::print(&format!(
        "{link}\n\nThe link works once, within {minutes} minutes."
    ))
}

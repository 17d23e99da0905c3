//! `seamesh keys` and `seamesh login`.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use seamesh_proto::PeerId;
use seamesh_proto::rest::{KeyBody, Role};

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
    /// Revoke a key and close what it opened.
    Revoke(RevokeArgs),
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
struct RevokeArgs {
    #[command(flatten)]
    access: Access,
    /// The key's id, as `seamesh keys list` shows it.
    key_id: String,
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

/// Makes, lists or revokes keys.
///
/// # Errors
/// As the registry answers.
pub(crate) async fn run(args: KeysArgs) -> Result<()> {
    match args.command {
        KeysCommand::Create(args) => create(args).await,
        KeysCommand::List(args) => list(args).await,
        KeysCommand::Revoke(args) => {
            if args.key_id.is_empty() {
                bail!("which key? `seamesh keys list` shows their ids");
            }
            args.access.registry()?.revoke_key(&args.key_id).await?;
            serving::print(&format!("revoked {}", args.key_id))
        }
    }
}

async fn create(args: CreateArgs) -> Result<()> {
    let body = KeyBody {
        peer_id: args.peer_id,
        role: args.role,
    };
    let made = args.access.registry()?.create_key(&body).await?;
    if args.json {
        return serving::print(&serde_json::to_string(&made)?);
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
        ]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    serving::print(&table(["KEY", "ROLE", "NAMES"], &rows))
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

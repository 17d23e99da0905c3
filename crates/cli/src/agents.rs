//! `seamesh agents`.

use anyhow::Result;
use clap::Args;
use seamesh_proto::{AgentRecord, Health};

use crate::access::Access;
use crate::serving;
use crate::table::{plain, table};

/// Options of `seamesh agents`.
#[derive(Debug, Args)]
pub(crate) struct AgentsArgs {
    #[command(flatten)]
    access: Access,
    /// Print the records as one JSON array.
    #[arg(long)]
    json: bool,
}

/// Prints every agent.
///
/// # Errors
/// As the registry answers.
pub(crate) async fn run(args: AgentsArgs) -> Result<()> {
    let agents = args.access.registry()?.agents().await?;
    if args.json {
        return serving::print(&serde_json::to_string(&agents)?);
    }
    if agents.is_empty() {
        return serving::print("No agents yet. `seamesh init` makes one, `seamesh run` starts it.");
    }
    let rows: Vec<_> = agents.iter().map(row).collect();
    serving::print(&table(
        ["AGENT", "HEALTH", "TASKS", "SIDECAR", "SKILLS"],
        &rows,
    ))
}

fn row(agent: &AgentRecord) -> [String; 5] {
    let health = match agent.health {
        Health::Active => "active",
        Health::Stale => "stale",
        Health::Offline => "offline",
    };
    let skills = match agent.info.skills.is_empty() {
        true => agent.info.capabilities.skills.join(", "),
        false => {
            let names: Vec<_> = agent.info.skills.iter().map(|s| s.name.as_str()).collect();
            names.join(", ")
        }
    };
    [
        agent.info.agent_id.to_string(),
        health.to_owned(),
        agent.tasks_in_flight.to_string(),
        plain(&agent.info.sidecar_peer_id, 40),
        plain(&skills, 100),
    ]
}

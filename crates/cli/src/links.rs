//! `seamesh links`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;

use crate::access::Access;
use crate::serving;
use crate::table::{plain, table};

/// Options of `seamesh links`.
#[derive(Debug, Args)]
pub(crate) struct LinksArgs {
    #[command(flatten)]
    access: Access,
    /// Print the links as one JSON array: `from_peer`, `to_peer`, and `identified` when both ends checked each other,
    /// and `relayed` when it passes a TURN server.
    #[arg(long)]
    json: bool,
}

/// Prints every open link, as the sidecars report them.
///
/// # Errors
/// As the registry answers.
pub(crate) async fn run(args: LinksArgs) -> Result<()> {
    let topology = args.access.registry()?.topology().await?;
    let links = &topology.mesh_edges;
    if args.json {
        return serving::print(&serde_json::to_string(links)?);
    }
    if links.is_empty() {
        return serving::print("No links: they open between the sidecars of agents that run.");
    }
    let nodes = topology.nodes.iter();
    let agents: BTreeMap<_, _> = nodes
        .map(|node| (node.sidecar_peer_id.as_str(), node.agent_id.as_str()))
        .collect();
    let agent = |peer: &str| plain(agents.get(peer).unwrap_or(&"-"), 40);
    let rows: Vec<_> = links
        .iter()
        .map(|link| {
            let (from, to) = (link.from_peer.as_str(), link.to_peer.as_str());
            let identified = if link.identified { "yes" } else { "no" };
            let way = if link.relayed { "relay" } else { "direct" };
            [
                agent(from),
                agent(to),
                from.to_owned(),
                to.to_owned(),
                identified.to_owned(),
                way.to_owned(),
            ]
        })
        .collect();
    let heads = ["AGENT", "AGENT", "SIDECAR", "SIDECAR", "IDENTIFIED", "WAY"];
    serving::print(&table(heads, &rows))
}

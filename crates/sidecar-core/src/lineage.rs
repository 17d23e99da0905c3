//! The place of a new task in its delegation tree: under the task whose handler asks for it.

use seamesh_proto::chain::{Hop, too_deep, too_many};
use seamesh_proto::ipc::Request;
use seamesh_proto::limits::{MAX_CHILDREN, MAX_DEPTH};
use seamesh_proto::task::Lineage;
use seamesh_proto::{AgentId, Problem};

use crate::run::Run;

/// The place of what the handler of `parent`, run by `agent`, asks for.
///
/// # Errors
/// `depth_exceeded`, with the chain, and `fan_out_exceeded`.
pub(crate) fn child_of(
    parent: &Run,
    agent: &AgentId,
    request: &Request,
) -> Result<Lineage, Problem> {
    let (id, skill) = (&parent.event.task_id, &parent.event.skill);
    if parent.children >= MAX_CHILDREN {
        return Err(too_many(id, skill));
    }
    let own = &parent.event.lineage;
    let mut chain = own.chain.clone();
    chain.push(Hop {
        agent_id: agent.clone(),
        skill: skill.clone(),
    });
    let hops = u32::try_from(chain.len()).unwrap_or(u32::MAX);
    let depth = own.depth.saturating_add(1).max(hops);
    if depth > MAX_DEPTH {
        return Err(too_deep(&chain, request.to.as_ref(), &request.skill));
    }
    Ok(Lineage {
        parent_id: Some(id.clone()),
        root_id: Some(own.root_id.clone().unwrap_or_else(|| id.clone())),
        depth,
        chain,
        traceparent: request.traceparent.or(parent.event.run_traceparent),
    })
}

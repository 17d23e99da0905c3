//! Agents: register, find, beat.

use seamesh_proto::agent::AgentInfo;
use seamesh_proto::rest::{HeartbeatBody, Ok as Done, Role, RouteQuery};
use seamesh_proto::{AgentId, Code};
use seamesh_registry_core::{Op, Reply};

use super::call::{Answer, Call, json};
use super::problem::Failure;
use crate::audit::Action;

pub(super) async fn register(call: Call) -> Answer {
    let info: AgentInfo = call.json()?;
    call.ask(Op::RegisterAgent(Box::new(info))).await?;
    Ok(json(&Done::default()))
}

pub(super) async fn list(call: Call) -> Answer {
    match call.ask(Op::ListAgents).await? {
        Reply::Agents(agents) => Ok(json(&agents)),
        other => Err(Failure::unexpected(&other)),
    }
}

pub(super) async fn get(call: Call) -> Answer {
    let id = agent_id(&call)?;
    agent(call.ask(Op::GetAgent(id)).await?)
}

pub(super) async fn remove(call: Call) -> Answer {
    let id = agent_id(&call)?;
    let entry = call.entry(Action::AgentRemoved, id.as_str(), "");
    match entry.role {
        // Its own record: no decision about somebody else.
        Some(Role::Agent) => call.ask(Op::RemoveAgent(id)).await?,
        _ => call.decide(Op::RemoveAgent(id), entry).await?,
    };
    Ok(json(&Done::default()))
}

pub(super) async fn route(call: Call) -> Answer {
    let RouteQuery { skill } = call.query()?;
    agent(call.ask(Op::RouteSkill(skill)).await?)
}

pub(super) async fn heartbeat(call: Call) -> Answer {
    let body: HeartbeatBody = call.json()?;
    match call.ask(Op::Heartbeat(Box::new(body))).await? {
        Reply::Heartbeat(answer) => Ok(json(&answer)),
        other => Err(Failure::unexpected(&other)),
    }
}

fn agent_id(call: &Call) -> Result<AgentId, Failure> {
    call.id("agent_id", Code::AgentUnknown)
}

fn agent(reply: Reply) -> Answer {
    match reply {
        Reply::Agent(agent) => Ok(json(&agent)),
        other => Err(Failure::unexpected(&other)),
    }
}

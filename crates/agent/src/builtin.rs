//! Built-in skills: what an agent can be asked to do in the mesh on somebody's behalf. The Python SDK has the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemars::JsonSchema;
use seamesh_proto::ipc::Via;
use seamesh_proto::{AgentRecord, Code, Health};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ctx::Ctx;
use crate::error::{MeshError, SkillError};
use crate::prompt::{Told, ToldAll};
use crate::skill::{PromptHandler, Skill};
use crate::words::PROMPT;

/// The skill by which a person speaks to an agent.
const INTERVENTION: &str = "user_intervention";

/// The built-in skills.
pub const BUILTIN: [&str; 6] = [
    "list_agents",
    "find_agent",
    "delegate",
    "mesh_send",
    "mesh_broadcast",
    INTERVENTION,
];

/// The built-in skill of a name. `prompt`: what the agent reads prompts with.
pub(crate) fn skill(name: &str, prompt: Option<&Arc<PromptHandler>>) -> Option<Skill> {
    Some(match name {
        "list_agents" => Skill::new(name, list_agents),
        "find_agent" => Skill::new(name, find_agent),
        "delegate" => Skill::new(name, delegate),
        "mesh_send" => Skill::new(name, mesh_send),
        "mesh_broadcast" => Skill::new(name, mesh_broadcast),
        INTERVENTION => {
            let text = "Takes a person's word, and gives the agent's answer.";
            let refuse = || -> Arc<PromptHandler> {
                Arc::new(|ctx: Ctx, _| Box::pin(async move { Err(reads_none(&ctx)) }))
            };
            Skill::of_prompts(name, text, prompt.cloned().unwrap_or_else(refuse))
        }
        _ => return None,
    })
}

fn reads_none(ctx: &Ctx) -> SkillError {
    let name = ctx.agent_id();
    let text = format!("agent {name} reads no prompts: it needs an on_prompt");
    SkillError::with_code(Code::NobodyAnswers, text)
}

/// An agent, as `list_agents` and `find_agent` tell of it.
#[derive(Serialize)]
struct Summary {
    agent_id: String,
    description: String,
    health: Health,
    skills: BTreeSet<String>,
    linked: bool,
}

fn summary(ctx: &Ctx, agent: AgentRecord) -> Summary {
    let linked = ctx.link_to(&agent).is_some();
    let info = agent.info;
    let described = info.skills.into_iter().map(|skill| skill.name);
    Summary {
        agent_id: info.agent_id.to_string(),
        description: info.description,
        health: agent.health,
        skills: described.chain(info.capabilities.skills).collect(),
        linked,
    }
}

/// Lists the agents of the mesh, by name.
#[derive(Deserialize, JsonSchema)]
struct ListAgents {
    /// Only those that offer it; empty: all.
    #[serde(default)]
    skill: String,
}

async fn list_agents(ctx: Ctx, args: ListAgents) -> Result<Vec<Summary>, SkillError> {
    let mut agents = ctx.agents().await.map_err(coded)?;
    agents.retain(|agent| args.skill.is_empty() || agent.info.offers(&args.skill));
    Ok(agents
        .into_iter()
        .map(|agent| summary(&ctx, agent))
        .collect())
}

/// Finds the agent to ask for a skill: healthy, with the fewest tasks.
#[derive(Deserialize, JsonSchema)]
struct FindAgent {
    /// The skill it must offer.
    skill: String,
}

async fn find_agent(ctx: Ctx, args: FindAgent) -> Result<Summary, SkillError> {
    let found = ctx.find(&args.skill).await.map_err(coded)?;
    Ok(summary(&ctx, found))
}

/// Hands work to another agent: directly when it is linked, else through the queue. Gives its result, or without waiting
/// {"task_id": …}.
#[derive(Deserialize, JsonSchema)]
struct Delegate {
    /// What to do, in words; the skill gets it as its argument `message`.
    #[serde(default)]
    message: String,
    /// The agent to ask; empty: any that offers the skill.
    #[serde(default)]
    target_agent_id: String,
    /// The skill to run; empty: the agent reads the message as a prompt.
    #[serde(default)]
    skill: String,
    /// The skill's arguments, in place of the message.
    #[serde(default)]
    arguments: Option<Value>,
    /// Whether to wait for the result.
    #[serde(default = "yes")]
    wait: bool,
}

fn yes() -> bool {
    true
}

async fn delegate(ctx: Ctx, args: Delegate) -> Result<Value, SkillError> {
    if args.skill.is_empty() && args.target_agent_id.is_empty() {
        let text = "delegate: name a skill, an agent, or both";
        return Err(SkillError::with_code(Code::BadArguments, text));
    }
    let payload = args.arguments;
    let payload = payload.unwrap_or_else(|| json!({ "message": args.message }));
    let skill = match args.skill.as_str() {
        "" => PROMPT,
        named => named,
    };
    let mut work = ctx.delegate(skill, payload).via(Via::Auto);
    if !args.target_agent_id.is_empty() {
        work = work.to(&args.target_agent_id);
    }
    match args.wait {
        true => work.await.map_err(coded),
        false => Ok(json!({ "task_id": work.submit().await.map_err(coded)? })),
    }
}

/// Says something to an agent: over the link to it, or through the queue. Gives {"path": …}, and for the queue the task's
/// id.
#[derive(Deserialize, JsonSchema)]
struct MeshSend {
    /// The agent.
    target_agent_id: String,
    /// The text.
    message: String,
}

async fn mesh_send(ctx: Ctx, args: MeshSend) -> Result<Told, SkillError> {
    let told = ctx.tell(&args.target_agent_id, &args.message).await;
    told.map_err(coded)
}

/// Says something to every agent that reads messages: over links where there are, else through the queue. Gives who got
/// it by which path, and who reads none.
#[derive(Deserialize, JsonSchema)]
struct MeshBroadcast {
    /// The text.
    message: String,
}

async fn mesh_broadcast(ctx: Ctx, args: MeshBroadcast) -> Result<ToldAll, SkillError> {
    ctx.tell_all(&args.message).await.map_err(coded)
}

/// The asker sees the mesh's own code, not that a skill failed.
fn coded(error: MeshError) -> SkillError {
    SkillError::with_code(error.code, error.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_skill_is_there_and_described() {
        for name in BUILTIN {
            let skill = skill(name, None).unwrap();
            assert!(!skill.info.description.is_empty(), "{name}");
            assert!(skill.info.input_schema.is_some(), "{name}");
        }
        assert!(skill("no_such", None).is_none());
    }
}

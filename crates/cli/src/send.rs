//! `seamesh send`: a person's word to an agent.

use anyhow::{Result, bail};
use clap::Args;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{AgentId, Payload};
use serde_json::{Value, json};

use crate::access::Access;
use crate::call::{ended, result};
use crate::serving;

/// The skill of agents that read prompts.
const PROMPT: &str = "agent_prompt";

/// Options of `seamesh send`.
#[derive(Debug, Args)]
#[command(after_help = "Prints the answer: text as it is, anything \
    else as JSON; nothing when the agent only reads. Exit code 5: it ended without an answer.")]
pub(crate) struct SendArgs {
    #[command(flatten)]
    access: Access,
    /// The agent.
    agent: AgentId,
    /// What to say.
    message: String,
    /// Seconds until the answer is given up.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Print the task's id as soon as it is in the queue, and do not wait.
    #[arg(long)]
    no_wait: bool,
    /// Print the whole task as one JSON object instead of the answer.
    #[arg(long)]
    json: bool,
}

/// Puts the message into the agent's queue and waits for its answer.
///
/// # Errors
/// When the agent is unknown or reads no messages; [`TaskFailed`](crate::exit::TaskFailed); as the registry answers.
pub(crate) async fn run(args: SendArgs) -> Result<()> {
    let registry = args.access.registry()?;
    let agent = registry.agent(&args.agent).await?;
    if !agent.info.offers(PROMPT) {
        bail!(
            "agent {} reads no messages: it needs an `on_prompt` or `on_message` handler. Its skills are run with \
             `seamesh call SKILL JSON --to {0}`",
            args.agent
        );
    }
    let task = SubmitTask {
        skill: PROMPT.to_owned(),
        target_agent_id: args.agent.to_string(),
        payload: Payload::new(json!({ "message": args.message })),
        ttl: args.timeout,
        ..SubmitTask::default()
    };
    let id = registry.submit(&task).await?;
    if args.no_wait {
        return serving::print(&match args.json {
            true => json!({ "id": id }).to_string(),
            false => id.to_string(),
        });
    }
    let task = ended(&registry, &id, args.timeout).await?;
    if args.json {
        serving::print(&serde_json::to_string(&task)?)?;
    }
    match result(&task)? {
        _ if args.json => Ok(()),
        Value::Null => Ok(()),
        Value::String(text) => serving::print(text),
        other => serving::print(&serde_json::to_string_pretty(other)?),
    }
}

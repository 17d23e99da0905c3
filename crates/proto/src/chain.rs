//! Who ran what on the way from the root of a delegation tree to a task, and the error of a chain that is too long.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, TaskId};
use crate::limits::{MAX_CHILDREN, MAX_DEPTH};
use crate::problem::{Code, Problem};

/// Longest text of a chain, in bytes: a usual one is shown whole, and one of the longest names fits a log line.
const MAX_CHAIN_TEXT_BYTES: usize = 2_048;

/// Hops that are shown at either end of a chain whose text would be too long.
const SHOWN_HOPS: usize = 3;

/// One hop of a delegation chain: an agent that runs a skill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// The agent.
    pub agent_id: AgentId,
    /// The skill, at most [`MAX_SKILL_BYTES`](crate::limits::MAX_SKILL_BYTES).
    pub skill: String,
}

impl std::fmt::Display for Hop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.agent_id, self.skill)
    }
}

/// The error (`depth_exceeded`) of a request for `skill`, of the agent `to` or of any, from the end of `chain`: it names
/// every hop, so that a loop is seen.
pub fn too_deep(chain: &[Hop], to: Option<&AgentId>, skill: &str) -> Problem {
    let next = to.map_or_else(|| skill.to_owned(), |to| format!("{to}.{skill}"));
    let text = |hops: &[Hop]| {
        hops.iter()
            .map(|hop| format!("{hop} -> "))
            .collect::<String>()
    };
    let mut shown = text(chain);
    if shown.len() > MAX_CHAIN_TEXT_BYTES {
        let (first, last) = (&chain[..SHOWN_HOPS], &chain[chain.len() - SHOWN_HOPS..]);
        shown = format!("{}… -> {}", text(first), text(last));
    }
    let detail =
        format!("a chain of delegations has at most {MAX_DEPTH} hops; this one is {shown}{next}");
    Problem::new(Code::DepthExceeded, detail)
}

/// The error (`fan_out_exceeded`) of one more request of a task that has asked for as many as it may.
pub fn too_many(parent: &TaskId, skill: &str) -> Problem {
    let detail = format!(
        "task {parent} ({skill}) has asked for {MAX_CHILDREN} others, and no task asks for more: split the work into a \
         tree of tasks"
    );
    Problem::new(Code::FanOutExceeded, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(agent: &str, skill: &str) -> Hop {
        let agent_id = agent.parse().unwrap();
        let skill = skill.to_owned();
        Hop { agent_id, skill }
    }

    #[test]
    fn a_loop_is_seen_in_the_text() {
        let chain = [hop("a", "plan"), hop("b", "check"), hop("a", "plan")];
        let problem = too_deep(&chain, None, "check");
        assert_eq!(problem.code, Code::DepthExceeded);
        let seen = "a.plan -> b.check -> a.plan -> check";
        assert!(problem.detail.ends_with(seen), "{}", problem.detail);
    }

    #[test]
    fn a_chain_of_the_longest_names_is_shown_by_its_ends() {
        let long = "n".repeat(128);
        let mut chain = vec![hop(&long, &long); 16];
        chain[0] = hop("root", "first");
        let detail = too_deep(&chain, None, &long).detail;
        assert!(detail.contains("root.first -> "), "{detail}");
        assert!(detail.contains(" -> … -> "), "{detail}");
        assert!(detail.len() < 2 * MAX_CHAIN_TEXT_BYTES, "{}", detail.len());
    }
}

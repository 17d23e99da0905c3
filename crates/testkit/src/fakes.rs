//! Peers that a test does not want to start.

use std::sync::Arc;

use seamesh_agent::{Agent, Ctx, SkillError};
use serde_json::Value;

type Function = dyn Fn(&Value) -> Result<Value, SkillError> + Send + Sync;

/// What a fake agent's skill answers, whatever its arguments.
#[derive(Clone)]
pub struct Answer(Arc<Function>);

impl Answer {
    /// What a function of the arguments says.
    pub fn with(
        function: impl Fn(&Value) -> Result<Value, SkillError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(function))
    }
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::with(move |_| Ok(value.clone()))
    }
}

impl From<SkillError> for Answer {
    fn from(error: SkillError) -> Self {
        Self::with(move |_| Err(error.clone()))
    }
}

/// The agent.
pub(crate) fn fake(name: &str, skills: &[(String, Answer)]) -> Agent {
    let agent = Agent::new(name).describe("A fake agent of a test.");
    skills.iter().fold(agent, |agent, (skill, answer)| {
        let answer = answer.clone();
        let handler = move |_: Ctx, args: Value| {
            let given = (answer.0)(&args);
            async move { given }
        };
        agent.skill(skill, handler).describe_skill("A fake.")
    })
}

//! Who may ask our agent directly: a skill may name its callers. (What comes through the queue the registry has checked.)

use seamesh_proto::agent::not_allowed;
use seamesh_proto::limits::MAX_DEPTH;
use seamesh_proto::{AgentProfile, Code, Outcome, PeerId, Problem, SkillInfo};

use crate::Sidecar;
use crate::run::Incoming;

impl Sidecar {
    /// Why work that came over the link with `peer` is not taken; `None`: it is.
    pub(crate) fn refusal(&self, peer: &PeerId, incoming: &Incoming) -> Option<Outcome> {
        if incoming.lineage.chain.len() > MAX_DEPTH as usize {
            let detail = format!("task.chain has at most {MAX_DEPTH} hops");
            return Some(Outcome::failed(Code::BadField, detail));
        }
        let profile = self.session.agent.as_ref()?;
        let skill = closed_skill(profile, &incoming.skill)?;
        self.check_caller(profile, skill, peer, &incoming.from_agent)
            .err()
            .map(|problem| Outcome::failed(problem.code, problem.detail))
    }

    /// The caller has to be on the list, and to be the agent behind that peer: its name alone proves nothing.
    fn check_caller(
        &self,
        profile: &AgentProfile,
        skill: &SkillInfo,
        peer: &PeerId,
        caller: &str,
    ) -> Result<(), Problem> {
        let refused = || not_allowed(Some(&profile.agent_id), &skill.name, caller);
        if !skill.allows(caller) {
            return Err(refused());
        }
        match self.directory.peer_of(caller) {
            Some(behind) if behind == peer.as_str() => Ok(()),
            Some(_) => Err(refused()),
            // It came to the mesh a moment ago. The registry knows it: through the queue it may ask.
            None => {
                let detail = format!("agent {caller} is not known here yet; ask again");
                Err(Problem::new(Code::AgentAway, detail))
            }
        }
    }
}

/// The skill, if it names its callers.
fn closed_skill<'a>(profile: &'a AgentProfile, name: &str) -> Option<&'a SkillInfo> {
    let mut named = profile.skills.iter().filter(|skill| skill.name == name);
    named.find(|skill| skill.callers.is_some())
}

//! The client of the IPC socket: one at a time, of either dialect, that may go and come back.

use seamesh_proto::AgentProfile;
use seamesh_proto::limits::{MAX_CALLERS, MAX_SKILL_BYTES, MAX_SKILLS};
use seamesh_proto::{Code, Problem};

use crate::ClientId;
use crate::work::Agent;

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Dialect {
    /// Not known yet.
    #[default]
    Unknown,
    /// The old dialect: nothing is interpreted for it.
    Old,
    /// It said `hello`.
    Native,
}

/// The client and the agent it is.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) client: Option<ClientId>,
    /// Of the client, or of the last one.
    pub(crate) dialect: Dialect,
    /// The agent that said `hello` and neither `goodbye` nor stayed away for too long.
    pub(crate) agent: Option<AgentProfile>,
    /// The client said `hello`, and not `goodbye`.
    pub(crate) is_greeted: bool,
    /// The agent was told that its name is another's.
    pub(crate) is_disowned: bool,
    /// The client's outbound queue is over its limit.
    pub(crate) is_blocked: bool,
}

impl Session {
    /// Whether messages on links are passed on as they are, whatever they say.
    pub(crate) fn is_old(&self) -> bool {
        self.dialect == Dialect::Old
    }

    /// Whether the agent is there to work.
    pub(crate) fn presence(&self) -> Agent<'_> {
        match &self.agent {
            Some(profile) if self.is_greeted => Agent::Here(profile),
            Some(profile) => Agent::Returning(profile),
            None => Agent::Away,
        }
    }
}

/// Checks what an agent says of itself.
///
/// # Errors
/// `bad_field` or `too_large`, naming the field.
pub(crate) fn check_profile(profile: &AgentProfile) -> Result<(), Problem> {
    if profile.skills.len() > MAX_SKILLS {
        let detail = format!("agent.skills: at most {MAX_SKILLS} skills");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    for skill in &profile.skills {
        check_skill("agent.skills", &skill.name)?;
        if skill
            .callers
            .as_ref()
            .is_some_and(|c| c.len() > MAX_CALLERS)
        {
            let detail = format!("agent.skills: a skill names at most {MAX_CALLERS} callers");
            return Err(Problem::new(Code::TooLarge, detail));
        }
    }
    Ok(())
}

/// Checks a skill's name.
///
/// # Errors
/// `bad_field` or `too_large`, naming the field.
pub(crate) fn check_skill(field: &str, name: &str) -> Result<(), Problem> {
    if name.is_empty() {
        let detail = format!("{field}: a skill needs a name");
        return Err(Problem::new(Code::BadField, detail));
    }
    if name.len() > MAX_SKILL_BYTES {
        let detail = format!("{field}: a skill's name has at most {MAX_SKILL_BYTES} bytes");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    Ok(())
}

//! What goes wrong, with its stable code.

use seamesh_proto::{Code, Fault, IdError, Problem, Retry, TaskError};

/// Why a skill could not do its work. Any error becomes one with `?`, under the code `skill_failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillError {
    /// The stable code the asker sees.
    pub code: Code,
    /// What happened, for a person.
    pub message: String,
}

impl SkillError {
    /// A failure of the skill itself (`skill_failed`).
    pub fn new(message: impl Into<String>) -> Self {
        Self::with_code(Code::SkillFailed, message)
    }

    /// A failure under another code, such as `bad_arguments`.
    pub fn with_code(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

// Not `std::error::Error` itself, so that every type that is one converts.
impl<E: std::error::Error> From<E> for SkillError {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// Why the mesh, or the agent that was asked, did not do what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct MeshError {
    /// The stable code.
    pub code: Code,
    /// What happened, for a person.
    pub message: String,
    /// Who has to change something.
    pub fault: Fault,
    /// Whether the same call may succeed later.
    pub retry: Retry,
}

impl MeshError {
    /// An error with its code's fault and retry advice.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            fault: code.fault(),
            retry: code.retry(),
        }
    }
}

impl From<TaskError> for MeshError {
    fn from(error: TaskError) -> Self {
        Self::new(error.code, error.message)
    }
}

impl From<Problem> for MeshError {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code,
            message: problem.detail,
            fault: problem.fault,
            retry: problem.retry,
        }
    }
}

/// Why an agent does not serve at all.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its name, or that of a skill's caller, is no id.
    #[error("{name:?} is no agent id: {error}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        error: IdError,
    },
    /// A skill's name is empty or too long.
    #[error("{0:?} is no skill name: it has 1 to {max} bytes", max = seamesh_proto::limits::MAX_SKILL_BYTES)]
    BadSkill(String),
    /// Two skills of one name.
    #[error("the agent has two skills called {0:?}")]
    SkillTwice(String),
    /// More skills than an agent may offer.
    #[error("an agent offers at most {max} skills", max = seamesh_proto::limits::MAX_SKILLS)]
    TooManySkills,
    /// A skill names more callers than it may.
    #[error("skill {0:?} names more than {max} callers", max = seamesh_proto::limits::MAX_CALLERS)]
    TooManyCallers(String),
    /// A built-in skill that does not exist.
    #[error("no built-in skill {0:?}; there are: {all}", all = crate::BUILTIN.join(", "))]
    UnknownBuiltin(String),
    /// What the manifest says of the agent cannot be done.
    #[error("{0}")]
    Manifest(String),
    /// No socket is named.
    #[error(
        "no sidecar: start the agent with `seamesh run`, or set SEAMESH_SOCKET to the sidecar's socket"
    )]
    NoSocket,
    /// The runtime lets no signal handler in.
    #[error("cannot listen for SIGTERM: {0}")]
    Signals(std::io::Error),
}

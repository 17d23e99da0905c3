//! What can go wrong between a client and the registry.

use seamesh_proto::{Code, Fault, Problem, Retry};

use crate::url::UrlError;

/// Why a call to the registry did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is wrong.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The registry answered with an error of its own.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The registry was not reached, or the connection broke.
    #[error("cannot reach the registry at {url}: {reason}")]
    Unreachable {
        /// Its address.
        url: String,
        /// What the network says.
        reason: String,
    },
    /// Who answers there is not the registry that is trusted. Nothing was told to it.
    #[error("the registry at {url} is not trusted: {reason}")]
    Untrusted {
        /// Its address.
        url: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// Something answered, but not as a registry does.
    #[error("{url} did not answer like a registry: {reason}")]
    BadAnswer {
        /// The address that answered.
        url: String,
        /// What was wrong with the answer.
        reason: String,
    },
    /// A message is over a limit; it was not sent.
    #[error("a message of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The machine's certificates cannot be used.
    #[error("TLS is not usable here: {0}")]
    Tls(String),
}

impl ClientError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Url(_) => Code::BadField,
            Self::Problem(problem) => problem.code,
            Self::Unreachable { .. } => Code::RegistryUnavailable,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Untrusted { .. } => Code::Unauthorized,
            Self::BadAnswer { .. } | Self::Tls(_) => Code::Internal,
        }
    }

    /// Who has to change something.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Problem(problem) => problem.fault,
            Self::BadAnswer { .. } | Self::Tls(_) => Fault::Caller,
            other => other.code().fault(),
        }
    }

    /// Whether the same call may succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Problem(problem) => problem.retry,
            Self::BadAnswer { .. } | Self::Tls(_) => Retry::Never,
            other => other.code().retry(),
        }
    }

    /// What to do about it, in one sentence.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Url(_) => "Correct the registry's address.",
            Self::Problem(problem) => problem_step(problem.code),
            Self::Unreachable { .. } => {
                "Start the registry (`seamesh registry`) or correct its address (--registry, SEAMESH_REGISTRY)."
            }
            Self::BadAnswer { .. } => {
                "Check that the address is a seamesh registry's, and of the same version."
            }
            Self::TooLarge { .. } => "Send less at once.",
            Self::Untrusted { .. } => {
                "Compare with the fingerprint that the registry printed when it started (--registry-fingerprint), or name \
                 its authority's certificate (SEAMESH_CA_FILE)."
            }
            Self::Tls(_) => {
                "Install the machine's CA certificates (Debian: apt-get install ca-certificates) or set SSL_CERT_FILE."
            }
        }
    }
}

fn problem_step(code: Code) -> &'static str {
    match code {
        Code::Unauthorized => {
            "Give a key the registry knows (--api-key, SEAMESH_API_KEY); `seamesh keys create` makes one."
        }
        Code::Forbidden => "Use a key of a role that may do this; `seamesh keys create` makes one.",
        Code::NoAgent | Code::AgentUnknown | Code::SkillUnknown => {
            "See which agents and skills there are with `seamesh agents`."
        }
        Code::TaskUnknown => "See which tasks there are with `seamesh tasks`.",
        Code::EventsGone => "Load the present state and watch from its number on.",
        Code::Expired | Code::DeadlineExceeded => {
            "Allow more time (--timeout), and see with `seamesh agents` whether the agent is there."
        }
        Code::SkillFailed | Code::BadResult => "See the agent's log.",
        code if code.retry() == Retry::Later => "Try again later.",
        _ => "Correct the request.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_the_fault_and_retry_the_registry_told() {
        let error = ClientError::Problem(Box::new(Problem::new(Code::Overloaded, "full")));
        assert_eq!((error.fault(), error.retry()), (Fault::Mesh, Retry::Later));
        assert_eq!(error.code(), Code::Overloaded);
    }

    #[test]
    fn an_unreachable_registry_is_worth_a_retry_and_says_how_to_start_one() {
        let error = ClientError::Unreachable {
            url: "http://h".into(),
            reason: "refused".into(),
        };
        assert_eq!(error.retry(), Retry::Later);
        assert!(error.next_step().contains("seamesh registry"));
    }

    #[test]
    fn every_code_has_a_next_step() {
        for &code in Code::ALL {
            let error = ClientError::Problem(Box::new(Problem::new(code, "")));
            assert!(error.next_step().ends_with('.'), "{code}");
        }
    }
}

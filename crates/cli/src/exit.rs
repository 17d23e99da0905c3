//! Exit codes, and what is said when something fails. The codes are part of the interface: scripts read them.

use std::io::{self, Write};
use std::process::ExitCode;

use seamesh_client::ClientError;
use seamesh_proto::{Code, TaskError};

/// One exit code.
pub(crate) struct ExitNumber {
    pub(crate) number: u8,
    pub(crate) meaning: &'static str,
    next: &'static str,
}

/// All of them.
pub(crate) const CODES: [ExitNumber; 7] = [
    code_of(0, "done", ""),
    code_of(
        1,
        "it failed; the message says why",
        "what the message says",
    ),
    code_of(2, "the command line is wrong", "`--help`"),
    code_of(
        3,
        "the registry cannot be reached, or is not trusted",
        "start it, or name another with `--registry`; trying again is safe",
    ),
    code_of(
        4,
        "the credential is missing, unknown or not enough",
        "`seamesh keys create`, `seamesh pair`",
    ),
    code_of(
        5,
        "the task ended without a result",
        "`seamesh tasks show ID`, `seamesh tasks retry ID`",
    ),
    code_of(
        6,
        "a process that `run` supervises died again and again",
        "`seamesh logs`",
    ),
];

const fn code_of(number: u8, meaning: &'static str, next: &'static str) -> ExitNumber {
    ExitNumber {
        number,
        meaning,
        next,
    }
}

/// What `--help` says of the exit codes.
pub(crate) fn help() -> String {
    let mut help = "Exit codes:".to_owned();
    for code in &CODES {
        help += &format!("\n  {}  {}", code.number, code.meaning);
        if !code.next.is_empty() {
            help += &format!(": {}", code.next.replace('`', ""));
        }
    }
    help
}

/// The same as rows of a table, for the page about commands.
#[cfg(test)]
pub(crate) fn rows() -> String {
    let row =
        |code: &ExitNumber| format!("| {} | {} | {} |\n", code.number, code.meaning, code.next);
    CODES.iter().map(row).collect()
}

/// A task that ended without a result.
#[derive(Debug, thiserror::Error)]
#[error("the task failed ({code}): {message}", code = .0.code, message = .0.message)]
pub(crate) struct TaskFailed(pub(crate) TaskError);

/// A process that died again and again is not started any more.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct GaveUp(pub(crate) String);

/// The registry does not let the sidecar in.
#[derive(Debug, thiserror::Error)]
#[error("the registry {registry} does not let this agent in: {reason}")]
pub(crate) struct Refused {
    pub(crate) registry: String,
    pub(crate) reason: String,
}

/// Says what failed and what to do next, and chooses the exit code.
pub(crate) fn with(error: &anyhow::Error) -> ExitCode {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "error: {error:#}");
    if let Some(client) = error.downcast_ref::<ClientError>() {
        let _ = writeln!(io::stderr(), "  {}", client.next_step());
    }
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<TaskFailed>() {
        return 5;
    }
    if error.is::<GaveUp>() {
        return 6;
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. } | ClientError::Untrusted { .. }) => 3,
        Some(other) if matches!(other.code(), Code::Unauthorized | Code::Forbidden) => 4,
        _ if error.is::<crate::access::NoCredential>() || error.is::<Refused>() => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;
    use seamesh_proto::Problem;

    #[test]
    fn each_kind_of_failure_has_its_exit_code_also_below_a_context() {
        let unreachable = ClientError::Unreachable {
            url: "http://h".into(),
            reason: "refused".into(),
        };
        let wrapped = Err::<(), _>(unreachable)
            .context("list agents")
            .unwrap_err();
        assert_eq!(code(&wrapped), 3);
        let problem = |code| ClientError::Problem(Box::new(Problem::new(code, "no")));
        assert_eq!(code(&problem(Code::Forbidden).into()), 4);
        assert_eq!(code(&problem(Code::Overloaded).into()), 1);
        let failed = TaskFailed(TaskError::new(Code::Expired, "TTL expired"));
        assert_eq!(code(&failed.into()), 5);
        assert_eq!(code(&GaveUp("it died".to_owned()).into()), 6);
        let refused = Refused {
            registry: "http://h".to_owned(),
            reason: "unknown key".to_owned(),
        };
        assert_eq!(code(&refused.into()), 4);
        assert_eq!(code(&anyhow::anyhow!("anything else")), 1);
    }
}

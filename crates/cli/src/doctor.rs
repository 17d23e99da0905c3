//! `seamesh doctor`: what an agent needs to run here, checked one by one.

mod checks;
mod stun;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::project::ProjectArgs;
use crate::serving;

/// Options of `seamesh doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each check ends with ok, warn or fail, and says what to do next. Exit code 0: none failed; 1: one did.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    project: ProjectArgs,
    /// Print one JSON object: `is_good`, and `checks` with name, verdict, what and next.
    #[arg(long)]
    json: bool,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was seen.
    what: String,
    /// What to do about it; empty when there is nothing to do.
    #[serde(skip_serializing_if = "str::is_empty")]
    next: &'static str,
}

impl Check {
    fn ok(name: &'static str, what: impl Into<String>) -> Self {
        let (verdict, what, next) = (Verdict::Ok, what.into(), "");
        Self {
            name,
            verdict,
            what,
            next,
        }
    }

    fn warn(name: &'static str, what: impl Into<String>, next: &'static str) -> Self {
        let (verdict, what) = (Verdict::Warn, what.into());
        Self {
            name,
            verdict,
            what,
            next,
        }
    }

    fn fail(name: &'static str, what: impl Into<String>, next: &'static str) -> Self {
        let (verdict, what) = (Verdict::Fail, what.into());
        Self {
            name,
            verdict,
            what,
            next,
        }
    }
}

/// Checks everything and prints it.
///
/// # Errors
/// When a check failed.
pub(crate) async fn run(args: DoctorArgs) -> Result<()> {
    let json = args.json;
    let checks = checks::all(&args.project).await;
    let failed = checks
        .iter()
        .filter(|check| check.verdict == Verdict::Fail)
        .count();
    if json {
        serving::print(&json!({"is_good": failed == 0, "checks": checks}).to_string())?;
    } else {
        for check in &checks {
            let verdict = match check.verdict {
                Verdict::Ok => "ok  ",
                Verdict::Warn => "warn",
                Verdict::Fail => "fail",
            };
            serving::print(&format!("{verdict}  {:<9} {}", check.name, check.what))?;
            if !check.next.is_empty() {
                serving::print(&format!("                -> {}", check.next))?;
            }
        }
    }
    match failed {
        0 => Ok(()),
        n => bail!("{n} of {} checks failed", checks.len()),
    }
}

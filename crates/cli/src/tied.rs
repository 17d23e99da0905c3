//! Processes that must not outlive whoever started them: `seamesh tied` for other programs, and the variable
//! `SEAMESH_TIED` for this one, which then costs no second start.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::process::{Pid, Signal};

/// Names the process that this one is tied to, if that is its parent.
pub(crate) const TIED_ENV: &str = "SEAMESH_TIED";

/// The process that adopts orphans.
const INIT: i32 = 1;

/// Ties this process to its parent, when the parent asked for that.
///
/// # Errors
/// When the parent is gone already.
pub(crate) fn by_environment() -> Result<()> {
    let named = std::env::var(TIED_ENV)
        .ok()
        .and_then(|pid| pid.parse::<i32>().ok());
    let Some(parent) = named else { return Ok(()) };
    let actual = rustix::process::getppid().map(Pid::as_raw_pid);
    match actual {
        // Inherited from further up: not ours.
        Some(other) if other != parent && other != INIT => Ok(()),
        _ => tie(parent),
    }
}

/// Has the kernel end this process (SIGKILL) when its parent is gone, however that came about.
fn tie(parent: i32) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // Set before the look: a parent that dies in between is seen here, one that dies later is signaled.
    if rustix::process::getppid() != Pid::from_raw(parent) {
        bail!("the process this one was tied to is gone");
    }
    Ok(())
}

/// Options of `seamesh tied`.
#[derive(Debug, Args)]
pub(crate) struct TiedArgs {
    /// The process it is tied to: the one that starts it.
    #[arg(long)]
    parent: i32,
    /// The program and its arguments.
    #[arg(required = true, last = true)]
    program: Vec<OsString>,
}

/// Becomes the program.
///
/// # Errors
/// When the parent is gone already, or the program cannot be started.
pub(crate) fn run(args: TiedArgs) -> Result<()> {
    tie(args.parent)?;
    let (name, arguments) = args.program.split_first().context("a program is named")?;
    let error = Command::new(name)
        .args(arguments)
        .env_remove(TIED_ENV)
        .exec();
    Err(error).with_context(|| format!("start {}", name.to_string_lossy()))
}

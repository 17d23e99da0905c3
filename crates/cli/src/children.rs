//! The processes a command starts: each with a log, ended with the command, and named when it dies.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use seamesh_client::Trust;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child as Process, Command};

use crate::tied::TIED_ENV;

/// Seconds a child may take to say that it serves.
const READY_S: u64 = 20;

/// Seconds a child has to end after SIGTERM before it is killed.
const STOP_S: u64 = 12;

/// Lines of a dead child's log that are shown.
const TAIL_LINES: usize = 15;

/// One started process.
pub(crate) struct Child {
    name: &'static str,
    process: Process,
    /// Where its standard error goes; `None`: to ours.
    log: Option<PathBuf>,
}

/// A command for `program` whose process the kernel ends together with this one.
pub(crate) fn tied(program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = seamesh("tied")?;
    command
        .args(["--parent", &std::process::id().to_string(), "--"])
        .arg(program);
    Ok(command)
}

/// A `seamesh` subcommand, tied to this process.
pub(crate) fn seamesh(subcommand: &str) -> Result<Command> {
    let me = std::env::current_exe().context("find the seamesh binary")?;
    let mut command = Command::new(me);
    command
        .arg(subcommand)
        .envs(trust_env())
        .env(TIED_ENV, std::process::id().to_string())
        .kill_on_drop(true)
        // Ctrl-C is ours to hand on, in order.
        .process_group(0);
    Ok(command)
}

/// What a child trusts is what we trust, however we were told.
pub(crate) fn trust_env() -> Vec<(&'static str, String)> {
    let trust = Trust::installed();
    let file = trust.ca_file.map(|path| path.display().to_string());
    let fingerprint = trust.fingerprint.map(|f| f.to_string());
    let named = [
        ("SEAMESH_CA_FILE", file),
        ("SEAMESH_REGISTRY_FINGERPRINT", fingerprint),
    ];
    let given = named
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    given.collect()
}

impl Child {
    /// Starts a process that serves, and gives what its `ready` line says.
    ///
    /// # Errors
    /// When it ends before, or is not ready in time: with the end of its log.
    pub(crate) async fn serving(
        name: &'static str,
        mut command: Command,
        log: &Path,
    ) -> Result<(Self, Value)> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(open_log(log)?);
        let mut process = command
            .spawn()
            .with_context(|| format!("start the {name}"))?;
        let stdout = process.stdout.take().context("its standard output")?;
        let mut child = Self {
            name,
            process,
            log: Some(log.to_owned()),
        };
        let mut lines = BufReader::new(stdout).lines();
        let ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(json) = line.strip_prefix("ready ") {
                    return serde_json::from_str(json).ok();
                }
            }
            None
        };
        match tokio::time::timeout(Duration::from_secs(READY_S), ready).await {
            Ok(Some(ready)) => Ok((child, ready)),
            Ok(None) => {
                let status = child.process.wait().await?;
                bail!("{}", child.obituary(status));
            }
            Err(_) => bail!(
                "the {name} did not get ready within {READY_S} s{}",
                child.tail()
            ),
        }
    }

    /// Starts a process that shares our standard output and error.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn visible(name: &'static str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null());
        let process = command
            .spawn()
            .with_context(|| format!("start the {name}"))?;
        Ok(Self {
            name,
            process,
            log: None,
        })
    }

    /// Waits until it ends. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> Result<ExitStatus> {
        let waited = self.process.wait().await;
        waited.with_context(|| format!("wait for the {}", self.name))
    }

    /// Which process ended, why, and what it said last.
    pub(crate) fn obituary(&self, status: ExitStatus) -> String {
        format!("the {} ended ({status}){}", self.name, self.tail())
    }

    fn tail(&self) -> String {
        let Some(path) = &self.log else {
            return String::new();
        };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        match last.is_empty() {
            true => format!("; its log {} is empty", path.display()),
            false => format!("; the end of {}:\n  {}", path.display(), last.join("\n  ")),
        }
    }

    /// Asks it to end, and kills it when it does not.
    pub(crate) async fn stop(&mut self) {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok());
        let Some(pid) = id.and_then(Pid::from_raw) else {
            return;
        };
        // One that ended in this moment has what was asked for.
        let _ = kill_process(pid, Signal::TERM);
        let ended = tokio::time::timeout(Duration::from_secs(STOP_S), self.process.wait()).await;
        if ended.is_err() {
            let _ = self.process.kill().await;
        }
    }
}

fn open_log(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o600);
    options
        .open(path)
        .with_context(|| path.display().to_string())
}

//! The processes a command starts: each with a log, ended with the command, and named when it dies.

use std::ffi::OsStr;
use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use seamesh_client::Trust;
use seamesh_sidecar::RegistryNews;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::process::{Child as Process, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::log_file::{Lines, LogFile};
use crate::tied::TIED_ENV;

/// Seconds a child may take to say that it serves.
const READY_S: u64 = 20;

/// Milliseconds that the last words of a dead process are waited for: a process of its own may hold the pipe open.
const LAST_WORDS_MS: u64 = 300;

/// Seconds that a child of ours has to end: sidecar and registry only pass on what is under way.
pub(crate) const STOP_S: u64 = 4;

/// Seconds a child has to end once somebody is in a hurry.
const HURRY_S: u64 = 2;

/// Bytes of output that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// What a sidecar says of the registry; `None` until it says anything.
pub(crate) type News = watch::Sender<Option<RegistryNews>>;

/// One started process.
pub(crate) struct Child {
    name: &'static str,
    process: Process,
    /// Of the process and those it started.
    group: Option<Pid>,
    log: LogFile,
    /// What carries its output.
    copies: JoinSet<()>,
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
    /// Starts a process that serves, and gives what its `ready` line says. What it writes to standard error is logged;
    /// of its standard output nothing is, because a registry says secrets there.
    ///
    /// # Errors
    /// When it ends before, or is not ready in time: with the end of its log.
    pub(crate) async fn serving(
        name: &'static str,
        command: Command,
        log: &LogFile,
        news: &News,
    ) -> Result<(Self, Value)> {
        let mut child = Self::spawn(name, command, log)?;
        let stdout = child.process.stdout.take().context("its standard output")?;
        let (tell, ready) = oneshot::channel();
        child.copies.spawn(hear(stdout, tell, news.clone()));
        child.log_stderr(None::<tokio::io::Stderr>)?;
        match tokio::time::timeout(Duration::from_secs(READY_S), ready).await {
            Ok(Ok(ready)) => Ok((child, ready)),
            Ok(Err(_)) => {
                let status = child.ended().await?;
                bail!("{}", child.obituary(status));
            }
            Err(_) => bail!(
                "the {name} did not get ready within {READY_S} s{}",
                child.log.tail()
            ),
        }
    }

    /// Starts a process whose output is logged and shown: on our standard output and error, or with `is_json`, when
    /// standard output is for programs, all of it on standard error.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn visible(
        name: &'static str,
        command: Command,
        log: &LogFile,
        is_json: bool,
    ) -> Result<Self> {
        let mut child = Self::spawn(name, command, log)?;
        let stdout = child.process.stdout.take().context("its standard output")?;
        let log = log.clone();
        match is_json {
            true => child
                .copies
                .spawn(copy(stdout, log, Some(tokio::io::stderr()))),
            false => child
                .copies
                .spawn(copy(stdout, log, Some(tokio::io::stdout()))),
        };
        child.log_stderr(Some(tokio::io::stderr()))?;
        Ok(child)
    }

    fn spawn(name: &'static str, mut command: Command, log: &LogFile) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        log.begin();
        let process = command
            .spawn()
            .with_context(|| format!("start the {name}"))?;
        let id = process.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            name,
            process,
            group: id.and_then(Pid::from_raw),
            log: log.clone(),
            copies: JoinSet::new(),
        })
    }

    fn log_stderr(
        &mut self,
        shown: Option<impl AsyncWrite + Unpin + Send + 'static>,
    ) -> Result<()> {
        let stderr = self.process.stderr.take().context("its standard error")?;
        self.copies.spawn(copy(stderr, self.log.clone(), shown));
        Ok(())
    }

    /// Waits until it ends, and ends what it started and left behind. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> Result<ExitStatus> {
        let waited = self.process.wait().await;
        let status = waited.with_context(|| format!("wait for the {}", self.name))?;
        if let Some(group) = self.group.take() {
            // As a rule there is nobody.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let words = async { while self.copies.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_millis(LAST_WORDS_MS), words).await;
        Ok(status)
    }

    /// Which process ended, why, and what it said last.
    pub(crate) fn obituary(&self, status: ExitStatus) -> String {
        format!("the {} ended ({status}){}", self.name, self.log.tail())
    }

    /// Asks it to end, and kills it when it has not within `grace`; when somebody is in a hurry it is asked again, and has
    /// [`HURRY_S`]. Whether it ended by itself, and well.
    pub(crate) async fn stop(&mut self, grace: Duration, hurry: impl Future<Output = ()>) -> bool {
        self.signal(Signal::TERM);
        let in_time = tokio::select! {
            ended = tokio::time::timeout(grace, self.process.wait()) => Some(ended.is_ok()),
            () = pin!(hurry) => None,
        };
        let is_over = match in_time {
            Some(is_over) => is_over,
            None => {
                self.signal(Signal::TERM);
                let soon = Duration::from_secs(HURRY_S);
                let ended = tokio::time::timeout(soon, self.process.wait()).await;
                ended.is_ok()
            }
        };
        if !is_over {
            let _ = self.process.start_kill();
        }
        // It is over, or killed: this takes no time.
        let ended = self.ended().await;
        is_over && ended.is_ok_and(|status| status.success())
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            // One that ended in this moment has what was asked for.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Takes the lines by which our own processes speak to us.
async fn hear(stdout: ChildStdout, ready: oneshot::Sender<Value>, news: News) {
    let mut ready = Some(ready);
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(json) = line.strip_prefix("ready ")
            && let Ok(told) = serde_json::from_str(json)
            && let Some(waiting) = ready.take()
        {
            // Whoever waited may have given up.
            let _ = waiting.send(told);
        } else if let Some(json) = line.strip_prefix("registry ")
            && let Ok(told) = serde_json::from_str(json)
        {
            news.send_replace(Some(told));
        }
    }
}

/// Logs what comes, and shows it.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    log: LogFile,
    mut shown: Option<impl AsyncWrite + Unpin>,
) {
    let mut lines = Lines::default();
    let mut piece = vec![0; READ_BYTES];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        lines.take(&piece[..count], &log);
        if let Some(terminal) = &mut shown
            && show(terminal, &piece[..count]).await.is_err()
        {
            // Nobody looks any more; the log goes on.
            shown = None;
        }
    }
    lines.finish(&log);
}

async fn show(terminal: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
    terminal.write_all(piece).await?;
    terminal.flush().await
}

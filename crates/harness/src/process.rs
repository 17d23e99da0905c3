//! One child process: started, waited for until it serves, killed, paused, and its log kept.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::binaries;
use crate::watch::capped;

/// Longest a process may take until its `ready` line. Far over what it needs: a cap, not a wait.
pub const READY_CAP: Duration = Duration::from_secs(20);

/// Longest a process may take to end after SIGTERM.
pub const EXIT_CAP: Duration = Duration::from_secs(10);

/// Lines of a log that an error quotes.
const LOG_TAIL_LINES: usize = 40;

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; its standard error and whatever it prints after the ready line go to `<logs>/<name>.log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(name: &str, command: Command, logs: &Path) -> Result<(Self, Ready)> {
        let mut command = tied(command);
        let log = logs.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file.try_clone()?)
            .kill_on_drop(true);
        let program = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        let mut child = command
            .spawn()
            .with_context(|| format!("start {program}"))?;
        let stdout = child
            .stdout
            .take()
            .context("the child has no standard output")?;
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(forward(BufReader::new(stdout), sender, file));
        Ok((
            Self {
                name: name.to_owned(),
                child,
                log,
            },
            Ready(receiver),
        ))
    }

    /// Starts `command` and waits for its `ready {json}` line.
    ///
    /// # Errors
    /// When it cannot be started, ends before the line, or does not print it within [`READY_CAP`]; the error quotes
    /// the end of its log.
    pub async fn start(name: &str, command: Command, logs: &Path) -> Result<(Self, Value)> {
        let (process, ready) = Self::spawn(name, command, logs)?;
        match timeout(capped(READY_CAP), ready.0).await {
            Ok(Ok(value)) => Ok((process, value)),
            Ok(Err(_)) => bail!("{name} ended before it was ready\n{}", process.log_tail()),
            Err(_) => bail!(
                "{name} was not ready within {READY_CAP:?}\n{}",
                process.log_tail()
            ),
        }
    }

    /// The process id; `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it as a power cut would: SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn kill(&mut self) -> Result<()> {
        // A process that already ended is as dead as asked for.
        let _ = self.child.start_kill();
        self.child.wait().await?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// When it has not ended within [`EXIT_CAP`].
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_exit().await
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// When it has not ended within [`EXIT_CAP`].
    pub async fn wait_exit(&mut self) -> Result<ExitStatus> {
        match timeout(capped(EXIT_CAP), self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!(
                "{} did not end within {EXIT_CAP:?}\n{}",
                self.name,
                self.log_tail()
            ),
        }
    }

    /// Stops it from running without ending it (SIGSTOP): a machine that hangs.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Tells it to read its certificate again (SIGHUP).
    ///
    /// # Errors
    /// When it has ended.
    pub fn hang_up(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// Lets it run again (SIGCONT).
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let raw = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = raw
            .and_then(Pid::from_raw)
            .ok_or_else(|| anyhow!("{} has ended", self.name))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Resident memory in bytes; 0 once it has ended.
    pub fn resident_bytes(&self) -> u64 {
        let Some(pid) = self.pid() else { return 0 };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap_or_default();
        line.split_whitespace()
            .next()
            .and_then(|kib| kib.parse::<u64>().ok())
            .unwrap_or_default()
            * 1024
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of its log, headed by its name.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let from = lines.len().saturating_sub(LOG_TAIL_LINES);
        format!(
            "--- {} ({})\n{}\n",
            self.name,
            self.log.display(),
            lines[from..].join("\n")
        )
    }
}

/// The same command, as a process that the kernel ends together with this one: nothing outlives a killed test.
fn tied(mut command: Command) -> Command {
    // Without the binary there is no mesh either; other programs are then ended by their handles only.
    let Ok(seamesh) = binaries::seamesh() else {
        return command;
    };
    let me = std::process::id().to_string();
    command.env("SEAMESH_TIED", &me);
    let given = command.as_std();
    if given.get_program() == seamesh {
        return command;
    }
    let mut tied = Command::new(seamesh);
    tied.args(["tied", "--parent", &me, "--"])
        .arg(given.get_program())
        .args(given.get_args());
    for (name, value) in given.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    if let Some(directory) = given.get_current_dir() {
        tied.current_dir(directory);
    }
    tied
}

/// The ready line that a started process will print.
#[derive(Debug)]
pub struct Ready(oneshot::Receiver<Value>);

/// Gives the `ready` line's JSON to whoever waits and writes everything else to the log.
async fn forward(
    mut stdout: BufReader<tokio::process::ChildStdout>,
    sender: oneshot::Sender<Value>,
    mut log: std::fs::File,
) {
    use std::io::Write;
    let mut sender = Some(sender);
    let mut line = String::new();
    while matches!(stdout.read_line(&mut line).await, Ok(length) if length > 0) {
        let ready = line
            .strip_prefix("ready ")
            .and_then(|json| serde_json::from_str(json.trim()).ok());
        match (ready, sender.take()) {
            (Some(value), Some(waiting)) => drop(waiting.send(value)),
            (_, still) => {
                sender = still;
                // A log that cannot be written must not end the test it belongs to.
                let _ = log.write_all(line.as_bytes());
            }
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_process_is_ready_when_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (mut process, ready) = Process::start(
            "one",
            shell("echo warming up; echo 'ready {\"port\":7}'; exec sleep 600"),
            dir.path(),
        )
        .await
        .unwrap();
        assert_eq!(ready["port"], 7);
        process.kill().await.unwrap();
        assert!(process.log().contains("warming up"));
    }

    #[tokio::test]
    async fn one_that_ends_first_is_an_error_that_quotes_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let error = Process::start("two", shell("echo no disk >&2; exit 3"), dir.path())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no disk"), "{error}");
    }

    #[tokio::test]
    async fn a_dropped_process_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (process, _) = Process::start(
            "three",
            shell("echo 'ready {}'; exec sleep 600"),
            dir.path(),
        )
        .await
        .unwrap();
        let pid = Pid::from_raw(process.pid().unwrap() as i32).unwrap();
        drop(process);
        let gone = async {
            while rustix::process::test_kill_process(pid).is_ok() {
                tokio::task::yield_now().await;
            }
        };
        timeout(capped(EXIT_CAP), gone)
            .await
            .expect("the process ends with its handle");
    }
}

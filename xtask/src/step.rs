//! Running other programs, and saying what runs and how long it took.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Says what happens, does it, and says how long it took.
///
/// # Errors
/// What `work` fails with.
#[allow(clippy::print_stderr)] // progress for whoever waits
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("xtask: {what} …");
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    match &result {
        Ok(_) => eprintln!("xtask: {what}: done in {seconds:.1} s"),
        Err(_) => eprintln!("xtask: {what}: FAILED after {seconds:.1} s"),
    }
    result
}

/// Says how far something came, a dozen times in all.
pub(crate) struct Countdown {
    all: usize,
    done: AtomicUsize,
    start: Instant,
}

impl Countdown {
    /// Lines printed on the way.
    const LINES: usize = 12;

    /// Of so many.
    pub(crate) fn of(all: usize) -> Self {
        Self {
            all,
            done: AtomicUsize::new(0),
            start: Instant::now(),
        }
    }

    /// One more is done.
    #[allow(clippy::print_stderr)] // progress for whoever waits
    pub(crate) fn one(&self) {
        let done = self.done.fetch_add(1, Relaxed) + 1;
        let line = |n: usize| n * Self::LINES / self.all.max(1);
        if line(done) > line(done - 1) && done < self.all {
            let seconds = self.start.elapsed().as_secs_f64();
            eprintln!("xtask: {done} of {} after {seconds:.0} s", self.all);
        }
    }
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A command in a folder, without input.
pub(crate) fn command(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs a command; its output goes to the terminal.
///
/// # Errors
/// When it cannot start or does not succeed; the error shows the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let text = shown(command);
    // A person's standard output is for results: what other programs print goes beside it.
    command.stdout(std::io::stderr());
    let status = command
        .status()
        .with_context(|| format!("cannot start `{text}`"))?;
    if !status.success() {
        bail!("`{text}` failed ({status})");
    }
    Ok(())
}

/// What a command printed.
pub(crate) struct Printed {
    /// Whether it succeeded.
    pub(crate) success: bool,
    /// Standard output, then standard error.
    pub(crate) text: String,
}

/// Runs a command and keeps what it prints; shows it when the command fails.
///
/// # Errors
/// When it cannot start.
#[allow(clippy::print_stderr)]
pub(crate) fn captured(command: &mut Command) -> Result<Printed> {
    let shown = shown(command);
    let output = command
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let success = output.status.success();
    if !success {
        eprintln!("{text}\nxtask: `{shown}` failed ({})", output.status);
    }
    Ok(Printed { success, text })
}

/// What a command prints on standard output.
///
/// # Errors
/// When it cannot start or does not succeed.
pub(crate) fn stdout_of(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed ({})", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named() {
        let here = Path::new(".");
        let error = run(command("sh", here).args(["-c", "exit 3"])).unwrap_err();
        assert!(
            error.to_string().starts_with("`sh -c exit 3` failed"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut command("no-such-program", Path::new("."))).unwrap_err();
        assert!(error.to_string().contains("cannot start `no-such-program`"));
    }

    #[test]
    fn what_a_command_prints_is_kept() {
        let here = Path::new(".");
        let printed = captured(command("sh", here).args(["-c", "echo out; echo err >&2"])).unwrap();
        assert!(printed.success);
        assert_eq!(printed.text, "out\nerr\n");
        assert_eq!(stdout_of(command("echo", here).arg("hi")).unwrap(), "hi\n");
    }
}

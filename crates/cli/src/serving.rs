//! What every long-running command does: logs to standard error, one `ready {json}` line, an end on SIGINT or SIGTERM.

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Sends logs to standard error. `SEAMESH_LOG`, else `RUST_LOG`, chooses what is logged: a level (`debug`), or levels
/// of modules (`info,seamesh_transport=trace`). The default is `info`.
pub(crate) fn log_to_stderr() {
    let wanted = std::env::var("SEAMESH_LOG").or_else(|_| std::env::var("RUST_LOG"));
    let parsed = wanted.as_deref().unwrap_or("info").parse::<Targets>();
    let (targets, refused) = match parsed {
        Ok(targets) => (targets, None),
        Err(error) => (Targets::new().with_default(LevelFilter::INFO), Some(error)),
    };
    let is_terminal = io::IsTerminal::is_terminal(&io::stderr());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(is_terminal);
    tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .init();
    if let Some(error) = refused {
        tracing::warn!(%error, "SEAMESH_LOG or RUST_LOG is not a log filter; logging at info");
    }
}

/// Says on standard output that the process serves, in one line that programs wait for.
pub(crate) fn say_ready(ready: &impl Serialize) {
    say_line("ready", ready);
}

/// Says something else in a line of its own: what it is, and JSON.
pub(crate) fn say_line(what: &str, news: &impl Serialize) {
    let line = serde_json::to_string(news).unwrap_or_default();
    // Whoever started us may have closed its end; we serve all the same.
    let _ = print(&format!("{what} {line}"));
}

/// Prints one line on standard output, at once.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn print(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("write to standard output")
}

/// Says that something was done to what has this name.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn done(json: bool, what: &str, key: &str, name: &str) -> Result<()> {
    match json {
        true => print(&serde_json::json!({ key: name }).to_string()),
        false => print(&format!("{what} {name}")),
    }
}

/// Says something that went wrong and is dealt with, on standard error: programs read standard output.
pub(crate) fn warn(text: &str) {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "seamesh: {text}");
}

/// Runs a command on this thread.
///
/// # Errors
/// The command's own.
pub(crate) fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build()?.block_on(work)
}

/// Resolves on SIGINT or SIGTERM.
///
/// # Errors
/// When the handlers cannot be installed.
pub(crate) fn asked_to_end() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

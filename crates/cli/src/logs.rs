//! `seamesh logs`: what the processes of `seamesh run` wrote down.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use crate::manifest::Manifest;
use crate::serving;

/// Milliseconds between two looks at the files with `--follow`: files tell nobody that they grew.
const LOOK_MS: u64 = 200;

/// Bytes of a file's end that are read at most.
const MAX_READ_BYTES: u64 = 4 * 1024 * 1024;

/// Options of `seamesh logs`.
#[derive(Debug, Args)]
#[command(after_help = "Example: seamesh logs --of sidecar --follow")]
pub(crate) struct LogsArgs {
    /// The manifest, or its directory.
    #[arg(default_value = "agent.yaml")]
    manifest: PathBuf,
    /// Only of this process: registry (if `run` started one) or sidecar. The agent writes to the terminal of `run`.
    #[arg(long, value_name = "PROCESS", value_parser = ["registry", "sidecar"])]
    of: Option<String>,
    /// Last lines of each file to begin with.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    lines: usize,
    /// Go on with what is written from now on, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// Print each line as one JSON object: `of` and `line`.
    #[arg(long)]
    json: bool,
}

/// One file, and how far it is read.
struct Log {
    of: &'static str,
    path: PathBuf,
    read: u64,
    /// A line whose end is not written yet.
    partial: Vec<u8>,
}

/// Prints the logs.
///
/// # Errors
/// When there are none, or they cannot be read.
pub(crate) async fn run(args: LogsArgs) -> Result<()> {
    let manifest = Manifest::load(&args.manifest)?;
    let is_wanted = |of: &str| args.of.as_ref().is_none_or(|wanted| wanted == of);
    let wanted = ["registry", "sidecar"]
        .into_iter()
        .filter(|of| is_wanted(of));
    let mut logs: Vec<_> = wanted.map(|of| Log::new(of, &manifest.data_dir)).collect();
    if !args.follow && logs.iter().all(|log| !log.path.exists()) {
        let place = manifest.data_dir.display();
        bail!("no logs in {place} yet: `seamesh run` writes them");
    }
    for log in &mut logs {
        let lines = log.new_lines()?;
        let first = lines.len().saturating_sub(args.lines);
        print(log.of, &lines[first..], args.json)?;
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        for log in &mut logs {
            let lines = log.new_lines()?;
            print(log.of, &lines, args.json)?;
        }
    }
}

fn print(of: &str, lines: &[String], json: bool) -> Result<()> {
    lines.iter().try_for_each(|line| {
        serving::print(&match json {
            true => json!({ "of": of, "line": line }).to_string(),
            false => format!("{of:<8}  {line}"),
        })
    })
}

impl Log {
    fn new(of: &'static str, directory: &Path) -> Self {
        let path = directory.join(format!("{of}.log"));
        let (read, partial) = (0, Vec::new());
        Self {
            of,
            path,
            read,
            partial,
        }
    }

    /// The whole lines that were added. A file that got shorter was begun anew.
    fn new_lines(&mut self) -> Result<Vec<String>> {
        let mut file = match std::fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| self.path.display().to_string()),
        };
        let size = file.metadata()?.len();
        if size < self.read {
            self.read = 0;
            self.partial.clear();
        }
        if size - self.read > MAX_READ_BYTES {
            self.read = size - MAX_READ_BYTES;
            self.partial.clear();
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        self.read += file.take(MAX_READ_BYTES).read_to_end(&mut bytes)? as u64;
        self.partial.extend(bytes);
        let Some(end) = self.partial.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(Vec::new());
        };
        let whole: Vec<u8> = self.partial.drain(..=end).collect();
        let text = String::from_utf8_lossy(&whole);
        Ok(text.lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_once_and_whole_and_a_file_begun_anew_is_read_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::new("sidecar", dir.path());
        assert!(log.new_lines().unwrap().is_empty());
        std::fs::write(&log.path, "one\ntwo\nthr").unwrap();
        assert_eq!(log.new_lines().unwrap(), ["one", "two"]);
        std::fs::write(&log.path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(log.new_lines().unwrap(), ["three"]);
        std::fs::write(&log.path, "new\n").unwrap();
        assert_eq!(log.new_lines().unwrap(), ["new"]);
    }
}

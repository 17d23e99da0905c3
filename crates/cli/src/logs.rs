//! `seamesh logs`: what the processes of `seamesh run` wrote down.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use crate::log_file::LogFile;
use crate::manifest::Manifest;
use crate::serving;

/// Milliseconds between two looks at the files with `--follow`: files tell nobody that they grew.
const LOOK_MS: u64 = 200;

/// Bytes of a file's end that are read at most.
const MAX_READ_BYTES: u64 = 4 * 1024 * 1024;

/// The processes that have a log.
const PROCESSES: [&str; 3] = ["registry", "sidecar", "agent"];

/// Options of `seamesh logs`.
#[derive(Debug, Args)]
#[command(after_help = "\
The logs are in the manifest's data directory; each takes 8 MiB at most, and what is older is gone.")]
pub(crate) struct LogsArgs {
    /// The manifest, or its directory.
    #[arg(default_value = "agent.yaml")]
    manifest: PathBuf,
    /// Only of this process: registry (if `run` started one), sidecar or agent.
    #[arg(long, value_name = "PROCESS", value_parser = PROCESSES)]
    of: Option<String>,
    /// Last lines of each log to begin with.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    lines: usize,
    /// Go on with what is written from now on, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// Print each line as one JSON object: `of` and `line`.
    #[arg(long)]
    json: bool,
}

/// One log, and how far it is read.
struct Log {
    of: &'static str,
    path: PathBuf,
    /// What is being read: it stays the same file when a full log is set aside.
    file: Option<File>,
    /// A line whose end is not written yet.
    partial: Vec<u8>,
}

/// Prints the logs.
///
/// # Errors
/// When there are none, or they cannot be read.
pub(crate) async fn run(args: LogsArgs) -> Result<()> {
    let manifest = Manifest::load(&args.manifest)?;
    let is_wanted = |of: &&str| args.of.as_ref().is_none_or(|wanted| wanted == of);
    let wanted = PROCESSES.into_iter().filter(is_wanted);
    let mut logs: Vec<_> = wanted.map(|of| Log::new(of, &manifest.data_dir)).collect();
    if !args.follow && logs.iter().all(|log| !log.path.exists()) {
        let place = manifest.data_dir.display();
        bail!("no logs in {place} yet: `seamesh run` writes them");
    }
    for log in &mut logs {
        let lines = log.last_lines(args.lines)?;
        print(log.of, &lines, args.json)?;
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
        Self {
            of,
            path: directory.join(format!("{of}.log")),
            file: None,
            partial: Vec::new(),
        }
    }

    /// The last lines, also those of the log that was set aside when it was full.
    fn last_lines(&mut self, count: usize) -> Result<Vec<String>> {
        let mut lines = self.new_lines()?;
        if lines.len() < count {
            let mut older = Self {
                path: LogFile::older(&self.path),
                ..Self::new(self.of, Path::new(""))
            };
            let newer = std::mem::replace(&mut lines, older.new_lines()?);
            lines.extend(newer);
        }
        Ok(lines.split_off(lines.len().saturating_sub(count)))
    }

    /// The whole lines that were added, in this file and, when it was set aside, in the one that took its place.
    fn new_lines(&mut self) -> Result<Vec<String>> {
        let told = || self.path.display().to_string();
        let named = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(told),
        };
        let mut lines = Vec::new();
        if let Some(mut file) = self.file.take() {
            lines = self.rest(&mut file)?;
            let (read, now) = (file.metadata()?, named.metadata()?);
            if (read.dev(), read.ino()) == (now.dev(), now.ino()) {
                self.file = Some(file);
                return Ok(lines);
            }
            self.partial.clear();
        }
        let mut file = named;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(MAX_READ_BYTES)))?;
        lines.extend(self.rest(&mut file)?);
        self.file = Some(file);
        Ok(lines)
    }

    /// The whole lines from where the file was read to. One that got shorter was begun anew.
    fn rest(&mut self, file: &mut File) -> Result<Vec<String>> {
        if file.metadata()?.len() < file.stream_position()? {
            file.rewind()?;
            self.partial.clear();
        }
        file.take(MAX_READ_BYTES).read_to_end(&mut self.partial)?;
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

    #[test]
    fn a_log_that_is_set_aside_while_it_is_followed_is_read_to_its_end_and_the_new_one_from_its_beginning()
     {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::new("agent", dir.path());
        std::fs::write(&log.path, "one\n").unwrap();
        assert_eq!(log.new_lines().unwrap(), ["one"]);
        std::fs::write(&log.path, "one\ntwo\n").unwrap();
        std::fs::rename(&log.path, LogFile::older(&log.path)).unwrap();
        std::fs::write(&log.path, "three\n").unwrap();
        assert_eq!(log.new_lines().unwrap(), ["two", "three"]);
        let mut again = Log::new("agent", dir.path());
        assert_eq!(again.last_lines(2).unwrap(), ["two", "three"]);
    }
}

//! A process's log: lines appended, of bounded size, for its owner only.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

/// Bytes of a log file. One that is full is kept once, as `NAME.log.1`: a log takes at most twice this.
pub(crate) const MAX_LOG_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of a line; what is longer is cut into lines.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;

/// Last lines that are told when a process dies.
const TAIL_LINES: usize = 15;

/// A log that several writers share.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    bytes: u64,
    /// The last lines of the present life.
    tail: VecDeque<String>,
}

impl LogFile {
    /// Opens a log to append to; makes it, mode 0600.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (file, bytes) = open(path).with_context(|| path.display().to_string())?;
        let inner = Inner {
            file,
            bytes,
            tail: VecDeque::new(),
        };
        Ok(Self {
            path: path.to_owned(),
            inner: Arc::new(Mutex::new(inner)),
        })
    }

    /// The file that a full log becomes.
    pub(crate) fn older(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".1");
        name.into()
    }

    /// A process begins: what its forerunner said is not its own.
    pub(crate) fn begin(&self) {
        self.lock().tail.clear();
    }

    /// Appends a line, without its newline.
    pub(crate) fn line(&self, line: &[u8]) {
        let mut inner = self.lock();
        let text = String::from_utf8_lossy(line).into_owned();
        inner.tail.push_back(text);
        if inner.tail.len() > TAIL_LINES {
            inner.tail.pop_front();
        }
        // A disk that is full must not end what writes here.
        let _ = inner.append(&self.path, line);
    }

    /// The last lines of the present life, and where there are more.
    pub(crate) fn tail(&self) -> String {
        let inner = self.lock();
        let lines: Vec<&str> = inner.tail.iter().map(String::as_str).collect();
        let path = self.path.display();
        match lines.is_empty() {
            true => format!("; it wrote nothing to {path}"),
            false => format!("; the end of {path}:\n  {}", lines.join("\n  ")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn append(&mut self, path: &Path, line: &[u8]) -> io::Result<()> {
        let added = line.len() as u64 + 1;
        if self.bytes > 0 && self.bytes + added > MAX_LOG_BYTES {
            std::fs::rename(path, LogFile::older(path))?;
            (self.file, self.bytes) = open(path)?;
        }
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        self.file.write_all(&whole)?;
        self.bytes += added;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

/// Cuts bytes that come in pieces into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes a piece and appends the lines that it completes.
    pub(crate) fn take(&mut self, piece: &[u8], log: &LogFile) {
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.partial.pop();
                self.end(log);
            } else if self.partial.len() >= MAX_LINE_BYTES {
                self.end(log);
            }
        }
    }

    /// Appends what is left when nothing more comes.
    pub(crate) fn finish(&mut self, log: &LogFile) {
        if !self.partial.is_empty() {
            self.end(log);
        }
    }

    fn end(&mut self, log: &LogFile) {
        for line in self.partial.chunks(MAX_LINE_BYTES) {
            log.line(line);
        }
        if self.partial.is_empty() {
            log.line(b"");
        }
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn log() -> (tempfile::TempDir, LogFile) {
        let dir = tempfile::tempdir().unwrap();
        let log = LogFile::open(&dir.path().join("agent.log")).unwrap();
        (dir, log)
    }

    fn read(log: &LogFile) -> String {
        std::fs::read_to_string(&log.path).unwrap()
    }

    #[test]
    fn pieces_become_lines_and_the_file_is_its_owners() {
        let (_dir, log) = log();
        let mut lines = Lines::default();
        lines.take(b"one\n\ntw", &log);
        assert_eq!(read(&log), "one\n\n");
        lines.take(b"o\nthree", &log);
        lines.finish(&log);
        assert_eq!(read(&log), "one\n\ntwo\nthree\n");
        let mode = std::fs::metadata(&log.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn an_endless_line_is_cut_and_held_in_memory_no_further() {
        let (_dir, log) = log();
        let mut lines = Lines::default();
        for _ in 0..3 {
            lines.take(&[b'x'; MAX_LINE_BYTES], &log);
        }
        assert_eq!(read(&log).lines().count(), 3);
    }

    #[test]
    fn a_full_log_is_kept_once_and_no_more() {
        let (_dir, log) = log();
        let line = [b'x'; MAX_LINE_BYTES - 1];
        let fitting = MAX_LOG_BYTES as usize / MAX_LINE_BYTES;
        for _ in 0..fitting * 3 {
            log.line(&line);
        }
        log.line(b"the last");
        let older = std::fs::metadata(LogFile::older(&log.path)).unwrap().len();
        assert_eq!(older, MAX_LOG_BYTES);
        assert_eq!(read(&log), "the last\n");
        let names = std::fs::read_dir(log.path.parent().unwrap()).unwrap();
        assert_eq!(names.count(), 2);
    }

    #[test]
    fn the_tail_is_of_the_present_life_and_the_file_of_all() {
        let (_dir, log) = log();
        log.line(b"old");
        log.begin();
        assert!(log.tail().contains("it wrote nothing"), "{}", log.tail());
        log.line(b"new");
        assert!(!log.tail().contains("old") && log.tail().contains("new"));
        let again = LogFile::open(&log.path).unwrap();
        again.line(b"later");
        assert_eq!(read(&log), "old\nnew\nlater\n");
    }
}

//! The Unix socket to a sidecar: writes coalesced, reads in big pieces.

use std::io;
use std::path::Path;

use seamesh_proto::WireError;
use seamesh_proto::ipc::{AgentCommand, AgentEvent};
use seamesh_proto::limits::MAX_LINE_BYTES;
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::lines::{LineSplitter, Oversized};

/// Bytes read at once at most: several hundred small lines for one system call.
const READ_BYTES: usize = 256 * 1024;

/// A connection to a sidecar's socket, for programs that speak the lines themselves: benchmarks, tests, clients of the
/// old dialect. [`Agent`](crate::Agent) is what agents use; it stands on this.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    lines: LineSplitter,
    out: Vec<u8>,
    /// Bytes of `out` that are written.
    written: usize,
}

impl Connection {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// What the system says: nobody listens, no such file, no permission.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self {
            stream: UnixStream::connect(path).await?,
            lines: LineSplitter::new(MAX_LINE_BYTES),
            out: Vec::new(),
            written: 0,
        })
    }

    /// Queues a command; [`flush`](Self::flush) writes all that are queued at once.
    pub fn queue(&mut self, command: &AgentCommand) {
        command.write_line(&mut self.out);
    }

    /// Queues bytes as they are: whole lines with their newlines, or whatever a test wants to say.
    pub fn queue_bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// When the sidecar is gone.
    pub async fn flush(&mut self) -> io::Result<()> {
        while !self.try_flush()? {
            self.stream.writable().await?;
        }
        Ok(())
    }

    /// Queues a command and writes everything.
    ///
    /// # Errors
    /// When the sidecar is gone.
    pub async fn send(&mut self, command: &AgentCommand) -> io::Result<()> {
        self.queue(command);
        self.flush().await
    }

    /// The next line, without its newline; `None` once the sidecar closed. Cancel-safe.
    ///
    /// # Errors
    /// When the connection broke; `InvalidData` for a line over [`MAX_LINE_BYTES`], after which reading may go on.
    pub async fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            match self.lines.next_range() {
                Some(Ok(range)) => return Ok(Some(self.lines.line(range))),
                Some(Err(Oversized)) => return Err(invalid("a line over the limit")),
                None => {}
            }
            self.stream.readable().await?;
            match self.try_read() {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next event; `None` once the sidecar closed. Cancel-safe.
    ///
    /// # Errors
    /// As [`next_line`](Self::next_line); `InvalidData` also for a line that is no event.
    pub async fn next_event(&mut self) -> io::Result<Option<AgentEvent>> {
        let line = self.next_line().await?;
        line.map(|line| AgentEvent::parse(line).map_err(invalid::<WireError>))
            .transpose()
    }

    /// Lines that have arrived, without reading more.
    pub(crate) fn arrived(&mut self) -> Option<Result<&[u8], Oversized>> {
        self.lines.next_line()
    }

    /// Reads once, without waiting. 0: the sidecar closed.
    pub(crate) fn try_read(&mut self) -> io::Result<usize> {
        let space = self.lines.space();
        if space.capacity() - space.len() < READ_BYTES / 4 {
            space.reserve(READ_BYTES);
        }
        self.stream.try_read_buf(space)
    }

    /// Waits until there is something to read, or (when `write`) room to write.
    pub(crate) async fn ready(&self, write: bool) -> io::Result<()> {
        let interest = match write {
            true => Interest::READABLE | Interest::WRITABLE,
            false => Interest::READABLE,
        };
        self.stream.ready(interest).await.map(drop)
    }

    /// The queue, to be filled when it is empty.
    pub(crate) fn idle_queue(&mut self) -> Option<&mut Vec<u8>> {
        self.out.is_empty().then_some(&mut self.out)
    }

    /// Writes what the socket takes now. Whether everything is written.
    pub(crate) fn try_flush(&mut self) -> io::Result<bool> {
        while self.written < self.out.len() {
            match self.stream.try_write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(true)
    }
}

fn invalid<E: Into<Box<dyn std::error::Error + Send + Sync>>>(error: E) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

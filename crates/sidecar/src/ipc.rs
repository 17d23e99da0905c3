//! One client of the IPC socket: its bytes in and out.

use std::io;

use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::limits::MAX_QUEUED_BYTES;
use seamesh_proto::seam;
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::lines::{Line, LineBuffer};

/// Outbound capacity that is kept between bursts, in bytes.
const KEPT_BYTES: usize = 256 * 1024;

/// What changed about a client's outbound queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// It went over its limit.
    Blocked,
    /// It is below half of it again.
    Relieved,
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    lines: LineBuffer,
    out: Vec<u8>,
    written: usize,
    /// The core asked not to read on.
    pub(crate) is_paused: bool,
    is_blocked: bool,
    /// What SDK speaks here: only known, and only asked, when the seams are watched.
    pub(crate) party: Option<Party>,
}

impl Client {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            party: party_of(&stream),
            stream,
            lines: LineBuffer::new(),
            out: Vec::new(),
            written: 0,
            is_paused: false,
            is_blocked: false,
        }
    }

    /// Waits until there is something to read, or room for what waits to be written. Cancel-safe.
    pub(crate) async fn ready(&self) {
        let interest = match (self.is_paused, self.has_output()) {
            (false, true) => Interest::READABLE | Interest::WRITABLE,
            (false, false) => Interest::READABLE,
            (true, true) => Interest::WRITABLE,
            (true, false) => return std::future::pending().await,
        };
        // An error shows again, and is handled, when the stream is used.
        let _ = self.stream.ready(interest).await;
    }

    fn has_output(&self) -> bool {
        self.written < self.out.len()
    }

    /// Whether the other end has hung up, which can be asked while there is more to read.
    pub(crate) fn is_gone(&self) -> bool {
        let probe = self.stream.try_write(&[]);
        probe.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
    }

    /// Reads once, if there is something. `Ok(true)`: lines may have come; `Ok(false)`: nothing was there.
    ///
    /// # Errors
    /// The client is gone.
    pub(crate) fn read(&mut self) -> io::Result<bool> {
        if self.is_paused {
            return Ok(false);
        }
        match self.stream.try_read(self.lines.room()) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => {
                self.lines.filled(bytes);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The next line that was read.
    pub(crate) fn next_line(&mut self) -> Option<Line<'_>> {
        self.lines.next()
    }

    /// Queues bytes; they leave with [`flush`](Self::flush).
    pub(crate) fn queue(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Queues whole lines.
    pub(crate) fn queue_lines(&mut self, lines: &str) {
        if !seam::is_on() {
            return self.out.extend_from_slice(lines.as_bytes());
        }
        for line in lines.split_inclusive('\n') {
            let kind = seam::kind_of(line.as_bytes()).unwrap_or_default();
            if seam::said(Channel::Ipc, &kind, Party::Sidecar, self.party) > 0 {
                self.out.extend_from_slice(line.as_bytes());
            }
        }
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// The client is gone.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.has_output() {
            match self.stream.try_write(&self.out[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.has_output() {
            if self.written > MAX_QUEUED_BYTES {
                self.out.drain(..self.written);
                self.written = 0;
            }
        } else {
            self.written = 0;
            self.out.clear();
            self.out.shrink_to(KEPT_BYTES);
        }
        Ok(())
    }

    /// Whether the queue crossed a mark since the last call.
    pub(crate) fn pressure(&mut self) -> Option<Pressure> {
        let waiting = self.out.len() - self.written;
        match self.is_blocked {
            false if waiting > MAX_QUEUED_BYTES => {
                self.is_blocked = true;
                Some(Pressure::Blocked)
            }
            true if waiting < MAX_QUEUED_BYTES / 2 => {
                self.is_blocked = false;
                Some(Pressure::Relieved)
            }
            _ => None,
        }
    }
}

/// What SDK a client is on, by its program; `None` when it is neither, or the seams are not watched.
fn party_of(stream: &UnixStream) -> Option<Party> {
    if !seam::is_on() {
        return None;
    }
    let pid = stream.peer_cred().ok()?.pid()?;
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = program.file_name()?.to_string_lossy();
    match () {
        () if name.starts_with("python") => Some(Party::PythonAgent),
        () if name.starts_with("node") => None,
        () => Some(Party::RustAgent),
    }
}

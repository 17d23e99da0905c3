//! A tap on the socket between an agent and its sidecar: passes every line on, except those that the agent is deaf to.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::book::Book;

/// A tap. Dropping it cuts the agent off.
#[derive(Debug)]
pub(crate) struct Tap(JoinHandle<()>);

impl Tap {
    /// Serves the agent at `socket`, on behalf of the sidecar.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(crate) fn start(
        agent: &str,
        socket: &Path,
        sidecar: &Path,
        book: Arc<Book>,
    ) -> io::Result<Self> {
        // Left behind by an agent that was killed.
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket)?;
        let (agent, sidecar) = (agent.to_owned(), sidecar.to_owned());
        Ok(Self(tokio::spawn(async move {
            // One agent, so one connection at a time; it may come again.
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(onward) = UnixStream::connect(&sidecar).await {
                    pass(&agent, stream, onward, &book).await;
                }
                book.gone(&agent);
            }
        })))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Passes lines both ways until either end is gone.
async fn pass(agent: &str, stream: UnixStream, onward: UnixStream, book: &Book) {
    let (from_agent, to_agent) = stream.into_split();
    let (from_sidecar, to_sidecar) = onward.into_split();
    let said = lines(from_agent, to_sidecar, |line| {
        book.says(agent, line);
        true
    });
    let heard = lines(from_sidecar, to_agent, |line| book.hears(agent, line));
    tokio::select! {
        () = said => {}
        () = heard => {}
    }
}

async fn lines(from: OwnedReadHalf, mut to: OwnedWriteHalf, passes: impl Fn(&[u8]) -> bool) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line).await {
            Ok(length) if length > 0 => {}
            _ => return,
        }
        if passes(&line) && to.write_all(&line).await.is_err() {
            return;
        }
    }
}

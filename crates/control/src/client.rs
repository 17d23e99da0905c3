//! The test's end.

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::{Answer, Command};

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The process is gone, or never served the socket.
    #[error("the test control socket: {0}")]
    Io(#[from] io::Error),
    /// The process refused; the text says why.
    #[error("refused: {0}")]
    Refused(String),
}

/// A connection to a process's control socket.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub async fn open(path: &Path) -> Result<Self, ClientError> {
        let stream = BufReader::new(UnixStream::connect(path).await?);
        Ok(Self { stream })
    }

    /// Has something done, and waits until it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ask(&mut self, command: &Command) -> Result<(), ClientError> {
        let mut line = serde_json::to_string(command).map_err(io::Error::from)?;
        line.push('\n');
        self.stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        if self.stream.read_line(&mut answer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let answer: Answer = serde_json::from_str(&answer).map_err(io::Error::from)?;
        match answer.error {
            None => Ok(()),
            Some(why) => Err(ClientError::Refused(why)),
        }
    }
}

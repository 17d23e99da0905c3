//! A client of the old dialect: no `hello`, and it answers messages itself.

use std::path::Path;

use anyhow::{Context, Result};
use seamesh_agent::Connection;
use serde_json::{Value, json};

use crate::member::in_time;

/// A program on a sidecar's socket that speaks the lines itself.
pub struct OldClient {
    connection: Connection,
}

impl OldClient {
    /// Connects, and says nothing.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(socket: &Path) -> Result<Self> {
        let connection = Connection::open(socket).await?;
        Ok(Self { connection })
    }

    /// Sends one command.
    ///
    /// # Errors
    /// When the sidecar hung up.
    pub async fn say(&mut self, kind: &str, payload: Value) -> Result<()> {
        let line = format!("{}\n", json!({ "type": kind, "payload": payload }));
        self.raw(line.as_bytes()).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the sidecar hung up.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.connection.queue_bytes(bytes);
        Ok(self.connection.flush().await?)
    }

    /// The next event; `None` when the sidecar hung up.
    ///
    /// # Errors
    /// When none comes in time.
    pub async fn hear(&mut self) -> Result<Option<Value>> {
        let line = in_time("the sidecar says something", self.connection.next_line()).await??;
        Ok(line.map(serde_json::from_slice).transpose()?)
    }

    /// The payload of the next event of this kind; events of other kinds are passed over.
    ///
    /// # Errors
    /// When none comes in time, or the sidecar hung up.
    pub async fn wait_for(&mut self, kind: &str) -> Result<Value> {
        loop {
            let event = self
                .hear()
                .await?
                .with_context(|| format!("hung up before {kind}"))?;
            if event["type"] == kind {
                return Ok(event["payload"].clone());
            }
        }
    }
}

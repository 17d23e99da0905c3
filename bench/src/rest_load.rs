//! Connections that submit one task after the other over HTTP/1.1, written by hand: the load costs little beside what it
//! measures.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections at once: a small team of agents, all busy.
pub(crate) const CONNECTIONS: usize = 32;

/// Where to submit, and as whom.
#[derive(Clone)]
pub(crate) struct Target {
    /// The registry.
    pub(crate) address: SocketAddr,
    /// The API key.
    pub(crate) key: String,
}

/// One connection.
pub(crate) struct Submitter {
    stream: TcpStream,
    key: String,
    answer: Vec<u8>,
}

impl Submitter {
    /// Opens it.
    pub(crate) async fn connect(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            key: target.key.clone(),
            answer: vec![0; 4096],
        })
    }

    /// Submits one task for `skill`; `n` tells its payload from the others'. Returns once it is durable.
    pub(crate) async fn submit(&mut self, skill: &str, n: usize) -> Result<()> {
        let body =
            json!({ "skill": skill, "payload": { "n": n, "q": "x".repeat(100) } }).to_string();
        let request = format!(
            "POST /api/hub/tasks HTTP/1.1\r\nhost: bench\r\nx-api-key: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        let length = self.stream.read(&mut self.answer).await?;
        let answer = &self.answer[..length];
        ensure!(
            answer.starts_with(b"HTTP/1.1 200"),
            "a submit was refused: {}",
            String::from_utf8_lossy(answer)
        );
        Ok(())
    }
}

/// Durable submits per second over all connections, for so long.
pub(crate) async fn submits_per_s(target: &Target, time: Duration) -> Result<f64> {
    let start = Instant::now();
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut submitter = Submitter::connect(target).await?;
        connections.spawn(async move {
            let mut count = 0;
            while start.elapsed() < time {
                // Nobody offers it: only the submit is measured.
                submitter.submit("nobody", count).await?;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut count = 0;
    while let Some(done) = connections.join_next().await {
        count += done.context("a connection's task")??;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

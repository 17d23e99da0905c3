//! The sidecar's end of an agent's socket.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Longest a test waits for anything.
pub const CAP: Duration = Duration::from_secs(10);

pub struct SidecarEnd {
    _dir: TempDir,
    pub path: PathBuf,
    pub listener: UnixListener,
}

impl SidecarEnd {
    pub fn listen() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        Self {
            _dir: dir,
            path,
            listener,
        }
    }

    /// Accepts the agent and reads its hello.
    pub async fn accept(&self) -> (Client, Value) {
        let (stream, _) = tokio::time::timeout(CAP, self.listener.accept())
            .await
            .unwrap()
            .unwrap();
        let mut client = Client(BufReader::new(stream));
        let hello = client.hear().await;
        assert_eq!(hello["type"], "hello");
        (client, hello["payload"].clone())
    }

    /// Accepts the agent and welcomes it.
    pub async fn welcome(&self) -> Client {
        let (mut client, _) = self.accept().await;
        client.welcome().await;
        client
    }
}

pub struct Client(pub BufReader<UnixStream>);

impl Client {
    pub async fn hear(&mut self) -> Value {
        let mut line = String::new();
        let read = tokio::time::timeout(CAP, self.0.read_line(&mut line)).await;
        assert!(
            read.expect("the agent says something").unwrap() > 0,
            "the agent hung up"
        );
        serde_json::from_str(&line).unwrap()
    }

    /// What the agent says next, which must be of this kind.
    pub async fn expect(&mut self, kind: &str) -> Value {
        let said = self.hear().await;
        assert_eq!(said["type"], kind, "{said}");
        said["payload"].clone()
    }

    pub async fn say(&mut self, kind: &str, payload: Value) {
        let line = format!("{}\n", json!({"type": kind, "payload": payload}));
        self.0.get_mut().write_all(line.as_bytes()).await.unwrap();
    }

    pub async fn welcome(&mut self) {
        let welcome = json!({"version": 1, "peer_id": "a-sidecar", "registry_connected": true, "max_line_bytes": 16_777_216});
        self.say("welcome", welcome).await;
    }

    pub async fn task(&mut self, id: &str, skill: &str, payload: Value) {
        let task = json!({"task_id": id, "attempt": 1, "skill": skill, "payload": payload, "timeout_ms": 60_000});
        self.say("task", task).await;
    }
}

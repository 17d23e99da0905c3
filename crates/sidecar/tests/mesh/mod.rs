//! A registry and sidecars in this process, over real sockets, and agents that speak raw IPC lines.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its part"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use seamesh_client::Credential;
use seamesh_sidecar::Options;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Hard cap of every wait: 20 s, or less when a fault is planted (`SEAMESH_TEST_CAP_MS`).
pub fn cap() -> Duration {
    let lower = std::env::var("SEAMESH_TEST_CAP_MS");
    let lower = lower.ok().and_then(|ms| ms.parse().ok());
    Duration::from_secs(20).min(lower.map_or(Duration::MAX, Duration::from_millis))
}

/// Something that runs in a thread of its own until it is dropped.
pub struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start<F, R>(body: F) -> (Self, R)
    where
        F: AsyncFnOnce(oneshot::Receiver<()>, mpsc::Sender<R>) + Send + 'static,
        R: Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(body(stopped, ready));
        });
        let ready = is_ready.recv_timeout(cap()).expect("it serves in time");
        let running = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        (running, ready)
    }

    /// Stops it and waits for its end.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A registry's directory: keys `key-NAME` for the peers named.
pub struct Registry {
    dir: tempfile::TempDir,
    pub url: String,
    running: Option<Running>,
    listen: std::net::SocketAddr,
}

impl Registry {
    pub fn start(peers: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys: serde_json::Map<String, Value> = peers
            .iter()
            .map(|p| (format!("key-{p}"), json!({"peer_id": p, "role": "agent"})))
            .collect();
        let file = dir.path().join("keys.json");
        std::fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
        let mut registry = Self {
            dir,
            url: String::new(),
            running: None,
            listen: ([127, 0, 0, 1], 0).into(),
        };
        registry.resume();
        registry
    }

    /// Starts it, the second time on the port it had before.
    pub fn resume(&mut self) {
        let options = seamesh_registry::Options {
            listen: self.listen,
            data: self.dir.path().join("data"),
            api_keys: Some(self.dir.path().join("keys.json")),
            ..Default::default()
        };
        let (running, ready) = Running::start(
            async move |stopped: oneshot::Receiver<()>,
                        ready: mpsc::Sender<seamesh_registry::Ready>| {
                let on_ready = |r: &seamesh_registry::Ready| ready.send(r.clone()).unwrap();
                let stopped = async { drop(stopped.await) };
                seamesh_registry::run(options, on_ready, stopped)
                    .await
                    .unwrap();
            },
        );
        self.listen = ready.listen;
        self.url = ready.url;
        self.running = Some(running);
    }

    /// Stops it.
    pub fn pause(&mut self) {
        self.running = None;
    }

    pub fn sidecar(&self, peer: &str) -> Sidecar {
        Sidecar::start(&self.url, peer, self.dir.path())
    }
}

/// A sidecar and where it serves.
pub struct Sidecar {
    pub socket: PathBuf,
    running: Running,
}

impl Sidecar {
    pub fn start(registry: &str, peer: &str, dir: &Path) -> Self {
        let socket = dir.join(peer).join("agent.sock");
        let options = Options {
            registry: registry.parse().unwrap(),
            identity: None,
            allow_unidentified: true,
            credential: Credential::ApiKey(format!("key-{peer}")),
            socket: socket.clone(),
            udp: None,
            relay_only: false,
            test_control: None,
        };
        let (running, _) = Running::start(
            async move |stopped: oneshot::Receiver<()>, ready: mpsc::Sender<String>| {
                let tell = |told| {
                    if let seamesh_sidecar::Told::Ready(serving) = told {
                        ready.send(serving.socket).unwrap();
                    }
                };
                let stopped = async { drop(stopped.await) };
                seamesh_sidecar::run(options, tell, stopped).await.unwrap();
            },
        );
        Self { socket, running }
    }

    pub fn connect(&self) -> Agent {
        Agent::connect(&self.socket)
    }

    /// An agent that said hello and was welcomed.
    pub fn agent(&self, name: &str, skills: &[&str]) -> Agent {
        let mut agent = self.connect();
        agent.hello(name, skills);
        assert_eq!(agent.wait_for("welcome")["version"], 1);
        agent
    }

    pub fn stop(self) {
        self.running.stop();
    }
}

/// A client of the IPC socket.
pub struct Agent {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Agent {
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(cap())).unwrap();
        stream.set_write_timeout(Some(cap())).unwrap();
        let reader = BufReader::with_capacity(1 << 17, stream.try_clone().unwrap());
        Self { stream, reader }
    }

    pub fn hello(&mut self, name: &str, skills: &[&str]) {
        let skills: Vec<Value> = skills.iter().map(|s| json!({"name": s})).collect();
        let agent = json!({"agent_id": name, "skills": skills});
        self.say("hello", json!({"version": 1, "agent": agent}));
    }

    pub fn say(&mut self, kind: &str, payload: Value) {
        let line = json!({"type": kind, "payload": payload}).to_string();
        self.write(line.as_bytes());
    }

    /// Says something to a sidecar that may have hung up already.
    pub fn try_say(&mut self, kind: &str, payload: Value) {
        let line = json!({"type": kind, "payload": payload}).to_string() + "\n";
        let _ = self.stream.write_all(line.as_bytes());
    }

    /// Writes a line.
    pub fn write(&mut self, line: &[u8]) {
        self.stream.write_all(line).unwrap();
        self.stream.write_all(b"\n").unwrap();
    }

    /// Writes bytes without a newline.
    pub fn write_part(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The socket itself.
    pub fn stream(&self) -> UnixStream {
        self.stream.try_clone().unwrap()
    }

    /// Asks until the sidecar has heard of an agent.
    pub fn wait_for_agent(&mut self, agent_id: &str) {
        let deadline = Instant::now() + cap();
        while Instant::now() < deadline {
            self.say("agents", json!({"request_id": "who"}));
            let agents = self.wait_for("agents")["agents"].clone();
            let is_it = |a: &Value| a["agent_id"] == agent_id;
            if agents.as_array().unwrap().iter().any(is_it) {
                return;
            }
        }
        panic!("{agent_id} is not heard of in time");
    }

    /// The next event; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).expect("an event in time");
        (read > 0).then(|| serde_json::from_str(&line).expect("an event is JSON"))
    }

    /// Passes over events until one of this kind comes; its payload.
    pub fn wait_for(&mut self, kind: &str) -> Value {
        self.wait_until(kind, |_| true)
    }

    pub fn wait_until(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + cap();
        while Instant::now() < deadline {
            let event = self.next().expect("the sidecar serves");
            if event["type"] == kind && fits(&event["payload"]) {
                return event["payload"].clone();
            }
        }
        panic!("no {kind} in time");
    }

    pub fn wait_for_link(&mut self, peer: &str) {
        self.wait_until("peer_connected", |p| p["peer_id"] == peer);
    }

    pub fn send(&mut self, peer: &str, message: Value) {
        self.say("send", json!({"target_peer": peer, "message": message}));
    }

    pub fn hang_up(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

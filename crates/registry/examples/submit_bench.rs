//! Durable submits per second: 32 connections, each submitting one task after the other over HTTP to a registry in
//! this process. Prints one JSON object.
//!
//! `cargo run --release -p seamesh-registry --example submit_bench [SECONDS]`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its number and stops at any failure"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use seamesh_registry::{Options, Ready};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// Connections at once: a small team of agents, all busy.
const CONNECTIONS: usize = 32;

fn main() {
    let seconds = std::env::args().nth(1).map_or(5, |s| s.parse().unwrap());
    let data = tempfile::tempdir().unwrap();
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data: data.path().join("data"),
        ..Options::default()
    };
    let key_file = options.data.join("admin.key");
    let started = Instant::now();
    let (ready, is_ready) = std::sync::mpsc::channel::<Ready>();
    let (stop, stopped) = oneshot::channel::<()>();
    // The registry has a thread of its own, as its process would.
    let registry = std::thread::spawn(move || {
        let on_ready = move |r: &Ready| ready.send(r.clone()).unwrap();
        let stopped = async move { drop(stopped.await) };
        runtime().block_on(seamesh_registry::run(options, on_ready, stopped))
    });
    let ready = is_ready.recv().unwrap();
    let ready_ms = started.elapsed().as_secs_f64() * 1000.0;
    let key = std::fs::read_to_string(key_file).unwrap();
    let request = request(key.trim_end());
    let (rate, slowest) = runtime().block_on(drive(ready, request, Duration::from_secs(seconds)));
    let value = rate.round();
    println!(
        "{}",
        json!({"bench": "submit", "metric": "durable_submits", "value": value, "unit": "1/s", "slowest_ms": slowest, "ready_ms": ready_ms})
    );
    stop.send(()).unwrap();
    registry.join().unwrap().unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn request(key: &str) -> Arc<[u8]> {
    let body = json!({"skill": "none", "payload": {"q": "x".repeat(100)}}).to_string();
    let length = body.len();
    let head = format!(
        "POST /api/hub/tasks HTTP/1.1\r\nhost: bench\r\nx-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    (head + &body).into_bytes().into()
}

async fn drive(ready: Ready, request: Arc<[u8]>, time: Duration) -> (f64, u64) {
    let (count, slowest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let started = Instant::now();
    let until = started + time;
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (count, slowest, request) = (count.clone(), slowest.clone(), request.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(ready.listen).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut answer = [0; 4096];
                while Instant::now() < until {
                    let asked = Instant::now();
                    stream.write_all(&request).await.unwrap();
                    let n = stream.read(&mut answer).await.unwrap();
                    assert!(
                        answer[..n].starts_with(b"HTTP/1.1 200"),
                        "{}",
                        String::from_utf8_lossy(&answer[..n])
                    );
                    let ms = u64::try_from(asked.elapsed().as_millis()).unwrap();
                    slowest.fetch_max(ms, Relaxed);
                    count.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let rate = count.load(Relaxed) as f64 / started.elapsed().as_secs_f64();
    (rate, slowest.load(Relaxed))
}

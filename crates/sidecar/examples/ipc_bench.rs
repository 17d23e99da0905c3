//! Round trips and throughput through IPC at both ends, over one link: two sidecars and two clients, four processes.
//!
//! `cargo run --release -p seamesh-sidecar --example ipc_bench`
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use seamesh_client::Credential;
use seamesh_sidecar::Options;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Round trips measured.
const ROUND_TRIPS: usize = 5_000;

/// How long each throughput run sends.
const SEND_FOR: Duration = Duration::from_secs(2);

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("sidecar") => sidecar(&args[2], &args[3], &args[4]),
        Some("echo") => echo(Path::new(&args[2])),
        _ => bench(),
    }
}

/// A child that ends with its handle.
struct Process(Child);

impl Process {
    fn print_memory(&self) -> Outcome<()> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find(|l| l.starts_with("VmRSS"));
        println!("sidecar memory: {}", line.unwrap_or_default());
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(args: &[&str]) -> Outcome<Process> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(args)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    Ok(Process(child))
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

fn sidecar(registry: &str, name: &str, socket: &str) -> Outcome<()> {
    let options = Options {
        registry: registry.parse()?,
        identity: None,
        allow_unidentified: true,
        credential: Credential::ApiKey(format!("key-{name}")),
        socket: PathBuf::from(socket),
        udp: None,
        relay_only: false,
        test_control: None,
    };
    let tell = |told| {
        if let seamesh_sidecar::Told::Ready(_) = told {
            println!("ready");
        }
    };
    Ok(runtime()?.block_on(seamesh_sidecar::run(options, tell, std::future::pending()))?)
}

fn hello(socket: &Path, name: &str) -> Outcome<(UnixStream, BufReader<UnixStream>)> {
    let mut stream = UnixStream::connect(socket)?;
    let hello = format!(
        "{{\"type\":\"hello\",\"payload\":{{\"version\":1,\"agent\":{{\"agent_id\":\"{name}\"}}}}}}\n"
    );
    stream.write_all(hello.as_bytes())?;
    let mut reader = BufReader::with_capacity(1 << 18, stream.try_clone()?);
    let mut line = String::new();
    while !line.contains("peer_connected") {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err("the sidecar hung up".into());
        }
    }
    Ok((stream, reader))
}

fn message(to: &str, kind: &str, bytes: usize) -> Vec<u8> {
    let text = "x".repeat(bytes);
    format!(
        "{{\"type\":\"send\",\"payload\":{{\"target_peer\":\"{to}\",\"message\":{{\"type\":\"{kind}\",\"payload\":\"{text}\"}}}}}}\n"
    )
    .into_bytes()
}

/// Answers `echo` with `echo`; counts `data` and tells the count when `end` comes.
fn echo(socket: &Path) -> Outcome<()> {
    println!("ready");
    let (mut stream, mut reader) = hello(socket, "bob")?;
    let answer = message("a", "echo", 100);
    let (mut line, mut count) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let head = &line[..line.len().min(90)];
        let has = |kind: &[u8]| head.windows(kind.len()).any(|w| w == kind);
        if has(b"\"data\"") {
            count += 1;
        } else if has(b"\"echo\"") {
            stream.write_all(&answer)?;
        } else if has(b"\"end\"") {
            stream.write_all(&message("a", &format!("count-{count}"), 1))?;
            count = 0;
        }
    }
}

fn bench() -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let keys = r#"{"keys":{"key-a":{"peer_id":"a","role":"agent"},"key-b":{"peer_id":"b","role":"agent"}}}"#;
    std::fs::write(dir.path().join("keys.json"), keys)?;
    let options = seamesh_registry::Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data: dir.path().join("data"),
        api_keys: Some(dir.path().join("keys.json")),
        ..Default::default()
    };
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> Result<(), String> {
        let runtime = runtime().map_err(|e| e.to_string())?;
        let ready = |r: &seamesh_registry::Ready| drop(tell.send(r.url.clone()));
        let run = seamesh_registry::run(options, ready, std::future::pending());
        runtime.block_on(run).map_err(|e| e.to_string())
    });
    let url = told.recv()?;
    let socket = |name: &str| dir.path().join(name).join("s");
    let path = |name: &str| socket(name).display().to_string();
    let start = Instant::now();
    let a = spawn(&["sidecar", &url, "a", &path("a")])?;
    let b = spawn(&["sidecar", &url, "b", &path("b")])?;
    let _echo = spawn(&["echo", &path("b")])?;
    let (mut stream, mut reader) = hello(&socket("a"), "alice")?;
    println!(
        "two sidecars, from their start to an open link: {} ms",
        start.elapsed().as_millis()
    );
    for process in [&a, &b] {
        process.print_memory()?;
    }
    round_trips(&mut stream, &mut reader)?;
    for bytes in [100, 1024, 16 * 1024] {
        throughput(&stream, &mut reader, bytes)?;
    }
    Ok(())
}

fn round_trips(stream: &mut UnixStream, reader: &mut impl BufRead) -> Outcome<()> {
    let ask = message("b", "echo", 100);
    let mut times = Vec::new();
    let mut line = Vec::new();
    for n in 0..ROUND_TRIPS + 200 {
        let start = Instant::now();
        stream.write_all(&ask)?;
        line.clear();
        reader.read_until(b'\n', &mut line)?;
        if n >= 200 {
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100].as_micros();
    println!("round trip 100 B: p50 {} us, p99 {} us", at(50), at(99));
    Ok(())
}

fn throughput(stream: &UnixStream, reader: &mut impl BufRead, bytes: usize) -> Outcome<()> {
    let one = message("b", "data", bytes);
    let batch = one.repeat((64 * 1024 / one.len()).max(1));
    let per_batch = (batch.len() / one.len()) as u64;
    let mut stream = stream;
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < SEND_FOR {
        stream.write_all(&batch)?;
        sent += per_batch;
    }
    stream.write_all(&message("b", "end", 1))?;
    let mut line = String::new();
    reader.take(1 << 20).read_line(&mut line)?;
    let elapsed = start.elapsed().as_secs_f64();
    let is_whole = line.contains(&format!("\"count-{sent}\""));
    println!(
        "{bytes:>6} B: {:>9.0} messages/s, {:>6.1} MB/s, {}",
        sent as f64 / elapsed,
        sent as f64 * bytes as f64 / elapsed / 1e6,
        if is_whole { "none lost" } else { line.trim() }
    );
    Ok(())
}

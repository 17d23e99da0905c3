//! Attackers with a credential: sockets that only sit there and sockets that send garbage. What is left of an honest
//! agent's latency, and what the registry's memory grows to.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seamesh_agent::{Agent, Ctx, SkillError};
use seamesh_harness::Mesh;
use seamesh_proto::Payload;
use seamesh_proto::rest::Role;
use seamesh_proto::task::SubmitTask;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::measure::{median, ms, percentile};
use crate::report::{Goal, Metric};

/// Sockets that only answer pings.
const IDLE: usize = 1_000;
/// Sockets that send garbage, and come back when they are closed for it.
const GARBAGE: usize = 200;
/// Between two frames of one of them.
const FRAME_EVERY: Duration = Duration::from_millis(10);
/// Before one that was closed comes back.
const BACK_AFTER: Duration = Duration::from_millis(500);
/// Bytes of each frame.
const FRAME_BYTES: u16 = 1_024;
/// Tasks timed in each run.
const TASKS: usize = 200;
/// File descriptors of a process that holds all of them, with some to spare.
const DESCRIPTORS: u64 = 4_096;
/// How long all sockets together may take to open.
const OPEN_CAP: Duration = Duration::from_secs(60);

const TIMES_SLOWER: f64 = 2.0;
const REGISTRY_MB: f64 = 150.0;

/// Where and as whom a process of its own attacks: what it costs is not the honest agent's.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AttackerArgs {
    /// The registry.
    address: SocketAddr,
}

/// Measures an honest agent without attackers, then with them.
pub(crate) async fn run(runs: usize, show: &mut impl FnMut(Metric)) -> Result<()> {
    raise_descriptors()?;
    let mesh = Mesh::start().await?;
    let sidecar = mesh.sidecar("honest").await?;
    let agent = Agent::new("honest").skill("work", |_: Ctx, _: serde_json::Value| async {
        Ok::<_, SkillError>(1)
    });
    let socket = sidecar.socket.clone();
    let serving = tokio::spawn(async move { agent.run(&socket).await });
    // Not timed: the first finds everything cold.
    latencies(&mesh).await?;
    let alone = many(&mesh, runs).await?;
    let attackers = Attackers::start(&mesh).await?;
    let attacked = many(&mesh, runs).await?;
    let mb = mesh.registry.resident_bytes() as f64 / 1e6;
    drop(attackers);
    serving.abort();
    for (name, share, goal) in [
        ("task_p50_with_attackers", 0.5, Goal::Under(TIMES_SLOWER)),
        ("task_p99_with_attackers", 0.99, Goal::None),
    ] {
        let of = |runs: &[Vec<f64>]| -> Vec<f64> {
            runs.iter().map(|run| percentile(run, share)).collect()
        };
        let before = median(&of(&alone));
        let times: Vec<f64> = of(&attacked).iter().map(|ms| ms / before).collect();
        let metric = Metric::of_runs("attack", name, times, "times", goal);
        show(metric.beside(&[("without_them_ms", before)].into()));
    }
    let goal = Goal::Under(REGISTRY_MB);
    show(Metric::of_runs(
        "attack",
        "registry_memory",
        vec![mb],
        "MB",
        goal,
    ));
    Ok(())
}

async fn many(mesh: &Mesh, runs: usize) -> Result<Vec<Vec<f64>>> {
    let mut all = Vec::new();
    for _ in 0..runs {
        all.push(latencies(mesh).await?);
    }
    Ok(all)
}

/// From the submit of a task to its result, one after the other, in milliseconds.
async fn latencies(mesh: &Mesh) -> Result<Vec<f64>> {
    let task = SubmitTask {
        skill: "work".to_owned(),
        payload: Payload::new(json!({})),
        ..SubmitTask::default()
    };
    let mut times = Vec::new();
    for _ in 0..TASKS {
        let asked = Instant::now();
        let id = mesh.admin().submit(&task).await?;
        let task = mesh.admin().wait(&id, Duration::from_secs(30)).await?;
        ensure!(task.state.is_terminal(), "a task did not end: {task:?}");
        times.push(ms(asked.elapsed()));
    }
    Ok(times)
}

/// The process of the attackers, for as long as it lives.
struct Attackers(#[expect(dead_code, reason = "ends with its handle")] Child);

impl Attackers {
    async fn start(mesh: &Mesh) -> Result<Self> {
        let address = mesh.url().trim_start_matches("http://");
        let key = mesh.key("attacker", Role::Agent).await?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["attacker", address])
            .env("SEAMESH_API_KEY", key)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("the attackers' output")?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        timeout(OPEN_CAP, stdout.read_line(&mut line)).await??;
        ensure!(line == "ready\n", "the attackers did not get in: {line:?}");
        Ok(Self(child))
    }
}

/// As many descriptors as the system allows, up to what is needed; processes started from here have them too.
fn raise_descriptors() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    ensure!(
        most >= DESCRIPTORS,
        "needs {DESCRIPTORS} file descriptors; raise `ulimit -Hn`"
    );
    if limit.current.is_some_and(|now| now < DESCRIPTORS) {
        let current = Some(DESCRIPTORS);
        setrlimit(Resource::Nofile, Rlimit { current, ..limit })?;
    }
    Ok(())
}

/// Opens all sockets, says so, and goes on until it is killed.
#[expect(clippy::print_stdout, reason = "says that it is ready")]
pub(crate) fn attack(args: &AttackerArgs) -> Result<()> {
    let key = std::env::var("SEAMESH_API_KEY").context("SEAMESH_API_KEY")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut sockets = JoinSet::new();
        for _ in 0..IDLE {
            sockets.spawn(sit(open(args.address, &key).await?));
        }
        for _ in 0..GARBAGE {
            let first = open(args.address, &key).await?;
            sockets.spawn(litter(first, args.address, key.clone()));
        }
        println!("ready");
        while let Some(ended) = sockets.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    })
}

/// A signaling socket, by hand: nothing of a client's good manners is in it.
async fn open(address: SocketAddr, key: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET /ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-api-key: {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    ensure!(head.starts_with("HTTP/1.1 101"), "not let in: {head}");
    Ok(stream)
}

/// Answers whatever comes with a pong (RFC 6455, section 5.5.3), masked with nothing.
async fn sit(mut stream: TcpStream) -> Result<()> {
    let mut heard = [0; 4096];
    while stream.read(&mut heard).await? > 0 {
        stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await?;
    }
    anyhow::bail!("the registry closed a socket that answers its pings")
}

/// Sends garbage and reads nothing. Closed for it, it comes back.
async fn litter(mut stream: TcpStream, address: SocketAddr, key: String) -> Result<()> {
    let [high, low] = FRAME_BYTES.to_be_bytes();
    let mut frame = vec![0x81, 0xfe, high, low, 0, 0, 0, 0];
    frame.resize(frame.len() + usize::from(FRAME_BYTES), b'{');
    let mut ticks = interval(FRAME_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if stream.write_all(&frame).await.is_ok() {
            continue;
        }
        // Refused for now, perhaps: it goes on trying.
        loop {
            sleep(BACK_AFTER).await;
            if let Ok(again) = open(address, &key).await {
                stream = again;
                break;
            }
        }
    }
}

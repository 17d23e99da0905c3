//! The durable queue: submits, whole tasks, the way to a handler, and what a long history costs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use seamesh_agent::{Agent, Ctx, SkillError};
use seamesh_harness::Mesh;
use seamesh_proto::Payload;
use seamesh_proto::rest::Role;
use seamesh_proto::task::SubmitTask;
use serde_json::json;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::ceilings;
use crate::measure::{Stolen, cpu_time, median, ms, percentile, us};
use crate::report::{Goal, Metric};
use crate::rest_load::{CONNECTIONS, FIRST_NUMBER, Rate, Submitter, Target, submits_per_s};
use crate::worker::Worker;

const SUBMITS_PER_S: f64 = 20_000.0;
const TASKS_PER_S: f64 = 8_000.0;
const TASK_P99_MS: f64 = 20.0;
const START_P50_MS: f64 = 1.5;
/// With the history both rates keep this share.
const SHARE_WITH_HISTORY: f64 = 0.9;
const REGISTRY_MB: f64 = 100.0;

/// Ended tasks in the long history.
const HISTORY: usize = 1_000_000;
/// Registered agents and live tasks of the memory bench.
const AGENTS: usize = 1_000;
const LIVE: usize = 10_000;

/// A run measures the machine's host and not us when more than this share of the processors went elsewhere: it is
/// repeated after a rest, so many times in all. What then still was taken is shown beside the numbers.
const MAX_STOLEN: f64 = 0.03;
const REST: Duration = Duration::from_secs(5);
const REPEATS: usize = 24;

/// How long one run of a load lasts.
const RUN: Duration = Duration::from_secs(1);
/// Tasks timed on their way to a handler, per run.
const STARTS: usize = 300;

/// Runs every queue bench.
pub(crate) async fn run(runs: usize, show: &mut impl FnMut(Metric)) -> Result<()> {
    let mesh = Mesh::start().await?;
    let fresh = rates(&mesh, runs).await?;
    fresh.show(show);
    starts(&mesh, runs, show).await?;
    drop(mesh);

    let mesh = Mesh::start().await?;
    let history = mesh.client("historian", Role::Agent).await?;
    let mut historian = Worker::connect(&history, "history").await?;
    historian.make_history(mesh.admin(), HISTORY).await?;
    let old = rates(&mesh, runs).await?;
    let goal = Goal::Over(SHARE_WITH_HISTORY);
    for (name, now, before) in [
        ("durable_submits", &old.submits, &fresh.submits),
        ("whole_tasks", &old.tasks, &fresh.tasks),
    ] {
        let share = vec![median(now) / median(before)];
        let metric = Metric::of_runs(
            "queue",
            format!("{name}_with_history"),
            share,
            "share",
            goal,
        );
        show(metric.beside(&BTreeMap::from([
            ("with_history_per_s", median(now)),
            ("cpu_loop_per_s", median(&old.cpu_loops)),
        ])));
    }
    drop(mesh);
    memory(show).await
}

/// Submits and whole tasks alone, on a fresh mesh: what to profile.
pub(crate) async fn rates_only(runs: usize, show: &mut impl FnMut(Metric)) -> Result<()> {
    let mesh = Mesh::start().await?;
    rates(&mesh, runs).await?.show(show);
    Ok(())
}

/// What the runs of both loads measured.
#[derive(Default)]
struct Rates {
    disk: BTreeMap<&'static str, f64>,
    /// What the machine's processor gave beside each run.
    cpu_loops: Vec<f64>,
    /// What of it the host took away in each run.
    stolen: Vec<f64>,
    submits: Vec<f64>,
    submit_cpu_us: Vec<f64>,
    tasks: Vec<f64>,
    task_cpu_us: Vec<f64>,
    task_p99_ms: Vec<f64>,
}

impl Rates {
    fn show(&self, show: &mut impl FnMut(Metric)) {
        let mut machine = self.disk.clone();
        machine.insert("cpu_loop_per_s", median(&self.cpu_loops));
        machine.insert("stolen_share", median(&self.stolen));
        let mut one = |name: &str, runs: &[f64], unit, goal| {
            let metric = Metric::of_runs("queue", name, runs.to_vec(), unit, goal);
            show(metric.beside(&machine));
        };
        let goal = Goal::Over(SUBMITS_PER_S);
        one("durable_submits", &self.submits, "1/s", goal);
        one("submit_registry_cpu", &self.submit_cpu_us, "us", Goal::None);
        one("whole_tasks", &self.tasks, "1/s", Goal::Over(TASKS_PER_S));
        one("task_registry_cpu", &self.task_cpu_us, "us", Goal::None);
        let goal = Goal::Under(TASK_P99_MS);
        one("whole_task_p99", &self.task_p99_ms, "ms", goal);
    }
}

/// Submits alone and whole tasks, in turn.
async fn rates(mesh: &Mesh, runs: usize) -> Result<Rates> {
    let folder = mesh.directory().to_owned();
    let mut rates = Rates {
        disk: tokio::task::spawn_blocking(move || ceilings::disk(&folder)).await??,
        ..Rates::default()
    };
    let target = target(mesh).await?;
    let worker = mesh.client("worker", Role::Agent).await?;
    let worker = Worker::connect(&worker, "work").await?;
    let (ended, ends) = mpsc::unbounded_channel();
    let mut serving = tokio::spawn(worker.serve(ended));
    let ends = Arc::new(Mutex::new(ends));
    let cpu = |count: usize, since: Duration| {
        us(cpu_time(mesh.registry.pid()).saturating_sub(since)) / count.max(1) as f64
    };
    let mut repeats = REPEATS;
    while rates.submits.len() < runs {
        let stolen = Stolen::start();
        let cpu_loops = ceilings::cpu_loops_per_s();
        let before = cpu_time(mesh.registry.pid());
        let tasks = tokio::select! {
            tasks = whole_tasks(&target, &ends) => tasks?,
            // It serves until it is dropped.
            stopped = &mut serving => {
                stopped?.context("the worker stopped")?;
                bail!("the worker stopped");
            }
        };
        let task_cpu = cpu(tasks.rate.count, before);
        let before = cpu_time(mesh.registry.pid());
        let submits = submits_per_s(&target, RUN).await?;
        let submit_cpu = cpu(submits.count, before);
        let stolen = stolen.share();
        if stolen > MAX_STOLEN && repeats > 0 {
            repeats -= 1;
            tokio::time::sleep(REST).await;
            continue;
        }
        rates.cpu_loops.push(cpu_loops);
        rates.stolen.push(stolen);
        rates.task_cpu_us.push(task_cpu);
        rates.tasks.push(tasks.rate.per_s);
        rates.task_p99_ms.push(tasks.p99_ms);
        rates.submit_cpu_us.push(submit_cpu);
        rates.submits.push(submits.per_s);
    }
    serving.abort();
    Ok(rates)
}

/// What one run of whole tasks measured.
struct Tasks {
    rate: Rate,
    p99_ms: f64,
}

async fn target(mesh: &Mesh) -> Result<Target> {
    let address = mesh.url().trim_start_matches("http://");
    Ok(Target {
        address: address.parse().context("the registry's address")?,
        key: mesh.key("load", Role::Operator).await?,
    })
}

/// Every connection submits its next task when the last one's acceptance is durable and at most one of its tasks has no
/// durable result yet: who uses a queue does not wait for the work before it hands in more.
async fn whole_tasks(
    target: &Target,
    ends: &Arc<Mutex<mpsc::UnboundedReceiver<crate::worker::Ended>>>,
) -> Result<Tasks> {
    type Waiting = Arc<std::sync::Mutex<BTreeMap<usize, oneshot::Sender<Instant>>>>;
    let waiting = Waiting::default();
    let next = Arc::new(AtomicUsize::new(FIRST_NUMBER));
    let start = Instant::now();
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut submitter = Submitter::connect(target, "work").await?;
        let (waiting, next) = (waiting.clone(), next.clone());
        connections.spawn(async move {
            let mut times = Vec::new();
            let mut before: Option<(Instant, oneshot::Receiver<Instant>)> = None;
            while start.elapsed() < RUN {
                let n = next.fetch_add(1, Relaxed);
                let (tell, told) = oneshot::channel();
                locked(&waiting).insert(n, tell);
                let asked = Instant::now();
                submitter.submit(n).await?;
                if let Some((asked, told)) = before.replace((asked, told)) {
                    times.push(ms(told.await?.duration_since(asked)));
                }
            }
            if let Some((asked, told)) = before {
                times.push(ms(told.await?.duration_since(asked)));
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    let mut ends = ends.lock().await;
    loop {
        tokio::select! {
            Some((n, at)) = ends.recv() => {
                if let Some(tell) = locked(&waiting).remove(&n) {
                    // A connection that failed is told of by its own error.
                    let _ = tell.send(at);
                }
            }
            done = connections.join_next() => match done {
                Some(done) => times.extend(done.context("a connection's task")??),
                None => break,
            },
        }
    }
    Ok(Tasks {
        rate: Rate {
            count: times.len(),
            per_s: times.len() as f64 / start.elapsed().as_secs_f64(),
        },
        p99_ms: percentile(&times, 0.99),
    })
}

fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Started {}

/// From the submit of a task to the start of its handler, through registry, sidecar and agent.
async fn starts(mesh: &Mesh, runs: usize, show: &mut impl FnMut(Metric)) -> Result<()> {
    let sidecar = mesh.sidecar("starter").await?;
    let (started, mut starts) = mpsc::unbounded_channel();
    let agent = Agent::new("starter").skill("start", move |_: Ctx, _: Started| {
        let started = started.clone();
        async move {
            let _ = started.send(Instant::now());
            Ok::<_, SkillError>(1)
        }
    });
    let socket = sidecar.socket.clone();
    let serving = tokio::spawn(async move { agent.run(&socket).await });
    let task = SubmitTask {
        skill: "start".to_owned(),
        payload: Payload::new(json!({})),
        ..SubmitTask::default()
    };
    let mut p50 = Vec::new();
    for _ in 0..runs {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let asked = Instant::now();
            mesh.admin().submit(&task).await?;
            let at = starts.recv().await.context("the agent ended")?;
            times.push(ms(at.duration_since(asked)));
        }
        p50.push(median(&times));
    }
    serving.abort();
    show(Metric::of_runs(
        "queue",
        "submit_to_handler_p50",
        p50,
        "ms",
        Goal::Under(START_P50_MS),
    ));
    Ok(())
}

/// The registry's memory with many agents, live tasks and a long history.
pub(crate) async fn memory(show: &mut impl FnMut(Metric)) -> Result<()> {
    let mesh = Mesh::start().await?;
    let crowd = mesh.client("crowd", Role::Agent).await?;
    for n in 0..AGENTS {
        let agent = serde_json::from_value(json!({
            "agent_id": format!("agent-{n}"), "hostname": "bench",
            "capabilities": { "skills": [format!("skill-{}", n % 100), "common"] },
        }))?;
        crowd.register_agent(&agent).await?;
    }
    let mut historian =
        Worker::connect(&mesh.client("historian", Role::Agent).await?, "history").await?;
    historian.make_history(mesh.admin(), HISTORY).await?;
    let target = target(&mesh).await?;
    let mut submitter = Submitter::connect(&target, "nobody").await?;
    for n in 0..LIVE {
        submitter.submit(FIRST_NUMBER + n).await?;
    }
    let mb = mesh.registry.resident_bytes() as f64 / 1e6;
    show(Metric::of_runs(
        "queue",
        "registry_memory",
        vec![mb],
        "MB",
        Goal::Under(REGISTRY_MB),
    ));
    Ok(())
}

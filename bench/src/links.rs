//! Links through IPC at both ends, four processes; and twenty sidecars at once.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use seamesh_harness::{Mesh, Sidecar, binaries};
use seamesh_proto::rest::Role;
use tokio::process::Command;

use crate::ipc_client::Measured;
use crate::measure::{MIN_RUNS, ms};
use crate::report::{Goal, Metric};
use crate::{ceilings, measure};

const ROUND_TRIPS: usize = 2_000;

/// Size of a message in bytes, how many to send, and the goal: messages per second at 100 B, MB/s above.
const THROUGHPUT: [(usize, usize, f64); 3] = [
    (100, 300_000, 100_000.0),
    (1024, 100_000, 60.0),
    (16_384, 20_000, 150.0),
];

/// Round trip and throughput between two native clients, and between two Python agents.
pub(crate) async fn run(runs: usize, show: &mut impl FnMut(Metric)) -> Result<()> {
    let trips = ceilings_off_the_runtime(ceilings::round_trips).await?;
    let mesh = Mesh::start().await?;
    let (near, far) = tokio::try_join!(mesh.sidecar("near"), mesh.sidecar("far"))?;
    mesh.wait_links(1).await?;

    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let echo = client(&far, "echo", &[])?;
        let measured = measured(
            &near,
            "ping",
            &[("peer", "far"), ("count", &ROUND_TRIPS.to_string())],
        )
        .await?;
        stop(echo).await?;
        p50.push(measured.p50_us);
        p99.push(measured.p99_us);
    }
    show(
        Metric::of_runs(
            "links",
            "native_round_trip_p50",
            p50,
            "us",
            Goal::Under(250.0),
        )
        .beside(&trips),
    );
    show(Metric::of_runs("links", "native_round_trip_p99", p99, "us", Goal::None).beside(&trips));

    let python = python_round_trips(&mesh, &near, &far, runs).await?;
    show(
        Metric::of_runs(
            "links",
            "python_round_trip_p50",
            python,
            "us",
            Goal::Under(450.0),
        )
        .beside(&trips),
    );

    let streams = ceilings_off_the_runtime(ceilings::throughput).await?;
    for (size, count, goal) in THROUGHPUT {
        throughput(&near, &far, runs, (size, count, goal), &streams, show).await?;
    }
    Ok(())
}

async fn throughput(
    near: &Sidecar,
    far: &Sidecar,
    runs: usize,
    (size, count, goal): (usize, usize, f64),
    beside: &BTreeMap<&'static str, f64>,
    show: &mut impl FnMut(Metric),
) -> Result<()> {
    let (mut values, mut lost) = (Vec::new(), 0);
    let unit = if size == 100 { "msg/s" } else { "MB/s" };
    for _ in 0..runs {
        let sink = client(far, "sink", &[])?;
        let options = [
            ("peer", "far"),
            ("count", &*count.to_string()),
            ("size", &*size.to_string()),
        ];
        let measured = measured(near, "flood", &options).await?;
        stop(sink).await?;
        values.push(if size == 100 {
            measured.messages_per_s
        } else {
            measured.mb_per_s
        });
        lost += measured.lost;
    }
    show(
        Metric::of_runs(
            "links",
            format!("one_way_{size}B"),
            values,
            unit,
            Goal::Over(goal),
        )
        .beside(beside),
    );
    show(Metric::of_runs(
        "links",
        format!("one_way_{size}B_lost"),
        vec![lost as f64],
        "messages",
        Goal::Under(0.5),
    ));
    Ok(())
}

/// Round trips between two Python agents on the SDK, p50 of each run.
async fn python_round_trips(
    mesh: &Mesh,
    near: &Sidecar,
    far: &Sidecar,
    runs: usize,
) -> Result<Vec<f64>> {
    let folder = binaries::project().join("bench/python");
    let mut values = Vec::new();
    for _ in 0..runs {
        let mut echo = mesh.python_agent("echo", &folder.join("echo.py"), far)?;
        let mut ping = Command::new(binaries::python()?);
        ping.arg(folder.join("ping.py"))
            .arg("far")
            .arg(ROUND_TRIPS.to_string());
        ping.env("SEAMESH_SOCKET", &near.socket);
        let output = ping.output().await?;
        ensure!(
            output.status.success(),
            "ping.py failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        echo.kill().await?;
        values.push(
            serde_json::from_slice::<Measured>(&output.stdout)
                .context("ping.py's result")?
                .p50_us,
        );
    }
    Ok(values)
}

/// Twenty sidecars started at once: every link, both ends, a message each way.
pub(crate) async fn mesh(runs: usize, show: &mut impl FnMut(Metric)) -> Result<()> {
    const SIDECARS: usize = 20;
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..runs.max(if runs == MIN_RUNS { 20 } else { runs }) {
        let mesh = Mesh::start().await?;
        let names: Vec<String> = (0..SIDECARS).map(|n| format!("s{n:02}")).collect();
        let mut keys = Vec::new();
        for name in &names {
            keys.push(mesh.key(name, Role::Agent).await?);
        }
        let begin = Instant::now();
        let mut sidecars = Vec::new();
        for (name, key) in names.iter().zip(keys) {
            sidecars.push(mesh.sidecar_with_key(name, key).await?);
        }
        let mut greeters = Vec::new();
        for sidecar in &sidecars {
            let peers = names.iter().filter(|n| **n != sidecar.peer_id.as_str());
            let options: Vec<_> = peers.map(|n| ("peer", n.as_str())).collect();
            greeters.push(
                command(sidecar, "greet", &options)?
                    .stdout(std::process::Stdio::null())
                    .spawn()?,
            );
        }
        for mut greeter in greeters {
            ensure!(
                greeter.wait().await?.success(),
                "a sidecar was not linked with every other\n{}",
                mesh.log_tails()
            );
        }
        times.push(ms(begin.elapsed()));
        let rss: Vec<_> = sidecars
            .iter()
            .map(|s| s.process.resident_bytes() as f64 / 1e6)
            .collect();
        memory.push(measure::percentile(&rss, 1.0));
    }
    let runs_ok = times.len() as f64;
    show(Metric::worst_of(
        "mesh",
        "all_190_links_worst",
        times,
        "ms",
        Goal::Under(3_000.0),
    ));
    show(Metric::of_runs(
        "mesh",
        "runs_with_every_link",
        vec![runs_ok],
        "runs",
        Goal::None,
    ));
    show(Metric::worst_of(
        "mesh",
        "largest_sidecar",
        memory,
        "MB",
        Goal::Under(15.0),
    ));
    Ok(())
}

/// A client in a process of its own: this program again.
fn command(sidecar: &Sidecar, role: &str, options: &[(&str, &str)]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("client")
        .arg("--socket")
        .arg(&sidecar.socket)
        .args(["--role", role]);
    for (name, value) in options {
        command.arg(format!("--{name}")).arg(value);
    }
    command.kill_on_drop(true);
    Ok(command)
}

fn client(
    sidecar: &Sidecar,
    role: &str,
    options: &[(&str, &str)],
) -> Result<tokio::process::Child> {
    Ok(command(sidecar, role, options)?.spawn()?)
}

async fn measured(sidecar: &Sidecar, role: &str, options: &[(&str, &str)]) -> Result<Measured> {
    let output = command(sidecar, role, options)?.output().await?;
    ensure!(
        output.status.success(),
        "the client failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("the client's result")
}

async fn stop(mut child: tokio::process::Child) -> Result<()> {
    child.kill().await?;
    Ok(())
}

/// The ceilings run their own runtimes on threads of their own.
async fn ceilings_off_the_runtime(
    take: fn() -> Result<BTreeMap<&'static str, f64>>,
) -> Result<BTreeMap<&'static str, f64>> {
    tokio::task::spawn_blocking(take).await?
}

//! A mesh under load while its processes are killed and paused: the history of every run keeps every promise.
//!
//! `SEAMESH_CHAOS_ROUNDS` and `SEAMESH_CHAOS_SEED` choose another run. A run that breaks a promise leaves its history
//! behind, one fact a line.

mod load;
mod schedule;
mod stage;

use std::time::Duration;

use anyhow::{Context, Result};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use seamesh_sim::history::{History, check};
use seamesh_tests::Checked;

use load::Load;
use schedule::{long_pause, round};
use stage::Stage;

/// Rounds of a run: as many as fit into the time an end-to-end test may take.
const ROUNDS: u64 = 4;

/// The schedule of the run that everybody makes.
const SEED: u64 = 1;

/// Longest the healed mesh may take until every task has ended. A cap, not a wait.
const HEALED_CAP: Duration = Duration::from_secs(60);

fn number(variable: &str, default: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().context(variable.to_owned()),
        Err(_) => Ok(default),
    }
}

#[tokio::test]
async fn a_mesh_whose_processes_are_killed_and_paused_keeps_every_promise() -> Checked {
    let rounds = number("SEAMESH_CHAOS_ROUNDS", ROUNDS)?;
    let seed = number("SEAMESH_CHAOS_SEED", SEED)?;
    println!("chaos: SEAMESH_CHAOS_SEED={seed} SEAMESH_CHAOS_ROUNDS={rounds}");
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let mut stage = Stage::start().await?;
    let mut load = Load::start(&stage, seed).await?;
    for n in 0..rounds {
        let faults = round(&mut rng, stage.agents());
        println!("chaos: round {n}: {faults:?}");
        stage.play(&faults).await?;
    }
    let fault = long_pause(&mut rng, stage.agents());
    println!("chaos: last round: {fault:?}");
    stage.play(&[fault]).await?;
    let ended = tokio::time::timeout(HEALED_CAP, load.end()).await;
    let mut history = load.history();
    stage.end(&mut history).await?;
    let found = check(&history);
    println!("chaos: {} facts, {}", history.facts().len(), load.told());
    if !found.is_empty() || !matches!(ended, Ok(Ok(()))) {
        let file = keep(&history, seed)?;
        let listed: Vec<_> = found.iter().map(ToString::to_string).collect();
        panic!(
            "seed {seed}, {rounds} rounds: the history is in {}; ended: {ended:?}; violations:\n{}",
            file.display(),
            listed.join("\n")
        );
    }
    assert!(load.completed() > 0, "work was done at all");
    Ok(())
}

/// Writes a history that somebody has to look at.
fn keep(history: &History, seed: u64) -> Result<std::path::PathBuf> {
    let file =
        std::env::temp_dir().join(format!("seamesh-chaos-{seed}-{}.jsonl", std::process::id()));
    std::fs::write(&file, history.to_lines())?;
    Ok(file)
}

//! The hub's tests on a real mesh: what there are, and many runs of them at once. A browser takes longer to start than a
//! test takes in it, so that all runs of a batch share a few.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

use super::trial::{Case, End, How, Outcome, Trial, watched};
use crate::step::{Countdown, command, stdout_of};

/// The longest that one run may take beside others, before the whole batch is ended.
const LONGEST_RUN: Duration = Duration::from_secs(60);

/// The shortest cap on what a test waits for while a fault is planted.
const SHORTEST_CAP: Duration = Duration::from_secs(4);

/// The hub's tests on a real mesh.
pub(super) fn cases() -> Result<Vec<Case>> {
    #[derive(Deserialize)]
    struct Suite {
        #[serde(default)]
        specs: Vec<Spec>,
        #[serde(default)]
        suites: Vec<Suite>,
    }
    #[derive(Deserialize)]
    struct Spec {
        title: String,
        file: String,
    }
    fn all(suite: Suite, cases: &mut Vec<Case>) {
        cases.extend(suite.specs.into_iter().map(|spec| Case {
            name: format!(
                "hub::{}::{}",
                spec.file,
                spec.title.replace([' ', '/'], "-")
            ),
            how: How::Browser(spec.title),
        }));
        for inner in suite.suites {
            all(inner, cases);
        }
    }
    let listed = stdout_of(playwright().args(["--list", "--reporter=json"]))?;
    let top: Suite = serde_json::from_str(&listed).context("what Playwright lists")?;
    let mut cases = Vec::new();
    all(top, &mut cases);
    anyhow::ensure!(!cases.is_empty(), "Playwright lists no test on a real mesh");
    let mut titles = BTreeSet::new();
    for case in &cases {
        // The runs of a batch are told apart by it.
        let is_new = matches!(&case.how, How::Browser(title) if titles.insert(title));
        anyhow::ensure!(is_new, "{}: another test has this title", case.name);
    }
    Ok(cases)
}

fn playwright() -> Command {
    let hub = crate::root().join("hub");
    let mut run = command(hub.join("node_modules/.bin/playwright"), &hub);
    run.args(["test", "--project=live"]).env("NO_COLOR", "1");
    run
}

/// Runs that share browsers. Either all of them are capped or none.
pub(super) struct Batch<'a> {
    pub(super) trials: Vec<&'a Trial<'a>>,
    /// Browsers at the same time.
    pub(super) workers: usize,
}

/// How a run ended, as `hub/tests/e2e/live/seam-hook.ts` writes it.
#[derive(Deserialize)]
struct Ended {
    run: usize,
    status: String,
    ms: u64,
}

impl Batch<'_> {
    /// Runs them, and says what became of each, in their order. `log` names files that are this batch's own.
    pub(super) fn run(
        &self,
        log: &Path,
        env: &[(&str, PathBuf)],
        cap: impl Fn(Duration) -> Duration,
        done: &Countdown,
    ) -> Result<Vec<Outcome>> {
        if self.trials.is_empty() {
            return Ok(Vec::new());
        }
        let batch = log.with_extension("batch");
        let ended = log.with_extension("batch.ended");
        let output = log.with_extension("browser");
        let mut runs = Vec::new();
        for trial in &self.trials {
            let How::Browser(title) = &trial.case.how else {
                anyhow::bail!("{} is no test in a browser", trial.case.name);
            };
            runs.push(json!({"title": title, "fault": trial.fault, "records": trial.records}));
        }
        std::fs::write(&batch, serde_json::to_string(&runs)?)?;
        let mut run = playwright();
        run.args(["--fully-parallel", "--trace=off", "--reporter=line"])
            .arg(format!("--workers={}", self.workers))
            .arg("--output")
            .arg(&output)
            .envs(env.iter().map(|(k, v)| (*k, v)))
            .env("SEAMESH_SEAM_BATCH", &batch);
        if let Some(took) = self.trials.iter().filter_map(|t| t.capped).max() {
            // A test has many waits, and most of its length is none of them.
            let cap = SHORTEST_CAP.max(cap(took) / 8);
            run.env("SEAMESH_TEST_CAP_MS", cap.as_millis().to_string());
        }
        let mut told = 0;
        let life = LONGEST_RUN * u32::try_from(self.trials.len().div_ceil(self.workers) + 1)?;
        watched(&mut run, log, life, || {
            let lines = std::fs::read_to_string(&ended).unwrap_or_default();
            let lines = lines.lines().count();
            (told..lines).for_each(|_| done.one());
            told = lines.max(told);
            Ok(())
        })?;
        let text = std::fs::read_to_string(log).unwrap_or_default();
        // What wrote nothing did not come to its end.
        let never = Outcome {
            end: End::Killed,
            took: life,
            text,
        };
        let mut outcomes = vec![never; self.trials.len()];
        for line in std::fs::read_to_string(&ended).unwrap_or_default().lines() {
            let ended: Ended = serde_json::from_str(line).context("what a batch wrote")?;
            let outcome = outcomes.get_mut(ended.run).context("a run of this batch")?;
            outcome.took = Duration::from_millis(ended.ms);
            outcome.end = match ended.status.as_str() {
                "passed" => End::Passed,
                "failed" => End::Failed,
                _ => End::Killed,
            };
        }
        for file in [log, &batch, &ended] {
            let _ = std::fs::remove_file(file);
        }
        let _ = std::fs::remove_dir_all(output);
        Ok(outcomes)
    }
}

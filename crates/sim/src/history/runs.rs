//! A handler runs at most once per attempt, never beside a live lease of an earlier one, and not too often.

use std::collections::BTreeMap;

use seamesh_proto::TaskId;

use super::tasks::{Course, accepted, courses};
use super::{CLOCK_SLACK_MS, History, Run, Violation, What};

pub(super) fn check(history: &History) -> Vec<Violation> {
    let courses = courses(history);
    let accepted = accepted(history);
    let mut found = Vec::new();
    for (task, runs) in runs(history) {
        for (attempt, runs) in &runs {
            if runs.len() > 1 {
                found.push(Violation::RanTwice {
                    task: task.clone(),
                    attempt: *attempt,
                    agents: runs.iter().map(|(_, run)| run.agent.clone()).collect(),
                });
            }
            let course = courses.get(task);
            found.extend(course.and_then(|course| overlap(course, runs)));
        }
        let allowed = accepted.get(task).map(|(_, a)| a.max_attempts);
        let attempts = runs.keys().last().copied().unwrap_or_default();
        if let Some(allowed) = allowed.filter(|allowed| attempts > *allowed) {
            let task = task.clone();
            found.push(Violation::TooManyAttempts {
                task,
                attempts,
                allowed,
            });
        }
    }
    found
}

type Attempts<'a> = BTreeMap<u32, Vec<(u64, &'a Run)>>;

fn runs(history: &History) -> BTreeMap<&TaskId, Attempts<'_>> {
    let mut runs: BTreeMap<&TaskId, Attempts<'_>> = BTreeMap::new();
    for (at_ms, run) in history.pick(|what| match what {
        What::Started(run) => Some(run),
        _ => None,
    }) {
        let attempts = runs.entry(&run.task).or_default();
        attempts.entry(run.attempt).or_default().push((at_ms, run));
    }
    runs
}

/// A run of an attempt to come, while the lease of an earlier one lives. The opposite is no fault of anybody: work that
/// was handed over under a lease that has lapsed since is told to stop, and may have begun before it hears that.
fn overlap(course: &Course<'_>, runs: &[(u64, &Run)]) -> Option<Violation> {
    runs.iter().find_map(|(at_ms, run)| {
        let mut known = course.values();
        let (_, live) = known.rfind(|(told_ms, _)| *told_ms <= at_ms + CLOCK_SLACK_MS)?;
        let is_early = live.lease.is_some() && live.attempt < run.attempt;
        is_early.then(|| Violation::Overlap {
            task: run.task.clone(),
            leased: live.attempt,
            began: run.attempt,
        })
    })
}

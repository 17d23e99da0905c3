//! Planting faults: those that a test must notice, and those that none may.

use anyhow::Result;

use super::report::{Report, Verdict};
use super::trial::{Bench, Case, End, Map};
use std::time::Duration;

/// Tests that are tried for one fault until one notices it.
const TRIED: usize = 8;

/// Tests that must pass with a fault that does not matter.
const DISTURBED: usize = 2;

/// Makes each row deaf, then mute.
///
/// # Errors
/// When a test cannot be started.
pub(super) fn break_rows(bench: &Bench, map: &Map, report: &mut Report) -> Result<()> {
    let jobs = jobs(report, &["deaf", "mute"]);
    let verdicts = bench.each(&jobs, |(row, verb)| {
        let mut verdict = Verdict::Unnoticed;
        for (case, took) in map.of(row).take(TRIED) {
            match bench.trial(case, *took, verb, row)? {
                End::Failed => return Ok(Verdict::Noticed(case.name.clone())),
                End::Killed => verdict = Verdict::OnlyByCap(case.name.clone()),
                End::Passed => {}
            }
        }
        Ok(if map.of(row).next().is_none() {
            Verdict::Unexercised
        } else {
            verdict
        })
    });
    for ((row, verb), verdict) in jobs.iter().zip(verdicts) {
        report.set(row, verb, verdict?);
    }
    Ok(())
}

/// Delivers each row twice, then late.
///
/// # Errors
/// When a test cannot be started.
pub(super) fn disturb_rows(bench: &Bench, map: &Map, report: &mut Report) -> Result<()> {
    let mut jobs = jobs(report, &["twice", "late"]);
    // Nothing between a caller and the registry repeats a request or an answer.
    jobs.retain(|(row, verb)| *verb == "late" || !row.starts_with("rest/"));
    let verdicts = bench.each(&jobs, |(row, verb)| {
        let cases: Vec<&(Case, Duration)> = map.of(row).take(DISTURBED).collect();
        if cases.is_empty() {
            return Ok(Verdict::Unexercised);
        }
        for (case, took) in cases {
            if bench.trial(case, *took, verb, row)? != End::Passed {
                return Ok(Verdict::Noticed(case.name.clone()));
            }
        }
        Ok(Verdict::Unnoticed)
    });
    for ((row, verb), verdict) in jobs.iter().zip(verdicts) {
        report.set(row, verb, verdict?);
    }
    Ok(())
}

fn jobs(report: &Report, verbs: &[&'static str]) -> Vec<(String, &'static str)> {
    let rows = report.rows.iter().map(|line| line.row.id.clone());
    rows.flat_map(|row| verbs.iter().map(move |verb| (row.clone(), *verb)))
        .collect()
}

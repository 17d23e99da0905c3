//! Planting faults: those that a test must notice, and those that none may.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::map::Map;
use super::report::{Report, Verdict};
use super::trial::{Bench, Case, End};

/// Tests that are tried for one fault until one notices it.
const TRIED: usize = 8;

/// Tests that must pass with a fault that does not matter.
const DISTURBED: usize = 2;

/// Faults that must be noticed.
pub(super) const HARMFUL: [&str; 2] = ["deaf", "mute"];

/// Faults that must not matter, with the column's head. `restart` is not planted: see [`note_restarts`].
pub(super) const HARMLESS: [&str; 5] = ["twice", "late", "reorder", "reconnect", "restart"];

/// Whether a network can do that to a row at all.
fn is_possible(verb: &str, row: &str) -> bool {
    match verb {
        // Nothing between a caller and the registry repeats a request or an answer.
        "twice" => !row.starts_with("rest/"),
        // An agent has one connection, a socket on its own machine, which ends only with the process behind it.
        "reorder" | "reconnect" => !row.starts_with("ipc/"),
        "restart" => false,
        _ => true,
    }
}

/// Makes each row deaf, then mute.
///
/// # Errors
/// When a test cannot be started.
pub(super) fn break_rows(bench: &Bench, map: &Map, report: &mut Report) -> Result<()> {
    let rows = report.rows.iter().map(|line| line.row.id.clone());
    let jobs: Vec<(String, &str)> = rows
        .flat_map(|row| HARMFUL.map(|verb| (row.clone(), verb)))
        .collect();
    let verdicts = bench.each(&jobs, |(row, verb)| break_row(bench, map, row, verb));
    for ((row, verb), verdict) in jobs.iter().zip(verdicts) {
        report.set(row, verb, verdict?);
    }
    Ok(())
}

fn break_row(bench: &Bench, map: &Map, row: &str, verb: &str) -> Result<Verdict> {
    let tests = map.to_try(verb, row);
    let mut verdict = match tests.is_empty() {
        true => Verdict::Unexercised,
        false => Verdict::Unnoticed,
    };
    for (case, took) in tests.into_iter().take(TRIED) {
        match bench.trial(case, *took, verb, row)? {
            End::Failed if bench.is_steady(case, *took)? => {
                return Ok(Verdict::Noticed(case.name.clone()));
            }
            End::Failed => verdict = Verdict::Unsteady(case.name.clone()),
            End::Killed => verdict = Verdict::OnlyByCap(case.name.clone()),
            End::Passed => {}
        }
    }
    Ok(verdict)
}

/// One test, and the rows that are disturbed in it.
type Disturbed<'a> = (&'a Case, Vec<String>);

/// Plants what must not matter. Each row is disturbed in its first tests, all rows of a test at once; only when that
/// test fails, one after the other.
///
/// # Errors
/// When a test cannot be started.
pub(super) fn disturb_rows(bench: &Bench, map: &Map, report: &mut Report) -> Result<()> {
    let mut jobs: Vec<(&str, Disturbed<'_>)> = Vec::new();
    let rows: Vec<String> = report.rows.iter().map(|l| l.row.id.clone()).collect();
    for verb in HARMLESS {
        let possible = rows.iter().filter(|row| is_possible(verb, row));
        let mut by_test: BTreeMap<&str, Disturbed<'_>> = BTreeMap::new();
        for row in possible {
            let tests: Vec<&(Case, Duration)> = map.of(row).collect();
            let verdict = match tests.is_empty() {
                true => Verdict::Unexercised,
                false => Verdict::Unnoticed,
            };
            report.set(row, verb, verdict);
            for (case, _) in chosen(&tests, &by_test) {
                let entry = by_test.entry(&case.name);
                entry.or_insert((case, Vec::new())).1.push(row.clone());
            }
        }
        jobs.extend(by_test.into_values().map(|disturbed| (verb, disturbed)));
    }
    let broken = bench.each(&jobs, |(verb, (case, rows))| {
        match bench.disturb(case, verb, rows)? {
            true => Ok(Vec::new()),
            false => broken_by(bench, case, verb, rows),
        }
    });
    for ((verb, (case, _)), broken) in jobs.iter().zip(broken) {
        for row in broken? {
            report.set(&row, verb, Verdict::Noticed(case.name.clone()));
        }
    }
    Ok(())
}

/// The tests in which a row is disturbed: its first, and then those that run for other rows anyway.
fn chosen<'a>(
    tests: &[&'a (Case, Duration)],
    running: &BTreeMap<&str, Disturbed<'_>>,
) -> Vec<&'a (Case, Duration)> {
    let (Some(first), rest) = (tests.first(), tests.get(1..).unwrap_or_default()) else {
        return Vec::new();
    };
    let most = if first.0.is_in_browser() {
        1
    } else {
        DISTURBED
    };
    let (shared, new): (Vec<_>, Vec<_>) = rest
        .iter()
        .partition(|(case, _)| running.contains_key(case.name.as_str()));
    let others = shared.into_iter().chain(new).copied();
    std::iter::once(*first).chain(others).take(most).collect()
}

/// Which of these rows a fault breaks a test at, each alone; twice, so that it is not the machine's load.
fn broken_by(bench: &Bench, case: &Case, verb: &str, rows: &[String]) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for row in rows {
        let one = std::slice::from_ref(row);
        if !bench.disturb(case, verb, one)? && !bench.disturb(case, verb, one)? {
            broken.push(row.clone());
        }
    }
    Ok(broken)
}

/// Says of each row whether a test passes in which one of its ends was started again before it said or heard it. A restart
/// is not planted where tests do not expect it: what is under way then ends with an error, as it is promised.
pub(super) fn note_restarts(map: &Map, report: &mut Report) {
    let rows: Vec<String> = report.rows.iter().map(|l| l.row.id.clone()).collect();
    for row in rows.iter().filter(|row| map.restarted(row).is_some()) {
        report.set(row, "restart", Verdict::Unnoticed);
    }
}

//! Planting faults: those that a test must notice, and those that none may.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::map::Map;
use super::report::{Report, Verdict};
use super::trial::{Bench, Case, End, Trial};

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

/// A row, a verb, and what is known of how it ends.
struct Breaking<'a> {
    row: &'a str,
    verb: &'static str,
    /// Tests that may notice, the likeliest first.
    tests: Vec<&'a (Case, Duration)>,
    verdict: Verdict,
}

/// Makes each row deaf, and mute: in rounds, in each of which every row that nothing noticed yet is tried in its next
/// test.
///
/// # Errors
/// When a test cannot be started.
pub(super) fn break_rows(bench: &Bench, map: &Map, report: &mut Report) -> Result<()> {
    let rows: Vec<String> = report.rows.iter().map(|l| l.row.id.clone()).collect();
    let faults = rows
        .iter()
        .flat_map(|row| HARMFUL.map(|verb| (row.as_str(), verb)));
    let mut breaking: Vec<Breaking<'_>> = faults
        .map(|(row, verb)| {
            let tests = map.to_try(verb, row);
            let verdict = match tests.is_empty() {
                true => Verdict::Unexercised,
                false => Verdict::Unnoticed,
            };
            Breaking {
                row,
                verb,
                tests,
                verdict,
            }
        })
        .collect();
    // By test: whether it passes without a fault under the cap that it has with one. If not, its failure proves nothing.
    let mut steady: BTreeMap<&str, bool> = BTreeMap::new();
    for round in 0..TRIED {
        let mut open: Vec<(&mut Breaking<'_>, &(Case, Duration))> = Vec::new();
        for one in &mut breaking {
            if let (false, Some(test)) = (one.is_noticed(), one.tests.get(round).copied()) {
                open.push((one, test));
            }
        }
        let mut trials: Vec<Trial<'_>> = Vec::new();
        for (one, test) in &open {
            trials.push(Trial::broken(test, one.verb, one.row));
        }
        let new: BTreeMap<&str, &(Case, Duration)> = open
            .iter()
            .map(|(_, test)| (test.0.name.as_str(), *test))
            .filter(|(name, _)| !steady.contains_key(name))
            .collect();
        trials.extend(
            new.values()
                .map(|(case, took)| Trial::hurried((case, *took))),
        );
        let mut outcomes = bench.run(&trials)?;
        let hurried = outcomes.split_off(open.len());
        let passed = hurried.iter().map(|outcome| outcome.end == End::Passed);
        steady.extend(new.into_keys().zip(passed));
        for ((one, (case, _)), outcome) in open.into_iter().zip(outcomes) {
            let is_steady = steady.get(case.name.as_str()) == Some(&true);
            one.verdict = match outcome.end {
                End::Failed if is_steady => Verdict::Noticed(case.name.clone()),
                End::Failed => Verdict::Unsteady(case.name.clone()),
                End::Killed => Verdict::OnlyByCap(case.name.clone()),
                End::Passed => continue,
            };
        }
    }
    for Breaking {
        row, verb, verdict, ..
    } in breaking
    {
        report.set(row, verb, verdict);
    }
    Ok(())
}

impl Breaking<'_> {
    fn is_noticed(&self) -> bool {
        matches!(self.verdict, Verdict::Noticed(_))
    }
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
    let disturbed = jobs.iter();
    let disturbed: Vec<Trial<'_>> = disturbed
        .map(|(verb, (case, rows))| Trial::disturbed(case, verb, rows))
        .collect();
    let outcomes = bench.run(&disturbed)?;
    let failed = jobs.into_iter().zip(outcomes);
    let failed = failed.filter(|(_, outcome)| outcome.end != End::Passed);
    let mut alone: Vec<(&str, &Case, String)> = failed
        .flat_map(|((verb, (case, rows)), _)| rows.into_iter().map(move |row| (verb, case, row)))
        .collect();
    // Each alone, and twice, so that it is not the machine's load.
    for _ in 0..2 {
        let again: Vec<Trial<'_>> = alone
            .iter()
            .map(|(verb, case, row)| Trial::disturbed(case, verb, std::slice::from_ref(row)))
            .collect();
        let outcomes = bench.run(&again)?;
        let mut ends = outcomes.iter().map(|outcome| outcome.end);
        alone.retain(|_| ends.next() != Some(End::Passed));
    }
    for (verb, case, row) in alone {
        report.set(&row, verb, Verdict::Noticed(case.name.clone()));
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

/// Says of each row whether a test passes in which one of its ends was started again before it said or heard it. A restart
/// is not planted where tests do not expect it: what is under way then ends with an error, as it is promised.
pub(super) fn note_restarts(map: &Map, report: &mut Report) {
    let rows: Vec<String> = report.rows.iter().map(|l| l.row.id.clone()).collect();
    for row in rows.iter().filter(|row| map.restarted(row).is_some()) {
        report.set(row, "restart", Verdict::Unnoticed);
    }
}

//! Planting faults: those that a test must notice, and those that none may.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::map::Map;
use super::report::{Report, Verdict};
use super::trial::{Bench, Case, End, Trial};
use crate::excused::excused;

/// Tests that are tried for one fault until one notices it.
const TRIED: usize = 8;

/// How much longer the waits of a test may last that was too slow for its cap under load.
const PATIENCE: u32 = 3;

/// Tests that must pass with a fault that does not matter.
const DISTURBED: usize = 2;

/// Faults that must be noticed.
pub(super) const HARMFUL: [&str; 2] = ["deaf", "mute"];

/// Faults that must not matter, with the column's head. `restart` is not planted: see [`note_restarts`].
pub(super) const HARMLESS: [&str; 5] = ["twice", "late", "reorder", "reconnect", "restart"];

/// Whether a network can do that to a row at all.
fn is_possible(verb: &str, row: &str) -> bool {
    match verb {
        // Nothing between a caller and the registry repeats a request or an answer, and no socket on one machine does.
        "twice" => !(row.starts_with("rest/") || row.starts_with("ipc/") || is_words(row)),
        // An agent has one connection, a socket on its own machine, which ends only with the process behind it.
        "reorder" => !row.starts_with("ipc/"),
        "reconnect" => !(row.starts_with("ipc/") || is_words(row)),
        "restart" => false,
        _ => true,
    }
}

/// Whether a row is what agents say to each other beside work, or a ping: it goes over one link, which repeats nothing, and
/// ends with it. Who said it is told then; nobody says it again.
fn is_words(row: &str) -> bool {
    row.starts_with("link/") && (row.contains("_agent>") || row.contains("/ping/"))
}

/// Tests in which a fault does matter, by what they assert: the fault, how their rows begin, how their names do.
fn strict() -> Result<Vec<[&'static str; 3]>> {
    let parse = |(test, _): (&'static str, _)| {
        let mut words = test.split(' ');
        let parts = [words.next(), words.next(), words.next()].map(Option::unwrap_or_default);
        anyhow::ensure!(!parts.contains(&""), "{test}: not `fault rows test | why`");
        Ok(parts)
    };
    let strict = excused(include_str!("strict.txt"))?;
    strict.into_iter().map(parse).collect()
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
    let mut steady = BTreeMap::new();
    for round in 0..TRIED {
        let open = breaking.iter_mut().filter(|one| !one.is_noticed());
        let open = open.filter_map(|one| one.tests.get(round).copied().map(|test| (one, test)));
        try_round(bench, open.collect(), 1, &mut steady)?;
    }
    let unsteady = breaking.iter_mut().filter_map(|one| {
        let Verdict::Unsteady(name) = &one.verdict else {
            return None;
        };
        let test = one
            .tests
            .iter()
            .copied()
            .find(|(case, _)| case.name == *name)?;
        Some((one, test))
    });
    try_round(bench, unsteady.collect(), PATIENCE, &mut BTreeMap::new())?;
    for Breaking {
        row, verb, verdict, ..
    } in breaking
    {
        report.set(row, verb, verdict);
    }
    Ok(())
}

/// Tries each in its test, whose waits have `patience` times as long as usual. `steady` says by test whether it passes
/// without a fault under the cap that it has with one: if not, its failure proves nothing.
fn try_round<'a>(
    bench: &Bench,
    open: Vec<(&mut Breaking<'a>, &'a (Case, Duration))>,
    patience: u32,
    steady: &mut BTreeMap<&'a str, bool>,
) -> Result<()> {
    let mut trials: Vec<Trial<'_>> = Vec::new();
    for (one, test) in &open {
        trials.push(Trial::broken(test, one.verb, one.row).with_patience(patience));
    }
    let new: BTreeMap<&str, &(Case, Duration)> = open
        .iter()
        .map(|(_, test)| (test.0.name.as_str(), *test))
        .filter(|(name, _)| !steady.contains_key(name))
        .collect();
    let hurried = new
        .values()
        .map(|test| Trial::hurried(test).with_patience(patience));
    trials.extend(hurried);
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
    let strict = strict()?;
    let mut jobs: Vec<(&str, Disturbed<'_>)> = Vec::new();
    let rows: Vec<String> = report.rows.iter().map(|l| l.row.id.clone()).collect();
    for verb in HARMLESS {
        let possible = rows.iter().filter(|row| is_possible(verb, row));
        let mut by_test: BTreeMap<&str, Disturbed<'_>> = BTreeMap::new();
        for row in possible {
            let is_strict = |(case, _): &&(Case, Duration)| {
                let mut strict = strict.iter();
                strict.any(|[fault, rows, test]| {
                    *fault == verb && row.starts_with(rows) && case.name.starts_with(test)
                })
            };
            let tests: Vec<_> = map.of(row).filter(|test| !is_strict(test)).collect();
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

#[cfg(test)]
mod tests {
    use seamesh_proto::ledger::rows;

    use super::*;

    #[test]
    fn every_strict_test_is_strict_about_some_row_and_a_possible_fault() {
        let rows = rows();
        let strict = strict().unwrap();
        assert!(!strict.is_empty());
        for [verb, head, test] in strict {
            let mut touched = rows.iter().filter(|row| row.id.starts_with(head));
            assert!(
                touched.any(|row| is_possible(verb, &row.id)),
                "{verb} {head} {test}"
            );
        }
    }

    #[test]
    fn what_agents_say_beside_work_is_neither_repeated_nor_said_again() {
        for verb in ["twice", "reconnect"] {
            assert!(!is_possible(
                verb,
                "link/agent_prompt/rust_agent>python_agent"
            ));
            assert!(is_possible(verb, "link/task_request/sidecar>sidecar"));
        }
    }
}

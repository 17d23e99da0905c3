//! What a run found: the ledger with its columns.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use schemars::SchemaGenerator;
use seamesh_proto::ledger::{Channel, Row};
use seamesh_proto::routes::ROUTES;
use serde::Serialize;
use serde_json::{Value, json};

use super::faults::{HARMFUL, HARMLESS};
use super::map::Map;
use crate::excused::excused;

/// Most exceptions the project allows itself.
const MAX_EXCEPTIONS: usize = 3;

/// How a fault ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "test")]
pub(super) enum Verdict {
    /// This test failed.
    Noticed(String),
    /// This test hung, and no other noticed.
    OnlyByCap(String),
    /// This test failed, and fails under the same cap without any fault.
    Unsteady(String),
    /// Every test passed.
    Unnoticed,
    /// No test exercises the row.
    Unexercised,
}

/// A row and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The row.
    pub(super) row: Row,
    /// Golden messages accepted and refused.
    pub(super) vectors: (usize, usize),
    /// Tests that exercise it, fastest first.
    pub(super) tests: Vec<String>,
    /// By verb.
    pub(super) verdicts: BTreeMap<String, Verdict>,
}

/// Every row, and the exceptions.
#[derive(Debug)]
pub(super) struct Report {
    /// The rows in the ledger's order.
    pub(super) rows: Vec<Line>,
    /// Rows that need no proof, each with its reason.
    pub(super) exceptions: BTreeMap<String, String>,
    /// What tests saw somebody say or act on though the ledger has no such row.
    pub(super) undeclared: Vec<String>,
    /// Seconds that the run took, by the clock and of the processor; in the page and the totals.
    pub(super) seconds: (f64, f64),
}

impl Line {
    /// Whether a fault that matters was noticed.
    pub(super) fn is_killed(&self, verb: &str) -> bool {
        matches!(self.verdicts.get(verb), Some(Verdict::Noticed(_)))
    }

    /// Whether a fault that must not matter did not; `None` when it was not planted.
    pub(super) fn is_safe(&self, verb: &str) -> Option<bool> {
        Some(*self.verdicts.get(verb)? == Verdict::Unnoticed)
    }

    fn is_hole(&self) -> bool {
        let is_broken = |verb: &&str| self.is_safe(verb) == Some(false);
        !HARMFUL.iter().all(|verb| self.is_killed(verb)) || HARMLESS.iter().any(is_broken)
    }
}

impl Report {
    pub(super) fn new(rows: Vec<Row>, map: &Map) -> Result<Self> {
        let line = |row: Row| {
            let tests = map.of(&row.id).map(|(case, _)| case.name.clone()).collect();
            Ok(Line {
                vectors: vectors(&row)?,
                tests,
                verdicts: BTreeMap::new(),
                row,
            })
        };
        let exceptions = exceptions(include_str!("exceptions.txt"))?;
        Ok(Self {
            rows: rows.into_iter().map(line).collect::<Result<_>>()?,
            exceptions,
            undeclared: map.undeclared(&seamesh_proto::ledger::rows()),
            seconds: (0.0, 0.0),
        })
    }

    pub(super) fn set(&mut self, row: &str, verb: &str, verdict: Verdict) {
        if let Some(line) = self.rows.iter_mut().find(|line| line.row.id == row) {
            line.verdicts.insert(verb.to_owned(), verdict);
        }
    }

    /// By harmful fault: the test that noticed it.
    pub(super) fn noticed(&self) -> BTreeMap<String, String> {
        let of = |line: &Line| {
            let noticed = HARMFUL.map(|verb| match line.verdicts.get(verb) {
                Some(Verdict::Noticed(test)) => {
                    Some((format!("{verb} {}", line.row.id), test.clone()))
                }
                _ => None,
            });
            noticed.into_iter().flatten()
        };
        self.rows.iter().flat_map(of).collect()
    }

    /// Rows that no test proves, and that are no exceptions.
    pub(super) fn holes(&self) -> Vec<&Line> {
        let open = self.rows.iter().filter(|line| line.is_hole());
        open.filter(|line| !self.exceptions.contains_key(&line.row.id))
            .collect()
    }

    /// The totals.
    pub(super) fn totals(&self) -> Value {
        let count = |is: &dyn Fn(&Line) -> bool| self.rows.iter().filter(|l| is(l)).count();
        let safe = |verb: &str| count(&|l: &Line| l.is_safe(verb) == Some(true));
        let exceptions = self
            .exceptions
            .iter()
            .map(|(row, why)| json!({ "row": row, "why": why }));
        json!({
            "rows": self.rows.len(),
            "vectors": self.rows.iter().map(|l| l.vectors.0 + l.vectors.1).sum::<usize>(),
            "exercised": count(&|l| !l.tests.is_empty()),
            "deaf_killed": count(&|l| l.is_killed("deaf")),
            "mute_killed": count(&|l| l.is_killed("mute")),
            "duplicate_safe": safe("twice"),
            "delay_safe": safe("late"),
            "reorder_safe": safe("reorder"),
            "reconnect_safe": safe("reconnect"),
            "restart_safe": safe("restart"),
            "exceptions": exceptions.collect::<Vec<_>>(),
            "undeclared": self.undeclared,
            "seconds": self.seconds.0.round(),
            "cpu_seconds": self.seconds.1.round(),
            "holes": self.holes().iter().map(|l| &l.row.id).collect::<Vec<_>>(),
        })
    }

    /// One JSON object a row, and the totals last.
    pub(super) fn json(&self) -> Result<String> {
        let line = |l: &Line| {
            json!({
                "row": l.row, "vectors": { "accepted": l.vectors.0, "refused": l.vectors.1 },
                "tests": l.tests, "verdicts": l.verdicts,
            })
        };
        let lines = self.rows.iter().map(line).chain([self.totals()]);
        let lines: Result<Vec<String>, _> = lines.map(|l| serde_json::to_string(&l)).collect();
        Ok(lines?.join("\n"))
    }

    /// The table for people, holes first.
    pub(super) fn text(&self) -> String {
        let width = self.rows.iter().map(|l| l.row.id.len()).max().unwrap_or(0);
        let mut text = format!(
            "{:<width$}  vectors  tests  {:<9}{:<9}{}\n",
            "row",
            HARMFUL[0],
            HARMFUL[1],
            HARMLESS
                .map(|verb| format!("{verb:<10}"))
                .concat()
                .trim_end()
        );
        let holes: Vec<&str> = self.holes().iter().map(|l| l.row.id.as_str()).collect();
        let is_hole = |l: &&Line| holes.contains(&l.row.id.as_str());
        let rest = self.rows.iter().filter(|l| !is_hole(l));
        for line in self.rows.iter().filter(is_hole).chain(rest) {
            let (good, bad) = line.vectors;
            let killed = |verb| match line.verdicts.get(verb) {
                Some(Verdict::Noticed(_)) => "killed",
                Some(Verdict::OnlyByCap(_)) => "CAP",
                Some(Verdict::Unsteady(_)) => "UNSTEADY",
                _ => "SURVIVES",
            };
            let safe = |verb| match line.is_safe(verb) {
                Some(true) => "safe",
                Some(false) => "BREAKS",
                None => "-",
            };
            text += &format!(
                "{:<width$}  {good:>3}/{bad:<3}  {:>5}  {:<8} {:<8} {}\n",
                line.row.id,
                line.tests.len(),
                killed(HARMFUL[0]),
                killed(HARMFUL[1]),
                HARMLESS
                    .map(|verb| format!("{:<10}", safe(verb)))
                    .concat()
                    .trim_end()
            );
        }
        text + &self.totals().to_string()
    }
}

/// Golden messages of a row's kind and direction, accepted and refused; for REST, of the body it carries.
fn vectors(row: &Row) -> Result<(usize, usize)> {
    let folder = crate::root().join("vectors").join(row.channel.name());
    let kind = row.id.split('/').nth(1).unwrap_or_default();
    let body = match row.channel {
        Channel::Rest => body_of(kind),
        _ => Some(kind.to_owned()),
    };
    let has_directions = matches!(row.channel, Channel::Signaling | Channel::Ipc);
    let (mut good, mut bad) = (0, 0);
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let value: Value = serde_json::from_str(&std::fs::read_to_string(entry?.path())?)?;
        let from = value["direction"].as_str().unwrap_or_default();
        let from = from.split("_to_").next().unwrap_or_default();
        let is_said = !has_directions || row.producer.name().ends_with(from);
        if value["kind"].as_str() == body.as_deref() && is_said {
            good += value["accept"].as_array().map_or(0, Vec::len);
            bad += value["reject"].as_array().map_or(0, Vec::len);
        }
    }
    Ok((good, bad))
}

/// The type that a REST row carries: `None` when it has no body.
fn body_of(kind: &str) -> Option<String> {
    let (operation, what) = kind.split_once('.')?;
    let route = ROUTES.iter().find(|route| route.operation == operation)?;
    let schema = match what {
        "request" => route.body.or(route.query)?,
        _ => route.answer?,
    };
    let schema = schema(&mut SchemaGenerator::default()).to_value();
    let named = schema["$ref"]
        .as_str()
        .or(schema["items"]["$ref"].as_str())?;
    named.rsplit('/').next().map(str::to_owned)
}

/// Lines `row | why`.
fn exceptions(text: &str) -> Result<BTreeMap<String, String>> {
    let found: BTreeMap<String, String> = excused(text)?
        .into_iter()
        .map(|(row, why)| (row.to_owned(), why.to_owned()))
        .collect();
    anyhow::ensure!(
        found.len() <= MAX_EXCEPTIONS,
        "at most {MAX_EXCEPTIONS} exceptions"
    );
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_exceptions_are_rows_with_reasons() {
        let rows = seamesh_proto::ledger::rows();
        for (row, why) in exceptions(include_str!("exceptions.txt")).unwrap() {
            assert!(rows.iter().any(|r| r.id == row), "{row} is no row");
            assert!(why.len() > 20, "{row}: {why}");
        }
    }

    /// Every kind of verdict, as the hub's tests read it.
    #[test]
    fn what_the_hub_opens_is_what_a_run_prints() {
        let (first, second) = ("mesh::work::a_task_is_run", "hub live: a task is seen");
        let canceled = "hub live: a tree is canceled";
        let line = |id: &str, vectors, tests: &[&str], verdicts: &[(&str, Verdict)]| Line {
            row: seamesh_proto::ledger::rows()
                .into_iter()
                .find(|row| row.id == id)
                .unwrap(),
            vectors,
            tests: tests.iter().map(|&test| test.to_owned()).collect(),
            verdicts: verdicts
                .iter()
                .map(|(verb, verdict)| ((*verb).to_owned(), verdict.clone()))
                .collect(),
        };
        let noticed = |test: &str| Verdict::Noticed(test.to_owned());
        let report = Report {
            rows: vec![
                line(
                    "signaling/task_assign/registry>sidecar",
                    (3, 7),
                    &[first, second],
                    &[
                        ("deaf", noticed(first)),
                        ("mute", noticed(second)),
                        ("twice", Verdict::Unnoticed),
                        ("late", Verdict::Unnoticed),
                        ("reorder", Verdict::Unnoticed),
                        ("reconnect", Verdict::Unnoticed),
                    ],
                ),
                line(
                    "rest/cancel_task.request/hub>registry",
                    (0, 0),
                    &[canceled],
                    &[
                        ("deaf", noticed(canceled)),
                        ("mute", Verdict::OnlyByCap(canceled.to_owned())),
                        ("late", Verdict::Unsteady(canceled.to_owned())),
                    ],
                ),
                line(
                    "ipc/goodbye/python_agent>sidecar",
                    (2, 4),
                    &[],
                    &[
                        ("deaf", Verdict::Unexercised),
                        ("mute", Verdict::Unexercised),
                    ],
                ),
            ],
            exceptions: BTreeMap::new(),
            undeclared: vec!["event_stream/secret/registry>hub".to_owned()],
            seconds: (12.0, 30.0),
        };
        let read = |text: &str| -> Vec<Value> {
            let lines = text.lines().map(serde_json::from_str);
            lines.collect::<Result<_, _>>().unwrap()
        };
        let opened = read(include_str!("../../../hub/tests/coverage.jsonl"));
        assert_eq!(read(&report.json().unwrap()), opened);
    }

    #[test]
    fn a_row_without_a_test_is_a_hole() {
        let rows = seamesh_proto::ledger::rows();
        let report = Report::new(rows[..1].to_vec(), &Map::default()).unwrap();
        assert_eq!(report.holes().len(), 1);
        assert_eq!(report.totals()["exercised"], 0);
    }
}

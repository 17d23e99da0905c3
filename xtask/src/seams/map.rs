//! Which test exercises which row: what the run without faults found, and what is kept of it for the next run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use seamesh_proto::ledger::Row;
use serde::{Deserialize, Serialize};

use super::trial::{AGAIN, Case};

/// What the run without faults found.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// Each test with how long it took, fastest first.
    pub(super) cases: Vec<(Case, Duration)>,
    /// By test: what was said and acted on.
    pub(super) touched: BTreeMap<String, BTreeSet<String>>,
    /// By fault (verb and row): the test that noticed it last time, which is tried first.
    pub(super) noticed: BTreeMap<String, String>,
}

/// What one run leaves for the next. It proves nothing: it says which tests to try, and in what order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    /// By test: how long it took in milliseconds, and what was said and acted on.
    pub(super) tests: BTreeMap<String, (u64, BTreeSet<String>)>,
    /// By fault: the test that noticed it.
    pub(super) noticed: BTreeMap<String, String>,
}

impl Memory {
    fn file() -> PathBuf {
        crate::target_dir().join("xtask/seams.json")
    }

    /// What the last run left; nothing when there was none, or another version wrote it.
    pub(super) fn load() -> Self {
        let text = std::fs::read_to_string(Self::file()).ok();
        let memory = text.and_then(|text| serde_json::from_str(&text).ok());
        memory.unwrap_or_default()
    }

    /// Keeps it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn store(&self) -> Result<()> {
        let file = Self::file();
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(file, serde_json::to_string(self)?)?)
    }
}

impl Map {
    /// The tests in which a row was said by its producer and acted on by its consumer: those that have its kind in their
    /// name first, then the fastest.
    pub(super) fn of<'a>(&'a self, row: &'a str) -> impl Iterator<Item = &'a (Case, Duration)> {
        let touching = self.cases.iter().filter(move |(case, _)| {
            let seen = self.touched.get(&case.name);
            seen.is_some_and(|seen| passed(seen, row))
        });
        let kind = row.split('/').nth(1).unwrap_or_default();
        let kind = kind.split('.').next().unwrap_or(kind);
        let mut touching: Vec<_> = touching.collect();
        // A stable sort: among tests that are named alike, the fastest stays first.
        touching.sort_by_key(|(case, _)| std::cmp::Reverse(likeness(&case.name, kind)));
        touching.into_iter()
    }

    /// The tests to try for a fault: the one that noticed it last time first.
    pub(super) fn to_try<'a>(&'a self, verb: &str, row: &'a str) -> Vec<&'a (Case, Duration)> {
        let last = self.noticed.get(&format!("{verb} {row}"));
        let mut tests: Vec<_> = self.of(row).collect();
        tests.sort_by_key(|(case, _)| last != Some(&case.name));
        tests
    }

    /// A test that passes though an end of the row was killed, started again, and then said or acted on it.
    pub(super) fn restarted(&self, row: &str) -> Option<&String> {
        let sides = ["said", "acted"].map(|side| forms(side, row));
        let again = |seen: &BTreeSet<String>| {
            let mut lines = sides.iter().flatten();
            lines.any(|line| seen.contains(&format!("{AGAIN}{line}")))
        };
        let found = self
            .touched
            .iter()
            .find(|(_, s)| passed(s, row) && again(s));
        found.map(|(test, _)| test)
    }

    /// What was said and acted on in a test though no row of the ledger has it: kinds of the ledger, between others than
    /// it says.
    pub(super) fn undeclared(&self, rows: &[Row]) -> Vec<String> {
        let declared: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let heads: BTreeSet<&str> = rows.iter().map(|row| head(&row.id)).collect();
        let is_new =
            |row: &str| heads.contains(head(row)) && !row.contains('*') && !declared.contains(row);
        let mut unknown = BTreeSet::new();
        for seen in self.touched.values() {
            let rows = seen.iter().filter_map(|line| line.split_once(' '));
            let rows = rows.map(|(_, row)| row).filter(|row| is_new(row));
            unknown.extend(rows.filter(|row| passed(seen, row)).map(str::to_owned));
        }
        unknown.into_iter().collect()
    }
}

/// Whether a row was said by its producer and acted on by its consumer.
fn passed(seen: &BTreeSet<String>, row: &str) -> bool {
    let side = |side| forms(side, row).iter().any(|line| seen.contains(line));
    side("said") && side("acted")
}

/// `channel/kind` of a row.
fn head(row: &str) -> &str {
    row.rsplit_once('/').map_or(row, |(head, _)| head)
}

/// How much a test is named for a kind: `seam_KIND…` and `seam_CHANNEL_KIND…` are written for it, others have its words
/// in their name.
fn likeness(test: &str, kind: &str) -> u8 {
    let name = test.rsplit("::").next().unwrap_or(test);
    let padded = format!("_{name}_");
    match padded.find(&format!("_{kind}_")) {
        Some(_) if name.starts_with("seam_") => 2,
        Some(_) => 1,
        None => 0,
    }
}

/// A row as either side may have recorded it, when it does not know the other.
fn forms(side: &str, row: &str) -> Vec<String> {
    let (head, parties) = row.rsplit_once('/').unwrap_or((row, ""));
    let (producer, consumer) = parties.split_once('>').unwrap_or((parties, ""));
    let pairs = match side {
        "said" => [(producer, consumer), (producer, "*")],
        _ => [(producer, consumer), ("*", consumer)],
    };
    let form = |(p, c)| format!("{side} {head}/{p}>{c}");
    pairs.map(form).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::trial::How;

    #[test]
    fn a_test_that_names_a_kind_is_tried_first_and_what_nobody_declared_is_told() {
        let case = |name: &str| Case {
            name: name.to_owned(),
            how: How::Browser(String::new()),
        };
        let row = "ipc/connect/rust_agent>sidecar";
        let seen = BTreeSet::from([
            format!("said {row}"),
            format!("acted {row}"),
            "acted ipc/connect/hub>sidecar".to_owned(),
            "said ipc/connect/hub>sidecar".to_owned(),
            "said ipc/connect/cli>sidecar".to_owned(),
        ]);
        let names = [
            "t::quick",
            "t::all_connect_at_once",
            "t::seam_connect_dials",
        ];
        let map = Map {
            cases: names.map(|n| (case(n), Duration::ZERO)).into(),
            touched: names.map(|n| (n.to_owned(), seen.clone())).into(),
            noticed: BTreeMap::from([(format!("deaf {row}"), "t::quick".to_owned())]),
        };
        let tried: Vec<&str> = map.of(row).map(|(c, _)| c.name.as_str()).collect();
        assert_eq!(
            tried,
            [
                "t::seam_connect_dials",
                "t::all_connect_at_once",
                "t::quick"
            ]
        );
        let first = |verb| map.to_try(verb, row)[0].0.name.clone();
        assert_eq!(first("deaf"), "t::quick", "it noticed that before");
        assert_eq!(first("mute"), "t::seam_connect_dials");
        let rows = seamesh_proto::ledger::rows();
        assert_eq!(map.undeclared(&rows), ["ipc/connect/hub>sidecar"]);
    }

    #[test]
    fn a_row_is_found_however_its_ends_recorded_it() {
        assert_eq!(
            forms("acted", "link/skill_query/rust_agent>python_agent"),
            [
                "acted link/skill_query/rust_agent>python_agent",
                "acted link/skill_query/*>python_agent"
            ]
        );
    }
}

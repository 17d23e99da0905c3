//! `cargo xtask seams`: the ledger of everything that two processes say to each other.

use anyhow::Result;
use seamesh_proto::ledger::{self, Row};
use serde::Serialize;

/// The ledger as text: a table for people, or one JSON object a line.
///
/// # Errors
/// Never for the rows proto declares: they serialise.
pub(crate) fn ledger(json: bool) -> Result<String> {
    let rows = ledger::rows();
    if json {
        let lines: Result<Vec<String>, _> = rows.iter().map(serde_json::to_string).collect();
        return Ok(lines?.join("\n"));
    }
    let width = rows.iter().map(|r| r.kind.len()).max().unwrap_or(0);
    let mut lines = vec![format!(
        "{:<12}  {:<width$}  producer -> consumer",
        "channel", "kind"
    )];
    lines.extend(rows.iter().map(|row| line(row, width)));
    lines.push(format!("{} rows", rows.len()));
    Ok(lines.join("\n"))
}

fn line(row: &Row, width: usize) -> String {
    let (channel, kind) = (name(row.channel), &row.kind);
    let (producer, consumer) = (name(row.producer), name(row.consumer));
    format!("{channel:<12}  {kind:<width$}  {producer} -> {consumer}")
}

/// A value's name on the wire.
fn name<T: Serialize>(value: T) -> String {
    let value = serde_json::to_value(value);
    value
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_channel_kind_and_both_ends() {
        let table = ledger(false).unwrap();
        let row = table.lines().find(|l| l.contains("task_assign")).unwrap();
        assert!(
            row.starts_with("signaling") && row.ends_with("registry -> sidecar"),
            "{row}"
        );
        assert!(table.ends_with(&format!("{} rows", ledger::rows().len())));
    }

    #[test]
    fn json_has_one_row_a_line() {
        let text = ledger(true).unwrap();
        assert_eq!(text.lines().count(), ledger::rows().len());
        for line in text.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(row["kind"].is_string() && row["consumer"].is_string());
        }
    }
}

//! `cargo xtask seams`: how much of the boundary between processes is really tested.
//!
//! The ledger says what rows there are. A first run of the seam tests records which test exercises which row; then each
//! row is broken, at its consumer (deaf) and at its producer (mute), and one of its tests has to notice.

mod absent;
mod faults;
mod ledger;
mod page;
mod report;
mod trial;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, bail};
use seamesh_proto::ledger as rows;

use crate::step::step;
pub(crate) use ledger::ledger;
use report::Report;
use trial::Bench;

/// What `cargo xtask seams` may be told.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Prints what the ledger has, one JSON object a row, and one with the totals as the last line.
    #[arg(long)]
    json: bool,
    /// Only prints the ledger: who says what to whom on which channel.
    #[arg(long)]
    list: bool,
    /// Only the rows that the working tree and the branch change, against the branch `main`.
    #[arg(long)]
    quick: bool,
    /// Only rows whose id contains this.
    #[arg(long)]
    row: Option<String>,
    /// Also plants duplicates and delays, with which every test must still pass.
    #[arg(long)]
    harmless: bool,
    /// Tests that run at the same time.
    #[arg(long, default_value_t = 3)]
    jobs: usize,
}

/// Prints the ledger, or measures it.
///
/// # Errors
/// When a test fails without a fault, or a row has a hole.
#[allow(clippy::print_stdout)] // the ledger is the result
pub(crate) fn seams(options: &Options) -> Result<()> {
    if options.list {
        println!("{}", ledger(options.json)?);
        return Ok(());
    }
    let report = measure(options)?;
    let page = crate::target_dir().join("seams/index.html");
    std::fs::write(&page, page::html(&report))?;
    println!(
        "{}",
        if options.json {
            report.json()?
        } else {
            report.text()
        }
    );
    if !report.undeclared.is_empty() {
        bail!(
            "the ledger has no row for what tests saw: {}; declare who says it to whom in crates/proto",
            report.undeclared.join(", ")
        );
    }
    let holes = report.holes();
    if !holes.is_empty() {
        bail!(
            "{} rows have holes; the matrix is in {}",
            holes.len(),
            page.display()
        );
    }
    Ok(())
}

fn measure(options: &Options) -> Result<Report> {
    let chosen: Vec<rows::Row> = chosen(options)?;
    let bench = Bench::build(&folder()?, options.jobs, &chosen)?;
    if !options.quick && options.row.is_none() {
        step("no hook in a release build", || {
            absent::prove()?;
            absent::prove_hub()
        })?;
    }
    let map = step("running the seam tests without a fault", || bench.map())?;
    let mut report = Report::new(chosen, &map)?;
    step("deaf and mute", || {
        faults::break_rows(&bench, &map, &mut report)
    })?;
    if options.harmless {
        step("twice and late", || {
            faults::disturb_rows(&bench, &map, &mut report)
        })?;
    }
    Ok(report)
}

/// Where records and the page are kept, emptied of what an earlier run left.
fn folder() -> Result<PathBuf> {
    let folder = crate::target_dir().join("seams");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn chosen(options: &Options) -> Result<Vec<rows::Row>> {
    let mut chosen = rows::rows();
    if let Some(part) = &options.row {
        chosen.retain(|row| row.id.contains(part.as_str()));
    }
    if options.quick {
        let changed = changed_words()?;
        chosen.retain(|row| is_touched(row, &changed));
    }
    Ok(chosen)
}

/// Whether a change speaks of a row: of its kind as it stands on the wire or as a Rust name, or of its operation.
fn is_touched(row: &rows::Row, changed: &BTreeSet<String>) -> bool {
    let kind = row.id.split('/').nth(1).unwrap_or_default();
    let kind = kind.split('.').next().unwrap_or(kind);
    let camel: String = kind
        .split('_')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect();
    changed.contains(kind) || changed.contains(&camel)
}

/// The words on the lines that differ from `main`.
fn changed_words() -> Result<BTreeSet<String>> {
    let mut git = crate::step::command("git", &crate::root());
    git.args([
        "diff",
        "--unified=0",
        "main...",
        "--",
        "crates",
        "python/src",
        "hub/src",
    ]);
    let mut own = crate::step::command("git", &crate::root());
    own.args([
        "diff",
        "--unified=0",
        "HEAD",
        "--",
        "crates",
        "python/src",
        "hub/src",
    ]);
    let text = crate::step::stdout_of(&mut git)? + &crate::step::stdout_of(&mut own)?;
    let lines = text.lines().filter(|l| l.starts_with(['+', '-']));
    let words = lines.flat_map(|l| l.split(|c: char| !c.is_alphanumeric() && c != '_'));
    Ok(words.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_touches_the_rows_it_speaks_of() {
        let all = rows::rows();
        let touched = |word: &str| {
            let changed = BTreeSet::from([word.to_owned()]);
            all.iter().filter(|row| is_touched(row, &changed)).count()
        };
        assert_eq!(touched("TaskAssign"), 1);
        assert_eq!(touched("heartbeat"), 3, "signaling, and REST both ways");
        assert_eq!(touched("nothing"), 0);
    }
}

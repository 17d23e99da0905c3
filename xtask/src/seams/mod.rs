//! `cargo xtask seams`: how much of the boundary between processes is really tested.
//!
//! The ledger says what rows there are. A first run of the seam tests records which test exercises which row; then each
//! row is broken, at its consumer (deaf) and at its producer (mute), and one of its tests has to notice.

mod absent;
mod browser;
mod faults;
mod ledger;
mod map;
mod page;
mod report;
mod trial;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use seamesh_proto::ledger as rows;

use crate::step::step;
use ledger::ledger;
use map::{Map, Memory};
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
    /// Leaves out the faults with which every test must still pass: duplicates, delays, broken connections.
    #[arg(long)]
    no_harmless: bool,
    /// Tests that run at the same time. Most of them wait most of the time.
    #[arg(long, default_value_t = JOBS)]
    jobs: usize,
}

/// Tests at the same time on two cores, and browsers beside them.
const JOBS: usize = 8;

impl Options {
    /// The rows that a change touches, as `cargo xtask test` measures them.
    pub(crate) fn quick() -> Self {
        Self {
            quick: true,
            jobs: JOBS,
            ..Self::default()
        }
    }

    /// Everything.
    pub(crate) fn whole() -> Self {
        Self {
            jobs: JOBS,
            ..Self::default()
        }
    }
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
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut report = measure(options)?;
    report.seconds = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
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
    if chosen.is_empty() {
        // A change that speaks of no message: nothing to build, nothing to run.
        std::fs::create_dir_all(folder()?)?;
        return Report::new(chosen, &Map::default());
    }
    let bench = Bench::build(&folder()?, options.jobs, &chosen)?;
    if !options.quick && options.row.is_none() {
        step("no hook in a release build", || {
            absent::prove()?;
            absent::prove_hub()
        })?;
    }
    let mut memory = Memory::load();
    let map = step("running the seam tests without a fault", || {
        bench.map(&mut memory, options.quick || options.row.is_some())
    })?;
    memory.store()?;
    let mut report = Report::new(chosen, &map)?;
    step("deaf and mute", || {
        faults::break_rows(&bench, &map, &mut report)
    })?;
    if !options.no_harmless {
        step(&faults::HARMLESS.join(", "), || {
            faults::disturb_rows(&bench, &map, &mut report)
        })?;
        faults::note_restarts(&map, &mut report);
    }
    memory.noticed.extend(report.noticed());
    memory.store()?;
    Ok(report)
}

/// Seconds of processor time that processes took which this one started and which have ended, and what they started in
/// turn; 0 where the system does not tell (`proc_pid_stat(5)`, fields 16 and 17, in hundredths of a second on Linux).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in parentheses, in which anything may stand.
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = fields.split(' ').skip(13).take(2);
    let ticks: u64 = ticks.filter_map(|f| f.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
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

/// The words on the lines that differ from `main`, of this branch and of the working tree.
fn changed_words() -> Result<BTreeSet<String>> {
    let git = |arguments: &[&str]| {
        let mut git = crate::step::command("git", &crate::root());
        git.args(arguments);
        git
    };
    let diff = |from: &str| {
        let folders = ["crates", "python/src", "hub/src"];
        let mut diff = git(&["diff", "--unified=0", from, "--"]);
        crate::step::stdout_of(diff.args(folders))
    };
    let has = |branch: &str| {
        let found = git(&["rev-parse", "--quiet", "--verify", branch]).output();
        found.is_ok_and(|found| found.status.success())
    };
    let mut text = diff("HEAD")?;
    // A shallow clone has neither.
    if let Some(base) = ["main", "origin/main"].iter().find(|b| has(b)) {
        text += &diff(&format!("{base}..."))?;
    }
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

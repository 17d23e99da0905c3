//! Plays seeds and tells what they found: one line a seed, the table of states, and a shortened transcript of the first
//! that failed. `cargo xtask sim` runs it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is what it is for"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the runs are measured; their own time stays virtual"
)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use seamesh_sim::sometimes::Sometimes;
use seamesh_sim::verdict::{Finding, Verdict, of_scenario, of_seed};
use seamesh_sim::{script, shorten, swarm};
use serde_json::json;

/// Seeds that are played when nothing else is asked for.
const SEEDS: Range<u64> = 0..1_000;

/// Seconds between two lines of progress.
const PROGRESS_S: u64 = 10;

#[derive(Parser)]
#[command(
    name = "cargo xtask sim",
    about = "Plays whole meshes in virtual time."
)]
struct Options {
    /// Plays this seed alone and prints its transcript.
    #[arg(long, conflicts_with_all = ["seeds", "minutes"])]
    seed: Option<u64>,
    /// Plays these seeds: A..B, without B.
    #[arg(long, value_parser = range)]
    seeds: Option<Range<u64>>,
    /// Plays seeds until so many minutes have passed, from 0 or from the first of --seeds.
    #[arg(long)]
    minutes: Option<f64>,
    /// Prints one line of JSON a seed and nothing else on stdout.
    #[arg(long)]
    json: bool,
    /// Stops at the first seed that fails.
    #[arg(long)]
    first: bool,
    /// Plays the transcripts of this folder instead, and names those that come out otherwise.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "minutes"])]
    scenarios: Option<std::path::PathBuf>,
    /// Threads; each plays seeds of its own. Default: one a core.
    #[arg(long)]
    jobs: Option<usize>,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let parts = text.split_once("..").ok_or("as in 0..1000")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    let range = number(parts.0)?..number(parts.1)?;
    if range.is_empty() {
        return Err("the first seed is less than the second".to_owned());
    }
    Ok(range)
}

fn main() -> ExitCode {
    let options = Options::parse();
    match (&options.scenarios, options.seed) {
        (Some(folder), _) => transcripts(folder),
        (None, Some(seed)) => one(seed, options.json),
        (None, None) => many(&options),
    }
}

/// Plays every transcript of a folder.
fn transcripts(folder: &Path) -> ExitCode {
    match differing(folder) {
        Ok(differing) if differing.is_empty() => ExitCode::SUCCESS,
        Ok(differing) => {
            println!("{}", differing.join("\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn differing(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let written = std::fs::read_to_string(&path)?;
        if script::play(&written).as_ref() != Ok(&written) {
            let name = path.file_name().unwrap_or_default();
            found.push(name.to_string_lossy().into_owned());
        }
    }
    found.sort();
    Ok(found)
}

fn line(seed: u64, verdict: &Verdict) -> String {
    json!({
        "seed": seed,
        "events": verdict.events,
        "virtual_ms": verdict.virtual_ms,
        "digest": format!("{:016x}", verdict.digest),
        "violations": verdict.findings,
    })
    .to_string()
}

fn one(seed: u64, json: bool) -> ExitCode {
    let verdict = of_scenario(&swarm::scenario(seed), !json).expect("drawn steps are known");
    if !json {
        println!("{}", verdict.log);
    }
    println!("{}", line(seed, &verdict));
    let Some(finding) = verdict.findings.first() else {
        return ExitCode::SUCCESS;
    };
    tell(seed, finding);
    ExitCode::FAILURE
}

/// Prints the shortest scenario that shows what a seed found.
fn tell(seed: u64, finding: &Finding) {
    let short = shorten(&swarm::scenario(seed), finding);
    let verdict = of_scenario(&short, true).expect("steps of a drawn scenario are known");
    eprintln!(
        "\n# seed {seed}: {finding}\n# shortened; a file of it belongs into scenarios/\n{}",
        verdict.log
    );
    for finding in &verdict.findings {
        eprintln!("# {finding}");
    }
}

/// What the threads share.
struct Shared {
    next: AtomicU64,
    end: u64,
    until: Option<Instant>,
    /// Verdicts that wait for those of earlier seeds.
    told: Mutex<Told>,
}

struct Told {
    waiting: BTreeMap<u64, Verdict>,
    due: u64,
    events: u64,
    virtual_ms: u64,
    sometimes: Sometimes,
    failed: Vec<(u64, Finding)>,
    progress: Instant,
}

fn many(options: &Options) -> ExitCode {
    let start = Instant::now();
    let seeds = options.seeds.clone().unwrap_or(match options.minutes {
        Some(_) => 0..u64::MAX,
        None => SEEDS,
    });
    let until = options
        .minutes
        .map(|m| start + Duration::from_secs_f64(m.max(0.0) * 60.0));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = options.jobs.unwrap_or(cores).max(1);
    let told = Told {
        waiting: BTreeMap::new(),
        due: seeds.start,
        events: 0,
        virtual_ms: 0,
        sometimes: Sometimes::default(),
        failed: Vec::new(),
        progress: start,
    };
    let shared = Shared {
        next: AtomicU64::new(seeds.start),
        end: seeds.end,
        until,
        told: Mutex::new(told),
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| play(&shared, options));
        }
    });
    let told = shared.told.into_inner().expect("no thread panicked");
    finish(&told, seeds.start, start.elapsed(), jobs, options)
}

fn play(shared: &Shared, options: &Options) {
    loop {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        let is_over = shared.until.is_some_and(|until| Instant::now() >= until);
        if seed >= shared.end || is_over {
            return;
        }
        let verdict = of_seed(seed);
        let mut told = shared.told.lock().expect("no thread panicked");
        told.waiting.insert(seed, verdict);
        told.in_order(options.json);
        if options.first && !told.failed.is_empty() {
            shared.next.store(shared.end, Ordering::Relaxed);
        }
    }
}

impl Told {
    /// Tells what is due.
    fn in_order(&mut self, json: bool) {
        while let Some(verdict) = self.waiting.remove(&self.due) {
            let seed = self.due;
            self.due += 1;
            self.events += verdict.events;
            self.virtual_ms += verdict.virtual_ms;
            self.sometimes.add(&verdict.sometimes);
            if json || !verdict.findings.is_empty() {
                println!("{}", line(seed, &verdict));
            }
            if let Some(finding) = verdict.findings.into_iter().next() {
                self.failed.push((seed, finding));
            }
        }
        if self.progress.elapsed() >= Duration::from_secs(PROGRESS_S) {
            self.progress = Instant::now();
            eprintln!(
                "sim: {} seeds played, {} failed",
                self.due,
                self.failed.len()
            );
        }
    }
}

fn finish(told: &Told, first: u64, took: Duration, jobs: usize, options: &Options) -> ExitCode {
    let seconds = took.as_secs_f64();
    let seeds = told.due - first;
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = told.events as f64 / seconds / jobs as f64;
    eprintln!(
        "sim: {seeds} seeds, {} failed; {} events in {seconds:.1} s, {rate:.0} a second and thread; {} h virtual",
        told.failed.len(),
        told.events,
        told.virtual_ms / 3_600_000
    );
    if !options.json {
        println!("\n{}", told.sometimes.table());
    }
    let Some((seed, finding)) = told.failed.first() else {
        return ExitCode::SUCCESS;
    };
    tell(*seed, finding);
    ExitCode::FAILURE
}

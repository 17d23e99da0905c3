//! The seam tests: what there are, and one run of one of them, with or without a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use seamesh_proto::ledger::{Party, Row};

use super::browser;
use super::map::{Map, Memory};
use crate::env;
use crate::excused::excused;
use crate::rust_tests::{self, TestBinary};
use crate::step::{Countdown, command, shown, stdout_of};

/// Packages whose tests put two real ends together.
const PACKAGES: &[&str] = &["seamesh-tests", "seamesh-sidecar", "seamesh-client"];

/// A test that takes longer than this, beside others, exercises rows, but is not run once for every fault.
const LONGEST: Duration = Duration::from_secs(20);

/// The same for a test in a browser.
const LONGEST_IN_BROWSER: Duration = Duration::from_secs(30);

/// The shortest cap on what a test waits for while a fault is planted, and how many times its whole length at least:
/// the machine may be slower then.
const SHORTEST_CAP: Duration = Duration::from_millis(2_000);
const CAP_FACTOR: u32 = 2;

/// Beyond this a test is ended from outside, which proves nothing.
const KILL: Duration = Duration::from_secs(40);

/// The same for a test without a cap: nothing real takes longer.
const LONGEST_LIFE: Duration = Duration::from_secs(180);

/// One test.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// `package::test`, as people name it.
    pub(super) name: String,
    pub(super) how: How,
}

/// How a test is run.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// By its name in a Rust test binary.
    Rust(TestBinary, String),
    /// By its title among the hub's tests on a real mesh.
    Browser(String),
}

impl Case {
    pub(super) fn is_in_browser(&self) -> bool {
        matches!(self.how, How::Browser(_))
    }

    fn longest(&self) -> Duration {
        match self.how {
            How::Rust(..) => LONGEST,
            How::Browser(_) => LONGEST_IN_BROWSER,
        }
    }
}

/// The cap on each wait of a test that took so long without a fault.
fn cap(took: Duration) -> Duration {
    SHORTEST_CAP.max(took * CAP_FACTOR)
}

/// One run of a test.
#[derive(Clone, Debug)]
pub(super) struct Trial<'a> {
    pub(super) case: &'a Case,
    /// A verb and the rows that it is planted for.
    pub(super) fault: Option<String>,
    /// How long the test took without a fault, when its waits are to be capped.
    pub(super) capped: Option<Duration>,
    /// Where the processes write what they said and acted on.
    pub(super) records: Option<PathBuf>,
}

impl<'a> Trial<'a> {
    /// A run without a fault.
    pub(super) fn plain(case: &'a Case) -> Self {
        Self {
            case,
            fault: None,
            capped: None,
            records: None,
        }
    }

    /// A run under a fault that must not matter, of some rows: it gets all the time there is.
    pub(super) fn disturbed(case: &'a Case, verb: &str, rows: &[String]) -> Self {
        Self {
            fault: Some(format!("{verb} {}", rows.join(" "))),
            ..Self::plain(case)
        }
    }

    /// The same with caps so many times as long.
    pub(super) fn with_patience(self, times: u32) -> Self {
        Self {
            capped: self.capped.map(|took| took * times),
            ..self
        }
    }

    /// A run under a fault that has to be noticed.
    pub(super) fn broken(test: &'a (Case, Duration), verb: &str, row: &str) -> Self {
        Self {
            fault: Some(format!("{verb} {row}")),
            ..Self::hurried(test)
        }
    }

    /// A run without a fault that has no more time than one with a fault.
    pub(super) fn hurried((case, took): &'a (Case, Duration)) -> Self {
        Self {
            capped: Some(*took),
            ..Self::plain(case)
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It passed.
    Passed,
    /// It failed by itself: by an assertion, or because something it names and waited for did not come.
    Failed,
    /// It had to be ended.
    Killed,
}

/// What became of a run.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) end: End,
    pub(super) took: Duration,
    /// What was printed; of a test in a browser, by the whole batch.
    pub(super) text: String,
}

/// The tests, built, and where they run.
pub(super) struct Bench {
    cases: Vec<Case>,
    env: Vec<(&'static str, PathBuf)>,
    folder: PathBuf,
    /// Tests at the same time.
    jobs: usize,
}

impl Bench {
    /// Builds the tests that these rows need, and lists them.
    pub(super) fn build(folder: &Path, jobs: usize, rows: &[Row]) -> Result<Self> {
        env::build_hub()?;
        let built = rust_tests::build()?;
        let is_hubs = |row: &Row| row.producer == Party::Hub || row.consumer == Party::Hub;
        let mut cases = Vec::new();
        let mut given = Vec::new();
        if !rows.iter().all(is_hubs) {
            let wanted =
                |t: &&TestBinary| PACKAGES.contains(&t.package.as_str()) && t.is_integration();
            for binary in built.tests.iter().filter(wanted) {
                cases.extend(cases_of(binary)?);
            }
            given.push(("SEAMESH_PYTHON", env::python()?));
            given.push(("SEAMESH_TURNSERVER", env::turnserver()?));
        }
        if rows.iter().any(is_hubs) {
            cases.extend(browser::cases()?);
            given.push(("SEAMESH_CHROMIUM", env::quick_chromium()?));
        }
        let left_out = excused(include_str!("left_out.txt"))?;
        cases.retain(|case| !left_out.iter().any(|(head, _)| case.name.starts_with(head)));
        given.push(("SEAMESH_BIN", built.programs.join("seamesh")));
        given.push(("SEAMESH_PROGRAMS", built.programs));
        let folder = folder.to_owned();
        Ok(Self {
            cases,
            env: given,
            folder,
            jobs: jobs.max(1),
        })
    }

    /// Runs every test once without a fault; with `is_quick` only those of which nothing is remembered.
    pub(super) fn map(&self, memory: &mut Memory, is_quick: bool) -> Result<Map> {
        let is_known = |case: &&Case| is_quick && memory.tests.contains_key(&case.name);
        let mut new: Vec<&Case> = self.cases.iter().filter(|c| !is_known(c)).collect();
        // The longest first, as far as they are known: nothing waits for the last one.
        let took = |case: &&Case| memory.tests.get(&case.name).map(|(ms, _)| *ms);
        new.sort_by_key(|case| std::cmp::Reverse(took(case)));
        // Twice at most: a machine under load may be too slow once.
        for is_last in [false, true] {
            let trials: Vec<Trial<'_>> = new.iter().map(|case| self.explored(case)).collect();
            let mut failed = Vec::new();
            for (trial, outcome) in trials.iter().zip(self.run(&trials)?) {
                let Trial { case, .. } = trial;
                if outcome.end == End::Passed {
                    let took = u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX);
                    let seen = seen_in(trial)?;
                    memory.tests.insert(case.name.clone(), (took, seen));
                } else if is_last {
                    bail!("{} fails without any fault:\n{}", case.name, outcome.text);
                } else {
                    failed.push(*case);
                }
            }
            new = failed;
        }
        let mut map = Map {
            noticed: memory.noticed.clone(),
            ..Map::default()
        };
        for case in &self.cases {
            let Some((took, seen)) = memory.tests.get(&case.name) else {
                continue;
            };
            map.touched.insert(case.name.clone(), seen.clone());
            let took = Duration::from_millis(*took);
            if took <= case.longest() {
                map.cases.push((case.clone(), took));
            }
        }
        map.cases.sort_by_key(|(_, took)| *took);
        Ok(map)
    }

    /// A run that tells what is said and acted on in a test.
    fn explored<'a>(&self, case: &'a Case) -> Trial<'a> {
        let name = case.name.replace(|c: char| !c.is_alphanumeric(), "-");
        Trial {
            records: Some(self.folder.join("records").join(name)),
            ..Trial::plain(case)
        }
    }

    /// Runs tests, some at the same time; what became of them, in their order. Says now and then how far it came.
    pub(super) fn run(&self, trials: &[Trial<'_>]) -> Result<Vec<Outcome>> {
        for records in trials.iter().filter_map(|trial| trial.records.as_ref()) {
            std::fs::create_dir_all(records)?;
        }
        let done = Countdown::of(trials.len());
        let in_browser = |at: &usize| matches!(trials[*at].case.how, How::Browser(_));
        let (browser, rust): (Vec<usize>, Vec<usize>) = (0..trials.len()).partition(in_browser);
        let (browsers, rusts) = std::thread::scope(|scope| {
            let batch: Vec<&Trial<'_>> = browser.iter().map(|at| &trials[*at]).collect();
            let browsers = scope.spawn(|| self.in_browser(batch, &done));
            let rusts = self.each(&rust, |at| {
                let outcome = self.run_rust(&trials[*at]);
                done.one();
                outcome
            });
            let browsers = browsers.join();
            (
                browsers.unwrap_or_else(|_| bail!("the batch in the browser panicked")),
                rusts,
            )
        });
        let mut outcomes = BTreeMap::new();
        outcomes.extend(browser.into_iter().zip(browsers?));
        for (at, outcome) in rust.into_iter().zip(rusts) {
            outcomes.insert(at, outcome?);
        }
        for (at, Outcome { end, took, .. }) in &outcomes {
            let Trial { case, fault, .. } = &trials[*at];
            let fault = fault.as_deref().unwrap_or("no fault");
            let took = took.as_secs_f64();
            self.note(&format!("{took:.2} s, {end:?}: {} with {fault}", case.name))?;
        }
        Ok(outcomes.into_values().collect())
    }

    fn in_browser(&self, trials: Vec<&Trial<'_>>, done: &Countdown) -> Result<Vec<Outcome>> {
        let workers = self.jobs;
        let batch = browser::Batch { trials, workers };
        batch.run(&tempfile_of(&self.folder)?, &self.env, cap, done)
    }

    fn run_rust(&self, trial: &Trial<'_>) -> Result<Outcome> {
        let How::Rust(binary, filter) = &trial.case.how else {
            bail!("{} is no Rust test", trial.case.name);
        };
        let mut run = Command::new(&binary.executable);
        run.current_dir(&binary.folder)
            .args(["--exact", filter, "--test-threads", "1"])
            .env("CARGO_MANIFEST_DIR", &binary.folder)
            .envs(self.env.iter().map(|(k, v)| (*k, v)))
            .stdin(Stdio::null());
        if let Some(records) = &trial.records {
            run.env("SEAMESH_SEAM_RECORDS", records);
        }
        if let Some(fault) = &trial.fault {
            run.env("SEAMESH_SEAM_FAULT", fault);
        }
        if let Some(took) = trial.capped {
            run.env("SEAMESH_TEST_CAP_MS", cap(took).as_millis().to_string());
        }
        let life = if trial.capped.is_some() {
            KILL
        } else {
            LONGEST_LIFE
        };
        let log = tempfile_of(&self.folder)?;
        let start = Instant::now();
        let success = watched(&mut run, &log, life, || Ok(()))?;
        let took = start.elapsed();
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        std::fs::remove_file(&log)?;
        let end = match success {
            Some(true) => End::Passed,
            Some(false) => End::Failed,
            None => End::Killed,
        };
        Ok(Outcome { end, took, text })
    }

    /// Writes down what was run, how long it took and how it ended: `runs.log` beside the page.
    fn note(&self, line: &str) -> Result<()> {
        use std::io::Write as _;
        let mut log = std::fs::OpenOptions::new();
        let mut log = log
            .create(true)
            .append(true)
            .open(self.folder.join("runs.log"))?;
        Ok(writeln!(log, "{line}")?)
    }

    /// Does something for each item, some at the same time; the results in order.
    fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> Result<R> + Sync,
    ) -> Vec<Result<R>> {
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<Result<R>>>> =
            items.iter().map(|_| Mutex::default()).collect();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    while let Some((item, slot)) = {
                        let index = next.fetch_add(1, Relaxed);
                        items.get(index).zip(results.get(index))
                    } {
                        let result = work(item);
                        if let Ok(mut slot) = slot.lock() {
                            *slot = Some(result);
                        }
                    }
                });
            }
        });
        let taken = results.into_iter().map(|slot| slot.into_inner());
        taken
            .map(|slot| match slot {
                Ok(Some(result)) => result,
                _ => bail!("a worker panicked"),
            })
            .collect()
    }
}

/// Runs a program with its output in a file, looking at it now and then; whether it succeeded, or `None` when it had to be
/// ended.
pub(super) fn watched(
    program: &mut Command,
    log: &Path,
    life: Duration,
    mut look: impl FnMut() -> Result<()>,
) -> Result<Option<bool>> {
    let file = std::fs::File::create(log)?;
    let child = program.stdout(file.try_clone()?).stderr(file).spawn();
    let mut child = child.with_context(|| format!("cannot start {}", shown(program)))?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if start.elapsed() > life {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        look()?;
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn cases_of(binary: &TestBinary) -> Result<Vec<Case>> {
    let mut list = command(&binary.executable, &binary.folder);
    let listed = stdout_of(list.args(["--list", "--format", "terse"]))?;
    let names = listed.lines().filter_map(|l| l.strip_suffix(": test"));
    let case = |filter: &str| Case {
        name: format!("{}::{filter}", binary.package),
        how: How::Rust(binary.clone(), filter.to_owned()),
    };
    Ok(names.map(case).collect())
}

fn tempfile_of(folder: &Path) -> Result<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    Ok(folder.join(format!("run-{}.log", COUNT.fetch_add(1, Relaxed))))
}

/// What a record begins with that a process made which had been started again.
pub(super) const AGAIN: &str = "again ";

/// What was said and acted on in a test that was explored.
fn seen_in(trial: &Trial<'_>) -> Result<BTreeSet<String>> {
    let mut seen = match &trial.records {
        Some(records) => read_records(records)?,
        None => BTreeSet::new(),
    };
    if trial.case.is_in_browser() {
        // Rows between other ends have faster tests.
        seen.retain(|line| line.contains("/hub>") || line.ends_with(">hub"));
    }
    Ok(seen)
}

fn read_records(folder: &Path) -> Result<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            // What processes did that had been killed and were started again.
            let again = read_records(&path)?;
            seen.extend(again.iter().map(|line| format!("{AGAIN}{line}")));
            seen.extend(again);
            continue;
        }
        let text = std::fs::read_to_string(path)?;
        seen.extend(text.lines().map(str::to_owned));
    }
    Ok(seen)
}

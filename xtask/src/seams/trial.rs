//! The seam tests: what there are, and one run of one of them, with or without a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use seamesh_proto::ledger::{Party, Row};
use serde::Deserialize;

use super::map::{Map, Memory};
use crate::env;
use crate::rust_tests::{self, TestBinary};
use crate::step::{Countdown, command, stdout_of};

/// Packages whose tests put two real ends together.
const PACKAGES: &[&str] = &["seamesh-tests", "seamesh-sidecar", "seamesh-client"];

/// A test that takes longer than this exercises rows, but is not run once for every fault.
const LONGEST: Duration = Duration::from_secs(6);

/// The same for a test in a browser, which has to be started each time.
const LONGEST_IN_BROWSER: Duration = Duration::from_secs(30);

/// The shortest cap on what a test waits for while a fault is planted, and how many times its whole length at least.
const SHORTEST_CAP: Duration = Duration::from_millis(2_000);
const CAP_FACTOR: u32 = 6;

/// In a browser a test is mostly its start: no wait of it is given more than all of it took, and this at least.
const SHORTEST_CAP_IN_BROWSER: Duration = Duration::from_secs(4);

/// Beyond this a test is ended from outside, which proves nothing.
const KILL: Duration = Duration::from_secs(40);

/// The same for a test without a cap: nothing real takes longer.
const LONGEST_LIFE: Duration = Duration::from_secs(180);

/// What Playwright says when it ends a test whose time is over.
const ENDED_BY_PLAYWRIGHT: &str = "Test timeout of ";

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
    /// By its `file:line` among the hub's tests on a real mesh.
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

    fn cap(&self, took: Duration) -> Duration {
        match self.how {
            How::Rust(..) => SHORTEST_CAP.max(took * CAP_FACTOR),
            How::Browser(_) => SHORTEST_CAP_IN_BROWSER.max(took),
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

/// The tests, built, and where they run.
pub(super) struct Bench {
    cases: Vec<Case>,
    env: Vec<(&'static str, PathBuf)>,
    folder: PathBuf,
    /// Tests at the same time.
    pub(super) jobs: usize,
    /// By test: whether it passes without a fault under the cap that it has with one.
    steady: Mutex<BTreeMap<String, bool>>,
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
        }
        if rows.iter().any(is_hubs) {
            cases.extend(cases_in_browser()?);
            given.push(("SEAMESH_CHROMIUM", env::chromium()?));
        }
        given.push(("SEAMESH_BIN", built.programs.join("seamesh")));
        given.push(("SEAMESH_PROGRAMS", built.programs));
        let folder = folder.to_owned();
        Ok(Self {
            cases,
            env: given,
            folder,
            jobs: jobs.max(1),
            steady: Mutex::default(),
        })
    }

    /// Runs every test once without a fault; with `is_quick` only those of which nothing is remembered.
    pub(super) fn map(&self, memory: &mut Memory, is_quick: bool) -> Result<Map> {
        let is_known = |case: &&Case| is_quick && memory.tests.contains_key(&case.name);
        let new: Vec<&Case> = self.cases.iter().filter(|c| !is_known(c)).collect();
        let results = self.each(&new, |case| self.explore(case));
        for (case, result) in new.iter().zip(results) {
            let (took, seen) = result?;
            let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            memory.tests.insert(case.name.clone(), (took, seen));
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

    /// How long a test takes without a fault, and what is said and acted on in it.
    fn explore(&self, case: &Case) -> Result<(Duration, BTreeSet<String>)> {
        let records = self.folder.join("records");
        let records = records.join(case.name.replace("::", "-"));
        std::fs::create_dir_all(&records)?;
        let recorded = [("SEAMESH_SEAM_RECORDS", &records)];
        let start = Instant::now();
        let (mut end, mut text) = self.run(case, None, &recorded, None)?;
        let mut took = start.elapsed();
        if end != End::Passed {
            // A machine under load: once more.
            let start = Instant::now();
            (end, text) = self.run(case, None, &recorded, None)?;
            took = start.elapsed();
        }
        if end != End::Passed {
            bail!("{} fails without any fault:\n{text}", case.name);
        }
        let mut seen = read_records(&records)?;
        if case.is_in_browser() {
            // Rows between other ends have faster tests.
            seen.retain(|line| line.contains("/hub>") || line.ends_with(">hub"));
        }
        Ok((took, seen))
    }

    /// One test under a fault that has to be noticed.
    pub(super) fn trial(&self, case: &Case, took: Duration, verb: &str, row: &str) -> Result<End> {
        let fault = format!("{verb} {row}");
        Ok(self.run(case, Some(&fault), &[], Some(case.cap(took)))?.0)
    }

    /// One test under a fault that must not matter, of some rows: it gets all the time there is.
    pub(super) fn disturb(&self, case: &Case, verb: &str, rows: &[String]) -> Result<bool> {
        let fault = format!("{verb} {}", rows.join(" "));
        Ok(self.run(case, Some(&fault), &[], None)?.0 == End::Passed)
    }

    /// Whether a test passes under its cap when there is no fault. If not, its failure with one proves nothing.
    pub(super) fn is_steady(&self, case: &Case, took: Duration) -> Result<bool> {
        let known = |steady: &Mutex<BTreeMap<String, bool>>| {
            let steady = steady.lock().unwrap_or_else(PoisonError::into_inner);
            steady.get(&case.name).copied()
        };
        if let Some(steady) = known(&self.steady) {
            return Ok(steady);
        }
        let is_steady = self.run(case, None, &[], Some(case.cap(took)))?.0 == End::Passed;
        let mut steady = self.steady.lock().unwrap_or_else(PoisonError::into_inner);
        steady.insert(case.name.clone(), is_steady);
        Ok(is_steady)
    }

    fn run(
        &self,
        case: &Case,
        fault: Option<&str>,
        more: &[(&str, &PathBuf)],
        cap: Option<Duration>,
    ) -> Result<(End, String)> {
        let log = tempfile_of(&self.folder)?;
        let mut run = match &case.how {
            How::Rust(binary, filter) => {
                let mut run = Command::new(&binary.executable);
                run.current_dir(&binary.folder)
                    .args(["--exact", filter, "--test-threads", "1"])
                    .env("CARGO_MANIFEST_DIR", &binary.folder);
                run
            }
            How::Browser(place) => {
                let mut run = playwright();
                run.args(["--reporter=line", "--trace=off", "--output"])
                    .arg(log.with_extension("browser"))
                    .arg(place);
                run
            }
        };
        run.envs(self.env.iter().map(|(k, v)| (*k, v)))
            .envs(more.iter().map(|(k, v)| (*k, *v)))
            .stdin(Stdio::null());
        if let Some(fault) = fault {
            run.env("SEAMESH_SEAM_FAULT", fault);
        }
        if let Some(cap) = cap {
            run.env("SEAMESH_TEST_CAP_MS", cap.as_millis().to_string());
        }
        let file = std::fs::File::create(&log)?;
        let mut child = run
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", case.name))?;
        let start = Instant::now();
        let end = loop {
            if let Some(status) = child.try_wait()? {
                break if status.success() {
                    End::Passed
                } else {
                    End::Failed
                };
            }
            if start.elapsed() > if cap.is_some() { KILL } else { LONGEST_LIFE } {
                child.kill()?;
                child.wait()?;
                break End::Killed;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        std::fs::remove_file(&log)?;
        let _ = std::fs::remove_dir_all(log.with_extension("browser"));
        match end {
            End::Failed if text.contains(ENDED_BY_PLAYWRIGHT) => Ok((End::Killed, text)),
            end => Ok((end, text)),
        }
    }

    /// Does something for each item, some at the same time, and says now and then how far it came; the results in order.
    pub(super) fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> Result<R> + Sync,
    ) -> Vec<Result<R>> {
        let next = AtomicUsize::new(0);
        let done = Countdown::of(items.len());
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
                        done.one();
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

/// The hub's tests on a real mesh.
fn cases_in_browser() -> Result<Vec<Case>> {
    #[derive(Deserialize)]
    struct Suite {
        #[serde(default)]
        specs: Vec<Spec>,
        #[serde(default)]
        suites: Vec<Suite>,
    }
    #[derive(Deserialize)]
    struct Spec {
        title: String,
        file: String,
        line: u32,
    }
    fn all(suite: Suite, cases: &mut Vec<Case>) {
        cases.extend(suite.specs.into_iter().map(|spec| Case {
            name: format!(
                "hub::{}::{}",
                spec.file,
                spec.title.replace([' ', '/'], "-")
            ),
            how: How::Browser(format!("{}:{}", spec.file, spec.line)),
        }));
        for inner in suite.suites {
            all(inner, cases);
        }
    }
    let listed = stdout_of(playwright().args(["--list", "--reporter=json"]))?;
    let top: Suite = serde_json::from_str(&listed).context("what Playwright lists")?;
    let mut cases = Vec::new();
    all(top, &mut cases);
    anyhow::ensure!(!cases.is_empty(), "Playwright lists no test on a real mesh");
    Ok(cases)
}

fn playwright() -> Command {
    let hub = crate::root().join("hub");
    let mut run = command(hub.join("node_modules/.bin/playwright"), &hub);
    run.args(["test", "--project=live"]).env("NO_COLOR", "1");
    run
}

fn tempfile_of(folder: &Path) -> Result<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    Ok(folder.join(format!("run-{}.log", COUNT.fetch_add(1, Relaxed))))
}

/// What a record begins with that a process made which had been started again.
pub(super) const AGAIN: &str = "again ";

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

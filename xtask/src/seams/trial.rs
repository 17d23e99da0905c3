//! The seam tests: what there are, and one run of one of them, with or without a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use seamesh_proto::ledger::{Party, Row};
use serde::Deserialize;

use crate::env;
use crate::rust_tests::{self, TestBinary};
use crate::step::{command, stdout_of};

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

/// What Playwright says when it ends a test whose time is over.
const ENDED_BY_PLAYWRIGHT: &str = "Test timeout of ";

/// One test.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// `package::test`, as people name it.
    pub(super) name: String,
    how: How,
}

/// How a test is run.
#[derive(Clone, Debug)]
enum How {
    /// By its name in a Rust test binary.
    Rust(TestBinary, String),
    /// By its `file:line` among the hub's tests on a real mesh.
    Browser(String),
}

impl Case {
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

/// What the run without faults found.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// Each test with how long it took, fastest first.
    pub(super) cases: Vec<(Case, Duration)>,
    /// By test: what was said and acted on.
    touched: BTreeMap<String, BTreeSet<String>>,
}

impl Map {
    /// The tests in which a row was said by its producer and acted on by its consumer: those that have its kind in their
    /// name first, then the fastest.
    pub(super) fn of<'a>(&'a self, row: &'a str) -> impl Iterator<Item = &'a (Case, Duration)> {
        let (said, acted) = (forms("said", row), forms("acted", row));
        let touching = self.cases.iter().filter(move |(case, _)| {
            let seen = self.touched.get(&case.name);
            seen.is_some_and(|seen| {
                said.iter().any(|s| seen.contains(s)) && acted.iter().any(|a| seen.contains(a))
            })
        });
        let kind = row.split('/').nth(1).unwrap_or_default();
        let kind = kind.split('.').next().unwrap_or(kind);
        let (named, others): (Vec<_>, Vec<_>) =
            touching.partition(|(case, _)| is_named_for(&case.name, kind));
        named.into_iter().chain(others)
    }

    /// What was said or acted on though no row of the ledger has it: kinds of the ledger, between others than it says.
    pub(super) fn undeclared(&self, rows: &[Row]) -> Vec<String> {
        let declared: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let heads: BTreeSet<&str> = rows.iter().map(|row| head(&row.id)).collect();
        let seen = self.touched.values().flatten();
        let seen = seen.filter_map(|line| Some(line.split_once(' ')?.1));
        let is_known = |row: &&str| heads.contains(head(row)) && !row.contains('*');
        let unknown = seen.filter(is_known).filter(|row| !declared.contains(row));
        let unknown: BTreeSet<String> = unknown.map(str::to_owned).collect();
        unknown.into_iter().collect()
    }
}

/// `channel/kind` of a row.
fn head(row: &str) -> &str {
    row.rsplit_once('/').map_or(row, |(head, _)| head)
}

/// Whether a test's name has the words of a kind in it.
fn is_named_for(test: &str, kind: &str) -> bool {
    let name = test.rsplit("::").next().unwrap_or(test);
    let padded = format!("_{name}_");
    padded.contains(&format!("_{kind}_"))
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

/// The tests, built, and where they run.
pub(super) struct Bench {
    cases: Vec<Case>,
    env: Vec<(&'static str, PathBuf)>,
    folder: PathBuf,
    /// Tests at the same time.
    pub(super) jobs: usize,
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
        })
    }

    /// Runs every test once without a fault.
    pub(super) fn map(&self) -> Result<Map> {
        let results = self.each(&self.cases, |case| {
            let records = self
                .folder
                .join("records")
                .join(case.name.replace("::", "-"));
            std::fs::create_dir_all(&records)?;
            let start = Instant::now();
            let (mut end, mut text) =
                self.run(case, None, &[("SEAMESH_SEAM_RECORDS", &records)], None)?;
            if end != End::Passed {
                // A machine under load: once more, alone in its cap.
                (end, text) = self.run(case, None, &[("SEAMESH_SEAM_RECORDS", &records)], None)?;
            }
            if end != End::Passed {
                bail!("{} fails without any fault:\n{text}", case.name);
            }
            let mut seen = read_records(&records)?;
            if matches!(case.how, How::Browser(_)) {
                // Rows between other ends have faster tests.
                seen.retain(|line| line.contains("/hub>") || line.ends_with(">hub"));
            }
            Ok((start.elapsed(), seen))
        });
        let mut map = Map::default();
        for (case, result) in self.cases.iter().zip(results) {
            let (took, seen) = result?;
            map.touched.insert(case.name.clone(), seen);
            if took <= case.longest() {
                map.cases.push((case.clone(), took));
            }
        }
        map.cases.sort_by_key(|(_, took)| *took);
        Ok(map)
    }

    /// One test under a fault.
    pub(super) fn trial(&self, case: &Case, took: Duration, verb: &str, row: &str) -> Result<End> {
        let fault = format!("{verb} {row}");
        // What must not matter gets all the time there is.
        let is_harmless = matches!(verb, "twice" | "late");
        let cap = (!is_harmless).then(|| case.cap(took));
        Ok(self.run(case, Some(&fault), &[], cap)?.0)
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
            if start.elapsed() > KILL && cap.is_some() {
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

    /// Does something for each item, some at the same time; the results in order.
    pub(super) fn each<T: Sync, R: Send>(
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

fn read_records(folder: &Path) -> Result<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let text = std::fs::read_to_string(entry?.path())?;
        seen.extend(text.lines().map(str::to_owned));
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ]);
        let names = ["t::quick", "t::seam_connect_dials"];
        let map = Map {
            cases: names.map(|n| (case(n), Duration::ZERO)).into(),
            touched: names.map(|n| (n.to_owned(), seen.clone())).into(),
        };
        let tried: Vec<&str> = map.of(row).map(|(c, _)| c.name.as_str()).collect();
        assert_eq!(tried, ["t::seam_connect_dials", "t::quick"]);
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

//! What source code must not contain.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::{TextFile, Tree};

/// Names that say nothing about what is inside.
const NAMELESS: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc"];
/// What keeps a test from running, or others from running beside it.
const SKIPS: &[&str] = &[
    "#[ignore",
    "mark.skip",
    "pytest.skip(",
    "unittest.skip",
    "mark.xfail",
    "test.skip(",
    "it.skip(",
    "describe.skip(",
    "test.only(",
    "it.only(",
    "describe.only(",
    "test.fixme(",
    "it.todo(",
    "test.todo(",
];
/// What makes a test wait for time instead of an event. `sleep(0)` only yields.
const SLEEPS: &[&str] = &["sleep(", "waitForTimeout("];
/// On the line or the one before: why a rule does not hold here.
const EXCUSE: &str = "tidy-allow:";

/// What the rules find in source files.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = unwraps(tree);
    for file in tree.files.iter().filter(|f| f.hand_written()) {
        findings.extend(nameless(file));
        // The rules' own words stand in this folder.
        if file.is_source(&["rs", "py", "ts", "tsx"]) && !file.path.starts_with("xtask/src/tidy/") {
            findings.extend(in_tests(file));
        }
    }
    findings
}

fn nameless(file: &TextFile) -> Vec<Finding> {
    let parts = file
        .path
        .split('/')
        .map(|part| part.split('.').next().unwrap_or(part));
    let bad = parts.filter(|part| NAMELESS.contains(part));
    let what = |part: &str| format!("`{part}` names nothing: call it after what is in it");
    bad.map(|part| Finding::new("names", &file.path, 0, what(part)))
        .collect()
}

fn in_tests(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut excused = false;
    for (number, line, test) in file.lines() {
        let here = line.contains(EXCUSE);
        if test && !here && !excused {
            if SKIPS.iter().any(|s| line.contains(s)) {
                let what = "a test that does not run proves nothing: make it run or remove it";
                findings.push(Finding::new("skip", &file.path, number, what));
            }
            if sleeps(line) {
                let what = "a test waits for an event with a hard cap, not for time; if it must, say why: `tidy-allow: …`";
                findings.push(Finding::new("sleep", &file.path, number, what));
            }
        }
        excused = here;
    }
    findings
}

fn sleeps(line: &str) -> bool {
    let code = line.trim_start();
    let comment = ["//", "#", "*"].iter().any(|c| code.starts_with(c));
    !comment && SLEEPS.iter().any(|s| code.contains(s)) && !code.contains("sleep(0)")
}

/// `unwrap` is for tests: elsewhere at most one in a thousand lines of a package.
fn unwraps(tree: &Tree) -> Vec<Finding> {
    let mut packages: BTreeMap<String, (usize, Vec<(String, usize)>)> = BTreeMap::new();
    for file in tree
        .files
        .iter()
        .filter(|f| f.path.ends_with(".rs") && !f.is_test())
    {
        let Some((package, _)) = file.path.split_once("/src/") else {
            continue;
        };
        let (lines, places) = packages.entry(package.to_owned()).or_default();
        for (number, line, test) in file.lines() {
            if test {
                continue;
            }
            *lines += 1;
            if line.contains(".unwrap()") && !line.trim_start().starts_with("//") {
                places.push((file.path.clone(), number));
            }
        }
    }
    let mut findings = Vec::new();
    for (package, (lines, places)) in packages {
        if let Some((path, line)) = places.last()
            && places.len() > lines.div_ceil(1000)
        {
            let what = format!(
                "{} `unwrap()` in {lines} lines of {package}: handle the error, or `expect` the reason it cannot happen",
                places.len()
            );
            findings.push(Finding::new("unwrap", path, *line, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Tree::of(&[(path, text)]))
            .iter()
            .map(|f| f.rule)
            .collect()
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        assert_eq!(rules("crates/x/src/utils.rs", ""), ["names"]);
        assert_eq!(rules("hub/src/helpers/time.ts", ""), ["names"]);
        assert!(rules("crates/x/src/links.rs", "").is_empty());
    }

    #[test]
    fn a_skipped_test_is_found_in_every_language() {
        assert_eq!(
            rules("crates/x/tests/a.rs", "#[ignore = \"slow\"]\n"),
            ["skip"]
        );
        assert_eq!(
            rules("python/tests/test_a.py", "@pytest.mark.skip\n"),
            ["skip"]
        );
        assert_eq!(rules("hub/src/lib/a.test.ts", "it.only('x')\n"), ["skip"]);
    }

    #[test]
    fn a_sleep_in_a_test_is_found_unless_its_reason_stands_beside_it() {
        assert_eq!(
            rules("tests/src/a.rs", "sleep(Duration::from_secs(1)).await;\n"),
            ["sleep"]
        );
        let told =
            "// tidy-allow: the old peer needs a second\nsleep(Duration::from_secs(1)).await;\n";
        assert!(rules("tests/src/a.rs", told).is_empty());
        assert!(rules("python/tests/test_a.py", "await asyncio.sleep(0)\n").is_empty());
    }

    #[test]
    fn a_sleep_in_a_shell_is_no_test_that_sleeps() {
        assert!(rules("crates/sidecar/src/timer.rs", "sleep(backoff).await;\n").is_empty());
    }

    #[test]
    fn unwraps_are_counted_outside_tests() {
        let twice = "a.unwrap();\nb.unwrap();\n";
        assert_eq!(rules("crates/x/src/a.rs", twice), ["unwrap"]);
        assert!(rules("crates/x/src/a.rs", &format!("#[cfg(test)]\n{twice}")).is_empty());
        assert!(rules("crates/x/tests/a.rs", twice).is_empty());
        assert!(
            rules("crates/x/src/a.rs", "a.unwrap();\n").is_empty(),
            "one in a thousand lines"
        );
    }
}

//! The shortest scenario that still shows what a long one found.

use crate::swarm::TAIL;
use crate::verdict::{Finding, of_scenario};

/// Plays a scenario may be shortened with: some hundred milliseconds each at worst.
const MAX_PLAYS: u32 = 2_000;

/// Takes out every step without which the scenario still shows a finding of the same kind. What follows the last fault
/// stays where the finding needs it: without time to heal everything is unhealed.
pub fn shorten(scenario: &str, finding: &Finding) -> String {
    let (drawn, tail) = match scenario.find(TAIL) {
        Some(at) => scenario.split_at(at),
        None => (scenario, ""),
    };
    let mut plays = 0;
    let mut shows = |drawn: &[&str], tail: &[&str]| {
        plays += 1;
        let text = format!("{}\n{}\n", drawn.join("\n"), tail.join("\n"));
        let verdict = of_scenario(&text, false);
        let shows = |found: &Finding| found.kind() == finding.kind();
        plays <= MAX_PLAYS && verdict.is_ok_and(|verdict| verdict.findings.iter().any(shows))
    };
    let mut drawn: Vec<&str> = drawn.lines().collect();
    let mut tail: Vec<&str> = tail.lines().collect();
    if !finding.needs_the_end() && shows(&drawn, &[]) {
        tail.clear();
    }
    let mut size = drawn.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < drawn.len() {
            let mut fewer = drawn.clone();
            fewer.drain(at..(at + size).min(drawn.len()));
            match shows(&fewer, &tail) {
                true => drawn = fewer,
                false => at += size,
            }
        }
        size /= 2;
    }
    format!("{}\n{}\n", drawn.join("\n"), tail.join("\n"))
}

//! All checks, in the order of the promises.

use super::{History, Violation, links, requests, runs, tasks};

/// Decides every promise. Empty: all were kept, as far as the facts tell.
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = tasks::check(history);
    found.extend(runs::check(history));
    found.extend(requests::check(history));
    found.extend(links::check(history));
    found
}

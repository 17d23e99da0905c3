//! What is over a limit and may stay for a while: `rule path amount` lines, whose amounts only go down.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Finding;

/// Where the ratchet stands.
pub(crate) const FILE: &str = "xtask/tidy-ratchet.txt";

/// The allowed amounts.
#[derive(Default)]
pub(crate) struct Ratchet {
    entries: Vec<(String, String, usize)>,
}

impl Ratchet {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is missing or a line is not `rule path amount`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(root.join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = text
            .lines()
            .filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
        let entry = |line: &str| {
            let mut words = line.split_whitespace();
            let entry = (|| {
                Some((
                    words.next()?.to_owned(),
                    words.next()?.to_owned(),
                    words.next()?.parse().ok()?,
                ))
            })();
            entry.with_context(|| format!("{FILE}: want `rule path amount`, not {line:?}"))
        };
        Ok(Self {
            entries: lines.map(entry).collect::<Result<_>>()?,
        })
    }

    /// The findings that are not excused, and one for each entry that allows more than there is.
    pub(crate) fn apply(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let mut largest = vec![0; self.entries.len()];
        let mut kept = Vec::new();
        for finding in findings {
            let entry = self
                .entries
                .iter()
                .position(|(rule, path, _)| rule == finding.rule && *path == finding.path);
            match (entry, finding.amount) {
                (Some(index), Some(amount)) if amount <= self.entries[index].2 => {
                    largest[index] = largest[index].max(amount);
                }
                _ => kept.push(finding),
            }
        }
        for ((rule, path, allowed), found) in self.entries.iter().zip(largest) {
            if found < *allowed && !kept.iter().any(|f| f.rule == rule && f.path == *path) {
                let what = format!(
                    "allows {allowed} for `{rule} {path}`, but it is {found} now: lower or remove the line"
                );
                kept.push(Finding::new("ratchet", FILE, 0, what));
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(amount: usize) -> Vec<Finding> {
        vec![Finding::new("file-length", "a.rs", 0, "long").amount(amount)]
    }

    #[test]
    fn an_amount_up_to_the_ratchet_is_excused_and_more_is_not() {
        let ratchet = Ratchet::parse("# why\nfile-length a.rs 800\n").unwrap();
        assert!(ratchet.apply(long(800)).is_empty());
        assert_eq!(ratchet.apply(long(801))[0].rule, "file-length");
    }

    #[test]
    fn a_ratchet_that_allows_too_much_is_itself_a_finding() {
        let ratchet = Ratchet::parse("file-length a.rs 800").unwrap();
        let found = ratchet.apply(long(750));
        assert!(found[0].what.contains("it is 750 now"), "{}", found[0]);
        assert!(ratchet.apply(Vec::new())[0].what.contains("it is 0 now"));
    }

    #[test]
    fn what_has_no_amount_is_never_excused() {
        let ratchet = Ratchet::parse("skip a.rs 1").unwrap();
        let found = ratchet.apply(vec![Finding::new("skip", "a.rs", 3, "skipped")]);
        assert_eq!(found.len(), 1);
    }
}

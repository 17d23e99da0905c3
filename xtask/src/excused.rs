//! Lists of what is excused from a demand, each with its reason: `what | why`, one line for each.

use anyhow::{Context, Result};

/// What is excused, and why. Empty lines and those that begin with `#` say nothing.
///
/// # Errors
/// When a line has no reason.
pub(crate) fn excused(text: &str) -> Result<Vec<(&str, &str)>> {
    let lines = text.lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parsed = lines.map(|line| {
        // A mutant has bars of its own.
        let parts = line.rsplit_once(" | ");
        parts.with_context(|| format!("`{line}`: no reason"))
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stands_behind_the_last_bar() {
        let text = "# about\n\na.rs: replace | with ^ in f | both bits are never set\n";
        let mutant = ("a.rs: replace | with ^ in f", "both bits are never set");
        assert_eq!(excused(text).unwrap(), [mutant]);
        assert!(excused("a.rs: replace f\n").is_err());
    }
}

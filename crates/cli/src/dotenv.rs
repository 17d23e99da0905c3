//! `.env` beside a manifest: `KEY=VALUE` lines.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// The variables of a `.env` file; none when there is no file.
///
/// # Errors
/// With the line's number, when a line is no `KEY=VALUE`.
pub(crate) fn read(path: &Path) -> Result<Vec<(String, String)>> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).with_context(|| path.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn parse(text: &str) -> Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((key, value)) = line.split_once('=') else {
            bail!("line {number}: write KEY=VALUE");
        };
        let key = key.trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if key.is_empty() || !key.chars().all(is_name) {
            bail!("line {number}: a name holds letters, digits and _");
        }
        variables.push((key.to_owned(), unquote(value.trim()).to_owned()));
    }
    Ok(variables)
}

fn unquote(value: &str) -> &str {
    let quoted = |mark| {
        value
            .strip_prefix(mark)
            .and_then(|v: &str| v.strip_suffix(mark))
    };
    quoted('"').or_else(|| quoted('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_values_quotes_and_comments() {
        let text = "# c\nA=1\nexport B = two words \nC=\"q # q\"\n\nD='x'\nE=\n";
        let read = parse(text).unwrap();
        let pairs: Vec<_> = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "q # q"),
                ("D", "x"),
                ("E", "")
            ]
        );
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        assert!(
            parse("A=1\nnonsense")
                .unwrap_err()
                .to_string()
                .contains("line 2")
        );
        assert!(parse("a b=1").unwrap_err().to_string().contains("line 1"));
    }
}

//! What is wrong with a manifest, or worth knowing: all of it, each with its place.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::located::At;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// The manifest cannot be used.
    Error,
    /// It can, but something in it does nothing.
    Warning,
}

/// One thing about a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// How much it matters.
    pub weight: Weight,
    /// What it is and what to do.
    pub what: String,
}

/// Everything found.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) fn error(&mut self, at: At, what: impl Into<String>) {
        self.push(at, Weight::Error, what.into());
    }

    pub(crate) fn warn(&mut self, at: At, what: impl Into<String>) {
        self.push(at, Weight::Warning, what.into());
    }

    fn push(&mut self, At { line, column }: At, weight: Weight, what: String) {
        self.0.push(Finding {
            line,
            column,
            weight,
            what,
        });
    }

    pub(crate) fn is_bad(&self) -> bool {
        self.0.iter().any(|finding| finding.weight == Weight::Error)
    }

    /// All of it, in the order of the file.
    pub(crate) fn sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| (finding.line, finding.column));
        self.0
    }
}

/// A finding as compilers write theirs.
pub fn told(path: &Path, finding: &Finding) -> String {
    let Finding {
        line,
        column,
        weight,
        what,
    } = finding;
    let weight = match weight {
        Weight::Error => "error",
        Weight::Warning => "warning",
    };
    format!("{}:{line}:{column}: {weight}: {what}", path.display())
}

/// A manifest that cannot be used, with everything that was found in it.
#[derive(Debug)]
pub struct BadManifest {
    /// The file.
    pub path: PathBuf,
    /// Everything, errors and warnings.
    pub findings: Vec<Finding>,
}

impl fmt::Display for BadManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.findings.iter().filter(|x| x.weight == Weight::Error);
        write!(f, "{} cannot be used:", self.path.display())?;
        for finding in errors {
            write!(f, "\n  {}", told(&self.path, finding))?;
        }
        Ok(())
    }
}

impl std::error::Error for BadManifest {}

//! The release binary's size.

use anyhow::{Context, Result};
use seamesh_harness::binaries;

use crate::report::{Goal, Metric};

/// Largest binary, in megabytes, hub included.
const BINARY_MB: f64 = 25.0;

/// Measures the binary that the other benches run.
pub(crate) fn run(show: &mut impl FnMut(Metric)) -> Result<()> {
    let path = binaries::seamesh()?;
    let bytes = std::fs::metadata(&path)
        .with_context(|| format!("look at {}", path.display()))?
        .len();
    show(Metric::of_runs(
        "size",
        "binary",
        vec![bytes as f64 / 1e6],
        "MB",
        Goal::Under(BINARY_MB),
    ));
    Ok(())
}

//! A point in time, handed in from outside: no crate of the core reads a clock.

use serde::{Deserialize, Serialize};

/// Unix milliseconds. A shell derives it from one wall-clock reading at its start plus a monotonic clock, so it never
/// jumps backwards while a process lives.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Now(pub u64);

impl Now {
    /// The point `ms` milliseconds later.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`; 0 when `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Unix seconds, as REST bodies give them.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

//! One line of JSON per metric, or a table for people.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::measure;

/// What a value is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// The value is under this.
    Under(f64),
    /// The value is over this.
    Over(f64),
    /// The value stands for itself.
    None,
}

impl Goal {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::Under(limit) => value < limit,
            Self::Over(limit) => value > limit,
            Self::None => true,
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Self::Under(limit) => Some(format!("< {limit}")),
            Self::Over(limit) => Some(format!("> {limit}")),
            Self::None => None,
        }
    }
}

/// One measured number.
#[derive(Debug, Serialize)]
pub(crate) struct Metric {
    /// The bench it belongs to.
    pub(crate) bench: &'static str,
    /// Its name.
    pub(crate) metric: String,
    /// The median of the runs, unless the name says otherwise.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// What it should be.
    pub(crate) goal: Option<String>,
    /// Whether it is.
    pub(crate) ok: bool,
    /// What this machine can do at best, measured in the same run.
    pub(crate) ceilings: BTreeMap<&'static str, f64>,
    /// Every run's value.
    pub(crate) runs: Vec<f64>,
    /// The machine's load when it was taken.
    pub(crate) load: f64,
}

impl Metric {
    /// A metric from its runs: the value is their median.
    pub(crate) fn of_runs(
        bench: &'static str,
        metric: impl Into<String>,
        runs: Vec<f64>,
        unit: &'static str,
        goal: Goal,
    ) -> Self {
        Self::new(bench, metric, measure::median(&runs), runs, unit, goal)
    }

    /// A metric from its runs: the value is the largest.
    pub(crate) fn worst_of(
        bench: &'static str,
        metric: impl Into<String>,
        runs: Vec<f64>,
        unit: &'static str,
        goal: Goal,
    ) -> Self {
        Self::new(
            bench,
            metric,
            measure::percentile(&runs, 1.0),
            runs,
            unit,
            goal,
        )
    }

    fn new(
        bench: &'static str,
        metric: impl Into<String>,
        value: f64,
        runs: Vec<f64>,
        unit: &'static str,
        goal: Goal,
    ) -> Self {
        let round = |v: f64| (v * 1000.0).round() / 1000.0;
        Self {
            bench,
            metric: metric.into(),
            value: round(value),
            unit,
            goal: goal.text(),
            ok: goal.holds(value),
            ceilings: BTreeMap::new(),
            runs: runs.into_iter().map(round).collect(),
            load: measure::load(),
        }
    }

    /// The same metric beside what the machine can do at best.
    #[must_use]
    pub(crate) fn beside(mut self, ceilings: &BTreeMap<&'static str, f64>) -> Self {
        self.ceilings.clone_from(ceilings);
        self
    }
}

/// Prints one metric, as a JSON line or for people.
#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
pub(crate) fn print(metric: &Metric, json: bool) {
    if json {
        println!("{}", serde_json::to_string(metric).unwrap_or_default());
        return;
    }
    let verdict = match (&metric.goal, metric.ok) {
        (None, _) => String::new(),
        (Some(goal), true) => format!("  ok   (goal {goal})"),
        (Some(goal), false) => format!("  MISS (goal {goal})"),
    };
    println!(
        "{:<8} {:<34} {:>12.2} {:<8}{verdict}",
        metric.bench, metric.metric, metric.value, metric.unit
    );
    for (name, value) in &metric.ceilings {
        println!(
            "         {:<34} {value:>12.2}",
            format!("  ceiling: {name}")
        );
    }
}

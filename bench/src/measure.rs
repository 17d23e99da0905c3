//! Medians, percentiles and the machine's load: how a number is taken here.

use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Fewest runs a median is taken of.
pub(crate) const MIN_RUNS: usize = 7;

/// The median of `values` (the lower one of an even count). 0 for none.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The value below which `share` (0 to 1) of `values` lie. 0 for none.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * share).round() as usize)
        .copied()
        .unwrap_or_default()
}

/// Milliseconds, with fractions.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Microseconds, with fractions.
pub(crate) fn us(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The machine's one-minute load average; 0 where it cannot be read.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or_default()
}

/// How much of this machine's processors its host gave to other machines from a moment on.
pub(crate) struct Stolen {
    since: Instant,
    before: Duration,
}

impl Stolen {
    /// Counts from now.
    pub(crate) fn start() -> Self {
        Self {
            since: Instant::now(),
            before: stolen(),
        }
    }

    /// The share of all processors' time, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        let processors = available_parallelism().map_or(1, usize::from) as f64;
        let taken = stolen().saturating_sub(self.before).as_secs_f64();
        taken / (processors * self.since.elapsed().as_secs_f64()).max(f64::MIN_POSITIVE)
    }
}

/// Processor time that was wanted here and given to another machine of the host, since the start; 0 where that is not
/// told.
fn stolen() -> Duration {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    // "cpu", two spaces, and user, nice, system, idle, iowait, irq, softirq, steal in ticks: proc_stat(5).
    let fields = text.lines().next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(8).take(1).flat_map(str::parse::<u64>).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_S)
}

/// Clock ticks per second in `/proc`: Linux shows 100 to every program, whatever its own clock.
const TICKS_PER_S: u64 = 100;

/// Processor time that a process has used, in the kernel and outside; 0 once it has ended.
pub(crate) fn cpu_time(pid: Option<u32>) -> Duration {
    let path = pid.map(|pid| format!("/proc/{pid}/stat"));
    let text = path.and_then(|path| std::fs::read_to_string(path).ok());
    let text = text.unwrap_or_default();
    // The program's name stands in brackets and may hold anything; behind it, `utime` and `stime` are the 12th and 13th.
    let fields = text.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u64 = fields.skip(11).take(2).flat_map(str::parse::<u64>).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_order_and_outliers() {
        assert_eq!(median(&[1000.0, 1.0, 3.0, 2.0, 2.5]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }
}

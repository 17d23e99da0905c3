//! Counters of this process and their text form (Prometheus exposition format 0.0.4).

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::http::StatusCode;
use seamesh_proto::routes::ROUTES;
use seamesh_proto::signaling::ClientSignal;

/// Upper bounds of the request latency histogram, microseconds: from a memory answer to a slow disk's fsync.
const LATENCY_BOUNDS_US: [u64; 12] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000,
];

/// Status classes that are counted apart: 1xx (upgrades) to 5xx.
const CLASSES: usize = 5;

/// One route's counters.
#[derive(Default)]
struct RouteCounters {
    by_class: [AtomicU64; CLASSES],
    /// Requests at or under each bound; the last slot counts the rest.
    buckets: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    total_us: AtomicU64,
}

/// The counters of this process.
pub(crate) struct Metrics {
    routes: Vec<RouteCounters>,
    /// Signaling frames taken, in the order of [`ClientSignal::KINDS`].
    frames: Vec<AtomicU64>,
    /// Signaling sockets opened since the start.
    pub sockets_opened: AtomicU64,
    /// Signaling sockets cut for not reading what was sent to them.
    pub sockets_overflowed: AtomicU64,
    /// Signaling frames refused with an `error` frame.
    pub frames_refused: AtomicU64,
    /// `wait` requests that are open.
    pub waits: AtomicU64,
    /// Times the rules were loaded again from the store after a failed transaction.
    pub core_reloads: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            routes: ROUTES.iter().map(|_| RouteCounters::default()).collect(),
            frames: ClientSignal::KINDS
                .iter()
                .map(|_| AtomicU64::new(0))
                .collect(),
            sockets_opened: AtomicU64::new(0),
            sockets_overflowed: AtomicU64::new(0),
            frames_refused: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            core_reloads: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts one answered request of the route at `index` in the route table.
    pub(crate) fn request(&self, index: usize, status: StatusCode, took: Duration) {
        let Some(route) = self.routes.get(index) else {
            return;
        };
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES) - 1;
        route.by_class[class].fetch_add(1, Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let slot = LATENCY_BOUNDS_US.partition_point(|&bound| bound < us);
        route.buckets[slot].fetch_add(1, Relaxed);
        route.total_us.fetch_add(us, Relaxed);
    }

    /// Counts one signaling frame of a sidecar, of a kind that there is.
    pub(crate) fn frame(&self, kind: &str) {
        let mut kinds = ClientSignal::KINDS.iter().zip(&self.frames);
        if let Some((_, count)) = kinds.find(|(known, _)| **known == kind) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Appends every counter of this process.
    pub(crate) fn write(&self, text: &mut Exposition) {
        self.write_requests(text);
        self.write_frames(text);
        let counters = [
            (
                "seamesh_signaling_sockets_opened_total",
                "Signaling sockets opened.",
                &self.sockets_opened,
            ),
            (
                "seamesh_signaling_sockets_overflowed_total",
                "Signaling sockets cut for not reading.",
                &self.sockets_overflowed,
            ),
            (
                "seamesh_signaling_frames_refused_total",
                "Signaling frames answered with an error.",
                &self.frames_refused,
            ),
            (
                "seamesh_core_reloads_total",
                "Reloads of the rules after a failed transaction.",
                &self.core_reloads,
            ),
        ];
        let waits = self.waits.load(Relaxed);
        text.gauge("seamesh_waits", "Open wait requests.", waits);
        for (name, help, value) in counters {
            text.counter(name, help, value.load(Relaxed));
        }
    }

    fn write_frames(&self, text: &mut Exposition) {
        const COUNT: &str = "seamesh_signaling_frames_total";
        text.head(COUNT, "counter", "Signaling frames from sidecars by kind.");
        for (kind, count) in ClientSignal::KINDS.iter().zip(&self.frames) {
            text.sample(COUNT, &[("kind", kind)], count.load(Relaxed));
        }
    }

    fn write_requests(&self, text: &mut Exposition) {
        const COUNT: &str = "seamesh_http_requests_total";
        text.head(
            COUNT,
            "counter",
            "Answered requests by operation and status class.",
        );
        for (route, counters) in ROUTES.iter().zip(&self.routes) {
            for (class, count) in counters.by_class.iter().enumerate() {
                let count = count.load(Relaxed);
                if count > 0 {
                    let class = format!("{}xx", class + 1);
                    let labels = [("operation", route.operation), ("status", &class)];
                    text.sample(COUNT, &labels, count);
                }
            }
        }
        const SECONDS: &str = "seamesh_http_request_seconds";
        text.head(
            SECONDS,
            "histogram",
            "Time from request to answer, by operation.",
        );
        for (route, counters) in ROUTES.iter().zip(&self.routes) {
            write_histogram(text, SECONDS, route.operation, counters);
        }
    }
}

fn write_histogram(text: &mut Exposition, name: &str, operation: &str, counters: &RouteCounters) {
    let counts: Vec<u64> = counters.buckets.iter().map(|b| b.load(Relaxed)).collect();
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return;
    }
    let mut below = 0;
    for (bound, count) in LATENCY_BOUNDS_US.iter().zip(&counts) {
        below += count;
        let bound = (*bound as f64 / 1e6).to_string();
        let labels = [("operation", operation), ("le", &bound)];
        text.sample(&format!("{name}_bucket"), &labels, below);
    }
    let labels = [("operation", operation), ("le", "+Inf")];
    text.sample(&format!("{name}_bucket"), &labels, total);
    let labels = [("operation", operation)];
    let seconds = counters.total_us.load(Relaxed) as f64 / 1e6;
    text.sample(&format!("{name}_sum"), &labels, seconds);
    text.sample(&format!("{name}_count"), &labels, total);
}

/// Metrics as text.
#[derive(Default)]
pub(crate) struct Exposition(String);

impl Exposition {
    /// Begins a metric.
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample. Label values are ours: states, operations, numbers; none needs escaping.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    /// A counter with one sample.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// A gauge with one sample.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// The text.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_operation_class_and_latency() {
        let metrics = Metrics::default();
        metrics.request(0, StatusCode::OK, Duration::from_micros(100));
        metrics.request(0, StatusCode::NOT_FOUND, Duration::from_secs(10));
        let mut text = Exposition::default();
        metrics.write(&mut text);
        let text = text.finish();
        for line in [
            r#"seamesh_http_requests_total{operation="health",status="2xx"} 1"#,
            r#"seamesh_http_requests_total{operation="health",status="4xx"} 1"#,
            r#"seamesh_http_request_seconds_bucket{operation="health",le="0.0001"} 1"#,
            r#"seamesh_http_request_seconds_bucket{operation="health",le="2.5"} 1"#,
            r#"seamesh_http_request_seconds_bucket{operation="health",le="+Inf"} 2"#,
            r#"seamesh_http_request_seconds_count{operation="health"} 2"#,
            "seamesh_core_reloads_total 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        }
    }
}

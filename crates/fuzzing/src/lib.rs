//! What each fuzz target does with its bytes, and the bytes it begins with.
//!
//! A target takes any bytes and panics when a promise is broken: not only where a parser panics, but also where what was
//! understood cannot be written and read again. The fuzzers in `fuzz/` and the test that replays `fuzz/corpus` run the
//! same functions. Crates with a runtime or a network in them stay out, so that the fuzzers build in a minute.

mod http;
mod ipc;
mod jwt;
mod link;
mod manifest;
mod sdp;
mod signaling;
mod vectors;

/// One parser, fed with anything.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// What it does with its bytes.
    pub run: fn(&[u8]),
    /// What it begins with, from the golden vectors where there are some.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "http_bodies",
        run: http::run,
        seeds: http::seeds,
    },
    Target {
        name: "signaling_frames",
        run: signaling::run,
        seeds: signaling::seeds,
    },
    Target {
        name: "ipc_lines",
        run: ipc::run,
        seeds: ipc::seeds,
    },
    Target {
        name: "link_messages",
        run: link::run,
        seeds: link::seeds,
    },
    Target {
        name: "sdp",
        run: sdp::run,
        seeds: sdp::seeds,
    },
    Target {
        name: "manifest",
        run: manifest::run,
        seeds: manifest::seeds,
    },
    Target {
        name: "jwt",
        run: jwt::run,
        seeds: jwt::seeds,
    },
];

/// Runs a target by its name.
///
/// # Panics
/// When there is none, or when a promise is broken.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target of this name").run)(data);
}

/// What a refusal promises whatever was sent: one line, and not all of it back.
fn check_detail(detail: &str) {
    assert!(detail.len() < 1_500, "an error of {} bytes", detail.len());
    assert!(!detail.contains('\n'), "an error of two lines: {detail:?}");
}

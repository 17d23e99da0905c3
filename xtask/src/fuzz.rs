//! `cargo xtask fuzz`: builds a fuzz target with libFuzzer's counters, which a stable compiler can do, and runs it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::env::on_path;
use crate::rust_tests::cargo;
use crate::step::{command, run, stdout_of, step};

/// What `cargo fuzz build --sanitizer none` sets. Our own code has no unsafe blocks for a sanitizer to watch.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// Longest a single input may take, in seconds.
const TIMEOUT_S: u32 = 10;

/// Most memory of a fuzzer, in MiB.
const MEMORY_MB: u32 = 2048;

/// Builds a target and feeds it for so many minutes. What it finds worth keeping collects in `target/fuzz/corpus`; an
/// input that breaks a promise is kept in `target/fuzz/artifacts`.
///
/// # Errors
/// When there is no such target, it does not build, or a promise was broken.
pub(crate) fn fuzz(target: &str, minutes: u64) -> Result<()> {
    let names = targets()?;
    if !names.iter().any(|name| name == target) {
        bail!("no target {target}; there are: {}", names.join(", "));
    }
    if on_path("c++").is_none() {
        bail!("libFuzzer is C++: install g++ or clang, then run the command again");
    }
    let place = crate::target_dir().join("fuzz");
    let host = host()?;
    step(&format!("building {target}"), || {
        let mut build = cargo();
        build.current_dir(crate::root().join("fuzz"));
        build.args(["build", "--release", "--bin", target, "--target", &host]);
        build.env("RUSTFLAGS", FLAGS.join(" "));
        run(build.env("CARGO_TARGET_DIR", &place))
    })?;
    let [corpus, seeds, artifacts] =
        ["corpus", "seeds", "artifacts"].map(|name| place.join(name).join(target));
    for folder in [&corpus, &seeds, &artifacts] {
        std::fs::create_dir_all(folder)?;
    }
    step("writing its seeds", || {
        let mut build = cargo();
        build.args(["run", "--quiet", "--package", "seamesh-fuzzing", "--"]);
        run(build.arg(target).arg(&seeds))
    })?;
    let mut fuzzer = command(place.join(host).join("release").join(target), &place);
    fuzzer
        .arg(&corpus)
        .arg(crate::root().join("fuzz/corpus").join(target))
        .arg(&seeds)
        .arg(format!("-max_total_time={}", minutes * 60))
        .arg(format!("-timeout={TIMEOUT_S}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1");
    step(&format!("fuzzing {target} for {minutes} minutes"), || {
        run(&mut fuzzer)
    })
}

/// The targets, as their files are called.
fn targets() -> Result<Vec<String>> {
    let folder = crate::root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut names: Vec<String> = paths?
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// The triple of this machine: with a target named, what runs while building is left without counters.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = stdout_of(Command::new(rustc).arg("-vV"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc says not what its host is")?.to_owned())
}

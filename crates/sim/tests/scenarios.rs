//! Every scenario in `scenarios/` gives the transcript that stands in it. After a change of behaviour,
//! `SEAMESH_REWRITE=1 cargo test -p seamesh-sim` writes them anew; review the difference.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::PathBuf;

use seamesh_sim::script;

fn scenarios() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios");
    let entries = fs::read_dir(folder).expect("the folder of scenarios");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "txt"));
    paths.sort();
    assert!(paths.len() >= 6, "only {} scenarios", paths.len());
    paths
}

#[test]
fn every_scenario_gives_its_transcript() {
    let rewrite = std::env::var_os("SEAMESH_REWRITE").is_some();
    let mut differing = Vec::new();
    for path in scenarios() {
        let written = fs::read_to_string(&path).unwrap();
        let played = script::play(&written)
            .unwrap_or_else(|step| panic!("{}: no such step: {}", path.display(), step.0));
        if rewrite {
            fs::write(&path, played).unwrap();
        } else if played != written {
            let at = played.lines().zip(written.lines()).find(|(a, b)| a != b);
            differing.push(format!("{}: {at:?}", path.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn a_scenario_played_twice_gives_the_same_bytes() {
    for path in scenarios() {
        let written = fs::read_to_string(&path).unwrap();
        assert_eq!(script::play(&written), script::play(&written));
    }
}

#[test]
fn a_step_nobody_knows_is_told() {
    let bad = script::play("> explode registry\n").unwrap_err();
    assert_eq!(bad.0, "> explode registry");
}

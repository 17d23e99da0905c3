//! What the simulator's program prints: one line of JSON a seed, the same bytes for the same seeds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Output};

use serde_json::Value;

fn sim(arguments: &[&str]) -> Output {
    let mut sim = Command::new(env!("CARGO_BIN_EXE_seamesh-sim"));
    let output = sim.args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    output
}

fn seeds(output: &Output) -> Vec<u64> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let line = |line: &str| {
        let told: Value = serde_json::from_str(line).unwrap();
        let members: Vec<&str> = told
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let due = ["seed", "events", "virtual_ms", "digest", "violations"];
        assert_eq!(members, due, "{line}");
        assert!(told["events"].as_u64().unwrap() > 100, "{line}");
        // The end alone, in which the mesh heals, is two minutes and a half.
        assert!(told["virtual_ms"].as_u64().unwrap() > 150_000, "{line}");
        assert_eq!(told["digest"].as_str().unwrap().len(), 16, "{line}");
        assert_eq!(told["violations"], Value::Array(Vec::new()), "{line}");
        told["seed"].as_u64().unwrap()
    };
    text.lines().map(line).collect()
}

#[test]
fn seeds_are_told_in_their_order_and_twice_with_the_same_bytes() {
    let first = sim(&["--seeds", "3..9", "--json", "--jobs", "3"]);
    assert_eq!(seeds(&first), [3, 4, 5, 6, 7, 8]);
    let second = sim(&["--seeds", "3..9", "--json", "--jobs", "1"]);
    assert!(first.stdout == second.stdout);
    let one = sim(&["--seed", "5", "--json"]);
    assert_eq!(seeds(&one), [5]);
    let text = String::from_utf8(first.stdout).unwrap();
    assert_eq!(
        text.lines().nth(2),
        String::from_utf8(one.stdout).unwrap().lines().next()
    );
}

#[test]
fn a_seed_alone_is_told_with_its_transcript_and_twice_with_the_same_bytes() {
    let [first, second] = [(); 2].map(|()| sim(&["--seed", "7"]).stdout);
    assert!(first == second);
    let text = String::from_utf8(first).unwrap();
    assert!(text.starts_with("> seed 7\n> registry\n"), "{text}");
    assert!(text.lines().count() > 200, "{text}");
}

#[test]
fn minutes_end_and_every_seed_before_their_end_is_told() {
    let told = seeds(&sim(&["--minutes", "0.01", "--json"]));
    assert!(!told.is_empty());
    let due: Vec<u64> = (0..told.len() as u64).collect();
    assert_eq!(told, due);
}

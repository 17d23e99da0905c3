//! Meshes drawn from seeds keep the promises and heal, one seed is one run, and together they reach what they are for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use seamesh_sim::sometimes::{Sight, Sometimes};
use seamesh_sim::verdict::{Finding, Wrong, of_scenario, of_seed};
use seamesh_sim::{shorten, swarm};

/// Seeds that every run of the tests plays; `SEAMESH_SEEDS` asks for another number.
const SEEDS: u64 = 300;

/// States that need more seeds than these tests play.
const RARE: [Sight; 0] = [];

#[test]
fn a_seed_played_twice_gives_the_same_bytes() {
    for seed in 0..12 {
        let scenario = swarm::scenario(seed);
        assert_eq!(scenario, swarm::scenario(seed));
        let [first, second] = [(); 2].map(|()| of_scenario(&scenario, true).unwrap());
        assert!(first.log.len() > 10_000, "seed {seed} tells little");
        assert!(first.log == second.log, "seed {seed} went another way");
        assert_eq!(first.digest, second.digest);
        // Whether anybody reads along changes nothing.
        let unread = of_seed(seed);
        let told = (unread.digest, unread.events, unread.virtual_ms);
        assert_eq!(told, (first.digest, first.events, first.virtual_ms));
        assert!(unread.log.lines().all(|line| line.starts_with(['>', '#'])));
    }
    assert_ne!(of_seed(0).digest, of_seed(1).digest);
}

#[test]
fn no_seed_breaks_a_promise_and_together_they_reach_every_state() {
    let seeds = std::env::var("SEAMESH_SEEDS").map_or(SEEDS, |n| n.parse().unwrap());
    let mut reached = Sometimes::default();
    let mut bad = Vec::new();
    for seed in 0..seeds {
        let verdict = of_seed(seed);
        reached.add(&verdict.sometimes);
        bad.extend(verdict.findings.into_iter().map(|finding| (seed, finding)));
    }
    if let Some((seed, finding)) = bad.first() {
        let short = shorten(&swarm::scenario(*seed), finding);
        let log = of_scenario(&short, true).unwrap().log;
        panic!("{} findings; seed {seed}: {finding}\n{log}", bad.len());
    }
    let missed: Vec<_> = reached.missed();
    let missed: Vec<_> = missed
        .iter()
        .filter(|sight| !RARE.contains(sight))
        .collect();
    assert!(missed.is_empty(), "never: {missed:?}\n{}", reached.table());
}

/// Every fault that a mesh has to bear: how its step begins, and what else is in it.
const FAULTS: [(&str, &str, &str); 19] = [
    ("latency", "> weather ", " latency=100"),
    ("jitter", "> weather ", " jitter=400"),
    ("loss", "> weather ", " loss=200"),
    ("reorder", "> delay offer a", " 400"),
    ("partition", "> cut a", ""),
    ("partition from the registry", "> cut a", " registry"),
    ("asymmetric cut", "> block a", ""),
    ("asymmetric cut of the registry", "> block registry ", "a"),
    ("slow node", "> slow a", " 700"),
    ("node that stands still", "> pause a", ""),
    ("registry that stands still", "> pause registry", ""),
    ("clock skew", "> sidecar a", " skew="),
    ("crash", "> crash a", ""),
    ("crash of a sidecar alone", "> crash a", " sidecar"),
    ("crash of an agent alone", "> crash a", " agent"),
    ("crash that no socket tells", "> vanish a", ""),
    ("crash of the registry", "> crash registry", ""),
    ("crash with the disk", "> wipe registry", ""),
    ("restart", "> restart a", ""),
];

#[test]
fn every_fault_is_drawn_by_some_seeds_and_not_by_others() {
    let drawn = |seed| {
        let scenario = swarm::scenario(seed);
        let (drawn, _) = scenario.split_once(swarm::TAIL).unwrap();
        drawn.to_owned()
    };
    let scenarios: Vec<String> = (0..SEEDS).map(drawn).collect();
    for (fault, begins, has) in FAULTS {
        let is_it = |step: &str| step.starts_with(begins) && step.contains(has);
        let with = scenarios.iter().filter(|s| s.lines().any(is_it)).count();
        let bounds = 3..scenarios.len();
        assert!(bounds.contains(&with), "{fault}: in {with} of {SEEDS}");
    }
}

#[test]
fn a_sidecar_that_is_late_to_reach_the_registry_is_named() {
    let scenario = "> registry\n> sidecar a skills=x\n> run 50\n> crash registry\n> run 9000\n> registry\n\
        # every fault ends\n> linked\n";
    let found = of_scenario(scenario, false).unwrap().findings;
    let sidecar = "a".to_owned();
    assert_eq!(found, [Finding::Wrong(Wrong::Unreached { sidecar })]);
    let patient = scenario.replace("> linked", "> run 2100\n> linked");
    assert_eq!(of_scenario(&patient, false).unwrap().findings, []);
}

#[test]
fn a_finding_is_shortened_to_the_steps_that_it_takes() {
    // Cut for good, and `recover` taken out: the two cannot be linked.
    let scenario = "> registry\n> sidecar a skills=x\n> run 50\n> work a 9\n> sidecar b skills=x\n> run 90\n\
        > request a skill=x\n> weather jitter=20\n> run 50\n> cut a b\n# every fault ends\n> run 60000\n> linked\n";
    let found = of_scenario(scenario, false).unwrap().findings;
    let (a, b) = ("a".to_owned(), "b".to_owned());
    let unlinked = Finding::Wrong(Wrong::Unlinked { a, b });
    assert!(found.contains(&unlinked), "{found:?}");
    let short = shorten(scenario, &unlinked);
    let steps: Vec<_> = short.lines().collect();
    let least = ["> sidecar a skills=x", "> sidecar b skills=x"];
    assert_eq!(steps[..2], least, "{short}");
    assert_eq!(steps.len(), 5, "{short}");
}

#[test]
fn a_step_that_names_nobody_is_told() {
    let bad = of_scenario("> work nobody 5\n", false).unwrap_err();
    assert_eq!(bad.0, "> work nobody 5");
}

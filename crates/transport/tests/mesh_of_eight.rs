//! A mesh of eight under the real stack, in virtual time, on a network that delays, repeats and reorders, and loses what
//! open links carry.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod network;

use std::time::Duration;

use bytes::Bytes;
use network::{Conditions, Network};
use seamesh_transport::{CloseReason, OPEN_LIMIT, PEER_SILENCE_LIMIT, Payload};

const NODES: usize = 8;

/// Messages each end sends on each of its links.
const MESSAGES: usize = 40;

/// The links of the mesh: the one who dials first.
fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..NODES).flat_map(|a| (a + 1..NODES).map(move |b| (a, b)))
}

/// Both ways of every link.
fn ways() -> impl Iterator<Item = (usize, usize)> {
    pairs().flat_map(|(a, b)| [(a, b), (b, a)])
}

/// Each node names the link with another after that one.
fn link_with(other: usize) -> u64 {
    other as u64 + 1
}

/// Eight nodes that dial each other all at once.
fn mesh(seed: u64, conditions: Conditions) -> Network {
    let mut network = Network::new(seed);
    network.conditions = conditions;
    for node in 0..NODES {
        network.add(&format!("10.0.0.{}:1000", node + 1));
    }
    for (a, b) in pairs() {
        network.dial((a, link_with(b)), (b, link_with(a)));
    }
    network
}

fn is_linked(network: &Network) -> bool {
    ways().all(|(from, to)| network.is_open(from, link_with(to)))
}

/// Late, repeated and out of order. Nothing is lost: of 28 handshakes at once one or another does not outlive the loss of
/// a flight, and is dialed again by the sidecar, which is not here.
fn uneven() -> Conditions {
    Conditions {
        delay: Duration::from_millis(20),
        loss: 0.0,
        duplication: 0.02,
        jitter: Duration::from_millis(30),
    }
}

fn rough() -> Conditions {
    Conditions {
        loss: 0.03,
        ..uneven()
    }
}

#[test]
fn a_mesh_of_eight_opens_and_carries_everything_once_and_in_order_over_a_rough_network() {
    for seed in 1..=3 {
        let mut network = mesh(seed, uneven());
        assert!(
            network.run_until(OPEN_LIMIT, is_linked),
            "seed {seed}: not all links opened"
        );
        network.conditions = rough();
        for number in 0..MESSAGES {
            for (from, to) in ways() {
                network.send(from, link_with(to), &format!("{from} {to} {number}"));
            }
            network.run_for(Duration::from_millis(3));
        }
        let have_all = |network: &Network| {
            ways().all(|(from, to)| network.messages(to, link_with(from)).len() >= MESSAGES)
        };
        assert!(
            network.run_until(Duration::from_secs(30), have_all),
            "seed {seed}: something is missing"
        );
        // Nothing comes a second time, either.
        network.run_for(Duration::from_secs(2));
        for (from, to) in ways() {
            let expected = (0..MESSAGES).map(|number| format!("{from} {to} {number}"));
            let expected: Vec<_> = expected
                .map(|text| Payload::Text(Bytes::from(text)))
                .collect();
            let came = network.messages(to, link_with(from));
            assert!(came == expected, "seed {seed}, {from} -> {to}: {came:?}");
        }
        assert!(is_linked(&network), "seed {seed}: a link was given up");
    }
}

#[test]
fn a_node_that_falls_silent_is_noticed_by_the_seven_others_and_by_nobody_else() {
    let mut network = mesh(7, uneven());
    assert!(network.run_until(OPEN_LIMIT, is_linked));
    network.conditions = rough();
    let silent = 3;
    network.kill(silent);
    let others = || (0..NODES).filter(move |node| *node != silent);
    let noticed = |network: &Network| {
        others().all(|node| network.closed(node, link_with(silent)) == [CloseReason::TimedOut])
    };
    let limit = PEER_SILENCE_LIMIT * 2;
    assert!(network.run_until(limit, noticed), "not within {limit:?}");
    network.run_for(limit);
    for node in others() {
        for other in others().filter(|other| *other != node) {
            assert!(
                network.is_open(node, link_with(other)),
                "{node} lost {other}, who is well"
            );
        }
    }
}

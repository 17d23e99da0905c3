//! Links between hosts that cannot reach each other: translators of addresses, and the TURN server that gets past them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod network;

use std::time::Duration;

use network::Network;
use network::nat::Mapping::{EndpointIndependent, PerDestination};
use network::turn_server::TurnHost;
use seamesh_transport::{Config, Transport as _, TurnServer};

const SERVER: &str = "192.0.2.53:3478";

fn credentials(password: &str) -> TurnServer {
    TurnServer {
        address: SERVER.parse().unwrap(),
        username: "1700000000:ann".to_owned(),
        password: password.to_owned(),
    }
}

fn config(address: &str) -> Config {
    Config {
        local_addresses: vec![address.parse().unwrap()],
        stun_servers: vec![SERVER.parse().unwrap()],
        turn_servers: vec![credentials("right")],
        ..Config::default()
    }
}

/// Two hosts, each behind a translator, and a server that both know.
fn apart(mapping: [network::nat::Mapping; 2], change: impl Fn(&mut Config)) -> Network {
    let mut network = Network::new(7);
    network.turn = Some(TurnHost::new(
        SERVER.parse().unwrap(),
        "1700000000:ann",
        "right",
    ));
    for (inner, outer, mapping) in [
        ("10.0.0.1", "198.51.100.1", mapping[0]),
        ("10.0.0.2", "198.51.100.2", mapping[1]),
    ] {
        network.put_behind(inner, outer, mapping);
        let mut config = config(&format!("{inner}:1000"));
        change(&mut config);
        network.add_with(&config);
    }
    network
}

fn relayed(network: &mut Network) -> usize {
    network.turn.as_ref().unwrap().relayed
}

#[test]
fn translators_that_keep_a_port_are_passed_directly() {
    let mut network = apart([EndpointIndependent; 2], |_| {});
    network.connect((0, 1), (1, 1));
    network.send(0, 1, "hello");
    assert!(network.run_until(Duration::from_secs(5), |n| !n.messages(1, 1).is_empty()));
    for node in [0, 1] {
        assert_eq!(network.is_relayed(node, 1), Some(false));
    }
}

#[test]
fn translators_that_change_ports_are_passed_by_way_of_a_relay_and_both_ends_know() {
    let mut network = apart([PerDestination; 2], |_| {});
    network.connect((0, 1), (1, 1));
    let before = relayed(&mut network);
    network.send(0, 1, "there");
    network.send(1, 1, "and back");
    assert!(network.run_until(Duration::from_secs(5), |network| {
        !network.messages(0, 1).is_empty() && !network.messages(1, 1).is_empty()
    }));
    assert!(relayed(&mut network) > before);
    for node in [0, 1] {
        assert_eq!(network.is_relayed(node, 1), Some(true), "{node}");
    }
}

#[test]
fn one_translator_that_changes_ports_needs_the_relay_of_either_end_alone() {
    for without in [0, 1] {
        let mut network = apart([PerDestination; 2], |config| {
            if config.local_addresses[0].ip().to_string() == format!("10.0.0.{}", without + 1) {
                config.turn_servers.clear();
            }
        });
        network.connect((0, 1), (1, 1));
        assert_eq!(network.turn.as_ref().unwrap().allocations(), 1);
        for node in [0, 1] {
            assert_eq!(
                network.is_relayed(node, 1),
                Some(true),
                "{node}, {without} has none"
            );
        }
    }
}

#[test]
fn without_a_relay_such_translators_are_not_passed_at_all() {
    let mut network = apart([PerDestination; 2], |config| config.turn_servers.clear());
    network.dial((0, 1), (1, 1));
    let opened = network.run_until(Duration::from_secs(60), |network| network.is_open(0, 1));
    assert!(!opened);
    assert_eq!(network.closed(0, 1).len(), 1);
}

#[test]
fn a_host_that_offers_relays_alone_tells_no_address_of_its_own() {
    let mut network = Network::new(3);
    network.turn = Some(TurnHost::new(
        SERVER.parse().unwrap(),
        "1700000000:ann",
        "right",
    ));
    for address in ["10.0.0.1:1000", "10.0.0.2:1000"] {
        let relay_only = true;
        network.add_with(&Config {
            relay_only,
            ..config(address)
        });
    }
    let took = network.connect((0, 1), (1, 1));
    assert!(took < Duration::from_secs(1), "{took:?}");
    for node in [0, 1] {
        assert_eq!(network.is_relayed(node, 1), Some(true));
        let told = format!("{:?}", network.node(node).events);
        assert!(!told.contains("10.0.0."), "{told}");
    }
}

#[test]
fn a_reachable_peer_is_never_reached_by_way_of_a_relay() {
    let mut network = Network::new(4);
    network.turn = Some(TurnHost::new(
        SERVER.parse().unwrap(),
        "1700000000:ann",
        "right",
    ));
    network.add_with(&config("10.0.0.1:1000"));
    network.add_with(&config("10.0.0.2:1000"));
    network.connect((0, 1), (1, 1));
    assert_eq!(network.is_relayed(0, 1), Some(false));
    assert_eq!(network.is_relayed(1, 1), Some(false));
}

#[test]
fn a_server_that_refuses_us_leaves_the_direct_ways() {
    let mut network = Network::new(5);
    network.turn = Some(TurnHost::new(
        SERVER.parse().unwrap(),
        "1700000000:ann",
        "other",
    ));
    network.add_with(&config("10.0.0.1:1000"));
    network.add_with(&config("10.0.0.2:1000"));
    network.connect((0, 1), (1, 1));
    network.run_for(Duration::from_secs(30));
    assert!(network.is_open(0, 1));
    assert_eq!(network.turn.as_ref().unwrap().allocations(), 0);
}

#[test]
fn newer_credentials_are_taken_up_by_the_next_link() {
    let mut network = apart([PerDestination; 2], |config| {
        config.turn_servers = vec![credentials("old")];
    });
    network.dial((0, 1), (1, 1));
    assert!(!network.run_until(Duration::from_secs(30), |network| network.is_open(0, 1)));
    for node in [0, 1] {
        let stun = [SERVER.parse().unwrap()];
        network
            .transport(node)
            .set_servers(&stun, &[credentials("right")]);
    }
    network.connect((0, 2), (1, 2));
    assert_eq!(network.is_relayed(0, 2), Some(true));
}

#[test]
fn a_relayed_link_outlives_nonces_permissions_and_the_allocations_first_term() {
    let mut network = apart([PerDestination; 2], |_| {});
    network.connect((0, 1), (1, 1));
    for minute in 0..20 {
        network.run_for(Duration::from_secs(60));
        network.turn.as_mut().unwrap().age_nonces();
        let text = format!("minute {minute}");
        network.send(0, 1, &text);
        let arrived = |network: &Network| network.messages(1, 1).len() == minute + 1;
        assert!(
            network.run_until(Duration::from_secs(10), arrived),
            "{text}"
        );
    }
}

#[test]
fn an_address_on_a_server_that_was_restarted_is_asked_for_anew() {
    let mut network = apart([PerDestination; 2], |_| {});
    network.connect((0, 1), (1, 1));
    network.turn.as_mut().unwrap().restart();
    let lost = |network: &Network| network.closed(0, 1).len() + network.closed(1, 1).len() == 2;
    assert!(network.run_until(Duration::from_secs(20), lost));
    // What was believed to be ours is found out not to be, and another is asked for, while the next link opens.
    network.run_for(Duration::from_secs(30));
    network.connect((0, 2), (1, 2));
    assert_eq!(network.is_relayed(0, 2), Some(true));
}

#[test]
fn an_address_is_used_again_after_the_server_was_out_of_reach() {
    for outage in [20, 200, 1_000] {
        let mut network = apart([PerDestination; 2], |_| {});
        network.connect((0, 1), (1, 1));
        let server = network.turn.take();
        network.run_for(Duration::from_secs(outage));
        assert_eq!(network.closed(0, 1).len(), 1);
        network.turn = server;
        network.run_for(Duration::from_secs(60));
        network.connect((0, 2), (1, 2));
        assert_eq!(network.is_relayed(0, 2), Some(true), "after {outage} s");
    }
}

#[test]
fn an_address_that_nobody_uses_is_given_back_and_asked_for_again() {
    let mut network = apart([PerDestination; 2], |_| {});
    network.connect((0, 1), (1, 1));
    assert_eq!(network.turn.as_ref().unwrap().allocations(), 2);
    network.close(0, 1);
    let given_back = |network: &Network| network.turn.as_ref().unwrap().allocations() == 0;
    assert!(network.run_until(Duration::from_secs(120), given_back));
    network.connect((0, 2), (1, 2));
    assert_eq!(network.is_relayed(0, 2), Some(true));
}

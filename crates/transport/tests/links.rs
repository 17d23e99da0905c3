//! Links between transports, in virtual time.

mod network;

use std::time::Duration;

use network::Network;

#[test]
fn two_transports_open_a_link_within_a_few_round_trips() {
    let mut network = Network::pair(1);
    let took = network.connect((0, 1), (1, 1));
    println!("opened in {took:?}");
    assert!(took < Duration::from_millis(60), "{took:?}");
    network.send(0, 1, "ping");
    network.send(1, 1, "pong");
    network.run_for(Duration::from_millis(10));
    assert_eq!(network.messages(1, 1).len(), 1);
    assert_eq!(network.messages(0, 1).len(), 1);
}

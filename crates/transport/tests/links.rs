//! Links between transports, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod network;

use std::time::Duration;

use bytes::Bytes;
use network::Network;
use seamesh_transport::{
    CloseReason, Config, Datagram, Event, LinkId, MAX_SEND_BYTES, OPEN_LIMIT, PEER_SILENCE_LIMIT,
    Payload, PeerClass, SendError, Transport,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_link_opens_within_a_few_round_trips_and_carries_text_both_ways() {
    let mut network = Network::pair(1);
    let took = network.connect((0, 1), (1, 1));
    assert!(took < Duration::from_millis(60), "{took:?}");
    network.send(0, 1, "ping");
    network.send(1, 1, "pong");
    network.run_for(Duration::from_millis(10));
    assert_eq!(network.messages(1, 1), [Payload::Text(Bytes::from("ping"))]);
    assert_eq!(network.messages(0, 1), [Payload::Text(Bytes::from("pong"))]);
}

#[test]
fn no_connect_is_slowed_down_by_a_lost_handshake_flight() {
    for seed in 0..200 {
        let mut network = Network::pair(seed);
        network.conditions.delay = Duration::from_micros(20 + seed * 200);
        network.conditions.jitter = Duration::from_micros(seed % 7 * 300);
        network.signaling_delay = Duration::from_millis(seed % 50);
        let took = network.connect((0, 1), (1, 1));
        let round_trips = (network.conditions.delay + network.conditions.jitter) * 2 * 12;
        let limit = round_trips + network.signaling_delay * 2 + Duration::from_millis(60);
        assert!(took < limit, "seed {seed}: {took:?} > {limit:?}");
    }
}

#[test]
fn a_link_opens_by_trickled_candidates_alone() {
    let mut network = Network::new(1);
    for address in ["10.0.0.1:1000", "10.0.0.2:1000"] {
        network.add_with(&Config {
            local_addresses: vec![address.parse().unwrap()],
            trickle_hosts: true,
            ..Config::default()
        });
    }
    let took = network.connect((0, 1), (1, 1));
    assert!(took < Duration::from_millis(60), "{took:?}");
}

#[test]
fn candidates_that_come_before_the_answer_are_kept() {
    let mut network = Network::new(1);
    for address in ["10.0.0.1:1000", "10.0.0.2:1000"] {
        network.add_with(&Config {
            local_addresses: vec![address.parse().unwrap()],
            trickle_hosts: true,
            ..Config::default()
        });
    }
    let (link, now) = (LinkId(1), network.now);
    network.transport(0).offer(link, now).unwrap();
    let (offer, from_caller) = local_signals(&mut network, 0);
    network
        .transport(1)
        .accept(link, &offer, PeerClass::Native, now)
        .unwrap();
    let (answer, from_callee) = local_signals(&mut network, 1);
    for candidate in &from_callee {
        network
            .transport(0)
            .candidate(link, candidate, now)
            .unwrap();
    }
    network
        .transport(0)
        .answer(link, &answer, PeerClass::Native, now)
        .unwrap();
    for candidate in &from_caller {
        network
            .transport(1)
            .candidate(link, candidate, now)
            .unwrap();
    }
    assert!(network.run_until(SECOND, |network| network.is_open(0, 1)
        && network.is_open(1, 1)));
}

/// The description and candidates that a node has signaled.
fn local_signals(
    network: &mut Network,
    node: usize,
) -> (String, Vec<seamesh_transport::IceCandidate>) {
    network.collect();
    let mut description = None;
    let mut candidates = Vec::new();
    for event in &network.node(node).events {
        match event {
            Event::LocalDescription { sdp, .. } => description = Some(sdp.clone()),
            Event::LocalCandidate { candidate, .. } => candidates.push(candidate.clone()),
            _ => {}
        }
    }
    (description.unwrap(), candidates)
}

#[test]
fn both_ends_agree_on_each_others_fingerprints() {
    let mut network = Network::pair(1);
    network.connect((0, 1), (1, 1));
    let local = network.transport(0).local_fingerprint();
    assert_eq!(
        network.transport(1).remote_fingerprint(LinkId(1)),
        Some(local)
    );
    assert_eq!(network.transport(1).remote_fingerprint(LinkId(2)), None);
}

#[test]
fn a_peer_whose_certificate_is_not_the_announced_one_is_refused_at_once() {
    let mut network = Network::pair(1);
    let (link, now) = (LinkId(1), network.now);
    network.transport(0).offer(link, now).unwrap();
    let (offer, _) = local_signals(&mut network, 0);
    let other = network.transport(1).local_fingerprint().to_string();
    let honest = network.transport(0).local_fingerprint().to_string();
    network
        .transport(1)
        .accept(
            link,
            &offer.replace(&honest, &other),
            PeerClass::Native,
            now,
        )
        .unwrap();
    let (answer, _) = local_signals(&mut network, 1);
    network
        .transport(0)
        .answer(link, &answer, PeerClass::Native, now)
        .unwrap();
    network.run_for(SECOND);
    assert_eq!(network.closed(1, 1), [CloseReason::DtlsFailed]);
    assert_eq!(network.closed(0, 1), [CloseReason::DtlsFailed]);
}

#[test]
fn two_links_between_the_same_two_transports_do_not_confuse_each_other() {
    for seed in 0..20 {
        let mut network = Network::pair(seed);
        network.dial((0, 1), (1, 1));
        network.dial((1, 2), (0, 2));
        network.dial((0, 3), (1, 3));
        let all =
            |network: &Network| (0..2).all(|node| (1..4).all(|link| network.is_open(node, link)));
        assert!(network.run_until(SECOND * 5, all), "seed {seed}");
        for link in 1..4 {
            network.send(0, link, &format!("on {link}"));
        }
        network.run_for(SECOND);
        for link in 1..4 {
            let expected = Payload::Text(Bytes::from(format!("on {link}")));
            assert_eq!(network.messages(1, link), [expected]);
        }
        network.close(0, 2);
        network.run_for(SECOND * 30);
        assert!(network.is_open(0, 1) && network.is_open(1, 1));
        assert!(network.is_open(0, 3) && network.is_open(1, 3));
    }
}

#[test]
fn twenty_links_share_one_socket() {
    let mut network = Network::new(1);
    network.add("10.0.0.100:1000");
    for peer in 1..=20 {
        network.add(&format!("10.0.0.{peer}:1000"));
        network.dial((0, peer), (peer as usize, 1));
    }
    let all = |network: &Network| (1..=20).all(|peer| network.is_open(0, peer));
    assert!(network.run_until(SECOND, all));
    for peer in 1..=20 {
        network.send(0, peer, &format!("to {peer}"));
    }
    network.run_for(SECOND);
    for peer in 1..=20u64 {
        let expected = Payload::Text(Bytes::from(format!("to {peer}")));
        assert_eq!(network.messages(peer as usize, 1), [expected]);
    }
}

#[test]
fn every_message_arrives_once_and_in_order_over_a_bad_network() {
    for seed in 0..8 {
        let mut network = Network::pair(seed);
        network.conditions.delay = Duration::from_millis(5);
        network.conditions.jitter = Duration::from_millis(10);
        network.conditions.loss = 0.05;
        network.conditions.duplication = 0.05;
        network.connect((0, 1), (1, 1));
        for number in 0..300 {
            let padding = "x".repeat((number * 37) % 5_000);
            network.send(0, 1, &format!("{number} {padding}"));
            network.run_for(Duration::from_millis(1));
        }
        let all = |network: &Network| network.messages(1, 1).len() >= 300;
        assert!(network.run_until(SECOND * 120, all), "seed {seed}");
        for (number, message) in network.messages(1, 1).iter().enumerate() {
            assert!(
                message.bytes().starts_with(format!("{number} ").as_bytes()),
                "seed {seed}"
            );
        }
        assert!(network.closed(0, 1).is_empty() && network.closed(1, 1).is_empty());
    }
}

#[test]
fn empty_and_largest_messages_keep_their_kind_and_content() {
    let mut network = Network::pair(1);
    network.connect((0, 1), (1, 1));
    let sent = [
        Payload::Text(Bytes::new()),
        Payload::Binary(Bytes::new()),
        Payload::Text(Bytes::from("ä".repeat(MAX_SEND_BYTES / 2))),
        Payload::Binary(Bytes::from(vec![0xff; MAX_SEND_BYTES])),
        Payload::Binary(Bytes::from_static(b"\0")),
    ];
    let now = network.now;
    for payload in &sent {
        network
            .transport(0)
            .send(LinkId(1), payload.clone(), now)
            .unwrap();
    }
    network.run_for(SECOND);
    assert_eq!(network.messages(1, 1), sent);
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_reason() {
    let mut network = Network::pair(1);
    let now = network.now;
    let binary = |length: usize| Payload::Binary(Bytes::from(vec![0; length]));
    let send = |network: &mut Network, payload| network.transport(0).send(LinkId(1), payload, now);
    assert_eq!(send(&mut network, binary(1)), Err(SendError::NotOpen));
    network.dial((0, 1), (1, 1));
    assert_eq!(send(&mut network, binary(1)), Err(SendError::NotOpen));
    assert_eq!(network.transport(0).capacity(LinkId(1)), 0);
    network.run_for(SECOND);
    assert_eq!(
        send(&mut network, binary(MAX_SEND_BYTES + 1)),
        Err(SendError::TooLarge)
    );
    let broken = Payload::Text(Bytes::from_static(b"\xff"));
    assert_eq!(send(&mut network, broken), Err(SendError::NotText));
    network.close(0, 1);
    assert_eq!(send(&mut network, binary(1)), Err(SendError::NotOpen));
}

#[test]
fn a_reader_that_pauses_stops_the_sender_and_nothing_is_lost() {
    for pause in [1, 10, 60, 240] {
        let mut network = Network::pair(1);
        network.connect((0, 1), (1, 1));
        let link = LinkId(1);
        let now = network.now;
        network.transport(1).pause_reading(link, true, now);
        let sent = fill(&mut network, link);
        assert!(sent < 2_000, "the sender never stops");
        assert!(network.messages(1, 1).is_empty());
        network.run_for(SECOND * pause);
        assert!(
            network.is_open(0, 1) && network.is_open(1, 1),
            "a slow reader is not a dead one"
        );
        let now = network.now;
        network.transport(1).pause_reading(link, false, now);
        let all = |network: &Network| network.messages(1, 1).len() == sent as usize;
        assert!(
            network.run_until(SECOND * 10, all),
            "{pause} s: {}",
            network.messages(1, 1).len()
        );
        for (number, message) in network.messages(1, 1).iter().enumerate() {
            assert_eq!(message.bytes()[..4], (number as u32).to_be_bytes());
        }
        assert!(network.node(0).events.contains(&Event::Writable { link }));
    }
}

/// Sends numbered messages until none has been taken for a while; how many were.
fn fill(network: &mut Network, link: LinkId) -> u32 {
    let mut sent = 0u32;
    let mut refused = 0;
    while refused < 20 && sent < 2_000 {
        let now = network.now;
        let mut payload = vec![0; MAX_SEND_BYTES];
        payload[..4].copy_from_slice(&sent.to_be_bytes());
        match network
            .transport(0)
            .send(link, Payload::Binary(Bytes::from(payload)), now)
        {
            Ok(()) => (sent, refused) = (sent + 1, 0),
            Err(error) => {
                assert_eq!(error, SendError::Full);
                refused += 1;
                network.run_for(Duration::from_millis(20));
            }
        }
    }
    sent
}

#[test]
fn a_reader_that_never_resumes_ends_its_link_instead_of_growing() {
    let mut network = Network::pair(1);
    network.connect((0, 1), (1, 1));
    let link = LinkId(1);
    let now = network.now;
    network.transport(1).pause_reading(link, true, now);
    for _ in 0..1_000 {
        fill(&mut network, link);
        network.run_for(SECOND);
        if !network.closed(0, 1).is_empty() {
            break;
        }
    }
    assert_eq!(network.closed(1, 1), [CloseReason::ReaderStalled]);
    assert_eq!(network.closed(0, 1), [CloseReason::Remote]);
}

#[test]
fn a_legacy_peer_gets_less_in_flight_and_a_writable_notice_each_time() {
    let mut network = Network::pair(1);
    network.class = PeerClass::Legacy;
    network.connect((0, 1), (1, 1));
    let link = LinkId(1);
    let now = network.now;
    let chunk = Payload::Binary(Bytes::from(vec![0; MAX_SEND_BYTES]));
    let mut sent = 0;
    while network.transport(0).send(link, chunk.clone(), now).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 4);
    assert!(network.transport(0).capacity(link) < MAX_SEND_BYTES);
    network.run_for(SECOND);
    let writable = Event::Writable { link };
    let notices = network
        .node(0)
        .events
        .iter()
        .filter(|event| **event == writable)
        .count();
    assert_eq!(notices, 1);
}

#[test]
fn a_close_is_noticed_once_at_each_end_and_at_once() {
    let mut network = Network::pair(1);
    network.connect((0, 1), (1, 1));
    network.send(0, 1, "last words");
    network.close(0, 1);
    network.close(0, 1);
    network.run_for(Duration::from_millis(5));
    assert_eq!(network.closed(0, 1), [CloseReason::Local]);
    assert_eq!(network.closed(1, 1), [CloseReason::Remote]);
    assert_eq!(network.messages(1, 1).len(), 1);
    network.run_for(SECOND * 60);
    assert_eq!(network.closed(0, 1).len() + network.closed(1, 1).len(), 2);
    assert!(network.transport(0).next_deadline().is_none());
    assert!(network.transport(1).next_deadline().is_none());
}

#[test]
fn what_arrived_before_a_close_reaches_even_a_paused_reader() {
    let mut network = Network::pair(1);
    network.connect((0, 1), (1, 1));
    let now = network.now;
    network.transport(1).pause_reading(LinkId(1), true, now);
    for number in 0..100 {
        network.send(0, 1, &format!("{number}"));
    }
    network.run_for(SECOND);
    assert!(network.messages(1, 1).is_empty());
    network.close(0, 1);
    network.run_for(SECOND);
    assert_eq!(network.messages(1, 1).len(), 100);
    let last = network.node(1).events.last();
    let closed = Event::Closed {
        link: LinkId(1),
        reason: CloseReason::Remote,
    };
    assert_eq!(last, Some(&closed));
}

#[test]
fn a_link_closed_before_it_opened_ends_at_both_sides() {
    let mut network = Network::pair(1);
    network.dial((0, 1), (1, 1));
    network.run_for(Duration::from_millis(6));
    network.close(0, 1);
    network.run_for(OPEN_LIMIT + SECOND);
    assert_eq!(network.closed(0, 1), [CloseReason::Local]);
    assert_eq!(network.closed(1, 1).len(), 1);
}

#[test]
fn a_peer_that_vanishes_is_noticed_in_time() {
    let mut network = Network::pair(1);
    network.connect((0, 1), (1, 1));
    network.run_for(SECOND * 30);
    network.kill(1);
    let noticed = network.run_until(PEER_SILENCE_LIMIT + SECOND, |network| {
        !network.closed(0, 1).is_empty()
    });
    assert!(noticed);
    assert_eq!(network.closed(0, 1), [CloseReason::TimedOut]);
}

#[test]
fn a_peer_that_vanishes_under_load_is_noticed_in_time() {
    let mut network = Network::pair(1);
    network.connect((0, 1), (1, 1));
    network.kill(1);
    for _ in 0..20 {
        network.send(0, 1, &"x".repeat(10_000));
    }
    network.run_for(PEER_SILENCE_LIMIT + SECOND);
    assert_eq!(network.closed(0, 1), [CloseReason::TimedOut]);
}

#[test]
fn a_peer_that_never_answers_ends_the_attempt() {
    let mut network = Network::pair(1);
    let now = network.now;
    network.transport(0).offer(LinkId(1), now).unwrap();
    network.run_for(OPEN_LIMIT);
    assert_eq!(network.closed(0, 1), [CloseReason::NotOpened]);
}

#[test]
fn a_peer_out_of_reach_ends_the_attempt() {
    let mut network = Network::pair(1);
    network.conditions.loss = 1.0;
    network.dial((0, 1), (1, 1));
    network.run_for(OPEN_LIMIT + SECOND);
    assert_eq!(network.closed(0, 1).len(), 1);
    assert_eq!(network.closed(1, 1).len(), 1);
}

#[test]
fn an_idle_link_stays_up_and_rarely_wakes_anyone() {
    let mut network = Network::pair(1);
    network.connect((0, 1), (1, 1));
    network.run_for(SECOND * 10);
    let before = network.node(0).sent;
    let mut wakes = 0;
    let end = network.now + SECOND * 60;
    while let Some((due, _)) = network.transport(0).next_deadline()
        && due < end
    {
        let until_due = due - network.now;
        network.run_for(until_due.max(Duration::from_millis(1)));
        wakes += 1;
    }
    let sent = network.node(0).sent - before;
    println!("{wakes} wakes, {sent} datagrams in 60 s");
    assert!(network.is_open(0, 1) && network.is_open(1, 1));
    assert!(wakes <= 70, "{wakes}");
    assert!(sent <= 190, "{sent}");
}

#[test]
fn a_restarted_peer_on_the_same_port_is_redialed_at_once_and_stays() {
    redial("10.0.0.2:1000", true);
}

#[test]
fn a_restarted_peer_on_another_port_is_redialed_at_once_and_stays() {
    redial("10.0.0.2:2000", true);
}

#[test]
fn a_redial_opens_even_while_the_old_link_has_not_been_given_up() {
    redial("10.0.0.2:1000", false);
}

/// The peer dies without a goodbye, a fresh one starts at `address`, and either side dials anew.
fn redial(address: &str, closes_old: bool) {
    for fresh_dials in [false, true] {
        let mut network = Network::pair(7);
        network.connect((0, 1), (1, 1));
        network.send(0, 1, "before");
        network.run_for(Duration::from_millis(1));
        network.send(0, 1, "lost");
        network.kill(1);
        network.run_for(Duration::from_millis(100));
        let fresh = network.add(address);
        if closes_old {
            network.close(0, 1);
        }
        let took = if fresh_dials {
            network.connect((fresh, 2), (0, 2))
        } else {
            network.connect((0, 2), (fresh, 2))
        };
        assert!(took < SECOND, "{took:?}");
        for _ in 0..60 {
            network.run_for(SECOND);
            network.send(0, 2, "tick");
            network.send(fresh, 2, "tock");
        }
        network.run_for(SECOND);
        assert!(network.is_open(0, 2) && network.is_open(fresh, 2));
        assert_eq!(network.messages(0, 2).len(), 60);
        assert_eq!(network.messages(fresh, 2).len(), 60);
        let old = if closes_old {
            CloseReason::Local
        } else {
            CloseReason::TimedOut
        };
        assert_eq!(network.closed(0, 1), [old]);
    }
}

#[test]
fn a_stranger_cannot_take_over_an_address() {
    let mut network = Network::pair(1);
    network.connect((0, 1), (1, 1));
    let (offer, _) = local_signals(&mut network, 0);
    let ufrag = offer
        .lines()
        .find_map(|line| line.strip_prefix("a=ice-ufrag:"))
        .unwrap();
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([9; 12]);
    let username = format!("{ufrag}:evil");
    request.extend([0, 6, 0, username.len() as u8]);
    request.extend(username.as_bytes());
    request.resize(request.len().next_multiple_of(4), 0);
    request[3] = (request.len() - 20) as u8;
    let (stranger, ours) = ("10.0.0.66:6".parse().unwrap(), network.node(0).address);
    let peer = network.node(1).address;
    for _ in 0..100 {
        network.inject(stranger, ours, &request);
        network.inject(peer, ours, &request);
        network.inject(peer, ours, &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
        network.inject(
            peer,
            ours,
            &[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 0],
        );
    }
    network.send(1, 1, "still here");
    network.run_for(SECOND);
    assert_eq!(network.messages(0, 1).len(), 1);
    assert!(network.is_open(0, 1) && network.is_open(1, 1));
}

#[test]
fn link_ids_are_not_shared_and_unknown_ones_are_told() {
    use seamesh_transport::LinkError;
    let mut network = Network::pair(1);
    network.connect((0, 1), (1, 1));
    let now = network.now;
    let transport = network.transport(0);
    assert_eq!(transport.offer(LinkId(1), now), Err(LinkError::InUse));
    assert_eq!(
        transport.accept(LinkId(1), "", PeerClass::Native, now),
        Err(LinkError::InUse)
    );
    assert_eq!(
        transport.answer(LinkId(1), "", PeerClass::Native, now),
        Err(LinkError::WrongState)
    );
    assert_eq!(
        transport.answer(LinkId(9), "", PeerClass::Native, now),
        Err(LinkError::UnknownLink)
    );
    let candidate = Default::default();
    assert_eq!(
        transport.candidate(LinkId(9), &candidate, now),
        Err(LinkError::UnknownLink)
    );
    transport.close(LinkId(9), now);
    transport.pause_reading(LinkId(9), true, now);
    assert_eq!(transport.capacity(LinkId(9)), 0);
}

#[test]
fn a_stun_server_gives_every_opening_link_its_outer_address() {
    let mut network = Network::new(1);
    let server = "192.0.2.53:3478".parse().unwrap();
    network.add_with(&Config {
        local_addresses: vec!["10.0.0.1:1000".parse().unwrap()],
        stun_servers: vec![server],
        ..Config::default()
    });
    let now = network.now;
    let transport = network.transport(0);
    transport.offer(LinkId(1), now).unwrap();
    transport.offer(LinkId(2), now).unwrap();
    let request = transport.poll_transmit().unwrap();
    assert_eq!(request.destination, server);
    let mut response = request.contents.to_vec();
    (response[0], response[3]) = (1, 12);
    // XOR-MAPPED-ADDRESS of 192.0.2.1:32853 (RFC 5769).
    response.extend([0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
    let local = "10.0.0.1:1000".parse().unwrap();
    let datagram = Datagram {
        local,
        remote: server,
        contents: &response,
    };
    transport.receive(&[datagram], now);
    transport.offer(LinkId(3), now).unwrap();
    network.collect();
    for link in 1..=3 {
        let outer = |event: &&Event| match event {
            Event::LocalCandidate {
                link: of,
                candidate,
            } => of.0 == link && candidate.candidate.contains("192.0.2.1 32853 typ srflx"),
            _ => false,
        };
        assert_eq!(
            network.node(0).events.iter().filter(outer).count(),
            1,
            "{link}"
        );
    }
}

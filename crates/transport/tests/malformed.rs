//! Nothing that a peer or a relay may send makes a transport panic or touches another link.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod network;

use std::time::Duration;

use network::Network;
use proptest::prelude::*;
use proptest::sample::Index;
use seamesh_transport::{
    CloseReason, Event, IceCandidate, LinkError, LinkId, OPEN_LIMIT, PEER_SILENCE_LIMIT, PeerClass,
    Transport,
};

const VICTIM: LinkId = LinkId(7);

/// A change to a text.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(Index, u8),
    Cut(Index, Index),
    Insert(Index, String),
    DropLine(Index),
    RepeatLine(Index),
    SwapLines(Index, Index),
    ReplaceNumber(Index, String),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let number = prop_oneof![
        any::<u64>().prop_map(|number| number.to_string()),
        Just("-1".to_owned()),
        Just(String::new()),
        Just("99999999999999999999".to_owned()),
    ];
    let text = prop_oneof![
        "\\PC{0,12}",
        Just(
            "\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:9\r\na=rtpmap:111 opus/48000/2\r\n"
                .to_owned()
        ),
        Just("\r\na=candidate:1 1 udp 1 10.0.0.9 9 typ host\r\n".to_owned()),
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip(at, byte)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Cut(from, to)),
        (any::<Index>(), text).prop_map(|(at, text)| Mutation::Insert(at, text)),
        any::<Index>().prop_map(Mutation::DropLine),
        any::<Index>().prop_map(Mutation::RepeatLine),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Mutation::SwapLines(one, other)),
        (any::<Index>(), number).prop_map(|(at, number)| Mutation::ReplaceNumber(at, number)),
    ]
}

fn mutated(text: &str, mutations: &[Mutation]) -> String {
    mutations
        .iter()
        .fold(text.to_owned(), |text, mutation| apply(&text, mutation))
}

fn apply(text: &str, mutation: &Mutation) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut bytes = text.as_bytes().to_vec();
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    match mutation {
        Mutation::Flip(at, byte) => bytes[at.index(text.len())] ^= byte,
        Mutation::Cut(from, to) => {
            let (from, to) = (from.index(text.len()), to.index(text.len()));
            bytes.drain(from.min(to)..from.max(to));
        }
        Mutation::Insert(at, inserted) => {
            let at = at.index(text.len());
            bytes.splice(at..at, inserted.bytes());
        }
        Mutation::DropLine(at) => {
            lines.remove(at.index(lines.len()));
            return lines.concat();
        }
        Mutation::RepeatLine(at) => {
            let at = at.index(lines.len());
            lines.insert(at, lines[at]);
            return lines.concat();
        }
        Mutation::SwapLines(one, other) => {
            let (one, other) = (one.index(lines.len()), other.index(lines.len()));
            lines.swap(one, other);
            return lines.concat();
        }
        Mutation::ReplaceNumber(at, number) => {
            let starts: Vec<usize> = (0..bytes.len())
                .filter(|at| bytes[*at].is_ascii_digit())
                .collect();
            if !starts.is_empty() {
                let start = starts[at.index(starts.len())];
                let digits = bytes[start..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit())
                    .count();
                bytes.splice(start..start + digits, number.bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A network with an open link 1 between nodes 0 and 1, and node 1's offer for another.
fn with_offer() -> (Network, String) {
    let mut network = Network::pair(1);
    network.connect((0, 1), (1, 1));
    let now = network.now;
    network.transport(1).offer(VICTIM, now).unwrap();
    let offer = last_description(&mut network, 1);
    (network, offer)
}

fn last_description(network: &mut Network, node: usize) -> String {
    network.collect();
    let description = |event: &Event| match event {
        Event::LocalDescription { sdp, .. } => Some(sdp.clone()),
        _ => None,
    };
    network
        .node(node)
        .events
        .iter()
        .rev()
        .find_map(description)
        .unwrap()
}

fn assert_other_link_works(network: &mut Network) {
    let before = network.messages(1, 1).len();
    network.send(0, 1, "unharmed");
    network.run_for(Duration::from_millis(50));
    assert!(network.is_open(0, 1) && network.is_open(1, 1));
    assert_eq!(network.messages(1, 1).len(), before + 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_offer_is_refused_or_answered(mutations in prop::collection::vec(mutation(), 1..6)) {
        let (mut network, offer) = with_offer();
        let now = network.now;
        let accepted = network.transport(0).accept(VICTIM, &mutated(&offer, &mutations), PeerClass::Native, now);
        network.run_for(Duration::from_secs(1));
        if let Err(error) = accepted {
            prop_assert!(matches!(error, LinkError::MalformedDescription(_)), "{error:?}");
            prop_assert!(network.closed(0, VICTIM.0).is_empty());
        }
        assert_other_link_works(&mut network);
    }

    #[test]
    fn a_mutated_answer_is_applied_or_ends_the_attempt(
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let (mut network, offer) = with_offer();
        let now = network.now;
        network.transport(0).accept(VICTIM, &offer, PeerClass::Native, now).unwrap();
        let answer = last_description(&mut network, 0);
        let applied = network.transport(1).answer(VICTIM, &mutated(&answer, &mutations), PeerClass::Native, now);
        network.run_for(Duration::from_secs(1));
        if let Err(error) = applied {
            prop_assert!(matches!(error, LinkError::MalformedDescription(_)), "{error:?}");
            prop_assert_eq!(network.closed(1, VICTIM.0), [CloseReason::MalformedDescription]);
        }
        assert_other_link_works(&mut network);
    }

    #[test]
    fn a_mutated_candidate_is_refused_or_tried(
        mutations in prop::collection::vec(mutation(), 1..4),
        reflexive in any::<bool>(),
    ) {
        let (mut network, offer) = with_offer();
        let now = network.now;
        network.transport(0).accept(VICTIM, &offer, PeerClass::Native, now).unwrap();
        let valid = if reflexive {
            "candidate:srflx 1 udp 1694498815 192.0.2.7 9 typ srflx raddr 10.0.0.2 rport 1000"
        } else {
            "candidate:1 1 udp 2130706431 10.0.0.2 1000 typ host"
        };
        let candidate = IceCandidate {
            candidate: mutated(valid, &mutations),
            ..IceCandidate::default()
        };
        for node in [0, 1] {
            if let Err(error) = network.transport(node).candidate(VICTIM, &candidate, now) {
                prop_assert!(matches!(error, LinkError::MalformedCandidate(_)), "{error:?}");
            }
        }
        network.run_for(Duration::from_secs(1));
        prop_assert!(network.closed(0, VICTIM.0).is_empty());
        assert_other_link_works(&mut network);
    }

    #[test]
    fn datagrams_of_any_content_and_origin_do_no_harm(
        datagrams in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 1..40),
    ) {
        let (mut network, offer) = with_offer();
        let now = network.now;
        network.transport(0).accept(VICTIM, &offer, PeerClass::Native, now).unwrap();
        let (ours, peer) = (network.node(0).address, network.node(1).address);
        for (is_peer, contents) in &datagrams {
            let from = if *is_peer { peer } else { "10.9.9.9:9".parse().unwrap() };
            network.inject(from, ours, contents);
        }
        network.run_for(Duration::from_millis(100));
        assert_other_link_works(&mut network);
    }
}

#[test]
fn damaged_datagrams_on_an_open_link_are_no_more_than_lost() {
    for seed in 0..20 {
        let mut network = Network::pair(seed);
        network.connect((0, 1), (1, 1));
        network.damage = 0.2;
        for number in 0..50 {
            network.send(0, 1, &format!("{number}"));
            network.run_for(Duration::from_millis(1));
        }
        let all = |network: &Network| network.messages(1, 1).len() == 50;
        assert!(
            network.run_until(Duration::from_secs(60), all),
            "seed {seed}"
        );
        for (number, message) in network.messages(1, 1).iter().enumerate() {
            assert_eq!(message.bytes(), number.to_string().as_bytes());
        }
    }
}

/// A handshake is not authenticated yet: damage may end the attempt, but not in limbo.
#[test]
fn damaged_datagrams_during_a_handshake_leave_a_link_open_or_closed() {
    for seed in 0..40 {
        let mut network = Network::pair(seed);
        network.damage = 0.2;
        network.dial((0, 1), (1, 1));
        network.run_for(OPEN_LIMIT + PEER_SILENCE_LIMIT * 2);
        network.damage = 0.0;
        network.run_for(Duration::from_secs(10));
        let is_open = network.is_open(0, 1) && network.is_open(1, 1);
        let is_closed = network.closed(0, 1).len() == 1 && network.closed(1, 1).len() == 1;
        assert!(is_open || is_closed, "seed {seed}");
        network.connect((0, 2), (1, 2));
    }
}

#[test]
fn more_candidates_than_the_limit_are_refused() {
    let (mut network, _) = with_offer();
    let now = network.now;
    let mut refused = 0;
    for port in 1..=200 {
        let candidate = IceCandidate {
            candidate: format!("candidate:1 1 udp 1 10.0.0.2 {port} typ host"),
            ..IceCandidate::default()
        };
        match network.transport(1).candidate(VICTIM, &candidate, now) {
            Ok(()) => {}
            Err(LinkError::TooManyCandidates) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(refused, 200 - seamesh_transport::MAX_REMOTE_CANDIDATES);
}

#[test]
fn descriptions_that_fit_no_data_channel_are_refused_with_a_reason() {
    let (mut network, offer) = with_offer();
    let now = network.now;
    let without = |prefix: &str| -> String {
        let kept = offer.lines().filter(|line| !line.starts_with(prefix));
        kept.map(|line| format!("{line}\r\n")).collect()
    };
    let cases = [
        String::new(),
        "v=0".to_owned(),
        "hello".repeat(20_000),
        without("m="),
        without("a=ice-ufrag"),
        without("a=ice-pwd"),
        without("a=fingerprint"),
        without("a=mid"),
        without("a=setup"),
        offer.replace("a=sctp-port:5000", "a=sctp-port:1"),
        offer.replace("m=application 9", "m=application 0"),
        offer.replace("sha-256", "sha-1"),
        offer.clone() + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\n",
    ];
    for case in &cases {
        let refused = network
            .transport(0)
            .accept(VICTIM, case, PeerClass::Native, now);
        assert!(
            matches!(refused, Err(LinkError::MalformedDescription(_))),
            "{case}: {refused:?}"
        );
    }
    assert_other_link_works(&mut network);
}

//! Messages on one link arrive in order, once, or the sender is told that the link went down.

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::PeerId;

use super::{CLOCK_SLACK_MS, Carried, History, Violation, What};

type Way<'a> = (&'a PeerId, &'a PeerId);

/// What went one way between two peers.
#[derive(Default)]
struct Traffic {
    sent: Vec<(u64, u64)>,
    received: Vec<u64>,
    /// When the sender was told that its link is down.
    downs: Vec<u64>,
}

pub(super) fn check(history: &History) -> Vec<Violation> {
    let mut ways: BTreeMap<Way<'_>, Traffic> = BTreeMap::new();
    for fact in history.facts() {
        match &fact.what {
            What::Sent(carried) => {
                let traffic = ways.entry((&carried.from, &carried.to)).or_default();
                traffic.sent.push((fact.at_ms, carried.number));
            }
            What::Received(Carried { from, to, number }) => {
                ways.entry((from, to)).or_default().received.push(*number);
            }
            What::LinkDown { peer, other } => {
                let traffic = ways.entry((peer, other)).or_default();
                traffic.downs.push(fact.at_ms);
            }
            _ => {}
        }
    }
    ways.iter()
        .flat_map(|(way, traffic)| judge(*way, traffic))
        .collect()
}

fn judge((from, to): Way<'_>, traffic: &Traffic) -> Vec<Violation> {
    let (from, to) = (from.clone(), to.clone());
    let name = |number: &u64| (from.clone(), to.clone(), *number);
    let sent: BTreeSet<u64> = traffic.sent.iter().map(|(_, number)| *number).collect();
    let mut arrived = BTreeSet::new();
    let mut found = Vec::new();
    for number in &traffic.received {
        let (from, to, number) = name(number);
        let is_behind = arrived.last().is_some_and(|last| *last > number);
        if !sent.contains(&number) {
            found.push(Violation::Invented { from, to, number });
        } else if !arrived.insert(number) {
            found.push(Violation::Repeated { from, to, number });
        } else if is_behind {
            found.push(Violation::OutOfOrder { from, to, number });
        }
    }
    for (sent_ms, number) in &traffic.sent {
        let mut downs = traffic.downs.iter();
        let is_told = downs.any(|down_ms| down_ms + CLOCK_SLACK_MS >= *sent_ms);
        if !arrived.contains(number) && !is_told {
            let (from, to, number) = name(number);
            found.push(Violation::LostUntold { from, to, number });
        }
    }
    found
}

//! Our address as the outside sees it, asked of STUN servers over the shared socket (RFC 8445 section 5.1.1).
//!
//! All links share one socket and so one mapping: it is asked for when a link starts and the last
//! answer is old, not link by link.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::stun::{Kind, Message, TransactionId, binding_request};

/// First repetition of an unanswered request; it doubles each time (RFC 8489 section 6.2.1).
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// Requests to a server before it is given up, until the next link starts.
const MAX_ATTEMPTS: u32 = 6;

/// A mapping older than this is asked for again when a link starts. NATs keep idle ones for 30 s at
/// the least (RFC 4787 asks for 2 min).
const FRESH_FOR: Duration = Duration::from_secs(25);

/// What is known of one server.
#[derive(Debug)]
struct Server {
    address: SocketAddr,
    query: Option<Query>,
    answered: Option<Instant>,
    mapped: Option<SocketAddr>,
}

#[derive(Debug)]
struct Query {
    transaction: TransactionId,
    attempts: u32,
    due: Instant,
}

/// Asks the servers.
#[derive(Debug)]
pub(crate) struct Gathering {
    servers: Vec<Server>,
}

/// A request to send.
pub(crate) type Request = (SocketAddr, [u8; 20]);

impl Gathering {
    pub(crate) fn new(servers: &[SocketAddr]) -> Self {
        let unasked = |address: &SocketAddr| Server {
            address: *address,
            query: None,
            answered: None,
            mapped: None,
        };
        Self {
            servers: servers.iter().map(unasked).collect(),
        }
    }

    /// The servers from now on; what is known of those that stay is kept.
    pub(crate) fn set_servers(&mut self, servers: &[SocketAddr]) {
        self.servers
            .retain(|known| servers.contains(&known.address));
        let is_new = |address: &&SocketAddr| !self.servers.iter().any(|s| s.address == **address);
        let new: Vec<SocketAddr> = servers.iter().filter(is_new).copied().collect();
        self.servers.extend(Self::new(&new).servers);
    }

    /// A link starts: the outer addresses known already. Servers with no fresh answer get asked.
    pub(crate) fn wanted(
        &mut self,
        now: Instant,
        mut random: impl FnMut() -> TransactionId,
    ) -> Vec<SocketAddr> {
        let mut known = Vec::new();
        for server in &mut self.servers {
            let age = server.answered.map(|at| now.saturating_duration_since(at));
            match age {
                Some(age) if age < FRESH_FOR => known.extend(server.mapped),
                _ if server.query.is_some() => {}
                _ => {
                    let transaction = random();
                    server.query = Some(Query {
                        transaction,
                        attempts: 0,
                        due: now,
                    });
                }
            }
        }
        known.sort_unstable();
        known.dedup();
        known
    }

    /// Takes a response. The outer address, when the message was an answer to us that brings one that was not
    /// known; `Err` when the message is not ours.
    pub(crate) fn receive(
        &mut self,
        message: &Message<'_>,
        remote: SocketAddr,
        now: Instant,
    ) -> Result<Option<SocketAddr>, NotOurs> {
        let is_answered = |server: &&mut Server| {
            let query = server.query.as_ref();
            server.address == remote
                && query.is_some_and(|query| query.transaction == message.transaction)
        };
        if message.kind == Kind::Request {
            return Err(NotOurs);
        }
        let server = self.servers.iter_mut().find(is_answered).ok_or(NotOurs)?;
        server.query = None;
        server.answered = Some(now);
        server.mapped = message.mapped_address();
        let mapped = server.mapped;
        let known = self
            .servers
            .iter()
            .filter(|server| server.mapped == mapped)
            .count()
            > 1;
        Ok(mapped.filter(|_| !known))
    }

    /// When a request is to be sent, first or again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.servers
            .iter()
            .filter_map(|server| Some(server.query.as_ref()?.due))
            .min()
    }

    /// The requests due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<Request> {
        let mut requests = Vec::new();
        for server in &mut self.servers {
            let Some(query) = server.query.as_mut().filter(|query| query.due <= now) else {
                continue;
            };
            if query.attempts == MAX_ATTEMPTS {
                tracing::debug!("a STUN server does not answer");
                server.query = None;
                continue;
            }
            query.due = now + FIRST_RETRY * 2u32.pow(query.attempts);
            query.attempts += 1;
            requests.push((server.address, binding_request(query.transaction)));
        }
        requests
    }
}

/// The message answers none of our requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotOurs;

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "192.0.2.53:3478";

    fn asked(now: Instant) -> Gathering {
        let mut gathering = Gathering::new(&[SERVER.parse().unwrap()]);
        assert!(gathering.wanted(now, || [1; 12]).is_empty());
        gathering
    }

    fn answer(transaction: TransactionId) -> Vec<u8> {
        let mut datagram = binding_request(transaction).to_vec();
        datagram[0] = 1;
        datagram[3] = 12;
        datagram.extend([0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        datagram
    }

    #[test]
    fn an_answer_is_kept_for_the_links_that_start_soon_after() {
        let now = Instant::now();
        let mut gathering = asked(now);
        assert_eq!(gathering.handle_timeout(now).len(), 1);
        let datagram = answer([1; 12]);
        let message = Message::parse(&datagram).unwrap();
        let outer = "192.0.2.1:32853".parse().unwrap();
        let server = SERVER.parse().unwrap();
        assert_eq!(gathering.receive(&message, server, now), Ok(Some(outer)));
        assert_eq!(gathering.next_deadline(), None);
        assert_eq!(gathering.wanted(now + FRESH_FOR / 2, || [2; 12]), [outer]);
        assert!(gathering.wanted(now + FRESH_FOR, || [3; 12]).is_empty());
        assert!(gathering.next_deadline().is_some());
    }

    #[test]
    fn a_strangers_answer_is_not_ours() {
        let now = Instant::now();
        let mut gathering = asked(now);
        let server = SERVER.parse().unwrap();
        let (forged, real) = (answer([9; 12]), answer([1; 12]));
        let forged = Message::parse(&forged).unwrap();
        assert_eq!(gathering.receive(&forged, server, now), Err(NotOurs));
        let real = Message::parse(&real).unwrap();
        let elsewhere = "192.0.2.54:3478".parse().unwrap();
        assert_eq!(gathering.receive(&real, elsewhere, now), Err(NotOurs));
    }

    #[test]
    fn a_silent_server_is_asked_a_few_times_and_given_up() {
        let mut now = Instant::now();
        let mut gathering = asked(now);
        let mut requests = 0;
        while let Some(due) = gathering.next_deadline() {
            now = due;
            requests += gathering.handle_timeout(now).len();
        }
        assert_eq!(requests, MAX_ATTEMPTS as usize);
    }
}

//! Addresses on TURN servers that pass on what arrives there (RFC 8656), for peers that no direct path reaches.
//!
//! All links share one address on each server (an allocation), as they share the socket. It is asked for when a link
//! starts, kept while datagrams pass it, and given back when none has for [`IDLE_LIMIT`]. The protocol itself is the
//! stack's; what is here decides when to speak it. Why: `docs/adr/0025-links-fall-back-to-a-relay.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::crypto::RTCCryptoProvider;
use rtc::sansio::Protocol;
use rtc::shared::error::Error as StackError;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use rtc::stun::message::TransactionId;
use rtc::turn::client::{Client, ClientConfig, Event};
use rtc::turn::proto::chandata::ChannelData;
use rtc::turn::proto::channum::ChannelNumber;

use crate::TurnServer;
use crate::link::Outgoing;
use crate::stun;

/// An allocation that no datagram has passed for this long is given back.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// An allocation that the server spoke of this long ago is asked after before a link that starts is told of it: the
/// server may have been restarted.
const FRESH_FOR: Duration = Duration::from_secs(25);

/// After a refusal or silence, until a link that starts makes us ask again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Peers' addresses that one allocation lets through at most. Each is named in the message that keeps them alive, 12
/// bytes of a datagram of 64 KiB.
const MAX_PERMISSIONS: usize = 512;

/// Datagrams kept for a peer until the server lets them through; ICE and DTLS repeat what is lost.
const WAITING_PER_PEER: usize = 4;

/// Times a refresh is repeated because the server's nonce had aged.
const MAX_STALE: u32 = 3;

/// All servers.
pub(crate) struct Relays {
    servers: Vec<Server>,
    crypto: Arc<dyn RTCCryptoProvider>,
}

/// What a datagram from a server turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// A peer's, which came by way of the server.
    Data {
        /// Our address on the server.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
        /// What it sent.
        contents: BytesMut,
    },
    /// Our address on the server may be told to the peers of links that open.
    Usable(SocketAddr),
}

/// One server, and our address there.
struct Server {
    turn: TurnServer,
    state: State,
}

enum State {
    /// Not asked, or not before then.
    Idle(Option<Instant>),
    Asking(Box<Client>),
    Allocated(Box<Allocation>),
    /// Given back, and not confirmed yet. An address asked for meanwhile would be refused (437).
    Releasing(Box<Allocation>),
}

struct Allocation {
    client: Client,
    relayed: SocketAddr,
    /// When the server last said that it is ours.
    confirmed: Instant,
    /// A link waits for the server to say so again.
    is_asked_after: bool,
    /// Refreshes in a row that a stale nonce made void.
    stale: u32,
    last_used: Instant,
    permitted: BTreeSet<SocketAddr>,
    /// Whose datagrams came under a channel number. The client forgets a number when it cannot renew it at once; the
    /// server goes on using it until its time is over.
    channels: BTreeMap<u16, SocketAddr>,
    waiting: BTreeMap<SocketAddr, Waiting>,
}

/// Datagrams for a peer that the server does not let through yet.
struct Waiting {
    request: TransactionId,
    datagrams: VecDeque<BytesMut>,
}

impl Relays {
    pub(crate) fn new(servers: &[TurnServer], crypto: Arc<dyn RTCCryptoProvider>) -> Self {
        let mut relays = Self {
            servers: Vec::new(),
            crypto,
        };
        relays.set_servers(servers);
        relays
    }

    /// The servers from now on. What was allocated on those that stay is kept, under the newer credentials.
    pub(crate) fn set_servers(&mut self, servers: &[TurnServer]) {
        self.servers.retain(|known| {
            servers
                .iter()
                .any(|turn| turn.address == known.turn.address)
        });
        for turn in servers {
            match self
                .servers
                .iter_mut()
                .find(|known| known.turn.address == turn.address)
            {
                Some(known) => known.set_credentials(turn),
                None => self.servers.push(Server {
                    turn: turn.clone(),
                    state: State::Idle(None),
                }),
            }
        }
    }

    /// A link starts: our addresses that are known to work. The other servers get asked; `base` is where we send from.
    pub(crate) fn wanted(
        &mut self,
        now: Instant,
        base: impl Fn(SocketAddr) -> Option<SocketAddr>,
    ) -> Vec<SocketAddr> {
        let crypto = &self.crypto;
        let servers = self.servers.iter_mut();
        servers
            .filter_map(|server| server.wanted(now, base(server.turn.address)?, crypto))
            .collect()
    }

    /// Whether an address is ours, on a server.
    pub(crate) fn holds(&self, local: SocketAddr) -> bool {
        self.allocations()
            .any(|allocation| allocation.relayed == local)
    }

    fn allocations(&self) -> impl Iterator<Item = &Allocation> {
        self.servers
            .iter()
            .filter_map(|server| match &server.state {
                State::Allocated(allocation) => Some(&**allocation),
                _ => None,
            })
    }

    /// Sends a datagram from our address on a server, if `datagram` is from there; it comes back if not.
    pub(crate) fn send(&mut self, datagram: Outgoing, now: Instant) -> Option<Outgoing> {
        for server in &mut self.servers {
            if let State::Allocated(allocation) = &mut server.state
                && allocation.relayed == datagram.local
            {
                allocation.send(datagram.remote, datagram.contents, now);
                return None;
            }
        }
        Some(datagram)
    }

    /// Takes a datagram from a server. `None`: it is no server's, or nothing that a relay is for.
    pub(crate) fn receive(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        contents: &[u8],
        now: Instant,
    ) -> Option<Vec<Arrived>> {
        if stun::Message::parse(contents).is_some() {
            return None; // A binding message: ICE's, or about our outer address.
        }
        let server = self
            .servers
            .iter_mut()
            .find(|server| server.turn.address == remote)?;
        let datagram = TaggedBytesMut {
            now,
            transport: TransportContext {
                local_addr: local,
                peer_addr: remote,
                ecn: None,
                transport_protocol: TransportProtocol::UDP,
            },
            message: BytesMut::from(contents),
        };
        let refresh = stun::Refresh::parse(contents);
        Some(server.receive(datagram, refresh, &self.crypto, now))
    }

    /// What is to be sent to the servers.
    pub(crate) fn poll_transmit(&mut self) -> Option<Outgoing> {
        self.servers.iter_mut().find_map(|server| {
            let sent = server.client()?.poll_write()?;
            Some(Outgoing {
                local: sent.transport.local_addr,
                remote: sent.transport.peer_addr,
                contents: sent.message,
            })
        })
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due next.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        self.servers
            .iter_mut()
            .filter_map(Server::next_deadline)
            .min()
    }

    /// Runs what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for server in &mut self.servers {
            server.handle_timeout(now);
        }
    }
}

impl Server {
    fn client(&mut self) -> Option<&mut Client> {
        match &mut self.state {
            State::Idle(_) => None,
            State::Asking(client) => Some(client),
            State::Allocated(allocation) | State::Releasing(allocation) => {
                Some(&mut allocation.client)
            }
        }
    }

    fn set_credentials(&mut self, turn: &TurnServer) {
        if self.turn == *turn {
            return;
        }
        self.turn = turn.clone();
        match &mut self.state {
            State::Idle(not_before) => *not_before = None,
            // Signed with the old ones, which are still good for the answer.
            State::Asking(_) => {}
            State::Allocated(allocation) | State::Releasing(allocation) => {
                let (user, password) = (turn.username.clone(), turn.password.clone());
                if let Err(error) = allocation.client.update_credentials(user, password) {
                    tracing::warn!(%error, server = %turn.address, "new TURN credentials cannot be used");
                }
            }
        }
    }

    fn wanted(
        &mut self,
        now: Instant,
        base: SocketAddr,
        crypto: &Arc<dyn RTCCryptoProvider>,
    ) -> Option<SocketAddr> {
        match &mut self.state {
            State::Idle(Some(not_before)) if *not_before > now => None,
            State::Idle(_) => {
                self.ask(now, base, crypto);
                None
            }
            State::Asking(_) | State::Releasing(_) => None,
            State::Allocated(allocation) => allocation.wanted(now),
        }
    }

    fn ask(&mut self, now: Instant, base: SocketAddr, crypto: &Arc<dyn RTCCryptoProvider>) {
        let config = ClientConfig {
            turn_serv_addr: self.turn.address.to_string(),
            local_addr: base,
            transport_protocol: TransportProtocol::UDP,
            username: self.turn.username.clone(),
            password: self.turn.password.clone(),
            ..ClientConfig::default()
        };
        let asked = Client::new(config, crypto.clone()).and_then(|mut client| {
            client.allocate(now)?;
            Ok(client)
        });
        match asked {
            Ok(client) => self.state = State::Asking(Box::new(client)),
            Err(error) => self.give_up(&error, now),
        }
    }

    fn give_up(&mut self, error: &dyn std::fmt::Display, now: Instant) {
        tracing::warn!(%error, server = %self.turn.address, "no relayed address from the TURN server");
        self.state = State::Idle(Some(now + RETRY_AFTER));
    }

    fn receive(
        &mut self,
        datagram: TaggedBytesMut,
        refresh: Option<stun::Refresh>,
        crypto: &Arc<dyn RTCCryptoProvider>,
        now: Instant,
    ) -> Vec<Arrived> {
        let base = datagram.transport.local_addr;
        let Some(client) = self.client() else {
            return Vec::new();
        };
        let contents = datagram.message.clone();
        let read = client.handle_read(datagram);
        let mut arrived = Vec::new();
        match (&mut self.state, refresh) {
            (State::Releasing(_), Some(_)) => {
                self.state = State::Idle(None);
                return arrived;
            }
            (State::Allocated(allocation), Some(refresh)) => {
                match allocation.refreshed(refresh, read, now) {
                    Ok(usable) => arrived.extend(usable),
                    Err(error) if allocation.is_asked_after => {
                        tracing::debug!(error, server = %self.turn.address, "asking for another relayed address");
                        self.ask(now, base, crypto);
                    }
                    Err(error) => self.give_up(&error, now),
                }
            }
            (State::Allocated(allocation), None) => {
                if read == Err(StackError::ErrChannelBindNotFound) {
                    arrived.extend(allocation.under_old_number(contents, now));
                }
            }
            _ => {
                if let Err(error) = read {
                    tracing::debug!(%error, server = %self.turn.address, "a TURN server makes no sense");
                }
            }
        }
        self.drain(now, &mut arrived);
        arrived
    }

    /// Acts on what the client has to tell.
    fn drain(&mut self, now: Instant, arrived: &mut Vec<Arrived>) {
        while let Some(event) = self.client().and_then(Protocol::poll_event) {
            match (&mut self.state, event) {
                (State::Asking(_), Event::AllocateResponse(_, relayed)) => {
                    self.allocated(relayed, now);
                    arrived.push(Arrived::Usable(relayed));
                }
                (_, Event::AllocateError(_, error)) => return self.give_up(&error, now),
                (State::Asking(_), Event::TransactionTimeout(_)) => {
                    return self.give_up(&"it does not answer", now);
                }
                (State::Releasing(_), Event::TransactionTimeout(_)) => {
                    // The server does not answer, and may hold it still: it would refuse us another.
                    if let State::Releasing(mut allocation) =
                        std::mem::replace(&mut self.state, State::Idle(None))
                    {
                        allocation.last_used = now;
                        self.state = State::Allocated(allocation);
                    }
                }
                (State::Allocated(allocation), Event::TransactionTimeout(request)) => {
                    allocation
                        .waiting
                        .retain(|_, waiting| waiting.request != request);
                    // Whether it is still ours is asked when a link wants it again.
                    allocation.is_asked_after = false;
                }
                (State::Allocated(allocation), event) => {
                    arrived.extend(allocation.act_on(event, now))
                }
                _ => {}
            }
        }
    }

    fn allocated(&mut self, relayed: SocketAddr, now: Instant) {
        let State::Asking(client) = std::mem::replace(&mut self.state, State::Idle(None)) else {
            return;
        };
        tracing::debug!(server = %self.turn.address, %relayed, "a TURN server relays for us");
        self.state = State::Allocated(Box::new(Allocation {
            client: *client,
            relayed,
            confirmed: now,
            is_asked_after: false,
            stale: 0,
            last_used: now,
            permitted: BTreeSet::new(),
            channels: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }));
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        let idle = match &self.state {
            State::Allocated(allocation) => Some(allocation.last_used + IDLE_LIMIT),
            _ => None,
        };
        let protocol = self.client().and_then(Protocol::poll_timeout);
        idle.into_iter().chain(protocol).min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let State::Allocated(allocation) = &mut self.state
            && allocation.last_used + IDLE_LIMIT <= now
        {
            return self.release(now);
        }
        if let Some(client) = self.client()
            && client.poll_timeout().is_some_and(|due| due <= now)
        {
            if let Err(error) = client.handle_timeout(now) {
                tracing::debug!(%error, "a TURN timer failed");
            }
            // Without a datagram nothing arrives; what ends here ends by itself.
            self.drain(now, &mut Vec::new());
        }
    }

    fn release(&mut self, now: Instant) {
        let State::Allocated(mut allocation) =
            std::mem::replace(&mut self.state, State::Idle(None))
        else {
            return;
        };
        let closed = allocation
            .client
            .relay(allocation.relayed)
            .and_then(|mut relay| relay.close(now));
        if closed.is_ok() {
            self.state = State::Releasing(allocation);
        }
    }
}

impl Allocation {
    fn wanted(&mut self, now: Instant) -> Option<SocketAddr> {
        self.last_used = now;
        if now.saturating_duration_since(self.confirmed) < FRESH_FOR {
            return Some(self.relayed);
        }
        if !std::mem::replace(&mut self.is_asked_after, true) {
            self.refresh(now);
        }
        None
    }

    fn refresh(&mut self, now: Instant) {
        if let Err(error) = self.client.refresh_allocations(now) {
            tracing::debug!(%error, "a relayed address cannot be refreshed");
        }
    }

    /// The server answered a refresh. Our address, when a link waits for it; `Err` when it is ours no more.
    fn refreshed(
        &mut self,
        answer: stun::Refresh,
        read: Result<(), StackError>,
        now: Instant,
    ) -> Result<Option<Arrived>, String> {
        match (answer, read) {
            (stun::Refresh::Success, _) => {
                self.confirmed = now;
                self.stale = 0;
                let is_awaited = std::mem::take(&mut self.is_asked_after);
                Ok(is_awaited.then_some(Arrived::Usable(self.relayed)))
            }
            // A newer nonce came with it.
            (stun::Refresh::Error, Ok(())) if self.stale < MAX_STALE => {
                self.stale += 1;
                self.refresh(now);
                Ok(None)
            }
            (stun::Refresh::Error, Ok(())) => Err("every nonce is stale".to_owned()),
            (stun::Refresh::Error, Err(error)) => Err(error.to_string()),
        }
    }

    fn act_on(&mut self, event: Event, now: Instant) -> Option<Arrived> {
        match event {
            Event::DataIndicationOrChannelData(channel, remote, contents) => {
                self.last_used = now;
                if let Some(ChannelNumber(number)) = channel {
                    self.channels.insert(number, remote);
                }
                let local = self.relayed;
                return Some(Arrived::Data {
                    local,
                    remote,
                    contents,
                });
            }
            Event::CreatePermissionResponse(_, peer) => {
                self.permitted.insert(peer);
                let waiting = self.waiting.remove(&peer);
                for contents in waiting.into_iter().flat_map(|waiting| waiting.datagrams) {
                    self.send(peer, contents, now);
                }
            }
            Event::CreatePermissionError(request, error) => {
                let refused =
                    |(_, waiting): &(&SocketAddr, &mut Waiting)| waiting.request == request;
                let peer = self.waiting.iter_mut().find(refused).map(|(peer, _)| *peer);
                tracing::debug!(%error, ?peer, "a TURN server does not let a peer through");
                if let Some(peer) = peer {
                    self.waiting.remove(&peer);
                }
            }
            _ => {}
        }
        None
    }

    /// A datagram under a channel number that the client has forgotten.
    fn under_old_number(&mut self, raw: BytesMut, now: Instant) -> Option<Arrived> {
        let mut data = ChannelData {
            raw: raw.to_vec(),
            ..ChannelData::default()
        };
        data.decode().ok()?;
        let remote = *self.channels.get(&data.number.0)?;
        self.last_used = now;
        Some(Arrived::Data {
            local: self.relayed,
            remote,
            contents: BytesMut::from(&data.data[..]),
        })
    }

    /// Sends to a peer, once the server lets it through.
    fn send(&mut self, peer: SocketAddr, contents: BytesMut, now: Instant) {
        self.last_used = now;
        if let Some(waiting) = self.waiting.get_mut(&peer) {
            if waiting.datagrams.len() < WAITING_PER_PEER {
                waiting.datagrams.push_back(contents);
            }
            return;
        }
        let Ok(mut relay) = self.client.relay(self.relayed) else {
            return;
        };
        match relay.send_to(now, &contents, peer) {
            Err(StackError::ErrNoPermission) => {}
            Err(error) => return tracing::trace!(%error, "a TURN server cannot be sent a datagram"),
            Ok(()) => return,
        }
        if self.permitted.len() + self.waiting.len() >= MAX_PERMISSIONS {
            return tracing::debug!(%peer, "too many peers by way of one TURN server");
        }
        match relay.create_permission(now, peer) {
            Ok(Some(request)) => {
                let datagrams = VecDeque::from([contents]);
                self.waiting.insert(peer, Waiting { request, datagrams });
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "a TURN server cannot be asked to let a peer through")
            }
        }
    }
}

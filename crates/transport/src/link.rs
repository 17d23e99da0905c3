//! One link: a peer connection of the stack, its data channel, and what the stack does not keep.

mod reading;
mod sending;
mod timers;

pub(crate) use reading::SCTP_RECEIVE_BUFFER_BYTES;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rtc::data_channel::RTCDataChannelId;
use rtc::peer_connection::RTCPeerConnection;
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::{RTCIceConnectionState, RTCPeerConnectionState};
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::sansio::Protocol;
use rtc::shared::error::Error as StackError;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use reading::Reading;

use crate::dtls;
use crate::stack::Stack;
use crate::{
    CHANNEL_LABEL, CloseReason, Fingerprint, LinkError, MAX_REMOTE_CANDIDATES, MAX_SEND_BYTES,
    OPEN_LIMIT, Payload, PeerClass,
};
use seamesh_sdp::Candidate;
use seamesh_sdp::{Description, attribute};

/// DTLS datagrams kept while a link cannot take or send them yet: more than the longest flight of a
/// handshake. They would be lost otherwise, and a lost flight costs 1 s.
const WAITING_DATAGRAMS: usize = 16;

/// What draining a link brings to light, in order.
#[derive(Debug)]
pub(crate) enum Output {
    Datagram(Outgoing),
    Opened,
    Message(Payload),
    Writable,
    Ended(CloseReason),
}

/// A datagram on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) contents: BytesMut,
}

/// One connection attempt and, if it succeeds, the open link.
pub(crate) struct Link {
    pc: RTCPeerConnection,
    local_ufrag: String,
    remote: Option<Remote>,
    /// Kept until there is a remote description to apply them to.
    early_candidates: Vec<Candidate>,
    candidate_count: usize,
    /// Addresses of the peer's that a TURN server passes on to it.
    remote_relays: Vec<SocketAddr>,
    /// The address pair that DTLS was last sent over.
    path: Option<(SocketAddr, SocketAddr)>,
    /// Arrived before ICE chose a pair: the stack would drop them.
    early_datagrams: VecDeque<TaggedBytesMut>,
    /// Not to be sent while another handshake runs between the same two addresses.
    held_datagrams: VecDeque<Outgoing>,
    ice_connected: bool,
    channel: Option<RTCDataChannelId>,
    opened: bool,
    class: PeerClass,
    reading: Reading,
    wants_writable: bool,
    /// Until then it must have opened.
    open_by: Instant,
    /// When the peer last proved to be there.
    heard: Instant,
    last_data: Instant,
    last_tick: Instant,
    origin: Instant,
    max_receive_bytes: u32,
    ending: Option<CloseReason>,
}

/// What the peer's description told.
struct Remote {
    ufrag: String,
    fingerprint: Fingerprint,
    max_message_bytes: usize,
}

impl Link {
    /// The dialing side, and its offer.
    pub(crate) fn offer(stack: &Stack, now: Instant) -> Result<(Self, String), StackError> {
        let mut pc = stack.connection(now)?;
        pc.create_data_channel(CHANNEL_LABEL, None)?;
        let offer = pc.create_offer(None)?;
        let sdp = offer.sdp.clone();
        pc.set_local_description(now, offer)?;
        Ok((Self::new(stack, pc, &sdp, now), sdp))
    }

    /// The called side, and its answer.
    pub(crate) fn accept(
        stack: &Stack,
        remote: &Description,
        class: PeerClass,
        now: Instant,
    ) -> Result<(Self, String), StackError> {
        let mut pc = stack.connection(now)?;
        let largest = largest_received(class, stack.max_receive_bytes());
        let description = RTCSessionDescription::offer(remote.to_sdp(largest))?;
        pc.set_remote_description(now, description)?;
        let answer = pc.create_answer(None)?;
        let sdp = answer.sdp.clone();
        pc.set_local_description(now, answer)?;
        let mut link = Self::new(stack, pc, &sdp, now);
        link.class = class;
        link.note_remote(remote);
        Ok((link, sdp))
    }

    fn new(stack: &Stack, pc: RTCPeerConnection, local_sdp: &str, now: Instant) -> Self {
        Self {
            pc,
            local_ufrag: attribute(local_sdp, "ice-ufrag")
                .unwrap_or_default()
                .to_owned(),
            remote: None,
            early_candidates: Vec::new(),
            candidate_count: 0,
            remote_relays: Vec::new(),
            path: None,
            early_datagrams: VecDeque::new(),
            held_datagrams: VecDeque::new(),
            ice_connected: false,
            channel: None,
            opened: false,
            class: PeerClass::default(),
            reading: Reading::new(now),
            wants_writable: false,
            open_by: now + OPEN_LIMIT,
            heard: now,
            last_data: now,
            last_tick: now,
            origin: stack.origin(),
            max_receive_bytes: stack.max_receive_bytes(),
            ending: None,
        }
    }

    /// Applies the answer to our offer, and the candidates that came before it.
    pub(crate) fn answer(
        &mut self,
        remote: &Description,
        class: PeerClass,
        now: Instant,
    ) -> Result<(), StackError> {
        self.class = class;
        let largest = largest_received(class, self.max_receive_bytes);
        let description = RTCSessionDescription::answer(remote.to_sdp(largest))?;
        self.pc.set_remote_description(now, description)?;
        self.note_remote(remote);
        self.open_by = now + OPEN_LIMIT;
        for candidate in std::mem::take(&mut self.early_candidates) {
            self.add_remote(&candidate)?;
        }
        Ok(())
    }

    fn note_remote(&mut self, remote: &Description) {
        self.candidate_count += remote.candidates().len();
        remote
            .candidates()
            .iter()
            .for_each(|candidate| self.note_relay(candidate));
        self.remote = Some(Remote {
            ufrag: remote.ufrag().to_owned(),
            fingerprint: remote.fingerprint(),
            max_message_bytes: remote.max_message_bytes(),
        });
    }

    /// Takes one of the peer's candidates, now or once there is a description.
    pub(crate) fn candidate(&mut self, candidate: Candidate) -> Result<(), LinkError> {
        if self.candidate_count >= MAX_REMOTE_CANDIDATES {
            return Err(LinkError::TooManyCandidates);
        }
        self.candidate_count += 1;
        self.note_relay(&candidate);
        if self.remote.is_none() {
            self.early_candidates.push(candidate);
            return Ok(());
        }
        self.add_remote(&candidate).map_err(|error| {
            tracing::debug!(%error, "the stack refuses a candidate");
            LinkError::MalformedCandidate("refused by the stack")
        })
    }

    fn note_relay(&mut self, candidate: &Candidate) {
        if candidate.is_relayed() {
            self.remote_relays.push(candidate.address());
        }
    }

    /// Whether the peer has named this as an address on a TURN server.
    pub(crate) fn is_remote_relay(&self, remote: SocketAddr) -> bool {
        self.remote_relays.contains(&remote)
    }

    /// Our and the peer's address that DTLS was last sent over.
    pub(crate) fn path(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.path
    }

    fn add_remote(&mut self, candidate: &Candidate) -> Result<(), StackError> {
        self.pc.add_remote_candidate(init(candidate))
    }

    /// Adds one of our own addresses that became known late.
    pub(crate) fn add_local(&mut self, candidate: &Candidate) {
        if let Err(error) = self.pc.add_local_candidate(init(candidate)) {
            tracing::debug!(%error, "the stack refuses a local candidate");
        }
    }

    pub(crate) fn awaits_answer(&self) -> bool {
        self.remote.is_none()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.opened
    }

    pub(crate) fn local_ufrag(&self) -> &str {
        &self.local_ufrag
    }

    pub(crate) fn remote_fingerprint(&self) -> Option<Fingerprint> {
        self.remote.as_ref().map(|remote| remote.fingerprint)
    }

    /// The same at both ends of a link: handshakes that share an address pair take turns in its order.
    pub(crate) fn turn(&self) -> (&str, &str) {
        let local = self.local_ufrag.as_str();
        let remote = self
            .remote
            .as_ref()
            .map_or("", |remote| remote.ufrag.as_str());
        (local.min(remote), local.max(remote))
    }

    pub(crate) fn pause_reading(&mut self, paused: bool, now: Instant) {
        self.reading.pause(paused, now);
    }

    /// The peer proved to be there.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
    }

    /// Ends the link at the next drain, with what the stack has to say to the peer before it.
    pub(crate) fn end(&mut self, reason: CloseReason) {
        self.ending.get_or_insert(reason);
    }

    /// Takes a datagram that is for this link.
    pub(crate) fn receive(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        contents: &[u8],
        now: Instant,
    ) {
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
        if !dtls::is_dtls(contents) {
            return self.feed(datagram);
        }
        self.last_data = now;
        self.reading.arrived(contents.len());
        if !self.ice_connected {
            if self.early_datagrams.len() < WAITING_DATAGRAMS {
                self.early_datagrams.push_back(datagram);
            }
            return;
        }
        if !self.opened && dtls::is_plain_fatal_alert(contents) {
            self.end(CloseReason::DtlsFailed);
        }
        self.feed(datagram);
    }

    fn feed(&mut self, datagram: TaggedBytesMut) {
        if let Err(error) = self.pc.handle_read(datagram) {
            tracing::trace!(%error, "the stack drops a datagram");
        }
    }

    /// The peer was told that these arrived: a consumer that has paused gets them all the same.
    fn drain_last_messages(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        self.reading.pause(false, now);
        while let Some(payload) = self.next_message() {
            outputs.push(Output::Message(payload));
        }
    }

    /// Keeps an outgoing datagram back until [`release`](Self::release).
    pub(crate) fn hold(&mut self, datagram: Outgoing) {
        if self.held_datagrams.len() < WAITING_DATAGRAMS {
            self.held_datagrams.push_back(datagram);
        }
    }

    /// What was held back, to be sent now.
    pub(crate) fn release(&mut self) -> VecDeque<Outgoing> {
        std::mem::take(&mut self.held_datagrams)
    }

    /// Brings out everything the stack has to say. After [`Output::Ended`] the link is spent.
    pub(crate) fn drain(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        while self.drain_once(now, outputs) {}
        if self.opened && self.wants_writable && self.is_half_free() {
            self.wants_writable = false;
            outputs.push(Output::Writable);
        }
        if let Some(reason) = self.ending {
            if reason != CloseReason::Local {
                self.drain_last_messages(now, outputs);
            }
            if let Err(error) = self.pc.close() {
                tracing::debug!(%error, "the stack closes with an error");
            }
            self.drain_datagrams(outputs);
            outputs.push(Output::Ended(reason));
        }
    }

    /// One round; whether there was anything.
    fn drain_once(&mut self, now: Instant, outputs: &mut Vec<Output>) -> bool {
        let mut progress = self.drain_datagrams(outputs);
        while let Some(event) = self.pc.poll_event() {
            progress = true;
            self.note_event(event, outputs);
        }
        if self.ice_connected {
            for datagram in std::mem::take(&mut self.early_datagrams) {
                progress = true;
                self.feed(datagram);
            }
        }
        while let Some(payload) = self.next_message() {
            progress = true;
            self.heard(now);
            outputs.push(Output::Message(payload));
        }
        progress
    }

    /// The next message for the consumer, unless it has paused.
    fn next_message(&mut self) -> Option<Payload> {
        if !self.opened || self.reading.is_paused() {
            return None;
        }
        self.reading.next_parked().or_else(|| self.read())
    }

    /// Takes a message out of the stack, which makes room in the window.
    fn read(&mut self) -> Option<Payload> {
        loop {
            let TaggedRTCMessage { message, .. } = self.pc.poll_read()?;
            if let RTCMessage::DataChannelMessage(_, message) = message {
                let bytes = Bytes::from(message.data);
                return Some(if message.is_string {
                    Payload::Text(bytes)
                } else {
                    Payload::Binary(bytes)
                });
            }
        }
    }

    fn drain_datagrams(&mut self, outputs: &mut Vec<Output>) -> bool {
        let before = outputs.len();
        while let Some(datagram) = self.pc.poll_write() {
            if !self.opened {
                if dtls::is_plain_fatal_alert(&datagram.message) {
                    self.end(CloseReason::DtlsFailed);
                }
                if dtls::is_dtls(&datagram.message) {
                    let transport = &datagram.transport;
                    self.path = Some((transport.local_addr, transport.peer_addr));
                }
            }
            outputs.push(Output::Datagram(Outgoing {
                local: datagram.transport.local_addr,
                remote: datagram.transport.peer_addr,
                contents: datagram.message,
            }));
        }
        outputs.len() > before
    }

    fn note_event(&mut self, event: RTCPeerConnectionEvent, outputs: &mut Vec<Output>) {
        use RTCDataChannelEvent::{OnClose, OnOpen};
        use RTCPeerConnectionEvent::{
            OnConnectionStateChangeEvent, OnDataChannel, OnIceConnectionStateChangeEvent,
        };
        match event {
            // The peer may open several; the last one wins.
            OnDataChannel(OnOpen(id)) => {
                self.channel = Some(id);
                if !std::mem::replace(&mut self.opened, true) {
                    outputs.push(Output::Opened);
                }
            }
            OnDataChannel(OnClose(id)) if self.channel.is_none_or(|channel| channel == id) => {
                self.end(CloseReason::Remote);
            }
            OnIceConnectionStateChangeEvent(state) => match state {
                RTCIceConnectionState::Connected | RTCIceConnectionState::Completed => {
                    self.ice_connected = true;
                }
                RTCIceConnectionState::Failed if self.opened => self.end(CloseReason::TimedOut),
                RTCIceConnectionState::Failed => self.end(CloseReason::IceFailed),
                _ => {}
            },
            OnConnectionStateChangeEvent(RTCPeerConnectionState::Closed) => {
                self.end(CloseReason::Remote);
            }
            OnConnectionStateChangeEvent(RTCPeerConnectionState::Failed) => {
                self.end(CloseReason::DtlsFailed);
            }
            _ => {}
        }
    }
}

/// The stack keeps a buffer for the largest message that can come: no larger than that kind of peer sends.
fn largest_received(class: PeerClass, limit: u32) -> u32 {
    match class {
        PeerClass::Native => limit.min(MAX_SEND_BYTES as u32),
        PeerClass::Legacy => limit,
    }
}

/// In the stack's shape.
pub(crate) fn init(candidate: &Candidate) -> RTCIceCandidateInit {
    RTCIceCandidateInit {
        candidate: candidate.to_string(),
        ..RTCIceCandidateInit::default()
    }
}

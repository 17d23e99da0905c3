//! What comes into the core and what goes out: plain values, serialisable, so that one log serves the simulator, a
//! trace and a replay.

use std::fmt;

use bytes::Bytes;
use seamesh_proto::ipc::{AgentCommand, AgentEvent};
use seamesh_proto::signaling::{IceCandidate, SignalFrame};
use seamesh_proto::{Code, PeerId, Problem};
use serde::{Deserialize, Serialize};

/// One connection attempt with a peer. Chosen by the core, never used again, so that a late event of an old attempt
/// cannot touch a redial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkId(pub u64);

/// One connection of a client to the IPC socket. Chosen by the shell, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(pub u64);

/// Which half of an offer/answer exchange a description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DescriptionKind {
    /// The dialing side's.
    Offer,
    /// The called side's.
    Answer,
}

/// Why a link ended, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// It was closed here.
    Local,
    /// The peer closed it.
    Remote,
    /// The peer went silent.
    TimedOut,
    /// It did not open in time.
    NotOpened,
    /// ICE or DTLS failed.
    Failed,
    /// The peer's description cannot be used: also what the shell reports when the transport refuses to `accept`.
    Malformed,
}

/// One DataChannel message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// One whole message, as old peers send and read it.
    Text(Bytes),
    /// Part of the stream of JSON lines between native peers.
    Binary(Bytes),
}

impl Piece {
    /// The bytes, whichever the kind.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Time passed: everything due is done. Every other input does the same first.
    Tick,
    /// A client connected to the IPC socket.
    IpcConnected {
        /// The connection.
        client: ClientId,
    },
    /// A client sent a command.
    IpcCommand {
        /// The connection.
        client: ClientId,
        /// The command.
        command: AgentCommand,
    },
    /// A client sent a line that is no command.
    IpcBad {
        /// The connection.
        client: ClientId,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The client's outbound queue went over its limit (`true`), or below half of it again (`false`).
    IpcBlocked {
        /// The connection.
        client: ClientId,
        /// Whether it is over the limit.
        blocked: bool,
    },
    /// A client is gone.
    IpcDisconnected {
        /// The connection.
        client: ClientId,
    },
    /// The signaling socket is open and the token names us.
    SignalingUp {
        /// Our name on the network.
        peer_id: PeerId,
    },
    /// The attempt to connect failed, or the signaling socket closed.
    SignalingDown {
        /// Why, for the log.
        reason: String,
    },
    /// A signaling frame arrived.
    Signal {
        /// The frame.
        frame: SignalFrame,
    },
    /// Something arrived on the signaling socket that is no frame.
    SignalBad {
        /// What is wrong with it.
        problem: Problem,
    },
    /// The transport made our description.
    LinkDescription {
        /// The link.
        link: LinkId,
        /// Offer or answer.
        kind: DescriptionKind,
        /// RFC 8866.
        sdp: String,
    },
    /// The transport found a candidate of ours. Never before the link's description.
    LinkCandidate {
        /// The link.
        link: LinkId,
        /// The candidate; its `link` member is filled in by the core.
        candidate: IceCandidate,
    },
    /// The channel is open.
    LinkOpened {
        /// The link.
        link: LinkId,
        /// It passes a TURN server.
        relayed: bool,
    },
    /// A DataChannel message arrived.
    LinkMessage {
        /// The link.
        link: LinkId,
        /// The message.
        piece: Piece,
    },
    /// There is room again after a refused send.
    LinkWritable {
        /// The link.
        link: LinkId,
    },
    /// The link is gone, or could not be started.
    LinkClosed {
        /// The link.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
}

/// What the shell has to do. In order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Fetch a token and connect the signaling socket now; answer with `SignalingUp` or `SignalingDown`.
    ConnectSignaling,
    /// Send a signaling frame.
    Signal {
        /// The frame.
        frame: SignalFrame,
    },
    /// Send an event to the client.
    Ipc {
        /// The connection.
        client: ClientId,
        /// The event.
        event: AgentEvent,
    },
    /// Send these lines to the client: events (each an [`AgentEvent`] with its newline), already written out.
    IpcLines {
        /// The connection.
        client: ClientId,
        /// One or more whole lines.
        lines: String,
    },
    /// Stop (`true`) or resume reading from the client.
    IpcPause {
        /// The connection.
        client: ClientId,
        /// Whether to stop.
        paused: bool,
    },
    /// Send what is queued for the client, then close the connection.
    IpcClose {
        /// The connection.
        client: ClientId,
    },
    /// Start a link as the dialing side.
    LinkOffer {
        /// The link.
        link: LinkId,
        /// The other end.
        peer: PeerId,
    },
    /// Start a link from a peer's offer.
    LinkAccept {
        /// The link.
        link: LinkId,
        /// The other end.
        peer: PeerId,
        /// The offer.
        sdp: String,
        /// The other end speaks our dialect; towards an old one little is kept in flight.
        is_native: bool,
    },
    /// Apply the peer's answer.
    LinkAnswer {
        /// The link.
        link: LinkId,
        /// The answer.
        sdp: String,
        /// As with `LinkAccept`.
        is_native: bool,
    },
    /// Apply a candidate of the peer.
    LinkCandidate {
        /// The link.
        link: LinkId,
        /// The candidate.
        candidate: IceCandidate,
    },
    /// Stop (`true`) or resume reading from the link.
    LinkPause {
        /// The link.
        link: LinkId,
        /// Whether to stop.
        paused: bool,
    },
    /// Something waits to be sent: take it with [`Sidecar::take_piece`](crate::Sidecar::take_piece) while the
    /// transport has room.
    LinkReady {
        /// The link.
        link: LinkId,
    },
    /// End a link. Its `LinkClosed` may be reported or not.
    LinkClose {
        /// The link.
        link: LinkId,
    },
    /// Something for the log.
    Note(Note),
}

/// Something a person reads tomorrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The registry is not reachable; told once per outage.
    RegistryAway {
        /// Why.
        reason: String,
    },
    /// The registry is reachable.
    RegistryUp,
    /// A peer sent something that cannot be used, or broke a limit.
    BadPeer {
        /// The peer.
        peer: PeerId,
        /// The stable code.
        code: Code,
        /// What was wrong.
        detail: String,
    },
    /// The registry refused something that no request of the agent stands behind.
    Refused {
        /// Its problem.
        problem: Problem,
    },
    /// A link opened.
    LinkOpened {
        /// The other end.
        peer: PeerId,
        /// Its identity was checked.
        identified: bool,
        /// The link passes a TURN server.
        relayed: bool,
    },
    /// A link was refused because of an identity.
    LinkRefused {
        /// The other end.
        peer: PeerId,
        /// `identity_required`, `identity_invalid` or `identity_changed`.
        code: Code,
        /// Why.
        detail: String,
        /// The other end refused it, and says why; otherwise this end did.
        by_peer: bool,
    },
    /// An open link was lost.
    LinkLost {
        /// The other end.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// Reports of direct work were dropped: the registry has been away for too long.
    ReportsDropped {
        /// How many.
        count: u64,
    },
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link-{}", self.0)
    }
}

//! What goes in and out of a [`Transport`](crate::Transport): plain values, no behaviour.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use seamesh_sdp::DescriptionKind;

/// One connection attempt. The caller chooses it and never uses it again, so that a late event or
/// command of an old attempt cannot touch a redial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link-{}", self.0)
    }
}

/// What a transport needs to know before its first link.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses under which the socket can be reached, one host candidate each: the bound address, or
    /// for a wildcard bind one per interface (see [`host_addresses`](crate::host_addresses)).
    pub local_addresses: Vec<SocketAddr>,
    /// STUN servers (RFC 8489) to ask for server-reflexive candidates, already resolved. Empty: none.
    pub stun_servers: Vec<SocketAddr>,
    /// TURN servers (RFC 8656, over UDP) to ask for relayed candidates. Empty: none.
    pub turn_servers: Vec<TurnServer>,
    /// Offer peers relayed candidates alone, so that they learn no address of ours (the `relay` policy of W3C's
    /// `RTCIceTransportPolicy`). Without a TURN server no link opens then. Default: false.
    pub relay_only: bool,
    /// Largest message received, in bytes: the `a=max-message-size` we announce (RFC 8841 section 6). By
    /// default [`DEFAULT_RECEIVE_BYTES`](crate::DEFAULT_RECEIVE_BYTES), at most
    /// [`MAX_RECEIVE_BYTES`](crate::MAX_RECEIVE_BYTES).
    /// A peer that sends more breaks its link.
    pub max_receive_bytes: u32,
    /// Signal host candidates one by one, as events, instead of inside the description. Slower; for
    /// peers and tests that insist on trickling (RFC 8838). Default: false.
    pub trickle_hosts: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            local_addresses: Vec::new(),
            stun_servers: Vec::new(),
            turn_servers: Vec::new(),
            relay_only: false,
            max_receive_bytes: crate::DEFAULT_RECEIVE_BYTES,
            trickle_hosts: false,
        }
    }
}

/// A TURN server and who we are to it (long-term credentials, RFC 8489 section 9.2).
#[derive(Clone, PartialEq, Eq)]
pub struct TurnServer {
    /// Where it listens on UDP, already resolved.
    pub address: SocketAddr,
    /// The user.
    pub username: String,
    /// The password, never shown.
    pub password: String,
}

impl fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnServer")
            .field("address", &self.address)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A message on a link. WebRTC carries the kind as an SCTP payload protocol id (RFC 8831 section 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// UTF-8 text (PPID 51, empty: 56). Not checked to be UTF-8: the peer is not to be trusted.
    Text(Bytes),
    /// Bytes (PPID 53, empty: 57).
    Binary(Bytes),
}

impl Payload {
    /// The message's bytes, whichever its kind.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes,
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether it carries no byte at all.
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }
}

/// A candidate as it travels over signaling (`RTCIceCandidateInit` of the WebRTC specification).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IceCandidate {
    /// The `candidate:...` attribute value (RFC 8839 section 5.1); empty: end of candidates.
    pub candidate: String,
    /// The media section's `a=mid`. Ignored when received: there is one section.
    pub sdp_mid: Option<String>,
    /// The media section's index. Ignored when received.
    pub sdp_m_line_index: Option<u16>,
    /// The ICE generation that the candidate belongs to (RFC 8838 section 10).
    pub username_fragment: Option<String>,
}

/// What kind of peer a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PeerClass {
    /// One of ours: [`NATIVE_SEND_BUFFER_BYTES`](crate::NATIVE_SEND_BUFFER_BYTES) in flight, and no message over
    /// [`MAX_SEND_BYTES`](crate::MAX_SEND_BYTES).
    #[default]
    Native,
    /// An old or unknown implementation: [`LEGACY_SEND_BUFFER_BYTES`](crate::LEGACY_SEND_BUFFER_BYTES).
    Legacy,
}

/// A datagram as it came from the socket.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// The local address it was sent to; for a wildcard bind the interface's, where the system tells.
    pub local: SocketAddr,
    /// Where it came from.
    pub remote: SocketAddr,
    /// One UDP payload.
    pub contents: &'a [u8],
}

/// One or more datagrams to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The local address to send from, on a socket bound to several.
    pub source: Option<IpAddr>,
    /// Where to send.
    pub destination: SocketAddr,
    /// The payload, or several of them end to end.
    pub contents: Bytes,
    /// The length of each payload but the last, which may be shorter; `None`: just one payload.
    pub segment_size: Option<usize>,
}

/// What happened on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Signal this description to the peer.
    LocalDescription {
        /// The link.
        link: LinkId,
        /// Offer or answer.
        kind: DescriptionKind,
        /// The description (RFC 8866).
        sdp: String,
    },
    /// Signal this candidate to the peer. Never before the link's `LocalDescription`.
    LocalCandidate {
        /// The link.
        link: LinkId,
        /// The candidate.
        candidate: IceCandidate,
    },
    /// The data channel is open: messages may be sent.
    Opened {
        /// The link.
        link: LinkId,
        /// Its datagrams pass a TURN server, ours or the peer's, instead of going from host to host.
        relayed: bool,
    },
    /// A whole message arrived.
    Message {
        /// The link.
        link: LinkId,
        /// The message.
        payload: Payload,
    },
    /// There is room again after a refused send.
    Writable {
        /// The link.
        link: LinkId,
    },
    /// The link is gone. Exactly once per link that was started, and its last event.
    Closed {
        /// The link.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
}

/// Why a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// [`close`](crate::Transport::close) was called here.
    Local,
    /// The peer closed it and said so.
    Remote,
    /// It was open, and then the peer went silent for [`PEER_SILENCE_LIMIT`](crate::PEER_SILENCE_LIMIT).
    TimedOut,
    /// It did not open within [`OPEN_LIMIT`](crate::OPEN_LIMIT).
    NotOpened,
    /// No pair of candidates worked.
    IceFailed,
    /// The DTLS handshake failed: a certificate that is not the announced one, or no common ground.
    DtlsFailed,
    /// Reading was paused for so long, minutes, that nothing more could be kept.
    ReaderStalled,
    /// The peer's answer could not be used.
    MalformedDescription,
    /// The stack below failed in a way that has no better name; the log says how.
    Internal,
}

impl CloseReason {
    /// Whether something went wrong: neither end asked for it.
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::Local | Self::Remote)
    }

    /// A stable name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::TimedOut => "timed_out",
            Self::NotOpened => "not_opened",
            Self::IceFailed => "ice_failed",
            Self::DtlsFailed => "dtls_failed",
            Self::ReaderStalled => "reader_stalled",
            Self::MalformedDescription => "malformed_description",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadlineReason {
    /// A timer of the stack (ICE checks, DTLS and SCTP retransmissions, delayed acknowledgements).
    LinkTimer(LinkId),
    /// A link that must open, or be heard of, by then.
    LinkLiveness(LinkId),
    /// A STUN request to a server is to be repeated or given up.
    StunQuery,
    /// An address on a TURN server is to be asked for, kept alive or given back.
    TurnAllocation,
}

/// Why a transport could not be made. Our side's fault; trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// [`Config::local_addresses`] is empty: no peer could reach us.
    #[error("no local address to offer to peers")]
    NoLocalAddress,
    /// The certificate could not be generated.
    #[error("cannot generate the DTLS certificate: {0}")]
    Certificate(String),
}

/// Why a command on a link failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No such link, or closed already. Harmless in a race with [`Event::Closed`].
    #[error("no such link")]
    UnknownLink,
    /// The id belongs to another link: the caller's fault.
    #[error("the link id is in use")]
    InUse,
    /// [`MAX_LINKS`](crate::MAX_LINKS) are held. Try again when some have closed.
    #[error("too many links")]
    TooManyLinks,
    /// The command does not fit what the link waits for, like an answer to an answer.
    #[error("the link does not wait for this")]
    WrongState,
    /// The peer's description cannot be used: the peer's fault, and a repeat will not help.
    #[error("malformed description: {0}")]
    MalformedDescription(&'static str),
    /// The peer's candidate cannot be used: the peer's fault; others may work.
    #[error("malformed candidate: {0}")]
    MalformedCandidate(&'static str),
    /// More candidates than [`MAX_REMOTE_CANDIDATES`](crate::MAX_REMOTE_CANDIDATES).
    #[error("too many candidates")]
    TooManyCandidates,
    /// The stack below failed; the log says how.
    #[error("internal error of the WebRTC stack")]
    Internal,
}

/// Why a message was not sent. Nothing of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No such link, or not open, or closed already.
    #[error("the link is not open")]
    NotOpen,
    /// Longer than [`MAX_SEND_BYTES`](crate::MAX_SEND_BYTES), or than what the peer takes: chunk it.
    #[error("the message is too large")]
    TooLarge,
    /// A text payload is not UTF-8: send it as binary.
    #[error("the text is not UTF-8")]
    NotText,
    /// The send buffer is full: wait for [`Event::Writable`].
    #[error("the send buffer is full")]
    Full,
}

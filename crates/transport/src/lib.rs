//! WebRTC DataChannel links for one sidecar over one UDP socket, sans-IO.
//!
//! **Contract: after every mutation (a command, [`Transport::receive`], [`Transport::handle_timeout`]),
//! drain [`Transport::poll_transmit`] and [`Transport::poll_event`] until both are empty, then sleep
//! until [`Transport::next_deadline`] or the next datagram or command, whichever comes first.**
//!
//! The crate opens no socket of its own accord, reads no clock and spawns nothing: datagrams, commands
//! and time come in, datagrams, events and a deadline go out. [`UdpIo`] is the one piece of IO, a thin
//! non-blocking socket with segmentation offload for whoever drives a [`Transport`].
//!
//! A link is one ICE + DTLS + SCTP connection (RFC 8445, RFC 8261) that carries one ordered, reliable
//! data channel labelled [`CHANNEL_LABEL`] (RFC 8831, RFC 8832). All links share the socket, the
//! certificate and the receive buffers. Who dials whom, redials, glare and chunking of large messages
//! are the caller's matter; a caller that redials closes the old link first.
//!
//! Candidates are host, server-reflexive (STUN) and relayed (TURN over UDP, RFC 8656). A relay is what reaches a peer
//! behind a NAT that gives every destination its own port; it is taken only when nothing direct works in time, unless
//! [`Config::relay_only`] asks for it. TURN over TCP or TLS is not spoken.
//!
//! # A loop
//!
//! ```no_run
//! use std::time::Instant;
//! use seamesh_transport::{Config, ReceiveBuffer, RtcTransport, Transport, UdpIo, host_addresses};
//!
//! # fn wait(_: &UdpIo, _: Option<Instant>) {}
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let io = UdpIo::bind("0.0.0.0:0".parse()?)?;
//! let local_addresses = host_addresses(io.local_addr(), Default::default())?;
//! let config = Config { local_addresses, ..Config::default() };
//! let mut transport = RtcTransport::new(&config, Instant::now())?;
//! let mut buffer = ReceiveBuffer::default();
//! let drain = |transport: &mut RtcTransport| {
//!     while let Some(transmit) = transport.poll_transmit() {
//!         let _ = io.send(&transmit); // on WouldBlock: keep it until the socket is writable
//!     }
//!     while let Some(event) = transport.poll_event() {
//!         println!("{event:?}");
//!     }
//! };
//! loop {
//!     while io.recv(&mut buffer).is_ok() {
//!         for batch in buffer.batches() {
//!             transport.receive(&batch, Instant::now());
//!             drain(&mut transport);
//!         }
//!     }
//!     transport.handle_timeout(Instant::now());
//!     drain(&mut transport);
//!     wait(&io, transport.next_deadline().map(|(due, _)| due));
//! }
//! # }
//! ```

mod demux;
mod dtls;
mod gathering;
mod interfaces;
mod link;
mod outbox;
mod relays;
mod rtc_transport;
mod socket;
mod stack;
mod stun;
mod types;

pub use interfaces::{Loopback, host_addresses};
pub use rtc_transport::RtcTransport;
pub use seamesh_sdp::{DescriptionKind, Fingerprint, MAX_REMOTE_CANDIDATES};
pub use socket::{ReceiveBuffer, SOCKET_BUFFER_BYTES, UdpIo};
pub use types::{
    CloseReason, Config, Datagram, DeadlineReason, Event, IceCandidate, LinkError, LinkId, Payload,
    PeerClass, SendError, SetupError, Transmit, TurnServer,
};

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Label of the one data channel that a link carries; its protocol field is empty.
pub const CHANNEL_LABEL: &str = "mesh";

/// Largest message that [`Transport::send`] takes, in bytes: 16 KiB, so that a large transfer does not
/// keep a small message waiting (one SCTP association does not interleave messages). Chunk above it.
pub const MAX_SEND_BYTES: usize = 16 * 1024;

/// Largest message that can be received at all, in bytes: 256 KiB, the stack's own limit.
pub const MAX_RECEIVE_BYTES: u32 = 256 * 1024;

/// Largest message received unless [`Config::max_receive_bytes`] says otherwise, in bytes: 64 KiB, what
/// a peer may assume that is told nothing (RFC 8841 section 6.1). The stack keeps a buffer of this size for each link;
/// a link with our own kind, which sends no more than [`MAX_SEND_BYTES`], gets one of that size.
pub const DEFAULT_RECEIVE_BYTES: u32 = 64 * 1024;

/// Bytes that may wait, sent but unacknowledged, towards a peer of our own kind: 1 MiB keeps a
/// 100 MB/s path of 10 ms full.
pub const NATIVE_SEND_BUFFER_BYTES: usize = 1024 * 1024;

/// The same towards an old peer, whose 208 KiB socket buffers overflow under larger bursts (every lost
/// tail costs it a retransmission timeout of 1 s).
pub const LEGACY_SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Datagrams fed to a connection before its output is drained: acknowledgements leave in time, and no
/// queue inside the stack grows with the length of a burst.
pub const FEED_BATCH: usize = 16;

/// Links that one transport holds at the same time, over which `offer` and `accept` fail: a peer that
/// floods us with offers costs a bounded amount of memory.
pub const MAX_LINKS: usize = 4096;

/// A link that is open ends with [`CloseReason::TimedOut`] when its peer has not been heard of for this long.
/// Consent checks (RFC 7675) go out every second, so several in a row must be lost.
pub const PEER_SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// A link that has not opened this long after `offer`, `answer` or `accept`, whichever was last, ends
/// with [`CloseReason::NotOpened`]: long enough for signaling and a lost DTLS flight or two (1 s, 2 s).
pub const OPEN_LIMIT: Duration = Duration::from_secs(15);

/// Many WebRTC links over one UDP socket.
///
/// The implementation is [`RtcTransport`]; the trait exists so that another stack can take its place
/// and so that tests can drive a sidecar without one. Every method is cheap and none blocks.
///
/// A command that fails with [`LinkError`] or [`SendError`] concerns that link alone; no input
/// whatsoever, from the signaling channel or the network, may panic.
pub trait Transport {
    /// Names the servers to use from now on, as [`Config::stun_servers`] and [`Config::turn_servers`]. Links that are
    /// open stay as they are; a TURN server that stays gets the newer credentials.
    fn set_servers(&mut self, stun: &[SocketAddr], turn: &[TurnServer]);

    /// Starts a link as the dialing side. [`Event::LocalDescription`] with an offer and
    /// [`Event::LocalCandidate`]s follow.
    ///
    /// # Errors
    /// [`LinkError::InUse`] when `link` was seen before and is still held, [`LinkError::TooManyLinks`]
    /// at [`MAX_LINKS`]. The link does not exist then and no event follows.
    fn offer(&mut self, link: LinkId, now: Instant) -> Result<(), LinkError>;

    /// Starts a link as the called side, from the peer's offer (SDP, RFC 8866). The answer and local
    /// candidates follow as events. `class`: what kind of peer it is, which bounds what is in flight and received.
    ///
    /// # Errors
    /// As [`offer`](Self::offer), and [`LinkError::MalformedDescription`] when `remote_offer` is not an
    /// offer of one data channel with ICE credentials and a SHA-256 fingerprint. The link does not exist then
    /// and no event follows.
    fn accept(
        &mut self,
        link: LinkId,
        remote_offer: &str,
        class: PeerClass,
        now: Instant,
    ) -> Result<(), LinkError>;

    /// Gives a link that offered the peer's answer, and what kind of peer gave it.
    ///
    /// # Errors
    /// [`LinkError::UnknownLink`], [`LinkError::WrongState`] when the link waits for no answer, and
    /// [`LinkError::MalformedDescription`], after which the link cannot open any more: it also ends
    /// with [`Event::Closed`] for [`CloseReason::MalformedDescription`].
    fn answer(
        &mut self,
        link: LinkId,
        remote_answer: &str,
        class: PeerClass,
        now: Instant,
    ) -> Result<(), LinkError>;

    /// Gives a link one of the peer's candidates (trickle ICE, RFC 8838). Those that come before the
    /// remote description are kept and applied with it; an empty candidate string (end of candidates)
    /// and candidates of a kind that cannot work here (TCP, mDNS names) are ignored.
    ///
    /// # Errors
    /// [`LinkError::UnknownLink`], [`LinkError::MalformedCandidate`] and
    /// [`LinkError::TooManyCandidates`]; the link itself is left as it was.
    fn candidate(
        &mut self,
        link: LinkId,
        candidate: &IceCandidate,
        now: Instant,
    ) -> Result<(), LinkError>;

    /// Sends one message.
    ///
    /// # Errors
    /// See [`SendError`]. After [`SendError::Full`] exactly one [`Event::Writable`] follows, when at
    /// least half the send buffer is free again. Nothing of a refused message is sent.
    fn send(&mut self, link: LinkId, payload: Payload, now: Instant) -> Result<(), SendError>;

    /// Bytes that [`send`](Self::send) takes now: what is left of the send buffer; 0 when the link is
    /// not open. Asking and getting less than [`MAX_SEND_BYTES`] counts as being refused: an
    /// [`Event::Writable`] follows.
    fn capacity(&mut self, link: LinkId) -> usize;

    /// Stops or resumes handing out this link's messages. While paused, received bytes stay in the
    /// SCTP receive buffer, the advertised window shrinks, and in the end the peer's sender stops; nothing is lost.
    /// Events already queued are still handed out, and so is what has arrived when the link ends from the
    /// other side. Unknown links are ignored.
    ///
    /// After a resume the peer may take some seconds to find out. A pause of several minutes in which the
    /// peer sends on ends the link with [`CloseReason::ReaderStalled`].
    fn pause_reading(&mut self, link: LinkId, paused: bool, now: Instant);

    /// Ends a link and tells the peer, at once and best effort: messages not yet acknowledged may be
    /// lost. [`Event::Closed`] for [`CloseReason::Local`] follows, then nothing more for this link.
    /// Unknown and closed links are ignored.
    fn close(&mut self, link: LinkId, now: Instant);

    /// Takes datagrams that arrived on the socket, in order of arrival, of any source and content.
    fn receive(&mut self, batch: &[Datagram<'_>], now: Instant);

    /// The next datagram, or run of equal-sized datagrams to one destination, to send.
    ///
    /// Messages handed to [`send`](Self::send) since the last drain are put into packets here, together
    /// where they are small.
    fn poll_transmit(&mut self) -> Option<Transmit>;

    /// The next thing that happened, in order per link.
    fn poll_event(&mut self) -> Option<Event>;

    /// When [`handle_timeout`](Self::handle_timeout) is due next, and what for (so that a loop which
    /// spins can name its cause). `None` when nothing is pending.
    fn next_deadline(&self) -> Option<(Instant, DeadlineReason)>;

    /// Runs every timer that is due at `now`. Early and repeated calls do no harm.
    fn handle_timeout(&mut self, now: Instant);

    /// SHA-256 fingerprint of the certificate that every link of this transport presents (RFC 8122).
    fn local_fingerprint(&self) -> Fingerprint;

    /// SHA-256 fingerprint that the peer's description announced; DTLS has checked the peer's certificate
    /// against it once [`Event::Opened`] was seen. `None` before the remote description and for unknown links.
    fn remote_fingerprint(&self, link: LinkId) -> Option<Fingerprint>;
}

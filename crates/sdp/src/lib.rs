//! Session descriptions (RFC 8866) and ICE candidates (RFC 8839) as text: a peer's read, checked, and written anew from what
//! was understood. No network, no clock and no WebRTC stack: what a relay may have made of them meets this first.

mod candidate;
mod description;

use std::fmt;

pub use candidate::{Candidate, Parsed};
pub use description::{Description, attribute, parse_fingerprint};

/// Remote candidates that a link takes, early ones included: an honest peer has one per interface and server, some tens
/// at most.
pub const MAX_REMOTE_CANDIDATES: usize = 64;

/// Which half of an offer/answer exchange (RFC 3264) a description is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptionKind {
    /// The dialing side's.
    Offer,
    /// The called side's.
    Answer,
}

/// SHA-256 hash of a DTLS certificate (RFC 8122).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    /// As in SDP: upper-case hexadecimal pairs with colons between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

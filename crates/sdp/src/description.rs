//! Session descriptions (RFC 8866, RFC 8841) as text: the peer's read, checked and written anew.
//!
//! The stack understands far more of SDP than a data channel needs (audio, video, renegotiation). A
//! description from the network is therefore reduced to the few facts a link is made of, and the stack
//! is given a description written from those. What does not fit is refused before it gets that far.

use std::fmt::Write as _;

use crate::candidate::{Candidate, Parsed};
use crate::{DescriptionKind, Fingerprint, MAX_REMOTE_CANDIDATES};

/// Longest description looked at, in bytes: 32 KiB, ten times a data channel's with many candidates.
const MAX_SDP_BYTES: usize = 32 * 1024;

/// The one SCTP port in use (RFC 8841 section 5.3 leaves the choice; every stack takes this one).
const SCTP_PORT: &str = "5000";

/// `a=max-message-size` when there is none (RFC 8841 section 6.1).
const DEFAULT_MAX_MESSAGE_BYTES: u32 = 65_536;

/// Who opens the DTLS handshake (RFC 8842 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setup {
    Active,
    Passive,
    Either,
}

impl Setup {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "active" => Self::Active,
            "passive" => Self::Passive,
            "actpass" => Self::Either,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Either => "actpass",
        }
    }
}

/// What a peer's description says.
#[derive(Debug, Clone)]
pub struct Description {
    ufrag: String,
    password: String,
    fingerprint: Fingerprint,
    setup: Setup,
    mid: String,
    max_message_bytes: u32,
    ice_lite: bool,
    candidates: Vec<Candidate>,
}

/// Attributes as they are met; the last of a name counts.
#[derive(Debug, Default)]
struct Attributes<'a> {
    ufrag: Option<&'a str>,
    password: Option<&'a str>,
    fingerprint: Option<Fingerprint>,
    setup: Option<&'a str>,
    mid: Option<&'a str>,
    sctp_port: Option<&'a str>,
    max_message_bytes: Option<&'a str>,
    ice_lite: bool,
    candidates: Vec<Candidate>,
}

impl Description {
    /// Reads an offer or answer of one data channel section.
    ///
    /// # Errors
    /// Says what is missing or wrong.
    pub fn parse(sdp: &str, kind: DescriptionKind) -> Result<Self, &'static str> {
        if sdp.len() > MAX_SDP_BYTES {
            return Err("too long");
        }
        if !sdp.starts_with("v=0") {
            return Err("not a session description");
        }
        let mut attributes = Attributes::default();
        let mut sections = 0;
        for line in sdp.lines() {
            if let Some(section) = line.strip_prefix("m=") {
                sections += 1;
                check_section(section)?;
            } else if let Some(attribute) = line.strip_prefix("a=") {
                attributes.note(attribute)?;
            }
        }
        match sections {
            1 => attributes.into_description(kind),
            0 => Err("no data channel section"),
            _ => Err("more than one media section"),
        }
    }

    /// The hash of the certificate that the peer will show.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The ICE username (RFC 8839 section 5.4).
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// Candidates that came with it.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Largest message that the peer takes, in bytes.
    pub fn max_message_bytes(&self) -> usize {
        match self.max_message_bytes {
            0 => usize::MAX,
            limit => limit as usize,
        }
    }

    /// The description again, in the one form that the stack gets to see. The stack takes the smaller of
    /// both ends' message limits for both directions; given our own it takes what we announced, whatever
    /// the peer's, which is for us to keep.
    pub fn to_sdp(&self, max_message_bytes: u32) -> String {
        let Self {
            ufrag,
            password,
            fingerprint,
            mid,
            ..
        } = self;
        let setup = self.setup.as_str();
        let lite = if self.ice_lite { "a=ice-lite\r\n" } else { "" };
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{lite}a=group:BUNDLE {mid}\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
             a=setup:{setup}\r\na=mid:{mid}\r\na=sendrecv\r\na=sctp-port:{SCTP_PORT}\r\n\
             a=max-message-size:{max_message_bytes}\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n"
        );
        for candidate in &self.candidates {
            // Writing to a String does not fail.
            let _ = write!(sdp, "a={candidate}\r\n");
        }
        sdp
    }
}

impl<'a> Attributes<'a> {
    fn note(&mut self, attribute: &'a str) -> Result<(), &'static str> {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        let value = value.trim();
        match name {
            "ice-ufrag" => self.ufrag = Some(value),
            "ice-pwd" => self.password = Some(value),
            "ice-lite" => self.ice_lite = true,
            "setup" => self.setup = Some(value),
            "mid" => self.mid = Some(value),
            "sctp-port" => self.sctp_port = Some(value),
            "max-message-size" => self.max_message_bytes = Some(value),
            "fingerprint" => self.note_fingerprint(value)?,
            // One bad candidate among good ones does not spoil them.
            "candidate" if self.candidates.len() < MAX_REMOTE_CANDIDATES => {
                if let Ok(Parsed::Usable(candidate)) = Candidate::parse(value) {
                    self.candidates.push(candidate);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Hashes of other kinds may stand beside the SHA-256 one; two of that kind must be the same.
    fn note_fingerprint(&mut self, value: &str) -> Result<(), &'static str> {
        let (hash, value) = value.split_once(' ').ok_or("malformed fingerprint")?;
        if !hash.eq_ignore_ascii_case("sha-256") {
            return Ok(());
        }
        let fingerprint = parse_fingerprint(value.trim()).ok_or("malformed fingerprint")?;
        if self
            .fingerprint
            .is_some_and(|earlier| earlier != fingerprint)
        {
            return Err("conflicting fingerprints");
        }
        self.fingerprint = Some(fingerprint);
        Ok(())
    }

    fn into_description(self, kind: DescriptionKind) -> Result<Description, &'static str> {
        let is_credential = |text: &&str, bytes: std::ops::RangeInclusive<usize>| {
            bytes.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b':')
        };
        let is_mid = |text: &&str| {
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        if self.sctp_port.is_some_and(|port| port != SCTP_PORT) {
            return Err("an SCTP port other than 5000");
        }
        let max_message_bytes = match self.max_message_bytes {
            Some(text) => text.parse().map_err(|_| "malformed max-message-size")?,
            None => DEFAULT_MAX_MESSAGE_BYTES,
        };
        let setup = self.setup.and_then(Setup::parse).ok_or("no setup role")?;
        if kind == DescriptionKind::Answer && setup == Setup::Either {
            return Err("an answer must choose its setup role");
        }
        // Bounds of RFC 8839 section 5.4.
        let ufrag = self.ufrag.filter(|text| is_credential(text, 4..=256));
        let password = self.password.filter(|text| is_credential(text, 22..=256));
        Ok(Description {
            ufrag: ufrag.ok_or("no usable ICE username")?.to_owned(),
            password: password.ok_or("no usable ICE password")?.to_owned(),
            fingerprint: self.fingerprint.ok_or("no SHA-256 fingerprint")?,
            setup,
            mid: self.mid.filter(is_mid).ok_or("no usable mid")?.to_owned(),
            max_message_bytes,
            ice_lite: self.ice_lite,
            candidates: self.candidates,
        })
    }
}

/// The `m=` line must be a data channel's (RFC 8841 section 5, and what came before it).
fn check_section(line: &str) -> Result<(), &'static str> {
    let mut fields = line.split_ascii_whitespace();
    let (media, port, protocol) = (fields.next(), fields.next(), fields.next());
    let is_dtls = protocol.is_some_and(|protocol| protocol.ends_with("DTLS/SCTP"));
    if media != Some("application") || !is_dtls {
        return Err("not a data channel section");
    }
    if port.is_none_or(|port| port == "0") {
        return Err("the data channel section is rejected");
    }
    Ok(())
}

/// "AB:CD:..", 32 of them.
pub fn parse_fingerprint(text: &str) -> Option<Fingerprint> {
    let mut bytes = [0; 32];
    let mut pairs = text.split(':');
    for byte in &mut bytes {
        let pair = pairs.next().filter(|pair| pair.len() == 2)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(Fingerprint(bytes))
}

/// The value of an attribute in a description of our own stack.
pub fn attribute<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| {
        line.strip_prefix("a=")?
            .strip_prefix(name)?
            .strip_prefix(':')
    })
}

//! ICE candidates as text (RFC 8839 section 5.1): ours written, the peer's read and checked.
//!
//! What the stack is given is written anew from what was understood, so that nothing unexpected of a
//! peer's text reaches it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const PREFIX: &str = "candidate:";

/// Type preferences of RFC 8445 section 5.1.2.2.
const HOST_PREFERENCE: u32 = 126;
const REFLEXIVE_PREFERENCE: u32 = 100;
const RELAYED_PREFERENCE: u32 = 0;

/// Priorities are below this (RFC 8839 section 5.1).
const PRIORITY_LIMIT: u32 = 1 << 31;

/// How a candidate came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Host,
    ServerReflexive,
    PeerReflexive,
    Relayed,
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "host" => Self::Host,
            "srflx" => Self::ServerReflexive,
            "prflx" => Self::PeerReflexive,
            "relay" => Self::Relayed,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }
}

/// A UDP candidate that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    foundation: String,
    priority: u32,
    address: SocketAddr,
    kind: Kind,
    /// For a candidate of ours that is no address of this host: the address it stands for.
    base: Option<SocketAddr>,
}

/// What became of a peer's candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// One to try.
    Usable(Candidate),
    /// Well-formed, but nothing that can work here: TCP, an mDNS name, end of candidates.
    Ignored,
}

impl Candidate {
    /// One of our own addresses; `rank` 0 is the one we like best.
    pub fn host(address: SocketAddr, rank: usize) -> Self {
        Self {
            foundation: format!("{}", rank + 1),
            priority: priority(HOST_PREFERENCE, rank),
            address,
            kind: Kind::Host,
            base: None,
        }
    }

    /// Our address as a STUN server saw it.
    pub fn server_reflexive(address: SocketAddr, base: SocketAddr) -> Self {
        Self {
            foundation: "srflx".to_owned(),
            priority: priority(REFLEXIVE_PREFERENCE, 0),
            address,
            kind: Kind::ServerReflexive,
            base: Some(base),
        }
    }

    /// An address on a TURN server that passes on what arrives there (RFC 8656); `mapped` is ours as that server sees
    /// it, or as near to that as is known.
    pub fn relayed(address: SocketAddr, mapped: SocketAddr) -> Self {
        Self {
            foundation: "relay".to_owned(),
            priority: priority(RELAYED_PREFERENCE, 0),
            address,
            kind: Kind::Relayed,
            base: Some(mapped),
        }
    }

    /// Whether what is sent there passes a TURN server.
    pub fn is_relayed(&self) -> bool {
        self.kind == Kind::Relayed
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads a peer's candidate, with or without the "candidate:" in front.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Parsed, &'static str> {
        let text = text.trim();
        let text = text.strip_prefix("a=").unwrap_or(text);
        let text = text.strip_prefix(PREFIX).unwrap_or(text);
        if text.is_empty() {
            return Ok(Parsed::Ignored);
        }
        let mut fields = text.split_ascii_whitespace();
        let mut next = || fields.next().ok_or("too few fields");
        let foundation = next()?;
        let component: u16 = next()?.parse().map_err(|_| "component is no number")?;
        let protocol = next()?;
        let priority: u32 = next()?.parse().map_err(|_| "priority is no number")?;
        let address = next()?;
        let port: u16 = next()?.parse().map_err(|_| "port is no number")?;
        if next()? != "typ" {
            return Err("no type");
        }
        let kind = Kind::parse(next()?).ok_or("unknown type")?;
        if !is_foundation(foundation) {
            return Err("malformed foundation");
        }
        if priority == 0 || priority >= PRIORITY_LIMIT {
            return Err("priority out of range");
        }
        if component != 1 || !protocol.eq_ignore_ascii_case("udp") || address.ends_with(".local") {
            return Ok(Parsed::Ignored);
        }
        let ip: IpAddr = address.parse().map_err(|_| "address is no IP address")?;
        if port == 0 || ip.is_unspecified() || ip.is_multicast() {
            return Err("address cannot be reached");
        }
        Ok(Parsed::Usable(Self {
            foundation: foundation.to_owned(),
            priority,
            address: SocketAddr::new(ip.to_canonical(), port),
            kind,
            base: None,
        }))
    }
}

/// RFC 8445 section 5.1.2.1, for component 1.
fn priority(type_preference: u32, rank: usize) -> u32 {
    let local_preference = u32::from(u16::MAX).saturating_sub(rank as u32);
    (type_preference << 24) + (local_preference << 8) + 255
}

fn is_foundation(text: &str) -> bool {
    let ice_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=');
    (1..=32).contains(&text.len()) && text.chars().all(ice_char)
}

impl fmt::Display for Candidate {
    /// With the "candidate:" in front, as it travels.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            foundation,
            priority,
            address,
            kind,
            base,
        } = self;
        let (ip, port, typ) = (address.ip(), address.port(), kind.as_str());
        write!(
            f,
            "{PREFIX}{foundation} 1 udp {priority} {ip} {port} typ {typ}"
        )?;
        if *kind != Kind::Host {
            let unknown = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
            let base = base.unwrap_or(unknown);
            write!(f, " raddr {} rport {}", base.ip(), base.port())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable(text: &str) -> String {
        match Candidate::parse(text) {
            Ok(Parsed::Usable(candidate)) => candidate.to_string(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn our_host_candidates_read_back_and_rank_in_order() {
        let first = Candidate::host("10.0.0.1:7".parse().unwrap(), 0);
        let second = Candidate::host("[2001:db8::1]:7".parse().unwrap(), 1);
        assert!(first.priority > second.priority);
        assert_eq!(usable(&first.to_string()), first.to_string());
        assert_eq!(usable(&second.to_string()), second.to_string());
    }

    #[test]
    fn a_reflexive_candidate_names_its_base() {
        let (outer, base) = (
            "192.0.2.1:9".parse().unwrap(),
            "10.0.0.1:7".parse().unwrap(),
        );
        let text = Candidate::server_reflexive(outer, base).to_string();
        assert!(
            text.ends_with("192.0.2.1 9 typ srflx raddr 10.0.0.1 rport 7"),
            "{text}"
        );
    }

    #[test]
    fn a_relayed_candidate_ranks_last_and_is_known_as_one() {
        let (relayed, mapped) = (
            "192.0.2.9:5".parse().unwrap(),
            "10.0.0.1:7".parse().unwrap(),
        );
        let candidate = Candidate::relayed(relayed, mapped);
        assert!(candidate.priority < Candidate::server_reflexive(relayed, mapped).priority);
        let Ok(Parsed::Usable(read)) = Candidate::parse(&candidate.to_string()) else {
            panic!("{candidate}");
        };
        assert!(read.is_relayed() && read.address() == relayed);
        assert!(!Candidate::host(mapped, 0).is_relayed());
    }

    #[test]
    fn candidates_of_other_stacks_are_understood() {
        let chrome = "candidate:842163049 1 udp 1677729535 192.0.2.7 46154 typ srflx raddr 10.0.0.17 rport 46154 generation 0 ufrag EEtu network-cost 999";
        assert!(usable(chrome).contains("192.0.2.7 46154 typ srflx"));
        let aiortc = "6815297761 1 udp 2130706431 192.168.0.2 44444 typ host";
        assert!(usable(aiortc).contains("192.168.0.2 44444 typ host"));
    }

    #[test]
    fn what_cannot_work_is_ignored_and_what_makes_no_sense_refused() {
        for text in [
            "",
            "candidate:1 1 tcp 1518280447 10.0.0.1 9 typ host tcptype active",
            "candidate:1 2 udp 2130706431 10.0.0.1 5000 typ host",
            "candidate:1 1 udp 2130706431 0e2c.local 5000 typ host",
        ] {
            assert_eq!(Candidate::parse(text), Ok(Parsed::Ignored), "{text}");
        }
        for text in [
            "candidate:",
            "candidate:1 1 udp",
            "candidate:1 1 udp 99999999999 10.0.0.1 5000 typ host",
            "candidate:1 1 udp 4294967295 10.0.0.1 5000 typ host",
            "candidate:1 1 udp 1 10.0.0.1 0 typ host",
            "candidate:1 1 udp 1 0.0.0.0 5000 typ host",
            "candidate:1 1 udp 1 example.com 5000 typ host",
            "candidate:1 1 udp 1 10.0.0.1 5000 typ wormhole",
            "candidate:\u{1F980} 1 udp 1 10.0.0.1 5000 typ host",
        ] {
            let parsed = Candidate::parse(text);
            let refused = parsed.is_err() || text == "candidate:";
            assert!(refused, "{text}: {parsed:?}");
        }
    }
}

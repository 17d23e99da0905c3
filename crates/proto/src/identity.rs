//! Identities: a peer's Ed25519 key (RFC 8032), the mesh's root key that vouches for it, and what each of them signs.
//!
//! Everything signed begins with a context that no other use has, and every part is preceded by its length, so that no
//! two statements have the same bytes. This module holds the bytes; whoever signs or verifies brings the cryptography.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::PeerId;

/// A text is not the hexadecimal form of so many bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0} hexadecimal digits")]
pub struct HexError(usize);

macro_rules! hex_bytes {
    ($(#[$meta:meta])* $name:ident, $bytes:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                let error = || HexError($bytes * 2);
                if text.len() != $bytes * 2 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(error());
                }
                let mut bytes = [0; $bytes];
                for (byte, place) in bytes.iter_mut().zip(0..) {
                    let pair = &text[place * 2..place * 2 + 2];
                    *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
                }
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "minLength": $bytes * 2,
                    "maxLength": $bytes * 2,
                    "pattern": "^[0-9A-Fa-f]+$",
                })
            }
        }
    };
}

hex_bytes! {
    /// The public half of an Ed25519 key; on the wire 64 hexadecimal digits.
    PublicKey, 32
}
hex_bytes! {
    /// An Ed25519 signature; on the wire 128 hexadecimal digits.
    Signature, 64
}

impl PublicKey {
    /// The key in a form that two people compare: four groups of four digits, 64 bits.
    pub fn short(&self) -> String {
        let text = self.to_string();
        let groups: Vec<&str> = (0..4).map(|n| &text[n * 4..n * 4 + 4]).collect();
        groups.join(" ")
    }
}

/// The mesh's root key says that this key is this peer's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// The peer.
    pub peer_id: PeerId,
    /// Its key.
    pub key: PublicKey,
    /// Of two certificates of one peer, the one with the larger number counts: Unix milliseconds of its making.
    pub serial: u64,
    /// The root key's signature over [`Certificate::statement`].
    pub signature: Signature,
}

impl Certificate {
    /// What the root key signs.
    pub fn statement(peer_id: &PeerId, key: &PublicKey, serial: u64) -> Vec<u8> {
        let parts: [&[u8]; 3] = [peer_id.as_str().as_bytes(), &key.0, &serial.to_be_bytes()];
        statement("seamesh certificate v1", &parts)
    }

    /// What this certificate's signature must be over.
    pub fn said(&self) -> Vec<u8> {
        Self::statement(&self.peer_id, &self.key, self.serial)
    }
}

/// In an offer or answer: who made it, and that the DTLS certificate announced there is really its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkIdentity {
    /// Whose key signs.
    pub certificate: Certificate,
    /// That key's signature over [`LinkStatement::bytes`].
    pub signature: Signature,
}

/// What a peer signs of a session description.
#[derive(Clone, Copy, Debug)]
pub struct LinkStatement<'a> {
    /// An offer, not an answer.
    pub is_offer: bool,
    /// Who makes it.
    pub from: &'a PeerId,
    /// For whom.
    pub to: &'a PeerId,
    /// The name of the connection attempt; empty without one.
    pub link: &'a str,
    /// SHA-256 of the DTLS certificate (RFC 8122), as the description announces it.
    pub fingerprint: &'a [u8; 32],
}

impl LinkStatement<'_> {
    /// What is signed.
    pub fn bytes(&self) -> Vec<u8> {
        let kind: &[u8] = if self.is_offer { b"offer" } else { b"answer" };
        let (from, to) = (self.from.as_str().as_bytes(), self.to.as_str().as_bytes());
        let parts = [kind, from, to, self.link.as_bytes(), self.fingerprint];
        statement("seamesh link v1", &parts)
    }
}

/// What a newcomer signs with its new key when it redeems an invite: that it has the key it names.
pub fn pair_statement(agent_name: &str, token_digest: &str) -> Vec<u8> {
    let parts = [agent_name.as_bytes(), token_digest.as_bytes()];
    statement("seamesh pair v1", &parts)
}

fn statement(context: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = context.as_bytes().to_vec();
    bytes.push(0);
    for part in parts {
        // No part is near 4 GiB: they are ids, keys and names.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// The SHA-256 fingerprint that a session description announces: the only one, wherever it stands in it.
///
/// `None` without one, with one that is malformed, or with two that differ: nobody could say which was meant.
pub fn fingerprint(sdp: &str) -> Option<[u8; 32]> {
    let mut found = None;
    for line in sdp.lines() {
        let Some(value) = line.strip_prefix("a=fingerprint:") else {
            continue;
        };
        let (hash, value) = value.trim().split_once(' ')?;
        if !hash.eq_ignore_ascii_case("sha-256") {
            continue;
        }
        let one = pairs(value.trim())?;
        if found.is_some_and(|other| other != one) {
            return None;
        }
        found = Some(one);
    }
    found
}

/// `AB:CD:…`, 32 of them.
fn pairs(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut pairs = text.split(':');
    for byte in &mut bytes {
        let pair = pairs.next().filter(|pair| pair.len() == 2)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str) -> PeerId {
        name.parse().unwrap()
    }

    #[test]
    fn keys_are_hexadecimal_on_the_wire_and_nothing_else() {
        let key = PublicKey([0xab; 32]);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!("AB".repeat(32).parse(), Ok(key));
        for bad in [
            String::new(),
            "ab".repeat(31),
            "xy".repeat(32),
            "+1".repeat(32),
            "ä".repeat(32),
        ] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
        assert_eq!(key.short(), "abab abab abab abab");
    }

    #[test]
    fn no_two_statements_have_the_same_bytes() {
        let one = Certificate::statement(&peer("ab"), &PublicKey([1; 32]), 7);
        assert_ne!(
            one,
            Certificate::statement(&peer("a"), &PublicKey([1; 32]), 7)
        );
        assert_ne!(pair_statement("ab", "c"), pair_statement("a", "bc"));
        let (from, to, fingerprint) = (peer("a"), peer("b"), [3; 32]);
        let offer = LinkStatement {
            is_offer: true,
            from: &from,
            to: &to,
            link: "l",
            fingerprint: &fingerprint,
        };
        let answer = LinkStatement {
            is_offer: false,
            ..offer
        };
        let turned = LinkStatement {
            from: &to,
            to: &from,
            ..offer
        };
        assert_ne!(offer.bytes(), answer.bytes());
        assert_ne!(offer.bytes(), turned.bytes());
    }

    #[test]
    fn a_description_announces_one_fingerprint_or_none_counts() {
        let line = |byte: &str| format!("a=fingerprint:sha-256 {}\r\n", [byte; 32].join(":"));
        let sdp = format!("v=0\r\n{}m=application 9 x\r\n", line("AB"));
        assert_eq!(fingerprint(&sdp), Some([0xab; 32]));
        assert_eq!(
            fingerprint(&format!("{sdp}{}", line("ab"))),
            Some([0xab; 32])
        );
        assert_eq!(fingerprint(&format!("{sdp}{}", line("CD"))), None);
        assert_eq!(
            fingerprint(&format!("{sdp}a=fingerprint:sha-1 AB\r\n")),
            Some([0xab; 32])
        );
        assert_eq!(fingerprint("v=0\r\n"), None);
        assert_eq!(fingerprint("a=fingerprint:sha-256 AB:CD\r\n"), None);
    }
}

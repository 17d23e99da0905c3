//! The little of STUN (RFC 8489) that the shared socket needs: whom a message is for, and the binding
//! request that asks a server for our outer address. ICE's own checks are the stack's matter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Identifies a request and its response (RFC 8489 section 5).
pub(crate) type TransactionId = [u8; 12];

const HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const REFRESH_SUCCESS: u16 = 0x0104;
const REFRESH_ERROR: u16 = 0x0114;
const ATTRIBUTE_USERNAME: u16 = 0x0006;
const ATTRIBUTE_XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;

/// What a STUN message is, as far as routing goes. Nothing of it is authenticated yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Success,
    Error,
}

/// What a TURN server answered to a wish to keep an address there (RFC 8656 section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    Success,
    Error,
}

impl Refresh {
    /// `None` when the datagram is anything else.
    pub(crate) fn parse(datagram: &[u8]) -> Option<Self> {
        match datagram
            .first_chunk()
            .map(|kind| u16::from_be_bytes(*kind))?
        {
            REFRESH_SUCCESS => Some(Self::Success),
            REFRESH_ERROR => Some(Self::Error),
            _ => None,
        }
    }
}

/// A STUN binding message, borrowed from its datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: Kind,
    pub(crate) transaction: TransactionId,
    attributes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads the header; `None` when the datagram is no STUN binding message.
    pub(crate) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (header, attributes) = datagram.split_at_checked(HEADER_BYTES)?;
        if header[4..8] != MAGIC_COOKIE {
            return None;
        }
        let kind = match u16::from_be_bytes([header[0], header[1]]) {
            BINDING_REQUEST => Kind::Request,
            BINDING_SUCCESS => Kind::Success,
            BINDING_ERROR => Kind::Error,
            _ => return None,
        };
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let transaction = header[8..].try_into().ok()?;
        Some(Self {
            kind,
            transaction,
            attributes: attributes.get(..length)?,
        })
    }

    /// The receiver's half of a check's USERNAME, "receiver:sender" (RFC 8445 section 7.2.2).
    pub(crate) fn receiver_ufrag(&self) -> Option<&'a str> {
        let username = std::str::from_utf8(self.attribute(ATTRIBUTE_USERNAME)?).ok()?;
        username.split(':').next()
    }

    /// The sender's address as the server saw it (RFC 8489 section 14.2).
    pub(crate) fn mapped_address(&self) -> Option<SocketAddr> {
        let value = self.attribute(ATTRIBUTE_XOR_MAPPED_ADDRESS)?;
        let (head, address) = value.split_at_checked(4)?;
        let port = u16::from_be_bytes([head[2] ^ MAGIC_COOKIE[0], head[3] ^ MAGIC_COOKIE[1]]);
        let mut mask = [0; 16];
        mask[..4].copy_from_slice(&MAGIC_COOKIE);
        mask[4..].copy_from_slice(&self.transaction);
        let ip = match head[1] {
            FAMILY_IPV4 => IpAddr::from(Ipv4Addr::from(unmask(address, &mask)?)),
            FAMILY_IPV6 => IpAddr::from(Ipv6Addr::from(unmask(address, &mask)?)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.attributes;
        loop {
            let (head, tail) = rest.split_at_checked(4)?;
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            if u16::from_be_bytes([head[0], head[1]]) == wanted {
                return tail.get(..length);
            }
            rest = tail.get(length.next_multiple_of(4)..)?;
        }
    }
}

fn unmask<const N: usize>(address: &[u8], mask: &[u8; 16]) -> Option<[u8; N]> {
    let address: [u8; N] = address.try_into().ok()?;
    Some(std::array::from_fn(|i| address[i] ^ mask[i]))
}

/// A binding request without attributes, for a server.
pub(crate) fn binding_request(transaction: TransactionId) -> [u8; HEADER_BYTES] {
    let mut request = [0; HEADER_BYTES];
    request[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
    request[4..8].copy_from_slice(&MAGIC_COOKIE);
    request[8..].copy_from_slice(&transaction);
    request
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sample request and responses of RFC 5769, without their integrity attributes.
    fn message(kind: u16, attributes: &[u8]) -> Vec<u8> {
        let mut datagram = kind.to_be_bytes().to_vec();
        datagram.extend((attributes.len() as u16).to_be_bytes());
        datagram.extend(MAGIC_COOKIE);
        datagram.extend([
            0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
        ]);
        datagram.extend(attributes);
        datagram
    }

    #[test]
    fn the_username_of_a_check_names_its_receiver() {
        let datagram = message(1, b"\x00\x06\x00\x09evtj:h6vY\x20\x20\x20");
        let parsed = Message::parse(&datagram).unwrap();
        assert_eq!(parsed.kind, Kind::Request);
        assert_eq!(parsed.receiver_ufrag(), Some("evtj"));
    }

    #[test]
    fn mapped_addresses_of_both_families_are_unmasked() {
        let v4 = message(
            0x101,
            &[0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43],
        );
        let parsed = Message::parse(&v4).unwrap();
        assert_eq!(
            parsed.mapped_address(),
            Some("192.0.2.1:32853".parse().unwrap())
        );
        let v6 = message(
            0x101,
            &[
                0, 0x20, 0, 0x14, 0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79,
                0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
            ],
        );
        let parsed = Message::parse(&v6).unwrap();
        let expected = "[2001:db8:1234:5678:11:2233:4455:6677]:32853"
            .parse()
            .unwrap();
        assert_eq!(parsed.mapped_address(), Some(expected));
    }

    #[test]
    fn a_request_reads_back_as_itself() {
        let request = binding_request([7; 12]);
        let parsed = Message::parse(&request).unwrap();
        assert_eq!((parsed.kind, parsed.transaction), (Kind::Request, [7; 12]));
    }

    proptest! {
        #[test]
        fn no_datagram_makes_the_reader_panic(
            kind in prop_oneof![Just(1u16), Just(0x101), any::<u16>()],
            attributes in proptest::collection::vec(any::<u8>(), 0..64),
            cut in 0usize..90,
        ) {
            let datagram = message(kind, &attributes);
            if let Some(parsed) = Message::parse(&datagram[..cut.min(datagram.len())]) {
                let _ = (parsed.receiver_ufrag(), parsed.mapped_address());
            }
        }
    }
}

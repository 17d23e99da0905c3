//! A TURN and STUN server in virtual time: what RFC 8656 asks of one for UDP, with long-term credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use rtc::crypto::default_provider;
use rtc::stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME};
use rtc::stun::error_code::{
    CODE_ALLOC_MISMATCH, CODE_BAD_REQUEST, CODE_STALE_NONCE, CODE_UNAUTHORIZED, ErrorCode,
    ErrorCodeAttribute,
};
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_INDICATION, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, Getter,
    METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_DATA,
    METHOD_REFRESH, METHOD_SEND, Message, MessageType, Setter, is_stun_message,
};
use rtc::stun::textattrs::TextAttribute;
use rtc::stun::xoraddr::XorMappedAddress;
use rtc::turn::proto::chandata::ChannelData;
use rtc::turn::proto::channum::ChannelNumber;
use rtc::turn::proto::data::Data;
use rtc::turn::proto::lifetime::Lifetime;
use rtc::turn::proto::peeraddr::PeerAddress;
use rtc::turn::proto::relayaddr::RelayedAddress;

const REALM: &str = "test";
const LIFETIME: Duration = Duration::from_secs(600);
const FIRST_RELAYED_PORT: u16 = 50_000;

/// A datagram to send: from, to, contents.
pub(crate) type Flight = (SocketAddr, SocketAddr, Vec<u8>);

/// The server.
pub(crate) struct TurnHost {
    pub(crate) address: SocketAddr,
    user: String,
    password: String,
    /// Grows when the nonce is to age.
    nonce: u32,
    allocations: BTreeMap<SocketAddr, Allocation>,
    next_port: u16,
    /// Datagrams that went between a client and a peer.
    pub(crate) relayed: usize,
}

struct Allocation {
    relayed: SocketAddr,
    permitted: BTreeSet<SocketAddr>,
    channels: BTreeMap<u16, SocketAddr>,
}

impl TurnHost {
    pub(crate) fn new(address: SocketAddr, user: &str, password: &str) -> Self {
        Self {
            address,
            user: user.to_owned(),
            password: password.to_owned(),
            nonce: 1,
            allocations: BTreeMap::new(),
            next_port: FIRST_RELAYED_PORT,
            relayed: 0,
        }
    }

    /// Nonces given out so far are too old from here on.
    pub(crate) fn age_nonces(&mut self) {
        self.nonce += 1;
    }

    /// Forgets everything, as a restart does.
    pub(crate) fn restart(&mut self) {
        self.allocations.clear();
        self.nonce += 1;
    }

    pub(crate) fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// Takes a datagram for the server or for one of the addresses that it relays.
    pub(crate) fn receive(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        contents: &[u8],
    ) -> Vec<Flight> {
        if to != self.address {
            return self
                .relay_to_client(from, to, contents)
                .into_iter()
                .collect();
        }
        if is_stun_message(contents) {
            let mut message = Message::new();
            message.raw = contents.to_vec();
            return match message.decode() {
                Ok(()) => self.message(from, message).into_iter().collect(),
                Err(_) => Vec::new(),
            };
        }
        self.channel_data(from, contents).into_iter().collect()
    }

    fn relay_to_client(
        &mut self,
        peer: SocketAddr,
        relayed: SocketAddr,
        contents: &[u8],
    ) -> Option<Flight> {
        let at = |(_, allocation): &(&SocketAddr, &Allocation)| allocation.relayed == relayed;
        let (client, allocation) = self.allocations.iter().find(at)?;
        // Permissions are for addresses whatever the port (RFC 8656 section 9).
        if !allocation
            .permitted
            .iter()
            .any(|permitted| permitted.ip() == peer.ip())
        {
            return None;
        }
        self.relayed += 1;
        let channel = allocation
            .channels
            .iter()
            .find(|(_, bound)| **bound == peer);
        let raw = match channel {
            Some((number, _)) => {
                let number = ChannelNumber(*number);
                let mut data = ChannelData {
                    number,
                    data: contents.to_vec(),
                    raw: Vec::new(),
                };
                data.encode();
                data.raw
            }
            None => {
                let mut message = Message::new();
                let (ip, port) = (peer.ip(), peer.port());
                message.new_transaction_id().unwrap();
                message
                    .build(&[
                        Box::new(MessageType::new(METHOD_DATA, CLASS_INDICATION)),
                        Box::new(PeerAddress { ip, port }),
                        Box::new(Data(contents.to_vec())),
                    ])
                    .unwrap();
                message.raw
            }
        };
        Some((self.address, *client, raw))
    }

    fn channel_data(&mut self, client: SocketAddr, contents: &[u8]) -> Option<Flight> {
        let mut data = ChannelData {
            raw: contents.to_vec(),
            ..ChannelData::default()
        };
        data.decode().ok()?;
        let allocation = self.allocations.get(&client)?;
        let peer = *allocation.channels.get(&data.number.0)?;
        self.relayed += 1;
        Some((allocation.relayed, peer, data.data))
    }

    fn message(&mut self, from: SocketAddr, mut message: Message) -> Option<Flight> {
        let (method, class) = (message.typ.method, message.typ.class);
        if method == METHOD_SEND && class == CLASS_INDICATION {
            let allocation = self.allocations.get(&from)?;
            let peer = peer_of(&message)?;
            let mut data = Data::default();
            data.get_from(&message).ok()?;
            allocation.permitted.contains(&peer).then_some(())?;
            self.relayed += 1;
            return Some((allocation.relayed, peer, data.0));
        }
        if class != CLASS_REQUEST {
            return None;
        }
        if method == METHOD_BINDING {
            let (ip, port) = (from.ip(), from.port());
            return self.answer(
                from,
                &message,
                vec![Box::new(XorMappedAddress { ip, port })],
            );
        }
        if let Err(code) = self.authenticate(&mut message) {
            return self.refuse(from, &message, code);
        }
        let attributes: Vec<Box<dyn Setter>> = if method == METHOD_ALLOCATE {
            if self.allocations.contains_key(&from) {
                return self.refuse(from, &message, CODE_ALLOC_MISMATCH);
            }
            let relayed = SocketAddr::new(self.address.ip(), self.next_port);
            self.next_port += 1;
            let allocation = Allocation {
                relayed,
                permitted: BTreeSet::new(),
                channels: BTreeMap::new(),
            };
            self.allocations.insert(from, allocation);
            let (ip, port) = (relayed.ip(), relayed.port());
            vec![
                Box::new(RelayedAddress { ip, port }),
                Box::new(Lifetime(LIFETIME)),
            ]
        } else {
            let Some(allocation) = self.allocations.get_mut(&from) else {
                return self.refuse(from, &message, CODE_ALLOC_MISMATCH);
            };
            if method == METHOD_REFRESH {
                let mut lifetime = Lifetime::default();
                lifetime.get_from(&message).ok()?;
                if lifetime.0.is_zero() {
                    self.allocations.remove(&from);
                }
                vec![Box::new(lifetime)]
            } else if method == METHOD_CREATE_PERMISSION {
                allocation.permitted.insert(peer_of(&message)?);
                Vec::new()
            } else if method == METHOD_CHANNEL_BIND {
                let mut number = ChannelNumber(0);
                number.get_from(&message).ok()?;
                let peer = peer_of(&message)?;
                // One number for a peer, as long as the binding lasts (RFC 8656 section 12.2).
                if allocation
                    .channels
                    .iter()
                    .any(|(n, p)| (*n == number.0) != (*p == peer))
                {
                    return self.refuse(from, &message, CODE_BAD_REQUEST);
                }
                allocation.channels.insert(number.0, peer);
                Vec::new()
            } else {
                return None;
            }
        };
        self.answer(from, &message, attributes)
    }

    /// Whether the request is signed by our one user, under the present nonce.
    fn authenticate(&self, message: &mut Message) -> Result<(), ErrorCode> {
        let text = |attribute| TextAttribute::get_from_as(message, attribute).map(|text| text.text);
        let (Ok(user), Ok(nonce)) = (text(ATTR_USERNAME), text(ATTR_NONCE)) else {
            return Err(CODE_UNAUTHORIZED);
        };
        let provider = default_provider().unwrap();
        let crypto = provider.crypto();
        let (realm, password) = (REALM.to_owned(), self.password.clone());
        let key = MessageIntegrity::long_term_integrity_key(user.clone(), realm, password, crypto);
        let signed = MessageIntegrity::check(message, &key.unwrap(), crypto);
        if user != self.user || signed.is_err() {
            return Err(CODE_UNAUTHORIZED);
        }
        match nonce == self.nonce.to_string() {
            true => Ok(()),
            false => Err(CODE_STALE_NONCE),
        }
    }

    fn answer(
        &self,
        to: SocketAddr,
        request: &Message,
        attributes: Vec<Box<dyn Setter>>,
    ) -> Option<Flight> {
        let kind = MessageType::new(request.typ.method, CLASS_SUCCESS_RESPONSE);
        self.respond(to, request, kind, attributes)
    }

    fn refuse(&self, to: SocketAddr, request: &Message, code: ErrorCode) -> Option<Flight> {
        let kind = MessageType::new(request.typ.method, CLASS_ERROR_RESPONSE);
        let attributes: Vec<Box<dyn Setter>> = vec![
            Box::new(ErrorCodeAttribute {
                code,
                reason: b"refused".to_vec(),
            }),
            Box::new(TextAttribute::new(ATTR_REALM, REALM.to_owned())),
            Box::new(TextAttribute::new(ATTR_NONCE, self.nonce.to_string())),
        ];
        self.respond(to, request, kind, attributes)
    }

    fn respond(
        &self,
        to: SocketAddr,
        request: &Message,
        kind: MessageType,
        attributes: Vec<Box<dyn Setter>>,
    ) -> Option<Flight> {
        let mut response = Message::new();
        let mut setters: Vec<Box<dyn Setter>> =
            vec![Box::new(request.transaction_id), Box::new(kind)];
        setters.extend(attributes);
        response.build(&setters).unwrap();
        Some((self.address, to, response.raw))
    }
}

fn peer_of(message: &Message) -> Option<SocketAddr> {
    let mut peer = PeerAddress::default();
    peer.get_from(message).ok()?;
    Some(SocketAddr::new(peer.ip, peer.port))
}

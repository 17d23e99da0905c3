//! How the stack's connections are set up: what all links share, and its defaults that bite.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::crypto::{RTCCryptoProvider, SignatureScheme, default_provider};
use rtc::dtls::cipher_suite::CipherSuiteId;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::setting_engine::{
    SctpMaxMessageSize, SettingEngine, SettingEngineBuilder,
};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::shared::error::Error as StackError;

use crate::link::{SCTP_RECEIVE_BUFFER_BYTES, init};
use crate::stun::TransactionId;
use crate::{Config, Fingerprint, MAX_RECEIVE_BYTES, OPEN_LIMIT, SetupError};
use seamesh_sdp::Candidate;
use seamesh_sdp::parse_fingerprint;

/// Between rounds of ICE checks. The stack's 200 ms would be most of the time that a link takes to open.
const ICE_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Checks per pair before it is given up. Checks start when the description is there, and the peer may
/// get ours later by a round trip through signaling: enough for [`OPEN_LIMIT`].
const ICE_MAX_CHECKS: u16 = (OPEN_LIMIT.as_millis() / ICE_CHECK_INTERVAL.as_millis()) as u16;

/// A consent check goes out this often (RFC 7675 section 5.1 asks for 5 s at most).
const CONSENT_INTERVAL: Duration = Duration::from_secs(1);

/// Before a pair through a relay is taken, though it works: a direct one may only be slower to show.
const RELAY_PATIENCE: Duration = Duration::from_millis(500);

/// Before a pair of a server-reflexive candidate is taken, though it works.
const REFLEXIVE_PATIENCE: Duration = Duration::from_millis(100);

/// SCTP packet, in bytes: with the 37 of DTLS and 48 of UDP and IPv6 under the 1,280 that every path carries.
const SCTP_MTU_BYTES: u32 = 1_188;

/// The same where every address is of the loopback interface: what still fits the 8 KiB that older stacks read at once.
/// A sixth of the packets means a fraction of the work.
const LOOPBACK_SCTP_MTU_BYTES: u32 = 8_000;

/// What the links of one transport have in common.
pub(crate) struct Stack {
    crypto: Arc<dyn RTCCryptoProvider>,
    certificate: RTCCertificate,
    fingerprint: Fingerprint,
    hosts: Vec<Candidate>,
    max_receive_bytes: u32,
    hosts_in_description: bool,
    relay_only: bool,
    sctp_mtu_bytes: u32,
    origin: Instant,
}

impl Stack {
    pub(crate) fn new(config: &Config, now: Instant) -> Result<Self, SetupError> {
        let failed = |error: &dyn std::fmt::Display| SetupError::Certificate(error.to_string());
        let crypto = default_provider().map_err(|error| failed(&error))?;
        let params = CertificateParams::new(vec!["seamesh".to_owned()]);
        let certificate = RTCCertificate::generate(
            crypto.crypto(),
            SignatureScheme::EcdsaP256Sha256,
            params.map_err(|error| failed(&error))?,
        );
        let certificate = certificate.map_err(|error| failed(&error))?;
        let fingerprint = certificate
            .get_fingerprints(crypto.crypto())
            .map_err(|error| failed(&error))?
            .iter()
            .find_map(|fingerprint| parse_fingerprint(&fingerprint.value))
            .ok_or_else(|| failed(&"no SHA-256 fingerprint"))?;
        let addresses = config.local_addresses.iter().enumerate();
        let is_local = config.local_addresses.iter().all(|a| a.ip().is_loopback());
        Ok(Self {
            crypto,
            certificate,
            fingerprint,
            hosts: addresses
                .map(|(rank, address)| Candidate::host(*address, rank))
                .collect(),
            max_receive_bytes: config.max_receive_bytes.clamp(1, MAX_RECEIVE_BYTES),
            hosts_in_description: !config.trickle_hosts && !config.relay_only,
            relay_only: config.relay_only,
            sctp_mtu_bytes: match is_local {
                true => LOOPBACK_SCTP_MTU_BYTES,
                false => SCTP_MTU_BYTES,
            },
            origin: now,
        })
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Largest message received, in bytes.
    pub(crate) fn max_receive_bytes(&self) -> u32 {
        self.max_receive_bytes
    }

    /// The instant that the beat of quiet links is counted from.
    pub(crate) fn origin(&self) -> Instant {
        self.origin
    }

    /// Host candidates that are still to be signaled, since descriptions do not carry them.
    pub(crate) fn trickled_hosts(&self) -> &[Candidate] {
        if self.hosts_in_description || self.relay_only {
            &[]
        } else {
            &self.hosts
        }
    }

    /// A fresh connection that presents our certificate and knows our addresses.
    pub(crate) fn connection(&self, now: Instant) -> Result<RTCPeerConnection, StackError> {
        let configuration = RTCConfigurationBuilder::new()
            .with_certificates(vec![self.certificate.clone()])
            .build();
        let mut pc = RTCPeerConnectionBuilder::new()
            .with_configuration(configuration)
            .with_setting_engine(self.settings())
            .build(now)?;
        if self.hosts_in_description {
            for host in &self.hosts {
                pc.add_local_candidate(init(host))?;
            }
        }
        Ok(pc)
    }

    fn settings(&self) -> SettingEngine {
        // Consent is watched here, from when the peer was heard; the stack's own limit only ends the checking.
        let (disconnected, failed) = (OPEN_LIMIT / 3, OPEN_LIMIT * 2 / 3);
        SettingEngineBuilder::new()
            .with_crypto_provider(self.crypto.clone())
            .with_ice_timeouts(Some(disconnected), Some(failed), Some(CONSENT_INTERVAL))
            .with_ice_connection_attempts(Some(ICE_CHECK_INTERVAL), Some(ICE_MAX_CHECKS))
            .with_host_acceptance_min_wait(Some(Duration::ZERO))
            .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
            .with_srflx_acceptance_min_wait(Some(REFLEXIVE_PATIENCE))
            .with_relay_acceptance_min_wait(Some(match self.relay_only {
                true => Duration::ZERO,
                false => RELAY_PATIENCE,
            }))
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            // Suites that our ECDSA certificate can serve: with others a peer's choice could stall the handshake.
            .with_dtls_cipher_suites(vec![
                CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
                CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
                CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_256_Cbc_Sha,
            ])
            .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(self.max_receive_bytes))
            .with_sctp_max_receive_buffer_size(SCTP_RECEIVE_BUFFER_BYTES)
            .with_sctp_mtu(self.sctp_mtu_bytes)
            .build()
    }

    /// Our candidate for an outer address, if we have an inner one of its family to be the base.
    pub(crate) fn reflexive(&self, outer: SocketAddr) -> Option<Candidate> {
        let base = self.base_for(outer)?;
        (base != outer && !self.relay_only).then(|| Candidate::server_reflexive(outer, base))
    }

    /// Our candidate for an address on a TURN server.
    pub(crate) fn relayed(&self, relayed: SocketAddr) -> Candidate {
        let hidden = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let base = self.base_for(relayed).filter(|_| !self.relay_only);
        Candidate::relayed(relayed, base.unwrap_or(hidden))
    }

    /// What the stack's cryptography is made of.
    pub(crate) fn crypto(&self) -> Arc<dyn RTCCryptoProvider> {
        self.crypto.clone()
    }

    /// Our best address to reach `remote` from.
    pub(crate) fn base_for(&self, remote: SocketAddr) -> Option<SocketAddr> {
        let mut addresses = self.hosts.iter().map(Candidate::address);
        addresses.find(|address| address.is_ipv4() == remote.is_ipv4())
    }

    /// A fresh STUN transaction id.
    pub(crate) fn transaction(&self) -> TransactionId {
        let mut id = [0; 12];
        if let Err(error) = self.crypto.random().fill(&mut id) {
            tracing::warn!(%error, "no randomness for a STUN request");
        }
        id
    }

    /// The local candidate address that a datagram sent to `local` counts for: itself when it is one
    /// of ours, else the first of its family (an address that appeared after the start).
    pub(crate) fn known_local(&self, local: SocketAddr) -> SocketAddr {
        if self.hosts.iter().any(|host| host.address() == local) {
            return local;
        }
        self.base_for(local).unwrap_or(local)
    }
}

//! Whom a sidecar links with: the rules of identity. The shell brings the key and the cryptography.
//!
//! A description with an identity counts only if the mesh's root key vouches for the sender's key, the sender's key for
//! the DTLS fingerprint in it, and the sender has not shown a key of a newer certificate before. One without an identity
//! counts only where the operator switched that on, and never from a peer that has shown one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use seamesh_proto::identity::{
    Certificate, LinkIdentity, LinkStatement, PublicKey, Signature, fingerprint,
};
use seamesh_proto::signaling::Description;
use seamesh_proto::{Code, PeerId, Problem};

use crate::DescriptionKind;

/// Ed25519 (RFC 8032), as the shell has it.
pub trait Keys: fmt::Debug + Send + Sync {
    /// Signs with this sidecar's own key.
    fn sign(&self, statement: &[u8]) -> Signature;

    /// Whether `key` signed the statement.
    fn verify(&self, key: &PublicKey, statement: &[u8], signature: &Signature) -> bool;
}

/// A sidecar's own identity.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The mesh's root key, as the invite told it.
    pub root: PublicKey,
    /// What the root key says of this sidecar's key.
    pub certificate: Certificate,
    /// The key itself.
    pub keys: Arc<dyn Keys>,
}

/// Whom a sidecar trusts, and as whom it appears.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Its own identity, and with it the root key that others must show.
    pub identity: Option<Identity>,
    /// Links with peers that show no identity: only the registry's word stands for them.
    pub allow_unidentified: bool,
}

/// The rules at work: what is trusted, and what peers have shown.
#[derive(Debug)]
pub(crate) struct Judge {
    trust: Trust,
    /// Keys of peers that were linked, each with the serial of its certificate.
    pins: BTreeMap<PeerId, (PublicKey, u64)>,
}

impl Judge {
    pub(crate) fn new(trust: Trust) -> Self {
        let pins = BTreeMap::new();
        Self { trust, pins }
    }

    /// Our identity for a description of ours; `None` without one, or where the description announces no fingerprint.
    pub(crate) fn sign(
        &self,
        kind: DescriptionKind,
        me: &PeerId,
        to: &PeerId,
        description: &Description,
    ) -> Option<LinkIdentity> {
        let own = self.trust.identity.as_ref()?;
        let fingerprint = fingerprint(&description.sdp)?;
        let statement = statement(kind, me, to, description, &fingerprint);
        Some(LinkIdentity {
            certificate: own.certificate.clone(),
            signature: own.keys.sign(&statement),
        })
    }

    /// Whether a peer's description may become a link, and if so, whether its identity was checked (`true`).
    ///
    /// # Errors
    /// `identity_required`, `identity_invalid`, `identity_changed`.
    pub(crate) fn check(
        &mut self,
        kind: DescriptionKind,
        from: &PeerId,
        me: &PeerId,
        description: &Description,
    ) -> Result<bool, Problem> {
        match (&self.trust.identity, &description.identity) {
            (Some(own), Some(shown)) => {
                check_shown(own, self.pins.get(from), kind, from, me, description, shown)?;
                let pin = (shown.certificate.key, shown.certificate.serial);
                self.pins.insert(from.clone(), pin);
                Ok(true)
            }
            (_, None) if self.pins.contains_key(from) => {
                let detail = format!("{from} had an identity before and shows none now");
                Err(Problem::new(Code::IdentityChanged, detail))
            }
            _ if self.trust.allow_unidentified => Ok(false),
            (None, _) => {
                let detail = "this sidecar has no identity to check others by: join with `seamesh pair`, or start it with \
                              --allow-unidentified";
                Err(Problem::new(Code::IdentityRequired, detail))
            }
            (Some(_), None) => {
                let detail = format!(
                    "{from} shows no identity; pair it, or start both sidecars with --allow-unidentified"
                );
                Err(Problem::new(Code::IdentityRequired, detail))
            }
        }
    }
}

fn check_shown(
    own: &Identity,
    pin: Option<&(PublicKey, u64)>,
    kind: DescriptionKind,
    from: &PeerId,
    me: &PeerId,
    description: &Description,
    shown: &LinkIdentity,
) -> Result<(), Problem> {
    let certificate = &shown.certificate;
    let invalid = |detail: String| Err(Problem::new(Code::IdentityInvalid, detail));
    if certificate.peer_id != *from {
        return invalid(format!(
            "{from} shows the certificate of {}",
            certificate.peer_id
        ));
    }
    let said = certificate.said();
    if !own.keys.verify(&own.root, &said, &certificate.signature) {
        return invalid(format!(
            "the key of {from} is not signed by this mesh's root key"
        ));
    }
    if let Some((key, serial)) = pin
        && *key != certificate.key
        && *serial >= certificate.serial
    {
        let detail = format!("{from} shows another key than before, and no newer approval of it");
        return Err(Problem::new(Code::IdentityChanged, detail));
    }
    let Some(fingerprint) = fingerprint(&description.sdp) else {
        return invalid(format!("{from} announces no single SHA-256 fingerprint"));
    };
    let statement = statement(kind, from, me, description, &fingerprint);
    if !own
        .keys
        .verify(&certificate.key, &statement, &shown.signature)
    {
        return invalid(format!(
            "the DTLS fingerprint is not signed by {from}: something between us changed it"
        ));
    }
    Ok(())
}

fn statement(
    kind: DescriptionKind,
    from: &PeerId,
    to: &PeerId,
    description: &Description,
    fingerprint: &[u8; 32],
) -> Vec<u8> {
    let statement = LinkStatement {
        is_offer: kind == DescriptionKind::Offer,
        from,
        to,
        link: description.link.as_deref().unwrap_or_default(),
        fingerprint,
    };
    statement.bytes()
}

//! The mesh's root key: what it says of a peer's key is what other peers believe.

use seamesh_identity::{SecretKey, is_signed_by, root_check};
use seamesh_proto::identity::{Certificate, PublicKey};
use seamesh_proto::invite::{Invite, characters};
use seamesh_proto::{Code, Now, PeerId, Problem};

use crate::secret;

/// The key, or its public half where the key itself is kept elsewhere.
pub(crate) struct Root {
    public: PublicKey,
    key: Option<SecretKey>,
}

impl Root {
    /// A root key that this registry has.
    pub(crate) fn here(key: SecretKey) -> Self {
        Self {
            public: key.public(),
            key: Some(key),
        }
    }

    /// A root key that somebody else has.
    pub(crate) fn elsewhere(public: PublicKey) -> Self {
        Self { public, key: None }
    }

    /// What the mesh's members know.
    pub(crate) fn public(&self) -> PublicKey {
        self.public
    }

    /// Whether this registry can sign.
    pub(crate) fn is_here(&self) -> bool {
        self.key.is_some()
    }

    /// Signs a peer's key; `None` where the root key is kept elsewhere.
    pub(crate) fn certify(&self, peer: &PeerId, key: PublicKey, now: Now) -> Option<Certificate> {
        Some(self.key.as_ref()?.certify(peer, key, now.0))
    }

    /// # Errors
    /// `identity_invalid` for a certificate that the root key did not sign.
    pub(crate) fn check(&self, certificate: &Certificate) -> Result<(), Problem> {
        if is_signed_by(&self.public, certificate) {
            return Ok(());
        }
        let detail = "certificate: not signed by this mesh's root key";
        Err(Problem::new(Code::IdentityInvalid, detail))
    }

    /// A new code, which names this root key.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub(crate) fn code(&self) -> Result<Invite, getrandom::Error> {
        let [a, b, c, d, e, f, g, h, ..] = secret::random_bytes()?;
        let secret = characters(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        let root_check = root_check(&secret, &self.public);
        Ok(Invite::Code { secret, root_check })
    }

    /// A new join token, which carries this root key.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub(crate) fn join_token(&self) -> Result<Invite, getrandom::Error> {
        let secret = seamesh_identity::random_secret("jt_")?;
        let root = self.public;
        Ok(Invite::JoinToken { secret, root })
    }
}

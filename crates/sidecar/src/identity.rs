//! The sidecar's identity, from its file into the core.

use std::sync::Arc;

use seamesh_identity::{IdentityFile, SecretKey};
use seamesh_proto::identity::{PublicKey, Signature};
use seamesh_sidecar_core::{Identity, Keys, Trust};

use crate::{Options, RunError};

/// The key of one sidecar.
#[derive(Debug)]
struct OwnKey(SecretKey);

impl Keys for OwnKey {
    fn sign(&self, statement: &[u8]) -> Signature {
        self.0.sign(statement)
    }

    fn verify(&self, key: &PublicKey, statement: &[u8], signature: &Signature) -> bool {
        seamesh_identity::verify(key, statement, signature)
    }
}

/// Whom this sidecar trusts.
///
/// # Errors
/// [`RunError::Identity`].
pub(crate) fn trust(options: &Options) -> Result<Trust, RunError> {
    let identity = match &options.identity {
        Some(path) => {
            let file = IdentityFile::open(path)?;
            let membership = file.membership(&options.registry.to_string()).cloned();
            let approved = membership.and_then(|m| Some((m.root, m.certificate?)));
            if approved.is_none() {
                tracing::warn!(
                    "the identity is not approved in this mesh; join with `seamesh pair`"
                );
            }
            approved.map(|(root, certificate)| Identity {
                root,
                certificate,
                keys: Arc::new(OwnKey(file.into_key())),
            })
        }
        None => None,
    };
    if identity.is_none() && !options.allow_unidentified {
        tracing::warn!(
            "no identity: this sidecar links with nobody and all work goes through the queue; join with `seamesh pair`, \
             or start it and its peers with --allow-unidentified"
        );
    }
    Ok(Trust {
        identity,
        allow_unidentified: options.allow_unidentified,
    })
}

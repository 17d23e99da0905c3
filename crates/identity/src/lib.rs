//! Ed25519 keys (RFC 8032) of peers and of a mesh's root, with the crypto stack that the rest uses (ring).
//!
//! What is signed stands in [`seamesh_proto::identity`]. Here are the keys: made, kept in a file of their owner alone,
//! signing; and the check of a signature. [`token`] has the access tokens, which are signed with a secret.

mod audit;
mod file;
pub mod token;

use std::fmt;
use std::num::NonZeroU32;

use ring::digest;
use ring::pbkdf2;
use ring::signature::{self, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use seamesh_proto::PeerId;
use seamesh_proto::identity::{Certificate, PublicKey, Signature};
use seamesh_proto::invite::{Invite, characters};

pub use audit::{Chain, ChainError};
pub use file::{FileError, IdentityFile, Membership, read_seed};

/// Rounds of the hash by which a code names the root key: with its 60 bits, some 2^77 steps to find another root key
/// that fits, and some 50 ms for whoever types a code.
const ROOT_CHECK_ROUNDS: u32 = 100_000;

/// A private key. Never printed.
pub struct SecretKey {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl SecretKey {
    /// A new key.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self::from_seed(seed))
    }

    /// The key of a seed (RFC 8032, section 5.1.5).
    pub fn from_seed(seed: [u8; 32]) -> Self {
        // Every 32 bytes are a seed.
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes are a seed");
        Self { seed, pair }
    }

    /// What others know it by.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs a statement.
    pub fn sign(&self, statement: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(statement).as_ref());
        Signature(bytes)
    }

    /// As a mesh's root key: says that `key` is the peer's. `serial` is the time, Unix milliseconds.
    pub fn certify(&self, peer_id: &PeerId, key: PublicKey, serial: u64) -> Certificate {
        let signature = self.sign(&Certificate::statement(peer_id, &key, serial));
        Certificate {
            peer_id: peer_id.clone(),
            key,
            serial,
            signature,
        }
    }

    /// The seed, as it is kept in a file.
    pub fn seed_text(&self) -> String {
        PublicKey(self.seed).to_string()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// Whether `key` signed the statement.
pub fn verify(key: &PublicKey, statement: &[u8], signature: &Signature) -> bool {
    let key = UnparsedPublicKey::new(&signature::ED25519, &key.0);
    key.verify(statement, &signature.0).is_ok()
}

/// Whether the root key says what the certificate says.
pub fn is_signed_by(root: &PublicKey, certificate: &Certificate) -> bool {
    verify(root, &certificate.said(), &certificate.signature)
}

/// The twelve characters by which an invite with this secret names the root key.
pub fn root_check(secret: &str, root: &PublicKey) -> String {
    let mut bits = [0; 8];
    let rounds = NonZeroU32::new(ROOT_CHECK_ROUNDS).unwrap_or(NonZeroU32::MIN);
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(algorithm, rounds, secret.as_bytes(), &root.0, &mut bits);
    characters(u64::from_be_bytes(bits))
}

/// Whether this is the root key that the invite names. An invite of which only the secret half was typed names none.
pub fn names_root(invite: &Invite, root: &PublicKey) -> bool {
    match invite {
        Invite::JoinToken { root: named, .. } => named == root,
        Invite::Code {
            secret,
            root_check: named,
        } => *named == root_check(secret, root),
    }
}

/// A new secret: 256 bits, as text behind `prefix`.
///
/// # Errors
/// When the system has no randomness to give.
pub fn random_secret(prefix: &str) -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{prefix}{}", PublicKey(bytes)))
}

/// SHA-256 of a text, as 64 hexadecimal digits.
pub fn digest(text: &str) -> String {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    PublicKey(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> PeerId {
        "p-1".parse().unwrap()
    }

    /// RFC 8032, section 7.1, test 1: the keys are Ed25519's, so that other tools can check what is signed here.
    #[test]
    fn keys_and_signatures_are_those_of_the_standard() {
        let seed: PublicKey = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
            .parse()
            .unwrap();
        let key = SecretKey::from_seed(seed.0);
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(key.public().to_string(), public);
        let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        assert_eq!(key.sign(b"").to_string(), signature);
        assert!(verify(&key.public(), b"", &key.sign(b"")));
    }

    #[test]
    fn a_certificate_holds_for_its_peer_key_and_serial_and_no_other() {
        let root = SecretKey::generate().unwrap();
        let key = SecretKey::generate().unwrap().public();
        let good = root.certify(&peer(), key, 7);
        assert!(is_signed_by(&root.public(), &good));
        let other_key = SecretKey::generate().unwrap().public();
        let mut forged = [good.clone(), good.clone(), good.clone()];
        forged[0].serial += 1;
        forged[1].peer_id = "p-2".parse().unwrap();
        forged[2].key = other_key;
        assert!(forged.iter().all(|c| !is_signed_by(&root.public(), c)));
        assert!(!is_signed_by(&other_key, &good));
    }

    #[test]
    fn an_invite_names_one_root_key() {
        let root = SecretKey::from_seed([1; 32]).public();
        let other = SecretKey::from_seed([2; 32]).public();
        let secret = characters(99);
        let root_check = root_check(&secret, &root);
        let code = Invite::Code { secret, root_check };
        assert!(names_root(&code, &root) && !names_root(&code, &other));
        let token = Invite::JoinToken {
            secret: "jt_x".into(),
            root,
        };
        assert!(names_root(&token, &root) && !names_root(&token, &other));
        let half: Invite = characters(99).parse().unwrap();
        assert!(!names_root(&half, &root));
    }

    #[test]
    fn a_secret_key_is_never_printed() {
        let key = SecretKey::from_seed([5; 32]);
        assert!(!format!("{key:?}").contains(&key.seed_text()));
    }
}

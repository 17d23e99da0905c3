//! Random secrets and what is kept of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

/// What is stored of a secret: its SHA-256. A secret of 256 random bits needs no salt and no stretching.
pub(crate) type SecretHash = [u8; 32];

/// 256 random bits from the system.
///
/// # Errors
/// When the system has no randomness to give.
pub(crate) fn random_bytes() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A fresh secret of 256 bits as URL-safe text behind `prefix`, which tells a reader of a log what leaked.
///
/// # Errors
/// When the system has no randomness to give.
pub(crate) fn random_text(prefix: &str) -> Result<String, getrandom::Error> {
    Ok(format!(
        "{prefix}{}",
        URL_SAFE_NO_PAD.encode(random_bytes()?)
    ))
}

/// The hash under which a secret is known.
pub(crate) fn hash(secret: &str) -> SecretHash {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    out
}

/// The first 48 bits of a hash as hex: enough to name a key in a list, useless for guessing it.
pub(crate) fn short_name(hash: &SecretHash) -> String {
    hash[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_carry_their_prefix() {
        let (one, two) = (random_text("ak_").unwrap(), random_text("ak_").unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with("ak_") && one.len() == 3 + 43);
    }

    /// FIPS 180-4's example: the hash is SHA-256, so that a stored key outlives this code.
    #[test]
    fn the_hash_is_sha_256() {
        assert_eq!(short_name(&hash("abc")), "ba7816bf8f01");
    }
}

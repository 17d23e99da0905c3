//! Access tokens: JSON Web Tokens (RFC 7519) in the compact serialisation of JWS (RFC 7515), signed with HS256
//! (RFC 7518, section 3.2) and nothing else.
//!
//! A token is checked in this order: three parts, header, signature, claims, expiry. The header's `alg` must be
//! `HS256` before any key is touched, so `none` and asymmetric confusion (RFC 8725, section 3.1) end there.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use seamesh_proto::PeerId;
use seamesh_proto::limits::{TOKEN_LEEWAY_S, TOKEN_TTL_S};
use seamesh_proto::rest::Role;
use serde::{Deserialize, Serialize};

/// Longest token that is looked at, in bytes. Ours are under 400; a longer one is refused before it is decoded.
const MAX_TOKEN_BYTES: usize = 4096;

/// The protected header of every token made here, already encoded.
const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

/// Why a token is refused. The caller is told only that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three base64url parts of JSON.
    #[error("not a JWT")]
    Malformed,
    /// Signed in another way than HS256, or not at all.
    #[error("the algorithm is not HS256")]
    Algorithm,
    /// Not signed with this registry's secret.
    #[error("the signature is not this registry's")]
    Signature,
    /// Its time is over.
    #[error("expired")]
    Expired,
}

/// What a token says (RFC 7519, section 4.1), with one private claim: the credential it was made from, so that
/// revoking that credential ends its tokens too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenClaims {
    /// The peer it names.
    pub sub: PeerId,
    /// What it may do.
    pub role: Role,
    /// Issued at, Unix seconds.
    pub iat: u64,
    /// Expires at, Unix seconds.
    pub exp: u64,
    /// Id of the credential it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cred: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that must be understood (RFC 7515, section 4.1.11). None are.
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// Makes and checks tokens under one secret, and for a while under the one before.
pub struct TokenSigner {
    keys: RwLock<Keys>,
}

struct Keys {
    now: hmac::Key,
    /// The key before, and until when its tokens are taken, Unix seconds.
    before: Option<(hmac::Key, u64)>,
}

impl TokenSigner {
    /// A signer over a secret of any length; the data directory keeps one of 256 bits.
    pub fn new(secret: &[u8]) -> Self {
        Self {
            keys: RwLock::new(Keys {
                now: hmac::Key::new(hmac::HMAC_SHA256, secret),
                before: None,
            }),
        }
    }

    /// Signs with another secret from now on. Tokens of the old one are taken until the last of them expires; those of
    /// an older one no more.
    pub fn rotate(&self, secret: &[u8], now_s: u64) {
        let new = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut keys.now, new);
        keys.before = Some((old, now_s + TOKEN_TTL_S + TOKEN_LEEWAY_S));
    }

    // No panic can happen while the lock is held.
    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token for `peer`, good for [`TOKEN_TTL_S`] seconds from `now_s` (Unix seconds).
    pub fn issue(&self, peer: &PeerId, role: Role, credential: &str, now_s: u64) -> String {
        self.sign(&TokenClaims {
            sub: peer.clone(),
            role,
            iat: now_s,
            exp: now_s + TOKEN_TTL_S,
            cred: Some(credential.to_owned()),
        })
    }

    /// Signs any claims.
    pub fn sign(&self, claims: &TokenClaims) -> String {
        // Our own claims serialise into memory without failing.
        let body = serde_json::to_vec(claims).expect("claims serialise");
        let mut token = URL_SAFE_NO_PAD.encode(HEADER);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(body, &mut token);
        let tag = hmac::sign(&self.keys().now, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag.as_ref(), &mut token);
        token
    }

    /// The claims of a good token.
    ///
    /// # Errors
    /// [`TokenError`]; expiry tolerates [`TOKEN_LEEWAY_S`] seconds.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<TokenClaims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let (signed, tag) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, body) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = decode_json(header)?;
        if header.alg != "HS256" || header.crit.is_some() {
            return Err(TokenError::Algorithm);
        }
        let tag = decode(tag)?;
        let keys = self.keys();
        let old = keys.before.as_ref().filter(|(_, until)| now_s < *until);
        let mut good = [Some(&keys.now), old.map(|(key, _)| key)]
            .into_iter()
            .flatten();
        if !good.any(|key| hmac::verify(key, signed.as_bytes(), &tag).is_ok()) {
            return Err(TokenError::Signature);
        }
        let claims: TokenClaims = decode_json(body)?;
        if claims.exp.saturating_add(TOKEN_LEEWAY_S) <= now_s {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed)
}

fn decode_json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    // A parser that skips a member does not look whether it is text (RFC 8259, section 8.1).
    let text = String::from_utf8(decode(part)?).map_err(|_| TokenError::Malformed)?;
    serde_json::from_str(&text).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn peer() -> PeerId {
        "p-1".parse().unwrap()
    }

    fn unsigned(header: &str, signer: &TokenSigner) -> String {
        let good = signer.issue(&peer(), Role::Admin, "k", NOW);
        let body = good.split('.').nth(1).unwrap().to_owned();
        format!("{}.{body}", URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn a_header_that_is_no_text_is_refused_though_its_signature_is_good() {
        let signer = TokenSigner::new(b"secret");
        let good = signer.issue(&peer(), Role::Agent, "k", NOW);
        let body = good.split('.').nth(1).unwrap();
        let header = URL_SAFE_NO_PAD.encode(b"{\"alg\":\"HS256\",\"typ\":\"\xff\"}");
        let signed = format!("{header}.{body}");
        let tag = hmac::sign(&signer.keys().now, signed.as_bytes());
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
        assert_eq!(signer.verify(&token, NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn a_fresh_token_names_its_peer_and_role() {
        let signer = TokenSigner::new(b"secret");
        let token = signer.issue(&peer(), Role::Agent, "k-1", NOW);
        let claims = signer.verify(&token, NOW).unwrap();
        assert_eq!(
            (claims.sub, claims.role, claims.iat, claims.exp, claims.cred),
            (
                peer(),
                Role::Agent,
                NOW,
                NOW + TOKEN_TTL_S,
                Some("k-1".into())
            )
        );
    }

    #[test]
    fn a_token_lives_until_its_expiry_and_leeway_and_no_longer() {
        let signer = TokenSigner::new(b"secret");
        let token = signer.issue(&peer(), Role::Agent, "k-1", NOW);
        let last = NOW + TOKEN_TTL_S + TOKEN_LEEWAY_S - 1;
        assert!(signer.verify(&token, last).is_ok());
        assert_eq!(signer.verify(&token, last + 1), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_of_the_key_before_is_taken_until_it_expires_and_one_of_an_older_key_is_not() {
        let signer = TokenSigner::new(b"first");
        let first = signer.issue(&peer(), Role::Agent, "k", NOW);
        signer.rotate(b"second", NOW);
        let second = signer.issue(&peer(), Role::Agent, "k", NOW);
        assert!(signer.verify(&first, NOW).is_ok());
        assert!(signer.verify(&second, NOW).is_ok());
        // A token that claims a longer life does not make its key's longer.
        let long = TokenSigner::new(b"first");
        let claims = TokenClaims {
            exp: NOW + 9_999_999,
            ..signer.verify(&first, NOW).unwrap()
        };
        let end = NOW + TOKEN_TTL_S + TOKEN_LEEWAY_S;
        let refused = signer.verify(&long.sign(&claims), end);
        assert_eq!(refused, Err(TokenError::Signature));
        signer.rotate(b"third", NOW);
        assert_eq!(signer.verify(&first, NOW), Err(TokenError::Signature));
        assert!(signer.verify(&second, NOW).is_ok());
    }

    #[test]
    fn a_foreign_secret_is_refused() {
        let token = TokenSigner::new(b"theirs").issue(&peer(), Role::Admin, "k", NOW);
        assert_eq!(
            TokenSigner::new(b"ours").verify(&token, NOW),
            Err(TokenError::Signature)
        );
    }

    #[test]
    fn alg_none_is_refused_with_and_without_a_signature() {
        let signer = TokenSigner::new(b"secret");
        let bare = unsigned(r#"{"alg":"none"}"#, &signer);
        assert_eq!(
            signer.verify(&format!("{bare}."), NOW),
            Err(TokenError::Algorithm)
        );
        let tag = hmac::sign(&signer.keys().now, bare.as_bytes());
        let signed = format!("{bare}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
        assert_eq!(signer.verify(&signed, NOW), Err(TokenError::Algorithm));
    }

    #[test]
    fn an_unknown_critical_extension_is_refused() {
        let signer = TokenSigner::new(b"secret");
        let bare = unsigned(r#"{"alg":"HS256","crit":["b64"]}"#, &signer);
        let tag = hmac::sign(&signer.keys().now, bare.as_bytes());
        let signed = format!("{bare}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
        assert_eq!(signer.verify(&signed, NOW), Err(TokenError::Algorithm));
    }

    #[test]
    fn a_changed_byte_anywhere_is_refused() {
        let signer = TokenSigner::new(b"secret");
        let token = signer.issue(&peer(), Role::Agent, "k-1", NOW);
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(signer.verify(&changed, NOW).is_err(), "byte {at}");
        }
    }

    #[test]
    fn text_that_is_no_token_is_malformed() {
        let signer = TokenSigner::new(b"secret");
        for text in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c",
            "%%%.%%%.%%%",
            &"a".repeat(9999),
        ] {
            assert_eq!(signer.verify(text, NOW), Err(TokenError::Malformed));
        }
    }

    /// RFC 7515, appendix A.1: a signature made by somebody else's code verifies here (its claims are not ours).
    #[test]
    fn the_example_of_rfc_7515_has_a_good_signature() {
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let signer = TokenSigner::new(&key);
        // Past the signature: what is refused is the missing `sub`.
        assert_eq!(signer.verify(token, 0), Err(TokenError::Malformed));
        let foreign = TokenSigner::new(b"other");
        assert_eq!(foreign.verify(token, 0), Err(TokenError::Signature));
    }
}

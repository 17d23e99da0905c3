//! What a newcomer types or is given: an invite's code, or a join token.
//!
//! A code is six groups of four characters. The first three groups are the secret, 60 random bits; the last three a
//! stretched hash of the mesh's root key, 60 bits again, by which the newcomer knows the real one. The characters are
//! Crockford's base 32: no letter looks like a digit, case does not count, and `O`, `I` and `L` are read as 0, 1 and 1.

use std::fmt;
use std::str::FromStr;

use crate::identity::PublicKey;

/// Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of each half of a code: 60 bits.
pub const HALF_CHARACTERS: usize = 12;

/// What a join token begins with.
const JOIN_PREFIX: &str = "jt_";

/// What was typed is no code and no join token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an invite is 24 letters and digits, as XXXX-XXXX-XXXX-XXXX-XXXX-XXXX, or a join token, jt_…; check for a missing character"
)]
pub struct InviteError;

/// An invite as its holder has it.
#[derive(Clone, PartialEq, Eq)]
pub enum Invite {
    /// Typed by a person: works once, and waits for an approval.
    Code {
        /// The secret half.
        secret: String,
        /// Hash of the root key, as [`characters`] of 60 bits; empty when only the secret half was typed.
        root_check: String,
    },
    /// Copied by a program: approves by itself, as often as its maker allowed.
    JoinToken {
        /// The secret.
        secret: String,
        /// The mesh's root key.
        root: PublicKey,
    },
}

impl Invite {
    /// The part that goes to the registry, and only there.
    pub fn secret(&self) -> &str {
        match self {
            Self::Code { secret, .. } | Self::JoinToken { secret, .. } => secret,
        }
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invite(…)")
    }
}

impl fmt::Display for Invite {
    /// As it is shown to its holder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code { secret, root_check } => {
                let all = format!("{secret}{root_check}");
                let groups: Vec<&str> =
                    (0..all.len() / 4).map(|n| &all[n * 4..n * 4 + 4]).collect();
                f.write_str(&groups.join("-"))
            }
            Self::JoinToken { secret, root } => write!(f, "{secret}.{root}"),
        }
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let text = text.trim();
        if text.starts_with(JOIN_PREFIX) {
            let (secret, root) = text.split_once('.').ok_or(InviteError)?;
            let (secret, root) = (secret.to_owned(), root.parse().map_err(|_| InviteError)?);
            return Ok(Self::JoinToken { secret, root });
        }
        let all = normal(text).ok_or(InviteError)?;
        match all.len() {
            HALF_CHARACTERS => Ok(Self::Code {
                secret: all,
                root_check: String::new(),
            }),
            n if n == 2 * HALF_CHARACTERS => {
                let (secret, root_check) = all.split_at(HALF_CHARACTERS);
                let (secret, root_check) = (secret.to_owned(), root_check.to_owned());
                Ok(Self::Code { secret, root_check })
            }
            _ => Err(InviteError),
        }
    }
}

/// The secret in what a client sends as `code`: the whole code, its first half, or a join token without its root key.
pub fn secret_of(text: &str) -> Option<String> {
    let text = text.trim();
    if text.starts_with(JOIN_PREFIX) {
        let secret = text.split('.').next().unwrap_or_default();
        return Some(secret.trim_end().to_owned());
    }
    let invite: Invite = text.parse().ok()?;
    Some(invite.secret().to_owned())
}

/// Whether a secret is a join token's.
pub fn is_join_token(secret: &str) -> bool {
    secret.starts_with(JOIN_PREFIX)
}

/// The last 60 bits of `bits` as twelve characters.
pub fn characters(bits: u64) -> String {
    let place =
        |n: usize| char::from(ALPHABET[(bits >> (5 * (HALF_CHARACTERS - 1 - n)) & 31) as usize]);
    (0..HALF_CHARACTERS).map(place).collect()
}

/// What was typed, in the alphabet alone; `None` when something else is in it.
fn normal(text: &str) -> Option<String> {
    let kept = text.chars().filter(|c| !matches!(c, '-' | ' '));
    kept.map(|c| {
        let c = match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        };
        u8::try_from(c)
            .is_ok_and(|b| ALPHABET.contains(&b))
            .then_some(c)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = Invite::Code {
            secret: characters(1),
            root_check: characters(u64::MAX),
        };
        let text = code.to_string();
        assert_eq!(text, "0000-0000-0001-ZZZZ-ZZZZ-ZZZZ");
        assert_eq!(text.parse(), Ok(code.clone()));
        assert_eq!(" oooo oooo oool zzzz-zzzz-zzzz ".parse(), Ok(code));
        for bad in [
            "",
            "123456",
            "0000-0000-000U-ZZZZ-ZZZZ-ZZZZ",
            "0000-0000-0001-ZZZZ-ZZZZ-ZZZ",
            "0000-0000-000ä",
        ] {
            assert_eq!(bad.parse::<Invite>(), Err(InviteError), "{bad}");
        }
        assert_eq!(secret_of("0000 0000 0001").as_deref(), Some("000000000001"));
    }

    #[test]
    fn every_bit_of_a_secret_shows_in_its_characters() {
        let all: std::collections::BTreeSet<_> = (0..60).map(|n| characters(1 << n)).collect();
        assert_eq!(all.len(), 60);
    }

    #[test]
    fn a_join_token_carries_the_root_key_and_sends_only_its_secret() {
        let token = Invite::JoinToken {
            secret: "jt_abc".into(),
            root: PublicKey([7; 32]),
        };
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert_eq!(secret_of(&token.to_string()).as_deref(), Some("jt_abc"));
        assert_eq!(secret_of(" jt_abc\t.x ").as_deref(), Some("jt_abc"));
        assert!("jt_abc".parse::<Invite>().is_err());
        assert!(!format!("{token:?}").contains("abc"));
    }
}

//! Names on the wire. A name is checked once, where it enters, and is trusted after that.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::MAX_ID_BYTES;
use crate::now::Now;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// An id has at least one character.
    #[error("an id must not be empty")]
    Empty,
    /// Longer than [`MAX_ID_BYTES`].
    #[error("an id is at most {MAX_ID_BYTES} bytes long")]
    TooLong,
    /// Ids are printable ASCII without space, quotes, backslash, `/`, `<`, `>` and `?`/`#`/`%`: safe in a path, a log and a page.
    #[error("an id holds only letters, digits and . _ - : @ + ~ * =")]
    BadCharacter,
}

/// What [`check`] allows, as a regular expression for schemas and generated types.
const ID_PATTERN: &str = "^[A-Za-z0-9._:@+~*=-]+$";

fn check(text: &str) -> Result<(), IdError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-:@+~*=".contains(&b);
    if text.is_empty() {
        Err(IdError::Empty)
    } else if text.len() > MAX_ID_BYTES {
        Err(IdError::TooLong)
    } else if text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(IdError::BadCharacter)
    }
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_ID_BYTES,
                    "pattern": ID_PATTERN,
                })
            }
        }
    };
}

id! {
    /// Names a sidecar on the network: the `sub` of its token.
    PeerId
}
id! {
    /// Names an agent. A sidecar serves one agent.
    AgentId
}
id! {
    /// Names a task, on the direct path and in the queue alike. Chosen by whoever submits ([`TaskId::made`]); the
    /// registry chooses one for submitters that bring none.
    TaskId
}

impl TaskId {
    /// A UUID version 7 (RFC 9562, section 5.7): the time in milliseconds, then 74 random bits. Ids that grow with time
    /// stand side by side in a store's index, so that a commit touches one page of it and not one for each task.
    pub fn made(now: Now, random: u128) -> Self {
        const RANDOM: u128 = 0x0fff_3fff_ffff_ffff_ffff;
        const VERSION_AND_VARIANT: u128 = 0x7000_8000_0000_0000_0000;
        let bits = u128::from(now.0) << 80 | random & RANDOM | VERSION_AND_VARIANT;
        let mut text = format!("{bits:032x}");
        for at in [20, 16, 12, 8] {
            text.insert(at, '-');
        }
        Self(text.into())
    }
}

/// The peer id that only the registry speaks under.
pub const REGISTRY_PEER: &str = "registry";

//! The key file of the existing wire: `{"keys": {"<key>": {"peer_id": "…", "role": "…"}}}`.
//!
//! Read at start, and again when an admin says so. A file that does not say what it means is a start error with its line: no entry is skipped and
//! no default key exists.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use seamesh_proto::PeerId;
use seamesh_proto::ids::REGISTRY_PEER;
use seamesh_proto::rest::Role;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::keyring::{Key, Origin};
use crate::secret;

/// Largest key file, in bytes. 100,000 keys fit; a file that is something else altogether is not read to its end.
const MAX_KEY_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Why a key file was refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] std::io::Error),
    /// Over [`MAX_KEY_FILE_BYTES`].
    #[error("it is larger than {MAX_KEY_FILE_BYTES} bytes; is it the right file?")]
    TooLarge,
    /// It does not say what it means.
    #[error(
        "line {line}, column {column}: {what}; expected {{\"keys\": {{\"<key>\": {{\"peer_id\": …, \"role\": \
         \"agent\" | \"viewer\" | \"operator\" | \"admin\"}}}}}}"
    )]
    Content {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; 0 at a line's end.
        column: usize,
        /// What is wrong there.
        what: String,
    },
}

#[derive(Deserialize)]
struct File {
    keys: Entries,
}

#[derive(Deserialize)]
struct Entry {
    peer_id: PeerId,
    role: Role,
}

/// The entries, with a repeated or empty key refused instead of silently replacing another.
struct Entries(BTreeMap<String, Entry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;

        impl<'de> Visitor<'de> for Unique {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, entry)) = map.next_entry::<String, Entry>()? {
                    if key.is_empty() {
                        return Err(A::Error::custom("an API key must not be empty"));
                    }
                    if entry.peer_id.as_str() == REGISTRY_PEER {
                        return Err(A::Error::custom("the peer id `registry` is reserved"));
                    }
                    if entries.insert(key, entry).is_some() {
                        return Err(A::Error::custom("the same API key stands here twice"));
                    }
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Unique)
    }
}

/// Reads the keys of a file. `now_ms` becomes their `created_ms`.
///
/// # Errors
/// [`KeyFileError`], naming the line.
pub(crate) fn read(path: &Path, now_ms: u64) -> Result<Vec<Key>, KeyFileError> {
    if std::fs::metadata(path)?.len() > MAX_KEY_FILE_BYTES {
        return Err(KeyFileError::TooLarge);
    }
    parse(&std::fs::read(path)?, now_ms)
}

fn parse(bytes: &[u8], now_ms: u64) -> Result<Vec<Key>, KeyFileError> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| KeyFileError::Content {
        line: error.line(),
        column: error.column(),
        what: without_place(&error),
    })?;
    let keys = file.keys.0.into_iter().map(|(secret_text, entry)| {
        let hash = secret::hash(&secret_text);
        Key {
            key_id: format!("file-{}", secret::short_name(&hash)),
            peer_id: entry.peer_id,
            role: entry.role,
            created_ms: now_ms,
            expires: None,
            hash,
            origin: Origin::KeyFile,
        }
    });
    Ok(keys.collect())
}

/// serde_json ends its text with ` at line L column C`, which the error already says in front.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (usize, String) {
        match parse(text.as_bytes(), 0) {
            Err(KeyFileError::Content { line, what, .. }) => (line, what),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_of_the_existing_wire_are_read() {
        let text = r#"{"keys": {"ak_1": {"peer_id": "agent-001", "role": "agent"},
                                "ak_2": {"peer_id": "boss", "role": "admin", "note": "x"}}, "more": 1}"#;
        let keys = parse(text.as_bytes(), 7).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].peer_id.as_str(), "agent-001");
        assert_eq!(keys[0].hash, secret::hash("ak_1"));
        assert_eq!((keys[1].role, keys[1].created_ms), (Role::Admin, 7));
    }

    #[test]
    fn an_empty_list_of_keys_means_no_keys() {
        assert!(parse(br#"{"keys": {}}"#, 0).unwrap().is_empty());
    }

    #[test]
    fn every_mistake_is_refused_with_its_line() {
        assert_eq!(refused("{\n \"keys\": {\n oops").0, 3);
        assert!(refused("{}").1.contains("missing field `keys`"));
        let role = refused("{\"keys\": {\n\"a\": {\"peer_id\": \"p\",\n\"role\": \"god\"}}}");
        assert_eq!(role.0, 3);
        assert!(role.1.contains("god"));
        let entry =
            |key: &str, peer: &str| format!(r#""{key}": {{"peer_id": "{peer}", "role": "agent"}}"#);
        let file = |entries: &str| format!("{{\"keys\": {{{entries}}}}}");
        assert!(
            refused(&file(&entry("k", "")))
                .1
                .contains("must not be empty")
        );
        assert!(
            refused(&file(&entry("", "p")))
                .1
                .contains("must not be empty")
        );
        assert!(
            refused(&file(&entry("k", "registry")))
                .1
                .contains("reserved")
        );
        let twice = format!("{},{}", entry("k", "p"), entry("k", "q"));
        assert!(refused(&file(&twice)).1.contains("twice"));
    }

    #[test]
    fn a_missing_file_is_an_error_and_not_a_default() {
        let missing = Path::new("/nonexistent/api_keys.json");
        assert!(matches!(read(missing, 0), Err(KeyFileError::Read(_))));
    }
}

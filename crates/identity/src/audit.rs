//! The audit's chain: made by the registry, checked by anybody who reads it ([`seamesh_proto::audit`]).

use ring::digest;
use seamesh_proto::audit::{AuditRecord, FIRST_PREV};

/// What is wrong with a chain, with the number of the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A record is not where it was.
    #[error("record {expected} is missing: record {found} stands in its place")]
    Missing {
        /// The number that comes next.
        expected: u64,
        /// The number that stands there.
        found: u64,
    },
    /// A record's text is not what its hash was made of.
    #[error("record {0} was changed: its hash is not that of its content")]
    Changed(u64),
    /// A record is whole in itself, but was made after another one than stands before it.
    #[error("record {0} does not continue the one before it: one of the two was replaced")]
    Replaced(u64),
}

/// The end of a chain, and what it takes to go on from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Number of the last record; 0 before the first.
    pub last: u64,
    /// Its hash.
    pub head: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            last: 0,
            head: FIRST_PREV.to_owned(),
        }
    }
}

impl Chain {
    /// Makes a record the next one: gives it its number and its two hashes.
    #[must_use]
    pub fn seal(&mut self, mut record: AuditRecord) -> AuditRecord {
        record.n = self.last + 1;
        record.prev.clone_from(&self.head);
        record.hash = hash(&record);
        self.last = record.n;
        self.head.clone_from(&record.hash);
        record
    }

    /// Checks that a record is the next one.
    ///
    /// # Errors
    /// [`ChainError`], with the record's number.
    pub fn check(&mut self, record: &AuditRecord) -> Result<(), ChainError> {
        if record.n != self.last + 1 {
            return Err(ChainError::Missing {
                expected: self.last + 1,
                found: record.n,
            });
        }
        if hash(record) != record.hash {
            return Err(ChainError::Changed(record.n));
        }
        if record.prev != self.head {
            return Err(ChainError::Replaced(record.n));
        }
        self.last = record.n;
        self.head.clone_from(&record.hash);
        Ok(())
    }
}

fn hash(record: &AuditRecord) -> String {
    let digest = digest::digest(&digest::SHA256, record.sealed_text().as_bytes());
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(action: &str) -> AuditRecord {
        AuditRecord {
            n: 0,
            at_ms: 5,
            action: action.into(),
            by: "admin".into(),
            role: None,
            credential: "admin".into(),
            from: "127.0.0.1".into(),
            about: "k".into(),
            detail: String::new(),
            prev: String::new(),
            hash: String::new(),
        }
    }

    fn three() -> Vec<AuditRecord> {
        let mut chain = Chain::default();
        ["a", "b", "c"]
            .map(|action| chain.seal(record(action)))
            .into()
    }

    fn verdict(records: &[AuditRecord]) -> Result<u64, ChainError> {
        let mut chain = Chain::default();
        records.iter().try_for_each(|r| chain.check(r))?;
        Ok(chain.last)
    }

    #[test]
    fn a_whole_chain_is_whole() {
        assert_eq!(verdict(&three()), Ok(3));
        assert_eq!(verdict(&[]), Ok(0));
    }

    #[test]
    fn a_changed_a_removed_and_a_reordered_record_are_told_by_number() {
        let mut changed = three();
        changed[1].by = "somebody".into();
        assert_eq!(verdict(&changed), Err(ChainError::Changed(2)));
        let mut removed = three();
        removed.remove(1);
        let missing = ChainError::Missing {
            expected: 2,
            found: 3,
        };
        assert_eq!(verdict(&removed), Err(missing));
        let mut reordered = three();
        reordered.swap(1, 2);
        let missing = ChainError::Missing {
            expected: 2,
            found: 3,
        };
        assert_eq!(verdict(&reordered), Err(missing));
    }

    #[test]
    fn a_record_made_anew_with_a_good_hash_does_not_fit_what_follows() {
        let mut records = three();
        records[1].by = "somebody".into();
        records[1].hash = hash(&records[1]);
        assert_eq!(verdict(&records), Err(ChainError::Replaced(3)));
    }

    /// The vector of `vectors/rest/AuditPage.json`, whose hashes were made by other code.
    #[test]
    fn the_vectors_are_a_chain() {
        let file = include_str!("../../../vectors/rest/AuditPage.json");
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        let page = file["accept"][0]["wire"].clone();
        let page: seamesh_proto::audit::AuditPage = serde_json::from_value(page).unwrap();
        assert_eq!(verdict(&page.records), Ok(2));
    }
}

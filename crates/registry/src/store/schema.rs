//! Tables of the registry's database, and how an older file becomes a newer one.

use rusqlite::Connection;

/// Version of the tables below, kept in SQLite's `user_version`.
const VERSION: i64 = 1;

/// `tasks` holds what lists filter and what changes; the payload, which never changes, and the result, which is written
/// once, stand apart, so that a change of state does not write them again. `n` is the order of acceptance: lists page
/// by it. The partial indices leave out what a filter never asks for, because each index is paid for by every submit.
const TABLES: &str = "
CREATE TABLE tasks (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    skill TEXT NOT NULL,
    target TEXT,
    source TEXT NOT NULL,
    submitter TEXT NOT NULL,
    parent TEXT,
    root TEXT,
    depth INTEGER NOT NULL,
    path TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    ttl_s INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    last_lease INTEGER NOT NULL,
    lease TEXT,
    ended_by INTEGER,
    assigned TEXT,
    direct TEXT,
    started_ms INTEGER,
    updated_ms INTEGER NOT NULL,
    outcome_state TEXT,
    error TEXT
) STRICT;
CREATE INDEX tasks_by_state ON tasks(state, n) WHERE state <> 'completed';
CREATE INDEX tasks_by_skill ON tasks(skill, n) WHERE skill <> '';
CREATE INDEX tasks_by_assigned ON tasks(assigned, n) WHERE assigned IS NOT NULL;
CREATE INDEX tasks_by_source ON tasks(source, n) WHERE source <> '';
CREATE INDEX tasks_by_root ON tasks(root, n) WHERE root IS NOT NULL;

CREATE TABLE task_payloads (n INTEGER PRIMARY KEY, payload TEXT NOT NULL) STRICT;
CREATE TABLE task_results (n INTEGER PRIMARY KEY, result TEXT NOT NULL) STRICT;

-- Agents, invites and newcomers: few, and always loaded whole.
CREATE TABLE entities (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE api_keys (
    hash BLOB PRIMARY KEY,
    key_id TEXT NOT NULL UNIQUE,
    peer_id TEXT NOT NULL,
    role TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    hash BLOB PRIMARY KEY,
    peer_id TEXT NOT NULL,
    role TEXT NOT NULL,
    credential TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Why a database file is not usable.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite refuses it.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be made or read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A newer registry wrote it.
    #[error(
        "the database has schema version {0}, this registry knows up to {VERSION}; run the newer registry that made it"
    )]
    Newer(i64),
}

/// Makes the tables in a new file; checks the version of an old one.
///
/// # Errors
/// [`OpenError`].
pub(super) fn prepare(connection: &mut Connection) -> Result<(), OpenError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        VERSION => Ok(()),
        0 => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            Ok(transaction.commit()?)
        }
        newer => Err(OpenError::Newer(newer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_gets_the_tables_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        prepare(&mut connection).unwrap();
        prepare(&mut connection).unwrap();
        let count: i64 = connection
            .query_row("SELECT count(*) FROM tasks", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 0);
    }

    #[test]
    fn a_file_of_a_newer_registry_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(
            prepare(&mut connection),
            Err(OpenError::Newer(99))
        ));
    }
}

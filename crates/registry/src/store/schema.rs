//! Tables of the registry's database, and how an older file becomes a newer one.

use rusqlite::Connection;

/// What brings a file from each version to the next, the first from nothing. Its number of steps is kept in SQLite's
/// `user_version`; a step that was released never changes.
const STEPS: &[&str] = &[
    TABLES, PAUSES, OPTIONS, HISTORY, AGES, TALK, CHAINS, EVENT_ROWS, TRACES, AUDIT,
];

/// Version of the tables that this registry writes.
const VERSION: i64 = STEPS.len() as i64;

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

/// Tasks that wait for their time.
const PAUSES: &str = "ALTER TABLE tasks ADD COLUMN not_before_ms INTEGER;";

/// What a submitter may ask for. Most tasks have no key, and those cost the index nothing.
const OPTIONS: &str = "
ALTER TABLE tasks ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN deadline_ms INTEGER;
ALTER TABLE tasks ADD COLUMN idempotency_key TEXT;
CREATE UNIQUE INDEX tasks_by_key ON tasks(submitter, idempotency_key) WHERE idempotency_key IS NOT NULL;
";

/// Which task an event tells of: its history is read without looking at any other's.
const HISTORY: &str = "
ALTER TABLE events ADD COLUMN task TEXT;
UPDATE events SET task = json_extract(body, '$.payload.id') WHERE json_extract(body, '$.type') = 'task_changed';
CREATE INDEX events_by_task ON events(task, seq) WHERE task IS NOT NULL;
";

/// When a task ended, for those that did: the oldest leave first.
const AGES: &str =
    "CREATE INDEX tasks_by_end ON tasks(updated_ms) WHERE outcome_state IS NOT NULL;";

/// What the asker is there for, and the open question with its answer: JSON, or `NULL` for nothing.
const TALK: &str =
    "ALTER TABLE tasks ADD COLUMN listens TEXT; ALTER TABLE tasks ADD COLUMN talk TEXT;";
/// Who ran what above a task, where anybody did, and whether a skill's callers matter to it. No skill had any when the
/// older tasks were accepted: they stay welcome.
const CHAINS: &str = "
ALTER TABLE tasks ADD COLUMN chain TEXT;
ALTER TABLE tasks ADD COLUMN by_operator INTEGER NOT NULL DEFAULT 1;
";

/// The span that asked for a task, where one was named.
const TRACES: &str = "ALTER TABLE tasks ADD COLUMN traceparent TEXT;";

/// An event names its task by the number of the task's row: numbers grow, and so the index grows at its end, where ids,
/// which may be random, touch a page of it each.
const EVENT_ROWS: &str = "
DROP INDEX events_by_task;
ALTER TABLE events ADD COLUMN task_n INTEGER;
UPDATE events SET task_n = (SELECT n FROM tasks WHERE id = events.task) WHERE task IS NOT NULL;
ALTER TABLE events DROP COLUMN task;
CREATE INDEX events_by_task ON events(task_n) WHERE task_n IS NOT NULL;
";

/// Who decided what, as a chain of hashes that no later statement may touch; keys that end; the administrator's password.
const AUDIT: &str = "
CREATE TABLE audit (n INTEGER PRIMARY KEY, body TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;

ALTER TABLE api_keys ADD COLUMN expires_ms INTEGER;

CREATE TABLE passwords (
    peer_id TEXT PRIMARY KEY,
    salt BLOB NOT NULL,
    memory_kib INTEGER NOT NULL,
    passes INTEGER NOT NULL,
    hash BLOB NOT NULL
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

/// Makes the tables in a new file, and brings those of an older registry up to date, whole or not at all.
///
/// # Errors
/// [`OpenError`].
pub(super) fn prepare(connection: &mut Connection) -> Result<(), OpenError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(found).ok();
    let Some(missing) = done.and_then(|done| STEPS.get(done..)) else {
        return Err(OpenError::Newer(found));
    };
    if missing.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
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
    fn a_file_of_every_older_registry_is_brought_up_to_date_with_its_tasks() {
        for version in 1..STEPS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            for step in &STEPS[..version] {
                connection.execute_batch(step).unwrap();
            }
            let task = "INSERT INTO tasks (id, version, state, skill, source, submitter, depth, path, created_ms, \
                        ttl_s, max_attempts, attempt, last_lease, updated_ms) \
                        VALUES ('t', 1, 'pending', 's', '', 'op', 0, 'queue', 5, 300, 3, 0, 0, 5)";
            connection.execute(task, []).unwrap();
            let event = r#"INSERT INTO events (seq, at_ms, body)
                VALUES (1, 5, '{"type":"task_changed","payload":{"id":"t"}}')"#;
            connection.execute(event, []).unwrap();
            // Where events name their task already, this one does.
            let names = connection.execute("UPDATE events SET task = 't'", []);
            let names_row = connection.execute("UPDATE events SET task_n = 1", []);
            assert_eq!(
                names.is_ok(),
                (4..8).contains(&version),
                "version {version}"
            );
            assert_eq!(names_row.is_ok(), version >= 8, "version {version}");
            let version = i64::try_from(version).unwrap();
            connection
                .pragma_update(None, "user_version", version)
                .unwrap();
            prepare(&mut connection).unwrap();
            let ids = ["t".parse().unwrap()];
            let found = super::super::lists::find(&connection, &ids).unwrap();
            assert_eq!(found[0].spec.skill, "s", "from version {version}");
            let n = super::super::lists::number(&connection, &ids[0]).unwrap();
            let history = super::super::lists::history(&connection, n.unwrap(), 0, 9).unwrap();
            assert_eq!(history.len(), 1, "from version {version}");
        }
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

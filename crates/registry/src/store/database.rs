//! One writing connection: loads what lives, commits batches.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use seamesh_identity::Chain;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::{Now, PeerId};
use seamesh_registry_core::store::{
    Batch, Conflict, Loaded, StoredAgent, StoredInvite, StoredNewcomer, StoredTask, Write,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::access::{self, AccessWrite};
use super::audit;
use super::disk::Disk;
use super::rows::{
    INSERT_TASK, Json, TASK_COLUMNS, UPDATE_TASK, insert_task, int, read_task, to_json, update_task,
};
use super::schema::{self, OpenError};
use super::{lists, retention};
use crate::keyring::Key;
use crate::password::Password;
use crate::session::Session;

/// Events kept for watchers that come back. At some 600 bytes each, about 60 MB; a hub that was away for longer loads
/// the present state instead.
pub(crate) const EVENTS_KEPT: u64 = 100_000;

/// Events between two prunings: a delete in every commit would double its cost.
const PRUNE_EVERY: u64 = 1_024;

/// Milliseconds a connection waits for another's lock. Only a checkpoint or a foreign tool can hold one.
const BUSY_TIMEOUT_MS: u64 = 5_000;

/// Pages of the write-ahead log after which they are brought into the database file, and the log begins anew: 16 MB.
/// Pages that many commits changed are then written once, and its two fsyncs are shared by hundreds of commits.
const CHECKPOINT_PAGES: i64 = 4_000;

/// Statements kept prepared on a connection.
const STATEMENT_CACHE: usize = 64;

/// Why a batch did not become durable. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// It was decided on something else than what is stored.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// SQLite cannot write: a full disk, a broken one.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// The database's writing connection.
pub(crate) struct Database {
    connection: Connection,
    last_seq: u64,
    chain: Chain,
    pruned_to: u64,
    disk: Option<Disk>,
}

impl Database {
    /// Opens or makes the database file (mode 0600). `max_bytes` bounds its size; a commit that would pass it fails.
    ///
    /// A new file is not yet on disk when this returns: nothing is in it that anybody was told of. [`Disk`] brings it
    /// there with what is committed, and before that `companions`, files that were made beside it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn open(
        path: &Path,
        companions: Vec<PathBuf>,
        max_bytes: Option<u64>,
    ) -> Result<Self, OpenError> {
        // SQLite gives its log and its index the mode of the database file.
        let made = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)?;
        let is_new = made.metadata()?.len() == 0;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        if is_new {
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.pragma_update(None, "journal_mode", "MEMORY")?;
        }
        schema::prepare(&mut connection)?;
        // Write-ahead log: readers never wait for the writer. NORMAL: a commit is in the log when it returns, and on disk
        // when `Disk` says so; SQLite itself syncs around checkpoints.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        if let Some(bytes) = max_bytes {
            let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let pages = int(bytes) / page.max(1);
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        let (first, last) = lists::event_bounds(&connection)?.unwrap_or((1, 0));
        let chain = audit::chain(&connection)?;
        Ok(Self {
            connection,
            last_seq: last,
            chain,
            pruned_to: first.saturating_sub(1),
            disk: Some(Disk::new(path, companions)?),
        })
    }

    /// Number of the last committed event; 0 before the first.
    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// What brings commits to disk: whoever commits takes it, once.
    pub(super) fn take_disk(&mut self) -> Option<Disk> {
        self.disk.take()
    }

    /// Commits groups of writes in one transaction: all of them or none. They are durable once [`Disk`] has synced.
    ///
    /// # Errors
    /// [`CommitError`].
    pub(crate) fn commit<'a>(
        &mut self,
        batches: impl IntoIterator<Item = &'a Batch>,
        access: impl IntoIterator<Item = &'a AccessWrite>,
    ) -> Result<(), CommitError> {
        let transaction = self.connection.transaction()?;
        let mut seq = self.last_seq;
        for batch in batches {
            seq = write_batch(&transaction, batch, seq)?;
        }
        let mut chain = self.chain.clone();
        for write in access {
            match write {
                AccessWrite::Audit(entry) => audit::append(&transaction, &mut chain, entry)?,
                write => access::apply(&transaction, write)?,
            }
        }
        let prune_to = seq.saturating_sub(EVENTS_KEPT);
        let prune = prune_to >= self.pruned_to + PRUNE_EVERY;
        if prune {
            transaction.execute("DELETE FROM events WHERE seq <= ?1", [int(prune_to)])?;
        }
        transaction.commit()?;
        self.last_seq = seq;
        self.chain = chain;
        if prune {
            self.pruned_to = prune_to;
        }
        Ok(())
    }

    /// Deletes one portion of the tasks that ended before `before`; how many.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn drop_ended(&mut self, before: Now) -> rusqlite::Result<usize> {
        retention::drop_ended(&mut self.connection, before)
    }

    /// Every live entity.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn load(&self) -> rusqlite::Result<Loaded> {
        load(&self.connection)
    }

    /// The API keys that were made here.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn keys(&self) -> rusqlite::Result<Vec<Key>> {
        access::keys(&self.connection)
    }

    /// The passwords that were set.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn passwords(&self) -> rusqlite::Result<Vec<(PeerId, Password)>> {
        access::passwords(&self.connection)
    }

    /// The sessions that have not ended by `now`.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn sessions(&self, now: Now) -> rusqlite::Result<Vec<Session>> {
        access::sessions(&self.connection, now)
    }
}

/// Every live entity, over any connection.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Loaded> {
    Ok(Loaded {
        tasks: load_tasks(connection)?,
        agents: load_entities::<StoredAgent>(connection, "agent")?,
        invites: load_entities::<StoredInvite>(connection, "invite")?,
        newcomers: load_entities::<StoredNewcomer>(connection, "newcomer")?,
        children: lists::children(connection)?,
    })
}

fn load_tasks(connection: &Connection) -> rusqlite::Result<Vec<StoredTask>> {
    // The first condition is the index's own: with it the scan touches live tasks only.
    let mut statement = connection.prepare(&format!(
        "SELECT {TASK_COLUMNS}, p.payload, NULL FROM tasks t LEFT JOIN task_payloads p ON p.n = t.n \
         WHERE t.state <> 'completed' AND t.state IN ('pending', 'assigned', 'input_required') ORDER BY t.n"
    ))?;
    let tasks = statement.query_map([], |row| Ok(read_task(row)?.1))?;
    tasks.collect()
}

fn load_entities<T: DeserializeOwned>(
    connection: &Connection,
    kind: &str,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare("SELECT body FROM entities WHERE kind = ?1")?;
    let rows = statement.query_map([kind], |row| Ok(row.get::<_, Json<T>>(0)?.0))?;
    rows.collect()
}

/// Writes one batch, its events numbered on from `seq`; the number of the last.
fn write_batch(
    transaction: &Transaction<'_>,
    batch: &Batch,
    mut seq: u64,
) -> Result<u64, CommitError> {
    let mut insert = transaction
        .prepare_cached("INSERT INTO events (seq, at_ms, body, task_n) VALUES (?1, ?2, ?3, ?4)")?;
    let mut tell = |event: &MeshEvent, task_n: Option<i64>| {
        seq += 1;
        insert.execute(params![int(seq), int(batch.at.0), to_json(event), task_n])
    };
    let mut rows = BTreeMap::new();
    for write in &batch.writes {
        match (apply(transaction, write)?, write) {
            (Some(n), Write::AddEnded { event, .. }) => _ = tell(event, Some(n))?,
            (Some(n), Write::PutTask { task, .. }) => _ = rows.insert(&task.spec.id, n),
            _ => {}
        }
    }
    for event in &batch.events {
        let task_n = match event.task_id() {
            Some(id) => match rows.get(id) {
                Some(n) => Some(*n),
                None => lists::number(transaction, id)?,
            },
            None => None,
        };
        tell(event, task_n)?;
    }
    Ok(seq)
}

/// Writes; the number of the task's row, if it is a task that was written.
fn apply(transaction: &Transaction<'_>, write: &Write) -> Result<Option<i64>, CommitError> {
    let done = match write {
        Write::PutTask { expected, task } => match put_task(transaction, *expected, task)? {
            Some(n) => return Ok(Some(n)),
            None => false,
        },
        Write::AddEnded { task, .. } => return Ok(put_task(transaction, 0, task)?),
        Write::PutAgent { expected, agent } => {
            put_entity(transaction, write, *expected, agent.version, agent)?
        }
        Write::PutInvite { expected, invite } => {
            put_entity(transaction, write, *expected, invite.version, invite)?
        }
        Write::PutNewcomer { expected, newcomer } => {
            put_entity(transaction, write, *expected, newcomer.version, newcomer)?
        }
        Write::DeleteAgent { .. } | Write::DeleteInvite { .. } => {
            delete_entity(transaction, write)?
        }
    };
    if done {
        return Ok(None);
    }
    if let Some(conflict) = key_conflict(transaction, write)? {
        return Err(CommitError::Conflict(conflict));
    }
    let (kind, key) = write.key();
    Err(CommitError::Conflict(Conflict {
        kind: kind.to_owned(),
        key: key.to_owned(),
        expected: write.expected(),
        stored: stored_version(transaction, kind, key)?,
    }))
}

/// Why a new task was not written though its id is new: its submitter has another under its key.
fn key_conflict(
    transaction: &Transaction<'_>,
    write: &Write,
) -> rusqlite::Result<Option<Conflict>> {
    let Write::PutTask { expected: 0, task } = write else {
        return Ok(None);
    };
    let Some(key) = task.spec.key() else {
        return Ok(None);
    };
    let other = lists::find_key(transaction, &key)?;
    let other = other.filter(|other| other.spec.id != task.spec.id);
    Ok(other.map(|other| Conflict {
        kind: "idempotency_key".to_owned(),
        key: key.key,
        expected: 0,
        stored: other.version,
    }))
}

/// Writes the task if it is at the expected version; the number of its row.
fn put_task(
    transaction: &Transaction<'_>,
    expected: u64,
    task: &StoredTask,
) -> rusqlite::Result<Option<i64>> {
    let n = if expected == 0 {
        let mut insert = transaction.prepare_cached(INSERT_TASK)?;
        if insert_task(&mut insert, task)? == 0 {
            return Ok(None);
        }
        let n = transaction.last_insert_rowid();
        if !task.spec.payload.is_empty() {
            let mut insert = transaction
                .prepare_cached("INSERT INTO task_payloads (n, payload) VALUES (?1, ?2)")?;
            insert.execute(params![n, to_json(&task.spec.payload)])?;
        }
        n
    } else {
        let mut update = transaction.prepare_cached(UPDATE_TASK)?;
        match update_task(&mut update, task, expected)? {
            Some(n) => n,
            None => return Ok(None),
        }
    };
    if let Some(outcome) = task.outcome.as_ref().filter(|o| !o.result.is_null()) {
        let mut insert = transaction
            .prepare_cached("INSERT OR REPLACE INTO task_results (n, result) VALUES (?1, ?2)")?;
        insert.execute(params![n, to_json(&outcome.result)])?;
    }
    Ok(Some(n))
}

fn put_entity<T: Serialize>(
    transaction: &Transaction<'_>,
    write: &Write,
    expected: u64,
    version: u64,
    body: &T,
) -> rusqlite::Result<bool> {
    let (kind, key) = write.key();
    let changed = if expected == 0 {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO entities (kind, key, version, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?;
        insert.execute(params![kind, key, int(version), to_json(body)])?
    } else {
        let mut update = transaction.prepare_cached(
            "UPDATE entities SET version = ?3, body = ?4 WHERE kind = ?1 AND key = ?2 AND version = ?5",
        )?;
        update.execute(params![
            kind,
            key,
            int(version),
            to_json(body),
            int(expected)
        ])?
    };
    Ok(changed == 1)
}

fn delete_entity(transaction: &Transaction<'_>, write: &Write) -> rusqlite::Result<bool> {
    let (kind, key) = write.key();
    let mut delete = transaction
        .prepare_cached("DELETE FROM entities WHERE kind = ?1 AND key = ?2 AND version = ?3")?;
    let deleted = delete.execute(params![kind, key, int(write.expected())])?;
    // What does not exist is at version 0, and removing it then is no change.
    Ok(deleted == 1 || (write.expected() == 0 && stored_version(transaction, kind, key)? == 0))
}

fn stored_version(transaction: &Transaction<'_>, kind: &str, key: &str) -> rusqlite::Result<u64> {
    let found: Option<i64> = if kind == "task" {
        let sql = "SELECT version FROM tasks WHERE id = ?1";
        let version = transaction.query_row(sql, [key], |row| row.get(0));
        version.optional()?
    } else {
        let sql = "SELECT version FROM entities WHERE kind = ?1 AND key = ?2";
        let version = transaction.query_row(sql, [kind, key], |row| row.get(0));
        version.optional()?
    };
    Ok(found.unwrap_or(0).cast_unsigned())
}

//! Entities as rows, both ways.

use std::sync::Arc;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Row, Statement, params};
use seamesh_proto::chain::Hop;
use seamesh_proto::task::{Lineage, Outcome, Path, TaskState};
use seamesh_proto::{Payload, TaskError};
use seamesh_registry_core::store::{StoredTask, TaskSpec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The columns that [`read_task`] reads, in order; `payload` and `result` may be `NULL` where they are not wanted.
pub(super) const TASK_COLUMNS: &str = "t.n, t.id, t.version, t.state, t.skill, t.target, t.source, t.submitter, \
     t.parent, t.root, t.depth, t.path, t.created_ms, t.ttl_s, t.max_attempts, t.attempt, t.last_lease, t.lease, \
     t.ended_by, t.assigned, t.direct, t.started_ms, t.updated_ms, t.outcome_state, t.error, \
     t.not_before_ms, t.priority, t.deadline_ms, t.idempotency_key, t.chain, t.by_operator, t.listens, t.talk, t.traceparent";

/// Where the payload stands behind [`TASK_COLUMNS`]; the result follows it.
const PAYLOAD: usize = 34;

/// Inserts a task of which neither the id nor its submitter's key exists yet. Its values stand in the order of
/// [`insert_task`]: SQLite looks a name up among all of them, and a task has 33.
pub(super) const INSERT_TASK: &str = "INSERT INTO tasks (id, version, state, skill, target, source, submitter, \
     parent, root, depth, path, created_ms, ttl_s, max_attempts, attempt, last_lease, lease, ended_by, assigned, \
     direct, started_ms, updated_ms, outcome_state, error, not_before_ms, priority, deadline_ms, \
     idempotency_key, chain, by_operator, listens, talk, traceparent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
     ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33) ON CONFLICT DO NOTHING";

/// Changes a task that is at the expected version.
pub(super) const UPDATE_TASK: &str = "UPDATE tasks SET version = ?1, state = ?2, attempt = ?3, last_lease = ?4, \
     lease = ?5, ended_by = ?6, assigned = ?7, direct = ?8, started_ms = ?9, updated_ms = ?10, \
     outcome_state = ?11, error = ?12, not_before_ms = ?13, talk = ?16 WHERE id = ?14 AND version = ?15 RETURNING n";

/// Runs [`INSERT_TASK`]; the number of rows inserted.
pub(super) fn insert_task(
    statement: &mut Statement<'_>,
    task: &StoredTask,
) -> rusqlite::Result<usize> {
    let spec = &task.spec;
    let error = task.outcome.as_ref().and_then(|o| o.error.as_ref());
    statement.execute(params![
        spec.id.as_str(),
        int(task.version),
        task.state.as_str(),
        spec.skill,
        spec.target.as_ref().map(AsRef::<str>::as_ref),
        spec.source,
        spec.submitter.as_str(),
        spec.lineage.parent_id.as_ref().map(AsRef::<str>::as_ref),
        spec.lineage.root_id.as_ref().map(AsRef::<str>::as_ref),
        spec.lineage.depth,
        path_text(spec.path),
        int(spec.created_ms),
        int(spec.ttl_s),
        spec.max_attempts,
        task.attempt,
        int(task.last_lease),
        task.lease.as_ref().map(to_json),
        task.ended_by.map(int),
        task.assigned.as_ref().map(AsRef::<str>::as_ref),
        task.direct.as_ref().map(to_json),
        task.started_ms.map(int),
        int(task.updated_ms),
        task.outcome.as_ref().map(|o| o.state.as_str()),
        error.map(to_json),
        task.not_before_ms.map(int),
        spec.priority,
        spec.deadline_ms.map(int),
        spec.idempotency_key,
        (!spec.lineage.chain.is_empty()).then(|| to_json(&spec.lineage.chain)),
        spec.by_operator,
        unless_default(&spec.listens),
        unless_default(&task.talk),
        spec.lineage.traceparent.map(|t| t.to_string()),
    ])
}

/// Runs [`UPDATE_TASK`]; the row's `n`, or `None` when it is not at the expected version.
pub(super) fn update_task(
    statement: &mut Statement<'_>,
    task: &StoredTask,
    expected: u64,
) -> rusqlite::Result<Option<i64>> {
    let error = task.outcome.as_ref().and_then(|o| o.error.as_ref());
    let mut rows = statement.query(params![
        int(task.version),
        task.state.as_str(),
        task.attempt,
        int(task.last_lease),
        task.lease.as_ref().map(to_json),
        task.ended_by.map(int),
        task.assigned.as_ref().map(AsRef::<str>::as_ref),
        task.direct.as_ref().map(to_json),
        task.started_ms.map(int),
        int(task.updated_ms),
        task.outcome.as_ref().map(|o| o.state.as_str()),
        error.map(to_json),
        task.not_before_ms.map(int),
        task.spec.id.as_str(),
        int(expected),
        unless_default(&task.talk),
    ])?;
    match rows.next()? {
        Some(row) => Ok(Some(row.get(0)?)),
        None => Ok(None),
    }
}

/// A task from [`TASK_COLUMNS`], then `payload`, then `result`.
pub(super) fn read_task(row: &Row<'_>) -> rusqlite::Result<(i64, StoredTask)> {
    let Json(payload): Json<Option<Value>> = row.get(PAYLOAD)?;
    let spec = TaskSpec {
        id: row.get::<_, Parsed<_>>(1)?.0,
        skill: row.get(4)?,
        target: row.get::<_, Option<Parsed<_>>>(5)?.map(|p| p.0),
        source: row.get(6)?,
        submitter: row.get::<_, Parsed<_>>(7)?.0,
        payload: payload.map_or(Payload::EMPTY, Payload::new),
        lineage: Lineage {
            parent_id: row.get::<_, Option<Parsed<_>>>(8)?.map(|p| p.0),
            root_id: row.get::<_, Option<Parsed<_>>>(9)?.map(|p| p.0),
            depth: row.get(10)?,
            chain: row
                .get::<_, Json<Option<Vec<Hop>>>>(29)?
                .0
                .unwrap_or_default(),
            traceparent: row.get::<_, Option<Parsed<_>>>(33)?.map(|p| p.0),
        },
        path: row.get::<_, Word<Path>>(11)?.0,
        created_ms: unsigned(row, 12)?,
        ttl_s: unsigned(row, 13)?,
        max_attempts: row.get(14)?,
        priority: row.get(26)?,
        deadline_ms: row.get::<_, Option<i64>>(27)?.map(i64::cast_unsigned),
        idempotency_key: row.get(28)?,
        by_operator: row.get(30)?,
        listens: or_default(row, 31)?,
    };
    let task = StoredTask {
        spec: Arc::new(spec),
        version: unsigned(row, 2)?,
        state: row.get::<_, Word<TaskState>>(3)?.0,
        attempt: row.get(15)?,
        last_lease: unsigned(row, 16)?,
        lease: row.get::<_, Json<_>>(17)?.0,
        ended_by: row.get::<_, Option<i64>>(18)?.map(i64::cast_unsigned),
        assigned: row.get::<_, Option<Parsed<_>>>(19)?.map(|p| p.0),
        direct: row.get::<_, Json<_>>(20)?.0,
        started_ms: row.get::<_, Option<i64>>(21)?.map(i64::cast_unsigned),
        not_before_ms: row.get::<_, Option<i64>>(25)?.map(i64::cast_unsigned),
        talk: or_default(row, 32)?,
        updated_ms: unsigned(row, 22)?,
        outcome: read_outcome(row)?,
    };
    Ok((row.get(0)?, task))
}

fn read_outcome(row: &Row<'_>) -> rusqlite::Result<Option<Outcome>> {
    let Some(Word(state)) = row.get::<_, Option<Word<TaskState>>>(23)? else {
        return Ok(None);
    };
    let Json(error): Json<Option<TaskError>> = row.get(24)?;
    let Json(result): Json<Option<Value>> = row.get(PAYLOAD + 1)?;
    Ok(Some(Outcome {
        state,
        result: result.unwrap_or_default(),
        error,
    }))
}

/// Counters and times fit into SQLite's signed integers for the next 292 million years; a lease or version that some
/// peer could choose larger keeps its bits.
pub(super) fn int(value: u64) -> i64 {
    value.cast_signed()
}

fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(at)?.cast_unsigned())
}

/// JSON text of one of our own types.
pub(super) fn to_json<T: Serialize>(value: &T) -> String {
    // Our types serialise into memory without failing: no maps with non-text keys, no IO.
    serde_json::to_string(value).expect("stored types serialise")
}

/// JSON text, or `NULL` for the default: most tasks have nothing to say here.
fn unless_default<T: Serialize + Default + PartialEq>(value: &T) -> Option<String> {
    (*value != T::default()).then(|| to_json(value))
}

/// As [`unless_default`] wrote it.
fn or_default<T: DeserializeOwned + Default>(row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    let Json(value): Json<Option<T>> = row.get(at)?;
    Ok(value.unwrap_or_default())
}

fn path_text(path: Path) -> &'static str {
    match path {
        Path::Direct => "direct",
        Path::Queue => "queue",
    }
}

/// A column of JSON text; `NULL` reads as JSON `null`.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = match value {
            ValueRef::Null => "null",
            value => value.as_str()?,
        };
        let parsed = serde_json::from_str(text).map_err(FromSqlError::other)?;
        Ok(Self(parsed))
    }
}

/// A column of one word that an enum serialises to.
pub(super) struct Word<T>(pub(super) T);

impl<T: DeserializeOwned> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        use serde::de::IntoDeserializer as _;
        use serde::de::value::{Error, StrDeserializer};
        let word: StrDeserializer<'_, Error> = value.as_str()?.into_deserializer();
        Ok(Self(T::deserialize(word).map_err(FromSqlError::other)?))
    }
}

/// A column of text that parses into an id.
pub(super) struct Parsed<T>(pub(super) T);

impl<T> FromSql for Parsed<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(value.as_str()?.parse().map_err(FromSqlError::other)?))
    }
}

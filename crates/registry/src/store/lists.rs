//! Reading what is committed: lists, lookups, events. Every function works on any connection.

use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};
use seamesh_proto::TaskId;
use seamesh_proto::rest::TaskQuery;
use seamesh_proto::task::TaskState;
use seamesh_registry_core::store::{StoredTask, TaskKey};

use super::rows::{Parsed, TASK_COLUMNS, int, read_task};

/// One page of tasks, newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// The tasks.
    pub tasks: Vec<StoredTask>,
    /// Continue before this number; `None` on the last page.
    pub next: Option<i64>,
}

/// One event as it stands in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventRow {
    /// Its number.
    pub seq: u64,
    /// The record as JSON, as watchers get it.
    pub record: String,
}

/// A filter's SQL with its parameters.
#[derive(Default)]
struct Filter {
    terms: Vec<String>,
    values: Vec<Box<dyn ToSql>>,
}

impl Filter {
    fn text(&mut self, term: &str, value: &str) {
        self.values.push(Box::new(value.to_owned()));
        let slot = format!("?{}", self.values.len());
        self.terms.push(term.replace('?', &slot));
    }

    fn number(&mut self, term: &str, value: i64) {
        self.values.push(Box::new(value));
        let slot = format!("?{}", self.values.len());
        self.terms.push(term.replace('?', &slot));
    }

    fn sql(&self) -> String {
        if self.terms.is_empty() {
            "1".to_owned()
        } else {
            self.terms.join(" AND ")
        }
    }
}

/// The filter without its `agent` and `root` alternatives.
fn plain_filter(query: &TaskQuery, before: Option<i64>) -> Filter {
    let mut filter = Filter::default();
    if let Some(state) = query.state {
        // The word is ours. The second term lets SQLite use the partial index.
        filter.terms.push(format!("t.state = '{}'", state.as_str()));
        if state != TaskState::Completed {
            filter.terms.push("t.state <> 'completed'".to_owned());
        }
    }
    if let Some(skill) = &query.skill {
        filter.text("t.skill = ?", skill);
        if !skill.is_empty() {
            filter.terms.push("t.skill <> ''".to_owned());
        }
    }
    if let Some(text) = &query.text {
        let columns = ["id", "skill", "source", "target", "assigned", "error"];
        let holds = columns.map(|c| format!("instr(lower(coalesce(t.{c}, '')), lower(?)) > 0"));
        filter.text(&format!("({})", holds.join(" OR ")), text);
    }
    if let Some(since) = query.since_ms {
        filter.number("t.created_ms >= ?", int(since));
    }
    if let Some(until) = query.until_ms {
        filter.number("t.created_ms < ?", int(until));
    }
    if let Some(before) = before {
        filter.number("t.n < ?", before);
    }
    filter
}

/// The alternatives of `agent` and `root`: each is answered from its own index, newest first, and then merged.
fn alternatives(query: &TaskQuery, filter: &mut Filter) -> Vec<String> {
    let mut ways = vec![String::from("1")];
    if let Some(agent) = &query.agent {
        filter.values.push(Box::new(agent.to_string()));
        let slot = filter.values.len();
        ways = vec![
            format!("t.assigned = ?{slot}"),
            format!("t.source = ?{slot} AND t.source <> ''"),
        ];
    }
    if let Some(root) = &query.root {
        filter.values.push(Box::new(root.to_string()));
        let slot = filter.values.len();
        let under = [format!("t.root = ?{slot}"), format!("t.id = ?{slot}")];
        let both = ways
            .iter()
            .flat_map(|way| under.iter().map(move |u| format!("{way} AND {u}")));
        ways = both.collect();
    }
    ways
}

/// One page of tasks, newest first, at most `limit` of them, all older than `before`. Without `bodies` their payloads
/// and results are left out.
///
/// # Errors
/// What SQLite says.
pub(super) fn tasks(
    connection: &Connection,
    query: &TaskQuery,
    before: Option<i64>,
    limit: usize,
    bodies: bool,
) -> rusqlite::Result<Page> {
    let mut filter = plain_filter(query, before);
    let base = filter.sql();
    // One more than asked for tells whether there is a next page.
    let take = limit + 1;
    let selects: Vec<String> = alternatives(query, &mut filter)
        .iter()
        .map(|way| {
            format!(
                "SELECT n FROM (SELECT t.n FROM tasks t WHERE {base} AND {way} ORDER BY t.n DESC LIMIT {take})"
            )
        })
        .collect();
    let chosen = selects.join(" UNION ");
    let (columns, joins) = if bodies {
        (
            "p.payload, r.result",
            "LEFT JOIN task_payloads p ON p.n = t.n LEFT JOIN task_results r ON r.n = t.n",
        )
    } else {
        ("NULL, NULL", "")
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {TASK_COLUMNS}, {columns} FROM tasks t {joins} WHERE t.n IN ({chosen}) ORDER BY t.n DESC LIMIT {take}"
    ))?;
    let values: Vec<&dyn ToSql> = filter.values.iter().map(AsRef::as_ref).collect();
    let rows = statement.query_map(&values[..], read_task)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(n, _)| *n);
    Ok(Page {
        tasks: rows.into_iter().map(|(_, task)| task).collect(),
        next,
    })
}

/// Those of the tasks that exist.
///
/// # Errors
/// What SQLite says.
pub(super) fn find(connection: &Connection, ids: &[TaskId]) -> rusqlite::Result<Vec<StoredTask>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {TASK_COLUMNS}, p.payload, r.result FROM tasks t LEFT JOIN task_payloads p ON p.n = t.n \
         LEFT JOIN task_results r ON r.n = t.n WHERE t.id = ?1"
    ))?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let row = statement.query_row([id.as_str()], read_task).optional()?;
        found.extend(row.map(|(_, task)| task));
    }
    Ok(found)
}

/// The tasks that live tasks which were handed out have asked for: parent and child.
///
/// # Errors
/// What SQLite says.
pub(super) fn children(connection: &Connection) -> rusqlite::Result<Vec<(TaskId, TaskId)>> {
    let mut statement = connection.prepare(CHILDREN)?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, Parsed<_>>(0)?.0, row.get::<_, Parsed<_>>(1)?.0))
    })?;
    rows.collect()
}

/// Reads [`children`]: live tasks by the index of their states, and those under each by the index of its tree.
pub(super) const CHILDREN: &str = "SELECT p.id, c.id FROM tasks p CROSS JOIN tasks c \
    ON c.root = coalesce(p.root, p.id) AND c.parent = p.id WHERE p.state <> 'completed' \
    AND p.state IN ('pending', 'assigned', 'input_required') AND p.attempt > 0";

/// The number of a task's row, if there is such a task.
///
/// # Errors
/// What SQLite says.
pub(super) fn number(connection: &Connection, id: &TaskId) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT n FROM tasks WHERE id = ?1")?;
    let found = statement.query_row([id.as_str()], |row| row.get(0));
    found.optional()
}

/// The task that its submitter named so.
///
/// # Errors
/// What SQLite says.
pub(super) fn find_key(
    connection: &Connection,
    key: &TaskKey,
) -> rusqlite::Result<Option<StoredTask>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {TASK_COLUMNS}, p.payload, r.result FROM tasks t LEFT JOIN task_payloads p ON p.n = t.n \
         LEFT JOIN task_results r ON r.n = t.n WHERE t.submitter = ?1 AND t.idempotency_key = ?2"
    ))?;
    let row = statement
        .query_row(params![key.submitter.as_str(), key.key], read_task)
        .optional()?;
    Ok(row.map(|(_, task)| task))
}

/// Numbers of the oldest and newest event kept; `None` before the first.
///
/// # Errors
/// What SQLite says.
pub(super) fn event_bounds(connection: &Connection) -> rusqlite::Result<Option<(u64, u64)>> {
    let mut statement = connection.prepare_cached("SELECT min(seq), max(seq) FROM events")?;
    let bounds: (Option<i64>, Option<i64>) =
        statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(bounds
        .0
        .zip(bounds.1)
        .map(|(first, last)| (first.cast_unsigned(), last.cast_unsigned())))
}

/// Up to `limit` events after `after`, oldest first.
///
/// # Errors
/// What SQLite says.
pub(super) fn events_after(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<EventRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, at_ms, body FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![int(after), limit], read_event)?;
    rows.collect()
}

/// Up to `limit` events of the task in row `task_n` after `after`, oldest first.
///
/// # Errors
/// What SQLite says.
pub(super) fn history(
    connection: &Connection,
    task_n: i64,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<EventRow>> {
    let mut statement = connection.prepare_cached(HISTORY)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![task_n, int(after), limit], read_event)?;
    rows.collect()
}

/// Reads [`history`].
pub(super) const HISTORY: &str =
    "SELECT seq, at_ms, body FROM events WHERE task_n = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";

fn read_event(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    let (seq, at_ms): (i64, i64) = (row.get(0)?, row.get(1)?);
    let body = row.get_ref(2)?.as_str()?;
    // The body is JSON that this registry wrote: the record is put together without parsing it.
    Ok(EventRow {
        seq: seq.cast_unsigned(),
        record: format!(r#"{{"seq":{seq},"at_ms":{at_ms},"event":{body}}}"#),
    })
}

/// Number of tasks in each state.
///
/// # Errors
/// What SQLite says.
pub(super) fn tasks_by_state(connection: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    let sql = "SELECT state, count(*) FROM tasks WHERE state <> 'completed' GROUP BY state \
               UNION ALL SELECT 'all', count(*) FROM tasks";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use seamesh_proto::Now;
    use seamesh_proto::events::{MeshEvent, StaleResult};
    use seamesh_proto::task::Outcome;
    use seamesh_registry_core::contract::pending_task;
    use seamesh_registry_core::store::{Batch, Write};
    use serde_json::json;

    use super::super::database::Database;
    use super::*;

    fn changed(task: &StoredTask) -> Batch {
        let write = Write::PutTask {
            expected: task.version - 1,
            task: Box::new(task.clone()),
        };
        Batch {
            at: Now(1),
            writes: vec![write],
            events: vec![MeshEvent::TaskChanged(Box::new(task.summary()))],
        }
    }

    #[test]
    fn a_task_has_its_own_events_also_those_that_come_without_a_write_of_it_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.db");
        let mut database = Database::open(&path, vec![], None).unwrap();
        let reading = Connection::open(&path).unwrap();
        let seqs = |id: &str| -> Vec<u64> {
            let n = number(&reading, &id.parse().unwrap()).unwrap().unwrap();
            let rows = history(&reading, n, 0, 99).unwrap();
            rows.iter().map(|row| row.seq).collect()
        };
        let mut task = pending_task("a");
        let other = pending_task("b");
        database
            .commit([&changed(&task), &changed(&other)], [])
            .unwrap();
        task.version += 1;
        task.updated_ms = 50;
        task.state = TaskState::Completed;
        task.outcome = Some(Outcome::completed(json!("x")));
        let stale = MeshEvent::StaleResult(StaleResult {
            task_id: task.spec.id.clone(),
            lease: 1,
            peer_id: "p".parse().unwrap(),
        });
        let late = Batch {
            at: Now(2),
            writes: vec![],
            events: vec![stale],
        };
        database.commit([&changed(&task), &late], []).unwrap();
        assert_eq!(seqs("a"), [1, 3, 4]);
        assert_eq!(seqs("b"), [2]);

        // The newest task leaves, and the next one gets the number of its row: not its events.
        let mut ended = pending_task("c");
        ended.state = TaskState::Completed;
        ended.outcome = Some(Outcome::completed(json!("x")));
        ended.updated_ms = 1;
        database.commit([&changed(&ended)], []).unwrap();
        let n = number(&reading, &ended.spec.id).unwrap();
        database.drop_ended(Now(2)).unwrap();
        database.commit([&changed(&pending_task("d"))], []).unwrap();
        assert_eq!(number(&reading, &"d".parse().unwrap()).unwrap(), n);
        assert_eq!(seqs("d"), [6]);
    }
}

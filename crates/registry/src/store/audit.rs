//! The audit's table: records are added, with the transaction of what they record, and never touched again.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use seamesh_identity::Chain;
use seamesh_proto::audit::AuditRecord;

use super::rows::int;
use crate::audit::Entry;

/// The end of the chain.
///
/// # Errors
/// What SQLite says.
pub(super) fn chain(connection: &Connection) -> rusqlite::Result<Chain> {
    let sql = "SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1";
    let last = connection.query_row(sql, [], |row| {
        Ok(Chain {
            last: row.get::<_, i64>(0)?.cast_unsigned(),
            head: row.get(1)?,
        })
    });
    Ok(last.optional()?.unwrap_or_default())
}

/// Adds a record at the end of the chain.
///
/// # Errors
/// What SQLite says.
pub(super) fn append(
    transaction: &Transaction<'_>,
    chain: &mut Chain,
    entry: &Entry,
) -> rusqlite::Result<()> {
    let record = chain.seal(entry.record());
    let mut insert =
        transaction.prepare_cached("INSERT INTO audit (n, body, hash) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![int(record.n), record.sealed_text(), record.hash])?;
    Ok(())
}

/// Up to `limit` records above `after`, oldest first; with `newest` those below `after`, newest first. One that cannot
/// be read any more is an error with its number.
///
/// # Errors
/// What SQLite says.
pub(super) fn page(
    connection: &Connection,
    after: Option<u64>,
    limit: usize,
    newest: bool,
) -> rusqlite::Result<Vec<Result<AuditRecord, u64>>> {
    let sql = if newest {
        "SELECT n, body, hash FROM audit WHERE n < ?1 ORDER BY n DESC LIMIT ?2"
    } else {
        "SELECT n, body, hash FROM audit WHERE n > ?1 ORDER BY n LIMIT ?2"
    };
    let bound = match after {
        Some(after) => int(after),
        None if newest => i64::MAX,
        None => 0,
    };
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(
        params![bound, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| {
            let n = row.get::<_, i64>(0)?.cast_unsigned();
            Ok(read(n, &row.get::<_, String>(1)?, row.get(2)?).ok_or(n))
        },
    )?;
    rows.collect()
}

/// The record whose text this is; `None` when it was made by something else than [`append`].
fn read(n: u64, body: &str, hash: String) -> Option<AuditRecord> {
    let mut value: serde_json::Value = serde_json::from_str(body).ok()?;
    value
        .as_object_mut()?
        .insert("hash".to_owned(), hash.into());
    let mut record: AuditRecord = serde_json::from_value(value).ok()?;
    if record.sealed_text() != body {
        return None;
    }
    // Where it stands counts, not what it says: a check finds out when the two differ.
    record.n = n;
    Some(record)
}

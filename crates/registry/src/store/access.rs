//! Tables of the shell's own: API keys and sessions.

use rusqlite::{Connection, Transaction, params};
use seamesh_proto::rest::Role;
use seamesh_proto::{Now, PeerId};

use super::rows::{Parsed, Word, int};
use crate::audit::Entry;
use crate::keyring::{Key, Origin};
use crate::password::{PASSWORD_CREDENTIAL, Password};
use crate::secret::SecretHash;
use crate::session::{Grant, Session};

/// A change of the shell's own tables.
#[derive(Clone, Debug)]
pub(crate) enum AccessWrite {
    /// A new API key.
    InsertKey(Key),
    /// An API key is revoked, with every session that came from it.
    RemoveKey {
        /// Its hash.
        hash: SecretHash,
        /// Its id, which sessions name.
        key_id: String,
    },
    /// A session begins. Expired ones are dropped on the way.
    InsertSession {
        /// The session.
        session: Session,
        /// The present.
        now: Now,
    },
    /// A session ends.
    RemoveSession(SecretHash),
    /// An API key ends by itself later.
    EndKey {
        /// Its hash.
        hash: SecretHash,
        /// When.
        expires: Now,
    },
    /// A password is set; the sessions that came from the one before end.
    SetPassword {
        /// Whose.
        peer_id: PeerId,
        /// What is kept of it.
        password: Password,
    },
    /// A decision, for the audit. Belongs to what is written with it.
    Audit(Entry),
}

/// The API keys that were made here.
///
/// # Errors
/// What SQLite says.
pub(super) fn keys(connection: &Connection) -> rusqlite::Result<Vec<Key>> {
    let mut statement = connection
        .prepare("SELECT hash, key_id, peer_id, role, created_ms, expires_ms FROM api_keys")?;
    let keys = statement.query_map([], |row| {
        Ok(Key {
            hash: row.get(0)?,
            key_id: row.get(1)?,
            peer_id: row.get::<_, Parsed<_>>(2)?.0,
            role: row.get::<_, Word<Role>>(3)?.0,
            created_ms: row.get::<_, i64>(4)?.cast_unsigned(),
            expires: row
                .get::<_, Option<i64>>(5)?
                .map(|ms| Now(ms.cast_unsigned())),
            origin: Origin::Made,
        })
    })?;
    keys.collect()
}

/// The passwords that were set.
///
/// # Errors
/// What SQLite says.
pub(super) fn passwords(connection: &Connection) -> rusqlite::Result<Vec<(PeerId, Password)>> {
    let mut statement =
        connection.prepare("SELECT peer_id, salt, memory_kib, passes, hash FROM passwords")?;
    let passwords = statement.query_map([], |row| {
        let password = Password {
            salt: row.get(1)?,
            memory_kib: row.get(2)?,
            passes: row.get(3)?,
            hash: row.get(4)?,
        };
        Ok((row.get::<_, Parsed<_>>(0)?.0, password))
    })?;
    passwords.collect()
}

/// The sessions that have not ended by `now`.
///
/// # Errors
/// What SQLite says.
pub(super) fn sessions(connection: &Connection, now: Now) -> rusqlite::Result<Vec<Session>> {
    let mut statement = connection.prepare(
        "SELECT hash, peer_id, role, credential, expires_ms FROM sessions WHERE expires_ms > ?1",
    )?;
    let sessions = statement.query_map([int(now.0)], |row| {
        Ok(Session {
            hash: row.get(0)?,
            grant: Grant {
                peer_id: row.get::<_, Parsed<_>>(1)?.0,
                role: row.get::<_, Word<Role>>(2)?.0,
                credential: row.get(3)?,
            },
            expires: Now(row.get::<_, i64>(4)?.cast_unsigned()),
        })
    })?;
    sessions.collect()
}

/// Writes a change.
///
/// # Errors
/// What SQLite says.
pub(super) fn apply(transaction: &Transaction<'_>, write: &AccessWrite) -> rusqlite::Result<()> {
    match write {
        AccessWrite::InsertKey(key) => {
            transaction.execute(
                "INSERT INTO api_keys (hash, key_id, peer_id, role, created_ms) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    key.hash,
                    key.key_id,
                    key.peer_id.as_str(),
                    role_text(key.role),
                    int(key.created_ms)
                ],
            )?;
        }
        AccessWrite::RemoveKey { hash, key_id } => {
            transaction.execute("DELETE FROM api_keys WHERE hash = ?1", [hash])?;
            transaction.execute("DELETE FROM sessions WHERE credential = ?1", [key_id])?;
        }
        AccessWrite::InsertSession { session, now } => {
            transaction.execute("DELETE FROM sessions WHERE expires_ms <= ?1", [int(now.0)])?;
            transaction.execute(
                "INSERT INTO sessions (hash, peer_id, role, credential, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    session.hash,
                    session.grant.peer_id.as_str(),
                    role_text(session.grant.role),
                    session.grant.credential,
                    int(session.expires.0)
                ],
            )?;
        }
        AccessWrite::EndKey { hash, expires } => {
            let sql = "UPDATE api_keys SET expires_ms = ?2 WHERE hash = ?1";
            transaction.execute(sql, params![hash, int(expires.0)])?;
        }
        AccessWrite::SetPassword { peer_id, password } => {
            transaction.execute(
                "INSERT OR REPLACE INTO passwords (peer_id, salt, memory_kib, passes, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    peer_id.as_str(),
                    password.salt,
                    password.memory_kib,
                    password.passes,
                    password.hash
                ],
            )?;
            let sql = "DELETE FROM sessions WHERE peer_id = ?1 AND credential = ?2";
            transaction.execute(sql, params![peer_id.as_str(), PASSWORD_CREDENTIAL])?;
        }
        // Whoever commits gives it its place in the chain.
        AccessWrite::Audit(_) => {}
        AccessWrite::RemoveSession(hash) => {
            transaction.execute("DELETE FROM sessions WHERE hash = ?1", [hash])?;
        }
    }
    Ok(())
}

fn role_text(role: Role) -> &'static str {
    match role {
        Role::Agent => "agent",
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

//! Dashboard sessions and the one-time codes of login links.
//!
//! Both are random secrets known here by their hash. Sessions are kept in the store, so a restarted registry does not
//! log anybody out; codes live in memory only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use seamesh_proto::limits::{LOGIN_LINK_TTL_S, SESSION_TTL_S};
use seamesh_proto::rest::Role;
use seamesh_proto::{Now, PeerId};

use crate::secret::{self, SecretHash};

/// Name of the session cookie.
pub(crate) const SESSION_COOKIE: &str = "seamesh_session";

/// Most sessions at once. A team of a thousand with ten browsers each; a loop that logs in is refused beyond.
pub(crate) const MAX_SESSIONS: usize = 10_000;

/// Most unused login codes at once; the oldest gives way.
const MAX_LOGIN_CODES: usize = 256;

/// Whom a session or a login code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The peer.
    pub peer_id: PeerId,
    /// Its role.
    pub role: Role,
    /// Id of the credential it came from: revoking that ends the session.
    pub credential: String,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// SHA-256 of the cookie's secret.
    pub hash: SecretHash,
    /// Whom it stands for.
    pub grant: Grant,
    /// When it ends.
    pub expires: Now,
}

impl Session {
    /// A session that begins now.
    pub(crate) fn begin(hash: SecretHash, grant: Grant, now: Now) -> Self {
        Self {
            hash,
            grant,
            expires: now.plus(SESSION_TTL_S * 1000),
        }
    }

    /// What names it in lists: 48 bits of the secret's hash, useless for guessing it.
    pub(crate) fn id(&self) -> String {
        format!("session-{}", secret::short_name(&self.hash))
    }

    /// When it began.
    pub(crate) fn began(&self) -> Now {
        Now(self.expires.0.saturating_sub(SESSION_TTL_S * 1000))
    }
}

#[derive(Default)]
struct Tables {
    sessions: HashMap<SecretHash, Session>,
    codes: HashMap<SecretHash, (Grant, Now)>,
}

/// Every live session and unused login code.
#[derive(Default)]
pub(crate) struct Sessions {
    tables: Mutex<Tables>,
}

impl Sessions {
    /// Sessions as the store has them.
    pub(crate) fn new(sessions: impl IntoIterator<Item = Session>) -> Self {
        let sessions = sessions.into_iter().map(|s| (s.hash, s)).collect();
        Self {
            tables: Mutex::new(Tables {
                sessions,
                codes: HashMap::new(),
            }),
        }
    }

    /// The live session with this secret.
    pub(crate) fn find(&self, hash: &SecretHash, now: Now) -> Option<Session> {
        let tables = self.lock();
        let session = tables.sessions.get(hash)?;
        (session.expires > now).then(|| session.clone())
    }

    /// Every live session, in no order.
    pub(crate) fn live(&self, now: Now) -> Vec<Session> {
        let tables = self.lock();
        let live = tables.sessions.values().filter(|s| s.expires > now);
        live.cloned().collect()
    }

    /// Whether one more session may begin. Forgets expired ones first.
    pub(crate) fn has_room(&self, now: Now) -> bool {
        let mut tables = self.lock();
        tables.sessions.retain(|_, s| s.expires > now);
        tables.sessions.len() < MAX_SESSIONS
    }

    /// Adds a session that the store has.
    pub(crate) fn insert(&self, session: Session) {
        self.lock().sessions.insert(session.hash, session);
    }

    /// Ends a session.
    pub(crate) fn remove(&self, hash: &SecretHash) {
        self.lock().sessions.remove(hash);
    }

    /// Ends every session and code of a credential.
    pub(crate) fn remove_credential(&self, credential: &str) {
        let mut tables = self.lock();
        tables
            .sessions
            .retain(|_, s| s.grant.credential != credential);
        tables
            .codes
            .retain(|_, (grant, _)| grant.credential != credential);
    }

    /// Adds a one-time login code, good for [`LOGIN_LINK_TTL_S`] seconds.
    pub(crate) fn insert_code(&self, hash: SecretHash, grant: Grant, now: Now) {
        let mut tables = self.lock();
        tables.codes.retain(|_, (_, expires)| *expires > now);
        if tables.codes.len() >= MAX_LOGIN_CODES {
            let oldest = tables.codes.iter().min_by_key(|(_, (_, expires))| *expires);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                tables.codes.remove(&oldest);
            }
        }
        let expires = now.plus(LOGIN_LINK_TTL_S * 1000);
        tables.codes.insert(hash, (grant, expires));
    }

    /// Uses a login code up.
    pub(crate) fn take_code(&self, hash: &SecretHash, now: Now) -> Option<Grant> {
        let (grant, expires) = self.lock().codes.remove(hash)?;
        (expires > now).then_some(grant)
    }

    // No panic can happen while the lock is held, so a poisoned lock still holds whole tables.
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(credential: &str) -> Grant {
        Grant {
            peer_id: "p".parse().unwrap(),
            role: Role::Viewer,
            credential: credential.into(),
        }
    }

    #[test]
    fn a_session_ends_on_time() {
        let sessions = Sessions::default();
        let now = Now(1_000);
        sessions.insert(Session::begin([1; 32], grant("k"), now));
        let end = now.plus(SESSION_TTL_S * 1000);
        assert!(sessions.find(&[1; 32], Now(end.0 - 1)).is_some());
        assert!(sessions.find(&[1; 32], end).is_none());
    }

    #[test]
    fn a_login_code_works_once_and_for_fifteen_minutes() {
        let sessions = Sessions::default();
        let now = Now(1_000);
        sessions.insert_code([1; 32], grant("k"), now);
        assert!(sessions.take_code(&[1; 32], now).is_some());
        assert!(sessions.take_code(&[1; 32], now).is_none());
        sessions.insert_code([2; 32], grant("k"), now);
        assert!(sessions.take_code(&[2; 32], now.plus(900_000)).is_none());
    }

    #[test]
    fn revoking_a_credential_ends_its_sessions_and_codes_and_no_others() {
        let sessions = Sessions::default();
        let now = Now(0);
        sessions.insert(Session::begin([1; 32], grant("bad"), now));
        sessions.insert(Session::begin([2; 32], grant("good"), now));
        sessions.insert_code([3; 32], grant("bad"), now);
        sessions.remove_credential("bad");
        assert!(sessions.find(&[1; 32], now).is_none());
        assert!(sessions.find(&[2; 32], now).is_some());
        assert!(sessions.take_code(&[3; 32], now).is_none());
    }

    #[test]
    fn unused_login_codes_are_bounded_and_the_oldest_gives_way() {
        let sessions = Sessions::default();
        let code = |n: usize| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            hash
        };
        for n in 0..=MAX_LOGIN_CODES {
            sessions.insert_code(code(n), grant("k"), Now(n as u64));
        }
        let now = Now(MAX_LOGIN_CODES as u64);
        assert!(sessions.take_code(&code(0), now).is_none());
        assert!(sessions.take_code(&code(1), now).is_some());
    }
}

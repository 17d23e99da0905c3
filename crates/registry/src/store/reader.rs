//! Reading connections, shared by everything that lists.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use seamesh_proto::TaskId;
use seamesh_proto::audit::AuditRecord;
use seamesh_proto::rest::TaskQuery;
use seamesh_registry_core::store::{Loaded, StoredTask, TaskKey};
use tokio::sync::Semaphore;

use super::StoreError;
use super::audit;
use super::database;
use super::disk::Settling;
use super::lists::{self, EventRow, Page};

/// Reads at once. More would only wait for the same disk; the rest queue up in order.
const MAX_READS: usize = 4;

/// Statements kept prepared on a connection: each combination of filters is one.
const STATEMENT_CACHE: usize = 64;

/// Milliseconds a read waits for a lock. Readers of a write-ahead log wait only while it is being recovered.
const BUSY_TIMEOUT_MS: u64 = 5_000;

/// Reads what is durable, off the runtime's thread.
#[derive(Clone)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    settling: Settling,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Reader {
    /// A reader of a database file that exists, and that nobody writes but the writer with this `settling`. Connections
    /// are opened when they are first needed.
    pub(super) fn new(path: &Path, settling: Settling) -> Self {
        Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                settling,
                idle: Mutex::new(Vec::new()),
                permits: Semaphore::new(MAX_READS),
            }),
        }
    }

    /// One page of tasks, newest first, all older than `before`; without `bodies`, without payloads and results.
    ///
    /// # Errors
    /// [`StoreError`], here and in every other read.
    pub(crate) async fn tasks(
        &self,
        query: TaskQuery,
        before: Option<i64>,
        limit: usize,
        bodies: bool,
    ) -> Result<Page, StoreError> {
        self.read(move |c| lists::tasks(c, &query, before, limit, bodies))
            .await
    }

    /// Those of the tasks that exist, and the one that its submitter named `key`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn find(
        &self,
        ids: Vec<TaskId>,
        key: Option<TaskKey>,
    ) -> Result<Vec<StoredTask>, StoreError> {
        self.read(move |c| {
            let mut found = lists::find(c, &ids)?;
            if let Some(key) = key {
                found.extend(lists::find_key(c, &key)?);
            }
            Ok(found)
        })
        .await
    }

    /// Up to `limit` events after `after`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn events_after(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        self.read(move |c| lists::events_after(c, after, limit))
            .await
    }

    /// Up to `limit` events of one task after `after`, oldest first; `None`: there is no such task.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn history(
        &self,
        task: TaskId,
        after: u64,
        limit: usize,
    ) -> Result<Option<Vec<EventRow>>, StoreError> {
        self.read(move |c| match lists::number(c, &task)? {
            Some(n) => lists::history(c, n, after, limit).map(Some),
            None => Ok(None),
        })
        .await
    }

    /// Numbers of the oldest and newest event kept; `None` before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn event_bounds(&self) -> Result<Option<(u64, u64)>, StoreError> {
        self.read(lists::event_bounds).await
    }

    /// Number of tasks in each state that is not `completed`, and of `all`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn tasks_by_state(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.read(lists::tasks_by_state).await
    }

    /// Up to `limit` records of the audit above `after`, or with `newest` below it. One that cannot be read any more is
    /// an error with its number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn audit(
        &self,
        after: Option<u64>,
        limit: usize,
        newest: bool,
    ) -> Result<Vec<Result<AuditRecord, u64>>, StoreError> {
        self.read(move |c| audit::page(c, after, limit, newest))
            .await
    }

    /// Every live entity.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn load(&self) -> Result<Loaded, StoreError> {
        self.read(database::load).await
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.shared.clone();
        let Ok(_permit) = self.shared.permits.acquire().await else {
            return Err(StoreError::Closed);
        };
        let work = move || {
            let connection = shared.take()?;
            let result = query(&connection);
            // A connection that failed may be in any state: the next read opens a new one.
            if result.is_ok() {
                shared.give_back(connection);
            }
            result
        };
        let read = tokio::task::spawn_blocking(work).await;
        self.shared.settling.settled().await;
        match read {
            Ok(result) => result.map_err(|error| {
                tracing::error!(%error, "a read of the store failed");
                StoreError::Failed(error.to_string())
            }),
            Err(error) => Err(StoreError::Failed(error.to_string())),
        }
    }
}

impl Shared {
    fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match idle {
            Some(connection) => Ok(connection),
            None => self.open(),
        }
    }

    fn give_back(&self, connection: Connection) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        Ok(connection)
    }
}

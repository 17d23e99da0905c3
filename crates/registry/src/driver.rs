//! The one task that owns the core: feeds it, and does what it says, in order.
//!
//! A commit is a barrier: outputs behind it are held until the writer reports it durable. Commands go on meanwhile, so
//! many commits are under way at once and share an fsync. When a commit fails, everything behind it is thrown away and
//! the core starts again from what the store holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::ws::Utf8Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::{Problem, seam};
use seamesh_registry_core::store::{Batch, StoredNewcomer, StoredTask, Write};
use seamesh_registry_core::{Core, Input, LookupId, Note, Output, RequestId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::Entry;
use crate::clock::Clock;
use crate::core_handle::{Answer, Command, CoreHandle};
use crate::devices::Devices;
use crate::metrics::Metrics;
use crate::sockets::Sockets;
use crate::store::{Progress, Reader, StoreError, Writer};

/// Commits under way before commands wait: bounds what a failing disk throws away.
const MAX_COMMITS_UNDER_WAY: usize = 1_024;

/// Writes in them before commands wait: bounds what is held in memory, some 2 kB each. One report of direct work may
/// bring a thousand, and four of them keep the writer busy.
const MAX_WRITES_UNDER_WAY: usize = 4_096;

/// Commands taken before their commits go to the writer: it writes them in one transaction.
const MAX_TOGETHER: usize = 128;

/// Milliseconds between two attempts to read the store back after it failed.
const RELOAD_RETRY_MS: u64 = 200;

/// What the driver works with.
pub(crate) struct Parts {
    /// The rules, loaded.
    pub core: Core,
    /// The clock.
    pub clock: Clock,
    /// Where batches go.
    pub writer: Writer,
    /// Where lookups and reloads read.
    pub reader: Reader,
    /// Where frames go.
    pub sockets: Arc<Sockets>,
    /// Told about every newcomer's change once it is durable.
    pub devices: Arc<Devices>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Starts the task. It ends after [`CoreHandle::stop`].
pub(crate) fn start(parts: Parts) -> (CoreHandle, tokio::task::JoinHandle<()>) {
    let (handle, queue) = CoreHandle::new();
    let driver = Driver {
        progress: parts.writer.progress(),
        parts,
        held: VecDeque::new(),
        under_way: 0,
        writes_under_way: 0,
        epoch: 0,
        last_number: 0,
        unsent: Vec::new(),
        unsent_audit: Vec::new(),
        deciding: None,
        answers: BTreeMap::new(),
        lookups: FuturesUnordered::new(),
    };
    (handle, tokio::spawn(driver.run(queue)))
}

/// An output that waits for a barrier, or the barrier.
enum Held {
    /// Everything behind waits for this batch.
    Barrier {
        number: u64,
        writes: usize,
        newcomers: Vec<StoredNewcomer>,
    },
    Output(Output),
}

type Found = (u64, LookupId, Result<Vec<StoredTask>, StoreError>);

struct Driver {
    parts: Parts,
    progress: watch::Receiver<Progress>,
    held: VecDeque<Held>,
    /// Barriers in `held`.
    under_way: usize,
    /// Writes behind them.
    writes_under_way: usize,
    /// Grows with every reload: the writer throws away what an older epoch decided.
    epoch: u64,
    last_number: u64,
    /// Commits that the writer shall get next; the last has `last_number`.
    unsent: Vec<Batch>,
    /// What the audit says of them.
    unsent_audit: Vec<Entry>,
    /// What the audit is to say of the request at hand, once it is decided.
    deciding: Option<Box<Entry>>,
    answers: BTreeMap<RequestId, oneshot::Sender<Answer>>,
    lookups: FuturesUnordered<BoxFuture<'static, Found>>,
}

impl Driver {
    async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        loop {
            self.drain();
            self.send_commits().await;
            let deadline = self.parts.core.next_deadline();
            let deadline = deadline.map(|(at, _)| self.parts.clock.instant(at));
            tokio::select! {
                biased;
                changed = self.progress.changed() => match changed {
                    Ok(()) => self.progressed(&mut queue).await,
                    Err(_) => return tracing::error!("the store's thread is gone"),
                },
                Some(found) = self.lookups.next() => self.found(found, &mut queue).await,
                () = sleep_until(deadline) => self.handle(Input::Tick),
                command = queue.recv(), if self.has_room() => match command {
                    Some(command) => if !self.take_all(command, &mut queue).await {
                        break;
                    },
                    None => break,
                },
            }
        }
        self.finish(queue).await;
    }

    /// Whether the store keeps up.
    fn has_room(&self) -> bool {
        self.under_way < MAX_COMMITS_UNDER_WAY && self.writes_under_way < MAX_WRITES_UNDER_WAY
    }

    fn handle(&mut self, input: Input) {
        if let Input::RequestGone { request } = &input {
            self.answers.remove(request);
        }
        let now = self.parts.clock.now();
        self.parts.core.handle(input, now);
    }

    /// Takes a command and those that wait behind it, so that their commits share a transaction. `false`: the driver
    /// shall stop.
    async fn take_all(&mut self, first: Command, queue: &mut mpsc::Receiver<Command>) -> bool {
        let mut has_yielded = false;
        let mut next = Some(first);
        let mut taken = 0;
        loop {
            match next {
                Some(Command::Stop) => return false,
                Some(command) => self.take(command),
                // The writer waits: it may as well wait until the connections that have something to read have read it.
                None if !has_yielded && self.is_writer_idle() => {
                    has_yielded = true;
                    tokio::task::yield_now().await;
                }
                None => return true,
            }
            self.drain();
            // What was refused wrote nothing.
            self.deciding = None;
            taken += 1;
            if taken == MAX_TOGETHER || !self.has_room() {
                return true;
            }
            next = queue.try_recv().ok();
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Input(input, _waited) => self.handle(*input),
            Command::Request {
                request,
                caller,
                op,
                audit,
                answer,
            } => {
                self.deciding = audit;
                self.answers.insert(request, answer);
                self.handle(Input::Request {
                    request,
                    caller,
                    op,
                });
            }
            // `take_all` took it.
            Command::Stop => {}
        }
    }

    /// Whether there are commits to write, and the writer has none yet.
    fn is_writer_idle(&self) -> bool {
        !self.unsent.is_empty() && self.under_way == self.unsent.len()
    }

    /// Takes every output of the core.
    fn drain(&mut self) {
        while let Some(output) = self.parts.core.poll() {
            match output {
                Output::Commit(batch) => self.commit(batch),
                output if self.held.is_empty() || is_urgent(&output) => self.perform(output),
                output => self.held.push_back(Held::Output(output)),
            }
        }
    }

    fn commit(&mut self, batch: Batch) {
        self.last_number += 1;
        let number = self.last_number;
        let newcomers = batch.writes.iter().filter_map(|write| match write {
            Write::PutNewcomer { newcomer, .. } => Some(StoredNewcomer::clone(newcomer)),
            _ => None,
        });
        if let Some(mut entry) = self.deciding.take() {
            if let (true, Some(made)) = (entry.about.is_empty(), newcomers.clone().next()) {
                entry.about = made.id;
                entry.detail = format!("as {}", made.peer_id);
            }
            self.unsent_audit.push(*entry);
        }
        let writes = batch.writes.len();
        self.held.push_back(Held::Barrier {
            number,
            writes,
            newcomers: newcomers.collect(),
        });
        self.under_way += 1;
        self.writes_under_way += writes;
        self.unsent.push(batch);
    }

    async fn send_commits(&mut self) {
        if !self.unsent.is_empty() {
            let batches = std::mem::take(&mut self.unsent);
            let audit = std::mem::take(&mut self.unsent_audit);
            let writer = &self.parts.writer;
            let sent = writer.commit(self.epoch, self.last_number, batches, audit);
            // The writer outlives the driver; a closed one is a registry that is being dropped.
            let _ = sent.await;
        }
    }

    /// The writer came further, or failed.
    async fn progressed(&mut self, queue: &mut mpsc::Receiver<Command>) {
        let progress = self.progress.borrow_and_update().clone();
        self.release(progress.durable);
        if progress.failed_epoch == Some(self.epoch) {
            self.recover(queue).await;
        }
    }

    /// Performs what waited for batches up to this one.
    fn release(&mut self, durable: u64) {
        loop {
            match self.held.pop_front() {
                Some(Held::Barrier {
                    number,
                    writes,
                    newcomers,
                }) if number <= durable => {
                    self.under_way -= 1;
                    self.writes_under_way -= writes;
                    newcomers.iter().for_each(|n| self.parts.devices.update(n));
                }
                Some(Held::Output(output)) => self.perform(output),
                Some(barrier) => return self.held.push_front(barrier),
                None => return,
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { to, frame, .. } => {
                let (me, sidecar) = (Party::Registry, Some(Party::Sidecar));
                if seam::said(Channel::Signaling, &frame.kind, me, sidecar) == 0 {
                    return;
                }
                let text = Utf8Bytes::from(frame.to_text());
                let cut = self.parts.sockets.send(&to, &text);
                self.parts
                    .metrics
                    .sockets_overflowed
                    .fetch_add(cut, Relaxed);
            }
            Output::Close { conn, problem } => {
                tracing::debug!(conn = conn.0, code = %problem.code, "closing a signaling socket");
                self.parts.sockets.close(conn, problem.code);
            }
            Output::Reply { request, result } => self.answer(request, result),
            Output::Lookup {
                lookup,
                task_ids,
                key,
            } => {
                let (reader, epoch) = (self.parts.reader.clone(), self.epoch);
                let find = async move { (epoch, lookup, reader.find(task_ids, key).await) };
                self.lookups.push(Box::pin(find));
            }
            Output::Note(note) => self.note(&note),
            // Commits are taken out in `drain`: they are never held and never performed.
            Output::Commit(_) => {}
        }
    }

    fn answer(&mut self, request: RequestId, result: Answer) {
        if let Some(answer) = self.answers.remove(&request) {
            // Who went away is not told.
            let _ = answer.send(result);
        }
    }

    async fn found(&mut self, (epoch, lookup, result): Found, queue: &mut mpsc::Receiver<Command>) {
        match result {
            // The core that asked is no more.
            _ if epoch != self.epoch => {}
            Ok(tasks) => self.handle(Input::Found { lookup, tasks }),
            // A store that cannot be read must not look like one that has nothing.
            Err(_) => {
                self.settle().await;
                self.recover(queue).await;
            }
        }
    }

    fn note(&self, note: &Note) {
        match note {
            Note::FrameRefused { peer, problem } => {
                self.parts.metrics.frames_refused.fetch_add(1, Relaxed);
                tracing::debug!(%peer, code = %problem.code, "refused a signaling frame");
            }
            Note::ForgedSender { peer } => {
                tracing::warn!(%peer, "a frame claimed another sender; dropped");
            }
            Note::StaleResult {
                task_id,
                lease,
                peer,
            } => {
                tracing::info!(%task_id, lease, %peer, "refused a result under a lease that is over");
            }
            Note::LeaseLapsed {
                task_id,
                lease,
                agent_id,
            } => {
                tracing::info!(%task_id, lease, %agent_id, "a lease ended without a result");
            }
            Note::TaskExpired { task_id } => tracing::info!(%task_id, "a task outlived its TTL"),
            Note::PairingLimited => tracing::warn!("an address tries too many pairing codes"),
        }
    }

    /// Throws away what was decided on an unwritten batch, and starts again from the store.
    async fn recover(&mut self, queue: &mut mpsc::Receiver<Command>) {
        let problem = Problem::from(StoreError::Failed(String::new()));
        self.epoch += 1;
        self.under_way = 0;
        self.writes_under_way = 0;
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Output(Output::Reply { request, .. }) => {
                    self.answer(request, Err(problem.clone()));
                }
                Held::Output(output @ Output::Close { .. }) => self.perform(output),
                _ => {}
            }
        }
        let loaded = loop {
            match self.parts.reader.load().await {
                Ok(loaded) => break loaded,
                Err(_) => self.refuse_for_a_while(queue, &problem).await,
            }
        };
        self.parts.metrics.core_reloads.fetch_add(1, Relaxed);
        tracing::warn!("the store refused a commit; started again from what it holds");
        let now = self.parts.clock.now();
        self.parts.core.reload(loaded, &problem, now);
    }

    /// Nothing can be decided without the store: requests are refused, frames are dropped with their sockets.
    async fn refuse_for_a_while(&mut self, queue: &mut mpsc::Receiver<Command>, problem: &Problem) {
        let until = tokio::time::Instant::now() + std::time::Duration::from_millis(RELOAD_RETRY_MS);
        while let Ok(Some(command)) = tokio::time::timeout_at(until, queue.recv()).await {
            match command {
                Command::Request { answer, .. } => drop(answer.send(Err(problem.clone()))),
                Command::Input(input, _) => {
                    if let Input::Connected { conn, .. } = *input {
                        self.parts.sockets.close(conn, problem.code);
                    }
                }
                Command::Stop => return,
            }
        }
    }

    /// Takes no more commands; what is under way becomes durable and is answered.
    async fn finish(mut self, queue: mpsc::Receiver<Command>) {
        drop(queue);
        self.send_commits().await;
        self.settle().await;
    }

    /// Waits until every commit under way is durable, or one failed.
    async fn settle(&mut self) {
        while !self.held.is_empty() {
            if self.progress.changed().await.is_err() {
                return;
            }
            let progress = self.progress.borrow_and_update().clone();
            self.release(progress.durable);
            if progress.failed_epoch == Some(self.epoch) {
                return;
            }
        }
    }
}

fn is_urgent(output: &Output) -> bool {
    matches!(output, Output::Send { urgent: true, .. })
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use seamesh_proto::rest::Role;
    use seamesh_proto::task::SubmitTask;
    use seamesh_registry_core::{Caller, Config, Op, Reply};

    use super::*;
    use crate::store::Database;

    #[tokio::test]
    async fn commands_that_wait_together_are_answered_after_one_fsync() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.db");
        let database = Database::open(&path, vec![], None).unwrap();
        let loaded = database.load().unwrap();
        let (writer, thread) = Writer::start(database).unwrap();
        let clock = Clock::start();
        let (handle, driver) = start(Parts {
            core: Core::new(Config { seed: [7; 32] }, loaded, clock.now()),
            clock,
            writer: writer.clone(),
            reader: writer.reader(&path),
            sockets: Arc::default(),
            devices: Arc::new(Devices::new(&[])),
            metrics: Arc::default(),
        });
        let submit = |n: usize| {
            let handle = handle.clone();
            let task = SubmitTask {
                skill: format!("s{n}"),
                ..SubmitTask::default()
            };
            async move {
                let caller = Caller {
                    peer: "p".parse().unwrap(),
                    role: Role::Operator,
                };
                handle
                    .call(caller, Op::SubmitTask(Box::new(task)), None)
                    .await
            }
        };
        let asked = (0..32).map(submit);
        for answer in futures_util::future::join_all(asked).await {
            assert!(matches!(answer, Ok(Reply::Submitted(_))), "{answer:?}");
        }
        let counters = writer.counters();
        assert_eq!(counters.commits.load(Relaxed), 32);
        assert_eq!(counters.fsyncs.load(Relaxed), 1);
        handle.stop().await;
        driver.await.unwrap();
        writer.close().await;
        thread.join().unwrap();
    }
}

//! What handlers stream to whoever reads over HTTP. The sidecar of the handler keeps what was not taken, and holds the handler
//! back when that is much; here only a window of it stands, for as long as somebody reads.

use std::collections::{BTreeMap, VecDeque};

use seamesh_proto::limits::{STREAM_READER_MS, STREAM_WINDOW};
use seamesh_proto::rest::{ChunkPage, ChunksQuery, Role};
use seamesh_proto::talk::{Chunk, TaskInput};
use seamesh_proto::{Code, PeerId, Problem, TaskId};

use crate::dispatch::Core;
use crate::io::{Caller, Reply, RequestId};
use crate::limits::{MAX_CHUNKS_KEPT, MAX_WAIT_MS, MAX_WAITERS};
use crate::lookups::Ask;
use crate::store::StoredTask;
use crate::talk::Haste;
use crate::tasks::unknown_task;
use crate::timers::Timer;

/// Milliseconds a read waits when it does not say.
const DEFAULT_READ_MS: u64 = 30_000;

/// Chunks of one stream that are kept: its window, and its end.
const KEPT: usize = STREAM_WINDOW as usize + 1;

/// The streams that are read, and for a while those that were.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    by_task: BTreeMap<TaskId, Stream>,
    reading: BTreeMap<RequestId, TaskId>,
    /// Chunks in all of them.
    kept: usize,
}

#[derive(Debug)]
struct Stream {
    submitter: PeerId,
    attempt: u32,
    /// The newest chunks, without gaps.
    chunks: VecDeque<Chunk>,
    /// Number of the chunk that comes next.
    next: u64,
    /// Nothing comes any more.
    ended: bool,
    /// Its reader takes chunks, and is waited for.
    is_taken: bool,
    /// Its reader did not come back: chunks are taken for it.
    is_deserted: bool,
    /// Requests that wait, each with the number of the chunk it wants first.
    readers: BTreeMap<RequestId, u64>,
}

impl Stream {
    fn page(&self, from: u64) -> ChunkPage {
        let chunks = self.chunks.iter().filter(|c| c.index >= from);
        let chunks: Vec<Chunk> = chunks.cloned().collect();
        ChunkPage {
            attempt: self.attempt,
            next: chunks.last().map_or(from, |c| c.index + 1),
            chunks,
            ended: self.ended,
        }
    }

    /// Whether chunks from `from` on were there once and are not here.
    fn lacks(&self, from: u64) -> bool {
        let has = self.chunks.front().is_some_and(|c| c.index <= from);
        from != self.next && !(has && from < self.next)
    }

    /// Another attempt begins its stream anew.
    fn begin(&mut self, attempt: u32) {
        self.attempt = attempt;
        self.chunks.clear();
        self.next = 0;
        self.ended = false;
        self.readers.values_mut().for_each(|from| *from = 0);
    }

    /// `false`: it came before.
    fn take(&mut self, chunk: &Chunk) -> bool {
        let first = self.chunks.front().map_or(self.next, |c| c.index);
        if (first..self.next).contains(&chunk.index) {
            return false;
        }
        if chunk.index != self.next {
            self.chunks.clear();
        }
        if self.chunks.len() == KEPT {
            self.chunks.pop_front();
        }
        self.next = chunk.index + 1;
        self.ended = chunk.last;
        self.chunks.push_back(chunk.clone());
        true
    }
}

impl Streams {
    /// Every request that waits.
    pub(crate) fn reading(&self) -> impl Iterator<Item = RequestId> + '_ {
        self.reading.keys().copied()
    }

    pub(crate) fn reading_len(&self) -> usize {
        self.reading.len()
    }

    /// Forgets a request that waited; answers its page as it stands.
    pub(crate) fn stop_reading(&mut self, request: RequestId) -> Option<ChunkPage> {
        let id = self.reading.remove(&request)?;
        let stream = self.by_task.get_mut(&id)?;
        let from = stream.readers.remove(&request)?;
        Some(stream.page(from))
    }

    /// Changes a stream, and keeps count of the chunks.
    fn change<T>(&mut self, id: &TaskId, change: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        let stream = self.by_task.get_mut(id)?;
        self.kept -= stream.chunks.len();
        let result = change(stream);
        if self.kept + stream.chunks.len() > MAX_CHUNKS_KEPT && stream.readers.is_empty() {
            stream.chunks.clear();
        }
        self.kept += stream.chunks.len();
        Some(result)
    }

    fn remove(&mut self, id: &TaskId) {
        if let Some(stream) = self.by_task.remove(id) {
            self.kept -= stream.chunks.len();
        }
    }
}

impl Core {
    /// `GET /api/hub/tasks/{id}/chunks`.
    pub(crate) fn read_chunks(
        &mut self,
        request: RequestId,
        caller: Caller,
        id: &TaskId,
        read: ChunksQuery,
    ) {
        let Some(live) = self.tasks.get(id) else {
            return match self.streams.by_task.get(id) {
                // It ended a moment ago: what was not read yet is still here.
                Some(stream) => {
                    let result = may_read(&caller, &stream.submitter);
                    let result =
                        result.map(|()| Reply::Chunks(Box::new(stream.page(from(stream, &read)))));
                    self.out.reply(request, result);
                }
                None => self.look_up(vec![id.clone()], Ask::Chunks(request, caller, read)),
            };
        };
        let spec = &live.task.spec;
        let checked = may_read(&caller, &spec.submitter).and_then(|()| match spec.listens.stream {
            true => Ok(()),
            false => Err(not_streamed()),
        });
        let checked = checked.and_then(|()| match self.waiters() < MAX_WAITERS {
            true => Ok(()),
            false => Err(Problem::new(
                Code::Overloaded,
                format!("{MAX_WAITERS} requests wait already"),
            )),
        });
        if let Err(problem) = checked {
            return self.out.reply(request, Err(problem));
        }
        // A sidecar that asked takes the chunks itself: whoever else reads only looks on.
        let has_sidecar = self.relay.native_route(&spec.submitter).is_some();
        let takes = !has_sidecar
            && (caller.peer == spec.submitter
                || (spec.by_operator && caller.role >= Role::Operator));
        let (submitter, attempt) = (spec.submitter.clone(), live.task.attempt);
        let wait_ms = read.timeout_ms.unwrap_or(DEFAULT_READ_MS).min(MAX_WAIT_MS);
        self.open_stream(id, submitter, attempt);
        let Some((page, input, is_waited_for)) = self.streams.change(id, |stream| {
            let from = from(stream, &read);
            stream.is_taken |= takes;
            stream.is_deserted &= !takes;
            let page = stream.page(from);
            let again = stream.lacks(from);
            let input = TaskInput {
                taken: Some(from),
                again,
                ..TaskInput::default()
            };
            if page.chunks.is_empty() && !page.ended {
                stream.readers.insert(request, from);
            }
            let input = (takes && (from > 0 || again)).then_some(input);
            // Whoever only looks on must not hold the handler up.
            (page, input, takes || !stream.is_taken)
        }) else {
            return;
        };
        let until = self.now.plus(wait_ms);
        if is_waited_for {
            let gone = until.plus(STREAM_READER_MS);
            self.timers.set(Timer::Reader(id.clone()), gone);
        }
        if let Some(input) = input {
            self.tell_any_holder(id, input, Haste::Urgent);
        }
        if !page.chunks.is_empty() || page.ended {
            return self.out.reply(request, Ok(Reply::Chunks(Box::new(page))));
        }
        self.streams.reading.insert(request, id.clone());
        self.timers.set(Timer::Chunks(request), until);
    }

    fn open_stream(&mut self, id: &TaskId, submitter: PeerId, attempt: u32) {
        let stream = self
            .streams
            .by_task
            .entry(id.clone())
            .or_insert_with(|| Stream {
                submitter,
                attempt,
                chunks: VecDeque::new(),
                next: 0,
                ended: false,
                is_taken: false,
                is_deserted: false,
                readers: BTreeMap::new(),
            });
        if stream.attempt != attempt {
            self.streams.change(id, |stream| stream.begin(attempt));
        }
    }

    /// The handler of a task streamed a chunk.
    pub(crate) fn streamed(&mut self, id: &TaskId, chunk: &Chunk) {
        let Some(live) = self.tasks.get(id) else {
            return;
        };
        let (spec, attempt) = (&live.task.spec, live.task.attempt);
        let is_known = self.streams.by_task.contains_key(id);
        if !is_known && !spec.by_operator {
            return;
        }
        let (submitter, by_operator) = (spec.submitter.clone(), spec.by_operator);
        if !is_known {
            // Whoever asked over HTTP gets the time to come and read.
            let until = self.now.plus(STREAM_READER_MS);
            self.timers.set(Timer::Reader(id.clone()), until);
        }
        self.open_stream(id, submitter, attempt);
        let is_new = self.streams.change(id, |stream| {
            stream.is_taken |= by_operator;
            stream.take(chunk)
        });
        self.answer_readers(id);
        let taken = self.streams.change(id, |stream| {
            let taken = stream.is_deserted.then_some(stream.next);
            if stream.is_deserted {
                stream.chunks.clear();
            }
            taken
        });
        if let Some(taken) = taken.flatten().filter(|_| is_new == Some(true)) {
            self.take_for_nobody(id, taken);
        }
    }

    fn take_for_nobody(&mut self, id: &TaskId, taken: u64) {
        let input = TaskInput {
            taken: Some(taken),
            ..TaskInput::default()
        };
        self.tell_any_holder(id, input, Haste::Urgent);
    }

    /// Answers those for whom there is something.
    fn answer_readers(&mut self, id: &TaskId) {
        let answers = self.streams.change(id, |stream| {
            let pages = stream
                .readers
                .iter()
                .map(|(r, from)| (*r, stream.page(*from)));
            let ready = |(_, page): &(RequestId, ChunkPage)| !page.chunks.is_empty() || page.ended;
            let answers: Vec<_> = pages.filter(ready).collect();
            for (request, _) in &answers {
                stream.readers.remove(request);
            }
            answers
        });
        for (request, page) in answers.into_iter().flatten() {
            self.streams.reading.remove(&request);
            self.timers.cancel(&Timer::Chunks(request));
            self.out.reply(request, Ok(Reply::Chunks(Box::new(page))));
        }
    }

    /// A request for chunks has its time up.
    pub(crate) fn read_ended(&mut self, request: RequestId) {
        if let Some(page) = self.streams.stop_reading(request) {
            self.out.reply(request, Ok(Reply::Chunks(Box::new(page))));
        }
    }

    /// The task of a stream ended. What was not read stays for a moment.
    pub(crate) fn stream_ended(&mut self, id: &TaskId) {
        let is_known = self.streams.change(id, |stream| stream.ended = true);
        if is_known.is_some() {
            self.answer_readers(id);
            let until = self.now.plus(STREAM_READER_MS);
            self.timers.set(Timer::Reader(id.clone()), until);
        }
    }

    /// Nobody read a stream for a while: it holds nobody up any more.
    pub(crate) fn deserted(&mut self, id: &TaskId) {
        let is_taken = self.streams.by_task.get(id).is_some_and(|s| s.is_taken);
        if !is_taken || !self.is_live(id) {
            return self.streams.remove(id);
        }
        let taken = self.streams.change(id, |stream| {
            stream.is_deserted = true;
            stream.chunks.clear();
            stream.next
        });
        self.take_for_nobody(id, taken.unwrap_or(0));
    }
}

/// The chunk that a read wants first.
fn from(stream: &Stream, read: &ChunksQuery) -> u64 {
    match read.attempt == Some(stream.attempt) {
        true => read.taken.unwrap_or(0),
        false => 0,
    }
}

/// What is told of the stream of a task that is in the store only.
pub(crate) fn chunks_of_ended(
    caller: &Caller,
    id: &TaskId,
    read: &ChunksQuery,
    found: Option<&StoredTask>,
) -> Result<Reply, Problem> {
    let task = found.ok_or_else(|| unknown_task(id))?;
    may_read(caller, &task.spec.submitter)?;
    Ok(Reply::Chunks(Box::new(ChunkPage {
        attempt: task.attempt,
        chunks: Vec::new(),
        next: read.taken.unwrap_or(0),
        ended: true,
    })))
}

fn may_read(caller: &Caller, submitter: &PeerId) -> Result<(), Problem> {
    match caller.role == Role::Agent && caller.peer != *submitter {
        true => Err(Problem::new(
            Code::Forbidden,
            "only its submitter, or a person, reads what a task's handler streams",
        )),
        false => Ok(()),
    }
}

fn not_streamed() -> Problem {
    let detail =
        "whoever asked for this task takes no chunks: submit it with `stream` to read them";
    Problem::new(Code::NotStreamed, detail)
}

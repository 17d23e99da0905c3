//! What handlers stream, read over HTTP.

use seamesh_proto::limits::{STREAM_READER_MS, STREAM_WINDOW};
use seamesh_proto::rest::{ChunkPage, ChunksQuery, Role};
use seamesh_proto::signaling::{ClientSignal, Heartbeat, RegistrySignal, TaskAssign, TaskNews};
use seamesh_proto::talk::{Listens, News, TaskInput};
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Code, Problem};
use seamesh_registry_core::{Caller, ConnId, Op, Reply, RequestId};
use serde_json::{Value, json};

use crate::world::{World, agent_role, id, lease, operator, peer, work};

struct Stream {
    world: World,
    worker: ConnId,
    assign: TaskAssign,
}

const STREAMED: Listens = Listens {
    stream: true,
    answers: false,
};

/// Task `t`, submitted over HTTP by an operator who reads its chunks, with `worker`.
fn stream() -> Stream {
    let mut world = World::new();
    let worker = world.agent("worker", &["work"]);
    world.submit(SubmitTask {
        listens: STREAMED,
        ..work("t", "work")
    });
    let assign = world.assigned(worker).remove(0);
    Stream {
        world,
        worker,
        assign,
    }
}

fn query(attempt: u32, taken: u64) -> ChunksQuery {
    ChunksQuery {
        attempt: Some(attempt),
        taken: Some(taken),
        timeout_ms: Some(1_000),
    }
}

fn page(reply: Result<Reply, Problem>) -> ChunkPage {
    match reply {
        Ok(Reply::Chunks(page)) => *page,
        other => panic!("no chunks: {other:?}"),
    }
}

fn indexes(page: &ChunkPage) -> Vec<u64> {
    page.chunks.iter().map(|c| c.index).collect()
}

impl Stream {
    fn tell(&mut self, index: u64, more: Value) {
        let mut chunk = json!({"index": index, "data": index});
        chunk
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let news: News = serde_json::from_value(json!({ "chunk": chunk })).unwrap();
        let body = TaskNews {
            task_id: id("t"),
            lease: self.assign.lease,
            news,
        };
        let said = ClientSignal::TaskNews(body);
        self.world.say(self.worker, &peer("worker"), &said);
    }

    fn begin(&mut self, caller: Caller, read: ChunksQuery) -> RequestId {
        let task_id = id("t");
        self.world.begin(caller, Op::ReadChunks { task_id, read })
    }

    fn read(&mut self, read: ChunksQuery) -> ChunkPage {
        let request = self.begin(operator(), read);
        page(self.world.reply(request).expect("answered at once"))
    }

    /// Time passes while the worker lives and works.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 1_000 {
            self.world.pass(1_000);
            let beat = Heartbeat {
                agent_id: "worker".parse().ok(),
                leases: vec![lease(&self.assign)],
            };
            let said = ClientSignal::Heartbeat(beat);
            self.world.say(self.worker, &peer("worker"), &said);
        }
    }

    /// What the handler was told of its chunks.
    fn told(&mut self) -> Vec<TaskInput> {
        let heard = self.world.heard(self.worker).into_iter();
        let inputs = heard.filter_map(|signal| match signal {
            RegistrySignal::TaskInput(body) => Some(body.input),
            _ => None,
        });
        inputs.collect()
    }
}

fn taken(count: u64, again: bool) -> TaskInput {
    TaskInput {
        taken: Some(count),
        again,
        ..TaskInput::default()
    }
}

#[test]
fn a_reader_gets_each_chunk_as_it_comes_and_its_next_read_lets_the_handler_go_on() {
    let mut stream = stream();
    let first = stream.begin(operator(), ChunksQuery::default());
    assert_eq!(stream.world.reply(first), None);
    stream.tell(0, json!({}));
    let got = page(stream.world.reply(first).unwrap());
    assert_eq!(
        (got.attempt, indexes(&got), got.next, got.ended),
        (1, vec![0], 1, false)
    );
    assert_eq!(stream.told(), []);

    let second = stream.begin(operator(), query(1, got.next));
    assert_eq!(stream.told(), [taken(1, false)]);
    stream.tell(1, json!({"last": true}));
    let got = page(stream.world.reply(second).unwrap());
    assert_eq!((indexes(&got), got.ended), (vec![1], true));
}

#[test]
fn chunks_that_came_before_the_reader_wait_for_it() {
    let mut stream = stream();
    (0..STREAM_WINDOW).for_each(|index| stream.tell(index, json!({})));
    let got = stream.read(ChunksQuery::default());
    assert_eq!(indexes(&got), (0..STREAM_WINDOW).collect::<Vec<_>>());
    assert_eq!(stream.told(), [], "nothing is taken before it is said so");
}

#[test]
fn a_read_without_news_ends_with_its_time() {
    let mut stream = stream();
    let request = stream.begin(operator(), query(1, 0));
    stream.world.pass(999);
    assert_eq!(stream.world.reply(request), None);
    stream.world.pass(1);
    let got = page(stream.world.reply(request).unwrap());
    assert_eq!((indexes(&got), got.next, got.ended), (vec![], 0, false));
}

#[test]
fn what_was_not_read_when_the_task_ended_is_still_there_for_a_while() {
    let mut stream = stream();
    stream.tell(0, json!({}));
    stream.tell(1, json!({}));
    let (worker, assign) = (stream.worker, stream.assign.clone());
    stream
        .world
        .result(worker, "worker", &lease(&assign), "done");
    let got = stream.read(query(1, 1));
    assert_eq!((indexes(&got), got.ended), (vec![1], true));

    stream.world.pass(STREAM_READER_MS);
    let got = stream.read(query(1, 2));
    assert_eq!(
        (got.attempt, indexes(&got), got.next, got.ended),
        (1, vec![], 2, true)
    );
}

#[test]
fn a_waiting_reader_is_told_of_the_end() {
    let mut stream = stream();
    let request = stream.begin(operator(), ChunksQuery::default());
    let (worker, assign) = (stream.worker, stream.assign.clone());
    stream
        .world
        .result(worker, "worker", &lease(&assign), "done");
    assert!(page(stream.world.reply(request).unwrap()).ended);
}

#[test]
fn a_registry_that_was_started_again_asks_for_what_was_not_taken() {
    let mut stream = stream();
    (0..3).for_each(|index| stream.tell(index, json!({})));
    stream.world.restart();
    stream.worker = stream.world.sidecar(&peer("worker"));
    let kept = [lease(&stream.assign)];
    stream
        .world
        .register(stream.worker, "worker", &["work"], &kept);
    stream.told();
    let request = stream.begin(operator(), query(1, 2));
    assert_eq!(stream.told(), [taken(2, true)]);
    stream.tell(2, json!({}));
    assert_eq!(indexes(&page(stream.world.reply(request).unwrap())), [2]);
}

#[test]
fn a_reader_that_went_away_holds_nobody_up_and_sees_what_it_missed() {
    let mut stream = stream();
    stream.tell(0, json!({}));
    stream.pass(STREAM_READER_MS);
    assert_eq!(stream.told(), [taken(1, false)]);
    stream.tell(1, json!({}));
    assert_eq!(stream.told(), [taken(2, false)]);
    let request = stream.begin(operator(), query(1, 0));
    stream.told();
    stream.tell(2, json!({}));
    let got = page(stream.world.reply(request).unwrap());
    assert_eq!(indexes(&got), [2], "a gap shows in the numbers");
    assert_eq!(stream.told(), [], "from now on it is waited for again");
}

#[test]
fn another_attempt_begins_its_stream_anew() {
    let mut stream = stream();
    stream.tell(0, json!({}));
    let request = stream.begin(operator(), query(1, 1));
    let worker = stream.worker;
    stream.world.close(worker);
    stream.world.pass(10_000);
    stream.worker = stream.world.sidecar(&peer("worker"));
    stream
        .world
        .register(stream.worker, "worker", &["work"], &[]);
    stream.assign = stream.world.assigned(stream.worker).remove(0);
    assert_eq!(stream.assign.attempt, 2);
    drop(stream.world.reply(request));
    stream.tell(0, json!({}));
    let got = stream.read(query(1, 1));
    assert_eq!((got.attempt, indexes(&got)), (2, vec![0]));
}

#[test]
fn one_who_looks_on_takes_nothing_from_the_sidecar_that_asked() {
    let mut world = World::new();
    let asker = world.agent("asker", &["ask"]);
    let worker = world.agent("worker", &["work"]);
    let task = SubmitTask {
        listens: STREAMED,
        ..work("t", "work")
    };
    let submit = serde_json::from_value(json!({"request_id": "r", "task": task})).unwrap();
    world.say(asker, &peer("asker"), &ClientSignal::TaskSubmit(submit));
    let assign = world.assigned(worker).remove(0);
    let mut stream = Stream {
        world,
        worker,
        assign,
    };
    let request = stream.begin(operator(), ChunksQuery::default());
    stream.tell(0, json!({}));
    assert_eq!(indexes(&page(stream.world.reply(request).unwrap())), [0]);
    stream.begin(operator(), query(1, 1));
    stream.world.pass(10 * STREAM_READER_MS / 30);
    assert_eq!(stream.told(), []);
}

#[test]
fn only_its_submitter_or_a_person_reads_and_only_what_is_streamed() {
    let mut stream = stream();
    let refused = |stream: &mut Stream, caller, of: &str| {
        let op = Op::ReadChunks {
            task_id: id(of),
            read: ChunksQuery::default(),
        };
        stream.world.ask(caller, op).unwrap_err().code
    };
    let stranger = agent_role("stranger");
    assert_eq!(refused(&mut stream, stranger, "t"), Code::Forbidden);
    assert_eq!(refused(&mut stream, operator(), "none"), Code::TaskUnknown);
    stream.world.submit(work("quiet", "nobody"));
    assert_eq!(refused(&mut stream, operator(), "quiet"), Code::NotStreamed);
}

#[test]
fn a_viewer_sees_a_stream_and_holds_nobody_up() {
    let viewer = || Caller {
        peer: "eye".parse().unwrap(),
        role: Role::Viewer,
    };
    let mut stream = stream();
    let request = stream.begin(viewer(), ChunksQuery::default());
    stream.tell(0, json!({}));
    assert_eq!(indexes(&page(stream.world.reply(request).unwrap())), [0]);
    for _ in 0..4 {
        stream.begin(viewer(), query(1, 1));
        stream.pass(STREAM_READER_MS / 2);
    }
    assert_eq!(stream.told(), [taken(1, false)]);
    let request = stream.begin(viewer(), query(1, 1));
    stream.tell(1, json!({}));
    assert_eq!(indexes(&page(stream.world.reply(request).unwrap())), [1]);
    assert_eq!(stream.told(), [taken(2, false)]);
}

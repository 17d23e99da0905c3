//! The way from skills into the mesh: shared by all handles of one agent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seamesh_proto::ipc::{
    AgentCommand, AgentEvent, AgentsQuery, Request, RequestInput, RequestNews, Response,
};
use seamesh_proto::limits::MAX_QUEUED_BYTES;
use seamesh_proto::talk::{ArtifactPart, News, Progress, TaskInput};
use seamesh_proto::{AgentProfile, AgentRecord, Code, Outcome, Payload, PeerId, TaskId};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::answers::Key;
use crate::error::MeshError;
use crate::protocol::{Protocol, tell};
use crate::talk::Speech;

/// Milliseconds that a call waits for a sidecar that is restarting.
const CONNECT_WAIT_MS: u64 = 5_000;

/// A request's last word.
pub(crate) enum Settled {
    /// It ended.
    Response(Response),
    /// It was taken, and nobody waits for more.
    Accepted(TaskId),
    /// The answer to `agents`.
    Agents(Vec<AgentRecord>),
}

type Answer = Result<Settled, MeshError>;

/// What one agent shares between its connection, its running skills and everybody who asks something.
pub(crate) struct Port {
    state: Mutex<State>,
    /// There is something to write.
    pub(crate) wake: Notify,
    /// There is room to write more.
    room: Notify,
    /// Whether the sidecar said `welcome` on the present connection.
    welcome: watch::Sender<bool>,
}

struct State {
    protocol: Protocol,
    asked: BTreeMap<String, Asked>,
    speeches: BTreeMap<Key, Speech>,
    asked_count: u64,
    peer_lists: VecDeque<oneshot::Sender<Vec<PeerId>>>,
    peer_id: Option<PeerId>,
    registry_connected: bool,
}

struct Asked {
    wait: bool,
    /// Bounded by the window of the stream and the pace of progress.
    news: mpsc::UnboundedSender<RequestNews>,
    done: oneshot::Sender<Answer>,
}

impl Port {
    pub(crate) fn new(profile: AgentProfile) -> Self {
        let state = State {
            protocol: Protocol::new(profile),
            asked: BTreeMap::new(),
            speeches: BTreeMap::new(),
            asked_count: 0,
            peer_lists: VecDeque::new(),
            peer_id: None,
            registry_connected: false,
        };
        Self {
            state: Mutex::new(state),
            wake: Notify::new(),
            room: Notify::new(),
            welcome: watch::Sender::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics half-way through a change of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What the connection says.

    pub(crate) fn connected(&self) {
        self.lock().protocol.connected();
    }

    pub(crate) fn disconnected(&self) {
        self.welcome.send_replace(false);
        let mut state = self.lock();
        for request_id in state.protocol.disconnected() {
            let lost = "the sidecar went away before it answered; the work may still run";
            state.settle(&request_id, Err(MeshError::new(Code::AgentAway, lost)));
        }
        state.peer_lists.clear();
        drop(state);
        self.room.notify_waiters();
    }

    /// Reads one line; what the session has to act on comes back.
    pub(crate) fn receive(&self, line: &[u8]) -> Option<AgentEvent> {
        let mut state = self.lock();
        match state.protocol.receive(line) {
            Ok(event) => event.and_then(|event| self.dispatch(&mut state, event)),
            Err(error) => {
                tracing::warn!(code = %error.code, %error, "the sidecar sent a line that was skipped");
                None
            }
        }
    }

    fn dispatch(&self, state: &mut State, event: AgentEvent) -> Option<AgentEvent> {
        match event {
            AgentEvent::Response(response) => {
                let id = response.request_id.clone();
                state.settle(&id, Ok(Settled::Response(response)));
            }
            AgentEvent::Accepted(accepted) => {
                if state
                    .asked
                    .get(&accepted.request_id)
                    .is_some_and(|a| !a.wait)
                {
                    state.protocol.settled(&accepted.request_id);
                    state.settle(
                        &accepted.request_id,
                        Ok(Settled::Accepted(accepted.task_id)),
                    );
                }
            }
            AgentEvent::RequestNews(news) => {
                if let Some(asked) = state.asked.get(&news.request_id) {
                    // Whoever asked may have given up.
                    let _ = asked.news.send(news);
                }
            }
            AgentEvent::TaskInput(body) => {
                let key = (body.task_id, body.attempt);
                if let Some(speech) = state.speeches.get_mut(&key) {
                    speech.hear(body.input);
                }
            }
            AgentEvent::Agents(list) => {
                state.settle(&list.request_id, Ok(Settled::Agents(list.agents)));
            }
            AgentEvent::PeerList(list) => {
                if let Some(waiting) = state.peer_lists.pop_front() {
                    // Whoever asked may have given up.
                    let _ = waiting.send(list.peers);
                }
            }
            AgentEvent::Error(mut problem) => match problem.request_id.take() {
                Some(id) => state.settle(&id, Err(problem.into())),
                None => {
                    tracing::warn!(code = %problem.code, "the sidecar refused: {}", problem.detail)
                }
            },
            AgentEvent::Welcome(welcome) => {
                state.speak_again();
                state.registry_connected = welcome.registry_connected;
                state.peer_id = welcome.peer_id.or(state.peer_id.take());
                self.welcome.send_replace(true);
            }
            AgentEvent::Registry(registry) => state.registry_connected = registry.connected,
            other => return Some(other),
        }
        None
    }

    /// Bytes to write, into an empty buffer.
    pub(crate) fn take(&self, buffer: &mut Vec<u8>) {
        self.lock().protocol.take(buffer);
        if !buffer.is_empty() {
            self.room.notify_waiters();
        }
    }

    /// Whether something waits to be written.
    pub(crate) fn has_output(&self) -> bool {
        self.lock().protocol.queued() > 0
    }

    /// Whether the sidecar took us on the present connection.
    pub(crate) fn is_welcomed(&self) -> bool {
        self.lock().protocol.welcomed().is_some()
    }

    /// A skill has ended, and with it its stream, if anybody takes one.
    pub(crate) fn respond(&self, key: Key, is_streamed: bool, outcome: Outcome) {
        let mut state = self.lock();
        let speech = state.speeches.remove(&key).filter(|_| is_streamed);
        let untaken = speech.map_or_else(Vec::new, Speech::into_end);
        state.protocol.respond(key, untaken, outcome);
        drop(state);
        self.wake.notify_one();
    }

    // What a running skill says.

    /// A skill begins to run.
    pub(crate) fn begin(&self, key: &Key) {
        let speech = Speech::default();
        self.lock().speeches.insert(key.clone(), speech);
    }

    /// Tells how far a skill is.
    pub(crate) fn progress(&self, key: &Key, progress: Progress) {
        let news = News {
            progress: Some(progress),
            ..News::default()
        };
        self.lock().say(key, news);
        self.wake.notify_one();
    }

    /// Sends a chunk, once the window has room for it.
    pub(crate) async fn chunk(&self, key: &Key, data: Value, artifact: Option<ArtifactPart>) {
        loop {
            let moved = {
                let mut state = self.lock();
                let Some(speech) = state.speeches.get_mut(key) else {
                    return; // The skill has ended: nobody is left to wait.
                };
                if speech.has_room() {
                    let news = speech.chunk(data, artifact);
                    state.say(key, news);
                    drop(state);
                    self.wake.notify_one();
                    return;
                }
                speech.moved.clone().notified_owned()
            };
            moved.await;
        }
    }

    /// Asks the asker; its answer comes through the receiver.
    pub(crate) fn ask(
        &self,
        key: &Key,
        prompt: String,
        schema: Option<Value>,
    ) -> oneshot::Receiver<Value> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.lock();
        if let Some(speech) = state.speeches.get_mut(key) {
            let news = speech.ask(prompt, schema, answer);
            state.say(key, news);
            self.wake.notify_one();
        }
        answered
    }

    pub(crate) fn goodbye(&self) {
        self.lock().protocol.goodbye();
        self.wake.notify_one();
    }

    /// Whether the goodbye is said, or is about to be.
    pub(crate) fn is_leaving(&self) -> bool {
        self.lock().protocol.is_leaving()
    }

    // What skills ask.

    pub(crate) fn peer_id(&self) -> Option<PeerId> {
        self.lock().peer_id.clone()
    }

    pub(crate) fn registry_connected(&self) -> bool {
        self.lock().registry_connected
    }

    /// Waits until the sidecar serves.
    pub(crate) async fn welcomed(&self) -> Result<(), MeshError> {
        let mut welcome = self.welcome.subscribe();
        let wait = Duration::from_millis(CONNECT_WAIT_MS);
        match tokio::time::timeout(wait, welcome.wait_for(|&yes| yes)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(MeshError::new(
                Code::AgentAway,
                format!("no connection to the sidecar within {CONNECT_WAIT_MS} ms"),
            )),
        }
    }

    /// Delegates work; the guard gives it up when it is dropped before the answer.
    pub(crate) fn request(self: &Arc<Self>, mut request: Request) -> Result<Asking, MeshError> {
        let mut state = self.lock();
        let wait = request.wait;
        let id = state.next_id();
        request.request_id.clone_from(&id);
        state.protocol.request(request)?;
        Ok(self.asking(&mut state, id, wait))
    }

    pub(crate) fn agents(self: &Arc<Self>, skill: Option<String>) -> Result<Asking, MeshError> {
        let mut state = self.lock();
        let id = state.next_id();
        let query = AgentsQuery {
            request_id: id.clone(),
            skill,
        };
        state.protocol.agents(query)?;
        Ok(self.asking(&mut state, id, true))
    }

    fn asking(self: &Arc<Self>, state: &mut State, id: String, wait: bool) -> Asking {
        let (done, answer) = oneshot::channel();
        let (news, heard) = mpsc::unbounded_channel();
        let asked = Asked { wait, news, done };
        state.asked.insert(id.clone(), asked);
        self.wake.notify_one();
        Asking {
            port: Arc::clone(self),
            id,
            answer,
            heard,
        }
    }

    pub(crate) fn peers(&self) -> Result<oneshot::Receiver<Vec<PeerId>>, MeshError> {
        let mut state = self.lock();
        state
            .protocol
            .command(&AgentCommand::ListPeers(Payload::EMPTY))?;
        let (done, answer) = oneshot::channel();
        state.peer_lists.push_back(done);
        self.wake.notify_one();
        Ok(answer)
    }

    /// Sends a command without an answer, once there is room for it.
    pub(crate) async fn command(&self, command: &AgentCommand) -> Result<(), MeshError> {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.lock();
                if state.protocol.queued() < MAX_QUEUED_BYTES {
                    state.protocol.command(command)?;
                    self.wake.notify_one();
                    return Ok(());
                }
            }
            room.await;
        }
    }
}

impl State {
    fn next_id(&mut self) -> String {
        self.asked_count += 1;
        format!("r{}", self.asked_count)
    }

    /// Says news now, if there is a connection; what matters is said again with the next.
    fn say(&mut self, key: &Key, news: News) {
        self.protocol.mention(&tell(key, news));
    }

    /// The connection is a new one: what was not heard is said again.
    fn speak_again(&mut self) {
        let unheard = self
            .speeches
            .iter()
            .map(|(key, speech)| (key.clone(), speech.unheard()));
        let unheard: Vec<_> = unheard.collect();
        for (key, all) in unheard {
            for news in all {
                self.say(&key, news);
            }
        }
    }

    fn settle(&mut self, request_id: &str, answer: Answer) {
        if let Some(asked) = self.asked.remove(request_id) {
            // Whoever asked may have given up.
            let _ = asked.done.send(answer);
        }
    }
}

/// What comes back to a request.
pub(crate) enum Word {
    /// Something before its end.
    News(RequestNews),
    /// Its end.
    Last(Answer),
}

/// A request that waits for its last word. Dropped before that, it is given up, and the sidecar told.
pub(crate) struct Asking {
    port: Arc<Port>,
    id: String,
    answer: oneshot::Receiver<Answer>,
    heard: mpsc::UnboundedReceiver<RequestNews>,
}

impl Asking {
    /// The last word; to be asked for once.
    pub(crate) async fn answer(&mut self) -> Answer {
        loop {
            if let Word::Last(last) = self.word().await {
                return last;
            }
        }
    }

    /// What comes next: everything that was told before the last word, then that.
    pub(crate) async fn word(&mut self) -> Word {
        let Self { answer, heard, .. } = self;
        tokio::select! {
            biased;
            Some(news) = heard.recv() => Word::News(news),
            last = answer => {
                let gone = || Err(MeshError::new(Code::AgentAway, "the agent stops"));
                Word::Last(last.unwrap_or_else(|_| gone()))
            }
        }
    }

    /// Tells the handler something.
    pub(crate) fn tell(&self, input: TaskInput) {
        let request_id = self.id.clone();
        let body = RequestInput { request_id, input };
        let mut state = self.port.lock();
        state.protocol.mention(&AgentCommand::RequestInput(body));
        drop(state);
        self.port.wake.notify_one();
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut state = self.port.lock();
        if state.asked.remove(&self.id).is_some() {
            state.protocol.cancel(&self.id);
            drop(state);
            self.port.wake.notify_one();
        }
    }
}

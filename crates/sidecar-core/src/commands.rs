//! What the client of the IPC socket says.

use std::borrow::Cow;

use seamesh_proto::ipc::{
    AgentCommand, AgentEvent, AgentsList, AgentsQuery, Hello, Request, Respond, Welcome,
};
use seamesh_proto::limits::{MAX_LINE_BYTES, MAX_PAYLOAD_BYTES};
use seamesh_proto::payload::Raw;
use seamesh_proto::signaling::{AgentRef, ClientSignal, PeerList};
use seamesh_proto::task::Lineage;
use seamesh_proto::{Code, Now, PROTOCOL_VERSION, PeerId, Problem, WireError};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::limits::{AGENT_RETURN_MS, HELLO_WAIT_MS};
use crate::lineage::child_of;
use crate::messages::{Peek, one_line};
use crate::requests::Ask;
use crate::session::{Dialect, check_profile, check_skill};
use crate::sidecar::peer_connected;
use crate::timers::Reason;
use crate::{ClientId, Input, Output, Sidecar};

/// A `send`, read without taking its message apart.
#[derive(Deserialize)]
struct SendLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    payload: SendBody<'a>,
}

#[derive(Deserialize)]
struct SendBody<'a> {
    #[serde(borrow)]
    target_peer: Cow<'a, str>,
    #[serde(borrow)]
    message: &'a RawValue,
}

/// A `send` names its kind within this many bytes, as every encoder we know writes it: then it goes the short way.
const KIND_WITHIN: usize = 40;

impl Sidecar {
    /// Takes one line of the client, without its newline: the same as [`Input::IpcCommand`] or [`Input::IpcBad`], but
    /// a `send` is passed on without being taken apart.
    pub fn handle_line(&mut self, client: ClientId, line: &[u8], now: Now) {
        let head = &line[..line.len().min(KIND_WITHIN)];
        if memchr::memmem::find(head, b"\"send\"").is_some()
            && let Ok(text) = std::str::from_utf8(line)
            && let Ok(send) = serde_json::from_str::<SendLine<'_>>(text)
            && send.kind == "send"
        {
            self.advance(now);
            if self.begins(client) {
                self.send(&send.payload.target_peer, send.payload.message.get());
            }
            return;
        }
        let input = match AgentCommand::parse(line) {
            Ok(command) => Input::IpcCommand { client, command },
            Err(error) => Input::IpcBad {
                client,
                problem: error.into(),
            },
        };
        self.handle(input, now);
    }

    pub(crate) fn on_client(&mut self, client: ClientId) {
        if self.session.client.is_some() {
            let detail = "this sidecar serves another client; run one sidecar for each agent";
            let event = AgentEvent::Error(Problem::new(Code::SidecarBusy, detail));
            self.fx.push(Output::Ipc { client, event });
            self.fx.push(Output::IpcClose { client });
            return;
        }
        self.session.client = Some(client);
        self.fx.after(HELLO_WAIT_MS, Reason::Dialect);
        if self.session.agent.is_none() {
            self.session.dialect = Dialect::Unknown;
        }
    }

    /// Whether the client is the one served. Its first word, when it is no `hello`, tells that it speaks the old dialect.
    fn begins(&mut self, client: ClientId) -> bool {
        if self.session.client != Some(client) {
            return false;
        }
        if self.fx.client.is_none() {
            self.on_agent_lost();
            self.take_for_old();
        }
        true
    }

    /// No `hello` came: unless an agent is expected back, this client speaks the old dialect.
    pub(crate) fn on_no_hello(&mut self) {
        if self.session.agent.is_none() {
            self.take_for_old();
        }
    }

    /// The client speaks the old dialect: it is told of everything it missed.
    pub(crate) fn take_for_old(&mut self) {
        if self.session.client.is_some() && self.fx.client.is_none() {
            self.session.dialect = Dialect::Old;
            self.attach();
        }
    }

    /// From here on events reach the client, beginning with what it has to know.
    fn attach(&mut self) {
        self.fx.timers.cancel(&Reason::Dialect);
        let Some(client) = self.session.client else {
            return;
        };
        if self.fx.client.replace(client).is_some() {
            return;
        }
        for peer in self.linked_peers() {
            let identified = self
                .peers
                .open_with(peer.as_str())
                .is_some_and(|a| a.is_identified);
            self.fx.event(peer_connected(peer, identified));
        }
        self.fx.release_held();
        self.hold_back();
        if self.peers.is_any_full() {
            let paused = true;
            self.fx.push(Output::IpcPause { client, paused });
        }
    }

    pub(crate) fn on_client_gone(&mut self, client: ClientId) {
        if self.session.client != Some(client) {
            return;
        }
        self.session.client = None;
        self.session.is_greeted = false;
        self.session.is_blocked = false;
        self.fx.client = None;
        self.fx.timers.cancel(&Reason::Dialect);
        self.hold_back();
        if self.session.agent.is_some() {
            self.fx.after(AGENT_RETURN_MS, Reason::AgentReturn);
        }
    }

    pub(crate) fn on_client_blocked(&mut self, client: ClientId, blocked: bool) {
        if self.session.client == Some(client) {
            self.session.is_blocked = blocked;
            self.hold_back();
        }
    }

    pub(crate) fn on_bad_line(&mut self, client: ClientId, problem: Problem) {
        // Whoever sends garbage first has not said hello; it may yet.
        if self.session.client == Some(client) {
            let event = AgentEvent::Error(problem);
            self.fx.push(Output::Ipc { client, event });
        }
    }

    pub(crate) fn on_command(&mut self, client: ClientId, command: AgentCommand) {
        if let AgentCommand::Hello(hello) = command {
            if self.session.client == Some(client)
                && let Err(problem) = self.on_hello(client, hello)
            {
                self.on_bad_line(client, problem);
            }
            return;
        }
        if !is_old_command(&command) && !self.session.is_greeted {
            let detail = format!("{}: say hello first", command.kind());
            return self.on_bad_line(client, Problem::new(Code::OutOfOrder, detail));
        }
        if !self.begins(client) {
            return;
        }
        match command {
            AgentCommand::Hello(_) => {}
            AgentCommand::Send(send) => {
                self.send_checked(send.target_peer.as_str(), &send.message);
            }
            AgentCommand::Broadcast(broadcast) => self.broadcast(&broadcast.message),
            AgentCommand::ListPeers(_) => {
                let peers = self.linked_peers();
                self.fx.event(AgentEvent::PeerList(PeerList { peers }));
            }
            AgentCommand::Connect(connect) => self.connect(&connect.target_peer_id),
            AgentCommand::Request(request) => self.on_request(request),
            AgentCommand::Cancel(cancel) => {
                let (requests, mut means) = self.requesting();
                requests.cancel(&cancel.request_id, &mut means);
            }
            AgentCommand::TaskNews(body) => {
                let key = (body.task_id, body.attempt);
                let (work, peers, fx) = (&mut self.work, &mut self.peers, &mut self.fx);
                if let Err(problem) = work.tell_news(&key, body.news, peers, fx) {
                    self.fx.refuse(problem);
                }
            }
            AgentCommand::RequestInput(body) => {
                let (requests, mut means) = self.requesting();
                if let Err(problem) = requests.tell(&body.request_id, body.input, &mut means) {
                    self.fx.refuse(problem.for_request(body.request_id));
                }
            }
            AgentCommand::Respond(respond) => self.on_respond(respond),
            AgentCommand::Agents(query) => self.on_agents(query),
            AgentCommand::Goodbye(_) => self.on_goodbye(),
        }
    }

    fn on_hello(&mut self, client: ClientId, hello: Hello) -> Result<(), Problem> {
        if self.session.is_greeted {
            return Err(Problem::new(Code::OutOfOrder, "hello was said already"));
        }
        if hello.version != PROTOCOL_VERSION {
            let detail = format!(
                "protocol version {} is not spoken here, {PROTOCOL_VERSION} is",
                hello.version
            );
            return Err(Problem::new(Code::VersionUnsupported, detail));
        }
        check_profile(&hello.agent)?;
        self.fx.timers.cancel(&Reason::AgentReturn);
        self.take_over(&hello);
        self.session.agent = Some(hello.agent.clone());
        self.session.dialect = Dialect::Native;
        self.session.is_greeted = true;
        self.session.is_disowned = false;
        let event = AgentEvent::Welcome(Welcome {
            version: PROTOCOL_VERSION,
            peer_id: self.fx.me.clone(),
            registry_connected: self.fx.is_up,
            max_line_bytes: MAX_LINE_BYTES as u64,
        });
        self.fx.push(Output::Ipc { client, event });
        self.attach();
        self.work.adopt(&hello.running, &mut self.fx);
        self.register_agent();
        self.work.deliver_waiting(&mut self.fx);
        Ok(())
    }

    /// What the agent before this one left: its own after a short absence, or another's.
    fn take_over(&mut self, hello: &Hello) {
        let Some(before) = &self.session.agent else {
            return;
        };
        if before.agent_id == hello.agent.agent_id {
            let running = &hello.running;
            self.work
                .fail_over_delivered(running, &mut self.peers, &mut self.fx);
        } else {
            let agent_id = before.agent_id.clone();
            self.fx
                .signal(None, &ClientSignal::AgentAway(AgentRef { agent_id }));
            self.fx.drop_held();
            self.let_go();
        }
    }

    fn on_goodbye(&mut self) {
        self.session.is_greeted = false;
        if let Some(agent) = self.session.agent.take() {
            // First: the registry would hand work that it gets back to the very agent that leaves, at the cost of an attempt.
            let agent_id = agent.agent_id;
            self.fx
                .signal(None, &ClientSignal::AgentRemove(AgentRef { agent_id }));
            self.let_go();
        }
    }

    fn send_checked(&mut self, peer: &str, message: &Raw) {
        match one_line(message.text()) {
            Ok(message) => self.send(peer, &message),
            Err(error) => self.fx.refuse(error.into()),
        }
    }

    /// Sends the agent's message as it is.
    fn send(&mut self, peer: &str, message: &str) {
        let sent = check_message(message).and_then(|()| {
            let sent = self.peers.send(peer, message.as_bytes(), &mut self.fx);
            sent.map_err(|code| unsent(code, peer))
        });
        if let Err(problem) = sent {
            self.fx.refuse(problem);
        }
    }

    fn broadcast(&mut self, message: &Raw) {
        for peer in self.linked_peers() {
            self.send_checked(peer.as_str(), message);
        }
    }

    fn connect(&mut self, peer: &PeerId) {
        if !self.fx.is_up && self.peers.open_with(peer.as_str()).is_none() {
            let detail = format!("no link with {peer} can be opened while the registry is away");
            return self
                .fx
                .refuse(Problem::new(Code::RegistryUnavailable, detail));
        }
        self.peers.dial(peer, &mut self.fx);
    }

    fn on_request(&mut self, request: Request) {
        let (name, parent) = (request.request_id.clone(), request.parent.clone());
        let started = self.ask(request).and_then(|ask| {
            let (requests, mut means) = self.requesting();
            requests.start(ask, &mut means)
        });
        match started {
            Ok(()) => {
                if let Some(parent) = parent {
                    self.work.count_child(&parent);
                }
            }
            Err(problem) => self.fx.refuse(problem.for_request(name)),
        }
    }

    /// Checks a request and finds its place in the tree.
    fn ask(&self, request: Request) -> Result<Ask, Problem> {
        let Some(agent) = &self.session.agent else {
            return Err(Problem::new(Code::OutOfOrder, "say hello first"));
        };
        if request.request_id.is_empty() {
            let detail = "request_id: a request needs a name";
            return Err(Problem::new(Code::BadField, detail));
        }
        check_skill("skill", &request.skill)?;
        let payload_bytes = Raw::of(&request.payload).text().len();
        if payload_bytes > MAX_PAYLOAD_BYTES {
            let detail = format!("payload: {payload_bytes} bytes; at most {MAX_PAYLOAD_BYTES}");
            return Err(Problem::new(Code::TooLarge, detail));
        }
        let (lineage, parent_left_ms) = match &request.parent {
            None => {
                let traceparent = request.traceparent;
                (
                    Lineage {
                        traceparent,
                        ..Lineage::default()
                    },
                    None,
                )
            }
            Some(parent) => {
                let detail = "parent: no such task is running here";
                let run = self.work.parent(parent);
                let run = run.ok_or_else(|| Problem::new(Code::TaskUnknown, detail))?;
                let left_ms = run.deadline.since(self.fx.now);
                (child_of(run, &agent.agent_id, &request)?, Some(left_ms))
            }
        };
        Ok(Ask {
            source: agent.agent_id.clone(),
            request,
            lineage,
            parent_left_ms,
            payload_bytes,
        })
    }

    fn on_respond(&mut self, respond: Respond) {
        let key = (respond.task_id, respond.attempt);
        let outcome = respond.outcome;
        // What this work delegated is told before its result: a tree is whole when its root has ended.
        self.reports.flush(&mut self.fx);
        let taken = self
            .work
            .respond(key, outcome, &mut self.peers, &mut self.fx);
        if let Err(problem) = taken {
            self.fx.refuse(problem);
        }
    }

    fn on_agents(&mut self, query: AgentsQuery) {
        self.fx.event(AgentEvent::Agents(AgentsList {
            agents: self.directory.list(query.skill.as_deref()),
            request_id: query.request_id,
        }));
    }
}

/// What a client may say without `hello`.
fn is_old_command(command: &AgentCommand) -> bool {
    matches!(
        command,
        AgentCommand::Send(_)
            | AgentCommand::Broadcast(_)
            | AgentCommand::ListPeers(_)
            | AgentCommand::Connect(_)
    )
}

/// A message, which is JSON already, is an object with a `type`; the rest is its receiver's matter.
fn check_message(message: &str) -> Result<(), Problem> {
    // As every encoder we know writes it: no need to go through all of it again.
    if message.starts_with(r#"{"type":""#) {
        return Ok(());
    }
    match serde_json::from_str::<Peek<'_>>(message) {
        Ok(_) => Ok(()),
        Err(error) => {
            let error = WireError::from_json(&error);
            Err(Problem::new(
                error.code,
                format!("message: {}", error.detail),
            ))
        }
    }
}

fn unsent(code: Code, peer: &str) -> Problem {
    let peer: String = peer.chars().take(64).collect();
    let detail = match code {
        Code::TooLarge => format!("the message is too large for the link with {peer}"),
        _ => format!("no link with {peer}; connect to it first"),
    };
    Problem::new(code, detail)
}

//! The agent's end of the IPC socket, without IO, clock or runtime.
//!
//! Lines go in with [`Protocol::receive`], what somebody has to act on comes out; commands append to the output that
//! [`Protocol::take`] hands over. One object outlives many connections: what must survive a sidecar's restart (work that
//! runs, answers that were not delivered) is here.

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::ipc::{
    AgentCommand, AgentEvent, AgentsQuery, Cancel, Hello, Request, Respond, RunRef, TaskEvent,
    TaskNews, Welcome,
};
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::limits::{DEFAULT_MAX_CONCURRENT, MAX_LINE_BYTES, MAX_OPEN_REQUESTS};
use seamesh_proto::talk::News;
use seamesh_proto::{AgentProfile, Code, Outcome, PROTOCOL_VERSION, Payload, WireError, seam};

use crate::answers::{Answers, Key};
use crate::error::MeshError;

/// One agent's conversation with its sidecar, over any number of connections.
#[derive(Debug)]
pub(crate) struct Protocol {
    profile: AgentProfile,
    welcomed: Option<Welcome>,
    out: Vec<u8>,
    /// Requests without a last word.
    open: BTreeSet<String>,
    running: BTreeMap<Key, RunRef>,
    /// Answers in `out`: back to `undelivered` when the connection is lost before they are taken.
    unwritten: BTreeMap<Key, (RunRef, Vec<u8>)>,
    /// Answers made while there was no connection.
    undelivered: BTreeMap<Key, (RunRef, Vec<u8>)>,
    answers: Answers,
    is_leaving: bool,
}

impl Protocol {
    pub(crate) fn new(profile: AgentProfile) -> Self {
        Self {
            profile,
            welcomed: None,
            out: Vec::new(),
            open: BTreeSet::new(),
            running: BTreeMap::new(),
            unwritten: BTreeMap::new(),
            undelivered: BTreeMap::new(),
            answers: Answers::default(),
            is_leaving: false,
        }
    }

    /// A connection is open: says `hello`, naming the work that still runs.
    pub(crate) fn connected(&mut self) {
        self.out.clear();
        let undelivered = self.undelivered.values().map(|(run, _)| run);
        let running = self.running.values().chain(undelivered).cloned();
        let hello = Hello {
            version: PROTOCOL_VERSION,
            agent: self.profile.clone(),
            running: running.collect(),
        };
        self.append(&AgentCommand::Hello(hello));
    }

    /// The connection is gone: the requests that nobody will answer any more.
    pub(crate) fn disconnected(&mut self) -> Vec<String> {
        self.welcomed = None;
        self.undelivered.append(&mut self.unwritten);
        self.out.clear();
        std::mem::take(&mut self.open).into_iter().collect()
    }

    /// What the sidecar said in the last `welcome`; `None` without a connection.
    pub(crate) fn welcomed(&self) -> Option<&Welcome> {
        self.welcomed.as_ref()
    }

    /// Reads one line. `None`: nothing for anybody else to do.
    pub(crate) fn receive(&mut self, line: &[u8]) -> Result<Option<AgentEvent>, WireError> {
        let event = AgentEvent::parse(line)?;
        Ok(self.admit(&event).then_some(event))
    }

    fn admit(&mut self, event: &AgentEvent) -> bool {
        match event {
            AgentEvent::Task(task) => self.admit_task(task),
            AgentEvent::Response(response) => self.open.remove(&response.request_id),
            AgentEvent::Agents(answer) => self.open.remove(&answer.request_id),
            AgentEvent::Error(problem) => {
                if let Some(id) = &problem.request_id {
                    self.open.remove(id);
                }
                true
            }
            AgentEvent::Welcome(welcome) => {
                self.welcomed = Some(welcome.clone());
                for (key, (run, line)) in std::mem::take(&mut self.undelivered) {
                    self.out.extend_from_slice(&line);
                    self.unwritten.insert(key, (run, line));
                }
                true
            }
            _ => true,
        }
    }

    /// Whether the attempt is new. One that runs goes on; one that is done is answered again.
    fn admit_task(&mut self, task: &TaskEvent) -> bool {
        let run = RunRef {
            task_id: task.task_id.clone(),
            attempt: task.attempt,
            lease: task.lease,
            timeout_ms: task.timeout_ms,
            lineage: task.lineage.clone(),
        };
        let key = (run.task_id.clone(), run.attempt);
        if let Some(known) = self.running.get_mut(&key) {
            // The same work another way: directly first, now under a lease.
            known.lease = run.lease.or(known.lease);
            return false;
        }
        if let Some(line) = self.answers.get(&key) {
            self.out.extend_from_slice(line);
            return false;
        }
        let limit = match self.profile.max_concurrent {
            0 => DEFAULT_MAX_CONCURRENT,
            named => named,
        };
        if self.running.len() >= limit as usize {
            let text = format!("the agent holds {limit} tasks already");
            self.append(&respond(key, Outcome::failed(Code::Overloaded, text)));
            return false;
        }
        self.running.insert(key, run);
        true
    }

    /// Delegates work.
    ///
    /// # Errors
    /// `agent_away` without a connection, `overloaded` with too many open requests, `too_large`.
    pub(crate) fn request(&mut self, request: Request) -> Result<(), MeshError> {
        self.ask(request.request_id.clone(), &AgentCommand::Request(request))
    }

    /// Asks for the agents of the mesh. Errors as [`request`](Self::request).
    pub(crate) fn agents(&mut self, query: AgentsQuery) -> Result<(), MeshError> {
        self.ask(query.request_id.clone(), &AgentCommand::Agents(query))
    }

    /// Any command that opens no request. Errors as [`request`](Self::request).
    pub(crate) fn command(&mut self, command: &AgentCommand) -> Result<(), MeshError> {
        let Some(welcome) = &self.welcomed else {
            let text = "there is no connection to the sidecar now";
            return Err(MeshError::new(Code::AgentAway, text));
        };
        let limit = welcome.max_line_bytes.min(MAX_LINE_BYTES as u64) as usize;
        let start = self.out.len();
        self.append(command);
        let bytes = self.out.len() - start;
        if bytes > limit {
            self.out.truncate(start);
            let text = format!("a line of {bytes} bytes; at most {limit} are allowed");
            return Err(MeshError::new(Code::TooLarge, text));
        }
        Ok(())
    }

    fn ask(&mut self, request_id: String, command: &AgentCommand) -> Result<(), MeshError> {
        if self.open.len() >= MAX_OPEN_REQUESTS {
            let text = format!("{MAX_OPEN_REQUESTS} requests are open already");
            return Err(MeshError::new(Code::Overloaded, text));
        }
        self.command(command)?;
        self.open.insert(request_id);
        Ok(())
    }

    /// `accepted` was a request's last word: nobody waits for its response.
    pub(crate) fn settled(&mut self, request_id: &str) {
        self.open.remove(request_id);
    }

    /// Gives up a request. One that has ended stays as it is.
    pub(crate) fn cancel(&mut self, request_id: &str) {
        if self.open.remove(request_id) {
            self.append(&AgentCommand::Cancel(Cancel {
                request_id: request_id.to_owned(),
            }));
        }
    }

    /// Tells how a task ended: now, or as soon as there is a connection again; then after all of its stream that was
    /// not taken, of which the last is its end.
    pub(crate) fn respond(&mut self, key: Key, untaken: Vec<News>, outcome: Outcome) {
        let run = self.running.remove(&key);
        let mut answer = Vec::new();
        write(&respond(key.clone(), outcome), &mut answer);
        self.answers.put(key.clone(), answer.clone());
        let mut line = Vec::new();
        let mut end = 0;
        for news in untaken {
            end = line.len();
            write(&tell(&key, news), &mut line);
        }
        line.extend_from_slice(&answer);
        if self.welcomed.is_some() {
            self.out.extend_from_slice(&line[end..]);
        }
        // What was never handed over needs no repeat.
        let Some(run) = run else { return };
        if self.welcomed.is_some() {
            self.unwritten.insert(key, (run, line));
        } else {
            self.undelivered.insert(key, (run, line));
        }
    }

    /// Goes away for good: the sidecar hands unfinished work back.
    pub(crate) fn goodbye(&mut self) {
        self.is_leaving = true;
        if self.welcomed.is_some() {
            self.append(&AgentCommand::Goodbye(Payload::EMPTY));
        }
    }

    /// Whether [`goodbye`](Self::goodbye) was called.
    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Swaps the bytes to write into `buffer`, which is empty, once.
    pub(crate) fn take(&mut self, buffer: &mut Vec<u8>) {
        std::mem::swap(buffer, &mut self.out);
        self.unwritten.clear();
    }

    /// Bytes that wait to be taken.
    pub(crate) fn queued(&self) -> usize {
        self.out.len()
    }

    /// Says something that needs no answer and is said again when it matters: nothing without a connection.
    pub(crate) fn mention(&mut self, command: &AgentCommand) {
        if self.welcomed.is_some() {
            self.append(command);
        }
    }

    fn append(&mut self, command: &AgentCommand) {
        write(command, &mut self.out);
    }
}

/// Appends a command as one line.
fn write(command: &AgentCommand, out: &mut Vec<u8>) {
    if is_said(command) {
        command.write_line(out);
    }
}

/// Whether a command, and the message for another agent in it, is to be said: always, but for a planted fault.
fn is_said(command: &AgentCommand) -> bool {
    let me = Party::RustAgent;
    if seam::said(Channel::Ipc, command.kind(), me, Some(Party::Sidecar)) == 0 {
        return false;
    }
    let message = match command {
        AgentCommand::Send(send) => &send.message,
        AgentCommand::Broadcast(broadcast) => &broadcast.message,
        _ => return true,
    };
    let kind = seam::kind_of(message.text().as_bytes());
    kind.is_none_or(|kind| seam::said(Channel::Link, &kind, me, None) > 0)
}

/// The news of an attempt as a command.
pub(crate) fn tell((task_id, attempt): &Key, news: News) -> AgentCommand {
    AgentCommand::TaskNews(TaskNews {
        task_id: task_id.clone(),
        attempt: *attempt,
        news,
    })
}

fn respond((task_id, attempt): Key, outcome: Outcome) -> AgentCommand {
    AgentCommand::Respond(Respond {
        task_id,
        attempt,
        outcome,
    })
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;

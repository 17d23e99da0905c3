//! What the taps of a mesh heard: who called which skill, how it ended, who is linked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use crate::cassette::{Cassette, Recorded, RecordedError};

/// A skill call that reached an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The agent that asked; empty: the test, by [`TestMesh::call`](crate::TestMesh::call).
    pub caller: String,
    /// The agent that was asked.
    pub agent: String,
    /// The skill.
    pub skill: String,
    /// Its arguments.
    pub args: Value,
    /// `direct` over a link, or `queue`.
    pub path: String,
    /// The task.
    pub task_id: String,
    /// Which attempt at it, from 1.
    pub attempt: u64,
    /// It was not answered, because the test made the skill deaf.
    pub is_deaf: bool,
    /// How it ended, as the wire says it (`state`, `result`, `error`); `None` while it runs.
    pub outcome: Option<Value>,
}

/// A skill that is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deafness {
    pub(crate) agent: String,
    pub(crate) skill: String,
    /// Only for this caller; `None`: for all.
    pub(crate) caller: Option<String>,
}

/// A request that has no answer yet.
#[derive(Debug)]
struct Asked {
    skill: String,
    args: Value,
}

#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) calls: Vec<Call>,
    pub(crate) deaf: Vec<Deafness>,
    pub(crate) tape: Option<Cassette>,
    /// By agent and request.
    asked: BTreeMap<(String, String), Asked>,
    /// The agents whose sidecar reaches the registry.
    pub(crate) up: BTreeSet<String>,
    /// The peers that each agent is linked with.
    pub(crate) links: BTreeMap<String, BTreeSet<String>>,
}

/// The book of one mesh. Taps write it, tests read it.
#[derive(Debug)]
pub(crate) struct Book {
    pages: Mutex<Pages>,
    changed: watch::Sender<()>,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self {
            pages: Mutex::default(),
            changed: watch::channel(()).0,
        }
    }

    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        // Whoever panicked while writing was a tap, and wrote whole entries.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A line of the sidecar for its agent. `false`: the agent does not get it.
    pub(crate) fn hears(&self, agent: &str, line: &[u8]) -> bool {
        let Ok(event) = serde_json::from_slice::<Value>(line) else {
            return true;
        };
        let body = &event["payload"];
        let mut pages = self.pages();
        let passes = match event["type"].as_str().unwrap_or_default() {
            "task" => pages.task(agent, body),
            "response" => pages.response(agent, body),
            "welcome" => pages.registry(agent, &body["registry_connected"]),
            "registry" => pages.registry(agent, &body["connected"]),
            "peer_connected" => pages.link(agent, body, true),
            "peer_disconnected" => pages.link(agent, body, false),
            _ => return true,
        };
        drop(pages);
        self.changed.send_replace(());
        passes
    }

    /// A line of an agent for its sidecar.
    pub(crate) fn says(&self, agent: &str, line: &[u8]) {
        let Ok(command) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        let body = &command["payload"];
        match command["type"].as_str().unwrap_or_default() {
            "request" => self.pages().request(agent, body),
            "respond" => self.pages().respond(agent, body),
            _ => return,
        }
        self.changed.send_replace(());
    }

    /// An agent is gone.
    pub(crate) fn gone(&self, agent: &str) {
        let mut pages = self.pages();
        pages.up.remove(agent);
        pages.links.remove(agent);
        pages.asked.retain(|(asker, _), _| asker != agent);
        drop(pages);
        self.changed.send_replace(());
    }
}

impl Pages {
    fn task(&mut self, agent: &str, body: &Value) -> bool {
        let (caller, skill) = (text(&body["from_agent"]), text(&body["skill"]));
        let is_deaf = self.deaf.iter().any(|deaf| {
            deaf.agent == agent
                && deaf.skill == skill
                && deaf.caller.as_ref().is_none_or(|only| *only == caller)
        });
        self.calls.push(Call {
            caller,
            agent: agent.to_owned(),
            skill,
            args: body["payload"].clone(),
            path: body["path"].as_str().unwrap_or("queue").to_owned(),
            task_id: text(&body["task_id"]),
            attempt: body["attempt"].as_u64().unwrap_or_default(),
            is_deaf,
            outcome: None,
        });
        !is_deaf
    }

    fn respond(&mut self, agent: &str, body: &Value) {
        let (task_id, attempt) = (text(&body["task_id"]), body["attempt"].as_u64());
        let is_it = |call: &&mut Call| {
            call.agent == agent && call.task_id == task_id && Some(call.attempt) == attempt
        };
        if let Some(call) = self.calls.iter_mut().rev().find(is_it) {
            call.outcome = Some(body["outcome"].clone());
        }
    }

    fn request(&mut self, agent: &str, body: &Value) {
        let key = (agent.to_owned(), text(&body["request_id"]));
        let asked = Asked {
            skill: text(&body["skill"]),
            args: body["payload"].clone(),
        };
        self.asked.insert(key, asked);
    }

    fn response(&mut self, agent: &str, body: &Value) -> bool {
        let key = (agent.to_owned(), text(&body["request_id"]));
        let answered_by = text(&body["agent_id"]);
        if let Some(asked) = self.asked.remove(&key)
            && let Some(tape) = &mut self.tape
            // What was never answered is no traffic.
            && !answered_by.is_empty()
        {
            let outcome = &body["outcome"];
            let error = (outcome["state"] != "completed").then(|| RecordedError {
                code: text(&outcome["error"]["code"]),
                message: text(&outcome["error"]["message"]),
            });
            tape.calls.push(Recorded {
                caller: agent.to_owned(),
                agent: answered_by,
                skill: asked.skill,
                args: asked.args,
                result: outcome["result"].clone(),
                error,
            });
        }
        true
    }

    fn registry(&mut self, agent: &str, connected: &Value) -> bool {
        match connected.as_bool() {
            Some(true) => self.up.insert(agent.to_owned()),
            _ => self.up.remove(agent),
        };
        true
    }

    fn link(&mut self, agent: &str, body: &Value, is_up: bool) -> bool {
        let links = self.links.entry(agent.to_owned()).or_default();
        let peer = text(&body["peer_id"]);
        match is_up {
            true => links.insert(peer),
            false => links.remove(&peer),
        };
        true
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

//! What agents say to each other in words, beside work: prompts, questions for skills, pings, and how they are (ADR 15).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seamesh_proto::ipc::{AgentCommand, Message, Send as SendCommand};
use seamesh_proto::link::MeshMessage;
use seamesh_proto::{Code, Outcome, Payload, PeerId, Raw};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::ctx::Mesh;
use crate::error::MeshError;

/// The skill that reads prompts, and the message that carries one over a link.
pub const PROMPT: &str = "agent_prompt";

/// Answers waited for at once.
const MAX_ASKED: usize = 1_024;

/// Agents whose last status is kept.
const MAX_STATUSES: usize = 4_096;

/// What one agent knows of those it is linked with, and the answers it waits for.
pub(crate) struct Words {
    state: Mutex<State>,
    /// Part of every question's name: an answer to a question of an earlier run is none.
    run: String,
}

#[derive(Default)]
struct State {
    linked: BTreeSet<PeerId>,
    statuses: BTreeMap<String, Value>,
    asked: BTreeMap<String, Asked>,
    count: u64,
}

struct Asked {
    peer: PeerId,
    parts: mpsc::UnboundedSender<Value>,
    done: oneshot::Sender<Result<Value, MeshError>>,
}

/// Whose message it is to act on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The SDK acted on it.
    Done,
    /// A question for the agent's skills.
    SkillQuery,
    /// A prompt, if the agent reads any.
    Prompt,
    /// The agent's own.
    ForTheAgent,
}

impl Words {
    /// `run` names this run of the agent.
    pub(crate) fn new(run: &str) -> Self {
        Self {
            state: Mutex::default(),
            run: run.to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics half-way through a change of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What others say.

    /// Takes answers and statuses; says whose the rest is.
    pub(crate) fn hear(&self, from: &PeerId, message: &MeshMessage) -> Heard {
        match message.kind.as_str() {
            "agent_response" | "agent_stream_chunk" | "skill_response" | "pong" => {
                match self.answered(from, message) {
                    true => Heard::Done,
                    false => Heard::ForTheAgent,
                }
            }
            "skill_query" => Heard::SkillQuery,
            PROMPT => Heard::Prompt,
            "agent_status" => {
                self.keep_status(message);
                Heard::ForTheAgent
            }
            _ => Heard::ForTheAgent,
        }
    }

    /// The name of a question is known to the two ends of its link; an answer from elsewhere is none.
    fn answered(&self, from: &PeerId, message: &MeshMessage) -> bool {
        let mut state = self.lock();
        let id = &message.request_id;
        if state.asked.get(id).is_none_or(|asked| asked.peer != *from) {
            return false;
        }
        let body = message.payload.to_value();
        if message.kind == "agent_stream_chunk" {
            let part = body.get("chunk").cloned().unwrap_or(body);
            if let Some(asked) = state.asked.get(id) {
                // Whoever asked may have given up.
                let _ = asked.parts.send(part);
            }
        } else if let Some(asked) = state.asked.remove(id) {
            let _ = asked.done.send(outcome_of(body));
        }
        true
    }

    fn keep_status(&self, message: &MeshMessage) {
        if message.source_agent.is_empty() {
            return;
        }
        let mut state = self.lock();
        let is_new = !state.statuses.contains_key(&message.source_agent);
        if is_new && state.statuses.len() >= MAX_STATUSES {
            state.statuses.pop_first();
        }
        let status = message.payload.to_value();
        state.statuses.insert(message.source_agent.clone(), status);
    }

    pub(crate) fn link(&self, peer: &PeerId, is_up: bool) {
        let mut state = self.lock();
        if is_up {
            state.linked.insert(peer.clone());
            return;
        }
        state.linked.remove(peer);
        let lost = state.asked.extract_if(.., |_, asked| asked.peer == *peer);
        for (_, asked) in lost {
            let text =
                format!("the link to {peer} went down before the answer; it may have been read");
            let _ = asked.done.send(Err(MeshError::new(Code::LinkLost, text)));
        }
    }

    /// The sidecar is gone, and with it every link.
    pub(crate) fn unlink_all(&self) {
        let linked = self.lock().linked.clone();
        for peer in &linked {
            self.link(peer, false);
        }
    }

    pub(crate) fn is_linked(&self, peer: &str) -> bool {
        self.lock().linked.iter().any(|p| p.as_str() == peer)
    }

    pub(crate) fn linked(&self) -> usize {
        self.lock().linked.len()
    }

    pub(crate) fn statuses(&self) -> BTreeMap<String, Value> {
        self.lock().statuses.clone()
    }
}

/// What an answer's body says.
fn outcome_of(body: Value) -> Result<Value, MeshError> {
    let error = body.get("error").and_then(Value::as_str);
    let Some(text) = error.filter(|text| !text.is_empty()) else {
        return Ok(body);
    };
    let code = body.get("code").cloned();
    let code = code.and_then(|code| serde_json::from_value(code).ok());
    Err(MeshError::new(code.unwrap_or(Code::SkillFailed), text))
}

/// The body of an `agent_response`.
pub(crate) fn answer_of(outcome: Outcome) -> Value {
    match outcome.error {
        None => json!({ "message": outcome.result }),
        Some(error) => {
            json!({ "message": null, "error": error.message, "code": error.code })
        }
    }
}

/// A question on its way. Dropped before its answer, it is given up.
struct Asking<'a> {
    words: &'a Words,
    id: String,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.words.lock().asked.remove(&self.id);
    }
}

impl Mesh {
    /// Says something to a linked peer, and gives the body of its answer; each part of one that comes in parts goes to
    /// `on_part`.
    pub(crate) async fn ask_peer(
        &self,
        peer: &str,
        kind: &str,
        to: &str,
        body: Value,
        patience: Duration,
        mut on_part: impl FnMut(Value),
    ) -> Result<Value, MeshError> {
        let words = &self.words;
        let (parts, mut heard) = mpsc::unbounded_channel();
        let (done, mut answered) = oneshot::channel();
        let (id, peer) = {
            let mut state = words.lock();
            let Some(peer) = state.linked.iter().find(|p| p.as_str() == peer).cloned() else {
                let text = format!("there is no link to {peer}");
                return Err(MeshError::new(Code::NoLink, text));
            };
            if state.asked.len() >= MAX_ASKED {
                let text = format!("{MAX_ASKED} answers are waited for already");
                return Err(MeshError::new(Code::Overloaded, text));
            }
            state.count += 1;
            let id = format!("{}-{}", words.run, state.count);
            let asked = Asked {
                peer: peer.clone(),
                parts,
                done,
            };
            state.asked.insert(id.clone(), asked);
            (id, peer)
        };
        let asking = Asking { words, id };
        let waiting = async {
            self.say(&peer, kind, &asking.id, to, body).await?;
            loop {
                tokio::select! {
                    biased;
                    Some(part) = heard.recv() => on_part(part),
                    answer = &mut answered => {
                        let gone = || Err(MeshError::new(Code::AgentAway, "the agent stops"));
                        return answer.unwrap_or_else(|_| gone());
                    }
                }
            }
        };
        match tokio::time::timeout(patience, waiting).await {
            Ok(answer) => answer,
            Err(_) => {
                let text = format!("{peer} did not answer {kind} within {patience:?}");
                Err(MeshError::new(Code::DeadlineExceeded, text))
            }
        }
    }

    /// One message over a link.
    pub(crate) async fn say(
        &self,
        peer: &PeerId,
        kind: &str,
        request_id: &str,
        to: &str,
        body: Value,
    ) -> Result<(), MeshError> {
        let mut message = MeshMessage::new(kind, Payload::new(body));
        message.request_id = request_id.to_owned();
        message.source_agent = self.agent_id().to_string();
        to.clone_into(&mut message.target_agent);
        let command = AgentCommand::Send(SendCommand {
            target_peer: peer.clone(),
            message: Raw::of(&message),
        });
        self.port.command(&command).await
    }

    /// Answers a message in the background, if its sender waits for that.
    pub(crate) fn reply(
        &self,
        from: &PeerId,
        message: &MeshMessage,
        kind: &'static str,
        body: Value,
    ) {
        if message.request_id.is_empty() {
            return;
        }
        let (mesh, peer) = (self.clone(), from.clone());
        let (id, to) = (message.request_id.clone(), message.source_agent.clone());
        tokio::spawn(async move {
            if let Err(error) = mesh.say(&peer, kind, &id, &to, body).await {
                tracing::warn!(%peer, kind, %error, "an answer was not sent");
            }
        });
    }
}

/// What a prompt's handler tells before its answer: parts of it, and nothing else.
pub(crate) struct PromptVoice {
    mesh: Mesh,
    peer: PeerId,
    request_id: String,
    to: String,
    said: AtomicU64,
}

impl PromptVoice {
    pub(crate) fn new(mesh: &Mesh, from: &PeerId, message: &MeshMessage) -> Self {
        Self {
            mesh: mesh.clone(),
            peer: from.clone(),
            request_id: message.request_id.clone(),
            to: message.source_agent.clone(),
            said: AtomicU64::new(0),
        }
    }

    /// Sends a part of the answer.
    pub(crate) async fn chunk(&self, data: Value) -> Result<(), MeshError> {
        let number = self.said.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "number": number, "chunk": data });
        let kind = "agent_stream_chunk";
        self.mesh
            .say(&self.peer, kind, &self.request_id, &self.to, body)
            .await
    }
}

/// The kinds of messages that [`Words::hear`] acts on.
const HEARD: [&str; 7] = [
    "agent_response",
    "agent_stream_chunk",
    "skill_response",
    "pong",
    "skill_query",
    PROMPT,
    "agent_status",
];

/// Whether a message is of a kind that the SDK acts on. The agent's own messages are read no further than that.
pub(crate) fn is_heard(message: &Message) -> bool {
    #[derive(serde::Deserialize)]
    struct Peek<'a> {
        #[serde(rename = "type", borrow)]
        kind: std::borrow::Cow<'a, str>,
    }
    match serde_json::from_str::<Peek<'_>>(message.message.text()) {
        Ok(peek) => HEARD.contains(&peek.kind.as_ref()),
        // Whatever is wrong with it is told where it is read.
        Err(_) => true,
    }
}

/// The envelope of a message, read.
pub(crate) fn envelope(message: &Message) -> Option<MeshMessage> {
    match MeshMessage::parse(message.message.text().as_bytes()) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            tracing::warn!(from = %message.from_peer, %error, "what is no message was skipped");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, request_id: &str, body: Value) -> MeshMessage {
        let mut message = MeshMessage::new(kind, Payload::new(body));
        message.request_id = request_id.to_owned();
        message.source_agent = "other".to_owned();
        message
    }

    fn peer(name: &str) -> PeerId {
        name.parse().unwrap()
    }

    fn asked(words: &Words, id: &str) -> oneshot::Receiver<Result<Value, MeshError>> {
        let (parts, _) = mpsc::unbounded_channel();
        let (done, answered) = oneshot::channel();
        let asked = Asked {
            peer: peer("p"),
            parts,
            done,
        };
        words.lock().asked.insert(id.to_owned(), asked);
        answered
    }

    #[test]
    fn the_agents_own_messages_are_not_read_and_everything_the_sdk_acts_on_is() {
        let heard = |text: &str| {
            is_heard(&Message {
                from_peer: peer("p"),
                message: serde_json::from_str(text).unwrap(),
            })
        };
        assert!(!heard(
            r#"{"payload": {"type": "pong"}, "type": "weather"}"#
        ));
        assert!(heard(r#"{"type": "pong"}"#) && heard(r#"{"kind": "nothing"}"#));
        let words = Words::new("r");
        for kind in HEARD {
            assert!(heard(&format!(r#"{{"type": "{kind}"}}"#)), "{kind}");
            let answered = asked(&words, "q");
            let said = words.hear(&peer("p"), &message(kind, "q", json!({ "status": "idle" })));
            assert!(
                said != Heard::ForTheAgent || kind == "agent_status",
                "{kind}"
            );
            drop(answered);
        }
    }

    #[test]
    fn an_answer_counts_from_the_peer_that_was_asked_and_once() {
        let words = Words::new("r");
        let mut answered = asked(&words, "q");
        let answer = message("agent_response", "q", json!({ "message": "yes" }));
        assert_eq!(words.hear(&peer("liar"), &answer), Heard::ForTheAgent);
        assert!(answered.try_recv().is_err());
        assert_eq!(words.hear(&peer("p"), &answer), Heard::Done);
        assert_eq!(answered.try_recv().unwrap().unwrap()["message"], "yes");
        assert_eq!(words.hear(&peer("p"), &answer), Heard::ForTheAgent);
    }

    #[test]
    fn an_answer_that_is_an_error_keeps_its_code_and_an_unknown_code_is_a_failed_skill() {
        let code = |body| outcome_of(body).unwrap_err().code;
        let known = json!({ "message": null, "error": "busy", "code": "overloaded" });
        assert_eq!(code(known), Code::Overloaded);
        let unknown = json!({ "message": null, "error": "what", "code": "no_such_code" });
        assert_eq!(code(unknown), Code::SkillFailed);
        assert!(outcome_of(json!({ "message": 1, "error": "" })).is_ok());
    }

    #[test]
    fn a_lost_link_ends_what_was_asked_over_it() {
        let words = Words::new("r");
        words.link(&peer("p"), true);
        let mut answered = asked(&words, "q");
        words.unlink_all();
        let ended = answered.try_recv().unwrap();
        assert_eq!(ended.unwrap_err().code, Code::LinkLost);
        assert!(!words.is_linked("p"));
    }

    #[test]
    fn statuses_are_kept_by_agent_and_their_number_is_bounded() {
        let words = Words::new("r");
        for n in 0..=MAX_STATUSES {
            let mut status = message("agent_status", "", json!({ "n": n }));
            status.source_agent = format!("a{n:05}");
            assert_eq!(words.hear(&peer("p"), &status), Heard::ForTheAgent);
        }
        let kept = words.statuses();
        assert_eq!(kept.len(), MAX_STATUSES);
        assert_eq!(kept["a00001"], json!({ "n": 1 }));
    }
}

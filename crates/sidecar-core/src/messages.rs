//! What comes in on links: sidecars act on some kinds, everything else is passed on to the agent as it came.

use std::borrow::Cow;

use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::limits::{DEFAULT_REQUEST_TIMEOUT_MS, MAX_QUEUED_BYTES};
use seamesh_proto::link::{MeshMessage, SidecarLink, TaskRequest};
use seamesh_proto::talk::Listens;
use seamesh_proto::task::Lineage;
use seamesh_proto::{Code, Payload, PeerId, WireError, seam};
use serde::Deserialize;

use crate::run::{Asker, Incoming, Origin, answer, skill_of};
use crate::{LinkId, Piece, Sidecar};

/// As much of a message as routing needs. Reading it checks the rest for being JSON.
#[derive(Deserialize)]
pub(crate) struct Peek<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Cow<'a, str>,
}

impl Sidecar {
    /// A DataChannel message arrived.
    pub(crate) fn on_piece(&mut self, link: LinkId, piece: &Piece) {
        let Some(peer) = self.peers.peer_of(link).cloned() else {
            return;
        };
        match piece {
            Piece::Text(text) => self.on_message(&peer, text),
            Piece::Binary(bytes) => {
                let Some(mut inbound) = self.peers.take_inbound(link) else {
                    return;
                };
                let fed = inbound.feed(bytes, |line| self.on_message(&peer, line));
                self.peers.put_inbound(link, inbound, &mut self.fx);
                if let Err(code) = fed {
                    let detail = "a message on its link is longer than any may be";
                    self.peers.cut(link, code, detail, &mut self.fx);
                }
            }
        }
        self.hold_back();
    }

    /// Stops reading links while the agent is away and much is held for it, or while it does not read.
    pub(crate) fn hold_back(&mut self) {
        let is_over = self.fx.held_bytes() > MAX_QUEUED_BYTES || self.session.is_blocked;
        self.peers.pause(is_over, &mut self.fx);
    }

    fn on_message(&mut self, peer: &PeerId, message: &[u8]) {
        if let Err(error) = self.route_message(peer, message) {
            self.fx.blame(peer, error.code, error.detail);
        }
    }

    fn route_message(&mut self, peer: &PeerId, message: &[u8]) -> Result<(), WireError> {
        let text = std::str::from_utf8(message)
            .map_err(|e| WireError::new(Code::BadEncoding, e.to_string()))?;
        let peek: Peek<'_> = serde_json::from_str(text).map_err(|e| WireError::from_json(&e))?;
        let is_ours = matches!(
            &*peek.kind,
            "ping" | "task_request" | "task_response" | "task_cancel" | "task_news" | "task_input"
        );
        let me = Party::Sidecar;
        let times = match is_ours || peek.kind == "link_credit" || peek.kind == "pong" {
            true => seam::heard(Channel::Link, &peek.kind, Some(me), me),
            false => 1,
        };
        for _ in 0..times {
            self.take_message(peer, message, text, &peek.kind, is_ours)?;
        }
        Ok(())
    }

    fn take_message(
        &mut self,
        peer: &PeerId,
        message: &[u8],
        text: &str,
        kind: &str,
        is_ours: bool,
    ) -> Result<(), WireError> {
        if kind == "link_credit" {
            self.act_on(peer, message)?;
        } else if !is_ours || self.session.is_old() || !self.act_on(peer, message)? {
            self.fx.pass_on(peer, &one_line(text)?);
        }
        Ok(())
    }

    /// Acts on a message of a kind that sidecars know. `false`: it is not for the sidecar after all.
    fn act_on(&mut self, peer: &PeerId, message: &[u8]) -> Result<bool, WireError> {
        let message = MeshMessage::parse(message)?;
        match message.sidecar_body()? {
            SidecarLink::Ping(_) => self.pong(peer, &message),
            SidecarLink::Pong(_) => return Ok(false),
            SidecarLink::TaskRequest(request) => self.on_task_request(peer, &message, request),
            SidecarLink::TaskResponse(response) => {
                let (requests, mut means) = self.requesting();
                return Ok(requests.on_response(peer, &message.request_id, response, &mut means));
            }
            SidecarLink::TaskNews(body) => {
                let (requests, mut means) = self.requesting();
                requests.on_link_news(peer, &message.request_id, body, &mut means);
            }
            SidecarLink::TaskInput(input) => {
                let id = &message.request_id;
                self.work
                    .on_asker_input(peer, id, input, &mut self.peers, &mut self.fx)?;
            }
            SidecarLink::LinkCredit(credit) => {
                let bytes = usize::try_from(credit.bytes).unwrap_or(usize::MAX);
                self.peers.on_credit(peer, bytes, &mut self.fx);
            }
            SidecarLink::TaskCancel(_) => {
                let id = &message.request_id;
                // One that is not known has ended: the two crossed.
                self.work.on_asker_cancel(peer, id, &mut self.fx);
            }
        }
        Ok(true)
    }

    fn pong(&mut self, peer: &PeerId, ping: &MeshMessage) {
        if self.peers.is_full(peer.as_str()) {
            return; // It does not read what we answer: no queue grows for it.
        }
        let mut pong = MeshMessage::new("pong", Payload::EMPTY);
        pong.request_id = ping.request_id.clone();
        pong.target_agent = ping.source_agent.clone();
        pong.source_agent = self.agent_name();
        self.send_own(peer, &pong);
    }

    fn agent_name(&self) -> String {
        let agent = self.session.agent.as_ref();
        agent.map_or_else(String::new, |a| a.agent_id.to_string())
    }

    fn on_task_request(&mut self, peer: &PeerId, message: &MeshMessage, request: TaskRequest) {
        let listens = message
            .task
            .as_ref()
            .map_or(Listens::default(), |t| t.listens);
        let asker = Asker {
            peer: peer.clone(),
            request_id: message.request_id.clone(),
            agent: message.source_agent.clone(),
            listens,
        };
        let skill = skill_of(request.skill.clone());
        let (task_id, attempt, timeout_ms, lineage, payload) = match &message.task {
            Some(task) => {
                let (id, lineage) = (task.task_id.clone(), task.lineage.clone());
                (id, task.attempt, task.timeout_ms, lineage, request.args)
            }
            // An old peer names no task: every request of it is one.
            None => {
                let (id, lineage) = (self.fx.task_id(), Lineage::default());
                (
                    id,
                    1,
                    DEFAULT_REQUEST_TIMEOUT_MS,
                    lineage,
                    request.arguments(),
                )
            }
        };
        let incoming = Incoming {
            task_id,
            attempt,
            skill,
            payload,
            from_agent: message.source_agent.clone(),
            timeout_ms,
            listens,
            lineage,
            origin: Origin::Direct(asker.clone()),
        };
        if let Some(refused) = self.refusal(peer, &incoming) {
            return answer(&asker, refused, &mut self.peers, &mut self.fx);
        }
        let agent = self.session.presence();
        self.work
            .arrive(incoming, agent, &mut self.peers, &mut self.fx);
    }
}

/// JSON without line breaks: between two of them on IPC stands one event. Our own never has any.
pub(crate) fn one_line(text: &str) -> Result<Cow<'_, str>, WireError> {
    if memchr::memchr(b'\n', text.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|e| WireError::from_json(&e))?;
    Ok(Cow::Owned(value.to_string()))
}

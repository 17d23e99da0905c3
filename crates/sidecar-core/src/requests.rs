//! What our agent asks of others: directly over a link when it can, else through the queue, under one task id. Every
//! request ends: with a response, an error, or its deadline.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use seamesh_proto::ipc::{AgentEvent, Request, Via};
use seamesh_proto::limits::{
    DEFAULT_REQUEST_TIMEOUT_MS, DEFAULT_TTL_S, MAX_OPEN_REQUESTS, MAX_TTL_S,
};
use seamesh_proto::link::{self, MeshMessage, TaskResponse};
use seamesh_proto::payload::Raw;
use seamesh_proto::signaling::{ClientSignal, SubmittedTaskNews, TaskCancel, TaskDone, TaskWatch};
use seamesh_proto::talk::{News, TaskInput};
use seamesh_proto::task::Lineage;
use seamesh_proto::{AgentId, Code, Now, Outcome, Path, Payload, PeerId, Problem, TaskId};

use crate::directory::Directory;
use crate::effects::Effects;
use crate::limits::{MAX_LINK_CANCELS, MAX_PEERS, MAX_REQUEST_BYTES};
use crate::peers::Peers;
use crate::report::Reports;
use crate::request::{Open, Stage};
use crate::talk::{Heard, Use};
use crate::timers::Reason;

/// A request that passed its checks: what the agent asked, and its place in the tree.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) request: Request,
    pub(crate) source: AgentId,
    pub(crate) lineage: Lineage,
    /// Milliseconds that the task whose handler asks has left.
    pub(crate) parent_left_ms: Option<u64>,
    /// Length of the payload's JSON.
    pub(crate) payload_bytes: usize,
}

/// How much of ours an agent has to do.
#[derive(Debug, Default)]
struct Load {
    outstanding: u32,
    /// Number of the choice that fell on it last.
    chosen: u64,
}

/// What it takes to act on a request.
pub(crate) struct Means<'a> {
    pub(crate) peers: &'a mut Peers,
    pub(crate) directory: &'a Directory,
    pub(crate) reports: &'a mut Reports,
    pub(crate) fx: &'a mut Effects,
}

/// All open requests.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    open: BTreeMap<TaskId, Open>,
    by_name: BTreeMap<String, TaskId>,
    bytes: usize,
    loads: BTreeMap<AgentId, Load>,
    choices: u64,
    /// Queued tasks to cancel, until the registry has said how they ended.
    cancels: BTreeSet<TaskId>,
    /// What was canceled over links, the oldest first: a word that went with its link is said again over the next.
    link_cancels: VecDeque<LinkCancel>,
}

/// Direct work that nobody waits for any more.
#[derive(Debug)]
struct LinkCancel {
    peer: PeerId,
    task_id: TaskId,
    /// Then its handler is stopped without a word.
    deadline: Now,
}

impl Requests {
    /// Takes a request.
    ///
    /// # Errors
    /// Why it is refused; then it is over.
    pub(crate) fn start(&mut self, ask: Ask, m: &mut Means<'_>) -> Result<(), Problem> {
        self.check(&ask)?;
        let now = m.fx.now;
        let Request {
            request_id,
            skill,
            to,
            payload,
            timeout_ms,
            wait,
            via,
            listens,
            ..
        } = ask.request;
        let left_ms = ask.parent_left_ms.unwrap_or(u64::MAX);
        let waits_ms = timeout_ms
            .unwrap_or(DEFAULT_REQUEST_TIMEOUT_MS)
            .min(left_ms)
            .min(MAX_TTL_S * 1000);
        let lives_ms = match (wait, timeout_ms) {
            (false, None) => (DEFAULT_TTL_S * 1000).min(left_ms),
            _ => waits_ms,
        };
        let open = Open {
            task_id: m.fx.task_id(),
            request_id,
            skill,
            to,
            payload,
            payload_bytes: ask.payload_bytes,
            started: now,
            deadline: now.plus(waits_ms),
            ttl_s: lives_ms.div_ceil(1000).max(1),
            waits: wait,
            via,
            lineage: ask.lineage,
            source: ask.source,
            stage: Stage::Submitting { left: false },
            asked: None,
            asked_at: None,
            instance: String::new(),
            listens,
            heard: Heard::default(),
        };
        self.route(open, m)
    }

    fn check(&self, ask: &Ask) -> Result<(), Problem> {
        let request = &ask.request;
        if self.by_name.contains_key(&request.request_id) {
            let detail = "this request_id is in use: give every open request its own";
            return Err(Problem::new(Code::Conflict, detail));
        }
        if self.open.len() >= MAX_OPEN_REQUESTS {
            let detail = format!("at most {MAX_OPEN_REQUESTS} requests may be open");
            return Err(Problem::new(Code::Overloaded, detail));
        }
        if self.bytes + ask.payload_bytes > MAX_REQUEST_BYTES {
            let detail = format!("open requests hold at most {MAX_REQUEST_BYTES} bytes of payload");
            return Err(Problem::new(Code::Overloaded, detail));
        }
        if request.via == Via::Direct && !request.wait {
            let detail = "via: a request that only goes directly has to wait for its answer";
            return Err(Problem::new(Code::BadField, detail));
        }
        Ok(())
    }

    /// Directly when it may and an agent is linked, else into the queue.
    fn route(&mut self, mut open: Open, m: &mut Means<'_>) -> Result<(), Problem> {
        let may_go_directly = open.waits && open.via != Via::Queue;
        let sent = may_go_directly && self.send_directly(&mut open, m)?;
        let task_id = open.task_id.clone();
        m.fx.timers
            .set(Reason::Request(task_id.clone()), open.deadline);
        self.by_name
            .insert(open.request_id.clone(), task_id.clone());
        self.bytes += open.payload_bytes;
        if !sent {
            open.submit(m.fx);
        }
        self.open.insert(task_id, open);
        Ok(())
    }

    /// Whether it went out on a link.
    fn send_directly(&mut self, open: &mut Open, m: &mut Means<'_>) -> Result<bool, Problem> {
        let is_bound = open.via == Via::Direct;
        let Some((agent, peer)) = self.choose(open, m) else {
            return match is_bound {
                true => Err(open.no_link(m.directory)),
                false => Ok(false),
            };
        };
        let is_native = m
            .peers
            .open_with(peer.as_str())
            .is_some_and(|a| a.is_native);
        let message = Raw::of(&open.message(&agent, is_native, m.fx.now));
        match m.peers.send(peer.as_str(), message.text().as_bytes(), m.fx) {
            Ok(()) => {}
            Err(code) if is_bound => return Err(Problem::new(code, "the link does not take it")),
            Err(_) => return Ok(false),
        }
        self.choices += 1;
        if self.loads.len() > MAX_PEERS {
            // Agents come and go; those without work of ours are only remembered for fairness.
            self.loads.retain(|_, load| load.outstanding > 0);
        }
        let load = self.loads.entry(agent.clone()).or_default();
        load.outstanding += 1;
        load.chosen = self.choices;
        open.stage = Stage::Direct(peer.clone());
        open.asked_at = Some(peer);
        open.instance = m.directory.instance(&agent);
        open.asked = Some(agent);
        m.fx.event(open.accepted(Path::Direct));
        Ok(true)
    }

    /// Of the healthy, linked agents that fit, the one with least of ours to do; of equals the one chosen longest ago.
    fn choose(&self, open: &Open, m: &mut Means<'_>) -> Option<(AgentId, PeerId)> {
        let mut best: Option<((u32, u64), AgentId, PeerId)> = None;
        let mut unlinked = None;
        for agent in m
            .directory
            .askable(&open.source, open.to.as_ref(), &open.skill)
        {
            let Ok(peer) = agent.info.sidecar_peer_id.parse::<PeerId>() else {
                continue;
            };
            if m.peers.open_with(peer.as_str()).is_none() {
                unlinked = unlinked.or(Some(peer));
                continue;
            }
            let load = self.loads.get(&agent.info.agent_id);
            let rank = load.map_or((0, 0), |l| (l.outstanding, l.chosen));
            if best.as_ref().is_none_or(|(other, ..)| rank < *other) {
                best = Some((rank, agent.info.agent_id.clone(), peer));
            }
        }
        if let (None, Some(peer)) = (&best, unlinked) {
            m.peers.dial(&peer, m.fx); // For the next request.
        }
        best.map(|(_, agent, peer)| (agent, peer))
    }

    /// Takes a request out of everything but the timers' way.
    fn remove(&mut self, task_id: &TaskId, fx: &mut Effects) -> Option<Open> {
        let open = self.open.remove(task_id)?;
        self.by_name.remove(&open.request_id);
        self.bytes -= open.payload_bytes;
        fx.timers.cancel(&Reason::Request(task_id.clone()));
        self.unload(&open);
        Some(open)
    }

    /// The agent that was asked directly no longer has it to do.
    fn unload(&mut self, open: &Open) {
        if let (Stage::Direct(_), Some(agent)) = (&open.stage, &open.asked)
            && let Some(load) = self.loads.get_mut(agent)
        {
            load.outstanding = load.outstanding.saturating_sub(1);
        }
    }

    /// The answer of an agent that was asked directly. `false`: it is not to a request of ours.
    pub(crate) fn on_response(
        &mut self,
        from: &PeerId,
        request_id: &str,
        response: TaskResponse,
        m: &mut Means<'_>,
    ) -> bool {
        let Some(open) = self.open.get(request_id) else {
            return false;
        };
        if open.stage != Stage::Direct(from.clone()) {
            return true; // The queue has taken over.
        }
        let task_id = open.task_id.clone();
        let outcome = response.into_outcome();
        if open.may_fall_back(&outcome) {
            self.fall_back(&task_id, m);
        } else {
            self.end_directly(&task_id, outcome, m);
        }
        true
    }

    fn end_directly(&mut self, task_id: &TaskId, outcome: Outcome, m: &mut Means<'_>) {
        if let Some(open) = self.remove(task_id, m.fx) {
            m.reports.add(open.report(&outcome, m.fx.now), m.fx);
            let agent = open.asked.as_ref().map_or("", AgentId::as_str).to_owned();
            m.fx.event_or_hold(open.response(outcome, Path::Direct, agent, m.fx.now));
        }
    }

    fn fall_back(&mut self, task_id: &TaskId, m: &mut Means<'_>) {
        let Some(mut open) = self.open.remove(task_id) else {
            return;
        };
        self.unload(&open);
        open.submit(m.fx);
        self.open.insert(task_id.clone(), open);
    }

    /// A link broke: its requests go to the queue under the same ids, or end when they may not.
    pub(crate) fn on_link_lost(&mut self, peer: &PeerId, m: &mut Means<'_>) {
        let stage = Stage::Direct(peer.clone());
        let lost = self.open.values().filter(|o| o.stage == stage);
        let lost: Vec<(TaskId, Via)> = lost.map(|o| (o.task_id.clone(), o.via)).collect();
        for (task_id, via) in lost {
            if via == Via::Direct {
                // It ends here: nobody is left to use what the other end does.
                let deadline = self.open.get(&task_id).map_or(m.fx.now, |o| o.deadline);
                let (peer, id) = (peer.clone(), task_id.clone());
                self.cancel_over_link(
                    LinkCancel {
                        peer,
                        task_id: id,
                        deadline,
                    },
                    m,
                );
                let detail = "the link went down before the answer came";
                self.end_directly(&task_id, Outcome::failed(Code::LinkLost, detail), m);
            } else {
                self.fall_back(&task_id, m);
            }
        }
    }

    /// The registry is there: everything it has to know is said again. It recognises what it knows by the task id.
    pub(crate) fn on_signaling_up(&mut self, peers: &mut Peers, fx: &mut Effects) {
        for task_id in self.cancels.iter().cloned() {
            fx.signal(None, &ClientSignal::TaskCancel(TaskCancel { task_id }));
        }
        let mut task_ids = Vec::new();
        for open in self.open.values_mut() {
            match open.stage {
                Stage::Submitting { .. } => open.submit(fx),
                Stage::Queued => task_ids.push(open.task_id.clone()),
                Stage::Direct(_) => {}
            }
        }
        if !task_ids.is_empty() {
            fx.signal(None, &ClientSignal::TaskWatch(TaskWatch { task_ids }));
        }
        let queued = self.open.values().filter(|o| o.stage == Stage::Queued);
        queued.for_each(|open| open.tell_again(peers, fx));
    }

    /// The work is durable.
    pub(crate) fn on_submitted(&mut self, request_id: &str, fx: &mut Effects) {
        let Some(open) = self.open.get_mut(request_id) else {
            return;
        };
        if !matches!(open.stage, Stage::Submitting { .. }) {
            return; // Said twice, after a reconnect.
        }
        open.stage = Stage::Queued;
        fx.event_or_hold(open.accepted(Path::Queue));
        if !open.waits {
            let task_id = open.task_id.clone();
            self.remove(&task_id, fx);
        }
    }

    /// The registry refused a request. `false`: it is not one of ours.
    pub(crate) fn on_refused(&mut self, problem: &Problem, fx: &mut Effects) -> bool {
        let id = problem.request_id.as_deref();
        if let Some(id) = id {
            // It cannot be canceled, and need not be told again.
            self.cancels.remove(id);
        }
        let named = id.and_then(|id| self.open.get(id));
        let Some(task_id) = named.map(|o| o.task_id.clone()) else {
            return false;
        };
        if let Some(open) = self.remove(&task_id, fx) {
            let problem = problem.clone().for_request(open.request_id);
            fx.event_or_hold(AgentEvent::Error(problem));
        }
        true
    }

    /// A queued task ended.
    pub(crate) fn on_done(&mut self, done: TaskDone, fx: &mut Effects) {
        self.cancels.remove(&done.task_id);
        let ends = |o: &Open| o.waits && !matches!(o.stage, Stage::Direct(_));
        if self.open.get(&done.task_id).is_some_and(ends)
            && let Some(open) = self.remove(&done.task_id, fx)
        {
            fx.event_or_hold(open.response(done.outcome, done.path, done.agent_id, fx.now));
        }
    }

    /// The handler of direct work tells something. What comes from another link is of no interest any more.
    pub(crate) fn on_link_news(
        &mut self,
        from: &PeerId,
        request_id: &str,
        body: link::TaskNews,
        m: &mut Means<'_>,
    ) {
        let open = self.open.get_mut(request_id);
        if let Some(open) = open.filter(|o| o.stage == Stage::Direct(from.clone())) {
            pass_news(open, body.attempt, body.news, m);
        }
    }

    /// The handler of queued work tells something.
    pub(crate) fn on_queue_news(&mut self, body: SubmittedTaskNews, m: &mut Means<'_>) {
        let open = self.open.get_mut(&body.task_id);
        if let Some(open) = open.filter(|o| !matches!(o.stage, Stage::Direct(_))) {
            pass_news(open, body.attempt, body.news, m);
        }
    }

    /// The agent tells the handler of its request something. One that has ended needs it no more: the two crossed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn tell(
        &mut self,
        request_id: &str,
        input: TaskInput,
        m: &mut Means<'_>,
    ) -> Result<(), Problem> {
        let task_id = self.by_name.get(request_id);
        if let Some(open) = task_id.and_then(|id| self.open.get_mut(id)) {
            open.heard.told(&input)?;
            open.tell(input, m.peers, m.fx);
        }
        Ok(())
    }

    /// A task of ours was stopped: what its handler asked for and waits for is canceled.
    pub(crate) fn cancel_under(&mut self, parent: &TaskId, m: &mut Means<'_>) {
        let is_under = |o: &&Open| o.waits && o.lineage.parent_id.as_ref() == Some(parent);
        let under = self.open.values().filter(is_under);
        let under: Vec<TaskId> = under.map(|o| o.task_id.clone()).collect();
        for task_id in under {
            let detail = "the task that asked for it was stopped";
            self.give_up(&task_id, Some(Outcome::canceled(detail)), m);
        }
    }

    /// The agent gives a request up. One that has ended already needs no word: the two crossed.
    pub(crate) fn cancel(&mut self, request_id: &str, m: &mut Means<'_>) {
        if let Some(task_id) = self.by_name.get(request_id).cloned() {
            let outcome = Outcome::canceled("the request was canceled");
            self.give_up(&task_id, Some(outcome), m);
        }
    }

    /// The deadline passed.
    pub(crate) fn on_deadline(&mut self, task_id: &TaskId, m: &mut Means<'_>) {
        let Some(open) = self.open.get(task_id) else {
            return;
        };
        let is_unheard = matches!(open.stage, Stage::Submitting { .. });
        let code = match is_unheard && !m.fx.is_up {
            true => Code::RegistryUnavailable,
            false => Code::DeadlineExceeded,
        };
        let detail = match code {
            Code::RegistryUnavailable => {
                "no agent is linked and the registry was away all the time"
            }
            _ => "no answer came in time",
        };
        if open.waits {
            self.give_up(task_id, Some(Outcome::failed(code, detail)), m);
        } else {
            let problem = Problem::new(code, detail).for_request(open.request_id.clone());
            m.fx.event_or_hold(AgentEvent::Error(problem));
            self.give_up(task_id, None, m);
        }
    }

    /// The agent is gone for good: nobody waits. What it wanted done without waiting goes on.
    pub(crate) fn abandon(&mut self, m: &mut Means<'_>) {
        let waiting = self.open.values().filter(|o| o.waits);
        let waiting: Vec<TaskId> = waiting.map(|o| o.task_id.clone()).collect();
        for task_id in waiting {
            self.give_up(&task_id, None, m);
        }
    }

    /// Ends a request here and tells whoever works on it.
    fn give_up(&mut self, task_id: &TaskId, outcome: Option<Outcome>, m: &mut Means<'_>) {
        let Some(open) = self.remove(task_id, m.fx) else {
            return;
        };
        // Also of work that fell back to the queue: its first handler may not know yet.
        if let Some(peer) = open.asked_at.clone() {
            let task_id = task_id.clone();
            let deadline = open.deadline;
            self.cancel_over_link(
                LinkCancel {
                    peer,
                    task_id,
                    deadline,
                },
                m,
            );
        }
        let path = match &open.stage {
            Stage::Direct(_) => {
                let ended = outcome
                    .clone()
                    .unwrap_or_else(|| Outcome::canceled("the asker left"));
                m.reports.add(open.report(&ended, m.fx.now), m.fx);
                Path::Direct
            }
            Stage::Submitting { left: false } => Path::Queue,
            Stage::Submitting { left: true } | Stage::Queued => {
                self.cancel_queued(task_id, m.fx);
                Path::Queue
            }
        };
        if let Some(outcome) = outcome {
            m.fx.event_or_hold(open.response(outcome, path, String::new(), m.fx.now));
        }
    }

    fn cancel_over_link(&mut self, cancel: LinkCancel, m: &mut Means<'_>) {
        let mut message = MeshMessage::new("task_cancel", Payload::EMPTY);
        message.request_id = cancel.task_id.to_string();
        let message = Raw::of(&message);
        // Without a link it is said when there is one.
        let peer = cancel.peer.as_str();
        let _ = m.peers.send(peer, message.text().as_bytes(), m.fx);
        self.link_cancels.push_back(cancel);
        if self.link_cancels.len() > MAX_LINK_CANCELS {
            self.link_cancels.pop_front();
        }
    }

    /// There is a link again: what was canceled over the last one may not have arrived.
    pub(crate) fn on_link_up(&mut self, peer: &PeerId, m: &mut Means<'_>) {
        let now = m.fx.now;
        for cancel in std::mem::take(&mut self.link_cancels) {
            if cancel.deadline <= now {
                continue;
            }
            if cancel.peer == *peer {
                self.cancel_over_link(cancel, m);
            } else {
                self.link_cancels.push_back(cancel);
            }
        }
    }

    fn cancel_queued(&mut self, task_id: &TaskId, fx: &mut Effects) {
        let task_id = task_id.clone();
        // Over the limit it is said once, and else the task's own TTL ends it.
        if self.cancels.len() < MAX_OPEN_REQUESTS {
            self.cancels.insert(task_id.clone());
        }
        if fx.is_up {
            fx.signal(None, &ClientSignal::TaskCancel(TaskCancel { task_id }));
        }
    }
}

/// Passes on to the agent what it has not heard.
fn pass_news(open: &mut Open, attempt: u32, news: News, m: &mut Means<'_>) {
    if news.check().is_err() {
        return;
    }
    match open.heard.take(attempt, &news) {
        Use::Agent => {
            let event = open.heard.event(&open.request_id, &open.task_id, news);
            m.fx.event_or_hold(AgentEvent::RequestNews(event));
        }
        Use::Handler(input) => open.tell(input, m.peers, m.fx),
        Use::Nobody => {}
    }
}

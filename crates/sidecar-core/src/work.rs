//! Work for our agent. It reaches the agent as the same event whichever way it came, and its handler runs at most once
//! per (task, attempt).

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::ipc::{AgentEvent, RunRef, TaskCancel, TaskInputEvent};
use seamesh_proto::limits::DEFAULT_MAX_CONCURRENT;
use seamesh_proto::signaling::{
    ClientSignal, LeaseRef, LeasedTaskInput, TaskAck, TaskRelease, TaskResult,
};
use seamesh_proto::talk::{News, TaskInput};
use seamesh_proto::{AgentProfile, Code, Outcome, PeerId, Problem, TaskId, WireError};

use crate::effects::Effects;
use crate::limits::MAX_ASKERS;
use crate::past::{Past, RunKey, Window};
use crate::peers::Peers;
use crate::run::{Asker, Incoming, Origin, Run, answer, bounded};
use crate::timers::Reason;

/// Whether the agent is there to do it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Agent<'a> {
    /// Nobody is.
    Away,
    /// It lost its socket a moment ago.
    Returning(&'a AgentProfile),
    /// It is.
    Here(&'a AgentProfile),
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Work {
    runs: BTreeMap<RunKey, Run>,
    past: Window,
    /// Results and releases that the registry has not acknowledged.
    unacked: BTreeMap<(TaskId, u64), ClientSignal>,
    stopped: Vec<TaskId>,
}

impl Work {
    /// Takes work from either path.
    pub(crate) fn arrive(
        &mut self,
        incoming: Incoming,
        agent: Agent<'_>,
        peers: &mut Peers,
        fx: &mut Effects,
    ) {
        let key = (incoming.task_id.clone(), incoming.attempt);
        if let Some(run) = self.runs.get_mut(&key) {
            if run.askers.len() < MAX_ASKERS || matches!(incoming.origin, Origin::Queue(_)) {
                run.join(incoming.origin.clone());
                return run.repeat_to(&incoming.origin, peers, fx);
            }
            let detail = "too many ask for the outcome of this attempt";
            let past = Past::Ended(Outcome::failed(Code::Overloaded, detail));
            return self.settle(&key, &incoming.origin, past, peers, fx);
        }
        if let Some(past) = self.past.get(&key).cloned() {
            return self.settle(&key, &incoming.origin, past, peers, fx);
        }
        let (Agent::Here(profile) | Agent::Returning(profile)) = agent else {
            return self.settle(&key, &incoming.origin, Past::Abandoned, peers, fx);
        };
        if !profile.skills.iter().any(|s| s.name == incoming.skill) {
            let detail = format!("agent {} has no skill {}", profile.agent_id, incoming.skill);
            let past = Past::Ended(Outcome::failed(Code::SkillUnknown, detail));
            return self.settle(&key, &incoming.origin, past, peers, fx);
        }
        let most = match profile.max_concurrent {
            0 => DEFAULT_MAX_CONCURRENT,
            n => n,
        };
        // The queue counts for itself; work it handed out has a place.
        if self.runs.len() >= most as usize && matches!(incoming.origin, Origin::Direct(_)) {
            let detail = format!("the agent runs {most} tasks already");
            let past = Past::Ended(Outcome::failed(Code::Overloaded, detail));
            return self.settle(&key, &incoming.origin, past, peers, fx);
        }
        let mut run = Run::new(incoming, fx.now);
        fx.timers
            .set(Reason::Work(key.0.clone(), key.1), run.deadline);
        if matches!(agent, Agent::Here(_)) {
            run.deliver(fx);
        }
        self.runs.insert(key, run);
    }

    /// The agent is back: hands it what came meanwhile.
    pub(crate) fn deliver_waiting(&mut self, fx: &mut Effects) {
        for run in self.runs.values_mut().filter(|run| !run.is_delivered) {
            run.deliver(fx);
        }
    }

    /// The agent tells how an attempt ended.
    ///
    /// # Errors
    /// `task_unknown`, `task_state`, `bad_field`: for the agent.
    pub(crate) fn respond(
        &mut self,
        key: RunKey,
        outcome: Outcome,
        peers: &mut Peers,
        fx: &mut Effects,
    ) -> Result<(), Problem> {
        if !outcome.state.is_terminal() {
            let detail = "outcome.state: an outcome is completed, failed or canceled";
            return Err(Problem::new(Code::BadField, detail));
        }
        let Some(run) = self.runs.remove(&key) else {
            return match self.past.get(&key) {
                // It was told to stop, and this crossed the word.
                Some(Past::Ended(o)) if o.state != seamesh_proto::TaskState::Completed => Ok(()),
                Some(_) => Err(Problem::new(
                    Code::TaskState,
                    "this attempt has ended already",
                )),
                None => Err(Problem::new(
                    Code::TaskUnknown,
                    "no such attempt was handed out",
                )),
            };
        };
        let (outcome, bytes) = bounded(outcome);
        fx.timers.cancel(&Reason::Work(key.0.clone(), key.1));
        let past = Past::Ended(outcome);
        for origin in run.origins() {
            self.settle(&key, &origin, past.clone(), peers, fx);
        }
        self.past.insert(key, past, bytes);
        Ok(())
    }

    /// The handler of an attempt tells something before its end.
    ///
    /// # Errors
    /// For the agent: what is wrong with the news, or `task_unknown`.
    pub(crate) fn tell_news(
        &mut self,
        key: &RunKey,
        news: News,
        peers: &mut Peers,
        fx: &mut Effects,
    ) -> Result<(), Problem> {
        let Some(run) = self.runs.get_mut(key) else {
            return match self.past.get(key) {
                Some(_) => Ok(()), // It was told to stop, and this crossed the word.
                None => Err(Problem::new(
                    Code::TaskUnknown,
                    "no such attempt was handed out",
                )),
            };
        };
        let listens = run.listens();
        if let Some(news) = run.told.take(news, listens, fx.now)? {
            run.carry(&news, peers, fx);
        }
        if let Some(at) = run.told.progress_due() {
            let reason = Reason::Progress(key.0.clone(), key.1);
            fx.timers.set_if_unset(reason, at);
        }
        Ok(())
    }

    /// A progress that waited may leave.
    pub(crate) fn on_progress_due(&mut self, key: &RunKey, peers: &mut Peers, fx: &mut Effects) {
        if let Some(run) = self.runs.get_mut(key)
            && let Some(news) = run.told.due_progress(fx.now)
        {
            run.carry(&news, peers, fx);
        }
    }

    /// A direct asker tells the handler something. Work that has ended needs it no more.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn on_asker_input(
        &mut self,
        peer: &PeerId,
        request_id: &str,
        input: TaskInput,
        peers: &mut Peers,
        fx: &mut Effects,
    ) -> Result<(), WireError> {
        let checked = input.check();
        checked.map_err(|problem| WireError::new(problem.code, problem.detail))?;
        let is_its = |a: &&Asker| a.peer == *peer && a.request_id == request_id;
        let asked = self.runs.values_mut().find_map(|run| {
            let asker = run.askers.iter().find(is_its)?.clone();
            Some((run, asker))
        });
        if let Some((run, asker)) = asked {
            hand_over(run, input, &Origin::Direct(asker), peers, fx);
        }
        Ok(())
    }

    /// The asker of queued work, or a person, tells its handler something.
    pub(crate) fn on_leased_input(
        &mut self,
        body: LeasedTaskInput,
        peers: &mut Peers,
        fx: &mut Effects,
    ) {
        let mut runs = self
            .runs
            .range_mut((body.task_id.clone(), 0)..=(body.task_id.clone(), u32::MAX));
        let run = runs.find(|(_, run)| run.lease == Some(body.lease));
        if let Some((_, run)) = run {
            hand_over(run, body.input, &Origin::Queue(body.lease), peers, fx);
        }
    }

    /// The agent has work from before this sidecar was started: it is known again. What was given back in the meantime
    /// is to stop.
    pub(crate) fn adopt(&mut self, running: &[RunRef], fx: &mut Effects) {
        for known in running {
            let key = (known.task_id.clone(), known.attempt);
            if self.runs.contains_key(&key) {
                continue;
            }
            match self.past.get(&key) {
                None => {
                    let run = Run::adopted(known, fx.now);
                    fx.timers
                        .set(Reason::Work(key.0.clone(), key.1), run.deadline);
                    self.runs.insert(key, run);
                }
                Some(Past::Abandoned) => fx.event(AgentEvent::TaskCancel(TaskCancel {
                    task_id: key.0,
                    attempt: key.1,
                    code: Code::LeaseStale,
                })),
                Some(_) => {}
            }
        }
    }

    /// Work that was stopped since the last call: what it asked of others is to stop, too.
    pub(crate) fn take_stopped(&mut self) -> Vec<TaskId> {
        std::mem::take(&mut self.stopped)
    }

    /// Answers one way that work came by.
    fn settle(
        &mut self,
        key: &RunKey,
        origin: &Origin,
        past: Past,
        peers: &mut Peers,
        fx: &mut Effects,
    ) {
        let outcome = match past {
            Past::Ended(outcome) => Some(outcome),
            Past::Forgotten => {
                let detail = "this attempt ran; its outcome is no longer kept";
                Some(Outcome::failed(Code::Internal, detail))
            }
            Past::Abandoned => None,
        };
        match (origin, outcome) {
            (Origin::Direct(asker), outcome) => {
                let away = || Outcome::failed(Code::AgentAway, "the agent is not there");
                answer(asker, outcome.unwrap_or_else(away), peers, fx);
            }
            (Origin::Queue(lease), Some(outcome)) => {
                let (task_id, lease) = (key.0.clone(), *lease);
                let result = TaskResult {
                    task_id,
                    lease,
                    outcome,
                };
                self.tell(&key.0, lease, ClientSignal::TaskResult(result), fx);
            }
            (Origin::Queue(lease), None) => {
                let (task_id, lease) = (key.0.clone(), *lease);
                let release = ClientSignal::TaskRelease(TaskRelease { task_id, lease });
                self.tell(&key.0, lease, release, fx);
            }
        }
    }

    /// Tells the registry, and again after every reconnect, until it has acknowledged.
    fn tell(&mut self, task_id: &TaskId, lease: u64, signal: ClientSignal, fx: &mut Effects) {
        fx.signal(None, &signal);
        self.unacked.insert((task_id.clone(), lease), signal);
    }

    /// The registry took a result or release, or will never take it.
    pub(crate) fn on_ack(&mut self, ack: &TaskAck) {
        self.unacked.remove(&(ack.task_id.clone(), ack.lease));
    }

    /// The registry is there again.
    pub(crate) fn on_signaling_up(&mut self, peers: &mut Peers, fx: &mut Effects) {
        for signal in self.unacked.values() {
            fx.signal(None, signal);
        }
        for run in self.runs.values() {
            if let Some(lease) = run.lease {
                run.repeat_to(&Origin::Queue(lease), peers, fx);
            }
        }
    }

    /// Leases that we still need: of running work and of results that are on their way.
    pub(crate) fn leases(&self) -> Vec<LeaseRef> {
        let running = self
            .runs
            .iter()
            .filter_map(|(key, run)| Some((&key.0, run.lease?)));
        let telling = self
            .unacked
            .keys()
            .map(|(task_id, lease)| (task_id, *lease));
        running
            .chain(telling)
            .map(|(task_id, lease)| LeaseRef {
                task_id: task_id.clone(),
                lease,
            })
            .collect()
    }

    /// A lease is over.
    pub(crate) fn on_revoked(
        &mut self,
        task_id: &TaskId,
        lease: u64,
        code: Code,
        fx: &mut Effects,
    ) {
        self.unacked.remove(&(task_id.clone(), lease));
        let key = self
            .runs_of(task_id)
            .find(|(_, run)| run.lease == Some(lease));
        let Some(key) = key.map(|(key, _)| key.clone()) else {
            return;
        };
        if let Some(run) = self.runs.get_mut(&key) {
            run.lease = None;
            if run.askers.is_empty() {
                self.stop(&key, code, fx);
            }
        }
    }

    /// An asker gave up. `false`: it did not ask here.
    pub(crate) fn on_asker_cancel(
        &mut self,
        peer: &PeerId,
        request_id: &str,
        fx: &mut Effects,
    ) -> bool {
        let is_its = |a: &Asker| a.peer == *peer && a.request_id == request_id;
        let asked = self
            .runs
            .iter_mut()
            .find(|(_, run)| run.askers.iter().any(is_its));
        let Some((key, run)) = asked else {
            return false;
        };
        run.askers.retain(|a| !is_its(a));
        if run.askers.is_empty() && run.lease.is_none() {
            let key = key.clone();
            self.stop(&key, Code::Canceled, fx);
        }
        true
    }

    /// Nobody waits any more. The queue expires its task by itself; a direct asker has given up by its own clock.
    pub(crate) fn on_deadline(&mut self, key: &RunKey, peers: &mut Peers, fx: &mut Effects) {
        if let Some(run) = self.runs.get(key) {
            let late = || Outcome::failed(Code::DeadlineExceeded, "the agent took too long");
            for asker in run.askers.clone() {
                answer(&asker, late(), peers, fx);
            }
            self.stop(key, Code::DeadlineExceeded, fx);
        }
    }

    /// Tells the agent to stop, and forgets the work.
    fn stop(&mut self, key: &RunKey, code: Code, fx: &mut Effects) {
        if let Some(run) = self.runs.remove(key) {
            let (task_id, attempt) = key.clone();
            self.stopped.push(task_id.clone());
            fx.timers.cancel(&Reason::Work(task_id.clone(), attempt));
            if run.is_delivered {
                fx.event(AgentEvent::TaskCancel(TaskCancel {
                    task_id,
                    attempt,
                    code,
                }));
                let past = Past::Ended(Outcome::failed(code, "the work was stopped"));
                self.past.insert(key.clone(), past, 0);
            }
        }
    }

    /// The agent is gone, or came back without some of its work: what it does not name goes back to whoever asked.
    pub(crate) fn fail_over(
        &mut self,
        kept: &BTreeSet<RunKey>,
        peers: &mut Peers,
        fx: &mut Effects,
    ) {
        let lost = self.runs.keys().filter(|key| !kept.contains(key));
        let lost: Vec<RunKey> = lost.cloned().collect();
        for key in lost {
            if let Some(run) = self.runs.remove(&key) {
                self.stopped.push(key.0.clone());
                fx.timers.cancel(&Reason::Work(key.0.clone(), key.1));
                for origin in run.origins() {
                    self.settle(&key, &origin, Past::Abandoned, peers, fx);
                }
                if run.is_delivered {
                    self.past.insert(key, Past::Abandoned, 0);
                }
            }
        }
    }

    /// Like [`fail_over`](Self::fail_over), but keeps what was never handed to the agent.
    pub(crate) fn fail_over_delivered(
        &mut self,
        kept: &[RunRef],
        peers: &mut Peers,
        fx: &mut Effects,
    ) {
        let waiting = self.runs.iter().filter(|(_, run)| !run.is_delivered);
        let waiting = waiting.map(|(key, _)| key.clone());
        let kept = kept.iter().map(|r| (r.task_id.clone(), r.attempt));
        let kept: BTreeSet<RunKey> = waiting.chain(kept).collect();
        self.fail_over(&kept, peers, fx);
    }

    /// A running task, for what its handler asks of others: the newest attempt at it.
    pub(crate) fn parent(&self, task_id: &TaskId) -> Option<&Run> {
        self.runs_of(task_id).last().map(|(_, run)| run)
    }

    /// A running task's handler has asked for one more.
    pub(crate) fn count_child(&mut self, task_id: &TaskId) {
        let key = self.runs_of(task_id).last().map(|(key, _)| key.clone());
        if let Some(run) = key.and_then(|key| self.runs.get_mut(&key)) {
            run.children += 1;
        }
    }

    fn runs_of<'a>(&'a self, task_id: &TaskId) -> impl Iterator<Item = (&'a RunKey, &'a Run)> {
        self.runs
            .range((task_id.clone(), 0)..=(task_id.clone(), u32::MAX))
    }
}

/// Passes on to the agent what it has to hear.
fn hand_over(run: &mut Run, input: TaskInput, from: &Origin, peers: &mut Peers, fx: &mut Effects) {
    if let Some(input) = run.hear(input, from, peers, fx) {
        fx.event_or_hold(AgentEvent::TaskInput(TaskInputEvent {
            task_id: run.event.task_id.clone(),
            attempt: run.event.attempt,
            input,
        }));
    }
}

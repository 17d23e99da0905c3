//! Agents: who they are, who owns them, and how they come and go.

use std::collections::BTreeSet;

use seamesh_proto::agent::{AgentInfo, Capabilities, default_port};
use seamesh_proto::events::MeshEvent;
use seamesh_proto::limits::{MAX_CALLERS, MAX_SKILL_BYTES, MAX_SKILLS, RECONNECT_GRACE_MS};
use seamesh_proto::rest::{HeartbeatBody, Role};
use seamesh_proto::signaling::{AgentRef, AgentRegister, AgentUp, RegistrySignal};
use seamesh_proto::{AgentId, Code, Problem, TaskId};

use crate::dispatch::Core;
use crate::io::{Caller, ConnId};
use crate::leases::Lapsed;
use crate::limits::{MAX_AGENT_BYTES, MAX_AGENTS, MAX_TEXT_BYTES};
use crate::roster::{Agent, skill_names};
use crate::store::{StoredAgent, Write};
use crate::timers::Timer;

/// Checks a registration against the limits.
fn check_info(info: &AgentInfo) -> Result<(), Problem> {
    let bad = |detail: String| Err(Problem::new(Code::BadField, detail));
    let names = skill_names(info);
    if names.len() > MAX_SKILLS {
        return bad(format!("an agent offers at most {MAX_SKILLS} skills"));
    }
    if names
        .iter()
        .any(|n| n.is_empty() || n.len() > MAX_SKILL_BYTES)
    {
        return bad(format!("a skill's name has 1 to {MAX_SKILL_BYTES} bytes"));
    }
    let lists = info.skills.iter().filter_map(|s| s.callers.as_ref());
    if lists.into_iter().any(|callers| callers.len() > MAX_CALLERS) {
        return bad(format!("a skill names at most {MAX_CALLERS} callers"));
    }
    let texts = [
        &info.hostname,
        &info.ip,
        &info.status,
        &info.mode,
        &info.description,
        &info.version,
    ];
    if texts.iter().any(|t| t.len() > MAX_TEXT_BYTES) {
        return bad(format!("a text field has at most {MAX_TEXT_BYTES} bytes"));
    }
    if crate::size::json_bytes(info) > MAX_AGENT_BYTES {
        return Err(Problem::new(
            Code::TooLarge,
            format!("an agent's record has at most {MAX_AGENT_BYTES} bytes of JSON"),
        ));
    }
    Ok(())
}

/// Both ways of naming skills say the same afterwards: existing clients read only the names.
fn name_all_skills(info: &mut AgentInfo) {
    let names = skill_names(info).into_iter().map(str::to_owned).collect();
    info.capabilities.skills = names;
}

impl Core {
    /// The agent `id`, when `caller` may speak for it.
    pub(crate) fn owned_agent(&self, caller: &Caller, id: &AgentId) -> Result<&Agent, Problem> {
        let agent = self.agents.get(id).ok_or_else(|| unknown_agent(id))?;
        if agent.stored.owner == caller.peer {
            Ok(agent)
        } else {
            Err(not_yours(id))
        }
    }

    /// Makes an agent, or replaces what is known of it. Does not say that it beat.
    fn put_agent(
        &mut self,
        caller: &Caller,
        mut info: AgentInfo,
        registers: bool,
    ) -> Result<(), Problem> {
        check_info(&info)?;
        name_all_skills(&mut info);
        let id = info.agent_id.clone();
        let old = self.agents.get(&id).map(|a| &a.stored);
        if old.is_some_and(|old| old.owner != caller.peer) {
            return Err(not_yours(&id));
        }
        if old.is_none() && self.agents.len() >= MAX_AGENTS {
            let detail = format!("the registry knows {MAX_AGENTS} agents already");
            return Err(Problem::new(Code::Overloaded, detail));
        }
        if old.is_some_and(|old| old.info == info && !old.away) {
            return Ok(());
        }
        let expected = old.map_or(0, |old| old.version);
        let registered_ms = old.filter(|_| !registers).map(|old| old.registered_ms);
        let stored = StoredAgent {
            info,
            owner: caller.peer.clone(),
            version: expected + 1,
            registered_ms: registered_ms.unwrap_or(self.now.0),
            last_heartbeat_ms: self.now.0,
            away: false,
        };
        self.agents.put(stored.clone());
        self.out.write(Write::PutAgent {
            expected,
            agent: Box::new(stored),
        });
        self.announce(&id);
        Ok(())
    }

    /// Writes an agent that was changed in memory.
    pub(crate) fn write_agent(&mut self, id: &AgentId) {
        if let Some(agent) = self.agents.get_mut(id) {
            let expected = agent.stored.version;
            agent.stored.version += 1;
            agent.stored.last_heartbeat_ms = agent.beat.0;
            let agent = Box::new(agent.stored.clone());
            self.out.write(Write::PutAgent { expected, agent });
        }
    }

    /// Marks that an agent's record changed: watchers and sidecars are told once, at the end of this input, how it
    /// stands then.
    fn announce(&mut self, id: &AgentId) {
        self.announced.insert(id.clone());
    }

    /// Tells everybody of the records that this input changed.
    pub(crate) fn tell_announced(&mut self) {
        for id in std::mem::take(&mut self.announced) {
            let Some(agent) = self.agents.get(&id) else {
                continue;
            };
            let record = agent.record();
            let event = MeshEvent::AgentRegistered(Box::new(record.clone()));
            self.out.event(event);
            let up = RegistrySignal::AgentUp(AgentUp { agent: record });
            self.out.send(self.relay.natives(), &up);
        }
    }

    /// An agent registers over REST: it starts anew, so what it held is handed out again.
    pub(crate) fn rest_register(
        &mut self,
        caller: &Caller,
        info: AgentInfo,
    ) -> Result<(), Problem> {
        let id = info.agent_id.clone();
        let mut info = info;
        if !info.sidecar_peer_id.is_empty() {
            info.sidecar_peer_id = caller.peer.to_string();
        }
        self.put_agent(caller, info, true)?;
        self.lapse_all_of(&id, Lapsed::NotNamed, false);
        self.beat(&id);
        self.fill(&id);
        Ok(())
    }

    /// An agent registers over its sidecar's socket and keeps the leases it names. What it held before a reconnect or
    /// a restart and does not name is handed out again. Registering once more over the same socket takes nothing away:
    /// an assignment may be on its way to it.
    pub(crate) fn push_register(&mut self, conn: ConnId, caller: &Caller, body: AgentRegister) {
        let AgentRegister { mut agent, leases } = body;
        agent.sidecar_peer_id = caller.peer.to_string();
        let id = agent.agent_id.clone();
        let known = self.agents.get(&id);
        let is_back = known.is_none_or(|a| a.conn != Some(conn) || a.stored.away);
        if let Err(problem) = self.put_agent(caller, agent, true) {
            return self.refuse(conn, "agent_register", problem.for_request(id.as_str()));
        }
        self.attach(&id, conn);
        let named: BTreeSet<&TaskId> = leases.iter().map(|l| &l.task_id).collect();
        let held = self.agents.get(&id).map(|a| a.held.clone());
        for lease in &leases {
            self.renew(conn, &id, lease);
            self.repeat_answer(conn, &lease.task_id);
        }
        for task_id in held.unwrap_or_default() {
            if is_back && !named.contains(&task_id) {
                self.lapse(&task_id, Lapsed::NotNamed, false);
            }
        }
        // Only now may it get new work, which it cannot have named.
        self.beat(&id);
        self.fill(&id);
    }

    /// From now on work for the agent is pushed over `conn`. A sidecar serves one agent: another one that registered
    /// over the same socket before is away.
    fn attach(&mut self, id: &AgentId, conn: ConnId) {
        let before = self
            .relay
            .get_mut(conn)
            .and_then(|socket| socket.agent.replace(id.clone()));
        if let Some(before) = before.filter(|before| before != id) {
            self.set_away(&before);
        }
        if let Some(agent) = self.agents.get_mut(id) {
            agent.conn = Some(conn);
            self.timers.cancel(&Timer::Grace(id.clone()));
        }
    }

    /// The socket an agent registered over closed: it has a grace to come back.
    pub(crate) fn detach(&mut self, id: &AgentId, conn: ConnId) {
        if let Some(agent) = self.agents.get_mut(id)
            && agent.conn == Some(conn)
        {
            agent.conn = None;
            let until = self.now.plus(RECONNECT_GRACE_MS);
            self.timers.set(Timer::Grace(id.clone()), until);
        }
    }

    /// The agent's process is gone, but its sidecar says that it may come back. Leases stay until they lapse: the
    /// sidecar releases what died with the process.
    pub(crate) fn push_away(&mut self, conn: ConnId, caller: &Caller, id: &AgentId) {
        match self.owned_agent(caller, id) {
            Ok(_) => self.set_away(id),
            Err(problem) => self.refuse(conn, "agent_away", problem.for_request(id.as_str())),
        }
    }

    pub(crate) fn set_away(&mut self, id: &AgentId) {
        if let Some(agent) = self.agents.get_mut(id)
            && !agent.stored.away
        {
            agent.stored.away = true;
            self.write_agent(id);
            self.refresh_health(id);
        }
    }

    /// The agent said goodbye.
    pub(crate) fn push_remove(&mut self, conn: ConnId, caller: &Caller, id: &AgentId) {
        match self.owned_agent(caller, id) {
            Ok(_) => self.remove_agent(id),
            Err(problem) => self.refuse(conn, "agent_remove", problem.for_request(id.as_str())),
        }
    }

    /// Removes an agent over REST: its owner, or an operator.
    pub(crate) fn rest_remove(&mut self, caller: &Caller, id: &AgentId) -> Result<(), Problem> {
        if caller.role < Role::Operator {
            self.owned_agent(caller, id)?;
        } else if self.agents.get(id).is_none() {
            return Err(unknown_agent(id));
        }
        self.remove_agent(id);
        Ok(())
    }

    fn remove_agent(&mut self, id: &AgentId) {
        // First out of sight, so that nothing it hands back comes to it again.
        if let Some(agent) = self.agents.get_mut(id)
            && let Some(conn) = agent.conn.take()
            && let Some(socket) = self.relay.get_mut(conn)
        {
            socket.agent = None;
        }
        self.lapse_all_of(id, Lapsed::Gone, true);
        let Some(agent) = self.agents.remove(id) else {
            return;
        };
        self.timers.cancel(&Timer::Health(id.clone()));
        self.timers.cancel(&Timer::Grace(id.clone()));
        self.announced.remove(id);
        self.out.write(Write::DeleteAgent {
            expected: agent.stored.version,
            agent_id: id.clone(),
        });
        let gone = AgentRef {
            agent_id: id.clone(),
        };
        self.out.event(MeshEvent::AgentRemoved(gone.clone()));
        let down = RegistrySignal::AgentDown(gone);
        self.out.send(self.relay.natives(), &down);
    }

    /// What a REST heartbeat says of an agent; absent fields leave the record as it is. Unknown agents are made.
    pub(crate) fn apply_beat(
        &mut self,
        caller: &Caller,
        body: &HeartbeatBody,
    ) -> Result<(), Problem> {
        let known = self.agents.get(&body.agent_id);
        let mut info = match known {
            Some(agent) => agent.stored.info.clone(),
            None => unnamed(&body.agent_id),
        };
        set(&mut info.hostname, &body.hostname);
        set(&mut info.ip, &body.ip);
        set(&mut info.port, &body.port);
        set(&mut info.status, &body.status);
        set(&mut info.mode, &body.mode);
        set(&mut info.capabilities.goals_count, &body.goals_count);
        if let Some(names) = &body.skill_names {
            info.skills.retain(|skill| names.contains(&skill.name));
            info.capabilities.skills = names.clone();
        }
        if body.sidecar_peer_id.as_ref().is_some_and(|p| !p.is_empty()) {
            info.sidecar_peer_id = caller.peer.to_string();
        }
        self.put_agent(caller, info, false)
    }
}

fn set<T: Clone>(field: &mut T, new: &Option<T>) {
    if let Some(new) = new {
        field.clone_from(new);
    }
}

fn unnamed(id: &AgentId) -> AgentInfo {
    AgentInfo {
        agent_id: id.clone(),
        hostname: String::new(),
        ip: String::new(),
        port: default_port(),
        sidecar_peer_id: String::new(),
        capabilities: Capabilities::default(),
        status: String::new(),
        mode: String::new(),
        description: String::new(),
        skills: Vec::new(),
        version: String::new(),
        instance: String::new(),
        max_concurrent: 0,
    }
}

pub(crate) fn unknown_agent(id: &AgentId) -> Problem {
    Problem::new(Code::AgentUnknown, format!("no agent {id} is registered"))
}

pub(crate) fn elsewhere(id: &AgentId) -> Problem {
    let detail = format!("agent {id} has gone on to another sidecar of the same credential");
    Problem::new(Code::Conflict, detail)
}

fn not_yours(id: &AgentId) -> Problem {
    Problem::new(
        Code::Forbidden,
        format!("agent {id} belongs to another credential"),
    )
}

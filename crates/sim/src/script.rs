//! Scenarios as text: lines that begin with `> ` are steps, `#` comments and empty lines stay, and everything else is
//! the transcript of the step above. Running a scenario writes the transcript anew; a test compares the two.
//!
//! | step | what happens |
//! |---|---|
//! | `seed N` | what the network draws begins here |
//! | `registry`, `crash registry` | the registry starts (on what its store holds), is killed |
//! | `wipe registry` | it is killed, and its disk is lost: what it promised before is void |
//! | `sidecar A skills=x,y [skew=MS]` | a sidecar with an agent starts; its clock is ahead |
//! | `restart A` | what is down of a sidecar and its agent starts |
//! | `crash A [sidecar\|agent]` | its processes are killed; or one of them |
//! | `vanish A` | its machine is lost, and no socket says so |
//! | `pause A`, `resume A`, `slow A MS` | its processes stand still; go on; are late with everything |
//! | `run MS` | virtual time passes |
//! | `request A skill=x [as=ID] [to=B] [via=queue\|direct] [timeout=MS] [does=…] [stream=1] [answers=1] [wait=0]` | an agent delegates |
//! | `cancel A ID` | an agent gives a request up |
//! | `connect A B`, `send A B` | an agent asks for a link; sends a message over it |
//! | `submit W TASK skill=x [target=B] [ttl=S] [key=K] [priority=N] [after=MS] [deadline=MS] [attempts=N] [does=…]` | somebody outside submits over REST; the task `-` gets its id from the registry |
//! | `withdraw W TASK` | somebody outside cancels a task |
//! | `rest A skills=x [every=MS]`, `beat A` | an agent without a sidecar; it beats and runs what the answer brings |
//! | `hang A`, `work A MS` | its handlers never end; take this long |
//! | `cut A B`, `block A B`, `heal A B` | the network between two nodes (one may be `registry`), both ways or one |
//! | `weather [latency=MS] [jitter=MS] [loss=PERMILLE]` | the network everywhere |
//! | `disk MS`, `disk fails` | the registry's commits take so long; the next one fails |
//! | `delay KIND A B MS` | the next such frame of A reaches B later |
//! | `recover` | every fault ends: the network heals, what is down starts, what hangs goes on with its next work |
//! | `hide KIND…` | kinds the transcript leaves out |
//! | `linked` | every two sidecars that run are linked now, each is connected to the registry, and no request is open long after its deadline, or the verdict says which are not so |
//! | `links`, `runs A`, `task TASK` | shows open links, what A's handler ran, a task as stored |
//!
//! What a handler does: `does=work:5,chunks:40,question,ask:x/work:5+fail,fail,hang`.

use std::collections::BTreeMap;

use seamesh_proto::TaskId;
use seamesh_proto::ipc::{AgentCommand, Connect, Request, Send, Via};
use seamesh_proto::payload::Raw;
use seamesh_proto::talk::Listens;
use seamesh_proto::task::SubmitTask;
use serde_json::json;

use crate::World;
use crate::draw::Draw;
use crate::handlers::{payload_of, plain_request};
use crate::history::{Carried, What};
use crate::network::{Delay, LINK_TIMEOUT_MS, Name, Weather};
use crate::rest::RestAgent;
use crate::world::{Event, REGISTRY};

/// Virtual milliseconds after its deadline in which a request ends: its sidecar may have been down when it came, and began
/// it anew.
const OVERDUE_MS: u64 = 60_000;

/// A step that cannot be read: its line and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadStep(pub String);

/// One step's words and its `key=value` members.
struct Step<'a> {
    words: Vec<&'a str>,
    members: BTreeMap<&'a str, &'a str>,
}

impl<'a> Step<'a> {
    fn parse(line: &'a str) -> Self {
        let (members, words): (Vec<&str>, Vec<&str>) =
            line.split_whitespace().partition(|word| word.contains('='));
        let members = members.iter().filter_map(|m| m.split_once('=')).collect();
        Self { words, members }
    }

    fn number(&self, at: usize) -> Option<u64> {
        self.words.get(at)?.parse().ok()
    }

    fn member<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.members.get(key)?.parse().ok()
    }

    fn list(&self, key: &str) -> Vec<String> {
        let list = self.members.get(key).copied().unwrap_or_default();
        list.split(',')
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// Runs a scenario and answers it with its transcript written anew.
///
/// # Errors
/// [`BadStep`] for a step that is not in the table.
pub fn play(scenario: &str) -> Result<String, BadStep> {
    let mut world = World::new();
    play_in(&mut world, scenario)
}

/// Runs a scenario in a world that may be looked at afterwards.
pub(crate) fn play_in(world: &mut World, scenario: &str) -> Result<String, BadStep> {
    let mut written = String::new();
    for line in scenario.lines() {
        let step = line.strip_prefix("> ");
        if step.is_none() && !line.is_empty() && !line.starts_with('#') {
            continue;
        }
        written.push_str(line);
        written.push('\n');
        if let Some(step) = step {
            take(world, &Step::parse(step)).ok_or_else(|| BadStep(line.to_owned()))?;
            // What an agent was made to say is said in this step.
            world.run(0);
            for line in world.transcript.take() {
                written.push_str(&line);
                written.push('\n');
            }
        }
    }
    Ok(written)
}

fn take(world: &mut World, step: &Step<'_>) -> Option<()> {
    match step.words[..] {
        ["seed", _] => world.network.draw = Draw(step.number(1)?),
        ["registry"] => world.start_registry(),
        ["crash", REGISTRY] => world.crash_registry(),
        ["wipe", REGISTRY] => world.wipe_registry(),
        ["sidecar", name] => {
            let name: Name = name.into();
            let skills = step.members.get("skills").map(|_| step.list("skills"));
            world.start_sidecar(&name, skills, step.member("skew").unwrap_or(0));
        }
        // Nothing of a node that was never there can start again.
        ["restart", name] if world.sidecars.contains_key(name) => {
            world.start_sidecar(&name.into(), None, 0);
        }
        ["crash", name] => world.stop_node(&name.into(), true),
        ["crash", name, "sidecar"] => world.stop_sidecar(&name.into(), true),
        ["crash", name, "agent"] => world.stop_agent(&name.into()),
        ["vanish", name] => world.stop_node(&name.into(), false),
        ["pause", name] => world.pause(&name.into()),
        ["resume", name] => world.resume(&name.into()),
        ["slow", name, _] => drop(world.slow.insert(name.into(), step.number(2)?)),
        ["run", _] => world.run(step.number(1)?),
        ["request", name] => request(world, name, step)?,
        ["cancel", name, id] => world.give_up(&name.into(), id),
        ["connect", name, other] => {
            let target_peer_id = other.parse().ok()?;
            let command = AgentCommand::Connect(Connect { target_peer_id });
            world.say(&name.into(), command);
        }
        ["send", name, other] => send(world, name, other)?,
        ["submit", who, task] => submit(world, who, task, step)?,
        ["withdraw", who, task] => world.withdraw(who, task),
        ["rest", name] => {
            let agent: Name = name.into();
            let model = RestAgent::new(step.list("skills"));
            world.rest_agents.insert(agent.clone(), model);
            if let Some(every_ms) = step.member("every") {
                world.after(0, Event::Beat { agent, every_ms });
            }
        }
        ["beat", name] => world.rest_beat(&name.into(), false),
        ["hang", name] => world.set_handlers(name, |_, hangs| *hangs = true)?,
        ["work", name, _] => {
            let ms = step.number(2)?;
            world.set_handlers(name, |work_ms, _| *work_ms = ms)?;
        }
        _ => return take_fault(world, step).or_else(|| show(world, step)),
    }
    Some(())
}

/// Steps of the network and the disk.
fn take_fault(world: &mut World, step: &Step<'_>) -> Option<()> {
    match step.words[..] {
        ["cut", a, b] => {
            world.network.cut(a, b);
            world.fell_silent(a, b);
        }
        ["block", a, b] => {
            world.network.block(a, b);
            world.fell_silent(a, b);
        }
        ["heal", a, b] => world.heal(a, b),
        ["weather"] => {
            world.network.weather = Weather {
                latency_ms: step.member("latency").unwrap_or(0),
                jitter_ms: step.member("jitter").unwrap_or(0),
                loss: step.member("loss").unwrap_or(0),
            };
        }
        ["disk", "fails"] => world.registry.fails_next = true,
        ["disk", _] => world.registry.disk_ms = step.number(1)?,
        ["delay", kind, from, to, _] => world.network.delays.push(Delay {
            kind: kind.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            ms: step.number(4)?,
        }),
        ["recover"] => world.recover(),
        _ => return None,
    }
    Some(())
}

/// Steps that only show something.
fn show(world: &mut World, step: &Step<'_>) -> Option<()> {
    match step.words[..] {
        ["hide", ..] => {
            let kinds = step.words.iter().skip(1).map(|kind| (*kind).to_owned());
            world.transcript.hidden.extend(kinds);
        }
        ["linked"] => world.demand_links(),
        ["links"] => world.show_links(),
        ["runs", name] => world.show_runs(name)?,
        ["task", task] => world.show_task(task)?,
        _ => return None,
    }
    Some(())
}

fn request(world: &mut World, name: &str, step: &Step<'_>) -> Option<()> {
    let id = step.member("as");
    let id = id.unwrap_or_else(|| format!("{name}-request"));
    let does: String = step.member("does").unwrap_or_default();
    let is_on = |key: &str| step.members.get(key) == Some(&"1");
    let request = Request {
        to: step.member("to"),
        timeout_ms: step.member("timeout"),
        wait: step.members.get("wait") != Some(&"0"),
        via: match step.members.get("via") {
            Some(&"queue") => Via::Queue,
            Some(&"direct") => Via::Direct,
            _ => Via::Auto,
        },
        listens: Listens {
            stream: is_on("stream"),
            answers: is_on("answers"),
        },
        ..plain_request(id, step.member("skill")?, &does)
    };
    world.ask(&name.into(), request, None);
    Some(())
}

/// An agent that knows of a link says something over it.
fn send(world: &mut World, name: &str, other: &str) -> Option<()> {
    let (from, to): (seamesh_proto::PeerId, seamesh_proto::PeerId) =
        (name.parse().ok()?, other.parse().ok()?);
    let node = world.sidecars.get(name)?;
    let linked = node.core.as_ref().map(|core| core.linked_peers());
    let knows = linked.is_some_and(|linked| linked.contains(&to));
    if knows && node.agent.is_welcomed {
        world.sent += 1;
        let number = world.sent;
        let body = json!({ "type": "note", "payload": { "number": number } });
        let carried = Carried {
            from,
            to: to.clone(),
            number,
        };
        world.history.add(world.at, What::Sent(carried));
        let message = Raw::of(&body);
        let target_peer = to;
        let send = Send {
            target_peer,
            message,
        };
        world.say(&name.into(), AgentCommand::Send(send));
    }
    Some(())
}

fn submit(world: &mut World, who: &str, task: &str, step: &Step<'_>) -> Option<()> {
    let does: String = step.member("does").unwrap_or_default();
    let task_id: Option<TaskId> = match task {
        "-" => None,
        id => Some(id.parse().ok()?),
    };
    let task_body = SubmitTask {
        task_id,
        skill: step.member("skill").unwrap_or_default(),
        target_agent_id: step.member("target").unwrap_or_default(),
        ttl: step.member("ttl").unwrap_or(300),
        idempotency_key: step.member("key"),
        priority: step.member("priority").unwrap_or(0),
        not_before_ms: step.member("after"),
        deadline_ms: step.member("deadline"),
        max_attempts: step.member("attempts").unwrap_or(3),
        payload: payload_of(&does),
        ..SubmitTask::default()
    };
    world.submit(who, task, task_body);
    Some(())
}

impl World {
    /// Changes how long an agent's handlers work, and whether they hang.
    fn set_handlers(&mut self, name: &str, set: impl FnOnce(&mut u64, &mut bool)) -> Option<()> {
        match self.sidecars.get_mut(name) {
            Some(node) => set(&mut node.agent.work_ms, &mut node.agent.hangs),
            None => {
                let agent = self.rest_agents.get_mut(name)?;
                set(&mut agent.work_ms, &mut agent.hangs);
            }
        }
        Some(())
    }

    /// Links between two nodes, and the socket of one of them to the registry, hear nothing any more.
    fn fell_silent(&mut self, a: &str, b: &str) {
        for end in self.channels.between(a, b) {
            self.after(LINK_TIMEOUT_MS, Event::Gone { end, silent: true });
        }
        match (a, b) {
            (REGISTRY, node) | (node, REGISTRY) => self.registry_cut(&node.into()),
            _ => {}
        }
    }

    /// Every fault ends.
    fn recover(&mut self) {
        self.network.heal_all();
        self.release_held();
        self.resume_all();
        self.slow.clear();
        self.registry.disk_ms = 0;
        self.registry.fails_next = false;
        self.start_registry();
        let names: Vec<Name> = self.sidecars.keys().cloned().collect();
        for name in names {
            if let Some(node) = self.sidecars.get_mut(&name) {
                node.agent.hangs = false;
            }
            self.start_sidecar(&name, None, 0);
        }
        for agent in self.rest_agents.values_mut() {
            agent.hangs = false;
        }
    }

    fn demand_links(&mut self) {
        let links = self.channels.links();
        let running = self.sidecars.iter().filter(|(_, node)| node.core.is_some());
        let names: Vec<&Name> = running.map(|(name, _)| name).collect();
        let unreached = names
            .iter()
            .filter(|name| self.sidecars[**name].conn.is_none());
        self.unreached.extend(unreached.map(|name| (*name).clone()));
        for name in &names {
            for (id, asked) in &self.sidecars[*name].agent.open {
                if asked
                    .until
                    .is_some_and(|until| until + OVERDUE_MS < self.at)
                {
                    self.overdue.push(((*name).clone(), id.clone()));
                }
            }
        }
        for (n, a) in names.iter().enumerate() {
            for b in &names[n + 1..] {
                if !links.iter().any(|(c, d)| c == *a && d == *b) {
                    self.unlinked.push(((*a).clone(), (*b).clone()));
                }
            }
        }
    }

    fn show_links(&mut self) {
        for (a, b) in self.channels.links() {
            self.transcript.note(self.at, &format!("open: {a} = {b}"));
        }
    }

    fn show_runs(&mut self, name: &str) -> Option<()> {
        let runs = match self.sidecars.get(name) {
            Some(node) => node.agent.runs.clone(),
            None => self.rest_agents.get(name)?.runs.clone(),
        };
        for ((task, attempt), count) in runs {
            let task = self.transcript.name(task.as_str());
            let text = format!("{name} ran {task} attempt {attempt}: {count} time(s)");
            self.transcript.note(self.at, &text);
        }
        Some(())
    }

    fn show_task(&mut self, task: &str) -> Option<()> {
        // A task of a sidecar's own is known by the name the transcript gave it.
        let stored: Vec<_> = self.registry.store.tasks().cloned().collect();
        let stored = stored
            .into_iter()
            .find(|t| self.transcript.name(t.spec.id.as_str()) == task)?
            .view();
        let mut text = format!(
            "stored: {task} {} attempt {}",
            stored.state.as_str(),
            stored.attempt
        );
        if !stored.assigned_agent_id.is_empty() {
            text += &format!(" at {}", stored.assigned_agent_id);
        }
        if stored.result != "" {
            text += &format!(" result {}", stored.result);
        }
        if let Some(code) = stored.error_code {
            text += &format!(" {code}");
        }
        self.transcript.note(self.at, &text);
        Some(())
    }
}

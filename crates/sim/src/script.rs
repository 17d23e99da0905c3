//! Scenarios as text: lines that begin with `> ` are steps, `#` comments and empty lines stay, and everything else is
//! the transcript of the step above. Running a scenario writes the transcript anew; a test compares the two.
//!
//! | step | what happens |
//! |---|---|
//! | `registry`, `crash registry` | the registry starts (on what its store holds), is killed |
//! | `sidecar A skills=x,y` | a sidecar with an agent starts; again after `crash A` or `vanish A` |
//! | `crash A`, `vanish A` | its processes are killed; its machine is lost, and no socket says so |
//! | `run MS` | virtual time passes |
//! | `request A skill=x [to=B] [via=queue] [timeout=MS]` | an agent delegates |
//! | `connect A B` | an agent asks for a link |
//! | `submit W TASK skill=x [target=B] [ttl=S]` | somebody outside submits over REST |
//! | `rest A skills=x`, `beat A` | an agent without a sidecar; it beats and runs what the answer brings |
//! | `hang A`, `work A MS` | its handlers never end; take this long |
//! | `cut A B`, `heal A B` | the network between two nodes (one may be `registry`) |
//! | `delay KIND A B MS` | the next such frame of A reaches B later |
//! | `hide KIND…` | kinds the transcript leaves out |
//! | `links`, `runs A`, `task TASK` | shows open links, what A's handler ran, a task as stored |

use std::collections::BTreeMap;

use seamesh_proto::ipc::{AgentCommand, Connect, Request, Via};
use seamesh_proto::task::SubmitTask;

use crate::World;
use crate::agents::ModelAgent;
use crate::network::{Delay, LINK_TIMEOUT_MS};
use crate::world::Event;

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
    let mut written = String::new();
    for line in scenario.lines() {
        let step = line.strip_prefix("> ");
        if step.is_none() && !line.is_empty() && !line.starts_with('#') {
            continue;
        }
        written.push_str(line);
        written.push('\n');
        if let Some(step) = step {
            take(&mut world, &Step::parse(step)).ok_or_else(|| BadStep(line.to_owned()))?;
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
        ["registry"] => world.start_registry(),
        ["crash", "registry"] => world.crash_registry(),
        ["sidecar", name] => world.start_sidecar(name, step.list("skills")),
        ["crash", name] => world.stop_sidecar(name, true),
        ["vanish", name] => world.stop_sidecar(name, false),
        ["run", _] => world.run(step.number(1)?),
        ["request", name] => request(world, name, step)?,
        ["connect", name, other] => {
            let target_peer_id = other.parse().ok()?;
            world.command(name, AgentCommand::Connect(Connect { target_peer_id }));
        }
        ["submit", who, task] => submit(world, who, task, step)?,
        ["rest", name] => {
            let agent = ModelAgent::new(step.list("skills"));
            world.rest_agents.insert(name.to_owned(), agent);
        }
        ["beat", name] => world.rest_beat(name),
        ["hang", name] => world.agent_mut(name)?.hangs = true,
        ["work", name, _] => world.agent_mut(name)?.work_ms = step.number(2)?,
        ["cut", a, b] => world.cut(a, b),
        ["heal", a, b] => world.heal(a, b),
        ["delay", kind, from, to, _] => world.network.delays.push(Delay {
            kind: kind.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            ms: step.number(4)?,
        }),
        ["hide", ..] => {
            let kinds = step.words.iter().skip(1).map(|kind| (*kind).to_owned());
            world.transcript.hidden.extend(kinds);
        }
        ["links"] => world.show_links(),
        ["runs", name] => world.show_runs(name)?,
        ["task", task] => world.show_task(task)?,
        _ => return None,
    }
    Some(())
}

fn request(world: &mut World, name: &str, step: &Step<'_>) -> Option<()> {
    let request = Request {
        request_id: format!("{name}-request"),
        skill: step.member("skill")?,
        to: step.member("to"),
        payload: seamesh_proto::Payload::EMPTY,
        timeout_ms: step.member("timeout"),
        wait: true,
        via: match step.members.get("via") {
            Some(&"queue") => Via::Queue,
            Some(&"direct") => Via::Direct,
            _ => Via::Auto,
        },
        parent: None,
        traceparent: None,
        listens: seamesh_proto::talk::Listens::default(),
    };
    world.command(name, AgentCommand::Request(request));
    Some(())
}

fn submit(world: &mut World, who: &str, task: &str, step: &Step<'_>) -> Option<()> {
    let task = SubmitTask {
        task_id: Some(task.parse().ok()?),
        skill: step.member("skill").unwrap_or_default(),
        target_agent_id: step.member("target").unwrap_or_default(),
        ttl: step.member("ttl").unwrap_or(300),
        ..SubmitTask::default()
    };
    world.submit(who, task);
    Some(())
}

impl World {
    fn agent_mut(&mut self, name: &str) -> Option<&mut ModelAgent> {
        match self.sidecars.get_mut(name) {
            Some(node) => Some(&mut node.agent),
            None => self.rest_agents.get_mut(name),
        }
    }

    /// Cuts the network between two nodes: links between them go silent.
    fn cut(&mut self, a: &str, b: &str) {
        self.network.cut(a, b);
        for end in self.channels.between(a, b) {
            self.after(LINK_TIMEOUT_MS, Event::Gone { end, silent: true });
        }
    }

    fn show_links(&mut self) {
        for (a, b) in self.channels.links() {
            self.transcript.note(self.at, &format!("open: {a} = {b}"));
        }
    }

    fn show_runs(&mut self, name: &str) -> Option<()> {
        let runs = self.agent_mut(name)?.runs.clone();
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

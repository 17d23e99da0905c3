//! A real mesh for a test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use seamesh_agent::{Agent, Mesh as AgentMesh, MeshError, Running};
use seamesh_control::{Client, Command};
use seamesh_harness::{EVENT_CAP, Mesh, Sidecar, capped};
use seamesh_proto::agent::Health;
use seamesh_proto::payload::Payload;
use seamesh_proto::task::{SubmitTask, TaskState};
use seamesh_proto::{Code, PeerId};
use serde_json::Value;
use tokio::time::timeout;

use crate::book::{Book, Call, Deafness, Pages};
use crate::cassette::Cassette;
use crate::fakes::{Answer, fake};
use crate::tap::Tap;

/// Longest that [`TestMesh::call`] waits for a result.
pub const CALL_CAP: Duration = Duration::from_secs(10);

/// Most that [`TestMesh::advance`] moves the clocks by: a day.
pub const MAX_ADVANCE: Duration = Duration::from_secs(24 * 3600);

/// What [`TestMesh::partition`] calls the registry.
pub const REGISTRY: &str = "registry";

/// Milliseconds the clocks move by at once: under the interval of a sidecar's beats (5 s), so that the leases (15 s) of
/// agents that live are renewed on the way.
const STEP_MS: u64 = 4_000;

type Make = Box<dyn Fn() -> Agent + Send + Sync>;

/// A registry and its agents. Dropping it ends every process and removes its directory.
pub struct TestMesh {
    mesh: Mesh,
    book: Arc<Book>,
    members: BTreeMap<String, Member>,
    cuts: BTreeSet<(String, String)>,
}

/// An agent and its sidecar.
struct Member {
    make: Make,
    sidecar: Sidecar,
    /// `None`: it was killed.
    life: Option<Life>,
}

struct Life {
    running: Running,
    _tap: Tap,
}

impl TestMesh {
    /// Starts a registry on a free port, in a directory of its own.
    ///
    /// # Errors
    /// When the `seamesh` binary is not there, or does not start.
    pub async fn start() -> Result<Self> {
        Ok(Self {
            mesh: Mesh::builder().test_control().start().await?,
            book: Arc::new(Book::new()),
            members: BTreeMap::new(),
            cuts: BTreeSet::new(),
        })
    }

    /// The processes below, for what this type does not do: a client of the registry, logs.
    pub fn processes(&self) -> &Mesh {
        &self.mesh
    }

    /// Starts an agent in this process; it is registered and linked with every other one when this returns. `make` is
    /// called again by [`restart`](Self::restart).
    ///
    /// # Errors
    /// When there is an agent of that name already, it is not well declared, or a process does not start.
    pub async fn add(&mut self, make: impl Fn() -> Agent + Send + Sync + 'static) -> Result<()> {
        let name = make().profile()?.agent_id.to_string();
        ensure!(
            !self.members.contains_key(&name),
            "there is an agent {name:?} in this mesh already"
        );
        let sidecar = self.mesh.sidecar(&format!("{name}-sidecar")).await?;
        let member = Member {
            make: Box::new(make),
            sidecar,
            life: None,
        };
        self.members.insert(name.clone(), member);
        self.begin(&name).await
    }

    /// Puts a peer into the mesh that answers as the test says; a [`Cassette`] has answers too.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn fake_agent<S: Into<String>>(
        &mut self,
        name: &str,
        skills: impl IntoIterator<Item = (S, Answer)>,
    ) -> Result<()> {
        let skills = skills
            .into_iter()
            .map(|(skill, answer)| (skill.into(), answer));
        let (name, skills) = (name.to_owned(), skills.collect::<Vec<_>>());
        self.add(move || fake(&name, &skills)).await
    }

    async fn begin(&mut self, name: &str) -> Result<()> {
        let member = self.members.get_mut(name).context("a member")?;
        let sidecar = &member.sidecar.socket;
        let socket = sidecar.with_file_name("tap");
        let tap = Tap::start(name, &socket, sidecar, self.book.clone())?;
        let running = (member.make)().start(&socket)?;
        member.life = Some(Life { running, _tap: tap });
        let what = format!("agent {name} reaches the registry");
        self.until(&what, |pages| pages.up.contains(name)).await?;
        self.linked(name).await
    }

    /// Waits until an agent is linked with every other one that it is not cut off from, and known to it.
    async fn linked(&self, name: &str) -> Result<()> {
        for (other, member) in &self.members {
            if other == name || member.life.is_none() || self.is_cut(name, other) {
                continue;
            }
            let what = format!("{name} and {other} are linked");
            let is_open = |pages: &Pages, a: &str, b: &str| {
                let links = pages.links.get(a);
                links.is_some_and(|links| links.contains(&format!("{b}-sidecar")))
            };
            self.until(&what, |pages| {
                is_open(pages, name, other) && is_open(pages, other, name)
            })
            .await?;
            for (here, there) in [(name, other.as_str()), (other.as_str(), name)] {
                timeout(capped(EVENT_CAP), self.known(here, there))
                    .await
                    .with_context(|| format!("{here} hears of {there}"))??;
            }
        }
        Ok(())
    }

    /// Waits until an agent's sidecar knows that another is there: the registry tells it.
    async fn known(&self, name: &str, other: &str) -> Result<()> {
        let is_there = |agent: &seamesh_agent::AgentRecord| {
            agent.info.agent_id.as_str() == other && agent.health == Health::Active
        };
        while !self.agent(name)?.agents().await?.iter().any(is_there) {
            // A round trip to the registry, no pause.
            self.ask(name, &Command::Settle {}).await?;
        }
        Ok(())
    }

    fn is_cut(&self, a: &str, b: &str) -> bool {
        let pairs = [
            (a, b),
            (b, a),
            (a, REGISTRY),
            (REGISTRY, a),
            (b, REGISTRY),
            (REGISTRY, b),
        ];
        pairs
            .into_iter()
            .any(|(a, b)| self.cuts.contains(&(a.to_owned(), b.to_owned())))
    }

    fn member(&self, name: &str) -> Result<&Member> {
        let there = || self.members.keys().cloned().collect::<Vec<_>>().join(", ");
        let member = self.members.get(name);
        member.with_context(|| format!("no agent {name:?} in this mesh; there are: {}", there()))
    }

    /// The mesh as an agent sees it: to delegate as that agent.
    ///
    /// # Errors
    /// When there is no such agent, or it was killed.
    pub fn agent(&self, name: &str) -> Result<&AgentMesh> {
        let life = self.member(name)?.life.as_ref();
        let life = life.with_context(|| format!("agent {name:?} was killed: restart it first"))?;
        Ok(life.running.mesh())
    }

    // Work.

    /// Asks for a skill from outside, as an operator, through the queue; for at most [`CALL_CAP`].
    ///
    /// # Errors
    /// The task's error, with its code; `deadline_exceeded` when it took too long.
    pub async fn call(&self, skill: &str, args: Value) -> Result<Value, MeshError> {
        let task = SubmitTask {
            skill: skill.to_owned(),
            payload: Payload::new(args),
            ..SubmitTask::default()
        };
        let away =
            |error: seamesh_client::ClientError| MeshError::new(error.code(), error.to_string());
        let id = self.mesh.admin().submit(&task).await.map_err(away)?;
        let task = self
            .mesh
            .admin()
            .wait(&id, capped(CALL_CAP))
            .await
            .map_err(away)?;
        match task.state {
            TaskState::Completed => Ok(task.result),
            state if state.is_terminal() => {
                let code = task.error_code.unwrap_or(Code::SkillFailed);
                Err(MeshError::new(code, task.error))
            }
            _ => {
                let text = format!("{skill} did not end within {CALL_CAP:?}");
                Err(MeshError::new(Code::DeadlineExceeded, text))
            }
        }
    }

    /// Asks for a skill as an agent: directly when it is linked. For more, see [`agent`](Self::agent).
    ///
    /// # Errors
    /// As a caller in a mesh sees it; `deadline_exceeded` after [`CALL_CAP`].
    pub async fn call_by(&self, agent: &str, skill: &str, args: Value) -> Result<Value, MeshError> {
        let mesh = self.agent(agent);
        let mesh = mesh.map_err(|error| MeshError::new(Code::AgentUnknown, error.to_string()))?;
        mesh.delegate(skill, args)
            .timeout(capped(CALL_CAP))
            .get()
            .await
    }

    /// Every call that reached an agent, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.book.pages().calls.clone()
    }

    /// Waits for something that calls show.
    ///
    /// # Errors
    /// When it does not happen within [`EVENT_CAP`].
    pub async fn wait_until(&self, what: &str, holds: impl Fn(&[Call]) -> bool) -> Result<()> {
        self.until(what, |pages| holds(&pages.calls)).await
    }

    async fn until(&self, what: &str, holds: impl Fn(&Pages) -> bool) -> Result<()> {
        let mut changes = self.book.changes();
        let wait = async {
            while !holds(&self.book.pages()) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let waited = timeout(capped(EVENT_CAP), wait).await;
        waited.with_context(|| {
            format!(
                "{what}: not within {EVENT_CAP:?}\n{}",
                self.mesh.log_tails()
            )
        })
    }

    /// Records what agents ask each other from now on, until [`recorded`](Self::recorded).
    pub fn record(&self) {
        self.book.pages().tape = Some(Cassette::default());
    }

    /// Ends the recording, and gives it.
    pub fn recorded(&self) -> Cassette {
        self.book.pages().tape.take().unwrap_or_default()
    }

    // Faults.

    /// Ends an agent and its sidecar as a power cut would: nobody says goodbye.
    ///
    /// # Errors
    /// When there is no such agent.
    pub async fn kill(&mut self, name: &str) -> Result<()> {
        self.member(name)?;
        let member = self.members.get_mut(name).context("a member")?;
        member.sidecar.process.kill().await?;
        member.life = None;
        self.book.gone(name);
        Ok(())
    }

    /// Starts a killed agent again, under the same name and credential.
    ///
    /// # Errors
    /// When there is no such agent, or it does not start.
    pub async fn restart(&mut self, name: &str) -> Result<()> {
        self.kill(name).await?;
        let member = self.members.get_mut(name).context("a member")?;
        // A killed process leaves its socket behind.
        let _ = std::fs::remove_file(Mesh::control_of(&member.sidecar.socket));
        self.mesh.restart_sidecar(&mut member.sidecar).await?;
        self.begin(name).await
    }

    /// Cuts two agents off from each other: their link goes down and none opens; work between them takes the queue. With
    /// [`REGISTRY`] as one of them, cuts the other off from the registry; links stay.
    ///
    /// # Errors
    /// When there is no such agent, or it was killed.
    pub async fn partition(&mut self, a: &str, b: &str) -> Result<()> {
        ensure!(a != b, "{a:?} cannot be cut off from itself");
        if let Some(name) = beside_registry(a, b) {
            self.ask(name, &Command::CutRegistry {}).await?;
            let what = format!("agent {name} hears that the registry is away");
            self.until(&what, |pages| !pages.up.contains(name)).await?;
        } else {
            for (here, there) in [(a, b), (b, a)] {
                let peer = self.peer(there)?;
                self.ask(here, &Command::Cut { peer }).await?;
            }
            let ends = [(a, b), (b, a)].map(|(here, there)| (here, format!("{there}-sidecar")));
            let is_down = |pages: &Pages| {
                let is_open = |(here, peer): &(&str, String)| {
                    pages
                        .links
                        .get(*here)
                        .is_some_and(|links| links.contains(peer))
                };
                !ends.iter().any(is_open)
            };
            self.until(&format!("the link between {a} and {b} goes down"), is_down)
                .await?;
        }
        self.cuts.insert((a.to_owned(), b.to_owned()));
        Ok(())
    }

    /// Undoes [`partition`](Self::partition), and waits until the link is back.
    ///
    /// # Errors
    /// When there is no such agent, it was killed, or the link does not open within [`EVENT_CAP`].
    pub async fn heal(&mut self, a: &str, b: &str) -> Result<()> {
        self.cuts.remove(&(a.to_owned(), b.to_owned()));
        self.cuts.remove(&(b.to_owned(), a.to_owned()));
        if let Some(name) = beside_registry(a, b) {
            self.ask(name, &Command::HealRegistry {}).await?;
            let what = format!("agent {name} reaches the registry again");
            self.until(&what, |pages| pages.up.contains(name)).await?;
            return self.ask(name, &Command::Settle {}).await;
        }
        for (here, there) in [(a, b), (b, a)] {
            let peer = self.peer(there)?;
            self.ask(here, &Command::Heal { peer }).await?;
        }
        self.linked(a).await
    }

    /// Makes every message on the link between two agents take that much longer, each way, in real time: at most a
    /// minute; zero ends it.
    ///
    /// # Errors
    /// When there is no such agent, it was killed, or the delay is too long.
    pub async fn delay(&self, a: &str, b: &str, by: Duration) -> Result<()> {
        let ms = u64::try_from(by.as_millis())?;
        for (here, there) in [(a, b), (b, a)] {
            let peer = self.peer(there)?;
            self.ask(here, &Command::Delay { peer, ms }).await?;
        }
        Ok(())
    }

    /// Makes an agent deaf to calls of a skill (`agent.skill`, such as `reader.summarize`), all or those of one caller:
    /// they reach it, and are never answered. Their callers wait until their deadline.
    ///
    /// # Errors
    /// When there is no such agent.
    pub fn deaf(&self, skill: &str, caller: Option<&str>) -> Result<()> {
        let deafness = self.deafness(skill, caller)?;
        self.book.pages().deaf.push(deafness);
        Ok(())
    }

    /// Undoes [`deaf`](Self::deaf) with the same words.
    ///
    /// # Errors
    /// When there is no such agent.
    pub fn hear(&self, skill: &str, caller: Option<&str>) -> Result<()> {
        let deafness = self.deafness(skill, caller)?;
        self.book.pages().deaf.retain(|other| *other != deafness);
        Ok(())
    }

    fn deafness(&self, skill: &str, caller: Option<&str>) -> Result<Deafness> {
        // Names of agents may have dots too.
        let splits = skill
            .match_indices('.')
            .map(|(at, _)| (&skill[..at], &skill[at + 1..]));
        let mut known = splits.filter(|(agent, _)| self.members.contains_key(*agent));
        let Some((agent, name)) = known.next() else {
            bail!("there is no such agent: write the skill as agent.skill, not {skill:?}");
        };
        let offered = (self.member(agent)?.make)().profile()?.skills;
        ensure!(
            offered.iter().any(|info| info.name == name),
            "agent {agent:?} has no skill {name:?}"
        );
        Ok(Deafness {
            agent: agent.to_owned(),
            skill: name.to_owned(),
            caller: caller.map(str::to_owned),
        })
    }

    /// Moves the clock of the registry and of every sidecar forward. What is due by then happens: deadlines pass, leases
    /// of agents that are gone lapse, and those of agents that live are renewed. The test's own clocks do not move.
    ///
    /// # Errors
    /// When it is more than [`MAX_ADVANCE`], or a process does not answer.
    pub async fn advance(&self, by: Duration) -> Result<()> {
        ensure!(
            by <= MAX_ADVANCE,
            "clocks move by at most {MAX_ADVANCE:?} at once"
        );
        let mut left = u64::try_from(by.as_millis())?;
        while left > 0 {
            let ms = left.min(STEP_MS);
            left -= ms;
            let step = Command::Advance { ms };
            // What they have to say to the registry by then arrives before its own clock moves.
            for (name, member) in &self.members {
                if member.life.is_some() {
                    self.ask(name, &step).await?;
                }
            }
            self.tell(&self.mesh.registry_control(), &step).await?;
        }
        Ok(())
    }

    fn peer(&self, name: &str) -> Result<PeerId> {
        Ok(self.member(name)?.sidecar.peer_id.clone())
    }

    async fn ask(&self, name: &str, command: &Command) -> Result<()> {
        let member = self.member(name)?;
        ensure!(
            member.life.is_some() || member.sidecar.process.pid().is_some(),
            "agent {name:?} was killed: restart it first"
        );
        let control = Mesh::control_of(&member.sidecar.socket);
        self.tell(&control, command).await
    }

    async fn tell(&self, control: &Path, command: &Command) -> Result<()> {
        let asked = async { Client::open(control).await?.ask(command).await };
        let answered = timeout(capped(EVENT_CAP), asked).await;
        answered
            .with_context(|| format!("{command:?}: no answer within {EVENT_CAP:?}"))?
            .with_context(|| format!("{command:?}"))
    }
}

fn beside_registry<'a>(a: &'a str, b: &'a str) -> Option<&'a str> {
    match (a, b) {
        (REGISTRY, name) | (name, REGISTRY) => Some(name),
        _ => None,
    }
}

//! The processes: a registry, sidecars, and agents of both SDKs that write down what they do.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use seamesh_client::Registry;
use seamesh_harness::{Mesh, Process, Sidecar, binaries};
use seamesh_sim::history::{Fact, History, What};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::schedule::{Blow, Fault, ROUND_MS, Target};
use crate::crash_time;

/// The agents: two on the Rust SDK, one on the Python SDK.
const AGENTS: [(&str, bool); 3] = [("ada", false), ("bob", false), ("cleo", true)];

/// Milliseconds an agent's handlers have at the end.
const GRACE_MS: u64 = 5_000;

/// One machine: a sidecar and the agent behind it.
struct Machine {
    name: &'static str,
    is_python: bool,
    sidecar: Sidecar,
    agent: Process,
}

/// The mesh on which a run plays.
pub(crate) struct Stage {
    mesh: Mesh,
    machines: Vec<Machine>,
    /// Whether the registry can be reached.
    up: watch::Sender<bool>,
    /// Agent processes that were killed: nobody is left there to be told anything.
    killed: BTreeSet<u32>,
}

impl Stage {
    pub(crate) async fn start() -> Result<Self> {
        let mesh = Mesh::start().await?;
        let mut machines = Vec::new();
        for (name, is_python) in AGENTS {
            let sidecar = mesh.sidecar(&format!("{name}-peer")).await?;
            let agent = start_agent(&mesh, name, is_python, &sidecar)?;
            machines.push(Machine {
                name,
                is_python,
                sidecar,
                agent,
            });
        }
        mesh.wait_links(AGENTS.len() * (AGENTS.len() - 1) / 2)
            .await?;
        Ok(Self {
            mesh,
            machines,
            up: watch::Sender::new(true),
            killed: BTreeSet::new(),
        })
    }

    pub(crate) fn agents(&self) -> usize {
        self.machines.len()
    }

    pub(crate) fn admin(&self) -> &Registry {
        self.mesh.admin()
    }

    /// Tells whether the registry can be reached.
    pub(crate) fn up(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// Plays one round on its own timeline. Everything is healed at its end.
    pub(crate) async fn play(&mut self, faults: &[Fault]) -> Result<()> {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut steps: Vec<_> = faults
            .iter()
            .flat_map(|fault| [(fault.from_ms, true, fault), (fault.until_ms, false, fault)])
            .collect();
        steps.sort_by_key(|(ms, begins, _)| (*ms, *begins));
        for (ms, begins, fault) in steps {
            sleep_until(at(ms)).await;
            match begins {
                true => self.strike(fault).await?,
                false => self.heal(fault).await?,
            }
        }
        sleep_until(at(ROUND_MS)).await;
        Ok(())
    }

    async fn strike(&mut self, fault: &Fault) -> Result<()> {
        if fault.target == Target::Registry && fault.blow == Blow::Kill {
            self.up.send_replace(false);
        }
        if let (Blow::Kill, Target::Agent(n) | Target::Machine(n)) = (fault.blow, fault.target) {
            self.killed.extend(self.machines[n].agent.pid());
        }
        for process in self.processes(fault.target) {
            match fault.blow {
                Blow::Kill => process.kill().await?,
                Blow::Pause => process.pause()?,
            }
        }
        Ok(())
    }

    async fn heal(&mut self, fault: &Fault) -> Result<()> {
        if fault.blow == Blow::Pause {
            for process in self.processes(fault.target) {
                process.resume()?;
            }
            return Ok(());
        }
        match fault.target {
            Target::Registry => {
                self.mesh.restart_registry().await?;
                self.up.send_replace(true);
            }
            Target::Sidecar(n) => self.restart_sidecar(n).await?,
            Target::Agent(n) => self.restart_agent(n)?,
            Target::Machine(n) => {
                self.restart_sidecar(n).await?;
                self.restart_agent(n)?;
            }
        }
        Ok(())
    }

    async fn restart_sidecar(&mut self, n: usize) -> Result<()> {
        let machine = &mut self.machines[n];
        self.mesh.restart_sidecar(&mut machine.sidecar).await
    }

    fn restart_agent(&mut self, n: usize) -> Result<()> {
        let machine = &mut self.machines[n];
        machine.agent = start_agent(
            &self.mesh,
            machine.name,
            machine.is_python,
            &machine.sidecar,
        )?;
        Ok(())
    }

    fn processes(&mut self, target: Target) -> Vec<&mut Process> {
        match target {
            Target::Registry => vec![&mut self.mesh.registry],
            Target::Sidecar(n) => vec![&mut self.machines[n].sidecar.process],
            Target::Agent(n) => vec![&mut self.machines[n].agent],
            Target::Machine(n) => {
                let machine = &mut self.machines[n];
                vec![&mut machine.sidecar.process, &mut machine.agent]
            }
        }
    }

    /// Ends the agents, each of which ends its handlers first, and adds what they saw.
    pub(crate) async fn end(&mut self, history: &mut History) -> Result<()> {
        for machine in &mut self.machines {
            machine.agent.terminate().await?;
        }
        for (name, _) in AGENTS {
            self.read(
                &self.mesh.directory().join(format!("{name}.facts")),
                history,
            )?;
        }
        Ok(())
    }

    fn read(&self, log: &Path, history: &mut History) -> Result<()> {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let dead: BTreeSet<String> = self.killed.iter().map(|pid| format!("{pid}/")).collect();
        for line in text.lines() {
            // One write each: a line is whole or absent.
            let fact: Fact = serde_json::from_str(line).context(line.to_owned())?;
            if let What::Submitted(submitted) = &fact.what
                && dead.iter().any(|pid| submitted.request.starts_with(pid))
            {
                let request = submitted.request.clone();
                history.add(fact.at_ms, What::SenderGone { request });
            }
            history.add(fact.at_ms, fact.what);
        }
        Ok(())
    }
}

fn start_agent(mesh: &Mesh, name: &str, is_python: bool, sidecar: &Sidecar) -> Result<Process> {
    if !is_python {
        let program = crash_time::program(mesh.directory(), name, GRACE_MS);
        return mesh.agent(name, program, sidecar);
    }
    let mut command = Command::new(binaries::python()?);
    command
        .arg(binaries::project().join("tests/mesh/chaos/agent.py"))
        .arg(name)
        .arg(mesh.directory().join(format!("{name}.facts")))
        .arg(GRACE_MS.to_string());
    mesh.agent(name, command, sidecar)
}

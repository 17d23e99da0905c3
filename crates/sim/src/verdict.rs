//! Plays a scenario and judges what happened: the promises, and that the mesh healed.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use seamesh_proto::{AgentId, Path, TaskState};
use serde::Serialize;

use crate::World;
use crate::history::{History, TTL_SLACK_MS, Violation, What, check};
use crate::script::{BadStep, play_in};
use crate::sometimes::Sometimes;
use crate::swarm;

/// Work that a healed mesh has to complete begins with this.
const PROBE: &str = "probe";

/// Something that is wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Finding {
    /// A promise was broken.
    Broken(Violation),
    /// Something else is.
    Wrong(Wrong),
}

/// What is wrong besides the promises that a history tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "violation", rename_all = "snake_case")]
pub enum Wrong {
    /// Two sidecars are not linked at the end.
    Unlinked {
        /// The one.
        a: String,
        /// The other.
        b: String,
    },
    /// A sidecar that runs is not connected to the registry at the end.
    Unreached {
        /// The sidecar.
        sidecar: String,
    },
    /// A request is open long after its deadline.
    Overdue {
        /// Who asked.
        sidecar: String,
        /// The request.
        request: String,
    },
    /// Work that was given to the healed mesh did not complete.
    Stuck {
        /// The request.
        request: String,
        /// How it ended, if it did.
        state: Option<TaskState>,
    },
    /// A task completed with the result of another attempt than the registry says.
    Misplaced {
        /// The task.
        task: String,
        /// What the attempt's handler answered.
        due: String,
        /// What is stored.
        result: String,
    },
    /// A core gave up.
    Panicked {
        /// What it said.
        message: String,
    },
}

impl Finding {
    /// Its kind, as it stands in a file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Broken(violation) => violation.kind(),
            Self::Wrong(Wrong::Unlinked { .. }) => "unlinked",
            Self::Wrong(Wrong::Unreached { .. }) => "unreached",
            Self::Wrong(Wrong::Overdue { .. }) => "overdue",
            Self::Wrong(Wrong::Stuck { .. }) => "stuck",
            Self::Wrong(Wrong::Misplaced { .. }) => "misplaced",
            Self::Wrong(Wrong::Panicked { .. }) => "panicked",
        }
    }

    /// Whether only the end of a run can show it: before that there is still time.
    pub(crate) fn needs_the_end(&self) -> bool {
        let kinds = [
            "lost",
            "unanswered",
            "lost_untold",
            "unlinked",
            "unreached",
            "overdue",
            "stuck",
        ];
        kinds.contains(&self.kind())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// What one run gave.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Things that happened.
    pub events: u64,
    /// Virtual milliseconds that passed.
    pub virtual_ms: u64,
    /// A number that another run of the same scenario has, too.
    pub digest: u64,
    /// What is wrong. Empty: nothing.
    pub findings: Vec<Finding>,
    /// The states it reached.
    pub sometimes: Sometimes,
    /// The scenario with its transcript, when that was asked for.
    pub log: String,
}

/// Plays the scenario of a seed.
pub fn of_seed(seed: u64) -> Verdict {
    let drawn = of_scenario(&swarm::scenario(seed), false);
    drawn.expect("a drawn scenario has known steps")
}

/// Plays a scenario; with `is_written` the transcript is kept.
///
/// # Errors
/// [`BadStep`] for a step that is not one of [`script`](crate::script), or names a node that was not there.
pub fn of_scenario(scenario: &str, is_written: bool) -> Result<Verdict, BadStep> {
    let mut world = World::new();
    world.transcript.is_written = is_written;
    let played = catch_unwind(AssertUnwindSafe(|| play_in(&mut world, scenario)));
    let (log, mut findings) = match played {
        Ok(played) => (played?, judge(&world, scenario.contains(swarm::TAIL))),
        Err(panic) => {
            let message = message_of(&*panic);
            (
                String::new(),
                vec![Finding::Wrong(Wrong::Panicked { message })],
            )
        }
    };
    findings.dedup();
    world.look_at_tasks();
    Ok(Verdict {
        events: world.events,
        virtual_ms: world.at,
        digest: world.transcript.digest(),
        findings,
        sometimes: world.sometimes,
        log,
    })
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_default()
}

fn judge(world: &World, has_end: bool) -> Vec<Finding> {
    let history = world.history();
    let broken = check(&history).into_iter().map(Finding::Broken);
    let mut findings: Vec<Finding> = broken.collect();
    findings.retain(|finding| !is_excused(finding, world, &history));
    findings.extend(misplaced(world).into_iter().map(Finding::Wrong));
    if has_end {
        let unhealed = unlinked(world).into_iter().chain(stuck(&history));
        findings.extend(unhealed.map(Finding::Wrong));
    }
    findings.retain(|finding| has_end || !finding.needs_the_end());
    findings
}

/// What was lost with a disk is void. A registry that is down when a task's TTL ends ends it as soon as it is there again.
fn is_excused(finding: &Finding, world: &World, history: &History) -> bool {
    if let Finding::Broken(violation) = finding
        && violation
            .task()
            .is_some_and(|task| world.registry.void.contains(task))
    {
        return true;
    }
    if matches!(finding.kind(), "key_twice" | "key_content") {
        return world.registry.is_key_void;
    }
    let Finding::Broken(Violation::Late { task, by_ms }) = finding else {
        return false;
    };
    let ended = history.facts().iter().find_map(|fact| match &fact.what {
        What::Changed(changed) if changed.task == *task && changed.state.is_terminal() => {
            Some(fact.at_ms)
        }
        _ => None,
    });
    let mut outages = world.registry.outages.iter();
    ended.is_some_and(|ended| {
        let due = ended - by_ms;
        outages.any(|(from, to)| *from <= due + TTL_SLACK_MS && ended <= to + TTL_SLACK_MS)
    })
}

fn unlinked(world: &World) -> Vec<Wrong> {
    let unlinked = world.unlinked.iter().map(|(a, b)| Wrong::Unlinked {
        a: a.to_string(),
        b: b.to_string(),
    });
    let unreached = world.unreached.iter().map(|sidecar| Wrong::Unreached {
        sidecar: sidecar.to_string(),
    });
    let overdue = world
        .overdue
        .iter()
        .map(|(sidecar, request)| Wrong::Overdue {
            sidecar: sidecar.to_string(),
            request: request.clone(),
        });
    unlinked.chain(unreached).chain(overdue).collect()
}

/// Tasks whose result is not that of the attempt which the registry says completed.
fn misplaced(world: &World) -> Vec<Wrong> {
    let completed = world
        .registry
        .store
        .tasks()
        .filter(|task| task.state == TaskState::Completed && task.spec.path == Path::Queue);
    let wrong = completed.filter_map(|task| {
        let agent = task.assigned.as_ref().map_or("nobody", AgentId::as_str);
        let due = format!("{agent}, attempt {}", task.attempt);
        let result = &task.outcome.as_ref()?.result;
        (*result != due).then(|| Wrong::Misplaced {
            task: task.spec.id.to_string(),
            due,
            result: result.to_string(),
        })
    });
    wrong.collect()
}

/// Probes that did not complete.
fn stuck(history: &History) -> Vec<Wrong> {
    let mut found = Vec::new();
    for fact in history.facts() {
        let What::Submitted(submitted) = &fact.what else {
            continue;
        };
        let request = &submitted.request;
        let Some((_, id)) = request.split_once('/') else {
            continue;
        };
        if !id.starts_with(PROBE) {
            continue;
        }
        let mut ends = history.facts().iter().filter_map(|fact| match &fact.what {
            What::Told(told) if told.request == *request => Some(told.state),
            What::Refused(refused) if refused.request == *request => Some(TaskState::Failed),
            What::Changed(changed) if changed.task.as_str() == id => {
                Some(changed.state).filter(|state| state.is_terminal())
            }
            _ => None,
        });
        let state = ends.next_back();
        if state != Some(TaskState::Completed) {
            let request = request.clone();
            found.push(Wrong::Stuck { request, state });
        }
    }
    found
}

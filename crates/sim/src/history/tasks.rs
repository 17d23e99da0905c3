//! Accepted work ends, in time, once, under one lease at a time.

use std::collections::BTreeMap;

use seamesh_proto::{AgentId, TaskId};

use super::{Accepted, Changed, History, TTL_SLACK_MS, Violation, What};

/// A task's events, by number.
pub(super) type Course<'a> = BTreeMap<u64, (u64, &'a Changed)>;

/// The events of every task. An event that two witnesses tell is one event.
pub(super) fn courses(history: &History) -> BTreeMap<&TaskId, Course<'_>> {
    let mut courses: BTreeMap<&TaskId, Course<'_>> = BTreeMap::new();
    for fact in history.facts() {
        if let What::Changed(changed) = &fact.what {
            let course = courses.entry(&changed.task).or_default();
            course.insert(changed.seq, (fact.at_ms, changed));
        }
    }
    courses
}

/// What was accepted, with the earliest time at which that was told. A repeat of a submission is no second task.
pub(super) fn accepted(history: &History) -> BTreeMap<&TaskId, (u64, &Accepted)> {
    let mut first = BTreeMap::new();
    for (at_ms, accepted) in history.pick(|what| match what {
        What::Accepted(accepted) => Some(accepted),
        _ => None,
    }) {
        first.entry(&accepted.task).or_insert((at_ms, accepted));
    }
    first
}

pub(super) fn check(history: &History) -> Vec<Violation> {
    let courses = courses(history);
    let mut found = Vec::new();
    for (task, (at_ms, accepted)) in accepted(history) {
        found.extend(ended(task, at_ms, accepted, courses.get(task)));
    }
    for (task, course) in &courses {
        found.extend(undone(task, course));
        found.extend(reused(task, course));
    }
    found
}

fn ended(
    task: &TaskId,
    at_ms: u64,
    accepted: &Accepted,
    course: Option<&Course<'_>>,
) -> Option<Violation> {
    let last = course.and_then(|course| course.values().last());
    let end = course.and_then(|c| c.values().find(|(_, changed)| changed.state.is_terminal()));
    let Some((ended_ms, _)) = end else {
        return Some(Violation::Lost {
            task: task.clone(),
            state: last.map(|(_, changed)| changed.state),
        });
    };
    let by_ms = ended_ms.saturating_sub(at_ms + accepted.ttl_ms);
    (by_ms > TTL_SLACK_MS).then(|| Violation::Late {
        task: task.clone(),
        by_ms,
    })
}

fn undone(task: &TaskId, course: &Course<'_>) -> Option<Violation> {
    let mut states = course.values().map(|(_, changed)| changed.state);
    let was = states.find(|state| state.is_terminal())?;
    states.next().map(|became| Violation::Undone {
        task: task.clone(),
        was,
        became,
    })
}

fn reused(task: &TaskId, course: &Course<'_>) -> Option<Violation> {
    let mut live: Option<(u64, u32, Option<&AgentId>)> = None;
    for (_, changed) in course.values() {
        let Some(lease) = changed.lease else { continue };
        let named = (lease, changed.attempt, changed.agent.as_ref());
        let is_good = match live {
            None => true,
            Some(before) => lease > before.0 || named == before,
        };
        if !is_good {
            let task = task.clone();
            return Some(Violation::LeaseReused { task, lease });
        }
        live = Some(named);
    }
    None
}

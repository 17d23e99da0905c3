//! Every request ends once for its sender, says the truth, and a key is one task.

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::{TaskId, TaskState};

use super::tasks::courses;
use super::{History, Violation, What};

pub(super) fn check(history: &History) -> Vec<Violation> {
    let mut found = ends(history);
    found.extend(contradictions(history));
    found.extend(keys(history));
    found.extend(streams(history));
    found
}

/// An attempt's parts come in order, each once; a later attempt begins anew.
fn streams(history: &History) -> Vec<Violation> {
    let mut due: BTreeMap<&str, (u32, u64)> = BTreeMap::new();
    let mut found = Vec::new();
    for fact in history.facts() {
        let What::Chunk(chunk) = &fact.what else {
            continue;
        };
        let (attempt, next) = due.entry(&chunk.request).or_default();
        if chunk.attempt > *attempt {
            (*attempt, *next) = (chunk.attempt, 0);
        }
        if chunk.attempt != *attempt || chunk.index != *next {
            found.push(Violation::ChunkMisplaced {
                request: chunk.request.clone(),
                attempt: chunk.attempt,
                due: *next,
                came: chunk.index,
            });
        }
        *next = chunk.index + 1;
    }
    found
}

fn ends(history: &History) -> Vec<Violation> {
    let mut asked: BTreeMap<&str, u32> = BTreeMap::new();
    let mut left = BTreeSet::new();
    for fact in history.facts() {
        match &fact.what {
            What::Submitted(submitted) => drop(asked.entry(&submitted.request).or_default()),
            What::Refused(refused) => *asked.entry(&refused.request).or_default() += 1,
            What::Told(told) => *asked.entry(&told.request).or_default() += 1,
            What::SenderGone { request } => drop(left.insert(request.as_str())),
            _ => {}
        }
    }
    let judge = |(request, ends): (&str, u32)| match ends {
        0 if left.contains(request) => None,
        0 => Some(Violation::Unanswered {
            request: request.to_owned(),
        }),
        1 => None,
        _ => Some(Violation::AnsweredTwice {
            request: request.to_owned(),
        }),
    };
    asked.into_iter().filter_map(judge).collect()
}

/// A sender may hear of a deadline where the work completed after all; never of a completion that did not happen.
fn contradictions(history: &History) -> Vec<Violation> {
    let courses = courses(history);
    let mut found = Vec::new();
    for fact in history.facts() {
        let What::Told(told) = &fact.what else {
            continue;
        };
        let (Some(task), TaskState::Completed) = (&told.task, told.state) else {
            continue;
        };
        let course = courses.get(task).into_iter().flat_map(|c| c.values());
        let mut ends = course.map(|(_, changed)| changed.state);
        let end = ends.find(|state| state.is_terminal());
        if let Some(state) = end.filter(|state| *state != TaskState::Completed) {
            let (request, task) = (told.request.clone(), task.clone());
            found.push(Violation::Contradicted {
                request,
                task,
                state,
            });
        }
    }
    found
}

fn keys(history: &History) -> Vec<Violation> {
    let mut tasks: BTreeMap<&str, &TaskId> = BTreeMap::new();
    for fact in history.facts() {
        if let What::Accepted(accepted) = &fact.what {
            tasks.insert(&accepted.request, &accepted.task);
        }
    }
    let mut meant: BTreeMap<&str, BTreeSet<(&TaskId, &str)>> = BTreeMap::new();
    for fact in history.facts() {
        if let What::Submitted(submitted) = &fact.what
            && let (Some(key), Some(task)) = (
                &submitted.key,
                tasks.get(submitted.request.as_str()).copied(),
            )
        {
            let meanings = meant.entry(key).or_default();
            meanings.insert((task, &submitted.digest));
        }
    }
    let mut found = Vec::new();
    for (key, meanings) in meant {
        let key = key.to_owned();
        let tasks: BTreeSet<_> = meanings.iter().map(|(task, _)| task).collect();
        if tasks.len() > 1 {
            found.push(Violation::KeyTwice { key });
        } else if meanings.len() > 1 {
            found.push(Violation::KeyContent { key });
        }
    }
    found
}

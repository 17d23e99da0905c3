//! What the demo tells: the answer, the delegation tree, and the last line for programs.

use std::fmt::Write as _;

use seamesh_proto::{Path, Task, TaskState};
use serde::{Deserialize, Serialize};

/// A place in the documents that the answer rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Citation {
    /// File, relative to the folder.
    pub(crate) file: String,
    /// Line, from 1.
    pub(crate) line: u64,
}

/// What the skill `answer` returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The text, with its citations in it.
    pub(crate) answer: String,
    /// The places it cites.
    pub(crate) citations: Vec<Citation>,
}

/// How long each step took, in milliseconds from its own beginning.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Timings {
    /// Registry process started until it serves.
    pub(crate) registry_ready: u64,
    /// Sidecars and agents started until every pair is linked.
    pub(crate) links_open: u64,
    /// Question asked until the answer.
    pub(crate) first_answer: u64,
}

/// One hop of the delegation tree.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hop {
    /// The task.
    pub(crate) id: String,
    /// The skill.
    pub(crate) skill: String,
    /// Who asked.
    pub(crate) from: String,
    /// Who answered.
    pub(crate) to: String,
    /// How the work went there.
    pub(crate) path: Path,
    /// How it ended.
    pub(crate) state: TaskState,
    /// From being accepted to its end, milliseconds.
    pub(crate) duration_ms: u64,
}

impl Hop {
    /// The hop that a task was.
    pub(crate) fn of(task: &Task) -> Self {
        let asker = if task.source_agent_id.is_empty() {
            "you"
        } else {
            &task.source_agent_id
        };
        Self {
            id: task.id.to_string(),
            skill: task.skill.clone(),
            from: asker.to_owned(),
            to: task.assigned_agent_id.clone(),
            path: task.path,
            state: task.state,
            duration_ms: ((task.updated_at - task.created_at).max(0.0) * 1000.0).round() as u64,
        }
    }
}

/// The last line of `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether the question was answered.
    pub(crate) ok: bool,
    /// The answer's text.
    pub(crate) answer: String,
    /// Its sources.
    pub(crate) citations: Vec<Citation>,
    /// How long the steps took.
    pub(crate) timings_ms: Timings,
    /// Every hop, the question first.
    pub(crate) tasks: Vec<Hop>,
    /// The hub's address.
    pub(crate) hub_url: String,
}

/// Draws who asked whom, with path and time. `tasks` is one tree in any order.
pub(crate) fn tree(tasks: &[Task]) -> String {
    let mut out = String::new();
    for root in tasks.iter().filter(|t| t.lineage.parent_id.is_none()) {
        draw(&mut out, root, tasks, "", "");
    }
    out
}

fn draw(out: &mut String, task: &Task, all: &[Task], lead: &str, indent: &str) {
    let hop = Hop::of(task);
    let path = match hop.path {
        Path::Direct => "direct",
        Path::Queue => "queue",
    };
    let state = hop.state.as_str();
    let verb = if task.source_agent_id.is_empty() {
        "ask"
    } else {
        "asks"
    };
    let label = format!("{lead}{} {verb} {} to {}", hop.from, hop.to, hop.skill);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{label:<52} {path:<7} {:>6} ms  {state}",
        hop.duration_ms
    );
    let mut children: Vec<_> = all
        .iter()
        .filter(|t| t.lineage.parent_id.as_ref() == Some(&task.id))
        .collect();
    children.sort_by(|a, b| a.created_at.total_cmp(&b.created_at));
    for (index, child) in children.iter().enumerate() {
        let last = index + 1 == children.len();
        let lead = format!("{indent}{}", if last { "└─ " } else { "├─ " });
        let indent = format!("{indent}{}", if last { "   " } else { "│  " });
        draw(out, child, all, &lead, &indent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, parent: Option<&str>, from: &str, to: &str, created: f64) -> Task {
        let mut task: Task = serde_json::from_value(serde_json::json!({
            "id": id, "skill": "s", "target_agent_id": "", "source_agent_id": from, "assigned_agent_id": to,
            "state": "completed", "created_at": created, "updated_at": created + 0.25, "ttl": 300, "path": "direct",
        }))
        .unwrap();
        task.lineage.parent_id = parent.map(|p| p.parse().unwrap());
        task
    }

    #[test]
    fn the_tree_shows_children_under_their_parent_in_the_order_they_were_asked() {
        let tasks = [
            task("c", Some("a"), "editor", "reader", 2.0),
            task("a", None, "", "editor", 1.0),
            task("b", Some("a"), "editor", "librarian", 1.5),
        ];
        let drawn = tree(&tasks);
        let lines: Vec<_> = drawn.lines().collect();
        assert!(lines[0].starts_with("you ask editor"), "{drawn}");
        assert!(lines[1].starts_with("├─ editor asks librarian"), "{drawn}");
        assert!(lines[2].starts_with("└─ editor asks reader"), "{drawn}");
        assert!(lines[2].contains("250 ms"), "{drawn}");
    }
}

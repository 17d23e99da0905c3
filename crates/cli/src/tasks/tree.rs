//! A delegation tree, as lines for people and as data for programs.

use std::collections::{BTreeMap, BTreeSet};

use seamesh_proto::{Code, Path, Task, TaskId, TaskState};
use serde::Serialize;

use crate::table::plain;
use crate::times::span;

/// Longest name in a line, in characters.
const MAX_NAME_CHARS: usize = 40;

/// One task of a tree, with what it asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Node {
    id: TaskId,
    /// What the registry knows of it: nothing while it runs directly, or once it is no longer kept.
    #[serde(flatten)]
    facts: Option<Facts>,
    /// Whether it is the task that was asked for.
    asked: bool,
    children: Vec<Node>,
}

#[derive(Debug, Serialize)]
struct Facts {
    skill: String,
    from: String,
    to: String,
    path: Path,
    attempt: u32,
    max_attempts: u32,
    state: TaskState,
    /// Seconds from acceptance to its end, or until now.
    duration_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<Code>,
}

/// The tasks of one tree under their parents, oldest first, at the time `now` (Unix seconds). A task whose parent is not
/// among them stands under a node of which only the id is known.
pub(crate) fn grow(mut tasks: Vec<Task>, asked: &TaskId, now: f64) -> Vec<Node> {
    tasks.sort_by(|a, b| {
        let times = a.created_at.total_cmp(&b.created_at);
        times.then_with(|| a.id.cmp(&b.id))
    });
    let known: BTreeSet<&TaskId> = tasks.iter().map(|task| &task.id).collect();
    let mut tops = Vec::new();
    let mut under: BTreeMap<&TaskId, Vec<&Task>> = BTreeMap::new();
    let mut missing = Vec::new();
    for task in &tasks {
        match &task.lineage.parent_id {
            None => tops.push(task),
            Some(parent) => {
                if !known.contains(parent) && !under.contains_key(parent) {
                    missing.push(parent);
                }
                under.entry(parent).or_default().push(task);
            }
        }
    }
    let shown = BTreeSet::new();
    let mut growth = Growth {
        under,
        shown,
        asked,
        now,
    };
    let mut nodes: Vec<Node> = tops.into_iter().map(|task| growth.node(task)).collect();
    for parent in missing {
        let children = growth.children(parent);
        nodes.push(growth.unknown(parent, children));
    }
    // What names each other as parents, as only a wrong submitter does, hangs under nobody.
    for task in &tasks {
        if !growth.shown.contains(&task.id) {
            nodes.push(growth.node(task));
        }
    }
    nodes
}

struct Growth<'a> {
    under: BTreeMap<&'a TaskId, Vec<&'a Task>>,
    /// No task is in the tree twice.
    shown: BTreeSet<&'a TaskId>,
    asked: &'a TaskId,
    now: f64,
}

impl<'a> Growth<'a> {
    fn node(&mut self, task: &'a Task) -> Node {
        self.shown.insert(&task.id);
        let text = |text: &str| plain(text, MAX_NAME_CHARS);
        let to = match task.assigned_agent_id.as_str() {
            "" => &task.target_agent_id,
            agent => agent,
        };
        let end = match task.state.is_terminal() {
            true => task.updated_at,
            false => self.now,
        };
        let facts = Facts {
            skill: text(&task.skill),
            from: text(&task.source_agent_id),
            to: text(to),
            path: task.path,
            attempt: task.attempt,
            max_attempts: task.max_attempts,
            state: task.state,
            duration_s: (end - task.created_at).max(0.0),
            error_code: task.error_code,
        };
        Node {
            id: task.id.clone(),
            facts: Some(facts),
            asked: task.id == *self.asked,
            children: self.children(&task.id),
        }
    }

    fn unknown(&self, id: &TaskId, children: Vec<Node>) -> Node {
        Node {
            id: id.clone(),
            facts: None,
            asked: id == self.asked,
            children,
        }
    }

    fn children(&mut self, id: &TaskId) -> Vec<Node> {
        let mut nodes = Vec::new();
        for task in self.under.remove(id).unwrap_or_default() {
            if !self.shown.contains(&task.id) {
                nodes.push(self.node(task));
            }
        }
        nodes
    }
}

/// The trees as lines, one for each task.
pub(crate) fn draw(nodes: &[Node]) -> String {
    let mut lines = Vec::new();
    for node in nodes {
        lines.push(node.line());
        node.draw_children("", &mut lines);
    }
    lines.join("\n")
}

impl Node {
    fn draw_children(&self, indent: &str, lines: &mut Vec<String>) {
        let last = self.children.len().saturating_sub(1);
        for (place, child) in self.children.iter().enumerate() {
            let (branch, below) = match place == last {
                true => ("└─ ", "   "),
                false => ("├─ ", "│  "),
            };
            lines.push(format!("{indent}{branch}{}", child.line()));
            child.draw_children(&format!("{indent}{below}"), lines);
        }
    }

    fn line(&self) -> String {
        let mark = if self.asked { "  ◀ this task" } else { "" };
        let Some(facts) = &self.facts else {
            let id = &self.id;
            return format!("task {id}: it runs directly, or is no longer kept{mark}");
        };
        let or = |text: &'_ str, other: &'static str| match text {
            "" => other.to_owned(),
            text => text.to_owned(),
        };
        let path = match facts.path {
            Path::Direct => "direct",
            Path::Queue => "queue",
        };
        let error = facts
            .error_code
            .map_or_else(String::new, |code| format!("  {code}"));
        format!(
            "{}  {} -> {}  {path}  attempt {} of {}  {}  {}{error}{mark}",
            or(&facts.skill, "-"),
            or(&facts.from, "you"),
            or(&facts.to, "-"),
            facts.attempt,
            facts.max_attempts,
            facts.state.as_str(),
            span(facts.duration_s),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(id: &str, parent: Option<&str>, at: f64, more: serde_json::Value) -> Task {
        let mut task = json!({"id": id, "skill": format!("s-{id}"), "target_agent_id": "", "source_agent_id": "",
            "assigned_agent_id": "", "state": "pending", "created_at": at, "updated_at": at + 2.0, "ttl": 9});
        if let Some(parent) = parent {
            task["parent_id"] = json!(parent);
        }
        for (key, value) in more.as_object().unwrap() {
            task[key] = value.clone();
        }
        serde_json::from_value(task).unwrap()
    }

    fn drawn(tasks: Vec<Task>, asked: &str) -> String {
        draw(&grow(tasks, &asked.parse().unwrap(), 100.0))
    }

    #[test]
    fn each_task_stands_under_its_parent_in_the_order_of_asking() {
        let tasks = vec![
            task(
                "c",
                Some("a"),
                3.0,
                json!({"state": "failed", "error_code": "skill_failed", "attempt": 3}),
            ),
            task(
                "d",
                Some("b"),
                4.0,
                json!({"source_agent_id": "y", "target_agent_id": "z"}),
            ),
            task(
                "b",
                Some("a"),
                2.0,
                json!({"source_agent_id": "x", "assigned_agent_id": "y", "path": "direct",
                "state": "completed", "attempt": 1, "max_attempts": 1}),
            ),
            task(
                "a",
                None,
                1.0,
                json!({"assigned_agent_id": "x", "state": "assigned", "attempt": 1}),
            ),
        ];
        let expected = "\
s-a  you -> x  queue  attempt 1 of 3  assigned  99.0s
├─ s-b  x -> y  direct  attempt 1 of 1  completed  2.0s
│  └─ s-d  y -> z  queue  attempt 0 of 3  pending  96.0s  ◀ this task
└─ s-c  you -> -  queue  attempt 3 of 3  failed  2.0s  skill_failed";
        assert_eq!(drawn(tasks, "d"), expected);
    }

    #[test]
    fn a_parent_that_nobody_knows_keeps_its_children_together() {
        let tasks = vec![
            task("b", Some("gone"), 2.0, json!({})),
            task("c", Some("gone"), 3.0, json!({})),
        ];
        let text = drawn(tasks, "c");
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("task gone: it runs directly"),
            "{text}"
        );
        assert!(lines[1].starts_with("├─ s-b"), "{text}");
        assert!(lines[2].starts_with("└─ s-c"), "{text}");
    }

    #[test]
    fn tasks_that_name_each_other_as_parents_are_shown_once() {
        let tasks = vec![
            task("a", Some("b"), 1.0, json!({})),
            task("b", Some("a"), 2.0, json!({})),
            task("self", Some("self"), 3.0, json!({})),
        ];
        let text = drawn(tasks, "a");
        for skill in ["s-a", "s-b", "s-self"] {
            assert_eq!(text.matches(skill).count(), 1, "{text}");
        }
    }

    #[test]
    fn a_tree_is_data_as_well() {
        let tasks = vec![
            task("a", None, 1.0, json!({})),
            task("b", Some("a"), 2.0, json!({})),
        ];
        let nodes = grow(tasks, &"b".parse().unwrap(), 100.0);
        let data = serde_json::to_value(&nodes).unwrap();
        assert_eq!(data[0]["id"], "a");
        assert_eq!(data[0]["children"][0]["skill"], "s-b");
        assert_eq!(data[0]["children"][0]["asked"], true);
    }
}

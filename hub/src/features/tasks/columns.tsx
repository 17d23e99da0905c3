import type { Task } from "../../generated/wire";
import { useNow } from "../../hub";
import { durationMs, receiver } from "../../lib/tasks";
import { duration } from "../../lib/time";
import { StateBadge } from "../../ui/Badge";
import { Data } from "../../ui/Data";
import type { Column } from "../../ui/DataTable";
import { AgentLink, TaskLink } from "../../ui/Links";
import { Ago } from "../../ui/Times";

export const TASK_COLUMNS: readonly Column<Task>[] = [
  { key: "state", head: "State", className: "col-state", cell: (task) => <StateBadge state={task.state} /> },
  {
    key: "skill",
    head: "Skill",
    className: "col-skill",
    cell: (task) => <TaskLink id={task.id} text={task.skill || "no skill"} />,
  },
  {
    key: "from",
    head: "From",
    className: "col-agent wide",
    cell: (task) => <AgentLink id={task.source_agent_id} otherwise="outside" />,
  },
  {
    key: "to",
    head: "To",
    className: "col-agent",
    cell: (task) => <AgentLink id={receiver(task)} otherwise="any" />,
  },
  {
    key: "path",
    head: "Path",
    className: "col-path wide",
    cell: (task) => (task.attempt === 0 ? "–" : task.path),
  },
  {
    key: "attempt",
    head: "Attempt",
    className: "col-attempt number wide",
    cell: (task) => (task.attempt > 1 ? `${task.attempt} of ${task.max_attempts}` : task.attempt),
  },
  {
    key: "duration",
    head: "Took",
    className: "col-duration number",
    cell: (task) => <Duration task={task} />,
  },
  {
    key: "age",
    head: "Asked",
    className: "col-age number wide",
    cell: (task) => <Ago ms={task.created_at * 1000} />,
  },
  { key: "note", head: "Note", className: "col-note wide", cell: (task) => <Note task={task} /> },
];

/** The few columns of a short list beside other things. */
export const SHORT_COLUMNS = TASK_COLUMNS.filter(({ key }) =>
  ["state", "skill", "to", "duration", "age"].includes(key),
);

function Duration({ task }: { task: Task }) {
  const ms = durationMs(task, useNow());
  return ms === null ? <span className="quiet">–</span> : duration(ms);
}

/** What is worth a word: why it failed, what it asks, how far it is. */
function Note({ task }: { task: Task }) {
  if (task.error) {
    return (
      <span className={task.state === "failed" ? "bad" : "quiet"} title={task.error.slice(0, 400)}>
        <Data text={task.error} />
      </span>
    );
  }
  if (task.question) return <Data text={task.question.prompt} />;
  if (task.progress && task.state === "assigned") return <ProgressNote task={task} />;
  return null;
}

function ProgressNote({ task }: { task: Task }) {
  const { fraction, note } = task.progress ?? {};
  return (
    <span className="progress-note">
      {fraction != null && <progress max={1} value={fraction} aria-label="Progress" />}
      <Data text={note ?? ""} />
    </span>
  );
}

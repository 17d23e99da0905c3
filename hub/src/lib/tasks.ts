// Questions the page asks of tasks. Pure.

import type { Task, TaskState } from "../generated/wire";

export const TASK_STATES: readonly TaskState[] = [
  "pending",
  "assigned",
  "input_required",
  "completed",
  "failed",
  "canceled",
];

export const STATE_LABELS: Readonly<Record<TaskState, string>> = {
  pending: "pending",
  assigned: "assigned",
  input_required: "needs input",
  completed: "completed",
  failed: "failed",
  canceled: "canceled",
};

export function isTerminal(state: TaskState): boolean {
  return state === "completed" || state === "failed" || state === "canceled";
}

/** Which tasks a person wants to see. Absent: all. */
export interface TaskFilter {
  readonly state?: TaskState | undefined;
  readonly agent?: string | undefined;
  readonly skill?: string | undefined;
  /** Text within id, skill, agents or error; letters of either case. */
  readonly q?: string | undefined;
  /** Asked for at this moment or later, Unix milliseconds in digits. */
  readonly since?: string | undefined;
  /** Asked for before this moment, the same. */
  readonly until?: string | undefined;
}

export type StateCounts = Record<TaskState, number>;

/** Newest first; tasks of the same moment by id, so that the order never flickers. */
function order(a: Task, b: Task): number {
  return b.created_at - a.created_at || (a.id < b.id ? -1 : a.id === b.id ? 0 : 1);
}

export function newestFirst(tasks: Iterable<Task>): Task[] {
  return [...tasks].sort(order);
}

/** Where `task` stands, or belongs, in a list that is newest first. */
export function placeOf(newest: readonly Task[], task: Task): number {
  let [low, high] = [0, newest.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const there = newest[middle];
    if (there && order(there, task) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function involves(task: Task, agent: string): boolean {
  return task.source_agent_id === agent || task.assigned_agent_id === agent || task.target_agent_id === agent;
}

/** Whether no task is left out. */
export function fitsAll({ state, agent, skill, q, since, until }: TaskFilter): boolean {
  return !(state || agent || skill || q?.trim() || since || until);
}

export function filterTasks(tasks: readonly Task[], filter: TaskFilter): readonly Task[] {
  const { state, agent, skill } = filter;
  const q = filter.q?.trim().toLowerCase();
  const [since, until] = [filter.since, filter.until].map((ms) => (ms ? Number(ms) / 1000 : null));
  if (fitsAll(filter)) return tasks;
  return tasks.filter(
    (task) =>
      (!state || task.state === state) &&
      (!agent || involves(task, agent)) &&
      (!skill || task.skill === skill) &&
      (since == null || task.created_at >= since) &&
      (until == null || task.created_at < until) &&
      (!q || mentions(task, q)),
  );
}

/** What a task is searched by, made once for each: a state that is told again is another task here. */
const spoken = new WeakMap<Task, string>();

/** Makes ready what these tasks are searched by, so that the first letter typed does not have to. */
export function speak(tasks: readonly Task[]): void {
  for (const task of tasks) textOf(task);
}

function mentions(task: Task, q: string): boolean {
  return textOf(task).includes(q);
}

function textOf(task: Task): string {
  let text = spoken.get(task);
  if (text === undefined) {
    const parts = [task.id, task.skill, task.source_agent_id, receiver(task), task.error];
    text = parts.join("\n").toLowerCase();
    spoken.set(task, text);
  }
  return text;
}

export function countByState(tasks: Iterable<Task>): StateCounts {
  const counts: StateCounts = {
    pending: 0,
    assigned: 0,
    input_required: 0,
    completed: 0,
    failed: 0,
    canceled: 0,
  };
  for (const task of tasks) counts[task.state] += 1;
  return counts;
}

/** The agent that has the work, or that it is meant for. */
export function receiver(task: Task): string {
  return task.assigned_agent_id || task.target_agent_id;
}

/** Milliseconds it took, or takes so far; `null` while no attempt began. */
export function durationMs(task: Task, nowMs: number): number | null {
  if (task.started_at == null) return isTerminal(task.state) ? span(task.created_at, task.updated_at) : null;
  return isTerminal(task.state)
    ? span(task.started_at, task.updated_at)
    : Math.max(0, nowMs - task.started_at * 1000);
}

function span(fromS: number, toS: number): number {
  return Math.max(0, (toS - fromS) * 1000);
}

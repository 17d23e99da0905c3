// A filtered list of many tasks that is kept up to date for the price of what changed. Pure but for what it remembers.

import type { Task } from "../generated/wire";
import { countByState, filterTasks, type StateCounts, type TaskFilter } from "./tasks";

export interface TaskList {
  /** Newest first, as the tasks are. */
  readonly rows: readonly Task[];
  readonly counts: StateCounts;
}

interface Last extends TaskList {
  readonly tasks: readonly Task[];
  readonly filter: TaskFilter;
}

/**
 * A filter that remembers its last answer. New tasks come to the front of a list, and those that change are mostly
 * young: what both lists end with was judged already. A text that goes on where it stood is looked for in what fitted.
 */
export function taskLister(): (tasks: readonly Task[], filter: TaskFilter) => TaskList {
  let last: Last | null = null;
  return (tasks, filter) => {
    if (last && last.tasks === tasks && isSame(last.filter, filter)) return last;
    let now = last && narrows(last.filter, filter) ? broughtUp(last, tasks) : null;
    if (!now) now = listed(tasks, filter);
    else if (!isSame(now.filter, filter)) {
      const rows = filterTasks(now.rows, filter);
      now = { tasks, filter, rows, counts: countByState(rows) };
    }
    last = now;
    return now;
  };
}

function listed(tasks: readonly Task[], filter: TaskFilter): Last {
  const rows = filterTasks(tasks, filter);
  return { tasks, filter, rows, counts: countByState(rows) };
}

/** The last answer for the tasks as they are now; `null` when too much changed to be worth it. */
function broughtUp(last: Last, tasks: readonly Task[]): Last | null {
  if (last.tasks === tasks) return last;
  let same = 0;
  const most = Math.min(last.tasks.length, tasks.length);
  while (same < most && last.tasks[last.tasks.length - 1 - same] === tasks[tasks.length - 1 - same])
    same += 1;
  if (same * 2 < tasks.length) return null;
  const before = filterTasks(last.tasks.slice(0, last.tasks.length - same), last.filter);
  const after = filterTasks(tasks.slice(0, tasks.length - same), last.filter);
  const [gone, come] = [countByState(before), countByState(after)];
  const counts = { ...last.counts };
  for (const state of Object.keys(counts) as (keyof StateCounts)[])
    counts[state] += come[state] - gone[state];
  const rows = last.rows === last.tasks ? tasks : [...after, ...last.rows.slice(before.length)];
  return { tasks, filter: last.filter, rows, counts };
}

function isSame(a: TaskFilter, b: TaskFilter): boolean {
  return narrows(a, b) && text(a) === text(b);
}

/** Whether whatever fits `next` fits `before` too: only the text looked for may be longer. */
function narrows(before: TaskFilter, next: TaskFilter): boolean {
  return (
    before.state === next.state &&
    before.agent === next.agent &&
    before.skill === next.skill &&
    before.since === next.since &&
    before.until === next.until &&
    text(next).includes(text(before))
  );
}

function text({ q }: TaskFilter): string {
  return q?.trim().toLowerCase() ?? "";
}

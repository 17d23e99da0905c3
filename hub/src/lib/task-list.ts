// A filtered list of many tasks that is kept up to date for the price of what changed. Pure but for what it remembers.

import type { Task } from "../generated/wire";
import { countByState, filterTasks, fitsAll, type StateCounts, type TaskFilter } from "./tasks";

export interface TaskList {
  /** Newest first, as the tasks are. */
  readonly rows: readonly Task[];
  readonly counts: StateCounts;
}

interface Last extends TaskList {
  readonly tasks: readonly Task[];
  readonly filter: TaskFilter;
}

/** Filtering under way, of the tasks as they stood when it began. */
interface Job {
  readonly tasks: readonly Task[];
  readonly filter: TaskFilter;
  /** Those that may fit, newest first. */
  readonly among: readonly Task[];
  /** How many of them were judged. */
  judged: number;
  readonly rows: Task[];
}

/** Tasks that are judged at once: some two milliseconds of work. */
const PIECE = 10_000;

/**
 * A filter that remembers its last answer. New tasks come to the front of a list, and those that change are mostly
 * young: what both lists end with was judged already. A text that goes on where it stood is looked for in what fitted.
 * What is still too much to judge between two frames is judged a piece at a time, and meanwhile the last answer stands.
 */
export class TaskLister {
  private readonly piece: number;
  private last: Last | null = null;
  private job: Job | null = null;

  constructor(piece = PIECE) {
    this.piece = piece;
  }

  /** The tasks that fit; while {@link isBehind}, those that fit the filter before. */
  list(tasks: readonly Task[], filter: TaskFilter): TaskList {
    const last = this.last && broughtUp(this.last, tasks);
    if (last && isSame(last.filter, filter)) return this.settle(last);
    const among = last && narrows(last.filter, filter) ? last.rows : tasks;
    // Nothing to show meanwhile, or little to wait for.
    if (!this.last || fitsAll(filter) || among.length <= this.piece)
      return this.settle(listed(tasks, filter, among));
    if (!this.job || !isSame(this.job.filter, filter))
      this.job = { tasks, filter, among, judged: 0, rows: [] };
    if (last) this.last = last;
    return this.last;
  }

  /** Whether there is something to {@link judge} before the list is of the filter that was asked for. */
  get isBehind(): boolean {
    return this.job !== null;
  }

  /** Judges the next piece; whether `list` has a new answer now. */
  judge(): boolean {
    const { job } = this;
    if (!job) return false;
    const next = job.among.slice(job.judged, job.judged + this.piece);
    job.rows.push(...filterTasks(next, job.filter));
    job.judged += next.length;
    if (job.judged < job.among.length) return false;
    this.settle({ ...job, counts: countByState(job.rows) });
    return true;
  }

  private settle(last: Last): Last {
    this.job = null;
    this.last = last;
    return last;
  }
}

function listed(tasks: readonly Task[], filter: TaskFilter, among: readonly Task[]): Last {
  const rows = filterTasks(among, filter);
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

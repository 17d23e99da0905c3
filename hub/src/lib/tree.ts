// A delegation tree: who asked whom, and when each worked. Pure.

import type { Task } from "../generated/wire";
import { isTerminal, receiver } from "./tasks";

export interface Branch {
  readonly task: Task;
  readonly children: readonly Branch[];
}

export function rootIdOf(task: Task): string {
  return task.root_id ?? task.id;
}

/** The tree under `rootId`. A task whose asker is not known hangs under the root, so that none is lost. */
export function treeOf(tasks: Iterable<Task>, rootId: string): Branch | null {
  const members = new Map<string, Task>();
  for (const task of tasks) if (rootIdOf(task) === rootId) members.set(task.id, task);
  const root = members.get(rootId);
  if (!root) return null;
  const under = new Map<string, Task[]>();
  for (const task of members.values()) {
    if (task.id === rootId) continue;
    const parent = task.parent_id && members.has(task.parent_id) ? task.parent_id : rootId;
    const list = under.get(parent) ?? [];
    list.push(task);
    under.set(parent, list);
  }
  return branch(root, under, new Set());
}

function branch(task: Task, under: ReadonlyMap<string, Task[]>, seen: Set<string>): Branch {
  seen.add(task.id);
  // Ids come from outside: a ring of parents must not run forever.
  const children = (under.get(task.id) ?? []).filter((child) => !seen.has(child.id)).sort(byTime);
  return { task, children: children.map((child) => branch(child, under, seen)) };
}

function byTime(a: Task, b: Task): number {
  return a.created_at - b.created_at || (a.id < b.id ? -1 : 1);
}

export interface Bar {
  readonly task: Task;
  readonly depth: number;
  readonly agent: string;
  /** Unix milliseconds: asked for, begun (`null` if never), ended (the present while it runs). */
  readonly askedMs: number;
  readonly begunMs: number | null;
  readonly endMs: number;
}

export interface Waterfall {
  readonly bars: readonly Bar[];
  readonly fromMs: number;
  readonly toMs: number;
}

/** The tree as rows under each other in the order of asking, each with its times. */
export function waterfallOf(tree: Branch, nowMs: number): Waterfall {
  const bars: Bar[] = [];
  const walk = ({ task, children }: Branch, depth: number) => {
    bars.push(barOf(task, depth, nowMs));
    for (const child of children) walk(child, depth + 1);
  };
  walk(tree, 0);
  const fromMs = Math.min(...bars.map((bar) => bar.askedMs));
  const toMs = Math.max(...bars.map((bar) => bar.endMs), fromMs + 1);
  return { bars, fromMs, toMs };
}

function barOf(task: Task, depth: number, nowMs: number): Bar {
  const askedMs = task.created_at * 1000;
  const begunMs = task.started_at == null ? null : task.started_at * 1000;
  const endMs = isTerminal(task.state) ? task.updated_at * 1000 : nowMs;
  const first = begunMs === null ? askedMs : Math.min(askedMs, begunMs);
  return { task, depth, agent: receiver(task), askedMs: first, begunMs, endMs: Math.max(endMs, askedMs) };
}

export function sizeOf(tree: Branch): number {
  return tree.children.reduce((sum, child) => sum + sizeOf(child), 1);
}

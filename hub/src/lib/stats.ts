// Numbers over tasks: latency and failures of an agent or a skill. Pure.

import type { Task } from "../generated/wire";
import { durationMs, isTerminal } from "./tasks";

export interface Stats {
  readonly ended: number;
  readonly failed: number;
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
}

/** Of the ended ones among these tasks. */
export function statsOf(tasks: readonly Task[]): Stats {
  const ended = tasks.filter((task) => isTerminal(task.state));
  const took = ended
    .filter((task) => task.state === "completed")
    .map((task) => durationMs(task, 0))
    .filter((ms) => ms !== null)
    .sort((a, b) => a - b);
  return {
    ended: ended.length,
    failed: ended.filter((task) => task.state === "failed").length,
    p50Ms: quantile(took, 0.5),
    p95Ms: quantile(took, 0.95),
    p99Ms: quantile(took, 0.99),
  };
}

/** Nearest rank. */
export function quantile(sorted: readonly number[], q: number): number | null {
  return sorted[Math.max(0, Math.ceil(sorted.length * q) - 1)] ?? null;
}

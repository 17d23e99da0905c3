import { describe, expect, test } from "vitest";
import type { Task, TaskState } from "../generated/wire";
import { task } from "./samples";
import { taskLister } from "./task-list";
import { countByState, filterTasks, newestFirst, TASK_STATES, type TaskFilter } from "./tasks";

/** The same numbers at every run (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let a = seed;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const WORDS = ["", "s", "se", "sea", "search", "t-1", "agent", " SEA ", "zz"];

describe("a list of tasks that is kept up to date", () => {
  test("is what filtering all of them anew gives, whatever happens in between", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const below = numbers(seed);
      const list = taskLister();
      let tasks: readonly Task[] = [];
      let filter: TaskFilter = {};
      for (let step = 0; step < 60; step++) {
        const made = () =>
          task(`t-${below(200)}-${step}`, {
            skill: ["search", "seal", "rank"][below(3)] ?? "",
            state: TASK_STATES[below(TASK_STATES.length)] as TaskState,
            created_at: below(3) === 0 ? below(1_000) : 1_000 + step,
          });
        const deed = below(5);
        if (deed === 0) tasks = newestFirst([...tasks, ...Array.from({ length: below(9) }, made)]);
        if (deed === 1) tasks = tasks.map((one, i) => (i < 3 ? { ...one, state: "failed" } : one));
        if (deed === 2) tasks = tasks.filter((_, i) => i !== tasks.length - 1 - below(4));
        if (deed === 3) filter = { ...filter, q: WORDS[below(WORDS.length)] };
        if (deed === 4 && below(3) === 0)
          filter = { ...filter, skill: below(2) === 0 ? "search" : undefined };
        const rows = filterTasks(tasks, filter);
        const now = list(tasks, filter);
        expect(now.rows).toEqual(rows);
        expect(now.counts).toEqual(countByState(rows));
      }
    }
  });

  test("is the same list while nothing changes", () => {
    const list = taskLister();
    const tasks = [task("a"), task("b")];
    expect(list(tasks, { q: "a" })).toBe(list(tasks, { q: "a" }));
    expect(list(tasks, {}).rows).toBe(tasks);
  });
});

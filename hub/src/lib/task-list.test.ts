import { describe, expect, test } from "vitest";
import type { Task, TaskState } from "../generated/wire";
import { task } from "./samples";
import { TaskLister } from "./task-list";
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
      // From a few at a time to all at once.
      const lister = new TaskLister(1 + below(60));
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
        lister.list(tasks, filter);
        if (below(4) === 0 && lister.isBehind) {
          // Something else comes between.
          lister.judge();
          continue;
        }
        while (lister.isBehind) if (lister.judge()) lister.list(tasks, filter);
        const rows = filterTasks(tasks, filter);
        const now = lister.list(tasks, filter);
        expect(now.rows).toEqual(rows);
        expect(now.counts).toEqual(countByState(rows));
      }
    }
  });

  test("is judged a piece at a time, and is the list before meanwhile, with what came since", () => {
    const lister = new TaskLister(10);
    const tasks = newestFirst(Array.from({ length: 35 }, (_, i) => task(`t-${i}`, { created_at: i })));
    expect(lister.list(tasks, {}).rows).toBe(tasks);
    expect(lister.list(tasks, { q: "t-3" }).rows).toBe(tasks);
    expect([lister.judge(), lister.judge(), lister.isBehind]).toEqual([false, false, true]);
    const more = [task("t-300", { created_at: 300 }), ...tasks];
    expect(lister.list(more, { q: "t-3" }).rows).toEqual(more);
    expect([lister.judge(), lister.judge(), lister.isBehind]).toEqual([false, true, false]);
    const found = lister.list(more, { q: "t-3" }).rows.map((one) => one.id);
    expect(found).toEqual(["t-300", "t-34", "t-33", "t-32", "t-31", "t-30", "t-3"]);
    expect(lister.isBehind).toBe(false);
  });

  test("is at once what fits when the filter is taken away", () => {
    const lister = new TaskLister(1);
    const tasks = [task("a"), task("b"), task("c")];
    expect(lister.list(tasks, { q: "b" }).rows).toHaveLength(1);
    expect(lister.list(tasks, { q: " " }).rows).toBe(tasks);
    expect(lister.isBehind).toBe(false);
  });

  test("is the same list while nothing changes", () => {
    const lister = new TaskLister();
    const tasks = [task("a"), task("b")];
    expect(lister.list(tasks, { q: "a" })).toBe(lister.list(tasks, { q: "a" }));
    expect(lister.list(tasks, {}).rows).toBe(tasks);
  });
});

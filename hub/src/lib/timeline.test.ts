import { describe, expect, test } from "vitest";
import type { EventRecord, Task } from "../generated/wire";
import { NOW_MS, record, task } from "./samples";
import { attemptsOf, stepsOf } from "./timeline";

/** The history of one task, a second from change to change. */
function history(...changes: Partial<Task>[]): EventRecord[] {
  return changes.map((over, i) =>
    record(i + 1, { type: "task_changed", payload: task("t", over) }, NOW_MS + i * 1000),
  );
}

const FIRST = { state: "assigned", assigned_agent_id: "a", attempt: 1, lease: 1 } as const;

describe("the timeline", () => {
  test("tells a life in steps, and leaves out what only repeats", () => {
    const question = { number: 1, prompt: "Which?" };
    const steps = stepsOf(
      history(
        {},
        FIRST,
        { ...FIRST, progress: { fraction: 0.5, note: "half" } },
        { ...FIRST, state: "input_required", question },
        { ...FIRST, state: "input_required", question },
        FIRST,
        { ...FIRST, state: "completed" },
      ),
    );
    expect(steps.map((step) => step.what)).toEqual([
      "Accepted",
      "Attempt 1 began",
      "Asked a question",
      "The question was answered",
      "Completed",
    ]);
    expect(steps[2]?.note).toBe("Which?");
  });

  test("tells of a result that was refused as stale", () => {
    const stale = record(9, { type: "stale_result", payload: { task_id: "t", lease: 1, peer_id: "p" } });
    expect(stepsOf([...history({}, FIRST), stale]).at(-1)?.what).toContain("too late");
  });
});

describe("the attempts", () => {
  test("one that was lost and one that ended it, each with its agent and its time", () => {
    const second = { state: "assigned", assigned_agent_id: "b", attempt: 2, lease: 2 } as const;
    const found = attemptsOf(history({}, FIRST, { attempt: 1 }, second, { ...second, state: "failed" }));
    expect(found.map(({ number, agent, outcome }) => [number, agent, outcome])).toEqual([
      [1, "a", "ended without a result"],
      [2, "b", "failed"],
    ]);
    expect(found[0]?.endMs).toBe(NOW_MS + 2000);
  });

  test("one that runs has no end yet", () => {
    expect(attemptsOf(history({}, FIRST))).toMatchObject([{ number: 1, endMs: null, outcome: "" }]);
  });

  test("work over a link is known by its report alone", () => {
    const started = NOW_MS / 1000;
    const done = {
      ...FIRST,
      state: "completed",
      path: "direct",
      started_at: started,
      updated_at: started + 2,
    } as const;
    expect(attemptsOf(history(done))).toMatchObject([
      { number: 1, agent: "a", path: "direct", startMs: NOW_MS, endMs: NOW_MS + 2000, outcome: "completed" },
    ]);
  });
});

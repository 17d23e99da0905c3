import { describe, expect, test } from "vitest";
import { perSecond, pulseAfter, STEP_MS, STEPS, series } from "./pulse";
import { NOW_MS, record, task } from "./samples";

const START = Math.floor(NOW_MS / STEP_MS) * STEP_MS;
const ended = (seq: number, atMs: number, state: "completed" | "failed") =>
  record(seq, { type: "task_changed", payload: task("t", { state, attempt: 1 }) }, atMs);

describe("the pulse", () => {
  test("counts what happened in each step", () => {
    const pulse = pulseAfter(
      [],
      [
        record(1, { type: "task_changed", payload: task("t") }, START),
        ended(2, START + 1, "completed"),
        ended(3, START + STEP_MS, "failed"),
      ],
    );
    expect(pulse.map(({ asked, completed, failed, events }) => [asked, completed, failed, events])).toEqual([
      [1, 1, 0, 2],
      [0, 0, 1, 1],
    ]);
    expect(series(pulse, "failed", START + STEP_MS, 3)).toEqual([0, 0, 1]);
    expect(perSecond(pulse, START + STEP_MS + 4_999, 10)).toBeCloseTo(0.3);
  });

  test("forgets what is older than its window", () => {
    const old = pulseAfter([], [ended(1, START, "failed")]);
    const later = pulseAfter(old, [ended(2, START + STEPS * STEP_MS, "failed")]);
    expect(later).toHaveLength(1);
    expect(pulseAfter(later, [])).toBe(later);
  });
});

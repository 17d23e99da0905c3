// What the page says about agents, tasks, times and texts.

import { describe, expect, test } from "vitest";
import { byName, countByHealth, lastBeat, skillNames } from "./agents";
import { backoffMs, LONGEST_MS } from "./backoff";
import { fromSnapshot } from "./mesh-state";
import { whyState } from "./reason";
import { agent, NOW_MS, snapshot, task } from "./samples";
import { countByState, durationMs, filterTasks, newestFirst } from "./tasks";
import { clip, jsonText } from "./text";
import { ago, duration } from "./time";

describe("the last beat", () => {
  const entry = (over: Parameters<typeof agent>[1], healthSinceMs: number | null = null) => ({
    record: agent("a", over),
    healthSinceMs,
  });

  test("of an active agent is its age", () => {
    expect(lastBeat(entry({}), NOW_MS)).toBe("5 s ago");
  });

  test("of an agent still called active is never older than the registry's threshold", () => {
    expect(lastBeat(entry({}), NOW_MS + 3_600_000)).toBe("under 90 s ago");
  });

  test("of an agent lost while the page is open is when it was lost", () => {
    expect(lastBeat(entry({ health: "offline" }, NOW_MS - 120_000), NOW_MS)).toBe("lost 2 min ago");
  });

  test("of an agent lost before is its age", () => {
    const record = { health: "offline", last_heartbeat: new Date(NOW_MS - 7_200_000).toISOString() } as const;
    expect(lastBeat(entry(record), NOW_MS)).toBe("2 h ago");
  });

  test("that is no time is not shown as one", () => {
    expect(lastBeat(entry({ health: "stale", last_heartbeat: "soon" }), NOW_MS)).toBe("unknown");
  });
});

describe("agents", () => {
  test("are told by name and counted by health", () => {
    const { agents } = fromSnapshot(
      snapshot({ agents: [agent("b", { health: "stale" }), agent("a"), agent("c")] }),
    );
    expect(byName(agents.values()).map((e) => e.record.agent_id)).toEqual(["a", "b", "c"]);
    expect(countByHealth(agents.values())).toEqual({ active: 2, stale: 1, offline: 0 });
  });

  test("name each skill once, whichever list carries it", () => {
    const both = agent("a", {
      skills: [{ name: "x", description: "" }],
      capabilities: { skills: ["x", "y"], mcp_servers: [], goals_count: 0, mode: "" },
    });
    expect(skillNames(both)).toEqual(["x", "y"]);
  });
});

describe("tasks", () => {
  const tasks = [
    task("old", { created_at: 1, state: "completed", assigned_agent_id: "a" }),
    task("new", { created_at: 2, source_agent_id: "a" }),
    task("z", { created_at: 2, target_agent_id: "b" }),
  ];

  test("are told newest first, those of one moment by id", () => {
    expect(newestFirst(tasks).map((t) => t.id)).toEqual(["new", "z", "old"]);
  });

  test("are filtered by state and by who has part in them", () => {
    const ids = (filter: Parameters<typeof filterTasks>[1]) => filterTasks(tasks, filter).map((t) => t.id);
    expect(ids({ state: "pending", agent: undefined })).toEqual(["new", "z"]);
    expect(ids({ state: undefined, agent: "a" })).toEqual(["old", "new"]);
    expect(ids({ state: "pending", agent: "a" })).toEqual(["new"]);
  });

  test("are counted by state", () => {
    expect(countByState(tasks)).toMatchObject({ pending: 2, completed: 1, failed: 0 });
  });

  test("last from the start of the attempt to the end, or to now", () => {
    const base = { created_at: 100, started_at: 101, updated_at: 103 };
    expect(durationMs(task("t", { ...base, state: "completed" }), 0)).toBe(2000);
    expect(durationMs(task("t", { ...base, state: "assigned" }), 105_000)).toBe(4000);
    expect(durationMs(task("t", { created_at: 100 }), 105_000)).toBeNull();
  });
});

describe("why a task waits", () => {
  const mesh = fromSnapshot(
    snapshot({
      agents: [
        agent("on", { skills: [{ name: "search", description: "" }] }),
        agent("off", { health: "offline", skills: [{ name: "store", description: "" }] }),
      ],
    }),
  );

  test.each([
    [{ skill: "fly" }, "No agent offers fly."],
    [{ skill: "store" }, "Every agent that offers store is away."],
    [{ skill: "search" }, "It waits for an agent to take it."],
    [{ target_agent_id: "off" }, "It is meant for off, which is offline."],
    [{ target_agent_id: "who" }, "It is meant for who, which is not in the mesh."],
    [{ target_agent_id: "on" }, "It waits for on to take it."],
    [{ state: "failed", error_code: "expired" } as const, "It ended with expired."],
  ])("%o", (over, why) => {
    expect(whyState(task("t", over), mesh)).toBe(why);
  });
});

describe("times", () => {
  test.each([
    [0, "just now"],
    [59_999, "59 s ago"],
    [61_000, "1 min ago"],
    [7_200_000, "2 h ago"],
    [200_000_000, "2 d ago"],
    [-5_000, "just now"],
  ])("%i ms", (ms, words) => {
    expect(ago(ms)).toBe(words);
  });

  test.each([
    [0.25, "250 µs"],
    [3.21, "3.2 ms"],
    [212, "212 ms"],
    [16_400, "16.4 s"],
    [300_000, "5 min 0 s"],
    [7_260_000, "2 h 1 min"],
  ])("%f ms long", (ms, words) => {
    expect(duration(ms)).toBe(words);
  });
});

describe("texts", () => {
  test("are cut at the limit, and what is missing is counted", () => {
    expect(clip("abcdef", 4)).toEqual({ text: "abcd", missing: 2 });
    expect(clip("abcd", 4)).toEqual({ text: "abcd", missing: 0 });
  });

  test("are never cut inside a character", () => {
    expect(clip("abc😀d", 4)).toEqual({ text: "abc", missing: 3 });
  });

  test.each([
    [{}, ""],
    [null, ""],
    ["", ""],
    ["as it is", "as it is"],
    [0, "0"],
    [false, "false"],
    [{ a: [1] }, '{\n  "a": [\n    1\n  ]\n}'],
  ])("JSON %o", (value, text) => {
    expect(jsonText(value)).toBe(text);
  });
});

describe("the wait before a repeat", () => {
  test("grows, is never longer than its limit, and never nothing", () => {
    expect(backoffMs(1, 0)).toBe(125);
    expect(backoffMs(2, 0)).toBe(250);
    expect(backoffMs(40, 0.999)).toBeLessThanOrEqual(LONGEST_MS);
  });
});

import { describe, expect, test } from "vitest";
import type { MeshEvent, Task } from "../generated/wire";
import { LayeredMap } from "./layered-map";
import {
  applyEvent,
  applyEvents,
  fromSnapshot,
  linkKey,
  MAX_LOG,
  MAX_TASKS_KEPT,
  type MeshState,
  withOlder,
} from "./mesh-state";
import { agent, NOW_MS, record, snapshot, task } from "./samples";
import { countByState, newestFirst } from "./tasks";

const LINK = { from_peer: "peer-a", to_peer: "peer-b" };

function after(start: MeshState, ...events: MeshEvent[]): MeshState {
  return applyEvents(
    start,
    events.map((event, i) => record(start.seq + 1 + i, event, NOW_MS + i)),
  );
}

describe("agents", () => {
  const start = fromSnapshot(snapshot({ agents: [agent("a")] }));

  test("a registered agent appears, and replaces its older record", () => {
    const b = after(start, { type: "agent_registered", payload: agent("b") });
    expect([...b.agents.keys()]).toEqual(["a", "b"]);
    const renamed = after(b, { type: "agent_registered", payload: agent("b", { hostname: "rack-9" }) });
    expect(renamed.agents.get("b")?.record.hostname).toBe("rack-9");
    expect(renamed.agents.size).toBe(2);
  });

  test("a removed agent disappears", () => {
    expect(after(start, { type: "agent_removed", payload: { agent_id: "a" } }).agents.size).toBe(0);
  });

  test("health changes, and the moment is kept", () => {
    const gone = after(start, { type: "agent_health", payload: { agent_id: "a", health: "offline" } });
    expect(gone.agents.get("a")?.record.health).toBe("offline");
    expect(gone.agents.get("a")?.healthSinceMs).toBe(NOW_MS);
  });

  test("the health of an agent that is not known changes nothing but the number", () => {
    const same = after(start, { type: "agent_health", payload: { agent_id: "x", health: "stale" } });
    expect(same.agents).toBe(start.agents);
    expect(same.seq).toBe(start.seq + 1);
  });

  test("work in flight follows the tasks between two records", () => {
    const held = { state: "assigned", assigned_agent_id: "a" } as const;
    const one = after(start, { type: "task_changed", payload: task("t", held) });
    expect(one.agents.get("a")?.record.tasks_in_flight).toBe(1);
    const waiting = after(one, {
      type: "task_changed",
      payload: task("t", { ...held, state: "input_required" }),
    });
    expect(waiting.agents.get("a")?.record.tasks_in_flight).toBe(1);
    const done = after(waiting, {
      type: "task_changed",
      payload: task("t", { ...held, state: "completed" }),
    });
    expect(done.agents.get("a")?.record.tasks_in_flight).toBe(0);
  });

  test("work that moves to another agent is counted there", () => {
    const two = fromSnapshot(snapshot({ agents: [agent("a", { tasks_in_flight: 1 }), agent("b")] }));
    const before = after(
      {
        ...two,
        tasks: LayeredMap.of([["t", task("t", { state: "assigned", assigned_agent_id: "a" })] as const]),
      },
      { type: "task_changed", payload: task("t", { state: "assigned", assigned_agent_id: "b" }) },
    );
    expect(before.agents.get("a")?.record.tasks_in_flight).toBe(0);
    expect(before.agents.get("b")?.record.tasks_in_flight).toBe(1);
  });
});

describe("tasks", () => {
  test("a changed task replaces what was known of it", () => {
    const start = fromSnapshot(snapshot({ tasks: [task("t")] }));
    const done = after(start, { type: "task_changed", payload: task("t", { state: "completed" }) });
    expect(done.tasks.get("t")?.state).toBe("completed");
    expect(start.tasks.get("t")?.state).toBe("pending");
  });

  test("over the limit the oldest ended tasks leave, and none that lives", () => {
    const tasks = Array.from({ length: MAX_TASKS_KEPT }, (_, i) =>
      task(`t${i}`, { created_at: i, state: i === 0 ? "pending" : "completed" }),
    );
    const start = fromSnapshot(snapshot({ tasks }));
    const next = after(start, { type: "task_changed", payload: task("new", { created_at: 1e9 }) });
    expect(next.tasks.size).toBeLessThanOrEqual(MAX_TASKS_KEPT);
    expect(next.tasks.has("t0")).toBe(true);
    expect(next.tasks.has("t1")).toBe(false);
    expect(next.tasks.has("new")).toBe(true);
  });
});

describe("links", () => {
  const start = fromSnapshot(snapshot());

  test("a link is one link whichever end is named first", () => {
    expect(linkKey(LINK)).toBe(linkKey({ from_peer: LINK.to_peer, to_peer: LINK.from_peer }));
    const up = after(start, { type: "link_up", payload: LINK }, { type: "link_up", payload: LINK });
    expect(up.links.size).toBe(1);
  });

  test("a link that came to be identified is told again, and is one link", () => {
    const told = after(
      start,
      { type: "link_up", payload: LINK },
      { type: "link_up", payload: { ...LINK, identified: true } },
    );
    expect([...told.links.values()].map((link) => link.identified)).toEqual([true]);
  });

  test("a link that went down is gone", () => {
    const down = after(start, { type: "link_up", payload: LINK }, { type: "link_down", payload: LINK });
    expect(down.links.size).toBe(0);
  });
});

describe("the order of tasks", () => {
  const ids = (state: MeshState) => state.newest.map((one) => one.id);
  const at = (id: string, createdS: number, over: Partial<Task> = {}) =>
    task(id, { created_at: createdS, ...over });
  const changed = (one: Task): MeshEvent => ({ type: "task_changed", payload: one });

  test("is newest first whatever comes, and each task stands in it once", () => {
    const start = fromSnapshot(snapshot({ tasks: [at("b", 2), at("d", 4)] }));
    const end = after(
      start,
      changed(at("c", 3)),
      changed(at("e", 5)),
      changed(at("a", 1)),
      changed(at("c", 3)),
    );
    expect(ids(end)).toEqual(["e", "d", "c", "b", "a"]);
    expect(ids(start)).toEqual(["d", "b"]);
    const failed = after(end, changed(at("c", 3, { state: "failed" })));
    expect(failed.newest[2]?.state).toBe("failed");
    expect(end.newest[2]?.state).toBe("pending");
  });

  test("and the counts by state stay what counting would give", () => {
    const states = ["pending", "assigned", "completed", "failed"] as const;
    const events = Array.from({ length: 400 }, (_, i) =>
      changed(at(`t${(i * 7) % 90}`, (i * 7) % 90, { state: states[(i * 3) % 4] ?? "pending" })),
    );
    const end = after(fromSnapshot(snapshot()), ...events);
    expect(end.counts).toEqual(countByState(end.tasks.values()));
    expect(end.newest).toEqual(newestFirst(end.tasks.values()));
  });

  test("takes in older tasks, and keeps what it knows better", () => {
    const start = fromSnapshot(snapshot({ tasks: [at("b", 2, { state: "completed" })] }));
    const both = withOlder(start, [at("a", 1), at("b", 2, { state: "assigned" })]);
    expect(both.newest.map((one) => [one.id, one.state])).toEqual([
      ["b", "completed"],
      ["a", "pending"],
    ]);
    expect(both.counts).toMatchObject({ completed: 1, pending: 1, assigned: 0 });
    expect(withOlder(both, [at("a", 1)])).toBe(both);
  });
});

describe("the log", () => {
  test("keeps the newest events, in order, up to its limit", () => {
    const start = fromSnapshot(snapshot({ seq: 0 }));
    const many = Array.from({ length: MAX_LOG + 10 }, (_, i) =>
      record(i + 1, { type: "link_up", payload: LINK }),
    );
    const end = applyEvents(start, many);
    expect(end.log).toHaveLength(MAX_LOG);
    expect(end.log[0]?.seq).toBe(11);
    expect(end.log.at(-1)?.seq).toBe(MAX_LOG + 10);
  });
});

describe("newcomers", () => {
  const asked = {
    id: "n1",
    agent_name: "kim",
    peer_id: "p1",
    status: "pending_approval",
    created_at: 1,
    updated_at: 1,
  } as const;

  test("those that waited before the page was opened wait", () => {
    const state = fromSnapshot(snapshot({ newcomers: [asked] }));
    expect([...state.newcomers.keys()]).toEqual(["n1"]);
  });

  test("one that asked waits until it is decided on", () => {
    const waits = after(fromSnapshot(snapshot()), { type: "pairing_changed", payload: asked });
    expect([...waits.newcomers.values()].map((n) => n.agent_name)).toEqual(["kim"]);
    const decided = after(waits, { type: "pairing_changed", payload: { ...asked, status: "approved" } });
    expect(decided.newcomers.size).toBe(0);
  });
});

describe("numbers", () => {
  test("an event that comes twice counts once", () => {
    const start = fromSnapshot(snapshot({ agents: [agent("a")] }));
    const up = record(11, {
      type: "task_changed",
      payload: task("t", { state: "assigned", assigned_agent_id: "a" }),
    });
    const once = applyEvent(start, up);
    expect(applyEvent(once, up)).toBe(once);
  });

  test("an event the snapshot already holds changes nothing", () => {
    const start = fromSnapshot(snapshot({ seq: 10 }));
    expect(applyEvent(start, record(10, { type: "link_up", payload: LINK }))).toBe(start);
  });

  test("one by one and all at once end the same", () => {
    const start = fromSnapshot(snapshot({ agents: [agent("a")] }));
    const records = [
      record(11, { type: "agent_registered", payload: agent("b") }),
      record(12, { type: "link_up", payload: LINK }),
      record(14, { type: "task_changed", payload: task("t") }),
      record(15, { type: "agent_removed", payload: { agent_id: "a" } }),
    ];
    expect(records.reduce(applyEvent, start)).toEqual(applyEvents(start, records));
  });
});

import { describe, expect, test } from "vitest";
import { again } from "./again";
import { MAX_TURNS, saidIn, turnsOf, withTurn } from "./chat";
import { filterEvents, joined, told } from "./events";
import { inTurn } from "./in-turn";
import { frameRates, frameRows, metric, ratesBetween, seamRows } from "./metrics";
import { may } from "./roles";
import { NOW_MS, record, task } from "./samples";
import { quantile, statsOf } from "./stats";

const METRICS = `# HELP seamesh_http_requests_total Answered requests.
seamesh_http_requests_total{operation="get_task",status="2xx"} 96
seamesh_http_requests_total{operation="get_task",status="4xx"} 3
seamesh_http_requests_total{operation="get_task",status="5xx"} 1
seamesh_http_request_seconds_bucket{operation="get_task",le="0.001"} 90
seamesh_http_request_seconds_bucket{operation="get_task",le="0.01"} 99
seamesh_http_request_seconds_bucket{operation="get_task",le="+Inf"} 100
seamesh_http_request_seconds_sum{operation="get_task"} 0.2
seamesh_http_request_seconds_count{operation="get_task"} 100
seamesh_waits 4
nonsense
`;

describe("metrics", () => {
  test("become rows of the REST channel", () => {
    expect(seamRows(METRICS)).toEqual([
      {
        operation: "get_task",
        route: "GET /api/hub/tasks/{task_id}",
        requests: 100,
        refused: 3,
        failed: 1,
        answered: 100,
        totalMs: 200,
        meanMs: 2,
        p95Ms: 10,
      },
    ]);
    expect(metric(METRICS, "seamesh_waits")).toBe(4);
    expect(metric(METRICS, "gone")).toBeNull();
  });

  test("of two readings tell what went on between them", () => {
    const before = { rows: seamRows(METRICS), frames: [], atMs: 1_000 };
    const grown = METRICS.replace('status="2xx"} 96', 'status="2xx"} 104')
      .replace('status="5xx"} 1', 'status="5xx"} 3')
      .replace('_sum{operation="get_task"} 0.2', '_sum{operation="get_task"} 0.25')
      .replace('_count{operation="get_task"} 100', '_count{operation="get_task"} 110');
    const rate = ratesBetween(before, { rows: seamRows(grown), frames: [], atMs: 6_000 }).get("get_task");
    expect(rate).toMatchObject({ perSecond: 2, badShare: 0.2 });
    expect(rate?.meanMs).toBeCloseTo(5);
    const still = ratesBetween(before, { ...before, atMs: 6_000 }).get("get_task");
    expect(still).toEqual({ perSecond: 0, badShare: null, meanMs: null });
  });

  test("of a registry that was started again tell no rates", () => {
    const fresh = METRICS.replace('status="2xx"} 96', 'status="2xx"} 2');
    const [before, now] = [METRICS, fresh].map((text, i) => ({
      rows: seamRows(text),
      frames: [],
      atMs: i * 5_000,
    }));
    expect(before && now && ratesBetween(before, now).size).toBe(0);
  });

  test("tell the frames of sidecars by kind, and how many come now", () => {
    const text = (offers: number) =>
      `seamesh_signaling_frames_total{kind="offer"} ${offers}
seamesh_signaling_frames_total{kind="heartbeat"} 40
seamesh_signaling_frames_total{kind="goodbye"} 0
`;
    expect(frameRows(text(2))).toEqual([
      { kind: "heartbeat", frames: 40 },
      { kind: "offer", frames: 2 },
    ]);
    const at = (offers: number, atMs: number) => ({ rows: [], frames: frameRows(text(offers)), atMs });
    expect([...frameRates(at(2, 0), at(12, 5_000))]).toEqual([
      ["heartbeat", 0],
      ["offer", 2],
    ]);
    // A kind that was not there before began at nothing; one that went back means a new start.
    expect(frameRates(at(0, 0), at(5, 5_000)).get("offer")).toBe(1);
    expect(frameRates(at(12, 0), at(2, 5_000)).size).toBe(0);
  });
});

describe("statistics", () => {
  test("take the nearest rank, of what completed", () => {
    const took = (id: string, ms: number, state: "completed" | "failed" = "completed") =>
      task(id, { state, started_at: NOW_MS / 1000, updated_at: NOW_MS / 1000 + ms / 1000 });
    const stats = statsOf([
      took("a", 10),
      took("b", 20),
      took("c", 30),
      took("d", 9_000, "failed"),
      task("e"),
    ]);
    expect([stats.ended, stats.failed]).toEqual([4, 1]);
    expect(stats.p50Ms).toBeCloseTo(20, 1);
    expect(stats.p99Ms).toBeCloseTo(30, 1);
    expect(quantile([], 0.5)).toBeNull();
  });
});

describe("many deeds", () => {
  test("are done a few at a time, and one that fails stops no other", async () => {
    let [running, most] = [0, 0];
    const outcome = await inTurn(
      Array.from({ length: 20 }, (_, i) => i),
      async (i) => {
        most = Math.max(most, ++running);
        await Promise.resolve();
        running -= 1;
        if (i === 7) throw new Error("refused");
      },
      () => {},
    );
    expect(outcome.done).toBe(19);
    expect(outcome.failures.map((one) => one.message)).toEqual(["refused"]);
    expect(most).toBeLessThanOrEqual(4);
  });

  test("a task asked for again names the same work, and not its old asker or id", () => {
    const asked = again(
      task("t", { target_agent_id: "a", source_agent_id: "b", payload: { x: 1 }, root_id: "r" }),
    );
    expect(asked).toEqual({
      skill: "search",
      target_agent_id: "a",
      payload: { x: 1 },
      ttl: 300,
      max_attempts: 3,
      priority: 0,
    });
  });
});

describe("events", () => {
  const up = record(5, { type: "link_up", payload: { from_peer: "a", to_peer: "b" } });
  const changed = record(6, {
    type: "task_changed",
    payload: task("t-1", { state: "failed", error_code: "expired" }),
  });

  test("are told in words that name the task", () => {
    expect(told(changed)).toEqual({ what: "search is failed (expired)", task: "t-1", agents: [] });
    expect(told(up).what).toBe("link between a and b opened");
  });

  test("are filtered by kind and by any text within", () => {
    expect(filterEvents([up, changed], { kind: "link_up" })).toEqual([up]);
    expect(filterEvents([up, changed], { q: "EXPIRED" })).toEqual([changed]);
  });

  test("read from before join those that were seen, each once", () => {
    expect(joined([up, changed], [changed])).toEqual([up, changed]);
  });
});

describe("a talk", () => {
  test("keeps its last turns, and only what is one", () => {
    const turn = (id: number) => ({ task: `t${id}`, agent: "a", skill: "s", said: "x" });
    const many = Array.from({ length: MAX_TURNS + 3 }, (_, i) => turn(i)).reduce(
      withTurn,
      [] as ReturnType<typeof turnsOf>,
    );
    expect(many).toHaveLength(MAX_TURNS);
    expect(many.at(-1)?.task).toBe(`t${MAX_TURNS + 2}`);
    expect(turnsOf([turn(1), { task: 1 }, null, "x"])).toEqual([turn(1)]);
  });

  test("says a payload as a person did", () => {
    expect(saidIn({ question: "Why?" })).toBe("Why?");
    expect(saidIn({ a: 1, b: 2 })).toBe('{"a":1,"b":2}');
    expect(saidIn("plain")).toBe("plain");
  });
});

test("a role may what the ones below may, and a viewer nothing", () => {
  expect([
    may("viewer", "work"),
    may("operator", "work"),
    may("operator", "admit"),
    may("admin", "admit"),
  ]).toEqual([false, true, false, true]);
});

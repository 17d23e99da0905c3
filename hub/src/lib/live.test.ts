// The live mesh against a registry that the test plays: what the page knows after each thing that can happen to it.

import { describe, expect, test } from "vitest";
import type { Code, EventRecord, HubState } from "../generated/wire";
import { type Api, ApiError, createApi, type Fetch } from "./api";
import { type Connection, LiveMesh, SILENCE_MS, type Surroundings } from "./live";
import { agent, apiWith, NOW_MS, record, snapshot } from "./samples";

/** One opened stream, as the registry holds it. */
class Stream {
  readonly after: number;
  readonly response: Response;
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(after: number, signal: AbortSignal) {
    this.after = after;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.controller = controller;
        signal.addEventListener("abort", () => controller.error(new Error("aborted")));
      },
    });
    this.response = new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  text(text: string): void {
    this.controller?.enqueue(new TextEncoder().encode(text));
  }

  tell(...records: EventRecord[]): void {
    this.text(records.map((one) => `id: ${one.seq}\ndata: ${JSON.stringify(one)}\n\n`).join(""));
  }

  end(): void {
    this.controller?.close();
  }

  fail(): void {
    this.controller?.error(new Error("reset"));
  }
}

class World implements Surroundings {
  state: HubState = snapshot({ agents: [agent("a")] });
  clock = NOW_MS;
  snapshots = 0;
  /** What the next calls fail with, first come. */
  readonly failures: Error[] = [];
  readonly streams: Stream[] = [];
  readonly timers: { at: number; then: () => void }[] = [];
  readonly live: LiveMesh;
  readonly api: Api;
  private readonly checks = new Set<() => void>();

  constructor() {
    this.api = apiWith({
      snapshot: async () => {
        this.failNow();
        this.snapshots += 1;
        return { state: this.state, servedMs: this.clock };
      },
      events: async (after, signal) => {
        this.failNow();
        const stream = new Stream(after, signal);
        this.streams.push(stream);
        return stream.response;
      },
    });
    this.live = new LiveMesh(this);
  }

  now = () => this.clock;
  random = () => 0;
  after = (ms: number, then: () => void) => {
    const timer = { at: this.clock + ms, then };
    this.timers.push(timer);
    for (const check of [...this.checks]) check();
    return () => {
      const index = this.timers.indexOf(timer);
      if (index >= 0) this.timers.splice(index, 1);
    };
  };
  beforePaint = (then: () => void) => queueMicrotask(then);

  get stream(): Stream {
    const last = this.streams.at(-1);
    if (!last) throw new Error("no stream is open");
    return last;
  }

  /** Lets `ms` milliseconds pass, timers included. */
  pass(ms: number): void {
    this.clock += ms;
    for (const timer of this.timers.filter((one) => one.at <= this.clock)) {
      this.timers.splice(this.timers.indexOf(timer), 1);
      timer.then();
    }
  }

  /** Resolves when `holds` does, at some change of the view or with a timer that is set. */
  until(holds: (world: World) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!holds(this)) return;
        this.checks.delete(check);
        off();
        resolve();
      };
      const off = this.live.subscribe(check);
      this.checks.add(check);
      check();
    });
  }

  phase(phase: Connection["phase"]): Promise<void> {
    return this.until(({ live }) => live.read().connection.phase === phase);
  }

  names(): string[] {
    return [...(this.live.read().mesh?.agents.keys() ?? [])];
  }

  private failNow(): void {
    const failure = this.failures.shift();
    if (failure) throw failure;
  }
}

function refusal(status: number, code: Code): ApiError {
  return new ApiError(status, { code, detail: `refused: ${code}`, fault: "caller", retry: "never" });
}

async function started(): Promise<World> {
  const world = new World();
  world.live.start();
  await world.phase("live");
  return world;
}

const ARRIVES = (seq: number, name: string) =>
  record(seq, { type: "agent_registered", payload: agent(name) });

describe("while the registry is there", () => {
  test("the snapshot is shown, and the stream is asked for after its number", async () => {
    const world = await started();
    expect(world.names()).toEqual(["a"]);
    expect(world.stream.after).toBe(10);
  });

  test("an event changes what is shown", async () => {
    const world = await started();
    world.stream.tell(ARRIVES(11, "b"));
    await world.until((w) => w.names().includes("b"));
    expect(world.snapshots).toBe(1);
  });

  test("an event that makes no sense is counted, and the next one is taken", async () => {
    const world = await started();
    world.stream.text('data: {"seq":11,"at_ms":1,"event":{"type":"agent_teleported"}}\n\ndata: nonsense\n\n');
    world.stream.tell(ARRIVES(12, "b"));
    await world.until((w) => w.names().includes("b"));
    expect(world.live.read().refused).toBe(2);
    expect(world.live.read().connection.phase).toBe("live");
  });
});

describe("when the stream is cut", () => {
  test("the page says since when, keeps what it has, and resumes after the last number", async () => {
    const world = await started();
    world.stream.tell(ARRIVES(11, "b"));
    await world.until((w) => w.names().includes("b"));
    world.clock += 60_000;
    world.stream.fail();
    await world.phase("cut");
    expect(world.live.read().connection).toMatchObject({ sinceMs: NOW_MS + 60_000 });
    expect(world.names()).toEqual(["a", "b"]);
    world.pass(10_000);
    await world.phase("live");
    expect(world.stream.after).toBe(11);
    expect(world.snapshots).toBe(1);
  });

  test("an end in good order is a cut too", async () => {
    const world = await started();
    world.stream.end();
    await world.phase("cut");
  });

  test("the age counts from the first failure, however many follow", async () => {
    const world = await started();
    world.failures.push(new TypeError("refused"), new TypeError("refused"));
    world.stream.fail();
    await world.phase("cut");
    for (let tries = 0; tries < 2; tries++) {
      const before = world.failures.length;
      world.pass(10_000);
      await world.until((w) => w.failures.length < before && w.timers.length > 0);
    }
    expect(world.live.read().connection).toMatchObject({ phase: "cut", sinceMs: NOW_MS });
  });

  test("waking tries at once", async () => {
    const world = await started();
    world.stream.fail();
    await world.phase("cut");
    await world.until((w) => w.timers.length > 0);
    world.live.wake();
    await world.phase("live");
    expect(world.clock).toBe(NOW_MS);
  });

  test("silence of a stream that sent keep-alives is a cut", async () => {
    const world = await started();
    world.stream.text(": keep-alive\n\n");
    world.stream.tell(ARRIVES(11, "b"));
    await world.until((w) => w.names().includes("b"));
    world.pass(SILENCE_MS);
    await world.phase("cut");
  });
});

describe("when the number is too old", () => {
  test("the snapshot is loaded anew, without a pause", async () => {
    const world = await started();
    world.state = snapshot({ seq: 500, agents: [agent("c")] });
    world.stream.fail();
    await world.phase("cut");
    world.failures.push(refusal(410, "events_gone"));
    await world.until((w) => w.timers.length > 0);
    world.live.wake();
    await world.until((w) => w.failures.length === 0);
    await world.until((w) => {
      w.live.wake();
      return w.names().includes("c") && w.live.read().connection.phase === "live";
    });
    expect(world.names()).toEqual(["c"]);
    expect(world.stream.after).toBe(500);
  });
});

describe("when the registry refuses", () => {
  test("an ended session is told, what is shown stays, and a login goes on from there", async () => {
    const world = await started();
    world.failures.push(refusal(401, "unauthorized"));
    world.stream.end();
    await world.phase("cut");
    await world.until((w) => w.timers.length > 0);
    world.live.wake();
    await world.phase("unauthorized");
    expect(world.names()).toEqual(["a"]);
    world.live.start();
    await world.phase("live");
    expect(world.stream.after).toBe(10);
    expect(world.snapshots).toBe(1);
  });

  test("a role that may not watch is told why, and is not tried again", async () => {
    const world = new World();
    world.failures.push(refusal(403, "forbidden"));
    world.live.start();
    await world.phase("forbidden");
    expect(world.live.read().connection).toMatchObject({ detail: "refused: forbidden" });
    expect(world.timers).toEqual([]);
  });

  test("after a logout nothing of what was seen is left", async () => {
    const world = await started();
    world.live.clear();
    expect(world.live.read().mesh).toBeNull();
    expect(world.live.read().connection.phase).toBe("loading");
  });
});

describe("the API", () => {
  const answering =
    (status: number, body: string): Fetch =>
    async () =>
      new Response(body, { status });

  test("a refusal carries the problem the registry named", async () => {
    const problem = { code: "forbidden", detail: "not you", fault: "caller", retry: "never" };
    const error = await createApi(answering(403, JSON.stringify(problem)))
      .session()
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).is("forbidden")).toBe(true);
    expect((error as ApiError).message).toBe("not you");
  });

  test("a refusal by something else than the registry is still one", async () => {
    const error = await createApi(answering(502, "<html>bad gateway</html>"))
      .session()
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ status: 502, problem: null, message: "the registry answered 502" });
  });

  test("an answer of the wrong shape is refused", async () => {
    await expect(createApi(answering(200, '{"peer_id":"a"}')).session()).rejects.toThrow("role");
    await expect(createApi(answering(200, "<html>")).session()).rejects.toThrow("not JSON");
  });

  test("a task is asked for by its id, whatever the address bar held", async () => {
    const asked: string[] = [];
    const fetch: Fetch = async (path) => {
      asked.push(path);
      return new Response("{}", { status: 404 });
    };
    await createApi(fetch)
      .task("../session?x")
      .catch(() => undefined);
    expect(asked).toEqual(["/api/hub/tasks/..%2Fsession%3Fx"]);
  });
});

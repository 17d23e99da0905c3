// The live mesh: a snapshot, then the event stream after it, for as long as the page is open. When the stream is cut
// it is resumed by number; when the registry no longer holds that number, the snapshot is loaded anew.

import type { EventRecord, Task } from "../generated/wire";
import { type Api, ApiError, isForbidden, isUnauthorized } from "./api";
import { backoffMs } from "./backoff";
import { WireError } from "./check";
import { applyEvents, fromSnapshot, type MeshState, withOlder } from "./mesh-state";
import { type SseBatch, type SseEvent, SseParser } from "./sse";
import { parseEventRecord } from "./wire-check";

export type Connection =
  | { readonly phase: "loading" }
  | { readonly phase: "live" }
  /** What is shown was true at `sinceMs`, by the registry's clock. */
  | { readonly phase: "cut"; readonly sinceMs: number; readonly reason: string }
  | { readonly phase: "unauthorized" }
  | { readonly phase: "forbidden"; readonly detail: string };

export interface LiveView {
  readonly mesh: MeshState | null;
  readonly connection: Connection;
  /** Events that were refused as malformed since the page opened. */
  readonly refused: number;
  /** Milliseconds the registry's clock is ahead of the browser's. */
  readonly skewMs: number;
}

/** What the world outside gives: nothing below reads a clock, a timer or a random number by itself. */
export interface Surroundings {
  readonly api: Api;
  now(): number;
  random(): number;
  /** Runs `then` after `ms` milliseconds; answers how to call it off. */
  after(ms: number, then: () => void): () => void;
  /** Runs `then` before the next picture is drawn. */
  beforePaint(then: () => void): void;
}

/** Milliseconds of silence after which a stream that sends keep-alives counts as dead: three of them, at 15 s each. */
export const SILENCE_MS = 45_000;

/** Most events that wait for the next picture: a burst after a long cut is applied in pieces of this size. */
const MAX_WAITING = 5_000;

/** Clock differences below this are the rounding of the `Date` header and the way there, milliseconds. */
const SKEW_NOISE_MS = 3_000;

const INITIAL: LiveView = { mesh: null, connection: { phase: "loading" }, refused: 0, skewMs: 0 };

export class LiveMesh {
  private view: LiveView = INITIAL;
  private waiting: EventRecord[] = [];
  private run: AbortController | undefined;
  private wakeUp: (() => void) | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly world: Surroundings;

  constructor(world: Surroundings) {
    this.world = world;
  }

  /** What to show now. The same object until something changes. */
  readonly read = (): LiveView => this.view;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Starts, or starts again after a login: what is shown stays until fresher news is here. */
  start(): void {
    this.stop();
    const run = new AbortController();
    this.run = run;
    void this.follow(run.signal);
  }

  stop(): void {
    this.run?.abort();
    this.wakeUp?.();
    this.run = undefined;
  }

  /** Forgets all: what one person saw is not shown to the next. */
  clear(): void {
    this.stop();
    this.waiting = [];
    this.set(INITIAL);
  }

  /** Tries at once instead of waiting: the network is back, or somebody looks. */
  wake(): void {
    this.wakeUp?.();
  }

  /** Takes in tasks from further back than what the snapshot had. */
  adopt(older: readonly Task[]): void {
    const { mesh } = this.view;
    if (mesh) this.set({ ...this.view, mesh: withOlder(mesh, older) });
  }

  private async follow(signal: AbortSignal): Promise<void> {
    let failures = 0;
    let fresh = this.view.mesh !== null && this.view.connection.phase !== "cut";
    while (!signal.aborted) {
      try {
        if (!fresh) await this.load(signal);
        fresh = true;
        await this.stream(signal, () => {
          failures = 0;
        });
        this.cut("The registry closed the event stream.", signal);
      } catch (error) {
        if (signal.aborted) return;
        if (this.refusedForGood(error)) return;
        if (error instanceof ApiError && error.is("events_gone")) {
          fresh = false;
          if (failures === 0) {
            failures = 1;
            continue;
          }
        }
        this.cut(reasonOf(error), signal);
      }
      failures += 1;
      await this.pause(backoffMs(failures, this.world.random()), signal);
    }
  }

  private refusedForGood(error: unknown): boolean {
    if (isUnauthorized(error)) this.set({ ...this.view, connection: { phase: "unauthorized" } });
    else if (isForbidden(error)) {
      this.set({ ...this.view, connection: { phase: "forbidden", detail: error.message } });
    } else return false;
    return true;
  }

  private async load(signal: AbortSignal): Promise<void> {
    const { state, servedMs } = await this.world.api.snapshot(signal);
    if (signal.aborted) return;
    const skew = servedMs === null ? 0 : servedMs - this.world.now();
    this.waiting = [];
    this.set({
      ...this.view,
      mesh: fromSnapshot(state),
      skewMs: Math.abs(skew) < SKEW_NOISE_MS ? 0 : skew,
    });
  }

  /** Follows the stream until it ends. `opened` is called once it runs. */
  private async stream(signal: AbortSignal, opened: () => void): Promise<void> {
    const inner = new AbortController();
    const abort = () => inner.abort();
    signal.addEventListener("abort", abort);
    try {
      const response = await this.world.api.events(this.lastSeq(), inner.signal);
      if (signal.aborted) return;
      opened();
      this.set({ ...this.view, connection: { phase: "live" } });
      await this.consume(response, inner);
    } finally {
      signal.removeEventListener("abort", abort);
      inner.abort();
    }
  }

  private async consume(response: Response, inner: AbortController): Promise<void> {
    if (!response.body) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new SseParser();
    let callOff = () => {};
    let keptAlive = false;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        callOff();
        if (done) return;
        const batch: SseBatch = parser.push(value);
        for (const event of batch.events) this.take(event);
        keptAlive ||= batch.comments > 0;
        // Only a server that is known to send keep-alives can be recognised as gone by its silence.
        if (keptAlive) callOff = this.world.after(SILENCE_MS, () => inner.abort());
      }
    } finally {
      callOff();
    }
  }

  private take(event: SseEvent): void {
    if (event.name === "events_gone") throw gone(event.data);
    try {
      const record = parseEventRecord(event.data);
      this.waiting.push(record);
      if (this.waiting.length === 1) this.world.beforePaint(() => this.flush());
      if (this.waiting.length >= MAX_WAITING) this.flush();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.set({ ...this.view, refused: this.view.refused + 1 });
    }
  }

  private flush(): void {
    const records = this.waiting;
    this.waiting = [];
    const { mesh } = this.view;
    if (!mesh || records.length === 0) return;
    const next = applyEvents(mesh, records);
    if (next !== mesh) this.set({ ...this.view, mesh: next });
  }

  private lastSeq(): number {
    return this.waiting.at(-1)?.seq ?? this.view.mesh?.seq ?? 0;
  }

  private cut(reason: string, signal: AbortSignal): void {
    if (signal.aborted) return;
    const { connection, mesh } = this.view;
    // A page that never loaded is not stale, it is empty: the banner still says why.
    const since =
      connection.phase === "cut" && mesh ? connection.sinceMs : this.world.now() + this.view.skewMs;
    this.set({ ...this.view, connection: { phase: "cut", sinceMs: since, reason } });
  }

  private pause(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const callOff = this.world.after(ms, () => this.wakeUp?.());
      this.wakeUp = () => {
        this.wakeUp = undefined;
        callOff();
        resolve();
      };
    });
  }

  private set(view: LiveView): void {
    this.view = view;
    for (const listener of this.listeners) listener();
  }
}

function gone(data: string): ApiError {
  return new ApiError(410, {
    code: "events_gone",
    detail: data,
    fault: "caller",
    retry: "never",
  });
}

function reasonOf(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  if (error instanceof WireError) return `The registry's answer was not understood: ${error.message}.`;
  return "The registry cannot be reached.";
}

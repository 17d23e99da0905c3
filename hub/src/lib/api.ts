// The registry's HTTP API as the hub calls it. Every answer is checked before the page sees it.

import type { Code, HubState, Problem, SessionAnswer, SessionBody, Task } from "../generated/wire";
import { parseJson } from "./check";
import { type Reader, readHubState, readProblem, readSession, readTask } from "./wire-check";

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** A refusal by the registry. `problem` is missing when the answer was none of ours (a proxy's page, for one). */
export class ApiError extends Error {
  readonly status: number;
  readonly problem: Problem | null;

  constructor(status: number, problem: Problem | null) {
    super(problem?.detail ?? `the registry answered ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.problem = problem;
  }

  is(code: Code): boolean {
    return this.problem?.code === code;
  }
}

/** Whether the credential is missing or over. */
export function isUnauthorized(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}

/** Whether the credential is good, but not for this. */
export function isForbidden(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 403;
}

export interface Snapshot {
  readonly state: HubState;
  /** The registry's clock when it answered, Unix milliseconds; `null` when it did not say. */
  readonly servedMs: number | null;
}

export interface Api {
  session(signal?: AbortSignal): Promise<SessionAnswer>;
  login(body: SessionBody): Promise<SessionAnswer>;
  logout(): Promise<void>;
  snapshot(signal?: AbortSignal): Promise<Snapshot>;
  task(id: string, signal?: AbortSignal): Promise<Task>;
  /** The open event stream after event `seq`: its answer has a body that is still arriving. */
  events(seq: number, signal: AbortSignal): Promise<Response>;
}

export function createApi(fetch: Fetch): Api {
  const call = async (path: string, init: RequestInit): Promise<Response> => {
    const response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...init });
    if (!response.ok) throw new ApiError(response.status, await problemOf(response));
    return response;
  };
  const read = async <T>(path: string, as: Reader<T>, init: RequestInit): Promise<T> =>
    as(parseJson(await (await call(path, init)).text()));

  return {
    session: (signal) => read("/api/session", readSession, until(signal)),
    login: (body) => read("/api/session", readSession, post(body)),
    logout: async () => {
      await call("/api/session", { method: "DELETE" });
    },
    snapshot: async (signal) => {
      const response = await call("/api/hub/state", until(signal));
      const date = Date.parse(response.headers.get("date") ?? "");
      const state = readHubState(parseJson(await response.text()));
      return { state, servedMs: Number.isNaN(date) ? null : date };
    },
    task: (id, signal) => read(`/api/hub/tasks/${encodeURIComponent(id)}`, readTask, until(signal)),
    events: (seq, signal) =>
      call(`/api/events?after=${seq}`, { signal, headers: { accept: "text/event-stream" } }),
  };
}

function until(signal: AbortSignal | undefined): RequestInit {
  return signal ? { signal } : {};
}

function post(body: SessionBody): RequestInit {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

async function problemOf(response: Response): Promise<Problem | null> {
  try {
    return readProblem(parseJson(await response.text()));
  } catch {
    return null;
  }
}

// The registry's HTTP API as the hub calls it. Every answer is checked before the page sees it.

import {
  type Answer,
  type ApproveAnswer,
  type AuditPage,
  type AuditQuery,
  type ChunkPage,
  type ChunksQuery,
  type Code,
  type HealthAnswer,
  type HubState,
  type IceConfig,
  type InviteAnswer,
  type KeyAnswer,
  type KeyBody,
  type KeyRecord,
  MAX_PAGE,
  type OnboardingEntry,
  type PasswordBody,
  type Problem,
  ROUTES,
  type SessionAnswer,
  type SessionBody,
  type SessionRecord,
  type Settings,
  type SubmitAnswer,
  type SubmitTask,
  type Task,
  type TaskHistory,
  type TaskPage,
  type TaskQuery,
} from "../generated/wire";
import { parseJson } from "./check";
import {
  type Reader,
  readApproveAnswer,
  readAuditPage,
  readChunkPage,
  readHealth,
  readHubState,
  readIceConfig,
  readInviteAnswer,
  readKeyAnswer,
  readKeys,
  readNewcomers,
  readOk,
  readProblem,
  readSession,
  readSessions,
  readSettings,
  readSubmitAnswer,
  readTask,
  readTaskHistory,
  readTaskPage,
} from "./wire-check";

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
  setPassword(body: PasswordBody): Promise<void>;
  /** Every dashboard session, newest first. */
  sessions(signal?: AbortSignal): Promise<SessionRecord[]>;
  endSession(id: string): Promise<void>;
  /** How the registry was started, and how much it takes of one caller. */
  settings(signal?: AbortSignal): Promise<Settings>;
  snapshot(signal?: AbortSignal): Promise<Snapshot>;
  task(id: string, signal?: AbortSignal): Promise<Task>;
  /** One page of a task's history, after event `after`. */
  history(id: string, after: number, signal?: AbortSignal): Promise<TaskHistory>;
  /** The next chunks that a task's handler streams; waits for them. */
  chunks(id: string, query: ChunksQuery, signal: AbortSignal): Promise<ChunkPage>;
  tasks(query: TaskQuery, signal?: AbortSignal): Promise<TaskPage>;
  submit(task: SubmitTask): Promise<SubmitAnswer>;
  cancel(id: string): Promise<void>;
  answer(id: string, answer: Answer): Promise<void>;
  /** Every newcomer, decided or not. */
  newcomers(signal?: AbortSignal): Promise<OnboardingEntry[]>;
  invite(): Promise<InviteAnswer>;
  approve(id: string): Promise<ApproveAnswer>;
  reject(id: string): Promise<void>;
  revoke(id: string): Promise<void>;
  keys(signal?: AbortSignal): Promise<KeyRecord[]>;
  createKey(body: KeyBody): Promise<KeyAnswer>;
  revokeKey(id: string): Promise<void>;
  removeAgent(id: string): Promise<void>;
  /** One page of the audit. */
  audit(query: AuditQuery, signal?: AbortSignal): Promise<AuditPage>;
  health(signal?: AbortSignal): Promise<HealthAnswer>;
  iceConfig(signal?: AbortSignal): Promise<IceConfig>;
  /** In the Prometheus text format. */
  metrics(signal?: AbortSignal): Promise<string>;
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
  const done = async (path: string, method: "POST" | "DELETE", body?: unknown): Promise<void> => {
    await read(path, readOk, body === undefined ? { method } : post(body));
  };

  return {
    session: (signal) => read("/api/session", readSession, until(signal)),
    login: (body) => read("/api/session", readSession, post(body)),
    logout: () => done("/api/session", "DELETE"),
    sessions: (signal) => read(ROUTES.list_sessions.path, readSessions, until(signal)),
    endSession: (id) => done(at(ROUTES.end_session.path, id), "DELETE"),
    settings: (signal) => read(ROUTES.settings.path, readSettings, until(signal)),
    setPassword: (body) => done(ROUTES.set_password.path, "POST", body),
    snapshot: async (signal) => {
      const response = await call("/api/hub/state", until(signal));
      const date = Date.parse(response.headers.get("date") ?? "");
      const state = readHubState(parseJson(await response.text()));
      return { state, servedMs: Number.isNaN(date) ? null : date };
    },
    task: (id, signal) => read(at(ROUTES.get_task.path, id), readTask, until(signal)),
    history: (id, after, signal) =>
      read(
        `${at(ROUTES.task_history.path, id)}${queryOf({ after, limit: MAX_PAGE })}`,
        readTaskHistory,
        until(signal),
      ),
    chunks: (id, query, signal) =>
      read(`${at(ROUTES.task_chunks.path, id)}${queryOf({ ...query })}`, readChunkPage, until(signal)),
    tasks: (query, signal) =>
      read(`${ROUTES.list_tasks.path}${queryOf({ ...query })}`, readTaskPage, until(signal)),
    submit: (task) => read(ROUTES.submit_task.path, readSubmitAnswer, post(task)),
    cancel: (id) => done(at(ROUTES.cancel_task.path, id), "POST"),
    answer: (id, answer) => done(at(ROUTES.answer_task.path, id), "POST", answer),
    newcomers: (signal) => read(ROUTES.list_pairing.path, readNewcomers, until(signal)),
    invite: () => read(ROUTES.create_invite.path, readInviteAnswer, { method: "POST" }),
    approve: (id) => read(at(ROUTES.approve.path, id), readApproveAnswer, { method: "POST" }),
    reject: (id) => done(at(ROUTES.reject.path, id), "POST"),
    revoke: (id) => done(at(ROUTES.revoke.path, id), "POST"),
    keys: (signal) => read(ROUTES.list_keys.path, readKeys, until(signal)),
    createKey: (body) => read(ROUTES.create_key.path, readKeyAnswer, post(body)),
    revokeKey: (id) => done(at(ROUTES.revoke_key.path, id), "DELETE"),
    removeAgent: (id) => done(at(ROUTES.remove_agent.path, id), "DELETE"),
    audit: ({ newest, ...query }, signal) =>
      read(
        `${ROUTES.list_audit.path}${queryOf({ ...query, newest: newest ? "true" : undefined })}`,
        readAuditPage,
        until(signal),
      ),
    health: (signal) => read(ROUTES.health.path, readHealth, until(signal)),
    iceConfig: (signal) => read(ROUTES.ice_config.path, readIceConfig, until(signal)),
    metrics: async (signal) => (await call(ROUTES.metrics.path, until(signal))).text(),
    events: (seq, signal) =>
      call(`/api/events?after=${seq}`, { signal, headers: { accept: "text/event-stream" } }),
  };
}

/** The path with its one parameter filled in. */
function at(path: string, id: string): string {
  return path.replace(/\{\w+\}/, encodeURIComponent(id));
}

function queryOf(values: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(values).flatMap(([key, value]) =>
    value === undefined || value === "" ? [] : [[key, String(value)]],
  );
  return given.length > 0 ? `?${new URLSearchParams(given)}` : "";
}

function until(signal: AbortSignal | undefined): RequestInit {
  return signal ? { signal } : {};
}

function post(body: unknown): RequestInit {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

async function problemOf(response: Response): Promise<Problem | null> {
  try {
    return readProblem(parseJson(await response.text()));
  } catch {
    return null;
  }
}

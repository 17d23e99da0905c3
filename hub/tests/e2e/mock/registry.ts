// A registry for the states a live mesh does not stay in: a small HTTP server that serves the built page and speaks the
// real shapes of REST and event stream. The test decides what happened and when the stream is cut.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import type {
  AgentRecord,
  AuditRecord,
  Code,
  EventRecord,
  HubState,
  KeyRecord,
  MeshEdge,
  MeshEvent,
  OnboardingEntry,
  SessionAnswer,
  SessionRecord,
  Settings,
  SubmitTask,
  Task,
} from "../../../src/generated/wire";

const DIST = fileURLToPath(new URL("../../../dist/", import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};
/** The policy the registry serves its page under. */
const PAGE_POLICY =
  "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const METRICS = [
  ["submit_task", 4_212, 31, 0, 0.0009],
  ["get_task", 1_902, 12, 0, 0.0003],
  ["heartbeat", 860, 0, 0, 0.0006],
  ["list_tasks", 214, 3, 1, 0.0041],
  ["hub_state", 12, 0, 0, 0.0022],
  ["session", 9, 2, 0, 0.0002],
]
  .map(
    ([
      operation,
      ok,
      refused,
      failed,
      seconds,
    ]) => `seamesh_http_requests_total{operation="${operation}",status="2xx"} ${ok}
seamesh_http_requests_total{operation="${operation}",status="4xx"} ${refused}
seamesh_http_requests_total{operation="${operation}",status="5xx"} ${failed}
seamesh_http_request_seconds_bucket{operation="${operation}",le="0.001"} ${Number(ok) / 2}
seamesh_http_request_seconds_bucket{operation="${operation}",le="0.005"} ${ok}
seamesh_http_request_seconds_sum{operation="${operation}"} ${Number(ok) * Number(seconds)}
seamesh_http_request_seconds_count{operation="${operation}"} ${ok}
`,
  )
  .join("")
  .concat(
    'seamesh_signaling_frames_total{kind="heartbeat"} 2180\nseamesh_signaling_frames_total{kind="candidate"} 64\nseamesh_signaling_frames_total{kind="offer"} 10\nseamesh_signaling_frames_total{kind="goodbye"} 0\nseamesh_signaling_sockets 6\nseamesh_signaling_sockets_overflowed_total 0\nseamesh_signaling_frames_refused_total 2\nseamesh_store_failures_total 0\nseamesh_waits 1\n',
  );
const COOKIE = "seamesh_session=s1";

/** What the page asked the registry to do. */
export interface Deed {
  readonly route: string;
  readonly body: unknown;
}

export interface Contents {
  /** Who waits for approval. */
  readonly newcomers?: readonly OnboardingEntry[];
  /** What happened before the page was opened: the history of its tasks. */
  readonly history?: readonly EventRecord[];
  /** Tasks that the snapshot leaves out: what is further back. */
  readonly older?: readonly Task[];
  readonly agents?: readonly AgentRecord[];
  readonly tasks?: readonly Task[];
  readonly links?: readonly MeshEdge[];
}

const SETTINGS: Settings = {
  tls: "self_made",
  root: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
  root_is_here: true,
  has_key_file: false,
  takes_url_token: false,
  tells_traces: true,
  keep_ended_s: 30 * 24 * 3600,
  keep_events: 100_000,
  max_sessions: 10_000,
  max_keys: 10_000,
  connections_per_address: 8_192,
  requests: { per_second: 2_000, burst: 20_000 },
  open_requests: { per_second: 100, burst: 5_000 },
  frames: { per_second: 20_000, burst: 40_000 },
  socket_idle_ms: 45_000,
};

function loggedIn(): SessionRecord[] {
  const told: readonly (readonly [string, SessionRecord["role"], string, number])[] = [
    ["admin", "admin", "password", 12],
    ["kim", "operator", "key-8c1f02aa9b3e", 95],
    ["admin", "admin", "first-login", 340],
  ];
  return told.map(([peer_id, role, credential, minutes], i) => {
    const began_ms = Date.now() - minutes * 60_000;
    const one = { session_id: `session-${i}`, peer_id, role, credential, began_ms };
    return { ...one, expires_ms: began_ms + 12 * 3_600_000, ...(i === 0 ? { is_own: true } : {}) };
  });
}

/** Some decisions, each sealed to the one before as the registry seals them. */
function decisions(): AuditRecord[] {
  const told: readonly (readonly [string, string, string, string])[] = [
    ["key_made", "admin", "k2", "for peer-librarian, agent"],
    ["login_refused", "", "", "a wrong password"],
    ["newcomer_approved", "admin", "n0", "peer-reader"],
    ["login", "admin", "", "by link"],
  ];
  let prev = "0".repeat(64);
  return told.map(([action, by, about, detail], i) => {
    const who = by ? { role: "admin" as const, credential: "k1" } : { credential: "" };
    const bare = { n: i + 1, at_ms: 1_763_800_000_000 + i * 60_000, action, by, ...who };
    const sealed = { ...bare, from: "127.0.0.1", about, detail, prev };
    prev = createHash("sha256").update(JSON.stringify(sealed)).digest("hex");
    return { ...sealed, hash: prev };
  });
}

export class MockRegistry {
  readonly apiKey = "key-of-the-test";
  readonly loginCode = "code-of-the-test";
  /** Whom a login names. */
  session: SessionAnswer = { peer_id: "admin", role: "admin" };
  /** Whether the session's role may watch. */
  mayWatch = true;
  /** Requests for the snapshot so far. */
  snapshots = 0;
  /** The `after` of every stream that was opened. */
  readonly resumedAfter: number[] = [];
  /** What changes something, first first. */
  readonly deeds: Deed[] = [];
  /** Routes that are refused: the reason by route. */
  readonly refusals = new Map<string, string>();

  private readonly newcomers: OnboardingEntry[];
  private readonly keys: KeyRecord[] = [
    { key_id: "k1", peer_id: "admin", role: "admin", created_ms: 1_763_800_000_000 },
    { key_id: "k2", peer_id: "peer-librarian", role: "agent", created_ms: 1_763_800_600_000 },
  ];
  /** Who is logged in. */
  sessions: SessionRecord[] = loggedIn();
  /** How it says that it was started. */
  settings: Settings = SETTINGS;
  /** What `/metrics` answers. */
  metrics = METRICS;
  /** What was decided, oldest first. */
  audit: AuditRecord[] = decisions();
  private submitted = 0;

  private readonly tasks = new Map<string, Task>();
  private readonly log: EventRecord[] = [];
  private readonly past: EventRecord[];
  private state: HubState;
  private oldestKept = 0;
  private loggedIn = false;
  private refusing = false;
  private readonly streams = new Set<ServerResponse>();
  private readonly server: Server;

  private constructor(contents: Contents) {
    this.state = {
      seq: 100,
      agents: [...(contents.agents ?? [])],
      tasks: (contents.tasks ?? []).map(withoutBodies),
      links: [...(contents.links ?? [])],
      newcomers: [...(contents.newcomers ?? [])],
    };
    for (const task of [...(contents.tasks ?? []), ...(contents.older ?? [])]) this.tasks.set(task.id, task);
    this.newcomers = [...(contents.newcomers ?? [])];
    this.past = [...(contents.history ?? [])];
    this.server = createServer((request, response) => void this.answer(request, response));
  }

  static async start(contents: Contents = {}): Promise<MockRegistry> {
    const registry = new MockRegistry(contents);
    await new Promise<void>((resolve) => registry.server.listen(0, "127.0.0.1", resolve));
    return registry;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get loginUrl(): string {
    return `${this.url}/#login=${this.loginCode}`;
  }

  /** Something happened: it is in the log, and told to everybody who watches. */
  happen(event: MeshEvent, bodies?: Task, at_ms = Date.now()): void {
    const record = { seq: this.lastSeq() + 1, at_ms, event };
    this.log.push(record);
    if (bodies) this.tasks.set(bodies.id, bodies);
    for (const stream of this.streams) write(stream, record);
  }

  taskChanged(task: Task): void {
    this.happen({ type: "task_changed", payload: withoutBodies(task) }, task);
  }

  /** The task's agent answers. */
  finish(id: string, result: unknown): void {
    const task = this.tasks.get(id);
    const over = {
      state: "completed",
      result,
      attempt: 1,
      assigned_agent_id: task?.target_agent_id ?? "",
    } as const;
    this.change(id, { ...over, started_at: (task?.created_at ?? 0) + 0.01 });
  }

  /** Ten minutes in which work came and went, told at once. */
  minutesOfWork(): void {
    const done = this.state.tasks.filter((task) => task.state === "completed" || task.state === "failed");
    for (let step = 0; step < 120; step++) {
      for (let i = 0; i < 3 + ((step * step) % 7); i++) {
        const task = done[(step + i) % done.length];
        const at_ms = Date.now() - (120 - step) * 5_000;
        if (task && (task.state === "completed" || step % 29 === 5)) {
          this.happen({ type: "task_changed", payload: withoutBodies(task) }, undefined, at_ms);
        }
      }
    }
  }

  /** Sends text as it is, whatever it is. */
  sendRaw(text: string): void {
    for (const stream of this.streams) stream.write(text);
  }

  /** The stream breaks, and the registry cannot be reached until `heal`. */
  cut(): void {
    this.refusing = true;
    for (const stream of this.streams) stream.destroy();
    this.streams.clear();
  }

  /** It is back; with `replaced` the events so far are gone and this is how things stand. */
  heal(replaced?: Contents): void {
    this.refusing = false;
    if (!replaced) return;
    const seq = this.lastSeq() + 50;
    this.oldestKept = seq;
    this.log.length = 0;
    this.state = {
      seq,
      agents: [...(replaced.agents ?? [])],
      tasks: (replaced.tasks ?? []).map(withoutBodies),
      links: [...(replaced.links ?? [])],
      newcomers: [...(replaced.newcomers ?? [])],
    };
  }

  /** Every session ends at once. */
  endSessions(): void {
    this.loggedIn = false;
    for (const stream of this.streams) stream.end();
    this.streams.clear();
  }

  async close(): Promise<void> {
    for (const stream of this.streams) stream.destroy();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private lastSeq(): number {
    return this.log.at(-1)?.seq ?? this.state.seq;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.url);
    response.setHeader("content-security-policy", PAGE_POLICY);
    if (url.pathname === "/healthz") return json(response, { status: "ok", version: "0.1.0" });
    if (url.pathname === "/metrics") return text(response, this.metrics);
    if (!url.pathname.startsWith("/api/"))
      return this.file(url.pathname, response, (request.headers["accept-encoding"] ?? "").includes("br"));
    if (this.refusing) return void request.socket.destroy();
    const route = `${request.method} ${url.pathname}`;
    if (route === "POST /api/session") return this.login(await body(request), response);
    if (!this.loggedIn || !(request.headers.cookie ?? "").includes(COOKIE)) {
      return refuse(response, 401, "unauthorized", "Log in first.");
    }
    if (route === "GET /api/session") return json(response, this.session);
    if (route === "DELETE /api/session") {
      this.loggedIn = false;
      return json(response, { status: "ok" });
    }
    if (!this.mayWatch) return refuse(response, 403, "forbidden", "The role agent may not watch.");
    if (route === "GET /api/hub/state") return this.snapshot(response);
    if (route === "GET /api/events") return this.events(Number(url.searchParams.get("after")), response);
    const refusal = this.refusals.get(route.replace(/t-[\w-]+/, "*"));
    if (refusal) return refuse(response, 403, "forbidden", refusal);
    if (request.method !== "GET") return this.deed(route, await body(request), response);
    if (url.pathname === "/api/hub/tasks") return this.list(url.searchParams, response);
    if (url.pathname === "/api/pairing/all") return json(response, this.newcomers);
    if (url.pathname === "/api/audit") return json(response, { records: [...this.audit].reverse() });
    if (url.pathname === "/api/keys") return json(response, this.keys);
    if (url.pathname === "/api/sessions") return json(response, this.sessions);
    if (url.pathname === "/api/hub/settings") return json(response, this.settings);
    if (url.pathname === "/api/config")
      return json(response, { iceServers: [{ urls: ["stun:stun.example:3478"] }] });
    if (url.pathname.endsWith("/chunks")) {
      return refuse(response, 409, "not_streamed", "Whoever asked for this task takes no chunks.");
    }
    const [, id = "", rest] = /^\/api\/hub\/tasks\/([^/]+)(\/history)?$/.exec(url.pathname) ?? [];
    if (rest) return this.history(decodeURIComponent(id), Number(url.searchParams.get("after")), response);
    return this.task(decodeURIComponent(id), response);
  }

  /** Whatever changes something is written down, and done as far as a page can see it. */
  private async deed(route: string, text: string, response: ServerResponse): Promise<void> {
    const asked: unknown = text ? JSON.parse(text) : undefined;
    this.deeds.push({ route, body: asked });
    const id = route.split("/").at(-2) ?? "";
    if (route === "POST /api/hub/tasks") return this.submit(asked as SubmitTask, response);
    if (route === "POST /api/pairing/generate-code")
      return json(response, { code: "invite-of-the-test", expires_in: 300 });
    if (route === "POST /api/keys") {
      const { peer_id, role } = asked as KeyRecord;
      this.keys.push({ key_id: "k3", peer_id, role, created_ms: Date.now() });
      return json(response, { key_id: "k3", api_key: "secret-of-the-test", peer_id, role });
    }
    if (route.startsWith("DELETE /api/sessions/"))
      this.sessions = this.sessions.filter((one) => !route.endsWith(`/${one.session_id}`));
    if (route.endsWith("/cancel")) this.change(id, { state: "canceled", error: "canceled by admin" });
    if (route.endsWith("/input")) this.change(id, { state: "assigned" }, "question");
    if (route.startsWith("POST /api/pairing/")) return this.decide(id, route.endsWith("/approve"), response);
    json(response, { status: "ok" });
  }

  private submit(asked: SubmitTask, response: ServerResponse): void {
    this.submitted += 1;
    const [id, now] = [`t-new-${this.submitted}`, Date.now() / 1000];
    const target_agent_id = asked.target_agent_id ?? "";
    const bare = {
      source_agent_id: "",
      assigned_agent_id: "",
      state: "pending",
      result: "",
      error: "",
    } as const;
    const times = {
      created_at: now,
      updated_at: now,
      ttl: 300,
      path: "queue",
      attempt: 0,
      max_attempts: 3,
    } as const;
    const { skill = "", payload = {} } = asked;
    this.taskChanged({ ...bare, ...times, id, skill, target_agent_id, payload, priority: 0, depth: 0 });
    json(response, { task_id: id });
  }

  private change(id: string, over: Partial<Task>, without?: "question"): void {
    const task = this.tasks.get(id);
    if (!task) return;
    const next = { ...task, ...over, updated_at: Date.now() / 1000 };
    if (without) delete next[without];
    this.taskChanged(next);
  }

  private async decide(id: string, approved: boolean, response: ServerResponse): Promise<void> {
    const entry = this.newcomers.find((one) => one.id === id);
    if (!entry) return refuse(response, 404, "not_found", "No such newcomer.");
    const status = approved ? "approved" : "rejected";
    this.happen({ type: "pairing_changed", payload: { ...entry, status } });
    const token = { id, status, peer_id: entry.peer_id, device_token: "token-of-the-test" };
    json(response, approved ? token : { status: "ok" });
  }

  private list(query: URLSearchParams, response: ServerResponse): void {
    const fits = (task: Task) =>
      (!query.has("state") || task.state === query.get("state")) &&
      (!query.has("skill") || task.skill === query.get("skill")) &&
      (!query.has("since_ms") || task.created_at * 1000 >= Number(query.get("since_ms"))) &&
      (!query.has("until_ms") || task.created_at * 1000 < Number(query.get("until_ms"))) &&
      (!query.has("text") ||
        [task.id, task.skill, task.error]
          .join(" ")
          .toLowerCase()
          .includes((query.get("text") ?? "").toLowerCase())) &&
      (!query.has("root") || (task.root_id ?? task.id) === query.get("root")) &&
      (!query.has("agent") ||
        [task.source_agent_id, task.assigned_agent_id, task.target_agent_id].includes(
          query.get("agent") ?? "",
        ));
    const all = [...this.tasks.values()].filter(fits).sort((a, b) => b.created_at - a.created_at);
    const from = Number(query.get("cursor") ?? 0);
    const to = from + Number(query.get("limit") ?? 100);
    const next = to < all.length ? { next_cursor: String(to) } : {};
    json(response, { tasks: all.slice(from, to).map(withoutBodies), ...next });
  }

  private history(id: string, after: number, response: ServerResponse): void {
    const of = ({ event }: EventRecord) =>
      (event.type === "task_changed" && event.payload.id === id) ||
      (event.type === "stale_result" && event.payload.task_id === id);
    json(response, {
      events: [...this.past, ...this.log].filter((record) => of(record) && record.seq > after),
    });
  }

  private login(text: string, response: ServerResponse): void {
    const { code, api_key } = JSON.parse(text) as { code?: string; api_key?: string };
    if (code !== this.loginCode && api_key !== this.apiKey) {
      refuse(response, 401, "unauthorized", "No such key or code.");
      return;
    }
    this.loggedIn = true;
    response.setHeader("set-cookie", `${COOKIE}; HttpOnly; SameSite=Strict; Path=/`);
    json(response, this.session);
  }

  private snapshot(response: ServerResponse): void {
    this.snapshots += 1;
    json(response, this.state);
  }

  private events(after: number, response: ServerResponse): void {
    this.resumedAfter.push(after);
    if (after < this.oldestKept) {
      refuse(response, 410, "events_gone", "Load the state and start there.");
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(": hello\n\n");
    this.streams.add(response);
    response.on("close", () => this.streams.delete(response));
    for (const record of [...this.past, ...this.log].filter((one) => one.seq > after))
      write(response, record);
  }

  private task(id: string, response: ServerResponse): void {
    const task = this.tasks.get(id);
    if (task) json(response, task);
    else refuse(response, 404, "task_unknown", "No such task.");
  }

  /** As the registry does it: brotli for whoever takes it. */
  private file(path: string, response: ServerResponse, takesBrotli: boolean): void {
    // A name with a dot is a file; anything else is a place within the page.
    const isPlace = !(path.split("/").at(-1) ?? "").includes(".");
    const name = isPlace ? "index.html" : normalize(path).replace(/^[./\\]+/, "");
    try {
      const packed = `${name}.br`;
      const brotli = takesBrotli && existsSync(join(DIST, packed));
      const bytes = readFileSync(join(DIST, brotli ? packed : name));
      response.writeHead(200, {
        "content-type": TYPES[extname(name)] ?? "application/octet-stream",
        ...(brotli ? { "content-encoding": "br" } : {}),
      });
      response.end(bytes);
    } catch {
      refuse(response, 404, "not_found", "No such file.");
    }
  }
}

function withoutBodies(task: Task): Task {
  return { ...task, payload: {}, result: "" };
}

function write(stream: ServerResponse, record: EventRecord): void {
  stream.write(`id: ${record.seq}\ndata: ${JSON.stringify(record)}\n\n`);
}

function text(response: ServerResponse, value: string): void {
  response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  response.end(value);
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number, code: Code, detail: string): void {
  response.writeHead(status, { "content-type": "application/problem+json" });
  response.end(
    JSON.stringify({ code, detail, fault: "caller", retry: "never", status, title: code, error: detail }),
  );
}

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

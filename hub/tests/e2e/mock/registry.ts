// A registry for the states a live mesh does not stay in: a small HTTP server that serves the built page and speaks the
// real shapes of REST and event stream. The test decides what happened and when the stream is cut.

import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import type {
  AgentRecord,
  Code,
  EventRecord,
  HubState,
  MeshEdge,
  MeshEvent,
  SessionAnswer,
  Task,
} from "../../../src/generated/wire";

const DIST = fileURLToPath(new URL("../../../dist/", import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};
/** The policy the registry serves its page under. */
const PAGE_POLICY =
  "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const COOKIE = "seamesh_session=s1";

export interface Contents {
  readonly agents?: readonly AgentRecord[];
  readonly tasks?: readonly Task[];
  readonly links?: readonly MeshEdge[];
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

  private readonly tasks = new Map<string, Task>();
  private readonly log: EventRecord[] = [];
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
    };
    for (const task of contents.tasks ?? []) this.tasks.set(task.id, task);
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
  happen(event: MeshEvent, bodies?: Task): void {
    const record = { seq: this.lastSeq() + 1, at_ms: Date.now(), event };
    this.log.push(record);
    if (bodies) this.tasks.set(bodies.id, bodies);
    for (const stream of this.streams) write(stream, record);
  }

  taskChanged(task: Task): void {
    this.happen({ type: "task_changed", payload: withoutBodies(task) }, task);
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
    if (!url.pathname.startsWith("/api/")) return this.file(url.pathname, response);
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
    return this.task(decodeURIComponent(url.pathname.replace("/api/hub/tasks/", "")), response);
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
    for (const record of this.log.filter((one) => one.seq > after)) write(response, record);
  }

  private task(id: string, response: ServerResponse): void {
    const task = this.tasks.get(id);
    if (task) json(response, task);
    else refuse(response, 404, "task_unknown", "No such task.");
  }

  private file(path: string, response: ServerResponse): void {
    const name = path === "/" ? "index.html" : normalize(path).replace(/^[./\\]+/, "");
    try {
      const bytes = readFileSync(join(DIST, name));
      response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream" });
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

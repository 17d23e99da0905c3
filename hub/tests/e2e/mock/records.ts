// Agents, tasks and links as the registry tells them.

import type { AgentRecord, MeshEdge, Task, TaskState } from "../../../src/generated/wire";
import type { Contents } from "./registry";

export function agent(name: string, over: Partial<AgentRecord> = {}): AgentRecord {
  const at = new Date(Date.now() - 3_000).toISOString();
  return {
    agent_id: name,
    hostname: "rack-1",
    ip: "",
    port: 8000,
    sidecar_peer_id: `peer-${name}`,
    capabilities: { skills: [], mcp_servers: [], goals_count: 0, mode: "" },
    status: "",
    mode: "",
    description: "",
    skills: [],
    version: "0.1.0",
    max_concurrent: 0,
    health: "active",
    registered_at: at,
    last_heartbeat: at,
    tasks_in_flight: 0,
    ...over,
  };
}

export function skills(...names: string[]): Partial<AgentRecord> {
  return { skills: names.map((name) => ({ name, description: "" })) };
}

export function link(a: string, b: string): MeshEdge {
  const [from_peer = "", to_peer = ""] = [`peer-${a}`, `peer-${b}`].sort();
  return { from_peer, to_peer };
}

/** A task asked for `ageS` seconds ago. */
export function task(id: string, over: Partial<Task> = {}, ageS = 1): Task {
  const created = Date.now() / 1000 - ageS;
  return {
    id,
    skill: "search",
    target_agent_id: "",
    source_agent_id: "editor",
    assigned_agent_id: "",
    payload: {},
    state: "pending",
    result: "",
    error: "",
    created_at: created,
    updated_at: created,
    ttl: 300,
    path: "queue",
    attempt: 0,
    max_attempts: 3,
    priority: 0,
    depth: 0,
    ...over,
  };
}

/** A task that ended `tookMs` milliseconds after it began. */
export function ended(id: string, state: TaskState, over: Partial<Task> = {}, ageS = 20, tookMs = 38): Task {
  const base = task(id, {}, ageS);
  const started = base.created_at + 0.004;
  return {
    ...base,
    state,
    assigned_agent_id: "librarian",
    attempt: 1,
    path: "direct",
    started_at: started,
    updated_at: started + tookMs / 1000,
    ...over,
  };
}

/** The mesh of the project's own demo, at work. */
export function demoMesh(): Contents {
  const agents = [
    agent("editor", {
      ...skills("answer"),
      description: "Answers questions about a folder",
      tasks_in_flight: 1,
    }),
    agent("librarian", {
      ...skills("search"),
      description: "Searches a folder of text by BM25",
      version: "0.1.0",
    }),
    agent("reader", {
      ...skills("summarize", "keywords"),
      description: "Summarizes text, extractive",
      hostname: "rack-2",
      tasks_in_flight: 2,
    }),
    agent("archivist", { ...skills("store", "fetch"), hostname: "rack-2", health: "stale" }),
    agent("translator", {
      ...skills("translate"),
      hostname: "laptop-of-kim",
      health: "offline",
      last_heartbeat: new Date(Date.now() - 42 * 60_000).toISOString(),
    }),
    agent("cron-http", { ...skills("digest"), sidecar_peer_id: "", hostname: "ci-7" }),
  ];
  const links = [
    link("editor", "librarian"),
    link("editor", "reader"),
    link("librarian", "reader"),
    link("archivist", "editor"),
    link("archivist", "reader"),
  ];
  return { agents, links, tasks: demoTasks() };
}

function demoTasks(): Task[] {
  return [
    task("t-9", { skill: "translate", target_agent_id: "translator" }, 95),
    task(
      "t-8",
      {
        skill: "answer",
        source_agent_id: "",
        state: "assigned",
        assigned_agent_id: "editor",
        attempt: 1,
        started_at: Date.now() / 1000 - 2,
      },
      2,
    ),
    ended(
      "t-7",
      "completed",
      {
        payload: { query: "lease" },
        result: { hits: [{ file: "design.md", line: 12 }] },
        parent_id: "t-8",
        root_id: "t-8",
        depth: 1,
      },
      3,
    ),
    ended("t-6", "completed", { skill: "summarize", assigned_agent_id: "reader" }, 21, 212),
    ended(
      "t-5",
      "failed",
      {
        skill: "keywords",
        assigned_agent_id: "reader",
        error: "ValueError: the text is empty",
        error_code: "skill_failed",
      },
      44,
      3.2,
    ),
    ended(
      "t-4",
      "completed",
      { skill: "store", assigned_agent_id: "archivist", path: "queue", attempt: 2 },
      125,
      16_400,
    ),
    ended(
      "t-3",
      "canceled",
      {
        skill: "digest",
        source_agent_id: "",
        assigned_agent_id: "cron-http",
        path: "queue",
        error: "canceled by admin",
        error_code: "canceled",
      },
      380,
      900,
    ),
    task(
      "t-2",
      {
        skill: "answer",
        state: "input_required",
        source_agent_id: "",
        assigned_agent_id: "editor",
        attempt: 1,
        started_at: Date.now() / 1000 - 500,
      },
      501,
    ),
    ended(
      "t-1",
      "failed",
      {
        skill: "fetch",
        assigned_agent_id: "archivist",
        path: "queue",
        attempt: 3,
        error: "TTL expired",
        error_code: "expired",
      },
      1800,
      300_000,
    ),
  ];
}

/** A large mesh: `count` tasks over forty agents. */
export function largeMesh(count: number): Contents {
  const names = Array.from({ length: 40 }, (_, i) => `agent-${String(i).padStart(2, "0")}`);
  const agents = names.map((name, i) =>
    agent(name, {
      ...skills("search", "rank"),
      hostname: `rack-${i % 5}`,
      health: i % 13 === 12 ? "stale" : "active",
    }),
  );
  const links = names.flatMap((name, i) => [
    link(name, names[(i + 1) % 40] ?? name),
    link(name, names[(i * 7 + 3) % 40] ?? name),
  ]);
  const states: TaskState[] = ["completed", "completed", "completed", "failed", "canceled"];
  const tasks = Array.from({ length: count }, (_, i) =>
    ended(
      `task-${i}`,
      states[i % states.length] ?? "completed",
      { source_agent_id: names[i % 40] ?? "", assigned_agent_id: names[(i * 3 + 1) % 40] ?? "" },
      i / 2 + 1,
      5 + (i % 400),
    ),
  );
  return { agents, links: links.filter((l) => l.from_peer !== l.to_peer), tasks };
}

// Agents, tasks and links as the registry tells them.

import type {
  AgentRecord,
  EventRecord,
  MeshEdge,
  OnboardingEntry,
  SkillInfo,
  Task,
  TaskState,
} from "../../../src/generated/wire";
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

/** A skill with the arguments it takes. */
export function skill(
  name: string,
  description: string,
  properties: object,
  required: readonly string[] = [],
): SkillInfo {
  return { name, description, input_schema: { type: "object", properties, required } };
}

export function newcomer(id: string, name: string): OnboardingEntry {
  const at = Date.now() / 1000 - 90;
  return {
    id,
    agent_name: name,
    peer_id: `peer-${name}`,
    status: "pending_approval",
    created_at: at,
    updated_at: at,
  };
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
      skills: [
        skill(
          "answer",
          "Answers a question, with its sources",
          {
            question: { type: "string", description: "What to find out" },
            depth: {
              type: "integer",
              description: "How many sources to read",
              minimum: 1,
              maximum: 12,
              default: 4,
            },
            tone: { enum: ["plain", "formal"], default: "plain" },
          },
          ["question"],
        ),
      ],
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
  return {
    agents,
    links,
    tasks: demoTasks(),
    history: demoHistory(),
    newcomers: [newcomer("n1", "kim-laptop")],
  };
}

/** How `t-4` came to its second attempt, and `t-2` to its question. */
function demoHistory(): EventRecord[] {
  const [t4, t2] = [demoTasks().find((one) => one.id === "t-4"), demoTasks().find((one) => one.id === "t-2")];
  if (!t4 || !t2) return [];
  const began = t4.created_at * 1000;
  const asked = t2.created_at * 1000;
  const changes: [Task, number][] = [
    [{ ...t4, state: "pending", attempt: 0 }, began],
    [
      {
        ...t4,
        state: "assigned",
        attempt: 1,
        lease: 7,
        assigned_agent_id: "reader",
        started_at: t4.created_at,
      },
      began + 12,
    ],
    [{ ...t4, state: "pending", attempt: 1 }, began + 15_100],
    [{ ...t4, state: "assigned", attempt: 2, lease: 8 }, began + 15_600],
    [t4, began + 16_400],
    [{ ...t2, state: "pending", attempt: 0 }, asked],
    [{ ...t2, state: "assigned", lease: 3 }, asked + 9],
    [t2, asked + 2_400],
  ];
  return changes.map(([payload, at_ms], i) => ({
    seq: 93 + i,
    at_ms,
    event: { type: "task_changed", payload },
  }));
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
        started_at: Date.now() / 1000 - 6,
        payload: { question: "What did we decide about leases?", depth: 4 },
        progress: { fraction: 0.6, note: "reading design.md" },
      },
      6,
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
      5.6,
      640,
    ),
    ended(
      "t-71",
      "completed",
      {
        skill: "fetch",
        assigned_agent_id: "archivist",
        source_agent_id: "librarian",
        parent_id: "t-7",
        root_id: "t-8",
        depth: 2,
      },
      5.4,
      210,
    ),
    ended(
      "t-72",
      "failed",
      {
        skill: "fetch",
        assigned_agent_id: "archivist",
        source_agent_id: "librarian",
        parent_id: "t-7",
        root_id: "t-8",
        depth: 2,
        path: "queue",
        error: "FileNotFoundError: old/lease.md",
        error_code: "skill_failed",
      },
      5.2,
      90,
    ),
    {
      ...ended(
        "t-73",
        "assigned",
        { skill: "summarize", assigned_agent_id: "reader", parent_id: "t-8", root_id: "t-8", depth: 1 },
        4.6,
      ),
      progress: { fraction: 0.4, note: "paragraph 12 of 30" },
    },
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
        reason: "editor waits for the answer to its question.",
        question: {
          number: 1,
          prompt:
            "Two documents contradict each other about the lease's length: 15 s and 60 s. Which one is right?",
          schema: {
            type: "object",
            properties: {
              document: { enum: ["design.md", "wire.md"], description: "The one to follow" },
              note: { type: "string", maxLength: 80, description: "Why, for the answer's footnote" },
            },
            required: ["document"],
          },
        },
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

/** A large mesh: `count` tasks over `size` agents. */
export function largeMesh(count: number, size = 40): Contents {
  const names = Array.from({ length: size }, (_, i) => `agent-${String(i).padStart(2, "0")}`);
  const agents = names.map((name, i) =>
    agent(name, {
      ...skills("search", "rank"),
      hostname: `rack-${i % 5}`,
      health: i % 13 === 12 ? "stale" : "active",
    }),
  );
  const links = names.flatMap((name, i) => [
    link(name, names[(i + 1) % size] ?? name),
    link(name, names[(i * 7 + 3) % size] ?? name),
  ]);
  const states: TaskState[] = ["completed", "completed", "completed", "failed", "canceled"];
  const tasks = Array.from({ length: count }, (_, i) =>
    ended(
      `task-${i}`,
      states[i % states.length] ?? "completed",
      { source_agent_id: names[i % size] ?? "", assigned_agent_id: names[(i * 3 + 1) % size] ?? "" },
      i / 2 + 1,
      5 + (i % 400),
    ),
  );
  return { agents, links: links.filter((l) => l.from_peer !== l.to_peer), tasks };
}

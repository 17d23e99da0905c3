// Agents, tasks and events for the tests of this folder.

import type { AgentRecord, EventRecord, HubState, MeshEvent, Task } from "../generated/wire";
import type { Api } from "./api";

/** An API that answers what the test says; whatever else is asked for fails. */
export function apiWith(answers: Partial<Api>): Api {
  const unused = (name: string) => () => Promise.reject(new Error(`${name} is not asked here`));
  return new Proxy(answers as Api, {
    get: (known, name) => Reflect.get(known, name) ?? unused(String(name)),
  });
}

export const NOW_MS = 1_763_800_000_000;

export function agent(name: string, over: Partial<AgentRecord> = {}): AgentRecord {
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
    version: "",
    max_concurrent: 0,
    health: "active",
    registered_at: new Date(NOW_MS - 60_000).toISOString(),
    last_heartbeat: new Date(NOW_MS - 5_000).toISOString(),
    tasks_in_flight: 0,
    ...over,
  };
}

export function task(id: string, over: Partial<Task> = {}): Task {
  return {
    id,
    skill: "search",
    target_agent_id: "",
    source_agent_id: "",
    assigned_agent_id: "",
    payload: {},
    state: "pending",
    result: "",
    error: "",
    created_at: NOW_MS / 1000,
    updated_at: NOW_MS / 1000,
    ttl: 300,
    path: "queue",
    attempt: 0,
    max_attempts: 3,
    priority: 0,
    depth: 0,
    ...over,
  };
}

export function snapshot(over: Partial<HubState> = {}): HubState {
  return { seq: 10, agents: [], tasks: [], links: [], newcomers: [], ...over };
}

export function record(seq: number, event: MeshEvent, atMs = NOW_MS): EventRecord {
  return { seq, at_ms: atMs, event };
}

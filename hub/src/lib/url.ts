// Every URL of the page, in one typed place: what a person looks at is in the address, and survives a reload.

import type { TaskState } from "../generated/wire";
import { TASK_STATES } from "./tasks";

export interface Place {
  /** Only tasks in this state. */
  readonly state: TaskState | null;
  /** The agent looked at; tasks are those it has part in. */
  readonly agent: string | null;
  /** The task whose detail is open. */
  readonly task: string | null;
  readonly mesh: "graph" | "list";
}

export const HOME: Place = { state: null, agent: null, task: null, mesh: "graph" };

export function readPlace(search: string): Place {
  const query = new URLSearchParams(search);
  return {
    state: TASK_STATES.find((state) => state === query.get("state")) ?? null,
    agent: query.get("agent") || null,
    task: query.get("task") || null,
    mesh: query.get("mesh") === "list" ? "list" : "graph",
  };
}

export function writePlace(place: Place): string {
  const query = new URLSearchParams();
  if (place.state) query.set("state", place.state);
  if (place.agent) query.set("agent", place.agent);
  if (place.task) query.set("task", place.task);
  if (place.mesh === "list") query.set("mesh", "list");
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** The one-time code of a login link, and the address without it. */
export function takeLoginCode(location: { pathname: string; search: string; hash: string }): {
  readonly code: string | null;
  readonly address: string;
} {
  const code = new URLSearchParams(location.hash.slice(1)).get("login") || null;
  const hash = code === null ? location.hash : "";
  return { code, address: `${location.pathname}${location.search}${hash}` };
}

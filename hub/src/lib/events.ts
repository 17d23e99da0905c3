// Events in words, and which of them a person wants to see. Pure.

import { type EventRecord, MESH_EVENT_KINDS, type MeshEvent } from "../generated/wire";
import { STATE_LABELS } from "./tasks";

export type EventKind = MeshEvent["type"];

export const EVENT_KINDS: readonly EventKind[] = MESH_EVENT_KINDS;

export interface Told {
  readonly what: string;
  readonly task?: string;
  readonly agents: readonly string[];
}

export function told({ event }: EventRecord): Told {
  switch (event.type) {
    case "agent_registered":
      return { what: "registered", agents: [event.payload.agent_id] };
    case "agent_removed":
      return { what: "left the mesh", agents: [event.payload.agent_id] };
    case "agent_health":
      return { what: `is ${event.payload.health}`, agents: [event.payload.agent_id] };
    case "task_changed": {
      const { id, skill, state, assigned_agent_id, attempt, error_code } = event.payload;
      const why = error_code ? ` (${error_code})` : "";
      const what = `${skill || "a task"} is ${STATE_LABELS[state]}${why}${attempt > 1 ? `, attempt ${attempt}` : ""}`;
      return { what, task: id, agents: assigned_agent_id ? [assigned_agent_id] : [] };
    }
    case "stale_result":
      return {
        what: `a result under lease ${event.payload.lease} was refused`,
        task: event.payload.task_id,
        agents: [],
      };
    case "link_up":
      return {
        what: `link between ${event.payload.from_peer} and ${event.payload.to_peer} opened`,
        agents: [],
      };
    case "link_down":
      return {
        what: `link between ${event.payload.from_peer} and ${event.payload.to_peer} went down`,
        agents: [],
      };
    case "pairing_changed":
      return {
        what: `newcomer ${event.payload.agent_name}: ${event.payload.status.replace("_", " ")}`,
        agents: [],
      };
  }
}

export interface EventFilter {
  readonly kind?: EventKind | undefined;
  readonly q?: string | undefined;
}

export function filterEvents(
  records: readonly EventRecord[],
  { kind, q }: EventFilter,
): readonly EventRecord[] {
  const text = q?.trim().toLowerCase();
  if (!kind && !text) return records;
  return records.filter(
    (record) =>
      (!kind || record.event.type === kind) &&
      (!text || JSON.stringify(record.event).toLowerCase().includes(text)),
  );
}

/** Two lists of events as one, by number, each once. */
export function joined(older: readonly EventRecord[], newer: readonly EventRecord[]): readonly EventRecord[] {
  const first = newer[0]?.seq ?? Number.POSITIVE_INFINITY;
  return [...older.filter((record) => record.seq < first), ...newer];
}

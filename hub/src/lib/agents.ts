// Questions the page asks of agents. Pure.

import { type AgentRecord, type Health, STALE_AFTER_MS } from "../generated/wire";
import type { AgentEntry } from "./mesh-state";
import { ago } from "./time";

export const HEALTHS: readonly Health[] = ["active", "stale", "offline"];

export function byName(agents: Iterable<AgentEntry>): AgentEntry[] {
  return [...agents].sort((a, b) => (a.record.agent_id < b.record.agent_id ? -1 : 1));
}

export function countByHealth(agents: Iterable<AgentEntry>): Record<Health, number> {
  const counts = { active: 0, stale: 0, offline: 0 };
  for (const { record } of agents) counts[record.health] += 1;
  return counts;
}

export interface AgentFilter {
  readonly health?: Health | undefined;
  /** Text within name, skills, host or description; letters of either case. */
  readonly q?: string | undefined;
}

export function filterAgents(
  agents: readonly AgentEntry[],
  { health, q }: AgentFilter,
): readonly AgentEntry[] {
  const text = q?.trim().toLowerCase();
  if (!health && !text) return agents;
  return agents.filter(
    ({ record }) => (!health || record.health === health) && (!text || mentions(record, text)),
  );
}

function mentions(record: AgentRecord, text: string): boolean {
  const said = [record.agent_id, record.hostname, record.description, ...skillNames(record)];
  return said.some((one) => one.toLowerCase().includes(text));
}

/** The agent behind a sidecar. */
export function agentOfPeer(agents: Iterable<AgentEntry>, peer: string): AgentEntry | undefined {
  for (const entry of agents) if (entry.record.sidecar_peer_id === peer) return entry;
  return undefined;
}

/** Names of its skills, whichever of the two lists carries them, each once. */
export function skillNames(record: AgentRecord): string[] {
  const named = (record.skills ?? []).map((skill) => skill.name);
  return [...new Set([...named, ...(record.capabilities?.skills ?? [])])];
}

/**
 * When it beat last, in words. Beats themselves are not events, so what is known of an active agent grows old while
 * the page stays open: past the registry's own threshold, being called active is the fresher news.
 */
export function lastBeat(entry: AgentEntry, nowMs: number): string {
  const beatMs = Date.parse(entry.record.last_heartbeat);
  const age = nowMs - beatMs;
  if (entry.record.health === "active") {
    return Number.isNaN(age) || age > STALE_AFTER_MS ? `under ${STALE_AFTER_MS / 1000} s ago` : ago(age);
  }
  if (entry.healthSinceMs !== null) return `lost ${ago(nowMs - entry.healthSinceMs)}`;
  return Number.isNaN(age) ? "unknown" : ago(age);
}

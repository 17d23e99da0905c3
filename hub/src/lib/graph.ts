// The mesh as a graph: who is there, and the links that are really open. Pure.

import type { Health } from "../generated/wire";
import { byName } from "./agents";
import { type AgentEntry, linkKey, type MeshState } from "./mesh-state";

export interface MeshNode {
  /** The sidecar's peer id; for an agent without a sidecar its own id. */
  readonly id: string;
  readonly label: string;
  /** The agent behind it; `null` for a sidecar whose agent is not known. */
  readonly agentId: string | null;
  readonly health: Health | null;
  readonly inFlight: number;
  /** Whether it has a sidecar, without which it has no links ever. */
  readonly sidecar: boolean;
  /** Labels of the nodes it is linked with, sorted. */
  readonly linkedWith: readonly string[];
}

export interface MeshLink {
  readonly key: string;
  readonly from: string;
  readonly to: string;
}

export interface MeshGraph {
  readonly nodes: readonly MeshNode[];
  readonly links: readonly MeshLink[];
}

export function meshGraph(mesh: Pick<MeshState, "agents" | "links">): MeshGraph {
  const links = [...mesh.links.values()]
    .map((link) => ({ key: linkKey(link), from: link.from_peer, to: link.to_peer }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const bare = [...byName(mesh.agents.values()).map(agentNode), ...strangers(mesh, links)];
  const labels = new Map(bare.map((node) => [node.id, node.label]));
  const linked = neighbours(links);
  const nodes = bare.map((node) => ({
    ...node,
    linkedWith: [...(linked.get(node.id) ?? [])].map((id) => labels.get(id) ?? id).sort(),
  }));
  return { nodes, links };
}

type BareNode = Omit<MeshNode, "linkedWith">;

function agentNode({ record }: AgentEntry): BareNode {
  return {
    id: record.sidecar_peer_id || record.agent_id,
    label: record.agent_id,
    agentId: record.agent_id,
    health: record.health,
    inFlight: record.tasks_in_flight ?? 0,
    sidecar: Boolean(record.sidecar_peer_id),
  };
}

/** Sidecars that links name but no agent stands behind. */
function strangers(mesh: Pick<MeshState, "agents">, links: readonly MeshLink[]): BareNode[] {
  const known = new Set([...mesh.agents.values()].map(({ record }) => record.sidecar_peer_id));
  const ids = new Set(links.flatMap((link) => [link.from, link.to]).filter((id) => !known.has(id)));
  return [...ids]
    .sort()
    .map((id) => ({ id, label: id, agentId: null, health: null, inFlight: 0, sidecar: true }));
}

function neighbours(links: readonly MeshLink[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const note = (from: string, to: string) => {
    const set = found.get(from) ?? new Set();
    found.set(from, set.add(to));
  };
  for (const link of links) {
    note(link.from, link.to);
    note(link.to, link.from);
  }
  return found;
}

// The mesh as a graph: who is there, and the links that are really open. Pure.

import type { Health, Task } from "../generated/wire";
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
  /** Of its links those whose ends checked each other's identity. */
  readonly identified: number;
  /** Of its links those that pass a TURN server. */
  readonly relayed: number;
}

export interface MeshLink {
  readonly key: string;
  readonly from: string;
  readonly to: string;
  /**
   * `direct`: an open link from host to host. `relayed`: an open link by way of a TURN server. `queue`: no link, but work
   * went between the two through the queue.
   */
  readonly way: "direct" | "relayed" | "queue";
  /** Both ends checked each other's identity; a way through the queue has no ends to check. */
  readonly identified: boolean;
  /** Tasks that went this way, of those looked at. */
  readonly tasks: number;
}

export interface MeshGraph {
  readonly nodes: readonly MeshNode[];
  readonly links: readonly MeshLink[];
}

export function meshGraph(mesh: Pick<MeshState, "agents" | "links">): MeshGraph {
  const links = [...mesh.links.values()]
    .map(
      (link) =>
        ({
          key: linkKey(link),
          from: link.from_peer,
          to: link.to_peer,
          way: link.relayed ? "relayed" : "direct",
          identified: link.identified ?? false,
          tasks: 0,
        }) as const,
    )
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const bare = [...byName(mesh.agents.values()).map(agentNode), ...strangers(mesh, links)];
  const labels = new Map(bare.map((node) => [node.id, node.label]));
  const linked = neighbours(links);
  const checked = neighbours(links.filter((link) => link.identified));
  const relayed = neighbours(links.filter((link) => link.way === "relayed"));
  const nodes = bare.map((node) => ({
    ...node,
    identified: checked.get(node.id)?.size ?? 0,
    relayed: relayed.get(node.id)?.size ?? 0,
    linkedWith: [...(linked.get(node.id) ?? [])].map((id) => labels.get(id) ?? id).sort(),
  }));
  return { nodes, links };
}

/** The graph with the traffic of these tasks on its links, and ways through the queue where there is no link. */
export function withTraffic(graph: MeshGraph, tasks: readonly Task[]): MeshGraph {
  const nodeOf = new Map(
    graph.nodes.flatMap((node) => (node.agentId === null ? [] : [[node.agentId, node.id]])),
  );
  const counts = new Map<string, { from: string; to: string; tasks: number }>();
  for (const task of tasks) {
    const [a, b] = [nodeOf.get(task.source_agent_id), nodeOf.get(task.assigned_agent_id)];
    if (!a || !b || a === b) continue;
    const [from, to] = a < b ? [a, b] : [b, a];
    const key = `${from} ${to}`;
    const known = counts.get(key);
    if (known) known.tasks += 1;
    else counts.set(key, { from, to, tasks: 1 });
  }
  const links = graph.links.map((link) => ({ ...link, tasks: counts.get(link.key)?.tasks ?? 0 }));
  const open = new Set(links.map((link) => link.key));
  const queued = [...counts]
    .filter(([key]) => !open.has(key))
    .map(([key, way]) => ({ key, ...way, way: "queue", identified: false }) as const);
  return { nodes: graph.nodes, links: [...links, ...queued] };
}

type BareNode = Omit<MeshNode, "linkedWith" | "identified" | "relayed">;

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

import type { MeshNode } from "../../lib/graph";
import { HealthBadge } from "../../ui/Badge";
import { Data } from "../../ui/Data";
import { type Column, DataTable } from "../../ui/DataTable";
import { AgentLink } from "../../ui/Links";
import type { MeshViewProps } from "./MeshPicture";

/** Most neighbours named in a row; the rest is counted. */
const NEIGHBOURS = 24;
const idOf = (node: MeshNode) => node.id;

/** The same mesh as a table: for screen readers, and for meshes too large for a picture. */
export function MeshList({ graph, choose }: MeshViewProps) {
  return (
    <DataTable
      label="Mesh: who is linked with whom"
      noun="node"
      rows={graph.nodes}
      columns={COLUMNS}
      keyOf={idOf}
      open={(node) => choose(node.agentId)}
    />
  );
}

const COLUMNS: readonly Column<MeshNode>[] = [
  {
    key: "health",
    head: "Health",
    className: "col-health",
    cell: (node) =>
      node.health ? <HealthBadge health={node.health} /> : <span className="quiet">no agent</span>,
  },
  {
    key: "node",
    head: "Node",
    className: "col-name",
    cell: (node) => (node.agentId === null ? <Data text={node.label} /> : <AgentLink id={node.agentId} />),
  },
  {
    key: "count",
    head: "Links",
    className: "col-load number",
    cell: (node) => (node.sidecar ? node.linkedWith.length : "–"),
  },
  {
    key: "identified",
    head: "Identified",
    className: "col-load number wide",
    cell: (node) => (node.linkedWith.length > 0 ? `${node.identified} of ${node.linkedWith.length}` : "–"),
  },
  {
    key: "relayed",
    head: "Relayed",
    className: "col-load number wide",
    cell: (node) => node.relayed || "–",
  },
  { key: "links", head: "Linked with", className: "col-links", cell: (node) => <Neighbours node={node} /> },
];

function Neighbours({ node: { linkedWith, sidecar } }: { node: MeshNode }) {
  if (!sidecar) return <span className="quiet">has no sidecar</span>;
  if (linkedWith.length === 0) return <span className="quiet">nobody</span>;
  const more = linkedWith.length - NEIGHBOURS;
  return (
    <bdi>
      {linkedWith.slice(0, NEIGHBOURS).join(", ")}
      {more > 0 && ` and ${more} more`}
    </bdi>
  );
}

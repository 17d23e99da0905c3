import { HealthBadge } from "../../ui/Badge";
import { Data } from "../../ui/Data";
import type { MeshViewProps } from "./MeshPicture";

/** Most neighbours named in a row; the rest is counted. */
const NEIGHBOURS = 24;

/** The same mesh as a table: for screen readers, and for meshes too large for a picture. */
export function MeshList({ graph, chosen, choose }: MeshViewProps) {
  return (
    <div className="scroll scroll--mesh">
      <table className="table" aria-label="Mesh: who is linked with whom">
        <thead>
          <tr>
            <th className="col-name">Node</th>
            <th className="col-health">Health</th>
            <th className="col-links">Linked with</th>
          </tr>
        </thead>
        <tbody>
          {graph.nodes.map((node) => {
            const { agentId } = node;
            return (
              <tr
                key={node.id}
                className={agentId !== null && agentId === chosen ? "table__row--chosen" : undefined}
              >
                <td className="col-name">
                  {agentId === null ? (
                    <Data text={node.label} />
                  ) : (
                    <button type="button" className="row-name" onClick={() => choose(agentId)}>
                      <Data text={node.label} />
                    </button>
                  )}
                </td>
                <td className="col-health">
                  {node.health ? (
                    <HealthBadge health={node.health} />
                  ) : (
                    <span className="quiet">no agent</span>
                  )}
                </td>
                <td className="col-links quiet">
                  <Neighbours names={node.linkedWith} sidecar={node.sidecar} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Neighbours({ names, sidecar }: { names: readonly string[]; sidecar: boolean }) {
  if (!sidecar) return "has no sidecar";
  if (names.length === 0) return "nobody";
  const more = names.length - NEIGHBOURS;
  return (
    <bdi>
      {names.slice(0, NEIGHBOURS).join(", ")}
      {more > 0 && ` and ${more} more`}
    </bdi>
  );
}

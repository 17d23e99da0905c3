import { useMemo } from "react";
import { usePlace } from "../../hub";
import { meshGraph } from "../../lib/graph";
import type { MeshState } from "../../lib/mesh-state";
import { Empty, Panel } from "../../ui/Panel";
import { MeshList } from "./MeshList";
import { MeshPicture } from "./MeshPicture";

const VIEWS = ["graph", "list"] as const;

export function MeshPanel({ mesh }: { mesh: MeshState }) {
  const [place, go] = usePlace();
  const { agents, links } = mesh;
  const graph = useMemo(() => meshGraph({ agents, links }), [agents, links]);
  const choose = (agent: string | null) => go({ agent });
  return (
    <Panel
      id="mesh"
      title="Mesh"
      count={graph.nodes.length > 0 ? `${links.size} ${links.size === 1 ? "link" : "links"}` : undefined}
      tools={
        <fieldset className="filters" aria-label="Mesh as">
          {VIEWS.map((view) => (
            <button
              key={view}
              type="button"
              className="filter"
              aria-pressed={place.mesh === view}
              onClick={() => go({ mesh: view })}
            >
              {view}
            </button>
          ))}
        </fieldset>
      }
    >
      {graph.nodes.length === 0 ? (
        <Empty title="Nothing to draw yet">
          <span>Sidecars appear here, and every open link between them.</span>
        </Empty>
      ) : place.mesh === "list" ? (
        <MeshList graph={graph} chosen={place.agent} choose={choose} />
      ) : (
        <MeshPicture graph={graph} chosen={place.agent} choose={choose} />
      )}
    </Panel>
  );
}

import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useMemo } from "react";
import type { Task } from "../../generated/wire";
import { useMesh } from "../../hub";
import { meshGraph, withTraffic } from "../../lib/graph";
import type { MeshSearch } from "../../lib/url";
import { Data } from "../../ui/Data";
import { Choices } from "../../ui/Filter";
import { Page } from "../../ui/Page";
import { Empty } from "../../ui/Panel";
import { MeshList } from "./MeshList";
import { MeshPicture } from "./MeshPicture";
import "./mesh.css";

const LargePicture = lazy(() => import("./LargePicture"));

const route = getRouteApi("/mesh");
/** Up to here every node is an element that the keyboard reaches; beyond it the picture is painted by the GPU. */
const MOST_ELEMENTS = 150;
/** Tasks whose way is counted as traffic. */
const RECENT = 2_000;

export function MeshPage() {
  const { agents, links, newest } = useMesh();
  const { view, agent } = route.useSearch();
  const navigate = useNavigate();
  const set = useCallback(
    (change: Partial<MeshSearch>) =>
      void navigate({ to: "/mesh", search: (before: MeshSearch) => ({ ...before, ...change }) }),
    [navigate],
  );
  const choose = useCallback((chosen: string | null) => set({ agent: chosen ?? undefined }), [set]);
  const bare = useMemo(() => meshGraph({ agents, links }), [agents, links]);
  const graph = useMemo(() => withTraffic(bare, newest.slice(0, RECENT) as Task[]), [bare, newest]);
  const props = { graph, chosen: agent ?? null, choose };
  return (
    <Page
      full
      title="Mesh"
      note={
        graph.nodes.length > 0
          ? `${links.size.toLocaleString()} ${links.size === 1 ? "link" : "links"}`
          : undefined
      }
      tools={
        <>
          {agent && (
            <Link to="/agent" search={{ id: agent }} className="link">
              Open <Data text={agent} />
            </Link>
          )}
          <Choices
            label="Mesh as"
            all="graph"
            choices={[["table", "table"]]}
            current={view}
            choose={(next) => set({ view: next })}
          />
        </>
      }
    >
      {graph.nodes.length === 0 ? (
        <Empty title="Nothing to draw yet">
          <span>Sidecars appear here, and every open link between them.</span>
        </Empty>
      ) : view === "table" ? (
        <MeshList {...props} />
      ) : (
        <>
          {graph.nodes.length <= MOST_ELEMENTS ? (
            <MeshPicture {...props} />
          ) : (
            <Suspense fallback={<p className="waiting">Loading the picture…</p>}>
              <LargePicture {...props} />
            </Suspense>
          )}
          <Legend />
        </>
      )}
    </Page>
  );
}

function Legend() {
  return (
    <ul className="legend">
      <li>
        <span className="legend__line" /> open link, thicker with more of the last tasks
      </li>
      <li>
        <span className="legend__line legend__line--relayed" /> by way of a relay
      </li>
      <li>
        <span className="legend__line legend__line--queue" /> work through the queue
      </li>
      <li>
        <span className="legend__dot legend__dot--active" /> active
      </li>
      <li>
        <span className="legend__dot legend__dot--stale" /> stale
      </li>
      <li>
        <span className="legend__dot legend__dot--offline" /> offline
      </li>
    </ul>
  );
}

import { describe, expect, test } from "vitest";
import { meshGraph, withTraffic } from "./graph";
import { layout } from "./layout";
import { fromSnapshot } from "./mesh-state";
import { agent, snapshot, task } from "./samples";

const FRAME = { width: 600, height: 400 };

function graphOf(names: readonly string[], pairs: readonly (readonly [string, string])[]) {
  return meshGraph(
    fromSnapshot(
      snapshot({
        agents: names.map((name) => agent(name)),
        links: pairs.map(([a, b]) => ({ from_peer: `peer-${a}`, to_peer: `peer-${b}` })),
      }),
    ),
  );
}

describe("the graph", () => {
  test("joins agents to links by their sidecars", () => {
    const graph = graphOf(["a", "b", "c"], [["a", "b"]]);
    expect(graph.nodes.map((n) => [n.label, n.linkedWith])).toEqual([
      ["a", ["b"]],
      ["b", ["a"]],
      ["c", []],
    ]);
    expect(graph.links).toMatchObject([{ key: "peer-a peer-b", from: "peer-a", to: "peer-b" }]);
  });

  test("shows a sidecar whose agent is not known", () => {
    const graph = graphOf(["a"], [["a", "ghost"]]);
    expect(graph.nodes.map((n) => [n.id, n.agentId])).toEqual([
      ["peer-a", "a"],
      ["peer-ghost", null],
    ]);
  });

  test("tells links that pass a relay from those that do not", () => {
    const [plain, relayed] = [
      { from_peer: "peer-a", to_peer: "peer-b" },
      { from_peer: "peer-a", to_peer: "peer-c", relayed: true },
    ];
    const { nodes, links } = meshGraph(
      fromSnapshot(snapshot({ agents: ["a", "b", "c"].map((name) => agent(name)), links: [plain, relayed] })),
    );
    expect(links.map((link) => link.way)).toEqual(["direct", "relayed"]);
    expect(nodes.map((node) => node.relayed)).toEqual([1, 0, 1]);
  });

  test("shows an agent without a sidecar under its own name", () => {
    const { nodes } = meshGraph(fromSnapshot(snapshot({ agents: [agent("http", { sidecar_peer_id: "" })] })));
    expect(nodes).toMatchObject([{ id: "http", sidecar: false, linkedWith: [] }]);
  });
});

describe("the layout", () => {
  const names = (count: number) => Array.from({ length: count }, (_, i) => `n${String(i).padStart(4, "0")}`);
  const chain = (all: readonly string[]) => all.slice(1).map((name, i) => [all[i] ?? "", name] as const);

  test.each([1, 2, 3, 14, 15, 60, 201, 500])(
    "of %i nodes stands inside the frame, no two on one spot",
    (count) => {
      const all = names(count);
      const places = layout(graphOf(all, chain(all)), FRAME);
      expect(places.size).toBe(count);
      for (const { x, y } of places.values()) {
        expect(x).toBeGreaterThanOrEqual(0);
        expect(x).toBeLessThanOrEqual(FRAME.width);
        expect(y).toBeGreaterThanOrEqual(0);
        expect(y).toBeLessThanOrEqual(FRAME.height);
      }
      const spots = new Set([...places.values()].map(({ x, y }) => `${x},${y}`));
      expect(spots.size).toBe(count);
    },
  );

  test("is the same for the same graph", () => {
    const graph = graphOf(names(40), chain(names(40)));
    expect([...layout(graph, FRAME)]).toEqual([...layout(graph, FRAME)]);
  });

  test("puts linked nodes nearer to each other than to strangers", () => {
    const all = names(20);
    const [left, right] = [all.slice(0, 10), all.slice(10)];
    const places = layout(graphOf(all, [...chain(left), ...chain(right)]), FRAME);
    const distance = (a = "", b = "") => {
      const [p, q] = [places.get(`peer-${a}`), places.get(`peer-${b}`)];
      return p && q ? Math.hypot(p.x - q.x, p.y - q.y) : Number.NaN;
    };
    const within = distance(left[4], left[5]);
    const across = left.map((name) => distance(name, right[5])).reduce((sum, d) => sum + d, 0) / left.length;
    expect(within).toBeLessThan(across);
  });
});

describe("traffic", () => {
  test("is counted on links, and drawn as a way through the queue where there is none", () => {
    const mesh = fromSnapshot(
      snapshot({
        agents: [agent("a"), agent("b"), agent("c")],
        links: [{ from_peer: "peer-a", to_peer: "peer-b" }],
      }),
    );
    const went = (id: string, from: string, to: string) =>
      task(id, { source_agent_id: from, assigned_agent_id: to });
    const graph = withTraffic(meshGraph(mesh), [
      went("1", "a", "b"),
      went("2", "b", "a"),
      went("3", "c", "a"),
      went("4", "", "a"),
      went("5", "a", "gone"),
      went("6", "a", "a"),
    ]);
    expect(graph.links.map(({ key, way, tasks }) => [key, way, tasks])).toEqual([
      ["peer-a peer-b", "direct", 2],
      ["peer-a peer-c", "queue", 1],
    ]);
  });
});

import Graph from "graphology";
import { useEffect, useMemo, useRef, useState } from "react";
import Sigma from "sigma";
import { useHub } from "../../hub";
import type { MeshGraph } from "../../lib/graph";
import { layout } from "../../lib/layout";
import { Empty } from "../../ui/Panel";
import { type MeshViewProps, nodeInWords } from "./MeshPicture";

/** The frame that places are computed in; the picture is fitted to its box afterwards. */
const FRAME = { width: 1600, height: 1000 } as const;

/** A large mesh, painted by the GPU: thousands of nodes that can be moved and looked into. */
export default function LargePicture({ graph, chosen, choose }: MeshViewProps) {
  const box = useRef<HTMLDivElement>(null);
  const sigma = useRef<Sigma | null>(null);
  const { shelf } = useHub();
  const [broken, setBroken] = useState(false);
  const ids = graph.nodes.map((node) => node.id).join(" ");
  // Places follow who is there, not what they do: the picture does not dance with the traffic.
  // biome-ignore lint/correctness/useExhaustiveDependencies: `ids` stands for the nodes.
  const places = useMemo(() => layout(graph, FRAME), [ids, graph.links.length]);
  const picture = useMemo(() => drawn(graph, places, chosen), [graph, places, chosen]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another colour scheme is another picture.
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    try {
      const colours = coloursOf(element);
      const made = new Sigma(new Graph({ multi: true }), element, {
        labelFont: colours.font,
        labelSize: 12,
        labelColor: { color: colours.text },
        labelRenderedSizeThreshold: 7,
        allowInvalidContainer: true,
        zIndex: true,
      });
      made.on("clickNode", ({ node }) => choose(graph.nodes.find((one) => one.id === node)?.agentId ?? null));
      made.on("clickStage", () => choose(null));
      sigma.current = made;
      return () => made.kill();
    } catch {
      setBroken(true);
    }
  }, [ids, choose, shelf]);
  useEffect(() => {
    const made = sigma.current;
    const element = box.current;
    if (!made || !element) return;
    const colours = coloursOf(element);
    const fresh = new Graph({ multi: true });
    for (const { id, x, y, label, tone, size } of picture.nodes) {
      fresh.addNode(id, { x, y: -y, label, size, color: colours[tone], zIndex: tone === "accent" ? 1 : 0 });
    }
    for (const { key, from, to, tone, size } of picture.links) {
      if (fresh.hasNode(from) && fresh.hasNode(to))
        fresh.addEdgeWithKey(key, from, to, { size, color: colours[tone] });
    }
    made.setGraph(fresh);
  }, [picture]);
  if (broken) {
    return (
      <Empty title="This browser paints no large pictures (WebGL is missing)">
        The table has every link.
      </Empty>
    );
  }
  return (
    <div
      className="mesh mesh--large"
      ref={box}
      role="img"
      aria-label={`${graph.nodes.length} agents and sidecars, ${graph.links.length} links; the table lists them`}
      data-nodes={graph.nodes.length}
    />
  );
}

type Tone = "ok" | "warn" | "idle" | "accent" | "line" | "faint";

interface Drawn {
  readonly nodes: readonly { id: string; x: number; y: number; label: string; tone: Tone; size: number }[];
  readonly links: readonly { key: string; from: string; to: string; tone: Tone; size: number }[];
}

function drawn(graph: MeshGraph, places: ReturnType<typeof layout>, chosen: string | null): Drawn {
  const focus = graph.nodes.find((node) => node.agentId !== null && node.agentId === chosen)?.id;
  const nodes = graph.nodes.map((node) => {
    const { x, y } = places.get(node.id) ?? { x: 0, y: 0 };
    const calm = node.health === "active" ? "ok" : node.health === "stale" ? "warn" : "idle";
    const tone: Tone = node.id === focus ? "accent" : calm;
    const size = node.id === focus ? 9 : 4 + Math.min(4, node.inFlight / 4);
    return {
      id: node.id,
      x,
      y,
      label: node.id === focus ? nodeInWords(node).slice(0, 120) : node.label,
      tone,
      size,
    };
  });
  const links = graph.links.map(({ key, from, to, tasks }) => {
    const tone: Tone = focus === undefined ? "line" : from === focus || to === focus ? "accent" : "faint";
    return { key, from, to, tone, size: 0.6 + Math.log10(1 + tasks) };
  });
  return { nodes, links };
}

/** The tokens' colours as they are now: a canvas knows no variables. */
function coloursOf(element: HTMLElement): Record<Tone | "text" | "font", string> {
  const probe = element.ownerDocument.createElement("span");
  element.append(probe);
  const colour = (token: string) => {
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  };
  const found = {
    ok: colour("--ok"),
    warn: colour("--warn"),
    idle: colour("--line-strong"),
    accent: colour("--accent"),
    line: colour("--line"),
    faint: colour("--sunken"),
    text: colour("--text"),
    font: getComputedStyle(element).fontFamily,
  };
  probe.remove();
  return found;
}

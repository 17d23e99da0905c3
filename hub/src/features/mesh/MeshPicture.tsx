import { type CSSProperties, type KeyboardEvent, useMemo, useRef } from "react";
import type { MeshGraph, MeshLink, MeshNode } from "../../lib/graph";
import { type Layout, layout, type Point } from "../../lib/layout";
import { useSize } from "../../ui/use-size";
import { type Present, usePresence } from "./use-presence";

/** Most links drawn: beyond them a picture is a blot, and the list says more. */
const MAX_DRAWN_LINKS = 3_000;
/** Most nodes whose names are all written: with more, a name shows when its node is pointed at or concerned. */
const MAX_NAMES = 24;
/** Longest name written beside a node, in characters. */
const NAME_CHARS = 18;

export interface MeshViewProps {
  readonly graph: MeshGraph;
  /** The chosen agent. */
  readonly chosen: string | null;
  readonly choose: (agent: string | null) => void;
}

/** The mesh as it is: sidecars, and the links that are really open between them. */
export function MeshPicture({ graph, chosen, choose }: MeshViewProps) {
  const box = useRef<HTMLDivElement>(null);
  const frame = useSize(box, { width: 520, height: 340 });
  const places = useMemo(() => layout(graph, frame), [graph, frame]);
  const remembered = useRemembered(places);
  const nodes = usePresence(graph.nodes, (node) => node.id);
  const drawn = useMemo(() => graph.links.slice(0, MAX_DRAWN_LINKS), [graph.links]);
  const links = usePresence(drawn, (link) => link.key);
  const focus = graph.nodes.find((node) => node.agentId !== null && node.agentId === chosen);
  return (
    <div className="mesh" ref={box}>
      <svg className="mesh__picture" viewBox={`0 0 ${frame.width} ${frame.height}`}>
        <title>{summary(graph)}</title>
        <g>
          {links.items.map((entry) => (
            <LinkLine
              key={entry.item.key}
              entry={entry}
              places={remembered}
              focus={focus?.id ?? null}
              left={links.left}
            />
          ))}
        </g>
        {nodes.items.map((entry) => (
          <NodeMark
            key={entry.item.id}
            entry={entry}
            at={remembered.get(entry.item.id)}
            named={graph.nodes.length <= MAX_NAMES}
            chosen={entry.item.id === focus?.id}
            beside={focus?.linkedWith.includes(entry.item.label) ?? false}
            choose={choose}
            left={nodes.left}
          />
        ))}
      </svg>
      {graph.links.length > MAX_DRAWN_LINKS && (
        <p className="mesh__note">
          {MAX_DRAWN_LINKS.toLocaleString()} of {graph.links.length.toLocaleString()} links are drawn; the
          list has all.
        </p>
      )}
    </div>
  );
}

/** Where things are, and where those stood that are leaving. */
function useRemembered(places: Layout): Layout {
  const before = useRef<Layout>(places);
  return useMemo(() => {
    const merged = new Map([...before.current, ...places]);
    before.current = places;
    return merged;
  }, [places]);
}

function summary(graph: MeshGraph): string {
  return `${graph.nodes.length} agents and sidecars, ${graph.links.filter((link) => link.way !== "queue").length} open links`;
}

interface LinkLineProps {
  readonly entry: Present<MeshLink>;
  readonly places: Layout;
  readonly focus: string | null;
  readonly left: (key: string) => void;
}

function LinkLine({ entry, places, focus, left }: LinkLineProps) {
  const { item, leaving } = entry;
  const a = places.get(item.from);
  const b = places.get(item.to);
  if (!a || !b) return null;
  const d = `M${a.x} ${a.y}L${b.x} ${b.y}`;
  // `d` is a style too, so that a line glides along with its ends; the attribute serves browsers without it.
  const style: CSSProperties & { d: string } = { d: `path("${d}")`, strokeWidth: widthOf(item) };
  return (
    <path
      className={linkClass(item, leaving, focus)}
      data-link={leaving || item.way === "queue" ? undefined : item.key}
      data-way={item.way}
      d={d}
      style={style}
      {...(item.way === "direct" ? { pathLength: 1 } : {})}
      onAnimationEnd={() => left(item.key)}
    />
  );
}

/** Thicker with more work, slowly: a hundred times the work is three times the width. */
function widthOf(link: MeshLink): number {
  return 1.3 + Math.log10(1 + link.tasks) * 1.3;
}

function linkClass(link: MeshLink, leaving: boolean, focus: string | null): string {
  const way = link.way === "direct" ? "link-line" : `link-line link-line--${link.way}`;
  const base = leaving ? `${way} link-line--leaving` : way;
  if (focus === null) return base;
  return link.from === focus || link.to === focus ? `${base} link-line--chosen` : `${base} link-line--aside`;
}

interface NodeMarkProps {
  readonly entry: Present<MeshNode>;
  readonly at: Point | undefined;
  readonly named: boolean;
  readonly chosen: boolean;
  /** Whether it is linked with the chosen one. */
  readonly beside: boolean;
  readonly choose: (agent: string | null) => void;
  readonly left: (key: string) => void;
}

function NodeMark(props: NodeMarkProps) {
  const { entry, at, chosen, choose, left } = props;
  const { item, leaving } = entry;
  if (!at) return null;
  const toggle = () => choose(chosen ? null : item.agentId);
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    toggle();
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: an SVG group cannot be a button element.
    <g
      className={nodeClass(props)}
      data-node={leaving ? undefined : item.id}
      style={{ transform: `translate(${at.x}px, ${at.y}px)` }}
      role="button"
      tabIndex={leaving ? -1 : 0}
      aria-pressed={chosen}
      aria-label={nodeInWords(item)}
      onClick={toggle}
      onKeyDown={onKey}
      onAnimationEnd={() => left(item.id)}
    >
      <g className="node__body">
        <circle className="node__ring" r={17} />
        <circle className="node__dot" r={12} />
        <text className="node__name" y={32}>
          {shorten(item.label)}
        </text>{" "}
        {item.inFlight > 0 && (
          <text className="node__load">{item.inFlight > 99 ? "99+" : item.inFlight}</text>
        )}
      </g>
      <title>{nodeInWords(item)}</title>
    </g>
  );
}

function nodeClass({ entry: { item, leaving }, named, chosen, beside }: NodeMarkProps): string {
  const parts = ["node", `node--${item.health ?? "unknown"}`];
  if (!item.sidecar) parts.push("node--bare");
  if (!named) parts.push("node--unnamed");
  if (leaving) parts.push("node--leaving");
  if (chosen) parts.push("node--chosen");
  if (beside) parts.push("node--beside");
  return parts.join(" ");
}

/** It begins with what is written in the picture, so that it can be called by that. */
export function nodeInWords(node: MeshNode): string {
  const load = node.inFlight > 0 ? ` ${node.inFlight} in flight` : "";
  const who = node.agentId === null ? `${node.label}, a sidecar` : `${node.label}${load}, ${node.health}`;
  return `${who}, ${linksInWords(node)}`;
}

function linksInWords(node: MeshNode): string {
  if (!node.sidecar) return "without a sidecar";
  if (node.linkedWith.length === 0) return "no links";
  const relayed = node.relayed > 0 ? `, ${node.relayed} by way of a relay` : "";
  return `linked with ${node.linkedWith.slice(0, 20).join(", ")}${relayed}`;
}

function shorten(name: string): string {
  return name.length > NAME_CHARS ? `${name.slice(0, NAME_CHARS - 1)}…` : name;
}

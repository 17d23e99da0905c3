// Where the nodes of the graph stand. Pure and deterministic: the same graph gives the same picture.

import type { MeshGraph } from "./graph";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Frame {
  readonly width: number;
  readonly height: number;
}

export type Layout = ReadonlyMap<string, Point>;

/** Up to here a ring is the calmest picture: every link is visible and one more node moves the others little. */
const RING_MOST = 14;
/** Up to here forces are computed: their cost grows with the square. */
const FORCE_MOST = 200;
/** Rounds of the force layout: enough to settle `FORCE_MOST` nodes. */
const FORCE_ROUNDS = 160;
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));
/** Room for half a label at the sides and for a whole one below, pixels. */
const MARGIN = { x: 64, top: 34, bottom: 46 };

export function layout(graph: MeshGraph, frame: Frame): Layout {
  const ids = graph.nodes.map((node) => node.id);
  if (ids.length <= RING_MOST) return stretched(ring(ids), frame);
  if (ids.length > FORCE_MOST) return stretched(spiral(ids), frame);
  return stretched(forces(ids, graph), frame);
}

type Spot = [id: string, x: number, y: number];

function ring(ids: readonly string[]): Spot[] {
  // Two stand beside each other; three and more begin at the top.
  const turn = ids.length === 2 ? Math.PI : -Math.PI / 2;
  return ids.map((id, i) => {
    const angle = turn + (2 * Math.PI * i) / ids.length;
    return ids.length === 1 ? [id, 0, 0] : [id, Math.cos(angle), Math.sin(angle)];
  });
}

function spiral(ids: readonly string[]): Spot[] {
  return ids.map((id, i) => {
    const radius = Math.sqrt(i + 0.5);
    return [id, radius * Math.cos(i * GOLDEN_ANGLE), radius * Math.sin(i * GOLDEN_ANGLE)];
  });
}

/** Fruchterman and Reingold, 1991: linked nodes attract, all nodes repel, steps shrink. */
function forces(ids: readonly string[], graph: MeshGraph): Spot[] {
  const spots = spiral(ids);
  const index = new Map(ids.map((id, i) => [id, i]));
  const pairs = graph.links.flatMap((link) => {
    const a = index.get(link.from);
    const b = index.get(link.to);
    return a === undefined || b === undefined ? [] : [[a, b] as const];
  });
  const side = Math.sqrt(ids.length);
  for (let round = 0; round < FORCE_ROUNDS; round++) {
    step(spots, pairs, (side / 4) * (1 - round / FORCE_ROUNDS));
  }
  return spots;
}

function step(spots: Spot[], pairs: readonly (readonly [number, number])[], reach: number): void {
  // Gravity keeps the parts of a split mesh in one picture.
  const push = spots.map(([, x, y]) => ({ x: -x * 0.06, y: -y * 0.06 }));
  const move = (i: number, dx: number, dy: number) => {
    const p = push[i];
    if (p) {
      p.x += dx;
      p.y += dy;
    }
  };
  const between = (a: number, b: number, force: (distance: number) => number) => {
    const [p, q] = [spots[a], spots[b]];
    if (!p || !q) return;
    const [dx, dy] = [p[1] - q[1], p[2] - q[2]];
    const distance = Math.max(0.01, Math.hypot(dx, dy));
    const f = force(distance) / distance;
    move(a, dx * f, dy * f);
    move(b, -dx * f, -dy * f);
  };
  for (let a = 0; a < spots.length; a++) {
    for (let b = a + 1; b < spots.length; b++) between(a, b, (d) => 1 / d);
  }
  for (const [a, b] of pairs) between(a, b, (d) => -(d * d) / 4);
  for (const [i, spot] of spots.entries()) {
    const p = push[i] ?? { x: 0, y: 0 };
    const length = Math.max(0.001, Math.hypot(p.x, p.y));
    const by = Math.min(length, reach) / length;
    spot[1] += p.x * by;
    spot[2] += p.y * by;
  }
}

/** Stretches the picture over the frame, margins kept; a picture without extent stands in the middle. */
function stretched(spots: readonly Spot[], frame: Frame): Layout {
  const xs = spots.map((s) => s[1]);
  const ys = spots.map((s) => s[2]);
  const across = stretch(xs, MARGIN.x, frame.width - MARGIN.x);
  const down = stretch(ys, MARGIN.top, frame.height - MARGIN.bottom);
  return new Map(spots.map(([id, x, y]) => [id, { x: across(x), y: down(y) }]));
}

function stretch(values: readonly number[], from: number, to: number): (value: number) => number {
  const least = Math.min(...values);
  const extent = Math.max(...values) - least;
  const room = Math.max(0, to - from);
  if (extent < 1e-6) return () => Math.round((from + to) / 2);
  return (value) => Math.round((from + ((value - least) / extent) * room) * 10) / 10;
}

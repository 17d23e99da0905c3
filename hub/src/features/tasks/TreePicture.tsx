import { Link } from "@tanstack/react-router";
import { type HierarchyPointLink, type HierarchyPointNode, hierarchy, tree } from "d3-hierarchy";
import { useMemo } from "react";
import type { Task } from "../../generated/wire";
import { useNow } from "../../hub";
import { durationMs, receiver } from "../../lib/tasks";
import { duration } from "../../lib/time";
import { type Branch, rootIdOf, sizeOf, treeOf } from "../../lib/tree";
import { StateBadge } from "../../ui/Badge";
import { Data } from "../../ui/Data";
import { Empty } from "../../ui/Panel";

const NODE = { width: 208, height: 62 } as const;
const GAP = { across: 72, down: 14 } as const;
/** Most tasks drawn as a picture: beyond them the waterfall says more. */
const MOST = 400;

/** Who asked whom, from left to right: each box is a task, each line a delegation. */
export default function TreePicture({ tasks, task }: { tasks: readonly Task[]; task: Task }) {
  const branch = useMemo(() => treeOf(tasks, rootIdOf(task)), [tasks, task]);
  if (!branch) return <Empty title="The first task of this tree is no longer kept" />;
  const size = sizeOf(branch);
  if (size > MOST) {
    return <Empty title={`A tree of ${size.toLocaleString()} tasks`}>The waterfall shows all of them.</Empty>;
  }
  return <Picture branch={branch} size={size} current={task.id} />;
}

function Picture({ branch, size, current }: { branch: Branch; size: number; current: string }) {
  const root = tree<Branch>().nodeSize([NODE.height + GAP.down, NODE.width + GAP.across])(
    hierarchy(branch, (one) => one.children),
  );
  const nodes = root.descendants();
  const top = Math.min(...nodes.map((node) => node.x));
  const height = Math.max(...nodes.map((node) => node.x)) - top + NODE.height;
  const width = Math.max(...nodes.map((node) => node.y)) + NODE.width;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard.
    <section className="tree" aria-label={`Delegation tree of ${size} tasks`} tabIndex={0}>
      <div className="tree__room" style={{ width, height }}>
        <svg className="tree__lines" width={width} height={height} aria-hidden="true">
          {root.links().map((link) => (
            <path key={link.target.data.task.id} d={lineOf(link, top)} />
          ))}
        </svg>
        <ul>
          {nodes.map((node) => (
            <Box key={node.data.task.id} node={node} top={top} current={node.data.task.id === current} />
          ))}
        </ul>
      </div>
    </section>
  );
}

function lineOf({ source, target }: HierarchyPointLink<Branch>, top: number): string {
  const from = { x: source.y + NODE.width, y: source.x - top + NODE.height / 2 };
  const to = { x: target.y, y: target.x - top + NODE.height / 2 };
  const middle = (from.x + to.x) / 2;
  return `M${from.x} ${from.y}C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`;
}

interface BoxProps {
  readonly node: HierarchyPointNode<Branch>;
  readonly top: number;
  readonly current: boolean;
}

function Box({ node, top, current }: BoxProps) {
  const { task } = node.data;
  const took = durationMs(task, useNow());
  const agent = receiver(task);
  return (
    <li style={{ transform: `translate(${node.y}px, ${node.x - top}px)`, ...NODE }}>
      <Link
        to="/task"
        search={{ id: task.id, tab: "tree" }}
        className="tree__box"
        data-tree-task={task.id}
        aria-current={current ? "true" : undefined}
      >
        <span className="tree__skill">
          <Data text={task.skill || "task"} mono />
        </span>
        <StateBadge state={task.state} />
        <span className="tree__agent">
          <Data text={agent || "any agent"} />
        </span>
        <span className="tree__took">{took === null ? "–" : duration(took)}</span>
      </Link>
    </li>
  );
}

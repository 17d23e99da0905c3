import { useMemo } from "react";
import type { Task } from "../../generated/wire";
import { useNow } from "../../hub";
import { STATE_LABELS } from "../../lib/tasks";
import { duration } from "../../lib/time";
import { type Bar, rootIdOf, treeOf, waterfallOf } from "../../lib/tree";
import { AgentLink, TaskLink } from "../../ui/Links";
import { Empty } from "../../ui/Panel";

/** Most rows drawn. */
const MOST = 1_000;
/** Deepest step to the right, in rows: beyond it only the order tells the depth. */
const MAX_INDENT = 8;

/** When each task of the tree waited and worked, under each other, across agents. */
export default function WaterfallChart({ tasks, task }: { tasks: readonly Task[]; task: Task }) {
  const now = useNow();
  const branch = useMemo(() => treeOf(tasks, rootIdOf(task)), [tasks, task]);
  if (!branch) return <Empty title="The first task of this tree is no longer kept" />;
  const { bars, fromMs, toMs } = waterfallOf(branch, now);
  const span = toMs - fromMs;
  return (
    <div className="waterfall__frame">
      <table className="table waterfall" aria-label="Waterfall of the delegation tree">
        <thead>
          <tr>
            <th scope="col" className="waterfall__task">
              Task
            </th>
            <th scope="col" className="waterfall__agent">
              Agent
            </th>
            <th scope="col">
              <span className="waterfall__scale">
                <span>0</span>
                <span>{duration(span / 2)}</span>
                <span>{duration(span)}</span>
              </span>
            </th>
            <th scope="col" className="number waterfall__took">
              Took
            </th>
          </tr>
        </thead>
        <tbody>
          {bars.slice(0, MOST).map((bar) => (
            <tr
              key={bar.task.id}
              data-bar={bar.task.id}
              aria-current={bar.task.id === task.id ? "true" : undefined}
            >
              <td style={{ paddingInlineStart: 12 + 16 * Math.min(bar.depth, MAX_INDENT) }}>
                <TaskLink id={bar.task.id} text={bar.task.skill || "task"} />
              </td>
              <td>
                <AgentLink id={bar.agent} otherwise="any" />
              </td>
              <td>
                <Track bar={bar} fromMs={fromMs} span={span} />
              </td>
              <td className="number">{duration(bar.endMs - bar.askedMs)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {bars.length > MOST && (
        <p className="quiet">
          The first {MOST.toLocaleString()} of {bars.length.toLocaleString()} tasks.
        </p>
      )}
    </div>
  );
}

/** The thin part is waiting, the thick part work. */
function Track({ bar, fromMs, span }: { bar: Bar; fromMs: number; span: number }) {
  const at = (ms: number) => `${(((ms - fromMs) / span) * 100).toFixed(2)}%`;
  const size = (from: number, to: number) => `${((Math.max(0, to - from) / span) * 100).toFixed(2)}%`;
  const begun = bar.begunMs ?? bar.endMs;
  const words = `${STATE_LABELS[bar.task.state]}; began ${duration(begun - bar.askedMs)} after it was asked for`;
  return (
    <div className="track" role="img" aria-label={words} title={words}>
      <span className="track__wait" style={{ left: at(bar.askedMs), width: size(bar.askedMs, begun) }} />
      {bar.begunMs !== null && (
        <span
          className={`track__work track__work--${bar.task.state}`}
          style={{ left: at(bar.begunMs), width: size(bar.begunMs, bar.endMs) }}
        />
      )}
    </div>
  );
}

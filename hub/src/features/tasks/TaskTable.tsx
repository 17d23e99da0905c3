import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useCallback, useRef } from "react";
import type { Task } from "../../generated/wire";
import { useNow } from "../../hub";
import { durationMs, receiver } from "../../lib/tasks";
import { duration } from "../../lib/time";
import { StateBadge } from "../../ui/Badge";
import { Data } from "../../ui/Data";
import { Ago } from "../../ui/Times";

/** Height of a row before it is measured, pixels. */
const ROW_PX = 41;
/** Rows drawn beyond the visible ones, so that scrolling never shows a gap. */
const OVERSCAN = 12;

export interface TaskTableProps {
  readonly tasks: readonly Task[];
  readonly chosen: string | null;
  readonly choose: (change: { task: string | null }) => void;
}

/** Tasks as rows. Only those in sight are in the page, so thousands cost as much as a screenful. */
export function TaskTable({ tasks, chosen, choose }: TaskTableProps) {
  const scroll = useRef<HTMLDivElement>(null);
  const getItemKey = useCallback((index: number) => tasks[index]?.id ?? index, [tasks]);
  const virtual = useVirtualizer({
    count: tasks.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN,
    getItemKey,
    initialRect: { width: 1000, height: 600 },
  });
  const items = virtual.getVirtualItems();
  const above = items[0]?.start ?? 0;
  const below = virtual.getTotalSize() - (items.at(-1)?.end ?? 0);
  return (
    <div className="scroll scroll--tasks" ref={scroll}>
      <table className="table table--tasks" aria-labelledby="tasks-title" aria-rowcount={tasks.length + 1}>
        <thead>
          <tr>
            <th className="col-state">State</th>
            <th className="col-skill">Skill</th>
            <th className="col-route">From → to</th>
            <th className="col-path">Path</th>
            <th className="col-attempt number">Attempt</th>
            <th className="col-duration number">Duration</th>
            <th className="col-age number">Asked</th>
            <th className="col-error">Error</th>
          </tr>
        </thead>
        <tbody>
          <Spacer height={above} />
          {items.map((item) => {
            const task = tasks[item.index];
            if (!task) return null;
            return (
              <TaskRow
                key={item.key}
                index={item.index}
                measure={virtual.measureElement}
                task={task}
                chosen={task.id === chosen}
                choose={choose}
              />
            );
          })}
          <Spacer height={below} />
        </tbody>
      </table>
    </div>
  );
}

function Spacer({ height }: { height: number }) {
  if (height <= 0) return null;
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a row is not focusable; this one only holds the height of rows out of sight.
    <tr aria-hidden="true" className="spacer">
      <td colSpan={8} style={{ height }} />
    </tr>
  );
}

interface TaskRowProps {
  readonly index: number;
  readonly measure: (row: Element | null) => void;
  readonly task: Task;
  readonly chosen: boolean;
  readonly choose: (change: { task: string | null }) => void;
}

const TaskRow = memo(function TaskRow({ index, measure, task, chosen, choose }: TaskRowProps) {
  const attempt = task.attempt ?? 0;
  return (
    <tr
      ref={measure}
      data-index={index}
      data-task={task.id}
      aria-rowindex={index + 2}
      className={chosen ? "table__row table__row--chosen" : "table__row"}
      onClick={() => choose({ task: chosen ? null : task.id })}
    >
      <td className="col-state">
        <StateBadge state={task.state} />
      </td>
      <td className="col-skill">
        <button type="button" className="row-name" aria-pressed={chosen} title={`task ${task.id}`}>
          <Data text={task.skill || "no skill"} mono />
        </button>
        <div className="row-note row-note--narrow">
          <RouteText task={task} />
        </div>
      </td>
      <td className="col-route" title={`${task.source_agent_id || "outside"} → ${receiver(task) || "any"}`}>
        <RouteText task={task} />
      </td>
      <td className="col-path quiet">{attempt === 0 ? "–" : task.path}</td>
      <td className="col-attempt number quiet">
        {attempt}
        {attempt > 1 && task.max_attempts !== undefined && ` of ${task.max_attempts}`}
      </td>
      <td className="col-duration number">
        <Duration task={task} />
      </td>
      <td className="col-age number quiet">
        <Ago ms={task.created_at * 1000} />
      </td>
      <td
        className={task.state === "failed" ? "col-error" : "col-error quiet"}
        title={task.error?.slice(0, 400)}
      >
        {task.error && <Data text={task.error} />}
      </td>
    </tr>
  );
});

function RouteText({ task }: { task: Task }) {
  const to = receiver(task);
  return (
    <>
      {task.source_agent_id ? <Data text={task.source_agent_id} /> : <span className="quiet">outside</span>}
      <span className="quiet"> → </span>
      {to ? <Data text={to} /> : <span className="quiet">any</span>}
    </>
  );
}

function Duration({ task }: { task: Task }) {
  const ms = durationMs(task, useNow());
  return ms === null ? <span className="quiet">–</span> : duration(ms);
}

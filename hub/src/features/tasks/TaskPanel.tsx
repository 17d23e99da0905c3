import { useMemo } from "react";
import type { TaskState } from "../../generated/wire";
import { usePlace } from "../../hub";
import type { MeshState } from "../../lib/mesh-state";
import { countByState, filterTasks, newestFirst, STATE_LABELS, TASK_STATES } from "../../lib/tasks";
import { Empty, Panel } from "../../ui/Panel";
import { TaskTable } from "./TaskTable";

export function TaskPanel({ mesh }: { mesh: MeshState }) {
  const [place, go] = usePlace();
  const { state, agent } = place;
  const all = useMemo(() => newestFirst(mesh.tasks.values()), [mesh.tasks]);
  const ofAgent = useMemo(() => filterTasks(all, { state: null, agent }), [all, agent]);
  const shown = useMemo(() => filterTasks(ofAgent, { state, agent: null }), [ofAgent, state]);
  return (
    <Panel
      id="tasks"
      title="Tasks"
      count={
        <>
          {shown.length.toLocaleString()}
          {agent !== null && <AgentFilter agent={agent} clear={() => go({ agent: null })} />}
        </>
      }
      tools={
        <StateFilter counts={countByState(ofAgent)} state={state} choose={(next) => go({ state: next })} />
      }
    >
      {shown.length > 0 ? (
        <TaskTable tasks={shown} chosen={place.task} choose={go} />
      ) : (
        <NoTasks mesh={mesh} filtered={all.length > 0} clear={() => go({ state: null, agent: null })} />
      )}
    </Panel>
  );
}

function AgentFilter({ agent, clear }: { agent: string; clear: () => void }) {
  return (
    <span className="agent-filter">
      with <bdi>{agent}</bdi>
      <button type="button" className="link" onClick={clear}>
        show all
      </button>
    </span>
  );
}

interface StateFilterProps {
  readonly counts: Record<TaskState, number>;
  readonly state: TaskState | null;
  readonly choose: (state: TaskState | null) => void;
}

function StateFilter({ counts, state, choose }: StateFilterProps) {
  return (
    <fieldset className="filters" aria-label="Tasks by state">
      <button type="button" className="filter" aria-pressed={state === null} onClick={() => choose(null)}>
        all
      </button>
      {TASK_STATES.map((name) => (
        <button
          key={name}
          type="button"
          className="filter"
          aria-pressed={state === name}
          onClick={() => choose(state === name ? null : name)}
        >
          {STATE_LABELS[name]} <span className="filter__count">{counts[name].toLocaleString()}</span>
        </button>
      ))}
    </fieldset>
  );
}

function NoTasks({ mesh, filtered, clear }: { mesh: MeshState; filtered: boolean; clear: () => void }) {
  if (filtered) {
    return (
      <Empty title="No task fits this filter">
        <button type="button" className="link" onClick={clear}>
          Show all tasks
        </button>
      </Empty>
    );
  }
  return (
    <Empty title="No tasks yet">
      <span>
        {mesh.agents.size > 0
          ? "Ask an agent for something:"
          : "Once an agent is here, ask it for something:"}
      </span>
      <code>seamesh call SKILL '{"{}"}'</code>
    </Empty>
  );
}

import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useDeferredValue, useMemo, useState } from "react";
import type { Task } from "../../generated/wire";
import { useMay, useMesh } from "../../hub";
import { filterTasks, STATE_LABELS, TASK_STATES } from "../../lib/tasks";
import { fromLocalInput, localInput } from "../../lib/time";
import type { TasksSearch } from "../../lib/url";
import { DataTable } from "../../ui/DataTable";
import { Choices, Filter } from "../../ui/Filter";
import { Page } from "../../ui/Page";
import { Empty } from "../../ui/Panel";
import { useHeld } from "../../ui/use-held";
import { useSettled } from "../../ui/use-settled";
import { BulkBar } from "./BulkBar";
import { TASK_COLUMNS } from "./columns";
import { SavedViews } from "./SavedViews";
import { useOlder } from "./use-older";
import { useSpoken } from "./use-spoken";
import { useTaskList } from "./use-task-list";

const route = getRouteApi("/tasks");
const idOf = (task: Task) => task.id;

export function TasksPage() {
  // Fifty thousand rows may come a moment after what is typed and scrolled, never in its way.
  const mesh = useDeferredValue(useMesh());
  const search = useDeferredValue(route.useSearch());
  const navigate = useNavigate();
  const set = useCallback(
    (change: Partial<TasksSearch>, replace = false) =>
      void navigate({ to: "/tasks", search: (before: TasksSearch) => ({ ...before, ...change }), replace }),
    [navigate],
  );
  const older = useOlder(search);
  const ofAnyState = useMemo(() => ({ ...search, state: undefined }), [search]);
  const { rows: others, counts } = useTaskList(mesh.newest, ofAnyState);
  useSpoken(mesh.newest);
  const shown = useMemo(() => filterTasks(others, { state: search.state }), [others, search.state]);
  const [held, setHeld] = useState(false);
  // While somebody types, what they look for does not run away.
  const typing = useSettled(search.q) !== search.q;
  const rows = useHeld(shown, held || typing, idOf);
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const mark = useCallback(
    (id: string) =>
      setMarked((before) => {
        const next = new Set(before);
        if (!next.delete(id)) next.add(id);
        return next;
      }),
    [],
  );
  const open = useCallback(
    (task: Task) => void navigate({ to: "/task", search: { id: task.id } }),
    [navigate],
  );
  const works = useMay("work");
  return (
    <Page
      full
      title="Tasks"
      note={<Count shown={shown.length} more={older.more} fresh={rows.fresh} />}
      tools={<SavedViews search={search} />}
    >
      <div className="bar">
        <Filter
          label="Filter by id, skill, agent or error"
          value={search.q ?? ""}
          set={(q) => set({ q }, true)}
        />
        <Choices
          label="Tasks by state"
          choices={TASK_STATES.map((state) => [state, STATE_LABELS[state], counts[state]] as const)}
          current={search.state}
          choose={(state) => set({ state })}
        />
        <Span search={search} set={set} />
        <Given search={search} set={set} />
      </div>
      {works && marked.size > 0 && (
        <BulkBar marked={marked} tasks={mesh.tasks} shown={shown} setMarked={setMarked} />
      )}
      {rows.rows.length > 0 ? (
        <DataTable
          label="Tasks"
          noun="task"
          rows={rows.rows}
          columns={TASK_COLUMNS}
          keyOf={idOf}
          open={open}
          marked={marked}
          mark={works ? mark : undefined}
          atEnd={older.load}
          hold={setHeld}
        />
      ) : (
        <NoTasks filtered={mesh.newest.length > 0} agents={mesh.agents.size} loading={older.loading} />
      )}
      {older.failure && <p className="notice notice--bad">{older.failure}</p>}
    </Page>
  );
}

function Count({ shown, more, fresh }: { shown: number; more: boolean; fresh: number }) {
  return (
    <>
      <span data-testid="task-count">
        {shown.toLocaleString()}
        {more && "+"}
      </span>
      {fresh > 0 && <span className="fresh">{fresh.toLocaleString()} new, held back while you look</span>}
    </>
  );
}

/** When the tasks were asked for. */
function Span({ search, set }: { search: TasksSearch; set: (change: Partial<TasksSearch>) => void }) {
  return (["since", "until"] as const).map((key) => (
    <label key={key} className="moment-field">
      {key}
      <input
        type="datetime-local"
        className="input"
        value={localInput(search[key])}
        onChange={(event) => set({ [key]: fromLocalInput(event.target.value) })}
      />
    </label>
  ));
}

/** Filters that came by a link, each with its way out. */
function Given({ search, set }: { search: TasksSearch; set: (change: Partial<TasksSearch>) => void }) {
  const given = (["agent", "skill"] as const).filter((key) => search[key]);
  return given.map((key) => (
    <button key={key} type="button" className="given" onClick={() => set({ [key]: undefined })}>
      {key} <bdi>{search[key]?.slice(0, 60)}</bdi>
      <span aria-hidden="true">×</span>
      <span className="visually-hidden">, remove this filter</span>
    </button>
  ));
}

function NoTasks({ filtered, agents, loading }: { filtered: boolean; agents: number; loading: boolean }) {
  const navigate = useNavigate();
  if (loading) return <Empty title="Looking further back…" />;
  if (filtered) {
    return (
      <Empty title="No task fits this filter">
        <button type="button" className="link" onClick={() => void navigate({ to: "/tasks", search: {} })}>
          Show all tasks
        </button>
      </Empty>
    );
  }
  return (
    <Empty title="No tasks yet">
      <span>
        {agents > 0 ? "Ask an agent for something:" : "Once an agent is here, ask it for something:"}
      </span>
      <code>seamesh call SKILL '{"{}"}'</code>
    </Empty>
  );
}

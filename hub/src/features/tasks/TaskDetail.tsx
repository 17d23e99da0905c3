import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useRef } from "react";
import type { Task } from "../../generated/wire";
import { useHub, useNow, usePlace } from "../../hub";
import type { MeshState } from "../../lib/mesh-state";
import { whyState } from "../../lib/reason";
import { durationMs } from "../../lib/tasks";
import { jsonText } from "../../lib/text";
import { duration, moment } from "../../lib/time";
import { StateBadge } from "../../ui/Badge";
import { Data, LongText } from "../../ui/Data";

/** The task in the address, beside the page: all of it, asked for when it is opened and when it changes. */
export function TaskDetail({ mesh }: { mesh: MeshState }) {
  const [place, go] = usePlace();
  if (place.task === null) return null;
  return <Drawer key={place.task} id={place.task} mesh={mesh} close={() => go({ task: null })} />;
}

function Drawer({ id, mesh, close }: { id: string; mesh: MeshState; close: () => void }) {
  const { api } = useHub();
  const listed = mesh.tasks.get(id);
  const { data, error } = useQuery({
    // Another state or time in the stream is another answer: it is asked for then, and at no other time.
    queryKey: ["task", id, listed?.state, listed?.updated_at],
    queryFn: ({ signal }) => api.task(id, signal),
    placeholderData: keepPreviousData,
  });
  const task = data ?? listed;
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => title.current?.focus({ preventScroll: true }), []);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape") close();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [close]);
  return (
    <aside className="drawer" aria-labelledby="detail-title">
      <header className="drawer__head">
        <h2 id="detail-title" ref={title} tabIndex={-1}>
          <Data text={task?.skill || "Task"} mono />
        </h2>
        {task && <StateBadge state={listed?.state ?? task.state} />}
        <button type="button" className="button drawer__close" onClick={close}>
          Close
        </button>
      </header>
      {error && <p className="notice notice--bad">{error.message}</p>}
      {task && <Facts task={listed ? { ...task, ...sinceFetched(listed) } : task} mesh={mesh} />}
      {task && (
        <>
          {task.error && <Text title="Error" text={task.error} fileName={`${id}.error.txt`} tone="bad" />}
          <Text title="Result" text={jsonText(task.result)} fileName={`${id}.result.txt`} waits={!data} />
          <Text title="Payload" text={jsonText(task.payload)} fileName={`${id}.payload.txt`} waits={!data} />
        </>
      )}
    </aside>
  );
}

/** What the stream may know before the answer is here. */
function sinceFetched({ state, attempt, assigned_agent_id, updated_at, started_at }: Task): Partial<Task> {
  return {
    state,
    assigned_agent_id,
    updated_at,
    ...(attempt === undefined ? {} : { attempt }),
    ...(started_at === undefined ? {} : { started_at }),
  };
}

function Facts({ task, mesh }: { task: Task; mesh: MeshState }) {
  const now = useNow();
  const took = durationMs(task, now);
  return (
    <>
      <p className="drawer__why">{whyState(task, mesh)}</p>
      <dl className="facts">
        <Fact name="Id">
          <Data text={task.id} mono />
        </Fact>
        <Fact name="From">
          <Data text={task.source_agent_id || "outside the mesh"} />
        </Fact>
        <Fact name="To">
          <Data text={task.assigned_agent_id || task.target_agent_id || "any agent with the skill"} />
        </Fact>
        <Fact name="Path">{(task.attempt ?? 0) === 0 ? "not handed out yet" : task.path}</Fact>
        <Fact name="Attempt">
          {task.attempt ?? 0} of {task.max_attempts ?? "?"}
        </Fact>
        <Fact name="Duration">{took === null ? "–" : duration(took)}</Fact>
        <Fact name="Asked">{moment(task.created_at * 1000)}</Fact>
        {task.started_at != null && <Fact name="Started">{moment(task.started_at * 1000)}</Fact>}
        <Fact name="Changed">{moment(task.updated_at * 1000)}</Fact>
        <Fact name="Lives for">{duration(task.ttl * 1000)}</Fact>
        {task.error_code && <Fact name="Code">{task.error_code}</Fact>}
        {task.parent_id && (
          <Fact name="Asked by">
            <TaskLink id={task.parent_id} />
          </Fact>
        )}
        {task.root_id && task.root_id !== task.parent_id && (
          <Fact name="First task">
            <TaskLink id={task.root_id} />
          </Fact>
        )}
      </dl>
    </>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function TaskLink({ id }: { id: string }) {
  const [, go] = usePlace();
  return (
    <button type="button" className="link" onClick={() => go({ task: id })}>
      <Data text={id} mono />
    </button>
  );
}

interface TextProps {
  readonly title: string;
  readonly text: string;
  readonly fileName: string;
  readonly tone?: "bad";
  /** The answer that holds it is still on its way. */
  readonly waits?: boolean;
}

function Text({ title, text, fileName, tone, waits = false }: TextProps) {
  return (
    <section className={tone ? `drawer__text drawer__text--${tone}` : "drawer__text"}>
      <h3>{title}</h3>
      {text ? <LongText text={text} fileName={fileName} /> : <p className="quiet">{waits ? "…" : "none"}</p>}
    </section>
  );
}

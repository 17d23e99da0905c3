import { useMutation } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { lazy, type ReactNode, Suspense, useMemo, useState } from "react";
import type { Task } from "../../generated/wire";
import { useHub, useMay, useMesh, useNow } from "../../hub";
import { again } from "../../lib/again";
import { whyState } from "../../lib/reason";
import { callAsCli, callAsPython, taskAsCli } from "../../lib/snippets";
import { durationMs, isTerminal } from "../../lib/tasks";
import { jsonText } from "../../lib/text";
import { duration, moment } from "../../lib/time";
import { TASK_TABS } from "../../lib/url";
import { StateBadge } from "../../ui/Badge";
import { Copy, CopyAs } from "../../ui/Copy";
import { Data, LongText } from "../../ui/Data";
import { Fact, Facts } from "../../ui/Facts";
import { AgentLink, TaskLink } from "../../ui/Links";
import { Page } from "../../ui/Page";
import { Empty, Panel } from "../../ui/Panel";
import { Tabs } from "../../ui/Tabs";
import { Ago } from "../../ui/Times";
import { Confirm } from "./BulkBar";
import { QuestionForm } from "./QuestionForm";
import { StreamView } from "./StreamView";
import { Timeline } from "./Timeline";
import { useStream } from "./use-stream";
import { useTask, useTreeTasks } from "./use-task";
import "./task.css";

const TreePicture = lazy(() => import("./TreePicture"));
const WaterfallChart = lazy(() => import("./WaterfallChart"));

const route = getRouteApi("/task");
const NAMES = { overview: "Overview", tree: "Tree", waterfall: "Waterfall", json: "JSON" } as const;

export function TaskPage() {
  const { id, tab = "overview" } = route.useSearch();
  const navigate = useNavigate();
  const whole = useTask(id);
  const { task, error } = whole;
  const mesh = useMesh();
  if (!task) {
    return (
      <Page title="Task" note={<span className="mono">{id.slice(0, 128)}</span>}>
        {error ? (
          <Empty title={error.message}>
            <Link to="/tasks" search={{}} className="link">
              All tasks
            </Link>
          </Empty>
        ) : (
          <p className="waiting">Loading the task…</p>
        )}
      </Page>
    );
  }
  return (
    <Page
      title={<Data text={task.skill || "Task"} mono />}
      note={<StateBadge state={task.state} />}
      tools={<Deeds task={task} />}
    >
      <p className="task__why">
        <Data text={task.reason || whyState(task, mesh)} />
      </p>
      <Tabs
        label="The task"
        tabs={TASK_TABS.map((one) => [one, NAMES[one]] as const)}
        current={tab}
        choose={(next) => void navigate({ to: "/task", search: { id, tab: next }, replace: true })}
      >
        {tab === "overview" && <Overview task={task} events={whole.events} />}
        {tab === "json" && <Json task={task} />}
        {(tab === "tree" || tab === "waterfall") && (
          <Suspense fallback={<p className="waiting">Loading the tree…</p>}>
            <Tree task={task} as={tab} />
          </Suspense>
        )}
      </Tabs>
    </Page>
  );
}

function Tree({ task, as }: { task: Task; as: "tree" | "waterfall" }) {
  const { tasks, error } = useTreeTasks(task);
  if (error) return <p className="notice notice--bad">{error.message}</p>;
  return as === "tree" ? (
    <TreePicture tasks={tasks} task={task} />
  ) : (
    <WaterfallChart tasks={tasks} task={task} />
  );
}

interface OverviewProps {
  readonly task: Task;
  readonly events: Parameters<typeof Timeline>[0]["events"];
}

function Overview({ task, events }: OverviewProps) {
  const streamed = useStream(task);
  return (
    <div className="task">
      <div className="task__main">
        {task.state === "input_required" && task.question && (
          <Panel id="question" title="It asks">
            <QuestionForm key={`${task.id} ${task.question.number}`} task={task} question={task.question} />
          </Panel>
        )}
        {task.state === "assigned" && task.progress && <Progress task={task} />}
        {streamed && (
          <Panel id="stream" title="Stream" count={streamed.ended ? "to its end" : "as it comes"}>
            <StreamView streamed={streamed} />
          </Panel>
        )}
        {task.error && (
          <Text title="Error" id="error" text={task.error} fileName={`${task.id}.error.txt`} tone="bad" />
        )}
        <Text title="Result" id="result" text={jsonText(task.result)} fileName={`${task.id}.result.txt`} />
        <Text
          title="Payload"
          id="payload"
          text={jsonText(task.payload)}
          fileName={`${task.id}.payload.txt`}
        />
      </div>
      <div className="task__side">
        <Panel id="facts" title="Facts">
          <TaskFacts task={task} />
        </Panel>
        <Panel id="timeline" title="Timeline">
          <Timeline events={events} task={task} />
        </Panel>
      </div>
    </div>
  );
}

function Progress({ task }: { task: Task }) {
  const { fraction, note } = task.progress ?? {};
  const share = fraction == null ? undefined : Math.round(fraction * 100);
  return (
    <Panel id="progress" title="Progress" count={share === undefined ? undefined : `${share} %`}>
      <div className="progress">
        <progress
          max={1}
          {...(fraction == null ? {} : { value: fraction })}
          aria-label="Progress of the work"
        />
        <p>
          <Data text={note ?? ""} />
        </p>
      </div>
    </Panel>
  );
}

function TaskFacts({ task }: { task: Task }) {
  const took = durationMs(task, useNow());
  return (
    <Facts>
      <Fact name="Id">
        <span className="mono">{task.id}</span> <Copy text={task.id} what="id" />
      </Fact>
      <Fact name="From">
        <AgentLink id={task.source_agent_id} otherwise="outside the mesh" />
      </Fact>
      <Fact name="To">
        <AgentLink id={task.assigned_agent_id || task.target_agent_id} otherwise="any agent with the skill" />
      </Fact>
      <Fact name="Path">{task.attempt === 0 ? "not handed out yet" : task.path}</Fact>
      <Fact name="Attempt">
        {task.attempt} of {task.max_attempts}
      </Fact>
      <Fact name="Took">{took === null ? "–" : duration(took)}</Fact>
      <Fact name="Asked">
        <Ago ms={task.created_at * 1000} />
      </Fact>
      {task.started_at != null && <Fact name="Started">{moment(task.started_at * 1000)}</Fact>}
      <Fact name="Changed">{moment(task.updated_at * 1000)}</Fact>
      <Fact name="Lives for">{duration(task.ttl * 1000)}</Fact>
      {task.deadline_at != null && <Fact name="Deadline">{moment(task.deadline_at * 1000)}</Fact>}
      {task.not_before_at != null && <Fact name="Not before">{moment(task.not_before_at * 1000)}</Fact>}
      {task.priority !== 0 && <Fact name="Priority">{task.priority}</Fact>}
      {task.error_code && <Fact name="Code">{task.error_code}</Fact>}
      {task.parent_id && (
        <Fact name="Asked by task">
          <TaskLink id={task.parent_id} />
        </Fact>
      )}
      {task.root_id && task.root_id !== task.parent_id && (
        <Fact name="First task">
          <TaskLink id={task.root_id} />
        </Fact>
      )}
    </Facts>
  );
}

/** What can be done with the task, each also as a command. */
function Deeds({ task }: { task: Task }) {
  const { api } = useHub();
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const works = useMay("work");
  const cancel = useMutation({ mutationFn: () => api.cancel(task.id) });
  const repeat = useMutation({
    mutationFn: async () => api.submit(again(await api.task(task.id))),
    onSuccess: ({ task_id }) => void navigate({ to: "/task", search: { id: task_id } }),
  });
  const failure = cancel.error ?? repeat.error;
  const call = { skill: task.skill, to: task.target_agent_id, payload: task.payload };
  const ended = isTerminal(task.state);
  return (
    <>
      {failure && (
        <span role="alert" className="bad">
          {failure.message}
        </span>
      )}
      {ended ? (
        <CopyAs cli={callAsCli(call)} python={callAsPython(call)} />
      ) : (
        <CopyAs cli={taskAsCli("cancel", task.id)} />
      )}
      {works && ended && (
        <button type="button" className="button" disabled={repeat.isPending} onClick={() => repeat.mutate()}>
          Run again
        </button>
      )}
      {works && !ended && (
        <button type="button" className="button" disabled={cancel.isPending} onClick={() => setAsking(true)}>
          Cancel
        </button>
      )}
      {asking && (
        <Confirm
          title="Cancel this task?"
          text="It stops, and with it whatever it asked of others. This cannot be undone."
          yes="Cancel it"
          close={() => setAsking(false)}
          then={() => {
            setAsking(false);
            cancel.mutate();
          }}
        />
      )}
    </>
  );
}

function Json({ task }: { task: Task }) {
  const text = useMemo(() => JSON.stringify(task, null, 2), [task]);
  return (
    <div className="raw-json">
      <CopyAs cli={`${taskAsCli("show", task.id)} --json`} />
      <LongText text={text} fileName={`${task.id}.json`} />
    </div>
  );
}

interface TextProps {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly fileName: string;
  readonly tone?: "bad";
}

function Text({ id, title, text, fileName, tone }: TextProps): ReactNode {
  return (
    <Panel id={id} title={title} tools={text ? <Copy text={text} what={title.toLowerCase()} /> : undefined}>
      <div className={tone ? "text text--bad" : "text"}>
        {text ? <LongText text={text} fileName={fileName} /> : <p className="quiet">none</p>}
      </div>
    </Panel>
  );
}

import { Link } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import type { Task } from "../../generated/wire";
import { useMesh, useNow } from "../../hub";
import { byName, countByHealth } from "../../lib/agents";
import type { MeshState } from "../../lib/mesh-state";
import { perSecond, STEP_MS, STEPS, series } from "../../lib/pulse";
import { statsOf } from "../../lib/stats";
import { receiver } from "../../lib/tasks";
import { duration } from "../../lib/time";
import { HealthBadge, StateBadge } from "../../ui/Badge";
import { Data } from "../../ui/Data";
import { AgentLink, TaskLink } from "../../ui/Links";
import { Page } from "../../ui/Page";
import { Panel } from "../../ui/Panel";
import { Spark } from "../../ui/Spark";
import { Ago } from "../../ui/Times";

/** Rows of each short list. */
const ROWS = 8;
const MINUTES = (STEPS * STEP_MS) / 60_000;

/** Health at a glance: what waits for a person, what fails, what runs. */
export function OverviewPage() {
  const mesh = useMesh();
  if (mesh.agents.size === 0 && mesh.newest.length === 0) return <FirstSteps />;
  return (
    <Page title="Overview">
      <Figures mesh={mesh} />
      <div className="overview">
        <Waiting mesh={mesh} />
        <Failures mesh={mesh} />
        <Running mesh={mesh} />
        <Away mesh={mesh} />
      </div>
    </Page>
  );
}

function FirstSteps() {
  return (
    <Page title="Overview">
      <section className="first" aria-label="First steps">
        <h2>The mesh is empty. Three steps fill it:</h2>
        <ol>
          <li>
            <strong>Make an agent</strong> and start it, in an empty directory:
            <code>seamesh init &amp;&amp; seamesh run</code>
          </li>
          <li>
            <strong>Ask it for something</strong>, from anywhere:
            <code>seamesh call SKILL '{"{}"}'</code>
          </li>
          <li>
            <strong>Watch</strong> here: the agent, its links and every task appear as they happen.
          </li>
        </ol>
      </section>
    </Page>
  );
}

function Figures({ mesh }: { mesh: MeshState }) {
  const now = useNow();
  const health = useMemo(() => countByHealth(mesh.agents.values()), [mesh.agents]);
  const { counts } = mesh;
  const away = health.stale + health.offline;
  const running = counts.assigned + counts.input_required;
  const rate = perSecond(mesh.pulse, now, 30);
  const latency = useMemo(() => statsOf(mesh.newest.slice(0, 500)), [mesh.newest]);
  const line = (key: "completed" | "failed") => series(mesh.pulse, key, now);
  return (
    <ul className="tiles" aria-label="The mesh at a glance">
      <Tile name="Agents" value={health.active} to={<Link to="/agents" search={{}} />} id="active">
        {away > 0 ? <span className="warn">{away.toLocaleString()} away</span> : "all active"}
      </Tile>
      <Tile name="Links" value={mesh.links.size} to={<Link to="/mesh" search={{}} />} id="links">
        open between sidecars
      </Tile>
      <Tile
        name="In flight"
        value={running}
        to={<Link to="/tasks" search={{ state: "assigned" }} />}
        id="running"
      >
        {counts.pending.toLocaleString()} pending
      </Tile>
      <Tile name="p95" text={latency.p95Ms === null ? "–" : duration(latency.p95Ms)} id="p95">
        of the last {latency.ended.toLocaleString()} ended
      </Tile>
      <Tile
        name="Completed"
        value={counts.completed}
        to={<Link to="/tasks" search={{ state: "completed" }} />}
        id="completed"
      >
        <Spark values={line("completed")} label={`Completed tasks in the last ${MINUTES} minutes`} />
      </Tile>
      <Tile
        name="Failed"
        value={counts.failed}
        tone={counts.failed > 0 ? "bad" : ""}
        to={<Link to="/tasks" search={{ state: "failed" }} />}
        id="failed"
      >
        <Spark values={line("failed")} label={`Failed tasks in the last ${MINUTES} minutes`} tone="bad" />
      </Tile>
      <Tile
        name="Events"
        text={`${rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString()}/s`}
        to={<Link to="/events" search={{}} />}
        id="events"
      >
        <Spark values={series(mesh.pulse, "events", now)} label={`Events in the last ${MINUTES} minutes`} />
      </Tile>
    </ul>
  );
}

interface TileProps {
  readonly id: string;
  readonly name: string;
  readonly value?: number;
  readonly text?: string;
  readonly tone?: string;
  readonly to?: React.ReactElement<{ className?: string; children?: ReactNode }>;
  readonly children: ReactNode;
}

function Tile({ id, name, value, text, tone = "", to, children }: TileProps) {
  const shown = text ?? (value ?? 0).toLocaleString();
  return (
    <li className={`tile ${tone && `tile--${tone}`}`} data-count={id}>
      <span className="tile__name">{to ? <to.type {...to.props}>{name}</to.type> : name}</span>
      <span className="tile__value">{shown}</span>
      <span className="tile__note">{children}</span>
    </li>
  );
}

function Waiting({ mesh }: { mesh: MeshState }) {
  const questions = useMemo(
    () => mesh.newest.filter((task) => task.state === "input_required").slice(0, ROWS),
    [mesh.newest],
  );
  const newcomers = [...mesh.newcomers.values()].slice(0, ROWS);
  const count = mesh.counts.input_required + mesh.newcomers.size;
  return (
    <Panel
      id="waiting"
      title="Needs a person"
      count={count}
      tools={
        <Link to="/inbox" className="link">
          Inbox
        </Link>
      }
    >
      {count === 0 ? (
        <p className="panel__text quiet">Nobody waits for you.</p>
      ) : (
        <ul className="lines">
          {newcomers.map((entry) => (
            <li key={entry.id} className="line">
              <span className="badge badge--warn">newcomer</span>
              <span className="line__text">
                <Data text={entry.agent_name} /> asks to join
              </span>
              <Link to="/inbox" className="link">
                Decide
              </Link>
            </li>
          ))}
          {questions.map((task) => (
            <TaskLine key={task.id} task={task} note={task.question?.prompt ?? ""} />
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Failures({ mesh }: { mesh: MeshState }) {
  const failed = useMemo(
    () => mesh.newest.filter((task) => task.state === "failed").slice(0, ROWS),
    [mesh.newest],
  );
  return (
    <Panel
      id="failures"
      title="Failures"
      count={mesh.counts.failed}
      tools={
        <Link to="/tasks" search={{ state: "failed" }} className="link">
          All failures
        </Link>
      }
    >
      {failed.length === 0 ? (
        <p className="panel__text quiet">None among the tasks known here.</p>
      ) : (
        <ul className="lines">
          {failed.map((task) => (
            <TaskLine key={task.id} task={task} note={task.error || (task.error_code ?? "")} />
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Running({ mesh }: { mesh: MeshState }) {
  const running = useMemo(
    () => mesh.newest.filter((task) => task.state === "assigned" || task.state === "pending").slice(0, ROWS),
    [mesh.newest],
  );
  return (
    <Panel
      id="running"
      title="Work in flight"
      count={mesh.counts.assigned + mesh.counts.pending}
      tools={
        <Link to="/tasks" search={{}} className="link">
          All tasks
        </Link>
      }
    >
      {running.length === 0 ? (
        <p className="panel__text quiet">
          Nothing runs. <code>seamesh call SKILL '{"{}"}'</code> asks for something.
        </p>
      ) : (
        <ul className="lines">
          {running.map((task) => (
            <TaskLine key={task.id} task={task} note={task.progress?.note ?? ""} />
          ))}
        </ul>
      )}
    </Panel>
  );
}

function TaskLine({ task, note }: { task: Task; note: string }) {
  return (
    <li className="line" data-task={task.id}>
      <StateBadge state={task.state} />
      <span className="line__text">
        <TaskLink id={task.id} text={task.skill || "task"} />
        {receiver(task) && (
          <>
            {" "}
            <span className="quiet">at</span> <AgentLink id={receiver(task)} />
          </>
        )}
        {note && (
          <span className="line__note">
            <Data text={note} />
          </span>
        )}
      </span>
      <span className="line__at">
        <Ago ms={task.created_at * 1000} />
      </span>
    </li>
  );
}

function Away({ mesh }: { mesh: MeshState }) {
  const away = useMemo(
    () => byName(mesh.agents.values()).filter(({ record }) => record.health !== "active"),
    [mesh.agents],
  );
  const busy = useMemo(
    () =>
      [...mesh.agents.values()]
        .filter(({ record }) => record.health === "active")
        .sort((a, b) => b.record.tasks_in_flight - a.record.tasks_in_flight)
        .slice(0, Math.max(0, ROWS - away.length)),
    [mesh.agents, away.length],
  );
  return (
    <Panel
      id="agents"
      title="Agents"
      count={mesh.agents.size}
      tools={
        <Link to="/agents" search={{}} className="link">
          All agents
        </Link>
      }
    >
      {mesh.agents.size === 0 && <p className="panel__text quiet">None is here.</p>}
      <ul className="lines">
        {[...away.slice(0, ROWS), ...busy].map(({ record }) => (
          <li key={record.agent_id} className="line" data-agent={record.agent_id}>
            <HealthBadge health={record.health} />
            <span className="line__text">
              <AgentLink id={record.agent_id} />
              {record.description && (
                <span className="line__note">
                  <Data text={record.description} />
                </span>
              )}
            </span>
            <span className="line__at">{record.tasks_in_flight} in flight</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

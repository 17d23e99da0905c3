import { useMutation } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import type { AgentRecord, SkillInfo, Task } from "../../generated/wire";
import { useHub, useMay, useMesh } from "../../hub";
import { skillNames } from "../../lib/agents";
import { meshGraph } from "../../lib/graph";
import type { AgentEntry, MeshState } from "../../lib/mesh-state";
import { statsOf } from "../../lib/stats";
import { involves, receiver } from "../../lib/tasks";
import { duration, moment } from "../../lib/time";
import { AGENT_TABS } from "../../lib/url";
import { HealthBadge } from "../../ui/Badge";
import { CopyAs } from "../../ui/Copy";
import { Data, LongText } from "../../ui/Data";
import { DataTable } from "../../ui/DataTable";
import { Fact, Facts } from "../../ui/Facts";
import { AgentLink } from "../../ui/Links";
import { Page } from "../../ui/Page";
import { Empty, Panel } from "../../ui/Panel";
import { Tabs } from "../../ui/Tabs";
import { SHORT_COLUMNS } from "../tasks/columns";
import { LastBeat } from "./AgentsPage";
import { TrySkill } from "./TrySkill";
import "./agent.css";

const route = getRouteApi("/agent");
const taskId = (task: Task) => task.id;
/** Most recent tasks listed here; the task list has all. */
const RECENT = 50;
const NAMES = { overview: "Overview", json: "JSON" } as const;

export function AgentPage() {
  const { id, skill, tab = "overview" } = route.useSearch();
  const navigate = useNavigate();
  const mesh = useMesh();
  const entry = mesh.agents.get(id);
  if (!entry) {
    return (
      <Page title={<Data text={id} />}>
        <Empty title="There is no such agent in the mesh">
          <span>It left, or it never was here.</span>
          <Link to="/tasks" search={{ agent: id }} className="link">
            Tasks it had part in
          </Link>
        </Empty>
      </Page>
    );
  }
  const { record } = entry;
  return (
    <Page
      title={<Data text={id} />}
      note={<HealthBadge health={record.health} />}
      tools={<Deeds record={record} />}
    >
      {record.description && (
        <p className="lead">
          <Data text={record.description} />
        </p>
      )}
      <Tabs
        label="The agent"
        tabs={AGENT_TABS.map((one) => [one, NAMES[one]] as const)}
        current={tab}
        choose={(next) => void navigate({ to: "/agent", search: { id, skill, tab: next }, replace: true })}
      >
        {tab === "json" ? <Json record={record} /> : <Overview entry={entry} skill={skill} mesh={mesh} />}
      </Tabs>
    </Page>
  );
}

interface OverviewProps {
  readonly entry: AgentEntry;
  readonly skill: string | undefined;
  readonly mesh: MeshState;
}

function Overview({ entry, skill, mesh }: OverviewProps) {
  const { record } = entry;
  const id = record.agent_id;
  return (
    <div className="agent">
      <div className="agent__main">
        <Skills key={id} record={record} chosen={skill} />
        <Recent id={id} mesh={mesh} />
      </div>
      <div className="agent__side">
        <Numbers id={id} mesh={mesh} />
        <Panel id="agent-facts" title="Facts">
          <AgentFacts entry={entry} />
        </Panel>
        <Links id={id} mesh={mesh} />
      </div>
    </div>
  );
}

function Json({ record }: { record: AgentRecord }) {
  const text = useMemo(() => JSON.stringify(record, null, 2), [record]);
  return (
    <div className="raw-json">
      <CopyAs cli="seamesh agents --json" about="listing agents" />
      <LongText text={text} fileName={`${record.agent_id}.json`} />
    </div>
  );
}

function Deeds({ record }: { record: AgentRecord }) {
  const { api } = useHub();
  const works = useMay("work");
  const navigate = useNavigate();
  const remove = useMutation({
    mutationFn: () => api.removeAgent(record.agent_id),
    onSuccess: () => void navigate({ to: "/agents", search: {} }),
  });
  return (
    <>
      {remove.error && (
        <span role="alert" className="bad">
          {remove.error.message}
        </span>
      )}
      <Link to="/mesh" search={{ agent: record.agent_id }} className="button">
        In the mesh
      </Link>
      {works && (
        <Link to="/chat" search={{ agent: record.agent_id }} className="button">
          Talk to it
        </Link>
      )}
      {works && record.health === "offline" && (
        <button type="button" className="button" onClick={() => remove.mutate()} disabled={remove.isPending}>
          Remove
        </button>
      )}
    </>
  );
}

function AgentFacts({ entry }: { entry: AgentEntry }) {
  const { record } = entry;
  return (
    <Facts>
      <Fact name="Host">
        <Data text={record.hostname || "–"} />
      </Fact>
      <Fact name="Version">
        <Data text={record.version || "–"} />
      </Fact>
      <Fact name="Sidecar">
        <Data
          text={record.sidecar_peer_id || "none: it beats over HTTP"}
          mono={record.sidecar_peer_id !== ""}
        />
      </Fact>
      <Fact name="In flight">
        {record.tasks_in_flight}
        {record.max_concurrent > 0 && ` of ${record.max_concurrent}`}
      </Fact>
      <Fact name="Last beat">
        <LastBeat entry={entry} />
      </Fact>
      <Fact name="Registered">{moment(Date.parse(record.registered_at))}</Fact>
      {record.mode && (
        <Fact name="Mode">
          <Data text={record.mode} />
        </Fact>
      )}
      {record.status && (
        <Fact name="Status">
          <Data text={record.status} />
        </Fact>
      )}
    </Facts>
  );
}

/** Over the tasks that the page knows. */
function Numbers({ id, mesh }: { id: string; mesh: MeshState }) {
  const stats = useMemo(
    () => statsOf(mesh.newest.filter((task) => receiver(task) === id)),
    [mesh.newest, id],
  );
  const ms = (value: number | null) => (value === null ? "–" : duration(value));
  return (
    <Panel id="latency" title="Latency" count={`${stats.ended.toLocaleString()} ended`}>
      <dl className="figures">
        <Figure name="p50" value={ms(stats.p50Ms)} />
        <Figure name="p95" value={ms(stats.p95Ms)} />
        <Figure name="p99" value={ms(stats.p99Ms)} />
        <Figure name="failed" value={stats.failed.toLocaleString()} tone={stats.failed > 0 ? "bad" : ""} />
      </dl>
    </Panel>
  );
}

function Figure({ name, value, tone = "" }: { name: string; value: string; tone?: string }) {
  return (
    <div className={`figure ${tone && `figure--${tone}`}`}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Links({ id, mesh }: { id: string; mesh: MeshState }) {
  const { agents, links } = mesh;
  const node = useMemo(
    () => meshGraph({ agents, links }).nodes.find((one) => one.agentId === id),
    [agents, links, id],
  );
  const linked = node?.linkedWith ?? [];
  return (
    <Panel id="agent-links" title="Links" count={linked.length}>
      {linked.length === 0 ? (
        <p className="panel__text quiet">
          {node?.sidecar
            ? "No open link. Work reaches it through the queue."
            : "It has no sidecar, so no links."}
        </p>
      ) : (
        <ul className="agent__links">
          {linked.slice(0, 60).map((label) => (
            <li key={label}>{agents.has(label) ? <AgentLink id={label} /> : <Data text={label} mono />}</li>
          ))}
          {linked.length > 60 && <li className="quiet">and {linked.length - 60} more</li>}
        </ul>
      )}
    </Panel>
  );
}

function Skills({ record, chosen }: { record: AgentRecord; chosen: string | undefined }) {
  const navigate = useNavigate();
  const works = useMay("work");
  const infos: readonly SkillInfo[] = skillNames(record).map(
    (name) => record.skills.find((one) => one.name === name) ?? { name, description: "" },
  );
  const choose = (skill: string | undefined) =>
    void navigate({ to: "/agent", search: { id: record.agent_id, skill }, replace: true });
  return (
    <Panel id="skills" title="Skills" count={infos.length}>
      {infos.length === 0 && <p className="panel__text quiet">It offers none.</p>}
      <ul className="skill-list">
        {infos.map((info) => {
          const open = info.name === chosen;
          return (
            <li key={info.name} className="skill">
              <div className="skill__head">
                <h3 className="skill__name">
                  <Data text={info.name} mono />
                </h3>
                <p className="skill__text">
                  <Data text={info.description} />
                </p>
                <button
                  type="button"
                  className="button"
                  aria-expanded={open}
                  onClick={() => choose(open ? undefined : info.name)}
                >
                  {works ? "Try it" : "Schema"}
                </button>
              </div>
              {open && works && <TrySkill agent={record.agent_id} skill={info} />}
              {open && <Schema skill={info} agent={record.agent_id} />}
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

function Schema({ skill, agent }: { skill: SkillInfo; agent: string }) {
  return (
    <details className="skill__schema">
      <summary>Schema and callers</summary>
      <p className="quiet">
        {skill.callers
          ? skill.callers.length > 0
            ? `Only these agents may call it: ${skill.callers.slice(0, 40).join(", ")}`
            : "No agent may call it; people may."
          : "Every agent may call it."}
      </p>
      <LongText
        text={skill.input_schema ? JSON.stringify(skill.input_schema, null, 2) : "It takes anything."}
        fileName={`${agent}.schema.json`}
      />
    </details>
  );
}

function Recent({ id, mesh }: { id: string; mesh: MeshState }) {
  const navigate = useNavigate();
  const tasks = useMemo(
    () => mesh.newest.filter((task) => involves(task, id)).slice(0, RECENT),
    [mesh.newest, id],
  );
  return (
    <Panel
      id="recent"
      title="Recent tasks"
      tools={
        <Link to="/tasks" search={{ agent: id }} className="link">
          All of them
        </Link>
      }
    >
      {tasks.length === 0 ? (
        <p className="panel__text quiet">None yet.</p>
      ) : (
        <div className="recent">
          <DataTable
            label="Recent tasks"
            noun="task"
            rows={tasks}
            columns={SHORT_COLUMNS}
            keyOf={taskId}
            open={(task) => void navigate({ to: "/task", search: { id: task.id } })}
          />
        </div>
      )}
    </Panel>
  );
}

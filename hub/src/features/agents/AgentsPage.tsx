import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { useMesh, useNow } from "../../hub";
import { byName, countByHealth, filterAgents, HEALTHS, lastBeat, skillNames } from "../../lib/agents";
import type { AgentEntry } from "../../lib/mesh-state";
import { moment } from "../../lib/time";
import type { AgentsSearch } from "../../lib/url";
import { HealthBadge } from "../../ui/Badge";
import { Data } from "../../ui/Data";
import { type Column, DataTable } from "../../ui/DataTable";
import { Choices, Filter } from "../../ui/Filter";
import { AgentLink } from "../../ui/Links";
import { Page } from "../../ui/Page";
import { Empty } from "../../ui/Panel";

const route = getRouteApi("/agents");
const idOf = (entry: AgentEntry) => entry.record.agent_id;

export function AgentsPage() {
  const { agents } = useMesh();
  const search = route.useSearch();
  const navigate = useNavigate();
  const set = (change: Partial<AgentsSearch>, replace = false) =>
    void navigate({ to: "/agents", search: (before: AgentsSearch) => ({ ...before, ...change }), replace });
  const all = useMemo(() => byName(agents.values()), [agents]);
  const counts = useMemo(() => countByHealth(all), [all]);
  const shown = useMemo(() => filterAgents(all, search), [all, search]);
  const open = useCallback(
    (entry: AgentEntry) => void navigate({ to: "/agent", search: { id: idOf(entry) } }),
    [navigate],
  );
  return (
    <Page full title="Agents" note={shown.length.toLocaleString()}>
      <div className="bar">
        <Filter label="Filter by name, skill or host" value={search.q ?? ""} set={(q) => set({ q }, true)} />
        <Choices
          label="Agents by health"
          choices={HEALTHS.map((health) => [health, health, counts[health]] as const)}
          current={search.health}
          choose={(health) => set({ health })}
        />
      </div>
      {shown.length > 0 ? (
        <DataTable label="Agents" noun="agent" rows={shown} columns={COLUMNS} keyOf={idOf} open={open} />
      ) : all.length > 0 ? (
        <Empty title="No agent fits this filter">
          <button type="button" className="link" onClick={() => void navigate({ to: "/agents", search: {} })}>
            Show all agents
          </button>
        </Empty>
      ) : (
        <NoAgents />
      )}
    </Page>
  );
}

export function NoAgents() {
  return (
    <Empty title="No agents yet">
      <span>Make one in an empty directory and start it:</span>
      <code>seamesh init &amp;&amp; seamesh run</code>
    </Empty>
  );
}

const COLUMNS: readonly Column<AgentEntry>[] = [
  {
    key: "health",
    head: "Health",
    className: "col-health",
    cell: ({ record }) => <HealthBadge health={record.health} />,
  },
  {
    key: "name",
    head: "Agent",
    className: "col-name",
    cell: ({ record }) => <AgentLink id={record.agent_id} />,
  },
  {
    key: "skills",
    head: "Skills",
    className: "col-skills",
    cell: ({ record }) => <Skills names={skillNames(record)} />,
  },
  {
    key: "host",
    head: "Host",
    className: "col-host wide",
    cell: ({ record }) => <Data text={record.hostname || "–"} />,
  },
  {
    key: "version",
    head: "Version",
    className: "col-version wide",
    cell: ({ record }) => <Data text={record.version || "–"} />,
  },
  {
    key: "load",
    head: "In flight",
    className: "col-load number",
    cell: ({ record }) =>
      record.max_concurrent > 0
        ? `${record.tasks_in_flight} of ${record.max_concurrent}`
        : record.tasks_in_flight,
  },
  {
    key: "beat",
    head: "Last beat",
    className: "col-beat number wide",
    cell: (entry) => <LastBeat entry={entry} />,
  },
];

function Skills({ names }: { names: readonly string[] }) {
  if (names.length === 0) return <span className="quiet">none</span>;
  return (
    <span className="skills mono" title={names.join(", ").slice(0, 2000)}>
      <Data text={names.slice(0, 12).join(", ")} />
    </span>
  );
}

export function LastBeat({ entry }: { entry: AgentEntry }) {
  const now = useNow();
  const exact = moment(Date.parse(entry.record.last_heartbeat));
  return <span title={`last known beat: ${exact}`}>{lastBeat(entry, now)}</span>;
}

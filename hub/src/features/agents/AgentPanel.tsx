import { memo, useMemo } from "react";
import { useNow, usePlace } from "../../hub";
import { byName, lastBeat, skillNames } from "../../lib/agents";
import type { AgentEntry, MeshState } from "../../lib/mesh-state";
import { moment } from "../../lib/time";
import { HealthBadge } from "../../ui/Badge";
import { Data } from "../../ui/Data";
import { Empty, Panel } from "../../ui/Panel";

/** Most skills shown as chips in a row; the rest is counted. */
const CHIPS = 8;

export function AgentPanel({ mesh }: { mesh: MeshState }) {
  const [place, go] = usePlace();
  const agents = useMemo(() => byName(mesh.agents.values()), [mesh.agents]);
  return (
    <Panel id="agents" title="Agents" count={agents.length || undefined}>
      {agents.length === 0 ? (
        <Empty title="No agents yet">
          <span>Make one in an empty directory and start it:</span>
          <code>seamesh init &amp;&amp; seamesh run</code>
        </Empty>
      ) : (
        <div className="scroll">
          <table className="table table--agents" aria-labelledby="agents-title">
            <thead>
              <tr>
                <th className="col-name">Agent</th>
                <th className="col-health">Health</th>
                <th className="col-skills">Skills</th>
                <th className="col-host">Host</th>
                <th className="col-flight number">In flight</th>
                <th className="col-beat">Last beat</th>
              </tr>
            </thead>
            <tbody>
              {agents.map((entry) => (
                <AgentRow
                  key={entry.record.agent_id}
                  entry={entry}
                  chosen={place.agent === entry.record.agent_id}
                  choose={go}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

interface AgentRowProps {
  readonly entry: AgentEntry;
  readonly chosen: boolean;
  readonly choose: (change: { agent: string | null }) => void;
}

const AgentRow = memo(function AgentRow({ entry, chosen, choose }: AgentRowProps) {
  const { record } = entry;
  const inFlight = record.tasks_in_flight ?? 0;
  const toggle = () => choose({ agent: chosen ? null : record.agent_id });
  return (
    <tr
      className={chosen ? "table__row table__row--chosen" : "table__row"}
      data-agent={record.agent_id}
      onClick={toggle}
    >
      <td className="col-name">
        <button type="button" className="row-name" aria-pressed={chosen} title={record.agent_id}>
          <Data text={record.agent_id} />
        </button>
        {record.description && (
          <div className="row-note" title={record.description.slice(0, 400)}>
            <Data text={record.description} />
          </div>
        )}
      </td>
      <td className="col-health">
        <HealthBadge health={record.health} />
      </td>
      <td className="col-skills">
        <Skills names={skillNames(record)} />
      </td>
      <td className="col-host quiet" title={record.hostname}>
        <Data text={record.hostname || "–"} />
      </td>
      <td className={inFlight > 0 ? "col-flight number" : "col-flight number quiet"}>{inFlight}</td>
      <td className="col-beat quiet">
        <LastBeat entry={entry} />
      </td>
    </tr>
  );
});

function Skills({ names }: { names: readonly string[] }) {
  if (names.length === 0) return <span className="quiet">none</span>;
  return (
    <ul className="chips">
      {names.slice(0, CHIPS).map((name) => (
        <li key={name} className="chip" title={name.slice(0, 400)}>
          <Data text={name} />
        </li>
      ))}
      {names.length > CHIPS && (
        <li className="quiet" title={names.slice(CHIPS).join(", ").slice(0, 2000)}>
          and {names.length - CHIPS} more
        </li>
      )}
    </ul>
  );
}

function LastBeat({ entry }: { entry: AgentEntry }) {
  const now = useNow();
  const exact = moment(Date.parse(entry.record.last_heartbeat));
  return <span title={`last known beat: ${exact}`}>{lastBeat(entry, now)}</span>;
}

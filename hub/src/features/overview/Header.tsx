import { useMemo } from "react";
import type { SessionAnswer } from "../../generated/wire";
import { useLive, usePlace } from "../../hub";
import { countByHealth } from "../../lib/agents";
import type { Connection } from "../../lib/live";
import type { MeshState } from "../../lib/mesh-state";
import { countByState } from "../../lib/tasks";
import { Mark } from "../../ui/Mark";

export interface HeaderProps {
  readonly session: SessionAnswer;
  readonly logout: () => void;
}

export function Header({ session, logout }: HeaderProps) {
  const { mesh, connection, refused } = useLive();
  return (
    <header className="header">
      <h1 className="brand">
        <Mark />
        seamesh
      </h1>
      {mesh && <Counts mesh={mesh} />}
      <div className="header__end">
        <ConnectionState connection={connection} refused={refused} />
        <span className="who" title={`Logged in as ${session.peer_id}, ${session.role}`}>
          {session.peer_id === session.role ? session.role : `${session.peer_id}, ${session.role}`}
        </span>
        <button type="button" className="button" onClick={logout}>
          Log out
        </button>
      </div>
    </header>
  );
}

function Counts({ mesh }: { mesh: MeshState }) {
  const [, go] = usePlace();
  const health = useMemo(() => countByHealth(mesh.agents.values()), [mesh.agents]);
  const states = useMemo(() => countByState(mesh.tasks.values()), [mesh.tasks]);
  const away = health.stale + health.offline;
  return (
    <ul className="counts" aria-label="The mesh at a glance">
      <Count label="active" value={health.active} tone="ok" />
      <Count label="away" value={away} tone={away > 0 ? "warn" : ""} />
      <Count label="links" value={mesh.links.size} />
      <Count label="pending" value={states.pending} onClick={() => go({ state: "pending" })} />
      <Count
        label="running"
        value={states.assigned + states.input_required}
        tone={states.assigned > 0 ? "busy" : ""}
        onClick={() => go({ state: "assigned" })}
      />
      <Count label="completed" value={states.completed} onClick={() => go({ state: "completed" })} />
      <Count
        label="failed"
        value={states.failed}
        tone={states.failed > 0 ? "bad" : ""}
        onClick={() => go({ state: "failed" })}
      />
    </ul>
  );
}

interface CountProps {
  readonly label: string;
  readonly value: number;
  readonly tone?: string;
  readonly onClick?: () => void;
}

function Count({ label, value, tone = "", onClick }: CountProps) {
  const content = (
    <>
      <span className="count__value">{value.toLocaleString()}</span>
      <span className="count__label">{label}</span>
    </>
  );
  return (
    <li className={`count ${tone && value > 0 ? `count--${tone}` : ""}`} data-count={label}>
      {onClick ? (
        <button type="button" onClick={onClick} title={`Show ${label} tasks`}>
          {content}
        </button>
      ) : (
        <span>{content}</span>
      )}
    </li>
  );
}

const PHASE: Readonly<Record<Connection["phase"], readonly [word: string, tone: string]>> = {
  loading: ["Connecting", "badge--hollow"],
  live: ["Live", "badge--ok"],
  cut: ["Reconnecting", "badge--warn"],
  unauthorized: ["Logged out", "badge--hollow"],
  forbidden: ["Refused", "badge--bad"],
};

function ConnectionState({ connection, refused }: { connection: Connection; refused: number }) {
  const [word, tone] = PHASE[connection.phase];
  const note =
    refused > 0 ? `${refused === 1 ? "1 event was" : `${refused} events were`} not understood` : undefined;
  return (
    <span className={`badge ${tone}`} data-phase={connection.phase} title={note}>
      {word}
    </span>
  );
}

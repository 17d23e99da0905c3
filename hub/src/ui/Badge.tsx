import type { Health, TaskState } from "../generated/wire";
import { STATE_LABELS } from "../lib/tasks";

const HEALTH_TONE: Readonly<Record<Health, string>> = {
  active: "badge--ok",
  stale: "badge--warn",
  offline: "badge--hollow",
};

const STATE_TONE: Readonly<Record<TaskState, string>> = {
  pending: "badge--hollow",
  assigned: "badge--busy",
  input_required: "badge--warn",
  completed: "badge--ok",
  failed: "badge--bad",
  canceled: "",
};

export function HealthBadge({ health }: { health: Health }) {
  return <span className={`badge ${HEALTH_TONE[health]}`}>{health}</span>;
}

export function StateBadge({ state }: { state: TaskState }) {
  return (
    <span className={`badge ${STATE_TONE[state]}`} data-state={state}>
      {STATE_LABELS[state]}
    </span>
  );
}

import { Link } from "@tanstack/react-router";
import { Data } from "./Data";

/** Every id is a link. */
export function AgentLink({ id, otherwise = "–" }: { id: string; otherwise?: string }) {
  if (!id) return <span className="quiet">{otherwise}</span>;
  return (
    <Link to="/agent" search={{ id }} className="id-link">
      <Data text={id} />
    </Link>
  );
}

export function TaskLink({ id, text }: { id: string; text?: string }) {
  return (
    <Link to="/task" search={{ id }} className="id-link mono" title={id}>
      <Data text={text ?? id} />
    </Link>
  );
}

import { useNavigate } from "@tanstack/react-router";
import type { MouseEvent, ReactNode } from "react";
import { writeQuery } from "../lib/url";
import { Data } from "./Data";

/** Every id is a link. */
export function AgentLink({ id, otherwise = "–" }: { id: string; otherwise?: string }) {
  if (!id) return <span className="quiet">{otherwise}</span>;
  return (
    <RecordLink to="/agent" id={id} className="id-link">
      <Data text={id} />
    </RecordLink>
  );
}

export function TaskLink({ id, text }: { id: string; text?: string }) {
  return (
    <RecordLink to="/task" id={id} className="id-link mono" title={id}>
      <Data text={text ?? id} />
    </RecordLink>
  );
}

interface RecordLinkProps {
  readonly to: "/agent" | "/task";
  readonly id: string;
  readonly className: string;
  readonly title?: string;
  readonly children: ReactNode;
}

/** Tables have a hundred of them in sight: unlike the router's own links they do not watch where the page is. */
function RecordLink({ to, id, className, title, children }: RecordLinkProps) {
  const navigate = useNavigate();
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    void navigate({ to, search: { id } });
  };
  return (
    <a href={`${to}${writeQuery({ id })}`} className={className} title={title} onClick={follow}>
      {children}
    </a>
  );
}

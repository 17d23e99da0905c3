import type { ReactNode } from "react";

export interface PanelProps {
  readonly id: string;
  readonly title: string;
  /** How many, beside the title. */
  readonly count?: ReactNode;
  readonly tools?: ReactNode;
  readonly children: ReactNode;
}

/** One part of the page under its heading. */
export function Panel({ id, title, count, tools, children }: PanelProps) {
  return (
    <section className={`panel panel--${id}`} aria-labelledby={`${id}-title`}>
      <header className="panel__head">
        <h2 id={`${id}-title`}>{title}</h2>
        {count !== undefined && <span className="panel__count">{count}</span>}
        {tools && <div className="panel__tools">{tools}</div>}
      </header>
      {children}
    </section>
  );
}

/** What stands where nothing is yet: it says what to do next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <strong>{title}</strong>
      {children}
    </div>
  );
}

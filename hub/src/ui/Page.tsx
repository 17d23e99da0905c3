import type { ReactNode } from "react";

export interface PageProps {
  readonly title: ReactNode;
  /** Beside the title: what it counts, or how it stands. */
  readonly note?: ReactNode;
  readonly tools?: ReactNode;
  readonly children: ReactNode;
  /** Fills the height of the window; what is within it scrolls. */
  readonly full?: boolean;
}

/** A page under its heading. */
export function Page({ title, note, tools, children, full = false }: PageProps) {
  return (
    <div className={full ? "page page--full" : "page"}>
      <header className="page__head">
        <h1>{title}</h1>
        {note !== undefined && <div className="page__note">{note}</div>}
        {tools && <div className="page__tools">{tools}</div>}
      </header>
      {children}
    </div>
  );
}

import { type KeyboardEvent, useId } from "react";

export interface TabsProps<T extends string> {
  readonly label: string;
  readonly tabs: readonly (readonly [id: T, name: string])[];
  readonly current: T;
  readonly choose: (tab: T) => void;
  readonly children: React.ReactNode;
}

/** Tabs and the panel of the chosen one (WAI-ARIA tabs pattern: arrows move between them). */
export function Tabs<T extends string>({ label, tabs, current, choose, children }: TabsProps<T>) {
  const id = useId();
  const onKey = (event: KeyboardEvent<HTMLDivElement>) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    const at = tabs.findIndex(([tab]) => tab === current);
    const next = tabs[(at + by + tabs.length) % tabs.length];
    if (!next) return;
    choose(next[0]);
    event.currentTarget.querySelector<HTMLElement>(`[data-tab="${next[0]}"]`)?.focus();
  };
  return (
    <>
      <div className="tabs" role="tablist" aria-label={label} onKeyDown={onKey}>
        {tabs.map(([tab, name]) => (
          <button
            key={tab}
            type="button"
            role="tab"
            className="tab"
            data-tab={tab}
            id={`${id}-${tab}`}
            aria-selected={tab === current}
            aria-controls={`${id}-panel`}
            tabIndex={tab === current ? 0 : -1}
            onClick={() => choose(tab)}
          >
            {name}
          </button>
        ))}
      </div>
      <div id={`${id}-panel`} role="tabpanel" aria-labelledby={`${id}-${current}`} className="tabpanel">
        {children}
      </div>
    </>
  );
}

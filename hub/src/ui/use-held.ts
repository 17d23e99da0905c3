import { useRef } from "react";

export interface Held<T> {
  readonly rows: readonly T[];
  /** Rows that came since they are held. */
  readonly fresh: number;
}

/** While `held`, the first row stays the first: what the rows say goes on, what is new waits above. */
export function useHeld<T>(rows: readonly T[], held: boolean, keyOf: (row: T) => string): Held<T> {
  const first = useRef<string | null>(null);
  const at = held ? rows.findIndex((row) => keyOf(row) === first.current) : -1;
  if (at < 0) {
    first.current = rows[0] === undefined ? null : keyOf(rows[0]);
    return { rows, fresh: 0 };
  }
  return at === 0 ? { rows, fresh: 0 } : { rows: rows.slice(at), fresh: at };
}

import { useRef } from "react";

export interface Held<T> {
  readonly rows: readonly T[];
  /** Rows that came since they are held. */
  readonly fresh: number;
}

/** While `held`, the rows stay where they are: what they say goes on, what is new waits above. */
export function useHeld<T>(
  rows: readonly T[],
  held: boolean,
  keyOf: (row: T) => string,
  find: (key: string) => T | undefined,
): Held<T> {
  const kept = useRef<readonly string[] | null>(null);
  if (!held) {
    kept.current = null;
    return { rows, fresh: 0 };
  }
  kept.current ??= rows.map(keyOf);
  const first = kept.current[0];
  const fresh = first === undefined ? rows.length : rows.findIndex((row) => keyOf(row) === first);
  const there = kept.current.map(find).filter((row) => row !== undefined);
  return { rows: there, fresh: Math.max(0, fresh) };
}

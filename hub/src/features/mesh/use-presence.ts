import { useState } from "react";

/** An item in the picture; `leaving` while it fades out. */
export interface Present<T> {
  readonly item: T;
  readonly leaving: boolean;
}

export interface Presence<T> {
  readonly items: readonly Present<T>[];
  /** To be called when the item's fading has ended. */
  readonly left: (key: string) => void;
}

/** Keeps what is gone in the picture until it has faded out. */
export function usePresence<T>(items: readonly T[], keyOf: (item: T) => string): Presence<T> {
  const [shown, setShown] = useState<readonly Present<T>[]>(() => items.map(present));
  const [seen, setSeen] = useState(items);
  if (seen !== items) {
    // Not an effect: the picture of the old items is never drawn.
    setSeen(items);
    setShown(merge(shown, items, keyOf));
  }
  const left = (key: string) =>
    setShown((now) => now.filter((entry) => !(entry.leaving && keyOf(entry.item) === key)));
  return { items: shown, left };
}

function present<T>(item: T): Present<T> {
  return { item, leaving: false };
}

/** The items as they are now, and those that were shown and are gone, as leaving. */
export function merge<T>(
  shown: readonly Present<T>[],
  items: readonly T[],
  keyOf: (item: T) => string,
): Present<T>[] {
  const here = new Set(items.map(keyOf));
  const gone = shown.filter((entry) => !here.has(keyOf(entry.item)));
  return [...items.map(present), ...gone.map(({ item }) => ({ item, leaving: true }))];
}

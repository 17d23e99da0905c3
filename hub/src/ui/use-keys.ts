import { useEffect, useRef } from "react";

/** What keys do: `"x"`, `"mod+k"` (Ctrl or Command), or two after each other, `"g t"`. */
export type KeyMap = Readonly<Record<string, () => void>>;

/** Milliseconds within which the second of two keys counts. */
const PAIR_MS = 1_200;

/** Keys for as long as the component is shown. Whoever types, or looks at a dialog, is left alone. */
export function useKeys(keys: KeyMap): void {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  useEffect(() => {
    let first = { key: "", at: 0 };
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.altKey) return;
      const mod = event.ctrlKey || event.metaKey;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const name = mod ? `mod+${key}` : key;
      if (!mod && isTyping(event.target)) {
        if (
          event.key === "Escape" &&
          event.target instanceof HTMLElement &&
          !event.target.closest("dialog")
        ) {
          // The browser would empty a search field: leaving it keeps what is filtered.
          event.preventDefault();
          event.target.blur();
        }
        return;
      }
      if (document.querySelector("dialog[open]")) return;
      const pair = event.timeStamp - first.at < PAIR_MS ? `${first.key} ${key}` : "";
      first = { key, at: event.timeStamp };
      const deed = latest.current[pair] ?? latest.current[name];
      if (!deed) return;
      first = { key: "", at: 0 };
      event.preventDefault();
      deed();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null
  );
}

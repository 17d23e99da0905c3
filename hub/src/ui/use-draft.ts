import { useCallback, useRef, useState } from "react";

/**
 * What is being typed, at once; whoever is told may take its time to hand it back. A value that comes from elsewhere (a
 * saved view, the way back) replaces it; one that was told from here, and comes back late, does not.
 */
export function useDraft(value: string, tell: (text: string) => void): [string, (text: string) => void] {
  const [draft, setDraft] = useState(value);
  const [before, setBefore] = useState(value);
  const told = useRef<string[]>([]);
  if (value !== before) {
    setBefore(value);
    const at = told.current.indexOf(value);
    told.current = at < 0 ? [] : told.current.slice(at + 1);
    if (at < 0) setDraft(value);
  }
  const type = useCallback(
    (text: string) => {
      setDraft(text);
      told.current.push(text);
      tell(text);
    },
    [tell],
  );
  return [draft, type];
}

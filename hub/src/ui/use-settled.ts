import { useEffect, useState } from "react";

/** Between two keys of somebody who types, milliseconds. */
const PAUSE_MS = 300;

/** What was typed last, once the typing pauses: what asks the registry asks once, not at every letter. */
export function useSettled(text: string | undefined): string | undefined {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

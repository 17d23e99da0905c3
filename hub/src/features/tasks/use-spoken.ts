import { useEffect, useRef } from "react";
import type { Task } from "../../generated/wire";
import { speak } from "../../lib/tasks";

/** Tasks made ready at once, between two frames: less than a millisecond. */
const PIECE = 500;

/** Makes tasks ready to be searched while nothing else is to do, once; those that come later are few. */
export function useSpoken(tasks: readonly Task[]): void {
  const latest = useRef(tasks);
  latest.current = tasks;
  useEffect(() => {
    let at = 0;
    let asked = 0;
    const next = () => {
      speak(latest.current.slice(at, at + PIECE));
      at += PIECE;
      if (at < latest.current.length) asked = requestIdleCallback(next);
    };
    // A browser without it builds them at the first letter.
    if (typeof requestIdleCallback === "function") asked = requestIdleCallback(next);
    return () => {
      if (asked) cancelIdleCallback(asked);
    };
  }, []);
}

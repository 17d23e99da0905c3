import { useEffect, useRef, useState } from "react";
import type { Task } from "../../generated/wire";
import { useHub, useLive } from "../../hub";
import { NOTHING_YET, readStream, type Streamed } from "../../lib/stream";
import { isTerminal } from "../../lib/tasks";

/** What the handler of a task streams while it is looked at. One that ended before has no stream any more. */
export function useStream(task: Task | undefined): Streamed | null {
  const { api } = useHub();
  const { connection } = useLive();
  const id = task?.id;
  const lives = task !== undefined && !isTerminal(task.state);
  // Begun while the task lives, read to the end: the last chunks come with it.
  const [begun, setBegun] = useState<string | undefined>();
  if (lives && begun !== id) setBegun(id);
  const known = useRef<{ of: string; streamed: Streamed }>(undefined);
  const [streamed, setStreamed] = useState<Streamed | null>(null);
  const reaches = connection.phase === "live";
  useEffect(() => {
    if (begun === undefined || !reaches) return;
    const run = new AbortController();
    const from = known.current?.of === begun ? known.current.streamed : NOTHING_YET;
    const show = (next: Streamed) => {
      known.current = { of: begun, streamed: next };
      setStreamed(next);
    };
    if (from === NOTHING_YET) setStreamed(null);
    // What is refused is not streamed; what is cut goes on when the registry is reached again.
    readStream(api, begun, from, show, run.signal).catch(() => undefined);
    return () => run.abort();
  }, [api, begun, reaches]);
  return begun === id && streamed && (streamed.text || streamed.artifacts.length > 0) ? streamed : null;
}

import { useCallback, useEffect, useRef, useState } from "react";
import { MAX_PAGE } from "../../generated/wire";
import { useHub } from "../../hub";
import { MAX_TASKS_KEPT } from "../../lib/mesh-state";
import type { TasksSearch } from "../../lib/url";
import { useSettled } from "../../ui/use-settled";

export interface Older {
  /** Loads the next page further back, if there is one and none is under way. */
  readonly load: () => void;
  readonly loading: boolean;
  readonly more: boolean;
  readonly failure: string | null;
}

interface Reached {
  readonly key: string;
  /** Where the next page begins; `undefined` before the first, `null` after the last. */
  readonly cursor: string | null | undefined;
}

/** Tasks from before the snapshot, page by page, as the registry's own filters give them. */
export function useOlder({ state, agent, skill, q, since, until }: TasksSearch): Older {
  const { api, live } = useHub();
  const text = useSettled(q?.trim() || undefined);
  const key = JSON.stringify([state, agent, skill, text, since, until]);
  const [reached, setReached] = useState<Reached>({ key, cursor: undefined });
  const [loading, setLoading] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const busy = useRef(false);
  const cursor = reached.key === key ? reached.cursor : undefined;
  const load = useCallback(() => {
    const full = (live.read().mesh?.newest.length ?? 0) >= MAX_TASKS_KEPT;
    if (busy.current || cursor === null || full) return;
    busy.current = true;
    setLoading(true);
    const [since_ms, until_ms] = [since, until].map((ms) => (ms === undefined ? undefined : Number(ms)));
    const query = { state, agent, skill, text, since_ms, until_ms, limit: MAX_PAGE, cursor };
    const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
    api
      .tasks(given)
      .then(
        (page) => {
          live.adopt(page.tasks);
          setReached({ key, cursor: page.next_cursor ?? null });
          setFailure(null);
        },
        (error: Error) => setFailure(`Older tasks could not be loaded: ${error.message}`),
      )
      .finally(() => {
        busy.current = false;
        setLoading(false);
      });
  }, [api, live, state, agent, skill, text, since, until, cursor, key]);
  // Each filter is asked of the registry once: what fits may lie further back than what the page knows.
  const asked = useRef("");
  useEffect(() => {
    if (asked.current === key) return;
    asked.current = key;
    load();
  }, [key, load]);
  return { load, loading, more: cursor !== null, failure };
}

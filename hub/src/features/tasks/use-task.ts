import type { EventRecord, Task } from "../../generated/wire";
import { useHub, useLive } from "../../hub";
import { rootIdOf } from "../../lib/tree";
import { useFollowed } from "../../ui/use-followed";

/** Most pages of history and of a tree that are asked for: 16,000 events or tasks, more than a person reads. */
const MAX_PAGES = 16;

export interface WholeTask {
  readonly task: Task | undefined;
  readonly events: readonly EventRecord[];
  readonly error: Error | null;
}

/** A task with its bodies and its history; both are asked for anew when the stream tells of a change. */
export function useTask(id: string): WholeTask {
  const { api } = useHub();
  const { mesh } = useLive();
  const listed = mesh?.tasks.get(id);
  const whole = useFollowed(["task", id], listed, (signal) => api.task(id, signal));
  const history = useFollowed<readonly EventRecord[]>(
    ["history", id],
    listed,
    async (signal, before = []) => {
      let events = before;
      for (let page = 0; page < MAX_PAGES; page++) {
        const next = await api.history(id, events.at(-1)?.seq ?? 0, signal);
        events = [...events, ...next.events];
        if (next.next_after == null) break;
      }
      return events;
    },
  );
  const { data } = whole;
  // The stream is ahead of the answer: what it tells stands over what was fetched, but it carries no bodies.
  const ahead = listed && data && listed.updated_at >= data.updated_at ? withoutBodies(listed) : {};
  const task = data ? { ...data, ...ahead } : listed;
  return { task, events: history.data ?? [], error: whole.error ?? history.error };
}

function withoutBodies({ payload: _, result: __, reason: ___, ...rest }: Task): Partial<Task> {
  return rest;
}

/** Everything in the tree of this task: what was fetched once, and what the stream told since. */
export function useTreeTasks(task: Task | undefined): {
  readonly tasks: readonly Task[];
  readonly error: Error | null;
} {
  const { api } = useHub();
  const { mesh } = useLive();
  const root = task ? rootIdOf(task) : "";
  const { data, error } = useFollowed<readonly Task[]>(["tree", root], root, async (signal) => {
    if (!root) return [];
    let tasks: Task[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const next = await api.tasks({ root, limit: 1000, ...(cursor ? { cursor } : {}) }, signal);
      tasks = [...tasks, ...next.tasks];
      cursor = next.next_cursor ?? undefined;
      if (!cursor) break;
    }
    return tasks;
  });
  const known = new Map((data ?? []).map((one) => [one.id, one]));
  for (const one of mesh?.newest ?? []) if (rootIdOf(one) === root) known.set(one.id, one);
  return { tasks: [...known.values()], error };
}

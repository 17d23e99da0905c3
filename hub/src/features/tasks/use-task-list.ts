import { useEffect, useMemo, useReducer, useState } from "react";
import type { Task } from "../../generated/wire";
import { type TaskList, TaskLister } from "../../lib/task-list";
import type { TaskFilter } from "../../lib/tasks";

/** The tasks that fit. Of very many it takes some frames, and the list before it is shown meanwhile: no key waits. */
export function useTaskList(tasks: readonly Task[], filter: TaskFilter): TaskList {
  const [lister] = useState(() => new TaskLister());
  const [judged, listAgain] = useReducer((times: number) => times + 1, 0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was judged is in the lister.
  const list = useMemo(() => lister.list(tasks, filter), [lister, tasks, filter, judged]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each list may leave something to judge.
  useEffect(() => {
    if (!lister.isBehind) return;
    const next = () => {
      if (lister.judge()) listAgain();
      else timer = setTimeout(next);
    };
    let timer = setTimeout(next);
    return () => clearTimeout(timer);
  }, [lister, tasks, filter, list]);
  return list;
}

// The page's clock: one store, so that components take the present instead of reading it.

export interface Clock {
  now(): number;
  subscribe(listener: () => void): () => void;
}

/** A clock that moves every `everyMs` milliseconds while somebody looks at it. */
export function tickingClock(read: () => number, everyMs: number): Clock {
  const listeners = new Set<() => void>();
  let present = read();
  let timer: ReturnType<typeof setInterval> | undefined;
  const tick = () => {
    present = read();
    for (const listener of listeners) listener();
  };
  return {
    now: () => present,
    subscribe: (listener) => {
      listeners.add(listener);
      timer ??= setInterval(tick, everyMs);
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
    },
  };
}

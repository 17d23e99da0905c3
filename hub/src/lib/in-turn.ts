/** Deeds under way at once: quick, and no flood. */
const AT_ONCE = 4;

export interface Outcome {
  readonly done: number;
  readonly failures: readonly Error[];
}

/** Does `deed` to each, a few at a time; one that fails does not stop the others. */
export async function inTurn<T>(
  items: readonly T[],
  deed: (item: T) => Promise<unknown>,
  progress: (finished: number) => void,
): Promise<Outcome> {
  const failures: Error[] = [];
  let [next, done] = [0, 0];
  const worker = async () => {
    for (;;) {
      const at = next++;
      if (at >= items.length) return;
      try {
        await deed(items[at] as T);
        done += 1;
      } catch (error) {
        failures.push(error instanceof Error ? error : new Error(String(error)));
      }
      progress(done + failures.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
  return { done, failures };
}

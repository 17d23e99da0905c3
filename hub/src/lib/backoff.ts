// How long to wait before the next try. Pure: the randomness comes in from outside.

const FIRST_MS = 250;
/** Longest wait, milliseconds: a registry that comes back is seen within this time. */
export const LONGEST_MS = 4_000;

/** Milliseconds before try number `failures` (1 is the first repeat); `random` is in [0, 1). */
export function backoffMs(failures: number, random: number): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.max(0, failures - 1));
  return ceiling / 2 + (random * ceiling) / 2;
}

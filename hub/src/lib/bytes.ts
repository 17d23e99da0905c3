// Sizes in words. Pure.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** A size by the largest unit that leaves it at one or more, with a fraction where it needs one. */
export function bytes(value: number): string {
  let [rest, unit] = [value, 0];
  while (rest >= 1024 && unit < UNITS.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${rest.toLocaleString(undefined, { maximumFractionDigits: 1 })} ${UNITS[unit]}`;
}

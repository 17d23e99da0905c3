// Times in words. Pure: the present comes in from outside.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** An age, coarse: a person asks "how fresh", not "how many milliseconds". */
export function age(ms: number): string {
  if (ms < MINUTE) return `${Math.max(0, Math.floor(ms / SECOND))} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

export function ago(ms: number): string {
  return ms < SECOND ? "just now" : `${age(ms)} ago`;
}

/** A duration, fine where it is short. */
export function duration(ms: number): string {
  if (ms <= 0) return "0 ms";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < MINUTE) return `${(ms / SECOND).toFixed(1)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${Math.floor((ms % MINUTE) / SECOND)} s`;
  return `${Math.floor(ms / HOUR)} h ${Math.floor((ms % HOUR) / MINUTE)} min`;
}

/** A moment as `<input type="datetime-local">` writes it, in the browser's own place; empty when there is none. */
export function localInput(ms: string | undefined): string {
  if (!ms) return "";
  const at = new Date(Number(ms));
  if (Number.isNaN(at.getTime())) return "";
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** The moment such a field says, Unix milliseconds in digits; `undefined` when it says none from 1970 on. */
export function fromLocalInput(text: string): string | undefined {
  const ms = Date.parse(text);
  return Number.isFinite(ms) && ms >= 0 ? String(ms) : undefined;
}

// Made once: to make one costs a hundred times what it costs to use it.
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
/** Furthest moment that a `Date` can be, milliseconds from 1970. */
const FURTHEST_MS = 8.64e15;

/** A moment as a person reads it, in the browser's own place and language. */
export function moment(ms: number): string {
  return Math.abs(ms) <= FURTHEST_MS ? MOMENT.format(ms) : "unknown";
}

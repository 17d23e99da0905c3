// What `cargo xtask seams --json` found: a JSON object for each row of the ledger, and one with the totals at the end.
// Pure. The file is whatever somebody opened: every line of it is checked.

import {
  type Check,
  count,
  isObject,
  listOf,
  object,
  oneOf,
  parseJson,
  real,
  type Shape,
  text,
  WireError,
} from "./check";

/** Faults that a test must notice. */
export const HARMFUL = ["deaf", "mute"] as const;
/** Faults that no test may notice. */
export const HARMLESS = ["twice", "late", "reorder", "reconnect", "restart"] as const;

export type Harmful = (typeof HARMFUL)[number];
export type Harmless = (typeof HARMLESS)[number];
type Verb = Harmful | Harmless;
type Is = "noticed" | "only_by_cap" | "unsteady" | "unnoticed" | "unexercised";

export interface Verdict {
  readonly is: Is;
  /** The test that failed. */
  readonly test?: string;
}

export interface CoverageRow {
  readonly id: string;
  readonly channel: string;
  readonly kind: string;
  readonly producer: string;
  readonly consumer: string;
  /** Golden messages that are accepted. */
  readonly accepted: number;
  /** Golden messages that are refused. */
  readonly refused: number;
  /** Tests that exercise it, fastest first. */
  readonly tests: readonly string[];
  readonly verdicts: Readonly<Partial<Record<Verb, Verdict>>>;
  /** A fault that matters goes unnoticed, or one that must not matter does. */
  readonly isHole: boolean;
}

export interface Totals {
  readonly rows: number;
  readonly vectors: number;
  readonly exercised: number;
  readonly deaf_killed: number;
  readonly mute_killed: number;
  readonly duplicate_safe: number;
  readonly delay_safe: number;
  readonly reorder_safe: number;
  readonly reconnect_safe: number;
  readonly restart_safe: number;
  readonly exceptions: readonly { readonly row: string; readonly why: string }[];
  readonly undeclared: readonly string[];
  readonly seconds: number;
  readonly cpu_seconds: number;
  readonly holes: readonly string[];
}

export interface Coverage {
  /** Holes first, then as the ledger has them. */
  readonly rows: readonly CoverageRow[];
  readonly totals: Totals;
}

/** Most bytes of a file: some ten times what the ledger needs. */
export const MAX_COVERAGE_BYTES = 4 * 1024 * 1024;
/** Most rows: some ten times the ledger's. */
export const MAX_COVERAGE_ROWS = 5_000;

/** Why a file is no coverage, in words for whoever opened it. */
export class CoverageError extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = "CoverageError";
  }
}

interface Line {
  row: Pick<CoverageRow, "id" | "channel" | "kind" | "producer" | "consumer">;
  vectors: { accepted: number; refused: number };
  tests: readonly string[];
  verdicts: CoverageRow["verdicts"];
}

const is = oneOf<Is>({
  noticed: true,
  only_by_cap: true,
  unsteady: true,
  unnoticed: true,
  unexercised: true,
});
const verdict: Check = (value, at) => {
  if (!isObject(value)) throw new WireError("bad_field", `${at}: expected an object`);
  is(value.is, `${at}.is`);
  if (value.test !== undefined) text(value.test, `${at}.test`);
};
const verdicts: Check = (value, at) => {
  if (!isObject(value)) throw new WireError("bad_field", `${at}: expected an object`);
  for (const verb of [...HARMFUL, ...HARMLESS]) {
    if (Object.hasOwn(value, verb)) verdict(value[verb], `${at}.${verb}`);
  }
};
const line = object<Line>({
  row: object<Line["row"]>({ id: text, channel: text, kind: text, producer: text, consumer: text }),
  vectors: object<Line["vectors"]>({ accepted: count(), refused: count() }),
  tests: listOf(text),
  verdicts,
});
const TOTALS: Shape<Totals> = {
  rows: count(),
  vectors: count(),
  exercised: count(),
  deaf_killed: count(),
  mute_killed: count(),
  duplicate_safe: count(),
  delay_safe: count(),
  reorder_safe: count(),
  reconnect_safe: count(),
  restart_safe: count(),
  exceptions: listOf(object<Totals["exceptions"][number]>({ row: text, why: text })),
  undeclared: listOf(text),
  seconds: real,
  cpu_seconds: real,
  holes: listOf(text),
};
const totals = object<Totals>(TOTALS);

/** Reads a whole file; throws a `CoverageError` that names the line. */
export function readCoverage(file: string): Coverage {
  if (file.length > MAX_COVERAGE_BYTES) throw new CoverageError(tooLarge(file.length));
  const lines = file.split("\n").flatMap((one, index) => (one.trim() ? [{ one, n: index + 1 }] : []));
  const last = lines.pop();
  if (!last) throw new CoverageError("The file is empty.");
  if (lines.length > MAX_COVERAGE_ROWS) {
    throw new CoverageError(`${lines.length} rows are more than any ledger has (${MAX_COVERAGE_ROWS}).`);
  }
  const rows = lines.map(({ one, n }) => rowOf(checked<Line>(one, n, line)));
  const end = parsed(last.one, last.n);
  // Every measurement ends with its totals: a file that ends with a row was cut off, or is the bare ledger.
  if (isObject(end) && ("row" in end || "id" in end)) {
    throw new CoverageError("It ends without totals: it was cut off, or only lists the ledger (--list).");
  }
  const sums = checked<Totals>(last.one, last.n, totals);
  if (sums.rows !== rows.length) {
    throw new CoverageError(
      `Its totals are over ${sums.rows} rows, and it has ${rows.length}: some are missing.`,
    );
  }
  const seen = new Set<string>();
  for (const { id } of rows) {
    if (seen.has(id)) throw new CoverageError(`The row ${id.slice(0, 200)} stands there twice.`);
    seen.add(id);
  }
  return { rows: [...rows.filter((row) => row.isHole), ...rows.filter((row) => !row.isHole)], totals: sums };
}

export function tooLarge(size: number): string {
  return `${size.toLocaleString()} bytes are more than such a file has (${MAX_COVERAGE_BYTES.toLocaleString()}).`;
}

function parsed(source: string, n: number): unknown {
  try {
    return parseJson(source);
  } catch {
    throw new CoverageError(`Line ${n} is not JSON. Open what \`cargo xtask seams --json\` printed.`);
  }
}

function checked<T>(source: string, n: number, check: Check): T {
  const value = parsed(source, n);
  try {
    check(value, "");
  } catch (error) {
    const why = error instanceof WireError ? error.message : "not what it should be";
    throw new CoverageError(`Line ${n}: ${why}.`);
  }
  return value as T;
}

function rowOf({ row, vectors, tests, verdicts }: Line): CoverageRow {
  const { id, channel, kind, producer, consumer } = row;
  const isHole =
    HARMFUL.some((verb) => verdicts[verb]?.is !== "noticed") ||
    HARMLESS.some((verb) => verdicts[verb] !== undefined && verdicts[verb]?.is !== "unnoticed");
  return { id, channel, kind, producer, consumer, ...vectors, tests, verdicts, isHole };
}

/** A verdict in a word or two, and whether it is as it should be; `null` when nothing was planted. */
export function saidOf(
  row: CoverageRow,
  verb: Verb,
): { readonly word: string; readonly good: boolean } | null {
  const found = row.verdicts[verb];
  if ((HARMFUL as readonly string[]).includes(verb)) {
    const word = found ? HARMFUL_WORDS[found.is] : "not tried";
    return { word, good: found?.is === "noticed" };
  }
  if (!found) return null;
  return found.is === "unnoticed" ? { word: "safe", good: true } : { word: "breaks", good: false };
}

const HARMFUL_WORDS: Readonly<Record<Is, string>> = {
  noticed: "noticed",
  only_by_cap: "only by its cap",
  unsteady: "unsteady",
  unnoticed: "unnoticed",
  unexercised: "no test",
};

/** Of how many rows something is known that holds for `is` of them. */
export interface Share {
  readonly name: string;
  readonly is: number;
  readonly of: number;
}

export function sharesOf({ rows, totals }: Coverage): readonly Share[] {
  const planted = (verb: Verb) => rows.filter((row) => row.verdicts[verb] !== undefined).length;
  const all = rows.length;
  return [
    { name: "exercised", is: totals.exercised, of: all },
    { name: "deafness noticed", is: totals.deaf_killed, of: all },
    { name: "muteness noticed", is: totals.mute_killed, of: all },
    { name: "safe when repeated", is: totals.duplicate_safe, of: planted("twice") },
    { name: "safe when late", is: totals.delay_safe, of: planted("late") },
    { name: "safe out of order", is: totals.reorder_safe, of: planted("reorder") },
    { name: "safe over a reconnect", is: totals.reconnect_safe, of: planted("reconnect") },
    { name: "seen over a restart", is: totals.restart_safe, of: all },
  ];
}

export function filterCoverage(rows: readonly CoverageRow[], q: string): readonly CoverageRow[] {
  const wanted = q.trim().toLowerCase();
  if (!wanted) return rows;
  return rows.filter((row) => [row.id, ...row.tests].some((one) => one.toLowerCase().includes(wanted)));
}

// The registry's metrics (Prometheus text) as rows of the ledger's REST channel. Pure.

import { ROUTES } from "../generated/wire";

export interface SeamRow {
  readonly operation: string;
  readonly route: string;
  readonly requests: number;
  /** Answers with status 4xx. */
  readonly refused: number;
  /** Answers with status 5xx. */
  readonly failed: number;
  /** Requests whose time was taken, and the sum of their times, milliseconds. */
  readonly answered: number;
  readonly totalMs: number;
  /** Mean time from request to answer, milliseconds; `null` when nothing was asked. */
  readonly meanMs: number | null;
  /** Upper bound within which 95 of 100 answers came, milliseconds; `null` when unknown or above the last bound. */
  readonly p95Ms: number | null;
}

/** What went over a route between two readings. */
export interface SeamRate {
  /** Requests a second. */
  readonly perSecond: number;
  /** Answers with status 4xx and 5xx among them, 0 to 1; `null` when nothing was asked. */
  readonly badShare: number | null;
  /** Mean time from request to answer, milliseconds; `null` when nothing was asked. */
  readonly meanMs: number | null;
}

/** One kind of the ledger's signaling channel, from sidecars. */
export interface FrameRow {
  readonly kind: string;
  /** Frames that were taken. */
  readonly frames: number;
}

/** One reading of the metrics. */
export interface Reading {
  readonly rows: readonly SeamRow[];
  readonly frames: readonly FrameRow[];
  /** When it was read, milliseconds of any clock that is the same for both. */
  readonly atMs: number;
}

/** Rates by operation. A counter that went down means that the registry was started again: then there are none yet. */
export function ratesBetween(before: Reading, now: Reading): ReadonlyMap<string, SeamRate> {
  const seconds = (now.atMs - before.atMs) / 1000;
  const old = new Map(before.rows.map((row) => [row.operation, row]));
  const restarted = before.rows.some(
    (row) => (now.rows.find((one) => one.operation === row.operation)?.requests ?? 0) < row.requests,
  );
  if (seconds <= 0 || restarted) return new Map();
  return new Map(
    now.rows.map((row) => {
      const was = old.get(row.operation);
      const requests = row.requests - (was?.requests ?? 0);
      const bad = row.refused + row.failed - (was ? was.refused + was.failed : 0);
      const tookMs = row.totalMs - (was?.totalMs ?? 0);
      const answered = row.answered - (was?.answered ?? 0);
      const rate = {
        perSecond: requests / seconds,
        badShare: requests > 0 ? bad / requests : null,
        meanMs: answered > 0 ? tookMs / answered : null,
      };
      return [row.operation, rate] as const;
    }),
  );
}

/** Frames a second by kind, between two readings; none when the registry was started again between them. */
export function frameRates(before: Reading, now: Reading): ReadonlyMap<string, number> {
  const seconds = (now.atMs - before.atMs) / 1000;
  const counted = (of: Reading, kind: string) => of.frames.find((row) => row.kind === kind)?.frames ?? 0;
  if (seconds <= 0 || before.frames.some((row) => counted(now, row.kind) < row.frames)) return new Map();
  return new Map(
    now.frames.map(({ kind, frames }) => [kind, (frames - counted(before, kind)) / seconds] as const),
  );
}

/** The kinds that were taken, most first. */
export function frameRows(text: string): FrameRow[] {
  return samplesOf(text)
    .filter(({ name, value }) => name === "seamesh_signaling_frames_total" && value > 0)
    .map(({ labels, value }) => ({ kind: labels.kind ?? "", frames: value }))
    .sort((a, b) => b.frames - a.frames || (a.kind < b.kind ? -1 : 1));
}

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export function samplesOf(text: string): Sample[] {
  return text.split("\n").flatMap((line) => {
    const found = LINE.exec(line);
    if (!found || line.startsWith("#")) return [];
    const labels = Object.fromEntries(
      [...(found[2] ?? "").matchAll(LABEL)].map((m) => [m[1] ?? "", m[2] ?? ""]),
    );
    return [{ name: found[1] ?? "", labels, value: Number(found[3]) }];
  });
}

export function seamRows(text: string): SeamRow[] {
  const samples = samplesOf(text);
  return Object.entries(ROUTES)
    .map(([operation, { method, path }]) => rowOf(operation, `${method} ${path}`, samples))
    .filter((row) => row.requests > 0)
    .sort((a, b) => b.requests - a.requests || (a.operation < b.operation ? -1 : 1));
}

function rowOf(operation: string, route: string, all: readonly Sample[]): SeamRow {
  const own = all.filter((sample) => sample.labels.operation === operation);
  const sum = (name: string, fits: (sample: Sample) => boolean = () => true) =>
    own.filter((s) => s.name === name && fits(s)).reduce((total, s) => total + s.value, 0);
  const count = sum("seamesh_http_request_seconds_count");
  const seconds = sum("seamesh_http_request_seconds_sum");
  return {
    operation,
    route,
    requests: sum("seamesh_http_requests_total"),
    refused: sum("seamesh_http_requests_total", (s) => s.labels.status === "4xx"),
    failed: sum("seamesh_http_requests_total", (s) => s.labels.status === "5xx"),
    answered: count,
    totalMs: seconds * 1000,
    meanMs: count > 0 ? (seconds / count) * 1000 : null,
    p95Ms: boundOf(own, count, 0.95),
  };
}

function boundOf(own: readonly Sample[], count: number, share: number): number | null {
  const buckets = own
    .filter((s) => s.name === "seamesh_http_request_seconds_bucket" && s.labels.le !== "+Inf")
    .sort((a, b) => Number(a.labels.le) - Number(b.labels.le));
  const bucket = count > 0 ? buckets.find((s) => s.value >= count * share) : undefined;
  return bucket ? Number(bucket.labels.le) * 1000 : null;
}

/** The value of a metric without labels; `null` when it is not there. */
export function metric(text: string, name: string): number | null {
  return samplesOf(text).find((s) => s.name === name && Object.keys(s.labels).length === 0)?.value ?? null;
}

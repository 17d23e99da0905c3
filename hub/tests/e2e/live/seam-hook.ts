// The hub's end of the hook that `cargo xtask seams` drives (ADR 10). The page as it is shipped has nothing of it: the
// tests put it between the page and `fetch`, so it sees what the page sends, and what reaches the page.

import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test as base, type Page, type TestInfo } from "@playwright/test";
import { ROUTES } from "../../../src/generated/wire";

/** What one trial plants: a verb and the ids of rows. */
interface Fault {
  readonly verb: string;
  readonly rows: readonly string[];
}

/** One run of a test in a batch: with a fault, or to record which rows it exercises. */
interface Run {
  readonly title: string;
  readonly fault: string | null;
  readonly records: string | null;
}

interface Hook {
  readonly routes: readonly (readonly [operation: string, method: string, path: string])[];
  readonly fault: Fault | null;
}

/** A file with the {@link Run}s of a batch. How each ended is written beside it. */
const BATCH = process.env.SEAMESH_SEAM_BATCH;
const RUNS = BATCH ? (JSON.parse(readFileSync(BATCH, "utf8")) as readonly Run[]) : [];

/** The tests' `test`, with the hook in every page when a run asks for it. */
export const test = base.extend<{ run: undefined }>({
  run: [
    // biome-ignore lint/correctness/noEmptyPattern: a fixture names those it needs, and this one needs none.
    async ({}, use, info) => {
      if (BATCH) await inBatch(BATCH, info, () => use(undefined));
      else await use(undefined);
    },
    { auto: true },
  ],
  page: async ({ page }, use) => {
    const records = process.env.SEAMESH_SEAM_RECORDS;
    const fault = parse(process.env.SEAMESH_SEAM_FAULT);
    if (records || fault) await hook(page, records, fault);
    await use(page);
  },
});

/**
 * Declares a test once for each of its runs in the batch, where there is one. Playwright's own repetitions each start a
 * browser; these share it.
 */
export function perRun<Body>(declare: (title: string, body: Body) => void): typeof declare {
  if (!BATCH) return declare;
  return (title, body) =>
    RUNS.forEach((run, index) => {
      if (run.title === title) declare(`${title} #${index}`, body);
    });
}

/** Runs one test of a batch: the page and every process of the mesh find its fault in the environment. */
async function inBatch(batch: string, info: TestInfo, use: () => Promise<void>): Promise<void> {
  const index = Number(info.title.match(/#(\d+)$/)?.[1]);
  const run = RUNS[index];
  if (!run) throw new Error(`${info.title} is no run of the batch`);
  // A failure that is expected leaves the browser to the next run.
  info.fail(run.fault !== null);
  const planted = { SEAMESH_SEAM_FAULT: run.fault, SEAMESH_SEAM_RECORDS: run.records };
  for (const [name, value] of Object.entries(planted)) if (value) process.env[name] = value;
  const start = Date.now();
  await use();
  for (const name of Object.keys(planted)) delete process.env[name];
  const ended = { run: index, status: info.status, ms: Date.now() - start };
  appendFileSync(`${batch}.ended`, `${JSON.stringify(ended)}\n`);
}

function parse(text: string | undefined): Fault | null {
  const [verb, ...rows] = text?.split(" ") ?? [];
  return verb && rows.length > 0 ? { verb, rows } : null;
}

async function hook(page: Page, records: string | undefined, fault: Fault | null): Promise<void> {
  const seen = new Set<string>();
  await page.exposeFunction("seamesh_seam", (line: string) => {
    if (!records || seen.has(line)) return;
    seen.add(line);
    appendFileSync(join(records, `hub-${process.pid}`), `${line}\n`);
  });
  const routes = Object.entries(ROUTES).map(([name, { method, path }]) => [name, method, path] as const);
  await page.addInitScript(install, { routes, fault });
}

/** Runs in the page, before its own script: everything it needs is in its argument. */
function install({ routes, fault }: Hook): void {
  /** Milliseconds that `late` holds a message back, and how many of them: as the hook in Rust does. */
  const LATE_MS = 60;
  const LATE_MESSAGES = 3;
  const planted = new Map<string, number>();
  /** Whether the fault is to be planted for this row once more, of `most` times. */
  const plants = (row: string, most: number): boolean => {
    const times = planted.get(row) ?? 0;
    planted.set(row, times + 1);
    return times < most;
  };
  const tell = (line: string) =>
    (window as unknown as { seamesh_seam(line: string): Promise<void> }).seamesh_seam(line);
  const is = (verb: string, row: string) => fault?.verb === verb && fault.rows.includes(row);
  const never = (signal: AbortSignal | null | undefined) =>
    new Promise<Response>((_, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
    });
  // One connection of many: what `late` does to a page is what `reorder` does.
  const late = async (row: string) => {
    if (!(is("late", row) || is("reorder", row)) || !plants(row, LATE_MESSAGES)) return;
    await new Promise((resolve) => setTimeout(resolve, LATE_MS));
  };

  const operationOf = (method: string, path: string): string | undefined => {
    const segments = path.split("/");
    const fits = (pattern: string) => {
      const parts = pattern.split("/");
      return (
        parts.length === segments.length && parts.every((p, i) => p.startsWith("{") || p === segments[i])
      );
    };
    const found = routes.filter(([, its, pattern]) => its === method && fits(pattern));
    const literal = (pattern: string) => pattern.split("{").length;
    return found.sort((a, b) => literal(a[2]) - literal(b[2]))[0]?.[0];
  };

  /** The stream's records, each asked for before it is let through. */
  const heard = (body: NonNullable<Response["body"]>): BodyInit => {
    let rest = "";
    const blocks = new TransformStream<string, string>({
      transform: async (piece, out) => {
        const parts = (rest + piece).split("\n\n");
        rest = parts.pop() ?? "";
        for (const part of parts) {
          const data = part.match(/^data: (.*)$/m)?.[1];
          const kind = data && (JSON.parse(data) as { event?: { type?: string } }).event?.type;
          const row = `event_stream/${kind}/registry>hub`;
          if (kind && is("deaf", row)) continue;
          if (kind) await late(row);
          if (kind) void tell(`acted ${row}`);
          out.enqueue(`${part}\n\n`);
          if (kind && is("twice", row)) out.enqueue(`${part}\n\n`);
          if (kind && is("reconnect", row) && plants(row, 1)) {
            out.error(new TypeError("a planted fault ends the stream"));
            return;
          }
        }
      },
    });
    return body.pipeThrough(new TextDecoderStream()).pipeThrough(blocks).pipeThrough(new TextEncoderStream());
  };

  const real = window.fetch.bind(window);
  window.fetch = async (input, init) => {
    const path = new URL(input instanceof Request ? input.url : String(input), location.href).pathname;
    const operation = operationOf(init?.method ?? "GET", path);
    if (!operation) return real(input, init);
    const request = `rest/${operation}.request/hub>registry`;
    const answer = `rest/${operation}.answer/registry>hub`;
    // Nothing is sent, and the page is told that all is well: what it did not do must be noticed elsewhere.
    if (is("mute", request)) {
      return new Response('{"status":"ok"}', { headers: { "content-type": "application/json" } });
    }
    void tell(`said ${request}`);
    const response = await real(input, init);
    if (!response.ok) return response;
    if (is("deaf", answer)) return never(init?.signal);
    await late(answer);
    void tell(`acted ${answer}`);
    if (operation !== "events" || !response.body) return response;
    return new Response(heard(response.body), { status: response.status, headers: response.headers });
  };
}

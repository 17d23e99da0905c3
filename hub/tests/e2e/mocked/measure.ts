// Measuring a page by what it costs, not by the clock: what else the machine does is not counted.

import { readFileSync } from "node:fs";
import type { CDPSession, Page } from "@playwright/test";

export const MIB = 1024 * 1024;

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  /** Processor time of its thread, microseconds. */
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

/** Processor time of the page's thread so far, milliseconds. */
export async function busyMs(cdp: CDPSession): Promise<number> {
  const { metrics } = await cdp.send("Performance.getMetrics");
  return (metrics.find((one) => one.name === "TaskDuration")?.value ?? 0) * 1000;
}

export async function metered(page: Page): Promise<CDPSession> {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
  return cdp;
}

/**
 * Processor time of every frame that the page's thread drew meanwhile, milliseconds, least first: the tasks from one
 * frame's end to the next one's, so that a long task counts in the frame that it delays.
 */
export async function framesOf(page: Page, cdp: CDPSession, work: () => Promise<void>): Promise<number[]> {
  const events: TraceEvent[] = [];
  const take = ({ value }: { value: object[] }) => events.push(...(value as TraceEvent[]));
  cdp.on("Tracing.dataCollected", take);
  await cdp.send("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: {
      includedCategories: ["disabled-by-default-devtools.timeline", "devtools.timeline", "__metadata"],
    },
  });
  // Names the thread among all of the browser's: nothing else marks this.
  await page.evaluate(() => console.timeStamp("seamesh-measured"));
  await work();
  const over = new Promise<void>((resolve) => cdp.once("Tracing.tracingComplete", () => resolve()));
  await cdp.send("Tracing.end");
  await over;
  cdp.off("Tracing.dataCollected", take);
  const mark = events.find((one) => JSON.stringify(one.args ?? {}).includes("seamesh-measured"));
  const own = events
    .filter((one) => one.pid === mark?.pid && one.tid === mark.tid)
    .sort((a, b) => a.ts - b.ts);
  const frames: number[] = [];
  let sum = 0;
  for (const { name, tdur } of own) {
    if (name === "RunTask") sum += (tdur ?? 0) / 1000;
    if (name === "Commit") {
      frames.push(sum);
      sum = 0;
    }
  }
  return frames.sort((a, b) => a - b);
}

/** The value that `share` of the sorted values do not pass. */
export function atShare(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Memory that the tab's process has for itself alone, bytes (`proc_pid_status(5)`). */
export async function ownMemory(page: Page): Promise<number> {
  const browser = page.context().browser();
  if (!browser) throw new Error("no browser of its own");
  const cdp = await browser.newBrowserCDPSession();
  const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
  await cdp.detach();
  const sizes = processInfo
    .filter((one) => one.type === "renderer")
    .map(({ id }) =>
      Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1] ?? 0),
    );
  // A test has one page: spare renderers that the browser keeps are smaller.
  return Math.max(...sizes) * 1024;
}

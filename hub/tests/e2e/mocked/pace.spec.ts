// The page under load: five thousand agents, fifty thousand tasks, five hundred events a second.

import { agent, demoMesh, ended, link, skills, task } from "../mock/records";
import type { Contents, MockRegistry } from "../mock/registry";
import { atShare, busyMs, framesOf, MIB, metered, ownMemory } from "./measure";
import { expect, test } from "./page";

// The runner's own trace copies the document at every step, on the page's thread and in its memory.
test.use({ trace: "off" });

const AGENTS = 5_000;
const TASKS = 50_000;
const EVENTS_PER_S = 500;
/** Events are sent in bunches this far apart, milliseconds. */
const BUNCH_MS = 100;
/** Most processor time of a frame, events included, painted without a GPU: fifty frames a second. */
const FRAME_MS = 20;
/** Most of all frames but one in twenty: no key and no turn of the wheel is felt to wait. */
const LATE_FRAME_MS = 100;
/** Between two keys of somebody who types fast, milliseconds. */
const KEY_EVERY_MS = 80;
/** Most of the tab, bytes. */
const TAB_BYTES = 300 * MIB;
/** Most JavaScript of the first view as it is sent, bytes. */
const FIRST_JS_BYTES = 350_000;
/** Most until the first view is usable, milliseconds. */
const FIRST_VIEW_MS = 1_000;
/** Rounds in which a figure may prove to hold. */
const ROUNDS = 3;
/** Most until an event is on the screen, for 95 of 100, milliseconds. */
const ON_SCREEN_MS = 200;

const NAMES = Array.from({ length: AGENTS }, (_, i) => `agent-${String(i).padStart(4, "0")}`);
const of = (i: number) => NAMES[i % AGENTS] ?? "";

function crowd(): Contents {
  return {
    agents: NAMES.map((name) => agent(name, skills("search", "rank"))),
    links: NAMES.map((name, i) => link(name, of(i * 7 + 1))).filter((one) => one.from_peer !== one.to_peer),
    tasks: Array.from({ length: TASKS }, (_, i) =>
      ended(`task-${i}`, i % 9 === 0 ? "failed" : "completed", { assigned_agent_id: of(i * 3) }, i / 10 + 1),
    ),
  };
}

/** Events until it is told to stop; each is of the task that `next` makes. */
function traffic(registry: MockRegistry, next: (n: number) => ReturnType<typeof task>): () => void {
  let sent = 0;
  const timer = setInterval(() => {
    for (let i = 0; i < (EVENTS_PER_S * BUNCH_MS) / 1000; i++) {
      sent += 1;
      registry.taskChanged(next(sent));
    }
  }, BUNCH_MS);
  return () => clearInterval(timer);
}

test("scrolling and typing stay over fifty frames a second", async ({ visit }) => {
  test.setTimeout(180_000);
  const { page, registry } = await visit(crowd(), "/tasks");
  await expect(page.getByTestId("task-count")).toHaveText(/50,000/);
  expect(await page.locator("tr[data-task]").count()).toBeLessThan(80);
  const cdp = await metered(page);
  const stop = traffic(registry, (n) =>
    task(`live-${n}`, { assigned_agent_id: of(n), state: "assigned", attempt: 1 }, 0),
  );
  /**
   * Processor time of a frame of those that are drawn meanwhile: of the middle one, of all on average, and of the dearest
   * but a few. Others on the machine only make them dearer: the best of a few rounds counts.
   */
  const cheapest = async (
    what: string,
    work: () => Promise<void>,
  ): Promise<{ mid: number; mean: number; late: number }> => {
    const rounds: { mid: number; mean: number; late: number }[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const frames = await framesOf(page, cdp, work);
      expect(frames.length).toBeGreaterThan(30);
      const [mid, late] = [atShare(frames, 0.5), atShare(frames, 0.95)];
      const mean = frames.reduce((sum, one) => sum + one, 0) / frames.length;
      console.log(
        `${what}: ${frames.length} frames, half of them within ${mid.toFixed(1)} ms, p95 ${late.toFixed(1)} ms, mean ${mean.toFixed(1)} ms`,
      );
      rounds.push({ mid, mean, late });
      if (mid < FRAME_MS && mean < FRAME_MS && late < LATE_FRAME_MS) break;
    }
    const least = (of: "mid" | "mean" | "late") => Math.min(...rounds.map((one) => one[of]));
    return { mid: least("mid"), mean: least("mean"), late: least("late") };
  };
  try {
    const box = page.getByRole("region", { name: "Tasks, rows" });
    const filter = page.getByRole("searchbox");
    const scroll = () =>
      box.evaluate(async (element) => {
        for (let i = 0; i < 180; i++) {
          element.scrollBy(0, 120);
          await new Promise(requestAnimationFrame);
        }
      });
    const type = async () => {
      for (const word of ["live-1", "agent-0042", "completed"]) {
        await page.keyboard.type(word, { delay: KEY_EVERY_MS });
        await filter.fill("");
      }
    };
    const scrolled = await cheapest("scrolled", scroll);
    await box.evaluate((element) => element.scrollTo(0, 0));
    await filter.focus();
    const typed = await cheapest("typed", type);
    for (const { mid, mean, late } of [scrolled, typed]) {
      expect(mid).toBeLessThan(FRAME_MS);
      expect(mean).toBeLessThan(FRAME_MS);
      expect(late).toBeLessThan(LATE_FRAME_MS);
    }
    await filter.fill("live-1");
    await expect(page.locator("tr[data-task]").first()).toContainText("search");
    // And when nothing happens any more that would have it drawn again.
    stop();
    await filter.fill("task-4999");
    await expect(page.getByTestId("task-count")).toHaveText("11");
  } finally {
    stop();
  }
});

test("an event is on the screen within 200 ms while five hundred come every second, and the tab stays small", async ({
  visit,
}) => {
  test.setTimeout(120_000);
  const { page, registry } = await visit(crowd(), "/tasks");
  await page.evaluate(() => {
    const seen: Record<string, number> = {};
    Object.assign(window, { seen });
    new MutationObserver(() => {
      for (const row of document.querySelectorAll("tr[data-task^=marked]")) {
        const id = row.getAttribute("data-task") ?? "";
        if (id in seen) continue;
        seen[id] = Number.POSITIVE_INFINITY;
        // Not when it stands in the document, but when its frame is drawn.
        requestAnimationFrame(() => {
          seen[id] = Date.now();
        });
      }
    }).observe(document.body, { childList: true, subtree: true });
  });
  // Work that is known already goes on: what is new stands above it.
  const busy = Array.from({ length: EVENTS_PER_S }, (_, i) => task(`busy-${i}`, {}, 60));
  const stop = traffic(registry, (n) => ({
    ...(busy[n % busy.length] as ReturnType<typeof task>),
    state: n % 2 === 0 ? "assigned" : "pending",
    assigned_agent_id: of(n),
  }));
  try {
    // What else the machine does can only make a round slower: the best of a few is the page's own.
    const rounds: number[] = [];
    for (let round = 0; round < ROUNDS && !rounds.some((p95) => p95 < ON_SCREEN_MS); round++) {
      const sent: Record<string, number> = {};
      for (let i = 0; i < 40; i++) {
        const id = `marked-${round}-${i}`;
        sent[id] = Date.now();
        registry.taskChanged(task(id, {}, 0));
        await page.waitForFunction(
          (one) => Number.isFinite((window as unknown as { seen: Record<string, number> }).seen[one]),
          id,
        );
      }
      const seen = await page.evaluate(() => (window as unknown as { seen: Record<string, number> }).seen);
      const delays = Object.entries(sent).map(([id, at]) => (seen[id] ?? Number.POSITIVE_INFINITY) - at);
      delays.sort((a, b) => a - b);
      console.log(`on the screen after ${atShare(delays, 0.5)} ms, p95 ${atShare(delays, 0.95)} ms`);
      rounds.push(atShare(delays, 0.95));
    }
    expect(Math.min(...rounds)).toBeLessThan(ON_SCREEN_MS);
    // Here, where nothing is traced: a trace is gathered in the memory of the tab.
    const tab = await ownMemory(page);
    const cdp = await metered(page);
    const { usedSize } = await cdp.send("Runtime.getHeapUsage");
    console.log(
      `the tab has ${(tab / MIB).toFixed(0)} MiB, ${(usedSize / MIB).toFixed(0)} MiB of them used by the page`,
    );
    expect(tab).toBeLessThan(TAB_BYTES);
    expect(usedSize).toBeLessThan(TAB_BYTES);
  } finally {
    stop();
  }
});

test("the first view is small, and usable within a second", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh());
  const cdp = await metered(page);
  await cdp.send("Network.enable");
  await cdp.send("Network.setCacheDisabled", { cacheDisabled: true });
  const scripts = new Map<string, number>();
  cdp.on("Network.responseReceived", ({ requestId, type }) => {
    if (type === "Script") scripts.set(requestId, 0);
  });
  cdp.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    if (scripts.has(requestId)) scripts.set(requestId, encodedDataLength);
  });
  const tries: { wall: number; work: number }[] = [];
  let sent = 0;
  for (let i = 0; i < 5; i++) {
    scripts.clear();
    await page.goto("about:blank");
    const before = await busyMs(cdp);
    await page.goto(registry.url);
    // Usable: the mesh is there, and what wants a person.
    await page.locator('[data-phase="live"]').waitFor();
    await page.getByRole("heading", { level: 1 }).waitFor();
    const wall = await page.evaluate(() => performance.now());
    tries.push({ wall, work: (await busyMs(cdp)) - before });
    sent = [...scripts.values()].reduce((sum, one) => sum + one, 0);
  }
  const least = (of: (one: { wall: number; work: number }) => number) => Math.min(...tries.map(of));
  console.log(
    `first view: ${(sent / 1000).toFixed(0)} kB of JavaScript in ${scripts.size} files, usable after ` +
      `${least((one) => one.wall).toFixed(0)} ms, ${least((one) => one.work).toFixed(0)} ms of them work`,
  );
  expect(scripts.size).toBeGreaterThan(0);
  expect(sent).toBeGreaterThan(10_000);
  expect(sent).toBeLessThan(FIRST_JS_BYTES);
  // The best of a few: what else the machine did is not the page's fault.
  expect(least((one) => one.wall)).toBeLessThan(FIRST_VIEW_MS);
});

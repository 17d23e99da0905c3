// The page under load: five thousand agents, fifty thousand tasks, five hundred events a second.

import { agent, ended, link, skills, task } from "../mock/records";
import { expect, test } from "./page";

const AGENTS = 5_000;
const TASKS = 50_000;
const EVENTS_PER_S = 500;
/** Events are sent in bunches this far apart, milliseconds. */
const BUNCH_MS = 100;
/**
 * Most processor time of a frame, events included, painted without a GPU: fifty frames a second. 12 ms are reached on two
 * cores that six others want, so this fails by the page's fault, not by the machine's.
 */
const FRAME_MS = 20;
/** Most processor time of a key, over all rows. */
const KEY_MS = 150;
const MIB = 1024 * 1024;

test("scrolling and typing keep their price under load, and the tab its memory", async ({ visit }) => {
  test.setTimeout(120_000);
  const names = Array.from({ length: AGENTS }, (_, i) => `agent-${String(i).padStart(4, "0")}`);
  const of = (i: number) => names[i % AGENTS] ?? "";
  const { page, registry } = await visit(
    {
      agents: names.map((name) => agent(name, skills("search", "rank"))),
      links: names.map((name, i) => link(name, of(i * 7 + 1))).filter((one) => one.from_peer !== one.to_peer),
      tasks: Array.from({ length: TASKS }, (_, i) =>
        ended(
          `task-${i}`,
          i % 9 === 0 ? "failed" : "completed",
          { assigned_agent_id: of(i * 3) },
          i / 10 + 1,
        ),
      ),
    },
    "/tasks",
  );
  await expect(page.getByTestId("task-count")).toHaveText(/50,000/);
  expect(await page.locator("tr[data-task]").count()).toBeLessThan(80);

  let sent = 0;
  const traffic = setInterval(() => {
    for (let i = 0; i < (EVENTS_PER_S * BUNCH_MS) / 1000; i++) {
      sent += 1;
      registry.taskChanged(
        task(`live-${sent}`, { assigned_agent_id: of(sent), state: "assigned", attempt: 1 }, 0),
      );
    }
  }, BUNCH_MS);
  try {
    // Processor time of the page's thread: what else the machine does is not counted.
    const cdp = await page.context().newCDPSession(page);
    await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
    const busyS = async () =>
      (await cdp.send("Performance.getMetrics")).metrics.find((one) => one.name === "TaskDuration")?.value ??
      0;
    const busyBefore = await busyS();
    const frames = await page.getByRole("region", { name: "Tasks, rows" }).evaluate(async (box) => {
      const gaps: number[] = [];
      let before = performance.now();
      for (let i = 0; i < 180; i++) {
        box.scrollBy(0, 120);
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        gaps.push(now - before);
        before = now;
      }
      return gaps.sort((a, b) => a - b);
    });
    const frameMs = ((await busyS()) - busyBefore) * (1000 / frames.length);
    const filter = page.getByRole("searchbox");
    const typedBefore = await busyS();
    await filter.pressSequentially("live-1", { delay: 0 });
    const typedMs = ((await busyS()) - typedBefore) * (1000 / "live-1".length);
    await expect(page.locator("tr[data-task]").first()).toContainText("search");
    await filter.fill("");
    const memory = await page.evaluate(
      () => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize,
    );
    const median = frames[Math.floor(frames.length / 2)] ?? 0;
    console.log(
      `a frame costs ${frameMs.toFixed(1)} ms (median ${median.toFixed(0)} ms apart), ` +
        `a key ${typedMs.toFixed(0)} ms, heap ${(memory / MIB).toFixed(0)} MiB`,
    );
    expect(frameMs).toBeLessThan(FRAME_MS);
    expect(typedMs).toBeLessThan(KEY_MS);
    expect(memory).toBeLessThan(300 * MIB);
  } finally {
    clearInterval(traffic);
  }
});

test("an event is on the screen within 200 ms", async ({ visit }) => {
  const { page, registry } = await visit({ agents: [agent("reader")] }, "/tasks");
  await page.evaluate(() => {
    const seen: Record<string, number> = {};
    Object.assign(window, { seen });
    new MutationObserver(() => {
      for (const row of document.querySelectorAll("tr[data-task]")) {
        const id = row.getAttribute("data-task") ?? "";
        seen[id] ??= Date.now();
      }
    }).observe(document.body, { childList: true, subtree: true });
  });
  const sent: Record<string, number> = {};
  for (let i = 0; i < 20; i++) {
    const id = `t-${i}`;
    sent[id] = Date.now();
    registry.taskChanged(task(id, {}, 0));
    await expect(page.locator(`tr[data-task="${id}"]`)).toBeVisible();
  }
  const seen = await page.evaluate(() => (window as unknown as { seen: Record<string, number> }).seen);
  const delays = Object.entries(sent).map(([id, at]) => (seen[id] ?? Number.POSITIVE_INFINITY) - at);
  delays.sort((a, b) => a - b);
  expect(delays[18]).toBeLessThan(200);
});

// The page on a real mesh: a real registry, real sidecars, real links, and two agents that the test speaks for.

import { expect, type Page, test } from "@playwright/test";
import { Mesh } from "./live/mesh";

let mesh: Mesh;

test.beforeEach(async () => {
  mesh = await Mesh.start();
});

test.afterEach(async ({ page }, info) => {
  await page.close();
  await mesh.end();
  if (info.status !== info.expectedStatus) await info.attach("logs", { body: mesh.logs });
});

/** Opens the page by its one-time link, and marks the document: the mark is gone after a reload. */
async function open(page: Page): Promise<void> {
  await page.goto(await mesh.loginUrl());
  await expect(page.locator('[data-phase="live"]')).toBeVisible();
  expect(page.url()).not.toContain("login");
  await page.evaluate(() => document.body.setAttribute("data-first-load", "yes"));
}

async function expectNoReload(page: Page): Promise<void> {
  expect(await page.evaluate(() => document.body.getAttribute("data-first-load"))).toBe("yes");
}

/** A skill that answers when the test says so. */
function held(): { skill: () => Promise<unknown>; release: (result: unknown) => void } {
  let release: (result: unknown) => void = () => undefined;
  const result = new Promise<unknown>((resolve) => {
    release = resolve;
  });
  return { skill: () => result, release };
}

test("agents, their link and a task are seen as they happen, without a reload", async ({ page }) => {
  await open(page);
  await expect(page.getByText("No agents yet")).toBeVisible();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });

  const work = held();
  await mesh.join("reader", { summarize: work.skill, echo: (payload) => payload });
  await expect(page.locator('[data-agent="reader"]')).toContainText("active");
  await expect(page.locator('[data-agent="reader"]')).toContainText("summarize");
  const editor = await mesh.join("editor", { answer: (payload) => payload });
  await expect(page.locator('[data-agent="editor"]')).toContainText("answer");
  await expect(page.locator('[data-link="peer-editor peer-reader"]')).toHaveCount(1);

  const queued = await mesh.submit({
    skill: "summarize",
    target_agent_id: "reader",
    payload: { text: "long" },
  });
  const row = page.locator(`[data-task="${queued}"]`);
  await expect(row).toContainText("assigned");
  await expect(page.locator('[data-agent="reader"] .col-flight')).toHaveText("1");
  work.release({ summary: "short" });
  await expect(row).toContainText("completed");
  await expect(row).toContainText("queue");
  await expect(page.locator('[data-agent="reader"] .col-flight')).toHaveText("0");
  await row.click();
  await expect(page.getByRole("complementary")).toContainText('"text": "long"');
  await expect(page.getByRole("complementary")).toContainText('"summary": "short"');
  await page.keyboard.press("Escape");

  const answer = await editor.request("echo", "reader", { said: "hello" });
  expect(answer).toMatchObject({
    path: "direct",
    outcome: { state: "completed", result: { said: "hello" } },
  });
  const direct = page.locator(`[data-task="${answer.task_id}"]`);
  await expect(direct).toContainText("completed");
  await expect(direct).toContainText("direct");
  await expect(direct).toContainText("editor → reader");

  await expectNoReload(page);
  expect(complaints).toEqual([]);
});

test("a registry that dies and comes back leaves a page that says so, and heals", async ({ page }) => {
  await mesh.join("reader", { echo: (payload) => payload });
  await open(page);
  await expect(page.locator('[data-agent="reader"]')).toContainText("active");

  await mesh.killRegistry();
  await expect(page.getByText(/This page is \d+ s old\./)).toBeVisible();
  await expect(page.locator('[data-agent="reader"]')).toBeVisible();

  await mesh.restartRegistry();
  await expect(page.getByText(/This page is/)).toBeHidden();
  await expect(page.locator('[data-phase="live"]')).toBeVisible();
  const id = await mesh.submit({
    skill: "echo",
    target_agent_id: "reader",
    payload: { after: "the restart" },
  });
  await expect(page.locator(`[data-task="${id}"]`)).toContainText("completed");
  await expectNoReload(page);
});

test("what leaves the mesh is seen to leave, and who waits at the door is told", async ({ page }) => {
  await open(page);
  await mesh.join("reader", { echo: (payload) => payload });
  const editor = await mesh.join("editor", { answer: (payload) => payload });
  const line = page.locator('[data-link="peer-editor peer-reader"]');
  await expect(line).toHaveCount(1);

  // A sidecar that vanished says nothing any more: its agent's beat is overdue.
  await mesh.killSidecar("reader");
  // The other end notices by ICE's own timers, which are slower than a test's patience.
  await expect(line).toHaveCount(0, { timeout: 25_000 });
  await expect(page.locator('[data-agent="reader"]')).toContainText("stale");

  // An agent that hung up is told of by its sidecar.
  const writer = await mesh.join("writer", {});
  await expect(page.locator('[data-agent="writer"]')).toContainText("active");
  writer.close();
  await expect(page.locator('[data-agent="writer"]')).toContainText("offline");

  editor.goodbye();
  await expect(page.locator('[data-agent="editor"]')).toHaveCount(0);

  await mesh.askToJoin("kim");
  await expect(page.getByText("A newcomer waits for approval: kim")).toBeVisible();
  await expectNoReload(page);
});

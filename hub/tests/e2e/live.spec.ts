// The page on a real mesh: a real registry, real sidecars, real links, and two agents that the test speaks for.

import { expect, type Page, test } from "@playwright/test";
import { Mesh } from "./live/mesh";
import type { Work } from "./live/native-agent";

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
async function open(page: Page, at = "/"): Promise<void> {
  await page.goto((await mesh.loginUrl()).replace(/\/(?=#)/, at));
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

/** Goes to a place within the page as its own links do: nothing is loaded anew. */
async function go(page: Page, name: string): Promise<void> {
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name }).click();
}

function rowOf(page: Page, task: string) {
  return page.locator(`tr[data-task="${task}"]`);
}

test("agents, their link and a task are seen as they happen, without a reload", async ({ page }) => {
  await open(page);
  await expect(page.getByText("The mesh is empty.")).toBeVisible();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });

  const work = held();
  await mesh.join("reader", { summarize: work.skill, echo: (payload) => payload });
  await expect(page.locator('[data-agent="reader"]')).toContainText("active");
  const editor = await mesh.join("editor", { answer: (payload) => payload });
  await go(page, "Agents");
  await expect(page.locator('tr[data-agent="editor"]')).toContainText("answer");
  await go(page, "Mesh");
  await expect(page.locator('[data-link="peer-editor peer-reader"]')).toHaveCount(1);

  await go(page, "Tasks");
  const queued = await mesh.submit({
    skill: "summarize",
    target_agent_id: "reader",
    payload: { text: "long" },
  });
  await expect(rowOf(page, queued)).toContainText("assigned");
  work.release({ summary: "short" });
  await expect(rowOf(page, queued)).toContainText("completed");
  await expect(rowOf(page, queued)).toContainText("queue");

  const answer = await editor.request("echo", "reader", { said: "hello" });
  expect(answer).toMatchObject({
    path: "direct",
    outcome: { state: "completed", result: { said: "hello" } },
  });
  const direct = rowOf(page, String(answer.task_id));
  await expect(direct).toContainText("completed");
  await expect(direct).toContainText("direct");

  await rowOf(page, queued).getByRole("link", { name: "summarize" }).click();
  await expect(page.getByRole("region", { name: "Payload" })).toContainText('"text": "long"');
  await expect(page.getByRole("region", { name: "Result" })).toContainText('"summary": "short"');
  await expect(page.getByRole("region", { name: "Timeline" })).toContainText("reader, from the queue");
  await expectNoReload(page);
  expect(complaints).toEqual([]);
});

test("a skill is run from its form, its progress watched, and its question answered", async ({ page }) => {
  const schema = { type: "object", properties: { topic: { type: "string" } }, required: ["topic"] };
  const gate = held();
  await mesh.join("writer", {
    write: {
      schema,
      run: async (payload, work) => {
        work.progress(0.5, "reads what there is");
        await gate.skill();
        const tone = await work.ask("In which tone?", { enum: ["dry", "warm"] });
        return { topic: (payload as { topic: string }).topic, tone };
      },
    },
  });
  await open(page, "/agent?id=writer");
  await page.getByRole("button", { name: "Try it" }).click();
  const form = page.getByRole("form", { name: "Try write" });
  await form.getByLabel("topic").fill("bees");
  await form.getByRole("button", { name: "Run" }).click();
  const outcome = page.locator("[data-outcome]");
  await expect(outcome).toContainText("reads what there is");
  await expect(outcome.getByRole("progressbar")).toHaveAttribute("value", "0.5");
  gate.release(null);
  await expect(outcome).toContainText("In which tone?");
  await outcome.getByLabel("Answer", { exact: true }).selectOption("warm");
  await outcome.getByRole("button", { name: "Answer" }).click();
  await expect(outcome).toContainText("completed");
  await expect(outcome).toContainText('"tone": "warm"');
  await expectNoReload(page);
});

test("a tree is watched as it grows, and canceled from its first task down", async ({ page }) => {
  const stopped: string[] = [];
  const until = (name: string) => async (_: unknown, work: Work) => {
    await work.stopped;
    stopped.push(name);
  };
  await mesh.join("leaf", { dig: until("dig") });
  await mesh.join("root", {
    plan: async (_, work) => {
      void work.delegate("dig", "leaf", {});
      await until("plan")(_, work);
    },
  });
  await open(page);
  const id = await mesh.submit({ skill: "plan", target_agent_id: "root", payload: {} });
  await go(page, "Tasks");
  await rowOf(page, id).getByRole("link", { name: "plan" }).click();
  await page.getByRole("tab", { name: "Tree" }).click();
  const boxes = page.locator("[data-tree-task]");
  await expect(boxes).toHaveCount(1);
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel it" }).click();
  await expect(boxes.first()).toContainText("canceled");
  await expect(boxes).toHaveCount(2);
  await expect(boxes.last()).toContainText("canceled");
  await expect.poll(() => [...stopped].sort()).toEqual(["dig", "plan"]);
  await expectNoReload(page);
});

test("a newcomer is let in from the inbox, and its token is good", async ({ page }) => {
  await open(page);
  await mesh.askToJoin("kim");
  await go(page, "Inbox");
  await page.getByRole("button", { name: "Approve" }).click();
  const token = await page.locator(".secret code").textContent();
  const answer = await fetch(new URL("/api/token", mesh.url), {
    method: "POST",
    headers: { "x-device-token": token ?? "" },
  });
  expect(answer.status).toBe(200);
  await expect(page.getByRole("region", { name: "Newcomers" })).toBeHidden();
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
  await go(page, "Tasks");
  await expect(rowOf(page, id)).toContainText("completed");
  await expectNoReload(page);
});

test("what leaves the mesh is seen to leave, and who waits at the door is told", async ({ page }) => {
  await open(page, "/mesh");
  await mesh.join("reader", { echo: (payload) => payload });
  const editor = await mesh.join("editor", { answer: (payload) => payload });
  const line = page.locator('[data-link="peer-editor peer-reader"]');
  await expect(line).toHaveCount(1);

  // A sidecar that vanished says nothing any more: its agent's beat is overdue.
  await mesh.killSidecar("reader");
  // The other end notices by ICE's own timers, which are slower than a test's patience.
  await expect(line).toHaveCount(0, { timeout: 25_000 });
  await go(page, "Agents");
  await expect(page.locator('[data-agent="reader"]')).toContainText("stale");

  // An agent that hung up is told of by its sidecar.
  const writer = await mesh.join("writer", {});
  await expect(page.locator('[data-agent="writer"]')).toContainText("active");
  writer.close();
  await expect(page.locator('[data-agent="writer"]')).toContainText("offline");

  editor.goodbye();
  await expect(page.locator('[data-agent="editor"]')).toHaveCount(0);

  await mesh.askToJoin("kim");
  await expect(page.getByRole("link", { name: "Inbox 1 waiting" })).toBeVisible();
  await expectNoReload(page);
});

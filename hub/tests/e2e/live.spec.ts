// The page on a real mesh: a real registry, real sidecars, real links, and two agents that the test speaks for.

import type { Work } from "./live/native-agent";
import { expect, expectNoReload, go, held, open, rowOf, test } from "./live/page";

test("agents, their link and a task are seen as they happen, without a reload", async ({ page, mesh }) => {
  await open(page, mesh);
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

test("a skill is run from its form, its progress watched, and its question answered", async ({
  page,
  mesh,
}) => {
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
  await open(page, mesh, "/agent?id=writer");
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

test("a tree is watched as it grows, and canceled from its first task down", async ({ page, mesh }) => {
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
  await open(page, mesh);
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

test("a newcomer is let in from the inbox, and its token is good", async ({ page, mesh }) => {
  await open(page, mesh);
  await mesh.askToJoin("kim");
  await go(page, "Inbox");
  await page.getByRole("button", { name: "Approve" }).click();
  const token = await page.locator(".secret code").textContent();
  expect(await mesh.statusOfToken("x-device-token", token ?? "")).toBe(200);
  await expect(page.getByRole("region", { name: "Newcomers" })).toBeHidden();
});

test("a registry that dies and comes back leaves a page that says so, and heals", async ({ page, mesh }) => {
  await mesh.join("reader", { echo: (payload) => payload });
  await open(page, mesh);
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

test("a link that goes down is counted no more", async ({ page, mesh }) => {
  await open(page, mesh, "/mesh");
  await mesh.join("reader", { echo: (payload) => payload });
  await mesh.join("editor", { answer: (payload) => payload });
  await expect(page.getByText("1 link", { exact: true })).toBeVisible();
  await mesh.stopSidecar("reader");
  await expect(page.getByText("0 links", { exact: true })).toBeVisible();
  await expectNoReload(page);
});

test("what leaves the mesh is seen to leave, and who waits at the door is told", async ({ page, mesh }) => {
  await open(page, mesh, "/mesh");
  await mesh.join("reader", { echo: (payload) => payload });
  const editor = await mesh.join("editor", { answer: (payload) => payload });
  const line = page.locator('[data-link="peer-editor peer-reader"]');
  await expect(line).toHaveCount(1);

  // A sidecar that vanished says nothing any more: its agent's beat is overdue.
  await mesh.killSidecar("reader");
  // The other end notices by ICE's own timers, which are slower than a test's patience.
  const cap = Number(process.env.SEAMESH_TEST_CAP_MS ?? 25_000);
  await expect(line).toHaveCount(0, { timeout: cap });
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

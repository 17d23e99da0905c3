// What a person does on the page of a real mesh, and what comes of it.

import { STUN } from "./live/mesh";
import { expect, expectNoReload, go, held, open, rowOf, test } from "./live/page";

test("a stream is seen as it comes, and its reader lets the handler go on", async ({ page, mesh }) => {
  const gate = held();
  await mesh.join("writer", {
    write: async (_, work) => {
      work.stream("once ");
      await work.taken();
      work.stream("upon");
      await gate.skill();
      work.stream(" a time");
      return "told";
    },
  });
  await open(page, mesh, "/chat?agent=writer&skill=write");
  await page.getByRole("form", { name: "Say something" }).getByRole("button", { name: "Send" }).click();
  const said = page.locator("[data-streamed]");
  await expect(said).toContainText("once upon");
  gate.release(null);
  await expect(said).toContainText("once upon a time");
  await expect(page.locator("[data-outcome]")).toContainText("told");
  await expectNoReload(page);
});

test("a session outlives a reload, and ends where it is ended", async ({ page, mesh }) => {
  await open(page, mesh);
  await page.reload();
  await expect(page.locator('[data-phase="live"]')).toBeVisible();
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(page.getByLabel("API key")).toBeVisible();
  // Nothing of what was seen is left: it was asked for, and did not just run out.
  await expect(page.getByRole("navigation", { name: "Pages" })).toHaveCount(0);
  // Not only this page: what the browser kept is worth nothing.
  await page.reload();
  await expect(page.getByLabel("API key")).toBeVisible();
});

test("tasks from before the snapshot are found", async ({ page, mesh }) => {
  const first = await mesh.submit({ skill: "oldest", payload: {} });
  for (let i = 0; i < 100; i++) await mesh.submit({ skill: "newer", payload: {} });
  await open(page, mesh, "/tasks?q=oldest");
  await expect(rowOf(page, first)).toContainText("pending");
});

test("selected tasks are canceled, and the page says how many", async ({ page, mesh }) => {
  const id = await mesh.submit({ skill: "nobody", payload: {} });
  await open(page, mesh, "/tasks");
  await rowOf(page, id).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Cancel 1" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel them" }).click();
  await expect(page.getByText("Canceled: 1 done")).toBeVisible();
  await expect(rowOf(page, id)).toContainText("canceled");
});

test("a question is answered from the inbox, which says that the answer was taken", async ({
  page,
  mesh,
}) => {
  await mesh.join("asker", { ask: (_, work) => work.ask("Which?", { type: "string" }) });
  const id = await mesh.submit({ skill: "ask", target_agent_id: "asker", payload: {} });
  await open(page, mesh, "/inbox");
  await page.getByLabel("Answer", { exact: true }).fill("this one");
  await page.getByRole("button", { name: "Answer", exact: true }).click();
  await expect(page.getByText("The answer to ask was taken.")).toBeVisible();
  await go(page, "Tasks");
  await rowOf(page, id).getByRole("link", { name: "ask", exact: true }).click();
  await expect(page.getByRole("region", { name: "Result" })).toContainText("this one");
});

test("a newcomer with the page's invite is refused, another is sent away again", async ({ page, mesh }) => {
  await open(page, mesh, "/settings");
  await page.getByRole("button", { name: "Make an invite" }).click();
  const code = await page.locator(".secret code").textContent();
  await mesh.askToJoin("kim", code ?? "");
  await go(page, "Inbox");
  const kim = page.locator("[data-newcomer]", { hasText: "kim" });
  await kim.getByRole("button", { name: "Reject", exact: true }).click();
  await expect(page.getByText("kim was refused.")).toBeVisible();
  await expect(kim).toHaveCount(0);

  await mesh.askToJoin("lee");
  await page
    .locator("[data-newcomer]", { hasText: "lee" })
    .getByRole("button", { name: "Approve", exact: true })
    .click();
  const token = await page.locator(".secret code").textContent();
  expect(await mesh.statusOfToken("x-device-token", token ?? "")).toBe(200);
  await page.getByText("Decided before").click();
  await expect(page.getByRole("listitem").filter({ hasText: "kim" })).toContainText("rejected");
  await page
    .getByRole("listitem")
    .filter({ hasText: "lee" })
    .getByRole("button", { name: "Revoke", exact: true })
    .click();
  await expect(page.getByText("lee was sent away.")).toBeVisible();
  expect(await mesh.statusOfToken("x-device-token", token ?? "")).toBe(401);
});

test("who waited before the page was opened is in the inbox", async ({ page, mesh }) => {
  await mesh.askToJoin("kim");
  await open(page, mesh, "/inbox");
  await expect(page.locator("[data-newcomer]", { hasText: "kim" })).toBeVisible();
});

test("a key is made, is good, and is good for nothing once revoked", async ({ page, mesh }) => {
  await open(page, mesh, "/settings");
  const keys = page.getByRole("table", { name: "API keys" });
  await expect(keys.getByRole("row", { name: /admin/ })).toBeVisible();
  const form = page.getByRole("form", { name: "Make a key" });
  await form.getByLabel("Whom it names").fill("peer-new");
  await form.getByRole("button", { name: "Make a key" }).click();
  const secret = (await page.locator(".secret code").textContent()) ?? "";
  expect(await mesh.statusOfToken("x-api-key", secret)).toBe(200);
  const row = keys.getByRole("row", { name: /peer-new/ });
  await row.getByRole("button", { name: /Revoke/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke it" }).click();
  await expect(row).toHaveCount(0);
  expect(await mesh.statusOfToken("x-api-key", secret)).toBe(401);
});

test("the registry says its version, its ICE servers and its counters", async ({ page, mesh }) => {
  await open(page, mesh, "/settings");
  const registry = page.getByRole("region", { name: "Registry", exact: true });
  await expect(registry).toContainText(/Version\s*\d+\.\d+\.\d+/);
  await expect(registry).toContainText(STUN);
  await go(page, "Seams");
  await expect(page.getByRole("table", { name: "REST seams" })).toContainText("/api/hub/state");
});

test("an agent that is gone for good is removed, and its page with it", async ({ page, mesh }) => {
  const agent = await mesh.join("reader", { echo: (payload) => payload });
  await open(page, mesh, "/agent?id=reader");
  agent.close();
  await page.getByRole("button", { name: "Remove" }).click();
  await expect(page).toHaveURL(/\/agents/);
  await expect(page.locator('tr[data-agent="reader"]')).toHaveCount(0);
  await expectNoReload(page);
});

test("a result under a lease that is over is told in the list of events", async ({ page, mesh }) => {
  const agent = await mesh.joinOverHttp("worker", "work");
  await open(page, mesh, "/events?kind=stale_result");
  const id = await mesh.submit({ skill: "work", target_agent_id: "worker", payload: {} });
  const [task] = await agent.takeWork();
  expect(task?.id).toBe(id);
  expect(await agent.end(id, (task?.lease ?? 0) + 1)).toBe(409);
  await expect(page.getByRole("table", { name: "Events" })).toContainText(id);
});

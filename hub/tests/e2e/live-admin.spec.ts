// What an administrator sees and decides on the page of a real mesh.

import { expect, expectNoReload, go, open, test } from "./live/page";

test("a decision stands in the audit, whose chain the page checks", async ({ page, mesh }) => {
  await open(page, mesh, "/settings");
  await page.getByRole("button", { name: "Make an invite" }).click();
  await expect(page.locator(".secret code")).toBeVisible();
  await go(page, "Events");
  await page.getByRole("link", { name: "Audit" }).click();
  const made = page.locator("tr[data-audit]", { hasText: "invite made" });
  await expect(made).toContainText("admin");
  await expect(page.getByText("The chain is whole, from the first record on")).toBeVisible();

  // Decided elsewhere, after the page was read.
  await mesh.key("eve", "viewer");
  await page.getByRole("button", { name: "Read again" }).click();
  const key = page.locator("tr[data-audit]", { hasText: "for eve, viewer" });
  await expect(key).toContainText("key made");
  await expect(page.getByText("The chain is whole, from the first record on")).toBeVisible();
  await key.click();
  await page.getByRole("dialog").getByRole("tab", { name: "JSON" }).click();
  await expect(page.getByRole("dialog")).toContainText('"action": "key_made"');
  await expectNoReload(page);
});

test("the administrator's password is changed, and is what opens the page next", async ({ page, mesh }) => {
  await open(page, mesh, "/settings");
  const form = page.getByRole("form", { name: "Change the password" });
  await form.getByLabel("New password").fill("a horse, a battery, a staple");
  await form.getByRole("button", { name: "Change it" }).click();
  await expect(page.getByText("It is changed.")).toBeVisible();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Administrator's password").fill("a horse, a battery, a staple");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.locator('[data-phase="live"]')).toBeVisible();
});

test("somebody's session is ended, and their page is logged out at once", async ({ page, mesh, browser }) => {
  const key = await mesh.key("eve", "viewer");
  const hers = await browser.newPage();
  await hers.goto(mesh.url);
  await hers.getByLabel("API key").fill(key);
  await hers.getByRole("button", { name: "Log in" }).click();
  await expect(hers.locator('[data-phase="live"]')).toBeVisible();

  await open(page, mesh, "/settings");
  const table = page.getByRole("table", { name: "Sessions" });
  await expect(table.getByRole("row", { name: /admin/ })).toContainText("this one");
  await table.getByRole("button", { name: "End the session of eve" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End it" }).click();
  await expect(page.getByText("The session of eve is over.")).toBeVisible();
  await expect(table.getByRole("row", { name: /eve/ })).toHaveCount(0);
  await expect(hers.getByLabel("API key")).toBeVisible();
  await hers.close();
  await expectNoReload(page);
});

test("the settings say how the registry was started", async ({ page, mesh }) => {
  await open(page, mesh, "/settings");
  await expect(page.getByRole("region", { name: "Retention" })).toContainText(/Ended tasks\s*30 d/);
  const registry = page.getByRole("region", { name: "Registry" });
  await expect(registry).toContainText("off: plain HTTP");
  await expect(registry).toContainText("in the registry's data directory");
  await expect(page.getByRole("region", { name: "Limits" })).toContainText(/Requests\s*2,000 a second/);
});

test("a command that is copied does what its button does", async ({ page, mesh }) => {
  const secret = await mesh.key("peer-old", "agent");
  await open(page, mesh, "/settings");
  const row = page.getByRole("table", { name: "API keys" }).getByRole("row", { name: /peer-old/ });
  const command = await row.getByRole("button", { name: /Copy as CLI/ }).getAttribute("title");
  expect(await mesh.statusOfToken("x-api-key", secret)).toBe(200);
  await mesh.run(command ?? "");
  expect(await mesh.statusOfToken("x-api-key", secret)).toBe(401);

  await mesh.askToJoin("kim");
  await go(page, "Inbox");
  const kim = page.locator("[data-newcomer]", { hasText: "kim" });
  const reject = kim.getByRole("button", { name: "Copy as CLI rejecting kim" });
  await mesh.run((await reject.getAttribute("title")) ?? "");
  await expect(kim).toHaveCount(0);

  const ids = [
    await mesh.submit({ skill: "nobody", payload: {} }),
    await mesh.submit({ skill: "nobody", payload: {} }),
  ];
  await go(page, "Tasks");
  for (const id of ids) await page.locator(`tr[data-task="${id}"]`).getByRole("checkbox").check();
  const cancel = page.getByRole("button", { name: "Copy as CLI canceling them" });
  await mesh.run((await cancel.getAttribute("title")) ?? "");
  for (const id of ids) await expect(page.locator(`tr[data-task="${id}"]`)).toContainText("canceled");
});

test("what sidecars say is counted by its kind", async ({ page, mesh }) => {
  await mesh.join("reader", { echo: (payload) => payload });
  await mesh.join("editor", { echo: (payload) => payload });
  await open(page, mesh, "/seams");
  const table = page.getByRole("table", { name: "Signaling seams" });
  await expect(table.getByRole("row", { name: /heartbeat|agent_status|register/ }).first()).toBeVisible();
});

// What each view does for a person, and what a role may not.

import { readFileSync } from "node:fs";
import { agent, demoMesh, link, skills } from "../mock/records";
import { expect, row, section, test } from "./page";

test("a skill is tried by a form made of its schema, and its outcome is shown as it comes", async ({
  visit,
}) => {
  const { page, registry } = await visit(demoMesh(), "/agent?id=editor");
  await page.getByRole("button", { name: "Try it" }).click();
  const form = page.getByRole("form", { name: "Try answer" });
  await form.getByLabel("question").fill("Why?");
  await form.getByLabel("depth").fill("99");
  await form.getByRole("button", { name: "Run" }).click();
  await expect(form.getByText("At most 12.")).toBeVisible();
  await form.getByLabel("depth").fill("2");
  await form.getByRole("button", { name: "Run" }).click();
  const outcome = page.locator('[data-outcome="t-new-1"]');
  await expect(outcome).toContainText("pending");
  registry.finish("t-new-1", { answer: "because" });
  await expect(outcome).toContainText('"answer": "because"');
  expect(registry.deeds[0]?.body).toEqual({
    skill: "answer",
    target_agent_id: "editor",
    payload: { question: "Why?", depth: 2, tone: "plain" },
    stream: true,
  });
});

test("a newcomer is approved, and its token is shown once", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/inbox");
  await section(page, "Newcomers").getByRole("button", { name: "Approve" }).click();
  await expect(page.getByText("token-of-the-test")).toBeVisible();
  await expect(section(page, "Newcomers")).toBeHidden();
  expect(registry.deeds.map((deed) => deed.route)).toEqual(["POST /api/pairing/n1/approve"]);
});

test("a question is answered from the inbox", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/inbox");
  const item = page.locator('[data-question="t-2"]');
  await item.getByLabel("document").selectOption({ label: "wire.md" });
  await item.getByRole("button", { name: "Answer" }).click();
  await expect(item).toHaveCount(0);
  expect(registry.deeds[0]?.body).toEqual({ number: 1, value: { document: "wire.md" } });
});

test("a talk keeps its turns over a reload, each with whom the agent asked", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/chat?agent=editor");
  await page.getByLabel("question").fill("What is a lease?");
  await page.keyboard.press("Control+Enter");
  await expect(page.getByRole("list", { name: "The talk" })).toContainText("What is a lease?");
  registry.finish("t-new-1", "Fifteen seconds.");
  await expect(page.getByText("Fifteen seconds.")).toBeVisible();
  await page.reload();
  await expect(page.getByText("Fifteen seconds.")).toBeVisible();
});

test("events from before are loaded, filtered and exported", async ({ visit }) => {
  const { page } = await visit(demoMesh(), "/events");
  await page.getByRole("button", { name: "Load earlier" }).click();
  await expect(page.locator("tr[data-event]")).toHaveCount(8);
  await page.getByRole("searchbox").fill("t-4");
  await expect(page.locator("tr[data-event]")).toHaveCount(5);
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export" }).click();
  expect((await download).suggestedFilename()).toBe("seamesh-events.jsonl");
});

test("the audit says that its chain is whole, is filtered by address and exported oldest first", async ({
  visit,
}) => {
  const { page } = await visit(demoMesh(), "/events");
  await page.getByRole("link", { name: "Audit" }).click();
  await expect(page.locator("tr[data-audit]")).toHaveCount(4);
  await expect(page.getByText("The chain is whole, from the first record on")).toBeVisible();
  await page.getByLabel("decision").selectOption("login_refused");
  await expect(page).toHaveURL(/audit\?action=login_refused/);
  await expect(page.locator("tr[data-audit]")).toHaveCount(1);
  await page.reload();
  await expect(page.locator("tr[data-audit]")).toContainText(["somebody unknown"]);
  await page.getByLabel("decision").selectOption("");
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export" }).click();
  const lines = readFileSync(await (await download).path(), "utf8")
    .trim()
    .split("\n");
  expect(lines.map((line) => JSON.parse(line).n)).toEqual([1, 2, 3, 4]);
});

test("a record of the audit that was changed is named", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh());
  registry.audit = registry.audit.map((one) => (one.n === 2 ? { ...one, detail: "nothing at all" } : one));
  await page.goto(`${registry.url}/audit`);
  await expect(page.getByRole("alert")).toHaveText(
    "Broken: record 2 was changed: its hash is not that of its content",
  );
});

test("the audit is refused to an operator, who is told so", async ({ visit }) => {
  const { page } = await visit(demoMesh(), "/audit", { peer_id: "olga", role: "operator" });
  await expect(page.getByText("An admin reads the audit")).toBeVisible();
  await page.goto(new URL("/events", page.url()).href);
  await expect(page.getByRole("heading", { level: 1, name: "Events" })).toBeVisible();
  await expect(page.getByRole("link", { name: "Audit" })).toHaveCount(0);
});

test("a session of somebody else is ended, one's own is not offered", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/settings");
  const table = page.getByRole("table", { name: "Sessions" });
  await expect(table.getByRole("row", { name: /the password/ })).toContainText("this one");
  await expect(table.getByRole("button")).toHaveCount(2);
  await table.getByRole("button", { name: "End the session of kim" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End it" }).click();
  await expect(page.getByText("The session of kim is over.")).toBeVisible();
  await expect(table.getByRole("row", { name: /kim/ })).toHaveCount(0);
  expect(registry.deeds.map((deed) => deed.route)).toEqual(["DELETE /api/sessions/session-1"]);
});

test("the settings say what is in force, and what sets it", async ({ visit }) => {
  const { page } = await visit(demoMesh(), "/settings");
  const fact = (panel: string, name: string) =>
    section(page, panel).locator(".fact", { has: page.getByText(name, { exact: true }) });
  await expect(fact("Registry", "TLS")).toContainText("a certificate of its own making --tls-cert");
  await expect(fact("Registry", "Its public half")).toContainText("d75a 9801 82b1 0ab7");
  await expect(fact("Registry", "Root key")).toContainText("in the registry's data directory");
  await expect(fact("Retention", "Ended tasks")).toContainText("30 d --keep-ended");
  await expect(fact("Retention", "Database")).toContainText("as large as the disk");
  await expect(fact("Limits", "Requests")).toContainText("2,000 a second, 20,000 at once");
  await expect(fact("Limits", "Payload or result")).toContainText("1 MiB");
});

test("settings that cannot be read say why, where they would stand", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh());
  registry.refusals.set("GET /api/hub/settings", "Not for you.");
  registry.refusals.set("GET /api/sessions", "Nor this.");
  await page.goto(`${registry.url}/settings`);
  await expect(section(page, "Retention")).toContainText("Not for you.");
  await expect(section(page, "Who is logged in").getByRole("alert")).toHaveText("Nor this.");
  await expect(section(page, "Limits")).toContainText("1 MiB");
});

test("what can be pressed can be copied as a command", async ({ visit }) => {
  const { page } = await visit(demoMesh(), "/settings");
  const copied = (name: string) => page.getByRole("button", { name, exact: true });
  await expect(copied("Copy as CLI revoking the key of peer-librarian")).toHaveAttribute(
    "title",
    "seamesh keys revoke k2",
  );
  await page.getByLabel("Whom it names").fill("it's me");
  const form = page.getByRole("form", { name: "Make a key" });
  await expect(form.getByRole("button", { name: "Copy as CLI" })).toHaveAttribute(
    "title",
    `seamesh keys create --role agent 'it'\\''s me'`,
  );
  await page.goto(new URL("/inbox", page.url()).href);
  await expect(copied("Copy as CLI approving kim-laptop")).toHaveAttribute("title", "seamesh approve n1");
  await page.goto(new URL("/tasks", page.url()).href);
  for (const id of ["t-8", "t-9", "t-5"]) await row(page, id).getByRole("checkbox").check();
  await expect(copied("Copy as CLI canceling them")).toHaveAttribute(
    "title",
    'for id in t-8 t-9; do seamesh tasks cancel -- "$id"; done',
  );
  await expect(copied("Copy as CLI retrying them")).toHaveAttribute("title", "seamesh tasks retry t-5");
});

test("a record is read in words, and as it came behind a tab", async ({ visit }) => {
  const { page } = await visit(demoMesh(), "/audit");
  await page.locator("tr[data-audit]").first().click();
  const dialog = page.getByRole("dialog");
  await expect(dialog).toContainText("admin, admin");
  await dialog.getByRole("tab", { name: "Facts" }).focus();
  await page.keyboard.press("ArrowRight");
  await expect(dialog.getByRole("tabpanel")).toContainText('"action": "login"');
  await page.keyboard.press("Escape");
  await page.goto(new URL("/inbox", page.url()).href);
  await page.getByRole("button", { name: "kim-laptop", exact: true }).click();
  await expect(dialog).toContainText("none: an older client");
  await dialog.getByRole("tab", { name: "JSON" }).click();
  await expect(dialog).toContainText('"agent_name": "kim-laptop"');
  await page.goto(new URL("/agent?id=editor", page.url()).href);
  await page.getByRole("tab", { name: "JSON" }).click();
  await expect(page).toHaveURL(/tab=json/);
  await expect(page.getByRole("tabpanel")).toContainText('"agent_id": "editor"');
});

test("the password is changed in the settings", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/settings");
  const form = page.getByRole("form", { name: "Change the password" });
  await form.getByLabel("New password").fill("short");
  await expect(form.getByRole("button")).toBeDisabled();
  await form.getByLabel("New password").fill("correct horse battery staple");
  await form.getByRole("button", { name: "Change it" }).click();
  await expect(page.getByText("It is changed.")).toBeVisible();
  expect(registry.deeds.at(-1)?.body).toEqual({ password: "correct horse battery staple" });
});

test("a link that comes to be identified is shown so at once", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/mesh?view=table");
  const row = page.locator('[data-node="peer-librarian"]');
  await expect(row).toContainText("0 of 2");
  registry.happen({ type: "link_up", payload: { ...link("editor", "librarian"), identified: true } });
  await expect(row).toContainText("1 of 2");
});

test("a link that passes a relay is drawn as one, and counted in the table", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/mesh");
  const line = page.locator('[data-link="peer-editor peer-librarian"]');
  await expect(line).toHaveAttribute("data-way", "direct");
  registry.happen({ type: "link_up", payload: { ...link("editor", "librarian"), relayed: true } });
  await expect(line).toHaveAttribute("data-way", "relayed");
  await expect(page.getByRole("button", { name: /^editor.* 1 by way of a relay$/ })).toBeVisible();
  await page
    .getByRole("link", { name: "table" })
    .or(page.getByRole("button", { name: "table" }))
    .click();
  await expect(page.locator('[data-node="peer-editor"]')).toContainText("1");
});

test("seams show each route in use with its refusals and its times", async ({ visit }) => {
  const { page } = await visit(demoMesh(), "/seams");
  const row = page.getByRole("row", { name: /POST \/api\/hub\/tasks .* 4,243 31/ });
  await expect(row).toContainText("5.0 ms");
});

test("seams show what goes on now, from one reading to the next", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/seams");
  const cells = page.getByRole("row", { name: /POST \/api\/hub\/tasks/ }).getByRole("cell");
  await expect(cells.nth(1)).toHaveText("–");
  registry.metrics = registry.metrics.replace(
    'operation="submit_task",status="5xx"} 0',
    'operation="submit_task",status="5xx"} 400',
  );
  await page.getByRole("button", { name: "Read again" }).click();
  await expect(cells.nth(1)).toHaveText(/^[\d,.]*[1-9][\d,.]*\/s$/);
  await expect(cells.nth(2)).toHaveText("100 %");
});

test("a key is made, shown once, and revoked", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/settings");
  await page.getByLabel("Whom it names").fill("peer-new");
  await page.getByLabel("Role").selectOption("viewer");
  await page.getByRole("button", { name: "Make a key" }).click();
  await expect(page.getByText("secret-of-the-test")).toBeVisible();
  await page.getByRole("button", { name: "Revoke the key of peer-librarian" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke it" }).click();
  await expect.poll(() => registry.deeds.at(-1)?.route).toBe("DELETE /api/keys/k2");
});

test("the mesh is also a table", async ({ visit }) => {
  const { page } = await visit(demoMesh(), "/mesh");
  await page.getByRole("button", { name: "table" }).click();
  await expect(page).toHaveURL(/view=table/);
  const table = page.getByRole("table", { name: "Mesh: who is linked with whom" });
  await expect(page.locator('[data-node="peer-librarian"]')).toContainText("editor, reader");
  await expect(table.getByRole("row", { name: /cron-http/ })).toContainText("has no sidecar");
});

test("a viewer sees everything and no button it may not press", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/tasks", { peer_id: "eve", role: "viewer" });
  await expect(page.locator("tr[data-task]")).toHaveCount(12);
  await expect(page.getByRole("checkbox")).toHaveCount(0);
  for (const at of [
    "/task?id=t-8",
    "/task?id=t-2",
    "/agent?id=editor&skill=answer",
    "/inbox",
    "/chat?agent=editor",
    "/settings",
  ]) {
    await page.goto(`${registry.url}${at}`);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    const deeds = page
      .locator("main")
      .getByRole("button", { name: /^(Cancel|Run|Answer|Approve|Reject|Try it|Send|Make|Revoke)/ });
    await expect(deeds).toHaveCount(0);
  }
  expect(registry.deeds).toEqual([]);
});

test("the palette leads to an agent, a task and a page", async ({ visit }) => {
  const { page } = await visit({ agents: [agent("reader", skills("summarize"))] });
  await page.keyboard.press("Control+k");
  await page.keyboard.type("read");
  await page.getByRole("option", { name: /reader/ }).click();
  await expect(page).toHaveURL(/agent\?id=reader/);
  await page.keyboard.press("Control+k");
  await page.keyboard.type("seams");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/seams/);
});

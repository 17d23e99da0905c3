import { demoMesh } from "../mock/records";
import { expect, section, test } from "./page";

test("a login link logs in, and its code is gone from the address at once", async ({ arrive }) => {
  const { page, registry } = await arrive(demoMesh(), `/tasks?state=failed#login=code-of-the-test`);
  await expect(page.locator('[data-task="t-5"]')).toBeVisible();
  expect(page.url()).toBe(`${registry.url}/tasks?state=failed`);
  await page.goBack();
  expect(page.url()).not.toContain("login=");
});

test("a link that was used leads to the form, which says so", async ({ arrive }) => {
  const { page } = await arrive({}, "/#login=used");
  await expect(page.getByText("The login link was not taken: No such key or code.")).toBeVisible();
  await expect(page.getByLabel("API key")).toBeVisible();
});

test("an API key logs in, a wrong one is refused with the reason", async ({ arrive }) => {
  const { page, registry } = await arrive(demoMesh());
  await page.getByLabel("API key").fill("wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("alert")).toHaveText("No such key or code.");
  await page.getByLabel("API key").fill(registry.apiKey);
  await page.keyboard.press("Enter");
  await expect(section(page, "Agents").getByText("librarian")).toBeVisible();
  expect(registry.snapshots).toBe(1);
});

test("a session that ends asks for a login over the page, and nothing typed is lost", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/agent?id=editor&skill=answer");
  await page.getByLabel("question").fill("What was I about to ask?");
  registry.endSessions();
  const dialog = page.getByRole("dialog", { name: "Log in again" });
  await expect(dialog).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(dialog).toBeVisible();
  await dialog.getByLabel("API key").fill(registry.apiKey);
  await dialog.getByRole("button", { name: "Log in" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.locator('[data-phase="live"]')).toBeVisible();
  expect(page.url()).toBe(`${registry.url}/agent?id=editor&skill=answer`);
  await expect(page.getByLabel("question")).toHaveValue("What was I about to ask?");
  expect(registry.snapshots).toBe(1);
});

test("a role that may not watch is told so plainly", async ({ arrive }) => {
  const { page, registry } = await arrive(demoMesh());
  registry.mayWatch = false;
  await page.getByLabel("API key").fill(registry.apiKey);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByText("This login may not watch the mesh.")).toBeVisible();
  await expect(page.getByText("The role agent may not watch.")).toBeVisible();
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(page.getByLabel("API key")).toBeVisible();
});

test("after a logout nothing of the mesh is left on the page", async ({ visit }) => {
  const { page } = await visit(demoMesh());
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(page.getByLabel("API key")).toBeVisible();
  await expect(page.getByText("librarian")).toHaveCount(0);
  await page.reload();
  await expect(page.getByLabel("API key")).toBeVisible();
});

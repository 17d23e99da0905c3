import { agent, demoMesh, link } from "../mock/records";
import { expect, section, test } from "./page";

test("the mesh is also a table", async ({ visit }) => {
  const { page } = await visit(demoMesh());
  await section(page, "Mesh").getByRole("button", { name: "list" }).click();
  await expect(page).toHaveURL(/mesh=list/);
  const table = page.getByRole("table", { name: "Mesh: who is linked with whom" });
  await expect(table.getByRole("row", { name: /^librarian/ })).toContainText("editor, reader");
  await expect(table.getByRole("row", { name: /^cron-http/ })).toContainText("has no sidecar");
});

test("every node of the graph is reached by keyboard, says who it is, and can be chosen", async ({
  visit,
}) => {
  const { page } = await visit({ agents: [agent("a"), agent("b")], links: [link("a", "b")] });
  const node = page.getByRole("button", { name: "b, active, linked with a" });
  await page.getByRole("button", { name: "a, active, linked with b" }).focus();
  await page.keyboard.press("Tab");
  await expect(node).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/agent=b/);
  await expect(node).toHaveAttribute("aria-pressed", "true");
});

test("a task is opened and closed by keyboard alone", async ({ visit }) => {
  const { page } = await visit(demoMesh());
  await page.locator('[data-task="t-5"]').getByRole("button").focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("complementary")).toContainText("ValueError: the text is empty");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("complementary")).toBeHidden();
});

test.describe("with reduced motion", () => {
  test.use({ contextOptions: { reducedMotion: "reduce" } });

  test("what leaves the mesh leaves the picture all the same", async ({ visit }) => {
    const { page, registry } = await visit({ agents: [agent("a"), agent("b")], links: [link("a", "b")] });
    registry.happen({ type: "agent_removed", payload: { agent_id: "b" } });
    registry.happen({ type: "link_down", payload: link("a", "b") });
    await expect(page.locator(".node")).toHaveCount(1);
    await expect(page.locator(".link-line")).toHaveCount(0);
  });
});

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 } });

  test("nothing is wider than the screen", async ({ visit }) => {
    const { page } = await visit(demoMesh());
    await expect(section(page, "Tasks")).toBeVisible();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width).toBeLessThanOrEqual(390);
  });
});

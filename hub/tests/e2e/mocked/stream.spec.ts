import { agent, demoMesh, ended, link, skills, task } from "../mock/records";
import { expect, expectNoReload, mark, section, test } from "./page";

const picture = "svg.mesh__picture";

test("an empty mesh teaches the first steps, on every page", async ({ visit }) => {
  const { page } = await visit();
  await expect(page.getByText("seamesh init && seamesh run")).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("t");
  await expect(page.getByText("No tasks yet")).toBeVisible();
  await page.getByRole("link", { name: "Agents", exact: true }).click();
  await expect(page.getByText("seamesh init && seamesh run")).toBeVisible();
  await page.getByRole("link", { name: "Mesh", exact: true }).click();
  await expect(page.getByText("Nothing to draw yet")).toBeVisible();
  await page.getByRole("link", { name: "Inbox" }).click();
  await expect(page.getByText("Nobody waits for you")).toBeVisible();
});

test("the first agent appears, takes work and leaves, without a reload", async ({ visit }) => {
  const { page, registry } = await visit();
  await mark(page);
  registry.happen({ type: "agent_registered", payload: agent("reader", skills("summarize")) });
  const line = page.locator('[data-agent="reader"]');
  await expect(line).toContainText("active");
  registry.happen({ type: "agent_health", payload: { agent_id: "reader", health: "stale" } });
  await expect(line).toContainText("stale");
  registry.taskChanged(task("t1", { target_agent_id: "reader" }));
  await expect(page.locator('[data-task="t1"]')).toContainText("pending");
  registry.taskChanged(ended("t1", "completed", { assigned_agent_id: "reader" }));
  await expect(page.locator('[data-count="completed"]')).toContainText("1");
  registry.happen({ type: "agent_removed", payload: { agent_id: "reader" } });
  await expect(line).toHaveCount(0);
  await expectNoReload(page);
});

test("links are drawn when they open and go when they close", async ({ visit }) => {
  const { page, registry } = await visit({ agents: [agent("a"), agent("b"), agent("c")] }, "/mesh");
  await expect(page.locator(`${picture} [data-node]`)).toHaveCount(3);
  await expect(page.locator(`${picture} [data-link]`)).toHaveCount(0);
  registry.happen({ type: "link_up", payload: link("a", "b") });
  const line = page.locator('[data-link="peer-a peer-b"]');
  await expect(line).toHaveCount(1);
  const ends = await line.evaluate((path) => (path as SVGPathElement).getTotalLength());
  expect(ends).toBeGreaterThan(50);
  registry.happen({ type: "link_down", payload: link("a", "b") });
  // What faded out is gone, not only invisible.
  await expect(page.locator(`${picture} .link-line`)).toHaveCount(0);
});

test("a newcomer that waits for approval is counted in the navigation", async ({ visit }) => {
  const { page, registry } = await visit();
  const entry = { id: "n1", agent_name: "kim", peer_id: "p1", created_at: 1, updated_at: 1 };
  registry.happen({ type: "pairing_changed", payload: { ...entry, status: "pending_approval" } });
  const link = page.getByRole("link", { name: "Inbox 1 waiting" });
  await link.click();
  await expect(section(page, "Newcomers")).toContainText("kim");
  registry.happen({ type: "pairing_changed", payload: { ...entry, status: "rejected" } });
  await expect(section(page, "Newcomers")).toBeHidden();
});

test("a cut stream is told with its age, and heals by number", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh());
  await mark(page);
  registry.cut();
  await expect(page.getByText(/This page is \d+ s old\./)).toBeVisible();
  await expect(page.getByTestId("stale-age")).toHaveText("2 s");
  registry.happen({ type: "agent_registered", payload: agent("latecomer") });
  registry.heal();
  await expect(page.locator('[data-agent="latecomer"]')).toBeVisible();
  await expect(page.getByText(/This page is/)).toBeHidden();
  expect(registry.snapshots).toBe(1);
  expect(registry.resumedAfter.at(-1)).toBe(100);
  await expectNoReload(page);
});

test("when the missed events are gone, the present state is loaded", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh());
  await mark(page);
  registry.cut();
  await expect(page.locator('[data-phase="cut"]')).toBeVisible();
  registry.heal({ agents: [agent("survivor")] });
  await expect(page.locator('[data-agent="survivor"]')).toBeVisible();
  await expect(page.locator('[data-agent="librarian"]')).toHaveCount(0);
  await expect(page.locator('[data-phase="live"]')).toBeVisible();
  expect(registry.snapshots).toBe(2);
  await expectNoReload(page);
});

test("an event that makes no sense stops nothing", async ({ visit }) => {
  const { page, registry } = await visit();
  registry.sendRaw('data: {"seq":101,"at_ms":1,"event":{"type":"task_changed","payload":{"id":"<b>"}}}\n\n');
  registry.happen({ type: "agent_registered", payload: agent("after-nonsense") });
  await expect(page.locator('[data-agent="after-nonsense"]')).toBeVisible();
  await expect(page.locator('[data-phase="live"]')).toHaveAttribute("title", "1 event was not understood");
});

import { agent, demoMesh, ended, link, skills, task } from "../mock/records";
import { expect, expectNoReload, mark, section, test } from "./page";

const picture = "svg.mesh__picture";

test("an empty mesh teaches the first steps", async ({ visit }) => {
  const { page } = await visit();
  await expect(section(page, "Agents").getByText("seamesh init && seamesh run")).toBeVisible();
  await expect(section(page, "Tasks").getByText("No tasks yet")).toBeVisible();
  await expect(section(page, "Mesh").getByText("Nothing to draw yet")).toBeVisible();
});

test("the first agent appears, takes work and leaves, without a reload", async ({ visit }) => {
  const { page, registry } = await visit();
  await mark(page);
  registry.happen({ type: "agent_registered", payload: agent("reader", skills("summarize")) });
  const row = page.locator('[data-agent="reader"]');
  await expect(row).toContainText("active");
  await expect(row).toContainText("summarize");
  registry.happen({ type: "agent_health", payload: { agent_id: "reader", health: "stale" } });
  await expect(row).toContainText("stale");
  registry.taskChanged(task("t1", { target_agent_id: "reader" }));
  await expect(page.locator('[data-task="t1"]')).toContainText("pending");
  registry.taskChanged(ended("t1", "completed", { assigned_agent_id: "reader" }));
  await expect(page.locator('[data-task="t1"]')).toContainText("completed");
  registry.happen({ type: "agent_removed", payload: { agent_id: "reader" } });
  await expect(row).toHaveCount(0);
  await expectNoReload(page);
});

test("links are drawn when they open and go when they close", async ({ visit }) => {
  const { page, registry } = await visit({ agents: [agent("a"), agent("b"), agent("c")] });
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

test("a newcomer that waits for approval is told of", async ({ visit }) => {
  const { page, registry } = await visit();
  const entry = { id: "n1", agent_name: "kim", peer_id: "p1", created_at: 1, updated_at: 1 };
  registry.happen({ type: "pairing_changed", payload: { ...entry, status: "pending_approval" } });
  await expect(page.getByText("A newcomer waits for approval: kim")).toBeVisible();
  registry.happen({ type: "pairing_changed", payload: { ...entry, status: "rejected" } });
  await expect(page.getByText("A newcomer waits")).toBeHidden();
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

import { agent, demoMesh, ended, largeMesh } from "../mock/records";
import { expect, section, test } from "./page";

test("the state filter is in the address and survives a reload", async ({ visit }) => {
  const { page } = await visit(demoMesh());
  await section(page, "Tasks").getByRole("button", { name: "failed 2" }).click();
  await expect(page).toHaveURL(/\?state=failed$/);
  const rows = page.locator("[data-task]");
  await expect(rows).toHaveCount(2);
  await page.reload();
  await expect(rows).toHaveCount(2);
  await page.goBack();
  await expect(rows).toHaveCount(9);
});

test("an agent that is chosen shows its own tasks, and its links stand out", async ({ visit }) => {
  const { page } = await visit(demoMesh());
  await section(page, "Agents").getByRole("button", { name: "reader" }).click();
  await expect(page).toHaveURL(/agent=reader/);
  await expect(page.locator("[data-task]")).toHaveCount(2);
  await expect(page.locator(".link-line--chosen")).toHaveCount(3);
  await page.getByRole("button", { name: "show all" }).click();
  await expect(page.locator("[data-task]")).toHaveCount(9);
});

test("a task opens beside the page with payload and result, and follows its changes", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh());
  await page.locator('[data-task="t-7"]').click();
  await expect(page).toHaveURL(/task=t-7/);
  const drawer = page.getByRole("complementary");
  await expect(drawer).toContainText('"query": "lease"');
  await expect(drawer).toContainText('"file": "design.md"');
  await expect(drawer).toContainText("librarian answered.");
  await drawer.getByRole("button", { name: "t-8" }).click();
  await expect(drawer).toContainText("editor holds its lease.");
  registry.taskChanged(
    ended("t-8", "completed", { skill: "answer", assigned_agent_id: "editor", result: "forty-two" }),
  );
  await expect(drawer).toContainText("forty-two");
  await page.keyboard.press("Escape");
  await expect(drawer).toBeHidden();
});

test("a task that does not exist says so", async ({ visit }) => {
  const { page } = await visit({}, "/?task=nope");
  await expect(page.getByRole("complementary")).toContainText("No such task.");
});

test("hostile text is shown as text", async ({ visit }) => {
  const markup = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
  const huge = "x".repeat(1_000_000);
  const { page } = await visit({
    agents: [agent("a", { description: `\u202e${markup}`, hostname: "\ud800 lone" })],
    tasks: [
      ended("t1", "failed", {
        skill: markup,
        error: huge,
        payload: { text: markup, rtl: "\u202eabc" },
        result: "\udc00",
      }),
    ],
  });
  await expect(section(page, "Agents")).toContainText(markup);
  await page.locator('[data-task="t1"]').click();
  const drawer = page.getByRole("complementary");
  await expect(drawer.getByRole("heading", { level: 2 })).toHaveText(markup);
  await expect(drawer).toContainText("980,000 more characters.");
  const download = page.waitForEvent("download");
  await drawer.getByRole("button", { name: "Download the whole text" }).click();
  expect((await download).suggestedFilename()).toBe("t1.error.txt");
  await expect(page).toHaveTitle("seamesh hub");
  await expect(page.locator("main img, main script, aside img, aside script")).toHaveCount(0);
});

test("five thousand tasks stay quick: a screenful of rows, the last one within reach", async ({ visit }) => {
  const { page } = await visit(largeMesh(5_000));
  const tasks = section(page, "Tasks");
  await expect(tasks.getByText("5,000", { exact: true })).toBeVisible();
  expect(await page.locator("[data-task]").count()).toBeLessThan(80);
  await tasks.locator(".scroll--tasks").evaluate((box) => box.scrollTo(0, box.scrollHeight));
  await expect(page.locator('[data-task="task-4999"]')).toBeVisible();
  await expect(tasks.getByRole("table")).toHaveAttribute("aria-rowcount", "5001");
});

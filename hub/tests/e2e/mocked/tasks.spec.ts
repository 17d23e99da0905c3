import { agent, demoMesh, ended, largeMesh, task } from "../mock/records";
import { expect, row, section, test } from "./page";

test("the filters are in the address and survive a reload", async ({ visit }) => {
  const { page } = await visit(demoMesh(), "/tasks");
  const rows = page.locator("tr[data-task]");
  await expect(rows).toHaveCount(12);
  await page.getByRole("button", { name: "failed 3" }).click();
  await expect(page).toHaveURL(/\?state=failed$/);
  await expect(rows).toHaveCount(3);
  await page.reload();
  await expect(rows).toHaveCount(3);
  await page.getByRole("searchbox").fill("TTL");
  await expect(rows).toHaveCount(1);
  await expect(page).toHaveURL(/state=failed&q=TTL/);
  await page.goBack();
  await expect(rows).toHaveCount(12);
});

test("a text and a span are asked of the registry too, and stand in the address", async ({ visit }) => {
  const old = ended("t-long-ago", "failed", { error: "the disk was full" }, 3 * 86_400);
  const { page } = await visit({ ...demoMesh(), older: [old] }, "/tasks");
  const from = Date.now() - 4 * 86_400_000;
  await page.goto(new URL(`/tasks?q=disk&since=${from}`, page.url()).href);
  await expect(row(page, "t-long-ago")).toBeVisible();
  await expect(page.locator("tr[data-task]")).toHaveCount(1);
  await expect(page.getByLabel("since")).not.toHaveValue("");
  await page.getByLabel("until").fill("2001-01-01T00:00");
  await expect(page).toHaveURL(/until=\d+/);
  await expect(page.getByText("No task fits this filter")).toBeVisible();
  await page.getByLabel("until").fill("");
  await expect(page).not.toHaveURL(/until/);
  await expect(row(page, "t-long-ago")).toBeVisible();
});

test("a view is saved under a name and found again", async ({ visit }) => {
  const { page } = await visit(demoMesh(), "/tasks?state=failed");
  await page.getByRole("button", { name: "Save this view" }).click();
  await page.getByLabel("Name").fill("broken");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "all", exact: true }).click();
  await page.reload();
  await page.getByRole("button", { name: "broken" }).click();
  await expect(page).toHaveURL(/state=failed/);
  await page.getByRole("button", { name: "Forget this view" }).click();
  await expect(page.getByRole("button", { name: "broken" })).toHaveCount(0);
});

test("selected tasks are canceled at once, those that ended are left alone", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/tasks");
  for (const id of ["t-9", "t-8", "t-5"]) await row(page, id).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Cancel 2" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel them" }).click();
  await expect(page.getByText("Canceled: 2 done")).toBeVisible();
  await expect(row(page, "t-9")).toContainText("canceled");
  expect(registry.deeds.map((deed) => deed.route).sort()).toEqual([
    "POST /api/hub/tasks/t-8/cancel",
    "POST /api/hub/tasks/t-9/cancel",
  ]);
});

test("a refusal is told with its reason, and the rest is done", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/tasks");
  registry.refusals.set("POST /api/hub/tasks/*/cancel", "This key may not cancel.");
  await row(page, "t-9").getByRole("checkbox").check();
  await page.getByRole("button", { name: "Cancel 1" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel them" }).click();
  await expect(page.getByText("0 done, 1 refused. The first: This key may not cancel.")).toBeVisible();
});

test("older tasks are loaded from the registry as somebody scrolls to them", async ({ visit }) => {
  const { tasks = [], ...rest } = largeMesh(2_600);
  const { page } = await visit({ ...rest, tasks: tasks.slice(0, 100), older: tasks.slice(100) }, "/tasks");
  const rows = page.getByRole("region", { name: "Tasks, rows" });
  await expect(page.getByTestId("task-count")).toHaveText("1,000+");
  await expect(async () => {
    await rows.evaluate((box) => box.scrollTo(0, box.scrollHeight));
    await expect(page.getByTestId("task-count")).toHaveText("2,600", { timeout: 200 });
  }).toPass();
});

test("rows stay under the pointer while new ones come", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/tasks");
  await row(page, "t-9").hover();
  registry.taskChanged(task("t-fresh"));
  await expect(page.getByText("1 new, held back while you look")).toBeVisible();
  await expect(row(page, "t-fresh")).toHaveCount(0);
  registry.taskChanged(ended("t-9", "failed", { error: "gone" }, 95));
  await expect(row(page, "t-9")).toContainText("gone");
  await page.mouse.move(5, 5);
  await expect(row(page, "t-fresh")).toBeVisible();
});

test("a task has payload, result and timeline, and follows its changes", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/task?id=t-7");
  await expect(section(page, "Payload")).toContainText('"query": "lease"');
  await expect(section(page, "Result")).toContainText('"file": "design.md"');
  await section(page, "Facts").getByRole("link", { name: "t-8" }).click();
  await expect(page.getByRole("progressbar")).toBeVisible();
  await expect(section(page, "Progress")).toContainText("60 %");
  registry.taskChanged(
    ended("t-8", "completed", { skill: "answer", assigned_agent_id: "editor", result: "forty-two" }),
  );
  await expect(section(page, "Result")).toContainText("forty-two");
  await expect(section(page, "Timeline")).toContainText("Completed");
  await page.goto(`${registry.url}/task?id=t-4`);
  await expect(section(page, "Timeline")).toContainText("Attempt 1 ended without a result");
  await expect(page.getByRole("table", { name: "Attempts" }).getByRole("row")).toHaveCount(3);
});

test("the delegation tree is a graph and a waterfall, and follows what happens", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/task?id=t-8&tab=tree");
  const tree = page.getByRole("region", { name: /Delegation tree/ });
  await expect(tree.locator("[data-tree-task]")).toHaveCount(5);
  registry.taskChanged(task("t-74", { skill: "translate", parent_id: "t-73", root_id: "t-8", depth: 2 }));
  await expect(tree.locator('[data-tree-task="t-74"]')).toContainText("translate");
  await page.getByRole("tab", { name: "Tree" }).focus();
  await page.keyboard.press("ArrowRight");
  await expect(page).toHaveURL(/tab=waterfall/);
  await expect(page.locator("[data-bar]")).toHaveCount(6);
  await page.locator('[data-bar="t-72"]').getByRole("link", { name: "fetch" }).click();
  await expect(section(page, "Error")).toContainText("FileNotFoundError");
});

test("a question is answered by a form made of its schema", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/task?id=t-2");
  await page.getByRole("button", { name: "Answer" }).click();
  await expect(page.getByText("This is needed.")).toBeVisible();
  expect(registry.deeds).toEqual([]);
  await page.getByLabel("document").selectOption({ label: "design.md" });
  await page.getByRole("button", { name: "Answer" }).click();
  await expect(page.getByRole("button", { name: "Answer" })).toHaveCount(0);
  expect(registry.deeds).toEqual([
    { route: "POST /api/hub/tasks/t-2/input", body: { number: 1, value: { document: "design.md" } } },
  ]);
});

test("a task that does not exist says so", async ({ visit }) => {
  const { page } = await visit({}, "/task?id=nope");
  await expect(page.getByText("No such task.")).toBeVisible();
});

test("hostile text is shown as text, on every page", async ({ visit }) => {
  const markup = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
  const rtl = "\u202Egnp.exe";
  const lone = "lone \uD800 surrogate";
  const hostile = ended("t1", "failed", {
    skill: `${markup}${rtl}`,
    error: `${markup}${lone}${"x".repeat(1_000_000)}`,
    error_code: "skill_failed",
    assigned_agent_id: "a1",
    payload: { [markup]: `${rtl}${lone}` },
  });
  const question = {
    number: 1,
    prompt: markup,
    schema: { type: "object", properties: { [markup]: { enum: [markup] } } },
  };
  const asks = task("t2", { state: "input_required", question, assigned_agent_id: "a1", attempt: 1 });
  const { page, registry } = await visit({
    agents: [
      agent("a1", {
        description: markup,
        hostname: rtl,
        version: lone,
        skills: [
          { name: markup, description: rtl, input_schema: { type: "object", properties: { [markup]: {} } } },
        ],
      }),
    ],
    tasks: [hostile, asks],
    newcomers: [
      {
        id: "n1",
        agent_name: markup,
        peer_id: "p",
        status: "pending_approval",
        created_at: 1,
        updated_at: 1,
      },
    ],
  });
  registry.taskChanged(hostile);
  const pages = [
    "/",
    "/tasks",
    "/agents",
    "/agent?id=a1",
    "/mesh",
    "/inbox",
    "/chat",
    "/events",
    "/task?id=t2",
    "/task?id=t1&tab=tree",
  ];
  for (const at of pages) {
    await page.goto(`${registry.url}${at}`);
    await expect(page.locator("main")).toContainText("a1");
    await expect(page.locator("main img, main script")).toHaveCount(0);
    await expect(page).toHaveTitle("seamesh hub");
  }
  // Records over the page, by their words and as they came.
  await page.goto(`${registry.url}/inbox`);
  await page.getByRole("button", { name: markup, exact: true }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog).toContainText(markup);
  await dialog.getByRole("tab", { name: "JSON" }).click();
  await expect(dialog.getByRole("tabpanel")).toContainText("onerror");
  await page.goto(`${registry.url}/agent?id=a1&tab=json`);
  await expect(page.getByRole("tabpanel")).toContainText("onerror");
  registry.sessions = [
    {
      session_id: `${rtl}/../x?y`,
      peer_id: "eve",
      role: "viewer",
      credential: `${markup}${rtl}${lone}`,
      began_ms: 0,
      expires_ms: Number.MAX_SAFE_INTEGER,
    },
  ];
  await page.goto(`${registry.url}/settings`);
  await expect(page.getByRole("table", { name: "Sessions" })).toContainText(markup);
  await expect(page.locator("main img, main script")).toHaveCount(0);
  await page.getByRole("button", { name: "End the session of eve" }).click();
  await dialog.getByRole("button", { name: "End it" }).click();
  // An id from outside stays one segment of the path.
  await expect
    .poll(() => registry.deeds.at(-1)?.route)
    .toBe(`DELETE /api/sessions/${encodeURIComponent(`${rtl}/../x?y`)}`);
  await expect(page).toHaveTitle("seamesh hub");
  await page.goto(`${registry.url}/task?id=t1`);
  await expect(page.getByRole("heading", { level: 1 })).toContainText(markup);
  await expect(page.getByText("more characters.")).toBeVisible();
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download the whole text" }).click();
  expect((await download).suggestedFilename()).toBe("t1.error.txt");
});

// Every view for everybody: axe, the keyboard, reduced motion, a phone.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { Page } from "@playwright/test";
import type { AxeResults } from "axe-core";
import { agent, demoMesh, link } from "../mock/records";
import { expect, row, test } from "./page";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SAMPLE = fileURLToPath(new URL("../../coverage.jsonl", import.meta.url));
const VIEWS = [
  "/",
  "/mesh",
  "/mesh?view=table",
  "/agents",
  "/agent?id=editor&skill=answer",
  "/agent?id=editor&tab=json",
  "/tasks",
  "/task?id=t-2",
  "/task?id=t-8&tab=tree",
  "/task?id=t-8&tab=waterfall",
  "/task?id=t-4&tab=json",
  "/inbox",
  "/chat?agent=editor",
  "/events",
  "/audit",
  "/seams",
  "/seams?tab=tests",
  "/settings",
];

/** Goes to a place within the page: nothing is loaded anew. */
async function go(page: Page, at: string): Promise<void> {
  await page.evaluate((address) => window.history.pushState(null, "", address), at);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page.getByText("Loading")).toHaveCount(0);
}

/** What axe has to say against the page, by WCAG 2.2 AA. */
async function complaints(page: Page): Promise<string[]> {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const results = await page.evaluate(
    (values) =>
      (window as unknown as { axe: { run: (options: object) => Promise<AxeResults> } }).axe.run({
        runOnly: { type: "tag", values },
      }),
    tags,
  );
  return results.violations.flatMap((rule) =>
    rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")}`),
  );
}

for (const colorScheme of ["light", "dark"] as const) {
  test.describe(`in ${colorScheme} colours`, () => {
    test.use({ colorScheme, contextOptions: { reducedMotion: "reduce" } });

    test("axe finds nothing on any view", async ({ visit }) => {
      test.setTimeout(60_000);
      const { page } = await visit(demoMesh());
      const found: Record<string, string[]> = {};
      await page.evaluate(AXE);
      for (const at of VIEWS) {
        await go(page, at);
        const said = await complaints(page);
        if (said.length > 0) found[at] = said;
      }
      const over = async (name: string) => {
        const said = await complaints(page);
        if (said.length > 0) found[name] = said;
        await page.keyboard.press("Escape");
        await expect(page.getByRole("dialog")).toHaveCount(0);
      };
      await page.keyboard.press("Control+k");
      await over("palette");
      await go(page, "/audit");
      await page.locator("tr[data-audit]").first().click();
      await over("a decision");
      await go(page, "/inbox");
      await page.getByRole("button", { name: "kim-laptop", exact: true }).click();
      await over("a newcomer");
      await go(page, "/settings");
      await page.getByRole("button", { name: "End the session of kim" }).click();
      await over("ending a session");
      await go(page, "/seams?tab=tests");
      await page.getByLabel("Open a file").setInputFiles(SAMPLE);
      await expect(page.locator("tr[data-row]")).toHaveCount(3);
      await over("a measurement");
      await page.locator("tr[data-row]").first().getByRole("button").click();
      await over("a row of the ledger");
      expect(found).toEqual({});
    });
  });
}

test("the whole way from the list to a canceled task needs no mouse", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh());
  await page.keyboard.press("g");
  await page.keyboard.press("t");
  await expect(row(page, "t-9")).toBeVisible();
  await page.keyboard.press("/");
  await page.keyboard.type("translate");
  await expect(page.locator("tr[data-task]")).toHaveCount(1);
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("o");
  await expect(page).toHaveURL(/task\?id=t-9/);
  await page.getByRole("button", { name: "Cancel" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: "Cancel it" }).focus();
  await page.keyboard.press("Enter");
  await expect.poll(() => registry.deeds.at(-1)?.route).toBe("POST /api/hub/tasks/t-9/cancel");
});

test("every link and button of the frame is reached by Tab, and the first leads past it", async ({
  visit,
}) => {
  const { page } = await visit(demoMesh());
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the content" })).toBeFocused();
  const seen: string[] = [];
  for (let i = 0; i < 16; i++) {
    await page.keyboard.press("Tab");
    seen.push(await page.evaluate(() => document.activeElement?.textContent?.trim() ?? ""));
  }
  for (const name of ["Overview", "Tasks", "Agents", "Mesh", "Chat", "Events", "Seams", "Settings"]) {
    expect(seen).toContain(name);
  }
});

test("the sheet of keys opens with ?, closes with Escape, and gives the focus back", async ({ visit }) => {
  const { page } = await visit(demoMesh());
  const link = page.getByRole("link", { name: "Seams" });
  await link.focus();
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toContainText("Next and previous row");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(link).toBeFocused();
});

test("every node of the graph is reached by keyboard, says who it is, and can be chosen", async ({
  visit,
}) => {
  const { page } = await visit({ agents: [agent("a"), agent("b")], links: [link("a", "b")] }, "/mesh");
  const node = page.getByRole("button", { name: "b, active, linked with a" });
  await page.getByRole("button", { name: "a, active, linked with b" }).focus();
  await page.keyboard.press("Tab");
  await expect(node).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/agent=b/);
  await expect(node).toHaveAttribute("aria-pressed", "true");
});

test.describe("with reduced motion", () => {
  test.use({ contextOptions: { reducedMotion: "reduce" } });

  test("what leaves the mesh leaves the picture all the same", async ({ visit }) => {
    const { page, registry } = await visit(
      { agents: [agent("a"), agent("b")], links: [link("a", "b")] },
      "/mesh",
    );
    await expect(page.locator(".node")).toHaveCount(2);
    registry.happen({ type: "agent_removed", payload: { agent_id: "b" } });
    registry.happen({ type: "link_down", payload: link("a", "b") });
    await expect(page.locator(".node")).toHaveCount(1);
    await expect(page.locator(".link-line")).toHaveCount(0);
  });
});

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 } });

  test("no view is wider than the screen, and every page is within reach", async ({ visit }) => {
    const { page } = await visit(demoMesh());
    for (const at of VIEWS) {
      await go(page, at);
      const width = await page.evaluate(() =>
        Math.max(document.documentElement.scrollWidth, document.querySelector("main")?.scrollWidth ?? 0),
      );
      expect(width, at).toBeLessThanOrEqual(390);
    }
    await page.getByRole("button", { name: "More" }).click();
    await page.getByRole("option", { name: "Settings" }).click();
    await expect(page).toHaveURL(/settings/);
  });
});

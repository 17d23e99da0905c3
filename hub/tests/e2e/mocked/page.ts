// One page on one mock registry for each test; whatever the browser complains about fails the test.

import { test as base, expect, type Page } from "@playwright/test";
import type { SessionAnswer } from "../../../src/generated/wire";
import { type Contents, MockRegistry } from "../mock/registry";

export interface Visit {
  readonly registry: MockRegistry;
  readonly page: Page;
}

interface Fixtures {
  /** Opens the page, logged in by its link. */
  readonly visit: (contents?: Contents, address?: string, who?: SessionAnswer) => Promise<Visit>;
  /** Opens the page as somebody who is not logged in. */
  readonly arrive: (contents?: Contents, address?: string, who?: SessionAnswer) => Promise<Visit>;
}

/** Requests that a test makes fail are told by the browser too: those are no complaints about the page. */
const EXPECTED = /Failed to load resource/;

export const test = base.extend<Fixtures>({
  arrive: async ({ page }, use) => {
    const complaints: string[] = [];
    const open: MockRegistry[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      const loud = message.type() === "error" || message.type() === "warning";
      if (loud && !EXPECTED.test(message.text())) complaints.push(message.text());
    });
    await use(async (contents = {}, address = "/", who) => {
      const registry = await MockRegistry.start(contents);
      if (who) registry.session = who;
      open.push(registry);
      await page.goto(`${registry.url}${address}`);
      return { registry, page };
    });
    for (const registry of open) await registry.close();
    expect(complaints).toEqual([]);
  },
  visit: async ({ arrive }, use) => {
    await use(async (contents = {}, address = "/", who) => {
      const visit = await arrive(contents, `${address}#login=code-of-the-test`, who);
      await expect(visit.page.locator('[data-phase="live"]')).toBeVisible();
      return visit;
    });
  },
});

export { expect };

/** Marks the document: the mark is gone after a reload. */
export async function mark(page: Page): Promise<void> {
  await page.evaluate(() => document.body.setAttribute("data-first-load", "yes"));
}

export async function expectNoReload(page: Page): Promise<void> {
  expect(await page.evaluate(() => document.body.getAttribute("data-first-load"))).toBe("yes");
}

export function section(page: Page, title: string) {
  return page.getByRole("region", { name: title, exact: true });
}

export function row(page: Page, task: string) {
  return page.locator(`tr[data-task="${task}"]`);
}

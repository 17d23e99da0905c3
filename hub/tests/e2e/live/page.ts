// What the tests on a real mesh share: the mesh of each test, and ways about the page.

import { type Browser, expect, type Page, type TestInfo } from "@playwright/test";
import { Mesh } from "./mesh";
import { test as hooked, perRun } from "./seam-hook";

export { expect };

const withMesh = hooked.extend<{ mesh: Mesh }>({
  mesh: async ({ page }, use, info) => {
    const mesh = await Mesh.start();
    await use(mesh);
    // The page first: what it keeps open would hold the registry up.
    await page.close();
    await mesh.end();
    if (info.status !== info.expectedStatus) await info.attach("logs", { body: mesh.logs });
  },
});

type Body = (given: { page: Page; browser: Browser; mesh: Mesh }, info: TestInfo) => Promise<void>;

/** Declares a test with a mesh of its own, whose logs are kept when it fails. */
export const test = perRun<Body>(withMesh);

/** Opens the page by its one-time link, and marks the document: the mark is gone after a reload. */
export async function open(page: Page, mesh: Mesh, at = "/"): Promise<void> {
  await page.goto((await mesh.loginUrl()).replace(/\/(?=#)/, at));
  await expect(page.locator('[data-phase="live"]')).toBeVisible();
  expect(page.url()).not.toContain("login");
  await page.evaluate(() => document.body.setAttribute("data-first-load", "yes"));
}

export async function expectNoReload(page: Page): Promise<void> {
  expect(await page.evaluate(() => document.body.getAttribute("data-first-load"))).toBe("yes");
}

/** Goes to a place within the page as its own links do: nothing is loaded anew. */
export async function go(page: Page, name: string): Promise<void> {
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name }).click();
}

export function rowOf(page: Page, task: string) {
  return page.locator(`tr[data-task="${task}"]`);
}

/** A skill that answers when the test says so. */
export function held(): { skill: () => Promise<unknown>; release: (result: unknown) => void } {
  let release: (result: unknown) => void = () => undefined;
  const result = new Promise<unknown>((resolve) => {
    release = resolve;
  });
  return { skill: () => result, release };
}

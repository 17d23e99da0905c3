// Pictures of every view, light and dark, wide and narrow, into SEAMESH_SHOTS: `npm run screenshots` keeps those of
// docs/hub fresh.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Page, test } from "@playwright/test";
import UPNG from "upng-js";
import { measurement } from "./mock/measurement";
import { demoMesh, largeMesh } from "./mock/records";
import { type Contents, MockRegistry } from "./mock/registry";

interface Scene {
  readonly at: string;
  readonly contents?: () => Contents;
  readonly act?: (page: Page, registry: MockRegistry) => Promise<void>;
}

const SIZES = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } } as const;
const SCENES: Readonly<Record<string, Scene>> = {
  overview: { at: "/", act: somethingHappens },
  empty: { at: "/", contents: () => ({}) },
  stale: {
    at: "/",
    act: async (page, registry) => {
      await somethingHappens(page, registry);
      registry.cut();
      await page.getByTestId("stale-age").waitFor();
    },
  },
  mesh: { at: "/mesh" },
  "mesh-large": {
    at: "/mesh",
    contents: () => largeMesh(2_000, 500),
    act: async (page) => void (await page.locator("canvas").first().waitFor()),
  },
  "mesh-table": { at: "/mesh?view=table" },
  agents: { at: "/agents" },
  agent: { at: "/agent?id=editor&skill=answer" },
  tasks: { at: "/tasks" },
  "tasks-many": { at: "/tasks", contents: () => largeMesh(5_000) },
  task: { at: "/task?id=t-4" },
  question: { at: "/task?id=t-2" },
  tree: { at: "/task?id=t-8&tab=tree" },
  waterfall: { at: "/task?id=t-8&tab=waterfall" },
  inbox: { at: "/inbox" },
  chat: {
    at: "/chat?agent=editor",
    act: async (page, registry) => {
      await page.getByLabel("question").fill("What did we decide about leases?");
      await page.getByRole("button", { name: "Send" }).click();
      await page.getByRole("list", { name: "The talk" }).waitFor();
      registry.finish("t-new-1", {
        answer: "A lease lives 15 s, and each heartbeat renews it.",
        sources: ["design.md"],
      });
      await page.getByText("each heartbeat renews it").waitFor();
    },
  },
  events: {
    at: "/events",
    act: async (page) => {
      await page.getByRole("button", { name: "Load earlier" }).click();
      await page.locator("[data-event]").first().waitFor();
    },
  },
  audit: { at: "/audit" },
  seams: { at: "/seams" },
  "seams-tests": {
    at: "/seams?tab=tests",
    act: async (page) => {
      await page.getByLabel("Open a file").setInputFiles({
        name: "seams.jsonl",
        mimeType: "application/json",
        buffer: Buffer.from(measurement()),
      });
      await page.locator("tr[data-row]").first().waitFor();
    },
  },
  decision: {
    at: "/audit",
    act: async (page) => {
      await page.locator("tr[data-audit]").first().click();
      await page.getByRole("dialog").waitFor();
    },
  },
  settings: { at: "/settings" },
  palette: {
    at: "/",
    act: async (page) => {
      await page.keyboard.press("Control+k");
      await page.keyboard.type("re");
    },
  },
};

const docs = fileURLToPath(new URL("../../../docs/hub/", import.meta.url));
const target = process.env.SEAMESH_SHOTS ?? docs;

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"] as const) {
    test.describe(`${size}, ${colorScheme}`, () => {
      test.use({ viewport, colorScheme, contextOptions: { reducedMotion: "reduce" } });
      test("login", async ({ page }) => {
        const registry = await MockRegistry.start();
        await page.goto(registry.url);
        await page.getByLabel("API key").waitFor();
        await shoot(page, `login-${size}-${colorScheme}`);
        await registry.close();
      });
      for (const [name, { at, contents = demoMesh, act }] of Object.entries(SCENES)) {
        test(name, async ({ page }) => {
          const registry = await MockRegistry.start(contents());
          await page.goto(`${registry.url}${at}#login=${registry.loginCode}`);
          await page.locator('[data-phase="live"]').waitFor();
          await page.locator("h1").first().waitFor();
          await act?.(page, registry);
          await page.evaluate(() => document.fonts.ready.then(() => undefined));
          await shoot(page, `${name}-${size}-${colorScheme}`);
          await registry.close();
        });
      }
    });
  }
}

/** Colours of a picture: enough for a page of few tones, and a quarter of the bytes. */
const COLOURS = 128;

async function shoot(page: Page, name: string): Promise<void> {
  const whole = UPNG.decode(new Uint8Array(await page.screenshot({ animations: "disabled" })).buffer);
  const small = UPNG.encode(UPNG.toRGBA8(whole), whole.width, whole.height, COLOURS);
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, `${name}.png`), new Uint8Array(small));
}

/** A minute's work, so that the small charts have something to say. */
async function somethingHappens(page: Page, registry: MockRegistry): Promise<void> {
  registry.minutesOfWork();
  await page.locator('[data-count="events"]').getByText("/s").waitFor();
}

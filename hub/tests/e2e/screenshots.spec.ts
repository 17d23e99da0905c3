// Pictures of the page in every state worth looking at, light and dark, wide and narrow, into SEAMESH_SHOTS.

import { join } from "node:path";
import { type Page, test } from "@playwright/test";
import { demoMesh, largeMesh } from "./mock/records";
import { type Contents, MockRegistry } from "./mock/registry";

interface Scene {
  readonly contents: () => Contents;
  readonly search?: string;
  readonly window?: boolean;
  readonly act?: (page: Page, registry: MockRegistry) => Promise<void>;
}

const SIZES = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } } as const;
const SCENES: Readonly<Record<string, Scene>> = {
  mesh: { contents: demoMesh },
  empty: { contents: () => ({}) },
  task: { contents: demoMesh, search: "?task=t-5", window: true },
  chosen: { contents: demoMesh, search: "?agent=reader" },
  list: { contents: demoMesh, search: "?mesh=list" },
  many: { contents: () => largeMesh(5_000) },
  stale: {
    contents: demoMesh,
    window: true,
    act: async (page, registry) => {
      registry.cut();
      await page.getByTestId("stale-age").waitFor();
    },
  },
};

const target = process.env.SEAMESH_SHOTS ?? "test-results/screenshots";

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"] as const) {
    test.describe(`${size}, ${colorScheme}`, () => {
      test.use({ viewport, colorScheme, contextOptions: { reducedMotion: "reduce" } });
      for (const [name, scene] of Object.entries(SCENES)) {
        test(name, async ({ page }) => {
          const registry = await MockRegistry.start(scene.contents());
          await page.goto(`${registry.url}/${scene.search ?? ""}`);
          await page.getByLabel("API key").fill(registry.apiKey);
          if (name === "mesh") {
            await page.screenshot({ path: join(target, `login-${size}-${colorScheme}.png`) });
          }
          await page.getByRole("button", { name: "Log in" }).click();
          await page.locator('[data-phase="live"]').waitFor();
          await scene.act?.(page, registry);
          const path = join(target, `${name}-${size}-${colorScheme}.png`);
          await page.screenshot({ path, fullPage: !scene.window });
          await registry.close();
        });
      }
    });
  }
}

import { defineConfig } from "@playwright/test";

const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// Milliseconds that one thing is waited for. While a fault is planted, `cargo xtask seams` shortens it: a wait that names
// what did not come is what notices the fault, not the end of the test's time.
const CAP_MS = Number(process.env.SEAMESH_TEST_CAP_MS ?? 10_000);

// Both suites look at the built page: `npm run build` first. `mocked` needs nothing else; `live` starts the real
// registry and real sidecars from the binary that SEAMESH_BIN names.
export default defineConfig({
  testDir: "tests/e2e",
  // A batch has many browsers at once (`cargo xtask seams`).
  timeout: process.env.SEAMESH_SEAM_BATCH ? 60_000 : 30_000,
  expect: { timeout: CAP_MS },
  workers: 1,
  forbidOnly: true,
  reporter: [["list"]],
  use: {
    actionTimeout: CAP_MS,
    viewport: { width: 1440, height: 900 },
    launchOptions: {
      executablePath: process.env.SEAMESH_CHROMIUM ?? "/usr/bin/chromium",
      args: CHROMIUM_FLAGS,
    },
    trace: "retain-on-failure",
  },
  projects: [
    { name: "mocked", testMatch: "mocked/*.spec.ts" },
    { name: "live", testMatch: /e2e\/live(-\w+)?\.spec\.ts$/ },
    { name: "screenshots", testMatch: "screenshots.spec.ts" },
  ],
});

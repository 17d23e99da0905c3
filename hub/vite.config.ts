import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { brotli } from "./build/brotli.ts";

const registry = process.env.SEAMESH_REGISTRY ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react(), brotli()],
  build: {
    target: "es2022",
    // Nothing inlined: the page's policy (default-src 'self') refuses data: URLs as scripts and styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": { target: registry } } },
  test: {
    environment: "node",
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
  },
});

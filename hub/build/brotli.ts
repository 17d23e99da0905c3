import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import type { Plugin } from "vite";

const COMPRESSIBLE = /\.(js|css|html|svg|json)$/;

/** Writes a `.br` beside every text asset, so that the registry answers compressed files without compressing. */
export function brotli(): Plugin {
  return {
    name: "seamesh-brotli",
    apply: "build",
    writeBundle(options) {
      const root = options.dir ?? "dist";
      const files = readdirSync(root, { recursive: true, encoding: "utf8" });
      for (const file of files.filter((name) => COMPRESSIBLE.test(name))) {
        const bytes = readFileSync(join(root, file));
        writeFileSync(join(root, `${file}.br`), brotliCompressSync(bytes, { params: quality(bytes.length) }));
      }
    },
  };
}

function quality(size: number): Record<number, number> {
  return {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_SIZE_HINT]: size,
    [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
  };
}

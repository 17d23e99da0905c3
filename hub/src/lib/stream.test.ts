import { describe, expect, it } from "vitest";
import type { ChunkPage } from "../generated/wire";
import { MAX_STREAM_CHARS, NOTHING_YET, readStream, type Streamed, withPage } from "./stream";

type Part = Omit<ChunkPage["chunks"][number], "last"> & { last?: boolean };

function page(parts: readonly Part[], more: Partial<ChunkPage> = {}): ChunkPage {
  const next = (parts.at(-1)?.index ?? -1) + 1;
  const chunks = parts.map((part) => ({ last: false, ...part }));
  return { attempt: 1, chunks, next, ended: false, ...more };
}

describe("a stream", () => {
  it("is the text of its chunks in order, other values a line each", () => {
    const first = withPage(
      NOTHING_YET,
      page([
        { index: 0, data: "so " },
        { index: 1, data: "far" },
      ]),
    );
    const both = withPage(first, page([{ index: 2, data: { n: 1 } }]));
    expect(both.text).toBe('so far{"n":1}\n');
    expect(both.taken).toBe(3);
  });

  it("takes no chunk twice, and counts those that nobody read in time", () => {
    const first = withPage(NOTHING_YET, page([{ index: 0, data: "a" }]));
    const again = withPage(
      first,
      page([
        { index: 0, data: "a" },
        { index: 4, data: "e" },
      ]),
    );
    expect(again).toMatchObject({ text: "ae", missed: 3, taken: 5 });
  });

  it("begins anew with another attempt", () => {
    const first = withPage(NOTHING_YET, page([{ index: 0, data: "old" }]));
    const second = withPage(first, page([{ index: 0, data: "new" }], { attempt: 2 }));
    expect(second).toMatchObject({ attempt: 2, text: "new", missed: 0, taken: 1 });
  });

  it("knows how much of a file has come", () => {
    const artifact = { name: "a.bin", media_type: "text/plain", size: 8, sha256: "0".repeat(64), offset: 3 };
    const { artifacts, text } = withPage(NOTHING_YET, page([{ index: 0, data: "AAEC", artifact }]));
    expect(artifacts).toEqual([{ name: "a.bin", mediaType: "text/plain", size: 8, came: 6 }]);
    expect(text).toBe("");
  });

  it("keeps its end when it is long", () => {
    const long = withPage(NOTHING_YET, page([{ index: 0, data: `${"x".repeat(MAX_STREAM_CHARS)}end` }]));
    expect(long.text).toHaveLength(MAX_STREAM_CHARS);
    expect(long.text.endsWith("end")).toBe(true);
  });

  it("is read on from where it stands until its end, each read taking what the last one brought", async () => {
    const pages = [
      page([{ index: 0, data: "a" }]),
      page([], { next: 1 }),
      page([{ index: 1, data: "b", last: true }], { ended: true }),
    ];
    const asked: unknown[] = [];
    const shown: Streamed[] = [];
    const api = {
      chunks: async (_: string, query: unknown) => {
        asked.push(query);
        return pages.shift() ?? Promise.reject(new Error("read beyond the end"));
      },
    };
    await readStream(api, "t", NOTHING_YET, (one) => shown.push(one), new AbortController().signal);
    expect(asked).toEqual([
      { attempt: 0, taken: 0 },
      { attempt: 1, taken: 1 },
      { attempt: 1, taken: 1 },
    ]);
    expect(shown.at(-1)).toMatchObject({ text: "ab", ended: true });
  });
});

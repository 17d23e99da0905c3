import { describe, expect, it } from "vitest";
import { LayeredMap } from "./layered-map";

describe("a layered map", () => {
  it("shows what stands now, and an older one what stood then", () => {
    const before = LayeredMap.of([
      ["a", 1],
      ["b", 2],
    ]);
    const after = before.with(
      new Map<string, number | null>([
        ["a", 10],
        ["b", null],
        ["c", 3],
      ]),
    );
    expect([after.get("a"), after.get("b"), after.get("c"), after.size]).toEqual([10, undefined, 3, 2]);
    expect([before.get("a"), before.get("b"), before.has("c"), before.size]).toEqual([1, 2, false, 2]);
    expect([...after.values()].sort((x, y) => x - y)).toEqual([3, 10]);
  });

  it("says the same as a plain map, however often it is changed", () => {
    const plain = new Map<string, number>();
    let layered = LayeredMap.of<number>([]);
    let changes = new Map<string, number | null>();
    for (let i = 0; i < 9_000; i++) {
      const key = `k${(i * 7) % 4_001}`;
      const value = i % 5 === 0 ? null : i;
      if (value === null) plain.delete(key);
      else plain.set(key, value);
      changes.set(key, value);
      if (i % 30 !== 29) continue;
      layered = layered.with(changes);
      changes = new Map();
    }
    expect(layered.size).toBe(plain.size);
    const numbers = (values: Iterable<number>) => [...values].sort((a, b) => a - b);
    expect(numbers(layered.values())).toEqual(numbers(plain.values()));
    for (let i = 0; i < 4_001; i++) expect(layered.get(`k${i}`)).toBe(plain.get(`k${i}`));
  });
});

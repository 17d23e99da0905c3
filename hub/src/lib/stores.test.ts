// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { tickingClock } from "./clock";
import { MAX_VIEWS, savedViews, storageShelf, withView } from "./shelf";

describe("the clock", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("moves while somebody looks, and rests when nobody does", () => {
    let time = 100;
    const clock = tickingClock(() => time, 1000);
    const seen: number[] = [];
    const off = clock.subscribe(() => seen.push(clock.now()));
    time = 200;
    expect(clock.now()).toBe(100);
    vi.advanceTimersByTime(1000);
    expect(seen).toEqual([200]);
    off();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the shelf", () => {
  test("gives back what was put on it, and nothing where it is broken", () => {
    const shelf = storageShelf(window.localStorage);
    shelf.write("scheme", "dark");
    expect(storageShelf(window.localStorage).read("scheme")).toBe("dark");
    window.localStorage.setItem("seamesh.scheme", "{");
    expect(shelf.read("scheme")).toBeNull();
    const full = {
      getItem: () => null,
      setItem: () => {
        throw new Error("full");
      },
    } as unknown as Storage;
    expect(() => storageShelf(full).write("scheme", "dark")).not.toThrow();
  });

  test("saved views are replaced by name, limited in number, and checked", () => {
    const many = Array.from({ length: MAX_VIEWS + 5 }, (_, i) => ({ name: `v${i}`, query: "?state=failed" }));
    const kept = many.reduce(withView, [] as ReturnType<typeof savedViews>);
    expect(kept).toHaveLength(MAX_VIEWS);
    expect(withView(kept, { name: "v9", query: "" }).filter((view) => view.name === "v9")).toEqual([
      { name: "v9", query: "" },
    ]);
    expect(savedViews([{ name: 1 }, null, { name: "a", query: "?q=x" }])).toEqual([
      { name: "a", query: "?q=x" },
    ]);
    expect(savedViews("nonsense")).toEqual([]);
  });
});

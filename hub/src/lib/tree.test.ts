import { describe, expect, test } from "vitest";
import { NOW_MS, task } from "./samples";
import { type Branch, sizeOf, treeOf, waterfallOf } from "./tree";

const S = NOW_MS / 1000;
const child = (id: string, parent: string, at: number, over = {}) =>
  task(id, { root_id: "r", parent_id: parent, created_at: S + at, ...over });

function shape({ task: { id }, children }: Branch): string {
  return children.length > 0 ? `${id}(${children.map(shape).join(" ")})` : id;
}

describe("the tree", () => {
  test("hangs each task under its asker, in the order of asking", () => {
    const tasks = [child("b", "r", 2), child("a", "r", 1), child("c", "a", 3), task("r"), task("other")];
    const tree = treeOf(tasks, "r");
    expect(tree && shape(tree)).toBe("r(a(c) b)");
    expect(tree && sizeOf(tree)).toBe(4);
  });

  test("loses no task whose asker is not known, and none to a ring", () => {
    const lost = treeOf([task("r"), child("x", "gone", 1)], "r");
    expect(lost && shape(lost)).toBe("r(x)");
    expect(() =>
      treeOf([task("r", { root_id: "r", parent_id: "a" }), child("a", "r", 1)], "r"),
    ).not.toThrow();
    expect(treeOf([child("a", "r", 1)], "r")).toBeNull();
  });
});

describe("the waterfall", () => {
  test("gives each row its waiting and its work, running work up to now", () => {
    const tree = treeOf(
      [
        task("r", { state: "assigned", started_at: S + 1, created_at: S }),
        child("a", "r", 2, { state: "completed", started_at: S + 3, updated_at: S + 5 }),
      ],
      "r",
    );
    const { bars, fromMs, toMs } = waterfallOf(tree as Branch, NOW_MS + 8000);
    expect([fromMs, toMs]).toEqual([NOW_MS, NOW_MS + 8000]);
    expect(bars.map(({ depth, askedMs, begunMs, endMs }) => [depth, askedMs, begunMs, endMs])).toEqual([
      [0, NOW_MS, NOW_MS + 1000, NOW_MS + 8000],
      [1, NOW_MS + 2000, NOW_MS + 3000, NOW_MS + 5000],
    ]);
  });
});

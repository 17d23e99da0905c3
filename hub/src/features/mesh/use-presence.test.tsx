// @vitest-environment happy-dom
import { act, renderHook } from "@testing-library/react";
import { describe, expect, test } from "vitest";
import { merge, usePresence } from "./use-presence";

const self = (name: string) => name;
const names = (items: readonly { item: string; leaving: boolean }[]) =>
  items.map(({ item, leaving }) => (leaving ? `-${item}` : item));

describe("what is in the picture", () => {
  test("what is gone stays as leaving, and what comes back stays for good", () => {
    const gone = merge(merge([], ["a", "b"], self), ["b"], self);
    expect(names(gone)).toEqual(["b", "-a"]);
    expect(names(merge(gone, ["a", "b"], self))).toEqual(["a", "b"]);
  });

  test("what has faded out leaves, and only then", () => {
    const { result, rerender } = renderHook(({ items }) => usePresence(items, self), {
      initialProps: { items: ["a", "b"] },
    });
    rerender({ items: ["b"] });
    expect(names(result.current.items)).toEqual(["b", "-a"]);
    act(() => result.current.left("b"));
    expect(names(result.current.items)).toEqual(["b", "-a"]);
    act(() => result.current.left("a"));
    expect(names(result.current.items)).toEqual(["b"]);
  });
});

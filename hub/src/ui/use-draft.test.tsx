// @vitest-environment happy-dom

import { act, renderHook } from "@testing-library/react";
import { expect, test } from "vitest";
import { useDraft } from "./use-draft";

function drafted(first = "") {
  const told: string[] = [];
  const { result, rerender } = renderHook(({ value }) => useDraft(value, (text) => told.push(text)), {
    initialProps: { value: first },
  });
  return {
    told,
    text: () => result.current[0],
    type: (text: string) => act(() => result.current[1](text)),
    value: (value: string) => rerender({ value }),
  };
}

test("what is typed stands there at once, and is told", () => {
  const field = drafted();
  field.type("a");
  expect(field.text()).toBe("a");
  expect(field.told).toEqual(["a"]);
});

test("an echo that comes late takes no letter away", () => {
  const field = drafted();
  for (const text of ["a", "ab", "abc"]) field.type(text);
  field.value("a");
  expect(field.text()).toBe("abc");
  // Those between may be left out.
  field.value("abc");
  expect(field.text()).toBe("abc");
});

test("what comes from elsewhere replaces it", () => {
  const field = drafted("old");
  field.type("older");
  field.value("older");
  field.value("a saved view");
  expect(field.text()).toBe("a saved view");
  field.value("older");
  expect(field.text()).toBe("older");
});

import { describe, expect, test } from "vitest";
import { HOME, readPlace, takeLoginCode, writePlace } from "./url";

describe("the address", () => {
  test("holds what is looked at, and gives it back", () => {
    const place = { state: "failed", agent: "a+b", task: "t:1", mesh: "list" } as const;
    expect(readPlace(writePlace(place))).toEqual(place);
    expect(writePlace(HOME)).toBe("");
  });

  test("with nonsense in it is the page as it begins", () => {
    expect(readPlace("?state=done&agent=&mesh=cube&x=1")).toEqual(HOME);
  });
});

describe("a login link", () => {
  test("gives its code and an address without it", () => {
    expect(takeLoginCode({ pathname: "/", search: "?state=failed", hash: "#login=abc-1" })).toEqual({
      code: "abc-1",
      address: "/?state=failed",
    });
  });

  test("is told from other fragments", () => {
    expect(takeLoginCode({ pathname: "/", search: "", hash: "#top" })).toEqual({
      code: null,
      address: "/#top",
    });
    expect(takeLoginCode({ pathname: "/", search: "", hash: "#login=" }).code).toBeNull();
  });
});

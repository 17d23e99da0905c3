import { describe, expect, test } from "vitest";
import {
  agentSearch,
  eventsSearch,
  meshSearch,
  parseQuery,
  takeLoginCode,
  taskSearch,
  tasksSearch,
  writeQuery,
} from "./url";

describe("the address", () => {
  test("holds what is looked at, and gives it back", () => {
    const search = { state: "failed", agent: "a+b", skill: "s p", q: "x&y=1" } as const;
    expect(tasksSearch(parseQuery(writeQuery(search)))).toEqual(search);
    expect(writeQuery({ state: undefined, q: "" })).toBe("");
  });

  test("keeps ids as text, whatever they look like", () => {
    expect(taskSearch(parseQuery(writeQuery({ id: "123" }))).id).toBe("123");
    expect(agentSearch(parseQuery(writeQuery({ id: "a.b:c@d~1*=" }))).id).toBe("a.b:c@d~1*=");
    expect(taskSearch(parseQuery("?id=%7B%22a%22%3A1%7D")).id).toBe('{"a":1}');
  });

  test("with nonsense in it is the page as it begins", () => {
    expect(tasksSearch(parseQuery("?state=done&agent=&x=1"))).toEqual({});
    expect(taskSearch(parseQuery("?tab=cube"))).toEqual({ id: "" });
    expect(meshSearch(parseQuery("?view=cube"))).toEqual({});
    expect(eventsSearch(parseQuery("?kind=party"))).toEqual({});
  });
});

describe("a login link", () => {
  test("gives its code and an address without it", () => {
    expect(takeLoginCode({ pathname: "/tasks", search: "?state=failed", hash: "#login=abc-1" })).toEqual({
      code: "abc-1",
      address: "/tasks?state=failed",
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

import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import {
  answerAsCli,
  callAsCli,
  callAsPython,
  createKeyAsCli,
  decideAsCli,
  eachTaskAsCli,
  pythonValue,
  shellWord,
  taskAsCli,
} from "./snippets";

const HOSTILE = [
  "it's",
  "$(touch /tmp/x)",
  "`id`",
  "a;b",
  "-rf",
  "two words",
  'quo"te',
  "new\nline",
  "",
  "\\",
];

/** The words a real shell makes of a line. */
function words(line: string): string[] {
  const printed = execFileSync("/bin/sh", ["-c", `printf '%s\\0' ${line}`], { encoding: "utf8" });
  return printed.split("\0").slice(0, -1);
}

describe("a command to copy", () => {
  test("reaches a shell as the words that were meant, whatever they hold", () => {
    for (const text of HOSTILE) {
      expect(words(shellWord(text))).toEqual([text]);
      expect(words(callAsCli({ skill: text, to: "a b", payload: { text } }))).toEqual([
        "seamesh",
        "call",
        "--to",
        "a b",
        "--",
        text,
        JSON.stringify({ text }),
      ]);
    }
  });

  test("names whom it is about after its options, whatever the name begins with", () => {
    expect(words(createKeyAsCli("-x y", "viewer"))).toEqual([
      "seamesh",
      "keys",
      "create",
      "--role",
      "viewer",
      "--",
      "-x y",
    ]);
    expect(words(decideAsCli("approve", "-n"))).toEqual(["seamesh", "approve", "--", "-n"]);
  });

  test("for several tasks runs once for each", () => {
    const line = eachTaskAsCli("cancel", HOSTILE);
    const script = `seamesh() { printf '%s\\0' "$@"; }; ${line}`;
    const said = execFileSync("/bin/sh", ["-c", script], { encoding: "utf8" }).split("\0").slice(0, -1);
    expect(said).toEqual(HOSTILE.flatMap((id) => ["tasks", "cancel", "--", id]));
    expect(eachTaskAsCli("retry", ["t-1"])).toBe("seamesh tasks retry t-1");
  });

  test("is as short as it can be", () => {
    expect(callAsCli({ skill: "search", payload: {} })).toBe("seamesh call -- search '{}'");
    expect(taskAsCli("cancel", "t-1")).toBe("seamesh tasks cancel t-1");
    expect(answerAsCli("t-1", "yes")).toBe(`seamesh tasks answer t-1 '"yes"'`);
  });
});

describe("Python to copy", () => {
  test("writes JSON values as Python does", () => {
    expect(pythonValue({ a: [true, false, null], b: "it's", c: 1.5 })).toBe(
      `{"a": [True, False, None], "b": "it's", "c": 1.5}`,
    );
    expect(callAsPython({ skill: "search", to: "librarian", payload: { query: "x" } })).toContain(
      'to="librarian",',
    );
  });
});

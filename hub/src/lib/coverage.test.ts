import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  CoverageError,
  filterCoverage,
  MAX_COVERAGE_BYTES,
  readCoverage,
  saidOf,
  sharesOf,
} from "./coverage";

// What `cargo xtask seams --json` writes: a test of its report holds this file against the real thing.
const SAMPLE = readFileSync(join(import.meta.dirname, "../../tests/coverage.jsonl"), "utf8");

function refusal(file: string): string {
  try {
    readCoverage(file);
  } catch (error) {
    if (error instanceof CoverageError) return error.message;
    throw error;
  }
  return "";
}

/** The sample with its first row changed. */
function withFirst(change: (line: Record<string, unknown>) => void): string {
  const [first = "", ...rest] = SAMPLE.trim().split("\n");
  const line = JSON.parse(first) as Record<string, unknown>;
  change(line);
  return [JSON.stringify(line), ...rest].join("\n");
}

describe("the coverage of seams", () => {
  test("is read as it was written, holes first", () => {
    const { rows, totals } = readCoverage(SAMPLE);
    expect(rows.map((row) => [row.isHole, row.tests.length])).toEqual([
      [true, 1],
      [true, 0],
      [false, 2],
    ]);
    expect(totals).toMatchObject({ rows: 3, exercised: 2, deaf_killed: 2, seconds: 12 });
    expect(totals.holes).toEqual(rows.slice(0, 2).map((row) => row.id));
    const [breaks, bare, whole] = rows;
    if (!breaks || !bare || !whole) throw new Error("three rows");
    expect(saidOf(whole, "deaf")).toEqual({ word: "noticed", good: true });
    expect(saidOf(whole, "twice")).toEqual({ word: "safe", good: true });
    expect(saidOf(whole, "restart")).toBeNull();
    expect(saidOf(breaks, "mute")).toEqual({ word: "only by its cap", good: false });
    expect(saidOf(breaks, "late")).toEqual({ word: "breaks", good: false });
    expect(saidOf(bare, "deaf")).toEqual({ word: "no test", good: false });
    expect(sharesOf({ rows, totals })[3]).toEqual({ name: "safe when repeated", is: 1, of: 1 });
  });

  test("is searched by row and by test", () => {
    const { rows } = readCoverage(SAMPLE);
    expect(filterCoverage(rows, " ")).toHaveLength(3);
    expect(filterCoverage(rows, rows[2]?.id.toUpperCase() ?? "")).toHaveLength(1);
    expect(filterCoverage(rows, rows[2]?.tests[0] ?? "")).toContain(rows[2]);
    expect(filterCoverage(rows, "nowhere")).toEqual([]);
  });

  test("that is broken says where, and what to do", () => {
    const lines = SAMPLE.trim().split("\n");
    expect(refusal("")).toBe("The file is empty.");
    expect(refusal("\n \n")).toBe("The file is empty.");
    expect(refusal("row  vectors\n...")).toContain("Line 1 is not JSON");
    expect(refusal(SAMPLE.slice(0, SAMPLE.length / 2))).toContain("is not JSON");
    expect(refusal(lines.slice(0, 2).join("\n"))).toContain("without totals");
    expect(refusal('{"id":"a","channel":"rest"}')).toContain("--list");
    expect(refusal([lines[0], lines[3]].join("\n"))).toBe(
      "Its totals are over 3 rows, and it has 1: some are missing.",
    );
    expect(refusal([lines[0], lines[0], lines[1], lines[3]].join("\n"))).toContain("stands there twice");
    expect(refusal("[]")).toBe("Line 1: value: expected an object.");
    expect(refusal("x".repeat(MAX_COVERAGE_BYTES + 1))).toContain("are more than such a file has");
  });

  test("that is hostile is refused by the line, or is only text", () => {
    const refused: readonly [(line: Record<string, unknown>) => void, string][] = [
      [(line) => Object.assign(line, { tests: "all" }), "Line 1: tests: expected a list."],
      [(line) => Object.assign(line, { vectors: { accepted: -1, refused: 0 } }), "Line 1: vectors.accepted"],
      [(line) => Object.assign(line, { verdicts: { deaf: { is: "fine" } } }), "Line 1: verdicts.deaf.is"],
      [(line) => Object.assign(line, { verdicts: { late: 5 } }), "Line 1: verdicts.late"],
      [(line) => Object.assign(line, { row: null }), "Line 1: row"],
    ];
    for (const [change, said] of refused) expect(refusal(withFirst(change))).toContain(said);
    const id = "<img src=x onerror=alert(1)>\u202e";
    const taken = readCoverage(withFirst((line) => Object.assign(line.row as object, { id })));
    expect(taken.rows.some((row) => row.id === id)).toBe(true);
    const proto = readCoverage(
      withFirst((line) => Object.assign(line.verdicts as object, { constructor: 1 })),
    );
    expect(proto.rows).toHaveLength(3);
  });
});

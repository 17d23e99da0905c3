import { describe, expect, test } from "vitest";
import { fieldsOf, initialTexts, madeOf, madeOfJson } from "./schema-form";

const SCHEMA = {
  type: "object",
  properties: {
    text: { type: "string", description: "What to read" },
    sentences: { type: "integer", minimum: 1, maximum: 9, default: 3 },
    tone: { enum: ["calm", "loud"] },
    strict: { type: "boolean" },
    tags: { type: "array", items: { type: "string" } },
  },
  required: ["text"],
};

describe("a form made of a schema", () => {
  const fields = fieldsOf(SCHEMA) ?? [];

  test("has a field of its kind for each property, with its default", () => {
    expect(fields.map(({ name, kind, required }) => [name, kind, required])).toEqual([
      ["text", "long", true],
      ["sentences", "integer", false],
      ["tone", "choice", false],
      ["strict", "boolean", false],
      ["tags", "json", false],
    ]);
    expect(initialTexts(fields)).toMatchObject({ sentences: "3", text: "" });
  });

  test("makes the value of its texts, and leaves out what is empty", () => {
    const texts = { text: "Hi", sentences: "2", tone: '"loud"', strict: "false", tags: '["a"]' };
    expect(madeOf(fields, texts)).toEqual({
      ok: true,
      value: { text: "Hi", sentences: 2, tone: "loud", strict: false, tags: ["a"] },
    });
    expect(madeOf(fields, { text: "Hi" })).toEqual({ ok: true, value: { text: "Hi" } });
  });

  test("says which field is wrong, and how", () => {
    const wrong = (texts: Record<string, string>) => {
      const made = madeOf(fields, { text: "Hi", ...texts });
      return made.ok ? {} : made.problems;
    };
    expect(wrong({ sentences: "2.5" })).toEqual({ sentences: "This is not a whole number." });
    expect(wrong({ sentences: "many" })).toEqual({ sentences: "This is not a number." });
    expect(wrong({ sentences: "12" })).toEqual({ sentences: "At most 9." });
    expect(wrong({ tags: "[a" })).toEqual({ tags: "This is not JSON." });
  });

  test("of one plain value gives that value", () => {
    const yes = fieldsOf({ type: "boolean" }) ?? [];
    expect(madeOf(yes, { "": "true" })).toEqual({ ok: true, value: true });
    expect(madeOf(yes, {})).toMatchObject({ ok: false });
  });

  test("is left to JSON where fields cannot say it", () => {
    for (const schema of [
      null,
      {},
      { anyOf: [] },
      { type: "array" },
      { type: "object", properties: {} },
      "x",
      7,
    ]) {
      expect(fieldsOf(schema)).toBeNull();
    }
    expect(madeOfJson("")).toEqual({ ok: true, value: {} });
    expect(madeOfJson("[1]")).toEqual({ ok: true, value: [1] });
    expect(madeOfJson("[1").ok).toBe(false);
  });
});

// A form made of a JSON Schema: which fields, and the value that their texts make. Pure.

import { isObject } from "./check";

export type FieldKind = "text" | "long" | "number" | "integer" | "boolean" | "choice" | "json";

export interface Field {
  /** The property's name; empty when the schema is of one plain value. */
  readonly name: string;
  readonly kind: FieldKind;
  readonly required: boolean;
  readonly description: string;
  /** Of a choice: each allowed value as JSON text. */
  readonly options: readonly string[];
  /** What stands in it at first. */
  readonly initial: string;
  readonly least: number | undefined;
  readonly most: number | undefined;
}

export type Texts = Readonly<Record<string, string>>;

export type Made =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly problems: Readonly<Record<string, string>> };

/** Most fields drawn; a schema with more is written as JSON. */
const MAX_FIELDS = 40;

/** The fields of a schema; `null` when only JSON can say it. */
export function fieldsOf(schema: unknown): readonly Field[] | null {
  if (!isObject(schema)) return null;
  if (!isObject(schema.properties)) {
    const kind = kindOf(schema);
    return kind === "json" || !("type" in schema || "enum" in schema) ? null : [fieldOf("", schema, true)];
  }
  const names = Object.keys(schema.properties);
  if (names.length === 0 || names.length > MAX_FIELDS) return null;
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(schema.properties).map(([name, one]) => fieldOf(name, one, required.includes(name)));
}

function fieldOf(name: string, schema: unknown, required: boolean): Field {
  const one = isObject(schema) ? schema : {};
  const kind = kindOf(one);
  const options = kind === "choice" && Array.isArray(one.enum) ? one.enum.map((v) => JSON.stringify(v)) : [];
  const number = (value: unknown) => (typeof value === "number" ? value : undefined);
  return {
    name,
    kind,
    required,
    description: typeof one.description === "string" ? one.description : "",
    options,
    initial: initialText(kind, one.default),
    least: number(one.minimum),
    most: number(one.maximum),
  };
}

function kindOf(schema: Record<string, unknown>): FieldKind {
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return "choice";
  const types = Array.isArray(schema.type) ? schema.type.filter((type) => type !== "null") : [schema.type];
  if (types.length !== 1) return "json";
  switch (types[0]) {
    case "string":
      return typeof schema.maxLength === "number" && schema.maxLength <= 80 ? "text" : "long";
    case "number":
    case "integer":
    case "boolean":
      return types[0];
    default:
      return "json";
  }
}

function initialText(kind: FieldKind, value: unknown): string {
  if (value === undefined) return "";
  if (kind === "text" || kind === "long") return typeof value === "string" ? value : "";
  return JSON.stringify(value);
}

export function initialTexts(fields: readonly Field[]): Texts {
  return Object.fromEntries(fields.map((field) => [field.name, field.initial]));
}

/** The value that the texts make, or what is wrong with which of them. */
export function madeOf(fields: readonly Field[], texts: Texts): Made {
  const problems: Record<string, string> = {};
  const values: [string, unknown][] = [];
  for (const field of fields) {
    const text = texts[field.name] ?? "";
    if (text === "" && !(field.required && (field.kind === "long" || field.kind === "text"))) {
      if (field.required) problems[field.name] = "This is needed.";
      continue;
    }
    const read = readField(field, text);
    if ("problem" in read) problems[field.name] = read.problem;
    else values.push([field.name, read.value]);
  }
  if (Object.keys(problems).length > 0) return { ok: false, problems };
  const plain = fields.length === 1 && fields[0]?.name === "";
  return { ok: true, value: plain ? values[0]?.[1] : Object.fromEntries(values) };
}

function readField(field: Field, text: string): { value: unknown } | { problem: string } {
  if (field.kind === "text" || field.kind === "long") return { value: text };
  if (field.kind === "number" || field.kind === "integer") return readNumber(field, text);
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return { problem: "This is not JSON." };
  }
}

function readNumber(field: Field, text: string): { value: number } | { problem: string } {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) return { problem: "This is not a number." };
  if (field.kind === "integer" && !Number.isInteger(value)) return { problem: "This is not a whole number." };
  if (field.least !== undefined && value < field.least) return { problem: `At least ${field.least}.` };
  if (field.most !== undefined && value > field.most) return { problem: `At most ${field.most}.` };
  return { value };
}

/** A value from JSON text; empty text is the empty object. */
export function madeOfJson(text: string): Made {
  if (text.trim() === "") return { ok: true, value: {} };
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch (error) {
    return { ok: false, problems: { "": error instanceof Error ? error.message : "This is not JSON." } };
  }
}

// The same action as a command line or as Python. Pure. What goes into a shell is quoted, whatever it holds.

const PLAIN = /^[A-Za-z0-9._\-:@+~=/]+$/;

/** One shell word (POSIX): everything within single quotes is itself. */
export function shellWord(text: string): string {
  return PLAIN.test(text) && !text.startsWith("-") ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export interface Call {
  readonly skill: string;
  /** Absent: any agent that offers the skill. */
  readonly to?: string | undefined;
  readonly payload: unknown;
}

export function callAsCli({ skill, to, payload }: Call): string {
  const words = ["seamesh", "call"];
  if (to) words.push("--to", shellWord(to));
  // A word of the user's that begins with a dash is no option after `--`.
  words.push("--", shellWord(skill), shellWord(JSON.stringify(payload ?? {})));
  return words.join(" ");
}

export function callAsPython({ skill, to, payload }: Call): string {
  const lines = [`    ${pythonValue(skill)},`];
  if (to) lines.push(`    to=${pythonValue(to)},`);
  lines.push(`    payload=${pythonValue(payload ?? {})},`);
  return `result = await ctx.delegate(\n${lines.join("\n")}\n)`;
}

export function taskAsCli(deed: "show" | "cancel", id: string): string {
  return `seamesh tasks ${deed} ${shellWord(id)}`;
}

export function answerAsCli(id: string, value: unknown): string {
  return `seamesh tasks answer ${shellWord(id)} ${shellWord(JSON.stringify(value ?? null))}`;
}

/** A JSON value as a Python literal. */
export function pythonValue(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value === "object") {
    const pairs = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${pythonValue(item)}`);
    return `{${pairs.join(", ")}}`;
  }
  // JSON's escapes of strings are Python's, and its numbers too.
  return JSON.stringify(value);
}

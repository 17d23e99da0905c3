// The same action as a command line or as Python. Pure. What goes into a shell is quoted, whatever it holds.

import type { Role } from "../generated/wire";

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
  return `seamesh tasks ${deed} ${argument(id)}`;
}

/** The same for each of several tasks. */
export function eachTaskAsCli(deed: "cancel" | "retry", ids: readonly string[]): string {
  if (ids.length === 1) return `seamesh tasks ${deed} ${argument(ids[0] ?? "")}`;
  return `for id in ${ids.map(shellWord).join(" ")}; do seamesh tasks ${deed} -- "$id"; done`;
}

/** Commands that need to be told nothing. */
export const COMMANDS = {
  auditExport: "seamesh audit export",
  auditVerify: "seamesh audit verify",
  invite: "seamesh invite",
  keys: "seamesh keys list",
  newcomers: "seamesh newcomers",
  password: "seamesh registry password",
} as const;

export function createKeyAsCli(peer: string, role: Role): string {
  return `seamesh keys create --role ${role} ${argument(peer)}`;
}

export function revokeKeyAsCli(keyId: string): string {
  return `seamesh keys revoke ${argument(keyId)}`;
}

/** A decision about a newcomer. */
export function decideAsCli(deed: "approve" | "reject" | "revoke", id: string): string {
  return `seamesh ${deed} ${argument(id)}`;
}

/** A word of the user's in the place of an argument: one that begins with a dash is no option after `--`. */
function argument(text: string): string {
  return text.startsWith("-") ? `-- ${shellWord(text)}` : shellWord(text);
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

// A talk with agents: which tasks were its turns. Pure.

export interface Turn {
  readonly task: string;
  readonly agent: string;
  readonly skill: string;
  /** What was said, in short. */
  readonly said: string;
}

/** Most turns kept, over all agents. */
export const MAX_TURNS = 60;
/** Characters of what was said that are kept. */
const SAID_CHARS = 400;

export function turnsOf(value: unknown): Turn[] {
  if (!Array.isArray(value)) return [];
  const keys = ["task", "agent", "skill", "said"];
  return value.filter((one): one is Turn => keys.every((key) => typeof one?.[key] === "string"));
}

export function withTurn(turns: readonly Turn[], turn: Turn): Turn[] {
  return [...turns, turn].slice(-MAX_TURNS);
}

/** A payload as a person said it: its longest text where there is one of more than a word, else its JSON. */
export function saidIn(payload: unknown): string {
  const values = typeof payload === "object" && payload !== null ? Object.values(payload) : [payload];
  const texts = values.filter((value) => typeof value === "string").sort((a, b) => b.length - a.length);
  const longest = texts[0] ?? "";
  const only = values.length === 1 || longest.includes(" ") ? longest : "";
  return (only || JSON.stringify(payload ?? {})).slice(0, SAID_CHARS);
}

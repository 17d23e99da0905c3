// The user's text on its way to the page. It is data: shown as text, cut where it would flood the page.

/** Most characters of one text in a table cell: what fits a line, and more. */
export const CELL_CHARS = 240;

/** Most characters of a payload or result shown at once; the whole is a download away. */
export const DISPLAY_CHARS = 20_000;

export interface Clipped {
  readonly text: string;
  /** Characters left out. */
  readonly missing: number;
}

export function clip(text: string, most: number): Clipped {
  if (text.length <= most) return { text, missing: 0 };
  // Not in the middle of a surrogate pair.
  const last = text.charCodeAt(most - 1);
  const end = last >= 0xd800 && last <= 0xdbff ? most - 1 : most;
  return { text: text.slice(0, end), missing: text.length - end };
}

/** A JSON value as text: strings as they are, the rest indented. Empty for what carries nothing. */
export function jsonText(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  if (typeof value === "object" && Object.keys(value).length === 0) return "";
  return JSON.stringify(value, null, 2);
}

/** A key in a form that two people compare: four groups of four digits, as `seamesh pair` shows it. */
export function shortKey(key: string): string {
  return [0, 4, 8, 12].map((at) => key.slice(at, at + 4)).join(" ");
}

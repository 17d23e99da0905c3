// Every address of the page, in one typed place: what a person looks at is in the address, and survives a reload.
// Ids may hold dots, and a path with a dot is a file to the registry: ids stand in the query, never in the path.

import type { Health, TaskState } from "../generated/wire";
import { HEALTHS } from "./agents";
import { EVENT_KINDS, type EventKind } from "./events";
import { TASK_STATES } from "./tasks";

type Raw = Readonly<Record<string, unknown>>;

/** The query as it stands: every value is text, none is guessed to be a number. */
export function parseQuery(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

export function writeQuery(search: Raw): string {
  const given = Object.entries(search).flatMap(([key, value]) =>
    value === undefined || value === null || value === "" ? [] : [[key, String(value)]],
  );
  const text = new URLSearchParams(given).toString();
  return text ? `?${text}` : "";
}

function text(raw: Raw, key: string): string | undefined {
  const value = raw[key];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** A whole number that JavaScript can hold, as text. */
function digits(raw: Raw, key: string): string | undefined {
  const value = text(raw, key);
  return value !== undefined && /^\d{1,15}$/.test(value) ? value : undefined;
}

function one<T extends string>(raw: Raw, key: string, of: readonly T[]): T | undefined {
  return of.find((name) => name === raw[key]);
}

export interface TasksSearch {
  readonly state?: TaskState | undefined;
  readonly agent?: string | undefined;
  readonly skill?: string | undefined;
  readonly q?: string | undefined;
  /** Asked for at this moment or later, Unix milliseconds in digits. */
  readonly since?: string | undefined;
  /** Asked for before this moment, the same. */
  readonly until?: string | undefined;
}

export function tasksSearch(raw: Raw): TasksSearch {
  return {
    state: one(raw, "state", TASK_STATES),
    agent: text(raw, "agent"),
    skill: text(raw, "skill"),
    q: text(raw, "q"),
    since: digits(raw, "since"),
    until: digits(raw, "until"),
  };
}

export const TASK_TABS = ["overview", "tree", "waterfall", "json"] as const;

export interface TaskSearch {
  readonly id: string;
  readonly tab?: (typeof TASK_TABS)[number] | undefined;
}

export function taskSearch(raw: Raw): TaskSearch {
  return { id: text(raw, "id") ?? "", tab: one(raw, "tab", TASK_TABS) };
}

export interface AgentsSearch {
  readonly health?: Health | undefined;
  readonly q?: string | undefined;
}

export function agentsSearch(raw: Raw): AgentsSearch {
  return { health: one(raw, "health", HEALTHS), q: text(raw, "q") };
}

export const AGENT_TABS = ["overview", "json"] as const;

export interface AgentSearch {
  readonly id: string;
  readonly tab?: (typeof AGENT_TABS)[number] | undefined;
  /** The skill whose form is open. */
  readonly skill?: string | undefined;
}

export function agentSearch(raw: Raw): AgentSearch {
  return { id: text(raw, "id") ?? "", tab: one(raw, "tab", AGENT_TABS), skill: text(raw, "skill") };
}

export interface MeshSearch {
  readonly view?: "table" | undefined;
  readonly agent?: string | undefined;
}

export function meshSearch(raw: Raw): MeshSearch {
  return { view: one(raw, "view", ["table"] as const), agent: text(raw, "agent") };
}

export interface AuditSearch {
  /** A decision's name, as the registry gives it. */
  readonly action?: string | undefined;
  readonly q?: string | undefined;
}

export function auditSearch(raw: Raw): AuditSearch {
  return { action: text(raw, "action"), q: text(raw, "q") };
}

export interface EventsSearch {
  readonly kind?: EventKind | undefined;
  readonly q?: string | undefined;
}

export function eventsSearch(raw: Raw): EventsSearch {
  return { kind: one(raw, "kind", EVENT_KINDS), q: text(raw, "q") };
}

export const SEAM_TABS = ["live", "tests"] as const;

export interface SeamsSearch {
  readonly tab?: (typeof SEAM_TABS)[number] | undefined;
  readonly q?: string | undefined;
}

export function seamsSearch(raw: Raw): SeamsSearch {
  return { tab: one(raw, "tab", SEAM_TABS), q: text(raw, "q") };
}

export interface ChatSearch {
  readonly agent?: string | undefined;
  readonly skill?: string | undefined;
}

export function chatSearch(raw: Raw): ChatSearch {
  return { agent: text(raw, "agent"), skill: text(raw, "skill") };
}

/** The one-time code of a login link, and the address without it. */
export function takeLoginCode(location: { pathname: string; search: string; hash: string }): {
  readonly code: string | null;
  readonly address: string;
} {
  const code = new URLSearchParams(location.hash.slice(1)).get("login") || null;
  const hash = code === null ? location.hash : "";
  return { code, address: `${location.pathname}${location.search}${hash}` };
}

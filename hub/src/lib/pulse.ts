// What happened lately, counted in steps of time: the small charts' numbers. Pure; the events bring their own times.

import type { EventRecord } from "../generated/wire";

/** Milliseconds of one step. */
export const STEP_MS = 5_000;
/** Steps kept: ten minutes. */
export const STEPS = 120;

/** Counts of one step. */
export interface Beat {
  /** Number of the step since 1970. */
  readonly step: number;
  readonly events: number;
  readonly asked: number;
  readonly completed: number;
  readonly failed: number;
}

export function pulseAfter(before: readonly Beat[], records: readonly EventRecord[]): readonly Beat[] {
  if (records.length === 0) return before;
  const beats = new Map(before.map((beat) => [beat.step, beat]));
  for (const record of records) {
    const step = Math.floor(record.at_ms / STEP_MS);
    const beat = beats.get(step) ?? { step, events: 0, asked: 0, completed: 0, failed: 0 };
    beats.set(step, counted(beat, record));
  }
  const newest = Math.max(...beats.keys());
  return [...beats.values()].filter((beat) => beat.step > newest - STEPS).sort((a, b) => a.step - b.step);
}

function counted(beat: Beat, { event }: EventRecord): Beat {
  const events = beat.events + 1;
  if (event.type !== "task_changed") return { ...beat, events };
  const { state, attempt, created_at, updated_at } = event.payload;
  const isNew = attempt === 0 && state === "pending" && created_at === updated_at;
  return {
    ...beat,
    events,
    asked: beat.asked + (isNew ? 1 : 0),
    completed: beat.completed + (state === "completed" ? 1 : 0),
    failed: beat.failed + (state === "failed" ? 1 : 0),
  };
}

/** One number for each of the last `steps` steps before `nowMs`, zeros where nothing happened. */
export function series(
  pulse: readonly Beat[],
  key: "events" | "asked" | "completed" | "failed",
  nowMs: number,
  steps: number = STEPS,
): number[] {
  const last = Math.floor(nowMs / STEP_MS);
  const by = new Map(pulse.map((beat) => [beat.step, beat[key]]));
  return Array.from({ length: steps }, (_, i) => by.get(last - steps + 1 + i) ?? 0);
}

export function perSecond(pulse: readonly Beat[], nowMs: number, seconds: number): number {
  const from = Math.floor((nowMs - seconds * 1000) / STEP_MS);
  const sum = pulse.filter((beat) => beat.step > from).reduce((all, beat) => all + beat.events, 0);
  return sum / seconds;
}

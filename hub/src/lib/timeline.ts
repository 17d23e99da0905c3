// A task's life in steps, from the events of its history. Pure.

import type { EventRecord, Task } from "../generated/wire";
import { isTerminal } from "./tasks";

export interface Step {
  readonly seq: number;
  readonly atMs: number;
  /** What happened, for a person. */
  readonly what: string;
  /** More of it; empty when there is none. */
  readonly note: string;
  readonly tone: "plain" | "busy" | "warn" | "ok" | "bad";
  readonly attempt: number;
}

export interface Attempt {
  readonly number: number;
  readonly agent: string;
  readonly path: string;
  readonly startMs: number;
  /** `null` while it runs. */
  readonly endMs: number | null;
  /** How it ended, for a person; empty while it runs. */
  readonly outcome: string;
}

/** The steps, oldest first. What only repeats the step before (progress, for one) is left out. */
export function stepsOf(events: readonly EventRecord[]): Step[] {
  const steps: Step[] = [];
  let before: Task | undefined;
  for (const { seq, at_ms, event } of events) {
    if (event.type === "stale_result") {
      const note = `from ${event.payload.peer_id} under lease ${event.payload.lease}`;
      const attempt = before?.attempt ?? 0;
      steps.push({
        seq,
        atMs: at_ms,
        what: "A result came too late and was refused",
        note,
        tone: "warn",
        attempt,
      });
    } else if (event.type === "task_changed") {
      const told = stepOf(before, event.payload);
      if (told) steps.push({ seq, atMs: at_ms, attempt: event.payload.attempt, ...told });
      before = event.payload;
    }
  }
  return steps;
}

type Told = Pick<Step, "what" | "note" | "tone">;

function stepOf(before: Task | undefined, task: Task): Told | null {
  if (isTerminal(task.state)) return endOf(task);
  if (task.state === "input_required") {
    if (before?.question?.number === task.question?.number && before?.state === task.state) return null;
    return { what: "Asked a question", note: task.question?.prompt ?? "", tone: "warn" };
  }
  if (task.state === "assigned") {
    if (before?.state === "input_required" && before.attempt === task.attempt) {
      return { what: "The question was answered", note: "", tone: "busy" };
    }
    if (before?.state === "assigned" && before.attempt === task.attempt && before.lease === task.lease)
      return null;
    return { what: `Attempt ${task.attempt} began`, note: handedTo(task), tone: "busy" };
  }
  if (!before) return { what: "Accepted", note: acceptedBy(task), tone: "plain" };
  if (before.state === "pending") return null;
  return {
    what: `Attempt ${before.attempt} ended without a result`,
    note: "It waits to be handed out again.",
    tone: "warn",
  };
}

function handedTo(task: Task): string {
  const who = task.assigned_agent_id || "an agent";
  return task.path === "direct" ? `${who}, over a link` : `${who}, from the queue`;
}

function acceptedBy(task: Task): string {
  const who = task.source_agent_id || "someone outside the mesh";
  return `asked by ${who}`;
}

function endOf(task: Task): Told {
  if (task.state === "completed") return { what: "Completed", note: "", tone: "ok" };
  if (task.state === "canceled") return { what: "Canceled", note: task.error, tone: "plain" };
  return { what: "Failed", note: task.error || (task.error_code ?? ""), tone: "bad" };
}

/** The attempts, first first. */
export function attemptsOf(events: readonly EventRecord[]): Attempt[] {
  const attempts: Attempt[] = [];
  for (const { at_ms, event } of events) {
    if (event.type !== "task_changed") continue;
    const task = event.payload;
    const open = attempts.at(-1)?.endMs === null ? attempts.pop() : undefined;
    const going = task.state === "assigned" || task.state === "input_required";
    if (open && going && open.number === task.attempt && open.agent === task.assigned_agent_id) {
      attempts.push(open);
      continue;
    }
    if (open) attempts.push({ ...open, endMs: at_ms, outcome: outcomeOf(task, open.number) });
    const startMs = task.started_at == null ? at_ms : task.started_at * 1000;
    const begun = { number: task.attempt, agent: task.assigned_agent_id, path: task.path, startMs };
    if (going) attempts.push({ ...begun, endMs: null, outcome: "" });
    // Work that was done over a link is reported when it is over: its only event is its end.
    else if (
      !open &&
      isTerminal(task.state) &&
      task.attempt > 0 &&
      !attempts.some((a) => a.number === task.attempt)
    ) {
      attempts.push({ ...begun, endMs: task.updated_at * 1000, outcome: task.state });
    }
  }
  return attempts;
}

function outcomeOf(task: Task, number: number): string {
  if (isTerminal(task.state) && task.attempt === number) return task.state;
  return "ended without a result";
}

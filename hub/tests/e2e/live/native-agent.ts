// An agent that speaks to its sidecar by itself: JSON lines over the Unix socket.

import { createConnection, type Socket } from "node:net";
import { createInterface } from "node:readline";

interface Line {
  readonly type: string;
  readonly payload: Record<string, unknown>;
}

/** What a handler may do before it answers. */
export interface Work {
  readonly progress: (fraction: number, note: string) => void;
  /** Streams a part of the result. */
  readonly stream: (data: unknown) => void;
  /** Resolves when everything streamed so far was taken. */
  readonly taken: () => Promise<void>;
  /** Asks, and resolves with the answer. */
  readonly ask: (prompt: string, schema: unknown) => Promise<unknown>;
  /** Delegates, as this task. */
  readonly delegate: (skill: string, to: string, payload: unknown) => Promise<Record<string, unknown>>;
  /** Resolves when somebody asked for the work to stop. */
  readonly stopped: Promise<void>;
}

export type Handler = (payload: unknown, work: Work) => unknown;

/** A handler, or one with the schema of its arguments. */
export type Skill = Handler | { readonly run: Handler; readonly schema: unknown };

export class NativeAgent {
  private readonly socket: Socket;
  private readonly skills: Readonly<Record<string, Skill>>;
  private readonly waiting: { fits: (line: Line) => boolean; then: (line: Line) => void }[] = [];
  private requests = 0;

  private constructor(socket: Socket, skills: Readonly<Record<string, Skill>>) {
    this.socket = socket;
    this.skills = skills;
    createInterface({ input: socket }).on("line", (text) => void this.take(JSON.parse(text) as Line));
  }

  /** Says hello as `name`, with these skills, and resolves when the sidecar welcomed it. */
  static async connect(
    path: string,
    name: string,
    skills: Readonly<Record<string, Skill>>,
  ): Promise<NativeAgent> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    const agent = new NativeAgent(socket, skills);
    const welcomed = agent.next((line) => line.type === "welcome");
    const offered = Object.entries(skills).map(([skill, one]) => ({
      name: skill,
      description: `Runs ${skill}`,
      ...(typeof one === "function" ? {} : { input_schema: one.schema }),
    }));
    agent.say("hello", { version: 1, agent: { agent_id: name, hostname: "test-host", skills: offered } });
    await welcomed;
    return agent;
  }

  /** Delegates work over a link, and resolves with the answer. */
  async request(
    skill: string,
    to: string,
    payload: unknown,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<Record<string, unknown>> {
    this.requests += 1;
    const request_id = `r${this.requests}`;
    const answered = this.next(
      (line) => (line.type === "response" || line.type === "error") && line.payload.request_id === request_id,
    );
    this.say("request", { request_id, skill, to, payload, via: "direct", timeout_ms: 10_000, ...more });
    return (await answered).payload;
  }

  /** Goes away for good. */
  goodbye(): void {
    this.say("goodbye", {});
  }

  close(): void {
    this.socket.destroy();
  }

  private say(type: string, payload: unknown): void {
    this.socket.write(`${JSON.stringify({ type, payload })}\n`);
  }

  private next(fits: (line: Line) => boolean): Promise<Line> {
    return new Promise((then) => this.waiting.push({ fits, then }));
  }

  private async take(line: Line): Promise<void> {
    const index = this.waiting.findIndex((one) => one.fits(line));
    if (index >= 0) this.waiting.splice(index, 1)[0]?.then(line);
    if (line.type !== "task") return;
    const { task_id, attempt, skill, payload } = line.payload;
    const one = this.skills[String(skill)];
    const run = typeof one === "function" ? one : one?.run;
    const result = await run?.(payload, this.work({ task_id, attempt }));
    this.say("respond", { task_id, attempt, outcome: { state: "completed", result } });
  }

  private work(of: { readonly task_id: unknown; readonly attempt: unknown }): Work {
    const own = (type: string) => (line: Line) => line.type === type && line.payload.task_id === of.task_id;
    let questions = 0;
    let index = 0;
    let taken = 0;
    const takes = () =>
      this.next((line) => {
        if (!own("task_input")(line) || typeof line.payload.taken !== "number") return false;
        taken = line.payload.taken;
        return true;
      });
    return {
      stream: (data) => {
        this.say("task_news", { ...of, chunk: { index, data, last: false } });
        index += 1;
      },
      taken: async () => {
        while (taken < index) await takes();
      },
      progress: (fraction, note) => this.say("task_news", { ...of, progress: { fraction, note } }),
      ask: async (prompt, schema) => {
        questions += 1;
        const question = { number: questions, prompt, schema };
        const answered = this.next((line) => own("task_input")(line) && "answer" in line.payload);
        this.say("task_news", { ...of, question });
        return ((await answered).payload.answer as { value: unknown }).value;
      },
      delegate: (skill, to, payload) =>
        this.request(skill, to, payload, { parent: of.task_id, via: "auto", timeout_ms: 60_000 }),
      stopped: this.next(own("task_cancel")).then(() => undefined),
    };
  }
}

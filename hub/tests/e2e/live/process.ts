// Real processes of the mesh: started by their ready line, stopped by their id, their logs kept for a failing test.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Milliseconds a process has to say that it serves. */
const READY_CAP_MS = 20_000;

export class Process {
  /** What it said in its ready line. */
  readonly ready: Record<string, unknown>;
  private readonly child: ChildProcess;
  private readonly log: string[];

  private constructor(child: ChildProcess, ready: Record<string, unknown>, log: string[]) {
    this.child = child;
    this.ready = ready;
    this.log = log;
  }

  /** Starts `seamesh` with these arguments; secrets go by `env`, where no process list shows them. */
  static async start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Process> {
    const child = spawn(binary(), args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const log: string[] = [];
    child.stderr.setEncoding("utf8").on("data", (text: string) => log.push(text));
    const ready = await new Promise<Record<string, unknown>>((resolve, reject) => {
      const fail = (why: string) => {
        clearTimeout(cap);
        reject(new Error(`seamesh ${args.join(" ")}: ${why}\n${log.join("")}`));
      };
      const cap = setTimeout(() => {
        child.kill("SIGKILL");
        fail(`no ready line within ${READY_CAP_MS} ms`);
      }, READY_CAP_MS);
      child.once("error", (error) => fail(error.message));
      child.once("exit", (code) => fail(`ended with ${code}`));
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (!line.startsWith("ready ")) return;
        clearTimeout(cap);
        resolve(JSON.parse(line.slice("ready ".length)) as Record<string, unknown>);
      });
    });
    return new Process(child, ready, log);
  }

  get logs(): string {
    return this.log.join("");
  }

  /** Ends it, and resolves when it is gone. */
  async end(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill(signal);
    await gone;
  }
}

function binary(): string {
  const path = process.env.SEAMESH_BIN;
  if (!path) throw new Error("set SEAMESH_BIN to the seamesh binary: cargo build -p seamesh");
  return path;
}

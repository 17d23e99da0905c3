// A real mesh for one test: a registry on its own data, and a sidecar for every agent.

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Role } from "../../../src/generated/wire";
import { NativeAgent, type Skill } from "./native-agent";
import { Process } from "./process";

/** The test asks as an operator's program does: a fault of the hub's rows must not hit it. */
const CLI = { "user-agent": "seamesh-cli/test" };

/** STUN server that the registry tells of; nobody asks it anything. */
export const STUN = "stun:127.0.0.1:3478";

/** A task as its HTTP-only agent gets it. */
export interface HeldTask {
  readonly id: string;
  readonly lease: number;
}

export interface HttpAgent {
  readonly takeWork: () => Promise<HeldTask[]>;
  /** Ends a task under a lease; the status of the answer. */
  readonly end: (task: string, lease: number) => Promise<number>;
}

class Refused extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

export class Mesh {
  readonly url: string;
  private registry: Process;
  private readonly directory: string;
  private readonly sidecars = new Map<string, Process>();
  private readonly agents: NativeAgent[] = [];

  private constructor(directory: string, registry: Process, url: string) {
    this.directory = directory;
    this.registry = registry;
    this.url = url;
  }

  static async start(): Promise<Mesh> {
    const directory = mkdtempSync(join(tmpdir(), "seamesh-hub-"));
    const registry = await Process.start(registryArgs("127.0.0.1:0", directory));
    return new Mesh(directory, registry, urlOf(registry));
  }

  /** A new agent behind a new sidecar; its peer id is `peer-NAME`. */
  async join(name: string, skills: Readonly<Record<string, Skill>>): Promise<NativeAgent> {
    const api_key = await this.key(`peer-${name}`, "agent");
    const socket = join(this.directory, `${name}.sock`);
    const args = ["sidecar", "--registry", this.url, "--socket", socket];
    this.sidecars.set(
      name,
      await Process.start(args, { SEAMESH_API_KEY: api_key, SEAMESH_ALLOW_UNIDENTIFIED: "true" }),
    );
    const agent = await NativeAgent.connect(socket, name, skills);
    this.agents.push(agent);
    return agent;
  }

  /** An agent without a sidecar: it beats over HTTP, and does what the test says with the work it gets. */
  async joinOverHttp(name: string, skill: string): Promise<HttpAgent> {
    const api_key = await this.key(`peer-${name}`, "agent");
    const post = <T>(path: string, body: unknown) => this.call<T>("POST", path, { key: api_key, body });
    await post("/api/registry/agents", {
      agent_id: name,
      hostname: "test-host",
      capabilities: { skills: [skill] },
    });
    return {
      takeWork: async () =>
        (await post<{ pending_tasks: HeldTask[] }>("/api/hub/heartbeat", { agent_id: name })).pending_tasks,
      end: (task, lease) =>
        post(`/api/hub/tasks/${task}`, { state: "completed", result: "done", lease }).then(
          () => 200,
          (error: Refused) => error.status,
        ),
    };
  }

  /** A new API key. */
  async key(peer_id: string, role: Role): Promise<string> {
    return (await this.post<{ api_key: string }>("/api/keys", { peer_id, role })).api_key;
  }

  /** Runs a line in a shell, as an administrator would on this machine. */
  async run(line: string): Promise<void> {
    const binary = process.env.SEAMESH_BIN ?? "";
    const env = {
      ...process.env,
      PATH: `${dirname(binary)}:${process.env.PATH}`,
      SEAMESH_REGISTRY: this.url,
      SEAMESH_API_KEY: this.adminKey,
    };
    await promisify(execFile)("/bin/sh", ["-ec", line], { env });
  }

  /** The address of the page with a one-time login. */
  async loginUrl(): Promise<string> {
    const { path } = await this.post<{ path: string }>("/api/session/link");
    return new URL(path, this.url).href;
  }

  /** Somebody redeems an invite, this one or a new one, and waits for approval. */
  async askToJoin(name: string, invite?: string): Promise<void> {
    const code = invite ?? (await this.post<{ code: string }>("/api/pairing/generate-code")).code;
    await this.post("/api/pairing/pair", { code, agent_name: name });
  }

  /** The status that the registry answers to a credential that is changed into a token. */
  async statusOfToken(header: "x-api-key" | "x-device-token", credential: string): Promise<number> {
    const answer = await fetch(new URL("/api/token", this.url), {
      method: "POST",
      headers: { ...CLI, [header]: credential },
    });
    return answer.status;
  }

  async submit(task: Readonly<Record<string, unknown>>): Promise<string> {
    return (await this.post<{ task_id: string }>("/api/hub/tasks", task)).task_id;
  }

  async killSidecar(name: string): Promise<void> {
    await this.sidecars.get(name)?.end("SIGKILL");
  }

  /** Ends a sidecar in order: it takes its leave, and closes its links. */
  async stopSidecar(name: string): Promise<void> {
    await this.sidecars.get(name)?.end();
  }

  async killRegistry(): Promise<void> {
    await this.registry.end("SIGKILL");
  }

  /** Starts the registry again, at the same address on the same data. */
  async restartRegistry(): Promise<void> {
    this.registry = await Process.start(registryArgs(new URL(this.url).host, this.directory));
  }

  get logs(): string {
    return [this.registry, ...this.sidecars.values()].map((one) => one.logs).join("\n---\n");
  }

  async end(): Promise<void> {
    for (const agent of this.agents) agent.close();
    await Promise.all([this.registry, ...this.sidecars.values()].map((one) => one.end()));
    rmSync(this.directory, { recursive: true, force: true });
  }

  private get adminKey(): string {
    return readFileSync(join(this.directory, "data", "admin.key"), "utf8").trim();
  }

  private post<T>(path: string, body?: unknown): Promise<T> {
    return this.call("POST", path, { key: this.adminKey, body });
  }

  private async call<T>(method: string, path: string, with_: { key: string; body?: unknown }): Promise<T> {
    const response = await fetch(new URL(path, this.url), {
      method,
      headers: { ...CLI, "x-api-key": with_.key, "content-type": "application/json" },
      ...(with_.body === undefined ? {} : { body: JSON.stringify(with_.body) }),
    });
    if (!response.ok) throw new Refused(response.status, `${method} ${path}: ${await response.text()}`);
    return (await response.json()) as T;
  }
}

function registryArgs(listen: string, directory: string): string[] {
  return ["registry", "--listen", listen, "--data", join(directory, "data"), "--stun", STUN];
}

function urlOf(registry: Process): string {
  const url = registry.ready.url;
  if (typeof url !== "string")
    throw new Error(`the ready line names no url: ${JSON.stringify(registry.ready)}`);
  return url;
}

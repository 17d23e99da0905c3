// A real mesh for one test: a registry on its own data, and a sidecar for every agent.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NativeAgent, type Skill } from "./native-agent";
import { Process } from "./process";

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
    const { api_key } = await this.post<{ api_key: string }>("/api/keys", {
      peer_id: `peer-${name}`,
      role: "agent",
    });
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

  /** The address of the page with a one-time login. */
  async loginUrl(): Promise<string> {
    const { path } = await this.post<{ path: string }>("/api/session/link");
    return new URL(path, this.url).href;
  }

  /** Somebody redeems an invite and waits for approval. */
  async askToJoin(name: string): Promise<void> {
    const { code } = await this.post<{ code: string }>("/api/pairing/generate-code");
    await this.post("/api/pairing/pair", { code, agent_name: name });
  }

  async submit(task: Readonly<Record<string, unknown>>): Promise<string> {
    return (await this.post<{ task_id: string }>("/api/hub/tasks", task)).task_id;
  }

  async killSidecar(name: string): Promise<void> {
    await this.sidecars.get(name)?.end("SIGKILL");
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

  private async post<T>(path: string, body?: unknown): Promise<T> {
    const key = readFileSync(join(this.directory, "data", "admin.key"), "utf8").trim();
    const response = await fetch(new URL(path, this.url), {
      method: "POST",
      headers: { "x-api-key": key, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }
}

function registryArgs(listen: string, directory: string): string[] {
  return ["registry", "--listen", listen, "--data", join(directory, "data")];
}

function urlOf(registry: Process): string {
  const url = registry.ready.url;
  if (typeof url !== "string")
    throw new Error(`the ready line names no url: ${JSON.stringify(registry.ready)}`);
  return url;
}

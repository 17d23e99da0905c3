// The golden vectors of the wire: what the registry may say is taken with nothing lost, the rest is refused.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MESH_EVENT_KINDS } from "../generated/wire";
import { parseJson, WireError } from "./check";
import {
  type Reader,
  readAgentRecord,
  readApproveAnswer,
  readAuditPage,
  readChunkPage,
  readEventRecord,
  readHealth,
  readHubState,
  readIceConfig,
  readInviteAnswer,
  readKeyAnswer,
  readKeys,
  readOk,
  readProblem,
  readSession,
  readSessions,
  readSettings,
  readSubmitAnswer,
  readTask,
  readTaskHistory,
  readTaskPage,
} from "./wire-check";

const VECTORS = join(import.meta.dirname, "../../../vectors");

interface Vector {
  readonly name: string;
  /** The message, or its text or bytes when it is no JSON. */
  readonly wire?: unknown;
  readonly wire_text?: string;
  readonly wire_hex?: string;
  readonly code?: string;
}

interface VectorFile {
  readonly accept: readonly Vector[];
  readonly reject: readonly Vector[];
}

/** What the hub reads over REST, by the name of the body. */
const REST: Readonly<Record<string, Reader<unknown>>> = {
  AgentRecord: readAgentRecord,
  ApproveAnswer: readApproveAnswer,
  AuditPage: readAuditPage,
  ChunkPage: readChunkPage,
  HealthAnswer: readHealth,
  HubState: readHubState,
  IceConfig: readIceConfig,
  InviteAnswer: readInviteAnswer,
  KeyAnswer: readKeyAnswer,
  KeyRecord: (value) => readKeys([value])[0],
  Ok: readOk,
  Problem: readProblem,
  SessionAnswer: readSession,
  SessionRecord: (value) => readSessions([value])[0],
  Settings: readSettings,
  SubmitAnswer: readSubmitAnswer,
  Task: readTask,
  TaskHistory: readTaskHistory,
  TaskPage: readTaskPage,
};

describe("event stream", () => {
  test("every kind of event has vectors", () => {
    const files = readdirSync(join(VECTORS, "event_stream")).sort();
    expect(files).toEqual([...MESH_EVENT_KINDS].sort().map((kind) => `${kind}.json`));
  });

  for (const kind of MESH_EVENT_KINDS) run(join("event_stream", `${kind}.json`), readEventRecord);
});

describe("REST", () => {
  for (const [body, read] of Object.entries(REST)) run(join("rest", `${body}.json`), read);
});

function run(path: string, read: Reader<unknown>): void {
  const file = JSON.parse(readFileSync(join(VECTORS, path), "utf8")) as VectorFile;
  describe(path, () => {
    test("has both kinds of vectors", () => {
      expect(file.accept.length).toBeGreaterThan(0);
      expect(file.reject.length).toBeGreaterThan(0);
    });
    for (const vector of file.accept) {
      test(`takes: ${vector.name}`, () => {
        const taken = read(parseJson(textOf(vector)));
        expect(JSON.parse(JSON.stringify(taken))).toEqual(parseJson(textOf(vector)));
      });
    }
    for (const vector of file.reject) {
      test(`refuses: ${vector.name}`, () => {
        expect(refusal(vector, read)).toBe(vector.code);
      });
    }
  });
}

function textOf(vector: Vector): string {
  if (vector.wire_hex !== undefined) return Buffer.from(vector.wire_hex, "hex").toString("utf8");
  return vector.wire_text ?? JSON.stringify(vector.wire);
}

function refusal(vector: Vector, read: Reader<unknown>): string | undefined {
  try {
    read(parseJson(textOf(vector)));
    return undefined;
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
}

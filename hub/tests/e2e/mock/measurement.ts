// A measurement of the whole seam ledger as `cargo xtask seams --json` would print it, with one hole.

import { MESH_EVENT_KINDS, ROUTES } from "../../../src/generated/wire";

interface Row {
  readonly channel: string;
  readonly kind: string;
  readonly producer: string;
  readonly consumer: string;
}

const SIGNALS = ["hello", "heartbeat", "offer", "answer", "candidate", "task_result", "task_news", "goodbye"];

export function measurement(): string {
  const rows: Row[] = [
    ...SIGNALS.map((kind) => ({ channel: "signaling", kind, producer: "sidecar", consumer: "registry" })),
    ...Object.keys(ROUTES).flatMap((operation) => [
      { channel: "rest", kind: `${operation}.request`, producer: "hub", consumer: "registry" },
      { channel: "rest", kind: `${operation}.answer`, producer: "registry", consumer: "hub" },
    ]),
    ...MESH_EVENT_KINDS.map((kind) => ({
      channel: "event_stream",
      kind,
      producer: "registry",
      consumer: "hub",
    })),
  ];
  const hole = "rest/rotate_key.answer/registry>hub";
  const lines = rows.map((row, i) => {
    const id = `${row.channel}/${row.kind}/${row.producer}>${row.consumer}`;
    const tests = Array.from({ length: 1 + ((i * 7) % 19) }, (_, n) => `hub::live::test_${i}_${n}`);
    const noticed = { is: "noticed", test: tests[0] };
    const safe = { is: "unnoticed" };
    const twice = row.channel === "rest" ? {} : { twice: safe };
    const mute = id === hole ? safe : noticed;
    const verdicts = { deaf: noticed, mute, ...twice, late: safe, reorder: safe, reconnect: safe };
    return { row: { id, ...row }, vectors: { accepted: 1 + (i % 6), refused: 2 + (i % 9) }, tests, verdicts };
  });
  const n = rows.length;
  const repeated = rows.filter((row) => row.channel !== "rest").length;
  const totals = {
    rows: n,
    vectors: lines.reduce((sum, { vectors }) => sum + vectors.accepted + vectors.refused, 0),
    exercised: n,
    deaf_killed: n,
    mute_killed: n - 1,
    duplicate_safe: repeated,
    delay_safe: n,
    reorder_safe: n,
    reconnect_safe: n,
    restart_safe: 0,
    exceptions: [],
    undeclared: [],
    seconds: 1_460,
    cpu_seconds: 2_010,
    holes: [hole],
  };
  return [...lines, totals].map((line) => JSON.stringify(line)).join("\n");
}

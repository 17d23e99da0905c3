import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { AuditPage, AuditRecord } from "../generated/wire";
import { browserHash, checkChain, filterAudit } from "./audit";

const FILE = join(import.meta.dirname, "../../../vectors/rest/AuditPage.json");

/** The chain that the registry's own vector holds, newest first. */
function chain(): [AuditRecord, AuditRecord] {
  const { accept } = JSON.parse(readFileSync(FILE, "utf8")) as { accept: { wire: AuditPage }[] };
  const [first, second] = accept[0]?.wire.records ?? [];
  if (!first || !second) throw new Error("the vector has no two records");
  return [second, first];
}

const hash = browserHash(crypto.subtle);

function check(records: readonly AuditRecord[]) {
  if (!hash) throw new Error("no SHA-256 here");
  return checkChain(records, hash);
}

test("a chain as the registry seals it is whole", async () => {
  expect(await check(chain())).toBeNull();
});

test("a changed record is named", async () => {
  const [second, first] = chain();
  expect(await check([second, { ...first, detail: "for somebody else" }])).toMatchObject({ n: 1 });
});

test("a record that was taken out is named", async () => {
  const [second, first] = chain();
  expect(await check([{ ...second }, { ...first, n: 0 }])).not.toBeNull();
  const gap = { ...second, n: 3 };
  const { hash: _, ...rest } = gap;
  const sealed = { ...rest, hash: (await hash?.(JSON.stringify(rest))) ?? "" };
  expect(await check([sealed, first])).toEqual({ n: 2, why: "is missing" });
});

test("records are filtered by decision and by any text of theirs", () => {
  const records = chain();
  expect(filterAudit(records, { action: "login_refused" }).map((one) => one.n)).toEqual([2]);
  expect(filterAudit(records, { q: "RÉSEAU" }).map((one) => one.n)).toEqual([1]);
  expect(filterAudit(records, {})).toHaveLength(2);
});

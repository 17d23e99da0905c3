// The audit in the page: which records a person wants to see, and whether they are what the registry once wrote. Pure,
// but for the hash, which the browser computes.

import type { AuditRecord } from "../generated/wire";

export interface AuditFilter {
  readonly action?: string | undefined;
  readonly q?: string | undefined;
}

export function filterAudit(
  records: readonly AuditRecord[],
  { action, q }: AuditFilter,
): readonly AuditRecord[] {
  const text = q?.trim().toLowerCase();
  return records.filter(
    (record) =>
      (!action || record.action === action) &&
      (!text ||
        [record.by, record.credential, record.from, record.about, record.detail, record.action]
          .join("\n")
          .toLowerCase()
          .includes(text)),
  );
}

/** What is wrong with a record, in words; `null` when nothing is. */
export type Broken = { readonly n: number; readonly why: string } | null;

/** SHA-256 of a text, 64 lower-case hexadecimal digits. */
export type Hash = (text: string) => Promise<string>;

/**
 * Checks records that stand newest first: each is what its hash was made of, and continues the one before it. What comes
 * before the last of them is not looked at.
 */
export async function checkChain(newestFirst: readonly AuditRecord[], hash: Hash): Promise<Broken> {
  for (const [at, record] of newestFirst.entries()) {
    const { n } = record;
    // The hash is a record's last member: without it the text is what the registry sealed, its order kept.
    const { hash: sealed, ...rest } = record;
    if ((await hash(JSON.stringify(rest))) !== sealed) {
      return { n, why: "was changed: its hash is not that of its content" };
    }
    const before = newestFirst[at + 1];
    if (!before) continue;
    if (before.n !== n - 1) return { n: n - 1, why: "is missing" };
    if (before.hash !== record.prev) return { n, why: "does not continue the one before it" };
  }
  return null;
}

/** The browser's own SHA-256; `null` where it has none: a page that came over plain HTTP from another machine. */
export function browserHash(subtle: SubtleCrypto | undefined): Hash | null {
  if (!subtle) return null;
  return async (text) => {
    const digest = await subtle.digest("SHA-256", new TextEncoder().encode(text));
    return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  };
}

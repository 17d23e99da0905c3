// Runtime checks of what comes in from outside. A check answers the very value it was given, so nothing is lost, and
// fields it does not know stay where they are.

import { MAX_ID_BYTES } from "../generated/wire";

/** Why a value from outside is not a message. The codes are the wire's own. */
export class WireError extends Error {
  readonly code: "bad_json" | "bad_field" | "unknown_type";

  constructor(code: "bad_json" | "bad_field" | "unknown_type", detail: string) {
    super(detail);
    this.name = "WireError";
    this.code = code;
  }
}

/** Throws a `WireError` when `value` does not fit; `at` says where it stands. */
export type Check = ((value: unknown, at: string) => void) & { readonly optional?: true };

/** One check for every field of `T`: a field added to the wire does not compile until it is checked. */
export type Shape<T> = { readonly [K in keyof T]-?: Check };

const ID = /^[A-Za-z0-9._\-:@+~*=]+$/;

function refuse(at: string, expected: string): never {
  throw new WireError("bad_field", `${at || "value"}: expected ${expected}`);
}

export const text: Check = (value, at) => {
  if (typeof value !== "string") refuse(at, "a string");
};

/** An id as every channel spells it: safe in a path, a log and a page. */
export const id: Check = (value, at) => {
  if (typeof value !== "string" || value.length > MAX_ID_BYTES || !ID.test(value)) refuse(at, "an id");
};

export const yesOrNo: Check = (value, at) => {
  if (typeof value !== "boolean") refuse(at, "true or false");
};

/** The public half of an Ed25519 key: 64 hexadecimal digits. */
export const publicKey: Check = (value, at) => {
  if (typeof value !== "string" || !/^[0-9a-fA-F]{64}$/.test(value)) refuse(at, "a public key");
};

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)/;

/** A span of a trace (W3C Trace Context). */
export const traceparent: Check = (value, at) => {
  if (typeof value !== "string" || !TRACEPARENT.test(value)) {
    refuse(at, "a traceparent");
  }
};

export const real: Check = (value, at) => {
  if (typeof value !== "number" || !Number.isFinite(value)) refuse(at, "a number");
};

/** A whole number from 0 to `most`. */
export function count(most: number = Number.MAX_SAFE_INTEGER): Check {
  return (value, at) => {
    const fits = typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most;
    if (!fits) refuse(at, `a whole number from 0 to ${most}`);
  };
}

/** A whole number from -`most` to `most`. */
export function whole(most: number): Check {
  return (value, at) => {
    const fits = typeof value === "number" && Number.isInteger(value) && Math.abs(value) <= most;
    if (!fits) refuse(at, `a whole number from -${most} to ${most}`);
  };
}

export const anything: Check = () => {};

/** One of the names of `T`; the record makes the compiler ask for all of them. */
export function oneOf<T extends string>(names: Readonly<Record<T, unknown>>): Check {
  return (value, at) => {
    if (typeof value !== "string" || !Object.hasOwn(names, value)) refuse(at, Object.keys(names).join(" | "));
  };
}

export function listOf(item: Check): Check {
  return (value, at) => {
    if (!Array.isArray(value)) refuse(at, "a list");
    for (const [index, entry] of value.entries()) item(entry, `${at}[${index}]`);
  };
}

export function object<T>(shape: Shape<T>): Check {
  const fields = Object.entries<Check>(shape);
  return (value, at) => {
    if (!isObject(value)) refuse(at, "an object");
    for (const [key, check] of fields) {
      const where = at ? `${at}.${key}` : key;
      if (!Object.hasOwn(value, key)) {
        if (!check.optional) refuse(where, "a value");
      } else {
        check(value[key], where);
      }
    }
  };
}

/** The field has a default and may be absent. */
export function orAbsent(check: Check): Check {
  return Object.assign((value: unknown, at: string) => check(value, at), { optional: true as const });
}

/** The field may be absent or `null`, which mean the same. */
export function orNull(check: Check): Check {
  const nullable = (value: unknown, at: string) => {
    if (value !== null) check(value, at);
  };
  return Object.assign(nullable, { optional: true as const });
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Parses JSON text. */
export function parseJson(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    throw new WireError("bad_json", "not JSON");
  }
}

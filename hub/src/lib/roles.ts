// What a role may do. The page hides what is refused; the registry refuses it anyway.

import type { Role } from "../generated/wire";

/** `work`: submit, cancel, answer. `admit`: keys, invites, approvals. */
export type Deed = "work" | "admit";

const MAY: Readonly<Record<Role, readonly Deed[]>> = {
  agent: [],
  viewer: [],
  operator: ["work"],
  admin: ["work", "admit"],
};

export function may(role: Role, deed: Deed): boolean {
  return MAY[role].includes(deed);
}

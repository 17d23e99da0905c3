// What the components are given instead of the world: the live mesh, the API, the clock, who is logged in.

import { createContext, useContext, useSyncExternalStore } from "react";
import type { SessionAnswer } from "./generated/wire";
import type { Api } from "./lib/api";
import type { Clock } from "./lib/clock";
import type { LiveMesh, LiveView } from "./lib/live";
import type { MeshState } from "./lib/mesh-state";
import { type Deed, may } from "./lib/roles";
import type { Shelf } from "./lib/shelf";

export interface Hub {
  readonly api: Api;
  readonly live: LiveMesh;
  readonly clock: Clock;
  /** What the browser keeps for this person: saved views, the colour scheme. */
  readonly shelf: Shelf;
  /** The code of the login link the page was opened with. */
  readonly loginCode: string | null;
}

const HubContext = createContext<Hub | null>(null);

export const HubProvider = HubContext.Provider;

export function useHub(): Hub {
  const hub = useContext(HubContext);
  if (!hub) throw new Error("outside of HubProvider");
  return hub;
}

export function useLive(): LiveView {
  const { live } = useHub();
  return useSyncExternalStore(live.subscribe, live.read);
}

/** The mesh of a page that is only shown once there is one. */
export function useMesh(): MeshState {
  const { mesh } = useLive();
  if (!mesh) throw new Error("shown before the mesh is known");
  return mesh;
}

/** The present by the registry's clock, Unix milliseconds. Only leaves use it: it changes every second. */
export function useNow(): number {
  const { clock, live } = useHub();
  return useSyncExternalStore(clock.subscribe, clock.now) + live.read().skewMs;
}

export interface Who {
  readonly session: SessionAnswer;
  readonly logout: () => void;
}

const WhoContext = createContext<Who | null>(null);

export const WhoProvider = WhoContext.Provider;

export function useWho(): Who {
  const who = useContext(WhoContext);
  if (!who) throw new Error("outside of WhoProvider");
  return who;
}

/** Whether whoever is logged in may do this. */
export function useMay(deed: Deed): boolean {
  return may(useWho().session.role, deed);
}

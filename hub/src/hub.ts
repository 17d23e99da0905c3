// What the components are given instead of the world: the live mesh, the API, the clock, the address.

import { createContext, useCallback, useContext, useSyncExternalStore } from "react";
import type { Api } from "./lib/api";
import type { Clock } from "./lib/clock";
import type { LiveMesh, LiveView } from "./lib/live";
import type { PlaceStore } from "./lib/place-store";
import type { Place } from "./lib/url";

export interface Hub {
  readonly api: Api;
  readonly live: LiveMesh;
  readonly clock: Clock;
  readonly place: PlaceStore;
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

/** The present by the registry's clock, Unix milliseconds. Only leaves use it: it changes every second. */
export function useNow(): number {
  const { clock, live } = useHub();
  return useSyncExternalStore(clock.subscribe, clock.now) + live.read().skewMs;
}

/** What the person looks at, and how to look at something else. */
export function usePlace(): [place: Place, go: (change: Partial<Place>) => void] {
  const { place } = useHub();
  const current = useSyncExternalStore(place.subscribe, place.read);
  const go = useCallback((change: Partial<Place>) => place.go(change), [place]);
  return [current, go];
}

// The address bar as a store: reading it gives the place, going somewhere writes it.

import { type Place, readPlace, writePlace } from "./url";

export interface PlaceStore {
  read(): Place;
  subscribe(listener: () => void): () => void;
  go(change: Partial<Place>): void;
}

export function placeStore(window: Window): PlaceStore {
  const listeners = new Set<() => void>();
  let place = readPlace(window.location.search);
  const tell = () => {
    for (const listener of listeners) listener();
  };
  window.addEventListener("popstate", () => {
    place = readPlace(window.location.search);
    tell();
  });
  return {
    read: () => place,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    go: (change) => {
      place = { ...place, ...change };
      window.history.pushState(null, "", `${window.location.pathname}${writePlace(place)}`);
      tell();
    },
  };
}

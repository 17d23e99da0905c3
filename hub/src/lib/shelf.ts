// What the browser keeps for a person between visits: small, optional, and never a secret.

export interface Shelf {
  read(key: string): unknown;
  write(key: string, value: unknown): void;
}

const PREFIX = "seamesh.";

/** A shelf in the browser's storage; where that is full or forbidden, nothing is kept and nothing breaks. */
export function storageShelf(storage: Storage): Shelf {
  return {
    read: (key) => {
      try {
        return JSON.parse(storage.getItem(PREFIX + key) ?? "null") as unknown;
      } catch {
        return null;
      }
    },
    write: (key, value) => {
      try {
        storage.setItem(PREFIX + key, JSON.stringify(value));
      } catch {
        // Nothing is kept then: what it holds is a convenience.
      }
    },
  };
}

export interface SavedView {
  readonly name: string;
  /** The query of the task list. */
  readonly query: string;
}

export function savedViews(value: unknown): SavedView[] {
  if (!Array.isArray(value)) return [];
  return value.filter(
    (one): one is SavedView => typeof one?.name === "string" && typeof one?.query === "string",
  );
}

/** Most saved views: more than fit beside each other. */
export const MAX_VIEWS = 20;

export function withView(views: readonly SavedView[], view: SavedView): SavedView[] {
  return [...views.filter((one) => one.name !== view.name), view].slice(-MAX_VIEWS);
}

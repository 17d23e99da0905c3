// A map that is shared by many states: a change costs a copy of what changed lately, not of everything.

/** Changes kept beside the base before a new base is made of both. */
const LAYER = 2_000;

/** What readers of such a map may ask. */
export interface Lookup<V> {
  readonly size: number;
  get(key: string): V | undefined;
  has(key: string): boolean;
  values(): Iterable<V>;
}

export class LayeredMap<V> implements Lookup<V> {
  readonly size: number;
  /** Never changed. */
  private readonly base: ReadonlyMap<string, V>;
  /** What stands over the base; `null`: it was taken away. */
  private readonly layer: ReadonlyMap<string, V | null>;

  private constructor(base: ReadonlyMap<string, V>, layer: ReadonlyMap<string, V | null>, size: number) {
    this.base = base;
    this.layer = layer;
    this.size = size;
  }

  static of<V>(entries: Iterable<readonly [string, V]>): LayeredMap<V> {
    const base = new Map(entries);
    return new LayeredMap(base, new Map(), base.size);
  }

  get(key: string): V | undefined {
    const above = this.layer.get(key);
    return above === undefined ? this.base.get(key) : (above ?? undefined);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  *values(): Iterable<V> {
    for (const [key, value] of this.base) if (!this.layer.has(key)) yield value;
    for (const value of this.layer.values()) if (value !== null) yield value;
  }

  /** The map with these changes; `null` takes away. */
  with(changes: ReadonlyMap<string, V | null>): LayeredMap<V> {
    if (changes.size === 0) return this;
    let size = this.size;
    for (const [key, value] of changes) size += (value === null ? 0 : 1) - (this.has(key) ? 1 : 0);
    const layer = new Map(this.layer);
    for (const [key, value] of changes) layer.set(key, value);
    if (layer.size <= LAYER) return new LayeredMap(this.base, layer, size);
    const base = new Map(this.base);
    for (const [key, value] of layer) {
      if (value === null) base.delete(key);
      else base.set(key, value);
    }
    return new LayeredMap(base, new Map(), size);
  }
}

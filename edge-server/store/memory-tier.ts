/**
 * The memory tier: shelves, and slices of large bodies, within one budget of bytes; the least recently used goes.
 * What to admit is the store's decision.
 */
import { LRUCache } from 'lru-cache';
import { type Entry, KeyShelf } from './entry.ts';

export class MemoryTier {
  readonly budgetBytes: number;
  readonly #held: LRUCache<string, KeyShelf | Buffer>;

  /** `onLeave` hears of every shelf that goes, for its uses; not of one that is set again. */
  constructor(budgetBytes: number, onLeave: (shelf: KeyShelf) => void) {
    this.budgetBytes = budgetBytes;
    this.#held = new LRUCache<string, KeyShelf | Buffer>({
      maxSize: Math.max(1, budgetBytes),
      dispose: (held, _key, reason) => {
        if (reason !== 'set' && held instanceof KeyShelf) onLeave(held);
      },
    });
  }

  /** The hot path: one look-up. Cache keys never start with NUL, so what is found under one is a shelf. */
  shelf(key: string): KeyShelf | undefined {
    return this.#held.get(key) as KeyShelf | undefined;
  }

  /** Without counting as a use. */
  peek(key: string): KeyShelf | undefined {
    return this.#held.peek(key) as KeyShelf | undefined;
  }

  /** Takes the shelf in, or counts its size again. */
  keep(shelf: KeyShelf): void {
    this.#held.set(shelf.key, shelf, { size: shelf.memoryBytes });
  }

  drop(key: string): void {
    this.#held.delete(key);
  }

  /** Whether the entry's shelf is in memory, so that a body read for it is worth keeping. */
  holds(entry: Entry): boolean {
    return this.peek(entry.response.key)?.holds(entry) === true;
  }

  slice(body: number, worker: number, slice: number): Buffer | undefined {
    return this.#held.get(sliceName(body, worker, slice)) as Buffer | undefined;
  }

  hasSlice(body: number, worker: number, slice: number): boolean {
    return this.#held.has(sliceName(body, worker, slice));
  }

  setSlice(body: number, worker: number, slice: number, bytes: Buffer): void {
    this.#held.set(sliceName(body, worker, slice), bytes, { size: Math.max(1, bytes.length) });
  }

  deleteSlice(body: number, worker: number, slice: number): void {
    this.#held.delete(sliceName(body, worker, slice));
  }

  /** The least purge number of the responses held. */
  get oldestPurgeNumber(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const held of this.#held.values())
      if (held instanceof KeyShelf)
        for (const entry of held.entries()) oldest = Math.min(oldest, entry.response.purgeNumber);
    return oldest;
  }

  clear(): void {
    this.#held.clear();
  }

  get bytes(): number {
    return this.#held.calculatedSize;
  }

  get entries(): number {
    return this.#held.size;
  }
}

function sliceName(body: number, worker: number, slice: number): string {
  return `\0${body}.${worker}:${slice}`;
}

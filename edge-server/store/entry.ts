/**
 * A stored response with its place, and the shelf of all variants under a key: what the memory tier holds.
 * Reading a shelf from memory is one look-up in a Map; everything here is what follows when it is not there.
 */
import type { StoredResponse } from '../cache/stored-response.ts';
import type { Shelf, StoredEntry } from './contract.ts';
import type { DiskSlices } from './disk-slices.ts';
import type { MemorySlices } from './memory-slices.ts';
import type { Place } from './row.ts';
import type { Volume } from './volume.ts';

/** Small bodies are kept twice: here, and behind their head as the front end writes them (`ResponseHead.wire`). */
const TWICE_BYTES = 16 << 10;
/** Objects, Map slots and strings' headers of an entry, measured as heap growth over 100,000 of them. */
const ENTRY_BYTES = 900;
const FIELD_BYTES = 24;

export class Entry implements StoredEntry {
  readonly response: StoredResponse;
  body: Buffer | undefined;
  tier: 'memory' | 'disk';
  prepared: object | undefined = undefined;
  /** Where it is on disk; `undefined` for what memory alone holds, or until it is written. */
  place: Place | undefined = undefined;
  volume: Volume | undefined = undefined;
  slices: DiskSlices | MemorySlices | undefined = undefined;
  rowKey: Buffer | undefined = undefined;
  /** The row's version in the index; 0 before it is there. */
  version = 0;
  #complete = false;

  constructor(response: StoredResponse, body: Buffer | undefined, tier: 'memory' | 'disk') {
    this.response = response;
    this.body = body;
    this.tier = tier;
  }

  get complete(): boolean {
    if (this.slices === undefined || this.#complete) return !this.slices?.dropped;
    this.#complete = this.slices.complete(this.response.bodyLength);
    return this.#complete;
  }

  /** A slice was lost: counts again. */
  recount(): void {
    this.#complete = false;
  }

  /** What it takes in memory, about. */
  get memoryBytes(): number {
    const { fields, tags, key } = this.response;
    let bytes = ENTRY_BYTES + key.length;
    for (const text of fields) bytes += FIELD_BYTES + text.length;
    for (const tag of tags) bytes += FIELD_BYTES + tag.length;
    const body = this.body?.length ?? 0;
    return bytes + body + (body <= TWICE_BYTES ? body : 0);
  }
}

export class KeyShelf implements Shelf {
  readonly key: string;
  readonly hash: Buffer;
  readonly vary: readonly string[];
  /** Version of the row at its head in the index: unlike it, the shelf is old. 0 for what is not in the index. */
  version = 0;
  /** Uses from memory since they were last counted together. */
  uses = 0;
  /** The round of checks in which this shelf was last found to be current; see `SharedStore`. */
  checked = 0;
  /** Just read from the index: its entries say `disk` until the next look-up finds them in memory. */
  justRead = false;
  /** The entries known so far; `undefined` stands for one that is known not to be there. */
  readonly #entries = new Map<string, Entry | undefined>();
  /** The only entry where nothing varies: spares the Map on the hot path. */
  #only: Entry | undefined = undefined;
  readonly #load: ((shelf: KeyShelf, variant: string) => Entry | undefined) | undefined;

  constructor(
    identity: { key: string; hash: Buffer; vary: readonly string[] },
    load?: (shelf: KeyShelf, variant: string) => Entry | undefined,
  ) {
    this.key = identity.key;
    this.hash = identity.hash;
    this.vary = identity.vary;
    this.#load = load;
  }

  variant(variant: string): Entry | undefined {
    if (this.vary.length === 0) return variant === '' ? this.#only : undefined;
    if (this.#entries.has(variant)) return this.#entries.get(variant);
    return this.#load?.(this, variant);
  }

  /** The entry as far as memory knows, without asking the index. */
  known(variant: string): Entry | undefined {
    return this.vary.length === 0 ? this.#only : this.#entries.get(variant);
  }

  set(variant: string, entry: Entry | undefined): void {
    if (this.vary.length === 0) this.#only = entry;
    else this.#entries.set(variant, entry);
  }

  /** Whether the entry is what stands under its variant. */
  holds(entry: Entry): boolean {
    return this.known(entry.response.variant) === entry;
  }

  *entries(): Generator<Entry> {
    if (this.#only !== undefined) yield this.#only;
    for (const entry of this.#entries.values()) if (entry !== undefined) yield entry;
  }

  get empty(): boolean {
    for (const _ of this.entries()) return false;
    return true;
  }

  /** Found in memory for the first time after it was read from the index. */
  settle(): void {
    this.justRead = false;
    for (const entry of this.entries()) if (entry.body !== undefined) entry.tier = 'memory';
  }

  get memoryBytes(): number {
    let bytes = 200 + this.key.length;
    if (this.vary.length === 0) return this.#only === undefined ? bytes : bytes + this.#only.memoryBytes;
    for (const entry of this.entries()) bytes += entry.memoryBytes;
    return bytes;
  }
}

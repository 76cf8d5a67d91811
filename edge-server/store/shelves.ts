/**
 * Finds shelves, in memory, then among changes that are on their way to the disk, then in the index; and makes the
 * changes: publish, freshen, remove. Changes of one key run one after the other; each is in force for this worker
 * at once and for the others when the index has it. It leaves the rows to `shelf-rows.ts`, bodies to others.
 */
import type { WriteOutcome } from './contract.ts';
import { Entry, KeyShelf } from './entry.ts';
import { MemorySlices } from './memory-slices.ts';
import type { MemoryTier } from './memory-tier.ts';
import { PutBatch } from './put-batch.ts';
import type { ResponseRow } from './row.ts';
import { type ShelfRows, sameVary } from './shelf-rows.ts';
import type { Uses } from './uses.ts';
import type { Volume } from './volume.ts';
import { keyHash, rowKey } from './volume-index.ts';
import type { Volumes } from './volumes.ts';

/** The changes of one key that are not in the index yet. While there are any, `shelf` is the truth for this worker. */
interface Pending {
  shelf: KeyShelf;
  changes: number;
  tail: Promise<unknown>;
  /** Every row there is now goes: nothing may be loaded from the index until the changes are made. */
  voided: boolean;
}

export interface ShelvesOptions {
  memory: MemoryTier;
  volumes: Volumes;
  uses: Uses;
  rows: ShelfRows;
  /** Several workers share the index: memory is checked against it once a round. */
  shared: boolean;
}

export class Shelves {
  readonly #options: ShelvesOptions;
  readonly #memory: MemoryTier;
  readonly #rows: ShelfRows;
  readonly #pending = new Map<string, Pending>();
  readonly #batches = new Map<Volume, PutBatch>();
  /** Counts the rounds of checks; 0 for a worker that is alone and never needs one. */
  #round: number;

  constructor(options: ShelvesOptions) {
    this.#options = options;
    this.#memory = options.memory;
    this.#rows = options.rows;
    this.#round = options.shared ? 1 : 0;
  }

  /** The shelf under a key. From memory: one Map look-up (budget 0.2 µs; guarded by `bench/`). */
  get(key: string): KeyShelf | undefined {
    const shelf = this.#memory.shelf(key);
    if (shelf !== undefined && (shelf.checked === this.#round || this.#current(shelf))) {
      shelf.uses++;
      if (shelf.justRead) shelf.settle();
      return shelf;
    }
    return this.#lookUp(key);
  }

  /** The next round of checks: what is in memory is compared with the index at its next use. */
  nextRound(): void {
    if (this.#round > 0) this.#round++;
  }

  /** Another worker has changed these keys. */
  forget(keys: readonly string[]): void {
    for (const volume of this.#options.volumes.good) volume.look(() => volume.index.renew());
    for (const key of keys) {
      if (this.#pending.has(key)) continue;
      this.#memory.drop(key);
      const hash = keyHash(key);
      this.#options.volumes.of(hash)?.refreshBodies(hash);
    }
  }

  /** What stands under a key and variant now, without counting as a use. */
  current(key: string, variant: string): Entry | undefined {
    return this.#peek(key)?.variant(variant);
  }

  /** Makes the entry the one under its key and variant, and writes it. A refused one is dropped again. */
  publish(entry: Entry): WriteOutcome | Promise<WriteOutcome> {
    const { key, vary, variant } = entry.response;
    if (this.#options.volumes.all.length === 0) return this.#keepOnly(entry);
    const batched = vary.length === 0 ? this.#publishNew(entry) : undefined;
    if (batched !== undefined) return batched;
    const pending = this.#hold(key);
    const replaced = pending.shelf.known(variant);
    if (!sameVary(pending.shelf.vary, vary)) {
      for (const other of pending.shelf.entries()) dropFromMemory(other);
      pending.shelf = new KeyShelf({ key, hash: pending.shelf.hash, vary }, pending.voided ? undefined : this.#load);
    } else if (replaced !== undefined && replaced.slices !== entry.slices) dropFromMemory(replaced);
    pending.shelf.set(variant, entry);
    this.#memory.keep(pending.shelf);
    return this.#inTurn(pending, () => this.#write(pending, entry));
  }

  /** The first response under its key goes with others into the index. `undefined`: it is not the first, or not whole. */
  #publishNew(entry: Entry): Promise<WriteOutcome> | undefined {
    const { key } = entry.response;
    if (entry.body === undefined || entry.slices !== undefined || this.#pending.has(key)) return undefined;
    const hash = keyHash(key);
    const volume = this.#options.volumes.of(hash);
    if (volume === undefined || this.#memory.peek(key) !== undefined) return undefined;
    // Also a row of another key with this hash: what is replaced gives its place back.
    if (volume.look(() => volume.index.has(hash)) !== false) return undefined;
    const shelf = new KeyShelf({ key, hash, vary: [] }, this.#load);
    shelf.set('', entry);
    const pending: Pending = { shelf, changes: 1, tail: DONE, voided: false };
    this.#pending.set(key, pending);
    this.#memory.keep(shelf);
    const outcome = new Promise<WriteOutcome>((resolve) => {
      const wanted = () => pending.shelf.holds(entry);
      const done = async (outcome: WriteOutcome) => {
        if (outcome.kind === 'stored') {
          if (wanted()) this.#leaveToDisk(shelf, entry);
        } else if (wanted()) await this.#takeBack(pending, entry);
        this.#over(pending);
        resolve(outcome);
      };
      this.#batchOf(volume).add({ shelf, entry, wanted, done });
    });
    pending.tail = outcome;
    return outcome;
  }

  /**
   * A body that has a place of its own on the disk stays in memory from its second use on: most are asked for once, and
   * keeping those costs what is wanted more, and the collector a round for each 64 MiB.
   */
  #leaveToDisk(shelf: KeyShelf, entry: Entry): void {
    shelf.version = entry.version;
    if (entry.place?.kind !== 'extent' || shelf.uses > 0 || this.#memory.peek(shelf.key) !== shelf) return;
    this.#options.uses.touch(shelf.hash.readUInt32LE(0));
    this.#memory.drop(shelf.key);
  }

  #batchOf(volume: Volume): PutBatch {
    let batch = this.#batches.get(volume);
    if (batch === undefined) {
      batch = new PutBatch(volume, this.#rows.inlineBytes);
      this.#batches.set(volume, batch);
    }
    return batch;
  }

  /** Without any volume memory is all there is, and a change is made when it is said. */
  #keepOnly(entry: Entry): WriteOutcome {
    const { key, vary, variant } = entry.response;
    // A removal that is under way looks for what there is in its own shelf: the next one must find this entry.
    const pending = this.#pending.get(key);
    let shelf = pending?.shelf ?? this.#memory.peek(key);
    const replaced = shelf?.known(variant);
    if (shelf === undefined || !sameVary(shelf.vary, vary)) {
      if (shelf !== undefined) for (const other of shelf.entries()) dropFromMemory(other);
      shelf = new KeyShelf({ key, hash: NO_HASH, vary });
    } else if (replaced !== undefined && replaced.slices !== entry.slices) dropFromMemory(replaced);
    shelf.set(variant, entry);
    if (pending !== undefined) pending.shelf = shelf;
    this.#memory.keep(shelf);
    if (this.#memory.peek(key) === shelf) return STORED;
    shelf.set(variant, undefined);
    dropFromMemory(entry);
    return NO_SPACE;
  }

  /** Takes an entry away if it is still the one under its variant. */
  remove(entry: Entry): void {
    const { key, variant } = entry.response;
    const pending = this.#hold(key);
    const held = pending.shelf.variant(variant);
    if (held?.response.id === entry.response.id) {
      dropFromMemory(held);
      pending.shelf.set(variant, undefined);
      if (pending.shelf.empty) this.#memory.drop(key);
      else this.#memory.keep(pending.shelf);
    }
    void this.#inTurn(pending, async () => {
      const volume = this.#options.volumes.of(pending.shelf.hash);
      if (volume !== undefined) await this.#rows.removeNamed(volume, pending.shelf, variant, entry.response.id);
    });
  }

  /** Takes every variant under a key away. */
  removeKey(key: string): void {
    const pending = this.#hold(key);
    for (const entry of pending.shelf.entries()) dropFromMemory(entry);
    pending.voided = true;
    pending.shelf = new KeyShelf({ key, hash: pending.shelf.hash, vary: [] });
    this.#memory.drop(key);
    void this.#inTurn(pending, async () => {
      const volume = this.#options.volumes.of(pending.shelf.hash);
      if (volume !== undefined) await this.#rows.removeAll(volume, pending.shelf.hash, []);
    });
  }

  /** A response read from its row, as an entry. */
  entryOf(volume: Volume, name: Buffer, row: ResponseRow, version: number): Entry {
    const entry = new Entry(row.response, row.body, 'disk');
    entry.place = row.place;
    entry.volume = volume;
    entry.rowKey = name;
    entry.version = version;
    if (row.place.kind === 'sliced') entry.slices = volume.body(row.place.body, row.place.worker, name);
    if (row.response.bodyLength === 0 && row.place.kind === 'inline') entry.body = EMPTY;
    return entry;
  }

  /** Resolves when every change made so far is in the index or refused. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled([...this.#pending.values()].map((one) => one.tail));
  }

  #lookUp(key: string): KeyShelf | undefined {
    const pending = this.#pending.get(key);
    if (pending !== undefined)
      return pending.shelf.vary.length === 0 && pending.shelf.empty ? undefined : pending.shelf;
    const shelf = this.#fromIndex(key);
    if (shelf === undefined) return undefined;
    if (this.#options.uses.touch(shelf.hash.readUInt32LE(0)) > 0) this.#memory.keep(shelf);
    return shelf;
  }

  #peek(key: string, hash?: Buffer): KeyShelf | undefined {
    const shelf = this.#pending.get(key)?.shelf ?? this.#memory.peek(key);
    if (shelf !== undefined && (shelf.checked === this.#round || this.#current(shelf))) return shelf;
    return this.#fromIndex(key, hash);
  }

  #fromIndex(key: string, hash = keyHash(key)): KeyShelf | undefined {
    const volume = this.#options.volumes.of(hash);
    const found = volume?.find(hash);
    if (volume === undefined || found === undefined) return undefined;
    const { row, version } = found;
    if ((row.kind === 'vary' ? row.key : row.response.key) !== key) return undefined;
    const vary = row.kind === 'vary' ? row.vary : [];
    const shelf = new KeyShelf({ key, hash, vary }, this.#load);
    shelf.version = version;
    shelf.checked = this.#round;
    shelf.justRead = true;
    if (row.kind === 'response') shelf.set('', this.entryOf(volume, hash, row, version));
    return shelf;
  }

  /** Loads a variant of a shelf from the index; an arrow function, because shelves keep it. */
  readonly #load = (shelf: KeyShelf, variant: string): Entry | undefined => {
    const volume = this.#options.volumes.of(shelf.hash);
    if (volume === undefined) return undefined;
    const name = rowKey(shelf.hash, shelf.vary, variant);
    const found = volume.find(name);
    if (found === undefined || found.row.kind !== 'response') return undefined;
    const { response } = found.row;
    if (response.key !== shelf.key || response.variant !== variant || !sameVary(response.vary, shelf.vary))
      return undefined;
    const entry = this.entryOf(volume, name, found.row, found.version);
    shelf.set(variant, entry);
    if (this.#memory.peek(shelf.key) === shelf) this.#memory.keep(shelf);
    return entry;
  };

  /** Whether a shelf in memory is still what the index says. What was never in an index is only memory's. */
  #current(shelf: KeyShelf): boolean {
    shelf.checked = this.#round;
    if (this.#round === 0 || shelf.version === 0 || this.#pending.has(shelf.key)) return true;
    const volume = this.#options.volumes.of(shelf.hash);
    if (volume === undefined) return true;
    const there = volume.look(() => volume.index.row(shelf.hash)) !== undefined;
    if (there && volume.index.lastVersion() === shelf.version) return true;
    this.#memory.drop(shelf.key);
    return false;
  }

  /** The key's pending changes, one more of which begins. */
  #hold(key: string): Pending {
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      const hash = keyHash(key);
      const shelf = this.#peek(key, hash) ?? new KeyShelf({ key, hash, vary: [] }, this.#load);
      pending = { shelf, changes: 0, tail: Promise.resolve(), voided: false };
      this.#pending.set(key, pending);
    }
    pending.changes++;
    return pending;
  }

  /** One of the key's changes has been made, or refused. */
  #over(pending: Pending): void {
    pending.changes--;
    if (pending.changes === 0) this.#pending.delete(pending.shelf.key);
  }

  #inTurn<T>(pending: Pending, change: () => Promise<T>): Promise<T> {
    const turn = pending.tail.then(change).finally(() => this.#over(pending));
    pending.tail = turn.catch(() => undefined);
    return turn;
  }

  /** Writes an entry that is still the one under its variant. A refused one is dropped again. */
  async #write(pending: Pending, entry: Entry): Promise<WriteOutcome> {
    const { hash } = pending.shelf;
    const volume = this.#options.volumes.of(hash);
    if (volume === undefined && pending.shelf.holds(entry)) return this.#writeNowhere(pending, entry);
    const wanted = () => pending.shelf.holds(entry);
    const outcome =
      volume === undefined || !wanted() ? SUPERSEDED : await this.#rows.write(volume, pending.shelf, { entry, wanted });
    if (outcome.kind === 'stored') {
      if (wanted()) pending.shelf.version = entry.version;
      return outcome;
    }
    if (wanted()) await this.#takeBack(pending, entry);
    // Slices that the newest entry shares (a response freshened or completed meanwhile) stay.
    const now = this.current(entry.response.key, entry.response.variant);
    if (entry.slices !== undefined && now?.slices !== entry.slices) await entry.slices.drop(entry.response.bodyLength);
    return outcome;
  }

  /** Without a volume, memory is all there is. */
  #writeNowhere(pending: Pending, entry: Entry): WriteOutcome {
    if (this.#memory.peek(pending.shelf.key) === pending.shelf) return { kind: 'stored' };
    pending.shelf.set(entry.response.variant, undefined);
    dropFromMemory(entry);
    return { kind: 'refused', why: 'no-space' };
  }

  /** Drops an entry that could not be written, and with it what it was to replace: an older one must not come back. */
  async #takeBack(pending: Pending, entry: Entry): Promise<void> {
    const { shelf } = pending;
    shelf.set(entry.response.variant, undefined);
    if (shelf.empty) this.#memory.drop(shelf.key);
    else this.#memory.keep(shelf);
    const volume = this.#options.volumes.of(shelf.hash);
    if (volume !== undefined) await this.#rows.removeNamed(volume, shelf, entry.response.variant);
  }
}

const EMPTY = Buffer.alloc(0);
const DONE: Promise<void> = Promise.resolve();
const NO_HASH = Buffer.alloc(0);
const STORED: WriteOutcome = { kind: 'stored' };
const NO_SPACE: WriteOutcome = { kind: 'refused', why: 'no-space' };
const SUPERSEDED: WriteOutcome = { kind: 'refused', why: 'superseded' };

/** An entry that memory alone held: its slices may not grow any more. Rows give theirs back when they go. */
function dropFromMemory(entry: Entry): void {
  if (entry.slices instanceof MemorySlices) entry.slices.drop();
}

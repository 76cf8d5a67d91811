/**
 * Finds shelves, in memory, then among changes that are on their way to the disk, then in the index; and makes the
 * changes: publish, freshen, remove. Changes of one key run one after the other; each is in force for this worker
 * at once and for the others when the index has it. It leaves slices and writers to others.
 */
import { crc32 } from 'node:zlib';
import type { WriteOutcome } from './contract.ts';
import { Entry, KeyShelf } from './entry.ts';
import type { Extent } from './extents.ts';
import { sharedName } from './extents.ts';
import { MemorySlices } from './memory-slices.ts';
import type { MemoryTier } from './memory-tier.ts';
import { encodeResponse, encodeVary, type Place, type ResponseRow } from './row.ts';
import type { Uses } from './uses.ts';
import type { FoundRow, Volume } from './volume.ts';
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
  /** Bodies up to this size live in the index. */
  inlineBytes: number;
  /** Several workers share the index: memory is checked against it once a round. */
  shared: boolean;
  /** The key's rows have changed in the index. */
  onChange: (key: string) => void;
}

export class Shelves {
  readonly #options: ShelvesOptions;
  readonly #memory: MemoryTier;
  readonly #pending = new Map<string, Pending>();
  /** Counts the rounds of checks; 0 for a worker that is alone and never needs one. */
  #round: number;

  constructor(options: ShelvesOptions) {
    this.#options = options;
    this.#memory = options.memory;
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
  async publish(entry: Entry): Promise<WriteOutcome> {
    const { key, vary, variant } = entry.response;
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
      const name = rowKey(pending.shelf.hash, pending.shelf.vary, variant);
      const found = volume?.find(name);
      if (found?.row.kind === 'response' && found.row.response.id === entry.response.id)
        await this.#removeRow(volume!, name, found);
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
      if (volume !== undefined) await this.#removeRows(volume, pending.shelf.hash, []);
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
    const shelf = this.#fromIndex(key, true);
    if (shelf === undefined) return undefined;
    if (this.#options.uses.touch(shelf.hash.readUInt32LE(0)) > 0) this.#memory.keep(shelf);
    return shelf;
  }

  #peek(key: string): KeyShelf | undefined {
    const shelf = this.#pending.get(key)?.shelf ?? this.#memory.peek(key);
    if (shelf !== undefined && (shelf.checked === this.#round || this.#current(shelf))) return shelf;
    return this.#fromIndex(key, false);
  }

  #fromIndex(key: string, use: boolean): KeyShelf | undefined {
    const hash = keyHash(key);
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
    if (row.kind === 'response') {
      shelf.set('', this.entryOf(volume, hash, row, version));
      if (use) countUse(volume, row.place);
    }
    return shelf;
  }

  /** Loads a variant of a shelf from the index; an arrow function, because shelves keep it. */
  readonly #load = (shelf: KeyShelf, variant: string): Entry | undefined => {
    const volume = this.#options.volumes.of(shelf.hash);
    if (volume === undefined) return undefined;
    const name = rowKey(shelf.hash, shelf.vary, variant);
    const found = volume.find(name);
    if (found === undefined || found.row.kind !== 'response') return undefined;
    const { response, place } = found.row;
    if (response.key !== shelf.key || response.variant !== variant || !sameVary(response.vary, shelf.vary))
      return undefined;
    countUse(volume, place);
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
      const shelf = this.#peek(key) ?? new KeyShelf({ key, hash: keyHash(key), vary: [] }, this.#load);
      pending = { shelf, changes: 0, tail: Promise.resolve(), voided: false };
      this.#pending.set(key, pending);
    }
    pending.changes++;
    return pending;
  }

  #inTurn<T>(pending: Pending, change: () => Promise<T>): Promise<T> {
    const turn = pending.tail.then(change).finally(() => {
      pending.changes--;
      if (pending.changes === 0) this.#pending.delete(pending.shelf.key);
    });
    pending.tail = turn.catch(() => undefined);
    return turn;
  }

  async #write(pending: Pending, entry: Entry): Promise<WriteOutcome> {
    if (!pending.shelf.holds(entry)) return this.#giveUp(entry, 'superseded');
    const { hash, vary } = pending.shelf;
    const volume = this.#options.volumes.of(hash);
    if (volume === undefined) return this.#writeNowhere(pending, entry);
    const name = rowKey(hash, vary, entry.response.variant);
    const placed = await this.#place(volume, name, entry);
    if (placed.kind === 'refused') return this.#refuse(pending, entry, volume, placed.why);
    const head = volume.find(hash);
    const before = vary.length === 0 ? head : volume.find(name);
    const version = volume.numbers.next();
    const row = encodeResponse(entry.response, placed.place, placed.place.kind === 'inline' ? placed.body : undefined);
    const written = await volume.writing(async () => {
      if (!pending.shelf.holds(entry)) return 'superseded';
      const headPut = vary.length > 0 && volume.index.putRow(hash, encodeVary(pending.shelf.key, vary), version);
      await Promise.all([headPut, volume.index.putRow(name, row, version)]);
      return 'stored';
    });
    if (placed.extent !== undefined) placed.extent.busy--;
    if (written.kind === 'refused') return this.#refuse(pending, entry, volume, written.why);
    if (written.value === 'superseded') return this.#giveUp(entry, 'superseded');
    Object.assign(entry, { place: placed.place, volume, rowKey: name, version });
    pending.shelf.version = version;
    await this.#freeReplaced(volume, pending.shelf, { head, before, entry });
    return { kind: 'stored' };
  }

  /** Without a volume, memory is all there is. */
  #writeNowhere(pending: Pending, entry: Entry): WriteOutcome {
    if (this.#memory.peek(pending.shelf.key) === pending.shelf) return { kind: 'stored' };
    pending.shelf.set(entry.response.variant, undefined);
    entry.slices?.drop(entry.response.bodyLength);
    return { kind: 'refused', why: 'no-space' };
  }

  /** Brings the body to its place, where it is not there already. */
  async #place(
    volume: Volume,
    name: Buffer,
    entry: Entry,
  ): Promise<
    | { kind: 'placed'; place: Place; body?: Buffer | undefined; extent?: Extent | undefined }
    | { kind: 'refused'; why: 'no-space' | 'volume-failed' }
  > {
    if (entry.slices !== undefined) {
      // A body of memory's alone, or of a volume that has failed meanwhile.
      if (!('volume' in entry.slices) || entry.slices.volume !== volume)
        return { kind: 'refused', why: 'volume-failed' };
      const complete = entry.slices.complete(entry.response.bodyLength);
      return {
        kind: 'placed',
        place: { kind: 'sliced', body: entry.slices.number, worker: entry.slices.worker, complete },
      };
    }
    if (entry.place?.kind === 'extent' && entry.volume === volume) return { kind: 'placed', place: entry.place };
    const body = entry.body;
    if (body === undefined) return { kind: 'refused', why: 'volume-failed' };
    if (body.length <= this.#options.inlineBytes) return { kind: 'placed', place: { kind: 'inline' }, body };
    const crc = crc32(body);
    const written = await volume.writing(() => volume.shared.append(name, body, crc));
    if (written.kind === 'refused') return written;
    const { extent, offset } = written.value;
    return {
      kind: 'placed',
      place: { kind: 'extent', extent: extent.number, worker: extent.worker, offset, crc },
      extent,
    };
  }

  /** Drops an entry that could not be written, and with it what it was to replace: an older one must not come back. */
  async #refuse(
    pending: Pending,
    entry: Entry,
    volume: Volume,
    why: 'no-space' | 'volume-failed',
  ): Promise<WriteOutcome> {
    const { shelf } = pending;
    if (shelf.holds(entry)) {
      shelf.set(entry.response.variant, undefined);
      if (shelf.empty) this.#memory.drop(shelf.key);
      else this.#memory.keep(shelf);
      const name = rowKey(shelf.hash, shelf.vary, entry.response.variant);
      const before = volume.find(name);
      if (before !== undefined) await this.#removeRow(volume, name, before);
    }
    if (entry.slices !== undefined) await entry.slices.drop(entry.response.bodyLength);
    return { kind: 'refused', why };
  }

  #giveUp(entry: Entry, why: 'superseded'): WriteOutcome {
    // Slices that a newer entry shares (a response freshened or completed) stay.
    const now = this.current(entry.response.key, entry.response.variant);
    if (entry.slices !== undefined && now?.slices !== entry.slices) void entry.slices.drop(entry.response.bodyLength);
    return { kind: 'refused', why };
  }

  /** What the entry has replaced gives its place back: the row under its name, and rows that vary otherwise. */
  async #freeReplaced(
    volume: Volume,
    shelf: KeyShelf,
    change: { head: FoundRow | undefined; before: FoundRow | undefined; entry: Entry },
  ): Promise<void> {
    const { head, before, entry } = change;
    if (head === undefined) return;
    this.#options.onChange(shelf.key);
    if (before?.row.kind === 'response') await free(volume, before.row, entry);
    if (head !== before && head.row.kind === 'response') await free(volume, head.row, entry);
    // Responses that vary otherwise than the newest are unreachable from now on (RFC 9111 §4.1).
    const varied = head.row.kind === 'vary' ? head.row.vary : [];
    if (!sameVary(varied, shelf.vary)) await this.#removeRows(volume, shelf.hash, [shelf.hash, entry.rowKey!]);
  }

  /** Removes a shelf's rows but those to keep. */
  async #removeRows(volume: Volume, shelf: Buffer, keep: readonly Buffer[]): Promise<void> {
    for (const name of volume.look(() => volume.index.shelfRows(shelf)) ?? []) {
      if (keep.some((one) => one.equals(name))) continue;
      const found = volume.find(name);
      if (found !== undefined) await this.#removeRow(volume, name, found);
    }
  }

  async #removeRow(volume: Volume, name: Buffer, found: FoundRow): Promise<void> {
    await volume.changing(() => volume.index.removeRow(name));
    if (found.row.kind === 'response') await free(volume, found.row, undefined);
    this.#options.onChange(found.row.kind === 'vary' ? found.row.key : found.row.response.key);
  }
}

const EMPTY = Buffer.alloc(0);

/** Gives the place of a body back that no row names any more, unless the entry after it has the same. */
async function free(volume: Volume, row: ResponseRow, heir: Entry | undefined): Promise<void> {
  const { place, response } = row;
  if (place.kind === 'sliced') {
    if (heir?.place?.kind === 'sliced' && heir.place.body === place.body) return;
    await volume.body(place.body, place.worker, heir?.rowKey ?? Buffer.alloc(0)).drop(response.bodyLength);
  } else if (place.kind === 'extent') {
    const kept = heir?.place;
    if (kept?.kind === 'extent' && kept.extent === place.extent && kept.offset === place.offset) return;
    const extent = volume.extents.owned.get(sharedName(place.extent, place.worker));
    if (extent === undefined) return;
    extent.deadBytes += response.bodyLength;
    if (extent.sealed && extent.busy === 0 && extent.deadBytes >= extent.bodyBytes)
      await volume.extents.unlink(extent.name);
  }
}

/** An entry that memory alone held: its slices may not grow any more. Rows give theirs back when they go. */
function dropFromMemory(entry: Entry): void {
  if (entry.slices instanceof MemorySlices) entry.slices.drop();
}

function countUse(volume: Volume, place: Place): void {
  if (place.kind !== 'extent') return;
  const extent = volume.extents.owned.get(sharedName(place.extent, place.worker));
  if (extent !== undefined) extent.uses++;
}

function sameVary(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}

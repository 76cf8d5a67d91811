/**
 * The store: memory over volumes, or memory alone. It joins the parts to the contract: shelves (what is there),
 * writers (what comes in), slices (bodies), the purge log. Only the owner of a key changes it; every worker reads.
 */
import { crc32 } from 'node:zlib';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { StoredResponse } from '../cache/stored-response.ts';
import type { BufferPool } from './buffer-pool.ts';
import type { Purge, SliceRead, StoredEntry, StoreStat, StoreWriter, WriteOutcome } from './contract.ts';
import type { DiskSlices } from './disk-slices.ts';
import { Entry, type KeyShelf } from './entry.ts';
import { sharedName } from './extents.ts';
import type { Housekeeping } from './housekeeping.ts';
import { MemorySlices } from './memory-slices.ts';
import type { MemoryTier } from './memory-tier.ts';
import type { Numbers } from './numbers.ts';
import type { PurgeJournal } from './purge-journal.ts';
import type { PurgeLog } from './purge-log.ts';
import type { ScrubOutcome } from './scrub.ts';
import type { SharedStore } from './shared-store.ts';
import type { Shelves } from './shelves.ts';
import type { Uses } from './uses.ts';
import type { StoreCounts, Volume } from './volume.ts';
import { keyHash } from './volume-index.ts';
import type { Volumes } from './volumes.ts';
import { Writer, type WriterStore } from './writer.ts';

export interface StoreParts {
  memory: MemoryTier;
  volumes: Volumes;
  shelves: Shelves;
  purgeLog: PurgeLog;
  journal: PurgeJournal;
  numbers: Numbers;
  pool: BufferPool;
  uses: Uses;
  counts: StoreCounts;
  clock: Clock;
  diskBytes: number;
  /** Volumes that stay set aside since an earlier run, with the reason. */
  aside: ReadonlyMap<string, string>;
  onChange: (key: string) => void;
  housekeeping: Housekeeping;
}

const EVERY_ROUND_MILLIS = 250;
const nothing = () => undefined;

export class TwoTierStore implements SharedStore {
  readonly #parts: StoreParts;
  readonly #shelves: Shelves;
  readonly #purgeLog: PurgeLog;
  readonly #writers = new Set<Writer>();
  readonly #round: Timer | undefined;
  #closing: Promise<void> | undefined;

  /** `shared`: other workers write to the same volumes. */
  constructor(parts: StoreParts, shared: boolean) {
    this.#parts = parts;
    this.#shelves = parts.shelves;
    this.#purgeLog = parts.purgeLog;
    this.#round = shared ? parts.clock.every(EVERY_ROUND_MILLIS, () => this.#nextRound()) : undefined;
  }

  shelf(key: string): KeyShelf | undefined {
    return this.#shelves.get(key);
  }

  begin(response: StoredResponse, options?: { readonly partial?: boolean }): StoreWriter {
    return this.#writer({ response, partial: options?.partial === true });
  }

  put(response: StoredResponse, body: Buffer): { entry: Entry; outcome: WriteOutcome | Promise<WriteOutcome> } {
    const entry = new Entry(response, body, 'memory');
    if (this.#closing !== undefined) return { entry, outcome: { kind: 'refused', why: 'closed' } };
    if (body.length !== response.bodyLength) return { entry, outcome: { kind: 'refused', why: 'abandoned' } };
    if (body.length > this.#largestBody()) return { entry, outcome: { kind: 'refused', why: 'too-large' } };
    return { entry, outcome: this.#shelves.publish(entry) };
  }

  resume(entry: StoredEntry): StoreWriter {
    const own = this.#own(entry);
    return this.#writer({ response: own.response, partial: true, resumes: own });
  }

  readSlice(entry: StoredEntry, n: number): SliceRead | Promise<SliceRead> {
    const own = this.#own(entry);
    if (own.body !== undefined)
      return n === 0 ? { kind: 'bytes', bytes: own.body, release: nothing } : { kind: 'absent', why: 'never-stored' };
    const { slices } = own;
    if (slices instanceof MemorySlices) {
      const bytes = slices.read(n);
      if (typeof bytes !== 'string') return { kind: 'bytes', bytes, release: nothing };
      own.recount();
      return { kind: 'absent', why: bytes };
    }
    if (slices === undefined) return n === 0 ? this.#readWhole(own) : { kind: 'absent', why: 'never-stored' };
    const kept = this.#parts.memory.slice(slices.number, slices.worker, n);
    if (kept !== undefined) return { kind: 'bytes', bytes: kept, release: nothing };
    return this.#readDiskSlice(own, slices, n);
  }

  hasSlice(entry: StoredEntry, n: number): boolean {
    const own = this.#own(entry);
    if (n < 0) return false;
    return own.slices === undefined ? n === 0 : own.slices.has(n);
  }

  freshen(entry: StoredEntry, response: StoredResponse): StoredEntry {
    const own = this.#own(entry);
    const fresh = new Entry(response, own.body, own.tier);
    Object.assign(fresh, { place: own.place, volume: own.volume, slices: own.slices, rowKey: own.rowKey });
    const now = this.#shelves.current(own.response.key, own.response.variant);
    // Replaced or removed meanwhile: what this response says is used once and not kept.
    if (now?.response.id !== own.response.id || this.#closing !== undefined) return fresh;
    void this.#shelves.publish(fresh);
    return fresh;
  }

  remove(entry: StoredEntry): void {
    if (this.#closing === undefined) this.#shelves.remove(this.#own(entry));
  }

  removeKey(key: string): void {
    if (this.#closing === undefined) this.#shelves.removeKey(key);
  }

  pin(key: string, pinned: boolean): void {
    const hash = keyHash(key);
    const volume = this.#parts.volumes.of(hash);
    void volume?.changing(() => volume.index.pin(hash, key, pinned));
  }

  get purgeNumber(): number {
    return this.#purgeLog.newest;
  }

  get purgeLogNumber(): number {
    return this.#parts.journal.logNumber;
  }

  applyPurges(purges: readonly Purge[]): Promise<void> {
    return this.#parts.journal.apply(purges);
  }

  purged(response: StoredResponse): 'no' | 'soft' | 'hard' {
    return response.purgeNumber >= this.#purgeLog.newest ? 'no' : this.#purgeLog.verdict(response);
  }

  changed(keys: readonly string[]): void {
    this.#shelves.forget(keys);
  }

  purgesChanged(): void {
    this.#parts.journal.refresh();
  }

  volumeFailed(path: string, why: string): void {
    this.#parts.volumes.all.find((volume) => volume.path === path)?.setAside(why);
  }

  scrub(bytesPerSecond: number): Promise<ScrubOutcome> {
    return this.#parts.housekeeping.scrub(bytesPerSecond, (row) => {
      const entry = this.#shelves.current(row.response.key, row.response.variant);
      if (entry?.response.id === row.response.id) this.#shelves.remove(entry);
    });
  }

  swept(): Promise<void> {
    return this.#parts.housekeeping.swept;
  }

  async settled(): Promise<void> {
    await this.#shelves.settled();
    for (const volume of this.#parts.volumes.good) await volume.shared.drained();
  }

  stat(): StoreStat {
    const { memory, volumes, counts, diskBytes, aside } = this.#parts;
    const uses = volumes.all.map((volume) => ({ volume, use: volume.look(() => volume.index.use()) }));
    const sum = (of: (one: (typeof uses)[number]) => number) => uses.reduce((total, one) => total + of(one), 0);
    const bytesOf = ({ volume, use }: (typeof uses)[number]) => volume.extents.diskBytes + (use?.fileBytes ?? 0);
    return {
      memory: { bytes: memory.bytes, budgetBytes: memory.budgetBytes, entries: memory.entries },
      disk: { bytes: sum(bytesOf), budgetBytes: diskBytes, responses: sum(({ use }) => use?.rows ?? 0) },
      volumes: [
        ...uses.map((one) => ({
          path: one.volume.path,
          state: one.volume.why === undefined ? ('good' as const) : ('failed' as const),
          why: one.volume.why,
          bytes: bytesOf(one),
        })),
        ...Array.from(aside, ([path, why]) => ({ path, state: 'failed' as const, why, bytes: 0 })),
      ],
      pinned: sum(({ use }) => use?.pins ?? 0),
      evictedBytes: counts.evictedBytes,
      corruptSlices: counts.corruptSlices,
      refusedWrites: counts.refusedWrites,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#round?.cancel();
    for (const writer of [...this.#writers]) writer.abandon();
    await this.#parts.housekeeping.stop();
    await this.#shelves.settled();
    for (const volume of this.#parts.volumes.all) await volume.close();
    this.#parts.memory.clear();
  }

  #nextRound(): void {
    this.#shelves.nextRound();
    this.#parts.journal.refresh();
  }

  #writer(begun: { response: StoredResponse; partial: boolean; resumes?: Entry }): Writer {
    const writer = new Writer(this.#writerStore, begun);
    this.#writers.add(writer);
    return writer;
  }

  readonly #writerStore: WriterStore = {
    newSlices: (response) => this.#newSlices(response),
    writeSlice: (slices, n, bytes) => this.#writeSlice(slices, n, bytes),
    publish: (entry) => this.#shelves.publish(entry),
    current: (response) => this.#shelves.current(response.key, response.variant),
    tooLarge: (bytes) => bytes > this.#largestBody(),
    closed: () => this.#closing !== undefined,
    ended: (writer) => void this.#writers.delete(writer),
  };

  #largestBody(): number {
    const { volumes, memory, diskBytes } = this.#parts;
    return volumes.good.length === 0 ? memory.budgetBytes / 2 : diskBytes / volumes.all.length / 2;
  }

  #newSlices(response: StoredResponse): DiskSlices | MemorySlices {
    const number = this.#parts.numbers.next();
    const hash = keyHash(response.key);
    const volume = this.#parts.volumes.of(hash);
    if (volume === undefined) return new MemorySlices(this.#parts.memory, number);
    return volume.newBody(number, response);
  }

  async #writeSlice(slices: DiskSlices | MemorySlices, n: number, bytes: Buffer): Promise<WriteOutcome> {
    if (slices instanceof MemorySlices) {
      const outcome = slices.write(n, bytes);
      if (outcome === 'stored') return { kind: 'stored' };
      return { kind: 'refused', why: outcome === 'dropped' ? 'superseded' : 'no-space' };
    }
    const written = await slices.volume.writing(() => slices.write(n, bytes));
    if (written.kind === 'refused') return written;
    return written.value === 'stored' ? { kind: 'stored' } : { kind: 'refused', why: 'superseded' };
  }

  /** A body of one piece from its extent. It is kept where its shelf is in memory: that is its second use. */
  async #readWhole(entry: Entry, again = true): Promise<SliceRead> {
    const { place, volume, response } = entry;
    if (place?.kind !== 'extent' || volume === undefined) return { kind: 'absent', why: 'evicted' };
    const { extents, pool } = volume;
    const name = sharedName(place.extent, place.worker);
    const keep = this.#parts.memory.holds(entry);
    const buffer = keep ? Buffer.allocUnsafeSlow(response.bodyLength) : pool.take();
    const bytes = buffer.subarray(0, response.bodyLength);
    const giveBack = keep ? nothing : pool.releaseOf(buffer);
    const found = await volume.reading(() => extents.read(name, bytes, place.offset));
    const verified = extents.verified(name, place.offset);
    if (found === 'read' && (verified || crc32(bytes) === place.crc)) {
      if (!verified) extents.markVerified(name, place.offset);
      if (keep && this.#parts.memory.holds(entry)) this.#keepBody(entry, bytes);
      return { kind: 'bytes', bytes, release: giveBack };
    }
    giveBack();
    if (found === 'error') return { kind: 'absent', why: 'read-error' };
    if (found === 'absent' && again && this.#moved(entry, volume)) return this.#readWhole(entry, false);
    if (found === 'read') volume.counts.corruptSlices++;
    await this.#dropRow(entry, volume);
    return { kind: 'absent', why: found === 'read' ? 'corrupt' : 'evicted' };
  }

  async #readDiskSlice(entry: Entry, slices: DiskSlices, n: number): Promise<SliceRead> {
    const read = await slices.read(n, entry.response.bodyLength);
    if (read.kind === 'absent') {
      entry.recount();
      if (read.why === 'corrupt') this.#parts.onChange(entry.response.key);
      return read;
    }
    const mark = Math.imul(slices.number % 0xffffffff, 31) + n;
    if (this.#parts.uses.touch(mark) > 0)
      this.#parts.memory.setSlice(slices.number, slices.worker, n, Buffer.from(read.bytes));
    return read;
  }

  #keepBody(entry: Entry, bytes: Buffer): void {
    entry.body = bytes;
    entry.tier = 'memory';
    this.#parts.memory.keep(this.#parts.memory.peek(entry.response.key)!);
  }

  /** The body was appended again elsewhere when its extent was evicted: takes the new place over. */
  #moved(entry: Entry, volume: Volume): boolean {
    const found = volume.find(entry.rowKey!);
    if (found?.row.kind !== 'response' || found.row.response.id !== entry.response.id) return false;
    const { place } = found.row;
    const same = entry.place?.kind === 'extent' && place.kind === 'extent' && place.extent === entry.place.extent;
    if (same) return false;
    entry.place = place;
    entry.version = found.version;
    if (place.kind === 'inline') entry.body = found.row.body;
    return place.kind === 'extent';
  }

  /** The bytes are not what they should be: the row goes, so that the next look-up is a miss. */
  async #dropRow(entry: Entry, volume: Volume): Promise<void> {
    const { key, variant } = entry.response;
    const shelf = this.#parts.memory.peek(key);
    if (shelf?.holds(entry) === true) {
      shelf.set(variant, undefined);
      if (shelf.empty) this.#parts.memory.drop(key);
    }
    const found = volume.find(entry.rowKey!);
    if (found?.row.kind !== 'response' || found.row.response.id !== entry.response.id) return;
    await volume.changing(() => volume.index.removeRowOf(entry.rowKey!, found.version));
    this.#parts.onChange(key);
  }

  #own(entry: StoredEntry): Entry {
    if (!(entry instanceof Entry)) throw new Error('an entry of another store');
    return entry;
  }
}

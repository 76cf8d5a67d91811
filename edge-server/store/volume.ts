/**
 * One volume as one worker sees it: its index, its extents, its state, and what an error on it leads to.
 * Every operation on the disk goes through `look`, `reading`, `changing` or `writing`, which turn errors into
 * outcomes and set the volume aside when its disk is broken. What is stored where is the store's concern.
 */
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { StoredResponse } from '../cache/stored-response.ts';
import type { BufferPool } from './buffer-pool.ts';
import { DiskSlices, type SlicesVolume, type Written } from './disk-slices.ts';
import { Extents } from './extents.ts';
import { errorCode, type Files } from './files.ts';
import { FreeSpace } from './free-space.ts';
import type { Numbers } from './numbers.ts';
import { decodeRow, type Place, type Row } from './row.ts';
import { SharedExtent } from './shared-extent.ts';
import type { Uses } from './uses.ts';
import { keyHash, rowKey, type VolumeIndex } from './volume-index.ts';
import { indexCorrupt, MARKER, type Marker, troubleOf } from './volume-state.ts';

/** What all volumes of a worker count together. */
export interface StoreCounts {
  corruptSlices: number;
  evictedBytes: number;
  refusedWrites: number;
  readErrors: number;
}

export interface VolumeOptions {
  path: string;
  index: VolumeIndex;
  worker: number;
  workers: number;
  files: Files;
  numbers: Numbers;
  pool: BufferPool;
  uses: Uses;
  counts: StoreCounts;
  clock: Clock;
  log: Logger;
  /** What this volume may take on its disk, all workers together. */
  budgetBytes: number;
  extentBytes: number;
  descriptors: number;
  lingerMillis: number;
  onSetAside: (volume: Volume, why: string) => void;
}

export interface FoundRow {
  readonly row: Row;
  readonly version: number;
}

/** Less than this free is full. */
const FULL_BYTES = 1 << 20;

export class Volume implements SlicesVolume {
  readonly options: VolumeOptions;
  readonly path: string;
  readonly worker: number;
  readonly index: VolumeIndex;
  readonly extents: Extents;
  readonly shared: SharedExtent;
  readonly pool: BufferPool;
  readonly files: Files;
  readonly numbers: Numbers;
  readonly counts: StoreCounts;
  readonly writingBodies = new Set<DiskSlices>();
  /** Frees at least some room; false when nothing can go. The evictor puts itself here. */
  makeRoom: () => Promise<boolean> = async () => false;
  /** Called after writes; starts eviction in the background when the budget is near. */
  grown: (writes: number) => Promise<void> | undefined = () => undefined;
  #why: string | undefined;
  #closed = false;
  readonly #space: FreeSpace;
  readonly #bodies = new LRUCache<string, DiskSlices>({ max: 16_384 });

  constructor(options: VolumeOptions) {
    const { path, worker, index, files, numbers, clock, descriptors, lingerMillis, extentBytes } = options;
    this.options = options;
    this.path = path;
    this.worker = worker;
    this.index = index;
    this.files = files;
    this.numbers = numbers;
    this.pool = options.pool;
    this.counts = options.counts;
    this.#space = new FreeSpace(files, path);
    this.extents = new Extents({ directory: join(path, 'extents'), files, clock, descriptors, lingerMillis });
    this.shared = new SharedExtent({ extents: this.extents, numbers, worker, extentBytes });
  }

  /** Why it is set aside; `undefined` while it is good. */
  get why(): string | undefined {
    return this.#why;
  }

  get good(): boolean {
    return this.#why === undefined && !this.#closed;
  }

  /** Files of workers that are no more (fewer workers than in an earlier run) fall to those that there are. */
  ownsWorker(worker: number): boolean {
    return worker % this.options.workers === this.worker;
  }

  /** Whether a row is this worker's to evict and to check: by where its body lies, else by its key. */
  owns(key: Buffer, place: Place | undefined): boolean {
    const byKey = place === undefined || place.kind === 'inline';
    return this.ownsWorker(byKey ? key.readUInt16LE(8) : place.worker);
  }

  /** A row that is one; garbage is counted and is no row. */
  find(rowKey: Buffer): FoundRow | undefined {
    const bytes = this.look(() => this.index.row(rowKey));
    if (bytes === undefined) return undefined;
    const version = this.index.lastVersion();
    const row = decodeRow(bytes);
    if (row !== undefined) return { row, version };
    this.counts.corruptSlices++;
    void this.changing(() => this.index.removeRowOf(rowKey, version));
    return undefined;
  }

  /** The one object that knows a body's slices, for all entries that share them. */
  body(number: number, worker: number, rowKey: Buffer): DiskSlices {
    const name = `${number}.${worker}`;
    let body = this.#bodies.get(name);
    if (body === undefined) {
      body = new DiskSlices(this, { number, worker, rowKey });
      this.#bodies.set(name, body);
    }
    return body;
  }

  /** A new large body for a response. */
  newBody(number: number, response: StoredResponse): DiskSlices {
    return this.body(number, this.worker, this.rowKeyOf(response));
  }

  rowKeyOf(response: StoredResponse): Buffer {
    return rowKey(keyHash(response.key), response.vary, response.variant);
  }

  /** Another worker has changed something: bodies are read from the index again. */
  refreshBodies(shelf: Buffer): void {
    for (const body of this.#bodies.values())
      if (body.rowKey.compare(shelf, 0, shelf.length, 0, shelf.length) === 0) body.refresh();
  }

  /** A synchronous read of the index; an error is a miss. */
  look<T>(read: () => T): T | undefined {
    if (!this.good) return undefined;
    try {
      return read();
    } catch (error) {
      this.counts.readErrors++;
      this.#judge(error);
      return undefined;
    }
  }

  /** A read of an extent. A disk that answers with an error is broken; the reader is told, not rejected. */
  async reading(read: () => Promise<'read' | 'absent'>): Promise<'read' | 'absent' | 'error'> {
    if (!this.good) return 'absent';
    try {
      return await read();
    } catch (error) {
      this.counts.readErrors++;
      this.#judge(error);
      return 'error';
    }
  }

  /** A change of the index that nobody waits for the outcome of: a removal, a correction. */
  async changing(change: () => Promise<unknown>): Promise<boolean> {
    if (!this.good) return false;
    try {
      await change();
      return true;
    } catch (error) {
      await this.#judgeWrite(error);
      return false;
    }
  }

  /** A write, or so many together: without room it evicts and tries once more, then it is refused. */
  async writing<T>(write: () => Promise<T>, writes = 1): Promise<Written<T>> {
    for (let attempt = 1; this.good; attempt++) {
      try {
        await this.grown(writes);
        if (await this.#space.full(writes))
          throw Object.assign(new Error('the reserve is touched'), { code: 'ENOSPC' });
        const value = await write();
        return { kind: 'done', value };
      } catch (error) {
        const trouble = await this.#judgeWrite(error);
        if (trouble !== 'no-space') break;
        if (attempt > 1 || !(await this.makeRoom())) return this.#refused('no-space');
        await this.#space.look();
      }
    }
    return this.#refused('volume-failed');
  }

  /** Sets the volume aside: nothing is read from it or written to it until an operator has looked. */
  setAside(why: string, fault: Marker['fault'] = 'disk'): void {
    if (!this.good) return;
    this.#why = why;
    this.options.log.error({ volume: this.path, because: why }, 'volume set aside');
    const marker: Marker = { because: why, fault, at: new Date(this.options.clock.now()).toISOString() };
    const text = `${JSON.stringify(marker)}\n`;
    // A disk that refuses the marker is set aside in this run all the same, and fails its first check in the next.
    this.files.writeText(join(this.path, MARKER), text).catch(() => undefined);
    this.options.onSetAside(this, why);
  }

  async close(): Promise<void> {
    await this.shared.drained();
    // From here on nothing is read or written, and what fails because of it says nothing about the disk.
    this.#closed = true;
    await this.extents.close();
    await this.index.close();
  }

  #refused(why: 'no-space' | 'volume-failed'): Written<never> {
    this.counts.refusedWrites++;
    return { kind: 'refused', why };
  }

  /** A disk that fills up in the middle of a page is an input/output error to LMDB: the file system knows better. */
  async #judgeWrite(error: unknown): Promise<ReturnType<typeof troubleOf>> {
    if (troubleOf(error) === 'broken') {
      const free = await this.files.space(this.path).then(
        ({ freeBytes }) => freeBytes,
        () => Number.POSITIVE_INFINITY,
      );
      if (free < FULL_BYTES) return 'no-space';
    }
    return this.#judge(error);
  }

  #judge(error: unknown): ReturnType<typeof troubleOf> {
    const trouble = troubleOf(error);
    if (trouble === 'broken')
      this.setAside(`${errorCode(error)}: ${(error as Error).message}`, indexCorrupt(error) ? 'index' : 'disk');
    else this.options.log.warn({ volume: this.path, because: errorCode(error) }, `volume ${trouble}`);
    return trouble;
  }
}

/**
 * The index of one volume: an LMDB environment in `index/`, opened once by each process, read by all of them and
 * written by each key's owner. It owns keys, batching and the environment's life; what rows mean is `row.ts`.
 *
 * LMDB runs with `overlappingSync`, its default here: a commit is visible at once and flushed behind it, off the
 * event loop. Killing the process loses no commit; after a power cut (another boot id) LMDB opens at the newest
 * commit that was flushed whole, so that the tree itself is never torn, and the rows' checksums guard the rest.
 */
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type Database, getLastVersion, open, type RootDatabase } from 'lmdb';
import { segmentKey } from './segment.ts';

/** Stands for a segment's number in the key of a shared extent. */
const SHARED = 0xffffffff;
const REGISTERED = Buffer.from([1]);
const KEY_HASH_BYTES = 16;
const VARIANT_HASH_BYTES = 8;

/** The first 16 bytes of a cache key's SHA-256: names a shelf in the index. */
export function keyHash(key: string): Buffer {
  return hash('sha256', key, 'buffer').subarray(0, KEY_HASH_BYTES);
}

/** A response's place in the index: its key's hash, and its variant's behind it where responses vary. */
export function rowKey(shelf: Buffer, vary: readonly string[], variant: string): Buffer {
  if (vary.length === 0) return shelf;
  return Buffer.concat([shelf, hash('sha256', variant, 'buffer').subarray(0, VARIANT_HASH_BYTES)]);
}

/** The shelf that a row belongs to. */
export function shelfOf(row: Buffer): Buffer {
  return row.subarray(0, KEY_HASH_BYTES);
}

export interface IndexUse {
  /** Length of the file. It never shrinks; freed pages are used again. */
  fileBytes: number;
  /** Bytes in pages that hold something. */
  usedBytes: number;
  rows: number;
  pins: number;
}

export interface PurgeRows {
  put(key: Buffer, text: string): void;
  remove(key: Buffer): void;
}

export class VolumeIndex {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #rows: Database<Buffer, Buffer>;
  readonly #segments: Database<Buffer, Buffer>;
  readonly #pins: Database<Buffer, Buffer>;
  readonly #purges: Database<Buffer, Buffer>;
  #closed = false;

  /** Opens or makes the index under a volume's directory. Throws what LMDB throws when the file is not one of its own. */
  constructor(directory: string, readOnly = false) {
    const path = join(directory, 'index');
    // Without `eventTurnBatching`: with it lmdb begins each batch with a write of its own whose failed commit nobody can
    // catch, so that a full disk would end the process.
    const batching = { eventTurnBatching: false } as object;
    this.#root = open<Buffer, Buffer>({ path, maxDbs: 8, maxReaders: 512, noMemInit: true, readOnly, ...batching });
    const options = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const;
    this.#rows = this.#root.openDB('rows', { ...options, useVersions: true });
    this.#segments = this.#root.openDB('segments', { ...options, useVersions: true });
    this.#pins = this.#root.openDB('pins', options);
    this.#purges = this.#root.openDB('purges', options);
    // Slots of readers that were killed would run out in the end.
    if (!readOnly) this.#root.readerCheck();
  }

  /** Reads from here on see what others have committed up to now, not what was so at the beginning of this turn. */
  renew(): void {
    this.#root.resetReadTxn();
  }

  /** A row's bytes, its version through `lastVersion`. The buffer is the caller's own. */
  row(key: Buffer): Buffer | undefined {
    return this.#rows.getBinary(key);
  }

  /** Whether there is a row, whatever it says. */
  has(key: Buffer): boolean {
    return this.#rows.doesExist(key);
  }

  /** Version of the row or segment that was read last. */
  lastVersion(): number {
    return getLastVersion();
  }

  /** Resolves once it is visible to every process. Puts are committed in their order, many in one transaction. */
  async putRow(key: Buffer, row: Buffer, version: number): Promise<void> {
    await committed(this.#rows.put(key, row, version));
  }

  /** The same for many rows, in one transaction where they fit. */
  async putRows(rows: readonly { key: Buffer; row: Buffer; version: number }[]): Promise<void> {
    // Unconditional puts of one transaction share a promise.
    const commits: Promise<boolean>[] = [];
    for (const { key, row, version } of rows) {
      const commit = this.#rows.put(key, row, version);
      if (commit !== commits.at(-1)) commits.push(commit);
    }
    await Promise.all(commits.map(committed));
  }

  /** Puts only over the given version; false when the row has changed meanwhile. */
  putRowOver(key: Buffer, row: Buffer, version: number, over: number): Promise<boolean> {
    return committed(this.#rows.put(key, row, version, over));
  }

  async removeRow(key: Buffer): Promise<void> {
    await committed(this.#rows.remove(key));
  }

  /** Removes only the given version; false when the row has changed meanwhile. */
  removeRowOf(key: Buffer, version: number): Promise<boolean> {
    return committed(this.#rows.remove(key, version));
  }

  /** The keys of a shelf's rows: its head, then its variants. */
  shelfRows(shelf: Buffer): Buffer[] {
    const end = Buffer.concat([shelf, Buffer.alloc(VARIANT_HASH_BYTES + 1, 0xff)]);
    return Array.from(this.#rows.getKeys({ start: shelf, end }), (key) => Buffer.from(key));
  }

  /** Up to `limit` rows in order of their keys, from `start` on; each with its own copy of the bytes. */
  rowsFrom(start: Buffer, limit: number): { key: Buffer; row: Buffer; version: number }[] {
    const found: { key: Buffer; row: Buffer; version: number }[] = [];
    for (const { key, value, version } of this.#rows.getRange({
      start,
      limit,
      versions: true,
      snapshot: false,
    } as object))
      found.push({ key: Buffer.from(key), row: Buffer.from(value), version: version ?? 0 });
    return found;
  }

  segment(key: Buffer): Buffer | undefined {
    return this.#segments.getBinary(key);
  }

  async putSegment(key: Buffer, segment: Buffer, version: number): Promise<void> {
    await committed(this.#segments.put(key, segment, version));
  }

  putSegmentOver(key: Buffer, segment: Buffer, version: number, over: number): Promise<boolean> {
    return committed(this.#segments.put(key, segment, version, over));
  }

  async removeSegment(key: Buffer): Promise<void> {
    await committed(this.#segments.remove(key));
  }

  /** Notes that rows name an extent: one that is not noted holds nothing that anybody can reach. */
  async registerExtent(extent: { number: number; worker: number; registered: boolean }): Promise<void> {
    await committed(this.#segments.put(segmentKey(extent.number, extent.worker, SHARED), REGISTERED, 1));
    extent.registered = true;
  }

  registered(number: number, worker: number): boolean {
    return this.#segments.doesExist(segmentKey(number, worker, SHARED));
  }

  async unregisterExtent(number: number, worker: number): Promise<void> {
    await committed(this.#segments.remove(segmentKey(number, worker, SHARED)));
  }

  pinned(shelf: Buffer): boolean {
    return this.#pins.doesExist(shelf);
  }

  async pin(shelf: Buffer, key: string, pinned: boolean): Promise<void> {
    await committed(pinned ? this.#pins.put(shelf, Buffer.from(key)) : this.#pins.remove(shelf));
  }

  /** The purge log's rows with keys from `from` on, in order. */
  purges(from: Buffer): { key: Buffer; text: string }[] {
    return Array.from(this.#purges.getRange({ start: from }), ({ key, value }) => ({
      key: Buffer.from(key),
      text: value.toString(),
    }));
  }

  purge(key: Buffer): string | undefined {
    return this.#purges.getBinary(key)?.toString();
  }

  /**
   * Runs one transaction over the purge log, alone among all processes; visible when it returns, flushed behind:
   * await `flushed` for durability. Rare and short, so it may be synchronous.
   */
  changePurges(change: (log: PurgeRows) => void): void {
    this.#root.transactionSync(
      () =>
        change({
          put: (key, text) => this.#purges.putSync(key, Buffer.from(text)),
          remove: (key) => void this.#purges.removeSync(key),
        }),
      // lmdb's flags: 0x10000 does not wait for the flush, 1 lets a throw abort.
      0x10000 | 1,
    );
  }

  /** Resolves when everything committed so far is on the disk. */
  async flushed(): Promise<void> {
    await this.#root.flushed;
  }

  use(): IndexUse {
    const all = [this.#rows, this.#segments, this.#pins, this.#purges].map((one) => one.getStats() as TreeStats);
    const pages = all.reduce(
      (sum, tree) => sum + tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages,
      0,
    );
    return {
      fileBytes:
        ((this.#root.getStats() as TreeStats & { lastPageNumber: number }).lastPageNumber + 1) * all[0]!.pageSize,
      usedBytes: pages * all[0]!.pageSize,
      rows: all[0]!.entryCount,
      pins: all[2]!.entryCount,
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#root.close();
  }
}

/** How long lmdb may take to say why a commit failed. */
const REASON_MILLIS = 1000;

/**
 * The outcome of a commit. lmdb rejects with an error whose `commitError` is a promise that rejects with the reason a
 * moment later: left alone it would end the process as an unhandled rejection.
 */
async function committed(commit: Promise<boolean>): Promise<boolean> {
  try {
    return await commit;
  } catch (error) {
    const reason = (error as { commitError?: Promise<unknown> }).commitError;
    if (reason === undefined) throw error;
    const late = setTimeout(REASON_MILLIS, error, { ref: false });
    throw await Promise.race([
      reason.then(
        () => error,
        (why: unknown) => why,
      ),
      late,
    ]);
  }
}

interface TreeStats {
  pageSize: number;
  treeBranchPageCount: number;
  treeLeafPageCount: number;
  overflowPages: number;
  entryCount: number;
}

/**
 * Keeps one volume within its budget, for the extents and the rows that this worker owns: extents go as a whole,
 * after what is still wanted has been appended again; bodies that live in the index go row by row, as a clock hand
 * passes over them (second chance). It runs behind the writes and holds them up only when the budget is used up.
 */
import { crc32 } from 'node:zlib';
import type { Entry } from './entry.ts';
import { victim } from './eviction.ts';
import type { Extent } from './extents.ts';
import type { MemoryTier } from './memory-tier.ts';
import { encodeResponse, type ResponseRow } from './row.ts';
import { Segment, segmentKey } from './segment.ts';
import { decodeRecordHead, RECORD_HEAD_BYTES, type RecordHead } from './shared-extent.ts';
import type { Volume } from './volume.ts';
import { shelfOf } from './volume-index.ts';

export interface EvictorOptions {
  volume: Volume;
  memory: MemoryTier;
  /** Part of the budget that rows and the bodies in them may take. */
  indexShare: number;
}

/** Part of an extent that is appended again at most, pins aside: else eviction would only move bytes about. */
const KEPT_PART = 1 / 4;
/** Uses that keep a body when its extent goes. */
const WANTED_USES = 2;
/** Part of the index that goes when the disk is full and nothing else can. */
const SHRINK_PART = 1 / 20;
/** Rows looked at in one step of the clock hand. */
const HAND_ROWS = 64;
/** Writes between two looks at what the index takes. */
const INDEX_EVERY = 256;

interface Survivor {
  readonly row: ResponseRow;
  readonly version: number;
  readonly body: Buffer;
}

export class Evictor {
  readonly #volume: Volume;
  readonly #memory: MemoryTier;
  #indexBudget: number;
  /** Extents that turned out to be all pinned. */
  readonly #passed = new Set<string>();
  #running: Promise<boolean> | undefined;
  #indexRunning: Promise<void> | undefined;
  #hand: Buffer = Buffer.alloc(1);
  #indexBytes = 0;
  #writes = 0;
  #victims = 0;
  #stopped = false;

  constructor(options: EvictorOptions) {
    this.#volume = options.volume;
    this.#memory = options.memory;
    this.#indexBudget = options.volume.options.budgetBytes * options.indexShare;
  }

  /** Puts itself behind the volume's writes. */
  start(): void {
    this.#measureIndex();
    this.#volume.grown = (writes) => this.#grown(writes);
    this.#volume.makeRoom = async () => {
      this.#volume.extents.letGoAll();
      return (await this.#evictOne()) || (await this.#shrinkIndex());
    };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await this.#indexRunning;
  }

  /** What this worker's extents may take: its part of what the index leaves. */
  get extentBudget(): number {
    const { budgetBytes, workers } = this.#volume.options;
    return Math.max(0, budgetBytes - this.#indexBytes) / workers;
  }

  /** Evicts until the budget holds again. */
  async settle(): Promise<void> {
    this.#measureIndex();
    while (this.#over(0) && (await this.#evictOne()));
    await this.#passHand();
  }

  #grown(writes: number): Promise<void> | undefined {
    this.#writes += writes;
    if (this.#writes >= INDEX_EVERY) {
      this.#writes = 0;
      this.#measureIndex();
      if (this.#indexRunning === undefined && this.#indexUsed > this.#indexBudget) {
        this.#indexRunning = this.#passHand().finally(() => (this.#indexRunning = undefined));
      }
    }
    const reserve = this.#volume.options.extentBytes;
    if (!this.#over(reserve) || this.#stopped) return undefined;
    const running = this.#evictOne();
    return this.#over(0) ? running.then(() => undefined) : undefined;
  }

  #over(reserve: number): boolean {
    return this.#volume.extents.diskBytes + reserve > this.extentBudget;
  }

  #indexUsed = 0;

  #measureIndex(): void {
    const use = this.#volume.look(() => this.#volume.index.use());
    if (use === undefined) return;
    this.#indexBytes = use.fileBytes;
    this.#indexUsed = use.usedBytes;
  }

  /** Evicts one extent, one at a time however many ask. False when none can go. */
  #evictOne(): Promise<boolean> {
    this.#running ??= this.#evict().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #evict(): Promise<boolean> {
    const { extents } = this.#volume;
    const written = new Set(Array.from(this.#volume.writingBodies, (body) => body.number));
    const passed = (one: Extent) => this.#passed.has(one.name) || (one.kind === 'large' && written.has(one.number));
    const next = () => victim(extents.owned.values(), passed);
    let extent = next();
    if (extent === undefined && this.#passed.size > 0) {
      // Pins may have gone since: everything is looked at again the next time.
      this.#passed.clear();
      extent = next();
    }
    if (extent === undefined || this.#stopped) return false;
    if (++this.#victims % 64 === 0) for (const one of extents.owned.values()) one.uses >>= 1;
    const gone = extent.kind === 'shared' ? await this.#evictShared(extent) : await this.#evictLarge(extent);
    if (!gone) this.#passed.add(extent.name);
    return gone;
  }

  /** Drops a shared extent, after what is wanted has been appended again. False when most of it is pinned. */
  async #evictShared(extent: Extent): Promise<boolean> {
    const { index, extents, counts } = this.#volume;
    const kept: Survivor[] = [];
    const dropped: { key: Buffer; version: number; bytes: number }[] = [];
    let keptBytes = 0;
    let pinnedBytes = 0;
    for await (const { head, offset } of this.#records(extent)) {
      const found = this.#volume.find(head.rowKey);
      if (found?.row.kind !== 'response') continue;
      const { place, response } = found.row;
      if (place.kind !== 'extent' || place.extent !== extent.number || place.offset !== offset) continue;
      const pinned = this.#pinned(head.rowKey);
      if (pinned) pinnedBytes += head.bodyLength;
      const keep = pinned || (this.#wanted(head.rowKey, found.row) && keptBytes < extent.bodyBytes * KEPT_PART);
      const body = keep ? await this.#read(extent, head, offset) : undefined;
      if (body === undefined) dropped.push({ key: head.rowKey, version: found.version, bytes: response.bodyLength });
      else {
        kept.push({ row: found.row, version: found.version, body });
        keptBytes += head.bodyLength;
      }
    }
    if (pinnedBytes > extent.bodyBytes / 2) return false;
    await Promise.all(kept.map((one) => this.#appendAgain(one)));
    await Promise.all(
      dropped.map(async ({ key, version, bytes }) => {
        await this.#volume.changing(() => index.removeRowOf(key, version));
        counts.evictedBytes += bytes;
      }),
    );
    await extents.unlink(extent.name);
    await this.#volume.changing(() => index.unregisterExtent(extent.number, extent.worker));
    return true;
  }

  /** Drops 64 slices of a large body, and its row with the last of them. */
  async #evictLarge(extent: Extent): Promise<boolean> {
    const { index, counts } = this.#volume;
    const { number, worker, segment } = extent;
    const row = this.#volume.look(() => index.segment(segmentKey(number, worker, segment)));
    const rowKey = (row === undefined ? undefined : Segment.decode(row))?.rowKey;
    if (rowKey === undefined) {
      await this.#volume.extents.unlink(extent.name);
      return true;
    }
    if (this.#pinned(rowKey)) return false;
    const body = this.#volume.body(number, worker, rowKey);
    counts.evictedBytes += extent.diskBytes;
    await body.dropSegment(segment);
    const found = this.#volume.find(rowKey);
    if (found?.row.kind !== 'response' || found.row.place.kind !== 'sliced' || found.row.place.body !== number)
      return true;
    this.#inMemory(found.row)?.recount();
    if (!body.any(found.row.response.bodyLength))
      await this.#volume.changing(() => index.removeRowOf(rowKey, found.version));
    return true;
  }

  async #appendAgain({ row, version, body }: Survivor): Promise<void> {
    const { volume, key } = { volume: this.#volume, key: row.response.key };
    const rowKey = volume.rowKeyOf(row.response);
    const crc = crc32(body);
    try {
      const { extent, offset } = await volume.shared.append(rowKey, body, crc);
      const place = { kind: 'extent', extent: extent.number, worker: extent.worker, offset, crc } as const;
      const bytes = encodeResponse(row.response, place);
      if (!extent.registered) await volume.index.registerExtent(extent);
      const put = await volume.index.putRowOver(rowKey, bytes, volume.numbers.next(), version);
      if (!put) extent.deadBytes += body.length;
      extent.busy--;
      const entry = this.#inMemory(row);
      if (put && entry?.response.id === row.response.id) Object.assign(entry, { place });
    } catch {
      // No room to keep it: it goes with its extent, as if it were not wanted.
      await volume.changing(() => volume.index.removeRowOf(rowKey, version));
      volume.counts.evictedBytes += row.response.bodyLength;
      this.#memory.drop(key);
    }
  }

  /** The records of an extent, up to the end of what was written whole. */
  async *#records(extent: Extent): AsyncGenerator<{ head: RecordHead; offset: number }> {
    const bytes = Buffer.alloc(RECORD_HEAD_BYTES);
    for (let at = 0; ; ) {
      const read = await this.#volume.reading(() => this.#volume.extents.read(extent.name, bytes, at, 'upkeep'));
      const head = read === 'read' ? decodeRecordHead(bytes) : undefined;
      if (head === undefined) return;
      yield { head, offset: at + RECORD_HEAD_BYTES };
      at += RECORD_HEAD_BYTES + head.bodyLength;
    }
  }

  async #read(extent: Extent, head: RecordHead, offset: number): Promise<Buffer | undefined> {
    const body = Buffer.allocUnsafeSlow(head.bodyLength);
    const read = await this.#volume.reading(() => this.#volume.extents.read(extent.name, body, offset, 'upkeep'));
    return read === 'read' && crc32(body) === head.crc ? body : undefined;
  }

  #pinned(rowKey: Buffer): boolean {
    return this.#volume.look(() => this.#volume.index.pinned(shelfOf(rowKey))) === true;
  }

  /** Asked for lately; whoever stays by it must be asked for again to stay once more. */
  #wanted(rowKey: Buffer, row: ResponseRow): boolean {
    const { uses } = this.#volume.options;
    const hash = rowKey.readUInt32LE(0);
    const shelf = this.#memory.peek(row.response.key);
    const count = uses.count(hash) + (shelf?.uses ?? 0);
    uses.spend(hash);
    if (shelf !== undefined) shelf.uses >>= 1;
    return count >= WANTED_USES;
  }

  #inMemory(row: ResponseRow): Entry | undefined {
    return this.#memory.peek(row.response.key)?.known(row.response.variant);
  }

  /** The disk is fuller than the budget knows, and no extent is left to go: some rows make room for others. */
  async #shrinkIndex(): Promise<boolean> {
    const before = this.#volume.counts.evictedBytes;
    this.#measureIndex();
    this.#indexBudget = Math.min(this.#indexBudget, this.#indexUsed * (1 - SHRINK_PART));
    this.#indexRunning ??= this.#passHand().finally(() => {
      this.#indexRunning = undefined;
    });
    await this.#indexRunning;
    return this.#volume.counts.evictedBytes > before;
  }

  /** Moves the hand over the rows until the index is within its budget, or it has been all the way around twice. */
  async #passHand(): Promise<void> {
    for (let rounds = 0; rounds < 2 && this.#indexUsed > this.#indexBudget && !this.#stopped; ) {
      const rows = this.#volume.look(() => this.#volume.index.rowsFrom(this.#hand, HAND_ROWS)) ?? [];
      await Promise.all(rows.map((row) => this.#passOver(row, rounds > 0)));
      const last = rows.at(-1);
      if (rows.length < HAND_ROWS || last === undefined) {
        rounds++;
        this.#hand = Buffer.alloc(1);
      } else this.#hand = Buffer.concat([last.key, Buffer.alloc(1)]);
      this.#measureIndex();
    }
  }

  async #passOver(at: { key: Buffer; version: number }, again: boolean): Promise<void> {
    const found = this.#volume.find(at.key);
    if (found === undefined || found.version !== at.version) return;
    const { row } = found;
    if (!this.#volume.owns(at.key, row.kind === 'response' ? row.place : undefined)) return;
    if (row.kind === 'vary') {
      if (this.#volume.index.shelfRows(at.key).length === 1)
        await this.#volume.changing(() => this.#volume.index.removeRowOf(at.key, at.version));
      return;
    }
    if (row.place.kind !== 'inline' || this.#pinned(at.key) || (this.#wanted(at.key, row) && !again)) return;
    await this.#volume.changing(() => this.#volume.index.removeRowOf(at.key, at.version));
    this.#volume.counts.evictedBytes += row.response.bodyLength;
  }
}

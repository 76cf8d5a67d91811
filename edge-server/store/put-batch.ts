/**
 * New responses on their way to one volume, many at a time: while one batch is written and committed the next gathers.
 * Bodies first, in one write, then their rows, in one transaction. For keys that have no row yet, the common miss;
 * everything that replaces something goes one by one through `shelf-rows.ts`.
 */
import { crc32 } from 'node:zlib';
import type { WriteOutcome } from './contract.ts';
import type { Entry, KeyShelf } from './entry.ts';
import type { Extent } from './extents.ts';
import type { Place } from './row.ts';
import type { Appended } from './shared-extent.ts';
import { encoded } from './shelf-rows.ts';
import type { Volume } from './volume.ts';

/** Rows in one transaction at most, and bytes of their bodies: a failed write costs no more than these. */
const MOST_PUTS = 64;
const MOST_BYTES = 2 << 20;

export interface Put {
  readonly shelf: KeyShelf;
  readonly entry: Entry;
  /** Still the one under its key: asked just before its row is written. */
  wanted(): boolean;
  /** Called once, never before `add` returns. With `stored` the entry has its place. */
  done(outcome: WriteOutcome): void;
}

interface Placed {
  readonly put: Put;
  readonly place: Place;
  readonly row: Buffer;
  readonly version: number;
  readonly extent: Extent | undefined;
}

interface AppendedBody extends Appended {
  readonly crc: number;
}

const STORED: WriteOutcome = { kind: 'stored' };
const INLINE: Place = { kind: 'inline' };

export class PutBatch {
  readonly #volume: Volume;
  readonly #inlineBytes: number;
  #queue: Put[] = [];
  #running: Promise<void> | undefined;

  constructor(volume: Volume, inlineBytes: number) {
    this.#volume = volume;
    this.#inlineBytes = inlineBytes;
  }

  add(put: Put): void {
    this.#queue.push(put);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // Lets the rest of this turn of the event loop join the first batch.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) await this.#write(this.#next());
    this.#running = undefined;
  }

  #next(): Put[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < MOST_PUTS && bytes < MOST_BYTES)
      bytes += this.#queue[count++]!.entry.response.bodyLength;
    return count === this.#queue.length ? this.#take() : this.#queue.splice(0, count);
  }

  #take(): Put[] {
    const all = this.#queue;
    this.#queue = [];
    return all;
  }

  async #write(puts: readonly Put[]): Promise<void> {
    const volume = this.#volume;
    const appended = new Map<Put, AppendedBody | 'failed'>();
    await this.#append(puts, appended);
    let placed: Placed[] = [];
    const told = new Set<Put>();
    const tell = (put: Put, outcome: WriteOutcome) => {
      if (told.has(put)) return;
      told.add(put);
      put.done(outcome);
    };
    const written = await volume.writing(async () => {
      placed = [];
      for (const put of puts) {
        if (told.has(put)) continue;
        const outcome = this.#placed(put, appended.get(put));
        if ('put' in outcome) placed.push(outcome);
        else tell(put, outcome);
      }
      const rows = placed.map(({ put, row, version }) => ({ key: put.shelf.hash, row, version }));
      await Promise.all([volume.index.putRows(rows), this.#register(placed)]);
    }, puts.length);
    const stored = written.kind === 'done';
    for (const { put, place, version, extent } of placed) {
      if (extent !== undefined) {
        extent.busy--;
        if (!stored) extent.deadBytes += put.entry.response.bodyLength;
      }
      if (stored) Object.assign(put.entry, { place, volume, rowKey: put.shelf.hash, version });
    }
    const outcome = written.kind === 'done' ? STORED : written;
    const tried = new Set(placed.map(({ put }) => put));
    for (const put of puts) {
      if (!told.has(put) && !tried.has(put)) this.#leave(appended.get(put), put);
      tell(put, outcome);
    }
  }

  /** Appends the bodies that are too large for their rows. */
  async #append(puts: readonly Put[], appended: Map<Put, AppendedBody | 'failed'>): Promise<void> {
    const larger = puts.filter(({ entry }) => entry.response.bodyLength > this.#inlineBytes);
    if (larger.length === 0) return;
    const { shared } = this.#volume;
    await Promise.all(
      larger.map(async (put) => {
        const body = put.entry.body!;
        const crc = crc32(body);
        const written = await this.#volume.writing(() => shared.append(put.shelf.hash, body, crc));
        appended.set(put, written.kind === 'done' ? { ...written.value, crc } : 'failed');
      }),
    );
  }

  #placed(put: Put, appended: AppendedBody | 'failed' | undefined): Placed | WriteOutcome {
    const { entry } = put;
    if (appended === 'failed') return { kind: 'refused', why: this.#volume.good ? 'no-space' : 'volume-failed' };
    if (!put.wanted()) {
      this.#leave(appended, put);
      return { kind: 'refused', why: 'superseded' };
    }
    const extent = appended?.extent;
    const place: Place =
      appended === undefined
        ? INLINE
        : {
            kind: 'extent',
            extent: appended.extent.number,
            worker: appended.extent.worker,
            offset: appended.offset,
            crc: appended.crc,
          };
    const row = encoded(entry, place, appended === undefined ? entry.body : undefined);
    if (row !== undefined) return { put, place, row, version: this.#volume.numbers.next(), extent };
    this.#leave(appended, put);
    return { kind: 'refused', why: 'too-large' };
  }

  /** What was appended for a row that will not be is dead space. */
  #leave(appended: AppendedBody | 'failed' | undefined, put: Put): void {
    if (appended === undefined || appended === 'failed') return;
    appended.extent.busy--;
    appended.extent.deadBytes += put.entry.response.bodyLength;
  }

  async #register(placed: readonly Placed[]): Promise<void> {
    const fresh = new Set<Extent>();
    for (const { extent } of placed) if (extent !== undefined && !extent.registered) fresh.add(extent);
    await Promise.all(Array.from(fresh, (extent) => this.#volume.index.registerExtent(extent)));
  }
}

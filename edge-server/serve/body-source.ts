/**
 * Where the bytes of one representation come from, for a reader that walks through it: a live body that is arriving,
 * the store, or a fetch of the missing slices. Never two versions: everything here belongs to one `StoredResponse.id`.
 */

import type { StoredResponse } from '../cache/stored-response.ts';
import type { Store, StoredEntry } from '../store/contract.ts';
import { SLICE_BYTES } from '../store/contract.ts';
import type { LiveBody } from './live-body.ts';
import type { Reader } from './reader.ts';

/** Something that can fetch missing slices of a stored response; absent where there is no strong validator to hold on to. */
export interface SliceFetcher {
  /**
   * Fetches from slice `n` on, at most to byte `end`, joining a fetch of the same slice that is under way.
   * `undefined`: it can't be fetched without mixing versions.
   */
  fetchSlices(response: StoredResponse, n: number, end: number): LiveBody | undefined;
  /** The live body of a response while something is arriving for it. */
  liveBody(id: string): LiveBody | undefined;
}

export type Piece =
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly release: (() => void) | undefined }
  | { readonly kind: 'later'; readonly until: Promise<void> }
  | { readonly kind: 'end' }
  | { readonly kind: 'lost'; readonly why: string };

/** How often a walk asks for the same missing slice before it gives up. */
const FETCHES_PER_SLICE = 2;

export class BodySource {
  readonly response: StoredResponse;
  readonly #store: Store;
  readonly #fetcher: SliceFetcher;
  #entry: StoredEntry | undefined;
  #live: LiveBody | undefined;
  #reader: Reader | undefined;
  #lastMissing = -1;
  #fetches = 0;

  constructor(options: {
    response: StoredResponse;
    store: Store;
    fetcher: SliceFetcher;
    entry?: StoredEntry | undefined;
    live?: LiveBody | undefined;
    from: number;
  }) {
    this.response = options.response;
    this.#store = options.store;
    this.#fetcher = options.fetcher;
    this.#entry = options.entry;
    if (options.live !== undefined) this.#follow(options.live, options.from);
  }

  /** The next bytes at `at`, at most to byte `end` (Infinity while the length is unknown) and to the end of their slice. */
  piece(at: number, end: number): Piece | Promise<Piece> {
    if (at >= end) return { kind: 'end' };
    const live = this.#live;
    if (live !== undefined) {
      if (this.#reader !== undefined) this.#reader.at = at;
      const found = live.piece(at, end);
      switch (found.kind) {
        case 'bytes':
          return { kind: 'bytes', bytes: found.bytes, release: undefined };
        case 'later':
          return { kind: 'later', until: live.progress() };
        case 'end':
          return found;
        case 'elsewhere':
          break;
      }
    }
    const entry = this.#stored();
    if (entry === undefined) return this.#fetch(at, end, 'not-stored');
    return this.#read(entry, at, end);
  }

  /** Ends a wait of this reader (and, harmlessly, of others of the same live body). */
  wake(): void {
    this.#live?.flush();
  }

  /** Must be called when the walk is over, in whatever way. */
  close(): void {
    if (this.#reader !== undefined) this.#live?.readers.leave(this.#reader);
    this.#reader = undefined;
  }

  #stored(): StoredEntry | undefined {
    if (this.#entry !== undefined) return this.#entry;
    const { key, variant, id } = this.response;
    const entry = this.#store.shelf(key)?.variant(variant);
    if (entry?.response.id === id) this.#entry = entry;
    return this.#entry;
  }

  #read(entry: StoredEntry, at: number, end: number): Piece | Promise<Piece> {
    const n = Math.floor(at / SLICE_BYTES);
    const found = this.#store.readSlice(entry, n);
    if (found instanceof Promise) return found.then((read) => this.#cut(read, n, at, end));
    return this.#cut(found, n, at, end);
  }

  #cut(read: Awaited<ReturnType<Store['readSlice']>>, n: number, at: number, end: number): Piece {
    if (read.kind === 'absent') return this.#fetch(at, end, read.why);
    const from = at - n * SLICE_BYTES;
    const to = Math.min(read.bytes.length, end - n * SLICE_BYTES);
    if (to <= from) {
      read.release();
      return { kind: 'end' };
    }
    const whole = from === 0 && to === read.bytes.length;
    return { kind: 'bytes', bytes: whole ? read.bytes : read.bytes.subarray(from, to), release: read.release };
  }

  #fetch(at: number, end: number, why: string): Piece {
    const n = Math.floor(at / SLICE_BYTES);
    this.#fetches = n === this.#lastMissing ? this.#fetches + 1 : 1;
    this.#lastMissing = n;
    if (this.#fetches > FETCHES_PER_SLICE) return { kind: 'lost', why };
    const live = this.#fetcher.fetchSlices(this.response, n, end);
    if (live === undefined) return { kind: 'lost', why };
    if (live !== this.#live) this.#follow(live, at);
    // An entry looked up before may not show slices that arrive from now on.
    this.#entry = undefined;
    return { kind: 'later', until: live.progress() };
  }

  #follow(live: LiveBody, at: number): void {
    this.close();
    this.#live = live;
    this.#reader = live.readers.follow(at);
  }
}

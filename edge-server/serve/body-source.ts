/**
 * Where the bytes of one representation come from, for a reader that walks through it: a live body that is arriving,
 * the store, or a fetch of the missing slices. Never two versions: everything here belongs to one `StoredResponse.id`.
 */

import type { StoredResponse } from '../cache/stored-response.ts';
import type { Store, StoredEntry } from '../store/contract.ts';
import { SLICE_BYTES } from '../store/contract.ts';
import type { Ask } from './context.ts';
import type { LiveBody } from './live-body.ts';
import type { Reader } from './reader.ts';

/** Something that can fetch missing slices of a stored response; absent where there is no strong validator to hold on to. */
export interface SliceFetcher {
  /**
   * Fetches from slice `n` on, at most to byte `end`, joining a fetch of the same slice that is under way.
   * `undefined`: it can't be fetched without mixing versions.
   */
  fetchSlices(ask: Ask, response: StoredResponse, n: number, end: number): Arriving | undefined;
  /** Announces a body that is arriving, so that others follow it; returns what ends that. */
  list(response: StoredResponse, arriving: Arriving): () => void;
  /** The upstream has another version now: nothing of this one may be found any more. */
  supersede(response: StoredResponse): void;
  /** Whether that was said of a body that is still arriving. */
  superseded(response: StoredResponse): boolean;
}

/** A live body and who brings it. */
export interface Arriving {
  readonly live: LiveBody;
  /** A reader has moved or left: the run may go on, or stop. */
  pace(): void;
}

export type Piece =
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly release: (() => void) | undefined }
  | { readonly kind: 'later'; readonly until: Promise<void> }
  | { readonly kind: 'end' }
  | { readonly kind: 'lost'; readonly why: string };

/** How often a walk asks for the same missing slice before it gives up. */
const FETCHES_PER_SLICE = 2;

export interface BodySourceOptions {
  readonly ask: Ask;
  readonly response: StoredResponse;
  readonly store: Store;
  readonly fetcher: SliceFetcher;
  readonly entry?: StoredEntry | undefined;
  readonly arriving?: Arriving | undefined;
  /** Where the walk begins. */
  readonly from: number;
}

export class BodySource {
  readonly #options: BodySourceOptions;
  #entry: StoredEntry | undefined;
  #arriving: Arriving | undefined;
  #reader: Reader | undefined;
  #lastMissing = -1;
  #fetches = 0;

  constructor(options: BodySourceOptions) {
    this.#options = options;
    this.#entry = options.entry;
    if (options.arriving !== undefined) this.#follow(options.arriving, options.from);
  }

  /** The next bytes at `at`, at most to byte `end` (Infinity while the length is unknown) and to the end of their slice. */
  piece(at: number, end: number): Piece | Promise<Piece> {
    if (at >= end) return { kind: 'end' };
    const live = this.#arriving?.live;
    if (live !== undefined) {
      this.#move(at);
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
    this.#arriving?.live.flush();
  }

  /** Must be called when the walk is over, in whatever way. */
  close(): void {
    if (this.#reader === undefined) return;
    this.#arriving?.live.readers.leave(this.#reader);
    this.#reader = undefined;
    this.#arriving?.pace();
  }

  #stored(): StoredEntry | undefined {
    if (this.#entry !== undefined) return this.#entry;
    const { key, variant, id } = this.#options.response;
    const entry = this.#options.store.shelf(key)?.variant(variant);
    if (entry?.response.id === id) this.#entry = entry;
    return this.#entry;
  }

  #read(entry: StoredEntry, at: number, end: number): Piece | Promise<Piece> {
    const n = Math.floor(at / SLICE_BYTES);
    const found = this.#options.store.readSlice(entry, n);
    if (found instanceof Promise) return found.then((read) => this.#cut(read, n, at, end));
    return this.#cut(found, n, at, end);
  }

  #cut(read: Awaited<ReturnType<Store['readSlice']>>, n: number, at: number, end: number): Piece | Promise<Piece> {
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

  #fetch(at: number, end: number, why: string): Piece | Promise<Piece> {
    const n = Math.floor(at / SLICE_BYTES);
    this.#fetches = n === this.#lastMissing ? this.#fetches + 1 : 1;
    this.#lastMissing = n;
    if (this.#fetches > FETCHES_PER_SLICE) return { kind: 'lost', why };
    const { ask, response, fetcher, store } = this.#options;
    // While we looked, another run may have brought it.
    this.#entry = undefined;
    const entry = this.#fetches === 1 ? this.#stored() : undefined;
    if (entry !== undefined && store.hasSlice(entry, n)) return this.#read(entry, at, end);
    const arriving = fetcher.fetchSlices(ask, response, n, end);
    if (arriving === undefined) return { kind: 'lost', why };
    if (arriving !== this.#arriving) this.#follow(arriving, at);
    // An entry looked up before may not show slices that arrive from now on.
    this.#entry = undefined;
    return { kind: 'later', until: arriving.live.progress() };
  }

  #follow(arriving: Arriving, at: number): void {
    this.close();
    this.#arriving = arriving;
    this.#reader = arriving.live.readers.follow(at);
  }

  #move(at: number): void {
    const reader = this.#reader;
    if (reader === undefined || reader.at === at) return;
    const slice = Math.floor(reader.at / SLICE_BYTES);
    reader.at = at;
    if (Math.floor(at / SLICE_BYTES) === slice) return;
    // Held from now on, so that a purge or an eviction does not take from this walk what is already only in the store.
    this.#stored();
    this.#arriving!.pace();
  }
}

/**
 * The part of a body that is arriving: slices that grow while readers follow them. One live body per stored version;
 * one or more runs feed it. Owns the bytes until the store has them; knows nothing of sockets, upstreams or the store.
 */
import { SLICE_BYTES } from '../store/contract.ts';
import { Readers } from './reader.ts';

/** What a reader finds at a position. */
export type LivePiece =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  /** On its way: await `progress()`. */
  | { readonly kind: 'later' }
  /** Not arriving here: it is in the store, or somebody must fetch it. */
  | { readonly kind: 'elsewhere' }
  /** The body ends here. */
  | { readonly kind: 'end' };

interface GrowingSlice {
  bytes: Buffer;
  filled: number;
  whole: boolean;
}

const LATER: LivePiece = { kind: 'later' };
const ELSEWHERE: LivePiece = { kind: 'elsewhere' };
const END: LivePiece = { kind: 'end' };
const EMPTY = Buffer.alloc(0);
const FIRST_ALLOCATION = 16 * 1024;

export class LiveBody {
  /** Bytes of the whole body; `undefined` until the upstream has said or the body has ended. */
  length: number | undefined;
  readonly #slices = new Map<number, GrowingSlice>();
  #wake: (() => void)[] = [];
  readonly readers = new Readers();

  constructor(length: number | undefined) {
    this.length = length;
  }

  /** Announces that slice `n` is being fetched, so that readers wait for it here and nobody fetches it twice. */
  expect(n: number): void {
    if (!this.#slices.has(n)) this.#slices.set(n, { bytes: EMPTY, filled: 0, whole: false });
  }

  expects(n: number): boolean {
    return this.#slices.has(n);
  }

  /**
   * Takes the bytes of `chunk` from `from` that belong at `offset` of slice `n`; returns how many bytes lie in that slice.
   * Bytes that are here already, or are wanted no more, are passed over: two runs of one version bring the same bytes.
   * Readers are told by `flush`.
   */
  add(n: number, offset: number, chunk: Buffer, from: number): number {
    const within = Math.min(chunk.length - from, this.sliceLength(n) - offset);
    const slice = this.#slices.get(n);
    if (slice === undefined || slice.whole || offset > slice.filled || offset + within <= slice.filled) return within;
    const skip = slice.filled - offset;
    const filled = offset + within;
    if (filled > slice.bytes.length) slice.bytes = this.#grown(n, slice, filled);
    chunk.copy(slice.bytes, slice.filled, from + skip, from + within);
    slice.filled = filled;
    if (filled === this.sliceLength(n)) slice.whole = true;
    return within;
  }

  /** The slice's bytes when it is whole, to be given to the store. */
  wholeSlice(n: number): Buffer | undefined {
    const slice = this.#slices.get(n);
    return slice?.whole === true ? slice.bytes.subarray(0, slice.filled) : undefined;
  }

  /** The body has ended: its length is now known and its last slice whole. Returns that slice's number, if it has bytes that were not whole yet. */
  finish(length: number): number | undefined {
    this.length = length;
    const last = Math.floor(length / SLICE_BYTES);
    const slice = this.#slices.get(last);
    if (slice === undefined) return undefined;
    if (slice.filled === 0) {
      this.#slices.delete(last);
      return undefined;
    }
    if (slice.whole) return undefined;
    slice.whole = true;
    return last;
  }

  /** The store has slice `n`, or nobody will bring it: readers look elsewhere from now on. */
  drop(n: number): void {
    this.#slices.delete(n);
  }

  /** Slices from `first` to `last` that were announced or began but did not become whole are given up. */
  dropUnfinished(first: number, last: number): void {
    for (const [n, slice] of this.#slices) if (n >= first && n <= last && !slice.whole) this.#slices.delete(n);
  }

  /** Slices that hold bytes. */
  get held(): number {
    let held = 0;
    for (const { filled } of this.#slices.values()) if (filled > 0) held += 1;
    return held;
  }

  /** What is readable at byte `at`, at most to byte `end` and to the end of its slice. */
  piece(at: number, end: number): LivePiece {
    if (this.length !== undefined && at >= this.length) return END;
    const n = Math.floor(at / SLICE_BYTES);
    const slice = this.#slices.get(n);
    if (slice === undefined) return ELSEWHERE;
    const offset = at - n * SLICE_BYTES;
    if (slice.filled <= offset) return LATER;
    const until = Math.min(slice.filled, end - n * SLICE_BYTES);
    return { kind: 'bytes', bytes: slice.bytes.subarray(offset, until) };
  }

  /** Resolves at the next `flush`. Every run ends with a flush, so the wait is bounded by the upstream's timeouts. */
  progress(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  /** Wakes every waiting reader. */
  flush(): void {
    if (this.#wake.length === 0) return;
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }

  sliceLength(n: number): number {
    if (this.length === undefined) return SLICE_BYTES;
    return Math.min(SLICE_BYTES, this.length - n * SLICE_BYTES);
  }

  #grown(n: number, slice: GrowingSlice, needed: number): Buffer {
    const size =
      this.length === undefined
        ? Math.min(SLICE_BYTES, Math.max(needed, slice.bytes.length * 2, FIRST_ALLOCATION))
        : this.sliceLength(n);
    const larger = Buffer.allocUnsafeSlow(size);
    slice.bytes.copy(larger, 0, 0, slice.filled);
    return larger;
  }
}

/**
 * One upstream body on its way into a live body and the store: cuts it into slices, hands whole slices over, holds the
 * upstream back when nobody can take more, and ends the write in exactly one way. Owns pace and completeness;
 * what the response means was decided before it began.
 *
 * Pace. A body that is stored arrives at the upstream's speed, however slow its readers: what they have not read yet
 * is in the store. A body that is not stored, or not visible before it ends, stays in memory until its slowest reader
 * has it, at most `HELD_SLICES`, then the upstream waits. A run for a range reads ahead of its fastest reader by
 * `AHEAD_BYTES` at most.
 */
import { SLICE_BYTES, type StoreWriter, type WriteOutcome } from '../store/contract.ts';
import type { UpstreamCall } from '../upstream/upstreams.ts';
import type { LiveBody } from './live-body.ts';

/** Slices in memory at most for one body; 16 MiB, so that a thousand slow clients of as many bodies stay bounded by what sockets hold. */
const HELD_SLICES = 16;
const UNSETTLED_SLICES = 8;
const AHEAD_BYTES = 8 * SLICE_BYTES;
const ANNOUNCED_SLICES = 4;
/** Without readers a stored body is still completed when at most this much is missing; else it stops at a slice's end. */
const COMPLETE_ALONE_BYTES = 64 * SLICE_BYTES;

export type RunEnding =
  | { readonly kind: 'whole'; readonly length: number; readonly stored: WriteOutcome }
  /** A range run that brought what it was for. */
  | { readonly kind: 'run' }
  | { readonly kind: 'failed'; readonly why: string };

export interface BodyRunOptions {
  readonly live: LiveBody;
  /** `undefined`: not stored. */
  readonly writer: StoreWriter | undefined;
  /** Slices are readable from the store as soon as it has them. */
  readonly visible: boolean;
  /** The whole body, from 0; else a run of slices. */
  readonly whole: boolean;
  /** Where the upstream's body begins. */
  readonly firstByte: number;
  /** Byte after its last, when known. */
  readonly endByte: number | undefined;
  readonly call: UpstreamCall;
  /** Makes a whole body's response visible; called once all slices have been taken. */
  readonly finish: (length: number) => Promise<WriteOutcome>;
  readonly onEnd: (ending: RunEnding) => void;
}

export class BodyRun {
  readonly #options: BodyRunOptions;
  readonly #live: LiveBody;
  #cursor: number;
  /** Bytes before the first slice boundary at or after `firstByte` are not kept. */
  #skip: number;
  #unsettled = 0;
  #oldest: number;
  #announced = -1;
  #paused = false;
  #ended = false;
  #settled: (() => void) | undefined;
  #refused: WriteOutcome | undefined;

  constructor(options: BodyRunOptions) {
    this.#options = options;
    this.#live = options.live;
    this.#cursor = options.firstByte;
    const firstSlice = Math.ceil(options.firstByte / SLICE_BYTES);
    this.#skip = firstSlice * SLICE_BYTES - options.firstByte;
    this.#oldest = firstSlice;
    this.#announce(firstSlice);
  }

  /** Slices dropped from memory that the store does not show yet: who comes now can't read from the start. */
  get joinable(): boolean {
    return this.#options.visible || this.#oldest === 0;
  }

  piece(chunk: Buffer): void {
    if (this.#ended) return;
    const { endByte } = this.#options;
    // The upstream layer refuses more than a Content-Length; a part in chunks has only its Content-Range.
    if (endByte !== undefined && this.#cursor + chunk.length > endByte) {
      this.fail('http_protocol_error');
      return this.#options.call.abort();
    }
    let from = 0;
    if (this.#skip > 0) {
      from = Math.min(this.#skip, chunk.length);
      this.#skip -= from;
      this.#cursor += from;
    }
    while (from < chunk.length) {
      const n = Math.floor(this.#cursor / SLICE_BYTES);
      this.#announce(n);
      const before = this.#live.wholeSlice(n) !== undefined;
      const took = this.#live.add(n, this.#cursor - n * SLICE_BYTES, chunk, from);
      if (took <= 0) break;
      from += took;
      this.#cursor += took;
      const whole = before ? undefined : this.#live.wholeSlice(n);
      if (whole !== undefined) this.#sliceWhole(n, whole);
    }
    // Readers that have caught up at a slice's end wait for more here: whether there is more, nobody knows yet.
    if (this.#live.length === undefined) this.#announce(Math.floor(this.#cursor / SLICE_BYTES));
    this.#live.flush();
    this.pace();
  }

  /** The upstream's body ended as declared. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#options.whole) {
      this.#live.dropUnfinished(Math.floor(this.#cursor / SLICE_BYTES), this.#announced);
      void this.#settle().then(() => this.#conclude({ kind: 'run' }));
      return;
    }
    const length = this.#cursor;
    if (this.#live.length !== undefined && this.#live.length !== length) {
      this.#giveUp('http_response_incomplete');
      return;
    }
    const last = this.#live.finish(length);
    if (last !== undefined) this.#sliceWhole(last, this.#live.wholeSlice(last)!);
    this.#live.flush();
    void this.#settle().then(async () => {
      const stored = this.#refused ?? (await this.#options.finish(length));
      if (this.#refused !== undefined) this.#options.writer?.abandon();
      this.#conclude({ kind: 'whole', length, stored });
    });
  }

  /** The upstream's body will not be completed. Whole slices that are visible stay. */
  fail(why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#giveUp(why);
  }

  /** Holds the upstream back or lets it go on; called when bytes came and when a reader has moved or left. */
  pace(): void {
    if (this.#ended) return;
    this.#release();
    const { readers } = this.#live;
    if (readers.size === 0 && this.#unwanted()) {
      this.#ended = true;
      this.#options.call.abort();
      this.#giveUp('no-reader');
      return;
    }
    const kept = this.#options.writer !== undefined && this.#refused === undefined;
    const tooFar = !this.#options.whole && readers.size > 0 && this.#cursor - readers.fastest() > AHEAD_BYTES;
    const unread = !(kept && this.#options.visible) && readers.size > 0 && this.#live.held > HELD_SLICES;
    this.#setPaused(this.#unsettled > UNSETTLED_SLICES || tooFar || unread);
  }

  /**
   * Tells readers which slices come next, so that they wait here instead of fetching those again: always one at least
   * beyond the one that is arriving, for a reader may have all of that before the next one's first byte is here.
   */
  #announce(n: number): void {
    const { endByte } = this.#options;
    const last = endByte === undefined ? n : Math.min(n + ANNOUNCED_SLICES, Math.ceil(endByte / SLICE_BYTES) - 1);
    if (this.#announced < n) this.#announced = n - 1;
    while (this.#announced < Math.max(n, last)) this.#live.expect(++this.#announced);
  }

  #unwanted(): boolean {
    const { writer, whole, visible, endByte } = this.#options;
    if (writer === undefined || this.#refused !== undefined) return true;
    if (!whole) return this.#cursor % SLICE_BYTES === 0 || this.#cursor === this.#live.length;
    if (!visible) return false;
    const missing = endByte === undefined ? 0 : endByte - this.#cursor;
    return missing > COMPLETE_ALONE_BYTES && this.#cursor % SLICE_BYTES === 0;
  }

  #setPaused(paused: boolean): void {
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.#options.call.pause();
    else this.#options.call.resume();
  }

  #sliceWhole(n: number, bytes: Buffer): void {
    const { writer } = this.#options;
    if (writer === undefined || this.#refused !== undefined) return;
    this.#unsettled += 1;
    void writer.slice(n, bytes).then((outcome) => {
      this.#unsettled -= 1;
      if (outcome.kind === 'refused') this.#refused ??= outcome;
      else if (this.#options.visible) this.#live.drop(n);
      if (this.#unsettled === 0) this.#settled?.();
      this.#live.flush();
      this.pace();
    });
  }

  /** Frees slices that the slowest reader has passed, where memory is the only place for them. */
  #release(): void {
    const kept = this.#options.writer !== undefined && this.#refused === undefined;
    if ((kept && this.#options.visible) || this.#live.held <= HELD_SLICES) return;
    const passed = Math.min(
      Math.floor(this.#live.readers.slowest() / SLICE_BYTES),
      Math.floor(this.#cursor / SLICE_BYTES),
    );
    for (; this.#oldest < passed && this.#live.held > HELD_SLICES; this.#oldest++) this.#live.drop(this.#oldest);
  }

  async #settle(): Promise<void> {
    if (this.#unsettled === 0) return;
    await new Promise<void>((resolve) => {
      this.#settled = resolve;
    });
  }

  #giveUp(why: string): void {
    this.#live.dropUnfinished(Math.floor(this.#cursor / SLICE_BYTES), this.#announced);
    void this.#settle().then(() => {
      if (this.#options.visible) void this.#options.finish(this.#live.length ?? 0);
      else this.#options.writer?.abandon();
      this.#conclude({ kind: 'failed', why });
    });
    this.#live.flush();
  }

  #conclude(ending: RunEnding): void {
    this.#options.onEnd(ending);
    this.#live.flush();
  }
}

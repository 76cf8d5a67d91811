/**
 * How fast a fill may go: a token bucket over all of an agent's fetches, and a step aside while the edge is busy
 * serving. Owns no sockets: who reads a body asks `take` before it uses the bytes, and TCP slows the sender.
 */
import type { Clock } from '../runtime/clock.ts';

export interface PaceOptions {
  readonly clock: Clock;
  /** `undefined`: no cap. */
  readonly bytesPerSecond: number | undefined;
  /** True while clients are served slower than they should be. */
  readonly busy?: (() => boolean) | undefined;
}

/** A bucket holds this much of a second, so that over any 10 s the cap is exceeded by 2.5 % at most. */
const BURST_SECONDS = 0.25;
const BUSY_STEP_MILLIS = 25;
/** A fill that yields still moves one chunk a second on each fetch, so that it ends. */
const BUSY_MOST_MILLIS = 1000;

export class Pace {
  readonly #options: PaceOptions;
  #balance: number;
  #filledAt: number;

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#balance = (options.bytesPerSecond ?? 0) * BURST_SECONDS;
    this.#filledAt = options.clock.monotonic();
  }

  /** Resolves when `bytes` may be used, or at once when the signal aborts. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const { clock, bytesPerSecond, busy } = this.#options;
    if (busy !== undefined)
      for (let waited = 0; busy() && waited < BUSY_MOST_MILLIS && !signal.aborted; waited += BUSY_STEP_MILLIS)
        await wait(clock, BUSY_STEP_MILLIS, signal);
    if (bytesPerSecond === undefined) return;
    const now = clock.monotonic();
    const earned = ((now - this.#filledAt) / 1000) * bytesPerSecond;
    this.#balance = Math.min(bytesPerSecond * BURST_SECONDS, this.#balance + earned) - bytes;
    this.#filledAt = now;
    // Each taker goes into debt and waits it off, so takers are served in the order in which they came.
    if (this.#balance < 0) await wait(clock, (-this.#balance / bytesPerSecond) * 1000, signal);
  }
}

/** Resolves after `millis` of the clock, or when the signal aborts; look at the signal then. */
export function wait(clock: Clock, millis: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => {
    timer.cancel();
    signal.removeEventListener('abort', end);
    resolve();
  };
  const timer = clock.after(millis, end);
  signal.addEventListener('abort', end);
  return promise;
}

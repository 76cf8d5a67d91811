/**
 * What a worker's store does behind the serving, and its end: counting extents, sweeping, eviction, scrubbing.
 * Each is in a file of its own; here they are started, joined and stopped.
 */
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import { Evictor } from './evictor.ts';
import type { MemoryTier } from './memory-tier.ts';
import type { PurgeJournal } from './purge-journal.ts';
import type { PurgeLog } from './purge-log.ts';
import type { ResponseRow } from './row.ts';
import { type ScrubOutcome, scrub } from './scrub.ts';
import { adoptExtents, sweep } from './sweep.ts';
import type { Volumes } from './volumes.ts';

export interface HousekeepingOptions {
  volumes: Volumes;
  memory: MemoryTier;
  purgeLog: PurgeLog;
  journal: PurgeJournal;
  clock: Clock;
  log: Logger;
  /** The first number of this run. */
  firstNumber: number;
  /** No other worker stores anything, so that what is scrubbed here is all there is. */
  alone: boolean;
  indexShare: number;
  sweepDelayMillis: number;
}

/** Longer than any fetch lasts: one that began before a purge has ended, and was judged by it. */
const FETCH_MILLIS = 3_600_000;

export class Housekeeping {
  readonly #options: HousekeepingOptions;
  readonly #evictors: Evictor[];
  readonly #stop = new AbortController();
  readonly #sweptAll = Promise.withResolvers<void>();
  #sweepTimer: Timer | undefined;
  #sweeping: Promise<void> = Promise.resolve();
  #scrubbing: Promise<ScrubOutcome> | undefined;
  /** Newest purge number at the start of earlier passes. */
  #purgeNumbers: { atMillis: number; number: number }[] = [];

  constructor(options: HousekeepingOptions) {
    const { volumes, memory, indexShare } = options;
    this.#options = options;
    this.#evictors = volumes.all.map((volume) => new Evictor({ volume, memory, indexShare }));
  }

  /** Begins at once with counting, which eviction needs; sweeps later. */
  start(): void {
    const { volumes, clock, sweepDelayMillis } = this.#options;
    this.#sweeping = Promise.all(volumes.good.map((volume) => volume.changing(() => adoptExtents(volume)))).then(() => {
      for (const evictor of this.#evictors) evictor.start();
      if (this.#stop.signal.aborted) return this.#sweptAll.resolve();
      if (sweepDelayMillis === 0) return this.#sweep();
      this.#sweepTimer = clock.after(sweepDelayMillis, () => {
        this.#sweeping = this.#sweep();
      });
    });
  }

  /** Resolves when this run has swept, or has been stopped before. */
  get swept(): Promise<void> {
    return this.#sweptAll.promise;
  }

  scrub(bytesPerSecond: number, remove: (row: ResponseRow) => void): Promise<ScrubOutcome> {
    this.#scrubbing ??= this.#scrub(bytesPerSecond, remove).finally(() => {
      this.#scrubbing = undefined;
    });
    return this.#scrubbing;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#sweepTimer?.cancel();
    await this.#sweeping;
    await this.#scrubbing;
    for (const evictor of this.#evictors) await evictor.stop();
    this.#sweptAll.resolve();
  }

  async #sweep(): Promise<void> {
    const { volumes, firstNumber, log } = this.#options;
    for (const volume of volumes.good) {
      const swept = await sweep(volume, firstNumber, this.#stop.signal);
      if (swept.files > 0) log.info({ volume: volume.path, ...swept }, 'swept what no row names');
    }
    for (const evictor of this.#evictors) await evictor.settle();
    this.#sweptAll.resolve();
  }

  async #scrub(bytesPerSecond: number, remove: (row: ResponseRow) => void): Promise<ScrubOutcome> {
    const { volumes, purgeLog, journal, memory, clock, alone } = this.#options;
    const { signal } = this.#stop;
    const startedMillis = clock.monotonic();
    const settled = this.#purgeNumbers.findLast(({ atMillis }) => startedMillis - atMillis >= FETCH_MILLIS);
    this.#purgeNumbers = this.#purgeNumbers.filter((one) => settled === undefined || one.atMillis >= settled.atMillis);
    this.#purgeNumbers.push({ atMillis: startedMillis, number: purgeLog.newest });
    const outcome = await scrub({ volumes: volumes.good, purgeLog, clock, bytesPerSecond, signal, remove });
    if (alone && !signal.aborted && settled !== undefined)
      journal.compact(Math.min(outcome.oldestPurgeNumber, memory.oldestPurgeNumber, settled.number));
    return outcome;
  }
}

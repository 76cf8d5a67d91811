/**
 * What a fill has still to do: assets in the manifest's order, and those that were put back to be tried again later.
 * Constant time at a million assets: each wait length has its own queue, so that every queue is in order of time.
 */

/** Waits of an asset that its peer does not have yet, by how often it was asked. */
const WAITS_MILLIS = [250, 500, 1000, 2000, 5000] as const;

interface Deferred<T> {
  readonly entry: T;
  readonly readyAt: number;
}

export class Backlog<T> {
  readonly #fresh: readonly T[];
  #next = 0;
  readonly #deferred: Deferred<T>[][] = WAITS_MILLIS.map(() => []);

  constructor(entries: readonly T[]) {
    this.#fresh = entries;
  }

  /** What to do now: what has waited long enough, else the next in order. `undefined`: nothing yet, or nothing at all. */
  take(nowMillis: number): T | undefined {
    for (const queue of this.#deferred)
      if (queue[0] !== undefined && queue[0].readyAt <= nowMillis) return queue.shift()!.entry;
    return this.#fresh[this.#next] === undefined ? undefined : this.#fresh[this.#next++];
  }

  /** Puts an entry back that has been tried `times` times. */
  defer(entry: T, times: number, nowMillis: number): void {
    const level = Math.min(times, WAITS_MILLIS.length) - 1;
    this.#deferred[level]!.push({ entry, readyAt: nowMillis + WAITS_MILLIS[level]! });
  }

  /** When the next deferred entry is due; `undefined` when none is. */
  dueAt(): number | undefined {
    let first: number | undefined;
    for (const queue of this.#deferred)
      if (queue[0] !== undefined && (first === undefined || queue[0].readyAt < first)) first = queue[0].readyAt;
    return first;
  }
}

/**
 * Short memories about keys, bounded: that a key was not cacheable (so that its requests don't wait for each other),
 * and that its origin failed (so that a failing origin is asked once a second, not once a request).
 */
import { LRUCache } from 'lru-cache';

/** Keys remembered until a time. Forgetting early costs a wait or a request, never a wrong answer. */
export class KeyMemory {
  readonly #until: LRUCache<string, number>;

  constructor(limit = 10_000) {
    this.#until = new LRUCache({ max: limit });
  }

  remember(key: string, untilMillis: number): void {
    this.#until.set(key, untilMillis);
  }

  holds(key: string, nowMillis: number): boolean {
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (nowMillis < until) return true;
    this.#until.delete(key);
    return false;
  }

  forget(key: string): void {
    this.#until.delete(key);
  }
}

/**
 * Short memories about keys, bounded: that a key was not cacheable (so that its requests don't wait for each other),
 * and that its origin failed (so that a failing origin is asked ever more rarely, not once a request).
 */
import { LRUCache } from 'lru-cache';
import { type BackOff, backedOff } from '../cache/back-off.ts';

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

/** Keys whose origin failed, and how often in a row. Forgetting early costs a request. */
export class BackOffMemory {
  readonly #states: LRUCache<string, BackOff>;

  constructor(limit = 10_000) {
    this.#states = new LRUCache({ max: limit });
  }

  /** One more failure: the pause doubles, or is what Retry-After says. */
  failed(key: string, retryAfter: string | undefined, nowMillis: number): void {
    this.#states.set(key, backedOff(this.#states.get(key), retryAfter, nowMillis));
  }

  holds(key: string, nowMillis: number): boolean {
    const state = this.#states.get(key);
    return state !== undefined && nowMillis < state.untilMillis;
  }

  /** It has answered. */
  forget(key: string): void {
    this.#states.delete(key);
  }
}

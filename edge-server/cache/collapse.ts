/**
 * Collapsed forwarding: of those who ask for the same key at once, the first leads and the others wait for an event,
 * never poll, and end in exactly one of the ways below (architecture §3.1 step 5; the idea is groupcache's singleflight
 * and pingora's cache lock). Owns who leads and who waits; what is fetched is opaque to it.
 */
import type { Clock, Timer } from '../../runtime/clock.ts';

/** How a wait ends. */
export type WaitEnding<F> =
  /** Read the response as it grows, or the one that was validated. */
  | { readonly kind: 'joined'; readonly fetched: F }
  /** It can't be shared: each goes alone. */
  | { readonly kind: 'uncacheable' }
  /** The leader failed: this one leads now, with the flight given. */
  | { readonly kind: 'lead'; readonly flight: Flight<F> }
  /** Leaders failed as often as is tried: answer what the failure allows. */
  | { readonly kind: 'failed'; readonly why: string }
  /** Waited long enough: it goes alone. */
  | { readonly kind: 'deadline' };

interface Waiter<F> {
  end: (ending: WaitEnding<F>) => void;
  timer: Timer;
}

/** One fetch that others may wait for. The leader ends it in exactly one of `join`, `uncacheable`, `fail`. */
export class Flight<F> {
  readonly key: string;
  /** What waiters have joined; stays until the leader calls `over`. */
  fetched: F | undefined;
  readonly #flights: Flights<F>;
  #waiters: Waiter<F>[] = [];
  #attempts: number;

  constructor(flights: Flights<F>, key: string, attempts: number) {
    this.#flights = flights;
    this.key = key;
    this.#attempts = attempts;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** Waits for the leader. The ending comes once, never synchronously before this returns. */
  wait(end: (ending: WaitEnding<F>) => void): { cancel(): void } {
    const waiter: Waiter<F> = {
      end,
      timer: this.#flights.clock.after(this.#flights.deadlineMillis, () => this.#expire(waiter)),
    };
    this.#waiters.push(waiter);
    return { cancel: () => this.#remove(waiter) };
  }

  /** The response may be shared: everybody reads it. New askers join too until `over`. */
  join(fetched: F): void {
    this.fetched = fetched;
    this.#endAll({ kind: 'joined', fetched });
  }

  /** It may not be shared. */
  uncacheable(): void {
    this.over();
    this.#endAll({ kind: 'uncacheable' });
  }

  /**
   * The leader has no response. One waiter leads a new flight and the rest wait for that one, so that a broken origin
   * sees one request at a time; after `maxLeaders` all are told.
   */
  fail(why: string): void {
    this.over();
    const [heir, ...rest] = this.#take();
    if (heir === undefined) return;
    heir.timer.cancel();
    if (this.#attempts >= this.#flights.maxLeaders) {
      for (const waiter of rest) waiter.timer.cancel();
      for (const waiter of [heir, ...rest]) waiter.end({ kind: 'failed', why });
      return;
    }
    const flight = this.#flights.lead(this.key, this.#attempts + 1);
    for (const waiter of rest) flight.#adopt(waiter);
    heir.end({ kind: 'lead', flight });
  }

  /** Nobody can join any more. Idempotent; a newer flight under the same key is left alone. */
  over(): void {
    this.#flights.remove(this);
  }

  #adopt(waiter: Waiter<F>): void {
    waiter.timer.cancel();
    waiter.timer = this.#flights.clock.after(this.#flights.deadlineMillis, () => this.#expire(waiter));
    this.#waiters.push(waiter);
  }

  #expire(waiter: Waiter<F>): void {
    this.#remove(waiter);
    waiter.end({ kind: 'deadline' });
  }

  #remove(waiter: Waiter<F>): void {
    waiter.timer.cancel();
    const at = this.#waiters.indexOf(waiter);
    if (at >= 0) this.#waiters.splice(at, 1);
  }

  #take(): Waiter<F>[] {
    const waiters = this.#waiters;
    this.#waiters = [];
    return waiters;
  }

  #endAll(ending: WaitEnding<F>): void {
    const waiters = this.#take();
    for (const waiter of waiters) waiter.timer.cancel();
    for (const waiter of waiters) waiter.end(ending);
  }
}

export class Flights<F> {
  readonly clock: Clock;
  readonly deadlineMillis: number;
  readonly maxLeaders: number;
  readonly #byKey = new Map<string, Flight<F>>();

  constructor(options: { clock: Clock; deadlineMillis: number; maxLeaders: number }) {
    this.clock = options.clock;
    this.deadlineMillis = options.deadlineMillis;
    this.maxLeaders = options.maxLeaders;
  }

  get size(): number {
    return this.#byKey.size;
  }

  find(key: string): Flight<F> | undefined {
    return this.#byKey.get(key);
  }

  /** Begins a flight; the caller leads it. It replaces one under the same key that nobody can join any more. */
  lead(key: string, attempts = 1): Flight<F> {
    const flight = new Flight<F>(this, key, attempts);
    this.#byKey.set(key, flight);
    return flight;
  }

  remove(flight: Flight<F>): void {
    if (this.#byKey.get(flight.key) === flight) this.#byKey.delete(flight.key);
  }
}

/** Time as a dependency: the system's clock in production, a virtual one that tests move by hand. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall-clock time, milliseconds since 1970. May jump when an operator sets the clock. */
  now(): number;
  /** Monotonic time, milliseconds; only differences mean something. */
  monotonic(): number;
  /** Calls back once after `millis`. The timer does not keep the process alive. */
  after(millis: number, callback: () => void): Timer;
  /** Calls back every `millis` until cancelled. The timer does not keep the process alive. */
  every(millis: number, callback: () => void): Timer;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(millis, callback) {
    const timer = setTimeout(callback, millis);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  every(millis, callback) {
    const timer = setInterval(callback, millis);
    timer.unref();
    return { cancel: () => clearInterval(timer) };
  },
};

interface Pending {
  at: number;
  order: number;
  period: number | undefined;
  callback: () => void;
}

/** A clock that stands still until a test advances it; timers then run in order of their time. */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #pending = new Set<Pending>();

  constructor(startMillis = 1_700_000_000_000) {
    this.#now = startMillis;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  after(millis: number, callback: () => void): Timer {
    return this.#schedule(millis, undefined, callback);
  }

  every(millis: number, callback: () => void): Timer {
    return this.#schedule(millis, millis, callback);
  }

  /** Moves time forward and runs every timer that falls due on the way, each at its own time. */
  advance(millis: number): void {
    const until = this.#now + millis;
    for (let next = this.#earliest(); next !== undefined && next.at <= until; next = this.#earliest()) {
      this.#now = next.at;
      if (next.period === undefined) this.#pending.delete(next);
      else next.at += next.period;
      next.callback();
    }
    this.#now = until;
  }

  /** Sets the wall clock without running timers, as an operator or NTP would. */
  step(millis: number): void {
    this.#now += millis;
    for (const pending of this.#pending) pending.at += millis;
  }

  #schedule(millis: number, period: number | undefined, callback: () => void): Timer {
    const pending: Pending = { at: this.#now + millis, order: this.#order++, period, callback };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  #earliest(): Pending | undefined {
    let first: Pending | undefined;
    for (const pending of this.#pending)
      if (first === undefined || pending.at < first.at || (pending.at === first.at && pending.order < first.order))
        first = pending;
    return first;
  }
}

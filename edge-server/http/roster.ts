/**
 * All open connections of one worker: how many there may be, whose they are, and the one coarse timer that looks at
 * their deadlines. What a deadline means is each member's own part.
 */
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { HttpLimits } from './limits.ts';
import { NO_PRESSURE, type Pressure } from './pressure.ts';

/** Why a connection or request was cut; the label of the counter. */
export type Cut = 'header-timeout' | 'idle-timeout' | 'no-progress' | 'linger' | 'drain-deadline' | 'reset-flood';

/** Plain numbers that anybody may read; the hot path adds to them. */
export interface HttpCounters {
  /** Connections accepted, and open now. */
  accepted: number;
  open: number;
  /** Refused at accept: too many from one address, or in all. */
  tooManyFromAddress: number;
  tooMany: number;
  /** Refused at accept because memory is short. */
  underPressure: number;
  /** Requests given to the handler, by front end. */
  requests: number;
  http2Requests: number;
  handedOver: number;
  /** Requests refused by a front end, by status class of refusal. */
  refused: number;
  /** Connections cut by a deadline. */
  headerTimeouts: number;
  idleTimeouts: number;
  noProgress: number;
  /** HTTP/2 sessions ended with `ENHANCE_YOUR_CALM`: too many resets, or too much beside requests. */
  resetFloods: number;
  overheadFloods: number;
  /** TLS handshakes that failed, and certificates that could not be loaded. */
  tlsFailures: number;
  /** Responses that were cut because they could not be completed. */
  aborted: number;
  /** Handlers that threw; a bug, never the client's doing. */
  handlerFaults: number;
}

export function createHttpCounters(): HttpCounters {
  return {
    accepted: 0,
    open: 0,
    tooManyFromAddress: 0,
    tooMany: 0,
    underPressure: 0,
    requests: 0,
    http2Requests: 0,
    handedOver: 0,
    refused: 0,
    headerTimeouts: 0,
    idleTimeouts: 0,
    noProgress: 0,
    resetFloods: 0,
    overheadFloods: 0,
    tlsFailures: 0,
    aborted: 0,
    handlerFaults: 0,
  };
}

/** New connections that were refused, for whatever reason. */
export function refusedConnections({ tooMany, tooManyFromAddress, underPressure }: HttpCounters): number {
  return tooMany + tooManyFromAddress + underPressure;
}

/** One open connection, whatever it speaks. */
export interface Member {
  /** Looks at its deadlines; `nowMillis` is monotonic and the same for all members of a tick. */
  tick(nowMillis: number): void;
  /** Finishes what runs, takes nothing new, closes. */
  drain(): void;
  /** Ends at once. */
  destroy(): void;
}

export type Admission = 'admitted' | 'under-pressure' | 'too-many' | 'too-many-from-address';

export class Roster {
  readonly #limits: HttpLimits;
  readonly #clock: Clock;
  readonly #counters: HttpCounters;
  readonly #members = new Set<Member>();
  readonly #byAddress = new Map<string, number>();
  #timer: Timer | undefined;
  #emptied: (() => void) | undefined;
  /**
   * What members note as the moment of something that happens now: the end of the running tick, less a millisecond so
   * that exact ticks count whole. No clock is read for it. A deadline that counts from it comes up to one tick late, and
   * early only by as much as a tick was late. (With the tick's beginning it was a whole tick early: real ticks lie a
   * little more than `tickMillis` apart, so an idle time of one tick was over for who had been idle for a moment.)
   */
  nowMillis = 0;
  draining = false;
  #pressure = NO_PRESSURE;
  /** `HttpLimits.idleMillis`, or less while memory is short; 0 for no limit. */
  idleMillis: number;

  constructor(limits: HttpLimits, clock: Clock, counters: HttpCounters) {
    this.#limits = limits;
    this.#clock = clock;
    this.#counters = counters;
    this.#note(clock.monotonic());
    this.idleMillis = limits.idleMillis;
  }

  start(): void {
    this.#note(this.#clock.monotonic());
    this.#timer ??= this.#clock.every(this.#limits.tickMillis, () => this.#tick());
  }

  /** False while it drains or memory is short: whatever is answered is the last on its connection. */
  get keepsAlive(): boolean {
    return !this.draining && this.#pressure.keepAlive;
  }

  /** What holds from the next look at each connection on. */
  press(pressure: Pressure): void {
    this.#pressure = pressure;
    const { idleMillis } = this.#limits;
    const shorter = pressure.idleMillis > 0 && (idleMillis === 0 || pressure.idleMillis < idleMillis);
    this.idleMillis = shorter ? pressure.idleMillis : idleMillis;
  }

  /** Counts a new connection in, or says why not. Each one admitted must be released once. */
  admit(group: string): Admission {
    const { connectionsPerWorker, connectionsPerAddress } = this.#limits;
    const counters = this.#counters;
    if (!this.#pressure.accepts) {
      counters.underPressure++;
      return 'under-pressure';
    }
    if (connectionsPerWorker > 0 && counters.open >= connectionsPerWorker) {
      counters.tooMany++;
      return 'too-many';
    }
    const open = this.#byAddress.get(group) ?? 0;
    if (connectionsPerAddress > 0 && open >= connectionsPerAddress) {
      counters.tooManyFromAddress++;
      return 'too-many-from-address';
    }
    this.#byAddress.set(group, open + 1);
    counters.accepted++;
    counters.open++;
    return 'admitted';
  }

  release(group: string): void {
    const open = this.#byAddress.get(group) ?? 0;
    if (open <= 1) this.#byAddress.delete(group);
    else this.#byAddress.set(group, open - 1);
    this.#counters.open--;
    this.#lookIfEmpty();
  }

  add(member: Member): void {
    this.#members.add(member);
    if (this.draining) member.drain();
  }

  remove(member: Member): void {
    this.#members.delete(member);
    this.#lookIfEmpty();
  }

  /** Asks every connection to finish; resolves when none is left, at the latest after `deadlineMillis`, when the rest is cut. */
  async drain(deadlineMillis: number): Promise<void> {
    this.draining = true;
    for (const member of [...this.#members]) member.drain();
    if (!this.#empty) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#emptied = resolve;
      const deadline = this.#clock.after(deadlineMillis, resolve);
      await promise;
      deadline.cancel();
    }
    this.close();
  }

  /** Cuts every connection. Idempotent. */
  close(): void {
    this.draining = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const member of [...this.#members]) member.destroy();
  }

  get #empty(): boolean {
    return this.#counters.open === 0 && this.#members.size === 0;
  }

  #lookIfEmpty(): void {
    if (this.#emptied !== undefined && this.#empty) this.#emptied();
  }

  #tick(): void {
    const nowMillis = this.#clock.monotonic();
    this.#note(nowMillis);
    for (const member of this.#members) member.tick(nowMillis);
  }

  #note(nowMillis: number): void {
    this.nowMillis = nowMillis + this.#limits.tickMillis - 1;
  }
}

/** The client address as the log and the handler see it: IPv4 in its own form also on a dual-stack listener. */
export function clientAddress(remote: string | undefined): string {
  if (remote === undefined) return '';
  return remote.startsWith('::ffff:') && remote.includes('.') ? remote.slice(7) : remote;
}

/** Whom a connection counts for: an IPv4 address, or the /64 of an IPv6 one, since a subscriber has a whole /64. */
export function addressGroup(address: string): string {
  if (!address.includes(':')) return address;
  const [left = '', right] = address.split('%')[0]!.split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const gap = right === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  const groups = [...head, ...new Array<string>(gap).fill('0'), ...tail];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}

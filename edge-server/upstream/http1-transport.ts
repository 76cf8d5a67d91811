/**
 * Plain HTTP/1.1 to one upstream over kept connections: which connection carries a request, who waits for one, and the
 * deadlines of all of them, looked at by one tick. For requests without a body; the others go through undici.
 */
import type { Clock, Timer } from '../../runtime/clock.ts';
import { type ConnectionOwner, type ConnectTo, Http1Connection } from './http1-connection.ts';
import type { Exchange, Transport, TransportLimits, UpstreamRequest } from './transport.ts';

/** How long a connection stays when the upstream does not say: shorter than what servers keep by default. */
const IDLE_MILLIS = 30_000;
const MOST_TICK_MILLIS = 250;

interface Waiting {
  readonly request: UpstreamRequest;
  readonly exchange: Exchange;
  readonly fresh: boolean;
  readonly sinceMillis: number;
  ended: boolean;
}

export class Http1Transport implements Transport, ConnectionOwner {
  readonly #to: ConnectTo;
  readonly #limits: TransportLimits;
  readonly #clock: Clock;
  /** The latest used is used first, so that what is not needed grows old. */
  readonly #idle: Http1Connection[] = [];
  readonly #all = new Set<Http1Connection>();
  #waiting: Waiting[] = [];
  #tick: Timer | undefined;
  readonly #tickMillis: number;
  nowMillis: number;
  #isClosed = false;
  /** Who waits is looked after when this turn's callbacks are through. */
  #serving = false;

  constructor(to: ConnectTo, limits: TransportLimits, clock: Clock) {
    this.#to = to;
    this.#limits = limits;
    this.#clock = clock;
    this.nowMillis = clock.monotonic();
    const shortest = Math.min(limits.connectMillis, limits.headMillis, limits.betweenBytesMillis);
    this.#tickMillis = Math.max(5, Math.min(MOST_TICK_MILLIS, Math.floor(shortest / 8)));
  }

  dispatch(request: UpstreamRequest, exchange: Exchange, fresh: boolean): void {
    if (this.#isClosed) return exchange.error('aborted', 'closing', false);
    if (this.#waiting.length === 0 && this.#carry(request, exchange, fresh)) return;
    const waiting: Waiting = { request, exchange, fresh, sinceMillis: this.nowMillis, ended: false };
    this.#waiting.push(waiting);
    exchange.began({
      pause: () => {},
      resume: () => {},
      abort: () => {
        waiting.ended = true;
      },
    });
  }

  free(connection: Http1Connection): void {
    this.#idle.push(connection);
    this.#serveWaiting();
  }

  gone(connection: Http1Connection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#isClosed) return;
    this.#serveWaiting();
    if (this.#all.size === 0 && this.#waiting.length === 0) this.#stopTick();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopTick();
    for (const connection of [...this.#all]) connection.fail('aborted', 'closing');
    for (const { exchange, ended } of this.#waiting) if (!ended) exchange.error('aborted', 'closing', false);
    this.#waiting = [];
  }

  /** Sends it if there is a connection for it, or room for one. */
  #carry(request: UpstreamRequest, exchange: Exchange, fresh: boolean): boolean {
    const idle = fresh ? undefined : this.#idle.pop();
    if (idle !== undefined) idle.send(request, exchange, false);
    else {
      if (this.#all.size >= this.#limits.connections) {
        // The oldest idle one makes room for one that nobody has used.
        const oldest = this.#idle.shift();
        if (oldest === undefined) return false;
        oldest.destroy();
      }
      this.#open().send(request, exchange, fresh);
    }
    return true;
  }

  /** Not within the callback that has just ended the one before: its exchange is told first. */
  #serveWaiting(): void {
    if (this.#waiting.length === 0 || this.#serving) return;
    this.#serving = true;
    process.nextTick(() => {
      this.#serving = false;
      // In their order: who can't be served now stays the first.
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift())
        if (!next.ended && !this.#carry(next.request, next.exchange, next.fresh))
          return void this.#waiting.unshift(next);
      if (this.#all.size === 0) this.#stopTick();
    });
  }

  #open(): Http1Connection {
    if (this.#tick === undefined) {
      this.nowMillis = this.#clock.monotonic();
      this.#tick = this.#clock.every(this.#tickMillis, () => this.#look());
    }
    const connection = new Http1Connection(this, this.#to, IDLE_MILLIS);
    this.#all.add(connection);
    return connection;
  }

  #look(): void {
    this.nowMillis = this.#clock.monotonic();
    const { connectMillis, headMillis, betweenBytesMillis } = this.#limits;
    for (const connection of this.#all) {
      // Times are noted in ticks, up to one too early.
      const waited = this.nowMillis - connection.sinceMillis - this.#tickMillis;
      switch (connection.phase) {
        case 'connecting':
          if (waited > connectMillis) connection.fail('connection_timeout', `no connection within ${connectMillis} ms`);
          break;
        case 'head':
          if (waited > headMillis) connection.fail('http_response_timeout', `no response within ${headMillis} ms`);
          break;
        case 'body':
          if (waited > betweenBytesMillis && !connection.paused)
            connection.fail('http_response_incomplete', `nothing more within ${betweenBytesMillis} ms`);
          break;
        case 'idle':
          if (waited > connection.idleMillis) connection.destroy();
          break;
        case 'gone':
          break;
      }
    }
    for (const one of this.#waiting)
      if (!one.ended && this.nowMillis - one.sinceMillis - this.#tickMillis > headMillis) {
        one.ended = true;
        one.exchange.error('connection_timeout', `no connection was free within ${headMillis} ms`, false);
      }
    if (this.#waiting.length > 0 && this.#waiting[0]!.ended)
      this.#waiting = this.#waiting.filter(({ ended }) => !ended);
  }

  #stopTick(): void {
    this.#tick?.cancel();
    this.#tick = undefined;
  }
}

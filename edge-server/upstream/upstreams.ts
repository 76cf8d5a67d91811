/**
 * The upstreams of a service, in order (peer, region, origin): which one is asked, retries before the first byte of the
 * response head, passive ejection, and our own count of body bytes (architecture §3.1 step 5, conventions §1 Upstream).
 * Plain HTTP/1.1 goes over our own connections, everything else through undici. What is forwarded and what the answer means belongs to the request handler.
 *
 * A kept connection may be closed by the other side just when it is used again (RFC 9112 §9.3.1). That says nothing
 * about the upstream: a repeatable request goes again on a connection of its own, and one that must not be repeated
 * has its own connection from the start.
 */
import type { Clock } from '../../runtime/clock.ts';
import type { Fields } from '../http/fields.ts';
import {
  afterFailure,
  afterSuccess,
  EJECTION,
  type EjectionRules,
  type EjectionState,
  ejected,
  NEVER_EJECTED,
} from './ejection.ts';
import { Http1Transport } from './http1-transport.ts';
import type { Exchange, ExchangeControl, Transport, TransportLimits, UpstreamRequest } from './transport.ts';
import { UndiciTransport } from './undici-transport.ts';
import { declaredLength, type UpstreamFault } from './upstream-head.ts';

export type { UpstreamRequest } from './transport.ts';
export type { UpstreamFault } from './upstream-head.ts';

export interface UpstreamLimits extends TransportLimits {
  /** Further tries of a GET or HEAD before the first byte, each with the next usable upstream. */
  readonly retries: number;
}

export interface UpstreamHead {
  readonly status: number;
  readonly fields: Fields;
  /** Declared length, when there is exactly one valid Content-Length. */
  readonly contentLength: number | undefined;
  readonly upstream: string;
  /** Wall clock. */
  readonly requestMillis: number;
  readonly responseMillis: number;
}

export interface UpstreamListener {
  /** 103 and other informational heads, before the final one. */
  inform?(status: number, fields: Fields): void;
  head(head: UpstreamHead): void;
  /** The bytes are valid until it returns: who keeps them copies them. */
  piece(chunk: Buffer): void;
  /** The body came whole: its length is what was declared. */
  end(): void;
  /** No (more) response. Called at most once, and never after `end`. */
  fail(fault: UpstreamFault, detail: string): void;
}

/** One request under way. */
export interface UpstreamCall {
  pause(): void;
  resume(): void;
  /** Ends it; the listener hears `fail('aborted')` unless it has ended. */
  abort(): void;
}

interface Upstream {
  readonly name: string;
  /** Plain HTTP/1.1 without a body; `undefined` where the upstream is reached by TLS. */
  readonly plain: Transport | undefined;
  readonly other: Transport;
  ejection: EjectionState;
}

export interface UpstreamsOptions {
  /** Base URLs in order; each name is its host and port. */
  readonly urls: readonly string[];
  readonly limits: UpstreamLimits;
  readonly clock: Clock;
  readonly rules?: EjectionRules;
  /** Unix socket instead of TCP, for a worker's owner. */
  readonly socketPath?: string;
}

export class Upstreams {
  readonly #upstreams: Upstream[];
  readonly #limits: UpstreamLimits;
  readonly #clock: Clock;
  readonly #rules: EjectionRules;

  constructor(options: UpstreamsOptions) {
    this.#limits = options.limits;
    this.#clock = options.clock;
    this.#rules = options.rules ?? EJECTION;
    const { limits, clock, socketPath } = options;
    this.#upstreams = options.urls.map((text) => {
      const url = new URL(text);
      const to = { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 80), path: socketPath };
      return {
        name: url.host,
        ejection: NEVER_EJECTED,
        plain: url.protocol === 'http:' ? new Http1Transport(to, limits, clock) : undefined,
        other: new UndiciTransport(text, limits, socketPath),
      };
    });
  }

  /** Sends the request; the listener hears exactly one of: head … end, head … fail, fail. */
  forward(request: UpstreamRequest, listener: UpstreamListener): UpstreamCall {
    const call = new Forwarding(
      request,
      listener,
      this.#limits,
      this.#clock,
      this.#order(request.not),
      (upstream, good) => this.#judge(upstream, good),
    );
    call.start();
    return call;
  }

  /** Each upstream's name and whether it is ejected now. */
  view(): { name: string; ejected: boolean }[] {
    const now = this.#clock.now();
    return this.#upstreams.map(({ name, ejection }) => ({ name, ejected: ejected(ejection, now) }));
  }

  async close(): Promise<void> {
    await Promise.all(this.#upstreams.flatMap(({ plain, other }) => [plain?.close(), other.close()]));
  }

  /** Usable ones first, in order; when all are ejected the last one stays usable. */
  #order(not: string | undefined): Upstream[] {
    const only = this.#upstreams.length === 1;
    if (only && not === undefined) return this.#upstreams;
    const now = this.#clock.now();
    const candidates = this.#upstreams.filter((upstream) => upstream.name !== not);
    const usable = candidates.filter((upstream) => !ejected(upstream.ejection, now));
    return usable.length > 0 ? usable : candidates.slice(-1);
  }

  #judge(upstream: Upstream, good: boolean): void {
    if (good && upstream.ejection === NEVER_EJECTED) return;
    const now = this.#clock.now();
    const next = good ? afterSuccess : afterFailure;
    upstream.ejection = next(upstream.ejection, this.#rules, now);
  }
}

/** A request on its way through the candidates: one exchange after the other, until one has an answer. */
class Forwarding implements UpstreamCall, Exchange {
  readonly #request: UpstreamRequest;
  readonly #listener: UpstreamListener;
  readonly #limits: UpstreamLimits;
  readonly #clock: Clock;
  readonly #candidates: Upstream[];
  readonly #judge: (upstream: Upstream, good: boolean) => void;
  #tries = 0;
  /** Which candidate is asked. */
  #at = 0;
  /** The next try goes on a connection of its own. */
  #unkept: boolean;
  #ended = false;
  #started = false;
  #control: ExchangeControl | undefined;
  #upstream: Upstream | undefined;
  #requestMillis = 0;
  #received = 0;
  #declared: number | undefined;

  constructor(
    request: UpstreamRequest,
    listener: UpstreamListener,
    limits: UpstreamLimits,
    clock: Clock,
    candidates: Upstream[],
    judge: (upstream: Upstream, good: boolean) => void,
  ) {
    this.#request = request;
    this.#listener = listener;
    this.#limits = limits;
    this.#clock = clock;
    this.#candidates = candidates;
    this.#judge = judge;
    this.#unkept = !this.#repeatable;
  }

  /** Whether doing it twice is doing it once (RFC 9110 §9.2.2). */
  get #repeatable(): boolean {
    const { method, body } = this.#request;
    return (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') && body === undefined;
  }

  start(): void {
    const upstream = this.#candidates[Math.min(this.#at, this.#candidates.length - 1)];
    if (upstream === undefined) return this.#fail('connection_refused', 'no upstream to ask');
    this.#tries += 1;
    this.#upstream = upstream;
    this.#requestMillis = this.#clock.now();
    const transport = this.#request.body === undefined ? (upstream.plain ?? upstream.other) : upstream.other;
    transport.dispatch(this.#request, this, this.#unkept);
  }

  // After its end the connection carries another's exchange, whose pace is not this one's to set.
  pause(): void {
    if (!this.#ended) this.#control?.pause();
  }

  resume(): void {
    if (!this.#ended) this.#control?.resume();
  }

  abort(): void {
    if (this.#ended) return;
    this.#fail('aborted', 'no longer wanted');
    this.#control?.abort();
  }

  began(control: ExchangeControl): void {
    this.#control = control;
    if (this.#ended) control.abort();
  }

  inform(status: number, fields: Fields): void {
    if (!this.#ended) this.#listener.inform?.(status, fields);
  }

  head(status: number, fields: Fields): void {
    if (this.#ended) return;
    if (status > 999) return this.#refuse(`status ${status}`);
    const length = declaredLength(fields);
    if (length === 'conflict') return this.#refuse('conflicting Content-Length');
    this.#started = true;
    this.#declared = this.#request.method === 'HEAD' || status === 204 || status === 304 ? undefined : length;
    this.#judge(this.#upstream!, status < 500);
    this.#listener.head({
      status,
      fields,
      contentLength: length,
      upstream: this.#upstream!.name,
      requestMillis: this.#requestMillis,
      responseMillis: this.#clock.now(),
    });
  }

  data(chunk: Buffer): void {
    if (this.#ended) return;
    this.#received += chunk.length;
    if (this.#declared !== undefined && this.#received > this.#declared)
      return this.#refuse('more bytes than Content-Length');
    this.#listener.piece(chunk);
  }

  end(): void {
    if (this.#ended) return;
    if (this.#declared !== undefined && this.#received !== this.#declared)
      return this.#fail('http_response_incomplete', `${this.#received} of ${this.#declared} bytes`);
    this.#ended = true;
    this.#listener.end();
  }

  error(fault: UpstreamFault, detail: string, answered: boolean): void {
    if (this.#ended) return;
    // It ends because we do.
    if (fault === 'aborted') return this.#fail(fault, detail);
    const keptClosed = fault === 'connection_terminated' && !this.#unkept;
    if (!keptClosed) this.#judge(this.#upstream!, false);
    if (!this.#started && this.#repeatable && this.#tries <= this.#limits.retries && this.#again(fault, answered)) {
      if (!keptClosed) this.#at += 1;
      this.#unkept = fault === 'connection_terminated';
      this.start();
    } else this.#fail(fault, detail);
  }

  /** Whether another try makes sense after this fault. */
  #again(fault: UpstreamFault, answered: boolean): boolean {
    switch (fault) {
      case 'http_response_timeout':
      case 'http_protocol_error':
        // It has taken its time, or said its word: the same one would again.
        return this.#at + 1 < this.#candidates.length;
      case 'connection_terminated':
        // Half a head on a connection of its own: it does answer, and would again.
        return !this.#unkept || !answered;
      default:
        return true;
    }
  }

  #refuse(detail: string): void {
    this.#judge(this.#upstream!, false);
    this.#fail('http_protocol_error', detail);
    this.#control?.abort();
  }

  #fail(fault: UpstreamFault, detail: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#listener.fail(fault, detail);
  }
}

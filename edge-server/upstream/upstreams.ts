/**
 * The upstreams of a service, in order (peer, region, origin): which one is asked, retries before the first byte of the
 * response head, passive ejection, and our own count of body bytes. Built on undici's dispatcher; architecture §3.1
 * step 5, conventions §1 Upstream. What is forwarded and what the answer means belongs to the request handler.
 *
 * A kept connection may be closed by the other side just when it is used again (RFC 9112 §9.3.1). That says nothing
 * about the upstream: a repeatable request goes again on a connection of its own, and one that must not be repeated
 * has its own connection from the start.
 */
import type { Readable } from 'node:stream';
import { type Dispatcher, Pool } from 'undici';
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
import { declaredLength, faultOf, fieldsOf, lengthInTrailers, type UpstreamFault } from './upstream-head.ts';

export type { UpstreamFault } from './upstream-head.ts';

export interface UpstreamLimits {
  readonly connectMillis: number;
  readonly headMillis: number;
  readonly betweenBytesMillis: number;
  readonly connections: number;
  /** Further tries of a GET or HEAD before the first byte, each with the next usable upstream. */
  readonly retries: number;
}

export interface UpstreamRequest {
  readonly method: string;
  /** Origin-form target. */
  readonly target: string;
  readonly fields: Fields;
  readonly body: Readable | undefined;
  /** Upstreams not to ask, by name: those that this request has come through. */
  readonly not?: string | undefined;
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
  /** The chunk is the listener's to keep. */
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
  readonly pool: Pool;
  /** Connects anew for each request. */
  readonly unkept: Pool;
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
    const { limits, socketPath } = options;
    const pool = (url: string, pipelining: 0 | 1) =>
      new Pool(url, {
        connections: limits.connections,
        connectTimeout: limits.connectMillis,
        headersTimeout: limits.headMillis,
        bodyTimeout: limits.betweenBytesMillis,
        maxHeaderSize: 64 * 1024,
        pipelining,
        keepAliveTimeout: 30_000,
        ...(socketPath === undefined ? {} : { socketPath }),
      });
    this.#upstreams = options.urls.map((url) => ({
      name: new URL(url).host,
      ejection: NEVER_EJECTED,
      pool: pool(url, 1),
      unkept: pool(url, 0),
    }));
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
    await Promise.all(this.#upstreams.flatMap(({ pool, unkept }) => [pool.destroy(), unkept.destroy()]));
  }

  /** Usable ones first, in order; when all are ejected the last one stays usable. */
  #order(not: string | undefined): Upstream[] {
    const now = this.#clock.now();
    const candidates = this.#upstreams.filter((upstream) => upstream.name !== not);
    const usable = candidates.filter((upstream) => !ejected(upstream.ejection, now));
    return usable.length > 0 ? usable : candidates.slice(-1);
  }

  #judge(upstream: Upstream, good: boolean): void {
    const now = this.#clock.now();
    const next = good ? afterSuccess : afterFailure;
    upstream.ejection = next(upstream.ejection, this.#rules, now);
  }
}

/** A request on its way through the candidates, as undici's dispatch handler. */
class Forwarding implements UpstreamCall {
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
  #controller: Dispatcher.DispatchController | undefined;
  #received = 0;
  #declared: number | undefined;
  /** The body's end is told by its chunks alone. */
  #chunked = false;

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
    this.#send(upstream);
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  abort(): void {
    if (this.#ended) return;
    this.#fail('aborted', 'no longer wanted');
    this.#controller?.abort(new Error('aborted'));
  }

  #send(upstream: Upstream): void {
    const { method, target, fields, body } = this.#request;
    const requestMillis = this.#clock.now();
    const headOnly = method === 'HEAD';
    const pool = this.#unkept ? upstream.unkept : upstream.pool;
    pool.dispatch(
      { path: target, method: method as Dispatcher.HttpMethod, headers: fields.flat, body: body ?? null },
      {
        onRequestStart: (controller) => {
          this.#controller = controller;
          if (this.#ended) controller.abort(new Error('aborted'));
        },
        onResponseStart: (controller, status) => {
          if (this.#ended) return;
          const arrived = fieldsOf(controller.rawHeaders);
          if (status < 200) return this.#listener.inform?.(status, arrived);
          if (status > 999) return this.#refuse(upstream, controller, `status ${status}`);
          const lengths = declaredLength(arrived);
          if (lengths === 'conflict') return this.#refuse(upstream, controller, 'conflicting Content-Length');
          this.#started = true;
          this.#chunked = lengths === undefined && arrived.has('transfer-encoding') && !arrived.has('content-length');
          this.#declared = headOnly || status === 204 || status === 304 ? undefined : lengths;
          this.#judge(upstream, status < 500);
          const responseMillis = this.#clock.now();
          this.#listener.head({
            status,
            fields: arrived,
            contentLength: lengths,
            upstream: upstream.name,
            requestMillis,
            responseMillis,
          });
        },
        onResponseData: (controller, chunk) => {
          if (this.#ended) return;
          this.#received += chunk.length;
          if (this.#declared !== undefined && this.#received > this.#declared)
            return this.#refuse(upstream, controller, 'more bytes than Content-Length');
          this.#listener.piece(chunk);
        },
        onResponseEnd: () => this.#onEnd(),
        onResponseError: (_controller, error) => {
          if (this.#chunked && lengthInTrailers(error)) this.#onEnd();
          else this.#onError(upstream, error);
        },
      },
    );
  }

  #onEnd(): void {
    if (this.#ended) return;
    if (this.#declared !== undefined && this.#received !== this.#declared)
      return this.#fail('http_response_incomplete', `${this.#received} of ${this.#declared} bytes`);
    this.#ended = true;
    this.#listener.end();
  }

  #onError(upstream: Upstream, error: Error): void {
    if (this.#ended) return;
    const fault = faultOf(error, this.#started);
    const keptClosed = fault === 'connection_terminated' && !this.#unkept;
    if (!keptClosed) this.#judge(upstream, false);
    if (!this.#started && this.#repeatable && this.#tries <= this.#limits.retries && this.#again(fault, error)) {
      if (!keptClosed) this.#at += 1;
      this.#unkept = fault === 'connection_terminated';
      this.start();
    } else this.#fail(fault, error.message);
  }

  /** Whether another try makes sense after this fault. */
  #again(fault: UpstreamFault, error: Error): boolean {
    switch (fault) {
      case 'http_response_timeout':
      case 'http_protocol_error':
        // It has taken its time, or said its word: the same one would again.
        return this.#at + 1 < this.#candidates.length;
      case 'connection_terminated': {
        // Half a head on a connection of its own: it does answer, and would again.
        const read = (error as { socket?: { bytesRead?: number } }).socket?.bytesRead ?? 0;
        return !this.#unkept || read === 0;
      }
      default:
        return true;
    }
  }

  #refuse(upstream: Upstream, controller: Dispatcher.DispatchController, detail: string): void {
    this.#judge(upstream, false);
    this.#fail('http_protocol_error', detail);
    controller.abort(new Error(detail));
  }

  #fail(fault: UpstreamFault, detail: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#listener.fail(fault, detail);
  }
}
